//! `agenttrace case report`

use super::case::used;
use super::context::blocking;
use super::{Context, Format};
use crate::case::notebook::Book;
use crate::case::{self, accepted, recent, saved};
use crate::diff::{Budget, Options};
use crate::domain::{Safe, Timestamp};
use crate::error::{Error, Kind, Result};
use crate::export::document::{self, Form};
use crate::investigation::case_report::{self, Materials};
use crate::investigation::output::{Output, refuse_existing};
use crate::investigation::{Records, casework};
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
    let contents = used(context, &file)?;
    let reader = context.reader().await?;
    let scope = context.scope(&reader).await?;
    let cancel = super::cancel_on_interrupt();
    let trail = casework::trail(&reader.db, &reader.place, &scope, &cancel).await?;
    let book = Book::of(contents, Some(&trail));
    if book.is_empty() {
        let organization = Safe::from_untrusted(scope.organization().as_str());
        let message = format!("nothing stands in the case '{}' about events of '{organization}'", file.name);
        return Err(Error::new(Kind::Incomplete, message).hint("agenttrace case list names all cases"));
    }
    let folder = case::folder()?;
    let accepted = accepted::load(&folder);
    if let Some(why) = &accepted.refused {
        context
            .out
            .remark(format_args!("accepted findings are not in the report: {}", Safe::from_untrusted(why)));
    }
    let options = Options { budget: Budget::default(), as_sets: false, rules: context.rules()? };
    let materials = Materials {
        case: &file,
        book: &book,
        trail: &trail,
        records: &Records::load(&reader.place),
        accepted: &accepted.records,
        saved: &saved::load(&folder.join(saved::FILE))?,
        recent: &recent::load(&folder.join(recent::FILE), scope.organization().as_str()),
        options: &options,
        by: &case::user(),
        at: Timestamp::from(chrono::Utc::now()),
    };
    let tell = |_, _| {};
    let document = case_report::make(&reader.db, &scope, &materials, tell, &cancel).await?;
    let path = args.output.clone();
    let written = blocking(move || -> Result<_> {
        let mut output = Output::new(path.as_deref())?;
        document::write(&mut output, &document, form)?;
        output.flush()?;
        output.complete(args.overwrite)
    });
    let written = written.await??;
    let place = args.output.as_ref().map(|path| format!(", {}", path.display())).unwrap_or_default();
    context.out.remark(format_args!(
        "REPORT: {} events, {} bytes, sha256 {}{}",
        book.entries().len(),
        written.bytes,
        written.sha256,
        Safe::from_untrusted(&place)
    ));
    Ok(())
}
