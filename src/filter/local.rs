//! Predicates on what the table does not hold: verification, bookmarks, tags.

use super::ast::{Expr, Filter};
use std::fmt;

/// A predicate whose truth is known on this machine only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Local {
    /// What is asked.
    pub question: Question,
    /// For which events the answer is yes, once [`Filter::supply`] has found out.
    pub answer: Option<Selection>,
}

/// What a [`Local`] predicate asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// `integrity:`: what verifying the event has shown; never empty.
    Integrity(Vec<Integrity>),
    /// `is:`: what the case holds about the event; never empty.
    Is(Vec<Noted>),
    /// `tag:`: one of these tags was given to the event; never empty.
    Tag(Vec<String>),
}

/// The marks of the timeline's first column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Integrity {
    /// Its content has its hash, and its row has stood as it is since that was found.
    Verified,
    /// It was not looked at, or was written or altered since.
    Unverified,
    /// It was looked at, and cannot be judged.
    Unknown,
    /// Its content has another hash.
    Broken,
}

/// What a case can hold about an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noted {
    /// A bookmark.
    Bookmarked,
    /// A note.
    Noted,
}

/// A set of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// Those with these ids.
    Only(Vec<String>),
    /// All others.
    AllBut(Vec<String>),
    /// Those whose rows have stood as they are since before this transaction (a full number, of 64 bits), but for those
    /// with these ids. A row that is too old to tell is not among them.
    Before {
        /// The transaction.
        transaction: i64,
        /// Ids.
        but: Vec<String>,
    },
    /// Those whose rows were written or altered by this transaction or a later one: the opposite of
    /// [`Self::Before`] without ids.
    Since {
        /// The transaction.
        transaction: i64,
    },
    /// Those of any of these sets.
    AnyOf(Vec<Selection>),
}

/// What this machine knows about the events of an organisation.
pub trait Facts {
    /// The events for which the answer is yes; `None` when nothing is known about such questions.
    fn answer(&self, question: &Question) -> Option<Selection>;
}

/// Two sources: what the first one does not know is asked of the second one.
impl<A: Facts, B: Facts> Facts for (A, B) {
    fn answer(&self, question: &Question) -> Option<Selection> {
        self.0.answer(question).or_else(|| self.1.answer(question))
    }
}

impl<F: Facts> Facts for Option<&F> {
    fn answer(&self, question: &Question) -> Option<Selection> {
        self.and_then(|facts| facts.answer(question))
    }
}

impl Integrity {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Verified, Self::Unverified, Self::Unknown, Self::Broken];

    /// Its name in a filter.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Unverified => "unverified",
            Self::Unknown => "unknown",
            Self::Broken => "broken",
        }
    }
}

impl Noted {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Bookmarked, Self::Noted];

    /// Its name in a filter.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bookmarked => "bookmarked",
            Self::Noted => "noted",
        }
    }
}

impl Question {
    /// Whether the case answers it: by naming events.
    pub const fn is_of_case(&self) -> bool {
        matches!(self, Self::Is(_) | Self::Tag(_))
    }

    /// What a case does not hold that answers it with no event: `no bookmark`, `no event with the tag a or b`.
    pub fn absence(&self) -> String {
        let words = |any_of: &[Noted]| {
            let words = any_of.iter().map(|noted| match noted {
                Noted::Bookmarked => "no bookmark",
                Noted::Noted => "no note",
            });
            words.collect::<Vec<_>>().join(" and ")
        };
        match self {
            Self::Is(any_of) => words(any_of),
            Self::Tag(any_of) => format!("no event with the tag {}", any_of.join(" or ")),
            Self::Integrity(_) => "no event of this kind".to_owned(),
        }
    }

    /// The field that asks it.
    pub const fn field(&self) -> &'static str {
        match self {
            Self::Integrity(_) => "integrity",
            Self::Is(_) => "is",
            Self::Tag(_) => "tag",
        }
    }
}

impl Filter {
    /// Asks `facts` what the filter wants to know of this machine. Without an answer [`Filter::range`] refuses it.
    pub fn supply(&mut self, facts: &dyn Facts) {
        self.all_of.iter_mut().for_each(|expr| supply(expr, facts));
    }

    /// Whether a part of it asks what only this machine knows: it means something else elsewhere.
    pub fn asks_this_machine(&self) -> bool {
        self.all_of.iter().any(|condition| condition.any(&|expr| matches!(expr, Expr::Local(_))))
    }

    /// Whether a part of it asks what stands in the case.
    pub fn asks_the_case(&self) -> bool {
        let asks = |expr: &Expr| matches!(expr, Expr::Local(local) if local.question.is_of_case());
        self.all_of.iter().any(|condition| condition.any(&asks))
    }

    /// Whether a part of it asks what only a running console knows: no command can list the same.
    pub fn asks_the_session(&self) -> bool {
        let asks = |expr: &Expr| matches!(expr, Expr::Local(local) if !local.question.is_of_case());
        self.all_of.iter().any(|condition| condition.any(&asks))
    }

    /// A question that every match has to answer with yes, and the case answers with no event: the filter can match
    /// nothing, whatever the table holds.
    pub fn asks_in_vain(&self) -> Option<&Question> {
        self.all_of.iter().find_map(in_vain)
    }

    /// The first question that nobody has answered.
    pub(super) fn unanswered(&self) -> Option<&Question> {
        self.all_of.iter().find_map(unanswered)
    }
}

fn supply(expr: &mut Expr, facts: &dyn Facts) {
    match expr {
        Expr::And(parts) | Expr::Or(parts) => parts.iter_mut().for_each(|part| supply(part, facts)),
        Expr::Not(inner) => supply(inner, facts),
        Expr::Local(local) => local.answer = facts.answer(&local.question),
        _ => {}
    }
}

fn in_vain(expr: &Expr) -> Option<&Question> {
    match expr {
        Expr::And(parts) => parts.iter().find_map(in_vain),
        Expr::Or(parts) if parts.iter().all(|part| in_vain(part).is_some()) => {
            parts.first().and_then(in_vain)
        }
        Expr::Local(local) => match &local.answer {
            Some(Selection::Only(ids)) if local.question.is_of_case() && ids.is_empty() => {
                Some(&local.question)
            }
            _ => None,
        },
        _ => None,
    }
}

fn unanswered(expr: &Expr) -> Option<&Question> {
    match expr {
        Expr::And(parts) | Expr::Or(parts) => parts.iter().find_map(unanswered),
        Expr::Not(inner) => unanswered(inner),
        Expr::Local(local) if local.answer.is_none() => Some(&local.question),
        _ => None,
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.field())?;
        let names: Vec<String> = match self {
            Self::Integrity(any_of) => any_of.iter().map(|i| i.name().to_owned()).collect(),
            Self::Is(any_of) => any_of.iter().map(|n| n.name().to_owned()).collect(),
            Self::Tag(any_of) => any_of.iter().map(|tag| super::printer::scalar(tag)).collect(),
        };
        f.write_str(&names.join(","))
    }
}
