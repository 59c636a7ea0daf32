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
        self.ingest_at(self.db.options.to_url_lossy().as_str())
    }

    /// As [`Self::ingest`], by another way to the database.
    fn ingest_at(&self, url: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_agenttrace"));
        for name in ["AGENTTRACE_DATABASE_URL", "DATABASE_URL", "AGENTTRACE_CONFIG"] {
            command.env_remove(name);
        }
        command
            .env("XDG_CONFIG_HOME", self.folder.path())
            .current_dir(self.folder.path())
            .args(["--database-url", url, "ingest"])
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
        "trail.log:2: rejected: not valid JSON at line 2, column 12: EOF while parsing",
        "trail.log:4: rejected: action: 'expunge' is not one of create",
        "trail.log:5: rejected: not UTF-8 from byte 1 of the record on",
        "trail.log:6: rejected: resource_id: has 65 characters, the column holds 64",
        "trail.log:7: conflict: another event with the same event_id is stored already; different: actor_id",
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
        bench.ingest().args(["three.json", "--from", "cloudtrail", "--org", "invictus"]).output().unwrap();
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
    assert!(
        said.contains("prose.txt:1: its format is not recognised; supported are cloudtrail (AWS CloudTrail)"),
        "{said}"
    );
    // The place is that of the mistake, also where lines are read one by one from there on.
    bench.file("pretty.json", "{\n \"event_id\": \"a\",\n \"x\" 3\n}\n");
    let said = bench.run(&["pretty.json"]).2;
    assert!(
        said.contains("pretty.json:1: rejected: not valid JSON at line 3, column 6: expected `:`"),
        "{said}"
    );
    fs::create_dir(bench.folder.path().join("none")).unwrap();
    let (code, _, said) = bench.run(&["none"]);
    assert!(code == 3 && said.contains("the folder 'none' holds no files"), "{said}");
    bench.file(
        "wide.ndjson",
        "{\"kind\":\"Event\",\"colour\":\"x\"}\n{\"event_type\":\"x\",\"actor_id\":1}\n",
    );
    let (_, _, said) = bench.run(&["wide.ndjson"]);
    assert!(
        said.contains("wide.ndjson:1: rejected: not a record of a supported format (AWS CloudTrail, AgentTrace events, Kubernetes, "),
        "{said}"
    );
    assert!(said.contains("; nearest is AgentTrace events, but event_id, organization_id, "), "{said}");

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

/// `docs/reference/importers.md` is what `ingest --formats` prints. `UPDATE_IMPORTERS=1` renews it.
#[test]
fn the_page_of_importers_is_what_the_program_prints() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/importers.md");
    let output =
        Command::new(env!("CARGO_BIN_EXE_agenttrace")).args(["ingest", "--formats"]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let printed = String::from_utf8(output.stdout).unwrap();
    if std::env::var_os("UPDATE_IMPORTERS").is_some() {
        fs::write(&path, &printed).unwrap();
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), printed, "stale: run `just importers`");
}

#[test]
fn a_rehearsal_shows_what_the_first_records_become_and_why_others_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let lines = cloudtrail("111122223333", 1).to_string()
        + "\n"
        + &event("acme", 1)
        + &event("acme", 2).replace("\"export\"", "\"expunge\"")
        + &event("acme", 3)
        + &event("acme", 4).replace("\"export\"", "\"expunge\"")
        + "{\"uuid\":\"u\",\"eventType\":\"x.\\u001b[2J\",\"actor\":{},\"published\":\"2026-01-15T09:58:01Z\"}\n";
    fs::write(folder.path().join("trail.log"), lines).unwrap();
    let rehearse = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_agenttrace"));
        command.env("XDG_CONFIG_HOME", folder.path()).current_dir(folder.path());
        command.args(["ingest", "trail.log", "--dry-run", "--org", "acme"]).args(more).output().unwrap()
    };
    let output = rehearse(&[]);
    let shown = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{shown}");
    for part in [
        "trail.log:1 · AWS CloudTrail\n  COLUMN            VALUE ",
        "  event_id          111122223333-1 ",
        "  eventID\n",
        "  actor_id          bert ",
        "  userIdentity.userName\n",
        "  action            read ",
        "  derived\n",
        "trail.log:3 · AgentTrace events\n  refused: action: 'expunge' is not one of create",
        "trail.log:6 · Okta\n",
        "refused: 2 × action: 'expunge' is not one of create",
        "(first trail.log:3)\n",
        "INGEST: 6 read, 4 sound, 0 duplicate, 0 conflict, 2 rejected",
        "Nothing was stored: this was a dry run.",
    ] {
        assert!(shown.contains(part), "{part} is missing in\n{shown}");
    }
    assert!(!shown.contains("trail.log:4 ·") && !shown.contains('\u{1b}'), "{shown}");
    let report: Value = serde_json::from_slice(&rehearse(&["--format", "json"]).stdout).unwrap();
    let preview = report["preview"].as_array().unwrap();
    let formats: Vec<&str> = preview.iter().map(|record| record["format"].as_str().unwrap()).collect();
    assert_eq!(
        formats,
        ["cloudtrail", "agenttrace", "agenttrace", "okta"],
        "three, and the first of another"
    );
    assert_eq!(
        preview[0]["columns"][0],
        json!({"column": "event_id", "value": "111122223333-1", "from": ["eventID"]})
    );
    assert_eq!(
        (&report["refused"][0]["records"], &report["refused"][0]["first"]),
        (&json!(2), &json!("trail.log:3"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn archives_and_compressions_of_all_kinds_are_loaded_and_what_cannot_be_is_named() {
    let bench = Bench::new().await;
    let folder = bench.folder.path().join("logs");
    fs::create_dir(&folder).unwrap();
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(events("acme", 40).as_bytes()).unwrap();
    let one = encoder.finish().unwrap();
    // Two streams one behind the other, as parallel compressors write them.
    fs::write(folder.join("a.bz2"), [one.clone(), one].concat()).unwrap();
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    for (name, bytes) in [
        ("2026/02/two.ndjson", events("globex", 30).into_bytes()),
        ("2026/01/one.json.gz", gzip(events("initech", 20).as_bytes())),
        ("2026/01/notes.txt", b"Dear all,\n".to_vec()),
        ("2026/01/inner.zip", b"PK\x05\x06".to_vec()),
    ] {
        zip.start_file(name, options).unwrap();
        zip.write_all(&bytes).unwrap();
    }
    fs::write(folder.join("b.zip"), zip.finish().unwrap().into_inner()).unwrap();
    let (code, report, said) = bench.run(&["logs"]);
    assert_eq!((code, &report["stored"], &report["duplicate"]), (1, &json!(90), &json!(40)), "{said}");
    for part in [
        "logs/b.zip/2026/01/notes.txt:1: rejected: not valid JSON",
        "logs/b.zip/2026/01/inner.zip:1: is a zip archive, which can be read from a file only",
        "logs/b.zip/2026/01/notes.txt:1: its format is not recognised",
    ] {
        assert!(said.contains(part), "{part} is missing in\n{said}");
    }
    bench.assert_whole().await;
    bench.db.drop_now().await;
}

/// The most memory that a program has had, in MiB, looked at until it ends; and how it ended.
fn peak_of(mut command: Command) -> (u64, Output) {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let watch = std::thread::spawn(move || {
        let mut peak = 0;
        while let Ok(text) = fs::read_to_string(&status) {
            let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            // A program that has ended has no memory, and may still be there.
            let Some(kib) = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()) else {
                break;
            };
            peak = peak.max(kib >> 10);
            std::thread::yield_now();
        }
        peak
    });
    let output = child.wait_with_output().unwrap();
    (watch.join().unwrap(), output)
}

#[test]
fn what_unpacks_to_a_thousand_times_its_size_is_refused_in_bounded_memory() {
    const UNPACKED: usize = 160 << 20;
    let folder = tempfile::tempdir().unwrap();
    let piece = vec![b' '; 16 << 20];
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file("a.json", zip::write::SimpleFileOptions::default()).unwrap();
    // No blank at the beginning: that would be passed over.
    zip.write_all(b"x").unwrap();
    for _ in 0..UNPACKED / piece.len() {
        zip.write_all(&piece).unwrap();
    }
    let zip = zip.finish().unwrap().into_inner();
    assert!(zip.len() < 1 << 20, "{}", zip.len());
    fs::write(folder.path().join("a.zip"), zip).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_agenttrace"));
    command.env("XDG_CONFIG_HOME", folder.path()).current_dir(folder.path());
    command.args(["ingest", "a.zip", "--dry-run", "--from", "okta"]);
    let (peak, output) = peak_of(command);
    let said = stderr(&output);
    assert!(said.contains("rejected: longer than 67108864 bytes"), "{said}");
    assert!(peak > 40 && peak < 140, "{peak} MiB");
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

/// All files together, as `auto` finds their records: what is no audit record is refused by name, and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn each_record_of_the_real_logs_has_a_fate_and_each_refusal_a_reason() {
    const NO_FORMAT: &str = "not a record of a supported format (";
    const DELIVERY: &str = "a delivery of a GitHub webhook, which is not an audit record";
    let Some(data) = shared("") else { return };
    let mut files = Vec::new();
    for folder in fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir())
    {
        let inside = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path().display().to_string());
        files.extend(inside.filter(|name| name.ends_with(".ndjson.gz")));
    }
    files.sort();
    let bench = Bench::new().await;
    let mut arguments: Vec<&str> = files.iter().map(String::as_str).collect();
    arguments.extend([
        "--org",
        "acme",
        "--default-time",
        "2026-01-01T00:00:00Z",
        "--rejected",
        "rejected.ndjson",
    ]);
    let (code, report, said) = bench.run(&arguments);
    let [read, stored, duplicate, conflict, rejected] =
        ["read", "stored", "duplicate", "conflict", "rejected"].map(|key| report[key].as_u64().unwrap_or(0));
    assert_eq!((code, read), (1, stored + duplicate + conflict + rejected), "{said}");
    let mut refused: std::collections::BTreeMap<(String, &str), usize> = std::collections::BTreeMap::new();
    for line in fs::read_to_string(bench.folder.path().join("rejected.ndjson")).unwrap().lines() {
        let kept: Value = serde_json::from_str(line).unwrap();
        let source = kept["source"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        let reason = kept["reason"].as_str().unwrap();
        let kind = [NO_FORMAT, DELIVERY, "another event with the same event_id"]
            .into_iter()
            .find(|known| reason.starts_with(known));
        *refused.entry((source, kind.unwrap_or_else(|| panic!("{line}")))).or_default() += 1;
    }
    let wanted = [
        ("gcp-audit.ndjson.gz", NO_FORMAT, 4),
        ("github-audit.ndjson.gz", DELIVERY, 59),
        ("github-audit.ndjson.gz", NO_FORMAT, 1),
        ("kubernetes-aks.ndjson.gz", NO_FORMAT, 1),
        ("okta-system-log.ndjson.gz", NO_FORMAT, 28),
    ];
    println!("{read} read, {stored} stored, {duplicate} duplicate, {conflict} conflict, {rejected} rejected");
    refused.retain(|(_, kind), _| *kind != "another event with the same event_id");
    let found: Vec<(&str, &str, usize)> =
        refused.iter().map(|((source, kind), count)| (source.as_str(), *kind, *count)).collect();
    let mut wanted = wanted.to_vec();
    wanted.sort_unstable();
    assert_eq!(found, wanted);
    bench.assert_whole().await;
    // What a column cannot hold must be in the state.
    assert_eq!(
        bench
            .count("new_state ? 'eventVersion' AND actor_ip IS NULL AND NOT new_state ? 'sourceIPAddress'")
            .await,
        0
    );
    assert_eq!(bench.count("event_severity = 'critical' AND event_type = 'cloudtrail.StopLogging'").await, 4);
    assert!(
        bench.count("new_state ? 'eventVersion'").await >= 2093 + 202 + 840,
        "every record of CloudTrail's own files"
    );
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

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_goes_away_ends_it_within_a_second() {
    let mut times = Vec::new();
    // A busy machine is no reason to fail: the best of three counts.
    while times.len() < 3 && !times.iter().any(|t| *t <= Duration::from_secs(1)) {
        let bench = Bench::new().await;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let up = tokio::spawn(crate::timeline::forward(listener, bench.db.options.clone()));
        let user = bench.db.options.get_username();
        let url = format!("postgres://{user}@127.0.0.1:{port}/{}?sslmode=disable", bench.db.name);
        let mut program = bench
            .ingest_at(&url)
            .args(["--format", "json", "--batch", "10"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = program.stdin.take().unwrap();
        let pipe = std::thread::spawn(move || {
            // Until the program has gone.
            while stdin.write_all(events("acme", 50).as_bytes()).is_ok() {}
        });
        while bench.count("true").await == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        up.abort();
        let _ = up.await;
        let begun = std::time::Instant::now();
        let output = tokio::task::spawn_blocking(move || program.wait_with_output().unwrap()).await.unwrap();
        times.push(begun.elapsed());
        pipe.join().unwrap();
        assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
        assert!(stderr(&output).contains("cannot reach the database"), "{}", stderr(&output));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(report["stored"].as_i64().unwrap() > 0 && report["heads"].as_array().unwrap().is_empty());
        bench.db.drop_now().await;
    }
    assert!(times.iter().any(|t| *t <= Duration::from_secs(1)), "{times:?}");
}

/// One record in the shapes in which people have it, each under an id of its own.
fn shapes() -> Vec<(&'static str, String)> {
    let record = |n: usize| cloudtrail("111122223333", n);
    let text = |n: usize| record(n).to_string();
    vec![
        ("pretty.json", format!("{:#}", record(0))),
        ("two-pretty.json", format!("{:#}\n{:#}\n", record(1), record(2))),
        (
            "lookup-events.json",
            format!("{:#}", json!({"Events": [{"EventId": "x", "Username": "bert", "CloudTrailEvent": text(3)}]})),
        ),
        ("eventbridge.ndjson", json!({"version": "0", "detail-type": "x", "detail": record(4)}).to_string()),
        (
            "subscription.json",
            json!({"messageType": "DATA_MESSAGE", "owner": "1", "logEvents": [{"id": "1", "message": text(5)},
                {"id": "2", "message": text(6)}]})
            .to_string(),
        ),
        (
            "filter-log-events.json",
            format!("{:#}", json!({"events": [{"timestamp": 1, "message": text(7)}], "searchedLogStreams": []})),
        ),
        ("lake.ndjson", json!({"eventVersion": "1.0", "eventData": record(8)}).to_string()),
        ("splunk.ndjson", json!({"preview": false, "result": {"_raw": text(9)}}).to_string()),
        ("elastic.ndjson", json!({"@timestamp": "x", "event": {"original": text(10)}}).to_string()),
        ("message.ndjson", json!({"message": text(11)}).to_string()),
        ("firehose.json", text(12) + &text(13)),
        ("records-last.json", json!({"a": 1, "Records": [record(14), record(15)]}).to_string()),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn cloudtrail_is_read_in_every_shape_and_one_line_says_so() {
    let bench = Bench::new().await;
    fs::create_dir(bench.folder.path().join("logs")).unwrap();
    for (name, content) in shapes() {
        bench.file(&format!("logs/{name}"), content);
    }
    bench.file("logs/digest.json", r#"{"digestEndTime":"x","digestS3Bucket":"b","logFiles":[]}"#);
    bench.file("logs/nothing.json", r#"{"Records":[]}"#);
    let (code, report, said) = bench.run(&["logs"]);
    assert_eq!((code, &report["read"], &report["stored"]), (0, &json!(16), &json!(16)), "{said}");
    assert_eq!(report["without_records"], 2);
    assert_eq!(said.matches("recognised as AWS CloudTrail").count(), 1, "{said}");
    assert_eq!(bench.count("event_id LIKE '111122223333-%' AND actor_id = 'bert'").await, 16);
    bench.assert_whole().await;

    let output = bench.ingest().args(["logs/digest.json", "logs/nothing.json"]).output().unwrap();
    let said = String::from_utf8(output.stdout.clone()).unwrap() + &stderr(&output);
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains("1 × CloudTrail digest (log file validation): holds no records."), "{said}");
    assert!(
        said.contains("1 × document without records") && said.contains("the input holds no records"),
        "{said}"
    );
    bench.db.drop_now().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_record_is_one_event_however_it_is_spelled_or_was_mapped() {
    let bench = Bench::new().await;
    let a = r#"{"eventVersion":"1.10","userIdentity":{"type":"IAMUser","userName":"ada"},"eventTime":"2026-03-04T05:16:00Z","eventSource":"iam.amazonaws.com","eventName":"AttachUserPolicy","awsRegion":"us-east-1","sourceIPAddress":"203.0.113.9","userAgent":"cli","requestParameters":{"userName":"eve","policyArn":"arn:aws:iam::aws:policy/AdministratorAccess"},"requestID":"r","eventID":"ev-16","readOnly":false,"eventType":"AwsApiCall","recipientAccountId":"1"}"#;
    let b = r#"{"awsRegion":"us-east-1","eventID":"ev-16","eventName":"AttachUserPolicy","eventSource":"iam.amazonaws.com","eventTime":"2026-03-04T05:16:00Z","eventType":"AwsApiCall","eventVersion":"1.10","readOnly":false,"recipientAccountId":"1","requestID":"r","requestParameters":{"policyArn":"arn:aws:iam::aws:policy/AdministratorAccess","userName":"eve"},"sourceIPAddress":"203.0.113.9","userAgent":"cli","userIdentity":{"type":"IAMUser","userName":"ada"}}"#;
    bench.file("a.ndjson", a);
    bench.file("b.ndjson", b);
    assert_eq!(bench.run(&["a.ndjson"]).0, 0);
    let (code, report, said) = bench.run(&["b.ndjson"]);
    assert_eq!(
        (code, &report["duplicate"], &report["mapped_differently"]),
        (0, &json!(1), &json!(0)),
        "{said}"
    );
    assert_eq!(bench.count("resource_id = 'eve'").await, 1);

    // As an older version of the program stored it: other columns, the same record.
    let old = json!({
        "event_id": "old-1", "timestamp": "2026-03-04T05:12:00Z", "organization_id": "1", "project_id": "us-east-1",
        "actor_type": "user", "actor_id": "1", "actor_ip": null, "actor_user_agent": "cli",
        "event_category": "auth", "event_type": "signin.ConsoleLogin", "event_severity": "info",
        "resource_type": "signin", "resource_id": "ConsoleLogin", "action": "create", "request_id": "old-1",
        "new_state": {"eventVersion": "1.08", "eventType": "AwsConsoleSignIn",
            "sourceIPAddress": "198.51.100.4:443", "userIdentity": {"type": "Root", "principalId": "1"}}
    });
    bench.file("old.ndjson", old.to_string());
    let record = json!({
        "eventID": "old-1", "eventTime": "2026-03-04T05:12:00Z", "eventSource": "signin.amazonaws.com",
        "eventName": "ConsoleLogin", "awsRegion": "us-east-1", "userAgent": "cli", "eventVersion": "1.08",
        "eventType": "AwsConsoleSignIn", "sourceIPAddress": "198.51.100.4:443", "recipientAccountId": "1",
        "userIdentity": {"type": "Root", "principalId": "1"}
    });
    bench.file("record.json", record.to_string());
    assert_eq!(bench.run(&["old.ndjson"]).0, 0);
    let (code, report, said) = bench.run(&["record.json"]);
    let told = (&report["duplicate"], &report["mapped_differently"], &report["conflict"]);
    assert_eq!((code, told), (0, (&json!(1), &json!(1), &json!(0))), "{said}");
    let output = bench.ingest().arg("record.json").output().unwrap();
    assert!(String::from_utf8(output.stdout).unwrap().contains("1 duplicate (mapped differently: 1)"));

    // Another record under the id is a conflict that says what differs.
    bench.file("forged.json", record.to_string().replace("Root", "IAMUser"));
    let (code, report, said) = bench.run(&["forged.json"]);
    assert_eq!((code, &report["conflict"]), (1, &json!(1)));
    assert!(said.contains("different: actor_ip, new_state (userIdentity)"), "{said}");
    assert_eq!(
        bench.count("event_id = 'old-1' AND actor_id = '1'").await,
        1,
        "what is stored stays as it is"
    );
    bench.db.drop_now().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_files_than_may_be_open_are_loaded_in_few_transactions() {
    let bench = Bench::new().await;
    for n in 0..200 {
        let day = bench.folder.path().join(format!("logs/2026/{:02}", n % 10));
        fs::create_dir_all(&day).unwrap();
        let document = json!({"Records": [cloudtrail("1", n)]}).to_string();
        fs::write(day.join(format!("{n}.json.gz")), gzip(document.as_bytes())).unwrap();
    }
    let program = bench.ingest();
    let mut limited = Command::new("sh");
    limited
        .args(["-c", "ulimit -n 40; exec \"$0\" \"$@\""])
        .arg(program.get_program())
        .args(program.get_args());
    limited.current_dir(bench.folder.path()).env("XDG_CONFIG_HOME", bench.folder.path()).stdin(Stdio::null());
    let output = limited.args(["logs", "--batch", "100"]).output().unwrap();
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(String::from_utf8(output.stdout).unwrap().contains("200 read, 200 stored"));
    assert_eq!(said.lines().filter(|line| line.contains("recognised")).count(), 1, "{said}");
    let transactions: i64 = sqlx::query_scalar("SELECT count(DISTINCT xmin::text) FROM audit_events")
        .fetch_one(&mut bench.connect().await)
        .await
        .unwrap();
    assert_eq!(transactions, 2);
    // Files are told apart in what is rejected, which goes into one file for the folder.
    for day in ["00", "01"] {
        bench.file(&format!("logs/2026/{day}/bad.json"), r#"{"eventSource":"x","eventName":"y"}"#);
    }
    let (code, report, said) = bench.run(&["logs"]);
    assert_eq!((code, &report["rejected"], &report["duplicate"]), (1, &json!(2), &json!(200)), "{said}");
    let kept = fs::read_to_string(bench.folder.path().join("logs.rejected.ndjson")).unwrap();
    assert!(kept.lines().count() == 2 && kept.contains("2026/01/bad.json"), "{kept}");
    bench.db.drop_now().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn times_are_never_assumed() {
    let bench = Bench::new().await;
    let at = |n: usize, time: &str| {
        let mut e: Value = serde_json::from_str(&event("n", n)).unwrap();
        e["timestamp"] = time.into();
        format!("{e}\n")
    };
    bench.file(
        "t.ndjson",
        at(0, "2026-03-04T05:06:07")
            + &at(1, "2026-03-04 05:06:07.1234567+00")
            + &at(2, "2026-03-04T23:59:60Z"),
    );
    let (code, report, said) = bench.run(&["t.ndjson"]);
    assert_eq!((code, &report["stored"], &report["leap_seconds"]), (1, &json!(2), &json!(1)), "{said}");
    assert!(said.contains("timestamp: '2026-03-04T05:06:07' has no zone; name it with --zone"), "{said}");
    assert_eq!(bench.count("event_id = 'n-1' AND timestamp = '2026-03-04T05:06:07.123456Z'").await, 1);
    let (code, _, said) = bench.run(&["t.ndjson", "--zone", "Europe/Berlin"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(bench.count("event_id = 'n-0' AND timestamp = '2026-03-04T04:06:07Z'").await, 1);
    assert_eq!(bench.run(&["t.ndjson", "--zone", "CET"]).0, 2);
    // CloudTrail's own times are UTC, also where an exporter has taken the letter away.
    let record = cloudtrail("1", 1).to_string().replace("2023-07-10T11:42:36Z", "2023-07-10 11:42:36.000");
    bench.file("athena.ndjson", record);
    assert_eq!(bench.run(&["athena.ndjson"]).0, 0);
    assert_eq!(bench.count("event_id = '1-1' AND timestamp = '2023-07-10T11:42:36Z'").await, 1);
    bench.db.drop_now().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_json_names_its_place() {
    let bench = Bench::new().await;
    let nan = event("n", 1).replace("{\"n\":1}", "{\"n\":NaN}");
    bench.file("nan.ndjson", event("n", 0) + &nan);
    let (code, _, said) = bench.run(&["nan.ndjson"]);
    let column = nan.find("NaN").unwrap() + 1;
    assert_eq!(code, 1);
    assert!(
        said.contains(&format!("nan.ndjson:2: rejected: not valid JSON at line 2, column {column}: expected value; NaN is not JSON")),
        "{said}"
    );
    bench
        .file("doc.json", format!("{{\"Records\":[\n {},\n {{\"eventID\":\n  oops}}]}}", cloudtrail("1", 1)));
    let (_, report, said) = bench.run(&["doc.json"]);
    assert_eq!((&report["stored"], &report["rejected"]), (&json!(1), &json!(1)));
    assert!(said.contains("doc.json:3 (record 2): rejected: not valid JSON at line 4, column 3:"), "{said}");
    bench.db.drop_now().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_exports_come_back() {
    let bench = Bench::new().await;
    bench.file("trail.ndjson", events("acme", 3));
    assert_eq!(bench.run(&["trail.ndjson"]).0, 0);
    let rows: Vec<String> =
        sqlx::query_scalar("SELECT row_to_json(e)::text FROM audit_events e ORDER BY event_id")
            .fetch_all(&mut bench.connect().await)
            .await
            .unwrap();
    assert!(rows[0].contains("search_vector"));
    bench.file("rows.ndjson", rows.join("\n"));
    let (code, report, said) = bench.run(&["rows.ndjson"]);
    assert_eq!((code, &report["duplicate"]), (0, &json!(3)), "{said}");
    let document = json!({"schema_version": 1, "organization_id": "acme",
        "events": rows.iter().map(|row| serde_json::from_str::<Value>(row).unwrap()).collect::<Vec<_>>()});
    bench.file("document.json", format!("{document:#}"));
    let (code, report, said) = bench.run(&["document.json"]);
    assert_eq!((code, &report["duplicate"]), (0, &json!(3)), "{said}");
    bench.db.drop_now().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_csv_comes_back_with_its_chain() {
    let bench = Bench::new().await;
    let mut trail: Vec<Value> =
        events("acme", 4).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    // What CSV must escape, quote, or keep from spreadsheets.
    trail[0]["actor_user_agent"] = json!("=SUM(A1), \"quoted\"\r\n\u{202e}back \\x41");
    trail[1]["previous_state"] = json!({"a": "line\nbreak", "b": [1, null], "c": ",\""});
    trail[2]["resource_name"] = json!("-1");
    let mut lines: Vec<String> = trail.iter().map(Value::to_string).collect();
    lines[3] = lines[3].replace("{\"n\":3}", "{\"n\":1.10,\"big\":12345678901234567890}");
    bench.file("trail.ndjson", lines.join("\n"));
    assert_eq!(bench.run(&["trail.ndjson"]).0, 0);
    let mut export = Command::new(env!("CARGO_BIN_EXE_agenttrace"));
    export.env("XDG_CONFIG_HOME", bench.folder.path()).env_remove("AGENTTRACE_CONFIG");
    export.args(["--database-url", bench.db.options.to_url_lossy().as_str(), "--org", "acme", "events"]);
    let export = export.args(["all-time", "--states", "--format", "csv", "--order", "asc"]).output().unwrap();
    assert_eq!(export.status.code(), Some(0), "{}", stderr(&export));
    bench.file("trail.csv", &export.stdout);
    let (code, report, said) = bench.run(&["trail.csv"]);
    assert_eq!((code, &report["duplicate"]), (0, &json!(4)), "{said}");
    assert!(said.contains("recognised as AgentTrace events"), "{said}");

    let elsewhere = Bench::new().await;
    elsewhere.file("trail.csv", &export.stdout);
    let (code, report, said) = elsewhere.run(&["trail.csv", "--preserve-chain"]);
    assert_eq!((code, &report["stored"]), (0, &json!(4)), "{said}");
    elsewhere.assert_whole().await;
    let all = "SELECT string_agg(to_jsonb(e)::text, E'\n' ORDER BY event_id) FROM audit_events e";
    let rows = async |bench: &Bench| -> String {
        sqlx::query_scalar(all).fetch_one(&mut bench.connect().await).await.unwrap()
    };
    assert_eq!(rows(&bench).await, rows(&elsewhere).await);

    // Rows that are none are rejected one by one, at their lines.
    let text = String::from_utf8(export.stdout.clone()).unwrap();
    let first = text.lines().nth(1).unwrap();
    bench.file("bad.csv", format!("{}\r\nonly,two\r\n{first}", text.lines().next().unwrap()));
    let (code, report, said) = bench.run(&["bad.csv"]);
    assert_eq!((code, &report["rejected"], &report["read"]), (1, &json!(1), &json!(2)), "{said}");
    assert!(said.contains("bad.csv:2: rejected: has 2 cells, the header 22"), "{said}");
    elsewhere.db.drop_now().await;
    bench.db.drop_now().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_logs_are_accounted_for_and_hold_no_changes_without_an_event() {
    let logs: Vec<PathBuf> = ["aws-invictus", "aws-stratus", "aws-opensearch-sample"]
        .iter()
        .filter_map(|name| shared(&format!("{name}/cloudtrail.ndjson.gz")))
        .collect();
    if logs.is_empty() {
        return;
    }
    let bench = Bench::new().await;
    for log in &logs {
        let (_, report, said) = bench.run(&[log.to_str().unwrap(), "--org", "real"]);
        let number = |name: &str| report[name].as_i64().unwrap();
        let sum: i64 = ["stored", "duplicate", "conflict", "rejected"].map(number).iter().sum();
        assert_eq!(number("read"), sum, "{said}");
        assert_eq!((number("conflict"), number("rejected")), (0, 0), "{said}");
    }
    let mut search = Command::new(env!("CARGO_BIN_EXE_agenttrace"));
    search.env("XDG_CONFIG_HOME", bench.folder.path()).env_remove("AGENTTRACE_CONFIG");
    search.args(["--database-url", bench.db.options.to_url_lossy().as_str(), "--org", "real"]);
    let found = search.args(["ghosts", "all-time", "--format", "json"]).output().unwrap();
    let document: Value = serde_json::from_slice(&found.stdout).unwrap();
    assert_eq!(found.status.code(), Some(4), "{document} {}", stderr(&found));
    assert!(stderr(&found).contains("record calls (AWS CloudTrail)"), "{}", stderr(&found));
    assert!(document["ghosts"].as_array().is_none_or(Vec::is_empty), "{document}");
    bench.db.drop_now().await;
}

/// The small inputs beside the repository, with the number of records each gives.
#[tokio::test(flavor = "multi_thread")]
async fn the_collected_cases_have_their_right_values() {
    let Some(cases) = shared("../cases") else { return };
    let bench = Bench::new().await;
    let run = |name: &str, org: &str| bench.run(&[cases.join(name).to_str().unwrap(), "--org", org]);
    for (name, stored) in [
        ("c01-key-order-a.ndjson", 1),
        ("c02-lookup-events.json", 1),
        ("c03-single-pretty.json", 1),
        ("c04-eventbridge.ndjson", 1),
        ("c05-cloudwatch-subscription.json", 1),
        ("c05b-cloudwatch-filter-log-events.json", 1),
        ("c07-console-login-three.ndjson", 3),
        ("c11-odd-records.ndjson", 3),
    ] {
        let (code, report, said) = run(name, "cases");
        assert_eq!((code, &report["stored"]), (0, &json!(stored)), "{name}: {said}");
    }
    let (code, report, said) = run("c01-key-order-b.ndjson", "cases");
    assert_eq!((code, &report["duplicate"]), (0, &json!(1)), "{said}");
    assert_eq!(run("c06-digest.json", "cases").0, 4);
    let (code, report, said) = run("c09-mapping.ndjson", "cases");
    let told = (&report["rejected"], &report["conflict"], &report["duplicate"]);
    assert_eq!((code, told), (0, (&json!(0), &json!(0), &json!(1))), "one record is that of c01: {said}");
    for (id, condition) in [
        ("ev-03", "resource_id = 'prod-db'"),
        ("ev-04", "resource_id = 'prod-db'"),
        ("ev-08", "resource_id LIKE 'arn:aws:sns:%alerts'"),
        ("ev-10", "actor_ip = '198.51.100.7'"),
        ("ev-11", "event_severity = 'warning'"),
        ("ev-12", "actor_id = 'root' AND event_severity = 'warning'"),
        ("ev-13", "event_severity = 'warning'"),
        ("ev-15", "event_severity = 'warning'"),
        ("ev-24", "action = 'create'"),
        ("ev-28", "event_severity = 'critical'"),
        ("o-06", "resource_id = 'arn:aws:s3:::b'"),
        ("o-19", "actor_ip = '198.51.100.4'"),
        ("o-37", "length(event_type) = 100"),
    ] {
        let sql = format!("SELECT count(*) FROM audit_events WHERE event_id = '{id}' AND {condition}");
        let found: i64 =
            sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&mut bench.connect().await).await.unwrap();
        assert_eq!(found, 1, "{id}: {condition}");
    }
    let (code, report, said) = run("c10-native-times.ndjson", "n");
    // Sixteen times: without a zone, whole numbers, a date, a zone's name, 24:00 and infinity are refused.
    assert_eq!((code, &report["stored"], &report["rejected"]), (1, &json!(9), &json!(7)), "{said}");
    // Rows as an older version mapped the records of c09.
    let (code, report, said) = run("c12-row-to-json-of-our-table.ndjson", "cases");
    assert_eq!((code, &report["read"]), (0, &report["duplicate"]), "{said}");
    bench.db.drop_now().await;
}
