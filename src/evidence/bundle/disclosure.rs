//! A redacted bundle beside one with fewer hidden columns: whether what is disclosed now is what was shown, or committed to,
//! then. Both were verified each by itself before.

use super::redaction::Redacted;
use super::{BundleError, LONGEST_LINE};
use crate::chain::links::parse_hash;
use crate::chain::to_hex;
use crate::evidence::tree::Node;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::io::{BufRead, Read as _};

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Disclosure {
    /// Events with hidden columns in the first bundle.
    pub redacted: u64,
    /// Those of them that the second bundle has, too.
    pub disclosed: u64,
    /// Those that differ: hash, and the columns that do.
    pub differing: Vec<(String, Vec<String>)>,
}

/// The events of a bundle: kind, hash, and what is given of each.
fn events(mut from: impl BufRead, mut take: impl FnMut(&str, Node, &str)) -> Result<(), BundleError> {
    let (mut line, mut number) = (Vec::new(), 0);
    loop {
        line.clear();
        number += 1;
        if from.by_ref().take(LONGEST_LINE as u64 + 1).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let form = || BundleError::Form { line: number, what: "the line has another form".to_owned() };
        let text = std::str::from_utf8(&line).map_err(|_| form())?.trim_end_matches('\n');
        let parts: Vec<&str> = text.splitn(6, ' ').collect();
        if let [kind @ ("event" | "redacted"), _, _, hash, _, text] = parts[..] {
            take(kind, parse_hash(hash).ok_or_else(form)?, text);
        }
    }
}

/// Compares them.
///
/// # Errors
/// When one of them is no bundle, or cannot be read.
pub fn disclosure(redacted: impl BufRead, fuller: impl BufRead) -> Result<Disclosure, BundleError> {
    let mut then: HashMap<Node, Redacted> = HashMap::new();
    events(redacted, |kind, hash, text| {
        if kind == "redacted" {
            then.extend(Redacted::parse(text).map(|redacted| (hash, redacted)));
        }
    })?;
    let mut found = Disclosure { redacted: then.len() as u64, ..Disclosure::default() };
    events(fuller, |kind, hash, text| {
        let Some(redacted) = then.remove(&hash) else { return };
        let differing = match (kind, Redacted::parse(text)) {
            ("redacted", Some(now)) => redacted.differing(&now),
            ("redacted", None) => vec!["another form".to_owned()],
            _ if Node::from(Sha256::digest(text)) != hash => {
                vec!["the text is not that of the hash".to_owned()]
            }
            _ => redacted.differing_from(text),
        };
        found.disclosed += 1;
        if !differing.is_empty() {
            found.differing.push((to_hex(&hash), differing));
        }
    })?;
    Ok(found)
}
