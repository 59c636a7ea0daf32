//! Finding events by their words.
//!
//! Words are conditions of a filter like others. With our own search vector, an index on it finds the events of words
//! that few have; those of frequent words are met soon on the way through the timeline, piece by piece. Without the
//! vector, somebody else's index on words finds what it holds; without any, the words are computed for each event on the
//! way.

mod index;
pub mod vectors;
pub(in crate::store) mod windows;

use crate::domain::TimeRange;
use crate::filter::{Expr, Filter};
use crate::store::connection::Link;
use crate::store::connection::capabilities::{Capabilities, TextSearch};
use crate::store::listing::access::Access;
use crate::store::listing::filter_sql::{self, Vector, is_words};
use crate::store::listing::page_sql;
use crate::store::listing::planner;
use crate::store::query::Query;
use crate::store::{ReadDb, StoreError};

pub use index::TextIndex;
use sqlx::error::DatabaseError;
use sqlx::{QueryBuilder, Row as _};
use std::borrow::Cow;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// What answers a search for words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Engine {
    /// The search vector of our schema, with its index.
    Vector,
    /// Somebody else's index on words.
    Index(Arc<TextIndex>),
    /// Each event's text, piece by piece; why not the search vector of our schema, where it has one.
    Scan(Option<String>),
}

impl Engine {
    /// What the table offers.
    pub fn of(capabilities: &Capabilities) -> Self {
        match (Vector::of(capabilities), capabilities.text_search()) {
            (Vector::Stored, TextSearch::Stored(_)) => Self::Vector,
            (Vector::Indexed(index), _) => Self::Index(index),
            _ => Self::Scan(capabilities.altered_vector()),
        }
    }

    /// Its name in machine-readable output.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Vector => "search_vector",
            Self::Index(_) => "expression_index",
            Self::Scan(_) => "scan",
        }
    }

    /// What it cannot see, in words that follow "not seen:".
    pub fn blind_to(&self) -> Cow<'static, str> {
        const OUR_WORDS: &str = "addresses, user agents, sessions, requests and projects (fields of their own), what stands behind \
                    the first 32 768 characters of a state, and what separates words (a.b is found as \"a b\")";
        let index = match self {
            Self::Index(index) => index,
            Self::Vector | Self::Scan(None) => return OUR_WORDS.into(),
            Self::Scan(Some(why)) => {
                return format!(
                    "{OUR_WORDS}; the search vector is NOT used, events may be missing in it: {why}"
                )
                .into();
            }
        };
        let parts = if index.categories.is_some() {
            "parts of identifiers but in types"
        } else {
            "parts of identifiers"
        };
        format!(
            "what the index {} does not hold: {}; {parts} (a.b is found whole, or as a.b*); words that its \
             configuration {} leaves out; the regular expression /word/i sees all of it, event by event",
            index.name,
            index.missing().join(", "),
            index.configuration.trim_end_matches("::regconfig"),
        )
        .into()
    }
}

impl ReadDb {
    /// Where the words of an event come from.
    pub(in crate::store) async fn vector(&self, cancel: &CancellationToken) -> Result<Vector, StoreError> {
        Ok(Vector::of(&*self.capabilities(cancel).await?))
    }
}

/// The way by the index on words, where the planner expects it to find at most `most` events: these can be sorted.
///
/// # Errors
/// [`StoreError`].
pub(in crate::store) async fn few_rows(
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
    let by_function = capabilities.row_security;
    let expected = if by_function {
        found_by_function(db, capabilities, &wanted, most, cancel).await?
    } else {
        let mut sql = QueryBuilder::new("EXPLAIN (FORMAT JSON) SELECT FROM ");
        sql.push(capabilities.relation.sql());
        page_sql::push_scope(&mut sql, &wanted);
        filter_sql::push_conditions(&mut sql, &wanted, &Vector::Stored);
        planner::estimated_rows(db, sql, cancel).await?
    };
    let few = expected.is_some_and(|n| n <= most);
    let function = capabilities.search_function.clone().filter(|_| by_function);
    Ok(few.then(|| Access::Words { index: index.name.clone(), function }))
}

/// How many events have the words, at most one more than `most`. Counted, because the planner guesses blindly where
/// there is row-level security. `None` where it is not ours, and there is no such function, or the organisation is not
/// granted.
async fn found_by_function(
    db: &ReadDb,
    capabilities: &Capabilities,
    query: &Query,
    most: u64,
    cancel: &CancellationToken,
) -> Result<Option<u64>, StoreError> {
    let Some(function) = &capabilities.search_function else { return Ok(None) };
    let mut sql = QueryBuilder::new("SELECT count(*) FROM ");
    page_sql::push_function(&mut sql, function, query, Some(most.saturating_add(1)));
    match db.run(cancel, async |c: &mut Link| sql.build().fetch_one(c).await).await {
        Ok(row) => Ok(Some(row.try_get::<i64, _>(0)?.unsigned_abs())),
        Err(StoreError::Database(e))
            if e.as_database_error()
                .and_then(DatabaseError::code)
                .is_some_and(|code| code == "42883" || code == "42501") =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The index that finds the words of a filter, where there is one that is not ours.
pub(in crate::store) fn foreign_index<'v>(vector: &'v Vector, filter: &Filter) -> Option<&'v TextIndex> {
    let Vector::Indexed(index) = vector else { return None };
    filter.conditions().iter().any(is_words).then_some(&**index)
}
