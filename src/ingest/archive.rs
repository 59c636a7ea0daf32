//! Zip archives: their members are read one after the other, like the files of a folder.
//!
//! Source: APPNOTE 6.3.10 of PKWARE. Members are stored or deflated; encrypted ones and other methods are refused by name.
//! A member is never held as a whole, and what its header says of its size is not believed.

use super::compressed::decompressed;
use super::input::{Counted, is_left_out};
use std::io::{self, BufReader, Read};
use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive};

/// An archive, and which of its members is next.
pub(super) struct Archive {
    zip: ZipArchive<BufReader<Counted>>,
    /// In the order of their names: number, name.
    members: std::vec::IntoIter<(usize, String)>,
}

/// A member: its name, and its bytes or why they cannot be read.
pub(super) struct Member<'a> {
    pub(super) name: String,
    pub(super) bytes: io::Result<Box<dyn Read + 'a>>,
}

impl Archive {
    /// Reads the list of members. Folders, links, hidden files, and those that macOS adds, are none.
    ///
    /// # Errors
    /// When the list cannot be read, or has no file.
    pub(super) fn open(file: Counted) -> io::Result<Self> {
        let zip = ZipArchive::new(BufReader::new(file))
            .map_err(|e| io::Error::other(format!("zip archive: {e}")))?;
        let mut members = Vec::new();
        for number in 0..zip.len() {
            let Ok(entry) = zip.by_index_data(number) else { continue };
            let name = entry.name().map_or_else(
                |_| String::from_utf8_lossy(entry.name_raw()).into_owned(),
                std::borrow::Cow::into_owned,
            );
            let hidden = name.split(['/', '\\']).any(|part| is_left_out(part) || part == "__MACOSX");
            if !hidden && !entry.is_dir() && !entry.is_symlink() {
                members.push((number, name));
            }
        }
        if members.is_empty() {
            return Err(io::Error::other("the zip archive holds no files"));
        }
        members.sort_unstable_by(|a, b| a.1.cmp(&b.1));
        Ok(Self { zip, members: members.into_iter() })
    }

    /// The next member, decompressed, also where it is a compressed file itself.
    pub(super) fn next(&mut self) -> Option<Member<'_>> {
        let (number, name) = self.members.next()?;
        let method = self.zip.by_index_data(number).map(|entry| entry.compression());
        let bytes = match method {
            Ok(CompressionMethod::Stored | CompressionMethod::Deflated) | Err(_) => {
                self.zip.by_index(number).map_err(refused).and_then(decompressed)
            }
            Ok(method) => Err(io::Error::other(format!(
                "is packed by a method that is not read ({method:?}; Stored and Deflated are): unpack it, and load what \
                 comes out"
            ))),
        };
        Some(Member { name, bytes })
    }
}

/// Why a member cannot be read.
fn refused(e: ZipError) -> io::Error {
    match e {
        ZipError::UnsupportedArchive(ZipError::PASSWORD_REQUIRED) => {
            io::Error::other("is encrypted: unpack it with its password, and load what comes out")
        }
        ZipError::Io(e) => e,
        e => io::Error::other(e.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Input;
    use super::super::compressed::Content;
    use super::*;
    use std::io::{Cursor, Write as _};
    use std::path::Path;
    use zip::write::{SimpleFileOptions, ZipWriter};

    fn packed(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in members {
            writer.start_file(*name, SimpleFileOptions::default()).unwrap();
            writer.write_all(bytes).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    /// Each member as `name: text` or `name: !reason`; or why there are none.
    fn read(path: &Path, bytes: &[u8]) -> Vec<String> {
        std::fs::write(path, bytes).unwrap();
        let opened = Input::files(path).unwrap().remove(0).open();
        let mut archive = match opened {
            Ok(Content::Archive(archive)) => archive,
            Ok(_) => panic!("no archive"),
            Err(e) => return vec![format!("!{e}")],
        };
        let mut all = Vec::new();
        while let Some(Member { name, bytes }) = archive.next() {
            let mut text = String::new();
            let read = bytes.and_then(|mut bytes| bytes.read_to_string(&mut text));
            all.push(read.map_or_else(|e| format!("{name}: !{e}"), |_| format!("{name}: {text}")));
        }
        all
    }

    #[test]
    fn members_come_in_the_order_of_their_names_and_compressed_ones_decompressed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let zstd = zstd::encode_all(&b"three"[..], 1).unwrap();
        let bytes = packed(&[
            ("2026/02/b.json", b"two"),
            ("2026/01/a.json", b"one"),
            ("2026/03/c.json.zst", &zstd),
            ("__MACOSX/2026/._a.json", b"x"),
            (".hidden/a", b"x"),
            ("2026/a.rejected.ndjson", b"x"),
        ]);
        let expected = ["2026/01/a.json: one", "2026/02/b.json: two", "2026/03/c.json.zst: three"];
        assert_eq!(read(&path, &bytes), expected);
        let inside = packed(&[("a.zip", &bytes)]);
        assert!(
            read(&path, &inside)[0].starts_with("a.zip: !is a zip archive"),
            "{:?}",
            read(&path, &inside)
        );
        assert_eq!(read(&path, &packed(&[])), ["!the zip archive holds no files"]);
    }

    #[test]
    fn an_encrypted_member_and_an_unknown_method_are_refused_by_name_and_the_others_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let mut bytes = packed(&[("a.json", b"one"), ("b.json", b"two")]);
        // The flag of encryption and the method, in the headers of the first member: before it, and in the list.
        let second = bytes.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
        bytes[6] |= 1;
        bytes[second + 8] |= 1;
        let said = read(&path, &bytes);
        assert!(said[0].starts_with("a.json: !is encrypted: unpack it with its password"), "{said:?}");
        assert_eq!(said[1], "b.json: two");
        let mut bytes = packed(&[("a.json", b"one"), ("b.json", b"two")]);
        bytes[8] = 14;
        bytes[second + 10] = 14;
        let said = read(&path, &bytes);
        assert!(said[0].starts_with("a.json: !is packed by a method that is not read ("), "{said:?}");
        assert_eq!(said[1], "b.json: two");
    }

    #[test]
    fn a_member_that_is_not_what_it_was_is_an_error_behind_what_was_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        writer.start_file("a.json", stored).unwrap();
        writer.write_all(b"one").unwrap();
        let mut bytes = writer.finish().unwrap().into_inner();
        let at = bytes.windows(3).position(|w| w == b"one").unwrap();
        bytes[at] = b'O';
        assert!(read(&path, &bytes)[0].contains('!'), "{:?}", read(&path, &bytes));
        assert!(read(&path, &bytes[..at + 8])[0].starts_with("!zip archive: "));
    }
}
