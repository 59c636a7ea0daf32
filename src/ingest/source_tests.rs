//! The sources' mappings: the traps of real records, with invented values, and every file of `../shared/data`.

use super::format::Opened;
use super::record::Members;
use super::{Format, Incoming, Mapping, Reject};
use crate::domain::{Action, ActorType, Category, NewEvent, OrgId, Severity, Timestamp};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::path::Path;

fn mapping() -> Mapping {
    Mapping {
        organization: Some(OrgId::new("acme").unwrap()),
        default_time: Some(Timestamp::from_micros(0)),
        ..Mapping::default()
    }
}

/// What a record becomes by itself: the format, and its events.
fn read(text: &str, mapping: &Mapping) -> (&'static str, Vec<Result<NewEvent, Reject>>) {
    let members = Members::parse(text).unwrap();
    let Some((format, opened)) = Format::recognise(&members) else { return ("none", Vec::new()) };
    let texts = match opened {
        Opened::Record => vec![text.to_owned()],
        Opened::Wrapped(texts) => texts,
        Opened::NoRecords(_) | Opened::Foreign => Vec::new(),
    };
    let event = |text: &String| {
        (format.map)(text, mapping).map(|mapped| match mapped.event {
            Incoming::New(event) => event,
            Incoming::Preserved(kept) => kept.event,
        })
    };
    (format.name, texts.iter().map(event).collect())
}

fn one(record: &Value) -> (&'static str, NewEvent) {
    let (format, mut events) = read(&record.to_string(), &mapping());
    assert_eq!(events.len(), 1, "{format}");
    (format, events.remove(0).unwrap())
}

#[test]
fn kubernetes_takes_the_address_that_is_not_the_clients_word_and_who_is_impersonated() {
    let record = json!({
        "kind": "Event", "auditID": "chosen-by-client", "stage": "ResponseComplete", "verb": "create",
        "requestURI": "/api/v1/namespaces/prod/pods/db/exec", "stageTimestamp": "2026-01-02T03:04:05.678901Z",
        "sourceIPs": ["203.0.113.1", "198.51.100.9", "10.0.0.7"], "responseStatus": {"code": 101},
        "user": {"username": "admin@corp.example"}, "impersonatedUser": {"username": "system:serviceaccount:prod:ci"},
        "objectRef": {"resource": "pods", "subresource": "exec", "namespace": "prod", "name": "db"},
    });
    let (format, event) = one(&record);
    assert_eq!(format, "kubernetes");
    assert_eq!(event.actor_ip.as_deref(), Some("10.0.0.7"));
    assert_eq!((event.actor_type, event.actor_id.as_str()), (ActorType::Service, "prod:ci"));
    assert_eq!((event.request_id.as_str(), event.event_id.len()), ("chosen-by-client", 64));
    assert_eq!((event.event_type.as_str(), event.event_severity), ("pods/exec.create", Severity::Warning));
    assert_eq!((event.resource_id.as_str(), event.project_id.as_deref()), ("db", Some("prod")));
    let mut later = record.clone();
    later["stage"] = "Panic".into();
    assert_ne!(one(&later).1.event_id, event.event_id, "two stages under one auditID are two events");
    // Azure has the same in a text, and the time outside of it where the event has none.
    let mut inner = record;
    inner.as_object_mut().unwrap().remove("stageTimestamp");
    let azure = json!({"category": "kube-audit-admin", "time": "2026-01-02T03:04:05.123456789Z",
        "operationName": "x", "properties": {"log": inner.to_string()}});
    let (format, event) = one(&azure);
    assert_eq!(format, "kubernetes");
    assert_eq!(event.timestamp.to_rfc3339(), "2026-01-02T03:04:05.123456Z");
    assert_eq!(event.resource_id, "db");
}

#[test]
fn kubernetes_calls_all_rights_critical_and_a_refusal_a_warning() {
    let record = |code: u16, role: &str| {
        json!({"kind": "Event", "auditID": "a", "verb": "create", "stageTimestamp": "2026-01-02T03:04:05Z",
            "user": {"username": "eve"}, "responseStatus": {"code": code},
            "objectRef": {"resource": "clusterrolebindings", "apiGroup": "rbac.authorization.k8s.io"},
            "requestObject": {"metadata": {"generateName": "x-"}, "roleRef": {"name": role}}})
    };
    assert_eq!(one(&record(201, "cluster-admin")).1.event_severity, Severity::Critical);
    assert_eq!(one(&record(403, "cluster-admin")).1.event_severity, Severity::Warning);
    let event = one(&record(201, "view")).1;
    assert_eq!((event.event_severity, event.event_category), (Severity::Info, Category::Admin));
    assert_eq!(event.resource_type, "rbac.authorization.k8s.io/clusterrolebindings");
    assert_eq!(event.resource_id, "x-");
}

#[test]
fn an_admission_review_has_the_object_before_and_after() {
    let record = json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {
        "uid": "u-1", "operation": "UPDATE", "name": "web", "namespace": "prod",
        "resource": {"group": "apps", "version": "v1", "resource": "deployments"},
        "userInfo": {"username": "eve"},
        "oldObject": {"spec": {"replicas": 1}},
        "object": {"spec": {"replicas": 3}, "metadata": {"creationTimestamp": "2026-01-01T00:00:00Z",
            "managedFields": [{"time": "2026-01-02T00:00:00Z"}, {"time": "2026-01-01T12:00:00Z"}]}},
    }});
    let (_, event) = one(&record);
    assert_eq!(event.timestamp.to_rfc3339(), "2026-01-02T00:00:00.000000Z");
    assert_eq!(event.previous_state.unwrap().as_str(), r#"{"changed":{"object":{"spec":{"replicas":1}}}}"#);
    assert!(event.new_state.unwrap().as_str().starts_with(r#"{"changed":{"object":{"#));
    assert_eq!((event.action, event.event_type.as_str()), (Action::Update, "deployments.update"));
}

#[test]
fn google_cloud_sees_a_denial_without_a_severity_and_changes_of_policies() {
    let record = json!({"insertId": "-abc", "timestamp": "2026-01-02T03:04:05.20581Z", "logName": "projects/p-1/logs/x",
        "protoPayload": {"serviceName": "storage.googleapis.com", "methodName": "storage.setIamPermissions.SetIamPolicy",
            "resourceName": "projects/_/buckets/b", "status": {},
            "authenticationInfo": {"principalEmail": "ci@p-1.iam.gserviceaccount.com"},
            "requestMetadata": {"callerIp": "private"},
            "authorizationInfo": [{"permission": "storage.buckets.setIamPolicy"}],
            "serviceData": {"policyDelta": {"bindingDeltas": [
                {"action": "ADD", "role": "roles/viewer", "member": "allUsers"},
                {"action": "REMOVE", "role": "roles/owner", "member": "user:eve@corp.example"}]}}}});
    let (format, event) = one(&record);
    assert_eq!((format, event.event_severity), ("gcp", Severity::Warning));
    assert_eq!((event.actor_type, event.actor_ip.as_deref()), (ActorType::Service, None));
    assert_eq!((event.request_id.as_str(), event.event_id.len()), ("-abc", 64));
    assert_eq!(event.timestamp.to_rfc3339(), "2026-01-02T03:04:05.205810Z");
    let before = r#"{"changed":{"bindings":{"roles/owner":["user:eve@corp.example"]}}}"#;
    assert_eq!(event.previous_state.unwrap().as_str(), before);
    assert_eq!(event.event_category, Category::Admin);
    // In small letters, as tables have it; and nothing that is no audit log.
    let small = record.to_string().replace("protoPayload", "protopayload").replace("insertId", "insertid");
    assert_eq!(read(&small, &mapping()).0, "gcp");
    let entry = json!({"logName": "l", "insertId": "1", "textPayload": "x"}).to_string();
    assert_eq!(read(&entry, &mapping()), ("gcp", Vec::new()));
    use base64::Engine as _;
    let data = base64::engine::general_purpose::STANDARD.encode(record.to_string());
    assert_eq!(one(&json!({"message": {"data": data}, "subscription": "s"})).1.request_id, "-abc");
}

#[test]
fn azure_keeps_one_path_in_one_case_and_tells_keys_from_reading() {
    let record = json!({"time": "2026-01-02T03:04:05.1234567Z", "correlationId": "c-1", "category": "Administrative",
        "resourceId": "/SUBSCRIPTIONS/0000-AB/resourceGroups/RG/PROVIDERS/Microsoft.Storage/storageAccounts/Box",
        "operationName": "MICROSOFT.STORAGE/STORAGEACCOUNTS/LISTKEYS/ACTION", "resultType": "Success",
        "callerIpAddress": "198.51.100.4:443", "tenantId": "t",
        "identity": {"claims": {"http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn": "eve@corp.example"}}});
    let (format, event) = one(&record);
    assert_eq!((format, event.action, event.event_category), ("azure", Action::Export, Category::Data));
    assert_eq!(event.actor_ip.as_deref(), Some("198.51.100.4"));
    assert_eq!(event.actor_email.as_deref(), Some("eve@corp.example"));
    assert_eq!(event.event_type, "microsoft.storage/storageaccounts/listkeys/action");
    assert_eq!(event.project_id.as_deref(), Some("rg"));
    let mut failed = record.clone();
    failed["resultType"] = "Failure".into();
    assert_eq!(one(&failed).1.event_severity, Severity::Warning);
    assert_ne!(one(&failed).1.event_id, event.event_id, "start and end share the correlation id");
    let own = Mapping { organization: None, ..mapping() };
    let organization = read(&record.to_string(), &own).1.remove(0).unwrap().organization_id;
    assert_eq!(organization.as_str(), "0000-ab");
    let list = json!({"records": [record, failed]});
    assert_eq!(read(&list.to_string(), &mapping()).1.len(), 2);
}

#[test]
fn entra_reads_the_values_in_texts_and_the_error_number_of_a_sign_in() {
    let record = json!({"category": "ApplicationManagement", "activityDisplayName": "Update application", "result": "success",
        "operationType": "Update", "loggedByService": "Core Directory", "id": format!("Directory_{}", "x".repeat(60)),
        "activityDateTime": "2026-01-02T03:04:05Z", "initiatedBy": {"user": {"userPrincipalName": "eve@corp.example"}},
        "targetResources": [{"id": "app-1", "type": "Application", "displayName": "Payroll", "modifiedProperties": [
            {"displayName": "Roles", "oldValue": "[]", "newValue": "[\"owner\"]"},
            {"displayName": "Name", "oldValue": "\"a\"", "newValue": "\"b\""},
            {"displayName": "Included Updated Properties", "oldValue": null, "newValue": "\"Roles\""}]}]});
    let (format, event) = one(&record);
    assert_eq!((format, event.event_id.len(), event.action), ("azure", 64, Action::Update));
    assert_eq!(event.previous_state.unwrap().as_str(), r#"{"changed":{"Name":"a"}}"#);
    assert!(event.new_state.unwrap().as_str().starts_with(r#"{"changed":{"Name":"b","Roles":["owner"]},"#));
    let sign_in = json!({"time": "11/14/2025 1:48:53 AM", "category": "SignInLogs", "operationName": "Sign-in activity",
        "tenantId": "t", "resultType": "0", "identity": "Eve",
        "properties": {"id": "s-1", "createdDateTime": "2025-11-14T01:40:00Z", "userPrincipalName": "eve@corp.example",
            "ipAddress": "[2001:db8::1]:443", "status": {"errorCode": 50126}}});
    let (_, event) = one(&sign_in);
    assert_eq!((event.event_category, event.event_severity), (Category::Auth, Severity::Warning));
    assert_eq!(event.timestamp.to_rfc3339(), "2025-11-14T01:40:00.000000Z");
    assert_eq!(event.actor_ip.as_deref(), Some("2001:db8::1"));
}

#[test]
fn microsoft_365_is_not_misled_by_success() {
    let record = |operation: &str, more: Value| {
        let mut record = json!({"Id": "i-1", "CreationTime": "2026-01-02T03:04:05", "Operation": operation,
            "OrganizationId": "o", "RecordType": 15, "UserId": "eve@corp.example", "UserType": 0,
            "Workload": "AzureActiveDirectory", "ResultStatus": "Success"});
        record.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        record
    };
    let severity = |operation, more| one(&record(operation, more)).1.event_severity;
    assert_eq!(severity("UserLoginFailed", json!({})), Severity::Warning);
    assert_eq!(severity("UserLoggedIn", json!({"ErrorNumber": "50140"})), Severity::Info);
    assert_eq!(severity("UserLoggedIn", json!({"ErrorNumber": "50126"})), Severity::Warning);
    assert_eq!(severity("UserLoggedIn", json!({"ErrorNumber": "0"})), Severity::Info);
    let (format, event) = one(&record("UserLoggedIn", json!({"ClientIP": "[198.51.100.4]:443"})));
    assert_eq!(
        (format, event.event_category, event.action),
        ("microsoft365", Category::Auth, Action::Create)
    );
    assert_eq!(event.timestamp.to_rfc3339(), "2026-01-02T03:04:05.000000Z", "without a zone it is UTC");
    assert_eq!(event.actor_ip.as_deref(), Some("198.51.100.4"));
    let system = record(
        "Set-Mailbox. ",
        json!({"UserId": "NT AUTHORITY\\SYSTEM (x)", "UserType": 3,
        "ModifiedProperties": [{"Name": "Quota", "OldValue": "1", "NewValue": "2"}, "Plain"]}),
    );
    let (_, event) = one(&system);
    assert_eq!(
        (event.actor_type, event.event_type.as_str()),
        (ActorType::System, "AzureActiveDirectory.Set-Mailbox")
    );
    assert_eq!(event.previous_state.unwrap().as_str(), r#"{"changed":{"Quota":1}}"#);
    let (_, event) = one(&record("FileModified", json!({"UserId": "app@sharepoint"})));
    assert_eq!((event.actor_type, event.actor_email), (ActorType::Service, None), "no mail address");
    let row = json!({"RecordType": "x", "AuditData": record("FileDownloaded", json!({})).to_string()});
    assert_eq!(one(&row).1.action, Action::Export);
}

#[test]
fn github_refuses_deliveries_by_name_and_reads_what_a_value_was() {
    let record = json!({"@timestamp": 1_767_323_045_123_i64, "action": "protected_branch.destroy", "actor": "eve",
        "org": "corp", "repo": "corp/site", "_document_id": "abc==", "enforcement_level_was": "everyone",
        "enforcement_level": "off", "operation_type": "remove"});
    let (format, event) = one(&record);
    assert_eq!((format, event.action, event.event_severity), ("github", Action::Delete, Severity::Warning));
    assert_eq!((event.event_id.as_str(), event.resource_id.as_str()), ("abc==", "corp/site"));
    assert_eq!(event.timestamp.to_rfc3339(), "2026-01-02T03:04:05.123000Z");
    assert_eq!(event.previous_state.unwrap().as_str(), r#"{"changed":{"enforcement_level":"everyone"}}"#);
    let delivery =
        json!({"action": "completed", "repository": {"full_name": "corp/site"}, "workflow_job": {"id": 1}});
    let (format, events) = read(&delivery.to_string(), &mapping());
    assert_eq!(format, "github");
    assert!(events[0].as_ref().unwrap_err().to_string().contains("delivery of a GitHub webhook"));
}

#[test]
fn okta_calls_no_success_a_warning_and_finds_the_target_acted_on() {
    let record = |result: &str| {
        json!({"uuid": "u-1", "published": "2026-01-02T03:04:05.4Z", "eventType": "user.lifecycle.deactivate",
            "severity": "WARN", "outcome": {"result": result}, "actor": {"id": "00u", "type": "User",
            "alternateId": "eve@corp.example"}, "client": {"ipAddress": "198.51.100.4"}, "target": [
                {"id": "0ua", "type": "AppUser", "alternateId": "unknown"},
                {"id": "00ubob", "type": "User", "alternateId": "bob@corp.example"}]})
    };
    let (format, event) = one(&record("SUCCESS"));
    assert_eq!((format, event.event_severity, event.action), ("okta", Severity::Info, Action::Delete));
    assert_eq!(
        (event.resource_id.as_str(), event.resource_name.as_deref()),
        ("00ubob", Some("bob@corp.example"))
    );
    assert_eq!(one(&record("DENY")).1.event_severity, Severity::Warning);
    let hook =
        json!({"eventType": "com.okta.event_hook", "data": {"events": [record("SUCCESS"), record("DENY")]}});
    assert_eq!(read(&hook.to_string(), &mapping()).1.len(), 2);
    let row = json!({"uuid_g": "u-2", "published_t": "2026-01-02T03:04:05Z", "eventType_s": "user.session.start",
        "actor_alternateId_s": "eve@corp.example", "target_s": "[\r\n {\"id\":\"x\",\"type\":\"User\"}]"});
    assert_eq!(one(&row).1.resource_id, "x");
}

#[test]
fn an_activity_of_workspace_with_several_events_becomes_several() {
    let event = |value: &str| {
        json!({"type": "APPLICATION_SETTINGS", "name": "CHANGE_APPLICATION_SETTING", "parameters": [
            {"name": "SETTING_NAME", "value": "sharing"}, {"name": "OLD_VALUE", "value": "off"},
            {"name": "NEW_VALUE", "value": value}]})
    };
    let record = json!({"kind": "admin#reports#activity", "id": {"time": "2026-01-02T03:04:05.678Z",
        "uniqueQualifier": "-9223372036854775808", "applicationName": "admin", "customerId": "C1"},
        "actor": {"email": "eve@corp.example"}, "events": [event("on"), event("all")]});
    let (format, events) = read(&record.to_string(), &mapping());
    let events: Vec<NewEvent> = events.into_iter().map(Result::unwrap).collect();
    assert_eq!((format, events.len()), ("workspace", 2));
    assert_ne!(events[0].event_id, events[1].event_id, "two of one name in one activity are two");
    assert_eq!(events[0].request_id, "-9223372036854775808");
    assert_eq!(events[0].previous_state.as_ref().unwrap().as_str(), r#"{"changed":{"sharing":"off"}}"#);
    assert_eq!(events[0].event_type, "admin.CHANGE_APPLICATION_SETTING");
}

#[test]
fn what_is_of_another_kind_becomes_no_event_of_any_source() {
    for format in super::FORMATS {
        for text in ["{}", r#"{"colour":"red"}"#, r#"{"name":"x","time":"2026-01-02T03:04:05Z","id":"1"}"#] {
            let mapped = (format.map)(text, &mapping());
            assert!(mapped.is_err(), "{format:?}: {text}");
        }
    }
    let item = json!({"level": "Metadata", "auditID": "a", "stage": "ResponseComplete", "verb": "list",
        "requestURI": "/api", "requestReceivedTimestamp": "2026-01-02T03:04:05Z", "user": {"username": "eve"}});
    let list = json!({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": [item]});
    let (format, event) = one(&list);
    assert_eq!((format, event.resource_id.as_str()), ("kubernetes", "/api"));
}

/// Values at paths of keys, the first that is a text; written apart from the mappings.
fn named(value: &Value, pointers: &[&str]) -> Option<String> {
    let text = |pointer: &&str| value.pointer(pointer)?.as_str().map(|text| text.trim().to_owned());
    pointers.iter().filter_map(text).find(|text| !text.is_empty())
}

#[test]
fn every_audit_record_of_the_shared_data_lands_with_the_actor_that_it_names() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    if !data.is_dir() {
        eprintln!("skipped: no ../shared/data");
        return;
    }
    let actors: &[(&str, &[&str])] = &[
        ("kubernetes", &["/impersonatedUser/username", "/user/username", "/request/userInfo/username"]),
        ("gcp", &["/protoPayload/authenticationInfo/principalEmail"]),
        ("github", &["/actor"]),
        ("workspace", &["/actor/email", "/actor/profileId"]),
        ("microsoft365", &["/UserId"]),
        (
            "azure",
            &[
                "/caller",
                "/identity/claims/http:~1~1schemas.xmlsoap.org~1ws~12005~105~1identity~1claims~1upn",
            ],
        ),
    ];
    // File, format of its records, how many hold no audit record.
    let files = [
        ("k8s-falco/audit", "kubernetes", 0),
        ("k8s-audit2rbac/audit", "kubernetes", 0),
        ("k8s-admission-kar/admission-reviews", "kubernetes", 0),
        ("saas-panther/kubernetes-eks", "kubernetes", 0),
        ("saas-panther/kubernetes-aks", "kubernetes", 1),
        ("mixed-stratus-docs/kubernetes", "kubernetes", 0),
        ("saas-panther/kubernetes-gke", "gcp", 0),
        ("saas-panther/gcp-audit", "gcp", 4),
        ("gcp-gke-khi/gcp-audit", "gcp", 0),
        ("mixed-plaso/gcp-logging", "gcp", 2),
        ("mixed-stratus-docs/gcp", "gcp", 0),
        ("saas-panther/azure-activity", "azure", 0),
        ("mixed-plaso/azure-activity", "azure", 0),
        ("mixed-stratus-docs/azure", "azure", 0),
        ("mixed-stratus-docs/entra-id", "azure", 0),
        ("saas-panther/github-audit", "github", 60),
        ("saas-panther/google-workspace", "workspace", 0),
        ("saas-panther/okta-system-log", "okta", 28),
        ("mixed-plaso/microsoft365-audit", "microsoft365", 0),
    ];
    let mut wrong = Vec::new();
    for (name, wanted, other) in files {
        let file = std::fs::File::open(data.join(format!("{name}.ndjson.gz"))).unwrap();
        let lines = BufReader::new(flate2::read::GzDecoder::new(file)).lines();
        let (mut stored, mut refused, mut records) = (0, Vec::new(), 0);
        for line in lines.map(Result::unwrap) {
            records += 1;
            let (format, events) = read(&line, &mapping());
            let value: Value = serde_json::from_str(&line).unwrap();
            if format != wanted {
                refused.push(format!("{format}: {}", &line[..line.len().min(160)]));
                continue;
            }
            if events.is_empty() {
                refused.push("no audit record".to_owned());
            }
            for event in events {
                match event {
                    Ok(event) => {
                        stored += 1;
                        let paths = actors.iter().find(|(of, _)| *of == format).map(|(_, paths)| *paths);
                        let Some(actor) = paths.and_then(|paths| named(&value, paths)) else { continue };
                        let short = actor.strip_prefix("system:serviceaccount:").unwrap_or(&actor);
                        let is_end = short.ends_with(&event.actor_id);
                        if !is_end || event.actor_id.is_empty() {
                            wrong.push(format!("{name}: actor {} and not {actor}", event.actor_id));
                        }
                    }
                    Err(why) => refused.push(why.to_string()),
                }
            }
        }
        eprintln!("{name}: {records} records, {stored} events, {} refused", refused.len());
        if refused.len() != other {
            refused.sort();
            refused.dedup();
            wrong.push(format!("{name}: {} refused of {records}: {refused:#?}", refused.len()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// How documents of an independent pipeline agree with ours, for each format and field.
#[derive(Debug, Default)]
struct Agreement(std::collections::BTreeMap<(&'static str, &'static str), (usize, usize, Vec<String>)>);

impl Agreement {
    fn count(
        &mut self,
        format: &'static str,
        field: &'static str,
        ours: &str,
        theirs: &[String],
        agrees: bool,
    ) {
        let (of, agreed, others) = self.0.entry((format, field)).or_default();
        *of += 1;
        *agreed += usize::from(agrees);
        if !agrees {
            others.push(format!("ours {ours}, theirs {}", theirs.join(" or ")));
        }
    }
}

/// The texts at some paths, and the elements of lists there.
fn texts(document: &Value, pointers: &[&str]) -> Vec<String> {
    let mut all = Vec::new();
    for value in pointers.iter().filter_map(|pointer| document.pointer(pointer)) {
        match value {
            Value::String(text) => all.push(text.clone()),
            Value::Array(list) => all.extend(list.iter().filter_map(Value::as_str).map(str::to_owned)),
            _ => {}
        }
    }
    all
}

/// A document, whose `event.original` is the record, beside what the record becomes here.
fn compare(document: &Value, agreement: &mut Agreement) -> Result<(), String> {
    let original = document.pointer("/event/original").and_then(Value::as_str).ok_or("no original")?;
    let (format, events) = read(original, &mapping());
    let event = match events.into_iter().next() {
        Some(Ok(event)) => event,
        Some(Err(why)) => return Err(why.to_string()),
        None => return Err(format!("{format}: {}", original.chars().take(120).collect::<String>())),
    };
    let alike = |one: &str, other: &str| {
        let name = |text: &str| text.split('@').next().unwrap_or(text).to_lowercase();
        one.eq_ignore_ascii_case(other) || name(one) == name(other)
    };
    let mut field = |name, ours: &str, theirs: Vec<String>, agrees: &dyn Fn(&str) -> bool| {
        if !theirs.is_empty() {
            let agrees = theirs.iter().any(|theirs| agrees(theirs));
            agreement.count(format, name, ours, &theirs, agrees);
        }
    };
    let time = event.timestamp.to_rfc3339();
    let millis = |text: &str| Timestamp::parse(text).map(|t| t.as_micros() / 1000).ok();
    field("time", &time, texts(document, &["/@timestamp"]), &|theirs| millis(theirs) == millis(&time));
    let actor = event.actor_id.clone();
    let users =
        ["/user/name", "/user/id", "/user/email", "/client/user/name", "/client/user/id", "/user/full_name"];
    field("actor", &actor, texts(document, &users), &|theirs| {
        // What is longer than the column is cut at its beginning.
        alike(theirs, &actor) || (actor.chars().count() == 64 && theirs.ends_with(&actor))
    });
    let address = event.actor_ip.clone().unwrap_or_default();
    field("address", &address, texts(document, &["/source/ip", "/client/ip"]), &|theirs| theirs == address);
    let kind = event.event_type.to_lowercase();
    field("action", &kind, texts(document, &["/event/action"]), &|theirs| {
        let plain = |text: &str| text.to_lowercase().replace(['-', '_', ' '], "");
        plain(&kind).contains(&plain(theirs)) || alike(theirs, event.action.as_str())
    });
    let severity = event.event_severity;
    field("outcome", severity.as_str(), texts(document, &["/event/outcome"]), &|theirs| match theirs {
        "failure" | "deny" => severity != Severity::Info,
        "success" | "allow" => severity == Severity::Info,
        _ => true,
    });
    Ok(())
}

/// Expected documents of elastic/integrations (`packages/*/data_stream/*/_dev/test/pipeline/*-expected.json`), which are not
/// copied here: the folder that `AGENTTRACE_EXPECTED_DOCUMENTS` names holds some. docs/guide/ingest.md has the numbers.
#[test]
fn the_documents_of_an_independent_pipeline_agree_on_actor_time_address_action_and_outcome() {
    let Some(folder) = std::env::var_os("AGENTTRACE_EXPECTED_DOCUMENTS") else {
        eprintln!("skipped: AGENTTRACE_EXPECTED_DOCUMENTS names no folder");
        return;
    };
    let (mut agreement, mut refused, mut documents) = (Agreement::default(), Vec::new(), 0);
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        if !entry.file_name().to_string_lossy().ends_with("-expected.json") {
            continue;
        }
        let all: Value = serde_json::from_slice(&std::fs::read(entry.path()).unwrap()).unwrap();
        for document in all["expected"].as_array().unwrap().iter().filter(|document| document.is_object()) {
            documents += 1;
            if let Err(why) = compare(document, &mut agreement) {
                refused.push(format!("{}: {why}", entry.file_name().display()));
            }
        }
    }
    let (mut of_all, mut agreed_all) = (0, 0);
    for ((format, field), (of, agreed, others)) in &agreement.0 {
        eprintln!("{format} {field}: {agreed} of {of}");
        for other in others {
            eprintln!("    {other}");
        }
        of_all += of;
        agreed_all += agreed;
    }
    for why in &refused {
        eprintln!("refused: {why}");
    }
    eprintln!("{documents} documents, {} refused; {agreed_all} of {of_all} fields agree", refused.len());
    assert!(documents > 0, "the folder has no expected documents");
    assert!(agreed_all * 100 >= of_all * 90, "less than nine in ten fields agree");
}
