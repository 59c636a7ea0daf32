//! A session: how it is made, known again, and how its transactions begin and end.

use super::super::StoreError;
use super::transaction::{self, Begun, MARK, Start};
use super::{CLOSE_LIMIT, Link, PING_LIMIT, bounded, error};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection};
use std::hash::BuildHasher as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::time::timeout;

/// What was found out about a server by using it.
#[derive(Debug)]
pub(super) struct Server {
    /// Sessions are not ours alone: a pooler hands them out.
    pooled: AtomicBool,
    /// What is before it must see each transaction begin, or it sends the queries elsewhere.
    balanced: AtomicBool,
    /// The server can look after its client while it works; not all systems can.
    watches: AtomicBool,
}

impl Default for Server {
    fn default() -> Self {
        let no = || AtomicBool::new(false);
        Self { pooled: no(), balanced: no(), watches: AtomicBool::new(true) }
    }
}

impl Server {
    pub(super) fn is_pooled(&self) -> bool {
        self.pooled.load(Ordering::Relaxed)
    }
}

/// A connection.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) link: Link,
    /// What the session was marked with when it was made; `None` where that was refused.
    mark: Option<String>,
    /// It was seen that a transaction stays with one server.
    kept_together: bool,
}

impl Session {
    /// Connects with a mark, by which the session is known again. Poolers refuse or ignore it.
    pub(super) async fn open(options: &PgConnectOptions, server: &Server) -> Result<Self, StoreError> {
        // Boxed, as connecting takes room that every statement would carry along.
        bounded(Box::pin(Self::made(options, server))).await
    }

    async fn made(options: &PgConnectOptions, server: &Server) -> Result<Self, StoreError> {
        let session = |connection, mark| Self { link: Link::new(connection), mark, kept_together: false };
        if !server.is_pooled() {
            let mark = new_mark();
            match PgConnection::connect_with(&options.clone().options([(MARK, &mark)])).await {
                Ok(connection) => return Ok(session(connection, Some(mark))),
                Err(e) if error::may_be_of_parameters(&e) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(session(PgConnection::connect_with(options).await?, None))
    }

    /// Begins a transaction. After an error the session must not be used again.
    pub(super) async fn begin(&mut self, start: Start<'_>, server: &Server) -> Result<Begun, StoreError> {
        bounded(Box::pin(self.begun(start, server))).await
    }

    async fn begun(&mut self, start: Start<'_>, server: &Server) -> Result<Begun, StoreError> {
        let alone = server.balanced.load(Ordering::Relaxed);
        let begun = self.begun_once(start, server, alone).await?;
        if self.kept_together {
            return Ok(begun);
        }
        self.kept_together = transaction::is_kept_together(&mut self.link, &begun).await?;
        if self.kept_together {
            return Ok(begun);
        }
        if !alone {
            server.balanced.store(true, Ordering::Relaxed);
            server.pooled.store(true, Ordering::Relaxed);
            sqlx::raw_sql("ROLLBACK").execute(self.link.bare()).await?;
            let begun = self.begun_once(start, server, true).await?;
            self.kept_together = transaction::is_kept_together(&mut self.link, &begun).await?;
            if self.kept_together {
                return Ok(begun);
            }
        }
        Err(StoreError::Scattered)
    }

    async fn begun_once(
        &mut self,
        start: Start<'_>,
        server: &Server,
        alone: bool,
    ) -> Result<Begun, StoreError> {
        let watches = server.watches.load(Ordering::Relaxed);
        let begun = match transaction::begin(&mut self.link, Start { watches, ..start }, alone).await {
            Err(StoreError::Database(e)) if watches && error::is_of_watching(&e) => {
                server.watches.store(false, Ordering::Relaxed);
                sqlx::raw_sql("ROLLBACK").execute(self.link.bare()).await?;
                transaction::begin(&mut self.link, Start { watches: false, ..start }, alone).await
            }
            begun => begun,
        };
        let (begun, mark) = begun?;
        // The mark went to the server with the connection: a session that has it was made for this connection.
        let ours = mark.is_some() && mark == self.mark;
        self.link.named = ours;
        if !ours {
            server.pooled.store(true, Ordering::Relaxed);
        }
        Ok(begun)
    }

    /// The session after the end of its transaction; `None` when that did not come.
    pub(super) async fn ended(mut self) -> Option<Self> {
        // ROLLBACK, because it undoes what code of others may have set for the session.
        let end = sqlx::raw_sql("ROLLBACK").execute(self.link.bare());
        matches!(timeout(PING_LIMIT, end).await, Ok(Ok(_))).then_some(self)
    }

    /// Says farewell, waiting at most a second. A server that is gone needs none.
    pub(super) async fn close(self) {
        let _ = timeout(CLOSE_LIMIT, self.link.connection.close()).await;
    }
}

/// A text that no other session has.
fn new_mark() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{:016x}", std::hash::RandomState::new().hash_one((std::process::id(), next)))
}
