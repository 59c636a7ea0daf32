//! One state of the database for many transactions.

use super::super::StoreError;
use super::transaction::Isolation;
use super::{Link, ReadDb, Start};
use std::future::Future;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

impl ReadDb {
    /// Runs `work` with a reader whose transactions all see the state of now, whatever is committed meanwhile. A
    /// connection holds that state until `work` has ended: it takes one of [`super::ReadSettings::connections`], and
    /// the server cleans nothing away that is younger.
    ///
    /// # Errors
    /// Those of `work`, and [`StoreError`] when the state cannot be held.
    pub async fn at_one_snapshot<T, E, F>(
        &self,
        cancel: &CancellationToken,
        work: impl FnOnce(ReadDb) -> F,
    ) -> Result<T, E>
    where
        E: From<StoreError>,
        F: Future<Output = Result<T, E>>,
    {
        let (tell, told) = oneshot::channel::<String>();
        let ended = CancellationToken::new();
        let hold = self.run_within(Start::scan(self.snapshot.as_deref()), cancel, async |c: &mut Link| {
            let export = "SELECT pg_catalog.pg_export_snapshot()";
            let id = sqlx::query_scalar(export).persistent(false).fetch_one(c.bare()).await?;
            // Nobody listens where `work` was given up.
            let _ = tell.send(id);
            ended.cancelled().await;
            Ok(())
        });
        let read = async {
            // Ends the holder also where this is given up.
            let _end = ended.clone().drop_guard();
            let id = told.await.ok()?;
            let there = Self { inner: self.inner.clone(), snapshot: Some(id.into()) };
            // A pool may have no second session, and a statement would wait for one for ever.
            if self.is_pooled() && there.gives_no_session(cancel).await {
                return Some(Err(StoreError::OneSession.into()));
            }
            Some(work(there).await)
        };
        match tokio::join!(hold, read) {
            (_, Some(result)) => result,
            (Err(error), None) => Err(error.into()),
            (Ok(()), None) => Err(StoreError::Other("the server has exported no snapshot".to_owned()).into()),
        }
    }

    /// Whether no session can be had beside the one that holds the snapshot.
    async fn gives_no_session(&self, cancel: &CancellationToken) -> bool {
        let asked = self
            .run(cancel, async |c: &mut Link| sqlx::query("SELECT 1").persistent(false).fetch_one(c).await);
        matches!(asked.await, Err(StoreError::Connection(_)))
    }

    /// How a transaction of short statements begins here.
    pub(super) fn short(&self) -> Start<'_> {
        let short = Start::short(self.inner.settings.statement_timeout);
        match &self.snapshot {
            Some(id) => Start { isolation: Isolation::OneSnapshot, snapshot: Some(id), ..short },
            None => short,
        }
    }
}
