//! How many events fall into each time bucket: one count after the other, newest first, so that the picture can be
//! drawn while it is made.

use crate::domain::{TimeRange, Timestamp};
use crate::store::cache::Memo;
use crate::store::connection::Link;
use crate::store::listing::timeline;
use crate::store::listing::{filter_sql, page_sql};
use crate::store::query::{Query, Seek};
use crate::store::{ReadDb, StoreError};
use sqlx::{QueryBuilder, Row as _};
use std::collections::HashMap;
use tokio_util::sync::CancellationToken;

/// Widths that people read with ease, in seconds.
const WIDTHS: [i64; 17] = [
    1, 5, 10, 30, 60, 300, 600, 1_800, 3_600, 10_800, 21_600, 43_200, 86_400, 604_800, 2_592_000, 7_776_000,
    31_536_000,
];
const SECOND: i64 = 1_000_000;

/// A time bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// Its beginning; the first and the last one may be cut off by the bounds of the query.
    pub start: Timestamp,
    /// Events in it.
    pub events: u64,
}

/// The buckets of a query.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Histogram {
    /// Width of a bucket, in seconds; 0 without events.
    pub seconds: i64,
    /// The buckets, oldest first, none left out.
    pub buckets: Vec<Bucket>,
}

/// Counts the events of a query in at most `most` time buckets, from its first event to its last one. Each bucket
/// is told to `progress` when it has been counted. All but the newest one are closed: they may be known to `memo`.
///
/// # Errors
/// [`StoreError`].
pub(in crate::store) async fn histogram(
    db: &ReadDb,
    query: &Query,
    most: u32,
    memo: &Memo,
    progress: &(dyn Fn(&Bucket) + Send + Sync),
    cancel: &CancellationToken,
) -> Result<Histogram, StoreError> {
    let end = async |seek: Seek| {
        let page = timeline::page(db, query, &seek, 1, cancel).await?;
        Ok::<_, StoreError>(page.rows.into_iter().map(|row| row.timestamp).find(|time| is_finite(*time)))
    };
    let (Some(first), Some(last)) = (end(Seek::Oldest).await?, end(Seek::Newest).await?) else {
        return Ok(Histogram::default());
    };
    let seconds = width(first, last, most);
    let width = seconds * SECOND;
    // Without an index on time every count reads the whole table: then all of them at once.
    let at_once = match db.capabilities(cancel).await?.time_index() {
        Some(_) => None,
        None => {
            let what = format!("buckets {width}");
            let all = async || counts(db, query, width, cancel).await;
            Some(memo.answer::<_, StoreError>(&what, query, |_: &HashMap<i64, u64>| true, all).await?)
        }
    };
    let mut buckets = Vec::new();
    let mut start = last.as_micros().div_euclid(width) * width;
    while start + width > first.as_micros() {
        let (since, until) = (Timestamp::from_micros(start), Timestamp::from_micros(start + width));
        let range = TimeRange {
            since: Some(since).max(query.range.since),
            until: Some(query.range.until.map_or(until, |bound| bound.min(until))),
        };
        let part = Query { range, ..query.clone() };
        let events = match &at_once {
            Some(counts) => counts.get(&start.div_euclid(width)).copied().unwrap_or_default(),
            None if buckets.is_empty() => timeline::counted(db, &part, cancel).await?,
            None => {
                let count = async || timeline::counted(db, &part, cancel).await;
                memo.answer::<_, StoreError>("count", &part, |_: &u64| true, count).await?
            }
        };
        let bucket = Bucket { start: since, events };
        progress(&bucket);
        buckets.push(bucket);
        start -= width;
    }
    buckets.reverse();
    Ok(Histogram { seconds, buckets })
}

/// All counts by one statement, by the number of the bucket.
async fn counts(
    db: &ReadDb,
    query: &Query,
    width: i64,
    cancel: &CancellationToken,
) -> Result<HashMap<i64, u64>, StoreError> {
    let mut sql = QueryBuilder::new("SELECT floor(extract(epoch FROM timestamp) * 1000000 / ");
    sql.push_bind(width).push(")::int8, count(*) FROM ").push(db.relation(cancel).await?.sql());
    page_sql::push_scope(&mut sql, query);
    filter_sql::push_conditions(&mut sql, query, &db.vector(cancel).await?);
    sql.push(" AND isfinite(timestamp) GROUP BY 1");
    let rows = db.run(cancel, async |c: &mut Link| sql.build().fetch_all(c).await).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get::<i64, _>(1)?.unsigned_abs()))).collect()
}

/// `infinity` is a legal time of an event, but no place on a line.
fn is_finite(time: Timestamp) -> bool {
    time.to_utc().is_some()
}

/// The narrowest width with which the buckets are not too many.
fn width(first: Timestamp, last: Timestamp, most: u32) -> i64 {
    // Two, because a border may lie between the first event and the last one, however wide a bucket is.
    let most = i64::from(most.max(2));
    let buckets = |seconds: i64| {
        let width = seconds * SECOND;
        last.as_micros().div_euclid(width) - first.as_micros().div_euclid(width) + 1
    };
    let fits = |seconds: &i64| buckets(*seconds) <= most;
    WIDTHS.into_iter().find(fits).unwrap_or_else(|| {
        // Beyond centuries: whole numbers of years.
        let year = 31_536_000;
        let mut years = 2;
        while buckets(year * years) > most && years < 1 << 18 {
            years *= 2;
        }
        year * years
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_as_narrow_as_their_number_allows() {
        let at = |seconds: i64| Timestamp::from_micros(seconds * SECOND);
        assert_eq!(width(at(0), at(59), 60), 1);
        assert_eq!(width(at(0), at(60), 60), 5);
        assert_eq!(width(at(0), at(90 * 86_400), 100), 86_400);
        assert_eq!(width(at(0), at(90 * 86_400), 1), 7_776_000);
        // A border in between, and all of the time there is.
        assert_eq!(width(at(-1), at(0), 1), 1);
        assert!(width(at(-200_000_000_000), at(8_200_000_000_000), 2) > 31_536_000);
        assert_eq!(width(at(5), at(5), 1), 1);
    }
}
