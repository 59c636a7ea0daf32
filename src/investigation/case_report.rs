//! The report of a case: what happened, by the notes of the analysts, with each event as it is in the table now, what it
//! changed, and what is known of its integrity and from what. What is not known is said.

use super::Records;
use super::casework::{self, Fate};
use crate::case::notebook::{Book, CaseFile, Entry, Stamp, Trail};
use crate::case::saved::{self, Saved};
use crate::case::verifications::Verification;
use crate::case::{self, accepted, recent};
use crate::chain::head::same_object;
use crate::chain::{Content, Scheme};
use crate::diff::json::Limits;
use crate::diff::rows::{View, path_list};
use crate::diff::{self, Options};
use crate::domain::{Event, Json, OrgScope, Safe, Timestamp, grouped};
use crate::error::{Error, Kind, Result};
use crate::export::document::{Block, Card, Changed, Document, Remark, Tone};
use crate::store::listing::timeline;
use crate::store::{ReadDb, StoreError};
use crate::verify::{self, EventReport, Predecessor, writing};
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
    /// Events in it.
    pub events: usize,
    /// What could not be read on this machine, in words.
    pub remarks: Vec<String>,
}

/// Makes the report of a case about the events of an organisation, from what is remembered on this machine.
///
/// # Errors
/// Exit 3 when the case or the database cannot be read, exit 4 when nothing stands in the case about these events.
pub async fn of(
    db: &ReadDb,
    place: &str,
    scope: &OrgScope,
    file: &CaseFile,
    options: &Options,
    cancel: &CancellationToken,
) -> Result<Report> {
    let trail = casework::trail(db, place, scope, cancel).await?;
    let book = Book::of(file.load(), Some(&trail));
    if let Some(why) = &book.refused {
        return Err(Error::could_not_run(format!("the case '{}' is not used: {why}", file.name)));
    }
    if book.is_empty() {
        let organization = Safe::from_untrusted(scope.organization().as_str());
        let message = format!("nothing stands in the case '{}' about events of '{organization}'", file.name);
        return Err(Error::new(Kind::Incomplete, message).hint("agenttrace case list names all cases"));
    }
    let folder = case::folder()?;
    let accepted = accepted::load(&folder);
    let refused =
        accepted.refused.iter().map(|why| format!("accepted findings are not in the report: {why}"));
    let remarks = book.remarks.iter().cloned().chain(refused).collect();
    let materials = Materials {
        case: file,
        book: &book,
        trail: &trail,
        records: &Records::load(place),
        accepted: &accepted.records,
        saved: &saved::load(&folder.join(saved::FILE))?,
        recent: &recent::load(&folder.join(recent::FILE), scope.organization().as_str()),
        options,
        by: &case::user(),
        at: Timestamp::from(chrono::Utc::now()),
    };
    let document = make(db, scope, &materials, cancel).await?;
    Ok(Report { document, events: book.entries().len(), remarks })
}

/// What a report is made of besides the database.
struct Materials<'a> {
    case: &'a CaseFile,
    /// What stands in the case about the trail.
    book: &'a Book,
    trail: &'a Trail,
    /// What this machine remembers of verifications.
    records: &'a Records,
    /// Findings that were accepted on this machine.
    accepted: &'a [accepted::Record],
    saved: &'a [Saved],
    /// Filters that were run in the organisation, the newest last.
    recent: &'a [String],
    /// How states are judged.
    options: &'a Options,
    /// Who makes the report.
    by: &'a str,
    /// When, by this machine's clock.
    at: Timestamp,
}

/// An entry of the case and what the table says of it.
struct Found<'a> {
    entry: &'a Entry,
    fate: Fate,
    event: Option<Event>,
    verified: Option<std::result::Result<EventReport, String>>,
}

/// Makes it: every event is read and verified anew.
async fn make(
    db: &ReadDb,
    scope: &OrgScope,
    materials: &Materials<'_>,
    cancel: &CancellationToken,
) -> Result<Document, StoreError> {
    let mut entries = materials.book.entries();
    // Told from its beginning.
    entries.reverse();
    let fates = casework::fates(db, scope, &entries, cancel).await?;
    let unverifiable = db.relation(cancel).await?.unverifiable().map(str::to_owned);
    let memory = writing::Memory::default();
    let remembered = materials.records.memory(scope.organization().as_str());
    let source = verify::SchemeSource::Remembered(&remembered);
    let mut found = Vec::new();
    for (entry, fate) in entries.into_iter().zip(fates) {
        let (Fate::Present(row) | Fate::OtherHash(row)) = &fate else {
            found.push(Found { entry, fate, event: None, verified: None });
            continue;
        };
        let event = timeline::event(db, scope, &row.event_id, Some(row.timestamp), cancel).await;
        let (event, verified) = match event {
            Ok(Some(event)) => {
                let verified = match &unverifiable {
                    Some(why) => Err(why.clone()),
                    None => Ok(verify::verify_read(db, scope, &event, true, source, cancel).await?),
                };
                (Some(event), Some(verified))
            }
            Ok(None) => (None, None),
            Err(error) if error.is_of_a_value_too_large() => {
                let bare = Event { row: (**row).clone(), previous_state: None, new_state: None };
                (Some(bare), Some(Err(format!("the server cannot send the states: {error}"))))
            }
            Err(error) => return Err(error),
        };
        found.push(Found { entry, fate, event, verified });
    }
    let mut blocks = opening(db, scope, materials, &found).await?;
    blocks.push(Block::Section("What happened".to_owned()));
    blocks.push(Block::Paragraph(
        "The events of the case in the order of the times that they claim; the notes on each in the order in which they were \
         written. Fields and changes are those of the table when this report was made; what looks like a secret is masked."
            .to_owned(),
    ));
    for found in &found {
        let changes = match &found.event {
            Some(event) => changes(db, scope, &memory, event, materials.options, cancel).await?,
            None => Vec::new(),
        };
        blocks.push(Block::Card(Box::new(card(found, changes))));
    }
    if found.is_empty() {
        blocks.push(Block::Paragraph("Nothing was said about events of this trail.".to_owned()));
    }
    blocks.extend(integrity(scope, materials, &found));
    blocks.extend(filters(materials));
    blocks.extend(closing());
    let name = Safe::from_untrusted(&materials.case.name);
    Ok(Document {
        title: format!("Case {name}: {}", Safe::from_untrusted(scope.organization().as_str())),
        blocks,
    })
}

fn safe(text: &str) -> String {
    Safe::from_untrusted(text).to_string()
}

fn fact(name: &str, value: impl Into<String>) -> (String, String) {
    (name.to_owned(), value.into())
}

/// What the report is about, and what it comes to.
async fn opening(
    db: &ReadDb,
    scope: &OrgScope,
    materials: &Materials<'_>,
    found: &[Found<'_>],
) -> Result<Vec<Block>, StoreError> {
    let facts = db.facts().await?;
    let Materials { case, trail, by, at, book, .. } = materials;
    let notes: usize = found.iter().map(|f| f.entry.notes.len()).sum();
    let mut authors: Vec<&str> = found.iter().flat_map(|f| stamps(f.entry)).map(|s| s.by.as_str()).collect();
    authors.sort_unstable();
    authors.dedup();
    let count = |is_such: fn(&Found<'_>) -> bool| found.iter().filter(|f| is_such(f)).count();
    let verified = count(|f| tone(f) == Tone::Good);
    let bad = count(|f| tone(f) == Tone::Bad);
    let standing = facts.standing.to_string();
    let standing = if standing.is_empty() { "primary".to_owned() } else { standing };
    let mut lines = vec![
        fact("Organisation", safe(scope.organization().as_str())),
        fact("Case", safe(&case.name)),
        fact("Prepared by", safe(by)),
        fact("Prepared at", format!("{} (this machine's clock)", at.to_rfc3339())),
        fact("Database", format!("{} at {}", safe(&trail.object), safe(&trail.place))),
        fact("Server", format!("PostgreSQL {}, {}", facts.major, safe(&standing))),
        fact("Program", concat!("agenttrace ", env!("CARGO_PKG_VERSION"))),
        fact("Times", "UTC, RFC 3339 with microseconds; the events' own are those that their rows claim"),
        fact("Analysts", safe(&authors.join(", "))),
        fact("Events in the case", grouped(found.len() as u64)),
        fact("Notes", grouped(notes as u64)),
        fact("Integrity", format!("content of {verified} verified now, {bad} contradicted or gone")),
    ];
    if book.others > 0 {
        let others = format!("{} events of other trails are in the case and not in this report", book.others);
        lines.push(fact("Left out", others));
    }
    for remark in &book.remarks {
        lines.push(fact("Damage of the case file", safe(remark)));
    }
    Ok(vec![Block::Facts(lines)])
}

fn stamps(entry: &Entry) -> impl Iterator<Item = &Stamp> {
    let notes = entry.notes.iter().map(|note| &note.stamp);
    let tags = entry.tags.iter().map(|tag| &tag.stamp);
    entry.bookmarks.iter().chain(notes).chain(tags).chain(entry.verdicts.iter().map(|v| &v.stamp))
}

fn tone(found: &Found<'_>) -> Tone {
    match (&found.fate, &found.verified) {
        (Fate::Gone | Fate::OtherHash(_), _) => Tone::Bad,
        (Fate::Present(_), Some(Ok(report))) => match report.content {
            Content::Verified | Content::VerifiedAlternative => match report.predecessor {
                Predecessor::Missing => Tone::Bad,
                Predecessor::Unknown => Tone::Unknown,
                Predecessor::Genesis | Predecessor::Found { .. } => Tone::Good,
            },
            Content::Mismatch => Tone::Bad,
            Content::Undecided | Content::Unreadable => Tone::Unknown,
        },
        (Fate::Present(_), _) => Tone::Unknown,
    }
}

fn card(found: &Found<'_>, changes: Vec<Changed>) -> Card {
    let remembered = &found.entry.event;
    let facts = match &found.event {
        Some(Event { row, .. }) => {
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
        None => vec![
            fact("Event", safe(&remembered.event_id)),
            fact("Time", remembered.timestamp.to_rfc3339()),
            fact("Severity", safe(&remembered.event_severity)),
            fact("Actor", safe(&remembered.actor)),
            fact("Action", safe(&remembered.action)),
            fact("Resource", safe(&remembered.resource)),
            fact("Hash", safe(&remembered.hash)),
            fact("Previous hash", safe(&remembered.previous_hash)),
        ],
    };
    let kind = found.event.as_ref().map_or(&remembered.event_type, |event| &event.row.event_type);
    let title = format!("{} · {}", remembered.timestamp.to_rfc3339(), safe(kind));
    Card { title, facts, integrity: (tone(found), basis(found)), changes, remarks: remarks(found.entry) }
}

/// What is known of the integrity of an event, and from what.
fn basis(found: &Found<'_>) -> Vec<String> {
    let remembered = &found.entry.event;
    let first = stamps(found.entry).map(|stamp| stamp.at).min();
    let seen =
        first.map_or_else(String::new, |at| format!(" when it was first noted, at {}", at.to_rfc3339()));
    let mut lines = match &found.fate {
        Fate::Gone => vec![
            "✗ not in the table any more, or hidden from the role that made this report".to_owned(),
            format!(
                "what is shown here was copied into the case{seen}; nothing of it can be verified by this table"
            ),
        ],
        Fate::OtherHash(_) => {
            vec![format!("✗ the hash in the table is another one than{seen}: {}", safe(&remembered.hash))]
        }
        Fate::Present(_) => vec![format!("the hash is the same as{seen}")],
    };
    match &found.verified {
        None => {}
        Some(Err(why)) => lines.push(format!("? not verified: {}", safe(why))),
        Some(Ok(report)) => {
            let guessed = if report.scheme.guessed { ", a scheme that is guessed" } else { "" };
            let (mark, means) = match report.content {
                Content::Verified => ("✓", "the SHA-256 of the row's content is its hash"),
                Content::VerifiedAlternative => (
                    "✓",
                    "the SHA-256 of the row's content, in another spelling of the same values, is its hash",
                ),
                Content::Mismatch => ("✗", "the SHA-256 of the row's content is not its hash"),
                Content::Undecided => ("?", "it cannot be told whether the content has its hash"),
                Content::Unreadable => ("?", "the content cannot be read"),
            };
            lines.push(format!("{mark} {means} ({}{guessed})", report.scheme.name));
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
        }
    }
    lines
}

fn remarks(entry: &Entry) -> Vec<Remark> {
    let said = |stamp: &Stamp| format!("{} · {}", stamp.at.to_rfc3339(), safe(&stamp.by));
    let mut remarks = Vec::new();
    for verdict in &entry.verdicts {
        let text = format!("Verdict: {}", verdict.verdict);
        remarks.push(Remark { head: said(&verdict.stamp), text });
    }
    if !entry.tags.is_empty() {
        let tags: Vec<String> = entry.tags.iter().map(|tag| safe(&tag.tag)).collect();
        remarks.push(Remark { head: "Tags".to_owned(), text: tags.join(", ") });
    }
    for note in &entry.notes {
        let edited = if note.is_edited { " · edited" } else { "" };
        let lines: Vec<String> = note.text.lines().map(safe).collect();
        remarks.push(Remark { head: format!("{}{edited}", said(&note.stamp)), text: lines.join("\n") });
    }
    if let (Some(bookmark), true) = (entry.bookmarks.first(), entry.notes.is_empty()) {
        remarks.push(Remark { head: said(bookmark), text: "Bookmarked without a note".to_owned() });
    }
    remarks
}

/// What an event changed, as a list of paths.
async fn changes(
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

/// What verifications of the whole trail have shown, as far as this machine remembers.
fn integrity(scope: &OrgScope, materials: &Materials<'_>, found: &[Found<'_>]) -> Vec<Block> {
    let organization = scope.organization().as_str();
    let mut blocks = vec![Block::Section("Integrity of the trail".to_owned())];
    let verifications = materials.records.verifications(organization);
    match verifications.first() {
        None => blocks.push(Block::Paragraph(
            "No verification of the whole trail is remembered on this machine: what is said above is about single events. That \
             no event is missing between or after them is not proven."
                .to_owned(),
        )),
        Some(Verification { at, events, verdict, newest_end, findings, by }) => blocks.push(Block::Facts(vec![
            fact("Last verification", format!("{} by {}", at.to_rfc3339(), safe(by))),
            fact("Verdict", safe(verdict)),
            fact("Newest end", safe(newest_end)),
            fact("Coverage", format!("{} events read or verified earlier", grouped(*events))),
            fact("Open findings", grouped(*findings)),
        ])),
    }
    let memory = materials.records.memory(organization);
    let last = memory.records.iter().rfind(|trail| same_object(&trail.object, &materials.trail.object));
    if let Some(last) = last {
        let heads: Vec<String> =
            last.heads.iter().map(|head| format!("{} {}", safe(&head.event_id), safe(&head.hash))).collect();
        blocks.push(Block::Paragraph(format!(
            "Heads of the trail that are remembered since {}:",
            last.verified_at.to_rfc3339()
        )));
        blocks.push(Block::List(heads));
    }
    let is_here = |record: &&accepted::Record| {
        record.organization_id == organization
            && same_object(&record.database_identity, &materials.trail.object)
    };
    let accepted: Vec<Vec<String>> = materials
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
        let head = ["Finding", "Accepted at", "By", "Reason"].map(str::to_owned).to_vec();
        blocks.push(Block::Table(head, accepted));
    }
    blocks.push(Block::Section("Limits".to_owned()));
    let schemes: Vec<&str> = Scheme::ALL.iter().map(|scheme| scheme.name()).collect();
    let mut limits = vec![
        "A verified content says that the row has the hash that it carries, by the scheme named beside it; who can write the \
         table can write rows whose content has their hash. Only heads remembered elsewhere contradict that."
            .to_owned(),
        "The case holds the events that analysts have chosen: it is no claim that nothing else happened.".to_owned(),
        "Times of events are those that their writer claimed; times of notes those of the analyst's machine.".to_owned(),
        format!("Schemes that this program knows: {}.", schemes.join(", ")),
    ];
    if found.iter().any(|f| matches!(f.fate, Fate::Gone)) {
        limits.push(
            "A row that was deleted and one that row-level security hides look the same to a reader."
                .to_owned(),
        );
    }
    blocks.push(Block::List(limits));
    blocks
}

fn filters(materials: &Materials<'_>) -> Vec<Block> {
    let mut blocks = vec![Block::Section("Filters".to_owned())];
    if materials.recent.is_empty() && materials.saved.is_empty() {
        blocks.push(Block::Paragraph("No filter is remembered on this machine.".to_owned()));
    }
    if !materials.recent.is_empty() {
        blocks.push(Block::Paragraph("Run in the console in this organisation, the newest last:".to_owned()));
        blocks.push(Block::List(materials.recent.iter().map(|filter| safe(filter)).collect()));
    }
    if !materials.saved.is_empty() {
        blocks.push(Block::Paragraph("Saved under a name:".to_owned()));
        let rows = materials.saved.iter().map(|saved| vec![safe(&saved.name), safe(&saved.filter)]).collect();
        blocks.push(Block::Table(["Name", "Filter"].map(str::to_owned).to_vec(), rows));
    }
    blocks
}

/// The form with which the file is handed on.
fn closing() -> Vec<Block> {
    let head = ["", "Name", "Date and time", "Signature"].map(str::to_owned).to_vec();
    let rows = ["Prepared by", "Handed over by", "Received by", "Returned or destroyed by"]
        .map(str::to_owned)
        .to_vec();
    let digest = ["", "Value"].map(str::to_owned).to_vec();
    vec![
        Block::Section("Custody".to_owned()),
        Block::Paragraph(
            "To be filled in by hand when the report is handed on. The digest is that of the file as it was written, which the \
             program printed; whoever receives the file computes it again (sha256sum) and compares."
                .to_owned(),
        ),
        Block::Form(head, rows),
        Block::Form(digest, ["SHA-256 of the file", "Place of the original", "Remarks"].map(str::to_owned).to_vec()),
    ]
}
