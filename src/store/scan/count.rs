//! The same rows counted on another way than they were read, in the same snapshot: what a damaged index hides from a
//! list, and what a scan does not deliver, shows as a difference.

use super::super::StoreError;
use super::Snapshot;
use sqlx::{PgConnection, Postgres, QueryBuilder, Row as _};

/// Blocks up to which a table is always read through for the count: 1 GB.
const ALWAYS: i64 = 128 << 10;
/// Larger ones are when the scope is expected to hold at least this part of the rows.
const SHARE: u64 = 64;

const WITHOUT_INDEXES: &str = "SAVEPOINT agenttrace_count; SET LOCAL enable_indexscan = off; \
     SET LOCAL enable_indexonlyscan = off; SET LOCAL enable_bitmapscan = off";
const BY_AN_INDEX: &str = "SAVEPOINT agenttrace_count; SET LOCAL enable_seqscan = off";

/// A count on another way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Counted {
    /// So many rows.
    Rows {
        /// How many.
        rows: u64,
        /// On which way: `by an index`, `without indexes`.
        way: &'static str,
    },
    /// The rows were looked up by an index, and reading a large table through for the count of a small part was spared.
    Spared,
}

impl Snapshot<'_> {
    /// Counts the rows of the scope, as a list finds them: by an index where they were read without one, and without
    /// indexes where they were looked up.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn count_otherwise(&mut self) -> Result<Counted, StoreError> {
        let looked_up = self.table.goes_by_index();
        let large = self.table.blocks() > ALWAYS;
        if looked_up && large && self.table.estimate.saturating_mul(SHARE) < self.table.rows() {
            return Ok(Counted::Spared);
        }
        let indexed = !looked_up
            && has_index(self.c, self.table.oid(), self.table.their_name("organization_id")).await?;
        let (begin, way) = match (looked_up, indexed) {
            (true, _) => (WITHOUT_INDEXES, "without indexes"),
            (false, true) => (BY_AN_INDEX, "by an index"),
            (false, false) => ("SAVEPOINT agenttrace_count", "through the table"),
        };
        sqlx::raw_sql(begin).execute(&mut *self.c).await?;
        let mut sql = QueryBuilder::<Postgres>::new("SELECT count(*) FROM ");
        sql.push(self.table.source()).push(" WHERE ").push(self.table.condition());
        if indexed {
            // So that it is the index of the lists rather than any one that begins with the organisation.
            sql.push(" AND timestamp >= '-infinity'");
        }
        let row = sql.build().persistent(false).fetch_one(&mut *self.c).await?;
        let rows: i64 = row.try_get(0)?;
        sqlx::raw_sql("ROLLBACK TO SAVEPOINT agenttrace_count; RELEASE SAVEPOINT agenttrace_count")
            .execute(&mut *self.c)
            .await?;
        Ok(Counted::Rows { rows: rows.unsigned_abs(), way })
    }

    /// Whether the transaction is still with the server process, and sees the snapshot, with which it began: a pooler may
    /// send its statements to several.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn is_the_same(&mut self) -> Result<bool, StoreError> {
        Ok(session(self.c).await? == self.session)
    }
}

/// Server process, its server and the snapshot of the transaction.
pub(super) async fn session(c: &mut PgConnection) -> Result<String, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT concat_ws(' ', pg_backend_pid(), pg_postmaster_start_time(), inet_server_addr(), inet_server_port(), \
         pg_current_snapshot())",
    )
    .persistent(false)
    .fetch_one(c)
    .await
}

/// Whether an index finds the rows of an organisation; without one, counting by an index would read all of another
/// one row by row.
async fn has_index(c: &mut PgConnection, table: i64, organization: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_index x
             JOIN pg_catalog.pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = x.indkey[0]
             JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid JOIN pg_catalog.pg_am m ON m.oid = i.relam
             WHERE x.indrelid = $1::int8::oid AND x.indisvalid AND x.indpred IS NULL AND m.amname = 'btree'
               AND a.attname = $2)",
    )
    .bind(table)
    .bind(organization)
    .persistent(false)
    .fetch_one(c)
    .await
}
