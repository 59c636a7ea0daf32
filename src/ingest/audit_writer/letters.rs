//! The file of dead letters: what was taken and cannot be stored, with the reason.

use crate::ingest::{RejectedRecord, RejectsFile};
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A file that several parts append to.
#[derive(Debug)]
pub(super) struct Letters {
    path: PathBuf,
    file: Mutex<RejectsFile>,
}

impl Letters {
    pub(super) fn at(path: PathBuf) -> Self {
        Self { file: Mutex::new(RejectsFile::at(path.clone())), path }
    }

    fn file(&self) -> MutexGuard<'_, RejectsFile> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends records and makes sure that they are on disk.
    pub(super) fn write(&self, records: &[RejectedRecord<'_>]) -> io::Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        let mut file = self.file();
        let written = records.iter().try_for_each(|record| file.write(record)).and_then(|()| file.sync());
        if written.is_err() {
            // The next try begins with what is in the file, not with what could not be written.
            *file = RejectsFile::at(self.path.clone());
        }
        written
    }

    pub(super) fn written(&self) -> Vec<PathBuf> {
        self.file().written().to_vec()
    }
}
