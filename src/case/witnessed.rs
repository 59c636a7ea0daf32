//! Checkpoints of others' logs that were seen and cosigned here, append-only: what is compared with the next one.

use super::record::Segment;
use crate::domain::Timestamp;
use crate::error::{Error, Result};
use crate::evidence::checkpoint::Signed;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Kind of the records.
const KIND: &str = "witnessed";

/// A checkpoint that was cosigned here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Witnessed {
    /// Which log.
    pub origin: String,
    /// The checkpoint, as it came.
    pub checkpoint: String,
    /// The text about its trail, as it came.
    pub trail: String,
    /// The key that it was cosigned with.
    pub key: String,
    /// Who did.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

impl Witnessed {
    /// Both notes, read.
    ///
    /// # Errors
    /// When they are none: the record was written by something else.
    pub fn signed(&self) -> Result<Signed> {
        Signed::parse(self.checkpoint.as_bytes(), self.trail.as_bytes())
            .map_err(|e| Error::could_not_run("a checkpoint that was seen here cannot be read").because(e))
    }
}

/// Records a checkpoint if `judge` allows it, given the last one of its log that was seen here; the record is locked
/// meanwhile, and on disk when this returns.
///
/// # Errors
/// Those of `judge`, with which nothing is recorded; and when it cannot be written.
pub fn keep(
    folder: &Path,
    witnessed: &Witnessed,
    judge: impl FnOnce(Option<&Witnessed>) -> Result<()>,
) -> Result<()> {
    let mut judged = Ok(());
    let segment = Segment::new(folder, KIND);
    // A witness that has forgotten what it saw would sign a second history.
    let before = segment.load::<Witnessed>();
    if let Some(why) = before.refused.or(before.remarks.into_iter().next()) {
        return Err(Error::could_not_run(format!("checkpoints that were seen here are not used: {why}"))
            .hint("restore witnessed.ndjson in the data folder from a backup"));
    }
    segment.append_with(|there: &[Witnessed]| {
        judged = judge(there.iter().rfind(|seen| seen.origin == witnessed.origin));
        if judged.is_ok() { vec![witnessed] } else { Vec::new() }
    })?;
    judged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(origin: &str, n: i64) -> Witnessed {
        let text = |name: &str| format!("{name} {n}");
        Witnessed {
            origin: origin.to_owned(),
            checkpoint: text("checkpoint"),
            trail: text("trail"),
            key: "bob".to_owned(),
            by: "bob".to_owned(),
            at: Timestamp::from_micros(n),
        }
    }

    #[test]
    fn what_is_refused_is_not_recorded_and_each_log_has_its_own_last_one() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        keep(folder, &seen("a", 1), |last| {
            assert_eq!(last, None);
            Ok(())
        })
        .unwrap();
        keep(folder, &seen("b", 2), |last| {
            assert_eq!(last, None);
            Ok(())
        })
        .unwrap();
        let refused = keep(folder, &seen("a", 3), |_| Err(Error::usage("no")));
        assert_eq!(refused.unwrap_err().to_string(), "no");
        keep(folder, &seen("a", 4), |last| {
            assert_eq!(last, Some(&seen("a", 1)));
            Ok(())
        })
        .unwrap();
    }

    #[test]
    fn a_witness_whose_memory_is_damaged_signs_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        for n in 0..3 {
            keep(folder, &seen("a", n), |_| Ok(())).unwrap();
        }
        let file = folder.join("witnessed.ndjson");
        let text = std::fs::read_to_string(&file).unwrap();
        let without_second: Vec<&str> =
            text.lines().enumerate().filter(|(n, _)| *n != 1).map(|(_, line)| line).collect();
        std::fs::write(&file, without_second.join("\n") + "\n").unwrap();
        let error = keep(folder, &seen("a", 4), |_| Ok(())).unwrap_err().to_string();
        assert!(error.contains("not used"), "{error}");
    }
}
