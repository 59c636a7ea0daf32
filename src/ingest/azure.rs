//! Azure's activity log, and the audit and sign-in logs of Entra: diagnostic settings, REST, Graph.
//!
//! Sources: <https://learn.microsoft.com/en-us/azure/azure-monitor/platform/activity-log-schema> and
//! <https://learn.microsoft.com/en-us/graph/api/resources/directoryaudit>; where real records differ, these decide.
//! `identity` is an object in the one and a text in the other. `correlationId` is shared by start, accept and end, so it is
//! the request and never the event. Azure writes one path in several cases: resources and types are stored in small letters.

use super::draft::{Changes, Draft, NOBODY_SHOWN, Record, When, action_of, at, list_at, text_at};
use super::format::Opened;
use super::kind::Kind;
use super::record::Members;
use super::{Mapped, Mapping, Reject};
use crate::domain::{Action, ActorType, Category, Severity};
use serde_json::Value;

/// A person, or a service by its name.
const CALLERS: &[&str] = &[
    "caller",
    "identity>claims>http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn",
    "identity>claims>http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name",
    "identity>claims>name",
];
const CALLING_APPS: &[&str] = &["identity>claims>appid", "claims>appid"];
const ACTIVITY_ADDRESSES: &[&str] =
    &["callerIpAddress", "httpRequest>clientIpAddress", "properties>ipAddress"];
const ACTIVITY_TIMES: &[&str] =
    &["time", "eventTimestamp", "TimeGenerated", "p_event_time", "submissionTimestamp"];
const INITIATING_USERS: &[&str] =
    &["initiatedBy>user>userPrincipalName", "initiatedBy>user>id", "initiatedBy>user>displayName"];
const INITIATING_APPS: &[&str] =
    &["initiatedBy>app>displayName", "initiatedBy>app>appId", "initiatedBy>app>servicePrincipalId"];
const DIRECTORY_ADDRESSES: &[&str] = &["initiatedBy>user>ipAddress", "callerIpAddress"];
const DIRECTORY_TIMES: &[&str] =
    &["properties>activityDateTime", "activityDateTime", "time", "TimeGenerated", "p_event_time"];
const SIGN_IN_USERS: &[&str] = &["userPrincipalName", "userId"];
const SIGN_IN_APPS: &[&str] = &["servicePrincipalName", "servicePrincipalId"];
const SIGN_IN_ADDRESSES: &[&str] = &["ipAddress", "callerIpAddress"];
const SIGN_IN_TIMES: &[&str] =
    &["properties>createdDateTime", "createdDateTime", "time", "TimeGenerated", "p_event_time"];

const FAILURE: &str = "`fail`, `denied`, `forbidden`, `unauthorized` or `error` in `resultType`, `resultSignature`, `status` or \
                       `result`; an error number other than 0; `level` error or warning";

/// The kinds of its records.
pub(super) const KINDS: &[Kind] = &[
    Kind {
        title: "Activity log",
        id: "`eventDataId`, else content: `correlationId` is shared by several records",
        organization: "the subscription in `resourceId`, else `subscriptionId`, else `tenantId`",
        time: &[ACTIVITY_TIMES],
        actor: &[CALLERS, CALLING_APPS, &["identity"]],
        address: &[ACTIVITY_ADDRESSES],
        failure: FAILURE,
        placeholder: NOBODY_SHOWN,
    },
    Kind {
        title: "Entra audit log, its members at the top or in `properties`",
        id: "`properties.id`, else `id`",
        organization: "`tenantId`",
        time: &[DIRECTORY_TIMES],
        actor: &[INITIATING_USERS, INITIATING_APPS, &["identity"]],
        address: &[DIRECTORY_ADDRESSES],
        failure: FAILURE,
        placeholder: NOBODY_SHOWN,
    },
    Kind {
        title: "Entra sign-in log, its members in `properties` or at the top",
        id: "`id`",
        organization: "`tenantId`",
        time: &[SIGN_IN_TIMES],
        actor: &[SIGN_IN_USERS, SIGN_IN_APPS, &["identity"]],
        address: &[SIGN_IN_ADDRESSES],
        failure: "`status.errorCode` from 400 on; else as above",
        placeholder: NOBODY_SHOWN,
    },
];

/// What an object is to Azure.
pub(super) fn open(members: &Members<'_>) -> Opened {
    if is_record(members) {
        return Opened::Record;
    }
    let records = ["records", "value"].iter().find_map(|key| members.records(key, is_record));
    records.map_or(Opened::Foreign, Opened::Wrapped)
}

fn is_record(members: &Members<'_>) -> bool {
    const BESIDE: [&str; 8] = [
        "resourceId",
        "category",
        "correlationId",
        "callerIpAddress",
        "caller",
        "tenantId",
        "eventTimestamp",
        "properties",
    ];
    const ENTRA: [&str; 5] = ["loggedByService", "targetResources", "initiatedBy", "operationType", "result"];
    const SIGN_IN: [&str; 3] = ["appDisplayName", "ipAddress", "status"];
    let has = |key: &str| members.has_alike(key);
    let some = |keys: &[&str]| keys.iter().filter(|key| has(key)).count() >= 2;
    (has("operationName") && (some(&BESIDE) || members.object("operationName").is_some()))
        // As Datadog's collector writes it.
        || (has("resourceId") && members.object("evt").is_some())
        || (has("activityDisplayName") && some(&ENTRA))
        || (has("userPrincipalName") && has("createdDateTime") && some(&SIGN_IN))
}

/// One record as an event.
pub(super) fn map(text: &str, mapping: &Mapping) -> Result<Mapped, Reject> {
    let record = Record::parse(text, open)?;
    let root = &record.root;
    let category = text_at(root, &["category>value", "category", "evt>category"]).unwrap_or_default();
    let has = |path: &str| at(root, path).is_some();
    let signs_in = category.to_ascii_lowercase().contains("signin")
        || (has("createdDateTime") && has("userPrincipalName"))
        || (has("properties>createdDateTime") && has("properties>userPrincipalName"));
    let of_entra = [
        "activityDisplayName",
        "properties>activityDisplayName",
        "targetResources",
        "properties>targetResources",
    ];
    let draft = if signs_in {
        sign_in(root)
    } else if of_entra.iter().any(|path| has(path)) {
        directory(root)
    } else {
        activity(root, &category)?
    };
    draft.finish("azure", &record, mapping)
}

fn activity(root: &Value, category: &str) -> Result<Draft, Reject> {
    let text = |paths: &[&str]| text_at(root, paths);
    let operation = text(&["operationName>value", "operationName", "evt>name"])
        .ok_or_else(|| Reject::new("operationName: missing"))?
        .to_lowercase();
    let resource =
        text(&["resourceId", "authorization>scope", "properties>entity", "id"]).map(|r| r.to_lowercase());
    let (kind, verb) = operation.rsplit_once('/').unwrap_or(("", &operation));
    // `…/listkeys/action`: the last word says nothing.
    let (kind, verb) =
        if verb == "action" { kind.rsplit_once('/').unwrap_or((kind, verb)) } else { (kind, verb) };
    let user = text(CALLERS);
    let app = text(CALLING_APPS);
    let identity = at(root, "identity").and_then(Value::as_str).map(str::to_owned);
    let actor = user.clone().or(app).or(identity);
    let is_person = user.as_deref().is_some_and(|user| user.contains('@'));
    Ok(Draft {
        id: text(&["eventDataId"]),
        when: When::of(root, ACTIVITY_TIMES),
        organization: resource
            .as_deref()
            .and_then(subscription)
            .or_else(|| text(&["subscriptionId", "tenantId"])),
        project: resource.as_deref().and_then(|resource| part_after(resource, "resourcegroups")),
        actor_type: match &actor {
            None => ActorType::System,
            Some(_) if is_person => ActorType::User,
            Some(_) => ActorType::Service,
        },
        actor,
        address: text(ACTIVITY_ADDRESSES),
        user_agent: text(&["properties>userAgent", "userAgent"]),
        category: activity_category(&operation, category, verb),
        severity: severity(root),
        action: if verb.starts_with("list") && verb != "list" { Action::Export } else { doing(verb) },
        resource_type: if kind.is_empty() { "azure".to_owned() } else { kind.to_owned() },
        resource,
        request: text(&["correlationId"]),
        event_type: operation.clone(),
        ..Draft::default()
    })
}

fn directory(root: &Value) -> Draft {
    let text = |paths: &[&str]| {
        paths.iter().find_map(|path| {
            text_at(root, &[path]).or_else(|| text_at(root, &[&format!("properties>{path}")]))
        })
    };
    let operation = text(&["activityDisplayName", "operationName"]).unwrap_or_else(|| "activity".to_owned());
    let (user, app) = (text(INITIATING_USERS), text(INITIATING_APPS));
    let identity = at(root, "identity").and_then(Value::as_str).map(str::to_owned);
    let actor_type = match (&user, &app) {
        (Some(_), _) => ActorType::User,
        (None, Some(_)) => ActorType::Service,
        (None, None) if identity.is_some() => ActorType::User,
        (None, None) => ActorType::System,
    };
    let targets = match list_at(root, "targetResources") {
        [] => list_at(root, "properties>targetResources"),
        targets => targets,
    };
    let target = |paths: &[&str]| targets.first().and_then(|target| text_at(target, paths));
    let verb = text(&["operationType"]).unwrap_or_else(|| operation.clone());
    Draft {
        id: text_at(root, &["properties>id", "id"]),
        when: When::of(root, DIRECTORY_TIMES),
        organization: text(&["tenantId"]),
        actor_type,
        actor: user.or(app).or(identity),
        address: text(DIRECTORY_ADDRESSES),
        category: Category::Admin,
        severity: severity(root),
        action: doing(&verb),
        resource_type: target(&["type"]).unwrap_or_else(|| "directory".to_owned()),
        resource: target(&["id", "displayName"]),
        resource_name: target(&["userPrincipalName", "displayName"]),
        changes: modified(targets),
        request: text(&["correlationId"]),
        event_type: operation,
        ..Draft::default()
    }
}

fn sign_in(root: &Value) -> Draft {
    let text = |paths: &[&str]| {
        paths.iter().find_map(|path| {
            text_at(root, &[&format!("properties>{path}")]).or_else(|| text_at(root, &[path]))
        })
    };
    let (user, app) = (text(SIGN_IN_USERS), text(SIGN_IN_APPS));
    let identity = at(root, "identity").and_then(Value::as_str).map(str::to_owned);
    let actor_type = if user.is_some() || identity.is_some() { ActorType::User } else { ActorType::Service };
    Draft {
        id: text(&["id"]),
        when: When::of(root, SIGN_IN_TIMES),
        organization: text_at(root, &["tenantId", "properties>tenantId"]),
        actor_type,
        actor: user.or(app).or(identity),
        address: text(SIGN_IN_ADDRESSES),
        user_agent: text(&["userAgent"]),
        category: Category::Auth,
        severity: severity(root),
        action: Action::Create,
        event_type: text_at(root, &["operationName"]).unwrap_or_else(|| "Sign-in activity".to_owned()),
        resource_type: "application".to_owned(),
        resource: text(&["resourceId", "appId", "appDisplayName"]).filter(|id| !id.starts_with('/')),
        resource_name: text(&["resourceDisplayName", "appDisplayName"]),
        request: text(&["correlationId"]),
        session: text(&["sessionId"]),
        ..Draft::default()
    }
}

fn doing(verb: &str) -> Action {
    match verb.to_lowercase().as_str() {
        "write" | "assign" => Action::Update,
        verb => action_of(verb).unwrap_or(Action::Update),
    }
}

fn activity_category(operation: &str, category: &str, verb: &str) -> Category {
    if operation.starts_with("microsoft.authorization/") || category.eq_ignore_ascii_case("policy") {
        Category::Admin
    } else if operation.starts_with("microsoft.keyvault/vaults/secrets")
        || verb.starts_with("listkeys")
        || category.to_ascii_lowercase().starts_with("storage")
        || operation.starts_with("getblob")
    {
        Category::Data
    } else {
        Category::Config
    }
}

/// From the level, which is a word or a number, and the outcome, which stands in several places.
fn severity(root: &Value) -> Severity {
    let lower = |paths: &[&str]| text_at(root, paths).unwrap_or_default().to_ascii_lowercase();
    let level = lower(&["level"]);
    let outcome = [
        lower(&["resultType"]),
        lower(&["resultSignature"]),
        lower(&["status>value", "status"]),
        lower(&["result", "properties>result", "evt>outcome"]),
    ];
    let failed = outcome.iter().any(|o| {
        ["fail", "denied", "forbidden", "unauthorized", "error"].iter().any(|word| o.contains(word))
            || o.parse::<i64>().is_ok_and(|code| code != 0)
    });
    let code = text_at(root, &["properties>status>errorCode", "status>errorCode", "statusCode"]);
    let refused = code.is_some_and(|code| match code.parse::<i64>() {
        // An error number of Entra, or a status of HTTP.
        Ok(code) => code >= 400,
        Err(_) => ["Forbidden", "Unauthorized", "Conflict"].contains(&code.as_str()),
    });
    if matches!(level.as_str(), "critical" | "1") {
        Severity::Critical
    } else if failed || refused || matches!(level.as_str(), "error" | "warning" | "2" | "3") {
        Severity::Warning
    } else {
        Severity::Info
    }
}

/// What the properties of the targets were and are.
fn modified(targets: &[Value]) -> Changes {
    let mut changes = Changes::default();
    changes.push_properties(
        targets.iter().flat_map(|target| list_at(target, "modifiedProperties")),
        "displayName",
    );
    changes
}

fn subscription(resource: &str) -> Option<String> {
    part_after(resource, "subscriptions")
}

/// The part of a path behind another part.
fn part_after(path: &str, part: &str) -> Option<String> {
    let mut parts = path.split('/');
    parts.by_ref().find(|p| p.eq_ignore_ascii_case(part))?;
    parts.next().filter(|p| !p.is_empty()).map(str::to_owned)
}
