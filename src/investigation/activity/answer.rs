//! Digests of answers. What depends on when it was asked, or on how long it took, is no part of them.

use crate::case::activity::{Answer, Seen, place};
use crate::chain::{sha256, to_hex};
use crate::domain::{Event, EventKey};
use crate::export::{Record, json};
use crate::investigation::lineage::{Lineage, Term};
use crate::store::aggregate::histogram::Histogram;
use crate::store::aggregate::summary::Summary;
use crate::store::history::Access;
use crate::store::query::{Count, Looked};
use crate::verify::{EventReport, Finding, Ghosts, Report};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Rows of which the log has the ids; of more, only one digest.
const MOST_ROWS: usize = 500;
/// Hexadecimal digits of a row's digest in the log.
const PRINT: usize = 16;

/// A row of a listing, by its id and the SHA-256 of its JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Print {
    pub(super) key: EventKey,
    digest: String,
}

impl Print {
    /// Of an event as it is exported, with its states or without.
    pub(super) fn of(record: Record<'_>) -> Self {
        // What is no JSON cannot come from a column of that type; then its absence is what is remembered.
        let text = json::text(&record).unwrap_or_default();
        Self { key: record.row().key(), digest: sha256(text) }
    }

    /// The beginning of the digest, as the log has it.
    pub(super) fn short(&self) -> &str {
        self.digest.get(..PRINT).unwrap_or_default()
    }
}

/// SHA-256 over ids and digests, in order.
pub(super) fn digest_of<'p>(prints: impl IntoIterator<Item = &'p Print>) -> String {
    let mut all = Sha256::new();
    for print in prints {
        all.update((print.key.event_id.len() as u64).to_le_bytes());
        all.update(&print.key.event_id);
        all.update(&print.digest);
    }
    to_hex(&all.finalize().into())
}

fn of_json(value: &Value, events: u64) -> Answer {
    // Objects are sorted by their keys.
    Answer { digest: sha256(value.to_string()), events, said: None, seen: None, rows: Vec::new() }
}

/// Of a file with this digest.
pub fn of_document(events: u64, sha256: &str) -> Answer {
    Answer { digest: sha256.to_owned(), events, said: None, seen: None, rows: Vec::new() }
}

/// Of a page, newest first: what stood in it, and which stretch of the listing it is.
pub fn of_page<'r>(
    rows: impl IntoIterator<Item = Record<'r>>,
    (has_newer, has_older): (bool, bool),
    looked: Option<&Looked>,
    is_ascending: bool,
) -> Answer {
    let prints: Vec<Print> = rows.into_iter().map(Print::of).collect();
    let key = |print: Option<&Print>| print.map(|print| place(print.key.clone()));
    let (mut newest, mut oldest) = (key(prints.first()), key(prints.last()));
    let (mut to_newest, mut to_oldest) = (!has_newer, !has_older);
    // A walk that was not at its end has looked further than its last row.
    if let Some(resume) = looked.and_then(|looked| looked.resume.clone()) {
        if is_ascending {
            (newest, to_newest) = (Some(place(resume)), false);
        } else {
            (oldest, to_oldest) = (Some(place(resume)), false);
        }
    }
    of_prints(&prints, Some(Seen { newest, oldest, to_newest, to_oldest }))
}

/// Of the events of a resource, oldest first.
pub fn of_rows<'e>(events: impl IntoIterator<Item = &'e Event>) -> Answer {
    let mut prints: Vec<Print> = events.into_iter().map(|event| Print::of(Record::from(event))).collect();
    prints.reverse();
    let newest = prints.first().map(|print| place(print.key.clone()));
    let oldest = prints.last().map(|print| place(print.key.clone()));
    of_prints(&prints, Some(Seen { newest, oldest, to_newest: true, to_oldest: false }))
}

pub(super) fn of_prints(prints: &[Print], seen: Option<Seen>) -> Answer {
    let rows = if prints.len() <= MOST_ROWS {
        prints.iter().map(|print| (print.key.event_id.clone(), print.short().to_owned())).collect()
    } else {
        Vec::new()
    };
    Answer { digest: digest_of(prints), events: prints.len() as u64, said: None, seen, rows }
}

/// Of one event with its states.
pub fn of_event(event: &Event) -> Answer {
    of_prints(&[Print::of(Record::from(event))], None)
}

/// Of totals, part by part.
pub fn of_summary<'s>(summaries: impl IntoIterator<Item = &'s Summary>) -> Answer {
    let mut events = 0;
    let part = |summary: &Summary| {
        events = events.max(summary.events);
        json!({ "groups": summary.groups, "all_groups": summary.all_groups, "events": summary.events })
    };
    let parts: Vec<Value> = summaries.into_iter().map(part).collect();
    of_json(&Value::Array(parts), events)
}

/// Of counts per bucket.
pub fn of_histogram(histogram: &Histogram) -> Answer {
    let buckets: Vec<Value> = histogram.buckets.iter().map(|b| json!([b.start, b.events])).collect();
    let events = histogram.buckets.iter().map(|b| b.events).sum();
    of_json(&json!({ "seconds": histogram.seconds, "buckets": buckets }), events)
}

/// Of changes without an event.
pub fn of_ghosts(found: &Ghosts) -> Answer {
    let ghosts: Vec<Value> = found
        .types
        .iter()
        .flat_map(|of_type| &of_type.ghosts)
        .map(|ghost| json!([ghost.resource_type, ghost.resource_id, ghost.after, ghost.before, ghost.paths]))
        .collect();
    let gaps: Vec<&str> = found.gaps.iter().map(|gap| gap.event_id.as_str()).collect();
    let value = json!({
        "events": found.events, "left_out": found.left_out, "compared": found.compared(),
        "total": found.total(), "ghosts": ghosts, "gaps": gaps,
    });
    of_json(&value, found.events)
}

/// Of who did what with a resource.
pub fn of_access(access: &[Access]) -> Answer {
    let line = |a: &Access| {
        json!([a.actor_type, a.actor_id, a.actor_email, a.action, a.events, a.first, a.last, a.addresses])
    };
    let events = access.iter().map(|access| access.events).sum();
    of_json(&Value::Array(access.iter().map(line).collect()), events)
}

/// Of what came of an origin.
pub fn of_lineage(lineage: &Lineage) -> Answer {
    let term = |term: &Term| match term {
        Term::Actor(id) => json!(["actor", id]),
        Term::Resource(resource) => json!(["resource", resource.kind, resource.id]),
    };
    let count = |count: Count| json!([count.kind(), count.value()]);
    let steps: Vec<Value> = lineage
        .steps
        .iter()
        .map(|step| {
            let followers: Vec<Value> = step
                .followers
                .iter()
                .map(|f| json!([term(&f.term), f.path, count(f.events), f.times, f.before]))
                .collect();
            let (kind, id) = (&step.resource.kind, &step.resource.id);
            json!([step.hop, step.event.timestamp, step.event.event_id, step.creator, kind, id, followers])
        })
        .collect();
    let value = json!({ "creations": lineage.creations, "more": lineage.more, "steps": steps });
    of_json(&value, lineage.creations as u64)
}

/// Of a verification: its findings, accepted or not, and what could not be decided. Events that were added since change
/// nothing of it; nor do heads that were remembered since.
pub fn of_report(report: &Report) -> Answer {
    let finding = |f: &Finding| {
        json!([f.class, f.event_id, f.timestamp, f.relation, f.hash, f.previous_hash, f.computed, f.bound])
    };
    let mut findings: Vec<&Finding> = report.findings.iter().collect();
    findings.extend(report.accepted.iter().map(|accepted| &accepted.finding));
    findings.sort();
    let content = &report.content;
    let value = json!({
        "scheme": report.scheme.name,
        "findings": findings.into_iter().map(finding).collect::<Vec<_>>(),
        "content": [content.mismatch, content.undecided, content.unreadable],
        "unprotected": report.coverage.unprotected_columns,
        "nothing": report.events == 0,
    });
    Answer { said: Some(report.words()), ..of_json(&value, report.events) }
}

/// Of the verification of one event: its content, and what it follows. That others follow it now changes nothing.
pub fn of_verification(report: &EventReport) -> Answer {
    let value = json!({
        "content": report.content, "verdict": report.verdict, "scheme": report.scheme.name,
        "stored_hash": report.stored_hash, "computed_hash": report.computed_hash,
        "previous_hash": report.previous_hash, "predecessor": report.predecessor,
    });
    let said = format!("{}, content {}", report.verdict, report.content);
    Answer { said: Some(said), ..of_json(&value, 1) }
}
