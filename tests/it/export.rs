//! `export`: what a file holds, how it comes about, and who can read it.

use crate::support::{self, Home, TestDatabase};
use crate::timeline::{fill, never, query, reader};
use crate::writer::event;

use agenttrace::domain::{Json, NewEvent};
use agenttrace::store::listing::timeline;
use agenttrace::store::query::Seek;
use agenttrace::store::writer::{Fate, Writer, WriterSettings};
use agenttrace::store::{StoreError, WriteDb};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Output;
use std::time::Duration;

/// One home, a database, and exports into files of the home.
pub(crate) struct Scene {
    pub(crate) test: TestDatabase,
    home: Home,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        Self { test: support::database().await, home: Home::new() }
    }

    pub(crate) fn run(&self, test: &TestDatabase, args: &[&str]) -> Output {
        self.home.agenttrace().args(["--database-url", &test.url()]).args(args).output().unwrap()
    }

    /// Exports into `name` and returns what is there then.
    pub(crate) fn export(&self, name: &str, args: &[&str]) -> String {
        let output = self.run(&self.test, &[&["export", "--all-time", "-o", name], args].concat());
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        fs::read_to_string(self.home.path().join(name)).unwrap()
    }

    pub(crate) fn manifest(&self, name: &str) -> Value {
        let text = fs::read(self.home.path().join(format!("{name}.manifest.json"))).unwrap();
        serde_json::from_slice(&text).unwrap()
    }

    pub(crate) async fn store(&self, events: Vec<NewEvent>) {
        let db = WriteDb::connect(self.test.options.clone()).await.unwrap();
        let mut writer = Writer::new(db, WriterSettings::default());
        let fates = writer.append(events).await.unwrap();
        assert!(fates.iter().all(|fate| *fate == Fate::Stored), "{fates:?}");
    }

    pub(crate) async fn connect(&self) -> PgConnection {
        PgConnection::connect_with(&self.test.options).await.unwrap()
    }

    /// Where a file of the home lies.
    pub(crate) fn path(&self, name: &str) -> String {
        self.home.path().join(name).display().to_string()
    }

    /// All rows as PostgreSQL writes them.
    pub(crate) async fn rows_as_json(&self) -> Vec<String> {
        let all = "SELECT row_to_json(e)::text FROM audit_events e ORDER BY timestamp";
        sqlx::query_scalar(all).fetch_all(&mut self.connect().await).await.unwrap()
    }

    /// Id, name, session and new state of all events, by their ids.
    pub(crate) async fn states_as_text(&self) -> Vec<(String, Option<String>, Option<String>, Value)> {
        let all = "SELECT event_id, resource_name, session_id, new_state::text FROM audit_events
            ORDER BY event_id COLLATE \"C\"";
        let rows: Vec<(String, Option<String>, Option<String>, String)> =
            sqlx::query_as(all).fetch_all(&mut self.connect().await).await.unwrap();
        let state = |text: String| serde_json::from_str(&text).unwrap();
        rows.into_iter().map(|(id, name, session, new)| (id, name, session, state(new))).collect()
    }
}

pub(crate) fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Texts that formats are known to damage, as ids and names.
pub(crate) fn hostile(organization: &str) -> Vec<NewEvent> {
    let texts = [
        "-uihn",
        "=1+1",
        "'=1+1",
        "''@sum",
        "＝1",
        "a,b;\"c\"\r\n\td",
        "\u{1b}[31m\u{202e}\u{200b}",
        "CORP\\tom \\x1B",
        "<b>|`*_[x](y)",
        "naïve 日本 ❤\u{fe0f}",
        "'plain",
    ];
    let events = texts.iter().enumerate().map(|(n, text)| NewEvent {
        resource_name: Some((*text).to_owned()),
        session_id: Some((*text).to_owned()),
        new_state: Some(Json::from_trusted(format!(
            "{{\"n\": 1.10, \"big\": 123456789012345678901234567890.000, \"t\": {}}}",
            serde_json::to_string(text).unwrap()
        ))),
        ..event(organization, &if n % 2 == 0 { format!("-id{n}") } else { format!("id{n}") })
    });
    events.collect()
}

#[tokio::test]
async fn a_file_holds_every_event_oldest_first_and_says_what_it_holds() {
    let scene = Scene::new().await;
    fill(&scene.test.options, 8_000, 300).await;
    let text = scene.export("all.ndjson", &["--org", "o-1", "-action:read"]);
    let mut c = scene.connect().await;
    let wanted: Vec<(String, String)> = sqlx::query_as(
        "SELECT event_id, to_char(timestamp AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') FROM audit_events
         WHERE organization_id = 'o-1' AND action <> 'read'",
    )
    .fetch_all(&mut c)
    .await
    .unwrap();
    let events = lines(&text);
    let places: Vec<(String, String)> = events
        .iter()
        .map(|e| (e["event_id"].as_str().unwrap().to_owned(), e["timestamp"].as_str().unwrap().to_owned()))
        .collect();
    assert!(places.windows(2).all(|pair| pair[0].1 <= pair[1].1), "oldest first");
    let sorted = |mut all: Vec<(String, String)>| {
        all.sort();
        all
    };
    assert!(wanted.len() > 2_000, "more than a page: {}", wanted.len());
    assert_eq!(sorted(places.clone()), sorted(wanted));

    let manifest = scene.manifest("all.ndjson");
    let digest = Sha256::digest(text.as_bytes());
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(manifest["sha256"], digest);
    assert_eq!(manifest["bytes"], text.len());
    assert_eq!(manifest["events"], events.len());
    assert_eq!(manifest["file"], "all.ndjson");
    assert_eq!(manifest["filter"], "-action:read");
    assert_eq!(manifest["first"]["event_id"], places[0].0);
    assert_eq!(manifest["last"]["event_id"], places[places.len() - 1].0);
    assert_eq!(manifest["last_intact"], Value::Null);
    assert!(manifest["limits"][0].as_str().unwrap().contains("not proven"), "{manifest}");
    assert!(manifest["database"]["table"].as_str().unwrap().contains("audit_events"), "{manifest}");
    let mode = fs::metadata(scene.home.path().join("all.ndjson")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    // What is there stays, unless it is to be replaced.
    let again = scene.run(&scene.test, &["--org", "o-1", "export", "-o", "all.ndjson", "action:read"]);
    assert_eq!(again.status.code(), Some(2));
    assert!(said(&again).contains("'all.ndjson' is there already"), "{}", said(&again));
    assert_eq!(fs::read_to_string(scene.home.path().join("all.ndjson")).unwrap(), text);
    let read = scene.export("all.ndjson", &["--org", "o-1", "--overwrite", "action:read", "--manifest"]);
    let first: Value = serde_json::from_str(read.lines().next().unwrap()).unwrap();
    assert_eq!(first["manifest"]["filter"], "action:read");
    assert!(lines(&read).iter().skip(1).all(|e| e["action"] == "read"));

    // Nothing found is no success.
    let none =
        scene.run(&scene.test, &["--org", "o-1", "export", "--all-time", "-o", "none", "actor:nobody"]);
    assert_eq!(none.status.code(), Some(4), "{}", said(&none));
    assert_eq!(scene.manifest("none")["events"], 0);
    scene.test.drop_now().await;
}

#[tokio::test]
async fn events_of_one_instant_stand_along_the_chain() {
    let scene = Scene::new().await;
    // One time for all of them; the ids run against the chain.
    scene.store((0..900).map(|n| event("acme", &format!("e-{:04}", 900 - n))).collect()).await;
    let events = lines(&scene.export("instant.ndjson", &[]));
    assert_eq!(events.len(), 900);
    assert_eq!(events[0]["event_id"], "e-0900");
    for pair in events.windows(2) {
        assert_eq!(pair[0]["hash"], pair[1]["previous_hash"]);
    }
    scene.test.drop_now().await;
}

#[tokio::test]
async fn what_is_exported_is_read_again_without_a_loss() {
    let scene = Scene::new().await;
    scene.store(hostile("acme")).await;
    let whole = |text: &str| {
        let mut events: Vec<String> = lines(text).iter().map(ToString::to_string).collect();
        events.sort();
        events
    };
    let original = whole(&scene.export("a.ndjson", &[]));
    let rows = scene.rows_as_json().await;
    scene.export("a.json", &["--format", "json"]);
    scene.export("marked.ndjson", &["--integrity", "--manifest"]);
    scene.export("a.csv", &["--format", "csv"]);
    scene.export("marked.csv", &["--format", "csv", "--integrity"]);
    fs::write(scene.home.path().join("rows.ndjson"), rows.join("\n")).unwrap();
    for name in ["a.ndjson", "a.json", "marked.ndjson", "rows.ndjson", "a.csv", "marked.csv"] {
        let copy = Scene { test: support::database().await, home: Home::new() };
        let path = scene.home.path().join(name).display().to_string();
        let loaded = copy.run(&copy.test, &["ingest", "--preserve-chain", &path]);
        assert_eq!(loaded.status.code(), Some(0), "{name}: {}", said(&loaded));
        assert_eq!(whole(&copy.export("b.ndjson", &[])), original, "{name}");
        copy.test.drop_now().await;
    }
    scene.test.drop_now().await;
}

#[tokio::test]
async fn no_cell_of_a_csv_is_a_formula_and_every_value_can_be_had_back() {
    let scene = Scene::new().await;
    scene.store(hostile("acme")).await;
    let names: Vec<String> = lines(&scene.export("a.ndjson", &[]))
        .iter()
        .map(|e| e["resource_name"].as_str().unwrap().to_owned())
        .collect();
    let column = |name: &str, args: &[&str]| -> Vec<String> {
        let text = scene.export(name, &[&["--format", "csv"], args].concat());
        let mut csv = csv::Reader::from_reader(text.as_bytes());
        let at = csv.headers().unwrap().iter().position(|h| h == "resource_name").unwrap();
        csv.records().map(|record| record.unwrap()[at].to_owned()).collect()
    };
    let guarded = column("a.csv", &[]);
    let signs = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];
    assert!(guarded.iter().all(|cell| !cell.starts_with(signs)), "{guarded:?}");
    let undone: Vec<String> = guarded
        .iter()
        .map(|cell| {
            if cell.trim_start_matches('\'').starts_with(signs) { cell[1..].to_owned() } else { cell.clone() }
        })
        .map(|cell| agenttrace::domain::unescaped(&cell))
        .collect();
    assert_eq!(undone, names);
    let raw: Vec<String> =
        column("raw.csv", &["--csv-raw"]).iter().map(|cell| agenttrace::domain::unescaped(cell)).collect();
    assert_eq!(raw, names);
    let states = scene.export("text.ndjson", &["--states", "text"]);
    for line in lines(&states) {
        let state: Value = serde_json::from_str(line["new_state"].as_str().unwrap()).unwrap();
        assert!(state["t"].is_string(), "{line}");
    }
    scene.test.drop_now().await;
}

#[tokio::test]
async fn an_event_that_does_not_fit_its_hash_is_marked() {
    let scene = Scene::new().await;
    scene.store((0..20).map(|n| event("acme", &format!("e-{n:02}"))).collect()).await;
    let mut c = scene.connect().await;
    sqlx::raw_sql(
        "ALTER TABLE audit_events DISABLE TRIGGER ALL; UPDATE audit_events SET actor_id = 'x' WHERE event_id = 'e-07'",
    )
    .execute(&mut c)
    .await
    .unwrap();
    for (format, name) in [("ndjson", "m.ndjson"), ("csv", "m.csv"), ("ocsf", "m.ocsf"), ("markdown", "m.md")]
    {
        let text = scene.export(name, &["--integrity", "--format", format]);
        let wrong: Vec<&str> = text.lines().filter(|line| line.contains("mismatch")).collect();
        assert_eq!(wrong.len(), 1, "{format}: {text}");
        assert!(wrong[0].contains("e-07"), "{format}: {wrong:?}");
        let manifest = scene.manifest(name);
        assert_eq!(manifest["content"], serde_json::json!({"mismatch": 1, "verified": 19}));
        assert_eq!(manifest["scheme"], "agenttrace-v1");
    }
    scene.test.drop_now().await;
}

/// The format file for lnav, which is installed with `lnav -i`.
#[test]
fn the_format_file_for_lnav_names_each_column_as_files_do() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/lnav/agenttrace.json");
    let format: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    let format = &format["agenttrace_log"];
    let keys = |value: &Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
    let event = crate::verify::stored(&event("own", "own-1"), "", "");
    let line = serde_json::to_value(agenttrace::export::Record::from(&event)).unwrap();
    let mut named = keys(&format["value"]);
    named.push("timestamp".to_owned());
    let mut columns = keys(&line);
    named.sort();
    columns.sort();
    assert_eq!(named, columns);
    // Newest-first files would have one time for all lines.
    assert_eq!(format["ordered-by-time"], false);
}

#[tokio::test]
async fn siems_find_times_ids_and_actors_where_they_look_for_them() {
    let scene = Scene::new().await;
    fill(&scene.test.options, 700, 10).await;
    let own = lines(&scene.export("own.ndjson", &["--org", "o-1"]));
    let ocsf = lines(&scene.export("a.ocsf", &["--org", "o-1", "--format", "ocsf"]));
    let ecs = lines(&scene.export("a.ecs", &["--org", "o-1", "--format", "ecs"]));
    let sketch = lines(&scene.export("a.jsonl", &["--org", "o-1", "--format", "timesketch"]));
    assert!(own.len() > 100 && [ocsf.len(), ecs.len(), sketch.len()] == [own.len(); 3]);
    for (((own, ocsf), ecs), sketch) in own.iter().zip(&ocsf).zip(&ecs).zip(&sketch) {
        assert_eq!(ocsf["metadata"]["version"], "1.8.0");
        assert_eq!(ocsf["metadata"]["original_event_uid"], own["event_id"]);
        let micros =
            agenttrace::domain::Timestamp::parse(own["timestamp"].as_str().unwrap()).unwrap().as_micros();
        assert_eq!(ocsf["time"], micros / 1_000);
        assert_eq!(ocsf["actor"]["user"]["uid"], own["actor_id"]);
        assert_eq!(ecs["event"]["id"], own["event_id"]);
        assert_eq!(ecs["@timestamp"], own["timestamp"]);
        assert!(ecs["related"]["user"].as_array().unwrap().contains(&own["actor_id"]));
        assert_eq!(sketch["datetime"], own["timestamp"]);
        assert!(sketch["message"].is_string() && sketch["timestamp_desc"].is_string());
        assert!(sketch.get("timestamp").is_none(), "its unit is read in two ways");
    }
    scene.test.drop_now().await;
}

#[tokio::test]
async fn what_is_written_meanwhile_is_not_in_a_snapshot() {
    let scene = Scene::new().await;
    scene.store(vec![event("acme", "e-1")]).await;
    let db = reader(&scene.test.options).await;
    let all = query("acme", "");
    let count = async |db: &_| -> Result<usize, StoreError> {
        Ok(timeline::page(db, &all, &Seek::Oldest, 10, &never()).await?.rows.len())
    };
    let within: Result<usize, StoreError> = db
        .at_one_snapshot(&never(), |frozen| async move {
            scene.store(vec![event("acme", "e-2")]).await;
            assert_eq!(count(&frozen).await?, 1);
            let n = count(&frozen).await?;
            scene.test.drop_now().await;
            Ok(n)
        })
        .await;
    // The database is gone by now; the snapshot was read before.
    assert_eq!(within.unwrap(), 1);
    db.close().await;
}

#[tokio::test]
async fn a_stopped_export_leaves_no_file() {
    let scene = Scene::new().await;
    fill(&scene.test.options, 2_000, 10).await;
    // It waits for this lock, and is then told to end.
    let mut c = scene.connect().await;
    sqlx::raw_sql("BEGIN; LOCK TABLE audit_events IN ACCESS EXCLUSIVE MODE").execute(&mut c).await.unwrap();
    let args = ["--timeout", "1s", "--org", "o-1", "export", "--all-time", "-o", "x.ndjson"];
    let url = scene.test.url();
    let mut command = scene.home.agenttrace();
    command.args(["--database-url", &url]).args(args).timeout(Duration::from_secs(60));
    let output = command.output().unwrap();
    assert_ne!(output.status.code(), Some(0), "{}", said(&output));
    let left: Vec<_> = fs::read_dir(scene.home.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().contains("ndjson")), "{left:?}");
    assert!(left.iter().all(|name| !name.to_string_lossy().starts_with(".tmp")), "{left:?}");
    sqlx::raw_sql("ROLLBACK").execute(&mut c).await.unwrap();
    c.close().await.unwrap();
    scene.test.drop_now().await;
}
