//! Verification of trails whose truth is known: exactly what is there is found, and nothing else.

use crate::shapes::Shape;
use crate::support::{self, Home, TestDatabase};
use agenttrace::chain::{Judge, Row, Scheme, to_hex};
use agenttrace::domain::{
    Action, ActorType, Category, Event, EventRow, Json, NewEvent, OrgId, OrgScope, Severity, TimeRange,
    Timestamp,
};
use agenttrace::store::schema::{self, Layout};
use agenttrace::store::writer::{Fate, PreservedEvent, Writer, WriterSettings};
use agenttrace::store::{ReadDb, ReadSettings, StoreError, WriteDb};
use agenttrace::verify::{Class, Gauge, Report, Request, Verdict};
use serde_json::{Value, json};
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

const START: i64 = 1_767_600_061_147_504;

pub(crate) fn event(organization: &str, n: usize) -> NewEvent {
    let state = |role: &str| {
        let text = format!(
            r#"{{"role": "{role}", "quota": {n}, "ratio": {n}.5, "note": "{}", "tags": ["a", "é{n}"]}}"#,
            "x".repeat(n % 97)
        );
        Json::from_trusted(text)
    };
    NewEvent {
        event_id: format!("{organization}-{n:06}"),
        // Several events share each instant.
        timestamp: Timestamp::from_micros(START + (n / 3) as i64 * 1_000_000),
        organization_id: OrgId::new(organization).unwrap(),
        project_id: n.is_multiple_of(2).then(|| "p-1".to_owned()),
        actor_type: ActorType::User,
        actor_id: format!("u-{}", n % 40),
        actor_email: None,
        actor_ip: n.is_multiple_of(3).then(|| format!("10.0.{}.{}", n / 256 % 256, n % 256)),
        actor_user_agent: Some("curl/8 \"quoted\"".to_owned()),
        event_category: Category::Admin,
        event_type: "user.updated".to_owned(),
        event_severity: Severity::Info,
        resource_type: "user".to_owned(),
        resource_id: format!("r-{}", n % 300),
        resource_name: None,
        action: Action::Update,
        previous_state: (n % 5 < 3).then(|| state("viewer")),
        new_state: (n % 5 < 4).then(|| state("admin")),
        request_id: format!("q-{n}"),
        session_id: Some("s-1".to_owned()),
    }
}

/// The event as the table would give it back, with these hashes.
pub(crate) fn stored(event: &NewEvent, hash: &str, previous_hash: &str) -> Event {
    let e = event.clone();
    Event {
        row: EventRow {
            event_id: e.event_id,
            timestamp: e.timestamp,
            organization_id: e.organization_id.as_str().to_owned(),
            project_id: e.project_id,
            actor_type: e.actor_type.to_string(),
            actor_id: e.actor_id,
            actor_email: e.actor_email,
            actor_ip: e.actor_ip,
            actor_user_agent: e.actor_user_agent,
            event_category: e.event_category.to_string(),
            event_type: e.event_type,
            event_severity: e.event_severity.to_string(),
            resource_type: e.resource_type,
            resource_id: e.resource_id,
            resource_name: e.resource_name,
            action: e.action.to_string(),
            request_id: e.request_id,
            session_id: e.session_id,
            hash: hash.to_owned(),
            previous_hash: previous_hash.to_owned(),
            xmin: 0,
        },
        previous_state: e.previous_state,
        new_state: e.new_state,
    }
}

/// The event behind a predecessor, honestly hashed.
pub(crate) fn chained(event: NewEvent, previous_hash: &str, scheme: Scheme) -> PreservedEvent {
    let hash = to_hex(&Judge::new(scheme).hash(&Row::from(&stored(&event, "", previous_hash))).unwrap());
    PreservedEvent { event, hash, previous_hash: previous_hash.to_owned() }
}

pub(crate) async fn writer(database: &TestDatabase) -> Writer {
    Writer::new(WriteDb::connect(database.options.clone()).await.unwrap(), WriterSettings::default())
}

pub(crate) async fn append(database: &TestDatabase, organization: &str, range: std::ops::Range<usize>) {
    let mut writer = writer(database).await;
    let events: Vec<NewEvent> = range.map(|n| event(organization, n)).collect();
    for batch in events.chunks(2000) {
        let fates = writer.append(batch.to_vec()).await.unwrap();
        assert!(fates.iter().all(|fate| *fate == Fate::Stored));
    }
}

pub(crate) async fn preserve(database: &TestDatabase, events: Vec<PreservedEvent>) {
    let fates = writer(database).await.preserve(events).await.unwrap();
    assert!(fates.iter().all(|fate| *fate == Fate::Stored), "{fates:?}");
}

pub(crate) async fn reader(database: &TestDatabase) -> ReadDb {
    ReadDb::connect(database.options.clone(), ReadSettings::default()).await.unwrap()
}

pub(crate) async fn connect(database: &TestDatabase) -> PgConnection {
    PgConnection::connect_with(&database.options).await.unwrap()
}

/// As whoever owns the table: past the append-only guard.
pub(crate) async fn damage(database: &TestDatabase, statements: &[&str]) {
    let mut c = connect(database).await;
    let mut sql = "ALTER TABLE audit_events DISABLE TRIGGER USER;".to_owned();
    for statement in statements {
        sql.push_str(statement);
        sql.push(';');
    }
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut c).await.unwrap();
    c.close().await.unwrap();
}

pub(crate) fn request(organization: &str, jobs: usize) -> Request {
    Request { jobs, ..Request::whole(OrgScope::enter(OrgId::new(organization).unwrap())) }
}

pub(crate) async fn verify(db: &ReadDb, request: &Request) -> Report {
    agenttrace::verify::verify(db, request, &Arc::new(Gauge::new()), &CancellationToken::new()).await.unwrap()
}

pub(crate) fn found(report: &Report) -> Vec<(Class, &str)> {
    report.findings.iter().map(|f| (f.class, f.event_id.as_str())).collect()
}

/// Runs the program on the database; exit code and output.
pub(crate) fn run(home: &Home, database: &TestDatabase, arguments: &[&str]) -> (i32, String, String) {
    let mut command = home.agenttrace();
    command.args(["--database-url", &database.url()]).args(arguments);
    let output = command.timeout(std::time::Duration::from_mins(2)).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

pub(crate) fn run_json(home: &Home, database: &TestDatabase, arguments: &[&str]) -> (i32, Value) {
    let arguments: Vec<&str> = arguments.iter().copied().chain(["--format", "json"]).collect();
    let (code, stdout, stderr) = run(home, database, &arguments);
    (code, serde_json::from_str(&stdout).unwrap_or_else(|e| panic!("{e}: {stdout} {stderr}")))
}

// ---------------------------------------------------------------- files with a known truth

fn shared() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut places = ["../shared", "../../shared"].iter().map(|up| root.join(up).join("data/agenttrace"));
    let there = places.find(|path| path.exists());
    if there.is_none() {
        println!("skipped: ../shared/data/agenttrace is not there");
    }
    there
}

fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn sorted(value: &Value) -> Vec<String> {
    let mut texts: Vec<String> = value.as_array().unwrap().iter().map(Value::to_string).collect();
    texts.sort();
    texts
}

/// The forks with their children in one order.
fn forks(value: &Value) -> Vec<(String, Vec<String>)> {
    let forks = value.as_array().unwrap().iter();
    let mut forks: Vec<_> = forks.map(|f| (f["previous_hash"].to_string(), sorted(&f["children"]))).collect();
    forks.sort();
    forks
}

/// Loads a file into a database of its own and compares every organisation with the truth. `mismatches` are the
/// events whose hash does not fit the stored row, `alternatives` how many fit in another spelling.
async fn check_file(
    folder: &Path,
    file: &str,
    truth: &Value,
    mismatches: &BTreeSet<String>,
    alternatives: u64,
) {
    let database = support::database().await;
    let home = Home::new();
    let path = folder.join(file);
    let (code, _, stderr) =
        run(&home, &database, &["ingest", "--preserve-chain", path.to_str().unwrap(), "--quiet"]);
    assert_eq!(code, 0, "{file}: {stderr}");
    let mut loaded = 0;
    let mut seen = BTreeSet::new();
    for (organization, expected) in truth["orgs"].as_object().unwrap() {
        let (code, report) = run_json(&home, &database, &["verify", "--org", organization]);
        let at = format!("{file} {organization}: {report:#}");
        let links = &report["links"];
        for list in ["genesis", "missing_predecessor", "heads", "time_before_predecessor"] {
            assert_eq!(sorted(&links[list]), sorted(&expected[list]), "{list} of {at}");
        }
        assert_eq!(forks(&links["forks"]), forks(&expected["forks"]), "{at}");
        assert_eq!(report["events"], expected["events"], "{at}");
        loaded += report["events"].as_u64().unwrap();

        let findings = report["findings"].as_array().unwrap();
        let of_class = |class: &str| -> Vec<String> {
            let found = findings.iter().filter(|f| f["class"] == class);
            found.map(|f| f["event_id"].as_str().unwrap().to_owned()).collect()
        };
        let broken = of_class("content_mismatch");
        seen.extend(broken.iter().cloned());
        assert_eq!(report["content"]["verified_alternative"], alternatives, "{at}");
        assert_eq!(report["content"]["undecided"], 0, "{at}");
        let genesis = expected["genesis"].as_array().unwrap().len();
        assert_eq!(of_class("additional_genesis").len(), genesis.saturating_sub(1), "{at}");
        assert_eq!(of_class("missing_genesis").len(), usize::from(genesis == 0), "{at}");
        let counted =
            ["missing_predecessor", "fork", "time_before_predecessor"].map(|class| of_class(class).len());
        let lists = ["missing_predecessor", "forks", "time_before_predecessor"];
        assert_eq!(counted, lists.map(|list| expected[list].as_array().unwrap().len()), "{at}");

        let anomalies = counted[0] + counted[1] + genesis.abs_diff(1);
        let (verdict, exit) = match (broken.len(), anomalies) {
            (0, 0) => ("intact", 0),
            (0, _) => ("anomalous", 1),
            _ => ("broken", 1),
        };
        assert_eq!((report["verdict"].as_str().unwrap(), code), (verdict, exit), "{at}");
        assert_eq!(report["scheme"]["name"], "agenttrace-v1", "{at}");
        assert!(!report.to_string().to_lowercase().contains("tamper"), "{at}");
        let (_, table, stderr) = run(&home, &database, &["verify", "--org", organization, "--coverage"]);
        assert!(!format!("{table}{stderr}").to_lowercase().contains("tamper"), "{table}{stderr}");
    }
    assert_eq!(json!(loaded), truth["events"], "{file}");
    assert_eq!(&seen, mismatches, "{file}");
    database.drop_now().await;
}

fn ids(value: &Value) -> BTreeSet<String> {
    value.as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn honest_files_get_exactly_the_findings_of_their_truth() {
    let Some(folder) = shared() else { return };
    for name in ["basic", "honest_restart_fork", "honest_batch_loss", "honest_three_workers"] {
        let expected = read_json(&folder.join(format!("{name}.expected.json")));
        let truth = &expected["visible_from_rows_alone"];
        check_file(&folder, &format!("{name}.ndjson"), truth, &BTreeSet::new(), 0).await;
    }
}

#[tokio::test]
async fn damaged_files_get_exactly_the_findings_of_their_truth() {
    let Some(folder) = shared() else { return };
    let folder = folder.join("tampered");
    for file in read_json(&folder.join("truth.json"))["files"].as_array().unwrap() {
        let truth = &file["visible_from_rows_alone"];
        let name = file["file"].as_str().unwrap();
        check_file(&folder, name, truth, &ids(&truth["own_hash_mismatch"]), 0).await;
    }
}

#[tokio::test]
async fn tricky_rows_are_verified_in_another_spelling_and_the_enriched_one_is_explained() {
    let Some(folder) = shared() else { return };
    let expected = read_json(&folder.join("tricky.expected.json"));
    let (mut enriched, mut respelled) = (BTreeSet::new(), Vec::new());
    for event in expected["events"].as_array().unwrap() {
        if event["case"] == "x01-enriched" {
            enriched.insert(event["event_id"].as_str().unwrap().to_owned());
        } else if event["pg"]["hash_reproducible"] == false {
            respelled.push(event["event_id"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!((enriched.len(), respelled.len()), (1, 6));
    check_file(&folder, "tricky.ndjson", &expected["chain_of_the_file"], &enriched, 6).await;

    let database = support::database().await;
    let home = Home::new();
    let path = folder.join("tricky.ndjson");
    run(&home, &database, &["ingest", "--preserve-chain", path.to_str().unwrap(), "--quiet"]);
    let (code, report) = run_json(&home, &database, &["verify", "--event", enriched.first().unwrap()]);
    assert_eq!((code, report["content"].as_str()), (1, Some("mismatch")));
    // Two columns were changed at once, so only the general explanations are left; the true one is among them.
    assert!(report["consistent_with"].to_string().contains("(enrichment)"), "{report:#}");
    // `show` says the same.
    let shown = run_json(&home, &database, &["show", enriched.first().unwrap()]).1;
    assert_eq!(shown["verification"]["consistent_with"], report["consistent_with"]);
    let shown = run_json(&home, &database, &["show", &respelled[0]]).1;
    assert_eq!(shown["verification"]["content"], "verified_alternative");
    database.drop_now().await;
}

// ---------------------------------------------------------------- generated trails

#[tokio::test]
async fn each_kind_of_damage_in_twenty_thousand_events_is_named_exactly() {
    each_kind_of_damage_is_named_exactly(20_000, Layout::Plain).await;
}

#[tokio::test]
#[ignore = "long: 20 000 events in each layout"]
async fn each_kind_of_damage_is_named_exactly_in_partitions() {
    for layout in [Layout::Range, Layout::Hash] {
        each_kind_of_damage_is_named_exactly(20_000, layout).await;
    }
}

#[tokio::test]
#[ignore = "long: some minutes, 1.5 GB"]
async fn each_kind_of_damage_in_a_million_events_is_named_exactly() {
    each_kind_of_damage_is_named_exactly(1_000_000, Layout::Plain).await;
}

async fn each_kind_of_damage_is_named_exactly(count: usize, layout: Layout) {
    let database = support::database().await;
    if layout != Layout::Plain {
        let db = WriteDb::connect(database.options.clone()).await.unwrap();
        schema::change_layout(&db, layout, &|_| {}).await.unwrap();
        db.close().await;
    }
    append(&database, "big", 0..count).await;
    append(&database, "small", 0..300).await;
    let mut c = connect(&database).await;
    sqlx::raw_sql("ANALYZE audit_events").execute(&mut c).await.unwrap();
    let db = reader(&database).await;
    for jobs in [1, 2] {
        for (organization, events) in [("big", count as u64), ("small", 300)] {
            let report = verify(&db, &request(organization, jobs)).await;
            assert_eq!((report.verdict, report.findings.len()), (Verdict::Intact, 0), "{report}");
            assert_eq!((report.events, report.content.verified), (events, events));
            assert_eq!((report.links.heads.len(), report.links.genesis.len()), (1, 1));
        }
    }

    let hash_of = async |c: &mut PgConnection, n: usize| -> String {
        sqlx::query_scalar("SELECT hash FROM audit_events WHERE event_id = $1")
            .bind(format!("big-{n:06}"))
            .fetch_one(c)
            .await
            .unwrap()
    };
    let behind = hash_of(&mut c, 16_000).await;
    preserve(
        &database,
        vec![
            chained(event("big", 2_000_001), &"ab".repeat(32), Scheme::V1),
            chained(event("big", 2_000_002), &behind, Scheme::V1),
        ],
    )
    .await;
    damage(
        &database,
        &[
            "UPDATE audit_events SET new_state = jsonb_set(new_state, '{role}', '\"owner\"') WHERE event_id = 'big-005000'",
            "UPDATE audit_events SET timestamp = timestamp + interval '1 microsecond' WHERE event_id = 'big-007999'",
            "DELETE FROM audit_events WHERE event_id = 'big-011000'",
            "UPDATE audit_events SET actor_id = 'u-x' WHERE event_id = 'small-000150'",
        ],
    )
    .await;
    for jobs in [1, 2] {
        let report = verify(&db, &request("big", jobs)).await;
        assert_eq!(
            found(&report),
            [
                (Class::ContentMismatch, "big-005000"),
                (Class::ContentMismatch, "big-007999"),
                (Class::MissingPredecessor, "big-011001"),
                (Class::MissingPredecessor, "big-2000001"),
                (Class::Fork, "big-2000002"),
                (Class::TimeBeforePredecessor, "big-008000"),
            ],
            "{jobs} readers: {report:#?}"
        );
        assert_eq!((report.verdict, report.events), (Verdict::Broken, count as u64 + 1));
        assert_eq!(report.links.forks[0].children, ["big-016001", "big-2000002"]);
        let heads: Vec<&str> = report.links.heads.iter().map(|h| h.event_id.as_str()).collect();
        let last = format!("big-{:06}", count - 1);
        assert_eq!(heads, ["big-010999", &last, "big-2000001", "big-2000002"]);
        let moved = &report.findings[1].consistent_with[0];
        assert!(moved.starts_with("a time moved by microseconds"), "{moved}");
        let small = verify(&db, &request("small", jobs)).await;
        assert_eq!(found(&small), [(Class::ContentMismatch, "small-000150")]);
    }
    let links = verify(&db, &Request { links_only: true, ..request("big", 2) }).await;
    assert_eq!((links.verdict, links.findings.len(), links.verified()), (Verdict::Anomalous, 4, 0));
    if layout == Layout::Plain {
        // The same rows in the table of the original database guide, without anything of ours.
        let ours = verify(&db, &request("big", 1)).await;
        damage(&database, &["CREATE SCHEMA kept", "ALTER TABLE audit_events SET SCHEMA kept"]).await;
        Shape::Seed.fill_in(&database).await;
        let columns: String = sqlx::query_scalar(
            "SELECT string_agg(attname, ', ') FROM pg_attribute
             WHERE attrelid = 'audit_events'::regclass AND attnum > 0",
        )
        .fetch_one(&mut c)
        .await
        .unwrap();
        let copy = format!("INSERT INTO audit_events ({columns}) SELECT {columns} FROM kept.audit_events");
        damage(&database, &[&copy]).await;
        for jobs in [1, 2] {
            let seed = verify(&db, &request("big", jobs)).await;
            assert_eq!(
                (seed.findings, seed.links, seed.head),
                (ours.findings.clone(), ours.links.clone(), ours.head.clone())
            );
            assert_eq!((seed.verdict, seed.content), (ours.verdict, ours.content));
        }
    }
    database.drop_now().await;
}

#[tokio::test]
async fn a_range_has_seams_and_no_false_findings_at_its_ends() {
    let database = support::database().await;
    append(&database, "a", 0..300).await;
    let db = reader(&database).await;
    let at = |n: i64| Some(Timestamp::from_micros(START + n * 1_000_000));
    let range = TimeRange { since: at(30), until: at(60) };
    let report = verify(&db, &Request { range, ..request("a", 1) }).await;
    assert_eq!(
        (report.verdict, report.events, report.findings.len()),
        (Verdict::Intact, 90, 0),
        "{report:#?}"
    );
    assert_eq!((report.head, report.links.genesis.len()), (None, 0));

    damage(&database, &["DELETE FROM audit_events WHERE event_id IN ('a-000120', 'a-000089')"]).await;
    let report = verify(&db, &Request { range, ..request("a", 1) }).await;
    assert_eq!(
        found(&report),
        [(Class::MissingPredecessor, "a-000090"), (Class::MissingPredecessor, "a-000121")],
        "also where the predecessor was outside of the range"
    );

    let home = Home::new();
    let (code, report) =
        run_json(&home, &database, &["verify", "--since", "2030-01-01", "--until", "2031-01-01"]);
    assert_eq!((code, report["verdict"].as_str()), (4, Some("nothing_to_check")));
    let (code, _, stderr) = run(&home, &database, &["verify", "--since", "yesteryear"]);
    assert_eq!(code, 2, "{stderr}");
    database.drop_now().await;
}

#[tokio::test]
async fn a_row_that_cannot_be_sent_is_the_one_unreadable_row() {
    one_row_cannot_be_sent(3_000).await;
}

#[tokio::test]
#[ignore = "long: a hundred thousand rows"]
async fn a_row_that_cannot_be_sent_is_the_one_unreadable_row_of_a_hundred_thousand() {
    one_row_cannot_be_sent(100_000).await;
}

async fn one_row_cannot_be_sent(count: usize) {
    let database = support::database().await;
    append(&database, "a", 0..count).await;
    let middle = format!("a-{:06}", count / 2);
    // Each element is written out with 131072 digits: more than a text can hold.
    let bomb = format!(
        "UPDATE audit_events SET new_state = (SELECT jsonb_agg(1e131071::numeric) FROM generate_series(1, 8300)) \
                WHERE event_id = '{middle}'"
    );
    damage(&database, &["ALTER TABLE audit_events DROP COLUMN search_vector", &bomb]).await;
    let db = reader(&database).await;
    for jobs in [1, 2] {
        let report = verify(&db, &request("a", jobs)).await;
        assert_eq!(found(&report), [(Class::Unreadable, middle.as_str())], "{report}");
        let all = count as u64;
        assert_eq!(
            (report.verdict, report.events, report.content.verified),
            (Verdict::Incomplete, all, all - 1)
        );
        assert_eq!(report.links.heads.len(), 1);
    }
    let (code, _, stderr) = run(&Home::new(), &database, &["verify"]);
    assert_eq!(code, 3, "{stderr}");
    database.drop_now().await;
}

#[tokio::test]
async fn what_is_written_during_a_scan_is_no_finding() {
    let database = support::database().await;
    append(&database, "a", 0..4000).await;
    let db = reader(&database).await;
    let writing = async {
        for n in 0..8 {
            append(&database, "a", 4000 + n * 200..4200 + n * 200).await;
        }
    };
    let verifying = async {
        for jobs in [1, 2, 1, 2] {
            let report = verify(&db, &request("a", jobs)).await;
            assert_eq!((report.verdict, report.findings.len()), (Verdict::Intact, 0), "{report:#?}");
            assert_eq!(report.events % 200, 0, "batches are seen whole or not at all");
        }
    };
    tokio::join!(writing, verifying);
    assert_eq!(verify(&db, &request("a", 1)).await.events, 5600);
    database.drop_now().await;
}

#[tokio::test]
async fn a_cancelled_scan_ends_and_its_connections_answer_the_next_query() {
    let database = support::database().await;
    append(&database, "a", 0..6000).await;
    let db = reader(&database).await;
    for jobs in [1, 2] {
        let (gauge, cancel) = (Arc::new(Gauge::new()), CancellationToken::new());
        let request = request("a", jobs);
        let scan = agenttrace::verify::verify(&db, &request, &gauge, &cancel);
        let stop = async {
            while gauge.progress().events == 0 {
                tokio::task::yield_now().await;
            }
            cancel.cancel();
        };
        let (ended, ()) = tokio::join!(scan, stop);
        assert!(matches!(ended, Err(StoreError::Cancelled)), "{ended:?}");
        assert!(gauge.progress().events < 6000);
    }
    assert_eq!(verify(&db, &request("a", 2)).await.verdict, Verdict::Intact);
    database.drop_now().await;
}

#[tokio::test]
async fn an_accepted_finding_stays_listed_and_decides_nothing() {
    let database = support::database().await;
    append(&database, "a", 0..20).await;
    preserve(&database, vec![chained(event("a", 50), "", Scheme::V1)]).await;
    let home = Home::new();
    let (code, report) = run_json(&home, &database, &["verify"]);
    assert_eq!((code, report["verdict"].as_str()), (1, Some("anomalous")));
    assert_eq!(report["findings"][0]["class"], "additional_genesis");

    let (code, _, stderr) = run(&home, &database, &["verify", "--accept", "fork:nothing", "--note", "x"]);
    assert!(code == 2 && stderr.contains("additional_genesis:a-000050"), "{stderr}");
    let accept = ["verify", "--accept", "additional_genesis:a-000050", "--note", "restart of 5 January"];
    let (code, report) = run_json(&home, &database, &accept);
    assert_eq!((code, report["verdict"].as_str()), (0, Some("intact")), "{report:#}");
    let (code, report) = run_json(&home, &database, &["verify"]);
    assert_eq!((code, &report["accepted"][0]["note"]), (0, &json!("restart of 5 January")));
    assert_eq!(report["findings"], json!([]));

    // It is bound to the event as it was.
    damage(&database, &["UPDATE audit_events SET hash = repeat('cd', 32) WHERE event_id = 'a-000050'"]).await;
    let (code, report) = run_json(&home, &database, &["verify"]);
    assert_eq!((code, report["verdict"].as_str(), &report["accepted"]), (1, Some("broken"), &json!([])));
    database.drop_now().await;
}

#[tokio::test]
async fn one_event_shows_its_neighbours_and_the_text_that_is_hashed() {
    use sha2::Digest as _;
    let database = support::database().await;
    append(&database, "a", 0..10).await;
    let home = Home::new();
    let (code, report) = run_json(&home, &database, &["verify", "--event", "a-000004"]);
    assert_eq!((code, report["content"].as_str()), (0, Some("verified")), "{report:#}");
    let digest = sha2::Sha256::digest(report["canonical_text"].as_str().unwrap());
    assert_eq!(report["computed_hash"], to_hex(&digest.into()));
    assert_eq!(report["computed_hash"], report["stored_hash"]);
    assert_eq!(report["predecessor"]["events"][0]["event_id"], "a-000003");
    assert_eq!(report["successors"][0]["event_id"], "a-000005");
    let (code, report) = run_json(&home, &database, &["verify", "--event", "a-000000"]);
    assert_eq!((code, report["predecessor"]["state"].as_str()), (0, Some("genesis")));
    damage(&database, &["DELETE FROM audit_events WHERE event_id = 'a-000006'"]).await;
    let (code, report) = run_json(&home, &database, &["verify", "--event", "a-000007"]);
    assert_eq!((code, report["predecessor"]["state"].as_str()), (1, Some("missing")));
    let (code, _, stderr) = run(&home, &database, &["verify", "--event", "no\u{1b}such"]);
    assert!(code == 4 && stderr.contains("no\\x1Bsuch"), "{stderr}");
    database.drop_now().await;
}

#[tokio::test]
async fn rows_are_read_again_with_their_states_but_for_large_and_unreadable_ones() {
    use agenttrace::domain::EventKey;
    use agenttrace::store::history::states::{self, Seen};
    let database = support::database().await;
    append(&database, "a", 0..10).await;
    append(&database, "b", 0..10).await;
    damage(
        &database,
        &[
            "ALTER TABLE audit_events DROP COLUMN search_vector",
            // Short as stored, long as text.
            "UPDATE audit_events SET new_state = to_jsonb(repeat('x', 3000000)) WHERE event_id = 'a-000003'",
            "UPDATE audit_events SET previous_state = to_jsonb(repeat('é', 65534)) WHERE event_id = 'a-000004'",
        ],
    )
    .await;
    let db = reader(&database).await;
    let scope = OrgScope::enter(OrgId::new("a").unwrap());
    let key = |id: &str, n: usize| EventKey { event_id: id.to_owned(), timestamp: event("a", n).timestamp };
    let keys = [
        key("a-000007", 7),
        key("a-000003", 3),
        key("a-000004", 4),
        key("b-000005", 5),
        key("a-000002", 9),
        key("a-000001", 1),
    ];
    let cancel = CancellationToken::new();
    let seen = states::of(&db, &scope, &keys, &cancel).await.unwrap();
    let Seen::Whole(seven) = &seen[0] else { panic!("{:?}", seen[0]) };
    assert_eq!((seven.row.event_id.as_str(), seven.previous_state.is_some()), ("a-000007", true));
    assert!(matches!(&seen[1], Seen::Large(row) if row.event_id == "a-000003"));
    assert!(matches!(&seen[2], Seen::Whole(event) if event.previous_state.is_some()), "just short enough");
    assert_eq!(seen[3], Seen::Gone, "the event of another organisation");
    assert_eq!(seen[4], Seen::Gone, "the event of another time");
    assert!(matches!(&seen[5], Seen::Whole(event) if event.row.event_id == "a-000001"));

    // Beyond what a text can hold.
    damage(
        &database,
        &["UPDATE audit_events SET new_state = (SELECT jsonb_agg(1e131071) FROM generate_series(1, 9000)) \
           WHERE event_id = 'a-000001'"],
    )
    .await;
    let seen = states::of(&db, &scope, &keys, &cancel).await.unwrap();
    assert!(matches!(&seen[0], Seen::Whole(_)));
    assert!(matches!(&seen[5], Seen::Unreadable(reason) if reason.contains("memory")), "{:?}", seen[5]);
    database.drop_now().await;
}

#[tokio::test]
async fn duplicate_ids_and_malformed_hashes_are_named_in_a_table_without_keys() {
    let database = support::database().await;
    append(&database, "a", 0..30).await;
    let columns = "event_id, timestamp, organization_id, project_id, actor_type, actor_id, actor_email, actor_ip, \
                   actor_user_agent, event_category, event_type, event_severity, resource_type, resource_id, \
                   resource_name, action, previous_state, new_state, request_id, session_id, hash, previous_hash";
    let copy = format!(
        "INSERT INTO audit_events ({columns}) SELECT {columns} FROM audit_events WHERE event_id = 'a-000007'"
    );
    damage(
        &database,
        &[
            "ALTER TABLE audit_events DROP CONSTRAINT audit_events_pkey",
            &copy,
            "UPDATE audit_events SET hash = upper(hash) WHERE event_id = 'a-000029'",
        ],
    )
    .await;
    let report = verify(&reader(&database).await, &request("a", 1)).await;
    assert_eq!(report.verdict, Verdict::Broken);
    assert_eq!(
        found(&report),
        [
            (Class::MalformedHash, "a-000029"),
            (Class::DuplicateEventId, "a-000007"),
            // It names the hash as it was.
            (Class::HeadRecordMismatch, "a-000029"),
        ],
        "{report:#?}"
    );
    database.drop_now().await;
}

#[tokio::test]
async fn the_scheme_is_found_out_and_an_unknown_one_is_no_accusation() {
    let database = support::database().await;
    let mut previous = String::new();
    let mut service = Vec::new();
    for n in 0..30 {
        let event = chained(event("service", n), &previous, Scheme::Service);
        previous.clone_from(&event.hash);
        service.push(event);
    }
    preserve(&database, service).await;
    let foreign = |n: usize| PreservedEvent {
        event: event("foreign", n),
        hash: format!("{:064x}", n + 1),
        previous_hash: if n == 0 { String::new() } else { format!("{n:064x}") },
    };
    preserve(&database, (0..30).map(foreign).collect()).await;
    let db = reader(&database).await;
    let report = verify(&db, &request("service", 1)).await;
    assert_eq!(
        (report.verdict, report.scheme.name, report.scheme.guessed),
        (Verdict::Intact, "agenttrace-v1-service", false)
    );
    assert_eq!(report.coverage.unprotected_columns, ["actor_ip", "actor_user_agent", "previous_hash"]);
    // One that is forced is no guess: rows that do not fit it are findings.
    for (organization, scheme, verdict) in [
        ("service", Scheme::V1, Verdict::Broken),
        ("service", Scheme::Service, Verdict::Intact),
        ("foreign", Scheme::V1, Verdict::Broken),
    ] {
        let forced = Request { scheme: Some(scheme), ..request(organization, 1) };
        let report = verify(&db, &forced).await;
        assert_eq!((report.verdict, report.scheme.guessed), (verdict, false), "{organization}, {scheme}");
        assert_eq!(report.scheme.name, scheme.name());
    }
    let report = verify(&db, &request("foreign", 1)).await;
    assert_eq!((report.verdict, report.scheme.guessed), (Verdict::Incomplete, true));
    assert_eq!((report.content.undecided, report.content.mismatch), (30, 0));

    let home = Home::new();
    let (_, status) = run_json(&home, &database, &["db", "status"]);
    let schemes: Vec<_> = status["schemes"].as_array().unwrap().iter().collect();
    assert_eq!(schemes.len(), 2, "{status:#}");
    assert_eq!((&schemes[0]["organization_id"], &schemes[0]["guessed"]), (&json!("foreign"), &json!(true)));
    assert_eq!(
        (&schemes[1]["name"], &schemes[1]["confidence"], &schemes[1]["sample"]),
        (&json!("agenttrace-v1-service"), &json!(1.0), &json!(30))
    );
    let (_, text, _) = run(&home, &database, &["db", "status"]);
    assert!(text.contains("hashes of service: agenttrace-v1-service (100 % of a sample of 30)\n"), "{text}");
    let (code, _, stderr) = run(&home, &database, &["verify", "--org", "service", "--scheme", "other"]);
    assert!(code == 2 && stderr.contains("agenttrace-v1-service"), "{stderr}");
    let (code, stdout, _) =
        run(&home, &database, &["verify", "--org", "service", "--scheme", "agenttrace-v1"]);
    assert!(code == 1 && stdout.contains("scheme agenttrace-v1 (0 % of a sample); "), "{stdout}");
    let (code, all) = run_json(&home, &database, &["verify", "--all-orgs"]);
    let verdicts: Vec<&Value> =
        all["organizations"].as_array().unwrap().iter().map(|o| &o["verdict"]).collect();
    assert_eq!((code, verdicts), (4, vec![&json!("incomplete"), &json!("intact")]));
    database.drop_now().await;
}
