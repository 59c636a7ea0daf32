//! Putting down where the console is, and looking for where another one was, as work of the executor.

use crate::case;
use crate::case::places::{self, Place};
use crate::console::core::failure::Failure;
use crate::console::core::layout::Focus;
use crate::console::core::tasks::tasks;
use crate::console::core::view_stack::Seat;
use crate::console::restore::keeper::{Here, View};
use crate::console::runtime::context::{Context, aside};
use crate::domain::{EventKey, OrgId, TimeRange, Timestamp};

tasks! {
    /// Put down where the console is.
    KeepPlace: Keep(Here, Timestamp) -> ();
    /// Look for where a console was that has died, and when that was put down.
    LastPlace: Last() -> Option<(Here, Timestamp)>;
}

/// The tasks have no interim reports.
pub(crate) type Progress = std::convert::Infallible;

/// Runs a task.
pub(crate) async fn perform(
    task: Task,
    cx: &Context<'_>,
    _tell: &(dyn Fn(Progress) + Sync),
) -> Result<Output, Failure> {
    let database = format!("{} {}", cx.place, cx.db.capabilities(cx.cancel).await?.table_identity);
    let pid = std::process::id();
    Ok(match task {
        Task::Keep(here, at) => {
            let place = record(database, here, at);
            let saved = aside(move || places::save(&case::folder()?, pid, &place)).await?;
            Output::Keep(saved.map_err(|e| Failure::because(&e.to_string()))?)
        }
        Task::Last() => {
            let last = aside(move || places::take(&case::folder().ok()?, pid, &database)).await?;
            Output::Last(last.and_then(here))
        }
    })
}

fn record(database: String, here: Here, at: Timestamp) -> Place {
    let tabs = here.tabs.into_iter().map(|view| places::View {
        organization_id: view.organization.as_str().to_owned(),
        filter: view.filter,
        range: view.range.map(|range| [range.since, range.until]),
        selected: view.selected.map(|key| (key.timestamp, key.event_id)),
        focus: format!("{:?}", view.seat.focus),
        above: view.seat.offset,
        line: view.seat.line,
    });
    Place { database, tabs: tabs.collect(), shown: here.shown, at }
}

/// `None` for a record that no console writes.
fn here(place: Place) -> Option<(Here, Timestamp)> {
    let view = |view: places::View| {
        let focus = Focus::ALL.into_iter().find(|focus| format!("{focus:?}") == view.focus);
        Some(View {
            organization: OrgId::new(view.organization_id).ok()?,
            filter: view.filter,
            range: view.range.map(|[since, until]| TimeRange { since, until }),
            selected: view.selected.map(|(timestamp, event_id)| EventKey { timestamp, event_id }),
            seat: Seat { focus: focus.unwrap_or_default(), offset: view.above, line: view.line },
        })
    };
    let tabs: Option<Vec<View>> = place.tabs.into_iter().map(view).collect();
    Some((Here { tabs: tabs?, shown: place.shown }, place.at))
}
