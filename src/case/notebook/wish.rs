//! What an analyst wants said of an event. What that takes depends on what was said before.

use super::{Act, Opinion, Record, Subject, book};

/// A wish. Carried out twice it leads to nothing new, but for a note and a toggled bookmark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// A bookmark if there is none, else none.
    ToggleBookmark(Subject),
    /// A bookmark, or none.
    Bookmark(Subject, bool),
    /// One note more.
    Note(Subject, String),
    /// Another wording of the notes with these ids; empty takes them back.
    Reword(Subject, Vec<String>, String),
    /// These tags more, and those not any more.
    Tags {
        /// The event.
        event: Subject,
        /// Tags that it gets.
        add: Vec<String>,
        /// Tags that it loses.
        remove: Vec<String>,
    },
    /// The author's verdict, in the place of an earlier one of the same author; `None` takes that back.
    Verdict(Subject, Option<Opinion>),
}

impl Wish {
    /// The event.
    pub fn event_mut(&mut self) -> &mut Subject {
        match self {
            Self::ToggleBookmark(event)
            | Self::Bookmark(event, _)
            | Self::Note(event, _)
            | Self::Reword(event, ..)
            | Self::Tags { event, .. }
            | Self::Verdict(event, _) => event,
        }
    }

    /// The event.
    pub fn event(&self) -> &Subject {
        match self {
            Self::ToggleBookmark(event)
            | Self::Bookmark(event, _)
            | Self::Note(event, _)
            | Self::Reword(event, ..)
            | Self::Tags { event, .. }
            | Self::Verdict(event, _) => event,
        }
    }

    /// What is said, in a word.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::ToggleBookmark(_) | Self::Bookmark(..) => "bookmark",
            Self::Note(..) | Self::Reword(..) => "note",
            Self::Tags { .. } => "tag",
            Self::Verdict(..) => "verdict",
        }
    }

    /// The records that it takes, given those that are there.
    pub(super) fn acts(&self, there: &[Record], by: &str) -> Vec<Act> {
        let standing = book::standing(there);
        let of_event = |event: &Subject, is_such: &dyn Fn(&Record) -> bool| -> Vec<String> {
            let is_meant = |r: &&&Record| r.event().is_some_and(|of| of.is_same(event)) && is_such(r);
            standing.iter().filter(is_meant).map(|r| r.id.clone()).collect()
        };
        let removed = |records: Vec<String>| {
            if records.is_empty() { Vec::new() } else { vec![Act::Removed { records }] }
        };
        let is_bookmark = |r: &Record| matches!(r.act, Act::Bookmark { .. });
        match self {
            Self::ToggleBookmark(event) => {
                let there = of_event(event, &is_bookmark);
                let wanted = there.is_empty();
                Self::Bookmark(event.clone(), wanted).acts_on_bookmark(there)
            }
            Self::Bookmark(event, _) => self.acts_on_bookmark(of_event(event, &is_bookmark)),
            Self::Note(event, text) => {
                vec![Act::Note { event: Box::new(event.clone()), text: text.clone(), replaces: Vec::new() }]
            }
            Self::Reword(_, notes, text) if text.is_empty() => removed(notes.clone()),
            Self::Reword(event, notes, text) => {
                let says_it = |r: &&&Record| {
                    notes.contains(&r.id) && matches!(&r.act, Act::Note { text: there, .. } if there == text)
                };
                if notes.len() == 1 && standing.iter().any(|r| says_it(&r)) {
                    return Vec::new();
                }
                let (event, text) = (Box::new(event.clone()), text.clone());
                vec![Act::Note { event, text, replaces: notes.clone() }]
            }
            Self::Tags { event, add, remove } => {
                let with = |tag: &String| {
                    let is_it = |r: &Record| matches!(&r.act, Act::Tag { tag: there, .. } if there == tag);
                    of_event(event, &is_it)
                };
                let mut acts = removed(remove.iter().flat_map(with).collect());
                for tag in add.iter().filter(|tag| with(tag).is_empty()) {
                    acts.push(Act::Tag { event: Box::new(event.clone()), tag: tag.clone() });
                }
                acts
            }
            Self::Verdict(event, verdict) => {
                let is_mine = |r: &Record| r.by == by && matches!(r.act, Act::Verdict { .. });
                let replaces = of_event(event, &is_mine);
                match verdict {
                    None => removed(replaces),
                    Some(verdict) => {
                        let says_it = |r: &&&Record| {
                            replaces == [r.id.clone()]
                                && matches!(r.act, Act::Verdict { verdict: there, .. } if there == *verdict)
                        };
                        if standing.iter().any(|r| says_it(&r)) {
                            return Vec::new();
                        }
                        vec![Act::Verdict { event: Box::new(event.clone()), verdict: *verdict, replaces }]
                    }
                }
            }
        }
    }

    fn acts_on_bookmark(&self, there: Vec<String>) -> Vec<Act> {
        match (self, there.is_empty()) {
            (Self::Bookmark(event, true), true) => vec![Act::Bookmark { event: Box::new(event.clone()) }],
            (Self::Bookmark(_, false), false) => vec![Act::Removed { records: there }],
            _ => Vec::new(),
        }
    }
}
