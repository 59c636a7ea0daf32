//! Values that a field has in an organisation, read from one to the next by an index: as many probes as values, however
//! many events have them.

use crate::domain::OrgScope;
use crate::filter::Field;
use crate::store::connection::Link;
use crate::store::connection::capabilities::{Capabilities, Index, Predicate};
use crate::store::listing::filter_sql::push_types_met;
use crate::store::{ReadDb, StoreError, within};
use sqlx::{Postgres, QueryBuilder};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Most values that are read.
const MOST: u32 = 60;
/// Types are read for all categories: most of them.
const MOST_TYPES: u32 = 500;
/// Longest time this may take.
const BUDGET: Duration = Duration::from_millis(500);

/// What the index is walked by: the columns that are fixed, and the one whose values are wanted.
struct Walk {
    fixed: Vec<(&'static str, String)>,
    column: &'static str,
    begun: String,
    /// What stands before each value.
    lead: String,
}

/// Most values that are read: where there are fewer, these are all.
pub const MOST_VALUES: usize = MOST as usize;

/// Some values of a field that may go on from `begun`, in the order of the index; none where no index has them, or
/// when reading takes too long. Types of resources, whose ids are still to be chosen, end in `/`.
///
/// # Errors
/// [`StoreError`].
pub async fn of(
    db: &ReadDb,
    scope: &OrgScope,
    field: Field,
    begun: &str,
    cancel: &CancellationToken,
) -> Result<Vec<String>, StoreError> {
    let capabilities = db.capabilities(cancel).await?;
    let Some(mut sql) = statement(&capabilities, scope, field, begun) else { return Ok(Vec::new()) };
    let read = within(BUDGET, cancel, |stop| async move {
        db.run(&stop, async |c: &mut Link| sql.build_query_scalar::<String>().fetch_all(c).await).await
    });
    Ok(read.await?.unwrap_or_default())
}

fn statement(
    capabilities: &Capabilities,
    scope: &OrgScope,
    field: Field,
    begun: &str,
) -> Option<QueryBuilder<Postgres>> {
    let plain = |column| Walk { fixed: Vec::new(), column, begun: begun.to_owned(), lead: String::new() };
    let walk = match field {
        Field::EventType if serves(capabilities, &["event_category", "event_type"]) => {
            return Some(types(capabilities, scope));
        }
        Field::Resource => match begun.split_once('/') {
            Some((kind, id)) => Walk {
                fixed: vec![("resource_type", kind.to_owned())],
                column: "resource_id",
                begun: id.to_owned(),
                lead: format!("{kind}/"),
            },
            None => plain("resource_type"),
        },
        field => plain(field.completed_column()?),
    };
    let columns: Vec<&str> = walk.fixed.iter().map(|(column, _)| *column).chain([walk.column]).collect();
    serves(capabilities, &columns).then(|| values(capabilities, scope, &walk, field == Field::Resource))
}

/// Whether an index begins with the organisation and these columns, and holds every row that has them.
fn serves(capabilities: &Capabilities, columns: &[&str]) -> bool {
    let serves = |index: &Index| {
        let keys = index.keys.iter().map(|key| key.of.as_str());
        let whole = match &index.predicate {
            None => true,
            Some(Predicate::NotNull(column)) => columns.last() == Some(&column.as_str()),
            Some(_) => false,
        };
        index.is_ordered()
            && whole
            && keys.take(columns.len() + 1).eq(["organization_id"].iter().chain(columns).copied())
    };
    capabilities.indexes.iter().any(serves)
}

fn values(
    capabilities: &Capabilities,
    scope: &OrgScope,
    walk: &Walk,
    resources: bool,
) -> QueryBuilder<Postgres> {
    let table = capabilities.relation.sql();
    let Walk { fixed, column, begun, lead } = walk;
    let mut sql =
        QueryBuilder::new(format!("WITH RECURSIVE met AS ((SELECT {column} AS value, 1 AS n FROM {table}"));
    let scoped = |sql: &mut QueryBuilder<Postgres>| {
        sql.push(" WHERE organization_id = ").push_bind(scope.organization().as_str().to_owned());
        for (column, value) in fixed {
            sql.push(format_args!(" AND {column} = ")).push_bind(value.clone());
        }
    };
    scoped(&mut sql);
    sql.push(format_args!(" AND {column} >= ")).push_bind(begun.clone());
    sql.push(format_args!(
        " ORDER BY {column} LIMIT 1) UNION ALL SELECT next.* FROM met CROSS JOIN LATERAL (SELECT {column}, met.n + 1 \
         FROM {table}"
    ));
    scoped(&mut sql);
    sql.push(format_args!(
        " AND {column} > met.value ORDER BY {column} LIMIT 1) next WHERE met.n < {MOST}) SELECT "
    ));
    sql.push_bind(lead.clone()).push(" || value || ");
    // A type of resources alone is no resource.
    sql.push_bind(if resources && lead.is_empty() { "/" } else { "" });
    sql.push(" FROM met");
    sql
}

/// The types of all categories, which stand before them in the index.
fn types(capabilities: &Capabilities, scope: &OrgScope) -> QueryBuilder<Postgres> {
    let mut sql = QueryBuilder::new("");
    push_types_met(&mut sql, capabilities.relation.sql(), scope.organization().as_str(), MOST_TYPES);
    sql.push(" SELECT DISTINCT event_type FROM met ORDER BY event_type");
    sql
}
