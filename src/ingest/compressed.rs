//! Compression, which is found by the first bytes, whatever a file is called. Nothing is ever held decompressed as a whole.

use super::archive::Archive;
use super::follow::Tail;
use super::input::Counted;
use std::io::{self, BufReader, Cursor, Read, Seek as _};

/// Compressions inside one another that are undone: each may blow a byte up to a thousand.
const DEEPEST: u8 = 3;

/// Bytes that are looked at.
const MAGIC: u64 = 4;

/// Bytes of a file, or of a member of an archive.
pub(super) enum Content {
    /// Records, decompressed.
    Stream(Box<dyn Read>),
    /// A zip archive of files.
    Archive(Archive),
    /// A file that grows.
    Tail(Box<Tail>),
}

/// What some bytes are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Gzip,
    Zstandard,
    Bzip2,
    Zip,
}

impl Kind {
    fn of(magic: &[u8]) -> Option<Self> {
        match magic {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            // A frame, or a skippable one such as parallel compressors put first.
            [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => Some(Self::Zstandard),
            [b'B', b'Z', b'h', b'1'..=b'9'] => Some(Self::Bzip2),
            // With members, or without any.
            b"PK\x03\x04" | b"PK\x05\x06" => Some(Self::Zip),
            _ => None,
        }
    }
}

/// A file, decompressed, or as the archive that it is.
///
/// # Errors
/// When it cannot be read, or is an archive that cannot be.
pub(super) fn of_file(mut file: Counted) -> io::Result<Content> {
    let mut magic = Vec::new();
    file.by_ref().take(MAGIC).read_to_end(&mut magic)?;
    if Kind::of(&magic) == Some(Kind::Zip) {
        file.rewind()?;
        return Archive::open(file).map(Content::Archive);
    }
    Ok(Content::Stream(peel(Box::new(Cursor::new(magic).chain(file)), 0)?))
}

/// Any bytes, decompressed. A zip archive is refused: the list of its members stands at its end.
///
/// # Errors
/// Where the bytes are an archive, or compressed too often over.
pub(super) fn decompressed<'a>(bytes: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    peel(Box::new(bytes), 0)
}

/// Whether some bytes are compressed, or an archive.
///
/// # Errors
/// When they cannot be read.
pub(super) fn is_compressed(bytes: impl Read) -> io::Result<bool> {
    let mut magic = Vec::new();
    bytes.take(MAGIC).read_to_end(&mut magic)?;
    Ok(Kind::of(&magic).is_some())
}

/// Undoes one compression, and those inside of it.
fn peel<'a>(mut bytes: Box<dyn Read + 'a>, depth: u8) -> io::Result<Box<dyn Read + 'a>> {
    let mut magic = Vec::with_capacity(MAGIC as usize);
    // What was read before an error comes before it.
    let broken = bytes.by_ref().take(MAGIC).read_to_end(&mut magic).err();
    let kind = Kind::of(&magic);
    let whole = Cursor::new(magic).chain(Broken(broken)).chain(bytes);
    let inner: Box<dyn Read + 'a> = match kind {
        None => return Ok(Box::new(whole)),
        Some(Kind::Zip) => {
            return Err(io::Error::other(
                "is a zip archive, which can be read from a file only, not from a pipe or inside another compression: \
                 save it as a file",
            ));
        }
        Some(_) if depth == DEEPEST => {
            return Err(io::Error::other(format!(
                "is compressed more than {DEEPEST} times over: decompress it first"
            )));
        }
        Some(Kind::Gzip) => Box::new(flate2::bufread::MultiGzDecoder::new(buffered(whole))),
        Some(Kind::Bzip2) => Box::new(bzip2::bufread::MultiBzDecoder::new(buffered(whole))),
        Some(Kind::Zstandard) => Box::new(zstd::stream::read::Decoder::new(whole)?),
    };
    peel(inner, depth + 1)
}

fn buffered<R: Read>(bytes: R) -> BufReader<R> {
    BufReader::with_capacity(64 << 10, bytes)
}

/// An error, once, and then nothing.
pub(super) struct Broken(pub(super) Option<io::Error>);

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
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

    fn bzip2(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = ::bzip2::write::BzEncoder::new(Vec::new(), ::bzip2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        ::zstd::encode_all(bytes, 1).unwrap()
    }

    fn read(bytes: Vec<u8>) -> (Vec<u8>, io::Result<usize>) {
        let mut out = Vec::new();
        let result = decompressed(Cursor::new(bytes)).unwrap().read_to_end(&mut out);
        (out, result)
    }

    #[test]
    fn compression_is_found_by_its_first_bytes() {
        for bytes in [
            b"one two".to_vec(),
            gzip(b"one two"),
            [gzip(b"one"), gzip(b" two")].concat(),
            zstd(b"one two"),
            [zstd(b"one"), zstd(b" two")].concat(),
            [vec![0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 9], zstd(b"one two")].concat(),
            bzip2(b"one two"),
            [bzip2(b"one"), bzip2(b" two")].concat(),
            zstd(&bzip2(&gzip(b"one two"))),
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
        let text: Vec<u8> = (0..400_000u32).flat_map(u32::to_le_bytes).collect();
        for whole in [gzip(&text), bzip2(&text), zstd(&text)] {
            let (out, result) = read(whole[..whole.len() / 2].to_vec());
            assert!(
                result.is_err() && out.len() > 1000 && text.starts_with(&out),
                "{} {result:?}",
                out.len()
            );
        }
    }

    #[test]
    fn archives_in_a_pipe_and_compressions_without_end_are_refused_with_the_remedy() {
        let refused = |bytes: Vec<u8>| decompressed(Cursor::new(bytes)).err().unwrap().to_string();
        assert!(refused(b"PK\x03\x04rest".to_vec()).contains("from a file only"));
        assert!(refused(gzip(b"PK\x03\x04rest")).contains("save it as a file"));
        let fourfold = (0..4).fold(b"x".to_vec(), |bytes, _| gzip(&bytes));
        assert!(refused(fourfold).contains("more than 3 times over"));
    }
}
