//! Connections: how a transaction begins, which table is read, cancelling.
//!
//! Every statement that reads runs inside a transaction that `transaction::begin` has begun: read-only, with settings
//! that are gone with it. Nothing is left on a session, which behind a pooler belongs to other people.

mod cancel;
pub mod capabilities;
mod certificate;
mod error;
pub(super) mod facts;
pub(super) mod identity;
mod link;
mod memory;
pub mod plain;
mod pulse;
mod relation;
pub mod servers;
mod session;
mod settings;
mod shape;
mod snapshot;
mod transaction;
pub mod trust;
mod write;

pub(crate) use link::Link;
pub(crate) use memory::bounded;
pub use relation::{Layout, Relation};
pub(crate) use relation::{TABLE, beside};
pub use settings::ReadSettings;
pub(super) use shape::Found;
pub use shape::Shape;
pub(crate) use transaction::Start;
pub(crate) use write::Work;
pub use write::{WriteDb, WriteSettings, WriteTarget};

use super::StoreError;
use crate::store::connection::trust::Trust;
use capabilities::Capabilities;
use error::{silence, sql_state};
use session::{Server, Session};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};
use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::JoinHandle;
use tokio::task::coop::unconstrained;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use transaction::{Backend, Begun};

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

/// A database that can only be read: all work is done in transactions that are READ ONLY.
///
/// Connections are made when they are needed and kept. They are not in an sqlx pool, because that one keeps trying a
/// server that is down until its time-out, while the console must say so at once, and because a connection has to
/// carry the identity of its server process, which cancelling needs.
#[derive(Clone)]
pub struct ReadDb {
    inner: Arc<Inner>,
    /// The exported snapshot that every transaction looks at.
    snapshot: Option<Arc<str>>,
}

struct Inner {
    options: PgConnectOptions,
    settings: ReadSettings,
    /// One permit for each connection that work may use: all but the control connection.
    permits: Semaphore,
    idle: Mutex<Vec<Idle>>,
    /// Made at the first cancellation.
    control: tokio::sync::Mutex<Option<Session>>,
    /// What the table offers, and when that was read.
    capabilities: Mutex<Option<(Instant, Arc<Capabilities>)>>,
    /// The table, once it has been found.
    relation: Mutex<Option<Arc<Relation>>>,
    /// What was found out about the server.
    server: Server,
    /// Why this is not the replica that it should have been.
    replica_trouble: Option<String>,
}

/// A connection without work.
enum Idle {
    Ready(Session),
    /// Its transaction is being ended. `None` when that has failed.
    Ending(JoinHandle<Option<Session>>),
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
    /// [`StoreError::ForeignReplica`] when it is one of another cluster; as [`Self::connect`], of the primary.
    pub async fn connect_near(
        primary: PgConnectOptions,
        replica: Option<PgConnectOptions>,
        settings: ReadSettings,
    ) -> Result<Self, StoreError> {
        let Some(replica) = replica else { return Self::connect(primary, settings).await };
        match Self::connect(replica, settings.clone()).await {
            Ok(db) => {
                identity::same_cluster(&db, &primary).await?;
                Ok(db)
            }
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
            options: options
                .application_name("agenttrace")
                .extra_float_digits(None)
                .disable_statement_logging(),
            settings,
            permits: Semaphore::new(work),
            idle: Mutex::default(),
            control: tokio::sync::Mutex::default(),
            capabilities: Mutex::default(),
            relation: Mutex::default(),
            server: Server::default(),
            replica_trouble,
        };
        let db = Self { inner: Arc::new(inner), snapshot: None };
        db.find_relation(&CancellationToken::new()).await?;
        if let Some(known) = db.known_capabilities() {
            db.guard(&known.trust)?;
        }
        Ok(db)
    }

    /// Refuses to run code of others with a superuser's rights.
    pub(super) fn guard(&self, trust: &Trust) -> Result<(), StoreError> {
        if trust.endangers_superuser() && !self.inner.settings.as_superuser {
            return Err(StoreError::CodeOfOthers(trust.remarks().join("; ")));
        }
        Ok(())
    }

    /// What has to be said before anything of the table is read: which table it is where several could be meant, and
    /// whose code runs.
    ///
    /// # Errors
    /// As [`Self::capabilities`], but for a table that is not there: then there is nothing to say.
    pub async fn remarks(&self, cancel: &CancellationToken) -> Result<Vec<String>, StoreError> {
        match self.capabilities(cancel).await {
            Ok(known) => {
                let said = known.relation.announcement().into_iter().chain(known.relation.remarks());
                let said = said.chain(known.trust.remarks());
                let altered = known.altered_vector().map(|why| {
                    format!(
                        "the search vector is not as agenttrace makes it, and searches do not use it: {why}"
                    )
                });
                Ok(said.chain(altered).collect())
            }
            Err(StoreError::NoTable) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Which table is read, if there is one.
    ///
    /// # Errors
    /// [`StoreError::NoTable`], and those of the connection.
    pub async fn relation(&self, cancel: &CancellationToken) -> Result<Arc<Relation>, StoreError> {
        if self.known_relation().is_none() {
            self.find_relation(cancel).await?;
        }
        let found = self.known_relation().ok_or(StoreError::NoTable)?;
        match &found.shape {
            Ok(_) => Ok(found),
            Err(reason) => Err(StoreError::Unfit(reason.clone())),
        }
    }

    /// Which table is read, if one has been found.
    pub fn known_relation(&self) -> Option<Arc<Relation>> {
        self.inner.relation.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether sessions are handed out by a pooler, such as PgBouncer.
    pub fn is_pooled(&self) -> bool {
        self.inner.server.is_pooled()
    }

    /// Looks for the table.
    async fn find_relation(&self, cancel: &CancellationToken) -> Result<(), StoreError> {
        let settings = &self.inner.settings;
        let table = settings.naming.table.as_deref().unwrap_or(TABLE);
        let start = Start { looks_for: Some(table), ..Start::short(settings.statement_timeout) };
        let read = self.run_within(start, cancel, async |c: &mut Link| match self.known_relation() {
            // What it offers is asked for next, so it is read in passing.
            Some(relation) => capabilities::read(c, &relation, &settings.naming).await,
            None => Ok(None),
        });
        match read.await {
            Ok(read) => {
                read.map(|read| self.remember_capabilities(read));
                Ok(())
            }
            // Whoever needs that is told when he asks for it.
            Err(StoreError::Database(_) | StoreError::Decode(_)) if self.known_relation().is_some() => Ok(()),
            Err(error) => Err(error),
        }
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
        *self.inner.relation.lock().unwrap_or_else(PoisonError::into_inner) = Some(read.relation.clone());
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
        F: AsyncFnOnce(&mut Link) -> Result<T, sqlx::Error>,
    {
        self.run_within(self.short(), cancel, work).await
    }

    /// As [`Self::run`], in a transaction that begins otherwise.
    ///
    /// # Errors
    /// As [`Self::run`].
    #[expect(clippy::disallowed_methods, reason = "joined by whoever takes the connection next")]
    pub(crate) async fn run_within<T, F>(
        &self,
        start: Start<'_>,
        cancel: &CancellationToken,
        work: F,
    ) -> Result<T, StoreError>
    where
        F: AsyncFnOnce(&mut Link) -> Result<T, sqlx::Error>,
    {
        let inner = &*self.inner;
        let limit = start.limit;
        let _permit = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(StoreError::Cancelled),
            permit = inner.permit() => permit?,
        };
        // Boxed, as connecting takes room that every statement would carry along.
        let (mut session, backend) = Box::pin(inner.begun(start, cancel)).await?;
        let begun = Instant::now();
        // Like the guard of the memory, both are outside of the budget that a flood of rows uses up.
        let silent = unconstrained(async {
            match limit {
                Some(limit) => tokio::time::sleep(limit + SILENCE_LIMIT).await,
                None => Box::pin(self.until_silent()).await,
            }
        });
        let prepared = unconstrained(async {
            tokio::time::sleep(SOON).await;
            inner.prepare_to_cancel().await;
            std::future::pending::<()>().await;
        });
        let ended = {
            let mut work = pin!(work(&mut session.link));
            tokio::select! {
                biased;
                result = &mut work => Some(result),
                () = prepared => None,
                () = cancel.cancelled() => inner.stop(&backend, work.as_mut()).await,
                () = silent => {
                    return Err(StoreError::Connection(silence("the server has stopped answering")));
                }
                error = memory::outgrown() => return Err(StoreError::Connection(error)),
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
        match &result {
            // Nobody waits for the end of a transaction that has given its rows.
            Ok(_) => inner.give_back(Idle::Ending(tokio::spawn(session.ended()))),
            Err(error) if error.is_connection_loss() => {}
            Err(_) => inner.give_back_ended(session).await,
        }
        result
    }

    /// Closes all idle connections, waiting at most a second. Work that begins later fails.
    pub async fn close(&self) {
        self.inner.permits.close();
        let mut idle = std::mem::take(&mut *self.inner.idle());
        let control = self.inner.control.lock().await.take();
        idle.extend(control.map(Idle::Ready));
        let farewell = async {
            for idle in idle {
                if let Some(session) = idle.session().await {
                    // A server that is gone needs no farewell.
                    let _ = session.link.connection.close().await;
                }
            }
        };
        let _ = timeout(CLOSE_LIMIT, farewell).await;
    }
}

impl Idle {
    async fn session(self) -> Option<Session> {
        match self {
            Self::Ready(session) => Some(session),
            Self::Ending(end) => end.await.ok().flatten(),
        }
    }
}

impl Inner {
    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Idle>> {
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

    fn give_back(&self, idle: Idle) {
        if !self.permits.is_closed() {
            self.idle().push(idle);
        }
    }

    async fn give_back_ended(&self, session: Session) {
        if let Some(session) = session.ended().await {
            self.give_back(Idle::Ready(session));
        }
    }

    /// An idle connection, those first that are ready at once.
    fn take_idle(&self) -> Option<Idle> {
        let mut idle = self.idle();
        let ready = idle.iter().rposition(|idle| match idle {
            Idle::Ready(_) => true,
            Idle::Ending(end) => end.is_finished(),
        });
        match ready {
            Some(at) => Some(idle.remove(at)),
            None => idle.pop(),
        }
    }

    /// A session in a transaction of its own, and the process behind it: an idle one that answers, else a new one.
    async fn begun(
        &self,
        start: Start<'_>,
        cancel: &CancellationToken,
    ) -> Result<(Session, Backend), StoreError> {
        // Not to be dropped half-way: the session would be lost.
        while let Some(idle) = self.take_idle() {
            let Some(mut session) = idle.session().await else { continue };
            if let Ok(Ok(backend)) = timeout(PING_LIMIT, self.begin(&mut session, start)).await {
                if cancel.is_cancelled() {
                    self.give_back_ended(session).await;
                    return Err(StoreError::Cancelled);
                }
                return Ok((session, backend));
            }
        }
        let opening = async {
            let mut session = self.open().await?;
            let backend = timeout(self.settings.connect_timeout, self.begin(&mut session, start)).await;
            let backend = backend.map_err(|_| {
                StoreError::Connection(silence("no answer within the time allowed for connecting"))
            })??;
            Ok((session, backend))
        };
        tokio::select! {
            biased;
            () = cancel.cancelled() => Err(StoreError::Cancelled),
            begun = opening => begun,
        }
    }

    /// Begins a transaction on a session. After an error the session must not be used again.
    async fn begin(&self, session: &mut Session, start: Start<'_>) -> Result<Backend, StoreError> {
        let Begun { backend, candidates } = session.begin(start, &self.server).await?;
        if let Some(table) = start.looks_for {
            let found = relation::choose(table, &candidates, self.settings.schema.as_deref());
            *self.relation.lock().unwrap_or_else(PoisonError::into_inner) = found.map(Arc::new);
        }
        Ok(backend)
    }

    /// The one place where a reader's connection is made.
    async fn open(&self) -> Result<Session, StoreError> {
        timeout(self.settings.connect_timeout, Session::open(&self.options, &self.server)).await.map_err(
            |_| StoreError::Connection(silence("no answer within the time allowed for connecting")),
        )?
    }
}
