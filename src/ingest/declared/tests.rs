use super::*;
use crate::domain::{NewEvent, OrgId};
use crate::ingest::Incoming;
use serde_json::json;
use std::sync::Arc;

const BILLING: &str = r#"
name = "billing"
[match]
has = ["who"]
equals = { kind = "audit" }
[time]
from = ["at", "when"]
format = "milliseconds"
[columns]
event_id = "id"
event_type = { text = "{area}.{verb}" }
organization_id = { value = "acme" }
actor_id = ["who.mail", "who.id"]
actor_ip = { from = "peer", port = true }
resource_type = { from = "target", before = "/" }
resource_id = "tags[-1]"
action = { from = "verb", table = { make = "create", "un*" = "delete" }, default = "read" }
event_severity = [{ from = "ok", table = { "false" = "warning" } }, { value = "info" }]
[states]
before = "old"
after = "new"
"#;

fn event(mapping: &str, record: &Value) -> Result<NewEvent, String> {
    let declared = file::of_toml(mapping)?;
    let options = Mapping { declared: Some(Arc::new(declared)), ..Mapping::default() };
    let mapped = (DECLARED.map)(&record.to_string(), &options).map_err(|e| e.to_string())?;
    match mapped.event {
        Incoming::New(event) => Ok(event),
        Incoming::Preserved(_) => Err("preserved".to_owned()),
    }
}

fn record() -> Value {
    json!({"kind": "audit", "id": 7, "at": "1767322800123", "area": "bill", "verb": "make", "who": {"id": "u-1"},
        "peer": "2001:db8::7:443", "target": "invoice/9", "tags": ["a", "b"], "ok": false,
        "old": {"sum": 1, "name": "x"}, "new": {"sum": 2, "name": "x"}})
}

#[test]
fn each_kind_of_rule_fills_its_column() {
    let event = event(BILLING, &record()).unwrap();
    assert_eq!((event.event_id.as_str(), event.event_type.as_str()), ("7", "bill.make"));
    assert_eq!(event.timestamp.to_rfc3339(), "2026-01-02T03:00:00.123000Z");
    assert_eq!((event.actor_id.as_str(), event.actor_ip.as_deref()), ("u-1", Some("2001:db8::7")));
    assert_eq!((event.resource_type.as_str(), event.resource_id.as_str()), ("invoice", "b"));
    assert_eq!((event.action, event.event_severity), (Action::Create, Severity::Warning));
    assert_eq!(event.organization_id.as_str(), "acme");
    assert_eq!(event.previous_state.unwrap().as_str(), r#"{"changed":{"sum":1}}"#);
    let state = event.new_state.unwrap();
    assert!(
        state.as_str().starts_with(r#"{"changed":{"sum":2},"source_format":"billing","source_record":{"#)
    );
}

#[test]
fn values_that_no_row_has_and_members_that_are_absent_fall_to_the_next_choice() {
    let mut other = record();
    other["verb"] = "undo".into();
    other["ok"] = true.into();
    other["who"]["mail"] = "eve@corp.example".into();
    other.as_object_mut().unwrap().remove("old");
    let first = event(BILLING, &other).unwrap();
    assert_eq!((first.action, first.event_severity), (Action::Delete, Severity::Info));
    assert_eq!(first.actor_email.as_deref(), Some("eve@corp.example"));
    assert_eq!(first.previous_state, None);
    other["verb"] = "else".into();
    assert_eq!(event(BILLING, &other).unwrap().action, Action::Read);
    other.as_object_mut().unwrap().remove("verb");
    let why = event(BILLING, &other).unwrap_err();
    assert!(
        why.contains("event_type: the record has nothing where the mapping looks for it (area, verb)"),
        "{why}"
    );
}

#[test]
fn a_record_of_another_kind_and_one_without_a_time_say_which_member_is_missing() {
    for (change, wanted) in [
        (("kind", json!("x")), "not a record of the mapping 'billing': kind is not 'audit'"),
        (("who", Value::Null), "not a record of the mapping 'billing': who is missing"),
        (("at", Value::Null), "the record has no time (at, when)"),
        (("at", json!("soon")), "at: 'soon' is not a number of"),
    ] {
        let mut other = record();
        other[change.0] = change.1;
        let why = event(BILLING, &other).unwrap_err();
        assert!(why.starts_with(wanted), "{why}");
    }
}

#[test]
fn times_are_read_in_every_form() {
    for (format, text, instant) in [
        ("", "2026-01-02T03:04:05.678901234Z", "2026-01-02T03:04:05.678901Z"),
        ("format = 'seconds'", "1767323045.5", "2026-01-02T03:04:05.500000Z"),
        ("format = 'microseconds'", "1767323045000001", "2026-01-02T03:04:05.000001Z"),
        ("format = 'nanoseconds'", "1767323045000001999", "2026-01-02T03:04:05.000001Z"),
        ("format = '%d/%b/%Y:%H:%M:%S %z'", "02/Jan/2026:04:04:05 +0100", "2026-01-02T03:04:05.000000Z"),
        (
            "format = '%d.%m.%Y %H:%M:%S'\nzone = 'Europe/Berlin'",
            "02.01.2026 04:04:05",
            "2026-01-02T03:04:05.000000Z",
        ),
    ] {
        let mapping = format!(
            "name = 'x'\n[time]\nfrom = 't'\n{format}\n[columns]\nevent_type = 'e'\norganization_id = 'e'\n"
        );
        let event = event(&mapping, &json!({"t": text, "e": "x"})).unwrap();
        assert_eq!(event.timestamp.to_rfc3339(), instant, "{format}");
    }
    let mapping =
        "name = 'x'\n[time]\nfrom = 't'\nformat = '%d.%m.%Y %H:%M:%S'\n[columns]\nevent_type = 'e'\n";
    let why = event(mapping, &json!({"t": "02.01.2026 04:04:05", "e": "x"})).unwrap_err();
    assert!(why.contains("has no zone"), "{why}");
}

#[test]
fn mistakes_are_named_with_line_column_and_field() {
    let mut wrong = Vec::new();
    for (from, to, wanted) in [
        (
            "actor_id =",
            "actr_id =",
            "13:1: columns.actr_id: no column that a mapping can fill: nearest is actor_id",
        ),
        (
            "event_id =",
            "timestamp =",
            "10:1: columns.timestamp: no column that a mapping can fill: the table [time]",
        ),
        ("\"un*\" = \"delete\"", "\"un*\" = \"undo\"", "columns.action: 'undo' is not one of create"),
        ("\"milliseconds\"", "\"fortnights\"", "8:10: time.format: 'fortnights' is none of rfc3339"),
        ("\"tags[-1]\"", "\"tags[-2]\"", "columns.resource_id: 'tags[-2]' is no path"),
        ("\"tags[-1]\"", "\"a..b\"", "16:15: columns.resource_id: 'a..b' is no path"),
        (
            "{ value = \"acme\" }",
            "{ value = \"acme\", port = true }",
            "columns.organization_id: needs one of",
        ),
        (
            "{ text = \"{area}.{verb}\" }",
            "{ text = \"area\" }",
            "columns.event_type: 'area' has no {path} in it",
        ),
        ("name = \"billing\"", "name = \"bill ing\"", "2:8: name: 1 to 64 letters"),
        ("before = \"old\"", "befor = \"old\"", "unknown field `befor`, expected `before` or `after`"),
        ("event_type =", "#", "columns.event_type: missing"),
        ("[states]", "[states", "19:"),
    ] {
        assert!(BILLING.contains(from), "{from}");
        let why = file::of_toml(&BILLING.replacen(from, to, 1)).unwrap_err();
        if !why.contains(wanted) {
            wrong.push(format!("{to}: {why}, and not {wanted}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let json = r#"{"name": "x", "time": {"from": "t"},
  "columns": {"event_type": "e", "action": {"from": "a", "table": {"x": "y"}}}}"#;
    let why = file::of_json(json).unwrap_err();
    assert!(why.starts_with("2:") && why.contains("columns.action: 'y' is not one of"), "{why}");
    assert!(file::of_json(&json.replace("\"y\"", "\"read\"")).is_ok());
}

#[test]
fn a_file_in_json_is_the_same_mapping() {
    let table: toml::Value = toml::from_str(BILLING).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (folder.path().join("m.toml"), folder.path().join("m.JSON"));
    std::fs::write(&one, BILLING).unwrap();
    std::fs::write(&other, serde_json::to_string(&table).unwrap()).unwrap();
    let shown = |file| {
        format!("{:?}", Declared::read(file).map(|d| (d.name, d.time, d.before, d.columns.len())).unwrap())
    };
    assert_eq!(shown(&one), shown(&other));
    std::fs::write(&one, "name = ").unwrap();
    let why = Declared::read(&one).unwrap_err().to_string();
    assert!(why.contains("m.toml:1:8: "), "{why}");
}

#[test]
fn teleport_and_vault_are_taken_as_their_records_are() {
    let options = Mapping { organization: OrgId::new("acme").ok(), ..Mapping::default() };
    let event = |format: &str, record: Value| {
        let members = record.to_string();
        let members = Members::parse(&members).unwrap();
        let (found, _) = Format::recognise(&members).unwrap();
        assert_eq!(found.name, format);
        match (found.map)(&record.to_string(), &options).unwrap().event {
            Incoming::New(event) => event,
            Incoming::Preserved(kept) => kept.event,
        }
    };
    let login = |code: &str, success: bool| {
        json!({"event": "user.login", "code": code, "uid": "u-1", "ei": 0, "time": "2026-01-02T03:04:05.7Z",
            "user": "eve", "success": success, "addr.remote": "[2001:db8::1]:50000", "cluster_name": "c"})
    };
    let failed = event("teleport", login("T1000W", false));
    assert_eq!((failed.event_severity, failed.event_category), (Severity::Warning, Category::Auth));
    assert_eq!((failed.event_id.as_str(), failed.actor_ip.as_deref()), ("u-1", Some("2001:db8::1")));
    assert_eq!((failed.resource_type.as_str(), failed.actor_id.as_str()), ("user", "eve"));
    assert_eq!(event("teleport", login("T1000I", true)).event_severity, Severity::Info);
    assert_eq!(
        event("teleport", login("T1000I", false)).event_severity,
        Severity::Warning,
        "one code for both"
    );

    let entry = json!({"type": "response", "time": "2026-01-02T03:04:05.12345678Z", "error": "permission denied\n\t*",
        "auth": {"policies": ["default"]}, "request": {"id": "r-1", "operation": "list", "path": "sys/mounts",
            "remote_address": "203.0.113.7", "namespace": {"id": "root"}}});
    let denied = event("vault", entry);
    assert_eq!((denied.event_type.as_str(), denied.action), ("response.list", Action::Read));
    assert_eq!((denied.event_severity, denied.event_category), (Severity::Warning, Category::Admin));
    assert_eq!((denied.request_id.as_str(), denied.event_id.len()), ("r-1", 64));
    assert_eq!((denied.actor_id.as_str(), denied.resource_id.as_str()), ("unknown", "sys/mounts"));
}
