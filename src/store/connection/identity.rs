//! Which database it is, whatever it is called.

use crate::store::connection::{Link, bounded};
use crate::store::{ReadDb, StoreError};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long a primary may take to say who it is, when a replica answers already.
const PATIENCE: Duration = Duration::from_secs(3);

/// The cluster's own identifier, which its replicas share; `None` where the role may not know it.
async fn cluster(c: &mut PgConnection) -> Result<Option<i64>, sqlx::Error> {
    // In a statement of its own: the one that names the function is refused as a whole.
    let may = "SELECT pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE')";
    let may: bool = sqlx::query_scalar(may).persistent(false).fetch_one(&mut *c).await?;
    if !may {
        return Ok(None);
    }
    let system = "SELECT system_identifier FROM pg_catalog.pg_control_system()";
    sqlx::query_scalar(system).persistent(false).fetch_one(c).await.map(Some)
}

/// Refuses a server that is no replica of the primary. A primary that does not answer in time, or either of them that
/// does not tell, says nothing against it.
///
/// # Errors
/// [`StoreError::ForeignReplica`], and those of the replica.
pub(in crate::store) async fn same_cluster(
    replica: &ReadDb,
    primary: &PgConnectOptions,
) -> Result<(), StoreError> {
    let here: Option<i64> =
        replica.run(&CancellationToken::new(), async |c: &mut Link| cluster(c.bare()).await).await?;
    let there = async {
        let mut c = PgConnection::connect_with(&primary.clone().extra_float_digits(None))
            .await
            .map_err(StoreError::from)?;
        let found = cluster(&mut c).await;
        // It has answered; how the session ends says nothing.
        let _ = c.close().await;
        found.map_err(StoreError::from)
    };
    match (here, tokio::time::timeout(PATIENCE, bounded(there)).await) {
        (Some(replica), Ok(Ok(Some(primary)))) if replica != primary => {
            Err(StoreError::ForeignReplica { replica, primary })
        }
        (_, Ok(Err(error))) => {
            tracing::warn!(%error, "the primary, which was to be compared with its replica");
            Ok(())
        }
        _ => Ok(()),
    }
}

/// `CLUSTER/DATABASE/TABLE`: the cluster's own identifier, where the role may know it, and two numbers in it. It
/// outlives renaming and moving; a table that was made anew has another one.
pub(in crate::store) async fn of(c: &mut PgConnection, table: i64) -> Result<String, sqlx::Error> {
    let database: i64 = sqlx::query_scalar(
        "SELECT d.oid::int8 FROM pg_catalog.pg_database d WHERE d.datname = current_database()",
    )
    .persistent(false)
    .fetch_one(&mut *c)
    .await?;
    let cluster = cluster(c).await?.map_or_else(|| "unknown".to_owned(), |system| system.to_string());
    Ok(format!("{cluster}/{database}/{table}"))
}
