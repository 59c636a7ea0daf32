//! Audit logs from files: what a foreign record becomes ([`SourceFormat`]), how files are read ([`Input`]), and how
//! their events get into the database ([`load()`]).
//!
//! ```text
//! file ─► decompress ─► records ─► events ──(batches, bounded channel)──► Writer ─► fates ─► report
//!         └─────────── one thread, no async ───────────┘                └────── async ──────┘
//! ```

mod address;
mod agenttrace;
mod archive;
mod audit_writer;
mod azure;
mod cloudtrail;
mod compressed;
mod csv;
mod declared;
mod draft;
mod follow;
mod format;
mod gcp;
mod github;
mod input;
mod kind;
#[cfg(test)]
mod kind_tests;
mod kubernetes;
mod load;
mod message;
mod microsoft365;
mod okta;
mod opening;
mod preview;
mod reader;
mod record;
mod rejects;
#[cfg(test)]
mod source_tests;
mod split;
mod time;
mod workspace;

pub use audit_writer::{AppendError, AuditSettings, AuditWriter, Fates, Metrics, Receipt};
pub use declared::Declared;
pub use follow::{Memory, Standing};
pub use format::{FORMATS, Format, SourceFormat};
pub use input::{Input, Source};
pub use kind::{Kind, page};
pub use load::{Halt, Observer, Outcome, Report, Settings, Sink, SourceFailure, load};
pub use preview::{Mapping as ColumnMapping, Preview};
pub use reader::no_chain;
pub use rejects::{Original, RejectedRecord, RejectsFile};

use crate::domain::{ColumnError, NewEvent, OrgId, Timestamp};
use crate::store::writer::PreservedEvent;
use chrono_tz::Tz;
use std::fmt;
use std::sync::Arc;

/// Why a record is no event; the words follow its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    reason: String,
    /// Where in its text it is no JSON: line and column from 1.
    at: Option<(u64, u64)>,
}

impl Reject {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), at: None }
    }

    /// In a text that begins at a line and column of its file.
    pub(crate) fn in_text_at(self, line: u64, column: u64) -> Self {
        let at = self.at.map(|(l, c)| (line + l - 1, if l == 1 { column + c - 1 } else { c }));
        Self { at, ..self }
    }

    /// Inside a text that is itself a value of a record.
    pub(crate) fn in_wrapper(self) -> Self {
        let reason =
            if self.at.is_some() { format!("{self} (of the text in its wrapper)") } else { self.reason };
        Self { reason, at: None }
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at {
            Some((line, column)) => {
                write!(f, "not valid JSON at line {line}, column {column}: {}", self.reason)
            }
            None => f.write_str(&self.reason),
        }
    }
}

impl From<ColumnError> for Reject {
    fn from(e: ColumnError) -> Self {
        Self::new(e.to_string())
    }
}

/// What the user has said about all records.
#[derive(Debug, Clone, Default)]
pub struct Mapping {
    /// Whose the events are; without it the records say.
    pub organization: Option<OrgId>,
    /// Keep hash, previous hash and organisation as the records give them.
    pub preserve_chain: bool,
    /// The zone of times that name none; without it they are refused, unless their format says which it is.
    pub zone: Option<Tz>,
    /// The time of records that have none; without it they are refused.
    pub default_time: Option<Timestamp>,
    /// What a mapping file says; the format is then [`Format::declared`].
    pub declared: Option<Arc<Declared>>,
}

impl Mapping {
    /// The time of a member; `own` is the zone that the format is known to mean where a time names none.
    fn time(&self, key: &str, text: &str, own: Option<Tz>) -> Result<time::Moment, Reject> {
        time::read(text, self.zone.or(own)).map_err(|e| Reject::new(format!("{key}: {e}")))
    }
}

/// A record as an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mapped {
    pub(crate) event: Incoming,
    /// Its time stood in a leap second.
    pub(crate) leap_second: bool,
}

/// An event on its way into the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Incoming {
    /// To be chained.
    New(NewEvent),
    /// With its own place in a chain.
    Preserved(PreservedEvent),
}

impl Mapped {
    /// An event to be chained.
    pub(crate) fn new(event: NewEvent) -> Self {
        Self { event: Incoming::New(event), leap_second: false }
    }

    pub(crate) fn organization(&self) -> &OrgId {
        match &self.event {
            Incoming::New(event) => &event.organization_id,
            Incoming::Preserved(kept) => &kept.event.organization_id,
        }
    }
}

/// Where a record begins in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Line, from 1.
    pub line: u64,
    /// Number in its document, from 1, when the file is one JSON document and not one record a line.
    pub element: Option<u64>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.element {
            None => write!(f, "{}", self.line),
            Some(n) => write!(f, "{} (record {n})", self.line),
        }
    }
}
