//! The classes of findings: their names, and what each rules out.

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
    /// The search vector is not that of the words of the row, or not defined as our migrations define it.
    SearchVectorMismatch,
    /// A remembered head is not in the table any more.
    PinMissing,
    /// A remembered head has another hash now.
    PinMismatch,
    /// Not everything that a list shows was read, not everything that was read is found again, or what is remembered may
    /// be hidden from this role or not yet be on this replica.
    ScanIncomplete,
    /// The database's own record of heads contradicts the trail.
    HeadRecordMismatch,
    /// An organisation that is remembered, or named by the database's own record of heads, has no events.
    OrganizationMissing,
    /// An event that was seen before, in the session or by a finding of it, is not in the table any more.
    VerifiedEventMissing,
    /// No row of the organisation is the predecessor.
    MissingPredecessor,
    /// Several events with one predecessor.
    Fork,
    /// A second beginning.
    AdditionalGenesis,
    /// No beginning.
    MissingGenesis,
    /// Rows without a hash before the first hashed event.
    NotHashed,
    /// A relation under the table of our own schema that our migrations do not make, or columns that came since an earlier
    /// verification and that no hash covers.
    UnexpectedRelation,
    /// The row could not be read.
    Unreadable,
    /// The row could be neither verified nor refuted.
    Undecided,
    /// An event that claims a time before its predecessor's: information.
    TimeBeforePredecessor,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 19] = [
        Self::ContentMismatch,
        Self::MalformedHash,
        Self::DuplicateEventId,
        Self::SearchVectorMismatch,
        Self::PinMissing,
        Self::PinMismatch,
        Self::ScanIncomplete,
        Self::HeadRecordMismatch,
        Self::OrganizationMissing,
        Self::VerifiedEventMissing,
        Self::MissingPredecessor,
        Self::Fork,
        Self::AdditionalGenesis,
        Self::MissingGenesis,
        Self::NotHashed,
        Self::UnexpectedRelation,
        Self::Unreadable,
        Self::Undecided,
        Self::TimeBeforePredecessor,
    ];

    /// What it is not, in words: explanations that come to mind and do not fit.
    pub(super) const fn ruled_out(self) -> &'static [&'static str] {
        match self {
            Self::ContentMismatch => {
                &["a different encoding of the same values: all that the database can hide were tried"]
            }
            Self::MissingPredecessor => &[
                "a restart of the writing process: it begins without naming a predecessor",
                "rows read out of order: order plays no part in this",
            ],
            Self::Fork => &["lost or deleted events: they leave no second successor"],
            Self::AdditionalGenesis => {
                &["lost or deleted events: they leave a predecessor that is named and not there"]
            }
            Self::HeadRecordMismatch => {
                &["writers that do not keep the record: it would name an event that is in the trail"]
            }
            Self::SearchVectorMismatch => {
                &["a changed event: the vector is computed from columns that the hash covers"]
            }
            Self::PinMissing => &["events that came in late: they take none away"],
            Self::Unreadable => &["a wrong hash: the row could not be compared with it"],
            Self::TimeBeforePredecessor => &["a broken link: the chain is whole here"],
            Self::MalformedHash
            | Self::DuplicateEventId
            | Self::PinMismatch
            | Self::ScanIncomplete
            | Self::OrganizationMissing
            | Self::VerifiedEventMissing
            | Self::MissingGenesis
            | Self::NotHashed
            | Self::UnexpectedRelation
            | Self::Undecided => &[],
        }
    }

    /// Whether it means that something could be neither verified nor refuted.
    pub(super) const fn is_incompleteness(self) -> bool {
        match self {
            Self::ScanIncomplete | Self::Unreadable | Self::Undecided => true,
            Self::ContentMismatch
            | Self::MalformedHash
            | Self::DuplicateEventId
            | Self::SearchVectorMismatch
            | Self::PinMissing
            | Self::PinMismatch
            | Self::HeadRecordMismatch
            | Self::OrganizationMissing
            | Self::VerifiedEventMissing
            | Self::MissingPredecessor
            | Self::Fork
            | Self::AdditionalGenesis
            | Self::MissingGenesis
            | Self::NotHashed
            | Self::UnexpectedRelation
            | Self::TimeBeforePredecessor => false,
        }
    }

    /// Its name in sentences.
    pub fn words(self) -> String {
        self.name().replace('_', " ")
    }

    /// Its name in outputs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ContentMismatch => "content_mismatch",
            Self::MalformedHash => "malformed_hash",
            Self::DuplicateEventId => "duplicate_event_id",
            Self::SearchVectorMismatch => "search_vector_mismatch",
            Self::PinMissing => "pin_missing",
            Self::PinMismatch => "pin_mismatch",
            Self::ScanIncomplete => "scan_incomplete",
            Self::HeadRecordMismatch => "head_record_mismatch",
            Self::OrganizationMissing => "organization_missing",
            Self::VerifiedEventMissing => "verified_event_missing",
            Self::MissingPredecessor => "missing_predecessor",
            Self::Fork => "fork",
            Self::AdditionalGenesis => "additional_genesis",
            Self::MissingGenesis => "missing_genesis",
            Self::NotHashed => "not_hashed",
            Self::UnexpectedRelation => "unexpected_relation",
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
#[error("'{0}' is not a class of findings")]
pub struct NoSuchClass(String);

impl FromStr for Class {
    type Err = NoSuchClass;

    fn from_str(text: &str) -> Result<Self, NoSuchClass> {
        Self::ALL.into_iter().find(|class| class.name() == text).ok_or_else(|| NoSuchClass(text.to_owned()))
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
