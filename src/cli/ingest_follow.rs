//! `agenttrace ingest --follow`: where it goes on.

use super::Out;
use crate::case;
use crate::error::Result;
use crate::ingest::{Input, Memory};
use crate::store::{WriteDb, WriteTarget};
use std::path::Path;

/// The file, from where an earlier run on the same database stood, and where that is remembered.
///
/// # Errors
/// As [`Input::follow`].
pub(super) fn open(out: Out, file: &Path, db: &WriteDb) -> Result<(Vec<Input>, Option<Memory>)> {
    let memory = Memory::of(&case::folder()?, &WriteTarget::from(db.clone()).place(), file);
    let (before, remarks) = memory.load();
    for remark in remarks {
        out.remark(format_args!("how far the file was followed: {remark}"));
    }
    Ok((vec![Input::follow(file, before)?], Some(memory)))
}
