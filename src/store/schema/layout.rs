//! How the rows are kept: one table, a partition for each month, or eight by organisation; and the way from the first to
//! the others, beside readers and writers.
//!
//! The new table is filled next to the old one, a month or an organisation at a time; what was copied before an
//! interruption is not copied again. Each piece is compared with its source when it has been copied. In the end, for
//! the length of one short transaction, nobody writes: what came in meanwhile is added, the numbers are compared, and
//! the tables change their names.

use super::names::{named, qualified};
use super::{Layout, indexes, partitions, roles};
use crate::store::connection::{Link, Relation};
use crate::store::{StoreError, WriteDb};
#[expect(clippy::disallowed_types, reason = "names of our own tables and indexes")]
use sqlx::AssertSqlSafe;
use sqlx::Row as _;
use std::sync::Arc;

/// Hash partitions.
const PARTS: u32 = 8;
/// The table while it is filled.
const NEW: &str = "audit_events_new";
/// The table that was, afterwards.
const OLD: &str = "audit_events_plain";
/// How often the exchange waits for its lock before it gives up.
const TRIES: u32 = 20;

const COLUMNS: &str = "event_id, timestamp, organization_id, project_id, actor_type, actor_id, actor_email, actor_ip, \
    actor_user_agent, event_category, event_type, event_severity, resource_type, resource_id, resource_name, action, \
    previous_state, new_state, request_id, session_id, hash, previous_hash";

const GUARD: &str = "
    CREATE TRIGGER refuse_row BEFORE UPDATE OR DELETE ON {schema}.audit_events
        FOR EACH ROW EXECUTE FUNCTION {schema}.agenttrace_refuse();
    ALTER TABLE {schema}.audit_events ENABLE ALWAYS TRIGGER refuse_row;
    DO $$ DECLARE part REGCLASS; BEGIN
        FOR part IN SELECT relid FROM pg_partition_tree('{schema}.audit_events') LOOP
            EXECUTE format('CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON %s FOR EACH STATEMENT '
                'EXECUTE FUNCTION {schema}.agenttrace_refuse()', part);
            EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER refuse_truncate', part);
        END LOOP;
    END $$;";

/// What the old table's owner and privileges were, the new one's are.
const PRIVILEGES: &str = "
    DO $$ DECLARE old pg_class; held RECORD; BEGIN
        SELECT * INTO old FROM pg_class WHERE oid = to_regclass('{schema}.audit_events_plain');
        EXECUTE format('ALTER TABLE {schema}.audit_events OWNER TO %I', pg_get_userbyid(old.relowner));
        FOR held IN SELECT grantee, privilege_type FROM aclexplode(old.relacl) WHERE grantee <> old.relowner LOOP
            EXECUTE format('GRANT %s ON {schema}.audit_events TO %s', held.privilege_type,
                CASE held.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(held.grantee)) END);
        END LOOP;
    END $$;";

/// The tables of a change, each with its schema.
struct Tables {
    relation: Arc<Relation>,
    /// The schema as it stands in a text.
    schema: String,
    /// The table now.
    now: String,
    /// The table that is being filled.
    new: String,
}

impl Tables {
    async fn of(c: &mut Link, relation: Arc<Relation>) -> Result<Self, StoreError> {
        let schema = named(c, &relation.schema).await?;
        Ok(Self { now: relation.sql().to_owned(), new: relation.beside(NEW), schema, relation })
    }

    fn beside(&self, name: &str) -> String {
        self.relation.beside(name)
    }

    /// One of the statements above.
    fn fill(&self, statements: &str) -> String {
        statements.replace("{schema}", &self.schema)
    }
}

/// How far a change of layout has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Events of one month or organisation are in the new table, and equal.
    Copied {
        /// The month, such as `2026-01`, or the organisation.
        piece: String,
        /// Events of the pieces that are done.
        done: u64,
        /// All events when the copying began.
        total: u64,
    },
    /// An index of the new table has been built.
    Indexed(&'static str),
    /// The new table has taken the place of the old one.
    Exchanged {
        /// The old table, under its new name, unless it was empty.
        kept: Option<&'static str>,
    },
}

/// Brings the table into another layout, unless it is in it. [`super::migrate`] comes first.
///
/// # Errors
/// When the way there is not offered, an event has a time that no month can hold, or the server refuses. It can be
/// called again after any error.
pub async fn change_layout(
    db: &WriteDb,
    to: Layout,
    on_step: &(dyn Fn(&Step) + Send + Sync),
) -> Result<(), StoreError> {
    let turn = db.turn("agenttrace layout").await?;
    let result = change(db, to, on_step).await;
    turn.roll_back().await;
    result
}

async fn change(db: &WriteDb, to: Layout, on_step: &(dyn Fn(&Step) + Send + Sync)) -> Result<(), StoreError> {
    let mut work = db.begin().await?;
    let tables = Tables::of(&mut work, db.relation()?).await?;
    let now = current(&mut work, &tables).await?;
    if now == to {
        work.roll_back().await;
        return Ok(());
    }
    if now != Layout::Plain {
        return Err(StoreError::Other(
            "the table is partitioned already; only a table in layout plain can be brought into another one"
                .to_owned(),
        ));
    }
    if there(&mut work, &tables.beside(OLD)).await? {
        return Err(StoreError::Other(format!(
            "the table {OLD} of an earlier change is still there; drop or rename it"
        )));
    }
    let pieces = pieces(&mut work, &tables, to).await?;
    make(&mut work, &tables, to, &pieces).await?;
    work.commit().await?;
    let total = pieces.iter().map(|piece| piece.events).sum();
    let mut done = 0;
    for piece in &pieces {
        let mut work = db.begin_in_one_snapshot().await?;
        piece.add(&mut work, &tables).await?;
        work.commit().await?;
        done += piece.events;
        on_step(&Step::Copied { piece: piece.name.clone(), done, total });
    }
    for (name, statement) in indexes::definitions() {
        let mut work = db.begin().await?;
        if there(&mut work, &tables.beside(&format!("new_{name}"))).await? {
            work.roll_back().await;
            continue;
        }
        let statement = statement.replace(name, &format!("new_{name}"));
        let statement = statement.replace("ON audit_events", &format!("ON {}", tables.new));
        work.run(statement).await?;
        work.commit().await?;
        on_step(&Step::Indexed(name));
    }
    let mut work = db.begin().await?;
    work.run(format!("ANALYZE {}", tables.new)).await?;
    work.commit().await?;
    let kept = exchange_patiently(db, &tables, to).await?;
    // It belonged to the old table.
    let mut work = db.begin().await?;
    work.run(qualified(super::DAILY_SUMMARY, &tables.schema)).await?;
    work.commit().await?;
    db.find().await?;
    roles::renew(db).await?;
    on_step(&Step::Exchanged { kept: kept.then_some(OLD) });
    if to == Layout::Range {
        partitions::ensure(db, partitions::AHEAD).await?;
    }
    Ok(())
}

async fn there(c: &mut Link, name: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL").bind(name).fetch_one(c).await
}

async fn current(c: &mut Link, tables: &Tables) -> Result<Layout, StoreError> {
    let kind: Option<String> = sqlx::query_scalar(
        "SELECT CASE WHEN c.relkind = 'r' THEN 'plain' ELSE p.partstrat::text END
         FROM pg_class c LEFT JOIN pg_partitioned_table p ON p.partrelid = c.oid
         WHERE c.oid = to_regclass($1)",
    )
    .bind(&tables.now)
    .fetch_optional(c)
    .await?
    .flatten();
    Ok(match kind.as_deref() {
        Some("plain") => Layout::Plain,
        Some("r") => Layout::Range,
        Some("h") => Layout::Hash,
        _ => Layout::Other,
    })
}

/// A part of the events that is copied at once.
struct Piece {
    name: String,
    /// Which events they are; literals are quoted by the server.
    condition: String,
    /// For a month: its bounds, as literals.
    bounds: Option<(String, String)>,
    events: u64,
}

async fn pieces(c: &mut Link, tables: &Tables, to: Layout) -> Result<Vec<Piece>, StoreError> {
    let name_in = |sql| tables.relation.name_in(sql);
    if to != Layout::Range {
        let rows = sqlx::query(name_in(
            "SELECT organization_id::text, format('organization_id = %L', organization_id), count(*)
             FROM {schema}.audit_events GROUP BY organization_id ORDER BY organization_id",
        ))
        .fetch_all(c)
        .await?;
        return rows
            .iter()
            .map(|row| {
                let events = row.try_get::<i64, _>(2)?.unsigned_abs();
                Ok(Piece { name: row.try_get(0)?, condition: row.try_get(1)?, bounds: None, events })
            })
            .collect();
    }
    let outside: Option<String> = sqlx::query_scalar(name_in(
        "SELECT event_id::text FROM {schema}.audit_events
         WHERE timestamp < '1970-01-01Z' OR timestamp >= '3000-01-01Z' ORDER BY timestamp LIMIT 1",
    ))
    .fetch_optional(&mut *c)
    .await?;
    if let Some(id) = outside {
        return Err(StoreError::Other(format!(
            "the event '{}' has a time outside 1970 to 2999, for which there is no month; the layout stays plain",
            id.escape_debug()
        )));
    }
    let rows = sqlx::query(name_in(
        "SELECT to_char(low AT TIME ZONE 'UTC', 'YYYY-MM'), quote_literal(low), quote_literal(high), events
         FROM (SELECT date_trunc('month', timestamp, 'UTC') AS low, count(*) AS events,
                      (date_trunc('month', timestamp AT TIME ZONE 'UTC') + interval '1 month') AT TIME ZONE 'UTC' AS high
               FROM {schema}.audit_events GROUP BY 1, 3) months
         ORDER BY low",
    ))
    .fetch_all(c)
    .await?;
    rows.iter()
        .map(|row| {
            let (low, high): (String, String) = (row.try_get(1)?, row.try_get(2)?);
            Ok(Piece {
                name: row.try_get(0)?,
                condition: format!("timestamp >= {low} AND timestamp < {high}"),
                bounds: Some((low, high)),
                events: row.try_get::<i64, _>(3)?.unsigned_abs(),
            })
        })
        .collect()
}

/// The new table with its partitions; what is there already stays.
async fn make(c: &mut Link, tables: &Tables, to: Layout, pieces: &[Piece]) -> Result<(), StoreError> {
    let (key, by) = match to {
        Layout::Range => ("organization_id, event_id, timestamp", "RANGE (timestamp)"),
        _ => ("organization_id, event_id", "HASH (organization_id)"),
    };
    let Tables { now, new, .. } = tables;
    let mut sql = format!(
        "CREATE TABLE IF NOT EXISTS {new} (LIKE {now} INCLUDING DEFAULTS INCLUDING GENERATED \
         INCLUDING CONSTRAINTS INCLUDING STORAGE INCLUDING COMPRESSION INCLUDING COMMENTS, \
         PRIMARY KEY ({key})) PARTITION BY {by}; COMMENT ON TABLE {new} IS 'agenttrace: a change of layout is under way';"
    );
    for (low, high) in pieces.iter().filter_map(|piece| piece.bounds.as_ref()) {
        let month: String = low.chars().filter(char::is_ascii_digit).take(6).collect();
        let (year, month) = month.split_at(4.min(month.len()));
        let part = tables.beside(&format!("audit_events_{year}_{month}"));
        sql.push_str(&format!(
            "CREATE TABLE IF NOT EXISTS {part} PARTITION OF {new} FOR VALUES FROM ({low}) TO ({high});"
        ));
    }
    if to == Layout::Hash {
        for remainder in 0..PARTS {
            let part = tables.beside(&format!("audit_events_{remainder}"));
            sql.push_str(&format!(
                "CREATE TABLE IF NOT EXISTS {part} PARTITION OF {new} \
                 FOR VALUES WITH (MODULUS {PARTS}, REMAINDER {remainder});"
            ));
        }
    }
    c.run(sql).await?;
    Ok(())
}

impl Piece {
    /// Copies what the new table does not have yet, and compares.
    async fn add(&self, c: &mut Link, tables: &Tables) -> Result<(), StoreError> {
        let condition = &self.condition;
        let Tables { now, new, .. } = tables;
        c.run(format!(
            "INSERT INTO {new} ({COLUMNS}) SELECT {COLUMNS} FROM {now} o WHERE {condition} AND NOT EXISTS \
             (SELECT FROM {new} n WHERE n.organization_id = o.organization_id AND n.event_id = o.event_id \
              AND n.timestamp = o.timestamp AND n.hash = o.hash)"
        ))
        .await?;
        let digest = |table: &str| {
            format!(
                "(SELECT ROW(count(*), sum(hashtextextended(ROW({COLUMNS})::text, 0)::numeric)) FROM {table} \
                 WHERE {condition})"
            )
        };
        let sql = format!("SELECT {} IS NOT DISTINCT FROM {}", digest(now), digest(new));
        let equal: bool = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(c).await?;
        if equal {
            return Ok(());
        }
        Err(StoreError::Other(format!(
            "the copy of {} differs from its source; drop the table {NEW} and begin again",
            self.name.escape_debug()
        )))
    }
}

/// Exchanges the tables, once the lock can be had. Whether the old one was kept.
async fn exchange_patiently(db: &WriteDb, tables: &Tables, to: Layout) -> Result<bool, StoreError> {
    let mut tries = 0;
    loop {
        tries += 1;
        match exchange(db, tables, to).await {
            // Somebody reads; new readers must not wait behind us for long.
            Err(StoreError::Database(e)) if tries < TRIES && is_lock_timeout(&e) => {
                tokio::time::sleep(std::time::Duration::from_millis(500)).await;
            }
            other => return other,
        }
    }
}

fn is_lock_timeout(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(sqlx::error::DatabaseError::code).is_some_and(|code| code == "55P03")
}

async fn exchange(db: &WriteDb, tables: &Tables, to: Layout) -> Result<bool, StoreError> {
    let Tables { now, new, .. } = tables;
    let mut work = db.begin().await?;
    work.run(format!("SET LOCAL lock_timeout = '2s'; LOCK TABLE {now} IN ACCESS EXCLUSIVE MODE")).await?;
    // Events that came in since they were copied.
    let pieces = pieces(&mut work, tables, to).await?;
    make(&mut work, tables, to, &pieces).await?;
    let mut events = 0;
    for piece in &pieces {
        let sql = format!("SELECT count(*) FROM {new} WHERE {}", piece.condition);
        let copied: i64 = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut *work).await?;
        if copied.unsigned_abs() != piece.events {
            piece.add(&mut work, tables).await?;
        }
        events += piece.events;
    }
    let protection = roles::in_force(&mut work, &tables.relation).await?;
    let beside = |name: &str| tables.beside(name);
    let mut sql = format!(
        "DROP VIEW IF EXISTS {}; DROP MATERIALIZED VIEW IF EXISTS {};",
        beside("audit_daily_summary_granted"),
        beside("audit_daily_summary")
    );
    sql.push_str(&format!(
        "ALTER TABLE {now} RENAME TO {OLD}; ALTER TABLE {new} RENAME TO audit_events; \
         ALTER INDEX {} RENAME TO {OLD}_pkey; ALTER INDEX {} RENAME TO audit_events_pkey;",
        beside("audit_events_pkey"),
        beside(&format!("{NEW}_pkey"))
    ));
    for (name, _) in indexes::definitions() {
        sql.push_str(&format!(
            "ALTER INDEX IF EXISTS {} RENAME TO {name}_plain; ALTER INDEX {} RENAME TO {name};",
            beside(name),
            beside(&format!("new_{name}"))
        ));
    }
    sql.push_str(&format!("COMMENT ON TABLE {now} IS 'agenttrace: hash-chained audit trail, append-only';"));
    sql.push_str(&tables.fill(GUARD));
    sql.push_str(&tables.fill(PRIVILEGES));
    work.run(sql).await?;
    // Before anybody else sees the table: policies stay behind with the old one.
    if let Some(protection) = protection {
        roles::apply(&mut work, &tables.relation, protection).await?;
    }
    if events == 0 {
        work.run(format!("DROP TABLE {}", beside(OLD))).await?;
    }
    work.commit().await?;
    Ok(events > 0)
}
