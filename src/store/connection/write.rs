//! Connections that write.
//!
//! All work is done in transactions that begin as those of readers do: with a path of schemas in which nobody else can put
//! anything, and with settings that are gone with them. Nothing is left on a session, so that a pooler may hand it on.

use super::super::StoreError;
use super::Link;
use super::error::silence;
use super::memory::read_bounded;
use super::relation::{self, Relation};
use super::session::{Server, Session};
use super::transaction::{Begun, Isolation, Start};
use crate::store::connection::trust::{self, Trust};
use sqlx::ConnectOptions as _;
use sqlx::postgres::PgConnectOptions;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Maximum number of a writer's connections: two load, one watches, one holds the turn.
const WRITE_CONNECTIONS: usize = 4;
/// How long a connection, and the beginning of a transaction on it, may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// Limits of a writer.
#[derive(Debug, Clone, Default)]
pub struct WriteSettings {
    /// The schema of the table; `None`: the first one of the caller's path of schemas that has such a table.
    pub schema: Option<String>,
    /// Write although code of another role runs with a superuser's rights.
    pub as_superuser: bool,
}

impl WriteSettings {
    /// Of a server on which nobody else has anything.
    pub fn of_private_server() -> Self {
        Self { as_superuser: true, ..Self::default() }
    }
}

/// A database that may be written. Only writing commands hold one.
#[derive(Clone)]
pub struct WriteDb {
    inner: Arc<Inner>,
}

/// A database that is to be written, and may not be there yet.
#[derive(Clone)]
pub enum WriteTarget {
    /// It was reached.
    Reached(WriteDb),
    /// Where it is.
    At(Box<PgConnectOptions>, WriteSettings),
}

impl WriteTarget {
    /// Where it is; nothing is connected yet.
    pub fn at(options: PgConnectOptions, settings: WriteSettings) -> Self {
        Self::At(Box::new(options), settings)
    }

    /// Connects, if that was not done.
    ///
    /// # Errors
    /// As [`WriteDb::connect_with`].
    pub async fn connect(&self) -> Result<WriteDb, StoreError> {
        match self {
            Self::Reached(db) => Ok(db.clone()),
            Self::At(options, settings) => WriteDb::connect_with((**options).clone(), settings.clone()).await,
        }
    }

    /// Server, database, and schema where one is named, without user and password.
    pub fn place(&self) -> String {
        let (options, settings) = match self {
            Self::Reached(db) => (&db.inner.options, &db.inner.settings),
            Self::At(options, settings) => (&**options, settings),
        };
        let host = match options.get_socket() {
            Some(folder) => folder.display().to_string(),
            None => options.get_host().to_owned(),
        };
        let database = options.get_database().unwrap_or(options.get_username());
        let schema = settings.schema.as_ref().map(|schema| format!(", schema {schema}")).unwrap_or_default();
        format!("{host}:{}/{database}{schema}", options.get_port())
    }
}

impl From<WriteDb> for WriteTarget {
    fn from(db: WriteDb) -> Self {
        Self::Reached(db)
    }
}

impl fmt::Debug for WriteTarget {
    /// Without the connection options: they hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WriteTarget").field(&self.place()).finish()
    }
}

struct Inner {
    options: PgConnectOptions,
    settings: WriteSettings,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Session>>,
    server: Server,
    place: Mutex<Place>,
    trust: Trust,
}

/// Where the table is, or would be made.
#[derive(Debug, Clone, Default)]
struct Place {
    relation: Option<Arc<Relation>>,
    home: Option<String>,
    /// The record of the chains' heads stands beside the table.
    has_heads: bool,
}

impl Place {
    async fn of(begun: &Begun, schema: Option<&str>, link: &mut Link) -> Result<Self, sqlx::Error> {
        let relation = relation::choose(relation::TABLE, &begun.candidates, schema).map(Arc::new);
        let home = relation::home(&begun.candidates, schema);
        let has_heads = match &relation {
            Some(relation) => {
                sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
                    .bind(relation.beside("audit_chain_heads"))
                    .fetch_one(link)
                    .await?
            }
            None => false,
        };
        Ok(Self { relation, home, has_heads })
    }
}

impl fmt::Debug for WriteDb {
    /// Without the connection options: they hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteDb").field("settings", &self.inner.settings).finish_non_exhaustive()
    }
}

/// A transaction that writes. Unless it is [committed](Self::commit) or [given up](Self::roll_back), its connection is
/// closed with the value, and the server undoes it.
pub(crate) struct Work {
    session: Session,
    db: WriteDb,
    _permit: OwnedSemaphorePermit,
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work").finish_non_exhaustive()
    }
}

impl Deref for Work {
    type Target = Link;

    fn deref(&self) -> &Link {
        &self.session.link
    }
}

impl DerefMut for Work {
    fn deref_mut(&mut self) -> &mut Link {
        &mut self.session.link
    }
}

impl Work {
    /// Makes it last.
    ///
    /// # Errors
    /// Of the server: then nothing was done, or, after a loss of the connection, all or nothing.
    pub(crate) async fn commit(mut self) -> Result<(), sqlx::Error> {
        read_bounded(sqlx::raw_sql("COMMIT").execute(self.session.link.bare())).await?;
        self.db.keep(self.session);
        Ok(())
    }

    /// Waits until no other program has the turn that this text names, and keeps it to the end of the transaction. It is
    /// no lock of the session: that would stay with a pooler.
    ///
    /// # Errors
    /// Those of the connection.
    pub(crate) async fn lock_turn(&mut self, of: &str) -> Result<(), sqlx::Error> {
        sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))")
            .bind(of)
            .execute(&mut **self)
            .await
            .map(drop)
    }

    /// Undoes it, and keeps the connection.
    pub(crate) async fn roll_back(self) {
        if let Some(session) = self.session.ended().await {
            self.db.keep(session);
        }
    }
}

impl WriteDb {
    /// Connects as [`Self::connect_with`] does, without settings.
    ///
    /// # Errors
    /// As there.
    pub async fn connect(options: PgConnectOptions) -> Result<Self, StoreError> {
        Self::connect_with(options, WriteSettings::default()).await
    }

    /// Proves that the server answers, finds the table, and looks for code of others that writing it would run.
    ///
    /// # Errors
    /// [`StoreError::Connection`] when the server does not answer, [`StoreError::CodeOfOthers`] where code of another
    /// role would run with a superuser's rights.
    pub async fn connect_with(
        options: PgConnectOptions,
        settings: WriteSettings,
    ) -> Result<Self, StoreError> {
        let options = options
            .application_name("agenttrace writer")
            .extra_float_digits(None)
            .disable_statement_logging();
        let server = Server::default();
        let (mut session, begun) =
            open(&options, &server, Start { looks_for: Some(relation::TABLE), ..Start::writing() }).await?;
        let place = Place::of(&begun, settings.schema.as_deref(), &mut session.link).await?;
        let trust = match &place.relation {
            Some(relation) => trust::of_writing(&mut session.link, relation).await?,
            None => Trust::default(),
        };
        if trust.endangers_superuser() && !settings.as_superuser {
            return Err(StoreError::CodeOfOthers(trust.remarks().join("; ")));
        }
        let inner = Inner {
            options,
            settings,
            permits: Arc::new(Semaphore::new(WRITE_CONNECTIONS)),
            idle: Mutex::default(),
            server,
            place: Mutex::new(place),
            trust,
        };
        let db = Self { inner: Arc::new(inner) };
        if let Some(session) = session.ended().await {
            db.keep(session);
        }
        Ok(db)
    }

    /// What has to be said before anything is written: which table it is where several could be meant, and whose code
    /// runs.
    pub fn remarks(&self) -> Vec<String> {
        let place = self.place();
        let announced = place.relation.as_ref().and_then(|relation| relation.announcement());
        announced.into_iter().chain(self.inner.trust.remarks()).collect()
    }

    /// What writers cannot guarantee on this table, as a sentence: nothing where the heads of its chains are recorded.
    pub fn unguarded(&self) -> Option<&'static str> {
        let place = self.place();
        (place.relation.is_some() && !place.has_heads).then_some(
            "this table has no audit_chain_heads: writers of agenttrace wait for each other there, but another program that \
             writes at the same moment can fork a chain, and events that are removed at its end are not missed",
        )
    }

    /// Whether the heads of chains are recorded beside the table.
    pub(crate) fn has_heads(&self) -> bool {
        self.place().has_heads
    }

    /// The table.
    ///
    /// # Errors
    /// [`StoreError::NoTable`] where there was none when it was last [looked for](Self::find).
    pub(crate) fn relation(&self) -> Result<Arc<Relation>, StoreError> {
        self.place().relation.ok_or(StoreError::NoTable)
    }

    /// The schema of the table, or in which it would be made.
    ///
    /// # Errors
    /// Where the role may make it nowhere.
    pub(crate) fn home(&self) -> Result<String, StoreError> {
        let place = self.place();
        if let Some(relation) = place.relation {
            return Ok(relation.schema.clone());
        }
        place.home.ok_or_else(|| {
            StoreError::Other(match &self.inner.settings.schema {
                Some(schema) => format!(
                    "there is no schema '{}' in which this role may make tables: CREATE SCHEMA makes one, and GRANT CREATE \
                     ON SCHEMA lets the role",
                    schema.escape_debug()
                ),
                None => "no schema of the role's search_path is one in which it may make tables: --schema names another one"
                    .to_owned(),
            })
        })
    }

    /// Looks for the table again, which was made meanwhile.
    ///
    /// # Errors
    /// Those of the connection.
    pub(crate) async fn find(&self) -> Result<(), StoreError> {
        let start = Start { looks_for: Some(relation::TABLE), ..Start::writing() };
        let (mut work, begun) = self.begun(start).await?;
        let place = Place::of(&begun, self.inner.settings.schema.as_deref(), &mut work).await?;
        *self.inner.place.lock().unwrap_or_else(PoisonError::into_inner) = place;
        work.roll_back().await;
        Ok(())
    }

    fn place(&self) -> Place {
        self.inner.place.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Begins a transaction, READ COMMITTED.
    ///
    /// # Errors
    /// Those of the connection, at once when a server is down.
    pub(crate) async fn begin(&self) -> Result<Work, StoreError> {
        Ok(self.begun(Start::writing()).await?.0)
    }

    /// Begins a transaction, all of whose statements see one state.
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub(crate) async fn begin_in_one_snapshot(&self) -> Result<Work, StoreError> {
        let start = Start { isolation: Isolation::OneSnapshot, ..Start::writing() };
        Ok(self.begun(start).await?.0)
    }

    /// A transaction that has the [turn](Work::lock_turn) until the value is dropped, also by the end of the program.
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub(crate) async fn turn(&self, of: &str) -> Result<Work, StoreError> {
        // For as long as the work takes that is done meanwhile.
        let mut turn = self.begun(Start { idle: None, ..Start::writing() }).await?.0;
        turn.lock_turn(of).await?;
        Ok(turn)
    }

    /// Runs a statement of our own that must not be in a transaction, such as VACUUM, with all names in full.
    ///
    /// # Errors
    /// As [`Self::begin`], and those of the server.
    pub(crate) async fn run_alone(&self, statement: String) -> Result<(), StoreError> {
        let Work { session, db, _permit } = self.begin().await?;
        let Some(mut session) = session.ended().await else {
            return Err(StoreError::Connection(silence("the server has stopped answering")));
        };
        session.link.run(statement).await?;
        db.keep(session);
        Ok(())
    }

    /// A transaction on an idle session that answers, else on a new one.
    async fn begun(&self, start: Start<'_>) -> Result<(Work, Begun), StoreError> {
        let inner = &*self.inner;
        let permit = timeout(CONNECT_LIMIT, inner.permits.clone().acquire_owned()).await;
        let permit = permit
            .map_err(|_| {
                StoreError::Other("all connections are busy; try again when something has finished".into())
            })?
            .map_err(|_| StoreError::Other("the database connection has been closed".into()))?;
        let idle = inner.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let work = |session| Work { session, db: self.clone(), _permit: permit };
        if let Some(mut session) = idle
            && let Ok(Ok(begun)) = timeout(CONNECT_LIMIT, session.begin(start, &inner.server)).await
        {
            return Ok((work(session), begun));
        }
        let (session, begun) = open(&inner.options, &inner.server, start).await?;
        Ok((work(session), begun))
    }

    fn keep(&self, session: Session) {
        if !self.inner.permits.is_closed() {
            self.inner.idle.lock().unwrap_or_else(PoisonError::into_inner).push(session);
        }
    }

    /// Closes all idle connections. Work that begins later fails.
    pub async fn close(&self) {
        self.inner.permits.close();
        let idle = std::mem::take(&mut *self.inner.idle.lock().unwrap_or_else(PoisonError::into_inner));
        for session in idle {
            session.close().await;
        }
    }
}

/// A new session in a transaction.
async fn open(
    options: &PgConnectOptions,
    server: &Server,
    start: Start<'_>,
) -> Result<(Session, Begun), StoreError> {
    let opening = async {
        let mut session = Session::open(options, server).await?;
        let begun = session.begin(start, server).await?;
        Ok((session, begun))
    };
    timeout(CONNECT_LIMIT, opening)
        .await
        .map_err(|_| StoreError::Connection(silence("no answer within the time allowed for connecting")))?
}
