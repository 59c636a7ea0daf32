//! A record of which only the newest state matters: a file of its own that is replaced as a whole.

use super::{Contents, Segment, line};
use crate::chain::to_hex;
use crate::error::{Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};
use std::io;
use std::path::Path;

/// The newest record of one kind about one subject.
#[derive(Debug, Clone)]
pub struct Slot(Segment);

impl Slot {
    /// The record about the subject that these texts name; its file need not exist yet.
    pub fn new(folder: &Path, kind: &'static str, subject: &[&str]) -> Self {
        let mut hash = Sha256::new();
        for part in subject {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        let name: String = to_hex(&hash.finalize().into()).chars().take(32).collect();
        Self(Segment { path: folder.join(kind).join(name).with_extension("json"), kind })
    }

    /// The record, if there is a valid one.
    pub fn load<T: DeserializeOwned>(&self) -> Contents<T> {
        self.0.load()
    }

    /// Replaces the record: whoever reads meanwhile, and whatever happens, finds the one or the other.
    ///
    /// # Errors
    /// When it cannot be written, or others can write what is there.
    pub fn store(&self, record: &impl Serialize) -> Result<()> {
        let there: Contents<serde::de::IgnoredAny> = self.load();
        if let Some(why) = there.refused {
            return Err(Error::could_not_run(format!("nothing was recorded: {why}")));
        }
        let (text, _) = line::write(self.0.kind, "", record).map_err(io::Error::from)?;
        crate::case::replace(&self.0.path, text.as_bytes())
    }
}
