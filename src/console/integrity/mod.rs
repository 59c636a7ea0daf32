//! What is known of the record: marks of rows, verifications, findings, acceptance.

pub(crate) mod accept_dialog;
pub(crate) mod findings;
pub(crate) mod pane;
pub(crate) mod row_marks;
pub(crate) mod selected_event;
pub(crate) mod task;
pub(crate) mod trails;
pub(crate) mod update;
