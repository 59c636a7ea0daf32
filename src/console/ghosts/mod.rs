//! Changes without an event.

pub(crate) mod pane;
pub(crate) mod task;
pub(crate) mod update;
