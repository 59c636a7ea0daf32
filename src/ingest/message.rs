//! What the reading thread hands on.

use super::follow::Mark;
use super::input::Source;
use super::rejects::Original;
use super::{Mapped, Place, Reject, SourceFormat};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A batch ends when its records have this many bytes, so that memory is bounded when they are large.
const BYTES: usize = 8 << 20;

/// What the reading thread has to say, in the order of the files.
pub(super) enum Message {
    /// The format of a source was recognised, the first of this format.
    Recognised { source: Arc<Source>, format: SourceFormat },
    /// Records, which may be those of several sources, and how much stood among them that is valid and holds no
    /// records, by what it is.
    Batch(Filled),
    /// Something that a person wants to know about a source.
    Note { source: Arc<Source>, text: String },
    /// A source could not be read to its end.
    Failed { source: Arc<Source>, line: u64, reason: String },
    /// A source must not be loaded with these options; nothing follows.
    Refused { source: Arc<Source>, line: u64, reason: String },
    /// All sources are done. Without this word the reader has died.
    End,
}

/// A record: where it stood, as it stood, and what it means.
pub(super) struct Item {
    pub(super) source: Arc<Source>,
    pub(super) place: Place,
    /// What it was taken for, where that is known.
    pub(super) format: Option<SourceFormat>,
    pub(super) original: Original,
    pub(super) mapped: Result<Mapped, Reject>,
}

/// What goes to the writer together.
#[derive(Default)]
pub(super) struct Filled {
    pub(super) items: Vec<Item>,
    /// What is valid and holds no records, and how much of it.
    pub(super) empty: BTreeMap<&'static str, u64>,
    /// Of a file that is followed: how far its stream is read with these records.
    pub(super) mark: Option<Mark>,
}

/// What is being filled.
#[derive(Default)]
pub(super) struct Batch {
    filled: Filled,
    bytes: usize,
}

impl Batch {
    /// Adds a record.
    pub(super) fn push(&mut self, item: Item) {
        self.bytes += match &item.original {
            Original::Text(text) => text.len(),
            Original::Bytes(bytes) | Original::Start(bytes) => bytes.len(),
        };
        self.filled.items.push(item);
    }

    /// Counts what holds no records.
    pub(super) fn note_empty(&mut self, what: &'static str, number: u64) {
        if number > 0 {
            *self.filled.empty.entry(what).or_default() += number;
        }
    }

    /// Whether it has so many records, or so many bytes that memory would grow.
    pub(super) fn is_full(&self, size: usize) -> bool {
        self.filled.items.len() >= size || self.bytes >= BYTES
    }

    /// Whether there is nothing in it.
    pub(super) fn is_empty(&self) -> bool {
        self.filled.items.is_empty() && self.filled.empty.is_empty()
    }

    /// What is in it; it is empty afterwards.
    pub(super) fn take(&mut self, mark: Option<Mark>) -> Message {
        self.bytes = 0;
        Message::Batch(Filled { mark, ..std::mem::take(&mut self.filled) })
    }
}
