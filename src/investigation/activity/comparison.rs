//! An answer against the one of then.

use super::answer::{self, Print};
use crate::case::activity::Answer;
use crate::domain::grouped;
use std::collections::{HashMap, HashSet};

/// Ids that are named.
const NAMED: usize = 5;

/// What became of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is the same; so many events have come since, behind what it was about.
    Equal {
        /// The number.
        newer: u64,
    },
    /// It is another one.
    Changed {
        /// In what, one sentence each.
        details: Vec<String>,
    },
    /// It cannot be asked again.
    NotAsked {
        /// Why.
        why: String,
    },
    /// It was no question.
    NoQuestion,
}

impl Outcome {
    /// Its name in documents.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Equal { .. } => "equal",
            Self::Changed { .. } => "changed",
            Self::NotAsked { .. } => "not_asked",
            Self::NoQuestion => "no_question",
        }
    }
}

/// What became of rows: those that were seen are told apart from those that have come since, by their digest. `beyond`: so many
/// others were read, and there are more.
pub(super) fn compare(then: &Answer, now: &[Print], newer: u64, beyond: Option<usize>) -> Outcome {
    if answer::digest_of(now) == then.digest {
        return Outcome::Equal { newer };
    }
    if then.rows.is_empty() && then.events > 0 {
        return changed(vec![format!(
            "{} events then, {} now, or others",
            grouped(then.events),
            grouped(now.len() as u64)
        )]);
    }
    let known: HashMap<&str, &str> =
        then.rows.iter().map(|(id, print)| (id.as_str(), print.as_str())).collect();
    let there: HashSet<&str> = now.iter().map(|print| print.key.event_id.as_str()).collect();
    let missing: Vec<&str> =
        then.rows.iter().map(|(id, _)| id.as_str()).filter(|id| !there.contains(id)).collect();
    let (mut altered, mut added) = (Vec::new(), Vec::new());
    for print in now {
        let id = print.key.event_id.as_str();
        match known.get(id) {
            Some(short) if *short == print.short() => {}
            Some(_) => altered.push(id),
            None => added.push(id),
        }
    }
    let mut details = Vec::new();
    for (ids, what) in [
        (&missing, "no longer among them"),
        (&altered, "other values now"),
        (&added, "more among them now, late or inserted"),
    ] {
        if !ids.is_empty() {
            details.push(format!("{what}: {}", named(ids)));
        }
    }
    if let Some(more) = beyond {
        details.push(format!("and more than {} others", grouped(more as u64)));
    }
    if details.is_empty() {
        details.push("the same events in another order".to_owned());
    }
    changed(details)
}

fn named(ids: &[&str]) -> String {
    let more = ids.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {} more", grouped(more as u64)) } else { String::new() };
    let shown: Vec<&str> = ids.iter().take(NAMED).copied().collect();
    format!("{}{more}", shown.join(", "))
}

pub(super) fn same(then: &Answer, now: &Answer, details: impl FnOnce() -> Vec<String>) -> Outcome {
    if then.digest == now.digest { Outcome::Equal { newer: 0 } } else { changed(details()) }
}

pub(super) fn said(then: &Answer, now: &Answer) -> Vec<String> {
    let words = |answer: &Answer| answer.said.clone().unwrap_or_else(|| "something else".to_owned());
    let (before, after) = (words(then), words(now));
    vec![if before == after {
        format!("{after}, with other findings")
    } else {
        format!("{before} then, {after} now")
    }]
}

pub(super) fn gone(event_id: &str) -> String {
    format!("{event_id} is no longer in the table, or hidden from this role")
}

pub(super) fn changed(details: Vec<String>) -> Outcome {
    Outcome::Changed { details }
}

pub(super) fn not_asked(why: impl Into<String>) -> Outcome {
    Outcome::NotAsked { why: why.into() }
}

/// An answer without bounds: where it has grown, new events cannot be told from others.
pub(super) fn grown(then: &Answer, now: &Answer, why: &str) -> Outcome {
    if now.digest == then.digest {
        Outcome::Equal { newer: 0 }
    } else if now.events > then.events {
        let more = grouped(now.events - then.events);
        not_asked(format!("{why}, and {more} events more are there now: the answers cannot be compared"))
    } else {
        changed(vec![format!("{} events then, {} now", grouped(then.events), grouped(now.events))])
    }
}
