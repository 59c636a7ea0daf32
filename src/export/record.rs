//! An event as a list of named values: what all formats but the table write.

use crate::domain::{COLUMNS, Event, EventRow, Json};
use std::borrow::Cow;

/// Those of them that a [`Record`] may be without.
pub(super) const STATE_COLUMNS: [&str; 2] = ["previous_state", "new_state"];

/// A value of a column. Untrusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value<'a> {
    /// SQL NULL.
    Null,
    /// Text.
    Text(Cow<'a, str>),
    /// A state.
    Json(&'a Json),
}

/// An event to be written, with its states or without.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    row: &'a EventRow,
    states: Option<[Option<&'a Json>; 2]>,
}

impl<'a> From<&'a EventRow> for Record<'a> {
    fn from(row: &'a EventRow) -> Self {
        Self { row, states: None }
    }
}

impl<'a> From<&'a Event> for Record<'a> {
    fn from(event: &'a Event) -> Self {
        Self { row: &event.row, states: Some([event.previous_state.as_ref(), event.new_state.as_ref()]) }
    }
}

impl<'a> Record<'a> {
    /// The row.
    pub fn row(self) -> &'a EventRow {
        self.row
    }

    /// Whether the states are at hand.
    pub fn has_states(self) -> bool {
        self.states.is_some()
    }

    /// The columns with their names, in the order of [`COLUMNS`]; the states are left out if they are not at hand.
    pub fn values(self) -> impl Iterator<Item = (&'static str, Value<'a>)> {
        let row = self.row;
        let text = |t: &'a str| Value::Text(Cow::Borrowed(t));
        let optional = move |t: &'a Option<String>| t.as_deref().map_or(Value::Null, text);
        let state = |at: usize| {
            self.states.map(|states| states.get(at).copied().flatten().map_or(Value::Null, Value::Json))
        };
        let values = [
            Some(text(&row.event_id)),
            Some(Value::Text(row.timestamp.to_rfc3339().into())),
            Some(text(&row.organization_id)),
            Some(optional(&row.project_id)),
            Some(text(&row.actor_type)),
            Some(text(&row.actor_id)),
            Some(optional(&row.actor_email)),
            Some(optional(&row.actor_ip)),
            Some(optional(&row.actor_user_agent)),
            Some(text(&row.event_category)),
            Some(text(&row.event_type)),
            Some(text(&row.event_severity)),
            Some(text(&row.resource_type)),
            Some(text(&row.resource_id)),
            Some(optional(&row.resource_name)),
            Some(text(&row.action)),
            state(0),
            state(1),
            Some(text(&row.request_id)),
            Some(optional(&row.session_id)),
            Some(text(&row.hash)),
            Some(text(&row.previous_hash)),
        ];
        COLUMNS.into_iter().zip(values).filter_map(|(name, value)| Some((name, value?)))
    }
}
