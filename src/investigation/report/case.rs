//! The report of a case: what happened, by the notes of the analysts, with each event as it is in the table now, what it
//! changed, and what is known of its integrity and from what. What is not known is said.

use super::{
    LIMIT_OF_CONTENT, Origin, Report, Verified, basis, changes_of, closing, fact, fields, safe, tone,
};
use crate::case::notebook::{Book, CaseFile, Entry, Stamp};
use crate::case::saved::{self, Saved};
use crate::case::{self, recent};
use crate::chain::Scheme;
use crate::diff::Options;
use crate::domain::{Event, OrgScope, Safe, grouped};
use crate::error::{Error, Kind, Result};
use crate::export::document::{Block, Card, Changed, Document, Remark, Tone};
use crate::investigation::casework::{self, Fate};
use crate::store::{ReadDb, StoreError};
use crate::verify::writing;
use tokio_util::sync::CancellationToken;

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
    let origin = Origin::new(db, place, scope, cancel).await?;
    let book = Book::of(file.load(), Some(&origin.trail));
    if let Some(why) = &book.refused {
        return Err(Error::could_not_run(format!("the case '{}' is not used: {why}", file.name)));
    }
    if book.is_empty() {
        let organization = Safe::from_untrusted(scope.organization().as_str());
        let message = format!("nothing stands in the case '{}' about events of '{organization}'", file.name);
        return Err(Error::new(Kind::Incomplete, message).hint("agenttrace case list names all cases"));
    }
    let folder = case::folder()?;
    let remarks = book.remarks.iter().chain(&origin.remarks).cloned().collect();
    let materials = Materials {
        case: file,
        book: &book,
        origin: &origin,
        saved: &saved::load(&folder.join(saved::FILE))?,
        recent: &recent::load(&folder.join(recent::FILE), scope.organization().as_str()),
        options,
    };
    let document = make(db, scope, &materials, cancel).await?;
    Ok(Report { document, events: book.entries().len() as u64, remarks })
}

/// What a report is made of besides the events.
struct Materials<'a> {
    case: &'a CaseFile,
    /// What stands in the case about the trail.
    book: &'a Book,
    origin: &'a Origin<'a>,
    saved: &'a [Saved],
    /// Filters that were run in the organisation, the newest last.
    recent: &'a [String],
    /// How states are judged.
    options: &'a Options,
}

/// An entry of the case and what the table says of it.
struct Found<'a> {
    entry: &'a Entry,
    fate: Fate,
    event: Option<Event>,
    verified: Option<Verified>,
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
    let detected = materials.origin.detect(cancel).await?;
    let memory = writing::Memory::default();
    let mut found = Vec::new();
    for (entry, fate) in entries.into_iter().zip(fates) {
        let (Fate::Present(row) | Fate::OtherHash(row)) = &fate else {
            found.push(Found { entry, fate, event: None, verified: None });
            continue;
        };
        let (event, verified) = materials.origin.read(row, &detected, cancel).await?.unzip();
        found.push(Found { entry, fate, event, verified });
    }
    let mut blocks = opening(materials, &found).await?;
    blocks.push(Block::Section("What happened".to_owned()));
    blocks.push(Block::Paragraph(
        "The events of the case in the order of the times that they claim; the notes on each in the order in which they were \
         written. Fields and changes are those of the table when this report was made; what looks like a secret is masked."
            .to_owned(),
    ));
    for found in &found {
        let changes = match &found.event {
            Some(event) => changes_of(db, scope, &memory, event, materials.options, cancel).await?,
            None => Vec::new(),
        };
        blocks.push(Block::Card(Box::new(card(found, changes))));
    }
    if found.is_empty() {
        blocks.push(Block::Paragraph("Nothing was said about events of this trail.".to_owned()));
    }
    blocks.extend(materials.origin.integrity());
    blocks.extend(limits(&found));
    blocks.extend(filters(materials));
    blocks.extend(closing());
    let name = Safe::from_untrusted(&materials.case.name);
    Ok(Document {
        title: format!("Case {name}: {}", Safe::from_untrusted(scope.organization().as_str())),
        blocks,
    })
}

/// What the report is about, and what it comes to.
async fn opening(materials: &Materials<'_>, found: &[Found<'_>]) -> Result<Vec<Block>, StoreError> {
    let Materials { case, book, origin, .. } = materials;
    let notes: usize = found.iter().map(|f| f.entry.notes.len()).sum();
    let mut authors: Vec<&str> = found.iter().flat_map(|f| stamps(f.entry)).map(|s| s.by.as_str()).collect();
    authors.sort_unstable();
    authors.dedup();
    let count = |tone| found.iter().filter(|f| f.tone() == tone).count();
    let (verified, bad) = (count(Tone::Good), count(Tone::Bad));
    let mut lines = origin.facts().await?;
    lines.insert(1, fact("Case", safe(&case.name)));
    lines.extend([
        fact("Analysts", safe(&authors.join(", "))),
        fact("Events in the case", grouped(found.len() as u64)),
        fact("Notes", grouped(notes as u64)),
        fact("Integrity", format!("content of {verified} verified now, {bad} contradicted or gone")),
    ]);
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

impl Found<'_> {
    fn tone(&self) -> Tone {
        match (&self.fate, &self.verified) {
            (Fate::Gone | Fate::OtherHash(_), _) => Tone::Bad,
            (Fate::Present(_), Some(verified)) => tone(verified),
            (Fate::Present(_), None) => Tone::Unknown,
        }
    }
}

fn card(found: &Found<'_>, changes: Vec<Changed>) -> Card {
    let remembered = &found.entry.event;
    let facts = match &found.event {
        Some(Event { row, .. }) => fields(row),
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
    Card {
        title,
        facts,
        integrity: (found.tone(), found_basis(found)),
        changes,
        remarks: remarks(found.entry),
    }
}

/// What is known of the integrity of an event, and from what.
fn found_basis(found: &Found<'_>) -> Vec<String> {
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
    lines.extend(found.verified.iter().flat_map(basis));
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

/// What the report does not show.
fn limits(found: &[Found<'_>]) -> Vec<Block> {
    let schemes: Vec<&str> = Scheme::ALL.iter().map(|scheme| scheme.name()).collect();
    let mut limits = vec![
        LIMIT_OF_CONTENT.to_owned(),
        "The case holds the events that analysts have chosen: it is no claim that nothing else happened."
            .to_owned(),
        "Times of events are those that their writer claimed; times of notes those of the analyst's machine."
            .to_owned(),
        format!("Schemes that this program knows: {}.", schemes.join(", ")),
    ];
    if found.iter().any(|f| matches!(f.fate, Fate::Gone)) {
        limits.push(
            "A row that was deleted and one that row-level security hides look the same to a reader."
                .to_owned(),
        );
    }
    vec![Block::Section("Limits".to_owned()), Block::List(limits)]
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
