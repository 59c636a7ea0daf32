//! Words by an index that knows no time and no organisation: interval after interval, each of a size that the
//! planner expects to be quick, so that the newest events come first and every statement is short.

use crate::domain::{EventKey, EventRow, TimeRange, Timestamp};
use crate::filter::Filter;
use crate::store::connection::capabilities::Ties;
use crate::store::listing::access::Access;
use crate::store::listing::page_sql::{Bound, Direction, Statements};
use crate::store::listing::planner::{Node, account};
use crate::store::listing::search::index::TextIndex;
use crate::store::listing::walk::{self, Shape, Walk, Walked};
use crate::store::query::{Looked, Pace, Query, Seek};
use crate::store::row::ROW_COLUMNS;
use crate::store::{ReadDb, StoreError, row};
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// The first interval.
const FIRST: Duration = Duration::from_hours(3 * 24);
/// No interval is shorter: then the events in it are looked at one by one.
const SHORTEST: Duration = Duration::from_hours(1);
/// Each interval is longer than the one before by this factor, unless that one took long.
const GROWTH: u32 = 4;
/// An interval that took longer is followed by a shorter one.
const LONG: Duration = Duration::from_millis(75);
/// An interval that took longer than this is not followed by a longer one.
const SHORT: Duration = Duration::from_millis(25);
/// Most entries of the index that a statement may go through: all of a word are read, whatever the time. A million
/// takes about 140 ms.
const MOST_ENTRIES: f64 = 500_000.0;
/// Most events that a statement may fetch and compare: about 20 µs each.
const MOST_FETCHED: f64 = 3_000.0;

/// Most that the planner may expect to pay for computing the words of events, in its own unit: that is some 1 000 of
/// them.
const MOST_COMPUTED: f64 = 400.0;

/// What the planner means to do with an interval.
#[derive(Debug, PartialEq)]
enum Plan {
    /// To ask the index on words, for few enough events.
    Index,
    /// To fetch too many.
    TooMuch,
    /// To compute the words of too many, or the word is too frequent.
    Other,
}

impl Plan {
    fn of(root: &Node) -> Self {
        let nodes = root.all();
        let entries: f64 = nodes.iter().filter(|n| asks_for_words(n)).map(|n| n.rows_estimated).sum();
        // Where the words of every event are computed: all of a small partition, say.
        let computed: f64 = nodes
            .iter()
            .filter(|node| node.relation.is_some() && node.operation != "Bitmap Heap Scan")
            .filter(|node| node.filter.as_deref().is_some_and(|filter| filter.contains("@@")))
            .map(|node| node.cost)
            .sum();
        let fetched: f64 = nodes
            .iter()
            .filter(|node| node.operation == "Bitmap Heap Scan")
            .filter_map(|node| node.children.first())
            .map(|bitmap| bitmap.rows_estimated)
            .sum();
        if entries > MOST_ENTRIES || computed > MOST_COMPUTED {
            Self::Other
        } else if fetched > MOST_FETCHED {
            Self::TooMuch
        } else {
            Self::Index
        }
    }
}

/// Whether the node goes through the entries of an index on words.
pub(in crate::store) fn asks_for_words(node: &Node) -> bool {
    let condition = node.index_condition.as_deref();
    node.operation == "Bitmap Index Scan" && condition.is_some_and(|condition| condition.contains("@@"))
}

/// The part of a query in an interval that begins at `from`, and the end of the interval, which belongs to it;
/// `None` where the interval reaches the end of the trail.
fn interval(
    query: &Query,
    from: Timestamp,
    length: Duration,
    end: Timestamp,
    ascending: bool,
) -> (Query, Option<Timestamp>) {
    let length = i64::try_from(length.as_micros()).unwrap_or(i64::MAX);
    let sign = if ascending { 1 } else { -1 };
    let edge = from.as_micros().saturating_add(length.saturating_mul(sign));
    let edge = Timestamp::from_micros(edge);
    let ends = if ascending { edge >= end } else { edge <= end };
    let edge = if ends { end } else { edge };
    let (first, last) = if ascending { (from, edge) } else { (edge, from) };
    // Behind infinity there is nothing that could be excluded.
    let behind = last.as_micros().checked_add(1).map(Timestamp::from_micros);
    let since = Some(first).max(query.range.since);
    let until = [behind, query.range.until].into_iter().flatten().min();
    let part = Query { range: TimeRange { since, until }, ..query.clone() };
    (part, (!ends).then_some(edge))
}

/// The first interval from an event on, as it is asked for, for the account of a page.
pub(in crate::store) fn first(query: &Query, from: Timestamp, ascending: bool) -> Query {
    let end = Timestamp::from_micros(if ascending { i64::MAX } else { i64::MIN });
    interval(query, from, FIRST, end, ascending).0
}

/// How the events of an interval are read: all that have the words, sorted afterwards.
pub(in crate::store) fn access(index: &TextIndex) -> Access {
    Access::Words { index: index.name.clone(), function: None }
}

/// The key behind which a walk goes on that has come to the end of an interval.
fn key_behind(edge: Timestamp, direction: Direction) -> EventKey {
    let next = i64::from(direction.ascending) - i64::from(direction.ties == Ties::Mirrored);
    let timestamp = Timestamp::from_micros(edge.as_micros().saturating_add(next));
    EventKey { timestamp, event_id: String::new() }
}

impl<T> Walk<'_, T> {
    /// Goes on behind an event, interval by interval. `rows` were found among the `events` before.
    pub(in crate::store) async fn in_intervals(
        self,
        index: &TextIndex,
        key: EventKey,
        mut rows: Vec<T>,
        mut events: u64,
    ) -> Result<Walked<T>, StoreError> {
        let direction = self.statements.direction;
        let Some(end) =
            end_of_trail(self.db, self.statements.query, direction.ascending, self.cancel).await?
        else {
            return Ok(done(rows, events));
        };
        let access = access(index);
        let mut from = key.timestamp;
        let mut pieces = direction.behind(&key, false);
        let mut length = FIRST;
        loop {
            let (part, edge) = interval(self.statements.query, from, length, end, direction.ascending);
            let statements = Statements { query: &part, access: &access, ..self.statements };
            let wanted = self.limit - rows.len();
            let bound = pieces.back().unwrap_or(&Bound::Open);
            let plan = plan(self.db, &statements, bound, wanted, self.cancel).await?;
            let resume = match Plan::of(&plan) {
                Plan::TooMuch if length > SHORTEST => {
                    length = (length / GROWTH).max(SHORTEST);
                    continue;
                }
                Plan::Index | Plan::TooMuch => {
                    let begun = Instant::now();
                    for bound in std::mem::take(&mut pieces) {
                        if rows.len() < self.limit {
                            self.read_by(&statements, &bound, &mut rows, 0).await?;
                        }
                    }
                    length = match begun.elapsed() {
                        took if took > LONG => (length / GROWTH).max(SHORTEST),
                        took if took > SHORT => length,
                        _ => length.saturating_mul(GROWTH),
                    };
                    let Some(edge) = edge else { return Ok(done(rows, events)) };
                    pieces = [Bound::Beyond(edge)].into();
                    from = edge;
                    key_behind(edge, direction)
                }
                // One by one past so many, and then another try.
                Plan::Other => {
                    let Some(key) = self.step_over(&mut pieces, &mut rows, &mut events).await? else {
                        return Ok(done(rows, events));
                    };
                    from = key.timestamp;
                    key
                }
            };
            if rows.len() >= self.limit {
                return Ok(done(rows, events));
            }
            let looked =
                Looked { events, found: rows.len(), resume: Some(resume), percent: None, by_words: true };
            if self.is_to_pause(&looked) {
                return Ok(Walked { rows, looked: Some(looked) });
            }
        }
    }

    /// Looks at a number of events one by one; the last of them, or none at the end of the trail.
    async fn step_over(
        &self,
        pieces: &mut VecDeque<Bound>,
        rows: &mut Vec<T>,
        events: &mut u64,
    ) -> Result<Option<EventKey>, StoreError> {
        let steps = self.step().max(1) as usize;
        while let Some(bound) = pieces.pop_front() {
            self.read_by(&self.statements, &bound, rows, steps).await?;
            if rows.len() >= self.limit {
                return Ok(None);
            }
            let Some(key) = self.boundary(&bound, steps).await? else { continue };
            *events += steps as u64;
            match bound {
                // What lies behind the instant is in line already.
                Bound::Tie { .. } => pieces.push_front(Bound::Tie { key: key.clone(), inclusive: false }),
                _ => *pieces = self.statements.direction.behind(&key, false),
            }
            return Ok(Some(key));
        }
        Ok(None)
    }
}

/// The end of a walk.
fn done<T>(rows: Vec<T>, events: u64) -> Walked<T> {
    let looked = Looked { events, found: rows.len(), by_words: true, ..Looked::default() };
    Walked { rows, looked: Some(looked) }
}

/// The time of the last event of the organisation and the range in the direction of a walk.
async fn end_of_trail(
    db: &ReadDb,
    query: &Query,
    ascending: bool,
    cancel: &CancellationToken,
) -> Result<Option<Timestamp>, StoreError> {
    let everything = Query { filter: Filter::default(), ..query.clone() };
    let seek = if ascending { Seek::Newest } else { Seek::Oldest };
    let shape = Shape { columns: row::ROW_COLUMNS, decode: |row| row::event_row(&row), key: EventRow::key };
    let last = Box::pin(walk::rows(db, &everything, &seek, 1, shape, Pace::default(), cancel)).await?;
    Ok(last.rows.first().map(|event| event.timestamp))
}

/// The plan of a page that begins there, without running it.
///
/// # Errors
/// [`StoreError`].
pub(in crate::store) async fn plan(
    db: &ReadDb,
    statements: &Statements<'_>,
    bound: &Bound,
    limit: usize,
    cancel: &CancellationToken,
) -> Result<Node, StoreError> {
    let statements = Statements { prefix: "EXPLAIN (FORMAT JSON) ", ..*statements };
    let mut explain = statements.page(ROW_COLUMNS, bound, limit, 0);
    Ok(account(db, &mut explain, cancel).await?.plan)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{OrgId, OrgScope};

    fn node(operation: &str, rows: f64, condition: &str, children: Vec<Node>) -> Node {
        let mut node: Node = serde_json::from_str(
            r#"{"Node Type": "", "Total Cost": 5000.0, "Plan Rows": 0, "Relation Name": "audit_events"}"#,
        )
        .unwrap();
        node.operation = operation.to_owned();
        node.rows_estimated = rows;
        let is_index = operation == "Bitmap Index Scan";
        *(if is_index { &mut node.index_condition } else { &mut node.filter }) = Some(condition.to_owned());
        node.children = children;
        node
    }

    #[test]
    fn what_the_planner_means_to_do_decides_how_a_interval_is_read() {
        let by_index = |entries, fetched| {
            let words = node("Bitmap Index Scan", entries, "to_tsvector(x) @@ 'a'", Vec::new());
            let both = node("BitmapAnd", fetched, "", vec![words]);
            Plan::of(&node("Bitmap Heap Scan", fetched, "", vec![both]))
        };
        assert_eq!(by_index(400_000.0, 2_000.0), Plan::Index);
        assert_eq!(by_index(400_000.0, 20_000.0), Plan::TooMuch);
        assert_eq!(by_index(900_000.0, 10.0), Plan::Other, "too frequent a word");
        let computed = node("Index Scan", 7.0, "to_tsvector(x) @@ 'a'", Vec::new());
        assert_eq!(Plan::of(&computed), Plan::Other);
        assert_eq!(Plan::of(&node("Index Scan", 7.0, "action = 'read'", Vec::new())), Plan::Index);
    }

    #[test]
    fn intervals_follow_one_another_without_gap_or_overlap_to_the_end() {
        let scope = OrgScope::enter(OrgId::new("acme").unwrap());
        let at = |hours: i64| Timestamp::from_micros(hours * 3_600_000_000);
        let range = TimeRange { since: Some(at(-500)), until: Some(at(0)) };
        let query = Query { scope, filter: Filter::default(), range };
        let hours = |n: u64| Duration::from_hours(n);
        let (newest, edge) = interval(&query, at(-10), hours(90), at(-200), false);
        assert_eq!((newest.range.since, edge), (Some(at(-100)), Some(at(-100))));
        assert_eq!(newest.range.until, Some(Timestamp::from_micros(at(-10).as_micros() + 1)));
        let (last, edge) = interval(&query, at(-100), hours(360), at(-200), false);
        assert_eq!((last.range.since, edge), (Some(at(-200)), None));
        let (rising, edge) = interval(&query, at(-200), hours(90), at(-1), true);
        assert_eq!((rising.range.since, edge), (Some(at(-200)), Some(at(-110))));
        let (end, _) = interval(&query, at(-90), hours(u64::from(u32::MAX)), Timestamp::INFINITY, true);
        assert_eq!(end.range.until, Some(at(0)), "never behind the window");
        // Where a page is left, the next one begins with the next instant.
        for (ascending, ties, next) in [
            (false, Ties::Aligned, 0),
            (false, Ties::Mirrored, -1),
            (true, Ties::Aligned, 1),
            (true, Ties::Mirrored, 0),
        ] {
            let key = key_behind(at(-100), Direction { ascending, ties, bytewise: false });
            assert_eq!(key.timestamp.as_micros() - at(-100).as_micros(), next, "{ascending} {ties:?}");
        }
    }
}
