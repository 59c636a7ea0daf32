//! Who follows whom, without any order: each hash is produced by one event and wanted by the next one, so the two
//! cancel out wherever they are met. What is left over at the end is what a chain shows besides its middle: heads,
//! forks, missing predecessors. Neighbours in time are never compared: equal times have no chain order.
//!
//! Addition commutes, so rows may come in any order, and halves read by two readers are added up. Memory grows with the
//! disorder of the rows, not with their number.

use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A hash as bytes.
pub type Hash = [u8; 32];

/// Entries a [`Links`] holds before it gives up following (about 300 MB).
pub const MAX_PENDING: usize = 4_000_000;
/// Events earlier than their predecessor, and rows without a hash, that are remembered one by one; beyond that they are
/// only counted.
pub const MAX_NOTED: usize = 100_000;
/// Genesis events, malformed hashes and other findings of a kind that are listed one by one; beyond that they are only
/// counted. Each takes a kilobyte, and of 400 000 malformed events nobody reads the last ones.
pub const MAX_LISTED: usize = 20_000;

/// Reads 64 lower-case hexadecimal digits; anything else is no hash.
pub fn parse_hash<T: AsRef<[u8]> + ?Sized>(text: &T) -> Option<Hash> {
    let bytes = text.as_ref();
    if bytes.len() != 64 {
        return None;
    }
    let mut hash = [0; 32];
    let (words, _) = bytes.as_chunks::<8>();
    for (to, word) in hash.as_chunks_mut::<4>().0.iter_mut().zip(words) {
        *to = four_bytes(*word)?;
    }
    Some(hash)
}

/// Reads eight digits at once: three hashes are read for every event.
const fn four_bytes(digits: [u8; 8]) -> Option<[u8; 4]> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let x = u64::from_be_bytes(digits);
    // In each byte: 1 for a letter (0x61 to 0x66), 0 for a digit (0x30 to 0x39).
    let letters = x >> 6 & ONES;
    let low = x & (ONES * 0x0f);
    let high_fits = x & (ONES * 0xf0) == ONES * 0x30 + letters * 0x30;
    // No sum reaches the next byte: 9 of digits, 6 of letters are the last that do not reach 16.
    let low_fits = (low + ONES * 6 + letters * 3) & (ONES * 0x10) == 0;
    let letters_begin_at_one = (low + ONES * 0x0f) >> 4 & letters == letters;
    if !(high_fits && low_fits && letters_begin_at_one) {
        return None;
    }
    let nibbles = low + letters * 9;
    let bytes = (nibbles | nibbles >> 4) & 0x00ff_00ff_00ff_00ff;
    let pairs = (bytes | bytes >> 8) & 0x0000_ffff_0000_ffff;
    Some(((pairs | pairs >> 16) as u32).to_be_bytes())
}

/// Keeps as many as are listed.
fn keep_first<T: Ord>(listed: &mut BTreeSet<T>) {
    while listed.len() > MAX_LISTED {
        listed.pop_last();
    }
}

/// Which of an event's two hashes is no hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Malformed {
    /// `hash`.
    Own,
    /// `previous_hash`: neither empty nor 64 lower-case hexadecimal digits.
    Previous,
}

/// What one hash is short of or has too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    /// Times produced less times wanted.
    net: i32,
    /// Claimed time in microseconds of the one event behind `net` when that is ±1.
    time: Option<i64>,
}

/// An event that is listed with its time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listed {
    /// Claimed time, microseconds since 1970.
    pub time: i64,
    /// Its id.
    pub event_id: String,
}

/// Rows whose `hash` is empty: how many, the first and the last, and a sum over the hashes that their contents have, which
/// an edit of one of them changes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Unhashed {
    /// How many there are.
    pub count: u64,
    /// The one of the earliest time.
    pub first: Option<Listed>,
    /// The one of the latest time.
    pub last: Option<Listed>,
    /// Sum in four lanes of 64 bits.
    pub sum: Hash,
}

impl Unhashed {
    fn add(&mut self, other: &Self) {
        self.count += other.count;
        let firsts = self.first.take().into_iter().chain(other.first.clone());
        self.first = firsts.min();
        let lasts = self.last.take().into_iter().chain(other.last.clone());
        self.last = lasts.max();
        let lanes = self.sum.as_chunks_mut::<8>().0.iter_mut().zip(other.sum.as_chunks::<8>().0);
        for (lane, more) in lanes {
            *lane = u64::from_be_bytes(*lane).wrapping_add(u64::from_be_bytes(*more)).to_be_bytes();
        }
    }

    fn one(listed: &Listed, content: Option<Hash>) -> Self {
        Self {
            count: 1,
            first: Some(listed.clone()),
            last: Some(listed.clone()),
            sum: content.unwrap_or_default(),
        }
    }
}

/// The link map of the events seen so far.
#[derive(Debug, Clone, Default)]
pub struct Links {
    // The standard hasher is keyed at random: `previous_hash` is text that an attacker may choose.
    pending: HashMap<Hash, Entry>,
    /// The hash produced last, with its event's time: mostly the next event wants it, so it does not go through the map.
    last: Option<(Hash, i64)>,
    genesis: BTreeSet<Listed>,
    genesis_count: u64,
    malformed: BTreeSet<(Listed, Malformed)>,
    malformed_count: u64,
    /// Hashes of events that have a successor with an earlier time.
    backwards: BTreeSet<Hash>,
    backwards_count: u64,
    /// Time of the earliest event that has a hash of its own.
    first_hashed: Option<i64>,
    unhashed: Unhashed,
    /// The same one by one, at most [`MAX_NOTED`], each with the hash that its content has.
    unhashed_rows: BTreeMap<Listed, Option<Hash>>,
    hashed: bool,
    overflowed: bool,
}

impl Links {
    /// An empty map.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one event: its time in microseconds, id and both hashes as stored.
    pub fn add<T: AsRef<[u8]> + ?Sized>(&mut self, time: i64, event_id: &T, hash: &T, previous_hash: &T) {
        let listed = || Listed { time, event_id: String::from_utf8_lossy(event_id.as_ref()).into_owned() };
        let is_hashed = !hash.as_ref().is_empty();
        if previous_hash.as_ref().is_empty() && !is_hashed {
            // In no chain at all.
        } else if previous_hash.as_ref().is_empty() {
            self.genesis_count += 1;
            if self.genesis.len() < MAX_LISTED {
                self.genesis.insert(listed());
            }
        } else if let Some(previous) = parse_hash(previous_hash) {
            match self.last.take_if(|(hash, _)| *hash == previous) {
                Some((_, produced)) => self.followed(previous, produced, time),
                None => self.count(previous, -1, Some(time)),
            }
        } else {
            self.malformed_count += 1;
            if self.malformed.len() < MAX_LISTED {
                self.malformed.insert((listed(), Malformed::Previous));
            }
        }
        if is_hashed {
            self.hashed_at(time);
        }
        if let Some(own) = parse_hash(hash) {
            self.settle();
            self.hashed = true;
            self.last = Some((own, time));
        } else if is_hashed {
            self.malformed_count += 1;
            if self.malformed.len() < MAX_LISTED {
                self.malformed.insert((listed(), Malformed::Own));
            }
        }
    }

    /// Notes that an event of this time has a hash, in scope or not.
    pub fn hashed_at(&mut self, time: i64) {
        self.first_hashed = Some(self.first_hashed.map_or(time, |first| first.min(time)));
    }

    /// Notes a row without a hash, with the hash that its content has where that is known.
    pub fn unhashed(&mut self, time: i64, event_id: &str, content: Option<Hash>) {
        let listed = Listed { time, event_id: event_id.to_owned() };
        self.unhashed.add(&Unhashed::one(&listed, content));
        if self.unhashed_rows.len() < MAX_NOTED {
            self.unhashed_rows.insert(listed, content);
        }
    }

    /// Whether a row without a hash was seen.
    pub fn has_unhashed(&self) -> bool {
        self.unhashed.count > 0
    }

    /// Tells the rows from before hashing from those that lost their hash: a row that is not before the first hashed
    /// event, or that a hashed event names as its predecessor. Returns the former, and adds the latter to the malformed.
    fn tell_unhashed_apart(&mut self) -> Unhashed {
        let is_lost = |listed: &Listed, content: &Option<Hash>| {
            let wanted = content.as_ref().and_then(|hash| self.pending.get(hash)).is_some_and(|e| e.net < 0);
            wanted || self.first_hashed.is_some_and(|first| first <= listed.time)
        };
        let rows = std::mem::take(&mut self.unhashed_rows);
        let (lost, before): (Vec<_>, Vec<_>) =
            rows.into_iter().partition(|(listed, content)| is_lost(listed, content));
        let all = std::mem::take(&mut self.unhashed);
        let all_are_before =
            self.first_hashed.is_none_or(|first| all.last.as_ref().is_none_or(|last| last.time < first));
        if lost.is_empty() && all_are_before {
            return all;
        }
        let mut told = Unhashed::default();
        for (listed, content) in &before {
            told.add(&Unhashed::one(listed, *content));
        }
        self.malformed_count += all.count - told.count;
        self.malformed.extend(lost.into_iter().map(|(listed, _)| (listed, Malformed::Own)));
        keep_first(&mut self.malformed);
        told
    }

    /// Puts the hash produced last into the map.
    fn settle(&mut self) {
        if let Some((hash, time)) = self.last.take() {
            self.count(hash, 1, Some(time));
        }
    }

    /// Adds the map of another reader of the same chain.
    pub fn merge(&mut self, mut other: Self) {
        other.settle();
        self.overflowed |= other.overflowed;
        self.hashed |= other.hashed;
        self.genesis_count += other.genesis_count;
        self.malformed_count += other.malformed_count;
        self.backwards_count += other.backwards_count;
        self.genesis.extend(other.genesis);
        self.malformed.extend(other.malformed);
        keep_first(&mut self.genesis);
        keep_first(&mut self.malformed);
        self.backwards.extend(other.backwards);
        other.first_hashed.into_iter().for_each(|time| self.hashed_at(time));
        self.unhashed.add(&other.unhashed);
        self.unhashed_rows.extend(other.unhashed_rows);
        for (hash, entry) in other.pending {
            self.count(hash, entry.net, entry.time);
        }
    }

    /// Whether the map grew beyond its bound: the links of this trail cannot be judged.
    pub fn overflowed(&self) -> bool {
        self.overflowed
    }

    /// Entries that have not cancelled out.
    pub fn pending(&self) -> usize {
        self.pending.len() + usize::from(self.last.is_some())
    }

    fn count(&mut self, hash: Hash, net: i32, time: Option<i64>) {
        use std::collections::hash_map::Entry as Slot;
        if self.overflowed {
            return;
        }
        match self.pending.entry(hash) {
            Slot::Vacant(slot) => {
                slot.insert(Entry { net, time });
                if self.pending.len() > MAX_PENDING {
                    self.overflowed = true;
                    self.pending = HashMap::new();
                }
            }
            Slot::Occupied(mut slot) => {
                let before = *slot.get();
                let after = before.net + net;
                if after == 0 {
                    slot.remove();
                    // One against one: the common case, in which both times are known.
                    if let (Some(a), Some(b)) = (before.time, time) {
                        let (produced, wanted) = if net < 0 { (a, b) } else { (b, a) };
                        self.followed(hash, produced, wanted);
                    }
                } else {
                    // More than one event is behind it; they are looked up when the map is closed.
                    *slot.get_mut() = Entry { net: after, time: None };
                }
            }
        }
    }

    /// An event that claims the time `wanted` follows one of `produced`.
    fn followed(&mut self, hash: Hash, produced: i64, wanted: i64) {
        if wanted < produced {
            self.backwards_count += 1;
            if self.backwards.len() < MAX_NOTED {
                self.backwards.insert(hash);
            }
        }
    }

    /// Ends the counting: what must be looked up, and what is known already.
    pub fn close(mut self) -> Open {
        self.settle();
        let unhashed_count = self.unhashed.count;
        let unhashed = self.tell_unhashed_apart();
        let mut balance: BTreeMap<Hash, i32> = self.backwards.into_iter().map(|hash| (hash, 0)).collect();
        balance.extend(self.pending.into_iter().map(|(hash, entry)| (hash, entry.net)));
        let (look_up, balance) = balance.into_iter().unzip();
        Open {
            look_up,
            balance,
            genesis: self.genesis.into_iter().collect(),
            genesis_count: self.genesis_count,
            malformed: self.malformed.into_iter().collect(),
            malformed_count: self.malformed_count,
            backwards_count: self.backwards_count,
            lost_hashes: unhashed_count - unhashed.count,
            unhashed,
            hashed: self.hashed,
            overflowed: self.overflowed,
        }
    }
}

/// A counted chain whose left-overs have not been looked up yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// Hashes whose events must be found: all rows of the organisation that have one of these as `hash` or as
    /// `previous_hash`, inside the scope or not.
    pub look_up: Vec<Hash>,
    /// Of each of these, how many more events in scope were read that have it than that name it as their predecessor's.
    pub balance: Vec<i32>,
    /// Events without predecessor, by time and id, at most [`MAX_LISTED`].
    pub genesis: Vec<Listed>,
    /// How many there are.
    pub genesis_count: u64,
    /// Events with a malformed hash, at most [`MAX_LISTED`].
    pub malformed: Vec<(Listed, Malformed)>,
    /// How many there are.
    pub malformed_count: u64,
    /// How many events were seen to be earlier than their predecessor; at most [`MAX_NOTED`] of them can be named.
    pub backwards_count: u64,
    /// Rows from before hashing.
    pub unhashed: Unhashed,
    /// How many rows with an empty hash are none of these; they are among the malformed.
    pub lost_hashes: u64,
    /// An event has a well-formed hash of its own, so that the trail has a head.
    pub hashed: bool,
    /// Too many left-overs: `look_up` is empty and says nothing.
    pub overflowed: bool,
}

/// A row that was looked up.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Node {
    /// Claimed time in microseconds.
    pub time: i64,
    /// Its id.
    pub event_id: String,
    /// Its hash as stored.
    pub hash: String,
    /// Its predecessor's hash as stored.
    pub previous_hash: String,
    /// Whether it lies in the scope that is being verified.
    pub in_scope: bool,
}

/// The rows that were found for [`Open::look_up`]; one row may be on both sides, for different hashes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// Rows with one of them as their hash.
    pub producing: Vec<Node>,
    /// Rows with one of them as their predecessor's.
    pub wanting: Vec<Node>,
}

/// The hashes that were looked up, and for which not the rows were found that had been read. A trail in which all of
/// them are found and that has a hashed event ends somewhere, in a head.
pub fn not_found_again(open: &Open, found: &Found) -> Vec<Hash> {
    let mut balance: HashMap<&str, i64> = HashMap::new();
    for node in found.producing.iter().filter(|node| node.in_scope) {
        *balance.entry(&node.hash).or_default() += 1;
    }
    for node in found.wanting.iter().filter(|node| node.in_scope) {
        *balance.entry(&node.previous_hash).or_default() -= 1;
    }
    let same = |hash: &Hash, net: i32| {
        balance.get(super::to_hex(hash).as_str()).is_some_and(|now| *now == i64::from(net))
    };
    let both = open.look_up.iter().zip(&open.balance);
    both.filter(|(hash, net)| !same(hash, **net)).map(|(hash, _)| *hash).collect()
}

/// An event whose predecessor is not in its organisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingPredecessor {
    /// The event.
    pub event: Node,
    /// Other organisations that have an event with that hash; filled by whoever can look.
    pub found_in_org: Vec<String>,
}

/// Several events with one predecessor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fork {
    /// The predecessor's hash.
    pub previous_hash: String,
    /// The events, by time and id.
    pub children: Vec<Node>,
}

/// The shape of a chain. Every list is sorted by time and event id.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Shape {
    /// Events in scope whose predecessor no row of the organisation is.
    pub missing_predecessor: Vec<MissingPredecessor>,
    /// Predecessors with several children, at least one of them in scope.
    pub forks: Vec<Fork>,
    /// Events in scope that no event of the organisation follows.
    pub heads: Vec<Node>,
    /// Events in scope that claim a time before their predecessor's.
    pub time_before_predecessor: Vec<Node>,
    /// Events in scope whose predecessor lies outside: the seam of a range.
    pub seams: Vec<Node>,
}

/// Names what was left over, from the rows that were found for [`Open::look_up`]. A row may be given twice when it was
/// found by both of its hashes; it counts once.
pub fn classify(look_up: &[Hash], found: impl IntoIterator<Item = Node>) -> Shape {
    let mut produced: BTreeMap<String, BTreeSet<Node>> = BTreeMap::new();
    let mut wanted: BTreeMap<String, BTreeSet<Node>> = BTreeMap::new();
    for node in found {
        produced.entry(node.hash.clone()).or_default().insert(node.clone());
        wanted.entry(node.previous_hash.clone()).or_default().insert(node);
    }
    let none = BTreeSet::new();
    let mut shape = Shape::default();
    for hash in look_up {
        let text = super::to_hex(hash);
        let parents = produced.get(&text).unwrap_or(&none);
        let children = wanted.get(&text).unwrap_or(&none);
        let in_scope = || children.iter().filter(|child| child.in_scope);
        if children.is_empty() {
            shape.heads.extend(parents.iter().filter(|head| head.in_scope).cloned());
        }
        match parents.iter().map(|parent| parent.time).min() {
            None => shape.missing_predecessor.extend(
                in_scope().map(|event| MissingPredecessor { event: event.clone(), found_in_org: Vec::new() }),
            ),
            Some(time) => {
                shape.time_before_predecessor.extend(in_scope().filter(|child| child.time < time).cloned());
                if !parents.iter().any(|parent| parent.in_scope) {
                    shape.seams.extend(in_scope().cloned());
                }
            }
        }
        if children.len() > 1 && in_scope().next().is_some() {
            shape.forks.push(Fork { previous_hash: text, children: children.iter().cloned().collect() });
        }
    }
    shape.missing_predecessor.sort_by(|a, b| a.event.cmp(&b.event));
    shape.forks.sort_by(|a, b| a.children.cmp(&b.children));
    shape.heads.sort();
    shape.time_before_predecessor.sort();
    shape.seams.sort();
    shape
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// An event `eN` with hash `N` behind `previous`, `None` for a genesis.
    #[derive(Debug, Clone)]
    struct Ev {
        n: u8,
        previous: Option<u8>,
        time: i64,
    }

    fn hex(n: u8) -> String {
        format!("{n:02x}").repeat(32)
    }

    fn chain(length: u8) -> Vec<Ev> {
        (1..=length).map(|n| Ev { n, previous: (n > 1).then(|| n - 1), time: i64::from(n) }).collect()
    }

    fn links(events: &[Ev]) -> Links {
        let mut links = Links::new();
        for e in events {
            links.add(e.time, &format!("e{}", e.n), &hex(e.n), &e.previous.map(hex).unwrap_or_default());
        }
        links
    }

    #[test]
    fn rows_from_before_hashing_are_told_from_rows_that_lost_their_hash() {
        let add =
            |links: &mut Links, id: &str, time: i64, hash: &str, previous: &str, content: Option<Hash>| {
                links.add(time, id, hash, previous);
                if hash.is_empty() {
                    links.unhashed(time, id, content);
                }
            };
        let (one, two, three) = (hex(1), hex(2), hex(3));
        // Two readers, in any order.
        let (mut links, mut other) = (Links::new(), Links::new());
        add(&mut links, "b", 20, "", "", Some([7; 32]));
        add(&mut links, "d", 40, &two, &one, None);
        add(&mut other, "c", 30, &one, "", None);
        add(&mut other, "a", 10, "", "", Some([9; 32]));
        links.merge(other);
        let open = links.clone().close();
        assert_eq!((open.unhashed.count, open.lost_hashes, open.malformed.len()), (2, 0, 0));
        assert_eq!(open.unhashed.sum, [16; 32]);
        assert_eq!(open.unhashed.first.map(|l| l.event_id), Some("a".to_owned()));
        assert_eq!(open.unhashed.last.map(|l| l.event_id), Some("b".to_owned()));
        assert_eq!((open.genesis_count, open.genesis[0].event_id.as_str()), (1, "c"));

        // One within the chain, and one at its end that a hashed event names.
        add(&mut links, "e", 50, "", &two, Some([3; 32]));
        add(&mut links, "f", 60, &hex(4), &three, None);
        let open = links.clone().close();
        assert_eq!((open.unhashed.count, open.lost_hashes, open.malformed_count), (2, 1, 1));
        assert_eq!(open.malformed[0].0.event_id, "e");

        // One whose time was moved before the beginning, but whose successor still names it.
        add(&mut links, "g", 5, "", &two, Some([3; 32]));
        let open = links.close();
        assert_eq!((open.unhashed.count, open.lost_hashes), (2, 2));
        assert_eq!(open.malformed.iter().map(|(l, _)| l.event_id.as_str()).collect::<Vec<_>>(), ["g", "e"]);
    }

    #[test]
    fn what_was_read_is_found_again_or_named() {
        let mut events = chain(6);
        events.push(Ev { n: 9, previous: Some(2), time: 1 });
        let node = |e: &Ev| Node {
            time: e.time,
            event_id: format!("e{}", e.n),
            hash: hex(e.n),
            previous_hash: e.previous.map(hex).unwrap_or_default(),
            in_scope: true,
        };
        let open = links(&events).close();
        assert!(open.hashed);
        let texts: Vec<String> = open.look_up.iter().map(crate::chain::to_hex).collect();
        let all: Vec<Node> = events.iter().map(node).collect();
        let found = Found {
            producing: all.iter().filter(|n| texts.contains(&n.hash)).cloned().collect(),
            wanting: all.iter().filter(|n| texts.contains(&n.previous_hash)).cloned().collect(),
        };
        assert!(not_found_again(&open, &found).is_empty());
        let without = |keep: fn(&Node) -> bool| Found {
            producing: found.producing.iter().filter(|n| keep(n)).cloned().collect(),
            wanting: found.wanting.iter().filter(|n| keep(n)).cloned().collect(),
        };
        assert_eq!(not_found_again(&open, &without(|n| n.event_id != "e6")), [[6; 32]]);
        assert_eq!(not_found_again(&open, &without(|n| n.event_id != "e9")), [[2; 32], [9; 32]]);
        assert_eq!(not_found_again(&open, &Found::default()), [[2; 32], [6; 32], [9; 32]]);
    }

    /// Looks up as the database does.
    fn shape_of(open: &Open, all: &[Ev]) -> Shape {
        let texts: Vec<String> = open.look_up.iter().map(crate::chain::to_hex).collect();
        let rows = all.iter().map(|e| Node {
            time: e.time,
            event_id: format!("e{}", e.n),
            hash: hex(e.n),
            previous_hash: e.previous.map(hex).unwrap_or_default(),
            in_scope: true,
        });
        let found = rows.filter(|r| texts.contains(&r.hash) || texts.contains(&r.previous_hash));
        classify(&open.look_up, found)
    }

    fn shape(events: &[Ev]) -> Shape {
        shape_of(&links(events).close(), events)
    }

    fn ids(nodes: &[Node]) -> Vec<&str> {
        nodes.iter().map(|n| n.event_id.as_str()).collect()
    }

    #[test]
    fn a_whole_chain_has_one_head_and_nothing_else() {
        let shape = shape(&chain(10));
        assert_eq!(ids(&shape.heads), ["e10"]);
        assert_eq!(Shape { heads: Vec::new(), ..shape }, Shape::default());
    }

    #[test]
    fn a_deleted_event_leaves_a_missing_predecessor_and_a_head() {
        let mut events = chain(10);
        events.remove(4);
        let shape = shape(&events);
        assert_eq!(ids(&shape.heads), ["e4", "e10"]);
        assert_eq!(shape.missing_predecessor.len(), 1);
        assert_eq!(shape.missing_predecessor[0].event.event_id, "e6");
        assert_eq!(shape.missing_predecessor[0].event.previous_hash, hex(5));
        assert!(shape.forks.is_empty());
    }

    #[test]
    fn a_fork_names_all_children() {
        let mut events = chain(10);
        events.push(Ev { n: 99, previous: Some(4), time: 5 });
        let shape = shape(&events);
        assert_eq!(shape.forks.len(), 1);
        assert_eq!(shape.forks[0].previous_hash, hex(4));
        assert_eq!(ids(&shape.forks[0].children), ["e5", "e99"]);
        assert_eq!(ids(&shape.heads), ["e99", "e10"]);
        assert!(shape.missing_predecessor.is_empty());
    }

    #[test]
    fn a_missing_predecessor_with_two_children_is_both() {
        let mut events = chain(6);
        events.push(Ev { n: 99, previous: Some(2), time: 9 });
        events.remove(1);
        let shape = shape(&events);
        assert_eq!(shape.missing_predecessor.len(), 2);
        assert_eq!(ids(&shape.forks[0].children), ["e3", "e99"]);
    }

    #[test]
    fn a_truncated_tail_leaves_no_trace() {
        assert_eq!(ids(&shape(&chain(7)).heads), ["e7"]);
    }

    #[test]
    fn an_event_before_its_predecessor_is_named_whichever_comes_first() {
        let mut events = chain(5);
        events[2].time = 1;
        for events in [events.clone(), events.iter().rev().cloned().collect()] {
            let shape = shape(&events);
            assert_eq!(ids(&shape.time_before_predecessor), ["e3"]);
        }
        events[2].time = 2;
        assert!(shape(&events).time_before_predecessor.is_empty(), "equal times are in order");
    }

    #[test]
    fn an_exact_copy_of_a_row_is_left_over() {
        let mut events = chain(6);
        events.push(events[3].clone());
        assert_eq!(links(&events).close().look_up, [[3; 32], [4; 32], [6; 32]]);
    }

    #[test]
    fn malformed_hashes_are_no_genesis_and_no_link() {
        let mut links = Links::new();
        links.add(1, "a", &hex(1), "");
        links.add(2, "b", "XYZ", &hex(1));
        links.add(3, "c", &hex(3), &hex(0xab).to_uppercase());
        let open = links.close();
        assert_eq!(open.genesis, [Listed { time: 1, event_id: "a".into() }]);
        let named: Vec<(&str, Malformed)> =
            open.malformed.iter().map(|(l, m)| (l.event_id.as_str(), *m)).collect();
        assert_eq!(named, [("b", Malformed::Own), ("c", Malformed::Previous)]);
    }

    #[test]
    fn only_64_lower_case_digits_are_a_hash() {
        assert_eq!(parse_hash(&hex(0xaf)), Some([0xaf; 32]));
        for text in
            ["", "ab", &hex(1)[1..], &format!("{}0", hex(1)), &hex(0xaf).to_uppercase(), &"g".repeat(64)]
        {
            assert_eq!(parse_hash(text), None, "{text}");
        }
        assert_eq!(parse_hash(&"é".repeat(32)), None);
    }

    fn damaged() -> impl Strategy<Value = Vec<Ev>> {
        let extra = (100u8..200, prop::option::of(0u8..40), 0i64..40);
        (
            1u8..40,
            prop::collection::vec(any::<prop::sample::Index>(), 0..4),
            prop::collection::vec(extra, 0..4),
            prop::collection::vec((any::<prop::sample::Index>(), 0i64..40), 0..4),
        )
            .prop_map(|(length, deleted, extra, moved)| {
                let mut events = chain(length);
                for (at, time) in moved {
                    let at = at.index(events.len());
                    events[at].time = time;
                }
                for at in deleted {
                    if events.len() > 1 {
                        events.remove(at.index(events.len()));
                    }
                }
                let mut used = BTreeSet::new();
                events.extend(extra.into_iter().filter(|e| used.insert(e.0)).map(|(n, previous, time)| Ev {
                    n,
                    previous,
                    time,
                }));
                events
            })
    }

    /// The shape by definition, from all rows at once.
    fn by_definition(events: &[Ev]) -> Shape {
        let mut hashes: BTreeSet<Hash> = BTreeSet::new();
        for e in events {
            hashes.insert([e.n; 32]);
            hashes.extend(e.previous.map(|p| [p; 32]));
        }
        let open = Open { look_up: hashes.into_iter().collect(), ..Links::new().close() };
        shape_of(&open, events)
    }

    proptest! {
        #[test]
        fn eight_digits_are_read_as_one_by_one(
            digits in prop::array::uniform8(prop_oneof![8 => b'0'..=b'9', 8 => b'a'..=b'f', 1 => any::<u8>()]),
        ) {
            let slow: Option<Vec<u8>> = digits
                .chunks(2)
                .map(|pair| {
                    let lower = pair.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
                    u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok().filter(|_| lower)
                })
                .collect();
            prop_assert_eq!(four_bytes(digits).map(|bytes| bytes.to_vec()), slow);
        }

        #[test]
        fn any_order_and_any_split_give_what_the_definition_says(
            (events, shuffled, cut) in damaged().prop_flat_map(|events| {
                let n = events.len();
                (Just(events.clone()), Just(events).prop_shuffle(), 0..=n)
            })
        ) {
            let expected = by_definition(&events);
            prop_assert_eq!(&shape(&shuffled), &expected);
            let mut whole = links(&shuffled[..cut]);
            whole.merge(links(&shuffled[cut..]));
            prop_assert_eq!(whole.genesis_count, events.iter().filter(|e| e.previous.is_none()).count() as u64);
            prop_assert_eq!(&shape_of(&whole.close(), &shuffled), &expected);
        }
    }
}
