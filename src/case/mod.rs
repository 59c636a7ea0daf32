//! What an analyst keeps on the own machine: files that nobody else can read, under the data folder.

pub mod accepted;
pub mod lists;
mod ndjson;
pub mod recent;
pub mod saved;
pub mod verified;

use crate::error::{Error, Result};
use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Who works here, by the name of the login, for the record.
pub fn user() -> String {
    std::env::var("USER").unwrap_or_else(|_| "unknown".to_owned())
}

/// The folder: `$AGENTTRACE_DATA_DIR`, else the user's data folder.
///
/// # Errors
/// When there is no home folder.
pub fn folder() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os("AGENTTRACE_DATA_DIR").filter(|value| !value.is_empty()) {
        return Ok(std::path::absolute(PathBuf::from(folder))?);
    }
    let folders = directories::ProjectDirs::from("", "", "agenttrace");
    folders.map(|folders| folders.data_dir().to_owned()).ok_or_else(|| {
        Error::could_not_run("there is no home folder to keep notes in")
            .hint("set AGENTTRACE_DATA_DIR to a folder of your own")
    })
}

/// Puts a file of this content in the place of another, or makes it, for its owner only: whoever reads meanwhile, and
/// whatever happens, finds the one or the other.
///
/// # Errors
/// When it cannot be written.
fn replace(path: &Path, content: &[u8]) -> Result<()> {
    let draft = path.with_extension(format!("{}.draft", std::process::id()));
    let write = || {
        if let Some(folder) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&draft)?;
        // Also where a draft of an earlier time was left behind.
        file.set_permissions(Permissions::from_mode(0o600))?;
        file.write_all(content)?;
        file.sync_all()?;
        std::fs::rename(&draft, path)
    };
    write().map_err(|e| {
        // What could not be finished is of no use.
        let _ = std::fs::remove_file(&draft);
        Error::could_not_run(format!("cannot write '{}'", path.display())).because(e)
    })
}
