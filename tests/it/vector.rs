//! What no hash covers and lists rely on all the same: the search vector, and the guard that keeps the table append-only.

use crate::pty::Terminal;
use crate::support::{self, Home, TestDatabase};
use crate::tamper::attack;
use crate::verify::{append, connect, run, run_json};
use agenttrace::store::WriteDb;
use agenttrace::store::private::tamper::{Attack, Tamper};
use agenttrace::store::schema::{self, Layout};
use serde_json::Value;
use sqlx::Connection as _;

/// Runs SQL as the owner, past the guard, which is on again afterwards.
async fn past_the_guard(database: &TestDatabase, sql: &str) {
    let mut c = connect(database).await;
    let sql = format!(
        "BEGIN; ALTER TABLE audit_events DISABLE TRIGGER refuse_row; {sql}; \
         ALTER TABLE audit_events ENABLE ALWAYS TRIGGER refuse_row; COMMIT"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut c).await.unwrap();
    c.close().await.unwrap();
}

/// `search_vector_mismatch` findings, by what they are about.
fn mismatches(report: &Value) -> Vec<&str> {
    let findings = report["findings"].as_array().unwrap().iter();
    let ours = findings.filter(|finding| finding["class"] == "search_vector_mismatch");
    ours.map(|finding| finding["relation"].as_str().or(finding["event_id"].as_str()).unwrap()).collect()
}

#[tokio::test]
async fn a_blinded_search_is_found_at_every_run_and_said_by_every_search() {
    let database = support::database().await;
    append(&database, "a", 0..60).await;
    let home = Home::new();
    let (code, report) = run_json(&home, &database, &["verify"]);
    assert_eq!((code, mismatches(&report).len()), (0, 0), "{report:#}");
    let vectors = &report["coverage"]["search_vector"];
    assert_eq!((vectors["compared"].as_u64(), vectors["mismatch"].as_u64()), (Some(60), Some(0)));
    let place = attack(&database, "a", Tamper { attack: Attack::BlindSearch, heads: true }).await.unwrap();
    for arguments in [
        &["verify"][..],
        &["verify"],
        &["verify", "--incremental"],
        &["verify", "--links-only"],
        &["verify", "--deep"],
    ] {
        let (code, report) = run_json(&home, &database, arguments);
        assert_eq!((code, report["verdict"].as_str()), (1, Some("broken")), "{arguments:?}");
        let mut found = mismatches(&report);
        found.sort_unstable();
        assert_eq!(found, [place.as_str(), "public.audit_events"], "{arguments:?}");
    }
    // The event is found by its words all the same: what was put into the column is not believed.
    let (code, stdout, stderr) = run(&home, &database, &["search", "admin", "--limit", "100"]);
    assert!(code == 0 && stdout.contains(&place), "{stdout}{stderr}");
    assert!(stderr.contains("the search vector is NOT used"), "{stderr}");
    assert!(stderr.contains("search_vector is not computed from the row"), "{stderr}");
    let (code, stdout, _) = run(&home, &database, &["db", "status"]);
    assert!(code == 1 && stdout.contains("search_vector is not computed from the row"), "{stdout}");
    database.drop_now().await;
}

#[tokio::test]
async fn a_vector_that_was_changed_behind_its_definition_is_found_in_every_layout() {
    for layout in [Layout::Plain, Layout::Range, Layout::Hash] {
        let database = support::database().await;
        append(&database, "a", 0..90).await;
        let db = WriteDb::connect(database.options.clone()).await.unwrap();
        schema::change_layout(&db, layout, &|_| {}).await.unwrap();
        db.close().await;
        let home = Home::new();
        let (code, report) = run_json(&home, &database, &["verify", "--deep"]);
        assert_eq!((code, mismatches(&report).len()), (0, 0), "{layout:?} {report:#}");
        let mut c = connect(&database).await;
        let (body,): (String,) =
            sqlx::query_as("SELECT prosrc FROM pg_proc WHERE proname = 'agenttrace_search_vector_v1'")
                .fetch_one(&mut c)
                .await
                .unwrap();
        c.close().await.unwrap();
        let function = |body: &str| {
            format!(
                "CREATE OR REPLACE FUNCTION agenttrace_search_vector_v1(ids text, new_state jsonb, previous_state jsonb) \
                 RETURNS tsvector LANGUAGE plpgsql IMMUTABLE AS $${body}$$"
            )
        };
        // Another function for a moment: one row is computed by it.
        let other = function("BEGIN RETURN ''::tsvector; END");
        let touch = "UPDATE audit_events SET project_id = project_id WHERE event_id = 'a-000041'";
        past_the_guard(&database, &format!("{other}; {touch}; {}", function(&body))).await;
        for arguments in [&["verify"][..], &["verify", "--deep"], &["verify", "--jobs", "2", "--incremental"]]
        {
            let (code, report) = run_json(&home, &database, arguments);
            assert_eq!(
                (code, mismatches(&report)),
                (1, vec!["a-000041"]),
                "{layout:?} {arguments:?} {report:#}"
            );
        }
        // It can be understood, as it is.
        let accept = ["verify", "--accept", "search_vector_mismatch:a-000041", "--note", "rehearsal"];
        assert_eq!(run_json(&home, &database, &accept).0, 0, "{layout:?}");
        past_the_guard(&database, &other).await;
        let (code, report) = run_json(&home, &database, &["verify"]);
        assert_eq!(code, 1);
        let relations = mismatches(&report);
        let parts = if layout == Layout::Plain { 1 } else { 2 };
        assert!(
            relations.len() >= parts && relations.contains(&"public.audit_events"),
            "{layout:?} {relations:?}"
        );
        let detail = report["findings"][0]["detail"].as_str().unwrap();
        assert!(detail.contains("is not as the migrations make it"), "{detail}");
        database.drop_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_whose_vector_was_changed_is_marked_on_the_screen_and_listed() {
    let database = support::database().await;
    append(&database, "a", 0..90).await;
    // An older writer's words, so to speak: the definition is as it was.
    let mut c = connect(&database).await;
    let function =
        "SELECT pg_get_functiondef(oid) FROM pg_proc WHERE proname = 'agenttrace_search_vector_v1'";
    let ours: String = sqlx::query_scalar(function).fetch_one(&mut c).await.unwrap();
    c.close().await.unwrap();
    let other = "CREATE OR REPLACE FUNCTION agenttrace_search_vector_v1(ids text, new_state jsonb, previous_state jsonb) \
                 RETURNS tsvector LANGUAGE plpgsql IMMUTABLE AS $$BEGIN RETURN ''::tsvector; END$$";
    let touch = "UPDATE audit_events SET project_id = project_id WHERE event_id = 'a-000085'";
    past_the_guard(&database, &format!("{other}; {touch}; {ours}")).await;

    let home = Home::new();
    let mut t = Terminal::open_at(80, 24, home.path(), &["--database-url", &database.url(), "--org", "a"]);
    let marked = |screen: &str| screen.lines().skip(1).filter(|line| line.contains(" ✗ ")).count();
    let seen = t.wait("a mark", |screen| marked(screen) > 0 && screen.lines().any(|l| l.starts_with(" ✓")));
    assert_eq!(marked(&seen), 1, "{seen}");
    assert!(seen.lines().next().unwrap().contains('✗'), "the header is lowered at once: {seen}");
    t.press("I");
    t.wait("the list", |screen| screen.contains(" Findings ") && screen.contains("a-000085"));
    t.press("\x03\x03");
    t.wait_for_end();
    database.drop_now().await;
}

#[tokio::test]
async fn a_guard_that_is_off_is_a_line_under_the_verdict_and_migrate_restores_it() {
    for layout in [Layout::Plain, Layout::Range] {
        let database = support::database().await;
        append(&database, "a", 0..30).await;
        let db = WriteDb::connect(database.options.clone()).await.unwrap();
        schema::change_layout(&db, layout, &|_| {}).await.unwrap();
        db.close().await;
        let home = Home::new();
        let (code, stdout, stderr) = run(&home, &database, &["verify"]);
        assert!(code == 0 && !stdout.contains("trigger"), "{stdout}{stderr}");
        for (sql, words) in [
            (
                "ALTER TABLE audit_events DISABLE TRIGGER refuse_row",
                "refuse_row is disabled, it fires in no session",
            ),
            (
                "ALTER TABLE audit_events ENABLE TRIGGER refuse_truncate",
                "refuse_truncate does not fire in every session",
            ),
            ("DROP TRIGGER refuse_row ON audit_events", "refuse_row is missing"),
            (
                "CREATE OR REPLACE FUNCTION agenttrace_refuse() RETURNS trigger LANGUAGE plpgsql AS \
                 $$BEGIN RETURN coalesce(new, old); END$$",
                "is not as the migrations make it",
            ),
            (
                "DROP TRIGGER refuse_truncate ON audit_events_2026_01",
                "refuse_truncate is missing on public.audit_events_2026_01",
            ),
        ] {
            if sql.contains("2026_01") && layout == Layout::Plain {
                continue;
            }
            let mut c = connect(&database).await;
            sqlx::raw_sql(sql).execute(&mut c).await.unwrap();
            let (code, stdout, stderr) = run(&home, &database, &["verify", "--all-orgs"]);
            assert!(code == 0 && stdout.contains(words), "{layout:?} {sql}: {stdout}{stderr}");
            let (code, report) = run_json(&home, &database, &["verify"]);
            assert_eq!(code, 0);
            assert!(
                report["remarks"].to_string().contains("agenttrace db migrate restores it"),
                "{report:#}"
            );
            assert_eq!(run(&home, &database, &["db", "status"]).0, 1, "{layout:?} {sql}");
            let (code, stdout, stderr) = run(&home, &database, &["db", "migrate"]);
            assert!(
                code == 0 && stdout.contains("applied guard refuse_"),
                "{layout:?} {sql}: {stdout}{stderr}"
            );
            let (code, stdout, stderr) = run(&home, &database, &["db", "status"]);
            assert_eq!(code, 0, "{layout:?} {sql}: {stdout}{stderr}");
            let (_, stdout, _) = run(&home, &database, &["db", "migrate"]);
            assert!(stdout.contains("up to date"), "{stdout}");
            for sql in ["UPDATE audit_events SET actor_id = 'x'", "TRUNCATE audit_events"] {
                assert!(sqlx::raw_sql(sql).execute(&mut c).await.is_err(), "{layout:?} {sql}");
            }
            c.close().await.unwrap();
        }
        let (_, stdout, _) = run(&home, &database, &["verify"]);
        assert!(!stdout.contains("trigger"), "{stdout}");
        database.drop_now().await;
    }
}

#[tokio::test]
async fn coverage_says_of_each_column_what_becomes_of_a_change() {
    let database = support::database().await;
    append(&database, "a", 0..60).await;
    attack(&database, "a", Tamper { attack: Attack::AddColumn, heads: true }).await;
    let home = Home::new();
    let (code, stdout, stderr) = run(&home, &database, &["verify", "--coverage"]);
    let said = |column: &str| {
        let line = stdout.lines().find(|line| line.starts_with(&format!("column {column} ")));
        line.unwrap_or_else(|| panic!("{column}: {stdout}{stderr}")).to_owned()
    };
    assert_eq!(code, 0, "{stdout}{stderr}");
    for column in ["event_id", "timestamp", "actor_ip", "new_state", "previous_hash"] {
        assert!(said(column).ends_with("the hash notices a change (20 events of a sample)"), "{stdout}");
    }
    assert!(said("tags").ends_with("NOT hashed"));
    assert!(stdout.contains("\ncolumns that the hash does not protect: tags\n"), "{stdout}");
    assert!(stdout.contains("\nsearch vector computed anew for a sample"), "{stdout}");
    let (_, report) = run_json(&home, &database, &["verify", "--coverage"]);
    let columns = report["coverage"]["columns"].as_array().unwrap();
    assert_eq!(columns.len(), 22, "{columns:?}");
    assert!(columns.iter().all(|c| c["changed"] == c["noticed"]), "{columns:?}");
    assert!(run_json(&home, &database, &["verify"]).1["coverage"].get("columns").is_none());
    database.drop_now().await;
}
