//! Google Cloud audit logs: entries of Cloud Logging with an `AuditLog` in `protoPayload`, those of GKE among them.
//!
//! Source: <https://cloud.google.com/logging/docs/reference/audit/auditlog/rest/Shared.Types/AuditLog>; where real records
//! differ, these decide. `insertId` is unique only with the time and the name of the log. A denial may have no severity: the
//! code of its status or a permission that was not granted tells.

use super::draft::{Changes, Draft, NOBODY_SHOWN, Record, When, action_of, at, joined, list_at, text_at};
use super::format::Opened;
use super::kind::Kind;
use super::kubernetes;
use super::record::Members;
use super::{Mapped, Mapping, Reject};
use crate::domain::{Action, ActorType, Category, Severity};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

const ACTORS: &[&str] =
    &["protoPayload>authenticationInfo>principalEmail", "protoPayload>authenticationInfo>principalSubject"];
const ADDRESSES: &[&str] = &["protoPayload>requestMetadata>callerIp"];
const TIMES: &[&str] =
    &["timestamp", "receiveTimestamp", "p_event_time", "protoPayload>requestMetadata>requestAttributes>time"];

/// The kinds of its records.
pub(super) const KINDS: &[Kind] = &[Kind {
    title: "Audit log",
    id: "SHA-256 of `insertId`, `timestamp` and `logName`, which only together are unique; else content",
    organization: "`resource.labels.project_id`, else that of `logName`",
    time: &[TIMES],
    actor: &[ACTORS],
    address: &[ADDRESSES],
    failure: "`status.code` other than 0; a permission that was not `granted`; severity `ERROR` or `WARNING`",
    placeholder: NOBODY_SHOWN,
}];

/// Methods that blind the watchers.
const CRITICAL: [&str; 4] = ["DeleteSink", "DeleteLog", "DisableService", "DeleteBucket"];

/// What an object is to Google Cloud.
pub(super) fn open(members: &Members<'_>) -> Opened {
    let payload = members.object("protoPayload").or_else(|| members.object("protopayload"));
    if payload.is_some_and(|p| {
        ["methodName", "serviceName", "authenticationInfo"].iter().any(|key| p.has_alike(key))
    }) {
        return Opened::Record;
    }
    let is_entry = members.has("logName") && (members.has("insertId") || members.has("receiveTimestamp"));
    if is_entry && ["textPayload", "jsonPayload"].iter().any(|key| members.has(key)) {
        return Opened::NoRecords("Cloud Logging entry that is not an audit log");
    }
    // A push subscription of Pub/Sub.
    let data = members.object("message").and_then(|message| message.some_text("data"));
    let entry = data.and_then(|data| String::from_utf8(STANDARD.decode(data).ok()?).ok());
    match entry {
        Some(entry) if Members::parse(&entry).is_ok_and(|m| open(&m) == Opened::Record) => {
            Opened::Wrapped(vec![entry])
        }
        _ => Opened::Foreign,
    }
}

/// One record as an event.
pub(super) fn map(text: &str, mapping: &Mapping) -> Result<Mapped, Reject> {
    let record = Record::parse(text, open)?;
    let root = &record.root;
    let text = |paths: &[&str]| text_at(root, paths);
    let service = text(&["protoPayload>serviceName"]);
    // Shortened by a forwarder: what was asked for, or only by whom.
    let method = text(&["protoPayload>methodName", "protoPayload>authorizationInfo>0>permission"])
        .or_else(|| service.clone())
        .unwrap_or_else(|| "AuditLog".to_owned());
    let verb = method.rsplit(['.', '/']).next().unwrap_or(&method);
    let log = text(&["logName"]);
    let actor = text(ACTORS);
    let actor_type = actor.as_deref().map_or(ActorType::System, |actor| {
        let is_service = actor.ends_with("gserviceaccount.com") || actor.starts_with("serviceAccount:");
        if is_service { ActorType::Service } else { kubernetes::kind_of(actor) }
    });
    let project = text(&["resource>labels>project_id"]).or_else(|| container(log.as_deref(), "projects"));
    let insert = text(&["insertId"]);
    let when = When::of(root, TIMES);
    let id = insert.as_ref().map(|insert| {
        joined(&[insert, &text(&["timestamp"]).unwrap_or_default(), log.as_deref().unwrap_or_default()])
    });
    let changes = bindings(root);
    let severity = severity(root, verb, &changes);
    Draft {
        id,
        when,
        organization: project
            .clone()
            .or_else(|| text(&["resource>labels>organization_id"]))
            .or_else(|| container(log.as_deref(), "organizations"))
            .or_else(|| container(log.as_deref(), "folders")),
        project,
        actor_type,
        actor: actor.as_deref().map(|actor| kubernetes::short(actor).to_owned()),
        address: text(ADDRESSES),
        user_agent: text(&["protoPayload>requestMetadata>callerSuppliedUserAgent"]),
        category: category(&method, service.as_deref(), log.as_deref()),
        severity,
        action: action_of(verb).unwrap_or(Action::Update),
        resource_type: text(&["resource>type"]).or(service).unwrap_or_else(|| "gcp".to_owned()),
        resource: text(&["protoPayload>resourceName"]),
        event_type: method.clone(),
        changes,
        request: text(&["operation>id"]).or(insert),
        ..Draft::default()
    }
    .finish("gcp", &record, mapping)
}

/// The `x` of `projects/x/logs/…`.
fn container(log: Option<&str>, kind: &str) -> Option<String> {
    let mut parts = log?.split('/');
    (parts.next() == Some(kind)).then(|| parts.next().map(str::to_owned)).flatten()
}

fn category(method: &str, service: Option<&str>, log: Option<&str>) -> Category {
    let service = service.unwrap_or_default();
    let lower = method.to_ascii_lowercase();
    if service.starts_with("login.") || lower.contains("accesstoken") || lower.contains("signjwt") {
        Category::Auth
    } else if lower.contains("iampolicy")
        || lower.contains("iam.admin")
        || ["iam.", "cloudresourcemanager.", "orgpolicy.", "cloudidentity."]
            .iter()
            .any(|s| service.starts_with(s))
    {
        Category::Admin
    } else if log.is_some_and(|log| log.ends_with("data_access"))
        || lower.contains("accesssecretversion")
        || lower.starts_with("storage.objects.")
    {
        Category::Data
    } else {
        Category::Config
    }
}

fn severity(root: &Value, verb: &str, changes: &Changes) -> Severity {
    let code = text_at(root, &["protoPayload>status>code"]).and_then(|code| code.parse::<i64>().ok());
    let checks = list_at(root, "protoPayload>authorizationInfo");
    // What is false is left out.
    let refused = checks.iter().any(|check| {
        at(check, "permission").is_some() && at(check, "granted").and_then(Value::as_bool) != Some(true)
    });
    let word = text_at(root, &["severity"]).unwrap_or_default().to_ascii_uppercase();
    let opens = ["allUsers", "allAuthenticatedUsers"].iter().any(|everybody| changes.after_has(everybody));
    if matches!(word.as_str(), "CRITICAL" | "ALERT" | "EMERGENCY") || CRITICAL.contains(&verb) {
        Severity::Critical
    } else if refused
        || opens
        || code.is_some_and(|code| code != 0)
        || matches!(word.as_str(), "ERROR" | "WARNING")
    {
        Severity::Warning
    } else {
        Severity::Info
    }
}

/// The members of roles that a change of a policy took away, and those that it added.
fn bindings(root: &Value) -> Changes {
    let (mut removed, mut added) = (Map::new(), Map::new());
    for delta in list_at(root, "protoPayload>serviceData>policyDelta>bindingDeltas") {
        let Some((role, member)) = text_at(delta, &["role"]).zip(text_at(delta, &["member"])) else {
            continue;
        };
        let side = match text_at(delta, &["action"]).as_deref() {
            Some("REMOVE") => &mut removed,
            _ => &mut added,
        };
        if let Value::Array(members) = side.entry(role).or_insert_with(|| Value::Array(Vec::new())) {
            members.push(member.into());
        }
    }
    let mut changes = Changes::default();
    if !removed.is_empty() || !added.is_empty() {
        changes.push("bindings", Some(removed.into()), Some(added.into()));
    }
    changes
}
