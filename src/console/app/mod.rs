//! The whole: model, messages, the one `update` with the way to the features, and the frame around the panes.

pub(crate) mod dispatch;
#[cfg(test)]
mod every_view_tests;
pub(crate) mod feature;
#[cfg(test)]
pub(crate) mod fixtures;
pub(crate) mod footer;
pub(crate) mod header;
pub(crate) mod input;
pub(crate) mod message;
pub(crate) mod model;
pub(crate) mod navigation;
pub(crate) mod start_task;
pub(crate) mod tasks_page;
pub(crate) mod update;
pub(crate) mod view;
