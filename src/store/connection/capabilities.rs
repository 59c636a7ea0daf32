//! What a table of events offers, read from the catalogue: its columns, constraints, indexes, layout. The statements of
//! the other modules are chosen by it, so that somebody else's table is read as well as its own indexes allow.

use crate::chain::sha256;
use crate::domain::{self, Naming};
use crate::store::connection::identity;
use crate::store::connection::trust::{self, Code, Trust};
use crate::store::connection::{Found, Layout, Link, Relation, Shape};
use crate::store::migrations::vector::{self, AlteredVector, DEFINITION};
use crate::store::{ReadDb, StoreError};
#[expect(clippy::disallowed_types, reason = "our own statement with the name of the table, quoted")]
use sqlx::AssertSqlSafe;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// What there is. Nothing of it is changed by reading; see [`ReadDb::capabilities`].
#[derive(Debug, Clone, PartialEq)]
pub struct Capabilities {
    /// The table.
    pub relation: Arc<Relation>,
    /// Version of the server, such as 150018.
    pub server_version: i32,
    /// Who asks which table: answers to the same question differ between any two of these.
    pub identity: String,
    /// Which table: `CLUSTER/DATABASE/TABLE`, whoever asks; outlives restarts, renaming and moving.
    pub table_identity: String,
    /// The server is a replica.
    pub is_replica: bool,
    /// The role may add events.
    pub can_insert: bool,
    /// Row-level security is in force for the role.
    pub row_security: bool,
    /// Code of others that runs when it is read.
    pub trust: Trust,
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
    /// Where the days of the materialised view `audit_daily_summary` may be read, if it is there, has been filled, and
    /// its days are those of UTC: the view itself, or the rows of it that are granted to the role. `DATE(timestamp)`
    /// makes days of the zone of whoever refreshed it, which nobody can tell afterwards.
    pub daily_summary: Option<String>,
    /// The table of chain heads, in SQL, where it may be read and belongs to whoever owns the events.
    pub chain_heads: Option<String>,
    /// The function that searches with the rights of the owner, in SQL, where it belongs to that very owner.
    pub search_function: Option<String>,
    /// The table has the search vector of our own schema.
    pub has_our_vector: bool,
    /// Where the search vector of our own schema is not defined as the migrations define it: searches do not use it then.
    pub vector_altered: Vec<AlteredVector>,
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
    /// Its collation takes different texts for equal.
    pub is_loose: bool,
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

    /// Why searches do not use the search vector of our own schema, in words; `None` where they do, and without one.
    pub fn altered_vector(&self) -> Option<String> {
        let words: Vec<String> = self.vector_altered.iter().map(AlteredVector::words).collect();
        (!words.is_empty()).then(|| words.join("; "))
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
    pub(in crate::store) fn is_ordered(&self) -> bool {
        self.valid && self.method == "btree"
    }

    fn starts_with(&self, columns: &[&str]) -> bool {
        self.keys.len() >= columns.len()
            && self.keys.iter().zip(columns).all(|(key, column)| key.of == *column)
    }

    /// How it orders events of one instant; `None` when it does not.
    pub(in crate::store) fn ties(&self) -> Option<Ties> {
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
            if let Err(reason) = &known.relation.shape {
                return Err(StoreError::Unfit(reason.clone()));
            }
            return Ok(known);
        }
        let relation = self.relation(cancel).await?;
        let naming = &self.settings().naming;
        let read = self.run(cancel, async |c: &mut Link| read(c, &relation, naming).await).await?;
        let read = read.ok_or(StoreError::NoTable)?;
        self.guard(&read.trust)?;
        let read = self.remember_capabilities(read);
        // It may have been altered since.
        self.relation(cancel).await?;
        Ok(read)
    }
}

/// Everything about the table `{oid}` in one message. The first column says which rows are of which statement. Helpers count only if they belong to the owner of the table: others can put what they like beside it.
const CATALOGUE: &str = "
    SELECT 't', current_setting('server_version_num')::int4, pg_is_in_recovery(),
        has_table_privilege(c.oid, 'INSERT'), row_security_active(c.oid),
        CASE WHEN c.relkind = 'r' THEN 'plain' WHEN c.relkind = 'p' THEN p.partstrat::text END,
        leaves.tables, leaves.blocks, leaves.rows, leaves.age,
        pg_get_userbyid(c.relowner),
        concat_ws('/', session_user, current_user, current_setting('agenttrace.organization_id', true)),
        pg_postmaster_start_time()::text, c.oid::int8, current_user::text, current_setting('is_superuser') = 'on',
        c.relkind::text, has_table_privilege(c.oid, 'SELECT')
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
        WHERE t.relkind = 'r' AND t.oid IN (
            WITH RECURSIVE tree (oid) AS (
                SELECT c.oid
                UNION SELECT i.inhrelid FROM tree JOIN pg_catalog.pg_inherits i ON i.inhparent = tree.oid)
            SELECT oid FROM tree)) leaves
    WHERE c.oid = {oid};
    SELECT 'c', attname::text, format_type(atttypid, atttypmod), attnotnull, EXISTS (
        SELECT FROM pg_catalog.pg_collation l WHERE l.oid = attcollation AND NOT l.collisdeterministic),
        (WITH RECURSIVE base (oid, below) AS (
            SELECT t.oid, t.typbasetype FROM pg_catalog.pg_type t WHERE t.oid = atttypid
            UNION ALL SELECT t.oid, t.typbasetype FROM base JOIN pg_catalog.pg_type t ON t.oid = base.below)
        SELECT format_type(base.oid, NULL) FROM base WHERE base.below = 0),
        has_column_privilege(attrelid, attnum, 'SELECT')
    FROM pg_catalog.pg_attribute
    WHERE attrelid = {oid} AND attnum > 0 AND NOT attisdropped ORDER BY attnum;
    -- Bit 0 of an index column's option is the direction.
    SELECT 'i', i.relname::text, m.amname::text, x.indisvalid AND x.indisready, x.indisunique,
        ARRAY(SELECT pg_get_indexdef(x.indexrelid, k, true) FROM generate_series(1, x.indnkeyatts) k),
        ARRAY(SELECT (x.indoption[k - 1] & 1) = 1 FROM generate_series(1, x.indnkeyatts) k),
        pg_get_expr(x.indpred, x.indrelid, true)
    FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid
        JOIN pg_catalog.pg_am m ON m.oid = i.relam
    WHERE x.indrelid = {oid} ORDER BY i.relname;
    SELECT 'k', pg_get_expr(conbin, conrelid, true) FROM pg_catalog.pg_constraint
    WHERE conrelid = {oid} AND contype = 'c' AND convalidated ORDER BY conname;
    SELECT 'h', h.relname::text FROM pg_catalog.pg_class h, pg_catalog.pg_class c
    WHERE c.oid = {oid} AND h.relnamespace = c.relnamespace AND h.relowner = c.relowner
      AND (h.relname, h.relkind) IN (('audit_chain_heads', 'r'), ('audit_daily_summary', 'm'), ('audit_daily_summary_granted', 'v'))
      AND (h.relkind <> 'm' OR h.relispopulated AND pg_get_viewdef(h.oid) ~ 'AT TIME ZONE ''UTC''')
      AND has_table_privilege(h.oid, 'SELECT');
    SELECT 'h', p.proname::text FROM pg_catalog.pg_proc p, pg_catalog.pg_class c
    WHERE c.oid = {oid} AND p.pronamespace = c.relnamespace AND p.proowner = c.relowner
      AND p.proname = 'agenttrace_search' AND has_function_privilege(p.oid, 'EXECUTE')";

/// What the catalogue says about a table; `None` when it is not there any more.
pub(in crate::store) async fn read(
    c: &mut Link,
    relation: &Relation,
    naming: &Naming,
) -> Result<Option<Capabilities>, sqlx::Error> {
    // By its name: a change of layout puts another table in its place.
    let table = relation.regclass();
    let catalogue = format!("{CATALOGUE};{DEFINITION}").replace("{oid}", &table);
    let catalogue = format!("{catalogue};{}", trust::of_reading(&table));
    let rows = sqlx::raw_sql(AssertSqlSafe(catalogue)).fetch_all(&mut *c).await?;
    let (mut table, mut columns, mut indexes, mut domains, mut helpers, mut code, mut vector_altered) =
        (None, Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut has_our_vector = false;
    let mut found = Vec::new();
    for row in rows {
        match row.try_get::<&str, _>(0)? {
            "t" => table = Some(row),
            "c" => {
                found.push(Found {
                    name: row.try_get(1)?,
                    type_name: row.try_get(2)?,
                    base: row.try_get::<Option<String>, _>(5)?.unwrap_or_default(),
                    granted: row.try_get(6)?,
                });
                columns.push(Column {
                    name: row.try_get(1)?,
                    type_name: row.try_get(2)?,
                    not_null: row.try_get(3)?,
                    is_loose: row.try_get(4)?,
                });
            }
            "i" => indexes.push(index(&row)?),
            "k" => {
                if let Predicate::OneOf(column, values) = predicate(row.try_get(1)?) {
                    domains.push((column, values));
                }
            }
            "v" => {
                has_our_vector |= row.try_get::<Option<&str>, _>(1)?.is_some();
                vector_altered.extend(vector::altered(&row)?);
            }
            "x" => code.push(Code::read(&row)?),
            _ => helpers.push(row.try_get::<String, _>(1)?),
        }
    }
    let Some(row) = table else { return Ok(None) };
    let mut relation = relation.clone();
    (relation.owner, relation.oid) = (row.try_get(10)?, row.try_get(13)?);
    let (kind, whole): (&str, bool) = (row.try_get(16)?, row.try_get(17)?);
    relation.shape = Shape::of(relation.named(), kind, whole, &found, naming, row.try_get(1)?);
    let identity_of = format!("{columns:?}");
    if let Ok(shape) = &relation.shape
        && !relation.is_as_ours()
    {
        (columns, indexes) = (shape.columns(columns), shape.indexes(indexes));
        domains.retain(|(column, _): &(String, Vec<String>)| shape.unchanged.contains_key(column));
    }
    // Rows of what is read through a query are not looked for by their addresses.
    let by_address = relation.is_as_ours();
    let identity = identity::of(c.bare(), relation.oid).await?;
    let helper = |name: &str| helpers.iter().any(|found| found == name).then(|| relation.beside(name));
    // A role may be told nothing of the cluster; when its server was started is then what tells it from others.
    let (role, started): (&str, &str) = (row.try_get(11)?, row.try_get(12)?);
    Ok(Some(Capabilities {
        relation: Arc::new(relation.clone()),
        identity: format!("{identity} {started} {} {role}", short_hash(&identity_of)),
        table_identity: identity,
        server_version: row.try_get(1)?,
        is_replica: row.try_get(2)?,
        can_insert: row.try_get(3)?,
        row_security: row.try_get(4)?,
        trust: Trust { writing: false, role: row.try_get(14)?, superuser: row.try_get(15)?, code },
        layout: match row.try_get::<Option<&str>, _>(5)?.filter(|_| by_address) {
            Some("plain") => Layout::Plain,
            Some("r") => Layout::Range,
            Some("h") => Layout::Hash,
            _ => Layout::Other,
        },
        partitions: row.try_get::<i32, _>(6)?.unsigned_abs(),
        blocks: u32::try_from(row.try_get::<i64, _>(7)?).unwrap_or(u32::MAX),
        estimated_rows: row.try_get::<Option<i64>, _>(8)?.map(i64::unsigned_abs),
        statistics_age_days: row.try_get(9)?,
        columns,
        indexes,
        domains,
        daily_summary: helper("audit_daily_summary").or_else(|| helper("audit_daily_summary_granted")),
        chain_heads: helper("audit_chain_heads"),
        search_function: helper("agenttrace_search"),
        has_our_vector,
        vector_altered,
    }))
}

impl Shape {
    /// The columns that it is read with, by our names; with what is known of those that are taken over unchanged.
    fn columns(&self, theirs: Vec<Column>) -> Vec<Column> {
        let known = |ours: &str| {
            theirs.iter().find(|column| self.unchanged.get(&column.name).is_some_and(|name| name == ours))
        };
        let type_of = |ours: &str| match ours {
            "timestamp" => "timestamp with time zone",
            "actor_ip" => "inet",
            "previous_state" | "new_state" => "jsonb",
            _ => "text",
        };
        let column = |ours: &&str| Column {
            name: (*ours).to_owned(),
            type_name: known(ours).map_or_else(|| type_of(ours).to_owned(), |c| c.type_name.clone()),
            not_null: known(ours).is_some_and(|c| c.not_null),
            is_loose: known(ours).is_some_and(|c| c.is_loose),
        };
        let words = theirs.iter().filter(|column| column.name == "search_vector");
        domain::COLUMNS.iter().map(column).chain(words.cloned()).collect()
    }

    /// The indexes that serve what is read through it, their columns by our names.
    fn indexes(&self, theirs: Vec<Index>) -> Vec<Index> {
        let renamed = |mut index: Index| {
            for key in &mut index.keys {
                if key.of != "search_vector" {
                    key.of = self.unchanged.get(&key.of)?.clone();
                }
            }
            match &mut index.predicate {
                None => {}
                Some(Predicate::OneOf(column, _) | Predicate::NotNull(column)) => {
                    *column = self.unchanged.get(column)?.clone();
                }
                Some(Predicate::Other(_)) => return None,
            }
            Some(index)
        };
        theirs.into_iter().filter_map(renamed).collect()
    }
}

fn index(row: &PgRow) -> Result<Index, sqlx::Error> {
    let keys: Vec<String> = row.try_get(5)?;
    let descending: Vec<bool> = row.try_get(6)?;
    let key = |(of, descending): (String, bool)| Key { of: unquoted(&of), descending };
    Ok(Index {
        name: row.try_get(1)?,
        method: row.try_get(2)?,
        valid: row.try_get(3)?,
        unique: row.try_get(4)?,
        keys: keys.into_iter().zip(descending).map(key).collect(),
        predicate: row.try_get::<Option<String>, _>(7)?.as_deref().map(predicate),
    })
}

fn short_hash(text: &str) -> String {
    let mut hash = sha256(text);
    hash.truncate(16);
    hash
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
