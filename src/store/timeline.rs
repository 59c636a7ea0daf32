//! Pages of events by keyset, one event, counts.

use super::row::{self, EVENT_COLUMNS, ROW_COLUMNS, SqlTime};
use super::{ReadDb, StoreError, filter_sql};
use crate::domain::{Event, EventKey, EventRow, OrgScope, TimeRange, Timestamp};
use crate::filter::Filter;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Postgres, QueryBuilder, Row as _};
use tokio_util::sync::CancellationToken;

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
    /// Events just newer than this one.
    NewerThan(EventKey),
    /// Events at or before an instant.
    AtOrBefore(Timestamp),
}

impl Seek {
    /// Whether the rows are fetched oldest first.
    fn is_ascending(&self) -> bool {
        matches!(self, Self::Oldest | Self::NewerThan(_))
    }
}

/// A page: always newest first, whatever the direction in which it was fetched.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T = EventRow> {
    /// The rows: [`EventRow`]s, which are without states, or whole [`Event`]s.
    pub rows: Vec<T>,
    /// Whether the query has older rows than the last one here.
    pub has_older: bool,
    /// Whether the query has newer rows than the first one here.
    pub has_newer: bool,
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

/// One page of at most `limit` rows, without states.
///
/// The key of [`Seek::OlderThan`] and [`Seek::NewerThan`] is taken to be a row of the query, so that a page older than
/// it always has something newer.
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
    fetch(db, query, seek, limit, ROW_COLUMNS, row::event_row, cancel).await
}

/// As [`page`], with the states. They are read whole: ask for few rows.
///
/// # Errors
/// As [`page`].
pub async fn page_with_states(
    db: &ReadDb,
    query: &Query,
    seek: &Seek,
    limit: usize,
    cancel: &CancellationToken,
) -> Result<Page<Event>, StoreError> {
    fetch(db, query, seek, limit, EVENT_COLUMNS, row::event, cancel).await
}

async fn fetch<T>(
    db: &ReadDb,
    query: &Query,
    seek: &Seek,
    limit: usize,
    columns: &'static str,
    decode: fn(&PgRow) -> Result<T, StoreError>,
    cancel: &CancellationToken,
) -> Result<Page<T>, StoreError> {
    // One row more than asked for tells whether the query goes on.
    let mut sql = QueryBuilder::new("");
    push_page(&mut sql, columns, query, seek, limit.saturating_add(1));
    // Only behind a bare time nothing is known about the other side.
    let mut probe = match seek {
        Seek::AtOrBefore(time) => {
            let mut probe = QueryBuilder::new("");
            push_select(&mut probe, "1", query);
            probe.push(" AND timestamp > ").push_bind(SqlTime(*time));
            push_order(&mut probe, true, 1);
            Some(probe)
        }
        _ => None,
    };
    let (rows, behind) = db
        .run(cancel, async |c: &mut PgConnection| {
            let rows = sql.build().fetch_all(&mut *c).await?;
            let behind = match &mut probe {
                Some(probe) => probe.build().fetch_optional(c).await?.is_some(),
                None => matches!(seek, Seek::OlderThan(_) | Seek::NewerThan(_)),
            };
            Ok((rows, behind))
        })
        .await?;
    let ahead = rows.len() > limit;
    let mut rows = rows.iter().take(limit).map(decode).collect::<Result<Vec<_>, _>>()?;
    let (has_older, has_newer) = if seek.is_ascending() {
        rows.reverse();
        (behind, ahead)
    } else {
        (ahead, behind)
    };
    Ok(Page { rows, has_older, has_newer })
}

/// Runs the statement of a page and returns the server's account of it: the JSON text of
/// `EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON)`.
///
/// # Errors
/// As [`page`].
pub async fn plan(
    db: &ReadDb,
    query: &Query,
    seek: &Seek,
    limit: usize,
    cancel: &CancellationToken,
) -> Result<String, StoreError> {
    let mut sql = QueryBuilder::new("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ");
    push_page(&mut sql, ROW_COLUMNS, query, seek, limit.saturating_add(1));
    explained(&db.run(cancel, async |c: &mut PgConnection| sql.build().fetch_one(c).await).await?)
}

/// What EXPLAIN returned.
fn explained(row: &PgRow) -> Result<String, StoreError> {
    let json = row.try_get_raw(0)?;
    json.as_str().map(ToOwned::to_owned).map_err(|e| StoreError::Decode(format!("EXPLAIN: {e}")))
}

/// The statement of a page.
fn push_page(
    sql: &mut QueryBuilder<Postgres>,
    columns: &'static str,
    query: &Query,
    seek: &Seek,
    limit: usize,
) {
    push_select(sql, columns, query);
    push_seek(sql, seek);
    push_order(sql, seek.is_ascending(), limit);
}

/// `SELECT columns` of everything the query matches: organisation first, then time, then the filter.
fn push_select(sql: &mut QueryBuilder<Postgres>, columns: &'static str, query: &Query) {
    sql.push("SELECT ").push(columns).push(" FROM audit_events WHERE organization_id = ");
    sql.push_bind(query.scope.organization().as_str().to_owned());
    if let Some(since) = query.range.since {
        sql.push(" AND timestamp >= ").push_bind(SqlTime(since));
    }
    if let Some(until) = query.range.until {
        sql.push(" AND timestamp < ").push_bind(SqlTime(until));
    }
    filter_sql::push_conditions(sql, &query.filter);
}

/// The row comparison is a condition of the index; the bound on the time alone, which it implies, is what prunes
/// partitions.
fn push_seek(sql: &mut QueryBuilder<Postgres>, seek: &Seek) {
    let (key, row_operator, time_operator) = match seek {
        Seek::Newest | Seek::Oldest => return,
        Seek::AtOrBefore(time) => {
            sql.push(" AND timestamp <= ").push_bind(SqlTime(*time));
            return;
        }
        Seek::OlderThan(key) => (key, "<", "<="),
        Seek::NewerThan(key) => (key, ">", ">="),
    };
    sql.push(format_args!(" AND (timestamp, event_id) {row_operator} (")).push_bind(SqlTime(key.timestamp));
    sql.push(", ").push_bind(key.event_id.clone());
    sql.push(format_args!(") AND timestamp {time_operator} ")).push_bind(SqlTime(key.timestamp));
}

fn push_order(sql: &mut QueryBuilder<Postgres>, ascending: bool, limit: usize) {
    let direction = if ascending { "ASC" } else { "DESC" };
    sql.push(format_args!(" ORDER BY timestamp {direction}, event_id {direction} LIMIT "));
    sql.push_bind(i64::try_from(limit).unwrap_or(i64::MAX));
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
    let mut sql = QueryBuilder::new("SELECT ");
    sql.push(EVENT_COLUMNS).push(" FROM audit_events WHERE organization_id = ");
    sql.push_bind(scope.organization().as_str()).push(" AND event_id = ").push_bind(event_id);
    if let Some(timestamp) = timestamp {
        sql.push(" AND timestamp = ").push_bind(SqlTime(timestamp));
    }
    sql.push(" LIMIT 1");
    let found = db.run(cancel, async |c: &mut PgConnection| sql.build().fetch_optional(c).await).await?;
    found.as_ref().map(row::event).transpose()
}

/// The planner's estimate of a query, from EXPLAIN: good for times and single columns, far off for columns that depend
/// on each other.
pub async fn estimate(db: &ReadDb, query: &Query, cancel: &CancellationToken) -> Result<Count, StoreError> {
    #[derive(serde::Deserialize)]
    struct Explained {
        #[serde(rename = "Plan")]
        plan: Plan,
    }
    #[derive(serde::Deserialize)]
    struct Plan {
        #[serde(rename = "Plan Rows")]
        rows: f64,
    }
    let mut sql = QueryBuilder::new("EXPLAIN (FORMAT JSON) ");
    push_select(&mut sql, "1", query);
    let row = db.run(cancel, async |c: &mut PgConnection| sql.build().fetch_one(c).await).await?;
    let plans: Result<Vec<Explained>, _> = serde_json::from_str(&explained(&row)?);
    Ok(match plans.as_deref() {
        Ok([Explained { plan }]) => Count::Estimate((plan.rows.round() as u64).max(1)),
        _ => Count::Unknown,
    })
}

/// An exact count if it ends within `budget`, else the estimate.
pub async fn count(
    db: &ReadDb,
    query: &Query,
    budget: std::time::Duration,
    cancel: &CancellationToken,
) -> Result<Count, StoreError> {
    let mut sql = QueryBuilder::new("");
    push_select(&mut sql, "count(*)", query);
    let stop = cancel.child_token();
    let counting = async {
        let row = db.run(&stop, async |c: &mut PgConnection| sql.build().fetch_one(c).await).await?;
        Ok::<i64, StoreError>(row.try_get(0)?)
    };
    let alarm = async {
        tokio::time::sleep(budget).await;
        stop.cancel();
        std::future::pending::<()>().await;
    };
    let counted = tokio::select! {
        counted = counting => counted,
        () = alarm => Err(StoreError::Cancelled),
    };
    match counted {
        Ok(n) => Ok(Count::Exact(n.unsigned_abs())),
        Err(StoreError::Cancelled | StoreError::TimedOut { .. }) if !cancel.is_cancelled() => {
            estimate(db, query, cancel).await
        }
        Err(error) => Err(error),
    }
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
