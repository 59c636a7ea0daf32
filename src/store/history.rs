//! The events of one resource, with their states.

use super::row::{self, EVENT_COLUMNS};
use super::{ReadDb, StoreError};
use crate::domain::{Event, OrgScope};
use sqlx::{PgConnection, QueryBuilder};
use tokio_util::sync::CancellationToken;

/// The newest `limit` events of a resource, oldest first, in the order of the timeline.
///
/// # Errors
/// [`StoreError`].
pub async fn events(
    db: &ReadDb,
    scope: &OrgScope,
    resource_type: &str,
    resource_id: &str,
    limit: u32,
    cancel: &CancellationToken,
) -> Result<Vec<Event>, StoreError> {
    let mut sql = QueryBuilder::new("SELECT ");
    sql.push(EVENT_COLUMNS).push(" FROM audit_events WHERE organization_id = ");
    sql.push_bind(scope.organization().as_str());
    sql.push(" AND resource_type = ").push_bind(resource_type);
    sql.push(" AND resource_id = ").push_bind(resource_id);
    sql.push(" ORDER BY timestamp DESC, event_id DESC LIMIT ").push_bind(i64::from(limit));
    let rows = db.run(cancel, async |c: &mut PgConnection| sql.build().fetch_all(c).await).await?;
    rows.iter().rev().map(row::event).collect()
}
