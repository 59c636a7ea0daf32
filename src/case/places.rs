//! Where a console is: one small file for each that runs, so that the next one can go on where another one died. It holds
//! what the user typed and the key of the selected event, no text of events.

use crate::domain::Timestamp;
use crate::error::Result;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Name of the folder in [`super::folder`].
pub const FOLDER: &str = "places";

/// Where a console is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// Which database: the name of its place and its identity.
    pub database: String,
    /// The view of each tab, in their order.
    pub tabs: Vec<View>,
    /// The tab that is shown, counted from 0.
    pub shown: usize,
    /// When this was written.
    pub at: Timestamp,
}

/// A view, and what is looked at in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct View {
    /// The organisation.
    pub organization_id: String,
    /// The filter as typed.
    pub filter: String,
    /// First instant of the view, and first instant behind it, once they are known.
    pub range: Option<[Option<Timestamp>; 2]>,
    /// Time and id of the selected event.
    pub selected: Option<(Timestamp, String)>,
    /// Name of the pane with the keys.
    pub focus: String,
    /// Rows on the screen above the selected one.
    pub above: usize,
    /// The line of the change pane's cursor.
    pub line: usize,
}

/// What was written before there were tabs in it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OneView {
    database: String,
    organization_id: String,
    filter: String,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    selected: Option<(Timestamp, String)>,
    focus: String,
    at: Timestamp,
}

impl From<OneView> for Place {
    fn from(one: OneView) -> Self {
        let OneView { database, organization_id, filter, since, until, selected, focus, at } = one;
        let range = Some([since, until]);
        let view = View { organization_id, filter, range, selected, focus, above: 0, line: 0 };
        Self { database, tabs: vec![view], shown: 0, at }
    }
}

fn read(text: &[u8]) -> Option<Place> {
    let one = || serde_json::from_slice::<OneView>(text).ok().map(Place::from);
    serde_json::from_slice(text).ok().or_else(one)
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
        let read = std::fs::read(&path).ok().and_then(|text| read(&text));
        if read.as_ref().is_some_and(|place| place.database != database) {
            continue;
        }
        // One that is damaged, or of a later version, goes: nothing depends on it.
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
        let view = |filter: &str| View {
            organization_id: "acme".to_owned(),
            filter: filter.to_owned(),
            range: Some([Some(Timestamp::from_micros(1)), None]),
            selected: Some((Timestamp::from_micros(2), "evt-1".to_owned())),
            focus: "Change".to_owned(),
            above: 3,
            line: 0,
        };
        Place {
            database: database.to_owned(),
            tabs: ["sev:critical", "actor:eve"].map(view).into(),
            shown: 1,
            at: Timestamp::from_micros(at),
        }
    }

    #[test]
    fn what_was_written_before_there_were_tabs_is_read() {
        let text = r#"{"database":"a","organization_id":"acme","filter":"sev:critical","since":"2026-01-15T09:58:00.000000Z",
            "until":null,"selected":["2026-01-15T09:58:01.000000Z","evt-1"],"focus":"Change","at":"2026-01-15T10:00:00.000000Z"}"#;
        let place = read(text.as_bytes()).unwrap();
        let [view] = place.tabs.as_slice() else { panic!("{place:?}") };
        let time = |text: &str| Timestamp::parse(text).unwrap();
        assert_eq!((view.filter.as_str(), view.focus.as_str(), place.shown), ("sev:critical", "Change", 0));
        assert_eq!(view.range, Some([Some(time("2026-01-15T09:58:00Z")), None]));
        assert_eq!(view.selected, Some((time("2026-01-15T09:58:01Z"), "evt-1".to_owned())));
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
