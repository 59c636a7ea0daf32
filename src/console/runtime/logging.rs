//! A log in a file, when it is asked for: the screen is the console's.

use crate::error::{Error, Result};
use directories::ProjectDirs;
use tracing_appender::non_blocking::WorkerGuard;
use tracing_subscriber::EnvFilter;

/// The variable that asks for a log, with what to log: `AGENTTRACE_LOG=debug`.
const VARIABLE: &str = "AGENTTRACE_LOG";

/// Begins to log to `console.log` in the state folder, if that is asked for. The log ends when the guard is dropped.
///
/// # Errors
/// When the variable is no filter of log lines, or the folder cannot be made.
pub(crate) fn to_file() -> Result<Option<WorkerGuard>> {
    let Ok(wanted) = std::env::var(VARIABLE) else { return Ok(None) };
    let filter = EnvFilter::try_new(&wanted).map_err(|e| {
        Error::usage(format!("{VARIABLE} cannot be used")).because(e).hint("try AGENTTRACE_LOG=debug")
    })?;
    let folders = ProjectDirs::from("", "", "agenttrace")
        .ok_or_else(|| Error::could_not_run("there is no home folder for a log").hint("set HOME"))?;
    let folder = folders.state_dir().unwrap_or_else(|| folders.data_local_dir());
    std::fs::create_dir_all(folder)?;
    let (writer, guard) =
        tracing_appender::non_blocking(tracing_appender::rolling::never(folder, "console.log"));
    let subscriber =
        tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(writer).finish();
    // A program that has one already keeps it.
    let _ = tracing::subscriber::set_global_default(subscriber);
    Ok(Some(guard))
}
