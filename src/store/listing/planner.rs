//! What EXPLAIN says: the plan of a statement, and the rows that the planner expects.

use crate::store::connection::Link;
use crate::store::{ReadDb, StoreError};
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgRow;
use sqlx::{Postgres, QueryBuilder, Row as _};
use tokio_util::sync::CancellationToken;

/// Below this many rows an estimate that is off does no harm.
pub(in crate::store) const SMALL: f64 = 1_000.0;

/// A node of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// What it does, such as `Index Scan`.
    #[serde(alias = "Node Type")]
    pub operation: String,
    /// The table or partition it reads.
    #[serde(alias = "Relation Name")]
    pub relation: Option<String>,
    /// The index it uses.
    #[serde(alias = "Index Name")]
    pub index: Option<String>,
    /// What the index is asked.
    #[serde(alias = "Index Cond")]
    pub index_condition: Option<String>,
    /// What is asked of each row.
    #[serde(alias = "Filter")]
    pub filter: Option<String>,
    /// What it sorts by.
    #[serde(alias = "Sort Key", default)]
    pub sort_key: Vec<String>,
    /// What the planner expects to pay until the last row, in its own unit.
    #[serde(alias = "Total Cost")]
    pub cost: f64,
    /// Rows that the planner expects.
    #[serde(alias = "Plan Rows")]
    pub rows_estimated: f64,
    /// Rows that came, for each time it ran.
    #[serde(alias = "Actual Rows")]
    pub rows_real: Option<f64>,
    /// How often it ran; 0: not at all.
    #[serde(alias = "Actual Loops")]
    pub loops: Option<f64>,
    /// Rows that were read and dropped by the filter, for each time it ran.
    #[serde(alias = "Rows Removed by Filter")]
    pub rows_dropped: Option<f64>,
    /// Blocks of 8 kB from the server's memory.
    #[serde(alias = "Shared Hit Blocks")]
    pub blocks_hit: Option<u64>,
    /// Blocks from outside it.
    #[serde(alias = "Shared Read Blocks")]
    pub blocks_read: Option<u64>,
    /// Partitions that were ruled out at the start.
    #[serde(alias = "Subplans Removed")]
    pub partitions_removed: Option<u64>,
    /// What it takes its rows from.
    #[serde(alias = "Plans", default)]
    pub children: Vec<Node>,
}

impl Node {
    /// It and all below it.
    pub fn all(&self) -> Vec<&Self> {
        let mut all = vec![self];
        for child in &self.children {
            all.extend(child.all());
        }
        all
    }

    /// Blocks it and all below it asked for.
    pub fn blocks(&self) -> Option<u64> {
        Some(self.blocks_hit? + self.blocks_read.unwrap_or(0))
    }

    /// Whether it ran, as far as is known.
    pub(in crate::store) fn ran(&self) -> bool {
        self.loops != Some(0.0)
    }

    /// Rows that it has looked at, all its runs together.
    pub(in crate::store) fn looked_at(&self) -> f64 {
        let rows = self.rows_real.unwrap_or(0.0) + self.rows_dropped.unwrap_or(0.0);
        rows * self.loops.unwrap_or(1.0)
    }

    /// Whether it reads a table of some size from end to end.
    pub fn reads_whole_table(&self) -> bool {
        self.operation.ends_with("Seq Scan") && self.rows_estimated.max(self.looked_at()) > SMALL
    }

    /// Whether it reads the events themselves.
    pub(in crate::store) fn is_scan(&self) -> bool {
        self.operation.contains("Scan") && (self.relation.is_some() || self.index.is_some())
    }
}

/// What EXPLAIN says about one statement.
#[derive(Deserialize)]
pub(in crate::store) struct Account {
    #[serde(rename = "Plan")]
    pub(in crate::store) plan: Node,
    #[serde(rename = "Planning Time")]
    pub(in crate::store) planning_ms: Option<f64>,
    #[serde(rename = "Execution Time")]
    pub(in crate::store) execution_ms: Option<f64>,
}

/// The account of a statement that begins with EXPLAIN.
///
/// # Errors
/// [`StoreError`].
pub(in crate::store) async fn account(
    db: &ReadDb,
    explain: &mut QueryBuilder<Postgres>,
    cancel: &CancellationToken,
) -> Result<Account, StoreError> {
    let row = db.run(cancel, async |c: &mut Link| explain.build().fetch_one(c).await).await?;
    let accounts: Result<Vec<Account>, _> = serde_json::from_str(&explained(&row)?);
    let account = accounts.map_err(|e| StoreError::Decode(format!("EXPLAIN: {e}")))?.pop();
    account.ok_or_else(|| StoreError::Decode("EXPLAIN returned no plan".to_owned()))
}

/// What EXPLAIN returned.
fn explained(row: &PgRow) -> Result<String, StoreError> {
    let json = row.try_get_raw(0)?;
    json.as_str().map(ToOwned::to_owned).map_err(|e| StoreError::Decode(format!("EXPLAIN: {e}")))
}

/// What an EXPLAIN expects its statement to return; `None` when it does not say.
pub(in crate::store) async fn estimated_rows(
    db: &ReadDb,
    mut explain: QueryBuilder<Postgres>,
    cancel: &CancellationToken,
) -> Result<Option<u64>, StoreError> {
    #[derive(serde::Deserialize)]
    struct Explained {
        #[serde(rename = "Plan")]
        plan: Plan,
    }
    #[derive(serde::Deserialize)]
    struct Plan {
        #[serde(rename = "Plan Rows")]
        rows: f64,
    }
    let row = db.run(cancel, async |c: &mut Link| explain.build().fetch_one(c).await).await?;
    let plans: Result<Vec<Explained>, _> = serde_json::from_str(&explained(&row)?);
    Ok(match plans.as_deref() {
        Ok([Explained { plan }]) => Some(plan.rows.round() as u64),
        _ => None,
    })
}
