//! The secondary indexes of our table: dropped before a bulk load, built after it, restored after an interruption.
//! Their one definition is the migration that makes them.

use super::names::{named, qualified};
use crate::store::connection::Work;
use crate::store::{StoreError, WriteDb};
use std::sync::{Mutex, PoisonError};

const MIGRATIONS: [&str; 2] = [
    include_str!("../../../assets/migrations/0002_indexes.sql"),
    include_str!("../../../assets/migrations/0005_email_index.sql"),
];

/// Name and statement of each index.
pub(super) fn definitions() -> impl Iterator<Item = (&'static str, &'static str)> {
    // Comments may hold a semicolon, but not at the end of a line.
    MIGRATIONS.into_iter().flat_map(|migration| migration.split(";\n")).filter_map(|statement| {
        let (_, after) = statement.split_once("CREATE INDEX ")?;
        Some((after.split_whitespace().next()?, statement))
    })
}

/// Keeps others from dropping or building indexes until it is dropped, also by the end of the program.
///
/// # Errors
/// When the server cannot be reached.
pub(in crate::store) async fn lock_indexes(db: &WriteDb) -> Result<Work, StoreError> {
    db.turn("agenttrace indexes").await
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
    let turn = lock_indexes(db).await?;
    let built = build_indexes(db).await;
    turn.roll_back().await;
    built
}

/// Drops the secondary indexes; the turn must be held.
pub(in crate::store) async fn drop_indexes(db: &WriteDb) -> Result<(), StoreError> {
    let relation = db.relation()?;
    let missing = missing(db).await?;
    let there = definitions().map(|(name, _)| name).filter(|name| missing.iter().all(|(m, _)| m != name));
    let there: Vec<String> = there.map(|name| relation.beside(name)).collect();
    if there.is_empty() {
        return Ok(());
    }
    let mut work = db.begin().await?;
    work.run(format!("DROP INDEX IF EXISTS {}", there.join(", "))).await?;
    Ok(work.commit().await?)
}

/// Builds what is missing, two at a time where the table is in one piece; the turn must be held.
pub(in crate::store) async fn build_indexes(db: &WriteDb) -> Result<Vec<&'static str>, StoreError> {
    let mut missing = missing(db).await?;
    // The one that takes longest first, so that the others are built beside it.
    missing.sort_by_key(|(_, statement)| !statement.contains("USING GIN"));
    let names = missing.iter().map(|(name, _)| *name).collect();
    let queue = Mutex::new(missing.into_iter());
    let relation = db.relation()?;
    let mut work = db.begin().await?;
    let schema = named(&mut work, &relation.schema).await?;
    // The server names the indexes of partitions itself, and gives two that it builds at once the same name.
    let partitioned: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_partitioned_table WHERE partrelid = to_regclass($1))",
    )
    .bind(relation.sql())
    .fetch_one(&mut *work)
    .await?;
    work.commit().await?;
    if partitioned {
        build(db, &schema, &queue).await?;
    } else {
        tokio::try_join!(build(db, &schema, &queue), build(db, &schema, &queue))?;
    }
    Ok(names)
}

async fn build(
    db: &WriteDb,
    schema: &str,
    queue: &Mutex<impl Iterator<Item = (&'static str, &'static str)>>,
) -> Result<(), StoreError> {
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    while let Some((_, statement)) = next() {
        let mut work = db.begin().await?;
        work.run(qualified(statement, schema)).await?;
        work.commit().await?;
    }
    Ok(())
}

async fn missing(db: &WriteDb) -> Result<Vec<(&'static str, &'static str)>, StoreError> {
    let relation = db.relation()?;
    let mut work = db.begin().await?;
    let there: Vec<String> = sqlx::query_scalar(
        "SELECT i.relname::text FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid \
         WHERE x.indrelid = to_regclass($1)",
    )
    .bind(relation.sql())
    .fetch_all(&mut *work)
    .await?;
    work.commit().await?;
    Ok(definitions().filter(|(name, _)| !there.iter().any(|there| there == name)).collect())
}

/// Statistics for the planner, and the visibility map for index-only scans, after a bulk load.
pub(in crate::store) async fn settle(db: &WriteDb) -> Result<(), StoreError> {
    db.run_alone(format!("VACUUM (ANALYZE) {}", db.relation()?.sql())).await
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
