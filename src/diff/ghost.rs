//! Ghost changes: the state before an event is not the state after the event before it. Either somebody changed the
//! resource without an audit row, or a row is missing.
//!
//! Some writers store only the members that an event touched, on one side or on both. Which kind a writer is shows only
//! with time, so every reading is kept for each resource type until the end.

use super::history::{Known, Version, paths_between};
use super::json::Limits;
use super::writing::{Members, Writing, members};
use crate::domain::{CallRecord, Timestamp};
use std::collections::{BTreeMap, BTreeSet, HashMap};

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
    /// Neighbouring events that could be compared; never fewer than the findings.
    pub compared: u64,
    /// Changes without an event, at most [`MAX_GHOSTS`].
    pub ghosts: Vec<Ghost>,
    /// All of them.
    pub total: u64,
    /// Events that record a call and hold no states.
    pub calls: u64,
    /// What kind of record these are.
    pub record: Option<&'static CallRecord>,
}

/// More findings than this for one resource type are only counted.
pub const MAX_GHOSTS: usize = 10_000;

/// Findings under one reading.
#[derive(Debug, Default)]
struct Findings {
    compared: u64,
    listed: Vec<Ghost>,
    total: u64,
}

impl Findings {
    /// Takes note of a comparison; paths that differ are a finding.
    fn compared(&mut self, paths: Vec<String>, ghost: &dyn Fn(Vec<String>) -> Ghost) {
        self.compared += 1;
        if !paths.is_empty() {
            self.total += 1;
            if self.listed.len() < MAX_GHOSTS {
                self.listed.push(ghost(paths));
            }
        }
    }
}

#[derive(Debug, Default)]
struct Type {
    calls: u64,
    record: Option<&'static CallRecord>,
    /// Neighbours with a state between them on both sides, and those whose states do not even have the same members.
    pairs: u64,
    other_members: u64,
    /// Events with members before and after, and those of them in which a member stayed as it was.
    updates: u64,
    with_unchanged: u64,
    /// Events with other members before than after; those of them whose members after, or before, are fewer and all
    /// changed.
    uneven: u64,
    changed_after: u64,
    changed_before: u64,
    /// Both sides whole.
    full: Findings,
    /// Both sides in part.
    partial: Findings,
    /// Only the state after in part.
    after: Findings,
    /// Only the state before in part.
    before: Findings,
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
    /// The state after, completed from the state before; nothing where neither was whole.
    completed: Option<Members>,
}

/// A running search. Holds the last state of every resource it has seen, once for each way to read it.
#[derive(Debug)]
pub struct GhostSearch {
    limits: Limits,
    types: BTreeMap<String, Type>,
    tracks: HashMap<(String, String), Track>,
}

impl GhostSearch {
    /// Nothing seen yet. States beyond `limits` are compared as text.
    pub fn new(limits: Limits) -> Self {
        Self { limits, types: BTreeMap::new(), tracks: HashMap::new() }
    }

    /// The next event, in the order in which events happened.
    pub fn observe(&mut self, resource_type: &str, resource_id: &str, version: &Version<'_>) {
        if let Some(record) = version.call() {
            let entry = self.types.entry(resource_type.to_owned()).or_default();
            entry.calls += 1;
            entry.record = Some(record);
            return;
        }
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
            entry.learn(old, new);
        }
        if let Some(track) = self.tracks.get(&key) {
            let ghost = |paths: Vec<String>| Ghost {
                resource_type: key.0.clone(),
                resource_id: key.1.clone(),
                after: track.event.clone(),
                before: event.clone(),
                paths: paths.into_iter().take(MAX_PATHS).collect(),
            };
            entry.compare(track, version, old.as_ref(), new.as_ref(), limits, &ghost);
        }
        let before = self.tracks.remove(&key);
        self.tracks.insert(key, Track::after(before, event, version, old, new));
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
            let findings = match writing {
                Writing::Full => &found.full,
                Writing::Partial => &found.partial,
                Writing::ChangedAfter => &found.after,
                Writing::ChangedBefore => &found.before,
                // Too few events of its own: as the other types are written, or as all of the few look.
                Writing::Undecided if elsewhere || found.other_members == found.pairs => &found.partial,
                Writing::Undecided => &found.full,
            };
            TypeReport {
                resource_type: resource_type.clone(),
                writing,
                compared: findings.compared,
                ghosts: findings.listed.clone(),
                total: findings.total,
                calls: found.calls,
                record: found.record,
            }
        };
        self.types.iter().map(judge).collect()
    }
}

impl Track {
    /// What is known after an event.
    fn after(
        before: Option<Self>,
        event: (String, Timestamp),
        version: &Version<'_>,
        old: Option<Members>,
        new: Option<Members>,
    ) -> Self {
        let completed = match (version.new, &old, &new) {
            (Some(_), Some(old), Some(new)) => {
                let mut whole = old.clone();
                whole.extend(new.iter().map(|(name, value)| (name.clone(), value.clone())));
                Some(whole)
            }
            (Some(_), None, Some(new)) if version.action == "create" => Some(new.clone()),
            (None, Some(old), _) if version.action != "delete" => Some(old.clone()),
            _ => None,
        };
        let mut known = match before {
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
        Self { event, state, absent, members: known, completed }
    }
}

impl Type {
    /// What one event tells of how its writer stores states.
    fn learn(&mut self, old: &Members, new: &Members) {
        let unchanged = old.iter().any(|(name, value)| new.get(name) == Some(value));
        self.updates += 1;
        self.with_unchanged += u64::from(unchanged);
        if old.is_empty() || new.is_empty() || old.keys().eq(new.keys()) {
            return;
        }
        self.uneven += 1;
        let inside = |part: &Members, whole: &Members| part.keys().all(|name| whole.contains_key(name));
        self.changed_after += u64::from(!unchanged && inside(new, old));
        self.changed_before += u64::from(!unchanged && inside(old, new));
    }

    /// Holds what an event saw against what the one before it left, in every reading.
    fn compare(
        &mut self,
        track: &Track,
        version: &Version<'_>,
        old: Option<&Members>,
        new: Option<&Members>,
        limits: Limits,
        ghost: &dyn Fn(Vec<String>) -> Ghost,
    ) {
        let whole = || vec![String::new()];
        match (&track.state, version.before()) {
            (Some(state), Known::State(seen)) => {
                self.pairs += 1;
                let paths = if **state == *seen { Vec::new() } else { paths_between(state, seen, limits) };
                if !paths.is_empty() && names(state, limits) != names(seen, limits) {
                    self.other_members += 1;
                }
                self.full.compared(paths, ghost);
            }
            // It was there and is created once more, or it was gone and is changed.
            (Some(_), Known::Absent) => self.full.compared(whole(), ghost),
            (None, Known::State(_)) if track.absent => self.full.compared(whole(), ghost),
            (None, Known::Absent) if track.absent => self.full.compared(Vec::new(), ghost),
            _ => {}
        }
        let existence = match version.before() {
            Known::Unknown => return,
            Known::Absent => !track.absent,
            Known::State(_) => track.absent,
        };
        if existence {
            for reading in [&mut self.partial, &mut self.after, &mut self.before] {
                reading.compared(whole(), ghost);
            }
            return;
        }
        if let Some(old) = old {
            let mut changed = changed_members(track, old);
            self.before.compared(changed.clone(), ghost);
            changed.extend(brought_again(track, old, new));
            self.partial.compared(changed, ghost);
        } else {
            self.partial.compared(Vec::new(), ghost);
            self.before.compared(Vec::new(), ghost);
        }
        match (&track.completed, old) {
            (Some(left), Some(seen)) => self.after.compared(different(left, seen), ghost),
            (None, None) => self.after.compared(Vec::new(), ghost),
            _ => {}
        }
    }

    /// Whole states of a resource rarely have other members than the ones before.
    fn often_other_members(&self) -> bool {
        self.other_members * 4 >= self.pairs
    }

    /// Whole states nearly always hold something that an event did not touch.
    fn only_what_changed(&self) -> bool {
        self.updates > 0 && self.with_unchanged * 20 <= self.updates
    }

    /// Whether nearly all events with other members before than after show this.
    fn mostly(&self, events: u64) -> bool {
        events > 0 && events * 20 >= self.uneven * 19
    }

    fn writing(&self) -> Writing {
        if self.mostly(self.changed_after) && self.after.total < self.full.total {
            Writing::ChangedAfter
        } else if self.mostly(self.changed_before) && self.before.total < self.full.total {
            Writing::ChangedBefore
        } else if self.other_members == 0 {
            Writing::Full
        } else if self.pairs < 4 {
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

fn pointer(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// Members of which the event saw another value than the last one that is known.
fn changed_members(track: &Track, old: &Members) -> Vec<String> {
    old.iter()
        .filter(|(name, value)| track.members.get(*name).is_some_and(|k| k.as_ref() != Some(*value)))
        .map(|(name, _)| pointer(name))
        .collect()
}

/// Members that the event says it brought, but that were there.
fn brought_again(track: &Track, old: &Members, new: Option<&Members>) -> Vec<String> {
    new.into_iter()
        .flat_map(BTreeMap::keys)
        .filter(|name| !old.contains_key(*name) && track.members.get(*name).is_some_and(Option::is_some))
        .map(|name| pointer(name))
        .collect()
}

/// Members in which two whole states differ.
fn different(left: &Members, seen: &Members) -> Vec<String> {
    let names: BTreeSet<&String> = left.keys().chain(seen.keys()).collect();
    names.into_iter().filter(|name| left.get(*name) != seen.get(*name)).map(|name| pointer(name)).collect()
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

    /// Events of one type: id of the resource, action, state before, state after.
    fn search(events: &[(&str, &str, Option<&str>, Option<&str>)]) -> TypeReport {
        let mut search = GhostSearch::new(LIMITS);
        for (n, (id, action, previous, new)) in events.iter().enumerate() {
            let version = Version {
                event_id: &n.to_string(),
                timestamp: Timestamp::from_micros(n as i64),
                actor_id: "a",
                action,
                previous: *previous,
                new: *new,
            };
            search.observe("ticket", id, &version);
        }
        search.report().remove(0)
    }

    #[test]
    fn an_audit_trigger_stores_the_row_before_and_only_what_changed_after() {
        let life = |id: &'static str, bypass: bool| {
            let third = if bypass {
                r#"{"id":1,"status":"OPEN","amount":999}"#
            } else {
                r#"{"id":1,"status":"OPEN","amount":150}"#
            };
            [
                (id, "create", None, Some(r#"{"id":1,"status":"NEW","amount":100}"#)),
                (id, "update", Some(r#"{"id":1,"status":"NEW","amount":100}"#), Some(r#"{"status":"OPEN"}"#)),
                (id, "update", Some(r#"{"id":1,"status":"OPEN","amount":100}"#), Some(r#"{"amount":150}"#)),
                (id, "update", Some(third), Some(r#"{"status":"CLOSED"}"#)),
                (
                    id,
                    "delete",
                    Some(if bypass {
                        r#"{"id":1,"status":"CLOSED","amount":999}"#
                    } else {
                        r#"{"id":1,"status":"CLOSED","amount":150}"#
                    }),
                    None,
                ),
            ]
        };
        let honest: Vec<_> = ["1", "2", "3"].iter().flat_map(|id| life(id, false)).collect();
        let report = search(&honest);
        assert_eq!((report.writing, report.total, report.compared), (Writing::ChangedAfter, 0, 12));
        let bypassed: Vec<_> = honest.iter().copied().chain(life("4", true)).collect();
        let report = search(&bypassed);
        assert_eq!((report.writing, report.total), (Writing::ChangedAfter, 1));
        assert_eq!(
            (report.ghosts[0].resource_id.as_str(), report.ghosts[0].paths.as_slice()),
            ("4", ["/amount".to_owned()].as_slice())
        );
    }

    #[test]
    fn the_mirror_image_stores_only_what_changed_before() {
        let events = [
            ("1", "create", None, Some(r#"{"id":1,"status":"NEW","amount":100}"#)),
            ("1", "update", Some(r#"{"status":"NEW"}"#), Some(r#"{"id":1,"status":"OPEN","amount":100}"#)),
            ("1", "update", Some(r#"{"amount":100}"#), Some(r#"{"id":1,"status":"OPEN","amount":150}"#)),
            ("1", "update", Some(r#"{"status":"OPEN"}"#), Some(r#"{"id":1,"status":"DONE","amount":150}"#)),
            ("1", "update", Some(r#"{"amount":7}"#), Some(r#"{"id":1,"status":"DONE","amount":8}"#)),
        ];
        let report = search(&events[..4]);
        assert_eq!((report.writing, report.total, report.compared), (Writing::ChangedBefore, 0, 3));
        let report = search(&events);
        assert_eq!((report.writing, report.total), (Writing::ChangedBefore, 1));
        assert_eq!(report.ghosts[0].paths, ["/amount"]);
    }

    #[test]
    fn removing_members_is_no_other_way_of_writing() {
        // Whole states; `b` was removed by an event, and `a` changed without one.
        let events = [
            ("1", "update", Some(r#"{"a":1,"b":2,"c":3}"#), Some(r#"{"a":1,"c":3}"#)),
            ("1", "update", Some(r#"{"a":9,"c":3}"#), Some(r#"{"a":9,"c":4}"#)),
        ];
        let report = search(&events);
        assert_eq!((report.writing, report.total, report.compared), (Writing::Full, 1, 1));
    }

    #[test]
    fn calls_are_counted_and_never_compared() {
        let call = |n: u32| {
            format!(r#"{{"eventVersion":"1.08","eventType":"AwsApiCall","requestParameters":{{"n":{n}}}}}"#)
        };
        let (a, b) = (call(1), call(2));
        let report = search(&[
            ("1", "create", None, Some(&a)),
            ("1", "create", None, Some(&b)),
            ("1", "delete", None, Some(&a)),
            ("1", "update", None, Some(&b)),
        ]);
        assert_eq!((report.compared, report.total, report.calls), (0, 0, 4));
        assert_eq!(report.record.unwrap().title, "AWS CloudTrail");
    }

    #[test]
    fn nothing_is_found_without_a_comparison() {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let states = [None, Some("{}"), Some(r#"{"a":1}"#), Some(r#"{"a":2,"b":1}"#), Some("[1]"), Some("7")];
        for _ in 0..300 {
            let mut pick = |n: usize| random.next_u32() as usize % n;
            let events: Vec<_> = (0..12)
                .map(|_| {
                    let action = ["create", "update", "delete", "read"][pick(4)];
                    (["1", "2"][pick(2)], action, states[pick(6)], states[pick(6)])
                })
                .collect();
            let mut found = GhostSearch::new(LIMITS);
            for (n, (id, action, previous, new)) in events.iter().enumerate() {
                let (event_id, timestamp) = (&n.to_string(), Timestamp::from_micros(n as i64));
                let version =
                    Version { event_id, timestamp, actor_id: "a", action, previous: *previous, new: *new };
                found.observe("t", id, &version);
            }
            for report in found.report() {
                assert!(report.compared >= report.total, "{events:?} {report:?}");
            }
            for reading in found.types.values().flat_map(|t| [&t.full, &t.partial, &t.after, &t.before]) {
                assert!(reading.compared >= reading.total);
            }
        }
    }
}
