//! The one way events get in: chained per organisation under the head's lock, by COPY, in one transaction a batch.

use super::{StoreError, WriteDb};
use crate::domain::{ColumnError, NewEvent, OrgId};

/// An event that brings its own place in a chain (evidence from elsewhere).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreservedEvent {
    /// The 20 columns.
    pub event: NewEvent,
    /// Stored as given.
    pub hash: String,
    /// Stored as given.
    pub previous_hash: String,
}

/// What became of one event of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// Written.
    Stored,
    /// The same event is there already.
    Duplicate,
    /// Another event with this id is there already.
    Conflict,
    /// The table cannot hold it.
    Rejected(ColumnError),
}

/// Why a batch could not be written; nothing of it was.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The chain has another head than the writer's record, or several.
    #[error("the chain of organisation '{organization}' does not end where the writer left it: {detail}")]
    ForeignHead {
        /// The organisation.
        organization: OrgId,
        /// What was found.
        detail: String,
        /// The heads that were found.
        heads: Vec<String>,
    },
}

/// Settings of a writer.
#[derive(Debug, Clone, Default)]
pub struct WriterSettings {
    /// Go on from this head although the table has another, or several.
    pub continue_from: Option<String>,
}

/// A writer with its connections.
#[derive(Debug)]
pub struct Writer {
    db: WriteDb,
    settings: WriterSettings,
}

impl Writer {
    /// A writer on a migrated database.
    pub fn new(db: WriteDb, settings: WriterSettings) -> Self {
        Self { db, settings }
    }

    /// Chains and stores events, in the order given within each organisation; the fates are in that order too.
    ///
    /// # Errors
    /// Nothing of the batch of the organisation that failed was stored.
    pub async fn append(&mut self, events: Vec<NewEvent>) -> Result<Vec<Fate>, WriteError> {
        todo!()
    }

    /// Stores events with the hashes they bring.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub async fn preserve(&mut self, events: Vec<PreservedEvent>) -> Result<Vec<Fate>, WriteError> {
        todo!()
    }
}
