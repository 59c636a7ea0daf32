//! OCSF 1.8 (<https://schema.ocsf.io/1.8.0>): Authentication (3002) for sign-ins, Entity Management (3004) for the rest.
//!
//! What the schema has no attribute for stands under `unmapped`, by the names of our columns.

use super::file::{Mark, states};
use super::json::Stored;
use super::record::Record;
use crate::domain::EventRow;
use serde::Serialize;

const VERSION: &str = "1.8.0";

#[derive(Serialize)]
pub(super) struct Event<'a> {
    activity_id: u32,
    category_uid: u32,
    class_uid: u32,
    type_uid: u32,
    severity_id: u32,
    /// Milliseconds since 1970; `None` for times that have none.
    time: Option<i64>,
    message: String,
    metadata: Metadata<'a>,
    actor: Actor<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    src_endpoint: Option<Endpoint<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    http_request: Option<Request<'a>>,
    #[serde(flatten)]
    class: Class<'a>,
    unmapped: Unmapped<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Class<'a> {
    Authentication {
        user: User<'a>,
        service: Service<'a>,
    },
    EntityManagement {
        entity: Entity<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        entity_result: Option<Entity<'a>>,
    },
}

#[derive(Serialize)]
struct Metadata<'a> {
    version: &'static str,
    product: Product,
    original_event_uid: &'a str,
    original_time: String,
    event_code: &'a str,
    tenant_uid: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    correlation_uid: &'a str,
}

#[derive(Serialize)]
struct Product {
    name: &'static str,
    vendor_name: &'static str,
    version: &'static str,
}

#[derive(Serialize)]
struct Actor<'a> {
    user: User<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<Uid<'a>>,
}

#[derive(Serialize, Clone, Copy)]
struct User<'a> {
    uid: &'a str,
    type_id: u32,
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    email_addr: Option<&'a str>,
}

#[derive(Serialize)]
struct Uid<'a> {
    uid: &'a str,
}

#[derive(Serialize)]
struct Service<'a> {
    name: &'a str,
    uid: &'a str,
}

#[derive(Serialize)]
struct Endpoint<'a> {
    ip: &'a str,
}

#[derive(Serialize)]
struct Request<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<&'a str>,
    uid: &'a str,
}

#[derive(Serialize)]
struct Entity<'a> {
    uid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    type_id: u32,
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Stored<'a>>,
}

#[derive(Serialize)]
struct Unmapped<'a> {
    event_category: &'a str,
    action: &'a str,
    project_id: Option<&'a str>,
    actor_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor_ip: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor_email: Option<&'a str>,
    hash: &'a str,
    previous_hash: &'a str,
    /// Microseconds and the infinities, which `time` cannot hold.
    timestamp: String,
    /// States that are no objects, and those of sign-ins.
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_state: Option<Stored<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    new_state: Option<Stored<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    integrity: Option<Mark<'a>>,
}

impl<'a> Event<'a> {
    pub(super) fn new(record: Record<'a>, mark: Option<Mark<'a>>) -> Self {
        let row = record.row();
        let [previous, new] = states(record);
        let is_sign_in = row.event_category == "auth";
        let is_object = |state: Option<&str>| state.is_some_and(|text| text.trim_start().starts_with('{'));
        let mapped = |state: Option<&'a str>| state.filter(|_| !is_sign_in && is_object(state));
        let unmapped = |state: Option<&'a str>| state.filter(|_| is_sign_in || !is_object(state)).map(Stored);
        let user = user(row);
        // A network is no address.
        let ip = row.actor_ip.as_deref().filter(|ip| ip.parse::<std::net::IpAddr>().is_ok());
        let (class_uid, activity_id, class) = if is_sign_in {
            // Whose sign-in it is; into what, the resource says.
            let service = Service { name: &row.resource_type, uid: &row.resource_id };
            (3002, sign_in(&row.event_type), Class::Authentication { user, service })
        } else {
            let entity = |state: Option<&'a str>| Entity {
                uid: &row.resource_id,
                name: row.resource_name.as_deref(),
                type_id: 99,
                kind: &row.resource_type,
                data: mapped(state).map(Stored),
            };
            let entity_result = mapped(new).is_some().then(|| entity(new));
            (3004, activity(&row.action), Class::EntityManagement { entity: entity(previous), entity_result })
        };
        let actor = row.actor_email.as_deref().unwrap_or(&row.actor_id);
        Self {
            activity_id,
            category_uid: 3,
            class_uid,
            type_uid: class_uid * 100 + activity_id,
            severity_id: severity(&row.event_severity),
            time: row.timestamp.to_utc().map(|time| time.timestamp_millis()),
            message: format!("{}: {actor}, {}/{}", row.event_type, row.resource_type, row.resource_id),
            metadata: Metadata {
                version: VERSION,
                product: Product {
                    name: "AgentTrace",
                    vendor_name: "AgentTrace",
                    version: env!("CARGO_PKG_VERSION"),
                },
                original_event_uid: &row.event_id,
                original_time: row.timestamp.to_rfc3339(),
                event_code: &row.event_type,
                tenant_uid: &row.organization_id,
                correlation_uid: &row.request_id,
            },
            actor: Actor { user, session: row.session_id.as_deref().map(|uid| Uid { uid }) },
            src_endpoint: ip.map(|ip| Endpoint { ip }),
            http_request: (!row.request_id.is_empty() || row.actor_user_agent.is_some())
                .then_some(Request { user_agent: row.actor_user_agent.as_deref(), uid: &row.request_id }),
            class,
            unmapped: Unmapped {
                event_category: &row.event_category,
                action: &row.action,
                project_id: row.project_id.as_deref(),
                actor_type: &row.actor_type,
                actor_ip: row.actor_ip.as_deref().filter(|_| ip.is_none()),
                actor_email: row.actor_email.as_deref().filter(|email| !is_email(email)),
                hash: &row.hash,
                previous_hash: &row.previous_hash,
                timestamp: row.timestamp.to_rfc3339(),
                previous_state: unmapped(previous),
                new_state: unmapped(new),
                integrity: mark,
            },
        }
    }
}

fn user(row: &EventRow) -> User<'_> {
    let (type_id, kind) = match row.actor_type.as_str() {
        "user" => (1, "User"),
        "system" => (3, "System"),
        "service" => (4, "Service"),
        other => (99, other),
    };
    User {
        uid: &row.actor_id,
        type_id,
        kind,
        email_addr: row.actor_email.as_deref().filter(|email| is_email(email)),
    }
}

/// Whether a text is of the schema's type `email_t`, which has a pattern: letters outside ASCII are not in it.
fn is_email(text: &str) -> bool {
    let in_domain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let in_local = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+,-./=?^_`{|}~".contains(c);
    let Some((local, (domain, rest))) =
        text.split_once('@').and_then(|(local, behind)| Some((local, behind.split_once('.')?)))
    else {
        return false;
    };
    ![local, domain, rest].contains(&"")
        && local.chars().all(in_local)
        && domain.chars().all(in_domain)
        && rest.chars().all(|c| in_domain(c) || c == '.')
}

fn severity(severity: &str) -> u32 {
    match severity {
        "info" => 1,
        "warning" => 3,
        "critical" => 5,
        _ => 99,
    }
}

/// Entity Management.
fn activity(action: &str) -> u32 {
    match action {
        "create" => 1,
        "read" => 2,
        "update" => 3,
        "delete" => 4,
        _ => 99,
    }
}

/// Authentication: what the type of the event tells by the usual words.
fn sign_in(event_type: &str) -> u32 {
    let event_type = event_type.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| event_type.contains(word));
    if has(&["logout", "log_out", "logoff", "signout", "sign_out"]) {
        2
    } else if has(&["login", "log_in", "logon", "signin", "sign_in"]) {
        1
    } else {
        99
    }
}
