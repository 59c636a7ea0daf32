//! How a page is found: the statement, the server's plan, and what that means in plain words.

mod findings;

use crate::store::listing::access::Access;
use crate::store::listing::filter_sql::Vector;
use crate::store::listing::page_sql::{Bound, Statements};
pub use crate::store::listing::planner::Node;
use crate::store::listing::planner::{Account, account};
use crate::store::listing::search::{Engine, foreign_index, windows};
use crate::store::listing::timeline;
use crate::store::listing::walk;
use crate::store::query::{Query, Seek};
use crate::store::row::ROW_COLUMNS;
use crate::store::{ReadDb, StoreError};
use findings::Page;
pub use findings::{Finding, Weight};
use serde::Serialize;
use std::collections::BTreeSet;
use tokio_util::sync::CancellationToken;

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
    if let (Way::Walk, Some(index)) = (way, foreign_index(&vector, &query.filter)) {
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
        is_partly_served: access.fixes_columns(),
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
pub(in crate::store) fn first_piece(db: &ReadDb) -> usize {
    walk::first_of(db.settings().walk)
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
