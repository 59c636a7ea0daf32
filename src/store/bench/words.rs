//! The words of a trail, by how many events have them.

use crate::domain::OrgScope;
use crate::store::connection::Link;
use crate::store::listing::filter_sql;
use crate::store::listing::filter_sql::Vector;
use crate::store::{ReadDb, StoreError};
use sqlx::{QueryBuilder, Row as _};
use tokio_util::sync::CancellationToken;

/// Words of a sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sampled {
    /// Events that were looked at.
    pub events: u64,
    /// Words as the engine stores them, and how many of these events have each; the most frequent first.
    pub words: Vec<(String, u64)>,
}

/// The words of about `events` events of the organisation, from blocks all over the table.
///
/// # Errors
/// [`StoreError`].
pub async fn sample(
    db: &ReadDb,
    scope: &OrgScope,
    events: u32,
    cancel: &CancellationToken,
) -> Result<Sampled, StoreError> {
    let capabilities = db.capabilities(cancel).await?;
    let rows = capabilities.estimated_rows.unwrap_or_default().max(1);
    let percent = (f64::from(events) * 100.0 / rows as f64).clamp(0.000_1, 100.0);
    // `ts_stat` takes the text of a query, in which the organisation is a literal.
    let mut vectors = QueryBuilder::new("SELECT ");
    filter_sql::push_vector(&mut vectors, &Vector::of(&capabilities));
    let vectors = vectors.into_string();
    let table = capabilities.relation.sql();
    let from = format!("FROM {table}").replace('%', "%%")
        + " TABLESAMPLE SYSTEM (%s) REPEATABLE (1) WHERE organization_id = %L";
    let mut sql = QueryBuilder::new("SELECT word, ndoc::int8 FROM ts_stat(format(");
    sql.push_bind(format!("{} {from}", vectors.replace('%', "%%"))).push(", ").push_bind(percent);
    sql.push(", ").push_bind(scope.organization().as_str().to_owned()).push(")) ORDER BY ndoc DESC, word");
    let mut count = QueryBuilder::new(format!("SELECT count(*) FROM {table} TABLESAMPLE SYSTEM ("));
    count.push_bind(percent).push(") REPEATABLE (1) WHERE organization_id = ");
    count.push_bind(scope.organization().as_str().to_owned());
    let (looked, words) = db
        .run(cancel, async |c: &mut Link| {
            Ok((count.build().fetch_one(&mut *c).await?, sql.build().fetch_all(c).await?))
        })
        .await?;
    let word = |row: &sqlx::postgres::PgRow| -> Result<_, StoreError> {
        Ok((row.try_get(0)?, row.try_get::<i64, _>(1)?.unsigned_abs()))
    };
    Ok(Sampled {
        events: looked.try_get::<i64, _>(0)?.unsigned_abs(),
        words: words.iter().map(word).collect::<Result<_, _>>()?,
    })
}
