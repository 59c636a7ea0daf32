//! Roles, ownership, grants and row-level security: who may do what in a database with our schema.

use super::migrate_error;
use crate::store::{StoreError, WriteDb};
use serde::Serialize;
#[expect(
    clippy::disallowed_types,
    reason = "our own statements with the name of a schema, quoted by the server"
)]
use sqlx::AssertSqlSafe;
use sqlx::migrate::Migrate as _;
use sqlx::{Connection as _, PgConnection, Row as _};

const ROLES: &str = include_str!("../../../assets/roles.sql");
const ROW_SECURITY: &str = include_str!("../../../assets/rls.sql");

/// What [`protect`] puts in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protection {
    /// The roles `agenttrace_owner`, `_reader`, `_writer` and `_maintainer`, ownership, grants.
    Roles,
    /// The roles, and row-level security over the organisations.
    RowSecurity,
}

/// Puts roles, and row-level security if asked for or in force already, in force. May be called again at any time, by
/// several programs at once. All of it happens in one transaction.
///
/// # Errors
/// When the role may not make roles or does not own the tables, and when somebody holds a table for five seconds.
pub async fn protect(db: &WriteDb, wanted: Protection) -> Result<(), StoreError> {
    // Dropped when it fails, which ends its transaction and gives back the lock.
    let mut connection = db.pool().acquire().await?.detach();
    connection.lock().await.map_err(migrate_error)?;
    let mut transaction = connection.begin().await?;
    let protection = in_force(&mut transaction).await?.map_or(wanted, |now| now.max(wanted));
    apply(&mut transaction, protection).await?;
    transaction.commit().await?;
    connection.unlock().await.map_err(migrate_error)?;
    Ok(connection.close().await?)
}

/// Puts in force for new objects what is in force for the others. Returns whether there was anything in force.
///
/// # Errors
/// As [`protect`].
pub(super) async fn renew(db: &WriteDb) -> Result<bool, StoreError> {
    let protection = in_force(&mut *db.pool().acquire().await?).await?;
    if let Some(protection) = protection {
        protect(db, protection).await?;
    }
    Ok(protection.is_some())
}

/// What is in force, by the table of the chains' heads: `audit_events` itself may just have been exchanged.
pub(super) async fn in_force(c: &mut PgConnection) -> Result<Option<Protection>, StoreError> {
    let found: Option<bool> = sqlx::query_scalar(
        "SELECT relrowsecurity FROM pg_class \
         WHERE oid = to_regclass('audit_chain_heads') AND pg_get_userbyid(relowner) = 'agenttrace_owner'",
    )
    .fetch_optional(c)
    .await?;
    Ok(found.map(|row_security| if row_security { Protection::RowSecurity } else { Protection::Roles }))
}

/// Runs the statements; in a transaction, for which they set things.
pub(super) async fn apply(c: &mut PgConnection, protection: Protection) -> Result<(), StoreError> {
    let schema = schema(c).await?;
    let scripts: &[&str] = match protection {
        Protection::Roles => &[ROLES],
        Protection::RowSecurity => &[ROLES, ROW_SECURITY],
    };
    for script in scripts {
        let statements = AssertSqlSafe(script.replace("{schema}", &schema));
        sqlx::raw_sql(statements).execute(&mut *c).await.map_err(refused)?;
    }
    Ok(())
}

/// The schema of our table, quoted where it has to be.
async fn schema(c: &mut PgConnection) -> Result<String, StoreError> {
    let name: String = sqlx::query_scalar(
        "SELECT quote_ident(n.nspname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.oid = to_regclass('audit_events')",
    )
    .fetch_optional(c)
    .await?
    .ok_or(StoreError::NoTable)?;
    // It gets into function bodies and literals, too, for which it is not quoted.
    if name.chars().all(|c| c.is_alphanumeric() || "_-. \"".contains(c)) {
        Ok(name)
    } else {
        Err(StoreError::Other(format!("the schema's name {name} has characters that cannot be used here")))
    }
}

fn refused(error: sqlx::Error) -> StoreError {
    let state = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    match state.as_deref() {
        Some("42501") => StoreError::Other(format!(
            "{error}; roles and ownership take a superuser, or the owner of the database and its tables with CREATEROLE"
        )),
        Some("55P03") => StoreError::Other(format!(
            "{error}; a session holds a table of the trail, try again when it has ended"
        )),
        _ => error.into(),
    }
}

/// Who may do what. Part of what `db status` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Access {
    /// The role that `audit_events` belongs to.
    pub owner: String,
    /// The roles are in force: the table belongs to `agenttrace_owner`.
    pub roles: bool,
    /// Row-level security is in force for the table.
    pub row_security: bool,
    /// It confines the role that asks.
    pub confined: bool,
    /// The organisations granted to the role that asks, where it is confined.
    pub organizations: Option<u64>,
}

/// Looks at what is in force for `audit_events`, which must be there.
pub(super) async fn look(c: &mut PgConnection) -> Result<Access, sqlx::Error> {
    let row = sqlx::query(
        "SELECT pg_get_userbyid(c.relowner)::text AS owner, c.relrowsecurity AS row_security, \
                row_security_active(c.oid) AS confined, to_regproc('agenttrace_organizations') IS NOT NULL AS ours \
         FROM pg_class c WHERE c.oid = to_regclass('audit_events')",
    )
    .fetch_one(&mut *c)
    .await?;
    let owner: String = row.try_get("owner")?;
    let confined = row.try_get("confined")?;
    let organizations = if confined && row.try_get("ours")? {
        let granted: i64 =
            sqlx::query_scalar("SELECT cardinality(agenttrace_organizations())::int8").fetch_one(c).await?;
        Some(granted.unsigned_abs())
    } else {
        None
    };
    Ok(Access {
        roles: owner == "agenttrace_owner",
        owner,
        row_security: row.try_get("row_security")?,
        confined,
        organizations,
    })
}

/// What contradicts the roles that are in force, in words.
pub(super) async fn contradictions(c: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
    // Privileges by way of PUBLIC and of other roles count.
    sqlx::query_scalar(
        "WITH rows AS (
             SELECT c.oid, c.relname, c.relowner, c.relkind, c.relrowsecurity FROM pg_class c
             WHERE c.oid IN (SELECT relid FROM pg_partition_tree('audit_events'))
                OR c.oid IN (to_regclass('audit_events'), to_regclass('audit_chain_heads'),
                             to_regclass('audit_archive_segments'), to_regclass('audit_daily_summary')))
         SELECT format('the relation %s belongs to %s, not to agenttrace_owner', relname, pg_get_userbyid(relowner))
         FROM rows WHERE pg_get_userbyid(relowner) <> 'agenttrace_owner'
         UNION ALL
         SELECT format('the role %s may %s the relation %s', r.rolname, p, relname)
         FROM rows, pg_roles r, unnest(ARRAY['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) p
         WHERE r.rolname IN ('agenttrace_reader', 'agenttrace_writer') AND has_table_privilege(r.oid, rows.oid, p)
           AND NOT (r.rolname = 'agenttrace_writer'
                    AND (relname = 'audit_events' AND p = 'INSERT'
                         OR relname = 'audit_chain_heads' AND p IN ('INSERT', 'UPDATE')))
         UNION ALL
         SELECT format('the role %s is a superuser or may log in', rolname)
         FROM pg_roles WHERE rolname = 'agenttrace_owner' AND (rolcanlogin OR rolsuper)
         UNION ALL
         SELECT format('the relation %s shows every organisation, in spite of row-level security', relname)
         FROM rows, pg_roles r
         WHERE r.rolname = 'agenttrace_reader' AND NOT relrowsecurity AND has_table_privilege(r.oid, rows.oid, 'SELECT')
           AND (SELECT relrowsecurity FROM rows WHERE oid = to_regclass('audit_events'))
         ORDER BY 1",
    )
    .fetch_all(c)
    .await
}
