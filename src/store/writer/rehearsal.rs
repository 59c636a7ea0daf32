//! The writer's checks without a database.

use super::batch::Link;
use super::{Fate, PreservedEvent, prepare};
use crate::chain::{Canonicaliser, Limits};
use crate::domain::NewEvent;

/// Says of events what a [`super::Writer`] would say on an empty table, and forgets them: of an id that comes twice
/// both are [`Fate::Stored`].
#[derive(Debug)]
pub struct Rehearsal {
    json: Canonicaliser,
}

impl Default for Rehearsal {
    fn default() -> Self {
        Self { json: Canonicaliser::new(Limits::WRITE) }
    }
}

impl Rehearsal {
    /// As [`super::Writer::append`].
    pub fn append(&mut self, events: Vec<NewEvent>) -> Vec<Fate> {
        events.into_iter().map(|event| self.fate(event, &Link::Next)).collect()
    }

    /// As [`super::Writer::preserve`].
    pub fn preserve(&mut self, events: Vec<PreservedEvent>) -> Vec<Fate> {
        events
            .into_iter()
            .map(|PreservedEvent { event, hash, previous_hash }| {
                self.fate(event, &Link::Given { hash, previous_hash })
            })
            .collect()
    }

    fn fate(&mut self, event: NewEvent, link: &Link) -> Fate {
        match link.check().and_then(|()| prepare::prepare(event, &mut self.json)) {
            Ok(_) => Fate::Stored,
            Err(reason) => Fate::Rejected(reason),
        }
    }
}
