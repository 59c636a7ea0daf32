//! Pools, session settings, cancelling.

use super::StoreError;
use sqlx::ConnectOptions as _;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Greatest number of a writer's connections: two load, one watches.
const WRITE_CONNECTIONS: u32 = 3;

/// Limits of a reader.
#[derive(Debug, Clone)]
pub struct ReadSettings {
    /// Greatest number of connections, control connection included.
    pub connections: u32,
    /// `statement_timeout` of interactive statements.
    pub statement_timeout: Duration,
    /// How long to wait for a connection.
    pub connect_timeout: Duration,
}

impl Default for ReadSettings {
    fn default() -> Self {
        Self {
            connections: 5,
            statement_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
        }
    }
}

/// What the header says about the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerFacts {
    /// Major version, such as 15.
    pub major: u32,
    /// Name of the database.
    pub database: String,
    /// Name of the role.
    pub role: String,
}

/// A database that can only be read: `default_transaction_read_only = on`, `TimeZone = UTC`, time-outs.
#[derive(Debug, Clone)]
pub struct ReadDb {
    pool: PgPool,
    control: PgPool,
    settings: ReadSettings,
}

/// A database that may be written. Only writing commands hold one.
#[derive(Debug, Clone)]
pub struct WriteDb {
    pool: PgPool,
}

impl ReadDb {
    /// Connects lazily made pools and proves that the server answers.
    ///
    /// # Errors
    /// [`StoreError::Connection`] when it does not.
    pub async fn connect(options: PgConnectOptions, settings: ReadSettings) -> Result<Self, StoreError> {
        todo!()
    }

    /// Version, database and role.
    pub async fn facts(&self) -> Result<ServerFacts, StoreError> {
        todo!()
    }

    /// Runs `work` on one connection. When `cancel` fires, the statement is cancelled on the server
    /// (`pg_cancel_backend` from the control pool), and the connection goes back to the pool only after the server has
    /// confirmed the end (SQLSTATE 57014), else it is closed.
    pub(crate) async fn run<T, F>(&self, cancel: &CancellationToken, work: F) -> Result<T, StoreError>
    where
        F: AsyncFnOnce(&mut sqlx::PgConnection) -> Result<T, sqlx::Error>,
    {
        todo!()
    }

    /// Closes all connections, waiting at most a second.
    pub async fn close(&self) {
        todo!()
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl WriteDb {
    /// Connects for writing: `TimeZone = UTC`, READ COMMITTED, `synchronous_commit = on` in the writer's transactions.
    ///
    /// # Errors
    /// [`StoreError::Connection`] when the server does not answer.
    pub async fn connect(options: PgConnectOptions) -> Result<Self, StoreError> {
        // Custom plans: a plan made while the table was empty would read all of it once it is full.
        const SESSION: &str = "SET TimeZone = 'UTC'; SET default_transaction_isolation = 'read committed'; \
                               SET plan_cache_mode = force_custom_plan; SET client_min_messages = warning; \
                               SET idle_in_transaction_session_timeout = '5min'";
        let pool = PgPoolOptions::new()
            .max_connections(WRITE_CONNECTIONS)
            .acquire_timeout(Duration::from_secs(10))
            .after_connect(|c, _| Box::pin(async move { sqlx::raw_sql(SESSION).execute(c).await.map(drop) }))
            // A pool keeps trying a server that is down until its time-out; the first connection says at once.
            .connect_lazy_with(options.application_name("agenttrace writer").disable_statement_logging());
        pool.acquire().await.map_err(StoreError::from)?;
        Ok(Self { pool })
    }

    /// The pool.
    pub(crate) fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Closes all connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}
