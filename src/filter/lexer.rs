//! Pieces of a filter with their places. What a piece means depends on where it stands (`-7d` is a time behind
//! `since:`), so the parser asks for the kind of piece it needs.

use super::error::FilterError;
use super::path;
use std::ops::Range;

/// The operators, longer ones before those they begin with. A colon before another operator says nothing more.
const OPERATORS: &[(&str, Operator)] = &[
    (":!=", Operator::IsNot),
    (":>=", Operator::AtLeast),
    (":<=", Operator::AtMost),
    (":>", Operator::Above),
    (":<", Operator::Below),
    (":", Operator::Is),
    ("!=", Operator::IsNot),
    (">=", Operator::AtLeast),
    ("<=", Operator::AtMost),
    ("=", Operator::Is),
    (">", Operator::Above),
    ("<", Operator::Below),
    ("~", Operator::Contains),
];

/// More bytes than any word has that means something by itself.
const LONGEST_WORD: usize = 256;

/// What stands between a field and its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Is,
    IsNot,
    AtLeast,
    AtMost,
    Above,
    Below,
    Contains,
}

/// A value as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scalar {
    /// Without quotes and without the star of a prefix.
    pub(super) text: String,
    /// In quotes: never a keyword.
    pub(super) quoted: bool,
    /// Followed by `*`.
    pub(super) starred: bool,
    pub(super) span: Range<usize>,
}

impl Scalar {
    /// The bare word `*`.
    pub(super) fn is_star(&self) -> bool {
        !self.quoted && self.starred && self.text.is_empty()
    }

    /// The bare word, in either case.
    pub(super) fn is_word(&self, word: &str) -> bool {
        !self.quoted && !self.starred && self.text.eq_ignore_ascii_case(word)
    }
}

#[derive(Debug, Clone)]
pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    pub(super) fn position(&self) -> usize {
        self.at
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// A part of the filter.
    pub(super) fn slice(&self, span: Range<usize>) -> &'a str {
        self.text.get(span).unwrap_or_default()
    }

    /// Goes on behind a word that [`Self::word`] has shown.
    pub(super) fn skip_to(&mut self, end: usize) {
        self.at = end;
    }

    pub(super) fn is_at(&self, wanted: &str) -> bool {
        self.rest().starts_with(wanted)
    }

    /// Skips blanks; whether there were any.
    pub(super) fn blanks(&mut self) -> bool {
        let rest = self.rest();
        let trimmed = rest.trim_start();
        self.at += rest.len() - trimmed.len();
        trimmed.len() < rest.len()
    }

    /// Takes `wanted` if it stands here.
    pub(super) fn take(&mut self, wanted: &str) -> bool {
        let there = self.is_at(wanted);
        if there {
            self.at += wanted.len();
        }
        there
    }

    /// What stands here up to the next blank, without taking it: its beginning, where it is longer than any name, so that
    /// a look ahead takes no longer in a long text.
    pub(super) fn word(&self) -> (&'a str, Range<usize>) {
        let rest = self.rest();
        let head = &rest[..rest.floor_char_boundary(LONGEST_WORD)];
        let word = head.split(char::is_whitespace).next().unwrap_or_default();
        (word, self.at..self.at + word.len())
    }

    /// Takes the next word and the `in` behind it, as in `actor in @file`.
    pub(super) fn membership(&mut self) -> Option<(&'a str, Range<usize>)> {
        let mut ahead = self.clone();
        let (word, span) = ahead.word();
        ahead.at = span.end;
        (ahead.blanks() && ahead.keyword("in")).then(|| {
            *self = ahead;
            (word, span)
        })
    }

    /// Takes `keyword` if it is the whole next word, in either case.
    pub(super) fn keyword(&mut self, keyword: &str) -> bool {
        let (Some(head), Some(behind)) = (self.rest().get(..keyword.len()), self.rest().get(keyword.len()..))
        else {
            return false;
        };
        // `NOT(` is a keyword too.
        let ends = behind.chars().next().is_none_or(|c| c.is_whitespace() || matches!(c, '(' | ')'));
        let there = ends && head.eq_ignore_ascii_case(keyword);
        if there {
            self.at += keyword.len();
        }
        there
    }

    /// Takes the name of a field or path if an operator follows it. Keys of a path may be in quotes behind a dot.
    pub(super) fn name(&mut self) -> Option<(&'a str, Range<usize>)> {
        let rest = self.rest();
        let end = path_length(rest, false);
        let (name, after) = rest.split_at(end);
        if name.is_empty()
            || name.starts_with('-')
            || !OPERATORS.iter().any(|(text, _)| after.starts_with(text))
        {
            return None;
        }
        let span = self.at..self.at + end;
        self.at = span.end;
        Some((name, span))
    }

    /// Takes a path that stands as a value; empty where there is none.
    pub(super) fn path(&mut self) -> (&'a str, Range<usize>) {
        let rest = self.rest();
        let end = path_length(rest, true);
        let span = self.at..self.at + end;
        self.at = span.end;
        (&rest[..end], span)
    }

    /// Takes the operator that [`Self::name`] has seen.
    pub(super) fn operator(&mut self) -> Operator {
        let found = OPERATORS.iter().find(|(text, _)| self.rest().starts_with(text));
        let (text, operator) = found.copied().unwrap_or(("", Operator::Is));
        self.at += text.len();
        operator
    }

    /// Whether the value that stands here is a change: `->` follows it, or begins it.
    pub(super) fn is_change(&self) -> bool {
        let mut ahead = self.clone();
        if !ahead.is_at("->") && ahead.scalar().is_err() {
            return false;
        }
        ahead.is_at("->")
    }

    /// Refuses what follows the end of a value and is no part of it.
    pub(super) fn end_of_value(&self) -> Result<(), FilterError> {
        let Some(c) = self.peek() else { return Ok(()) };
        if c.is_whitespace() || matches!(c, ',' | ')') {
            return Ok(());
        }
        let (length, what, hint) = if self.is_at("->") {
            (2, "a change (old->new) does not stand here", "put the value in quotes if it has '->' in it")
        } else if self.is_at("..") {
            (2, "a range (a..b) does not stand here", "put the value in quotes if it has '..' in it")
        } else {
            (
                c.len_utf8(),
                "a value ends here, but something follows",
                "put a blank between terms, and the whole value in quotes if this belongs to it",
            )
        };
        Err(FilterError::new(self.at..self.at + length, what).hint(hint))
    }

    /// Takes a value; what may follow it is for [`Self::end_of_value`].
    pub(super) fn scalar(&mut self) -> Result<Scalar, FilterError> {
        let start = self.at;
        let (text, quoted) =
            if self.peek() == Some('"') { (self.quoted()?, true) } else { (self.bare()?, false) };
        let (text, starred) = match text.strip_suffix('*') {
            Some(head) if !quoted => (head.to_owned(), true),
            _ => (text, quoted && self.take("*")),
        };
        let span = start..self.at;
        if !quoted && text.contains('*') {
            return Err(FilterError::new(span, "'*' stands for any text at the end of a value only")
                .hint("put the value in quotes if it has a star in it"));
        }
        if text.contains('\0') {
            return Err(FilterError::new(span, "the character U+0000 is in no value of the table"));
        }
        Ok(Scalar { text, quoted, starred, span })
    }

    fn bare(&mut self) -> Result<String, FilterError> {
        let rest = self.rest();
        // The signs are looked for within the value only, not in all that follows.
        let end = rest.find(|c: char| c.is_whitespace() || matches!(c, ',' | '(' | ')' | '"'));
        let text = &rest[..end.unwrap_or(rest.len())];
        let end = [text.find("->"), text.find("..")].into_iter().flatten().min().unwrap_or(text.len());
        let text = &text[..end];
        let span = self.at..self.at + end;
        if text.is_empty() {
            return Err(match self.peek() {
                Some('(') => {
                    FilterError::new(self.at..self.at + 1, "a value cannot begin with a parenthesis")
                        .hint("any of several values is written a,b")
                }
                _ => FilterError::new(span.clone(), "a value is missing here")
                    .hint("write null for 'no value', * for 'any value', \"\" for the empty text"),
            });
        }
        if text.starts_with('@') {
            return Err(FilterError::new(span, "a bare value cannot begin with '@'").hint(
                "a list from a file is written field in @file; put the value in quotes if it begins with '@'",
            ));
        }
        if let Some(at) = text.find(['[', ']', '{', '}']) {
            return Err(FilterError::new(
                span.start + at..span.start + at + 1,
                "a bare value has no brackets",
            )
            .hint("put the value in quotes"));
        }
        if text.starts_with([':', '=', '<', '>', '~', '/']) {
            return Err(FilterError::new(
                span.start..span.start + 1,
                "a bare value cannot begin with this character",
            )
            .hint("put the value in quotes"));
        }
        self.at = span.end;
        Ok(text.to_owned())
    }

    /// Takes a text in quotes.
    pub(super) fn quoted(&mut self) -> Result<String, FilterError> {
        let (text, length) = path::unquote(self.rest(), self.at)?;
        self.at += length;
        Ok(text)
    }

    /// Takes the name of a file behind `@`, bare or in quotes.
    pub(super) fn file(&mut self) -> Result<(String, Range<usize>), FilterError> {
        let start = self.at;
        let name = if self.peek() == Some('"') {
            self.quoted()?
        } else {
            let rest = self.rest();
            let end = rest.find(|c: char| c.is_whitespace() || matches!(c, ',' | '(' | ')' | '"'));
            let name = &rest[..end.unwrap_or(rest.len())];
            self.at += name.len();
            name.to_owned()
        };
        let span = start..self.at;
        if name.is_empty() {
            return Err(FilterError::new(span, "the name of a file is missing here"));
        }
        Ok((name, span))
    }

    /// Takes a regular expression with its slashes: the pattern, and whether an `i` follows.
    pub(super) fn regex(&mut self) -> Result<(String, bool), FilterError> {
        let start = self.at;
        let mut pattern = String::new();
        let mut chars = self.rest().char_indices().skip(1);
        while let Some((offset, c)) = chars.next() {
            match c {
                '/' => {
                    self.at = start + offset + 1;
                    return Ok((pattern, self.take("i")));
                }
                '\\' => match chars.next() {
                    Some((_, '/')) => pattern.push('/'),
                    Some((_, escaped)) => pattern.extend(['\\', escaped]),
                    None => break,
                },
                c => pattern.push(c),
            }
        }
        Err(FilterError::new(start..start + 1, "this regular expression is never closed")
            .hint("write /pattern/, or put the text in quotes to search for a word that begins with '/'"))
    }
}

/// Bytes of the path at the beginning of `text`. As a value it may begin with a quoted key.
fn path_length(text: &str, is_value: bool) -> usize {
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let behind_dot = text[..at].ends_with('.') || is_value && at == 0;
        if path::is_bare(c) && !text[at..].starts_with("->") || matches!(c, '.' | '*' | '[' | ']') {
            at += c.len_utf8();
        } else if c == '"'
            && behind_dot
            && let Ok((_, length)) = path::unquote(&text[at..], at)
        {
            at += length;
        } else {
            break;
        }
    }
    at
}
