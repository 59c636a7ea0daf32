//! What was put down last of where the console is, and when it is put down next.

use crate::console::core::layout::Focus;
use crate::domain::{EventKey, OrgId, TimeRange};
use std::time::Duration;

/// How long a change waits to be written: who goes through rows does not write each.
const REST: Duration = Duration::from_secs(1);

/// Where the console is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Here {
    /// The organisation.
    pub(crate) organization: OrgId,
    /// The filter as typed.
    pub(crate) filter: String,
    /// Bounds of the view.
    pub(crate) range: TimeRange,
    /// The selected event.
    pub(crate) selected: Option<EventKey>,
    /// The pane with the keys.
    pub(crate) focus: Focus,
}

/// The state.
#[derive(Debug, Default)]
pub(crate) struct Keeper {
    /// What was put down last.
    kept: Option<Here>,
    due: Option<Duration>,
    /// It cannot be written: said once.
    pub(crate) failed: bool,
    /// A key was pressed: the user is somewhere already.
    pub(crate) touched: bool,
    /// It was asked whether a console had died.
    pub(crate) asked: bool,
}

impl Keeper {
    /// Takes note of where the console is.
    pub(crate) fn see(&mut self, here: &Here, clock: Duration) {
        if self.failed || self.kept.as_ref() == Some(here) {
            self.due = None;
        } else if self.due.is_none() {
            self.due = Some(clock + REST);
        }
    }

    /// When that is to be put down.
    pub(crate) fn due(&self) -> Option<Duration> {
        self.due
    }

    /// Whether it is time; `here` is what is put down then.
    pub(crate) fn take_due(&mut self, here: &Here, clock: Duration) -> bool {
        let is_due = self.due.is_some_and(|due| due <= clock);
        if is_due {
            self.due = None;
            self.kept = Some(here.clone());
        }
        is_due
    }
}
