//! AWS CloudTrail records, `eventVersion` 1.05 to 1.11. The table with the reasons is in `docs/ingest.md`.
//!
//! Nothing of a record is lost: every member that no column holds to the letter goes into `new_state`.

use super::record::{Members, string};
use super::{Mapped, Mapping, Reject};
use crate::domain::{Action, ActorType, Category, Json, NewEvent, OrgId, Severity, Timestamp};
use serde_json::value::RawValue;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Members that an event always keeps under a column.
const ALWAYS_IN_COLUMNS: [&str; 6] =
    ["eventID", "eventTime", "eventSource", "eventName", "awsRegion", "userAgent"];

/// Characters that ids, sessions and requests have in the table.
const ID: usize = 64;

/// One record as an event.
pub(crate) fn map(text: &str, mapping: &Mapping) -> Result<Mapped, Reject> {
    let record = Members::parse(text)?;
    let identity = record.object("userIdentity");
    let event_id = record.required("eventID")?;
    let source = record.required("eventSource")?;
    let name = record.required("eventName")?;
    let service = source.strip_suffix(".amazonaws.com").unwrap_or(&source).to_owned();

    let account = record
        .some_text("recipientAccountId")
        .or_else(|| identity.as_ref().and_then(|i| i.some_text("accountId")));
    let organization_id = match (&mapping.organization, &account) {
        (Some(named), _) => named.clone(),
        (None, Some(account)) => {
            OrgId::new(account.as_str()).map_err(|e| Reject::new(format!("recipientAccountId: {e}")))?
        }
        (None, None) => {
            return Err(Reject::new("the record names no account: say with --org whose it is"));
        }
    };
    let actor = Actor::of(identity.as_ref());
    let address = record.some_text("sourceIPAddress");
    let actor_ip = address.as_deref().and_then(inet);
    let request = record.some_text("requestID");
    let resource = resource(&record).unwrap_or_else(|| name.clone());
    let resource_id = last(&resource, ID);

    let kept_whole = |key: &str| match key {
        "recipientAccountId" => account.as_deref() == Some(organization_id.as_str()),
        "sourceIPAddress" => actor_ip == address,
        "requestID" => request.as_deref().is_some_and(|r| r.chars().count() <= ID),
        key => ALWAYS_IN_COLUMNS.contains(&key),
    };
    let new_state = rest(&record, kept_whole);
    let event = NewEvent {
        timestamp: Timestamp::parse(&record.required("eventTime")?)
            .map_err(|e| Reject::new(format!("eventTime: {e}")))?,
        project_id: record.some_text("awsRegion"),
        actor_type: actor.kind,
        actor_id: last(&actor.id, ID),
        actor_email: actor.email,
        actor_ip,
        actor_user_agent: record.text("userAgent")?,
        event_category: category(&service, &name, &record),
        event_type: format!("{service}.{name}"),
        event_severity: severity(&name, &record),
        resource_type: service,
        // The whole of an identifier that had to be cut; the record itself has it at full length.
        resource_name: (resource_id != resource).then(|| last(&resource, 255)),
        resource_id,
        action: action(&name, &record),
        previous_state: None,
        new_state,
        request_id: last(request.as_deref().unwrap_or(&event_id), ID),
        session_id: identity.as_ref().and_then(|i| i.some_text("accessKeyId")).map(|k| last(&k, ID)),
        event_id,
        organization_id,
    };
    Ok(Mapped::New(event))
}

/// Who acted.
struct Actor {
    kind: ActorType,
    id: String,
    email: Option<String>,
}

impl Actor {
    fn of(identity: Option<&Members<'_>>) -> Self {
        let Some(identity) = identity else {
            return Self { kind: ActorType::System, id: "aws".to_owned(), email: None };
        };
        let kind = identity.some_text("type");
        let principal = identity.some_text("principalId");
        let issuer = identity
            .object("sessionContext")
            .and_then(|c| c.object("sessionIssuer"))
            .and_then(|i| i.some_text("userName"));
        // The name of a role's session stands behind the colon. With an @ in it, it is a person behind a role.
        let session =
            principal.as_deref().and_then(|p| p.split_once(':')).map(|(_, session)| session.to_owned());
        let user = identity.some_text("userName");
        let email = [session, user.clone()]
            .into_iter()
            .flatten()
            .find(|name| name.contains('@') && name.chars().count() <= 255);
        let kind = match kind.as_deref() {
            Some("AssumedRole" | "Role") if email.is_some() => ActorType::User,
            Some(
                "IAMUser" | "Root" | "FederatedUser" | "SAMLUser" | "WebIdentityUser" | "IdentityCenterUser",
            ) => ActorType::User,
            None | Some("AWSService" | "Unknown") => ActorType::System,
            Some(_) => ActorType::Service,
        };
        let id = user
            .or(issuer)
            .or_else(|| identity.some_text("invokedBy"))
            .or(principal)
            .or_else(|| identity.some_text("accountId"))
            .unwrap_or_else(|| "aws".to_owned());
        Self { kind, id, email }
    }
}

/// The address as PostgreSQL takes it; `None` for the names of services that stand in this place too.
///
/// Leading zeros (`075.050.255.67`, seen in anonymised logs) are decimal for PostgreSQL; other readers refuse them or
/// take them for octal, so they are dropped here.
fn inet(text: &str) -> Option<String> {
    if text.parse::<Ipv6Addr>().is_ok() {
        return Some(text.to_owned());
    }
    let parts: Vec<u8> = text
        .split('.')
        .map(|part| {
            (part.len() <= 3 && part.bytes().all(|b| b.is_ascii_digit())).then(|| part.parse().ok())?
        })
        .collect::<Option<_>>()?;
    <[u8; 4]>::try_from(parts).ok().map(|octets| Ipv4Addr::from(octets).to_string())
}

fn category(service: &str, name: &str, record: &Members<'_>) -> Category {
    match service {
        "signin" | "sts" | "sso" | "sso-oauth" | "cognito-idp" => Category::Auth,
        "iam" | "organizations" | "account" | "identitystore" | "sso-directory" => Category::Admin,
        "sagemaker" => Category::Eval,
        s if s.starts_with("bedrock") => Category::Eval,
        _ if is_access_to_data(name, record) => Category::Data,
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
const CRITICAL: [&str; 9] = [
    "StopLogging",
    "DeleteTrail",
    "PutEventSelectors",
    "LeaveOrganization",
    "DeleteFlowLogs",
    "DeleteDetector",
    "StopConfigurationRecorder",
    "DeleteConfigurationRecorder",
    "DeleteEventDataStore",
];

fn severity(name: &str, record: &Members<'_>) -> Severity {
    let denied = record.some_text("errorCode").is_some_and(|code| {
        ["AccessDenied", "Unauthorized", "Forbidden", "NotAuthorized", "AuthFailure"]
            .iter()
            .any(|word| code.contains(word))
    });
    let failed_login =
        || record.object("responseElements").and_then(|r| r.some_text(name)).as_deref() == Some("Failure");
    if CRITICAL.contains(&name) {
        Severity::Critical
    } else if denied || failed_login() {
        Severity::Warning
    } else {
        Severity::Info
    }
}

fn action(name: &str, record: &Members<'_>) -> Action {
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
    ];
    const READS: &[&str] =
        &["Get", "List", "Describe", "Head", "Lookup", "BatchGet", "Search", "Query", "Scan"];
    let starts = |verbs: &[&str]| verbs.iter().any(|verb| name.starts_with(verb));
    match record.get("readOnly").map(RawValue::get) {
        Some("true" | "\"true\"") => return Action::Read,
        // Before version 1.08 not every record says.
        None if starts(READS) => return Action::Read,
        _ => {}
    }
    VERBS.iter().find(|(_, verbs)| starts(verbs)).map_or(Action::Update, |(action, _)| *action)
}

/// What the call was about: the first ARN among the resources, else the first name in the request, else the first
/// name in the answer (which is what a call has made), else the first name in the details of a service's own event.
fn resource(record: &Members<'_>) -> Option<String> {
    let arn = || {
        let resources: Vec<Members<'_>> = serde_json::from_str(record.get("resources")?.get()).ok()?;
        resources.first()?.some_text("ARN")
    };
    let inside = |key: &str| record.get(key).and_then(|raw| named(raw, 4));
    let details = || {
        (record.some_text("eventType")? == "AwsServiceEvent")
            .then(|| inside("serviceEventDetails").or_else(|| inside("additionalEventData")))?
    };
    arn().or_else(|| inside("requestParameters")).or_else(|| inside("responseElements")).or_else(details)
}

/// The first member that names something, nearer ones before those further inside.
fn named(raw: &RawValue, depth: usize) -> Option<String> {
    if depth == 0 {
        return None;
    }
    if let Ok(array) = serde_json::from_str::<Vec<&RawValue>>(raw.get()) {
        return array.first().and_then(|first| named(first, depth - 1));
    }
    let members = Members::parse(raw.get()).ok()?;
    let here = members
        .iter()
        .filter(|(key, _)| names_something(key))
        .find_map(|(_, value)| string(value).filter(|s| !s.is_empty()));
    here.or_else(|| members.iter().find_map(|(_, value)| named(value, depth - 1)))
}

fn names_something(key: &str) -> bool {
    const ENDINGS: [&str; 6] = ["Name", "Id", "ID", "Arn", "ARN", "Bucket"];
    if matches!(key, "requestId" | "RequestId" | "ownerId" | "reservationId" | "accountId") {
        return false;
    }
    ENDINGS.iter().any(|end| key.ends_with(end)) || matches!(key, "name" | "id" | "arn" | "bucket")
}

/// The members that no column keeps, as one JSON object in the order and the spelling of the record.
fn rest(record: &Members<'_>, kept: impl Fn(&str) -> bool) -> Option<Json> {
    let mut out = String::new();
    for (key, raw) in record.iter() {
        if raw.get() == "null" || kept(key) {
            continue;
        }
        out.push(if out.is_empty() { '{' } else { ',' });
        out.push_str(&serde_json::Value::from(key).to_string());
        out.push(':');
        out.push_str(raw.get());
    }
    (!out.is_empty()).then(|| {
        out.push('}');
        Json::from_trusted(out)
    })
}

/// The last `n` characters: the end of an ARN tells more than its beginning.
fn last(text: &str, n: usize) -> String {
    text.chars().skip(text.chars().count().saturating_sub(n)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record with everything that has to be there, and `more` members.
    fn record(source: &str, name: &str, identity: &str, more: &str) -> String {
        format!(
            r#"{{"eventID":"293ba626-3be5-4a26-ab1b-0f4c54f49959","eventTime":"2023-07-10T11:42:36Z",
            "eventSource":"{source}.amazonaws.com","eventName":"{name}","awsRegion":"us-east-1",
            "recipientAccountId":"123837392027","userAgent":"aws-cli","userIdentity":{identity}{more}}}"#
        )
    }

    const USER: &str = r#"{"type":"IAMUser","principalId":"AIDA","userName":"bert","accessKeyId":"AKIA1"}"#;

    fn event_of(text: &str, organization: Option<&str>) -> NewEvent {
        let organization = organization.map(|o| OrgId::new(o).unwrap());
        match map(text, &Mapping { organization, preserve_chain: false }).unwrap() {
            Mapped::New(event) => event,
            Mapped::Preserved(_) => panic!("CloudTrail has no chain"),
        }
    }

    fn event(source: &str, name: &str, identity: &str, more: &str) -> NewEvent {
        event_of(&record(source, name, identity, more), None)
    }

    #[test]
    fn an_ordinary_call() {
        let e = event(
            "s3",
            "PutBucketPolicy",
            USER,
            r#","readOnly":false,"sourceIPAddress":"10.248.16.43","requestID":"CC9X","requestParameters":
            {"Host":"h","bucketName":"trail","limit":1.10},"responseElements":null,"errorCode":null"#,
        );
        assert_eq!(e.event_id, "293ba626-3be5-4a26-ab1b-0f4c54f49959");
        assert_eq!(e.timestamp.to_rfc3339(), "2023-07-10T11:42:36.000000Z");
        assert_eq!(e.organization_id.as_str(), "123837392027");
        assert_eq!(e.project_id.as_deref(), Some("us-east-1"));
        assert_eq!((e.actor_type, e.actor_id.as_str(), e.actor_email), (ActorType::User, "bert", None));
        assert_eq!(e.actor_ip.as_deref(), Some("10.248.16.43"));
        assert_eq!(
            (e.event_category, e.event_severity, e.action),
            (Category::Config, Severity::Info, Action::Update)
        );
        assert_eq!((e.event_type.as_str(), e.resource_type.as_str()), ("s3.PutBucketPolicy", "s3"));
        assert_eq!((e.resource_id.as_str(), e.resource_name), ("trail", None));
        assert_eq!((e.request_id.as_str(), e.session_id.as_deref()), ("CC9X", Some("AKIA1")));
        let state = e.new_state.unwrap();
        assert!(state.as_str().starts_with(r#"{"userIdentity":{"type":"IAMUser""#), "{}", state.as_str());
        assert!(state.as_str().contains("\"limit\":1.10"), "digits as they stand");
        for absent in
            ["responseElements", "errorCode", "requestID", "sourceIPAddress", "eventID", "recipientAcc"]
        {
            assert!(!state.as_str().contains(absent), "{absent} is null, or in a column");
        }
    }

    #[test]
    fn what_a_column_cannot_hold_stays_in_the_state() {
        let arn = format!("arn:aws:secretsmanager:us-east-1:123837392027:secret:{}", "x".repeat(60));
        let request = "r".repeat(143);
        let e = event(
            "secretsmanager",
            "GetSecretValue",
            USER,
            &format!(
                r#","resources":[{{"ARN":"{arn}"}}],"requestID":"{request}","sourceIPAddress":"AWS Internal","readOnly":true"#
            ),
        );
        assert_eq!(e.resource_id, arn[arn.len() - 64..]);
        assert_eq!(e.resource_name.as_deref(), Some(arn.as_str()));
        assert_eq!((e.request_id.len(), e.actor_ip), (64, None));
        assert_eq!((e.event_category, e.action), (Category::Data, Action::Read));
        let state: serde_json::Value = serde_json::from_str(e.new_state.unwrap().as_str()).unwrap();
        assert_eq!(state["requestID"], request);
        assert_eq!(state["sourceIPAddress"], "AWS Internal");
    }

    #[test]
    fn addresses_are_those_that_postgresql_takes() {
        assert_eq!(inet("075.050.255.67").as_deref(), Some("75.50.255.67"));
        assert_eq!(inet("2001:db8::1").as_deref(), Some("2001:db8::1"));
        for word in [
            "AWS Internal",
            "s3.amazonaws.com",
            "1.2.3",
            "1.2.3.4.5",
            "1.2.3.256",
            "1.2.3.0004",
            "1..2.3",
            "fe80::1%eth0",
            "",
        ] {
            assert_eq!(inet(word), None, "{word}");
        }
        let e = event("ec2", "RunInstances", USER, r#","sourceIPAddress":"075.050.255.67""#);
        assert!(
            e.new_state.unwrap().as_str().contains("075.050.255.67"),
            "the spelling of the record is kept"
        );
    }

    #[test]
    fn a_person_behind_a_role_is_a_person() {
        let role = |session: &str| {
            format!(
                r#"{{"type":"AssumedRole","principalId":"AROA:{session}","accessKeyId":"ASIA",
                "sessionContext":{{"sessionIssuer":{{"userName":"admin-role"}}}}}}"#
            )
        };
        let e = event("ec2", "RunInstances", &role("alice@acme.example"), "");
        assert_eq!((e.actor_type, e.actor_email.as_deref()), (ActorType::User, Some("alice@acme.example")));
        assert_eq!(e.actor_id, "admin-role");
        let e = event("ec2", "RunInstances", &role("i-0123"), "");
        assert_eq!((e.actor_type, e.actor_email), (ActorType::Service, None));
    }

    #[test]
    fn every_kind_of_identity_has_an_actor() {
        for (identity, kind, id) in [
            (r#"{"type":"Root","principalId":"123"}"#, ActorType::User, "123"),
            (
                r#"{"type":"AWSService","invokedBy":"ec2.amazonaws.com"}"#,
                ActorType::System,
                "ec2.amazonaws.com",
            ),
            (r#"{"accountId":"123","invokedBy":"AWS Internal"}"#, ActorType::System, "AWS Internal"),
            (
                r#"{"type":"AWSAccount","accountId":"ANONYMOUS_PRINCIPAL"}"#,
                ActorType::Service,
                "ANONYMOUS_PRINCIPAL",
            ),
            ("null", ActorType::System, "aws"),
            ("7", ActorType::System, "aws"),
        ] {
            let e = event("ec2", "RunInstances", identity, "");
            assert_eq!((e.actor_type, e.actor_id.as_str()), (kind, id), "{identity}");
        }
    }

    #[test]
    fn severity_tells_attempts_from_noise() {
        let severity = |name, more| event("ec2", name, USER, more).event_severity;
        assert_eq!(severity("StopLogging", r#","errorCode":"AccessDenied""#), Severity::Critical);
        assert_eq!(
            severity("RunInstances", r#","errorCode":"Client.UnauthorizedOperation""#),
            Severity::Warning
        );
        assert_eq!(severity("GetBucketTagging", r#","errorCode":"NoSuchTagSet""#), Severity::Info);
        assert_eq!(
            severity("ConsoleLogin", r#","responseElements":{"ConsoleLogin":"Failure"}"#),
            Severity::Warning
        );
        assert_eq!(
            severity("ConsoleLogin", r#","responseElements":{"ConsoleLogin":"Success"}"#),
            Severity::Info
        );
    }

    #[test]
    fn actions_follow_the_verb_unless_the_record_says_that_it_only_read() {
        let action = |name, more| event("x", name, USER, more).action;
        assert_eq!(action("AssumeRole", r#","readOnly":true"#), Action::Read);
        assert_eq!(action("AssumeRole", ""), Action::Create);
        assert_eq!(action("DescribeInstances", ""), Action::Read);
        assert_eq!(action("TerminateInstances", r#","readOnly":false"#), Action::Delete);
        assert_eq!(action("CopySnapshot", ""), Action::Export);
        assert_eq!(action("ModifySnapshotAttribute", ""), Action::Update);
    }

    #[test]
    fn categories_follow_the_service_first() {
        let category = |service, name, more| event(service, name, USER, more).event_category;
        assert_eq!(category("sts", "GetCallerIdentity", ""), Category::Auth);
        assert_eq!(category("iam", "CreateUser", ""), Category::Admin);
        assert_eq!(category("bedrock-runtime", "InvokeModel", ""), Category::Eval);
        assert_eq!(category("ssm", "GetParametersByPath", ""), Category::Data);
        assert_eq!(category("s3", "PutObject", r#","managementEvent":false"#), Category::Data);
        assert_eq!(category("s3", "ListBuckets", ""), Category::Config);
    }

    #[test]
    fn resources_are_found_near_first() {
        let id = |more: &str| event("ec2", "Call", USER, more).resource_id;
        assert_eq!(id(r#","requestParameters":{"x":{"itemId":"far"},"vpcId":"near"}"#), "near");
        assert_eq!(id(r#","requestParameters":{"instancesSet":{"items":[{"instanceId":"i-1"}]}}"#), "i-1");
        assert_eq!(
            id(
                r#","requestParameters":{"cidr":"x"},"responseElements":{"requestId":"r","vpc":{"vpcId":"vpc-1"}}"#
            ),
            "vpc-1"
        );
        let details = r#","additionalEventData":{"ARN":"secret-1"}"#;
        assert_eq!(id(&format!(r#","eventType":"AwsServiceEvent"{details}"#)), "secret-1");
        assert_eq!(id(details), "Call", "in an ordinary call they describe the connection");
        assert_eq!(id(r#","requestParameters":null,"resources":[]"#), "Call");
    }

    #[test]
    fn the_organisation_is_the_named_one_else_the_account() {
        let text = record("ec2", "Call", USER, "");
        let e = event_of(&text, Some("invictus"));
        assert_eq!(e.organization_id.as_str(), "invictus");
        assert!(e.new_state.unwrap().as_str().contains("123837392027"), "the account is not lost");
        let without = text.replace("recipientAccountId", "x");
        let e = map(&without, &Mapping::default()).unwrap_err();
        assert_eq!(e.to_string(), "the record names no account: say with --org whose it is");
    }

    #[test]
    fn what_has_to_be_there_is_named() {
        for key in ["eventID", "eventTime", "eventSource", "eventName"] {
            let text = record("ec2", "Call", USER, "").replace(key, "x");
            assert_eq!(map(&text, &Mapping::default()).unwrap_err().to_string(), format!("{key}: missing"));
        }
    }
}
