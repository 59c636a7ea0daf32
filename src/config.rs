//! Configuration and the choice of the target database.

use crate::server::PrivateServer;
use sqlx::postgres::PgConnectOptions;
use std::sync::Arc;

/// A database to work on, and where its name came from.
#[derive(Debug, Clone)]
pub struct Target {
    /// How to connect.
    pub options: PgConnectOptions,
    /// What people call it, such as `demo` or `profile prod`.
    pub label: String,
    /// Marked as production in the profile.
    pub production: bool,
    /// The private server it lives on; holding it keeps the server running.
    pub server: Option<Arc<PrivateServer>>,
}
