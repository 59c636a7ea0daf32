//! Which scheme a trail is judged by when few of its rows, or none, fit one.

use crate::support::{self, Home};
use crate::verify::{append, chained, damage, event, preserve, reader, request, run_json, verify};
use agenttrace::chain::Scheme;
use agenttrace::chain::head::Memory;
use agenttrace::store::writer::PreservedEvent;
use agenttrace::verify::{Class, Report, Request, SchemeSource, Verdict, verify_event};
use serde_json::json;
use tokio_util::sync::CancellationToken;

/// More rows than are searched in full while the scheme is a guess.
const MANY: usize = 600;
/// An edit that leaves no trace of what was there.
const EDIT: &str = "UPDATE audit_events SET actor_user_agent = 'edited'";

fn scheme_and_content(report: &Report) -> (Verdict, &str, bool, u64, u64, u64) {
    let content = &report.content;
    let scheme = &report.scheme;
    (report.verdict, scheme.name, scheme.guessed, content.verified, content.mismatch, content.undecided)
}

#[tokio::test]
async fn edited_throughout_a_trail_is_broken_only_where_its_scheme_is_known() {
    let database = support::database().await;
    append(&database, "a", 0..MANY).await;
    let n = MANY as u64;
    let db = reader(&database).await;
    let before = verify(&db, &request("a", 1)).await;
    let remembered = before.remembered("here").unwrap();
    assert_eq!(remembered.scheme.as_deref(), Some("agenttrace-v1"));
    damage(&database, &[EDIT]).await;

    // Nobody knows by which scheme the hashes were made.
    for jobs in [1, 2] {
        let report = verify(&db, &request("a", jobs)).await;
        assert_eq!(
            scheme_and_content(&report),
            (Verdict::Incomplete, "agenttrace-v1", true, 0, 0, n),
            "{jobs} jobs"
        );
        let reason = report.reason().unwrap();
        assert_eq!(reason.matches("the scheme is not known").count(), 1, "{reason}");
        // All in the same words, those that were searched and those that were not.
        assert_eq!(report.findings.len(), MANY);
        let first = &report.findings[0];
        assert_eq!(first.consistent_with[1], "an edit of all events after they were written");
        assert!(report.findings.iter().all(|finding| {
            (finding.class, &finding.detail, &finding.consistent_with)
                == (Class::Undecided, &first.detail, &first.consistent_with)
        }));
    }

    // An earlier verification knows, as long as a head of then is there; and so does whoever names the scheme.
    let memory = Memory { place: "here".to_owned(), records: vec![remembered], refused: None };
    let known = Request { memory: memory.clone(), ..request("a", 1) };
    let forced = Request { scheme: Some(Scheme::V1), ..request("a", 1) };
    for request in [&known, &forced] {
        let report = verify(&db, request).await;
        assert_eq!(scheme_and_content(&report), (Verdict::Broken, "agenttrace-v1", false, 0, n, 0));
        assert!(report.findings.iter().all(|finding| finding.class == Class::ContentMismatch));
    }
    // The same for one of its events.
    let cancel = CancellationToken::new();
    let one = async |source| {
        let report = verify_event(&db, &known.scope, "a-000300", source, &cancel).await.unwrap().unwrap();
        (report.verdict, report.scheme.guessed)
    };
    let nothing = Memory::default();
    assert_eq!(one(SchemeSource::Remembered(&nothing)).await, (Verdict::Incomplete, true));
    assert_eq!(one(SchemeSource::Remembered(&memory)).await, (Verdict::Broken, false));
    assert_eq!(one(SchemeSource::Given(Scheme::V1)).await, (Verdict::Broken, false));
    let mut other = memory;
    other.records[0].heads[0].hash = "ab".repeat(32);
    let report = verify(&db, &Request { memory: other, ..known }).await;
    assert!(report.scheme.guessed && report.content.undecided == n, "{report:#?}");
    database.drop_now().await;
}

#[tokio::test]
async fn one_row_that_is_proven_to_be_an_edit_tells_the_scheme_of_all() {
    // How many rows lie before it in the table; the sample looks into 20 closely.
    for (before, expected) in [(50, Some(MANY as u64)), (500, None)] {
        let database = support::database().await;
        append(&database, "a", 0..MANY).await;
        let row = format!("a-{before:06}");
        damage(
            &database,
            &[
                &format!("{EDIT} WHERE event_id < '{row}'"),
                &format!("UPDATE audit_events SET action = 'export' WHERE event_id = '{row}'"),
                &format!("{EDIT} WHERE event_id > '{row}'"),
            ],
        )
        .await;
        let report = verify(&reader(&database).await, &request("a", 1)).await;
        let n = MANY as u64;
        assert_eq!(
            scheme_and_content(&report),
            match expected {
                Some(mismatch) => (Verdict::Broken, "agenttrace-v1", false, 0, mismatch, 0),
                // By then nobody looked for what rows had been.
                None => (Verdict::Incomplete, "agenttrace-v1", true, 0, 0, n),
            },
            "{before}"
        );
        database.drop_now().await;
    }
}

#[tokio::test]
async fn a_scheme_that_shows_only_late_judges_all_rows() {
    let database = support::database().await;
    let foreign = |n: usize| PreservedEvent {
        event: event("late", n),
        hash: format!("{:064x}", n + 1),
        previous_hash: if n == 0 { String::new() } else { format!("{n:064x}") },
    };
    // The sample sees none of the rows that fit, and neither does anybody before 1 000 others.
    let mut events: Vec<PreservedEvent> = (0..1_100).map(foreign).collect();
    for n in 1_100..1_200 {
        let previous = events[n - 1].hash.clone();
        events.push(chained(event("late", n), &previous, Scheme::Service));
    }
    preserve(&database, events).await;
    let db = reader(&database).await;
    for jobs in [1, 2] {
        let report = verify(&db, &request("late", jobs)).await;
        assert_eq!(
            scheme_and_content(&report),
            (Verdict::Broken, "agenttrace-v1-service", false, 100, 1_100, 0),
            "{jobs} jobs"
        );
        assert_eq!(report.coverage.unprotected_columns, ["actor_ip", "actor_user_agent", "previous_hash"]);
    }
    // The same by one that fits at last: what was given up is judged once more.
    damage(&database, &["DELETE FROM audit_events WHERE event_id >= 'late-001100'"]).await;
    let head = format!("{:064x}", 1_100);
    preserve(&database, vec![chained(event("late", 1_100), &head, Scheme::V1)]).await;
    let report = verify(&db, &request("late", 1)).await;
    assert_eq!(scheme_and_content(&report), (Verdict::Broken, "agenttrace-v1", false, 1, 1_100, 0));
    database.drop_now().await;
}

#[tokio::test]
async fn an_edit_of_all_rows_after_a_verification_by_the_program_is_told_as_one() {
    let database = support::database().await;
    append(&database, "a", 0..40).await;
    let home = Home::new();
    let verify = ["verify", "--org", "a"];
    let (code, report) = run_json(&home, &database, &verify);
    assert_eq!((code, &report["verdict"]), (0, &json!("intact")));
    damage(&database, &[EDIT]).await;
    let (code, report) = run_json(&home, &database, &verify);
    assert_eq!((code, &report["verdict"], &report["content"]["mismatch"]), (1, &json!("broken"), &json!(40)));
    // Without that memory it cannot be told.
    let (code, report) = run_json(&Home::new(), &database, &verify);
    assert_eq!(
        (code, &report["verdict"], &report["scheme"]["guessed"]),
        (4, &json!("incomplete"), &json!(true))
    );
    assert_eq!(report["content"]["undecided"], 40);
    database.drop_now().await;
}
