//! Conditions on the text of an event: words, and regular expressions.

use crate::filter::{Regex, Words};
use sqlx::{Postgres, QueryBuilder};

/// The columns with text that an analyst reads: what the search vector holds.
const COLUMNS: [&str; 6] =
    ["event_type", "resource_type", "resource_id", "resource_name", "actor_id", "actor_email"];

/// What separates the parts of an identifier in the search vector.
const SEPARATORS: [char; 6] = ['.', '_', '-', ':', '@', '/'];

/// The words follow one another in the event, whatever separates them.
pub(super) fn push_words(sql: &mut QueryBuilder<Postgres>, words: &Words) {
    sql.push("(search_vector @@ ");
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
