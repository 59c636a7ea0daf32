//! JSON laid out for reading, on its text: no number, no escape and no order of keys changes, whatever PostgreSQL
//! stored. Lines beyond the limits are cut, and say so.

use crate::diff::rows::size;
use crate::domain::Safe;

/// How much is laid out; the rest is cut, and its size told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Maximum number of bytes of the text.
    pub bytes: usize,
    /// Maximum number of lines.
    pub lines: usize,
    /// Maximum number of bytes of one value.
    pub value: usize,
}

impl Limits {
    /// For a screen.
    pub const SCREEN: Self = Self { bytes: 1 << 20, lines: 20_000, value: 4_096 };
    /// Everything.
    pub const NONE: Self = Self { bytes: usize::MAX, lines: usize::MAX, value: usize::MAX };
}

/// Deepest indentation in columns.
const MAX_INDENT: usize = 40;

/// The lines of a JSON text, each token as it stands. The size of what is not shown stands on the last line.
pub fn pretty(text: &str, limits: Limits) -> Vec<Safe> {
    let mut layout = Layout { lines: Vec::new(), line: String::new(), depth: 0, limits };
    let mut rest = text;
    while let Some(token) = next_token(rest) {
        if layout.lines.len() >= limits.lines || text.len() - rest.len() >= limits.bytes {
            layout.end_line();
            let shown = text.len() - rest.len();
            let note = format!("… cut: {} of {} shown", size(shown), size(text.len()));
            layout.lines.push(Safe::composed(&note));
            return layout.lines;
        }
        let behind = &rest[token.len()..];
        layout.token(token, next_token(behind));
        rest = behind;
    }
    layout.end_line();
    layout.lines
}

struct Layout {
    lines: Vec<Safe>,
    line: String,
    depth: usize,
    limits: Limits,
}

impl Layout {
    fn token(&mut self, token: &str, next: Option<&str>) {
        match token {
            "{" | "[" => {
                self.line.push_str(token);
                self.depth += 1;
                if !matches!(next, Some("}" | "]")) {
                    self.end_line();
                }
            }
            "}" | "]" => {
                self.depth = self.depth.saturating_sub(1);
                if !self.line.ends_with(['{', '[']) {
                    self.end_line();
                }
                self.line.push_str(token);
            }
            "," => {
                self.line.push(',');
                self.end_line();
            }
            ":" => self.line.push_str(": "),
            blank if blank.trim_matches(WHITESPACE).is_empty() => {}
            value if value.len() > self.limits.value => {
                let mut end = self.limits.value;
                while !value.is_char_boundary(end) {
                    end -= 1;
                }
                self.line.push_str(&value[..end]);
                self.line.push_str("… +");
                self.line.push_str(&size(value.len() - end));
            }
            value => self.line.push_str(value),
        }
    }

    /// Ends a line that has something on it, and indents the next one.
    fn end_line(&mut self) {
        if !self.line.trim_start_matches(' ').is_empty() {
            self.lines.push(Safe::composed(&self.line));
        }
        self.line.clear();
        self.line.extend(std::iter::repeat_n(' ', (2 * self.depth).min(MAX_INDENT)));
    }
}

const WHITESPACE: &[char] = &[' ', '\t', '\n', '\r'];

/// The next punctuation mark, string, run of blanks, or other run (number, word), whatever the text is.
fn next_token(text: &str) -> Option<&str> {
    let first = text.chars().next()?;
    let end = match first {
        '{' | '}' | '[' | ']' | ',' | ':' => 1,
        '"' => string_end(text),
        c if WHITESPACE.contains(&c) => text.find(|c| !WHITESPACE.contains(&c)).unwrap_or(text.len()),
        _ => text
            .find(|c| matches!(c, '{' | '}' | '[' | ']' | ',' | ':' | '"') || WHITESPACE.contains(&c))
            .unwrap_or(text.len()),
    };
    Some(&text[..end])
}

fn string_end(text: &str) -> usize {
    let mut escaped = false;
    for (i, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return i + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(text: &str) -> String {
        pretty(text, Limits::NONE).iter().map(Safe::as_str).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn layout_keeps_every_digit_and_escape() {
        let text = r#"{"a": 1.10, "b": [1e400, {"c": "x\"y{,}\u0001"}, []], "d": {}, "e": null}"#;
        let expected = r#"{
  "a": 1.10,
  "b": [
    1e400,
    {
      "c": "x\"y{,}\u0001"
    },
    []
  ],
  "d": {},
  "e": null
}"#;
        assert_eq!(shown(text), expected);
        assert_eq!(
            shown("12345678901234567890.00000000000000000001"),
            "12345678901234567890.00000000000000000001"
        );
    }

    #[test]
    fn what_is_cut_is_announced() {
        let long = format!("{{\"k\": \"{}\"}}", "x".repeat(300_000));
        let lines = pretty(&long, Limits::SCREEN);
        assert_eq!(lines.len(), 3);
        assert!(lines[1].as_str().ends_with("… +295.9 kB"), "{}", &lines[1].as_str()[4_090..]);
        let many = format!("[{}1]", "1,".repeat(50_000));
        let lines = pretty(&many, Limits::SCREEN);
        assert_eq!(lines.len(), Limits::SCREEN.lines + 1);
        assert_eq!(lines[Limits::SCREEN.lines].as_str(), "… cut: 39.9 kB of 100.0 kB shown");
    }

    #[test]
    fn hostile_text_is_escaped() {
        assert_eq!(shown("\"a\u{1b}]52;c;x\u{7}\u{202e}\""), "\"a\\x1B]52;c;x\\x07\\u{202E}\"");
    }

    proptest! {
        #[test]
        fn nothing_but_layout_is_added(text in "[\\[\\]{},:\"\\\\a-c0-9. é\\n]{0,80}") {
            let compact = |s: &str| s.chars().filter(|c| !WHITESPACE.contains(c)).collect::<String>();
            // A line end inside a string is shown as an escape.
            let lines = shown(&text).replace("\\x0A", "");
            prop_assert_eq!(compact(&lines), compact(&text));
        }
    }
}
