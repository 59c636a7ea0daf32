//! The page of importers says what the mappings do: each path that it names is looked up for its column.

use super::kind::{Kind, spelled};
use super::{FORMATS, Incoming, Mapping, SourceFormat};
use crate::domain::{NewEvent, OrgId};
use serde_json::{Value, json};

/// A record of each kind, without what the page names.
fn bare(format: &str, kind: usize) -> Value {
    match (format, kind) {
        ("cloudtrail", _) => json!({"eventSource": "s3.amazonaws.com", "eventName": "GetObject"}),
        ("agenttrace", _) => {
            json!({"event_id": "e", "organization_id": "acme", "actor_type": "user", "actor_id": "u",
            "event_category": "data", "event_type": "t", "event_severity": "info", "resource_type": "r",
            "resource_id": "r", "action": "read", "request_id": "q"})
        }
        ("kubernetes", 0) => {
            json!({"kind": "Event", "auditID": "a", "verb": "get", "stage": "ResponseComplete"})
        }
        ("kubernetes", _) => {
            json!({"kind": "AdmissionReview", "request": {"uid": "u", "operation": "CREATE"}})
        }
        ("gcp", _) => {
            json!({"protoPayload": {"methodName": "storage.objects.get", "authenticationInfo": {}}})
        }
        ("azure", 0) => json!({"operationName": "a/b/write", "resourceId": "/x", "correlationId": "c"}),
        ("azure", 1) => {
            json!({"activityDisplayName": "Add user", "loggedByService": "x", "operationType": "Add"})
        }
        ("azure", _) => {
            json!({"operationName": "Sign-in activity", "category": "SignInLogs", "correlationId": "c"})
        }
        ("microsoft365", _) => {
            json!({"Operation": "FileAccessed", "RecordType": 6, "Workload": "OneDrive", "OrganizationId": "o"})
        }
        ("github", _) => json!({"action": "repo.create", "org": "o"}),
        ("okta", _) => json!({"eventType": "user.session.start", "outcome": {}, "severity": "INFO"}),
        ("workspace", _) => json!({"id": {"applicationName": "login", "uniqueQualifier": "1"}}),
        ("teleport", _) => json!({"event": "user.login", "code": "T1000I", "uid": "u", "ei": 0}),
        ("vault", _) => json!({"type": "request", "auth": {}, "request": {"operation": "read", "path": "x"}}),
        ("slack", _) => {
            json!({"id": "i", "date_create": 1, "action": "user_login", "entity": {"type": "user"}})
        }
        ("gitlab", _) => json!({"author_id": 1, "author_name": "x", "created_at": "2026-01-02T03:04:05Z"}),
        (other, _) => panic!("no record of {other}"),
    }
}

/// Puts a value at a path.
fn put(record: &mut Value, path: &str, value: &str) {
    let mut at = record;
    for step in path.split('>') {
        at = match step.parse::<i64>() {
            Ok(-1) => {
                *at = json!(["192.0.2.1", "x"]);
                &mut at[1]
            }
            Ok(_) => {
                *at = json!([{}]);
                &mut at[0]
            }
            Err(_) => {
                if !at.is_object() {
                    *at = json!({});
                }
                &mut at[step]
            }
        };
    }
    *at = value.into();
}

fn event(format: SourceFormat, record: &Value) -> NewEvent {
    let mapping = Mapping { organization: OrgId::new("acme").ok(), ..Mapping::default() };
    let mapped = (format.map)(&record.to_string(), &mapping);
    match mapped.unwrap_or_else(|e| panic!("{format:?}: {e}: {record}")).event {
        Incoming::New(event) => event,
        Incoming::Preserved(kept) => kept.event,
    }
}

fn each_path_is_looked_up(format: SourceFormat, number: usize, kind: &Kind) {
    let with_time = || {
        let mut record = bare(format.name, number);
        if let Some(path) = kind.time.first().and_then(|paths| paths.first()) {
            let is_counted = *path == "date_create";
            put(&mut record, path, if is_counted { "1767323045" } else { "2026-01-02T03:04:05Z" });
        }
        record
    };
    for path in kind.time.iter().copied().flatten() {
        let mut record = bare(format.name, number);
        // In seconds since 1970, where a source counts them.
        let is_counted = *path == "date_create";
        put(&mut record, path, if is_counted { "1770091506" } else { "2026-02-03T04:05:06Z" });
        let time = event(format, &record).timestamp.to_rfc3339();
        assert_eq!(time, "2026-02-03T04:05:06.000000Z", "{format:?}: {path}");
    }
    for path in kind.actor.iter().copied().flatten() {
        let mut record = with_time();
        // Its name is what a record of GitLab is known by.
        if *path == "author_id" {
            put(&mut record, "author_name", " ");
        }
        put(&mut record, path, "eve@corp.example");
        assert_eq!(event(format, &record).actor_id, "eve@corp.example", "{format:?}: {path}");
    }
    for path in kind.address.iter().copied().flatten() {
        let mut record = with_time();
        put(&mut record, path, "203.0.113.77");
        assert_eq!(event(format, &record).actor_ip.as_deref(), Some("203.0.113.77"), "{format:?}: {path}");
    }
    if kind.placeholder.starts_with('`') {
        let placeholder = kind.placeholder.split('`').nth(1).unwrap();
        let anybody = event(format, &with_time());
        assert_eq!((anybody.actor_id.as_str(), anybody.actor_ip), (placeholder, None), "{format:?}");
    }
}

#[test]
fn each_place_that_the_page_names_is_looked_up_for_its_column() {
    for format in FORMATS {
        assert!(!format.kinds.is_empty(), "{format:?}");
        for (number, kind) in format.kinds.iter().enumerate() {
            each_path_is_looked_up(format, number, kind);
        }
    }
}

#[test]
fn of_several_places_the_first_counts() {
    for format in FORMATS.iter().filter(|format| format.name != "cloudtrail") {
        for (number, kind) in format.kinds.iter().enumerate() {
            let mut paths = kind.actor.iter().copied().flatten();
            let (Some(first), Some(second)) = (paths.next(), paths.next()) else { continue };
            let mut record = bare(format.name, number);
            let is_counted = kind.time[0][0] == "date_create";
            put(&mut record, kind.time[0][0], if is_counted { "1767323045" } else { "2026-01-02T03:04:05Z" });
            put(&mut record, second, "second@corp.example");
            put(&mut record, first, "first@corp.example");
            assert_eq!(event(format, &record).actor_id, "first@corp.example", "{format:?} {number}");
        }
    }
}

#[test]
fn paths_are_spelled_as_mapping_files_spell_them() {
    assert_eq!(spelled("a>b_c>0>d"), "a.b_c[0].d");
    assert_eq!(spelled("sourceIPs>-1"), "sourceIPs[-1]");
    assert_eq!(spelled("addr.remote>x y"), "\"addr.remote\".\"x y\"");
    assert_eq!(spelled("@timestamp"), "@timestamp");
}
