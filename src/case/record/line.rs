//! The lines of a record file, without IO.

use crate::chain::sha256;
use crate::domain::{Joiners, escape_json};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::fmt;

/// Version of the format that is written; older ones are read.
pub const VERSION: u64 = 1;

/// A line as it is read.
#[derive(Deserialize)]
struct Line<'a> {
    kind: String,
    previous: String,
    #[serde(borrow)]
    record: &'a RawValue,
    digest: String,
}

/// A line as it is written.
#[derive(Serialize)]
struct Written<'a> {
    v: u64,
    kind: &'a str,
    previous: &'a str,
    record: &'a RawValue,
    digest: &'a str,
}

/// What newer lines are recognised by, whatever else they hold.
#[derive(Deserialize)]
struct Version {
    v: u64,
}

/// Damage of a record file; lines are counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remark {
    /// Not a record.
    Damaged(usize),
    /// A record that was changed after it was written.
    Altered(usize),
    /// The line does not follow the one before it.
    Gap(usize),
    /// The last line lacks its end.
    Torn(usize),
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged(line) => write!(f, "line {line}: not a valid record; it is not used"),
            Self::Altered(line) => {
                write!(f, "line {line}: the record does not match its checksum; it is not used")
            }
            Self::Gap(line) => {
                write!(f, "line {line}: records before this line were removed, replaced or reordered")
            }
            Self::Torn(line) => {
                write!(f, "line {line}: incomplete, its write was interrupted; it is not used")
            }
        }
    }
}

/// What a file's bytes hold.
#[derive(Debug, PartialEq)]
pub(super) struct Parsed<T> {
    pub(super) records: Vec<T>,
    pub(super) remarks: Vec<Remark>,
    /// What the first record names as the digest of the one before; empty where there is none.
    pub(super) first_previous: String,
    /// Digests of the records.
    pub(super) digests: Vec<String>,
    /// Digest of the last record; that of the one before the file where there is none.
    pub(super) last: String,
    /// Records were removed, replaced, reordered or changed. A line of which nothing follows, as an interrupted write
    /// leaves one, is no such thing.
    pub(super) is_broken: bool,
    /// A line has this later version of the format.
    pub(super) newer: Option<u64>,
}

/// The lines with something in them, with their numbers.
pub(super) fn lines(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let numbered = bytes.split(|byte| *byte == b'\n').enumerate().map(|(n, line)| (n + 1, line));
    numbered.filter(|(_, line)| !line.trim_ascii().is_empty())
}

/// Reads all lines. No bytes make it fail, and no damaged line costs a valid one.
pub(super) fn parse<T: DeserializeOwned>(kind: &str, bytes: &[u8]) -> Parsed<T> {
    parse_behind(kind, bytes, Some(""))
}

/// As [`parse`], of lines that follow the record with this digest; `None`: it is not known which.
pub(super) fn parse_behind<T: DeserializeOwned>(kind: &str, bytes: &[u8], before: Option<&str>) -> Parsed<T> {
    let mut parsed = Parsed {
        records: Vec::new(),
        remarks: Vec::new(),
        first_previous: String::new(),
        digests: Vec::new(),
        last: before.unwrap_or_default().to_owned(),
        is_broken: false,
        newer: None,
    };
    let mut is_known = before.is_some();
    let whole = bytes.is_empty() || bytes.ends_with(b"\n");
    let count = bytes.split(|byte| *byte == b'\n').count();
    // Behind a line that cannot be read nothing is known of what its successor names.
    let mut follows_damage = false;
    for (number, text) in lines(bytes) {
        let line = match read::<T>(kind, text) {
            Ok(line) => line,
            Err(Fault::Newer(version)) => {
                parsed.newer = parsed.newer.max(Some(version));
                continue;
            }
            Err(Fault::Altered) => {
                parsed.remarks.push(Remark::Altered(number));
                parsed.is_broken = true;
                follows_damage = true;
                continue;
            }
            Err(Fault::Damaged) if number == count && !whole => {
                parsed.remarks.push(Remark::Torn(number));
                continue;
            }
            Err(Fault::Damaged) => {
                parsed.remarks.push(Remark::Damaged(number));
                follows_damage = true;
                continue;
            }
        };
        if parsed.digests.is_empty() {
            parsed.first_previous.clone_from(&line.previous);
        }
        if line.previous != parsed.last && is_known {
            parsed.is_broken = true;
            if !follows_damage {
                parsed.remarks.push(Remark::Gap(number));
            }
        }
        (follows_damage, is_known) = (false, true);
        parsed.digests.push(line.digest.clone());
        parsed.last = line.digest;
        parsed.records.push(line.record);
    }
    parsed
}

/// A valid line.
struct Valid<T> {
    previous: String,
    digest: String,
    record: T,
}

enum Fault {
    Damaged,
    Altered,
    Newer(u64),
}

fn read<T: DeserializeOwned>(kind: &str, text: &[u8]) -> Result<Valid<T>, Fault> {
    let text = std::str::from_utf8(text).map_err(|_| Fault::Damaged)?;
    let version: Version = serde_json::from_str(text).map_err(|_| Fault::Damaged)?;
    if version.v > VERSION {
        return Err(Fault::Newer(version.v));
    }
    let line: Line<'_> = serde_json::from_str(text).map_err(|_| Fault::Damaged)?;
    if line.kind != kind || line.digest != digest(version.v, kind, &line.previous, line.record.get()) {
        return Err(Fault::Altered);
    }
    let record = serde_json::from_str(line.record.get()).map_err(|_| Fault::Damaged)?;
    Ok(Valid { previous: line.previous, digest: line.digest, record })
}

/// A line with its line feed, and its digest. `previous` is the digest of the line before; empty for the first.
pub(super) fn write(
    kind: &str,
    previous: &str,
    record: &impl Serialize,
) -> Result<(String, String), serde_json::Error> {
    // What a terminal would obey or not show stands as an escape, which is the same JSON: such files are looked at.
    let record = serde_json::to_string(record)?;
    let record = escape_json(&record, Joiners::Escaped);
    let record = RawValue::from_string(record.into_owned())?;
    let digest = digest(VERSION, kind, previous, record.get());
    let written = Written { v: VERSION, kind, previous, record: &record, digest: &digest };
    let mut line = serde_json::to_string(&written)?;
    line.push('\n');
    Ok((line, digest))
}

/// SHA-256 of version, kind, digest of the line before, and record as it stands in the line, joined by line feeds.
fn digest(version: u64, kind: &str, previous: &str, record: &str) -> String {
    sha256(format!("{version}\n{kind}\n{previous}\n{record}"))
}
