//! Aggregates over a query: refused where very many events would have to be read, else computed or remembered.

use super::listing;
use crate::error::{Error, Kind, Result};
use crate::store::aggregate::answers;
use crate::store::aggregate::histogram::{self, Histogram, Strip};
use crate::store::aggregate::summary::{By, MAX_EVENTS, Summary};
use crate::store::cache::{Answer, Freshness};
use crate::store::listing::timeline;
use crate::store::query::{Count, Query};
use crate::store::{ReadDb, StoreError, within};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Refuses to read more than [`MAX_EVENTS`] events, by the planner's estimate, unless `force` insists.
///
/// # Errors
/// Exit 5 when the planner expects too many; exit 3 when it cannot be asked.
pub async fn refuse_too_many(
    db: &ReadDb,
    query: &Query,
    force: bool,
    cancel: &CancellationToken,
) -> Result<()> {
    match timeline::estimate(db, query, cancel).await? {
        Count::Estimate(events) if events > MAX_EVENTS && !force => Err(Error::new(
            Kind::Refused,
            format!("about {events} events would have to be read, more than {MAX_EVENTS}"),
        )
        .hint("narrow the time with since: and until:, or add a field that has an index, such as actor:")
        .hint("--force reads them anyway; --timeout 10m gives each statement longer")),
        _ => Ok(()),
    }
}

/// Event counts per time bucket, at most `buckets` of them.
///
/// # Errors
/// As [`refuse_too_many`]; exit 3 when the database cannot be read.
pub async fn histogram(
    db: &ReadDb,
    query: &Query,
    buckets: u32,
    (wanted, force): (Freshness, bool),
    cancel: &CancellationToken,
) -> Result<Answer<Histogram>> {
    refuse_too_many(db, query, force, cancel).await?;
    Ok(answers::histogram(db, query, buckets, wanted, cancel).await?)
}

/// How long the server may take for a strip in passing.
const STRIP_BUDGET: Duration = Duration::from_secs(2);

/// Events by time and severity for a picture beside a list, at most `columns` of them. `None` where that takes more than can
/// be done in passing: more than [`MAX_EVENTS`] by the planner's estimate, no estimate, or more than two seconds.
///
/// # Errors
/// Those of the database.
pub async fn strip(
    db: &ReadDb,
    query: &Query,
    columns: u32,
    cancel: &CancellationToken,
) -> std::result::Result<Option<Strip>, StoreError> {
    let few = matches!(listing::estimate(db, query, cancel).await?, Count::Estimate(events) if events <= MAX_EVENTS);
    if !few {
        return Ok(None);
    }
    match within(
        STRIP_BUDGET,
        cancel,
        |stop| async move { histogram::strip(db, query, columns, &stop).await },
    )
    .await
    {
        Err(StoreError::TimedOut { .. }) if !cancel.is_cancelled() => Ok(None),
        counted => counted,
    }
}

/// Totals by columns, the largest `limit` groups; `actors` counts the actors of each, too.
///
/// # Errors
/// As [`refuse_too_many`]; exit 3 when the database cannot be read.
pub async fn totals(
    db: &ReadDb,
    query: &Query,
    (by, actors, limit): (&[By], bool, u32),
    (wanted, force): (Freshness, bool),
    cancel: &CancellationToken,
) -> Result<Answer<Summary>> {
    refuse_too_many(db, query, force, cancel).await?;
    Ok(answers::groups(db, query, by, actors, limit, wanted, cancel).await?)
}
