//! The server binaries of a test run: installed ones, else the pinned ones, fetched into the data folder of whoever runs
//! the tests, as `demo` does. `AGENTTRACE_NO_FETCH` forbids that.

use agenttrace::server::{self, Offer, ServerError};
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Their folder.
pub(crate) fn ensure() -> &'static Path {
    static BINARIES: OnceLock<PathBuf> = OnceLock::new();
    BINARIES.get_or_init(|| {
        let found = server::provide_binaries(&mut agree, &mut |line| say(&format!("{line}\n")));
        found.unwrap_or_else(|e| panic!("no PostgreSQL for the tests: {e}\n{}", e.hints.join("\n")))
    })
}

fn agree(missing: &ServerError, offer: &Offer) -> bool {
    if std::env::var_os("AGENTTRACE_NO_FETCH").is_some_and(|value| !value.is_empty()) {
        return false;
    }
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return true;
    }
    say(&format!("{missing}.\nFetch {offer}? [Y/n] "));
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).unwrap();
    answer.ends_with('\n') && matches!(answer.trim(), "" | "y" | "Y" | "yes")
}

/// Past the test harness, which keeps what tests print.
fn say(text: &str) {
    io::stderr().write_all(text.as_bytes()).unwrap();
}
