//! The eleven items of the guide's checklist, answered from the checks.

use super::{Diagnosis, Level, Subject, ago, examine};
use serde::Serialize;

/// Years after which the guide wants events archived.
const RETENTION_YEARS: f64 = 7.0;

/// An item, answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Item {
    /// The item.
    pub item: &'static str,
    /// How it stands.
    pub level: Level,
    /// What was seen.
    pub evidence: String,
}

/// The items in the guide's order, each with the checks that answer it; without any, by the facts themselves.
pub const ITEMS: [(&str, &[&str]); 11] = [
    ("critical indexes created", &["index-presence", "index-valid", "index-order"]),
    ("partitioning above 10 million rows", &["partitioning", "partition-end"]),
    ("connection pooling", &[]),
    ("result caching", &[]),
    ("batch inserts", &[]),
    ("asynchronous writes", &[]),
    ("index usage watched", &["index-use", "index-duplicate"]),
    ("vacuum and analyze automated", &["autovacuum", "statistics", "freeze-age"]),
    ("backup and archival", &["backup"]),
    ("retention automated", &[]),
    ("read replicas", &["replication"]),
];

/// The checklist.
pub fn checklist(subject: &Subject) -> Vec<Item> {
    ITEMS
        .iter()
        .map(|(item, names)| {
            if names.is_empty() {
                let (level, evidence) = by_itself(item, subject);
                return Item { item, level, evidence };
            }
            let found = examine(subject, |check| names.contains(&check.name));
            let worst = found.iter().map(|diagnosis| diagnosis.level).max().unwrap_or(Level::Unknown);
            let of_worst = found.iter().filter(|diagnosis| diagnosis.level == worst);
            let evidence: Vec<&str> = of_worst.map(|Diagnosis { evidence, .. }| evidence.as_str()).collect();
            Item { item, level: worst, evidence: evidence.join("; ") }
        })
        .collect()
}

fn by_itself(item: &str, subject: &Subject) -> (Level, String) {
    let health = &subject.health;
    match item {
        "connection pooling" => match health.server.facts() {
            _ if subject.pooled => (Level::Pass, "this connection goes through a pooler".to_owned()),
            Some(server) if server.has_pooler => (Level::Pass, "a pooler has sessions here".to_owned()),
            _ => (Level::Unknown, "no pooler shows itself; pools inside programs cannot be seen from here".to_owned()),
        },
        "result caching" if subject.shared_cache => {
            (Level::Pass, "counts and sums are shared for five minutes (cache_url)".to_owned())
        }
        "result caching" => {
            (Level::Pass, "each program keeps counts and sums for five minutes; cache_url would share them".to_owned())
        }
        "batch inserts" => match health.writes.facts() {
            Some(writes) if writes.rows > 0 => {
                let rows = writes.rows as f64 / writes.transactions.max(1) as f64;
                let evidence = format!(
                    "{} rows on the newest pages, {rows:.1} for each transaction ({})",
                    writes.rows, writes.transactions
                );
                (if rows < 2.0 && writes.rows > 20 { Level::Warn } else { Level::Pass }, evidence)
            }
            _ => (Level::Unknown, "no row could be looked at".to_owned()),
        },
        "asynchronous writes" => (
            Level::Unknown,
            "how applications hand over events cannot be seen from here; agenttrace's writer queues and spools".to_owned(),
        ),
        _ => retention(subject),
    }
}

fn retention(subject: &Subject) -> (Level, String) {
    let oldest =
        subject.trails.iter().filter_map(|trail| Some((trail.oldest?, &trail.organization_id))).min();
    let Some((oldest, organization)) = oldest else {
        return (Level::Unknown, "no event could be looked at".to_owned());
    };
    #[expect(clippy::cast_precision_loss, reason = "years are told")]
    let age = (subject.now.as_micros() - oldest.as_micros()) as f64 / 1e6;
    let evidence = format!("the oldest event is {} old ({organization})", ago(age));
    if age > RETENTION_YEARS * 365.25 * 86_400.0 {
        (Level::Warn, format!("{evidence}: the guide archives after {RETENTION_YEARS} years"))
    } else {
        (Level::Pass, format!("{evidence}: nothing is older than {RETENTION_YEARS} years"))
    }
}
