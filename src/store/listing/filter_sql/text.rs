//! Conditions on the text of an event: words, and regular expressions.

use crate::filter::{Expr, Regex, Words};
use crate::store::connection::capabilities::{Capabilities, Column};
use crate::store::listing::filter_sql::Setting;
use crate::store::listing::search::TextIndex;
use sqlx::{Postgres, QueryBuilder};
use std::sync::Arc;

/// Most types of an organisation that are read to find those that have a word as a part.
const MOST_TYPES: u32 = 1_000;

/// The columns with text that an analyst reads, in the order of the search vector.
const COLUMNS: [&str; 6] =
    ["event_type", "resource_type", "resource_id", "resource_name", "actor_id", "actor_email"];

/// All columns with words: these, and the states.
pub(crate) const SEARCHED: [&str; 8] = [
    "event_type",
    "resource_type",
    "resource_id",
    "resource_name",
    "actor_id",
    "actor_email",
    "previous_state",
    "new_state",
];

/// What separates the parts of an identifier in the search vector.
const SEPARATORS: [char; 6] = ['.', '_', '-', ':', '@', '/'];

/// Where the words of an event come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Vector {
    /// The column `search_vector` of our own schema.
    Stored,
    /// Computed for each row, the same that our schema stores.
    Computed,
    /// What somebody else's index holds.
    Indexed(Arc<TextIndex>),
}

impl Vector {
    /// What the table offers.
    pub(crate) fn of(capabilities: &Capabilities) -> Self {
        let is_vector = |column: &Column| column.name == "search_vector" && column.type_name == "tsvector";
        if capabilities.columns.iter().any(is_vector) {
            // Events may be missing in a vector that is not as we make it.
            let trusted = capabilities.vector_altered.is_empty();
            return if trusted { Self::Stored } else { Self::Computed };
        }
        TextIndex::of(capabilities).map_or(Self::Computed, |index| Self::Indexed(Arc::new(index)))
    }
}

/// The words of an event as our schema stores them, computed.
fn push_computed(sql: &mut QueryBuilder<Postgres>) {
    // Columns of different collations cannot be put together otherwise.
    let ids = COLUMNS.map(|column| format!("coalesce({column} COLLATE \"C\", '')")).join(" || ' ' || ");
    let state = |column: &str| format!("coalesce(left({}, 32768), '')", printed(column));
    sql.push('(');
    for (n, text) in
        [format!("left({ids}, 4096)"), state("new_state"), state("previous_state")].iter().enumerate()
    {
        sql.push(if n == 0 { "" } else { " || " });
        push_split(sql, text);
    }
    sql.push(')');
}

/// The text of a state; empty where a number in it has more than 4096 digits, because some kilobytes of `1e131071` are
/// more text than the server can hold. Looking for such numbers costs a fifth of computing the words.
fn printed(column: &str) -> String {
    format!(
        "CASE WHEN jsonb_path_exists({column}, 'strict $.** ? (@ >= 1e4096 || @ <= -1e4096)') THEN '' \
         ELSE {column}::text END"
    )
}

/// The words of a text, identifiers split into their parts.
fn push_split(sql: &mut QueryBuilder<Postgres>, text: &str) {
    sql.push("to_tsvector('pg_catalog.simple', ").push("replace(".repeat(SEPARATORS.len())).push(text);
    for separator in SEPARATORS {
        sql.push(format_args!(", '{separator}', ' ')"));
    }
    sql.push(')');
}

/// The words of an event, as an expression of type `tsvector`.
pub(crate) fn push_vector(sql: &mut QueryBuilder<Postgres>, vector: &Vector) {
    match vector {
        Vector::Stored => {
            sql.push("search_vector");
        }
        Vector::Computed => push_computed(sql),
        Vector::Indexed(index) => {
            sql.push(&index.expression);
        }
    }
}

/// The words follow one another in the event, whatever separates them.
pub(super) fn push_words(sql: &mut QueryBuilder<Postgres>, words: &Words, setting: Setting<'_>) {
    sql.push('(');
    push_vector(sql, setting.vector);
    sql.push(" @@ ");
    match setting.vector {
        Vector::Stored | Vector::Computed => query(sql, words),
        Vector::Indexed(index) => {
            query_in(sql, &index.configuration, words.text.clone(), words.prefix);
            if let Some(categories) = &index.categories {
                push_types(sql, words, index, categories, setting.organization);
            }
        }
    }
    sql.push(')');
}

/// `WITH RECURSIVE met (event_category, event_type, n)`: the first types of an organisation, read from the index on them
/// from one to the next.
pub(in crate::store) fn push_types_met(
    sql: &mut QueryBuilder<Postgres>,
    table: &str,
    organization: &str,
    most: u32,
) {
    sql.push(format_args!(
        "WITH RECURSIVE met AS ((SELECT event_category, event_type, 1 AS n FROM {table} WHERE organization_id = ",
    ));
    sql.push_bind(organization.to_owned()).push(format_args!(
        " ORDER BY event_category, event_type LIMIT 1) UNION ALL SELECT next.* FROM met CROSS JOIN LATERAL (SELECT \
         e.event_category, e.event_type, met.n + 1 FROM {table} e WHERE e.organization_id = ",
    ));
    sql.push_bind(organization.to_owned()).push(format_args!(
        " AND (e.event_category, e.event_type) > (met.event_category, met.event_type) \
         ORDER BY e.event_category, e.event_type LIMIT 1) next WHERE met.n < {most})"
    ));
}

/// ` OR` the type has the words as its parts, which somebody else's index does not know. The types of an organisation
/// are few: they are read from the index on them, from one to the next, once for the statement.
fn push_types(
    sql: &mut QueryBuilder<Postgres>,
    words: &Words,
    index: &TextIndex,
    categories: &[String],
    organization: &str,
) {
    sql.push(" OR event_category = ANY(")
        .push_bind(categories.to_vec())
        .push(") AND event_type = ANY(ARRAY(");
    push_types_met(sql, &index.table, organization, MOST_TYPES);
    sql.push(" SELECT event_type FROM met WHERE ");
    push_split(sql, "event_type");
    sql.push(" @@ ");
    query(sql, words);
    sql.push("))");
}

/// The words as an expression of type `tsquery`: split as the vector's texts were, so that an identifier is a phrase
/// of its parts. Null where PostgreSQL finds no word in them.
fn query(sql: &mut QueryBuilder<Postgres>, words: &Words) {
    query_in(sql, "'pg_catalog.simple'", words.text.replace(SEPARATORS, " "), words.prefix);
}

/// A text as words of a configuration, which is a literal of SQL.
fn query_in(sql: &mut QueryBuilder<Postgres>, configuration: &str, text: String, prefix: bool) {
    sql.push(if prefix { "(nullif(phraseto_tsquery(" } else { "phraseto_tsquery(" });
    sql.push(configuration).push(", ").push_bind(text);
    sql.push(if prefix { ")::text, '') || ':*')::tsquery" } else { ")" });
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
    let states = ["new_state", "previous_state"].map(printed);
    for (n, text) in COLUMNS.into_iter().chain(states.iter().map(String::as_str)).enumerate() {
        sql.push(if n == 0 { "" } else { " OR " });
        sql.push(format_args!("{text} {operator} ")).push_bind(regex.pattern.clone());
    }
    sql.push(')');
}
