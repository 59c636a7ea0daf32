//! The one way events get in: chained per organisation under the head's lock, by COPY, in one transaction a batch.
//!
//! A batch of an organisation is one READ COMMITTED transaction: lock the head's record, look for ids that are there
//! already, hold the record against the table, chain, COPY, record the new head, notify, commit. Whatever happens in
//! between, also to the program, either all of it is in the table or nothing.

mod batch;
mod bulk;
mod copy;
mod head;
mod original;
mod prepare;
mod rehearsal;
mod stored;

pub use bulk::BulkWriter;
pub use rehearsal::Rehearsal;

use super::{StoreError, WriteDb};
use crate::chain::{Canonicaliser, Limits};
use crate::domain::{ColumnError, NewEvent, OrgId};
use batch::{Batch, Link};
use head::Head;
use std::collections::{BTreeMap, HashMap};

/// The channel on which a committed batch wakes listeners up. The payload is empty: every listener of the database
/// sees it, whatever organisation it may look at.
pub const CHANNEL: &str = "agenttrace";

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
    /// The same original record is there already, mapped to columns by other rules; it stays as it is.
    MappedDifferently,
    /// Another event with this id is there already: the columns in which it differs.
    Conflict(Vec<String>),
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
        /// What was found, and what to do.
        detail: String,
        /// The heads that were found.
        heads: Vec<String>,
    },
}

/// What stops a batch.
#[derive(Debug)]
enum Failure {
    Sql(sqlx::Error),
    Store(StoreError),
    Foreign { detail: String, heads: Vec<String> },
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Failure {
    /// Whether another try may succeed: somebody else took an id (seen as a duplicate then), or a deadlock was broken.
    fn is_race(&self) -> bool {
        let Self::Sql(sqlx::Error::Database(e)) = self else { return false };
        matches!(e.code().as_deref(), Some("23505" | "40001" | "40P01"))
    }
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
    json: Canonicaliser,
    /// The heads this writer left.
    known: HashMap<OrgId, Head>,
    /// The heads this writer left are not looked up again: there are no indexes for that yet.
    trusting: bool,
}

impl Writer {
    /// A writer on a migrated database.
    pub fn new(db: WriteDb, settings: WriterSettings) -> Self {
        Self { db, settings, json: Canonicaliser::new(Limits::WRITE), known: HashMap::new(), trusting: false }
    }

    /// Chains and stores events, in the order given within each organisation; the fates are in that order too.
    ///
    /// Organisations are written one after the other, each in a transaction of its own.
    ///
    /// # Errors
    /// Nothing of the batch of the organisation that failed was stored. Organisations before it (in byte order) were;
    /// the same call again reports them as duplicates.
    pub async fn append(&mut self, events: Vec<NewEvent>) -> Result<Vec<Fate>, WriteError> {
        self.write(events.into_iter().map(|event| (event, Link::Next)).collect()).await
    }

    /// Stores events with the hashes they bring.
    ///
    /// Afterwards the record of the head names the chain's head if it has exactly one; else it is left as it was, and
    /// [`Self::append`] will ask which one to go on from.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub async fn preserve(&mut self, events: Vec<PreservedEvent>) -> Result<Vec<Fate>, WriteError> {
        let given =
            |p: PreservedEvent| (p.event, Link::Given { hash: p.hash, previous_hash: p.previous_hash });
        self.write(events.into_iter().map(given).collect()).await
    }

    /// Where the organisation's chain ends, as event id and hash: one head when the record of it agrees with the table,
    /// else what the table says (at most 21). None when it has no events.
    pub async fn heads(&self, organization: &OrgId) -> Result<Vec<(String, String)>, StoreError> {
        let relation = self.db.relation()?;
        let mut work = self.db.begin().await?;
        let known = self.known.get(organization);
        let heads = head::now(&mut work, &relation, organization, known, self.db.has_heads()).await?;
        work.commit().await?;
        Ok(heads)
    }

    /// Brings the planner's statistics up to date if `stored` events are a tenth of the table or more (the share at
    /// which autovacuum would). A private server ends before autovacuum looks at it, and estimates of a table that
    /// was never looked at are worth nothing.
    ///
    /// # Errors
    /// When the server refuses. A role that does not own the table gets a warning from it, no error.
    pub async fn analyze_after(&self, stored: u64) -> Result<(), StoreError> {
        let relation = self.db.relation()?;
        let mut work = self.db.begin().await?;
        // Before the first ANALYZE the number of rows is -1.
        let rows: f32 =
            sqlx::query_scalar("SELECT reltuples FROM pg_catalog.pg_class WHERE oid = to_regclass($1)")
                .bind(relation.sql())
                .fetch_one(&mut *work)
                .await?;
        if stored > 0 && stored as f32 >= rows / 10.0 {
            work.run(format!("ANALYZE {}", relation.sql())).await?;
        }
        Ok(work.commit().await?)
    }

    /// Looks for the table again, which somebody may have made.
    ///
    /// # Errors
    /// Those of the connection.
    pub(crate) async fn look_again(&self) -> Result<(), StoreError> {
        self.db.find().await
    }

    async fn write(&mut self, events: Vec<(NewEvent, Link)>) -> Result<Vec<Fate>, WriteError> {
        let mut fates = Vec::with_capacity(events.len());
        let mut batches: BTreeMap<OrgId, Batch> = BTreeMap::new();
        for (at, (event, link)) in events.into_iter().enumerate() {
            let organization = event.organization_id.clone();
            match link.check().and_then(|()| prepare::prepare(event, &mut self.json)) {
                Ok(ready) => {
                    // Replaced by its fate below.
                    fates.push(Fate::Stored);
                    batches.entry(organization).or_default().push(at, ready, link);
                }
                Err(reason) => fates.push(Fate::Rejected(reason)),
            }
        }
        for (organization, batch) in batches {
            for (at, fate) in self.write_batch(&organization, &batch).await? {
                if let Some(place) = fates.get_mut(at) {
                    *place = fate;
                }
            }
        }
        Ok(fates)
    }

    async fn write_batch(
        &mut self,
        organization: &OrgId,
        batch: &Batch,
    ) -> Result<Vec<(usize, Fate)>, WriteError> {
        const TRIES: usize = 3;
        let mut tried = 1;
        loop {
            match batch.store(self, organization).await {
                Ok(fates) => return Ok(fates),
                Err(failure) if failure.is_race() && tried < TRIES => tried += 1,
                Err(Failure::Sql(error)) => return Err(StoreError::from(error).into()),
                Err(Failure::Store(error)) => return Err(error.into()),
                Err(Failure::Foreign { detail, heads }) => {
                    return Err(WriteError::ForeignHead {
                        organization: organization.clone(),
                        detail,
                        heads,
                    });
                }
            }
        }
    }
}
