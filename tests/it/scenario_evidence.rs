//! Investigations that end with a file for somebody who has no database: the hand-over of the leaked key, the auditor's
//! sample, and a log that got shorter overnight.

use crate::evidence::{by_python, in_home, keygen, sign, states, verified};
use crate::scenarios::{INCIDENT, trail};
use crate::support::{self, Home, TestDatabase};
use crate::verify::{append, connect, damage, run, run_json};
use agenttrace::demo;
use serde_json::{Value, json};
use sqlx::Connection as _;
use std::collections::BTreeSet;

fn export(
    home: &Home,
    database: &TestDatabase,
    organization: &str,
    file: &str,
    arguments: &[&str],
) -> String {
    let all = [&["--org", organization, "evidence", "export", "-o", file], arguments].concat();
    let (code, _, stderr) = run(home, database, &all);
    assert_eq!(code, 0, "{stderr}");
    stderr
}

fn ids(document: &Value) -> BTreeSet<String> {
    let events = document["events"].as_array().unwrap().iter();
    events.map(|event| event["event_id"].as_str().unwrap().to_owned()).collect()
}

/// 6.1 ⑦ and 6.7.
#[tokio::test(flavor = "multi_thread")]
async fn the_leaked_key_and_an_auditors_sample_are_handed_to_people_without_the_database() {
    let (database, home) = (trail().await, Home::new());
    let key = keygen(&home, &database);
    assert_eq!(sign(&home, &database, "acme")["size"], 10_800);

    // All 41 planted events, nothing else, and that nothing was dropped.
    let file = in_home(&home, "leaked-key.evidence");
    export(&home, &database, "acme", &file, &[INCIDENT]);
    let (code, document) = verified(&file, &[&key]);
    assert_eq!(code, 0, "{document}");
    assert_eq!(states(&document), ["shown", "shown", "shown", "shown", "not_shown"]);
    let incident = demo::planted().into_iter().find(|fact| fact.name == "incident").unwrap();
    assert_eq!(ids(&document), incident.event_ids.into_iter().collect());
    assert_eq!(document["selected"], 41);
    let said = document["parts"]["completeness"]["detail"].as_str().unwrap();
    assert!(said.contains("(level B)") && said.contains("10 759"), "what is left to believe is said: {said}");
    assert_eq!(by_python(&file, &[&key]).unwrap_or(0), 0);
    // Legal reads no hashes.
    let (html, markdown) = (in_home(&home, "report.html"), in_home(&home, "report.md"));
    for report in [&html, &markdown] {
        let (code, _, stderr) = run(&home, &database, &["evidence", "verify", &file, "--report", report]);
        assert_eq!(code, 0, "{stderr}");
    }
    let report = std::fs::read_to_string(&markdown).unwrap();
    for wanted in
        ["What this file proves", "What this file does not prove", "How to check it without us", "sha256sum"]
    {
        assert!(report.contains(wanted), "{wanted}: {report}");
    }
    assert!(std::fs::read_to_string(&html).unwrap().contains("No third party says when"), "{html}");

    // 50 events of a quarter, each with a proof of its own, for a laptop that is connected to nothing.
    let mut c = connect(&database).await;
    let sample: Vec<String> = sqlx::query_scalar(
        "SELECT event_id FROM audit_events WHERE organization_id = 'acme' AND timestamp >= '2026-04-01' \
         ORDER BY md5(event_id) LIMIT 50",
    )
    .fetch_all(&mut c)
    .await
    .unwrap();
    c.close().await.unwrap();
    let file = in_home(&home, "sample.evidence");
    let filter = format!("all-time event_id:{}", sample.join(","));
    export(&home, &database, "acme", &file, &[&filter, "--level", "none"]);
    let (code, document) = verified(&file, &[&key]);
    assert_eq!((code, ids(&document)), (0, sample.into_iter().collect()), "{document}");
    assert_eq!(document["parts"]["completeness"]["detail"], "not claimed: other events may match");
    // When the trail was verified, and how, stands in what was signed.
    let then = document["checkpoint"]["verdict"].as_str().unwrap();
    assert!(then.contains("chain intact") && document["checkpoint"]["at"].is_string(), "{document}");
    assert_eq!(by_python(&file, &[&key]).unwrap_or(0), 0);
    // Which columns are not protected: those that are not in the text that is hashed.
    let (_, coverage) = run_json(&home, &database, &["--org", "acme", "verify", "--coverage"]);
    let unprotected = &coverage["coverage"]["unprotected_columns"];
    assert!(unprotected.as_array().is_some(), "{coverage}");
    let bundle = std::fs::read_to_string(&file).unwrap();
    for column in unprotected.as_array().unwrap() {
        let member = format!("\"{}\": ", column.as_str().unwrap());
        assert!(!bundle.contains(&member), "{member}");
    }
    database.drop_now().await;
}

/// 6.4: the newest 380 events were cut off, and as many plausible ones written; beside it, a backup that was restored. The
/// lagging replica is in `replica`.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_got_shorter_is_bundled_as_the_contradiction_that_it_is() {
    let (rewritten, restored) = (support::database().await, support::database().await);
    for (database, is_rewritten) in [(&rewritten, true), (&restored, false)] {
        let home = Home::new();
        append(database, "a", 0..1_000).await;
        let key = keygen(&home, database);
        let signed = sign(&home, database, "a");
        let cut = "DELETE FROM audit_events WHERE event_id >= 'a-000620'";
        let head = "UPDATE audit_chain_heads SET (event_id, hash, event_count) = \
            (SELECT event_id, hash, 620 FROM audit_events WHERE event_id = 'a-000619')";
        damage(database, &[cut, head]).await;
        if is_rewritten {
            append(database, "a", 2_000..2_380).await;
        }
        // The count is the same as before: only hashes tell.
        let (code, report) = run_json(&home, database, &["--org", "a", "verify"]);
        assert_eq!((code, &report["verdict"]), (1, &json!("broken")), "{report}");
        assert_eq!(report["events"], if is_rewritten { 1_000 } else { 620 });
        let missing =
            report["findings"].as_array().unwrap().iter().find(|f| f["class"] == "pin_missing").unwrap();
        assert_eq!(missing["event_id"], "a-000999", "{report}");
        let (code, _, stderr) = run(&home, database, &["--org", "a", "pin", "create", "--sign"]);
        assert!(code == 1 && stderr.contains("nothing was signed"), "{stderr}");

        // What was signed, against what is there: for somebody who sees neither database nor this machine.
        let file = in_home(&home, "contradiction.evidence");
        let said = export(&home, database, "a", &file, &["--all-time"]);
        assert!(said.contains("the bundle shows a contradiction: completeness FAILS"), "{said}");
        let (code, document) = verified(&file, &[&key]);
        assert_eq!((code, by_python(&file, &[&key]).unwrap_or(1)), (1, 1), "{document}");
        let part = |name: &str| {
            let part = &document["parts"][name];
            (part["state"].as_str().unwrap().to_owned(), part["detail"].as_str().unwrap().to_owned())
        };
        let (state, detail) = part("completeness");
        assert!(
            state == "fails" && detail.contains("380 of the signed log are given only as hashes"),
            "{detail}"
        );
        // What was written instead is in no checkpoint; a restored backup has nothing of the kind.
        let (state, detail) = part("inclusion");
        assert_eq!(state, if is_rewritten { "not_shown" } else { "shown" }, "{detail}");
        assert_eq!(detail.contains("380 events are not in the log"), is_rewritten, "{detail}");
        // The signature stands: neither side can say that the other head was never signed.
        assert_eq!(part("signature").0, "shown", "{document}");
        assert_eq!(
            (&document["checkpoint"]["size"], &document["checkpoint"]["root"]),
            (&signed["size"], &signed["root"])
        );
        // What is not affected is proven: the events up to the cut.
        assert_eq!(
            document["events"].as_array().unwrap().iter().filter(|e| !e["leaf"].is_null()).count(),
            620
        );
    }
    rewritten.drop_now().await;
    restored.drop_now().await;
}
