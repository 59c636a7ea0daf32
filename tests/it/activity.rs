//! The activity log and its replay: real questions to a real trail, an edit planted behind their back, an edited log.

use crate::pty::Terminal;
use crate::support::{self, Home, TestDatabase};
use crate::verify::{append, damage, run, run_json};
use serde_json::Value;
use std::ops::Range;
use std::path::PathBuf;

/// The event that is edited later.
const EDITED: &str = "own-000030";

struct Scene {
    test: TestDatabase,
    home: Home,
    /// Of each question that was asked, whether its answer has the event in it that is edited later.
    concerned: Vec<bool>,
}

impl Scene {
    async fn new() -> Self {
        let test = support::database().await;
        append(&test, "own", 0..60).await;
        append(&test, "other", 0..3).await;
        Self { test, home: Home::new(), concerned: Vec::new() }
    }

    /// Asks about `own`; `concerned` are the steps that this makes.
    fn ask(&mut self, args: &[&str], concerned: &[bool]) -> String {
        let (code, stdout, stderr) = run(&self.home, &self.test, &[&["--org", "own"], args].concat());
        // No two of these events are of one resource; and a difference is an exit code.
        let expected = match args[0] {
            "ghosts" => 4,
            "diff" => 1,
            _ => 0,
        };
        assert_eq!(code, expected, "{args:?}: {stdout} {stderr}");
        assert!(!stderr.contains("activity log"), "{stderr}");
        self.concerned.extend(concerned);
        stdout
    }

    /// Lists events; whether the one is among them.
    fn list(&mut self, args: &[&str]) -> Value {
        let text = self.ask(&[&["events"], args, &["--format", "json"]].concat(), &[]);
        self.concerned.push(text.contains(EDITED));
        serde_json::from_str(&text).unwrap()
    }

    fn replay(&self, args: &[&str]) -> (i32, Value) {
        run_json(&self.home, &self.test, &[&["case", "replay"], args].concat())
    }

    fn files(&self) -> PathBuf {
        self.home.path().join("data/activity")
    }
}

/// Outcomes of the questions; what was none is left out.
fn outcomes(replayed: &Value) -> Vec<&str> {
    let steps = replayed["steps"].as_array().unwrap();
    steps.iter().map(|step| step["outcome"].as_str().unwrap()).filter(|o| *o != "no_question").collect()
}

#[tokio::test]
async fn steps_replay_alike_until_an_event_is_edited_and_then_exactly_its_steps_are_flagged() {
    replay_until_an_edit(26..34, 26..34, 60).await;
}

#[tokio::test]
#[ignore = "long: a minute or two"]
async fn two_hundred_steps_replay_alike_until_an_event_is_edited() {
    replay_until_an_edit(0..60, 0..40, 200).await;
}

/// Asks for some events and some actors, and for everything else; at least so many steps.
async fn replay_until_an_edit(events: Range<u32>, actors: Range<u32>, least: usize) {
    let mut scene = Scene::new().await;
    for n in events {
        let id = format!("own-{n:06}");
        // The event, and its verification.
        scene.ask(&["show", &id], &[id == EDITED; 2]);
    }
    for n in actors {
        scene.list(&[&format!("actor:u-{n}"), "all-time"]);
    }
    for n in 20..35 {
        scene.list(&[&format!("res:user/r-{n}"), "-action:read"]);
    }
    // Pages in both directions, with states and without.
    for order in [&["--order", "asc"][..], &["--order", "desc", "--states"]] {
        let mut cursor: Option<String> = None;
        loop {
            let mut args = [&["all-time", "--limit", "20"], order].concat();
            args.extend(cursor.iter().flat_map(|cursor| ["--cursor", cursor.as_str()]));
            let page = scene.list(&args);
            match page["next_cursor"].as_str() {
                Some(next) => cursor = Some(next.to_owned()),
                None => break,
            }
        }
    }
    scene.list(&["type:nothing.happened"]);
    let found = scene.ask(&["search", "admin", "--format", "json"], &[]);
    scene.concerned.push(found.contains(EDITED));
    scene.ask(&["summary", "--by", "severity"], &[true]);
    scene.ask(&["summary", "--by", "actor"], &[false]);
    scene.ask(&["histogram"], &[false]);
    scene.ask(&["ghosts"], &[false]);
    scene.ask(&["resource", "user", "r-30"], &[true]);
    scene.ask(&["resource", "user", "r-31", "--blame"], &[false]);
    scene.ask(&["resource", "user", "r-31", "--access"], &[false]);
    scene.ask(&["actor", "u-30"], &[true; 2]);
    scene.ask(&["actor", "u-31"], &[false; 2]);
    scene.ask(&["diff", EDITED], &[true]);
    scene.ask(&["verify"], &[true]);
    scene.ask(&["verify", "--links-only"], &[false]);
    scene.ask(&["verify", "--event", "own-000031"], &[false]);
    scene.ask(&["export", "-o", "all.ndjson"], &[true]);
    scene.ask(&["export", "actor:u-5", "--format", "csv", "--integrity"], &[false]);
    // No questions.
    scene.ask(&["case", "note", EDITED, "a secret thought"], &[]);
    scene.ask(&["case", "bookmark", "own-000031"], &[]);

    let steps = scene.concerned.len();
    assert!(steps >= least, "{steps}");
    let (code, log) = run_json(&scene.home, &scene.test, &["case", "activity", "--limit", "9999"]);
    assert_eq!((code, &log["whole"], log["steps"].as_u64()), (0, &Value::Bool(true), Some(steps as u64 + 2)));
    // Neither what an event says nor what an analyst thinks.
    let written = std::fs::read_to_string(scene.files().join("000001.ndjson")).unwrap();
    for payload in ["curl/8", "10.0.0.", "user.updated", "secret thought"] {
        assert!(!written.contains(payload), "{payload}");
    }

    let (code, replayed) = scene.replay(&[]);
    assert_eq!(outcomes(&replayed), vec!["equal"; steps], "{replayed:#}");
    assert_eq!(code, 0);

    // What has come since is told from what was seen.
    append(&scene.test, "own", 60..70).await;
    let (code, replayed) = scene.replay(&[]);
    let of = |kind: &str| {
        let is_such = |step: &&Value| step["step"]["kind"] == kind;
        replayed["steps"].as_array().unwrap().iter().filter(is_such).collect::<Vec<_>>()
    };
    let unequal: Vec<&Value> = replayed["steps"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|step| step["outcome"] != "equal" && step["outcome"] != "no_question")
        .collect();
    assert!(code == 0 && unequal.is_empty(), "{unequal:#?}");
    for kind in ["verification", "histogram", "export"] {
        assert_eq!(of(kind)[0]["newer"], 10, "{kind}");
    }

    let edit = format!("UPDATE audit_events SET event_severity = 'critical' WHERE event_id = '{EDITED}'");
    damage(&scene.test, &[&edit]).await;
    let (code, replayed) = scene.replay(&[]);
    let flagged: Vec<bool> = outcomes(&replayed).into_iter().map(|outcome| outcome == "changed").collect();
    let steps = replayed["steps"].as_array().unwrap();
    for ((flagged, concerned), step) in flagged.iter().zip(&scene.concerned).zip(steps) {
        assert_eq!(flagged, concerned, "{step:#}");
    }
    assert_eq!((code, flagged.len()), (1, scene.concerned.len()));
    // By name, where rows were seen.
    let listing = steps.iter().find(|step| step["step"]["filter"] == "all-time actor:u-30").unwrap();
    assert_eq!(listing["details"][0], format!("other values now: {EDITED}"));
    // So are rows that are missing, and rows that were not there.
    let edits = [
        "DELETE FROM audit_events WHERE event_id = 'own-000029'",
        "UPDATE audit_events SET actor_id = 'u-28' WHERE event_id = 'own-000027'",
    ];
    damage(&scene.test, &edits).await;
    let (_, replayed) = scene.replay(&[]);
    for (actor, said) in [
        ("u-29", "no longer among them: own-000029"),
        ("u-28", "more among them now, late or inserted: own-000027"),
        ("u-27", "no longer among them: own-000027"),
    ] {
        let filter = format!("all-time actor:{actor}");
        let steps = replayed["steps"].as_array().unwrap();
        let listing = steps.iter().find(|step| step["step"]["filter"] == filter.as_str()).unwrap();
        assert_eq!(listing["details"], serde_json::json!([said]));
    }
    scene.test.drop_now().await;
}

#[tokio::test]
async fn an_edited_log_is_found_and_off_is_off() {
    let mut scene = Scene::new().await;
    for n in 0..5 {
        scene.list(&[&format!("actor:u-{n}")]);
    }
    let file = scene.files().join("000001.ndjson");
    let text = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 5);
    for edited in [
        text.replacen("actor:u-3", "actor:u-4", 1),
        text.replacen(lines[2], "", 1),
        lines[..4].join("\n") + "\n",
        String::new(),
    ] {
        std::fs::write(&file, &edited).unwrap();
        let (code, _, said) = run(&scene.home, &scene.test, &["case", "activity"]);
        assert!(code == 1 && said.contains("edited"), "{code} {said}");
        let (code, _, said) = run(&scene.home, &scene.test, &["case", "replay"]);
        assert!(code == 1 || edited.is_empty() && code == 4, "{code} {said}");
    }
    // A log that cannot be written costs nobody an answer, and is said.
    std::fs::remove_dir_all(scene.files()).unwrap();
    std::fs::write(scene.files(), "").unwrap();
    let (code, found, said) = run(&scene.home, &scene.test, &["--org", "own", "events", "actor:u-1"]);
    assert!(code == 0 && found.contains("own-000001") || found.contains("u-1"), "{found}");
    assert!(said.contains("activity log: nothing was recorded"), "{said}");
    std::fs::remove_file(scene.files()).unwrap();
    // Switched off.
    std::fs::write(scene.home.path().join("off.toml"), "activity = \"off\"\n").unwrap();
    let (code, ..) = run(&scene.home, &scene.test, &["--config", "off.toml", "--org", "own", "events"]);
    assert!(code == 0 && !scene.files().exists());
    let (code, _, said) = run(&scene.home, &scene.test, &["case", "replay"]);
    assert!(code == 4 && said.contains("no such step"), "{said}");
    // Another database is another one.
    scene.ask(&["events"], &[]);
    let other = support::database().await;
    append(&other, "own", 0..60).await;
    let (code, replayed) = run_json(&scene.home, &other, &["case", "replay"]);
    assert_eq!((code, outcomes(&replayed)), (4, vec!["not_asked"]), "{replayed:#}");
    other.drop_now().await;
    scene.test.drop_now().await;
}

#[tokio::test]
async fn the_console_records_what_is_asked_in_it() {
    let scene = Scene::new().await;
    let mut terminal =
        Terminal::open_at(100, 30, scene.home.path(), &["--database-url", &scene.test.url(), "--org", "own"]);
    terminal.wait_for("user.updated");
    terminal.press("factor:u-7\r");
    terminal.wait("only the events of u-7", |screen| screen.contains("u-7") && !screen.contains("u-8"));
    terminal.press("m");
    terminal.wait_for("★");
    terminal.press("qqq");
    terminal.wait_for_end();
    let (code, log) = run_json(&scene.home, &scene.test, &["case", "activity"]);
    let steps = log["activity"].as_array().unwrap();
    let kinds: Vec<&str> = steps.iter().map(|entry| entry["step"]["kind"].as_str().unwrap()).collect();
    assert!(code == 0 && kinds.starts_with(&["listing", "listing", "case"]), "{kinds:?}");
    assert!(steps.iter().all(|entry| entry["via"] == "console"));
    assert_eq!(steps[1]["step"]["filter"], "actor:u-7");
    let (code, replayed) = scene.replay(&[]);
    assert!(code == 0 && outcomes(&replayed).iter().all(|outcome| *outcome == "equal"), "{replayed:#}");
    scene.test.drop_now().await;
}

/// Messages that a system log has been sent.
#[cfg(unix)]
fn received(log: &std::os::unix::net::UnixDatagram) -> Vec<String> {
    log.set_nonblocking(true).unwrap();
    let mut messages = Vec::new();
    let mut buffer = vec![0; 65_536];
    while let Ok(length) = log.recv(&mut buffer) {
        messages.push(String::from_utf8(buffer[..length].to_vec()).unwrap());
    }
    messages
}

#[cfg(unix)]
#[tokio::test]
async fn a_system_log_gets_each_step_with_the_digest_of_its_answer_and_without_its_rows() {
    let scene = Scene::new().await;
    let socket = scene.home.path().join("log");
    let log = std::os::unix::net::UnixDatagram::bind(&socket).unwrap();
    let config = scene.home.path().join("config.toml");
    let ask = |filter: &str| {
        let config = config.display().to_string();
        let args = ["--config", &config, "--org", "own", "events", filter, "--format", "json"];
        run(&scene.home, &scene.test, &args)
    };
    std::fs::write(&config, format!("syslog = \"{}\"\n", socket.display())).unwrap();
    let (code, _, stderr) = ask("(actor:\"e\u{301}\u{1b}\" OR sev>=info) all-time");
    assert_eq!((code, stderr.contains("system log")), (0, false), "{stderr}");
    let messages = received(&log);
    let [message] = &messages[..] else { panic!("{messages:?}") };
    let (head, text) = message.split_once(": ").unwrap();
    assert!(head.starts_with("<85>") && head.contains(" agenttrace["), "{head}");
    let step: Value = serde_json::from_str(text).unwrap();
    assert_eq!(step["step"]["kind"], "listing");
    assert_eq!(step["answer"]["digest"].as_str().unwrap().len(), 64);
    assert!(step["answer"].get("rows").is_none() && !text.contains('\u{1b}'), "{text}");
    // The own log has it all the same, and an answer does not depend on the other one.
    drop(log);
    std::fs::remove_file(&socket).unwrap();
    let (code, stdout, stderr) = ask("all-time");
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("system log: ") && stdout.contains("own-000059"), "{stderr}");
    let (code, replayed) = scene.replay(&[]);
    assert_eq!((code, outcomes(&replayed).len()), (0, 2), "{replayed}");
    // Off unless wanted.
    std::fs::write(&config, "syslog = \"sometimes\"\n").unwrap();
    let (code, _, stderr) = ask("all-time");
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("neither on nor off"), "{stderr}");
}
