//! Microsoft 365: the unified audit log of the management API, and the CSV of Purview and PowerShell with the record as JSON
//! in `AuditData`.
//!
//! Source: <https://learn.microsoft.com/en-us/office/office-365-management-api/office-365-management-activity-api-schema>;
//! where real records differ, these decide. Times name no zone and are UTC. `ResultStatus` of a failed log-in says
//! "Success" in two of three records: the operation and the error number tell.

use super::draft::{Changes, Draft, NOBODY_SHOWN, Record, When, action_of, at, list_at, text_at};
use super::format::Opened;
use super::kind::Kind;
use super::record::Members;
use super::{Mapped, Mapping, Reject};
use crate::domain::{Action, ActorType, Category, Severity};
use serde_json::Value;

const ACTORS: &[&str] = &["UserId", "UserKey"];
const ADDRESSES: &[&str] = &["ClientIP", "ClientIPAddress", "ActorIpAddress"];
const TIMES: &[&str] = &["CreationTime", "CreationDate", "p_event_time"];

/// The kinds of its records.
pub(super) const KINDS: &[Kind] = &[Kind {
    title: "Unified audit log",
    id: "`Id`",
    organization: "`OrganizationId`, else `OrganizationName`",
    time: &[TIMES],
    actor: &[ACTORS],
    address: &[ADDRESSES],
    failure: "`Fail` in `Operation`, whatever `ResultStatus` says; `ErrorNumber` other than 0 and 50140; `LogonError`; \
              `ResultStatus` Failed, Failure, False, PartiallySucceeded",
    placeholder: NOBODY_SHOWN,
}];

/// The column of a CSV export that holds the record.
pub(super) const AUDIT_DATA: &str = "AuditData";

/// An interrupt of a log-in, and no failure: keep me signed in?
const INTERRUPTED: &str = "50140";

/// What an object is to Microsoft 365.
pub(super) fn open(members: &Members<'_>) -> Opened {
    if is_record(members) {
        return Opened::Record;
    }
    let inner = members.some_text(AUDIT_DATA);
    match inner {
        Some(text) if Members::parse(&text).is_ok_and(|m| is_record(&m)) => Opened::Wrapped(vec![text]),
        _ => Opened::Foreign,
    }
}

fn is_record(members: &Members<'_>) -> bool {
    const BESIDE: [&str; 6] =
        ["CreationTime", "RecordType", "Workload", "UserId", "UserKey", "OrganizationId"];
    members.has("Operation") && BESIDE.iter().filter(|key| members.has(key)).count() >= 2
}

/// One record as an event.
pub(super) fn map(text: &str, mapping: &Mapping) -> Result<Mapped, Reject> {
    let record = Record::parse(text, open)?;
    let root = &record.root;
    let text = |paths: &[&str]| text_at(root, paths);
    let operation = text(&["Operation"]).ok_or_else(|| Reject::new("Operation: missing"))?;
    // Some end in a full stop.
    let operation = operation.trim_end_matches(['.', ' ']).to_owned();
    let actor = text(ACTORS);
    let workload = text(&["Workload"]).unwrap_or_else(|| "Microsoft365".to_owned());
    Draft {
        id: text(&["Id"]),
        when: When::of(root, TIMES),
        organization: text(&["OrganizationId", "OrganizationName"]),
        actor_type: actor_type(text(&["UserType"]).as_deref(), actor.as_deref()),
        actor,
        address: text(ADDRESSES),
        user_agent: text(&["UserAgent", "ClientInfoString"]),
        category: category(&workload, &operation),
        severity: severity(root, &operation),
        action: doing(&operation),
        resource_type: text(&["ItemType"])
            .map_or_else(|| workload.clone(), |kind| format!("{workload}/{kind}")),
        resource: text(&["ObjectId", "MailboxOwnerUPN", "SiteUrl", "Item>Id"]),
        changes: changes(root),
        request: text(&["CorrelationId", "InterSystemsId", "Id"]),
        session: text(&["SessionId", "AppAccessContext>AADSessionId"]),
        event_type: format!("{workload}.{operation}"),
        ..Draft::default()
    }
    .finish("microsoft365", &record, mapping)
}

/// The type of user tells more than the name, which is often none of a person.
fn actor_type(user_type: Option<&str>, actor: Option<&str>) -> ActorType {
    let Some(actor) = actor else { return ActorType::System };
    let is_system =
        actor.starts_with("NT AUTHORITY\\") || actor.starts_with("S-1-5-") || actor == "NOT-FOUND";
    let is_service =
        actor.starts_with("ServicePrincipal_") || actor.starts_with("app@") || actor == "Certificate";
    match user_type {
        _ if is_system => ActorType::System,
        _ if is_service => ActorType::Service,
        Some("3" | "4" | "DcAdmin" | "System") => ActorType::System,
        Some("5" | "6" | "Application" | "ServicePrincipal") => ActorType::Service,
        _ => ActorType::User,
    }
}

fn doing(operation: &str) -> Action {
    let lower = operation.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    if has(&["download", "export", "filesync"]) {
        Action::Export
    } else if has(&["loggedin", "loginfailed", "loggedon"]) {
        Action::Create
    } else if has(&["accessed", "previewed", "viewed"]) || lower.starts_with("search") {
        Action::Read
    } else if has(&["delete", "remove", "recycle"]) {
        Action::Delete
    } else if has(&["uploaded", "created"]) {
        Action::Create
    } else {
        action_of(operation).unwrap_or(Action::Update)
    }
}

fn category(workload: &str, operation: &str) -> Category {
    let lower = operation.to_ascii_lowercase();
    if lower.contains("loggedin") || lower.contains("loginfailed") || lower.contains("loggedoff") {
        return Category::Auth;
    }
    let cmdlet = operation.split_once('-').is_some_and(|(verb, _)| verb.chars().all(char::is_alphabetic));
    match workload {
        "AzureActiveDirectory" | "SecurityComplianceCenter" => Category::Admin,
        "Exchange" if cmdlet => Category::Admin,
        "SharePoint" | "OneDrive" | "Exchange" | "MicrosoftTeams" | "PowerBI" => Category::Data,
        _ => Category::Config,
    }
}

fn severity(root: &Value, operation: &str) -> Severity {
    let text = |paths: &[&str]| text_at(root, paths).unwrap_or_default();
    if operation.starts_with("Alert") {
        let word = text(&["Severity"]).to_ascii_lowercase();
        return if word == "high" { Severity::Critical } else { Severity::Warning };
    }
    let status = text(&["ResultStatus"]).to_ascii_lowercase();
    let number = text(&["ErrorNumber"]);
    let is_error = !matches!(number.as_str(), "" | "0" | INTERRUPTED);
    let failed = matches!(status.as_str(), "failed" | "failure" | "false" | "partiallysucceeded")
        || operation.contains("Fail")
        || is_error
        || (at(root, "LogonError").is_some() && number != INTERRUPTED);
    let worth_a_look = [
        "New-InboxRule",
        "Set-InboxRule",
        "Set-AdminAuditLogConfig",
        "Add-MailboxPermission",
        "AnonymousLinkCreated",
        "Add member to role",
        "Consent to application",
        "Disable Strong Authentication",
    ];
    if operation == "Set-AdminAuditLogConfig" && switches_off(root) {
        Severity::Critical
    } else if failed || worth_a_look.contains(&operation) {
        Severity::Warning
    } else {
        Severity::Info
    }
}

/// Whether the audit log itself is switched off.
fn switches_off(root: &Value) -> bool {
    list_at(root, "Parameters").iter().any(|p| {
        text_at(p, &["Name"]).as_deref() == Some("UnifiedAuditLogIngestionEnabled")
            && text_at(p, &["Value"]).is_some_and(|value| value.eq_ignore_ascii_case("false"))
    })
}

/// Of `{Name, OldValue, NewValue}`; where only names or new values are listed, nothing is known of before.
fn changes(root: &Value) -> Changes {
    let mut changes = Changes::default();
    let has_before = |property: &&Value| at(property, "OldValue").is_some();
    changes.push_properties(list_at(root, "ModifiedProperties").iter().filter(has_before), "Name");
    changes
}
