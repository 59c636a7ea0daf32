//! Running work: its slots, and the tickets that say whose result is still wanted.

use crate::console::core::features::features;
use std::time::Duration;

macro_rules! slots {
    ($($feature:ident $module:ident { $($(#[$doc:meta])+ $slot:ident $activity:expr;)+ })+) => {
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

features!(slots);

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

/// Look-ups of the server that nobody sees, and that go with what is seen when work is cancelled.
pub(crate) const SILENT: [Slot; 6] =
    [Slot::Cost, Slot::New, Slot::Strip, Slot::Heads, Slot::Price, Slot::Values];

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
