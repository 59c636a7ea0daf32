//! What the demo remembers in its database: which trail was begun there, and whether it was loaded to its end.

use crate::domain::Timestamp;
use crate::store::{StoreError, WriteDb};
use sqlx::Connection as _;
use sqlx::postgres::{PgConnectOptions, PgConnection};

/// A trail that was begun in a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begun {
    /// Seed of the generator.
    pub seed: u64,
    /// End of the trail.
    pub until: Timestamp,
    /// Number of its events.
    pub events: u64,
    /// Version of the generator.
    pub generator: u32,
    /// Whether all of them were loaded.
    pub complete: bool,
}

/// The trail that was begun in the database, if one was.
///
/// # Errors
/// When the server refuses, or the record cannot be read.
pub async fn begun(db: &WriteDb) -> Result<Option<Begun>, StoreError> {
    // Of its own schema, so that nobody takes it for a part of the audit trail's.
    let mut work = db.begin().await?;
    let there: bool = sqlx::query_scalar("SELECT to_regclass('agenttrace_demo.trail') IS NOT NULL")
        .fetch_one(&mut *work)
        .await?;
    if !there {
        work.roll_back().await;
        return Ok(None);
    }
    let row: Option<(String, i64, i64, i32, bool)> = sqlx::query_as(
        "SELECT seed::text, until_micros, events, generator, completed_at IS NOT NULL FROM agenttrace_demo.trail",
    )
    .fetch_optional(&mut *work)
    .await?;
    work.roll_back().await;
    row.map(|(seed, until, events, generator, complete)| {
        let wrong = |_| StoreError::Decode("the record of the demo trail is damaged".to_owned());
        Ok(Begun {
            seed: seed
                .parse()
                .map_err(|_| StoreError::Decode(format!("{seed} is not a seed of a demo trail")))?,
            until: Timestamp::from_micros(until),
            events: u64::try_from(events).map_err(wrong)?,
            generator: u32::try_from(generator).map_err(wrong)?,
            complete,
        })
    })
    .transpose()
}

/// Remembers that a trail is about to be loaded, before its first event is.
///
/// # Errors
/// When the server refuses, or a trail was begun before.
pub async fn begin(db: &WriteDb, trail: &Begun) -> Result<(), StoreError> {
    let mut work = db.begin().await?;
    // One row at most: the constant primary key.
    work.run(
        "CREATE SCHEMA IF NOT EXISTS agenttrace_demo;
         CREATE TABLE IF NOT EXISTS agenttrace_demo.trail (
             one BOOLEAN PRIMARY KEY DEFAULT true CHECK (one),
             seed NUMERIC(20) NOT NULL,
             until_micros BIGINT NOT NULL,
             events BIGINT NOT NULL,
             generator INTEGER NOT NULL,
             begun_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
             completed_at TIMESTAMP WITH TIME ZONE
         )"
        .to_owned(),
    )
    .await?;
    sqlx::query(
        "INSERT INTO agenttrace_demo.trail (seed, until_micros, events, generator) VALUES ($1::numeric, $2, $3, $4)",
    )
    .bind(trail.seed.to_string())
    .bind(trail.until.as_micros())
    .bind(i64::try_from(trail.events).unwrap_or(i64::MAX))
    .bind(trail.generator.cast_signed())
    .execute(&mut *work)
    .await?;
    Ok(work.commit().await?)
}

/// Remembers that the trail was loaded to its end.
///
/// # Errors
/// When the server refuses.
pub async fn complete(db: &WriteDb) -> Result<(), StoreError> {
    let mut work = db.begin().await?;
    sqlx::query("UPDATE agenttrace_demo.trail SET completed_at = now()").execute(&mut *work).await?;
    Ok(work.commit().await?)
}

/// The turn to prepare a demo database: one program at a time, whatever becomes of the database meanwhile. Ends with
/// the value, also when the program is killed.
#[derive(Debug)]
pub struct Turn {
    maintenance: PgConnection,
    database: String,
}

impl Turn {
    /// Takes the turn; calls `waiting` when another program has it, and waits until that one is done. `maintenance`
    /// connects to the server's `postgres` database, in which the turn is kept.
    ///
    /// # Errors
    /// When the server cannot be reached.
    pub async fn take(
        maintenance: &PgConnectOptions,
        database: &str,
        waiting: impl FnOnce(),
    ) -> Result<Self, StoreError> {
        let mut connection = PgConnection::connect_with(maintenance).await.map_err(StoreError::Connection)?;
        let key = format!("agenttrace demo {database}");
        let mine: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock(hashtextextended($1, 0))")
            .bind(&key)
            .fetch_one(&mut connection)
            .await?;
        if !mine {
            waiting();
            sqlx::query("SELECT pg_advisory_lock(hashtextextended($1, 0))")
                .bind(&key)
                .execute(&mut connection)
                .await?;
        }
        Ok(Self { maintenance: connection, database: database.to_owned() })
    }

    /// Drops the database with all that is in it, and ends the sessions that other programs have on it.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn drop_database(&mut self) -> Result<(), StoreError> {
        let sql: String =
            sqlx::query_scalar("SELECT format('DROP DATABASE IF EXISTS %I WITH (FORCE)', $1::text)")
                .bind(&self.database)
                .fetch_one(&mut self.maintenance)
                .await?;
        // DROP DATABASE takes no parameters; the server itself has quoted the name.
        let sql = sqlx::AssertSqlSafe(sql);
        sqlx::raw_sql(sql).execute(&mut self.maintenance).await?;
        Ok(())
    }

    /// Ends the turn.
    ///
    /// # Errors
    /// When the connection is lost; the turn has ended then, too.
    pub async fn end(self) -> Result<(), StoreError> {
        Ok(self.maintenance.close().await?)
    }
}
