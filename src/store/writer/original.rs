//! Two events with one id: what differs between them, and whether they are one original record all the same, mapped to
//! columns by other rules (an older version of the program, another exporter's spelling).

use crate::chain::{Canonicaliser, Fields, Limits};
use crate::domain::CallRecord;
use serde_json::{Map, Value};
use std::cmp::Ordering;

/// More members of a state than this are not listed.
const MAX_MEMBERS: usize = 5;

/// The columns in which two events differ, the states with the members that do.
pub(super) fn differences(a: &Fields<'_>, b: &Fields<'_>) -> Vec<String> {
    let times = [a, b].map(|event| event.timestamp.to_rfc3339());
    let mut out: Vec<String> = columns(a, &times[0])
        .into_iter()
        .zip(columns(b, &times[1]))
        .filter(|((_, a), (_, b))| a != b)
        .map(|((name, _), _)| name.to_owned())
        .collect();
    for (name, a, b) in
        [("previous_state", a.previous_state, b.previous_state), ("new_state", a.new_state, b.new_state)]
    {
        if canonical(a) != canonical(b) {
            let members = members(a, b);
            let listed = members.iter().take(MAX_MEMBERS).cloned().collect::<Vec<_>>().join(", ");
            let more = if members.len() > MAX_MEMBERS { ", …" } else { "" };
            out.push(if members.is_empty() { name.to_owned() } else { format!("{name} ({listed}{more})") });
        }
    }
    out
}

/// Whether both are one record of a call: the same members, wherever they are kept.
pub(super) fn same_record(a: &Fields<'_>, b: &Fields<'_>) -> bool {
    let kind = CallRecord::of(a.previous_state, a.new_state);
    let (Some(kind), true) = (kind, kind == CallRecord::of(b.previous_state, b.new_state)) else {
        return false;
    };
    let (Some(a), Some(b)) = (original(kind, a), original(kind, b)) else { return false };
    equal(&Value::Object(a), &Value::Object(b))
}

/// The record as it came: the members of the state, and those that a column holds instead.
fn original(kind: &CallRecord, event: &Fields<'_>) -> Option<Map<String, Value>> {
    let mut members: Map<String, Value> = serde_json::from_str(event.new_state?).ok()?;
    let time = event.timestamp.to_rfc3339();
    let columns = columns(event, &time);
    for (member, column) in kind.held {
        let held = columns.iter().find(|(name, _)| name == column).and_then(|(_, value)| *value);
        if let Some(value) = held.filter(|_| !members.contains_key(*member)) {
            members.insert((*member).to_owned(), value.into());
        }
    }
    Some(members)
}

fn columns<'a>(event: &Fields<'a>, time: &'a str) -> [(&'static str, Option<&'a str>); 18] {
    [
        ("event_id", Some(event.event_id)),
        ("timestamp", Some(time)),
        ("organization_id", Some(event.organization_id)),
        ("project_id", event.project_id),
        ("actor_type", Some(event.actor_type)),
        ("actor_id", Some(event.actor_id)),
        ("actor_email", event.actor_email),
        ("actor_ip", event.actor_ip),
        ("actor_user_agent", event.actor_user_agent),
        ("event_category", Some(event.event_category)),
        ("event_type", Some(event.event_type)),
        ("event_severity", Some(event.event_severity)),
        ("resource_type", Some(event.resource_type)),
        ("resource_id", Some(event.resource_id)),
        ("resource_name", event.resource_name),
        ("action", Some(event.action)),
        ("request_id", Some(event.request_id)),
        ("session_id", event.session_id),
    ]
}

/// A state in the form that is hashed, which knows no order of members; as it is where there is none.
fn canonical(state: Option<&str>) -> Vec<u8> {
    let text = state.unwrap_or("null").as_bytes();
    let mut out = Vec::new();
    match Canonicaliser::new(Limits::WRITE).append(text, &mut out) {
        Ok(()) => out,
        Err(_) => text.to_vec(),
    }
}

/// Top-level members in which two states differ; none where they are not both objects.
fn members(a: Option<&str>, b: Option<&str>) -> Vec<String> {
    type Raw = std::collections::BTreeMap<String, Box<serde_json::value::RawValue>>;
    let read = |state: Option<&str>| serde_json::from_str::<Raw>(state?).ok();
    let (Some(a), Some(b)) = (read(a), read(b)) else { return Vec::new() };
    let value = |members: &Raw, name: &str| canonical(members.get(name).map(|raw| raw.get()));
    let names: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    names.into_iter().filter(|name| value(&a, name) != value(&b, name)).cloned().collect()
}

/// Whether two values are one, where exporters write numbers anew: `1.10` and `1.1` are, two large integers are not.
fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| equal(a, b)))
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Value::Number(x), Value::Number(y)) => {
            // Beyond this, neighbouring integers are one double.
            const EXACT: f64 = 9_007_199_254_740_992.0;
            a == b
                || matches!((x.as_f64(), y.as_f64()), (Some(x), Some(y)) if x.partial_cmp(&y) == Some(Ordering::Equal) && x.abs() < EXACT)
        }
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Timestamp;

    const STATE: &str = r#"{"eventVersion":"1.08","eventType":"AwsApiCall","userIdentity":{"n":1.10}}"#;

    fn event(state: &str) -> Fields<'_> {
        Fields {
            event_id: "e",
            timestamp: Timestamp::from_micros(0),
            organization_id: "1",
            project_id: Some("us-east-1"),
            actor_type: "user",
            actor_id: "ada",
            actor_email: None,
            actor_ip: None,
            actor_user_agent: Some("cli"),
            event_category: "config",
            event_type: "iam.CreateUser",
            event_severity: "info",
            resource_type: "iam",
            resource_id: "eve",
            resource_name: None,
            action: "create",
            previous_state: None,
            new_state: Some(state),
            request_id: "r",
            session_id: None,
        }
    }

    #[test]
    fn one_record_under_other_rules_is_one_record() {
        let (a, mut b) = (event(STATE), event(STATE));
        (b.resource_id, b.actor_id, b.event_severity, b.action) = ("policy", "root", "warning", "read");
        assert!(same_record(&a, &b));
        assert_eq!(differences(&a, &b), ["actor_id", "event_severity", "resource_id", "action"]);
        // A member that one version keeps in a column stands in the state of the other.
        let kept = STATE.replacen('{', r#"{"sourceIPAddress":"203.0.113.9","requestID":"r","#, 1);
        let mut c = event(&kept);
        let mut d = event(STATE);
        (c.actor_ip, d.actor_ip) = (None, Some("203.0.113.9"));
        assert!(same_record(&c, &d));
        let turned = r#"{"userIdentity": {"n": 1.1}, "eventType": "AwsApiCall", "eventVersion": "1.08"}"#;
        assert!(same_record(&a, &event(turned)), "parsed, they are the same");
    }

    #[test]
    fn another_record_is_another_record() {
        let a = event(STATE);
        let forged = STATE.replace("1.10", "2");
        assert!(!same_record(&a, &event(&forged)));
        assert_eq!(differences(&a, &event(&forged)), ["new_state (userIdentity)"]);
        let mut later = event(STATE);
        later.timestamp = Timestamp::from_micros(1);
        assert!(!same_record(&a, &later));
        let mut elsewhere = event(STATE);
        elsewhere.actor_ip = Some("203.0.113.9");
        assert!(!same_record(&a, &elsewhere));
        let states = event(r#"{"role":"viewer"}"#);
        let mut other = event(r#"{"role":"viewer"}"#);
        other.actor_id = "eve";
        assert!(!same_record(&states, &other), "the states do not record calls");
        let (x, y) = (STATE.replace("1.10", "12345678901234567"), STATE.replace("1.10", "12345678901234568"));
        assert!(!same_record(&event(&x), &event(&y)));
    }
}
