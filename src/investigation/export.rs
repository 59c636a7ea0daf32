//! The events of a query as a stream: all of them, oldest first, as they were at one time.

use crate::chain::along_chain;
use crate::domain::{Event, EventKey, Timestamp};
use crate::store::listing::timeline;
use crate::store::query::{Looked, Pace, Query, Seek};
use crate::store::{ReadDb, StoreError};
use tokio_util::sync::CancellationToken;

/// Events of the first page, before it is known how large they are.
const FIRST: usize = 200;
/// Bytes of texts and states that a page is to hold.
const PAGE: usize = 2 << 20;
/// Most events of a page.
const MOST: usize = 2_000;
/// Bytes of events of one instant that are put in the order of the chain; more of them stay in that of their ids.
const INSTANT: usize = 16 << 20;

/// How far a stream has come.
#[derive(Debug, Clone, Default)]
pub struct Streamed {
    /// Events handed on.
    pub events: u64,
    /// The place of the last one.
    pub last: Option<EventKey>,
    /// Instants that hold more events than are put in the order of the chain.
    pub by_id: Vec<Timestamp>,
}

/// Hands on every event of a query, oldest first; those of one instant along the chain, else by id. No more than some
/// megabytes are held, or one event where that is larger.
///
/// `db` decides what is seen: with [`ReadDb::at_one_snapshot`], one state. `progress` is told how far a walk past events
/// that do not match has come.
///
/// # Errors
/// [`StoreError`], also [`StoreError::Cancelled`], and those of `take`.
pub async fn stream<E: From<StoreError>>(
    db: &ReadDb,
    query: &Query,
    progress: Option<&(dyn Fn(&Looked) + Send + Sync)>,
    cancel: &CancellationToken,
    mut take: impl AsyncFnMut(Vec<Event>) -> Result<(), E>,
) -> Result<Streamed, E> {
    let mut streamed = Streamed::default();
    let (mut seek, mut limit) = (Seek::Oldest, FIRST);
    // Events of the last instant, of which the next page may hold more.
    let mut open: Vec<Event> = Vec::new();
    loop {
        let pace = Pace { patience: None, progress };
        let page = timeline::page_with_states(db, query, &seek, limit, pace, cancel).await?;
        let read = page.rows.len();
        let bytes: usize = page.rows.iter().map(size).sum();
        limit = (PAGE / (bytes / read.max(1)).max(1)).clamp(1, MOST);
        if let Some(newest) = page.rows.first() {
            seek = Seek::NewerThan(newest.row.key());
        }
        open.extend(page.rows.into_iter().rev());
        let at_end = !page.has_newer;
        let closed = if at_end { open.len() } else { closed(&open) };
        let rest = open.split_off(closed);
        let mut ready = in_order(std::mem::replace(&mut open, rest));
        if open.iter().map(size).sum::<usize>() > INSTANT {
            let instant = open.last().map(|event| event.row.timestamp);
            streamed.by_id.extend(instant.filter(|at| streamed.by_id.last() != Some(at)));
            ready.append(&mut open);
        }
        streamed.events += ready.len() as u64;
        if let Some(last) = ready.last() {
            streamed.last = Some(last.row.key());
            take(ready).await?;
        }
        if at_end {
            return Ok(streamed);
        }
    }
}

/// How many of the events belong to instants before the last one.
fn closed(events: &[Event]) -> usize {
    let last = events.last().map(|event| event.row.timestamp);
    events.iter().rposition(|event| Some(event.row.timestamp) != last).map_or(0, |at| at + 1)
}

fn in_order(events: Vec<Event>) -> Vec<Event> {
    let mut ordered = Vec::with_capacity(events.len());
    let mut instant: Vec<Event> = Vec::new();
    for event in events {
        if instant.last().is_some_and(|last| last.row.timestamp != event.row.timestamp) {
            ordered.extend(along_chain(std::mem::take(&mut instant)));
        }
        instant.push(event);
    }
    ordered.extend(along_chain(instant));
    ordered
}

/// Bytes that an event takes, roughly: what can be large.
fn size(event: &Event) -> usize {
    let states = [&event.previous_state, &event.new_state];
    let row = &event.row;
    600 + states.into_iter().flatten().map(|state| state.as_str().len()).sum::<usize>()
        + row.actor_user_agent.as_ref().map_or(0, String::len)
}
