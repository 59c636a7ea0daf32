//! `docs/internals/seed.md`, held true: the statements of the document that the schema began with, as PostgreSQL takes them.
//! Table and indexes of the document are in `shapes.rs`.

use crate::shapes::{COLUMNS, Shape};
use crate::support;
use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Row as _};

/// What is refused is quoted there.
const DOCUMENT: &str = include_str!("../../docs/internals/seed.md");

struct Server(PgConnection);

impl Server {
    async fn new(database: &support::TestDatabase) -> Self {
        Self(PgConnection::connect_with(&database.options).await.unwrap())
    }

    /// Runs it; the SQLSTATE and the message where it is refused.
    async fn try_run(&mut self, sql: &str) -> Result<u64, (String, String)> {
        match sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(&mut self.0).await {
            Ok(done) => Ok(done.rows_affected()),
            Err(error) => {
                let error = error.as_database_error().unwrap_or_else(|| panic!("{sql}: {error}"));
                Err((error.code().unwrap_or_default().into_owned(), error.message().to_owned()))
            }
        }
    }

    async fn run(&mut self, sql: &str) -> u64 {
        self.try_run(sql).await.unwrap_or_else(|e| panic!("{sql}: {e:?}"))
    }

    async fn refuses(&mut self, sql: &str, state: &str, words: &str) {
        let (code, message) = self.try_run(sql).await.expect_err(sql);
        assert!(code == state && message.contains(words), "{sql}: {code} {message}");
        assert!(
            DOCUMENT.contains(state) && DOCUMENT.contains(words),
            "docs/internals/seed.md does not quote: {code} {message}"
        );
    }

    /// The first column of all rows, as text, a line each.
    async fn read(&mut self, sql: &str) -> String {
        let rows = sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).fetch_all(&mut self.0).await.unwrap();
        let texts =
            rows.iter().map(|row| row.try_get_unchecked::<Option<String>, _>(0).unwrap().unwrap_or_default());
        texts.collect::<Vec<_>>().join("\n")
    }

    async fn plan(&mut self, sql: &str) -> String {
        self.read(&format!("EXPLAIN {sql}")).await
    }
}

/// `count` events, a minute apart, ten to an instant; every tenth is critical.
fn events(count: u32) -> String {
    format!(
        "INSERT INTO audit_events (event_id, timestamp, organization_id, actor_type, actor_id, event_category, event_type, \
             event_severity, resource_type, resource_id, resource_name, action, new_state, request_id, hash, previous_hash) \
         SELECT 'evt-' || n, timestamptz '2026-01-01Z' + n / 10 * interval '1 minute', 'org-' || 123 + n % 2, 'user', \
             'user-' || n % 100, 'auth', 'api_key.rotate', CASE n % 10 WHEN 0 THEN 'critical' WHEN 1 THEN 'warning' \
             ELSE 'info' END, 'trace', 't-' || n % 50, NULL, 'read', NULL, 'r-' || n, 'h' || n, 'h' || n - 1 \
         FROM generate_series(1, {count}) n"
    )
}

#[tokio::test]
async fn the_keys_of_partitioned_tables_are_refused_and_those_that_work_keep_less_apart() {
    let database = support::bare_database().await;
    let mut server = Server::new(&database).await;
    let table = COLUMNS.replace("{key}", "PRIMARY KEY");
    for by in ["RANGE (timestamp)", "HASH (organization_id)"] {
        let sql = format!("CREATE TABLE audit_events ({table}) PARTITION BY {by}");
        server
            .refuses(
                &sql,
                "0A000",
                "unique constraint on partitioned table must include all partitioning columns",
            )
            .await;
    }
    // The form that works.
    let table = COLUMNS.replace("{key}", "");
    server
        .run(&format!("CREATE TABLE audit_events ({table}, PRIMARY KEY (event_id, timestamp)) PARTITION BY RANGE (timestamp)"))
        .await;
    for month in [
        "audit_events_2026_01 PARTITION OF audit_events FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')",
        "audit_events_2026_02 PARTITION OF audit_events FOR VALUES FROM ('2026-02-01') TO ('2026-03-01')",
    ] {
        server.run(&format!("CREATE TABLE {month}")).await;
    }
    let event = |id: &str, time: &str| {
        format!(
            "INSERT INTO audit_events (event_id, timestamp, organization_id, actor_type, actor_id, event_category, \
                 event_type, event_severity, resource_type, resource_id, action, request_id, hash) VALUES ('{id}', '{time}', \
                 'org-123', 'user', 'u', 'auth', 'login', 'info', 'session', 's', 'create', 'r', 'h')"
        )
    };
    server.run(&event("evt-1", "2026-01-15")).await;
    // An id is no longer unique, and what no month was made for is lost.
    server.run(&event("evt-1", "2026-02-15")).await;
    server.refuses(&event("evt-2", "2026-03-15"), "23514", "no partition of relation").await;
    // Autovacuum never analyses the table above the partitions: there is no count until somebody does.
    let count = "SELECT reltuples::bigint::text FROM pg_class WHERE relname = 'audit_events'";
    assert_eq!(server.read(count).await, "-1");
    server.run("ANALYZE audit_events").await;
    assert_eq!(server.read(count).await, "2");
    drop(server);
    database.drop_now().await;
}

#[tokio::test]
async fn the_indexes_serve_what_they_say_but_for_the_order_of_pages_and_warnings() {
    let database = Shape::Seed.database().await;
    let mut server = Server::new(&database).await;
    server.run(&events(20_000)).await;
    server.run("ANALYZE audit_events").await;
    let page = "SELECT * FROM audit_events WHERE organization_id = 'org-123' \
                AND (timestamp, event_id) < ('2026-01-02 10:00:00', 'evt-456') \
                ORDER BY timestamp DESC, event_id DESC LIMIT 100";
    let plan = server.plan(page).await;
    // The id ascends in the index and descends in the order.
    assert!(plan.contains("Incremental Sort"), "{plan}");
    server.run("CREATE INDEX aligned ON audit_events (organization_id, timestamp DESC, event_id DESC)").await;
    server.run("DROP INDEX idx_audit_org_timestamp, idx_audit_hash").await;
    let plan = server.plan(page).await;
    assert!(plan.contains("aligned") && !plan.contains("Sort"), "{plan}");

    let severity = |condition: &str| {
        format!(
            "SELECT * FROM audit_events WHERE organization_id = 'org-123' AND event_severity {condition} \
             ORDER BY timestamp DESC LIMIT 100"
        )
    };
    assert!(server.plan(&severity("= 'critical'")).await.contains("idx_audit_severity"));
    for condition in ["= 'warning'", "IN ('critical', 'warning')"] {
        let plan = server.plan(&severity(condition)).await;
        assert!(!plan.contains("idx_audit_severity"), "{plan}");
    }
    // Fine as written.
    for (sql, index) in [
        ("actor_id = 'user-12' ORDER BY timestamp DESC LIMIT 10", "idx_audit_actor"),
        (
            "resource_type = 'trace' AND resource_id = 't-12' ORDER BY timestamp DESC LIMIT 10",
            "idx_audit_resource",
        ),
        (
            "event_category = 'auth' AND event_type = 'none' ORDER BY timestamp DESC LIMIT 10",
            "idx_audit_event_type",
        ),
    ] {
        let plan = server
            .plan(&format!("SELECT * FROM audit_events WHERE organization_id = 'org-123' AND {sql}"))
            .await;
        assert!(plan.contains(index) && !plan.contains("Sort"), "{plan}");
    }
    // Without the organisation none of them leads anywhere.
    let plan = server.plan("SELECT * FROM audit_events WHERE actor_id = 'user-123'").await;
    assert!(!plan.contains("Index Cond: ((actor_id"), "{plan}");
    drop(server);
    database.drop_now().await;
}

#[tokio::test]
async fn full_text_search_can_make_an_insert_fail_and_misses_what_it_should_find() {
    let database = Shape::Seed.database().await;
    let mut server = Server::new(&database).await;
    server.run(&events(10)).await;
    let words = "(SELECT jsonb_build_array(string_agg('word' || n, ' ')) FROM generate_series(1, 200000) n)";
    let large =
        events(1).replace("'evt-' || n", "'large'").replace("'read', NULL,", &format!("'read', {words},"));
    server.refuses(&large, "54000", "too long for tsvector").await;
    let find = |word: &str| {
        format!(
            "SELECT count(*)::text FROM audit_events WHERE to_tsvector('english', COALESCE(event_type, '') || ' ' || \
                 COALESCE(resource_name, '') || ' ' || COALESCE(new_state::text, '')) @@ websearch_to_tsquery('english', '{word}')"
        )
    };
    assert_eq!(server.read(&find("api_key.rotate")).await, "10");
    // One word to the parser; and what was before is not in the index at all.
    assert_eq!(server.read(&find("rotate")).await, "0");
    // Ours stores the one and finds the other.
    let ours = support::database().await;
    let mut server = Server::new(&ours).await;
    server.run(&large).await;
    let found = "SELECT count(*)::text FROM audit_events WHERE search_vector @@ 'rotate'";
    assert_eq!(server.read(found).await, "1");
    drop(server);
    ours.drop_now().await;
    database.drop_now().await;
}

const SUMMARY: &str = "CREATE MATERIALIZED VIEW audit_daily_summary AS
    SELECT organization_id, DATE(timestamp) as date, event_category, COUNT(*) as event_count,
        COUNT(DISTINCT actor_id) as unique_actors
    FROM audit_events GROUP BY organization_id, DATE(timestamp), event_category";

#[tokio::test]
async fn the_summary_cannot_be_refreshed_as_said_and_its_days_depend_on_who_makes_it() {
    let database = Shape::Seed.database().await;
    let mut server = Server::new(&database).await;
    server.run(&events(20_000)).await;
    let mut days = Vec::new();
    for zone in ["UTC", "Asia/Tokyo"] {
        server
            .run(&format!(
                "SET TimeZone = '{zone}'; DROP MATERIALIZED VIEW IF EXISTS audit_daily_summary; {SUMMARY}"
            ))
            .await;
        days.push(server.read("SELECT concat(date, ' ', sum(event_count)) FROM audit_daily_summary GROUP BY date ORDER BY 1").await);
    }
    assert_ne!(days[0], days[1]);
    server.run("CREATE INDEX ON audit_daily_summary (organization_id, date)").await;
    let refresh = "REFRESH MATERIALIZED VIEW CONCURRENTLY audit_daily_summary";
    server.refuses(refresh, "55000", "cannot refresh materialized view").await;
    server.run("CREATE UNIQUE INDEX ON audit_daily_summary (organization_id, date, event_category)").await;
    server.run(refresh).await;
    // Actors of a day must not be added up over days.
    let sum = "SELECT sum(unique_actors)::text FROM audit_daily_summary WHERE organization_id = 'org-123'";
    let distinct =
        "SELECT count(DISTINCT actor_id)::text FROM audit_events WHERE organization_id = 'org-123'";
    assert_ne!(server.read(sum).await, server.read(distinct).await);
    // Ours.
    let ours = support::database().await;
    Server::new(&ours).await.run(refresh).await;
    ours.drop_now().await;
    drop(server);
    database.drop_now().await;
}

#[tokio::test]
async fn the_queries_for_monitoring_name_columns_that_do_not_exist() {
    let database = Shape::Seed.database().await;
    let mut server = Server::new(&database).await;
    server
        .refuses(
            "SELECT schemaname, tablename, indexname, idx_scan, idx_tup_read, idx_tup_fetch FROM pg_stat_user_indexes \
             WHERE tablename = 'audit_events' ORDER BY idx_scan ASC",
            "42703",
            "column \"tablename\" does not exist",
        )
        .await;
    server
        .refuses(
            "SELECT schemaname, tablename, pg_size_pretty(pg_total_relation_size(schemaname||'.'||tablename)) as size, \
                 n_dead_tup FROM pg_stat_user_tables WHERE tablename = 'audit_events'",
            "42703",
            "column \"tablename\" does not exist",
        )
        .await;
    // The names they have. The index of the primary key may never be scanned and is needed all the same.
    let unused = "SELECT indexrelname::text FROM pg_stat_user_indexes WHERE relname = 'audit_events' AND idx_scan = 0 \
                  ORDER BY idx_scan ASC";
    assert!(server.read(unused).await.contains("audit_events_pkey"));
    server.run("SELECT relname, n_dead_tup FROM pg_stat_user_tables WHERE relname = 'audit_events'").await;
    server.run("ANALYZE audit_events").await;
    drop(server);
    database.drop_now().await;
}

#[tokio::test]
async fn the_storage_settings_switch_compression_off_or_do_not_exist() {
    let database = Shape::Seed.database().await;
    let mut server = Server::new(&database).await;
    let state = "(SELECT jsonb_object_agg('key' || k, repeat('the same text again ', 10)) FROM generate_series(1, 40) k)";
    let insert =
        |ids: &str| events(1).replace("'evt-'", ids).replace("'read', NULL,", &format!("'read', {state},"));
    server.run(&insert("'compressed-'")).await;
    server.run("ALTER TABLE audit_events ALTER COLUMN previous_state SET STORAGE EXTERNAL").await;
    server.run("ALTER TABLE audit_events ALTER COLUMN new_state SET STORAGE EXTERNAL").await;
    server.run(&insert("'external-'")).await;
    let sizes =
        server.read("SELECT pg_column_size(new_state)::text FROM audit_events ORDER BY event_id").await;
    let sizes: Vec<u32> = sizes.lines().map(|n| n.parse().unwrap()).collect();
    assert!(sizes[1] > 5 * sizes[0], "{sizes:?}");
    server
        .refuses("ALTER TABLE audit_events SET (toast_compression = lz4)", "22023", "unrecognized parameter")
        .await;
    let possible =
        "SELECT 'lz4' = ANY (enumvals)::text FROM pg_settings WHERE name = 'default_toast_compression'";
    if server.read(&possible.replace("::text", "")).await == "t" {
        server.run("ALTER TABLE audit_events ALTER COLUMN new_state SET COMPRESSION lz4").await;
    }
    drop(server);
    database.drop_now().await;
}

#[tokio::test]
async fn archiving_as_written_cuts_the_chain_off_and_is_refused_by_our_table() {
    let archive = "INSERT INTO audit_events_archive SELECT * FROM audit_events WHERE timestamp < NOW() - INTERVAL '7 years'";
    let delete = "DELETE FROM audit_events WHERE timestamp < NOW() - INTERVAL '7 years'";
    let old = |count: u32| {
        events(count).replace("timestamptz '2026-01-01Z'", "now() - interval '7 years 100 minutes'")
    };
    let database = Shape::Seed.database().await;
    let mut server = Server::new(&database).await;
    server.run(&old(2_000)).await;
    server.refuses(archive, "42P01", "relation \"audit_events_archive\" does not exist").await;
    server.run("CREATE TABLE audit_events_archive (LIKE audit_events)").await;
    let archived = server.run(archive).await;
    // The two statements do not speak of the same events: what became old, or came in late, between them is deleted
    // without ever having been archived.
    server.run("INSERT INTO audit_events SELECT (jsonb_populate_record(e, jsonb_build_object('event_id', 'late'))).* \
                FROM audit_events e LIMIT 1").await;
    assert_eq!(server.run(delete).await, archived + 1);
    let orphans = "SELECT count(*)::text FROM audit_events e WHERE NOT EXISTS \
                   (SELECT FROM audit_events p WHERE p.hash = e.previous_hash)";
    assert_eq!(server.read(orphans).await, "1");
    server.run("VACUUM FULL audit_events").await;

    let ours = support::database().await;
    let mut server = Server::new(&ours).await;
    server.run(&old(2_000)).await;
    server.refuses(delete, "42501", "audit_events is append-only").await;
    drop(server);
    ours.drop_now().await;
    database.drop_now().await;
}

#[tokio::test]
async fn queries_and_writes_that_are_right_as_written() {
    for shape in [Shape::Seed, Shape::Ours] {
        let database = shape.database().await;
        let mut server = Server::new(&database).await;
        // Before the first ANALYZE the approximate count is -1.
        let count = "SELECT reltuples::bigint::text FROM pg_class WHERE relname = 'audit_events'";
        assert_eq!(server.read(count).await, "-1");
        server.run(&events(200)).await;
        for sql in [
            "SELECT * FROM audit_events WHERE organization_id = 'org-456' AND actor_id = 'user-123'",
            "SELECT * FROM audit_events ORDER BY timestamp DESC LIMIT 100 OFFSET 10000",
            "SELECT * FROM audit_events WHERE organization_id = 'org-123' AND timestamp >= NOW() - INTERVAL '90 days' \
             AND timestamp < NOW()",
            "EXPLAIN ANALYZE SELECT * FROM audit_events WHERE organization_id = 'org-123' AND timestamp >= '2026-01-01' \
             AND timestamp < '2026-02-01' ORDER BY timestamp DESC LIMIT 100",
            "SELECT COUNT(*) FROM audit_events",
            "ANALYZE audit_events",
        ] {
            server.run(sql).await;
        }
        assert_eq!(server.read(count).await, "200");
        for (column, value) in [
            ("actor_type", "robot"),
            ("event_category", "billing"),
            ("action", "destroy"),
            ("event_severity", "fatal"),
        ] {
            let bad = events(1).replacen("SELECT 'evt-' || n,", "SELECT 'bad',", 1);
            let bad = match column {
                "actor_type" => bad.replace("'user',", &format!("'{value}',")),
                "event_category" => bad.replace("'auth',", &format!("'{value}',")),
                "action" => bad.replace("'read',", &format!("'{value}',")),
                _ => bad
                    .replace("ELSE 'info'", &format!("ELSE '{value}'"))
                    .replace("WHEN 1 THEN 'warning'", ""),
            };
            server.refuses(&bad, "23514", "violates check constraint").await;
        }
        drop(server);
        database.drop_now().await;
    }
}

/// Commands of the table that says what answers each line of the guide, and how many lines it has.
fn answering() -> (usize, Vec<String>) {
    let (_, table) = DOCUMENT.split_once("## What answers each line").unwrap();
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with("| S")).collect();
    let commands = rows
        .iter()
        .flat_map(|row| row.split('`').skip(1).step_by(2))
        .filter_map(|c| c.strip_prefix("agenttrace "));
    let mut commands: Vec<String> = commands.map(str::to_owned).collect();
    commands.sort();
    commands.dedup();
    (rows.len(), commands)
}

#[tokio::test]
async fn each_line_of_the_guide_is_answered_by_a_command_that_runs() {
    let (rows, commands) = answering();
    assert_eq!(rows, 45);
    let test = support::database().await;
    crate::verify::append(&test, "own", 0..60).await;
    let home = support::Home::new();
    for command in commands {
        let words: Vec<&str> = command.split(' ').collect();
        let (code, stdout, stderr) =
            crate::verify::run(&home, &test, &[&["--org", "own"], &words[..]].concat());
        // 1: findings; 4: nothing to say yet.
        assert!([0, 1, 4].contains(&code), "{command}: {code} {stderr}");
        assert!(!stdout.is_empty() || !stderr.is_empty(), "{command} says nothing");
    }
}
