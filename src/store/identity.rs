//! Which database it is, whatever it is called.

use sqlx::{PgConnection, Row as _};

/// `CLUSTER/DATABASE/TABLE`: the cluster's own identifier, where the role may know it, and two numbers in it. It
/// outlives renaming and moving; a table that was made anew has another one.
pub(super) async fn of(c: &mut PgConnection, table: i64) -> Result<String, sqlx::Error> {
    let row = sqlx::query(
        "SELECT d.oid::int8, has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE')
         FROM pg_catalog.pg_database d WHERE d.datname = current_database()",
    )
    .fetch_one(&mut *c)
    .await?;
    let cluster = if row.try_get(1)? {
        let system =
            sqlx::query("SELECT system_identifier FROM pg_catalog.pg_control_system()").fetch_one(c).await?;
        system.try_get::<i64, _>(0)?.to_string()
    } else {
        "unknown".to_owned()
    };
    Ok(format!("{cluster}/{}/{table}", row.try_get::<i64, _>(0)?))
}
