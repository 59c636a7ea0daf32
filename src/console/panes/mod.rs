//! The parts of the screen: each has its small state, and draws itself from it.

pub mod event;
pub mod filter;
pub mod footer;
pub mod header;
pub mod help;
pub mod organizations;
pub mod palette;
pub mod timeline;
