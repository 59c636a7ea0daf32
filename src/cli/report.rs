//! `agenttrace report`, and `agenttrace case report`

use super::context::blocking;
use super::filter::{FilterArgs, freeze, joined};
use super::sides::no_events;
use super::{Context, Format, Reader};
use crate::case::activity::Step;
use crate::diff::{Budget, Options};
use crate::domain::{OrgScope, Safe, TimeRange};
use crate::error::{Error, Result};
use crate::export::document::{self, Form};
use crate::investigation::activity;
use crate::investigation::output::{Output, refuse_existing};
use crate::investigation::report::{Report, access, case, changes, integrity};
use crate::store::history::{self, Resource};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use std::io::Write as _;
use std::path::PathBuf;

const AFTER_HELP: &str = "\
All text is escaped, and what looks like a secret masked. The HTML is one file without scripts, which prints, with a custody
form at its end. The digest of what was written is printed.";

/// Arguments of `report`.
#[derive(Debug, clap::Args)]
pub struct ReportArgs {
    #[command(subcommand)]
    command: ReportCommand,
}

#[derive(Debug, clap::Subcommand)]
enum ReportCommand {
    /// Who touched or read a resource in a period
    #[command(after_help = AFTER_HELP)]
    Access(AccessArgs),
    /// What changed in a period: each event with its change, verified anew
    #[command(after_help = AFTER_HELP)]
    Changes(ChangesArgs),
    /// When the trail was verified, with which verdict, and what is remembered of it
    #[command(after_help = AFTER_HELP)]
    Integrity(FileArgs),
}

#[derive(Debug, clap::Args)]
struct AccessArgs {
    /// Its type, such as role_binding
    #[arg(value_name = "TYPE")]
    resource_type: String,
    /// Its id
    #[arg(value_name = "ID", allow_hyphen_values = true, value_parser = super::event_id)]
    resource_id: String,
    /// Events from this time on, instead of all
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    since: Option<String>,
    /// Events before this time
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    until: Option<String>,
    #[command(flatten)]
    file: FileArgs,
}

#[derive(Debug, clap::Args)]
struct ChangesArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// Maximum number of events, oldest first
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u16).range(1..=2_000))]
    limit: u16,
    #[command(flatten)]
    file: FileArgs,
}

/// Arguments of `case report`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "\
Each event of the case is read and verified anew; what is gone is shown as the case remembers it. All text is escaped. The
HTML is one file without scripts, which prints, with a custody form at its end. Exit 4 when nothing stands in the case about
events of the organisation.")]
pub struct CaseReportArgs {
    #[command(flatten)]
    file: FileArgs,
}

/// Where a report goes, and in which form.
#[derive(Debug, Clone, clap::Args)]
struct FileArgs {
    /// Form of the report [default: as the file's name ends, else md]
    // The same id as the global option, which it stands for in this command; so it must give the same type.
    #[arg(long, value_name = "FORMAT", value_parser = form_parser())]
    format: Option<Format>,
    /// File to write; without it, standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace a file that is there
    #[arg(long, requires = "output")]
    overwrite: bool,
}

fn form_parser() -> impl TypedValueParser<Value = Format> {
    PossibleValuesParser::new(Form::ALL.map(Form::name)).try_map(|word: String| {
        Form::ALL.into_iter().find(|form| form.name() == word).map(Format::Document).ok_or("not a format")
    })
}

impl FileArgs {
    fn form(&self) -> Result<Form> {
        let ending =
            self.output.as_ref().and_then(|path| path.extension()).and_then(|ending| ending.to_str());
        match self.format {
            Some(Format::Document(form)) => Ok(form),
            Some(_) => Err(Error::usage("a report is written as --format md or html")),
            None if ending.is_some_and(|ending| ending.starts_with("htm")) => Ok(Form::Html),
            None => Ok(Form::Markdown),
        }
    }

    /// What can be said before anything is read.
    fn check(&self) -> Result<()> {
        self.form()?;
        self.output.as_ref().filter(|_| !self.overwrite).map_or(Ok(()), |path| refuse_existing(path))
    }
}

/// Runs it.
///
/// # Errors
/// Exit 2 when the file is there already, 3 when it cannot be written or the database cannot be read, 4 when there is nothing
/// to report.
pub(super) async fn run(context: &Context, args: ReportArgs) -> Result<()> {
    let file = match &args.command {
        ReportCommand::Access(args) => &args.file,
        ReportCommand::Changes(args) => &args.file,
        ReportCommand::Integrity(file) => file,
    };
    file.check()?;
    let reader = context.reader().await?;
    let scope = context.scope(&reader).await?;
    let cancel = super::cancel_on_interrupt();
    let (db, place) = (&reader.db, reader.place.as_str());
    let (report, name, of) = match &args.command {
        ReportCommand::Access(args) => {
            let resource = Resource { kind: args.resource_type.clone(), id: args.resource_id.clone() };
            let period =
                FilterArgs { since: args.since.clone(), until: args.until.clone(), ..FilterArgs::default() };
            let mut filter = period.read(&context.global)?;
            // A period is what was asked for, not the usual window.
            if args.since.is_none() {
                filter.set_all_time();
            }
            let range = freeze(context, &reader, &scope, &filter, &cancel).await?;
            let found = history::access(db, &scope, &resource, range, &cancel).await?;
            // None in the period is an answer; none at all is a mistyped name.
            let always = TimeRange::default();
            if found.is_empty() && history::access(db, &scope, &resource, always, &cancel).await?.is_empty() {
                return Err(no_events(&scope, &resource));
            }
            let report = access::of(db, place, &scope, (&resource, range), &found, &cancel).await?;
            (report, "access", format!("{}/{}", resource.kind, resource.id))
        }
        ReportCommand::Changes(args) => {
            let query = args.filter.query(context, &reader, scope.clone(), &cancel).await?;
            let options = Options { budget: Budget::default(), as_sets: false, rules: context.rules()? };
            let filter = joined(&args.filter.filter);
            let asked = changes::Asked {
                query: &query,
                filter: &filter,
                limit: args.limit.into(),
                options: &options,
            };
            let report = changes::of(db, place, &asked, &cancel).await?;
            (report, "changes", query.filter.canonical())
        }
        ReportCommand::Integrity(_) => {
            (integrity::of(db, place, &scope, &cancel).await?, "integrity", String::new())
        }
    };
    let step = Step::TrailReport { report: name.to_owned(), of };
    write(context, &reader, &scope, file, report, step).await
}

/// Runs `case report`.
///
/// # Errors
/// Exit 2 when the file is there already, 3 when it cannot be written or the database cannot be read, 4 when nothing stands in
/// the case about events of the organisation.
pub(super) async fn of_case(context: &Context, args: CaseReportArgs) -> Result<()> {
    args.file.check()?;
    let case = context.case_file()?;
    let reader = context.reader().await?;
    let scope = context.scope(&reader).await?;
    let cancel = super::cancel_on_interrupt();
    let options = Options { budget: Budget::default(), as_sets: false, rules: context.rules()? };
    let report = case::of(&reader.db, &reader.place, &scope, &case, &options, &cancel).await?;
    let step = Step::Report { case: case.name.clone() };
    write(context, &reader, &scope, &args.file, report, step).await
}

/// Writes a report, records the step, and says what was written.
async fn write(
    context: &Context,
    reader: &Reader,
    scope: &OrgScope,
    file: &FileArgs,
    report: Report,
    step: Step,
) -> Result<()> {
    let form = file.form()?;
    for remark in &report.remarks {
        context.out.remark(Safe::from_untrusted(remark));
    }
    let Report { document, events, .. } = report;
    let (path, overwrite) = (file.output.clone(), file.overwrite);
    let written = blocking(move || -> Result<_> {
        let mut output = Output::new(path.as_deref())?;
        document::write(&mut output, &document, form)?;
        output.flush()?;
        output.complete(overwrite)
    });
    let written = written.await??;
    context.record(reader, scope, step, || activity::of_document(events, &written.sha256));
    let place = file.output.as_ref().map(|path| format!(", {}", path.display())).unwrap_or_default();
    context.out.remark(format_args!(
        "REPORT: {} events, {} bytes, sha256 {}{}",
        events,
        written.bytes,
        written.sha256,
        Safe::from_untrusted(&place)
    ));
    Ok(())
}
