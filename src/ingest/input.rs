//! Files and standard input, compressed or not, and how far they have been read.

use crate::error::{Error, Result};
use std::fs::{self, File};
use std::io::{self, BufReader, Cursor, Read};
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

    /// The bytes, decompressed when they begin as gzip (several members too) or Zstandard.
    pub(crate) fn open(self) -> io::Result<Box<dyn Read + Send>> {
        let inner: Box<dyn Read + Send> = match self.bytes {
            Bytes::Open(reader) => reader,
            Bytes::File(path) => Box::new(File::open(path)?),
        };
        let mut reader = Counted { inner, read: self.read };
        let mut magic = Vec::with_capacity(4);
        reader.by_ref().take(4).read_to_end(&mut magic)?;
        let kind = Compression::of(&magic);
        let whole = Cursor::new(magic).chain(reader);
        Ok(match kind {
            None => Box::new(whole),
            Some(Compression::Gzip) => {
                Box::new(flate2::bufread::MultiGzDecoder::new(BufReader::with_capacity(64 << 10, whole)))
            }
            Some(Compression::Zstandard) => Box::new(zstd::stream::read::Decoder::new(whole)?),
        })
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
        if name.starts_with('.') || (name.contains(".rejected") && name.ends_with(".ndjson")) {
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

#[derive(Clone, Copy)]
enum Compression {
    Gzip,
    Zstandard,
}

impl Compression {
    fn of(magic: &[u8]) -> Option<Self> {
        match magic {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            // A frame, or a skippable one such as parallel compressors put first.
            [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => Some(Self::Zstandard),
            _ => None,
        }
    }
}

struct Counted<R> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn read(bytes: Vec<u8>) -> (Vec<u8>, io::Result<usize>) {
        let mut out = Vec::new();
        let result = Input::new("x", None, Cursor::new(bytes)).open().unwrap().read_to_end(&mut out);
        (out, result)
    }

    #[test]
    fn compression_is_found_by_its_first_bytes() {
        let zstd = |bytes: &[u8]| zstd::encode_all(bytes, 1).unwrap();
        for bytes in [
            b"one two".to_vec(),
            gzip(b"one two"),
            [gzip(b"one"), gzip(b" two")].concat(),
            zstd(b"one two"),
            [zstd(b"one"), zstd(b" two")].concat(),
            [vec![0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 9], zstd(b"one two")].concat(),
        ] {
            let (out, result) = read(bytes);
            result.unwrap();
            assert_eq!(out, b"one two");
        }
        assert_eq!(read(b"ab".to_vec()).0, b"ab");
        assert_eq!(read(Vec::new()).0, b"");
    }

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
        one.open().unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "2026/01/01/z.json");
        fs::create_dir(folder.path().join("none")).unwrap();
        assert!(Input::files(&folder.path().join("none")).is_err());
        assert!(Input::files(&folder.path().join("absent")).is_err());
    }

    #[test]
    fn a_cut_off_file_gives_what_it_has_and_an_error() {
        let text: Vec<u8> = (0..20_000u32).flat_map(u32::to_le_bytes).collect();
        let whole = gzip(&text);
        let (out, result) = read(whole[..whole.len() / 2].to_vec());
        assert!(result.is_err() && out.len() > 1000 && text.starts_with(&out));
    }
}
