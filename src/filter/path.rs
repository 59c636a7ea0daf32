//! Paths into a state: `mfa.enabled`, `roles[0]`, `"a key".x`, and `**.role` at any depth.

use super::error::FilterError;
use std::fmt;
use std::ops::Range;

/// A place in a JSON state. Without steps it is the whole state, written `*`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Path {
    /// Begins at any object of the state (`**.`), not only at its root.
    pub anywhere: bool,
    /// From there.
    pub steps: Vec<Step>,
}

/// One step of a [`Path`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// To the member of an object.
    Key(String),
    /// To the element of an array, from 0.
    Index(u32),
}

/// Most steps of a path.
const LONGEST: usize = 64;

impl Path {
    /// Reads a path that stands at `at` in the filter.
    pub(super) fn parse(text: &str, at: usize) -> Result<Self, FilterError> {
        let mut reader = Reader { text, at: 0, base: at };
        if text == "*" {
            return Ok(Self::default());
        }
        let anywhere = reader.take("**.");
        let mut steps = vec![reader.key()?];
        loop {
            if reader.take("[") {
                steps.push(reader.index()?);
            } else if reader.take(".") {
                steps.push(reader.key()?);
            } else if reader.rest().is_empty() {
                break;
            } else {
                return Err(reader.error("a path goes on with '.' or '[' here"));
            }
        }
        if steps.len() > LONGEST {
            return Err(FilterError::new(
                at..at + text.len(),
                format!("a path has at most {LONGEST} steps, this one has {}", steps.len()),
            ));
        }
        Ok(Self { anywhere, steps })
    }

    /// The first key, if the path begins with one at the root.
    pub fn root(&self) -> Option<&str> {
        match self.steps.first() {
            Some(Step::Key(key)) if !self.anywhere => Some(key),
            _ => None,
        }
    }

    /// Whether it is the whole state.
    pub fn is_whole(&self) -> bool {
        self.steps.is_empty()
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    /// Where the path begins in the filter.
    base: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn take(&mut self, wanted: &str) -> bool {
        let there = self.rest().starts_with(wanted);
        self.at += if there { wanted.len() } else { 0 };
        there
    }

    /// An error about the next character.
    fn error(&self, message: &str) -> FilterError {
        let start = self.base + self.at;
        let length = self.rest().chars().next().map_or(0, char::len_utf8);
        FilterError::new(start..start + length, message)
            .hint("write role, mfa.enabled, roles[0], \"a key\".x, or **.role at any depth")
    }

    fn key(&mut self) -> Result<Step, FilterError> {
        if self.rest().starts_with('"') {
            let (key, length) = unquote(self.rest(), self.base + self.at)?;
            self.at += length;
            return if key.contains('\0') {
                Err(self.error("the character U+0000 is in no key of the table"))
            } else {
                Ok(Step::Key(key))
            };
        }
        let rest = self.rest();
        let end = rest.find(|c: char| !is_bare(c)).unwrap_or(rest.len());
        if end == 0 {
            return Err(self.error("a key of the path is missing here"));
        }
        self.at += end;
        Ok(Step::Key(rest[..end].to_owned()))
    }

    fn index(&mut self) -> Result<Step, FilterError> {
        let rest = self.rest();
        let digits = rest.find(']').map_or("", |end| &rest[..end]);
        match digits.parse() {
            // Beyond this PostgreSQL takes it for no index.
            Ok(index) if i32::try_from(index).is_ok() && digits.bytes().all(|b| b.is_ascii_digit()) => {
                self.at += digits.len() + 1;
                Ok(Step::Index(index))
            }
            _ => Err(self.error("in brackets stands the number of an element, from 0")),
        }
    }
}

/// Whether a character can stand in a key without quotes.
pub(super) fn is_bare(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-')
}

/// Reads the quoted text at the beginning of `text`: what it says, and its length with the quotes. `at` is its place
/// in the filter.
pub(super) fn unquote(text: &str, at: usize) -> Result<(String, usize), FilterError> {
    let mut said = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((offset, c)) = chars.next() {
        match c {
            '"' => return Ok((said, offset + 1)),
            '\\' => match chars.next() {
                Some((_, escaped @ ('"' | '\\'))) => said.push(escaped),
                _ => {
                    let place: Range<usize> = at + offset..at + offset + 1;
                    return Err(FilterError::new(place, "a backslash in quotes stands before \" or \\ only")
                        .hint("write \\\\ for a backslash"));
                }
            },
            c => said.push(c),
        }
    }
    Err(FilterError::new(at..at + 1, "this quotation mark is never closed"))
}

/// A text in quotes, as `unquote` reads it.
pub fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_whole() {
            return f.write_str("*");
        }
        f.write_str(if self.anywhere { "**." } else { "" })?;
        for (n, step) in self.steps.iter().enumerate() {
            match step {
                Step::Key(key) => {
                    f.write_str(if n > 0 { "." } else { "" })?;
                    // A hyphen at the end would make an arrow of a `>` behind it.
                    let bare = !key.is_empty() && key.chars().all(is_bare) && !key.ends_with('-');
                    if bare { f.write_str(key)? } else { f.write_str(&quoted(key))? }
                }
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}
