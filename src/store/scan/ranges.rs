//! Ranges of blocks: the pieces in which a scan goes, and which of them an earlier scan has read already.

use super::unit::{Place, Tid, Unit, Which};
use crate::domain::Timestamp;
use serde::{Deserialize, Serialize};

/// Blocks of a piece: 8 MB, some ten thousand rows.
const BLOCKS: u32 = 1024;
/// Rows of a piece that is a list, but for those that lie in the block of the last.
const ROWS: usize = 4096;

/// Blocks of a table or partition, as they lie on disk. Rows do not move in a file; a rewritten table has another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent {
    /// Object id of the table or partition.
    pub table: i64,
    /// Number of its file.
    pub file: i64,
    /// First block.
    pub from: u32,
    /// The block behind the last one.
    pub to: u32,
}

/// What an earlier scan has read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Earlier {
    /// When its snapshot was taken, by the server's clock.
    pub at: Timestamp,
    /// Every transaction before this one had ended by then: what they wrote was seen.
    pub before_transaction: i64,
    /// Where it has read all that there was.
    pub extents: Vec<Extent>,
}

/// A piece of a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// Where it lies.
    pub extent: Extent,
    /// The earlier scan that has read it: of rows that were there then, only the links are read.
    pub earlier: Option<usize>,
}

/// A range, and how it is read.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) range: Range,
    pub(super) units: Vec<Unit>,
}

impl Piece {
    /// Whether it is all of a relation that is not read by row addresses.
    pub(super) fn is_whole(&self) -> bool {
        self.units.iter().any(|unit| unit.place == Place::Whole)
    }
}

/// A table or partition as far as it matters here.
#[derive(Debug, Clone, Copy)]
pub(super) struct File {
    pub(super) leaf: usize,
    pub(super) table: i64,
    pub(super) number: i64,
    pub(super) blocks: u32,
}

/// What of one file was read earlier, by the first block.
struct Known {
    intervals: Vec<(u32, u32, usize)>,
}

impl Known {
    fn of(file: File, earlier: &[Earlier]) -> Self {
        let mut intervals: Vec<(u32, u32, usize)> = earlier
            .iter()
            .enumerate()
            .flat_map(|(which, scan)| scan.extents.iter().map(move |extent| (extent, which)))
            .filter(|(extent, _)| extent.table == file.table && extent.file == file.number)
            .map(|(extent, which)| (extent.from, extent.to.min(file.blocks), which))
            .filter(|(from, to, _)| from < to)
            .collect();
        intervals.sort_unstable();
        Self { intervals }
    }

    /// Who has read a block, and up to which block the same is true.
    fn at(&self, block: u32) -> (Option<usize>, Option<u32>) {
        for (from, to, which) in &self.intervals {
            if block < *from {
                return (None, Some(*from));
            }
            if block < *to {
                return (Some(*which), Some(*to));
            }
        }
        (None, None)
    }
}

/// A relation that is read with one statement. Nothing of it is remembered: it is read again every time.
pub(super) fn whole(file: File) -> Piece {
    let extent = Extent { table: file.table, file: file.number, from: 0, to: 0 };
    piece(file.leaf, extent, None, Place::Whole, &[])
}

/// Cuts a whole file into pieces.
pub(super) fn of_blocks(file: File, earlier: &[Earlier]) -> Vec<Piece> {
    let known = Known::of(file, earlier);
    let mut pieces = Vec::new();
    let mut from = 0;
    loop {
        let (which, same_up_to) = known.at(from);
        let whole = from.saturating_add(BLOCKS);
        let to = same_up_to.map_or(whole, |to| to.min(whole));
        // The last piece has no end: rows that the snapshot sees may lie behind the size that was read.
        let last = which.is_none() && same_up_to.is_none() && to >= file.blocks;
        let end = (!last).then_some(to);
        let place = Place::Blocks { after: (from, 0), end };
        let extent = Extent {
            table: file.table,
            file: file.number,
            from,
            to: if last { file.blocks.max(from) } else { to },
        };
        pieces.push(piece(file.leaf, extent, which, place, earlier));
        if last {
            return pieces;
        }
        from = to;
    }
}

/// Cuts a list of rows of a file, ascending, into pieces.
pub(super) fn of_rows(file: File, tids: &[Tid], earlier: &[Earlier]) -> Vec<Piece> {
    let known = Known::of(file, earlier);
    let mut pieces = Vec::new();
    let mut rest = tids;
    while let Some((first, _)) = rest.first() {
        let (which, _) = known.at(*first);
        let mut last = *first;
        // Only between two blocks: a range is one of whole blocks.
        let ends = rest.iter().enumerate().position(|(i, (block, _))| {
            let ends = *block != last && (i >= ROWS || known.at(*block).0 != which);
            last = if ends { last } else { *block };
            ends
        });
        let (now, later) = rest.split_at(ends.unwrap_or(rest.len()));
        let extent =
            Extent { table: file.table, file: file.number, from: *first, to: last.saturating_add(1) };
        pieces.push(piece(file.leaf, extent, which, Place::Rows(now.to_vec()), earlier));
        rest = later;
    }
    pieces
}

fn piece(leaf: usize, extent: Extent, which: Option<usize>, place: Place, earlier: &[Earlier]) -> Piece {
    let before = which.and_then(|which| earlier.get(which)).map(|scan| scan.before_transaction);
    let units = match before {
        None => vec![Unit { leaf, place, which: Which::All }],
        Some(transaction) => vec![
            Unit { leaf, place: place.clone(), which: Which::Known(transaction) },
            Unit { leaf, place, which: Which::Later(transaction) },
        ],
    };
    Piece { range: Range { extent, earlier: which }, units }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FILE: File = File { leaf: 0, table: 7, number: 70, blocks: 5000 };

    fn scan(extents: &[(u32, u32)]) -> Earlier {
        let extents = extents.iter().map(|(from, to)| Extent { table: 7, file: 70, from: *from, to: *to });
        Earlier { at: Timestamp::from_micros(0), before_transaction: 9, extents: extents.collect() }
    }

    fn shape(pieces: &[Piece]) -> Vec<(u32, u32, bool)> {
        pieces.iter().map(|p| (p.range.extent.from, p.range.extent.to, p.range.earlier.is_some())).collect()
    }

    #[test]
    fn a_file_is_cut_where_an_earlier_scan_stopped() {
        let cut = of_blocks(FILE, &[scan(&[(0, 1024), (2048, 3000)])]);
        assert_eq!(
            shape(&cut),
            [
                (0, 1024, true),
                (1024, 2048, false),
                (2048, 3000, true),
                (3000, 4024, false),
                (4024, 5000, false)
            ]
        );
        assert!(matches!(
            cut.last().unwrap().units[..],
            [Unit { place: Place::Blocks { end: None, .. }, .. }]
        ));
        assert!(matches!(
            cut[0].units[..],
            [Unit { which: Which::Known(9), .. }, Unit { which: Which::Later(9), .. }]
        ));
        let whole = of_blocks(FILE, &[scan(&[(0, 5000)])]);
        assert_eq!(shape(&whole).last(), Some(&(5000, 5000, false)), "what may have come behind the end");
        let rewritten = Extent { table: 7, file: 71, from: 0, to: 5000 };
        let rewritten = of_blocks(FILE, &[Earlier { extents: vec![rewritten], ..scan(&[]) }]);
        assert!(shape(&rewritten).iter().all(|(_, _, known)| !known));
        assert_eq!(shape(&of_blocks(File { blocks: 0, ..FILE }, &[])), [(0, 0, false)]);
    }

    #[test]
    fn a_list_is_cut_between_blocks() {
        let tids: Vec<Tid> = (0..100).flat_map(|block| (1..=100).map(move |place| (block, place))).collect();
        let pieces = of_rows(FILE, &tids, &[scan(&[(10, 20)])]);
        assert_eq!(
            shape(&pieces),
            [(0, 10, false), (10, 20, true), (20, 61, false), (61, 100, false)],
            "4100 rows, as the block of the last is not cut"
        );
    }

    proptest! {
        #[test]
        fn every_block_is_in_one_piece(
            blocks in 0u32..9000,
            cuts in prop::collection::btree_set(0u32..9000, 0..12),
        ) {
            let cuts: Vec<u32> = cuts.into_iter().collect();
            let extents: Vec<(u32, u32)> = cuts.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
            let pieces = of_blocks(File { blocks, ..FILE }, &[scan(&extents)]);
            let mut at = 0;
            for piece in &pieces {
                let Extent { from, to, .. } = piece.range.extent;
                prop_assert_eq!(from, at);
                prop_assert!(to <= from + BLOCKS);
                let known = extents.iter().any(|(a, b)| *a <= from && to <= *b);
                prop_assert_eq!(piece.range.earlier.is_some(), known && from < to);
                at = to;
            }
            prop_assert!(at >= blocks);
        }

        #[test]
        fn every_row_is_in_one_piece(
            tids in prop::collection::btree_set((0u32..300, 1u16..4), 0..600),
            cuts in prop::collection::btree_set(0u32..300, 0..6),
        ) {
            let tids: Vec<Tid> = tids.into_iter().collect();
            let cuts: Vec<u32> = cuts.into_iter().collect();
            let extents: Vec<(u32, u32)> = cuts.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
            let mut all = Vec::new();
            for piece in of_rows(FILE, &tids, &[scan(&extents)]) {
                let Place::Rows(rows) = &piece.units[0].place else { panic!("blocks") };
                let Extent { from, to, .. } = piece.range.extent;
                prop_assert!(rows.iter().all(|(block, _)| (from..to).contains(block)));
                for (block, _) in rows {
                    let known = extents.iter().any(|(a, b)| (*a..*b).contains(block));
                    prop_assert_eq!(known, piece.range.earlier.is_some());
                }
                all.extend(rows.iter().copied());
            }
            prop_assert_eq!(all, tids);
        }
    }
}
