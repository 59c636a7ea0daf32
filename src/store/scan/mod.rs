//! Reading a whole organisation, or a range of it, at the speed at which the server can send it: COPY in binary, from
//! one or several readers that share a snapshot.
//!
//! A row that the server cannot send (a number that expands to a gigabyte, a damaged page) ends a COPY with an error.
//! That row is found, reported as unreadable, and the reading goes on behind it.

mod catalogue;
mod copy;
mod count;
mod decode;
mod floor;
mod heads;
mod lookup;
mod pace;
mod parts;
mod plan;
mod ranges;
mod read;
mod unit;
mod vector;

pub use catalogue::{Catalogue, catalogue};
pub use count::Counted;
pub use decode::Scanned;
pub use heads::{ChainRecord, HeadSight};
pub use pace::Pace;
pub use parts::{Skipped, Unexpected};
pub use ranges::{Earlier, Extent, Range};
pub(super) use read::{is_about_a_row, reason};
pub use vector::{Depth, OtherVector, Vectors};

use super::connection::{Link as Connection, Start};
use super::schema::{self, Guard};
use super::{ReadDb, StoreError};
use crate::chain::Row;
use crate::domain::{OrgScope, TimeRange, Timestamp};
use plan::Table;
use read::{Turns, copy_out};
use serde::Serialize;
use sqlx::{PgConnection, Row as _};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// In a piece's own scope: plans in the order of row addresses only.
const BEFORE_UNIT: &str = "SAVEPOINT agenttrace_unit; SET LOCAL enable_seqscan = off; SET LOCAL enable_indexscan = off; \
     SET LOCAL enable_indexonlyscan = off; SET LOCAL enable_bitmapscan = off; \
     SET LOCAL max_parallel_workers_per_gather = 0";
const AFTER_UNIT: &str = "ROLLBACK TO SAVEPOINT agenttrace_unit; RELEASE SAVEPOINT agenttrace_unit";

/// What to read.
#[derive(Debug, Clone)]
pub struct Request {
    /// The organisation.
    pub scope: OrgScope,
    /// Only events of this time.
    pub range: TimeRange,
    /// Leave out everything but ids, times and hashes.
    pub links_only: bool,
}

/// Takes the rows of one reader.
pub trait Sink: Send + 'static {
    /// A row as it came, of which it is not yet known whether its texts are such. True when that is all there is to be
    /// known of it: it is not given once more as a [`Self::row`].
    fn settles(&mut self, _row: &Row<'_, [u8]>) -> bool {
        false
    }
    /// A row.
    fn row(&mut self, row: &Scanned<'_>);
    /// A row that cannot be read.
    fn unreadable(&mut self, row: Unreadable);
    /// A relation of which not all was given.
    fn skipped(&mut self, part: Skipped);
    /// The rows that follow are those of this range: its place in [`Outline::ranges`].
    fn begins(&mut self, _range: usize) {}
    /// All of the range has been given.
    fn ends(&mut self) {}
}

/// What will be read.
#[derive(Debug, Clone)]
pub struct Outline {
    /// How many rows, or about how many.
    pub rows: u64,
    /// In which pieces.
    pub ranges: Vec<Range>,
}

/// A row that the server cannot send, or sends in a form that cannot be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Where it lies in the table now, for the administrator.
    pub place: String,
    /// What the server said.
    pub reason: String,
    /// Its place in the chain, where at least that could be read.
    pub link: Option<Link>,
}

/// The four columns that place an event in its chain.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are columns of the seed, under their own names")]
pub struct Link {
    pub timestamp: Timestamp,
    pub event_id: String,
    pub hash: String,
    pub previous_hash: String,
}

/// A state of the database that does not move while it is looked at.
#[derive(Debug)]
pub struct Snapshot<'c> {
    c: &'c mut PgConnection,
    db: &'c ReadDb,
    cancel: &'c CancellationToken,
    request: Request,
    table: Arc<Table>,
    /// What it is a state of.
    pub view: View,
    /// Where the transaction began.
    session: String,
    /// The connection must not be used again.
    poisoned: bool,
}

/// Whose state of what a snapshot is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// When it was taken, by the server's clock.
    pub at: Timestamp,
    /// Every transaction before this one had ended then.
    pub before_transaction: i64,
    /// Which database this is: the cluster's identifier, where the role may read it, and the database's and table's.
    pub identity: String,
    /// Who looks: under row-level security, others may see other rows.
    pub role: String,
    /// The state of the columns.
    pub catalogue: Catalogue,
    /// The table that was read.
    pub table: Named,
}

/// A table by its names.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Named {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// The role that it belongs to.
    pub owner: String,
    /// Its object id.
    pub oid: i64,
}

/// Opens a snapshot for the length of `work`.
///
/// # Errors
/// [`StoreError::Cancelled`] when `cancel` fired; the statement on the server has then ended too.
pub async fn with_snapshot<T, F>(
    db: &ReadDb,
    request: Request,
    cancel: &CancellationToken,
    work: F,
) -> Result<T, StoreError>
where
    F: AsyncFnOnce(&mut Snapshot<'_>) -> Result<T, StoreError>,
{
    db.relation(cancel).await?;
    in_transaction(db, None, cancel, async |c: &mut PgConnection| {
        let relation = db.known_relation().ok_or(StoreError::NoTable)?;
        let table = Table::look_at(c, &relation, &request.scope, request.range, request.links_only).await;
        let mut snapshot = match table {
            Ok(table) => {
                let view = describe(c, table.oid()).await.map_err(Stop::from)?;
                let table = Arc::new(table);
                let session = count::session(c).await.map_err(Stop::from)?;
                Snapshot { c, db, cancel, request, table, view, session, poisoned: false }
            }
            Err(e) => return Err(e.into()),
        };
        match work(&mut snapshot).await {
            Ok(done) => Ok(done),
            Err(error) if snapshot.poisoned => Err(Stop::Poisoned(error)),
            Err(error) => Err(error.into()),
        }
    })
    .await
}

/// Why a transaction ends early.
enum Stop {
    /// The connection can be used again once the transaction has been rolled back.
    Clean(StoreError),
    /// sqlx 0.9 leaves the server's last message unread when a COPY is refused at its start: whatever ran next on
    /// this connection would get the wrong answer.
    Poisoned(StoreError),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Clean(error)
    }
}

impl From<sqlx::Error> for Stop {
    fn from(error: sqlx::Error) -> Self {
        Self::Clean(error.into())
    }
}

/// Runs `work` in a read-only transaction with one snapshot, its own or the exported one named.
async fn in_transaction<T, F>(
    db: &ReadDb,
    exported: Option<&str>,
    cancel: &CancellationToken,
    work: F,
) -> Result<T, StoreError>
where
    F: AsyncFnOnce(&mut PgConnection) -> Result<T, Stop>,
{
    let mut cause = None;
    let ended = db
        .run_within(Start::scan(exported), cancel, async |c: &mut Connection| {
            match work(c.bare()).await {
                Ok(done) => Ok(Some(done)),
                // Keeps the connection from being used again, and lets the cause be told instead.
                Err(Stop::Poisoned(error) | Stop::Clean(error @ StoreError::Connection(_))) => {
                    cause = Some(error);
                    Err(sqlx::Error::Protocol("the connection is given up".to_owned()))
                }
                Err(Stop::Clean(error)) => {
                    cause = Some(error);
                    Ok(None)
                }
            }
        })
        .await;
    match (ended, cause) {
        (Ok(Some(done)), _) => Ok(done),
        _ if cancel.is_cancelled() => Err(StoreError::Cancelled),
        (_, Some(cause)) => Err(cause),
        (Err(error), None) => Err(error),
        (Ok(None), None) => Err(StoreError::Other("the transaction ended without a result".to_owned())),
    }
}

async fn describe(c: &mut PgConnection, table: i64) -> Result<View, StoreError> {
    let row = sqlx::query(
        "SELECT transaction_timestamp(), pg_snapshot_xmin(pg_current_snapshot())::text::int8, current_user::text, \
             n.nspname::text, c.relname::text, pg_get_userbyid(c.relowner)::text \
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1::int8::oid",
    )
    .bind(table)
    .persistent(false)
    .fetch_one(&mut *c)
    .await?;
    Ok(View {
        at: row.try_get::<super::row::SqlTime, _>(0)?.0,
        before_transaction: row.try_get(1)?,
        identity: super::connection::identity::of(c, table).await?,
        role: row.try_get(2)?,
        table: Named { schema: row.try_get(3)?, name: row.try_get(4)?, owner: row.try_get(5)?, oid: table },
        catalogue: catalogue::of(c, table).await?,
    })
}

impl Snapshot<'_> {
    /// The triggers that keep the table of our own schema append-only, where they do not hold; none of another schema.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn guard(&mut self) -> Result<Vec<Guard>, StoreError> {
        if !self.table.parts.ours {
            return Ok(Vec::new());
        }
        let mut guard = schema::guard(self.c, &self.table.name).await?;
        guard.retain(|trigger| !trigger.holds());
        Ok(guard)
    }

    /// Rows that the planner expects in the scope.
    pub fn estimate(&self) -> u64 {
        self.table.estimate
    }

    /// Relations that lists read, and this reader cannot.
    pub fn skipped(&self) -> &[Skipped] {
        &self.table.parts.skipped
    }

    /// Relations under the table of our own schema that nobody who follows it makes.
    pub fn unexpected(&self) -> &[Unexpected] {
        &self.table.parts.unexpected
    }

    /// Columns of the table, or of a relation below it, that no scheme knows; the search vector of our own schema, which is
    /// computed from the others, is not one of them.
    pub fn other_columns(&self) -> &[String] {
        &self.table.other_columns
    }

    /// Names of foreign tables among the relations that are read.
    pub fn foreign(&self) -> Vec<String> {
        let foreign = |leaf: &&parts::Leaf| leaf.way == parts::Way::Whole { foreign: true };
        self.table.parts.leaves.iter().filter(foreign).map(|leaf| leaf.name.clone()).collect()
    }

    /// Reads at most `limit` rows of the scope, in no order, whose states take no more than `bytes` in the table; fewer
    /// when one of them cannot be read.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub async fn sample<S: Sink>(&mut self, limit: u32, bytes: u32, sink: &mut S) -> Result<(), StoreError> {
        sqlx::raw_sql("SAVEPOINT agenttrace_unit").execute(&mut *self.c).await?;
        let sql = self.table.sample(limit, bytes);
        let mut address = String::new();
        let forms = self.table.forms;
        let turns = Turns { pace: &Pace::default(), stop: self.cancel };
        let copied = copy_out(self.c, &sql, turns, |columns| {
            if let Ok(row) = decode::whole(&forms, columns, &mut address).and_then(Scanned::of) {
                sink.row(&row);
            }
            None
        });
        match copied.await {
            Ok(_) => {}
            Err(e) => return Err(self.note(e)),
        }
        sqlx::raw_sql(AFTER_UNIT).execute(&mut *self.c).await?;
        Ok(())
    }

    fn note(&mut self, stop: Stop) -> StoreError {
        match stop {
            Stop::Clean(error) => error,
            Stop::Poisoned(error) => {
                self.poisoned = true;
                error
            }
        }
    }
}
