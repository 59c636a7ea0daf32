//! Events of organisations whose chain somebody has to look at first: they wait in a spool of their own, so that they hold
//! up nobody else.

use super::Pause;
use super::spooled::Spooled;
use crate::case::record::Limits;
use crate::case::record::spool::{self, Appender, Gauge, Reader};
use crate::chain::sha256;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The events of one organisation that wait.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) organization: String,
    pub(super) appender: Appender,
    pub(super) reader: Reader<Spooled>,
    pub(super) gauge: Gauge,
    /// So many of the oldest were there before this writer.
    pub(super) old: u64,
    /// When it is tried again.
    pub(super) due: Instant,
    pub(super) pause: Pause,
}

/// Where spools of held events lie, for which target, and how large all of them may be.
#[derive(Debug, Clone)]
pub(super) struct Shelf {
    pub(super) folder: PathBuf,
    pub(super) kind: &'static str,
    pub(super) subject: String,
    pub(super) limits: Limits,
    pub(super) backoff: (Duration, Duration),
}

impl Shelf {
    /// The spool of an organisation, made where there is none.
    ///
    /// # Errors
    /// Why it cannot be used, in words.
    pub(super) fn of(&self, organization: &str) -> Result<Held, String> {
        let name: String = sha256(organization).chars().take(32).collect();
        self.open(&self.folder.join(name), organization.to_owned())
    }

    /// Those that an earlier writer left.
    ///
    /// # Errors
    /// Why one cannot be used, in words.
    pub(super) fn all(&self) -> Result<Vec<Held>, String> {
        let entries = match std::fs::read_dir(&self.folder) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|e| format!("cannot read '{}': {e}", self.folder.display()))?,
        };
        let mut all = Vec::new();
        for folder in entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()) {
            let mut held = self.open(&folder, String::new())?;
            let first = held.reader.next(1)?;
            let Some(organization) =
                first.and_then(|chunk| Some(chunk.records.first()?.organization().to_owned()))
            else {
                remove_empty(held, &folder);
                continue;
            };
            held.organization = organization;
            all.push(held);
        }
        Ok(all)
    }

    fn open(&self, folder: &Path, organization: String) -> Result<Held, String> {
        let (appender, reader, gauge) =
            spool::open(folder, self.kind, &self.subject, self.limits).map_err(|e| e.to_string())?;
        let (old, due, pause) = (gauge.pending(), Instant::now(), Pause::new(self.backoff));
        Ok(Held { organization, appender, reader, gauge, old, due, pause })
    }
}

impl Held {
    /// Removes a spool in which nothing waits.
    pub(super) fn let_go(self) {
        let folder = self.gauge.folder().to_owned();
        remove_empty(self, &folder);
    }
}

/// What is left is a lock and a position: both are made anew where they are needed.
fn remove_empty(held: Held, folder: &Path) {
    let is_empty = held.gauge.pending() == 0;
    drop(held);
    if is_empty {
        // A folder that stays costs nothing.
        let _ = std::fs::remove_dir_all(folder);
    }
}
