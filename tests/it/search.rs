//! Words on somebody else's table: by its own index on words, as well as that one allows.

use crate::shapes::Shape;
use crate::support::TestDatabase;
use crate::timeline::{never, query, reader};

use agenttrace::domain::EventRow;
use agenttrace::store::ReadDb;
use agenttrace::store::listing::explain::{self, Way};
use agenttrace::store::listing::search::Engine;
use agenttrace::store::listing::timeline;
use agenttrace::store::query::{Count, Pace, Query, Seek};
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use std::time::Duration;

/// `$1` events of `o-1` and `o-2` in turn within 70 days, two at each instant. One in 500 has the word medium in its
/// state, one in three common, and rare stands in the three oldest ones of `o-1`.
const FILL: &str = r#"
    INSERT INTO audit_events (event_id, timestamp, organization_id, actor_type, actor_id, event_category, event_type,
        event_severity, resource_type, resource_id, resource_name, action, request_id, hash, previous_state, new_state)
    SELECT 'evt-' || lpad((i * 7919 % 1000003)::text, 7, '0'),
        timestamptz '2025-12-20Z' + (i / 4) * (interval '70 days' * 4 / $1), 'o-' || 1 + i % 2, 'user', 'user-' || i % 17,
        (ARRAY['auth', 'data', 'config', 'admin', 'eval'])[1 + i % 5],
        CASE WHEN i % 400 = 6 THEN 'api_key.rotate' ELSE 'trace.read_' || i % 30 END, 'info', 'trace', 'r-' || i % 13,
        'Trace ' || i % 13, 'update', 'req-' || i, lpad(to_hex(i), 64, '0'), '{"note": "buried"}',
        jsonb_build_object('i', i, 'note', concat_ws(' ', 'some text', CASE WHEN i % 3 = 0 THEN 'common' END,
            CASE WHEN i % 500 = 2 THEN 'medium keys' END, CASE WHEN i < 7 THEN 'rare' END))
    FROM generate_series(1, $1) i"#;

async fn filled(shape: Shape, events: i32) -> TestDatabase {
    let test = shape.database().await;
    let mut c = PgConnection::connect_with(&test.options).await.unwrap();
    sqlx::query(FILL).bind(events).execute(&mut c).await.unwrap();
    sqlx::raw_sql("VACUUM ANALYZE audit_events").execute(&mut c).await.unwrap();
    c.close().await.unwrap();
    test
}

/// All events of a query in the order of the walk, page by page, each page part by part.
async fn walked(db: &ReadDb, query: &Query, limit: usize, ascending: bool) -> Vec<String> {
    let mut ids = Vec::new();
    let mut seek = if ascending { Seek::Oldest } else { Seek::Newest };
    // Sometimes a page is left half-way and gone on with, sometimes not.
    let pace = Pace { patience: Some(Duration::from_millis(limit as u64 / 6)), progress: None };
    loop {
        let mut page = timeline::page_at(db, query, &seek, limit, pace, &never()).await.unwrap();
        if ascending {
            page.rows.reverse();
        }
        ids.extend(page.rows.iter().map(|row| row.event_id.clone()));
        let more = if ascending { page.has_newer } else { page.has_older };
        let resume = page.looked.and_then(|looked| looked.resume);
        let Some(key) = resume.or_else(|| page.rows.last().map(EventRow::key)).filter(|_| more) else {
            return ids;
        };
        seek = if ascending { Seek::NewerThan(key) } else { Seek::OlderThan(key) };
    }
}

#[tokio::test]
async fn an_index_on_an_expression_finds_what_it_holds_newest_first_and_says_what_it_does_not() {
    for shape in [Shape::Seed, Shape::SeedByMonth] {
        let test = filled(shape, 12_000).await;
        let db = reader(&test.options).await;
        let engine = Engine::of(&db.capabilities(&never()).await.unwrap());
        assert_eq!(engine.name(), "expression_index");
        let blind = engine.blind_to();
        assert!(blind.contains("previous_state") && blind.contains("actor_email"), "{blind}");
        let mut c = PgConnection::connect_with(&test.options).await.unwrap();
        for (filter, condition) in [
            ("rare", "i < 7"),
            ("medium", "i % 500 = 2"),
            ("\"medium key\"", "i % 500 = 2"),
            ("medi*", "i % 500 = 2"),
            ("common", "i % 3 = 0"),
            ("common medium", "i % 3 = 0 AND i % 500 = 2"),
            ("medium OR rare", "i % 500 = 2 OR i < 7"),
            // Parts of types, which the index knows whole only.
            ("rotate", "i % 400 = 6"),
            ("api_key.rotate", "i % 400 = 6"),
            ("rotate -actor:user-3", "i % 400 = 6 AND i % 17 <> 3"),
            // What it does not hold, and what is in no event.
            ("buried", "false"),
            ("nowhere", "false"),
            ("user-3", "false"),
        ] {
            for organization in ["o-1", "o-2"] {
                let sql = format!(
                    "SELECT event_id::text FROM (SELECT *, (new_state->>'i')::int AS i FROM audit_events) e \
                     WHERE organization_id = '{organization}' AND ({condition}) ORDER BY timestamp DESC, event_id"
                );
                let wanted: Vec<String> =
                    sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_all(&mut c).await.unwrap();
                assert!(organization == "o-2" || wanted.is_empty() == (condition == "false"));
                let query = query(organization, filter);
                for limit in [60, 5_000] {
                    let ids = walked(&db, &query, limit, false).await;
                    assert_eq!(ids, wanted, "{shape:?} {organization} {filter} {limit}");
                }
                let mut ids = walked(&db, &query, 100, true).await;
                ids.reverse();
                assert_eq!(ids, wanted, "{shape:?} {organization} {filter} oldest first");
                let count = timeline::count(&db, &query, Duration::from_secs(20), &never()).await.unwrap();
                assert_eq!(count, Count::Exact(wanted.len() as u64), "{shape:?} {organization} {filter}");
            }
        }
        c.close().await.unwrap();
        db.close().await;
        test.drop_now().await;
    }
}

#[tokio::test]
async fn our_index_finds_identifiers_by_their_parts_and_what_only_stood_in_a_state_before() {
    let test = filled(Shape::Ours, 4_000).await;
    let db = reader(&test.options).await;
    let found = async |filter: &str| walked(&db, &query("o-1", filter), 100, false).await.len();
    assert_eq!(found("rotate").await, 10, "events of the type api_key.rotate");
    assert_eq!(found("rotate type:api_key.rotate").await, 10);
    assert_eq!(found("api_key.rotate").await, 10);
    assert_eq!((found("rotat").await, found("rotat*").await), (0, 10));
    assert_eq!(found("buried").await, 2_000, "in the states before only");
    assert_eq!(found("buried rare").await, 3);
    let page = explain::page(&db, &query("o-1", "rotate"), &Seek::Newest, 100, true, &never()).await.unwrap();
    assert_eq!((page.way, page.meant.as_slice()), (Way::Lookup, &["idx_audit_search".to_owned()][..]));
    assert!(page.findings.iter().any(|finding| finding.text.contains("search_vector; not seen: ")));
    db.close().await;
    test.drop_now().await;
}

#[tokio::test]
async fn behind_the_newest_events_the_index_is_asked() {
    for shape in [Shape::Seed, Shape::SeedByMonth] {
        let test = filled(shape, 60_000).await;
        let db = reader(&test.options).await;
        for filter in ["medium", "medium -actor:user-3", "rotate", "rare OR medium"] {
            let page =
                explain::page(&db, &query("o-1", filter), &Seek::Newest, 100, true, &never()).await.unwrap();
            assert_eq!(page.way, Way::Intervals, "{filter}");
            let nodes: Vec<_> = page.statements.last().unwrap().plan.all();
            let by_words = nodes.iter().filter(|node| {
                node.operation == "Bitmap Index Scan"
                    && node.index_condition.as_deref().is_some_and(|condition| condition.contains("@@"))
            });
            let whole = serde_json::to_string(&page).unwrap();
            assert!(by_words.count() > 0, "{shape:?} {filter}: {whole}");
            assert!(!nodes.iter().any(|node| node.reads_whole_table()), "{shape:?} {filter}: {whole}");
        }
        db.close().await;
        test.drop_now().await;
    }
}
