//! `agenttrace ingest`

use super::ingest_watch::Watcher;
use super::{Context, Format as OutputFormat, Out, ingest_follow, ingest_relay, ingest_summary};
use crate::config::Span;
use crate::domain::{OrgId, Timestamp};
use crate::error::{Error, Kind, Result};
use crate::ingest::{
    self, Declared, FORMATS, Format, Halt, Input, Mapping, Outcome, RejectsFile, Report, Settings, Sink,
    SourceFormat,
};
use crate::store::WriteDb;
use crate::store::writer::{Rehearsal, WriteError, Writer, WriterSettings};
use chrono_tz::Tz;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// SIGTERM, as shells say it.
#[cfg(unix)]
const TERMINATED: u8 = 15;

/// Records whose mapping a rehearsal shows.
const PREVIEWS: usize = 3;

/// Arguments of `ingest`.
#[derive(Debug, Clone, clap::Args)]
pub struct IngestArgs {
    /// Files and folders to load, also compressed (gzip, Zstandard, bzip2, zip); `-` is standard input
    #[arg(value_name = "FILE|FOLDER")]
    pub files: Vec<PathBuf>,
    /// Format of the files
    #[arg(long, value_name = "FORMAT", default_value = AUTO, value_parser = source_parser())]
    pub from: Source,
    /// Load own JSON as this file says (TOML, or JSON by its name), see docs/reference/mapping-files.md
    #[arg(long, value_name = "FILE", conflicts_with_all = ["from", "preserve_chain"])]
    pub mapping: Option<PathBuf>,
    /// Time zone of times that name none, such as UTC or Europe/Berlin; without it they are refused
    #[arg(long, value_name = "ZONE", value_parser = zone)]
    pub zone: Option<Tz>,
    /// Time of records that have none, such as 2026-01-15T09:58:00Z; without it they are refused
    #[arg(long, value_name = "TIME", value_parser = Timestamp::parse)]
    pub default_time: Option<Timestamp>,
    /// Load hash, previous hash and organisation as the records give them, instead of chaining anew
    #[arg(long)]
    pub preserve_chain: bool,
    /// Check every record and store none, and show what the first ones become; needs no database
    #[arg(long)]
    pub dry_run: bool,
    /// Load a file as it grows, also over rotations, until Ctrl-C; another run goes on where this one stood
    #[arg(long, value_name = "FILE", conflicts_with_all = ["files", "retry", "preserve_chain", "dry_run"])]
    pub follow: Option<PathBuf>,
    /// Print what the records of each source become, as Markdown, and load nothing
    #[arg(long, conflicts_with_all = ["files", "follow", "retry", "mapping"])]
    pub formats: bool,
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
    if args.formats {
        let mut to = context.out.results();
        write!(to, "{}", ingest::page())?;
        return Ok(to.flush()?);
    }
    let settings = settings(context, &args)?;
    let files = args.retry.as_ref().map_or(args.files.as_slice(), std::slice::from_ref);
    // Before a database is asked for: a wrong name costs nothing.
    let inputs = if args.follow.is_some() { Vec::new() } else { open(files)? };
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
    let (inputs, memory) = match (&args.follow, &target) {
        (Some(file), Some((db, _))) => ingest_follow::open(context.out, file, db)?,
        _ => (inputs, None),
    };
    let mut watcher = Watcher::new(context.out, &inputs, memory);
    let (mut outcome, stopped_by) =
        load(context.out, inputs, settings, &mut sink, &mut rejects, &mut watcher).await?;
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
    let done = ingest_summary::Done {
        report: &outcome.report,
        rehearsal: args.dry_run.then_some(&watcher.rehearsal),
        relayed: relayed.as_ref(),
        started: watcher.started,
    };
    let printed = if as_json {
        // A database that failed is not asked for heads.
        done.print_json(context.out, writer.as_ref()).await
    } else {
        done.print(context.out)
    };
    // Where nobody reads acknowledgements, nobody reads this.
    if !matches!(outcome.halt, Some(Halt::Acknowledge(_))) {
        printed?;
    }
    let Some(last) = relayed else { return conclude(outcome, &args, &watcher, stopped_by) };
    let is_whole = outcome.halt.is_none();
    // A run without input delivers what an earlier one left.
    let is_of_earlier = outcome.report.read == 0 && last.replayed.total() > 0;
    if is_whole && (last.pending > 0 || is_of_earlier) {
        return ingest_relay::conclude(&last);
    }
    conclude(outcome, &args, &watcher, stopped_by)?;
    ingest_relay::conclude(&last)
}

/// How to load, as the arguments say.
fn settings(context: &Context, args: &IngestArgs) -> Result<Settings> {
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
    let declared = args.mapping.as_deref().map(Declared::read).transpose()?.map(Arc::new);
    Ok(Settings {
        format: if declared.is_some() { Some(Format::declared()) } else { format },
        mapping: Mapping {
            declared,
            organization,
            preserve_chain: args.preserve_chain,
            zone: args.zone,
            default_time: args.default_time,
        },
        batch: args.batch as usize,
        retry: args.retry.is_some(),
        previews: if args.dry_run { PREVIEWS } else { 0 },
    })
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
) -> Result<(Outcome, Kind)> {
    let stop = CancellationToken::new();
    let mut stopped_by = Kind::Interrupted;
    let loading = ingest::load(inputs, settings, sink, rejects, watcher, &stop);
    tokio::pin!(loading);
    loop {
        tokio::select! {
            outcome = &mut loading => return Ok((outcome, stopped_by)),
            signal = asked_to_stop() => {
                stopped_by = signal?;
                if stop.is_cancelled() {
                    return Err(Error::new(stopped_by, "stopped; the batch on its way was not stored"));
                }
                stop.cancel();
                out.remark("stopping after this batch; Ctrl-C again stops at once");
            }
        }
    }
}

/// Waits for Ctrl-C, or for the signal by which services are stopped; which of them it was.
async fn asked_to_stop() -> io::Result<Kind> {
    #[cfg(unix)]
    {
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            signal = tokio::signal::ctrl_c() => signal.map(|()| Kind::Interrupted),
            _ = terminate.recv() => Ok(Kind::Signal(TERMINATED)),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await.map(|()| Kind::Interrupted)
}

/// The exit code, and what is to be done.
fn conclude(outcome: Outcome, args: &IngestArgs, watcher: &Watcher, stopped_by: Kind) -> Result<()> {
    let Report { read, conflict, rejected, ref empty, .. } = outcome.report;
    match outcome.halt {
        None => {}
        Some(Halt::Interrupted) if args.follow.is_some() => {
            return Err(Error::new(stopped_by, format!("stopped; {}", watcher.stands()))
                .hint("the same command goes on from there"));
        }
        Some(Halt::Interrupted) => {
            return Err(Error::new(stopped_by, "stopped; what was stored stays")
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
        // Whoever was to be told does not listen, and may take what is safe for lost: not an output that nobody wanted.
        Some(Halt::Acknowledge(e)) => {
            return Err(Error::could_not_run(format!(
                "nobody reads the acknowledgements ({e}), so nothing was read on behind record {read}; everything \
                 up to there is safe"
            ))
            .hint("send again what was not acknowledged: what is there already is not stored twice"));
        }
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
        let verb = if args.dry_run { "would not be" } else { "were not" };
        complaints.push(format!("{} of {read} records {verb} stored", conflict + rejected));
    }
    if complaints.is_empty() { Ok(()) } else { Err(Error::new(Kind::Finding, complaints.join("\n"))) }
}
