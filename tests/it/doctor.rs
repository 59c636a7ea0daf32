//! The doctor: the guide's own schema gets exactly the findings that it deserves; each check is silent on a database that is
//! as it must be, and speaks on one that is not; a role that only reads can ask.

use crate::shapes::Shape;
use crate::support::{self, Home, TestDatabase};
use crate::verify::{append, run, run_json};
use serde_json::Value;
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use std::collections::BTreeMap;

/// Checks whose answers are about the whole server, which other tests use too.
const OF_SERVER: [&str; 4] = ["durability", "backup", "connections", "replication"];

const TIDY: &str = "VACUUM (ANALYZE) audit_events";

/// The worst level of each check.
fn levels(document: &Value) -> BTreeMap<String, String> {
    let rank = |level: &str| ["pass", "unknown", "warn", "fail"].iter().position(|l| *l == level).unwrap();
    let mut levels: BTreeMap<String, String> = BTreeMap::new();
    for diagnosis in document["diagnoses"].as_array().unwrap() {
        let (check, level) = (diagnosis["check"].as_str().unwrap(), diagnosis["level"].as_str().unwrap());
        let worst = levels.entry(check.to_owned()).or_insert_with(|| level.to_owned());
        if rank(level) > rank(worst) {
            level.clone_into(worst);
        }
        let has_advice = !diagnosis["advice"].as_array().unwrap().is_empty();
        assert_eq!(has_advice, rank(level) > 1, "what is wrong has a remedy: {diagnosis}");
    }
    levels.retain(|check, _| !OF_SERVER.contains(&check.as_str()));
    levels
}

fn examined(home: &Home, test: &TestDatabase) -> BTreeMap<String, String> {
    let (code, document) = run_json(home, test, &["doctor"]);
    let levels = levels(&document);
    // Those of the server count for the code.
    assert!([0, 1, 4].contains(&code), "{document}");
    levels
}

/// The checks that are not as they must be, with their level.
fn wrong(levels: &BTreeMap<String, String>) -> Vec<(&str, &str)> {
    let all = levels.iter().map(|(check, level)| (check.as_str(), level.as_str()));
    all.filter(|(_, level)| *level != "pass").collect()
}

async fn sql(test: &TestDatabase, statements: &str) {
    let mut c = PgConnection::connect_with(&test.options).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(statements.to_owned())).execute(&mut c).await.unwrap();
    c.close().await.unwrap();
}

#[tokio::test]
async fn the_guides_schema_as_printed_gets_exactly_the_findings_that_it_deserves() {
    let test = Shape::Seed.database().await;
    let home = Home::new();
    let event = "INSERT INTO audit_events (event_id, timestamp, organization_id, actor_type, actor_id, event_category, \
        event_type, event_severity, resource_type, resource_id, action, request_id, hash) SELECT 'e' || n, now(), 'own', \
        'user', 'u', 'auth', 'login', 'info', 'session', 's', 'create', 'r', 'h' || n FROM generate_series(1, 30) n";
    sql(&test, event).await;
    sql(&test, TIDY).await;
    let found = examined(&home, &test);
    assert_eq!(
        wrong(&found),
        [
            // The tests' role owns the table.
            ("append-only", "warn"),
            ("chain-scheme", "fail"),
            ("fulltext-limit", "fail"),
            ("index-order", "warn"),
            ("link-index", "warn"),
            ("schema", "warn"),
            ("verified", "warn"),
        ]
    );
    // Its advice, followed literally, is a finding.
    sql(&test, "ALTER TABLE audit_events ALTER COLUMN new_state SET STORAGE EXTERNAL").await;
    sql(
        &test,
        "CREATE MATERIALIZED VIEW audit_daily_summary AS SELECT organization_id, DATE(timestamp) AS date, event_category, \
         count(*) FROM audit_events GROUP BY 1, 2, 3; CREATE INDEX ON audit_daily_summary (organization_id, date)",
    )
    .await;
    let found = examined(&home, &test);
    assert_eq!((&*found["state-storage"], &*found["daily-summary"]), ("warn", "warn"));
    // In months, as the document has it.
    let test = Shape::SeedByMonth.database().await;
    let event = event.replace("now()", "timestamptz '2026-01-05Z'").replace("1, 30", "1, 3000");
    sql(&test, &format!("{event}; ANALYZE audit_events_2026_01")).await;
    let found = examined(&home, &test);
    for check in ["partition-end", "statistics"] {
        assert_eq!(found[check], "fail", "{found:?}");
    }
    assert_eq!(found["event-id"], "warn");
}

/// What makes a check speak, and how loudly.
const DAMAGE: [(&str, &str, &str); 15] = [
    (
        "word-lists",
        "warn",
        "DO $$ DECLARE k text; BEGIN FOR k IN SELECT conname FROM pg_constraint WHERE contype = 'c' AND \
        conrelid = 'audit_events'::regclass LOOP EXECUTE format('ALTER TABLE audit_events DROP CONSTRAINT %I', k); END LOOP; \
        END $$",
    ),
    ("event-id", "warn", "ALTER TABLE audit_events DROP CONSTRAINT audit_events_pkey"),
    ("append-only", "fail", "GRANT DELETE ON audit_events TO PUBLIC"),
    ("schema", "fail", "ALTER TABLE audit_events DISABLE TRIGGER USER"),
    ("index-presence", "fail", "DROP INDEX idx_audit_actor"),
    ("index-duplicate", "warn", "CREATE INDEX twice ON audit_events (organization_id, request_id)"),
    (
        "index-order",
        "warn",
        "CREATE INDEX mixed ON audit_events (organization_id, project_id, timestamp DESC, event_id)",
    ),
    (
        "index-valid",
        "fail",
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'idx_audit_session'::regclass",
    ),
    (
        "link-index",
        "warn",
        "CREATE INDEX links ON audit_events (organization_id, timestamp, hash, previous_hash)",
    ),
    (
        "fulltext-limit",
        "fail",
        "CREATE INDEX words ON audit_events USING gin (to_tsvector('simple', new_state::text))",
    ),
    ("autovacuum", "fail", "ALTER TABLE audit_events SET (autovacuum_enabled = false)"),
    ("state-storage", "warn", "ALTER TABLE audit_events ALTER COLUMN previous_state SET STORAGE EXTERNAL"),
    ("daily-summary", "warn", "DROP INDEX idx_audit_daily_summary"),
    ("partitioning", "warn", "UPDATE pg_class SET reltuples = 2e7 WHERE oid = 'audit_events'::regclass"),
    (
        "visibility-map",
        "warn",
        "UPDATE pg_class SET relpages = 5000, relallvisible = 10 \
        WHERE oid = 'audit_events'::regclass",
    ),
];

#[tokio::test]
async fn each_check_is_silent_on_a_good_database_and_speaks_on_a_damaged_one() {
    let test = support::database().await;
    let home = Home::new();
    append(&test, "own", 0..60).await;
    sql(&test, "REFRESH MATERIALIZED VIEW audit_daily_summary").await;
    sql(&test, TIDY).await;
    let (code, stdout, _) = run(&home, &test, &["--org", "own", "verify"]);
    assert_eq!(code, 0, "{stdout}");
    let before = examined(&home, &test);
    // The tests' role owns the table.
    assert_eq!(wrong(&before), [("append-only", "warn")]);
    for (check, ..) in DAMAGE {
        assert!(check == "append-only" || before[check] == "pass", "{check}");
    }
    for (_, _, statement) in DAMAGE {
        sql(&test, statement).await;
    }
    let after = examined(&home, &test);
    for (check, level, _) in DAMAGE {
        assert_eq!(after[check], level, "{check}: {after:?}");
    }
    // One waits for another.
    let (code, document) = run_json(&home, &test, &["doctor", "--only", "locks"]);
    assert_eq!((code, &document["diagnoses"][0]["level"]), (0, &Value::from("pass")), "{document}");
    let mut holder = PgConnection::connect_with(&test.options).await.unwrap();
    // Held before the other one asks for it.
    sqlx::raw_sql("SELECT pg_advisory_lock(77)").execute(&mut holder).await.unwrap();
    let mut waiter = PgConnection::connect_with(&test.options).await.unwrap();
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut waiter).await.unwrap();
    let waiting = tokio::spawn(async move {
        sqlx::raw_sql("SELECT pg_advisory_lock(77)").execute(&mut waiter).await.unwrap()
    });
    loop {
        let waits: bool = sqlx::query_scalar(
            "SELECT wait_event_type IS NOT DISTINCT FROM 'Lock' FROM pg_stat_activity WHERE pid = $1",
        )
        .bind(pid)
        .fetch_one(&mut holder)
        .await
        .unwrap();
        if waits {
            break;
        }
        tokio::task::yield_now().await;
    }
    let (code, document) = run_json(&home, &test, &["doctor", "--only", "locks"]);
    assert_eq!((code, &document["diagnoses"][0]["level"]), (1, &Value::from("warn")), "{document}");
    drop(holder);
    waiting.await.unwrap();
    // The forms of the answer.
    let (code, stdout, _) = run(&home, &test, &["doctor", "--only", "autovacuum,event-id", "--nagios"]);
    assert_eq!(code, 2, "{stdout}");
    assert!(
        stdout.starts_with("CRITICAL - 1 FAIL, 1 WARN; autovacuum: ") && stdout.lines().count() == 1,
        "{stdout}"
    );
    let (code, stdout, _) =
        run(&home, &test, &["doctor", "--only", "index-presence", "--format", "markdown"]);
    assert_eq!(code, 1, "{stdout}");
    assert!(
        stdout.contains("- **FAIL** `index-presence`: ") && stdout.contains("```sql\n  CREATE INDEX"),
        "{stdout}"
    );
    let (code, _, stderr) = run(&home, &test, &["doctor", "--only", "index-presense"]);
    assert!(code == 2 && stderr.contains("index-presence"), "{stderr}");
}

#[tokio::test]
async fn a_role_that_only_reads_can_ask_and_the_checklist_has_eleven_answers() {
    let test = support::database().await;
    let home = Home::new();
    append(&test, "own", 0..60).await;
    let role = format!("reader_of_{}", std::process::id());
    sql(
        &test,
        &format!(
            "CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA public TO {role}; GRANT SELECT ON audit_events TO {role}"
        ),
    )
    .await;
    sql(&test, TIDY).await;
    let url = test.url();
    let (_, place) = url.rsplit_once('@').unwrap();
    let url = format!("postgres://{role}@{place}");
    let ask = |arguments: &[&str]| {
        let mut command = home.agenttrace();
        command.args(["--database-url", &url, "doctor", "--format", "json"]).args(arguments);
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        serde_json::from_str::<Value>(&text).unwrap_or_else(|e| panic!("{e}: {text} {said}"))
    };
    let found = levels(&ask(&[]));
    assert_eq!(found["append-only"], "pass", "{found:?}");
    let unknown: Vec<&String> =
        found.iter().filter(|(_, level)| *level == "unknown").map(|(check, _)| check).collect();
    assert!(unknown.iter().all(|check| ["locks", "schema"].contains(&check.as_str())), "{found:?}");
    let checklist = ask(&["--checklist"]);
    let items = checklist["checklist"].as_array().unwrap();
    assert_eq!(items.len(), 11);
    for item in items {
        let may_be_unknown = ["connection pooling", "asynchronous writes", "backup and archival"];
        let name = item["item"].as_str().unwrap();
        assert!(item["level"] != "unknown" || may_be_unknown.contains(&name), "{item}");
        assert!(!item["evidence"].as_str().unwrap().is_empty(), "{item}");
    }
    sql(&test, &format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}

#[tokio::test]
async fn the_table_is_not_read_through() {
    let test = support::database().await;
    let home = Home::new();
    append(&test, "own", 0..6_000).await;
    sql(&test, TIDY).await;
    let read = async || {
        support::others_have_ended(&test).await;
        let mut c = PgConnection::connect_with(&test.options).await.unwrap();
        let rows: i64 =
            sqlx::query_scalar("SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 'audit_events'")
                .fetch_one(&mut c)
                .await
                .unwrap();
        c.close().await.unwrap();
        rows
    };
    let before = read().await;
    examined(&home, &test);
    assert!(read().await - before < 6_000, "doctor reads every row");
}
