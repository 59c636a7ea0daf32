//! Running work: its slots, and the tickets that say whose result is still wanted.

use std::time::Duration;

macro_rules! slots {
    ($($feature:ident { $($(#[$doc:meta])+ $slot:ident $activity:expr;)+ })+) => {
        /// A folder of the console whose work it is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Feature { $($feature,)+ }

        /// A place for one piece of work; newer work in it replaces the older.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(crate) enum Slot { $($($(#[$doc])+ $slot,)+)+ }

        impl Slot {
            /// All slots.
            pub(crate) const ALL: &'static [Self] = &[$($(Self::$slot,)+)+];

            /// Name of the work in the status line; `None` for work that need not be seen.
            pub(crate) const fn activity(self) -> Option<&'static str> {
                match self { $($(Self::$slot => $activity,)+)+ }
            }

            /// Owner of the slot.
            pub(crate) const fn feature(self) -> Feature {
                match self { $($(Self::$slot => Feature::$feature,)+)+ }
            }
        }
    };
}

slots! {
    Connection {
        /// Connecting.
        Connection None;
        /// Checking whether the server answers.
        Pulse None;
        /// Listing organisations.
        Organizations Some("listing organisations");
    }
    Timeline {
        /// Opening a view.
        View Some("loading");
        /// Fetching older rows.
        Older Some("loading older");
        /// Fetching newer rows.
        Newer Some("loading newer");
        /// Counting.
        Count Some("counting");
        /// Asking for the access path of the last page.
        Cost None;
        /// Searching in the view.
        Find Some("searching");
        /// Counting what came since the view was opened.
        New None;
        /// Counting events by time and severity.
        Strip None;
        /// Remembering the columns that were chosen.
        Columns None;
    }
    Event {
        /// Fetching an event.
        Event Some("loading the event");
        /// Building the tree of an event, or searching in it.
        Tree Some("working on the tree");
    }
    Integrity {
        /// Checking the rows on the screen.
        Marks Some("checking rows");
        /// Verifying the selected event.
        Integrity Some("verifying the event");
        /// Verifying a whole trail.
        Scan Some("verifying the trail");
        /// Recording the acceptance of a finding.
        Accept Some("recording");
        /// Comparing remembered heads with the table, in passing.
        Heads None;
    }
    Change {
        /// Fetching the event that others are compared with.
        Marked Some("loading the marked event");
        /// Comparing states.
        Change Some("comparing");
        /// Fetching the versions of a resource.
        Chronicle Some("loading the versions");
        /// Searching for the next version of a resource.
        Version Some("looking for the version");
    }
    Ghosts {
        /// Searching for ghost changes.
        Ghosts Some("looking for ghost changes");
    }
    Case {
        /// Reading the case.
        Case None;
        /// Writing to the case.
        CaseWriting None;
        /// Looking what has become of the events of the case.
        CaseFates Some("comparing the case");
    }
    Export {
        /// Writing events into a file.
        Export Some("exporting");
    }
    Report {
        /// Computing a report about the view.
        Sheet Some("computing");
    }
    Lineage {
        /// Following what was created.
        Lineage Some("following what was created");
    }
    Restore {
        /// Putting down where the console is.
        KeepPlace None;
        /// Looking for where a console was that has died.
        LastPlace None;
    }
    FilterBar {
        /// Reading lists that a filter names.
        Lists Some("reading lists");
        /// Reading and writing saved filters.
        Shelf None;
        /// Estimating the cost of a filter.
        Price None;
        /// Fetching values of a field.
        Values None;
    }
}

/// The tasks of a feature, one row each: the slot, the task with its arguments, what it brings. An output has the name of
/// its task, so that none can be taken for another, and its slot follows from the task.
macro_rules! tasks {
    ($($(#[$doc:meta])+ $slot:ident: $name:ident($($argument:ty),*) -> $output:ty;)+) => {
        /// Work of this feature for the executor.
        #[derive(Debug, Clone, PartialEq)]
        pub(crate) enum Task { $($(#[$doc])+ $name($($argument),*),)+ }

        impl Task {
            /// Slot in which the task runs.
            pub(crate) const fn slot(&self) -> $crate::console::core::tasks::Slot {
                match self { $(Self::$name(..) => $crate::console::core::tasks::Slot::$slot,)+ }
            }
        }

        /// Results of the tasks, each under the name of its task.
        #[derive(Debug)]
        pub(crate) enum Output { $($name($output),)+ }
    };
}
pub(crate) use tasks;

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
#[derive(Debug)]
pub(crate) struct Slots {
    states: [State; Slot::ALL.len()],
}

// The standard library derives it for arrays of up to 32 only.
impl Default for Slots {
    fn default() -> Self {
        Self { states: [State::default(); Slot::ALL.len()] }
    }
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
