//! `ingest --follow`: a file that grows and is rotated in every way, while it is followed and while it is not.

use crate::support::{self, Home, TestDatabase};
use crate::verify::connect;
use crate::writer::chain;
use serde_json::json;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// A database, a file, and whoever writes it.
struct Scene {
    db: TestDatabase,
    home: Home,
}

impl Scene {
    async fn new() -> Self {
        Self { db: support::database().await, home: Home::new() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn start(&self, more: &[&str]) -> Running {
        let mut command = Command::new(env!("CARGO_BIN_EXE_agenttrace"));
        for name in ["AGENTTRACE_DATABASE_URL", "DATABASE_URL", "AGENTTRACE_CONFIG"] {
            command.env_remove(name);
        }
        command.env("HOME", self.home.path()).env("XDG_CONFIG_HOME", self.home.path());
        command.env("AGENTTRACE_DATA_DIR", self.path("data")).current_dir(self.home.path());
        command.args(["--database-url", &self.db.url(), "ingest", "--follow", "audit.log"]).args(more);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Running(Some(command.spawn().unwrap()))
    }

    /// Waits until the chain is that of so many events.
    async fn wait_for(&self, events: usize) {
        let mut c = connect(&self.db).await;
        let there = async {
            loop {
                let n: i64 =
                    sqlx::query_scalar("SELECT count(*) FROM audit_events").fetch_one(&mut c).await.unwrap();
                if n >= i64::try_from(events).unwrap() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(60), there).await;
        assert!(in_time.is_ok(), "{events} events are not there");
        assert_eq!(chain(&mut c, "acme").await, ids(0..events));
    }
}

/// A program that would go on for ever; it ends with its test, also where that fails.
struct Running(Option<Child>);

impl Running {
    fn output(mut self) -> Output {
        self.0.take().unwrap().wait_with_output().unwrap()
    }

    fn id(&self) -> String {
        self.0.as_ref().unwrap().id().to_string()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn ids(range: Range<usize>) -> Vec<String> {
    range.map(|n| format!("f-{n}")).collect()
}

fn lines(range: Range<usize>) -> String {
    let line = |n: usize| {
        json!({
            "event_id": format!("f-{n}"), "timestamp": "2026-01-15T09:58:01.002Z", "organization_id": "acme",
            "actor_type": "user", "actor_id": "u-1", "event_category": "data", "event_type": "trace.exported",
            "event_severity": "info", "resource_type": "trace", "resource_id": format!("tr-{n}"),
            "action": "export", "new_state": {"n": n}, "request_id": format!("r-{n}")
        })
        .to_string()
            + "\n"
    };
    range.map(line).collect()
}

fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

fn compress(path: &Path) {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&fs::read(path).unwrap()).unwrap();
    let about = fs::metadata(path).unwrap();
    let packed = fs::File::create(format!("{}.gz", path.display())).unwrap();
    (&packed).write_all(&encoder.finish().unwrap()).unwrap();
    // As gzip does.
    packed.set_modified(about.modified().unwrap()).unwrap();
    fs::remove_file(path).unwrap();
}

/// Ctrl-C; its exit code and all that it said.
fn stop(child: Running, signal: &str) -> (i32, String) {
    assert!(Command::new("kill").args([signal, &child.id()]).status().unwrap().success());
    let output = child.output();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    (output.status.code().unwrap_or(-1), said.into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_followed_over_rotations_of_every_kind_and_each_event_is_read_once() {
    let scene = Scene::new().await;
    let log = scene.path("audit.log");
    append(&log, &lines(0..5));
    let child = scene.start(&[]);
    scene.wait_for(5).await;
    // Half a line is none.
    let whole = lines(5..6);
    append(&log, &whole[..40]);
    append(&log, &whole[40..]);
    append(&log, &lines(6..10));
    scene.wait_for(10).await;
    // Renamed, and still written to by who has it open.
    fs::rename(&log, scene.path("audit.log.1")).unwrap();
    append(&scene.path("audit.log.1"), &lines(10..12));
    append(&log, &lines(12..15));
    scene.wait_for(15).await;
    // Twice in a row, and the older one compressed at once.
    append(&log, &lines(15..16));
    fs::rename(&log, scene.path("audit.log.2")).unwrap();
    append(&log, &lines(16..17));
    fs::rename(&log, scene.path("audit.log.3")).unwrap();
    append(&log, &lines(17..18));
    scene.wait_for(18).await;
    // Copied and truncated, with lines in the copy that nobody had read before.
    append(&log, &lines(18..20));
    fs::copy(&log, scene.path("audit.log.4")).unwrap();
    fs::write(&log, "").unwrap();
    append(&log, &lines(20..22));
    scene.wait_for(22).await;
    append(&log, "{\"event_id\": nonsense}\n");
    append(&log, &lines(22..23));
    scene.wait_for(23).await;
    let (code, said) = stop(child, "-INT");
    assert_eq!(code, 130, "{said}");
    for part in [
        "audit.log: read to its end (byte ",
        "audit.log: was rotated: reading on in the new file",
        "INGEST: 24 read, 23 stored, 0 duplicate, 0 conflict, 1 rejected",
        "audit.log:3: rejected: not valid JSON",
        "stopped; followed up to byte ",
        "the same command goes on from there",
    ] {
        assert!(said.contains(part), "{part} is missing in\n{said}");
    }
    scene.db.drop_now().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_run_goes_on_where_the_one_before_stood_also_when_the_file_was_rotated_and_compressed() {
    let scene = Scene::new().await;
    let log = scene.path("audit.log");
    append(&log, &lines(0..8));
    let child = scene.start(&[]);
    scene.wait_for(8).await;
    let (code, said) = stop(child, "-TERM");
    assert_eq!(code, 143, "{said}");

    append(&log, &lines(8..11));
    let child = scene.start(&["--ack", "--spool", "spool"]);
    scene.wait_for(11).await;
    let (code, said) = stop(child, "-INT");
    assert!(code == 130 && said.contains("INGEST: 3 read, 3 stored, 0 duplicate"), "{code} {said}");
    assert!(said.contains("audit.log: going on behind byte ") && said.contains("ack 3"), "{said}");

    // Three rotations while nobody looks: the first file is compressed, the newest is the one of this name.
    append(&log, &lines(11..13));
    fs::rename(&log, scene.path("audit.log.2")).unwrap();
    compress(&scene.path("audit.log.2"));
    append(&scene.path("audit.log.1"), &lines(13..16));
    append(&log, &lines(16..18));
    let child = scene.start(&[]);
    scene.wait_for(18).await;
    let (_, said) = stop(child, "-INT");
    assert!(said.contains("INGEST: 7 read, 7 stored, 0 duplicate"), "{said}");
    assert!(said.contains("audit.log: was rotated since it was followed"), "{said}");

    // Nothing is left of what was followed.
    fs::remove_file(&log).unwrap();
    append(&log, &lines(18..20));
    let child = scene.start(&[]);
    scene.wait_for(20).await;
    let (_, said) = stop(child, "-INT");
    assert!(said.contains("records behind that byte may be missing"), "{said}");

    // Killed, it reads twice at worst, and doubles nothing.
    append(&log, &lines(20..22));
    let child = scene.start(&[]);
    scene.wait_for(22).await;
    drop(child);
    append(&log, &lines(22..24));
    let child = scene.start(&[]);
    scene.wait_for(24).await;
    let (_, said) = stop(child, "-INT");
    assert!(said.contains(" 2 stored, ") && said.contains(" 0 conflict, 0 rejected"), "{said}");
    scene.db.drop_now().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_followed_is_said_at_once() {
    let scene = Scene::new().await;
    let run = |child: Running| {
        let output = child.output();
        (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = run(scene.start(&[]));
    assert!(code == 3 && said.contains("cannot read 'audit.log'"), "{said}");
    fs::create_dir(scene.path("audit.log")).unwrap();
    let (code, said) = run(scene.start(&[]));
    assert!(code == 2 && said.contains("is no file, and only a file can be followed"), "{said}");
    fs::remove_dir(scene.path("audit.log")).unwrap();
    fs::write(scene.path("audit.log"), [0x1f, 0x8b, 8, 0]).unwrap();
    let (code, said) = run(scene.start(&[]));
    assert!(code == 2 && said.contains("load it without --follow"), "{said}");
    scene.db.drop_now().await;
}
