//! Consistency proofs as they are published beside a checkpoint, so that whoever has seen an earlier one need not ask for
//! its proof. The file is not signed: a proof holds or does not. `docs/reference/evidence.md` specifies it.

use super::checkpoint::{Checkpoint, number};
use super::tree::{MAX_PROOF, Node, is_consistent};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::collections::BTreeMap;

/// First line.
const PROOFS: &str = "agenttrace-proofs/1";
/// Most earlier sizes of a file.
pub const MOST_PROOFS: usize = 1_000;
/// Longest file, in bytes.
pub const LONGEST: usize = 4 << 20;

/// The proofs that the log of one size begins with earlier ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proofs {
    /// Which log.
    pub origin: String,
    /// Its size.
    pub size: u64,
    /// By earlier size.
    pub of: BTreeMap<u64, Vec<Node>>,
}

impl Proofs {
    /// The text of the file.
    pub fn text(&self) -> String {
        let mut text = format!("{PROOFS}\n{}\n{}\n", self.origin, self.size);
        for (size, proof) in &self.of {
            let nodes = if proof.is_empty() { "-".to_owned() } else { STANDARD.encode(proof.concat()) };
            text.push_str(&format!("from {size} {nodes}\n"));
        }
        text
    }

    /// Reads it; `None` when it is another text, or in another spelling.
    pub fn parse(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n').filter(|_| text.len() <= LONGEST)?.split('\n');
        if lines.next()? != PROOFS {
            return None;
        }
        let (origin, size) = (lines.next()?.to_owned(), number(lines.next()?)?);
        let mut of = BTreeMap::new();
        for line in lines {
            let (size, proof) = line.strip_prefix("from ")?.split_once(' ')?;
            let bytes = if proof == "-" { Vec::new() } else { STANDARD.decode(proof).ok()? };
            let (nodes, rest) = bytes.as_chunks::<32>();
            if !rest.is_empty() || nodes.len() > MAX_PROOF || of.len() == MOST_PROOFS {
                return None;
            }
            of.insert(number(size)?, nodes.to_vec());
        }
        let proofs = Self { origin, size, of };
        // One content has one spelling.
        (proofs.text() == text).then_some(proofs)
    }
}

/// How a checkpoint stands to an earlier one of the same log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// The same tree.
    Same,
    /// It begins with the earlier one: proven.
    Grown,
    /// The other one is of one size and another root: two histories, whoever signed both.
    Split,
    /// It is the smaller one.
    Older,
    /// No proof from that size is there.
    Unproven,
    /// The proof that is there does not hold.
    Refuted,
}

/// Judges a checkpoint by an earlier one of the same origin.
pub fn relation(earlier: &Checkpoint, now: &Checkpoint, proofs: Option<&Proofs>) -> Relation {
    if earlier.size == now.size {
        return if earlier.root == now.root { Relation::Same } else { Relation::Split };
    }
    if earlier.size > now.size {
        return Relation::Older;
    }
    let fits = |proofs: &&Proofs| proofs.origin == now.origin && proofs.size == now.size;
    // Any tree begins with the one of no leaves.
    let nothing = Vec::new();
    let known = proofs.filter(fits).and_then(|proofs| proofs.of.get(&earlier.size));
    match known.or_else(|| (earlier.size == 0).then_some(&nothing)) {
        None => Relation::Unproven,
        Some(proof) if is_consistent(earlier.size, &earlier.root, now.size, &now.root, proof) => {
            Relation::Grown
        }
        Some(_) => Relation::Refuted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::tree::{Peaks, Prover, leaf};
    use proptest::prelude::*;

    fn log(leaves: &[Node], size: usize) -> Checkpoint {
        let mut peaks = Peaks::default();
        for node in &leaves[..size] {
            peaks.push(*node);
        }
        Checkpoint { origin: "k/a".to_owned(), size: size as u64, root: peaks.root() }
    }

    fn proofs(leaves: &[Node]) -> Proofs {
        let mut prover = Prover::new(leaves.len() as u64);
        (1..leaves.len()).for_each(|old| prover.want_consistency(old as u64));
        for node in leaves {
            prover.push(*node);
        }
        let of = (1..leaves.len() as u64).map(|old| (old, prover.consistency(old).unwrap())).collect();
        Proofs { origin: "k/a".to_owned(), size: leaves.len() as u64, of }
    }

    fn leaves(count: usize, seed: u8) -> Vec<Node> {
        (0..count).map(|n| leaf(&[n as u8, seed])).collect()
    }

    #[test]
    fn a_log_has_grown_only_where_a_proof_from_the_size_that_was_seen_holds() {
        let (ours, others) = (leaves(23, 0), leaves(23, 1));
        let all = proofs(&ours);
        let now = log(&ours, 23);
        for old in 0..23 {
            assert_eq!(relation(&log(&ours, old), &now, Some(&all)), Relation::Grown, "{old}");
            let other = if old == 0 { Relation::Grown } else { Relation::Refuted };
            assert_eq!(relation(&log(&others, old), &now, Some(&all)), other, "{old}");
            let without = if old == 0 { Relation::Grown } else { Relation::Unproven };
            assert_eq!(relation(&log(&ours, old), &now, None), without, "{old}");
        }
        assert_eq!(relation(&now, &now, None), Relation::Same);
        assert_eq!(relation(&log(&others, 23), &now, Some(&all)), Relation::Split);
        assert_eq!(relation(&now, &log(&ours, 22), Some(&all)), Relation::Older);
        // Proofs of another log or size prove nothing.
        for other in [Proofs { origin: "k/b".to_owned(), ..all.clone() }, Proofs { size: 24, ..all.clone() }]
        {
            assert_eq!(relation(&log(&ours, 5), &now, Some(&other)), Relation::Unproven);
        }
    }

    #[test]
    fn proofs_have_one_spelling() {
        let all = proofs(&leaves(9, 0));
        let text = all.text();
        assert_eq!(Proofs::parse(&text), Some(all));
        for (from, to) in [
            ("proofs/1", "proofs/2"),
            ("\n9\n", "\n09\n"),
            ("from 1 ", "from 2 "),
            ("from 1 ", "from 1  "),
            ("from 8 ", "from 08 "),
        ] {
            assert!(text.contains(from) && Proofs::parse(&text.replacen(from, to, 1)).is_none(), "{from}");
        }
        assert!(Proofs::parse(text.trim_end()).is_none() && Proofs::parse("").is_none());
    }

    proptest! {
        #[test]
        fn any_lines_give_proofs_or_nothing(lines in prop::collection::vec("(from [0-9]{1,3} [A-Za-z0-9=-]{0,50})|[a-z/0-9]{0,9}", 0..9)) {
            let text = format!("{PROOFS}\n{}\n", lines.join("\n"));
            if let Some(proofs) = Proofs::parse(&text) {
                prop_assert_eq!(proofs.text(), text);
            }
        }
    }
}
