//! The private PostgreSQL of `demo` and of the tests: real server binaries, a data folder of our own, a unix socket
//! in a 0700 folder, shared between programs, stopped by the last one.

use sqlx::postgres::PgConnectOptions;
use std::path::PathBuf;

/// What the cluster is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Kept between runs: `fsync = on`, `synchronous_commit = off`.
    Keep,
    /// For tests: no fsync, the folder is removed by its last user.
    ThrowAway,
}

/// Where the private server lives.
#[derive(Debug, Clone)]
pub struct Options {
    /// Folder that holds `pg15/` and so on, the locks and the log.
    pub folder: PathBuf,
    /// Kept or thrown away.
    pub purpose: Purpose,
}

/// Why the private server cannot be had; the text names the remedy.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ServerError {
    message: String,
    /// What to do, a line each.
    pub hints: Vec<String>,
}

/// A running server, shared with other programs; dropping it leaves it, and the last one to leave stops it.
#[derive(Debug)]
pub struct PrivateServer {}

/// The folder of the private server that is kept.
///
/// # Errors
/// When there is no data folder.
pub fn default_folder() -> Result<PathBuf, ServerError> {
    todo!()
}

impl PrivateServer {
    /// Attaches to the running server, or starts (and first makes) it. Blocks: up to seconds on a new cluster.
    ///
    /// # Errors
    /// When there are no binaries, the folder cannot be used, or the server does not come up (with the end of its log).
    pub fn attach(options: &Options) -> Result<Self, ServerError> {
        todo!()
    }

    /// How to connect to a database on it, as its owner.
    pub fn connect_options(&self, database: &str) -> PgConnectOptions {
        todo!()
    }

    /// Starts the server again if it has died; returns at once when it is alive. Blocks.
    ///
    /// # Errors
    /// As [`Self::attach`].
    pub fn revive(&self) -> Result<(), ServerError> {
        todo!()
    }

    /// Major version.
    pub fn major(&self) -> u32 {
        todo!()
    }
}
