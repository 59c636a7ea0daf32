//! Which files are used: regular ones that nobody else can write.

use super::cannot;
use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Opens a file if there is one (or `options` make one), without waiting for whoever is at the other end of a pipe.
/// Links are followed: what counts is what they lead to.
///
/// # Errors
/// Why the file is not used, as a sentence.
pub(in crate::case) fn open(path: &Path, options: &mut OpenOptions) -> Result<Option<File>, String> {
    match std::fs::metadata(path) {
        // A device may act on being opened.
        Ok(metadata) => regular(path, &metadata)?,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(cannot("read", path, &e)),
    }
    let file = match options.custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC).open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(cannot("open", path, &e)),
    };
    let metadata = file.metadata().map_err(|e| cannot("read", path, &e))?;
    regular(path, &metadata)?;
    ours(path, &metadata)?;
    let real = path.canonicalize().map_err(|e| cannot("read", path, &e))?;
    for folder in [path.parent(), real.parent()].into_iter().flatten() {
        let metadata = std::fs::metadata(folder).map_err(|e| cannot("read", folder, &e))?;
        ours(folder, &metadata)?;
    }
    Ok(Some(file))
}

fn regular(path: &Path, metadata: &Metadata) -> Result<(), String> {
    let kind = metadata.file_type();
    let what = match kind {
        _ if kind.is_file() => return Ok(()),
        _ if kind.is_dir() => "a folder",
        _ if kind.is_fifo() => "a named pipe",
        _ if kind.is_socket() => "a socket",
        _ => "a device",
    };
    Err(format!("'{}' is {what}, not a regular file", path.display()))
}

/// Whether only its owner, who works here, and the superuser can write it.
fn ours(path: &Path, metadata: &Metadata) -> Result<(), String> {
    let me = rustix::process::geteuid().as_raw();
    let name = path.display();
    if metadata.uid() != me && metadata.uid() != 0 {
        return Err(format!("'{name}' belongs to user {}, who can change it (you are {me})", metadata.uid()));
    }
    match metadata.mode() & 0o022 {
        0 => Ok(()),
        _ => {
            let mode = metadata.mode() & 0o777;
            Err(format!("'{name}' can be written by other users (mode {mode:04o}): chmod go-w '{name}'"))
        }
    }
}
