//! Roles, ownership, grants and row-level security: who may do what in a database with our schema.

use super::names::{TURN, named};
use crate::store::connection::{Link, Relation};
use crate::store::{StoreError, WriteDb};
use serde::Serialize;
use sqlx::{Postgres, QueryBuilder, Row as _};

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
    let relation = db.relation()?;
    let mut work = db.begin().await?;
    work.lock_turn(TURN).await?;
    let protection = in_force(&mut work, &relation).await?.map_or(wanted, |now| now.max(wanted));
    apply(&mut work, &relation, protection).await?;
    Ok(work.commit().await?)
}

/// Puts in force for new objects what is in force for the others. Returns whether there was anything in force.
///
/// # Errors
/// As [`protect`].
pub(super) async fn renew(db: &WriteDb) -> Result<bool, StoreError> {
    let mut work = db.begin().await?;
    let protection = in_force(&mut work, &*db.relation()?).await?;
    work.commit().await?;
    if let Some(protection) = protection {
        protect(db, protection).await?;
    }
    Ok(protection.is_some())
}

/// What is in force, by the table of the chains' heads: `audit_events` itself may just have been exchanged.
pub(super) async fn in_force(c: &mut Link, relation: &Relation) -> Result<Option<Protection>, StoreError> {
    let found: Option<bool> = sqlx::query_scalar(
        "SELECT relrowsecurity FROM pg_catalog.pg_class \
         WHERE oid = to_regclass($1) AND pg_get_userbyid(relowner) = 'agenttrace_owner'",
    )
    .bind(relation.beside("audit_chain_heads"))
    .fetch_optional(c)
    .await?;
    Ok(found.map(|row_security| if row_security { Protection::RowSecurity } else { Protection::Roles }))
}

/// Runs the statements; in a transaction, for which they set things.
pub(super) async fn apply(
    c: &mut Link,
    relation: &Relation,
    protection: Protection,
) -> Result<(), StoreError> {
    let schema = named(c, &relation.schema).await?;
    let scripts: &[&str] = match protection {
        Protection::Roles => &[ROLES],
        Protection::RowSecurity => &[ROLES, ROW_SECURITY],
    };
    for script in scripts {
        c.run(script.replace("{schema}", &schema)).await.map_err(refused)?;
    }
    Ok(())
}

fn refused(error: sqlx::Error) -> StoreError {
    let state = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    match state.as_deref() {
        Some("42501") => StoreError::Other(format!(
            "{}; roles and ownership take a superuser, or the owner of the database and its tables with CREATEROLE",
            crate::store::said(&error)
        )),
        Some("55P03") => StoreError::Other(format!(
            "{}; a session holds a table of the trail, try again when it has ended",
            crate::store::said(&error)
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
pub(super) async fn look(c: &mut Link, relation: &Relation) -> Result<Access, sqlx::Error> {
    let organizations = relation.beside("agenttrace_organizations");
    let row = sqlx::query(
        "SELECT pg_get_userbyid(c.relowner)::text AS owner, c.relrowsecurity AS row_security, \
                row_security_active(c.oid) AS confined, \
                EXISTS (SELECT FROM pg_proc p WHERE p.oid = to_regproc($2) AND p.proowner = c.relowner) AS ours \
         FROM pg_class c WHERE c.oid = to_regclass($1)",
    )
    .bind(relation.named())
    .bind(&organizations)
    .fetch_one(&mut *c)
    .await?;
    let owner: String = row.try_get("owner")?;
    let confined = row.try_get("confined")?;
    let organizations = if confined && row.try_get("ours")? {
        let granted: i64 =
            QueryBuilder::<Postgres>::new(format!("SELECT cardinality({organizations}())::int8"))
                .build_query_scalar()
                .fetch_one(c)
                .await?;
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
pub(super) async fn contradictions(c: &mut Link, relation: &Relation) -> Result<Vec<String>, sqlx::Error> {
    // Privileges by way of PUBLIC and of other roles count.
    sqlx::query_scalar(
        "WITH rows AS (
             SELECT c.oid, c.relname, c.relowner, c.relkind, c.relrowsecurity FROM pg_class c
             WHERE c.oid IN (SELECT relid FROM pg_partition_tree(to_regclass($1)))
                OR c.oid IN (to_regclass($1), to_regclass($2), to_regclass($3), to_regclass($4)))
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
           AND (SELECT relrowsecurity FROM rows WHERE oid = to_regclass($1))
         ORDER BY 1",
    )
    .bind(relation.named())
    .bind(relation.beside("audit_chain_heads"))
    .bind(relation.beside("audit_archive_segments"))
    .bind(relation.beside("audit_daily_summary"))
    .fetch_all(c)
    .await
}
