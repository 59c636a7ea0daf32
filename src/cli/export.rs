//! `agenttrace export`

use super::context::blocking;
use super::context::demand_events;
use super::filter::{FilterArgs, joined};
use super::{Context, Format, Reader};
use crate::chain::{Content, Judge};
use crate::domain::{Event, Joiners, Safe, Timestamp};
use crate::error::{Error, Kind, Result};
use crate::export::manifest::{self, Database, FirstLine, LastIntact, Manifest, Outcome, Request};
use crate::export::{EventFile, FileFormat, Mark, Record, Style, json};
use crate::investigation::{Records, export};
use crate::store::query::Query;
use crate::verify::{self, Detected};
use chrono::Utc;
use clap::ValueEnum;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sha2::{Digest as _, Sha256};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Arguments of `export`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = format!("{}\n\n{AFTER_HELP}", super::filter::HELP))]
pub struct ExportArgs {
    /// Which events; without a filter and a time, all of the default window
    #[command(flatten)]
    pub filter: FilterArgs,
    /// Output format
    // The same id as the global option, which it stands for in this command; so it must give the same type.
    #[arg(long, value_name = "FORMAT", value_parser = format_parser(), default_value = "ndjson")]
    pub format: Option<Format>,
    /// File to write, with FILE.manifest.json beside it; without it, standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Replace a file that is there
    #[arg(long, requires = "output")]
    pub overwrite: bool,
    /// The manifest's first part as the first line of the file, in formats of one event a line
    #[arg(long)]
    pub manifest: bool,
    /// States as JSON, or as texts that hold JSON, for readers that make a type of what they see
    #[arg(long, value_enum, default_value_t)]
    pub states: States,
    /// CSV without the apostrophe that keeps spreadsheets from evaluating cells
    #[arg(long)]
    pub csv_raw: bool,
    /// Verify the content of each event by its own hash, and write the result beside it
    #[arg(long)]
    pub integrity: bool,
}

const AFTER_HELP: &str = "\
All events that match are written, oldest first, as they were when the export began; inside one instant along the chain.
The file appears when it is complete. NDJSON, CSV and JSON are read again by agenttrace ingest. docs/guide/export.md says
more. Exit 4 when no event matches.";

/// How states are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum States {
    /// As JSON.
    #[default]
    Json,
    /// As texts.
    Text,
}

fn format_parser() -> impl TypedValueParser<Value = Format> {
    PossibleValuesParser::new(FileFormat::ALL.map(FileFormat::name)).try_map(|word: String| {
        FileFormat::ALL
            .into_iter()
            .find(|format| format.name() == word)
            .map(Format::File)
            .ok_or("not a format")
    })
}

impl ExportArgs {
    fn file_format(&self) -> FileFormat {
        match self.format {
            Some(Format::File(format)) => format,
            _ => FileFormat::Ndjson,
        }
    }
}

/// Runs it.
///
/// # Errors
/// Exit 2 when the file is there already, 3 when it cannot be written or the database cannot be read, 4 when no event
/// matches, 130 when it was stopped; no file is left behind then.
pub(super) async fn run(context: &Context, args: ExportArgs) -> Result<()> {
    check(&args)?;
    let reader = context.reader().await?;
    let scope = context.scope(&reader).await?;
    let cancel = super::cancel_on_interrupt();
    let query = args.filter.query(context, &reader, scope, &cancel).await?;
    let detected =
        if args.integrity { Some(verify::detect(&reader.db, &query.scope, &cancel).await?) } else { None };
    let request = request(&reader, &args, &query, &cancel).await?;
    let target = Target::new(args.output.as_deref())?;
    let style =
        Style { states_as_text: args.states == States::Text, csv_raw: args.csv_raw, marks: args.integrity };
    let joiners = if args.output.is_some() { Joiners::Kept } else { context.out.joiners() };
    let first = args.manifest.then_some(FirstLine { manifest: &request });
    let organization = query.scope.organization().as_str();
    let file = EventFile::new(target, args.file_format(), style, joiners, organization, first.as_ref())?;

    let (send, receive) = mpsc::channel::<Vec<Event>>(2);
    let bar = progress_bar(context, &args);
    let announce = super::walk_announcer(context.out);
    let streaming = reader.db.at_one_snapshot(&cancel, |db| {
        let (query, cancel, bar, announce) = (&query, &cancel, &bar, &announce);
        // Its end is that of the file.
        async move {
            export::stream(&db, query, Some(announce), cancel, async |events: Vec<Event>| {
                bar.inc(events.len() as u64);
                // Whoever writes has failed, and says why.
                send.send(events).await.map_err(|_| Error::silent(Kind::CouldNotRun))
            })
            .await
        }
    });
    let (streamed, written) = tokio::join!(streaming, blocking(move || write(file, receive, detected)));
    bar.finish_and_clear();
    // What could not be written comes first: it ended the reading.
    let (target, mut outcome) = written??;
    let streamed = streamed?;
    outcome.instants_by_id = streamed.by_id.into_iter().map(Timestamp::to_rfc3339).collect();
    target.complete(&args, &request, &mut outcome)?;
    say(context, &args, &outcome);
    if outcome.events == 0 {
        demand_events(&reader.db, &query.scope, &cancel).await?;
        return Err(Error::new(Kind::Incomplete, "no event matches"));
    }
    Ok(())
}

/// What can be said before anything is read.
fn check(args: &ExportArgs) -> Result<()> {
    let is_lines = !matches!(args.file_format(), FileFormat::Csv | FileFormat::Json | FileFormat::Markdown);
    if args.manifest && !is_lines {
        return Err(Error::usage(format!(
            "--manifest: {} has no line before its events",
            args.file_format().name()
        ))
        .hint("with -o FILE, FILE.manifest.json is written in any case"));
    }
    if args.csv_raw && args.file_format() != FileFormat::Csv {
        return Err(Error::usage("--csv-raw goes with --format csv"));
    }
    if args.states == States::Text && !matches!(args.file_format(), FileFormat::Ndjson | FileFormat::Json) {
        return Err(Error::usage("--states text goes with --format ndjson or json"));
    }
    if let Some(path) = args.output.as_ref().filter(|path| path.symlink_metadata().is_ok() && !args.overwrite)
    {
        return Err(Error::usage(format!("'{}' is there already", path.display()))
            .hint("choose another name, or replace it with --overwrite"));
    }
    Ok(())
}

async fn request(
    reader: &Reader,
    args: &ExportArgs,
    query: &Query,
    cancel: &CancellationToken,
) -> Result<Request> {
    let facts = reader.db.facts().await?;
    let organization = query.scope.organization().as_str();
    let identity = verify::identity(&reader.db, &query.scope, cancel).await?;
    let memory = Records::load(&reader.place).memory(organization);
    let last = memory.records.iter().rfind(|trail| crate::chain::head::same_object(&trail.object, &identity));
    let last_intact = last.map(|trail| LastIntact {
        verified_at: trail.verified_at.to_rfc3339(),
        events: trail.events,
        heads: trail.heads.iter().map(|head| head.hash.clone()).collect(),
    });
    let filter = match &args.filter.saved {
        Some(name) => format!("{} (saved as {name}) {}", query.filter, joined(&args.filter.filter)),
        None => joined(&args.filter.filter),
    };
    let database = Database {
        identity,
        table: facts.table,
        postgresql: facts.major,
        standing: facts.standing.to_string(),
    };
    Ok(Request {
        schema_version: json::SCHEMA_VERSION,
        program: env!("CARGO_PKG_NAME"),
        version: env!("CARGO_PKG_VERSION"),
        format: args.file_format().name(),
        organization_id: organization.to_owned(),
        filter,
        since: query.range.since.map(Timestamp::to_rfc3339),
        until: query.range.until.map(Timestamp::to_rfc3339),
        order: manifest::ORDER,
        read_at: Timestamp::from(Utc::now()).to_rfc3339(),
        database,
        last_intact,
        limits: manifest::limits(args.integrity),
    })
}

/// Writes what comes in until nothing more comes.
fn write(
    mut file: EventFile<Target>,
    mut events: mpsc::Receiver<Vec<Event>>,
    detected: Option<Detected>,
) -> Result<(Target, Outcome)> {
    let mut judge = detected.as_ref().map(|detected| Judge::new(detected.scheme));
    let scheme = detected.as_ref().map(|detected| detected.used.name);
    let mut outcome = Outcome { scheme, ..Outcome::default() };
    while let Some(part) = events.blocking_recv() {
        for event in part {
            let content = match (&detected, &mut judge) {
                (Some(detected), Some(judge)) => Some(detected.judge(judge, &event).content()),
                _ => None,
            };
            let mark = content.zip(scheme).map(|(content, scheme)| mark(content, scheme));
            file.write(Record::from(&event), mark)?;
            outcome.count(event.row.key(), content);
        }
    }
    Ok((file.finish()?, outcome))
}

fn mark(content: Content, scheme: &str) -> Mark<'_> {
    Mark { content: content.name(), scheme }
}

/// Where the file is written.
struct Target {
    to: io::BufWriter<To>,
    digest: Sha256,
    bytes: u64,
}

enum To {
    Stdout(io::Stdout),
    /// Beside the file that it becomes.
    File(NamedTempFile),
}

impl Target {
    fn new(path: Option<&Path>) -> Result<Self> {
        let to = match path {
            None => To::Stdout(io::stdout()),
            Some(path) => To::File(NamedTempFile::new_in(folder(path)).map_err(|e| cannot_write(path, e))?),
        };
        Ok(Self { to: io::BufWriter::with_capacity(1 << 16, to), digest: Sha256::new(), bytes: 0 })
    }

    /// Gives the file its name, and writes the manifest.
    fn complete(self, args: &ExportArgs, request: &Request, outcome: &mut Outcome) -> Result<()> {
        let digest: [u8; 32] = self.digest.finalize().into();
        outcome.sha256 = crate::chain::to_hex(&digest);
        outcome.bytes = self.bytes;
        let to = self.to.into_inner().map_err(io::IntoInnerError::into_error)?;
        let (To::File(file), Some(path)) = (to, &args.output) else { return Ok(()) };
        outcome.file = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        persist(file, path, args.overwrite)?;
        let beside = manifest_path(path);
        let mut file = NamedTempFile::new_in(folder(path)).map_err(|e| cannot_write(&beside, e))?;
        json::write_line(&mut file, &Manifest { request, outcome }).map_err(|e| cannot_write(&beside, e))?;
        persist(file, &beside, true)
    }
}

impl Write for Target {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        let written = self.to.write(part)?;
        self.digest.update(part.get(..written).unwrap_or_default());
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

impl Write for To {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout(to) => to.write(part),
            Self::File(to) => to.write(part),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(to) => to.flush(),
            Self::File(to) => to.flush(),
        }
    }
}

/// A file under its name, on the disk, or none.
fn persist(file: NamedTempFile, path: &Path, replace: bool) -> Result<()> {
    file.as_file().sync_all().map_err(|e| cannot_write(path, e))?;
    let kept = if replace { file.persist(path) } else { file.persist_noclobber(path) };
    kept.map(drop).map_err(|e| cannot_write(path, e.error))
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn manifest_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".manifest.json");
    name.into()
}

fn cannot_write(path: &Path, error: io::Error) -> Error {
    Error::could_not_run(format!("cannot write '{}'", path.display())).because(error)
}

fn say(context: &Context, args: &ExportArgs, outcome: &Outcome) {
    let out = context.out;
    let events = if outcome.events == 1 { "event" } else { "events" };
    match &args.output {
        Some(path) => out.remark(format_args!(
            "EXPORT: {} {events}, {} bytes, sha256 {}, {} (manifest: {})",
            outcome.events,
            outcome.bytes,
            outcome.sha256,
            Safe::from_untrusted(&path.display().to_string()),
            Safe::from_untrusted(&manifest_path(path).display().to_string()),
        )),
        None => out.remark(format_args!("EXPORT: {} {events}, sha256 {}", outcome.events, outcome.sha256)),
    }
    let worse = [Content::Mismatch, Content::Undecided, Content::Unreadable].map(Content::name);
    for (content, n) in outcome.content.iter().filter(|(content, _)| worse.contains(content)) {
        out.remark(format_args!("content {content}: {n} of {}", outcome.events));
    }
    for instant in &outcome.instants_by_id {
        out.remark(format_args!("{instant}: too many events of one instant; they stand by id"));
    }
}

fn progress_bar(context: &Context, args: &ExportArgs) -> ProgressBar {
    let out = context.out;
    // Without -o, the events on the terminal are progress enough.
    let is_shown = args.output.is_some() || !out.stdout_is_terminal;
    if out.quiet || !out.stderr_is_terminal || !is_shown {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("exporting: {human_pos} events, {rate} (Ctrl-C stops)") {
        bar.set_style(style.with_key("rate", super::out::rate));
    }
    bar
}
