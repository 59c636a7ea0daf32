//! The end of a spool that is read from.

use super::{Position, Shared, path};
use crate::case::record::{Remark, cannot, line, newer, trust};
use serde::de::DeserializeOwned;
use std::fs::OpenOptions;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::marker::PhantomData;
use std::path::Path;
use std::sync::Arc;

/// How much is read at a time, in bytes, unless one line is longer.
const WINDOW: u64 = 4 << 20;

/// A line that is no record any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damaged {
    /// What is wrong, as a sentence.
    pub remark: String,
    /// The line.
    pub line: Vec<u8>,
}

/// Records that follow one another.
#[derive(Debug)]
pub struct Chunk<T> {
    /// The valid ones, oldest first.
    pub records: Vec<T>,
    /// Lines between them that are none.
    pub damaged: Vec<Damaged>,
    /// What else is wrong, one sentence each.
    pub remarks: Vec<String>,
    /// They were there before the spool was opened.
    pub is_old: bool,
    end: Position,
    lines: u64,
    digest: Option<String>,
}

/// The end that is read from.
#[derive(Debug)]
pub struct Reader<T> {
    shared: Arc<Shared>,
    /// Files before this one were there when the spool was opened.
    first_own: u64,
    at: Position,
    /// Digest of the line before, where it is known.
    digest: Option<String>,
    records: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Reader<T> {
    pub(super) fn new(shared: Arc<Shared>, first_own: u64, at: Position) -> Self {
        Self { shared, first_own, at, digest: None, records: PhantomData }
    }

    /// The records that come next, at most so many; the same again until they are [settled](Self::settle). `None` when
    /// none waits.
    ///
    /// # Errors
    /// When the files cannot be read.
    pub fn next(&mut self, most: usize) -> Result<Option<Chunk<T>>, String> {
        let Some((number, available)) = self.find() else { return Ok(None) };
        let path = path(&self.shared.folder, number);
        let bytes = self.lines(&path, available, most)?;
        let parsed = line::parse_behind::<T>(self.shared.kind, &bytes, self.digest.as_deref());
        if let Some(version) = parsed.newer {
            return Err(newer(&path, version));
        }
        let (mut damaged, mut remarks) = (Vec::new(), Vec::new());
        for remark in parsed.remarks {
            // Its number is that in the part that was read.
            let text = format!("'{}', from byte {} on, {remark}", path.display(), self.at.bytes);
            match remark {
                Remark::Damaged(n) | Remark::Altered(n) => {
                    let line = bytes.split(|byte| *byte == b'\n').nth(n - 1).unwrap_or_default();
                    damaged.push(Damaged { remark: text, line: line.to_vec() });
                }
                // Its record was never said to be on disk.
                Remark::Torn(_) => {}
                Remark::Gap(_) => remarks.push(text),
            }
        }
        let lines = memchr::memchr_iter(b'\n', &bytes).count() as u64 + u64::from(!bytes.ends_with(b"\n"));
        Ok(Some(Chunk {
            records: parsed.records,
            damaged,
            remarks,
            is_old: number < self.first_own,
            end: Position { file: number, bytes: self.at.bytes + bytes.len() as u64 },
            lines,
            digest: Some(parsed.last).filter(|last| !last.is_empty()),
        }))
    }

    /// The file in which something waits, and how many bytes of it.
    fn find(&mut self) -> Option<(u64, u64)> {
        let state = self.shared.state();
        let from = self.at.file;
        for part in state.parts.iter().filter(|part| part.number >= from) {
            if part.number > self.at.file {
                (self.at, self.digest) = (Position { file: part.number, bytes: 0 }, None);
            }
            if part.bytes > self.at.bytes {
                return Some((part.number, part.bytes - self.at.bytes));
            }
        }
        None
    }

    /// At most so many lines of what is available.
    fn lines(&self, path: &Path, available: u64, most: usize) -> Result<Vec<u8>, String> {
        let failed = |e| cannot("read", path, &e);
        let mut file = trust::open(path, OpenOptions::new().read(true))?
            .ok_or_else(|| format!("'{}' was removed", path.display()))?;
        let mut window = WINDOW;
        loop {
            file.seek(SeekFrom::Start(self.at.bytes)).map_err(failed)?;
            let mut bytes = Vec::new();
            let wanted = window.min(available);
            (&mut file).take(wanted).read_to_end(&mut bytes).map_err(failed)?;
            if (bytes.len() as u64) < wanted {
                return Err(format!("'{}' is shorter than it was", path.display()));
            }
            let ends: Vec<usize> =
                memchr::memchr_iter(b'\n', &bytes).map(|at| at + 1).take(most.max(1)).collect();
            match ends.last() {
                // The end of a file whose last line is torn belongs to what is before it.
                Some(_) if ends.len() < most && wanted == available => return Ok(bytes),
                Some(end) => {
                    bytes.truncate(*end);
                    return Ok(bytes);
                }
                None if wanted == available => return Ok(bytes),
                None => window *= 4,
            }
        }
    }

    /// Remembers that these records need not be read again. Where that cannot be written down, the next program reads them
    /// again, and this one goes on: a full disk gets room only when files go that were read.
    pub fn settle(&mut self, chunk: &Chunk<impl Sized>) {
        if let Err(why) = self.shared.remember(chunk.end) {
            tracing::warn!(why, "how far the spool was read is not remembered");
        }
        self.at = chunk.end;
        self.digest.clone_from(&chunk.digest);
        let mut state = self.shared.state();
        state.read = chunk.end;
        state.pending = state.pending.saturating_sub(chunk.lines);
        self.shared.tidy(&mut state);
    }
}
