//! Connections that are slow, stall, or are cut, between the program and a server whose own limits are short.

use crate::support::{self, TestDatabase};
use crate::verify::{append, connect, event, reader, request};
use agenttrace::store::writer::{Writer, WriterSettings};
use agenttrace::store::{ReadDb, ReadSettings, StoreError, WriteDb};
use agenttrace::verify::{Gauge, Verdict, verify};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

/// What happens to the bytes of one direction of each connection.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// They pass.
    Open,
    /// A few at a time; once so many have passed, nothing for a while.
    Slow { stall_after: usize, stall: Duration },
    /// Once so many have passed, the connection is closed in both directions.
    Cut { after: usize },
}

/// A way to the server that is not a good one.
struct Network {
    home: tempfile::TempDir,
    stalls: Arc<AtomicUsize>,
}

impl Network {
    /// `None`: the tests' server has no socket here.
    fn before(database: &TestDatabase, to_server: Way, from_server: Way) -> Option<Self> {
        let name = format!(".s.PGSQL.{}", database.options.get_port());
        let server = database.options.get_socket()?.join(&name);
        let home = support::scratch();
        let listener = UnixListener::bind(home.path().join(name)).unwrap();
        let stalls = Arc::new(AtomicUsize::new(0));
        let counted = stalls.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = UnixStream::connect(&server).await.unwrap();
                let (from_client, to_client) = client.into_split();
                let (from_server_end, to_server_end) = server.into_split();
                let cut = CancellationToken::new();
                for (from, to, way) in
                    [(from_client, to_server_end, to_server), (from_server_end, to_client, from_server)]
                {
                    let (cut, stalls) = (cut.clone(), counted.clone());
                    tokio::spawn(async move {
                        tokio::select! {
                            () = carry(from, to, way, &cut, &stalls) => {}
                            () = cut.cancelled() => {}
                        }
                    });
                }
            }
        });
        Some(Self { home, stalls })
    }

    fn options(&self, database: &TestDatabase) -> sqlx::postgres::PgConnectOptions {
        database.options.clone().socket(self.home.path())
    }
}

async fn carry(
    mut from: tokio::net::unix::OwnedReadHalf,
    mut to: tokio::net::unix::OwnedWriteHalf,
    way: Way,
    cut: &CancellationToken,
    stalls: &AtomicUsize,
) {
    let mut some = [0; 8192];
    let mut passed = 0;
    let mut stalled = false;
    while let Ok(n @ 1..) = from.read(&mut some).await {
        if to.write_all(&some[..n]).await.is_err() {
            return;
        }
        passed += n;
        match way {
            Way::Slow { stall_after, stall } if passed >= stall_after && !stalled => {
                stalled = true;
                stalls.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(stall).await;
            }
            Way::Slow { .. } if n == some.len() => tokio::time::sleep(Duration::from_millis(2)).await,
            Way::Cut { after } if passed >= after => return cut.cancel(),
            Way::Open | Way::Slow { .. } | Way::Cut { .. } => {}
        }
    }
}

/// A server that ends whatever lasts, as far as its version can.
async fn impatient(database: &TestDatabase) {
    let mut c = connect(database).await;
    let version: i32 = sqlx::query_scalar("SELECT current_setting('server_version_num')::int")
        .fetch_one(&mut c)
        .await
        .unwrap();
    let mut limits = vec!["statement_timeout", "idle_in_transaction_session_timeout"];
    if version >= 170_000 {
        limits.push("transaction_timeout");
    }
    for limit in limits {
        let sql = format!("ALTER DATABASE \"{}\" SET {limit} = '300ms'", database.name);
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut c).await.unwrap();
    }
}

#[tokio::test]
async fn a_scan_survives_a_network_that_is_slow_and_stalls_for_longer_than_the_server_waits() {
    let database = support::database().await;
    append(&database, "a", 0..3_000).await;
    impatient(&database).await;
    let stall = Way::Slow { stall_after: 300_000, stall: Duration::from_secs(2) };
    let Some(network) = Network::before(&database, Way::Open, stall) else {
        println!("skipped: the tests' server has no socket here");
        return;
    };
    let db = ReadDb::connect(network.options(&database), ReadSettings::default()).await.unwrap();
    for jobs in [1, 2] {
        let gauge = Arc::new(Gauge::new());
        let report = verify(&db, &request("a", jobs), &gauge, &CancellationToken::new()).await.unwrap();
        assert_eq!((report.verdict, report.events), (Verdict::Intact, 3_000), "{report:#?}");
    }
    assert!(network.stalls.load(Ordering::Relaxed) > 0);
    database.drop_now().await;
}

#[tokio::test]
async fn a_connection_that_is_cut_is_said_in_words_and_not_in_those_of_the_operating_system() {
    let database = support::database().await;
    append(&database, "a", 0..3_000).await;
    let cut = Way::Cut { after: 200_000 };
    let Some(network) = Network::before(&database, Way::Open, cut) else {
        println!("skipped: the tests' server has no socket here");
        return;
    };
    let in_words = |said: String| {
        assert!(said.contains("the connection was cut in the middle"), "{said}");
        assert!(!said.contains("os error") && !said.contains("EOF") && !said.contains("bytes"), "{said}");
    };
    let db = ReadDb::connect(network.options(&database), ReadSettings::default()).await.unwrap();
    let gauge = Arc::new(Gauge::new());
    let error = verify(&db, &request("a", 1), &gauge, &CancellationToken::new()).await.unwrap_err();
    assert!(error.is_connection_loss(), "{error:?}");
    in_words(error.to_string());

    // While rows are sent.
    let network = Network::before(&database, cut, Way::Open).unwrap();
    let db = WriteDb::connect(network.options(&database)).await.unwrap();
    let mut writer = Writer::new(db, WriterSettings::default());
    let error = writer.append((0..2_000).map(|n| event("b", n)).collect()).await.unwrap_err();
    in_words(error.to_string());
    let db = reader(&database).await;
    let nothing = verify(&db, &request("b", 1), &Arc::new(Gauge::new()), &CancellationToken::new()).await;
    assert_eq!(nothing.unwrap().events, 0, "all of a batch or nothing");
    database.drop_now().await;
}

#[test]
fn each_way_in_which_a_socket_ends_has_the_same_words() {
    use std::io::ErrorKind as K;
    for kind in [K::UnexpectedEof, K::ConnectionReset, K::ConnectionAborted, K::BrokenPipe] {
        let error = StoreError::from(sqlx::Error::Io(std::io::Error::from(kind)));
        assert!(
            error.is_connection_loss() && error.to_string().contains("the connection was cut in the middle")
        );
        assert!(!error.remedies().is_empty(), "{kind:?}");
    }
    let error = StoreError::from(sqlx::Error::Io(std::io::Error::from(K::ConnectionRefused)));
    assert!(!error.to_string().contains("cut") && error.remedies().is_empty());
}
