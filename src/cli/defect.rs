//! Panics of a command, turned into an error.
//!
//! A server that does not keep to the protocol makes the database library panic here and there. Whoever asked gets an
//! error of the usual form then, without a backtrace.

use crate::error::{Error, Result};
use futures_util::FutureExt as _;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, IsTerminal as _, Write as _};
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Mutex, PoisonError};

/// What the last panic said, with its place in the source.
static LAST: Mutex<Option<String>> = Mutex::new(None);

/// From now on panics are noted instead of printed. `RUST_BACKTRACE` still prints where they come from, on a terminal.
pub(super) fn note_panics() {
    panic::set_hook(Box::new(|info| {
        let payload = info.payload();
        let said = payload.downcast_ref::<String>().map(String::as_str);
        let said = said.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no reason given");
        let place = info.location().map(|place| format!(" ({}:{})", place.file(), place.line()));
        let text = format!("{said}{}", place.unwrap_or_default());
        tracing::error!(text, "a panic");
        let backtrace = Backtrace::capture();
        if backtrace.status() == BacktraceStatus::Captured && io::stderr().is_terminal() {
            let _ = writeln!(io::stderr(), "{backtrace}");
        }
        *LAST.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
    }));
}

/// The end of `work`; a panic of it is an error.
///
/// # Errors
/// Those of `work`, and exit 3 when it panicked.
pub(super) async fn caught(work: impl Future<Output = Result<()>>) -> Result<()> {
    // Nothing of what `work` leaves half done is used again.
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|_| Err(error()))
}

/// The error for a panic of a command, or of a task of one.
pub(super) fn error() -> Error {
    let said = LAST.lock().unwrap_or_else(PoisonError::into_inner).take();
    let said = said.unwrap_or_else(|| "no reason given".to_owned());
    Error::could_not_run(format!("the command ended by a defect: {said}"))
        .hint("a server that does not speak PostgreSQL's protocol can bring this about, too")
        .hint("RUST_BACKTRACE=1 says on a terminal where it comes from; a report of it is welcome")
}
