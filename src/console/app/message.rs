//! What can happen to the console, and what it then asks for. Both are data: `update` turns the one into the other.

use crate::console::core::clock::Moment;
use crate::console::core::failure::Failure;
use crate::console::core::features::features;
use crate::console::core::tasks::{Slot, Ticket};
use crossterm::event::KeyEvent;
use std::num::NonZeroU32;

macro_rules! messages {
    ($($name:ident $module:ident { $($slots:tt)+ })+) => {
        /// Work for the executor, by feature.
        #[derive(Debug, Clone, PartialEq)]
        pub(crate) enum Task { $($name(crate::console::$module::task::Task),)+ }

        impl Task {
            /// Slot in which the task runs.
            pub(crate) const fn slot(&self) -> Slot {
                match self { $(Self::$name(task) => task.slot(),)+ }
            }
        }

        /// Results of tasks, by feature.
        #[derive(Debug)]
        pub(crate) enum Output { $($name(crate::console::$module::task::Output),)+ }

        /// Interim reports of tasks, by feature.
        #[derive(Debug)]
        pub(crate) enum Progress { $($name(crate::console::$module::task::Progress),)+ }

        $(
            impl From<crate::console::$module::task::Task> for Task {
                fn from(task: crate::console::$module::task::Task) -> Self {
                    Self::$name(task)
                }
            }

            impl From<crate::console::$module::task::Output> for Output {
                fn from(output: crate::console::$module::task::Output) -> Self {
                    Self::$name(output)
                }
            }
        )+
    };
}

features!(messages);

/// A message: an event and its time.
#[derive(Debug)]
pub(crate) struct Msg {
    /// When.
    pub(crate) at: Moment,
    /// What.
    pub(crate) event: Event,
}

/// The kinds of events.
#[derive(Debug)]
pub(crate) enum Event {
    /// A key was pressed or repeats.
    Key(KeyEvent),
    /// Text was pasted.
    Paste(String),
    /// The terminal has another size: columns, lines.
    Resize(u16, u16),
    /// The moment that [`crate::console::app::model::Model::next_wake`] asked for has come.
    Tick,
    /// SIGINT, from elsewhere than the keyboard.
    Interrupt,
    /// Interim report of a task.
    Progress(Ticket, Progress),
    /// A task has ended. Every task ends once.
    Ended(Ticket, Outcome),
}

/// How a task ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// With a result.
    Done(Output),
    /// It was cancelled, on the server too.
    Cancelled,
    /// With an error.
    Failed(Failure),
    /// By a defect of the program.
    Panicked,
}

/// Control of the verification of a trail that is running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Steer {
    /// Pause, or resume.
    Pause(bool),
    /// Maximum of events a second.
    Throttle(Option<NonZeroU32>),
}

/// What `update` wants done.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "a message leads to a few of them, each moved once")]
pub(crate) enum Effect {
    /// Run a task; what ran in the slot is cancelled.
    Start(Ticket, Task),
    /// Cancel what runs in a slot; it will still report its end.
    Cancel(Slot),
    /// Change the pace of the verification of a trail.
    Steer(Steer),
    /// Give the terminal back and stop until `fg`.
    Suspend,
    /// Give the terminal a text for the clipboard.
    Copy(String),
    /// Draw everything anew.
    Redraw,
    /// Leave.
    Quit,
}

/// What one message leads to.
pub(crate) type Effects = Vec<Effect>;
