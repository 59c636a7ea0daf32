//! What a row whose hash does not fit is consistent with. An exact explanation says: the row, changed in the way named,
//! has the stored hash. Where none is found, the general ones are listed. None of them says who did it, or why.

use super::judge::Judge;
use super::judgement::Row;
use super::links::Hash;
use super::scheme::{Spelling, isoformat};
use super::{Fields, Scheme};
use crate::domain::{Action, ActorType, Category, Severity, Timestamp};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// Maximum number of members of a state that are left out one by one.
const MEMBERS: usize = 64;

/// Kinds of exact explanations besides another scheme, the cheap and likely ones first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Unlinked,
    FilledIn,
    Enumerated,
    Enriched,
    Moved,
    Nanoseconds,
}

impl Kind {
    const ALL: [Self; 6] =
        [Self::Unlinked, Self::FilledIn, Self::Enumerated, Self::Enriched, Self::Moved, Self::Nanoseconds];

    /// One attempt is all that it takes.
    pub(super) const fn is_cheap(self) -> bool {
        matches!(self, Self::Unlinked)
    }

    fn look(self, judge: &mut Judge, row: &Row<'_>, stored: &Hash) -> Option<String> {
        match self {
            Self::Unlinked => unlinked(judge, row, stored),
            Self::FilledIn => filled_in(judge, row, stored),
            Self::Enumerated => enumerated(judge, row, stored),
            Self::Enriched => enriched(judge, row, stored),
            Self::Moved => moved(judge, row, stored),
            Self::Nanoseconds => nanoseconds(judge, row, stored),
        }
    }
}

/// Explanations that fit, an exact one alone, with the scheme that it proves.
pub(super) fn explain(judge: &mut Judge, row: &Row<'_>, stored: &Hash) -> (Vec<String>, Option<Scheme>) {
    if let Some((text, scheme)) = under_another_scheme(judge, row, stored) {
        return (vec![text], Some(scheme));
    }
    for kind in Kind::ALL {
        if judge.may_explain(kind)
            && let Some(text) = kind.look(judge, row, stored)
        {
            judge.note_explained(Some(kind));
            return (vec![text], Some(judge.scheme()));
        }
    }
    judge.note_explained(None);
    let general = [
        "an edit of the row after it was written",
        "a writer that changed the event after hashing it (enrichment)",
        "a writer with another form of the hashed text",
    ];
    (general.map(str::to_owned).into(), None)
}

/// An exact explanation of one of these kinds, where it explained a row before and fits this one, too.
pub(super) fn explain_as_before(
    judge: &mut Judge,
    row: &Row<'_>,
    stored: &Hash,
    of: fn(Kind) -> bool,
) -> Option<(String, Scheme)> {
    let mut kinds = Kind::ALL.into_iter().filter(|kind| of(*kind));
    let text = kinds.find_map(|kind| judge.has_explained(kind).then(|| kind.look(judge, row, stored))?)?;
    Some((text, judge.scheme()))
}

/// The scheme by which the row fits as it stands, if it is not the judge's.
pub(super) fn under_another_scheme(
    judge: &mut Judge,
    row: &Row<'_>,
    stored: &Hash,
) -> Option<(String, Scheme)> {
    let own = judge.scheme();
    let others = Scheme::ALL.iter().copied().filter(|scheme| *scheme != own);
    let fits = |scheme: &Scheme| judge.may_search() && judge.fits(*scheme, row, stored);
    let scheme = { others }.find(fits)?;
    Some((format!("the scheme {scheme}: under it the hash is that of the row as it stands"), scheme))
}

/// Whether a row has the hash that is stored for this one.
fn fits(judge: &mut Judge, row: &Row<'_>, stored: &Hash) -> bool {
    judge.may_search() && judge.fits(judge.scheme(), row, stored)
}

fn unlinked(judge: &mut Judge, row: &Row<'_>, stored: &Hash) -> Option<String> {
    let unlinked = Row { previous_hash: "", ..*row };
    (!row.previous_hash.is_empty() && fits(judge, &unlinked, stored)).then(|| {
        "a link made or changed after the hash was taken: the hash is that of the row with an empty previous_hash"
            .to_owned()
    })
}

fn filled_in(judge: &mut Judge, row: &Row<'_>, stored: &Hash) -> Option<String> {
    let (column, _) =
        without_each_optional(row).into_iter().find(|(_, changed)| fits(judge, changed, stored))?;
    Some(format!("{column} filled in after the hash was taken: the hash is that of the row without it"))
}

fn enumerated(judge: &mut Judge, row: &Row<'_>, stored: &Hash) -> Option<String> {
    let others = with_other_enumerated(row);
    let (column, value, _) = others.into_iter().find(|(_, _, changed)| fits(judge, changed, stored))?;
    Some(format!("a changed {column}: the hash is that of the row with {column} = {value}"))
}

fn enriched(judge: &mut Judge, row: &Row<'_>, stored: &Hash) -> Option<String> {
    for (column, state) in
        [("new_state", row.fields.new_state), ("previous_state", row.fields.previous_state)]
    {
        for (key, text) in without_each_member(state) {
            let fields = if column == "new_state" {
                Fields { new_state: Some(&text), ..row.fields }
            } else {
                Fields { previous_state: Some(&text), ..row.fields }
            };
            let changed = Row { fields, hash: row.hash, previous_hash: row.previous_hash };
            if fits(judge, &changed, stored) {
                return Some(format!(
                    "an enrichment after the hash was taken: the hash is that of the row without {key} in {column}"
                ));
            }
        }
    }
    None
}

fn moved(judge: &mut Judge, row: &Row<'_>, stored: &Hash) -> Option<String> {
    let stem = judge.stem(row, &Spelling::default())?;
    let fits = |(_, time): &(&str, Timestamp)| {
        judge.may_search()
            && isoformat(*time).is_some_and(|spelled| judge.fits_with_time(&stem, &spelled, stored))
    };
    let (what, time) = other_times(row.fields.timestamp).find(fits)?;
    Some(format!("{what}: the hash is that of the row with timestamp = {time}"))
}

fn nanoseconds(judge: &mut Judge, row: &Row<'_>, stored: &Hash) -> Option<String> {
    let stem = judge.stem(row, &Spelling::default())?;
    let time = with_nanoseconds(row.fields.timestamp)
        .find(|time| judge.may_search() && judge.fits_with_time(&stem, time, stored))?;
    Some(format!("a writer that hashed nanoseconds, which the column cannot hold: {time}"))
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
    // Up to the sixth digit.
    let micros = |time: Timestamp| {
        let text = isoformat(time)?;
        let (seconds, _) = text.split_once(['.', '+'])?;
        Some(format!("{seconds}.{:06}", time.as_micros().rem_euclid(1_000_000)))
    };
    let before = time.as_micros().checked_sub(1).map(Timestamp::from_micros).and_then(micros);
    let spell = |micros: String, nanos: u32| format!("{micros}{nanos:03}+00:00");
    let cut = micros(time).into_iter().flat_map(move |at| (1..1000).map(move |n| spell(at.clone(), n)));
    cut.chain(before.into_iter().flat_map(move |at| (500..1000).map(move |n| spell(at.clone(), n))))
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
