//! AWS CloudTrail records, `eventVersion` 1.0 to 1.11. The table with the reasons is in `docs/guide/ingest.md`.
//!
//! Nothing of a record is lost: every member that is not stored verbatim in a column goes into `new_state`. Nothing
//! depends on the order of members, which exporters change.

mod classify;
mod identity;
mod resource;
#[cfg(test)]
mod tests;
mod wrapping;

pub(crate) use wrapping::open;

use super::address;
use super::draft::{first, id_of_content, last};
use super::kind::Kind;
use super::record::Members;
use super::time::Moment;
use super::{Mapped, Mapping, Reject};
use crate::domain::{Json, NewEvent, OrgId};
use identity::Actor;

/// The kinds of its records.
pub(super) const KINDS: &[Kind] = &[Kind {
    title: "Record of a call, Insight, NetworkActivity",
    id: "`eventID`, else content",
    organization: "`recipientAccountId`, else `userIdentity.accountId`",
    time: &[&["eventTime"]],
    actor: &[&[
        "userIdentity>userName",
        "userIdentity>sessionContext>sessionIssuer>userName",
        "userIdentity>invokedBy",
        "userIdentity>principalId",
        "userIdentity>accountId",
    ]],
    address: &[&["sourceIPAddress"]],
    failure: "`errorCode` of a denial or of a wrong key; a sign-in that says `Failure`",
    placeholder: "`aws`; of an Insight `cloudtrail.amazonaws.com`; of the account's root user `root`",
}];

/// What a record is about: the service and the name of the call.
struct Call {
    /// `eventSource` without its domain.
    service: String,
    name: String,
    /// A finding of CloudTrail Insights about such calls, and no call.
    insight: bool,
}

impl Call {
    fn of(record: &Members<'_>) -> Result<Self, Reject> {
        // In Insight records the two stand one level deeper up to version 1.07.
        let insight = record.object("insightDetails");
        let text = |key: &'static str| match (record.text(key)?, &insight) {
            (Some(text), _) => Ok(text),
            (None, Some(details)) => details.required(key),
            (None, None) => Err(Reject::new(format!("{key}: missing"))),
        };
        let source = text("eventSource")?;
        let service = source.strip_suffix(".amazonaws.com").unwrap_or(&source).to_owned();
        Ok(Self { service, name: text("eventName")?, insight: insight.is_some() })
    }

    fn event_type(&self) -> String {
        let Self { service, name, insight } = self;
        let suffix = if *insight { ".Insight" } else { "" };
        format!("{service}.{name}{suffix}")
    }
}

/// One record as an event.
pub(crate) fn map(text: &str, mapping: &Mapping) -> Result<Mapped, Reject> {
    let record = Members::parse(text)?;
    let call = Call::of(&record)?;
    let identity = record.object("userIdentity");
    let event_id = match record.text("eventID")? {
        Some(id) => id,
        None => id_of_content(text).map_err(|e| {
            Reject::new(format!("eventID: missing, and none can be made of the content: {e}"))
        })?,
    };
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
    let time = match (record.text("eventTime")?, mapping.default_time) {
        (Some(text), _) => mapping.time("eventTime", &text, Some(chrono_tz::UTC))?,
        (None, Some(timestamp)) => Moment { timestamp, leap_second: false },
        (None, None) => {
            return Err(Reject::new("eventTime: missing; --default-time says which time it gets"));
        }
    };
    let actor = Actor::of(&record, identity.as_ref(), &call);
    let source_address = record.some_text("sourceIPAddress");
    let actor_ip = source_address.as_deref().and_then(address::client);
    let request = record.some_text("requestID");
    let resource = resource::of(&record, &call).unwrap_or_else(|| call.name.clone());
    let resource_id = last("resource_id", &resource);
    let event_type = call.event_type();
    let request_id = last("request_id", request.as_deref().unwrap_or(&event_id));
    let region = record.some_text("awsRegion");

    let stored = |key: &str| match key {
        "eventID" | "eventTime" | "userAgent" => true,
        "eventSource" | "eventName" => first("event_type", &event_type) == event_type,
        "awsRegion" => region.as_deref().is_some_and(|r| first("project_id", r) == r),
        "recipientAccountId" => account.as_deref() == Some(organization_id.as_str()),
        "sourceIPAddress" => actor_ip == source_address,
        "requestID" => request.as_ref() == Some(&request_id),
        _ => false,
    };
    let new_state = rest(&record, stored);
    let event = NewEvent {
        timestamp: time.timestamp,
        project_id: region.as_deref().map(|r| first("project_id", r)),
        actor_type: actor.kind,
        actor_id: last("actor_id", &actor.id),
        actor_email: actor.email,
        actor_ip,
        actor_user_agent: record.text("userAgent")?,
        event_category: classify::category(&call, &record),
        event_severity: classify::severity(&call, &record, identity.as_ref()),
        action: classify::action(&call, &record),
        event_type: first("event_type", &event_type),
        resource_type: first("resource_type", &call.service),
        // The whole of an identifier that had to be cut; the record itself has it at full length.
        resource_name: (resource_id != resource).then(|| last("resource_name", &resource)),
        resource_id,
        previous_state: None,
        new_state,
        request_id,
        session_id: identity
            .as_ref()
            .and_then(|i| i.some_text("accessKeyId"))
            .map(|key| last("session_id", &key)),
        event_id,
        organization_id,
    };
    Ok(Mapped { leap_second: time.leap_second, ..Mapped::new(event) })
}

/// The members that no column keeps, as one JSON object in the order and the spelling of the record.
fn rest(record: &Members<'_>, stored: impl Fn(&str) -> bool) -> Option<Json> {
    let mut out = String::new();
    for (key, raw) in record.iter() {
        if raw.get() == "null" || stored(key) {
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
