//! The search for ghost changes as work of the executor.

use super::msg::{Failure, Told};
use crate::domain::Timestamp;
use crate::store::ReadDb;
use crate::store::timeline::Query;
use crate::verify::{self, Ghosts, Sight};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// How often it says what it has found.
const TELL_EVERY: Duration = Duration::from_millis(250);

/// What was found so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SoFar {
    /// The findings.
    pub(crate) found: Ghosts,
    /// Time of the newest event that was looked at.
    pub(crate) at: Option<Timestamp>,
}

/// Looks for ghost changes of the resources of a query.
///
/// # Errors
/// As [`verify::ghosts`].
pub(crate) async fn ghosts(
    db: &ReadDb,
    query: &Query,
    tell: impl Fn(Told) + Sync,
    cancel: &CancellationToken,
) -> Result<Ghosts, Failure> {
    let told: Mutex<Option<Instant>> = Mutex::new(None);
    let watch = |sight: &Sight<'_>| {
        let Ok(mut told) = told.lock() else { return };
        if told.is_none_or(|at| at.elapsed() >= TELL_EVERY) {
            *told = Some(Instant::now());
            tell(Told::Ghosts(Box::new(SoFar { found: sight.found(), at: sight.at })));
        }
    };
    Ok(verify::ghosts(db, query, &watch, cancel).await?)
}
