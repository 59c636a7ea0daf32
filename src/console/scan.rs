//! The verification of a whole trail as work of the executor.

use super::accept;
use super::msg::Failure;
use super::trail::MAX_FINDINGS;
use crate::case::{self, accepted, verified};
use crate::domain::{OrgScope, TimeRange};
use crate::store::ReadDb;
use crate::verify::{self, Gauge, Interrupted, Progress, Report, Request};
use serde::Serialize;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// How often it says how far it has come.
const TELL_EVERY: Duration = Duration::from_millis(200);
/// How often what would be lost by a crash is recorded.
const RECORD_EVERY: Duration = Duration::from_secs(60);

/// Verifies the trail of an organisation, on request from where that was interrupted; findings that have been accepted
/// are told apart.
///
/// # Errors
/// As [`verify::verify`] and [`verify::verify_rest`], and when what is remembered cannot be read.
pub(crate) async fn trail(
    db: &ReadDb,
    scope: OrgScope,
    resume: bool,
    gauge: &Arc<Gauge>,
    tell: impl Fn(Progress) + Sync,
    cancel: &CancellationToken,
) -> Result<Report, Failure> {
    let known = case::folder().and_then(|folder| accepted::load(&folder.join(accepted::FILE)));
    let known = known.map_err(|e| Failure::because(&e.to_string()))?;
    let left = if resume { interrupted(db, &scope, cancel).await? } else { None };
    // One reader: the others of the pool stay free for whoever reads on meanwhile.
    let request = Request { scope, range: TimeRange::default(), links_only: false, jobs: 1 };
    let organization = request.scope.organization().as_str();
    let mut verifying = Box::pin(async {
        match &left {
            Some(left) => verify::verify_rest(db, &request, left, gauge, cancel).await,
            None => verify::verify(db, &request, gauge, cancel).await,
        }
    });
    let (mut told, mut recorded, mut leaves_a_record) = (None, Instant::now(), left.is_some());
    let ended = loop {
        tokio::select! {
            ended = &mut verifying => break ended,
            () = tokio::time::sleep(TELL_EVERY) => {}
        }
        let progress = Some(gauge.progress());
        // Nothing changes in a pause, and then the screen need not be drawn.
        if progress != told {
            progress.iter().cloned().for_each(&tell);
            told = progress;
        }
        if recorded.elapsed() >= RECORD_EVERY {
            recorded = Instant::now();
            if let Some(left) = gauge.interrupted() {
                remember(verified::INTERRUPTED, organization, &left);
                leaves_a_record = true;
            }
        }
    };
    let mut report = match (ended, gauge.interrupted()) {
        (Ok(report), left) => {
            if let (Some(left), true) = (left, leaves_a_record) {
                remember(verified::INTERRUPTED, organization, &left.ended());
            }
            report
        }
        (Err(error), left) => {
            if let Some(left) = left.filter(|left| !left.has_ended()) {
                remember(verified::INTERRUPTED, organization, &left);
            }
            return Err(error.into());
        }
    };
    if let Some(anchor) = &report.anchor {
        remember(verified::FILE, organization, anchor);
    }
    report.accept(|finding| {
        accepted::find(&known, organization, &accept::subject(finding)).map(accept::acceptance)
    });
    report.cut(MAX_FINDINGS);
    // They are counted; their names would be many.
    report.alternatives = Vec::new();
    Ok(report)
}

/// What an interrupted verification of the trail left to go on from.
async fn interrupted(
    db: &ReadDb,
    scope: &OrgScope,
    cancel: &CancellationToken,
) -> Result<Option<Interrupted>, Failure> {
    let identity = verify::identity(db, scope, cancel).await?;
    let fits = |left: &Interrupted| left.database_identity == identity;
    let left = case::folder().and_then(|folder| {
        verified::newest(&folder.join(verified::INTERRUPTED), scope.organization().as_str(), fits)
    });
    let left = left.map_err(|e| Failure::because(&e.to_string()))?;
    Ok(left.filter(|left| !left.has_ended()))
}

/// Keeps what can be gone on from. The verification stands without it.
fn remember(file: &str, organization: &str, what: &impl Serialize) {
    let kept = case::folder().and_then(|folder| verified::append(&folder.join(file), organization, what));
    if let Err(error) = kept {
        tracing::warn!(%error, file, "the verification cannot be gone on from");
    }
}
