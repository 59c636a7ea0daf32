//! Files and standard input, compressed or not, and how far they have been read.

use crate::error::{Error, Result};
use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A source of records.
pub struct Input {
    /// As the user named it; `-` is standard input.
    pub name: String,
    /// Bytes of the file as it is stored, when that is known.
    pub size: Option<u64>,
    /// Bytes of the file as it is stored that have been read.
    pub read: Arc<AtomicU64>,
    /// Whether its records come as they happen, so that a few of them must not wait for a full batch.
    pub(crate) live: bool,
    reader: Box<dyn Read + Send>,
}

impl Input {
    /// Any reader, under a name.
    pub fn new(name: impl Into<String>, size: Option<u64>, reader: impl Read + Send + 'static) -> Self {
        let read = Arc::new(AtomicU64::new(0));
        let reader = Box::new(Counted { inner: reader, read: Arc::clone(&read) });
        Self { name: name.into(), size, read, live: false, reader }
    }

    /// A file.
    ///
    /// # Errors
    /// When it cannot be opened, or is a folder.
    pub fn file(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let failed = |e: io::Error| Error::could_not_run(format!("cannot read '{name}'")).because(e);
        let file = File::open(path).map_err(failed)?;
        let about = file.metadata().map_err(failed)?;
        if about.is_dir() {
            return Err(Error::usage(format!("'{name}' is a folder"))
                .hint(format!("name the files in it, such as {name}/*.json.gz")));
        }
        let size = about.is_file().then_some(about.len());
        Ok(Self { live: !about.is_file(), ..Self::new(name, size, file) })
    }

    /// Standard input.
    pub fn stdin() -> Self {
        Self { live: true, ..Self::new("-", None, io::stdin()) }
    }

    /// The bytes, decompressed when they begin as gzip (several members too) or Zstandard.
    pub(crate) fn open(self) -> io::Result<Box<dyn Read + Send>> {
        let mut reader = self.reader;
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
    fn a_cut_off_file_gives_what_it_has_and_an_error() {
        let text: Vec<u8> = (0..20_000u32).flat_map(u32::to_le_bytes).collect();
        let whole = gzip(&text);
        let (out, result) = read(whole[..whole.len() / 2].to_vec());
        assert!(result.is_err() && out.len() > 1000 && text.starts_with(&out));
    }
}
