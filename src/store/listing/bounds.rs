//! The time terms of a filter as absolute bounds, where the database has to say what they are.

use crate::domain::{EventKey, OrgScope, Safe, TimeRange, Timestamp};
use crate::filter::{Around, Center, Filter, RangeError};
use crate::store::listing::timeline;
use crate::store::query::{Query, Seek};
use crate::store::{ReadDb, StoreError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Events on either side that `around:` shows without a `span:`.
pub const NEIGHBOURS: usize = 50;

/// Bounds, from now on frozen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Absolute bounds, frozen when the filter was run.
    pub range: TimeRange,
    /// Time of the organisation's newest event, where it was looked up: the default window ends there.
    pub newest: Option<Timestamp>,
}

/// Why there are no bounds.
#[derive(Debug, thiserror::Error)]
pub enum BoundsError {
    /// The filter does not allow any.
    #[error(transparent)]
    Range(#[from] RangeError),
    /// `around:` an event that the organisation does not have.
    #[error("'{id}' is neither a time nor the id of an event of organisation '{organization}'")]
    NoEvent {
        /// As written.
        id: Safe,
        /// The organisation.
        organization: Safe,
    },
    /// The database could not be asked.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The bounds of a filter at the instant `now`. The newest event is only asked for where the default window needs it.
///
/// # Errors
/// [`BoundsError`].
pub async fn freeze(
    db: &ReadDb,
    scope: &OrgScope,
    filter: &Filter,
    now: Timestamp,
    default_window: Duration,
    cancel: &CancellationToken,
) -> Result<Bounds, BoundsError> {
    let newest = if filter.has_window() {
        None
    } else {
        timeline::newest(db, scope, None, cancel).await?.map(|e| e.timestamp)
    };
    let range = match (filter.range(now, newest, default_window), filter.around()) {
        (Err(RangeError::Surroundings), Some(around)) => {
            surroundings(db, scope, filter, around, now, cancel).await?
        }
        (range, _) => range?,
    };
    Ok(Bounds { range, newest })
}

async fn surroundings(
    db: &ReadDb,
    scope: &OrgScope,
    filter: &Filter,
    around: &Around,
    now: Timestamp,
    cancel: &CancellationToken,
) -> Result<TimeRange, BoundsError> {
    let center = match &around.center {
        Center::Time(when) => EventKey { timestamp: filter.resolve(*when, now)?, event_id: String::new() },
        Center::Event(id) => match timeline::event(db, scope, id, None, cancel).await? {
            Some(event) => event.row.key(),
            None => {
                return Err(BoundsError::NoEvent {
                    id: Safe::from_untrusted(id).cut_end(80),
                    organization: Safe::from_untrusted(scope.organization().as_str()),
                });
            }
        },
    };
    if let Some(span) = around.span {
        return Ok(Filter::surroundings(center.timestamp, span.as_micros()));
    }
    let query = Query { scope: scope.clone(), filter: filter.clone(), range: TimeRange::default() };
    let older = timeline::page(db, &query, &Seek::OlderThan(center.clone()), NEIGHBOURS, cancel).await?;
    let newer = timeline::page(db, &query, &Seek::NewerThan(center.clone()), NEIGHBOURS, cancel).await?;
    // Newest first; the events of the outermost instants all belong to it.
    let first = older.rows.last().map_or(center.timestamp, |e| e.timestamp);
    let last = newer.rows.first().map_or(center.timestamp, |e| e.timestamp);
    Ok(TimeRange { since: Some(first), until: Some(last.next()) })
}
