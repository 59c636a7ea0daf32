//! What a call was about. Members are chosen by a table of known names and then by a fixed order of all names, never by
//! their order in the record, which exporters change.

use super::Call;
use crate::ingest::record::{Members, string};
use serde_json::value::RawValue;

/// For services whose calls name several things: the members that name the one whose history it is, first ones first.
const KNOWN: &[(&str, &[&str])] = &[
    (
        "iam",
        &[
            "userName",
            "roleName",
            "groupName",
            "instanceProfileName",
            "policyArn",
            "sAMLProviderArn",
            "openIDConnectProviderArn",
        ],
    ),
    ("lambda", &["functionName", "layerName"]),
    ("s3", &["bucketName"]),
    ("sns", &["topicArn", "subscriptionArn", "name"]),
    ("sqs", &["queueUrl", "queueName"]),
    ("kms", &["keyId", "aliasName"]),
    ("secretsmanager", &["secretId", "name"]),
    ("dynamodb", &["tableName", "tableArn"]),
    ("ssm", &["instanceIds", "instanceId", "target", "name", "names"]),
    ("cloudtrail", &["name", "trailName", "trailARN", "resourceId"]),
    ("guardduty", &["detectorId"]),
    ("sts", &["roleArn"]),
    (
        "rds",
        &[
            "dBInstanceIdentifier",
            "dBClusterIdentifier",
            "dBSnapshotIdentifier",
            "dBClusterSnapshotIdentifier",
            "resourceName",
        ],
    ),
    (
        "ec2",
        &[
            "instanceId",
            "groupId",
            "snapshotId",
            "imageId",
            "volumeId",
            "routeTableId",
            "networkAclId",
            "natGatewayId",
            "internetGatewayId",
            "subnetId",
            "vpcId",
        ],
    ),
];

/// Verbs of EC2 after which the answer names the thing that was made, whose life begins here; the request names what it
/// was made from.
const MAKING: &[&str] = &["Create", "Run", "Allocate", "Register", "Copy", "Import", "Request"];

/// Members that look like names of things and are none.
const NO_NAMES: &[&str] = &[
    "accountId",
    "agentName",
    "attributeName",
    "AuthWorkflowID",
    "availabilityZoneId",
    "clientToken",
    "CredentialType",
    "deviceName",
    "filter",
    "filters",
    "filterSet",
    "instanceInformationFilterList",
    "groupOwnerId",
    "ownerId",
    "platformName",
    "requestId",
    "RequestId",
    "requesterId",
    "reservationId",
    "rootDeviceName",
    "roleSessionName",
    "SecretVersionId",
    "typeName",
    "versionId",
];

/// How deep names are looked for.
const DEPTH: usize = 4;

/// The first ARN among the resources, else the best name in the request, else in the answer, else in the details of a
/// service's own event.
pub(super) fn of(record: &Members<'_>, call: &Call) -> Option<String> {
    let arn = || {
        let resources: Vec<Members<'_>> = serde_json::from_str(record.get("resources")?.get()).ok()?;
        resources.iter().find_map(|resource| resource.some_text("ARN").or_else(|| resource.some_text("arn")))
    };
    let inside = |key: &str| record.get(key).and_then(|raw| named(raw, call, DEPTH));
    let details = || {
        (record.some_text("eventType")? == "AwsServiceEvent").then(|| {
            let portal = record.object("additionalEventData").and_then(|data| data.some_text("LoginTo"));
            portal.or_else(|| inside("serviceEventDetails")).or_else(|| inside("additionalEventData"))
        })?
    };
    let made = || {
        let makes = call.service == "ec2" && MAKING.iter().any(|verb| call.name.starts_with(verb));
        makes.then(|| record.get("responseElements").and_then(|raw| own_name(raw, call, DEPTH))).flatten()
    };
    made()
        .or_else(arn)
        .or_else(|| inside("requestParameters"))
        .or_else(|| inside("responseElements"))
        .or_else(details)
}

/// The best name in a value, nearer ones before those further inside; of a list the first element's.
fn named(raw: &RawValue, call: &Call, depth: usize) -> Option<String> {
    if depth == 0 {
        return None;
    }
    if let Ok(array) = serde_json::from_str::<Vec<&RawValue>>(raw.get()) {
        return array.first().and_then(|first| named(first, call, depth - 1));
    }
    let members = Members::parse(raw.get()).ok()?;
    let here = members
        .iter()
        .filter_map(|(key, value)| Some((rank(key, call)?, key, value)))
        .filter_map(|(rank, key, value)| Some((rank, key, text(value)?)))
        .min_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)));
    here.map(|(_, _, name)| name).or_else(|| {
        let mut inside: Vec<_> = members.iter().filter(|(key, _)| !NO_NAMES.contains(key)).collect();
        inside.sort_unstable_by_key(|(key, _)| *key);
        inside.into_iter().find_map(|(_, value)| named(value, call, depth - 1))
    })
}

/// The name of the kind of thing that the call is about, wherever in a value it stands.
fn own_name(raw: &RawValue, call: &Call, depth: usize) -> Option<String> {
    if depth == 0 {
        return None;
    }
    if let Ok(array) = serde_json::from_str::<Vec<&RawValue>>(raw.get()) {
        return array.first().and_then(|first| own_name(first, call, depth - 1));
    }
    let members = Members::parse(raw.get()).ok()?;
    let mut sorted: Vec<_> = members.iter().collect();
    sorted.sort_unstable_by_key(|(key, _)| (rank(key, call), *key));
    let own = |key: &str| rank(key, call).is_some_and(|(class, _)| class == OWN);
    let here = sorted.iter().filter(|(key, _)| own(key)).find_map(|(_, value)| text(value));
    here.or_else(|| sorted.iter().find_map(|(_, value)| own_name(value, call, depth - 1)))
}

/// A string, or the first one of a list.
fn text(raw: &RawValue) -> Option<String> {
    let first = || serde_json::from_str::<Vec<&RawValue>>(raw.get()).ok()?.first().copied().and_then(string);
    string(raw).or_else(first).filter(|s| !s.is_empty())
}

/// Rank of a key that bears the name of the kind of thing in the name of the call: `subnetId` in `CreateSubnet`.
const OWN: usize = 0;

/// How well a key names what the call is about, best first; `None` when it names nothing.
fn rank(key: &str, call: &Call) -> Option<(usize, usize)> {
    if NO_NAMES.contains(&key) || !names_something(key) {
        return None;
    }
    let known = KNOWN.iter().find(|(service, _)| *service == call.service).map_or(&[][..], |(_, keys)| *keys);
    let stem = stem(key);
    let own = stem.len() > 2 && call.name.to_lowercase().contains(&stem.to_lowercase());
    // The longer name is the nearer one: `vpcEndpointId` before `vpcId` in `CreateVpcEndpoint`.
    let length = usize::MAX - stem.len();
    Some(match known.iter().position(|name| *name == key) {
        _ if own && call.service == "ec2" => (OWN, length),
        Some(at) => (1 + at, 0),
        None if own => (100, length),
        None => (200, 0),
    })
}

const ENDINGS: [&str; 14] = [
    "Identifiers",
    "Identifier",
    "Names",
    "Name",
    "Arns",
    "ARNs",
    "Arn",
    "ARN",
    "Ids",
    "IDs",
    "Id",
    "ID",
    "Bucket",
    "Url",
];

fn names_something(key: &str) -> bool {
    ENDINGS.iter().any(|end| key.ends_with(end)) || matches!(key, "name" | "id" | "arn" | "bucket" | "target")
}

/// A key without what makes it a name: `dBInstance` of `dBInstanceIdentifier`.
fn stem(key: &str) -> &str {
    ENDINGS.iter().find_map(|end| key.strip_suffix(end)).unwrap_or(key)
}
