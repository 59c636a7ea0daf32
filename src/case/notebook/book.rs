//! What stands in a case about the events of one trail: its records without those that were taken back.

use super::handover::Handover;
use super::{Act, Opinion, Record, Subject, Trail};
use crate::case::record::Contents;
use crate::domain::{EventRow, Timestamp};
use crate::filter::{Facts, Noted, Question, Selection};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// Who said something, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// Id of the record.
    pub id: String,
    /// When, by the clock of the author's machine.
    pub at: Timestamp,
    /// Who.
    pub by: String,
}

/// A note that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// By whom.
    pub stamp: Stamp,
    /// What it says.
    pub text: String,
    /// It is another wording of an earlier one.
    pub is_edited: bool,
}

/// A tag, and who gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// By whom first.
    pub stamp: Stamp,
    /// The tag.
    pub tag: String,
}

/// A verdict, and who gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// By whom.
    pub stamp: Stamp,
    /// The verdict.
    pub verdict: Opinion,
}

/// All that stands about one event; never nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The event as it was when something was first said about it.
    pub event: Subject,
    /// Its bookmarks, oldest first: more than one where two analysts made one.
    pub bookmarks: Vec<Stamp>,
    /// Its notes, oldest first.
    pub notes: Vec<Note>,
    /// Its tags, by name, each once.
    pub tags: Vec<Tag>,
    /// Its verdicts, oldest first; at most one of each author, unless files were merged.
    pub verdicts: Vec<Verdict>,
}

impl Entry {
    /// `★✎#`: bookmark, note, tag or verdict.
    pub fn signs(&self) -> String {
        let signs = [
            (!self.bookmarks.is_empty(), '★'),
            (!self.notes.is_empty(), '✎'),
            (!self.tags.is_empty() || !self.verdicts.is_empty(), '#'),
        ];
        signs.into_iter().filter_map(|(there, sign)| there.then_some(sign)).collect()
    }

    /// Whether the event is in the table, and is what it was: that its hash is.
    pub fn is_of(&self, row: &EventRow) -> bool {
        self.event.event_id == row.event_id && self.event.hash == row.hash
    }
}

/// What stands in a case about the events of one trail.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Book {
    /// By event id.
    entries: BTreeMap<String, Entry>,
    /// Events of other trails in the same case.
    pub others: usize,
    /// What was handed over with it.
    pub handover: Handover,
    /// Damage of the file, a sentence each.
    pub remarks: Vec<String>,
    /// Why the case is not used.
    pub refused: Option<String>,
}

/// The records that were not taken back, in the order given. Which come first in a file does not matter.
pub(super) fn standing(records: &[Record]) -> Vec<&Record> {
    let gone: HashSet<&str> = records.iter().flat_map(Record::replaced).map(String::as_str).collect();
    records.iter().filter(|r| r.event().is_some() && !gone.contains(r.id.as_str())).collect()
}

impl Book {
    /// What the records of a case say of a trail; of all trails without one.
    pub fn of(contents: Contents<Record>, trail: Option<&Trail>) -> Self {
        let Contents { records, remarks, refused } = contents;
        let handover = Handover::of(&records);
        let mut book = Self { handover, remarks, refused, ..Self::default() };
        let mut others = HashSet::new();
        for record in standing(&records) {
            let Some(event) = record.event() else { continue };
            if trail.is_some_and(|trail| !trail.is_same(&event.trail)) {
                others.insert((&event.trail, &event.event_id));
                continue;
            }
            // Of several trails, ids may be the same.
            let key = match trail {
                Some(_) => event.event_id.clone(),
                None => {
                    format!("{}\n{}\n{}", event.event_id, event.trail.organization_id, event.trail.object)
                }
            };
            let entry = book.entries.entry(key).or_insert_with(|| Entry {
                event: event.clone(),
                bookmarks: Vec::new(),
                notes: Vec::new(),
                tags: Vec::new(),
                verdicts: Vec::new(),
            });
            entry.take(record);
        }
        for entry in book.entries.values_mut() {
            entry.tags.sort_by(|a, b| (&a.tag, a.stamp.at).cmp(&(&b.tag, b.stamp.at)));
            entry.tags.dedup_by(|a, b| a.tag == b.tag);
        }
        book.others = others.len();
        book
    }

    /// What stands about an event.
    pub fn get(&self, event_id: &str) -> Option<&Entry> {
        self.entries.get(event_id)
    }

    /// All entries, the newest event first, as the timeline has them.
    pub fn entries(&self) -> Vec<&Entry> {
        let mut all: Vec<&Entry> = self.entries.values().collect();
        all.sort_by(|a, b| {
            (b.event.timestamp, &b.event.event_id).cmp(&(a.event.timestamp, &a.event.event_id))
        });
        all
    }

    /// Whether nothing stands in it.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All tags, by name.
    pub fn tags(&self) -> BTreeSet<&str> {
        self.entries.values().flat_map(|entry| &entry.tags).map(|tag| tag.tag.as_str()).collect()
    }

    fn ids(&self, is_such: impl Fn(&Entry) -> bool) -> Selection {
        let such = self.entries.values().filter(|entry| is_such(entry));
        Selection::Only(such.map(|entry| entry.event.event_id.clone()).collect())
    }
}

impl Facts for Book {
    /// Nothing is answered from a case that is not used.
    fn answer(&self, question: &Question) -> Option<Selection> {
        if self.refused.is_some() {
            return None;
        }
        match question {
            Question::Integrity(_) => None,
            Question::Is(any_of) => Some(self.ids(|entry| {
                any_of.iter().any(|noted| match noted {
                    Noted::Bookmarked => !entry.bookmarks.is_empty(),
                    Noted::Noted => !entry.notes.is_empty(),
                })
            })),
            Question::Tag(any_of) => {
                Some(self.ids(|entry| entry.tags.iter().any(|tag| any_of.contains(&tag.tag))))
            }
        }
    }
}

impl Entry {
    fn take(&mut self, record: &Record) {
        let stamp = Stamp { id: record.id.clone(), at: record.at, by: record.by.clone() };
        match &record.act {
            Act::Bookmark { .. } => self.bookmarks.push(stamp),
            Act::Note { text, replaces, .. } => {
                self.notes.push(Note { stamp, text: text.clone(), is_edited: !replaces.is_empty() });
            }
            Act::Tag { tag, .. } => self.tags.push(Tag { stamp, tag: tag.clone() }),
            Act::Verdict { verdict, .. } => self.verdicts.push(Verdict { stamp, verdict: *verdict }),
            Act::Head { .. } | Act::Accepted { .. } | Act::Filter { .. } | Act::Removed { .. } => {}
        }
    }
}
