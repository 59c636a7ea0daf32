//! Records of calls. A provider's audit log says what was asked and what was answered, not how a thing was before and
//! after. Such a record is kept whole in `new_state`; it is no state, and nothing may compare it like one.
//!
//! What tells is the stored state itself, so rows that were stored long ago are told, too.

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// How the records of one provider look in `new_state`, beside an empty `previous_state`.
#[derive(Debug, PartialEq, Eq)]
pub struct CallRecord {
    /// Name of the source, as people say it.
    pub title: &'static str,
    /// Top-level members that every record has.
    pub all: &'static [&'static str],
    /// Top-level members of which every record has at least one.
    pub any: &'static [&'static str],
    /// What a reader wants first, with the members that hold it.
    pub parts: &'static [(&'static str, &'static [&'static str])],
    /// Members that are absent from the state where a column holds them verbatim, with that column.
    pub held: &'static [(&'static str, &'static str)],
}

/// AWS CloudTrail.
pub const CLOUDTRAIL: CallRecord = CallRecord {
    title: "AWS CloudTrail",
    all: &["eventVersion", "eventType"],
    any: &["userIdentity", "insightDetails", "requestParameters", "responseElements", "serviceEventDetails"],
    parts: &[
        ("request", &["requestParameters"]),
        ("response", &["responseElements", "serviceEventDetails", "insightDetails"]),
        ("error", &["errorCode", "errorMessage"]),
    ],
    held: &[
        ("eventID", "event_id"),
        ("eventTime", "timestamp"),
        ("eventSource", "resource_type"),
        ("eventName", "event_type"),
        ("awsRegion", "project_id"),
        ("userAgent", "actor_user_agent"),
        ("sourceIPAddress", "actor_ip"),
        ("requestID", "request_id"),
        ("recipientAccountId", "organization_id"),
    ],
};

/// The sources other than CloudTrail, whose records `ingest` keeps whole: the name of the format, and the record.
pub const AUDIT_RECORD: CallRecord = CallRecord {
    title: "an audit log",
    all: &["source_format", "source_record"],
    any: &["source_record"],
    parts: &[("record", &["source_record"])],
    held: &[],
};

/// Every kind of record that is told from a state.
pub const CALL_RECORDS: &[CallRecord] = &[CLOUDTRAIL, AUDIT_RECORD];

impl CallRecord {
    /// The kind of record that the two state columns of a row hold; `None` where they hold states, or nothing.
    pub fn of(previous: Option<&str>, new: Option<&str>) -> Option<&'static Self> {
        let (None, Some(text)) = (previous, new) else { return None };
        // Two words that every record has, before anything is parsed.
        let candidates = CALL_RECORDS.iter().filter(|kind| kind.all.iter().all(|name| text.contains(name)));
        let mut keys: Option<Vec<Cow<'_, str>>> = None;
        for kind in candidates {
            let keys = keys
                .get_or_insert_with(|| serde_json::from_str(text).map(|Keys(keys)| keys).unwrap_or_default());
            let has = |name: &&str| keys.iter().any(|key| key == *name);
            if kind.all.iter().all(has) && kind.any.iter().any(has) {
                return Some(kind);
            }
        }
        None
    }
}

/// The top-level keys of an object.
struct Keys<'a>(Vec<Cow<'a, str>>);

impl<'de: 'a, 'a> Deserialize<'de> for Keys<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Keys<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut keys = Vec::new();
                while let Some(key) = map.next_key::<Cow<'de, str>>()? {
                    keys.push(key);
                    map.next_value::<IgnoredAny>()?;
                }
                Ok(Keys(keys))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_told_by_its_own_members_beside_no_previous_state() {
        let record = r#"{"eventVersion":"1.08","eventType":"AwsApiCall","userIdentity":{"type":"Root"}}"#;
        assert_eq!(CallRecord::of(None, Some(record)), Some(&CLOUDTRAIL));
        // As PostgreSQL prints it, shorter keys first.
        let stored = r#"{"eventType": "AwsApiCall", "eventVersion": "1.08", "userIdentity": {}}"#;
        assert_eq!(CallRecord::of(None, Some(stored)), Some(&CLOUDTRAIL));
        assert_eq!(CallRecord::of(Some("{}"), Some(record)), None, "something was before: a state");
        for state in [
            r#"{"eventVersion":"1.08","eventType":"x"}"#,
            r#"{"note":"eventVersion eventType","userIdentity":1}"#,
            r#"{"a":{"eventVersion":"1.08","eventType":"x","userIdentity":{}}}"#,
            r#"["eventVersion","eventType","userIdentity"]"#,
            "null",
            "{",
        ] {
            assert_eq!(CallRecord::of(None, Some(state)), None, "{state}");
        }
        assert_eq!(CallRecord::of(None, None), None);
    }
}
