//! What a verification finds, in words that say what is and what it is consistent with.

use super::anchor::Anchor;
use super::report::EventHash;
use crate::chain::links::{Fork, Listed, Malformed, MissingPredecessor, Node};
use crate::chain::{Mismatch, Row};
use crate::domain::Timestamp;
use crate::store::scan::{Link, Scanned, Unreadable};
use serde::Serialize;
use std::fmt;
use std::str::FromStr;

/// The kinds of findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// The hash is not that of the row.
    ContentMismatch,
    /// A hash that is none.
    MalformedHash,
    /// Several rows with one event id.
    DuplicateEventId,
    /// A remembered head is not in the table any more.
    PinMissing,
    /// A remembered head has another hash now.
    PinMismatch,
    /// No row of the organisation is the predecessor.
    MissingPredecessor,
    /// Several events with one predecessor.
    Fork,
    /// A second beginning.
    AdditionalGenesis,
    /// No beginning.
    MissingGenesis,
    /// The row could not be read.
    Unreadable,
    /// The row could be neither verified nor refuted.
    Undecided,
    /// An event that claims a time before its predecessor's: information.
    TimeBeforePredecessor,
}

impl Class {
    const ALL: [Self; 12] = [
        Self::ContentMismatch,
        Self::MalformedHash,
        Self::DuplicateEventId,
        Self::PinMissing,
        Self::PinMismatch,
        Self::MissingPredecessor,
        Self::Fork,
        Self::AdditionalGenesis,
        Self::MissingGenesis,
        Self::Unreadable,
        Self::Undecided,
        Self::TimeBeforePredecessor,
    ];

    /// What it is not, in words: explanations that come to mind and do not fit.
    pub(super) const fn ruled_out(self) -> &'static [&'static str] {
        match self {
            Self::ContentMismatch => {
                &["another spelling of the same values: all that the database can have hidden were tried"]
            }
            Self::MissingPredecessor => &[
                "a restart of the writing process: it begins without naming a predecessor",
                "rows read out of order: order plays no part in this",
            ],
            Self::Fork => &["lost or deleted events: they leave no second successor"],
            Self::AdditionalGenesis => {
                &["lost or deleted events: they leave a predecessor that is named and not there"]
            }
            Self::PinMissing => &["events that came in late: they take none away"],
            Self::Unreadable => &["a wrong hash: the row could not be compared with it"],
            Self::TimeBeforePredecessor => &["a broken link: the chain is whole here"],
            Self::MalformedHash
            | Self::DuplicateEventId
            | Self::PinMismatch
            | Self::MissingGenesis
            | Self::Undecided => &[],
        }
    }

    /// Its name in outputs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ContentMismatch => "content_mismatch",
            Self::MalformedHash => "malformed_hash",
            Self::DuplicateEventId => "duplicate_event_id",
            Self::PinMissing => "pin_missing",
            Self::PinMismatch => "pin_mismatch",
            Self::MissingPredecessor => "missing_predecessor",
            Self::Fork => "fork",
            Self::AdditionalGenesis => "additional_genesis",
            Self::MissingGenesis => "missing_genesis",
            Self::Unreadable => "unreadable",
            Self::Undecided => "undecided",
            Self::TimeBeforePredecessor => "time_before_predecessor",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// No such class of findings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no class of findings")]
pub struct NoSuchClass(String);

impl FromStr for Class {
    type Err = NoSuchClass;

    fn from_str(text: &str) -> Result<Self, NoSuchClass> {
        Self::ALL.into_iter().find(|class| class.name() == text).ok_or_else(|| NoSuchClass(text.to_owned()))
    }
}

/// One finding. Texts that quote the database are untrusted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// What kind it is.
    pub class: Class,
    /// The event at which it shows; empty when not even that could be read.
    pub event_id: String,
    /// Claimed time of that event, RFC 3339; empty likewise.
    pub timestamp: String,
    /// What is.
    pub detail: String,
    /// Explanations that fit.
    pub consistent_with: Vec<String>,
    /// Explanations that come to mind and do not fit.
    pub ruled_out: Vec<String>,
    /// The event's hash as stored: an acceptance is bound to it.
    #[serde(skip)]
    pub hash: String,
    /// Its predecessor's hash as stored.
    #[serde(skip)]
    pub previous_hash: String,
    /// The hash of its content as it is now, where that was computed: the stored hashes do not tell a second edit from
    /// the first.
    #[serde(skip)]
    pub computed: Option<String>,
}

const LOST: &str = "a batch of events that was lost before it was stored";
const DELETED: &str = "deletion of one or more events";
const RESTORED: &str = "a restored backup, or a table that holds only a part of the trail";

impl Finding {
    /// The name under which it can be accepted: class and event.
    pub fn name(&self) -> String {
        format!("{}:{}", self.class, self.event_id)
    }

    fn new(class: Class, time: Timestamp, event_id: &str, detail: impl Into<String>, fits: &[&str]) -> Self {
        Self {
            class,
            event_id: event_id.to_owned(),
            timestamp: time.to_rfc3339(),
            detail: detail.into(),
            consistent_with: fits.iter().map(|s| (*s).to_owned()).collect(),
            ruled_out: class.ruled_out().iter().map(|s| (*s).to_owned()).collect(),
            hash: String::new(),
            previous_hash: String::new(),
            computed: None,
        }
    }

    fn at(node: &Node, class: Class, detail: impl Into<String>, fits: &[&str]) -> Self {
        Self {
            hash: node.hash.clone(),
            previous_hash: node.previous_hash.clone(),
            ..Self::new(class, Timestamp::from_micros(node.time), &node.event_id, detail, fits)
        }
    }

    pub(super) fn content(row: &Row<'_>, mismatch: Mismatch) -> Self {
        let (time, event_id) = (row.fields.timestamp, row.fields.event_id);
        let mut finding = Self::new(Class::ContentMismatch, time, event_id, mismatch.detail, &[]);
        row.hash.clone_into(&mut finding.hash);
        row.previous_hash.clone_into(&mut finding.previous_hash);
        finding.consistent_with = mismatch.consistent_with;
        if mismatch.computed.is_none() {
            // What the scheme cannot write has not been tried in any spelling.
            finding.ruled_out.clear();
        }
        finding.computed = mismatch.computed;
        finding
    }

    pub(super) fn undecided(row: &Scanned<'_>, why: String) -> Self {
        Self {
            hash: row.hash.to_owned(),
            previous_hash: row.previous_hash.to_owned(),
            ..Self::new(Class::Undecided, row.timestamp, row.event_id, why, &[])
        }
    }

    pub(super) fn unreadable(row: &Unreadable) -> Self {
        let fits = &[
            "a value that cannot be sent (a number written with a huge exponent, a text beyond a gigabyte)",
            "damaged storage",
            "a shortage of memory on the server",
        ];
        let detail =
            format!("the server cannot send this row, at {} of the table: {}", row.place, row.reason);
        match &row.link {
            Some(link) => Self {
                hash: link.hash.clone(),
                previous_hash: link.previous_hash.clone(),
                ..Self::new(Class::Unreadable, link.timestamp, &link.event_id, detail, fits)
            },
            None => Self {
                timestamp: String::new(),
                ..Self::new(Class::Unreadable, Timestamp::from_micros(0), "", detail, fits)
            },
        }
    }

    pub(super) fn missing_predecessor(missing: &MissingPredecessor) -> Self {
        let detail = format!("no event of this organisation has the hash {}", missing.event.previous_hash);
        if missing.found_in_org.is_empty() {
            return Self::at(&missing.event, Class::MissingPredecessor, detail, &[LOST, DELETED, RESTORED]);
        }
        let others = missing.found_in_org.join(", ");
        Self::at(
            &missing.event,
            Class::MissingPredecessor,
            format!("{detail}; it is the hash of an event of {others}"),
            &["an event moved to, or copied from, another organisation", "a writer that mixed up two chains"],
        )
    }

    pub(super) fn fork(fork: &Fork) -> Option<Self> {
        // Named at the last child: the first one may well have been there alone.
        let (last, others) = fork.children.split_last()?;
        let others: Vec<&str> = others.iter().map(|child| child.event_id.as_str()).collect();
        let detail = format!("the predecessor {} is also that of {}", fork.previous_hash, others.join(", "));
        let fits = &[
            "several processes that went on from one head (workers, a restart from a saved head)",
            "a race between concurrent writers",
            "an event forged and put behind an existing one",
        ];
        Some(Self::at(last, Class::Fork, detail, fits))
    }

    pub(super) fn additional_genesis(link: &Listed, hash: String) -> Self {
        let detail = "a chain begins here although the organisation has an earlier beginning";
        let fits = &[
            "a restart of the writing process, which begins without predecessor",
            "an additional process with a chain of its own",
            "an event forged as the beginning of a chain",
        ];
        let time = Timestamp::from_micros(link.time);
        Self { hash, ..Self::new(Class::AdditionalGenesis, time, &link.event_id, detail, fits) }
    }

    pub(super) fn missing_genesis(oldest: Option<&Node>) -> Self {
        let detail = "no event of this organisation is the beginning of its chain";
        let fits = &["retention or an archive that took the oldest events away", DELETED, RESTORED];
        match oldest {
            Some(node) => Self::at(node, Class::MissingGenesis, detail, fits),
            None => Self {
                timestamp: String::new(),
                ..Self::new(Class::MissingGenesis, Timestamp::from_micros(0), "", detail, fits)
            },
        }
    }

    pub(super) fn malformed(listed: &Listed, which: Malformed, link: Option<&Link>) -> Self {
        let column = match which {
            Malformed::Own => "hash",
            Malformed::Previous => "previous_hash",
        };
        let detail = format!("{column} is not 64 lower-case hexadecimal digits");
        let fits = &["a writer with another form of hashes", "an edit of the column"];
        Self {
            hash: link.map(|link| link.hash.clone()).unwrap_or_default(),
            previous_hash: link.map(|link| link.previous_hash.clone()).unwrap_or_default(),
            ..Self::new(
                Class::MalformedHash,
                Timestamp::from_micros(listed.time),
                &listed.event_id,
                detail,
                fits,
            )
        }
    }

    pub(super) fn duplicate(event_id: &str, first: Timestamp, rows: i64) -> Self {
        let fits = &["an event that was stored twice", "a forged event under the id of a real one"];
        Self::new(Class::DuplicateEventId, first, event_id, format!("{rows} rows have this event id"), fits)
    }

    /// The head of an earlier verification, which is not as it was.
    pub(super) fn pin(anchor: &Anchor, found: Option<&Link>) -> Self {
        let EventHash { event_id, hash } = &anchor.head;
        let then = anchor.at.to_rfc3339();
        match found {
            None => {
                let detail = format!(
                    "the head that was verified at {then}, with the hash {hash}, is not there any more"
                );
                let fits = &[
                    "truncation of the newest events, also when others were written in their place since",
                    "an older backup that was restored",
                    "retention or an archive that took the event away",
                ];
                Self {
                    timestamp: String::new(),
                    hash: hash.clone(),
                    ..Self::new(Class::PinMissing, Timestamp::from_micros(0), event_id, detail, fits)
                }
            }
            Some(link) => {
                let detail = format!(
                    "the head that was verified at {then} had the hash {hash}; the row has the hash {} now",
                    link.hash
                );
                let fits = &["tampering: the row, or the trail up to it, was written anew with other hashes"];
                Self {
                    hash: link.hash.clone(),
                    previous_hash: link.previous_hash.clone(),
                    ..Self::new(Class::PinMismatch, link.timestamp, event_id, detail, fits)
                }
            }
        }
    }

    pub(super) fn time_before(node: &Node) -> Self {
        let fits =
            &["clocks of several machines that differ", "events chained in another order than they happened"];
        Self::at(node, Class::TimeBeforePredecessor, "the event claims a time before its predecessor's", fits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_read_back_what_they_print() {
        for class in Class::ALL {
            assert_eq!(class.name().parse(), Ok(class));
            assert_eq!(serde_json::to_value(class).unwrap(), class.name());
        }
        assert!("tampered".parse::<Class>().is_err());
    }
}
