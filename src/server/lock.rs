//! Two lock files order the programs that share a server. `start.lock`, exclusive, is held while somebody starts or
//! stops it; `users.lock`, shared, for as long as somebody uses it. Whoever leaves and can have `users.lock` exclusively
//! was the last. The system takes the locks (`flock`) away with the process, so kill -9 leaves nothing stale.

use super::{Result, ServerError};
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, fchown};
use std::path::Path;
use std::time::{Duration, Instant};

/// A held lock. Dropping it unlocks explicitly: closing would not do while a child of another thread, between fork and
/// exec, still has the descriptor.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Nothing to do about a failure; the lock ends with the process.
        let _ = self.0.unlock();
    }
}

impl Lock {
    /// Takes `start.lock` in a folder that exists, waiting for its holder. None when the folder was removed meanwhile.
    pub(super) fn start(folder: &Path, patience: Duration) -> Result<Option<Self>> {
        let path = folder.join("start.lock");
        let deadline = Instant::now() + patience;
        loop {
            let file = match open(&path) {
                Ok(file) => file,
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(e) => return Err(unusable(&path, e)),
            };
            match file.try_lock() {
                Ok(()) => {
                    let lock = Self(file);
                    // Its last holder may have removed the folder, and a lock on a removed file protects nothing.
                    if lock.is_at(&path) {
                        return Ok(Some(lock));
                    }
                }
                Err(TryLockError::Error(e)) => return Err(unusable(&path, e)),
                Err(TryLockError::WouldBlock) if Instant::now() >= deadline => {
                    return Err(ServerError::new(format!(
                        "another program has been starting or stopping the private PostgreSQL in {} for {} s",
                        folder.display(),
                        patience.as_secs()
                    ))
                    .hint("wait for it, or end it and try again"));
                }
                Err(TryLockError::WouldBlock) => super::pause(),
            }
        }
    }

    /// Enters among the users; the caller holds `start.lock`.
    pub(super) fn users(folder: &Path) -> Result<Self> {
        let path = folder.join("users.lock");
        let file = open(&path).map_err(|e| unusable(&path, e))?;
        file.lock_shared().map_err(|e| unusable(&path, e))?;
        Ok(Self(file))
    }

    /// Leaves the users and tells whether there is nobody else; the caller holds `start.lock`, so nobody enters.
    pub(super) fn was_last(&self) -> bool {
        self.0.unlock().is_ok() && self.0.try_lock().is_ok()
    }

    /// Whether the locked file is still the one at this path.
    pub(super) fn is_at(&self, path: &Path) -> bool {
        match (self.0.metadata(), path.symlink_metadata()) {
            (Ok(held), Ok(there)) => held.dev() == there.dev() && held.ino() == there.ino(),
            _ => false,
        }
    }
}

/// Takes a lock on a file, made on demand, for as long as it takes others.
pub(super) fn wait(path: &Path) -> Result<Lock> {
    let file = open(path).map_err(|e| unusable(path, e))?;
    file.lock().map_err(|e| unusable(path, e))?;
    Ok(Lock(file))
}

fn open(path: &Path) -> io::Result<File> {
    open_private(path, OpenOptions::new().read(true).write(true))
}

/// Opens or creates a file that only its owner reads. What root creates in somebody's folder becomes theirs, or they
/// could not use it later; symbolic links are refused, because that folder is in their hands.
pub(super) fn open_private(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let file = options.create(true).mode(0o600).custom_flags(libc::O_NOFOLLOW).open(path)?;
    if let Some(folder) = path.parent() {
        let (owner, file_owner) = (folder.metadata()?, file.metadata()?);
        if super::sys::effective().uid == 0 && file_owner.uid() == 0 && owner.uid() != 0 {
            fchown(&file, Some(owner.uid()), Some(owner.gid()))?;
        }
    }
    Ok(file)
}

fn unusable(path: &Path, e: io::Error) -> ServerError {
    let hint = match e.kind() {
        io::ErrorKind::PermissionDenied => {
            "the folder belongs to another user: set AGENTTRACE_DATA_DIR to a folder of your own"
        }
        _ => "set AGENTTRACE_DATA_DIR to a folder on a local disk",
    };
    ServerError::new(format!("cannot lock {}: {e}", path.display())).hint(hint)
}
