//! Results to stdout; remarks and progress to stderr. The only place that prints.

use crate::export::table;
use indicatif::ProgressState;
use std::fmt;
use std::io::{self, Write};

/// Where a command's output goes.
#[derive(Debug, Clone, Copy)]
pub struct Out {
    /// No remarks and no progress.
    pub quiet: bool,
    /// stdout is a terminal.
    pub stdout_is_terminal: bool,
    /// stderr is a terminal.
    pub stderr_is_terminal: bool,
    /// Colours on stdout.
    pub color: bool,
}

impl Out {
    /// A locked, buffered stdout for results. A broken pipe surfaces as an error of that kind, which `main` turns into
    /// exit 0.
    pub fn results(self) -> io::BufWriter<io::StdoutLock<'static>> {
        io::BufWriter::new(io::stdout().lock())
    }

    /// How tables are drawn on stdout: as wide as the terminal, uncut into files.
    pub fn style(self) -> table::Style {
        let width = crossterm::terminal::size().ok().map(|(columns, _)| usize::from(columns));
        table::Style { width: width.filter(|w| *w > 0 && self.stdout_is_terminal), color: self.color }
    }

    /// A remark on stderr, unless `--quiet`.
    pub fn remark(self, text: impl std::fmt::Display) {
        if !self.quiet {
            // A closed stderr is no reason to fail.
            let _ = writeln!(io::stderr(), "{text}");
        }
    }
}

/// A progress bar's rate in whole events a second, for `{rate}` in its template.
pub(super) fn rate(state: &ProgressState, to: &mut dyn fmt::Write) {
    // A bar that cannot be drawn is no reason to fail.
    let _ = write!(to, "{:.0}/s", state.per_sec());
}
