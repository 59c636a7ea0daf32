//! `ingest --ack`: what it has acknowledged gets into the table, once and in order, also when the program or the server is
//! killed at any moment.

use crate::shapes::Shape;
use crate::support::{self, Home, TestDatabase};
use crate::verify::{connect, damage, run, run_json};
use crate::writer::chain;
use agenttrace::server::{Options, PrivateServer, Purpose};
use agenttrace::store::{WriteDb, schema};
use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, Connection as _};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Event `n` of organisation `acme`, as one line.
fn line(prefix: &str, n: usize) -> String {
    json!({
        "event_id": format!("{prefix}-{n}"), "timestamp": "2026-01-15T09:58:01.002Z", "organization_id": "acme",
        "actor_type": "user", "actor_id": "u-1", "event_category": "data", "event_type": "trace.exported",
        "event_severity": "info", "resource_type": "trace", "resource_id": format!("tr-{n}"), "action": "export",
        "new_state": {"n": n}, "request_id": format!("r-{n}")
    })
    .to_string()
        + "\n"
}

fn lines(prefix: &str, range: std::ops::Range<usize>) -> String {
    range.map(|n| line(prefix, n)).collect()
}

fn ids(prefix: &str, range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| format!("{prefix}-{n}")).collect()
}

/// `agenttrace ingest - --ack`, reading from a pipe.
fn start(home: &Home, url: &str, spool: &Path, more: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_agenttrace"));
    for name in ["AGENTTRACE_DATABASE_URL", "DATABASE_URL", "AGENTTRACE_CONFIG"] {
        command.env_remove(name);
    }
    command.env("HOME", home.path()).env("XDG_CONFIG_HOME", home.path()).current_dir(home.path());
    command.env("AGENTTRACE_DATA_DIR", home.path().join("data"));
    command.args(["--database-url", url, "ingest", "-", "--ack", "--spool"]).arg(spool).args(more);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Gives it all of its input; its exit code, the records that it acknowledged last, and what it said.
fn finish(mut child: Child, input: String) -> (i32, usize, String) {
    let mut stdin = child.stdin.take().unwrap();
    // It may end before it has read everything.
    let feed = std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
    let output = child.wait_with_output().unwrap();
    feed.join().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let acked = stdout.lines().filter_map(|line| line.strip_prefix("ack ")?.parse().ok()).next_back();
    let said = stdout + &String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), acked.unwrap_or(0), said)
}

/// A generator of moments, the same in each run.
struct Moments(u64);

impl Moments {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

/// Feeds a program little by little and kills it; how many records it had acknowledged.
fn killed(mut child: Child, input: String, after_ack: bool, wait: Duration) -> usize {
    let mut stdin = child.stdin.take().unwrap();
    let feed = std::thread::spawn(move || {
        for part in input.split_inclusive('\n').collect::<Vec<_>>().chunks(5) {
            if stdin.write_all(part.concat().as_bytes()).is_err() {
                return;
            }
            pause(1);
        }
        // Until it is killed.
        pause(2_000);
    });
    let (say, heard) = std::sync::mpsc::channel();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let listen = std::thread::spawn(move || {
        for line in stdout.lines().map_while(Result::ok) {
            if let Some(n) = line.strip_prefix("ack ") {
                say.send(n.parse::<usize>().unwrap()).unwrap();
            }
        }
    });
    let mut acked = 0;
    if after_ack {
        acked = heard.recv_timeout(Duration::from_secs(60)).unwrap_or(0);
    }
    let until = Instant::now() + wait;
    while Instant::now() < until {
        pause(1);
    }
    child.kill().unwrap();
    child.wait().unwrap();
    listen.join().unwrap();
    acked = heard.try_iter().last().unwrap_or(acked);
    drop(feed);
    acked
}

#[expect(clippy::disallowed_methods, reason = "a moment in the life of another process")]
fn pause(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms));
}

async fn kill_the_program(kills: usize) {
    /// Records that a run may get.
    const ROUND: usize = 400;
    let database = support::database().await;
    let home = Home::new();
    let spool = home.path().join("spool");
    let mut moments = Moments(20);
    let (mut acked, mut cut) = (0, 0);
    for kill in 0..kills {
        let child = start(&home, &database.url(), &spool, &["--batch", "40"]);
        // What was not acknowledged is sent again, as whoever fills the pipe has to.
        let input = lines("a", acked..acked + ROUND);
        let wait = Duration::from_millis(moments.below(if kill % 4 == 0 { 200 } else { 80 }));
        let now = killed(child, input, kill % 4 != 0, wait);
        cut += usize::from(now > 0 && now < ROUND);
        acked += now;
    }
    assert!(cut > kills / 3, "only {cut} of {kills} kills came between the first record and the last");
    let child = start(&home, &database.url(), &spool, &[]);
    let (code, last, said) = finish(child, lines("a", acked..acked + 50));
    assert_eq!((code, last), (0, 50), "{said}");
    assert_eq!(chain(&mut connect(&database).await, "acme").await, ids("a", 0..acked + 50), "{said}");
    let (code, report) = run_json(&home, &database, &["verify", "--org", "acme"]);
    assert_eq!((code, &report["verdict"]), (0, &json!("intact")), "{report}");
    database.drop_now().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_twenty_random_moments_it_loses_and_doubles_nothing_that_it_acknowledged() {
    kill_the_program(20).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: two hundred kills"]
async fn killed_at_two_hundred_random_moments_it_loses_and_doubles_nothing_that_it_acknowledged() {
    kill_the_program(200).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: the server is killed and recovers twenty times"]
async fn a_server_that_is_killed_at_twenty_random_moments_loses_and_doubles_nothing_that_was_acknowledged() {
    let home = Home::new();
    let folder = support::scratch();
    let server =
        PrivateServer::attach(&Options { folder: folder.path().to_owned(), purpose: Purpose::Keep }).unwrap();
    let options = server.connect_options("postgres");
    let db = WriteDb::connect(options.clone()).await.unwrap();
    schema::migrate(&db).await.unwrap();
    db.close().await;
    let mut child =
        start(&home, options.to_url_lossy().as_str(), &home.path().join("spool"), &["--batch", "40"]);
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut moments = Moments(7);
    let mut sent = 0;
    for _ in 0..20 {
        for _ in 0..moments.below(60) {
            stdin.write_all(line("a", sent).as_bytes()).unwrap();
            sent += 1;
            pause(1);
        }
        // The first line of this file is the process id of the server.
        let data = std::fs::read_dir(folder.path())
            .unwrap()
            .flatten()
            .map(|entry| entry.path().join("postmaster.pid"));
        let pid = data
            .filter_map(|path| std::fs::read_to_string(path).ok())
            .find_map(|text| Some(text.lines().next()?.to_owned()));
        assert!(Command::new("kill").args(["-9", &pid.unwrap()]).status().unwrap().success());
        // The program goes on acknowledging meanwhile.
        for _ in 0..20 {
            stdin.write_all(line("a", sent).as_bytes()).unwrap();
            sent += 1;
        }
        server.revive().unwrap();
    }
    drop(stdin);
    let mut said = String::new();
    stdout.read_to_string(&mut said).unwrap();
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}{stderr}");
    assert!(said.contains(&format!("ack {sent}\n")), "{said}");
    assert_eq!(chain_at(&options).await, ids("a", 0..sent));
}

async fn chain_at(options: &PgConnectOptions) -> Vec<String> {
    chain(&mut PgConnection::connect_with(options).await.unwrap(), "acme").await
}

#[tokio::test(flavor = "multi_thread")]
async fn four_programs_write_one_organisation_on_our_table_and_on_the_guides_own() {
    for shape in [Shape::Ours, Shape::Seed, Shape::SeedByMonth] {
        let database = shape.database().await;
        let home = Home::new();
        let programs: Vec<_> = (0..4)
            .map(|n| {
                let spool = home.path().join(format!("spool-{n}"));
                let child = start(&home, &database.url(), &spool, &["--batch", "15"]);
                let input = lines(&format!("p{n}"), 0..60) + &lines("shared", 0..10);
                std::thread::spawn(move || finish(child, input))
            })
            .collect();
        for program in programs {
            let (code, acked, said) = program.join().unwrap();
            assert_eq!((code, acked), (0, 70), "{shape:?}: {said}");
            let warned = said
                .contains("this table has no audit_chain_heads: writers of agenttrace wait for each other");
            assert_eq!(warned, shape != Shape::Ours, "{shape:?}: {said}");
        }
        let all = chain(&mut connect(&database).await, "acme").await;
        assert_eq!(all.len(), 4 * 60 + 10, "{shape:?}");
        for n in 0..4 {
            let prefix = format!("p{n}");
            let own = all.iter().filter(|id| id.starts_with(&prefix));
            assert_eq!(own.cloned().collect::<Vec<_>>(), ids(&prefix, 0..60), "{shape:?}");
        }
        if shape != Shape::Ours {
            a_second_end_is_asked_about(&database, &home).await;
        }
        database.drop_now().await;
    }
}

/// On a table without a record of heads, too, nobody goes on from one of two ends without a word.
async fn a_second_end_is_asked_about(database: &TestDatabase, home: &Home) {
    damage(
        database,
        &["INSERT INTO audit_events SELECT (jsonb_populate_record(e, '{\"event_id\": \"fork\", \"hash\": \"f0\"}')).* \
             FROM audit_events e WHERE event_id = 'p0-3'"],
    )
    .await;
    std::fs::write(home.path().join("more.ndjson"), line("more", 1)).unwrap();
    let (code, _, said) = run(home, database, &["ingest", "more.ndjson"]);
    assert!(
        code == 3 && said.contains("the table holds 2 ends") && said.contains("--continue-from HASH"),
        "{said}"
    );
    let (code, stdout, said) =
        run(home, database, &["ingest", "more.ndjson", "--continue-from", "f0", "--format", "json"]);
    assert_eq!(code, 0, "{stdout}{said}");
    assert!(stdout.contains("\"stored\":1"), "{stdout}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_spool_stops_the_pipe_with_its_reason_and_what_was_acknowledged_is_delivered_later() {
    let database = support::database().await;
    let home = Home::new();
    let spool = home.path().join("spool");
    let (code, acked, said) = finish(start(&home, &database.url(), &spool, &[]), line("a", 0));
    assert_eq!((code, acked), (0, 1), "{said}");
    // Somebody holds the lock of the chain's head.
    let mut blocker = connect(&database).await;
    sqlx::raw_sql("BEGIN; SELECT * FROM audit_chain_heads FOR UPDATE").execute(&mut blocker).await.unwrap();
    let child =
        start(&home, &database.url(), &spool, &["--spool-limit", "1", "--wait", "300ms", "--batch", "100"]);
    let (code, acked, said) = finish(child, lines("a", 1..6_000));
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("the spool is full (") && said.contains("of 1048576 bytes)"), "{said}");
    assert!(acked > 500 && acked < 5_000, "{acked}");
    let refused = finish(start(&home, &database.url(), &spool, &["--wait", "300ms"]), String::new());
    assert_eq!(refused.0, 4, "{}", refused.2);
    assert!(refused.2.contains(&format!("{acked} events wait in the spool")), "{}", refused.2);
    sqlx::raw_sql("ROLLBACK").execute(&mut blocker).await.unwrap();

    // Without input it delivers what waits.
    let (code, last, said) = finish(start(&home, &database.url(), &spool, &[]), String::new());
    assert_eq!((code, last), (0, 0), "{said}");
    assert!(said.contains(&format!("of an earlier run: {acked} stored, 0 duplicate")), "{said}");
    assert_eq!(chain(&mut connect(&database).await, "acme").await, ids("a", 0..acked + 1));
    database.drop_now().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_nobody_reads_the_acknowledgements_it_stops_says_so_and_what_it_had_read_is_stored() {
    let database = support::database().await;
    let home = Home::new();
    let spool = home.path().join("spool");
    let mut child = start(&home, &database.url(), &spool, &["--batch", "10"]);
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdin.write_all(lines("a", 0..10).as_bytes()).unwrap();
    let mut first = String::new();
    stdout.read_line(&mut first).unwrap();
    assert!(first.starts_with("ack "), "{first}");
    drop(stdout);
    for n in 1..40 {
        // It may have ended.
        let _ = stdin.write_all(lines("a", n * 10..n * 10 + 10).as_bytes());
        pause(10);
    }
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    let read: usize = said
        .split("nothing was read on behind record ")
        .nth(1)
        .and_then(|rest| rest.split(';').next()?.parse().ok())
        .unwrap_or_else(|| panic!("{said}"));
    assert!((1..400).contains(&read), "{said}");
    assert!(said.contains("send again what was not acknowledged"), "{said}");
    assert_eq!(chain(&mut connect(&database).await, "acme").await, ids("a", 0..read), "{said}");
    database.drop_now().await;
}

/// A file system of so many KiB, as long as this lives; none where this user may not mount one.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn new(kib: u32) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let size = format!("size={kib}k,mode=700");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "agenttrace-test"]).arg(folder.path()).stderr(Stdio::null());
        mount.status().is_ok_and(|status| status.success()).then_some(Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_the_pipe_with_its_reason_and_nothing_that_was_acknowledged_is_lost() {
    let Some(disk) = SmallDisk::new(256) else {
        eprintln!("skipped: this user may not mount a file system");
        return;
    };
    let database = support::database().await;
    let home = Home::new();
    let spool = disk.0.path().join("spool");
    let mut blocker = connect(&database).await;
    let lock = "BEGIN; LOCK TABLE audit_events IN ACCESS EXCLUSIVE MODE";
    sqlx::raw_sql(lock).execute(&mut blocker).await.unwrap();
    let child = start(&home, &database.url(), &spool, &["--wait", "300ms", "--batch", "50"]);
    let (code, acked, said) = finish(child, lines("a", 0..5_000));
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("the spool cannot be written: cannot write '"), "{said}");
    assert!(said.contains("No space left on device"), "{said}");
    assert!(said.contains("what was acknowledged is safe there"), "{said}");
    assert!(acked > 50 && acked < 1_000, "{acked}: {said}");
    sqlx::raw_sql("ROLLBACK").execute(&mut blocker).await.unwrap();

    // With the database back there is room again, and the rest is taken; nothing is doubled.
    let child = start(&home, &database.url(), &spool, &["--batch", "50"]);
    let (code, last, said) = finish(child, lines("a", acked..acked + 300));
    assert_eq!((code, last), (0, 300), "{said}");
    assert_eq!(chain(&mut connect(&database).await, "acme").await, ids("a", 0..acked + 300));
    database.drop_now().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_tried_again_and_those_that_stay_say_why() {
    let database = support::database().await;
    damage(&database, &["ALTER TABLE audit_events ADD CONSTRAINT no_eve CHECK (actor_id <> 'eve')"]).await;
    let home = Home::new();
    let spool = home.path().join("spool");
    let eve = |n| line("a", n).replace("u-1", "eve");
    let input = lines("a", 0..3)
        + &eve(3)
        + "{\"event_id\": nonsense}\n"
        + &line("a", 4)
        + &eve(5)
        + &line("a", 0).replace("u-1", "u-2");
    let (code, acked, said) = finish(start(&home, &database.url(), &spool, &[]), input);
    assert_eq!((code, acked), (1, 8), "{said}");
    assert!(said.contains("INGEST: 8 read, 4 stored, 0 duplicate, 1 conflict, 3 rejected"), "{said}");
    let letters = spool.join("dead-letters.ndjson");
    let kept = std::fs::read_to_string(&letters).unwrap();
    assert_eq!(kept.lines().count(), 4, "{kept}");
    assert!(kept.contains("SQLSTATE 23514") && kept.contains("\"line\":4"), "{kept}");

    let bytes =
        "{\"source\":\"-\",\"line\":1,\"fate\":\"rejected\",\"reason\":\"x\",\"base64\":\"/w==\"}\nnone\n";
    std::fs::write(&letters, kept + bytes).unwrap();
    damage(&database, &["ALTER TABLE audit_events DROP CONSTRAINT no_eve"]).await;
    let retry = ["ingest", "--retry", letters.to_str().unwrap(), "--rejected", "left.ndjson"];
    let (code, stdout, said) = run(&home, &database, &retry);
    assert_eq!(code, 1, "{stdout}{said}");
    assert!(
        stdout.contains("INGEST: 6 read, 2 stored, 0 duplicate, 1 conflict, 3 rejected"),
        "{stdout}{said}"
    );
    assert!(said.contains("is no line of a file of rejected records"), "{said}");
    // What stays is kept as it was, not once more inside another letter.
    let left = std::fs::read_to_string(home.path().join("left.ndjson")).unwrap();
    assert_eq!(left.lines().count(), 4, "{left}");
    assert!(
        left.contains("\"text\":\"{\\\"event_id\\\": nonsense}\"") && left.contains("\"base64\":\"/w==\""),
        "{left}"
    );
    let (code, stdout, said) = run(&home, &database, &["ingest", "--retry", "left.ndjson"]);
    assert_eq!(code, 1, "{stdout}{said}");
    assert!(stdout.contains("4 read, 0 stored, 0 duplicate, 1 conflict, 3 rejected"), "{stdout}{said}");
    assert_eq!(chain(&mut connect(&database).await, "acme").await.len(), 6);
    database.drop_now().await;
}
