//! Parse, run, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Reports of panics only; errors have a form of their own.
    let _ = color_eyre::install();
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(agenttrace::cli::main()),
        Err(_) => ExitCode::from(3),
    }
}
