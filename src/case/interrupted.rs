//! Verifications that were interrupted: what they have verified and need not read again.

use super::record;
use crate::error::Result;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Name of the file in [`super::folder`].
pub const FILE: &str = "interrupted.ndjson";

/// A line: whose trail, and what the verification left behind.
#[derive(Debug, Serialize, Deserialize)]
struct Record<T> {
    organization_id: String,
    #[serde(flatten)]
    anchor: T,
}

/// What the newest verification of an organisation's trail left behind, of those that `fit`. Damaged lines are passed
/// over.
pub fn newest<T: DeserializeOwned>(path: &Path, organization: &str, fits: impl Fn(&T) -> bool) -> Option<T> {
    let all: Vec<Record<T>> = record::load_plain(path).records;
    let mut ours = all.into_iter().rev().filter(|record| record.organization_id == organization);
    ours.find(|record| fits(&record.anchor)).map(|record| record.anchor)
}

/// Appends what a verification left behind and makes sure it is on disk. The file is made for its owner only.
///
/// # Errors
/// When the file cannot be written.
pub fn append(path: &Path, organization: &str, anchor: &impl Serialize) -> Result<()> {
    record::append_plain(path, &Record { organization_id: organization.to_owned(), anchor })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Anchor {
        database: String,
        events: u64,
    }

    #[test]
    fn the_newest_one_of_the_same_trail_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let newest = |organization: &str, database: &str| {
            newest(&path, organization, |a: &Anchor| a.database == database)
        };
        assert_eq!(newest("a", "1"), None);
        let anchor = |database: &str, events: u64| Anchor { database: database.to_owned(), events };
        for (organization, database, events) in [("a", "1", 1), ("a", "1", 2), ("b", "1", 3), ("a", "9", 4)] {
            append(&path, organization, &anchor(database, events)).unwrap();
        }
        assert_eq!(newest("a", "1"), Some(anchor("1", 2)));
        assert_eq!(newest("c", "1"), None);
        std::fs::write(&path, std::fs::read_to_string(&path).unwrap() + "{}\n").unwrap();
        assert_eq!(newest("a", "1"), Some(anchor("1", 2)), "a damaged line costs no other one");
    }
}
