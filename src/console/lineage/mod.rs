//! What somebody created, and what that did next.

pub(crate) mod dialog;
pub(crate) mod task;
pub(crate) mod update;
