//! The life of a resource: whichever way its state at a version is come by, it is the stored one.

use crate::diff::{lines, shared};
use agenttrace::demo::{Settings, Trail};
use agenttrace::diff::chronicle::{Recorder, Span};
use agenttrace::diff::history::{Known, Version, blame, state_at};
use agenttrace::diff::json::{Doc, Limits};
use agenttrace::diff::{Options, apply, compare, unhurried};
use agenttrace::domain::{Json, NewEvent, Timestamp};
use serde_json::Value;
use std::collections::BTreeMap;

const LIMITS: Limits = Limits { bytes: 1 << 24, nodes: 1 << 20 };

/// Rebuilds the state at every version of a life in three ways: by putting the changes of each version upon the state
/// before, from a chronicle, and by asking for the state at its time. How many versions there were.
fn is_rebuilt(versions: &[Version<'_>]) -> usize {
    let mut recorder = Recorder::new(LIMITS);
    for version in versions.iter().rev() {
        recorder.record(version).unwrap();
    }
    let chronicle = recorder.finish(false).unwrap();
    assert_eq!(chronicle.len(), versions.len());
    let mut rebuilt: Option<String> = None;
    for (n, version) in versions.iter().enumerate() {
        let states = chronicle.states(n).unwrap();
        assert_eq!(chronicle.version(n, &states).as_ref(), Some(version));
        let Some(new) = version.new else {
            rebuilt = None;
            continue;
        };
        // Ids decide among versions of one instant, so only the last of an instant has a time of its own.
        if versions.get(n + 1).is_none_or(|next| next.timestamp > version.timestamp) {
            assert_eq!(state_at(versions, version.timestamp, LIMITS).state, Known::State(new));
        }
        let stored = Doc::parse(new, LIMITS).unwrap();
        let before = match (rebuilt.take(), version.previous) {
            (Some(before), Some(previous))
                if n > 0 && chronicle.entries()[n - 1].until_next == Span::Known =>
            {
                let seen = Doc::parse(previous, LIMITS).unwrap();
                let before_doc = Doc::parse(&before, LIMITS).unwrap();
                assert!(seen.same(seen.root(), &before_doc, before_doc.root()), "{before}\n{previous}");
                before
            }
            (_, Some(previous)) => previous.to_owned(),
            (_, None) => "{}".to_owned(),
        };
        let old = Doc::parse(&before, LIMITS).unwrap();
        let compared = compare(Some(&before), Some(new), &Options::default(), &unhurried);
        let now = apply::apply(&old, compared.changes()).unwrap();
        let got = Doc::parse(&now, LIMITS).unwrap();
        assert!(got.same(got.root(), &stored, stored.root()), "{before}\n{new}\n{now}");
        rebuilt = Some(now);
    }
    // Blame tells of every value of the last state, and of nothing else.
    if let Some(last) = versions.last().and_then(|v| v.new) {
        let doc = Doc::parse(last, LIMITS).unwrap();
        let blamed = blame(versions, LIMITS, &|| false).unwrap();
        assert!(blamed.lines.iter().all(|l| doc.text(doc.resolve(&l.path).unwrap()) == l.value));
    }
    versions.len()
}

#[test]
fn of_the_demo() {
    let until = Timestamp::parse("2026-07-01T09:30:00Z").unwrap();
    let trail = Trail::new(Settings::new(3, until, 6_000).unwrap()).unwrap();
    let mut lives: BTreeMap<(String, String, String), Vec<NewEvent>> = BTreeMap::new();
    for event in trail.filter(|e| e.previous_state.is_some() || e.new_state.is_some()) {
        let organization = event.organization_id.as_str().to_owned();
        let resource = (organization, event.resource_type.clone(), event.resource_id.clone());
        lives.entry(resource).or_default().push(event);
    }
    let mut seen = 0;
    for life in lives.values() {
        let versions: Vec<Version<'_>> = life
            .iter()
            .map(|event| Version {
                event_id: event.event_id.as_str(),
                timestamp: event.timestamp,
                actor_id: event.actor_id.as_str(),
                action: event.action.as_str(),
                previous: event.previous_state.as_ref().map(Json::as_str),
                new: event.new_state.as_ref().map(Json::as_str),
            })
            .collect();
        seen += is_rebuilt(&versions);
    }
    assert!(seen > 2_000, "{seen}");
}

/// States that follow each other in a made-up life: what is between them does not matter.
fn life_of(states: &[String]) -> usize {
    let ids: Vec<String> = (0..states.len()).map(|n| format!("e{n}")).collect();
    let versions: Vec<Version<'_>> = states
        .iter()
        .enumerate()
        .map(|(n, state)| Version {
            event_id: &ids[n],
            timestamp: Timestamp::from_micros(n as i64),
            actor_id: "a",
            action: "update",
            previous: n.checked_sub(1).map(|before| states[before].as_str()),
            new: Some(state),
        })
        .collect();
    is_rebuilt(&versions)
}

#[test]
fn of_admission_reviews() {
    let Some(file) = shared("k8s-admission-kar/admission-reviews.ndjson.gz") else { return };
    let reviews: Vec<Value> = lines(&file).iter().map(|l| serde_json::from_str(l).unwrap()).collect();
    let object =
        |review: &Value| review.pointer("/request/object").filter(|o| o.is_object()).map(Value::to_string);
    let states: Vec<String> = reviews.iter().filter_map(object).collect();
    assert!(life_of(&states) > 20, "{}", states.len());
}

#[test]
fn of_workspace_values() {
    let Some(file) = shared("saas-panther/google-workspace.ndjson.gz") else { return };
    let events: Vec<Value> = lines(&file).iter().map(|l| serde_json::from_str(l).unwrap()).collect();
    let parameters = events.iter().filter_map(|event| event.get("parameters"));
    let values: Vec<String> = parameters
        .flat_map(|p| ["old_value", "OLD_VALUE", "new_value", "NEW_VALUE"].map(|name| p.get(name)))
        .flatten()
        .map(Value::to_string)
        .collect();
    assert!(life_of(&values) > 20, "{}", values.len());
}
