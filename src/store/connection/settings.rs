//! What a reader may take, and what it reads.

use crate::domain::Naming;
use crate::store::cache::Cache;
use std::time::Duration;

/// Limits of a reader.
#[derive(Debug, Clone)]
pub struct ReadSettings {
    /// Maximum number of connections, control connection included.
    pub connections: u32,
    /// `statement_timeout` of interactive statements.
    pub statement_timeout: Duration,
    /// How long to wait for a connection.
    pub connect_timeout: Duration,
    /// Events that one statement looks at, at most, where no index serves the whole filter: 50 000 take 30 to 50 ms.
    pub walk: u32,
    /// Where answers are kept that hold for a while.
    pub cache: Cache,
    /// The schema of the table; `None`: the first one of the caller's path of schemas that has such a table.
    pub schema: Option<String>,
    /// How the table and its columns are called, where not as ours.
    pub naming: Naming,
    /// Read although code of another role runs with a superuser's rights.
    pub as_superuser: bool,
}

impl Default for ReadSettings {
    fn default() -> Self {
        Self {
            connections: 5,
            statement_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            walk: 50_000,
            cache: Cache::default(),
            schema: None,
            naming: Naming::default(),
            as_superuser: false,
        }
    }
}
