//! ECS 9 (<https://www.elastic.co/docs/reference/ecs>). What it has no field for stands under `agenttrace`.

use super::file::{Mark, states};
use super::record::Record;
use serde::Serialize;

const VERSION: &str = "9.4.0";

#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "the fields are those of the schema")]
pub(super) struct Event<'a> {
    #[serde(rename = "@timestamp")]
    timestamp: String,
    message: String,
    ecs: Version,
    event: About<'a>,
    organization: Id<'a>,
    user: User<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<Source<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<Agent<'a>>,
    http: Http<'a>,
    related: Related<'a>,
    agenttrace: Own<'a>,
}

#[derive(Serialize)]
struct Version {
    version: &'static str,
}

#[derive(Serialize)]
struct About<'a> {
    kind: &'static str,
    id: &'a str,
    action: &'a str,
    category: [&'static str; 1],
    #[serde(rename = "type")]
    kinds: [&'static str; 1],
    severity: u32,
    hash: &'a str,
    dataset: &'static str,
}

#[derive(Serialize)]
struct Id<'a> {
    id: &'a str,
}

#[derive(Serialize)]
struct User<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
}

#[derive(Serialize)]
struct Source<'a> {
    address: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip: Option<&'a str>,
}

#[derive(Serialize)]
struct Agent<'a> {
    original: &'a str,
}

#[derive(Serialize)]
struct Http<'a> {
    request: Id<'a>,
}

#[derive(Serialize)]
struct Related<'a> {
    user: Vec<&'a str>,
    ip: Vec<&'a str>,
}

/// Our own namespace.
#[derive(Serialize)]
struct Own<'a> {
    category: &'a str,
    severity: &'a str,
    action: &'a str,
    actor_type: &'a str,
    project_id: Option<&'a str>,
    session_id: Option<&'a str>,
    resource: Resource<'a>,
    previous_hash: &'a str,
    /// As texts: the members of states of different types would make one field have several types.
    previous_state: Option<&'a str>,
    new_state: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    integrity: Option<Mark<'a>>,
}

#[derive(Serialize)]
struct Resource<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    id: &'a str,
    name: Option<&'a str>,
}

impl<'a> Event<'a> {
    pub(super) fn new(record: Record<'a>, mark: Option<Mark<'a>>) -> Self {
        let row = record.row();
        let [previous_state, new_state] = states(record);
        // A network is an address that the field of type `ip` refuses.
        let ip = row.actor_ip.as_deref().filter(|ip| ip.parse::<std::net::IpAddr>().is_ok());
        let (category, kind) = classes(&row.event_category, &row.action);
        let email = row.actor_email.as_deref();
        Self {
            timestamp: row.timestamp.to_rfc3339(),
            message: format!(
                "{}: {}, {}/{}",
                row.event_type,
                email.unwrap_or(&row.actor_id),
                row.resource_type,
                row.resource_id
            ),
            ecs: Version { version: VERSION },
            event: About {
                kind: "event",
                id: &row.event_id,
                action: &row.event_type,
                category: [category],
                kinds: [kind],
                severity: match row.event_severity.as_str() {
                    "info" => 1,
                    "warning" => 2,
                    "critical" => 3,
                    _ => 0,
                },
                hash: &row.hash,
                dataset: "agenttrace.audit",
            },
            organization: Id { id: &row.organization_id },
            user: User { id: &row.actor_id, email },
            source: row.actor_ip.as_deref().map(|address| Source { address, ip }),
            user_agent: row.actor_user_agent.as_deref().map(|original| Agent { original }),
            http: Http { request: Id { id: &row.request_id } },
            related: Related {
                user: [Some(row.actor_id.as_str()), email].into_iter().flatten().collect(),
                ip: ip.into_iter().collect(),
            },
            agenttrace: Own {
                category: &row.event_category,
                severity: &row.event_severity,
                action: &row.action,
                actor_type: &row.actor_type,
                project_id: row.project_id.as_deref(),
                session_id: row.session_id.as_deref(),
                resource: Resource {
                    kind: &row.resource_type,
                    id: &row.resource_id,
                    name: row.resource_name.as_deref(),
                },
                previous_hash: &row.previous_hash,
                previous_state,
                new_state,
                integrity: mark,
            },
        }
    }
}

/// `event.category` and `event.type`, of the pairs that the schema expects.
fn classes(category: &str, action: &str) -> (&'static str, &'static str) {
    let access = matches!(action, "read" | "export");
    match (category, action) {
        ("auth", "create") => ("authentication", "start"),
        ("auth", "delete") => ("authentication", "end"),
        ("auth", _) => ("authentication", "info"),
        ("data", _) if access => ("database", "access"),
        ("data", _) => ("database", "change"),
        ("config", _) if access => ("configuration", "access"),
        ("config", "create") => ("configuration", "creation"),
        ("config", "delete") => ("configuration", "deletion"),
        ("config", _) => ("configuration", "change"),
        ("admin", _) if access => ("iam", "info"),
        ("admin", "create") => ("iam", "creation"),
        ("admin", "delete") => ("iam", "deletion"),
        ("admin", _) => ("iam", "change"),
        (_, _) if access => ("api", "access"),
        (_, "create") => ("api", "creation"),
        (_, "delete") => ("api", "deletion"),
        (_, "update") => ("api", "change"),
        _ => ("api", "info"),
    }
}
