//! The statements of the database guide as they stand in it, and what PostgreSQL says to them: `docs/seed.md` must not
//! claim anything else.

use crate::shapes::Shape;
use crate::support::{self, TestDatabase};
use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Row as _};

const DOCUMENT: &str = include_str!("../../docs/seed.md");

const INSERT: &str = "INSERT INTO audit_events (event_id, timestamp, organization_id, actor_type, actor_id, \
    event_category, event_type, event_severity, resource_type, resource_id, action, request_id, hash, new_state) ";

const SUMMARY: &str = "
    CREATE MATERIALIZED VIEW audit_daily_summary AS
    SELECT organization_id, DATE(timestamp) as date, event_category, COUNT(*) as event_count,
        COUNT(DISTINCT actor_id) as unique_actors
    FROM audit_events GROUP BY organization_id, DATE(timestamp), event_category;
    CREATE INDEX ON audit_daily_summary (organization_id, date);";

async fn connect(test: &TestDatabase) -> PgConnection {
    PgConnection::connect_with(&test.options).await.unwrap()
}

/// The statement is refused, and the document quotes the reason.
async fn refused(c: &mut PgConnection, sql: &'static str, reason: &str) {
    let error = sqlx::raw_sql(sql).execute(&mut *c).await.unwrap_err().to_string();
    assert!(error.contains(reason), "{sql}\nwas refused otherwise: {error}");
    assert!(DOCUMENT.contains(reason), "docs/seed.md does not quote: {reason}");
}

async fn one<T>(c: &mut PgConnection, sql: &'static str) -> T
where
    T: Send + Unpin + for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    sqlx::query_scalar(sql).fetch_one(c).await.unwrap()
}

async fn done(c: &mut PgConnection, sql: &'static str) {
    sqlx::raw_sql(sql).execute(c).await.unwrap();
}

#[tokio::test]
async fn partitions_of_the_guide_are_refused_and_its_workable_form_has_gaps() {
    let test = support::bare_database().await;
    let mut c = connect(&test).await;
    let reason = "unique constraint on partitioned table must include all partitioning columns";
    for by in ["RANGE (timestamp)", "HASH (organization_id)"] {
        let sql = format!(
            "CREATE TABLE audit_events (event_id VARCHAR(64) PRIMARY KEY, timestamp TIMESTAMP WITH TIME ZONE NOT NULL, \
             organization_id VARCHAR(64) NOT NULL) PARTITION BY {by}"
        );
        refused(&mut c, sql.leak(), reason).await;
    }
    c.close().await.unwrap();
    test.drop_now().await;

    let test = Shape::SeedByMonth.database().await;
    let mut c = connect(&test).await;
    let event = |at: &str| {
        let sql = format!(
            "{INSERT} VALUES ('e-1', '{at}', 'o', 'user', 'u', 'auth', 't', 'info', 'r', 'r', 'read', 'q', 'h', NULL)"
        );
        &*sql.leak()
    };
    // One id in two months.
    done(&mut c, event("2026-01-05Z")).await;
    done(&mut c, event("2026-02-05Z")).await;
    refused(&mut c, event("2031-01-05Z"), "no partition of relation \"audit_events\" found for row").await;
    c.close().await.unwrap();
    test.drop_now().await;
}

#[tokio::test]
async fn the_indexes_of_the_guide_sort_again_and_its_search_suppresses_events() {
    let test = Shape::Seed.database().await;
    let mut c = connect(&test).await;
    crate::timeline::fill(&test.options, 4000, 10).await;
    // The guide's own page query, with the organisation of the fixture.
    done(&mut c, "SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_sort = on").await;
    let plan = sqlx::query(
        "EXPLAIN SELECT * FROM audit_events WHERE organization_id = 'o-1'
           AND (timestamp, event_id) < ('2026-01-01 00:03:00Z', 'evt-456')
         ORDER BY timestamp DESC, event_id DESC LIMIT 100",
    )
    .fetch_all(&mut c)
    .await
    .unwrap();
    let plan: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
    assert!(plan.iter().any(|line| line.contains("Incremental Sort")), "{plan:#?}");
    assert!(DOCUMENT.contains("`Incremental Sort`"));

    let words = format!(
        "{INSERT} SELECT 'big', now(), 'o', 'user', 'u', 'auth', 't', 'info', 'r', 'r', 'read', 'q', 'h', \
         jsonb_build_array((SELECT string_agg('word' || n, ' ') FROM generate_series(1, 150000) n))"
    );
    refused(&mut c, words.leak(), "string is too long for tsvector").await;
    let found: bool =
        one(&mut c, "SELECT to_tsvector('english', 'api_key.rotate') @@ to_tsquery('english', 'rotate')")
            .await;
    assert!(!found);
    c.close().await.unwrap();
    test.drop_now().await;
}

#[tokio::test]
async fn counts_and_summaries_of_the_guide_mislead_or_are_refused() {
    let test = Shape::Seed.database().await;
    let mut c = connect(&test).await;
    let count = "SELECT reltuples::bigint FROM pg_class WHERE relname = 'audit_events'";
    assert_eq!(one::<i64>(&mut c, count).await, -1);
    crate::timeline::fill(&test.options, 100, 10).await;
    done(&mut c, SUMMARY).await;
    refused(
        &mut c,
        "REFRESH MATERIALIZED VIEW CONCURRENTLY audit_daily_summary",
        "cannot refresh materialized view \"public.audit_daily_summary\" concurrently",
    )
    .await;
    let mut day = async |zone: &'static str| {
        done(&mut c, format!("SET TimeZone = '{zone}'").leak()).await;
        one::<String>(&mut c, "SELECT DATE(timestamptz '2026-01-01 03:00:00Z')::text").await
    };
    assert_ne!(day("UTC").await, day("America/Los_Angeles").await);
    c.close().await.unwrap();
    test.drop_now().await;
}

#[tokio::test]
async fn monitoring_and_storage_of_the_guide_are_refused_or_reversed() {
    let test = Shape::Seed.database().await;
    let mut c = connect(&test).await;
    refused(
        &mut c,
        "SELECT schemaname, tablename, indexname, idx_scan, idx_tup_read, idx_tup_fetch FROM pg_stat_user_indexes
         WHERE tablename = 'audit_events' ORDER BY idx_scan ASC",
        "column \"tablename\" does not exist",
    )
    .await;
    refused(
        &mut c,
        "SELECT schemaname, tablename, pg_size_pretty(pg_total_relation_size(schemaname||'.'||tablename)) as size, \
         n_dead_tup FROM pg_stat_user_tables WHERE tablename = 'audit_events'",
        "column \"tablename\" does not exist",
    )
    .await;
    refused(
        &mut c,
        "ALTER TABLE audit_events SET (toast_compression = lz4)",
        "unrecognized parameter \"toast_compression\"",
    )
    .await;
    // The same state, stored as before and as the guide wants it.
    let state = format!(
        "{INSERT} SELECT 'e-' || (SELECT count(*) FROM audit_events), now(), 'o', 'user', 'u', 'auth', 't', 'info', \
         'r', 'r', 'read', 'q', 'h', jsonb_build_object('k', repeat('the same again ', 2000))"
    );
    let state: &'static str = state.leak();
    done(&mut c, state).await;
    done(&mut c, "ALTER TABLE audit_events ALTER COLUMN new_state SET STORAGE EXTERNAL").await;
    done(&mut c, state).await;
    let sizes: Vec<i32> =
        sqlx::query_scalar("SELECT pg_column_size(new_state) FROM audit_events ORDER BY event_id")
            .fetch_all(&mut c)
            .await
            .unwrap();
    assert!(sizes[0] * 10 < sizes[1], "{sizes:?}");
    c.close().await.unwrap();
    test.drop_now().await;
}

#[tokio::test]
async fn what_the_guide_deletes_is_refused_here() {
    let test = support::database().await;
    let mut c = connect(&test).await;
    crate::timeline::fill(&test.options, 10, 10).await;
    refused(
        &mut c,
        "DELETE FROM audit_events WHERE timestamp < NOW() - INTERVAL '7 years' OR true",
        "audit_events is append-only",
    )
    .await;
    // Ours can be refreshed beside its readers.
    done(&mut c, "REFRESH MATERIALIZED VIEW CONCURRENTLY audit_daily_summary").await;
    c.close().await.unwrap();
    test.drop_now().await;
}
