//! Verification of a bundle, in one pass and without a database. The file may be hostile: each line has a greatest length,
//! nothing is kept of an event but counts, and one content has one spelling.

use super::body::Body;
use super::header::{self, Header, Level};
use super::report::Report;
use super::{BundleError, LONGEST_LINE, nodes};
use crate::chain::to_hex;
use crate::evidence::checkpoint::number;
use crate::evidence::note::{Note, PublicKey};
use crate::evidence::stamp::Authority;
use crate::evidence::tree::{Node, Peaks};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use std::io::{BufRead, Read as _};

/// Longest header, in bytes: six notes of the greatest length in base64.
const LONGEST_HEADER: usize = 8 << 20;

/// Lines of a file, counted and hashed.
struct Lines<R> {
    from: R,
    line: Vec<u8>,
    number: u64,
    digest: Sha256,
    /// The digest of what stands before the last line.
    before: Node,
}

impl<R: BufRead> Lines<R> {
    fn form(&self, what: impl Into<String>) -> BundleError {
        BundleError::Form { line: self.number, what: what.into() }
    }

    /// The next line without its line feed.
    fn next(&mut self) -> Result<&str, BundleError> {
        self.before = self.digest.clone().finalize().into();
        self.line.clear();
        self.number += 1;
        self.from.by_ref().take(LONGEST_LINE as u64 + 1).read_until(b'\n', &mut self.line)?;
        self.digest.update(&self.line);
        if self.line.pop() != Some(b'\n') || self.line.len() >= LONGEST_LINE {
            return Err(self.form("the line is too long, or the file ends within it"));
        }
        // A name of a key may be in any script.
        if self.line.iter().any(|byte| *byte < b' ' || *byte == 0x7f) {
            return Err(self.form("a control character"));
        }
        match std::str::from_utf8(&self.line) {
            Ok(line) => Ok(line),
            Err(_) => Err(BundleError::Form { line: self.number, what: "not UTF-8".to_owned() }),
        }
    }
}

/// Verifies a bundle. Keys that are trusted come from elsewhere; those in the bundle are not.
///
/// # Errors
/// When the file is no bundle or cannot be read.
pub fn verify(from: impl BufRead, trusted: &[PublicKey]) -> Result<Report, BundleError> {
    verify_stamped(from, trusted, &[])
}

/// As [`verify`], with time stamps by trusted authorities.
///
/// # Errors
/// As [`verify`].
pub fn verify_stamped(
    from: impl BufRead,
    trusted: &[PublicKey],
    authorities: &[Authority],
) -> Result<Report, BundleError> {
    let mut lines =
        Lines { from, line: Vec::new(), number: 0, digest: Sha256::new(), before: Node::default() };
    let (header, peaks) = header(&mut lines)?;
    let mut body = Body::new(&header, peaks);
    loop {
        lines.next()?;
        // Its own copy is spared: the line is as long as an event.
        let line = std::mem::take(&mut lines.line);
        let text = std::str::from_utf8(&line).unwrap_or_default();
        let (kind, rest) = text.split_once(' ').unwrap_or((text, ""));
        let done = match kind {
            "event" => body.event(rest, false),
            "redacted" => body.event(rest, true),
            "leaves" => body.leaves(rest),
            "seal" => {
                let seal =
                    if rest == "-" { None } else { Some(seal(rest).map_err(|what| lines.form(what))?) };
                let sealed = lines.before;
                end(&mut lines)?;
                return Ok(body.report((trusted, authorities), seal.as_ref(), &sealed));
            }
            _ => Err("an event, leaves or the seal are expected".to_owned()),
        };
        done.map_err(|what| lines.form(what))?;
        lines.line = line;
    }
}

fn header<R: BufRead>(lines: &mut Lines<R>) -> Result<(Header, Peaks), BundleError> {
    let mut text = String::new();
    for _ in 0..header::MOST_LINES {
        let line = lines.next()?;
        if let Some(peaks) = line.strip_prefix("peaks ") {
            let peaks = read_peaks(peaks);
            let header = Header::parse(&text).map_err(|what| lines.form(what))?;
            let peaks = peaks.ok_or_else(|| lines.form("'peaks' has another form"))?;
            check(&header, &peaks).map_err(|what| lines.form(what))?;
            return Ok((header, peaks));
        }
        if text.len() + line.len() > LONGEST_HEADER {
            break;
        }
        text.push_str(line);
        text.push('\n');
    }
    Err(lines.form("the header is too long"))
}

fn read_peaks(text: &str) -> Option<Peaks> {
    let (size, text) = text.split_once(' ')?;
    Peaks::new(number(size)?, nodes(text, 64)?)
}

/// What a header must be, whatever the proofs say.
fn check(header: &Header, peaks: &Peaks) -> Result<(), &'static str> {
    if header.checkpoint.is_none() && (header.before.is_some() || header.level != Level::None) {
        return Err("without a checkpoint there is no range");
    }
    if header.before.is_some() && header.level == Level::None {
        return Err("without a level there is no range");
    }
    let (from, to) = header.range().unwrap_or_default();
    if from > to {
        return Err("the earlier checkpoint is the larger one");
    }
    if peaks.size() != from {
        return Err("the peaks are not those of the leaves before the range");
    }
    Ok(())
}

fn seal(text: &str) -> Result<Note, String> {
    let bytes = STANDARD.decode(text).map_err(|_| "the seal is not in base64")?;
    Note::parse(&bytes).map_err(|e| e.to_string())
}

fn end<R: BufRead>(lines: &mut Lines<R>) -> Result<(), BundleError> {
    lines.next()?;
    let digest = to_hex(&lines.before);
    if lines.line.strip_prefix(b"end ") != Some(digest.as_bytes()) {
        return Err(lines.form("the file is not the one that was written: its digest is another one"));
    }
    if !lines.from.fill_buf()?.is_empty() {
        return Err(lines.form("the file goes on behind its end"));
    }
    Ok(())
}
