//! What was verified once is compared at every later verification, whatever kind it is, until it is understood.

use crate::support::{self, Home, TestDatabase};
use crate::verify::{append, chained, connect, damage, event, preserve, run, run_json, writer};
use agenttrace::chain::Scheme;
use agenttrace::domain::NewEvent;
use agenttrace::store::writer::Fate;
use serde_json::{Value, json};
use sqlx::Connection as _;

const EVENTS: usize = 30;

/// A trail of its own and another one beside it.
async fn trail() -> TestDatabase {
    let database = support::database().await;
    append(&database, "a", 0..EVENTS).await;
    append(&database, "b", 0..5).await;
    database
}

fn classes(report: &Value) -> Vec<&str> {
    let findings = report["findings"].as_array().unwrap();
    findings.iter().map(|finding| finding["class"].as_str().unwrap()).collect()
}

async fn hash_of(database: &TestDatabase, event_id: &str) -> String {
    let mut c = connect(database).await;
    let hash = sqlx::query_scalar("SELECT hash FROM audit_events WHERE event_id = $1");
    hash.bind(event_id).fetch_one(&mut c).await.unwrap()
}

/// Writes the trail anew from event `from` on, with other contents and valid hashes, up to `until`.
async fn rewrite(database: &TestDatabase, from: usize, until: usize) {
    damage(
        database,
        &[&format!("DELETE FROM audit_events WHERE organization_id = 'a' AND event_id >= 'a-{from:06}'")],
    )
    .await;
    let mut previous = match from.checked_sub(1) {
        Some(before) => hash_of(database, &format!("a-{before:06}")).await,
        None => String::new(),
    };
    let mut events = Vec::new();
    for n in from..until {
        let forged = NewEvent { actor_id: "u-other".to_owned(), ..event("a", n) };
        let chained = chained(forged, &previous, Scheme::V1);
        previous.clone_from(&chained.hash);
        events.push(chained);
    }
    preserve(database, events).await;
}

/// Lets the database's own record of heads agree with the trail.
const ADJUST: &str = "DELETE FROM audit_chain_heads WHERE organization_id = 'a' \
        AND NOT EXISTS (SELECT FROM audit_events WHERE organization_id = 'a'); \
    UPDATE audit_chain_heads h SET (event_id, hash, event_count) = \
    (SELECT e.event_id, e.hash, (SELECT count(*) FROM audit_events WHERE organization_id = 'a') \
     FROM audit_events e WHERE e.organization_id = 'a' ORDER BY timestamp DESC, event_id DESC LIMIT 1) \
    WHERE organization_id = 'a'";

/// Every kind of verification.
const KINDS: [&[&str]; 6] = [
    &["verify", "--org", "a"],
    &["verify", "--org", "a", "--incremental"],
    &["verify", "--org", "a", "--links-only"],
    &["verify", "--org", "a", "--since", "2026-01-05T00:00:00Z"],
    &["verify", "--org", "a", "--resume"],
    &["verify", "--all-orgs"],
];

/// The reports on organisation `a`.
fn report_on_a(document: Value) -> Value {
    match document["organizations"].as_array() {
        Some(all) => all.iter().find(|report| report["organization_id"] == "a").unwrap().clone(),
        None => document,
    }
}

/// In two orders, twice each: every verification ends with exit 1 and one of the classes.
fn all_see(database: &TestDatabase, homes: &[&Home; 2], wanted: &[&str], why: &str) {
    for (home, order) in homes.iter().zip([false, true]) {
        let mut kinds = [KINDS, KINDS].concat();
        if order {
            kinds.reverse();
        }
        for kind in kinds {
            let (code, report) = run_json(home, database, kind);
            let report = report_on_a(report);
            let found = classes(&report);
            assert!(
                code == 1 && wanted.iter().any(|class| found.contains(class)),
                "{why}, {kind:?}: exit {code}, {} {found:?}",
                report["verdict"]
            );
        }
    }
}

/// Verified twice over, by two people.
fn verified(database: &TestDatabase) -> [Home; 2] {
    let homes = [Home::new(), Home::new()];
    for home in &homes {
        let (code, report) = run_json(home, database, &["verify", "--org", "a"]);
        assert_eq!((code, &report["verdict"]), (0, &json!("intact")));
    }
    homes
}

#[tokio::test]
async fn a_trail_that_was_cut_or_written_anew_is_never_intact_again() {
    type Attack =
        (&'static str, fn(&TestDatabase) -> futures_util::future::BoxFuture<'_, ()>, &'static [&'static str]);
    const PINS: &[&str] = &["pin_missing", "pin_mismatch"];
    let attacks: [Attack; 5] = [
        (
            "tail cut",
            |d| {
                Box::pin(async {
                    damage(
                        d,
                        &["DELETE FROM audit_events WHERE event_id > 'a-000027' AND organization_id = 'a'"],
                    )
                    .await;
                })
            },
            PINS,
        ),
        (
            "tail cut and others appended",
            |d| {
                Box::pin(async {
                    damage(
                        d,
                        &["DELETE FROM audit_events WHERE event_id > 'a-000026' AND organization_id = 'a'"],
                    )
                    .await;
                    rewrite(d, 27, 36).await;
                })
            },
            PINS,
        ),
        ("written anew from the middle", |d| Box::pin(rewrite(d, 15, EVENTS)), PINS),
        ("written anew from the beginning", |d| Box::pin(rewrite(d, 0, EVENTS)), PINS),
        (
            "everything deleted",
            |d| {
                Box::pin(async {
                    damage(d, &["DELETE FROM audit_events WHERE organization_id = 'a'"]).await;
                })
            },
            &["organization_missing"],
        ),
    ];
    for (why, attack, wanted) in attacks {
        let database = trail().await;
        let homes = verified(&database);
        attack(&database).await;
        all_see(&database, &[&homes[0], &homes[1]], wanted, why);
        damage(&database, &[ADJUST]).await;
        all_see(
            &database,
            &[&homes[0], &homes[1]],
            wanted,
            &format!("{why}, with the record of heads adjusted"),
        );
        database.drop_now().await;
    }
}

#[tokio::test]
async fn the_databases_own_record_tells_without_any_memory() {
    let database = trail().await;
    for (sql, wanted) in [
        ("DELETE FROM audit_events WHERE event_id = 'a-000029'", "head_record_mismatch"),
        ("DELETE FROM audit_events WHERE organization_id = 'a'", "organization_missing"),
        ("DELETE FROM audit_events", "organization_missing"),
    ] {
        damage(&database, &[sql]).await;
        for kind in KINDS {
            let (code, report) = run_json(&Home::new(), &database, kind);
            let report = report_on_a(report);
            assert!(code == 1 && classes(&report).contains(&wanted), "{sql}, {kind:?}: {report:#}");
        }
    }
    // Without --org: the organisations that have vanished are still those that can be meant.
    let (code, _, stderr) = run(&Home::new(), &database, &["verify"]);
    assert!(code == 2 && stderr.contains("organisations: a, b"), "{stderr}");
    database.drop_now().await;
}

#[tokio::test]
async fn a_record_that_counts_more_events_contradicts_and_one_that_is_behind_does_not() {
    let database = trail().await;
    let verify = || run_json(&Home::new(), &database, &["verify", "--org", "a"]);
    damage(&database, &["UPDATE audit_chain_heads SET event_count = 33 WHERE organization_id = 'a'"]).await;
    let (code, report) = verify();
    assert_eq!((code, classes(&report)), (1, vec!["head_record_mismatch"]), "{report:#}");
    let detail = report["findings"][0]["detail"].as_str().unwrap();
    assert!(detail.contains("counts 33 events; the trail has 30"), "{detail}");
    // Other writers went on from it, or it was never kept.
    for record in [
        "event_id = 'a-000020', hash = (SELECT hash FROM audit_events WHERE event_id = 'a-000020'), event_count = 21",
        "event_id = NULL, hash = '', event_count = 0",
    ] {
        damage(&database, &[&format!("UPDATE audit_chain_heads SET {record} WHERE organization_id = 'a'")])
            .await;
        let (code, report) = verify();
        assert_eq!((code, &report["verdict"]), (0, &json!("intact")), "{record}: {report:#}");
    }
    damage(&database, &["UPDATE audit_chain_heads SET hash = repeat('ab', 32), event_id = 'a-000029', event_count = 1 WHERE organization_id = 'a'"]).await;
    assert_eq!(classes(&verify().1), ["head_record_mismatch"]);
    database.drop_now().await;
}

#[tokio::test]
async fn retention_is_an_anomaly_and_not_a_contradiction() {
    let database = trail().await;
    let home = Home::new();
    for until in [20, EVENTS] {
        // The trail as it was earlier: a head that goes with its beginning.
        if until == EVENTS {
            append(&database, "a", EVENTS..EVENTS + 10).await;
        }
        assert_eq!(run(&home, &database, &["verify", "--org", "a"]).0, 0);
    }
    damage(&database, &["DELETE FROM audit_events WHERE organization_id = 'a' AND event_id <= 'a-000032'"])
        .await;
    for kind in KINDS {
        let (code, report) = run_json(&home, &database, kind);
        let report = report_on_a(report);
        assert_eq!((code, &report["verdict"]), (1, &json!("anomalous")), "{kind:?}: {report:#}");
        let finding =
            report["findings"].as_array().unwrap().iter().find(|f| f["class"] == "missing_genesis").unwrap();
        let detail = finding["detail"].as_str().unwrap();
        assert!(detail.contains("1 remembered heads went with it, up to a-000029"), "{detail}");
        assert_eq!(report["pins"], json!({"checked": 2, "matched": 1}));
    }
    database.drop_now().await;
}

#[tokio::test]
async fn a_contradiction_stays_until_exactly_it_is_accepted_and_is_listed_then() {
    let database = trail().await;
    let home = Home::new();
    let verify = |more: &[&str]| run_json(&home, &database, &[&["verify", "--org", "a"], more].concat());
    assert_eq!(verify(&[]).0, 0);
    damage(&database, &["DELETE FROM audit_events WHERE event_id = 'a-000029'", ADJUST]).await;
    assert_eq!(classes(&verify(&[]).1), ["pin_missing"]);
    assert_eq!(verify(&["--accept", "pin_missing:a-000029", "--note", "ticket 17"]).0, 0);
    let (code, report) = verify(&[]);
    assert_eq!((code, &report["accepted"][0]["class"]), (0, &json!("pin_missing")));
    // The shorter trail has become a base, and its head is compared beside the other one.
    let (code, report) = verify(&["--incremental"]);
    assert_eq!((code, &report["pins"]), (0, &json!({"checked": 2, "matched": 1})));
    assert_eq!(report["accepted"][0]["note"], "ticket 17");
    damage(&database, &["DELETE FROM audit_events WHERE event_id = 'a-000028'", ADJUST]).await;
    for more in [&[][..], &["--incremental"], &[]] {
        let (code, report) = verify(more);
        assert_eq!((code, classes(&report)), (1, vec!["pin_missing"]));
        assert_eq!(report["findings"][0]["event_id"], "a-000028");
        assert_eq!(report["accepted"][0]["event_id"], "a-000029");
    }
    database.drop_now().await;
}

#[tokio::test]
async fn an_older_copy_in_the_place_of_a_database_lacks_its_heads() {
    let database = trail().await;
    let copy = format!("{}_copy", database.name);
    let admin = support::server();
    let run_sql = async |sql: String| {
        let mut c = sqlx::postgres::PgConnection::connect_with(&admin).await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut c).await.unwrap();
        c.close().await.unwrap();
    };
    run_sql(format!("CREATE DATABASE {copy} TEMPLATE {}", database.name)).await;
    append(&database, "a", EVENTS..EVENTS + 5).await;
    let homes = verified(&database);
    run_sql(format!("DROP DATABASE {} WITH (FORCE)", database.name)).await;
    run_sql(format!("ALTER DATABASE {copy} RENAME TO {}", database.name)).await;
    all_see(&database, &[&homes[0], &homes[1]], &["pin_missing"], "restored");
    let (_, stdout, stderr) = run(&homes[0], &database, &["verify", "--org", "a"]);
    assert!(stdout.contains("another database or table than before"), "{stdout}{stderr}");
    assert!(stdout.contains("an older backup that was restored"), "{stdout}");
    database.drop_now().await;
}

#[tokio::test]
async fn a_copy_that_has_all_heads_and_another_place_are_remarks() {
    let database = trail().await;
    let home = Home::new();
    assert_eq!(run(&home, &database, &["verify", "--org", "a"]).0, 0);
    // Another database with an organisation of the same name.
    let other = support::database().await;
    append(&other, "a", 0..7).await;
    let (code, stdout, stderr) = run(&home, &other, &["verify", "--org", "a"]);
    assert!(code == 0 && stdout.contains("heads 0/0"), "{stdout}");
    assert!(
        stdout.contains("\nremark: first verification at ") && stdout.contains("another place"),
        "{stdout}{stderr}"
    );
    let (code, stdout, stderr) = run(&home, &other, &["verify", "--org", "a"]);
    assert!(code == 0 && stdout.contains("heads 1/1") && stderr.is_empty(), "{stdout}{stderr}");
    assert_eq!(run(&home, &other, &["verify", "--all-orgs"]).0, 0);
    // The table was made anew with the same rows.
    damage(&database, &["ALTER TABLE audit_events RENAME TO moved", "CREATE TABLE audit_events (LIKE moved INCLUDING ALL)",
        "INSERT INTO audit_events (event_id, timestamp, organization_id, project_id, actor_type, actor_id, actor_email, actor_ip, \
         actor_user_agent, event_category, event_type, event_severity, resource_type, resource_id, resource_name, action, \
         previous_state, new_state, request_id, session_id, hash, previous_hash) SELECT event_id, timestamp, organization_id, \
         project_id, actor_type, actor_id, actor_email, actor_ip, actor_user_agent, event_category, event_type, event_severity, \
         resource_type, resource_id, resource_name, action, previous_state, new_state, request_id, session_id, hash, \
         previous_hash FROM moved"]).await;
    let (code, stdout, stderr) = run(&home, &database, &["verify", "--org", "a"]);
    assert!(code == 0 && stdout.contains("heads 1/1"), "{stdout}{stderr}");
    assert!(stdout.contains("of 1 heads verified in the earlier one, 1 are here"), "{stdout}{stderr}");
    database.drop_now().await;
    other.drop_now().await;
}

#[tokio::test]
async fn an_increment_reads_what_was_written_since_and_finds_edits_deletions_and_insertions() {
    for (why, sql, wanted) in [
        ("edit", "UPDATE audit_events SET actor_id = 'u-x' WHERE event_id = 'a-000003'", "content_mismatch"),
        ("deletion", "DELETE FROM audit_events WHERE event_id = 'a-000003'", "missing_predecessor"),
        (
            "insertion",
            "INSERT INTO audit_events (event_id, timestamp, organization_id, actor_type, actor_id, event_category, event_type, \
             event_severity, resource_type, resource_id, action, request_id, hash, previous_hash) SELECT 'a-forged', timestamp, \
             organization_id, actor_type, actor_id, event_category, event_type, event_severity, resource_type, resource_id, \
             action, request_id, repeat('cd', 32), previous_hash FROM audit_events WHERE event_id = 'a-000003'",
            "content_mismatch",
        ),
    ] {
        let database = trail().await;
        let home = Home::new();
        let incremental = || run(&home, &database, &["verify", "--org", "a", "--incremental"]);
        let (code, _, stderr) = incremental();
        assert!(code == 0 && stderr.contains("no intact verification to go on from"), "{stderr}");
        let (code, stdout, _) = incremental();
        assert!(
            code == 0 && stdout.contains("content of 30 verified earlier and not read again"),
            "{stdout}"
        );
        append(&database, "a", EVENTS..EVENTS + 4).await;
        let (code, stdout, _) = incremental();
        assert!(code == 0 && stdout.contains("34 events") && stdout.contains("content of 30"), "{stdout}");
        let (_, stdout, _) = incremental();
        assert!(stdout.contains("content of 34"), "{stdout}");
        damage(&database, &[sql]).await;
        for more in [&["--incremental"][..], &[], &["--incremental"], &["--incremental"]] {
            let (code, report) = run_json(&home, &database, &[&["verify", "--org", "a"], more].concat());
            assert!(code == 1 && classes(&report).contains(&wanted), "{why} {more:?}: {report:#}");
        }
        database.drop_now().await;
    }
}

#[tokio::test]
async fn what_a_whole_verification_found_worse_is_repeated_by_increments() {
    let database = trail().await;
    let home = Home::new();
    let verify = |more: &[&str]| run_json(&home, &database, &[&["verify", "--org", "a"], more].concat());
    assert_eq!(verify(&[]).0, 0);
    let sql = "UPDATE audit_events SET actor_id = 'u-x' WHERE event_id = 'a-000003'";
    damage(&database, &[sql]).await;
    let last = home.path().join("data/last");
    let before: Vec<_> =
        std::fs::read_dir(&last).unwrap().map(|f| std::fs::read(f.unwrap().path()).unwrap()).collect();
    assert_eq!(verify(&[]).0, 1);
    let after: Vec<_> =
        std::fs::read_dir(&last).unwrap().map(|f| std::fs::read(f.unwrap().path()).unwrap()).collect();
    assert_ne!(before, after, "it is no base any more");
    assert!(String::from_utf8(after.concat()).unwrap().contains("\"base\":null"));
    for _ in 0..2 {
        let (code, report) = verify(&["--incremental"]);
        assert_eq!((code, classes(&report)), (1, vec!["content_mismatch"]));
        assert_eq!(report["coverage"].get("verified_earlier"), None, "all is read");
    }
    database.drop_now().await;
}

#[tokio::test]
async fn an_untouched_trail_is_intact_however_often_and_while_it_grows() {
    let database = trail().await;
    let home = Home::new();
    let record = home.path().join("data/heads.ndjson");
    let lines = || std::fs::read_to_string(&record).unwrap().lines().count();
    for kind in [KINDS, KINDS].concat() {
        let (code, stdout, stderr) = run(&home, &database, kind);
        assert_eq!(code, 0, "{kind:?}: {stdout}{stderr}");
    }
    assert_eq!(lines(), 2, "an unchanged head adds no record");
    // Writers at work, and two programs that verify and remember at once.
    let writing = async {
        let mut writer = writer(&database).await;
        for n in 0..40 {
            let fates = writer.append(vec![event("a", EVENTS + n)]).await.unwrap();
            assert_eq!(fates, [Fate::Stored]);
        }
    };
    let verifying = async {
        for _ in 0..3 {
            let runs = (0..2).map(|_| {
                let mut command = home.agenttrace();
                command.args(["--database-url", &database.url(), "verify", "--org", "a"]);
                tokio::task::spawn_blocking(move || command.output().unwrap())
            });
            for output in futures_util::future::join_all(runs).await {
                let output = output.unwrap();
                assert!(output.status.success(), "{output:?}");
            }
        }
    };
    tokio::join!(writing, verifying);
    assert_eq!(run(&home, &database, &["verify", "--org", "a"]).0, 0);
    assert!(lines() > 2);
    database.drop_now().await;
}

#[tokio::test]
async fn damaged_and_foreign_records_are_said_in_the_first_line_and_cost_no_verdict() {
    use std::os::unix::fs::PermissionsExt as _;
    let database = trail().await;
    let home = Home::new();
    let verify = || run(&home, &database, &["verify", "--org", "a"]);
    assert_eq!(verify().0, 0);
    let file = home.path().join("data/heads.ndjson");
    let whole = std::fs::read(&file).unwrap();
    // Torn in the middle of a write, as by kill -9.
    append(&database, "a", EVENTS..EVENTS + 1).await;
    assert_eq!(verify().0, 0);
    let longer = std::fs::read(&file).unwrap();
    std::fs::write(&file, &longer[..whole.len() + 40]).unwrap();
    let (code, stdout, stderr) = verify();
    assert!(
        code == 0 && stdout.contains("heads 1/1") && stderr.contains("its write was interrupted"),
        "{stderr}"
    );
    let (code, stdout, _) = verify();
    assert!(code == 0 && stdout.contains("heads 2/2"), "{stdout}");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o666)).unwrap();
    let (code, stdout, _) = verify();
    let first = stdout.lines().next().unwrap();
    assert!(
        code == 0 && first.contains("remembered heads NOT compared") && first.contains("chmod go-w"),
        "{first}"
    );
    database.drop_now().await;
}

#[tokio::test]
async fn heads_and_acceptances_of_the_first_programs_count() {
    let database = trail().await;
    let home = Home::new();
    // As that program wrote them, but for the database, which is another one here.
    let old = include_str!("../fixtures/build-0ce1482/verified.ndjson").lines().next().unwrap();
    let (_, report) = run_json(&home, &database, &["verify", "--org", "a"]);
    let mut line: Value = serde_json::from_str(old).unwrap();
    line["organization_id"] = json!("a");
    line["database_identity"] = report["database_identity"].clone();
    line["head"] = json!({"event_id": "a-000029", "hash": report["head"]["hash"]});
    let home = Home::new();
    std::fs::create_dir(home.path().join("data")).unwrap();
    std::fs::write(home.path().join("data/verified.ndjson"), format!("{line}\n")).unwrap();
    let (code, report) = run_json(&home, &database, &["verify", "--org", "a"]);
    assert_eq!((code, &report["pins"]), (0, &json!({"checked": 1, "matched": 1})));
    damage(&database, &["DELETE FROM audit_events WHERE event_id = 'a-000029'", ADJUST]).await;
    for _ in 0..2 {
        let (code, report) = run_json(&home, &database, &["verify", "--org", "a", "--incremental"]);
        assert_eq!((code, classes(&report)), (1, vec!["pin_missing"]));
    }
    database.drop_now().await;
}

#[tokio::test]
async fn an_accepted_fork_is_a_new_finding_with_each_further_sibling() {
    let database = trail().await;
    let home = Home::new();
    let previous = hash_of(&database, "a-000010").await;
    let sibling = |id: &str, n: usize| {
        let event = NewEvent { event_id: id.to_owned(), ..event("a", n) };
        chained(event, &previous, Scheme::V1)
    };
    let verify = |more: &[&str]| run_json(&home, &database, &[&["verify", "--org", "a"], more].concat());
    preserve(&database, vec![sibling("a-z", 25)]).await;
    assert_eq!(verify(&["--accept", "fork:a-z", "--note", "a worker"]).0, 0);
    assert_eq!(verify(&[]).0, 0);
    // Before the last child: the finding is still named after that one.
    preserve(&database, vec![sibling("a-y", 20)]).await;
    let (code, report) = verify(&[]);
    assert_eq!((code, classes(&report)), (1, vec!["fork"]), "{report:#}");
    assert_eq!(report["findings"][0]["event_id"], "a-z");
    assert_eq!(verify(&["--accept", "fork:a-z", "--note", "both"]).0, 0);
    database.drop_now().await;
}

#[tokio::test]
async fn heads_are_handed_on_and_a_conflict_shows_both_sides() {
    let database = trail().await;
    let home = Home::new();
    let at = |home: &Home, arguments: &[&str]| run(home, &database, arguments);
    assert_eq!(at(&home, &["pin", "check"]).0, 4, "nothing is remembered");
    assert_eq!(at(&home, &["verify", "--all-orgs"]).0, 0);
    let (code, listed, _) = at(&home, &["pin", "list"]);
    assert!(code == 0 && listed.lines().count() == 2 && listed.contains("head a-000029 "), "{listed}");
    let (_, exported, _) = at(&home, &["pin", "export"]);
    let (colleague, file) = (Home::new(), home.path().join("heads.ndjson"));
    let file = file.to_str().unwrap();
    std::fs::write(file, &exported).unwrap();
    for said in ["2 records", "0 records"] {
        let (code, _, stderr) = at(&colleague, &["pin", "import", file]);
        assert!(code == 0 && stderr.contains(said), "{stderr}");
    }
    assert_eq!(at(&colleague, &["pin", "check"]).0, 0);
    // The colleague is shown another history.
    let hash = hash_of(&database, "a-000029").await;
    std::fs::write(file, exported.replace(&hash, &"cd".repeat(32))).unwrap();
    let before = at(&colleague, &["pin", "export"]);
    let (code, _, stderr) = at(&colleague, &["pin", "import", file]);
    assert_eq!(code, 1);
    assert!(
        stderr.contains("here: a ") && stderr.contains("there: a ") && stderr.contains("cdcdcdcd…"),
        "{stderr}"
    );
    assert_eq!(at(&colleague, &["pin", "export"]), before, "nothing was imported");
    std::fs::write(file, format!("{exported}{{}}\n")).unwrap();
    let (code, _, stderr) = at(&Home::new(), &["pin", "import", file]);
    assert!(code == 2 && stderr.contains("line 3: not an exported head"), "{stderr}");
    damage(&database, &["DELETE FROM audit_events WHERE event_id = 'a-000029'", ADJUST]).await;
    let (code, stdout, _) = at(&colleague, &["pin", "check"]);
    assert!(
        code == 1 && stdout.contains("PIN a: pin_missing:a-000029") && stdout.contains("PIN b: every"),
        "{stdout}"
    );
    database.drop_now().await;
}

#[tokio::test]
async fn a_watch_is_silent_until_it_finds_something_and_misses_nothing_between_runs() {
    let database = trail().await;
    let home = Home::new();
    let watch = |more: &[&str]| run(&home, &database, &[&["pin", "watch"], more].concat());
    for _ in 0..2 {
        assert_eq!(watch(&[]), (0, String::new(), String::new()));
    }
    append(&database, "a", EVENTS..EVENTS + 3).await;
    assert_eq!(
        watch(&["--nagios"]),
        (
            0,
            "OK - increments without a finding, earlier heads of 2 organisations present\n".to_owned(),
            String::new()
        )
    );
    // Between two runs: events are written, and one of them is edited and one is cut off.
    append(&database, "a", EVENTS + 3..EVENTS + 6).await;
    damage(&database, &["UPDATE audit_events SET actor_id = 'u-x' WHERE event_id = 'a-000034'"]).await;
    for _ in 0..2 {
        let (code, stdout, stderr) = watch(&[]);
        assert_eq!((code, stdout.lines().count(), stderr.as_str()), (1, 1, ""), "{stdout}");
        assert!(
            stdout.starts_with("VERIFY a: broken") && stdout.contains("content_mismatch:a-000034"),
            "{stdout}"
        );
    }
    let (code, stdout, _) = watch(&["--nagios"]);
    assert!(code == 2 && stdout.starts_with("CRITICAL - VERIFY a: broken"), "{stdout}");
    let nowhere = support::agenttrace()
        .args(["--database-url", "postgres://nobody@127.0.0.1:9/none", "pin", "watch", "--nagios"])
        .output()
        .unwrap();
    assert_eq!(nowhere.status.code(), Some(3));
    assert!(String::from_utf8(nowhere.stdout).unwrap().starts_with("UNKNOWN - "));
    database.drop_now().await;
}

#[tokio::test]
async fn what_row_level_security_may_hide_is_incomplete_and_not_a_finding() {
    let database = trail().await;
    let home = Home::new();
    assert_eq!(run(&home, &database, &["verify", "--all-orgs"]).0, 0);
    let role = format!("{}_reader", database.name);
    let mut c = connect(&database).await;
    let sql = format!(
        "CREATE ROLE {role} LOGIN; GRANT SELECT ON audit_events, audit_chain_heads TO {role}; \
         ALTER TABLE audit_events ENABLE ROW LEVEL SECURITY; \
         CREATE POLICY only_b ON audit_events TO {role} USING (organization_id = 'b')"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut c).await.unwrap();
    let url =
        database.url().replacen(&format!("//{}@", database.options.get_username()), &format!("//{role}@"), 1);
    let verify = |arguments: &[&str]| {
        let output = home.agenttrace().args(["--database-url", &url]).args(arguments).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, stdout) = verify(&["verify", "--org", "a"]);
    assert!(code == 4 && stdout.starts_with("VERIFY a: incomplete"), "{stdout}");
    assert!(stdout.contains("row-level security may hide its events from this role"), "{stdout}");
    assert_eq!(verify(&["verify", "--org", "b"]).0, 0);
    assert_eq!(verify(&["verify", "--all-orgs"]).0, 4);
    assert_eq!(verify(&["pin", "check", "--org", "a"]).0, 4);
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("DROP OWNED BY {role}; DROP ROLE {role}")))
        .execute(&mut c)
        .await
        .unwrap();
    database.drop_now().await;
}

#[test]
fn a_demo_that_drops_its_own_data_says_so_and_raises_no_alarm() {
    let home = Home::new();
    let program = |arguments: &[&str]| {
        let output = home.agenttrace().args(["--profile", "demo"]).args(arguments).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    };
    let demo = |more: &[&str]| {
        let output =
            home.agenttrace().args(["demo", "--no-console", "--events", "2000"]).args(more).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    demo(&[]);
    program(&["verify", "--all-orgs"]);
    let (_, listed) = program(&["pin", "list"]);
    assert!(listed.contains("at profile demo, by "), "{listed}");
    demo(&["--fresh", "--yes", "--seed", "9"]);
    assert_eq!(program(&["pin", "list"]).1, "");
    assert_eq!(program(&["pin", "check"]).0, 4, "nothing is remembered");
    program(&["verify", "--all-orgs"]);
    assert_eq!(program(&["pin", "check"]).0, 0);
}
