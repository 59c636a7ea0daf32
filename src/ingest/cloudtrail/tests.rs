//! The mapping, held to records in the shapes that real logs have.

use super::*;
use crate::domain::{Action, ActorType, Category, Severity};
use crate::ingest::Incoming;
use crate::ingest::format::Opened;
use proptest::prelude::*;
use serde_json::{Value, json};

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
    match map(text, &Mapping { organization, ..Mapping::default() }).unwrap().event {
        Incoming::New(event) => event,
        Incoming::Preserved(_) => panic!("CloudTrail has no chain"),
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
    for absent in ["responseElements", "errorCode", "requestID", "sourceIPAddress", "eventID", "recipientAcc"]
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
fn an_address_is_cleaned_for_the_column_and_kept_in_the_state() {
    for (written, column) in [
        ("075.050.255.67", Some("75.50.255.67")),
        ("198.51.100.4:443", Some("198.51.100.4")),
        ("198.51.100.7, 192.168.10.10", Some("198.51.100.7")),
        ("AWS Internal", None),
        ("10.0.0.0/8", None),
    ] {
        let e = event("ec2", "RunInstances", USER, &format!(r#","sourceIPAddress":"{written}""#));
        assert_eq!(e.actor_ip.as_deref(), column);
        assert!(e.new_state.unwrap().as_str().contains(written), "the spelling of the record is kept");
    }
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
        (r#"{"type":"Root","principalId":"123","accountId":"123"}"#, ActorType::User, "root"),
        (r#"{"type":"AWSService","invokedBy":"ec2.amazonaws.com"}"#, ActorType::System, "ec2.amazonaws.com"),
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
    assert_eq!(severity("RunInstances", r#","errorCode":"Client.UnauthorizedOperation""#), Severity::Warning);
    assert_eq!(severity("GetBucketTagging", r#","errorCode":"NoSuchTagSet""#), Severity::Info);
    assert_eq!(
        severity("ConsoleLogin", r#","responseElements":{"ConsoleLogin":"Failure"}"#),
        Severity::Warning
    );
    assert_eq!(severity("ConsoleLogin", r#","responseElements":{"ConsoleLogin":"Success"}"#), Severity::Info);
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
    for key in ["eventTime", "eventSource", "eventName"] {
        let text = record("ec2", "Call", USER, "").replace(key, "x");
        let why = map(&text, &Mapping::default()).unwrap_err().to_string();
        assert!(why.starts_with(&format!("{key}: missing")), "{why}");
    }
}

/// The columns that choose among members: they must not change with the order of members.
fn shuffled(value: &Value, order: &mut impl FnMut(usize) -> usize) -> String {
    match value {
        Value::Object(members) => {
            let mut rest: Vec<_> = members.iter().collect();
            let mut out = Vec::new();
            while !rest.is_empty() {
                let (key, value) = rest.remove(order(rest.len()));
                out.push(format!("{}:{}", json!(key), shuffled(value, order)));
            }
            format!("{{{}}}", out.join(","))
        }
        Value::Array(elements) => {
            let elements: Vec<_> = elements.iter().map(|e| shuffled(e, order)).collect();
            format!("[{}]", elements.join(","))
        }
        scalar => scalar.to_string(),
    }
}

/// An event without what is kept in the spelling of the record.
fn columns(text: &str) -> NewEvent {
    NewEvent { new_state: None, ..event_of(text, None) }
}

proptest! {
    #[test]
    fn the_order_of_members_is_irrelevant(seed in any::<u64>(), which in 0usize..4) {
        let request = [
            json!({"userName": "eve", "policyArn": "arn:aws:iam::aws:policy/AdministratorAccess"}),
            json!({"b": {"zoneId": "z", "aId": "a"}, "a": {"cName": "c", "bName": "b"}}),
            json!({"vpcId": "v", "groupId": "g", "filterSet": {"items": [{"name": "vpc-id"}]}}),
            json!({"instancesSet": {"items": [{"instanceId": "i", "imageId": "ami"}]}}),
        ][which].clone();
        let record = json!({
            "eventTime": "2026-03-04T05:16:00Z", "eventSource": "iam.amazonaws.com", "eventName": "AttachUserPolicy",
            "recipientAccountId": "111122223333", "userIdentity": {"type": "IAMUser", "userName": "ada"},
            "requestParameters": request
        });
        let mut state = seed;
        let mut order = |n: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as usize % n
        };
        let (a, b) = (record.to_string(), shuffled(&record, &mut order));
        prop_assert_eq!(columns(&a), columns(&b));
        prop_assert_eq!(columns(&a).event_id.len(), 64, "an id of the content");
    }
}

/// A record of its own service with a request and perhaps more.
fn resource(service: &str, name: &str, more: &str) -> String {
    event(service, name, USER, more).resource_id
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn what_a_call_is_about_is_named_as_its_history_is() {
    for (service, name, more, wanted) in [
        ("iam", "AttachUserPolicy", r#","requestParameters":{"policyArn":"arn:p","userName":"eve"}"#, "eve"),
        ("iam", "UpdateAccessKey", r#","requestParameters":{"accessKeyId":"AKIA","userName":"eve"}"#, "eve"),
        (
            "sns",
            "SetTopicAttributes",
            r#","requestParameters":{"attributeName":"Policy","attributeValue":"{}","topicArn":"arn:aws:sns:x:1:alerts"}"#,
            "arn:aws:sns:x:1:alerts",
        ),
        (
            "rds",
            "ModifyDBInstance",
            r#","requestParameters":{"dBInstanceIdentifier":"prod-db","publiclyAccessible":true},"errorCode":"AccessDenied""#,
            "prod-db",
        ),
        (
            "rds",
            "DeleteDBInstance",
            r#","requestParameters":{"dBInstanceIdentifier":"prod-db"},"responseElements":{"dBSubnetGroup":{"dBSubnetGroupName":"default"},"dBInstanceArn":"arn:aws:rds:x:1:db:prod-db"}"#,
            "prod-db",
        ),
        (
            "sqs",
            "SetQueueAttributes",
            r#","requestParameters":{"queueUrl":"https://sqs/1/q","attribute":{"Policy":""}}"#,
            "https://sqs/1/q",
        ),
        (
            "ssm",
            "StartSession",
            r#","requestParameters":{"target":"i-0aa"},"responseElements":{"sessionId":"s","streamUrl":"wss://x"}"#,
            "i-0aa",
        ),
        (
            "ssm",
            "SendCommand",
            r#","requestParameters":{"documentName":"AWS-RunShellScript","instanceIds":["i-0aa"],"targets":[{"key":"instanceids","values":["i-1"]}]}"#,
            "i-0aa",
        ),
        (
            "ec2",
            "RunInstances",
            r#","requestParameters":{"instancesSet":{"items":[{"imageId":"ami-1","minCount":1}]},"subnetId":"subnet-1"},"responseElements":{"requestId":"r","reservationId":"r-1","groupSet":{"items":[{"groupId":"sg-1"}]},"instancesSet":{"items":[{"instanceId":"i-1","imageId":"ami-1"}]}}"#,
            "i-1",
        ),
        (
            "ec2",
            "RunInstances",
            r#","requestParameters":{"instancesSet":{"items":[{"imageId":"ami-1"}]}},"responseElements":null,"errorCode":"Client.UnauthorizedOperation""#,
            "ami-1",
        ),
        (
            "ec2",
            "CreateSubnet",
            r#","requestParameters":{"vpcId":"vpc-1"},"responseElements":{"subnet":{"vpcId":"vpc-1","subnetId":"subnet-1"}}"#,
            "subnet-1",
        ),
        (
            "ec2",
            "CreateRoute",
            r#","requestParameters":{"routeTableId":"rtb-1","gatewayId":"igw-1"},"responseElements":{"requestId":"r","_return":true}"#,
            "rtb-1",
        ),
        (
            "ec2",
            "DescribeVpcs",
            r#","requestParameters":{"vpcSet":{},"filterSet":{"items":[{"name":"vpc-id"}]}}"#,
            "DescribeVpcs",
        ),
        (
            "ec2",
            "TerminateInstances",
            r#","requestParameters":{"instancesSet":{"items":[{"instanceId":"i-a"},{"instanceId":"i-b"}]}}"#,
            "i-a",
        ),
        (
            "s3",
            "DeleteObjects",
            r#","resources":[{"type":"AWS::S3::Object","ARNPrefix":"arn:aws:s3:::b/"},{"ARN":"arn:aws:s3:::b"}]"#,
            "arn:aws:s3:::b",
        ),
        (
            "lambda",
            "AddPermission20150331v2",
            r#","requestParameters":{"principal":"sns.amazonaws.com","statementId":"sns","functionName":"fn-1"}"#,
            "fn-1",
        ),
        (
            "sso",
            "UserAuthentication",
            r#","eventType":"AwsServiceEvent","additionalEventData":{"AuthWorkflowID":"wf","LoginTo":"https://d-1.awsapps.com/start","UserName":"eve@corp.example"}"#,
            "https://d-1.awsapps.com/start",
        ),
        (
            "sso",
            "UserAuthentication",
            r#","eventType":"AwsServiceEvent","additionalEventData":{"AuthWorkflowID":"wf"}"#,
            "UserAuthentication",
        ),
    ] {
        assert_eq!(resource(service, name, more), wanted, "{service} {name}");
    }
}

#[test]
fn a_user_of_the_identity_centre_is_a_person() {
    let unknown =
        r#"{"type":"Unknown","principalId":"111122223333","accountId":"111122223333","userName":null}"#;
    let typed = r#","eventType":"AwsServiceEvent","additionalEventData":{"UserName":"eve@corp.example"}"#;
    let e = event("sso", "UserAuthentication", unknown, typed);
    assert_eq!((e.actor_type, e.actor_id.as_str()), (ActorType::User, "eve@corp.example"));
    assert_eq!(e.actor_email.as_deref(), Some("eve@corp.example"));
    let behalf = r#"{"type":"IdentityCenterUser","accountId":"1","onBehalfOf":{"userId":"u-1","identityStoreArn":"arn"}}"#;
    let e = event("sso", "ListApplications", behalf, "");
    assert_eq!((e.actor_type, e.actor_id.as_str()), (ActorType::User, "u-1"));
}

#[test]
fn severity_follows_the_documented_rules() {
    let of = |service: &str, name: &str, more: &str| event(service, name, USER, more).event_severity;
    let (critical, warning, info) = (Severity::Critical, Severity::Warning, Severity::Info);
    for (service, name, more, wanted) in [
        (
            "guardduty",
            "UpdateDetector",
            r#","requestParameters":{"detectorId":"d","enable":false}"#,
            critical,
        ),
        ("guardduty", "UpdateDetector", r#","requestParameters":{"detectorId":"d","enable":true}"#, info),
        ("organizations", "LeaveOrganization", r#","errorCode":"AccessDeniedException""#, critical),
        ("signin", "ConsoleLogin", r#","responseElements":{"ConsoleLogin":"Failure"}"#, warning),
        ("signin", "ConsoleLogin", r#","errorMessage":"Failed authentication""#, warning),
        ("signin", "SwitchRole", r#","errorCode":"x""#, warning),
        ("sso", "UserAuthentication", r#","serviceEventDetails":{"UserAuthentication":"Failure"}"#, warning),
        ("sso", "UserAuthentication", r#","serviceEventDetails":{"UserAuthentication":"Success"}"#, info),
        ("sts", "GetCallerIdentity", r#","errorCode":"InvalidClientTokenId","readOnly":true"#, warning),
        ("s3", "ListBuckets", r#","errorCode":"SignatureDoesNotMatch","readOnly":true"#, warning),
        ("s3", "GetBucketTagging", r#","errorCode":"NoSuchTagSet""#, info),
        ("ec2", "DescribeInstances", r#","errorCode":"Client.RequestLimitExceeded""#, info),
        (
            "ec2",
            "AuthorizeSecurityGroupIngress",
            r#","requestParameters":{"groupId":"sg","ipPermissions":{"items":[{"ipRanges":{"items":[{"cidrIp":"0.0.0.0/0"}]}}]}}"#,
            warning,
        ),
        (
            "ec2",
            "AuthorizeSecurityGroupIngress",
            r#","requestParameters":{"groupId":"sg","ipPermissions":{"items":[{"ipRanges":{"items":[{"cidrIp":"10.0.0.0/8"}]}}]}}"#,
            info,
        ),
        ("ec2", "AuthorizeSecurityGroupEgress", r#","requestParameters":{"cidrIp":"0.0.0.0/0"}"#, info),
        ("ec2", "CreateRoute", r#","requestParameters":{"destinationCidrBlock":"0.0.0.0/0"}"#, info),
        (
            "s3",
            "PutBucketPolicy",
            r#","requestParameters":{"bucketPolicy":{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject"}]}}"#,
            warning,
        ),
        (
            "s3",
            "PutBucketPolicy",
            r#","requestParameters":{"bucketPolicy":{"Statement":[{"Effect":"Deny","Principal":"*"}]}}"#,
            info,
        ),
        (
            "s3",
            "PutBucketPolicy",
            r#","requestParameters":{"bucketPolicy":{"Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Condition":{"StringEquals":{}}}]}}"#,
            info,
        ),
        (
            "sns",
            "SetTopicAttributes",
            r#","requestParameters":{"attributeValue":"{\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"*\"}}]}"}"#,
            warning,
        ),
        ("s3", "PutBucketAcl", r#","requestParameters":{"x-amz-acl":["public-read"]}"#, warning),
        ("s3", "PutBucketAcl", r#","requestParameters":{"x-amz-acl":["private"]}"#, info),
        ("s3", "DeleteBucketPublicAccessBlock", "", warning),
        ("rds", "ModifyDBInstance", r#","requestParameters":{"publiclyAccessible":true}"#, warning),
        (
            "ec2",
            "ModifySnapshotAttribute",
            r#","requestParameters":{"createVolumePermission":{"add":{"items":[{"group":"all"}]}}}"#,
            warning,
        ),
        (
            "ec2",
            "ModifySnapshotAttribute",
            r#","requestParameters":{"createVolumePermission":{"add":{"items":[{"userId":"1"}]}}}"#,
            info,
        ),
        ("lambda", "AddPermission20150331v2", r#","requestParameters":{"principal":"*"}"#, warning),
        (
            "lambda",
            "AddPermission20150331v2",
            r#","requestParameters":{"principal":"sns.amazonaws.com"}"#,
            info,
        ),
        // It failed: nothing was opened.
        ("s3", "DeleteBucketPublicAccessBlock", r#","errorCode":"NoSuchBucket""#, info),
    ] {
        assert_eq!(of(service, name, more), wanted, "{service} {name} {more}");
    }
    let root = r#"{"type":"Root","principalId":"1","accountId":"1"}"#;
    assert_eq!(event("iam", "CreateUser", root, "").event_severity, warning);
    let for_root = r#"{"type":"Root","principalId":"1","invokedBy":"AWS Internal"}"#;
    assert_eq!(event("iam", "CreateUser", for_root, "").event_severity, info);
}

#[test]
fn a_call_that_only_asks_for_a_session_makes_one() {
    let action = |name: &str, more: &str| event("sts", name, USER, more).action;
    assert_eq!(action("GetSessionToken", r#","readOnly":false"#), Action::Create);
    assert_eq!(action("GetCallerIdentity", r#","readOnly":false"#), Action::Read);
}

#[test]
fn a_name_that_no_column_holds_is_cut_and_kept() {
    let name = "N".repeat(300);
    let e = event("ec2", &name, USER, "");
    assert_eq!(e.event_type, format!("ec2.{}", "N".repeat(96)));
    let state: Value = serde_json::from_str(e.new_state.unwrap().as_str()).unwrap();
    assert_eq!(state["eventName"], name);
}

#[test]
fn an_insight_is_a_warning_about_calls() {
    let text = json!({
        "eventVersion": "1.07", "eventTime": "2026-03-04T05:06:00Z", "awsRegion": "us-east-1", "eventID": "i-1",
        "eventType": "AwsCloudTrailInsight", "recipientAccountId": "111122223333", "sharedEventID": "s-1",
        "insightDetails": {"state": "Start", "eventSource": "ec2.amazonaws.com", "eventName": "RunInstances",
            "insightType": "ApiCallRateInsight"},
        "eventCategory": "Insight"
    })
    .to_string();
    let e = event_of(&text, None);
    assert_eq!((e.event_type.as_str(), e.resource_type.as_str()), ("ec2.RunInstances.Insight", "ec2"));
    assert_eq!((e.event_severity, e.actor_type), (Severity::Warning, ActorType::System));
    assert!(crate::domain::CallRecord::of(None, e.new_state.as_ref().map(Json::as_str)).is_some());
}

/// As CloudTrail documents network activity events: a call through a VPC endpoint that its policy denied.
#[test]
fn network_activity_is_a_call_through_an_endpoint() {
    let text = json!({
        "eventVersion": "1.09", "eventTime": "2026-03-04T05:06:00Z", "awsRegion": "us-east-1", "eventID": "n-1",
        "eventSource": "s3.amazonaws.com", "eventName": "ListBuckets", "eventType": "AwsVpceEvent",
        "eventCategory": "NetworkActivity", "recipientAccountId": "111122223333", "requestID": "r-1",
        "userIdentity": {"type": "AWSAccount", "principalId": "AIDA", "accountId": "111122223333"},
        "sourceIPAddress": "10.0.0.7", "errorCode": "VpceAccessDenied", "vpcEndpointId": "vpce-0123",
        "vpcEndpointAccountId": "111122223333", "edgeDeviceDetails": null
    });
    assert_eq!(opened(&text).len(), 1);
    let e = event_of(&text.to_string(), None);
    assert_eq!((e.event_type.as_str(), e.resource_type.as_str()), ("s3.ListBuckets", "s3"));
    assert_eq!((e.action, e.event_severity), (Action::Read, Severity::Warning));
    assert_eq!((e.actor_id.as_str(), e.actor_ip.as_deref()), ("AIDA", Some("10.0.0.7")));
    let state = e.new_state.unwrap();
    assert!(state.as_str().contains("\"vpcEndpointId\":\"vpce-0123\""), "{}", state.as_str());
    assert!(crate::domain::CallRecord::of(None, Some(state.as_str())).is_some());
}

#[test]
fn a_record_without_an_id_gets_one_of_its_content() {
    let text = record("ec2", "Call", USER, "").replace("eventID", "x");
    let (a, b) = (event_of(&text, None), event_of(&text.replace("aws-cli", "other"), None));
    assert_eq!(a.event_id.len(), 64);
    assert_ne!(a.event_id, b.event_id);
    assert_eq!(a.event_id, event_of(&text.replace(',', " , "), None).event_id, "blanks are no content");
}

/// The records in a text, or what it is instead.
fn opened(value: &Value) -> Vec<String> {
    let text = value.to_string();
    match open(&Members::parse(&text).unwrap()) {
        Opened::Record => vec![text],
        Opened::Wrapped(records) => records,
        Opened::NoRecords(what) => vec![what.to_owned()],
        Opened::Foreign => Vec::new(),
    }
}

#[test]
fn every_wrapper_is_opened() {
    let call = json!({"eventSource": "s3.amazonaws.com", "eventName": "GetObject", "eventID": "1"});
    let text = call.to_string();
    let whole = std::slice::from_ref(&text);
    for wrapper in [
        call.clone(),
        json!({"EventId": "1", "EventName": "GetObject", "CloudTrailEvent": text}),
        json!({"version": "0", "detail-type": "AWS API Call via CloudTrail", "detail": call}),
        json!({"eventVersion": "1.0", "eventData": call}),
        json!({"eventData": text}),
        json!({"timestamp": 1, "message": text, "eventId": "3"}),
        json!({"@timestamp": "x", "@message": text}),
        json!({"preview": false, "result": {"_raw": text}}),
        json!({"_raw": text, "source": "x"}),
        json!({"event": {"original": text}, "aws": {}}),
        json!({"event.original": text}),
        json!({"_index": "x", "_source": {"event": {"original": text}}}),
        json!({"event": call, "sourcetype": "aws:cloudtrail"}),
        json!({"messageType": "DATA_MESSAGE", "logEvents": [{"id": "1", "message": text}]}),
        json!({"z": 1, "Records": [call]}),
        json!({"Type": "Notification", "Message": json!({"detail": call}).to_string()}),
    ] {
        assert_eq!(opened(&wrapper), whole, "{wrapper}");
    }
    let two = json!({"logEvents": [{"message": text}, {"message": "no record"}]});
    assert_eq!(
        opened(&two),
        [text.clone(), r#"{"message":"no record"}"#.to_owned()],
        "nothing is passed over"
    );
    for foreign in [
        json!({"message": "hello"}),
        json!({"kind": "Event", "auditID": "x"}),
        json!({"events": [{"name": "x"}]}),
        json!({"event": {"code": 1}}),
        json!({}),
    ] {
        assert_eq!(opened(&foreign), Vec::<String>::new(), "{foreign}");
    }
    let digest = json!({"awsAccountId": "1", "digestEndTime": "x", "digestS3Bucket": "b", "logFiles": []});
    assert_eq!(opened(&digest), ["CloudTrail digest (log file validation)"]);
    let control =
        json!({"messageType": "CONTROL_MESSAGE", "logEvents": [{"message": "CWL CONTROL MESSAGE"}]});
    assert_eq!(opened(&control), ["CloudWatch Logs control message"]);
}
