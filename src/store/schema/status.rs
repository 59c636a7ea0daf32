//! What is there, and what is missing.

use super::Layout;
use super::guard::{self, Guard};
use super::{indexes, roles};
use crate::store::aggregate::organizations;
use crate::store::connection::Link;
use crate::store::migrations::vector::AlteredVector;
use crate::store::migrations::{MIGRATOR, title};
use crate::store::{ReadDb, Relation, Standing, StoreError};
use serde::Serialize;
use sqlx::{Postgres, QueryBuilder, Row as _};
use std::time::Duration;
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
    /// Sessions are handed out by a pooler.
    pub pooled: bool,
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
    /// Events that belong to no organisation that can be named; `None` where that could not be counted.
    pub unnamed_events: Option<u64>,
    /// How the table is read where it is not as ours, in words: times without a zone, columns that are missing, and why
    /// it cannot be verified.
    pub reading: Vec<String>,
    /// What is not as it must be, in words; empty when all is well.
    pub problems: Vec<String>,
}

/// How long events without an organisation are counted: a table without an index is read through for that.
const BUDGET: Duration = Duration::from_secs(3);

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
    /// Its schema.
    pub schema: String,
    /// The role that it belongs to.
    pub owner: String,
    /// Its object id.
    pub oid: i64,
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

/// Looks at the schema. Works on any database, also on somebody else's table.
///
/// # Errors
/// When the server cannot be reached or refuses.
pub async fn status(db: &ReadDb, cancel: &CancellationToken) -> Result<Status, StoreError> {
    let relation = match db.relation(cancel).await {
        Ok(relation) => Some(relation),
        Err(StoreError::NoTable) => None,
        // What there is of it is told all the same.
        Err(StoreError::Unfit(_)) => db.known_relation(),
        Err(error) => return Err(error),
    };
    let mut status = db.run(cancel, async |c: &mut Link| look(c, relation.as_deref()).await).await?;
    status.standing = db.facts().await?.standing;
    status.pooled = db.is_pooled();
    let is_fit = relation.as_deref().is_some_and(|relation| relation.shape.is_ok());
    if status.table.is_some() && is_fit {
        status.unnamed_events = organizations::unnamed_within(db, BUDGET, cancel).await?;
    }
    let contradictions = std::mem::take(&mut status.problems);
    status.problems = problems(&status);
    if let (Some(_), Ok(known)) = (&status.table, db.capabilities(cancel).await) {
        let altered = known.vector_altered.iter().map(AlteredVector::words);
        status.problems.extend(altered.map(|words| format!("{words}; searches do not use it")));
    }
    status.problems.extend(contradictions);
    if let Some(Err(reason)) = relation.as_deref().map(|relation| &relation.shape) {
        status.problems.push(reason.clone());
    }
    status.reading = relation.iter().flat_map(|relation| relation.remarks()).collect();
    status.reading.extend(relation.iter().filter_map(|r| r.unverifiable().map(str::to_owned)));
    Ok(status)
}

async fn look(c: &mut Link, relation: Option<&Relation>) -> Result<Status, sqlx::Error> {
    let beside = |name: &str| relation.map(|relation| relation.beside(name));
    let row = sqlx::query(
        "SELECT split_part(current_setting('server_version'), ' ', 1) AS version, current_database()::text AS database, \
                current_user::text AS role, to_regclass($1) IS NOT NULL AS there, \
                EXISTS (SELECT FROM pg_class WHERE oid = to_regclass($2) AND relkind = 'r') AS migrated, \
                EXISTS (SELECT FROM pg_class WHERE oid = to_regclass($3) AND relkind = 'r') AS heads, \
                to_regclass($4) IS NOT NULL AS layout_begun, to_regclass($5) IS NOT NULL AS layout_done",
    )
    .bind(relation.map(Relation::named))
    .bind(beside("_sqlx_migrations"))
    .bind(beside("audit_chain_heads"))
    .bind(beside("audit_events_new"))
    .bind(beside("audit_events_plain"))
    .fetch_one(&mut *c)
    .await?;
    let there: bool = row.try_get("there")?;
    let relation = relation.filter(|_| there);
    let known: Vec<i64> = match relation {
        Some(relation) if row.try_get("migrated")? => {
            let table = relation.beside("_sqlx_migrations");
            QueryBuilder::<Postgres>::new(format!("SELECT version FROM {table} WHERE success"))
                .build_query_scalar()
                .fetch_all(&mut *c)
                .await?
        }
        _ => Vec::new(),
    };
    let (applied, pending): (Vec<_>, Vec<_>) = MIGRATOR.iter().partition(|m| known.contains(&m.version));
    let schema = match (there, applied.is_empty()) {
        (false, _) => Origin::Absent,
        (true, true) => Origin::Foreign,
        (true, false) => Origin::Agenttrace,
    };
    let ours = schema == Origin::Agenttrace;
    let names = |list: Vec<&sqlx::migrate::Migration>| list.into_iter().map(title).collect::<Vec<_>>();
    let made = relation.filter(|_| ours);
    let chains = match made {
        Some(relation) if row.try_get("heads")? => {
            let table = relation.beside("audit_chain_heads");
            let chains: i64 = QueryBuilder::<Postgres>::new(format!("SELECT count(*) FROM {table}"))
                .build_query_scalar()
                .fetch_one(&mut *c)
                .await?;
            u64::try_from(chains).ok()
        }
        _ => None,
    };
    let access = match made {
        Some(relation) => Some(roles::look(c, relation).await?),
        None => None,
    };
    let in_force = access.as_ref().is_some_and(|access| access.roles);
    Ok(Status {
        server_version: row.try_get("version")?,
        database: row.try_get("database")?,
        role: row.try_get("role")?,
        standing: Standing::default(),
        pooled: false,
        schema,
        migrations_applied: names(applied),
        migrations_pending: if schema == Origin::Foreign { Vec::new() } else { names(pending) },
        table: match relation {
            Some(relation) => Some(table(c, relation).await?),
            None => None,
        },
        indexes: match relation {
            Some(relation) => look_at_indexes(c, relation, ours).await?,
            None => Vec::new(),
        },
        guard: match made {
            Some(relation) => guard::look(c.bare(), relation.named()).await?,
            None => Vec::new(),
        },
        access,
        layout_change: match (ours, row.try_get("layout_begun")?, row.try_get("layout_done")?) {
            (true, true, _) => Some(LayoutChange::Begun),
            (true, false, true) => Some(LayoutChange::Done),
            _ => None,
        },
        chains,
        unnamed_events: None,
        reading: Vec::new(),
        problems: match made {
            Some(relation) if in_force => roles::contradictions(c, relation).await?,
            _ => Vec::new(),
        },
    })
}

async fn table(c: &mut Link, relation: &Relation) -> Result<Table, sqlx::Error> {
    // The tree of a table without partitions is empty.
    let row = sqlx::query(
        "SELECT r.oid::int8 AS oid, pg_get_userbyid(r.relowner)::text AS owner, \
                CASE WHEN r.relkind = 'r' THEN 'plain' ELSE p.partstrat::text END AS layout, \
                CASE WHEN bool_or(l.reltuples >= 0) AND bool_and(l.reltuples >= 0 OR pg_relation_size(l.oid) = 0) \
                     THEN sum(greatest(l.reltuples, 0)::float8)::bigint END AS rows, \
                coalesce(sum(pg_table_size(l.oid)), 0)::bigint AS table_bytes, \
                coalesce(sum(pg_indexes_size(l.oid)), 0)::bigint AS index_bytes \
         FROM pg_class r LEFT JOIN pg_partitioned_table p ON p.partrelid = r.oid \
              LEFT JOIN LATERAL (SELECT relid FROM pg_partition_tree(r.oid) WHERE isleaf \
                                 UNION SELECT r.oid WHERE r.relkind = 'r') t ON true \
              LEFT JOIN pg_class l ON l.oid = t.relid \
         WHERE r.oid = to_regclass($1) GROUP BY r.relkind, p.partstrat, r.oid, r.relowner",
    )
    .bind(relation.named())
    .fetch_one(c)
    .await?;
    let layout = match row.try_get::<Option<&str>, _>("layout")? {
        Some("plain") => Layout::Plain,
        Some("r") => Layout::Range,
        Some("h") => Layout::Hash,
        _ => Layout::Other,
    };
    Ok(Table {
        schema: relation.schema.clone(),
        owner: row.try_get("owner")?,
        oid: row.try_get("oid")?,
        layout,
        estimated_rows: row.try_get("rows")?,
        table_bytes: row.try_get("table_bytes")?,
        index_bytes: row.try_get("index_bytes")?,
    })
}

async fn look_at_indexes(c: &mut Link, relation: &Relation, ours: bool) -> Result<Vec<Index>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT i.relname::text AS name, x.indisvalid AND x.indisready AS valid, \
                coalesce((SELECT sum(pg_relation_size(t.relid))::bigint FROM pg_partition_tree(i.oid) t), \
                         pg_relation_size(i.oid)) AS bytes \
         FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid \
         WHERE x.indrelid = to_regclass($1) ORDER BY i.relname",
    )
    .bind(relation.named())
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
    problems.extend(status.guard.iter().filter_map(Guard::problem));
    if let Some(events @ 1..) = status.unnamed_events {
        problems.push(organizations::unnamed_in_words(events));
    }
    problems
}
