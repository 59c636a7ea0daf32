//! What is judged, and the verdict on its content.

use super::{Columns, Scheme};
use crate::domain::Event;
use serde::Serialize;
use std::fmt;

/// A row as stored: what is hashed, and the two hashes.
#[derive(Debug)]
pub struct Row<'a, T: ?Sized = str> {
    /// The 20 columns that are no hashes.
    pub fields: Columns<'a, T>,
    /// Column `hash`.
    pub hash: &'a T,
    /// Column `previous_hash`.
    pub previous_hash: &'a T,
}

impl<T: ?Sized> Copy for Row<'_, T> {}
impl<T: ?Sized> Clone for Row<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<'a> From<&'a Event> for Row<'a> {
    fn from(event: &'a Event) -> Self {
        Self { fields: event.into(), hash: &event.row.hash, previous_hash: &event.row.previous_hash }
    }
}

/// What is known of a row's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// The hash is that of the row.
    Verified,
    /// The hash is that of the row in another spelling, which is named.
    VerifiedAlternative(String),
    /// There were more spellings than could be tried; the reason in words.
    Undecided(String),
    /// The hash is not that of the row.
    Mismatch(Mismatch),
}

/// What is known of the content of one event, from the judge to every output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// The hash is that of the row.
    Verified,
    /// The hash is that of the row in another spelling of the same values.
    VerifiedAlternative,
    /// Neither verified nor refuted.
    Undecided,
    /// The hash is not that of the row.
    Mismatch,
    /// The row could not be read.
    Unreadable,
}

impl Content {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Verified, Self::VerifiedAlternative, Self::Undecided, Self::Mismatch, Self::Unreadable];

    /// Its name in outputs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::VerifiedAlternative => "verified_alternative",
            Self::Undecided => "undecided",
            Self::Mismatch => "mismatch",
            Self::Unreadable => "unreadable",
        }
    }
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Judgement {
    /// The judgement without its reasons.
    pub const fn content(&self) -> Content {
        match self {
            Self::Verified => Content::Verified,
            Self::VerifiedAlternative(_) => Content::VerifiedAlternative,
            Self::Undecided(_) => Content::Undecided,
            Self::Mismatch(_) => Content::Mismatch,
        }
    }
}

/// A hash that is not that of its row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// The hash that the row has now, as hexadecimal digits; `None` when the scheme cannot write the row at all.
    pub computed: Option<String>,
    /// What is, in words.
    pub detail: String,
    /// Explanations that fit, the most exact one first.
    pub consistent_with: Vec<String>,
    /// The first one is exact: the row, changed as it says, has the stored hash under this scheme. That is as good a proof
    /// of the trail's scheme as a row that fits.
    pub proves: Option<Scheme>,
}
