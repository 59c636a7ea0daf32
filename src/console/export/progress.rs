//! How far an export has come.

use crate::console::widgets::time_zone::Zone;
use crate::domain::{Timestamp, grouped};
use crate::store::query::Looked;

/// How far it has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Events read for the file so far.
    pub(crate) events: u64,
    /// How far a walk past events that do not match has come, where no index serves the filter.
    pub(crate) walked: Option<Walked>,
}

/// A place of such a walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Walked {
    /// All events up to this time were looked at.
    To(Timestamp),
    /// So much of a table without an index on time was read.
    Percent(u8),
}

impl Progress {
    /// `1 204 events · looked at all up to 2026-06-23 22:00Z`
    pub(crate) fn words(self, zone: Zone) -> String {
        let walked = match self.walked {
            None => String::new(),
            Some(Walked::To(time)) => format!(" · looked at all up to {}", zone.minute(time)),
            Some(Walked::Percent(percent)) => format!(" · {percent} % of the table read"),
        };
        format!("{} events{walked}", grouped(self.events))
    }
}

impl Walked {
    /// As a walk says it.
    pub(crate) fn of(looked: &Looked) -> Option<Self> {
        let percent = looked.percent.map(Self::Percent);
        percent.or_else(|| looked.resume.as_ref().map(|key| Self::To(key.timestamp)))
    }
}
