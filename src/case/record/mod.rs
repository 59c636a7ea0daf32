//! Local records: append-only NDJSON files in which each line carries a checksum and the digest of the line before, so
//! that a removed, replaced or reordered line is found and named. `docs/reference/local-records.md` describes the format.
//!
//! What cannot be read is a remark, never an error: notes on this machine must not cost anybody a verdict.

mod line;
mod log;
mod slot;
pub mod spool;
pub(super) mod trust;

pub use line::{Remark, VERSION};
pub use log::{Limits, Loaded, Log};
pub use slot::Slot;

use crate::error::{Error, Result};
use line::Parsed;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long another program's append is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// Files beyond this size, in bytes, are refused.
const LARGEST: u64 = 256 * 1024 * 1024;

/// An append-only file of records of one kind.
#[derive(Debug, Clone)]
pub struct Segment {
    path: PathBuf,
    kind: &'static str,
}

/// What a record file holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Contents<T> {
    /// The valid records, oldest first.
    pub records: Vec<T>,
    /// Damage, one sentence each; the valid records are not affected by it.
    pub remarks: Vec<String>,
    /// Why nothing of the file is used: others can write it, it is no regular file, or a newer program wrote it.
    pub refused: Option<String>,
}

impl<T> Default for Contents<T> {
    fn default() -> Self {
        Self { records: Vec::new(), remarks: Vec::new(), refused: None }
    }
}

impl<T> Contents<T> {
    /// The same with what an older file of the same kind holds in front of it.
    #[must_use]
    pub fn after(self, mut older: Self) -> Self {
        older.records.extend(self.records);
        older.remarks.extend(self.remarks);
        older.refused = older.refused.or(self.refused);
        older
    }

    /// The same with each record converted.
    pub fn map<U>(self, convert: impl FnMut(T) -> U) -> Contents<U> {
        let records = self.records.into_iter().map(convert).collect();
        Contents { records, remarks: self.remarks, refused: self.refused }
    }

    fn refused(why: String) -> Self {
        Self { refused: Some(why), ..Self::default() }
    }
}

impl Segment {
    /// The file `kind.ndjson` of a folder; it need not exist yet.
    pub fn new(folder: &Path, kind: &'static str) -> Self {
        Self { path: folder.join(kind).with_extension("ndjson"), kind }
    }

    /// The file `name.ndjson` of a folder, with records of a kind; it need not exist yet.
    pub fn named(folder: &Path, name: &str, kind: &'static str) -> Self {
        Self { path: folder.join(format!("{name}.ndjson")), kind }
    }

    /// Where the file lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All valid records, and what is wrong with the others.
    pub fn load<T: DeserializeOwned>(&self) -> Contents<T> {
        match self.read() {
            Ok(None) => Contents::default(),
            Ok(Some(parsed)) => self.contents(parsed),
            Err(why) => Contents::refused(why),
        }
    }

    fn read<T: DeserializeOwned>(&self) -> Result<Option<Parsed<T>>, String> {
        let Some(mut file) = trust::open(&self.path, OpenOptions::new().read(true))? else { return Ok(None) };
        let mut bytes = read_all(&mut file, &self.path)?;
        if !bytes.ends_with(b"\n") && !bytes.is_empty() && wait_for(|| file.try_lock_shared()).is_ok() {
            // Perhaps another program is in the middle of its line.
            file.rewind().map_err(|e| cannot("read", &self.path, &e))?;
            bytes = read_all(&mut file, &self.path)?;
        }
        Ok(Some(line::parse(self.kind, &bytes)))
    }

    fn contents<T>(&self, parsed: Parsed<T>) -> Contents<T> {
        if let Some(version) = parsed.newer {
            return Contents::refused(newer(&self.path, version));
        }
        let name = self.path.display();
        let remarks = parsed.remarks.iter().map(|remark| format!("'{name}', {remark}")).collect();
        Contents { records: parsed.records, remarks, refused: None }
    }

    /// Appends records and makes sure that they are on disk. Folder and file are made for their owner only; two programs
    /// that append at once wait for each other.
    ///
    /// # Errors
    /// When the file cannot be written, others can write it, or a newer program wrote it.
    pub fn append(&self, records: &[impl Serialize]) -> Result<()> {
        self.append_if(|_: &[serde::de::IgnoredAny]| true, records).map(drop)
    }

    /// As [`Self::append`], if `wanted` says so of the records that are there, which are locked meanwhile; true when it
    /// does.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub fn append_if<T: DeserializeOwned>(
        &self,
        wanted: impl FnOnce(&[T]) -> bool,
        records: &[impl Serialize],
    ) -> Result<bool> {
        let mut is_wanted = false;
        self.append_with(|there: &[T]| {
            is_wanted = wanted(there);
            if is_wanted { records.iter().collect() } else { Vec::new() }
        })?;
        Ok(is_wanted)
    }

    /// As [`Self::append`], of the records that follow from those that are there, which are locked meanwhile; returns how
    /// many that were. A file that cannot be written is found out also where none does.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub fn append_with<T: DeserializeOwned, R: Serialize>(
        &self,
        make: impl FnOnce(&[T]) -> Vec<R>,
    ) -> Result<usize> {
        let written = self.append_locked(make);
        written.map_err(|why| Error::could_not_run(format!("nothing was recorded: {why}")))
    }

    fn append_locked<T: DeserializeOwned, R: Serialize>(
        &self,
        make: impl FnOnce(&[T]) -> Vec<R>,
    ) -> Result<usize, String> {
        let mut end = End::of(&self.path)?;
        let there = line::parse(self.kind, &end.before);
        if let Some(version) = there.newer {
            return Err(newer(&self.path, version));
        }
        let records = make(&there.records);
        let (mut text, mut previous) = (String::new(), there.last);
        for record in &records {
            let (line, digest) = line::write(self.kind, &previous, record)
                .map_err(|e| cannot("write", &self.path, &io::Error::from(e)))?;
            text.push_str(&line);
            previous = digest;
        }
        if !records.is_empty() {
            end.append(&self.path, text)?;
        }
        Ok(records.len())
    }
}

/// The end of a file, locked until it is dropped.
struct End {
    file: File,
    before: Vec<u8>,
}

impl End {
    /// Makes folder and file, for their owner only, where there are none.
    fn of(path: &Path) -> Result<Self, String> {
        if let Some(folder) = path.parent() {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
            made.map_err(|e| cannot("write", path, &e))?;
        }
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true).mode(0o600);
        let mut file = trust::open(path, &mut options)?
            .ok_or_else(|| format!("'{}' was removed meanwhile", path.display()))?;
        wait_for(|| file.try_lock()).map_err(|e| cannot("lock", path, &e))?;
        let before = read_all(&mut file, path)?;
        Ok(Self { file, before })
    }

    /// Writes whole lines in one piece: what a crash leaves of them is at most one torn line behind whole ones.
    fn append(&mut self, path: &Path, mut lines: String) -> Result<(), String> {
        if !self.before.is_empty() && !self.before.ends_with(b"\n") {
            // A write that was interrupted: its line stays by itself.
            lines.insert(0, '\n');
        }
        let written = self.file.write_all(lines.as_bytes()).and_then(|()| self.file.sync_all());
        written.and_then(|()| sync_folder(path)).map_err(|e| cannot("write", path, &e))
    }
}

/// The records of one kind in the lines of a file from elsewhere, which `name` names in remarks. Who can write it does not
/// matter: whoever reads it says whether it is to be trusted.
pub fn read<T: DeserializeOwned>(kind: &'static str, name: &str, bytes: &[u8]) -> Contents<T> {
    Segment { path: PathBuf::from(name), kind }.contents(line::parse(kind, bytes))
}

/// The lines of a file of its own that holds these records.
///
/// # Errors
/// When a record cannot be written as JSON.
pub fn lines_of(kind: &'static str, records: &[impl Serialize]) -> Result<String> {
    let (mut text, mut previous) = (String::new(), String::new());
    for record in records {
        let (line, digest) = line::write(kind, &previous, record).map_err(io::Error::from)?;
        text.push_str(&line);
        previous = digest;
    }
    Ok(text)
}

/// A file of one JSON object a line without checksums, as older programs left them.
pub fn load_plain<T: DeserializeOwned>(path: &Path) -> Contents<T> {
    let bytes = match trust::open(path, OpenOptions::new().read(true)) {
        Ok(None) => return Contents::default(),
        Ok(Some(mut file)) => read_all(&mut file, path),
        Err(why) => Err(why),
    };
    let bytes = match bytes {
        Ok(bytes) => bytes,
        Err(why) => return Contents::refused(why),
    };
    let mut contents = Contents::default();
    for (number, text) in line::lines(&bytes) {
        match serde_json::from_slice(text) {
            Ok(record) => contents.records.push(record),
            Err(_) => {
                contents.remarks.push(format!("'{}', {}", path.display(), Remark::Damaged(number)));
            }
        }
    }
    contents
}

/// Appends one JSON object without checksum to a file that decides nothing.
///
/// # Errors
/// As [`Segment::append`].
pub(super) fn append_plain(path: &Path, record: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string(record).map_err(|e| cannot("write", path, &io::Error::from(e)));
    let written = text.and_then(|text| End::of(path)?.append(path, text + "\n"));
    written.map_err(|why| Error::could_not_run(format!("nothing was recorded: {why}")))
}

fn read_all(file: &mut File, path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|e| cannot("read", path, &e))?;
    if bytes.len() as u64 > LARGEST {
        return Err(format!("'{}' is larger than {LARGEST} bytes", path.display()));
    }
    Ok(bytes)
}

/// Tries for some seconds. Where the file system has no locks, goes on without.
fn wait_for(lock: impl Fn() -> Result<(), TryLockError>) -> io::Result<()> {
    let begun = Instant::now();
    loop {
        match lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(e)) if e.kind() == io::ErrorKind::Unsupported => return Ok(()),
            Err(TryLockError::Error(e)) => return Err(e),
            Err(TryLockError::WouldBlock) if begun.elapsed() > PATIENCE => {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "another program holds its lock"));
            }
            Err(TryLockError::WouldBlock) => pause(),
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "an append takes microseconds; there is nothing else to do meanwhile"
)]
fn pause() {
    std::thread::sleep(Duration::from_millis(5));
}

/// Makes sure that a new name in a folder is on disk.
fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

fn cannot(what: &str, path: &Path, error: &io::Error) -> String {
    format!("cannot {what} '{}': {error}", path.display())
}

fn newer(path: &Path, version: u64) -> String {
    format!(
        "'{}' was written by a newer agenttrace (format {version}; this one reads up to {VERSION}): use that version",
        path.display()
    )
}

#[cfg(test)]
mod tests;
