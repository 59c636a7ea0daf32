//! `agenttrace case show`

use super::Context;
use super::asked::wants_json;
use super::case::{no_case, used};
use super::pin;
use crate::case::heads::Verified;
use crate::case::notebook::handover::SharedFilter;
use crate::case::notebook::{self, Book, CaseFile, Entry, Stamp};
use crate::case::saved::{self, Saved};
use crate::case::{self, accepted};
use crate::domain::{Safe, Timestamp};
use crate::error::{Error, Kind, Result};
use crate::export::json;
use crate::investigation::casework::{self, Fate};
use crate::verify::Finding;
use std::io::{self, Write};

/// What is written by `show`.
struct Shown<'a> {
    case: &'a CaseFile,
    entries: Vec<&'a Entry>,
    /// What has become of each; empty where that was not looked up.
    fates: Vec<Fate>,
    accepted: Vec<&'a accepted::Record>,
    saved: &'a [Saved],
    /// Filters that were handed over and are not saved here.
    shared: Vec<&'a SharedFilter>,
    heads: Vec<&'a Verified>,
    /// What contradicts the heads, where they were compared with the table.
    contradictions: &'a [Finding],
}

/// Runs it.
///
/// # Errors
/// Exit 1 for events that are gone or have another hash, exit 4 for an empty case; those of every command.
pub(super) async fn run(context: &Context, check: bool) -> Result<()> {
    let json = wants_json(context, "case show")?;
    let case = context.case_file()?;
    let contents = used(context, &case)?;
    if contents.records.is_empty() {
        return Err(no_case(&case));
    }
    let folder = case::folder()?;
    let (accepted, saved) = (accepted::load(&folder), saved::load(&folder.join(saved::FILE))?);
    let (book, fates, contradictions) = if check {
        let reader = context.reader().await?;
        let scope = context.scope(&reader).await?;
        let cancel = super::cancel_on_interrupt();
        let trail = casework::trail(&reader.db, &reader.place, &scope, &cancel).await?;
        let book = Book::of(contents, Some(&trail));
        let fates = casework::fates(&reader.db, &scope, &book.entries(), &cancel).await?;
        let found = casework::contradictions(&reader.db, &scope, &trail, &book.handover, &cancel).await?;
        (book, fates, found)
    } else {
        (Book::of(contents, None), Vec::new(), Vec::new())
    };
    let org = context.global.org.as_ref();
    let is_meant = |id: &str| org.is_none_or(|org| org == id);
    let mut entries = book.entries();
    entries.retain(|entry| is_meant(&entry.event.trail.organization_id));
    let is_of_case = |record: &&accepted::Record| {
        entries.iter().any(|entry| entry.event.trail.organization_id == record.organization_id)
    };
    let mut accepted: Vec<&accepted::Record> = accepted.records.iter().filter(is_of_case).collect();
    let handed = book.handover.accepted.iter().filter(|record| is_meant(&record.organization_id));
    for record in handed {
        if !accepted.contains(&record) {
            accepted.push(record);
        }
    }
    let shown = Shown {
        case: &case,
        entries,
        fates,
        accepted,
        saved: &saved,
        shared: book.handover.filters.iter().filter(|shared| !saved.contains(&shared.saved)).collect(),
        heads: book.handover.heads.iter().filter(|head| is_meant(&head.organization_id)).collect(),
        contradictions: &contradictions,
    };
    let mut out = context.out.results();
    if json {
        json::write_line(&mut out, &document(&shown))?;
    } else {
        write_table(&mut out, &shown)?;
    }
    out.flush()?;
    if book.others > 0 {
        let events = if book.others == 1 { "event" } else { "events" };
        context.out.remark(format_args!("{} {events} of other trails are not shown", book.others));
    }
    let missing = shown.fates.iter().filter(|fate| fate.words().is_some()).count();
    if missing > 0 || !contradictions.is_empty() { Err(Error::silent(Kind::Finding)) } else { Ok(()) }
}

fn write_table(out: &mut impl Write, shown: &Shown<'_>) -> io::Result<()> {
    let safe = Safe::from_untrusted;
    let said = |stamp: &Stamp| format!("{} {}", stamp.at.to_rfc3339(), stamp.by);
    for (n, entry) in shown.entries.iter().enumerate() {
        let event = &entry.event;
        writeln!(
            out,
            "{}  {}  {}  {}  {}  {}  {}",
            event.timestamp,
            safe(&event.event_severity),
            safe(&event.event_type),
            safe(&event.actor),
            safe(&event.resource),
            safe(&event.trail.organization_id),
            safe(&event.event_id)
        )?;
        if let Some(words) = shown.fates.get(n).and_then(Fate::words) {
            writeln!(out, "    {words}; it was {}", safe(&event.hash))?;
        }
        for bookmark in &entry.bookmarks {
            writeln!(out, "    bookmark  {}", safe(&said(bookmark)))?;
        }
        for verdict in &entry.verdicts {
            writeln!(out, "    verdict   {}  {}", safe(&said(&verdict.stamp)), verdict.verdict)?;
        }
        for tag in &entry.tags {
            writeln!(out, "    tag       {}  {}", safe(&said(&tag.stamp)), safe(&tag.tag))?;
        }
        for note in &entry.notes {
            let edited = if note.is_edited { " (edited)" } else { "" };
            writeln!(out, "    note      {}{edited}", safe(&said(&note.stamp)))?;
            for line in note.text.lines() {
                writeln!(out, "              {}", safe(line))?;
            }
        }
    }
    for record in &shown.accepted {
        let line = format!(
            "accepted  {}:{}  {} {}  {}",
            record.class, record.event_id, record.accepted_at, record.accepted_by, record.note
        );
        writeln!(out, "{}", safe(&line))?;
    }
    for saved in shown.saved {
        writeln!(out, "filter    {}", Safe::composed(&saved.to_string()))?;
    }
    for shared in &shown.shared {
        let by = Safe::from_untrusted(&shared.by);
        writeln!(out, "filter    {}  (of {by}, not saved here)", Safe::composed(&shared.saved.to_string()))?;
    }
    for head in &shown.heads {
        writeln!(out, "head      {}", pin::line(head))?;
    }
    for finding in shown.contradictions {
        writeln!(out, "{}", pin::said(finding))?;
    }
    Ok(())
}

/// The document of `--format json`.
fn document<'a>(shown: &'a Shown<'a>) -> impl serde::Serialize + 'a {
    #[derive(serde::Serialize)]
    struct Body<'a> {
        case: &'a str,
        path: String,
        events: Vec<Event<'a>>,
        accepted: &'a [&'a accepted::Record],
        filters: Vec<Named<'a>>,
        heads: &'a [&'a Verified],
        /// Findings about the heads; empty where the table was not asked.
        contradictions: Vec<String>,
    }
    #[derive(serde::Serialize)]
    struct Event<'a> {
        #[serde(flatten)]
        subject: &'a notebook::Subject,
        /// Absent where the table was not asked.
        #[serde(skip_serializing_if = "Option::is_none")]
        in_table: Option<&'static str>,
        bookmarks: Vec<Said<'a>>,
        notes: Vec<Said<'a>>,
        tags: Vec<Said<'a>>,
        verdicts: Vec<Said<'a>>,
    }
    #[derive(serde::Serialize)]
    struct Said<'a> {
        id: &'a str,
        at: Timestamp,
        by: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        text: Option<&'a str>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        edited: bool,
    }
    #[derive(serde::Serialize)]
    struct Named<'a> {
        name: &'a str,
        filter: &'a str,
    }
    fn said<'a>(stamp: &'a Stamp, text: Option<&'a str>, edited: bool) -> Said<'a> {
        Said { id: &stamp.id, at: stamp.at, by: &stamp.by, text, edited }
    }
    let event = |(n, entry): (usize, &&'a Entry)| Event {
        subject: &entry.event,
        in_table: shown.fates.get(n).map(|fate| match fate {
            Fate::Present(_) => "present",
            Fate::OtherHash(_) => "other_hash",
            Fate::Gone => "gone",
        }),
        bookmarks: entry.bookmarks.iter().map(|stamp| said(stamp, None, false)).collect(),
        notes: entry.notes.iter().map(|n| said(&n.stamp, Some(&n.text), n.is_edited)).collect(),
        tags: entry.tags.iter().map(|t| said(&t.stamp, Some(&t.tag), false)).collect(),
        verdicts: entry.verdicts.iter().map(|v| said(&v.stamp, Some(v.verdict.name()), false)).collect(),
    };
    let saved = shown.saved.iter().chain(shown.shared.iter().map(|shared| &shared.saved));
    json::general_document(Body {
        case: &shown.case.name,
        path: shown.case.path().display().to_string(),
        events: shown.entries.iter().enumerate().map(event).collect(),
        accepted: &shown.accepted,
        filters: saved.map(|s| Named { name: &s.name, filter: &s.filter }).collect(),
        heads: &shown.heads,
        contradictions: shown.contradictions.iter().map(Finding::name).collect(),
    })
}
