//! Views as work of the executor: opening, further pages, counting, the access path, searching.

use crate::case::activity::Step;
use crate::case::{self, columns};
use crate::console::core::failure::Failure;
use crate::console::core::tasks::tasks;
use crate::console::runtime::context::Context;
use crate::console::timeline::window::PAGE;
use crate::console::widgets::time_zone::Zone;
use crate::domain::{EventKey, EventRow, Safe, Timestamp, grouped};
use crate::export::Record;
pub(crate) use crate::investigation::listing::{Landing, Opened, ViewRequest};
use crate::investigation::tempo::{self, Search, Sought};
use crate::investigation::{activity, aggregate, listing};
use crate::store::aggregate::histogram::Strip;
use crate::store::cache::{Answer, Freshness};
use crate::store::listing::explain;
use crate::store::listing::timeline;
use crate::store::query::{Count, Looked, Pace, Query, Seek};
use crate::store::{ReadDb, StoreError};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// How long counting may take before the estimate has to do.
const COUNT_BUDGET: Duration = Duration::from_secs(3);

/// How long counting what came meanwhile may take; it is done again and again.
const NEW_BUDGET: Duration = Duration::from_millis(200);

/// A walk past events that do not match shows what it has found after this time; then it goes on.
const UNHURRIED: Pace<'static> = Pace { patience: Some(Duration::from_millis(300)), progress: None };

tasks! {
    /// Open a view.
    View: Open(Box<ViewRequest>, Landing) -> Box<Opened>;
    /// The page of older rows that borders on an event.
    Older: Older(Query, EventKey) -> More;
    /// The page of newer rows that borders on an event.
    Newer: Newer(Query, EventKey) -> More;
    /// Estimate the number of events.
    Count: Estimate(Query) -> Count;
    /// Count the events.
    Count: Count(Query, Freshness) -> Answer<Count>;
    /// Ask for the access path of a page; in two words.
    Cost: AccessPath(Query, Seek) -> String;
    /// Count events that came since a view was opened.
    New: New(Query) -> Count;
    /// Count the events by time and severity in so many columns; nothing where that takes too much.
    Strip: Strip(Query, u32) -> Option<Strip>;
    /// Remember the columns that were chosen.
    Columns: KeepColumns(String) -> ();
    /// Search for the next event that matches a query.
    Find: Find(Box<Query>, Seek) -> Option<EventKey>;
    /// Search for the next gap, beyond the rows at hand.
    Find: FindGap(Box<Query>, Box<Search>) -> Sought;
}

/// Rows at one end of a view.
#[derive(Debug)]
pub(crate) struct More {
    /// Rows, newest first.
    pub(crate) rows: Vec<EventRow>,
    /// Whether there are others beyond them.
    pub(crate) goes_on: bool,
    /// How far a walk past events that do not match has come.
    pub(crate) looked: Option<Looked>,
    /// The time it took.
    pub(crate) took: Duration,
}

/// Work that may take long, on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// A page of a table without an index on time.
    Page {
        /// How much of the table has been read.
        percent: u8,
        /// Matching rows among it, at most those of a page.
        found: usize,
    },
    /// A search for a gap.
    Gap {
        /// Events that were passed.
        passed: usize,
        /// The time of the last one.
        to: Timestamp,
    },
}

impl Progress {
    /// `no index on time: reading the whole table, 45 %, found 3`,
    /// `searching a gap: passed 24 000 events, to 2026-01-03 10:11Z`.
    pub(crate) fn describe(self, zone: Zone) -> Safe {
        Safe::composed(&match self {
            Self::Page { percent, found } => {
                format!("no index on time: reading the whole table, {percent} %, found {found}")
            }
            Self::Gap { passed, to } => {
                let passed = grouped(passed as u64);
                format!("searching a gap: passed {passed} events, to {}", zone.minute(to))
            }
        })
    }
}

/// Runs a task.
pub(crate) async fn perform(
    task: Task,
    cx: &Context<'_>,
    tell: &(dyn Fn(Progress) + Sync),
) -> Result<Output, Failure> {
    let (db, cancel) = (cx.db, cx.cancel);
    let watch = |looked: &Looked| {
        if let Some(percent) = looked.percent {
            tell(Progress::Page { percent, found: looked.found });
        }
    };
    Ok(match task {
        Task::Open(request, landing) => {
            let begun = Instant::now();
            let (scope, filter) = (request.scope.clone(), request.filter.clone());
            let pace = Pace { progress: Some(&watch), ..UNHURRIED };
            let opened = listing::open(db, cx.writings, *request, landing, (PAGE, pace), cancel).await?;
            if opened.landing == Landing::Newest && opened.looked.as_ref().is_none_or(|l| l.resume.is_none())
            {
                cx.calibration.learn(&filter, begun.elapsed());
            }
            let step = Step::Listing { question: cx.activity.ask(&filter, opened.range), states: false };
            cx.activity.record(scope.organization(), step, || {
                let ends = (opened.has_newer, opened.has_older);
                let rows = opened.rows.iter().map(Record::from);
                let is_ascending = opened.landing == Landing::Oldest;
                Some(activity::of_page(rows, ends, opened.looked.as_ref(), is_ascending))
            });
            Output::Open(Box::new(opened))
        }
        Task::Older(query, key) => {
            let pace = Pace { progress: Some(&watch), ..UNHURRIED };
            Output::Older(more(db, &query, &Seek::OlderThan(key), pace, cancel).await?)
        }
        Task::Newer(query, key) => {
            let pace = Pace { progress: Some(&watch), ..Pace::default() };
            Output::Newer(more(db, &query, &Seek::NewerThan(key), pace, cancel).await?)
        }
        Task::Estimate(query) => Output::Estimate(listing::estimate(db, &query, cancel).await?),
        Task::Count(query, wanted) => {
            Output::Count(listing::count(db, &query, COUNT_BUDGET, wanted, cancel).await?)
        }
        Task::AccessPath(query, seek) => {
            Output::AccessPath(explain::page(db, &query, &seek, PAGE, false, cancel).await?.in_short())
        }
        Task::New(query) => Output::New(timeline::count(db, &query, NEW_BUDGET, cancel).await?),
        Task::Strip(query, columns) => Output::Strip(aggregate::strip(db, &query, columns, cancel).await?),
        Task::KeepColumns(line) => {
            columns::save(&case::folder()?.join(columns::FILE), &line)?;
            Output::KeepColumns(())
        }
        Task::Find(query, seek) => {
            let page = timeline::page(db, &query, &seek, 1, cancel).await?;
            Output::Find(page.rows.first().map(EventRow::key))
        }
        Task::FindGap(query, search) => {
            let told = |passed, last: &EventKey| tell(Progress::Gap { passed, to: last.timestamp });
            Output::FindGap(tempo::next_gap(db, &query, *search, &told, cancel).await?)
        }
    })
}

async fn more(
    db: &ReadDb,
    query: &Query,
    seek: &Seek,
    pace: Pace<'_>,
    cancel: &CancellationToken,
) -> Result<More, StoreError> {
    let begun = Instant::now();
    let page = timeline::page_at(db, query, seek, PAGE, pace, cancel).await?;
    let goes_on = if matches!(seek, Seek::NewerThan(_)) { page.has_newer } else { page.has_older };
    Ok(More { rows: page.rows, goes_on, looked: page.looked, took: begun.elapsed() })
}
