//! Input at the ends of what there is: times, depths, files, and a listener that wants too much.

use crate::pty::Terminal;
use crate::shapes::Shape;
use crate::support::{self, Home, TestDatabase};
use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Executor as _};
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

/// A table with one event for each `(id, time, state before, state after)`.
async fn table(events: &[(&str, &str, Option<&str>, Option<&str>)]) -> TestDatabase {
    let test = Shape::Bare.database().await;
    let mut c = PgConnection::connect_with(&test.options).await.unwrap();
    for (id, time, previous, new) in events {
        let insert = sqlx::query(
            "INSERT INTO audit_events (event_id, timestamp, organization_id, actor_type, actor_id, event_category,
             event_type, event_severity, resource_type, resource_id, action, previous_state, new_state, request_id, hash)
             VALUES ($1, $2::text::timestamptz, 'o', 'user', 'u', 'data', 'x.y', 'info', 'r', 'one', 'update',
             $3::text::jsonb, $4::text::jsonb, 'q', repeat('0', 64))",
        );
        c.execute(insert.bind(*id).bind(*time).bind(*previous).bind(*new)).await.unwrap();
    }
    c.close().await.unwrap();
    test
}

fn run(url: &str, arguments: &[&str]) -> (i32, String, String) {
    let mut program = support::agenttrace();
    let output = program.args(["--database-url", url, "--org", "o"]).args(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn times_that_rfc_3339_cannot_say_have_one_form_in_every_output_and_input() {
    let times = [
        ("never", "infinity", "infinity"),
        ("always", "-infinity", "-infinity"),
        ("ides", "0044-03-15 12:00:00+00 BC", "-0043-03-15T12:00:00.000000Z"),
        ("first", "4714-11-24 00:00:00+00 BC", "-4713-11-24T00:00:00.000000Z"),
        ("far", "12026-01-01 00:00:00+00", "+12026-01-01T00:00:00.000000Z"),
        // Later than what fits in microseconds since 1970.
        ("last", "294276-12-31 23:59:59.999999+00", "+294247-01-10T04:00:54.775806Z"),
    ];
    let events: Vec<_> = times.iter().map(|(id, sql, _)| (*id, *sql, None, Some("{}"))).collect();
    let test = table(&events).await;
    let url = test.url();
    let wanted: BTreeMap<String, String> =
        times.iter().map(|(id, _, text)| ((*id).to_owned(), (*text).to_owned())).collect();

    let (code, lines, said) = run(&url, &["events", "--format", "ndjson", "all-time"]);
    assert_eq!(code, 0, "{said}");
    let listed: BTreeMap<String, String> = lines
        .lines()
        .map(|line| {
            let event: serde_json::Value = serde_json::from_str(line).unwrap();
            let text = |key: &str| event[key].as_str().unwrap().to_owned();
            (text("event_id"), text("timestamp"))
        })
        .collect();
    assert_eq!(listed, wanted);
    for (id, time) in &wanted {
        for format in [&["--format", "json"][..], &["--format", "csv"]] {
            let arguments = [&["events", "all-time"][..], format].concat();
            let (code, out, said) = run(&url, &arguments);
            assert!(code == 0 && out.contains(time.as_str()), "{time} {format:?}: {out} {said}");
        }
        let (_, out, said) = run(&url, &["show", id, "--format", "json"]);
        assert!(out.contains(&format!("\"{time}\"")), "{time}: {out} {said}");
        let (_, out, said) = run(&url, &["verify", "--event", id, "--format", "json"]);
        assert!(out.contains(&format!("\"{time}\"")), "{time}: {out} {said}");
        // It finds the event, and nothing earlier.
        let (code, out, said) =
            run(&url, &["events", "--format", "ndjson", &format!("since:{time} all-time")]);
        let (code, out, said) = if code == 0 {
            (code, out, said)
        } else {
            run(&url, &["events", "--format", "ndjson", &format!("since:{time}")])
        };
        assert!(code == 0 && out.contains(&format!("\"{id}\"")), "{time}: {out} {said}");
        let earlier = wanted["always"] == *time;
        assert_eq!(out.contains("\"always\""), earlier, "{time}: {out}");
    }
    test.drop_now().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn states_deeper_than_is_followed_are_answered_or_degraded_everywhere() {
    let nested = |value: u32| format!("{}{value}{}", "[".repeat(1_000), "]".repeat(1_000));
    let (a, b) = (nested(1), nested(2));
    let test = table(&[
        ("e1", "2026-01-01 00:00:00Z", None, Some(&a)),
        ("e2", "2026-01-02 00:00:00Z", Some(&a), Some(&b)),
        ("e3", "2026-01-03 00:00:00Z", Some("[]"), Some(&a)),
    ])
    .await;
    let url = test.url();
    let mut commands: Vec<Vec<&str>> = vec![
        vec!["diff", "e2"],
        vec!["diff", "e1", "e2"],
        vec!["resource", "r", "one"],
        vec!["resource", "r", "one", "--blame"],
        vec!["resource", "r", "one", "--at", "2026-01-02T12:00:00Z"],
        vec!["show", "e2"],
        vec!["ghosts", "all-time"],
        vec!["verify", "--event", "e2"],
        vec!["events", "all-time"],
        vec!["events", "--states", "--format", "ndjson", "all-time"],
        vec!["events", "--states", "--format", "csv", "all-time"],
    ];
    let json: Vec<Vec<&str>> =
        commands[..8].iter().map(|c| [c, &["--format", "json"][..]].concat()).collect();
    commands.extend(json);
    for command in commands {
        let (code, out, said) = run(&url, &command);
        assert!(matches!(code, 0 | 1) && !out.is_empty(), "{command:?}: exit {code} {said}");
        assert!(!said.contains("panicked") && !said.contains("overflow"), "{command:?}: {said}");
    }
    let (_, out, _) = run(&url, &["resource", "r", "one", "--blame"]);
    assert!(out.contains("nested more than 256 levels deep: it is blamed as one value"), "{out}");
    let (_, out, _) = run(&url, &["resource", "r", "one", "--blame", "--format", "json"]);
    // Too deep for a reader of JSON that counts on the stack.
    let (_, blame) = out.split_once("\"blame\":[{").unwrap();
    assert!(blame.starts_with("\"path\":\"\",") && blame.contains("\"event_id\":\"e3\""), "{out}");
    assert!(blame.contains("\"blame_unread\":\"a state of event e3 is nested more than 256"), "{out}");
    test.drop_now().await;
}

#[test]
fn a_configuration_that_is_no_text_is_a_usage_error() {
    for (content, says) in [
        (&b"\x7fELF\x02\x01\x01\0\0\xff\xfe"[..], "byte 10 is not a part of UTF-8 text"),
        (b"\xff\xfet\0i\0m\0e\0", "byte 1 is not a part of UTF-8 text"),
        (b"timeout = \"5s\"\0\n", "byte 15 is zero"),
    ] {
        let home = Home::new();
        let file = home.path().join("c.toml");
        fs::write(&file, content).unwrap();
        for command in [&["config", "check"][..], &["events"], &["config", "print"]] {
            let mut program = home.agenttrace();
            let output = program.arg("--config").arg(&file).args(command).output().unwrap();
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(2), "{said}");
            assert!(said.contains("c.toml") && said.contains(says), "{said}");
        }
    }
}

/// Answers a connection as a server without TLS that asks for a password in this way. The body of the startup message, and
/// the password.
fn ask(stream: &mut TcpStream, kind: u32) -> Option<(Vec<u8>, String)> {
    let message = |stream: &mut TcpStream| {
        let mut length = [0; 4];
        stream.read_exact(&mut length).ok()?;
        let mut body = vec![0; u32::from_be_bytes(length) as usize - 4];
        stream.read_exact(&mut body).ok()?;
        Some(body)
    };
    // Without TLS nobody asks for it.
    let mut startup = message(stream)?;
    if startup == [4, 210, 22, 47] {
        stream.write_all(b"N").ok()?;
        startup = message(stream)?;
    }
    stream.write_all(&[&b"R"[..], &8u32.to_be_bytes(), &kind.to_be_bytes()].concat()).ok()?;
    let mut letter = [0];
    stream.read_exact(&mut letter).ok()?;
    let body = message(stream)?;
    Some((startup, String::from_utf8_lossy(&body).trim_end_matches('\0').to_owned()))
}

/// Starts the program against a listener that asks so. What it says before it connects in earnest, and the password
/// that it sends then.
fn against(kind: u32, query: &str) -> (String, Option<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://u@127.0.0.1:{}/d{query}", listener.local_addr().unwrap().port());
    let home = Home::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_agenttrace"));
    command.env_clear().env("HOME", home.path()).current_dir(home.path());
    command.env("PGPASSWORD", "sesame").args(["--database-url", &url, "--org", "o", "events"]);
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut first = String::new();
    if query.is_empty() {
        assert_eq!(ask(&mut listener.accept().unwrap().0, kind), None, "asked without a password");
        if kind == 3 {
            // Before the next connection is accepted.
            said.read_line(&mut first).unwrap();
        }
    }
    let password = ask(&mut listener.accept().unwrap().0, kind).map(|(_, password)| password);
    // Every further attempt is refused.
    drop(listener);
    child.wait().unwrap();
    (first, password)
}

#[test]
fn a_password_goes_in_plain_text_only_after_a_warning() {
    let (said, password) = against(3, "");
    assert!(said.starts_with("warning: ") && said.contains("asks for the password in plain text"), "{said}");
    assert_eq!(password.as_deref(), Some("sesame"));
    // By MD5 it does not go in plain text; and who has chosen to do without TLS knows.
    assert_eq!(against(5, "").0, "");
    assert_eq!(against(3, "?sslmode=disable"), (String::new(), Some("sesame".to_owned())));
}

/// Asks for the password in plain text, whatever it is, and passes on to the server what comes then.
fn relay(mut client: TcpStream, server: &Path) -> Option<()> {
    let (startup, _) = ask(&mut client, 3)?;
    let mut up = UnixStream::connect(server).ok()?;
    let length = u32::try_from(startup.len() + 4).ok()?;
    up.write_all(&[&length.to_be_bytes()[..], &startup].concat()).ok()?;
    let (mut answers, mut to) = (up.try_clone().ok()?, client.try_clone().ok()?);
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut answers, &mut to);
        let _ = to.shutdown(std::net::Shutdown::Both);
    });
    let _ = std::io::copy(&mut client, &mut up);
    let _ = up.shutdown(std::net::Shutdown::Both);
    Some(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_in_plain_text_is_said_before_the_console_and_in_its_banner() {
    let test = table(&[("e-1", "2026-01-01Z", None, Some("{}"))]).await;
    let Some(folder) = test.options.get_socket() else {
        println!("skipped: no socket to reach the server by");
        return;
    };
    let socket = folder.join(format!(".s.PGSQL.{}", test.options.get_port()));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let socket = socket.clone();
            std::thread::spawn(move || relay(client, &socket));
        }
    });
    let user = test.options.get_username();
    let url = format!("postgres://{user}@127.0.0.1:{port}/{}", test.name);
    let home = Home::new();
    let passwords = home.path().join(".pgpass");
    fs::write(&passwords, format!("127.0.0.1:{port}:*:{user}:sesame\n")).unwrap();
    fs::set_permissions(&passwords, fs::Permissions::from_mode(0o600)).unwrap();
    let mut t = Terminal::open_at(120, 40, home.path(), &["--database-url", &url, "--org", "o"]);
    let banner = t.wait("the banner", |screen| screen.contains("Before anything is read"));
    assert!(banner.contains("asks for the password in plain text"), "{banner}");
    assert!(!banner.contains("e-1"), "{banner}");
    // Before the screen was taken, too: it is there when the console has been left.
    let sent = String::from_utf8_lossy(t.sent()).into_owned();
    let (said, taken) = (sent.find("asks for the password"), sent.find("\x1b[?1049h"));
    assert!(said.is_some() && said < taken, "{sent}");
    t.press("k");
    t.wait("the event", |screen| screen.contains("e-1") && !screen.contains("Before anything is read"));
    t.press("\x03\x03");
    t.wait_for_end();
    test.drop_now().await;
}

/// A trail of which no hash is one, and what a verification says of it.
async fn verified_with_malformed_hashes(events: u64) -> (TestDatabase, serde_json::Value) {
    let test = Shape::Bare.database().await;
    let mut c = PgConnection::connect_with(&test.options).await.unwrap();
    let insert = format!(
        "INSERT INTO audit_events (event_id, timestamp, organization_id, actor_type, actor_id, event_category, event_type,
         event_severity, resource_type, resource_id, action, request_id, hash)
         SELECT 'e' || n, '2026-01-01Z'::timestamptz + n * interval '1 second', 'o', 'user', 'u', 'data', 'x.y', 'info', 'r',
         'one', 'create', 'q', 'X' || n FROM generate_series(1, {events}) n"
    );
    c.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(insert))).await.unwrap();
    c.close().await.unwrap();
    let (code, out, said) = run(&test.url(), &["verify", "--format", "json"]);
    assert_eq!(code, 1, "{said}");
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    (test, report)
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_hashes_by_the_thousand_are_all_listed_with_their_rows() {
    const EVENTS: u64 = 10_000;
    let (test, report) = verified_with_malformed_hashes(EVENTS).await;
    let findings = report["findings"].as_array().unwrap();
    let malformed: std::collections::BTreeSet<&str> = findings
        .iter()
        .filter(|finding| finding["class"] == "malformed_hash")
        .map(|finding| finding["event_id"].as_str().unwrap())
        .collect();
    assert_eq!((malformed.len() as u64, report.get("findings_cut")), (EVENTS, None));
    test.drop_now().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn findings_beyond_what_is_listed_are_counted_in_text_and_json() {
    const EVENTS: u64 = 30_000;
    let (test, report) = verified_with_malformed_hashes(EVENTS).await;
    let listed = report["findings"].as_array().unwrap().iter();
    let listed = listed.filter(|finding| finding["class"] == "malformed_hash").count() as u64;
    let cut = report["findings_cut"].as_u64().unwrap();
    assert_eq!((listed, listed + cut), (20_000, EVENTS + report_beginnings(&report)));
    let (code, out, said) = run(&test.url(), &["verify"]);
    assert_eq!(code, 1, "{said}");
    assert!(out.contains("of them are counted only: at most 20 000 of a kind are listed"), "{out}");
    assert!(out.contains(" findings (--max-findings, --format json)"), "{out}");
    test.drop_now().await;
}

/// Beginnings beside the first one that were counted only.
fn report_beginnings(report: &serde_json::Value) -> u64 {
    let listed = report["findings"].as_array().unwrap().iter();
    let listed = listed.filter(|finding| finding["class"] == "additional_genesis").count();
    if listed == 0 { 0 } else { 10_000 }
}
