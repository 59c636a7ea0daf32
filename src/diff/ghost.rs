//! Ghost changes: the state before an event is not the state after the event before it. Either somebody changed the
//! resource without an audit row, or a row is missing.
//!
//! Some writers store only the members that an event touched. Which kind a writer is shows only with time, so both
//! readings are kept for each resource type until the end.

use super::history::{Known, Version, paths_between};
use super::json::{Doc, Limits, NodeKind};
use crate::domain::Timestamp;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// How the states of one resource type are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writing {
    /// Whole states.
    Full,
    /// Only the members of an event, at the top level.
    Partial,
    /// Too few events to tell: judged as the other types are written.
    Undecided,
}

/// A change without an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ghost {
    /// Type of the resource.
    pub resource_type: String,
    /// Its identifier.
    pub resource_id: String,
    /// The last event before the change, and its time.
    pub after: (String, Timestamp),
    /// The first event that saw the change, and its time.
    pub before: (String, Timestamp),
    /// What changed (JSON Pointer); empty for the whole state. At most [`MAX_PATHS`].
    pub paths: Vec<String>,
}

/// More paths than this are not listed.
pub const MAX_PATHS: usize = 50;

/// What was found for one resource type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeReport {
    /// The type.
    pub resource_type: String,
    /// How its states are written.
    pub writing: Writing,
    /// Neighbouring events that could be compared.
    pub compared: u64,
    /// Changes without an event, at most [`MAX_GHOSTS`].
    pub ghosts: Vec<Ghost>,
    /// All of them.
    pub total: u64,
}

/// More findings than this for one resource type are only counted.
pub const MAX_GHOSTS: usize = 10_000;

/// Findings under one reading.
#[derive(Debug, Default)]
struct Findings {
    listed: Vec<Ghost>,
    total: u64,
}

impl Findings {
    fn add(&mut self, ghost: impl FnOnce() -> Ghost) {
        self.total += 1;
        if self.listed.len() < MAX_GHOSTS {
            self.listed.push(ghost());
        }
    }
}

#[derive(Debug, Default)]
struct Type {
    compared: u64,
    /// Neighbours whose states do not even have the same members.
    other_members: u64,
    /// Events with members before and after, and those of them in which a member stayed as it was.
    updates: u64,
    with_unchanged: u64,
    full: Findings,
    partial: Findings,
}

/// The last that is known of a resource.
#[derive(Debug)]
struct Track {
    event: (String, Timestamp),
    /// As a whole.
    state: Option<Box<str>>,
    absent: bool,
    /// Member by member; `None` is known to be missing.
    members: BTreeMap<String, Option<Box<str>>>,
}

/// A running search. Holds the last state of every resource it has seen, twice.
#[derive(Debug)]
pub struct GhostSearch {
    limits: Limits,
    types: BTreeMap<String, Type>,
    tracks: HashMap<(String, String), Track>,
}

type Members = BTreeMap<String, Box<str>>;

impl GhostSearch {
    /// Nothing seen yet. States beyond `limits` are compared as text.
    pub fn new(limits: Limits) -> Self {
        Self { limits, types: BTreeMap::new(), tracks: HashMap::new() }
    }

    /// The next event, in the order in which events happened.
    pub fn observe(&mut self, resource_type: &str, resource_id: &str, version: &Version<'_>) {
        if version.previous.is_none()
            && version.new.is_none()
            && !matches!(version.action, "create" | "delete")
        {
            // An update that recorded nothing leaves the state unknown; reading leaves it as it is.
            if version.action == "update" {
                self.forget(resource_type, resource_id);
            }
            return;
        }
        let limits = self.limits;
        let key = (resource_type.to_owned(), resource_id.to_owned());
        let event = (version.event_id.to_owned(), version.timestamp);
        let entry = self.types.entry(resource_type.to_owned()).or_default();
        let old = version.previous.and_then(|t| members(t, limits));
        let new = version.new.and_then(|t| members(t, limits));
        if let (Some(old), Some(new)) = (&old, &new) {
            entry.updates += 1;
            entry.with_unchanged += u64::from(old.iter().any(|(name, value)| new.get(name) == Some(value)));
        }
        if let Some(track) = self.tracks.get(&key) {
            let ghost = |paths: Vec<String>| Ghost {
                resource_type: key.0.clone(),
                resource_id: key.1.clone(),
                after: track.event.clone(),
                before: event.clone(),
                paths: paths.into_iter().take(MAX_PATHS).collect(),
            };
            compare_whole(entry, track, version, limits, &ghost);
            let changed = changed_members(track, version, old.as_ref(), new.as_ref());
            if !changed.is_empty() {
                entry.partial.add(|| ghost(changed));
            }
        }
        let mut known = match self.tracks.remove(&key) {
            Some(track) if version.action != "create" => track.members,
            _ => BTreeMap::new(),
        };
        for (name, value) in old.iter().flatten() {
            let stays = new.is_none() && version.new.is_none();
            known.insert(name.clone(), stays.then(|| value.clone()));
        }
        known.extend(new.into_iter().flatten().map(|(name, value)| (name, Some(value))));
        let (state, absent) = match version.after() {
            Known::State(text) => (Some(text.into()), false),
            Known::Absent => (None, true),
            Known::Unknown => (None, false),
        };
        self.tracks.insert(key, Track { event, state, absent, members: known });
    }

    /// Nothing is known any more of the state of a resource.
    pub fn forget(&mut self, resource_type: &str, resource_id: &str) {
        self.tracks.remove(&(resource_type.to_owned(), resource_id.to_owned()));
    }

    /// What was found so far, by resource type.
    pub fn report(&self) -> Vec<TypeReport> {
        let elsewhere = self.types.values().any(|found| found.writing() == Writing::Partial);
        let judge = |(resource_type, found): (&String, &Type)| {
            let writing = found.writing();
            let in_part = match writing {
                Writing::Full => false,
                Writing::Partial => true,
                // Too few events of its own: as the other types are written, or as all of the few look.
                Writing::Undecided => elsewhere || found.other_members == found.compared,
            };
            let findings = if in_part { &found.partial } else { &found.full };
            TypeReport {
                resource_type: resource_type.clone(),
                writing,
                compared: found.compared,
                ghosts: findings.listed.clone(),
                total: findings.total,
            }
        };
        self.types.iter().map(judge).collect()
    }
}

impl Type {
    /// Whole states of a resource rarely have other members than the ones before.
    fn often_other_members(&self) -> bool {
        self.other_members * 4 >= self.compared
    }

    /// Whole states nearly always hold something that an event did not touch.
    fn only_what_changed(&self) -> bool {
        self.updates > 0 && self.with_unchanged * 20 <= self.updates
    }

    fn writing(&self) -> Writing {
        if self.other_members == 0 {
            Writing::Full
        } else if self.compared < 4 {
            Writing::Undecided
        } else if (self.often_other_members() || self.only_what_changed())
            && self.partial.total < self.full.total
        {
            Writing::Partial
        } else {
            Writing::Full
        }
    }
}

fn compare_whole(
    entry: &mut Type,
    track: &Track,
    version: &Version<'_>,
    limits: Limits,
    ghost: &dyn Fn(Vec<String>) -> Ghost,
) {
    match (&track.state, version.before()) {
        (Some(state), Known::State(seen)) => {
            entry.compared += 1;
            if **state != *seen {
                if names(state, limits) != names(seen, limits) {
                    entry.other_members += 1;
                }
                let paths = paths_between(state, seen, limits);
                if !paths.is_empty() {
                    entry.full.add(|| ghost(paths));
                }
            }
        }
        // It was there and is created once more, or it was gone and is changed.
        (Some(_), Known::Absent) => entry.full.add(|| ghost(vec![String::new()])),
        (None, Known::State(_)) if track.absent => entry.full.add(|| ghost(vec![String::new()])),
        _ => {}
    }
}

/// Members of which the event saw another value than the last one that is known.
fn changed_members(
    track: &Track,
    version: &Version<'_>,
    old: Option<&Members>,
    new: Option<&Members>,
) -> Vec<String> {
    let existence = match version.before() {
        Known::Absent => !track.absent,
        Known::State(_) => track.absent,
        Known::Unknown => false,
    };
    if existence {
        return vec![String::new()];
    }
    let Some(old) = old else { return Vec::new() };
    let pointer = |name: &str| format!("/{}", name.replace('~', "~0").replace('/', "~1"));
    let mut changed: Vec<String> = old
        .iter()
        .filter(|(name, value)| track.members.get(*name).is_some_and(|k| k.as_ref() != Some(*value)))
        .map(|(name, _)| pointer(name))
        .collect();
    // The event says that it brought the member, but it was there.
    for name in new.into_iter().flat_map(BTreeMap::keys) {
        if !old.contains_key(name) && track.members.get(name).is_some_and(Option::is_some) {
            changed.push(pointer(name));
        }
    }
    changed
}

fn members(text: &str, limits: Limits) -> Option<Members> {
    let doc = Doc::parse(text, limits).ok()?;
    let root = doc.root();
    (doc.kind(root) == NodeKind::Object)
        .then(|| doc.children(root).map(|m| (doc.key(m).into_owned(), doc.text(m).into())).collect())
}

fn names(text: &str, limits: Limits) -> Option<BTreeSet<String>> {
    Some(members(text, limits)?.into_keys().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha8Rng;
    use rand_core::{Rng as _, SeedableRng as _};

    const LIMITS: Limits = Limits { bytes: 1 << 20, nodes: 10_000 };

    fn object(state: &BTreeMap<String, u32>, only: Option<&str>) -> String {
        let members = state.iter().filter(|(k, _)| only.is_none_or(|o| o == *k));
        format!("{{{}}}", members.map(|(k, v)| format!("\"{k}\": {v}")).collect::<Vec<_>>().join(", "))
    }

    /// A trail over 200 resources in which every `bypass`th update comes after a change that nobody recorded.
    fn trail(events: u32, partial: bool, bypass: u32) -> (Vec<TypeReport>, u64) {
        let mut random = ChaCha8Rng::seed_from_u64(5);
        let mut states: Vec<Option<BTreeMap<String, u32>>> = vec![None; 200];
        let mut search = GhostSearch::new(LIMITS);
        let mut planted = 0;
        for n in 0..events {
            let at = (random.next_u32() % 200) as usize;
            let id = format!("r{at}");
            let event_id = format!("e{n}");
            let mut see = |action, previous: Option<String>, new: Option<String>| {
                let (previous, new) = (previous.as_deref(), new.as_deref());
                let timestamp = Timestamp::from_micros(i64::from(n));
                let version =
                    Version { event_id: &event_id, timestamp, actor_id: "a", action, previous, new };
                search.observe("thing", &id, &version);
            };
            let Some(state) = &mut states[at] else {
                let created: BTreeMap<String, u32> = (0..6).map(|k| (format!("k{k}"), n)).collect();
                see("create", None, Some(object(&created, None)));
                states[at] = Some(created);
                continue;
            };
            if random.next_u32().is_multiple_of(50) {
                see("delete", Some(object(state, None)), None);
                states[at] = None;
                continue;
            }
            if random.next_u32().is_multiple_of(10) {
                see("read", None, None);
                continue;
            }
            let name = format!("k{}", random.next_u32() % 6);
            let touched = partial.then_some(name.as_str());
            if bypass > 0 && n % bypass == 0 {
                planted += 1;
                state.insert(name.clone(), n + 1_000_000);
            }
            let previous = object(state, touched);
            state.insert(name.clone(), n);
            see("update", Some(previous), Some(object(state, touched)));
        }
        (search.report(), planted)
    }

    #[test]
    fn every_bypass_is_found_and_honest_trails_are_quiet() {
        for (partial, writing) in [(false, Writing::Full), (true, Writing::Partial)] {
            let (report, planted) = trail(20_000, partial, 400);
            assert!(planted > 30, "{planted}");
            assert_eq!((report[0].writing, report[0].total), (writing, planted));
            assert!(report[0].ghosts.iter().all(|g| g.paths.len() == 1 && g.paths[0].starts_with("/k")));
            let (report, _) = trail(20_000, partial, 0);
            assert_eq!((report[0].writing, report[0].total), (writing, 0));
        }
    }

    #[test]
    fn where_few_events_cannot_tell_the_other_types_do() {
        let mut search = GhostSearch::new(LIMITS);
        let mut see = |kind: &str, n: i64, previous: &str, new: &str| {
            let timestamp = Timestamp::from_micros(n);
            let (previous, new) = (Some(previous), Some(new));
            let event_id = &n.to_string();
            let version = Version { event_id, timestamp, actor_id: "a", action: "update", previous, new };
            search.observe(kind, "1", &version);
        };
        for n in 0..8 {
            let key = ["a", "b"][n as usize % 2];
            see("often", n, &format!("{{\"{key}\": {n}}}"), &format!("{{\"{key}\": {}}}", n + 2));
        }
        see("seldom", 10, r#"{"x": 1}"#, r#"{"x": 2}"#);
        see("seldom", 11, r#"{"y": 1}"#, r#"{"y": 2}"#);
        see("seldom", 12, r#"{"y": 2}"#, r#"{"y": 3}"#);
        let report = search.report();
        let told: Vec<_> = report.iter().map(|t| (t.writing, t.total)).collect();
        assert_eq!(told, [(Writing::Partial, 0), (Writing::Undecided, 0)]);
    }

    #[test]
    fn a_writer_that_always_touches_the_same_member_is_found_out() {
        let mut search = GhostSearch::new(LIMITS);
        for id in 0..3 {
            let mut state: BTreeMap<String, u32> = (0..6).map(|k| (format!("k{k}"), 0)).collect();
            for n in 0..40 {
                let previous = (n > 0).then(|| object(&state, Some("k1")));
                state.insert("k1".to_owned(), n);
                let new = object(&state, (n > 0).then_some("k1"));
                let (action, timestamp) =
                    (if n > 0 { "update" } else { "create" }, Timestamp::from_micros(n.into()));
                let (event_id, previous, new) = (&n.to_string(), previous.as_deref(), Some(new.as_str()));
                let version = Version { event_id, timestamp, actor_id: "a", action, previous, new };
                search.observe("thing", &id.to_string(), &version);
            }
        }
        let report = search.report();
        assert_eq!((report[0].writing, report[0].total), (Writing::Partial, 0));
    }

    #[test]
    fn existence_counts_too() {
        let mut search = GhostSearch::new(LIMITS);
        let steps =
            [("create", None, Some("{}")), ("delete", Some("{}"), None), ("update", Some("{}"), Some("{}"))];
        for (n, (action, previous, new)) in steps.into_iter().enumerate() {
            let timestamp = Timestamp::from_micros(n as i64);
            let event_id = ["c", "d", "u"][n];
            search.observe("t", "1", &Version { event_id, timestamp, actor_id: "a", action, previous, new });
        }
        let report = search.report();
        assert_eq!(report[0].ghosts.len(), 1);
        assert_eq!((report[0].ghosts[0].after.0.as_str(), report[0].ghosts[0].before.0.as_str()), ("d", "u"));
        assert_eq!(report[0].ghosts[0].paths, [""]);
    }
}
