//! Migrations and the state of the schema.

use super::{StoreError, WriteDb};

/// Brings the database to the newest schema. Returns the migrations applied now, as `version description`.
///
/// # Errors
/// When a migration fails, or the table `audit_events` is somebody else's.
pub async fn migrate(db: &WriteDb) -> Result<Vec<String>, StoreError> {
    todo!()
}
