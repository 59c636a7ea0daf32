//! The writer with its spool: what it has acknowledged gets into the table, once, whatever happens in between.

use crate::support::{self, Home, TestDatabase};
use crate::verify::{connect, damage, preserve, run_json};
use crate::writer::{chain, event};
use agenttrace::domain::{Json, NewEvent, Timestamp};
use agenttrace::ingest::{AppendError, AuditSettings, AuditWriter, Fates};
use agenttrace::store::writer::{PreservedEvent, WriterSettings};
use agenttrace::store::{WriteDb, WriteSettings, WriteTarget, schema};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use std::path::Path;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

fn settings(spool: &Path) -> AuditSettings {
    let backoff = (Duration::from_millis(10), Duration::from_millis(100));
    AuditSettings { backoff, linger: Duration::from_millis(5), ..AuditSettings::new(spool) }
}

async fn open(database: &TestDatabase, settings: AuditSettings) -> AuditWriter {
    let target = WriteTarget::at(database.options.clone(), WriteSettings::default());
    AuditWriter::open(target, settings).await.unwrap()
}

async fn migrate(database: &TestDatabase) {
    let db = WriteDb::connect(database.options.clone()).await.unwrap();
    schema::migrate(&db).await.unwrap();
    db.close().await;
}

fn ids(prefix: &str, range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| format!("{prefix}-{n}")).collect()
}

fn events(organization: &str, prefix: &str, range: std::ops::Range<usize>) -> Vec<NewEvent> {
    ids(prefix, range).iter().map(|id| event(organization, id)).collect()
}

fn letters(writer: &AuditWriter) -> Vec<serde_json::Value> {
    let files = writer.dead_letters();
    let text: String = files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_writer_leaves_in_its_spool_the_next_one_delivers_in_order_and_once() {
    let database = support::bare_database().await;
    let folder = tempfile::tempdir().unwrap();
    let spool = folder.path().join("spool");
    // Without a table nothing is delivered, and everything is acknowledged.
    let writer = open(&database, settings(&spool)).await;
    for n in 0..20 {
        let mut both = events("a", "a", 3 * n..3 * n + 3);
        both.extend(events("b", "b", n..n + 1));
        writer.append_all(both).await.unwrap();
    }
    let last = writer.close(Duration::from_millis(300)).await;
    assert_eq!((last.acknowledged, last.pending, last.delivered.total()), (80, 80, 0));
    assert!(last.trouble.as_ref().is_some_and(|why| why.contains("no table audit_events")), "{last:?}");
    assert_eq!(writer.append(event("a", "late")).await, Err(AppendError::Closed));
    assert!(matches!(writer.try_enqueue(&[event("a", "late")]), Err(AppendError::Closed)));
    drop(writer);

    // Another database gets none of it, nor another schema.
    let elsewhere = WriteSettings { schema: Some("other".to_owned()), ..WriteSettings::default() };
    for target in [
        WriteTarget::at(support::server(), WriteSettings::default()),
        WriteTarget::at(database.options.clone(), elsewhere),
    ] {
        let refused = AuditWriter::open(target, settings(&spool)).await.unwrap_err().to_string();
        assert!(refused.contains("80 records wait for another target"), "{refused}");
    }

    migrate(&database).await;
    let small = AuditSettings { batch: 7, ..settings(&spool) };
    let writer = open(&database, small).await;
    writer.append_all(events("a", "a", 55..65)).await.unwrap();
    let last = writer.close(PATIENCE).await;
    assert_eq!((last.pending, last.trouble), (0, None));
    assert_eq!(last.replayed, Fates { stored: 80, ..Fates::default() });
    assert_eq!(last.delivered, Fates { stored: 5, duplicate: 5, ..Fates::default() });
    let mut c = connect(&database).await;
    assert_eq!(chain(&mut c, "a").await, ids("a", 0..65));
    assert_eq!(chain(&mut c, "b").await, ids("b", 0..20));
    database.drop_now().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_spool_holds_back_says_why_and_goes_on_when_there_is_room() {
    let database = support::bare_database().await;
    let folder = tempfile::tempdir().unwrap();
    let settings = AuditSettings {
        spool_limit: 30_000,
        patience: Duration::from_millis(200),
        ..settings(folder.path())
    };
    let writer = open(&database, settings).await;
    let mut taken = 0;
    let error = loop {
        match writer.append(event("a", &format!("a-{taken}"))).await {
            Ok(()) => taken += 1,
            Err(error) => break error,
        }
    };
    assert!(taken > 10, "{taken}: {error}");
    let said = error.to_string();
    assert!(said.starts_with("the spool is full (2"), "{said}");
    assert!(said.contains(" of 30000 bytes): this database has no table audit_events"), "{said}");
    let wide = events("a", "wide", 0..200);
    assert!(matches!(writer.append_all(wide).await, Err(AppendError::TooLarge { limit: 30_000, .. })));
    let metrics = writer.metrics();
    assert_eq!((metrics.acknowledged, metrics.pending, metrics.refused), (taken, taken, 201));
    assert!(metrics.spool_bytes <= 30_000 && metrics.prometheus().contains("agenttrace_writer_up 0"));

    // The table comes; who waits gets through, and nothing that was refused is in it.
    migrate(&database).await;
    let taken = usize::try_from(taken).unwrap();
    for n in taken..taken + 30 {
        while writer.append(event("a", &format!("a-{n}"))).await.is_err() {}
    }
    assert_eq!(writer.close(PATIENCE).await.pending, 0);
    assert_eq!(chain(&mut connect(&database).await, "a").await, ids("a", 0..taken + 30));
    database.drop_now().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_stored_is_a_dead_letter_with_its_reason_and_costs_no_other_event() {
    let database = support::database().await;
    damage(&database, &["ALTER TABLE audit_events ADD CONSTRAINT no_eve CHECK (actor_id <> 'eve')"]).await;
    let folder = tempfile::tempdir().unwrap();
    let writer = open(&database, settings(folder.path())).await;
    let mut all = events("a", "a", 0..60);
    all[17].actor_id = "eve".to_owned();
    all[18].actor_id = "eve".to_owned();
    all[41].actor_id = "eve".to_owned();
    all[5].resource_id = "x".repeat(65);
    all[6].new_state = Some(Json::from_trusted("not json"));
    let mut forged = all[3].clone();
    forged.actor_id = "u-2".to_owned();
    all.push(forged);
    writer.append_all(all).await.unwrap();
    let last = writer.close(PATIENCE).await;
    assert_eq!(last.delivered, Fates { stored: 55, conflict: 1, rejected: 5, ..Fates::default() });
    let lost = [5, 6, 17, 18, 41];
    let expected: Vec<String> = (0..60).filter(|n| !lost.contains(n)).map(|n| format!("a-{n}")).collect();
    assert_eq!(chain(&mut connect(&database).await, "a").await, expected);
    let mut told: Vec<(String, String)> = letters(&writer)
        .iter()
        .map(|letter| {
            let text = letter["text"].as_str().unwrap();
            let id = text.split('"').nth(3).unwrap().to_owned();
            (id, format!("{}: {}", letter["fate"].as_str().unwrap(), letter["reason"].as_str().unwrap()))
        })
        .collect();
    told.sort();
    let told: Vec<&str> = told
        .iter()
        .map(|(id, why)| {
            assert!(id.starts_with("a-"));
            why.as_str()
        })
        .collect();
    for (why, wanted) in told.iter().zip([
        "rejected: the database refused: ",
        "rejected: the database refused: ",
        "conflict: another event with the same event_id is stored already; different: actor_id",
        "rejected: the database refused: ",
        "rejected: resource_id: has 65 characters, the column holds 64",
        "rejected: new_state: ",
    ]) {
        assert!(why.starts_with(wanted), "{why} is not {wanted}");
    }
    assert!(told[0].contains("no_eve") && told[0].contains("(SQLSTATE 23514)"), "{}", told[0]);
    database.drop_now().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_writers_of_one_organisation_make_one_chain() {
    let database = support::database().await;
    let folders: Vec<_> = (0..4).map(|_| tempfile::tempdir().unwrap()).collect();
    let mut tasks = tokio::task::JoinSet::new();
    for (n, folder) in folders.iter().enumerate() {
        let writer = open(&database, AuditSettings { batch: 10, ..settings(folder.path()) }).await;
        tasks.spawn(async move {
            let prefix = format!("w{n}");
            for n in 0..40 {
                writer.append(event("a", &format!("{prefix}-{n}"))).await.unwrap();
                writer.append(event("a", &format!("shared-{n}"))).await.unwrap();
            }
            writer.close(PATIENCE).await.delivered
        });
    }
    let fates = tasks.join_all().await;
    assert_eq!(fates.iter().map(|fates| fates.stored).sum::<u64>(), 200);
    assert_eq!(fates.iter().map(|fates| fates.duplicate).sum::<u64>(), 120);
    let ids_there = chain(&mut connect(&database).await, "a").await;
    for n in 0..4 {
        let own: Vec<&String> = ids_there.iter().filter(|id| id.starts_with(&format!("w{n}-"))).collect();
        assert_eq!(own, ids(&format!("w{n}"), 0..40).iter().collect::<Vec<_>>(), "in order");
    }
    database.drop_now().await;
}

/// Three events with hashes of their own: the second and the third are both successors of the first.
async fn two_ends(database: &TestDatabase, organization: &str) {
    let kept = |id: &str, hash: &str, previous: &str| PreservedEvent {
        event: event(organization, id),
        hash: hash.to_owned(),
        previous_hash: previous.to_owned(),
    };
    preserve(database, vec![kept("one", "aa", ""), kept("two", "bb", "aa"), kept("three", "cc", "aa")]).await;
}

async fn count(database: &TestDatabase, prefix: &str) -> Vec<String> {
    let sql = "SELECT event_id FROM audit_events WHERE event_id LIKE $1 || '-%' ORDER BY ctid";
    sqlx::query_scalar(sql).bind(prefix).fetch_all(&mut connect(database).await).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_with_several_ends_holds_up_no_other_organisation_and_its_events_keep_their_order() {
    let database = support::database().await;
    two_ends(&database, "forked").await;
    let folder = tempfile::tempdir().unwrap();
    let spool = folder.path().join("spool");
    let small = AuditSettings { batch: 10, ..settings(&spool) };
    let writer = open(&database, small.clone()).await;
    for n in 0..12 {
        let mut both = events("forked", "f", 3 * n..3 * n + 3);
        both.extend(events("b", "b", 2 * n..2 * n + 2));
        writer.append_all(both).await.unwrap();
    }
    let last = writer.close(Duration::from_millis(700)).await;
    assert_eq!(chain(&mut connect(&database).await, "b").await, ids("b", 0..24), "{last:?}");
    assert_eq!((last.pending, last.delivered.stored), (36, 24));
    assert!(last.trouble.as_ref().is_some_and(|why| why.contains("'forked'")), "{last:?}");
    assert!(last.spool_bytes > 5_000 && last.prometheus().contains("agenttrace_writer_up 0"));
    drop(writer);

    // The next writer tries them again, before what comes behind them; another target gets none.
    let elsewhere = WriteTarget::at(support::server(), WriteSettings::default());
    assert!(AuditWriter::open(elsewhere, settings(&spool)).await.is_err());
    let writer = open(&database, small.clone()).await;
    assert_eq!(writer.metrics().pending, 36);
    writer.append_all(events("forked", "f", 36..40)).await.unwrap();
    writer.append_all(events("b", "b", 24..26)).await.unwrap();
    let last = writer.close(Duration::from_millis(700)).await;
    assert_eq!((last.pending, last.delivered.stored, last.replayed.total()), (40, 2, 0), "{last:?}");
    drop(writer);

    // Somebody has looked, and says which end to go on from.
    let settled = AuditSettings { writer: WriterSettings { continue_from: Some("cc".to_owned()) }, ..small };
    let writer = open(&database, settled).await;
    writer.append_all(events("forked", "f", 40..42)).await.unwrap();
    let last = writer.close(PATIENCE).await;
    assert_eq!((last.pending, last.trouble), (0, None));
    assert_eq!((last.replayed.stored, last.delivered.stored), (40, 2));
    assert_eq!(count(&database, "f").await, ids("f", 0..42));
    assert_eq!(std::fs::read_dir(spool.join("held")).unwrap().count(), 0, "nothing is left behind");
    database.drop_now().await;
}

/// Text that has gone wrong somewhere, of at most so many characters.
fn hostile(most: usize) -> impl Strategy<Value = String> {
    let nasty = prop::sample::select(vec![
        "",
        " ",
        "  x ",
        "'; DROP TABLE audit_events; --",
        "\u{202e}evil",
        "\u{200b}",
        "\u{feff}",
        "\r\n",
        "\t",
        "\\u0000",
        "\\",
        "\"",
        "\u{1b}[2J",
        "\u{7f}",
        "\u{85}",
        "é",
        "e\u{301}",
        "\u{10ffff}",
        "\u{fffe}",
        "𝕏",
        "null",
        "{}",
        "ﬀ",
        "İ",
        "\u{1}",
    ]);
    prop_oneof![nasty.prop_map(str::to_owned), any::<String>()]
        .prop_map(move |text| text.chars().filter(|c| *c != '\0').take(most).collect())
}

/// JSON text in any spelling, with numbers that no float holds.
fn json() -> impl Strategy<Value = String> {
    let number = prop_oneof![
        "-?(0|[1-9][0-9]{0,40})",
        "-?(0|[1-9][0-9]{0,20})\\.[0-9]{1,30}",
        "-?(0|[1-9][0-9]{0,5})(\\.[0-9]{1,5})?[eE][+-]?[0-9]{1,3}",
    ];
    let string = prop_oneof![
        hostile(40).prop_map(|text| serde_json::Value::from(text).to_string()),
        "\"(\\\\u00[2-7][0-9a-f]|\\\\ud83d\\\\ude00|\\\\/|\\\\b|[a-z ])*\"",
    ];
    let leaf = prop_oneof![number, string.clone(), Just("null".to_owned()), Just("true".to_owned())];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        let member = (string.clone(), inner.clone()).prop_map(|(key, value)| format!("{key} :{value}"));
        prop_oneof![
            prop::collection::vec(inner, 0..5).prop_map(|all| format!("[{}]", all.join(" ,"))),
            prop::collection::vec(member, 0..5).prop_map(|all| format!("{{{}}}", all.join(",\n"))),
        ]
    })
}

fn any_event() -> impl Strategy<Value = NewEvent> {
    let address = prop::option::of(prop_oneof![
        Just("192.0.2.1".to_owned()),
        Just("2001:DB8:0:0::1".to_owned()),
        Just("::ffff:10.0.0.1/96".to_owned()),
        any::<std::net::IpAddr>().prop_map(|ip| ip.to_string()),
    ]);
    let texts = (hostile(64), hostile(64), prop::option::of(hostile(255)), hostile(100), hostile(64));
    let states = (prop::option::of(json()), prop::option::of(json()));
    let time = -62_135_596_800_000_000_i64..253_402_300_800_000_000;
    (texts, states, address, time, prop::option::of(hostile(300))).prop_map(
        |((actor, resource, name, kind, request), (before, after), ip, time, agent)| NewEvent {
            timestamp: Timestamp::from_micros(time),
            actor_id: actor,
            resource_id: resource,
            resource_name: name,
            event_type: kind,
            request_id: request,
            previous_state: before.map(Json::from_trusted),
            new_state: after.map(Json::from_trusted),
            actor_ip: ip,
            actor_user_agent: agent,
            ..event("hostile", "")
        },
    )
}

async fn all_are_verified(count: usize) {
    /// Events of one call; making them takes longer than storing them, so each thread makes its own.
    const TOGETHER: usize = 250;
    let database = support::database().await;
    let folder = tempfile::tempdir().unwrap();
    let writer = open(&database, settings(folder.path())).await;
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(4);
    let mut makers = tokio::task::JoinSet::new();
    for thread in 0..threads {
        let writer = writer.clone();
        makers.spawn(async move {
            let mut part = thread;
            while part * TOGETHER < count {
                let numbers = part * TOGETHER..count.min((part + 1) * TOGETHER);
                // The generator cannot be sent to another thread.
                let made: Vec<NewEvent> = {
                    let (mut runner, strategy) = (TestRunner::default(), any_event());
                    let one = |n| NewEvent {
                        event_id: format!("h-{n}"),
                        ..strategy.new_tree(&mut runner).unwrap().current()
                    };
                    numbers.map(one).collect()
                };
                drop(writer.enqueue(made).await.unwrap());
                part += threads;
            }
        });
    }
    makers.join_all().await;
    let last = writer.close(PATIENCE).await;
    let count = u64::try_from(count).unwrap();
    let all = (last.acknowledged, last.delivered.stored, letters(&writer).len());
    assert_eq!(all, (count, count, 0), "{:?}", letters(&writer).first());
    let (code, report) = run_json(&Home::new(), &database, &["verify", "--org", "hostile"]);
    assert_eq!((code, &report["verdict"]), (0, &"intact".into()), "{report}");
    assert_eq!(
        (&report["events"], &report["content"]["verified"]),
        (&count.into(), &count.into()),
        "{report}"
    );
    database.drop_now().await;
}

/// The most memory that this process has had, in KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: a million events"]
async fn a_million_events_that_wait_take_no_memory_and_get_there() {
    const EVENTS: usize = 1_000_000;
    const TASKS: usize = 4;
    let database = support::bare_database().await;
    let folder = tempfile::tempdir().unwrap();
    let settings = AuditSettings { spool_limit: 8 << 30, batch: 5_000, ..settings(folder.path()) };
    let writer = open(&database, settings).await;
    let fill = async |range: std::ops::Range<usize>| {
        let mut tasks = tokio::task::JoinSet::new();
        for task in 0..TASKS {
            let (writer, range) = (writer.clone(), range.clone());
            tasks.spawn(async move {
                for n in range.filter(|n| n % TASKS == task) {
                    drop(writer.enqueue(events("a", "a", n..n + 1)).await.unwrap());
                }
            });
        }
        tasks.join_all().await;
    };
    fill(0..EVENTS / 20).await;
    let before = peak();
    fill(EVENTS / 20..EVENTS).await;
    while writer.metrics().acknowledged < EVENTS as u64 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (waiting, full) = (writer.metrics(), peak());
    assert_eq!((waiting.pending, waiting.refused), (EVENTS as u64, 0));
    migrate(&database).await;
    let last = writer.close(PATIENCE).await;
    assert_eq!((last.pending, last.delivered.stored), (0, EVENTS as u64), "{:?}", last.trouble);
    println!(
        "{} MiB of spool; KiB: {before} at a twentieth, {full} full, {} at the end",
        waiting.spool_bytes >> 20,
        peak()
    );
    assert!(
        full < before + (64 << 10),
        "{before} KiB, then {full} KiB while {} bytes waited",
        waiting.spool_bytes
    );
    assert!(peak() < before + (192 << 10), "{before} KiB, {} KiB when all was delivered", peak());
    let there: i64 = sqlx::query_scalar("SELECT count(*) FROM audit_events")
        .fetch_one(&mut connect(&database).await)
        .await
        .unwrap();
    assert_eq!(there, EVENTS as i64);
    database.drop_now().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_random_events_with_hostile_text_and_numbers_come_back_verified() {
    all_are_verified(1_000).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: a hundred thousand random events"]
async fn a_hundred_thousand_random_events_with_hostile_text_and_numbers_come_back_verified() {
    all_are_verified(100_000).await;
}
