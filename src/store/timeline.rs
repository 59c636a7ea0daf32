//! Pages of events by keyset, one event, counts.

use super::{ReadDb, StoreError};
use crate::domain::{Event, EventKey, EventRow, OrgScope, TimeRange, Timestamp};
use crate::filter::Filter;
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

/// A page: always newest first, whatever the direction in which it was fetched.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// Rows without states.
    pub rows: Vec<EventRow>,
    /// Whether the query has older rows than the last one here.
    pub has_older: bool,
    /// Whether the query has newer rows than the first one here.
    pub has_newer: bool,
}

/// A number of events and how far it can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "kind", content = "value", rename_all = "snake_case")]
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

/// One page of at most `limit` rows.
pub async fn page(
    db: &ReadDb,
    query: &Query,
    seek: &Seek,
    limit: usize,
    cancel: &CancellationToken,
) -> Result<Page, StoreError> {
    todo!()
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
    todo!()
}

/// The planner's estimate of a query, from EXPLAIN.
pub async fn estimate(db: &ReadDb, query: &Query, cancel: &CancellationToken) -> Result<Count, StoreError> {
    todo!()
}

/// An exact count if it ends within `budget`, else the estimate.
pub async fn count(
    db: &ReadDb,
    query: &Query,
    budget: std::time::Duration,
    cancel: &CancellationToken,
) -> Result<Count, StoreError> {
    todo!()
}

/// The newest event older than `before` in the organisation regardless of any filter: what an empty result names.
pub async fn newest(
    db: &ReadDb,
    scope: &OrgScope,
    before: Option<Timestamp>,
    cancel: &CancellationToken,
) -> Result<Option<EventRow>, StoreError> {
    todo!()
}
