//! What every feature stands on. It knows of features no more than the names in one table.

pub mod actions;
pub(crate) mod clock;
pub(crate) mod failure;
pub(crate) mod features;
pub mod keymap;
pub(crate) mod layout;
pub(crate) mod tasks;
pub(crate) mod view_stack;
