//! What a column is made of.

use super::path::Path;
use crate::ingest::draft::{at, text_at, text_of};
use serde_json::Value;
use std::fmt;

/// Choices; the first that has a value for a record is taken.
#[derive(Debug, Clone, Default)]
pub(super) struct Rule(pub(super) Vec<Choice>);

/// One way to a value.
#[derive(Debug, Clone)]
pub(super) enum Choice {
    /// The same for all records.
    Value(String),
    /// Texts and members, one behind the other; nothing where a member is absent.
    Text(Vec<Piece>),
    /// A member of the record, what is done with it, and what a value stands for.
    From {
        paths: Vec<Path>,
        /// A port behind an address is taken off, however the address is written.
        port: bool,
        /// What stands behind this, and the text itself, is taken off.
        before: Option<String>,
        /// Values, with `*` for any beginning or end, and what they stand for.
        table: Option<Vec<(String, String)>>,
        /// What any other value stands for, and none.
        default: Option<String>,
    },
}

/// A part of a text.
#[derive(Debug, Clone)]
pub(super) enum Piece {
    Literal(String),
    Member(Path),
}

impl Rule {
    /// The value for a record.
    pub(super) fn of(&self, root: &Value) -> Option<String> {
        self.0.iter().find_map(|choice| choice.of(root))
    }
}

impl fmt::Display for Rule {
    /// Where it looks.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut places: Vec<String> = Vec::new();
        for choice in &self.0 {
            match choice {
                Choice::Value(_) => {}
                Choice::Text(pieces) => places.extend(pieces.iter().filter_map(|piece| match piece {
                    Piece::Member(path) => Some(path.to_string()),
                    Piece::Literal(_) => None,
                })),
                Choice::From { paths, .. } => places.extend(paths.iter().map(Path::to_string)),
            }
        }
        f.write_str(&places.join(", "))
    }
}

impl Choice {
    fn of(&self, root: &Value) -> Option<String> {
        match self {
            Self::Value(text) => Some(text.clone()),
            Self::Text(pieces) => pieces
                .iter()
                .map(|piece| match piece {
                    Piece::Literal(text) => Some(text.clone()),
                    Piece::Member(path) => text_at(root, &[path.inner()]),
                })
                .collect(),
            Self::From { paths, port, before, table, default } => {
                let found = paths.iter().find_map(|path| scalar(root, path));
                let found = found.map(|text| if *port { without_port(&text).to_owned() } else { text });
                let found = found.map(|text| match before {
                    Some(mark) => text.split(mark.as_str()).next().unwrap_or(&text).to_owned(),
                    None => text,
                });
                let meant = match table {
                    None => found.filter(|text| !text.is_empty()),
                    Some(table) => found.and_then(|text| {
                        table.iter().find(|(pattern, _)| fits(pattern, &text)).map(|(_, word)| word.clone())
                    }),
                };
                meant.or_else(|| default.clone())
            }
        }
    }
}

/// A member as text; where it is a list, its first element.
fn scalar(root: &Value, path: &Path) -> Option<String> {
    match at(root, path.inner())? {
        Value::Array(elements) => elements.first().and_then(text_of),
        value => text_of(value),
    }
}

/// Whether a text is a pattern's, without case.
fn fits(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.to_lowercase(), text.to_lowercase());
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(_), Some(_)) if pattern.len() == 1 => true,
        (Some(inner), Some(_)) => text.contains(inner.strip_suffix('*').unwrap_or(inner)),
        (Some(end), None) => text.ends_with(end),
        (None, Some(beginning)) => text.starts_with(beginning),
        (None, None) => text == pattern,
    }
}

/// An address that always has a port behind it, also an IPv6 address without brackets.
fn without_port(text: &str) -> &str {
    match text.rsplit_once(':') {
        Some((host, port)) if !text.ends_with(']') && port.parse::<u16>().is_ok() => {
            host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
        }
        _ => text,
    }
}
