//! `agenttrace case report`

use super::context::blocking;
use super::{Context, Format};
use crate::case::activity::Step;
use crate::diff::{Budget, Options};
use crate::domain::Safe;
use crate::error::{Error, Result};
use crate::export::document::{self, Form};
use crate::investigation::output::{Output, refuse_existing};
use crate::investigation::{activity, case_report};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use std::io::Write as _;
use std::path::PathBuf;

/// Arguments of `case report`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "\
Each event of the case is read and verified anew; what is gone is shown as the case remembers it. All text is escaped. The
HTML is one file without scripts, which prints, with a custody form at its end. Exit 4 when nothing stands in the case about
events of the organisation.")]
pub struct ReportArgs {
    /// Form of the report [default: as the file's name ends, else md]
    // The same id as the global option, which it stands for in this command; so it must give the same type.
    #[arg(long, value_name = "FORMAT", value_parser = form_parser())]
    pub format: Option<Format>,
    /// File to write; without it, standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Replace a file that is there
    #[arg(long, requires = "output")]
    pub overwrite: bool,
}

fn form_parser() -> impl TypedValueParser<Value = Format> {
    PossibleValuesParser::new(Form::ALL.map(Form::name)).try_map(|word: String| {
        Form::ALL.into_iter().find(|form| form.name() == word).map(Format::Document).ok_or("not a format")
    })
}

impl ReportArgs {
    fn form(&self) -> Result<Form> {
        let ending =
            self.output.as_ref().and_then(|path| path.extension()).and_then(|ending| ending.to_str());
        match self.format {
            Some(Format::Document(form)) => Ok(form),
            Some(_) => Err(Error::usage("case report writes --format md or html")),
            None if ending.is_some_and(|ending| ending.starts_with("htm")) => Ok(Form::Html),
            None => Ok(Form::Markdown),
        }
    }
}

/// Runs it.
///
/// # Errors
/// Exit 2 when the file is there already, 3 when it cannot be written or the database cannot be read, 4 when nothing stands in
/// the case about events of the organisation.
pub(super) async fn run(context: &Context, args: ReportArgs) -> Result<()> {
    let form = args.form()?;
    if let Some(path) = args.output.as_ref().filter(|_| !args.overwrite) {
        refuse_existing(path)?;
    }
    let file = context.case_file()?;
    let reader = context.reader().await?;
    let scope = context.scope(&reader).await?;
    let cancel = super::cancel_on_interrupt();
    let options = Options { budget: Budget::default(), as_sets: false, rules: context.rules()? };
    let report = case_report::of(&reader.db, &reader.place, &scope, &file, &options, &cancel).await?;
    for remark in &report.remarks {
        context.out.remark(Safe::from_untrusted(remark));
    }
    let (document, events) = (report.document, report.events);
    let path = args.output.clone();
    let written = blocking(move || -> Result<_> {
        let mut output = Output::new(path.as_deref())?;
        document::write(&mut output, &document, form)?;
        output.flush()?;
        output.complete(args.overwrite)
    });
    let written = written.await??;
    let answer = || activity::of_document(events as u64, &written.sha256);
    context.record(&reader, &scope, Step::Report { case: file.name.clone() }, answer);
    let place = args.output.as_ref().map(|path| format!(", {}", path.display())).unwrap_or_default();
    context.out.remark(format_args!(
        "REPORT: {} events, {} bytes, sha256 {}{}",
        events,
        written.bytes,
        written.sha256,
        Safe::from_untrusted(&place)
    ));
    Ok(())
}
