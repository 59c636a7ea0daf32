//! What a view will cost, before it is opened: guesses of the planner, and what would make it cheaper.

use crate::domain::TimeRange;
use crate::filter::Filter;
use crate::store::listing::explain::{self, Way};
use crate::store::listing::timeline;
use crate::store::query::{Count, Query, Seek};
use crate::store::{ReadDb, StoreError};
use tokio_util::sync::CancellationToken;

/// Events of the page that is guessed at.
const PAGE: usize = 100;
/// Looking at fewer events than this needs no advice.
const MANY: u64 = 200_000;

/// A guess. Every number in it is the planner's.
#[derive(Debug, Clone, PartialEq)]
pub struct Cost {
    /// Events that match; unknown where the server has nothing to guess by.
    pub events: Count,
    /// How the first page is found.
    pub way: Way,
    /// The indexes that it is found by.
    pub indexes: Vec<String>,
    /// Events that have to be looked at for it, where no index serves the whole filter; at the most, where it is unknown
    /// how many match.
    pub looked_at: Option<u64>,
    /// What the planner expects the page to cost, in its own unit.
    pub units: f64,
    /// Terms that would make it cheaper, as they are typed.
    pub cheaper: Vec<&'static str>,
}

/// Fields with the column that an index on them begins with.
const INDEXED: [(&str, &str); 6] = [
    ("actor:", "actor_id"),
    ("res:", "resource_type"),
    ("type:", "event_category"),
    ("sess:", "session_id"),
    ("req:", "request_id"),
    ("ip:", "actor_ip"),
];

/// Guesses what the first page of a query will cost.
///
/// # Errors
/// [`StoreError`].
pub async fn guess(db: &ReadDb, query: &Query, cancel: &CancellationToken) -> Result<Cost, StoreError> {
    let events = if query.filter.is_beyond_statistics() {
        Count::Unknown
    } else {
        timeline::estimate(db, query, cancel).await?
    };
    let page = explain::page(db, query, &Seek::Newest, PAGE, false, cancel).await?;
    let units: f64 = page.statements.iter().map(|statement| statement.plan.cost).sum();
    let mut cost =
        Cost { events, way: page.way, indexes: page.meant, looked_at: None, units, cheaper: Vec::new() };
    if matches!(cost.way, Way::Walk | Way::Scan) {
        let everything = Query { filter: Filter::default(), ..query.clone() };
        let of = timeline::estimate(db, &everything, cancel).await?.value().unwrap_or(1).max(1);
        let matching = events.value().unwrap_or(1).max(1);
        let piece = explain::first_piece(db);
        let looked_at = if cost.way == Way::Scan {
            db.capabilities(cancel).await?.estimated_rows.unwrap_or(of)
        } else {
            of.min((PAGE as u64).saturating_mul(of).div_ceil(matching))
        };
        cost.units *= (looked_at as f64 / piece as f64).max(1.0);
        cost.looked_at = Some(looked_at);
        if looked_at > MANY {
            cost.cheaper = cheaper(db, query, cancel).await?;
        }
    }
    Ok(cost)
}

async fn cheaper(
    db: &ReadDb,
    query: &Query,
    cancel: &CancellationToken,
) -> Result<Vec<&'static str>, StoreError> {
    const WEEK: i64 = 7 * 86_400 * 1_000_000;
    let capabilities = db.capabilities(cancel).await?;
    let has = |column: &str| {
        capabilities.indexes.iter().any(|index| {
            let mut keys = index.keys.iter().map(|key| key.of.as_str());
            index.is_ordered() && keys.next() == Some("organization_id") && keys.next() == Some(column)
        })
    };
    let mut terms: Vec<&str> =
        INDEXED.iter().filter(|(_, column)| has(column)).map(|(term, _)| *term).take(3).collect();
    let TimeRange { since, until } = query.range;
    let is_short = since.zip(until).is_some_and(|(a, b)| b.as_micros().saturating_sub(a.as_micros()) <= WEEK);
    if !is_short {
        terms.push("since:-7d");
    }
    Ok(terms)
}
