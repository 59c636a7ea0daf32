//! The list of events.

mod brush;
pub(crate) mod column_choice;
pub(crate) mod columns;
pub(crate) mod cost;
pub(crate) mod elapsed;
mod folding;
pub(crate) mod letters;
mod motion;
pub(crate) mod pane;
pub(crate) mod row;
pub(crate) mod runs;
pub(crate) mod strip;
pub(crate) mod task;
pub(crate) mod update;
pub(crate) mod view;
pub(crate) mod window;
