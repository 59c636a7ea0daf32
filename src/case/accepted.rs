//! Findings that somebody has understood: one JSON object a line, only ever appended to.

use super::ndjson;
use crate::error::Result;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Name of the file in [`super::folder`].
pub const FILE: &str = "accepted.ndjson";

/// One acceptance: who, when and why, bound to the event as it was then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the names say what they hold; the hashes are those of the event")]
pub struct Record {
    pub organization_id: String,
    pub class: String,
    pub event_id: String,
    pub hash: String,
    pub previous_hash: String,
    /// Hash of the content as it was found, where that was computed.
    pub computed_hash: Option<String>,
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
            database_identity: database_identity.to_owned(),
            accepted_by: accepted_by.to_owned(),
            accepted_at: String::new(),
            note: String::new(),
        }
    }

    /// The finding as it was then.
    pub fn subject(&self) -> Subject<'_> {
        Subject {
            class: &self.class,
            event_id: &self.event_id,
            hash: &self.hash,
            previous_hash: &self.previous_hash,
            computed_hash: self.computed_hash.as_deref(),
        }
    }
}

/// The newest acceptance of a finding that is still as it was then.
pub fn find<'r>(records: &'r [Record], organization: &str, subject: &Subject<'_>) -> Option<&'r Record> {
    records.iter().rev().find(|record| record.organization_id == organization && record.subject() == *subject)
}

/// All acceptances; none when there is no file yet.
///
/// # Errors
/// When the file cannot be read, or a line is none of ours; the error names it.
pub fn load(path: &Path) -> Result<Vec<Record>> {
    ndjson::load(path, "accepted finding")
}

/// Appends one acceptance and makes sure it is on disk. The file is made for its owner only.
///
/// # Errors
/// When the file cannot be written.
pub fn append(path: &Path, record: &Record) -> Result<()> {
    ndjson::append(path, record)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn record(event_id: &str) -> Record {
        Record {
            organization_id: "org-1".to_owned(),
            class: "fork".to_owned(),
            event_id: event_id.to_owned(),
            hash: "ab".to_owned(),
            previous_hash: String::new(),
            computed_hash: None,
            database_identity: "1/2/3".to_owned(),
            accepted_by: "eve".to_owned(),
            accepted_at: "2026-01-01T00:00:00Z".to_owned(),
            note: "known\nrestart".to_owned(),
        }
    }

    #[test]
    fn what_is_appended_is_loaded_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deeper").join(FILE);
        assert_eq!(load(&path).unwrap(), []);
        append(&path, &record("a")).unwrap();
        append(&path, &record("b")).unwrap();
        assert_eq!(load(&path).unwrap(), [record("a"), record("b")]);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_line_that_is_none_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        append(&path, &record("a")).unwrap();
        std::fs::write(&path, [std::fs::read(&path).unwrap(), b"{}\n".to_vec()].concat()).unwrap();
        let error = load(&path).unwrap_err().to_string();
        assert!(error.contains("accepted.ndjson:2: this is no accepted finding"), "{error}");
    }
}
