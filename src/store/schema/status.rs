//! What is there, and what is missing.

use super::{MIGRATOR, indexes, roles};
use crate::store::{ReadDb, Standing, StoreError};
use serde::Serialize;
use sqlx::{PgConnection, Row as _};
use tokio_util::sync::CancellationToken;

/// The state of a database as far as the schema goes. Serialised by `db status --format json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Such as `15.18`.
    pub server_version: String,
    /// Name of the database.
    pub database: String,
    /// Name of the role.
    pub role: String,
    /// Which server of several it is.
    #[serde(flatten)]
    pub standing: Standing,
    /// Whose the table is.
    pub schema: Origin,
    /// Our migrations that the database has, as `version description`.
    pub migrations_applied: Vec<String>,
    /// Our migrations that it does not have; empty for a foreign table.
    pub migrations_pending: Vec<String>,
    /// The table, if it is there.
    pub table: Option<Table>,
    /// The indexes of the table, and those of ours that are missing.
    pub indexes: Vec<Index>,
    /// The triggers that keep the table append-only.
    pub guard: Vec<Guard>,
    /// Who may do what; `None` without our schema.
    pub access: Option<roles::Access>,
    /// What a change of layout has left behind; `None` without one.
    pub layout_change: Option<LayoutChange>,
    /// Organisations whose chain our writer has written to; `None` without our schema.
    pub chains: Option<u64>,
    /// What is not as it must be, in words; empty when all is well.
    pub problems: Vec<String>,
}

/// Whose table `audit_events` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Made by our migrations.
    Agenttrace,
    /// Somebody else's: readable, not to be migrated.
    Foreign,
    /// There is none.
    Absent,
}

/// How the rows are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// One table.
    Plain,
    /// Partitions by range, as of time.
    Range,
    /// Partitions by hash, as of the organisation.
    Hash,
    /// Partitions by list, a view, a foreign table.
    Other,
}

/// What there is of a change of layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LayoutChange {
    /// The table `audit_events_new` is being filled, or was when the change was interrupted.
    Begun,
    /// The table that was is kept as `audit_events_plain`.
    Done,
}

/// The table `audit_events`, partitions included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Table {
    /// How the rows are kept.
    pub layout: Layout,
    /// Rows by the planner's statistics; `None` before the first ANALYZE.
    pub estimated_rows: Option<i64>,
    /// Bytes of the rows, out-of-line values included.
    pub table_bytes: i64,
    /// Bytes of the indexes.
    pub index_bytes: i64,
}

/// An index of the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Index {
    /// Its name.
    pub name: String,
    /// It is there.
    pub present: bool,
    /// It is complete: queries may use it. False after a CREATE INDEX CONCURRENTLY that failed.
    pub valid: bool,
    /// Its size, partitions included.
    pub bytes: i64,
}

/// A trigger of the append-only guard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Guard {
    /// Its name.
    pub trigger: String,
    /// It is there.
    pub present: bool,
    /// It fires in every session (ENABLE ALWAYS), also with `session_replication_role = replica`.
    pub always: bool,
}

/// Looks at the schema. Works on any database, also on somebody else's table.
///
/// # Errors
/// When the server cannot be reached or refuses.
pub async fn status(db: &ReadDb, cancel: &CancellationToken) -> Result<Status, StoreError> {
    let mut status = db.run(cancel, look).await?;
    status.standing = db.facts().await?.standing;
    let contradictions = std::mem::take(&mut status.problems);
    status.problems = problems(&status);
    status.problems.extend(contradictions);
    Ok(status)
}

async fn look(c: &mut PgConnection) -> Result<Status, sqlx::Error> {
    let row = sqlx::query(
        "SELECT split_part(current_setting('server_version'), ' ', 1) AS version, current_database()::text AS database, \
                current_user::text AS role, to_regclass('audit_events') IS NOT NULL AS there, \
                to_regclass('_sqlx_migrations') IS NOT NULL AS migrated, \
                to_regclass('audit_chain_heads') IS NOT NULL AS heads, \
                to_regclass('audit_events_new') IS NOT NULL AS layout_begun, \
                to_regclass('audit_events_plain') IS NOT NULL AS layout_done",
    )
    .fetch_one(&mut *c)
    .await?;
    let there: bool = row.try_get("there")?;
    let known: Vec<i64> = if row.try_get("migrated")? {
        sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success").fetch_all(&mut *c).await?
    } else {
        Vec::new()
    };
    let (applied, pending): (Vec<_>, Vec<_>) = MIGRATOR.iter().partition(|m| known.contains(&m.version));
    let schema = match (there, applied.is_empty()) {
        (false, _) => Origin::Absent,
        (true, true) => Origin::Foreign,
        (true, false) => Origin::Agenttrace,
    };
    let ours = schema == Origin::Agenttrace;
    let names = |list: Vec<&sqlx::migrate::Migration>| list.into_iter().map(super::title).collect::<Vec<_>>();
    let chains = if ours && row.try_get("heads")? {
        let chains: i64 =
            sqlx::query_scalar("SELECT count(*) FROM audit_chain_heads").fetch_one(&mut *c).await?;
        u64::try_from(chains).ok()
    } else {
        None
    };
    let access = if ours { Some(roles::look(c).await?) } else { None };
    let in_force = access.as_ref().is_some_and(|access| access.roles);
    Ok(Status {
        server_version: row.try_get("version")?,
        database: row.try_get("database")?,
        role: row.try_get("role")?,
        standing: Standing::default(),
        schema,
        migrations_applied: names(applied),
        migrations_pending: if schema == Origin::Foreign { Vec::new() } else { names(pending) },
        table: if there { Some(table(c).await?) } else { None },
        indexes: if there { look_at_indexes(c, ours).await? } else { Vec::new() },
        guard: if ours { guard(c).await? } else { Vec::new() },
        access,
        layout_change: match (ours, row.try_get("layout_begun")?, row.try_get("layout_done")?) {
            (true, true, _) => Some(LayoutChange::Begun),
            (true, false, true) => Some(LayoutChange::Done),
            _ => None,
        },
        chains,
        problems: if in_force { roles::contradictions(c).await? } else { Vec::new() },
    })
}

async fn table(c: &mut PgConnection) -> Result<Table, sqlx::Error> {
    // The tree of a table without partitions is empty.
    let row = sqlx::query(
        "SELECT CASE WHEN r.relkind = 'r' THEN 'plain' ELSE p.partstrat::text END AS layout, \
                CASE WHEN bool_or(l.reltuples >= 0) AND bool_and(l.reltuples >= 0 OR pg_relation_size(l.oid) = 0) \
                     THEN sum(greatest(l.reltuples, 0)::float8)::bigint END AS rows, \
                coalesce(sum(pg_table_size(l.oid)), 0)::bigint AS table_bytes, \
                coalesce(sum(pg_indexes_size(l.oid)), 0)::bigint AS index_bytes \
         FROM pg_class r LEFT JOIN pg_partitioned_table p ON p.partrelid = r.oid \
              LEFT JOIN LATERAL (SELECT relid FROM pg_partition_tree(r.oid) WHERE isleaf \
                                 UNION SELECT r.oid WHERE r.relkind = 'r') t ON true \
              LEFT JOIN pg_class l ON l.oid = t.relid \
         WHERE r.oid = to_regclass('audit_events') GROUP BY r.relkind, p.partstrat",
    )
    .fetch_one(c)
    .await?;
    let layout = match row.try_get::<Option<&str>, _>("layout")? {
        Some("plain") => Layout::Plain,
        Some("r") => Layout::Range,
        Some("h") => Layout::Hash,
        _ => Layout::Other,
    };
    Ok(Table {
        layout,
        estimated_rows: row.try_get("rows")?,
        table_bytes: row.try_get("table_bytes")?,
        index_bytes: row.try_get("index_bytes")?,
    })
}

async fn look_at_indexes(c: &mut PgConnection, ours: bool) -> Result<Vec<Index>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT i.relname::text AS name, x.indisvalid AND x.indisready AS valid, \
                coalesce((SELECT sum(pg_relation_size(t.relid))::bigint FROM pg_partition_tree(i.oid) t), \
                         pg_relation_size(i.oid)) AS bytes \
         FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid \
         WHERE x.indrelid = to_regclass('audit_events') ORDER BY i.relname",
    )
    .fetch_all(c)
    .await?;
    let mut found = Vec::with_capacity(rows.len());
    for row in &rows {
        found.push(Index {
            name: row.try_get("name")?,
            present: true,
            valid: row.try_get("valid")?,
            bytes: row.try_get("bytes")?,
        });
    }
    if ours {
        for (name, _) in indexes::definitions() {
            if !found.iter().any(|index| index.name == name) {
                found.push(Index { name: name.to_owned(), present: false, valid: false, bytes: 0 });
            }
        }
    }
    Ok(found)
}

async fn guard(c: &mut PgConnection) -> Result<Vec<Guard>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT wanted.name, t.oid IS NOT NULL AS present, coalesce(t.tgenabled = 'A', false) AS always \
         FROM unnest(ARRAY['refuse_row', 'refuse_truncate']) wanted(name) \
              LEFT JOIN pg_trigger t ON t.tgrelid = to_regclass('audit_events') AND t.tgname = wanted.name",
    )
    .fetch_all(c)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Guard {
                trigger: row.try_get("name")?,
                present: row.try_get("present")?,
                always: row.try_get("always")?,
            })
        })
        .collect()
}

fn problems(status: &Status) -> Vec<String> {
    let mut problems = Vec::new();
    if status.schema == Origin::Absent {
        problems.push("there is no table audit_events".to_owned());
    } else if !status.migrations_pending.is_empty() {
        problems.push(format!("migrations are pending: {}", status.migrations_pending.join(", ")));
    }
    for index in &status.indexes {
        if !index.present {
            problems.push(format!("the index {} is missing", index.name));
        } else if !index.valid {
            problems.push(format!("the index {} is invalid: queries do not use it", index.name));
        }
    }
    for guard in &status.guard {
        if !guard.present {
            problems.push(format!("the trigger {} is missing: the table is not append-only", guard.trigger));
        } else if !guard.always {
            problems.push(format!("the trigger {} does not fire in every session", guard.trigger));
        }
    }
    problems
}
