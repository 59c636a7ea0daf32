//! Files that were exported, read by others: Python's standard library, DuckDB and pyarrow; and held to the schemas that
//! OCSF and ECS have published (`tests/fixtures`, which name their sources).

use crate::export::{Scene, hostile, lines, said};
use crate::timeline::fill;
use crate::writer::event;

use agenttrace::domain::{Category, Json, NewEvent, Timestamp};
use serde_json::Value;
use std::fs;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::process::Command;

const EXPORT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oracle/read_export.py");
const TABLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oracle/read_tables.py");
const OCSF: &str = include_str!("../fixtures/ocsf-1.8.0.json");
const ECS: &str = include_str!("../fixtures/ecs-9.4.0.json");

/// The files of a scene as Python reads them, each with the name of its format. `None` where there is no python3.
fn by_python(scene: &Scene, files: &[(&str, &str)]) -> Option<Vec<Vec<Value>>> {
    let arguments = files.iter().map(|(form, name)| format!("{form}={}", scene.path(name)));
    let output = match Command::new("python3").arg("-I").arg(EXPORT).args(arguments).output() {
        Ok(output) => output,
        Err(e) if e.kind() == ErrorKind::NotFound => {
            println!("skipped: there is no python3");
            return None;
        }
        Err(e) => panic!("{e}"),
    };
    assert!(output.status.success(), "{}", said(&output));
    let read = lines(&String::from_utf8(output.stdout).unwrap());
    Some(read.into_iter().map(|file| file["events"].as_array().unwrap().clone()).collect())
}

/// An event by its id without the columns that others spell otherwise.
fn by_id(mut events: Vec<Value>, without: &[&str]) -> Vec<Value> {
    for event in &mut events {
        let event = event.as_object_mut().unwrap();
        for name in without {
            event.remove(*name);
        }
    }
    events.sort_by_key(|event| event["event_id"].as_str().unwrap().to_owned());
    events
}

#[tokio::test]
async fn python_reads_what_postgresql_holds_and_the_manifest_holds() {
    let scene = Scene::new().await;
    scene.store(hostile("acme")).await;
    let rows = scene.rows_as_json().await;
    fs::write(scene.path("rows"), rows.join("\n")).unwrap();
    scene.export("a.ndjson", &[]);
    scene.export("a.json", &["--format", "json"]);
    scene.export("a.csv", &["--format", "csv"]);
    scene.export("raw.csv", &["--format", "csv", "--csv-raw"]);
    scene.export("text.ndjson", &["--states", "text"]);
    scene.export("marked.ndjson", &["--integrity"]);
    let files = [
        ("rows", "rows"),
        ("ndjson", "a.ndjson"),
        ("json", "a.json"),
        ("csv", "a.csv"),
        ("csv-raw", "raw.csv"),
        ("ndjson", "text.ndjson"),
        ("ndjson", "marked.ndjson"),
    ];
    if let Some(read) = by_python(&scene, &files) {
        // The row's time has another form, the vector is made of the others, and a mark is no column.
        let others = ["timestamp", "search_vector", "integrity"];
        let mut read = read.into_iter().map(|events| by_id(events, &others));
        let held = read.next().unwrap();
        assert_eq!(held.len(), hostile("acme").len());
        for (found, (_, name)) in read.zip(&files[1..]) {
            assert_eq!(found, held, "{name}");
        }
    }
    // A file that was changed afterwards is found by whoever has its manifest.
    let mut text = fs::read_to_string(scene.path("a.ndjson")).unwrap();
    text = text.replacen("user.updated", "user.created", 1);
    fs::write(scene.path("a.ndjson"), text).unwrap();
    let changed = format!("ndjson={}", scene.path("a.ndjson"));
    if let Ok(output) = Command::new("python3").arg("-I").arg(EXPORT).arg(changed).output() {
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(said(&output).contains("the manifest says"), "{}", said(&output));
    }
    scene.test.drop_now().await;
}

/// `AGENTTRACE_TEST_PYTHON` names a Python with the packages `duckdb` and `pyarrow`.
#[tokio::test]
async fn duckdb_and_pyarrow_read_what_postgresql_holds() {
    let Some(python) = std::env::var_os("AGENTTRACE_TEST_PYTHON") else {
        println!("skipped: AGENTTRACE_TEST_PYTHON names no Python with duckdb and pyarrow");
        return;
    };
    let scene = Scene::new().await;
    let mut events = hostile("acme");
    // What DuckDB refuses in states as JSON.
    let state = Some(Json::from_trusted(r#"{"Key": 1, "key": {"KEY": 2}}"#));
    events.push(NewEvent { new_state: state, ..event("acme", "keys") });
    scene.store(events.clone()).await;
    scene.export("text.ndjson", &["--states", "text"]);
    scene.export("json.ndjson", &[]);
    scene.export("raw.csv", &["--format", "csv", "--csv-raw"]);
    let has_parquet = cfg!(feature = "parquet");
    if has_parquet {
        let path = scene.path("data.parquet");
        let written = scene.run(&scene.test, &["export", "--all-time", "--format", "parquet", "-o", &path]);
        assert_eq!(written.status.code(), Some(0), "{}", said(&written));
    }
    let output = Command::new(python).arg(TABLES).arg(scene.path("")).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    println!("duckdb {}, pyarrow {}; states as JSON: {}", told["duckdb"], told["pyarrow"], told["json"]);
    let held = scene.states_as_text().await;
    let found = |reader: &str, cell: fn(&str) -> String| {
        let rows = told[reader].as_array().unwrap().iter().map(|row| {
            let text = |name: &str| row[name].as_str().map(cell);
            let state = serde_json::from_str::<Value>(row["new_state"].as_str().unwrap()).unwrap();
            (text("event_id").unwrap(), text("resource_name"), text("session_id"), state)
        });
        let mut rows: Vec<_> = rows.collect();
        rows.sort_by(|a, b| a.0.cmp(&b.0));
        rows
    };
    assert_eq!(found("ndjson", str::to_owned), held);
    let inner = told["keys"][0][1].as_str().unwrap();
    assert_eq!(told["keys"][0][0], "1");
    assert_eq!(serde_json::from_str::<Value>(inner).unwrap(), serde_json::json!({"KEY": 2}));
    assert_eq!(found("raw", agenttrace::domain::unescaped), held);
    if has_parquet {
        assert_eq!(found("parquet", str::to_owned), held);
        assert_eq!(found("arrow", str::to_owned), held);
        assert_eq!(told["types"]["timestamp"], "timestamp[us, tz=UTC]");
        assert_eq!(told["types"]["new_state"], "string");
        assert_eq!(told["instants"][0], "2026-01-05T08:01:01+00:00");
    }
    scene.test.drop_now().await;
}

#[cfg(feature = "parquet")]
#[tokio::test]
async fn a_parquet_file_of_many_groups_holds_every_event_and_its_manifest_holds() {
    use ::parquet::file::reader::{FileReader as _, SerializedFileReader};
    use ::parquet::record::RowAccessor as _;
    use sha2::Digest as _;

    let scene = Scene::new().await;
    fill(&scene.test.options, 1_200, 10).await;
    // More than a row group holds. And the infinities are no instants of Parquet's.
    let mut c = scene.connect().await;
    let end = "ALTER TABLE audit_events DISABLE TRIGGER ALL;
        UPDATE audit_events SET new_state = jsonb_build_object('x', repeat(md5(event_id), 700));
        UPDATE audit_events SET timestamp = 'infinity' WHERE event_id = (
            SELECT max(event_id) FROM audit_events WHERE organization_id = 'o-1')";
    sqlx::raw_sql(end).execute(&mut c).await.unwrap();
    let path = scene.path("a.parquet");
    let arguments = ["--org", "o-1", "export", "--all-time", "--integrity", "--format", "parquet"];
    let refused = scene.run(&scene.test, &arguments);
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
    assert!(refused.stdout.is_empty() && said(&refused).contains("goes with -o FILE"), "{}", said(&refused));
    let written = scene.run(&scene.test, &[&arguments[..], &["-o", &path]].concat());
    assert_eq!(written.status.code(), Some(0), "{}", said(&written));
    let own = scene.export("own.ndjson", &["--org", "o-1"]);
    let reader = SerializedFileReader::new(fs::File::open(&path).unwrap()).unwrap();
    assert_eq!(reader.num_row_groups(), 2);
    let mut events = 0;
    for (row, own) in reader.get_row_iter(None).unwrap().zip(lines(&own)) {
        let row = row.unwrap();
        assert_eq!(row.get_string(0).unwrap(), own["event_id"].as_str().unwrap());
        let time = Timestamp::parse(own["timestamp"].as_str().unwrap()).unwrap();
        match row.get_timestamp_micros(1) {
            Ok(micros) => assert_eq!(micros, time.as_micros()),
            Err(_) => assert_eq!(time, Timestamp::INFINITY),
        }
        assert_eq!(row.get_string(21).unwrap(), own["previous_hash"].as_str().unwrap());
        assert!(row.get_string(22).is_ok() && row.len() == 24);
        events += 1;
    }
    let manifest = scene.manifest("a.parquet");
    let bytes = fs::read(&path).unwrap();
    assert_eq!((events, manifest["events"].as_u64()), (600, Some(600)));
    assert_eq!(manifest["sha256"], agenttrace::chain::to_hex(&sha2::Sha256::digest(&bytes).into()));
    scene.test.drop_now().await;
}

/// What a schema says of events, as far as the extract of it goes.
struct Ocsf(Value);

impl Ocsf {
    fn check(&self, event: &Value) {
        let class = event["class_uid"].to_string();
        self.object(&self.0["classes"][&class], event, &class);
        assert_eq!(
            event["type_uid"].as_i64().unwrap(),
            event["class_uid"].as_i64().unwrap() * 100 + event["activity_id"].as_i64().unwrap()
        );
    }

    fn object(&self, schema: &Value, value: &Value, place: &str) {
        let attributes = schema["attributes"].as_object().unwrap_or_else(|| panic!("{place}: unknown"));
        let members = value.as_object().unwrap_or_else(|| panic!("{place}: no object"));
        for (name, attribute) in attributes {
            let is_there = members.contains_key(name);
            assert!(is_there || attribute["required"] != true, "{place}.{name} is required: {value}");
        }
        for (name, member) in members {
            let place = format!("{place}.{name}");
            let attribute = attributes.get(name).unwrap_or_else(|| panic!("{place} is not in the schema"));
            assert_ne!(attribute["deprecated"], true, "{place}");
            match member.as_array().filter(|_| attribute["array"] == true) {
                Some(all) => all.iter().for_each(|value| self.value(attribute, value, &place)),
                None => self.value(attribute, member, &place),
            }
        }
        let constraints = schema["constraints"].as_object().into_iter().flatten();
        for (kind, names) in constraints {
            let there =
                names.as_array().unwrap().iter().filter(|n| members.contains_key(n.as_str().unwrap()));
            match kind.as_str() {
                "at_least_one" => assert!(there.count() > 0, "{place}: {kind} of {names}"),
                "just_one" => assert_eq!(there.count(), 1, "{place}: {kind} of {names}"),
                other => panic!("{other}"),
            }
        }
    }

    fn value(&self, attribute: &Value, value: &Value, place: &str) {
        let kind = attribute["type"].as_str().unwrap();
        match kind.strip_prefix("object ") {
            Some("object") => return assert!(value.is_object(), "{place}"),
            Some(object) => return self.object(&self.0["objects"][object], value, place),
            None => {}
        }
        let text = value.as_str();
        let fits = match (kind, attribute["base"].as_str().unwrap_or(kind)) {
            ("json_t", _) => true,
            ("ip_t", _) => text.is_some_and(|text| text.parse::<IpAddr>().is_ok()),
            ("email_t", _) => text.is_some_and(is_email),
            (_, "integer_t") => value.as_i64().is_some_and(|n| i32::try_from(n).is_ok()),
            (_, "long_t") => value.is_i64(),
            (_, "boolean_t") => value.is_boolean(),
            (_, "string_t") => text.is_some(),
            other => panic!("{place}: {other:?}"),
        };
        assert!(fits, "{place}: {value} is no {kind}");
        if let Some(allowed) = attribute["enum"].as_array() {
            assert!(allowed.contains(&value.to_string().into()), "{place}: {value} is none of {allowed:?}");
        }
    }
}

/// `^[a-zA-Z0-9!#$%&'*+-/=?^_`{|}~.]+@[a-zA-Z0-9-]+\.[a-zA-Z0-9-.]+$`
fn is_email(text: &str) -> bool {
    let [local, behind] = text.split('@').collect::<Vec<_>>()[..] else { return false };
    let parts: Vec<&str> = behind.splitn(2, '.').collect();
    let is = |part: &str, more: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || more.as_bytes().contains(&b))
    };
    parts.len() == 2 && is(local, "!#$%&'*+,-./=?^_`{|}~") && is(parts[0], "-") && is(parts[1], "-.")
}

/// The leaves of an object by their paths, but those of our own namespace.
fn leaves<'v>(value: &'v Value, path: &str, found: &mut Vec<(String, &'v Value)>) {
    for (name, member) in value.as_object().unwrap() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match member {
            _ if path == "agenttrace" => {}
            Value::Object(_) => leaves(member, &path, found),
            _ => found.push((path, member)),
        }
    }
}

fn check_ecs(schema: &Value, event: &Value) {
    let mut found = Vec::new();
    leaves(event, "", &mut found);
    for (path, value) in found {
        let field = &schema["fields"][&path];
        let kind = field[0].as_str().unwrap_or_else(|| panic!("{path} is not in the schema"));
        assert_eq!(value.is_array(), field[1] == "array", "{path}");
        for value in value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice) {
            let text = value.as_str();
            let fits = match kind {
                "keyword" | "match_only_text" | "wildcard" => text.is_some(),
                "ip" => text.is_some_and(|text| text.parse::<IpAddr>().is_ok()),
                "date" => text.is_some_and(|text| Timestamp::parse(text).is_ok_and(|t| t.to_utc().is_some())),
                "long" => value.is_i64(),
                other => panic!("{path}: {other}"),
            };
            assert!(fits, "{path}: {value} is no {kind}");
        }
    }
    assert!(schema["kinds"].as_array().unwrap().contains(&event["event"]["kind"]), "{event}");
    for category in event["event"]["category"].as_array().unwrap() {
        let types = schema["types"][category.as_str().unwrap()].as_array();
        let types = types.unwrap_or_else(|| panic!("{category} is no category"));
        for kind in event["event"]["type"].as_array().unwrap() {
            assert!(types.contains(kind), "{category} {kind}");
        }
    }
}

#[tokio::test]
async fn events_are_as_ocsf_and_ecs_have_published() {
    let (ocsf, ecs) = (Ocsf(serde_json::from_str(OCSF).unwrap()), serde_json::from_str(ECS).unwrap());
    let scene = Scene::new().await;
    fill(&scene.test.options, 700, 10).await;
    let mut odd = hostile("acme");
    for (n, event) in odd.iter_mut().enumerate() {
        event.event_category = [Category::Auth, Category::Data, Category::Config, Category::Admin][n % 4];
        event.actor_email = [None, Some("eve@example.org"), Some("zoë@example.org"), Some("no address")]
            [n % 4]
            .map(str::to_owned);
        event.actor_ip = [None, Some("10.0.0.0/8"), Some("2001:db8::1")][n % 3].map(str::to_owned);
        event.request_id = ["", "r-1"][n % 2].to_owned();
    }
    scene.store(odd).await;
    let (mut addresses, mut others, mut classes) = (0, 0, [0, 0]);
    for organization in ["o-1", "acme"] {
        let arguments = ["--org", organization, "--integrity", "--overwrite", "--format"];
        for event in lines(&scene.export("a.ocsf", &[&arguments[..], &["ocsf"]].concat())) {
            ocsf.check(&event);
            addresses += usize::from(event["actor"]["user"]["email_addr"].is_string());
            // Nothing is left out because it does not fit.
            others += usize::from(event["unmapped"]["actor_email"].is_string());
            classes[usize::from(event["class_uid"] == 3004)] += 1;
        }
        for event in lines(&scene.export("a.ecs", &[&arguments[..], &["ecs"]].concat())) {
            check_ecs(&ecs, &event);
        }
    }
    assert!(addresses > 100 && classes.iter().all(|n| *n > 10), "{addresses} {classes:?}");
    assert_eq!(others, 5, "those that are no address to the schema");
    scene.test.drop_now().await;
}

#[test]
fn a_schema_refuses_what_is_not_in_it() {
    let ocsf: Value = serde_json::from_str(OCSF).unwrap();
    let good = serde_json::json!({
        "activity_id": 1, "category_uid": 3, "class_uid": 3002, "type_uid": 300_201, "severity_id": 1, "time": 1,
        "metadata": {"version": "1.8.0", "product": {"name": "x", "vendor_name": "x"}},
        "user": {"uid": "u"}, "service": {"name": "s"},
    });
    let refuses = |change: fn(&mut Value)| {
        let (ocsf, mut event) = (Ocsf(ocsf.clone()), good.clone());
        change(&mut event);
        std::panic::catch_unwind(move || ocsf.check(&event)).is_err()
    };
    assert!(!refuses(|_| {}));
    assert!(refuses(|event| event["service"] = Value::Null));
    assert!(refuses(|event| drop(event.as_object_mut().unwrap().remove("service"))));
    assert!(refuses(|event| event["severity_id"] = 7.into()));
    assert!(refuses(|event| event["user"]["email_addr"] = "zoë@example.org".into()));
    assert!(refuses(|event| event["metadata"]["product"]["nickname"] = "x".into()));
    assert!(refuses(|event| event["time"] = "2026".into()));
}
