//! Keys: the private ones of this machine, one file each that nobody else can read, and the public ones that are trusted.

use super::record::{Contents, Segment, trust};
use crate::domain::Timestamp;
use crate::error::{Error, Result};
use crate::evidence::checkpoint::{escape, unescape};
use crate::evidence::note::{PrivateKey, PublicKey};
use serde::{Deserialize, Serialize};
use std::fs::{DirBuilder, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Name of the folder of private keys in [`super::folder`].
pub const FOLDER: &str = "keys";
/// Kind of the records of trusted keys.
const KIND: &str = "trusted";
/// Longest file of a key, in bytes.
const LONGEST: u64 = 4096;

/// A key that somebody here has decided to trust, or no longer to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
enum Record {
    Trusted { key: String, by: String, at: Timestamp },
    Removed { name: String, by: String, at: Timestamp },
}

fn path(folder: &Path, name: &str) -> PathBuf {
    folder.join(FOLDER).join(format!("{}.key", escape(name)))
}

/// Makes a private key; there must be none of this name.
///
/// # Errors
/// When the name cannot be one, there is such a key, or it cannot be written.
pub fn generate(folder: &Path, name: &str) -> Result<PrivateKey> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)
        .map_err(|e| Error::could_not_run("the operating system gave no random bytes").because(e))?;
    let key = PrivateKey::new(name, &seed).map_err(|e| Error::usage(e.to_string()))?;
    let path = path(folder, name);
    let cannot = |e| Error::could_not_run(format!("cannot write '{}'", path.display())).because(e);
    DirBuilder::new().recursive(true).mode(0o700).create(folder.join(FOLDER)).map_err(cannot)?;
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(&path).map_err(|e| {
        if e.kind() == std::io::ErrorKind::AlreadyExists {
            Error::usage(format!("there is a key of the name '{name}' already: '{}'", path.display()))
                .hint("choose another name: a key is never replaced")
        } else {
            cannot(e)
        }
    })?;
    file.write_all(format!("{}\n", key.secret()).as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(cannot)?;
    Ok(key)
}

/// Reads a private key of this machine. Its file must be a regular one that nobody else can read.
///
/// # Errors
/// When there is none, others can read it, or it is damaged.
pub fn private(folder: &Path, name: &str) -> Result<PrivateKey> {
    let path = path(folder, name);
    let refused = |why: String| Error::could_not_run(format!("the key '{name}' is not used: {why}"));
    let file = trust::open(&path, OpenOptions::new().read(true)).map_err(refused)?;
    let Some(file) = file else {
        return Err(Error::usage(format!("there is no key of the name '{name}' on this machine"))
            .hint("agenttrace pin keygen NAME makes one"));
    };
    let shown = path.display();
    let mode = file.metadata()?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(refused(format!("others can read '{shown}' (mode {mode:04o}): chmod 600 '{shown}'")));
    }
    let mut text = String::new();
    file.take(LONGEST).read_to_string(&mut text)?;
    let key = PrivateKey::parse(text.trim_end()).map_err(|e| refused(format!("'{shown}': {e}")))?;
    if key.name() == name { Ok(key) } else { Err(refused(format!("'{shown}' holds another key"))) }
}

/// The names of the private keys of this machine, sorted.
///
/// # Errors
/// When the folder cannot be read.
pub fn names(folder: &Path) -> Result<Vec<String>> {
    let entries = match std::fs::read_dir(folder.join(FOLDER)) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e.into()),
    };
    let files = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = files.filter_map(|file| unescape(file.strip_suffix(".key")?)).collect();
    names.sort_unstable();
    Ok(names)
}

/// The public keys that are trusted here, in the order in which they came.
///
/// # Errors
/// When their records are not used.
pub fn trusted(folder: &Path) -> Result<Vec<PublicKey>> {
    let Contents { records, refused, .. } = Segment::new(folder, KIND).load::<Record>();
    match refused {
        Some(why) => Err(Error::could_not_run(format!("trusted keys are not used: {why}"))),
        None => Ok(standing(&records)),
    }
}

fn standing(records: &[Record]) -> Vec<PublicKey> {
    let mut keys: Vec<PublicKey> = Vec::new();
    for record in records {
        match record {
            Record::Trusted { key, .. } => keys.extend(PublicKey::parse(key)),
            Record::Removed { name, .. } => keys.retain(|key| key.name() != name),
        }
    }
    keys
}

/// Trusts a key from now on; false where it is trusted already.
///
/// # Errors
/// When another key of its name is trusted, or it cannot be written.
pub fn trust(folder: &Path, key: &PublicKey, by: &str, at: Timestamp) -> Result<bool> {
    let mut other = None;
    let added = Segment::new(folder, KIND).append_with(|there: &[Record]| {
        let known = standing(there);
        other = known.iter().find(|known| known.name() == key.name()).cloned();
        let record = || Record::Trusted { key: key.to_string(), by: by.to_owned(), at };
        if other.is_none() { vec![record()] } else { Vec::new() }
    })?;
    match other {
        Some(other) if other != *key => Err(Error::new(
            crate::error::Kind::Refused,
            format!("another key of the name '{}' is trusted: {other}", key.name()),
        )
        .hint("compare both with their owner; pin trust --remove NAME takes the old one back")),
        _ => Ok(added > 0),
    }
}

/// Takes a key's trust back; false where none of this name is trusted.
///
/// # Errors
/// When it cannot be written.
pub fn remove(folder: &Path, name: &str, by: &str, at: Timestamp) -> Result<bool> {
    let removed = Segment::new(folder, KIND).append_with(|there: &[Record]| {
        let is_there = standing(there).iter().any(|key| key.name() == name);
        let record = || Record::Removed { name: name.to_owned(), by: by.to_owned(), at };
        if is_there { vec![record()] } else { Vec::new() }
    })?;
    Ok(removed > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;

    #[test]
    fn a_private_key_is_for_its_owner_only_and_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        assert_eq!(names(folder).unwrap(), [""; 0]);
        let key = generate(folder, "acme.example/audit").unwrap();
        let file = path(folder, key.name());
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(private(folder, key.name()).unwrap().public(), key.public());
        assert_eq!(names(folder).unwrap(), ["acme.example/audit"]);
        assert!(generate(folder, key.name()).unwrap_err().to_string().contains("already"));
        assert!(generate(folder, "a b").is_err() && private(folder, "other").is_err());
        assert_ne!(generate(folder, "other").unwrap().secret(), key.secret());
        std::fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        assert!(private(folder, key.name()).unwrap_err().to_string().contains("chmod 600"));
        std::fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        std::fs::copy(path(folder, "other"), &file).unwrap();
        assert!(private(folder, key.name()).unwrap_err().to_string().contains("another key"));
    }

    #[test]
    fn of_one_name_one_key_is_trusted_until_it_is_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let at = Timestamp::from_micros(0);
        let key = |seed: u8| PrivateKey::new("bob", &[seed; 32]).unwrap().public();
        assert!(trust(folder, &key(1), "eve", at).unwrap());
        assert!(!trust(folder, &key(1), "eve", at).unwrap());
        let refused = trust(folder, &key(2), "eve", at).unwrap_err();
        assert!(refused.to_string().contains(&key(1).to_string()), "{refused}");
        assert_eq!(trusted(folder).unwrap(), [key(1)]);
        assert!(remove(folder, "bob", "eve", at).unwrap() && !remove(folder, "bob", "eve", at).unwrap());
        assert_eq!(trusted(folder).unwrap(), []);
        assert!(trust(folder, &key(2), "eve", at).unwrap());
        assert_eq!(trusted(folder).unwrap(), [key(2)]);
    }
}
