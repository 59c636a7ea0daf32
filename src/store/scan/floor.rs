//! The same reading without looking at what is read: what the server and the driver cost by themselves.

use super::super::StoreError;
use super::pace::TURN;
use super::{AFTER_UNIT, BEFORE_UNIT, Snapshot};
use futures_util::StreamExt as _;

impl Snapshot<'_> {
    /// Reads what [`Snapshot::read`] with one reader would, in the same pieces, and drops it. Returns the bytes of it.
    /// For benchmarks: a row that cannot be read is an error here.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn discard(&mut self) -> Result<u64, StoreError> {
        let (pieces, _) = self.table.pieces(self.c, &[]).await?;
        let backend: i32 = sqlx::query_scalar("SELECT pg_catalog.pg_backend_pid()")
            .persistent(false)
            .fetch_one(&mut *self.c)
            .await?;
        let mut bytes = 0;
        for unit in pieces.into_iter().flat_map(|piece| piece.units) {
            sqlx::raw_sql(BEFORE_UNIT).execute(&mut *self.c).await?;
            let sql = self.table.copy(&unit, backend);
            // Until the stream has been read to its end.
            self.poisoned = true;
            let mut stream = self.c.copy_out_raw(&sql).await?;
            let mut since_turn = 0;
            while let Some(piece) = stream.next().await {
                bytes += piece?.len() as u64;
                since_turn += 1;
                if since_turn == TURN {
                    since_turn = 0;
                    tokio::task::yield_now().await;
                }
            }
            drop(stream);
            self.poisoned = false;
            sqlx::raw_sql(AFTER_UNIT).execute(&mut *self.c).await?;
        }
        Ok(bytes)
    }

    /// Reads the events of the scope as the server writes them as JSON, oldest first, and drops them. Returns the bytes of
    /// it. For benchmarks, as [`Self::discard`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn discard_as_json(&mut self) -> Result<u64, StoreError> {
        let sql = self.table.copy_as_json();
        self.poisoned = true;
        let mut stream = self.c.copy_out_raw(&sql).await?;
        let mut bytes = 0;
        while let Some(piece) = stream.next().await {
            bytes += piece?.len() as u64;
        }
        drop(stream);
        self.poisoned = false;
        Ok(bytes)
    }
}
