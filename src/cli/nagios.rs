//! The line and the exit codes of Nagios, which are not those of this program.

use super::Context;
use crate::domain::Safe;
use crate::error::{Error, Kind, Result};
use std::io::Write as _;

/// A state of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// 0
    Ok,
    /// 1
    Warning,
    /// 2
    Critical,
    /// 3
    Unknown,
}

impl State {
    /// Writes the line, and ends with the code.
    ///
    /// # Errors
    /// Every state but [`Self::Ok`], silently.
    pub(super) fn report(self, context: &Context, text: &str) -> Result<()> {
        let (word, code) = match self {
            Self::Ok => ("OK", None),
            Self::Warning => ("WARNING", Some(Kind::Finding)),
            Self::Critical => ("CRITICAL", Some(Kind::Usage)),
            Self::Unknown => ("UNKNOWN", Some(Kind::CouldNotRun)),
        };
        let mut out = context.out.results();
        writeln!(out, "{word} - {}", Safe::composed(text))?;
        out.flush()?;
        code.map_or(Ok(()), |kind| Err(Error::silent(kind)))
    }
}
