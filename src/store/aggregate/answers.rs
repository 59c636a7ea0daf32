//! Counts, sums and histograms that may be a few minutes old; see [`crate::store::cache`].

use crate::store::aggregate::histogram::{self, Histogram};
use crate::store::aggregate::summary::{self, By, Summary};
use crate::store::cache::{Answer, Freshness, Memo};
use crate::store::listing::timeline;
use crate::store::query::{Count, Query};
use crate::store::{ReadDb, StoreError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// As [`timeline::count`]. Only a number that was counted is kept.
///
/// # Errors
/// [`StoreError`].
pub async fn count(
    db: &ReadDb,
    query: &Query,
    budget: Duration,
    wanted: Freshness,
    cancel: &CancellationToken,
) -> Result<Answer<Count>, StoreError> {
    let memo = Memo::open(db, wanted, cancel).await?;
    let counted = async || match timeline::count(db, query, budget, cancel).await? {
        Count::Exact(events) => Ok(events),
        guess => Err(NotCounted::Guess(guess)),
    };
    match memo.answer("count", query, |_: &u64| true, counted).await {
        Ok(events) => Ok(memo.done(Count::Exact(events))),
        Err(NotCounted::Guess(guess)) => Ok(memo.done(guess)),
        Err(NotCounted::Failed(error)) => Err(error),
    }
}

/// Why there is nothing to keep.
enum NotCounted {
    Guess(Count),
    Failed(StoreError),
}

impl From<StoreError> for NotCounted {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

/// As [`summary::groups`].
///
/// # Errors
/// [`StoreError`].
pub async fn groups(
    db: &ReadDb,
    query: &Query,
    by: &[By],
    actors: bool,
    limit: u32,
    wanted: Freshness,
    cancel: &CancellationToken,
) -> Result<Answer<Summary>, StoreError> {
    let memo = Memo::open(db, wanted, cancel).await?;
    let names: Vec<&str> = by.iter().map(|by| by.name()).collect();
    let what = format!("groups {} {actors} {limit}", names.join(","));
    let plausible = |summary: &Summary| {
        let whole = summary.groups.iter().all(|g| g.keys.len() == by.len() && g.actors.is_some() == actors);
        whole && summary.groups.len() as u64 <= summary.all_groups.min(limit.into())
    };
    let work = async || summary::groups(db, query, by, actors, limit, cancel).await;
    let summary = memo.answer::<_, StoreError>(&what, query, plausible, work).await?;
    Ok(memo.done(summary))
}

/// As `histogram::histogram`: closed buckets are kept, the newest one is always counted.
///
/// # Errors
/// [`StoreError`].
pub async fn histogram(
    db: &ReadDb,
    query: &Query,
    most: u32,
    wanted: Freshness,
    cancel: &CancellationToken,
) -> Result<Answer<Histogram>, StoreError> {
    let memo = Memo::open(db, wanted, cancel).await?;
    let histogram = histogram::histogram(db, query, most, &memo, cancel).await?;
    Ok(memo.done(histogram))
}
