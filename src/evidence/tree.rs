//! The Merkle tree of RFC 6962, section 2.1 (the same as RFC 9162's), over the hashes of events: roots in O(log n) memory,
//! proofs in one pass over the leaves, and their verification.
//!
//! The data of a leaf is the 32 bytes of the event's stored hash.

use sha2::{Digest as _, Sha256};
use std::collections::HashMap;

/// A node, root or leaf hash.
pub type Node = [u8; 32];

/// Longest proof that a tree of 2^64 leaves has.
pub const MAX_PROOF: usize = 65;

/// Hash of a leaf.
pub fn leaf(data: &[u8]) -> Node {
    Sha256::new().chain_update([0]).chain_update(data).finalize().into()
}

fn parent(left: &Node, right: &Node) -> Node {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// A complete subtree: the leaves `index << level .. (index + 1) << level`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Subtree {
    level: u32,
    index: u64,
}

/// The complete subtrees that a tree of some size consists of, the largest first: all that has to be known of its leaves to
/// append more.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Peaks {
    size: u64,
    nodes: Vec<Node>,
}

impl Peaks {
    /// Those of `size` leaves, from elsewhere.
    pub fn new(size: u64, nodes: Vec<Node>) -> Option<Self> {
        (nodes.len() == size.count_ones() as usize).then_some(Self { size, nodes })
    }

    /// How many leaves there are.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Their hashes: one for each bit that is set in the size, the highest first.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Appends a leaf by its hash.
    pub fn push(&mut self, leaf: Node) {
        self.push_telling(leaf, |_, _| {});
    }

    /// As [`Self::push`]; `tell` is told of each complete subtree that comes to its end.
    fn push_telling(&mut self, leaf: Node, mut tell: impl FnMut(Subtree, &Node)) {
        let mut node = leaf;
        let mut subtree = Subtree { level: 0, index: self.size };
        tell(subtree, &node);
        while subtree.index & 1 == 1
            && let Some(left) = self.nodes.pop()
        {
            node = parent(&left, &node);
            subtree = Subtree { level: subtree.level + 1, index: subtree.index >> 1 };
            tell(subtree, &node);
        }
        self.nodes.push(node);
        self.size += 1;
    }

    /// The root; of no leaves, the hash of nothing.
    pub fn root(&self) -> Node {
        let mut nodes = self.nodes.iter().rev().copied();
        match nodes.next() {
            None => Sha256::digest([]).into(),
            Some(last) => nodes.fold(last, |right, left| parent(&left, &right)),
        }
    }
}

/// The subtrees of the leaves `from..to`, where a tree of `to` leaves or a complete one of it has these on its right.
fn subtrees(mut from: u64, to: u64) -> Vec<Subtree> {
    let mut found = Vec::new();
    while from < to {
        let length = to - from;
        let level = length.ilog2().min(from.trailing_zeros());
        found.push(Subtree { level, index: from >> level });
        from += 1 << level;
    }
    found
}

/// The greatest power of two below a size of 2 or more.
fn split(size: u64) -> u64 {
    1 << (size - 1).ilog2()
}

/// The ranges of leaves whose roots prove that leaf `index` is in a tree of `size` leaves, nearest first.
fn path(index: u64, size: u64) -> Vec<(u64, u64)> {
    let (mut from, mut to) = (0, size);
    let mut found = Vec::new();
    while to - from > 1 {
        let middle = from + split(to - from);
        if index < middle {
            found.push((middle, to));
            to = middle;
        } else {
            found.push((from, middle));
            from = middle;
        }
    }
    found.reverse();
    found
}

/// The ranges of leaves whose roots prove that a tree of `size` leaves begins with one of `old`, nearest first.
fn growth(old: u64, size: u64) -> Vec<(u64, u64)> {
    if old == 0 || old >= size {
        return Vec::new();
    }
    let (mut from, mut to, mut is_whole) = (0, size, true);
    let mut found = Vec::new();
    while old != to {
        let middle = from + split(to - from);
        if old <= middle {
            found.push((middle, to));
            to = middle;
        } else {
            found.push((from, middle));
            from = middle;
            is_whole = false;
        }
    }
    if !is_whole {
        found.push((from, to));
    }
    found.reverse();
    found
}

/// Makes proofs in one pass over the leaves of a tree: what is wanted is said first, then each leaf is pushed.
#[derive(Debug)]
pub struct Prover {
    size: u64,
    wanted: HashMap<Subtree, Option<Node>>,
    peaks: Peaks,
}

impl Prover {
    /// For a tree of so many leaves.
    pub fn new(size: u64) -> Self {
        Self { size, wanted: HashMap::new(), peaks: Peaks::default() }
    }

    fn want(&mut self, ranges: &[(u64, u64)]) {
        for (from, to) in ranges {
            self.wanted.extend(subtrees(*from, *to).into_iter().map(|subtree| (subtree, None)));
        }
    }

    /// Wants the proof that a leaf is in it.
    pub fn want_inclusion(&mut self, index: u64) {
        if index < self.size {
            self.want(&path(index, self.size));
        }
    }

    /// Wants the proof that it begins with a tree of `old` leaves.
    pub fn want_consistency(&mut self, old: u64) {
        self.want(&growth(old, self.size));
    }

    /// Appends a leaf by its hash; leaves beyond the tree's size are not looked at.
    pub fn push(&mut self, leaf: Node) {
        if self.peaks.size < self.size {
            let wanted = &mut self.wanted;
            self.peaks.push_telling(leaf, |subtree, node| {
                if let Some(slot) = wanted.get_mut(&subtree) {
                    *slot = Some(*node);
                }
            });
        }
    }

    /// The peaks of what was pushed.
    pub fn peaks(&self) -> &Peaks {
        &self.peaks
    }

    fn roots(&self, ranges: &[(u64, u64)]) -> Option<Vec<Node>> {
        let root = |(from, to): &(u64, u64)| {
            let nodes = subtrees(*from, *to).into_iter().rev();
            let mut nodes = nodes.map(|subtree| *self.wanted.get(&subtree)?);
            let last = nodes.next()??;
            nodes.try_fold(last, |right, left| Some(parent(&left?, &right)))
        };
        ranges.iter().map(root).collect()
    }

    /// The inclusion proof; `None` where it was not wanted, or not all leaves were pushed.
    pub fn inclusion(&self, index: u64) -> Option<Vec<Node>> {
        if index < self.size { self.roots(&path(index, self.size)) } else { None }
    }

    /// The consistency proof; `None` as for [`Self::inclusion`].
    pub fn consistency(&self, old: u64) -> Option<Vec<Node>> {
        if old <= self.size { self.roots(&growth(old, self.size)) } else { None }
    }
}

/// Whether the proof shows that this leaf has this index in the tree (RFC 9162, section 2.1.3.2).
pub fn includes(leaf: &Node, index: u64, size: u64, proof: &[Node], root: &Node) -> bool {
    if index >= size {
        return false;
    }
    let (mut own, mut last) = (index, size - 1);
    let mut node = *leaf;
    for sibling in proof {
        if last == 0 {
            return false;
        }
        if own & 1 == 1 || own == last {
            node = parent(sibling, &node);
            while own & 1 == 0 && own != 0 {
                (own, last) = (own >> 1, last >> 1);
            }
        } else {
            node = parent(&node, sibling);
        }
        (own, last) = (own >> 1, last >> 1);
    }
    last == 0 && node == *root
}

/// Whether the proof shows that a tree of `new` leaves begins with one of `old` (RFC 9162, section 2.1.4.2). Any tree
/// begins with the one of no leaves, which needs no proof.
pub fn is_consistent(old: u64, old_root: &Node, new: u64, new_root: &Node, proof: &[Node]) -> bool {
    if old == 0 {
        return proof.is_empty() && *old_root == Peaks::default().root();
    }
    if old >= new {
        return old == new && proof.is_empty() && old_root == new_root;
    }
    let mut proof = proof.iter();
    let first = if old.is_power_of_two() { Some(old_root) } else { proof.next() };
    let Some(first) = first else { return false };
    let (mut own, mut last) = (old - 1, new - 1);
    while own & 1 == 1 {
        (own, last) = (own >> 1, last >> 1);
    }
    let (mut before, mut after) = (*first, *first);
    for node in proof {
        if last == 0 {
            return false;
        }
        if own & 1 == 1 || own == last {
            before = parent(node, &before);
            after = parent(node, &after);
            while own & 1 == 0 && own != 0 {
                (own, last) = (own >> 1, last >> 1);
            }
        } else {
            after = parent(&after, node);
        }
        (own, last) = (own >> 1, last >> 1);
    }
    last == 0 && before == *old_root && after == *new_root
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::to_hex;
    use proptest::prelude::*;

    /// The leaves of the reference implementation of certificate transparency (`merkletree/merkle_tree_test.cc`), and the
    /// roots of their first 1 to 8.
    const LEAVES: [&[u8]; 8] = [b"", b"\0", b"\x10", b" !", b"01", b"@ABC", b"PQRSTUVW", b"`abcdefghijklmno"];
    const ROOTS: [&str; 8] = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    /// As RFC 6962 defines it, by recursion.
    fn root_of(leaves: &[Node]) -> Node {
        match leaves {
            [] => Sha256::digest([]).into(),
            [one] => *one,
            more => {
                let (left, right) = more.split_at(split(more.len() as u64) as usize);
                parent(&root_of(left), &root_of(right))
            }
        }
    }

    fn path_of(index: usize, leaves: &[Node]) -> Vec<Node> {
        if leaves.len() <= 1 {
            return Vec::new();
        }
        let k = split(leaves.len() as u64) as usize;
        let (left, right) = leaves.split_at(k);
        let (mut found, other) = if index < k {
            (path_of(index, left), root_of(right))
        } else {
            (path_of(index - k, right), root_of(left))
        };
        found.push(other);
        found
    }

    fn growth_of(old: usize, leaves: &[Node], is_whole: bool) -> Vec<Node> {
        if old == leaves.len() {
            return if is_whole { Vec::new() } else { vec![root_of(leaves)] };
        }
        let k = split(leaves.len() as u64) as usize;
        let (left, right) = leaves.split_at(k);
        let (mut found, other) = if old <= k {
            (growth_of(old, left, is_whole), root_of(right))
        } else {
            (growth_of(old - k, right, false), root_of(left))
        };
        found.push(other);
        found
    }

    fn leaves(count: usize) -> Vec<Node> {
        (0..count).map(|n| leaf(&n.to_be_bytes())).collect()
    }

    #[test]
    fn roots_are_those_of_the_reference_implementation() {
        let mut peaks = Peaks::default();
        assert_eq!(to_hex(&peaks.root()), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        for (data, root) in LEAVES.iter().zip(ROOTS) {
            peaks.push(leaf(data));
            assert_eq!(to_hex(&peaks.root()), root);
        }
    }

    #[test]
    fn proofs_are_those_of_the_reference_implementation() {
        let mut prover = Prover::new(8);
        for index in [0, 5] {
            prover.want_inclusion(index);
        }
        for old in [1, 6] {
            prover.want_consistency(old);
        }
        for data in &LEAVES {
            prover.push(leaf(data));
        }
        let hex = |proof: Option<Vec<Node>>| proof.unwrap().iter().map(to_hex).collect::<Vec<_>>();
        let zero = [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ];
        assert_eq!(hex(prover.inclusion(0)), zero);
        assert_eq!(hex(prover.consistency(1)), zero);
        assert_eq!(
            hex(prover.inclusion(5)),
            [
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ]
        );
        assert_eq!(
            hex(prover.consistency(6)),
            [
                "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ]
        );
    }

    proptest! {
        #[test]
        fn proofs_are_those_of_the_definition(size in 1_usize..70, a in any::<prop::sample::Index>(), flip in any::<prop::sample::Index>()) {
            let leaves = leaves(size);
            let root = root_of(&leaves);
            let (index, old) = (a.index(size), a.index(size + 1));
            let mut prover = Prover::new(size as u64);
            prover.want_inclusion(index as u64);
            prover.want_consistency(old as u64);
            for leaf in &leaves {
                prover.push(*leaf);
            }
            prop_assert_eq!(prover.peaks().root(), root);
            let inclusion = prover.inclusion(index as u64).unwrap();
            prop_assert_eq!(&inclusion, &path_of(index, &leaves));
            prop_assert!(inclusion.len() <= MAX_PROOF);
            let n = size as u64;
            prop_assert!(includes(&leaves[index], index as u64, n, &inclusion, &root));
            prop_assert!(!includes(&leaves[index], index as u64 + 1, n, &inclusion, &root) || size == 1 && index > 0);
            let consistency = prover.consistency(old as u64).unwrap();
            let old_root = root_of(&leaves[..old]);
            if old > 0 {
                prop_assert_eq!(&consistency, &growth_of(old, &leaves, true));
            }
            prop_assert!(is_consistent(old as u64, &old_root, n, &root, &consistency));
            // One node that is another one, one too few, one too many: no proof.
            if !inclusion.is_empty() {
                let mut other = inclusion.clone();
                other[flip.index(inclusion.len())][0] ^= 1;
                prop_assert!(!includes(&leaves[index], index as u64, n, &other, &root));
                prop_assert!(!includes(&leaves[index], index as u64, n, &inclusion[1..], &root));
            }
            let mut longer = inclusion.clone();
            longer.push(root);
            prop_assert!(!includes(&leaves[index], index as u64, n, &longer, &root));
            if !consistency.is_empty() {
                let mut other = consistency.clone();
                other[flip.index(consistency.len())][31] ^= 1;
                prop_assert!(!is_consistent(old as u64, &old_root, n, &root, &other));
                prop_assert!(!is_consistent(old as u64, &old_root, n, &root, &consistency[1..]));
            }
            let mut longer = consistency.clone();
            longer.push(root);
            prop_assert!(!is_consistent(old as u64, &old_root, n, &root, &longer));
        }

        #[test]
        fn a_tree_goes_on_from_its_peaks(old in 0_usize..70, more in 0_usize..70) {
            let leaves = leaves(old + more);
            let mut peaks = Peaks::default();
            for leaf in &leaves[..old] {
                peaks.push(*leaf);
            }
            let mut again = Peaks::new(old as u64, peaks.nodes().to_vec()).unwrap();
            prop_assert!(Peaks::new(old as u64, vec![[0; 32]; peaks.nodes().len() + 1]).is_none());
            prop_assert_eq!(again.root(), root_of(&leaves[..old]));
            for leaf in &leaves[old..] {
                again.push(*leaf);
            }
            prop_assert_eq!(again.root(), root_of(&leaves));
        }

        #[test]
        fn any_proof_from_elsewhere_is_judged_without_a_panic(index in any::<u64>(), size in any::<u64>(), nodes in prop::collection::vec(any::<[u8; 32]>(), 0..70)) {
            prop_assert!(!includes(&[0; 32], index, size, &nodes, &[1; 32]));
            prop_assert!(!is_consistent(index, &[0; 32], size, &[1; 32], &nodes));
        }
    }
}
