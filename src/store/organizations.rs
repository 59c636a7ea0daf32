//! The organisations a table holds (by a loose index scan).

use super::row::SqlTime;
use super::{ReadDb, StoreError};
use crate::domain::{OrgId, Timestamp};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _};
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
macro_rules! list_sql {
    ($events:literal, $heads:literal) => {
        concat!(
            "WITH RECURSIVE o (id) AS (
                 (SELECT organization_id FROM audit_events ORDER BY organization_id LIMIT 1)
                 UNION ALL
                 SELECT (SELECT e.organization_id FROM audit_events e WHERE e.organization_id > o.id
                         ORDER BY e.organization_id LIMIT 1)
                 FROM o WHERE o.id IS NOT NULL)
             SELECT o.id,
                 (SELECT e.timestamp FROM audit_events e WHERE e.organization_id = o.id
                  ORDER BY e.timestamp DESC, e.event_id DESC LIMIT 1), ",
            $events,
            " FROM o ",
            $heads,
            " WHERE o.id IS NOT NULL ORDER BY o.id"
        )
    };
}

const WITH_HEADS: &str =
    list_sql!("h.event_count", "LEFT JOIN audit_chain_heads h ON h.organization_id = o.id");
const WITHOUT_HEADS: &str = list_sql!("NULL::bigint", "");

/// All organisations, by id.
///
/// # Errors
/// [`StoreError::NoTable`] when there is no table of events.
pub async fn list(db: &ReadDb, cancel: &CancellationToken) -> Result<Vec<Organization>, StoreError> {
    let rows = db
        .run(cancel, async |c: &mut PgConnection| {
            let heads: bool = sqlx::query_scalar(
                "SELECT coalesce(has_table_privilege(to_regclass('audit_chain_heads'), 'SELECT'), false)",
            )
            .fetch_one(&mut *c)
            .await?;
            sqlx::query(if heads { WITH_HEADS } else { WITHOUT_HEADS }).fetch_all(c).await
        })
        .await?;
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
