//! The parts of the screen: each has its small state, and draws itself from it.

pub(crate) mod advice;
pub(crate) mod change;
pub(crate) mod choices;
pub(crate) mod copy;
pub(crate) mod event;
pub(crate) mod filter;
pub(crate) mod footer;
pub(crate) mod ghosts;
pub(crate) mod header;
pub(crate) mod help;
pub(crate) mod integrity;
pub(crate) mod organizations;
pub(crate) mod palette;
pub(crate) mod saved;
pub(crate) mod search;
pub(crate) mod seek;
pub(crate) mod sheet;
pub(crate) mod time;
pub(crate) mod timeline;
pub(crate) mod tree;
