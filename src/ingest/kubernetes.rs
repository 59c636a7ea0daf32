//! Kubernetes audit events (`audit.k8s.io`), also inside Azure's diagnostic log, and admission reviews.
//!
//! Source: <https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/>; where real records differ, these decide.
//! `auditID` is what the client says if it wants to, so it is the request id and never the event's. Of `sourceIPs` only the
//! last is not the client's word. Who is impersonated is the actor. The cluster stands in no record.

use super::draft::{Changes, Draft, NOBODY_SHOWN, Record, When, action_of, at, list_at, text_at};
use super::format::Opened;
use super::kind::Kind;
use super::record::Members;
use super::{Mapped, Mapping, Reject};
use crate::domain::{Action, ActorType, Category, Severity};
use serde_json::Value;

const USERS: &[&str] = &["impersonatedUser>username", "user>username"];
/// The others are the client's word.
const ADDRESSES: &[&str] = &["sourceIPs>-1"];
const TIMES: &[&str] = &["stageTimestamp", "requestReceivedTimestamp", "timestamp", "p_event_time"];
const ENVELOPE_TIMES: &[&str] = &["time", "p_event_time"];

/// The kinds of its records.
pub(super) const KINDS: &[Kind] = &[
    Kind {
        title: "Audit event, also as JSON in Azure's `properties.log`",
        id: "content: `auditID` is what the client says",
        organization: "refused: no record names it",
        time: &[TIMES, ENVELOPE_TIMES],
        actor: &[USERS],
        address: &[ADDRESSES],
        failure: "`responseStatus.code` 401, 403, or 500 and above; `authorization.k8s.io/decision` `forbid`",
        placeholder: NOBODY_SHOWN,
    },
    Kind {
        title: "Admission review, of the newest time that its object has",
        id: "`request.uid`",
        organization: "refused: no record names it",
        time: &[&[
            "request>object>metadata>managedFields>0>time",
            "request>object>metadata>creationTimestamp",
        ]],
        actor: &[&["request>userInfo>username"]],
        address: &[],
        failure: "none: a review is what was asked",
        placeholder: NOBODY_SHOWN,
    },
];

/// Members of an audit event beside its kind: two of them tell it from the `Event` objects of a cluster.
const MARKS: [&str; 7] = ["auditID", "stage", "verb", "requestURI", "objectRef", "level", "responseStatus"];

/// Subresources through which one gets into a container.
const INTO: [&str; 3] = ["exec", "attach", "portforward"];

/// What an object is to Kubernetes.
pub(super) fn open(members: &Members<'_>) -> Opened {
    let marks = MARKS.iter().filter(|mark| members.has(mark)).count();
    match members.some_text("kind").as_deref() {
        Some("Event") if marks >= 2 => Opened::Record,
        Some("AdmissionReview") if members.object("request").is_some() => Opened::Record,
        Some("EventList") => members.elements("items").map_or(Opened::Foreign, Opened::Wrapped),
        None if members.has("objectRef") && members.has("requestURI") => Opened::Record,
        // As an item of a list.
        None if marks >= 4 => Opened::Record,
        None if is_of_azure(members) => Opened::Record,
        _ => Opened::Foreign,
    }
}

/// Azure's diagnostic log has the event in `properties.log`, mostly as a text.
fn is_of_azure(members: &Members<'_>) -> bool {
    let category = members.some_text("category").or_else(|| members.some_text("Category"));
    category.is_some_and(|category| category.starts_with("kube-audit"))
}

/// One record as an event.
pub(super) fn map(text: &str, mapping: &Mapping) -> Result<Mapped, Reject> {
    let record = Record::parse(text, open)?;
    let root = &record.root;
    let draft = match (text_at(root, &["kind"]).as_deref(), at(root, "properties>log")) {
        (Some("AdmissionReview"), _) => review(root),
        (_, Some(Value::String(log))) => {
            let event = serde_json::from_str(log)
                .map_err(|e| Reject::new(format!("properties.log: not valid JSON: {e}")))?;
            audit(&event, root)
        }
        (_, Some(event)) => audit(event, root),
        (None, None) if at(root, "requestURI").is_none() => {
            return Err(Reject::new("properties.log: missing, the record holds no audit event"));
        }
        _ => audit(root, root),
    };
    draft.finish("kubernetes", &record, mapping)
}

fn audit(event: &Value, envelope: &Value) -> Draft {
    let text = |paths: &[&str]| text_at(event, paths);
    let user = text(USERS);
    // A collector that renames members keeps the method of a request.
    let verb = text(&["verb", "http>method"]).unwrap_or_else(|| "request".to_owned()).to_lowercase();
    let resource = text(&["objectRef>resource"]);
    let subresource = text(&["objectRef>subresource"]);
    let uri = text(&["requestURI"]);
    // What is created gets its name with the answer only.
    let name = text(&[
        "objectRef>name",
        "responseObject>metadata>name",
        "requestObject>metadata>name",
        "requestObject>metadata>generateName",
    ]);
    Draft {
        when: When::of(event, TIMES).or_of(envelope, ENVELOPE_TIMES),
        project: text(&["objectRef>namespace"]),
        address: text(ADDRESSES),
        user_agent: text(&["userAgent"]),
        category: category(resource.as_deref()),
        severity: severity(event, &verb, resource.as_deref(), subresource.as_deref()),
        action: action_of(&verb).unwrap_or(Action::Update),
        resource: name.or(uri),
        request: text(&["auditID"]),
        session: text(&["user>extra>authentication.kubernetes.io/credential-id>0"]),
        ..doing(user, &verb, resource, subresource, text(&["objectRef>apiGroup"]))
    }
}

fn review(root: &Value) -> Draft {
    let request = at(root, "request").unwrap_or(root);
    let text = |paths: &[&str]| text_at(request, paths);
    let user = text(&["userInfo>username"]);
    let verb = text(&["operation"]).unwrap_or_else(|| "request".to_owned()).to_lowercase();
    let resource = text(&["resource>resource", "kind>kind"]).unwrap_or_else(|| "object".to_owned());
    let subresource = text(&["subResource"]);
    let (before, after) = (at(request, "oldObject"), at(request, "object"));
    let mut changes = Changes::default();
    if before.is_some() {
        changes.push("object", before.cloned(), after.cloned());
    }
    Draft {
        id: text(&["uid"]),
        when: written(after.or(before)),
        project: text(&["namespace"]),
        category: category(Some(&resource)),
        severity: if subresource.as_deref().is_some_and(|sub| INTO.contains(&sub)) {
            Severity::Warning
        } else {
            Severity::Info
        },
        // To connect is to look into it.
        action: if verb == "connect" { Action::Read } else { action_of(&verb).unwrap_or(Action::Update) },
        resource: text(&["name", "object>metadata>name", "object>metadata>generateName"]),
        changes,
        request: text(&["uid"]),
        ..doing(user, &verb, Some(resource), subresource, text(&["resource>group"]))
    }
}

/// Who did what to which kind of thing; without a resource, to a URL.
fn doing(
    user: Option<String>,
    verb: &str,
    resource: Option<String>,
    subresource: Option<String>,
    group: Option<String>,
) -> Draft {
    let resource_type = match (&group, &resource) {
        (Some(group), Some(resource)) => format!("{group}/{resource}"),
        (None, Some(resource)) => resource.clone(),
        (_, None) => "url".to_owned(),
    };
    let kind = match (resource, subresource) {
        (Some(resource), Some(subresource)) => format!("{resource}/{subresource}"),
        (Some(resource), None) => resource,
        (None, _) => "url".to_owned(),
    };
    Draft {
        actor_type: user.as_deref().map_or(ActorType::System, kind_of),
        actor: user.as_deref().map(|user| short(user).to_owned()),
        event_type: format!("{kind}.{verb}"),
        resource_type,
        ..Draft::default()
    }
}

/// A review has no time of its own: the newest at which a manager of the object's fields wrote, or it was created.
fn written(object: Option<&Value>) -> When {
    let object = object.unwrap_or(&Value::Null);
    let own = ["metadata>creationTimestamp", "metadata>deletionTimestamp"];
    let managed = list_at(object, "metadata>managedFields").iter().filter_map(|m| text_at(m, &["time"]));
    // All in one spelling, with Z: the order of the texts is that of the times.
    let newest = managed.chain(own.iter().filter_map(|path| text_at(object, &[path]))).max();
    When::found(&["metadata>managedFields"], newest)
}

/// A service account without what all of them begin with.
pub(super) fn short(user: &str) -> &str {
    user.strip_prefix("system:serviceaccount:").unwrap_or(user)
}

/// What a user name of Kubernetes stands for; also in Google's records of its clusters.
pub(super) fn kind_of(user: &str) -> ActorType {
    if user.starts_with("system:serviceaccount:") {
        ActorType::Service
    } else if user.starts_with("system:") && user != "system:admin" && user != "system:anonymous" {
        ActorType::System
    } else {
        ActorType::User
    }
}

fn category(resource: Option<&str>) -> Category {
    match resource.unwrap_or_default() {
        "roles"
        | "rolebindings"
        | "clusterroles"
        | "clusterrolebindings"
        | "serviceaccounts"
        | "certificatesigningrequests" => Category::Admin,
        "secrets" | "configmaps" => Category::Data,
        "tokenreviews" | "subjectaccessreviews" | "selfsubjectaccessreviews" => Category::Auth,
        _ => Category::Config,
    }
}

fn severity(event: &Value, verb: &str, resource: Option<&str>, subresource: Option<&str>) -> Severity {
    let code =
        text_at(event, &["responseStatus>code", "http>status_code"]).and_then(|code| code.parse().ok());
    let refused = matches!(code, Some(401 | 403))
        || text_at(event, &["annotations>authorization.k8s.io/decision"]).as_deref() == Some("forbid");
    let failed = refused || code.is_some_and(|code: u16| code >= 400);
    let writes = !matches!(action_of(verb), Some(Action::Read));
    if !failed && writes && gives_everything(event, resource) {
        Severity::Critical
    } else if refused
        || code.is_some_and(|code| code >= 500)
        || subresource.is_some_and(|sub| INTO.contains(&sub))
        || (text_at(event, &["user>username"]).as_deref() == Some("system:anonymous") && writes)
    {
        Severity::Warning
    } else {
        Severity::Info
    }
}

/// Whether a role with all rights is made or given.
fn gives_everything(event: &Value, resource: Option<&str>) -> bool {
    let objects = || ["requestObject", "responseObject"].into_iter().filter_map(|key| at(event, key));
    let has_all = |list: &[Value]| list.iter().any(|entry| entry == "*");
    match resource {
        Some("rolebindings" | "clusterrolebindings") => {
            objects().any(|o| text_at(o, &["roleRef>name"]).as_deref() == Some("cluster-admin"))
        }
        Some("roles" | "clusterroles") => objects().any(|object| {
            let rules = list_at(object, "rules").iter();
            rules.into_iter().any(|r| has_all(list_at(r, "verbs")) && has_all(list_at(r, "resources")))
        }),
        _ => false,
    }
}
