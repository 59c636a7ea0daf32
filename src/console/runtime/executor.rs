//! The one place that runs tasks: it owns each, its cancellation and its result, and the connections.

use crate::config::Target;
use crate::console::app::message::{Effect, Event, Outcome, Output, Progress, Steer, Task};
use crate::console::connection::task as connection;
use crate::console::core::failure::Failure;
use crate::console::core::features::features;
use crate::console::core::tasks::{Slot, Ticket};
use crate::console::filter_bar::cost_calibration::CostCalibration;
use crate::console::integrity::task as integrity;
use crate::console::runtime::context::Context;
use crate::diff::Options;
use crate::investigation::activity::Activity;
use crate::store::{ReadDb, ReadSettings, StoreError};
use crate::verify::{Gauge, writing};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

/// How long leaving waits for the server to confirm that statements have ended.
const LEAVE_LIMIT: Duration = Duration::from_secs(2);

/// What a task brings besides what the model may see.
type Result = std::result::Result<(Output, Option<ReadDb>), Failure>;

/// Interim report of the task of a ticket.
type Report = (Ticket, Progress);

/// Runs effects. A `JoinSet` reports every task exactly once, also one that panicked.
#[derive(Debug)]
pub(crate) struct Executor {
    target: Target,
    settings: ReadSettings,
    options: Arc<Options>,
    calibration: Arc<CostCalibration>,
    writings: Arc<writing::Memory>,
    activity: Arc<Activity>,
    db: Option<ReadDb>,
    tasks: JoinSet<Result>,
    tickets: HashMap<Id, Ticket>,
    running: HashMap<Slot, CancellationToken>,
    /// Of the trail that was last begun to be verified.
    trail: Arc<Gauge>,
    /// How far tasks have come: the end for the tasks, and ours.
    told: (UnboundedSender<Report>, UnboundedReceiver<Report>),
}

impl Executor {
    /// An executor for a target, not connected yet. `options` say how states are compared; steps are recorded in
    /// `activity`.
    pub(crate) fn new(target: Target, settings: ReadSettings, options: Options, activity: Activity) -> Self {
        Self {
            target,
            settings,
            options: Arc::new(options),
            calibration: Arc::default(),
            writings: Arc::default(),
            activity: Arc::new(activity),
            db: None,
            tasks: JoinSet::new(),
            tickets: HashMap::new(),
            running: HashMap::new(),
            trail: Arc::default(),
            told: unbounded_channel(),
        }
    }

    /// Whether a result is to be expected.
    pub(crate) fn is_busy(&self) -> bool {
        !self.tasks.is_empty()
    }

    /// Starts or cancels work. Effects that concern the terminal are not for here.
    pub(crate) fn run(&mut self, effect: Effect) {
        match effect {
            Effect::Start(ticket, task) => {
                let token = CancellationToken::new();
                if let Some(replaced) = self.running.insert(ticket.slot(), token.clone()) {
                    replaced.cancel();
                }
                let handle = match (task, self.db.clone()) {
                    (Task::Connection(connection::Task::Connect(revive)), _) => {
                        let (target, settings) = (self.target.clone(), self.settings.clone());
                        self.tasks.spawn(async move {
                            let (output, db) = tokio::select! {
                                result = connection::connect(target, settings, revive) => result?,
                                () = token.cancelled() => return Err(StoreError::Cancelled.into()),
                            };
                            Ok((output.into(), Some(db)))
                        })
                    }
                    (task, Some(db)) => {
                        let options = Arc::clone(&self.options);
                        let gauge = Arc::new(Gauge::new());
                        if let Task::Integrity(integrity::Task::VerifyTrail(request)) = &task {
                            gauge.pace().throttle(request.throttle);
                            self.trail = Arc::clone(&gauge);
                        }
                        let calibration = Arc::clone(&self.calibration);
                        let writings = Arc::clone(&self.writings);
                        let activity = Arc::clone(&self.activity);
                        let place = self.target.place.clone();
                        let told = self.told.0.clone();
                        let tell = move |progress| {
                            // Nobody listens any more when the console is being left.
                            let _ = told.send((ticket, progress));
                        };
                        self.tasks.spawn(async move {
                            let cx = Context {
                                db: &db,
                                options: &options,
                                calibration: &calibration,
                                writings: &writings,
                                activity: &activity,
                                place: &place,
                                gauge: &gauge,
                                cancel: &token,
                            };
                            Ok((Box::pin(perform(task, &cx, &tell)).await?, None))
                        })
                    }
                    (_, None) => self.tasks.spawn(async { Err(StoreError::Cancelled.into()) }),
                };
                self.tickets.insert(handle.id(), ticket);
            }
            Effect::Cancel(slot) => {
                if let Some(token) = self.running.remove(&slot) {
                    token.cancel();
                }
            }
            Effect::Steer(Steer::Pause(paused)) => self.trail.pace().pause(paused),
            Effect::Steer(Steer::Throttle(per_second)) => self.trail.pace().throttle(per_second),
            Effect::Suspend | Effect::Copy(_) | Effect::Redraw | Effect::Quit => {}
        }
    }

    /// The next end of a task, or word of how far one has come. Pending while there is none.
    pub(crate) async fn next(&mut self) -> Event {
        loop {
            let ended = tokio::select! {
                Some(ended) = self.tasks.join_next_with_id() => ended,
                Some((ticket, told)) = self.told.1.recv() => return Event::Progress(ticket, told),
            };
            let (id, outcome) = match ended {
                Ok((id, result)) => (id, self.outcome(result)),
                Err(error) => {
                    tracing::error!(%error, "a task ended by a defect");
                    (error.id(), Outcome::Panicked)
                }
            };
            if let Some(ticket) = self.tickets.remove(&id) {
                tracing::debug!(?ticket, ?outcome, "ended");
                return Event::Ended(ticket, outcome);
            }
        }
    }

    fn outcome(&mut self, result: Result) -> Outcome {
        match result {
            Ok((output, db)) => {
                if db.is_some() {
                    self.db = db;
                }
                Outcome::Done(output)
            }
            Err(failure) if failure.cancelled => Outcome::Cancelled,
            Err(failure) => Outcome::Failed(failure),
        }
    }

    /// Stops everything, waits a little for the server's confirmation, and closes the connections.
    pub(crate) async fn close(mut self) {
        for token in self.running.values() {
            token.cancel();
        }
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(LEAVE_LIMIT, ended).await.is_err() {
            self.tasks.abort_all();
        }
        if let Some(db) = &self.db {
            db.close().await;
        }
        drop(self.tasks);
        // Nobody has another one any more, but a task that did not end in time.
        if let Some(activity) = Arc::into_inner(self.activity) {
            activity.finish();
        }
    }
}

macro_rules! performing {
    ($($name:ident $module:ident { $($slots:tt)+ })+) => {
        /// Runs a task by its feature.
        async fn perform(
            task: Task,
            cx: &Context<'_>,
            tell: &(dyn Fn(Progress) + Sync),
        ) -> std::result::Result<Output, Failure> {
            Ok(match task {
                $(Task::$name(task) => {
                    let tell = |progress| tell(Progress::$name(progress));
                    crate::console::$module::task::perform(task, cx, &tell).await?.into()
                })+
            })
        }
    };
}

features!(performing);
