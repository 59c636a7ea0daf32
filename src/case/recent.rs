//! Filters that were run, by organisation, so that the next session can go back to them.

use super::record;
use crate::error::Result;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Name of the file in [`super::folder`].
pub const FILE: &str = "recent.ndjson";
/// Filters of an organisation that are remembered.
pub const REMEMBERED: usize = 200;
/// The file is written anew when it has more lines than this.
const MOST_LINES: usize = 2_000;

/// A filter that was run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    organization_id: String,
    filter: String,
}

/// The filters of an organisation, each once, the newest last. Damaged lines are passed over: nothing depends on them.
pub fn load(path: &Path, organization: &str) -> Vec<String> {
    of(&record::load_plain(path).records, organization)
}

fn of(records: &[Record], organization: &str) -> Vec<String> {
    let mut filters: Vec<String> = Vec::new();
    for record in records.iter().rev().filter(|record| record.organization_id == organization) {
        if filters.len() < REMEMBERED && !filters.contains(&record.filter) {
            filters.push(record.filter.clone());
        }
    }
    filters.reverse();
    filters
}

/// Appends a filter that was run. The file is made for its owner only, and does not grow without end.
///
/// # Errors
/// When the file cannot be written.
pub fn append(path: &Path, organization: &str, filter: &str) -> Result<()> {
    let record =
        |filter: &str| Record { organization_id: organization.to_owned(), filter: filter.to_owned() };
    record::append_plain(path, &record(filter))?;
    let records: Vec<Record> = record::load_plain(path).records;
    if records.len() <= MOST_LINES {
        return Ok(());
    }
    let mut organizations: Vec<&str> = records.iter().map(|r| r.organization_id.as_str()).collect();
    organizations.sort_unstable();
    organizations.dedup();
    let mut text = Vec::new();
    for organization in organizations {
        for filter in of(&records, organization) {
            let record = Record { organization_id: organization.to_owned(), filter };
            serde_json::to_writer(&mut text, &record).map_err(std::io::Error::from)?;
            text.push(b'\n');
        }
    }
    super::replace(path, &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_filter_of_an_organisation_is_remembered_once_and_the_file_stays_small() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        assert_eq!(load(&path, "a"), [""; 0]);
        for (organization, filter) in [("a", "x"), ("b", "other"), ("a", "y"), ("a", "x")] {
            append(&path, organization, filter).unwrap();
        }
        assert_eq!(load(&path, "a"), ["y", "x"]);
        // A torn line costs no other one.
        std::fs::write(&path, std::fs::read_to_string(&path).unwrap() + "{\"organ").unwrap();
        append(&path, "a", "z").unwrap();
        assert_eq!(load(&path, "a"), ["y", "x", "z"]);
        let line = "{\"organization_id\":\"a\",\"filter\":\"again\"}\n";
        std::fs::write(&path, line.repeat(MOST_LINES)).unwrap();
        append(&path, "b", "other").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 2);
        assert_eq!(load(&path, "b"), ["other"]);
    }
}
