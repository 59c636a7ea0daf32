//! The features of the console, one row each.
//!
//! A row is a variant name and a folder. From it come the variants of [`crate::console::app::message::Task`], of its outputs
//! and of its progress, the executor's way to the folder's `task::perform`, and the way of a result, a failure, a key or a
//! dialog to the folder's `update`.

/// Calls another macro with the table of features.
macro_rules! features {
    ($macro:ident) => {
        $macro! {
            Connection connection;
            Timeline timeline;
            FilterBar filter_bar;
            Change change;
            Event event;
            Integrity integrity;
            Ghosts ghosts;
            Case case;
            Export export;
            Report report;
            Lineage lineage;
            Restore restore;
        }
    };
}
pub(in crate::console) use features;
