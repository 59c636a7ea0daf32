//! The organisations a table holds (by a loose index scan).

use super::{ReadDb, StoreError};
use crate::domain::{OrgId, Timestamp};
use tokio_util::sync::CancellationToken;

/// One organisation as the chooser shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organization {
    /// Its id.
    pub id: OrgId,
    /// Time of its newest event.
    pub newest: Option<Timestamp>,
    /// Events written by our writer, from the chain heads; `None` where there is no such table or row.
    pub events: Option<u64>,
}

/// All organisations, by id.
pub async fn list(db: &ReadDb, cancel: &CancellationToken) -> Result<Vec<Organization>, StoreError> {
    todo!()
}
