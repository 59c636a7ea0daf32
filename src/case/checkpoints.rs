//! Checkpoints that were signed here, append-only, and beside each log the file that keeps the order of its leaves.

use super::record::{Contents, Segment, trust};
use crate::domain::Timestamp;
use crate::error::{Error, Result};
use crate::evidence::checkpoint::Signed;
use crate::evidence::note::Note;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Kind of the records.
const KIND: &str = "checkpoints";
/// Kind of the records of what others have signed of them.
const COSIGNED: &str = "cosigned";
/// Kind of the records of when they were there, as third parties say.
const STAMPED: &str = "stamped";
/// Name of the folder with the leaves of each log.
const LEAVES: &str = "leaves";

/// A checkpoint as it is kept: both signed notes as they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Whose trail it is of.
    pub organization_id: String,
    /// How the database was named.
    pub place: String,
    /// The checkpoint.
    pub checkpoint: String,
    /// The text about its trail.
    pub trail: String,
    /// When it was signed, by this machine's clock.
    pub signed_at: Timestamp,
}

impl Kept {
    /// Both notes, read.
    ///
    /// # Errors
    /// When they are none: the record was written by something else.
    pub fn signed(&self) -> Result<Signed> {
        Signed::parse(self.checkpoint.as_bytes(), self.trail.as_bytes())
            .map_err(|e| Error::could_not_run("a checkpoint of this machine cannot be read").because(e))
    }
}

/// A checkpoint of this machine with what others have signed of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Cosigned {
    note: String,
    at: Timestamp,
}

/// A time stamp of a checkpoint of this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Stamped {
    /// Text of the checkpoint.
    checkpoint: String,
    /// The token, in base64.
    token: String,
    at: Timestamp,
}

/// The time stamps of a checkpoint of this machine, by its text, oldest first.
///
/// # Errors
/// When their records are not used.
pub fn stamps(folder: &Path, checkpoint: &str) -> Result<Vec<Vec<u8>>> {
    let all = records::<Stamped>(folder, STAMPED)?;
    let of = all.iter().filter(|stamped| stamped.checkpoint == checkpoint);
    Ok(of.filter_map(|stamped| STANDARD.decode(&stamped.token).ok()).collect())
}

/// Records a time stamp of a checkpoint.
///
/// # Errors
/// When it cannot be written.
pub fn keep_stamp(folder: &Path, checkpoint: &str, token: &[u8], at: Timestamp) -> Result<()> {
    let stamped = Stamped { checkpoint: checkpoint.to_owned(), token: STANDARD.encode(token), at };
    Segment::new(folder, STAMPED)
        .append_if(
            |there: &[Stamped]| {
                !there
                    .iter()
                    .any(|known| known.checkpoint == stamped.checkpoint && known.token == stamped.token)
            },
            &[&stamped],
        )
        .map(drop)
}

fn records<T: DeserializeOwned>(folder: &Path, kind: &'static str) -> Result<Vec<T>> {
    let Contents { records, refused, .. } = Segment::new(folder, kind).load::<T>();
    match refused {
        Some(why) => Err(Error::could_not_run(format!("checkpoints of this machine are not used: {why}"))),
        None => Ok(records),
    }
}

/// All checkpoints of this machine, oldest first, each with the signatures of others that were imported.
///
/// # Errors
/// When their records are not used, or one cannot be read.
pub fn load(folder: &Path) -> Result<Vec<(Kept, Signed)>> {
    let cosigned = records::<Cosigned>(folder, COSIGNED)?;
    // The last one has the signatures of those before.
    let cosigned = cosigned.iter().filter_map(|cosigned| Note::parse(cosigned.note.as_bytes()).ok());
    let cosigned: HashMap<String, Note> = cosigned.map(|note| (note.text().to_owned(), note)).collect();
    let with = |kept: Kept| {
        let mut signed = kept.signed()?;
        if let Some(note) = cosigned.get(signed.checkpoint.text()) {
            signed.checkpoint = note.clone();
        }
        Ok((kept, signed))
    };
    records::<Kept>(folder, KIND)?.into_iter().map(with).collect()
}

/// Records a checkpoint of this machine with the signatures of others.
///
/// # Errors
/// When it cannot be written.
pub fn keep_cosigned(folder: &Path, note: &Note, at: Timestamp) -> Result<()> {
    Segment::new(folder, COSIGNED).append(&[Cosigned { note: note.as_str().to_owned(), at }])
}

/// The last checkpoint of a log.
///
/// # Errors
/// As [`load`].
pub fn last(folder: &Path, origin: &str) -> Result<Option<(Kept, Signed)>> {
    let mut all = load(folder)?;
    let at = all.iter().rposition(|(_, signed)| signed.trail.checkpoint.origin == origin);
    Ok(at.map(|at| all.swap_remove(at)))
}

/// Records a checkpoint, if the last one of its log is still the one that it follows.
///
/// # Errors
/// When it cannot be written, or another one was signed meanwhile.
pub fn keep(folder: &Path, origin: &str, follows: Option<&Kept>, kept: &Kept) -> Result<()> {
    let is_last = |there: &[Kept]| {
        let of_log = |kept: &&Kept| kept.checkpoint.split('\n').next() == Some(origin);
        there.iter().rfind(of_log) == follows
    };
    if Segment::new(folder, KIND).append_if(is_last, &[kept])? {
        return Ok(());
    }
    Err(Error::could_not_run(format!(
        "another checkpoint of {origin} was signed meanwhile; nothing was recorded"
    )))
}

/// The file with the leaves of a log, locked as long as it is open; made where there is none.
///
/// # Errors
/// When it cannot be opened, others can write it, or another program works on it.
pub fn leaves(folder: &Path, origin: &str) -> Result<File> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder.join(LEAVES))?;
    let mut options = OpenOptions::new();
    let file = open(folder, origin, options.read(true).write(true).create(true).truncate(false).mode(0o600))?;
    file.try_lock().map_err(|e| refused(origin, format!("another program works on it ({e})")))?;
    Ok(file)
}

/// The same to read the leaves that a checkpoint covers: these never change, whoever adds others meanwhile.
///
/// # Errors
/// When it cannot be opened, or others can write it.
pub fn leaves_to_read(folder: &Path, origin: &str) -> Result<File> {
    open(folder, origin, OpenOptions::new().read(true))
}

fn open(folder: &Path, origin: &str, options: &mut OpenOptions) -> Result<File> {
    let name = crate::chain::sha256(origin);
    let file = trust::open(&folder.join(LEAVES).join(name), options).map_err(|why| refused(origin, why))?;
    file.ok_or_else(|| {
        refused(origin, "there is none".to_owned()).hint("restore 'leaves' in the data folder from a backup")
    })
}

fn refused(origin: &str, why: String) -> Error {
    Error::could_not_run(format!("the order of the leaves of {origin} is not used: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::checkpoint::{Checkpoint, Trail, origin};
    use crate::evidence::note::PrivateKey;

    fn kept(organization: &str, size: u64) -> Kept {
        let key = PrivateKey::new("k", &[1; 32]).unwrap();
        let checkpoint = Checkpoint { origin: origin("k", organization), size, root: [size as u8; 32] };
        let trail = Trail {
            checkpoint: checkpoint.clone(),
            at: Timestamp::from_micros(5),
            object: "7/1/2".to_owned(),
            unhashed: 0,
            verdict: "intact".to_owned(),
            is_forked: false,
            heads_count: 0,
            heads: Vec::new(),
        };
        Kept {
            organization_id: organization.to_owned(),
            place: "prod".to_owned(),
            checkpoint: checkpoint.sign(&key).unwrap(),
            trail: trail.sign(&key).unwrap(),
            signed_at: Timestamp::from_micros(9),
        }
    }

    #[test]
    fn a_checkpoint_follows_the_last_one_of_its_log_or_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let (a, b) = (origin("k", "a"), origin("k", "b"));
        keep(folder, &a, None, &kept("a", 1)).unwrap();
        keep(folder, &b, None, &kept("b", 7)).unwrap();
        assert!(keep(folder, &a, None, &kept("a", 2)).unwrap_err().to_string().contains("meanwhile"));
        keep(folder, &a, Some(&kept("a", 1)), &kept("a", 2)).unwrap();
        assert_eq!(last(folder, &a).unwrap().unwrap().0, kept("a", 2));
        assert_eq!(last(folder, &b).unwrap().unwrap().1.trail.checkpoint.size, 7);
        assert!(last(folder, &origin("k", "c")).unwrap().is_none());
        assert_eq!(load(folder).unwrap().len(), 3);
    }

    #[test]
    fn what_others_have_signed_comes_with_the_checkpoint_and_does_not_change_what_follows_it() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let a = origin("k", "a");
        keep(folder, &a, None, &kept("a", 1)).unwrap();
        let mut note = kept("a", 1).signed().unwrap().checkpoint;
        for name in ["bob", "carol"] {
            let key = PrivateKey::new(name, &[2; 32]).unwrap();
            note = Note::parse(key.sign_also(&note).unwrap().as_bytes()).unwrap();
            keep_cosigned(folder, &note, Timestamp::from_micros(9)).unwrap();
        }
        let (first, signed) = last(folder, &a).unwrap().unwrap();
        assert_eq!(signed.checkpoint.claimed().collect::<Vec<_>>(), ["k", "bob", "carol"]);
        keep(folder, &a, Some(&first), &kept("a", 2)).unwrap();
        assert_eq!(last(folder, &a).unwrap().unwrap().1.checkpoint.claimed().count(), 1);
    }

    #[test]
    fn the_leaves_of_a_log_are_used_by_one_program_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let first = leaves(folder.path(), "k/a").unwrap();
        assert!(leaves(folder.path(), "k/a").unwrap_err().to_string().contains("another program"));
        assert!(
            leaves_to_read(folder.path(), "k/a").is_ok() && leaves_to_read(folder.path(), "k/b").is_err()
        );
        drop(first);
        assert!(leaves(folder.path(), "k/a").is_ok() && leaves(folder.path(), "k/b").is_ok());
    }
}
