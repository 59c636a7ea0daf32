//! Whether the server still answers, whatever is at work.

use super::super::StoreError;
use super::error::silence;
use super::{ReadDb, Session};
use std::time::Duration;
use tokio::time::timeout;

impl ReadDb {
    /// How long the server may take to answer a pulse.
    pub const PULSE_LIMIT: Duration = Duration::from_millis(2_400);
    /// How often it is asked while a statement takes as long as it takes.
    const PULSE_EVERY: Duration = Duration::from_secs(5);

    /// Ends when the server gives no sign of life any more.
    pub(super) async fn until_silent(&self) {
        loop {
            tokio::time::sleep(Self::PULSE_EVERY).await;
            if self.pulse().await.is_err_and(|error| error.is_connection_loss()) {
                return;
            }
        }
    }

    /// Asks the server for a sign of life over the control connection, so that neither statements that run long nor a lack
    /// of connections are taken for silence.
    ///
    /// # Errors
    /// [`StoreError::Connection`] when there is none within [`Self::PULSE_LIMIT`]; a control connection that is to be made
    /// first is waited for as any other. Behind a pooler silence says nothing while a statement of ours is at work: it may
    /// have the only session.
    pub async fn pulse(&self) -> Result<(), StoreError> {
        let inner = &*self.inner;
        let locked = timeout(Self::PULSE_LIMIT, inner.control.lock()).await;
        let mut control = locked.map_err(|_| stopped())?;
        // Taken out: a session that has not answered is not used again.
        if let Some(session) = control.take() {
            match timeout(Self::PULSE_LIMIT, beat(session)).await {
                Ok(Ok(session)) => {
                    *control = Some(session);
                    return Ok(());
                }
                // Somebody has closed it: that says nothing of the server.
                Ok(Err(_)) => {}
                Err(_) if self.waits_for_a_pooler() => return Ok(()),
                Err(_) => return Err(stopped()),
            }
        }
        match timeout(Self::PULSE_LIMIT, beat(inner.open().await?)).await {
            Ok(session) => *control = Some(session?),
            Err(_) if self.waits_for_a_pooler() => {}
            Err(_) => return Err(stopped()),
        }
        Ok(())
    }

    fn waits_for_a_pooler(&self) -> bool {
        let most = self.inner.settings.connections.saturating_sub(1).max(1) as usize;
        self.is_pooled() && self.inner.permits.available_permits() < most
    }
}

/// The session, if it answers.
async fn beat(mut session: Session) -> Result<Session, StoreError> {
    sqlx::raw_sql("SELECT 1").execute(session.link.bare()).await?;
    Ok(session)
}

fn stopped() -> StoreError {
    StoreError::Connection(silence("the server has stopped answering"))
}
