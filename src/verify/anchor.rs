//! Going on from an earlier verification of the whole trail, instead of reading everything again.

use super::finding::{Class, Finding};
use super::report::EventHash;
use crate::domain::{OrgScope, Safe, TimeRange, Timestamp};
use crate::store::scan::{self, Snapshot};
use crate::store::{ReadDb, StoreError};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

/// Events that claim a time within an hour before a verification are read again by the next one: they may still come in
/// late.
const OVERLAP: i64 = 3_600_000_000;

/// What a verification remembers of a trail in which all content was verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anchor {
    /// The database.
    pub database_identity: String,
    /// When the trail was read, by the server's clock.
    pub at: Timestamp,
    /// Its newest head.
    pub head: EventHash,
    /// The next verification reads the events from this time on.
    pub since: Timestamp,
    /// How many events lay before it.
    pub events_before: u64,
}

/// From which time on a verification that begins now will be gone on from.
pub(super) fn next_since(snapshot_at: Timestamp) -> Timestamp {
    Timestamp::from_micros(snapshot_at.as_micros().saturating_sub(OVERLAP))
}

/// What has become of an [`Anchor`].
pub(super) enum Held {
    /// Head and number of events are as they were.
    Fits,
    /// The head is as it was; before the time from which on is read, there are another number of events now.
    Count(u64),
    /// The head is gone, or another one.
    Broken(Finding),
}

/// Compares an anchor with the trail.
pub(super) async fn compare(snapshot: &mut Snapshot<'_>, anchor: &Anchor) -> Result<Held, StoreError> {
    if snapshot.view.identity != anchor.database_identity {
        return Err(StoreError::Other(
            "the verification to go on from was one of another database".to_owned(),
        ));
    }
    match snapshot.event(&anchor.head.event_id).await? {
        Some(link) if link.hash == anchor.head.hash => {}
        found => return Ok(Held::Broken(Finding::pin(anchor, found.as_ref()))),
    }
    let before = snapshot.count_before(anchor.since).await?;
    Ok(if before == anchor.events_before { Held::Fits } else { Held::Count(before) })
}

/// Refuses to judge by a replica that may not have received yet what the anchor remembers of its primary. `applied` is
/// the time up to which it showed all changes, when the trail was read.
///
/// # Errors
/// [`StoreError::ReplicaBehind`].
pub(super) fn refuse_the_late(
    applied: Option<Timestamp>,
    anchor: &Anchor,
    held: &Held,
) -> Result<(), StoreError> {
    let missing = match held {
        Held::Fits => false,
        Held::Count(now) => *now < anchor.events_before,
        // Another hash under the same id came with the event.
        Held::Broken(finding) => finding.class == Class::PinMissing,
    };
    if !missing {
        return Ok(());
    }
    match applied {
        Some(applied) if applied < anchor.at => Err(StoreError::ReplicaBehind(format!(
            "the trail was verified up to event {} at {}, and the last change that was applied here is of {applied}",
            Safe::from_untrusted(&anchor.head.event_id),
            anchor.at
        ))),
        _ => Ok(()),
    }
}

/// Which database an organisation's trail is read from, as in [`Anchor::database_identity`].
///
/// # Errors
/// [`StoreError`].
pub async fn identity(
    db: &ReadDb,
    scope: &OrgScope,
    cancel: &CancellationToken,
) -> Result<String, StoreError> {
    let reading = scan::Request { scope: scope.clone(), range: TimeRange::default(), links_only: true };
    scan::with_snapshot(db, reading, cancel, async |snapshot: &mut Snapshot<'_>| {
        Ok(snapshot.view.identity.clone())
    })
    .await
}
