//! The shapes in which CloudTrail records are delivered, exported and forwarded.

use crate::ingest::format::Opened;
use crate::ingest::record::{Members, string};
use serde_json::value::RawValue;

/// Members that hold one record: as an object, or as its text.
const ONE: &[&str] = &[
    // `aws cloudtrail lookup-events`
    "CloudTrailEvent",
    // EventBridge
    "detail",
    // CloudTrail Lake
    "eventData",
    // CloudWatch Logs, Logs Insights
    "message",
    "@message",
    // Splunk
    "_raw",
    "result",
    // Elastic; Splunk's HTTP collector
    "event.original",
    "event",
    "original",
    "_source",
    // SNS, SQS
    "Message",
    "Body",
];

/// Members that hold a list of records, or of wrappers around one.
const MANY: &[&str] = &["Records", "Events", "events", "logEvents"];

/// Wrappers inside wrappers: a subscription's message inside a queue's message has four.
const DEPTH: usize = 6;

/// What an object is to CloudTrail.
pub(crate) fn open(members: &Members<'_>) -> Opened {
    if is_record(members) {
        return Opened::Record;
    }
    if is_digest(members) {
        return Opened::NoRecords("CloudTrail digest (log file validation)");
    }
    if members.some_text("messageType").as_deref() == Some("CONTROL_MESSAGE") && members.has("logEvents") {
        return Opened::NoRecords("CloudWatch Logs control message");
    }
    let mut records = Vec::new();
    if inside(members, DEPTH, &mut records) { Opened::Wrapped(records) } else { Opened::Foreign }
}

/// A call names its source and itself; an Insight does so one level deeper.
fn is_record(members: &Members<'_>) -> bool {
    let named = |m: &Members<'_>| m.some_text("eventSource").is_some() && m.some_text("eventName").is_some();
    named(members) || members.object("insightDetails").is_some_and(|details| named(&details))
}

/// The files that CloudTrail puts beside its logs, with the hashes of these.
fn is_digest(members: &Members<'_>) -> bool {
    ["digestS3Bucket", "digestEndTime", "logFiles"].iter().all(|key| members.has(key))
}

/// Collects the records in a wrapper; false when there is none. Of a list that holds a record, the other elements are
/// collected too: they are rejected by name, not passed over.
fn inside(members: &Members<'_>, depth: usize, records: &mut Vec<String>) -> bool {
    if depth == 0 {
        return false;
    }
    let one = |raw: &RawValue, records: &mut Vec<String>| {
        let text = string(raw).unwrap_or_else(|| raw.get().to_owned());
        let found = match Members::parse(&text) {
            Ok(members) if is_record(&members) => None,
            Ok(members) => Some(inside(&members, depth - 1, records)),
            Err(_) => Some(false),
        };
        found.unwrap_or_else(|| {
            records.push(text);
            true
        })
    };
    for key in MANY {
        let Some(raw) = members.get(key) else { continue };
        let Ok(elements) = serde_json::from_str::<Vec<&RawValue>>(raw.get()) else { continue };
        let before = records.len();
        let mut any = false;
        for element in elements {
            if one(element, records) {
                any = true;
            } else {
                records.push(element.get().to_owned());
            }
        }
        if any {
            return true;
        }
        records.truncate(before);
    }
    ONE.iter().any(|key| members.get(key).is_some_and(|raw| one(raw, records)))
}
