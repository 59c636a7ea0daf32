//! A record without end: numbered files that continue each other's chain, of which the oldest go when there are too many
//! bytes of them. Which went for that reason the log says itself, so that a file that somebody removed is found; and the
//! newest line is remembered beside it, so that lines removed at the end are found, too.

use super::{End, Slot, cannot, line, newer, read_all, trust};
use crate::error::{Error, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};

/// The file that whoever appends holds the lock on.
const LOCK: &str = "lock";

/// How large files become, and how large all of them together, in bytes; each may be exceeded by one append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// One file.
    pub file: u64,
    /// All files.
    pub all: u64,
}

/// A log of one kind, in a folder of its own.
#[derive(Debug, Clone)]
pub struct Log {
    folder: PathBuf,
    kind: &'static str,
    head: Slot,
    limits: Limits,
}

/// What a log holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded<T> {
    /// The valid records, oldest first.
    pub records: Vec<T>,
    /// Damage, one sentence each.
    pub remarks: Vec<String>,
    /// Nothing that was recorded, and not dropped for its size, was removed, replaced, reordered or changed.
    pub is_whole: bool,
    /// Why the log is not used.
    pub refused: Option<String>,
    /// Files that are there.
    pub files: usize,
    /// Files that went because there were too many bytes of them.
    pub dropped: u64,
    /// Digest of the newest line; empty without any.
    pub head: String,
}

/// A line.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Item<T> {
    Opening(Opening),
    Record(T),
}

/// The first line of each file but the first.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Opening {
    /// Number of the file.
    file: u64,
    /// The newest file that went because there were too many bytes; 0 for none.
    dropped_until: u64,
    /// Digest of its last line.
    dropped_head: String,
}

/// The newest line, beside the log.
#[derive(Serialize, Deserialize)]
struct Head {
    file: u64,
    digest: String,
}

impl Log {
    /// The log in the folder `kind` of a folder; it need not exist yet.
    pub fn new(folder: &Path, kind: &'static str, limits: Limits) -> Self {
        Self { folder: folder.join(kind), kind, head: Slot::new(&folder.join(kind), "head", &[kind]), limits }
    }

    /// Where its files lie.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Appends records and makes sure that they are on disk. Two programs that append at once wait for each other.
    ///
    /// # Errors
    /// When they cannot be written, others can write the files, or a newer program wrote them.
    pub fn append(&self, records: &[impl Serialize]) -> Result<()> {
        let written = self.append_to_newest(records);
        written.map_err(|why| Error::could_not_run(format!("nothing was recorded: {why}")))
    }

    fn append_to_newest(&self, records: &[impl Serialize]) -> Result<(), String> {
        // One for all files: between the making of a file and a lock on itself another program would write to it.
        let _held = End::of(&self.folder.join(LOCK))?;
        let number = self.numbers()?.last().copied().unwrap_or(1);
        let path = self.path(number);
        let mut end = End::of(&path)?;
        let there = line::parse_behind::<serde::de::IgnoredAny>(self.kind, &end.before, None);
        if let Some(version) = there.newer {
            return Err(newer(&path, version));
        }
        if records.is_empty() {
            // It was only asked whether it could be.
            return Ok(());
        }
        // Where the newest line is gone, the next one says that it had one before it: the gap stays.
        let removed =
            self.remembered().filter(|head| head.file >= number && !there.digests.contains(&head.digest));
        let mut last = removed.map_or(there.last, |head| head.digest);
        if (end.before.len() as u64) < self.limits.file {
            let text = self.lines(&mut last, records)?;
            end.append(&path, text)?;
            return self.remember(number, &last);
        }
        let next = number + 1;
        let opening = self.opening(next)?;
        let first = [Item::<()>::Opening(opening.clone())];
        let text = self.lines(&mut last, &first)? + &self.lines(&mut last, records)?;
        End::of(&self.path(next))?.append(&self.path(next), text)?;
        self.remember(next, &last)?;
        for old in self.numbers()?.into_iter().filter(|old| *old <= opening.dropped_until) {
            std::fs::remove_file(self.path(old)).map_err(|e| cannot("remove", &self.path(old), &e))?;
        }
        Ok(())
    }

    /// The lines of records behind the line with the digest `last`, which becomes that of the last of them.
    fn lines(&self, last: &mut String, records: &[impl Serialize]) -> Result<String, String> {
        let mut text = String::new();
        for record in records {
            let (line, digest) = line::write(self.kind, last, record)
                .map_err(|e| cannot("write", &self.folder, &io::Error::from(e)))?;
            text.push_str(&line);
            *last = digest;
        }
        Ok(text)
    }

    fn remembered(&self) -> Option<Head> {
        self.head.load().records.pop()
    }

    fn remember(&self, file: u64, digest: &str) -> Result<(), String> {
        self.head.store(&Head { file, digest: digest.to_owned() }).map_err(|e| e.to_string())
    }

    /// The beginning of the next file: which of the older ones go.
    fn opening(&self, file: u64) -> Result<Opening, String> {
        let mut dropped = Opening { file, dropped_until: 0, dropped_head: String::new() };
        let numbers = self.numbers()?;
        if let Some(newest) = numbers.last()
            && let Some(there) = self.opening_of(*newest)?
        {
            (dropped.dropped_until, dropped.dropped_head) = (there.dropped_until, there.dropped_head);
        }
        let sizes: Vec<(u64, u64)> = numbers
            .iter()
            .map(|number| (*number, self.path(*number).metadata().map_or(0, |metadata| metadata.len())))
            .collect();
        let mut all: u64 = sizes.iter().map(|(_, size)| size).sum();
        for (number, size) in sizes {
            // The newest one stays, however large it is.
            if all + self.limits.file <= self.limits.all || number + 1 >= file {
                break;
            }
            all -= size;
            let parsed = line::parse_behind::<serde::de::IgnoredAny>(self.kind, &self.bytes(number)?, None);
            (dropped.dropped_until, dropped.dropped_head) = (number, parsed.last);
        }
        Ok(dropped)
    }

    fn opening_of(&self, number: u64) -> Result<Option<Opening>, String> {
        let parsed = line::parse_behind::<Item<serde::de::IgnoredAny>>(self.kind, &self.bytes(number)?, None);
        Ok(parsed.records.into_iter().find_map(|item| match item {
            Item::Opening(opening) => Some(opening),
            Item::Record(_) => None,
        }))
    }

    /// All valid records, and whether the log is whole.
    pub fn load<T: DeserializeOwned>(&self) -> Loaded<T> {
        self.read().unwrap_or_else(|why| Loaded {
            records: Vec::new(),
            remarks: Vec::new(),
            is_whole: false,
            refused: Some(why),
            files: 0,
            dropped: 0,
            head: String::new(),
        })
    }

    fn read<T: DeserializeOwned>(&self) -> Result<Loaded<T>, String> {
        loop {
            let oldest = self.numbers()?.first().copied();
            let loaded = self.read_once();
            // Files that went for their size meanwhile were not removed by anybody.
            if self.numbers()?.first().copied() == oldest {
                return loaded;
            }
        }
    }

    fn read_once<T: DeserializeOwned>(&self) -> Result<Loaded<T>, String> {
        // First: whatever is appended meanwhile, the line that it names must be there.
        let remembered = self.remembered();
        let numbers = self.numbers()?;
        let mut loaded = Loaded {
            records: Vec::new(),
            remarks: Vec::new(),
            is_whole: true,
            refused: None,
            files: numbers.len(),
            dropped: 0,
            head: String::new(),
        };
        let mut dropped = (0, String::new());
        let (mut is_remembered, mut before_first) = (false, String::new());
        let mut expected = None;
        for number in &numbers {
            let path = self.path(*number);
            let mut is_broken = expected.is_some_and(|expected| expected != *number);
            let behind = expected.map(|_| loaded.head.as_str());
            let parsed = line::parse_behind::<Item<T>>(self.kind, &self.bytes(*number)?, behind);
            if let Some(version) = parsed.newer {
                return Err(newer(&path, version));
            }
            if expected.is_none() {
                before_first.clone_from(&parsed.first_previous);
            }
            is_broken |= parsed.is_broken;
            is_remembered |= remembered.as_ref().is_some_and(|head| parsed.digests.contains(&head.digest));
            let remarks = parsed.remarks.iter().map(|remark| format!("'{}', {remark}", path.display()));
            loaded.remarks.extend(remarks);
            if is_broken && expected.is_some_and(|expected| expected != *number) {
                loaded.remarks.push(format!("files before '{}' were removed", path.display()));
            }
            for item in parsed.records {
                match item {
                    Item::Opening(opening) => dropped = (opening.dropped_until, opening.dropped_head),
                    Item::Record(record) => loaded.records.push(record),
                }
            }
            loaded.is_whole &= !is_broken;
            loaded.head = parsed.last;
            expected = Some(number + 1);
        }
        loaded.dropped = dropped.0;
        let first = numbers.first().copied().unwrap_or(1);
        let is_explained = match first {
            1 => before_first.is_empty(),
            first if first == dropped.0 + 1 => before_first == dropped.1,
            // Files that were to go and are still there, or others that went.
            first => first <= dropped.0,
        };
        if !is_explained {
            loaded.is_whole = false;
            loaded.remarks.push(format!("files before '{}' were removed", self.path(first).display()));
        }
        if let Some(head) = remembered.filter(|_| !is_remembered) {
            loaded.is_whole = false;
            loaded.remarks.push(format!(
                "'{}': the newest lines were removed: the last one that was written, {}, is not there",
                self.path(head.file).display(),
                head.digest
            ));
        }
        Ok(loaded)
    }

    fn bytes(&self, number: u64) -> Result<Vec<u8>, String> {
        let path = self.path(number);
        match trust::open(&path, OpenOptions::new().read(true))? {
            Some(mut file) => read_all(&mut file, &path),
            None => Ok(Vec::new()),
        }
    }

    fn path(&self, number: u64) -> PathBuf {
        self.folder.join(format!("{number:06}.ndjson"))
    }

    /// Numbers of the files, in rising order.
    fn numbers(&self) -> Result<Vec<u64>, String> {
        let entries = match std::fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(cannot("read", &self.folder, &e)),
        };
        let number = |name: &str| name.strip_suffix(".ndjson")?.parse::<u64>().ok();
        let mut numbers: Vec<u64> =
            entries.flatten().filter_map(|entry| number(entry.file_name().to_str()?)).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    const SMALL: Limits = Limits { file: 600, all: 2_400 };

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Thing {
        n: u32,
    }

    fn with(n: u32) -> (tempfile::TempDir, Log) {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::new(folder.path(), "things", SMALL);
        for n in 0..n {
            log.append(&[Thing { n }]).unwrap();
        }
        (folder, log)
    }

    fn numbers(loaded: &Loaded<Thing>) -> Vec<u32> {
        loaded.records.iter().map(|thing| thing.n).collect()
    }

    #[test]
    fn the_chain_goes_on_from_file_to_file_and_the_oldest_go() {
        let (folder, log) = with(5);
        let loaded = log.load::<Thing>();
        assert_eq!((numbers(&loaded), loaded.is_whole), ((0..5).collect(), true), "{loaded:?}");
        assert!(loaded.files > 1 && loaded.dropped == 0, "{loaded:?}");
        for n in 5..40 {
            log.append(&[Thing { n }]).unwrap();
        }
        let loaded = log.load::<Thing>();
        let first = loaded.records[0].n;
        assert!(loaded.is_whole && loaded.dropped > 0 && first > 5, "{loaded:?}");
        assert_eq!(numbers(&loaded), (first..40).collect::<Vec<_>>());
        let sizes = std::fs::read_dir(log.folder()).unwrap().map(|entry| entry.unwrap().metadata().unwrap());
        let files: Vec<_> = sizes.filter(std::fs::Metadata::is_file).collect();
        assert!(files.iter().all(|file| file.permissions().mode() & 0o777 == 0o600));
        assert!(files.iter().map(std::fs::Metadata::len).sum::<u64>() < SMALL.all + SMALL.file);
        drop(folder);
    }

    #[test]
    fn a_change_is_found_wherever_it_is_made() {
        type Edit = fn(&Log, &[PathBuf]);
        let edits: [(&str, Edit); 6] = [
            ("a line edited", |_, files| {
                let text = std::fs::read_to_string(&files[1]).unwrap();
                std::fs::write(&files[1], text.replacen("\"n\":", "\"n\":1", 1)).unwrap();
            }),
            ("a line removed", |_, files| {
                let text = std::fs::read_to_string(&files[1]).unwrap();
                let kept: Vec<&str> = text.lines().skip(1).collect();
                std::fs::write(&files[1], kept.join("\n") + "\n").unwrap();
            }),
            ("the newest line removed", |_, files| {
                let newest = files.last().unwrap();
                let text = std::fs::read_to_string(newest).unwrap();
                let kept = text.trim_end().rsplit_once('\n').unwrap().0;
                std::fs::write(newest, format!("{kept}\n")).unwrap();
            }),
            ("the newest file removed", |_, files| std::fs::remove_file(files.last().unwrap()).unwrap()),
            ("the oldest file removed", |_, files| std::fs::remove_file(&files[0]).unwrap()),
            ("a file between removed", |_, files| std::fs::remove_file(&files[1]).unwrap()),
        ];
        for (what, edit) in edits {
            for n in [9, 40] {
                let (_folder, log) = with(n);
                let mut files: Vec<PathBuf> =
                    log.numbers().unwrap().into_iter().map(|number| log.path(number)).collect();
                files.sort();
                assert!(files.len() > 2 && log.load::<Thing>().is_whole);
                edit(&log, &files);
                let loaded = log.load::<Thing>();
                assert!(!loaded.is_whole && !loaded.remarks.is_empty(), "{what}, {n}: {loaded:?}");
                // And it stays so, whatever is recorded behind it.
                log.append(&[Thing { n: 99 }]).unwrap();
                assert!(!log.load::<Thing>().is_whole, "{what}, {n}");
            }
        }
    }

    #[test]
    fn an_interrupted_write_is_no_change_and_costs_nothing() {
        for part in [0.01, 0.5, 0.99] {
            let (_folder, log) = with(2);
            let whole = std::fs::read_to_string(log.path(1)).unwrap();
            let torn = whole.lines().last().unwrap();
            let cut = (torn.len() as f64 * part) as usize;
            std::fs::write(log.path(1), format!("{whole}{}", &torn[..cut.max(1)])).unwrap();
            let loaded = log.load::<Thing>();
            assert_eq!((loaded.is_whole, loaded.remarks.len(), loaded.records.len()), (true, 1, 2));
            log.append(&[Thing { n: 7 }]).unwrap();
            let loaded = log.load::<Thing>();
            assert_eq!((loaded.is_whole, numbers(&loaded).len()), (true, 3), "{loaded:?}");
        }
    }

    #[test]
    fn programs_that_append_at_once_make_one_chain() {
        let (_folder, log) = with(0);
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let log = &log;
                scope.spawn(move || {
                    for n in 0..10 {
                        log.append(&[Thing { n: writer * 100 + n }]).unwrap();
                    }
                });
            }
            // Whoever reads meanwhile is not told that something was removed.
            for _ in 0..200 {
                let loaded = log.load::<Thing>();
                assert!(loaded.is_whole && loaded.refused.is_none(), "{loaded:?}");
            }
        });
        let loaded = Log { limits: Limits { all: u64::MAX, ..SMALL }, ..log }.load::<Thing>();
        assert!(loaded.is_whole, "{:?}", loaded.remarks);
    }
}
