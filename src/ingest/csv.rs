//! Our own CSV (`export`, `events --format csv`), and that of Microsoft 365, as the records they were made from.

use super::microsoft365::AUDIT_DATA;
use crate::domain::{COLUMNS, unescaped};
use csv::StringRecord;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// Columns that an export adds, which say nothing of the event itself.
const BESIDE: [&str; 2] = ["integrity_content", "integrity_scheme"];
/// The columns that hold JSON.
const STATES: [&str; 2] = ["previous_state", "new_state"];

/// The columns, where some bytes begin with the header line of such a file: names of columns of events only, among them
/// those by which an event is known; or a column with whole records of Microsoft 365.
pub(super) fn header(beginning: &[u8]) -> Option<Vec<String>> {
    let beginning = beginning.strip_prefix(b"\xef\xbb\xbf").unwrap_or(beginning);
    let end = memchr::memchr(b'\n', beginning)?;
    let line = std::str::from_utf8(beginning.get(..end)?).ok()?.trim_end();
    let names: Vec<String> = line.split(',').map(|name| name.trim_matches('"').to_owned()).collect();
    let known = names.iter().all(|name| COLUMNS.contains(&name.as_str()) || BESIDE.contains(&name.as_str()));
    let is_event = ["event_id", "event_type"].iter().all(|mark| names.iter().any(|name| name == mark));
    ((known && is_event) || has_records(&names)).then_some(names)
}

/// Whether a column holds whole records.
fn has_records(names: &[String]) -> bool {
    names.iter().any(|name| name == AUDIT_DATA)
}

/// The name of the format of the records of such a file.
pub(super) fn format(names: &[String]) -> &'static str {
    if has_records(names) { "microsoft365" } else { "agenttrace" }
}

/// A line as a record of AgentTrace events: names and texts, an empty cell no member. `previous_hash` is a text also where
/// it is empty, as in the first event of a chain.
///
/// # Errors
/// What is wrong with it, in words.
pub(super) fn record(names: &[String], cells: &StringRecord) -> Result<String, String> {
    if cells.len() != names.len() {
        return Err(format!("has {} cells, the header {}", cells.len(), names.len()));
    }
    if let Some(at) = names.iter().position(|name| name == AUDIT_DATA) {
        let cell = cells.get(at).unwrap_or_default().trim();
        return if cell.is_empty() { Err(format!("{AUDIT_DATA}: empty")) } else { Ok(cell.to_owned()) };
    }
    let mut members = Map::new();
    let mut states = String::new();
    for (name, cell) in names.iter().zip(cells) {
        if cell.is_empty() && name != "previous_hash" || BESIDE.contains(&name.as_str()) {
            continue;
        }
        if STATES.contains(&name.as_str()) {
            // As it is written: numbers keep their digits.
            serde_json::from_str::<&RawValue>(cell).map_err(|e| format!("{name}: no JSON: {e}"))?;
            states.push_str(&format!(",{}:{cell}", Value::from(name.as_str())));
        } else {
            members.insert(name.clone(), Value::from(unescaped(plain(cell))));
        }
    }
    let members = Value::Object(members).to_string();
    Ok(format!("{}{states}}}", members.strip_suffix('}').unwrap_or(&members)))
}

/// The text of a cell without the apostrophe that keeps spreadsheets from evaluating it: one stands before whatever is a
/// formula behind all apostrophes.
fn plain(cell: &str) -> &str {
    let is_guarded = cell.trim_start_matches('\'').starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']);
    cell.strip_prefix('\'').filter(|_| is_guarded).unwrap_or(cell)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_header_is_one() {
        let names = |text: &str| header(text.as_bytes()).map(|names| names.len());
        assert_eq!(names("event_id,timestamp,event_type\r\nx"), Some(3));
        assert_eq!(names("\u{feff}event_id,event_type\n"), Some(2));
        assert_eq!(names("event_id,event_type,integrity_content,integrity_scheme\n"), Some(4));
        for other in [
            "event_id,timestamp\n",
            "event_id,event_type,extra\n",
            "{\"event_id\":1}\n",
            "event_id,event_type",
        ] {
            assert_eq!(names(other), None, "{other}");
        }
    }

    #[test]
    fn cells_become_what_they_were() {
        let names: Vec<String> = ["event_id", "actor_email", "resource_name", "new_state", "previous_hash"]
            .map(str::to_owned)
            .into();
        let cells = StringRecord::from(vec!["'-1", "", r"a\x0Ab", r#"{"n": 1.10, "t": "\u202e"}"#, ""]);
        let text = record(&names, &cells).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["event_id"], "-1");
        assert_eq!(["'=1", "''=1", "'a", "=1", "''"].map(plain), ["=1", "'=1", "'a", "=1", "''"]);
        assert_eq!(value["resource_name"], "a\nb");
        assert_eq!((value.get("actor_email"), &value["previous_hash"]), (None, &Value::from("")));
        assert!(text.contains("1.10"), "{text}");
        assert!(
            record(&names, &StringRecord::from(vec!["x", "", "", "{", ""]))
                .unwrap_err()
                .starts_with("new_state")
        );
        assert!(record(&names, &StringRecord::from(vec!["x"])).unwrap_err().contains("1 cells"));
    }
}
