//! Findings that somebody has understood.

use super::record::{self, Contents, Segment};
use crate::chain::head::same_object;
use crate::error::Result;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Kind of the records.
const KIND: &str = "acceptances";
/// Name of the file in which the first programs kept them.
const OLD_FILE: &str = "accepted.ndjson";

/// One acceptance: who, when and why, bound to the event as it was then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say what they hold; the hashes are those of the event")]
pub struct Record {
    pub organization_id: String,
    pub class: String,
    pub event_id: String,
    pub hash: String,
    pub previous_hash: String,
    /// Hash of the content as it was found, where that was computed.
    pub computed_hash: Option<String>,
    /// All else that the finding's detail names; `None` in records of the first programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<Vec<String>>,
    pub database_identity: String,
    pub accepted_by: String,
    /// RFC 3339.
    pub accepted_at: String,
    pub note: String,
}

/// A finding as it is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of a record")]
pub struct Subject<'a> {
    pub class: &'a str,
    pub event_id: &'a str,
    pub hash: &'a str,
    pub previous_hash: &'a str,
    pub computed_hash: Option<&'a str>,
    /// All else that its detail names, such as every event of a fork: an acceptance is one of exactly these.
    pub bound: &'a [String],
}

impl Record {
    /// Of a finding in an organisation of a database, by somebody; time and reason are still to be filled in.
    pub fn new(
        organization: &str,
        database_identity: &str,
        subject: &Subject<'_>,
        accepted_by: &str,
    ) -> Self {
        Self {
            organization_id: organization.to_owned(),
            class: subject.class.to_owned(),
            event_id: subject.event_id.to_owned(),
            hash: subject.hash.to_owned(),
            previous_hash: subject.previous_hash.to_owned(),
            computed_hash: subject.computed_hash.map(str::to_owned),
            bound: Some(subject.bound.to_vec()),
            database_identity: database_identity.to_owned(),
            accepted_by: accepted_by.to_owned(),
            accepted_at: String::new(),
            note: String::new(),
        }
    }

    /// Whether this is an acceptance of a finding as it is now, in this organisation of this database.
    pub fn covers(&self, organization: &str, database_identity: &str, subject: &Subject<'_>) -> bool {
        let same_event = self.class == subject.class
            && self.event_id == subject.event_id
            && self.hash == subject.hash
            && self.previous_hash == subject.previous_hash
            && self.computed_hash.as_deref() == subject.computed_hash;
        let same_rest = match &self.bound {
            Some(bound) => bound == subject.bound,
            // It did not say which events it had seen: at least those of the smallest fork.
            None => subject.class != "fork" || subject.bound.len() <= 2,
        };
        self.organization_id == organization
            && same_object(&self.database_identity, database_identity)
            && same_event
            && same_rest
    }
}

/// The newest acceptance of a finding that is still as it was then.
pub fn find<'r>(
    records: &'r [Record],
    organization: &str,
    database_identity: &str,
    subject: &Subject<'_>,
) -> Option<&'r Record> {
    records.iter().rev().find(|record| record.covers(organization, database_identity, subject))
}

/// All acceptances in the data folder, those of older programs first.
pub fn load(folder: &Path) -> Contents<Record> {
    Segment::new(folder, KIND).load().after(record::load_plain(&folder.join(OLD_FILE)))
}

/// Appends one acceptance and makes sure it is on disk.
///
/// # Errors
/// As [`Segment::append`].
pub fn append(folder: &Path, record: &Record) -> Result<()> {
    Segment::new(folder, KIND).append(std::slice::from_ref(record))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(event_id: &str) -> Record {
        Record {
            organization_id: "org-1".to_owned(),
            class: "fork".to_owned(),
            event_id: event_id.to_owned(),
            hash: "ab".to_owned(),
            previous_hash: String::new(),
            computed_hash: None,
            bound: Some(vec!["a ab".to_owned(), "b cd".to_owned()]),
            database_identity: "1/2/3".to_owned(),
            accepted_by: "eve".to_owned(),
            accepted_at: "2026-01-01T00:00:00Z".to_owned(),
            note: "known\nrestart".to_owned(),
        }
    }

    #[test]
    fn acceptances_are_loaded_behind_those_of_older_programs() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(load(folder.path()), Contents::default());
        append(folder.path(), &record("b")).unwrap();
        let old = include_str!("../../tests/fixtures/build-0ce1482/accepted.ndjson");
        std::fs::write(folder.path().join(OLD_FILE), format!("{old}{{}}\n")).unwrap();
        let contents = load(folder.path());
        assert_eq!(contents.records.len(), 2);
        assert_eq!(contents.records[0].note, "restart of the ingest worker");
        assert_eq!(contents.records[0].bound, None);
        assert_eq!(contents.records[1], record("b"));
        assert!(
            contents.remarks[0].ends_with("accepted.ndjson', line 2: not a valid record; it is not used")
        );
    }

    #[test]
    fn an_acceptance_is_one_of_exactly_what_was_seen() {
        let record = record("b");
        let bound = record.bound.clone().unwrap();
        let is = Subject {
            class: "fork",
            event_id: "b",
            hash: "ab",
            previous_hash: "",
            computed_hash: None,
            bound: &bound,
        };
        let covers = |subject: &Subject<'_>| record.covers("org-1", "1/2/3", subject);
        assert!(covers(&is));
        let sibling = [bound.clone(), vec!["c ef".to_owned()]].concat();
        let replaced = ["a ac".to_owned(), "b cd".to_owned()];
        for other in [
            Subject { bound: &sibling, ..is },
            Subject { bound: &replaced, ..is },
            Subject { bound: &[], ..is },
            Subject { hash: "aa", ..is },
            Subject { previous_hash: "aa", ..is },
            Subject { computed_hash: Some("aa"), ..is },
            Subject { event_id: "c", ..is },
            Subject { class: "undecided", ..is },
        ] {
            assert!(!covers(&other), "{other:?}");
        }
        assert!(!record.covers("org-2", "1/2/3", &is));
        assert!(!record.covers("org-1", "1/2/4", &is), "another database");
        assert!(record.covers("org-1", "unknown/2/3", &is), "a role that may not know the system");
        // The first programs did not write down what they had seen.
        let old = Record { bound: None, ..record.clone() };
        assert!(old.covers("org-1", "1/2/3", &is));
        assert!(!old.covers("org-1", "1/2/3", &Subject { bound: &sibling, ..is }));
    }
}
