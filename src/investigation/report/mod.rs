//! Reports for people, as documents: of a case, of who touched a resource, of what changed, of the verifications of a trail.
//! Each says what it is about, from what, up to when, and what it does not show.

pub mod access;
pub mod case;
pub mod changes;
pub mod evidence;
pub mod integrity;

use super::Records;
use super::casework;
use crate::case::notebook::Trail;
use crate::case::verifications::Verification;
use crate::case::{self as remembered, accepted};
use crate::chain::Content;
use crate::chain::head::same_object;
use crate::diff::json::Limits;
use crate::diff::rows::{View, path_list};
use crate::diff::{self, Options};
use crate::domain::{Event, EventRow, Json, OrgScope, Safe, TimeRange, Timestamp, grouped};
use crate::error::Result;
use crate::export::document::{Block, Changed, Document, Tone};
use crate::store::listing::timeline;
use crate::store::{ReadDb, StoreError};
use crate::verify::{self, Detected, EventReport, Predecessor, SchemeSource, writing};
use tokio_util::sync::CancellationToken;

/// States beyond this size, in bytes and values, are compared by lines or hashes.
const LIMITS: Limits = Limits { bytes: 16 << 20, nodes: 1_000_000 };
/// Most lines of a change.
const MOST_CHANGES: usize = 60;
/// Columns of a line of a change.
const WIDTH: usize = 110;

/// A report that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The report.
    pub document: Document,
    /// Events that it is about.
    pub events: u64,
    /// What could not be read on this machine, or is left out, in words.
    pub remarks: Vec<String>,
}

/// The verification of an event; an error is why it could not be verified.
type Verified = std::result::Result<EventReport, String>;

/// Of what, where from, by whom and when a report is made.
struct Origin<'a> {
    db: &'a ReadDb,
    scope: &'a OrgScope,
    trail: Trail,
    /// What this machine remembers of verifications.
    records: Records,
    /// Findings that were accepted on this machine.
    accepted: Vec<accepted::Record>,
    /// Who makes the report.
    by: String,
    /// When, by this machine's clock.
    at: Timestamp,
    remarks: Vec<String>,
}

impl<'a> Origin<'a> {
    async fn new(
        db: &'a ReadDb,
        place: &str,
        scope: &'a OrgScope,
        cancel: &CancellationToken,
    ) -> Result<Self> {
        let trail = casework::trail(db, place, scope, cancel).await?;
        let accepted = accepted::load(&remembered::folder()?);
        let refused =
            accepted.refused.iter().map(|why| format!("accepted findings are not in the report: {why}"));
        let remarks = refused.collect();
        let (by, at) = (remembered::user(), Timestamp::from(chrono::Utc::now()));
        let records = Records::load(place);
        Ok(Self { db, scope, trail, records, accepted: accepted.records, by, at, remarks })
    }

    fn organization(&self) -> &str {
        self.scope.organization().as_str()
    }

    /// What stands at the head of each report.
    async fn facts(&self) -> Result<Vec<(String, String)>, StoreError> {
        let facts = self.db.facts().await?;
        let standing = facts.standing.to_string();
        let standing = if standing.is_empty() { "primary".to_owned() } else { standing };
        Ok(vec![
            fact("Organisation", safe(self.organization())),
            fact("Prepared by", safe(&self.by)),
            fact("Prepared at", format!("{} (this machine's clock)", self.at.to_rfc3339())),
            fact("Database", format!("{} at {}", safe(&self.trail.object), safe(&self.trail.place))),
            fact("Server", format!("PostgreSQL {}, {}", facts.major, safe(&standing))),
            fact("Program", concat!("agenttrace ", env!("CARGO_PKG_VERSION"))),
            fact("Times", "UTC, RFC 3339 with microseconds; the events' own are those that their rows claim"),
        ])
    }

    /// The scheme of the trail, once for all its events; an error is why its events cannot be verified.
    async fn detect(
        &self,
        cancel: &CancellationToken,
    ) -> Result<std::result::Result<Detected, String>, StoreError> {
        if let Some(why) = self.db.relation(cancel).await?.unverifiable() {
            return Ok(Err(why.to_owned()));
        }
        let memory = self.records.memory(self.organization());
        let source = SchemeSource::Remembered(&memory);
        verify::detect(self.db, self.scope, source, cancel).await.map(Ok)
    }

    /// An event as it is now, and its verification; without states where the server cannot send them. `None` where it is not
    /// there any more.
    async fn read(
        &self,
        row: &EventRow,
        detected: &std::result::Result<Detected, String>,
        cancel: &CancellationToken,
    ) -> Result<Option<(Event, Verified)>, StoreError> {
        match timeline::event(self.db, self.scope, &row.event_id, Some(row.timestamp), cancel).await {
            Ok(None) => Ok(None),
            Ok(Some(event)) => {
                let verified = match detected {
                    Err(why) => Err(why.clone()),
                    Ok(detected) => {
                        Ok(verify::verify_read(self.db, self.scope, &event, true, detected, cancel).await?)
                    }
                };
                Ok(Some((event, verified)))
            }
            Err(error) if error.is_of_a_value_too_large() => {
                let why = format!("the server cannot send the states: {error}");
                Ok(Some((bare(row), Err(why))))
            }
            Err(error) => Err(error),
        }
    }

    /// What verifications of the whole trail have shown, as far as this machine remembers.
    fn integrity(&self) -> Vec<Block> {
        let mut blocks = vec![Block::Section("Integrity of the trail".to_owned())];
        match self.records.verifications(self.organization()).first() {
            None => blocks.push(Block::Paragraph(
                "No verification of the whole trail is remembered on this machine: what is said above is about single events. \
                 That no event is missing between or after them is not proven."
                    .to_owned(),
            )),
            Some(Verification { at, events, verdict, newest_end, findings, by }) => {
                blocks.push(Block::Facts(vec![
                    fact("Last verification", format!("{} by {}", at.to_rfc3339(), safe(by))),
                    fact("Verdict", safe(verdict)),
                    fact("Newest end", safe(newest_end)),
                    fact("Coverage", format!("{} events read or verified earlier", grouped(*events))),
                    fact("Open findings", grouped(*findings)),
                ]));
            }
        }
        let memory = self.records.memory(self.organization());
        let last = memory.records.iter().rfind(|trail| same_object(&trail.object, &self.trail.object));
        if let Some(last) = last {
            let heads: Vec<String> = last
                .heads
                .iter()
                .map(|head| format!("{} {}", safe(&head.event_id), safe(&head.hash)))
                .collect();
            blocks.push(Block::Paragraph(format!(
                "Heads of the trail that are remembered since {}:",
                last.verified_at.to_rfc3339()
            )));
            blocks.push(Block::List(heads));
        }
        let is_here = |record: &&accepted::Record| {
            record.organization_id == self.organization()
                && same_object(&record.database_identity, &self.trail.object)
        };
        let accepted: Vec<Vec<String>> = self
            .accepted
            .iter()
            .filter(is_here)
            .map(|r| {
                let finding = format!("{}:{}", r.class, r.event_id);
                vec![safe(&finding), safe(&r.accepted_at), safe(&r.accepted_by), safe(&r.note)]
            })
            .collect();
        if !accepted.is_empty() {
            blocks.push(Block::Paragraph("Findings that were accepted on this machine, and why:".to_owned()));
            blocks.push(Block::Table(head(&["Finding", "Accepted at", "By", "Reason"]), accepted));
        }
        blocks
    }
}

/// An event of which the states are not known.
fn bare(row: &EventRow) -> Event {
    Event { row: row.clone(), previous_state: None, new_state: None }
}

fn safe(text: &str) -> String {
    Safe::from_untrusted(text).to_string()
}

fn fact(name: &str, value: impl Into<String>) -> (String, String) {
    (name.to_owned(), value.into())
}

fn head(columns: &[&str]) -> Vec<String> {
    columns.iter().map(|column| (*column).to_owned()).collect()
}

/// A period as a report names it.
fn period(range: TimeRange) -> String {
    let side = |word: &str, time: Option<Timestamp>| time.map(|time| format!("{word} {}", time.to_rfc3339()));
    let sides: Vec<String> =
        [side("from", range.since), side("before", range.until)].into_iter().flatten().collect();
    if sides.is_empty() { "all times".to_owned() } else { sides.join(", ") }
}

/// The fields of an event.
fn fields(row: &EventRow) -> Vec<(String, String)> {
    let optional = |text: &Option<String>| text.as_deref().map_or_else(|| "–".to_owned(), safe);
    let email = row.actor_email.as_ref().map(|email| format!(" · {email}")).unwrap_or_default();
    vec![
        fact("Event", safe(&row.event_id)),
        fact("Time", row.timestamp.to_rfc3339()),
        fact("Severity", safe(&row.event_severity)),
        fact("Actor", safe(&format!("{} {}{email}", row.actor_type, row.actor_id))),
        fact("Address", optional(&row.actor_ip)),
        fact("User agent", optional(&row.actor_user_agent)),
        fact("Action", safe(&format!("{} ({})", row.action, row.event_category))),
        fact("Resource", safe(&format!("{}/{}", row.resource_type, row.resource_id))),
        fact("Request", safe(&row.request_id)),
        fact("Session", optional(&row.session_id)),
        fact("Hash", safe(&row.hash)),
        fact("Previous hash", safe(&row.previous_hash)),
    ]
}

/// What the verification of an event comes to.
fn tone(verified: &Verified) -> Tone {
    let Ok(report) = verified else { return Tone::Unknown };
    match report.content {
        Content::Verified | Content::VerifiedAlternative => match report.predecessor {
            Predecessor::Missing => Tone::Bad,
            Predecessor::Unknown => Tone::Unknown,
            Predecessor::Genesis | Predecessor::Found { .. } => Tone::Good,
        },
        Content::Mismatch => Tone::Bad,
        Content::Undecided | Content::Unreadable => Tone::Unknown,
    }
}

/// The same in words, with what it is from.
fn basis(verified: &Verified) -> Vec<String> {
    let report = match verified {
        Ok(report) => report,
        Err(why) => return vec![format!("? not verified: {}", safe(why))],
    };
    let guessed = if report.scheme.guessed { ", a scheme that is guessed" } else { "" };
    let (mark, means) = match report.content {
        Content::Verified => ("✓", "the SHA-256 of the row's content is its hash"),
        Content::VerifiedAlternative => {
            ("✓", "the SHA-256 of the row's content, in another spelling of the same values, is its hash")
        }
        Content::Mismatch => ("✗", "the SHA-256 of the row's content is not its hash"),
        Content::Undecided => ("?", "it cannot be told whether the content has its hash"),
        Content::Unreadable => ("?", "the content cannot be read"),
    };
    let mut lines = vec![format!("{mark} {means} ({}{guessed})", report.scheme.name)];
    lines.extend(report.detail.iter().map(|detail| safe(detail)));
    lines.push(match &report.predecessor {
        Predecessor::Genesis => "the chain begins here: it has no predecessor".to_owned(),
        Predecessor::Missing => {
            "✗ no event of the organisation has the hash that it names as its predecessor".to_owned()
        }
        Predecessor::Unknown => "? its predecessor was not looked up".to_owned(),
        Predecessor::Found { events } => {
            let ids: Vec<String> = events.iter().map(|event| safe(&event.event_id)).collect();
            format!("✓ its predecessor is there: {}", ids.join(", "))
        }
    });
    lines
}

/// What an event changed, as a list of paths.
async fn changes_of(
    db: &ReadDb,
    scope: &OrgScope,
    memory: &writing::Memory,
    event: &Event,
    options: &Options,
    cancel: &CancellationToken,
) -> Result<Vec<Changed>, StoreError> {
    let mut event = event.clone();
    let kind = event.row.resource_type.clone();
    if event.previous_state.is_some() && event.new_state.is_some() {
        memory.writings(db, scope, Some(&kind), cancel).await?.of(&kind).complete_one(&mut event, LIMITS);
    }
    let [old, new] = [&event.previous_state, &event.new_state].map(|state| state.as_ref().map(Json::as_str));
    let stop = || if cancel.is_cancelled() { std::time::Duration::MAX } else { std::time::Duration::ZERO };
    let comparison = diff::compare(old, new, options, &stop);
    if cancel.is_cancelled() {
        return Err(StoreError::Cancelled);
    }
    let view =
        View { width: WIDTH, lines: 3, limit: MOST_CHANGES, rules: options.rules.clone(), ..View::default() };
    let rows = diff::rows::heading(&comparison).into_iter().chain(path_list(&comparison, &view));
    Ok(rows
        .map(|row| {
            let text: String = row.text().chars().skip(2).collect();
            Changed { mark: row.mark, text }
        })
        .collect())
}

/// What is said of all verified contents.
const LIMIT_OF_CONTENT: &str = "A verified content says that the row has the hash that it carries, by the scheme named beside it; who \
     can write the table can write rows whose content has their hash. Only heads remembered elsewhere contradict that.";

/// The form with which the file is handed on.
fn closing() -> Vec<Block> {
    let rows = head(&["Prepared by", "Handed over by", "Received by", "Returned or destroyed by"]);
    vec![
        Block::Section("Custody".to_owned()),
        Block::Paragraph(
            "To be filled in by hand when the report is handed on. The digest is that of the file as it was written, which the \
             program printed; whoever receives the file computes it again (sha256sum) and compares."
                .to_owned(),
        ),
        Block::Form(head(&["", "Name", "Date and time", "Signature"]), rows),
        Block::Form(head(&["", "Value"]), head(&["SHA-256 of the file", "Place of the original", "Remarks"])),
    ]
}
