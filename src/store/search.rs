//! Finding events by their words.
//!
//! Words are conditions of a filter like others. With our own search vector, an index on it finds the events of words
//! that few have; those of frequent words are met soon on the way through the timeline, piece by piece. Without the
//! vector the same words are computed for each event on the way.

use super::access::Access;
use super::capabilities::{Capabilities, TextSearch};
use super::filter_sql::{self, Vector};
use super::page_sql;
use super::timeline::{self, Query};
use super::{ReadDb, StoreError};
use crate::domain::TimeRange;
use crate::filter::{Expr, Filter};
use sqlx::QueryBuilder;
use tokio_util::sync::CancellationToken;

/// What answers a search for words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// The search vector of our schema, with its index.
    Vector,
    /// Each event's text, piece by piece.
    Scan,
}

impl Engine {
    /// What the table offers.
    pub fn of(capabilities: &Capabilities) -> Self {
        match (Vector::of(capabilities), capabilities.text_search()) {
            (Vector::Stored, TextSearch::Stored(_)) => Self::Vector,
            _ => Self::Scan,
        }
    }

    /// Its name in machine-readable output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Vector => "search_vector",
            Self::Scan => "scan",
        }
    }

    /// What it cannot see, in words that follow "not seen:".
    pub const fn blind_to(self) -> &'static str {
        match self {
            Self::Vector | Self::Scan => {
                "addresses, user agents, sessions, requests and projects (fields of their own), what stands behind \
                 the first 32 768 characters of a state, and what separates words (a.b is found as \"a b\")"
            }
        }
    }
}

impl ReadDb {
    /// Where the words of an event come from.
    pub(super) async fn vector(&self, cancel: &CancellationToken) -> Result<Vector, StoreError> {
        Ok(Vector::of(&*self.capabilities(cancel).await?))
    }
}

/// The way by the index on words, where the planner expects it to find at most `most` events: these can be sorted.
///
/// # Errors
/// [`StoreError`].
pub(super) async fn few_rows(
    db: &ReadDb,
    capabilities: &Capabilities,
    query: &Query,
    most: u64,
    cancel: &CancellationToken,
) -> Result<Option<Access>, StoreError> {
    let words: Vec<Expr> = query.filter.conditions().iter().filter(|e| is_words(e)).cloned().collect();
    if words.is_empty() || Engine::of(capabilities) != Engine::Vector {
        return Ok(None);
    }
    let index = capabilities.indexes.iter().find(|i| {
        i.valid
            && i.method == "gin"
            && i.predicate.is_none()
            && i.keys.iter().any(|key| key.of == "search_vector")
    });
    let Some(index) = index else { return Ok(None) };
    let wanted = Query { filter: Filter::of(words), range: TimeRange::default(), ..query.clone() };
    let mut sql = QueryBuilder::new("EXPLAIN (FORMAT JSON) SELECT FROM audit_events");
    page_sql::push_scope(&mut sql, &wanted);
    filter_sql::push_conditions(&mut sql, &wanted.filter, Vector::Stored);
    let expected = timeline::estimated_rows(db, sql, cancel).await?;
    Ok(expected.filter(|n| *n <= most).map(|_| Access::Words { index: index.name.clone() }))
}

/// Whether the index on words alone can find the events.
fn is_words(expr: &Expr) -> bool {
    match expr {
        Expr::Words(_) => true,
        Expr::Or(parts) => parts.iter().all(is_words),
        _ => false,
    }
}
