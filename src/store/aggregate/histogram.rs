//! How many events fall into each time bucket, one count after the other, and how many of them are no ordinary ones.

use crate::domain::{TimeRange, Timestamp};
use crate::filter::{Expr, Field, Match, Matcher};
use crate::store::cache::Memo;
use crate::store::connection::Link;
use crate::store::listing::timeline;
use crate::store::listing::{filter_sql, page_sql};
use crate::store::query::{Query, Seek};
use crate::store::{ReadDb, StoreError};
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgRow;
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
    /// Those of severity `warning`.
    pub warning: u64,
    /// Those of severity `critical`.
    pub critical: u64,
}

/// The buckets of a query.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Histogram {
    /// Width of a bucket, in seconds; 0 without events.
    pub seconds: i64,
    /// The buckets, oldest first, none left out.
    pub buckets: Vec<Bucket>,
}

/// Counts the events of a query in at most `most` time buckets, from its first event to its last one, and those that are not
/// of severity `info`. All buckets but the newest one are closed: they may be known to `memo`.
///
/// # Errors
/// [`StoreError`].
pub(in crate::store) async fn histogram(
    db: &ReadDb,
    query: &Query,
    most: u32,
    memo: &Memo,
    cancel: &CancellationToken,
) -> Result<Histogram, StoreError> {
    let Some((first, last)) = ends(db, query, cancel).await? else {
        return Ok(Histogram::default());
    };
    let seconds = width(first, last, most);
    let width = seconds * SECOND;
    let newest = last.as_micros().div_euclid(width) * width;
    // Without an index on time every count reads the whole table: then all of them at once.
    let at_once = match db.capabilities(cancel).await?.time_index() {
        Some(_) => None,
        None => {
            let what = format!("buckets by severity {width}");
            let all = async || counts(db, query, width, cancel).await;
            Some(memo.answer::<_, StoreError>(&what, query, |_: &Counts| true, all).await?)
        }
    };
    let severe = match &at_once {
        Some(counts) => counts.clone(),
        None => severe(db, query, (first, newest, width), memo, cancel).await?,
    };
    let mut buckets = Vec::new();
    let mut start = newest;
    while start + width > first.as_micros() {
        let (since, until) = (Timestamp::from_micros(start), Timestamp::from_micros(start + width));
        let range = TimeRange {
            since: Some(since).max(query.range.since),
            until: Some(query.range.until.map_or(until, |bound| bound.min(until))),
        };
        let part = Query { range, ..query.clone() };
        let number = start.div_euclid(width);
        let events = match &at_once {
            Some(counts) => counts.get(&number).map_or(0, |counted| counted.events),
            None if buckets.is_empty() => timeline::counted(db, &part, cancel).await?,
            None => {
                let count = async || timeline::counted(db, &part, cancel).await;
                memo.answer::<_, StoreError>("count", &part, |_: &u64| true, count).await?
            }
        };
        let Column { warning, critical, .. } = severe.get(&number).copied().unwrap_or_default();
        // Others may have come between the two counts.
        let critical = critical.min(events);
        let warning = warning.min(events - critical);
        buckets.push(Bucket { start: since, events, warning, critical });
        start -= width;
    }
    buckets.reverse();
    Ok(Histogram { seconds, buckets })
}

/// Events by the number of their bucket.
type Counts = HashMap<i64, Column>;

/// Warnings and critical events: of the closed buckets by one statement, of the one that begins at `newest` by another.
async fn severe(
    db: &ReadDb,
    query: &Query,
    (first, newest, width): (Timestamp, i64, i64),
    memo: &Memo,
    cancel: &CancellationToken,
) -> Result<Counts, StoreError> {
    let words = ["warning", "critical"].map(|word| Matcher::Equals(word.to_owned()));
    let severe = Expr::Match(Match { field: Field::EventSeverity, any_of: words.into() });
    let part = |range| Query { filter: query.filter.narrowed(severe.clone()), range, ..query.clone() };
    let border = Timestamp::from_micros(newest);
    let since = Some(border).max(query.range.since);
    let mut all = counts(db, &part(TimeRange { since, ..query.range }), width, cancel).await?;
    if first < border {
        let closed = part(TimeRange { until: Some(border), ..query.range });
        let what = format!("buckets by severity {width}");
        let count = async || counts(db, &closed, width, cancel).await;
        all.extend(memo.answer::<_, StoreError>(&what, &closed, |_: &Counts| true, count).await?);
    }
    Ok(all)
}

/// All counts by one statement, by the number of the bucket.
async fn counts(
    db: &ReadDb,
    query: &Query,
    width: i64,
    cancel: &CancellationToken,
) -> Result<Counts, StoreError> {
    let mut sql = QueryBuilder::new("SELECT floor(extract(epoch FROM timestamp) * 1000000 / ");
    sql.push_bind(width).push(")::int8, ").push(BY_SEVERITY).push(" FROM ");
    sql.push(db.relation(cancel).await?.sql());
    page_sql::push_scope(&mut sql, query);
    filter_sql::push_conditions(&mut sql, query, &db.vector(cancel).await?);
    sql.push(" AND isfinite(timestamp) GROUP BY 1");
    let rows = db.run(cancel, async |c: &mut Link| sql.build().fetch_all(c).await).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, Column::of(row)?))).collect()
}

/// Columns 1 to 3 of a statement that counts events.
const BY_SEVERITY: &str = "count(*), count(*) FILTER (WHERE event_severity::text = 'warning'), \
     count(*) FILTER (WHERE event_severity::text = 'critical')";

/// Events of one column of a [`Strip`], by severity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Column {
    /// All of them.
    pub events: u64,
    /// Those of severity `warning`.
    pub warning: u64,
    /// Those of severity `critical`.
    pub critical: u64,
}

impl Column {
    /// Columns 1 to 3 of a row, as [`BY_SEVERITY`] counts them.
    fn of(row: &PgRow) -> Result<Self, sqlx::Error> {
        let count = |column: usize| Ok::<_, sqlx::Error>(row.try_get::<i64, _>(column)?.unsigned_abs());
        Ok(Self { events: count(1)?, warning: count(2)?, critical: count(3)? })
    }
}

/// The events of a query from its first one to its last one, in columns of equal length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Strip {
    /// Time of the first event.
    pub first: Timestamp,
    /// Length of a column, in microseconds; 0 without events.
    pub micros: i64,
    /// The columns, oldest first, at most as many as were asked for.
    pub columns: Vec<Column>,
}

impl Strip {
    /// The column of an instant; that at the nearer end for one outside.
    pub fn column_of(&self, time: Timestamp) -> usize {
        let at = time.as_micros().saturating_sub(self.first.as_micros()) / self.micros.max(1);
        usize::try_from(at.max(0)).unwrap_or_default().min(self.columns.len().saturating_sub(1))
    }

    /// The beginning of a column, and that of the one behind it.
    pub fn times(&self, column: usize) -> (Timestamp, Timestamp) {
        let start = |column: usize| {
            let by = i64::try_from(column).unwrap_or(i64::MAX).saturating_mul(self.micros);
            Timestamp::from_micros(self.first.as_micros().saturating_add(by))
        };
        (start(column), start(column + 1))
    }
}

/// The beginning of the first of at most `most` columns of equal length, and that length: whole minutes, or seconds where it
/// is less, so that the times of a column can be written short.
fn columns(first: Timestamp, last: Timestamp, most: u32) -> (Timestamp, i64) {
    let most = i64::from(most.max(1));
    let fit = |unit: i64| {
        let first = first.as_micros().div_euclid(unit).saturating_mul(unit);
        let units = last.as_micros().saturating_sub(first).saturating_add(unit).div_euclid(unit);
        (first, units.saturating_add(most - 1).div_euclid(most).saturating_mul(unit))
    };
    let (start, micros) = [60 * SECOND, SECOND, 1]
        .into_iter()
        .map(|unit| (unit, fit(unit)))
        .find(|(unit, (_, micros))| micros > unit || *unit == 1)
        .map_or_else(|| fit(1), |(_, fitted)| fitted);
    (Timestamp::from_micros(start), micros)
}

/// Counts the events of a query by time and severity, by one statement: at most `most` columns.
///
/// # Errors
/// [`StoreError`].
pub async fn strip(
    db: &ReadDb,
    query: &Query,
    most: u32,
    cancel: &CancellationToken,
) -> Result<Strip, StoreError> {
    let Some((first, last)) = ends(db, query, cancel).await? else {
        return Ok(Strip { first: Timestamp::from_micros(0), micros: 0, columns: Vec::new() });
    };
    let (first, micros) = columns(first, last, most);
    let mut sql =
        QueryBuilder::new("SELECT least(greatest((extract(epoch FROM timestamp) * 1000000)::int8 - ");
    sql.push_bind(first.as_micros()).push(", 0) / ").push_bind(micros);
    sql.push(", ").push_bind(i64::from(most.max(1)) - 1);
    sql.push(")::int8, ").push(BY_SEVERITY).push(" FROM ");
    sql.push(db.relation(cancel).await?.sql());
    page_sql::push_scope(&mut sql, query);
    filter_sql::push_conditions(&mut sql, query, &db.vector(cancel).await?);
    sql.push(" AND isfinite(timestamp) GROUP BY 1");
    let rows = db.run(cancel, async |c: &mut Link| sql.build().fetch_all(c).await).await?;
    let mut strip = Strip { first, micros, columns: Vec::new() };
    for row in rows {
        let at = usize::try_from(row.try_get::<i64, _>(0)?).unwrap_or_default();
        if strip.columns.len() <= at {
            strip.columns.resize(at + 1, Column::default());
        }
        strip.columns[at] = Column::of(&row)?;
    }
    Ok(strip)
}

/// The times of the first and of the last event of a query; `None` without events, and where an end is infinite.
async fn ends(
    db: &ReadDb,
    query: &Query,
    cancel: &CancellationToken,
) -> Result<Option<(Timestamp, Timestamp)>, StoreError> {
    let end = async |seek: Seek| {
        let page = timeline::page(db, query, &seek, 1, cancel).await?;
        Ok::<_, StoreError>(page.rows.into_iter().map(|row| row.timestamp).find(|time| is_finite(*time)))
    };
    Ok(end(Seek::Oldest).await?.zip(end(Seek::Newest).await?))
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
    fn columns_begin_at_whole_minutes_or_seconds() {
        let at = |text: &str| Timestamp::parse(text).unwrap();
        let fit = |first: &str, last: &str, most: u32| {
            let (start, micros) = columns(at(first), at(last), most);
            let count = (at(last).as_micros() - start.as_micros()) / micros + 1;
            assert!(start <= at(first) && count <= i64::from(most), "{first} {last}: {count} of {most}");
            (start.to_rfc3339(), micros)
        };
        assert_eq!(
            fit("2026-08-31T23:06:12.5Z", "2026-11-29T21:38:36.4Z", 80),
            ("2026-08-31T23:06:00.000000Z".to_owned(), 1_619 * 60 * SECOND)
        );
        let (start, micros) = fit("2026-01-01T00:00:00.25Z", "2026-01-01T00:10:00Z", 100);
        assert_eq!((start.as_str(), micros), ("2026-01-01T00:00:00.000000Z", 7 * SECOND));
        assert_eq!(fit("2026-01-01T00:00:00.000001Z", "2026-01-01T00:00:00.000005Z", 100).1, 1);
        assert_eq!(fit("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", 1).1, 1);
        for most in 1..200 {
            fit("2026-01-01T00:00:00.999999Z", "2026-01-01T00:03:20Z", most);
            fit("2026-01-01T00:00:59Z", "2026-01-01T07:00:00Z", most);
        }
    }

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
