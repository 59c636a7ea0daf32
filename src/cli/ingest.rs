//! `agenttrace ingest`

use super::{Context, Format, Out};
use crate::domain::{OrgId, Safe};
use crate::error::{Error, Kind, Result};
use crate::ingest::{
    self, Halt, Input, Mapping, Observer, Outcome, RejectedRecord, RejectsFile, Report, Settings, Sink,
    SourceFormat,
};
use crate::store::writer::{Rehearsal, WriteError, Writer, WriterSettings};
use clap::ValueEnum as _;
use clap::builder::TypedValueParser as _;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
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
    /// Files to load, also gzip or Zstandard; `-` is standard input
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Format of the files [default: auto]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub from: Option<Source>,
    /// Form of the last line, or format of the files as with --from
    // The same id as the global option, which it stands for in this command; so it must give the same type.
    #[arg(long, value_parser = format_parser())]
    pub format: Option<Format>,
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
}

/// Format of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Source {
    /// Found out from the first records of each file.
    #[default]
    Auto,
    /// Events under the names of the 22 columns, one a line.
    Agenttrace,
    /// AWS CloudTrail records, one a line or as {"Records":[…]}.
    Cloudtrail,
}

/// `--format` of this command: the form of the last line, or the format of the files.
fn format_parser() -> impl clap::builder::TypedValueParser<Value = Format> {
    let outputs = [Format::Table, Format::Json].into_iter();
    let all: Vec<Format> =
        outputs.chain(Source::value_variants().iter().copied().map(Format::Source)).collect();
    let words = all.iter().filter_map(|f| match f {
        Format::Source(from) => from.to_possible_value(),
        output => output.to_possible_value(),
    });
    clap::builder::PossibleValuesParser::new(words).try_map(|word: String| {
        Format::from_str(&word, false).or_else(|_| Source::from_str(&word, false).map(Format::Source))
    })
}

/// Runs it.
pub(super) async fn run(context: &Context, args: IngestArgs) -> Result<()> {
    let (json, source) = match args.format {
        None | Some(Format::Table) => (false, args.from),
        Some(Format::Json | Format::Ndjson) => (true, args.from),
        Some(Format::Source(source)) if args.from.is_none_or(|from| from == source) => (false, Some(source)),
        Some(Format::Source(_)) => {
            return Err(Error::usage("--from and --format name two formats of the files"));
        }
        Some(Format::Csv | Format::Patch(_)) => {
            return Err(Error::usage("ingest ends with a line for people or with --format json"));
        }
    };
    let organization = context
        .global
        .org
        .as_deref()
        .map(OrgId::new)
        .transpose()
        .map_err(|e| Error::usage(format!("--org: {e}")))?;
    let format = match source.unwrap_or_default() {
        Source::Auto => None,
        Source::Agenttrace => Some(SourceFormat::AgentTrace),
        Source::Cloudtrail if args.preserve_chain => {
            return Err(Error::usage("CloudTrail records have no chain that --preserve-chain could keep"));
        }
        Source::Cloudtrail => Some(SourceFormat::CloudTrail),
    };
    let inputs = open(&args.files)?;
    let mut rejects = rejects_file(&args)?;
    let (mut sink, _target) = if args.dry_run {
        (Sink::Nowhere(Rehearsal::default()), None)
    } else {
        let (db, target) = context.writer().await?;
        let settings = WriterSettings { continue_from: args.continue_from.clone() };
        (Sink::Database(Box::new(Writer::new(db, settings))), Some(target))
    };
    let settings = Settings {
        format,
        mapping: Mapping { organization, preserve_chain: args.preserve_chain },
        batch: args.batch as usize,
    };
    let mut watcher = Watcher::new(context.out, &inputs);
    let outcome = load(context.out, inputs, settings, &mut sink, &mut rejects, &mut watcher).await?;
    watcher.finish(&rejects);
    if let Sink::Database(writer) = &sink
        && let Err(error) = writer.analyze_after(outcome.report.stored).await
    {
        // What was stored is stored; only estimates are worse without it.
        tracing::warn!(%error, "the statistics were not renewed");
    }
    if json {
        print_json(context.out, &outcome.report, &sink).await?;
    } else {
        print_summary(context.out, &outcome.report, args.dry_run, watcher.started)?;
    }
    conclude(outcome, args.dry_run)
}

/// Opens all files before anything is stored, so that a wrong name costs nothing.
fn open(files: &[PathBuf]) -> Result<Vec<Input>> {
    if files.is_empty() && io::stdin().is_terminal() {
        return Err(Error::usage("nothing to load").hint("name files, or - for standard input"));
    }
    if files.is_empty() {
        return Ok(vec![Input::stdin()]);
    }
    let open = |path: &PathBuf| if path == Path::new("-") { Ok(Input::stdin()) } else { Input::file(path) };
    files.iter().map(open).collect()
}

fn rejects_file(args: &IngestArgs) -> Result<RejectsFile> {
    match &args.rejected {
        Some(path) => {
            let same = |file: &PathBuf| {
                file.canonicalize().ok().is_some_and(|f| path.canonicalize().ok().is_some_and(|p| p == f))
            };
            if args.files.iter().any(same) {
                return Err(Error::usage(format!(
                    "--rejected: '{}' is one of the files to load",
                    path.display()
                )));
            }
            Ok(RejectsFile::at(path.clone()))
        }
        // A rehearsal leaves nothing behind that was not asked for.
        None if args.dry_run => Ok(RejectsFile::nowhere()),
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
    let Report { read, conflict, rejected, .. } = outcome.report;
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
        Some(halt @ Halt::Reader(_)) => return Err(Error::could_not_run(halt.to_string())),
    }
    let mut complaints: Vec<String> =
        outcome.report.failures.iter().map(|f| format!("{}:{}: {}", f.source, f.line, f.reason)).collect();
    if read == 0 {
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

fn print_summary(out: Out, report: &Report, dry_run: bool, started: Instant) -> Result<()> {
    let Report { read, stored, duplicate, conflict, rejected, organizations, .. } = report;
    let seconds = started.elapsed().as_secs_f64();
    let mut to = out.results();
    let stored_as = if dry_run { "sound" } else { "stored" };
    write!(
        to,
        "INGEST: {read} read, {stored} {stored_as}, {duplicate} duplicate, {conflict} conflict, {rejected} rejected"
    )?;
    let ids: Vec<String> =
        organizations.iter().take(5).map(|id| Safe::from_untrusted(id.as_str()).to_string()).collect();
    if !ids.is_empty() {
        let more = organizations.len() - ids.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        write!(to, ", organisation {}{more}", ids.join(", "))?;
    }
    writeln!(to, ", {seconds:.1} s ({:.0}/s)", *read as f64 / seconds.max(0.001))?;
    if *read > 0 && duplicate == read {
        writeln!(to, "Nothing was added: all {read} events are there already.")?;
    } else if dry_run {
        writeln!(to, "Nothing was stored: this was a dry run.")?;
    }
    Ok(to.flush()?)
}

async fn print_json(out: Out, report: &Report, sink: &Sink) -> Result<()> {
    let organizations: Vec<&str> = report.organizations.iter().map(OrgId::as_str).collect();
    let mut heads = Vec::new();
    if let Sink::Database(writer) = sink {
        for organization in &report.organizations {
            for (event_id, hash) in writer.heads(organization).await? {
                heads.push(
                    json!({ "organization_id": organization.as_str(), "event_id": event_id, "hash": hash }),
                );
            }
        }
    }
    let line = json!({
        "schema_version": 1,
        "dry_run": matches!(sink, Sink::Nowhere(_)),
        "read": report.read,
        "stored": report.stored,
        "duplicate": report.duplicate,
        "conflict": report.conflict,
        "rejected": report.rejected,
        "organizations": organizations,
        "heads": heads,
    });
    let mut to = out.results();
    writeln!(to, "{line}")?;
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
        self.remark(&format!("{}: recognised as {format}", Safe::from_untrusted(source)));
    }

    fn rejected(&mut self, record: &RejectedRecord<'_>) {
        self.rejected += 1;
        if self.rejected <= SHOWN {
            let fate = if record.conflict { "conflict" } else { "rejected" };
            let text = format!("{}:{}: {fate}: {}", record.source, record.place, record.reason);
            self.remark(Safe::from_untrusted(&text).as_str());
        }
    }

    fn progress(&mut self, report: &Report) {
        self.bar.set_position(self.read.iter().map(|n| n.load(Ordering::Relaxed)).sum());
        let rate = report.read as f64 / self.started.elapsed().as_secs_f64().max(0.001);
        self.bar.set_message(format!("{} events, {rate:.0}/s", report.read));
    }
}
