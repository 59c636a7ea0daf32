//! Conditions on the text of an event: words, and regular expressions.

use crate::filter::{Expr, Regex, Words};
use crate::store::capabilities::{Capabilities, Column};
use sqlx::{Postgres, QueryBuilder};

/// The columns with text that an analyst reads, in the order of the search vector.
const COLUMNS: [&str; 6] =
    ["event_type", "resource_type", "resource_id", "resource_name", "actor_id", "actor_email"];

/// What separates the parts of an identifier in the search vector.
const SEPARATORS: [char; 6] = ['.', '_', '-', ':', '@', '/'];

/// Where the words of an event come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Vector {
    /// The column `search_vector` of our own schema.
    Stored,
    /// Computed for each row, the same that our schema stores.
    Computed,
}

impl Vector {
    /// What the table offers.
    pub(crate) fn of(capabilities: &Capabilities) -> Self {
        let is_vector = |column: &Column| column.name == "search_vector" && column.type_name == "tsvector";
        if capabilities.columns.iter().any(is_vector) { Self::Stored } else { Self::Computed }
    }

    fn push(self, sql: &mut QueryBuilder<Postgres>) {
        let Self::Computed = self else {
            sql.push("search_vector");
            return;
        };
        let ids = COLUMNS.map(|column| format!("coalesce({column}, '')")).join(" || ' ' || ");
        let state = |column: &str| format!("coalesce(left({column}::text, 32768), '')");
        sql.push('(');
        for (n, text) in
            [format!("left({ids}, 4096)"), state("new_state"), state("previous_state")].iter().enumerate()
        {
            sql.push(if n == 0 { "" } else { " || " }).push("to_tsvector('pg_catalog.simple', ");
            sql.push("replace(".repeat(SEPARATORS.len())).push(text);
            for separator in SEPARATORS {
                sql.push(format_args!(", '{separator}', ' ')"));
            }
            sql.push(')');
        }
        sql.push(')');
    }
}

/// The words follow one another in the event, whatever separates them.
pub(super) fn push_words(sql: &mut QueryBuilder<Postgres>, words: &Words, vector: Vector) {
    sql.push('(');
    vector.push(sql);
    sql.push(" @@ ");
    query(sql, words);
    sql.push(')');
}

/// The words as an expression of type `tsquery`: split as the vector's texts were, so that an identifier is a phrase
/// of its parts. Null where PostgreSQL finds no word in them.
fn query(sql: &mut QueryBuilder<Postgres>, words: &Words) {
    let text = words.text.replace(SEPARATORS, " ");
    if words.prefix {
        sql.push("(nullif(phraseto_tsquery('pg_catalog.simple', ").push_bind(text);
        sql.push(")::text, '') || ':*')::tsquery");
    } else {
        sql.push("phraseto_tsquery('pg_catalog.simple', ").push_bind(text).push(")");
    }
}

/// Words, or alternatives of them, as an expression of type `tsquery`. Null where PostgreSQL finds no word in them:
/// such a condition never holds, while an empty query would be left out of a conjunction.
pub(super) fn push_query(sql: &mut QueryBuilder<Postgres>, expr: &Expr) {
    sql.push("nullif(");
    match expr {
        Expr::Words(words) => query(sql, words),
        Expr::Or(parts) => {
            for (n, part) in parts.iter().enumerate() {
                sql.push(if n == 0 { "coalesce(" } else { " || coalesce(" });
                push_query(sql, part);
                sql.push(", '')");
            }
        }
        // Nothing else is searched for by its words.
        _ => {
            sql.push("NULL");
        }
    }
    sql.push(", ''::tsquery)");
}

/// The pattern matches one of the texts, each by itself.
pub(super) fn push_regex(sql: &mut QueryBuilder<Postgres>, regex: &Regex) {
    let operator = if regex.ignore_case { "~*" } else { "~" };
    sql.push('(');
    for (n, text) in COLUMNS.into_iter().chain(["new_state::text", "previous_state::text"]).enumerate() {
        sql.push(if n == 0 { "" } else { " OR " });
        sql.push(format_args!("{text} {operator} ")).push_bind(regex.pattern.clone());
    }
    sql.push(')');
}
