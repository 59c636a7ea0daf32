//! What an event changed: diff, blame, state at a version.

pub(crate) mod blame;
pub(crate) mod layout;
pub(crate) mod pane;
pub(crate) mod task;
pub(crate) mod time_prompt;
pub(crate) mod time_travel;
pub(crate) mod update;
mod view;
