//! Counts, sums and histograms that are remembered: in the process, and on a real Redis server.

use crate::support::{self, TestDatabase};
use crate::timeline::{fill, never, query};

use agenttrace::store::aggregate::answers;
use agenttrace::store::aggregate::summary::By;
use agenttrace::store::cache::{Answer, Cache, Freshness};
use agenttrace::store::query::{Count, Query};
use agenttrace::store::{ReadDb, ReadSettings};
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use std::time::Duration;

const BUDGET: Duration = Duration::from_secs(20);

async fn reader(test: &TestDatabase, cache: &Cache) -> ReadDb {
    let settings = ReadSettings { cache: cache.clone(), ..ReadSettings::default() };
    ReadDb::connect(test.options.clone(), settings).await.unwrap()
}

async fn count(db: &ReadDb, query: &Query, wanted: Freshness) -> (u64, bool) {
    let Answer { value, since, .. } = answers::count(db, query, BUDGET, wanted, &never()).await.unwrap();
    let Count::Exact(events) = value else { panic!("{value:?}") };
    (events, since.is_some())
}

async fn add(test: &TestDatabase, sql: &'static str) {
    let mut c = PgConnection::connect_with(&test.options).await.unwrap();
    sqlx::raw_sql(sql).execute(&mut c).await.unwrap();
    c.close().await.unwrap();
}

/// One more event of `o-1`, in the middle of the others.
const MORE: &str = "
    INSERT INTO audit_events (event_id, timestamp, organization_id, actor_type, actor_id, event_category, event_type,
        event_severity, resource_type, resource_id, action, request_id, hash)
    SELECT 'more-' || count(*), '2026-01-01T00:00:20Z', 'o-1', 'user', 'user-1', 'auth', 'login.ok', 'info', 't', 't', 'read',
        'r', md5(random()::text) FROM audit_events";

#[tokio::test]
async fn an_answer_is_kept_until_it_is_asked_for_anew() {
    let test = support::database().await;
    fill(&test.options, 1_000, 10).await;
    let db = reader(&test, &Cache::default()).await;
    let (all, filtered) = (query("o-1", ""), query("o-1", "sev:critical"));
    assert_eq!(count(&db, &all, Freshness::Recent).await, (500, false));
    assert_eq!(count(&db, &filtered, Freshness::Recent).await, (20, false));
    let histogram = async |wanted| {
        let answer = answers::histogram(&db, &all, 20, wanted, &never()).await.unwrap();
        let counts: Vec<u64> = answer.value.buckets.iter().map(|b| b.events).collect();
        (counts.iter().sum::<u64>(), answer.since.is_some())
    };
    let groups = async |by: &[By], limit, wanted| {
        let answer = answers::groups(&db, &all, by, false, limit, wanted, &never()).await.unwrap();
        (answer.value.events, answer.value.groups.len(), answer.since.is_some())
    };
    assert_eq!(histogram(Freshness::Recent).await, (500, false));
    assert_eq!(groups(&[By::Action], 99, Freshness::Recent).await, (500, 5, false));
    add(&test, MORE).await;
    assert_eq!(count(&db, &all, Freshness::Recent).await, (500, true));
    assert_eq!(histogram(Freshness::Recent).await, (500, true));
    assert_eq!(groups(&[By::Action], 99, Freshness::Recent).await, (500, 5, true));
    // Another question, however near, has an answer of its own.
    assert_eq!(groups(&[By::Action], 3, Freshness::Recent).await, (501, 3, false));
    assert_eq!(groups(&[By::Severity], 99, Freshness::Recent).await, (501, 3, false));
    assert_eq!(count(&db, &query("o-2", ""), Freshness::Recent).await, (500, false));
    let mut bounded = all.clone();
    bounded.range.until = Some(agenttrace::domain::Timestamp::from_micros(1_767_225_610_000_000));
    assert!(!count(&db, &bounded, Freshness::Recent).await.1);
    // Asked for anew it takes the place of what was kept.
    assert_eq!(count(&db, &all, Freshness::Now).await, (501, false));
    assert_eq!(count(&db, &all, Freshness::Recent).await, (501, true));
    assert_eq!(histogram(Freshness::Now).await, (501, false));
    assert_eq!(histogram(Freshness::Recent).await, (501, true));
    db.close().await;
    test.drop_now().await;
}

#[tokio::test]
async fn the_newest_bucket_of_a_histogram_is_always_counted() {
    let test = support::database().await;
    fill(&test.options, 1_000, 10).await;
    let db = reader(&test, &Cache::default()).await;
    let all = query("o-1", "");
    let newest = async || {
        let wanted = Freshness::Recent;
        let answer = answers::histogram(&db, &all, 20, wanted, &never()).await.unwrap();
        let newest = *answer.value.buckets.last().unwrap();
        (newest.events, newest.critical)
    };
    let (events, critical) = newest().await;
    add(
        &test,
        "INSERT INTO audit_events (event_id, timestamp, organization_id, actor_type, actor_id, event_category, event_type,
            event_severity, resource_type, resource_id, action, request_id, hash)
         SELECT 'last', max(timestamp), 'o-1', 'user', 'u', 'auth', 'login.ok', 'critical', 't', 't', 'read', 'r', 'h'
         FROM audit_events WHERE organization_id = 'o-1'",
    )
    .await;
    assert_eq!(newest().await, (events + 1, critical + 1));
    db.close().await;
    test.drop_now().await;
}

#[cfg(feature = "redis")]
mod redis {
    use super::*;
    use ::redis::{Client, Commands as _, Connection};
    use std::path::PathBuf;
    use std::process::{Child, Command, Stdio};

    const PASSWORD: &str = "s3cret";

    /// A server of the test's own, on a socket in a folder of its own; it ends with the value.
    struct Server {
        process: Child,
        folder: tempfile::TempDir,
    }

    impl Server {
        fn start() -> Self {
            let folder = support::scratch();
            let mut command = Command::new("redis-server");
            command.args(["--port", "0", "--save", "", "--appendonly", "no", "--requirepass", PASSWORD]);
            command.arg("--unixsocket").arg(folder.path().join("socket")).arg("--dir").arg(folder.path());
            let process = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
            let process =
                process.expect("redis-server is needed for this test: apt-get install redis-server");
            Self { process, folder }
        }

        fn url(&self, password: &str) -> String {
            format!("redis+unix://{}?pass={password}", self.socket().display())
        }

        fn socket(&self) -> PathBuf {
            self.folder.path().join("socket")
        }

        /// A connection, once the server is there.
        async fn connection(&self) -> Connection {
            for _ in 0..500 {
                if let Ok(connection) = Client::open(self.url(PASSWORD)).unwrap().get_connection() {
                    return connection;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            panic!("redis-server did not start at {}", self.socket().display());
        }

        fn stop(&mut self) {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }

    impl Drop for Server {
        fn drop(&mut self) {
            self.stop();
        }
    }

    fn keys(connection: &mut Connection) -> Vec<String> {
        connection.keys("*").unwrap()
    }

    #[tokio::test]
    async fn programs_share_their_answers_and_none_depends_on_them() {
        let mut server = Server::start();
        let mut connection = server.connection().await;
        let test = support::database().await;
        fill(&test.options, 1_000, 10).await;
        // Two programs.
        let one = reader(&test, &Cache::shared(&server.url(PASSWORD)).unwrap()).await;
        let two = reader(&test, &Cache::shared(&server.url(PASSWORD)).unwrap()).await;
        let all = query("o-1", "");
        assert_eq!(count(&one, &all, Freshness::Recent).await, (500, false));
        add(&test, MORE).await;
        assert_eq!(count(&two, &all, Freshness::Recent).await, (500, true));
        assert_eq!(count(&two, &query("o-2", ""), Freshness::Recent).await, (500, false));
        assert_eq!(count(&two, &all, Freshness::Now).await, (501, false));
        assert_eq!(count(&one, &all, Freshness::Recent).await, (501, true));
        let kept = keys(&mut connection);
        assert_eq!(kept.len(), 2);
        for key in &kept {
            let seconds: i64 = connection.ttl(key).unwrap();
            assert!((1..=300).contains(&seconds), "{key} lives {seconds} s");
        }

        // Whatever stands there: it is ignored, and overwritten by the right answer.
        let own: Vec<(String, Vec<u8>)> =
            kept.iter().map(|key| (key.clone(), connection.get(key).unwrap())).collect();
        for poison in 0..6 {
            for (key, value) in &own {
                let text = String::from_utf8_lossy(value);
                let written = match poison {
                    0 => value[..value.len() / 2].to_vec(),
                    1 => Vec::new(),
                    2 => b"\xff\xfe\x00".to_vec(),
                    3 => text.replace("\"micros\":1", "\"micros\":9").into_bytes(),
                    4 => text.replace("\"answer\":50", "\"answer\":-50").into_bytes(),
                    _ => own.iter().find(|(other, _)| other != key).unwrap().1.clone(),
                };
                assert_ne!(written, *value);
                let _: () = connection.set(key, written).unwrap();
            }
            let fresh = reader(&test, &Cache::shared(&server.url(PASSWORD)).unwrap()).await;
            assert_eq!(count(&fresh, &all, Freshness::Recent).await, (501, false), "{poison}");
            fresh.close().await;
        }
        // Something else under our name.
        for key in &kept {
            let _: () = connection.del(key).unwrap();
            let _: () = connection.lpush(key, "x").unwrap();
        }
        let fresh = reader(&test, &Cache::shared(&server.url(PASSWORD)).unwrap()).await;
        assert_eq!(count(&fresh, &all, Freshness::Recent).await, (501, false));

        // A server that is gone is named once.
        server.stop();
        let late = reader(&test, &Cache::shared(&server.url(PASSWORD)).unwrap()).await;
        let first = answers::count(&late, &all, BUDGET, Freshness::Recent, &never()).await.unwrap();
        assert!(first.value == Count::Exact(501) && first.trouble.is_some_and(|why| !why.contains(PASSWORD)));
        let second = answers::count(&late, &all, BUDGET, Freshness::Recent, &never()).await.unwrap();
        assert!(second.value == Count::Exact(501) && second.since.is_some() && second.trouble.is_none());
        for db in [one, two, fresh, late] {
            db.close().await;
        }
        test.drop_now().await;
    }

    #[tokio::test]
    async fn the_program_says_how_old_a_shared_answer_is() {
        let server = Server::start();
        let mut connection = server.connection().await;
        let test = support::database().await;
        fill(&test.options, 1_000, 10).await;
        let run = |password: &str, args: &[&str]| {
            let mut program = support::agenttrace();
            program.env("AGENTTRACE_CACHE_URL", server.url(password));
            program.args(["--database-url", &test.url(), "--org", "o-1", "--format", "json"]).args(args);
            let output = program.output().unwrap();
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert!(output.status.success(), "{stderr}");
            assert!(!stderr.contains("s3cret") && !stderr.contains("wr0ng"), "{stderr}");
            let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            (document["events"].as_u64().unwrap(), !document["counted_at"].is_null(), stderr)
        };
        for command in ["summary", "histogram"] {
            let (events, kept, stderr) = run(PASSWORD, &[command]);
            assert!(events == 500 && !kept && !stderr.contains("counted"), "{stderr}");
            let (events, kept, stderr) = run(PASSWORD, &[command]);
            assert!(events == 500 && kept && stderr.contains(" s ago; --fresh counts again"), "{stderr}");
            let (events, kept, stderr) = run(PASSWORD, &[command, "--fresh"]);
            assert!(events == 500 && !kept && !stderr.contains("counted"), "{stderr}");
        }
        assert!(!keys(&mut connection).is_empty());
        let (events, kept, stderr) = run("wr0ng", &["summary"]);
        assert!(events == 500 && !kept && stderr.contains("the shared cache is not used"), "{stderr}");
        test.drop_now().await;
    }
}
