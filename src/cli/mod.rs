//! The command line: one file per subcommand.

mod access;
mod across;
mod activity;
mod actor;
mod asked;
#[cfg(feature = "bench")]
mod bench;
#[cfg(feature = "demo")]
mod binaries;
mod case;
mod case_show;
mod config;
#[cfg(feature = "console")]
mod console;
mod context;
mod db;
mod db_grants;
mod db_sql;
mod defect;
#[cfg(feature = "demo")]
mod demo;
mod diff;
mod doctor;
mod events;
mod evidence;
mod explain;
mod export;
mod filter;
mod filters;
mod ghosts;
mod histogram;
mod ingest;
mod ingest_follow;
mod ingest_relay;
mod ingest_summary;
mod ingest_watch;
mod lines;
mod nagios;
mod out;
mod pin;
mod pin_publish;
mod pin_sign;
mod remote;
mod report;
mod resource;
mod search;
mod show;
mod sides;
mod summary;
mod time_limit;
mod verify;
mod verify_scan;

use context::blocking;
pub use context::{Context, Reader};
pub use out::Out;

use crate::domain::Safe;
use crate::error::{Error, Kind, Result};
use crate::store::query::Looked;
use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use time_limit::TimeLimit;
use tokio_util::sync::CancellationToken;

/// Browse, search and verify a hash-chained audit trail in PostgreSQL.
#[derive(Debug, Parser)]
#[command(name = "agenttrace", version, about, max_term_width = 100)]
pub struct Cli {
    /// Global options.
    #[command(flatten)]
    pub global: Global,
    /// Without a command: the console.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Global options.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Database to connect to, without a password (use ~/.pgpass or the environment for that)
    #[arg(long, global = true, value_name = "URL")]
    pub database_url: Option<String>,
    /// Streaming replica to read from as long as it answers, without a password
    #[arg(long, global = true, value_name = "URL")]
    pub replica_url: Option<String>,
    /// Profile of the configuration; `demo` is the private server
    #[arg(long, global = true, value_name = "NAME")]
    pub profile: Option<String>,
    /// Another database on the private server, made and migrated on demand
    #[arg(long, global = true, value_name = "NAME")]
    pub database: Option<String>,
    /// Schema of the table audit_events, where the first one of the search_path is not meant
    #[arg(long, global = true, value_name = "NAME")]
    pub schema: Option<String>,
    /// Read or write as a superuser although code of another role runs with that superuser's rights
    #[arg(long, global = true)]
    pub as_superuser: bool,
    /// Organisation to look at
    #[arg(long, global = true, value_name = "ID")]
    pub org: Option<String>,
    /// Lift the default time window
    #[arg(long, global = true)]
    pub all_time: bool,
    /// Case whose bookmarks, notes and tags are meant [default: default]
    #[arg(long, global = true, value_name = "NAME")]
    pub case: Option<String>,
    /// Output format
    #[arg(long, global = true, value_enum)]
    pub format: Option<Format>,
    /// Colours
    #[arg(long, global = true, value_enum, default_value_t)]
    pub color: Color,
    /// Configuration file instead of the user's
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Longest time a command may take, such as 5s or 2m; of the console, a statement
    #[arg(long, global = true, value_name = "TIME")]
    pub timeout: Option<String>,
    /// No progress and no remarks, results only
    #[arg(long, short, global = true)]
    pub quiet: bool,
}

/// Output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// One JSON document.
    Json,
    /// One JSON document a line.
    Ndjson,
    /// For spreadsheets; formulas are neutralised.
    Csv,
    /// `diff` only: a standard form of a difference.
    #[value(skip)]
    Patch(diff::Patch),
    /// `export` only: a form of a file of events.
    #[value(skip)]
    File(crate::export::FileFormat),
    /// `case report` only: a form of a document.
    #[value(skip)]
    Document(crate::export::document::Form),
}

/// When to colour the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Yes.
    Always,
    /// No.
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// A private PostgreSQL with a realistic trail and a planted incident; then the console
    #[cfg(feature = "demo")]
    Demo(demo::DemoArgs),
    /// The timeline: events that match a filter, newest first
    Events(events::EventsArgs),
    /// Events that hold words, newest first
    Search(search::SearchArgs),
    /// One event: all fields and both states
    Show(show::ShowArgs),
    /// Verify hashes and links: of the trail, a time range, or one event
    Verify(verify::VerifyArgs),
    /// Remembered heads and signed checkpoints: create, list, check, trust, publish
    Pin(pin::PinArgs),
    /// What an event changed, or what differs between two events
    Diff(diff::DiffArgs),
    /// The life of one resource: versions, state at a time, who set what
    Resource(resource::ResourceArgs),
    /// What an actor did: counts by action, type, resource and address, and the newest events
    Actor(actor::ActorArgs),
    /// Totals by category, actor, day and so on
    Summary(summary::SummaryArgs),
    /// Event counts per time bucket
    Histogram(histogram::HistogramArgs),
    /// Query plan of a filter: the statement, its plan, and what that means
    Explain(explain::ExplainArgs),
    /// Saved filters: list, save, delete, export, import
    Filters(filters::FiltersArgs),
    /// Bookmarks, notes, tags and verdicts on events: list, show, add, merge, hand over
    Case(case::CaseArgs),
    /// Reports for people: who touched a resource, what changed, when the trail was verified
    Report(report::ReportArgs),
    /// All events of a filter into a file, oldest first, with a manifest
    Export(export::ExportArgs),
    /// Bundles that prove events to somebody without the database: export, verify
    Evidence(evidence::EvidenceArgs),
    /// Changes without an event: states that do not follow from one another
    Ghosts(ghosts::GhostsArgs),
    /// Load audit logs from files or standard input
    Ingest(ingest::IngestArgs),
    /// The schema: migrate, status, partitions, summary, SQL for administrators
    Db(db::DbArgs),
    /// What is wrong with the database: checks with evidence, and the SQL that mends it
    Doctor(doctor::DoctorArgs),
    /// Run performance benchmarks
    #[cfg(feature = "bench")]
    Bench(bench::BenchArgs),
    /// The configuration: print, path, check
    Config(config::ConfigArgs),
    /// Write shell completions to standard output
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write the manual page to standard output
    Man,
}

/// Parses the arguments, runs the command, prints an error if there is one, and returns the exit code. A defect of the
/// program or of a library, also one that a malformed answer of a server brings about, is an error like others.
pub fn start() -> ExitCode {
    defect::note_panics();
    let done = match Cli::try_parse_from(std::env::args_os().map(filter::mark_negation)) {
        Ok(cli) => in_runtime(cli),
        Err(e) if e.use_stderr() => {
            // It quotes the command line.
            print_lines("", "", &e.render().to_string());
            return ExitCode::from(Kind::Usage.exit_code());
        }
        // Help and version are no errors.
        Err(e) => e.print().map_err(Error::from),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) if is_broken_pipe(&e) => ExitCode::SUCCESS,
        Err(e) => {
            if !e.is_silent() {
                report(&e);
            }
            ExitCode::from(e.kind().exit_code())
        }
    }
}

fn in_runtime(cli: Cli) -> Result<()> {
    let limit = TimeLimit::of(&cli)?;
    let context = Context { out: Out::new(cli.global.quiet, cli.global.color), global: cli.global };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let command = limit.keep(Box::pin(run(&context, cli.command)));
    runtime.block_on(defect::caught(command))
}

async fn run(context: &Context, command: Option<Command>) -> Result<()> {
    match command {
        #[cfg(feature = "console")]
        None => console::run(context).await,
        #[cfg(not(feature = "console"))]
        None => Err(Error::usage("this build has no console").hint("agenttrace --help lists the commands")),
        #[cfg(feature = "demo")]
        Some(Command::Demo(args)) => demo::run(context, args).await,
        Some(Command::Events(args)) => events::run(context, args).await,
        Some(Command::Search(args)) => search::run(context, args).await,
        Some(Command::Show(args)) => show::run(context, args).await,
        Some(Command::Verify(args)) => verify::run(context, args).await,
        Some(Command::Pin(args)) => pin::run(context, args).await,
        Some(Command::Diff(args)) => diff::run(context, args).await,
        Some(Command::Resource(args)) => resource::run(context, args).await,
        Some(Command::Actor(args)) => actor::run(context, args).await,
        Some(Command::Summary(args)) => summary::run(context, args).await,
        Some(Command::Histogram(args)) => histogram::run(context, args).await,
        Some(Command::Explain(args)) => explain::run(context, args).await,
        Some(Command::Filters(args)) => filters::run(context, args),
        Some(Command::Case(args)) => Box::pin(case::run(context, args)).await,
        Some(Command::Report(args)) => Box::pin(report::run(context, args)).await,
        Some(Command::Export(args)) => Box::pin(export::run(context, args)).await,
        Some(Command::Evidence(args)) => Box::pin(evidence::run(context, args)).await,
        Some(Command::Ghosts(args)) => ghosts::run(context, args).await,
        Some(Command::Ingest(args)) => ingest::run(context, args).await,
        Some(Command::Db(args)) => db::run(context, args).await,
        Some(Command::Doctor(args)) => Box::pin(doctor::run(context, args)).await,
        #[cfg(feature = "bench")]
        Some(Command::Bench(args)) => Box::pin(bench::run(context, args)).await,
        Some(Command::Config(args)) => config::run(context, &args),
        Some(Command::Completions { shell }) => {
            // Into memory first: it panics where it cannot write.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "agenttrace", &mut script);
            Ok(print_whole(context.out, &script)?)
        }
        Some(Command::Man) => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut page)?;
            Ok(print_whole(context.out, &page)?)
        }
    }
}

fn print_whole(out: Out, text: &[u8]) -> io::Result<()> {
    let mut to = out.results();
    to.write_all(text)?;
    to.flush()
}

/// A token that the first Ctrl-C fires, and the end of the time that `--timeout` allows, so that the server is told to
/// stop before the program ends. The second Ctrl-C ends the program at once, whatever it waits for.
#[expect(clippy::disallowed_methods, reason = "waits for signals until the program ends")]
fn cancel_on_interrupt() -> CancellationToken {
    let cancel = CancellationToken::new();
    let fire = cancel.clone();
    time_limit::fire_when_over(cancel.clone());
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            fire.cancel();
        }
        if tokio::signal::ctrl_c().await.is_ok() {
            std::process::exit(Kind::Interrupted.exit_code().into());
        }
    });
    cancel
}

/// Says once a second how far a walk past events that do not match has come, so that nobody waits in the dark.
fn walk_announcer(out: Out) -> impl Fn(&Looked) + Send + Sync {
    const EVERY: Duration = Duration::from_secs(1);
    let last = Mutex::new(Instant::now());
    move |looked| {
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.elapsed() < EVERY {
            return;
        }
        *last = Instant::now();
        let found = looked.found;
        match (&looked.resume, looked.percent) {
            (Some(to), _) if looked.by_words => {
                out.remark(format_args!("searched back to {}, found {found}", to.timestamp));
            }
            (Some(to), _) => out.remark(format_args!(
                "no index serves this filter: looked at {} events, back to {}, found {found}",
                looked.events, to.timestamp
            )),
            (None, Some(percent)) => out.remark(format_args!(
                "no index on time: the whole table is read, {percent} % so far, found {found}"
            )),
            (None, None) => {}
        }
    }
}

/// Says that a whole table was read for a page, and how to spare that.
fn announce_scan(out: Out, looked: Option<&Looked>) {
    if looked.is_some_and(|looked| looked.percent.is_some()) {
        out.remark(
            "the table has no index on (organization_id, timestamp): all of it was read for this page; \
             agenttrace db sql indexes prints what helps",
        );
    }
}

/// An id on the command line. One that looks like a negated term was marked as such before.
fn event_id(text: &str) -> std::result::Result<String, &'static str> {
    let id = text.strip_prefix(' ').filter(|rest| rest.starts_with('-')).unwrap_or(text);
    if id.is_empty() { Err("an id is not empty") } else { Ok(id.to_owned()) }
}

/// Whoever read our output has gone, as `head` does: no reason to complain.
fn is_broken_pipe(error: &Error) -> bool {
    std::error::Error::source(error)
        .and_then(|e| e.downcast_ref::<io::Error>())
        .is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
}

/// The error on stderr: its text may quote the database or a file, so it is escaped line by line.
fn report(error: &Error) {
    print_lines("error: ", "       ", &error.to_string());
    for hint in error.hints() {
        print_lines("  hint: ", "        ", hint);
    }
}

/// Lines on stderr behind `first` and `others`, with what is hidden in them escaped. A closed stderr is no reason to fail.
fn print_lines(first: &str, others: &str, text: &str) {
    let mut err = io::stderr().lock();
    for (i, line) in text.lines().enumerate() {
        let lead = if i == 0 { first } else { others };
        let _ = writeln!(err, "{lead}{}", Safe::composed(line));
    }
}

impl Out {
    fn new(quiet: bool, color: Color) -> Self {
        let stdout_is_terminal = io::stdout().is_terminal();
        let allowed = std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
            && std::env::var_os("TERM").is_none_or(|v| v != "dumb");
        let color = match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => stdout_is_terminal && allowed,
        };
        Self { quiet, stdout_is_terminal, stderr_is_terminal: io::stderr().is_terminal(), color }
    }
}
