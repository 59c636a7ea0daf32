//! The migrations, and how they are run: each name with its schema, and nothing but PostgreSQL's own in the path.

use super::names::{TURN, named, qualified};
use super::{ensure_indexes, guard, roles};
use crate::store::connection::{Link, beside};
use crate::store::migrations::{MIGRATOR, title};
use crate::store::{StoreError, WriteDb};
#[expect(clippy::disallowed_types, reason = "the record of migrations, by the name of its schema")]
use sqlx::AssertSqlSafe;
use sqlx::migrate::Migration;
use std::borrow::Cow;
use std::time::Instant;

/// Where it is recorded which were run, with the columns that sqlx gave it in older programs.
const RECORD: &str = "_sqlx_migrations";

/// Brings the database to the newest schema. Returns what was done now: the migrations, as `version description`, and
/// the indexes that were missing, as `index name`; triggers of the guard that were missing, disabled or altered, as
/// `guard name`; `roles` where they are in force and new objects came under them.
///
/// Several programs may call it at once: the first one works, the others wait and find nothing left to do. All that is
/// missing is run in one transaction.
///
/// # Errors
/// When a migration fails, or the table `audit_events` is somebody else's.
pub async fn migrate(db: &WriteDb) -> Result<Vec<String>, StoreError> {
    let home = db.home()?;
    let mut work = db.begin().await?;
    let record = beside(&home, RECORD);
    work.lock_turn(TURN).await?;
    let before = applied(&mut work, &home, &record).await?;
    if before.is_empty() {
        refuse_unfit(&mut work, &home).await?;
    }
    let pending: Vec<&Migration> = MIGRATOR.iter().filter(|m| !before.contains(&m.version)).collect();
    for migration in &pending {
        let begun = Instant::now();
        let schema = named(&mut work, &home).await?;
        work.run(qualified(migration.sql.as_str(), &schema)).await?;
        let insert = format!(
            "INSERT INTO {record} (version, description, success, checksum, execution_time) VALUES ($1, $2, TRUE, $3, $4)"
        );
        sqlx::query(AssertSqlSafe(insert))
            .bind(migration.version)
            .bind(&*migration.description)
            .bind(&*migration.checksum)
            .bind(i64::try_from(begun.elapsed().as_nanos()).unwrap_or(i64::MAX))
            .execute(&mut *work)
            .await?;
    }
    work.commit().await?;
    db.find().await?;
    let mut done: Vec<String> = pending.into_iter().map(title).collect();
    done.extend(ensure_indexes(db).await?.into_iter().map(|name| format!("index {name}")));
    done.extend(guard::restore(db).await?);
    if !done.is_empty() && roles::renew(db).await? {
        done.push("roles".to_owned());
    }
    Ok(done)
}

/// Versions of the migrations that the database has; the record of them is made where there is none.
async fn applied(c: &mut Link, home: &str, record: &str) -> Result<Vec<i64>, StoreError> {
    // What others have put there could run code of theirs.
    let foreign: Option<String> = sqlx::query_scalar(
        "SELECT o.rolname::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_roles o ON o.oid = c.relowner
         WHERE c.oid = to_regclass($1) AND NOT o.rolsuper AND o.rolname NOT IN (current_user, 'agenttrace_owner')
             AND o.oid IS DISTINCT FROM (SELECT e.relowner FROM pg_catalog.pg_class e WHERE e.oid = to_regclass($2))",
    )
    .bind(record)
    .bind(beside(home, "audit_events"))
    .fetch_optional(&mut *c)
    .await?;
    if let Some(owner) = foreign {
        return Err(StoreError::Other(format!(
            "the table {RECORD}, in which migrations are recorded, belongs to {}, who has no part in this: drop it",
            owner.escape_debug()
        )));
    }
    c.run(format!(
        "CREATE TABLE IF NOT EXISTS {record} (version BIGINT PRIMARY KEY, description TEXT NOT NULL, \
         installed_on TIMESTAMPTZ NOT NULL DEFAULT now(), success BOOLEAN NOT NULL, checksum BYTEA NOT NULL, \
         execution_time BIGINT NOT NULL)"
    ))
    .await?;
    let select = format!("SELECT version, checksum, success FROM {record} ORDER BY version");
    let rows: Vec<(i64, Vec<u8>, bool)> = sqlx::query_as(AssertSqlSafe(select)).fetch_all(c).await?;
    for (version, checksum, success) in &rows {
        let ours = MIGRATOR.iter().find(|m| m.version == *version);
        let wrong: Option<Cow<'_, str>> = match ours {
            None => Some(
                format!(
                    "the database has migration {version}, which this program does not know: it was made by a newer \
                     version, or by another program that keeps its migrations in the same schema"
                )
                .into(),
            ),
            Some(ours) if *ours.checksum != **checksum => Some(
                format!(
                    "the schema cannot be migrated: the database's migration {version} is another one than this program's"
                )
                .into(),
            ),
            Some(_) if !success => {
                Some(format!("the schema cannot be migrated: migration {version} was left half-way").into())
            }
            Some(_) => None,
        };
        if let Some(wrong) = wrong {
            return Err(StoreError::Other(wrong.into_owned()));
        }
    }
    Ok(rows.into_iter().map(|(version, ..)| version).collect())
}

/// Refuses a database in which our schema cannot or must not be made.
async fn refuse_unfit(c: &mut Link, home: &str) -> Result<(), StoreError> {
    let (foreign, version, encoding): (bool, i32, String) = sqlx::query_as(
        "SELECT to_regclass($1) IS NOT NULL, current_setting('server_version_num')::int, \
                current_setting('server_encoding')",
    )
    .bind(beside(home, "audit_events"))
    .fetch_one(c)
    .await?;
    if foreign {
        return Err(StoreError::ForeignTable);
    }
    if version < 150_000 {
        return Err(StoreError::Other(format!(
            "the server is PostgreSQL {}, the schema needs 15 or newer",
            version / 10_000
        )));
    }
    if encoding != "UTF8" {
        return Err(StoreError::Other(format!(
            "the database's encoding is {encoding}, the schema needs UTF8 (CREATE DATABASE … ENCODING 'UTF8' TEMPLATE \
             template0)"
        )));
    }
    Ok(())
}
