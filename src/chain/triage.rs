//! What a row whose hash does not fit is consistent with. An exact explanation says: the row, changed in the way named,
//! has the stored hash. Where none is found, the general ones are listed. None of them says who did it, or why.

use super::judge::Judge;
use super::judgement::Row;
use super::links::Hash;
use super::scheme::Spelling;
use super::{Fields, Scheme};
use crate::domain::{Action, ActorType, Category, Severity, Timestamp};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// Maximum number of members of a state that are left out one by one.
const MEMBERS: usize = 64;

/// Explanations that fit, an exact one alone.
pub(super) fn explain(judge: &mut Judge, row: &Row<'_>, stored: &Hash) -> Vec<String> {
    match exact(judge, row, stored) {
        Some(exact) => vec![exact],
        None => [
            "an edit of the row after it was written",
            "a writer that changed the event after hashing it (enrichment)",
            "a writer with another form of the hashed text",
        ]
        .map(str::to_owned)
        .into(),
    }
}

fn exact(judge: &mut Judge, row: &Row<'_>, stored: &Hash) -> Option<String> {
    let scheme = judge.scheme();
    let mut fits = |scheme: Scheme, row: &Row<'_>, spelling: &Spelling<'_>| {
        judge.may_search() && judge.fits(scheme, row, spelling, stored)
    };
    let plain = Spelling::default();
    if let Some(other) = Scheme::ALL.iter().find(|other| **other != scheme && fits(**other, row, &plain)) {
        return Some(format!("the scheme {other}: under it the hash is that of the row as it stands"));
    }
    if !row.previous_hash.is_empty() && fits(scheme, &Row { previous_hash: "", ..*row }, &plain) {
        return Some(
            "a link made or changed after the hash was taken: the hash is that of the row with an empty previous_hash"
                .to_owned(),
        );
    }
    for (column, changed) in without_each_optional(row) {
        if fits(scheme, &changed, &plain) {
            return Some(format!(
                "{column} filled in after the hash was taken: the hash is that of the row without it"
            ));
        }
    }
    for (column, value, changed) in with_other_enumerated(row) {
        if fits(scheme, &changed, &plain) {
            return Some(format!("a changed {column}: the hash is that of the row with {column} = {value}"));
        }
    }
    for (column, state) in
        [("new_state", row.fields.new_state), ("previous_state", row.fields.previous_state)]
    {
        for (key, text) in without_each_member(state) {
            let fields = if column == "new_state" {
                Fields { new_state: Some(&text), ..row.fields }
            } else {
                Fields { previous_state: Some(&text), ..row.fields }
            };
            if fits(scheme, &Row { fields, hash: row.hash, previous_hash: row.previous_hash }, &plain) {
                return Some(format!(
                    "an enrichment after the hash was taken: the hash is that of the row without {key} in {column}"
                ));
            }
        }
    }
    for (what, time) in other_times(row.fields.timestamp) {
        let fields = Fields { timestamp: time, ..row.fields };
        if fits(scheme, &Row { fields, ..*row }, &plain) {
            return Some(format!("{what}: the hash is that of the row with timestamp = {time}"));
        }
    }
    with_nanoseconds(row.fields.timestamp)
        .find(|time| fits(scheme, row, &Spelling { time: Some(time), ..plain }))
        .map(|time| format!("a writer that hashed nanoseconds, which the column cannot hold: {time}"))
}

fn without_each_optional<'a>(row: &Row<'a>) -> Vec<(&'static str, Row<'a>)> {
    let f = row.fields;
    let columns = [
        ("project_id", f.project_id.is_some(), Fields { project_id: None, ..f }),
        ("actor_email", f.actor_email.is_some(), Fields { actor_email: None, ..f }),
        ("actor_ip", f.actor_ip.is_some(), Fields { actor_ip: None, ..f }),
        ("actor_user_agent", f.actor_user_agent.is_some(), Fields { actor_user_agent: None, ..f }),
        ("resource_name", f.resource_name.is_some(), Fields { resource_name: None, ..f }),
        ("previous_state", f.previous_state.is_some(), Fields { previous_state: None, ..f }),
        ("new_state", f.new_state.is_some(), Fields { new_state: None, ..f }),
        ("session_id", f.session_id.is_some(), Fields { session_id: None, ..f }),
    ];
    let present = columns.into_iter().filter(|(_, present, _)| *present);
    present.map(|(column, _, fields)| (column, Row { fields, ..*row })).collect()
}

fn with_other_enumerated<'a>(row: &Row<'a>) -> Vec<(&'static str, &'static str, Row<'a>)> {
    let f = row.fields;
    let severities = Severity::ALL.iter().map(|v| v.as_str());
    let actions = Action::ALL.iter().map(|v| v.as_str());
    let categories = Category::ALL.iter().map(|v| v.as_str());
    let actors = ActorType::ALL.iter().map(|v| v.as_str());
    severities
        .map(|v| ("event_severity", v, f.event_severity, Fields { event_severity: v, ..f }))
        .chain(actions.map(|v| ("action", v, f.action, Fields { action: v, ..f })))
        .chain(categories.map(|v| ("event_category", v, f.event_category, Fields { event_category: v, ..f })))
        .chain(actors.map(|v| ("actor_type", v, f.actor_type, Fields { actor_type: v, ..f })))
        .filter(|(_, value, now, _)| value != now)
        .map(|(column, value, _, fields)| (column, value, Row { fields, ..*row }))
        .collect()
}

/// An object's text without one of its members each time: the key as JSON text, and the rest.
fn without_each_member(state: Option<&str>) -> Vec<(String, String)> {
    let parsed = state.and_then(|text| serde_json::from_str::<BTreeMap<String, &RawValue>>(text).ok());
    let Some(members) = parsed.filter(|members| members.len() <= MEMBERS) else { return Vec::new() };
    let quoted = |key: &str| serde_json::Value::from(key).to_string();
    let without = |left_out: &str| {
        let kept = members.iter().filter(|(key, _)| *key != left_out);
        let texts: Vec<String> = kept.map(|(key, value)| format!("{}: {value}", quoted(key))).collect();
        format!("{{{}}}", texts.join(", "))
    };
    members.keys().map(|key| (quoted(key), without(key))).collect()
}

/// Times that a usual mistake, or a small edit, would have turned into this one.
fn other_times(time: Timestamp) -> impl Iterator<Item = (&'static str, Timestamp)> {
    let moved = move |micros: i64| time.as_micros().checked_add(micros).map(Timestamp::from_micros);
    let micros = (1..=5).flat_map(|n| [n, -n]).map(|n| ("a time moved by microseconds, or rounded", n));
    let quarters = (-56i64..=56)
        .filter(|n| *n != 0)
        .map(|n| ("a time zone applied twice or not at all, or a time moved by hours", n * 900_000_000));
    micros.chain(quarters).filter_map(move |(what, by)| Some((what, moved(by)?)))
}

/// The instant with nine digits, which were cut or rounded to the six that are stored.
fn with_nanoseconds(time: Timestamp) -> impl Iterator<Item = String> {
    let spell = |time: Timestamp, nanos: i32| {
        let text = time.to_python_isoformat();
        let (seconds, _) = text.split_once(['.', '+'])?;
        Some(format!("{seconds}.{:06}{nanos:03}+00:00", time.as_micros().rem_euclid(1_000_000)))
    };
    let before = time.as_micros().checked_sub(1).map(Timestamp::from_micros);
    let cut = (1..1000).filter_map(move |nanos| spell(time, nanos));
    let rounded = (500..1000).filter_map(move |nanos| spell(before?, nanos));
    cut.chain(rounded)
}

/// An event in which every column has a value.
pub(super) const fn sample() -> Fields<'static> {
    Fields {
        event_id: "evt-1",
        timestamp: Timestamp::from_micros(1_767_600_061_147_504),
        organization_id: "org-1",
        project_id: Some("p-1"),
        actor_type: "user",
        actor_id: "u-1",
        actor_email: Some("u@example.org"),
        actor_ip: Some("192.0.2.1"),
        actor_user_agent: Some("curl"),
        event_category: "admin",
        event_type: "user.created",
        event_severity: "info",
        resource_type: "user",
        resource_id: "u-2",
        resource_name: Some("U 2"),
        action: "create",
        previous_state: Some(r#"{"a": 1}"#),
        new_state: Some(r#"{"a": 2}"#),
        request_id: "r-1",
        session_id: Some("s-1"),
    }
}

/// The row with one column changed each time, for all 21 columns besides `hash`.
pub(super) fn each_column_changed<'a>(row: &Row<'a>) -> Vec<(&'static str, Row<'a>)> {
    let f = row.fields;
    let other_time = Timestamp::from_micros(f.timestamp.as_micros() + 7_000_001);
    // Something else than what is there.
    let other = |value: &str| if value == "?" { "!" } else { "?" };
    let some = |value: Option<&str>| Some(other(value.unwrap_or_default()));
    let state = |value: Option<&str>| Some(if value == Some("{}") { "[]" } else { "{}" });
    let address = if f.actor_ip == Some("198.51.100.9") { "198.51.100.8" } else { "198.51.100.9" };
    let columns = [
        ("action", Fields { action: other(f.action), ..f }),
        ("actor_email", Fields { actor_email: some(f.actor_email), ..f }),
        ("actor_id", Fields { actor_id: other(f.actor_id), ..f }),
        ("actor_ip", Fields { actor_ip: Some(address), ..f }),
        ("actor_type", Fields { actor_type: other(f.actor_type), ..f }),
        ("actor_user_agent", Fields { actor_user_agent: some(f.actor_user_agent), ..f }),
        ("event_category", Fields { event_category: other(f.event_category), ..f }),
        ("event_id", Fields { event_id: other(f.event_id), ..f }),
        ("event_severity", Fields { event_severity: other(f.event_severity), ..f }),
        ("event_type", Fields { event_type: other(f.event_type), ..f }),
        ("new_state", Fields { new_state: state(f.new_state), ..f }),
        ("organization_id", Fields { organization_id: other(f.organization_id), ..f }),
        ("previous_state", Fields { previous_state: state(f.previous_state), ..f }),
        ("project_id", Fields { project_id: some(f.project_id), ..f }),
        ("request_id", Fields { request_id: other(f.request_id), ..f }),
        ("resource_id", Fields { resource_id: other(f.resource_id), ..f }),
        ("resource_name", Fields { resource_name: some(f.resource_name), ..f }),
        ("resource_type", Fields { resource_type: other(f.resource_type), ..f }),
        ("session_id", Fields { session_id: some(f.session_id), ..f }),
        ("timestamp", Fields { timestamp: other_time, ..f }),
    ];
    let rows = columns.into_iter().map(|(column, fields)| (column, Row { fields, ..*row }));
    rows.chain([("previous_hash", Row { previous_hash: other(row.previous_hash), ..*row })]).collect()
}

#[cfg(test)]
mod tests {
    use super::super::judgement::{Judgement, Mismatch};
    use super::super::{Judge, to_hex};
    use super::*;
    use sha2::{Digest as _, Sha256};

    const ROW: Row<'_> = Row { fields: FIELDS, hash: "", previous_hash: "ab" };
    const FIELDS: Fields<'_> = Fields {
        project_id: None,
        actor_email: None,
        actor_ip: None,
        resource_name: None,
        previous_state: None,
        ..sample()
    };

    /// The first explanation of `row` when the stored hash is that of `hashed`, whose text was edited by `edit`.
    fn explained(row: &Row<'_>, hashed: &Row<'_>, edit: impl Fn(String) -> String) -> String {
        let text = edit(Judge::new(Scheme::V1).preimage(hashed).unwrap());
        let hash = to_hex(&Sha256::digest(text).into());
        match Judge::new(Scheme::V1).judge(&Row { hash: &hash, ..*row }) {
            Judgement::Mismatch(Mismatch { consistent_with, .. }) => consistent_with[0].clone(),
            other => panic!("{other:?}"),
        }
    }

    fn with<'a>(fields: &Fields<'a>) -> Row<'a> {
        Row { fields: *fields, hash: "", previous_hash: "ab" }
    }

    #[test]
    fn exact_explanations_are_found() {
        let same = |text: String| text;
        let enriched = Fields { new_state: Some(r#"{"a": 2, "geo": "NL"}"#), ..FIELDS };
        let moved = Timestamp::from_micros(FIELDS.timestamp.as_micros() - 1);
        for (row, hashed, end) in [
            (with(&enriched), ROW, r#"without "geo" in new_state"#),
            (ROW, Row { previous_hash: "", ..ROW }, "with an empty previous_hash"),
            (ROW, with(&Fields { session_id: None, ..FIELDS }), "that of the row without it"),
            (ROW, with(&Fields { event_severity: "critical", ..FIELDS }), "event_severity = critical"),
            (ROW, with(&Fields { timestamp: moved, ..FIELDS }), "timestamp = 2026-01-05T08:01:01.147503Z"),
        ] {
            let said = explained(&row, &hashed, same);
            assert!(said.ends_with(end), "{said}");
        }
        for nanos in [".147504321+", ".147503987+"] {
            let said = explained(&ROW, &ROW, |text| text.replace(".147504+", nanos));
            assert!(said.contains("nanoseconds"), "{said}");
        }
        let said = explained(&ROW, &ROW, |text| text.replace("curl", "wget"));
        assert_eq!(said, "an edit of the row after it was written");
    }

    #[test]
    fn the_other_scheme_is_recognised() {
        let hash = to_hex(&Sha256::digest(Judge::new(Scheme::Service).preimage(&ROW).unwrap()).into());
        let Judgement::Mismatch(mismatch) = Judge::new(Scheme::V1).judge(&Row { hash: &hash, ..ROW }) else {
            panic!("the schemes differ")
        };
        assert!(mismatch.consistent_with[0].starts_with("the scheme agenttrace-v1-service"));
    }
}
