//! How a page is found: the statement, the server's plan, and what that means in plain words.

mod findings;

use super::access::Access;
use super::connection::Link;
use super::filter_sql::Vector;
use super::page_sql::{Bound, Statements};
use super::row::ROW_COLUMNS;
use super::search::{Engine, windows};
use super::timeline::{self, Query, Seek};
use super::{ReadDb, StoreError, walk};
use findings::Page;
pub use findings::{Finding, Weight};
use serde::{Deserialize, Serialize};
use sqlx::{Postgres, QueryBuilder};
use std::collections::BTreeSet;
use tokio_util::sync::CancellationToken;

/// Below this many rows an estimate that is off does no harm.
const SMALL: f64 = 1_000.0;

/// The account of one page.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// How the page is found.
    pub way: Way,
    /// The indexes that the statements are written for.
    pub meant: Vec<String>,
    /// The statements, in the order in which they run until the page is full.
    pub statements: Vec<Explained>,
    /// What is to be said about it.
    pub findings: Vec<Finding>,
    /// Tables that hold rows.
    pub partitions: u32,
}

/// How the rows of a page are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// In order, from one range of an index.
    Index,
    /// In order, from several ranges that are merged.
    MergedIndexes,
    /// A few rows by an index without time, sorted afterwards.
    Lookup,
    /// Along the timeline past rows that do not match, a limited number in each statement.
    Walk,
    /// The newest events as in a walk, then by somebody else's index on words, interval after interval.
    Intervals,
    /// By reading the whole table.
    Scan,
    /// As the server thinks best: it is a view or a foreign table.
    Unknown,
}

/// One statement.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explained {
    /// Its text; values are bound to the placeholders.
    pub sql: String,
    /// The plan.
    pub plan: Node,
    /// Milliseconds of planning, with ANALYZE.
    pub planning_ms: Option<f64>,
    /// Milliseconds of running, with ANALYZE.
    pub execution_ms: Option<f64>,
}

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
    fn ran(&self) -> bool {
        self.loops != Some(0.0)
    }

    /// Rows that it has looked at, all its runs together.
    fn looked_at(&self) -> f64 {
        let rows = self.rows_real.unwrap_or(0.0) + self.rows_dropped.unwrap_or(0.0);
        rows * self.loops.unwrap_or(1.0)
    }

    /// Whether it reads a table of some size from end to end.
    pub fn reads_whole_table(&self) -> bool {
        self.operation.ends_with("Seq Scan") && self.rows_estimated.max(self.looked_at()) > SMALL
    }

    /// Whether it reads the events themselves.
    fn is_scan(&self) -> bool {
        self.operation.contains("Scan") && (self.relation.is_some() || self.index.is_some())
    }
}

impl Explanation {
    /// The way in two words: the index that gives the page, or that events are gone through one by one.
    pub fn in_short(&self) -> String {
        match self.way {
            Way::Walk | Way::Scan => return "scan".to_owned(),
            // The one that the intervals are asked of stands behind those of the walk.
            Way::Intervals => return self.meant.last().cloned().unwrap_or_default(),
            Way::Index | Way::MergedIndexes | Way::Lookup | Way::Unknown => {}
        }
        let nodes = self.statements.iter().flat_map(|statement| statement.plan.all());
        let used: BTreeSet<&str> = nodes.filter_map(|node| node.index.as_deref()).collect();
        let meant = self.meant.iter().map(String::as_str);
        // The index of a partition has a name of its own, which says less.
        let mut names: Vec<&str> = if self.partitions > 1 || meant.clone().any(|name| used.contains(name)) {
            meant.collect()
        } else {
            used.into_iter().collect()
        };
        let more = names.len().saturating_sub(1);
        match (names.pop(), more) {
            (Some(name), 0) => name.to_owned(),
            (Some(_), _) => format!("{} +{more}", names.first().copied().unwrap_or_default()),
            (None, _) if self.meant.is_empty() => "no index".to_owned(),
            // The planner has found the table so small that it reads all of it.
            (None, _) => "seq scan".to_owned(),
        }
    }

    /// Blocks of all statements, with ANALYZE.
    pub fn blocks(&self) -> Option<u64> {
        self.statements.iter().map(|statement| statement.plan.blocks()).sum()
    }
}

/// Explains the page of at most `limit` rows that begins at `seek`. With `analyze` its statements are run: of a walk
/// the first piece.
///
/// # Errors
/// [`StoreError`].
pub async fn page(
    db: &ReadDb,
    query: &Query,
    seek: &Seek,
    limit: usize,
    analyze: bool,
    cancel: &CancellationToken,
) -> Result<Explanation, StoreError> {
    let capabilities = db.capabilities(cancel).await?;
    let access = walk::choose(db, &capabilities, query, cancel).await?;
    let direction = walk::direction(&capabilities, &access, seek);
    let prefix = if analyze { "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " } else { "EXPLAIN (FORMAT JSON) " };
    let vector = Vector::of(&capabilities);
    let shape = Statements {
        table: capabilities.relation.sql(),
        everything: capabilities.relation.everything(),
        query,
        access: &access,
        direction,
        vector: &vector,
        prefix,
    };
    let mut statements = Vec::new();
    let mut missing = limit.saturating_add(1) as f64;
    for bound in direction.pieces(seek) {
        let explained = explain(db, &shape, &bound, missing as usize, cancel).await?;
        missing -= explained.plan.rows_real.unwrap_or(0.0);
        statements.push(explained);
        if missing < 1.0 {
            break;
        }
    }
    let mut way = way(&access);
    let mut meant: Vec<String> = access.indexes().into_iter().map(ToOwned::to_owned).collect();
    if let (Way::Walk, Some(index)) = (way, windows::index(&vector, &query.filter)) {
        way = Way::Intervals;
        meant.push(index.name.clone());
        if missing >= 1.0
            && let Some(newest) = timeline::newest(db, &query.scope, query.range.until, cancel).await?
        {
            let part = windows::first(query, newest.timestamp, direction.ascending);
            let shape = Statements { query: &part, access: &windows::access(index), ..shape };
            statements.push(explain(db, &shape, &Bound::Open, missing as usize, cancel).await?);
        }
    }
    let asked = Page {
        capabilities: &capabilities,
        filter: &query.filter,
        pieces: walk::pieces(db, &capabilities),
        is_full: missing < 1.0,
    };
    let mut findings = findings::of(asked, way, &meant, &statements);
    if !query.filter.words().is_empty() {
        let engine = Engine::of(&capabilities);
        let text = format!("words are answered by {}; not seen: {}", engine.name(), engine.blind_to());
        findings.push(Finding { weight: Weight::Note, text, sql: None });
    }
    Ok(Explanation { way, meant, statements, findings, partitions: capabilities.partitions })
}

/// Events that the first piece of a walk is explained for.
pub(super) fn first_piece(db: &ReadDb) -> usize {
    walk::first_of(db.settings().walk)
}

/// What EXPLAIN says about one statement.
#[derive(Deserialize)]
struct Account {
    #[serde(rename = "Plan")]
    plan: Node,
    #[serde(rename = "Planning Time")]
    planning_ms: Option<f64>,
    #[serde(rename = "Execution Time")]
    execution_ms: Option<f64>,
}

async fn explain(
    db: &ReadDb,
    statements: &Statements<'_>,
    bound: &Bound,
    limit: usize,
    cancel: &CancellationToken,
) -> Result<Explained, StoreError> {
    let mut explain = walk::statement(statements, ROW_COLUMNS, bound, limit, db.settings().walk);
    let Account { plan, planning_ms, execution_ms } = account(db, &mut explain, cancel).await?;
    let sql = explain.into_string().split_off(statements.prefix.len());
    Ok(Explained { sql, plan, planning_ms, execution_ms })
}

async fn account(
    db: &ReadDb,
    explain: &mut QueryBuilder<Postgres>,
    cancel: &CancellationToken,
) -> Result<Account, StoreError> {
    let row = db.run(cancel, async |c: &mut Link| explain.build().fetch_one(c).await).await?;
    let accounts: Result<Vec<Account>, _> = serde_json::from_str(&timeline::explained(&row)?);
    let account = accounts.map_err(|e| StoreError::Decode(format!("EXPLAIN: {e}")))?.pop();
    account.ok_or_else(|| StoreError::Decode("EXPLAIN returned no plan".to_owned()))
}

/// The plan of a page that begins there, without running it.
///
/// # Errors
/// [`StoreError`].
pub(super) async fn plan(
    db: &ReadDb,
    statements: &Statements<'_>,
    bound: &Bound,
    limit: usize,
    cancel: &CancellationToken,
) -> Result<Node, StoreError> {
    let statements = Statements { prefix: "EXPLAIN (FORMAT JSON) ", ..*statements };
    let mut explain = statements.page(ROW_COLUMNS, bound, limit, 0);
    Ok(account(db, &mut explain, cancel).await?.plan)
}

fn way(access: &Access) -> Way {
    match access {
        Access::Ordered { covered: false, .. } => Way::Walk,
        Access::Ordered { branches, .. } if branches.len() > 1 => Way::MergedIndexes,
        Access::Ordered { .. } => Way::Index,
        Access::Lookup { .. } | Access::Words { .. } => Way::Lookup,
        Access::Scan => Way::Scan,
        Access::Opaque => Way::Unknown,
    }
}
