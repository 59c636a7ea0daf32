//! The activity log as a use case of both shells: what was asked, with a digest of the answer; and its replay.
//!
//! A log that cannot be written costs nobody an answer: it is said once, and the work goes on.

mod answer;
mod comparison;
pub mod replay;
mod syslog;

pub use syslog::SystemLog;

pub use answer::{
    of_access, of_document, of_event, of_ghosts, of_histogram, of_lineage, of_page, of_report, of_rows,
    of_summary, of_verification,
};

use super::export_file::Job;
use super::lineage::Term;
pub use crate::case::activity::Answer;
use crate::case::activity::{self, Entry, Part, Question, Seen, Step};
use crate::case::notebook::Wish;
use crate::case::{self, accepted};
use crate::domain::{EventKey, Joiners, OrgId, OrgScope, TimeRange, Timestamp};
use crate::export::manifest::Outcome;
use crate::filter::Filter;
use crate::store::ReadDb;
use crate::store::aggregate::summary::By;
use crate::store::history::Resource;
use crate::store::listing::timeline;
use crate::store::query::Query;
use chrono::Utc;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Which shell asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// The command line: each step is on disk before the command ends.
    Cli,
    /// The console: steps are written beside the work.
    Console,
}

/// Where steps go. Without a log, nowhere.
#[derive(Debug, Default)]
pub struct Activity(Option<Inner>);

#[derive(Debug)]
struct Inner {
    via: Via,
    place: String,
    by: String,
    folder: PathBuf,
    /// Name of the case that filters ask.
    case: String,
    /// The last step, which is not written twice if it is asked again at once and answered alike.
    last: Mutex<Option<(Step, Option<Answer>)>>,
    trouble: Arc<Mutex<Option<String>>>,
    /// Each step goes to the system log, too.
    syslog: Option<SystemLog>,
    beside: Option<(Sender<Entry>, JoinHandle<()>)>,
}

impl Activity {
    /// The log of this machine, for work on the database of this place with this case. Whatever keeps it from being
    /// written is told by [`Self::take_trouble`]. With `syslog` each step goes to the system log of this machine, too,
    /// which listens there.
    pub fn begin(via: Via, place: &str, case: &str, syslog: Option<SystemLog>) -> Self {
        let trouble = Arc::new(Mutex::new(None));
        let folder = match case::folder() {
            Ok(folder) => folder,
            Err(error) => {
                tracing::warn!(%error, "no activity log");
                return Self::default();
            }
        };
        let beside = (via == Via::Console).then(|| {
            let (send, receive) = channel();
            let (to, says, system) = (folder.clone(), Arc::clone(&trouble), syslog.clone());
            let thread = std::thread::Builder::new().name("activity".to_owned());
            let writer = thread.spawn(move || write_all(&to, &receive, system.as_ref(), &says));
            writer.ok().map(|writer| (send, writer))
        });
        Self(Some(Inner {
            via,
            place: place.to_owned(),
            by: case::user(),
            folder,
            case: case.to_owned(),
            last: Mutex::default(),
            trouble,
            syslog,
            beside: beside.flatten(),
        }))
    }

    /// Finds out whether steps can be written; if not, [`Self::take_trouble`] says why.
    pub fn check(&self) {
        if let Some(inner) = &self.0 {
            write(&inner.folder, &[], inner.syslog.as_ref(), &inner.trouble);
        }
    }

    /// Whether steps go anywhere: without, no digest need be computed.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Records a step about an organisation; `answer` is computed only where there is a log.
    pub fn record(&self, organization: &OrgId, step: Step, answer: impl FnOnce() -> Option<Answer>) {
        let Some(inner) = &self.0 else { return };
        let answer = answer();
        let is_question = answer.is_some();
        {
            let mut last = inner.last.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Some((step.clone(), answer.clone()));
            if is_question && *last == now {
                return;
            }
            *last = now;
        }
        let entry = Entry {
            at: Timestamp::from(Utc::now()),
            by: inner.by.clone(),
            via: match inner.via {
                Via::Cli => "cli".to_owned(),
                Via::Console => "console".to_owned(),
            },
            place: inner.place.clone(),
            organization_id: organization.as_str().to_owned(),
            step,
            answer,
        };
        match &inner.beside {
            Some((to, _)) => {
                // It ends with this.
                let _ = to.send(entry);
            }
            None => write(&inner.folder, &[entry], inner.syslog.as_ref(), &inner.trouble),
        }
    }

    /// Records a step whose answer is made of all events of a query, and what the newest event is: where the time of the
    /// query has no end, events that come later can be told from it by that. Of an answer that was worked out at an earlier
    /// time (`counted_at`) it is not known.
    pub async fn record_aggregate(
        &self,
        db: &ReadDb,
        (scope, range, counted_at): (&OrgScope, TimeRange, Option<Timestamp>),
        step: Step,
        answer: impl FnOnce() -> Answer,
        cancel: &CancellationToken,
    ) {
        if !self.is_on() {
            return;
        }
        let newest = if range.until.is_none() && counted_at.is_none() {
            // Without it, a replay can tell less.
            timeline::newest(db, scope, None, cancel).await.ok().flatten()
        } else {
            None
        };
        let seen = newest.map(|row| up_to(row.key()));
        self.record(scope.organization(), step, || Some(Answer { seen, ..answer() }));
    }

    /// A question about the events of a query.
    pub fn question(&self, query: &Query) -> Question {
        self.ask(&query.filter, query.range)
    }

    /// A question about the events of a filter in a time.
    pub fn ask(&self, filter: &Filter, range: TimeRange) -> Question {
        Question {
            filter: filter.canonical(),
            since: range.since,
            until: range.until,
            case: filter.asks_the_case().then(|| self.0.as_ref().map(|inner| inner.case.clone())).flatten(),
        }
    }

    /// Records what is said of events in a case.
    pub fn record_wishes(&self, organization: &OrgId, case: &str, wishes: &[Wish]) {
        if !self.is_on() {
            return;
        }
        let mut what: Vec<String> = wishes.iter().map(|wish| wish.name().to_owned()).collect();
        what.dedup();
        let event_ids = wishes.iter().map(|wish| wish.event().event_id.clone()).collect();
        self.record(organization, Step::Case { case: case.to_owned(), what, event_ids }, || None);
    }

    /// Records that a finding was accepted.
    pub fn record_acceptance(&self, organization: &OrgId, record: &accepted::Record) {
        let step = Step::Acceptance { class: record.class.clone(), event_id: record.event_id.clone() };
        self.record(organization, step, || None);
    }

    /// Records a file of events.
    pub fn record_export(&self, job: &Job, outcome: &Outcome) {
        let step = Step::Export {
            question: self.question(&job.query),
            format: job.format.name().to_owned(),
            states_as_text: job.style.states_as_text,
            csv_raw: job.style.csv_raw,
            marks: job.style.marks,
            joiners: job.joiners == Joiners::Kept,
            first_line: job.first_line,
        };
        let last = outcome.last.as_ref().and_then(|last| {
            let timestamp = Timestamp::parse(&last.timestamp).ok()?;
            Some(EventKey { timestamp, event_id: last.event_id.clone() })
        });
        let seen = last.map(up_to);
        let answer = || Some(Answer { seen, ..of_document(outcome.events, &outcome.sha256) });
        self.record(job.query.scope.organization(), step, answer);
    }

    /// Why a step was not written, once.
    pub fn take_trouble(&self) -> Option<String> {
        self.0.as_ref()?.trouble.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Waits until everything is written, and says why something was not.
    pub fn finish(mut self) -> Option<String> {
        let inner = self.0.as_mut()?;
        if let Some((to, writer)) = inner.beside.take() {
            drop(to);
            // What it panicked about is told where panics are.
            let _ = writer.join();
        }
        self.take_trouble()
    }
}

/// All events up to this one.
fn up_to(newest: EventKey) -> Seen {
    Seen { newest: Some(activity::place(newest)), oldest: None, to_newest: true, to_oldest: true }
}

/// The parts of a summary.
pub fn parts<'b>(parts: impl IntoIterator<Item = (&'b [By], u32)>, actors: bool) -> Vec<Part> {
    let names = |by: &[By]| by.iter().map(|by| by.name().to_owned()).collect();
    parts.into_iter().map(|(by, limit)| Part { by: names(by), limit, actors }).collect()
}

/// The step that asks for the events of a resource.
pub fn resource(resource: &Resource, limit: u32) -> Step {
    let Resource { kind, id } = resource.clone();
    Step::Resource { resource_type: kind, resource_id: id, limit }
}

/// The step that follows what came of an actor or a resource.
pub fn lineage(origin: &Term, range: TimeRange) -> Step {
    let (actor_id, resource) = match origin {
        Term::Actor(id) => (Some(id.clone()), None),
        Term::Resource(Resource { kind, id }) => (None, Some((kind.clone(), id.clone()))),
    };
    Step::Lineage { actor_id, resource, since: range.since, until: range.until }
}

/// Writes steps until no more come; those that have come meanwhile at once.
fn write_all(
    folder: &std::path::Path,
    steps: &Receiver<Entry>,
    syslog: Option<&SystemLog>,
    trouble: &Mutex<Option<String>>,
) {
    while let Ok(first) = steps.recv() {
        let entries: Vec<Entry> = std::iter::once(first).chain(steps.try_iter()).collect();
        write(folder, &entries, syslog, trouble);
    }
}

fn write(
    folder: &std::path::Path,
    entries: &[Entry],
    syslog: Option<&SystemLog>,
    trouble: &Mutex<Option<String>>,
) {
    let tell = |why: String| {
        tracing::warn!(why, "the activity log is not written");
        *trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
    };
    if let Err(error) = activity::append(folder, entries) {
        tell(error.to_string());
    }
    let Some(log) = syslog else { return };
    if let Err(why) = entries.iter().try_for_each(|entry| syslog::send(log, entry)) {
        tell(format!("system log: {why}"));
    }
}
