//! Migrations, the append-only guard, `db migrate` and `db status`.

use crate::support;
use agenttrace::store::schema::{self, Layout, Origin};
use agenttrace::store::writer::{BulkWriter, Fate};
use agenttrace::store::{ReadDb, ReadSettings, StoreError, WriteDb};
use serde_json::Value;
use sqlx::Connection as _;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use tokio_util::sync::CancellationToken;

async fn write_db(options: &PgConnectOptions) -> WriteDb {
    WriteDb::connect(options.clone()).await.unwrap()
}

async fn status(options: &PgConnectOptions) -> schema::Status {
    let db = ReadDb::connect(options.clone(), ReadSettings::default()).await.unwrap();
    let status = schema::status(&db, &CancellationToken::new()).await.unwrap();
    db.close().await;
    status
}

async fn execute(options: &PgConnectOptions, sql: &'static str) -> Result<u64, sqlx::Error> {
    let mut c = PgConnection::connect_with(options).await.unwrap();
    sqlx::raw_sql(sql).execute(&mut c).await.map(|done| done.rows_affected())
}

const INSERT: &str = "INSERT INTO audit_events (event_id, timestamp, organization_id, actor_type, actor_id, \
     event_category, event_type, event_severity, resource_type, resource_id, action, request_id, hash, new_state) \
     VALUES ('e-1', '2026-01-05T08:01:01Z', 'a', 'user', 'u-1', 'auth', 'login', 'info', 'session', 's-1', 'create', \
     'r-1', 'h', '{}')";

#[tokio::test]
async fn the_schema_is_made_once_whoever_comes_first() {
    let database = support::bare_database().await;
    let before = status(&database.options).await;
    assert_eq!((before.schema, before.migrations_pending.len()), (Origin::Absent, 7));
    assert_eq!(before.problems, ["there is no table audit_events"]);

    let mut programs = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let options = database.options.clone();
        programs.spawn(async move { schema::migrate(&write_db(&options).await).await.unwrap() });
    }
    let mut applied = programs.join_all().await;
    applied.sort();
    let last = applied.pop().unwrap();
    assert_eq!(
        last,
        [
            "0001 audit events",
            "0002 indexes",
            "0003 daily summary",
            "0004 partitions",
            "0005 email index",
            "0006 partition path",
            "0007 partitions of others"
        ]
    );
    assert!(applied.iter().all(Vec::is_empty), "{applied:?}");

    let after = status(&database.options).await;
    assert_eq!(after.problems, Vec::<String>::new());
    assert_eq!(
        (after.schema, after.migrations_pending.len(), after.chains),
        (Origin::Agenttrace, 0, Some(0))
    );
    assert_eq!(after.table.unwrap().layout, Layout::Plain);
    assert_eq!(after.indexes.len(), 13);
    assert!(after.guard.iter().all(|g| g.always));
    database.drop_now().await;
}

#[tokio::test]
async fn somebody_elses_table_is_left_alone() {
    let database = support::bare_database().await;
    execute(
        &database.options,
        "CREATE TABLE audit_events (event_id text PRIMARY KEY, timestamp timestamptz) PARTITION BY HASH (event_id); \
         CREATE TABLE part PARTITION OF audit_events FOR VALUES WITH (MODULUS 1, REMAINDER 0); \
         INSERT INTO audit_events SELECT n::text, now() FROM generate_series(1, 100) n; ANALYZE audit_events",
    )
    .await
    .unwrap();
    let error = schema::migrate(&write_db(&database.options).await).await.unwrap_err();
    assert!(matches!(error, StoreError::ForeignTable), "{error:?}");
    assert!(error.to_string().contains("agenttrace did not make"), "{error}");
    let status = status(&database.options).await;
    assert_eq!((status.schema, status.chains), (Origin::Foreign, None));
    assert_eq!(status.migrations_pending, [""; 0]);
    let [problem] = status.problems.as_slice() else { panic!("{:?}", status.problems) };
    assert!(problem.contains("has no column organization_id, event_type, hash, previous_hash"), "{problem}");
    let table = status.table.unwrap();
    assert_eq!((table.layout, table.estimated_rows), (Layout::Hash, Some(100)));
    assert!(table.table_bytes >= 8192 && status.indexes[0].bytes >= 8192);
    database.drop_now().await;
}

#[tokio::test]
async fn a_schema_of_a_newer_program_is_not_touched() {
    let database = support::database().await;
    execute(
        &database.options,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (9999, 'of tomorrow', true, '\\x00', 0)",
    )
    .await
    .unwrap();
    let error = schema::migrate(&write_db(&database.options).await).await.unwrap_err();
    assert!(error.to_string().contains("migration 9999"), "{error}");
    database.drop_now().await;
}

#[tokio::test]
async fn rows_cannot_be_changed_or_removed() {
    let database = support::database().await;
    execute(&database.options, INSERT).await.unwrap();
    for replica in ["origin", "replica"] {
        let mut c = PgConnection::connect_with(&database.options).await.unwrap();
        sqlx::query("SELECT set_config('session_replication_role', $1, false)")
            .bind(replica)
            .execute(&mut c)
            .await
            .unwrap();
        for statement in [
            "UPDATE audit_events SET action = 'read'",
            "DELETE FROM audit_events",
            "TRUNCATE audit_events",
            "TRUNCATE audit_events CASCADE",
            "INSERT INTO audit_events SELECT * FROM audit_events \
             ON CONFLICT (event_id) DO UPDATE SET action = 'read'",
            "MERGE INTO audit_events t USING (SELECT 'e-1' AS id) s ON t.event_id = s.id WHEN MATCHED THEN DELETE",
        ] {
            let error = sqlx::raw_sql(statement).execute(&mut c).await.unwrap_err();
            let code = error
                .as_database_error()
                .and_then(sqlx::error::DatabaseError::code)
                .unwrap_or_default()
                .into_owned();
            // 428C9: the generated column cannot be given, which is as good.
            assert!(code == "42501" || code == "428C9", "{replica}: {statement}: {error}");
        }
    }
    assert_eq!(execute(&database.options, "SELECT FROM audit_events").await.unwrap(), 1);
    database.drop_now().await;
}

#[tokio::test]
async fn no_state_makes_an_insert_fail() {
    let database = support::database().await;
    let mut c = PgConnection::connect_with(&database.options).await.unwrap();
    let states = [
        (
            "many words",
            "jsonb_build_array((SELECT string_agg('word' || n, ' ') FROM generate_series(1, 500000) n))",
        ),
        ("one long word", "to_jsonb(repeat('x', 3000000))"),
        ("hyphens", "to_jsonb(repeat('abc-', 300000))"),
        ("controls", "to_jsonb(repeat(E'\\u0001', 300000))"),
        ("deep", "(repeat('[', 3000) || repeat(']', 3000))::jsonb"),
        ("scripts", "to_jsonb(repeat('日本 😀 e\u{301} ', 100000))"),
        ("numbers that take 50 MB when written out", "('[' || repeat('1e131071,', 400) || '0]')::jsonb"),
    ];
    for (name, state) in states {
        let sql = format!(
            "INSERT INTO audit_events (event_id, timestamp, organization_id, actor_type, actor_id, event_category, \
                 event_type, event_severity, resource_type, resource_id, action, request_id, hash, new_state) \
             SELECT '{name}', now(), 'a', 'user', 'u-1', 'auth', 'login.failed', 'info', 'session', 's-1', 'create', \
                 'r-1', 'h', {state}"
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
            .execute(&mut c)
            .await
            .unwrap_or_else(|e| panic!("{name}: {e}"));
    }
    // The identifiers can be found whatever the state is.
    let found: i64 =
        sqlx::query_scalar("SELECT count(*) FROM audit_events WHERE search_vector @@ 'login <-> failed'")
            .fetch_one(&mut c)
            .await
            .unwrap();
    assert_eq!(found, states.len() as i64);
    // 5 MB of words: by one of the first, and not by one of the last, as a search says.
    let home = support::Home::new();
    let search = |word| crate::verify::run(&home, &database, &["search", word, "--format", "ndjson"]);
    let (code, stdout, stderr) = search("word77");
    assert_eq!((code, stdout.lines().count()), (0, 1), "{stderr}");
    assert!(stdout.contains("\"event_id\":\"many words\""), "{stdout}");
    let (code, stdout, stderr) = search("word499999");
    assert_eq!((code, stdout.as_str()), (0, ""));
    assert!(stderr.contains("not seen:") && stderr.contains("32 768 characters"), "{stderr}");
    database.drop_now().await;
}

fn events(organization: &str, count: usize) -> Vec<agenttrace::domain::NewEvent> {
    (0..count).map(|i| crate::writer::event(organization, &format!("{organization}-{i:05}"))).collect()
}

#[tokio::test]
async fn a_bulk_load_drops_the_indexes_of_an_empty_table_and_builds_them_at_the_end() {
    let database = support::database().await;
    let whole = status(&database.options).await.indexes.into_iter().map(|i| i.name).collect::<Vec<_>>();
    let mut bulk = BulkWriter::begin(write_db(&database.options).await).await.unwrap();
    let mut mixed = events("a", 700);
    mixed.extend(events("b", 500));
    mixed.extend(events("c", 300));
    // By the last digits of the id, so that the organisations alternate.
    mixed.sort_by_key(|e| (e.event_id.split_once('-').map(|(_, n)| n.to_owned()), e.organization_id.clone()));
    for batch in mixed.chunks(400) {
        assert_eq!(bulk.append(batch.to_vec()).await.unwrap(), vec![Fate::Stored; batch.len()]);
    }
    let twice = vec![crate::writer::event("a", "b-00001"), mixed[0].clone(), mixed[1].clone()];
    let fates = bulk.append(twice).await.unwrap();
    assert!(matches!(&fates[..], [Fate::Rejected(_), Fate::Duplicate, Fate::Duplicate]), "{fates:?}");
    assert_eq!(status(&database.options).await.indexes.iter().filter(|i| i.present).count(), 1);
    bulk.finish().await.unwrap();

    let after = status(&database.options).await;
    assert_eq!(after.problems, Vec::<String>::new());
    assert_eq!(after.indexes.iter().map(|i| i.name.clone()).collect::<Vec<_>>(), whole);
    assert!(after.indexes.iter().all(|i| i.bytes > 0));
    let table = after.table.unwrap();
    assert_eq!(table.estimated_rows, Some(1500));
    assert!(table.table_bytes > 100_000 && table.index_bytes > 100_000, "{table:?}");
    let mut c = PgConnection::connect_with(&database.options).await.unwrap();
    for (organization, count) in [("a", 700), ("b", 500), ("c", 300)] {
        assert_eq!(crate::writer::chain(&mut c, organization).await.len(), count);
    }

    // With events in it, the table keeps its indexes.
    let mut bulk = BulkWriter::begin(write_db(&database.options).await).await.unwrap();
    assert_eq!(status(&database.options).await.problems, Vec::<String>::new());
    assert_eq!(bulk.append(events("a", 701)).await.unwrap().last(), Some(&Fate::Stored));
    bulk.finish().await.unwrap();
    database.drop_now().await;
}

#[tokio::test]
async fn what_a_cut_off_bulk_load_left_out_is_made_by_the_next_migration() {
    let database = support::database().await;
    let mut bulk = BulkWriter::begin(write_db(&database.options).await).await.unwrap();
    bulk.append(events("a", 50)).await.unwrap();
    // As after kill -9: the connections are gone, nothing was finished.
    drop(bulk);
    assert_eq!(status(&database.options).await.problems.len(), 12);
    let restored = schema::migrate(&write_db(&database.options).await).await.unwrap();
    assert_eq!(restored.len(), 12);
    assert!(restored.iter().all(|step| step.starts_with("index idx_audit_")), "{restored:?}");
    assert_eq!(status(&database.options).await.problems, Vec::<String>::new());
    assert!(schema::migrate(&write_db(&database.options).await).await.unwrap().is_empty());
    database.drop_now().await;
}

fn json(output: &std::process::Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test]
async fn the_command_line_migrates_and_says_what_is_there() {
    let database = support::bare_database().await;
    let run = |arguments: &[&str]| {
        let mut program = support::agenttrace();
        program.args(arguments).args(["--database-url", &database.url()]);
        program.output().unwrap()
    };
    let empty = run(&["db", "status", "--format", "json"]);
    assert_eq!(empty.status.code(), Some(1));
    assert_eq!(json(&empty)["schema"], "absent");

    let migrated = run(&["db", "migrate"]);
    assert_eq!(migrated.status.code(), Some(0), "{migrated:?}");
    let remarks = String::from_utf8(migrated.stderr).unwrap();
    assert!(remarks.contains(&database.name), "{remarks}");
    assert_eq!(
        String::from_utf8(migrated.stdout).unwrap(),
        "applied 0001 audit events\napplied 0002 indexes\napplied 0003 daily summary\n\
         applied 0004 partitions\napplied 0005 email index\n\
         applied 0006 partition path\n\
         applied 0007 partitions of others\n"
    );
    assert_eq!(
        json(&run(&["db", "migrate", "--layout", "plain", "--format", "json"]))["applied"],
        Value::Array(vec![])
    );

    let whole = run(&["db", "status", "--format", "json"]);
    assert_eq!(whole.status.code(), Some(0), "{whole:?}");
    let status = json(&whole);
    assert_eq!(status["schema_version"], 1);
    assert_eq!((&status["schema"], &status["table"]["layout"]), (&"agenttrace".into(), &"plain".into()));
    execute(
        &database.options,
        "DROP INDEX idx_audit_ip; CREATE INDEX an_index_whose_name_is_longer_than_most_are ON audit_events (action);
         ALTER TABLE audit_events DISABLE TRIGGER refuse_row",
    )
    .await
    .unwrap();
    let broken = run(&["db", "status"]);
    assert_eq!(broken.status.code(), Some(1));
    let text = String::from_utf8(broken.stdout).unwrap();
    assert!(text.contains("the index idx_audit_ip is missing"), "{text}");
    assert!(
        text.contains(
            "the trigger refuse_row is disabled, it fires in no session: the table is not append-only"
        ),
        "{text}"
    );
    assert!(text.contains("an_index_whose_name_is_longer_than_most_are  "), "{text}");
    assert!(text.contains("DISABLED: it fires in no session"), "{text}");
    assert_eq!(run(&["db", "status", "--format", "csv"]).status.code(), Some(2));
    database.drop_now().await;
}
