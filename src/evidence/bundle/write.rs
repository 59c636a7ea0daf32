//! Writing a bundle.

use super::header::Header;
use super::redaction::Redacted;
use super::{MAGIC, MOST_LEAVES, SEAL, nodes_text};
use crate::chain::to_hex;
use crate::evidence::note::PrivateKey;
use crate::evidence::tree::{Node, Peaks};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use std::io::{self, Write};

/// A line of an event.
#[derive(Debug)]
pub struct Line<'a> {
    /// Its leaf; `None` where it is in no checkpoint.
    pub leaf: Option<u64>,
    /// It was selected, and is not only there for completeness.
    pub is_selected: bool,
    /// Its hash as stored.
    pub hash: &'a Node,
    /// The proof that the leaf is in the tree; empty inside of a range, of which the whole is the proof.
    pub proof: &'a [Node],
    /// What is given of it.
    pub text: Given<'a>,
}

/// What is given of an event.
#[derive(Debug)]
pub enum Given<'a> {
    /// The text that was hashed; ASCII.
    Whole(&'a str),
    /// Its columns, some of them hidden.
    Redacted(&'a Redacted),
}

/// A bundle under way. Lines come in the order of their leaves, those without a leaf behind, by their hash.
pub struct Writer<W: Write> {
    to: W,
    digest: Sha256,
    leaves: Vec<Node>,
    origin: String,
}

impl<W: Write> Writer<W> {
    /// Begins with the header. `peaks`: those of the leaves before the range.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn new(to: W, header: &Header, peaks: &Peaks) -> io::Result<Self> {
        let origin = header.checkpoint.as_ref().map(|signed| signed.trail.checkpoint.origin.clone());
        let mut writer = Self {
            to,
            digest: Sha256::new(),
            leaves: Vec::new(),
            origin: origin.unwrap_or_else(|| "-".to_owned()),
        };
        writer.put(&header.text())?;
        writer.put(&format!("peaks {} {}\n", peaks.size(), nodes_text(peaks.nodes())))?;
        Ok(writer)
    }

    fn put(&mut self, text: &str) -> io::Result<()> {
        self.digest.update(text);
        self.to.write_all(text.as_bytes())
    }

    /// An event.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn event(&mut self, line: &Line<'_>) -> io::Result<()> {
        self.flush_leaves()?;
        let leaf = line.leaf.map_or_else(|| "-".to_owned(), |leaf| leaf.to_string());
        let selected = if line.is_selected { "selected" } else { "other" };
        let kind = match line.text {
            Given::Whole(_) => "event",
            Given::Redacted(_) => "redacted",
        };
        self.put(&format!("{kind} {leaf} {selected} {} {} ", to_hex(line.hash), nodes_text(line.proof)))?;
        match line.text {
            Given::Whole(text) => self.put(text)?,
            Given::Redacted(redacted) => self.put(&redacted.text())?,
        }
        self.put("\n")
    }

    /// An event of the range of which only the hash is given.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn leaf(&mut self, hash: Node) -> io::Result<()> {
        self.leaves.push(hash);
        if self.leaves.len() < MOST_LEAVES { Ok(()) } else { self.flush_leaves() }
    }

    fn flush_leaves(&mut self) -> io::Result<()> {
        let leaves = std::mem::take(&mut self.leaves);
        if leaves.is_empty() { Ok(()) } else { self.put(&format!("leaves {}\n", nodes_text(&leaves))) }
    }

    /// Ends the bundle, sealed where there is a key, and returns what it was written to.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(mut self, key: Option<&PrivateKey>) -> io::Result<W> {
        self.flush_leaves()?;
        let seal = key.map(|key| key.sign(&seal_text(&self.origin, &self.digest.clone().finalize().into())));
        let seal = seal.transpose().map_err(io::Error::other)?;
        let seal = seal.map_or_else(|| "-".to_owned(), |note| STANDARD.encode(note));
        self.put(&format!("seal {seal}\n"))?;
        let digest: Node = self.digest.finalize().into();
        self.to.write_all(format!("end {}\n", to_hex(&digest)).as_bytes())?;
        Ok(self.to)
    }
}

/// What the exporter signs: that the bundle is the one that was made, with its selection. It is no checkpoint, as its second
/// line is no number, and of version and kind of its own.
pub(super) fn seal_text(origin: &str, digest: &Node) -> String {
    format!("{SEAL}\n{origin}\n{MAGIC}\n{}\n", to_hex(digest))
}
