//! Untrusted text, made visible.
//!
//! Whatever comes from the database may have been written by an attacker: escape sequences that reprogram a
//! terminal (OSC 52 writes the clipboard), bidirectional overrides that show a name backwards, zero-width characters
//! that make two names look alike. As the console is a tool for evidence, nothing is dropped: each such character is
//! shown as an escape. The set follows `fd` and the Unicode security mechanisms (UTS #39): C0, DEL, C1, soft hyphen,
//! zero-width and bidi controls, line and paragraph separators, interlinear annotation, tag characters and every
//! other default-ignorable character. U+200D and U+FE0F stay inside an emoji sequence only.
//!
//! There are two escapes, `\xHH` and `\u{HHHH}`, with capital hexadecimal digits. Different texts are shown differently: a
//! backslash that would begin an escape is doubled ([`unescaped`] is the way back). All others stay as they are, so
//! that `CORP\tom` and `C:\new` read as what they are.

use super::mask::masked;
use std::borrow::Cow;
use std::fmt;
use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// More combining marks than this on one base character are escaped, so that no cell grows over its neighbours.
const MAX_COMBINING: usize = 4;

/// Text that is fit for a terminal: one line, no control, bidi or invisible character. It knows how it reads under the
/// [mask](super::mask), too, and keeps that when it is cut or broken: what is cut off could not be recognised any more.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Safe {
    text: String,
    /// The same under the mask, of the same width; `None` where nothing is masked.
    masked: Option<Box<str>>,
}

impl Safe {
    /// Data: escapes what a terminal must not see, so that the data can be told from what is shown.
    pub fn from_untrusted(text: &str) -> Self {
        Self::of(escaped(text, Backslashes::Doubled, Joiners::Escaped))
    }

    /// A text that is made of escaped pieces and of the program's own words, or that the user is typing: what is hidden
    /// in it is escaped, backslashes are left alone. Composing it again changes nothing.
    pub fn composed(text: &str) -> Self {
        Self::of(escaped(text, Backslashes::Kept, Joiners::Escaped))
    }

    /// Text of the program itself, which needs no check.
    pub fn literal(text: &'static str) -> Self {
        Self { text: text.to_owned(), masked: None }
    }

    /// Several texts, one behind the other.
    pub fn concat(parts: &[&Self]) -> Self {
        let masked = parts.iter().any(|part| part.masked.is_some());
        Self {
            text: parts.iter().map(|part| part.as_str()).collect(),
            masked: masked.then(|| parts.iter().map(|part| part.masked()).collect::<String>().into()),
        }
    }

    /// The same text, which reads under the mask as `other` does: for values that only their place tells to be secrets.
    /// `other` is as wide.
    #[must_use]
    pub fn reading_as(self, other: &Self) -> Self {
        Self::of_both(self.text, Some(other.masked().to_owned()))
    }

    /// The texts again, with the mask put over all of them as over one text: an address may begin in one and end in the
    /// next.
    pub fn masked_together(parts: &[&Self]) -> Vec<Self> {
        let whole = Self::of(parts.iter().map(|part| part.as_str()).collect());
        let mut column = 0;
        let ends = parts.iter().map(|part| {
            let from = column;
            column += part.width();
            (*part, whole.columns(from, column))
        });
        // What its own mask covers stays covered.
        ends.map(|(part, whole)| if whole.masked.is_some() { whole } else { part.clone() }).collect()
    }

    /// The part between two columns.
    #[must_use]
    pub fn columns(&self, from: usize, to: usize) -> Self {
        self.map(|text| {
            let mut at = 0;
            let inside = text.graphemes(true).filter(|g| {
                let begin = at;
                at += g.width();
                begin >= from && begin < to
            });
            inside.collect()
        })
    }

    fn of(text: String) -> Self {
        let masked = masked(&text).map(Into::into);
        Self { text, masked }
    }

    /// A part of a text and the same part of the text under the mask.
    pub(super) fn of_both(text: String, masked: Option<String>) -> Self {
        let masked = masked.filter(|masked| *masked != text).map(Into::into);
        Self { text, masked }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The text under the mask: e-mail addresses, network addresses and secrets that are known by their form are
    /// covered. As wide as the text.
    pub fn masked(&self) -> &str {
        self.masked.as_deref().unwrap_or(&self.text)
    }

    /// Whether the mask covers something.
    pub(super) fn has_mask(&self) -> bool {
        self.masked.is_some()
    }

    /// Terminal columns it takes.
    pub fn width(&self) -> usize {
        self.text.width()
    }

    fn map(&self, cut: impl Fn(&str) -> String) -> Self {
        Self::of_both(cut(&self.text), self.masked.as_deref().map(cut))
    }

    /// The text cut to `columns`, with `…` for what was cut off at the end.
    pub fn cut_end(&self, columns: usize) -> Self {
        if self.width() <= columns {
            return self.clone();
        }
        self.map(|text| take_columns(text, columns.saturating_sub(1)) + if columns > 0 { "…" } else { "" })
    }

    /// The text cut to `columns` in the middle, so that both ends of an identifier stay readable.
    pub fn cut_middle(&self, columns: usize) -> Self {
        self.cut_middle_keeping(columns, 0)
    }

    /// The text cut to `columns` in the middle of what stands before its last `kept` columns, which stay whole as long as
    /// five columns remain before them.
    pub fn cut_middle_keeping(&self, columns: usize, kept: usize) -> Self {
        if self.width() <= columns || columns < 5 {
            return self.cut_end(columns);
        }
        let kept = if columns.saturating_sub(kept) < 5 { 0 } else { kept };
        let tail = (columns - kept - 1) / 2 + kept;
        let head = columns - 1 - tail;
        self.map(|text| {
            let reversed: Vec<&str> = text.graphemes(true).rev().collect();
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
            take_columns(text, head) + "…" + &end.concat()
        })
    }
}

impl fmt::Display for Safe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

/// Visible by itself and never part of a larger cluster beside another such character: most of what is written.
fn is_plain(c: char) -> bool {
    matches!(c, ' '..='~' | '\u{a1}'..='\u{ac}' | '\u{ae}'..='\u{2ff}' | '\u{370}'..='\u{377}' | '\u{386}'..='\u{482}'
        | '\u{3041}'..='\u{3096}' | '\u{30a1}'..='\u{30fa}' | '\u{4e00}'..='\u{9fff}')
}

/// The plain characters at the beginning, and what follows up to the next two plain ones. The last plain one before
/// another belongs to what follows, where it may carry marks. Clusters are an order of magnitude dearer than characters.
fn split_plain(text: &str) -> (&str, &str) {
    let mut last = 0;
    let mut chars = text.char_indices();
    let end = loop {
        match chars.next() {
            Some((at, c)) if is_plain(c) => last = at,
            Some(_) => break last,
            None => return (text, ""),
        }
    };
    let (plain, others) = text.split_at(end);
    let mut before_is_plain = false;
    let pair = others.char_indices().skip(1).find(|(_, c)| {
        let pair = before_is_plain && is_plain(*c);
        before_is_plain = is_plain(*c);
        pair
    });
    (plain, pair.map_or(others, |(at, _)| &others[..at]))
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

/// The data that [`Safe::from_untrusted`] shows as `text`.
pub fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.find('\\').map(|at| rest.split_at(at)) {
        out.push_str(before);
        let tail = behind.trim_start_matches('\\');
        let slashes = behind.len() - tail.len();
        rest = tail;
        let Some((c, length)) = escape_tail(tail) else {
            out.extend(std::iter::repeat_n('\\', slashes));
            continue;
        };
        out.extend(std::iter::repeat_n('\\', slashes / 2));
        if slashes % 2 == 1 {
            out.push(c);
            rest = tail.get(length..).unwrap_or_default();
        }
    }
    out + rest
}

/// Text for a file of lines, such as CSV: as [`Safe::from_untrusted`], but joiners inside words stay, because the words
/// would be others without them.
pub fn escape_for_file(text: &str) -> String {
    escaped(text, Backslashes::Doubled, Joiners::Kept)
}

/// What becomes of U+200C and U+200D between letters of scripts that are written with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Joiners {
    /// Escaped like all that is hidden: for terminals, and for documents that end up there.
    Escaped,
    /// Left as they are: for files of events.
    Kept,
}

/// What becomes of backslashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Backslashes {
    /// Those that would begin an escape are doubled, and those before an escape.
    Doubled,
    Kept,
}

fn escaped(text: &str, backslashes: Backslashes, joiners: Joiners) -> String {
    if text.bytes().all(|b| (0x20..0x7f).contains(&b) && (b != b'\\' || backslashes == Backslashes::Kept)) {
        return text.to_owned();
    }
    let mut escaping = Escaping::new(text, backslashes, joiners);
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let (plain, others) = split_plain(rest);
        escaping.plain(at, plain);
        escaping.clusters(at + plain.len(), others);
        at += plain.len() + others.len();
    }
    escaping.out
}

/// A text that is being escaped.
struct Escaping<'a> {
    text: &'a str,
    out: String,
    /// Backslashes of the text at the end of `out`, where they may have to be doubled.
    slashes: usize,
    backslashes: Backslashes,
    joiners: Joiners,
}

impl<'a> Escaping<'a> {
    fn new(text: &'a str, backslashes: Backslashes, joiners: Joiners) -> Self {
        Self { text, out: String::with_capacity(text.len() + 16), slashes: 0, backslashes, joiners }
    }

    /// Plain characters, which stand at byte `at` of the text.
    fn plain(&mut self, at: usize, plain: &str) {
        if self.backslashes == Backslashes::Kept || (self.slashes == 0 && !plain.contains('\\')) {
            return self.out.push_str(plain);
        }
        for (offset, c) in plain.char_indices() {
            self.push(at + offset, c, false);
        }
    }

    /// Any other characters, which stand there.
    fn clusters(&mut self, at: usize, others: &str) {
        for (start, grapheme) in others.grapheme_indices(true) {
            let emoji = is_emoji_sequence(grapheme);
            let mut marks = 0;
            for (offset, c) in grapheme.char_indices() {
                let at = at + start + offset;
                let stays = (emoji && matches!(c, '\u{200d}' | '\u{fe0f}'))
                    || (self.joiners == Joiners::Kept && joins_letters(self.text, at, c));
                if c != '\u{200d}' && c.width() == Some(0) && !is_hidden(c) {
                    marks += 1;
                }
                self.push(at, c, !stays && (is_hidden(c) || marks > MAX_COMBINING));
            }
        }
    }

    /// The character at a byte of the text, as it is or as an escape.
    fn push(&mut self, at: usize, c: char, escapes: bool) {
        if c == '\\' && self.backslashes == Backslashes::Doubled {
            self.slashes += 1;
            return self.out.push(c);
        }
        if self.slashes > 0 {
            let begins = || self.text.get(at..).is_some_and(|rest| escape_tail(rest).is_some());
            if escapes || begins() {
                self.out.extend(std::iter::repeat_n('\\', self.slashes));
            }
            self.slashes = 0;
        }
        if escapes { push_escape(&mut self.out, c) } else { self.out.push(c) }
    }
}

/// What stands behind the backslash of an escape, at the beginning of `text`: the character and the length in bytes.
fn escape_tail(text: &str) -> Option<(char, usize)> {
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b));
    let digits = if let Some(rest) = text.strip_prefix('x') {
        rest.get(..2).filter(|two| digits(two))?
    } else {
        let (inside, _) = text.strip_prefix("u{")?.split_once('}')?;
        Some(inside).filter(|d| (4..=6).contains(&d.len()) && digits(d))?
    };
    let c = char::from_u32(u32::from_str_radix(digits, 16).ok()?)?;
    let length = digits.len() + if text.starts_with('x') { 1 } else { 3 };
    Some((c, length))
}

fn push_escape(out: &mut String, c: char) {
    use fmt::Write as _;
    let written = match c {
        c if u32::from(c) < 0x100 => write!(out, "\\x{:02X}", u32::from(c)),
        c => write!(out, "\\u{{{:04X}}}", u32::from(c)),
    };
    debug_assert!(written.is_ok(), "writing to a String cannot fail");
}

/// Whether the character at byte `at` is a joiner between two letters of a script that is written with joiners: Arabic
/// and its relatives, the scripts of India and around, Mongolian. (RFC 5892 asks for more: which letters join.)
fn joins_letters(text: &str, at: usize, c: char) -> bool {
    let takes_joiners = |c: char| {
        matches!(u32::from(c), 0x0620..=0x074f | 0x0750..=0x08ff | 0x0900..=0x0dff | 0x0f00..=0x109f
            | 0x1780..=0x17ff | 0x1820..=0x18af | 0xfb50..=0xfdff | 0xfe70..=0xfefc)
            && (c.is_alphabetic() || c.width() == Some(0))
            && !is_hidden(c)
    };
    matches!(c, '\u{200c}' | '\u{200d}')
        && text.get(..at).is_some_and(|before| before.chars().next_back().is_some_and(takes_joiners))
        && text.get(at + c.len_utf8()..).is_some_and(|after| after.chars().next().is_some_and(takes_joiners))
}

/// JSON on one line, with what is hidden written as `\u` escapes inside strings, which is the same JSON. Between values,
/// where JSON has no escapes, line feeds and tabs become blanks.
pub fn escape_json(text: &str, joiners: Joiners) -> Cow<'_, str> {
    // Nothing of this is hidden, and most JSON is nothing else.
    if text.bytes().all(is_printable) {
        return Cow::Borrowed(text);
    }
    let is_line = text.bytes().all(|byte| byte >= b' ');
    Cow::Owned(if is_line { escape_json_line(text, joiners) } else { escape_json_lines(text, joiners) })
}

/// Whether a byte is a character that is shown as it is, in any surroundings.
const fn is_printable(byte: u8) -> bool {
    matches!(byte, b' '..=b'~')
}

fn escape_json_lines(text: &str, joiners: Joiners) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut inside, mut escape) = (false, false);
    for (at, c) in text.char_indices() {
        match c {
            '"' if !escape => inside = !inside,
            '\n' | '\r' | '\t' if !inside => {
                out.push(' ');
                continue;
            }
            _ => {}
        }
        escape = inside && c == '\\' && !escape;
        if is_hidden(c) && !(joiners == Joiners::Kept && joins_letters(text, at, c)) {
            push_json_escape(&mut out, c);
        } else {
            out.push(c);
        }
    }
    out
}

/// As [`escape_json`], of a text without control characters: whether a place is inside a string makes no difference there.
fn escape_json_line(text: &str, joiners: Joiners) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let plain = rest.bytes().position(|byte| !is_printable(byte)).unwrap_or(rest.len());
        let (plain, others) = rest.split_at(plain);
        out.push_str(plain);
        at += plain.len();
        let Some(c) = others.chars().next() else { break };
        if is_hidden(c) && !(joiners == Joiners::Kept && joins_letters(text, at, c)) {
            push_json_escape(&mut out, c);
        } else {
            out.push(c);
        }
        at += c.len_utf8();
    }
    out
}

fn push_json_escape(out: &mut String, c: char) {
    use fmt::Write as _;
    for unit in c.encode_utf16(&mut [0; 2]) {
        // Writing to a String cannot fail.
        let _ = write!(out, "\\u{unit:04x}");
    }
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
        assert_eq!(safe("a\u{200b}b\u{2028}c\n"), "a\\u{200B}b\\u{2028}c\\x0A");
        assert_eq!(safe("\u{e0041}"), "\\u{E0041}");
    }

    #[test]
    fn every_plain_character_is_visible_by_itself() {
        for c in ('\0'..=char::MAX).filter(|c| is_plain(*c)) {
            assert!(!is_hidden(c) && unicode_width::UnicodeWidthChar::width(c) > Some(0), "{c:?}");
        }
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

    #[test]
    fn only_backslashes_that_would_begin_an_escape_are_doubled() {
        for (data, shown) in [
            (r"CORP\tom", r"CORP\tom"),
            (r"C:\new\xampp\u", r"C:\new\xampp\u"),
            (r"\\server\share", r"\\server\share"),
            (r"a\x1Bb", r"a\\x1Bb"),
            (r"a\\x1Bb", r"a\\\\x1Bb"),
            (r"\x1b", r"\x1b"),
            (r"\u{202E}", r"\\u{202E}"),
            (r"\u{D800}\u{0041", r"\u{D800}\u{0041"),
            ("C:\\\u{1b}", r"C:\\\x1B"),
            ("\\\u{301}x1B", "\\\u{301}x1B"),
        ] {
            assert_eq!(safe(data), shown);
            assert_eq!(unescaped(&safe(data)), data);
        }
    }

    #[test]
    fn files_keep_the_joiners_of_words_and_escape_all_others() {
        let words = "\u{645}\u{6cc}\u{200c}\u{62e}\u{648}\u{627}\u{647}\u{645} \u{915}\u{94d}\u{200d}\u{937}";
        assert_eq!(escape_for_file(words), words);
        assert_eq!(escape_json(words, Joiners::Kept), words);
        assert_eq!(safe(words).matches("\\u{200").count(), 2);
        assert_eq!(escape_json(words, Joiners::Escaped).matches("\\u200").count(), 2);
        for hidden in ["ab\u{200d}cd", "\u{645}\u{200c}", "\u{200d}\u{645}", "\u{645}\u{200c}\u{200c}\u{645}"]
        {
            assert!(!escape_for_file(hidden).contains(['\u{200c}', '\u{200d}']), "{hidden:?}");
            assert!(!escape_json(hidden, Joiners::Kept).contains(['\u{200c}', '\u{200d}']), "{hidden:?}");
        }
    }

    #[test]
    fn json_on_several_lines_becomes_one_that_says_the_same() {
        let text = "{\n\t\"a\\\\\": \"\u{9b}\\\"\u{202e}\u{e0041}\",\r\n \"b\": [1.10,\n 2]}";
        assert_eq!(
            escape_json(text, Joiners::Escaped),
            "{  \"a\\\\\": \"\\u009b\\\"\\u202e\\udb40\\udc41\",   \"b\": [1.10,  2]}"
        );
    }

    /// Text with many backslashes, escapes and hidden characters.
    fn tricky() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            Just("\\".to_owned()),
            Just("x1B".to_owned()),
            Just("u{202E}".to_owned()),
            Just("u{".to_owned()),
            any::<char>().prop_map(String::from),
            "[\u{0}-\u{20}x0-9A-F}\u{200b}-\u{200f}\u{301}]",
        ];
        prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn plain_characters_are_passed_without_a_look_at_clusters(parts in proptest::collection::vec(
            proptest::sample::select(vec!["a", " ", "é", "я", "日", "©", "\u{ad}", "e", "\u{301}", "\u{200d}", "\u{fe0f}", "👩",
                "🏽", "🇩", "🇪", "1", "\u{20e3}", "한", "\u{1161}", "\u{11a8}", "\u{915}", "\u{94d}", "\u{937}", "\u{600}", "\n"]),
            0..40,
        )) {
            let text = parts.concat();
            let mut by_clusters = Escaping::new(&text, Backslashes::Doubled, Joiners::Escaped);
            by_clusters.clusters(0, &text);
            prop_assert_eq!(safe(&text), by_clusters.out);
        }
    }

    proptest! {
        #[test]
        fn escaping_leaves_nothing_hidden_and_loses_nothing(
            text in prop_oneof![any::<String>(), tricky()], columns in 0usize..40,
        ) {
            let once = Safe::from_untrusted(&text);
            let clean = |text: &str| text.chars().all(|c| !is_hidden(c) || matches!(c, '\u{200d}' | '\u{fe0f}'));
            prop_assert!(clean(once.as_str()));
            prop_assert_eq!(unescaped(once.as_str()), text.clone());
            prop_assert_eq!(unescaped(&escape_for_file(&text)), text.clone());
            prop_assert_eq!(&Safe::composed(once.as_str()), &once);
            let composed = Safe::composed(&text);
            prop_assert!(clean(composed.as_str()));
            prop_assert_eq!(&Safe::composed(composed.as_str()), &composed);
            prop_assert!(once.cut_end(columns).width() <= columns);
            prop_assert!(once.cut_middle(columns).width() <= columns);
        }

        #[test]
        fn different_texts_are_shown_differently(a in tricky(), b in tricky()) {
            prop_assert_eq!(a == b, safe(&a) == safe(&b));
        }

        #[test]
        fn escaped_json_is_one_line_and_reads_the_same(key in tricky(), value in any::<String>(), kept in any::<bool>()) {
            let whole = serde_json::json!({ &key: [value, 1, null] });
            let joiners = if kept { Joiners::Kept } else { Joiners::Escaped };
            for text in [whole.to_string(), serde_json::to_string_pretty(&whole).unwrap()] {
                let line = escape_json(&text, joiners);
                let shown = |c| !is_hidden(c) || matches!(c, '\u{200c}' | '\u{200d}');
                prop_assert!(line.chars().all(shown));
                if text.bytes().all(|byte| byte >= b' ') {
                    prop_assert_eq!(escape_json_line(&text, joiners), escape_json_lines(&text, joiners));
                }
                prop_assert_eq!(&serde_json::from_str::<serde_json::Value>(&line).unwrap(), &whole);
            }
        }
    }

    #[test]
    fn digits_stand_in_groups_of_three() {
        let groups = [0, 999, 1000, 999_999, 1_204_331].map(grouped);
        assert_eq!(groups, ["0", "999", "1 000", "999 999", "1 204 331"]);
    }
}
