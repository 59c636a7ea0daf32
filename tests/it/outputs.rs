//! What every command writes: no character that a terminal would obey or not show, whatever the table, the file names
//! and the command line hold; and what becomes of a command that cannot write.
//!
//! The list of commands is held to the program's own: a new one fails a test here until it is added.

use crate::support::{self, Home, TestDatabase};

use agenttrace::cli::Cli;
use clap::CommandFactory as _;
use serde_json::Value;
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::process::{Output, Stdio};

/// Escape sequences (7 and 8 bit), bell, delete, bidi, zero-width, tags, separators; a plain backslash, and one that
/// looks like an escape of ours.
const HOSTILE: &str =
    "\u{1b}]0;\u{7}\u{9b}2J\u{7f}\u{202e}\u{200b}a\u{200d}b\u{2066}\u{feff}\u{e0041}\r\n\t\u{2028}\\x1B";
/// As short as some columns are.
const ORGANIZATION: &str = "o\u{1b}[31m\u{9b}\u{202e}\u{200b}\n";
const EVENT: &str = "e-1\u{1b}[2J\u{85}\u{2067}\u{200f}\u{e0042}\n'";

/// Runs of commands, by the name that clap knows each under. `{…}` stand for what the test prepares.
const RUNS: &[(&str, &[&str])] = &[
    ("", &[]),
    ("demo", &["demo", "--until", HOSTILE]),
    ("demo", &["demo", "--no-console", "--database", HOSTILE, "--events", "2000"]),
    ("events", &["events", "--all-time", "--states", "--limit", "3"]),
    ("events", &["events", "--all-time", "--count", "exact", "actor:{hostile}"]),
    ("events", &["events", "{hostile}:x"]),
    ("events", &["events", "--limt{hostile}"]),
    ("events", &["events", "--cursor", HOSTILE]),
    ("events", &["events", "--saved", HOSTILE]),
    ("events", &["events", "actor in @{hostile file}"]),
    ("events", &["--org", "none\u{1b}\u{202e}", "events"]),
    ("events", &["--config", "{hostile file}", "events"]),
    ("doctor", &["doctor"]),
    ("doctor", &["doctor", "--format", "markdown"]),
    ("doctor", &["doctor", "--checklist", "--only", HOSTILE]),
    ("search", &["search", "--all-time", "word"]),
    ("search", &["search", HOSTILE]),
    ("show", &["show", EVENT, "--context", "2"]),
    ("show", &["show", EVENT, "--preimage"]),
    ("show", &["show", HOSTILE]),
    ("verify", &["verify", "--coverage"]),
    ("verify", &["verify", "--all-orgs"]),
    ("verify", &["verify", "--event", EVENT]),
    ("verify", &["verify", "--event", HOSTILE]),
    ("verify", &["verify", "--accept", HOSTILE, "--note", HOSTILE]),
    ("pin keygen", &["pin", "keygen", "test/key"]),
    ("pin keygen", &["pin", "keygen", HOSTILE]),
    ("pin create", &["pin", "create"]),
    ("pin create", &["pin", "create", "--sign"]),
    ("pin create", &["pin", "create", "--sign", "--key", HOSTILE]),
    ("pin trust", &["pin", "trust"]),
    ("pin trust", &["pin", "trust", HOSTILE]),
    ("pin trust", &["pin", "trust", "--remove", HOSTILE]),
    ("pin publish", &["pin", "publish", "-o", "{rejected}", "--overwrite"]),
    ("pin publish", &["pin", "publish", "--command"]),
    ("pin stamp", &["pin", "stamp", "--request", "{rejected}", "--overwrite"]),
    ("pin stamp", &["pin", "stamp", "--answer", "{hostile file}"]),
    ("pin cosign", &["pin", "cosign", "{hostile file}"]),
    ("pin cosign", &["pin", "cosign", "{rejected}"]),
    ("pin list", &["pin", "list"]),
    ("pin check", &["pin", "check"]),
    ("pin check", &["pin", "check", "--published", "{rejected}"]),
    ("pin export", &["pin", "export"]),
    ("pin import", &["pin", "import", "{hostile file}"]),
    ("pin import", &["pin", "import", "{log file}"]),
    ("pin watch", &["pin", "watch"]),
    ("diff", &["diff", EVENT]),
    ("diff", &["diff", EVENT, "--format", "json-patch"]),
    ("diff", &["diff", EVENT, "--layout", "unified"]),
    ("diff", &["diff", EVENT, "--layout", "raw"]),
    ("diff", &["diff", HOSTILE]),
    ("diff", &["diff", "--files", "{hostile file}", "{pretty file}"]),
    ("diff", &["diff", "--resource", HOSTILE, "r", "--since", "2020-01-01T00:00:00Z"]),
    ("resource", &["resource", HOSTILE, "r\u{1b}\u{200b}"]),
    ("resource", &["resource", HOSTILE, "r\u{1b}\u{200b}", "--blame"]),
    ("resource", &["resource", HOSTILE, "r\u{1b}\u{200b}", "--at", "2027-01-01T00:00:00Z"]),
    ("resource", &["resource", HOSTILE, "r\u{1b}\u{200b}", "--access"]),
    ("resource", &["resource", HOSTILE, HOSTILE]),
    ("actor", &["actor", "a\u{1b}[1m\u{200e}\u{ad}", "--all-time"]),
    ("actor", &["actor", HOSTILE]),
    ("summary", &["summary", "--all-time", "--by", "type,actor,resource_type"]),
    ("summary", &["summary", "--all-orgs", "ip:203.0.113.70"]),
    ("histogram", &["histogram", "--all-time", "--buckets", "5"]),
    ("explain", &["explain", "--all-time", "actor:{hostile}"]),
    ("case note", &["case", "note", EVENT, HOSTILE]),
    ("case note", &["case", "note", HOSTILE, "x"]),
    ("case tag", &["case", "tag", EVENT, HOSTILE]),
    ("case tag", &["case", "tag", EVENT, "exfil"]),
    ("case bookmark", &["case", "bookmark", EVENT]),
    ("case bookmark", &["--case", HOSTILE, "case", "bookmark", EVENT]),
    ("case verdict", &["case", "verdict", EVENT, HOSTILE]),
    ("case verdict", &["case", "verdict", EVENT, "malicious"]),
    ("case list", &["case", "list"]),
    ("case show", &["case", "show"]),
    ("case show", &["case", "show", "--check"]),
    ("case report", &["case", "report", "--format", "md"]),
    ("case report", &["case", "report", "--format", "html"]),
    ("report access", &["report", "access", HOSTILE, "r\u{1b}\u{200b}"]),
    ("report access", &["report", "access", HOSTILE, HOSTILE, "--format", "html"]),
    ("report changes", &["report", "changes", "--all-time"]),
    ("report changes", &["report", "changes", "--all-time", "--format", "html"]),
    ("report integrity", &["report", "integrity"]),
    ("case export", &["case", "export"]),
    ("case import", &["case", "import", "{hostile file}"]),
    ("case merge", &["case", "merge", "{log file}"]),
    ("case activity", &["case", "activity"]),
    ("case activity", &["case", "activity", "--format", "json"]),
    ("case replay", &["case", "replay", "--last", "5"]),
    ("case replay", &["case", "replay", "--last", "5", "--format", "json"]),
    ("events", &["events", "is:noted OR tag:{hostile}"]),
    ("export", &["export", "--all-time", "--integrity"]),
    ("export", &["export", "--all-time", "--format", "markdown"]),
    ("export", &["export", "--all-time", "--format", "ocsf", "--manifest"]),
    ("export", &["export", "--all-time", "--format", "ecs"]),
    ("export", &["export", "--all-time", "--format", "timesketch"]),
    ("export", &["export", "actor:{hostile}"]),
    (
        "evidence export",
        &["evidence", "export", "--all-time", "--level", "none", "-o", "{rejected}", "--overwrite"],
    ),
    ("evidence export", &["evidence", "export", "actor:{hostile}", "-o", "{rejected}"]),
    ("evidence verify", &["evidence", "verify", "{rejected}"]),
    ("evidence verify", &["evidence", "verify", "{hostile file}", "--trust", HOSTILE]),
    ("evidence verify", &["evidence", "verify", "{hostile file}"]),
    ("filters list", &["filters", "list"]),
    ("filters save", &["filters", "save", "hostile", "actor:{hostile}"]),
    ("filters save", &["filters", "save", HOSTILE, "sev:info"]),
    ("filters delete", &["filters", "delete", HOSTILE]),
    ("filters export", &["filters", "export"]),
    ("filters import", &["filters", "import", "{hostile file}"]),
    ("ghosts", &["ghosts", "--all-time"]),
    ("ingest", &["ingest", "{hostile file}"]),
    ("ingest", &["ingest", "{log file}", "--rejected", "{rejected}"]),
    ("ingest", &["ingest", "missing{hostile}"]),
    ("ingest", &["ingest", "--retry", "{hostile file}"]),
    ("ingest", &["ingest", "{log file}", "{hostile file}", "--dry-run"]),
    ("ingest", &["ingest", "{log file}", "--mapping", "{hostile file}"]),
    ("ingest", &["ingest", "--follow", "missing{hostile}"]),
    ("ingest", &["ingest", "--formats"]),
    ("ingest", &["ingest", "{log file}", "--ack", "--wait", "1s", "--spool", "spool{hostile}"]),
    ("db migrate", &["db", "migrate"]),
    ("db status", &["db", "status"]),
    ("db partitions ensure", &["db", "partitions", "ensure"]),
    ("db partitions list", &["db", "partitions", "list"]),
    ("db summary refresh", &["db", "summary", "refresh"]),
    ("db grant", &["db", "grant", HOSTILE, ORGANIZATION]),
    ("db revoke", &["db", "revoke", HOSTILE, ORGANIZATION]),
    ("db grants", &["db", "grants"]),
    ("db sql", &["db", "sql", "schema"]),
    ("bench", &["bench", "verify", "--pairs", "1"]),
    ("bench", &["bench", HOSTILE]),
    ("config print", &["config", "print"]),
    ("config path", &["--config", "{hostile file}", "config", "path"]),
    ("config check", &["--config", "{hostile file}", "config", "check"]),
    ("completions", &["completions", "bash"]),
    ("man", &["man"]),
];

/// Names of all commands that have none below them.
fn leaves(command: &clap::Command, path: &str, out: &mut BTreeSet<String>) {
    let mut below = command.get_subcommands().filter(|c| c.get_name() != "help").peekable();
    if below.peek().is_none() || path.is_empty() {
        out.insert(path.to_owned());
    }
    for command in below {
        leaves(command, format!("{path} {}", command.get_name()).trim(), out);
    }
}

#[test]
fn every_command_has_a_run_here() {
    let mut all = BTreeSet::new();
    leaves(&Cli::command(), "", &mut all);
    let here: BTreeSet<String> = RUNS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(here, all, "each command needs a run in RUNS");
}

/// What a terminal would obey or not show.
fn is_hidden(c: char) -> bool {
    (c.is_control() && c != '\n')
        || matches!(u32::from(c), 0xad | 0x34f | 0x61c | 0x180e | 0x200b..=0x200f | 0x2028..=0x202e
            | 0x2060..=0x206f | 0xfeff | 0xfff9..=0xfffb | 0xe0000..=0xe0fff)
}

fn hidden(bytes: &[u8]) -> Option<String> {
    let Ok(text) = std::str::from_utf8(bytes) else { return Some("no UTF-8".to_owned()) };
    let at = text.char_indices().find(|(_, c)| is_hidden(*c))?.0;
    let line = text[..at].lines().count();
    Some(format!("{:?} in line {line}: {:?}", text[at..].chars().next(), text.lines().nth(line.max(1) - 1)))
}

/// A home with hostile file names, a database with hostile rows.
struct Scene {
    test: TestDatabase,
    home: Home,
}

impl Scene {
    async fn new() -> Self {
        let test = support::database().await;
        fill(&test).await;
        let home = Home::new();
        let state =
            format!("{{\n \"a\u{9b}\": {{\"x\": 1,\n \"b{0}\": [1.10, \"\u{202e}\"]}}\n}}", "\u{200b}");
        for (name, text) in [
            ("h\u{1b}[31m\u{202e}\u{200b}\u{85}.json", "key\u{1b} = \u{202e}\u{9b}"),
            ("pretty.json", &state),
            ("log.ndjson", &format!("{{\"event_id\":\"\u{9b}\u{202e}\\u001b\",\"x\":{}}}\n", 1)),
        ] {
            fs::write(home.path().join(name), text).unwrap();
        }
        Self { test, home }
    }

    fn command(&self, args: &[&str], format: Option<&str>) -> assert_cmd::Command {
        let mut command = self.home.agenttrace();
        let named = |option: &str| args.contains(&option);
        if args.first() != Some(&"demo") {
            command.args(["--database-url", &self.test.url()]);
            if !named("--org") && !named("--all-orgs") && !named("db") && !named("ingest") {
                command.args(["--org", ORGANIZATION]);
            }
        }
        for arg in args {
            let arg = match *arg {
                "{hostile file}" => "h\u{1b}[31m\u{202e}\u{200b}\u{85}.json".to_owned(),
                "{pretty file}" => "pretty.json".to_owned(),
                "{log file}" => "log.ndjson".to_owned(),
                "{rejected}" => "rejected\u{1b}\u{202e}.ndjson".to_owned(),
                arg => arg
                    .replace("{hostile file}", "h\u{1b}[31m\u{202e}\u{200b}\u{85}.json")
                    .replace("{hostile}", "\u{1b}\u{9b}\u{202e}\u{200b}\u{e0041}"),
            };
            command.arg(arg);
        }
        if let Some(format) = format.filter(|_| !named("--format")) {
            command.args(["--format", format]);
        }
        command
    }
}

async fn fill(test: &TestDatabase) {
    let mut c = PgConnection::connect_with(&test.options).await.unwrap();
    let states = [
        format!("{{\"key\u{9b}\u{202e}\": \"\u{1b}[31m\u{200b}\", \"n\": 1.10, \"u\": \"{}\"}}", "\\u001b")
            .replace('\u{1b}', "\\u001b"),
        "{\"key\u{9b}\u{202e}\": [\"\u{feff}\", {\"\u{200d}\": \"\u{e0041}\"}], \"n\": 2}".to_owned(),
    ];
    for n in 1..=4_i64 {
        let id = if n == 1 { EVENT.to_owned() } else { format!("e-{n}\u{1b}\u{202e}\u{200b}") };
        sqlx::query(
            "INSERT INTO audit_events (event_id, timestamp, organization_id, project_id, actor_type, actor_id,
                 actor_email, actor_user_agent, event_category, event_type, event_severity, resource_type,
                 resource_id, resource_name, action, previous_state, new_state, request_id, session_id, hash,
                 previous_hash)
             VALUES ($1, '2026-01-05Z'::timestamptz + $2 * interval '1 minute', $3, $4, 'user', $5, $6, $4, 'auth',
                 $4, 'critical', $4, $7, $4, 'update', $8::jsonb, $9::jsonb, $4, $4, $10, $11)",
        )
        .bind(id)
        .bind(n as f64)
        .bind(ORGANIZATION)
        .bind(HOSTILE)
        .bind("a\u{1b}[1m\u{200e}\u{ad}")
        .bind(format!("word{HOSTILE}@corp\u{202e}.example"))
        .bind("r\u{1b}\u{200b}")
        .bind(&states[0])
        .bind(&states[1])
        .bind(format!("h{n}\u{1b}\u{9b}\u{202e}"))
        .bind(if n == 1 { String::new() } else { format!("p{n}\u{1b}\u{200b}") })
        .execute(&mut c)
        .await
        .unwrap();
    }
    sqlx::raw_sql(
        "CREATE INDEX \"i\u{1b}\u{202e}\u{9b}\" ON audit_events (request_id); ANALYZE audit_events",
    )
    .execute(&mut c)
    .await
    .unwrap();
    c.close().await.unwrap();
}

#[tokio::test]
async fn no_command_writes_what_a_terminal_would_obey_or_not_show() {
    let scene = Scene::new().await;
    let mut wrong = Vec::new();
    for (_, args) in RUNS {
        for format in [None, Some("json"), Some("ndjson"), Some("csv")] {
            let Output { status, stdout, stderr } = scene.command(args, format).output().unwrap();
            for (name, bytes) in [("stdout", &stdout), ("stderr", &stderr)] {
                // A line of CSV ends as RFC 4180 has it.
                let bytes = String::from_utf8_lossy(bytes)
                    .replace(if format == Some("csv") { "\r\n" } else { "\n" }, "\n");
                if let Some(what) = hidden(bytes.as_bytes()) {
                    wrong.push(format!("{args:?} {format:?}: {name} has {what}"));
                }
            }
            if status.code().is_none_or(|code| code > 5) {
                wrong.push(format!("{args:?} {format:?}: {status}: {}", String::from_utf8_lossy(&stderr)));
            }
            if matches!(format, Some("json" | "ndjson")) && matches!(status.code(), Some(0 | 1 | 4)) {
                for line in String::from_utf8_lossy(&stdout).lines().filter(|l| l.starts_with('{')) {
                    if let Err(e) = serde_json::from_str::<Value>(line) {
                        wrong.push(format!("{args:?} {format:?}: {e} in {line}"));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of them:\n{}", wrong.len(), wrong.join("\n"));
    scene.test.drop_now().await;
}

#[tokio::test]
async fn json_reads_back_as_what_the_table_holds() {
    let scene = Scene::new().await;
    let json = |args: &[&str]| -> Value {
        let output = scene.command(args, Some("json")).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let listed = json(&["events", "--all-time", "--states"]);
    assert_eq!(listed["organization_id"], ORGANIZATION);
    let event = listed["events"].as_array().unwrap().iter().find(|e| e["event_id"] == EVENT).unwrap();
    assert_eq!(event["actor_user_agent"], HOSTILE);
    assert_eq!(event["previous_state"]["key\u{9b}\u{202e}"], "\u{1b}[31m\u{200b}");
    assert_eq!(event["hash"], "h1\u{1b}\u{9b}\u{202e}");
    let verified = json(&["verify"]);
    assert_eq!(verified["organization_id"], ORGANIZATION);
    assert!(verified["findings"].as_array().unwrap().iter().any(|f| f["event_id"] == EVENT));
    let differs = json(&["diff", EVENT]);
    assert!(differs["changes"].as_array().unwrap().iter().any(|c| c["path"] == "/key\u{9b}\u{202e}"));
    // A pretty file is no one-line JSON; what is quoted of it stays JSON.
    fs::write(scene.home.path().join("other.json"), "{\"a\u{9b}\": 1}").unwrap();
    let files = json(&["diff", "--files", "pretty.json", "other.json"]);
    assert_eq!(
        files["changes"].as_array().unwrap().iter().filter(|c| c["old"]["x"] == 1).count(),
        1,
        "{files}"
    );
    scene.test.drop_now().await;
}

#[tokio::test]
async fn files_of_events_keep_the_joiners_of_words() {
    let test = support::database().await;
    let words = "\u{645}\u{6cc}\u{200c}\u{62e}\u{648}\u{627}\u{647}\u{645}";
    let mut c = PgConnection::connect_with(&test.options).await.unwrap();
    sqlx::query(
        "INSERT INTO audit_events (event_id, timestamp, organization_id, actor_type, actor_id, event_category, event_type,
             event_severity, resource_type, resource_id, action, request_id, hash, resource_name)
         VALUES ('e', '2026-01-05Z', 'o', 'user', 'u', 'auth', 't', 'info', 'r', 'r', 'read', 'r', '', $1)",
    )
    .bind(format!("{words} CORP\\tom \u{1b}"))
    .execute(&mut c)
    .await
    .unwrap();
    c.close().await.unwrap();
    let run = |format: &str| {
        let url = test.url();
        let args = ["--database-url", &url, "--format", format, "events"];
        let output = support::agenttrace().args(args).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let [table, json, ndjson, csv] = ["table", "json", "ndjson", "csv"].map(run);
    assert!(ndjson.contains(words) && ndjson.contains(r"CORP\\tom \u001b"), "{ndjson}");
    assert!(csv.contains(words) && csv.contains(r"CORP\tom \x1B"), "{csv}");
    for text in [&table, &json] {
        assert!(!text.contains('\u{200c}'), "{text}");
    }
    let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    assert_eq!(read(&json)["events"][0]["resource_name"], read(&ndjson)["resource_name"]);
    test.drop_now().await;
}

/// A pipe that nobody reads.
fn closed_pipe() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

#[tokio::test]
async fn a_command_that_cannot_write_says_so_and_one_that_nobody_reads_is_silent() {
    let scene = Scene::new().await;
    let mut wrong = Vec::new();
    let mut wrote = 0;
    let plain: &[(&str, &[&str])] =
        &[("", &["--help"]), ("", &["--version"]), ("", &["verify", "--help"]), ("", &["help", "events"])];
    for (_, args) in RUNS.iter().chain(plain) {
        for format in [None, Some("json"), Some("ndjson"), Some("csv")] {
            if format.is_some() && plain.iter().any(|(_, p)| p == args) {
                continue;
            }
            // A key is made once; the same again is refused.
            if args.starts_with(&["pin", "keygen"]) {
                continue;
            }
            let normal = scene.command(args, format).output().unwrap();
            if normal.stdout.is_empty() {
                continue;
            }
            wrote += 1;
            let run = |stdout: Stdio| {
                let command = scene.command(args, format);
                let mut child = std::process::Command::new(command.get_program());
                child.args(command.get_args()).env_clear().current_dir(scene.home.path());
                child.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
                child.stdin(Stdio::null()).stdout(stdout).stderr(Stdio::piped()).output().unwrap()
            };
            let full = run(File::create("/dev/full").unwrap().into());
            let said = String::from_utf8_lossy(&full.stderr).into_owned();
            if full.status.code() != Some(3) || !said.contains("error: ") || said.contains("panicked") {
                wrong.push(format!("{args:?} {format:?} > /dev/full: {} {said}", full.status));
            }
            let pipe = run(closed_pipe());
            let said = String::from_utf8_lossy(&pipe.stderr).into_owned();
            // Whoever waits for acknowledgements takes silence for loss.
            let is_as_meant = if args.contains(&"--ack") {
                pipe.status.code() == Some(3) && said.contains("nobody reads the acknowledgements")
            } else {
                pipe.status.code() == Some(0) && !said.contains("error")
            };
            if !is_as_meant || said.contains("panicked") {
                wrong.push(format!("{args:?} {format:?} | true: {} {said}", pipe.status));
            }
        }
    }
    assert!(wrote > 40, "only {wrote} runs wrote anything");
    assert!(wrong.is_empty(), "{} of them:\n{}", wrong.len(), wrong.join("\n"));
    scene.test.drop_now().await;
}
