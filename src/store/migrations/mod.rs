//! Our schema as its migrations define it. What they make is compared with what a database has.

pub(super) mod vector;

use sqlx::migrate::{Migration, Migrator};

/// The migrations.
pub(in crate::store) static MIGRATOR: Migrator = sqlx::migrate!("assets/migrations");
/// Functions that the migrations make and tables call.
pub(in crate::store) const FUNCTIONS: [&str; 2] = ["agenttrace_search_vector_v1", "agenttrace_refuse"];
/// All objects that are named in migrations by their schema; triggers, indexes and constraints are not.
pub(in crate::store) const OBJECTS: [&str; 7] = [
    "audit_events",
    "audit_chain_heads",
    "audit_archive_segments",
    "audit_daily_summary",
    "agenttrace_ensure_partition",
    FUNCTIONS[0],
    FUNCTIONS[1],
];

/// A migration as people see it.
pub(in crate::store) fn title(migration: &Migration) -> String {
    format!("{:04} {}", migration.version, migration.description)
}

/// The body of a function as the migrations make it.
pub(in crate::store) fn body_of(function: &str) -> Option<&'static str> {
    let begin = format!("CREATE FUNCTION {function}(");
    MIGRATOR.iter().find_map(|migration| {
        let (_, after) = migration.sql.as_str().split_once(&begin)?;
        let (_, body) = after.split_once("AS $$")?;
        Some(body.split_once("$$")?.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bodies_of_functions_are_found() {
        assert!(body_of("agenttrace_refuse").unwrap().contains("append-only"));
        assert_eq!(body_of("agenttrace_other"), None);
    }
}
