//! The pulse of a connection: what is silence, and what is not.

use crate::support;
use crate::timeline::{fill, never, query};

use agenttrace::store::listing::timeline;
use agenttrace::store::query::Seek;
use agenttrace::store::{ReadDb, ReadSettings};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{Connection as _, Executor as _};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;

/// Passes bytes on as long as the line is not silent; then it keeps them, and the connection.
async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut silent: watch::Receiver<bool>,
    latency: Duration,
) {
    let mut bytes = vec![0; 1 << 16];
    loop {
        let Ok(length @ 1..) = from.read(&mut bytes).await else { return };
        tokio::time::sleep(latency).await;
        if silent.wait_for(|silent| !silent).await.is_err() || to.write_all(&bytes[..length]).await.is_err() {
            return;
        }
    }
}

/// A line to the server that falls silent when it is told to.
async fn line(server: &PgConnectOptions) -> (PgConnectOptions, watch::Sender<bool>) {
    distant(server, Duration::ZERO).await
}

/// The same over which each way takes so long.
pub(crate) async fn distant(
    server: &PgConnectOptions,
    latency: Duration,
) -> (PgConnectOptions, watch::Sender<bool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = PgConnectOptions::new_without_pgpass()
        .host("127.0.0.1")
        .port(listener.local_addr().unwrap().port())
        .username(server.get_username())
        .database(server.get_database().unwrap())
        .ssl_mode(PgSslMode::Disable);
    let (say, silent) = watch::channel(false);
    let server = server.clone();
    tokio::spawn(async move {
        loop {
            let (client, _) = listener.accept().await.unwrap();
            let (from, to) = client.into_split();
            let (host, port) = (server.get_host(), server.get_port());
            let socket = server.get_socket().cloned().or_else(|| host.starts_with('/').then(|| host.into()));
            let quiet = || silent.clone();
            if let Some(folder) = socket {
                let up = UnixStream::connect(folder.join(format!(".s.PGSQL.{port}"))).await.unwrap();
                let (answers, questions) = up.into_split();
                tokio::spawn(pass(from, questions, quiet(), latency));
                tokio::spawn(pass(answers, to, quiet(), latency));
            } else {
                let (answers, questions) = TcpStream::connect((host, port)).await.unwrap().into_split();
                tokio::spawn(pass(from, questions, quiet(), latency));
                tokio::spawn(pass(answers, to, quiet(), latency));
            }
        }
    });
    (options, say)
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_that_run_are_no_silence_and_silence_is_noticed() {
    let test = support::database().await;
    fill(&test.options, 10, 1).await;
    let (options, silent) = line(&test.options).await;
    let db = ReadDb::connect(options, ReadSettings::default()).await.unwrap();
    db.pulse().await.unwrap();

    // All connections wait for a table that is locked.
    let mut c = PgConnection::connect_with(&test.options).await.unwrap();
    c.execute("BEGIN; LOCK TABLE audit_events IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let pages: Vec<_> = (0..8)
        .map(|_| {
            let db = db.clone();
            tokio::spawn(async move {
                timeline::page(&db, &query("o-1", ""), &Seek::Newest, 1, &never()).await.is_ok()
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let begun = Instant::now();
    db.pulse().await.unwrap();
    assert!(begun.elapsed() < ReadDb::PULSE_LIMIT, "{:?}", begun.elapsed());
    assert!(pages.iter().any(|page| !page.is_finished()), "they still wait");
    c.close().await.unwrap();
    for page in pages {
        page.await.unwrap();
    }

    silent.send(true).unwrap();
    let begun = Instant::now();
    let lost = db.pulse().await.unwrap_err();
    assert!(lost.is_connection_loss(), "{lost:?}");
    let took = begun.elapsed();
    assert!((ReadDb::PULSE_LIMIT..ReadDb::PULSE_LIMIT * 2).contains(&took), "{took:?}");
    // The same line, when it speaks again.
    silent.send(false).unwrap();
    db.pulse().await.unwrap();
    db.close().await;
    test.drop_now().await;
}
