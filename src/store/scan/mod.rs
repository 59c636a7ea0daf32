//! Reading a whole organisation, or a range of it, at the speed at which the server can send it: COPY in binary, from
//! one or several readers that share a snapshot.
//!
//! A row that the server cannot send (a number that expands to a gigabyte, a damaged page) ends a COPY with an error.
//! That row is found, reported as unreadable, and the reading goes on behind it.

mod copy;
mod decode;
mod floor;
mod lookup;
mod plan;

pub use decode::Scanned;

use super::{ReadDb, StoreError};
use crate::domain::{OrgScope, TimeRange, Timestamp};
use copy::Frames;
use futures_util::StreamExt as _;
use plan::{Table, Tid, Unit};
use sqlx::{PgConnection, Postgres, QueryBuilder, Row as _};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Rows after which other tasks of the thread get a turn, so that a cancellation is seen.
const TURN: u32 = 512;

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
    /// A row.
    fn row(&mut self, row: &Scanned<'_>);
    /// A row that cannot be read.
    fn unreadable(&mut self, row: Unreadable);
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
    /// When it was taken, by the server's clock.
    pub at: Timestamp,
    /// Which database this is: the cluster's identifier, where the role may read it, and the database's and table's.
    pub identity: String,
    /// The connection must not be used again.
    poisoned: bool,
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
    in_transaction(db, None, cancel, async |c: &mut PgConnection| {
        let table = Table::look_at(c, &request.scope, request.range, request.links_only).await;
        let mut snapshot = match table {
            Ok(table) => {
                let (at, identity) = describe(c, table.oid()).await.map_err(Stop::from)?;
                let table = Arc::new(table);
                Snapshot { c, db, cancel, request, table, at, identity, poisoned: false }
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
        .run_long(cancel, async |c: &mut PgConnection| {
            let result = match begin(c, exported).await {
                Ok(()) => work(c).await,
                Err(e) => Err(e.into()),
            };
            match result {
                Ok(done) => {
                    sqlx::raw_sql("COMMIT").execute(c).await?;
                    Ok(Some(done))
                }
                // Keeps the connection from being used again, and lets the cause be told instead.
                Err(Stop::Poisoned(error) | Stop::Clean(error @ StoreError::Connection(_))) => {
                    cause = Some(error);
                    Err(sqlx::Error::Protocol("the connection is given up".to_owned()))
                }
                Err(Stop::Clean(error)) => {
                    sqlx::raw_sql("ROLLBACK").execute(c).await?;
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

async fn begin(c: &mut PgConnection, exported: Option<&str>) -> Result<(), sqlx::Error> {
    sqlx::raw_sql("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY").execute(&mut *c).await?;
    if let Some(id) = exported {
        // The server's own identifier: digits, A to F and '-'; the statement takes no parameters.
        let plain: String = id.chars().filter(|c| c.is_ascii_hexdigit() || *c == '-').collect();
        let mut sql = QueryBuilder::<Postgres>::new("SET TRANSACTION SNAPSHOT '");
        sql.push(plain).push("'").build().persistent(false).execute(&mut *c).await?;
    }
    sqlx::raw_sql("SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0")
        .execute(c)
        .await?;
    Ok(())
}

async fn describe(c: &mut PgConnection, table: i64) -> Result<(Timestamp, String), StoreError> {
    let row = sqlx::query("SELECT transaction_timestamp()").fetch_one(&mut *c).await?;
    let at = row.try_get::<super::row::SqlTime, _>(0)?.0;
    Ok((at, super::identity::of(c, table).await?))
}

impl Snapshot<'_> {
    /// Rows that the planner expects in the scope.
    pub fn estimate(&self) -> u64 {
        self.table.estimate
    }

    /// Reads at most `limit` rows of the scope, in no order; fewer when one of them cannot be read.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub async fn sample<S: Sink>(&mut self, limit: u32, sink: &mut S) -> Result<(), StoreError> {
        sqlx::raw_sql("SAVEPOINT agenttrace_unit").execute(&mut *self.c).await?;
        let sql = self.table.sample(limit);
        let mut address = String::new();
        let forms = self.table.forms;
        let copied = copy_out(self.c, &sql, |columns| {
            if let Ok(row) = decode::whole(&forms, columns, &mut address) {
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

    /// Reads all rows of the scope, with one reader for each sink, and gives the sinks back. `total` is told how many
    /// rows there are, or about how many.
    ///
    /// # Errors
    /// [`StoreError::Cancelled`], lost connections, refusals. Rows that cannot be read are no errors.
    pub async fn read<S: Sink>(
        &mut self,
        mut sinks: Vec<S>,
        total: impl FnOnce(u64),
    ) -> Result<Vec<S>, StoreError> {
        let (units, counted) = self.table.units(self.c).await?;
        total(counted.unwrap_or(self.table.estimate));
        let queue = Arc::new(Mutex::new(VecDeque::from(units)));
        // One reader's failure ends the others.
        let stop = self.cancel.child_token();
        let _guard = stop.clone().drop_guard();
        let mut own = sinks.pop().ok_or_else(|| StoreError::Other("there is no reader".to_owned()))?;
        let mut others = JoinSet::new();
        if !sinks.is_empty() {
            let row = sqlx::query("SELECT pg_export_snapshot()").fetch_one(&mut *self.c).await?;
            let exported: String = row.try_get(0)?;
            for sink in sinks {
                let (db, table, queue, stop) =
                    (self.db.clone(), self.table.clone(), queue.clone(), stop.clone());
                let exported = exported.clone();
                others.spawn(async move { follow(db, table, queue, exported, stop, sink).await });
            }
        }
        let read = drain(self.c, &self.table, &queue, &stop, &mut own).await;
        if read.is_err() {
            stop.cancel();
        }
        let mut done = vec![own];
        let mut failed = None;
        while let Some(ended) = others.join_next().await {
            match ended {
                Ok(Ok(sink)) => done.push(sink),
                Ok(Err(e)) => {
                    stop.cancel();
                    // The first to fail has the cause; the others were stopped by it.
                    if !matches!(failed, Some(ref f) if !matches!(f, StoreError::Cancelled)) {
                        failed = Some(e);
                    }
                }
                Err(e) => failed = Some(StoreError::Other(format!("a reader failed: {e}"))),
            }
        }
        match (read, failed) {
            (Ok(()), None) => Ok(done),
            (Err(Stop::Clean(StoreError::Cancelled)) | Ok(()), Some(error)) => Err(error),
            (Err(stop), _) => Err(self.note(stop)),
        }
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

/// A reader beside the first one.
async fn follow<S: Sink>(
    db: ReadDb,
    table: Arc<Table>,
    queue: Arc<Mutex<VecDeque<Unit>>>,
    exported: String,
    stop: CancellationToken,
    mut sink: S,
) -> Result<S, StoreError> {
    in_transaction(&db, Some(&exported), &stop, async |c: &mut PgConnection| {
        drain(c, &table, &queue, &stop, &mut sink).await
    })
    .await?;
    Ok(sink)
}

/// Reads pieces until there are none.
async fn drain<S: Sink>(
    c: &mut PgConnection,
    table: &Table,
    queue: &Mutex<VecDeque<Unit>>,
    stop: &CancellationToken,
    sink: &mut S,
) -> Result<(), Stop> {
    loop {
        if stop.is_cancelled() {
            return Err(StoreError::Cancelled.into());
        }
        // The queue is whole between any two of its operations.
        let Some(unit) = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front() else {
            return Ok(());
        };
        read_unit(c, table, unit, sink).await?;
    }
}

/// Reads one piece, row by row round those that cannot be read.
async fn read_unit<S: Sink>(
    c: &mut PgConnection,
    table: &Table,
    unit: Unit,
    sink: &mut S,
) -> Result<(), Stop> {
    let mut rest = Some(unit);
    while let Some(unit) = rest {
        sqlx::raw_sql(BEFORE_UNIT).execute(&mut *c).await?;
        let copied = copy_unit(c, table, &unit, sink).await?;
        sqlx::raw_sql(AFTER_UNIT).execute(&mut *c).await?;
        let Some((error, delivered)) = copied else { return Ok(()) };
        let Some((tid, link)) = row_at(c, table, &unit, delivered).await? else {
            // All rows had come: it was no row that failed.
            return Err(error.into());
        };
        // Once more by itself: the error may have been another one's, such as a shortage of memory.
        sqlx::raw_sql(BEFORE_UNIT).execute(&mut *c).await?;
        let again = copy_unit(c, table, &unit.only(tid), sink).await?;
        sqlx::raw_sql(AFTER_UNIT).execute(&mut *c).await?;
        if let Some((error, _)) = again {
            let place = format!("({},{})", tid.0, tid.1);
            sink.unreadable(Unreadable { place, reason: reason(&error), link });
        }
        rest = unit.behind(tid);
    }
    Ok(())
}

/// Copies a piece. `Some` when a row could not be sent: the error, and how many rows came before it.
async fn copy_unit<S: Sink>(
    c: &mut PgConnection,
    table: &Table,
    unit: &Unit,
    sink: &mut S,
) -> Result<Option<(StoreError, u64)>, Stop> {
    let sql = table.copy(unit);
    let copied = if table.links_only() {
        copy_out(c, &sql, |columns| decode::link(columns).map(|row| sink.row(&row)).err()).await?
    } else {
        let mut address = String::new();
        copy_out(c, &sql, |columns| {
            decode::whole(&table.forms, columns, &mut address).map(|row| sink.row(&row)).err()
        })
        .await?
    };
    Ok(copied)
}

/// Runs a COPY to its end whatever happens, and gives each row to `on_row`, which says what is wrong with one; the rest
/// is then read and dropped. `Some` when it ended at a row: the error, and how many rows came before it.
async fn copy_out<const N: usize>(
    c: &mut PgConnection,
    sql: &str,
    mut on_row: impl FnMut(&[Option<&[u8]>; N]) -> Option<String>,
) -> Result<Option<(StoreError, u64)>, Stop> {
    let mut stream = c.copy_out_raw(sql).await.map_err(|e| Stop::Poisoned(e.into()))?;
    let mut frames = Some(Frames::<N>::new());
    let (mut delivered, mut wrong, mut since_turn) = (0, None, 0);
    while let Some(piece) = stream.next().await {
        let piece = match piece {
            Ok(piece) => piece,
            Err(e) if is_about_a_row(&e) && wrong.is_none() => return Ok(Some((e.into(), delivered))),
            Err(e) => return Err(e.into()),
        };
        if let Some(reading) = &mut frames {
            let pushed = reading.push(&piece, |columns| {
                if wrong.is_none() {
                    wrong = on_row(columns);
                    delivered += u64::from(wrong.is_none());
                }
            });
            if let Err(e) = pushed {
                return finish(stream, StoreError::Decode(e.to_string())).await;
            }
            if wrong.is_some() {
                frames = None;
            }
        }
        since_turn += 1;
        if since_turn == TURN {
            since_turn = 0;
            tokio::task::yield_now().await;
        }
    }
    match (wrong, frames) {
        (Some(what), _) => Ok(Some((StoreError::Decode(what), delivered))),
        (None, Some(frames)) => {
            frames.finish().map_err(|e| StoreError::Decode(e.to_string()))?;
            Ok(None)
        }
        (None, None) => Ok(None),
    }
}

/// Reads a COPY to its end, because leaving it half-way spoils the connection.
async fn finish<T>(
    mut stream: impl futures_util::Stream<Item = Result<impl Sized, sqlx::Error>> + Unpin,
    error: StoreError,
) -> Result<T, Stop> {
    while let Some(piece) = stream.next().await {
        piece?;
    }
    Err(error.into())
}

/// Whether the error may be that of one row: out of memory, too large, damaged, not decodable.
pub(super) fn is_about_a_row(error: &sqlx::Error) -> bool {
    let Some(code) = error.as_database_error().and_then(sqlx::error::DatabaseError::code) else {
        return false;
    };
    code != "53300" && ["22", "53", "54", "58", "XX"].iter().any(|class| code.starts_with(class))
}

/// What the server said, for people.
pub(super) fn reason(error: &StoreError) -> String {
    match error {
        StoreError::Database(sqlx::Error::Database(e)) => {
            format!("{} (SQLSTATE {})", e.message(), e.code().unwrap_or_default())
        }
        other => other.to_string(),
    }
}

/// Address and link of the row that is `delivered` rows behind the start of a piece.
async fn row_at(
    c: &mut PgConnection,
    table: &Table,
    unit: &Unit,
    delivered: u64,
) -> Result<Option<(Tid, Option<Link>)>, Stop> {
    sqlx::raw_sql(BEFORE_UNIT).execute(&mut *c).await?;
    let mut sql = QueryBuilder::<Postgres>::new(
        "SELECT ctid::text, timestamp, event_id::text, hash::text, previous_hash::text FROM ",
    );
    sql.push(table.from(unit))
        .push(" OFFSET ")
        .push_bind(i64::try_from(delivered).unwrap_or(i64::MAX))
        .push(" LIMIT 1");
    let found = sql.build().persistent(false).fetch_optional(&mut *c).await;
    sqlx::raw_sql(AFTER_UNIT).execute(&mut *c).await?;
    let Some(row) = found? else { return Ok(None) };
    let tid = plan::parse_tid(row.try_get(0)?)?;
    let link = lookup::link(&row, 1).ok();
    Ok(Some((tid, link)))
}
