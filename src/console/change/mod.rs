//! What an event changed: diff, blame, state at a version.

pub(crate) mod at_cursor;
pub(crate) mod blame;
pub(crate) mod found;
pub(crate) mod layout;
pub(crate) mod lines;
pub(crate) mod pane;
mod patching;
pub(crate) mod task;
pub(crate) mod time_prompt;
pub(crate) mod time_travel;
pub(crate) mod update;
pub(crate) mod view;
