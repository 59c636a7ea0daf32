//! The lines of the change pane, as the executor lays them out and the pane draws them.

use crate::console::widgets::highlight::Columns;
use crate::console::widgets::theme::Role;
use crate::domain::{EventKey, Safe};
use std::sync::Arc;

/// A text and what it is.
pub(crate) type Piece = (Safe, Role);

/// One line of one column.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Cell {
    /// `+`, `-`, `~`, `!`, `>`, or nothing.
    pub(crate) mark: Option<Piece>,
    /// Columns before the text.
    pub(crate) indent: usize,
    /// The text.
    pub(crate) pieces: Vec<Piece>,
    /// Where in it stands what is looked for.
    pub(crate) hits: Vec<Columns>,
}

/// One line of the pane.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Line {
    /// The only column, or the left one.
    pub(crate) left: Cell,
    /// The right one.
    pub(crate) right: Option<Cell>,
    /// The place in the state that it is about (JSON Pointer).
    pub(crate) pointer: Option<Arc<str>>,
    /// Whether another line of the same row stands above.
    pub(crate) continued: bool,
    /// The event that it is about.
    pub(crate) event: Option<Arc<EventKey>>,
}

/// A change in lines.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Laid {
    /// Counts, and what the reader must know: always on top.
    pub(crate) heading: Vec<Line>,
    /// The rest.
    pub(crate) lines: Vec<Line>,
    /// The lines that have what is looked for.
    pub(crate) hits: Vec<usize>,
    /// Lines that the rest would have if there were room to unfold every value.
    pub(crate) unfolded: usize,
}

impl Laid {
    /// What has no more to show, however much room there is.
    pub(crate) fn new(heading: Vec<Line>, lines: Vec<Line>) -> Self {
        Self { heading, unfolded: lines.len(), lines, hits: Vec::new() }
    }
}
