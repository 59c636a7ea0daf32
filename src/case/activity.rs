//! The activity log: what was asked of a trail on this machine, by either shell, with a digest of each answer. A later
//! replay asks again and says which answers are other ones now.
//!
//! It holds what the analyst asked (filters, ids, names of resources), ids of events of a page with the beginning of a
//! digest of each, and numbers; no text of events.

use super::record::{Limits, Loaded, Log};
use crate::domain::{EventKey, TimeRange, Timestamp};
use crate::error::Result;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Kind of the records, and name of their folder.
const KIND: &str = "activity";
/// How large it becomes.
const LIMITS: Limits = Limits { file: 1 << 20, all: 64 << 20 };

/// One step of an investigation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When it was answered, by this machine's clock.
    pub at: Timestamp,
    /// Who asked.
    pub by: String,
    /// `cli` or `console`.
    pub via: String,
    /// How the database was named.
    pub place: String,
    /// Whose trail.
    pub organization_id: String,
    /// What was asked or done.
    pub step: Step,
    /// The answer; `None` for what is no question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answer>,
}

/// A question about events of a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// The filter in its canonical form, lists that it names read.
    pub filter: String,
    /// First instant, frozen when it was asked.
    pub since: Option<Timestamp>,
    /// First instant behind.
    pub until: Option<Timestamp>,
    /// The case that the filter asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case: Option<String>,
}

impl Question {
    /// The bounds.
    pub fn range(&self) -> TimeRange {
        TimeRange { since: self.since, until: self.until }
    }
}

/// Columns by which events are added up, and how many groups of them were wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Names of the columns.
    pub by: Vec<String>,
    /// Maximum of groups.
    pub limit: u32,
    /// With distinct actors.
    #[serde(default)]
    pub actors: bool,
}

/// What was asked or done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[expect(missing_docs, reason = "the fields are those of the question")]
pub enum Step {
    /// A page of a listing.
    Listing {
        #[serde(flatten)]
        question: Question,
        states: bool,
    },
    /// One event with its states.
    Event { event_id: String },
    /// The events of a resource.
    Resource { resource_type: String, resource_id: String, limit: u32 },
    /// Who did what with a resource.
    Access { resource_type: String, resource_id: String },
    /// Totals.
    Summary {
        #[serde(flatten)]
        question: Question,
        parts: Vec<Part>,
    },
    /// Counts per time bucket.
    Histogram {
        #[serde(flatten)]
        question: Question,
        buckets: u32,
    },
    /// Changes without an event.
    Ghosts {
        #[serde(flatten)]
        question: Question,
    },
    /// What came of what an actor or a resource created.
    Lineage {
        actor_id: Option<String>,
        resource: Option<(String, String)>,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
    },
    /// A verification of a trail.
    Verification {
        since: Option<Timestamp>,
        until: Option<Timestamp>,
        links_only: bool,
        deep: bool,
        scheme: Option<String>,
    },
    /// The verification of one event.
    EventVerification { event_id: String },
    /// A file of events.
    Export {
        #[serde(flatten)]
        question: Question,
        format: String,
        states_as_text: bool,
        csv_raw: bool,
        marks: bool,
        joiners: bool,
        first_line: bool,
    },
    /// The report of a case.
    Report { case: String },
    /// A report of a trail: which one, and of what.
    TrailReport { report: String, of: String },
    /// Something said of events in a case.
    Case { case: String, what: Vec<String>, event_ids: Vec<String> },
    /// A finding accepted.
    Acceptance { class: String, event_id: String },
    /// A step of a later version.
    #[serde(other)]
    Unknown,
}

impl Step {
    /// In words, for people: what was asked or done.
    pub fn words(&self) -> String {
        let time = |since: Option<Timestamp>, until: Option<Timestamp>| match (since, until) {
            (None, None) => String::new(),
            (Some(since), None) => format!(" since {since}"),
            (None, Some(until)) => format!(" until {until}"),
            (Some(since), Some(until)) => format!(" from {since} until {until}"),
        };
        let of = |question: &Question| {
            let filter = if question.filter.is_empty() { "all events" } else { &question.filter };
            format!("{filter}{}", time(question.since, question.until))
        };
        match self {
            Self::Listing { question, .. } => format!("events  {}", of(question)),
            Self::Event { event_id } => format!("event  {event_id}"),
            Self::Resource { resource_type, resource_id, .. } => {
                format!("resource  {resource_type}/{resource_id}")
            }
            Self::Access { resource_type, resource_id } => format!("access  {resource_type}/{resource_id}"),
            Self::Summary { question, parts } => {
                let by: Vec<String> = parts.iter().map(|part| part.by.join("+")).collect();
                format!("summary by {}  {}", by.join(", "), of(question))
            }
            Self::Histogram { question, .. } => format!("histogram  {}", of(question)),
            Self::Ghosts { question } => format!("ghosts  {}", of(question)),
            Self::Lineage { actor_id, resource, since, until } => {
                let resource = resource.as_ref().map(|(kind, id)| format!("{kind}/{id}"));
                let origin = actor_id.clone().or(resource).unwrap_or_default();
                format!("lineage  {origin}{}", time(*since, *until))
            }
            Self::Verification { since, until, links_only, .. } => {
                let what = if *links_only { "verification of the links" } else { "verification" };
                format!("{what}{}", time(*since, *until))
            }
            Self::EventVerification { event_id } => format!("verification of an event  {event_id}"),
            Self::Export { question, format, .. } => format!("export as {format}  {}", of(question)),
            Self::Report { case } => format!("report of the case {case}"),
            Self::TrailReport { report, of } if of.is_empty() => format!("report of {report}"),
            Self::TrailReport { report, of } => format!("report of {report}: {of}"),
            Self::Case { case, what, event_ids } => {
                format!("{} in the case {case}  {}", what.join(", "), event_ids.join(", "))
            }
            Self::Acceptance { class, event_id } => format!("finding accepted  {class}:{event_id}"),
            Self::Unknown => "a step of a later version".to_owned(),
        }
    }
}

/// An answer, as a digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// SHA-256 in hexadecimal: of the rows for listings, else of what was answered as JSON without times of its own.
    pub digest: String,
    /// Events of the answer, or those that it was made of.
    pub events: u64,
    /// In words, of a verification.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<String>,
    /// How much of a listing was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Seen>,
    /// Ids of the rows with the beginning of the digest of each, newest first; none where they are very many.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rows: Vec<(String, String)>,
}

/// Which stretch of a listing was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Time and id at its newer end; `None` without one.
    pub newest: Option<(Timestamp, String)>,
    /// The same at its older end.
    pub oldest: Option<(Timestamp, String)>,
    /// There was nothing newer.
    pub to_newest: bool,
    /// There was nothing older.
    pub to_oldest: bool,
}

/// A place of a listing as the log writes it.
pub fn place(key: EventKey) -> (Timestamp, String) {
    (key.timestamp, key.event_id)
}

/// The log in a data folder.
pub fn log(folder: &Path) -> Log {
    Log::new(folder, KIND, LIMITS)
}

/// Appends steps.
///
/// # Errors
/// As [`Log::append`].
pub fn append(folder: &Path, entries: &[Entry]) -> Result<()> {
    log(folder).append(entries)
}

/// All steps, and whether the log is whole.
pub fn load(folder: &Path) -> Loaded<Entry> {
    log(folder).load()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_of_a_later_version_is_read_as_one() {
        let folder = tempfile::tempdir().unwrap();
        let question = Question { filter: "a:b".into(), since: None, until: None, case: None };
        let entry = Entry {
            at: Timestamp::from_micros(1),
            by: "eve".into(),
            via: "cli".into(),
            place: "here".into(),
            organization_id: "acme".into(),
            step: Step::Listing { question, states: false },
            answer: None,
        };
        append(folder.path(), std::slice::from_ref(&entry)).unwrap();
        let mut later = serde_json::to_value(&entry).unwrap();
        later["step"] = serde_json::json!({"kind": "dream", "of": ["sheep"]});
        log(folder.path()).append(&[later]).unwrap();
        let loaded = load(folder.path());
        assert!(loaded.is_whole, "{:?}", loaded.remarks);
        assert_eq!(loaded.records, [entry.clone(), Entry { step: Step::Unknown, ..entry }]);
    }
}
