//! What a file that is followed was rotated to.

use super::Standing;
use super::standing::{Beginning, KNOWN_BY};
use crate::ingest::compressed::decompressed;
use std::fs::{self, File, Metadata};
use std::io::{self, Cursor, Read};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A file beside the one that is followed, of which it may be an older one.
#[derive(Debug, Clone)]
pub(super) struct Older {
    pub(super) path: PathBuf,
    modified: SystemTime,
    /// Bytes, and line breaks, of it that are read already.
    pub(super) bytes: u64,
    pub(super) lines: u64,
}

/// Which file it is on this machine, as long as it is there.
pub(super) fn identity(about: &Metadata) -> (u64, u64) {
    (about.dev(), about.ino())
}

/// `audit.log.1`, `audit.log-20260101.gz`, `audit-2026-01-01.log`: files of the folder whose names go on behind the name of
/// this one, or behind what stands before its extension; the oldest first.
fn beside(path: &Path) -> Vec<Older> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut found: Vec<Older> = entries
        .flatten()
        .filter(|entry| entry.path().file_name() != path.file_name())
        .filter_map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            let rest = name.strip_prefix(&stem)?;
            let about = fs::metadata(entry.path()).ok()?;
            let is_older =
                about.is_file() && rest.starts_with(['.', '-', '_']) && !name.contains(".rejected");
            is_older.then_some(Older {
                path: entry.path(),
                modified: about.modified().ok()?,
                bytes: 0,
                lines: 0,
            })
        })
        .collect();
    found.sort_by(|a, b| (a.modified, &a.path).cmp(&(b.modified, &b.path)));
    found
}

/// The file that reading stood in, behind what is read, and those that came after it, the oldest first; none where it is
/// not there.
pub(super) fn since(path: &Path, standing: &Standing) -> Vec<Older> {
    let all = beside(path);
    let is_it = |older: &&Older| {
        let at = Older { bytes: standing.bytes, ..(*older).clone() };
        // With all that is read of it: another one may begin like it.
        at.open().is_ok_and(|opened| standing.is_of(&opened.beginning))
    };
    let Some(found) = all.iter().find(is_it) else { return Vec::new() };
    let newer = all.iter().filter(|older| older.modified >= found.modified && !is_it(older));
    let first = Older { bytes: standing.bytes, lines: standing.lines, ..found.clone() };
    std::iter::once(first).chain(newer.cloned()).collect()
}

/// What came after a file that was rotated away and read to its end, where it was rotated more than once since.
pub(super) fn after(path: &Path, rotated: &Metadata, standing: &Standing) -> Vec<Older> {
    let Ok(modified) = rotated.modified() else { return Vec::new() };
    // It may have been compressed by now. Of two files of one moment, each may be the newer one.
    let is_another = |older: &Older| {
        fs::metadata(&older.path).is_ok_and(|about| identity(&about) != identity(rotated))
            && older.open().is_ok_and(|opened| !standing.is_of(&opened.beginning))
    };
    beside(path).into_iter().filter(|older| older.modified >= modified && is_another(older)).collect()
}

/// An older file that is read.
pub(super) struct Opened {
    pub(super) beginning: Beginning,
    pub(super) rest: Box<dyn Read>,
}

impl Older {
    /// A file behind so many of its bytes.
    pub(super) fn at(path: &Path, bytes: u64) -> Self {
        Self { path: path.to_owned(), modified: SystemTime::UNIX_EPOCH, bytes, lines: 0 }
    }

    /// Opens it, decompressed, behind what is read already.
    ///
    /// # Errors
    /// When it cannot be read, or is shorter than that.
    pub(super) fn open(&self) -> io::Result<Opened> {
        let mut bytes = decompressed(File::open(&self.path)?)?;
        let mut beginning = Beginning::new();
        bytes.by_ref().take(KNOWN_BY as u64).read_to_end(&mut beginning)?;
        let mut rest = Cursor::new(beginning.clone()).chain(bytes);
        let skipped = io::copy(&mut rest.by_ref().take(self.bytes), &mut io::sink())?;
        if skipped < self.bytes {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Opened { beginning, rest: Box::new(rest) })
    }
}
