//! A file that grows and is rotated, as one stream of bytes: `tail -F`, and also what was rotated away meanwhile.
//!
//! What is stored is remembered as a [`Standing`]: how much of a file, and which file that is by its beginning, as names
//! and inodes are used again. Where a rotation is taken for what it is not, records are read twice at worst, and those are
//! duplicates.

mod older;
mod standing;
mod tail;

pub(super) use standing::Mark;
pub use standing::{Memory, Standing};
pub(super) use tail::Tail;

use super::Place;
use standing::Beginning;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Which part of the stream is from which file: shared by who reads and who stores.
#[derive(Debug, Default)]
pub(super) struct Followed(Mutex<VecDeque<Segment>>);

/// A part of the stream that is from one file.
#[derive(Debug)]
struct Segment {
    /// Bytes, and line breaks, of the stream before it.
    from: u64,
    breaks: u64,
    /// Bytes, and line breaks, of the file before it.
    offset: u64,
    lines: u64,
    beginning: Arc<Mutex<Beginning>>,
}

impl Segment {
    /// Line breaks of the file before a line of the stream, which counts from 1.
    fn before(&self, line: u64) -> u64 {
        (line.saturating_sub(1 + self.breaks)) + self.lines
    }
}

impl Followed {
    fn segments(&self) -> MutexGuard<'_, VecDeque<Segment>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, segment: Segment) {
        self.segments().push_back(segment);
    }

    /// Line breaks of the file that is read, where the stream has so many.
    fn breaks_before(&self, breaks: u64) -> u64 {
        self.segments().back().map_or(0, |segment| breaks - segment.breaks.min(breaks) + segment.lines)
    }

    /// Makes a place in the stream one in its file: of a record that ends at a position of the stream.
    pub(super) fn place(&self, place: &mut Place, end: u64) {
        let segments = self.segments();
        if let Some(segment) = segments.iter().rev().find(|segment| segment.from < end) {
            place.line = segment.before(place.line) + 1;
        }
    }

    /// Where reading stands behind a record; nothing before it is asked for any more.
    pub(super) fn standing(&self, mark: Mark) -> Option<Standing> {
        let mut segments = self.segments();
        while segments.get(1).is_some_and(|next| next.from < mark.position) {
            segments.pop_front();
        }
        let segment = segments.front().filter(|segment| segment.from < mark.position)?;
        let bytes = segment.offset + (mark.position - segment.from);
        let beginning = segment.beginning.lock().unwrap_or_else(PoisonError::into_inner);
        Some(Standing::new(bytes, segment.before(mark.line), &beginning))
    }
}
