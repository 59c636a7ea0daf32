//! What a comparison with heads finds: with those that were remembered, and with the database's own record of them.

use super::class::Class;
use super::finding::{Finding, bound};
use crate::chain::head::{Pin, Seen};
use crate::domain::{Timestamp, grouped};
use crate::store::scan::ChainRecord;
use std::borrow::Cow;

impl Finding {
    /// A remembered head that is not in the trail.
    pub(super) fn pin_missing(pin: &Pin) -> Self {
        let detail = format!("{}, is not in the trail any more", remembered(pin));
        let restored: &[&'static str] =
            &["an older backup that was restored, or a copy that was put in the place of the database"];
        let usual: &[&'static str] = &[
            "truncation of the newest events, also when others were written in their place since",
            "an older backup that was restored",
            "retention or an archive that took the event away",
        ];
        Self::of_pin(Class::PinMissing, pin, detail, if pin.of_another_object { restored } else { usual })
    }

    /// A remembered head whose row has another hash.
    pub(super) fn pin_mismatch(pin: &Pin, now: &Seen) -> Self {
        let detail = format!("{}; the row has the hash {} now", remembered(pin), now.hash);
        let fits = &["tampering: the row, or the trail up to it, was written anew with other hashes"];
        let mut finding = Self::of_pin(Class::PinMismatch, pin, detail, fits);
        finding.timestamp = now.timestamp.to_rfc3339();
        finding.bound.push(bound(&now.hash, &now.previous_hash));
        finding
    }

    fn of_pin(class: Class, pin: &Pin, detail: String, fits: &[&'static str]) -> Self {
        let mut finding = Self::new(class, pin.since, &pin.head.event_id, detail, fits);
        finding.timestamp = pin.head.timestamp.map(Timestamp::to_rfc3339).unwrap_or_default();
        finding.hash.clone_from(&pin.head.hash);
        finding
    }

    /// A head that a replica cannot have received.
    pub(super) fn not_received(pin: &Pin, applied: Option<Timestamp>) -> Self {
        let applied = applied.map(Timestamp::to_rfc3339).unwrap_or_default();
        let detail = format!(
            "{}, is not there yet: the last change that this replica has applied is of {applied}; verify again later, or \
             ask the primary",
            remembered(pin)
        );
        Self::of_pin(Class::ScanIncomplete, pin, detail, &["a replica that is behind"])
    }

    /// An organisation of which the role sees nothing, while others may.
    pub(super) fn hidden(newest: Option<&Pin>, record: Option<&ChainRecord>) -> Self {
        let missing = Self::organization_missing(newest, record);
        let detail = format!("{}; row-level security may hide its events from this role", missing.detail);
        let fits = &[
            "a role to which the organisation is not granted",
            "deletion of all events of the organisation",
        ];
        let consistent_with = fits.iter().map(|text| Cow::Borrowed(*text)).collect();
        Self { class: Class::ScanIncomplete, detail: detail.into(), consistent_with, ..missing }
    }

    /// The database's own record of heads contradicts the trail.
    pub(super) fn head_record(record: &ChainRecord, detail: String, missing: u64) -> Self {
        let fits = &[
            "truncation of the newest events, or deletion of others",
            "retention or an archive that took events away",
            "an older copy of audit_events that was loaded beside a newer record",
        ];
        let event_id = record.event_id.as_deref().unwrap_or_default();
        Self {
            timestamp: String::new(),
            hash: record.hash.clone(),
            bound: vec![missing.to_string()],
            ..Self::new(Class::HeadRecordMismatch, Timestamp::from_micros(0), event_id, detail, fits)
        }
    }

    /// An organisation without events that once had some.
    pub(super) fn organization_missing(newest: Option<&Pin>, record: Option<&ChainRecord>) -> Self {
        let fits = &[
            "deletion of all events of the organisation",
            "an older backup that was restored",
            "retention or an archive that took the whole trail away",
        ];
        let of_record = record.map(|record| {
            let event_id = record.event_id.as_deref().unwrap_or("an event without id");
            format!("audit_chain_heads counts {} events up to {event_id}", grouped(record.events))
        });
        let said = [newest.map(remembered), of_record].into_iter().flatten().collect::<Vec<_>>().join("; ");
        let detail = format!("the organisation has no events: {said}");
        let of_record = record.and_then(|record| record.event_id.as_deref());
        let event_id = newest.map(|pin| pin.head.event_id.as_str()).or(of_record);
        Self {
            timestamp: String::new(),
            hash: newest.map(|pin| pin.head.hash.clone()).unwrap_or_default(),
            bound: record.map(|record| bound(&record.hash, &record.events.to_string())).into_iter().collect(),
            ..Self::new(
                Class::OrganizationMissing,
                Timestamp::from_micros(0),
                event_id.unwrap_or_default(),
                detail,
                fits,
            )
        }
    }
}

/// `the head e-30 (30 events), verified at …, with the hash …`.
fn remembered(pin: &Pin) -> String {
    let Pin { head, until, events, .. } = pin;
    let events = events.map(|events| format!(" of {} events", grouped(events))).unwrap_or_default();
    format!(
        "the head {}{events}, verified at {}, with the hash {}",
        head.event_id,
        until.to_rfc3339(),
        head.hash
    )
}
