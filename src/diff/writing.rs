//! How writers store states, and what follows from it: a side that holds only what an event touched is completed from the
//! other one, so that what the writer left out does not look like a change.

use super::json::{Doc, Limits, NodeKind, push_quoted};
use crate::domain::{CallRecord, Event, Json};
use std::collections::BTreeMap;

/// How the states of one resource type are written: each side as a whole, or only what an event touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Writing {
    /// Whole states on both sides.
    #[default]
    Full,
    /// On both sides only the members of an event, at the top level.
    Partial,
    /// The whole state before, and only the changed members after (`row_data` and `changed_fields` of audit triggers).
    ChangedAfter,
    /// Only the changed members before, and the whole state after.
    ChangedBefore,
    /// Too few events to tell: judged as the other types are written.
    Undecided,
}

impl Writing {
    /// The name in JSON output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Partial => "partial",
            Self::ChangedAfter => "changed_after",
            Self::ChangedBefore => "changed_before",
            Self::Undecided => "undecided",
        }
    }

    /// What a reader must know of the findings; `None` where whole states were compared.
    pub const fn remark(self) -> Option<&'static str> {
        match self {
            Self::Full | Self::Undecided => None,
            Self::Partial => {
                Some("states hold only what an event touched; a change of anything else does not show")
            }
            Self::ChangedAfter => {
                Some("states after hold only what changed; they were completed from the states before")
            }
            Self::ChangedBefore => {
                Some("states before hold only what changed; a change of anything else does not show")
            }
        }
    }

    /// The two states of an event, the one that is stored in part as a whole; `None` for a state that stays as it is
    /// stored. States that are no objects, or beyond the limits, stay so.
    pub fn completed(self, previous: Option<&str>, new: Option<&str>, limits: Limits) -> [Option<String>; 2] {
        let (Some(old), Some(new), None) = (previous, new, CallRecord::of(previous, new)) else {
            return [None, None];
        };
        let both = || Some((members(old, limits)?, members(new, limits)?));
        match self {
            Self::ChangedAfter => [None, both().map(|(old, new)| text(&over(&old, &new)))],
            Self::ChangedBefore => [both().map(|(old, new)| text(&over(&new, &old))), None],
            Self::Full | Self::Partial | Self::Undecided => [None, None],
        }
    }

    /// Completes the states of the events of one resource, oldest first. Where both sides are stored in part, a member
    /// that an event does not hold is taken to be as the nearest event before it left it, or the first one saw it.
    pub fn complete(self, events: &mut [Event], limits: Limits) {
        match self {
            Self::Full | Self::Undecided => {}
            Self::ChangedAfter | Self::ChangedBefore => {
                for event in events {
                    self.complete_one(event, limits);
                }
            }
            Self::Partial => {
                let mut known = first_seen(events, limits);
                for at in 0..events.len() {
                    let begins = events.get_mut(at).is_some_and(|event| part(event, &mut known, limits));
                    if begins {
                        // Another life under the same name.
                        known = first_seen(events.get(at + 1..).unwrap_or_default(), limits);
                    }
                }
            }
        }
    }

    /// Completes the states of one event.
    pub fn complete_one(self, event: &mut Event, limits: Limits) {
        let stored = |state: &Option<Json>| state.as_ref().map(|state| state.as_str().to_owned());
        let (previous, new) = (stored(&event.previous_state), stored(&event.new_state));
        let [old, after] = self.completed(previous.as_deref(), new.as_deref(), limits);
        if let Some(old) = old {
            event.previous_state = Some(Json::from_trusted(old));
        }
        if let Some(after) = after {
            event.new_state = Some(Json::from_trusted(after));
        }
    }
}

/// How the states of each resource type of an organisation are written, as far as that was learnt.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Writings(BTreeMap<String, Writing>);

impl Writings {
    /// How those of a type are written; whole where nothing was learnt.
    pub fn of(&self, resource_type: &str) -> Writing {
        self.0.get(resource_type).copied().unwrap_or_default()
    }

    /// The types that are written in a certain way.
    pub fn types(&self, writing: Writing) -> Vec<String> {
        self.0.iter().filter(|(_, w)| **w == writing).map(|(name, _)| name.clone()).collect()
    }
}

impl FromIterator<(String, Writing)> for Writings {
    fn from_iter<I: IntoIterator<Item = (String, Writing)>>(learnt: I) -> Self {
        Self(learnt.into_iter().collect())
    }
}

/// The members of an object at the top level: names, and values as they are written.
pub(super) type Members = BTreeMap<String, Box<str>>;

/// `None` for what is no object, or beyond the limits.
pub(super) fn members(text: &str, limits: Limits) -> Option<Members> {
    let doc = Doc::parse(text, limits).ok()?;
    let root = doc.root();
    (doc.kind(root) == NodeKind::Object)
        .then(|| doc.children(root).map(|m| (doc.key(m).into_owned(), doc.text(m).into())).collect())
}

/// `base`, and over it `top`.
fn over(base: &Members, top: &Members) -> Members {
    let mut whole = base.clone();
    whole.extend(top.iter().map(|(name, value)| (name.clone(), value.clone())));
    whole
}

/// The object of some members.
fn text(members: &Members) -> String {
    let mut out = "{".to_owned();
    for (n, (name, value)) in members.iter().enumerate() {
        out.push_str(if n > 0 { ", " } else { "" });
        push_quoted(&mut out, name);
        out.push_str(": ");
        out.push_str(value);
    }
    out.push('}');
    out
}

fn sides(event: &Event, limits: Limits) -> [Option<Members>; 2] {
    [&event.previous_state, &event.new_state].map(|state| members(state.as_ref()?.as_str(), limits))
}

/// What events that hold only parts show of the state before all of them, up to the end of the resource's life: each
/// member as the first event that holds it saw it. One that was not there then is not there.
fn first_seen(events: &[Event], limits: Limits) -> Members {
    let mut before: BTreeMap<String, Option<Box<str>>> = BTreeMap::new();
    for event in events {
        if event.row.action == "create" {
            break;
        }
        let [old, new] = sides(event, limits);
        for (name, value) in old.into_iter().flatten() {
            before.entry(name).or_insert(Some(value));
        }
        for (name, _) in new.into_iter().flatten() {
            before.entry(name).or_insert(None);
        }
    }
    before.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// Completes an event from what is known of the state before it, and takes note of what it shows. True where a life ends
/// with it, so that of the next one nothing is known.
fn part(event: &mut Event, known: &mut Members, limits: Limits) -> bool {
    let [old, new] = sides(event, limits);
    match (&event.previous_state, &event.new_state) {
        (None, None) => {}
        (None, Some(_)) if event.row.action == "create" => *known = new.unwrap_or_default(),
        _ => {
            if let Some(old) = &old {
                *known = over(known, old);
                event.previous_state = Some(Json::from_trusted(text(known)));
            }
            if let Some(new) = &new {
                for name in old.iter().flat_map(BTreeMap::keys).filter(|name| !new.contains_key(*name)) {
                    known.remove(name);
                }
                *known = over(known, new);
                event.new_state = Some(Json::from_trusted(text(known)));
            }
        }
    }
    event.row.action == "delete"
}

#[cfg(test)]
mod tests {
    use super::super::history::{Known, Origin, Version, blame, state_at, state_between};
    use super::*;
    use crate::domain::{EventRow, Timestamp};

    const LIMITS: Limits = Limits { bytes: 1 << 20, nodes: 10_000 };

    fn event(n: usize, action: &str, previous: Option<&str>, new: Option<&str>) -> Event {
        let json = |text: Option<&str>| text.map(Json::from_trusted);
        Event {
            row: EventRow {
                event_id: format!("e{n}"),
                timestamp: Timestamp::from_micros(n as i64),
                resource_type: "ticket".to_owned(),
                action: action.to_owned(),
                ..EventRow::sample()
            },
            previous_state: json(previous),
            new_state: json(new),
        }
    }

    #[test]
    fn one_side_is_completed_from_the_other() {
        let (whole, changed) = (r#"{"id":1,"status":"NEW","amount":1.50}"#, r#"{"status":"OPEN"}"#);
        let [old, new] = Writing::ChangedAfter.completed(Some(whole), Some(changed), LIMITS);
        assert_eq!((old, new.as_deref()), (None, Some(r#"{"amount": 1.50, "id": 1, "status": "OPEN"}"#)));
        let [old, new] = Writing::ChangedBefore.completed(Some(changed), Some(whole), LIMITS);
        assert_eq!((old.as_deref(), new), (Some(r#"{"amount": 1.50, "id": 1, "status": "OPEN"}"#), None));
        for (writing, old, new) in [
            (Writing::Full, Some(whole), Some(changed)),
            (Writing::ChangedAfter, None, Some(changed)),
            (Writing::ChangedAfter, Some("[1]"), Some(changed)),
            (Writing::ChangedAfter, Some(whole), Some("7")),
        ] {
            assert_eq!(writing.completed(old, new, LIMITS), [None, None]);
        }
    }

    #[test]
    fn a_life_in_parts_is_a_life_of_whole_states() {
        let mut events = vec![
            event(0, "update", Some(r#"{"a":1}"#), Some(r#"{"a":2}"#)),
            event(1, "update", Some(r#"{"b":1}"#), Some(r#"{"b":2,"c":0}"#)),
            event(2, "update", Some(r#"{"a":9}"#), Some("{}")),
            event(3, "delete", Some(r#"{"b":2,"c":0}"#), None),
            event(4, "create", None, Some(r#"{"z":1}"#)),
            event(5, "update", Some(r#"{"z":1}"#), Some(r#"{"z":2}"#)),
        ];
        Writing::Partial.complete(&mut events, LIMITS);
        let versions: Vec<Version<'_>> = events.iter().map(Version::from).collect();
        let told: Vec<_> =
            versions.iter().map(|v| (v.previous.unwrap_or("-"), v.new.unwrap_or("-"))).collect();
        assert_eq!(
            told,
            [
                (r#"{"a": 1, "b": 1}"#, r#"{"a": 2, "b": 1}"#),
                (r#"{"a": 2, "b": 1}"#, r#"{"a": 2, "b": 2, "c": 0}"#),
                (r#"{"a": 9, "b": 2, "c": 0}"#, r#"{"b": 2, "c": 0}"#),
                (r#"{"b": 2, "c": 0}"#, "-"),
                ("-", r#"{"z":1}"#),
                (r#"{"z": 1}"#, r#"{"z": 2}"#),
            ]
        );
        let between = |a: usize, b: usize| state_between(versions.get(a), versions.get(b), LIMITS).1;
        assert!(between(0, 1).is_empty());
        assert_eq!(between(1, 2), ["/a"], "what changed without an event stays a finding");
        assert_eq!(state_at(&versions, Timestamp::from_micros(1), LIMITS).state, {
            Known::State(r#"{"a": 2, "b": 2, "c": 0}"#)
        });
    }

    #[test]
    fn blame_reaches_through_what_was_left_out() {
        let mut events = vec![
            event(0, "create", None, Some(r#"{"id":1,"status":"NEW","amount":100}"#)),
            event(1, "update", Some(r#"{"id":1,"status":"NEW","amount":100}"#), Some(r#"{"status":"OPEN"}"#)),
            event(2, "update", Some(r#"{"id":1,"status":"OPEN","amount":100}"#), Some(r#"{"amount":150}"#)),
        ];
        Writing::ChangedAfter.complete(&mut events, LIMITS);
        let versions: Vec<Version<'_>> = events.iter().map(Version::from).collect();
        let found = blame(&versions, LIMITS, &|| false).unwrap();
        let mut lines: Vec<_> = found.lines.iter().map(|l| (l.path.as_str(), l.origin)).collect();
        lines.sort_unstable_by_key(|(path, _)| *path);
        assert_eq!(
            lines,
            [("/amount", Origin::Event(2)), ("/id", Origin::Event(0)), ("/status", Origin::Event(1))]
        );
    }
}
