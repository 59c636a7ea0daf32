//! Databases on the private server.

use crate::store::StoreError;
use sqlx::Connection as _;
use sqlx::postgres::{PgConnectOptions, PgConnection};

/// Makes the database `name` unless it is there. `maintenance` connects to the server's `postgres` database.
///
/// # Errors
/// When the name is not 1 to 63 characters of `a-z`, `0-9`, `_` and `-`, or the server refuses.
pub async fn ensure(maintenance: &PgConnectOptions, name: &str) -> Result<(), StoreError> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    if name.is_empty() || name.len() > 63 || !name.chars().all(plain) {
        return Err(StoreError::Other(format!(
            "'{}' is not a valid database name here: 1 to 63 characters of a-z, 0-9, _ and -",
            name.escape_debug()
        )));
    }
    let mut connection = PgConnection::connect_with(maintenance).await.map_err(StoreError::Connection)?;
    let there: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
        .bind(name)
        .fetch_one(&mut connection)
        .await
        .map_err(StoreError::Database)?;
    if !there {
        // A name of checked characters; CREATE DATABASE takes no parameters.
        let sql = sqlx::AssertSqlSafe(format!(r#"CREATE DATABASE "{name}""#));
        match sqlx::raw_sql(sql).execute(&mut connection).await {
            // Another program made it between the look and the command.
            Err(sqlx::Error::Database(e)) if e.code().is_some_and(|c| c == "42P04" || c == "23505") => {}
            other => {
                other.map_err(StoreError::Database)?;
            }
        }
    }
    connection.close().await.map_err(StoreError::Connection)
}
