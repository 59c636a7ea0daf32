//! The order of the leaves: a file of 32-byte event hashes, as checkpoints first saw them. What a verification reads is
//! noted in a file beside; what is new of it is put behind what is known, chain by chain.
//!
//! Rows come in any order and there may be many millions of them, so sets are compared by sorting files. Where the table
//! lies in the order of its chain, as our writer leaves it, the new events are a few long pieces; a trail in more pieces
//! than [`MOST_PIECES`] is refused.

use super::tree::{Node, Peaks, leaf};
use crate::chain::links::parse_hash;
use crate::chain::to_hex;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek as _, SeekFrom, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

/// Length of a leaf in the file.
pub const LEAF: u64 = 32;
/// Most pieces that new events are in; their places take some 20 MB.
pub const MOST_PIECES: usize = 250_000;
/// Bytes that are sorted in memory at once.
const SORTED: usize = 16 << 20;

/// Why there is no order.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// A file cannot be read or written.
    #[error("the order of the events could not be worked out in a temporary file: {0}")]
    File(#[from] io::Error),
    /// Two events have one hash.
    #[error("two rows of the trail have the hash {0}: which of them a leaf stands for could not be said")]
    Twice(String),
    /// What an earlier checkpoint covers is not there any more.
    #[error(
        "{count} of the events that the last checkpoint covers are not in the trail, the first with the hash {first}"
    )]
    Missing {
        /// How many.
        count: u64,
        /// One of them.
        first: String,
    },
    /// Too much disorder.
    #[error(
        "the new events are in more than {MOST_PIECES} pieces: they cannot be put in an order within the memory allowed"
    )]
    Pieces,
}

/// The hashes of the events of a trail and of their predecessors, as a verification meets them.
#[derive(Debug, Clone, Default)]
pub struct Tap(Arc<Mutex<Noted>>);

#[derive(Debug, Default)]
struct Noted {
    file: Option<BufWriter<File>>,
    failed: Option<io::Error>,
    events: u64,
}

impl Tap {
    /// Begins anew: what was noted of another snapshot is dropped.
    pub fn begin(&self) {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *noted = Noted::default();
        match tempfile::tempfile() {
            Ok(file) => noted.file = Some(BufWriter::with_capacity(1 << 16, file)),
            Err(e) => noted.failed = Some(e),
        }
    }

    /// Notes an event by both of its hashes as stored; one without a hash has no leaf.
    pub fn add(&self, hash: &[u8], previous_hash: &[u8]) {
        let Some(hash) = parse_hash(hash) else { return };
        let previous = parse_hash(previous_hash).unwrap_or_default();
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(file) = &mut noted.file else { return };
        match file.write_all(&hash).and_then(|()| file.write_all(&previous)) {
            Ok(()) => noted.events += 1,
            Err(e) => (noted.file, noted.failed) = (None, Some(e)),
        }
    }

    /// Takes what was noted.
    fn take(&self) -> io::Result<(BufReader<File>, u64)> {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(e) = noted.failed.take() {
            return Err(e);
        }
        let file = noted.file.take().ok_or_else(|| io::Error::other("nothing was noted"))?;
        let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        Ok((BufReader::with_capacity(1 << 16, file), noted.events))
    }
}

/// Records of one length, sorted by their bytes, within [`SORTED`] bytes of memory.
struct Sorter<const N: usize> {
    chunk: Vec<[u8; N]>,
    most: usize,
    runs: Vec<BufReader<File>>,
}

impl<const N: usize> Sorter<N> {
    fn new(memory: usize) -> Self {
        Self { chunk: Vec::new(), most: (memory / N).max(2), runs: Vec::new() }
    }

    fn push(&mut self, record: [u8; N]) -> io::Result<()> {
        self.chunk.push(record);
        if self.chunk.len() < self.most { Ok(()) } else { self.spill() }
    }

    fn spill(&mut self) -> io::Result<()> {
        self.chunk.sort_unstable();
        let mut file = BufWriter::with_capacity(1 << 16, tempfile::tempfile()?);
        for record in self.chunk.drain(..) {
            file.write_all(&record)?;
        }
        let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        self.runs.push(BufReader::with_capacity(1 << 16, file));
        Ok(())
    }

    fn sorted(mut self) -> io::Result<Sorted<N>> {
        if !self.chunk.is_empty() {
            self.spill()?;
        }
        let mut sorted = Sorted { runs: self.runs, next: BinaryHeap::new() };
        for run in 0..sorted.runs.len() {
            sorted.refill(run)?;
        }
        Ok(sorted)
    }
}

/// Sorted records, read again.
struct Sorted<const N: usize> {
    runs: Vec<BufReader<File>>,
    next: BinaryHeap<Reverse<([u8; N], usize)>>,
}

impl<const N: usize> Sorted<N> {
    fn refill(&mut self, run: usize) -> io::Result<()> {
        let record = self.runs.get_mut(run).map(record).transpose()?.flatten();
        self.next.extend(record.map(|record| Reverse((record, run))));
        Ok(())
    }

    fn next(&mut self) -> io::Result<Option<[u8; N]>> {
        let Some(Reverse((record, run))) = self.next.pop() else { return Ok(None) };
        self.refill(run)?;
        Ok(Some(record))
    }
}

/// The next record; `None` at the end.
fn record<const N: usize>(from: &mut impl Read) -> io::Result<Option<[u8; N]>> {
    let mut record = [0; N];
    let mut filled = 0;
    while let Some(rest) = record.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match from.read(rest) {
            Ok(0) if filled == 0 => return Ok(None),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => filled += read,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(Some(record))
}

/// Hash, hash of the predecessor, place among what was read.
const NOTED: usize = 72;

fn joined(parts: [&[u8]; 3]) -> [u8; NOTED] {
    let mut record = [0; NOTED];
    record.iter_mut().zip(parts.into_iter().flatten()).for_each(|(to, from)| *to = *from);
    record
}

/// The 32 bytes at a place of a record.
fn node<const N: usize>(record: &[u8; N], at: usize) -> Node {
    let mut node = [0; 32];
    node.iter_mut().zip(record.iter().skip(at)).for_each(|(to, from)| *to = *from);
    node
}

/// The leaves of the file's first `size` events, for a walk over them.
///
/// # Errors
/// When the file cannot be read.
pub fn read(file: &mut File, size: u64) -> io::Result<impl Iterator<Item = io::Result<Node>>> {
    file.rewind()?;
    let mut from = BufReader::with_capacity(1 << 16, file.take(size.saturating_mul(LEAF)));
    let mut left = size;
    Ok(std::iter::from_fn(move || {
        left = left.checked_sub(1)?;
        Some(record(&mut from).and_then(|node| node.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())))
    }))
}

/// Puts the events that were noted and are not among the first `size` leaves of the file behind these, and gives the peaks
/// of all. What stood in the file behind them was of an attempt that was not completed.
///
/// # Errors
/// [`OrderError`]; the first `size` leaves are then as they were.
pub fn append(file: &mut File, size: u64, tap: &Tap) -> Result<Peaks, OrderError> {
    append_within(file, size, tap, SORTED)
}

fn append_within(file: &mut File, size: u64, tap: &Tap, memory: usize) -> Result<Peaks, OrderError> {
    let (mut noted, events) = tap.take()?;
    let (mut known, mut trail) = (Sorter::<32>::new(memory), Sorter::<NOTED>::new(memory));
    let mut peaks = Peaks::default();
    for hash in read(file, size)? {
        let hash = hash?;
        peaks.push(leaf(&hash));
        known.push(hash)?;
    }
    for place in 0..events {
        let both: [u8; 64] =
            record(&mut noted)?.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        trail.push(joined([&both, &place.to_be_bytes(), &[]]))?;
    }
    let new = new_of(known.sorted()?, trail.sorted()?, memory)?;
    let mut pieces = Pieces::of(new)?;
    file.set_len(size.saturating_mul(LEAF))?;
    file.seek(SeekFrom::End(0))?;
    let mut out = BufWriter::with_capacity(1 << 16, &mut *file);
    for at in pieces.in_order() {
        pieces.copy(at, |hash| {
            peaks.push(leaf(hash));
            out.write_all(hash)
        })?;
    }
    out.flush()?;
    drop(out);
    file.sync_all()?;
    Ok(peaks)
}

/// What is in the trail and not known, by its place: place, hash, hash of the predecessor.
fn new_of(
    mut known: Sorted<32>,
    mut trail: Sorted<NOTED>,
    memory: usize,
) -> Result<Sorted<NOTED>, OrderError> {
    let mut new = Sorter::<NOTED>::new(memory);
    let (mut missing, mut first) = (0, None);
    let (mut old, mut last) = (known.next()?, None);
    while let Some(record) = trail.next()? {
        let hash = node(&record, 0);
        if last == Some(hash) {
            return Err(OrderError::Twice(to_hex(&hash)));
        }
        last = Some(hash);
        while let Some(gone) = old.filter(|old| *old < hash) {
            (missing, old) = (missing + 1, known.next()?);
            first.get_or_insert(gone);
        }
        if old == Some(hash) {
            old = known.next()?;
        } else {
            let place = record.get(64..).unwrap_or_default();
            new.push(joined([place, &hash, &node(&record, 32)]))?;
        }
    }
    while let Some(gone) = old {
        (missing, old) = (missing + 1, known.next()?);
        first.get_or_insert(gone);
    }
    match first {
        Some(first) => Err(OrderError::Missing { count: missing, first: to_hex(&first) }),
        None => Ok(new.sorted()?),
    }
}

/// Events of which each follows the one that was read before it.
#[derive(Debug)]
struct Piece {
    /// The predecessor of the first one.
    wants: Node,
    /// The last one.
    last: Node,
    /// Where its hashes stand in the file, and how many there are.
    from: u64,
    length: u64,
}

/// The new events in the order in which they were read.
struct Pieces {
    all: Vec<Piece>,
    hashes: File,
}

impl Pieces {
    fn of(mut new: Sorted<NOTED>) -> Result<Self, OrderError> {
        let mut hashes = BufWriter::with_capacity(1 << 16, tempfile::tempfile()?);
        let mut all: Vec<Piece> = Vec::new();
        let mut at = 0;
        while let Some(record) = new.next()? {
            let (hash, wants) = (node(&record, 8), node(&record, 40));
            hashes.write_all(&hash)?;
            let pieces = all.len();
            match all.last_mut() {
                Some(piece) if piece.last == wants => (piece.last, piece.length) = (hash, piece.length + 1),
                _ if pieces == MOST_PIECES => return Err(OrderError::Pieces),
                _ => all.push(Piece { wants, last: hash, from: at, length: 1 }),
            }
            at += 1;
        }
        let hashes = hashes.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok(Self { all, hashes })
    }

    /// Chain by chain: a piece, then what follows its end; chains and branches in the order in which they were read.
    fn in_order(&self) -> Vec<usize> {
        let wanted = |at: &usize| self.all.get(*at).map(|piece| piece.wants);
        let mut by_wants: Vec<usize> = (0..self.all.len()).collect();
        by_wants.sort_by_key(wanted);
        let mut ends: Vec<Node> = self.all.iter().map(|piece| piece.last).collect();
        ends.sort_unstable();
        let is_start = |piece: &Piece| ends.binary_search(&piece.wants).is_err();
        let starts = self.all.iter().enumerate().filter(|(_, piece)| is_start(piece)).map(|(at, _)| at);
        let mut order = Vec::with_capacity(self.all.len());
        let mut is_placed = vec![false; self.all.len()];
        // Pieces in a circle have no start: their stored hashes are not those of any content.
        for start in starts.chain(0..self.all.len()) {
            let mut open = vec![start];
            while let Some(at) = open.pop() {
                let Some(placed) = is_placed.get_mut(at).filter(|placed| !**placed) else { continue };
                *placed = true;
                order.push(at);
                let end = self.all.get(at).map(|piece| piece.last);
                let first = by_wants.partition_point(|other| wanted(other) < end);
                let followers = by_wants.iter().skip(first).take_while(|other| wanted(other) == end);
                let before = open.len();
                open.extend(followers);
                open.get_mut(before..).unwrap_or_default().reverse();
            }
        }
        order
    }

    fn copy(&mut self, at: usize, mut take: impl FnMut(&Node) -> io::Result<()>) -> io::Result<()> {
        let Some(piece) = self.all.get(at) else { return Ok(()) };
        self.hashes.seek(SeekFrom::Start(piece.from * LEAF))?;
        // One event is one read: what is read ahead would be dropped at the next seek.
        let mut from = BufReader::with_capacity((piece.length.min(2048) * LEAF) as usize, &self.hashes);
        for _ in 0..piece.length {
            let hash: Node = record(&mut from)?.ok_or(io::ErrorKind::UnexpectedEof)?;
            take(&hash)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    fn hash(n: u64) -> Node {
        leaf(&n.to_be_bytes())
    }

    /// Rows of `(event, predecessor)`; 0 is no predecessor.
    fn tap(rows: &[(u64, u64)]) -> Tap {
        let tap = Tap::default();
        tap.begin();
        for (event, previous) in rows {
            let previous = if *previous == 0 { String::new() } else { to_hex(&hash(*previous)) };
            tap.add(to_hex(&hash(*event)).as_bytes(), previous.as_bytes());
        }
        tap
    }

    struct Log {
        file: File,
        size: u64,
    }

    impl Log {
        fn new() -> Self {
            Self { file: tempfile::tempfile().unwrap(), size: 0 }
        }

        fn grow(&mut self, rows: &[(u64, u64)]) -> Result<Vec<u64>, OrderError> {
            // Little memory, so that runs are merged.
            let peaks = append_within(&mut self.file, self.size, &tap(rows), 500)?;
            self.size = peaks.size();
            let all: Vec<Node> = read(&mut self.file, self.size).unwrap().map(Result::unwrap).collect();
            let mut again = Peaks::default();
            for hash in &all {
                again.push(leaf(hash));
            }
            assert_eq!(again, peaks);
            let names: BTreeMap<Node, u64> = (0..500).map(|n| (hash(n), n)).collect();
            Ok(all.iter().map(|hash| names[hash]).collect())
        }
    }

    #[test]
    fn leaves_stand_chain_by_chain_and_keep_their_places() {
        let mut log = Log::new();
        // Read in disorder: a chain 1-2-3-4, and one that begins anew, 10-11.
        assert_eq!(
            log.grow(&[(3, 2), (10, 0), (4, 3), (1, 0), (11, 10), (2, 1)]).unwrap(),
            [10, 11, 1, 2, 3, 4]
        );
        // Both grow, and a fork branches off inside of what is known.
        let more = [(3, 2), (10, 0), (4, 3), (1, 0), (11, 10), (2, 1), (12, 11), (6, 5), (5, 4), (20, 2)];
        assert_eq!(log.grow(&more).unwrap(), [10, 11, 1, 2, 3, 4, 12, 5, 6, 20]);
        assert_eq!(log.grow(&more).unwrap().len(), 10, "nothing new");
        let fewer: Vec<_> = more.into_iter().filter(|(event, _)| ![3, 12].contains(event)).collect();
        match log.grow(&fewer).unwrap_err() {
            OrderError::Missing { count: 2, first } => {
                assert!([3, 12].map(|n| to_hex(&hash(n))).contains(&first));
            }
            other => panic!("{other}"),
        }
        assert_eq!(log.size, 10);
        let twice: Vec<_> = more.into_iter().chain([(6, 5)]).collect();
        assert!(matches!(log.grow(&twice), Err(OrderError::Twice(_))));
        // What an attempt left behind is overwritten.
        log.file.seek(SeekFrom::End(0)).unwrap();
        log.file.write_all(&[7; 77]).unwrap();
        let again: Vec<_> = more.into_iter().chain([(7, 6)]).collect();
        assert_eq!(log.grow(&again).unwrap(), [10, 11, 1, 2, 3, 4, 12, 5, 6, 20, 7]);
    }

    #[test]
    fn rows_without_a_hash_have_no_leaf_and_a_circle_ends() {
        let tap = tap(&[(1, 2), (2, 1)]);
        tap.add(b"", b"");
        tap.add(b"not a hash", b"");
        let mut file = tempfile::tempfile().unwrap();
        assert_eq!(append(&mut file, 0, &tap).unwrap().size(), 2);
        assert!(append(&mut file, 2, &Tap::default()).is_err(), "nothing was noted");
    }

    proptest! {
        #[test]
        fn each_event_is_in_it_once_and_keeps_its_place(parents in prop::collection::vec(any::<prop::sample::Index>(), 1..80), cut in any::<prop::sample::Index>(), seed in any::<u64>()) {
            // A forest: each event follows an earlier one, or none.
            let rows: Vec<(u64, u64)> = parents.iter().enumerate().map(|(n, parent)| (n as u64 + 1, parent.index(n + 1) as u64)).collect();
            let shuffled = |rows: &[(u64, u64)]| {
                let mut rows = rows.to_vec();
                rows.sort_by_key(|(event, _)| leaf(&[seed.to_be_bytes(), event.to_be_bytes()].concat()));
                rows
            };
            let mut log = Log::new();
            let first = cut.index(rows.len() + 1);
            let before = log.grow(&shuffled(&rows[..first])).unwrap();
            let all = log.grow(&shuffled(&rows)).unwrap();
            prop_assert_eq!(&all[..first], &before[..]);
            let mut seen = BTreeSet::from([0]);
            let parents: BTreeMap<u64, u64> = rows.into_iter().collect();
            for event in &all {
                prop_assert!(seen.insert(*event));
            }
            prop_assert_eq!(seen.len(), parents.len() + 1);
        }

        #[test]
        fn a_chain_in_any_order_stands_in_its_own(length in 1_u64..80, known in 0_u64..80, seed in any::<u64>()) {
            let mut rows: Vec<(u64, u64)> = (1..=length).map(|n| (n, n - 1)).collect();
            let mut log = Log::new();
            log.grow(&rows[..known.min(length) as usize]).unwrap();
            rows.sort_by_key(|(event, _)| leaf(&[seed.to_be_bytes(), event.to_be_bytes()].concat()));
            prop_assert_eq!(log.grow(&rows).unwrap(), (1..=length).collect::<Vec<_>>());
        }
    }
}
