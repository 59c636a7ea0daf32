//! The one way in which a transaction that reads begins: read-only, with settings that hold until its end, and proof
//! that all of that is in force.
//!
//! Everything is said in one message, so that it takes one round trip; it shows, too, that an idle connection is alive.
//! Nothing is set for longer than the transaction, which ends by ROLLBACK: whatever its statements have set, or code of
//! others has, is undone.

use super::super::StoreError;
use super::relation::{self, Candidate, HOMES};
use super::{Link, error};
#[expect(
    clippy::disallowed_types,
    reason = "our own statements with settings and the server's identifiers"
)]
use sqlx::AssertSqlSafe;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use std::fmt::Write as _;
use std::time::Duration;

/// How long a statement waits for a lock.
const LOCK_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a transaction of short statements may wait for its next one.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// The same of a writer, which holds the lock of a chain's head meanwhile.
const WRITER_IDLE_TIMEOUT: Duration = Duration::from_secs(300);

/// What the statements of a transaction see of others that commit meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Isolation {
    /// Each statement sees what is committed when it begins.
    EachStatement,
    /// All see one state.
    OneSnapshot,
}

/// How a transaction begins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Start<'a> {
    pub(crate) isolation: Isolation,
    /// The exported snapshot to look at.
    pub(crate) snapshot: Option<&'a str>,
    /// `statement_timeout`
    pub(crate) limit: Option<Duration>,
    /// `idle_in_transaction_session_timeout`
    pub(super) idle: Option<Duration>,
    /// It writes.
    pub(super) writes: bool,
    /// The name of tables that are looked for in the caller's own path, before that is put aside.
    pub(super) looks_for: Option<&'a str>,
    /// Whether the server can look after its client while it works.
    pub(super) watches: bool,
}

impl<'a> Start<'a> {
    /// Of short statements.
    pub(super) fn short(limit: Duration) -> Self {
        Self {
            isolation: Isolation::EachStatement,
            snapshot: None,
            limit: Some(limit),
            idle: Some(IDLE_TIMEOUT),
            writes: false,
            looks_for: None,
            watches: true,
        }
    }

    /// Of statements that take as long as they take.
    pub(super) fn long() -> Self {
        Self { limit: None, idle: None, ..Self::short(Duration::ZERO) }
    }

    /// Of statements that write. They wait for locks, such as that of a chain's head, as long as others hold them.
    pub(super) fn writing() -> Self {
        Self { writes: true, idle: Some(WRITER_IDLE_TIMEOUT), ..Self::long() }
    }

    /// Of a scan: one snapshot, its own or the exported one named.
    pub(crate) fn scan(snapshot: Option<&'a str>) -> Self {
        Self { isolation: Isolation::OneSnapshot, snapshot, ..Self::long() }
    }
}

/// A transaction that has begun.
#[derive(Debug)]
pub(super) struct Begun {
    /// The server process, for as long as the transaction lasts.
    pub(super) backend: Backend,
    /// The tables found.
    pub(super) candidates: Vec<Candidate>,
}

/// A server process in a certain transaction. Behind a pooler the process is another one in the next transaction, and
/// serves others in between: a request to cancel must hit nothing but this transaction.
#[derive(Debug, Clone)]
pub(super) struct Backend {
    pub(super) pid: i32,
    /// When the transaction began, as the server prints it.
    pub(super) since: String,
}

/// Name of the setting by which a session is known again.
pub(super) const MARK: &str = "agenttrace.session";

/// The settings of a transaction, each as the server shows it.
fn settings(start: Start<'_>, version: Option<u32>) -> Vec<(&'static str, String)> {
    let shown = |limit: Option<Duration>| limit.map_or_else(|| "0".to_owned(), as_shown);
    let mut settings = vec![
        // Nobody but the server's own makers can put functions and operators there; tables are named in full.
        ("search_path", "pg_catalog, pg_temp".to_owned()),
        ("statement_timeout", shown(start.limit)),
        ("lock_timeout", shown((!start.writes).then_some(LOCK_TIMEOUT))),
        ("idle_in_transaction_session_timeout", shown(start.idle)),
        ("TimeZone", "UTC".to_owned()),
        ("DateStyle", "ISO, MDY".to_owned()),
        ("IntervalStyle", "postgres".to_owned()),
        ("extra_float_digits", "1".to_owned()),
        ("standard_conforming_strings", "on".to_owned()),
        ("transform_null_equals", "off".to_owned()),
        ("quote_all_identifiers", "off".to_owned()),
        // With a limit, an index on words would find some of the events.
        ("gin_fuzzy_search_limit", "0".to_owned()),
        // A plan for unknown values would use neither partial indexes nor statistics.
        ("plan_cache_mode", "force_custom_plan".to_owned()),
        ("jit", "off".to_owned()),
    ];
    if version.is_some_and(|version| version >= 170_000) {
        settings.push(("transaction_timeout", "0".to_owned()));
    }
    if start.writes {
        // What was committed is stored, whatever the role's default.
        settings.push(("synchronous_commit", "on".to_owned()));
        settings.push(("client_min_messages", "warning".to_owned()));
    }
    if start.watches {
        settings.push(("client_connection_check_interval", "2s".to_owned()));
    }
    settings
}

/// A length of time as the server prints it: in the greatest unit that divides it.
fn as_shown(time: Duration) -> String {
    let ms = time.as_millis();
    if ms == 0 {
        return "0".to_owned();
    }
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"), (1, "ms")];
    let (size, unit) = units.into_iter().find(|(size, _)| ms.is_multiple_of(*size)).unwrap_or((1, "ms"));
    format!("{}{unit}", ms / size)
}

/// A role that may read only by default is not made to write.
fn access(start: Start<'_>) -> &'static str {
    if start.writes { "" } else { "READ ONLY, " }
}

fn isolation(start: Start<'_>) -> &'static str {
    match start.isolation {
        Isolation::EachStatement => "read committed",
        Isolation::OneSnapshot => "repeatable read",
    }
}

/// The first statement.
fn beginning(start: Start<'_>) -> String {
    format!("BEGIN TRANSACTION ISOLATION LEVEL {} {}NOT DEFERRABLE;", isolation(start), access(start))
}

/// The statements behind it.
fn statements(start: Start<'_>, settings: &[(&'static str, String)]) -> String {
    let mut sql = String::new();
    if let Some(id) = start.snapshot {
        // The server's own identifier: digits, A to F and '-'; the statement takes no parameters.
        let plain: String = id.chars().filter(|c| c.is_ascii_hexdigit() || *c == '-').collect();
        let _ = write!(sql, "SET TRANSACTION SNAPSHOT '{plain}';");
    }
    // The tables are found by the role's own search_path. pgpool-II judges the whole message by its first statement: a
    // setting makes it send what follows to the primary, too, a query would not.
    let (path, others): (Vec<_>, Vec<_>) = settings.iter().partition(|(name, _)| *name == "search_path");
    for (name, value) in others {
        let _ = write!(sql, "SET LOCAL {name} = '{value}';");
    }
    if let Some(table) = start.looks_for {
        sql.push_str(&relation::candidates(table));
        if start.writes {
            sql.push_str(HOMES);
        }
        sql.push(';');
    }
    for (name, value) in path {
        // A list is no string.
        let _ = write!(sql, "SET LOCAL {name} = {value};");
    }
    let _ = write!(
        sql,
        "SELECT pg_catalog.pg_backend_pid(), pg_catalog.transaction_timestamp(), \
         pg_catalog.current_setting('{MARK}', true), pg_catalog.current_setting('transaction_read_only'), \
         pg_catalog.current_setting('transaction_isolation')"
    );
    for (name, _) in settings {
        let _ = write!(sql, ", pg_catalog.current_setting('{name}')");
    }
    sql
}

/// Whether the server that has begun the transaction also gets the statements in it. pgpool-II with standbys sends a message
/// of several statements to the primary only, and does not see that it begins a transaction: the queries that follow go to
/// a standby, where there is none, and none of its settings.
pub(super) async fn is_kept_together(link: &mut Link, begun: &Begun) -> Result<bool, StoreError> {
    // The text of a query without volatile functions, which would go to the primary.
    let row = sqlx::raw_sql("SELECT pg_catalog.transaction_timestamp()").fetch_one(link.bare()).await?;
    Ok(row.try_get_unchecked::<String, _>(0)? == begun.backend.since)
}

/// Begins a transaction, in one message or, for a pooler that must see it begin (`alone`), in two; also returns the
/// session's mark, if it has one. After an error the connection must not be used again.
///
/// # Errors
/// [`StoreError::StatementPooling`] where a pooler knows no transactions; when a setting is not in force; and as any
/// statement.
pub(super) async fn begin(
    link: &mut Link,
    start: Start<'_>,
    alone: bool,
) -> Result<(Begun, Option<String>), StoreError> {
    let settings = settings(start, link.connection.server_version_num());
    let refused = |e| {
        if error::is_of_statement_pooling(&e) { StoreError::StatementPooling } else { e.into() }
    };
    let (mut first, rest) = (beginning(start), statements(start, &settings));
    if alone {
        sqlx::raw_sql(AssertSqlSafe(std::mem::take(&mut first)))
            .execute(link.bare())
            .await
            .map_err(refused)?;
    }
    // Made of names and numbers of ours.
    let sql = AssertSqlSafe(first + &rest);
    let rows = sqlx::raw_sql(sql).fetch_all(link.bare()).await.map_err(refused)?;
    let Some((row, candidates)) = rows.split_last() else {
        return Err(StoreError::Other(
            "the server has not answered the beginning of a transaction".to_owned(),
        ));
    };
    let read_only = if start.writes { "off" } else { "on" };
    let wanted = [("transaction_read_only", read_only), ("transaction_isolation", isolation(start))];
    let all = wanted.into_iter().chain(settings.iter().map(|(name, value)| (*name, value.as_str())));
    verify(row, all)?;
    let begun = Begun {
        backend: Backend { pid: row.try_get(0)?, since: row.try_get_unchecked::<String, _>(1)? },
        candidates: candidates.iter().map(Candidate::read).collect::<Result<_, _>>()?,
    };
    Ok((begun, row.try_get(2)?))
}

/// Whether each setting is what it was set to.
fn verify<'a>(row: &PgRow, settings: impl Iterator<Item = (&'a str, &'a str)>) -> Result<(), StoreError> {
    for (at, (name, value)) in settings.enumerate() {
        let found: String = row.try_get(at + 3)?;
        if found != value {
            return Err(StoreError::Other(format!(
                "the server (or a pooler before it) did not take {name} = {value}, it has {found}: nothing is done there"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_the_server_shows_them() {
        for (ms, text) in [
            (0, "0"),
            (1, "1ms"),
            (1_500, "1500ms"),
            (30_000, "30s"),
            (60_000, "1min"),
            (90_000, "90s"),
            (7_200_000, "2h"),
            (86_400_000, "1d"),
        ] {
            assert_eq!(as_shown(Duration::from_millis(ms)), text);
        }
    }

    #[test]
    fn nothing_is_set_beyond_the_transaction() {
        let mut start = Start::scan(Some("00000003-0000001B-1'; DROP TABLE x; --"));
        start.looks_for = Some("audit_events");
        let sql = beginning(start) + &statements(start, &settings(start, Some(170_001)));
        assert!(sql.starts_with("BEGIN TRANSACTION ISOLATION LEVEL repeatable read READ ONLY, NOT DEFERRABLE;SET TRANSACTION SNAPSHOT '00000003-0000001B-1DABE-"), "{sql}");
        for statement in sql.split(';').skip(2) {
            assert!(
                statement.starts_with("SET LOCAL ") || statement.trim_start().starts_with("SELECT "),
                "{statement}"
            );
        }
        assert!(sql.contains("SET LOCAL transaction_timeout = '0';") && !sql.contains("set_config"), "{sql}");
        let older = statements(start, &settings(start, Some(160_001)));
        assert!(!older.contains("transaction_timeout"), "{older}");
    }
}
