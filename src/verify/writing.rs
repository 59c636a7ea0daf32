//! How the writers of an organisation store states, learnt from its newest events as the search for changes without an
//! event learns it from all.

use super::ghosts;
use crate::diff::writing::{Writing, Writings};
use crate::domain::{OrgId, OrgScope, TimeRange};
use crate::filter::{Expr, Field, Filter, Match, Matcher, PartialSides};
use crate::store::query::Query;
use crate::store::{ReadDb, StoreError};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio_util::sync::CancellationToken;

/// What was learnt so far, by organisation and resource type. A writer that changes its ways is noticed by the next
/// program.
#[derive(Debug, Default)]
pub struct Memory(Mutex<HashMap<Learnt, Arc<Writings>>>);

/// An organisation, and one type or all.
type Learnt = (OrgId, Option<String>);

impl Memory {
    /// How the states of the types of an organisation are written, from the newest events of one type, or of all.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn writings(
        &self,
        db: &ReadDb,
        scope: &OrgScope,
        resource_type: Option<&str>,
        cancel: &CancellationToken,
    ) -> Result<Arc<Writings>, StoreError> {
        let key = (scope.organization().clone(), resource_type.map(str::to_owned));
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let learnt = Arc::new(writings(db, scope, resource_type, cancel).await?);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key, Arc::clone(&learnt));
        Ok(learnt)
    }

    /// Tells a filter that asks what events changed which types have states in part.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn tell(
        &self,
        db: &ReadDb,
        scope: &OrgScope,
        filter: &mut Filter,
        cancel: &CancellationToken,
    ) -> Result<(), StoreError> {
        let sides = if filter.asks_for_changes() {
            let writings = self.writings(db, scope, None, cancel).await?;
            PartialSides {
                new: writings.types(Writing::ChangedAfter),
                previous: writings.types(Writing::ChangedBefore),
            }
        } else {
            PartialSides::default()
        };
        filter.set_partial_sides(sides);
        Ok(())
    }
}

/// As [`Memory::writings`], without a memory.
///
/// # Errors
/// [`StoreError`].
pub async fn writings(
    db: &ReadDb,
    scope: &OrgScope,
    resource_type: Option<&str>,
    cancel: &CancellationToken,
) -> Result<Writings, StoreError> {
    let of_type = |name: &str| {
        Filter::of(vec![Expr::Match(Match {
            field: Field::ResourceType,
            any_of: vec![Matcher::Equals(name.to_owned())],
        })])
    };
    let filter = resource_type.map(of_type).unwrap_or_default();
    let query = Query { scope: scope.clone(), filter, range: TimeRange::default() };
    let found = ghosts::of_newest(db, &query, cancel).await?;
    Ok(found.into_iter().map(|report| (report.resource_type, report.writing)).collect())
}
