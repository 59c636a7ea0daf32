//! Google Workspace: activities of the reports API.
//!
//! Source: <https://developers.google.com/workspace/admin/reports/reference/rest/v1/activities/list>; where real records
//! differ, these decide. An activity may hold several events, also of one name: each becomes an event, whose id is a hash of
//! the activity's id and of the content of the event.

use super::draft::{
    Changes, Draft, NOBODY_SHOWN, Record, When, action_of, at, id_of_content, joined, text_at, text_of,
    unwrapped,
};
use super::format::Opened;
use super::kind::Kind;
use super::record::Members;
use super::{Mapped, Mapping, Reject};
use crate::domain::{Action, ActorType, Category, Severity};
use serde_json::Value;

const ACTORS: &[&str] =
    &["actor>email", "actor>profileId", "actor>key", "actor>applicationInfo>applicationName"];
const ADDRESSES: &[&str] = &["ipAddress"];
const TIMES: &[&str] = &["id>time", "p_event_time"];

/// The kinds of its records.
pub(super) const KINDS: &[Kind] = &[Kind {
    title: "Activity of the reports API",
    id: "SHA-256 of `id.uniqueQualifier`, `id.time`, `id.applicationName` and the event's content; else content",
    organization: "`id.customerId`",
    time: &[TIMES],
    actor: &[ACTORS],
    address: &[ADDRESSES],
    failure: "words in the event's name, such as `fail`, `denied`, `blocked`, `suspicious`",
    placeholder: NOBODY_SHOWN,
}];

/// What an object is to Workspace. An activity of several events is taken apart.
pub(super) fn open(members: &Members<'_>) -> Opened {
    if let Some(items) = members.elements("items").filter(|_| is_list(members)) {
        return Opened::Wrapped(items.iter().flat_map(|item| single(item)).collect());
    }
    if !is_record(members) {
        return Opened::Foreign;
    }
    match members.elements("events") {
        Some(events) if events.len() > 1 => Opened::Wrapped(each(members, &events)),
        _ => Opened::Record,
    }
}

fn is_list(members: &Members<'_>) -> bool {
    members.some_text("kind").is_some_and(|kind| kind.contains("reports#activities"))
}

fn is_record(members: &Members<'_>) -> bool {
    members.object("id").is_some_and(|id| id.has("applicationName") || id.has("uniqueQualifier"))
}

/// An item of a list, as one text for each of its events.
fn single(item: &str) -> Vec<String> {
    let split = Members::parse(item).ok().and_then(|members| {
        let events = members.elements("events").filter(|events| events.len() > 1)?;
        Some(each(&members, &events))
    });
    split.unwrap_or_else(|| vec![item.to_owned()])
}

/// The record once for each of its events.
fn each(members: &Members<'_>, events: &[String]) -> Vec<String> {
    let rest: String = members
        .iter()
        .filter(|(key, _)| *key != "events")
        .map(|(key, raw)| format!("{}:{},", Value::from(key), raw.get()))
        .collect();
    events.iter().map(|event| format!("{{{rest}\"events\":[{event}]}}")).collect()
}

/// One record, of one event, as an event.
pub(super) fn map(text: &str, mapping: &Mapping) -> Result<Mapped, Reject> {
    let record = Record::parse(text, open)?;
    let root = &record.root;
    // A forwarder may have split the list, or put the event's members at the top.
    let event = at(root, "events>0").or_else(|| at(root, "events").filter(|e| e.is_object())).unwrap_or(root);
    let text = |paths: &[&str]| text_at(root, paths);
    let name = text_at(event, &["name", "type"]).unwrap_or_else(|| "activity".to_owned());
    let application = text(&["id>applicationName"]).unwrap_or_else(|| "workspace".to_owned());
    let qualifier = text(&["id>uniqueQualifier"]);
    let id = qualifier.as_ref().and_then(|qualifier| {
        let content = id_of_content(&event_only(event)).ok()?;
        Some(joined(&[qualifier, &text(&["id>time"]).unwrap_or_default(), &application, &content]))
    });
    let actor = text(ACTORS);
    let actor_type = match (text(&["actor>callerType"]).as_deref(), &actor) {
        (Some("KEY" | "APPLICATION"), _) => ActorType::Service,
        (_, Some(actor)) if actor.ends_with("gserviceaccount.com") => ActorType::Service,
        (_, Some(_)) => ActorType::User,
        (_, None) => ActorType::System,
    };
    let parameter =
        |names: &[&str]| names.iter().find_map(|name| parameter(event, name)).and_then(|v| text_of(&v));
    let kind = text_at(event, &["type"]).unwrap_or_else(|| application.clone());
    let resource = parameter(&[
        "doc_id",
        "USER_EMAIL",
        "GROUP_EMAIL",
        "app_name",
        "APPLICATION_NAME",
        "SETTING_NAME",
        "ROLE_NAME",
        "ORG_UNIT_NAME",
    ]);
    Draft {
        id,
        when: When::of(root, TIMES),
        organization: text(&["id>customerId"]),
        actor_type,
        actor,
        address: text(ADDRESSES),
        category: match application.as_str() {
            "login" | "token" | "saml" | "user_accounts" | "access_transparency" => Category::Auth,
            "drive" | "gmail" | "chat" | "keep" | "vault" => Category::Data,
            "admin" | "groups_enterprise" | "groups" => Category::Admin,
            _ => Category::Config,
        },
        severity: severity(&name, event),
        action: action_of(&name).unwrap_or(if application == "login" {
            Action::Create
        } else {
            Action::Update
        }),
        resource_type: kind.to_ascii_lowercase(),
        resource,
        resource_name: parameter(&["doc_title"]),
        changes: changes(event),
        request: qualifier,
        event_type: format!("{application}.{name}"),
        ..Draft::default()
    }
    .finish("workspace", &record, mapping)
}

/// What belongs to the event, and not to its activity.
fn event_only(event: &Value) -> String {
    let members = ["name", "type", "parameters"]
        .map(|key| (key.to_owned(), at(event, key).cloned().unwrap_or_default()));
    Value::Object(members.into_iter().collect()).to_string()
}

/// The value of a parameter: of a list of them, or of an object, as tables have it.
fn parameter(event: &Value, name: &str) -> Option<Value> {
    const VALUES: [&str; 6] =
        ["value", "intValue", "boolValue", "multiValue", "multiIntValue", "messageValue"];
    match at(event, "parameters")? {
        Value::Array(list) => {
            let found = list.iter().find(|p| text_at(p, &["name"]).as_deref() == Some(name))?;
            VALUES.iter().find_map(|key| at(found, key)).cloned()
        }
        Value::Object(members) => members.get(name).filter(|value| !value.is_null()).cloned(),
        _ => None,
    }
}

/// `OLD_VALUE` and `NEW_VALUE`, under the name of the setting.
fn changes(event: &Value) -> Changes {
    let value = |names: [&str; 2]| {
        names.iter().find_map(|name| parameter(event, name)).map(|value| unwrapped(&value))
    };
    let (before, after) = (value(["OLD_VALUE", "old_value"]), value(["NEW_VALUE", "new_value"]));
    let mut changes = Changes::default();
    if before.is_some() {
        let name = parameter(event, "SETTING_NAME").and_then(|v| text_of(&v));
        changes.push(name.as_deref().unwrap_or("value"), before, after);
    }
    changes
}

fn severity(name: &str, event: &Value) -> Severity {
    const WORDS: [&str; 12] = [
        "fail",
        "suspicious",
        "denied",
        "blocked",
        "risky",
        "attack",
        "hijack",
        "grant_admin",
        "assign_role",
        "2sv_disable",
        "leak",
        "suspend",
    ];
    let lower = name.to_ascii_lowercase();
    let public = parameter(event, "visibility").and_then(|v| text_of(&v));
    let opened =
        public.is_some_and(|v| v.starts_with("public") || v == "people_with_link" || v == "anyone_with_link");
    if lower.contains("gov_attack") || lower.contains("government") {
        Severity::Critical
    } else if WORDS.iter().any(|word| lower.contains(word)) || (opened && lower.contains("change")) {
        Severity::Warning
    } else {
        Severity::Info
    }
}
