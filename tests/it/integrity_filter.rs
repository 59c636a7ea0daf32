//! `integrity:` after a verification of the whole trail, on rows that are edited and written before, during and after it.

use crate::support;
use crate::timeline::{never, scope};
use crate::verify::{append, connect, damage, reader, request, verify};

use agenttrace::domain::TimeRange;
use agenttrace::filter::{Filter, RangeError};
use agenttrace::store::listing::cost;
use agenttrace::store::listing::explain::Way;
use agenttrace::store::listing::timeline;
use agenttrace::store::query::{Query, Seek};
use agenttrace::store::schema::{self, Layout};
use agenttrace::store::{ReadDb, WriteDb};
use agenttrace::verify::{Known, Report};
use sqlx::Connection as _;
use std::collections::BTreeSet;

/// The numbers of the events that a filter finds, given what the report says.
async fn numbers(db: &ReadDb, organization: &str, text: &str, report: &Report) -> BTreeSet<usize> {
    let mut filter = Filter::parse(text).unwrap();
    filter.supply(&Known(Some(report)));
    let query = Query { scope: scope(organization), filter, range: TimeRange::default() };
    let page = timeline::page(db, &query, &Seek::Newest, 1_000, &never()).await.unwrap();
    page.rows
        .iter()
        .map(|row| row.event_id.strip_prefix(&format!("{organization}-")).unwrap().parse().unwrap())
        .collect()
}

async fn each_event_is_what_the_scan_and_its_row_say(layout: Layout) {
    let database = support::database().await;
    if layout != Layout::Plain {
        let db = WriteDb::connect(database.options.clone()).await.unwrap();
        schema::change_layout(&db, layout, &|_| {}).await.unwrap();
        db.close().await;
    }
    append(&database, "own", 0..60).await;
    append(&database, "other", 0..30).await;
    let edit = |organization: &str, n: usize| {
        format!("UPDATE audit_events SET actor_id = 'mallory' WHERE event_id = '{organization}-{n:06}'")
    };
    damage(&database, &[&edit("own", 7), &edit("own", 8), &edit("other", 9)]).await;
    let db = reader(&database).await;
    support::others_have_ended(&database).await;

    // Under way while the trail is read, in a subtransaction, and with later transactions that are over by then.
    let mut c = connect(&database).await;
    let under_way = format!("BEGIN; SAVEPOINT s; {}; RELEASE s", edit("own", 20));
    sqlx::raw_sql(sqlx::AssertSqlSafe(under_way)).execute(&mut c).await.unwrap();
    append(&database, "other", 30..31).await;
    let of_own = verify(&db, &request("own", 2)).await;
    sqlx::raw_sql("COMMIT").execute(&mut c).await.unwrap();
    c.close().await.unwrap();
    support::others_have_ended(&database).await;
    let of_other = verify(&db, &request("other", 1)).await;
    assert_eq!((of_own.content.mismatch, of_other.content.mismatch), (2, 1));
    damage(&database, &[&edit("own", 10), &edit("own", 8)]).await;
    append(&database, "own", 60..62).await;

    let all: BTreeSet<usize> = (0..62).collect();
    let (broken, unverified) = (BTreeSet::from([7, 8]), BTreeSet::from([8, 10, 20, 60, 61]));
    let verified: BTreeSet<usize> = &(&all - &broken) - &unverified;
    for (filter, expected) in [
        ("integrity:verified", verified.clone()),
        ("integrity:unverified", unverified.clone()),
        ("integrity:broken", broken.clone()),
        ("integrity:unknown", BTreeSet::new()),
        ("integrity:broken,unverified", &broken | &unverified),
        ("-integrity:verified", &broken | &unverified),
        ("-integrity:unverified", &all - &unverified),
        ("integrity:verified action:read OR integrity:broken", broken.clone()),
        ("integrity:verified,unverified,unknown,broken", all.clone()),
        ("integrity:verified (actor:u-7 OR actor:u-9)", BTreeSet::from([9, 47, 49])),
        ("integrity:verified actor:u-9", BTreeSet::from([9, 49])),
        ("integrity:verified res:user/r-9", BTreeSet::from([9])),
        ("integrity:verified event_id:own-000011", BTreeSet::from([11])),
        ("integrity:verified mallory", BTreeSet::new()),
    ] {
        assert_eq!(numbers(&db, "own", filter, &of_own).await, expected, "{layout:?} {filter}");
    }
    let others: BTreeSet<usize> = (0..31).collect();
    assert_eq!(numbers(&db, "other", "integrity:broken", &of_other).await, BTreeSet::from([9]));
    assert_eq!(
        numbers(&db, "other", "integrity:verified", &of_other).await,
        &others - &BTreeSet::from([9]),
        "{layout:?}"
    );
    assert_eq!(numbers(&db, "other", "integrity:unverified", &of_other).await, BTreeSet::new());

    // A walk, and it says so.
    let mut filter = Filter::parse("integrity:verified").unwrap();
    filter.supply(&Known(Some(&of_own)));
    let query = Query { scope: scope("own"), filter, range: TimeRange::default() };
    assert_eq!(cost::guess(&db, &query, &never()).await.unwrap().way, Way::Walk);

    // What was found is counted on, not what was hoped for: a server whose transactions are behind those of the report,
    // or far beyond them, has verified nothing.
    for transaction in [of_own.before_transaction + (1 << 33), of_own.before_transaction - (1 << 33)] {
        let mut elsewhere = of_own.clone();
        elsewhere.before_transaction = transaction;
        assert_eq!(numbers(&db, "own", "integrity:verified", &elsewhere).await, BTreeSet::new());
        assert_eq!(numbers(&db, "own", "integrity:unverified", &elsewhere).await, all);
    }
    db.close().await;
    database.drop_now().await;
}

#[tokio::test]
async fn events_are_verified_as_long_as_their_rows_stand() {
    each_event_is_what_the_scan_and_its_row_say(Layout::Plain).await;
}

#[tokio::test]
async fn events_in_partitions_are_verified_as_long_as_their_rows_stand() {
    each_event_is_what_the_scan_and_its_row_say(Layout::Range).await;
}

#[tokio::test]
async fn a_report_that_leaves_events_out_answers_nothing() {
    let database = support::database().await;
    append(&database, "own", 0..20).await;
    damage(&database, &["UPDATE audit_events SET actor_id = 'mallory' WHERE event_id = 'own-000007'"]).await;
    let db = reader(&database).await;
    support::others_have_ended(&database).await;
    let report = verify(&db, &request("own", 1)).await;
    let is_refused = |text: &str, report: Option<&Report>| {
        let mut filter = Filter::parse(text).unwrap();
        filter.supply(&Known(report));
        let now = agenttrace::domain::Timestamp::from_micros(0);
        let range = filter.range(now, None, std::time::Duration::from_secs(1));
        matches!(range, Err(RangeError::NoFacts { field: "integrity" }))
    };
    let verified = "integrity:verified all-time";
    assert!(!is_refused(verified, Some(&report)) && is_refused(verified, None));
    let links = verify(&db, &agenttrace::verify::Request { links_only: true, ..request("own", 1) }).await;
    let mut cut = report.clone();
    cut.findings_cut = 1;
    // An event that is broken, and nobody knows which.
    let mut unnamed = report.clone();
    unnamed.findings.clear();
    for report in [links, cut, unnamed] {
        assert!(is_refused(verified, Some(&report)));
    }
    // Accepted is not mended.
    let mut accepted = report;
    accepted.accept(|_| {
        Some(agenttrace::verify::Acceptance {
            accepted_by: "eve".to_owned(),
            accepted_at: String::new(),
            note: "restored".to_owned(),
        })
    });
    assert!(accepted.findings.is_empty());
    assert_eq!(numbers(&db, "own", "integrity:broken", &accepted).await, BTreeSet::from([7]));
    assert_eq!(numbers(&db, "own", "integrity:verified", &accepted).await.len(), 19);
    db.close().await;
    database.drop_now().await;
}
