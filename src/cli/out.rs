//! Results to stdout; remarks and progress to stderr. The only place that prints.

use crate::domain::{Joiners, Safe};
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
        let width = terminal_size::terminal_size().map(|(columns, _)| usize::from(columns.0));
        table::Style { width: width.filter(|w| *w > 0 && self.stdout_is_terminal), color: self.color }
    }

    /// What becomes of joiners in lines of events on stdout: files keep those that words need.
    pub fn joiners(self) -> Joiners {
        if self.stdout_is_terminal { Joiners::Escaped } else { Joiners::Kept }
    }

    /// A remark on stderr, unless `--quiet`; what is hidden in it is escaped.
    pub fn remark(self, text: impl std::fmt::Display) {
        if !self.quiet {
            // A closed stderr is no reason to fail.
            let _ = writeln!(io::stderr(), "{}", Safe::composed(&text.to_string()));
        }
    }
}

/// A progress bar's rate in whole events a second, for `{rate}` in its template.
pub(super) fn rate(state: &ProgressState, to: &mut dyn fmt::Write) {
    // A bar that cannot be drawn is no reason to fail.
    let _ = write!(to, "{:.0}/s", state.per_sec());
}
