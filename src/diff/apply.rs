//! A list of changes put upon the old state: what proves that the list is complete.

use super::compare::{Change, ChangeKind};
use super::json::{Doc, NodeId, NodeKind, push_quoted, tokens};
use std::collections::BTreeMap;

/// A change that does not fit the document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the change at '{path}' does not fit the state: {reason}")]
pub struct ApplyError {
    path: String,
    reason: &'static str,
}

/// Changes by path. Keys stand for both members and elements; the document says which.
#[derive(Default)]
struct Trie<'c> {
    change: Option<&'c Change<'c>>,
    children: BTreeMap<String, Trie<'c>>,
}

impl<'c> Trie<'c> {
    fn insert(&mut self, path: &str, change: &'c Change<'c>) {
        let mut at = self;
        for token in tokens(path) {
            at = at.children.entry(token).or_default();
        }
        at.change = Some(change);
    }

    fn at(&self, path: &str) -> Option<&Self> {
        tokens(path).try_fold(self, |at, token| at.children.get(&token))
    }
}

struct Apply<'c, 'd> {
    old: &'d Doc<'d>,
    /// Changes by their place in the old document: removed, and moved away.
    gone: Trie<'c>,
    /// Changes by their place in the new document.
    came: Trie<'c>,
}

/// The old document with the changes, as JSON text. The order of the changes does not matter.
///
/// # Errors
/// When a change does not fit the document.
pub fn apply(old: &Doc<'_>, changes: &[Change<'_>]) -> Result<String, ApplyError> {
    let mut work = Apply { old, gone: Trie::default(), came: Trie::default() };
    for change in changes {
        match change.kind {
            ChangeKind::Removed => work.gone.insert(&change.path, change),
            ChangeKind::Moved => {
                work.gone.insert(change.from.as_deref().unwrap_or(&change.path), change);
                work.came.insert(&change.path, change);
            }
            ChangeKind::Added | ChangeKind::Changed | ChangeKind::TypeChanged => {
                work.came.insert(&change.path, change);
            }
        }
    }
    let mut out = String::new();
    work.build(&mut out, old.root(), Some(&work.gone), Some(&work.came))?;
    Ok(out)
}

fn misfit(change: &Change<'_>, reason: &'static str) -> ApplyError {
    ApplyError { path: change.path.clone(), reason }
}

/// Writes the value that a change brought.
fn put(out: &mut String, change: &Change<'_>) -> Result<(), ApplyError> {
    out.push_str(change.new.ok_or_else(|| misfit(change, "it has no new value"))?);
    Ok(())
}

impl Apply<'_, '_> {
    /// Writes what the old value `at` has become.
    fn build(
        &self,
        out: &mut String,
        at: NodeId,
        gone: Option<&Trie<'_>>,
        came: Option<&Trie<'_>>,
    ) -> Result<(), ApplyError> {
        let replaced = came.and_then(|t| t.change).filter(|c| c.kind != ChangeKind::Moved);
        if let Some(change) = replaced {
            return put(out, change);
        }
        let untouched = |t: Option<&Trie<'_>>| t.is_none_or(|t| t.children.is_empty());
        if untouched(gone) && untouched(came) {
            out.push_str(self.old.text(at));
            return Ok(());
        }
        match self.old.kind(at) {
            NodeKind::Object => self.object(out, at, gone, came),
            NodeKind::Array => self.array(out, at, gone, came),
            _ => {
                let change = [gone, came].into_iter().flatten().find_map(first_change);
                Err(change.map_or(
                    ApplyError { path: self.old.pointer(at), reason: "a scalar has no members" },
                    |c| misfit(c, "its place is inside a scalar"),
                ))
            }
        }
    }

    /// Writes a value that is new at its place: added, or moved here from elsewhere in the old document.
    fn arrived(&self, out: &mut String, change: &Change<'_>, came: &Trie<'_>) -> Result<(), ApplyError> {
        if change.kind != ChangeKind::Moved {
            return put(out, change);
        }
        let from = change.from.as_deref().unwrap_or(&change.path);
        let at = self.old.resolve(from).ok_or_else(|| misfit(change, "nothing stands where it came from"))?;
        self.build(out, at, self.gone.at(from), Some(came))
    }

    fn object(
        &self,
        out: &mut String,
        at: NodeId,
        gone: Option<&Trie<'_>>,
        came: Option<&Trie<'_>>,
    ) -> Result<(), ApplyError> {
        out.push('{');
        let mut first = true;
        let mut member = |out: &mut String, key: &str| {
            if !std::mem::take(&mut first) {
                out.push(',');
            }
            push_quoted(out, key);
            out.push(':');
        };
        for child in self.old.children(at) {
            let key = self.old.key(child);
            let below = gone.and_then(|t| t.children.get(key.as_ref()));
            if below.is_some_and(|t| t.change.is_some()) {
                continue;
            }
            member(out, &key);
            self.build(out, child, below, came.and_then(|t| t.children.get(key.as_ref())))?;
        }
        for (key, below) in came.into_iter().flat_map(|t| &t.children) {
            if let Some(change) = below.change.filter(|c| arrives(c)) {
                member(out, key);
                self.arrived(out, change, below)?;
            }
        }
        out.push('}');
        Ok(())
    }

    fn array(
        &self,
        out: &mut String,
        at: NodeId,
        gone: Option<&Trie<'_>>,
        came: Option<&Trie<'_>>,
    ) -> Result<(), ApplyError> {
        let below = |t: Option<&Trie<'_>>, n: usize| t.and_then(|t| t.children.get(&n.to_string())).is_some();
        let leaves = |n: usize| {
            below(gone, n)
                && gone.and_then(|t| t.children.get(&n.to_string())).is_some_and(|t| t.change.is_some())
        };
        let mut kept = (0..self.old.child_count(at)).filter(|n| !leaves(*n)).peekable();
        let arriving = |n: usize| {
            let below = came.and_then(|t| t.children.get(&n.to_string()))?;
            Some((below.change.filter(|c| arrives(c))?, below))
        };
        out.push('[');
        let mut n = 0;
        loop {
            let arrival = arriving(n);
            if arrival.is_none() && kept.peek().is_none() {
                break;
            }
            if n > 0 {
                out.push(',');
            }
            if let Some((change, below)) = arrival {
                self.arrived(out, change, below)?;
            } else if let Some(old_n) = kept.next()
                && let Some(child) = self.old.child(at, old_n)
            {
                let gone = gone.and_then(|t| t.children.get(&old_n.to_string()));
                self.build(out, child, gone, came.and_then(|t| t.children.get(&n.to_string())))?;
            }
            n += 1;
        }
        out.push(']');
        Ok(())
    }
}

/// Whether a change puts a value where none was.
fn arrives(change: &Change<'_>) -> bool {
    matches!(change.kind, ChangeKind::Added | ChangeKind::Moved)
}

fn first_change<'t, 'c>(trie: &'t Trie<'c>) -> Option<&'t Change<'c>> {
    trie.children.values().find_map(|t| t.change.or_else(|| first_change(t)))
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::json::Limits;
    use super::super::{Options, compare, unhurried};
    use super::*;
    use rand_chacha::ChaCha8Rng;
    use rand_core::{Rng as _, SeedableRng as _};

    const KEYS: [&str; 10] = ["a", "b", "id", "name", "0", "1", "a/b", "~", "é", ""];
    const SCALARS: [&str; 14] = [
        "null",
        "true",
        "false",
        "0",
        "1",
        "1.0",
        "-0",
        "1e400",
        "\"\"",
        "\"x\"",
        "\"a longer string\"",
        "\"another, longer string\"",
        "\"\\u0041\"",
        "\"A\"",
    ];

    fn below(random: &mut ChaCha8Rng, n: u32) -> usize {
        (random.next_u32() % n) as usize
    }

    /// A value from a small vocabulary, so that the two sides of a pair have much in common.
    fn value(random: &mut ChaCha8Rng, depth: u32, out: &mut String) {
        let shape = if depth == 0 { 0 } else { below(random, 6) };
        shaped(random, depth, shape, out);
    }

    fn shaped(random: &mut ChaCha8Rng, depth: u32, shape: usize, out: &mut String) {
        match shape {
            0 | 1 => out.push_str(SCALARS[below(random, 14)]),
            2 | 3 => {
                out.push('{');
                for i in 0..below(random, 5) {
                    out.push_str(if i > 0 { "," } else { "" });
                    push_quoted(out, KEYS[below(random, 10)]);
                    out.push(':');
                    value(random, depth - 1, out);
                }
                out.push('}');
            }
            shape => {
                out.push('[');
                for i in 0..below(random, 6) {
                    out.push_str(if i > 0 { "," } else { "" });
                    if shape == 4 {
                        value(random, depth - 1, out);
                    } else {
                        out.push_str("{\"id\":");
                        out.push_str(&below(random, 9).to_string());
                        out.push_str(",\"v\":");
                        value(random, depth - 1, out);
                        out.push('}');
                    }
                }
                out.push(']');
            }
        }
    }

    /// The same pairs in every run.
    pub(crate) fn pairs(count: usize) -> impl Iterator<Item = (String, String)> {
        let mut random = ChaCha8Rng::seed_from_u64(6);
        std::iter::repeat_with(move || {
            let shape = below(&mut random, 6);
            let mut one = || {
                let mut out = String::new();
                shaped(&mut random, 4, shape, &mut out);
                out
            };
            (one(), one())
        })
        .take(count)
    }

    pub(crate) fn doc(text: &str) -> Doc<'_> {
        Doc::parse(text, Limits { bytes: 1 << 24, nodes: 1 << 20 }).unwrap()
    }

    /// Panics unless the changes between two documents turn the one into the other, in both directions and any order.
    pub(crate) fn round_trip(old: &str, new: &str, options: &Options) -> usize {
        let (before, after) = (doc(old), doc(new));
        let compared = compare(Some(old), Some(new), options, &unhurried);
        let mut changes = compared.changes().to_vec();
        for _ in 0..2 {
            let applied =
                apply(&before, &changes).unwrap_or_else(|e| panic!("{old}\n{new}\n{changes:#?}\n{e}"));
            let got = doc(&applied);
            assert!(got.same(got.root(), &after, after.root()), "{old}\n{new}\n{applied}\n{changes:#?}");
            changes.reverse();
        }
        assert_eq!(compared.differs(), !before.same(before.root(), &after, after.root()));
        changes.len()
    }

    #[test]
    fn random_pairs() {
        round_trips(5_000);
    }

    #[test]
    #[ignore = "long: twenty times as many"]
    fn a_hundred_thousand_random_pairs() {
        round_trips(100_000);
    }

    fn round_trips(count: usize) {
        let options = Options::default();
        let mut kinds = std::collections::BTreeMap::new();
        for (n, (old, new)) in pairs(count).enumerate() {
            round_trip(&old, &new, &options);
            if n < 1000 {
                let compared = compare(Some(&old), Some(&new), &options, &unhurried);
                for change in compared.changes() {
                    *kinds.entry(change.kind).or_insert(0) += 1;
                }
            }
        }
        // The generator reaches every kind of change.
        assert!(kinds.len() == 5 && kinds.values().all(|n| *n > 5), "{kinds:?}");
    }

    #[test]
    fn a_change_that_does_not_fit_is_an_error() {
        let compared = compare(
            Some(r#"{"a":{"b":1}}"#),
            Some(r#"{"a":{"b":1,"c":2}}"#),
            &Options::default(),
            &unhurried,
        );
        let error = apply(&doc(r#"{"a":1}"#), compared.changes()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the change at '/a/c' does not fit the state: its place is inside a scalar"
        );
    }
}
