//! Files of one JSON object a line that are only ever appended to, for their owner only.

use crate::error::{Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{BufRead as _, BufReader, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

/// All records; none when there is no file yet. `what` is what a line is called in errors.
pub(super) fn load<T: DeserializeOwned>(path: &Path, what: &str) -> Result<Vec<T>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(cannot("read", path, e)),
    };
    let mut records = Vec::new();
    for (n, line) in BufReader::new(file).lines().enumerate() {
        let line = line.map_err(|e| cannot("read", path, e))?;
        if line.trim().is_empty() {
            continue;
        }
        records.push(serde_json::from_str(&line).map_err(|e| {
            Error::could_not_run(format!("{}:{}: this is no {what}", path.display(), n + 1))
                .hint("remove or repair that line; the others are not affected")
                .because(e)
        })?);
    }
    Ok(records)
}

/// Appends one record and makes sure it is on disk.
pub(super) fn append(path: &Path, record: &impl Serialize) -> Result<()> {
    let mut line = serde_json::to_vec(record).map_err(|e| cannot("write", path, e.into()))?;
    line.push(b'\n');
    let write = || {
        if let Some(folder) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
        file.write_all(&line)?;
        file.sync_all()
    };
    write().map_err(|e| cannot("write", path, e))
}

fn cannot(what: &str, path: &Path, error: std::io::Error) -> Error {
    Error::could_not_run(format!("cannot {what} '{}'", path.display())).because(error)
}
