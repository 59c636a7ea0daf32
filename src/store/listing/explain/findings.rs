//! What is to be said about the plan of a page, in plain words, and the index that would make it cheaper.

use crate::filter::Filter;
use crate::store::connection::capabilities::{Capabilities, Index, Predicate, Ties};
use crate::store::listing::access;
use crate::store::listing::explain::{Explained, Way};
use crate::store::listing::planner::{Node, SMALL};
use serde::Serialize;
use std::collections::BTreeSet;

/// An estimate is called wrong when it is off by this factor.
const FAR_OFF: f64 = 10.0;
/// Pages that touch more blocks than this are slow.
const MANY_BLOCKS: u64 = 300;
/// A page that was measured and took less than this is not slow, however it was found.
const QUICK_MS: f64 = 100.0;
/// Reading a table of fewer rows takes no longer than an index does, more or less.
const QUICKLY_READ: f64 = 50_000.0;

/// How a finding is to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Weight {
    /// As it must be.
    Good,
    /// To be known.
    Note,
    /// Costs time.
    Slow,
}

/// Something to be said about a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How it is to be taken.
    pub weight: Weight,
    /// In plain words.
    pub text: String,
    /// The statement that would help, in one line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sql: Option<String>,
}

/// What is asked of which table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Page<'a> {
    /// What the table offers.
    pub(super) capabilities: &'a Capabilities,
    /// What is asked for.
    pub(super) filter: &'a Filter,
    /// How many statements read the whole table, where no index knows the time.
    pub(super) pieces: u32,
    /// The statements that were run have filled it.
    pub(super) is_full: bool,
    /// The index of a walk serves a part of the filter.
    pub(super) is_partly_served: bool,
}

/// The findings about a page and the plans of its statements.
pub(super) fn of(page: Page<'_>, way: Way, meant: &[String], statements: &[Explained]) -> Vec<Finding> {
    let capabilities = page.capabilities;
    let nodes: Vec<&Node> = statements.iter().flat_map(|s| s.plan.all()).filter(|node| node.ran()).collect();
    let sorts = nodes.iter().any(|node| node.operation == "Sort" && node.sort_key.len() > 1);
    let mut findings = vec![about_way(page, way, &meant.join(", "), sorts)];
    findings.extend(about_use(capabilities, meant, &nodes));
    findings.extend(about_order(capabilities, way, meant, &nodes));
    findings.extend(nodes.iter().filter_map(|node| about_estimate(node)));
    let mut say = |weight, text: String| findings.push(Finding { weight, text, sql: None });
    if capabilities.partitions > 1 {
        let touched: BTreeSet<&str> = nodes.iter().filter_map(|node| node.relation.as_deref()).collect();
        say(Weight::Note, format!("{} of {} partitions touched", touched.len(), capabilities.partitions));
    }
    if capabilities.ties() == Ties::Mirrored {
        say(
            Weight::Note,
            "events of one instant are listed by ascending id, as the index on time orders them".to_owned(),
        );
    }
    if capabilities.estimated_rows.is_none() {
        say(
            Weight::Slow,
            "the table has never been analysed, estimates are guesses: ANALYZE audit_events".to_owned(),
        );
    }
    let blocks: Option<u64> = statements.iter().map(|s| s.plan.blocks()).sum();
    if let Some(blocks) = blocks {
        let by_pieces = matches!(way, Way::Walk | Way::Intervals | Way::Scan);
        let weight = if blocks <= MANY_BLOCKS || by_pieces { Weight::Note } else { Weight::Slow };
        let of = if by_pieces { ", by the first piece" } else { "" };
        say(weight, format!("{blocks} blocks of 8 kB read{of}"));
    }
    findings.dedup();
    let by_pieces = matches!(way, Way::Walk | Way::Intervals | Way::Scan);
    let took: Option<f64> = statements.iter().map(|statement| statement.execution_ms).sum();
    // Of a page that is not full, more pieces follow, at worst of the whole table.
    let looked = nodes.iter().filter(|node| node.is_scan()).map(|node| node.looked_at()).fold(1.0, f64::max);
    let all = capabilities.estimated_rows.map_or(f64::INFINITY, |rows| rows as f64);
    let pieces = if page.is_full || !by_pieces { 1.0 } else { (all / looked).max(1.0) };
    // What was not measured is as slow as the planner expects it to be.
    let expected =
        nodes.iter().filter(|node| node.is_scan()).map(|node| node.rows_estimated).fold(0.0, f64::max);
    let is_quick = match took {
        Some(ms) => ms * pieces < QUICK_MS,
        None => capabilities.estimated_rows.is_some() && way == Way::Walk && expected < QUICKLY_READ,
    };
    if is_quick {
        for finding in findings.iter_mut().filter(|finding| finding.weight == Weight::Slow) {
            finding.weight = Weight::Note;
        }
    }
    findings
}

fn about_way(page: Page<'_>, way: Way, list: &str, sorts: bool) -> Finding {
    let capabilities = page.capabilities;
    let (weight, text) = match way {
        Way::Index | Way::MergedIndexes if sorts => {
            (Weight::Note, format!("{list} can give the page in order, but the planner sorts the rows"))
        }
        Way::Index => (Weight::Good, format!("the index {list} gives the page in order")),
        Way::MergedIndexes => (
            Weight::Good,
            format!("several ranges of {list} are merged; each is read no further than the page"),
        ),
        Way::Lookup => (Weight::Good, format!("{list} finds the few rows; they are sorted afterwards")),
        Way::Walk => {
            let serves = if page.is_partly_served {
                format!("{list} serves a part of the filter, no index the whole: the events it gives")
            } else {
                format!("no index serves the filter: the events along {list}")
            };
            let walk = format!(
                "{serves} are compared with the filter one by one, newest first, in pieces; the fewer match, the longer \
                 a page takes"
            );
            let Some(columns) = access::wanted(capabilities, page.filter) else {
                return Finding { weight: Weight::Slow, text: walk, sql: None };
            };
            let text = format!("{walk}; an index on {} would spare that", columns.join(", "));
            return advice(capabilities, Weight::Slow, text, &columns, None);
        }
        Way::Intervals => (
            Weight::Good,
            format!(
                "the newest events are looked at one by one; behind them {list} find those with the words, interval \
                 after interval"
            ),
        ),
        Way::Scan => {
            let text = format!(
                "there is no index on (organization_id, timestamp): every page reads the whole table, in {} \
                 statements of which this is the first; `agenttrace db sql indexes` prints all indexes that help",
                page.pieces
            );
            return advice(capabilities, Weight::Slow, text, &[], None);
        }
        Way::Unknown => {
            (Weight::Note, "audit_events is a view or a foreign table: the server chooses the way".to_owned())
        }
    };
    Finding { weight, text, sql: None }
}

/// Which indexes the planner took.
fn about_use(capabilities: &Capabilities, meant: &[String], nodes: &[&Node]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut say = |weight, text: String| findings.push(Finding { weight, text, sql: None });
    let used: BTreeSet<&str> = nodes.iter().filter_map(|node| node.index.as_deref()).collect();
    // The index of a partition has a name of its own.
    if !used.is_empty() && capabilities.partitions <= 1 {
        for index in meant.iter().filter(|index| !used.contains(index.as_str())) {
            let used: Vec<&str> = used.iter().copied().collect();
            say(Weight::Note, format!("the planner prefers {} to {index}", used.join(", ")));
        }
    }
    let rows = |node: &&&Node| node.rows_estimated.max(node.looked_at());
    let read = nodes.iter().filter(|node| node.reads_whole_table());
    let whole_table = read.max_by(|a, b| rows(a).total_cmp(&rows(b)));
    if let Some(node) = whole_table {
        let of = node.relation.as_deref().unwrap_or("the table");
        let weight = if rows(&node) > QUICKLY_READ { Weight::Slow } else { Weight::Note };
        say(weight, format!("the planner reads all of {of} (Seq Scan, ~{} rows)", rows(&node)));
    }
    findings
}

/// What has to be sorted, and why.
fn about_order(capabilities: &Capabilities, way: Way, meant: &[String], nodes: &[&Node]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let is_of_instants = |node: &&&Node| {
        let by_id_only = matches!(node.sort_key.as_slice(), [key] if key.contains("event_id"));
        node.operation == "Incremental Sort" || node.operation == "Sort" && by_id_only
    };
    let of_instants: Vec<&&Node> = nodes.iter().filter(is_of_instants).collect();
    if !of_instants.is_empty() {
        let read = of_instants.iter().flat_map(|sort| &sort.children).filter_map(|below| below.rows_real);
        let read: f64 = read.sum();
        let lacking = capabilities.indexes.iter().filter(|i| i.ties().is_none() && meant.contains(&i.name));
        let weight = if read > SMALL { Weight::Slow } else { Weight::Note };
        for index in lacking {
            let here = if read > 0.0 { format!(" ({read} for this page)") } else { String::new() };
            let text = format!(
                "{} holds no event_id behind the time: of the events of one instant, all that match are read and \
                 sorted{here}, which costs time only where many share an instant; an index that ends in event_id \
                 reads no more than the page",
                index.name
            );
            let keys = index.keys.iter().map(|key| key.of.as_str());
            let columns: Vec<&str> = keys.skip(1).take_while(|key| *key != "timestamp").collect();
            findings.push(advice(capabilities, weight, text, &columns, Some(index)));
        }
    }
    for node in nodes.iter().filter(|node| node.operation == "Sort" && node.sort_key.len() > 1) {
        if matches!(way, Way::Index | Way::Walk) {
            let rows =
                node.children.iter().map(|below| below.rows_estimated.max(below.rows_real.unwrap_or(0.0)));
            let weight = if rows.sum::<f64>() > SMALL { Weight::Slow } else { Weight::Note };
            let text = format!("all matching rows are read and sorted by {}", node.sort_key.join(", "));
            findings.push(Finding { weight, text, sql: None });
        }
    }
    findings
}

/// An estimate that is far off.
fn about_estimate(node: &Node) -> Option<Finding> {
    let real = node.rows_real.filter(|_| node.is_scan())?;
    let (more, less) = (real.max(node.rows_estimated), real.min(node.rows_estimated).max(1.0));
    // A page ends its scans early: fewer rows than expected mean nothing.
    let is_off = real > node.rows_estimated && more > SMALL && more / less > FAR_OFF;
    let text =
        || format!("the planner expected {} rows and met {real}: ANALYZE audit_events", node.rows_estimated);
    is_off.then(|| Finding { weight: Weight::Note, text: text(), sql: None })
}

/// A finding with the statement that makes an index on these columns, between organisation and time; `instead` of one
/// that there is, for the same rows.
fn advice(
    capabilities: &Capabilities,
    weight: Weight,
    mut text: String,
    columns: &[&str],
    instead: Option<&Index>,
) -> Finding {
    if capabilities.partitions > 1 {
        // CONCURRENTLY is refused there, and without it nobody could write meanwhile.
        text.push_str("; it is built partition by partition, as `agenttrace db sql indexes` says");
        return Finding { weight, text, sql: None };
    }
    let rows = match instead.and_then(|index| index.predicate.as_ref()) {
        None => String::new(),
        Some(Predicate::NotNull(column)) => format!(" WHERE {column} IS NOT NULL"),
        Some(Predicate::OneOf(column, values)) => {
            let values: Vec<String> = values.iter().map(|v| format!("'{}'", v.replace('\'', "''"))).collect();
            format!(" WHERE {column} IN ({})", values.join(", "))
        }
        Some(Predicate::Other(_)) => return Finding { weight, text, sql: None },
    };
    let columns: String = columns.iter().map(|column| format!("{column}, ")).collect();
    let id = if capabilities.ties() == Ties::Mirrored { "event_id" } else { "event_id DESC" };
    let sql = format!(
        "CREATE INDEX CONCURRENTLY ON audit_events (organization_id, {columns}timestamp DESC, {id}){rows};"
    );
    Finding { weight, text, sql: Some(sql) }
}
