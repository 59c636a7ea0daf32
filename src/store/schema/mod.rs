//! Migrations and the state of the schema.

pub mod grants;
mod indexes;
mod layout;
pub mod partitions;
mod roles;
mod status;

pub use indexes::ensure_indexes;
pub(super) use indexes::{build_indexes, drop_indexes, lock_indexes, settle};
pub use layout::{Step, change_layout};
pub use roles::{Access, Protection, protect};
pub use status::{Guard, Index, Layout, LayoutChange, Origin, Status, Table, status};

use super::{StoreError, WriteDb};
use sqlx::PgConnection;
use sqlx::migrate::{Migrate as _, MigrateError, Migration, Migrator};

static MIGRATOR: Migrator = sqlx::migrate!("assets/migrations");
/// Makes the view of days.
const DAILY_SUMMARY: &str = include_str!("../../../assets/migrations/0003_daily_summary.sql");
const MIGRATIONS_TABLE: &str = "_sqlx_migrations";

/// Brings the database to the newest schema. Returns what was done now: the migrations, as `version description`, and
/// the indexes that were missing, as `index name`; `roles` where they are in force and new objects came under them.
///
/// Several programs may call it at once: the first one works, the others wait and find nothing left to do.
///
/// # Errors
/// When a migration fails, or the table `audit_events` is somebody else's.
pub async fn migrate(db: &WriteDb) -> Result<Vec<String>, StoreError> {
    // Not from the pool's stock afterwards: when a migration fails the connection still holds the advisory lock,
    // which goes away with it.
    let mut connection = db.pool().acquire().await?.detach();
    connection.lock().await.map_err(migrate_error)?;
    let before = applied(&mut connection).await?;
    if before.is_empty() {
        refuse_unfit(&mut connection).await?;
    }
    // Not `run`, whose future the compiler cannot prove to be `Send`.
    MIGRATOR.run_direct(None, &mut connection, false).await.map_err(migrate_error)?;
    sqlx::Connection::close(connection).await?;
    let mut done: Vec<String> = MIGRATOR.iter().filter(|m| !before.contains(&m.version)).map(title).collect();
    done.extend(ensure_indexes(db).await?.into_iter().map(|name| format!("index {name}")));
    if !done.is_empty() && roles::renew(db).await? {
        done.push("roles".to_owned());
    }
    Ok(done)
}

/// Computes `audit_daily_summary` anew; its readers see the old state until it is done.
///
/// # Errors
/// When the view is not there, or the server refuses.
pub async fn refresh_summary(db: &WriteDb) -> Result<(), StoreError> {
    let refresh = sqlx::raw_sql("REFRESH MATERIALIZED VIEW CONCURRENTLY audit_daily_summary");
    refresh.execute(db.pool()).await.map(drop).map_err(|error| {
        match error.as_database_error().and_then(sqlx::error::DatabaseError::code).as_deref() {
            Some("42501") => StoreError::Other(format!(
                "{error}; the view is refreshed by its owner: connect (writer_url) as a member of agenttrace_owner, or \
                 GRANT agenttrace_owner TO the role that runs this"
            )),
            Some("42P01") => StoreError::Other(
                "this database has no view audit_daily_summary: agenttrace db migrate makes it".to_owned(),
            ),
            _ => error.into(),
        }
    })
}

/// A migration as people see it.
fn title(migration: &Migration) -> String {
    format!("{:04} {}", migration.version, migration.description)
}

/// Versions of our migrations that the database has.
async fn applied(connection: &mut PgConnection) -> Result<Vec<i64>, StoreError> {
    let table: bool = sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL")
        .fetch_one(&mut *connection)
        .await?;
    if !table {
        return Ok(Vec::new());
    }
    let rows = connection.list_applied_migrations(MIGRATIONS_TABLE).await.map_err(migrate_error)?;
    Ok(rows.into_iter().map(|m| m.version).collect())
}

/// Refuses a database in which our schema cannot or must not be made.
async fn refuse_unfit(connection: &mut PgConnection) -> Result<(), StoreError> {
    let (foreign, version, encoding): (bool, i32, String) = sqlx::query_as(
        "SELECT to_regclass('audit_events') IS NOT NULL, current_setting('server_version_num')::int, \
                current_setting('server_encoding')",
    )
    .fetch_one(&mut *connection)
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

fn migrate_error(error: MigrateError) -> StoreError {
    match error {
        MigrateError::Execute(e) | MigrateError::ExecuteMigration(e, _) => e.into(),
        MigrateError::VersionMissing(version) => StoreError::Other(format!(
            "the database has migration {version}, which this program does not know: it was made by a newer version, or \
             by another program that keeps its migrations in the same schema"
        )),
        other => StoreError::Other(format!("the schema cannot be migrated: {other}")),
    }
}
