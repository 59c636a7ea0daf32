//! Pages of events by keyset, one event, counts.

use crate::domain::{Event, EventKey, EventRow, OrgScope, TimeRange, Timestamp};
use crate::filter::Filter;
use crate::store::connection::Link;
use crate::store::connection::capabilities::Capabilities;
use crate::store::listing::filter_sql::Vector;
use crate::store::listing::planner::estimated_rows;
use crate::store::listing::walk::{self, Shape};
use crate::store::listing::{filter_sql, page_sql};
use crate::store::query::{Count, Pace, Page, Query, Seek};
use crate::store::row::{self, EVENT_COLUMNS, KEY_COLUMNS, ROW_COLUMNS, SqlTime, StoredEvent};
use crate::store::{ReadDb, StoreError, within};
use sqlx::postgres::PgRow;
use sqlx::{Postgres, QueryBuilder, Row as _};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// One page of at most `limit` rows, without states.
///
/// The key of [`Seek::OlderThan`] and [`Seek::NewerThan`] is taken to be a row of the query, so that a page older than
/// it always has something newer; behind [`Seek::AtOrOlderThan`] something newer is taken for granted.
///
/// Where no index serves the filter, the page is filled in pieces, each a short statement; on a table without an index
/// on time the whole table is read.
///
/// # Errors
/// [`StoreError`], also [`StoreError::Cancelled`] and [`StoreError::TimedOut`].
pub async fn page(
    db: &ReadDb,
    query: &Query,
    seek: &Seek,
    limit: usize,
    cancel: &CancellationToken,
) -> Result<Page, StoreError> {
    page_at(db, query, seek, limit, Pace::default(), cancel).await
}

/// As [`page`], at a pace.
///
/// # Errors
/// As [`page`].
pub async fn page_at(
    db: &ReadDb,
    query: &Query,
    seek: &Seek,
    limit: usize,
    pace: Pace<'_>,
    cancel: &CancellationToken,
) -> Result<Page, StoreError> {
    let shape = Shape { columns: ROW_COLUMNS, decode: |row| row::event_row(&row), key: EventRow::key };
    fetch(db, query, seek, limit, shape, pace, cancel).await
}

/// As [`page_at`], with the states. They are read whole: ask for few rows.
///
/// # Errors
/// As [`page`].
pub async fn page_with_states(
    db: &ReadDb,
    query: &Query,
    seek: &Seek,
    limit: usize,
    pace: Pace<'_>,
    cancel: &CancellationToken,
) -> Result<Page<Event>, StoreError> {
    let shape = Shape {
        columns: EVENT_COLUMNS,
        decode: |row| row::event(&row),
        key: |event: &Event| event.row.key(),
    };
    fetch(db, query, seek, limit, shape, pace, cancel).await
}

/// As [`page_with_states`], for whoever decodes the events elsewhere.
///
/// # Errors
/// As [`page`].
pub async fn page_as_stored(
    db: &ReadDb,
    query: &Query,
    seek: &Seek,
    limit: usize,
    pace: Pace<'_>,
    cancel: &CancellationToken,
) -> Result<Page<StoredEvent>, StoreError> {
    let key = |event: &StoredEvent| event.key().clone();
    fetch(
        db,
        query,
        seek,
        limit,
        Shape { columns: EVENT_COLUMNS, decode: StoredEvent::new, key },
        pace,
        cancel,
    )
    .await
}

/// As [`page_at`], nothing but the places of the rows: what little is sent of each lets many be passed.
///
/// # Errors
/// As [`page`].
pub async fn keys(
    db: &ReadDb,
    query: &Query,
    seek: &Seek,
    limit: usize,
    pace: Pace<'_>,
    cancel: &CancellationToken,
) -> Result<Page<EventKey>, StoreError> {
    let shape = Shape { columns: KEY_COLUMNS, decode: |row| row::event_key(&row), key: EventKey::clone };
    fetch(db, query, seek, limit, shape, pace, cancel).await
}

async fn fetch<T>(
    db: &ReadDb,
    query: &Query,
    seek: &Seek,
    limit: usize,
    shape: Shape<T>,
    pace: Pace<'_>,
    cancel: &CancellationToken,
) -> Result<Page<T>, StoreError> {
    // One row more than asked for tells whether the query goes on.
    let walked = walk::rows(db, query, seek, limit.saturating_add(1), shape, pace, cancel).await?;
    // Only behind a bare time nothing is known about the other side.
    let behind = match seek {
        Seek::Newest | Seek::Oldest => false,
        Seek::OlderThan(_) | Seek::NewerThan(_) | Seek::AtOrOlderThan(_) => true,
        Seek::AtOrBefore(time) => {
            let behind = time.next();
            let since = Some(behind).max(query.range.since);
            let newer = Query { range: TimeRange { since, ..query.range }, ..query.clone() };
            let row = Shape { columns: ROW_COLUMNS, decode: |row| row::event_row(&row), key: EventRow::key };
            !walk::rows(db, &newer, &Seek::Oldest, 1, row, Pace::default(), cancel).await?.rows.is_empty()
        }
    };
    let mut rows = walked.rows;
    let stopped = walked.looked.as_ref().is_some_and(|looked| looked.resume.is_some());
    let ahead = rows.len() > limit || stopped;
    rows.truncate(limit);
    let (has_older, has_newer) = if seek.is_ascending() {
        rows.reverse();
        (behind, ahead)
    } else {
        (ahead, behind)
    };
    Ok(Page { rows, has_older, has_newer, looked: walked.looked })
}

/// `SELECT columns` of everything the query matches: organisation first, then time, then the filter.
fn push_select(
    sql: &mut QueryBuilder<Postgres>,
    columns: &'static str,
    query: &Query,
    capabilities: &Capabilities,
) {
    sql.push("SELECT ").push(columns).push(" FROM ").push(capabilities.relation.sql());
    page_sql::push_scope(sql, query);
    filter_sql::push_conditions(sql, query, &Vector::of(capabilities));
}

/// One event with its states, `None` when the organisation has no such event. `timestamp` makes the look-up cheap on
/// partitioned tables.
pub async fn event(
    db: &ReadDb,
    scope: &OrgScope,
    event_id: &str,
    timestamp: Option<Timestamp>,
    cancel: &CancellationToken,
) -> Result<Option<Event>, StoreError> {
    let found = by_id(db, EVENT_COLUMNS, scope, event_id, timestamp, cancel).await?;
    found.as_ref().map(row::event).transpose()
}

/// As [`event`], without its states, which the server may be unable to send.
///
/// # Errors
/// [`StoreError`].
pub async fn event_row(
    db: &ReadDb,
    scope: &OrgScope,
    event_id: &str,
    cancel: &CancellationToken,
) -> Result<Option<EventRow>, StoreError> {
    let found = by_id(db, ROW_COLUMNS, scope, event_id, None, cancel).await?;
    found.as_ref().map(row::event_row).transpose()
}

async fn by_id(
    db: &ReadDb,
    columns: &'static str,
    scope: &OrgScope,
    event_id: &str,
    timestamp: Option<Timestamp>,
    cancel: &CancellationToken,
) -> Result<Option<PgRow>, StoreError> {
    let mut sql = QueryBuilder::new("SELECT ");
    sql.push(columns).push(" FROM ").push(db.relation(cancel).await?.sql()).push(" WHERE organization_id = ");
    sql.push_bind(scope.organization().as_str()).push(" AND event_id = ").push_bind(event_id);
    if let Some(timestamp) = timestamp {
        sql.push(" AND timestamp = ").push_bind(SqlTime(timestamp));
    }
    sql.push(" LIMIT 1");
    db.run(cancel, async |c: &mut Link| sql.build().fetch_optional(c).await).await
}

/// The planner's estimate of a query, from EXPLAIN: good for times and single columns, far off for columns that depend
/// on each other.
pub async fn estimate(db: &ReadDb, query: &Query, cancel: &CancellationToken) -> Result<Count, StoreError> {
    let mut sql = QueryBuilder::new("EXPLAIN (FORMAT JSON) ");
    push_select(&mut sql, "1", query, &*db.capabilities(cancel).await?);
    let rows = estimated_rows(db, sql, cancel).await?;
    Ok(rows.map_or(Count::Unknown, |rows| Count::Estimate(rows.max(1))))
}

/// An exact count if it ends within `budget`, else the estimate.
pub async fn count(
    db: &ReadDb,
    query: &Query,
    budget: Duration,
    cancel: &CancellationToken,
) -> Result<Count, StoreError> {
    match within(budget, cancel, |stop| async move { counted(db, query, &stop).await }).await {
        Ok(Some(n)) => Ok(Count::Exact(n)),
        Ok(None) => estimate(db, query, cancel).await,
        Err(StoreError::TimedOut { .. }) if !cancel.is_cancelled() => estimate(db, query, cancel).await,
        Err(error) => Err(error),
    }
}

/// The number of events of a query, however long counting takes.
pub(in crate::store) async fn counted(
    db: &ReadDb,
    query: &Query,
    cancel: &CancellationToken,
) -> Result<u64, StoreError> {
    let mut sql = QueryBuilder::new("");
    push_select(&mut sql, "count(*)", query, &*db.capabilities(cancel).await?);
    let row = db.run(cancel, async |c: &mut Link| sql.build().fetch_one(c).await).await?;
    Ok(row.try_get::<i64, _>(0)?.unsigned_abs())
}

/// The newest event older than `before` in the organisation regardless of any filter: what an empty result names.
pub async fn newest(
    db: &ReadDb,
    scope: &OrgScope,
    before: Option<Timestamp>,
    cancel: &CancellationToken,
) -> Result<Option<EventRow>, StoreError> {
    let range = TimeRange { since: None, until: before };
    let query = Query { scope: scope.clone(), filter: Filter::default(), range };
    Ok(page(db, &query, &Seek::Newest, 1, cancel).await?.rows.pop())
}
