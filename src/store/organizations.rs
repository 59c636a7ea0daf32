//! The organisations a table holds.

use super::row::SqlTime;
use super::{ReadDb, StoreError};
use crate::domain::{OrgId, Timestamp};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Postgres, QueryBuilder, Row as _};
use tokio_util::sync::CancellationToken;

/// One organisation as the chooser shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organization {
    /// Its id.
    pub id: OrgId,
    /// Time of its newest event.
    pub newest: Option<Timestamp>,
    /// Events written by our writer, from the chain heads; `None` where there is no such table or row.
    pub events: Option<u64>,
}

/// One look into the index per organisation: from each id straight to the next greater one.
const BY_INDEX: &str = "WITH RECURSIVE o (id) AS (
        (SELECT organization_id FROM audit_events ORDER BY organization_id LIMIT 1)
        UNION ALL
        SELECT (SELECT e.organization_id FROM audit_events e WHERE e.organization_id > o.id
                ORDER BY e.organization_id LIMIT 1)
        FROM o WHERE o.id IS NOT NULL),
    found (id, newest) AS (
        SELECT o.id, (SELECT e.timestamp FROM audit_events e WHERE e.organization_id = o.id
                      ORDER BY e.timestamp DESC LIMIT 1)
        FROM o WHERE o.id IS NOT NULL) ";

/// Without an index that begins with the organisation: one pass over the table.
const BY_SCAN: &str = "WITH found (id, newest) AS (
        SELECT organization_id, max(timestamp) FROM audit_events GROUP BY organization_id) ";

const WITH_HEADS: &str = "SELECT found.id, found.newest, h.event_count
    FROM found LEFT JOIN audit_chain_heads h ON h.organization_id = found.id ORDER BY found.id";

const WITHOUT_HEADS: &str = "SELECT found.id, found.newest, NULL::bigint FROM found ORDER BY found.id";

/// All organisations, by id.
///
/// # Errors
/// [`StoreError::NoTable`] when there is no table of events, [`StoreError::NothingGranted`] when row-level security shows
/// the role nothing of it.
pub async fn list(db: &ReadDb, cancel: &CancellationToken) -> Result<Vec<Organization>, StoreError> {
    let capabilities = db.capabilities(cancel).await?;
    let by_index = capabilities.time_index().is_some() || !capabilities.is_table();
    let rows = db
        .run(cancel, async |c: &mut PgConnection| {
            let heads: bool = sqlx::query_scalar(
                "SELECT coalesce(has_table_privilege(to_regclass('audit_chain_heads'), 'SELECT'), false)",
            )
            .fetch_one(&mut *c)
            .await?;
            let mut sql = QueryBuilder::<Postgres>::new(if by_index { BY_INDEX } else { BY_SCAN });
            sql.push(if heads { WITH_HEADS } else { WITHOUT_HEADS });
            sql.build().fetch_all(c).await
        })
        .await?;
    if rows.is_empty() && capabilities.row_security {
        return Err(StoreError::NothingGranted);
    }
    rows.iter().filter_map(|row| organization(row).transpose()).collect()
}

/// `None` for rows without an organisation id that could be named: nobody can enter them.
fn organization(row: &PgRow) -> Result<Option<Organization>, StoreError> {
    let id: String = row.try_get(0)?;
    let newest: Option<SqlTime> = row.try_get(1)?;
    let events: Option<i64> = row.try_get(2)?;
    let Ok(id) = OrgId::new(id.as_str()) else {
        tracing::warn!(?id, "events of an organisation that cannot be named");
        return Ok(None);
    };
    Ok(Some(Organization {
        id,
        newest: newest.map(|t| t.0),
        events: events.and_then(|n| u64::try_from(n).ok()),
    }))
}
