//! A view of events: opened, continued and counted, once for both shells.

use crate::domain::{EventKey, EventRow, OrgScope, TimeRange, Timestamp};
use crate::filter::{Filter, PartialSides};
use crate::store::aggregate::answers;
use crate::store::cache::{Answer, Freshness};
use crate::store::listing::bounds::{self, BoundsError};
use crate::store::listing::cursor::Order;
use crate::store::listing::timeline;
use crate::store::query::{Count, Looked, Pace, Page, Query, Seek};
use crate::store::{ReadDb, StoreError};
use crate::verify::writing::Memory;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// A view whose bounds are not known yet.
#[derive(Debug, Clone, PartialEq)]
pub struct ViewRequest {
    /// The organisation.
    pub scope: OrgScope,
    /// The predicate.
    pub filter: Filter,
    /// Bounds of an earlier visit; else they follow from the filter.
    pub range: Option<TimeRange>,
    /// The clock for relative times.
    pub now: Timestamp,
    /// Length of the default window.
    pub window: Duration,
}

/// Where a view is entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Landing {
    /// At the newest event.
    Newest,
    /// At the oldest event.
    Oldest,
    /// At this event, or where it would stand.
    At(EventKey),
}

/// A view that was opened.
#[derive(Debug, PartialEq, Eq)]
pub struct Opened {
    /// Where it was entered.
    pub landing: Landing,
    /// The bounds, from now on frozen.
    pub range: TimeRange,
    /// Types with states in part, where the filter asks for changes.
    pub sides: PartialSides,
    /// Rows, newest first.
    pub rows: Vec<EventRow>,
    /// Whether there are newer rows than the first.
    pub has_newer: bool,
    /// Whether there are older rows than the last.
    pub has_older: bool,
    /// How far a walk past events that do not match has come.
    pub looked: Option<Looked>,
    /// Place of the row to select.
    pub selected: usize,
    /// The organisation's newest event, filter or not; not looked up where the bounds were known and rows came.
    pub newest: Option<Timestamp>,
    /// For an empty view: the newest event before its window.
    pub nearest_older: Option<Timestamp>,
    /// The time its page took.
    pub took: Duration,
}

/// Opens a view with a page of `limit` rows, its bounds frozen now. `pace` is that of a walk past events that do not match;
/// `writings` remembers which types have states in part.
///
/// # Errors
/// [`BoundsError`] when the filter allows no bounds, or the database cannot be read.
pub async fn open(
    db: &ReadDb,
    writings: &Memory,
    request: ViewRequest,
    landing: Landing,
    (limit, pace): (usize, Pace<'_>),
    cancel: &CancellationToken,
) -> Result<Opened, BoundsError> {
    let ViewRequest { scope, filter, range, now, window } = request;
    let (range, mut newest) = if let Some(range) = range {
        (range, None)
    } else {
        let frozen = bounds::freeze(db, &scope, &filter, now, window, cancel).await?;
        (frozen.range, frozen.newest)
    };
    let mut query = Query { scope, filter, range };
    writings.tell(db, &query.scope, &mut query.filter, cancel).await?;
    let begun = Instant::now();
    let (Page { rows, has_older, has_newer, looked }, selected) = match &landing {
        Landing::Newest => (timeline::page_at(db, &query, &Seek::Newest, limit, pace, cancel).await?, 0),
        Landing::Oldest => {
            let pace = Pace { patience: None, ..pace };
            let page = timeline::page_at(db, &query, &Seek::Oldest, limit, pace, cancel).await?;
            let last = page.rows.len().saturating_sub(1);
            (page, last)
        }
        Landing::At(key) => around(db, &query, key, limit, pace.patience, cancel).await?,
    };
    let took = begun.elapsed();
    let mut nearest_older = None;
    if rows.is_empty() {
        let absence = absence(db, &query.scope, newest, range.since, cancel).await?;
        newest = absence.newest;
        nearest_older = absence.nearest_older.map(|row| row.timestamp);
    }
    let sides = query.filter.partial_sides().clone();
    Ok(Opened {
        landing,
        range,
        sides,
        rows,
        has_newer,
        has_older,
        looked,
        selected,
        newest,
        nearest_older,
        took,
    })
}

/// A page on either side of an event, and the place of the event, or of what comes next below it.
async fn around(
    db: &ReadDb,
    query: &Query,
    key: &EventKey,
    limit: usize,
    patience: Option<Duration>,
    cancel: &CancellationToken,
) -> Result<(Page, usize), StoreError> {
    let at = Seek::AtOrOlderThan(key.clone());
    let unhurried = Pace { patience, progress: None };
    let mut older = timeline::page_at(db, query, &at, limit, unhurried, cancel).await?;
    // A walk on this side continues by itself as soon as there is a row to continue from.
    let comes = !older.rows.is_empty() || older.looked.as_ref().is_some_and(|l| l.resume.is_some());
    let pace = if comes { unhurried } else { Pace::default() };
    let mut newer = timeline::page_at(db, query, &Seek::NewerThan(key.clone()), limit, pace, cancel).await?;
    let selected = if older.rows.is_empty() { newer.rows.len().saturating_sub(1) } else { newer.rows.len() };
    newer.rows.append(&mut older.rows);
    Ok((Page { rows: newer.rows, has_newer: newer.has_newer, ..older }, selected))
}

/// What there is where a view is empty.
#[derive(Debug)]
pub struct Absence {
    /// The organisation's newest event; `None` when it has no events at all.
    pub newest: Option<Timestamp>,
    /// The newest event before the window.
    pub nearest_older: Option<EventRow>,
}

/// What there is outside an empty view whose window begins at `since`. `newest` spares a look-up where it is known.
///
/// # Errors
/// [`StoreError`].
pub async fn absence(
    db: &ReadDb,
    scope: &OrgScope,
    newest: Option<Timestamp>,
    since: Option<Timestamp>,
    cancel: &CancellationToken,
) -> Result<Absence, StoreError> {
    let newest = match newest {
        Some(newest) => Some(newest),
        None => timeline::newest(db, scope, None, cancel).await?.map(|row| row.timestamp),
    };
    let nearest_older = match (newest, since) {
        (Some(_), Some(since)) => timeline::newest(db, scope, Some(since), cancel).await?,
        _ => None,
    };
    Ok(Absence { newest, nearest_older })
}

/// A page, read part by part until it is full, the window ends, or the user cancels: what was found is kept. Each part is
/// told when it has been read; all together at the end where the order asked for is not that of reading. `before` counts
/// the parts that have been read, for progress. True when it was cancelled.
///
/// # Errors
/// Those of `read` and `tell`; a cancellation before the first row.
pub async fn gather<T, E: From<StoreError>>(
    seek: &Seek,
    order: Order,
    limit: usize,
    read: impl AsyncFn(&Seek, usize) -> Result<Page<T>, StoreError>,
    mut tell: impl FnMut(&[T]) -> Result<(), E>,
    before: &Mutex<Looked>,
) -> Result<(Page<T>, bool), E> {
    let mut page = read(seek, limit).await?;
    let ascending = matches!(seek, Seek::Oldest | Seek::NewerThan(_));
    let at_once = ascending == (order == Order::Asc);
    if at_once {
        tell(&page.rows)?;
    }
    let mut interrupted = false;
    while let Some(resume) = page.looked.as_ref().and_then(|looked| looked.resume.clone())
        && page.rows.len() < limit
    {
        if let (Ok(mut before), Some(looked)) = (before.lock(), &page.looked) {
            before.events += looked.events;
            before.found = page.rows.len();
        }
        let on = if ascending { Seek::NewerThan(resume) } else { Seek::OlderThan(resume) };
        let next = match read(&on, limit - page.rows.len()).await {
            Ok(next) => next,
            Err(StoreError::Cancelled) if !page.rows.is_empty() => {
                interrupted = true;
                break;
            }
            Err(e) => return Err(e.into()),
        };
        if at_once {
            tell(&next.rows)?;
        }
        if ascending {
            page.has_newer = next.has_newer;
            page.rows.splice(0..0, next.rows);
        } else {
            page.has_older = next.has_older;
            page.rows.extend(next.rows);
        }
        page.looked = next.looked;
    }
    if !at_once {
        tell(&page.rows)?;
    }
    Ok((page, interrupted))
}

/// The planner's estimate of a query; [`Count::Unknown`] where the planner has nothing to estimate by.
///
/// # Errors
/// [`StoreError`].
pub async fn estimate(db: &ReadDb, query: &Query, cancel: &CancellationToken) -> Result<Count, StoreError> {
    if query.filter.is_beyond_statistics() {
        return Ok(Count::Unknown);
    }
    timeline::estimate(db, query, cancel).await
}

/// The number of events of a query, counted within `budget`, or as it is remembered; else [`estimate`].
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
    let mut answer = answers::count(db, query, budget, wanted, cancel).await?;
    if query.filter.is_beyond_statistics() && matches!(answer.value, Count::Estimate(_)) {
        answer.value = Count::Unknown;
    }
    Ok(answer)
}

/// An honest number beside a page of `shown` events that is not all. A small estimate may be far off, even below what is
/// shown, and to count is cheap there: that is tried for a moment. So it is where the planner has nothing to estimate by.
///
/// # Errors
/// [`StoreError`].
pub async fn count_beside(
    db: &ReadDb,
    query: &Query,
    shown: u64,
    cancel: &CancellationToken,
) -> Result<Count, StoreError> {
    const SMALL: u64 = 10_000;
    const MOMENT: Duration = Duration::from_millis(200);
    let mut count = estimate(db, query, cancel).await?;
    let is_beyond = count == Count::Unknown;
    if is_beyond || matches!(count, Count::Estimate(n) if n <= shown.max(SMALL)) {
        count = timeline::count(db, query, MOMENT, cancel).await?;
    }
    Ok(match count {
        Count::Estimate(n) if is_beyond || n <= shown => Count::AtLeast(shown + 1),
        count => count,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_part_of_a_page_is_told_when_it_has_been_read() {
        for (seek, order, parts) in [
            (Seek::Newest, Order::Desc, 2),
            (Seek::Oldest, Order::Asc, 2),
            // The page before: read towards the present, written towards the past.
            (Seek::Oldest, Order::Desc, 1),
        ] {
            let read = async |seek: &Seek, limit: usize| {
                let (rows, resume) = match seek {
                    Seek::Newest => (vec![9, 8], Some(8)),
                    Seek::OlderThan(_) => (vec![7, 6], None),
                    Seek::Oldest => (vec![7, 6], Some(7)),
                    _ => (vec![9, 8], None),
                };
                assert!(rows.len() <= limit);
                let resume = resume
                    .map(|at| EventKey { timestamp: Timestamp::from_micros(at), event_id: String::new() });
                let looked = Some(Looked { events: 10, found: 2, resume, ..Looked::default() });
                Ok(Page { rows, has_older: true, has_newer: true, looked })
            };
            let told = Mutex::new(Vec::new());
            let tell = |part: &[i32]| {
                told.lock().unwrap().push(part.to_vec());
                Ok(())
            };
            let (gathered, interrupted) =
                gather::<_, StoreError>(&seek, order, 4, read, tell, &Mutex::new(Looked::default()))
                    .await
                    .unwrap();
            assert_eq!((gathered.rows, interrupted), (vec![9, 8, 7, 6], false));
            assert_eq!(told.into_inner().unwrap().len(), parts);
        }
    }
}
