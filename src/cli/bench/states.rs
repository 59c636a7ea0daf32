//! The subjects `diff` and `ui`: large states compared, blamed, gone through and drawn. Their states are made here, the
//! same in every run; no database is needed.

use super::{Measure, Measured, milliseconds};
use crate::console::benchmark;
use crate::console::benchmark::Steps;
use crate::diff::chronicle::{Chronicle, Recorder};
use crate::diff::history::{Version, blame};
use crate::diff::json::Limits;
use crate::diff::{Options, compare, unhurried};
use crate::domain::{EventRow, Timestamp};
use crate::error::{Error, Kind, Result};
use std::fmt::Write as _;
use std::time::Instant;

/// Versions of the resource, and members of each of its states.
const VERSIONS: usize = 5_000;
const MEMBERS: usize = 300;

/// Elements of the large state: 10 MB and nearly a million values.
const ELEMENTS: usize = 160_000;

/// Keys that one which is held brings: half a minute of them.
const KEYS: usize = 900;

const LIMITS: Limits = Limits { bytes: 1 << 20, nodes: 100_000 };

/// A state of 300 members, of which each version has changed three.
fn state(version: usize) -> String {
    let mut out = "{".to_owned();
    for member in 0..MEMBERS {
        let set = (version + MEMBERS - member) / (MEMBERS / 3);
        let comma = if member > 0 { ", " } else { "" };
        // Writing to a String cannot fail.
        let _ = write!(out, "{comma}\"member_{member:03}\": \"set for time {set}\"");
    }
    out.push('}');
    out
}

/// A state of 10 MB; of the second one, each hundredth element is another.
fn large(second: bool) -> String {
    let mut out = "{\"items\": [".to_owned();
    for n in 0..ELEMENTS {
        let comma = if n > 0 { ", " } else { "" };
        let value = if second && n % 100 == 7 { n + 1_000_000 } else { n };
        let _ =
            write!(out, "{comma}{{\"id\": {n}, \"name\": \"value {value}\", \"tags\": [\"a\", {value}]}}");
    }
    out.push_str("]}");
    out
}

fn row() -> EventRow {
    let text = str::to_owned;
    EventRow {
        event_id: text("version-1000000"),
        timestamp: Timestamp::from_micros(1_768_471_080_000_000),
        organization_id: text("bench"),
        project_id: None,
        actor_type: text("user"),
        actor_id: text("user-17"),
        actor_email: Some(text("alice@bench.example")),
        actor_ip: Some(text("192.0.2.17")),
        actor_user_agent: None,
        event_category: text("admin"),
        event_type: text("thing.updated"),
        event_severity: text("info"),
        resource_type: text("thing"),
        resource_id: text("t-1"),
        resource_name: None,
        action: text("update"),
        request_id: text("r-1"),
        session_id: None,
        hash: "9c41".repeat(16),
        previous_hash: "9c41".repeat(16),
        xmin: 0,
    }
}

/// The versions, newest last, as events would have them.
struct Life(Vec<(String, Timestamp, String, String)>);

impl Life {
    fn new() -> Self {
        let end = row().timestamp.as_micros();
        let version = |n: usize| {
            let age = (VERSIONS - 1 - n) as i64;
            let timestamp = Timestamp::from_micros(end - age * 1_000_000);
            (format!("version-{:06}", 1_000_000 - age), timestamp, state(n), state(n + 1))
        };
        Self((0..VERSIONS).map(version).collect())
    }

    fn versions(&self) -> Vec<Version<'_>> {
        let events = self.0.iter();
        events
            .map(|(event_id, timestamp, old, new)| Version {
                event_id,
                timestamp: *timestamp,
                actor_id: "user-17",
                action: "update",
                previous: Some(old),
                new: Some(new),
            })
            .collect()
    }

    fn chronicle(&self) -> Result<Chronicle> {
        let mut recorder = Recorder::new(LIMITS);
        for version in self.versions().iter().rev() {
            recorder.record(version)?;
        }
        Ok(recorder.finish(false)?)
    }
}

fn measured(subject: &'static str, pairs: u32, measures: Vec<Measure>) -> Measured {
    let organization_id = "a made-up resource".to_owned();
    Measured { subject, organization_id, events: VERSIONS as u64, pairs, measures }
}

/// Compares, blames, keeps.
///
/// # Errors
/// When a state made here cannot be read.
pub(super) fn diff(pairs: u32) -> Result<Measured> {
    let life = Life::new();
    let versions = life.versions();
    let (old, new) = (large(false), large(true));
    let (mut blamed, mut compared, mut kept, mut taken) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut bytes = 0;
    for _ in 0..pairs {
        let begun = Instant::now();
        let found = blame(&versions, LIMITS, &|| false);
        blamed.push(begun.elapsed().as_secs_f64());
        let lines = found.map_err(|_| Error::new(Kind::CouldNotRun, "stopped"))?.lines.len();
        let begun = Instant::now();
        let changes = compare(Some(&old), Some(&new), &Options::default(), &unhurried).changes().len();
        compared.push(milliseconds(begun.elapsed()));
        if lines != MEMBERS || changes < ELEMENTS / 100 {
            return Err(Error::new(Kind::Finding, "a comparison of the benchmark went wrong"));
        }
        let begun = Instant::now();
        let chronicle = life.chronicle()?;
        kept.push(begun.elapsed().as_secs_f64());
        bytes = chronicle.bytes();
        for (n, version) in versions.iter().enumerate().step_by(61) {
            let begun = Instant::now();
            let states = chronicle.states(n)?;
            taken.push(milliseconds(begun.elapsed()));
            if states[1].text() != version.new {
                return Err(Error::new(Kind::Finding, "a state came back otherwise than it was kept"));
            }
        }
    }
    let measures = vec![
        Measure::median("blame, 5 000 versions of 300 values", "s", blamed).at_most(1.0),
        Measure::median("two states of 10 MB compared", "ms", compared).at_most(500.0),
        Measure::median("the versions compressed to be kept", "s", kept),
        Measure::new("memory that they take", bytes as f64 / 1e6, "MB"),
        Measure::median("one of them taken out", "ms", taken),
    ];
    Ok(measured("diff", pairs, measures))
}

/// Draws.
///
/// # Errors
/// When the console cannot be set up.
pub(super) fn ui(pairs: u32) -> Result<Measured> {
    let life = Life::new();
    let (old, new) = (large(false), large(true));
    let mut all: Vec<Steps> = Vec::new();
    for _ in 0..pairs {
        let steps = benchmark::measure(&row(), [&old, &new], life.chronicle()?, &Options::default())?;
        if all.is_empty() {
            all = steps;
        } else {
            all.iter_mut().zip(steps).for_each(|(known, more)| known.times.extend(more.times));
        }
    }
    let measure = |steps: Steps| {
        // A frame; a frame of the sixty in a second, where two million values are gone through; a step.
        let bar = match steps.name {
            name if name.starts_with("step") => 50.0,
            name if name.ends_with("whole") => 16.0,
            _ => 4.0,
        };
        Measure::median(steps.name, "ms", steps.times.into_iter().map(milliseconds).collect()).at_most(bar)
    };
    let mut measures: Vec<Measure> = all.into_iter().map(measure).collect();
    measures.extend(held(KEYS)?);
    Ok(measured("ui", pairs, measures))
}

/// What a held key brings about on a distant database: nothing in it is timed, so that one run is enough.
fn held(keys: usize) -> Result<[Measure; 2]> {
    let held = benchmark::hold_a_key(&row(), &Options::default(), keys)?;
    let frames = held.frames.into_iter().map(|bytes| bytes as f64 / 1e3).collect();
    Ok([
        Measure::median("frame of a held j, answers after 120 ms", "kB", frames).at_most(4.0),
        Measure::new("keys of it that waited for an answer", held.waits as f64, "").at_most(0.0),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_key_waits_for_no_answer() {
        let [frames, waits] = held(20).unwrap();
        assert!(frames.value > 0.1 && waits.value < 0.5, "{frames} {waits}");
    }

    #[test]
    fn the_states_are_what_the_bars_are_for() {
        let doc =
            crate::diff::json::OwnedDoc::parse(large(true).into(), Limits { bytes: 1 << 24, nodes: 1 << 20 });
        let doc = doc.unwrap();
        assert!(doc.doc().len() > 950_000 && doc.doc().text(doc.doc().root()).len() > 9_500_000);
        let (a, b) = (state(500), state(501));
        let changed = compare(Some(&a), Some(&b), &Options::default(), &unhurried).changes().len();
        assert_eq!(changed, 3);
    }
}
