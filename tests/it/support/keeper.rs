//! The throw-away server of a test run, and the process that ends it.
//!
//! Tests cannot end it themselves: `cargo nextest run` gives each test a process, so that there is often no user between
//! two tests, and under `cargo test` nothing runs after the last one. So the first test of a run starts this binary once
//! more, as [`keep`]: a user of the server that leaves when the runner is gone, however it went.

use agenttrace::server::{Options, PrivateServer, Purpose, throw_away_parent};
use std::fs::{self, File};
use std::os::unix::process::{CommandExt as _, parent_id};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

/// Which process the keeper waits for: `PID START`.
const RUNNER: &str = "AGENTTRACE_TEST_RUNNER";

/// The server of this run. It is never dropped; the keeper is the last user.
pub(super) fn server() -> &'static PrivateServer {
    static SERVER: OnceLock<PrivateServer> = OnceLock::new();
    SERVER.get_or_init(|| {
        let server = attach();
        ensure_keeper();
        server
    })
}

fn attach() -> PrivateServer {
    super::binaries::ensure();
    PrivateServer::attach(&Options { folder: folder(), purpose: Purpose::ThrowAway })
        .unwrap_or_else(|e| panic!("no PostgreSQL for the tests: {e}\n{}", e.hints.join("\n")))
}

/// One for each user and checkout; runs of the same checkout at the same time share it.
pub(super) fn folder() -> PathBuf {
    let checkout = super::short_hash(env!("CARGO_MANIFEST_DIR").as_bytes());
    let uid = std::os::unix::fs::MetadataExt::uid(&tempfile::tempfile().unwrap().metadata().unwrap());
    throw_away_parent().join(format!("agenttrace-tests-{uid}-{checkout}"))
}

/// The keeper of a runner holds a lock on this file, so that there is one of it.
fn keeper_lock(pid: u32) -> File {
    File::create(folder().join(format!("keeper-{pid}"))).unwrap()
}

fn ensure_keeper() {
    let pid = runner();
    let Some(start) = start_of(pid) else { return };
    if keeper_lock(pid).try_lock().is_err() {
        return;
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "support::keeper::keep", "--ignored"]).env(RUNNER, format!("{pid} {start}"));
    // Null, because a runner waits for whoever holds its pipes; a group of its own, because Ctrl-C is for the runner.
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    drop(command.spawn().unwrap());
}

#[test]
#[ignore = "the process that ends the tests' server; started by the tests"]
fn keep() {
    let Ok(runner) = std::env::var(RUNNER) else { return };
    let (pid, start) = runner.split_once(' ').unwrap();
    let pid: u32 = pid.parse().unwrap();
    let server = attach();
    let lock = keeper_lock(pid);
    if lock.try_lock().is_err() {
        return;
    }
    while start_of(pid).as_deref() == Some(start) {
        pause();
    }
    let _ = fs::remove_file(folder().join(format!("keeper-{pid}")));
    drop(server);
    // A runner that was killed leaves tests behind that still use the server; whoever is last removes the folder.
    while folder().exists() {
        pause();
        drop(attach());
    }
}

/// The process whose end is the end of the run.
fn runner() -> u32 {
    let parent = parent_id();
    // A test process whose runner was killed has another parent by now, which may live for ever.
    let nextest =
        std::env::var_os("NEXTEST").is_some() && name_of(parent).is_some_and(|n| n.contains("nextest"));
    if nextest { parent } else { std::process::id() }
}

/// When a living process was started, as the system tells it: the same number with another start is another process.
fn start_of(pid: u32) -> Option<String> {
    if !cfg!(target_os = "linux") {
        return ps(pid, "lstart=").filter(|_| ps(pid, "stat=").is_some_and(|stat| !stat.starts_with('Z')));
    }
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may contain anything.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    (!matches!(state, "Z" | "X")).then(|| fields.nth(18).map(str::to_owned))?
}

fn name_of(pid: u32) -> Option<String> {
    if cfg!(target_os = "linux") {
        fs::read_to_string(format!("/proc/{pid}/comm")).ok()
    } else {
        ps(pid, "comm=")
    }
}

fn ps(pid: u32, column: &str) -> Option<String> {
    let output = Command::new("ps").args(["-o", column, "-p", &pid.to_string()]).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (!text.is_empty()).then_some(text)
}

#[expect(clippy::disallowed_methods, reason = "the keeper has nothing else to do")]
fn pause() {
    std::thread::sleep(Duration::from_millis(100));
}

#[test]
fn a_process_is_recognised_until_it_has_ended() {
    let mut child = Command::new("sleep").arg("600").spawn().unwrap();
    let start = start_of(child.id()).unwrap();
    assert_eq!(start_of(child.id()).as_deref(), Some(&*start));
    assert!(name_of(child.id()).is_some());
    child.kill().unwrap();
    // Not reaped yet, and dead all the same.
    while start_of(child.id()).is_some() {
        pause();
    }
    child.wait().unwrap();
    assert_eq!(start_of(child.id()), None);
}
