//! Space that is wasted.

use super::speed::names;
use super::{Check, Finding, Group, Subject, or_pass, seen, size};

const fn check(name: &'static str, about: &'static str, judge: fn(&Subject) -> Vec<Finding>) -> Check {
    Check { name, group: Group::Space, about, judge }
}

pub(super) const CHECKS: &[Check] = &[
    check("state-storage", "whether states are compressed, and how", state_storage),
    check("link-index", "an index over time and both hashes", link_index),
];

fn state_storage(subject: &Subject) -> Vec<Finding> {
    seen(&subject.health.json_columns, |columns| {
        let mut findings = Vec::new();
        for column in columns.iter().filter(|column| column.storage == "e") {
            findings.push(Finding::warn(
                format!(
                    "{} is stored EXTERNAL, which switches compression off: compressible states take up to 50 times the \
                     space",
                    column.name
                ),
                format!("ALTER TABLE {} ALTER COLUMN {} SET STORAGE EXTENDED; -- for new rows", subject.table, column.name),
            ));
        }
        let compressed: Vec<String> = columns
            .iter()
            .map(|column| format!("{}: {}", column.name, compression(&column.compression)))
            .collect();
        or_pass(findings, format!("states are compressed ({})", compressed.join(", ")))
    })
}

fn compression(code: &str) -> &'static str {
    match code {
        "p" => "pglz",
        "l" => "lz4",
        _ => "the server's default",
    }
}

fn link_index(subject: &Subject) -> Vec<Finding> {
    seen(&subject.health.indexes, |indexes| {
        let all: i64 = indexes.iter().map(|index| index.bytes).sum();
        let wide = indexes.iter().filter(|index| {
            let has = |name: &str| names(index).contains(&name);
            has("hash") && has("previous_hash") && has("timestamp") && !index.unique
        });
        let found = wide.map(|index| {
            Finding::warn(
                format!(
                    "{} ({} of {} of indexes): the order of times is not that of the chain, and contents cannot be \
                     verified from it",
                    index.name,
                    size(index.bytes),
                    size(all)
                ),
                format!("DROP INDEX CONCURRENTLY {}; -- after: agenttrace db sql indexes, those on the hashes", index.name),
            )
        });
        or_pass(found.collect(), format!("{} of indexes, none over both hashes and the time", size(all)))
    })
}
