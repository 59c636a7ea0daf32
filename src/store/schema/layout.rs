//! How the rows are kept: one table, a partition for each month, or eight by organisation; and the way from the first to
//! the others, beside readers and writers.
//!
//! The new table is filled next to the old one, a month or an organisation at a time; what was copied before an
//! interruption is not copied again. Each piece is compared with its source when it has been copied. In the end, for
//! the length of one short transaction, nobody writes: what came in meanwhile is added, the numbers are compared, and
//! the tables change their names.

use super::{Layout, indexes, partitions, roles};
use crate::store::{StoreError, WriteDb};
#[expect(clippy::disallowed_types, reason = "names of our own tables and indexes")]
use sqlx::AssertSqlSafe;
use sqlx::{Connection as _, PgConnection, Row as _};

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
    CREATE TRIGGER refuse_row BEFORE UPDATE OR DELETE ON audit_events
        FOR EACH ROW EXECUTE FUNCTION agenttrace_refuse();
    ALTER TABLE audit_events ENABLE ALWAYS TRIGGER refuse_row;
    DO $$ DECLARE part REGCLASS; BEGIN
        FOR part IN SELECT relid FROM pg_partition_tree('audit_events') LOOP
            EXECUTE format('CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON %s FOR EACH STATEMENT '
                'EXECUTE FUNCTION agenttrace_refuse()', part);
            EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER refuse_truncate', part);
        END LOOP;
    END $$;";

/// What the old table's owner and privileges were, the new one's are.
const PRIVILEGES: &str = "
    DO $$ DECLARE old pg_class; held RECORD; BEGIN
        SELECT * INTO old FROM pg_class WHERE oid = to_regclass('audit_events_plain');
        EXECUTE format('ALTER TABLE audit_events OWNER TO %I', pg_get_userbyid(old.relowner));
        FOR held IN SELECT grantee, privilege_type FROM aclexplode(old.relacl) WHERE grantee <> old.relowner LOOP
            EXECUTE format('GRANT %s ON audit_events TO %s', held.privilege_type,
                CASE held.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(held.grantee)) END);
        END LOOP;
    END $$;";

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
    let mut c = db.pool().acquire().await?.detach();
    let result = change(&mut c, db, to, on_step).await;
    // With it go its locks, however it ended.
    let _ = c.close().await;
    result
}

async fn change(
    c: &mut PgConnection,
    db: &WriteDb,
    to: Layout,
    on_step: &(dyn Fn(&Step) + Send + Sync),
) -> Result<(), StoreError> {
    sqlx::query("SELECT pg_advisory_lock(hashtextextended('agenttrace_layout', 0))").execute(&mut *c).await?;
    let now = current(c).await?;
    if now == to {
        return Ok(());
    }
    if now != Layout::Plain {
        return Err(StoreError::Other(
            "the table is partitioned already; only a table in layout plain can be brought into another one"
                .to_owned(),
        ));
    }
    let left_over: bool =
        sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL").bind(OLD).fetch_one(&mut *c).await?;
    if left_over {
        return Err(StoreError::Other(format!(
            "the table {OLD} of an earlier change is still there; drop or rename it"
        )));
    }
    let pieces = pieces(c, to).await?;
    make(c, to, &pieces).await?;
    let total = pieces.iter().map(|piece| piece.events).sum();
    let mut done = 0;
    for piece in &pieces {
        piece.copy(c).await?;
        done += piece.events;
        on_step(&Step::Copied { piece: piece.name.clone(), done, total });
    }
    for (name, statement) in indexes::definitions() {
        let there: bool = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
            .bind(format!("new_{name}"))
            .fetch_one(&mut *c)
            .await?;
        if !there {
            let statement = statement.replace(name, &format!("new_{name}"));
            let statement = statement.replace("ON audit_events", &format!("ON {NEW}"));
            run(c, statement).await?;
            on_step(&Step::Indexed(name));
        }
    }
    run(c, format!("ANALYZE {NEW}")).await?;
    let kept = exchange_patiently(c, to).await?;
    // It belonged to the old table.
    sqlx::raw_sql(super::DAILY_SUMMARY).execute(&mut *c).await?;
    roles::renew(db).await?;
    on_step(&Step::Exchanged { kept: kept.then_some(OLD) });
    if to == Layout::Range {
        partitions::ensure(db, partitions::AHEAD).await?;
    }
    Ok(())
}

async fn current(c: &mut PgConnection) -> Result<Layout, StoreError> {
    let kind: Option<String> = sqlx::query_scalar(
        "SELECT CASE WHEN c.relkind = 'r' THEN 'plain' ELSE p.partstrat::text END
         FROM pg_class c LEFT JOIN pg_partitioned_table p ON p.partrelid = c.oid
         WHERE c.oid = to_regclass('audit_events')",
    )
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

async fn pieces(c: &mut PgConnection, to: Layout) -> Result<Vec<Piece>, StoreError> {
    if to != Layout::Range {
        let rows = sqlx::query(
            "SELECT organization_id::text, format('organization_id = %L', organization_id), count(*)
             FROM audit_events GROUP BY organization_id ORDER BY organization_id",
        )
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
    let outside: Option<String> = sqlx::query_scalar(
        "SELECT event_id::text FROM audit_events
         WHERE timestamp < '1970-01-01Z' OR timestamp >= '3000-01-01Z' ORDER BY timestamp LIMIT 1",
    )
    .fetch_optional(&mut *c)
    .await?;
    if let Some(id) = outside {
        return Err(StoreError::Other(format!(
            "the event '{}' has a time outside 1970 to 2999, for which there is no month; the layout stays plain",
            id.escape_debug()
        )));
    }
    let rows = sqlx::query(
        "SELECT to_char(low AT TIME ZONE 'UTC', 'YYYY-MM'), quote_literal(low), quote_literal(high), events
         FROM (SELECT date_trunc('month', timestamp, 'UTC') AS low, count(*) AS events,
                      (date_trunc('month', timestamp AT TIME ZONE 'UTC') + interval '1 month') AT TIME ZONE 'UTC' AS high
               FROM audit_events GROUP BY 1, 3) months
         ORDER BY low",
    )
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
async fn make(c: &mut PgConnection, to: Layout, pieces: &[Piece]) -> Result<(), StoreError> {
    let (key, by) = match to {
        Layout::Range => ("organization_id, event_id, timestamp", "RANGE (timestamp)"),
        _ => ("organization_id, event_id", "HASH (organization_id)"),
    };
    let mut sql = format!(
        "CREATE TABLE IF NOT EXISTS {NEW} (LIKE audit_events INCLUDING DEFAULTS INCLUDING GENERATED \
         INCLUDING CONSTRAINTS INCLUDING STORAGE INCLUDING COMPRESSION INCLUDING COMMENTS, \
         PRIMARY KEY ({key})) PARTITION BY {by}; COMMENT ON TABLE {NEW} IS 'agenttrace: a change of layout is under way';"
    );
    for (low, high) in pieces.iter().filter_map(|piece| piece.bounds.as_ref()) {
        let month: String = low.chars().filter(char::is_ascii_digit).take(6).collect();
        let (year, month) = month.split_at(4.min(month.len()));
        sql.push_str(&format!(
            "CREATE TABLE IF NOT EXISTS audit_events_{year}_{month} PARTITION OF {NEW} FOR VALUES FROM ({low}) TO ({high});"
        ));
    }
    if to == Layout::Hash {
        for part in 0..PARTS {
            sql.push_str(&format!(
                "CREATE TABLE IF NOT EXISTS audit_events_{part} PARTITION OF {NEW} \
                 FOR VALUES WITH (MODULUS {PARTS}, REMAINDER {part});"
            ));
        }
    }
    run(c, sql).await
}

impl Piece {
    /// Copies what the new table does not have yet, and compares.
    async fn copy(&self, c: &mut PgConnection) -> Result<(), StoreError> {
        let mut transaction = c.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ").await?;
        self.add(&mut transaction).await?;
        transaction.commit().await?;
        Ok(())
    }

    async fn add(&self, c: &mut PgConnection) -> Result<(), StoreError> {
        let condition = &self.condition;
        run(
            c,
            format!(
                "INSERT INTO {NEW} ({COLUMNS}) SELECT {COLUMNS} FROM audit_events o WHERE {condition} AND NOT EXISTS \
                 (SELECT FROM {NEW} n WHERE n.organization_id = o.organization_id AND n.event_id = o.event_id \
                  AND n.timestamp = o.timestamp AND n.hash = o.hash)"
            ),
        )
        .await?;
        let digest = |table: &str| {
            format!(
                "(SELECT ROW(count(*), sum(hashtextextended(ROW({COLUMNS})::text, 0)::numeric)) FROM {table} \
                 WHERE {condition})"
            )
        };
        let sql = format!("SELECT {} IS NOT DISTINCT FROM {}", digest("audit_events"), digest(NEW));
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
async fn exchange_patiently(c: &mut PgConnection, to: Layout) -> Result<bool, StoreError> {
    let mut tries = 0;
    loop {
        tries += 1;
        match exchange(c, to).await {
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

async fn exchange(c: &mut PgConnection, to: Layout) -> Result<bool, StoreError> {
    let mut transaction = c.begin().await?;
    sqlx::raw_sql("SET LOCAL lock_timeout = '2s'; LOCK TABLE audit_events IN ACCESS EXCLUSIVE MODE")
        .execute(&mut *transaction)
        .await?;
    // Events that came in since they were copied.
    let pieces = pieces(&mut transaction, to).await?;
    make(&mut transaction, to, &pieces).await?;
    let mut events = 0;
    for piece in &pieces {
        let sql = format!("SELECT count(*) FROM {NEW} WHERE {}", piece.condition);
        let copied: i64 = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut *transaction).await?;
        if copied.unsigned_abs() != piece.events {
            piece.add(&mut transaction).await?;
        }
        events += piece.events;
    }
    let protection = roles::in_force(&mut transaction).await?;
    let mut sql = "DROP VIEW IF EXISTS audit_daily_summary_granted; DROP MATERIALIZED VIEW IF EXISTS audit_daily_summary;"
        .to_owned();
    sql.push_str(&format!(
        "ALTER TABLE audit_events RENAME TO {OLD}; ALTER TABLE {NEW} RENAME TO audit_events;"
    ));
    sql.push_str(&format!(
        "ALTER INDEX audit_events_pkey RENAME TO {OLD}_pkey; ALTER INDEX {NEW}_pkey RENAME TO audit_events_pkey;"
    ));
    for (name, _) in indexes::definitions() {
        sql.push_str(&format!(
            "ALTER INDEX IF EXISTS {name} RENAME TO {name}_plain; ALTER INDEX new_{name} RENAME TO {name};"
        ));
    }
    sql.push_str("COMMENT ON TABLE audit_events IS 'agenttrace: hash-chained audit trail, append-only';");
    run(&mut transaction, sql).await?;
    sqlx::raw_sql(GUARD).execute(&mut *transaction).await?;
    sqlx::raw_sql(PRIVILEGES).execute(&mut *transaction).await?;
    // Before anybody else sees the table: policies stay behind with the old one.
    if let Some(protection) = protection {
        roles::apply(&mut transaction, protection).await?;
    }
    if events == 0 {
        run(&mut transaction, format!("DROP TABLE {OLD}")).await?;
    }
    transaction.commit().await?;
    Ok(events > 0)
}

async fn run(c: &mut PgConnection, sql: String) -> Result<(), StoreError> {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(c).await?;
    Ok(())
}
