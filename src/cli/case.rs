//! `agenttrace case`: what analysts say about events, on this machine.

use super::{Context, Format, activity, blocking, case_show, event_id, report};
use crate::case;
use crate::case::notebook::handover::Handover;
use crate::case::notebook::{self, Book, CaseFile, Merged, Opinion, Wish};
use crate::case::record::Contents;
use crate::case::saved::{self, Saved};
use crate::domain::{Safe, Timestamp};
use crate::error::{Error, Kind, Result};
use crate::export::json;
use crate::investigation::casework;
use clap::Subcommand;
use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Longest file that is merged, in bytes.
const LONGEST: u64 = 256 * 1024 * 1024;

const AFTER_HELP: &str = "\
A case is one append-only file of bookmarks, notes, tags and verdicts; --case NAME chooses another one than 'default'.
A case is exported with the heads of its trails that this machine remembers, accepted findings and saved filters.
Files of several analysts are merged without loss: a note that two have reworded shows both wordings.
  agenttrace case note evt-000300000 'first use of the stolen key'
  agenttrace events is:noted OR tag:exfil
  agenttrace case export | ssh colleague agenttrace case merge -";

/// Arguments of `case`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct CaseArgs {
    /// What to do
    #[command(subcommand)]
    pub what: CaseCommand,
}

/// What can be done with cases.
#[derive(Debug, Clone, Subcommand)]
pub enum CaseCommand {
    /// All cases of this machine, and where they lie
    List,
    /// What stands in a case, the newest event first; of one organisation with --org
    Show {
        /// Compare with the table: which events are gone, which have another hash
        #[arg(long)]
        check: bool,
    },
    /// Bookmark an event
    Bookmark {
        /// Id of the event
        #[arg(value_name = "EVENT_ID", allow_hyphen_values = true, value_parser = event_id)]
        event_id: String,
        /// Take the bookmark away
        #[arg(long)]
        remove: bool,
    },
    /// Add a note to an event
    Note {
        /// Id of the event
        #[arg(value_name = "EVENT_ID", allow_hyphen_values = true, value_parser = event_id)]
        event_id: String,
        /// The note; the words are joined by blanks; - reads standard input
        #[arg(required = true)]
        text: Vec<String>,
    },
    /// Tag an event
    Tag {
        /// Id of the event
        #[arg(value_name = "EVENT_ID", allow_hyphen_values = true, value_parser = event_id)]
        event_id: String,
        /// Tags that it gets: letters, digits, - _ . and /
        #[arg(value_name = "TAG", required_unless_present = "remove")]
        tags: Vec<String>,
        /// Tag that it loses; may be repeated
        #[arg(long, value_name = "TAG")]
        remove: Vec<String>,
    },
    /// Say what is thought of an event, in the place of what the same analyst said before
    Verdict {
        /// Id of the event
        #[arg(value_name = "EVENT_ID", allow_hyphen_values = true, value_parser = event_id)]
        event_id: String,
        /// malicious, suspicious or benign; none takes it back
        #[arg(value_name = "VERDICT", value_parser = verdict)]
        verdict: Given,
    },
    /// The activity log: what was asked and done on this machine, and whether the log is whole
    Activity(activity::ActivityArgs),
    /// Ask again what the activity log says was asked, and show which answers are other ones now
    Replay(activity::ReplayArgs),
    /// Write a report: the events with notes, changes, integrity and its basis; Markdown or HTML
    Report(report::CaseReportArgs),
    /// Write the case to standard output, in the form that import and merge read
    Export,
    /// Begin a case with a file from elsewhere: --case names it, else the file does
    Import {
        /// The file; - is standard input
        file: PathBuf,
    },
    /// Add what a file from elsewhere has more; nothing is lost on either side
    Merge {
        /// The file; - is standard input
        file: PathBuf,
    },
}

/// A verdict that is given or taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Given(Option<Opinion>);

fn verdict(word: &str) -> std::result::Result<Given, String> {
    if word == "none" {
        return Ok(Given(None));
    }
    let found = Opinion::ALL.into_iter().find(|opinion| opinion.name() == word);
    found.map(|opinion| Given(Some(opinion))).ok_or_else(|| {
        let names: Vec<&str> = Opinion::ALL.iter().map(|opinion| opinion.name()).collect();
        format!("the verdicts are {} and none", names.join(", "))
    })
}

/// Runs it.
///
/// # Errors
/// Exit 2 for names that cannot be used and a case that is there already, exit 3 when files cannot be read or written,
/// exit 4 for an event or a case that does not exist, and where a file from elsewhere is damaged.
pub(super) async fn run(context: &Context, args: CaseArgs) -> Result<()> {
    match args.what {
        CaseCommand::List => list(context),
        CaseCommand::Show { check } => case_show::run(context, check).await,
        CaseCommand::Bookmark { event_id, remove } => {
            write(context, &event_id, |event| Ok(Wish::Bookmark(event, !remove))).await
        }
        CaseCommand::Note { event_id, text } => {
            let text =
                if text == ["-"] { all_of(&mut io::stdin(), "standard input")? } else { text.join(" ") };
            let text = notebook::note(&text)?;
            write(context, &event_id, |event| Ok(Wish::Note(event, text))).await
        }
        CaseCommand::Tag { event_id, tags, remove } => {
            let checked = |tags: &[String]| tags.iter().map(|tag| notebook::tag(tag)).collect::<Result<_>>();
            let (add, remove) = (checked(&tags)?, checked(&remove)?);
            write(context, &event_id, |event| Ok(Wish::Tags { event, add, remove })).await
        }
        CaseCommand::Verdict { event_id, verdict } => {
            write(context, &event_id, |event| Ok(Wish::Verdict(event, verdict.0))).await
        }
        CaseCommand::Activity(args) => activity::list(context, &args),
        CaseCommand::Replay(args) => Box::pin(activity::replay(context, &args)).await,
        CaseCommand::Report(args) => Box::pin(report::of_case(context, args)).await,
        CaseCommand::Export => export(context),
        CaseCommand::Import { file } => import(context, &file),
        CaseCommand::Merge { file } => {
            let records = read(context, &file)?;
            let case = context.case_file()?;
            let merged = case.merge(records.0)?;
            say_merged(context, &case, &merged);
            take_filters(context, &case)?;
            records.1
        }
    }
}

/// The records of a case that can be used; damage is said.
pub(super) fn used(context: &Context, case: &CaseFile) -> Result<Contents<notebook::Record>> {
    let contents = case.load();
    for remark in &contents.remarks {
        context.out.remark(format_args!("case {}: {}", case.name, Safe::from_untrusted(remark)));
    }
    match &contents.refused {
        Some(why) => Err(Error::could_not_run(format!("the case '{}' is not used: {why}", case.name))),
        None => Ok(contents),
    }
}

fn list(context: &Context) -> Result<()> {
    #[derive(serde::Serialize)]
    struct Body<'a> {
        cases: &'a [Listed],
    }
    #[derive(serde::Serialize)]
    struct Listed {
        name: String,
        path: String,
        events: usize,
        notes: usize,
        organizations: Vec<String>,
        records: usize,
        changed_at: Option<Timestamp>,
        refused: Option<String>,
    }
    let mut cases = Vec::new();
    for case in CaseFile::all(&case::folder()?)? {
        let contents = case.load();
        let (records, changed_at) = (contents.records.len(), contents.records.last().map(|record| record.at));
        let book = Book::of(contents, None);
        let entries = book.entries();
        let mut organizations: Vec<String> =
            entries.iter().map(|entry| entry.event.trail.organization_id.clone()).collect();
        organizations.sort();
        organizations.dedup();
        cases.push(Listed {
            path: case.path().display().to_string(),
            events: entries.len(),
            notes: entries.iter().map(|entry| entry.notes.len()).sum(),
            organizations,
            records,
            changed_at,
            refused: book.refused.clone(),
            name: case.name,
        });
    }
    let mut out = context.out.results();
    match context.global.format {
        None | Some(Format::Table) => {
            for case in &cases {
                let changed = case.changed_at.map_or_else(|| "–".to_owned(), Timestamp::to_rfc3339);
                let events = if case.events == 1 { "event" } else { "events" };
                let notes = if case.notes == 1 { "note" } else { "notes" };
                let refused =
                    case.refused.as_ref().map(|why| format!("  NOT USED: {why}")).unwrap_or_default();
                let line = format!(
                    "{}  {} {events}, {} {notes}  {}  changed {changed}  {}{refused}",
                    case.name,
                    case.events,
                    case.notes,
                    case.organizations.join(" "),
                    case.path
                );
                writeln!(out, "{}", Safe::from_untrusted(&line))?;
            }
        }
        Some(Format::Json) => {
            json::write_line(&mut out, &json::general_document(Body { cases: &cases }))?;
        }
        Some(_) => return Err(Error::usage("case list writes --format table or json")),
    }
    if cases.is_empty() {
        context.out.remark("there is no case yet: agenttrace case note EVENT_ID TEXT begins one");
    }
    Ok(out.flush()?)
}

/// Says something about an event of the table, or, where that has lost it, of the case.
async fn write(
    context: &Context,
    event_id: &str,
    wish: impl FnOnce(notebook::Subject) -> Result<Wish>,
) -> Result<()> {
    let case = context.case_file()?;
    let reader = context.reader().await?;
    let scope = context.scope(&reader).await?;
    let cancel = super::cancel_on_interrupt();
    let subject = match casework::subject(&reader.db, &reader.place, &scope, event_id, &cancel).await? {
        Some(subject) => subject,
        None => {
            let book = casework::open(&reader.db, &reader.place, &scope, &case, &cancel).await?;
            let known = book.get(event_id).map(|entry| entry.event.clone());
            known.ok_or_else(|| super::show::no_such_event(&scope, event_id))?
        }
    };
    let wish = wish(subject)?;
    let wishes = [wish];
    let now = Timestamp::from(chrono::Utc::now());
    let (name, written, wishes) =
        blocking(move || case.write(&wishes, now, &case::user()).map(|written| (case.name, written, wishes)))
            .await??;
    reader.activity.record_wishes(scope.organization(), &name, &wishes);
    context.say_unrecorded(&reader);
    let said = if written == 0 { "it says so already" } else { "recorded" };
    context.out.remark(format_args!("case {name}: {said}"));
    Ok(())
}

pub(super) fn no_case(case: &CaseFile) -> Error {
    Error::new(Kind::Incomplete, format!("nothing stands in the case '{}'", case.name))
        .hint("agenttrace case list names all cases; --case NAME chooses one")
}

fn export(context: &Context) -> Result<()> {
    let case = context.case_file()?;
    if used(context, &case)?.records.is_empty() {
        return Err(no_case(&case));
    }
    case.gather(&case::folder()?, Timestamp::from(chrono::Utc::now()), &case::user())?;
    // What is damaged was said.
    let contents = case.load();
    let mut out = context.out.results();
    // The lines are JSON: what is hidden in them stays escaped, and their digests hold.
    out.write_all(notebook::lines(&contents.records)?.as_bytes())?;
    Ok(out.flush()?)
}

fn import(context: &Context, file: &Path) -> Result<()> {
    let case = match (&context.global.case, file.file_stem().and_then(|stem| stem.to_str())) {
        (None, Some(stem)) if stem != "-" => CaseFile::named(&case::folder()?, stem)?,
        _ => context.case_file()?,
    };
    if case.exists() {
        return Err(Error::usage(format!("there is a case '{}' already", case.name))
            .hint("agenttrace case merge adds to it; --case NAME imports under another name"));
    }
    let (records, damage) = read(context, file)?;
    let merged = case.merge(records)?;
    say_merged(context, &case, &merged);
    take_filters(context, &case)?;
    damage
}

/// Saves the filters that were handed over with a case, where no filter of that name is saved here.
fn take_filters(context: &Context, case: &CaseFile) -> Result<()> {
    let path = case::folder()?.join(saved::FILE);
    let here = saved::load(&path)?;
    let handed = Handover::of(&case.load().records).filters.into_iter().map(|filter| filter.saved);
    let (known, mut new): (Vec<Saved>, Vec<Saved>) =
        handed.partition(|saved| here.iter().any(|there| there.name == saved.name));
    // Of two analysts' filters of one name the first one is saved.
    let mut names = HashSet::new();
    new.retain(|saved| names.insert(saved.name.clone()));
    for saved in known.iter().filter(|saved| !here.contains(saved)) {
        let name = Safe::from_untrusted(&saved.name);
        context.out.remark(format_args!(
            "the filter '{name}' of the case differs from yours, which stays: agenttrace case show has both"
        ));
    }
    if !new.is_empty() {
        saved::put(&path, &new)?;
        let names: Vec<&str> = new.iter().map(|saved| saved.name.as_str()).collect();
        context.out.remark(format_args!("filters saved: {}", Safe::from_untrusted(&names.join(", "))));
    }
    Ok(())
}

fn say_merged(context: &Context, case: &CaseFile, merged: &Merged) {
    let Merged { added, known } = merged;
    let records = if *added == 1 { "record" } else { "records" };
    context
        .out
        .remark(format_args!("case {}: {added} {records} added, {known} were here already", case.name));
}

/// The valid records of a file from elsewhere, and whether that is all of it. Damage is said.
fn read(context: &Context, file: &Path) -> Result<(Vec<notebook::Record>, Result<()>)> {
    let (name, text) = if file.as_os_str() == "-" {
        ("standard input".to_owned(), all_of(&mut io::stdin(), "standard input")?)
    } else {
        let name = file.display().to_string();
        let cannot = |e| Error::could_not_run(format!("cannot read '{name}'")).because(e);
        let text = all_of(&mut File::open(file).map_err(cannot)?, &name)?;
        (name, text)
    };
    let Contents { records, remarks, refused } = notebook::read(&name, text.as_bytes());
    if let Some(why) = refused {
        return Err(Error::could_not_run(format!("nothing was read: {why}")));
    }
    for remark in &remarks {
        context.out.remark(Safe::from_untrusted(remark));
    }
    if records.is_empty() {
        return Err(Error::new(Kind::Incomplete, format!("'{name}' holds no records of a case"))
            .hint("agenttrace case export writes such a file"));
    }
    let damage = if remarks.is_empty() {
        Ok(())
    } else {
        Err(Error::new(Kind::Incomplete, "the file is damaged: what could be read was taken in")
            .hint("ask for the file again: a merge adds only what is missing"))
    };
    Ok((records, damage))
}

fn all_of(source: &mut impl Read, name: &str) -> Result<String> {
    let mut bytes = Vec::new();
    let cannot = |e| Error::could_not_run(format!("cannot read '{name}'")).because(e);
    source.take(LONGEST + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > LONGEST {
        return Err(Error::could_not_run(format!("'{name}' is longer than {LONGEST} bytes")));
    }
    // Lines that are no text are damage, not an error.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
