//! The events of a query as a stream: all of them, oldest first, as they were at one time.
//!
//! Reading and decoding are two things, so that the server has its next page to do while this machine decodes and
//! writes the last one: [`parts`] asks and hands on what comes, an [`Arrangement`] makes events of it, on any thread.

use crate::chain::along_chain;
use crate::domain::{Event, Timestamp};
use crate::store::listing::timeline;
use crate::store::query::{Looked, Pace, Query, Seek};
use crate::store::{ReadDb, StoreError, StoredEvent};
use tokio_util::sync::CancellationToken;

/// Events of the first page, before it is known how large they are.
const FIRST: usize = 200;
/// Bytes of events that a page is to hold.
const PAGE: usize = 3 << 20;
/// Most events of a page.
const MOST: usize = 3_000;
/// Bytes of an event beside those of its large values.
const BESIDE: usize = 600;
/// Bytes of events of one instant that are put in the order of the chain; more of them stay in that of their ids.
const INSTANT: usize = 16 << 20;

/// A page of a stream, as the server has sent it.
pub struct Part {
    /// Oldest last.
    rows: Vec<StoredEvent>,
    /// Nothing comes behind it.
    is_last: bool,
}

impl Part {
    /// Its events.
    pub fn events(&self) -> u64 {
        self.rows.len() as u64
    }
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
) -> Result<(), E> {
    let mut arrangement = Arrangement::default();
    parts(db, query, progress, cancel, async |part| take(arrangement.take(part)?).await).await
}

/// As [`stream`], as the server sends the events: an [`Arrangement`] makes events of the parts, in this order.
///
/// # Errors
/// As [`stream`].
pub async fn parts<E: From<StoreError>>(
    db: &ReadDb,
    query: &Query,
    progress: Option<&(dyn Fn(&Looked) + Send + Sync)>,
    cancel: &CancellationToken,
    mut take: impl AsyncFnMut(Part) -> Result<(), E>,
) -> Result<(), E> {
    let (mut seek, mut limit) = (Seek::Oldest, FIRST);
    loop {
        let pace = Pace { patience: None, progress };
        let page = timeline::page_as_stored(db, query, &seek, limit, pace, cancel).await?;
        let bytes: usize = page.rows.iter().map(|event| BESIDE + event.large_bytes()).sum();
        limit = (PAGE / (bytes / page.rows.len().max(1)).max(1)).clamp(1, MOST);
        if let Some(newest) = page.rows.first() {
            seek = Seek::NewerThan(newest.key().clone());
        }
        let is_last = !page.has_newer;
        take(Part { rows: page.rows, is_last }).await?;
        if is_last {
            return Ok(());
        }
    }
}

/// Puts the events of a stream in their order.
#[derive(Debug, Default)]
pub struct Arrangement {
    /// Events of the last instant, of which the next part may hold more.
    open: Vec<Event>,
    by_id: Vec<Timestamp>,
}

impl Arrangement {
    /// Decodes a part, and returns the events whose place is known now.
    ///
    /// # Errors
    /// [`StoreError`], when a value is not what its type says.
    pub fn take(&mut self, part: Part) -> Result<Vec<Event>, StoreError> {
        self.open.reserve(part.rows.len());
        for event in part.rows.into_iter().rev() {
            self.open.push(event.event()?);
        }
        let closed = if part.is_last { self.open.len() } else { closed(&self.open) };
        let rest = self.open.split_off(closed);
        let mut ready = in_order(std::mem::replace(&mut self.open, rest));
        if self.open.iter().map(size).sum::<usize>() > INSTANT {
            let instant = self.open.last().map(|event| event.row.timestamp);
            self.by_id.extend(instant.filter(|at| self.by_id.last() != Some(at)));
            ready.append(&mut self.open);
        }
        Ok(ready)
    }

    /// Instants that hold more events than are put in the order of the chain.
    pub fn instants_by_id(self) -> Vec<Timestamp> {
        self.by_id
    }
}

/// How many of the events belong to instants before the last one.
fn closed(events: &[Event]) -> usize {
    let last = events.last().map(|event| event.row.timestamp);
    events.iter().rposition(|event| Some(event.row.timestamp) != last).map_or(0, |at| at + 1)
}

fn in_order(events: Vec<Event>) -> Vec<Event> {
    let instant = |pair: &[Event]| matches!(pair, [a, b] if a.row.timestamp == b.row.timestamp);
    if !events.windows(2).any(instant) {
        return events;
    }
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
    BESIDE
        + states.into_iter().flatten().map(|state| state.as_str().len()).sum::<usize>()
        + row.actor_user_agent.as_ref().map_or(0, String::len)
}
