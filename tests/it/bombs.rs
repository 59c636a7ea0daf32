//! A state that the server stores and cannot print, in somebody else's table: 8300 numbers of 131 072 digits each are
//! 75 kB of JSON and more than a gigabyte of text.

use crate::shapes::Shape;
use crate::support::{Home, TestDatabase};
use crate::timeline::{never, query, reader, scope};
use crate::verify::run;

use agenttrace::domain::EventRow;
use agenttrace::store::history::states::{self, Seen};
use agenttrace::store::listing::timeline;
use agenttrace::store::query::Seek;
use serde_json::Value;
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;

/// 60 events of `acme`; `$1` tells which state of the thirtieth is the bomb.
const FILL: &str = r#"
    INSERT INTO audit_events (event_id, timestamp, organization_id, actor_type, actor_id, event_category, event_type,
        event_severity, resource_type, resource_id, action, request_id, hash, previous_hash, previous_state, new_state)
    SELECT 'evt-' || i, timestamptz '2026-01-01Z' + i * interval '1 minute', 'acme', 'user', 'u-1', 'data',
        'role.changed', 'info', 'role', 'r-' || i % 5, 'update', 'req-' || i, encode(sha256(i::text::bytea), 'hex'),
        CASE WHEN i > 1 THEN encode(sha256((i - 1)::text::bytea), 'hex') ELSE '' END,
        CASE WHEN i = 30 AND $1 = 'previous_state' THEN bomb ELSE jsonb_build_object('k', i - 1) END,
        CASE WHEN i = 30 AND $1 = 'new_state' THEN bomb ELSE jsonb_build_object('k', i, 'name', 'word' || i) END
    FROM generate_series(1, 60) i,
        (SELECT ('[' || repeat('1e131071,', 8300) || '"a"]')::jsonb AS bomb OFFSET 0) b"#;

async fn database(shape: Shape, without: &'static str, state: &'static str) -> TestDatabase {
    let database = shape.database().await;
    let mut c = PgConnection::connect_with(&database.options).await.unwrap();
    sqlx::raw_sql(without).execute(&mut c).await.unwrap();
    sqlx::query(FILL).bind(state).execute(&mut c).await.unwrap();
    c.close().await.unwrap();
    database
}

#[tokio::test]
async fn a_number_bomb_stops_neither_paging_nor_search() {
    for (shape, without, state) in [
        // The index on words itself refuses such a new_state.
        (Shape::Seed, "", "previous_state"),
        (Shape::SeedByMonth, "DROP INDEX idx_audit_search", "new_state"),
        (Shape::Bare, "", "new_state"),
    ] {
        let database = database(shape, without, state).await;
        let home = Home::new();
        let count = |filter: &str| {
            let arguments = ["events", filter, "--since", "2026-01-01T00:00:00Z", "--format", "csv"];
            let (code, stdout, stderr) = run(&home, &database, &arguments);
            assert_eq!(code, 0, "{shape:?} {filter}: {stderr}");
            stdout.lines().count() - 1
        };
        // Lists, conditions on states, words, and expressions; for these two, what cannot be printed counts as empty.
        for (filter, events) in
            [("", 60), ("new.k:29", 1), ("word31", 1), ("/word3[12]/", 2), ("-/word3[12]/", 58)]
        {
            assert_eq!(count(filter), events, "{shape:?} {filter}");
        }
        assert!(count("changed:k") >= 59);
        database.drop_now().await;
    }
}

#[tokio::test]
async fn of_an_event_with_a_number_bomb_everything_else_is_shown_and_why_not_all() {
    let database = database(Shape::Bare, "", "new_state").await;
    let home = Home::new();
    let (code, stdout, stderr) = run(&home, &database, &["show", "evt-30", "--context", "1"]);
    assert_eq!(code, 3, "{stderr}");
    for part in ["role.changed", "content           unreadable: the server cannot send", "evt-29", "evt-31"] {
        assert!(stdout.contains(part), "{part}: {stdout}");
    }
    let (code, stdout, _) = run(&home, &database, &["show", "evt-30", "--format", "json"]);
    let shown: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, &shown["verification"]["content"]), (3, &Value::from("unreadable")));
    assert!(shown["event"].get("new_state").is_none(), "not known is not null: {shown}");
    let (code, _, stderr) = run(&home, &database, &["diff", "evt-30"]);
    assert_eq!(code, 3);
    assert!(stderr.contains("SQLSTATE") && stderr.contains("agenttrace verify names the event"), "{stderr}");
    assert!(!stderr.contains("at line"), "no place in the source of the server: {stderr}");
    assert_eq!(run(&home, &database, &["diff", "evt-29"]).0, 1);

    // What the console shows about the rows on its screen.
    let db = reader(&database.options).await;
    let page = timeline::page(&db, &query("acme", ""), &Seek::Newest, 60, &never()).await.unwrap();
    let keys: Vec<_> = page.rows.iter().map(EventRow::key).collect();
    let seen = states::of(&db, &scope("acme"), &keys[25..35], &never()).await.unwrap();
    let unreadable = seen.iter().filter(|seen| matches!(seen, Seen::Unreadable(_))).count();
    let whole = seen.iter().filter(|seen| matches!(seen, Seen::Whole(_))).count();
    assert_eq!((unreadable, whole), (1, 9));
    db.close().await;
    database.drop_now().await;
}
