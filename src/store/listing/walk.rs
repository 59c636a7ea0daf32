//! Rows of a query in the order of the timeline: from one statement where an index serves the whole filter, else piece
//! by piece, so that no statement takes long, what was found can be shown, and a walk can be stopped at any time.

use crate::domain::{EventKey, TimeRange};
use crate::store::connection::Link;
use crate::store::connection::capabilities::{Capabilities, Ties};
use crate::store::listing::access::Access;
use crate::store::listing::filter_sql::Vector;
use crate::store::listing::page_sql::{Bound, Direction, Statements, push_equals, push_scope};
use crate::store::listing::planner;
use crate::store::listing::search;
use crate::store::listing::search::TextIndex;
use crate::store::query::{Looked, Pace, Query, Seek};
use crate::store::row::SqlTime;
use crate::store::{ReadDb, StoreError};
use sqlx::postgres::PgRow;
use sqlx::{Postgres, QueryBuilder, Row as _};
use std::time::Instant;
use tokio_util::sync::CancellationToken;

/// The first piece is smaller than the others by this factor, so that frequent matches are shown at once.
const FIRST: u32 = 10;
/// Pieces are smaller by this factor where the words of each event have to be computed: 20 to 60 µs for each.
const COMPUTED: u32 = 50;
/// Events that fit a block, or fewer: pieces of a table without an index on time are cut by blocks.
const EVENTS_PER_BLOCK: u32 = 12;
/// More rows than this are not sorted but walked to.
const MAX_LOOKUP: u64 = 10_000;

/// What is read of each row.
pub(in crate::store) struct Shape<T> {
    /// The columns.
    pub(in crate::store) columns: &'static str,
    /// Reads them.
    pub(in crate::store) decode: fn(PgRow) -> Result<T, StoreError>,
    /// The place of the row in the timeline.
    pub(in crate::store) key: fn(&T) -> EventKey,
}

/// Rows in the order of the walk.
pub(in crate::store) struct Walked<T> {
    pub(in crate::store) rows: Vec<T>,
    pub(in crate::store) looked: Option<Looked>,
}

/// At most `limit` rows from a place on.
///
/// # Errors
/// [`StoreError`].
pub(in crate::store) async fn rows<T>(
    db: &ReadDb,
    query: &Query,
    seek: &Seek,
    limit: usize,
    shape: Shape<T>,
    pace: Pace<'_>,
    cancel: &CancellationToken,
) -> Result<Walked<T>, StoreError> {
    let capabilities = db.capabilities(cancel).await?;
    let access = choose(db, &capabilities, query, cancel).await?;
    let direction = direction(&capabilities, &access, seek);
    let vector = Vector::of(&capabilities);
    let statements = Statements {
        table: capabilities.relation.sql(),
        everything: capabilities.relation.everything(),
        query,
        access: &access,
        direction,
        vector: &vector,
        prefix: "",
    };
    let walk = Walk { db, statements, limit, shape, pace, cancel, begun: Instant::now() };
    match access {
        Access::Scan => walk.scan(seek, capabilities.blocks).await,
        Access::Ordered { covered: false, .. } => {
            walk.in_steps(seek, search::foreign_index(&vector, &query.filter)).await
        }
        _ => walk.straight(seek).await,
    }
}

/// The way to the rows of a query.
///
/// # Errors
/// As [`rows`].
pub(in crate::store) async fn choose(
    db: &ReadDb,
    capabilities: &Capabilities,
    query: &Query,
    cancel: &CancellationToken,
) -> Result<Access, StoreError> {
    if let Some(lookup) = Access::lookup(capabilities, &query.filter)
        && has_few_rows(db, query, &lookup, cancel).await?
    {
        return Ok(lookup);
    }
    if let Some(words) = search::few_rows(db, capabilities, query, MAX_LOOKUP, cancel).await? {
        return Ok(words);
    }
    Ok(Access::ordered(capabilities, &query.filter))
}

/// Whether the planner expects so few rows of a look-up that they can be sorted.
async fn has_few_rows(
    db: &ReadDb,
    query: &Query,
    lookup: &Access,
    cancel: &CancellationToken,
) -> Result<bool, StoreError> {
    let Access::Lookup { branches } = lookup else { return Ok(false) };
    let everything = Query { range: TimeRange::default(), ..query.clone() };
    let mut sum = 0;
    for branch in branches {
        let mut sql = QueryBuilder::new("EXPLAIN (FORMAT JSON) SELECT FROM ");
        sql.push(db.relation(cancel).await?.sql());
        push_scope(&mut sql, &everything);
        push_equals(&mut sql, branch);
        sum += planner::estimated_rows(db, sql, cancel).await?.unwrap_or(u64::MAX / 128);
    }
    Ok(sum <= MAX_LOOKUP)
}

/// The order of a walk.
pub(in crate::store) fn direction(capabilities: &Capabilities, access: &Access, seek: &Seek) -> Direction {
    match access {
        Access::Scan => Direction { ascending: seek.is_ascending(), ties: Ties::Aligned, bytewise: true },
        _ => Direction { ascending: seek.is_ascending(), ties: capabilities.ties(), bytewise: false },
    }
}

/// The first statement of a page that begins there.
pub(in crate::store) fn statement(
    statements: &Statements<'_>,
    columns: &'static str,
    bound: &Bound,
    limit: usize,
    step: u32,
) -> QueryBuilder<Postgres> {
    match statements.access {
        Access::Scan => statements.blocks(columns, bound, limit, 0, Some(blocks_of(step))),
        _ => statements.page(columns, bound, limit, first_of(step)),
    }
}

/// Events of the first piece.
pub(in crate::store) fn first_of(step: u32) -> usize {
    (step / FIRST).max(1) as usize
}

/// Statements that read the whole table, a number of blocks each.
pub(in crate::store) fn pieces(db: &ReadDb, capabilities: &Capabilities) -> u32 {
    capabilities.blocks.div_ceil(blocks_of(db.settings().walk)).max(1)
}

fn blocks_of(step: u32) -> u32 {
    (step / EVENTS_PER_BLOCK).max(1)
}

/// A walk under way.
pub(in crate::store) struct Walk<'a, T> {
    pub(in crate::store) db: &'a ReadDb,
    pub(in crate::store) statements: Statements<'a>,
    pub(in crate::store) limit: usize,
    shape: Shape<T>,
    pace: Pace<'a>,
    pub(in crate::store) cancel: &'a CancellationToken,
    begun: Instant,
}

impl<T> Walk<'_, T> {
    /// Every statement reads nothing but rows of the page.
    async fn straight(self, seek: &Seek) -> Result<Walked<T>, StoreError> {
        let mut rows = Vec::new();
        for bound in self.statements.direction.pieces(seek) {
            self.read(&bound, &mut rows, 0).await?;
            if rows.len() >= self.limit {
                break;
            }
        }
        Ok(Walked { rows, looked: None })
    }

    /// Events of one piece. Where words are computed for each of them, fewer: that takes as long as reading fifty.
    pub(in crate::store) fn step(&self) -> u32 {
        let walk = self.db.settings().walk;
        let computes =
            *self.statements.vector != Vector::Stored && !self.statements.query.filter.words().is_empty();
        if computes { walk / COMPUTED } else { walk }
    }

    /// Tells how far the walk has come. Whether it has taken so long that what was found is to be shown.
    pub(in crate::store) fn is_to_pause(&self, looked: &Looked) -> bool {
        if let Some(progress) = self.pace.progress {
            progress(looked);
        }
        self.pace.patience.is_some_and(|patience| self.begun.elapsed() >= patience)
    }

    /// Rows that do not match are passed, a limited number in each statement. Where an index on `words` is not ours,
    /// it is asked for what lies behind the first of them: frequent words are met on the way sooner.
    async fn in_steps(self, seek: &Seek, words: Option<&TextIndex>) -> Result<Walked<T>, StoreError> {
        let direction = self.statements.direction;
        let mut pieces = direction.pieces(seek);
        let mut rows = Vec::new();
        let mut events = 0;
        let mut steps = first_of(self.step());
        while let Some(bound) = pieces.pop_front() {
            self.read(&bound, &mut rows, steps).await?;
            if rows.len() >= self.limit {
                let looked = Looked { events, found: rows.len(), ..Looked::default() };
                return Ok(Walked { rows, looked: Some(looked) });
            }
            let Some(key) = self.boundary(&bound, steps).await? else { continue };
            events += steps as u64;
            match bound {
                // What lies behind the instant is in line already.
                Bound::Tie { .. } => pieces.push_front(Bound::Tie { key: key.clone(), inclusive: false }),
                _ => pieces = direction.behind(&key, false),
            }
            let looked = Looked { events, found: rows.len(), resume: Some(key.clone()), ..Looked::default() };
            if self.is_to_pause(&looked) {
                return Ok(Walked { rows, looked: Some(looked) });
            }
            if let Some(index) = words.filter(|_| events > u64::from(self.step())) {
                return self.in_intervals(index, key, rows, events).await;
            }
            steps = self.step().max(1) as usize;
        }
        let looked = Looked { events, found: rows.len(), ..Looked::default() };
        Ok(Walked { rows, looked: Some(looked) })
    }

    /// Reads the whole table, a number of blocks at a time, and keeps the first rows of the page.
    async fn scan(self, seek: &Seek, blocks: u32) -> Result<Walked<T>, StoreError> {
        let direction = self.statements.direction;
        let mut rows: Vec<T> = Vec::new();
        let mut begin = 0_u32;
        loop {
            // The last piece has no end: the table may have grown.
            let end = begin.checked_add(blocks_of(self.db.settings().walk)).filter(|end| *end < blocks);
            for bound in direction.pieces(seek) {
                let mut sql = self.statements.blocks(self.shape.columns, &bound, self.limit, begin, end);
                let read = async |c: &mut Link| sql.build().fetch_all(c.at_most(self.limit)).await;
                let more = self.db.run(self.cancel, read).await?;
                for row in more {
                    rows.push((self.shape.decode)(row)?);
                }
            }
            rows.sort_by_key(self.shape.key);
            if !direction.ascending {
                rows.reverse();
            }
            rows.truncate(self.limit);
            let percent = u64::from(end.unwrap_or(blocks)) * 100 / u64::from(blocks.max(1));
            let looked = Looked { found: rows.len(), percent: Some(percent as u8), ..Looked::default() };
            if let Some(progress) = self.pace.progress {
                progress(&looked);
            }
            match end {
                Some(end) => begin = end,
                None => return Ok(Walked { rows, looked: Some(looked) }),
            }
        }
    }

    async fn read(&self, bound: &Bound, rows: &mut Vec<T>, steps: usize) -> Result<(), StoreError> {
        self.read_by(&self.statements, bound, rows, steps).await
    }

    pub(in crate::store) async fn read_by(
        &self,
        statements: &Statements<'_>,
        bound: &Bound,
        rows: &mut Vec<T>,
        steps: usize,
    ) -> Result<(), StoreError> {
        let wanted = self.limit - rows.len();
        let mut sql = statements.page(self.shape.columns, bound, wanted, steps);
        let read = async |c: &mut Link| sql.build().fetch_all(c.at_most(wanted)).await;
        let more = self.db.run(self.cancel, read).await?;
        for row in more {
            rows.push((self.shape.decode)(row)?);
        }
        Ok(())
    }

    pub(in crate::store) async fn boundary(
        &self,
        bound: &Bound,
        steps: usize,
    ) -> Result<Option<EventKey>, StoreError> {
        let Some(mut sql) = self.statements.boundary(bound, steps) else { return Ok(None) };
        let row = self.db.run(self.cancel, async |c: &mut Link| sql.build().fetch_optional(c).await).await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(EventKey { timestamp: row.try_get::<SqlTime, _>(0)?.0, event_id: row.try_get(1)? }))
    }
}
