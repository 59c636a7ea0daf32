//! What was put down last of where the console is, and when it is put down next.

use crate::console::core::view_stack::{Place, Seat};
use crate::domain::{EventKey, OrgId, TimeRange};
use std::time::Duration;

/// How long a change waits to be written: who goes through rows does not write each.
const REST: Duration = Duration::from_secs(1);

/// Where the console is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Here {
    /// The view of each tab, in their order.
    pub(crate) tabs: Vec<View>,
    /// The tab that is shown, counted from 0.
    pub(crate) shown: usize,
}

/// The view of a tab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct View {
    /// The organisation.
    pub(crate) organization: OrgId,
    /// The filter as typed.
    pub(crate) filter: String,
    /// Bounds of the view, once they are known.
    pub(crate) range: Option<TimeRange>,
    /// The selected event.
    pub(crate) selected: Option<EventKey>,
    /// How it is looked at.
    pub(crate) seat: Seat,
}

impl From<&Place> for View {
    /// A view that is not shown at the moment, as it was left.
    fn from(place: &Place) -> Self {
        Self {
            organization: place.organization.clone(),
            filter: place.text.clone(),
            range: place.range,
            selected: place.selected.clone(),
            seat: place.seat.unwrap_or_default(),
        }
    }
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
