//! The ranges in which a trail is read: how far each has come, and what an interrupted verification leaves behind.

use crate::chain::Scheme;
use crate::store::scan::{Catalogue, Earlier, Extent, Outline, Range, Snapshot, View};
use serde::{Deserialize, Serialize};

/// Transactions after which it cannot be told any more what was written before an earlier verification: they are
/// numbered modulo 2^32 in a row.
const TOO_OLD: i64 = 1 << 30;

/// How far a range has come. Where one sign stands for several ranges, it is that of the last state among theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RangeState {
    /// Read, and all content is as it was written.
    Ok,
    /// Not begun.
    Unchecked,
    /// Being read.
    Reading,
    /// A row of it could not be read, or could be neither verified nor refuted.
    ReadError,
    /// A row of it contradicts its hash.
    Broken,
}

impl RangeState {
    /// One character for it; a terminal shows each of them.
    pub const fn sign(self) -> char {
        match self {
            Self::Ok => '=',
            Self::Unchecked => '.',
            Self::Reading => '>',
            Self::ReadError => '?',
            Self::Broken => 'X',
        }
    }
}

/// The states of many ranges in at most `width` cells.
pub fn strip(states: &[RangeState], width: usize) -> Vec<RangeState> {
    let cells = states.len().min(width);
    let bound = |cell: usize| cell * states.len() / cells.max(1);
    let cell = |cell: usize| states.get(bound(cell)..bound(cell + 1))?.iter().max().copied();
    (0..cells).filter_map(cell).collect()
}

/// What an interrupted verification of a whole trail has verified, for [`super::verify_rest`] to go on from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interrupted {
    /// The database.
    pub database_identity: String,
    /// Who read it.
    pub role: String,
    /// Name of the scheme.
    pub scheme: String,
    /// The state of the columns; none in records of older programs.
    #[serde(default)]
    pub catalogue: Catalogue,
    /// How much of the trail was verified, by its size.
    pub percent: u8,
    /// The ranges in which every row fits its hash as it stands, by the snapshot of which they were read, newest first.
    pub parts: Vec<Earlier>,
}

impl Interrupted {
    /// The same, when nothing is left to go on with.
    pub fn ended(self) -> Self {
        Self { percent: 100, parts: Vec::new(), ..self }
    }

    /// Whether nothing is left to go on with.
    pub fn has_ended(&self) -> bool {
        self.parts.is_empty()
    }

    /// Whether the rows that it speaks of have the values that they had.
    pub(super) fn holds_in(&self, snapshot: &Snapshot<'_>) -> bool {
        self.catalogue.holds_in(&snapshot.view.catalogue)
    }

    /// Whether the rows that it speaks of can be told from later ones in a snapshot.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn check(&self, snapshot: &Snapshot<'_>, scheme: Scheme) -> Result<(), &'static str> {
        let refuse = Err;
        if self.database_identity != snapshot.view.identity {
            return refuse("it was one of another database");
        }
        if self.role != snapshot.view.role {
            return refuse("another role ran it, which may see other rows");
        }
        if self.scheme != scheme.name() {
            return refuse("the hashes are of another scheme now");
        }
        for part in &self.parts {
            match snapshot.view.before_transaction - part.before_transaction {
                ..0 => return refuse("the database is older than it was then"),
                TOO_OLD.. => return refuse("too much was written since"),
                _ => {}
            }
        }
        Ok(())
    }
}

/// The ranges of a verification that is running.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    begun: Option<Begun>,
    ranges: Vec<Range>,
    states: Vec<RangeState>,
    /// Of each range, whether every row fitted its hash as it stands.
    plain: Vec<bool>,
}

#[derive(Debug)]
struct Begun {
    view: View,
    scheme: Scheme,
    earlier: Vec<Earlier>,
}

impl Ledger {
    /// A snapshot begins to be read.
    pub(super) fn begin(&mut self, view: View, scheme: Scheme, earlier: Vec<Earlier>, outline: Outline) {
        self.begun = Some(Begun { view, scheme, earlier });
        self.states = vec![RangeState::Unchecked; outline.ranges.len()];
        self.plain = vec![false; outline.ranges.len()];
        self.ranges = outline.ranges;
    }

    /// A range is being read. Returns which earlier verification has read it.
    pub(super) fn reading(&mut self, range: usize) -> Option<usize> {
        if let Some(state) = self.states.get_mut(range) {
            *state = RangeState::Reading;
        }
        self.ranges.get(range)?.earlier
    }

    /// A range has been read.
    pub(super) fn read(&mut self, range: usize, state: RangeState, plain: bool) {
        if let (Some(to), Some(was_plain)) = (self.states.get_mut(range), self.plain.get_mut(range)) {
            (*to, *was_plain) = (state, plain);
        }
    }

    pub(super) fn states(&self) -> Vec<RangeState> {
        self.states.clone()
    }

    /// What can be gone on from. Ranges with anything else than rows that fit are read again, so that findings need not
    /// be kept.
    pub(super) fn interrupted(&self) -> Option<Interrupted> {
        let begun = self.begun.as_ref()?;
        let part = |at, before_transaction| Earlier { at, before_transaction, extents: Vec::new() };
        let mut parts = vec![part(begun.view.at, begun.view.before_transaction)];
        parts.extend(begun.earlier.iter().map(|earlier| part(earlier.at, earlier.before_transaction)));
        let (mut all, mut done) = (0, 0);
        for (range, plain) in self.ranges.iter().zip(&self.plain) {
            let size = u64::from(range.extent.to - range.extent.from);
            all += size;
            let part = match range.earlier {
                _ if *plain => 0,
                Some(earlier) => earlier + 1,
                None => continue,
            };
            if let (Some(part), 1..) = (parts.get_mut(part), size) {
                done += size;
                add(&mut part.extents, range.extent);
            }
        }
        parts.retain(|part| !part.extents.is_empty());
        Some(Interrupted {
            database_identity: begun.view.identity.clone(),
            role: begun.view.role.clone(),
            scheme: begun.scheme.name().to_owned(),
            catalogue: begun.view.catalogue.clone(),
            percent: (done * 100 / all.max(1)) as u8,
            parts,
        })
    }
}

/// Adds a range that lies behind those before.
fn add(extents: &mut Vec<Extent>, extent: Extent) {
    match extents.last_mut() {
        Some(last) if (last.table, last.file, last.to) == (extent.table, extent.file, extent.from) => {
            last.to = extent.to;
        }
        _ => extents.push(extent),
    }
}

#[cfg(test)]
mod tests {
    use super::RangeState as S;
    use super::*;

    #[test]
    fn a_cell_shows_the_worst_of_its_ranges() {
        assert_eq!(strip(&[], 10), []);
        assert_eq!(strip(&[S::Ok, S::Unchecked], 10), [S::Ok, S::Unchecked]);
        let many =
            [S::Ok, S::Ok, S::Ok, S::Broken, S::Reading, S::Unchecked, S::Unchecked, S::ReadError, S::Ok];
        assert_eq!(strip(&many, 3), [S::Ok, S::Broken, S::ReadError]);
        assert_eq!(strip(&many, 1), [S::Broken]);
        assert_eq!(strip(&many, 4).len(), 4);
        assert_eq!(strip(&many, 0), []);
    }

    fn extent(table: i64, from: u32, to: u32) -> Extent {
        Extent { table, file: 70, from, to }
    }

    #[test]
    fn what_is_left_behind_is_the_ranges_in_which_every_row_fits() {
        let at = crate::domain::Timestamp::from_micros;
        let earlier = vec![Earlier { at: at(1), before_transaction: 10, extents: vec![extent(7, 0, 300)] }];
        let range = |table, from, to, earlier| Range { extent: extent(table, from, to), earlier };
        let ranges = vec![
            range(7, 0, 100, Some(0)),
            range(7, 100, 200, Some(0)),
            range(7, 200, 300, Some(0)),
            range(7, 300, 400, None),
            range(7, 400, 500, None),
            range(8, 0, 100, None),
            range(8, 100, 100, None),
        ];
        let mut ledger = Ledger::default();
        assert_eq!(ledger.interrupted(), None);
        let (identity, role) = ("1/2/3".to_owned(), "analyst".to_owned());
        let view = View {
            at: at(2),
            before_transaction: 20,
            identity,
            role,
            catalogue: Catalogue::default(),
            table: crate::store::scan::Named::default(),
        };
        ledger.begin(view, Scheme::V1, earlier, Outline { rows: 7, ranges });
        assert_eq!(ledger.reading(1), Some(0));
        assert_eq!(ledger.reading(3), None);
        for (range, state, plain) in
            [(0, S::Ok, true), (3, S::Broken, false), (4, S::Ok, true), (5, S::Ok, true), (6, S::Ok, true)]
        {
            ledger.read(range, state, plain);
        }
        assert_eq!(strip(&ledger.states(), 99).iter().map(|s| s.sign()).collect::<String>(), "=>.X===");
        let left = ledger.interrupted().unwrap();
        assert_eq!((left.percent, left.scheme.as_str()), (83, "agenttrace-v1"));
        assert_eq!(
            left.parts,
            [
                Earlier {
                    at: at(2),
                    before_transaction: 20,
                    extents: vec![extent(7, 0, 100), extent(7, 400, 500), extent(8, 0, 100)],
                },
                Earlier { at: at(1), before_transaction: 10, extents: vec![extent(7, 100, 300)] },
            ]
        );
    }
}
