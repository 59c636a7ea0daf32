//! The case: what analysts say about events, on this machine.

use crate::pty::{ESCAPE, Terminal};
use crate::support::{self, Home, TestDatabase};
use crate::verify::{append, damage, run, run_json};

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::process::Stdio;

/// A home of an analyst, at a database with sixty events of `own` and three of `other`.
struct Scene {
    test: TestDatabase,
    home: Home,
}

impl Scene {
    async fn new() -> Self {
        let test = support::database().await;
        append(&test, "own", 0..60).await;
        append(&test, "other", 0..3).await;
        Self { test, home: Home::new() }
    }

    /// Runs a command about `own` that must succeed; what it wrote.
    fn run(&self, args: &[&str]) -> String {
        let (code, stdout, stderr) = self.try_run(args);
        assert_eq!(code, 0, "{args:?}: {stdout} {stderr}");
        stdout
    }

    fn try_run(&self, args: &[&str]) -> (i32, String, String) {
        run(&self.home, &self.test, &[&["--org", "own"], args].concat())
    }

    /// The numbers of the events that a filter finds, page by page.
    fn found(&self, filter: &str) -> Vec<usize> {
        let mut numbers = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let mut args = vec!["--org", "own", "events", filter, "--limit", "2"];
            args.extend(cursor.iter().flat_map(|cursor| ["--cursor", cursor.as_str()]));
            let (code, page) = run_json(&self.home, &self.test, &args);
            assert_eq!(code, 0, "{filter}");
            let events = page["events"].as_array().unwrap();
            numbers.extend(events.iter().map(|e| number(e["event_id"].as_str().unwrap())));
            match page["next_cursor"].as_str() {
                Some(next) => cursor = Some(next.to_owned()),
                None => return numbers,
            }
        }
    }

    fn show(&self, args: &[&str]) -> (i32, Value) {
        run_json(&self.home, &self.test, &[&["--org", "own", "case", "show"], args].concat())
    }
}

fn number(event_id: &str) -> usize {
    event_id.rsplit('-').next().unwrap().parse().unwrap()
}

fn texts(event: &Value) -> Vec<&str> {
    event["notes"].as_array().unwrap().iter().map(|n| n["text"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn filters_find_what_the_case_names() {
    let scene = Scene::new().await;
    for n in [7, 20, 21, 22, 59] {
        scene.run(&["case", "bookmark", &format!("own-{n:06}")]);
    }
    scene.run(&["case", "note", "own-000020", "the", "first", "step"]);
    scene.run(&["case", "note", "own-000003", "before it"]);
    scene.run(&["case", "tag", "own-000021", "exfil", "#night"]);
    scene.run(&["case", "bookmark", "own-000022", "--remove"]);
    for (filter, expected) in [
        ("is:bookmarked", vec![59, 21, 20, 7]),
        ("is:noted", vec![20, 3]),
        ("is:bookmarked is:noted", vec![20]),
        ("is:noted,bookmarked", vec![59, 21, 20, 7, 3]),
        ("is:noted OR tag:exfil", vec![21, 20, 3]),
        ("tag:exfil,unknown -is:noted", vec![21]),
        ("tag:unknown", vec![]),
        ("is:bookmarked actor:u-7", vec![7]),
        ("is:bookmarked since:2100-01-01", vec![]),
    ] {
        assert_eq!(scene.found(filter), expected, "{filter}");
    }
    let all: BTreeSet<usize> = (0..60).collect();
    let rest: BTreeSet<usize> = scene.found("-is:bookmarked all-time").into_iter().collect();
    assert_eq!(rest, &all - &BTreeSet::from([59, 21, 20, 7]));
    // The same in every command that takes a filter, and in a saved one.
    scene.run(&["filters", "save", "mine", "is:bookmarked"]);
    let (_, summary) = run_json(&scene.home, &scene.test, &["--org", "own", "summary", "--saved", "mine"]);
    assert_eq!(summary["events"], 4, "{summary}");
    let exported = scene.run(&["export", "is:bookmarked"]);
    assert_eq!(exported.lines().count(), 4);
    // One organisation's case is nothing to another one.
    let (_, others) = run_json(&scene.home, &scene.test, &["--org", "other", "events", "is:bookmarked"]);
    assert_eq!(others["events"].as_array().unwrap().len(), 0);
    // Nor is a case to another one; a name that leads elsewhere is refused.
    let (code, _, said) = scene.try_run(&["--case", "other", "events", "is:bookmarked"]);
    assert!(
        code == 0
            && said.contains("nothing is said about events of this trail: is:bookmarked matches nothing"),
        "{said}"
    );
    // No search of the table: the case itself has nothing of the kind.
    let (code, _, said) = scene.try_run(&["events", "actor:u-7 tag:unknown"]);
    assert!(
        code == 0
            && said.contains(
                "no event with the tag unknown about events of this trail: tag:unknown matches nothing"
            ),
        "{said}"
    );
    let (code, _, said) = scene.try_run(&["--case", "../x", "events", "is:bookmarked"]);
    assert!(code == 2 && said.contains("name of a case"), "{said}");
    // A case that others can write is not used, and not passed over in silence.
    let file = scene.home.path().join("data/cases/default.ndjson");
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    let (code, _, said) = scene.try_run(&["events", "is:bookmarked"]);
    assert!(code == 3 && said.contains("can be written by other users"), "{said}");
    scene.test.drop_now().await;
}

#[tokio::test]
async fn a_bookmark_outlives_its_event() {
    let scene = Scene::new().await;
    for n in [5, 6, 7] {
        scene.run(&["case", "bookmark", &format!("own-{n:06}")]);
    }
    assert_eq!(scene.show(&["--check"]).0, 0);
    damage(
        &scene.test,
        &[
            "DELETE FROM audit_events WHERE event_id = 'own-000005'",
            "UPDATE audit_events SET hash = repeat('0', 64) WHERE event_id = 'own-000006'",
        ],
    )
    .await;
    let (code, shown) = scene.show(&["--check"]);
    assert_eq!(code, 1, "that is a finding");
    let fates: Vec<(usize, &str)> = shown["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| (number(e["event_id"].as_str().unwrap()), e["in_table"].as_str().unwrap()))
        .collect();
    assert_eq!(fates, [(7, "present"), (6, "other_hash"), (5, "gone")]);
    let (_, text, _) = scene.try_run(&["case", "show", "--check"]);
    assert!(text.contains("no longer in the table"), "{text}");
    // What is known of it can still be said more of.
    scene.run(&["case", "note", "own-000005", "deleted after the bookmark"]);
    let (code, _, said) = scene.try_run(&["case", "note", "own-000099", "never there"]);
    assert!(code == 4 && said.contains("own-000099"), "{said}");
    scene.test.drop_now().await;
}

#[tokio::test]
async fn two_analysts_merge_their_cases_without_loss() {
    let scene = Scene::new().await;
    let colleague = Home::new();
    scene.run(&["case", "note", "own-000007", "mine"]);
    let file = colleague.path().join("from-eve.ndjson");
    std::fs::write(&file, scene.run(&["case", "export"])).unwrap();
    let there = |args: &[&str]| {
        let (code, stdout, stderr) = run(&colleague, &scene.test, &[&["--org", "own"], args].concat());
        assert_eq!(code, 0, "{args:?}: {stderr}");
        stdout
    };
    there(&["case", "import", "from-eve.ndjson"]);
    there(&["--case", "from-eve", "case", "note", "own-000007", "theirs"]);
    there(&["--case", "from-eve", "case", "verdict", "own-000007", "malicious"]);
    let back = scene.home.path().join("back.ndjson");
    std::fs::write(&back, there(&["--case", "from-eve", "case", "export"])).unwrap();
    scene.run(&["case", "note", "own-000008", "meanwhile"]);
    for _ in 0..2 {
        scene.run(&["case", "merge", "back.ndjson"]);
        let (_, shown) = scene.show(&[]);
        let events = shown["events"].as_array().unwrap();
        assert_eq!(events.iter().map(texts).collect::<Vec<_>>(), [vec!["meanwhile"], vec!["mine", "theirs"]]);
        assert_eq!(events[1]["verdicts"][0]["text"], "malicious");
    }
    // A case is not overwritten by another one.
    let (code, _, said) = scene.try_run(&["--case", "default", "case", "import", "back.ndjson"]);
    assert!(code == 2 && said.contains("case merge"), "{said}");
    // A damaged line costs itself alone, and is told.
    let text = std::fs::read_to_string(&back).unwrap().replacen("theirs", "altered", 1);
    std::fs::write(&back, text).unwrap();
    let (code, _, said) = scene.try_run(&["--case", "damaged", "case", "merge", "back.ndjson"]);
    assert!(code == 4 && said.contains("does not match its checksum"), "{said}");
    let (_, shown) = scene.show(&["--case", "damaged"]);
    assert_eq!(texts(&shown["events"][0]), ["mine"]);
    let listed = scene.run(&["case", "list"]);
    assert!(listed.contains("damaged") && listed.contains("default  2 events, 3 notes  own"), "{listed}");
    scene.test.drop_now().await;
}

#[tokio::test]
async fn a_program_killed_while_it_writes_loses_nothing_that_it_said_was_recorded() {
    let scene = Scene::new().await;
    let mut acknowledged = 0;
    for n in 0..24_u64 {
        let command = scene.home.agenttrace();
        let mut child = std::process::Command::new(command.get_program());
        child.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        child.args(["--database-url", &scene.test.url(), "--org", "own"]);
        child.args(["case", "note", "own-000007", &format!("note {n} {}", "x".repeat(5_000))]);
        let mut child =
            child.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // At another point of its life each time; some are let to end.
        std::thread::sleep(std::time::Duration::from_millis(n * 12));
        child.kill().unwrap();
        acknowledged += usize::from(child.wait().unwrap().success());
    }
    scene.run(&["case", "note", "own-000007", "the last one"]);
    let (code, _, said) = scene.try_run(&["case", "show"]);
    assert_eq!(code, 0);
    let (_, shown) = scene.show(&[]);
    let notes = texts(&shown["events"][0]);
    assert!(notes.len() > acknowledged, "{} of {acknowledged} and one: {said}", notes.len());
    assert_eq!(notes.last(), Some(&"the last one"));
    assert!(notes.iter().all(|note| *note == "the last one" || note.len() > 5_000), "nothing half");
    scene.test.drop_now().await;
}

#[tokio::test]
async fn ids_that_begin_with_a_hyphen_are_ids_everywhere() {
    let scene = Scene::new().await;
    for (n, id) in ["-uihn7", "-q", "-type:x", "--org"].iter().enumerate() {
        let rename = format!("UPDATE audit_events SET event_id = '{id}' WHERE event_id = 'own-{n:06}'");
        damage(&scene.test, &[&rename]).await;
    }
    for id in ["-uihn7", "-type:x"] {
        let (_, shown) = run_json(&scene.home, &scene.test, &["--org", "own", "show", id, "--context", "1"]);
        assert_eq!(shown["event"]["event_id"], id);
        let (code, text, said) = scene.try_run(&["verify", "--event", id]);
        assert!(code == 1 && text.contains(id), "{text} {said}");
        let (code, _, said) = scene.try_run(&["diff", id]);
        assert!(code <= 1, "{said}");
        let (code, _, said) = scene.try_run(&["diff", id, "own-000010"]);
        assert!(code <= 1, "{said}");
        scene.run(&["case", "note", id, "odd"]);
        scene.run(&["case", "tag", id, "odd", "--remove", "even"]);
        scene.run(&["case", "bookmark", id]);
    }
    // What is an option as well is told apart as everywhere.
    for id in ["-q", "--org"] {
        let shown: Value = serde_json::from_str(&scene.run(&["--format", "json", "show", "--", id])).unwrap();
        assert_eq!(shown["event"]["event_id"], id);
    }
    scene.test.drop_now().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_in_the_console_is_there_again_after_it_was_left() {
    let scene = Scene::new().await;
    let url = scene.test.url();
    let open = |filter: &[&str]| {
        let args = [&["--database-url", &url, "--org", "own"], filter].concat();
        Terminal::open_at(120, 40, scene.home.path(), &args)
    };
    let mut t = open(&[]);
    t.wait_for("1 of 60");
    t.press("jm");
    t.wait_for("★");
    t.press("c");
    t.wait_for("Recorded as ");
    t.press("the export that began it\r");
    t.wait_for("★✎");
    t.press("#");
    t.wait_for("letters, digits");
    t.press("exfil\r");
    t.wait_for("★✎#");
    // Nothing has to be saved: what is on the screen is on the disk.
    t.press("q");
    assert!(t.wait_for_end().success());

    let mut t = open(&[]);
    t.wait_for("★✎#");
    t.press("u");
    t.wait_for("began it");
    t.press("fis:bookmarked\r");
    t.wait("the bookmarked event alone", |s| s.contains("1 of 1") && s.contains("★✎#"));
    t.press("f\x15tag:exfil -is:bookmarked\r");
    t.wait_for("No event matches");
    t.press("q");
    t.wait_for("1 of 1");
    // A note is edited, not doubled.
    t.press("c");
    t.wait_for("edits a note of yours");
    t.press("\x12");
    t.wait("the note in the line", |s| s.contains("note the export that began it"));
    t.press(" (sic)\r");
    t.wait_for("(edited)");
    // The view, and the case, as files; one that is there is not overwritten unasked.
    let home = scene.home.path();
    t.press("x");
    t.wait_for("NDJSON: an event a line");
    t.press("\r");
    t.wait_for("a manifest beside it");
    t.press("\x15view.ndjson\r");
    t.wait_for("1 event in view.ndjson");
    let exported = std::fs::read_to_string(home.join("view.ndjson")).unwrap();
    assert_eq!(exported.lines().count(), 1);
    let manifest = std::fs::read_to_string(home.join("view.ndjson.manifest.json")).unwrap();
    assert!(
        manifest.contains(r#""filter":"is:bookmarked""#) && manifest.contains(r#""events":1"#),
        "{manifest}"
    );
    t.press("x\r");
    t.wait_for("a manifest beside it");
    t.press("\x15view.ndjson\r");
    t.wait_for("is there already");
    t.press(ESCAPE);
    t.wait("the line closed", |s| !s.contains("is there already"));
    t.press("x");
    t.wait_for("one file that prints");
    t.press("jjjjjjj\r");
    t.wait_for("case: report");
    t.press("\x15case.html\r");
    t.wait_for("1 event in case.html");
    let report = std::fs::read_to_string(home.join("case.html")).unwrap();
    assert!(report.contains("the export that began it (sic)") && report.contains("is its hash"), "{report}");
    // The event vanishes; the case keeps it.
    let shown: Value = serde_json::from_str(&scene.run(&["--format", "json", "case", "show"])).unwrap();
    let id = shown["events"][0]["event_id"].as_str().unwrap().to_owned();
    damage(&scene.test, &[&format!("DELETE FROM audit_events WHERE event_id = '{id}'")]).await;
    t.press("L");
    t.wait_for("✗ gone");
    t.wait_for("the export that began it (sic)");
    t.press("\r");
    t.wait_for("not in the table any more");
    t.press("qqq");
    assert!(t.wait_for_end().success());
    scene.test.drop_now().await;
}

#[tokio::test]
async fn a_report_tells_what_happened_and_what_is_proven() {
    let scene = Scene::new().await;
    scene.run(&["case", "note", "own-000005", "the first <b>step</b>"]);
    scene.run(&["case", "note", "own-000006", "then | this"]);
    scene.run(&["case", "note", "own-000010", "and </td><script>alert(1)</script>"]);
    scene.run(&["case", "tag", "own-000010", "exfil"]);
    scene.run(&["case", "verdict", "own-000010", "malicious"]);
    scene.run(&["filters", "save", "mine", "sev:critical"]);
    scene.run(&["verify"]);
    damage(
        &scene.test,
        &[
            "DELETE FROM audit_events WHERE event_id = 'own-000005'",
            "UPDATE audit_events SET actor_id = 'mallory' WHERE event_id = 'own-000006'",
        ],
    )
    .await;
    let (code, _, said) = scene.try_run(&["case", "report", "-o", "report.html"]);
    assert_eq!(code, 0, "{said}");
    let file = scene.home.path().join("report.html");
    let html = std::fs::read_to_string(&file).unwrap();
    let digest: String = Sha256::digest(html.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(said.contains(&digest), "the digest of the file is told: {said}");
    let (code, _, said) = scene.try_run(&["case", "report", "-o", "report.html"]);
    assert!(code == 2 && said.contains("--overwrite"), "{said}");
    scene.run(&["case", "report", "-o", "report.html", "--overwrite"]);
    assert!(!html.contains("<script") && !html.contains("<b>step"), "{html}");
    let markdown = scene.run(&["case", "report"]);
    assert!(!markdown.contains("<script"), "{markdown}");
    for (text, what) in [(&html, "html"), (&markdown, "md")] {
        let text = text.replace('\\', "");
        for part in [
            "&lt;script&gt;",
            "own-000005",
            "not in the table any more",
            "is not its hash",
            "is its hash",
            "no event of the organisation has the hash",
            "Verdict: malicious",
            "chain intact",
            "60 events read",
            "sev:critical",
            "Custody",
            "Heads of the trail that are remembered",
            "agenttrace-v1",
        ] {
            assert!(text.contains(part), "{what} lacks {part}: {text}");
        }
        // In the order of the events.
        let at = |id: &str| text.find(id).unwrap();
        assert!(at("own-000005") < at("own-000006") && at("own-000006") < at("own-000010"));
    }
    let (code, _, said) = run(&scene.home, &scene.test, &["--org", "other", "case", "report"]);
    assert!(code == 4 && said.contains("nothing stands in the case"), "{said}");
    scene.test.drop_now().await;
}

#[tokio::test]
async fn reports_tell_of_access_changes_and_verifications_within_their_limits() {
    let scene = Scene::new().await;
    let (code, stdout, said) = scene.try_run(&["report", "integrity"]);
    assert!(code == 4 && stdout.is_empty() && said.contains("agenttrace verify"), "{said}");
    scene.run(&["verify"]);
    scene.run(&["verify"]);
    damage(
        &scene.test,
        &[
            "UPDATE audit_events SET action = 'read', actor_id = 'mallory' WHERE event_id = 'own-000006'",
            "UPDATE audit_events SET new_state = '{\"role\": \"<script>\"}' WHERE event_id = 'own-000007'",
            "UPDATE audit_events SET resource_id = 'r-5' WHERE event_id IN ('own-000006', 'own-000030')",
        ],
    )
    .await;
    let report = |args: &[&str]| scene.run(&[&["report"], args].concat()).replace('\\', "");

    let told = report(&["integrity"]);
    assert_eq!(told.matches("chain intact").count(), 3, "both, and the last one once more: {told}");
    assert!(told.contains("| 60 |") && told.contains("Nothing was verified for this report"), "{told}");

    let told = report(&["access", "user", "r-5"]);
    for part in ["user u-5", "user mallory", "| read 1 |", "| update 1 |", "all times", "leaves no trace"] {
        assert!(told.contains(part), "lacks {part}: {told}");
    }
    // Events 5 and 6 are of other instants; 30 lies ten seconds behind.
    let since = ["--since", "2026-01-05T08:01:08Z"];
    let told = report(&[&["access", "user", "r-5"], &since[..]].concat());
    assert!(
        told.contains("u-30") && !told.contains("mallory") && told.contains("from 2026-01-05T08:01:08"),
        "{told}"
    );
    let told = report(&["access", "user", "r-5", "--until", "2000-01-01"]);
    assert!(told.contains("No event of the resource lies in the period"), "{told}");
    let (code, _, said) = scene.try_run(&["report", "access", "user", "none"]);
    assert!(code == 4 && said.contains("none"), "{said}");

    let told = report(&["changes", "--all-time", "event_id:own-00000*"]);
    assert!(!told.contains("| q-6 |"), "a read changes nothing: {told}");
    assert!(told.contains("content of 8 verified now, 1 contradicted, 0 not decided"), "{told}");
    assert!(told.contains("event_id:own-00000*") && told.contains("is not its hash"), "{told}");
    let (code, told, said) =
        scene.try_run(&["report", "changes", "--all-time", "--limit", "3", "--format", "html"]);
    assert!(
        code == 0 && told.contains("– the oldest; there are more") && said.contains("there are more"),
        "{said}"
    );
    assert!(!told.contains("<script"), "{told}");
    let (code, _, said) = scene.try_run(&["report", "changes", "--all-time", "actor:nobody"]);
    assert!(code == 4 && said.contains("no event that changes anything matches"), "{said}");
    scene.test.drop_now().await;
}
