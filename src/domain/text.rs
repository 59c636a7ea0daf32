//! Untrusted text, made visible.
//!
//! Whatever comes from the database may have been written by an attacker: escape sequences that reprogram a
//! terminal (OSC 52 writes the clipboard), bidirectional overrides that show a name backwards, zero-width characters
//! that make two names look alike. As the console is a tool for evidence, nothing is dropped: each such character is
//! shown as an escape. The set follows `fd` and the Unicode security mechanisms (UTS #39): C0, DEL, C1, soft hyphen,
//! zero-width and bidi controls, line and paragraph separators, interlinear annotation, tag characters and every
//! other default-ignorable character. U+200D and U+FE0F stay inside an emoji sequence only.

use std::fmt;
use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthStr as _;

/// More combining marks than this on one base character are escaped, so that no cell grows over its neighbours.
const MAX_COMBINING: usize = 4;

/// Text that is fit for a terminal: one line, no control, bidi or invisible character.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Safe(String);

impl Safe {
    /// Escapes what a terminal must not see. Already safe text is unchanged, so escaping twice changes nothing.
    pub fn from_untrusted(text: &str) -> Self {
        if text.bytes().all(|b| (0x20..0x7f).contains(&b)) {
            return Self(text.to_owned());
        }
        let mut out = String::with_capacity(text.len() + 16);
        for grapheme in text.graphemes(true) {
            let emoji = is_emoji_sequence(grapheme);
            let mut marks = 0;
            for c in grapheme.chars() {
                let joiner = emoji && matches!(c, '\u{200d}' | '\u{fe0f}');
                if c != '\u{200d}' && unicode_width::UnicodeWidthChar::width(c) == Some(0) && !is_hidden(c) {
                    marks += 1;
                }
                if !joiner && (is_hidden(c) || marks > MAX_COMBINING) {
                    push_escape(&mut out, c);
                } else {
                    out.push(c);
                }
            }
        }
        Self(out)
    }

    /// Text of the program itself, which needs no check.
    pub fn literal(text: &'static str) -> Self {
        Self(text.to_owned())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Terminal columns it takes.
    pub fn width(&self) -> usize {
        self.0.width()
    }

    /// The text cut to `columns`, with `…` for what was cut off at the end.
    pub fn cut_end(&self, columns: usize) -> Self {
        if self.width() <= columns {
            return self.clone();
        }
        Self(take_columns(&self.0, columns.saturating_sub(1)) + if columns > 0 { "…" } else { "" })
    }

    /// The text cut to `columns` in the middle, so that both ends of an identifier stay readable.
    pub fn cut_middle(&self, columns: usize) -> Self {
        if self.width() <= columns || columns < 5 {
            return self.cut_end(columns);
        }
        let tail = (columns - 1) / 2;
        let head = columns - 1 - tail;
        let reversed: Vec<&str> = self.0.graphemes(true).rev().collect();
        let mut end = Vec::new();
        let mut used = 0;
        for g in reversed {
            if used + g.width() > tail {
                break;
            }
            used += g.width();
            end.push(g);
        }
        end.reverse();
        Self(take_columns(&self.0, head) + "…" + &end.concat())
    }
}

impl fmt::Display for Safe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

fn take_columns(text: &str, columns: usize) -> String {
    let mut used = 0;
    text.graphemes(true)
        .take_while(|g| {
            used += g.width();
            used <= columns
        })
        .collect()
}

/// A cluster joined by U+200D or styled by U+FE0F whose other characters are all pictographs, modifiers or the
/// keycap parts.
fn is_emoji_sequence(grapheme: &str) -> bool {
    let mut chars = grapheme.chars().filter(|c| !matches!(c, '\u{200d}' | '\u{fe0f}'));
    let Some(first) = chars.next() else { return false };
    let pictograph = |c: char| {
        matches!(u32::from(c), 0x00a9 | 0x00ae | 0x203c..=0x3299 | 0x1f000..=0x1faff) && !is_hidden(c)
    };
    let keycap = first.is_ascii_digit() || matches!(first, '#' | '*');
    (pictograph(first) || (keycap && grapheme.ends_with('\u{20e3}')))
        && chars.all(|c| pictograph(c) || c == '\u{20e3}')
        // A joiner at the end joins nothing.
        && !grapheme.ends_with('\u{200d}')
}

/// Whether a character is invisible or changes how others are shown.
pub fn is_hidden(c: char) -> bool {
    match u32::from(c) {
        0x00..=0x1f | 0x7f..=0x9f => true,
        0x00ad | 0x034f | 0x061c | 0x115f | 0x1160 | 0x17b4 | 0x17b5 => true,
        0x180b..=0x180f | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f => true,
        0x3164 | 0xfe00..=0xfe0f | 0xfeff | 0xffa0 | 0xfff0..=0xfffb => true,
        0x13430..=0x1345f | 0x1bca0..=0x1bca3 | 0x1d173..=0x1d17a | 0xe0000..=0xe0fff => true,
        // Noncharacters and private use: terminals and fonts give them meanings of their own.
        n if n & 0xfffe == 0xfffe => true,
        0xfdd0..=0xfdef | 0xe000..=0xf8ff | 0xf0000..=0x0010_ffff => true,
        _ => false,
    }
}

fn push_escape(out: &mut String, c: char) {
    use fmt::Write as _;
    let written = match c {
        '\n' => write!(out, "\\n"),
        '\r' => write!(out, "\\r"),
        '\t' => write!(out, "\\t"),
        c if u32::from(c) < 0x100 => write!(out, "\\x{:02X}", u32::from(c)),
        c => write!(out, "\\u{{{:04X}}}", u32::from(c)),
    };
    debug_assert!(written.is_ok(), "writing to a String cannot fail");
}

/// Digits in groups of three, by spaces: `1 204 331`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn safe(text: &str) -> String {
        Safe::from_untrusted(text).to_string()
    }

    #[test]
    fn terminal_attacks_become_visible() {
        assert_eq!(safe("\x1b[31mred\x1b[0m"), "\\x1B[31mred\\x1B[0m");
        assert_eq!(safe("\x1b]52;c;AAAA\x07"), "\\x1B]52;c;AAAA\\x07");
        assert_eq!(safe("\u{9b}2J\u{7f}"), "\\x9B2J\\x7F");
        assert_eq!(safe("gpj.\u{202e}exe"), "gpj.\\u{202E}exe");
        assert_eq!(safe("a\u{200b}b\u{2028}c\n"), "a\\u{200B}b\\u{2028}c\\n");
        assert_eq!(safe("\u{e0041}"), "\\u{E0041}");
    }

    #[test]
    fn ordinary_text_of_any_script_is_unchanged() {
        for text in ["Zoë Müller", "日本語", "مرحبا", "e\u{301}", "👍🏽", "👨‍👩‍👧", "🇩🇪", "❤️", "1️⃣"]
        {
            assert_eq!(safe(text), text);
        }
    }

    #[test]
    fn joiners_outside_emoji_are_shown() {
        assert_eq!(safe("ab\u{200d}cd"), "ab\\u{200D}cd");
        assert_eq!(safe("x\u{fe0f}"), "x\\u{FE0F}");
    }

    #[test]
    fn a_tower_of_marks_is_cut_down() {
        let shown = safe(&format!("a{}", "\u{301}".repeat(50)));
        assert_eq!(shown.matches('\u{301}').count(), MAX_COMBINING);
    }

    #[test]
    fn cuts_keep_the_width() {
        let id = Safe::from_untrusted("trace-0123456789-9f3");
        assert_eq!(id.cut_middle(9).as_str(), "trac…-9f3");
        assert_eq!(id.cut_end(6).as_str(), "trace…");
        assert_eq!(id.cut_end(0).as_str(), "");
        assert_eq!(Safe::from_untrusted("日本語日本語").cut_middle(7).as_str(), "日…語");
    }

    proptest! {
        #[test]
        fn escaping_leaves_nothing_hidden_and_is_idempotent(text in any::<String>(), columns in 0usize..40) {
            let once = Safe::from_untrusted(&text);
            let clean = once.as_str().chars().all(|c| !is_hidden(c) || matches!(c, '\u{200d}' | '\u{fe0f}'));
            prop_assert!(clean);
            prop_assert_eq!(&Safe::from_untrusted(once.as_str()), &once);
            prop_assert!(once.cut_end(columns).width() <= columns);
            prop_assert!(once.cut_middle(columns).width() <= columns);
        }
    }

    #[test]
    fn digits_stand_in_groups_of_three() {
        let groups = [0, 999, 1000, 999_999, 1_204_331].map(grouped);
        assert_eq!(groups, ["0", "999", "1 000", "999 999", "1 204 331"]);
    }
}
