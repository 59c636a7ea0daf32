//! What pages cost, as the server itself accounts for it: blocks touched, on tables of real size in every shape.

use crate::shapes::Shape;
use crate::support::TestDatabase;
use crate::timeline::{never, query, reader};

use agenttrace::domain::{EventKey, Timestamp};
use agenttrace::store::listing::explain::{self, Explanation, Way, Weight};
use agenttrace::store::listing::timeline;
use agenttrace::store::query::{Looked, Pace, Seek};
use agenttrace::store::{ReadDb, ReadSettings};
use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Executor as _};
use std::sync::Mutex;

/// Events of the organisation `big` that share one instant.
const RUN: i64 = 50_000;

/// `$1` events, every tenth of the organisation `small`, one a second; in the middle a run of `big` at one instant.
/// 500 actors, 45 types each of one category, 3000 resources; one event in 200 is critical.
const FILL: &str = "
    INSERT INTO audit_events (event_id, timestamp, organization_id, actor_type, actor_id, actor_email, actor_ip, event_category,
        event_type, event_severity, resource_type, resource_id, action, request_id, session_id, hash, new_state)
    SELECT 'evt-' || lpad((i * 7919 % 10000019)::text, 8, '0'),
        timestamptz '2026-01-01Z' + CASE WHEN i BETWEEN $1 / 4 AND $1 / 4 + $2 THEN $1 / 4 ELSE i END * interval '1 second',
        CASE WHEN i BETWEEN $1 / 4 AND $1 / 4 + $2 OR i % 10 > 0 THEN 'big' ELSE 'small' END, 'user',
        'user-' || i * 7919 % 500, 'User-' || i * 7919 % 500 || '@example.org', ('10.0.' || i * 7919 % 200 || '.' || i % 250)::inet,
        (ARRAY['auth', 'data', 'config', 'admin', 'eval'])[1 + i % 5], 'type.' || i % 45,
        CASE WHEN i % 200 = 3 THEN 'critical' WHEN i % 20 = 1 THEN 'warning' ELSE 'info' END,
        (ARRAY['trace', 'api_key', 'dataset'])[1 + i % 3], 'r-' || i * 7919 % 1000,
        (ARRAY['create', 'read', 'update', 'delete', 'export'])[1 + i % 5],
        'req-' || i / 3, 's-' || i / 20, md5(i::text) || md5(i::text), '{\"k\": 1}'
    FROM generate_series(1, $1) i";

async fn filled(shape: Shape, events: i64) -> TestDatabase {
    let test = shape.database().await;
    let mut c = PgConnection::connect_with(&test.options).await.unwrap();
    // Indexes are built faster after the rows are there. The seed's index for words has no part in pages.
    let indexes: Vec<(String, String)> = sqlx::query_as(
        "SELECT i.relname::text, pg_get_indexdef(i.oid) FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
             JOIN pg_am m ON m.oid = i.relam
         WHERE x.indrelid = 'audit_events'::regclass AND NOT x.indisprimary",
    )
    .fetch_all(&mut c)
    .await
    .unwrap();
    for (name, _) in &indexes {
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("DROP INDEX {name}"))).execute(&mut c).await.unwrap();
    }
    sqlx::query(FILL).bind(events).bind(RUN).execute(&mut c).await.unwrap();
    for (_, definition) in indexes.iter().filter(|(name, _)| name != "idx_audit_search") {
        let definition = definition.replace(" ON ONLY ", " ON ");
        sqlx::raw_sql(sqlx::AssertSqlSafe(definition)).execute(&mut c).await.unwrap();
    }
    sqlx::raw_sql("VACUUM ANALYZE audit_events").execute(&mut c).await.unwrap();
    c.close().await.unwrap();
    test
}

/// Where pages begin, `deep` in the trail and `inside` the run of one instant too.
fn places(deep: &EventKey, inside: &EventKey) -> [(&'static str, Seek); 5] {
    [
        ("newest", Seek::Newest),
        ("oldest", Seek::Oldest),
        ("deep", Seek::OlderThan(deep.clone())),
        ("in the run, older", Seek::OlderThan(inside.clone())),
        ("in the run, newer", Seek::NewerThan(inside.clone())),
    ]
}

async fn explained(db: &ReadDb, filter: &str, seek: &Seek) -> Explanation {
    explain::page(db, &query("big", filter), seek, 100, true, &never()).await.unwrap()
}

fn reads_whole_table(explanation: &Explanation) -> bool {
    explanation.statements.iter().flat_map(|s| s.plan.all()).any(explain::Node::reads_whole_table)
}

/// The filters that an index serves, and whether the indexes of the seed do.
const INDEXED: [(&str, bool); 15] = [
    ("", true),
    ("actor:user-17", true),
    ("actor:user-17,user-18,user-400", true),
    ("actor:user-17 OR actor_id:user-18,user-17", true),
    ("res:trace/r-17", true),
    ("cat:auth type:type.5", true),
    ("type:type.5", true),
    ("type:type.5,type.7,type.11", true),
    ("sev:critical", true),
    ("sev>=warning", false),
    ("req:req-777", false),
    ("sess:s-2000", false),
    ("ip:10.0.17.17", false),
    ("actor:user-17@Example.org", false),
    ("email:user-17@example.org,user-18@example.org", false),
];

async fn pages_touch_few_blocks(events: i64) {
    for shape in [Shape::Ours, Shape::Seed, Shape::SeedByMonth] {
        let test = filled(shape, events).await;
        let db = reader(&test.options).await;
        let instant = Timestamp::from_micros((1_767_225_600 + events / 4) * 1_000_000);
        let run = Seek::AtOrBefore(instant);
        let some = timeline::page(&db, &query("big", ""), &run, 20_000, &never()).await.unwrap().rows;
        let inside = some.last().unwrap().key();
        assert_eq!(inside.timestamp, instant, "a key in the middle of the run");
        let deep = Timestamp::from_micros((1_767_225_600 + events / 8) * 1_000_000);
        let deep =
            timeline::page(&db, &query("big", ""), &Seek::AtOrBefore(deep), 1, &never()).await.unwrap();
        let deep = deep.rows[0].key();
        for (filter, by_seed) in INDEXED {
            if shape != Shape::Ours && !by_seed {
                continue;
            }
            for (place, seek) in places(&deep, &inside) {
                let explanation = explained(&db, filter, &seek).await;
                let blocks = explanation.blocks().unwrap();
                println!("{shape:?} {filter:32} {place:18} {blocks:6} {:?}", explanation.way);
                // The filter indexes of the seed do not order one instant: all matching events of that one are read
                // and sorted, in each range that is merged.
                let ranges = if shape == Shape::Ours { 1 } else { filter.split(',').count() as u64 };
                let page =
                    timeline::page(&db, &query("big", filter), &seek, 101, &never()).await.unwrap().rows;
                let meets_run = place.contains("run") || page.iter().any(|e| e.timestamp == instant);
                let of_instant = if shape != Shape::Ours && !filter.is_empty() && meets_run {
                    let mut matching = query("big", filter);
                    matching.range.since = Some(instant);
                    matching.range.until = Some(Timestamp::from_micros(instant.as_micros() + 1));
                    let budget = std::time::Duration::from_secs(20);
                    timeline::count(&db, &matching, budget, &never()).await.unwrap().value().unwrap()
                } else {
                    0
                };
                let whole = serde_json::to_string(&explanation).unwrap();
                assert!(
                    blocks <= 300 * ranges + of_instant,
                    "{shape:?} {filter} {place}: {blocks} blocks: {whole}"
                );
                assert!(!reads_whole_table(&explanation), "{shape:?} {filter} {place}: {whole}");
                assert!(
                    !matches!(explanation.way, Way::Walk | Way::Scan),
                    "{shape:?} {filter}: {explanation:?}"
                );
            }
        }
        // What no index serves is announced as such, and no statement looks at more than its share.
        for filter in ["action:delete ua:curl", "-actor:user-17", "type:type.5 action:delete ua:curl"] {
            let explanation = explained(&db, filter, &Seek::Newest).await;
            assert_eq!(explanation.way, Way::Walk, "{filter}");
            let whole = serde_json::to_string(&explanation).unwrap();
            assert!(!reads_whole_table(&explanation), "{shape:?} {filter}: {whole}");
            assert!(explanation.blocks().unwrap() <= 6_000, "{shape:?} {filter}: {whole}");
        }
        db.close().await;
        test.drop_now().await;
    }
}

#[tokio::test]
async fn pages_of_indexed_filters_touch_few_blocks() {
    pages_touch_few_blocks(80_000).await;
}

#[tokio::test]
#[ignore = "long: three tables of a million events"]
async fn pages_of_indexed_filters_touch_few_blocks_in_a_million_events() {
    pages_touch_few_blocks(1_000_000).await;
}

/// What the server has counted for the table of events: whole reads of it, and blocks of it that were asked for.
#[derive(Debug, Clone, Copy)]
struct Reads {
    whole: i64,
    blocks: i64,
}

impl Reads {
    /// Of all sessions of the program so far, which are closed: a session hands in its account when it ends.
    async fn now(c: &mut PgConnection) -> Self {
        let mut left = 1_i64;
        while left > 0 {
            let sql = "SELECT count(*) FROM pg_stat_activity
                WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = 'agenttrace'";
            left = sqlx::query_scalar(sql).fetch_one(&mut *c).await.unwrap();
        }
        let sql = "SELECT t.seq_scan, io.heap_blks_hit + io.heap_blks_read
            FROM pg_stat_user_tables t JOIN pg_statio_user_tables io USING (relid) WHERE t.relname = 'audit_events'";
        let (whole, blocks) = sqlx::query_as(sql).fetch_one(c).await.unwrap();
        Self { whole, blocks }
    }
}

/// What a table with a primary key only is asked, apart from the filters of [`INDEXED`].
const UNINDEXED: [&str; 4] = [
    "action:delete ua:curl",
    "-actor:user-17",
    "action:read sev:warning",
    "type:type.* new.k:1 actor:user-4*",
];

/// Tries one of `each` filters.
async fn a_table_without_indexes_is_read_by_pieces(events: i64, each: usize) {
    let test = filled(Shape::Bare, events).await;
    let mut c = PgConnection::connect_with(&test.options).await.unwrap();
    // Autovacuum reads the table, too, and the server's account does not tell the two apart.
    c.execute("ALTER TABLE audit_events SET (autovacuum_enabled = false)").await.unwrap();
    let sql = "SELECT pg_relation_size('audit_events') / 8192";
    let table: i64 = sqlx::query_scalar(sql).fetch_one(&mut c).await.unwrap();
    // As many pieces of a small table as of one of a million events with the usual settings.
    let settings = ReadSettings { walk: u32::try_from(events / 20).unwrap(), ..ReadSettings::default() };
    let reader = async || ReadDb::connect(test.options.clone(), settings.clone()).await.unwrap();
    let piece = i64::from(settings.walk / 12);
    let expected = |sql: &'static str| sqlx::query_scalar::<_, String>(sql);
    let deep = EventKey {
        timestamp: Timestamp::from_micros((1_767_225_600 + events / 8) * 1_000_000),
        event_id: "evt-5".to_owned(),
    };
    let instant = Timestamp::from_micros((1_767_225_600 + events / 4) * 1_000_000);
    let inside = EventKey { timestamp: instant, event_id: "evt-05".to_owned() };
    for filter in INDEXED.iter().map(|(filter, _)| *filter).chain(UNINDEXED).step_by(each) {
        for (place, seek) in places(&deep, &inside) {
            let db = reader().await;
            let explanation = explained(&db, filter, &seek).await;
            db.close().await;
            let whole = serde_json::to_string(&explanation).unwrap();
            assert_eq!(explanation.way, Way::Scan, "{filter}");
            assert!(whole.contains("every page reads the whole table"), "{whole}");
            assert!(!reads_whole_table(&explanation), "{filter} {place}: {whole}");
            let blocks = explanation.blocks().unwrap();
            assert!(blocks <= piece.unsigned_abs() + 50, "{filter} {place}: {blocks} blocks: {whole}");

            // The whole page, by the account of the server: each block once, piece by piece.
            let before = Reads::now(&mut c).await;
            let told = Mutex::new(Vec::new());
            let progress =
                |looked: &Looked| told.lock().unwrap().push((looked.percent.unwrap(), looked.found));
            let pace = Pace { patience: None, progress: Some(&progress) };
            let db = reader().await;
            let page =
                timeline::page_at(&db, &query("big", filter), &seek, 100, pace, &never()).await.unwrap();
            db.close().await;
            let after = Reads::now(&mut c).await;
            let told = told.into_inner().unwrap();
            println!("Bare {filter:36} {place:18} {blocks:6} {:6} {told:?}", after.blocks - before.blocks);
            assert_eq!(after.whole, before.whole, "{filter} {place}: {whole}");
            assert!(after.blocks - before.blocks <= table + 300, "{filter} {place}: {before:?} {after:?}");
            assert_eq!(told.len() as i64, (table - 1) / piece + 1, "one statement for each piece");
            assert!(told.is_sorted_by_key(|(percent, _)| *percent));
            if !page.rows.is_empty() && told.len() > 4 {
                assert!(told[told.len() - 2].1 > 0, "{filter} {place}: something before the end: {told:?}");
            }
        }
    }
    // The rows are those that a plain statement gives.
    let db = reader().await;
    for (filter, sql) in [
        (
            UNINDEXED[2],
            "SELECT event_id::text FROM audit_events WHERE organization_id = 'big' AND action = 'read'
                 AND event_severity = 'warning' ORDER BY timestamp DESC, event_id COLLATE \"C\" DESC LIMIT 100",
        ),
        (
            "",
            "SELECT event_id::text FROM audit_events WHERE organization_id = 'big'
             ORDER BY timestamp DESC, event_id COLLATE \"C\" DESC LIMIT 100",
        ),
    ] {
        let page = timeline::page(&db, &query("big", filter), &Seek::Newest, 100, &never()).await.unwrap();
        let found: Vec<String> = page.rows.into_iter().map(|row| row.event_id).collect();
        assert_eq!(found, expected(sql).fetch_all(&mut c).await.unwrap(), "{filter}");
    }
    db.close().await;
    c.close().await.unwrap();
    test.drop_now().await;
}

#[tokio::test]
async fn a_table_without_an_index_on_time_is_read_by_blocks_and_said_to_be() {
    a_table_without_indexes_is_read_by_pieces(80_000, 6).await;
}

#[tokio::test]
#[ignore = "long: a table of a million events"]
async fn a_table_without_an_index_on_time_is_read_by_blocks_in_a_million_events() {
    a_table_without_indexes_is_read_by_pieces(1_000_000, 1).await;
}

/// Each statement that an explanation advises makes the page cheap, and is not advised again.
#[tokio::test]
async fn the_index_that_is_advised_helps() {
    for (shape, filter, index) in [
        (
            Shape::Seed,
            "type:type.5",
            "(organization_id, event_category, event_type, timestamp DESC, event_id);",
        ),
        (
            Shape::Seed,
            "actor:user-17@example.org",
            "(organization_id, lower(actor_email COLLATE \"C\"), timestamp DESC, event_id);",
        ),
        (
            Shape::Seed,
            "sev:critical",
            "(organization_id, event_severity, timestamp DESC, event_id) WHERE event_severity IN ('critical');",
        ),
        (Shape::Bare, "", "(organization_id, timestamp DESC, event_id DESC);"),
    ] {
        let test = filled(shape, 80_000).await;
        let db = reader(&test.options).await;
        let inside = EventKey {
            timestamp: Timestamp::from_micros((1_767_225_600 + 20_000) * 1_000_000),
            event_id: "evt-03".to_owned(),
        };
        let seek = Seek::OlderThan(inside);
        let before = explained(&db, filter, &seek).await;
        let advice: Vec<String> = before.findings.iter().filter_map(|f| f.sql.clone()).collect();
        let [sql] = advice.as_slice() else { panic!("{shape:?} {filter}: {before:?}") };
        assert!(
            sql.starts_with("CREATE INDEX CONCURRENTLY ON audit_events (") && sql.ends_with(index),
            "{sql}"
        );
        db.close().await;
        let mut c = PgConnection::connect_with(&test.options).await.unwrap();
        for statement in [sql.as_str(), "ANALYZE audit_events"] {
            sqlx::raw_sql(sqlx::AssertSqlSafe(statement.to_owned())).execute(&mut c).await.unwrap();
        }
        c.close().await.unwrap();
        let db = reader(&test.options).await;
        let after = explained(&db, filter, &seek).await;
        let whole = serde_json::to_string(&after).unwrap();
        assert!(after.blocks().unwrap() <= 300 && before.blocks() > after.blocks(), "{filter}: {whole}");
        assert!(after.findings.iter().all(|f| f.sql.as_ref() != Some(sql)), "{whole}");
        assert!(matches!(after.way, Way::Index | Way::MergedIndexes), "{whole}");
        db.close().await;
        test.drop_now().await;
    }
    // On a partitioned table the statement would be refused.
    let test = filled(Shape::SeedByMonth, 80_000).await;
    let db = reader(&test.options).await;
    let explanation = explained(&db, "actor:user-17@example.org", &Seek::Newest).await;
    assert!(explanation.findings.iter().all(|f| f.sql.is_none()));
    assert!(
        explanation
            .findings
            .iter()
            .any(|f| f.text.contains("lower(actor_email") && f.text.contains("partition by partition"))
    );
    db.close().await;
    test.drop_now().await;
}

#[tokio::test]
async fn what_was_quick_is_not_called_slow() {
    let test = filled(Shape::Ours, 5_000).await;
    let db = reader(&test.options).await;
    let slow = |explanation: &Explanation| {
        let slow = explanation.findings.iter().filter(|finding| finding.weight == Weight::Slow);
        slow.map(|finding| finding.text.clone()).collect::<Vec<_>>()
    };
    for filter in ["", "ip:10.0.0.0/20 sev:critical", "ua~curl", "type:type.5", "res:trace/r-17"] {
        let mut measured = explained(&db, filter, &Seek::Newest).await;
        // On a busy machine it may really have been slow.
        for _ in 0..50 {
            if slow(&measured).is_empty() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            measured = explained(&db, filter, &Seek::Newest).await;
        }
        assert_eq!(slow(&measured), [""; 0], "{filter}");
        let sorts =
            measured.statements.iter().flat_map(|s| s.plan.all()).any(|node| node.operation == "Sort");
        let in_order =
            measured.findings.iter().any(|finding| finding.text.contains("gives the page in order"));
        assert!(!(sorts && in_order), "{filter}: {:?}", measured.findings);
    }
    // What was not measured is judged by its way, and by how many events the planner expects on it.
    let planned = async |filter: &str| {
        let (db, query) = (reader(&test.options).await, query("big", filter));
        explain::page(&db, &query, &Seek::Newest, 100, false, &never()).await.unwrap()
    };
    assert_eq!(slow(&planned("ua~curl").await), [""; 0]);
    let partly = planned("res:trace/r-17 ua~curl").await;
    assert!(partly.findings[0].text.starts_with("idx_audit_resource serves a part"), "{:?}", partly.findings);
    let mut c = PgConnection::connect_with(&test.options).await.unwrap();
    let many = "UPDATE pg_class SET reltuples = 5e7 WHERE oid = 'audit_events'::regclass";
    sqlx::raw_sql(many).execute(&mut c).await.unwrap();
    c.close().await.unwrap();
    let walked = planned("ua~curl").await;
    assert_eq!(slow(&walked).len(), 1, "{:?}", walked.findings);
    assert!(walked.findings[0].text.starts_with("no index serves the filter: "), "{:?}", walked.findings);
    test.drop_now().await;
}
