//! The organisations a table holds.

use crate::domain::{OrgId, Timestamp};
use crate::store::connection::Link;
use crate::store::row::SqlTime;
use crate::store::{ReadDb, StoreError, within};
use sqlx::postgres::PgRow;
use sqlx::{Postgres, QueryBuilder, Row as _};
use std::time::Duration;
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
        (SELECT organization_id FROM {table} ORDER BY organization_id LIMIT 1)
        UNION ALL
        SELECT (SELECT e.organization_id FROM {table} e WHERE e.organization_id > o.id
                ORDER BY e.organization_id LIMIT 1)
        FROM o WHERE o.id IS NOT NULL),
    found (id, newest) AS (
        SELECT o.id, (SELECT e.timestamp FROM {table} e WHERE e.organization_id = o.id
                      ORDER BY e.timestamp DESC LIMIT 1)
        FROM o WHERE o.id IS NOT NULL) ";

/// Without an index that begins with the organisation: one pass over the table.
const BY_SCAN: &str = "WITH found (id, newest) AS (
        SELECT organization_id, max(timestamp) FROM {table} GROUP BY organization_id) ";

const WITH_HEADS: &str = "SELECT found.id, found.newest, h.event_count
    FROM found LEFT JOIN {heads} h ON h.organization_id = found.id COLLATE \"C\" ORDER BY found.id";

const WITHOUT_HEADS: &str = "SELECT found.id, found.newest, NULL::bigint FROM found ORDER BY found.id";

/// All organisations, by id.
///
/// # Errors
/// [`StoreError::NoTable`] when there is no table of events, [`StoreError::NothingGranted`] when row-level security shows
/// the role nothing of it.
pub async fn list(db: &ReadDb, cancel: &CancellationToken) -> Result<Vec<Organization>, StoreError> {
    let capabilities = db.capabilities(cancel).await?;
    let by_index = capabilities.time_index().is_some() || !capabilities.is_table();
    let found = if by_index { BY_INDEX } else { BY_SCAN };
    let mut sql = QueryBuilder::<Postgres>::new(found.replace("{table}", capabilities.relation.sql()));
    match &capabilities.chain_heads {
        Some(heads) => sql.push(WITH_HEADS.replace("{heads}", heads)),
        None => sql.push(WITHOUT_HEADS),
    };
    let rows = db.run(cancel, async |c: &mut Link| sql.build().fetch_all(c).await).await?;
    if rows.is_empty() && capabilities.row_security {
        return Err(StoreError::NothingGranted);
    }
    rows.iter().filter_map(|row| organization(row).transpose()).collect()
}

/// The organisations of which the database's own record of heads says that they have events, by id; none where there is
/// no such record, or the role may not read it.
///
/// # Errors
/// [`StoreError`].
pub async fn recorded(db: &ReadDb, cancel: &CancellationToken) -> Result<Vec<OrgId>, StoreError> {
    let Some(heads) = db.capabilities(cancel).await?.chain_heads.clone() else { return Ok(Vec::new()) };
    let mut sql = QueryBuilder::<Postgres>::new("SELECT organization_id::text FROM ");
    sql.push(heads).push(" WHERE hash <> '' ORDER BY organization_id");
    let rows =
        db.run(cancel, async |c: &mut Link| sql.build_query_scalar::<String>().fetch_all(c).await).await?;
    Ok(rows.into_iter().filter_map(|id| OrgId::new(id).ok()).collect())
}

/// How many rows belong to no organisation that can be named: with an empty id, or without one. No list shows them, and
/// no verification reads them.
///
/// # Errors
/// [`StoreError`].
pub async fn unnamed(db: &ReadDb, cancel: &CancellationToken) -> Result<u64, StoreError> {
    let capabilities = db.capabilities(cancel).await?;
    let nullable = capabilities.columns.iter().any(|c| c.name == "organization_id" && !c.not_null);
    let mut sql = QueryBuilder::<Postgres>::new("SELECT count(*) FROM ");
    sql.push(capabilities.relation.sql()).push(" WHERE organization_id = ''");
    if nullable {
        sql.push(" OR organization_id IS NULL");
    }
    let count: i64 = db.run(cancel, async |c: &mut Link| sql.build_query_scalar().fetch_one(c).await).await?;
    Ok(count.unsigned_abs())
}

/// As [`unnamed`], for a look in passing: `None` where it cannot be told, since the role may not read the events or the
/// answer takes longer than `budget`, as in a large table without an index.
///
/// # Errors
/// [`StoreError`] of a server that does not answer.
pub async fn unnamed_within(
    db: &ReadDb,
    budget: Duration,
    cancel: &CancellationToken,
) -> Result<Option<u64>, StoreError> {
    match within(budget, cancel, |stop| async move { unnamed(db, &stop).await }).await {
        Err(StoreError::Database(error)) if error.as_database_error().is_some() => Ok(None),
        answer => answer,
    }
}

/// What is said of such rows.
pub fn unnamed_in_words(events: u64) -> String {
    format!(
        "{events} events belong to no organisation that can be named (organization_id is empty or NULL): no list shows them \
         and no verification reads them"
    )
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
