//! What the tasks of the features are given to work with.

use crate::case::activity::Step;
use crate::console::core::failure::Failure;
use crate::console::filter_bar::cost_calibration::CostCalibration;
use crate::diff::Options;
use crate::domain::{OrgScope, TimeRange, Timestamp};
use crate::investigation::activity::{Activity, Answer};
use crate::store::{ReadDb, StoreError};
use crate::verify::{Gauge, writing};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// What a task works with.
pub(crate) struct Context<'a> {
    /// The database.
    pub(crate) db: &'a ReadDb,
    /// How states are compared.
    pub(crate) options: &'a Arc<Options>,
    /// The planner's unit of cost in milliseconds.
    pub(crate) calibration: &'a CostCalibration,
    /// How the writers of an organisation store states.
    pub(crate) writings: &'a writing::Memory,
    /// Where steps are recorded.
    pub(crate) activity: &'a Activity,
    /// Name of the database in the records of this machine.
    pub(crate) place: &'a str,
    /// Progress and pace of a verification.
    pub(crate) gauge: &'a Arc<Gauge>,
    /// Cancels the task.
    pub(crate) cancel: &'a CancellationToken,
}

impl Context<'_> {
    /// Records a step whose answer is made of all events of a time.
    pub(crate) async fn record_aggregate(
        &self,
        about: (&OrgScope, TimeRange, Option<Timestamp>),
        step: Step,
        answer: impl FnOnce() -> Answer,
    ) {
        self.activity.record_aggregate(self.db, about, step, answer, self.cancel).await;
    }

    /// Whether the task was cancelled, for work that cannot wait for it.
    pub(crate) fn stop(&self) -> impl Fn() -> bool + Send + 'static {
        let cancel = self.cancel.clone();
        move || cancel.is_cancelled()
    }

    /// Time since now; without end once the task is cancelled.
    pub(crate) fn elapsed(&self) -> impl Fn() -> Duration + Send + 'static {
        let (cancel, begun) = (self.cancel.clone(), Instant::now());
        move || if cancel.is_cancelled() { Duration::MAX } else { begun.elapsed() }
    }
}

/// Runs what takes the processor for a while, away from the loop of the screen.
#[expect(clippy::disallowed_methods, reason = "the one place of the console")]
pub(crate) async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.map_err(|e| match e.try_into_panic() {
        // Reported as every other defect is.
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_) => StoreError::Cancelled.into(),
    })
}
