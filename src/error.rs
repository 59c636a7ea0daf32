//! The error that reaches a person: what happened, what to do about it, and the exit code.

use std::fmt;

/// What an error means for whoever called the program; each kind is one exit code (`docs/reference/exit-codes.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Something was found that should not be: exit 1.
    Finding,
    /// The command line, the configuration or the filter is wrong: exit 2.
    Usage,
    /// The work could not be done: connection, permission, time-out, unreadable file: exit 3.
    CouldNotRun,
    /// Done in part, or there was nothing to do: exit 4.
    Incomplete,
    /// Refused by policy until the user insists: exit 5.
    Refused,
    /// Stopped by the user: exit 130.
    Interrupted,
    /// Ended by a signal of this number: exit 128 and the number, as shells say it.
    Signal(u8),
}

impl Kind {
    /// The process's exit code.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Finding => 1,
            Self::Usage => 2,
            Self::CouldNotRun => 3,
            Self::Incomplete => 4,
            Self::Refused => 5,
            Self::Interrupted => 130,
            Self::Signal(number) => 128_u8.saturating_add(number),
        }
    }
}

/// An error with its kind and what the user can do.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    message: String,
    hints: Vec<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Result with the program's own error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A new error; the message is a sentence without a full stop.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hints: Vec::new(), source: None }
    }

    /// An exit code without a message: what was written to standard output says it all.
    pub fn silent(kind: Kind) -> Self {
        Self::new(kind, "")
    }

    /// Whether nothing is to be printed.
    pub fn is_silent(&self) -> bool {
        self.message.is_empty() && self.hints.is_empty() && self.source.is_none()
    }

    /// Wrong command line, configuration or filter.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// Work that could not be done.
    pub fn could_not_run(message: impl Into<String>) -> Self {
        Self::new(Kind::CouldNotRun, message)
    }

    /// Adds a line that says what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What kind it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What the user can do, a line each.
    pub fn hints(&self) -> &[String] {
        &self.hints
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        let mut last = self.message.clone();
        let mut cause = std::error::Error::source(self);
        while let Some(e) = cause {
            // Many error types repeat their cause in their own text.
            let text = e.to_string();
            if !last.contains(&text) {
                write!(f, ": {text}")?;
            }
            last = text;
            cause = e.source();
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|e| e as _)
    }
}

impl From<std::io::Error> for Error {
    fn from(e: std::io::Error) -> Self {
        Self::could_not_run("input or output failed").because(e)
    }
}
