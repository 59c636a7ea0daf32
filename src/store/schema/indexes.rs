//! The secondary indexes of our table: dropped before a bulk load, built after it, restored after an interruption.
//! Their one definition is the migration that makes them.

use crate::store::{StoreError, WriteDb};
#[expect(clippy::disallowed_types, reason = "DROP INDEX with the names of our own migration")]
use sqlx::AssertSqlSafe;
use sqlx::{Connection as _, PgConnection};
use std::sync::{Mutex, PoisonError};

const MIGRATIONS: [&str; 2] = [
    include_str!("../../../assets/migrations/0002_indexes.sql"),
    include_str!("../../../assets/migrations/0005_email_index.sql"),
];
/// Key of the advisory lock under which they are dropped and built ("agenttra" in ASCII).
const LOCK: i64 = 0x6167_656e_7474_7261;

/// Name and statement of each index.
pub(super) fn definitions() -> impl Iterator<Item = (&'static str, &'static str)> {
    // Comments may hold a semicolon, but not at the end of a line.
    MIGRATIONS.into_iter().flat_map(|migration| migration.split(";\n")).filter_map(|statement| {
        let (_, after) = statement.split_once("CREATE INDEX ")?;
        Some((after.split_whitespace().next()?, statement))
    })
}

/// Waits until no other program drops or builds indexes, and keeps others waiting until the connection is closed (also
/// by the end of the program).
///
/// # Errors
/// When the server cannot be reached.
pub(in crate::store) async fn lock_indexes(db: &WriteDb) -> Result<PgConnection, StoreError> {
    let mut connection = db.pool().acquire().await?.detach();
    sqlx::query("SELECT pg_advisory_lock($1)").bind(LOCK).execute(&mut connection).await?;
    Ok(connection)
}

/// Builds the secondary indexes that are missing, as after a bulk load that was cut off, and returns their names. Waits
/// for a bulk load that is under way.
///
/// # Errors
/// When one cannot be built.
pub async fn ensure_indexes(db: &WriteDb) -> Result<Vec<&'static str>, StoreError> {
    if missing(db).await?.is_empty() {
        return Ok(Vec::new());
    }
    let lock = lock_indexes(db).await?;
    let built = build_indexes(db).await;
    lock.close().await?;
    built
}

/// Drops the secondary indexes; the lock must be held.
pub(in crate::store) async fn drop_indexes(db: &WriteDb) -> Result<(), StoreError> {
    let names: Vec<_> = definitions().map(|(name, _)| name).collect();
    let statement = format!("DROP INDEX IF EXISTS {}", names.join(", "));
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(db.pool()).await?;
    Ok(())
}

/// Builds what is missing, two at a time where the table is in one piece; the lock must be held.
pub(in crate::store) async fn build_indexes(db: &WriteDb) -> Result<Vec<&'static str>, StoreError> {
    let mut missing = missing(db).await?;
    // The one that takes longest first, so that the others are built beside it.
    missing.sort_by_key(|(_, statement)| !statement.contains("USING GIN"));
    let names = missing.iter().map(|(name, _)| *name).collect();
    let queue = Mutex::new(missing.into_iter());
    // The server names the indexes of partitions itself, and gives two that it builds at once the same name.
    let partitioned: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM pg_partitioned_table WHERE partrelid = to_regclass('audit_events'))",
    )
    .fetch_one(db.pool())
    .await?;
    if partitioned {
        build(db, &queue).await?;
    } else {
        tokio::try_join!(build(db, &queue), build(db, &queue))?;
    }
    Ok(names)
}

async fn build(
    db: &WriteDb,
    queue: &Mutex<impl Iterator<Item = (&'static str, &'static str)>>,
) -> Result<(), StoreError> {
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    while let Some((_, statement)) = next() {
        sqlx::raw_sql(statement).execute(db.pool()).await?;
    }
    Ok(())
}

async fn missing(db: &WriteDb) -> Result<Vec<(&'static str, &'static str)>, StoreError> {
    let names: Vec<_> = definitions().map(|(name, _)| name).collect();
    let missing: Vec<String> =
        sqlx::query_scalar("SELECT name FROM unnest($1::text[]) name WHERE to_regclass(name) IS NULL")
            .bind(&names)
            .fetch_all(db.pool())
            .await?;
    Ok(definitions().filter(|(name, _)| missing.iter().any(|m| m == name)).collect())
}

/// Statistics for the planner, and the visibility map for index-only scans, after a bulk load.
pub(in crate::store) async fn settle(db: &WriteDb) -> Result<(), StoreError> {
    sqlx::raw_sql("VACUUM (ANALYZE) audit_events").execute(db.pool()).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_index_of_the_migration_is_found() {
        let names: Vec<_> = definitions().map(|(name, _)| name).collect();
        assert_eq!(names.len(), MIGRATIONS.concat().matches("CREATE INDEX").count());
        assert!(names.iter().all(|n| n.starts_with("idx_audit_")), "{names:?}");
        for (name, statement) in definitions() {
            let code: Vec<_> = statement.lines().filter(|l| !l.starts_with("--") && !l.is_empty()).collect();
            assert!(code[0].starts_with(&format!("CREATE INDEX {name}")), "{statement}");
        }
    }
}
