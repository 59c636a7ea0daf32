//! Which database a trail is read from.

use crate::domain::{OrgScope, TimeRange};
use crate::store::scan::{self, Snapshot};
use crate::store::{ReadDb, StoreError};
use tokio_util::sync::CancellationToken;

/// Which database an organisation's trail is read from: system identifier, database, table.
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
