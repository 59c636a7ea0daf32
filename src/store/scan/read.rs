//! Readers: each takes pieces from a common queue, and reads them round what the server cannot send.

use super::super::{ReadDb, StoreError, said};
use super::copy::Frames;
use super::pace::Pace;
use super::plan::Table;
use super::ranges::{Earlier, Piece};
use super::unit::{self, Place, Tid, Unit};
use super::{
    AFTER_UNIT, BEFORE_UNIT, Link, Outline, Scanned, Sink, Skipped, Snapshot, Stop, Unreadable,
    in_transaction,
};
use super::{decode, lookup};
use futures_util::StreamExt as _;
use sqlx::{PgConnection, Postgres, QueryBuilder, Row as _};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How long a reader keeps its thread.
const LONGEST_TURN: Duration = Duration::from_millis(20);

/// What the readers of a scan share.
#[derive(Debug, Clone)]
struct Work {
    table: Arc<Table>,
    /// Pieces that nobody has begun, each with its place in the outline.
    queue: Arc<Mutex<VecDeque<(usize, Piece)>>>,
    /// Those among them that are read by the first reader only: a foreign server's snapshot is that of one connection.
    whole: Arc<Mutex<VecDeque<(usize, Piece)>>>,
    pace: Arc<Pace>,
    stop: CancellationToken,
}

impl Snapshot<'_> {
    /// Reads all rows of the scope, with one reader for each sink, and gives the sinks back. Of rows that `earlier` scans
    /// have seen, only the links are read. `outline` is told what will be read, `pace` says how fast. False when it was
    /// paused for so long that the snapshot should be given up: some ranges have not been begun then.
    ///
    /// # Errors
    /// [`StoreError::Cancelled`], lost connections, refusals. Rows that cannot be read are no errors.
    pub async fn read<S: Sink>(
        &mut self,
        mut sinks: Vec<S>,
        earlier: &[Earlier],
        outline: impl FnOnce(Outline),
        pace: &Arc<Pace>,
    ) -> Result<(Vec<S>, bool), StoreError> {
        let (pieces, counted) = self.table.pieces(self.c, earlier).await?;
        let ranges = pieces.iter().map(|piece| piece.range).collect();
        outline(Outline { rows: counted.unwrap_or(self.table.estimate), ranges });
        // One reader's failure ends the others.
        let stop = self.cancel.child_token();
        let _guard = stop.clone().drop_guard();
        let (whole, queue): (VecDeque<_>, VecDeque<_>) =
            pieces.into_iter().enumerate().partition(|(_, piece)| piece.is_whole());
        let work = Work {
            table: self.table.clone(),
            queue: Arc::new(Mutex::new(queue)),
            whole: Arc::new(Mutex::new(whole)),
            pace: pace.clone(),
            stop: stop.clone(),
        };
        let mut own = sinks.pop().ok_or_else(|| StoreError::Other("there is no reader".to_owned()))?;
        let mut others = JoinSet::new();
        if !sinks.is_empty() {
            let row =
                sqlx::query("SELECT pg_export_snapshot()").persistent(false).fetch_one(&mut *self.c).await?;
            let exported: String = row.try_get(0)?;
            for sink in sinks {
                let (db, work, exported) = (self.db.clone(), work.clone(), exported.clone());
                others.spawn(async move { work.follow(db, exported, sink).await });
            }
        }
        let read = match work.drain(self.c, &work.whole, &mut own).await {
            Ok(()) => work.drain(self.c, &work.queue, &mut own).await,
            failed => failed,
        };
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
            (Ok(()), None) => Ok((done, is_empty(&work.whole) && is_empty(&work.queue))),
            (Err(Stop::Clean(StoreError::Cancelled)) | Ok(()), Some(error)) => Err(error),
            (Err(stop), _) => Err(self.note(stop)),
        }
    }
}

impl Work {
    /// A reader beside the first one.
    async fn follow<S: Sink>(&self, db: ReadDb, exported: String, mut sink: S) -> Result<S, StoreError> {
        in_transaction(&db, Some(&exported), &self.stop, async |c: &mut PgConnection| {
            self.drain(c, &self.queue, &mut sink).await
        })
        .await?;
        Ok(sink)
    }

    /// Reads pieces until there are none, or a pause is too long.
    async fn drain<S: Sink>(
        &self,
        c: &mut PgConnection,
        queue: &Mutex<VecDeque<(usize, Piece)>>,
        sink: &mut S,
    ) -> Result<(), Stop> {
        let backend: i32 = sqlx::query_scalar("SELECT pg_catalog.pg_backend_pid()")
            .persistent(false)
            .fetch_one(&mut *c)
            .await?;
        loop {
            self.pace.take(0, &self.stop).await;
            if self.stop.is_cancelled() {
                return Err(StoreError::Cancelled.into());
            }
            if self.pace.is_given_up() {
                return Ok(());
            }
            let Some((range, piece)) = pop(queue) else { return Ok(()) };
            sink.begins(range);
            for unit in piece.units {
                self.read_unit(c, backend, unit, sink).await?;
            }
            sink.ends();
        }
    }

    /// Reads one unit, row by row round those that cannot be read.
    async fn read_unit<S: Sink>(
        &self,
        c: &mut PgConnection,
        backend: i32,
        unit: Unit,
        sink: &mut S,
    ) -> Result<(), Stop> {
        let mut rest = Some(unit);
        while let Some(unit) = rest {
            sqlx::raw_sql(BEFORE_UNIT).execute(&mut *c).await?;
            let copied = self.copy_unit(c, backend, &unit, sink).await?;
            sqlx::raw_sql(AFTER_UNIT).execute(&mut *c).await?;
            let Some((error, delivered)) = copied else { return Ok(()) };
            if unit.place == Place::Whole {
                sink.skipped(Skipped { relation: self.table.part(&unit), reason: reason(&error) });
                return Ok(());
            }
            let Some((tid, link)) = row_at(c, &self.table, &unit, delivered).await? else {
                // All rows had come: it was no row that failed.
                return Err(error.into());
            };
            // Once more by itself: the error may have been another one's, such as a shortage of memory.
            sqlx::raw_sql(BEFORE_UNIT).execute(&mut *c).await?;
            let again = self.copy_unit(c, backend, &unit.only(tid), sink).await?;
            sqlx::raw_sql(AFTER_UNIT).execute(&mut *c).await?;
            if let Some((error, _)) = again {
                let place = format!("({},{})", tid.0, tid.1);
                sink.unreadable(Unreadable { place, reason: reason(&error), link });
            }
            rest = unit.behind(tid);
        }
        Ok(())
    }

    /// Copies a unit. `Some` when a row could not be sent: the error, and how many rows came before it.
    async fn copy_unit<S: Sink>(
        &self,
        c: &mut PgConnection,
        backend: i32,
        unit: &Unit,
        sink: &mut S,
    ) -> Result<Option<(StoreError, u64)>, Stop> {
        let (table, turns) = (&self.table, Turns { pace: &self.pace, stop: &self.stop });
        let sql = table.copy(unit, backend);
        if table.reads_links_only(unit) {
            return copy_out(c, &sql, turns, |columns| decode::link(columns).map(|row| sink.row(&row)).err())
                .await;
        }
        let mut address = String::new();
        copy_out(c, &sql, turns, |columns| {
            let row = match decode::whole(&table.forms, columns, &mut address) {
                Ok(row) if sink.settles(&row) => return None,
                row => row,
            };
            row.and_then(Scanned::of).map(|row| sink.row(&row)).err()
        })
        .await
    }
}

fn pop(queue: &Mutex<VecDeque<(usize, Piece)>>) -> Option<(usize, Piece)> {
    // The queue is whole between any two of its operations.
    queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
}

fn is_empty(queue: &Mutex<VecDeque<(usize, Piece)>>) -> bool {
    queue.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
}

/// Who says when a reader waits.
#[derive(Clone, Copy)]
pub(super) struct Turns<'a> {
    pub(super) pace: &'a Pace,
    pub(super) stop: &'a CancellationToken,
}

/// Runs a COPY to its end whatever happens, and gives each row to `on_row`, which says what is wrong with one; the rest
/// is then read and dropped. `Some` when it ended at a row: the error, and how many rows came before it.
pub(super) async fn copy_out<const N: usize>(
    c: &mut PgConnection,
    sql: &str,
    turns: Turns<'_>,
    mut on_row: impl FnMut(&[Option<&[u8]>; N]) -> Option<String>,
) -> Result<Option<(StoreError, u64)>, Stop> {
    let mut stream = c.copy_out_raw(sql).await.map_err(|e| Stop::Poisoned(e.into()))?;
    let mut frames = Some(Frames::<N>::new());
    let (mut delivered, mut wrong) = (0, None);
    let (mut since_turn, mut turn, mut begun) = (0, turns.pace.turn(), Instant::now());
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
        if since_turn >= turn {
            turns.pace.take(since_turn, turns.stop).await;
            (since_turn, turn) = (0, turns.pace.turn());
        }
        if begun.elapsed() >= LONGEST_TURN {
            // Judging a row may take long, and the runtime's timers and signals wait for a thread that reads.
            tokio::task::yield_now().await;
            begun = Instant::now();
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
pub(crate) fn is_about_a_row(error: &sqlx::Error) -> bool {
    let Some(code) = error.as_database_error().and_then(sqlx::error::DatabaseError::code) else {
        return false;
    };
    code != "53300" && ["22", "53", "54", "58", "XX"].iter().any(|class| code.starts_with(class))
}

/// What the server said, for people.
pub(crate) fn reason(error: &StoreError) -> String {
    match error {
        StoreError::Database(error) => said(error),
        other => other.to_string(),
    }
}

/// Address and link of the row that is `delivered` rows behind the start of a unit.
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
    let tid = unit::parse_tid(row.try_get(0)?)?;
    let link = lookup::link(&row, 1).ok();
    Ok(Some((tid, link)))
}
