//! The life of one resource: who last set each value (blame), and its state at any moment (time travel).
//!
//! Nothing is guessed. What an event did not record, and what changed between two events without one, is unknown, and
//! the result says between which events.

use super::compare::{Pair, Relation, Stopped, Structure};
use super::json::{Doc, JsonError, Limits, NodeId};
use super::rules::Rules;
use crate::domain::{CallRecord, Event, Json, Timestamp};

/// An event of the resource. The caller has them in the order in which they happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version<'a> {
    /// Identifier of the event.
    pub event_id: &'a str,
    /// Its claimed time.
    pub timestamp: Timestamp,
    /// Who acted.
    pub actor_id: &'a str,
    /// Column `action`.
    pub action: &'a str,
    /// State before, as stored.
    pub previous: Option<&'a str>,
    /// State after, as stored.
    pub new: Option<&'a str>,
}

impl<'a> From<&'a Event> for Version<'a> {
    fn from(event: &'a Event) -> Self {
        Self {
            event_id: &event.row.event_id,
            timestamp: event.row.timestamp,
            actor_id: &event.row.actor_id,
            action: &event.row.action,
            previous: event.previous_state.as_ref().map(Json::as_str),
            new: event.new_state.as_ref().map(Json::as_str),
        }
    }
}

/// What is known of a state at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known<'a> {
    /// It was this.
    State(&'a str),
    /// The resource did not exist.
    Absent,
    /// Nothing was recorded.
    Unknown,
}

impl<'a> Version<'a> {
    /// Reading and exporting change nothing and usually record nothing.
    fn only_looks(&self) -> bool {
        matches!(self.action, "read" | "export")
    }

    /// The kind of record where the event records a call, and holds no states.
    pub fn call(&self) -> Option<&'static CallRecord> {
        CallRecord::of(self.previous, self.new)
    }

    /// The state just before the event.
    pub fn before(&self) -> Known<'a> {
        match (self.previous, self.new) {
            _ if self.call().is_some() => Known::Unknown,
            (Some(state), _) => Known::State(state),
            (None, Some(state)) if self.only_looks() => Known::State(state),
            (None, _) if self.action == "create" => Known::Absent,
            _ => Known::Unknown,
        }
    }

    /// The state just after the event.
    pub fn after(&self) -> Known<'a> {
        match (self.new, self.previous) {
            _ if self.call().is_some() => Known::Unknown,
            (Some(state), _) => Known::State(state),
            (None, Some(state)) if self.only_looks() => Known::State(state),
            (None, _) if self.action == "delete" => Known::Absent,
            _ => Known::Unknown,
        }
    }

    /// Whether the event tells anything about the state.
    pub(super) fn tells(&self) -> bool {
        (!self.only_looks() || self.previous.is_some() || self.new.is_some()) && self.call().is_none()
    }
}

/// Where a value comes from. Numbers are places in the list of versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// This event set it.
    Event(usize),
    /// It was set after the version `after` (`None`: perhaps before the trail begins) and not later than `until`.
    Unknown {
        /// Last version known to be without it.
        after: Option<usize>,
        /// First version known to have it.
        until: usize,
    },
}

/// Who last set one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlameLine<'a> {
    /// JSON Pointer of a scalar, or of an empty container.
    pub path: String,
    /// The value, exactly as stored.
    pub value: &'a str,
    /// Who set it.
    pub origin: Origin,
}

/// Who last set each value of the newest known state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blame<'a> {
    /// One line for each value, in the order of the document; none when the resource is gone.
    pub lines: Vec<BlameLine<'a>>,
    /// The version after which the state is this.
    pub version: Option<usize>,
    /// Later versions recorded no state, so that what is shown may be out of date.
    pub stale: bool,
    /// The last version with a state that cannot be read (too deep, beyond the limits), and why. Such a state is blamed
    /// as one value, and what a later one has of it is not known to be older than that.
    pub unread: Option<(usize, JsonError)>,
}

impl Blame<'_> {
    /// Why a state was blamed as one value, in words.
    pub fn why_unread(&self, versions: &[Version<'_>]) -> Option<String> {
        let (at, error) = self.unread.as_ref()?;
        let event = versions.get(*at).map_or("?", |version| version.event_id);
        Some(format!("a state of event {event} is {error}: it is blamed as one value"))
    }

    /// Whether the newest state is blamed as one value because it cannot be read.
    pub fn is_whole(&self) -> bool {
        self.unread.is_some() && matches!(self.lines.as_slice(), [line] if line.path.is_empty())
    }
}

/// The state at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At<'a> {
    /// What is known.
    pub state: Known<'a>,
    /// The last version at or before the moment.
    pub version: Option<usize>,
    /// Paths whose value at the moment is unknown, because it changed without an event before the next one; an empty
    /// path is the whole state.
    pub unknown: Vec<String>,
    /// Whether the next event saw the state as it is given here. The newest version has no next one.
    pub confirmed: bool,
}

const WHOLE: &str = "";

/// One value with where it comes from.
enum Annotated<'a> {
    /// Each of its nodes.
    Nodes { doc: Doc<'a>, origins: Vec<Origin> },
    /// One that cannot be read, as a whole.
    Whole { text: &'a str, origin: Origin },
}

/// Follows every value from version to version. `stop` is asked now and then.
///
/// # Errors
/// When `stop` said so.
pub fn blame<'a>(
    versions: &[Version<'a>],
    limits: Limits,
    stop: &dyn Fn() -> bool,
) -> Result<Blame<'a>, Stopped> {
    let mut now: Option<Annotated<'a>> = None;
    // The last version whose state afterwards is known.
    let mut last: Option<usize> = None;
    let mut stale = false;
    let mut unread = None;
    for (k, version) in versions.iter().enumerate().filter(|(_, v)| v.tells()) {
        let mut read = |text| Doc::parse(text, limits).inspect_err(|e| unread = Some((k, e.clone()))).ok();
        let unknown = Origin::Unknown { after: last, until: k };
        let before = version.before();
        match before {
            Known::State(text) => now = Some(follow(now, text, unknown, k, &mut read, stop)?),
            Known::Absent => now = None,
            Known::Unknown => {}
        }
        match version.after() {
            Known::State(text) => {
                let origin = if before == Known::Unknown { unknown } else { Origin::Event(k) };
                now = Some(follow(now, text, origin, k, &mut read, stop)?);
                (last, stale) = (Some(k), false);
            }
            Known::Absent => {
                now = None;
                (last, stale) = (Some(k), false);
            }
            Known::Unknown => stale = true,
        }
    }
    let mut lines = Vec::new();
    match &now {
        Some(Annotated::Nodes { doc, origins }) => leaves(doc, doc.root(), &mut |id| {
            lines.push(BlameLine { path: doc.pointer(id), value: doc.text(id), origin: origins[id.index()] });
        }),
        Some(Annotated::Whole { text, origin }) => {
            lines.push(BlameLine { path: WHOLE.to_owned(), value: text, origin: *origin });
        }
        None => {}
    }
    Ok(Blame { lines, version: last, stale, unread })
}

/// The next state, of version `at`, in which what did not change keeps where it comes from and the rest comes from
/// `origin`. `read` gives nothing for a text that cannot be read.
fn follow<'a>(
    now: Option<Annotated<'a>>,
    text: &'a str,
    origin: Origin,
    at: usize,
    read: &mut dyn FnMut(&'a str) -> Option<Doc<'a>>,
    stop: &dyn Fn() -> bool,
) -> Result<Annotated<'a>, Stopped> {
    let same = match &now {
        Some(Annotated::Nodes { doc, .. }) => doc.text(doc.root()) == text,
        Some(Annotated::Whole { text: before, .. }) => *before == text,
        None => false,
    };
    let now = match now {
        Some(now) if same => return Ok(now),
        now => now,
    };
    let Some(new) = read(text) else { return Ok(Annotated::Whole { text, origin }) };
    let mut origins = vec![origin; new.len()];
    let doc = match now {
        Some(Annotated::Nodes { doc: old, origins: from }) => {
            let structure = Structure::new(old, new, false, stop)?;
            keep(&structure, &structure.root, &from, &mut origins);
            structure.new
        }
        Some(Annotated::Whole { .. }) => {
            // Any value may have stood in what was not read.
            origins.fill(Origin::Unknown { after: None, until: at });
            new
        }
        None => new,
    };
    Ok(Annotated::Nodes { doc, origins })
}

fn keep(structure: &Structure<'_>, pair: &Pair, from: &[Origin], to: &mut [Origin]) {
    match (pair.relation, pair.old, pair.new) {
        (Relation::Same, Some(a), Some(b)) => keep_all(structure, a, b, from, to),
        (Relation::Inside, ..) => structure.children(pair).iter().for_each(|c| keep(structure, c, from, to)),
        _ => {}
    }
}

/// Same values have the same shape, with members in the same order.
fn keep_all(structure: &Structure<'_>, a: NodeId, b: NodeId, from: &[Origin], to: &mut [Origin]) {
    to[b.index()] = from[a.index()];
    for (x, y) in structure.old.children(a).zip(structure.new.children(b)) {
        keep_all(structure, x, y, from, to);
    }
}

fn leaves(doc: &Doc<'_>, id: NodeId, each: &mut dyn FnMut(NodeId)) {
    if doc.child_count(id) == 0 {
        each(id);
    }
    for child in doc.children(id) {
        leaves(doc, child, each);
    }
}

/// The state at a moment: after the last version at or before it.
pub fn state_at<'a>(versions: &[Version<'a>], moment: Timestamp, limits: Limits) -> At<'a> {
    let is_known = |at: &usize| versions.get(*at).is_some_and(Version::tells);
    let next = versions.partition_point(|v| v.timestamp <= moment);
    let version = (0..next).rev().find(is_known);
    let following = (next..versions.len()).find(is_known).and_then(|at| versions.get(at));
    let (state, unknown, confirmed) =
        state_between(version.and_then(|at| versions.get(at)), following, limits);
    At { state, version, unknown, confirmed }
}

/// The state between two versions that follow each other, or before the first, or after the last: what is known, which
/// paths are unknown, and whether the later version saw it so (see [`At`]).
pub fn state_between<'a>(
    version: Option<&Version<'a>>,
    following: Option<&Version<'a>>,
    limits: Limits,
) -> (Known<'a>, Vec<String>, bool) {
    let state = match version {
        Some(version) => version.after(),
        // Before the first event: what that event saw may be older or newer than the moment.
        None if following.is_some_and(|v| v.before() == Known::Absent) => Known::Absent,
        None => Known::Unknown,
    };
    let seen = following.map_or(Known::Unknown, Version::before);
    let unknown = match (state, seen) {
        (Known::Unknown, _) => vec![WHOLE.to_owned()],
        (_, Known::Unknown) => Vec::new(),
        (Known::State(state), Known::State(seen)) => paths_between(state, seen, limits),
        (state, seen) if state == seen => Vec::new(),
        _ => vec![WHOLE.to_owned()],
    };
    let confirmed = state != Known::Unknown && seen != Known::Unknown && unknown.is_empty();
    (state, unknown, confirmed)
}

/// Where two states differ; the whole when they cannot be compared.
pub(super) fn paths_between(old: &str, new: &str, limits: Limits) -> Vec<String> {
    if old == new {
        return Vec::new();
    }
    let changes = match (Doc::parse(old, limits), Doc::parse(new, limits)) {
        (Ok(old), Ok(new)) => {
            let never = || false;
            Structure::new(old, new, false, &never).and_then(|s| s.changes(&Rules::default(), &never))
        }
        _ => Err(Stopped),
    };
    changes.map_or_else(
        |_| vec![WHOLE.to_owned()],
        |changes| changes.into_iter().flat_map(|c| [Some(c.path), c.from]).flatten().collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::super::apply::tests::{doc, pairs};
    use super::*;

    const LIMITS: Limits = Limits { bytes: 1 << 20, nodes: 10_000 };

    fn version<'a>(n: i64, action: &'a str, previous: Option<&'a str>, new: Option<&'a str>) -> Version<'a> {
        let ids = ["e0", "e1", "e2", "e3", "e4"];
        Version {
            event_id: ids[n as usize % 5],
            timestamp: Timestamp::from_micros(n * 10),
            actor_id: "a",
            action,
            previous,
            new,
        }
    }

    fn origins(versions: &[Version<'_>]) -> Vec<(String, Origin)> {
        let blame = blame(versions, LIMITS, &|| false).unwrap();
        blame.lines.into_iter().map(|l| (l.path, l.origin)).collect()
    }

    #[test]
    fn each_value_is_blamed_on_the_event_that_set_it() {
        let (a, b, c) = (
            r#"{"q":1,"r":["x"],"s":[{"id":1,"v":1}]}"#,
            r#"{"q":1,"r":["x","y"],"s":[{"id":1,"v":1}]}"#,
            r#"{"q":2,"r":["y","x"],"s":[{"id":2,"v":0},{"id":1,"v":1}]}"#,
        );
        let versions = [
            version(0, "create", None, Some(a)),
            version(1, "update", Some(a), Some(b)),
            version(2, "read", None, None),
            version(3, "update", Some(b), Some(c)),
        ];
        let found = origins(&versions);
        let of = |path: &str| found.iter().find(|(p, _)| p == path).unwrap().1;
        assert_eq!(of("/q"), Origin::Event(3));
        // Elements keep who set them wherever they go.
        assert_eq!((of("/r/0"), of("/r/1")), (Origin::Event(1), Origin::Event(0)));
        assert_eq!((of("/s/0/v"), of("/s/1/v")), (Origin::Event(3), Origin::Event(0)));
    }

    #[test]
    fn a_state_that_is_too_deep_is_blamed_as_a_whole() {
        let deep = format!("{}1{}", "[".repeat(300), "]".repeat(300));
        let deeper = format!("{}2{}", "[".repeat(300), "]".repeat(300));
        let (a, b) = (r#"{"a":1}"#, r#"{"a":2}"#);
        let versions = [
            version(0, "create", None, Some(&deep)),
            version(1, "update", Some(&deep), Some(&deeper)),
            version(2, "update", Some(&deeper), Some(a)),
            version(3, "update", Some(a), Some(b)),
        ];
        let now = |end: usize| {
            let blame = blame(&versions[..end], LIMITS, &|| false).unwrap();
            (
                blame.lines.into_iter().map(|l| (l.path, l.origin)).collect::<Vec<_>>(),
                blame.unread.map(|(at, _)| at),
            )
        };
        let whole = |origin| vec![(String::new(), origin)];
        assert_eq!(now(1), (whole(Origin::Event(0)), Some(0)));
        assert_eq!(now(2), (whole(Origin::Event(1)), Some(1)));
        let unknown = Origin::Unknown { after: None, until: 2 };
        assert_eq!(now(3), (vec![("/a".to_owned(), unknown)], Some(1)), "the state before was seen already");
        assert_eq!(now(4).0, [("/a".to_owned(), Origin::Event(3))]);
    }

    #[test]
    fn what_nobody_recorded_is_unknown() {
        let versions = [
            version(0, "update", Some(r#"{"a":1,"b":1}"#), Some(r#"{"a":2,"b":1}"#)),
            // `b` changed in between; `c` by this event.
            version(1, "update", Some(r#"{"a":2,"b":9}"#), Some(r#"{"a":2,"b":9,"c":1}"#)),
            version(2, "update", None, Some(r#"{"a":2,"b":9,"c":1,"d":1}"#)),
        ];
        let unknown = |after, until| Origin::Unknown { after, until };
        let wanted = [
            ("/a", Origin::Event(0)),
            ("/b", unknown(Some(0), 1)),
            ("/c", Origin::Event(1)),
            ("/d", unknown(Some(1), 2)),
        ];
        assert_eq!(origins(&versions), wanted.map(|(p, o)| (p.to_owned(), o)));
        assert_eq!(origins(&versions[..1])[1].1, unknown(None, 0));
        let silent = [versions[0], version(1, "update", None, None)];
        assert!(blame(&silent, LIMITS, &|| false).unwrap().stale);
    }

    #[test]
    fn the_state_at_a_moment_admits_what_is_unknown() {
        let (a, b) = (r#"{"a":1}"#, r#"{"a":2}"#);
        let versions = [
            version(1, "create", None, Some(a)),
            version(2, "update", Some(b), Some(a)),
            version(3, "delete", Some(a), None),
            version(4, "update", None, None),
        ];
        let at = |micros| state_at(&versions, Timestamp::from_micros(micros), LIMITS);
        assert_eq!((at(5).state, at(5).version), (Known::Absent, None));
        assert_eq!((at(10).state, at(10).unknown), (Known::State(a), vec!["/a".to_owned()]));
        assert_eq!((at(25).state, at(25).version, at(25).confirmed), (Known::State(a), Some(1), true));
        assert_eq!((at(35).state, at(35).unknown), (Known::Absent, vec![]));
        assert_eq!((at(99).state, at(99).unknown), (Known::Unknown, vec![String::new()]));
        assert_eq!(state_at(&versions[1..], Timestamp::from_micros(5), LIMITS).state, Known::Unknown);
    }

    #[test]
    fn records_of_calls_are_no_states() {
        let call = r#"{"eventVersion":"1.08","eventType":"AwsApiCall","userIdentity":{"userName":"ada"}}"#;
        let versions = [version(1, "create", None, Some(call)), version(2, "delete", None, Some(call))];
        assert!(versions.iter().all(|v| v.call().is_some() && !v.tells()));
        assert_eq!((versions[0].before(), versions[1].after()), (Known::Unknown, Known::Unknown));
        let found = blame(&versions, LIMITS, &|| false).unwrap();
        assert_eq!((found.lines.len(), found.version, found.stale), (0, None, false));
        let at = state_at(&versions, Timestamp::from_micros(15), LIMITS);
        assert_eq!((at.state, at.version), (Known::Unknown, None));
    }

    #[test]
    fn in_random_lives_every_line_is_true() {
        let states: Vec<String> = pairs(300).map(|(a, _)| a).filter(|s| s.starts_with('{')).collect();
        let versions: Vec<Version<'_>> = states
            .iter()
            .enumerate()
            .map(|(n, s)| version(n as i64, "update", n.checked_sub(1).map(|p| states[p].as_str()), Some(s)))
            .collect();
        for end in (1..versions.len()).step_by(7) {
            let found = blame(&versions[..=end], LIMITS, &|| false).unwrap();
            let last = doc(&states[end]);
            for line in &found.lines {
                assert_eq!(last.text(last.resolve(&line.path).unwrap()), line.value);
                if let Origin::Event(k) = line.origin {
                    // The event that set it has the value, at some place; moves may have changed the path.
                    assert!(states[k].contains(line.value.trim_matches('"')), "{} {}", line.path, line.value);
                }
            }
            let now = state_at(&versions, versions[end].timestamp, LIMITS);
            assert_eq!(now.state, Known::State(&states[end]));
        }
    }
}
