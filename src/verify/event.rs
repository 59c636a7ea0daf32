//! One event: its content, its predecessor, its successors.

use super::class::Class;
use super::detect::{Detected, SchemeSource, detect};
use super::report::{SchemeUsed, Verdict};
use crate::chain::links::parse_hash;
use crate::chain::{Content, Judge, Judgement, Row, Scheme};
use crate::domain::{Event, EventRow, OrgScope};
use crate::store::history::links;
use crate::store::listing::timeline;
use crate::store::{ReadDb, StoreError};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

/// Bytes hashed in search of other spellings of an event that is looked at: a second or two.
const BUDGET: u64 = 3 << 29;

/// What is known of one event. Serialised, it is the output of `verify --event ID --format json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the fields are the keys of the output, described in docs/guide/verify.md")]
pub struct EventReport {
    pub schema_version: u32,
    pub organization_id: String,
    pub event_id: String,
    pub timestamp: String,
    pub verdict: Verdict,
    pub content: Content,
    /// In words: the other spelling, or what does not fit.
    pub detail: Option<String>,
    pub consistent_with: Vec<String>,
    /// Explanations that come to mind and do not fit.
    pub ruled_out: Vec<String>,
    pub scheme: SchemeUsed,
    pub stored_hash: String,
    /// Of the row as it is; absent when the scheme cannot write it.
    pub computed_hash: Option<String>,
    pub previous_hash: String,
    pub predecessor: Predecessor,
    pub successors: Vec<Neighbour>,
    /// The transaction that wrote the row, to tell it from a later version of it.
    #[serde(skip)]
    pub xmin: u32,
    /// The text whose SHA-256 is `computed_hash`.
    pub canonical_text: Option<String>,
}

/// Where the predecessor is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Predecessor {
    /// The event is the beginning of a chain.
    Genesis,
    /// It is in the organisation.
    Found {
        /// The event; several when rows share a hash.
        events: Vec<Neighbour>,
    },
    /// No row of the organisation has that hash.
    Missing,
    /// It was not looked up, and neither were the successors.
    Unknown,
}

/// An event next to another one in the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the fields are the keys of the output")]
pub struct Neighbour {
    pub event_id: String,
    pub timestamp: String,
    pub hash: String,
}

impl From<&EventRow> for Neighbour {
    fn from(row: &EventRow) -> Self {
        Self { event_id: row.event_id.clone(), timestamp: row.timestamp.to_rfc3339(), hash: row.hash.clone() }
    }
}

/// Verifies one event by its id; `None` when the organisation has no such event.
///
/// # Errors
/// [`StoreError`].
pub async fn verify_event(
    db: &ReadDb,
    scope: &OrgScope,
    event_id: &str,
    known: SchemeSource<'_>,
    cancel: &CancellationToken,
) -> Result<Option<EventReport>, StoreError> {
    match timeline::event(db, scope, event_id, None, cancel).await? {
        Some(event) => {
            let detected = detect(db, scope, known, cancel).await?;
            Ok(Some(look(db, scope, &event, true, &detected, Judge::new, cancel).await?))
        }
        None => Ok(None),
    }
}

/// Verifies an event that was read with its states, by the scheme of its trail; of very large ones not all other spellings are tried, as
/// [`verify_event`] does. Without `neighbours`, which are looked up by hash, its place in the
/// chain remains unknown: on a large table without indexes on the hashes, that would take a scan for each.
///
/// # Errors
/// [`StoreError`].
pub async fn verify_read(
    db: &ReadDb,
    scope: &OrgScope,
    event: &Event,
    neighbours: bool,
    detected: &Detected,
    cancel: &CancellationToken,
) -> Result<EventReport, StoreError> {
    look(db, scope, event, neighbours, detected, |scheme| Judge::within(scheme, BUDGET), cancel).await
}

async fn look(
    db: &ReadDb,
    scope: &OrgScope,
    event: &Event,
    neighbours: bool,
    detected: &Detected,
    judge: fn(Scheme) -> Judge,
    cancel: &CancellationToken,
) -> Result<EventReport, StoreError> {
    let row = &event.row;
    let stop = cancel.clone();
    let mut judge = judge(detected.scheme).until(move || stop.is_cancelled());
    let report = if neighbours {
        let predecessors = links::with_hash(db, scope, &row.previous_hash, cancel).await?;
        let successors = links::behind_hash(db, scope, &row.hash, cancel).await?;
        report(event, detected.clone(), &mut judge, Some((&predecessors, &successors)))
    } else {
        report(event, detected.clone(), &mut judge, None)
    };
    // What was judged meanwhile was not tried to the end.
    if cancel.is_cancelled() { Err(StoreError::Cancelled) } else { Ok(report) }
}

fn report(
    event: &Event,
    detected: Detected,
    judge: &mut Judge,
    neighbours: Option<(&[EventRow], &[EventRow])>,
) -> EventReport {
    let (predecessors, successors) = neighbours.unwrap_or_default();
    let row = &event.row;
    let stored = Row::from(event);
    let canonical_text = judge.preimage(&stored).ok();
    let computed_hash = judge.hash(&stored).ok().map(|hash| crate::chain::to_hex(&hash));
    let judgement = detected.judge(judge, event);
    let content = judgement.content();
    let (detail, consistent_with) = match judgement {
        Judgement::Verified => (None, Vec::new()),
        Judgement::VerifiedAlternative(reading) => (Some(reading), Vec::new()),
        Judgement::Undecided(why) => (Some(why), Vec::new()),
        Judgement::Mismatch(mismatch) => (Some(mismatch.detail), mismatch.consistent_with),
    };
    let compared = content == Content::Mismatch && computed_hash.is_some() && parse_hash(&row.hash).is_some();
    let ruled_out = if compared { Class::ContentMismatch.ruled_out() } else { &[] };
    let predecessor = if row.previous_hash.is_empty() {
        Predecessor::Genesis
    } else if neighbours.is_none() {
        Predecessor::Unknown
    } else if predecessors.is_empty() {
        Predecessor::Missing
    } else {
        Predecessor::Found { events: predecessors.iter().map(Neighbour::from).collect() }
    };
    let odd_links = predecessor == Predecessor::Missing || successors.len() > 1;
    let verdict = match (content, odd_links) {
        (Content::Mismatch, _) => Verdict::Broken,
        (Content::Undecided | Content::Unreadable, _) => Verdict::Incomplete,
        (Content::Verified | Content::VerifiedAlternative, true) => Verdict::Anomalous,
        (Content::Verified | Content::VerifiedAlternative, false) => Verdict::Intact,
    };
    EventReport {
        schema_version: 1,
        organization_id: row.organization_id.clone(),
        event_id: row.event_id.clone(),
        timestamp: row.timestamp.to_rfc3339(),
        verdict,
        content,
        detail,
        consistent_with,
        ruled_out: ruled_out.iter().map(|s| (*s).to_owned()).collect(),
        scheme: detected.used,
        stored_hash: row.hash.clone(),
        computed_hash,
        previous_hash: row.previous_hash.clone(),
        predecessor,
        successors: successors.iter().map(Neighbour::from).collect(),
        xmin: row.xmin,
        canonical_text,
    }
}
