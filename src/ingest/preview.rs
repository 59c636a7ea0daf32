//! What a record becomes, for people who want to see it before anything is stored: each column with its value, and where in
//! the record this very value stands.

use super::kind::{Kind, spelled};
use super::message::Item;
use super::{Incoming, Mapped, Original, Place, SourceFormat, address, time};
use crate::domain::NewEvent;
use serde_json::Value;

/// Values of a record that are looked through.
const VALUES: usize = 5_000;
/// Places that are named for a column.
const PLACES: usize = 4;
/// Shortest text by whose end a value is known: shorter ones stand everywhere.
const END: usize = 6;

/// A record, and what it becomes.
#[derive(Debug, Clone, PartialEq)]
pub struct Preview {
    /// Name of the source.
    pub source: String,
    /// Where in it.
    pub place: Place,
    /// What it was taken for, where that is known.
    pub format: Option<SourceFormat>,
    /// The columns that have a value, in the order of the table; none of a record that is refused.
    pub columns: Vec<Mapping>,
    /// Why it is refused, in words.
    pub refused: Option<String>,
}

/// A column, its value, and where it is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// Name of the column.
    pub column: &'static str,
    /// Its value; of a state its JSON.
    pub value: String,
    /// Paths at which the record has this value; none where a rule makes it.
    pub from: Vec<String>,
}

impl Preview {
    /// A record on its way.
    pub(super) fn of(item: &Item) -> Self {
        let (columns, refused) = match &item.mapped {
            Ok(Mapped { event, .. }) => {
                let event = match event {
                    Incoming::New(event) => event,
                    Incoming::Preserved(kept) => &kept.event,
                };
                (mappings(event, &item.original, item.format), None)
            }
            Err(reason) => (Vec::new(), Some(reason.to_string())),
        };
        Self { source: item.source.name.clone(), place: item.place, format: item.format, columns, refused }
    }
}

/// The columns of an event that have a value.
fn columns(event: &NewEvent) -> Vec<(&'static str, String)> {
    let some = |text: &Option<String>| text.clone();
    let state = |state: &Option<crate::domain::Json>| state.as_ref().map(|json| json.as_str().to_owned());
    let all: [(&'static str, Option<String>); 20] = [
        ("event_id", Some(event.event_id.clone())),
        ("timestamp", Some(event.timestamp.to_rfc3339())),
        ("organization_id", Some(event.organization_id.as_str().to_owned())),
        ("project_id", some(&event.project_id)),
        ("actor_type", Some(event.actor_type.as_str().to_owned())),
        ("actor_id", Some(event.actor_id.clone())),
        ("actor_email", some(&event.actor_email)),
        ("actor_ip", some(&event.actor_ip)),
        ("actor_user_agent", some(&event.actor_user_agent)),
        ("event_category", Some(event.event_category.as_str().to_owned())),
        ("event_type", Some(event.event_type.clone())),
        ("event_severity", Some(event.event_severity.as_str().to_owned())),
        ("resource_type", Some(event.resource_type.clone())),
        ("resource_id", Some(event.resource_id.clone())),
        ("resource_name", some(&event.resource_name)),
        ("action", Some(event.action.as_str().to_owned())),
        ("previous_state", state(&event.previous_state)),
        ("new_state", state(&event.new_state)),
        ("request_id", Some(event.request_id.clone())),
        ("session_id", some(&event.session_id)),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

fn mappings(event: &NewEvent, original: &Original, format: Option<SourceFormat>) -> Vec<Mapping> {
    let text = match original {
        Original::Text(text) => text.as_str(),
        Original::Bytes(_) | Original::Start(_) => "",
    };
    let mut leaves = Vec::new();
    if let Ok(root) = serde_json::from_str::<Value>(text) {
        collect(&root, String::new(), &mut leaves);
    }
    let kinds = format.map_or(&[][..], |format| format.kinds);
    columns(event)
        .into_iter()
        .map(|(column, value)| {
            let from = if column.ends_with("_state") {
                whole(column, &value, text)
            } else {
                places(column, &value, event, &leaves, kinds)
            };
            Mapping { column, value, from }
        })
        .collect()
}

/// The scalars of a record, each with its path; also those of JSON in a text.
fn collect(value: &Value, path: String, leaves: &mut Vec<(String, String)>) {
    if leaves.len() >= VALUES {
        return;
    }
    let below = |step: &str| if path.is_empty() { step.to_owned() } else { format!("{path}>{step}") };
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(key, value)| collect(value, below(key), leaves));
        }
        Value::Array(elements) => {
            elements.iter().enumerate().for_each(|(n, value)| collect(value, below(&n.to_string()), leaves));
        }
        Value::String(text) => {
            if text.starts_with(['{', '['])
                && let Ok(inner @ (Value::Object(_) | Value::Array(_))) = serde_json::from_str(text)
            {
                collect(&inner, path.clone(), leaves);
            }
            leaves.push((path, text.trim().to_owned()));
        }
        Value::Number(number) => leaves.push((path, number.to_string())),
        Value::Bool(truth) => leaves.push((path, truth.to_string())),
        Value::Null => {}
    }
}

/// Where the record has the value of a column, as mapping files spell it; those first that the format looks up for it.
fn places(
    column: &str,
    value: &str,
    event: &NewEvent,
    leaves: &[(String, String)],
    kinds: &[Kind],
) -> Vec<String> {
    let is_it = |text: &str| match column {
        "timestamp" => {
            let own = time::since_epoch(text)
                .or_else(|| time::american(text))
                .or_else(|| time::read(text, Some(chrono_tz::UTC)).ok());
            own.is_some_and(|own| own.timestamp == event.timestamp)
        }
        "actor_ip" => address::client(text).as_deref() == Some(value),
        // Made by rule from words that stand for much else.
        "actor_type" | "event_category" | "event_severity" | "action" => text == value,
        // Also where its beginning was cut off, or its case changed.
        _ => {
            text.eq_ignore_ascii_case(value)
                || (value.chars().count() >= END && text.len() > value.len() && text.ends_with(value))
        }
    };
    let declared = |path: &str| {
        kinds.iter().flat_map(|kind| kind.paths(column)).copied().flatten().position(|known| *known == path)
    };
    let mut found: Vec<&str> =
        leaves.iter().filter(|(_, text)| is_it(text)).map(|(path, _)| path.as_str()).collect();
    found.sort_by_key(|path| (declared(path).unwrap_or(usize::MAX), path.matches('>').count()));
    found.dedup();
    found.into_iter().take(PLACES).map(spelled).collect()
}

/// Where a state is from: the whole record, or the member of its name.
fn whole(column: &str, value: &str, text: &str) -> Vec<String> {
    let is_member = serde_json::from_str::<serde_json::Map<String, Value>>(text)
        .is_ok_and(|members| members.contains_key(column));
    if is_member {
        return vec![column.to_owned()];
    }
    let has_record = !text.is_empty() && value.contains(text);
    if has_record { vec!["(the whole record)".to_owned()] } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::super::input::Source;
    use super::super::{Format, Mapping as Options};
    use super::*;
    use std::sync::Arc;

    fn preview(format: &str, text: &str) -> Preview {
        let format = Format::named(format).unwrap();
        let options = Options { organization: crate::domain::OrgId::new("acme").ok(), ..Options::default() };
        Preview::of(&Item {
            source: Arc::new(Source { name: "f".into(), group: "f".into() }),
            place: Place { line: 7, element: None },
            format: Some(format),
            original: Original::Text(text.to_owned()),
            mapped: (format.map)(text, &options),
        })
    }

    fn from<'p>(preview: &'p Preview, column: &str) -> Vec<&'p str> {
        let row = preview.columns.iter().find(|row| row.column == column).unwrap();
        row.from.iter().map(String::as_str).collect()
    }

    #[test]
    fn each_column_names_where_the_record_has_its_value_and_a_derived_one_names_none() {
        let text = r#"{"uuid":"u-1","published":"2026-01-02T03:04:05.5Z","eventType":"user.session.start","severity":"INFO",
            "actor":{"alternateId":"eve@corp.example","type":"User"},"client":{"ipAddress":"203.0.113.7"},
            "target":[{"id":"00u","type":"User","alternateId":"eve@corp.example"}],"debug":{"host":"203.0.113.7"}}"#;
        let seen = preview("okta", text);
        assert_eq!(from(&seen, "event_id"), ["uuid"]);
        assert_eq!(from(&seen, "timestamp"), ["published"], "the instant, not its spelling");
        assert_eq!(from(&seen, "actor_id"), ["actor.alternateId", "target[0].alternateId"]);
        assert_eq!(
            from(&seen, "actor_ip"),
            ["client.ipAddress", "debug.host"],
            "what is looked up comes first"
        );
        assert_eq!(from(&seen, "action"), [] as [&str; 0]);
        assert_eq!(from(&seen, "organization_id"), [] as [&str; 0], "it was named");
        assert_eq!(from(&seen, "new_state"), ["(the whole record)"]);
        assert_eq!((seen.refused, seen.place.line), (None, 7));
    }

    #[test]
    fn json_in_a_text_is_looked_into_and_a_refusal_has_its_reason() {
        let text = r#"{"category":"kube-audit","time":"2026-01-02T03:04:05Z","properties":{"log":
            "{\"kind\":\"Event\",\"auditID\":\"a-1\",\"verb\":\"get\",\"requestURI\":\"/api\",\"user\":{\"username\":\"eve\"}}"}}"#;
        let seen = preview("kubernetes", text);
        assert_eq!(from(&seen, "actor_id"), ["properties.log.user.username"]);
        assert_eq!(from(&seen, "request_id"), ["properties.log.auditID"]);
        let refused = preview("okta", "{}");
        assert!(refused.columns.is_empty() && refused.refused.unwrap().starts_with("not a record"));
    }
}
