//! Why a filter is refused, shown under the text itself.

use super::when::NoInstant;
use crate::domain::{Safe, Timestamp};
use std::fmt;
use std::ops::Range;

/// A filter that cannot be read, or says what is not available.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterError {
    message: String,
    hint: Option<String>,
    span: Range<usize>,
}

/// Time terms that leave no instant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// The bounds are the wrong way round, or the same.
    #[error("no time lies between since {since} and until {until}: since must be the earlier one")]
    Empty {
        /// Lower bound.
        since: Timestamp,
        /// Upper bound.
        until: Timestamp,
    },
    /// A local time that is no instant, or two.
    #[error("{0}: write it with its offset, such as 2026-10-25T02:30+01:00")]
    NoInstant(#[from] NoInstant),
    /// A regular expression without a lower bound.
    #[error(
        "a regular expression reads every event: say how far back, such as since:-7d, instead of all-time"
    )]
    Unbounded,
    /// `integrity:`, `is:` or `tag:` where nothing is known about it.
    #[error(
        "'{field}:' asks what is known on this machine, and here nothing is known about that yet: {}",
        remedy(field)
    )]
    NoFacts {
        /// The field.
        field: &'static str,
    },
    /// `around:` an event, or a number of events: only the database knows the bounds.
    #[error("the surroundings of an event are not looked up here")]
    Surroundings,
    /// Beyond the years a calendar knows.
    #[error("the time '{when}' is out of reach")]
    OutOfReach {
        /// As written.
        when: String,
    },
}

/// How something becomes known about what a local field asks.
fn remedy(field: &str) -> &'static str {
    match field {
        "integrity" => {
            "in the console V verifies the whole trail, and answers it then; on the command line agenttrace verify lists what is broken"
        }
        _ => "the case is not read yet, or cannot be used; agenttrace case show says why",
    }
}

impl FilterError {
    pub(super) fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, span }
    }

    #[must_use]
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Where in the text, in bytes. Empty at the end of a text that stops too early.
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// What is wrong, without the remedy. Safe for a terminal.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to write instead. Safe for a terminal.
    pub fn remedy(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The message, the filter with carets under the place, and the remedy: several lines, safe for a terminal.
    /// `text` is the filter the error is about.
    pub fn render(&self, text: &str) -> String {
        let part = |range: Range<usize>| Safe::composed(text.get(range).unwrap_or_default());
        let end = self.span.end.min(text.len());
        let (before, place, after) =
            (part(0..self.span.start), part(self.span.start..end), part(end..text.len()));
        let carets = "^".repeat(place.width().max(1));
        let mut out = format!(
            "{}\n  {before}{place}{after}\n  {:indent$}{carets}",
            self.message,
            "",
            indent = before.width()
        );
        if let Some(hint) = &self.hint {
            out.push_str("\n  ");
            out.push_str(hint);
        }
        out
    }
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, ": {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for FilterError {}
