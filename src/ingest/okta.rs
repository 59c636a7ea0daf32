//! Okta's System Log: records of the API, of hooks, and rows of Log Analytics.
//!
//! Source: <https://developer.okta.com/docs/reference/api/system-log/>; where real records differ, these decide. `WARN` with
//! the outcome `SUCCESS` is common and harmless. The target acted on is not always the first. The organisation stands in no
//! record.

use super::draft::{Changes, Draft, NOBODY_SHOWN, Record, When, action_of, at, text_at, unwrapped};
use super::format::Opened;
use super::kind::Kind;
use super::record::{Members, string};
use super::{Mapped, Mapping, Reject};
use crate::domain::{Action, ActorType, Category, Severity};
use serde_json::Value;

const ACTOR_NAMES: &[&str] = &["actor>alternateId", "actor_alternateId_s"];
const ACTOR_IDS: &[&str] = &["actor>id", "actor_id_s"];
const ADDRESSES: &[&str] = &["client>ipAddress", "client_ipAddress_s", "request>ipChain>0>ip"];
const TIMES: &[&str] = &["published", "published_t", "p_event_time", "TimeGenerated"];

/// The kinds of its records.
pub(super) const KINDS: &[Kind] = &[Kind {
    title: "System Log",
    id: "`uuid`",
    organization: "refused: no record names it",
    time: &[TIMES],
    actor: &[ACTOR_NAMES, ACTOR_IDS],
    address: &[ADDRESSES],
    failure: "`outcome.result` `FAILURE` or `DENY`; severity `ERROR`, or `WARN` without `SUCCESS`",
    placeholder: NOBODY_SHOWN,
}];

/// Wrappers of hooks, of EventBridge and of queues.
const WRAPPERS: [&str; 3] = ["data", "detail", "body"];

/// What an object is to Okta.
pub(super) fn open(members: &Members<'_>) -> Opened {
    if is_record(members) {
        return Opened::Record;
    }
    if let Some(events) = members.records("events", is_record) {
        return Opened::Wrapped(events);
    }
    for key in WRAPPERS {
        let Some(raw) = members.get(key) else { continue };
        let text = string(raw).unwrap_or_else(|| raw.get().to_owned());
        let Ok(inner) = Members::parse(&text) else { continue };
        match inner.records("events", is_record) {
            Some(events) => return Opened::Wrapped(events),
            None if is_record(&inner) => return Opened::Wrapped(vec![text]),
            None => {}
        }
    }
    Opened::Foreign
}

fn is_record(members: &Members<'_>) -> bool {
    let has = |key: &str| members.has_alike(key);
    (has("eventType")
        && (has("actor") || has("outcome"))
        && (has("published") || has("severity") || has("target")))
        || (has("eventType_s") && has("actor_alternateId_s"))
}

/// One record as an event.
pub(super) fn map(text: &str, mapping: &Mapping) -> Result<Mapped, Reject> {
    let record = Record::parse(text, open)?;
    let root = &record.root;
    let text = |paths: &[&str]| text_at(root, paths);
    let event_type = text(&["eventType", "eventType_s"]).ok_or_else(|| Reject::new("eventType: missing"))?;
    let known = |name: &String| name != "unknown";
    let actor = text(ACTOR_NAMES).filter(known).or_else(|| text(ACTOR_IDS).filter(known));
    let actor_type = match text(&["actor>type", "actor_type_s"]).as_deref() {
        Some("SystemPrincipal") => ActorType::System,
        Some("User") => ActorType::User,
        None if actor.is_none() => ActorType::System,
        None => ActorType::User,
        // Applications of all kinds.
        Some(_) => ActorType::Service,
    };
    let targets = at(root, "target").or_else(|| at(root, "target_s")).map(unwrapped);
    let targets = targets.as_ref().and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let target = target_of(&event_type, targets);
    let verb = event_type.rsplit('.').next().unwrap_or(&event_type);
    let mut changes = Changes::default();
    for (n, of) in targets.iter().enumerate() {
        if let Some(details) = at(of, "changeDetails") {
            let name = text_at(of, &["type"]).unwrap_or_else(|| n.to_string());
            changes.push(&name, at(details, "from").cloned(), at(details, "to").cloned());
        }
    }
    Draft {
        id: text(&["uuid", "uuid_g"]),
        when: When::of(root, TIMES),
        actor_type,
        actor,
        address: text(ADDRESSES),
        user_agent: text(&["client>userAgent>rawUserAgent", "client_userAgent_rawUserAgent_s"]),
        category: category(&event_type),
        severity: severity(root, &event_type),
        action: doing(&event_type, verb),
        resource_type: target.and_then(|t| text_at(t, &["type"])).unwrap_or_else(|| "okta".to_owned()),
        resource: target
            .and_then(|t| text_at(t, &["id"]).filter(known).or_else(|| text_at(t, &["alternateId"]))),
        resource_name: target.and_then(|t| {
            text_at(t, &["alternateId"]).filter(known).or_else(|| text_at(t, &["displayName"]))
        }),
        changes,
        request: text(&["transaction>id", "transaction_id_s"]),
        session: text(&[
            "authenticationContext>externalSessionId",
            "authenticationContext_externalSessionId_s",
        ]),
        event_type,
        ..Draft::default()
    }
    .finish("okta", &record, mapping)
}

/// The target that an event is about, by its type, else the first.
fn target_of<'t>(event_type: &str, targets: &'t [Value]) -> Option<&'t Value> {
    let wanted = match event_type.split('.').next() {
        Some("user") => "User",
        Some("group") => "UserGroup",
        Some("application" | "app") => "AppInstance",
        Some("policy") => "Policy",
        _ => "",
    };
    let of_type = targets.iter().find(|target| text_at(target, &["type"]).as_deref() == Some(wanted));
    of_type.or_else(|| targets.first())
}

fn doing(event_type: &str, verb: &str) -> Action {
    if event_type.contains(".end") || event_type.ends_with("logout") {
        return Action::Delete;
    }
    let by_verb = action_of(verb);
    // `user.session.start`, `group.user_membership.add`, `user.account.lock`, `user.authentication.sso`
    by_verb.unwrap_or(if event_type.starts_with("user.authentication") {
        Action::Create
    } else {
        Action::Update
    })
}

fn category(event_type: &str) -> Category {
    const AUTH: [&str; 7] = [
        "user.session",
        "user.authentication",
        "user.mfa",
        "policy.evaluate",
        "app.oauth2",
        "security.",
        "user.account",
    ];
    const ADMIN: [&str; 6] = ["group.", "user.", "system.", "iam.", "policy.", "zone."];
    let starts = |with: &[&str]| with.iter().any(|prefix| event_type.starts_with(prefix));
    if starts(&AUTH) {
        Category::Auth
    } else if starts(&ADMIN) {
        Category::Admin
    } else {
        Category::Config
    }
}

fn severity(root: &Value, event_type: &str) -> Severity {
    let result =
        text_at(root, &["outcome>result", "outcome_result_s"]).unwrap_or_default().to_ascii_uppercase();
    let word = text_at(root, &["severity", "severity_s"]).unwrap_or_default().to_ascii_uppercase();
    let failed = matches!(result.as_str(), "FAILURE" | "DENY");
    let warned = word == "ERROR" || (word == "WARN" && result != "SUCCESS");
    let worth_a_look =
        ["suspicious", "threat", "privilege.grant", "mfa.factor.deactivate", "mfa.factor.reset_all"];
    if failed || warned || worth_a_look.iter().any(|word| event_type.contains(word)) {
        Severity::Warning
    } else {
        Severity::Info
    }
}
