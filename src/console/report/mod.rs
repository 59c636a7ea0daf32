//! Plan, summary and histogram of a view.

pub(crate) mod dialog;
pub(crate) mod target;
pub(crate) mod task;
pub(crate) mod update;
