//! Stopping what a transaction of ours runs.

use super::super::StoreError;
use super::transaction::Backend;
use super::{Inner, Session};
#[expect(clippy::disallowed_types, reason = "our own statement with a number and a time of the server")]
use sqlx::AssertSqlSafe;
use sqlx::PgConnection;
use std::future::Future;
use std::pin::{Pin, pin};
use std::time::Duration;
use tokio::time::timeout;

/// How long the end of a cancelled statement is waited for before its connection is closed instead.
const CANCEL_LIMIT: Duration = Duration::from_secs(2);
/// A cancel request that finds no statement does nothing; it is repeated after this time.
const CANCEL_REPEAT: Duration = Duration::from_millis(50);

impl Inner {
    /// Cancels the statement that `work` waits for and reads on to its end. `None` when the end did not come in time:
    /// the connection must then not be used again.
    ///
    /// The statement's end alone is not enough: a request that is still under way would hit whatever the connection
    /// runs next. So each request is awaited too; once the server has signalled the process, a signal that finds no
    /// statement is ignored before the next one is read. The transaction is still open then, so behind a pooler the
    /// process has not passed on to others.
    pub(super) async fn stop<T>(
        &self,
        backend: &Backend,
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
    pub(super) async fn prepare_to_cancel(&self) {
        let mut control = self.control.lock().await;
        if control.is_none() {
            // If it cannot be made now, it is tried again when it is needed.
            *control = self.open().await.ok();
        }
    }

    /// Asks the server to cancel what `backend` runs, over the control connection, which is made anew when it is dead.
    async fn request_cancel(&self, backend: &Backend) -> Result<(), StoreError> {
        let mut control = self.control.lock().await;
        if let Some(Session { link, .. }) = control.as_mut()
            && signal(link.bare(), backend).await.is_ok()
        {
            return Ok(());
        }
        let session = control.insert(self.open().await?);
        Ok(signal(session.link.bare(), backend).await?)
    }
}

/// One message, with a transaction of its own and nothing left to the path of schemas.
async fn signal(control: &mut PgConnection, backend: &Backend) -> Result<(), sqlx::Error> {
    // As the server printed it: digits and signs.
    let since: String = backend
        .since
        .chars()
        .filter(|c| c.is_ascii_digit() || matches!(c, '-' | '+' | ':' | '.' | ' '))
        .collect();
    let sql = format!(
        "BEGIN TRANSACTION READ ONLY; SET LOCAL search_path = pg_catalog, pg_temp; \
         SELECT pg_catalog.pg_cancel_backend(a.pid) FROM pg_catalog.pg_stat_activity a \
         WHERE a.pid = {} AND a.xact_start = '{since}'::pg_catalog.timestamptz; ROLLBACK",
        backend.pid
    );
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(control).await.map(drop)
}
