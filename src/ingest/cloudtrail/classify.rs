//! Category, severity and action of a call. The rules stand in `docs/guide/ingest.md`, one line each.

use super::Call;
use super::identity::ROOT;
use crate::domain::{Action, Category, Severity};
use crate::ingest::record::{Members, string};
use serde_json::Value;

pub(super) fn category(call: &Call, record: &Members<'_>) -> Category {
    match call.service.as_str() {
        "signin" | "sts" | "sso" | "sso-oauth" | "cognito-idp" => Category::Auth,
        "iam" | "organizations" | "account" | "identitystore" | "sso-directory" => Category::Admin,
        "sagemaker" => Category::Eval,
        s if s.starts_with("bedrock") => Category::Eval,
        _ if is_access_to_data(&call.name, record) => Category::Data,
        _ => Category::Config,
    }
}

fn is_access_to_data(name: &str, record: &Members<'_>) -> bool {
    record.some_text("eventCategory").as_deref() == Some("Data")
        || record.get("managementEvent").is_some_and(|v| v.get() == "false")
        || name.starts_with("GetParameter")
        || matches!(
            name,
            "GetSecretValue" | "BatchGetSecretValue" | "Decrypt" | "GetObject" | "GetPasswordData"
        )
}

/// Calls that blind the watchers or take the account out of their reach, also when they were only tried.
const CRITICAL: &[&str] = &[
    "StopLogging",
    "DeleteTrail",
    "PutEventSelectors",
    "LeaveOrganization",
    "DeleteFlowLogs",
    "DeleteDetector",
    "StopMonitoringMembers",
    "DisassociateFromMasterAccount",
    "DisassociateFromAdministratorAccount",
    "StopConfigurationRecorder",
    "DeleteConfigurationRecorder",
    "DeleteEventDataStore",
    "StopEventDataStoreIngestion",
    "DisableSecurityHub",
];

/// Words of error codes by which a call was denied.
const DENIED: &[&str] = &["AccessDenied", "Unauthorized", "Forbidden", "NotAuthorized", "AuthFailure"];

/// Error codes of requests that were signed with a key that does not exist or is not known to the caller.
const PROBING: &[&str] = &[
    "SignatureDoesNotMatch",
    "InvalidSignature",
    "IncompleteSignature",
    "InvalidClientTokenId",
    "InvalidAccessKeyId",
    "UnrecognizedClientException",
    "MissingAuthenticationToken",
];

pub(super) fn severity(call: &Call, record: &Members<'_>, identity: Option<&Members<'_>>) -> Severity {
    let error = record.some_text("errorCode").unwrap_or_default();
    let has_one_of = |words: &[&str]| words.iter().any(|word| error.contains(word));
    if CRITICAL.contains(&call.name.as_str()) || switches_off_detector(call, record) {
        Severity::Critical
    } else if has_one_of(DENIED)
        || has_one_of(PROBING)
        || failed_sign_in(call, record)
        || by_root(record, identity)
        || call.insight
        || (error.is_empty() && action(call, record) != Action::Read && exposes(call, record))
    {
        Severity::Warning
    } else {
        Severity::Info
    }
}

fn switches_off_detector(call: &Call, record: &Members<'_>) -> bool {
    call.name == "UpdateDetector"
        && record
            .object("requestParameters")
            .and_then(|request| request.get("enable"))
            .is_some_and(|enable| enable.get() == "false")
}

/// Only the answer or a message tells: failed sign-ins need not have an error code.
fn failed_sign_in(call: &Call, record: &Members<'_>) -> bool {
    let says_failure = |key: &str| {
        record.object(key).and_then(|answer| answer.some_text(&call.name)).as_deref() == Some("Failure")
    };
    let signs_in = matches!(call.service.as_str(), "signin" | "sso");
    says_failure("responseElements")
        || says_failure("serviceEventDetails")
        || (signs_in
            && (record.some_text("errorMessage").is_some() || record.some_text("errorCode").is_some()))
}

/// As the usual alarm has it: by the account's owner, not by a service in its name.
fn by_root(record: &Members<'_>, identity: Option<&Members<'_>>) -> bool {
    identity.is_some_and(|i| {
        i.some_text("type").is_some_and(|kind| kind.eq_ignore_ascii_case(ROOT)) && !i.has("invokedBy")
    }) && record.some_text("eventType").as_deref() != Some("AwsServiceEvent")
}

/// Whether a call opens something to everybody.
fn exposes(call: &Call, record: &Members<'_>) -> bool {
    let name = call.name.as_str();
    if matches!(
        name,
        "DeletePublicAccessBlock" | "DeleteBucketPublicAccessBlock" | "DeleteAccountPublicAccessBlock"
    ) {
        return true;
    }
    let Some(raw) = record.get("requestParameters") else { return false };
    let Ok(request) = serde_json::from_str::<Value>(raw.get()) else { return false };
    let to_anybody = |text: &str| matches!(text, "0.0.0.0/0" | "::/0");
    let to_all = |text: &str| {
        matches!(text, "public-read" | "public-read-write" | "authenticated-read" | "all" | "*")
            || text.ends_with("/global/AllUsers")
            || text.ends_with("/global/AuthenticatedUsers")
    };
    let has = |test: &dyn Fn(&str) -> bool| {
        any_value(&request, DEPTH, &|_, value| value.as_str().is_some_and(test))
    };
    if name.contains("Ingress") {
        return has(&to_anybody);
    }
    if name.contains("PublicAccessBlock") {
        return any_value(&request, DEPTH, &|_, value| *value == Value::Bool(false));
    }
    if name.contains("Acl") || name.contains("ACL") || name.ends_with("Attribute") {
        return has(&to_all);
    }
    let is_key = |wanted: &'static str| move |key: &str| key.eq_ignore_ascii_case(wanted);
    any_value(&request, DEPTH, &|key, value| {
        (is_key("publiclyAccessible")(key) && *value == Value::Bool(true))
            || (is_key("authType")(key) && value == "NONE" && name.contains("FunctionUrl"))
            || (name.starts_with("AddPermission") && is_key("principal")(key) && value == "*")
            || allows_everybody(value)
    })
}

/// A statement of a policy that allows everybody something, without a condition.
fn allows_everybody(value: &Value) -> bool {
    let Value::Object(statement) = value else { return false };
    let get = |key: &str| statement.iter().find(|(k, _)| k.eq_ignore_ascii_case(key)).map(|(_, v)| v);
    let everybody = |principal: &Value| any_value(principal, 3, &|_, v| v == "*");
    get("effect").is_some_and(|effect| effect == "Allow")
        && get("condition").is_none()
        && get("principal").is_some_and(everybody)
}

/// How deep a request is looked through, JSON inside strings included.
const DEPTH: usize = 12;

/// Whether a value, or one inside it, passes a test; JSON inside strings (policies) is looked into.
fn any_value(value: &Value, depth: usize, test: &dyn Fn(&str, &Value) -> bool) -> bool {
    fn inside(key: &str, value: &Value, depth: usize, test: &dyn Fn(&str, &Value) -> bool) -> bool {
        if test(key, value) {
            return true;
        }
        if depth == 0 {
            return false;
        }
        match value {
            Value::Array(elements) => elements.iter().any(|e| inside(key, e, depth - 1, test)),
            Value::Object(members) => members.iter().any(|(k, v)| inside(k, v, depth - 1, test)),
            Value::String(text) if text.starts_with(['{', '[']) => {
                serde_json::from_str::<Value>(text).is_ok_and(|inner| inside(key, &inner, depth - 1, test))
            }
            _ => false,
        }
    }
    inside("", value, depth, test)
}

/// Verbs, with what they do.
const VERBS: &[(Action, &[&str])] = &[
    (
        Action::Create,
        &[
            "Create",
            "Run",
            "Attach",
            "Add",
            "Authorize",
            "Assume",
            "Invoke",
            "Allocate",
            "Register",
            "ConsoleLogin",
            "UserAuthentication",
            // They make a session, whatever their verb says.
            "GetSessionToken",
            "GetFederationToken",
        ],
    ),
    (
        Action::Delete,
        &[
            "Delete",
            "Remove",
            "Terminate",
            "Detach",
            "Stop",
            "Revoke",
            "Leave",
            "Release",
            "Deregister",
            "Disassociate",
        ],
    ),
    (Action::Export, &["Export", "Download", "Copy"]),
    (Action::Read, &["Get", "List", "Describe", "Head", "Lookup", "BatchGet", "Search", "Query", "Scan"]),
];

pub(super) fn action(call: &Call, record: &Members<'_>) -> Action {
    if call.insight {
        return Action::Create;
    }
    let read_only = record.get("readOnly").is_some_and(|v| {
        v.get() == "true" || string(v).is_some_and(|text| text.eq_ignore_ascii_case("true"))
    });
    if read_only {
        return Action::Read;
    }
    let starts = |verbs: &[&str]| verbs.iter().any(|verb| call.name.starts_with(verb));
    VERBS.iter().find(|(_, verbs)| starts(verbs)).map_or(Action::Update, |(action, _)| *action)
}
