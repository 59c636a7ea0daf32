//! The search vector of our own schema, compared, as findings and as a part of what was covered.

use super::finding::Finding;
use super::report::VectorCoverage;
use crate::domain::{Safe, grouped};
use crate::store::scan::Vectors;

/// What comparing it comes to.
#[derive(Debug, Default)]
pub(super) struct Compared {
    pub(super) findings: Vec<Finding>,
    /// Findings that are not listed.
    pub(super) cut: u64,
    pub(super) coverage: Option<VectorCoverage>,
    /// What was not looked at, in words.
    pub(super) not_checked: Option<String>,
}

impl Compared {
    /// `events`: how many are in scope. `None` of another schema.
    pub(super) fn of(vectors: Option<Vectors>, events: u64) -> Self {
        let Some(vectors) = vectors else { return Self::default() };
        let mut findings: Vec<Finding> = vectors.altered.iter().map(Finding::vector_altered).collect();
        findings.extend(vectors.others.iter().map(Finding::other_vector));
        let left = events.saturating_sub(vectors.compared);
        let not_checked = match &vectors.refused {
            Some(why) => Some(format!("the search vectors of the events: {}", Safe::from_untrusted(why))),
            None if left > 0 && !vectors.all => Some(format!(
                "the search vectors of {} events beyond a sample: verify --deep compares all",
                grouped(left)
            )),
            None => None,
        };
        let coverage = VectorCoverage {
            compared: vectors.compared,
            mismatch: vectors.others.len() as u64 + vectors.more,
            all: vectors.all,
        };
        Self { findings, cut: vectors.more, coverage: Some(coverage), not_checked }
    }
}
