//! Server binaries for `demo` where none are installed: asked for on a terminal, fetched without one.

use super::context::{blocking, server_error};
use super::{Context, Out, demo};
use crate::error::Result;
use crate::server::{self, Offer, PrivateServer, Purpose, ServerError};
use std::io::{self, IsTerminal as _};

/// The private server, running. The pinned binaries are fetched where none fit: `unasked`, or without a terminal, at
/// once; else after a question whose usual answer is yes.
///
/// # Errors
/// Exit 3 when the server cannot be had.
pub(super) async fn private_server(context: &Context, unasked: bool) -> Result<PrivateServer> {
    let out = context.out;
    let asks = !unasked && io::stdin().is_terminal() && out.stderr_is_terminal;
    let folder = server::default_folder().map_err(server_error)?;
    let options = server::Options { folder, purpose: Purpose::Keep };
    blocking(move || {
        let mut agree = |missing: &ServerError, offer: &Offer| {
            let question = format!("{missing}.\nFetch {offer}? [Y/n] ");
            // Without an answer nothing is fetched.
            !asks || demo::ask(&question).is_ok_and(|answer| is_yes(&answer))
        };
        // What is fetched is always said.
        let loud = Out { quiet: false, ..out };
        PrivateServer::attach_or_fetch(&options, &mut agree, &mut |line| loud.remark(line))
    })
    .await?
    .map_err(server_error)
}

/// Enter is a yes; the end of the input is none.
fn is_yes(answer: &str) -> bool {
    answer.ends_with('\n') && matches!(answer.trim(), "" | "y" | "Y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enter_agrees_and_nothing_else_does_by_accident() {
        let agreed = ["\n", "y\n", "Y\r\n", "yes\n"];
        assert!(agreed.iter().all(|answer| is_yes(answer)));
        let refused = ["", "n\n", "no\n", "y", "q\n"];
        assert!(!refused.iter().any(|answer| is_yes(answer)));
    }
}
