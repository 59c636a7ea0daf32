//! Stopping a statement that is at work, as the server itself sees it.

use crate::shapes::Shape;
use crate::support::{self, TestDatabase};
use crate::timeline::{never, query};

use agenttrace::store::listing::explain::{self, Way};
use agenttrace::store::listing::timeline;
use agenttrace::store::query::{Looked, Pace, Query, Seek};
use agenttrace::store::{ReadDb, ReadSettings, StoreError};
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// `$1` events whose states have 200 kB each, so that looking into them takes long.
pub(crate) const FILL: &str = "
    INSERT INTO audit_events (event_id, timestamp, organization_id, actor_type, actor_id, event_category, event_type,
        event_severity, resource_type, resource_id, action, request_id, hash, new_state)
    SELECT 'evt-' || lpad(i::text, 8, '0'), timestamptz '2026-01-01Z' + i * interval '1 second', 'o-1', 'user', 'user-1',
        'auth', 'login.ok', 'info', 't', 't-1', 'read', 'r-' || i, lpad(to_hex(i), 64, '0'),
        CASE WHEN i % 2 = 0 OR i < $1 / 2 THEN jsonb_build_object('pad', repeat('x', 200000)) ELSE '{\"pad\": \"hit\"}' END
    FROM generate_series(1, $1) i";

/// Each part looks into every state anew.
pub(crate) const SLOW: &str =
    "new.pad:hit OR new.a:1 OR new.b:1 OR new.c:1 OR new.d:1 OR new.e:1 OR new.f:1 OR new.g:1 OR new.h:1";

/// What the sessions of the program do, seen from outside.
struct Watch(PgConnection);

/// A session: its process, whether it runs something, and what it ran last.
type Session = (i32, bool, String);

impl Watch {
    async fn over(test: &TestDatabase) -> Self {
        Self(PgConnection::connect_with(&test.options).await.unwrap())
    }

    async fn sessions(&mut self) -> Vec<Session> {
        sqlx::query_as(
            "SELECT pid, coalesce(state <> 'idle', false), query FROM pg_stat_activity
             WHERE datname = current_database() AND application_name = 'agenttrace' AND pid <> pg_backend_pid()",
        )
        .fetch_all(&mut self.0)
        .await
        .unwrap()
    }

    /// The process that looks for events.
    async fn at_work(&mut self) -> i32 {
        loop {
            let mut found = self.sessions().await.into_iter();
            if let Some((pid, ..)) = found.find(|(_, busy, query)| *busy && query.contains("new_state")) {
                return pid;
            }
            tokio::task::yield_now().await;
        }
    }

    /// What is told of a process by the time it is idle, and how long that took.
    async fn until_idle(&mut self, pid: i32) -> (Session, Duration) {
        let begun = Instant::now();
        loop {
            let session = self.sessions().await.into_iter().find(|session| session.0 == pid);
            let session = session.expect("the connection was closed instead");
            if !session.1 {
                return (session, begun.elapsed());
            }
            tokio::task::yield_now().await;
        }
    }
}

/// Begins a walk, in pieces or as one statement, and stops it in the middle: the process that was stopped, and the time
/// until it was idle.
async fn stop_once(db: &ReadDb, slow: &Query, watch: &mut Watch, pieces: bool) -> (i32, Duration) {
    let (stop, told) = (never(), Arc::new(AtomicUsize::new(0)));
    let walking = tokio::spawn({
        let (db, slow, stop, told) = (db.clone(), slow.clone(), stop.clone(), told.clone());
        async move {
            let progress = |looked: &Looked| told.store(looked.found, Ordering::Relaxed);
            let pace = Pace { patience: None, progress: Some(&progress) };
            timeline::page_at(&db, &slow, &Seek::Newest, 1_000_000, pace, &stop).await
        }
    });
    // In pieces: hits are told while it goes on.
    while pieces && told.load(Ordering::Relaxed) == 0 {
        assert!(!walking.is_finished(), "it was over before anything was found");
        tokio::task::yield_now().await;
    }
    let busy = watch.at_work().await;
    stop.cancel();
    let ((_, _, ran), time) = watch.until_idle(busy).await;
    // Had the one statement come to its end, this would be its rows. The connection is kept only if the server has said
    // that it was cancelled (SQLSTATE 57014); the last it ran is then the end of the transaction.
    let ended = walking.await.unwrap();
    assert!(matches!(ended, Err(StoreError::Cancelled)), "{ended:?}");
    assert_eq!(ran, "ROLLBACK");
    // The session that told it to stop may be seen in its last statement.
    support::until_idle(&mut watch.0).await;
    let after = watch.sessions().await;
    assert!(after.iter().all(|(_, busy, _)| !busy), "{after:?}");
    // The very connection answers.
    db.facts().await.unwrap();
    let after = watch.sessions().await;
    assert!(after.iter().any(|(pid, _, ran)| *pid == busy && !ran.contains("new_state")), "{after:?}");
    (busy, time)
}

async fn a_filter_at_work_is_stopped(events: i32) {
    for with_index in [true, false] {
        let test = Shape::Bare.database().await;
        let slow = query("o-1", SLOW);
        let mut c = PgConnection::connect_with(&test.options).await.unwrap();
        sqlx::query(FILL).bind(events).execute(&mut c).await.unwrap();
        if with_index {
            sqlx::raw_sql("CREATE INDEX ON audit_events (organization_id, timestamp DESC, event_id DESC)")
                .execute(&mut c)
                .await
                .unwrap();
        }
        sqlx::raw_sql("VACUUM ANALYZE audit_events").execute(&mut c).await.unwrap();
        for pieces in [true, false] {
            let walk = if pieces { 100 } else { 1_000_000 };
            let settings = ReadSettings { walk, connections: 2, ..ReadSettings::default() };
            let db = ReadDb::connect(test.options.clone(), settings).await.unwrap();
            let way = explain::page(&db, &slow, &Seek::Newest, 9, false, &never()).await.unwrap().way;
            assert_eq!(way, if with_index { Way::Walk } else { Way::Scan });
            let mut watch = Watch::over(&test).await;
            let mut pid = None;
            for _ in 0..3 {
                let (busy, time) = stop_once(&db, &slow, &mut watch, pieces).await;
                assert_eq!(*pid.get_or_insert(busy), busy, "the connection was not kept");
                println!("{way:?}: idle {:.1} ms after the stop", time.as_secs_f64() * 1e3);
            }
            db.close().await;
        }
        c.close().await.unwrap();
        test.drop_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_at_work_is_stopped_on_the_server() {
    a_filter_at_work_is_stopped(1_500).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: states of four gigabytes; says how long stopping takes with --no-capture"]
async fn a_filter_that_takes_a_minute_is_stopped_on_the_server() {
    a_filter_at_work_is_stopped(20_000).await;
}
