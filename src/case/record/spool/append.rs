//! The end of a spool that is written to.

use super::{Part, Shared, path};
use crate::case::record::{cannot, line, sync_folder, trust};
use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often it is looked whether a full disk has room again.
const LOOK: Duration = Duration::from_millis(100);

/// Whether it is the disk that has no room.
fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Why records were not taken; none of them was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// There was no room for them in the time allowed.
    Full {
        /// Bytes that wait.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// They need more room than there may ever be.
    TooLarge {
        /// Bytes of the records.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// They cannot be written, in words.
    Failed(String),
}

/// The end that is written to.
#[derive(Debug)]
pub struct Appender {
    shared: Arc<Shared>,
    pub(super) open: Option<(File, PathBuf)>,
    pub(super) next: u64,
    /// Digest of the newest line.
    last: String,
}

impl Drop for Appender {
    /// Nothing more comes: what was read need not lie there until it does.
    fn drop(&mut self) {
        self.end_file();
        let mut state = self.shared.state();
        self.shared.tidy(&mut state);
    }
}

impl Appender {
    pub(super) fn new(shared: Arc<Shared>, next: u64) -> Self {
        Self { shared, open: None, next, last: String::new() }
    }

    /// Appends records and makes sure that they are on disk; waits for room as long as `patience` allows.
    ///
    /// # Errors
    /// None of the records was taken.
    pub fn append(&mut self, records: &[impl Serialize], patience: Duration) -> Result<(), Refusal> {
        let mut last = self.last.clone();
        let mut text = String::new();
        for record in records {
            let (line, digest) = line::write(self.shared.kind, &last, record)
                .map_err(|e| Refusal::Failed(format!("a record is no JSON: {e}")))?;
            text.push_str(&line);
            last = digest;
        }
        let begun = Instant::now();
        self.make_room(text.len() as u64, patience)?;
        while let Err((why, is_full)) = self.write(&text) {
            // What is behind the last whole line must not be followed by another one.
            self.cut_torn();
            self.end_file();
            self.drop_empty();
            let left = patience.saturating_sub(begun.elapsed());
            if !is_full || left.is_zero() {
                return Err(Refusal::Failed(why));
            }
            // A full disk has room again when what waits was read, or somebody made some.
            self.wait_for_room(left.min(LOOK));
        }
        let mut state = self.shared.state();
        if let Some(part) = state.parts.back_mut() {
            part.bytes += text.len() as u64;
        }
        state.pending += records.len() as u64;
        self.last = last;
        Ok(())
    }

    fn make_room(&mut self, bytes: u64, patience: Duration) -> Result<(), Refusal> {
        let (begun, limit) = (Instant::now(), self.shared.limits.all);
        if bytes > limit {
            return Err(Refusal::TooLarge { bytes, limit });
        }
        let is_over = self.shared.state().bytes() + bytes > limit;
        if is_over {
            // So that it can go as soon as it was read.
            self.end_file();
        }
        let mut state = self.shared.state();
        loop {
            self.shared.tidy(&mut state);
            let there = state.bytes();
            if there + bytes <= limit {
                return Ok(());
            }
            let left = patience.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return Err(Refusal::Full { bytes: there, limit });
            }
            state = self
                .shared
                .room
                .wait_timeout(state, left)
                .map_or_else(|e| e.into_inner().0, |(state, _)| state);
        }
    }

    fn wait_for_room(&self, most: Duration) {
        let mut state = self.shared.state();
        self.shared.tidy(&mut state);
        drop(self.shared.room.wait_timeout(state, most));
    }

    /// Writes lines; else why not, and whether the disk is full.
    fn write(&mut self, text: &str) -> Result<(), (String, bool)> {
        let size = self.shared.state().parts.back().map_or(0, |part| part.bytes);
        if size >= self.shared.limits.file {
            self.end_file();
        }
        let (file, path) = match &mut self.open {
            Some(open) => open,
            none => none.insert(Self::begin(&self.shared, &mut self.next)?),
        };
        file.write_all(text.as_bytes())
            .and_then(|()| file.sync_data())
            .map_err(|e| (cannot("write", path, &e), is_full(&e)))
    }

    fn begin(shared: &Shared, next: &mut u64) -> Result<(File, PathBuf), (String, bool)> {
        let (number, path) = (*next, path(&shared.folder, *next));
        *next += 1;
        let mut options = OpenOptions::new();
        options.append(true).create_new(true).mode(0o600);
        let file = trust::open(&path, &mut options)
            .map_err(|why| (why, false))?
            .ok_or_else(|| (format!("'{}' was removed meanwhile", path.display()), false))?;
        sync_folder(&path).map_err(|e| (cannot("write", &path, &e), is_full(&e)))?;
        shared.state().parts.push_back(Part { number, bytes: 0, is_ended: false });
        Ok((file, path))
    }

    /// Removes the newest file where nothing of it is on disk for certain: else a full disk would leave one for each try.
    fn drop_empty(&self) {
        let mut state = self.shared.state();
        if let Some(part) = state.parts.pop_back_if(|part| part.bytes == 0)
            && std::fs::remove_file(path(&self.shared.folder, part.number)).is_err()
        {
            state.parts.push_back(part);
        }
    }

    /// Takes away what an interrupted write has left behind the last whole line; where that fails, it is never read.
    fn cut_torn(&self) {
        if let Some((file, _)) = &self.open
            && let Some(part) = self.shared.state().parts.back()
        {
            let _ = file.set_len(part.bytes);
        }
    }

    fn end_file(&mut self) {
        self.open = None;
        if let Some(part) = self.shared.state().parts.back_mut() {
            part.is_ended = true;
        }
    }
}
