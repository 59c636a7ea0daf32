//! Migrations and the state of the schema.

pub mod grants;
mod guard;
mod indexes;
mod layout;
mod migrate;
mod names;
pub mod partitions;
mod roles;
mod status;

pub use super::connection::Layout;
pub use guard::Guard;
pub(super) use guard::look as guard;
pub use indexes::ensure_indexes;
pub(super) use indexes::{build_indexes, drop_indexes, lock_indexes, settle};
pub use layout::{Step, change_layout};
pub use migrate::migrate;
pub use roles::{Access, Protection, protect};
pub use status::{Index, LayoutChange, Origin, Status, Table, status};

use super::{StoreError, WriteDb};

/// Makes the view of days.
const DAILY_SUMMARY: &str = include_str!("../../../assets/migrations/0003_daily_summary.sql");

/// Computes `audit_daily_summary` anew; its readers see the old state until it is done.
///
/// # Errors
/// When the view is not there, or the server refuses.
pub async fn refresh_summary(db: &WriteDb) -> Result<(), StoreError> {
    let view = db.relation()?.beside("audit_daily_summary");
    let mut work = db.begin().await?;
    work.run(format!("REFRESH MATERIALIZED VIEW CONCURRENTLY {view}")).await.map_err(|error| {
        match error.as_database_error().and_then(sqlx::error::DatabaseError::code).as_deref() {
            Some("42501") => StoreError::Other(format!(
                "{}; the view is refreshed by its owner: connect (writer_url) as a member of agenttrace_owner, or \
                 GRANT agenttrace_owner TO the role that runs this",
                super::said(&error)
            )),
            Some("42P01") => StoreError::Other(
                "this database has no view audit_daily_summary: agenttrace db migrate makes it".to_owned(),
            ),
            _ => error.into(),
        }
    })?;
    Ok(work.commit().await?)
}
