//! GitHub's audit log of organisations and enterprises: web export, API, stream, Git events.
//!
//! Source: <https://docs.github.com/en/organizations/keeping-your-organization-secure>; where real records differ, these
//! decide. Deliveries of webhooks are no audit records and are refused by name.

use super::draft::{Changes, Draft, NOBODY_SHOWN, Record, When, action_of, at, text_at};
use super::format::Opened;
use super::kind::Kind;
use super::record::Members;
use super::{Mapped, Mapping, Reject};
use crate::domain::{Action, ActorType, Category, Severity};
use serde_json::Value;

const ACTORS: &[&str] = &["actor", "actor_id"];
const ADDRESSES: &[&str] = &["actor_ip"];
const TIMES: &[&str] = &["@timestamp", "created_at", "p_event_time"];

/// The kinds of its records.
pub(super) const KINDS: &[Kind] = &[Kind {
    title: "Audit log",
    id: "`_document_id`, else content",
    organization: "`org`, else `business`, else the owner of `repo`",
    time: &[TIMES],
    actor: &[ACTORS],
    address: &[ADDRESSES],
    failure: "`fail`, `denied` or `reject` in the verb of `action`",
    placeholder: NOBODY_SHOWN,
}];

/// What an object is to GitHub.
pub(super) fn open(members: &Members<'_>) -> Opened {
    if is_audit(members) || is_delivery(members) { Opened::Record } else { Opened::Foreign }
}

fn is_audit(members: &Members<'_>) -> bool {
    const BESIDE: [&str; 8] =
        ["actor", "actor_id", "created_at", "@timestamp", "_document_id", "org", "repo", "business"];
    let Some(action) = members.some_text("action").filter(|_| !members.has("event_id")) else { return false };
    let beside = BESIDE.iter().filter(|key| members.has(key)).count();
    // Older ones have one word.
    if action.contains('.') { beside > 0 } else { beside > 2 && members.some_text("actor").is_some() }
}

/// Deliveries have an action in one word, or none, and whole objects where the audit log has names.
fn is_delivery(members: &Members<'_>) -> bool {
    const OBJECTS: [&str; 4] = ["repository", "sender", "pusher", "workflow_job"];
    OBJECTS.iter().any(|key| members.object(key).is_some()) && !is_audit(members)
}

/// One record as an event.
pub(super) fn map(text: &str, mapping: &Mapping) -> Result<Mapped, Reject> {
    let record = Record::parse(text, open)?;
    if is_delivery(&record.members) {
        return Err(Reject::new("a delivery of a GitHub webhook, which is not an audit record"));
    }
    let root = &record.root;
    let text = |paths: &[&str]| text_at(root, paths);
    let action = text(&["action"]).ok_or_else(|| Reject::new("action: missing"))?;
    let (kind, verb) = action.split_once('.').unwrap_or(("org", &action));
    let actor = text(ACTORS);
    let is_bot = text(&["actor_is_bot"]).as_deref() == Some("true")
        || actor.as_deref().is_some_and(|actor| actor.ends_with("[bot]"));
    let repo = text(&["repo", "data>repo", "repository"]);
    let team = text(&["team", "data>team"]);
    let owner = || repo.as_deref().and_then(|repo| repo.split_once('/')).map(|(owner, _)| owner.to_owned());
    let resource = match kind {
        "team" => team.or_else(|| repo.clone()),
        "org" | "business" | "enterprise" | "user" => text(&["user", "invitee", "email"]),
        _ => repo.clone().or(team).or_else(|| text(&["user"])),
    };
    Draft {
        id: text(&["_document_id"]),
        when: When::of(root, TIMES),
        organization: text(&["org", "business"]).or_else(owner),
        project: repo,
        actor_type: match &actor {
            None => ActorType::System,
            Some(_) if is_bot => ActorType::Service,
            Some(_) => ActorType::User,
        },
        actor,
        address: text(ADDRESSES),
        user_agent: text(&["user_agent"]),
        category: category(kind, verb),
        severity: severity(root, kind, verb),
        action: doing(text(&["operation_type"]).as_deref(), verb),
        resource_type: kind.to_owned(),
        resource: resource.or_else(|| text(&["org", "business"])),
        changes: changes(root),
        request: text(&["request_id", "_document_id"]),
        session: text(&["hashed_token"]),
        event_type: action.clone(),
        ..Draft::default()
    }
    .finish("github", &record, mapping)
}

fn doing(operation: Option<&str>, verb: &str) -> Action {
    match operation {
        Some("create" | "restore") => Action::Create,
        Some("modify") => Action::Update,
        Some("remove") => Action::Delete,
        Some("access" | "authentication") => Action::Read,
        Some("transfer") => Action::Export,
        _ => match verb {
            // What Git sends out of the house, and what it takes in.
            "clone" | "fetch" | "download_zip" => Action::Export,
            "push" => Action::Update,
            // Of a repository: its visibility.
            "access" => Action::Update,
            verb => action_of(verb).unwrap_or(Action::Update),
        },
    }
}

fn category(kind: &str, verb: &str) -> Category {
    match kind {
        "git" => Category::Data,
        "org" | "team" | "business" | "enterprise" | "role" | "organization_role" => Category::Admin,
        "user"
        | "oauth_access"
        | "oauth_authorization"
        | "personal_access_token"
        | "org_credential_authorization"
        | "public_key" => Category::Auth,
        _ if verb.starts_with("download") => Category::Data,
        _ => Category::Config,
    }
}

/// What is switched off, taken away for good, opened to everybody or passed over is worth a look.
fn severity(root: &Value, kind: &str, verb: &str) -> Severity {
    let guards = [
        "audit_log",
        "two_factor",
        "2fa",
        "saml",
        "ip_allow_list",
        "secret_scanning",
        "branch",
        "dependabot",
        "advanced_security",
        "code_scanning",
        "oauth_app_restrictions",
    ];
    let whole = format!("{kind}.{verb}");
    let is_guard = guards.iter().any(|guard| whole.contains(guard));
    let off = ["disable", "destroy", "remove", "delete"].iter().any(|word| verb.contains(word));
    let public = text_at(root, &["visibility"]).as_deref() == Some("public")
        && matches!(verb, "access" | "create" | "visibility_change");
    let failed = verb.contains("fail") || verb.contains("denied") || verb.contains("reject");
    if is_guard && off && kind.contains("audit_log") {
        Severity::Critical
    } else if (is_guard && off) || public || failed || verb.contains("override") || whole == "repo.destroy" {
        Severity::Warning
    } else {
        Severity::Info
    }
}

/// `x_was` beside `x`, `old_x` beside `x` or `new_x`; at the top and in `data`.
fn changes(root: &Value) -> Changes {
    let mut changes = Changes::default();
    for object in [Some(root), at(root, "data"), at(root, "changes")].into_iter().flatten() {
        let Value::Object(members) = object else { continue };
        for (key, before) in members {
            let name = key.strip_suffix("_was").or_else(|| key.strip_prefix("old_"));
            let Some(name) = name.filter(|name| !name.is_empty()) else { continue };
            let after = members.get(&format!("new_{name}")).or_else(|| members.get(name));
            let known = |value: &Value| (!value.is_null()).then(|| value.clone());
            changes.push(name, known(before), after.and_then(known));
        }
    }
    changes
}
