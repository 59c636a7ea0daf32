//! The time of a message.

use crate::domain::Timestamp;
use std::time::Duration;

/// When a message came about. Neither `update` nor `render` reads a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    /// By the calendar.
    pub(crate) wall: Timestamp,
    /// Since the console started; never runs backwards.
    pub(crate) clock: Duration,
}
