//! What an attack meets that comes after a verification: every later one says it, in whatever order they come, on the
//! command line and in the console, also when the program was killed while it recorded.

use crate::pty::Terminal;
use crate::support::{self, Home, TestDatabase};
use crate::tamper::attack;
use crate::verify::{append, damage, event, preserve, run, run_json};
use agenttrace::chain::{Judge, Row, Scheme, to_hex};
use agenttrace::domain::{Json, NewEvent};
use agenttrace::store::private::tamper::{Attack, Tamper};
use agenttrace::store::writer::PreservedEvent;
use sha2::{Digest as _, Sha256};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};

async fn trail() -> TestDatabase {
    let database = support::database().await;
    append(&database, "a", 0..60).await;
    append(&database, "b", 0..20).await;
    database
}

/// Homes in which the trail has been verified as intact.
fn remembering<const N: usize>(database: &TestDatabase) -> [Home; N] {
    std::array::from_fn(|_| {
        let home = Home::new();
        let (code, stdout, stderr) = run(&home, database, &["verify", "--org", "a"]);
        assert!(code == 0 && stdout.starts_with("VERIFY a: chain intact · "), "{stdout}{stderr}");
        home
    })
}

const WHOLE: &[&str] = &["verify", "--org", "a"];
const INCREMENT: &[&str] = &["verify", "--org", "a", "--incremental"];

/// Each exits with 1, and none says in its first line that anything is intact.
fn all_say(database: &TestDatabase, home: &Home, how: Tamper, runs: &[&[&str]]) {
    for (n, arguments) in runs.iter().enumerate() {
        let (code, stdout, stderr) = run(home, database, arguments);
        let line = stdout.lines().next().unwrap_or_default();
        assert_eq!(code, 1, "{how}, run {n}: {arguments:?}: {stdout}{stderr}");
        assert!(
            line.starts_with("VERIFY a: broken · ") || line.starts_with("VERIFY a: anomalous · "),
            "{how}: {line}"
        );
        assert!(!line.contains("intact"), "{how}: {line}");
    }
}

async fn every_attack_is_said(heads: bool) {
    for attack_kind in Attack::ALL {
        let how = Tamper { attack: attack_kind, heads };
        let database = trail().await;
        let [one, other, third] = remembering(&database);
        attack(&database, "a", how).await;
        all_say(&database, &one, how, &[WHOLE, WHOLE, INCREMENT]);
        all_say(&database, &other, how, &[INCREMENT, WHOLE, WHOLE]);
        if heads {
            console_says(&database, &third, how);
            all_say(&database, &third, how, &[INCREMENT]);
        }
        database.drop_now().await;
    }
}

/// `V` in the console; the header says it, and `I` lists it.
fn console_says(database: &TestDatabase, home: &Home, how: Tamper) {
    let mut t = Terminal::open_at(120, 40, home.path(), &["--database-url", &database.url(), "--org", "a"]);
    let header = |screen: &str| screen.lines().next().unwrap_or_default().to_owned();
    t.wait(&format!("{how}: connected"), |screen| header(screen).contains("connected"));
    if how.attack == Attack::BlindSearch {
        // Said before anything else, until a key.
        t.wait_for("searches do not use it");
        t.press("k");
        t.wait("the rows", |screen| !screen.contains("searches do not use it"));
    }
    t.press("V");
    let said = t.wait(&format!("{how}: a verdict"), |screen| {
        let header = header(screen);
        ["✗", "? anomalous", "✓ "].iter().any(|sign| header.contains(sign)) && !header.contains("verifying")
    });
    assert!(!header(&said).contains("intact"), "{how}: {said}");
    t.wait(&format!("{how}: the end of the scan"), |screen| {
        screen.contains("verified: ") || header(screen).contains('✗')
    });
    t.press("I");
    // Opened while the scan runs, it fills when that ends.
    t.wait(&format!("{how}: the list"), |screen| {
        screen.contains(" Findings ") && !screen.contains("no finding is known")
    });
    t.press("\x03\x03");
    t.wait_for_end();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_attack_on_a_remembered_trail_is_said_at_every_later_run() {
    every_attack_is_said(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_attack_that_adjusts_the_databases_record_is_said_at_every_later_run_and_in_the_console() {
    every_attack_is_said(true).await;
}

/// The limit on the size of files kills the program in the middle of the line that it writes.
#[tokio::test]
async fn a_program_that_is_killed_while_it_records_forgets_nothing() {
    let database = trail().await;
    let [home] = remembering(&database);
    let heads = home.path().join("data/heads.ndjson");
    let before = std::fs::read(&heads).unwrap();
    // So long that its record does not fit into what is left of the block.
    append(&database, "a", 60..63).await;
    let blocks = before.len() / 512 + 1;
    let killed = Command::new("sh")
        .args(["-c", &format!("ulimit -c 0; ulimit -f {blocks}; exec \"$0\" \"$@\"")])
        .arg(env!("CARGO_BIN_EXE_agenttrace"))
        .args(["--database-url", &database.url(), "verify", "--org", "a"])
        .env("HOME", home.path())
        .env("AGENTTRACE_DATA_DIR", home.path().join("data"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(killed.signal(), Some(libc::SIGXFSZ), "{killed:?}");
    let torn = std::fs::read(&heads).unwrap();
    assert!(
        torn.starts_with(&before) && torn.len() > before.len() && !torn.ends_with(b"\n"),
        "{}",
        torn.len()
    );
    // No alarm, and what was remembered before counts, also once a line has been added behind the torn one.
    for _ in 0..2 {
        let (code, stdout, stderr) = run(&home, &database, WHOLE);
        assert!(code == 0 && stdout.contains("head of "), "{stdout}{stderr}");
    }
    damage(&database, &["DELETE FROM audit_events WHERE organization_id = 'a' AND event_id > 'a-000057'"])
        .await;
    for arguments in [WHOLE, INCREMENT, WHOLE] {
        let (code, stdout, stderr) = run(&home, &database, arguments);
        assert!(code == 1 && stdout.contains("pin_missing:a-000059"), "{stdout}{stderr}");
        assert!(stdout.contains("pin_missing:a-000062"), "{stdout}{stderr}");
    }
    database.drop_now().await;
}

/// Killed at any moment of a verification that would record something.
#[tokio::test]
async fn kill_9_at_any_moment_leaves_records_that_are_read() {
    let database = trail().await;
    let [home] = remembering(&database);
    for n in 0..12_u64 {
        append(&database, "a", 60 + n as usize..61 + n as usize).await;
        let mut child = Command::new(env!("CARGO_BIN_EXE_agenttrace"))
            .args(["--database-url", &database.url(), "verify", "--org", "a"])
            .env("HOME", home.path())
            .env("AGENTTRACE_DATA_DIR", home.path().join("data"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(n * 25)).await;
        let _ = child.kill();
        child.wait().unwrap();
    }
    let (code, stdout, stderr) = run(&home, &database, WHOLE);
    assert!(code == 0 && stdout.contains("chain intact · head of "), "{stdout}{stderr}");
    damage(&database, &["DELETE FROM audit_events WHERE organization_id = 'a' AND event_id > 'a-000057'"])
        .await;
    let (code, stdout, stderr) = run(&home, &database, WHOLE);
    assert!(code == 1 && stdout.contains("pin_missing:a-000059"), "{stdout}{stderr}");
    database.drop_now().await;
}

/// The event behind a predecessor, hashed by a writer that keeps nanoseconds.
fn with_nanoseconds(event: NewEvent, previous_hash: &str) -> PreservedEvent {
    let stored = crate::verify::stored(&event, "", previous_hash);
    let text = Judge::new(Scheme::V1).preimage(&Row::from(&stored)).unwrap();
    let text = text.replacen(".147504+00:00", ".147504003+00:00", 1);
    PreservedEvent {
        event,
        hash: to_hex(&Sha256::digest(text).into()),
        previous_hash: previous_hash.to_owned(),
    }
}

/// Scenario 6.5: 1 199 rows of a writer that hashed nanoseconds, and one that was edited, which stands out at 80×24.
#[tokio::test(flavor = "multi_thread")]
async fn the_one_edited_row_stands_out_among_a_thousand_that_were_hashed_otherwise() {
    let database = support::database().await;
    append(&database, "a", 0..150).await;
    let (_, report) = run_json(&Home::new(), &database, &["verify"]);
    let mut previous = report["head"]["hash"].as_str().unwrap().to_owned();
    let mut events = Vec::new();
    for n in 150..1350 {
        let made = with_nanoseconds(event("a", n), &previous);
        previous.clone_from(&made.hash);
        events.push(made);
    }
    preserve(&database, events).await;
    let amount = Json::from_trusted(r#"{"amount": 1000000}"#.to_owned());
    let edit =
        format!("UPDATE audit_events SET new_state = '{}' WHERE event_id = 'a-000777'", amount.as_str());
    damage(&database, &[&edit]).await;
    let home = Home::new();
    let mut t = Terminal::open_at(80, 24, home.path(), &["--database-url", &database.url(), "--org", "a"]);
    t.wait_for("connected");
    t.press("V");
    t.wait_for("✗ broken");
    t.press("I");
    let list = t.wait_for(" Findings ");
    let place = |text: &str| list.lines().position(|line| line.contains(text));
    assert!(list.contains("1 of 1 200"), "{list}");
    assert!(list.contains("content mismatch · 1 199") && list.contains("content mismatch · 1 "), "{list}");
    assert!(place("a-000777").unwrap() < place("content mismatch · 1 199").unwrap(), "{list}");
    assert_eq!(list.matches("nanoseconds").count(), 1, "explained once: {list}");
    assert!(list.contains("an edit of the row after it was written"), "{list}");
    // Down to the others and back; only one class; the event itself.
    t.press("j");
    t.wait_for("2 of 1 200");
    t.press("g");
    t.wait_for("1 of 1 200");
    t.press("\r");
    t.wait("the event", |screen| screen.contains("573 of 1 350") && !screen.contains(" Findings "));
    t.press("\x03\x03");
    t.wait_for_end();
    database.drop_now().await;
}

/// Scenario 6.1 ⑥: the marked rows are verified, then the range; what was covered stands beside it.
#[tokio::test(flavor = "multi_thread")]
async fn marked_rows_are_verified_and_then_the_range_between_remembered_heads() {
    let database = trail().await;
    let [home] = remembering(&database);
    append(&database, "a", 60..70).await;
    let mut t = Terminal::open_at(120, 40, home.path(), &["--database-url", &database.url(), "--org", "a"]);
    t.wait_for("1 of 70");
    t.press(" j j ");
    t.wait_for("3 events marked");
    t.press("v");
    t.wait_for("3 rows: 3 verified");
    t.press("V");
    t.wait_for("✓ chain intact · head of ");
    append(&database, "a", 70..75).await;
    t.press("R");
    // How many came since the verdict stands beside it.
    t.wait_for("+5");
    t.press("I");
    let list = t.wait_for("last verifications at this place");
    assert!(list.contains("no finding is known") && list.contains("70 events  chain intact"), "{list}");
    assert!(list.contains("60 events  chain intact"), "by the command line: {list}");
    // A row goes while the console looks on.
    t.press("I");
    damage(&database, &["DELETE FROM audit_events WHERE event_id = 'a-000030'"]).await;
    t.press("R");
    t.wait("the loss", |screen| screen.contains("✗") && screen.contains("verified_event_missing"));
    t.press("I");
    t.wait_for("verified event missing");
    t.press("\x03\x03");
    t.wait_for_end();
    let arguments = [
        "verify",
        "--org",
        "a",
        "--since",
        "2026-01-05T08:01:15Z",
        "--until",
        "2026-01-05T08:01:20Z",
        "--coverage",
    ];
    let (code, stdout, stderr) = run(&home, &database, &arguments);
    assert!(code == 0 && stdout.starts_with("VERIFY a: range intact · head of "), "{stdout}{stderr}");
    assert!(stdout.contains("limit: only events of the range were read"), "{stdout}");
    assert!(stdout.contains("not checked: events outside of the time range"), "{stdout}");
    database.drop_now().await;
}
