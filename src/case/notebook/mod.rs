//! The case: bookmarks, notes, tags and verdicts on events, in one file a case (`cases/NAME.ndjson`).
//!
//! The file is append-only ([`super::record`]). A record adds something with its author, its time and an id of its own, or
//! takes back records that its author has seen, by their ids. What stands is what was added and not taken back, whatever
//! the order of the records: so two files of two analysts are merged as the union of their records, nobody overwrites
//! anybody, and a merge done twice changes nothing.
//!
//! One file may hold events of several trails: an investigation crosses organisations and databases, and a hand-over is
//! one file. Which trail a record is about, it says itself, as acceptances and heads do. Cases are told apart by name
//! alone; without a name it is [`DEFAULT`], whatever the profile, so that nobody's notes are split by the way in which the
//! database was reached.

mod book;
pub mod handover;
mod wish;

pub use book::{Book, Entry, Note, Stamp, Tag, Verdict};
pub use wish::Wish;

use super::accepted;
use super::heads::Verified;
use super::record::{self, Contents, Segment};
use crate::chain::head::same_object;
use crate::chain::sha256;
use crate::domain::{EventRow, Timestamp};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::path::{Path, PathBuf};

/// Kind of the records.
const KIND: &str = "case";
/// Folder of the files in [`super::folder`].
const FOLDER: &str = "cases";
/// Name of the case where none is given.
pub const DEFAULT: &str = "default";
/// Longest name of a case or a tag, in characters.
const LONGEST_NAME: usize = 40;
/// Longest note, in bytes.
const LONGEST_NOTE: usize = 64 * 1024;

/// A trail of events, as records of this machine name it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Trail {
    /// Whose events they are.
    pub organization_id: String,
    /// How the database was named.
    pub place: String,
    /// `SYSTEM/DATABASE/TABLE`.
    pub object: String,
}

impl Trail {
    /// Whether both can be the same trail: one organisation, in one table or at one place. A restored or upgraded database
    /// at the same place is another object, and its analysts go on with their case.
    pub fn is_same(&self, other: &Self) -> bool {
        let same_place = !self.place.is_empty() && self.place == other.place;
        self.organization_id == other.organization_id
            && (same_place || same_object(&self.object, &other.object))
    }
}

/// An event as it was when something was said about it: enough to know it again, and to describe it once it is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are the columns of the table")]
pub struct Subject {
    #[serde(flatten)]
    pub trail: Trail,
    pub event_id: String,
    pub timestamp: Timestamp,
    pub event_type: String,
    pub event_severity: String,
    pub action: String,
    /// E-mail address, else id.
    pub actor: String,
    /// `TYPE/ID`
    pub resource: String,
    pub hash: String,
    pub previous_hash: String,
}

impl Subject {
    /// An event of a trail.
    pub fn of(trail: &Trail, row: &EventRow) -> Self {
        let email = row.actor_email.as_deref().filter(|email| !email.is_empty());
        Self {
            trail: trail.clone(),
            event_id: row.event_id.clone(),
            timestamp: row.timestamp,
            event_type: row.event_type.clone(),
            event_severity: row.event_severity.clone(),
            action: row.action.clone(),
            actor: email.unwrap_or(&row.actor_id).to_owned(),
            resource: format!("{}/{}", row.resource_type, row.resource_id),
            hash: row.hash.clone(),
            previous_hash: row.previous_hash.clone(),
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        self.event_id == other.event_id && self.trail.is_same(&other.trail)
    }
}

/// What an analyst thinks of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Opinion {
    /// Part of an attack.
    Malicious,
    /// To be looked into.
    Suspicious,
    /// Ordinary work.
    Benign,
}

impl Opinion {
    /// All of them, the worst first.
    pub const ALL: [Self; 3] = [Self::Malicious, Self::Suspicious, Self::Benign];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malicious => "malicious",
            Self::Suspicious => "suspicious",
            Self::Benign => "benign",
        }
    }
}

impl fmt::Display for Opinion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a record does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Act {
    /// Bookmarks an event.
    Bookmark {
        /// The event.
        event: Box<Subject>,
    },
    /// Says something about an event.
    Note {
        /// The event.
        event: Box<Subject>,
        /// The note.
        text: String,
        /// Ids of the notes whose new wording it is.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        replaces: Vec<String>,
    },
    /// Tags an event.
    Tag {
        /// The event.
        event: Box<Subject>,
        /// The tag.
        tag: String,
    },
    /// Gives a verdict on an event.
    Verdict {
        /// The event.
        event: Box<Subject>,
        /// The verdict.
        verdict: Opinion,
        /// Ids of the verdicts in whose place it stands.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        replaces: Vec<String>,
    },
    /// Hands over a head that was remembered of a trail of the case.
    Head {
        /// The head, with who verified the trail, and when.
        head: Box<Verified>,
    },
    /// Hands over a finding that was accepted.
    Accepted {
        /// The acceptance.
        finding: Box<accepted::Record>,
    },
    /// Hands over a saved filter.
    Filter {
        /// Its name.
        name: String,
        /// Its text.
        filter: String,
        /// Organisations of the case that it was saved for.
        organization_ids: Vec<String>,
    },
    /// Takes records back.
    Removed {
        /// Their ids.
        records: Vec<String>,
    },
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// 32 hexadecimal digits, chosen at random.
    pub id: String,
    /// When, by the clock of the author's machine.
    pub at: Timestamp,
    /// Who.
    pub by: String,
    /// What.
    #[serde(flatten)]
    pub act: Act,
}

impl Record {
    fn new(act: Act, at: Timestamp, by: &str) -> Self {
        // The standard library's keys for hash tables come from the system's random numbers.
        let random = || RandomState::new().hash_one(std::process::id()).to_le_bytes();
        let seed = [random(), random(), random(), random()].concat();
        let id = sha256(seed).chars().take(32).collect();
        Self { id, at, by: by.to_owned(), act }
    }

    /// The event that it is about; `None` where it takes others back, and of what is handed over.
    fn event(&self) -> Option<&Subject> {
        match &self.act {
            Act::Bookmark { event }
            | Act::Note { event, .. }
            | Act::Tag { event, .. }
            | Act::Verdict { event, .. } => Some(event),
            Act::Head { .. } | Act::Accepted { .. } | Act::Filter { .. } | Act::Removed { .. } => None,
        }
    }

    /// The records in whose place it stands.
    fn replaced(&self) -> &[String] {
        match &self.act {
            Act::Note { replaces, .. } | Act::Verdict { replaces, .. } => replaces,
            Act::Removed { records } => records,
            _ => &[],
        }
    }
}

/// Name of a case or a tag as it was given, checked: letters, digits, `-`, `_`, `.` and `/` in tags.
fn checked<'a>(kind: &str, name: &'a str, others: &str) -> Result<&'a str> {
    let is_plain = |c: char| c.is_alphanumeric() || others.contains(c);
    let fits = !name.is_empty() && !name.starts_with('.') && name.chars().count() <= LONGEST_NAME;
    if fits && name.chars().all(is_plain) {
        return Ok(name);
    }
    let listed: Vec<String> = others.chars().map(String::from).collect();
    Err(Error::usage(format!(
        "'{name}' is no {kind}: letters, digits and {} are, at most {LONGEST_NAME} of them",
        listed.join(" ")
    )))
}

/// A tag as it is stored: without `#` before it.
///
/// # Errors
/// Usage, when it cannot be one.
pub fn tag(text: &str) -> Result<String> {
    let text = text.strip_prefix('#').unwrap_or(text);
    checked("tag", text, "-_./").map(str::to_owned)
}

/// A note as it is stored.
///
/// # Errors
/// Usage, when it is empty or longer than 64 kB.
pub fn note(text: &str) -> Result<String> {
    match text.trim() {
        "" => Err(Error::usage("the note is empty")),
        text if text.len() > LONGEST_NOTE => {
            Err(Error::usage(format!("the note is longer than {LONGEST_NOTE} bytes")))
        }
        text => Ok(text.to_owned()),
    }
}

/// The file of a case.
#[derive(Debug, Clone)]
pub struct CaseFile {
    /// Its name.
    pub name: String,
    segment: Segment,
}

/// What a merge has brought.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Merged {
    /// Records that were not here.
    pub added: usize,
    /// Records that were here already.
    pub known: usize,
}

impl CaseFile {
    /// The case of this name in the data folder; it need not exist yet.
    ///
    /// # Errors
    /// Usage, when it cannot be a name.
    pub fn named(folder: &Path, name: &str) -> Result<Self> {
        let name = checked("name of a case", name, "-_.")?.to_owned();
        let segment = Segment::named(&folder.join(FOLDER), &name, KIND);
        Ok(Self { name, segment })
    }

    /// All cases of the data folder, by name. Files whose names no case can have are none.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn all(folder: &Path) -> Result<Vec<Self>> {
        let path = folder.join(FOLDER);
        let entries = match std::fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => {
                return Err(Error::could_not_run(format!("cannot read '{}'", path.display())).because(e));
            }
        };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let cases = names.filter_map(|name| Self::named(folder, name.strip_suffix(".ndjson")?).ok());
        let mut cases: Vec<Self> = cases.collect();
        cases.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(cases)
    }

    /// Where it lies.
    pub fn path(&self) -> PathBuf {
        self.segment.path().to_owned()
    }

    /// Whether there is something in it, or something stands in its place.
    pub fn exists(&self) -> bool {
        self.segment.path().symlink_metadata().is_ok_and(|metadata| metadata.len() > 0)
    }

    /// Its records, each once, in the order of their times.
    pub fn load(&self) -> Contents<Record> {
        let contents = self.segment.load();
        Contents { records: in_order(contents.records), ..contents }
    }

    /// Records what wishes come to, given what is there, and makes sure that it is on disk; returns how many records that
    /// took.
    ///
    /// # Errors
    /// As [`Segment::append`].
    pub fn write(&self, wishes: &[Wish], at: Timestamp, by: &str) -> Result<usize> {
        self.segment.append_with(|there: &[Record]| {
            let mut all = there.to_vec();
            let before = all.len();
            for wish in wishes {
                let made: Vec<Act> = wish.acts(&all, by);
                all.extend(made.into_iter().map(|act| Record::new(act, at, by)));
            }
            all.split_off(before)
        })
    }

    /// Adds the records that are not here yet.
    ///
    /// # Errors
    /// As [`Segment::append`].
    pub fn merge(&self, records: Vec<Record>) -> Result<Merged> {
        let records = in_order(records);
        let all = records.len();
        let added = self.segment.append_with(|there: &[Record]| {
            let here: HashSet<String> = there.iter().map(text).collect();
            records.into_iter().filter(|record| !here.contains(&text(record))).collect::<Vec<_>>()
        })?;
        Ok(Merged { added, known: all - added })
    }
}

/// The records in a case file from elsewhere, which `name` names in remarks.
pub fn read(name: &str, bytes: &[u8]) -> Contents<Record> {
    record::read(KIND, name, bytes)
}

/// A case file of these records.
///
/// # Errors
/// When a record cannot be written.
pub fn lines(records: &[Record]) -> Result<String> {
    record::lines_of(KIND, records)
}

/// What tells a record from every other one. Two records of one id that differ are two: one of them was altered.
fn text(record: &Record) -> String {
    serde_json::to_string(record).unwrap_or_default()
}

/// Each record once, by time; the order of the files does not show.
fn in_order(mut records: Vec<Record>) -> Vec<Record> {
    records.sort_by_cached_key(|record| (record.at, record.id.clone(), text(record)));
    records.dedup();
    records
}

#[cfg(test)]
mod tests;
