//! AgentTrace's own NDJSON: one event a line, its keys are the 22 columns.

use super::record::Members;
use super::{Mapped, Mapping, Reject};
use crate::domain::{COLUMNS, Json, NewEvent, OrgId, Timestamp};
use crate::store::writer::PreservedEvent;
use serde_json::value::RawValue;

/// One record as an event. Absent keys are as good as `null`; unknown ones are refused, because what they say would
/// be lost without a word.
pub(crate) fn map(text: &str, mapping: &Mapping) -> Result<Mapped, Reject> {
    let members = Members::parse(text)?;
    if let Some((unknown, _)) = members.iter().find(|(key, _)| !COLUMNS.contains(key)) {
        return Err(Reject::new(format!("the key '{unknown}' is no column of audit_events")));
    }
    let organization_id = match &mapping.organization {
        // With the chain preserved, the caller compares the two.
        Some(named) if !mapping.preserve_chain => named.clone(),
        _ => OrgId::new(members.required("organization_id")?)
            .map_err(|e| Reject::new(format!("organization_id: {e}")))?,
    };
    let event = NewEvent {
        event_id: members.required("event_id")?,
        timestamp: Timestamp::parse(&members.required("timestamp")?)
            .map_err(|e| Reject::new(format!("timestamp: {e}")))?,
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
        return Ok(Mapped::New(event));
    }
    let link = |key| {
        members.text(key)?.ok_or_else(|| {
            Reject::new(format!(
                "{key}: missing, but --preserve-chain needs it (\"\" in the first event of a chain)"
            ))
        })
    };
    Ok(Mapped::Preserved(PreservedEvent {
        event,
        hash: members
            .required("hash")
            .map_err(|e| Reject::new(format!("{e}, but --preserve-chain needs it")))?,
        previous_hash: link("previous_hash")?,
    }))
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
        Mapping { organization: organization.map(|o| OrgId::new(o).unwrap()), preserve_chain }
    }

    fn reason(line: &str, preserve_chain: bool) -> String {
        map(line, &mapping(None, preserve_chain)).unwrap_err().to_string()
    }

    #[test]
    fn an_event_keeps_its_digits_and_loses_nanoseconds() {
        let Mapped::New(event) = map(LINE, &mapping(None, false)).unwrap() else { panic!("chained anew") };
        assert_eq!(event.timestamp.to_rfc3339(), "2026-01-05T08:01:01.147504Z");
        assert_eq!(event.previous_state.unwrap().as_str(), r#"{"quota":1.10}"#);
        assert_eq!(event.new_state.unwrap().as_str(), r#"{"quota": 12345678901234567890.0}"#);
        assert_eq!((event.actor_ip, event.session_id), (None, None));
    }

    #[test]
    fn the_named_organisation_wins_unless_the_chain_is_preserved() {
        let Mapped::New(event) = map(LINE, &mapping(Some("other"), false)).unwrap() else {
            panic!("chained anew")
        };
        assert_eq!(event.organization_id.as_str(), "other");
        let Mapped::Preserved(kept) = map(LINE, &mapping(Some("other"), true)).unwrap() else {
            panic!("as given")
        };
        assert_eq!(kept.event.organization_id.as_str(), "acme");
        assert_eq!((kept.hash.as_str(), kept.previous_hash.as_str()), ("aa", ""));
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(
            reason(&LINE.replace("\"hash\"", "\"hush\""), false),
            "the key 'hush' is no column of audit_events"
        );
        assert_eq!(
            reason(&LINE.replace("\"update\"", "\"UPDATE\""), false),
            "action: 'UPDATE' is none of create, read, update, delete, export"
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
        assert!(reason("[1]", false).starts_with("no JSON object: invalid type"), "{}", reason("[1]", false));
    }
}
