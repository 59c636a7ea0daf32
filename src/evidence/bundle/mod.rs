//! The evidence bundle: one file of lines that carries selected events, and what proves them, to somebody without the
//! database. `docs/reference/evidence.md` specifies it to the byte; one content has one spelling.

mod body;
mod disclosure;
mod header;
mod redaction;
mod report;
mod row;
mod verify;
mod write;

pub use disclosure::{Disclosure, disclosure};
pub use header::{Header, Level, MOST_TERMS, Term};
pub use redaction::{HIDEABLE, Redacted};
pub use report::{Part, Report, State};
pub use row::Selected;
pub use verify::{verify, verify_stamped};
pub use write::{Given, Line, Writer};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// First line of a bundle.
const MAGIC: &str = "agenttrace-evidence/1";
/// First line of the text that seals one.
const SEAL: &str = "agenttrace-evidence-seal/1";
/// Longest line, in bytes: the longest text of an event, a proof, and the rest.
pub const LONGEST_LINE: usize = (32 << 20) + (8 << 10);
/// Most leaves of a line.
const MOST_LEAVES: usize = 1_024;

/// Why a file is no bundle.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// Another form.
    #[error("line {line}: {what}")]
    Form {
        /// Where, from 1.
        line: u64,
        /// What is wrong.
        what: String,
    },
    /// It cannot be read or written.
    #[error(transparent)]
    File(#[from] std::io::Error),
}

/// Nodes or leaves in base64; `-` for none.
fn nodes_text(nodes: &[[u8; 32]]) -> String {
    if nodes.is_empty() { "-".to_owned() } else { STANDARD.encode(nodes.concat()) }
}

/// At most so many nodes, in the one spelling.
fn nodes(text: &str, most: usize) -> Option<Vec<[u8; 32]>> {
    if text == "-" {
        return Some(Vec::new());
    }
    if text.len() > most.saturating_mul(44) {
        return None;
    }
    let bytes = STANDARD.decode(text).ok()?;
    let (nodes, rest) = bytes.as_chunks::<32>();
    (rest.is_empty() && !nodes.is_empty() && nodes.len() <= most).then(|| nodes.to_vec())
}

#[cfg(test)]
mod tests;
