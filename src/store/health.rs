//! What the catalogues and statistics of the server say of the table, for the doctor: no row of the table is read but
//! for a sample of its newest pages. Each part is asked for by itself, with the least privileges; what the role may not see
//! is said and costs only its part. No lock stronger than ACCESS SHARE is taken.

use crate::store::connection::{Link, Relation};
use crate::store::{ReadDb, StoreError};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sqlx::{Postgres, QueryBuilder};
use tokio_util::sync::CancellationToken;

/// Facts, or why they could not be seen.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen<T> {
    /// The facts.
    Facts(T),
    /// The server's refusal, in words.
    Refused(String),
}

impl<T> Seen<T> {
    /// The facts, where they could be seen.
    pub fn facts(&self) -> Option<&T> {
        match self {
            Self::Facts(facts) => Some(facts),
            Self::Refused(_) => None,
        }
    }
}

/// A table of the tree: the table itself, or a partition.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Part {
    /// Schema and name, quoted.
    pub name: String,
    /// It holds rows.
    pub is_leaf: bool,
    /// It is the whole table.
    pub is_root: bool,
    /// It is partitioned by range, list or hash: `r`, `l`, `h`.
    pub strategy: Option<String>,
    /// It takes what no other partition takes.
    pub is_default: bool,
    /// First instant behind it in seconds since 1970, for a range of times.
    pub until: Option<f64>,
    /// Rows by the planner's statistics; below 0 before the first ANALYZE.
    pub rows: f64,
    /// Pages, and those of which all rows are visible to everybody.
    pub pages: i64,
    /// See `pages`.
    pub visible_pages: i64,
    /// Transactions since its oldest unfrozen row.
    pub freeze_age: i64,
    /// Dead rows, by the statistics.
    pub dead: i64,
    /// Rows written since the last ANALYZE.
    pub modified: i64,
    /// Seconds since the last ANALYZE, by hand or by autovacuum.
    pub analyzed_s: Option<f64>,
    /// Seconds since the last VACUUM.
    pub vacuumed_s: Option<f64>,
    /// Autovacuum is switched off for it.
    pub autovacuum_off: bool,
    /// Bytes of the rows, out-of-line values included.
    pub table_bytes: i64,
    /// Bytes of the indexes.
    pub index_bytes: i64,
}

/// An index of the table, or of a partition that has it alone.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Index {
    /// Schema and name, quoted.
    pub name: String,
    /// It is of the whole table.
    pub is_root: bool,
    /// Access method: `btree`, `gin`.
    pub method: String,
    /// It forbids duplicates.
    pub unique: bool,
    /// Queries may use it.
    pub valid: bool,
    /// Its columns in order; an expression as PostgreSQL prints it, and ` DESC` behind what descends.
    pub columns: Vec<String>,
    /// The condition of a partial index.
    pub predicate: Option<String>,
    /// Bytes, those of its partitions included.
    pub bytes: i64,
    /// Scans since the statistics were reset, those of its partitions included.
    pub scans: i64,
    /// Partitions that do not have it.
    pub missing: i64,
}

/// A JSON column.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct JsonColumn {
    /// Its name.
    pub name: String,
    /// Where large values go: `p`, `e`, `m`, `x`.
    pub storage: String,
    /// How they are compressed: `p`, `l`, or empty for the server's default.
    pub compression: String,
}

/// Constraints, and what may be written by whom.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Rights {
    /// CHECK constraints as PostgreSQL prints them.
    pub checks: Vec<String>,
    /// Roles besides the owner that may change or remove rows, each with its privileges.
    pub changers: Vec<String>,
    /// The own role may add, change or remove rows.
    pub own: Vec<String>,
    /// The own role is a superuser, the owner, or a member of the owner.
    pub is_owner: bool,
}

/// The server; sessions and locks are those of the database.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[expect(missing_docs, reason = "the fields are the server's settings and statistics")]
pub struct Server {
    pub fsync: bool,
    pub full_page_writes: bool,
    pub synchronous_commit: String,
    pub autovacuum: bool,
    pub track_counts: bool,
    pub max_connections: i64,
    pub connections: i64,
    pub freeze_max_age: i64,
    pub archive_mode: String,
    /// Seconds since the last WAL segment was archived, and since archiving failed last.
    pub archived_s: Option<f64>,
    pub failed_s: Option<f64>,
    pub is_replica: bool,
    pub replicas: i64,
    /// Seconds; `None` where the role may not see it.
    pub replica_lag_s: Option<f64>,
    /// Days since the statistics of the database began.
    pub statistics_days: Option<f64>,
    /// Seconds since the oldest open transaction of another session began.
    pub oldest_transaction_s: Option<f64>,
    pub waiting_for_locks: i64,
    /// Sessions of which the role may not see what they do.
    pub hidden_sessions: i64,
    pub has_pooler: bool,
}

/// The materialised view of days.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct DailySummary {
    /// It has been filled.
    pub filled: bool,
    /// It has a unique index over all rows, without which it cannot be refreshed beside its readers.
    pub has_unique_index: bool,
    /// Its days are those of the session's zone.
    pub local_days: bool,
}

/// Rows and transactions of the newest pages.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Writes {
    /// Rows of the sample.
    pub rows: i64,
    /// Transactions that wrote them.
    pub transactions: i64,
}

/// Everything.
#[derive(Debug, Clone, PartialEq)]
pub struct Health {
    /// The tables of the tree, the whole one first.
    pub parts: Seen<Vec<Part>>,
    /// The indexes.
    pub indexes: Seen<Vec<Index>>,
    /// The JSON columns; of a table that keeps them otherwise, none.
    pub json_columns: Seen<Vec<JsonColumn>>,
    /// Constraints and privileges.
    pub rights: Seen<Rights>,
    /// The server.
    pub server: Seen<Server>,
    /// The view of days; none, or one.
    pub summary: Seen<Vec<DailySummary>>,
    /// How rows were written.
    pub writes: Seen<Writes>,
}

const TREE: &str = "WITH tree AS (SELECT t.relid::oid AS oid, t.isleaf FROM pg_partition_tree(to_regclass($1)) t
     UNION SELECT to_regclass($1)::oid, true WHERE NOT EXISTS (SELECT FROM pg_partition_tree(to_regclass($1)))) ";

const PARTS: &str = "SELECT to_jsonb(x)::text FROM (
    SELECT format('%I.%I', n.nspname, c.relname) AS name, t.isleaf AS is_leaf, c.oid = to_regclass($1) AS is_root,
        p.partstrat::text AS strategy, coalesce(pg_get_expr(c.relpartbound, c.oid) = 'DEFAULT', false) AS is_default,
        extract(epoch FROM CASE WHEN pg_get_expr(c.relpartbound, c.oid) ~ 'TO \\(''[0-9]{4}-' THEN
            substring(pg_get_expr(c.relpartbound, c.oid) FROM 'TO \\(''([^'']+)''\\)$')::timestamptz END)::float8 AS until,
        c.reltuples::float8 AS rows, c.relpages::int8 AS pages, c.relallvisible::int8 AS visible_pages,
        CASE WHEN c.relfrozenxid <> '0' THEN age(c.relfrozenxid) ELSE 0 END::int8 AS freeze_age,
        coalesce(s.n_dead_tup, 0) AS dead, coalesce(s.n_mod_since_analyze, 0) AS modified,
        extract(epoch FROM now() - greatest(s.last_analyze, s.last_autoanalyze))::float8 AS analyzed_s,
        extract(epoch FROM now() - greatest(s.last_vacuum, s.last_autovacuum))::float8 AS vacuumed_s,
        coalesce('autovacuum_enabled=false' = ANY (c.reloptions), false) AS autovacuum_off,
        CASE WHEN t.isleaf THEN pg_table_size(c.oid) ELSE 0 END AS table_bytes,
        CASE WHEN t.isleaf THEN pg_indexes_size(c.oid) ELSE 0 END AS index_bytes
    FROM tree t JOIN pg_class c ON c.oid = t.oid JOIN pg_namespace n ON n.oid = c.relnamespace
        LEFT JOIN pg_partitioned_table p ON p.partrelid = c.oid LEFT JOIN pg_stat_all_tables s ON s.relid = c.oid
    ORDER BY c.oid <> to_regclass($1), c.relname) x";

const INDEXES: &str = "SELECT to_jsonb(x)::text FROM (
    SELECT format('%I.%I', n.nspname, i.relname) AS name, x.indrelid = to_regclass($1) AS is_root,
        a.amname::text AS method, x.indisunique AS unique, x.indisvalid AND x.indisready AS valid,
        (SELECT array_agg(pg_get_indexdef(i.oid, k, true)
                || CASE WHEN pg_index_column_has_property(i.oid, k, 'desc') THEN ' DESC' ELSE '' END ORDER BY k)
         FROM generate_series(1, x.indnkeyatts::int) k) AS columns,
        pg_get_expr(x.indpred, x.indrelid) AS predicate,
        coalesce((SELECT sum(pg_relation_size(l.relid))::int8 FROM pg_partition_tree(i.oid) l),
                 pg_relation_size(i.oid)) AS bytes,
        coalesce((SELECT sum(s.idx_scan)::int8 FROM pg_stat_all_indexes s WHERE s.indexrelid = i.oid
            OR s.indexrelid IN (SELECT l.relid FROM pg_partition_tree(i.oid) l)), 0) AS scans,
        CASE WHEN i.relkind = 'I' THEN (SELECT count(*) FROM tree WHERE isleaf)
            - (SELECT count(*) FROM pg_partition_tree(i.oid) l WHERE l.isleaf AND l.relid <> i.oid) ELSE 0 END AS missing
    FROM tree t JOIN pg_index x ON x.indrelid = t.oid JOIN pg_class i ON i.oid = x.indexrelid
        JOIN pg_namespace n ON n.oid = i.relnamespace JOIN pg_am a ON a.oid = i.relam
    WHERE NOT EXISTS (SELECT FROM pg_inherits h WHERE h.inhrelid = i.oid) ORDER BY i.relname) x";

const JSON_COLUMNS: &str = "SELECT to_jsonb(x)::text FROM (
    SELECT DISTINCT a.attname::text AS name, a.attstorage::text AS storage, a.attcompression::text AS compression
    FROM tree t JOIN pg_attribute a ON a.attrelid = t.oid
    WHERE a.attnum > 0 AND NOT a.attisdropped AND a.atttypid IN ('jsonb'::regtype, 'json'::regtype) ORDER BY 1) x";

const RIGHTS: &str = "SELECT to_jsonb(x)::text FROM (SELECT
    (SELECT coalesce(array_agg(pg_get_constraintdef(k.oid, true) ORDER BY k.conname), '{}')
     FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'c') AS checks,
    (SELECT coalesce(array_agg(who ORDER BY who), '{}') FROM (
        SELECT format('%s (%s)', CASE WHEN g.grantee = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(g.grantee)::text END,
                      string_agg(DISTINCT g.privilege_type, ', ' ORDER BY g.privilege_type)) AS who
        FROM tree t JOIN pg_class p ON p.oid = t.oid CROSS JOIN LATERAL aclexplode(p.relacl) g
        WHERE g.privilege_type IN ('UPDATE', 'DELETE', 'TRUNCATE') AND g.grantee <> p.relowner
        GROUP BY g.grantee) found) AS changers,
    (SELECT coalesce(array_agg(p), '{}') FROM unnest(ARRAY['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) p
     WHERE has_table_privilege(c.oid, p)) AS own,
    pg_has_role(c.relowner, 'USAGE') AS is_owner
    FROM pg_class c WHERE c.oid = to_regclass($1)) x";

const SERVER: &str = "SELECT to_jsonb(x)::text FROM (SELECT
    current_setting('fsync')::bool AS fsync, current_setting('full_page_writes')::bool AS full_page_writes,
    current_setting('synchronous_commit') AS synchronous_commit, current_setting('autovacuum')::bool AS autovacuum,
    current_setting('track_counts')::bool AS track_counts,
    current_setting('max_connections')::int8 AS max_connections,
    (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections,
    current_setting('autovacuum_freeze_max_age')::int8 AS freeze_max_age,
    current_setting('archive_mode') AS archive_mode,
    (SELECT extract(epoch FROM now() - last_archived_time)::float8 FROM pg_stat_archiver) AS archived_s,
    (SELECT extract(epoch FROM now() - last_failed_time)::float8 FROM pg_stat_archiver) AS failed_s,
    pg_is_in_recovery() AS is_replica,
    (SELECT count(*) FROM pg_stat_replication) AS replicas,
    (SELECT extract(epoch FROM max(replay_lag))::float8 FROM pg_stat_replication) AS replica_lag_s,
    (SELECT extract(epoch FROM now() - coalesce(stats_reset, pg_postmaster_start_time()))::float8 / 86400
     FROM pg_stat_database WHERE datname = current_database()) AS statistics_days,
    (SELECT extract(epoch FROM now() - min(xact_start))::float8 FROM pg_stat_activity
     WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND datname = current_database())
        AS oldest_transaction_s,
    (SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database())
        AS waiting_for_locks,
    (SELECT count(*) FROM pg_stat_activity WHERE query = '<insufficient privilege>' AND datname = current_database())
        AS hidden_sessions,
    EXISTS (SELECT FROM pg_stat_activity WHERE application_name ~* 'pgbouncer|pgpool|pgcat|odyssey|supavisor') AS has_pooler
    ) x";

const SUMMARY: &str = "SELECT to_jsonb(x)::text FROM (
    SELECT c.relispopulated AS filled, EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisunique
        AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL) AS has_unique_index,
        pg_get_viewdef(c.oid) !~* 'time zone' AS local_days
    FROM pg_class c WHERE c.oid = to_regclass($1) AND c.relkind = 'm') x";

/// Pages of the sample of rows.
const PAGES: u32 = 8;

/// Looks at the database.
///
/// # Errors
/// [`StoreError`], where there is no table or the server cannot be reached; a part that is refused is no error.
pub async fn look(db: &ReadDb, cancel: &CancellationToken) -> Result<Health, StoreError> {
    let relation = db.relation(cancel).await?;
    let named = relation.named();
    let of_tree = |sql: &str| format!("{TREE}{sql}");
    let parts: Seen<Vec<Part>> = ask(db, &of_tree(PARTS), named, cancel).await?;
    Ok(Health {
        indexes: ask(db, &of_tree(INDEXES), named, cancel).await?,
        json_columns: ask(db, &of_tree(JSON_COLUMNS), named, cancel).await?,
        rights: one(ask(db, &of_tree(RIGHTS), named, cancel).await?),
        // The table has no part in it; all statements take one parameter.
        server: one(ask(db, &format!("{SERVER} WHERE $1 <> ''"), named, cancel).await?),
        summary: ask(db, SUMMARY, &relation.beside("audit_daily_summary"), cancel).await?,
        writes: one(ask(db, &writes(&relation, &parts), named, cancel).await?),
        parts,
    })
}

/// Of the part that was written to last, by the number of its rows: how many transactions wrote its last pages. Where they
/// begin is asked once, in a query of its own: the size of a table is volatile, and asked for each row otherwise.
fn writes(relation: &Relation, parts: &Seen<Vec<Part>>) -> String {
    let parts = parts.facts().map(Vec::as_slice).unwrap_or_default();
    let now = parts.iter().filter(|part| part.is_leaf && part.pages > 0).max_by(|a, b| {
        a.until.unwrap_or(f64::MAX).total_cmp(&b.until.unwrap_or(f64::MAX)).then(a.rows.total_cmp(&b.rows))
    });
    let name = now.map_or(relation.named(), |part| &part.name);
    format!(
        "SELECT to_jsonb(x)::text FROM (SELECT count(*) AS rows, count(DISTINCT xmin::text) AS transactions
         FROM {name} WHERE $1 <> '' AND ctid >= (SELECT format('(%s,0)', greatest(
            pg_relation_size('{quoted}'::regclass) / current_setting('block_size')::int8 - {PAGES}, 0))::tid)) x",
        quoted = name.replace('\'', "''"),
    )
}

/// The rows of a statement with one parameter that makes JSON.
async fn ask<T: DeserializeOwned>(
    db: &ReadDb,
    sql: &str,
    name: &str,
    cancel: &CancellationToken,
) -> Result<Seen<Vec<T>>, StoreError> {
    let (sql, name) = (sql.to_owned(), name.to_owned());
    let texts = db
        .run(cancel, async |c: &mut Link| {
            let mut pieces = sql.split("$1");
            let mut query = QueryBuilder::<Postgres>::new(pieces.next().unwrap_or_default());
            for piece in pieces {
                query.push_bind(name.clone()).push("::text").push(piece);
            }
            query.build_query_scalar::<String>().fetch_all(c).await
        })
        .await;
    let texts = match texts {
        Ok(texts) => texts,
        Err(StoreError::Database(error)) => return Ok(Seen::Refused(crate::store::error::said(&error))),
        Err(other) => return Err(other),
    };
    let rows: Result<Vec<T>, _> = texts.iter().map(|text| serde_json::from_str(text)).collect();
    Ok(rows.map_or_else(|error| Seen::Refused(error.to_string()), Seen::Facts))
}

fn one<T>(rows: Seen<Vec<T>>) -> Seen<T> {
    match rows {
        Seen::Facts(rows) => {
            rows.into_iter().next().map_or(Seen::Refused("nothing is told of it".to_owned()), Seen::Facts)
        }
        Seen::Refused(why) => Seen::Refused(why),
    }
}
