//! A queue on disk: numbered files of record lines, appended to at one end ([`Appender`]) and read at the other
//! ([`Reader`]), which remembers how far it came. A file goes when all of it was read. One program uses a spool at a time.
//!
//! What [`Appender::append`] has returned for is on disk. Nothing is read before it is, and what was read and not settled
//! is read again by the next program.

mod append;
mod read;

pub use append::{Appender, Refusal};
pub use read::{Chunk, Damaged, Reader};

use super::{Limits, Slot, cannot, sync_folder, trust};
use crate::error::{Error, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// How far was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Position {
    file: u64,
    bytes: u64,
}

/// What is remembered beside the files.
#[derive(Debug, Serialize, Deserialize)]
struct Place {
    /// What its records are for.
    subject: String,
    read: Position,
}

/// A file of the queue.
#[derive(Debug)]
struct Part {
    number: u64,
    /// Bytes that are on disk for certain.
    bytes: u64,
    /// Nothing is appended to it any more.
    is_ended: bool,
}

#[derive(Debug)]
struct State {
    /// Oldest first.
    parts: VecDeque<Part>,
    read: Position,
    /// Lines that are not settled.
    pending: u64,
}

impl State {
    fn bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.bytes).sum()
    }
}

/// What both ends share.
#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    kind: &'static str,
    subject: String,
    limits: Limits,
    state: Mutex<State>,
    /// Files have gone.
    room: Condvar,
    /// Held as long as one of the ends is there.
    _lock: File,
}

/// How full a spool is, whoever has its ends.
#[derive(Debug, Clone)]
pub struct Gauge(Arc<Shared>);

impl Gauge {
    /// Records that are not settled.
    pub fn pending(&self) -> u64 {
        self.0.state().pending
    }

    /// Bytes of the files, and the limit.
    pub fn bytes(&self) -> (u64, u64) {
        (self.0.state().bytes(), self.0.limits.all)
    }

    /// Where the files lie.
    pub fn folder(&self) -> &Path {
        &self.0.folder
    }
}

/// Opens the spool of a folder, which need not exist yet, for records of a kind about a subject.
///
/// # Errors
/// Exit 3 when another program has it open, others can write it, a newer program wrote it, or what waits in it is for
/// another subject.
pub fn open<T: DeserializeOwned>(
    folder: &Path,
    kind: &'static str,
    subject: &str,
    limits: Limits,
) -> Result<(Appender, Reader<T>, Gauge)> {
    open_in(folder, kind, subject, limits)
        .map_err(|why| Error::could_not_run(format!("the spool is not used: {why}")))
}

fn open_in<T: DeserializeOwned>(
    folder: &Path,
    kind: &'static str,
    subject: &str,
    limits: Limits,
) -> Result<(Appender, Reader<T>, Gauge), String> {
    make(folder).map_err(|e| cannot("make", folder, &e))?;
    let lock = lock(folder)?;
    let slot = position_of(folder, kind);
    let there = slot.load::<Place>();
    if let Some(why) = there.refused {
        return Err(why);
    }
    let place = there.records.into_iter().next();
    let read = place.as_ref().map(|place| place.read).unwrap_or_default();
    let (mut parts, mut pending) = (VecDeque::new(), 0);
    let mut newest = read.file;
    for number in numbers(folder)? {
        let path = path(folder, number);
        newest = newest.max(number);
        if number < read.file {
            // All of it was read.
            std::fs::remove_file(&path).map_err(|e| cannot("remove", &path, &e))?;
            continue;
        }
        let from = if number == read.file { read.bytes } else { 0 };
        let (bytes, lines) = measure(&path, from)?;
        pending += lines;
        parts.push_back(Part { number, bytes, is_ended: true });
    }
    if let Some(place) = place.as_ref().filter(|place| place.subject != subject && pending > 0) {
        return Err(format!(
            "in '{}' {pending} records wait for another target: {}",
            folder.display(),
            place.subject
        ));
    }
    let shared = Shared {
        folder: folder.to_owned(),
        kind,
        subject: subject.to_owned(),
        limits,
        state: Mutex::new(State { parts, read, pending }),
        room: Condvar::new(),
        _lock: lock,
    };
    let shared = Arc::new(shared);
    let noted = shared.remember(read);
    if place.is_none_or(|place| place.subject != subject) {
        // For which target its records are must be known; else a full disk must not keep them from being read.
        noted?;
    }
    let next = newest + 1;
    let appender = Appender::new(Arc::clone(&shared), next);
    let reader = Reader::new(Arc::clone(&shared), next, read);
    Ok((appender, reader, Gauge(shared)))
}

/// Makes a folder, and those above it, such that they are still there after a loss of power.
fn make(folder: &Path) -> io::Result<()> {
    let folder = std::path::absolute(folder)?;
    let missing: Vec<&Path> = folder.ancestors().take_while(|folder| !folder.exists()).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
    missing.into_iter().rev().try_for_each(sync_folder)
}

fn lock(folder: &Path) -> Result<File, String> {
    let path = folder.join("lock");
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true).mode(0o600);
    let file = trust::open(&path, &mut options)?
        .ok_or_else(|| format!("'{}' was removed meanwhile", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::Error(e)) if e.kind() == io::ErrorKind::Unsupported => Ok(file),
        Err(TryLockError::Error(e)) => Err(cannot("lock", &path, &e)),
        Err(TryLockError::WouldBlock) => Err(format!("another program has '{}' open", folder.display())),
    }
}

fn position_of(folder: &Path, kind: &'static str) -> Slot {
    Slot::new(folder, "position", &[kind])
}

fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:06}.ndjson"))
}

/// Numbers of the files, in rising order.
fn numbers(folder: &Path) -> Result<Vec<u64>, String> {
    let entries = std::fs::read_dir(folder).map_err(|e| cannot("read", folder, &e))?;
    let number = |name: &str| name.strip_suffix(".ndjson")?.parse::<u64>().ok();
    let mut numbers: Vec<u64> =
        entries.flatten().filter_map(|entry| number(entry.file_name().to_str()?)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Size of a file, and how many lines begin in it from a byte on.
fn measure(path: &Path, from: u64) -> Result<(u64, u64), String> {
    let failed = |e| cannot("read", path, &e);
    let mut file = trust::open(path, OpenOptions::new().read(true))?
        .ok_or_else(|| format!("'{}' was removed meanwhile", path.display()))?;
    let size = file.metadata().map_err(failed)?.len();
    file.seek(SeekFrom::Start(from.min(size))).map_err(failed)?;
    let (mut lines, mut last) = (0, b'\n');
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = file.read(&mut buffer).map_err(failed)?;
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        lines += memchr::memchr_iter(b'\n', bytes).count() as u64;
        last = bytes.last().copied().unwrap_or(last);
    }
    Ok((size, lines + u64::from(last != b'\n')))
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, read: Position) -> Result<(), String> {
        let place = Place { subject: self.subject.clone(), read };
        position_of(&self.folder, self.kind).store(&place).map_err(|e| e.to_string())
    }

    /// Removes the files of which all was read. One that cannot be removed stays, and takes up room.
    fn tidy(&self, state: &mut State) {
        while let Some(part) = state.parts.front() {
            let is_read = part.number < state.read.file
                || part.number == state.read.file && state.read.bytes >= part.bytes;
            if !(is_read && part.is_ended && std::fs::remove_file(path(&self.folder, part.number)).is_ok()) {
                break;
            }
            state.parts.pop_front();
            self.room.notify_all();
        }
    }
}

#[cfg(test)]
mod tests;
