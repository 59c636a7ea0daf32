//! The file of what was not stored: one JSON object a line, with the record as it was.

use super::{Place, Reject};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

/// A record as it stood in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Original {
    /// All of it.
    Text(String),
    /// All of it, not UTF-8.
    Bytes(Vec<u8>),
    /// The first bytes of one that was too long.
    Start(Vec<u8>),
}

/// A record that was not stored.
#[derive(Debug)]
pub struct RejectedRecord<'a> {
    /// Name of the source.
    pub source: &'a str,
    /// The argument of the command by which it is read, after which a file of rejected records is named.
    pub group: &'a str,
    /// Where in it.
    pub place: Place,
    /// Whether another event with its id is stored already (and the record itself may be sound).
    pub conflict: bool,
    /// Why, in words.
    pub reason: &'a str,
    /// The record.
    pub original: &'a Original,
}

/// Why an event is in conflict with the one that has its id, in words.
pub(super) fn conflict(differs: &[String]) -> String {
    let differs =
        if differs.is_empty() { String::new() } else { format!("; different: {}", differs.join(", ")) };
    format!("another event with the same event_id is stored already{differs}")
}

/// Where rejected records go.
#[derive(Debug)]
pub struct RejectsFile {
    wanted: Wanted,
    open: Option<(PathBuf, BufWriter<File>)>,
    written: Vec<PathBuf>,
    /// The argument that the open file belongs to.
    group: String,
}

#[derive(Debug)]
enum Wanted {
    Nowhere,
    This(PathBuf),
    In(PathBuf),
}

impl RejectsFile {
    /// Nowhere: they are only counted.
    pub fn nowhere() -> Self {
        Self::new(Wanted::Nowhere)
    }

    /// A file, which is appended to; made when there is something to write.
    pub fn at(path: PathBuf) -> Self {
        Self::new(Wanted::This(path))
    }

    /// New files in a folder, named after their sources; made when there is something to write, never over an
    /// existing file.
    pub fn in_folder(folder: PathBuf) -> Self {
        Self::new(Wanted::In(folder))
    }

    fn new(wanted: Wanted) -> Self {
        Self { wanted, open: None, written: Vec::new(), group: String::new() }
    }

    /// The files that were written to.
    pub fn written(&self) -> &[PathBuf] {
        &self.written
    }

    pub(crate) fn write(&mut self, record: &RejectedRecord<'_>) -> io::Result<()> {
        if matches!(self.wanted, Wanted::In(_)) && self.group != record.group {
            self.flush()?;
            self.open = None;
            record.group.clone_into(&mut self.group);
        }
        let file = match &mut self.open {
            Some((_, file)) => file,
            none => {
                let (path, file) = match &self.wanted {
                    Wanted::Nowhere => return Ok(()),
                    Wanted::This(path) => (path.clone(), options().create(true).open(path)?),
                    Wanted::In(folder) => create(folder, record.group)?,
                };
                self.written.push(path.clone());
                &mut none.insert((path, BufWriter::new(file))).1
            }
        };
        let mut line = json!({
            "source": record.source,
            "line": record.place.line,
            "fate": if record.conflict { "conflict" } else { "rejected" },
            "reason": record.reason,
        });
        if let Some(n) = record.place.element {
            line["record"] = n.into();
        }
        let (key, value) = match record.original {
            Original::Text(text) => ("text", text.as_str().into()),
            Original::Bytes(bytes) => ("base64", BASE64_STANDARD.encode(bytes)),
            Original::Start(bytes) => ("start_base64", BASE64_STANDARD.encode(bytes)),
        };
        line[key] = value.into();
        writeln!(file, "{line}")
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.open.as_mut().map_or(Ok(()), |(_, file)| file.flush())
    }

    /// Makes sure that what was written is on disk.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        self.flush()?;
        let Some((path, file)) = &self.open else { return Ok(()) };
        file.get_ref().sync_all()?;
        // Its name, too.
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }
}

/// The record that a line of such a file holds.
///
/// # Errors
/// When it is no such line.
pub(super) fn kept(line: &str) -> Result<Original, Reject> {
    #[derive(serde::Deserialize)]
    struct Line {
        reason: String,
        text: Option<String>,
        base64: Option<String>,
        start_base64: Option<String>,
    }
    let bytes = |text: &str| BASE64_STANDARD.decode(text).ok();
    let original =
        serde_json::from_str::<Line>(line).ok().filter(|line| !line.reason.is_empty()).and_then(|line| {
            match line {
                Line { text: Some(text), .. } => Some(Original::Text(text)),
                Line { base64: Some(text), .. } => bytes(&text).map(Original::Bytes),
                Line { start_base64: Some(text), .. } => bytes(&text).map(Original::Start),
                _ => None,
            }
        });
    original.ok_or_else(|| {
        Reject::new(
            "is no line of a file of rejected records, which has a reason and the record as text or base64",
        )
    })
}

/// For the owner only: it holds pieces of an audit log.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// A new file in `folder`: `cloudtrail.rejected.ndjson` for `logs/cloudtrail.ndjson.gz`, numbered when that exists.
fn create(folder: &Path, source: &str) -> io::Result<(PathBuf, File)> {
    let file_name = Path::new(source).file_name().map(|n| n.to_string_lossy().into_owned());
    let stem = match file_name.as_deref() {
        None | Some("-") => "stdin",
        Some(name) => name.split('.').find(|part| !part.is_empty()).unwrap_or("input"),
    };
    let mut n = 1;
    loop {
        let number = if n == 1 { String::new() } else { format!("-{n}") };
        let path = folder.join(format!("{stem}.rejected{number}.ndjson"));
        match options().create_new(true).open(&path) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => n += 1,
            opened => return opened.map(|file| (path, file)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_after_their_source_and_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let mut rejects = RejectsFile::in_folder(folder.path().to_owned());
        for (source, original) in [
            ("logs/trail.ndjson.gz", Original::Text("{\"a\"".into())),
            ("more/trail.json", Original::Bytes(vec![0xff])),
            ("-", Original::Start(b"x".to_vec())),
        ] {
            let place = Place { line: 3, element: None };
            let record = RejectedRecord {
                source,
                group: source,
                place,
                conflict: false,
                reason: "why",
                original: &original,
            };
            rejects.write(&record).unwrap();
        }
        rejects.flush().unwrap();
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        let first: serde_json::Value = serde_json::from_str(&read("trail.rejected.ndjson")).unwrap();
        assert_eq!(
            first,
            json!({"source": "logs/trail.ndjson.gz", "line": 3, "fate": "rejected", "reason": "why", "text": "{\"a\""})
        );
        assert!(read("trail.rejected-2.ndjson").contains("\"base64\":\"/w==\""));
        assert!(read("stdin.rejected.ndjson").contains("\"start_base64\":\"eA==\""));
        assert_eq!(rejects.written().len(), 3);
    }

    #[test]
    fn nothing_is_made_for_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut rejects = RejectsFile::in_folder(folder.path().to_owned());
        rejects.flush().unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
