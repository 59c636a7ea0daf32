//! Putting down where the console is, and looking for where another one was, as work of the executor.

use crate::case;
use crate::case::places::{self, Place};
use crate::console::core::failure::Failure;
use crate::console::core::layout::Focus;
use crate::console::core::tasks::tasks;
use crate::console::restore::keeper::Here;
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
    Place {
        database,
        organization_id: here.organization.as_str().to_owned(),
        filter: here.filter,
        since: here.range.since,
        until: here.range.until,
        selected: here.selected.map(|key| (key.timestamp, key.event_id)),
        focus: format!("{:?}", here.focus),
        at,
    }
}

/// `None` for a record that no console writes.
fn here(place: Place) -> Option<(Here, Timestamp)> {
    let focus = Focus::ALL.into_iter().find(|focus| format!("{focus:?}") == place.focus);
    let here = Here {
        organization: OrgId::new(place.organization_id).ok()?,
        filter: place.filter,
        range: TimeRange { since: place.since, until: place.until },
        selected: place.selected.map(|(timestamp, event_id)| EventKey { timestamp, event_id }),
        focus: focus.unwrap_or_default(),
    };
    Some((here, place.at))
}
