//! `--timeout`: the longest time that a command may take.
//!
//! When it is over, what can be cancelled is: the server is told, and a verification records how far it has come. What
//! has not ended a few seconds later is left where it stands.

use super::{Cli, Command, report};
use crate::config::Span;
use crate::error::{Error, Kind, Result};
use std::future::Future;
use std::sync::OnceLock;
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

/// What a command may take to end once it has been cancelled.
const GRACE: Duration = Duration::from_secs(5);

/// When the time of this run is over; set once, before the command begins.
static OVER: OnceLock<Instant> = OnceLock::new();

/// The limit of a run.
#[derive(Debug, Clone, Copy)]
pub(super) struct TimeLimit(Option<Span>);

impl TimeLimit {
    /// That of `--timeout`; of the console it limits its statements instead.
    ///
    /// # Errors
    /// Exit 2 when it is not a duration.
    pub(super) fn of(cli: &Cli) -> Result<Self> {
        let text = cli.global.timeout.as_deref().filter(|_| !opens_console(cli.command.as_ref()));
        let parsed = text.map(|text| text.parse().map_err(|e| Error::usage(format!("--timeout: {e}"))));
        Ok(Self(parsed.transpose()?))
    }

    /// Runs a command within it.
    ///
    /// # Errors
    /// Those of the command; exit 3 when the time was over before it had ended.
    pub(super) async fn keep(self, command: impl Future<Output = Result<()>>) -> Result<()> {
        let Some(limit) = self.0 else { return command.await };
        let over = Instant::now() + limit.as_duration();
        // Nobody else sets it.
        let _ = OVER.set(over);
        match timeout_at(over + GRACE, command).await {
            Ok(Err(e)) if e.kind() == Kind::Interrupted && Instant::now() >= over => {
                Err(stopped(limit, Some(e)))
            }
            Ok(ended) => ended,
            Err(_) => {
                report(&stopped(limit, None));
                // Work on other threads, which cannot be cancelled, would keep the program.
                std::process::exit(Kind::CouldNotRun.exit_code().into());
            }
        }
    }
}

fn opens_console(command: Option<&Command>) -> bool {
    match command {
        None => true,
        #[cfg(feature = "demo")]
        Some(Command::Demo(_)) => true,
        Some(_) => false,
    }
}

fn stopped(limit: Span, by: Option<Error>) -> Error {
    let text = format!("the command took longer than --timeout {limit} and was stopped");
    let Some(by) = by else { return Error::could_not_run(text) };
    let hints = by.hints().to_vec();
    let said = by.to_string();
    // `stopped` alone says nothing more.
    let text = if said == "stopped" || said.is_empty() { text } else { format!("{text}: {said}") };
    hints.into_iter().fold(Error::could_not_run(text), Error::hint)
}

/// Fires the token when the time of this run is over.
#[expect(clippy::disallowed_methods, reason = "ends with the program")]
pub(super) fn fire_when_over(cancel: CancellationToken) {
    if let Some(over) = OVER.get().copied() {
        tokio::spawn(async move {
            sleep_until(over).await;
            cancel.cancel();
        });
    }
}
