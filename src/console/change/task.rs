//! A change as work of the executor: comparing, blame, the state at a version, going from version to version.

use crate::console::change::blame::{self, Life};
use crate::console::change::layout::{self, CAP, Form, Laid, States};
use crate::console::change::time_travel;
use crate::console::core::failure::Failure;
use crate::console::core::tasks::tasks;
use crate::console::event::task::{self as event, Detail};
use crate::console::runtime::context::{Context, aside};
use crate::diff::chronicle::Chronicle;
use crate::domain::{EventKey, OrgScope};
use crate::investigation::activity;
use crate::store::history::{self, Resource};
use std::sync::Arc;

tasks! {
    /// Two states compared.
    Change: Compare(States, Form) -> Laid;
    /// Who last set each value of a resource.
    Change: Blame(Life, Form) -> Laid;
    /// The state of a resource after an event.
    Change: State(Life, Form) -> Laid;
    /// The same after a version that is at hand, or before the first.
    Change: StateAt(Arc<Chronicle>, Option<usize>, Form) -> Laid;
    /// All versions of a resource; `None` where they are too large to be kept.
    Chronicle: Chronicle(OrgScope, Resource) -> (Resource, Option<Arc<Chronicle>>);
    /// The event of a resource next to another; `None` when there is none.
    Version: Version(Box<VersionRequest>) -> (Resource, Option<EventKey>);
    /// The event that others are compared with, each state whole up to this many bytes.
    Marked: Marked(OrgScope, EventKey, u32) -> Option<Box<Detail>>;
}

/// The tasks have no interim reports.
pub(crate) type Progress = std::convert::Infallible;

/// An event of a resource before or after another one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct VersionRequest {
    /// The organisation.
    pub(crate) scope: OrgScope,
    /// The resource.
    pub(crate) resource: Resource,
    /// The event next to it.
    pub(crate) of: EventKey,
    /// Towards the past.
    pub(crate) older: bool,
}

/// Runs a task.
pub(crate) async fn perform(
    task: Task,
    cx: &Context<'_>,
    _tell: &(dyn Fn(Progress) + Sync),
) -> Result<Output, Failure> {
    let (db, cancel, options) = (cx.db, cx.cancel, Arc::clone(cx.options));
    Ok(match task {
        Task::Compare(states, form) => {
            let elapsed = cx.elapsed();
            Output::Compare(aside(move || layout::lay_out(&states, &form, &options, &elapsed)).await?)
        }
        Task::Blame(life, form) => {
            let mut events = blame::events(db, &life, cancel).await?;
            let step = activity::resource(&life.resource, blame::MAX_VERSIONS);
            let organization = life.scope.organization();
            cx.activity.record(organization, step, || Some(activity::of_rows(&events)));
            let kind = &life.resource.kind;
            let writing = cx.writings.writings(db, &life.scope, Some(kind), cancel).await?.of(kind);
            writing.complete(&mut events, time_travel::LIMITS);
            let stop = cx.stop();
            let work = move || blame::blame(&events, life.now, &form, &options, &stop);
            Output::Blame(aside(work).await??)
        }
        Task::State(life, form) => {
            let moment = history::moment(db, &life.scope, &life.resource, &life.event, CAP, cancel).await?;
            let elapsed = cx.elapsed();
            Output::State(aside(move || time_travel::state(&moment, &form, &options, &elapsed)).await?)
        }
        Task::StateAt(chronicle, index, form) => {
            let elapsed = cx.elapsed();
            let work = move || time_travel::state_at(&chronicle, index, &form, &options, &elapsed);
            Output::StateAt(aside(work).await?)
        }
        Task::Chronicle(scope, resource) => {
            let kind = &resource.kind;
            let writing = cx.writings.writings(db, &scope, Some(kind), cancel).await?.of(kind);
            let found = time_travel::chronicle(db, &scope, &resource, writing, cancel).await?;
            Output::Chronicle((resource, found.map(Arc::new)))
        }
        Task::Version(request) => {
            let VersionRequest { scope, resource, of, older } = *request;
            let found = history::neighbour(db, &scope, &resource, &of, older, cancel).await?;
            Output::Version((resource, found))
        }
        Task::Marked(scope, key, cap) => {
            Output::Marked(event::load(cx, &scope, &key, cap).await?.map(Box::new))
        }
    })
}
