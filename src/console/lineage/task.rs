//! Following what was created, as work of the executor.

use crate::console::core::failure::Failure;
use crate::console::core::tasks::tasks;
use crate::console::runtime::context::Context;
use crate::domain::{OrgScope, TimeRange};
use crate::investigation::activity;
use crate::investigation::lineage::{self, Lineage, Term};

tasks! {
    /// Follow what came of an actor or a resource within a time.
    Lineage: Follow(OrgScope, Term, TimeRange) -> Box<Lineage>;
}

/// The task has no interim reports.
pub(crate) type Progress = std::convert::Infallible;

/// Runs a task.
pub(crate) async fn perform(
    Task::Follow(scope, origin, range): Task,
    cx: &Context<'_>,
    _tell: &(dyn Fn(Progress) + Sync),
) -> Result<Output, Failure> {
    let step = activity::lineage(&origin, range);
    let found = lineage::follow(cx.db, &scope, origin, range, cx.cancel).await?;
    cx.record_aggregate((&scope, range, None), step, || activity::of_lineage(&found)).await;
    Ok(Output::Follow(Box::new(found)))
}
