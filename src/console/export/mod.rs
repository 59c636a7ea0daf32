//! Exports: events of the view, marked events, or the case, into a file.

pub(crate) mod dialog;
pub(crate) mod progress;
pub(crate) mod task;
pub(crate) mod update;
