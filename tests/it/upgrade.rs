//! What the first programs left behind is read by this one: a database, heads, acceptances, interrupted scans, filters, cursors.

use crate::support::{self, Home, TestDatabase};
use crate::verify::{connect, damage, run, run_json};
use serde_json::{Value, json};

const DATABASE: &str = include_str!("../fixtures/build-0ce1482/database.sql");
const HEADS: &str = include_str!("../fixtures/build-0ce1482/verified.ndjson");
const ACCEPTED: &str = include_str!("../fixtures/build-0ce1482/accepted.ndjson");
const INTERRUPTED: &str = include_str!("../fixtures/build-0ce1482/interrupted.ndjson");
const FILTERS: &str = include_str!("../fixtures/build-0ce1482/filters.txt");
const CURSOR: &str = include_str!("../fixtures/build-0ce1482/cursor.txt");
/// The database that the files speak of.
const IDENTITY: &str = "7713340719528840423/16384/16394";

/// The database of that build, and a home with its files; only the database's identity is the present one.
async fn left_behind() -> (TestDatabase, Home) {
    let database = support::bare_database().await;
    let mut c = connect(&database).await;
    sqlx::raw_sql(DATABASE).execute(&mut c).await.unwrap();
    let home = Home::new();
    let (_, report) = run_json(&home, &database, &["verify", "--org", "org-h1"]);
    let identity = report["database_identity"].as_str().unwrap();
    let data = home.path().join("data");
    std::fs::remove_dir_all(&data).unwrap();
    std::fs::create_dir(&data).unwrap();
    for (file, text) in [
        ("verified.ndjson", HEADS),
        ("accepted.ndjson", ACCEPTED),
        ("filters.txt", FILTERS),
        ("interrupted.ndjson", INTERRUPTED),
    ] {
        std::fs::write(data.join(file), text.replace(IDENTITY, identity)).unwrap();
    }
    (database, home)
}

fn classes(report: &Value) -> Vec<&str> {
    report["findings"].as_array().unwrap().iter().map(|finding| finding["class"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn the_records_of_the_first_programs_still_count() {
    let (database, home) = left_behind().await;
    let verify = |more: &[&str]| run_json(&home, &database, &[&["verify", "--org", "org-h1"], more].concat());
    let (code, report) = verify(&[]);
    assert_eq!((code, &report["pins"]), (1, &json!({"checked": 1, "matched": 1})), "{report:#}");
    assert_eq!(report["accepted"][0]["note"], "restart of the ingest worker");
    assert_eq!(classes(&report), ["additional_genesis"]);
    // Nothing of that scan is of this trail; it is read anew, and that is no error.
    assert_eq!(verify(&["--resume"]).0, 1);
    damage(&database, &["DELETE FROM audit_events WHERE event_id = 'e1bcc926-6756-48b5-82c3-dbdc4cf33b3f'"])
        .await;
    for more in [&[][..], &["--incremental"], &[], &["--links-only"]] {
        let (code, report) = verify(more);
        assert!(code == 1 && classes(&report).contains(&"pin_missing"), "{more:?}: {report:#}");
    }
    database.drop_now().await;
}

#[tokio::test]
async fn an_interrupted_scan_of_the_first_programs_is_read_and_nothing_is_taken_for_verified_by_it() {
    let (database, home) = left_behind().await;
    let (_, report) = run_json(&home, &database, &["verify", "--org", "org-h1"]);
    let (_, status) = run_json(&home, &database, &["db", "status"]);
    // Of this trail, by this role.
    let identity = report["database_identity"].as_str().unwrap();
    let left = INTERRUPTED
        .replace("\"organization_id\":\"a\"", "\"organization_id\":\"org-h1\"")
        .replace("7713340719528840423/16465/16532", identity)
        .replace("\"role\":\"agenttrace\"", &format!("\"role\":{}", status["role"]));
    std::fs::write(home.path().join("data/interrupted.ndjson"), left).unwrap();
    let (code, stdout, stderr) = run(&home, &database, &["verify", "--org", "org-h1", "--resume"]);
    assert!(code == 1 && !stderr.contains("there is no interrupted verification"), "{stdout}{stderr}");
    // That build did not record the state of the columns: nothing follows from what it had verified.
    assert!(stdout.contains("it has not recorded them"), "{stdout}{stderr}");
    assert!(stdout.contains("all content was read again"), "{stdout}{stderr}");
    database.drop_now().await;
}

#[tokio::test]
async fn filters_cursors_and_the_database_of_the_first_programs_are_read() {
    let (database, home) = left_behind().await;
    let (code, listed, _) = run(&home, &database, &["filters", "list"]);
    assert!(code == 0 && listed.contains("off-hours  sev>=warning"), "{listed}");
    let next = ["--org", "org-h1", "events", "--all-time", "--limit", "5", "--cursor", CURSOR.trim()];
    let (code, page) = run_json(&home, &database, &next);
    assert_eq!(code, 0);
    let ids: Vec<&str> =
        page["events"].as_array().unwrap().iter().map(|e| e["event_id"].as_str().unwrap()).collect();
    let (_, first) =
        run_json(&home, &database, &["--org", "org-h1", "events", "--all-time", "--limit", "10"]);
    let ten: Vec<&str> =
        first["events"].as_array().unwrap().iter().map(|e| e["event_id"].as_str().unwrap()).collect();
    assert_eq!(ids, ten[5..], "the page behind the cursor");
    let (code, said, stderr) = run(&home, &database, &["db", "migrate"]);
    assert_eq!(code, 0, "{said}{stderr}");
    assert_eq!(run_json(&home, &database, &["verify", "--org", "org-h1"]).1["events"], 73);
    database.drop_now().await;
}
