//! The search for ghost changes over a trail: streams events in the order in which they happened to
//! [`crate::diff::ghost`], and looks for gaps of the chain where a change without an event was found.

use super::class::Class;
use super::engine::{self, Request};
use super::progress::Gauge;
use crate::diff::ghost::{Ghost, GhostSearch, TypeReport};
use crate::diff::history::Version;
use crate::diff::json::Limits;
use crate::domain::{CallRecord, EventRow, OrgScope, Timestamp, grouped};
use crate::filter::Filter;
use crate::store::history::states::{self, Seen};
use crate::store::history::{self, Resource};
use crate::store::listing::timeline;
use crate::store::query::{Query, Seek};
use crate::store::{ReadDb, StoreError};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Events of a page.
const PAGE: usize = 1_000;

/// Up to this many resources each history is read by itself; more are picked out of the whole trail.
const FEW: usize = 200;

/// Most resources that a filter may name.
const MAX_RESOURCES: u32 = 100_000;

/// States as they come from [`states`].
const LIMITS: Limits = Limits { bytes: 1 << 20, nodes: 100_000 };

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ghosts {
    /// Events that were read.
    pub events: u64,
    /// Events left out, because a state of theirs is too large or cannot be read.
    pub left_out: u64,
    /// What was found, by resource type.
    pub types: Vec<TypeReport>,
    /// Events whose predecessor in the chain is missing, or that begin a chain anew, in the order of time; looked for
    /// only if a change without an event was found.
    pub gaps: Vec<Gap>,
}

/// An event behind a gap of the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// Its claimed time.
    pub timestamp: Timestamp,
    /// The event.
    pub event_id: String,
}

impl Ghosts {
    /// Changes without an event.
    pub fn total(&self) -> u64 {
        self.types.iter().map(|t| t.total).sum()
    }

    /// Neighbouring events that could be compared.
    pub fn compared(&self) -> u64 {
        self.types.iter().map(|t| t.compared).sum()
    }

    /// Events that record calls and hold no states, and what kind of record the first of them is.
    pub fn calls(&self) -> Option<(u64, &'static CallRecord)> {
        let events = self.types.iter().map(|t| t.calls).sum();
        self.types.iter().find_map(|t| t.record).map(|record| (events, record))
    }

    /// Why nothing could be compared, where that is so.
    pub fn incomparable(&self) -> Option<String> {
        if self.compared() > 0 {
            return None;
        }
        Some(match self.calls() {
            Some((n, record)) => format!(
                "the {} that were read record calls ({}), not states: there is nothing to compare",
                if n == 1 { "event".to_owned() } else { format!("{} events", grouped(n)) },
                record.title
            ),
            None => "no two events of one resource could be compared".to_owned(),
        })
    }

    /// The gaps of the chain in the time in which a change happened: where there is one, a row may be missing.
    pub fn gaps_at<'g>(&'g self, ghost: &Ghost) -> &'g [Gap] {
        let from = self.gaps.partition_point(|gap| gap.timestamp <= ghost.after.1);
        let to = self.gaps.partition_point(|gap| gap.timestamp <= ghost.before.1);
        self.gaps.get(from..to).unwrap_or_default()
    }
}

/// How far a search has come.
#[derive(Debug)]
pub struct Sight<'s> {
    /// Events read so far.
    pub events: u64,
    /// Time of the newest of them.
    pub at: Option<Timestamp>,
    left_out: u64,
    ghosts: &'s GhostSearch,
}

impl Sight<'_> {
    /// What was found so far; gaps of the chain are looked for at the end. How a writer stores states may still turn out
    /// otherwise, and the findings with it.
    pub fn found(&self) -> Ghosts {
        let Self { events, left_out, .. } = *self;
        Ghosts { events, left_out, types: self.ghosts.report(), gaps: Vec::new() }
    }
}

/// Who wants to know how far a search has come.
pub type Watch<'w> = &'w (dyn Fn(&Sight<'_>) + Sync);

/// Searches the resources of all events that match `query`, over the whole of the query's time. `progress` is told now
/// and then how far it has come.
///
/// # Errors
/// [`StoreError`]; also when the filter names too many resources.
pub async fn ghosts(
    db: &ReadDb,
    query: &Query,
    progress: Watch<'_>,
    cancel: &CancellationToken,
) -> Result<Ghosts, StoreError> {
    let whole = Query { filter: Filter::default(), ..query.clone() };
    let mut search = Search {
        db,
        scope: &query.scope,
        progress,
        cancel,
        ghosts: GhostSearch::new(LIMITS),
        events: 0,
        at: None,
        left_out: 0,
    };
    if query.filter.conditions().is_empty() {
        search.stream(&whole, None).await?;
    } else {
        // A filter picks resources. Of these every event counts: without one of them, the next would look like a ghost.
        let resources = history::resources(db, query, MAX_RESOURCES + 1, cancel).await?;
        if resources.len() > MAX_RESOURCES as usize {
            let message =
                format!("the filter names more than {MAX_RESOURCES} resources; without it all are searched");
            return Err(StoreError::Other(message));
        }
        if resources.len() <= FEW {
            for resource in &resources {
                let filter = resource.filter().map_err(|e| StoreError::Other(e.to_string()))?;
                search.stream(&Query { filter, ..whole.clone() }, None).await?;
            }
        } else {
            search.stream(&whole, Some(&resources.into_iter().collect())).await?;
        }
    }
    search.tell();
    let Search { ghosts, events, left_out, .. } = search;
    let mut found = Ghosts { events, left_out, types: ghosts.report(), gaps: Vec::new() };
    if found.total() > 0 {
        found.gaps = gaps(db, query, cancel).await?;
    }
    Ok(found)
}

/// What the newest events of a query show of how states are written; enough of them to tell, and no more than are read
/// in a moment.
///
/// # Errors
/// [`StoreError`].
pub(super) async fn of_newest(
    db: &ReadDb,
    query: &Query,
    cancel: &CancellationToken,
) -> Result<Vec<TypeReport>, StoreError> {
    let page = timeline::page(db, query, &Seek::Newest, PAGE, cancel).await?;
    let mut search = Search {
        db,
        scope: &query.scope,
        progress: &|_| {},
        cancel,
        ghosts: GhostSearch::new(LIMITS),
        events: 0,
        at: None,
        left_out: 0,
    };
    search.look_at(page.rows.into_iter().rev().collect()).await?;
    Ok(search.ghosts.report())
}

async fn gaps(db: &ReadDb, query: &Query, cancel: &CancellationToken) -> Result<Vec<Gap>, StoreError> {
    let request = Request { range: query.range, links_only: true, ..Request::whole(query.scope.clone()) };
    let report = engine::verify(db, &request, &Arc::new(Gauge::new()), cancel).await?;
    let behind = |class| matches!(class, Class::MissingPredecessor | Class::AdditionalGenesis);
    let found = report.findings.into_iter().filter(|f| behind(f.class));
    let mut gaps: Vec<Gap> = found
        .filter_map(|f| Some(Gap { timestamp: Timestamp::parse(&f.timestamp).ok()?, event_id: f.event_id }))
        .collect();
    gaps.sort_by(|a, b| (a.timestamp, &a.event_id).cmp(&(b.timestamp, &b.event_id)));
    Ok(gaps)
}

struct Search<'s> {
    db: &'s ReadDb,
    scope: &'s OrgScope,
    progress: Watch<'s>,
    cancel: &'s CancellationToken,
    ghosts: GhostSearch,
    events: u64,
    at: Option<Timestamp>,
    left_out: u64,
}

impl Search<'_> {
    /// Reads the events of a query, oldest first, and looks at those of some resources, or at all.
    async fn stream(&mut self, query: &Query, only: Option<&HashSet<Resource>>) -> Result<(), StoreError> {
        let mut seek = Seek::Oldest;
        // Events of one instant may be spread over pages, and their order is not that of their ids.
        let mut instant: Vec<EventRow> = Vec::new();
        loop {
            let page = timeline::page(self.db, query, &seek, PAGE, self.cancel).await?;
            let Some(newest) = page.rows.first() else { break };
            seek = Seek::NewerThan(newest.key());
            self.events += page.rows.len() as u64;
            self.at = Some(newest.timestamp);
            self.tell();
            let mut rows = std::mem::take(&mut instant);
            let wanted = |row: &EventRow| only.is_none_or(|only| only.contains(&Resource::of(row)));
            rows.extend(page.rows.into_iter().rev().filter(wanted));
            if page.has_newer {
                let last = rows.last().map(|r| r.timestamp);
                let whole = rows.partition_point(|r| Some(r.timestamp) < last);
                instant = rows.split_off(whole);
                // Somebody else's table may hold nothing but one instant: then ids have to do.
                if instant.len() > 50 * PAGE {
                    rows = std::mem::take(&mut instant);
                }
            }
            self.look_at(rows).await?;
            if !page.has_newer {
                break;
            }
        }
        self.look_at(instant).await
    }

    fn tell(&self) {
        let Self { events, at, left_out, ref ghosts, .. } = *self;
        (self.progress)(&Sight { events, at, left_out, ghosts });
    }

    async fn look_at(&mut self, rows: Vec<EventRow>) -> Result<(), StoreError> {
        let rows = in_chain_order(rows, link);
        for rows in rows.chunks(PAGE) {
            let keys: Vec<_> = rows.iter().map(EventRow::key).collect();
            let seen = states::of(self.db, self.scope, &keys, self.cancel).await?;
            for (row, seen) in rows.iter().zip(seen) {
                match seen {
                    Seen::Whole(event) => {
                        self.ghosts.observe(&row.resource_type, &row.resource_id, &Version::from(&*event));
                    }
                    // Without its states nothing is known of the resource until the next event.
                    Seen::Large(_) | Seen::Unreadable(_) | Seen::Gone => {
                        self.left_out += 1;
                        self.ghosts.forget(&row.resource_type, &row.resource_id);
                    }
                }
            }
        }
        Ok(())
    }
}

/// Time, hash and previous hash of an event.
type Link<'a> = (Timestamp, &'a str, &'a str);

fn link(row: &EventRow) -> Link<'_> {
    (row.timestamp, &row.hash, &row.previous_hash)
}

/// Puts events of the same instant, which come in the order of their ids, into the order of the chain as far as their
/// links say.
fn in_chain_order<T>(rows: Vec<T>, link: fn(&T) -> Link<'_>) -> Vec<T> {
    let mut out = Vec::with_capacity(rows.len());
    let mut rest = rows.into_iter().peekable();
    while let Some(first) = rest.next() {
        let time = link(&first).0;
        let mut group = vec![first];
        while let Some(row) = rest.next_if(|row| link(row).0 == time) {
            group.push(row);
        }
        let order = linked(&group.iter().map(link).collect::<Vec<_>>());
        let mut group: Vec<Option<T>> = group.into_iter().map(Some).collect();
        out.extend(order.into_iter().filter_map(|at| group.get_mut(at)?.take()));
    }
    out
}

/// The places of events of one instant, in the order of their links.
fn linked(group: &[Link<'_>]) -> Vec<usize> {
    let hashes: HashSet<&str> = group.iter().map(|(_, hash, _)| *hash).collect();
    let next: HashMap<&str, usize> =
        group.iter().enumerate().map(|(at, (_, _, previous))| (*previous, at)).collect();
    let begins = group.iter().enumerate().filter(|(_, (_, _, previous))| !hashes.contains(previous));
    // What no beginning leads to (a circle, a fork) follows in the order of the ids.
    let starts = begins.map(|(at, _)| at).chain(0..group.len());
    let mut order = Vec::with_capacity(group.len());
    let mut placed = HashSet::new();
    for start in starts {
        let mut at = Some(start);
        while let Some(here) = at.filter(|at| placed.insert(*at)) {
            order.push(here);
            at = group.get(here).and_then(|(_, hash, _)| next.get(hash).copied());
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    type Row = (i64, &'static str, &'static str, &'static str);

    #[test]
    fn within_an_instant_the_chain_decides() {
        let ids = |rows: &[Row]| {
            let link = |row: &Row| (Timestamp::from_micros(row.0), row.2, row.3);
            let ordered = in_chain_order(rows.to_vec(), link);
            ordered.into_iter().map(|r| r.1).collect::<Vec<_>>().join(" ")
        };
        let rows = [(1, "a", "h3", "h2"), (1, "b", "h1", "h0"), (1, "c", "h2", "h1"), (2, "d", "h0", "")];
        assert_eq!(ids(&rows), "b c a d");
        // A link out of the instant leaves two beginnings, in the order of the ids.
        assert_eq!(ids(&[(1, "a", "h5", "x"), (1, "b", "h1", "y"), (1, "c", "h6", "h5")]), "a c b");
        // Nothing is lost in a circle or a fork.
        assert_eq!(ids(&[(1, "a", "h1", "h2"), (1, "b", "h2", "h1")]), "a b");
        assert_eq!(ids(&[(1, "a", "h1", ""), (1, "b", "h2", "h1"), (1, "c", "h3", "h1")]), "a c b");
    }
}
