//! JSON and NDJSON: times as RFC 3339 with microseconds, states as JSON, every number digit by digit as it is stored.

use super::record::{Record, Value};
use crate::domain::{Joiners, escape_json};
use serde::ser::{Error as _, Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;
use std::io::{self, Write};

/// Version of the documents the program writes; it changes when a name or a meaning does.
pub const SCHEMA_VERSION: u32 = 1;

/// A JSON value that is written as it is stored, digit by digit.
#[derive(Debug, Clone, Copy)]
pub struct Stored<'a>(pub &'a str);

impl Serialize for Stored<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serde_json::from_str::<&RawValue>(self.0).map_err(S::Error::custom)?.serialize(serializer)
    }
}

impl Serialize for Record<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        columns(&mut map, *self, false)?;
        map.end()
    }
}

/// The columns of an event as members of an object, its states as JSON or as texts.
pub(super) fn columns<M: SerializeMap>(
    map: &mut M,
    record: Record<'_>,
    states_as_text: bool,
) -> Result<(), M::Error> {
    for (name, value) in record.values() {
        match value {
            Value::Null => map.serialize_entry(name, &())?,
            Value::Text(text) => map.serialize_entry(name, &text)?,
            Value::Json(json) if states_as_text => map.serialize_entry(name, json.as_str())?,
            Value::Json(json) => map.serialize_entry(name, &Stored(json.as_str()))?,
        }
    }
    Ok(())
}

/// A document: the version of its form, the organisation that it is about, and what it says.
#[derive(Debug, serde::Serialize)]
pub struct Document<'a, T> {
    schema_version: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    organization_id: Option<&'a str>,
    #[serde(flatten)]
    body: T,
}

/// A document about one organisation. The names of `body` stand beside those of the envelope.
pub fn document<T: Serialize>(organization_id: &str, body: T) -> Document<'_, T> {
    Document { schema_version: SCHEMA_VERSION, organization_id: Some(organization_id), body }
}

/// A document about no organisation, or about several.
pub fn general_document<T: Serialize>(body: T) -> Document<'static, T> {
    Document { schema_version: SCHEMA_VERSION, organization_id: None, body }
}

/// Writes one document and a line feed. Characters that a terminal would obey or not show are written as `\u` escapes,
/// which are the same JSON. All JSON that the program prints goes through here or through [`write_event`].
///
/// # Errors
/// When `out` cannot be written.
pub fn write_line(out: &mut impl Write, document: &impl Serialize) -> io::Result<()> {
    write(out, document, Joiners::Escaped)
}

/// As [`write_line`], for one of the lines of a file of events.
///
/// # Errors
/// When `out` cannot be written.
pub fn write_event(out: &mut impl Write, event: Record<'_>, joiners: Joiners) -> io::Result<()> {
    write(out, &event, joiners)
}

/// Writes a document and a line feed; joiners of words as asked for.
pub(super) fn write(out: &mut impl Write, document: &impl Serialize, joiners: Joiners) -> io::Result<()> {
    let line = serde_json::to_string(document)?;
    out.write_all(escape_json(&line, joiners).as_bytes())?;
    out.write_all(b"\n")
}

/// One document, as [`write_line`] writes it.
///
/// # Errors
/// When a state is no JSON.
pub fn text(document: &impl Serialize) -> io::Result<String> {
    Ok(visible(&serde_json::to_string(document)?))
}

/// JSON on one line, with what is hidden written as `\u` escapes.
pub fn visible(text: &str) -> String {
    escape_json(text, Joiners::Escaped).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Event, EventRow, Json};

    #[test]
    fn numbers_keep_their_digits_and_nothing_reaches_the_terminal() {
        let state = "{\"n\": 1.10, \"big\": 123456789012345678901234567890.000, \"t\": \"\u{9b}2J\u{202e}\"}";
        let row = EventRow { actor_user_agent: Some("\u{1b}[31m\u{e0041}é".into()), ..EventRow::sample() };
        let event = Event { row, previous_state: None, new_state: Some(Json::from_trusted(state)) };
        let mut out = Vec::new();
        write_event(&mut out, Record::from(&event), Joiners::Kept).unwrap();
        let out = String::from_utf8(out).unwrap();
        assert!(out.contains(
            r#""previous_state":null,"new_state":{"n": 1.10, "big": 123456789012345678901234567890.000, "t": "\u009b2J\u202e"}"#
        ), "{out}");
        assert!(out.contains(r#""actor_user_agent":"\u001b[31m\udb40\udc41é""#), "{out}");
        let read: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(read["actor_user_agent"], "\u{1b}[31m\u{e0041}é");
        assert_eq!(read.as_object().unwrap().len(), 22);
    }

    #[test]
    fn without_states_their_keys_are_absent() {
        let mut out = Vec::new();
        write_line(&mut out, &Record::from(&EventRow::sample())).unwrap();
        let read: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(read.as_object().unwrap().len(), 20);
        assert!(read.get("new_state").is_none());
        assert_eq!(read["timestamp"], "2026-01-05T08:01:01.147504Z");
        assert_eq!(read["project_id"], serde_json::Value::Null);
    }
}
