//! The search vectors of a few rows, computed anew, for what a list shows about its rows.

use crate::domain::{EventKey, OrgScope};
use crate::store::connection::Link;
use crate::store::migrations::vector;
use crate::store::row::SqlTime;
use crate::store::{ReadDb, StoreError, scan};
use sqlx::{Postgres, QueryBuilder};
use tokio_util::sync::CancellationToken;

/// The events among these whose search vector is not that of their words, by id; none where the table has no search vector
/// of ours, or the definition of the whole vector is another one, which is said elsewhere.
///
/// # Errors
/// [`StoreError`]. Where the server cannot compute one of them, nothing is said of any.
pub async fn others(
    db: &ReadDb,
    scope: &OrgScope,
    keys: &[EventKey],
    cancel: &CancellationToken,
) -> Result<Vec<String>, StoreError> {
    let capabilities = db.capabilities(cancel).await?;
    let (Some(first), Some(last)) =
        (keys.iter().map(|k| k.timestamp).min(), keys.iter().map(|k| k.timestamp).max())
    else {
        return Ok(Vec::new());
    };
    if !capabilities.has_our_vector || !capabilities.vector_altered.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<&str> = keys.iter().map(|key| key.event_id.as_str()).collect();
    let mut sql = QueryBuilder::<Postgres>::new("SELECT event_id FROM (SELECT event_id::text, ");
    sql.push(vector::identifiers()).push(" AS ids, new_state, previous_state, search_vector FROM ");
    sql.push(capabilities.relation.sql());
    sql.push(" WHERE organization_id = ").push_bind(scope.organization().as_str());
    sql.push(" AND timestamp >= ").push_bind(SqlTime(first));
    sql.push(" AND timestamp <= ").push_bind(SqlTime(last));
    sql.push(" AND event_id = ANY (").push_bind(ids).push(")) e WHERE search_vector IS DISTINCT FROM (");
    sql.push(vector::computed()).push(")");
    match db.run(cancel, async |c: &mut Link| sql.build_query_scalar().fetch_all(c).await).await {
        Err(StoreError::Database(error)) if scan::is_about_a_row(&error) => Ok(Vec::new()),
        found => found,
    }
}
