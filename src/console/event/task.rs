//! One event as work of the executor: fetching it, building its tree, searching in that.

use crate::console::change::layout::{CAP, States};
use crate::console::core::failure::Failure;
use crate::console::core::tasks::tasks;
use crate::console::event::tree_task;
use crate::console::runtime::context::{Context, aside};
use crate::diff::Rules;
use crate::diff::json::{NodeId, OwnedDoc};
use crate::diff::outline::{self, Outline, Path};
use crate::diff::rows::{View, covered};
use crate::diff::writing::Writing;
use crate::domain::{EventKey, EventRow, OrgScope, Safe};
use crate::export::pretty::{Limits, pretty};
use crate::store::history;
use crate::store::{ReadDb, StoreError};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

tasks! {
    /// An event with its states, each whole up to this many bytes; `None` when it is not there any more.
    Event: Load(OrgScope, EventKey, u32) -> Option<Box<Detail>>;
    /// The tree of an event, and how secrets are masked; `None` when the event is not there any more.
    Tree: Tree(OrgScope, EventKey) -> Option<Box<(Outline, View)>>;
    /// The values of a tree that have a text, with the text.
    Tree: TreeFind(Arc<OwnedDoc>, Box<View>, String) -> (String, Vec<NodeId>);
    /// Paths with some letters in their order, up to a number.
    Tree: TreePaths(Arc<OwnedDoc>, String, usize) -> Vec<Path>;
}

/// The tasks have no interim reports.
pub(crate) type Progress = std::convert::Infallible;

/// An event with its states laid out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Detail {
    /// The event.
    pub(crate) row: EventRow,
    /// What was fetched of its states.
    pub(crate) states: States,
    /// Lines of the state before.
    pub(crate) previous_state: Option<Vec<Safe>>,
    /// Lines of the state after.
    pub(crate) new_state: Option<Vec<Safe>>,
}

/// Runs a task.
pub(crate) async fn perform(
    task: Task,
    cx: &Context<'_>,
    _tell: &(dyn Fn(Progress) + Sync),
) -> Result<Output, Failure> {
    let (db, cancel) = (cx.db, cx.cancel);
    Ok(match task {
        Task::Load(scope, key, cap) => Output::Load(load(cx, &scope, &key, cap).await?.map(Box::new)),
        Task::Tree(scope, key) => {
            let view = View { rules: cx.options.rules.clone(), ..View::default() };
            Output::Tree(match tree_task::read(db, &scope, &key, cancel).await? {
                Some(event) => {
                    let outline = aside(move || tree_task::build(&event)).await??;
                    Some(Box::new((outline, view)))
                }
                None => None,
            })
        }
        Task::TreeFind(doc, view, text) => {
            let stop = cx.stop();
            let find = move || outline::hits(&doc.doc(), &text, &view, &stop).map(|hits| (text, hits));
            Output::TreeFind(aside(find).await?.ok_or(StoreError::Cancelled)?)
        }
        Task::TreePaths(doc, text, most) => {
            let stop = cx.stop();
            let find = move || outline::paths(&doc.doc(), &text, most, &stop);
            Output::TreePaths(aside(find).await?.ok_or(StoreError::Cancelled)?)
        }
    })
}

/// An event with its states laid out, each whole up to `cap` bytes.
pub(crate) async fn load(
    cx: &Context<'_>,
    scope: &OrgScope,
    key: &EventKey,
    cap: u32,
) -> Result<Option<Detail>, Failure> {
    let (db, cancel) = (cx.db, cx.cancel);
    let Some(event) = history::observe(db, scope, key, cap, cancel).await? else { return Ok(None) };
    let kind = &event.row.resource_type;
    // Only states on both sides can be completed from each other.
    let writing = if event.previous.is_some() && event.new.is_some() {
        cx.writings.writings(db, scope, Some(kind), cancel).await?.of(kind)
    } else {
        Writing::Full
    };
    let options = cx.options.clone();
    let work = move || Detail {
        previous_state: event.previous.as_ref().map(|s| lines(&s.text, &options.rules)),
        new_state: event.new.as_ref().map(|s| lines(&s.text, &options.rules)),
        states: States { old: event.previous.map(Arc::new), new: event.new.map(Arc::new), writing },
        row: event.row,
    };
    aside(work).await.map(Some)
}

/// The lines of a state, which know how they read under the mask.
fn lines(state: &str, rules: &Rules) -> Vec<Safe> {
    let lines = pretty(state, Limits::SCREEN);
    let covered = covered(state, rules);
    if covered == state {
        return lines;
    }
    let covered = pretty(&covered, Limits::SCREEN);
    // Of a value that is cut, the numbers of its rest differ.
    let alike = |line: &Safe, other: &Safe| line.width() == other.width();
    let cut = |line: Safe, other: &Safe| Safe::composed(other.as_str()).cut_end(line.width());
    lines
        .into_iter()
        .zip(covered)
        .map(|(line, other)| if alike(&line, &other) { line.reading_as(&other) } else { cut(line, &other) })
        .collect()
}

/// Whether a state of an event is larger than what is fetched unasked.
pub(crate) async fn is_large(
    db: &ReadDb,
    scope: &OrgScope,
    key: &EventKey,
    cancel: &CancellationToken,
) -> Result<bool, Failure> {
    let seen = history::observe(db, scope, key, CAP, cancel).await?;
    let states = seen.iter().flat_map(|event| [&event.previous, &event.new]).flatten();
    Ok(states.into_iter().any(|state| !state.is_whole()))
}
