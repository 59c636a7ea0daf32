//! What makes queries wait.

use super::{Check, Finding, Group, Subject, ago, or_pass, seen};
use crate::store::health::Index;

/// Days of statistics below which nothing is said of use.
const LEAST_DAYS: f64 = 7.0;
/// Rows from which a table should be partitioned.
const LARGE: f64 = 10_000_000.0;
/// Rows from which statistics matter.
const SOME: f64 = 1_000.0;

const fn check(name: &'static str, about: &'static str, judge: fn(&Subject) -> Vec<Finding>) -> Check {
    Check { name, group: Group::Speed, about, judge }
}

pub(super) const CHECKS: &[Check] = &[
    check("index-presence", "an index for each kind of filter", index_presence),
    check("index-order", "whether pages inside equal timestamps need a sort", index_order),
    check("index-duplicate", "indexes that another one contains", index_duplicate),
    check("index-use", "indexes that no query uses", index_use),
    check("statistics", "age of the planner's statistics, of the parent of partitions too", statistics),
    check("visibility-map", "whether index-only scans read the table", visibility_map),
    check("freeze-age", "transactions until a forced vacuum", freeze_age),
    check("autovacuum", "whether the table is vacuumed and analysed by itself", autovacuum),
    check("partitioning", "whether a large table is partitioned", partitioning),
    check("connections", "sessions against the limit", connections),
    check("locks", "long transactions and waiting sessions", locks),
    check("replication", "lag of replicas", replication),
    check("daily-summary", "the materialised view of days", daily_summary),
];

/// What a kind of filter needs: leading columns of an index, its name here, the rest of its definition.
const NEEDED: [(&str, &[&str], &str); 4] = [
    ("the timeline", &["organization_id", "timestamp"], "(organization_id, timestamp DESC, event_id DESC)"),
    (
        "an actor",
        &["organization_id", "actor_id"],
        "(organization_id, actor_id, timestamp DESC, event_id DESC)",
    ),
    (
        "a resource",
        &["organization_id", "resource_type", "resource_id"],
        "(organization_id, resource_type, resource_id, timestamp DESC, event_id DESC)",
    ),
    (
        "an event type",
        &["organization_id", "event_category", "event_type"],
        "(organization_id, event_category, event_type, timestamp DESC, event_id DESC)",
    ),
];

/// Names of its columns, without order.
pub(super) fn names(index: &Index) -> Vec<&str> {
    index.columns.iter().map(|column| column.trim_end_matches(" DESC").trim_matches('"')).collect()
}

fn serves(index: &Index, columns: &[&str]) -> bool {
    index.valid && index.method == "btree" && index.predicate.is_none() && names(index).starts_with(columns)
}

fn index_presence(subject: &Subject) -> Vec<Finding> {
    seen(&subject.health.indexes, |indexes| {
        let missing = NEEDED
            .iter()
            .filter(|(_, columns, _)| !indexes.iter().any(|index| index.is_root && serves(index, columns)));
        let found = missing.map(|(what, _, definition)| {
            Finding::fail(
                format!("no index serves {what}: its pages are searched through the timeline"),
                format!("CREATE INDEX CONCURRENTLY ON {} {definition};", subject.table),
            )
        });
        or_pass(found.collect(), "timeline, actor, resource and event type have their index")
    })
}

fn index_order(subject: &Subject) -> Vec<Finding> {
    seen(&subject.health.indexes, |indexes| {
        let mixed = indexes.iter().filter(|index| index.valid && index.method == "btree").filter(|index| {
            let names = names(index);
            let Some(time) = names.iter().position(|name| *name == "timestamp") else { return false };
            let descends = |at: usize| index.columns.get(at).is_some_and(|column| column.ends_with(" DESC"));
            names.get(time + 1) == Some(&"event_id") && descends(time) != descends(time + 1)
        });
        let found = mixed.map(|index| {
            let columns: Vec<&str> = index.columns.iter().map(String::as_str).collect();
            let turned: Vec<String> =
                columns
                    .iter()
                    .map(|column| {
                        if *column == "event_id" { "event_id DESC".to_owned() } else { (*column).to_owned() }
                    })
                    .collect();
            Finding::warn(
                format!(
                    "{} runs in two directions ({}): each page is sorted anew",
                    index.name,
                    columns.join(", ")
                ),
                format!("CREATE INDEX CONCURRENTLY ON {} ({});", subject.table, turned.join(", ")),
            )
        });
        or_pass(found.collect(), "no index mixes directions")
    })
}

fn index_duplicate(subject: &Subject) -> Vec<Finding> {
    seen(&subject.health.indexes, |indexes| {
        let mut findings = Vec::new();
        for (at, index) in indexes.iter().enumerate().filter(|(_, index)| !index.unique && index.valid) {
            let contains = |(other_at, other): &(usize, &Index)| {
                *other_at != at
                    && other.valid
                    && (other.method.as_str(), &other.predicate, other.is_root)
                        == (index.method.as_str(), &index.predicate, index.is_root)
                    && other.columns.starts_with(&index.columns)
                    // Of two alike one stays.
                    && (other.columns.len() > index.columns.len() || other.unique || *other_at < at)
            };
            if index.method == "btree"
                && let Some((_, other)) = indexes.iter().enumerate().find(contains)
            {
                findings.push(Finding::warn(
                    format!(
                        "{} ({}) is the beginning of {}",
                        index.name,
                        super::size(index.bytes),
                        other.name
                    ),
                    format!("DROP INDEX CONCURRENTLY {};", index.name),
                ));
            }
        }
        or_pass(findings, "no index contains another one")
    })
}

fn index_use(subject: &Subject) -> Vec<Finding> {
    let days = subject.health.server.facts().and_then(|server| server.statistics_days);
    seen(&subject.health.indexes, |indexes| match days {
        Some(days) if days >= LEAST_DAYS => {
            // What this program itself goes by is used as soon as somebody asks for it.
            let is_needed = |index: &Index| {
                NEEDED.iter().any(|(_, columns, _)| serves(index, columns))
                    || index.name.contains("idx_audit_")
            };
            let unused = indexes.iter().filter(|i| i.scans == 0 && !i.unique && i.valid && !is_needed(i));
            let found = unused.map(|index| {
                Finding::warn(
                    format!(
                        "{} ({}): no scan in {days:.0} days on this server; replicas count for themselves",
                        index.name,
                        super::size(index.bytes)
                    ),
                    format!("DROP INDEX CONCURRENTLY {}; -- after a look at each replica", index.name),
                )
            });
            or_pass(
                found.collect(),
                format!("every index is used or needed, by {days:.0} days of statistics"),
            )
        }
        Some(days) => vec![Finding::pass(format!(
            "statistics of {days:.1} days: of use nothing is said before {LEAST_DAYS} days"
        ))],
        None => vec![Finding::unknown("since when use is counted cannot be seen")],
    })
}

fn statistics(subject: &Subject) -> Vec<Finding> {
    seen(&subject.health.parts, |parts| {
        let leaf_rows: f64 = parts.iter().filter(|part| part.is_leaf).map(|part| part.rows.max(0.0)).sum();
        let mut findings = Vec::new();
        for part in parts {
            let analyze = format!("ANALYZE {};", part.name);
            if part.is_root && !part.is_leaf && part.rows < 0.0 && leaf_rows > SOME {
                findings.push(Finding::fail(
                    format!(
                        "{} was never analysed: autovacuum does not analyse the parent of partitions, so estimates over all \
                         of them are guesses",
                        part.name
                    ),
                    analyze,
                ));
            } else if part.is_leaf && part.rows < 0.0 && part.table_bytes > 1 << 20 {
                findings.push(Finding::warn(format!("{} was never analysed", part.name), analyze));
            } else if part.is_leaf && part.rows > SOME && part.modified as f64 > part.rows * 0.2 {
                let when = part.analyzed_s.map_or_else(|| "never".to_owned(), |s| format!("{} ago", ago(s)));
                findings.push(Finding::warn(
                    format!("{}: {} rows written since the last ANALYZE ({when})", part.name, part.modified),
                    analyze,
                ));
            }
        }
        or_pass(findings, "the planner's statistics are up to date")
    })
}

fn visibility_map(subject: &Subject) -> Vec<Finding> {
    seen(&subject.health.parts, |parts| {
        let poor = parts.iter().filter(|part| {
            part.is_leaf && part.pages > 1_000 && (part.visible_pages as f64) < part.pages as f64 * 0.5
        });
        let found = poor.map(|part| {
            Finding::warn(
                format!(
                    "{}: {:.0} % of the pages are known as visible to all: index-only scans read the others",
                    part.name,
                    part.visible_pages as f64 * 100.0 / part.pages as f64
                ),
                format!("VACUUM {};", part.name),
            )
        });
        or_pass(found.collect(), "at least half of the pages of each part are known as visible to all")
    })
}

fn freeze_age(subject: &Subject) -> Vec<Finding> {
    let Some(server) = subject.health.server.facts() else {
        return vec![Finding::unknown("the settings of the server cannot be seen")];
    };
    seen(&subject.health.parts, |parts| {
        let limit = server.freeze_max_age as f64;
        let old = parts.iter().filter(|part| part.is_leaf && part.freeze_age as f64 > limit * 0.8);
        let found = old.map(|part| {
            Finding::warn(
                format!(
                    "{}: {} transactions old of {}: a forced vacuum is near",
                    part.name, part.freeze_age, server.freeze_max_age
                ),
                format!("VACUUM (FREEZE) {};", part.name),
            )
        });
        let oldest = parts.iter().map(|part| part.freeze_age).max().unwrap_or_default();
        or_pass(found.collect(), format!("oldest part: {oldest} transactions of {}", server.freeze_max_age))
    })
}

fn autovacuum(subject: &Subject) -> Vec<Finding> {
    let Some(server) = subject.health.server.facts() else {
        return vec![Finding::unknown("the settings of the server cannot be seen")];
    };
    seen(&subject.health.parts, |parts| {
        let mut findings = Vec::new();
        if !server.autovacuum || !server.track_counts {
            findings.push(Finding::fail(
                "autovacuum or track_counts is off",
                "ALTER SYSTEM SET autovacuum = on; ALTER SYSTEM SET track_counts = on; SELECT pg_reload_conf();",
            ));
        }
        for part in parts.iter().filter(|part| part.autovacuum_off) {
            findings.push(Finding::fail(
                format!("autovacuum is switched off for {}", part.name),
                format!("ALTER TABLE {} RESET (autovacuum_enabled);", part.name),
            ));
        }
        for part in parts.iter().filter(|part| part.rows > SOME && part.dead as f64 > part.rows * 0.1) {
            findings.push(Finding::warn(
                format!(
                    "{}: {} dead rows, in a table in which nothing should be changed or removed",
                    part.name, part.dead
                ),
                format!(
                    "VACUUM (ANALYZE) {}; -- and find out who changes rows: agenttrace verify",
                    part.name
                ),
            ));
        }
        or_pass(findings, "autovacuum is on for every part, and there are hardly any dead rows")
    })
}

fn partitioning(subject: &Subject) -> Vec<Finding> {
    seen(&subject.health.parts, |parts| {
        let rows: f64 = parts.iter().filter(|part| part.is_leaf).map(|part| part.rows.max(0.0)).sum();
        let leaves = parts.iter().filter(|part| part.is_leaf).count();
        let is_plain = parts.iter().all(|part| part.strategy.is_none());
        vec![if is_plain && rows > LARGE {
            Finding::warn(
                format!("about {rows:.0} rows in one table: old months cannot be detached"),
                "agenttrace db migrate --layout monthly",
            )
        } else if is_plain {
            Finding::pass(format!("about {rows:.0} rows: one table serves below 10 million"))
        } else {
            Finding::pass(format!("{leaves} partitions, about {rows:.0} rows"))
        }]
    })
}

fn connections(subject: &Subject) -> Vec<Finding> {
    seen(&subject.health.server, |server| {
        let evidence = format!("{} sessions of {}", server.connections, server.max_connections);
        vec![if server.connections as f64 > server.max_connections as f64 * 0.8 {
            Finding::warn(evidence, "-- a pooler in transaction mode, or fewer connections for each program")
        } else {
            Finding::pass(evidence)
        }]
    })
}

fn locks(subject: &Subject) -> Vec<Finding> {
    seen(&subject.health.server, |server| {
        let mut findings = Vec::new();
        if let Some(age) = server.oldest_transaction_s.filter(|age| *age > 3_600.0) {
            findings.push(Finding::warn(
                format!("a transaction has been open for {}: nothing written since can be vacuumed", ago(age)),
                "SELECT pid, usename, state, xact_start, query FROM pg_stat_activity ORDER BY xact_start LIMIT 5;",
            ));
        }
        if server.waiting_for_locks > 0 {
            findings.push(Finding::warn(
                format!("{} sessions wait for a lock", server.waiting_for_locks),
                "SELECT pid, pg_blocking_pids(pid), query FROM pg_stat_activity WHERE wait_event_type = 'Lock';",
            ));
        }
        if findings.is_empty() && server.hidden_sessions > 0 {
            let hidden = server.hidden_sessions;
            return vec![Finding::unknown(format!(
                "what {hidden} sessions do cannot be seen by this role: GRANT pg_read_all_stats TO it"
            ))];
        }
        or_pass(findings, "no transaction is open for an hour, nobody waits for a lock")
    })
}

fn replication(subject: &Subject) -> Vec<Finding> {
    seen(&subject.health.server, |server| {
        vec![match (server.is_replica, server.replicas, server.replica_lag_s) {
            (true, ..) => Finding::pass(format!("this server is a replica: {}", subject.standing)),
            (false, 0, _) => Finding::pass("no replica is connected"),
            (false, n, Some(lag)) if lag > 30.0 => Finding::warn(
                format!("{n} replicas, the slowest {} behind: what is read there is older", ago(lag)),
                "SELECT application_name, state, replay_lag FROM pg_stat_replication;",
            ),
            (false, n, _) => {
                Finding::pass(format!("{n} replicas, none more than 30 s behind as far as this role sees"))
            }
        }]
    })
}

fn daily_summary(subject: &Subject) -> Vec<Finding> {
    seen(&subject.health.summary, |views| {
        let Some(view) = views.first() else {
            return vec![Finding::pass("there is none: totals are computed from the events")];
        };
        let mut findings = Vec::new();
        if view.local_days {
            findings.push(Finding::warn(
                "its days depend on the zone of whoever refreshes it (DATE(timestamp)): it is not used",
                "agenttrace db sql summary",
            ));
        }
        if !view.has_unique_index {
            findings.push(Finding::warn(
                "it has no unique index: REFRESH MATERIALIZED VIEW CONCURRENTLY is refused",
                "CREATE UNIQUE INDEX ON audit_daily_summary (organization_id, date, event_category);",
            ));
        }
        if !view.filled {
            findings.push(Finding::warn("it was never filled", "agenttrace db summary refresh"));
        }
        or_pass(findings, "filled, with days of UTC and a unique index")
    })
}
