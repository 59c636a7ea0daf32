//! Events that are lost, or refused by the table.

use super::{Check, Finding, Group, Subject, ago, or_pass, seen};
use crate::store::health::{Index, Part};

/// Days before the end of the last partition at which it is said, and at which it is urgent.
const SOON: f64 = 31.0;
const URGENT: f64 = 7.0;

const fn check(name: &'static str, about: &'static str, judge: fn(&Subject) -> Vec<Finding>) -> Check {
    Check { name, group: Group::Loss, about, judge }
}

pub(super) const CHECKS: &[Check] = &[
    check("partition-end", "days until the last partition ends, rows in a default one", partition_end),
    check("fulltext-limit", "an index that refuses events with large states", fulltext_limit),
    check("index-valid", "indexes that are there and not used, or miss partitions", index_valid),
    check("durability", "settings that lose acknowledged rows", durability),
    check("backup", "archiving of the write-ahead log", backup),
];

/// The last instant of the partitions by time, as long as there are some.
fn last_bound(parts: &[Part]) -> Option<f64> {
    parts.iter().filter_map(|part| part.until).max_by(f64::total_cmp)
}

fn partition_end(subject: &Subject) -> Vec<Finding> {
    seen(&subject.health.parts, |parts| {
        let by_time = parts.iter().any(|part| part.is_root && part.strategy.as_deref() == Some("r"));
        if !by_time {
            return vec![Finding::pass("the table is not partitioned by time")];
        }
        let mut findings = Vec::new();
        for part in parts.iter().filter(|part| part.is_default && part.rows > 0.0) {
            findings.push(Finding::warn(
                format!("the default partition {} holds about {:.0} rows", part.name, part.rows),
                "-- make the partition that these rows belong to, move them, then drop the default one"
                    .to_owned(),
            ));
        }
        let has_default = parts.iter().any(|part| part.is_default);
        let Some(until) = last_bound(parts) else {
            findings.push(Finding::fail(
                "no partition has an end: events are refused",
                "agenttrace db partitions ensure --ahead 3",
            ));
            return findings;
        };
        #[expect(clippy::cast_precision_loss, reason = "days are told")]
        let days = (until - subject.now.as_micros() as f64 / 1e6) / 86_400.0;
        let then = if has_default { "go to the default partition" } else { "are refused" };
        let evidence = if days < 0.0 {
            format!("the last partition ended {:.0} days ago: newer events {then}", -days)
        } else {
            format!("the last partition ends in {days:.0} days: later events {then}")
        };
        let advice = "agenttrace db partitions ensure --ahead 3";
        findings.push(match days {
            d if d < URGENT => Finding::fail(evidence, advice),
            d if d < SOON => Finding::warn(evidence, advice),
            _ => Finding::pass(evidence),
        });
        findings
    })
}

/// Whether an index computes words of a whole state: PostgreSQL refuses a row with more than 1 MB of distinct words.
fn is_unbounded_text(index: &Index) -> bool {
    index.columns.iter().any(|column| {
        let column = column.to_lowercase();
        let is_bounded =
            ["left(", "\"left\"(", "substr(", "substring("].iter().any(|cut| column.contains(cut));
        column.contains("to_tsvector") && column.contains("state") && !is_bounded
    })
}

fn fulltext_limit(subject: &Subject) -> Vec<Finding> {
    seen(&subject.health.indexes, |indexes| {
        let found = indexes.iter().filter(|index| is_unbounded_text(index)).map(|index| {
            Finding::fail(
                format!(
                    "{} computes the words of whole states: an event with more than 1 MB of distinct words is refused \
                     (string is too long for tsvector)",
                    index.name
                ),
                format!("DROP INDEX CONCURRENTLY {}; -- then: agenttrace db sql schema, the column search_vector", index.name),
            )
        });
        or_pass(found.collect(), "no index refuses an event for the size of its states")
    })
}

fn index_valid(subject: &Subject) -> Vec<Finding> {
    seen(&subject.health.indexes, |indexes| {
        let mut findings = Vec::new();
        for index in indexes {
            let kind = if index.unique { "unique, " } else { "" };
            if !index.valid && index.missing == 0 {
                findings.push(Finding::fail(
                    format!("{} ({kind}invalid): it costs at each write and serves no query", index.name),
                    format!("REINDEX INDEX CONCURRENTLY {};", index.name),
                ));
            } else if index.missing > 0 {
                findings.push(Finding::fail(
                    format!("{}: {} partitions do not have it", index.name, index.missing),
                    "-- CREATE INDEX CONCURRENTLY on each of them, then ALTER INDEX … ATTACH PARTITION"
                        .to_owned(),
                ));
            }
        }
        or_pass(findings, format!("{} indexes, all valid", indexes.len()))
    })
}

fn durability(subject: &Subject) -> Vec<Finding> {
    seen(&subject.health.server, |server| {
        let mut findings = Vec::new();
        if !server.fsync || !server.full_page_writes {
            findings.push(Finding::fail(
                "fsync or full_page_writes is off: a crash of the machine can destroy the table",
                "ALTER SYSTEM SET fsync = on; ALTER SYSTEM SET full_page_writes = on; SELECT pg_reload_conf();",
            ));
        }
        if server.synchronous_commit == "off" {
            findings.push(Finding::warn(
                "synchronous_commit is off for this session: a crash loses the last acknowledged transactions of writers \
                 that do not switch it on (agenttrace's writer does)",
                "ALTER ROLE the_writer SET synchronous_commit = on;",
            ));
        }
        or_pass(findings, "fsync, full_page_writes and synchronous_commit are on")
    })
}

fn backup(subject: &Subject) -> Vec<Finding> {
    seen(&subject.health.server, |server| {
        vec![match (server.archive_mode.as_str(), server.archived_s, server.failed_s) {
            ("off", ..) => Finding::unknown(
                "archive_mode is off: whether there are other backups cannot be seen from here; a restored one is told \
                 from remembered heads (agenttrace pin check)",
            ),
            (_, archived, Some(failed)) if archived.is_none_or(|archived| failed < archived) => {
                Finding::fail(
                    format!(
                        "archiving of the write-ahead log failed {} ago, and has not worked since",
                        ago(failed)
                    ),
                    "-- see archive_command and the server's log",
                )
            }
            (_, Some(archived), _) if archived > 86_400.0 => Finding::warn(
                format!("the last segment of the write-ahead log was archived {} ago", ago(archived)),
                "-- set archive_timeout, or see whether anything is written",
            ),
            (_, Some(archived), _) => {
                Finding::pass(format!("the last segment was archived {} ago", ago(archived)))
            }
            (_, None, _) => {
                Finding::warn("archive_mode is on, and nothing was archived yet", "-- see archive_command")
            }
        }]
    })
}
