//! Connections, session settings, cancelling.

use super::StoreError;
use super::cache::Cache;
use super::capabilities::Capabilities;
use super::row::SqlTime;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _, PgConnection, Row as _};
use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// How long the end of a cancelled statement is waited for before its connection is closed instead.
const CANCEL_LIMIT: Duration = Duration::from_secs(2);
/// A cancel request that finds no statement does nothing; it is repeated after this time.
const CANCEL_REPEAT: Duration = Duration::from_millis(50);
/// A statement that takes longer than this may well be cancelled: the connection for that is made meanwhile.
const SOON: Duration = Duration::from_millis(100);
/// What the server may exceed its own time-out by before the client takes it for dead.
const SILENCE_LIMIT: Duration = Duration::from_secs(5);
/// How long an idle connection may take to prove that it is alive.
const PING_LIMIT: Duration = Duration::from_secs(2);
/// How long [`ReadDb::close`] waits for the server's farewell.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);
/// What was read of the catalogue is read again after this time: indexes come and go.
const CATALOGUE_LIFE: Duration = Duration::from_secs(60);
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
    /// Events that one statement looks at, at most, where no index serves the whole filter: 50 000 take 30 to 50 ms.
    pub walk: u32,
    /// Where answers are kept that hold for a while.
    pub cache: Cache,
}

impl Default for ReadSettings {
    fn default() -> Self {
        Self {
            connections: 5,
            statement_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            walk: 50_000,
            cache: Cache::default(),
        }
    }
}

/// A database that can only be read: `default_transaction_read_only = on`, `TimeZone = UTC`, time-outs.
///
/// Connections are made when they are needed and kept. They are not in an sqlx pool, because that one keeps trying a
/// server that is down until its time-out, while the console must say so at once, and because a connection has to
/// carry the identity of its server process, which cancelling needs.
#[derive(Clone)]
pub struct ReadDb {
    inner: Arc<Inner>,
}

struct Inner {
    options: PgConnectOptions,
    settings: ReadSettings,
    /// One permit for each connection that work may use: all but the control connection.
    permits: Semaphore,
    idle: Mutex<Vec<Session>>,
    /// Made at the first cancellation.
    control: tokio::sync::Mutex<Option<Session>>,
    /// What the table offers, and when that was read.
    capabilities: Mutex<Option<(Instant, Arc<Capabilities>)>>,
    /// Why this is not the replica that it should have been.
    replica_trouble: Option<String>,
}

/// A connection whose settings are in force, and the server process behind it.
struct Session {
    connection: PgConnection,
    backend: Backend,
}

/// A server process. Its start time tells it from a later process with the same number.
#[derive(Debug, Clone, Copy)]
struct Backend {
    pid: i32,
    started: SqlTime,
}

/// A database that may be written. Only writing commands hold one.
#[derive(Debug, Clone)]
pub struct WriteDb {
    pool: PgPool,
}

impl fmt::Debug for ReadDb {
    /// Without the connection options: they hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadDb").field("settings", &self.inner.settings).finish_non_exhaustive()
    }
}

impl ReadDb {
    /// Connects to the replica where there is one and it answers, else to the primary; [`Self::facts`] says to which.
    ///
    /// # Errors
    /// As [`Self::connect`], of the primary.
    pub async fn connect_near(
        primary: PgConnectOptions,
        replica: Option<PgConnectOptions>,
        settings: ReadSettings,
    ) -> Result<Self, StoreError> {
        let Some(replica) = replica else { return Self::connect(primary, settings).await };
        match Self::connect(replica, settings.clone()).await {
            Ok(db) => Ok(db),
            Err(error) => {
                tracing::warn!(%error, "the replica");
                Self::open(primary, settings, Some(error.to_string())).await
            }
        }
    }

    /// Proves that the server answers; further connections are made when they are needed.
    ///
    /// # Errors
    /// [`StoreError::Connection`] when it does not answer, [`StoreError::Database`] when it refuses (no such database
    /// or role, wrong password).
    pub async fn connect(options: PgConnectOptions, settings: ReadSettings) -> Result<Self, StoreError> {
        Self::open(options, settings, None).await
    }

    async fn open(
        options: PgConnectOptions,
        settings: ReadSettings,
        replica_trouble: Option<String>,
    ) -> Result<Self, StoreError> {
        let work = settings.connections.saturating_sub(1).max(1) as usize;
        let inner = Inner {
            // Statements hold nothing but placeholders, but their text would drown the log.
            options: options.application_name("agenttrace").disable_statement_logging(),
            settings,
            permits: Semaphore::new(work),
            idle: Mutex::default(),
            control: tokio::sync::Mutex::default(),
            capabilities: Mutex::default(),
            replica_trouble,
        };
        let first = inner.open().await?;
        inner.give_back(first);
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Why the primary is read instead of the replica.
    pub fn replica_trouble(&self) -> Option<&str> {
        self.inner.replica_trouble.as_deref()
    }

    /// The limits in force.
    pub fn settings(&self) -> &ReadSettings {
        &self.inner.settings
    }

    /// What the table offers, if that was read a short time ago.
    pub(super) fn known_capabilities(&self) -> Option<Arc<Capabilities>> {
        let known = self.inner.capabilities.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = known.as_ref().filter(|(read, _)| read.elapsed() < CATALOGUE_LIFE);
        fresh.map(|(_, capabilities)| capabilities.clone())
    }

    pub(super) fn remember_capabilities(&self, read: Capabilities) -> Arc<Capabilities> {
        let read = Arc::new(read);
        let mut known = self.inner.capabilities.lock().unwrap_or_else(PoisonError::into_inner);
        *known = Some((Instant::now(), read.clone()));
        read
    }

    /// Runs `work` on one connection. When `cancel` fires, the statement is cancelled on the server
    /// (`pg_cancel_backend` from the control connection), and the connection is kept only after the server has
    /// confirmed the end (SQLSTATE 57014), else it is closed. The same when the returned future is dropped: the
    /// connection is closed, and the server, which looks every two seconds, stops the statement.
    ///
    /// # Errors
    /// [`StoreError::Cancelled`] when `cancel` fired before there was a result.
    pub(crate) async fn run<T, F>(&self, cancel: &CancellationToken, work: F) -> Result<T, StoreError>
    where
        F: AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    {
        self.run_within(Some(self.inner.settings.statement_timeout), cancel, work).await
    }

    /// As [`Self::run`], for work that takes as long as it takes: nothing is said about the time between its
    /// statements, and it lifts `statement_timeout` inside its own transaction.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub(crate) async fn run_long<T, F>(&self, cancel: &CancellationToken, work: F) -> Result<T, StoreError>
    where
        F: AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    {
        self.run_within(None, cancel, work).await
    }

    async fn run_within<T, F>(
        &self,
        limit: Option<Duration>,
        cancel: &CancellationToken,
        work: F,
    ) -> Result<T, StoreError>
    where
        F: AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    {
        let inner = &*self.inner;
        let _permit = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(StoreError::Cancelled),
            permit = inner.permit() => permit?,
        };
        let mut session = match inner.idle_session().await {
            Some(session) => session,
            None => tokio::select! {
                biased;
                () = cancel.cancelled() => return Err(StoreError::Cancelled),
                session = inner.open() => session?,
            },
        };
        if cancel.is_cancelled() {
            inner.give_back(session);
            return Err(StoreError::Cancelled);
        }
        let begun = Instant::now();
        let silent = async {
            match limit {
                Some(limit) => tokio::time::sleep(limit + SILENCE_LIMIT).await,
                None => std::future::pending().await,
            }
        };
        let prepared = async {
            tokio::time::sleep(SOON).await;
            inner.prepare_to_cancel().await;
            std::future::pending::<()>().await;
        };
        let ended = {
            let mut work = pin!(work(&mut session.connection));
            tokio::select! {
                biased;
                result = &mut work => Some(result),
                () = prepared => None,
                () = cancel.cancelled() => inner.stop(session.backend, work.as_mut()).await,
                () = silent => {
                    return Err(StoreError::Connection(silence("the server has stopped answering")));
                }
            }
        };
        // Without an end the session is dropped here, which closes its connection.
        let Some(result) = ended else { return Err(StoreError::Cancelled) };
        let result = result.map_err(|error| match StoreError::from(error) {
            StoreError::Database(e) if sql_state(&e).as_deref() == Some("57014") => {
                if cancel.is_cancelled() {
                    StoreError::Cancelled
                } else if let Some(limit) = limit.filter(|limit| begun.elapsed() >= *limit) {
                    StoreError::TimedOut { limit_s: limit.as_secs() }
                } else {
                    StoreError::Database(e)
                }
            }
            error => error,
        });
        if !result.as_ref().is_err_and(StoreError::is_connection_loss) {
            inner.give_back(session);
        }
        result
    }

    /// Closes all idle connections, waiting at most a second. Work that begins later fails.
    pub async fn close(&self) {
        self.inner.permits.close();
        let mut idle = std::mem::take(&mut *self.inner.idle());
        idle.extend(self.inner.control.lock().await.take());
        let farewell = async {
            for session in idle {
                // A server that is gone needs no farewell.
                let _ = session.connection.close().await;
            }
        };
        let _ = timeout(CLOSE_LIMIT, farewell).await;
    }
}

impl Inner {
    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Session>> {
        // The list is whole between any two of its operations.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Permission to use one connection.
    async fn permit(&self) -> Result<SemaphorePermit<'_>, StoreError> {
        timeout(self.settings.connect_timeout, self.permits.acquire())
            .await
            .map_err(|_| {
                StoreError::Other("all connections are busy; try again when something has finished".into())
            })?
            .map_err(|_| StoreError::Other("the database connection has been closed".into()))
    }

    /// An idle session that answers. Not to be dropped half-way: its session would be lost.
    async fn idle_session(&self) -> Option<Session> {
        loop {
            let mut session = self.idle().pop()?;
            if let Ok(Ok(())) = timeout(PING_LIMIT, session.connection.ping()).await {
                return Some(session);
            }
        }
    }

    fn give_back(&self, session: Session) {
        if !self.permits.is_closed() {
            self.idle().push(session);
        }
    }

    /// The one place where a reader's connection is made, so that the settings hold for every one.
    async fn open(&self) -> Result<Session, StoreError> {
        let opening = async {
            let mut connection = PgConnection::connect_with(&self.options).await?;
            let row = sqlx::query(
                "SELECT a.pid, a.backend_start,
                     set_config('default_transaction_read_only', 'on', false),
                     set_config('TimeZone', 'UTC', false),
                     set_config('statement_timeout', $1, false),
                     set_config('lock_timeout', '2s', false),
                     set_config('idle_in_transaction_session_timeout', '60s', false),
                     -- A plan for unknown values would use neither partial indexes nor statistics.
                     set_config('plan_cache_mode', 'force_custom_plan', false),
                     set_config('jit', 'off', false)
                 FROM pg_catalog.pg_stat_activity a WHERE a.pid = pg_catalog.pg_backend_pid()",
            )
            .bind(format!("{}ms", self.settings.statement_timeout.as_millis()))
            .persistent(false)
            .fetch_one(&mut connection)
            .await?;
            // Servers on some systems cannot watch their clients; they merely notice later that one is gone.
            let _ = sqlx::query("SELECT set_config('client_connection_check_interval', '2s', false)")
                .persistent(false)
                .execute(&mut connection)
                .await;
            let backend = Backend { pid: row.try_get(0)?, started: row.try_get(1)? };
            Ok::<_, StoreError>(Session { connection, backend })
        };
        timeout(self.settings.connect_timeout, opening).await.map_err(|_| {
            StoreError::Connection(silence("no answer within the time allowed for connecting"))
        })?
    }

    /// Cancels the statement that `work` waits for and reads on to its end. `None` when the end did not come in time:
    /// the connection must then not be used again.
    ///
    /// The statement's end alone is not enough: a request that is still under way would hit whatever the connection
    /// runs next. So each request is awaited too; once the server has signalled the process, a signal that finds no
    /// statement is ignored before the next one is read.
    async fn stop<T>(
        &self,
        backend: Backend,
        mut work: Pin<&mut impl Future<Output = Result<T, sqlx::Error>>>,
    ) -> Option<Result<T, sqlx::Error>> {
        let stopping = async {
            loop {
                let mut request = pin!(self.request_cancel(backend));
                tokio::select! {
                    result = &mut work => return request.await.ok().map(|()| result),
                    sent = &mut request => sent.ok()?,
                }
                tokio::select! {
                    result = &mut work => return Some(result),
                    () = tokio::time::sleep(CANCEL_REPEAT) => {}
                }
            }
        };
        timeout(CANCEL_LIMIT, stopping).await.ok().flatten()
    }

    /// Makes the control connection, so that a cancellation does not have to wait for it.
    async fn prepare_to_cancel(&self) {
        let mut control = self.control.lock().await;
        if control.is_none() {
            // If it cannot be made now, it is tried again when it is needed.
            *control = self.open().await.ok();
        }
    }

    /// Asks the server to cancel what `backend` runs, over the control connection, which is made anew when it is dead.
    async fn request_cancel(&self, backend: Backend) -> Result<(), StoreError> {
        let mut control = self.control.lock().await;
        if let Some(session) = control.as_mut()
            && signal(&mut session.connection, backend).await.is_ok()
        {
            return Ok(());
        }
        let session = control.insert(self.open().await?);
        Ok(signal(&mut session.connection, backend).await?)
    }
}

async fn signal(control: &mut PgConnection, backend: Backend) -> Result<(), sqlx::Error> {
    sqlx::query(
        "SELECT pg_catalog.pg_cancel_backend(a.pid) FROM pg_catalog.pg_stat_activity a
         WHERE a.pid = $1 AND a.backend_start = $2",
    )
    .bind(backend.pid)
    .bind(backend.started)
    .execute(control)
    .await
    .map(drop)
}

fn silence(what: &'static str) -> sqlx::Error {
    sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, what))
}

fn sql_state(error: &sqlx::Error) -> Option<String> {
    error.as_database_error()?.code().map(std::borrow::Cow::into_owned)
}

/// What rustls has against a certificate. sqlx wraps it as any error of input and output.
fn certificate_error(error: &sqlx::Error) -> Option<String> {
    let (sqlx::Error::Io(_) | sqlx::Error::Tls(_)) = error else { return None };
    error.to_string().split_once("invalid peer certificate: ").map(|(_, why)| why.to_owned())
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error as E;
        if let Some(why) = certificate_error(&error) {
            return Self::Certificate(why);
        }
        match &error {
            E::Tls(e) if e.to_string().contains("does not support TLS") => Self::NotEncrypted,
            E::Io(_) | E::Tls(_) | E::Protocol(_) | E::PoolTimedOut | E::PoolClosed | E::WorkerCrashed => {
                Self::Connection(error)
            }
            E::ColumnDecode { .. }
            | E::Decode(_)
            | E::ColumnNotFound(_)
            | E::ColumnIndexOutOfBounds { .. } => Self::Decode(error.to_string()),
            E::Database(e) => match e.code().as_deref() {
                // Connection exceptions; stopped by the administrator, crashed, starting up or shutting down; full.
                Some(code) if code.starts_with("08") => Self::Connection(error),
                Some("57P01" | "57P02" | "57P03" | "57P05" | "53300") => Self::Connection(error),
                // Rows that a query on a replica still sees are being cleaned up on the primary.
                Some("40001") if e.message().contains("conflict with recovery") => Self::ReplicaConflict,
                Some("2201B") => Self::Regex(e.message().to_owned()),
                Some("42P01") if e.message().contains("audit_events") => Self::NoTable,
                _ => Self::Database(error),
            },
            _ => Self::Other(error.to_string()),
        }
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
        let options = options.application_name("agenttrace writer").disable_statement_logging();
        // At once, because a pool keeps trying a server that is down until its time-out.
        PgConnection::connect_with(&options).await?.close().await?;
        let pool = PgPoolOptions::new()
            .max_connections(WRITE_CONNECTIONS)
            .acquire_timeout(Duration::from_secs(10))
            .after_connect(|c, _| Box::pin(async move { sqlx::raw_sql(SESSION).execute(c).await.map(drop) }))
            .connect_lazy_with(options);
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
