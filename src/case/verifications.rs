//! The last verifications of each trail, for people: nothing is decided by them.

use super::record::Slot;
use crate::domain::Timestamp;
use crate::error::Result;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Kind of the records.
const KIND: &str = "verifications";
/// Verifications of a trail that are kept; of more, the newest.
const KEPT: usize = 50;

/// A verification that has ended with a verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verification {
    /// When the trail was read, by the server's clock.
    pub at: Timestamp,
    /// Events that were read, or verified earlier.
    pub events: u64,
    /// The verdict in words, with its scope: `chain intact`.
    pub verdict: String,
    /// What was known of the newest end.
    pub newest_end: String,
    /// Open findings.
    pub findings: u64,
    /// Who verified it.
    pub by: String,
}

fn slot(folder: &Path, place: &str, organization: &str) -> Slot {
    Slot::new(folder, KIND, &[place, organization])
}

/// Those of a trail, the newest first. What cannot be read is left out.
pub fn load(folder: &Path, place: &str, organization: &str) -> Vec<Verification> {
    slot(folder, place, organization).load().records.pop().unwrap_or_default()
}

/// Adds one.
///
/// # Errors
/// As [`Slot::store`].
pub fn add(folder: &Path, place: &str, organization: &str, verification: Verification) -> Result<()> {
    let mut all = load(folder, place, organization);
    all.insert(0, verification);
    all.truncate(KEPT);
    slot(folder, place, organization).store(&all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_kept_and_come_first() {
        let folder = tempfile::tempdir().unwrap();
        for n in 0..60 {
            let verification = Verification {
                at: Timestamp::from_micros(n),
                events: 9,
                verdict: "chain intact".to_owned(),
                newest_end: String::new(),
                findings: 0,
                by: "eve".to_owned(),
            };
            add(folder.path(), "prod", "a", verification).unwrap();
        }
        let all = load(folder.path(), "prod", "a");
        assert_eq!((all.len(), all[0].at), (KEPT, Timestamp::from_micros(59)));
        assert_eq!(load(folder.path(), "stage", "a"), []);
    }
}
