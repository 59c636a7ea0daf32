//! AgentTrace's own NDJSON: one event a line, its keys are the 22 columns.

use super::format::Opened;
use super::kind::Kind;
use super::record::Members;
use super::{Incoming, Mapped, Mapping, Reject};
use crate::domain::{COLUMNS, Json, NewEvent, OrgId};
use crate::store::writer::PreservedEvent;
use serde_json::value::RawValue;

/// Members that say nothing of the event itself: a column that the schema adds and PostgreSQL computes, which a row as
/// JSON (`row_to_json`) has, and the mark of an export.
const BESIDE: [&str; 2] = ["search_vector", "integrity"];

/// The kinds of its records.
pub(super) const KINDS: &[Kind] = &[Kind {
    title: "Event",
    id: "`event_id`",
    organization: "`organization_id`",
    time: &[&["timestamp"]],
    actor: &[&["actor_id"]],
    address: &[&["actor_ip"]],
    failure: "`event_severity`, as it stands",
    placeholder: "refused",
}];

/// What an object is to this format: an event, or the document of `events --format json`.
pub(crate) fn open(members: &Members<'_>) -> Opened {
    if members.has("event_id") && members.has("event_type") {
        return Opened::Record;
    }
    if members.has("manifest") && members.iter().count() == 1 {
        return Opened::NoRecords("AgentTrace export manifest");
    }
    let events = members
        .get("events")
        .filter(|_| members.has("schema_version"))
        .and_then(|raw| serde_json::from_str::<Vec<&RawValue>>(raw.get()).ok());
    match events {
        Some(events) if events.is_empty() => Opened::NoRecords("AgentTrace document without events"),
        Some(events) => Opened::Wrapped(events.into_iter().map(|raw| raw.get().to_owned()).collect()),
        None => Opened::Foreign,
    }
}

/// One record as an event. Absent keys are as good as `null`; unknown ones are refused, because what they say would
/// be lost without a word.
pub(crate) fn map(text: &str, mapping: &Mapping) -> Result<Mapped, Reject> {
    let members = Members::parse(text)?;
    if let Some((unknown, _)) =
        members.iter().find(|(key, _)| !COLUMNS.contains(key) && !BESIDE.contains(key))
    {
        return Err(Reject::new(format!("the key '{unknown}' is not a column of audit_events")));
    }
    let organization_id = match &mapping.organization {
        // With the chain preserved, the caller compares the two.
        Some(named) if !mapping.preserve_chain => named.clone(),
        _ => OrgId::new(members.required("organization_id")?)
            .map_err(|e| Reject::new(format!("organization_id: {e}")))?,
    };
    let time = mapping.time("timestamp", &members.required("timestamp")?, None)?;
    let event = NewEvent {
        event_id: members.required("event_id")?,
        timestamp: time.timestamp,
        organization_id,
        project_id: members.text("project_id")?,
        actor_type: members.required("actor_type")?.parse()?,
        actor_id: members.required("actor_id")?,
        actor_email: members.text("actor_email")?,
        actor_ip: members.text("actor_ip")?,
        actor_user_agent: members.text("actor_user_agent")?,
        event_category: members.required("event_category")?.parse()?,
        event_type: members.required("event_type")?,
        event_severity: members.required("event_severity")?.parse()?,
        resource_type: members.required("resource_type")?,
        resource_id: members.required("resource_id")?,
        resource_name: members.text("resource_name")?,
        action: members.required("action")?.parse()?,
        previous_state: members.get("previous_state").map(state),
        new_state: members.get("new_state").map(state),
        request_id: members.required("request_id")?,
        session_id: members.text("session_id")?,
    };
    if !mapping.preserve_chain {
        return Ok(Mapped { leap_second: time.leap_second, ..Mapped::new(event) });
    }
    let link = |key| {
        members.text(key)?.ok_or_else(|| {
            Reject::new(format!(
                "{key}: missing, but --preserve-chain needs it (\"\" in the first event of a chain)"
            ))
        })
    };
    let hash =
        members.required("hash").map_err(|e| Reject::new(format!("{e}, but --preserve-chain needs it")))?;
    let kept = PreservedEvent { event, hash, previous_hash: link("previous_hash")? };
    Ok(Mapped { event: Incoming::Preserved(kept), leap_second: time.leap_second })
}

fn state(raw: &RawValue) -> Json {
    Json::from_trusted(raw.get())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"event_id":"e1","timestamp":"2026-01-05T09:01:01.1475049+01:00","organization_id":"acme",
        "actor_type":"user","actor_id":"u-1","event_category":"admin","event_type":"user.role_changed",
        "event_severity":"critical","resource_type":"user","resource_id":"u-2","action":"update",
        "previous_state":{"quota":1.10},"new_state":{"quota": 12345678901234567890.0},"request_id":"r1",
        "actor_ip":null,"hash":"aa","previous_hash":""}"#;

    fn mapping(organization: Option<&str>, preserve_chain: bool) -> Mapping {
        Mapping {
            organization: organization.map(|o| OrgId::new(o).unwrap()),
            preserve_chain,
            ..Mapping::default()
        }
    }

    fn reason(line: &str, preserve_chain: bool) -> String {
        map(line, &mapping(None, preserve_chain)).unwrap_err().to_string()
    }

    #[test]
    fn an_event_keeps_its_digits_and_loses_nanoseconds() {
        let Incoming::New(event) = map(LINE, &mapping(None, false)).unwrap().event else {
            panic!("chained anew")
        };
        assert_eq!(event.timestamp.to_rfc3339(), "2026-01-05T08:01:01.147504Z");
        assert_eq!(event.previous_state.unwrap().as_str(), r#"{"quota":1.10}"#);
        assert_eq!(event.new_state.unwrap().as_str(), r#"{"quota": 12345678901234567890.0}"#);
        assert_eq!((event.actor_ip, event.session_id), (None, None));
    }

    #[test]
    fn the_named_organisation_wins_unless_the_chain_is_preserved() {
        let Incoming::New(event) = map(LINE, &mapping(Some("other"), false)).unwrap().event else {
            panic!("chained anew")
        };
        assert_eq!(event.organization_id.as_str(), "other");
        let Incoming::Preserved(kept) = map(LINE, &mapping(Some("other"), true)).unwrap().event else {
            panic!("as given")
        };
        assert_eq!(kept.event.organization_id.as_str(), "acme");
        assert_eq!((kept.hash.as_str(), kept.previous_hash.as_str()), ("aa", ""));
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(
            reason(&LINE.replace("\"hash\"", "\"hush\""), false),
            "the key 'hush' is not a column of audit_events"
        );
        assert_eq!(
            reason(&LINE.replace("\"update\"", "\"UPDATE\""), false),
            "action: 'UPDATE' is not one of create, read, update, delete, export"
        );
        assert!(reason(&LINE.replace("2026-01-05T", "5 Jan "), false).starts_with("timestamp: '5 Jan 09"));
        assert_eq!(reason(&LINE.replace("\"e1\"", "null"), false), "event_id: missing");
        assert_eq!(
            reason(&LINE.replace("\"aa\"", "null"), true),
            "hash: missing, but --preserve-chain needs it"
        );
        assert!(
            reason(&LINE.replace(",\"previous_hash\":\"\"", ""), true).starts_with("previous_hash: missing")
        );
        assert!(
            reason("[1]", false).starts_with("not a JSON object: invalid type"),
            "{}",
            reason("[1]", false)
        );
    }
}
