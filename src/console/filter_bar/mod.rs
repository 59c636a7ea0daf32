//! The filter line: editing, completion, saved filters, searches, cost.

pub(crate) mod completion;
pub(crate) mod cost_calibration;
pub(crate) mod pane;
pub(crate) mod saved_dialogs;
pub(crate) mod saved_task;
pub(crate) mod search_prompt;
pub(crate) mod task;
pub(crate) mod update;
pub(crate) mod value_picker;
