//! One event with all fields, and its states as a tree.

pub(crate) mod pane;
pub(crate) mod task;
pub(crate) mod tree_pane;
pub(crate) mod tree_prompt;
pub(crate) mod tree_task;
pub(crate) mod tree_update;
pub(crate) mod update;
