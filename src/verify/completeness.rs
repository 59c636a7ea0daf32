//! Whether everything was read that lists of events read: all relations, as many rows on another way, every left-over of
//! the links once more. Where it was not, no verdict but `incomplete` follows from what was.

use super::engine::Request;
use super::finding::Finding;
use super::reading::Readings;
use crate::chain::links::{Open, Shape};
use crate::domain::{Safe, TimeRange, grouped};
use crate::store::StoreError;
use crate::store::scan::{Counted, Snapshot};

/// What is missing.
#[derive(Debug, Default)]
pub(super) struct Completeness {
    /// Of the class `scan_incomplete`; none when everything was read.
    pub(super) findings: Vec<Finding>,
    /// What was not looked at, in words.
    pub(super) not_checked: Vec<String>,
}

/// Compares what was read with the snapshot it was read from. `not_found_again`: of how many hashes not the rows were
/// found that had been read.
pub(super) async fn check(
    snapshot: &mut Snapshot<'_>,
    request: &Request,
    whole: &Readings,
    open: &Open,
    shape: &Shape,
    not_found_again: usize,
) -> Result<Completeness, StoreError> {
    let mut all = Completeness::default();
    all.findings.extend(snapshot.skipped().iter().chain(&whole.skipped).map(Finding::skipped));
    for foreign in snapshot.foreign() {
        let name = Safe::from_untrusted(&foreign);
        // postgres_fdw reads in one transaction there, repeatable; others promise nothing of the kind.
        all.not_checked.push(format!(
            "whether the rows of the foreign table {name} are all of one moment, the one of the others"
        ));
    }
    if !snapshot.is_the_same().await? {
        let detail = "the transaction did not stay with one server process and one snapshot".to_owned();
        let fits = &["a pooler that sends the statements of one transaction to several servers"];
        all.findings.push(Finding::scan_incomplete("", detail, fits));
    }
    match snapshot.count_otherwise().await? {
        Counted::Rows { rows, way } if rows != whole.events => {
            let detail = format!(
                "{} rows were read, and {} are counted {way} in the same snapshot: lists and verification do not see the \
                 same rows",
                grouped(whole.events),
                grouped(rows)
            );
            let fits = &[
                "a damaged index (REINDEX, after a look with amcheck)",
                "row-level security or grants that differ between the table and its parts",
                "a pooler that sends the statements of one transaction to several servers",
            ];
            all.findings.push(Finding::scan_incomplete("", detail, fits));
        }
        Counted::Rows { .. } => {}
        Counted::Spared => all.not_checked.push(
            "whether the index by which the events were looked up finds all of them: the table is large, and they are a \
             small part of it"
                .to_owned(),
        ),
    }
    if not_found_again > 0 {
        let detail = format!(
            "of {not_found_again} hashes that were read, not the same rows are found again by a look-up"
        );
        let fits = &["a damaged index on hash or previous_hash"];
        all.findings.push(Finding::scan_incomplete("", detail, fits));
    }
    if open.hashed && !open.overflowed && !has_end(request, open, shape) {
        let detail =
            "there are hashed events, and none of them is a head: every chain ends somewhere".to_owned();
        let fits = &["rows that were not read", "hashes that were made up in a circle"];
        all.findings.push(Finding::scan_incomplete("", detail, fits));
    }
    Ok(all)
}

/// Whether the chain ends in what was read: in a head, or for a range where it goes on outside.
fn has_end(request: &Request, open: &Open, shape: &Shape) -> bool {
    let whole = request.range == TimeRange::default();
    // A malformed hash ends a chain as well: nothing can follow it.
    open.malformed_count > 0
        || (open.balance.iter().any(|net| *net > 0) && (!whole || !shape.heads.is_empty()))
}
