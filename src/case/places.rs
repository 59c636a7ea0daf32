//! Where a console is: one small file for each that runs, so that the next one can go on where another one died. It holds
//! what the user typed and the key of the selected event, no text of events.

use crate::domain::Timestamp;
use crate::error::Result;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Name of the folder in [`super::folder`].
pub const FOLDER: &str = "places";

/// A view, and what was looked at in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// Which database: the name of its place and its identity.
    pub database: String,
    /// The organisation.
    pub organization_id: String,
    /// The filter as typed.
    pub filter: String,
    /// First instant of the view.
    pub since: Option<Timestamp>,
    /// First instant behind it.
    pub until: Option<Timestamp>,
    /// Time and id of the selected event.
    pub selected: Option<(Timestamp, String)>,
    /// Name of the pane with the keys.
    pub focus: String,
    /// When this was written.
    pub at: Timestamp,
}

/// Puts down where the console of process `pid` is. The file is for its owner only, and replaced as a whole.
///
/// # Errors
/// When it cannot be written.
pub fn save(folder: &Path, pid: u32, place: &Place) -> Result<()> {
    let text = serde_json::to_vec(place).map_err(std::io::Error::from)?;
    super::replace(&file(folder, pid), &text)
}

/// Forgets where the console of process `pid` was: it was left in order.
pub fn forget(folder: &Path, pid: u32) {
    // There may be none.
    let _ = std::fs::remove_file(file(folder, pid));
}

/// The newest place on this database that a console has left behind that runs no more, and forgets all of those. `pid` is
/// that of the asking process: what stands under it is of an earlier one.
pub fn take(folder: &Path, pid: u32, database: &str) -> Option<Place> {
    take_of(folder, database, |other| other != pid && runs(other))
}

fn take_of(folder: &Path, database: &str, runs: impl Fn(u32) -> bool) -> Option<Place> {
    let files = std::fs::read_dir(folder.join(FOLDER)).ok()?;
    let mut newest: Option<Place> = None;
    for path in files.flatten().map(|entry| entry.path()) {
        let pid = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".json")?.parse().ok());
        if pid.is_none_or(&runs) {
            continue;
        }
        let read = std::fs::read(&path).ok().and_then(|text| serde_json::from_slice::<Place>(&text).ok());
        if read.as_ref().is_some_and(|place| place.database != database) {
            continue;
        }
        // One that is damaged, or of another version, goes: nothing depends on it.
        newest = newest.into_iter().chain(read).max_by_key(|place| place.at);
        let _ = std::fs::remove_file(path);
    }
    newest
}

fn file(folder: &Path, pid: u32) -> PathBuf {
    folder.join(FOLDER).join(format!("{pid}.json"))
}

/// Whether there is such a process.
fn runs(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    // One that is somebody else's is there, too.
    pid.is_some_and(|pid| rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn place(database: &str, at: i64) -> Place {
        Place {
            database: database.to_owned(),
            organization_id: "acme".to_owned(),
            filter: "sev:critical".to_owned(),
            since: Some(Timestamp::from_micros(1)),
            until: None,
            selected: Some((Timestamp::from_micros(2), "evt-1".to_owned())),
            focus: "change".to_owned(),
            at: Timestamp::from_micros(at),
        }
    }

    #[test]
    fn the_newest_place_of_a_dead_console_on_the_same_database_is_taken_once() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let dead = |_| false;
        assert_eq!(take_of(folder, "a", dead), None);
        for (pid, database, at) in [(1, "a", 5), (2, "a", 9), (3, "a", 7), (4, "b", 99)] {
            save(folder, pid, &place(database, at)).unwrap();
        }
        let mode = std::fs::metadata(file(folder, 1)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::write(file(folder, 5), "{\"torn").unwrap();
        // The second one still runs.
        assert_eq!(take_of(folder, "a", |pid| pid == 2), Some(place("a", 7)));
        assert!(!file(folder, 1).exists() && !file(folder, 3).exists() && !file(folder, 5).exists());
        assert_eq!(take_of(folder, "a", |pid| pid == 2), None);
        forget(folder, 2);
        assert_eq!(take_of(folder, "a", dead), None);
        assert_eq!(take_of(folder, "b", dead), Some(place("b", 99)));
    }

    #[test]
    fn a_process_that_has_ended_does_not_run() {
        assert!(runs(std::process::id()));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id();
        child.wait().unwrap();
        assert!(!runs(pid));
    }
}
