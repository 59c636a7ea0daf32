//! Where reading a file stands, and remembering it.

use crate::case::record::Slot;
use crate::chain::sha256;
use crate::error::Result;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Bytes by which a file is known.
pub(super) const KNOWN_BY: usize = 1024;

/// The first bytes of a file, as many as there are, up to [`KNOWN_BY`].
pub(super) type Beginning = Vec<u8>;

/// A place in the stream of a file that is followed.
#[derive(Debug, Clone, Copy)]
pub(in crate::ingest) struct Mark {
    /// Bytes up to the end of the last record.
    pub(in crate::ingest) position: u64,
    /// The line where that is, from 1.
    pub(in crate::ingest) line: u64,
}

/// How much of a file is stored, and which file that is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Bytes up to the end of its last record; decompressed, of a file that was compressed since.
    pub bytes: u64,
    /// Line breaks before that.
    pub lines: u64,
    /// How many of its first bytes it is known by.
    pub known_by: u64,
    /// Their SHA-256, in hexadecimal.
    pub beginning: String,
}

impl Standing {
    pub(super) fn new(bytes: u64, lines: u64, beginning: &Beginning) -> Self {
        // What stands behind the last record may be written anew.
        let known = beginning.get(..beginning.len().min(usize::try_from(bytes).unwrap_or(usize::MAX)));
        let known = known.unwrap_or_default();
        Self { bytes, lines, known_by: known.len() as u64, beginning: sha256(known) }
    }

    /// Whether a file that begins so is the one.
    pub(super) fn is_of(&self, beginning: &Beginning) -> bool {
        let known = usize::try_from(self.known_by).ok().and_then(|length| beginning.get(..length));
        known.is_some_and(|known| sha256(known) == self.beginning)
    }
}

/// Where reading a file into a database stood, on this machine.
#[derive(Debug)]
pub struct Memory(Slot);

impl Memory {
    /// What is remembered in a folder about a file on its way into a database, which `target` names.
    pub fn of(folder: &Path, target: &str, file: &Path) -> Self {
        let whole = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
        Self(Slot::new(folder, "follow", &[target, &whole.display().to_string()]))
    }

    /// The newest, and why there is none although there is a record.
    pub fn load(&self) -> (Option<Standing>, Vec<String>) {
        let mut there = self.0.load::<Standing>();
        there.remarks.extend(there.refused);
        (there.records.pop(), there.remarks)
    }

    /// Remembers it.
    ///
    /// # Errors
    /// When it cannot be written: then the file is read again from where it stood before, and its events are duplicates.
    pub fn store(&self, standing: &Standing) -> Result<()> {
        self.0.store(standing)
    }
}
