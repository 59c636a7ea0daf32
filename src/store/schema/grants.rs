//! Which organisations a role sees under row-level security: the rows of `agenttrace_grants`.

use crate::domain::OrgId;
use crate::store::{StoreError, WriteDb};
use serde::Serialize;

/// A row of `agenttrace_grants`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct Grant {
    /// The role; those that are members of it see the organisation too.
    #[sqlx(rename = "role_name")]
    pub role: String,
    /// The organisation.
    pub organization_id: String,
    /// Who granted it.
    pub granted_by: String,
    /// When, in RFC 3339.
    pub granted_at: String,
    /// There is such a role: else nobody sees anything by it.
    pub role_exists: bool,
}

/// All of them, by role.
///
/// # Errors
/// When row-level security is not in force, and when the role is not a member of `agenttrace_owner`.
pub async fn list(db: &WriteDb) -> Result<Vec<Grant>, StoreError> {
    const SQL: &str = r#"
        SELECT role_name, organization_id, granted_by,
            to_char(granted_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS granted_at,
            EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = role_name) AS role_exists
        FROM {schema}.agenttrace_grants ORDER BY role_name, organization_id"#;
    let mut work = db.begin().await?;
    let found = sqlx::query_as(db.relation()?.name_in(SQL)).fetch_all(&mut *work).await.map_err(refused)?;
    work.commit().await?;
    Ok(found)
}

/// Lets a role see an organisation. Whether it did not before.
///
/// # Errors
/// As [`list`], and when there is no such role.
pub async fn grant(db: &WriteDb, role: &str, organization: &OrgId) -> Result<bool, StoreError> {
    const SQL: &str = "
        INSERT INTO {schema}.agenttrace_grants (role_name, organization_id)
        SELECT rolname, $2 FROM pg_catalog.pg_roles WHERE rolname = $1 ON CONFLICT DO NOTHING";
    let mut work = db.begin().await?;
    let grant = sqlx::query(db.relation()?.name_in(SQL)).bind(role).bind(organization.as_str());
    let granted = grant.execute(&mut *work).await.map_err(refused)?;
    let exists: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = $1)")
            .bind(role)
            .fetch_one(&mut *work)
            .await?;
    if !exists {
        return Err(StoreError::Other(format!("there is no role '{role}': CREATE ROLE makes it")));
    }
    work.commit().await?;
    Ok(granted.rows_affected() > 0)
}

/// Whether the organisation has events, so that there is something to see.
///
/// # Errors
/// When the table cannot be read.
pub async fn has_events(db: &WriteDb, organization: &OrgId) -> Result<bool, StoreError> {
    const SQL: &str = "SELECT EXISTS (SELECT FROM {schema}.audit_events WHERE organization_id = $1)";
    let mut work = db.begin().await?;
    let query = sqlx::query_scalar(db.relation()?.name_in(SQL)).bind(organization.as_str());
    let found = query.fetch_one(&mut *work).await?;
    work.commit().await?;
    Ok(found)
}

/// Takes that back. Whether it had been granted. A role that is a member of others may see the organisation by those.
///
/// # Errors
/// As [`list`].
pub async fn revoke(db: &WriteDb, role: &str, organization: &OrgId) -> Result<bool, StoreError> {
    const SQL: &str = "DELETE FROM {schema}.agenttrace_grants WHERE role_name = $1 AND organization_id = $2";
    let mut work = db.begin().await?;
    let revoke = sqlx::query(db.relation()?.name_in(SQL)).bind(role).bind(organization.as_str());
    let revoked = revoke.execute(&mut *work).await.map_err(refused)?;
    work.commit().await?;
    Ok(revoked.rows_affected() > 0)
}

fn refused(error: sqlx::Error) -> StoreError {
    let state = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    match state.as_deref() {
        Some("42P01") => StoreError::Other(
            "row-level security is not in force here, so that nothing has to be granted: agenttrace db migrate --rls \
             puts it in force"
                .to_owned(),
        ),
        Some("42501") => {
            let said = crate::store::said(&error);
            StoreError::Other(format!("{said}; grants are made by members of agenttrace_owner, and superusers"))
        }
        _ => error.into(),
    }
}
