//! What is known of the integrity of the selected event: the state of the pane.

use crate::domain::{EventRow, Safe};
use crate::verify::EventReport;
use std::time::Duration;

/// How long the selection must rest before its event is verified.
const SETTLE: Duration = Duration::from_millis(120);

/// What was found out about one event.
#[derive(Debug)]
pub(in crate::console::integrity) enum Known {
    /// Nothing yet.
    Nothing,
    /// All.
    Report(Box<EventReport>),
    /// It is not in the table any more.
    Gone,
    /// Why nothing can be said.
    Trouble(Safe),
}

/// The state of the pane.
#[derive(Debug)]
pub(crate) struct IntegrityPane {
    row: Option<EventRow>,
    pub(in crate::console::integrity) known: Known,
    pub(in crate::console::integrity) top: usize,
    /// When the event is to be verified.
    due: Option<Duration>,
    /// Its neighbours are looked up even where that takes long.
    thorough: bool,
}

impl Default for IntegrityPane {
    fn default() -> Self {
        Self { row: None, known: Known::Nothing, top: 0, due: None, thorough: false }
    }
}

impl IntegrityPane {
    /// Turns to another event. False when it is the one before.
    pub(crate) fn show(&mut self, row: Option<&EventRow>, clock: Duration) -> bool {
        if self.row.as_ref() == row {
            return false;
        }
        *self = Self { row: row.cloned(), due: row.map(|_| clock + SETTLE), ..Self::default() };
        true
    }

    /// The event.
    pub(crate) fn row(&self) -> Option<&EventRow> {
        self.row.as_ref()
    }

    /// Verifies the event again, thoroughly, and without waiting.
    pub(crate) fn hurry(&mut self, clock: Duration) {
        self.thorough = true;
        self.due = self.row.as_ref().map(|_| clock);
    }

    /// When the event is to be verified.
    pub(crate) fn due(&self) -> Option<Duration> {
        self.due
    }

    /// The event to verify now, if it is time, and whether thoroughly.
    pub(crate) fn take_due(&mut self, clock: Duration) -> Option<(&EventRow, bool)> {
        self.due.take_if(|due| *due <= clock)?;
        Some((self.row.as_ref()?, self.thorough))
    }

    /// Takes in the result for the event; `None` when it is not there any more.
    pub(crate) fn fill(&mut self, report: Option<Box<EventReport>>) {
        self.known = match report {
            Some(report) => Known::Report(report),
            None => Known::Gone,
        };
    }

    /// Says why the event could not be verified.
    pub(crate) fn fail(&mut self, why: Safe) {
        self.known = Known::Trouble(why);
    }

    /// Verifies the event again where that has failed.
    pub(crate) fn retry(&mut self, clock: Duration) {
        if matches!(self.known, Known::Trouble(_) | Known::Gone) {
            self.known = Known::Nothing;
            self.due = self.row.as_ref().map(|_| clock);
        }
    }

    /// Scrolls by lines; `height` is that of the pane and `lines` how many there are.
    pub(crate) fn scroll(&mut self, by: isize, height: usize, lines: usize) {
        self.top = self.top.saturating_add_signed(by).min(lines.saturating_sub(height));
    }
}
