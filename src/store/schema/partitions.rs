//! The months of a table in layout `monthly`.

use crate::domain::Timestamp;
use crate::store::connection::Link;
use crate::store::row::SqlTime;
use crate::store::{ReadDb, StoreError, WriteDb};
use serde::Serialize;
use sqlx::Row as _;
use tokio_util::sync::CancellationToken;

/// Months that are made ahead unless told otherwise.
pub const AHEAD: u32 = 3;

/// A partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Partition {
    /// Its name.
    pub name: String,
    /// What it holds, as PostgreSQL prints it.
    pub bounds: String,
    /// First instant behind it, for a range of times.
    pub until: Option<Timestamp>,
    /// Rows by the planner's statistics; `None` before the first ANALYZE.
    pub estimated_rows: Option<i64>,
    /// Bytes with indexes and out-of-line values.
    pub bytes: i64,
    /// It is being detached and was left half-way: `ALTER TABLE … DETACH PARTITION … FINALIZE` ends that.
    pub detach_pending: bool,
}

/// The partitions of the table, in the order of their bounds.
///
/// # Errors
/// [`StoreError`].
pub async fn list(db: &ReadDb, cancel: &CancellationToken) -> Result<Vec<Partition>, StoreError> {
    let relation = db.relation(cancel).await?;
    let rows = db
        .run(cancel, async |c: &mut Link| {
            sqlx::query(
                "SELECT c.relname::text, pg_get_expr(c.relpartbound, c.oid),
                    CASE WHEN p.partstrat = 'r' THEN
                        substring(pg_get_expr(c.relpartbound, c.oid) FROM 'TO \\(''([^'']+)''\\)$')::timestamptz END,
                    CASE WHEN c.reltuples >= 0 THEN c.reltuples::int8 END, pg_total_relation_size(c.oid),
                    i.inhdetachpending
                 FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
                     JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = i.inhparent
                 WHERE i.inhparent = to_regclass($1) ORDER BY 3 NULLS FIRST, 1",
            )
            .bind(relation.named())
            .fetch_all(c)
            .await
        })
        .await?;
    rows.iter()
        .map(|row| {
            Ok(Partition {
                name: row.try_get(0)?,
                bounds: row.try_get(1)?,
                until: row.try_get::<Option<SqlTime>, _>(2)?.map(|time| time.0),
                estimated_rows: row.try_get(3)?,
                bytes: row.try_get(4)?,
                detach_pending: row.try_get(5)?,
            })
        })
        .collect()
}

/// Makes the partitions of this month and so many ahead, beside readers and writers; returns those that are there now,
/// none in other layouts than `monthly`.
///
/// # Errors
/// When the server refuses.
pub async fn ensure(db: &WriteDb, ahead: u32) -> Result<Vec<String>, StoreError> {
    let relation = db.relation()?;
    let mut work = db.begin().await?;
    let made: Vec<Option<String>> = sqlx::query_scalar(relation.name_in(
        "SELECT {schema}.agenttrace_ensure_partition((date_trunc('month', now() AT TIME ZONE 'UTC') \
             + make_interval(months => n)) AT TIME ZONE 'UTC') FROM generate_series(0, $1) n ORDER BY n",
    ))
    .bind(i32::try_from(ahead.min(1200)).unwrap_or(1200))
    .fetch_all(&mut *work)
    .await?;
    work.commit().await?;
    Ok(made.into_iter().flatten().collect())
}
