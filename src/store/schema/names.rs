//! The schema's name in statements that are made of text.

use crate::store::StoreError;
use crate::store::connection::Link;
use crate::store::migrations::OBJECTS;

/// What migrations lock, so that one program runs them.
pub(super) const TURN: &str = "agenttrace migrations";

/// The schema's name as it stands in statements that are made of text: quoted where it has to be. It gets into function
/// bodies and literals, too.
///
/// # Errors
/// When it has characters that would mean something there.
pub(super) async fn named(c: &mut Link, schema: &str) -> Result<String, StoreError> {
    if schema.chars().all(|c| c.is_alphanumeric() || "_-. ".contains(c)) {
        Ok(sqlx::query_scalar("SELECT quote_ident($1)").bind(schema).fetch_one(c).await?)
    } else {
        Err(StoreError::Other(format!(
            "the schema's name {} has characters that cannot be used here",
            schema.escape_debug()
        )))
    }
}

/// Our statements with each object of ours named by its schema, as [`named`]. Bodies of functions stay as they are: they
/// name their objects in full, and are compared with what the database has.
pub(super) fn qualified(sql: &str, schema: &str) -> String {
    let mut out = String::with_capacity(sql.len() + 256);
    let mut rest = sql;
    loop {
        let (text, body) = match rest.split_once("AS $$") {
            Some((text, after)) => (text, after.split_once("$$")),
            None => (rest, None),
        };
        qualify(text, schema, &mut out);
        let Some((body, after)) = body else { return out };
        for piece in ["AS $$", body, "$$"] {
            out.push_str(piece);
        }
        rest = after;
    }
}

fn qualify(text: &str, schema: &str, out: &mut String) {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let text = text.replace("current_schema()", &format!("'{}'", schema.trim_matches('"')));
    let mut before = ' ';
    let mut rest = text.as_str();
    while let Some(first) = rest.chars().next() {
        let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len()).max(first.len_utf8());
        let (word, after) = rest.split_at(length);
        if OBJECTS.contains(&word) && before != '.' {
            out.push_str(schema);
            out.push('.');
        }
        out.push_str(word);
        before = word.chars().next_back().unwrap_or(' ');
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::migrations::{FUNCTIONS, MIGRATOR, body_of};

    #[test]
    fn every_object_of_the_migrations_is_named_by_its_schema_and_bodies_stay() {
        let all: String = MIGRATOR.iter().map(|m| qualified(m.sql.as_str(), "\"A b\"")).collect();
        for (n, line) in all.lines().filter(|line| !line.trim_start().starts_with("--")).enumerate() {
            for made in ["CREATE TABLE ", "CREATE FUNCTION ", "CREATE MATERIALIZED VIEW "] {
                if let Some(name) = line.strip_prefix(made) {
                    assert!(name.starts_with("\"A b\"."), "{n}: {line}");
                }
            }
            for open in [" ON audit_", "FROM audit_", "TABLE audit_", "FUNCTION agenttrace_"] {
                assert!(!line.contains(open), "{n}: {line}");
            }
        }
        assert!(!all.contains("current_schema") && all.contains("quote_ident('A b')"), "{all}");
        for function in FUNCTIONS {
            assert!(all.contains(body_of(function).unwrap()), "{function}");
        }
        // Each table and function once in its definition.
        for object in OBJECTS {
            assert!(all.contains(&format!("\"A b\".{object}")), "{object}");
        }
    }
}
