//! `events` and `show`, as another program sees them.

use crate::support::{self, TestDatabase};
use crate::timeline::fill;

use agenttrace::domain::{Action, ActorType, Category, Json, NewEvent, OrgId, Severity, Timestamp};
use agenttrace::store::WriteDb;
use agenttrace::store::writer::{Fate, Writer, WriterSettings};
use serde_json::Value;
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;

/// What a run of the program left behind.
struct Run {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Run {
    fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{}", self.stderr);
        assert_eq!(self.stdout.matches('\n').count(), 1, "one document on one line");
        serde_json::from_str(&self.stdout).unwrap()
    }
}

fn run(test: &TestDatabase, args: &[&str]) -> Run {
    let output = support::agenttrace().args(["--database-url", &test.url()]).args(args).output().unwrap();
    Run {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn ids(document: &Value) -> Vec<&str> {
    document["events"].as_array().unwrap().iter().map(|e| e["event_id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_listing_is_walked_by_its_cursors_to_the_end_and_back() {
    let test = support::database().await;
    fill(&test.options, 700, 300).await;
    for (order, filter) in [("desc", "-action:read"), ("asc", "type:trace*")] {
        let page = |extra: &[&str]| {
            let mut args = vec!["--org", "o-1", "--format", "json", "events", filter];
            args.extend(["--since", "2026-01-01", "--limit", "31"]);
            args.extend(extra);
            run(&test, &args).json()
        };
        let whole = {
            let args =
                ["--org", "o-1", "--format", "json", "events", filter, "--limit", "1000", "--order", order];
            run(&test, &args).json()
        };
        assert_eq!(whole["count"]["kind"], "exact");
        assert_eq!(whole["count"]["value"], ids(&whole).len());
        assert!(whole["next_cursor"].is_null() && whole["previous_cursor"].is_null());

        let first = page(&["--order", order]);
        assert!(first["previous_cursor"].is_null());
        // Few events are counted rather than guessed at; if the moment for that was too short, no less than is shown.
        let count = &first["count"];
        match count["kind"].as_str() {
            Some("exact") => assert_eq!(count["value"], ids(&whole).len(), "{count}"),
            _ => assert!(count["value"].as_u64() > Some(31), "{count}"),
        }
        assert_eq!((&first["order"], &first["schema_version"]), (&Value::from(order), &Value::from(1)));
        let mut pages = vec![first];
        while let Some(next) = pages.last().unwrap()["next_cursor"].as_str().map(ToOwned::to_owned) {
            pages.push(page(&["--cursor", &next]));
        }
        assert!(pages.len() > 2);
        let walked: Vec<&str> = pages.iter().flat_map(ids).collect();
        assert_eq!(walked, ids(&whole), "{order} {filter}");
        // And back, page by page; what is shown on the way back is the same.
        let mut back = pages.last().unwrap().clone();
        for forward in pages.iter().rev().skip(1) {
            back = page(&["--cursor", back["previous_cursor"].as_str().unwrap()]);
            assert_eq!(ids(&back), ids(forward));
            assert_eq!(back["window"], forward["window"]);
        }
        assert!(back["previous_cursor"].is_null());
    }
    test.drop_now().await;
}

#[tokio::test]
async fn a_cursor_of_another_listing_is_refused() {
    let test = support::database().await;
    fill(&test.options, 100, 10).await;
    let first = run(&test, &["--org", "o-1", "--format", "json", "events", "--limit", "3"]).json();
    let cursor = first["next_cursor"].as_str().unwrap();
    for args in [
        ["--org", "o-2", "events", "--cursor", cursor].as_slice(),
        &["--org", "o-1", "events", "sev:info", "--cursor", cursor],
        &["--org", "o-1", "events", "--since", "-7d", "--cursor", cursor],
        &["--org", "o-1", "events", "--order", "asc", "--cursor", cursor],
        &["--org", "o-1", "events", "--cursor", &cursor[1..]],
        &["--org", "o-1", "events", "--cursor", ""],
    ] {
        let refused = run(&test, args);
        assert_eq!((refused.code, refused.stdout.as_str()), (2, ""), "{args:?}: {}", refused.stderr);
        assert!(refused.stderr.contains("--cursor"), "{}", refused.stderr);
    }
    test.drop_now().await;
}

#[tokio::test]
async fn the_default_window_ends_at_the_newest_event_and_is_said() {
    let test = support::database().await;
    let mut c = PgConnection::connect_with(&test.options).await.unwrap();
    sqlx::raw_sql(
        "INSERT INTO audit_events (event_id, timestamp, organization_id, actor_type, actor_id, event_category,
             event_type, event_severity, resource_type, resource_id, action, request_id, hash)
         SELECT id, t::timestamptz, 'o-1', 'user', 'u-' || id, 'auth', 't', 'info', 'r', '', 'read', '', ''
         FROM (VALUES ('new', '2025-06-01Z'), ('inside', '2025-03-04Z'), ('outside', '2025-03-02Z'),
             ('old', '2024-01-01Z')) v (id, t)",
    )
    .execute(&mut c)
    .await
    .unwrap();
    c.close().await.unwrap();

    let listed = run(&test, &["--format", "json", "events"]);
    assert_eq!(ids(&listed.json()), ["new", "inside"]);
    let window = &listed.json()["window"];
    assert_eq!(window["since"], "2025-03-03T00:00:00.000000Z");
    assert_eq!(window["until"], Value::Null);
    assert!(
        listed.stderr.contains("since 2025-03-03T00:00:00.000000Z, 90d before the newest"),
        "{}",
        listed.stderr
    );

    let all = ["new", "inside", "outside", "old"];
    assert_eq!(ids(&run(&test, &["--format", "json", "--all-time", "events"]).json()), all);
    assert_eq!(ids(&run(&test, &["--format", "json", "events", "all-time"]).json()), all);
    let before = run(&test, &["--format", "json", "events", "until:2025-03-04"]);
    assert_eq!(ids(&before.json()), ["outside"]);

    // Nothing in the window: the nearest older event, and how to reach it. Nothing is no error.
    let empty = run(&test, &["--format", "json", "events", "actor:u-old"]);
    assert_eq!(empty.json()["count"]["value"], 0);
    assert!(
        empty.stderr.contains("nearest older event is outside at 2025-03-02T00:00:00.000000Z"),
        "{}",
        empty.stderr
    );
    let reached =
        run(&test, &["--format", "json", "events", "actor:u-outside", "since:2025-03-02T00:00:00.000000Z"]);
    assert_eq!(ids(&reached.json()), ["outside"]);
    let quiet = run(&test, &["-q", "events", "actor:u-old"]);
    assert_eq!((quiet.code, quiet.stdout.as_str(), quiet.stderr.as_str()), (0, "", ""));

    // An organisation without any event is most likely misspelt: not to be taken for a calm one.
    let misspelt = run(&test, &["--org", "no-such", "events"]);
    assert_eq!((misspelt.code, misspelt.stdout.as_str()), (4, ""), "{}", misspelt.stderr);
    assert!(
        misspelt.stderr.contains("no events of 'no-such'\n  hint: organisations: "),
        "{}",
        misspelt.stderr
    );
    test.drop_now().await;
}

#[tokio::test]
async fn a_filter_that_cannot_be_read_is_shown_with_its_place() {
    let test = support::database().await;
    let refused = run(&test, &["events", "sev:critical", "-actr:eve"]);
    assert_eq!(refused.code, 2);
    let lines: Vec<&str> = refused.stderr.lines().map(str::trim_end).collect();
    assert_eq!(
        lines,
        [
            "error: unknown field 'actr'",
            "         sev:critical -actr:eve",
            "                       ^^^^",
            "         did you mean 'actor'?"
        ]
    );
    // What PostgreSQL alone can read is a mistake in the filter all the same.
    fill(&test.options, 20, 1).await;
    let refused = run(&test, &["events", "--org", "o-1", "/a(/ since:2020-01-01"]);
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(refused.stderr.starts_with("error: invalid regular expression: parentheses () not balanced"));
    // An option is an option, wherever it stands.
    let refused = run(&test, &["events", "sev:critical", "-action:read", "--limt", "3"]);
    assert_eq!(refused.code, 2);
    assert!(refused.stderr.contains("--limt") && refused.stderr.contains("--limit"), "{}", refused.stderr);
    let refused = run(&test, &["events", "--since", "soon\u{1b}[31m"]);
    assert_eq!(refused.code, 2);
    assert!(refused.stderr.contains("--since: 'soon\\x1B[31m' is not a time"), "{}", refused.stderr);
    test.drop_now().await;
}

fn event(id: &str, second: i64, previous: Option<&str>, new: Option<&str>) -> NewEvent {
    NewEvent {
        event_id: id.into(),
        timestamp: Timestamp::from_micros(1_767_225_600_000_000 + second * 1_000_000),
        organization_id: OrgId::new("acme").unwrap(),
        project_id: None,
        actor_type: ActorType::User,
        actor_id: "u-1".into(),
        actor_email: Some("eve@acme.example".into()),
        actor_ip: Some("203.0.113.7".into()),
        actor_user_agent: Some("\u{1b}]52;c;AAAA\u{7} \u{202e}=1+1".into()),
        event_category: Category::Admin,
        event_type: "user.role_changed".into(),
        event_severity: Severity::Critical,
        resource_type: "user".into(),
        resource_id: "u-2".into(),
        resource_name: Some("=cmd()".into()),
        action: Action::Update,
        previous_state: previous.map(Json::from_trusted),
        new_state: new.map(Json::from_trusted),
        request_id: "r-1".into(),
        session_id: None,
    }
}

async fn chained() -> TestDatabase {
    let test = support::database().await;
    let db = WriteDb::connect(test.options.clone()).await.unwrap();
    let mut writer = Writer::new(db.clone(), WriterSettings::default());
    let state = r#"{"quota": 12345678901234567890.1000, "role": "viewer", "note": "\u202e"}"#;
    let events = vec![
        event("e-1", 0, None, None),
        event("e-2", 1, None, Some(state)),
        event("e-3", 2, Some(state), None),
    ];
    assert_eq!(writer.append(events).await.unwrap(), [Fate::Stored, Fate::Stored, Fate::Stored]);
    db.close().await;
    test
}

#[tokio::test]
async fn an_event_comes_with_its_verification_and_its_neighbours() {
    let test = chained().await;
    let shown = run(&test, &["--format", "json", "show", "e-2", "--context", "5"]);
    assert!(shown.stdout.contains(r#""quota": 12345678901234567890.1000}"#), "{}", shown.stdout);
    let shown = shown.json();
    assert_eq!(shown["organization_id"], "acme");
    assert_eq!(shown["event"].as_object().unwrap().len(), 22);
    assert_eq!(shown["event"]["new_state"]["role"], "viewer");
    let verification = &shown["verification"];
    assert_eq!(
        (&verification["content"], &verification["scheme"]),
        (&"verified".into(), &"agenttrace-v1".into())
    );
    assert_eq!(verification["stored_hash"], verification["computed_hash"]);
    assert_eq!(verification["predecessor"]["event_id"], "e-1");
    assert_eq!(verification["successors"][0]["event_id"], "e-3");
    assert_eq!(shown["context"]["newer"][0]["event_id"], "e-3");
    assert_eq!(shown["context"]["older"][0]["event_id"], "e-1");
    let genesis = run(&test, &["--format", "json", "show", "e-1"]).json();
    assert!(genesis["verification"]["predecessor"].is_null());

    // The text is what the hash is of.
    let preimage = run(&test, &["show", "e-2", "--preimage"]).stdout;
    let hash = sha256(preimage.trim_end());
    assert_eq!(shown["event"]["hash"], hash.as_str());

    // A changed row does not have its hash any more.
    let mut c = PgConnection::connect_with(&test.options).await.unwrap();
    sqlx::raw_sql(
        "ALTER TABLE audit_events DISABLE TRIGGER refuse_row;
         UPDATE audit_events SET actor_id = 'u-9' WHERE event_id = 'e-2'",
    )
    .execute(&mut c)
    .await
    .unwrap();
    c.close().await.unwrap();
    let changed = run(&test, &["--format", "json", "show", "e-2"]).json();
    assert_eq!(changed["verification"]["content"], "mismatch");
    assert!(changed["verification"]["consistent_with"].as_array().is_some_and(|fits| !fits.is_empty()));
    assert_ne!(changed["verification"]["stored_hash"], changed["verification"]["computed_hash"]);

    let missing = run(&test, &["show", "e-9"]);
    assert_eq!(missing.code, 4);
    assert!(missing.stderr.contains("organisation 'acme' has no event 'e-9'"), "{}", missing.stderr);
    test.drop_now().await;
}

fn sha256(text: &str) -> String {
    use sha2::Digest as _;
    use std::fmt::Write as _;
    sha2::Sha256::digest(text).iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    })
}

#[tokio::test]
async fn every_format_says_the_same_and_none_obeys_the_text() {
    let test = chained().await;
    let json = run(&test, &["--format", "json", "events", "--states", "--order", "asc"]);
    let events = json.json()["events"].clone();
    assert_eq!(events[2]["previous_state"]["note"], "\u{202e}");
    let ndjson = run(&test, &["--format", "ndjson", "events", "--states", "--order", "asc"]);
    let lines: Vec<Value> = ndjson.stdout.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(Value::from(lines), events);
    let without = run(&test, &["--format", "json", "events"]).json();
    assert_eq!(without["events"][0].as_object().unwrap().len(), 20);

    let csv = run(&test, &["--format", "csv", "events", "--states", "--order", "asc"]);
    let mut reader = csv::Reader::from_reader(csv.stdout.as_bytes());
    let headers = reader.headers().unwrap().clone();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!((headers.len(), rows.len()), (22, 3));
    let cell = |row: usize, name: &str| &rows[row][headers.iter().position(|h| h == name).unwrap()];
    assert_eq!(cell(0, "event_id"), "e-1");
    assert_eq!(cell(0, "resource_name"), "'=cmd()");
    assert_eq!(cell(0, "actor_user_agent"), "\\x1B]52;c;AAAA\\x07 \\u{202E}=1+1");
    assert!(cell(2, "previous_state").contains("12345678901234567890.1000"));

    let table = run(&test, &["events"]);
    assert!(table.stdout.lines().nth(1).unwrap().contains("eve@acme.example"));
    let shown = run(&test, &["show", "e-2"]);
    assert!(shown.stdout.contains("\\x1B]52;c;AAAA\\x07"));
    for run in [&json, &ndjson, &csv, &table, &shown] {
        assert_eq!(run.code, 0);
        let hidden =
            run.stdout.chars().find(|c| agenttrace::domain::is_hidden(*c) && !matches!(c, '\n' | '\r'));
        assert_eq!(hidden, None);
    }
    test.drop_now().await;
}

#[tokio::test]
async fn a_search_finds_words_and_says_how_far_it_has_looked() {
    let test = support::database().await;
    let db = WriteDb::connect(test.options.clone()).await.unwrap();
    let mut writer = Writer::new(db.clone(), WriterSettings::default());
    let state = |text: &str| format!(r#"{{"text": "{text}", "api_key": "ak-42.rotate"}}"#);
    let events: Vec<NewEvent> = (0..30)
        .map(|n| {
            let (old, new) = (
                state("the lost word"),
                state(if n % 3 == 0 { "prompt injection" } else { "injection prompt" }),
            );
            match n {
                7 => NewEvent { action: Action::Delete, ..event("e-07", n, Some(&old), None) },
                n => event(&format!("e-{n:02}"), n, None, Some(&new)),
            }
        })
        .collect();
    writer.append(events).await.unwrap();
    db.close().await;
    let search = |args: &[&str]| {
        let args: Vec<&str> =
            ["--format", "json", "search", "--all-time"].iter().chain(args).copied().collect();
        run(&test, &args).json()
    };
    // What only stood in what was deleted, an identifier by its part, and a phrase.
    assert_eq!(ids(&search(&["lost"])), ["e-07"]);
    assert_eq!(ids(&search(&["rotate", "--limit", "100"])).len(), 30);
    let found = search(&["prompt injection", "--limit", "3"]);
    assert_eq!(ids(&found), ["e-27", "e-24", "e-21"]);
    assert_eq!(found["engine"], "search_vector");
    assert_eq!(found["complete"], false);
    assert_eq!(found["searched_back_to"], found["events"][2]["timestamp"]);
    let rest = search(&["prompt injection", "--cursor", found["next_cursor"].as_str().unwrap()]);
    assert_eq!(ids(&rest).len(), 7);
    assert_eq!((&rest["complete"], &rest["searched_back_to"]), (&Value::Bool(true), &Value::Null));
    assert_eq!(ids(&search(&["inject*", "-action:update", "OR", "\"the lost\""])), ["e-07"]);
    // Without a word nothing is searched, and nothing is said of what a search would not see.
    let filtered = run(&test, &["search", "--all-time", "sev:info"]);
    assert!(filtered.stderr.contains("no words are asked for"), "{}", filtered.stderr);
    assert!(!filtered.stderr.contains("search_vector"), "{}", filtered.stderr);
    assert_eq!(search(&["sev:info"])["engine"], Value::Null);
    // What a filter leaves out, a search does too.
    assert_eq!(ids(&search(&["lost -prompt"])), ["e-07"]);
    let nothing = run(&test, &["search", "--all-time", "nowhere"]);
    assert!(
        nothing.stdout.is_empty() && nothing.stderr.contains("not seen: addresses"),
        "{}",
        nothing.stderr
    );
    // Without the vector the same words are computed.
    let mut c = PgConnection::connect_with(&test.options).await.unwrap();
    sqlx::query("ALTER TABLE audit_events DROP COLUMN search_vector").execute(&mut c).await.unwrap();
    c.close().await.unwrap();
    let found = search(&["prompt injection"]);
    assert_eq!((ids(&found).len(), &found["engine"]), (10, &Value::from("scan")));
    assert_eq!(ids(&search(&["ak.42.rot*", "lost"])), ["e-07"]);
    test.drop_now().await;
}

#[tokio::test]
async fn a_list_of_values_comes_from_a_file() {
    let test = support::database().await;
    fill(&test.options, 300, 3).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("suspects.txt");
    std::fs::write(&file, "# two of them\nuser-3\nsvc-*\n").unwrap();
    let list = format!("@\"{}\"", file.display());
    let json = ["--format", "json", "--org", "o-1", "--all-time", "events"];
    let args: Vec<&str> = json.iter().chain(&["actor", "in", &list, "--limit", "500"]).copied().collect();
    let found = run(&test, &args).json();
    let actors: std::collections::BTreeSet<&str> =
        found["events"].as_array().unwrap().iter().map(|e| e["actor_id"].as_str().unwrap()).collect();
    assert!(actors.contains("user-3") && actors.iter().any(|a| a.starts_with("svc-")), "{actors:?}");
    assert!(actors.iter().all(|a| *a == "user-3" || a.starts_with("svc-")), "{actors:?}");
    for (filter, word) in [
        ("actor in @gone.txt", "gone.txt"),
        ("integrity:broken", "nothing is known"),
        ("around:nobody", "nobody"),
    ] {
        let refused = run(&test, &["--org", "o-1", "events", filter]);
        assert_eq!(refused.code, 2, "{}", refused.stderr);
        assert!(refused.stderr.contains(word), "{}", refused.stderr);
    }
    test.drop_now().await;
}

#[tokio::test]
async fn an_organisation_without_events_has_no_newest_one_to_count_from() {
    let test = support::database().await;
    fill(&test.options, 10, 1).await;
    for command in ["events", "summary", "histogram", "ghosts", "export"] {
        let none = run(&test, &["--org", "nope", command]);
        assert_eq!(none.code, 4, "{}", none.stderr);
        assert!(
            none.stderr.contains("no events of 'nope'") && none.stderr.contains("o-1"),
            "{}",
            none.stderr
        );
        assert!(!none.stderr.contains("before the newest one"), "{}", none.stderr);
        assert!(run(&test, &["--org", "o-1", command]).stderr.contains("before the newest one"));
    }
    // Where others are hidden, the database may well have events of it.
    let mut c = PgConnection::connect_with(&test.options).await.unwrap();
    let role = format!("{}_reader", test.name);
    let sql = format!(
        "CREATE ROLE {role} LOGIN; GRANT SELECT ON audit_events TO {role}; ALTER TABLE audit_events ENABLE ROW LEVEL SECURITY;
         CREATE POLICY own ON audit_events TO {role} USING (organization_id = 'o-1')"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut c).await.unwrap();
    let url = test.url().replacen(&format!("//{}@", test.options.get_username()), &format!("//{role}@"), 1);
    let args = ["--database-url", &url, "--org", "o-2", "events"];
    let hidden = support::agenttrace().args(args).output().unwrap();
    let said = String::from_utf8(hidden.stderr).unwrap();
    assert_eq!(hidden.status.code(), Some(4), "{said}");
    assert!(said.contains("row-level security shows this role no events of 'o-2'"), "{said}");
    assert!(!said.contains("this database has no events"), "{said}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("DROP OWNED BY {role}; DROP ROLE {role}")))
        .execute(&mut c)
        .await
        .unwrap();
    c.close().await.unwrap();
    test.drop_now().await;
}

#[tokio::test]
async fn totals_of_days_are_those_of_the_events_whatever_the_view_of_days_holds() {
    let test = support::database().await;
    fill(&test.options, 2_000, 1_000).await;
    let mut c = PgConnection::connect_with(&test.options).await.unwrap();
    // Four hours each, so that the zone matters.
    let spread = "ALTER TABLE audit_events DISABLE TRIGGER USER;
        UPDATE audit_events e SET timestamp = '2026-01-01T00:00:00Z'::timestamptz + n * interval '4 hours'
        FROM (SELECT event_id, row_number() OVER (ORDER BY timestamp, event_id) AS n FROM audit_events) o
        WHERE o.event_id = e.event_id";
    sqlx::raw_sql(spread).execute(&mut c).await.unwrap();
    sqlx::raw_sql("REFRESH MATERIALIZED VIEW audit_daily_summary").execute(&mut c).await.unwrap();
    let days = || {
        let args =
            ["--org", "o-1", "--format", "json", "summary", "--by", "day", "--all-time", "--limit", "9999"];
        run(&test, &args).json()
    };
    let said = |document: &Value| -> Vec<(String, i64)> {
        let group = |g: &Value| (g["day"].as_str().unwrap().to_owned(), g["events"].as_i64().unwrap());
        document["groups"].as_array().unwrap().iter().map(group).collect()
    };
    let counted = "SELECT (timestamp AT TIME ZONE 'UTC')::date::text, count(*) FROM audit_events
        WHERE organization_id = 'o-1' GROUP BY 1 ORDER BY 1 DESC";
    let by_view = days();
    assert!(by_view["from_daily_summary_until"].is_string(), "{by_view}");
    let all: Vec<(String, i64)> = sqlx::query_as(counted).fetch_all(&mut c).await.unwrap();
    assert_eq!(said(&by_view), all);
    // The oldest month has been archived since.
    sqlx::raw_sql("DELETE FROM audit_events WHERE timestamp < '2026-02-01T10:00:00Z'")
        .execute(&mut c)
        .await
        .unwrap();
    let rest: Vec<(String, i64)> = sqlx::query_as(counted).fetch_all(&mut c).await.unwrap();
    assert!(rest.len() > 30 && rest.len() < all.len());
    assert_eq!(said(&days()), rest);
    // The view of the guide has the days of the zone in which it was made.
    let of_the_guide = "SET TimeZone = 'Asia/Tokyo'; DROP MATERIALIZED VIEW audit_daily_summary CASCADE;
        CREATE MATERIALIZED VIEW audit_daily_summary AS
        SELECT organization_id, DATE(timestamp) as date, event_category, COUNT(*) as event_count,
            COUNT(DISTINCT actor_id) as unique_actors
        FROM audit_events GROUP BY organization_id, DATE(timestamp), event_category";
    sqlx::raw_sql(of_the_guide).execute(&mut c).await.unwrap();
    let tokyo =
        "SELECT date::text, sum(event_count)::bigint FROM audit_daily_summary WHERE organization_id = 'o-1'
        GROUP BY 1 ORDER BY 1 DESC";
    let elsewhere: Vec<(String, i64)> = sqlx::query_as(tokyo).fetch_all(&mut c).await.unwrap();
    assert_ne!(elsewhere, rest);
    assert_eq!(said(&days()), rest);
    c.close().await.unwrap();
    test.drop_now().await;
}
