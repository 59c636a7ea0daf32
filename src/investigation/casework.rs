//! A case beside the table: which trail its records are about, and what has become of the events that it names.

use crate::case::heads::Verified;
use crate::case::notebook::handover::{self, Handover};
use crate::case::notebook::{Book, CaseFile, Entry, Subject, Trail};
use crate::chain::head::{Memory, Remembered};
use crate::domain::{EventRow, OrgScope, TimeRange};
use crate::filter::{Expr, Filter, Local, Noted, Question, Selection};
use crate::store::listing::timeline;
use crate::store::query::{Query, Seek};
use crate::store::{ReadDb, StoreError};
use crate::verify::{self, Finding};
use std::collections::HashMap;
use tokio_util::sync::CancellationToken;

/// Events that are looked up at once.
const PART: usize = 1_000;

/// What has become of an event that the case names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It is in the table, with the hash that it had.
    Present(Box<EventRow>),
    /// It is in the table with another hash.
    OtherHash(Box<EventRow>),
    /// It is not in the table any more, or hidden from this role.
    Gone,
}

impl Fate {
    /// In words; `None` where nothing is to be said.
    pub fn words(&self) -> Option<&'static str> {
        match self {
            Self::Present(_) => None,
            Self::OtherHash(_) => Some("its hash in the table is another one now"),
            Self::Gone => Some("no longer in the table, or hidden from this role"),
        }
    }
}

/// The trail of an organisation, as a case names it.
///
/// # Errors
/// [`StoreError`].
pub async fn trail(
    db: &ReadDb,
    place: &str,
    scope: &OrgScope,
    cancel: &CancellationToken,
) -> Result<Trail, StoreError> {
    Ok(Trail {
        organization_id: scope.organization().as_str().to_owned(),
        place: place.to_owned(),
        object: verify::identity(db, scope, cancel).await?,
    })
}

/// What a case says about the events of an organisation.
///
/// # Errors
/// [`StoreError`].
pub async fn open(
    db: &ReadDb,
    place: &str,
    scope: &OrgScope,
    file: &CaseFile,
    cancel: &CancellationToken,
) -> Result<Book, StoreError> {
    let trail = trail(db, place, scope, cancel).await?;
    Ok(Book::of(file.load(), Some(&trail)))
}

/// An event of the table as a case names it; `None` when the organisation does not have it.
///
/// # Errors
/// [`StoreError`].
pub async fn subject(
    db: &ReadDb,
    place: &str,
    scope: &OrgScope,
    event_id: &str,
    cancel: &CancellationToken,
) -> Result<Option<Subject>, StoreError> {
    let Some(row) = timeline::event_row(db, scope, event_id, cancel).await? else { return Ok(None) };
    let trail = trail(db, place, scope, cancel).await?;
    Ok(Some(Subject::of(&trail, &row)))
}

/// A query for the events with these ids, whenever they were.
pub fn by_ids(scope: &OrgScope, ids: Vec<String>) -> Query {
    let question = Question::Is(vec![Noted::Bookmarked]);
    let local = Local { question, answer: Some(Selection::Only(ids)) };
    let filter = Filter::of(vec![Expr::Local(local)]);
    Query { scope: scope.clone(), filter, range: TimeRange::default() }
}

/// What contradicts the heads of a trail that were handed over with a case. They are statements of somebody else: nothing
/// is remembered.
///
/// # Errors
/// [`StoreError`].
pub async fn contradictions(
    db: &ReadDb,
    scope: &OrgScope,
    trail: &Trail,
    handover: &Handover,
    cancel: &CancellationToken,
) -> Result<Vec<Finding>, StoreError> {
    let heads = handover.heads.iter().filter(|head| handover::is_of(head, trail));
    // Remembered elsewhere, by whatever name: this is the trail that is meant.
    let here = |head: &Verified| Remembered { place: trail.place.clone(), ..head.trail.clone() };
    let records: Vec<Remembered> = heads.map(here).collect();
    if records.is_empty() {
        return Ok(Vec::new());
    }
    let memory = Memory { place: trail.place.clone(), records, refused: None };
    Ok(verify::compare_heads(db, scope, &memory, &[], cancel).await?.findings)
}

/// What has become of the events of these entries, in their order.
///
/// # Errors
/// [`StoreError`].
pub async fn fates(
    db: &ReadDb,
    scope: &OrgScope,
    entries: &[&Entry],
    cancel: &CancellationToken,
) -> Result<Vec<Fate>, StoreError> {
    let hashes: HashMap<&str, &str> =
        entries.iter().map(|entry| (entry.event.event_id.as_str(), entry.event.hash.as_str())).collect();
    let mut found: HashMap<String, EventRow> = HashMap::new();
    for part in entries.chunks(PART) {
        let query = by_ids(scope, part.iter().map(|entry| entry.event.event_id.clone()).collect());
        let mut seek = Seek::Newest;
        loop {
            let page = timeline::page(db, &query, &seek, PART, cancel).await?;
            let last = page.rows.last().map(EventRow::key);
            for row in page.rows {
                // An id may stand in the table twice; the one that the case has seen is meant.
                let is_meant = hashes.get(row.event_id.as_str()) == Some(&row.hash.as_str());
                if is_meant || !found.contains_key(&row.event_id) {
                    found.insert(row.event_id.clone(), row);
                }
            }
            match last.filter(|_| page.has_older) {
                Some(last) => seek = Seek::OlderThan(last),
                None => break,
            }
        }
    }
    let fate = |entry: &&Entry| match found.get(&entry.event.event_id) {
        Some(row) if entry.is_of(row) => Fate::Present(Box::new(row.clone())),
        Some(row) => Fate::OtherHash(Box::new(row.clone())),
        None => Fate::Gone,
    };
    Ok(entries.iter().map(fate).collect())
}
