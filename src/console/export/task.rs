//! Exports as work of the executor.

use crate::case;
use crate::case::activity::Step;
use crate::case::notebook::CaseFile;
use crate::console::core::failure::Failure;
use crate::console::core::tasks::tasks;
use crate::console::export::dialog::What;
pub(crate) use crate::console::export::progress::Progress;
use crate::console::export::progress::Walked;
use crate::console::runtime::context::{Context, aside};
use crate::domain::{Joiners, OrgScope, Safe, grouped};
use crate::error::{Error, Kind};
use crate::export::document;
use crate::export::{FileFormat, Style};
use crate::investigation::evidence::{self, Level};
use crate::investigation::export_file::{self, Job};
use crate::investigation::output::{Output as File, refuse_existing};
use crate::investigation::{activity, report as reports};
use crate::store::query::{Looked, Query};
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;

/// How often it says how far it has come.
const TELL_EVERY: Duration = Duration::from_millis(200);

tasks! {
    /// Write events into a file, or the report of a case.
    Export: Export(Box<Request>) -> Exported;
}

/// What is to be written, and where to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Request {
    /// What.
    pub(crate) what: What,
    /// The file.
    pub(crate) path: String,
    /// A file that is there is replaced.
    pub(crate) replace: bool,
    /// The content of each event is verified, and the result written beside it.
    pub(crate) marks: bool,
    /// Which events.
    pub(crate) source: Source,
}

/// Where the content comes from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Source {
    /// Events of a query, in a format; the filter as it was typed.
    Events(Box<Query>, String, FileFormat),
    /// The case of this name, about an organisation's events.
    Report(OrgScope, String, document::Form),
    /// Events of a query, proven; the filter in words where it is none that was typed.
    Evidence(Box<Query>, Option<String>),
}

/// How an export ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Exported {
    /// The file is there: events, and its digest.
    Written {
        /// Where.
        path: String,
        /// Events in it.
        events: u64,
        /// SHA-256 in hexadecimal.
        sha256: String,
        /// What is to be known of it beside that.
        remark: String,
    },
    /// There is another file of this name, and it was not to be replaced.
    IsThere {
        /// What was to be written.
        what: What,
        /// Each event was to be verified.
        marks: bool,
        /// Where.
        path: String,
    },
}

/// Runs a task.
pub(crate) async fn perform(
    task: Task,
    cx: &Context<'_>,
    tell: &(dyn Fn(Progress) + Sync),
) -> Result<Output, Failure> {
    let Task::Export(request) = task;
    let Request { what, path, replace, marks, source } = *request;
    let file = PathBuf::from(&path);
    if !replace && refuse_existing(&file).is_err() {
        return Ok(Output::Export(Exported::IsThere { what, marks, path }));
    }
    let written = match source {
        Source::Events(query, filter, format) => {
            let job = Job {
                query: *query,
                filter,
                format,
                style: Style { marks, ..Style::default() },
                path: Some(file),
                replace,
                first_line: false,
                joiners: Joiners::Kept,
            };
            events(cx, job, tell).await
        }
        Source::Report(scope, case, form) => report(cx, &scope, &case, form, file, replace).await,
        Source::Evidence(query, words) => bundle(cx, (*query, words), file, replace, tell).await,
    };
    let (events, sha256, remark) =
        written.map_err(|error| failure(&error, error.kind() == Kind::Interrupted))?;
    Ok(Output::Export(Exported::Written { path, events, sha256, remark }))
}

/// An error that says, unlike others, that somebody has stopped it.
fn failure(error: &Error, cancelled: bool) -> Failure {
    let remedy = error.hints().first().map(|hint| format!(" · {hint}")).unwrap_or_default();
    Failure { text: Safe::composed(&format!("{error}{remedy}")), cancelled, ..Failure::default() }
}

/// Runs an export on a thread of its own, which waits for the server and for the disk in turn.
async fn events(
    cx: &Context<'_>,
    job: Job,
    tell: &(dyn Fn(Progress) + Sync),
) -> Result<(u64, String, String), Error> {
    let (db, place, cancel) = (cx.db.clone(), cx.place.to_owned(), cx.cancel.clone());
    let asked = job.clone();
    let runtime = Handle::current();
    let outcome = counted(tell, move |count, announce| {
        runtime.block_on(export_file::run(&db, &place, &job, count, Some(announce), &cancel))
    });
    let outcome = outcome.await?;
    cx.activity.record_export(&asked, &outcome);
    Ok((outcome.events, outcome.sha256, String::new()))
}

/// Makes a bundle of events, of which all others between two checkpoints stand as hashes.
async fn bundle(
    cx: &Context<'_>,
    (query, words): (Query, Option<String>),
    path: PathBuf,
    replace: bool,
    tell: &(dyn Fn(Progress) + Sync),
) -> Result<(u64, String, String), Error> {
    let (db, place, cancel) = (cx.db.clone(), cx.place.to_owned(), cx.cancel.clone());
    let folder = case::folder()?;
    let job =
        evidence::Job { query, words, level: Level::Hashes, key: None, path, replace, redact: Vec::new() };
    let runtime = Handle::current();
    let outcome = counted(tell, move |count, announce| {
        runtime.block_on(Box::pin(evidence::export(&db, &place, folder, job, count, Some(announce), &cancel)))
    });
    let outcome = outcome.await?;
    let remark = match (outcome.without_leaf, &outcome.sealed_by) {
        (0, Some(name)) => format!("verified, sealed by {name}"),
        (0, None) => "verified; not sealed: this machine has no key".to_owned(),
        (later, _) => format!("{} of them came after the last checkpoint: not proven", grouped(later)),
    };
    Ok((outcome.header.selected, outcome.written.sha256, remark))
}

/// Is told how many events were written with each part.
type Count<'a> = dyn Fn(u64) + Send + Sync + 'a;
/// Is told how far a walk past events that do not match has come.
type Announce<'a> = dyn Fn(&Looked) + Send + Sync + 'a;

/// Runs work on a thread of its own, and says how far it has come.
async fn counted<T: Send + 'static>(
    tell: &(dyn Fn(Progress) + Sync),
    work: impl FnOnce(&Count<'_>, &Announce<'_>) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let written = Arc::new(AtomicU64::new(0));
    let walked = Arc::new(Mutex::new(None));
    let (count, place_of_walk) = (written.clone(), walked.clone());
    let working = aside(move || {
        let count = |events| {
            count.fetch_add(events, Ordering::Relaxed);
        };
        let announce = |looked: &Looked| {
            *place_of_walk.lock().unwrap_or_else(PoisonError::into_inner) = Walked::of(looked);
        };
        work(&count, &announce)
    });
    let mut working = std::pin::pin!(working);
    let done = loop {
        tokio::select! {
            done = &mut working => break done,
            () = tokio::time::sleep(TELL_EVERY) => {
                let walked = *walked.lock().unwrap_or_else(PoisonError::into_inner);
                tell(Progress { events: written.load(Ordering::Relaxed), walked });
            }
        }
    };
    done.map_err(|failure| Error::could_not_run(failure.text.to_string()))?
}

async fn report(
    cx: &Context<'_>,
    scope: &OrgScope,
    case: &str,
    form: document::Form,
    path: PathBuf,
    replace: bool,
) -> Result<(u64, String, String), Error> {
    let file = CaseFile::named(&case::folder()?, case)?;
    let report = reports::case::of(cx.db, cx.place, scope, &file, cx.options, cx.cancel).await?;
    for remark in &report.remarks {
        tracing::warn!("{remark}");
    }
    let events = report.events;
    let written = aside(move || -> Result<_, Error> {
        let mut output = File::new(Some(&path))?;
        document::write(&mut output, &report.document, form)?;
        output.flush()?;
        output.complete(replace)
    });
    let written = written.await.map_err(|failure| Error::could_not_run(failure.text.to_string()))??;
    let step = Step::Report { case: case.to_owned() };
    let answer = || Some(activity::of_document(events, &written.sha256));
    cx.activity.record(scope.organization(), step, answer);
    Ok((events, written.sha256, String::new()))
}
