//! What lists read is what verification reads: inheritors, foreign partitions, damaged indexes, loose collations. Never
//! `intact` over rows that were not read, and no false alarm over those that were.

use crate::support::{self, Home, TestDatabase};
use crate::verify::{append, connect, damage, found, reader, request, run, verify};
use agenttrace::domain::COLUMNS;
use agenttrace::store::schema::{self, Layout};
use agenttrace::store::{ReadDb, ReadSettings};
use agenttrace::verify::{Class, Report, Verdict};
use sqlx::Connection as _;

async fn execute(database: &TestDatabase, sql: &str) {
    let mut c = connect(database).await;
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(&mut c).await.unwrap();
    c.close().await.unwrap();
}

/// Moves the events from this number on to another relation.
fn moving(n: usize, to: &str) -> String {
    let columns = COLUMNS.join(", ");
    format!(
        "INSERT INTO {to} ({columns}) SELECT {columns} FROM ONLY audit_events WHERE event_id >= 'a-{n:06}'; \
         DELETE FROM ONLY audit_events WHERE event_id >= 'a-{n:06}'"
    )
}

fn classes(report: &Report) -> Vec<Class> {
    report.findings.iter().map(|finding| finding.class).collect()
}

/// What was not read says so, and nothing is said of links.
fn is_incomplete(report: &Report, why: &str) {
    assert_eq!(report.verdict, Verdict::Incomplete, "{:?}", report.findings);
    assert_eq!(report.exit().map(agenttrace::error::Kind::exit_code), Some(4));
    let incomplete = report.findings.iter().filter(|finding| finding.class == Class::ScanIncomplete);
    assert!(incomplete.clone().any(|finding| finding.detail.contains(why)), "{why}: {:?}", report.findings);
    let links = [Class::MissingPredecessor, Class::Fork, Class::AdditionalGenesis, Class::MissingGenesis];
    assert!(report.findings.iter().all(|finding| !links.contains(&finding.class)), "{:?}", report.findings);
    assert_eq!((report.head.as_ref(), report.remembered("here")), (None, None));
}

#[tokio::test]
async fn rows_of_an_inheriting_table_are_read_and_it_is_unexpected_in_our_own_schema() {
    let database = support::database().await;
    append(&database, "a", 0..30).await;
    damage(&database, &["CREATE TABLE shadow () INHERITS (audit_events)", &moving(20, "shadow")]).await;
    let db = reader(&database).await;
    for jobs in [1, 2] {
        let report = verify(&db, &request("a", jobs)).await;
        assert_eq!(classes(&report), [Class::UnexpectedRelation]);
        assert_eq!((report.events, report.content.verified, report.verdict), (30, 30, Verdict::Anomalous));
        assert_eq!(report.head.unwrap().event_id, "a-000029");
    }
    let home = Home::new();
    let (code, out, err) = run(&home, &database, &["verify"]);
    assert_eq!(code, 1, "{out} {err}");
    assert!(out.contains("unexpected_relation:public.shadow"), "{out}");
    // Understood, it decides nothing; made anew, it is another one.
    let accept = ["verify", "--accept", "unexpected_relation:public.shadow", "--note", "archive of 2025"];
    assert_eq!(run(&home, &database, &accept).0, 0);
    // What stands in it is judged like anything else.
    damage(&database, &["UPDATE shadow SET actor_id = 'mallory' WHERE event_id = 'a-000025'"]).await;
    let report = verify(&db, &request("a", 1)).await;
    assert_eq!(found(&report)[0], (Class::ContentMismatch, "a-000025"));
    assert_eq!(report.verdict, Verdict::Broken);
    db.close().await;
    database.drop_now().await;
}

#[tokio::test]
async fn a_part_that_the_role_may_not_read_by_itself_is_read_through_the_table() {
    let database = support::database().await;
    append(&database, "a", 0..30).await;
    let role = format!("reader_{}", database.name);
    damage(
        &database,
        &[
            "COMMENT ON TABLE audit_events IS NULL",
            "ALTER TABLE audit_chain_heads RENAME TO other_heads",
            "CREATE TABLE shadow () INHERITS (audit_events)",
            "CREATE TABLE another () INHERITS (audit_events)",
            &moving(20, "shadow"),
            &moving(10, "another"),
            &format!("CREATE ROLE {role} LOGIN; GRANT SELECT ON audit_events TO {role}"),
        ],
    )
    .await;
    let options = database.options.clone().username(&role);
    let db = ReadDb::connect(options, ReadSettings::default()).await.unwrap();
    for jobs in [1, 2] {
        let report = verify(&db, &request("a", jobs)).await;
        assert_eq!(classes(&report), []);
        assert_eq!((report.events, report.content.verified, report.verdict), (30, 30, Verdict::Intact));
    }
    db.close().await;
    execute(&database, &format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
    database.drop_now().await;
}

/// A table of somebody else, of two partitions, the newer of which lies on another server: this one.
async fn with_a_foreign_partition(database: &TestDatabase) {
    append(database, "a", 0..30).await;
    let host = database.options.get_socket().map_or_else(
        || database.options.get_host().to_owned(),
        |folder| folder.to_string_lossy().into_owned(),
    );
    let (port, user) = (database.options.get_port(), database.options.get_username());
    let columns = COLUMNS.join(", ");
    // The eleventh second begins with the event 30 / 3.
    let bound = "timestamptz '2026-01-05 08:01:06.147504Z'";
    execute(
        database,
        &format!(
            "CREATE EXTENSION postgres_fdw;
             CREATE SERVER elsewhere FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '{host}', port '{port}', dbname '{}');
             CREATE USER MAPPING FOR CURRENT_USER SERVER elsewhere OPTIONS (user '{user}');
             CREATE TABLE later AS SELECT {columns} FROM audit_events WHERE timestamp >= {bound};
             CREATE TABLE earlier AS SELECT {columns} FROM audit_events WHERE timestamp < {bound};
             DROP MATERIALIZED VIEW audit_daily_summary; DROP TABLE audit_events; DROP TABLE audit_chain_heads;
             CREATE TABLE audit_events (LIKE earlier) PARTITION BY RANGE (timestamp);
             ALTER TABLE audit_events ATTACH PARTITION earlier FOR VALUES FROM (MINVALUE) TO ('2026-01-05 08:01:06.147504Z');
             CREATE FOREIGN TABLE newer PARTITION OF audit_events
                FOR VALUES FROM ('2026-01-05 08:01:06.147504Z') TO (MAXVALUE) SERVER elsewhere OPTIONS (table_name 'later');
             CREATE INDEX ON earlier (organization_id, timestamp DESC, event_id);",
            database.name
        ),
    )
    .await;
}

#[tokio::test]
async fn rows_of_a_foreign_partition_are_read_or_it_is_named() {
    let database = support::database().await;
    with_a_foreign_partition(&database).await;
    let db = reader(&database).await;
    for jobs in [1, 2] {
        let report = verify(&db, &request("a", jobs)).await;
        assert_eq!(classes(&report), [], "{:?}", report.findings);
        assert_eq!((report.events, report.content.verified, report.verdict), (30, 30, Verdict::Intact));
        assert!(report.coverage.not_checked.iter().any(|text| text.contains("public.newer")));
    }
    let (code, out, err) = run(&Home::new(), &database, &["verify"]);
    assert_eq!(code, 0, "{out} {err}");
    execute(&database, "UPDATE later SET actor_id = 'mallory' WHERE event_id = 'a-000029'").await;
    let report = verify(&db, &request("a", 2)).await;
    assert_eq!(found(&report), [(Class::ContentMismatch, "a-000029")]);
    // Its server is away: what can be read is, and no link is accused.
    execute(&database, "ALTER SERVER elsewhere OPTIONS (SET port '1')").await;
    let report = verify(&db, &request("a", 1)).await;
    is_incomplete(&report, "public.newer was not read");
    assert!(report.events > 0 && report.content.verified == report.events);
    let home = Home::new();
    let (code, out, err) = run(&home, &database, &["verify", "--org", "a"]);
    assert_eq!(code, 4, "{out} {err}");
    assert!(out.contains("scan_incomplete:public.newer"), "{out}");
    let accept = ["verify", "--org", "a", "--accept", "scan_incomplete:public.newer", "--note", "known"];
    let (code, _, err) = run(&home, &database, &accept);
    assert_eq!(code, 2, "{err}");
    // A row that contradicts its hash does so all the same.
    execute(&database, "UPDATE earlier SET actor_id = 'mallory' WHERE event_id = 'a-000001'").await;
    assert_eq!(verify(&db, &request("a", 1)).await.verdict, Verdict::Broken);
    db.close().await;
    database.drop_now().await;
}

#[tokio::test]
async fn an_index_that_does_not_find_what_the_scan_reads_is_not_intact() {
    let database = support::database().await;
    append(&database, "a", 0..30).await;
    // Indexes that are not kept up while rows come in, and that are used all the same.
    let indexes = "indexrelid IN (SELECT indexrelid FROM pg_index WHERE indrelid = 'audit_events'::regclass AND NOT indisprimary)";
    execute(&database, &format!("UPDATE pg_index SET indisready = false WHERE {indexes}")).await;
    append(&database, "a", 30..32).await;
    execute(&database, &format!("UPDATE pg_index SET indisready = true WHERE {indexes}")).await;
    let db = reader(&database).await;
    let report = verify(&db, &request("a", 1)).await;
    is_incomplete(&report, "32 rows were read, and 30 are counted by an index");
    execute(&database, "REINDEX TABLE audit_events").await;
    let report = verify(&db, &request("a", 1)).await;
    assert_eq!((report.events, report.verdict), (32, Verdict::Intact));
    db.close().await;
    database.drop_now().await;
}

#[tokio::test]
async fn a_left_over_that_its_index_does_not_find_is_not_intact() {
    let database = support::database().await;
    append(&database, "a", 0..30).await;
    let indexes = "indexrelid IN ('idx_audit_hash'::regclass, 'idx_audit_previous_hash'::regclass)";
    execute(&database, &format!("UPDATE pg_index SET indisready = false WHERE {indexes}")).await;
    append(&database, "a", 30..32).await;
    execute(&database, &format!("UPDATE pg_index SET indisready = true WHERE {indexes}")).await;
    // Small tables are read through; this one is to be asked by its indexes.
    execute(&database, &format!("ALTER DATABASE {} SET enable_seqscan = off", database.name)).await;
    let db = reader(&database).await;
    let report = verify(&db, &request("a", 1)).await;
    is_incomplete(&report, "not the same rows are found again");
    db.close().await;
    database.drop_now().await;
}

#[tokio::test]
async fn columns_whose_collation_takes_different_texts_for_equal_are_compared_by_bytes() {
    let database = support::database().await;
    append(&database, "a", 0..30).await;
    let alter: Vec<String> = ["hash", "previous_hash", "event_id", "organization_id"]
        .map(|column| format!("ALTER COLUMN {column} TYPE varchar(64) COLLATE loose"))
        .to_vec();
    damage(
        &database,
        &[
            "CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
            "DROP MATERIALIZED VIEW audit_daily_summary",
            &format!("ALTER TABLE audit_events {}", alter.join(", ")),
        ],
    )
    .await;
    let db = reader(&database).await;
    let report = verify(&db, &request("a", 1)).await;
    assert_eq!(classes(&report), [], "{:?}", report.findings);
    assert_eq!((report.events, report.verdict, report.links.heads.len()), (30, Verdict::Intact, 1));
    // Neighbours of one event are found under such a collation, too.
    let (code, out, err) = run(&Home::new(), &database, &["verify", "--event", "a-000010"]);
    assert_eq!(code, 0, "{out} {err}");
    assert!(out.contains("predecessor   a-000009") && out.contains("successor     a-000011"), "{out}");
    // Links are followed by bytes: what differs in case only is no predecessor.
    damage(&database, &["UPDATE audit_events SET hash = upper(hash) WHERE event_id = 'a-000010'"]).await;
    let report = verify(&db, &request("a", 1)).await;
    assert_eq!(
        found(&report),
        [(Class::MalformedHash, "a-000010"), (Class::MissingPredecessor, "a-000011")],
        "{:?}",
        report.findings
    );
    db.close().await;
    database.drop_now().await;
}

#[tokio::test]
async fn a_guard_trigger_that_is_off_or_altered_on_one_partition_is_seen() {
    let database = support::database().await;
    let db = agenttrace::store::WriteDb::connect(database.options.clone()).await.unwrap();
    schema::change_layout(&db, Layout::Range, &|_| {}).await.unwrap();
    db.close().await;
    append(&database, "a", 0..10).await;
    let home = Home::new();
    let status = || {
        let (code, out, err) = run(&home, &database, &["db", "status", "--format", "json"]);
        (code, serde_json::from_str::<serde_json::Value>(&out).unwrap_or_else(|_| panic!("{out} {err}")))
    };
    let problems = |status: &serde_json::Value| {
        let all = status["problems"].as_array().unwrap();
        all.iter()
            .map(|p| p.as_str().unwrap().to_owned())
            .filter(|p| p.contains("trigger"))
            .collect::<Vec<_>>()
    };
    assert_eq!(problems(&status().1), Vec::<String>::new());
    execute(&database, "ALTER TABLE audit_events_2026_01 DISABLE TRIGGER refuse_row").await;
    assert_eq!(
        problems(&status().1),
        [
            "the trigger refuse_row on public.audit_events_2026_01 is disabled, it fires in no session: the table is not append-only"
        ]
    );
    execute(&database, "ALTER TABLE audit_events_2026_01 ENABLE ALWAYS TRIGGER refuse_row").await;
    execute(&database, "DROP TRIGGER refuse_truncate ON audit_events_2026_01").await;
    assert_eq!(
        problems(&status().1),
        [
            "the trigger refuse_truncate is missing on public.audit_events_2026_01: the table is not append-only"
        ]
    );
    execute(
        &database,
        "CREATE OR REPLACE FUNCTION agenttrace_refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    )
    .await;
    let altered = problems(&status().1);
    assert!(
        altered.iter().any(|p| p.contains("refuse_row, or its function, is not as the migrations make it"))
    );
    database.drop_now().await;
}

#[tokio::test]
async fn events_of_no_organisation_that_can_be_named_are_counted_and_not_denied() {
    let database = support::database().await;
    append(&database, "a", 0..10).await;
    let home = Home::new();
    assert_eq!(run(&home, &database, &["verify", "--all-orgs"]).0, 0);
    damage(
        &database,
        &[
            "UPDATE audit_events SET organization_id = '' WHERE event_id >= 'a-000008'",
            // The database's own record of heads would contradict the shorter trail.
            "DELETE FROM audit_chain_heads",
        ],
    )
    .await;
    let home = Home::new();
    let (code, out, err) = run(&home, &database, &["verify", "--all-orgs"]);
    assert_eq!(code, 4, "{out} {err}");
    assert!(out.contains("2 events belong to no organisation that can be named"), "{out}");
    let (code, out, _) = run(&home, &database, &["verify", "--all-orgs", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, json["unnamed_events"].as_u64()), (4, Some(2)));
    let (_, out, _) = run(&home, &database, &["db", "status"]);
    assert!(out.contains("2 events belong to no organisation"), "{out}");
    // Where there are no others, they are not denied either. A new home: nothing is remembered of what is gone.
    let home = Home::new();
    damage(&database, &["DELETE FROM audit_events WHERE organization_id = 'a'"]).await;
    let (code, _, err) = run(&home, &database, &["verify"]);
    assert_eq!(code, 4, "{err}");
    assert!(err.contains("2 events belong to no organisation"), "{err}");
    database.drop_now().await;
}

#[tokio::test]
async fn columns_that_no_hash_covers_are_named() {
    let database = support::database().await;
    append(&database, "a", 0..10).await;
    let home = Home::new();
    let unprotected = || {
        let (_, out, _) = run(&home, &database, &["verify", "--format", "json"]);
        serde_json::from_str::<serde_json::Value>(&out).unwrap()["coverage"]["unprotected_columns"].clone()
    };
    assert_eq!(unprotected(), serde_json::json!([]));
    damage(
        &database,
        &["ALTER TABLE audit_events ADD COLUMN tags text", "UPDATE audit_events SET tags = 'evil'"],
    )
    .await;
    assert_eq!(unprotected(), serde_json::json!(["tags"]));
    let (code, out, _) = run(&home, &database, &["verify"]);
    assert!(out.contains("columns that the hash does not protect: tags"), "{out}");
    // They have come since a verification that is remembered.
    assert!(code == 1 && out.contains("unexpected_relation:public.audit_events"), "{out}");
    let (code, out, _) = run(&Home::new(), &database, &["verify"]);
    assert!(code == 0 && out.contains("columns that the hash does not protect: tags"), "{out}");
    let accept = ["verify", "--accept", "unexpected_relation:public.audit_events", "--note", "change 12"];
    assert_eq!(run(&home, &database, &accept).0, 0);
    assert_eq!(run(&home, &database, &["verify"]).0, 0);
    database.drop_now().await;
}

#[tokio::test]
async fn what_cannot_be_counted_in_its_time_is_not_waited_for() {
    let test = support::database().await;
    let mut c = connect(&test).await;
    // Counting takes an hour, and nothing else does.
    let slow = "ALTER TABLE audit_events RENAME TO stored;
        CREATE FUNCTION an_hour() RETURNS bool LANGUAGE sql VOLATILE AS 'SELECT pg_sleep(3600) IS NOT NULL';
        CREATE VIEW audit_events AS SELECT * FROM stored
            WHERE CASE WHEN current_query() LIKE 'SELECT count(*)%' THEN an_hour() ELSE true END;
        INSERT INTO stored (event_id, timestamp, organization_id, actor_type, actor_id, event_category, event_type,
            event_severity, resource_type, resource_id, action, request_id, hash, previous_hash)
        SELECT 'e-' || n, now(), CASE n WHEN 1 THEN '' ELSE 'o-1' END, 'user', 'u', 'admin', 'x.y', 'info', 't', 'r',
            'update', 'q', md5(n::text), '' FROM generate_series(1, 9) n";
    sqlx::raw_sql(slow).execute(&mut c).await.unwrap();
    let run = |args: &[&str]| {
        let output = support::agenttrace().args(["--database-url", &test.url()]).args(args).output().unwrap();
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (out, err) = run(&["db", "status"]);
    assert!(out.contains("not known how many events belong to no organisation"), "{out}{err}");
    // The server was told to stop, too.
    support::until_idle(&mut c).await;
    let document: serde_json::Value =
        serde_json::from_str(&run(&["db", "status", "--format", "json"]).0).unwrap();
    assert!(document["unnamed_events"].is_null(), "{document}");
    c.close().await.unwrap();
    test.drop_now().await;
}
