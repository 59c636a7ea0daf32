//! What an analyst keeps on the own machine: files that nobody else can read, under the data folder.

pub mod accepted;
pub mod activity;
pub mod checkpoints;
pub mod columns;
pub mod heads;
pub mod interrupted;
pub mod keys;
pub mod labels;
pub mod lists;
pub mod notebook;
pub mod places;
pub mod recent;
pub mod record;
pub mod saved;
pub mod verifications;
pub mod witnessed;

use crate::error::{Error, Result};
use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Who works here, for the record: `$USER`, else the login name of the user id, else the id.
pub fn user() -> String {
    user_or(std::env::var("USER").ok())
}

fn user_or(variable: Option<String>) -> String {
    let named = variable.filter(|name| !name.is_empty()).or_else(|| whoami::username().ok());
    named.unwrap_or_else(|| format!("uid {}", rustix::process::geteuid().as_raw()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_works_here_is_known_without_a_variable_that_says_so() {
        assert_eq!(user_or(Some("eve".to_owned())), "eve");
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let uid = rustix::process::geteuid().as_raw().to_string();
        let login = passwd.lines().find(|line| line.split(':').nth(2) == Some(&uid));
        let login = login.and_then(|line| line.split(':').next());
        for unset in [None, Some(String::new())] {
            let name = user_or(unset);
            assert!(login.is_none_or(|login| login == name) && !name.is_empty(), "{name}, {login:?}");
        }
    }
}
