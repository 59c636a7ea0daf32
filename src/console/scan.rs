//! The verification of a whole trail as work of the executor.

use super::accept;
use super::msg::Failure;
use super::trail::MAX_FINDINGS;
use crate::case::{self, accepted, verified};
use crate::domain::{OrgScope, TimeRange};
use crate::store::ReadDb;
use crate::verify::{self, Gauge, Progress, Report, Request};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often it says how far it has come.
const TELL_EVERY: Duration = Duration::from_millis(200);

/// Verifies the trail of an organisation; findings that have been accepted are told apart.
///
/// # Errors
/// As [`verify::verify`], and when the accepted findings cannot be read.
pub(crate) async fn trail(
    db: &ReadDb,
    scope: OrgScope,
    tell: impl Fn(Progress) + Sync,
    cancel: &CancellationToken,
) -> Result<Report, Failure> {
    let known = case::folder().and_then(|folder| accepted::load(&folder.join(accepted::FILE)));
    let known = known.map_err(|e| Failure::because(&e.to_string()))?;
    // One reader: the others of the pool stay free for whoever reads on meanwhile.
    let request = Request { scope, range: TimeRange::default(), links_only: false, jobs: 1 };
    let gauge = Arc::new(Gauge::new());
    let mut verifying = Box::pin(verify::verify(db, &request, &gauge, cancel));
    let mut report = loop {
        tokio::select! {
            report = &mut verifying => break report?,
            () = tokio::time::sleep(TELL_EVERY) => tell(gauge.progress()),
        }
    };
    if let Some(anchor) = &report.anchor {
        let kept = case::folder().and_then(|folder| {
            verified::append(&folder.join(verified::FILE), &report.organization_id, anchor)
        });
        // The result stands without it.
        if let Err(error) = kept {
            tracing::warn!(%error, "the verification cannot be gone on from");
        }
    }
    let organization = request.scope.organization().as_str();
    report.accept(|finding| {
        accepted::find(&known, organization, &accept::subject(finding)).map(accept::acceptance)
    });
    report.cut(MAX_FINDINGS);
    // They are counted; their names would be many.
    report.alternatives = Vec::new();
    Ok(report)
}
