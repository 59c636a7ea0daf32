//! What one statement of a scan reads: a place in a table, and which of its rows.

use super::super::StoreError;

/// The address of a row: block and place in it.
pub(super) type Tid = (u32, u16);

/// What one statement reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unit {
    pub(super) leaf: usize,
    pub(super) place: Place,
    pub(super) which: Which,
}

/// Where the rows of a unit lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// Behind `after` and before block `end`.
    Blocks { after: Tid, end: Option<u32> },
    /// These rows, ascending.
    Rows(Vec<Tid>),
    /// All of it, in no order.
    Whole,
}

/// Which rows of that place. What an earlier scan has seen is what was written before a certain transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    All,
    /// Those that an earlier scan has seen, of which only the links are read.
    Known(i64),
    /// Those that came later.
    Later(i64),
}

impl Unit {
    /// What of the unit is left behind a row.
    pub(super) fn behind(&self, tid: Tid) -> Option<Self> {
        let place = match &self.place {
            Place::Blocks { end, .. } => Place::Blocks { after: tid, end: *end },
            Place::Rows(tids) => {
                let rest: Vec<Tid> = tids.iter().copied().filter(|t| *t > tid).collect();
                (!rest.is_empty()).then_some(Place::Rows(rest))?
            }
            // In no order, nothing is behind anything.
            Place::Whole => return None,
        };
        Some(Self { place, ..self.clone() })
    }

    /// One row of the unit.
    pub(super) fn only(&self, tid: Tid) -> Self {
        Self { place: Place::Rows(vec![tid]), ..*self }
    }
}

/// Reads `(block,place)`.
pub(super) fn parse_tid(text: &str) -> Result<Tid, StoreError> {
    let inner = text.strip_prefix('(').and_then(|t| t.strip_suffix(')'));
    inner
        .and_then(|t| t.split_once(','))
        .and_then(|(block, place)| Some((block.parse().ok()?, place.parse().ok()?)))
        .ok_or_else(|| StoreError::Decode(format!("'{}' is not a row address", text.escape_debug())))
}
