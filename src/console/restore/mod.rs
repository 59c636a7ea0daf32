//! The view that a console which died was in: put down while one runs, opened again by the next.

pub(crate) mod keeper;
pub(crate) mod task;
pub(crate) mod update;
