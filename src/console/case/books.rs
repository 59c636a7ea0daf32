//! What is known of the case: a book for each organisation that was looked at in this session.

use crate::case::notebook::{Book, Entry, Subject, Trail};
use crate::domain::{EventRow, OrgId, Safe};
use std::collections::HashMap;

/// The book of an organisation, and the trail that it is about.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Opened {
    /// Whose.
    pub(crate) organization: OrgId,
    /// The trail, as the case names it.
    pub(crate) trail: Trail,
    /// What stands in the case about its events.
    pub(crate) book: Book,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Books {
    opened: HashMap<OrgId, Opened>,
    /// Something was written while something else was being written: what came of the former is read once more.
    pub(super) again: bool,
    /// Why the case could not be read or written.
    pub(super) trouble: Option<Safe>,
}

impl Books {
    /// Takes in what was read. Damage that was not told yet, in words.
    pub(super) fn take(&mut self, opened: Opened) -> Option<String> {
        self.trouble = None;
        let before = self.opened.get(&opened.organization);
        let remark = opened.book.refused.iter().chain(&opened.book.remarks).next().cloned();
        let known = before.is_some_and(|before| {
            before.book.remarks == opened.book.remarks && before.book.refused == opened.book.refused
        });
        self.opened.insert(opened.organization.clone(), opened);
        remark.filter(|_| !known)
    }

    /// What stands in the case about an organisation's events, once it has been read.
    pub(crate) fn book(&self, organization: &OrgId) -> Option<&Book> {
        self.opened.get(organization).map(|opened| &opened.book)
    }

    /// The trail of an organisation, once the case has been read.
    pub(super) fn trail(&self, organization: &OrgId) -> Option<&Trail> {
        self.opened.get(organization).map(|opened| &opened.trail)
    }

    /// What stands about an event of the timeline.
    pub(crate) fn entry(&self, organization: &OrgId, row: &EventRow) -> Option<&Entry> {
        let entry = self.book(organization)?.get(&row.event_id)?;
        // An id may stand in the table twice.
        (entry.event.timestamp == row.timestamp).then_some(entry)
    }

    /// An event of the timeline as the case names it; its trail is without an object as long as the case has not been read.
    pub(super) fn subject(&self, organization: &OrgId, row: &EventRow) -> Subject {
        let unknown = Trail {
            organization_id: organization.as_str().to_owned(),
            place: String::new(),
            object: String::new(),
        };
        Subject::of(self.trail(organization).unwrap_or(&unknown), row)
    }
}
