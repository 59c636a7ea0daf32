//! Which work is running, and whose result is still wanted.

use std::time::Duration;

/// A place for one piece of work; newer work in it replaces the older.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Slot {
    /// Connecting.
    Connection,
    /// Looking whether the server answers.
    Pulse,
    /// Listing organisations.
    Organizations,
    /// Entering a view.
    View,
    /// Fetching older rows.
    Older,
    /// Fetching newer rows.
    Newer,
    /// Counting.
    Count,
    /// Fetching an event.
    Event,
    /// Checking the rows on the screen.
    Marks,
    /// Verifying the selected event.
    Integrity,
    /// Verifying a whole trail.
    Scan,
    /// Recording that a finding is understood.
    Accept,
    /// Fetching the event that others are compared with.
    Marked,
    /// Comparing states.
    Change,
    /// Fetching the versions of a resource.
    Chronicle,
    /// Looking for ghost changes.
    Ghosts,
    /// Building the tree of an event, or looking for something in it.
    Tree,
    /// Looking for the next version of a resource.
    Version,
    /// Reading lists that a filter names.
    Lists,
    /// Looking for something in the view.
    Find,
    /// Working out what is said about the view as a whole.
    Sheet,
    /// Keeping filters.
    Shelf,
    /// Guessing what a filter will cost.
    Price,
    /// Looking for values of a field.
    Values,
    /// Asking how the last page was found.
    Cost,
}

impl Slot {
    /// All of them.
    pub(crate) const ALL: [Self; 25] = [
        Self::Connection,
        Self::Pulse,
        Self::Organizations,
        Self::View,
        Self::Older,
        Self::Newer,
        Self::Count,
        Self::Event,
        Self::Marks,
        Self::Integrity,
        Self::Scan,
        Self::Accept,
        Self::Marked,
        Self::Change,
        Self::Chronicle,
        Self::Ghosts,
        Self::Tree,
        Self::Version,
        Self::Lists,
        Self::Find,
        Self::Sheet,
        Self::Shelf,
        Self::Price,
        Self::Values,
        Self::Cost,
    ];

    /// What the status line calls the work; `None` for what need not be seen.
    pub(crate) const fn activity(self) -> Option<&'static str> {
        match self {
            Self::Connection | Self::Pulse | Self::Cost | Self::Shelf | Self::Price | Self::Values => None,
            Self::Organizations => Some("listing organisations"),
            Self::View => Some("loading"),
            Self::Older => Some("loading older"),
            Self::Newer => Some("loading newer"),
            Self::Count => Some("counting"),
            Self::Event => Some("loading the event"),
            Self::Marks => Some("checking rows"),
            Self::Integrity => Some("verifying the event"),
            Self::Accept => Some("recording"),
            Self::Scan => Some("verifying the trail"),
            Self::Marked => Some("loading the marked event"),
            Self::Change => Some("comparing"),
            Self::Chronicle => Some("loading the versions"),
            Self::Ghosts => Some("looking for ghost changes"),
            Self::Tree => Some("working on the tree"),
            Self::Version => Some("looking for the version"),
            Self::Lists => Some("reading lists"),
            Self::Find => Some("searching"),
            Self::Sheet => Some("working it out"),
        }
    }
}

/// The work that brings pages of the timeline.
pub(crate) const PAGES: [Slot; 3] = [Slot::View, Slot::Older, Slot::Newer];

/// The right to deliver a result. Minted by [`Slots::begin`] only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Ticket {
    slot: Slot,
    generation: u64,
}

impl Ticket {
    /// Whose result it is.
    pub(crate) fn slot(self) -> Slot {
        self.slot
    }
}

/// The state of all slots.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    states: [State; Slot::ALL.len()],
}

#[derive(Debug, Default, Clone, Copy)]
struct State {
    generation: u64,
    running_since: Option<Duration>,
}

impl Slots {
    /// Begins work in a slot; results of earlier work are stale from now on.
    pub(crate) fn begin(&mut self, slot: Slot, clock: Duration) -> Ticket {
        let state = &mut self.states[slot as usize];
        state.generation += 1;
        state.running_since = Some(clock);
        Ticket { slot, generation: state.generation }
    }

    /// Makes the result of what is running unwelcome. Whether anything was running.
    pub(crate) fn abandon(&mut self, slot: Slot) -> bool {
        let state = &mut self.states[slot as usize];
        state.generation += 1;
        state.running_since.take().is_some()
    }

    /// Whether what holds the ticket is still waited for.
    pub(crate) fn is_current(&self, ticket: Ticket) -> bool {
        let state = &self.states[ticket.slot as usize];
        state.generation == ticket.generation && state.running_since.is_some()
    }

    /// Takes note of an end. False for a stale result: drop it.
    pub(crate) fn end(&mut self, ticket: Ticket) -> bool {
        let current = self.is_current(ticket);
        if current {
            self.states[ticket.slot as usize].running_since = None;
        }
        current
    }

    /// Since when a slot has been at work.
    pub(crate) fn running(&self, slot: Slot) -> Option<Duration> {
        self.states[slot as usize].running_since
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_result_of_a_slot_counts_and_only_once() {
        let mut slots = Slots::default();
        let old = slots.begin(Slot::View, Duration::ZERO);
        let other = slots.begin(Slot::Event, Duration::ZERO);
        let new = slots.begin(Slot::View, Duration::from_secs(1));
        assert!(!slots.end(old));
        assert_eq!(slots.running(Slot::View), Some(Duration::from_secs(1)));
        assert!(slots.end(new));
        assert!(!slots.end(new));
        assert!(slots.abandon(Slot::Event));
        assert!(!slots.end(other));
    }
}
