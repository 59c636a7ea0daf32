//! What the sessions of this program do, as the server tells it.

use crate::store::connection::Link;
use crate::store::{ReadDb, StoreError};
use sqlx::Row as _;
use tokio_util::sync::CancellationToken;

/// The processes of this program's sessions, under this role and in this database, that run a statement, but for the one
/// that asks.
///
/// # Errors
/// [`StoreError`].
pub async fn at_work(db: &ReadDb, cancel: &CancellationToken) -> Result<Vec<i32>, StoreError> {
    const SQL: &str = "
        SELECT pid FROM pg_catalog.pg_stat_activity
        WHERE datname = current_database() AND usename = current_user AND application_name = 'agenttrace'
          AND state <> 'idle' AND pid <> pg_backend_pid()";
    let rows = db.run(cancel, async |c: &mut Link| sqlx::query(SQL).fetch_all(c).await).await?;
    Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
}
