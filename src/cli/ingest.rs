//! `agenttrace ingest`

use super::{Context, Format as OutputFormat, Out, ingest_relay};
use crate::config::Span;
use crate::domain::{OrgId, Safe, Timestamp};
use crate::error::{Error, Kind, Result};
use crate::export::json;
use crate::ingest::{
    self, FORMATS, Format, Halt, Input, Mapping, Metrics, Observer, Outcome, RejectedRecord, RejectsFile,
    Report, Settings, Sink, SourceFormat,
};
use crate::store::WriteDb;
use crate::store::writer::{Rehearsal, WriteError, Writer, WriterSettings};
use chrono_tz::Tz;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tokio_util::sync::CancellationToken;

/// Rejected records that are shown one by one.
const SHOWN: u64 = 20;

/// Arguments of `ingest`.
#[derive(Debug, Clone, clap::Args)]
pub struct IngestArgs {
    /// Files and folders to load, also gzip or Zstandard; `-` is standard input
    #[arg(value_name = "FILE|FOLDER")]
    pub files: Vec<PathBuf>,
    /// Format of the files
    #[arg(long, value_name = "FORMAT", default_value = AUTO, value_parser = source_parser())]
    pub from: Source,
    /// Time zone of times that name none, such as UTC or Europe/Berlin; without it they are refused
    #[arg(long, value_name = "ZONE", value_parser = zone)]
    pub zone: Option<Tz>,
    /// Time of records that have none, such as 2026-01-15T09:58:00Z; without it they are refused
    #[arg(long, value_name = "TIME", value_parser = Timestamp::parse)]
    pub default_time: Option<Timestamp>,
    /// Load hash, previous hash and organisation as the records give them, instead of chaining anew
    #[arg(long)]
    pub preserve_chain: bool,
    /// Check every record and store none; needs no database
    #[arg(long)]
    pub dry_run: bool,
    /// Append records that are not stored to this file [default: SOURCE.rejected.ndjson in the current folder]
    #[arg(long, value_name = "FILE")]
    pub rejected: Option<PathBuf>,
    /// Go on from this head although the chain ends elsewhere, or in several places
    #[arg(long, value_name = "HASH", conflicts_with = "preserve_chain")]
    pub continue_from: Option<String>,
    /// Records that are written in one transaction
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub batch: u32,
    /// Try records again that were not stored, from the file that they were appended to
    #[arg(long, value_name = "FILE", conflicts_with_all = ["files", "preserve_chain"])]
    pub retry: Option<PathBuf>,
    /// Keep what is read in a spool on disk until it is stored, and print `ack N` when N records are safe there
    #[arg(long, conflicts_with_all = ["preserve_chain", "dry_run"])]
    pub ack: bool,
    /// Folder of the spool [default: one for each database in the data folder]
    #[arg(long, value_name = "FOLDER", requires = "ack")]
    pub spool: Option<PathBuf>,
    /// Most that may wait in the spool, in MiB
    #[arg(long, value_name = "MIB", requires = "ack", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..))]
    pub spool_limit: u32,
    /// How long a full spool, and at the end the database, is waited for when nothing gets through
    #[arg(long, value_name = "TIME", requires = "ack", default_value = "60s")]
    pub wait: Span,
}

/// The value of `--from` that finds the format out.
const AUTO: &str = "auto";

/// The format of the files; `None` finds it out from the first records of each.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Source(pub Option<SourceFormat>);

/// The values of `--from`: a row of the format table each.
fn source_parser() -> impl TypedValueParser<Value = Source> {
    let auto = PossibleValue::new(AUTO).help("Found out from the first records of each file");
    let formats = FORMATS.iter().map(|format| PossibleValue::new(format.name).help(format.help));
    PossibleValuesParser::new(std::iter::once(auto).chain(formats))
        .map(|name: String| Source(Format::named(&name)))
}

/// A zone by its IANA name; abbreviations such as `CET` mean different things to different programs.
fn zone(name: &str) -> std::result::Result<Tz, String> {
    let found = if name.eq_ignore_ascii_case("utc") { Some(Tz::UTC) } else { name.parse().ok() };
    found
        .filter(|zone: &Tz| *zone == Tz::UTC || zone.name().contains('/'))
        .ok_or_else(|| "not a time zone such as UTC or Europe/Berlin".to_owned())
}

/// Runs it.
pub(super) async fn run(context: &Context, args: IngestArgs) -> Result<()> {
    let as_json = match context.global.format {
        None | Some(OutputFormat::Table) => false,
        Some(OutputFormat::Json | OutputFormat::Ndjson) => true,
        Some(
            OutputFormat::Csv | OutputFormat::Patch(_) | OutputFormat::File(_) | OutputFormat::Document(_),
        ) => {
            return Err(Error::usage("ingest ends with a line for people or with --format json"));
        }
    };
    let Source(format) = args.from;
    if let Some(format) = format.filter(|format| args.preserve_chain && !format.has_chain) {
        return Err(Error::usage(ingest::no_chain(format)));
    }
    let organization = context
        .global
        .org
        .as_deref()
        .map(OrgId::new)
        .transpose()
        .map_err(|e| Error::usage(format!("--org: {e}")))?;
    let files = args.retry.as_ref().map_or(args.files.as_slice(), std::slice::from_ref);
    let inputs = open(files)?;
    let mut rejects = rejects_file(&args, files)?;
    let target = if args.dry_run { None } else { Some(context.writer().await?) };
    let writer =
        |db: &WriteDb| Writer::new(db.clone(), WriterSettings { continue_from: args.continue_from.clone() });
    let mut sink = match &target {
        None => Sink::Nowhere(Rehearsal::default()),
        Some((db, _)) => {
            if let Some(remark) = db.unguarded() {
                context.out.remark(remark);
            }
            if args.ack {
                Sink::Spool(ingest_relay::open(context.out, &args, db).await?)
            } else {
                Sink::Database(Box::new(writer(db)))
            }
        }
    };
    let settings = Settings {
        format,
        mapping: Mapping {
            organization,
            preserve_chain: args.preserve_chain,
            zone: args.zone,
            default_time: args.default_time,
        },
        batch: args.batch as usize,
        retry: args.retry.is_some(),
    };
    let mut watcher = Watcher::new(context.out, &inputs);
    let mut outcome = load(context.out, inputs, settings, &mut sink, &mut rejects, &mut watcher).await?;
    watcher.finish(&rejects);
    let relayed = match &sink {
        Sink::Spool(writer) => {
            let wait = args.wait.as_duration();
            Some(ingest_relay::finish(context.out, writer, &mut outcome, wait).await?)
        }
        _ => None,
    };
    let is_away = relayed.as_ref().is_some_and(|last| last.pending > 0);
    let goes_on = !is_away && !matches!(outcome.halt, Some(Halt::Write(WriteError::Store(_))));
    // Of the writer that wrote: it knows the heads that it left.
    let writer = match sink {
        Sink::Database(writer) => Some(*writer),
        _ => target.as_ref().map(|(db, _)| writer(db)),
    }
    .filter(|_| goes_on);
    if let Some(writer) = &writer
        && let Err(error) = writer.analyze_after(outcome.report.stored).await
    {
        // What was stored is stored; only estimates are worse without it.
        tracing::warn!(%error, "the statistics were not renewed");
    }
    if as_json {
        // A database that failed is not asked for heads.
        print_json(context.out, &outcome.report, args.dry_run, writer.as_ref(), relayed.as_ref()).await?;
    } else {
        let waiting = relayed.as_ref().map_or(0, |last| last.pending);
        print_summary(context.out, &outcome.report, waiting, args.dry_run, watcher.started)?;
    }
    let Some(last) = relayed else { return conclude(outcome, args.dry_run) };
    let is_whole = outcome.halt.is_none();
    // A run without input delivers what an earlier one left.
    let is_of_earlier = outcome.report.read == 0 && last.replayed.total() > 0;
    if is_whole && (last.pending > 0 || is_of_earlier) {
        return ingest_relay::conclude(&last);
    }
    conclude(outcome, args.dry_run)?;
    ingest_relay::conclude(&last)
}

/// Finds all files before anything is stored, so that a wrong name costs nothing; each is opened at its turn.
fn open(files: &[PathBuf]) -> Result<Vec<Input>> {
    if files.is_empty() && io::stdin().is_terminal() {
        return Err(Error::usage("nothing to load").hint("name files or folders, or - for standard input"));
    }
    if files.is_empty() {
        return Ok(vec![Input::stdin()]);
    }
    let mut inputs = Vec::new();
    for path in files {
        if path == Path::new("-") {
            inputs.push(Input::stdin());
        } else {
            inputs.extend(Input::files(path)?);
        }
    }
    Ok(inputs)
}

fn rejects_file(args: &IngestArgs, files: &[PathBuf]) -> Result<RejectsFile> {
    match &args.rejected {
        Some(path) => {
            let same = |file: &PathBuf| {
                file.canonicalize().ok().is_some_and(|f| path.canonicalize().ok().is_some_and(|p| p == f))
            };
            if files.iter().any(same) {
                return Err(Error::usage(format!(
                    "--rejected: '{}' is one of the files to load",
                    path.display()
                )));
            }
            // With --ack the spool has the file.
            Ok(if args.ack { RejectsFile::nowhere() } else { RejectsFile::at(path.clone()) })
        }
        // A rehearsal leaves nothing behind that was not asked for.
        None if args.dry_run || args.ack => Ok(RejectsFile::nowhere()),
        None => Ok(RejectsFile::in_folder(PathBuf::new())),
    }
}

/// Loads; the first Ctrl-C stops after the batch on its way, the second at once (PostgreSQL then rolls it back).
async fn load(
    out: Out,
    inputs: Vec<Input>,
    settings: Settings,
    sink: &mut Sink,
    rejects: &mut RejectsFile,
    watcher: &mut Watcher,
) -> Result<Outcome> {
    let stop = CancellationToken::new();
    let loading = ingest::load(inputs, settings, sink, rejects, watcher, &stop);
    tokio::pin!(loading);
    loop {
        tokio::select! {
            outcome = &mut loading => return Ok(outcome),
            signal = tokio::signal::ctrl_c() => {
                signal?;
                if stop.is_cancelled() {
                    return Err(Error::new(Kind::Interrupted, "stopped; the batch on its way was not stored"));
                }
                stop.cancel();
                out.remark("stopping after this batch; Ctrl-C again stops at once");
            }
        }
    }
}

/// The exit code, and what is to be done.
fn conclude(outcome: Outcome, dry_run: bool) -> Result<()> {
    let Report { read, conflict, rejected, ref empty, .. } = outcome.report;
    match outcome.halt {
        None => {}
        Some(Halt::Interrupted) => {
            return Err(Error::new(Kind::Interrupted, "stopped; what was stored stays")
                .hint("the same command again goes on: what is there already is not stored twice"));
        }
        Some(halt @ Halt::Refused { .. }) => return Err(Error::usage(halt.to_string())),
        Some(Halt::Write(WriteError::Store(e))) => return Err(e.into()),
        // It says itself which heads there are, and how to go on from one.
        Some(Halt::Write(e @ WriteError::ForeignHead { .. })) => {
            return Err(Error::could_not_run(e.to_string()));
        }
        Some(halt @ Halt::Rejects(_)) => {
            return Err(Error::could_not_run(halt.to_string()).hint("name another one with --rejected FILE"));
        }
        Some(halt @ Halt::Spool(_)) => {
            return Err(Error::could_not_run(halt.to_string())
                .hint("what was acknowledged is safe there: send what follows it again"));
        }
        Some(halt @ Halt::Reader(_)) => return Err(Error::could_not_run(halt.to_string())),
        // As any output that nobody reads.
        Some(Halt::Acknowledge(e)) => return Err(e.into()),
    }
    let mut complaints: Vec<String> =
        outcome.report.failures.iter().map(|f| format!("{}:{}: {}", f.source, f.line, f.reason)).collect();
    if read == 0 {
        if complaints.is_empty() && !empty.is_empty() {
            return Err(Error::new(Kind::Incomplete, "the input holds no records"));
        }
        if complaints.is_empty() {
            complaints.push("there was nothing to read".to_owned());
        }
        return Err(Error::could_not_run(complaints.join("\n")));
    }
    if conflict + rejected > 0 {
        let verb = if dry_run { "would not be" } else { "were not" };
        complaints.push(format!("{} of {read} records {verb} stored", conflict + rejected));
    }
    if complaints.is_empty() { Ok(()) } else { Err(Error::new(Kind::Finding, complaints.join("\n"))) }
}

fn print_summary(out: Out, report: &Report, waiting: u64, dry_run: bool, started: Instant) -> Result<()> {
    let Report { read, stored, duplicate, conflict, rejected, organizations, .. } = report;
    let seconds = started.elapsed().as_secs_f64();
    let mut to = out.results();
    let remapped = match report.mapped_differently {
        0 => String::new(),
        n => format!(" (mapped differently: {n})"),
    };
    let stored_as = if dry_run { "sound" } else { "stored" };
    write!(
        to,
        "INGEST: {read} read, {stored} {stored_as}, {duplicate} duplicate{remapped}, {conflict} conflict, {rejected} rejected"
    )?;
    if waiting > 0 {
        write!(to, ", {waiting} waiting")?;
    }
    let ids: Vec<String> =
        organizations.iter().take(5).map(|id| Safe::from_untrusted(id.as_str()).to_string()).collect();
    if !ids.is_empty() {
        let more = organizations.len() - ids.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        write!(to, ", organisation {}{more}", ids.join(", "))?;
    }
    writeln!(to, ", {seconds:.1} s ({:.0}/s)", *read as f64 / seconds.max(0.001))?;
    for (what, n) in &report.empty {
        writeln!(to, "{n} × {what}: holds no records.")?;
    }
    if report.leap_seconds > 0 {
        let n = report.leap_seconds;
        writeln!(to, "{n} × time in a leap second (:60): stored as the second after it.")?;
    }
    if *read > 0 && duplicate == read {
        writeln!(to, "Nothing was added: all {read} events are there already.")?;
    } else if dry_run {
        writeln!(to, "Nothing was stored: this was a dry run.")?;
    }
    Ok(to.flush()?)
}

async fn print_json(
    out: Out,
    report: &Report,
    dry_run: bool,
    writer: Option<&Writer>,
    relayed: Option<&Metrics>,
) -> Result<()> {
    #[derive(serde::Serialize)]
    struct Body<'a> {
        dry_run: bool,
        read: u64,
        stored: u64,
        duplicate: u64,
        mapped_differently: u64,
        conflict: u64,
        rejected: u64,
        leap_seconds: u64,
        without_records: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        waiting: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        replayed: Option<u64>,
        organizations: Vec<&'a str>,
        heads: Vec<Head<'a>>,
    }
    #[derive(serde::Serialize)]
    struct Head<'a> {
        organization_id: &'a str,
        event_id: String,
        hash: String,
    }
    let mut heads = Vec::new();
    if let Some(writer) = writer {
        for organization in &report.organizations {
            for (event_id, hash) in writer.heads(organization).await? {
                heads.push(Head { organization_id: organization.as_str(), event_id, hash });
            }
        }
    }
    let body = Body {
        dry_run,
        read: report.read,
        stored: report.stored,
        duplicate: report.duplicate,
        mapped_differently: report.mapped_differently,
        conflict: report.conflict,
        rejected: report.rejected,
        leap_seconds: report.leap_seconds,
        without_records: report.empty.values().sum::<u64>(),
        waiting: relayed.map(|last| last.pending),
        replayed: relayed.map(|last| last.replayed.total()),
        organizations: report.organizations.iter().map(OrgId::as_str).collect(),
        heads,
    };
    let mut to = out.results();
    json::write_line(&mut to, &json::general_document(body))?;
    Ok(to.flush()?)
}

/// Shows progress and rejected records on stderr.
struct Watcher {
    out: Out,
    bar: ProgressBar,
    read: Vec<Arc<AtomicU64>>,
    started: Instant,
    rejected: u64,
}

impl Watcher {
    fn new(out: Out, inputs: &[Input]) -> Self {
        let size: Option<u64> = inputs.iter().map(|i| i.size).sum();
        let bar = if out.stderr_is_terminal && !out.quiet {
            let template = match size {
                Some(_) => "{bar:24} {percent:>3}%  {msg}  ETA {eta}",
                None => "{spinner} {bytes} {msg}",
            };
            let style =
                ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::with_draw_target(size, ProgressDrawTarget::stderr()).with_style(style)
        } else {
            ProgressBar::hidden()
        };
        let read = inputs.iter().map(|i| Arc::clone(&i.read)).collect();
        Self { out, bar, read, started: Instant::now(), rejected: 0 }
    }

    fn remark(&self, text: &str) {
        self.bar.suspend(|| self.out.remark(text));
    }

    fn finish(&self, rejects: &RejectsFile) {
        self.bar.finish_and_clear();
        if self.rejected > SHOWN {
            self.out.remark(format_args!("… and {} more", self.rejected - SHOWN));
        }
        for path in rejects.written() {
            let path = Safe::from_untrusted(&path.display().to_string());
            self.out.remark(format_args!("what was not stored is in {path}"));
        }
    }
}

impl Observer for Watcher {
    fn recognised(&mut self, source: &str, format: SourceFormat) {
        let more = if self.read.len() > 1 { " (and others)" } else { "" };
        self.remark(&format!("{}{more}: recognised as {format}", Safe::from_untrusted(source)));
    }

    fn rejected(&mut self, record: &RejectedRecord<'_>) {
        self.rejected += 1;
        if self.rejected <= SHOWN {
            let fate = if record.conflict { "conflict" } else { "rejected" };
            let text = format!("{}:{}: {fate}: {}", record.source, record.place, record.reason);
            self.remark(Safe::from_untrusted(&text).as_str());
        }
    }

    fn acknowledged(&mut self, records: u64) -> io::Result<()> {
        let mut to = self.out.results();
        writeln!(to, "ack {records}")?;
        to.flush()
    }

    fn progress(&mut self, report: &Report) {
        self.bar.set_position(self.read.iter().map(|n| n.load(Ordering::Relaxed)).sum());
        let rate = report.read as f64 / self.started.elapsed().as_secs_f64().max(0.001);
        self.bar.set_message(format!("{} events, {rate:.0}/s", report.read));
    }
}
