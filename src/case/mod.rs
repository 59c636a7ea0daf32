//! What an analyst keeps on the own machine: files that nobody else can read, under the data folder.

pub mod accepted;
pub mod lists;
mod ndjson;
pub mod verified;

use crate::error::{Error, Result};
use std::path::PathBuf;

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
