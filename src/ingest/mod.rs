//! Audit logs from files: what a foreign record becomes ([`SourceFormat`]), how files are read ([`Input`]), and how
//! their events get into the database ([`load()`]).
//!
//! ```text
//! file ─► decompress ─► records ─► events ──(batches, bounded channel)──► Writer ─► fates ─► report
//!         └─────────── one thread, no async ───────────┘                └────── async ──────┘
//! ```

mod agenttrace;
mod cloudtrail;
mod format;
mod input;
mod load;
mod reader;
mod record;
mod rejects;
mod split;

pub use format::SourceFormat;
pub use input::Input;
pub use load::{Halt, Observer, Outcome, Report, Settings, Sink, SourceFailure, load};
pub use rejects::{Original, RejectedRecord, RejectsFile};

use crate::domain::{ColumnError, NewEvent, OrgId};
use crate::store::writer::PreservedEvent;
use std::fmt;

/// Why a record is no event; the words follow its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject(String);

impl Reject {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<ColumnError> for Reject {
    fn from(e: ColumnError) -> Self {
        Self(e.to_string())
    }
}

/// What the user has said about all records.
#[derive(Debug, Clone, Default)]
pub struct Mapping {
    /// Whose the events are; without it the records say.
    pub organization: Option<OrgId>,
    /// Keep hash, previous hash and organisation as the records give them.
    pub preserve_chain: bool,
}

/// A record as an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mapped {
    /// To be chained.
    New(NewEvent),
    /// With its own place in a chain.
    Preserved(PreservedEvent),
}

impl Mapped {
    pub(crate) fn organization(&self) -> &OrgId {
        match self {
            Self::New(event) => &event.organization_id,
            Self::Preserved(kept) => &kept.event.organization_id,
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
