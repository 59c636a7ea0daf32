//! The connection: made, checked, lost and made again; the organisations that it shows.

pub(crate) mod task;
pub(crate) mod update;
