use super::*;
use proptest::prelude::*;
use serde::Deserialize;
use std::os::unix::fs::{PermissionsExt as _, symlink};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Thing {
    n: u32,
    text: String,
}

fn thing(n: u32) -> Thing {
    Thing { n, text: format!("a\n\"{n}\u{1b}") }
}

struct Scratch {
    folder: tempfile::TempDir,
    segment: Segment,
}

impl Scratch {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let segment = Segment::new(&folder.path().join("deeper"), "things");
        Self { folder, segment }
    }

    fn with(n: u32) -> Self {
        let scratch = Self::new();
        for n in 1..=n {
            scratch.segment.append(&[thing(n)]).unwrap();
        }
        scratch
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.segment.path()).unwrap()
    }

    fn put(&self, text: impl AsRef<[u8]>) {
        std::fs::write(self.segment.path(), text).unwrap();
    }

    fn numbers(&self) -> Vec<u32> {
        self.load().records.iter().map(|thing| thing.n).collect()
    }

    fn load(&self) -> Contents<Thing> {
        self.segment.load()
    }
}

#[test]
fn records_are_loaded_as_appended_from_a_private_file_in_a_private_folder() {
    let scratch = Scratch::new();
    assert_eq!(scratch.load(), Contents::default());
    scratch.segment.append(&[thing(1), thing(2)]).unwrap();
    scratch.segment.append(&[thing(3)]).unwrap();
    let contents = scratch.load();
    assert_eq!(contents, Contents { records: vec![thing(1), thing(2), thing(3)], ..Contents::default() });
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(scratch.segment.path()), 0o600);
    assert_eq!(mode(scratch.segment.path().parent().unwrap()), 0o700);
}

#[test]
fn a_removed_replaced_or_reordered_line_is_named() {
    let scratch = Scratch::with(4);
    let text = scratch.text();
    let lines: Vec<&str> = text.lines().collect();
    let other = Scratch::with(4);
    let foreign = other.text().replace("\\\"3", "\\\"9");
    let foreign = foreign.lines().nth(2).unwrap();
    for (kept, wanted, numbers) in [
        (vec![lines[0], lines[2], lines[3]], "line 2: records before", vec![1, 3, 4]),
        (vec![lines[1], lines[2], lines[3]], "line 1: records before", vec![2, 3, 4]),
        (vec![lines[0], lines[2], lines[1], lines[3]], "line 2: records before", vec![1, 3, 2, 4]),
        (vec![lines[0], lines[1], foreign, lines[3]], "line 3: the record does not match", vec![1, 2, 4]),
        (vec![lines[0], "{}", lines[2], lines[3]], "line 2: not a valid record", vec![1, 3, 4]),
    ] {
        scratch.put(kept.join("\n") + "\n");
        let contents = scratch.load();
        assert!(contents.remarks[0].contains(wanted), "{wanted}: {:?}", contents.remarks);
        assert_eq!(scratch.numbers(), numbers);
        // It stays named, and what is appended is not affected.
        scratch.segment.append(&[thing(5)]).unwrap();
        assert_eq!(scratch.load().remarks, contents.remarks);
        assert_eq!(scratch.numbers().last(), Some(&5));
    }
}

#[test]
fn a_torn_last_line_is_a_remark_and_the_next_one_begins_on_a_line_of_its_own() {
    let scratch = Scratch::with(3);
    let text = scratch.text();
    scratch.put(&text[..text.len() - 20]);
    let contents = scratch.load();
    assert_eq!(contents.records, [thing(1), thing(2)]);
    assert!(contents.remarks[0].ends_with("line 3: incomplete, its write was interrupted; it is not used"));
    scratch.segment.append(&[thing(4)]).unwrap();
    assert_eq!(scratch.numbers(), [1, 2, 4]);
    // Only the line feed was lost: nothing is.
    scratch.put(text.trim_end());
    assert_eq!((scratch.numbers(), scratch.load().remarks.len()), (vec![1, 2, 3], 0));
    scratch.segment.append(&[thing(4)]).unwrap();
    assert_eq!((scratch.numbers(), scratch.load().remarks.len()), (vec![1, 2, 3, 4], 0));
}

#[test]
fn a_file_of_a_newer_version_is_refused_with_a_sentence_and_left_as_it_is() {
    let scratch = Scratch::with(1);
    let text = scratch.text() + "{\"v\":2,\"anything\":[1,2]}\n";
    scratch.put(&text);
    let refused = scratch.load().refused.unwrap();
    assert!(
        refused.contains("written by a newer agenttrace (format 2; this one reads up to 1)"),
        "{refused}"
    );
    let error = scratch.segment.append(&[thing(2)]).unwrap_err().to_string();
    assert!(error.contains("nothing was recorded") && error.contains("newer agenttrace"), "{error}");
    assert_eq!(scratch.text(), text);
}

#[test]
fn what_others_can_write_is_not_used() {
    for (of_folder, mode) in [(false, 0o620), (false, 0o602), (true, 0o770), (true, 0o707)] {
        let scratch = Scratch::with(1);
        let file = scratch.segment.path().to_owned();
        let path = if of_folder { file.parent().unwrap() } else { &file };
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        let contents = scratch.load();
        assert_eq!(contents.records, []);
        assert!(contents.refused.unwrap().contains("can be written by other users"));
        assert!(scratch.segment.append(&[thing(2)]).is_err());
    }
    let scratch = Scratch::with(1);
    // Only the superuser can give a file away.
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(scratch.segment.path(), Some(65534), None).unwrap();
        assert!(scratch.load().refused.unwrap().contains("belongs to user 65534"));
    }
}

#[test]
fn links_to_folders_and_files_of_ones_own_are_followed() {
    let scratch = Scratch::with(2);
    let link = scratch.folder.path().join("link");
    symlink(scratch.segment.path().parent().unwrap(), &link).unwrap();
    let linked = Segment::new(&link, "things");
    linked.append(&[thing(3)]).unwrap();
    assert_eq!(linked.load::<Thing>().records.len(), 3);
    assert_eq!(scratch.numbers(), [1, 2, 3]);
    // Into a folder of everybody's it is not.
    let open = scratch.folder.path().join("open");
    std::fs::create_dir(&open).unwrap();
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o777)).unwrap();
    symlink(&open, scratch.folder.path().join("link-2")).unwrap();
    let linked = Segment::new(&scratch.folder.path().join("link-2"), "things");
    assert!(linked.append(&[thing(3)]).unwrap_err().to_string().contains("other users"));
}

#[test]
fn pipes_sockets_devices_and_folders_are_refused_at_once() {
    let scratch = Scratch::with(0);
    let path = scratch.segment.path();
    std::fs::create_dir(path.parent().unwrap()).unwrap();
    let begun = Instant::now();
    let refused = |what: &str| {
        let contents = scratch.load();
        assert!(contents.refused.as_ref().unwrap().contains(what), "{contents:?}");
        assert!(scratch.segment.append(&[thing(1)]).unwrap_err().to_string().contains(what));
        assert!(begun.elapsed() < Duration::from_secs(20));
    };
    let made = std::process::Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success());
    refused("a named pipe");
    std::fs::remove_file(path).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(path).unwrap();
    refused("a socket");
    std::fs::remove_file(path).unwrap();
    symlink("/dev/zero", path).unwrap();
    refused("a device");
    std::fs::remove_file(path).unwrap();
    std::fs::create_dir(path).unwrap();
    refused("a folder");
}

#[test]
fn programs_that_append_at_once_leave_an_unbroken_record() {
    let scratch = Scratch::new();
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let segment = &scratch.segment;
            scope.spawn(move || (0..25).for_each(|n| segment.append(&[thing(writer * 100 + n)]).unwrap()));
        }
    });
    let contents = scratch.load();
    assert_eq!((contents.records.len(), contents.remarks), (100, Vec::new()));
}

#[test]
fn a_record_is_appended_once_where_that_is_asked_for() {
    let scratch = Scratch::new();
    for _ in 0..3 {
        let absent = |there: &[Thing]| !there.contains(&thing(1));
        scratch.segment.append_if(absent, &[thing(1)]).unwrap();
    }
    assert_eq!(scratch.numbers(), [1]);
}

#[test]
fn a_slot_holds_the_newest_record_of_its_subject() {
    let folder = tempfile::tempdir().unwrap();
    let slot = |subject: &[&str]| Slot::new(folder.path(), "slots", subject);
    assert_eq!(slot(&["a", "b"]).load::<Thing>(), Contents::default());
    slot(&["a", "b"]).store(&thing(1)).unwrap();
    slot(&["ab", ""]).store(&thing(2)).unwrap();
    slot(&["a", "b"]).store(&thing(3)).unwrap();
    assert_eq!(slot(&["a", "b"]).load::<Thing>().records, [thing(3)]);
    assert_eq!(slot(&["ab", ""]).load::<Thing>().records, [thing(2)]);
}

#[test]
fn files_without_checksums_are_read_line_by_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("old.ndjson");
    std::fs::write(&path, "{\"n\":1,\"text\":\"\"}\n{}\n\n\u{fffd}\n{\"n\":2,\"text\":\"\"}").unwrap();
    let contents: Contents<Thing> = load_plain(&path);
    assert_eq!(contents.records.iter().map(|thing| thing.n).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(contents.remarks.len(), 2);
    assert!(contents.remarks[0].ends_with("old.ndjson', line 2: not a valid record; it is not used"));
}

proptest! {
    #[test]
    fn any_bytes_are_read_and_cost_no_valid_line(
        garbage in prop::collection::vec((any::<prop::sample::Index>(), prop::collection::vec(any::<u8>(), 0..40)), 0..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut lines = Vec::new();
        let mut previous = String::new();
        for n in 1..=5 {
            let (line, digest) = line::write("things", &previous, &thing(n)).unwrap();
            previous = digest;
            lines.push(line.into_bytes());
        }
        let mut damaged = lines.clone();
        for (at, mut bytes) in garbage.clone() {
            bytes.push(b'\n');
            damaged.insert(at.index(damaged.len() + 1), bytes);
        }
        let mut bytes = damaged.concat();
        let parsed = line::parse::<Thing>("things", &bytes);
        prop_assert_eq!(parsed.newer, None);
        prop_assert_eq!(&parsed.records, &(1..=5).map(thing).collect::<Vec<_>>());
        prop_assert!(parsed.remarks.iter().all(|remark| matches!(remark, Remark::Damaged(_))));
        // Cut anywhere: the lines before it are still read, and it is at most one line that is torn.
        let whole = line::parse::<Thing>("things", &lines.concat());
        prop_assert!(whole.remarks.is_empty());
        bytes = lines.concat();
        bytes.truncate(cut.index(bytes.len() + 1));
        let parsed = line::parse::<Thing>("things", &bytes);
        let complete = memchr::memchr_iter(b'\n', &bytes).count();
        prop_assert!(parsed.records.len() >= complete);
        prop_assert!(parsed.remarks.len() <= 1);
    }

    #[test]
    fn a_line_that_was_altered_anywhere_is_not_taken_for_what_it_was(at in any::<prop::sample::Index>(), with in any::<u8>()) {
        let (line, _) = line::write("things", "", &thing(1)).unwrap();
        let mut bytes = line.clone().into_bytes();
        let at = at.index(bytes.len() - 1);
        prop_assume!(bytes[at] != with && with != b'\n' && !(bytes[at].is_ascii_whitespace()));
        bytes[at] = with;
        let parsed = line::parse::<Thing>("things", &bytes);
        prop_assert!(parsed.records.is_empty() && (parsed.remarks.len() == 1 || parsed.newer.is_some()));
    }
}
