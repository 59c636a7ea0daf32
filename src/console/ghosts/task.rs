//! The search for ghost changes as work of the executor.

use crate::case::activity::Step;
use crate::console::core::failure::Failure;
use crate::console::core::tasks::tasks;
use crate::console::runtime::context::Context;
use crate::domain::Timestamp;
use crate::investigation::activity;
use crate::store::query::Query;
use crate::verify::{self, Ghosts, Sight};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How often it says what it has found.
const TELL_EVERY: Duration = Duration::from_millis(250);

tasks! {
    /// Search the resources of a query for changes without an event.
    Ghosts: Search(Box<Query>) -> Box<Ghosts>;
}

/// What was found so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Progress {
    /// The findings.
    pub(crate) found: Ghosts,
    /// Time of the newest event that was looked at.
    pub(crate) at: Option<Timestamp>,
}

/// Runs a task.
pub(crate) async fn perform(
    task: Task,
    cx: &Context<'_>,
    tell: &(dyn Fn(Progress) + Sync),
) -> Result<Output, Failure> {
    let Task::Search(query) = task;
    let told: Mutex<Option<Instant>> = Mutex::new(None);
    let watch = |sight: &Sight<'_>| {
        let Ok(mut told) = told.lock() else { return };
        if told.is_none_or(|at| at.elapsed() >= TELL_EVERY) {
            *told = Some(Instant::now());
            tell(Progress { found: sight.found(), at: sight.at });
        }
    };
    let found = verify::ghosts(cx.db, &query, &watch, cx.cancel).await?;
    let step = Step::Ghosts { question: cx.activity.question(&query) };
    cx.record_aggregate((&query.scope, query.range, None), step, || activity::of_ghosts(&found)).await;
    Ok(Output::Search(Box::new(found)))
}
