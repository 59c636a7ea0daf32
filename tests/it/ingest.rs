//! Loading logs, through the real program into a real database.

use crate::support::{self, TestDatabase};
use serde_json::{Value, json};
use sqlx::ConnectOptions as _;
use sqlx::postgres::PgConnection;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;
use tempfile::TempDir;

/// A database and a folder to run the program in.
struct Bench {
    db: TestDatabase,
    folder: TempDir,
}

impl Bench {
    async fn new() -> Self {
        Self { db: support::database().await, folder: tempfile::tempdir().unwrap() }
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// `agenttrace ingest` on the database, in the folder, without the settings of whoever runs the tests.
    fn ingest(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_agenttrace"));
        for name in ["AGENTTRACE_DATABASE_URL", "DATABASE_URL", "AGENTTRACE_CONFIG"] {
            command.env_remove(name);
        }
        command
            .env("XDG_CONFIG_HOME", self.folder.path())
            .current_dir(self.folder.path())
            .arg("--database-url")
            .arg(self.db.options.to_url_lossy().as_str())
            .arg("ingest")
            .stdin(Stdio::null());
        command
    }

    /// Runs with `--format json` and returns the exit code, the last line and stderr.
    fn run(&self, args: &[&str]) -> (i32, Value, String) {
        let output = self.ingest().args(["--format", "json"]).args(args).output().unwrap();
        let report = String::from_utf8(output.stdout.clone()).unwrap();
        (output.status.code().unwrap(), serde_json::from_str(&report).unwrap_or_default(), stderr(&output))
    }

    async fn connect(&self) -> PgConnection {
        self.db.options.connect().await.unwrap()
    }

    /// Number of events that a condition holds for.
    async fn count(&self, condition: &'static str) -> i64 {
        let sql = format!("SELECT count(*) FROM audit_events e WHERE {condition}");
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&mut self.connect().await).await.unwrap()
    }

    /// Holds the chain of each organisation to: one beginning, one end, no gap, no fork.
    async fn assert_whole(&self) {
        let wrong: Vec<(String, i64, i64, i64)> = sqlx::query_as(
            "SELECT organization_id, count(*) FILTER (WHERE previous_hash = ''), \
                    count(*) FILTER (WHERE NOT EXISTS (SELECT FROM audit_events s \
                        WHERE s.previous_hash = e.hash AND s.organization_id = e.organization_id)), \
                    count(*) - count(DISTINCT previous_hash) \
             FROM audit_events e GROUP BY 1",
        )
        .fetch_all(&mut self.connect().await)
        .await
        .unwrap();
        for (organization, beginnings, ends, forks) in wrong {
            assert_eq!((beginnings, ends, forks), (1, 1, 0), "chain of {organization}");
        }
        assert_eq!(
            self.count(
                "previous_hash <> '' AND NOT EXISTS (SELECT FROM audit_events p \
                WHERE p.hash = e.previous_hash AND p.organization_id = e.organization_id)"
            )
            .await,
            0
        );
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Event `n` of an organisation, as one line.
fn event(organization: &str, n: usize) -> String {
    json!({
        "event_id": format!("{organization}-{n}"), "timestamp": "2026-01-15T09:58:01.002Z",
        "organization_id": organization, "actor_type": "user", "actor_id": "u-1", "actor_ip": "203.0.113.9",
        "event_category": "data", "event_type": "trace.exported", "event_severity": "info",
        "resource_type": "trace", "resource_id": format!("tr-{n}"), "action": "export",
        "new_state": {"n": n}, "request_id": format!("r-{n}")
    })
    .to_string()
        + "\n"
}

fn events(organization: &str, n: usize) -> String {
    (0..n).map(|n| event(organization, n)).collect()
}

fn cloudtrail(account: &str, n: usize) -> Value {
    json!({
        "eventID": format!("{account}-{n}"), "eventTime": "2023-07-10T11:42:36Z", "eventName": "GetObject",
        "eventSource": "s3.amazonaws.com", "awsRegion": "eu-central-1", "readOnly": true,
        "recipientAccountId": account, "sourceIPAddress": "AWS Internal", "userAgent": "x",
        "userIdentity": {"type": "IAMUser", "userName": "bert"}
    })
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_organisations_each_get_a_chain_and_a_second_run_adds_nothing() {
    let bench = Bench::new().await;
    let mut lines = String::new();
    for n in 0..30 {
        lines += &event("acme", n);
        lines += &event("globex", n);
    }
    bench.file("trail.ndjson.zst", zstd::encode_all(lines.as_bytes(), 1).unwrap());
    let (code, report, said) = bench.run(&["trail.ndjson.zst", "--batch", "7"]);
    assert_eq!((code, &report["read"], &report["stored"]), (0, &json!(60), &json!(60)), "{said}");
    assert_eq!(report["organizations"], json!(["acme", "globex"]));
    assert!(said.contains("recognised as AgentTrace events"), "{said}");
    bench.assert_whole().await;
    let head: String = sqlx::query_scalar("SELECT hash FROM audit_events WHERE event_id = 'globex-29'")
        .fetch_one(&mut bench.connect().await)
        .await
        .unwrap();
    assert_eq!(
        report["heads"][1],
        json!({"organization_id": "globex", "event_id": "globex-29", "hash": head})
    );

    // Without statistics the estimates of a new table are worth nothing.
    let analysed: f32 = sqlx::query_scalar("SELECT reltuples FROM pg_class WHERE relname = 'audit_events'")
        .fetch_one(&mut bench.connect().await)
        .await
        .unwrap();
    assert!((analysed - 60.0).abs() < 0.5, "{analysed}");

    let (code, again, _) = bench.run(&["trail.ndjson.zst"]);
    assert_eq!((code, &again["stored"], &again["duplicate"]), (0, &json!(0), &json!(60)));
    assert_eq!(again["heads"], report["heads"]);
    let output = bench.ingest().arg("trail.ndjson.zst").output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("Nothing was added: all 60 events are there already."), "{said}");
    bench.db.drop_now().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_records_are_named_kept_and_counted_and_the_rest_is_loaded() {
    let bench = Bench::new().await;
    let bytes = [
        event("acme", 0).as_bytes(),
        b"{\"event_id\": \n",
        b"\r\n",
        event("acme", 1).replace("\"export\"", "\"expunge\"").as_bytes(),
        b"\xff\x1b[31m\n",
        event("acme", 2).replace("tr-2", &"x".repeat(65)).as_bytes(),
        event("acme", 0).replace("u-1", "u-2").as_bytes(),
        event("acme", 3).as_bytes(),
    ]
    .concat();
    bench.file("trail.log", &bytes);
    let (code, report, said) = bench.run(&["trail.log"]);
    let numbers = ["read", "stored", "duplicate", "conflict", "rejected"].map(|key| report[key].clone());
    assert_eq!((code, numbers.as_slice()), (1, [7, 2, 0, 1, 4].map(Value::from).as_slice()), "{said}");
    for line in [
        "trail.log:2: rejected: no JSON object",
        "trail.log:4: rejected: action: 'expunge' is none of create",
        "trail.log:5: rejected: not UTF-8 from byte 1 of the record on",
        "trail.log:6: rejected: resource_id: has 65 characters, the column holds 64",
        "trail.log:7: conflict: another event with the same event_id",
        "error: 5 of 7 records were not stored",
    ] {
        assert!(said.contains(line), "{line} is missing in\n{said}");
    }
    assert!(!said.contains('\x1b'));
    let kept: Vec<Value> = fs::read_to_string(bench.folder.path().join("trail.rejected.ndjson"))
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let lines: Vec<_> =
        kept.iter().map(|r| (r["line"].as_u64().unwrap(), r["fate"].as_str().unwrap())).collect();
    assert_eq!(lines, [(2, "rejected"), (4, "rejected"), (5, "rejected"), (6, "rejected"), (7, "conflict")]);
    assert_eq!(kept[0]["text"], "{\"event_id\":");
    assert_eq!(kept[2]["base64"], "/xtbMzFt");
    bench.assert_whole().await;
    bench.db.drop_now().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_bad_records_are_shown_in_part() {
    let bench = Bench::new().await;
    bench.file("bad.ndjson", event("acme", 0) + &"nonsense\n".repeat(50));
    let (code, report, said) = bench.run(&["bad.ndjson", "--rejected", "kept.ndjson"]);
    assert_eq!((code, &report["rejected"]), (1, &json!(50)));
    assert_eq!(said.matches(": rejected: ").count(), 20);
    assert!(said.contains("… and 30 more"), "{said}");
    assert_eq!(fs::read_to_string(bench.folder.path().join("kept.ndjson")).unwrap().lines().count(), 50);
    bench.db.drop_now().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cloudtrail_documents_belong_to_their_account_or_to_the_named_organisation() {
    let bench = Bench::new().await;
    let document = json!({"Records": [cloudtrail("111122223333", 1), cloudtrail("444455556666", 1)]});
    bench.file("one.json.gz", gzip(document.to_string().as_bytes()));
    let pretty = json!({"Records": [cloudtrail("111122223333", 2)]});
    bench.file("two.json", format!("{pretty:#}"));
    let (code, report, said) = bench.run(&["one.json.gz", "two.json"]);
    assert_eq!((code, &report["stored"]), (0, &json!(3)), "{said}");
    assert_eq!(report["organizations"], json!(["111122223333", "444455556666"]));
    bench.assert_whole().await;

    bench.file("three.json", cloudtrail("111122223333", 3).to_string());
    let output =
        bench.ingest().args(["three.json", "--format", "cloudtrail", "--org", "invictus"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(
        bench.count("organization_id = 'invictus' AND new_state->>'recipientAccountId' LIKE '111%'").await,
        1
    );
    bench.db.drop_now().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preserved_chain_is_stored_as_given_and_belongs_to_its_organisation() {
    let bench = Bench::new().await;
    let link = |n: usize, hash: &str, previous: &str| {
        let mut e: Value = serde_json::from_str(&event("acme", n)).unwrap();
        e["hash"] = hash.into();
        e["previous_hash"] = previous.into();
        format!("{e}\n")
    };
    // Two ends: as evidence it is loaded, but nobody can go on from it without a word.
    bench.file(
        "evidence.ndjson",
        link(0, "aa", "") + &link(1, "bb", "aa") + &link(2, "cc", "aa") + &event("acme", 3),
    );

    let (code, _, said) = bench.run(&["evidence.ndjson", "--preserve-chain", "--org", "globex"]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("evidence.ndjson:1: the record is of organisation 'acme'"), "{said}");
    assert_eq!(bench.count("true").await, 0);

    let (code, report, said) = bench.run(&["evidence.ndjson", "--preserve-chain", "--org", "acme"]);
    assert_eq!((code, &report["stored"], &report["rejected"]), (1, &json!(3), &json!(1)), "{said}");
    assert!(
        said.contains("evidence.ndjson:4: rejected: hash: missing, but --preserve-chain needs it"),
        "{said}"
    );
    assert_eq!(report["heads"].as_array().unwrap().len(), 2);
    assert_eq!(bench.count("hash = 'bb' AND previous_hash = 'aa'").await, 1);

    bench.file("more.ndjson", event("acme", 9));
    let (code, _, said) = bench.run(&["more.ndjson"]);
    assert_eq!(code, 3);
    assert!(said.contains("--continue-from HASH") && said.contains("bb") && said.contains("cc"), "{said}");
    let (code, _, said) = bench.run(&["more.ndjson", "--continue-from", "cc"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(bench.count("event_id = 'acme-9' AND previous_hash = 'cc'").await, 1);

    bench.file("aws.json", cloudtrail("1", 1).to_string());
    let (code, _, said) = bench.run(&["aws.json", "--preserve-chain"]);
    assert_eq!(code, 2, "{said}");
    bench.db.drop_now().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_exit_3_and_what_is_cut_off_is_loaded_as_far_as_it_goes() {
    let bench = Bench::new().await;
    let (code, _, said) = bench.run(&["absent.ndjson"]);
    assert_eq!(code, 3);
    assert!(said.contains("cannot read 'absent.ndjson'"), "{said}");
    bench.file("empty.ndjson", "\n");
    assert_eq!(bench.run(&["empty.ndjson"]).0, 3);
    bench.file("cut.gz", &gzip(b"x")[..10]);
    assert_eq!(bench.run(&["cut.gz"]).0, 3);
    bench.file("prose.txt", "Dear all,\nnothing to see here\n");
    let (code, report, said) = bench.run(&["prose.txt"]);
    assert_eq!((code, &report["rejected"]), (1, &json!(2)));
    assert!(said.contains("its format is not recognised"), "{said}");
    assert_eq!(bench.run(&["."]).0, 2);

    // One absent file keeps the others from being loaded by halves.
    bench.file("good.ndjson", event("acme", 0));
    assert_eq!(bench.run(&["good.ndjson", "absent.ndjson"]).0, 3);
    assert_eq!(bench.count("true").await, 0);

    let whole = gzip(events("acme", 3000).as_bytes());
    bench.file("half.ndjson.gz", &whole[..whole.len() / 2]);
    let (code, report, said) = bench.run(&["half.ndjson.gz"]);
    let stored = report["stored"].as_u64().unwrap();
    assert_eq!(code, 1);
    assert!(stored > 500 && stored < 2500, "{stored}");
    let line = report["read"].as_u64().unwrap();
    assert!(said.contains(&format!("half.ndjson.gz:{line}: ")), "{line} is not named in\n{said}");
    bench.assert_whole().await;
    bench.file("whole.ndjson.gz", whole);
    let (code, report, _) = bench.run(&["whole.ndjson.gz"]);
    assert_eq!((code, &report["duplicate"], &report["stored"]), (0, &json!(stored), &json!(3000 - stored)));
    bench.assert_whole().await;
    bench.db.drop_now().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rehearsal_needs_no_database_and_leaves_nothing_behind() {
    let bench = Bench::new().await;
    bench.file("trail.ndjson", events("acme", 5) + "{}\n" + &event("acme", 6).replace("203.0.113.9", "here"));
    let output = Command::new(env!("CARGO_BIN_EXE_agenttrace"))
        .env("XDG_CONFIG_HOME", bench.folder.path())
        .env("AGENTTRACE_DATABASE_URL", "postgres://nobody@127.0.0.1:1/nowhere")
        .current_dir(bench.folder.path())
        .args(["--format", "json", "ingest", "trail.ndjson", "--dry-run"])
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert_eq!(
        (&report["dry_run"], &report["stored"], &report["rejected"]),
        (&json!(true), &json!(5), &json!(2))
    );
    assert!(stderr(&output).contains("trail.ndjson:7: rejected: actor_ip: 'here'"), "{}", stderr(&output));
    assert!(!bench.folder.path().join("trail.rejected.ndjson").exists());
    assert_eq!(bench.count("true").await, 0);
    bench.db.drop_now().await;
}

/// A program that loads from a pipe, and the thread that fills it and gives it back still open.
struct Loading {
    program: Child,
    pipe: JoinHandle<ChildStdin>,
}

/// Starts loading from a pipe that stays open, and waits until some of it is stored.
async fn in_the_middle(bench: &Bench, lines: String) -> Loading {
    let mut program = bench
        .ingest()
        .args(["-", "--batch", "100"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = program.stdin.take().unwrap();
    let pipe = std::thread::spawn(move || {
        // The program may be killed before it has read everything.
        let _ = stdin.write_all(lines.as_bytes());
        stdin
    });
    let stored = async {
        while bench.count("true").await == 0 {
            assert!(program.try_wait().unwrap().is_none(), "it ended before it had stored anything");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(100), stored).await;
    assert!(in_time.is_ok(), "nothing was stored, although lines wait in the pipe");
    Loading { program, pipe }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_the_middle_and_started_again_it_doubles_nothing() {
    let bench = Bench::new().await;
    let lines = events("acme", 4000) + &events("globex", 1000);
    let mut loading = in_the_middle(&bench, lines.clone()).await;
    loading.program.kill().unwrap();
    loading.program.wait().unwrap();
    drop(loading.pipe.join());
    let before = bench.count("true").await;
    bench.assert_whole().await;
    bench.file("trail.ndjson", &lines);
    let (code, report, said) = bench.run(&["trail.ndjson"]);
    assert_eq!(code, 0, "{said}");
    // A commit that was on its way may have come through after the count.
    assert!(report["duplicate"].as_i64().unwrap() >= before);
    assert_eq!(bench.count("true").await, 5000);
    bench.assert_whole().await;
    bench.db.drop_now().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn interrupted_it_stops_between_batches_and_says_what_is_stored() {
    let bench = Bench::new().await;
    // Few lines need not wait for a full batch, and as the pipe stays open, the end can only come from the signal.
    let loading = in_the_middle(&bench, events("acme", 20)).await;
    let sent = Command::new("kill").args(["-INT", &loading.program.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let output = loading.program.wait_with_output().unwrap();
    drop(loading.pipe.join());
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert!(stderr(&output).contains("stopped; what was stored stays"), "{}", stderr(&output));
    bench.assert_whole().await;
    bench.db.drop_now().await;
}

/// The real logs, which lie beside the repository on the developers' machines.
fn shared(path: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let found = ["../shared", "../../shared"].iter().map(|up| root.join(up).join("data").join(path));
    let found = found.into_iter().find(|p| p.exists());
    if found.is_none() {
        println!("skipped: ../shared/data/{path} is not there");
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn every_record_of_the_real_logs_is_loaded() {
    let logs = [("aws-invictus", 2093), ("aws-stratus", 202), ("aws-opensearch-sample", 840)];
    let mut bench = None;
    for (name, records) in logs {
        let Some(path) = shared(&format!("{name}/cloudtrail.ndjson.gz")) else { continue };
        if bench.is_none() {
            bench = Some(Bench::new().await);
        }
        let bench = bench.as_ref().unwrap();
        let (code, report, said) = bench.run(&[path.to_str().unwrap(), "--org", name]);
        assert_eq!((code, &report["stored"]), (0, &json!(records)), "{name}: {said}");
    }
    let Some(bench) = bench else { return };
    bench.assert_whole().await;
    // What a column cannot hold must be in the state.
    assert_eq!(bench.count("actor_ip IS NULL AND NOT new_state ? 'sourceIPAddress'").await, 0);
    assert_eq!(bench.count("event_severity = 'critical' AND event_type = 'cloudtrail.StopLogging'").await, 4);
    bench.db.drop_now().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn golden_vectors_load_with_their_chains_or_are_refused_with_a_reason() {
    let Some(folder) = shared("agenttrace") else { return };
    let bench = Bench::new().await;
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    for (name, stored, rejected) in
        [("basic", 200, 0), ("tricky", 43, 0), ("tricky_refused", 0, 8), ("honest_three_workers", 60, 0)]
    {
        let (_, report, said) = bench.run(&[&path(&format!("{name}.ndjson")), "--preserve-chain"]);
        assert_eq!(
            (&report["stored"], &report["rejected"]),
            (&json!(stored), &json!(rejected)),
            "{name}: {said}"
        );
    }
    let expected: Value =
        serde_json::from_str(&fs::read_to_string(path("basic.expected.json")).unwrap()).unwrap();
    let wanted = expected["final_heads"].to_string();
    let (_, report, _) = bench.run(&[&path("basic.ndjson"), "--preserve-chain"]);
    let head = report["heads"][0]["hash"].as_str().unwrap();
    assert!(wanted.contains(head), "{head} is not among {wanted}");
    bench.db.drop_now().await;
}
