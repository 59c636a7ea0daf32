//! Files and standard input, compressed or not, and how far they have been read.

use super::compressed::{self, Content};
use super::follow::{Followed, Standing, Tail};
use crate::error::{Error, Result};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a source is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The file; `-` is standard input.
    pub name: String,
    /// The argument of the command by which it is read: the file itself, or a folder above it.
    pub group: String,
}

/// A source of records.
pub struct Input {
    /// What it is called.
    pub source: Arc<Source>,
    /// Bytes of the file as it is stored, when that is known.
    pub size: Option<u64>,
    /// Bytes of the file as it is stored that have been read.
    pub read: Arc<AtomicU64>,
    /// Whether its records come as they happen, so that a few of them must not wait for a full batch.
    pub(crate) live: bool,
    bytes: Bytes,
}

/// Where the bytes come from.
enum Bytes {
    Open(Box<dyn Read + Send>),
    /// Opened when its turn has come: there may be more files than a process may have open.
    File(PathBuf),
    /// A file that grows.
    Followed(PathBuf, Option<Standing>, Arc<Followed>),
}

impl Input {
    /// Any reader, under a name.
    pub fn new(name: impl Into<String>, size: Option<u64>, reader: impl Read + Send + 'static) -> Self {
        let name = name.into();
        let source = Arc::new(Source { group: name.clone(), name });
        Self { source, size, read: Arc::default(), live: false, bytes: Bytes::Open(Box::new(reader)) }
    }

    /// The file of a path, or the files below a folder in the order of their paths, which is that of time for logs in
    /// folders by day. Hidden files, and files of rejected records, are left out.
    ///
    /// # Errors
    /// When it is not there, or a folder that cannot be read or holds no file.
    pub fn files(path: &Path) -> Result<Vec<Self>> {
        let failed =
            |e: io::Error| Error::could_not_run(format!("cannot read '{}'", path.display())).because(e);
        if !fs::metadata(path).map_err(failed)?.is_dir() {
            return Ok(vec![Self::file(path, path).map_err(failed)?]);
        }
        let mut found = Vec::new();
        below(path, &mut found).map_err(failed)?;
        if found.is_empty() {
            return Err(Error::could_not_run(format!("the folder '{}' holds no files", path.display())));
        }
        found.iter().map(|file| Self::file(file, path).map_err(failed)).collect()
    }

    fn file(path: &Path, group: &Path) -> io::Result<Self> {
        let about = fs::metadata(path)?;
        let source = Source { name: path.display().to_string(), group: group.display().to_string() };
        Ok(Self {
            source: Arc::new(source),
            size: about.is_file().then_some(about.len()),
            read: Arc::default(),
            live: !about.is_file(),
            bytes: Bytes::File(path.to_owned()),
        })
    }

    /// Standard input.
    pub fn stdin() -> Self {
        Self { live: true, ..Self::new("-", None, io::stdin()) }
    }

    /// A file that grows, from where reading it stood before, else from its beginning. It may be rotated meanwhile; where it
    /// stood before, also since then.
    ///
    /// # Errors
    /// When there is nothing to follow: no such file, and none was followed before; a folder; a compressed file.
    pub fn follow(path: &Path, before: Option<Standing>) -> Result<Self> {
        let wrong = |why: &str| Err(Error::usage(format!("--follow: '{}' {why}", path.display())));
        match fs::metadata(path) {
            // In the middle of a rotation.
            Err(e) if e.kind() == io::ErrorKind::NotFound && before.is_some() => {}
            Err(e) => {
                return Err(Error::could_not_run(format!("cannot read '{}'", path.display())).because(e));
            }
            Ok(about) if !about.is_file() => return wrong("is no file, and only a file can be followed"),
            Ok(_) => {
                let file = File::open(path).map_err(|e| {
                    Error::could_not_run(format!("cannot read '{}'", path.display())).because(e)
                })?;
                if compressed::is_compressed(file).unwrap_or(false) {
                    return wrong("is compressed, and such a file does not grow: load it without --follow");
                }
            }
        }
        let name = path.display().to_string();
        Ok(Self {
            source: Arc::new(Source { group: name.clone(), name }),
            size: None,
            read: Arc::default(),
            live: true,
            bytes: Bytes::Followed(path.to_owned(), before, Arc::default()),
        })
    }

    /// Where reading stands, of a file that is followed.
    pub(super) fn followed(&self) -> Option<Arc<Followed>> {
        match &self.bytes {
            Bytes::Followed(_, _, followed) => Some(Arc::clone(followed)),
            _ => None,
        }
    }

    /// The bytes, decompressed, or the archive.
    pub(super) fn open(self) -> io::Result<Content> {
        let read = self.read;
        match self.bytes {
            Bytes::Open(inner) => compressed::decompressed(Counted { inner, read }).map(Content::Stream),
            Bytes::File(path) => compressed::of_file(Counted { inner: File::open(path)?, read }),
            Bytes::Followed(path, before, followed) => {
                Ok(Content::Tail(Box::new(Tail::new(path, before, followed, read))))
            }
        }
    }
}

/// The files below a folder.
fn below(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    let mut entries: Vec<_> = fs::read_dir(folder)?.collect::<io::Result<_>>()?;
    entries.sort_unstable_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = entry.path();
        let kind = entry.file_type()?;
        if is_left_out(&name) {
            continue;
        }
        if kind.is_dir() {
            below(&path, found)?;
        } else if kind.is_file() || (kind.is_symlink() && path.is_file()) {
            found.push(path);
        }
    }
    Ok(())
}

/// Whether a file of a folder, or of an archive, is hidden, or one of rejected records.
pub(super) fn is_left_out(name: &str) -> bool {
    name.starts_with('.') || (name.contains(".rejected") && name.ends_with(".ndjson"))
}

/// A reader, and how much of it has been read.
pub(super) struct Counted<R = File> {
    inner: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(out)?;
        self.read.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

impl<R: Seek> Seek for Counted<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn a_folder_is_its_files_in_the_order_of_their_paths() {
        let folder = tempfile::tempdir().unwrap();
        let make = |name: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, name).unwrap();
        };
        for name in ["2026/01/02/b.json", "2026/01/02/a.json", "2026/01/01/z.json", ".hidden/x", "2026/.y"] {
            make(name);
        }
        make("2026.rejected-2.ndjson");
        let names = |path: &Path| -> Vec<String> {
            let inputs = Input::files(path).unwrap();
            inputs
                .iter()
                .map(|i| Path::new(&i.source.name).strip_prefix(folder.path()).unwrap().display().to_string())
                .collect()
        };
        assert_eq!(names(folder.path()), ["2026/01/01/z.json", "2026/01/02/a.json", "2026/01/02/b.json"]);
        let one = Input::files(&folder.path().join("2026/01/01")).unwrap().remove(0);
        assert!(one.source.group.ends_with("2026/01/01") && one.size == Some(17));
        let mut text = String::new();
        let Content::Stream(mut bytes) = one.open().unwrap() else { panic!("no stream") };
        bytes.read_to_string(&mut text).unwrap();
        assert_eq!(text, "2026/01/01/z.json");
        fs::create_dir(folder.path().join("none")).unwrap();
        assert!(Input::files(&folder.path().join("none")).is_err());
        assert!(Input::files(&folder.path().join("absent")).is_err());
    }
}
