//! What every feature stands on, and what knows of none.

pub mod actions;
pub(crate) mod clock;
pub(crate) mod failure;
pub mod keymap;
pub(crate) mod layout;
pub(crate) mod tasks;
pub(crate) mod view_stack;
