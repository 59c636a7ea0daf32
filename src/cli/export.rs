//! `agenttrace export`

use super::context::demand_events;
use super::filter::{FilterArgs, joined};
use super::{Context, Format};
use crate::chain::Content;
use crate::domain::{Joiners, Safe};
use crate::error::{Error, Kind, Result};
use crate::export::manifest::Outcome;
use crate::export::{FileFormat, Style};
use crate::investigation::export_file::{self, Job, manifest_path};
use crate::investigation::output::refuse_existing;
use clap::ValueEnum;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::path::PathBuf;

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
    PossibleValuesParser::new(FileFormat::ALL.iter().map(|format| format.name())).try_map(|word: String| {
        FileFormat::ALL
            .iter()
            .copied()
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
    let filter = match &args.filter.saved {
        Some(name) => format!("{} (saved as {name}) {}", query.filter, joined(&args.filter.filter)),
        None => joined(&args.filter.filter),
    };
    let job = Job {
        query,
        filter,
        format: args.file_format(),
        style: Style {
            states_as_text: args.states == States::Text,
            csv_raw: args.csv_raw,
            marks: args.integrity,
        },
        path: args.output.clone(),
        replace: args.overwrite,
        first_line: args.manifest,
        joiners: if args.output.is_some() { Joiners::Kept } else { context.out.joiners() },
    };
    // Without -o, the events on the terminal are progress enough.
    let bar = events_bar(context, args.output.is_some() || !context.out.stdout_is_terminal);
    let announce = super::walk_announcer(context.out);
    let tell = |events| bar.inc(events);
    let exported = export_file::run(&reader.db, &reader.place, &job, &tell, Some(&announce), &cancel).await;
    bar.finish_and_clear();
    let outcome = exported?;
    reader.activity.record_export(&job, &outcome);
    context.say_unrecorded(&reader);
    say(context, &args, &outcome);
    if outcome.events == 0 {
        demand_events(&reader.db, &job.query.scope, &cancel).await?;
        return Err(Error::new(Kind::Incomplete, "no event matches"));
    }
    Ok(())
}

/// What can be said before anything is read.
fn check(args: &ExportArgs) -> Result<()> {
    if !args.file_format().is_text() && args.output.is_none() {
        return Err(Error::usage(format!("--format {} goes with -o FILE", args.file_format().name()))
            .hint("it is no text, and its readers need the end of the file first"));
    }
    if args.manifest && !args.file_format().is_lines() {
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
    if let Some(path) = args.output.as_ref().filter(|_| !args.overwrite) {
        refuse_existing(path)?;
    }
    Ok(())
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

/// How many events were exported so far, where there is a terminal to show it.
pub(super) fn events_bar(context: &Context, is_shown: bool) -> ProgressBar {
    let out = context.out;
    if out.quiet || !out.stderr_is_terminal || !is_shown {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("exporting: {human_pos} events, {rate} (Ctrl-C stops)") {
        bar.set_style(style.with_key("rate", super::out::rate));
    }
    bar
}
