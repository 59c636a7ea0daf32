//! Where a result is written: standard output, or a file that appears under its name when it is complete.

use crate::chain::to_hex;
use crate::error::{Error, Result};
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// An output under way; what was written of a file that is not completed goes with it.
pub struct Output {
    to: io::BufWriter<To>,
    path: Option<PathBuf>,
    digest: Sha256,
    bytes: u64,
}

enum To {
    Nowhere,
    Stdout(io::Stdout),
    /// Beside the file that it becomes.
    File(NamedTempFile),
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Length.
    pub bytes: u64,
    /// SHA-256 in hexadecimal.
    pub sha256: String,
}

impl Output {
    /// Standard output, or a file at this path for its owner only.
    ///
    /// # Errors
    /// When the folder of the file cannot be written.
    pub fn new(path: Option<&Path>) -> Result<Self> {
        let to = match path {
            None => To::Stdout(io::stdout()),
            Some(path) => To::File(NamedTempFile::new_in(folder(path)).map_err(|e| cannot_write(path, e))?),
        };
        Ok(Self::to(to, path))
    }

    /// Nowhere: only the digest is wanted.
    pub fn nowhere() -> Self {
        Self::to(To::Nowhere, None)
    }

    fn to(to: To, path: Option<&Path>) -> Self {
        let to = io::BufWriter::with_capacity(1 << 16, to);
        Self { to, path: path.map(Path::to_owned), digest: Sha256::new(), bytes: 0 }
    }

    /// What was written so far of a file, to be read again.
    ///
    /// # Errors
    /// When it cannot be written or opened, or there is no file.
    pub fn reopen(&mut self) -> Result<File> {
        self.to.flush()?;
        match (self.to.get_ref(), &self.path) {
            (To::File(file), Some(path)) => file.reopen().map_err(|e| cannot_write(path, e)),
            _ => Err(Error::could_not_run("standard output cannot be read again")),
        }
    }

    /// Gives the file its name, once it is on disk.
    ///
    /// # Errors
    /// When it cannot be written, or, unless it is to be replaced, another file has the name.
    pub fn complete(self, replace: bool) -> Result<Written> {
        let digest: [u8; 32] = self.digest.finalize().into();
        let to = self.to.into_inner().map_err(io::IntoInnerError::into_error)?;
        if let (To::File(file), Some(path)) = (to, &self.path) {
            file.as_file().sync_all().map_err(|e| cannot_write(path, e))?;
            let kept = if replace { file.persist(path) } else { file.persist_noclobber(path) };
            kept.map_err(|e| match e.error.kind() {
                io::ErrorKind::AlreadyExists => is_there(path),
                _ => cannot_write(path, e.error),
            })?;
        }
        Ok(Written { bytes: self.bytes, sha256: to_hex(&digest) })
    }
}

impl Write for Output {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        let written = self.to.write(part)?;
        self.digest.update(part.get(..written).unwrap_or_default());
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

impl Write for To {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        match self {
            Self::Nowhere => Ok(part.len()),
            Self::Stdout(to) => to.write(part),
            Self::File(to) => to.write(part),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Nowhere => Ok(()),
            Self::Stdout(to) => to.flush(),
            Self::File(to) => to.flush(),
        }
    }
}

/// Refuses a path at which something is, before anything is read for it.
///
/// # Errors
/// Usage, when something is there.
pub fn refuse_existing(path: &Path) -> Result<()> {
    if path.symlink_metadata().is_ok() { Err(is_there(path)) } else { Ok(()) }
}

fn is_there(path: &Path) -> Error {
    Error::usage(format!("'{}' is there already", path.display()))
        .hint("choose another name, or replace it with --overwrite")
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// An error about a file that cannot be written.
fn cannot_write(path: &Path, error: io::Error) -> Error {
    Error::could_not_run(format!("cannot write '{}'", path.display())).because(error)
}
