//! Verifications that are paused, throttled, interrupted and gone on with: the findings are those of one that is not.

use crate::support::{self, Home, TestDatabase};
use crate::verify::{
    append, chained, connect, damage, event, found, preserve, reader, request, run, verify, writer,
};
use agenttrace::case::interrupted;
use agenttrace::chain::Scheme;
use agenttrace::domain::{ActorType, NewEvent, OrgId, OrgScope, Timestamp};
use agenttrace::investigation::Records;
use agenttrace::investigation::verification::{Asked, Extent, Session};
use agenttrace::store::scan::Pace;
use agenttrace::store::schema::{self, Layout};
use agenttrace::store::{ReadDb, StoreError, WriteDb};
use agenttrace::verify::{Class, Gauge, Interrupted, Report, Request, Verdict, verify_rest};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Events of nine months, one each four hours.
const EVENTS: usize = 1600;

fn spread(n: usize) -> NewEvent {
    let at = 1_767_600_061_147_504 + n as i64 * 4 * 3_600_000_000;
    NewEvent { timestamp: Timestamp::from_micros(at), ..event("a", n) }
}

async fn append_spread(database: &TestDatabase, range: std::ops::Range<usize>) {
    writer(database).await.append(range.map(spread).collect()).await.unwrap();
}

/// A table in which each month is a range.
async fn by_month() -> TestDatabase {
    let database = support::database().await;
    let db = WriteDb::connect(database.options.clone()).await.unwrap();
    schema::change_layout(&db, Layout::Range, &|_| {}).await.unwrap();
    db.close().await;
    append_spread(&database, 0..EVENTS).await;
    database
}

/// How much of the trail is verified, by its size.
fn percent(gauge: &Gauge) -> u8 {
    gauge.interrupted().map_or(0, |left| left.percent)
}

async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Stops a slow verification when so much has been verified.
async fn interrupted_at(
    db: &ReadDb,
    request: &Request,
    from: Option<&Interrupted>,
    enough: impl Fn(&Gauge) -> bool,
) -> Interrupted {
    let (gauge, cancel) = (Arc::new(Gauge::new()), CancellationToken::new());
    gauge.pace().throttle(NonZeroU32::new(1000));
    let scan = async {
        match from {
            None => agenttrace::verify::verify(db, request, &gauge, &cancel).await,
            Some(from) => verify_rest(db, request, from, &gauge, &cancel).await,
        }
    };
    let stop = async {
        until(|| enough(&gauge)).await;
        cancel.cancel();
    };
    let (ended, ()) = tokio::join!(scan, stop);
    assert!(matches!(ended, Err(StoreError::Cancelled)), "{ended:?}");
    gauge.interrupted().unwrap()
}

async fn rest(db: &ReadDb, request: &Request, from: &Interrupted) -> Result<Report, StoreError> {
    verify_rest(db, request, from, &Arc::new(Gauge::new()), &CancellationToken::new()).await
}

/// All that is said of the trail is the same.
fn same(one: &Report, other: &Report) {
    assert_eq!(one.findings, other.findings);
    assert_eq!((one.verdict, one.events, one.content), (other.verdict, other.events, other.content));
    assert_eq!((&one.links, &one.head), (&other.links, &other.head));
}

#[tokio::test]
async fn an_interrupted_verification_that_is_gone_on_with_finds_what_an_uninterrupted_one_does() {
    let database = by_month().await;
    let db = reader(&database).await;
    damage(&database, &["UPDATE audit_events SET actor_id = 'u-x' WHERE event_id = 'a-000300'"]).await;
    support::others_have_ended(&database).await;
    let first = interrupted_at(&db, &request("a", 1), None, |gauge| percent(gauge) >= 40).await;
    assert!((1..100).contains(&first.percent) && first.parts.len() == 1, "{first:?}");

    // Of January to May, which have been read, and of what has not; and honest events behind it all.
    damage(
        &database,
        &[
            "UPDATE audit_events SET new_state = jsonb_set(new_state, '{role}', '\"owner\"') WHERE event_id = 'a-000100'",
            "DELETE FROM audit_events WHERE event_id = 'a-000050'",
            "UPDATE audit_events SET timestamp = timestamp + interval '1 microsecond' WHERE event_id = 'a-001501'",
        ],
    )
    .await;
    let forged = NewEvent { event_id: "a-forged".to_owned(), ..spread(20) };
    preserve(&database, vec![chained(forged, &"ab".repeat(32), Scheme::V1)]).await;

    let whole = verify(&db, &request("a", 1)).await;
    assert_eq!(
        found(&whole),
        [
            (Class::ContentMismatch, "a-000100"),
            (Class::ContentMismatch, "a-000300"),
            (Class::ContentMismatch, "a-001501"),
            (Class::MissingPredecessor, "a-forged"),
            (Class::MissingPredecessor, "a-000051"),
        ]
    );
    for jobs in [1, 2] {
        let report = rest(&db, &request("a", jobs), &first).await.unwrap();
        same(&report, &whole);
        let known: u64 = report.coverage.verified_earlier.iter().map(|part| part.events).sum();
        assert!(known > 300 && known < report.content.verified, "{known}");
        assert!(report.coverage.not_checked.iter().any(|text| text.contains("beneath the database")));
    }
    // Interrupted once more: two parts, of two snapshots.
    support::others_have_ended(&database).await;
    let second = interrupted_at(&db, &request("a", 1), Some(&first), |gauge| {
        gauge.interrupted().is_some_and(|left| left.parts.len() == 2)
    })
    .await;
    assert_eq!(second.parts.len(), 2);
    assert!(second.parts[0].before_transaction > second.parts[1].before_transaction);
    let report = rest(&db, &request("a", 2), &second).await.unwrap();
    same(&report, &whole);
    assert_eq!(report.coverage.verified_earlier.len(), 2);
    database.drop_now().await;
}

#[tokio::test]
#[ignore = "long: 40 000 events"]
async fn an_interrupted_verification_of_one_table_is_gone_on_with() {
    let database = support::database().await;
    append(&database, "a", 0..40_000).await;
    append(&database, "b", 0..2000).await;
    sqlx::raw_sql("ANALYZE audit_events").execute(&mut connect(&database).await).await.unwrap();
    let db = reader(&database).await;
    support::others_have_ended(&database).await;
    let left = interrupted_at(&db, &request("a", 1), None, |gauge| {
        gauge.pace().throttle(NonZeroU32::new(20_000));
        percent(gauge) > 30
    })
    .await;
    append(&database, "a", 40_000..40_100).await;
    damage(
        &database,
        &[
            "UPDATE audit_events SET actor_id = 'u-x' WHERE event_id IN ('a-000005', 'a-039000')",
            "DELETE FROM audit_events WHERE event_id = 'a-000050'",
        ],
    )
    .await;
    let whole = verify(&db, &request("a", 1)).await;
    assert_eq!(whole.findings.len(), 3);
    let report = rest(&db, &request("a", 1), &left).await.unwrap();
    same(&report, &whole);
    assert!(report.coverage.verified_earlier[0].events > 10_000);
    // The rows of a small organisation are read by their addresses.
    let (gauge, cancel) = (Arc::new(Gauge::new()), CancellationToken::new());
    agenttrace::verify::verify(&db, &request("b", 1), &gauge, &cancel).await.unwrap();
    damage(&database, &["UPDATE audit_events SET actor_id = 'u-x' WHERE event_id = 'b-000005'"]).await;
    let report = rest(&db, &request("b", 1), &gauge.interrupted().unwrap()).await.unwrap();
    same(&report, &verify(&db, &request("b", 1)).await);
    assert_eq!(found(&report), [(Class::ContentMismatch, "b-000005")]);
    assert_eq!(report.coverage.verified_earlier[0].events, 1999);
    database.drop_now().await;
}

#[tokio::test]
async fn what_cannot_be_gone_on_from_is_refused_and_a_rewritten_table_is_read_again() {
    let database = by_month().await;
    let db = reader(&database).await;
    let left = interrupted_at(&db, &request("a", 1), None, |gauge| percent(gauge) > 0).await;
    let refused = |left: Interrupted| {
        let db = db.clone();
        async move { rest(&db, &request("a", 1), &left).await.unwrap_err().to_string() }
    };
    let other = Interrupted { database_identity: "1/2/3".to_owned(), ..left.clone() };
    assert!(refused(other).await.contains("another database"));
    let other = Interrupted { role: "somebody".to_owned(), ..left.clone() };
    assert!(refused(other).await.contains("another role"));
    let other = Interrupted { scheme: "agenttrace-v1-service".to_owned(), ..left.clone() };
    assert!(refused(other).await.contains("another scheme"));
    let mut restored = left.clone();
    restored.parts[0].before_transaction += 1_000_000;
    assert!(refused(restored).await.contains("older than it was"));
    let mut old = left.clone();
    old.parts[0].before_transaction -= 1 << 31;
    assert!(refused(old).await.contains("too much was written"));

    let mut c = connect(&database).await;
    sqlx::raw_sql("VACUUM FULL audit_events").execute(&mut c).await.unwrap();
    let report = rest(&db, &request("a", 1), &left).await.unwrap();
    assert_eq!((report.verdict, report.events), (Verdict::Intact, EVENTS as u64));
    assert_eq!(report.coverage.verified_earlier, [], "rows have moved");
    database.drop_now().await;
}

#[tokio::test]
async fn a_paused_verification_reads_nothing_and_then_the_same() {
    let database = by_month().await;
    damage(&database, &["UPDATE audit_events SET actor_id = 'u-x' WHERE event_id = 'a-000300'"]).await;
    support::others_have_ended(&database).await;
    let db = reader(&database).await;
    let whole = verify(&db, &request("a", 1)).await;
    // With the patience to keep the snapshot, and without.
    for patience in [Duration::MAX, Duration::ZERO] {
        let gauge = Arc::new(Gauge::with_pace(Pace::patient_for(patience)));
        gauge.pace().throttle(NonZeroU32::new(2000));
        let (cancel, request) = (CancellationToken::new(), request("a", 1));
        let scan = agenttrace::verify::verify(&db, &request, &gauge, &cancel);
        let steer = async {
            until(|| percent(&gauge) > 10).await;
            gauge.pace().pause(true);
            // What was on its way comes; then nothing does.
            let mut before = None;
            while before != Some(gauge.progress()) {
                before = Some(gauge.progress());
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            assert!(gauge.pace().is_paused() && percent(&gauge) < 100);
            gauge.pace().throttle(None);
            gauge.pace().pause(false);
        };
        let (report, ()) = tokio::join!(scan, steer);
        let report = report.unwrap();
        same(&report, &whole);
        assert_eq!(report.coverage.verified_earlier.is_empty(), patience == Duration::MAX);
    }
    // Stopped in a pause: it ends, and the connection answers the next question.
    let (gauge, cancel) = (Arc::new(Gauge::new()), CancellationToken::new());
    gauge.pace().pause(true);
    let request = request("a", 1);
    let scan = agenttrace::verify::verify(&db, &request, &gauge, &cancel);
    let stop = async {
        until(|| !gauge.progress().ranges.is_empty()).await;
        cancel.cancel();
    };
    let (ended, ()) = tokio::join!(scan, stop);
    assert!(matches!(ended, Err(StoreError::Cancelled)), "{ended:?}");
    same(&verify(&db, &request).await, &whole);
    database.drop_now().await;
}

#[tokio::test]
async fn the_program_goes_on_once_with_what_was_interrupted() {
    let database = by_month().await;
    let home = Home::new();
    let arguments = ["verify", "--org", "a", "--resume"];
    // What the console asks before it goes on.
    let db = reader(&database).await;
    let resumes = async || {
        let mut records = Records::from_folder(home.path().join("data"), "here");
        let whole = Asked::whole(OrgScope::enter(OrgId::new("a").unwrap()));
        let asked = Asked { extent: Extent::Resume, ..whole };
        Session::prepare(&db, &mut records, asked, &CancellationToken::new()).await.unwrap().resumes()
    };
    assert!(!resumes().await);
    let (code, stdout, stderr) = run(&home, &database, &arguments);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("intact") && stderr.contains("no interrupted verification"), "{stderr}");

    let left =
        interrupted_at(&reader(&database).await, &request("a", 1), None, |gauge| percent(gauge) > 0).await;
    let file = home.path().join("data").join(interrupted::FILE);
    interrupted::append(&file, "a", &left).unwrap();
    assert!(resumes().await);
    damage(&database, &["UPDATE audit_events SET actor_id = 'u-x' WHERE event_id = 'a-000003'"]).await;
    let (code, stdout, _) = run(&home, &database, &arguments);
    assert_eq!(code, 1);
    assert!(stdout.contains("events was verified at ") && stdout.contains(" and not read again"), "{stdout}");
    assert!(stdout.contains("\ncontent_mismatch:a-000003"), "{stdout}");
    let (_, _, stderr) = run(&home, &database, &arguments);
    assert!(stderr.contains("no interrupted verification"), "{stderr}");
    database.drop_now().await;
}

/// One of these many events is of a service.
const SERVICE: usize = 400;

/// A trail by months, with a column of labels.
async fn with_labels() -> TestDatabase {
    let database = support::database().await;
    let db = WriteDb::connect(database.options.clone()).await.unwrap();
    schema::change_layout(&db, Layout::Range, &|_| {}).await.unwrap();
    db.close().await;
    let labelled = |n: usize| {
        let service = n.is_multiple_of(SERVICE);
        NewEvent { actor_type: if service { ActorType::Service } else { ActorType::User }, ..spread(n) }
    };
    writer(&database).await.append((0..EVENTS).map(labelled).collect()).await.unwrap();
    damage(
        &database,
        &[
            "CREATE TYPE kind AS ENUM ('user', 'service', 'system')",
            "DROP MATERIALIZED VIEW audit_daily_summary",
            "ALTER TABLE audit_events DROP CONSTRAINT valid_actor_type",
            "ALTER TABLE audit_events ALTER COLUMN actor_type TYPE kind USING actor_type::kind",
        ],
    )
    .await;
    database
}

/// What a complete verification leaves as the base of an increment.
async fn verified(db: &ReadDb, request: &Request) -> Interrupted {
    let (gauge, cancel) = (Arc::new(Gauge::new()), CancellationToken::new());
    let report = Box::pin(agenttrace::verify::verify(db, request, &gauge, &cancel)).await.unwrap();
    assert_eq!(report.verdict, Verdict::Intact);
    gauge.interrupted().unwrap()
}

#[tokio::test]
async fn nothing_is_taken_for_verified_whose_values_may_have_changed_in_place() {
    let database = with_labels().await;
    let db = reader(&database).await;
    let request = request("a", 1);
    let base = verified(&db, &request).await;
    let left = interrupted_at(&db, &request, None, |gauge| percent(gauge) > 0).await;
    // Damage has left the guard off.
    let said = |report: &Report| -> Vec<String> {
        report.remarks.iter().filter(|remark| !remark.contains("trigger")).cloned().collect()
    };
    let again = |report: &Report| {
        let remarks = said(report);
        assert_eq!(remarks.len(), 1, "{remarks:?}");
        assert!(remarks[0].contains("all content was read again"));
        assert_eq!((report.events, report.coverage.verified_earlier.len()), (EVENTS as u64, 0));
    };
    let since = async |base| {
        let (gauge, cancel) = (Arc::new(Gauge::new()), CancellationToken::new());
        agenttrace::verify::verify_since(&db, &request, base, &gauge, &cancel).await.unwrap()
    };
    assert_eq!(said(&rest(&db, &request, &left).await.unwrap()), Vec::<String>::new());
    assert_eq!(said(&since(&base).await), Vec::<String>::new());
    // Another column in the place of one, with the same value in every row: read again, and intact.
    let column = |value: &str| {
        format!(
            "ALTER TABLE audit_events DROP COLUMN session_id, ADD COLUMN session_id varchar(64) DEFAULT '{value}'"
        )
    };
    damage(&database, &[&column("s-1")]).await;
    for report in [rest(&db, &request, &left).await.unwrap(), since(&base).await] {
        again(&report);
        assert_eq!((report.verdict, report.content.verified), (Verdict::Intact, EVENTS as u64));
    }
    let base = verified(&db, &request).await;
    let left = interrupted_at(&db, &request, None, |gauge| percent(gauge) > 0).await;
    // A label: no row is another version.
    damage(&database, &["ALTER TYPE kind RENAME VALUE 'service' TO 'robot'"]).await;
    for report in [rest(&db, &request, &left).await.unwrap(), since(&base).await] {
        again(&report);
        let wrong = (EVENTS / SERVICE) as u64;
        assert_eq!((report.verdict, report.content.mismatch), (Verdict::Broken, wrong));
    }
    damage(&database, &["ALTER TYPE kind RENAME VALUE 'robot' TO 'service'"]).await;
    // A record of an older program says nothing of the columns.
    let mut old = serde_json::to_value(&left).unwrap();
    old.as_object_mut().unwrap().remove("catalogue");
    again(&rest(&db, &request, &serde_json::from_value(old).unwrap()).await.unwrap());
    db.close().await;
    database.drop_now().await;
}
