//! What is asked of the events, and the shape of an answer: queries, places in a list, pages, counts.

use crate::domain::{EventKey, EventRow, OrgScope, TimeRange, Timestamp};
use crate::filter::Filter;
use std::time::Duration;

/// What is asked for: one organisation, a filter, and bounds that were frozen when the filter was run.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// The organisation.
    pub scope: OrgScope,
    /// The predicate; its time terms have already become `range`.
    pub filter: Filter,
    /// Absolute bounds.
    pub range: TimeRange,
}

/// Where a page begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seek {
    /// The newest events.
    Newest,
    /// The oldest events.
    Oldest,
    /// Events just older than this one.
    OlderThan(EventKey),
    /// This event, if the query has it, and those just older.
    AtOrOlderThan(EventKey),
    /// Events just newer than this one.
    NewerThan(EventKey),
    /// Events at or before an instant.
    AtOrBefore(Timestamp),
}

impl Seek {
    /// Whether the rows are fetched oldest first.
    pub(in crate::store) fn is_ascending(&self) -> bool {
        matches!(self, Self::Oldest | Self::NewerThan(_))
    }
}

/// A page: always newest first, whatever the direction in which it was fetched.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T = EventRow> {
    /// The rows: [`EventRow`]s, which are without states, or whole [`crate::domain::Event`]s.
    pub rows: Vec<T>,
    /// Whether the query has older rows than the last one here.
    pub has_older: bool,
    /// Whether the query has newer rows than the first one here.
    pub has_newer: bool,
    /// Set when no index serves the whole filter, so that events had to be looked at one by one.
    pub looked: Option<Looked>,
}

/// How far a walk past events that do not match has come.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Looked {
    /// Events that were looked at before the last, unfinished piece.
    pub events: u64,
    /// How much of the table has been read, where all of it has to be because no index knows the time.
    pub percent: Option<u8>,
    /// Matching rows among them.
    pub found: usize,
    /// The place behind which the walk goes on; `None` at its end, and while a table without an index is read.
    pub resume: Option<EventKey>,
    /// An index on words finds events in whole intervals; only the first ones are looked at one by one.
    pub by_words: bool,
}

/// How long a walk past events that do not match may take, and who is told how far it has come.
#[derive(Clone, Copy, Default)]
pub struct Pace<'a> {
    /// A page that is not full after this time is returned as it is, with [`Looked::resume`]; `None`: at the end only.
    pub patience: Option<Duration>,
    /// Told after each piece.
    pub progress: Option<&'a (dyn Fn(&Looked) + Send + Sync)>,
}

/// A number of events and how far it can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// Counted.
    Exact(u64),
    /// Guessed by the planner; shown with `~`, never 0.
    Estimate(u64),
    /// Counting was stopped at this many.
    AtLeast(u64),
    /// Neither counted nor guessed.
    Unknown,
}

impl Count {
    /// The name of the kind in machine-readable output: `exact`, `estimate`, `at_least`, `unknown`.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Exact(_) => "exact",
            Self::Estimate(_) => "estimate",
            Self::AtLeast(_) => "at_least",
            Self::Unknown => "unknown",
        }
    }

    /// The number, if there is one.
    pub fn value(self) -> Option<u64> {
        match self {
            Self::Exact(n) | Self::Estimate(n) | Self::AtLeast(n) => Some(n),
            Self::Unknown => None,
        }
    }
}
