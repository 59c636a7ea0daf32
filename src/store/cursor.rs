//! Opaque cursors: key, direction, order and frozen bounds, bound to organisation and filter.

use super::timeline::Seek;
use crate::domain::TimeRange;

/// Order of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// Newest first.
    #[default]
    Desc,
    /// Oldest first.
    Asc,
}

/// What a cursor says, once it has been found to belong to the query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// Where the page begins.
    pub seek: Seek,
    /// The bounds of the first page.
    pub range: TimeRange,
    /// The order of the listing.
    pub order: Order,
}

/// Why a cursor is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CursorError {
    /// Not one of ours, or cut off.
    #[error("the cursor is damaged: copy it whole, or start again without --cursor")]
    Damaged,
    /// It belongs to another organisation or filter.
    #[error(
        "the cursor belongs to another organisation or filter: repeat the command it came from, or start again without --cursor"
    )]
    Foreign,
}
