//! The features of the console: one table of their names, their folders, and the slots of their work.
//!
//! From it come [`crate::console::core::tasks::Slot`], the variants of [`crate::console::app::message::Task`], of its outputs
//! and of its progress, the executor's way to the folder's `task::perform`, and the way of a result, a failure, a key or a
//! dialog to the folder's `update`.

/// Calls another macro with the table of features. A row: variant, folder, and slots with the name of their work in the
/// status line, `None` for work that need not be seen.
macro_rules! features {
    ($macro:ident) => {
        $macro! {
            Connection connection {
                /// Connecting.
                Connection None;
                /// Checking whether the server answers.
                Pulse None;
                /// Listing organisations.
                Organizations Some("listing organisations");
            }
            Timeline timeline {
                /// Opening a view.
                View Some("loading");
                /// Fetching older rows.
                Older Some("loading older");
                /// Fetching newer rows.
                Newer Some("loading newer");
                /// Counting.
                Count Some("counting");
                /// Asking for the access path of the last page.
                Cost None;
                /// Searching in the view.
                Find Some("searching");
                /// Counting what came since the view was opened.
                New None;
                /// Counting events by time and severity.
                Strip None;
                /// Remembering the columns that were chosen.
                Columns None;
            }
            FilterBar filter_bar {
                /// Reading lists that a filter names.
                Lists Some("reading lists");
                /// Reading and writing saved filters.
                Shelf None;
                /// Estimating the cost of a filter.
                Price None;
                /// Fetching values of a field.
                Values None;
            }
            Change change {
                /// Fetching the event that others are compared with.
                Marked Some("loading the marked event");
                /// Comparing states.
                Change Some("comparing");
                /// Fetching the versions of a resource.
                Chronicle Some("loading the versions");
                /// Searching for the next version of a resource.
                Version Some("looking for the version");
            }
            Event event {
                /// Fetching an event.
                Event Some("loading the event");
                /// Building the tree of an event, or searching in it.
                Tree Some("working on the tree");
            }
            Integrity integrity {
                /// Checking the rows on the screen.
                Marks Some("checking rows");
                /// Verifying the selected event.
                Integrity Some("verifying the event");
                /// Verifying a whole trail.
                Scan Some("verifying the trail");
                /// Recording the acceptance of a finding.
                Accept Some("recording");
                /// Comparing remembered heads with the table, in passing.
                Heads None;
            }
            Ghosts ghosts {
                /// Searching for ghost changes.
                Ghosts Some("looking for ghost changes");
            }
            Case case {
                /// Reading the case.
                Case None;
                /// Writing to the case.
                CaseWriting None;
                /// Looking what has become of the events of the case.
                CaseFates Some("comparing the case");
            }
            Export export {
                /// Writing events into a file.
                Export Some("exporting");
            }
            Report report {
                /// Computing a report about the view.
                Sheet Some("computing");
            }
            Lineage lineage {
                /// Following what was created.
                Lineage Some("following what was created");
            }
            Restore restore {
                /// Putting down where the console is.
                KeepPlace None;
                /// Looking for where a console was that has died.
                LastPlace None;
            }
        }
    };
}
pub(in crate::console) use features;
