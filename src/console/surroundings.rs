//! What happened before and after an event, whatever the filter was.

use super::filtering::run_filter;
use super::model::Model;
use super::msg::Effects;
use crate::domain::Safe;
use crate::filter::Filter;

/// Opens a view of the events around the selected one, at that one.
pub(super) fn show(model: &mut Model, effects: &mut Effects) {
    let Some(key) = model.timeline.key() else { return };
    let text = format!("around:\"{}\"", key.event_id.replace('\\', "\\\\").replace('"', "\\\""));
    match Filter::parse(&text) {
        Ok(filter) => run_filter(model, filter.canonical(), filter, effects),
        // Longer than a filter may be, which is for others' tables to bring about.
        Err(error) => model.notify(Safe::from_untrusted(&error.to_string())),
    }
}
