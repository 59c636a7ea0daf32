//! The demo trail in a real database: every planted fact by plain SQL, and states that follow from one another.

use crate::support;
use agenttrace::demo::{self, Fact, Settings, Trail};
use agenttrace::domain::{OrgId, Timestamp};
use agenttrace::server::{Options, PrivateServer, Purpose};
use agenttrace::store::private::databases;
use agenttrace::store::private::demo_trail::{self, Begun};
use agenttrace::store::writer::{Fate, Writer, WriterSettings};
use agenttrace::store::{WriteDb, schema};
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use std::collections::BTreeSet;
use std::path::Path;

/// The condition that finds each planted fact among the events of acme: the fact's filter, in SQL.
const CONDITIONS: &[(&str, &str)] = &[
    ("incident", "actor_ip <<= '203.0.113.64/26'"),
    ("leaked-key", "resource_type = 'api_key' AND resource_id = 'ak-42'"),
    ("second-key", "resource_type = 'api_key' AND resource_id = 'ak-77'"),
    ("became-admin", "previous_state->>'role' = 'viewer' AND new_state->>'role' = 'admin'"),
    (
        "roles-gain-admin",
        "new_state->'roles' ? 'admin' AND NOT coalesce(previous_state->'roles' ? 'admin', false)",
    ),
    ("role-binding", "resource_type = 'role_binding' AND resource_id = 'rb-7'"),
    (
        "mfa-off",
        "new_state->'mfa'->'enabled' = 'false' AND previous_state->'mfa'->'enabled' IS DISTINCT FROM 'false'",
    ),
    ("retention-lowered", "resource_type = 'retention_policy' AND resource_id = 'rp-2'"),
    (
        "phrase",
        "coalesce(previous_state::text, '') || coalesce(new_state::text, '') \
         LIKE '%pasted the deploy key into the shared notebook%'",
    ),
    ("response", "session_id = 's-RESPONSE'"),
    ("off-hours", "actor_ip <<= '203.0.113.0/24'"),
    ("password-spray", "actor_ip = '203.0.113.7'"),
    ("hostile-agents", "actor_user_agent LIKE '%probe/6.6%'"),
    ("leaver-exports", "actor_id = 'user-27' AND action = 'export' AND resource_type = 'dataset'"),
    (
        "owner-null",
        "action = 'update' AND new_state->'owner' = 'null' AND previous_state->'owner' IS DISTINCT FROM 'null'",
    ),
    ("word", "concat(event_type, resource_name, previous_state, new_state) LIKE '%zugzwang%'"),
    (
        "hostile-names",
        "(resource_type, resource_id) IN (('dataset', 'ds-90'), ('trace', 'tr-91')) \
         OR resource_name LIKE '=%' OR resource_name LIKE '%' || chr(8238) || '%'",
    ),
    ("equal-timestamps", "session_id = 's-IMPORT'"),
    ("large-state", "octet_length(new_state::text) > 250000"),
];

/// What else is promised about a fact's events: an aggregate over them that must be true.
const PROMISES: &[(&str, &str)] = &[
    ("incident", "count(*) = 41 AND count(DISTINCT action) = 5 AND count(DISTINCT actor_id) = 3"),
    (
        "incident",
        "bool_and((timestamp AT TIME ZONE 'Europe/Berlin')::time >= '22:00' \
         OR (timestamp AT TIME ZONE 'Europe/Berlin')::time < '06:00')",
    ),
    (
        "off-hours",
        "count(*) = 65 AND bool_and((timestamp AT TIME ZONE 'Europe/Berlin')::time >= '22:00' \
         OR (timestamp AT TIME ZONE 'Europe/Berlin')::time < '06:00')",
    ),
    ("became-admin", "bool_and(event_severity = 'critical' AND resource_id = 'user-33')"),
    ("mfa-off", "bool_and((previous_state->'mfa'->'enabled')::bool)"),
    ("owner-null", "bool_and(previous_state->>'owner' = 'user-27')"),
    ("word", "bool_and(action = 'delete' AND new_state IS NULL)"),
    ("equal-timestamps", "count(*) = 240 AND count(DISTINCT timestamp) = 1"),
    ("large-state", "bool_and(octet_length(new_state::text) BETWEEN 290000 AND 400000)"),
    (
        "hostile-agents",
        "bool_or(position(chr(27) || ']52;' IN actor_user_agent) > 0) \
         AND bool_or(position(chr(8238) IN actor_user_agent) > 0)",
    ),
    ("hostile-names", "bool_or(resource_name LIKE '=HYPERLINK(%')"),
    (
        "role-binding",
        "count(DISTINCT request_id) FILTER (WHERE actor_id IN ('user-2', 'svc-sync')) = 1 \
         AND max(timestamp) FILTER (WHERE actor_id = 'svc-sync') \
           - min(timestamp) FILTER (WHERE actor_id = 'svc-sync') < interval '2 s'",
    ),
    ("leaver-exports", "count(*) = 13 AND count(*) FILTER (WHERE resource_id = 'ds-300') = 10"),
];

fn condition(fact: &Fact) -> String {
    let (_, sql) =
        CONDITIONS.iter().find(|(name, _)| *name == fact.name).expect("every fact has its condition");
    let session = fact.filter.strip_prefix("sess:").unwrap_or_default();
    sql.replace("s-RESPONSE", session).replace("s-IMPORT", session)
}

pub(crate) async fn load(db: &WriteDb, settings: Settings) {
    let mut writer = Writer::new(db.clone(), WriterSettings::default());
    let mut trail = Trail::new(settings).unwrap();
    loop {
        let batch: Vec<_> = trail.by_ref().take(1_000).collect();
        if batch.is_empty() {
            break;
        }
        let fates = writer.append(batch).await.unwrap();
        assert!(fates.iter().all(|f| *f == Fate::Stored), "{fates:?}");
    }
}

#[test]
fn the_documentation_names_every_planted_fact() {
    let text = include_str!("../../docs/guide/demo.md");
    for fact in demo::planted() {
        let line = format!(
            "| {} | {} | `{}` | {} |",
            fact.name,
            fact.about,
            fact.filter.replace('|', "\\|"),
            fact.event_ids.len()
        );
        assert!(text.contains(&line), "docs/guide/demo.md lacks the line {line}");
        // The spray and the import are told in bulk.
        if !matches!(fact.name, "off-hours" | "password-spray" | "equal-timestamps") {
            for id in &fact.event_ids {
                assert!(text.contains(id.as_str()), "docs/guide/demo.md lacks {id} of {}", fact.name);
            }
        }
    }
}

async fn holds(c: &mut PgConnection, sql: String) -> bool {
    let answer: Option<bool> = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(c).await.unwrap();
    answer.unwrap_or(false)
}

#[tokio::test]
async fn every_planted_fact_is_found_and_nothing_else() {
    // The smallest trail, and one around a change of the clocks.
    for (seed, until, count) in [(1, "2026-07-01T09:30:00Z", 5_000), (42, "2026-04-03T22:15:00Z", 2_000)] {
        let test = support::database().await;
        let db = WriteDb::connect(test.options.clone()).await.unwrap();
        let settings = Settings::new(seed, Timestamp::parse(until).unwrap(), count).unwrap();
        load(&db, settings).await;
        let mut c = PgConnection::connect_with(&test.options).await.unwrap();

        let facts = demo::planted();
        assert_eq!(facts.len(), CONDITIONS.len());
        for fact in &facts {
            let sql = format!(
                "SELECT event_id FROM audit_events WHERE organization_id = 'acme' AND ({})",
                condition(fact)
            );
            let found: Vec<String> =
                sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_all(&mut c).await.unwrap();
            let found: BTreeSet<&str> = found.iter().map(String::as_str).collect();
            let planted: BTreeSet<&str> = fact.event_ids.iter().map(String::as_str).collect();
            assert_eq!(found, planted, "{} (seed {seed})", fact.name);
        }
        for (name, promise) in PROMISES {
            let fact = facts.iter().find(|f| f.name == *name).unwrap();
            let sql = format!(
                "SELECT {promise} FROM audit_events WHERE organization_id = 'acme' AND ({})",
                condition(fact)
            );
            assert!(holds(&mut c, sql).await, "{name}: {promise}");
        }

        // Full text finds the phrase and the word through the stored vector.
        for (query, name) in [
            ("phraseto_tsquery('simple', 'pasted the deploy key into the shared notebook')", "phrase"),
            ("to_tsquery('simple', 'zugzwang')", "word"),
        ] {
            let sql = format!("SELECT event_id FROM audit_events WHERE search_vector @@ {query}");
            let found: Vec<String> =
                sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_all(&mut c).await.unwrap();
            assert_eq!(found, facts.iter().find(|f| f.name == name).unwrap().event_ids);
        }

        let total: i64 =
            sqlx::query_scalar("SELECT count(*) FROM audit_events").fetch_one(&mut c).await.unwrap();
        assert_eq!(total, i64::try_from(count).unwrap());
        let per_organization: Vec<(String, i64)> = sqlx::query_as(
            "SELECT organization_id, event_count FROM audit_chain_heads ORDER BY event_count DESC",
        )
        .fetch_all(&mut c)
        .await
        .unwrap();
        let names: Vec<&str> = per_organization.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, demo::organizations());
        c.close().await.unwrap();
        db.close().await;
        test.drop_now().await;
    }
}

#[tokio::test]
async fn states_chain_per_resource_in_the_database() {
    let test = support::database().await;
    let db = WriteDb::connect(test.options.clone()).await.unwrap();
    let settings = Settings::new(7, Timestamp::parse("2026-07-01T09:30:00Z").unwrap(), 6_000).unwrap();
    load(&db, settings).await;
    let mut c = PgConnection::connect_with(&test.options).await.unwrap();
    // In the order in which the trail was written.
    let order: Vec<String> = Trail::new(settings).unwrap().map(|e| e.event_id).collect();
    let (followed, broken): (i64, i64) = sqlx::query_as(
        "WITH changes AS (
            SELECT previous_state, lag(new_state) OVER resource AS before, lag(action) OVER resource AS action_before
            FROM unnest($1::text[]) WITH ORDINALITY AS trail (event_id, place) JOIN audit_events e USING (event_id)
            WHERE action IN ('create', 'update', 'delete')
            WINDOW resource AS (PARTITION BY organization_id, resource_type, resource_id ORDER BY place)
        )
        SELECT count(*), count(*) FILTER (WHERE previous_state IS DISTINCT FROM before)
        FROM changes WHERE action_before IS NOT NULL",
    )
    .bind(order)
    .fetch_one(&mut c)
    .await
    .unwrap();
    assert_eq!(broken, 0);
    assert!(followed > 500, "{followed}");
    c.close().await.unwrap();
    db.close().await;
    test.drop_now().await;
}

/// The program with a data folder of its own, and a database in the environment that it must not touch.
fn demo_command(folder: &Path) -> assert_cmd::Command {
    let mut command = assert_cmd::Command::cargo_bin("agenttrace").unwrap();
    command
        .env("AGENTTRACE_DATA_DIR", folder)
        .env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/elsewhere")
        .env("AGENTTRACE_DATABASE_URL", "postgres://nobody@127.0.0.1:1/elsewhere")
        .args(["demo", "--no-console"]);
    command
}

fn attach(folder: &Path) -> PrivateServer {
    let options = Options { folder: folder.join("postgres"), purpose: Purpose::Keep };
    PrivateServer::attach(&options).unwrap()
}

async fn count(db: &mut PgConnection) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM audit_events").fetch_one(db).await.unwrap()
}

#[tokio::test]
async fn a_load_that_was_cut_off_is_completed_and_never_shown_as_whole() {
    let folder = support::scratch();
    let server = attach(folder.path());
    databases::ensure(&server.connect_options("postgres"), "agenttrace").await.unwrap();
    let db = WriteDb::connect(server.connect_options("agenttrace")).await.unwrap();
    schema::migrate(&db).await.unwrap();
    // What a kill in the middle of a load leaves behind: the record, and the batches that were committed.
    let settings = Settings::new(11, Timestamp::parse("2026-07-01T09:30:00Z").unwrap(), 2_500).unwrap();
    let begun = Begun {
        seed: settings.seed(),
        until: settings.until(),
        events: settings.count(),
        generator: demo::VERSION,
        complete: false,
    };
    demo_trail::begin(&db, &begun).await.unwrap();
    let first: Vec<_> = Trail::new(settings).unwrap().take(1_100).collect();
    Writer::new(db.clone(), WriterSettings::default()).append(first).await.unwrap();

    let run = demo_command(folder.path()).assert().success();
    let said = String::from_utf8_lossy(&run.get_output().stderr).into_owned();
    assert!(said.contains("going on with a demo that was not loaded to its end"), "{said}");
    let mut c = PgConnection::connect_with(&server.connect_options("agenttrace")).await.unwrap();
    let ids: BTreeSet<String> = sqlx::query_scalar("SELECT event_id FROM audit_events")
        .fetch_all(&mut c)
        .await
        .unwrap()
        .into_iter()
        .collect();
    let expected: BTreeSet<String> = Trail::new(settings).unwrap().map(|e| e.event_id).collect();
    assert_eq!(ids, expected);
    // One beginning and one end to each chain.
    let (ends, organizations): (i64, i64) = sqlx::query_as(
        "SELECT count(*) FILTER (WHERE NOT EXISTS (SELECT FROM audit_events n WHERE n.previous_hash = e.hash)),
                count(DISTINCT organization_id) FILTER (WHERE previous_hash = '')
         FROM audit_events e",
    )
    .fetch_one(&mut c)
    .await
    .unwrap();
    assert_eq!((ends, organizations), (3, 3));
    assert_eq!(demo_trail::begun(&db).await.unwrap(), Some(Begun { complete: true, ..begun }));

    // The second start has nothing to do, and says nothing.
    let run = demo_command(folder.path()).assert().success();
    assert_eq!(String::from_utf8_lossy(&run.get_output().stderr), "");

    // It can be tampered with, and verify says what that did.
    let run = demo_command(folder.path()).args(["--tamper", "delete-middle"]).assert().success();
    let said = String::from_utf8_lossy(&run.get_output().stderr).into_owned();
    assert!(
        said.contains("acme was tampered with (delete-middle: an event in the middle deleted)"),
        "{said}"
    );
    let mut verify = assert_cmd::Command::cargo_bin("agenttrace").unwrap();
    verify.env("AGENTTRACE_DATA_DIR", folder.path()).args(["--profile", "demo", "verify", "--org", "acme"]);
    let output = verify.output().unwrap();
    let found = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.code() == Some(1) && found.contains("\nmissing_predecessor:"), "{found}");
    assert_eq!(
        demo_command(folder.path()).args(["--tamper", "nothing"]).output().unwrap().status.code(),
        Some(2)
    );
    c.close().await.unwrap();
    db.close().await;
}

#[tokio::test]
async fn fresh_asks_before_it_drops_what_the_demo_did_not_make() {
    let folder = support::scratch();
    let server = attach(folder.path());
    let run = |args: &[&str]| {
        let output = demo_command(folder.path()).args(args).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(run(&["--events", "1999"]).0, 2);
    assert_eq!(run(&["--until", "yesterday"]).0, 2);
    assert_eq!(run(&["--events", "2000", "--until", "2026-07-01T09:30:00Z"]).0, 0);

    // Another trail than the one that is there: not without being told to.
    let (code, said) = run(&["--events", "2100"]);
    assert!(code == 5 && said.contains("--fresh"), "{said}");

    // Only generated organisations: nothing to ask.
    let again = ["--events", "2100", "--until", "2026-07-01T09:30:00Z", "--fresh"];
    assert_eq!(run(&again).0, 0);
    let mut c = PgConnection::connect_with(&server.connect_options("agenttrace")).await.unwrap();
    assert_eq!(count(&mut c).await, 2_100);

    // Somebody's own evidence in the same database.
    let db = WriteDb::connect(server.connect_options("agenttrace")).await.unwrap();
    let mut event =
        Trail::new(Settings::new(1, Timestamp::parse("2026-01-01T00:00:00Z").unwrap(), 2_000).unwrap())
            .unwrap()
            .next()
            .unwrap();
    event.organization_id = OrgId::new("evidence").unwrap();
    event.event_id = "evidence-1".to_owned();
    Writer::new(db.clone(), WriterSettings::default()).append(vec![event]).await.unwrap();
    db.close().await;
    let (code, said) = run(&again);
    assert!(code == 5 && said.contains("'evidence' (1 events)"), "{said}");
    assert_eq!(count(&mut c).await, 2_101);
    // An open connection does not stand in the way of a --fresh that was confirmed.
    assert_eq!(run(&["--events", "2000", "--fresh", "--yes"]).0, 0);
    let mut c = PgConnection::connect_with(&server.connect_options("agenttrace")).await.unwrap();
    assert_eq!(count(&mut c).await, 2_000);

    // Another database on the same server is a demo of its own; an organisation of that name is not overwritten.
    assert_eq!(run(&["--database", "second", "--events", "2222"]).0, 0);
    sqlx::raw_sql("DROP SCHEMA agenttrace_demo CASCADE").execute(&mut c).await.unwrap();
    let (code, said) = run(&[]);
    assert!(code == 5 && said.contains("'acme' that the demo did not make"), "{said}");
    c.close().await.unwrap();
    somebody_elses_table_is_read_as_it_is(&server, folder.path()).await;
}

/// Such as one that was restored into the private server to be looked at.
async fn somebody_elses_table_is_read_as_it_is(server: &PrivateServer, folder: &Path) {
    let mut c = PgConnection::connect_with(&server.connect_options("postgres")).await.unwrap();
    sqlx::raw_sql("CREATE DATABASE restored").execute(&mut c).await.unwrap();
    c.close().await.unwrap();
    let mut c = PgConnection::connect_with(&server.connect_options("restored")).await.unwrap();
    let table = format!(
        "CREATE TABLE audit_events ({});
         INSERT INTO audit_events (event_id, timestamp, organization_id, actor_type, actor_id, event_category, event_type,
             event_severity, resource_type, resource_id, action, request_id, hash)
         VALUES ('evt-1', '2026-01-01Z', 'theirs', 'user', 'u-1', 'auth', 'login', 'info', 'session', 's-1', 'create',
             'r-1', '')",
        crate::shapes::COLUMNS.replace("{key}", "PRIMARY KEY")
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(table)).execute(&mut c).await.unwrap();
    c.close().await.unwrap();
    let run = |args: &[&str]| {
        let mut command = assert_cmd::Command::cargo_bin("agenttrace").unwrap();
        command.env("AGENTTRACE_DATA_DIR", folder).args(["--database", "restored"]).args(args);
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    };
    let (code, found, said) = run(&["events", "all-time", "--format", "csv"]);
    assert!(code == 0 && found.contains("evt-1"), "{said}");
    let (code, _, said) = run(&["db", "migrate"]);
    assert!(code == 3 && said.contains("agenttrace did not make"), "{said}");
}
