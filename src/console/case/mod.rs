//! The case in the console: bookmarks, notes, tags and verdicts on events, and the list of what was said.

pub(crate) mod books;
pub(crate) mod pane;
pub(crate) mod prompts;
pub(crate) mod task;
pub(crate) mod update;
pub(crate) mod verdict_picker;
