//! Heads of trails that were verified, append-only: what every later verification compares with the table.

use super::record::{self, Contents, Segment, Slot};
use crate::chain::head::{Head, Memory, Remembered};
use crate::domain::Timestamp;
use crate::error::Result;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};
use std::path::Path;

/// Kind of the records.
const KIND: &str = "heads";
/// Kind of what the newest verification of each trail leaves behind beside its heads.
const LAST: &str = "last";
/// Name of the file in which the first programs kept heads.
const OLD_FILE: &str = "verified.ndjson";

/// One record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "nearly all records are of the large kind")]
pub enum Record {
    /// A whole trail was verified.
    Verified(Verified),
    /// The data at a place was dropped on purpose, by this program: what was verified there before is not looked for.
    Dropped {
        /// The place.
        place: String,
        /// When, by this machine's clock.
        at: Timestamp,
        /// By what.
        by: String,
    },
}

/// A trail that was verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// Whose trail it is.
    pub organization_id: String,
    /// Who verified it.
    pub verified_by: String,
    /// What was found.
    #[serde(flatten)]
    pub trail: Remembered,
}

/// A line of the first programs.
#[derive(Deserialize)]
struct Old {
    organization_id: String,
    database_identity: String,
    at: Timestamp,
    head: Head,
}

/// When a trail was last verified as intact, and what an incremental verification can go on from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Last<B> {
    /// When its rows were read, by the server's clock.
    pub verified_at: Timestamp,
    /// What need not be read again; `None` once a later verification has found worse.
    pub base: Option<B>,
}

/// The records of a data folder, as they were when they were loaded.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Heads(Contents<Record>);

impl Heads {
    /// Loads them, those of the first programs first.
    pub fn load(folder: &Path) -> Self {
        let old: Contents<Old> = record::load_plain(&folder.join(OLD_FILE));
        let old = old.map(|old| {
            let trail = Remembered {
                place: String::new(),
                object: old.database_identity,
                heads: vec![old.head],
                events: None,
                before_hashing: None,
                other_columns: None,
                scheme: None,
                verified_at: old.at,
            };
            Record::Verified(Verified {
                organization_id: old.organization_id,
                verified_by: String::new(),
                trail,
            })
        });
        Self(Segment::new(folder, KIND).load().after(old))
    }

    /// Damage of the files, a sentence each.
    pub fn remarks(&self) -> impl Iterator<Item = &String> {
        self.0.remarks.iter()
    }

    /// Why the records, or a part of them, are not used.
    pub fn refused(&self) -> Option<&str> {
        self.0.refused.as_deref()
    }

    /// What is remembered of a trail. `seen`: when it was last verified as intact, where that is known.
    pub fn memory(&self, place: &str, organization: &str, seen: Option<Timestamp>) -> Memory {
        let ours = self.verified().filter(|verified| verified.organization_id == organization);
        let mut records: Vec<Remembered> = ours.map(|verified| verified.trail.clone()).collect();
        // An unchanged head is not recorded again, only when it was last seen.
        let last = records.iter().rfind(|trail| trail.place == place).cloned();
        if let (Some(last), Some(seen)) = (last, seen)
            && last.verified_at < seen
        {
            records.push(Remembered { verified_at: seen, ..last });
        }
        Memory { place: place.to_owned(), records, refused: self.0.refused.clone() }
    }

    /// The organisations that have a remembered trail at a place, by id.
    pub fn organizations(&self, place: &str) -> Vec<&str> {
        let here = self.verified().filter(|verified| verified.trail.place == place);
        let ids: BTreeSet<&str> = here.map(|verified| verified.organization_id.as_str()).collect();
        ids.into_iter().collect()
    }

    /// All that was verified and not dropped since.
    pub fn verified(&self) -> impl Iterator<Item = &Verified> {
        let records = || self.0.records.iter().enumerate();
        let dropped: HashMap<&str, usize> = records()
            .filter_map(|(n, record)| match record {
                Record::Dropped { place, .. } => Some((place.as_str(), n)),
                Record::Verified(_) => None,
            })
            .collect();
        records().filter_map(move |(n, record)| match record {
            Record::Verified(verified)
                if dropped.get(verified.trail.place.as_str()).is_none_or(|last| *last < n) =>
            {
                Some(verified)
            }
            _ => None,
        })
    }
}

impl Heads {
    /// Takes in a record that [`keep`] has written.
    pub fn push(&mut self, verified: Verified) {
        self.0.records.push(Record::Verified(verified));
    }
}

/// Remembers the heads of a trail, if they are others than those that were remembered last; true when they are.
///
/// # Errors
/// As [`Segment::append`].
pub fn keep(folder: &Path, verified: &Verified) -> Result<bool> {
    let record = Record::Verified(verified.clone());
    let is_new = |there: &[Record]| {
        let last = there.iter().rev().find_map(|record| match record {
            Record::Verified(last) => (last.organization_id == verified.organization_id
                && last.trail.place == verified.trail.place)
                .then_some(Some(last)),
            Record::Dropped { place, .. } => (*place == verified.trail.place).then_some(None),
        });
        last.flatten().is_none_or(|last| {
            last.trail.object != verified.trail.object
                || last.trail.heads != verified.trail.heads
                || last.trail.before_hashing != verified.trail.before_hashing
                || last.trail.other_columns != verified.trail.other_columns
                || last.trail.scheme != verified.trail.scheme
        })
    };
    Segment::new(folder, KIND).append_if(is_new, &[record])
}

/// Adds records of another machine.
///
/// # Errors
/// As [`Segment::append`].
pub fn add(folder: &Path, verified: &[Verified]) -> Result<()> {
    let records: Vec<Record> = verified.iter().cloned().map(Record::Verified).collect();
    if records.is_empty() { Ok(()) } else { Segment::new(folder, KIND).append(&records) }
}

/// Records that the data at a place was dropped on purpose.
///
/// # Errors
/// As [`Segment::append`].
pub fn forget(folder: &Path, place: &str, at: Timestamp, by: &str) -> Result<()> {
    let has_some = |there: &[Record]| {
        there
            .iter()
            .any(|record| matches!(record, Record::Verified(verified) if verified.trail.place == place))
    };
    let record = Record::Dropped { place: place.to_owned(), at, by: by.to_owned() };
    Segment::new(folder, KIND).append_if(has_some, &[record]).map(drop)
}

/// What the newest verification of a trail left behind beside its heads.
pub fn last<B: DeserializeOwned>(folder: &Path, place: &str, organization: &str) -> Contents<Last<B>> {
    Slot::new(folder, LAST, &[place, organization]).load()
}

/// Replaces it.
///
/// # Errors
/// As [`Slot::store`].
pub fn keep_last<B: Serialize>(folder: &Path, place: &str, organization: &str, last: &Last<B>) -> Result<()> {
    Slot::new(folder, LAST, &[place, organization]).store(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(n: i64) -> Timestamp {
        Timestamp::from_micros(n)
    }

    fn verified(organization: &str, place: &str, event: &str, n: i64) -> Verified {
        let head = Head { event_id: event.to_owned(), hash: format!("h{event}"), timestamp: Some(at(0)) };
        let trail = Remembered {
            place: place.to_owned(),
            object: "7/1/2".to_owned(),
            heads: vec![head],
            events: Some(9),
            before_hashing: None,
            other_columns: None,
            scheme: None,
            verified_at: at(n),
        };
        Verified { organization_id: organization.to_owned(), verified_by: "eve".to_owned(), trail }
    }

    fn heads(memory: &Memory) -> Vec<&str> {
        memory.pins("7/1/2").iter().map(|pin| pin.head.event_id.clone().leak() as &str).collect()
    }

    #[test]
    fn heads_are_only_ever_added_and_an_unchanged_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        for (organization, event, n) in
            [("a", "e1", 1), ("a", "e1", 2), ("b", "e9", 3), ("a", "e2", 4), ("a", "e1", 5)]
        {
            keep(folder, &verified(organization, "prod", event, n)).unwrap();
        }
        let loaded = Heads::load(folder);
        assert_eq!(loaded.verified().count(), 4);
        assert_eq!(heads(&loaded.memory("prod", "a", None)), ["e1", "e2"]);
        assert_eq!(heads(&loaded.memory("stage", "a", None)), [""; 0]);
        assert_eq!(loaded.organizations("prod"), ["a", "b"]);
        // It was seen again later.
        let pins = loaded.memory("prod", "b", Some(at(7))).pins("7/1/2");
        assert_eq!((pins[0].since, pins[0].until), (at(3), at(7)));
    }

    #[test]
    fn what_was_dropped_on_purpose_is_not_looked_for() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        forget(folder, "demo", at(0), "demo --fresh").unwrap();
        assert_eq!(Heads::load(folder), Heads::default(), "there was nothing to forget");
        keep(folder, &verified("a", "demo", "e1", 1)).unwrap();
        keep(folder, &verified("a", "prod", "e1", 1)).unwrap();
        forget(folder, "demo", at(2), "demo --fresh").unwrap();
        assert_eq!(Heads::load(folder).organizations("demo"), [""; 0]);
        assert_eq!(Heads::load(folder).organizations("prod"), ["a"]);
        keep(folder, &verified("a", "demo", "e1", 3)).unwrap();
        assert_eq!(Heads::load(folder).memory("demo", "a", None).pins("7/1/2")[0].since, at(3));
    }

    #[test]
    fn heads_of_the_first_programs_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let old = include_str!("../../tests/fixtures/build-0ce1482/verified.ndjson");
        std::fs::write(folder.path().join(OLD_FILE), format!("{old}torn")).unwrap();
        let loaded = Heads::load(folder.path());
        assert_eq!(loaded.verified().count(), 6);
        let pins = loaded.memory("demo", "org-h1", None).pins("7713340719528840423/16384/16394");
        assert_eq!(pins.len(), 1);
        assert_eq!(pins[0].head.event_id, "e1bcc926-6756-48b5-82c3-dbdc4cf33b3f");
        assert!(loaded.remarks().next().unwrap().contains("line 7: not a valid record"));
    }

    #[test]
    fn what_the_newest_verification_left_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let load = |place: &str| last::<u32>(folder, place, "a").records;
        assert_eq!(load("prod"), []);
        for base in [Some(1), None] {
            let last = Last { verified_at: at(1), base };
            keep_last(folder, "prod", "a", &last).unwrap();
            assert_eq!(load("prod"), [last]);
        }
        assert_eq!(load("stage"), []);
    }
}
