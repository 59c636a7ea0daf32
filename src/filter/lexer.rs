//! Pieces of a filter with their places. What a piece means depends on where it stands (`-7d` is a time behind
//! `since:`), so the parser asks for the kind of piece it needs.

use super::error::FilterError;
use std::ops::Range;

/// The operators, longer ones before those they begin with.
const OPERATORS: &[(&str, Operator)] = &[
    (":", Operator::Is),
    ("!=", Operator::IsNot),
    (">=", Operator::AtLeast),
    ("<=", Operator::AtMost),
    ("=", Operator::Is),
    (">", Operator::Above),
    ("<", Operator::Below),
    ("~", Operator::Contains),
];

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

#[derive(Debug)]
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

    /// Skips blanks; whether there were any.
    pub(super) fn blanks(&mut self) -> bool {
        let rest = self.rest();
        let trimmed = rest.trim_start();
        self.at += rest.len() - trimmed.len();
        trimmed.len() < rest.len()
    }

    /// Takes `wanted` if it stands here.
    pub(super) fn take(&mut self, wanted: &str) -> bool {
        let there = self.rest().starts_with(wanted);
        if there {
            self.at += wanted.len();
        }
        there
    }

    /// What stands here up to the next blank, without taking it.
    pub(super) fn word(&self) -> (&'a str, Range<usize>) {
        let word = self.rest().split(char::is_whitespace).next().unwrap_or_default();
        (word, self.at..self.at + word.len())
    }

    /// Whether the word after the next one is `in`, as in `actor in @file`.
    pub(super) fn is_membership(&self) -> bool {
        self.rest().split_whitespace().nth(1).is_some_and(|w| w.eq_ignore_ascii_case("in"))
    }

    /// Takes `keyword` if it is the whole next word, in either case.
    pub(super) fn keyword(&mut self, keyword: &str) -> bool {
        let (word, span) = self.word();
        // `NOT(` is a keyword too.
        let word = word.split('(').next().unwrap_or_default();
        let there = word.eq_ignore_ascii_case(keyword);
        if there {
            self.at = span.start + word.len();
        }
        there
    }

    /// Takes the name of a field or path if an operator follows it.
    pub(super) fn name(&mut self) -> Option<(&'a str, Range<usize>)> {
        let rest = self.rest();
        let end = rest
            .find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '*' | '[' | ']')))
            .unwrap_or(rest.len());
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

    /// Takes the operator that [`Self::name`] has seen.
    pub(super) fn operator(&mut self) -> Operator {
        let found = OPERATORS.iter().find(|(text, _)| self.rest().starts_with(text));
        let (text, operator) = found.copied().unwrap_or(("", Operator::Is));
        self.at += text.len();
        operator
    }

    /// Takes a value.
    pub(super) fn scalar(&mut self) -> Result<Scalar, FilterError> {
        let start = self.at;
        let (text, quoted) =
            if self.peek() == Some('"') { (self.quoted()?, true) } else { (self.bare()?, false) };
        let (text, starred) = match text.strip_suffix('*') {
            Some(head) if !quoted => (head.to_owned(), true),
            _ => (text, quoted && self.take("*")),
        };
        let span = start..self.at;
        match self.peek() {
            None | Some(',' | ')') => {}
            Some(c) if c.is_whitespace() => {}
            Some(c) => {
                return Err(FilterError::new(
                    self.at..self.at + c.len_utf8(),
                    "a value ends here, but something follows",
                )
                .hint("put a blank between terms, and the whole value in quotes if this belongs to it"));
            }
        }
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
        let end = rest
            .find(|c: char| c.is_whitespace() || matches!(c, ',' | '(' | ')' | '"'))
            .unwrap_or(rest.len());
        let text = &rest[..end];
        let span = self.at..self.at + end;
        let not_yet = |what: &str| FilterError::new(span.clone(), format!("{what} are not yet available"));
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
        if text.contains("->") {
            return Err(
                not_yet("change predicates (old->new)").hint("put the value in quotes if it has '->' in it")
            );
        }
        if text.contains("..") {
            return Err(not_yet("ranges (a..b)").hint("put the value in quotes if it has '..' in it"));
        }
        if text.starts_with('@') {
            return Err(
                not_yet("lists from a file (@file)").hint("put the value in quotes if it begins with '@'")
            );
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

    fn quoted(&mut self) -> Result<String, FilterError> {
        let start = self.at;
        let mut text = String::new();
        let mut chars = self.rest().char_indices().skip(1);
        while let Some((offset, c)) = chars.next() {
            match c {
                '"' => {
                    self.at = start + offset + 1;
                    return Ok(text);
                }
                '\\' => match chars.next() {
                    Some((_, escaped @ ('"' | '\\'))) => text.push(escaped),
                    _ => {
                        let at = start + offset;
                        return Err(FilterError::new(
                            at..at + 1,
                            "a backslash in quotes stands before \" or \\ only",
                        )
                        .hint("write \\\\ for a backslash"));
                    }
                },
                c => text.push(c),
            }
        }
        Err(FilterError::new(start..start + 1, "this quotation mark is never closed"))
    }
}
