//! Verifications as both shells run them: what this machine remembers is read first, and cannot cost a verdict.

use crate::support::{self, Home};
use crate::tamper::attack;
use crate::verify::{append, damage, preserve, run, run_json};
use agenttrace::domain::NewEvent;
use agenttrace::store::private::tamper::{Attack, Tamper};
use agenttrace::store::writer::PreservedEvent;
use serde_json::{Value, json};

#[tokio::test]
async fn a_damaged_line_in_the_notes_is_a_remark_and_costs_no_verdict() {
    let database = support::database().await;
    append(&database, "a", 0..40).await;
    let lost = "DELETE FROM audit_events WHERE event_id = 'a-000020'";
    damage(&database, &[lost, "UPDATE audit_chain_heads SET event_count = 39"]).await;
    let home = Home::new();
    let accept = ["verify", "--accept", "missing_predecessor:a-000021", "--note", "ticket 17"];
    assert_eq!(run_json(&home, &database, &accept).0, 0);
    let data = home.path().join("data");
    for file in std::fs::read_dir(&data).unwrap() {
        let path = file.unwrap().path();
        if path.is_dir() {
            continue;
        }
        let before = std::fs::read(&path).unwrap();
        std::fs::write(&path, [&before, b"nonsense\xff\n{\"event_id\":".as_slice()].concat()).unwrap();
    }
    std::fs::write(data.join("accepted.ndjson"), "{}\n").unwrap();
    for how in
        [&["verify"][..], &["verify", "--all-orgs"], &["verify", "--resume"], &["verify", "--incremental"]]
    {
        let (code, stdout, stderr) = run(&home, &database, how);
        assert!(stdout.starts_with("VERIFY a: "), "{how:?}: {stdout}{stderr}");
        assert!(stdout.contains("accepted 1") || how.contains(&"--incremental"), "{how:?}: {stdout}");
        assert!(stderr.contains("accepted.ndjson', line 1: not a valid record"), "{how:?}: {stderr}");
        assert_eq!(code, 0, "{how:?}: {stdout}{stderr}");
    }
    database.drop_now().await;
}

#[test]
fn an_acceptance_is_checked_before_anything_is_read() {
    for (finding, note, said) in [
        ("fork:a", " ", "--note"),
        ("forks:a", "why", "classes of findings: content_mismatch, "),
        ("fork", "why", "CLASS:EVENT_ID"),
    ] {
        // Nobody listens there: whoever asks the server first ends with exit 3.
        let nowhere = "postgres://nobody@127.0.0.1:9/none";
        let output = support::agenttrace()
            .args(["--database-url", nowhere, "--org", "a", "verify", "--accept", finding, "--note", note])
            .output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && stderr.contains(said), "{finding}: {stderr}");
    }
}

#[tokio::test]
async fn an_acceptance_of_no_finding_is_refused_beside_the_verdict() {
    let database = support::database().await;
    append(&database, "a", 0..10).await;
    let home = Home::new();
    let (code, report) = run_json(&home, &database, &["verify", "--accept", "fork:nothing", "--note", "x"]);
    assert_eq!((code, &report["verdict"]), (2, &json!("intact")));
    database.drop_now().await;
}

fn first_line(output: &str) -> &str {
    output.lines().next().unwrap_or_default()
}

#[tokio::test]
async fn the_limit_stands_where_the_verdict_stands() {
    let database = support::database().await;
    append(&database, "a", 0..300).await;
    let home = Home::new();
    let whole = |arguments: &[&str]| {
        let arguments: Vec<&str> = ["verify"].iter().chain(arguments).copied().collect();
        run(&home, &database, &arguments)
    };
    let since = "2026-01-05T08:01:20Z";
    for (arguments, begins, code) in [
        (
            &["--links-only"][..],
            "VERIFY a: links intact · newest end not proven: no earlier head · 300 events",
            0,
        ),
        (&["--since", since], "VERIFY a: range intact · newest end not proven: no earlier head · ", 0),
        (&["--since", since, "--require-whole"], "VERIFY a: range intact · ", 4),
        (&["--links-only", "--require-whole"], "VERIFY a: links intact · ", 4),
        (
            &["--require-pin"],
            "VERIFY a: chain intact · newest end not proven: no earlier head · 300 events, 0 broken, ",
            4,
        ),
        (&["--require-whole"], "VERIFY a: chain intact · ", 0),
    ] {
        let (status, stdout, stderr) = whole(arguments);
        assert!(first_line(&stdout).starts_with(begins), "{arguments:?}: {stdout}{stderr}");
        assert_eq!(status, code, "{arguments:?}: {stdout}{stderr}");
        assert!(stdout.contains("\nrows alone cannot show: "), "{stdout}");
    }
    let (status, stdout, stderr) = whole(&["--incremental", "--require-pin"]);
    assert!(first_line(&stdout).starts_with("VERIFY a: increment intact · head of "), "{stdout}{stderr}");
    assert!(first_line(&stdout).contains(" ago present"), "{stdout}");
    assert!(
        status == 0 && stdout.contains("heads 1/1") && !stdout.contains("of a sample"),
        "{stdout}{stderr}"
    );
    let (_, report) = run_json(&home, &database, &["verify", "--since", since]);
    assert_eq!(
        report["scope"],
        json!({"since": "2026-01-05T08:01:20.000000Z", "until": null, "links_only": false, "incremental": false,
               "replica_lag_s": null})
    );
    assert!(report["limits"].as_array().unwrap().len() > 1, "{report:#}");
    let (_, stdout, _) = whole(&["--all-orgs"]);
    assert!(stdout.contains("VERIFY a: chain intact · "), "{stdout}");
    let (_, stdout, _) = run(&home, &database, &["verify", "--event", "a-000004"]);
    assert!(first_line(&stdout).contains("event intact · says nothing of other events"), "{stdout}");
    database.drop_now().await;
}

/// What a line with the word "intact" has beside it: how far that goes, or that it is denied.
const LIMITS: [&str; 9] = [
    "there is no intact verification",
    "is not verified as intact",
    "is not proven by this file",
    "newest end not proven",
    "end not proven",
    " ago present",
    "present (",
    "says nothing of other events",
    "increment intact · head of ",
];

#[tokio::test]
async fn no_line_of_any_output_says_intact_without_its_limit() {
    let database = support::database().await;
    append(&database, "a", 0..120).await;
    let home = Home::new();
    let event = "a-000004";
    let commands: &[&[&str]] = &[
        &["verify"],
        &["verify"],
        &["verify", "--incremental"],
        &["verify", "--links-only"],
        &["verify", "--deep"],
        &["verify", "--coverage"],
        &["verify", "--all-orgs"],
        &["verify", "--event", event],
        &["verify", "--since", "2026-01-05T08:00:20Z"],
        &["verify", "--require-pin"],
        &["pin", "list"],
        &["pin", "check"],
        &["pin", "watch"],
        &["pin", "watch", "--nagios"],
        &["db", "status"],
        &["show", event],
        &["show", event, "--context", "2"],
        &["events", "--all-time", "--limit", "3"],
        &["export", "--all-time", "--integrity", "--format", "markdown"],
        &["export", "--all-time", "--manifest"],
        &["ghosts", "--all-time"],
        &["actor", "u-4", "--all-time"],
    ];
    let mut said = 0;
    let mut check = |arguments: &[&str]| {
        let (code, stdout, stderr) = run(&home, &database, arguments);
        // Nagios has a code 2 of its own: CRITICAL.
        assert!(
            matches!(code, 0 | 1 | 4) || arguments.contains(&"--nagios"),
            "{arguments:?}: {stdout}{stderr}"
        );
        for line in stdout.lines().chain(stderr.lines()).filter(|line| line.to_lowercase().contains("intact"))
        {
            said += 1;
            assert!(LIMITS.iter().any(|limit| line.contains(limit)), "{arguments:?}: {line}");
        }
        code
    };
    for arguments in commands {
        check(arguments);
    }
    // With the newest events cut off, nothing that compares the whole trail says so any more, in whatever order.
    attack(&database, "a", Tamper { attack: Attack::TruncateTail, heads: true }).await.unwrap();
    for arguments in commands {
        check(arguments);
    }
    for arguments in
        [&["verify"][..], &["verify", "--incremental"], &["verify", "--links-only"], &["pin", "check"]]
    {
        assert_eq!(check(arguments), 1, "{arguments:?}");
    }
    assert!(said >= 9, "{said}");
    database.drop_now().await;
}

#[tokio::test]
async fn rows_from_before_hashing_are_one_finding_that_is_accepted_at_once() {
    let database = support::database().await;
    let old: Vec<_> = (0..39).map(|n| crate::verify::event("a", n)).collect();
    append(&database, "a", 39..100).await;
    let stripped = old.into_iter().map(|event| PreservedEvent {
        hash: format!("{:064x}", event.event_id.len()),
        previous_hash: String::new(),
        event,
    });
    preserve(&database, stripped.collect()).await;
    damage(&database, &["UPDATE audit_events SET hash = '', previous_hash = '' WHERE event_id < 'a-000039'"])
        .await;
    let home = Home::new();
    let (code, report) = run_json(&home, &database, &["verify"]);
    let names = |report: &Value| -> Vec<String> {
        let findings = report["findings"].as_array().unwrap();
        findings
            .iter()
            .map(|f| format!("{}:{}", f["class"].as_str().unwrap(), f["event_id"].as_str().unwrap()))
            .collect()
    };
    assert_eq!(
        (code, report["verdict"].as_str(), names(&report)),
        (1, Some("anomalous"), vec!["not_hashed:a-000000".to_owned()])
    );
    assert_eq!(
        (&report["content"]["verified"], &report["content"]["undecided"], &report["content"]["mismatch"]),
        (&json!(61), &json!(39), &json!(0))
    );
    let detail = report["findings"][0]["detail"].as_str().unwrap();
    assert!(detail.contains("39 events have no hash") && detail.contains("a-000038"), "{detail}");
    let accept = ["verify", "--accept", "not_hashed:a-000000", "--note", "hashing began with release 7"];
    let (code, report) = run_json(&home, &database, &accept);
    assert_eq!((code, report["verdict"].as_str()), (0, Some("intact")), "{report:#}");

    // The acceptance is one of these very rows, as they were.
    damage(&database, &["UPDATE audit_events SET actor_id = 'u-x' WHERE event_id = 'a-000007'"]).await;
    let edited = (Some("broken"), vec!["content_mismatch:a-000000".to_owned()]);
    for arguments in [&["verify"][..], &["verify"], &["verify", "--incremental"]] {
        let (code, report) = run_json(&home, &database, arguments);
        assert_eq!((code, report["accepted"].as_array().unwrap().len()), (1, 0), "{arguments:?} {report:#}");
        // A remembered head covers them.
        assert_eq!((report["verdict"].as_str(), names(&report)), edited, "{arguments:?} {report:#}");
    }
    let (_, report) = run_json(&Home::new(), &database, &["verify"]);
    assert_eq!(names(&report), ["not_hashed:a-000000"], "nothing is remembered there");

    // Anywhere else an empty hash is one that was taken away; in a range of rows from before hashing it is not.
    damage(&database, &["UPDATE audit_events SET hash = '' WHERE event_id = 'a-000099'"]).await;
    let (code, report) = run_json(&home, &database, &["verify"]);
    assert_eq!((code, report["verdict"].as_str()), (1, Some("broken")), "{report:#}");
    assert_eq!(
        names(&report),
        [
            "content_mismatch:a-000000",
            "malformed_hash:a-000099",
            "pin_mismatch:a-000099",
            "head_record_mismatch:a-000099"
        ]
    );
    // Where nothing is remembered of the head:
    damage(&database, &["DELETE FROM audit_chain_heads"]).await;
    let home = Home::new();
    let (_, report) = run_json(&home, &database, &["verify", "--until", "2026-01-05T08:01:05Z"]);
    assert_eq!(
        (report["verdict"].as_str(), names(&report)),
        (Some("anomalous"), vec!["not_hashed:a-000000".to_owned()])
    );
    let (_, report) = run_json(&home, &database, &["verify", "--since", "2026-01-05T08:01:34Z"]);
    assert_eq!(report["verdict"], "broken", "{report:#}");
    database.drop_now().await;
}

#[tokio::test]
async fn rows_without_a_hash_that_were_not_there_when_a_head_was_verified_are_no_rows_from_before_hashing() {
    let database = support::database().await;
    append(&database, "a", 10..60).await;
    let home = Home::new();
    assert_eq!(run_json(&home, &database, &["verify"]).0, 0);
    // Put before the beginning of the chain.
    let early: Vec<_> = (0..3).map(|n| crate::verify::event("a", n)).collect();
    let made_up = |event: NewEvent| PreservedEvent {
        hash: format!("{:064x}", event.event_id.len()),
        previous_hash: String::new(),
        event,
    };
    preserve(&database, early.into_iter().map(made_up).collect()).await;
    damage(&database, &["UPDATE audit_events SET hash = '' WHERE event_id < 'a-000010'"]).await;
    for arguments in [&["verify"][..], &["verify", "--incremental"], &["verify"]] {
        let (code, report) = run_json(&home, &database, arguments);
        assert_eq!((code, report["verdict"].as_str()), (1, Some("broken")), "{report:#}");
        assert_eq!(report["findings"].as_array().unwrap().len(), 1, "{report:#}");
        let detail = report["findings"][0]["detail"].as_str().unwrap();
        assert!(detail.contains(" 0 events had no hash") && detail.contains("now it is 3"), "{detail}");
    }
    let accept =
        ["verify", "--accept", "content_mismatch:a-000000", "--note", "the archive of 2025 was loaded"];
    assert_eq!(run_json(&home, &database, &accept).0, 0);
    assert_eq!(run_json(&home, &database, &["verify"]).0, 0);
    // Those that were accepted and are gone.
    damage(&database, &["DELETE FROM audit_events WHERE event_id < 'a-000010'"]).await;
    for arguments in [&["verify"][..], &["verify", "--incremental"], &["verify"]] {
        let (code, report) = run_json(&home, &database, arguments);
        assert_eq!(code, 1, "{report:#}");
        assert!(report["findings"].to_string().contains("none is left"), "{report:#}");
    }
    database.drop_now().await;
}

#[tokio::test]
async fn a_blanked_hash_that_a_successor_still_names_is_no_row_from_before_hashing() {
    let database = support::database().await;
    append(&database, "a", 0..60).await;
    // The three oldest, which are before the first hashed event now; the third one is named by the fourth.
    damage(&database, &["UPDATE audit_events SET hash = '' WHERE event_id < 'a-000003'"]).await;
    let home = Home::new();
    let (code, report) = run_json(&home, &database, &["verify"]);
    let findings = report["findings"].to_string();
    assert!(findings.contains("\"class\":\"malformed_hash\"") && findings.contains("a-000002"), "{report:#}");
    assert_eq!((code, report["verdict"].as_str()), (1, Some("broken")));
    database.drop_now().await;
}
