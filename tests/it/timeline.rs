//! Reading pages: keyset, filters, cancel, lost connections.

use crate::support;

use agenttrace::domain::{EventKey, EventRow, OrgId, OrgScope, TimeRange, Timestamp};
use agenttrace::filter::Filter;
use agenttrace::store::timeline::{self, Count, Page, Query, Seek};
use agenttrace::store::{ReadDb, ReadSettings, StoreError, organizations};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{Connection as _, Row as _};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Events of organisations `o-1` and `o-2` in turn, 7 hostile to paging: runs of `ties` equal timestamps.
const FILL: &str = "
    INSERT INTO audit_events (event_id, timestamp, organization_id, project_id, actor_type, actor_id, actor_email,
        actor_ip, actor_user_agent, event_category, event_type, event_severity, resource_type, resource_id, action,
        request_id, session_id, hash, new_state)
    SELECT 'evt-' || lpad((i * 7919 % 1000003)::text, 7, '0'),
        timestamptz '2026-01-01Z' + (i / $2) * interval '1 second',
        'o-' || 1 + i % 2,
        CASE WHEN i % 3 = 0 THEN 'p-' || i % 5 END,
        (ARRAY['user', 'service', 'system'])[1 + i % 3],
        CASE WHEN i % 11 = 0 THEN 'svc-' || i % 4 ELSE 'user-' || i % 17 END,
        CASE WHEN i % 4 > 0 THEN 'User' || i % 17 || '@Example.org' END,
        CASE WHEN i % 5 > 0 THEN ('10.0.' || i % 3 || '.' || i % 250)::inet END,
        CASE WHEN i % 2 = 0 THEN 'curl/8.' || i % 3 ELSE 'Mozilla \"5\" %_\\' END,
        (ARRAY['auth', 'data', 'config', 'admin', 'eval'])[1 + i % 5],
        (ARRAY['login.failed', 'login.ok', 'trace.read', 'trace', 'tracé', 'logout'])[1 + i % 6],
        CASE WHEN i % 50 = 0 THEN 'critical' WHEN i % 9 = 0 THEN 'warning' ELSE 'info' END,
        (ARRAY['trace', 'api_key'])[1 + i % 7 % 2], 'r/' || i % 13,
        (ARRAY['create', 'read', 'update', 'delete', 'export'])[1 + i % 5],
        'req-' || i / 3, CASE WHEN i % 6 > 0 THEN 's-' || i % 29 END,
        lpad(to_hex(i), 64, '0'), jsonb_build_object('i', i)
    FROM generate_series(1, $1) i";

async fn fill(options: &PgConnectOptions, events: i32, ties: i32) {
    let mut c = PgConnection::connect_with(options).await.unwrap();
    sqlx::query(FILL).bind(events).bind(ties).execute(&mut c).await.unwrap();
    sqlx::query("VACUUM ANALYZE audit_events").execute(&mut c).await.unwrap();
    c.close().await.unwrap();
}

fn scope(id: &str) -> OrgScope {
    OrgScope::enter(OrgId::new(id).unwrap())
}

fn query(org: &str, filter: &str) -> Query {
    Query { scope: scope(org), filter: Filter::parse(filter).unwrap(), range: TimeRange::default() }
}

async fn reader(options: &PgConnectOptions) -> ReadDb {
    ReadDb::connect(options.clone(), ReadSettings::default()).await.unwrap()
}

fn never() -> CancellationToken {
    CancellationToken::new()
}

#[tokio::test(flavor = "multi_thread")]
async fn smoke() {
    let test = support::database().await;
    fill(&test.options, 3000, 100).await;
    let db = reader(&test.options).await;
    let q = query("o-1", "-type:login.* sev>=warning");
    let p = tokio::spawn({
        let db = db.clone();
        let q = q.clone();
        async move { timeline::page(&db, &q, &Seek::Newest, 10, &never()).await }
    })
    .await
    .unwrap()
    .unwrap();
    println!("{:#?}", p.rows[0]);
    println!("{:?}", timeline::count(&db, &q, Duration::from_secs(5), &never()).await);
    println!("{:?}", timeline::estimate(&db, &q, &never()).await);
    println!("{:?}", timeline::event(&db, &q.scope, &p.rows[0].event_id, None, &never()).await);
    println!("{:?}", organizations::list(&db, &never()).await);
    println!("{:?}", db.facts().await);
    db.close().await;
    test.drop_now().await;
}
