//! What a table of events offers, read from the catalogue: its columns, constraints, indexes, layout. The statements of
//! the other modules are chosen by it, so that somebody else's table is read as well as its own indexes allow.

use super::schema::Layout;
use super::{ReadDb, StoreError, identity};
use crate::domain;
use sha2::{Digest as _, Sha256};
use sqlx::{PgConnection, Row as _};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// What there is. Nothing of it is changed by reading; see [`ReadDb::capabilities`].
#[derive(Debug, Clone, PartialEq)]
pub struct Capabilities {
    /// Version of the server, such as 150018.
    pub server_version: i32,
    /// Who asks which table: answers to the same question differ between any two of these.
    pub identity: String,
    /// The server is a replica.
    pub is_replica: bool,
    /// The role may add events.
    pub can_insert: bool,
    /// Row-level security is in force for the role.
    pub row_security: bool,
    /// How the rows are kept.
    pub layout: Layout,
    /// Tables that hold rows: 1, or the partitions.
    pub partitions: u32,
    /// Blocks of the largest of them.
    pub blocks: u32,
    /// Rows by the planner's statistics; `None` before the first ANALYZE.
    pub estimated_rows: Option<u64>,
    /// Days since the statistics were gathered, of the table (or partition) where that is longest ago.
    pub statistics_age_days: Option<f64>,
    /// The columns.
    pub columns: Vec<Column>,
    /// The indexes, those of the whole table where it is partitioned.
    pub indexes: Vec<Index>,
    /// Words that a column is confined to by a valid CHECK.
    pub domains: Vec<(String, Vec<String>)>,
    /// Where the days of the materialised view `audit_daily_summary` may be read, if it is there and has been filled:
    /// the view itself, or the rows of it that are granted to the role.
    pub daily_summary: Option<&'static str>,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type as PostgreSQL prints it.
    pub type_name: String,
    /// NULL is refused.
    pub not_null: bool,
}

/// An index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// Its name.
    pub name: String,
    /// Access method: `btree`, `gin`.
    pub method: String,
    /// Queries may use it.
    pub valid: bool,
    /// It forbids duplicates.
    pub unique: bool,
    /// What it is sorted by.
    pub keys: Vec<Key>,
    /// The rows it holds, for a partial index.
    pub predicate: Option<Predicate>,
}

/// A column of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Name of the column, or the text of an expression.
    pub of: String,
    /// Sorted downwards.
    pub descending: bool,
}

/// Which rows a partial index holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Predicate {
    /// Rows whose column has one of these values.
    OneOf(String, Vec<String>),
    /// Rows whose column has a value.
    NotNull(String),
    /// Something else: the index is not counted on.
    Other(String),
}

/// How the events of one instant are ordered in a newest-first listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ties {
    /// By descending id, as our own indexes are.
    #[default]
    Aligned,
    /// By ascending id: the index on time is `(…, timestamp DESC, event_id)`, as the seed's. Following it costs
    /// nothing; sorting against it reads all events of an instant for each page.
    Mirrored,
}

/// How words are searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextSearch<'a> {
    /// A stored vector, with a GIN index: the column.
    Stored(&'a str),
    /// A GIN index on an expression, which has to be repeated literally: the expression.
    Expression(&'a str),
    /// No index helps.
    None,
}

impl Capabilities {
    /// Whether there are rows with addresses: a table or a partitioned one, not a view or a foreign table.
    pub fn is_table(&self) -> bool {
        self.layout != Layout::Other
    }

    /// Columns of the seed that are not there.
    pub fn missing_columns(&self) -> Vec<&'static str> {
        let there = |name: &&str| self.columns.iter().any(|c| c.name == **name);
        domain::COLUMNS.into_iter().filter(|name| !there(name)).collect()
    }

    /// The index that pages of the whole timeline come from: `(organization_id, timestamp, …)`, if possible with the
    /// id behind it.
    pub fn time_index(&self) -> Option<&Index> {
        let usable = |index: &&Index| {
            index.is_ordered()
                && index.predicate.is_none()
                && index.starts_with(&["organization_id", "timestamp"])
        };
        self.indexes.iter().filter(usable).min_by_key(|index| match index.ties() {
            Some(Ties::Aligned) => 0,
            Some(Ties::Mirrored) => 1,
            None => 2,
        })
    }

    /// How events of one instant are ordered.
    pub fn ties(&self) -> Ties {
        self.time_index().and_then(Index::ties).unwrap_or_default()
    }

    /// How words are searched.
    pub fn text_search(&self) -> TextSearch<'_> {
        let mut found = TextSearch::None;
        for index in self.indexes.iter().filter(|i| i.valid && i.method == "gin" && i.predicate.is_none()) {
            for key in &index.keys {
                if self.columns.iter().any(|c| c.name == key.of && c.type_name == "tsvector") {
                    return TextSearch::Stored(&key.of);
                }
                if key.of.starts_with("to_tsvector(") {
                    found = TextSearch::Expression(&key.of);
                }
            }
        }
        found
    }
}

impl Index {
    /// A B-tree that queries may use.
    pub(super) fn is_ordered(&self) -> bool {
        self.valid && self.method == "btree"
    }

    fn starts_with(&self, columns: &[&str]) -> bool {
        self.keys.len() >= columns.len()
            && self.keys.iter().zip(columns).all(|(key, column)| key.of == *column)
    }

    /// How it orders events of one instant; `None` when it does not.
    pub(super) fn ties(&self) -> Option<Ties> {
        let time = self.keys.iter().position(|key| key.of == "timestamp")?;
        let (time, id) = (self.keys.get(time)?, self.keys.get(time + 1)?);
        let aligned = time.descending == id.descending;
        (id.of == "event_id").then_some(if aligned { Ties::Aligned } else { Ties::Mirrored })
    }
}

impl ReadDb {
    /// What the table offers, read at the first call and again a minute later.
    ///
    /// # Errors
    /// [`StoreError::NoTable`] when there is no table of events.
    pub async fn capabilities(&self, cancel: &CancellationToken) -> Result<Arc<Capabilities>, StoreError> {
        if let Some(known) = self.known_capabilities() {
            return Ok(known);
        }
        let read = self.run(cancel, read).await?.ok_or(StoreError::NoTable)?;
        Ok(self.remember_capabilities(read))
    }
}

/// One row about the table.
const TABLE: &str = "
    SELECT current_setting('server_version_num')::int4, pg_is_in_recovery(),
        has_table_privilege(c.oid, 'INSERT'), row_security_active(c.oid),
        CASE WHEN c.relkind = 'r' THEN 'plain' WHEN c.relkind = 'p' THEN p.partstrat::text END,
        leaves.tables, leaves.blocks, leaves.rows, leaves.age,
        (SELECT CASE WHEN has_table_privilege(m.oid, 'SELECT') THEN 0
                     WHEN has_table_privilege(to_regclass('audit_daily_summary_granted'), 'SELECT') THEN 1 END
         FROM pg_catalog.pg_class m
         WHERE m.oid = to_regclass('audit_daily_summary') AND m.relkind = 'm' AND m.relispopulated),
        c.oid::int8, concat_ws('/', session_user, current_user, current_setting('agenttrace.organization_id', true)),
        pg_postmaster_start_time()::text
    FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = c.oid
    CROSS JOIN LATERAL (
        SELECT count(*)::int4 AS tables,
            coalesce(max(pg_relation_size(t.oid)) / current_setting('block_size')::int8, 0)::int8 AS blocks,
            CASE WHEN bool_or(t.reltuples >= 0) AND bool_and(t.reltuples >= 0 OR pg_relation_size(t.oid) = 0)
                THEN sum(greatest(t.reltuples, 0)::float8)::int8 END AS rows,
            CASE WHEN bool_and(a.at IS NOT NULL OR pg_relation_size(t.oid) = 0) THEN extract(epoch FROM now() - min(a.at))::float8 / 86400 END AS age
        FROM pg_catalog.pg_class t LEFT JOIN LATERAL (
            SELECT greatest(s.last_analyze, s.last_autoanalyze) AS at
            FROM pg_catalog.pg_stat_user_tables s WHERE s.relid = t.oid) a ON true
        WHERE t.relkind = 'r'
          AND (t.oid = c.oid OR t.oid IN (SELECT relid FROM pg_partition_tree(c.oid) WHERE isleaf))) leaves
    WHERE c.oid = to_regclass('audit_events')";

const COLUMNS: &str = "
    SELECT attname::text, format_type(atttypid, atttypmod), attnotnull FROM pg_catalog.pg_attribute
    WHERE attrelid = $1::int8::oid AND attnum > 0 AND NOT attisdropped ORDER BY attnum";

/// Bit 0 of an index column's option is the direction.
const INDEXES: &str = "
    SELECT i.relname::text, m.amname::text, x.indisvalid AND x.indisready, x.indisunique,
        ARRAY(SELECT pg_get_indexdef(x.indexrelid, k, true) FROM generate_series(1, x.indnkeyatts) k),
        ARRAY(SELECT (x.indoption[k - 1] & 1) = 1 FROM generate_series(1, x.indnkeyatts) k),
        pg_get_expr(x.indpred, x.indrelid, true)
    FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid
        JOIN pg_catalog.pg_am m ON m.oid = i.relam
    WHERE x.indrelid = $1::int8::oid ORDER BY i.relname";

const CHECKS: &str = "
    SELECT pg_get_expr(conbin, conrelid, true) FROM pg_catalog.pg_constraint
    WHERE conrelid = $1::int8::oid AND contype = 'c' AND convalidated ORDER BY conname";

async fn read(c: &mut PgConnection) -> Result<Option<Capabilities>, sqlx::Error> {
    let Some(row) = sqlx::query(TABLE).fetch_optional(&mut *c).await? else { return Ok(None) };
    let table: i64 = row.try_get(10)?;
    let mut columns = Vec::new();
    for column in sqlx::query(COLUMNS).bind(table).fetch_all(&mut *c).await? {
        columns.push(Column {
            name: column.try_get(0)?,
            type_name: column.try_get(1)?,
            not_null: column.try_get(2)?,
        });
    }
    let mut indexes = Vec::new();
    for index in sqlx::query(INDEXES).bind(table).fetch_all(&mut *c).await? {
        let keys: Vec<String> = index.try_get(4)?;
        let descending: Vec<bool> = index.try_get(5)?;
        let key = |(of, descending): (String, bool)| Key { of: unquoted(&of), descending };
        indexes.push(Index {
            name: index.try_get(0)?,
            method: index.try_get(1)?,
            valid: index.try_get(2)?,
            unique: index.try_get(3)?,
            keys: keys.into_iter().zip(descending).map(key).collect(),
            predicate: index.try_get::<Option<String>, _>(6)?.as_deref().map(predicate),
        });
    }
    let checks: Vec<String> = sqlx::query_scalar(CHECKS).bind(table).fetch_all(&mut *c).await?;
    let identity = identity::of(c, table).await?;
    let domains = checks.iter().filter_map(|check| match predicate(check) {
        Predicate::OneOf(column, values) => Some((column, values)),
        _ => None,
    });
    // A role may be told nothing of the cluster; when its server was started is then what tells it from others.
    let (role, started): (&str, &str) = (row.try_get(11)?, row.try_get(12)?);
    Ok(Some(Capabilities {
        identity: format!("{identity} {started} {} {role}", short_hash(&format!("{columns:?}"))),
        server_version: row.try_get(0)?,
        is_replica: row.try_get(1)?,
        can_insert: row.try_get(2)?,
        row_security: row.try_get(3)?,
        layout: match row.try_get::<Option<&str>, _>(4)? {
            Some("plain") => Layout::Plain,
            Some("r") => Layout::Range,
            Some("h") => Layout::Hash,
            _ => Layout::Other,
        },
        partitions: row.try_get::<i32, _>(5)?.unsigned_abs(),
        blocks: u32::try_from(row.try_get::<i64, _>(6)?).unwrap_or(u32::MAX),
        estimated_rows: row.try_get::<Option<i64>, _>(7)?.map(i64::unsigned_abs),
        statistics_age_days: row.try_get(8)?,
        columns,
        indexes,
        domains: domains.collect(),
        daily_summary: row
            .try_get::<Option<i32>, _>(9)?
            .map(|way| if way == 0 { "audit_daily_summary" } else { "audit_daily_summary_granted" }),
    }))
}

fn short_hash(text: &str) -> String {
    Sha256::digest(text).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// A column's name as PostgreSQL prints it in an expression: in quotes where it is also a word of SQL, as `timestamp`.
fn unquoted(name: &str) -> String {
    match name.strip_prefix('"').and_then(|n| n.strip_suffix('"')) {
        Some(inner) => inner.replace("\"\"", "\""),
        None => name.to_owned(),
    }
}

/// Reads what PostgreSQL prints of a condition: `x IS NOT NULL`, `x::text = 'a'::text`,
/// `x::text = ANY (ARRAY['a'::character varying, …]::text[])`.
fn predicate(text: &str) -> Predicate {
    let other = || Predicate::Other(text.to_owned());
    let inner = text.strip_prefix('(').and_then(|t| t.strip_suffix(')')).unwrap_or(text);
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    if let Some(column) = inner.strip_suffix(" IS NOT NULL").map(unquoted) {
        return if is_name(&column) { Predicate::NotNull(column) } else { other() };
    }
    let Some((left, right)) = inner.split_once(" = ") else { return other() };
    let column = left.trim_matches(|c| c == '(' || c == ')');
    let column = unquoted(column.split("::").next().unwrap_or_default().trim_end_matches(')'));
    // What stands in quotes are the values; what stands between them must be nothing but casts and brackets.
    let parts: Vec<&str> = right.split('\'').collect();
    let between = parts.iter().step_by(2);
    let is_glue = |part: &&str| {
        let word = |w: &str| matches!(w, "" | "ANY" | "ARRAY" | "text" | "character" | "varying" | "bpchar");
        part.split(|c: char| !c.is_ascii_alphanumeric()).all(word)
    };
    // A doubled quote stands for itself: such values are left alone.
    if !is_name(&column) || right.contains("''") || parts.len() < 3 || !between.into_iter().all(is_glue) {
        return other();
    }
    let values = parts.iter().skip(1).step_by(2).map(|v| (*v).to_owned()).collect();
    Predicate::OneOf(column, values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_read_as_postgresql_prints_them() {
        let one_of = |column: &str, values: &[&str]| {
            Predicate::OneOf(column.to_owned(), values.iter().map(|v| (*v).to_owned()).collect())
        };
        for (text, wanted) in [
            ("event_severity::text = 'critical'::text", one_of("event_severity", &["critical"])),
            ("((event_severity)::text = 'critical'::text)", one_of("event_severity", &["critical"])),
            (
                "event_severity::text = ANY (ARRAY['warning'::character varying, 'critical'::character varying]::text[])",
                one_of("event_severity", &["warning", "critical"]),
            ),
            ("actor_ip IS NOT NULL", Predicate::NotNull("actor_ip".to_owned())),
        ] {
            assert_eq!(predicate(text), wanted, "{text}");
        }
        for text in [
            "event_severity::text = 'a'::text OR action::text = 'read'::text",
            "lower(event_severity::text) = 'a'::text",
            "event_severity::text <> 'a'::text",
            "event_severity = action",
            "length(hash::text) > 3",
            "hash::text = 'it''s'::text",
            "hash::text = 'it''s'::text AND previous_hash::text = ''::text",
        ] {
            assert_eq!(predicate(text), Predicate::Other(text.to_owned()));
        }
    }
}
