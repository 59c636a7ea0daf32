//! A program that prints the password: vaults, tokens of a cloud.

use super::listens_at;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgConnectOptions;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// How long the program may take.
const LIMIT: Duration = Duration::from_secs(30);

/// Program and arguments. They are run as they stand, without a shell: nothing in them has to be quoted, and nothing
/// that comes from elsewhere can become a command.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PasswordCommand(Vec<String>);

impl PasswordCommand {
    /// Whether there is a program to run.
    pub(super) fn names_a_program(&self) -> bool {
        self.0.first().is_some_and(|program| !program.is_empty())
    }

    /// The first line that the program prints. It is told which password is asked for by `PGHOST`, `PGPORT`, `PGUSER`
    /// and `PGDATABASE`. Its standard error is the program's own; it has no standard input.
    ///
    /// # Errors
    /// Exit 3 when it cannot be started, fails, prints nothing, or takes longer than 30 s.
    pub async fn password(&self, server: &PgConnectOptions) -> Result<String> {
        let Some((program, arguments)) = self.0.split_first() else {
            return Err(Error::usage("password_command names no program"));
        };
        let host = server.get_socket().map_or(server.get_host().to_owned(), |s| s.display().to_string());
        let running = Command::new(program)
            .args(arguments)
            .env("PGHOST", host)
            .env("PGPORT", server.get_port().to_string())
            .env("PGUSER", server.get_username())
            .env("PGDATABASE", server.get_database().unwrap_or(server.get_username()))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .output();
        let failed = |why: String| {
            Error::could_not_run(format!("password_command ('{program}') for {}: {why}", listens_at(server)))
                .hint("it is run without a shell; a shell line is [\"sh\", \"-c\", \"…\"]")
        };
        let output = tokio::time::timeout(LIMIT, running)
            .await
            .map_err(|_| failed(format!("no password within {} s", LIMIT.as_secs())))?
            .map_err(|e| failed(format!("cannot be run: {e}")))?;
        if !output.status.success() {
            return Err(failed(format!("it failed ({})", output.status)));
        }
        let text = String::from_utf8(output.stdout).map_err(|_| failed("it printed no UTF-8".to_owned()))?;
        let password = text.lines().next().unwrap_or_default();
        if password.is_empty() {
            return Err(failed("it printed no password".to_owned()));
        }
        Ok(password.to_owned())
    }
}
