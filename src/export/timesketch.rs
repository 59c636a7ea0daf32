//! Timesketch's JSONL: `message`, `datetime` and `timestamp_desc`, the other columns as attributes.
//!
//! There is no `timestamp`: its reader takes a number in a CSV for other units than in JSONL, while `datetime` is read
//! the same everywhere.

use super::file::{Mark, states};
use super::record::{Record, Value};
use serde::ser::{Serialize, SerializeMap as _, Serializer};

pub(super) struct Event<'a> {
    record: Record<'a>,
    mark: Option<Mark<'a>>,
}

impl<'a> Event<'a> {
    pub(super) fn new(record: Record<'a>, mark: Option<Mark<'a>>) -> Self {
        Self { record, mark }
    }
}

impl Serialize for Event<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let row = self.record.row();
        let actor = row.actor_email.as_deref().unwrap_or(&row.actor_id);
        let message = format!("{}: {actor}, {}/{}", row.event_type, row.resource_type, row.resource_id);
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("message", &message)?;
        map.serialize_entry("datetime", &row.timestamp.to_rfc3339())?;
        map.serialize_entry("timestamp_desc", "Event Logged")?;
        for (name, value) in self.record.values().filter(|(name, _)| *name != "timestamp") {
            if let Value::Text(text) = value {
                map.serialize_entry(name, &text)?;
            }
        }
        // Attributes are plain: a document is a text.
        for (name, state) in ["previous_state", "new_state"].into_iter().zip(states(self.record)) {
            if let Some(state) = state {
                map.serialize_entry(name, state)?;
            }
        }
        if let Some(mark) = self.mark {
            map.serialize_entry("integrity_content", mark.content)?;
            map.serialize_entry("integrity_scheme", mark.scheme)?;
        }
        map.end()
    }
}
