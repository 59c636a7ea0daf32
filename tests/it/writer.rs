//! The writer: chains, duplicates, refusals, concurrency, evidence.

use crate::support::{self, TestDatabase};
use agenttrace::domain::{Action, ActorType, Category, Json, NewEvent, OrgId, Severity, Timestamp};
use agenttrace::store::WriteDb;
use agenttrace::store::writer::{Fate, PreservedEvent, WriteError, Writer, WriterSettings};
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use std::task::Poll;

pub(crate) fn event(organization: &str, id: &str) -> NewEvent {
    NewEvent {
        event_id: id.to_owned(),
        timestamp: Timestamp::from_micros(1_767_600_061_000_000),
        organization_id: OrgId::new(organization).unwrap(),
        project_id: None,
        actor_type: ActorType::User,
        actor_id: "u-1".to_owned(),
        actor_email: Some("zoë@example.org".to_owned()),
        actor_ip: Some("2001:DB8::1".to_owned()),
        actor_user_agent: Some("curl/8".to_owned()),
        event_category: Category::Admin,
        event_type: "user.updated".to_owned(),
        event_severity: Severity::Info,
        resource_type: "user".to_owned(),
        resource_id: "u-2".to_owned(),
        resource_name: None,
        action: Action::Update,
        previous_state: Some(Json::from_trusted(r#"{"role":"viewer","id":2}"#)),
        new_state: Some(Json::from_trusted(r#"{"role":"admin", "quota":1e2,"x":1.10}"#)),
        request_id: "r-1".to_owned(),
        session_id: None,
    }
}

fn events(organization: &str, range: std::ops::Range<usize>) -> Vec<NewEvent> {
    range.map(|i| event(organization, &format!("{organization}-{i:05}"))).collect()
}

async fn writer(database: &TestDatabase) -> Writer {
    writer_with(database, WriterSettings::default()).await
}

async fn writer_with(database: &TestDatabase, settings: WriterSettings) -> Writer {
    Writer::new(WriteDb::connect(database.options.clone()).await.unwrap(), settings)
}

async fn connect(database: &TestDatabase) -> PgConnection {
    PgConnection::connect_with(&database.options).await.unwrap()
}

/// Event ids along the chain from its genesis; panics where it forks or has a gap.
pub(crate) async fn chain(c: &mut PgConnection, organization: &str) -> Vec<String> {
    let rows: Vec<(String, String, String)> =
        sqlx::query_as("SELECT previous_hash, hash, event_id FROM audit_events WHERE organization_id = $1")
            .bind(organization)
            .fetch_all(c)
            .await
            .unwrap();
    let total = rows.len();
    let mut next = std::collections::HashMap::new();
    for (previous, hash, id) in rows {
        assert!(next.insert(previous, (hash, id)).is_none(), "a fork in {organization}");
    }
    let mut ids = Vec::new();
    let mut at = String::new();
    while let Some((hash, id)) = next.remove(&at) {
        ids.push(id);
        at = hash;
    }
    assert_eq!(ids.len(), total, "a gap in {organization}");
    ids
}

async fn recorded_head(c: &mut PgConnection, organization: &str) -> (Option<String>, String, i64) {
    sqlx::query_as("SELECT event_id, hash, event_count FROM audit_chain_heads WHERE organization_id = $1")
        .bind(organization)
        .fetch_one(c)
        .await
        .unwrap()
}

#[tokio::test]
async fn batches_of_two_organisations_become_two_chains() {
    let database = support::database().await;
    let mut writer = writer(&database).await;
    let mixed = || {
        let mut mixed = events("a", 0..5);
        mixed.extend(events("b", 0..3));
        mixed.extend(events("a", 5..9));
        mixed
    };
    assert_eq!(writer.append(mixed()).await.unwrap(), vec![Fate::Stored; 12]);
    assert_eq!(writer.append(events("b", 3..5)).await.unwrap(), vec![Fate::Stored; 2]);
    assert_eq!(writer.append(mixed()).await.unwrap(), vec![Fate::Duplicate; 12]);

    let mut c = connect(&database).await;
    let expected: Vec<_> = (0..9).map(|i| format!("a-{i:05}")).collect();
    assert_eq!(chain(&mut c, "a").await, expected);
    assert_eq!(chain(&mut c, "b").await.len(), 5);
    let (id, hash, count) = recorded_head(&mut c, "b").await;
    assert_eq!((id.as_deref(), count), (Some("b-00004"), 5));
    let last: String = sqlx::query_scalar("SELECT hash FROM audit_events WHERE event_id = 'b-00004'")
        .fetch_one(&mut c)
        .await
        .unwrap();
    assert_eq!(hash, last);
    database.drop_now().await;
}

#[tokio::test]
async fn values_are_stored_as_given_and_the_address_in_postgresqls_form() {
    let database = support::database().await;
    let mut given = event("a", "e-1");
    given.timestamp = Timestamp::from_micros(-1);
    given.new_state = Some(Json::from_trusted(" null "));
    writer(&database).await.append(vec![given]).await.unwrap();
    let mut c = connect(&database).await;
    let row: (String, String, String, Option<String>, bool, String, bool) = sqlx::query_as(
        "SELECT timestamp::text, host(actor_ip), actor_email, session_id, new_state IS NULL, previous_state::text, \
                search_vector @@ 'viewer:C & updated:A' FROM audit_events",
    )
    .fetch_one(&mut c)
    .await
    .unwrap();
    assert_eq!(row.0, "1969-12-31 23:59:59.999999+00");
    assert_eq!((row.1.as_str(), row.2.as_str(), row.3), ("2001:db8::1", "zoë@example.org", None));
    assert!(row.4, "a state that is JSON null is stored as NULL");
    assert_eq!(row.5, r#"{"id": 2, "role": "viewer"}"#);
    assert!(row.6);
    database.drop_now().await;
}

#[tokio::test]
async fn the_same_id_with_other_content_is_a_conflict() {
    let database = support::database().await;
    let mut writer = writer(&database).await;
    let base = event("a", "e-1");
    writer.append(vec![base.clone()]).await.unwrap();

    let differing: Vec<NewEvent> = {
        type Change = fn(&mut NewEvent);
        let changes: [Change; 19] = [
            |e| e.timestamp = Timestamp::from_micros(e.timestamp.as_micros() + 1),
            |e| e.project_id = Some(String::new()),
            |e| e.actor_type = ActorType::Service,
            |e| e.actor_id.push('x'),
            |e| e.actor_email = None,
            |e| e.actor_ip = Some("2001:db8::2".to_owned()),
            |e| e.actor_user_agent = None,
            |e| e.event_category = Category::Auth,
            |e| e.event_type.push('x'),
            |e| e.event_severity = Severity::Critical,
            |e| e.resource_type.push('x'),
            |e| e.resource_id.push('x'),
            |e| e.resource_name = Some("x".to_owned()),
            |e| e.action = Action::Read,
            |e| e.previous_state = Some(Json::from_trusted(r#"{"role":"viewer","id":3}"#)),
            |e| e.new_state = None,
            |e| e.new_state = Some(Json::from_trusted(r#"{"role":"admin", "quota":100,"x":1.1}"#)),
            |e| e.request_id.push('x'),
            |e| e.session_id = Some("s".to_owned()),
        ];
        let changed = |change: &Change| {
            let mut event = base.clone();
            change(&mut event);
            event
        };
        changes.iter().map(changed).collect()
    };
    let count = differing.len();
    let fates = writer.append(differing).await.unwrap();
    assert_eq!(fates.len(), count);
    for fate in fates {
        let Fate::Conflict(differs) = fate else { panic!("{fate:?}") };
        assert_eq!(differs.len(), 1, "what differs is said: {differs:?}");
    }

    let mut respelt = base.clone();
    respelt.actor_ip = Some("2001:db8:0::1/128".to_owned());
    respelt.new_state = Some(Json::from_trusted(r#"{"x":1.10,"quota":100,"role":"\u0061dmin"}"#));
    assert_eq!(writer.append(vec![respelt]).await.unwrap(), vec![Fate::Duplicate]);
    database.drop_now().await;
}

#[tokio::test]
async fn duplicates_within_a_batch_and_ids_of_another_organisation_are_told_apart() {
    let database = support::database().await;
    let mut writer = writer(&database).await;
    writer.append(vec![event("b", "theirs")]).await.unwrap();
    let mut other = event("a", "twice");
    other.actor_id.push('x');
    let fates = writer
        .append(vec![
            event("a", "twice"),
            event("a", "twice"),
            other,
            event("a", "theirs"),
            event("a", "last"),
        ])
        .await
        .unwrap();
    let Fate::Rejected(reason) = &fates[3] else { panic!("{fates:?}") };
    assert_eq!(reason.to_string(), "event_id: 'theirs' is the id of an event of another organisation");
    let mut others = fates.clone();
    others.remove(3);
    let conflict = Fate::Conflict(vec!["actor_id".to_owned()]);
    assert_eq!(others, [Fate::Stored, Fate::Duplicate, conflict, Fate::Stored]);
    assert_eq!(chain(&mut connect(&database).await, "a").await, ["twice", "last"]);
    database.drop_now().await;
}

#[tokio::test]
async fn what_the_table_cannot_hold_is_rejected_and_the_rest_goes_on() {
    let database = support::database().await;
    let mut writer = writer(&database).await;
    type Change = fn(&mut NewEvent);
    let bad: [(&str, Change); 10] = [
        ("event_id", |e| e.event_id = "x".repeat(65)),
        ("resource_name", |e| e.resource_name = Some(format!("{}{}", "é".repeat(255), " "))),
        ("actor_id", |e| e.actor_id = "a\0b".to_owned()),
        ("actor_user_agent", |e| e.actor_user_agent = Some("\0".to_owned())),
        ("actor_ip", |e| e.actor_ip = Some("192.0.2.1, 10.0.0.9".to_owned())),
        ("timestamp", |e| e.timestamp = Timestamp::INFINITY),
        ("new_state", |e| e.new_state = Some(Json::from_trusted("{\"a\":\"\\u0000\"}"))),
        ("new_state", |e| e.new_state = Some(Json::from_trusted("[\"\\ud800\"]"))),
        ("previous_state", |e| e.previous_state = Some(Json::from_trusted("[1e131071]"))),
        ("previous_state", |e| e.previous_state = Some(Json::from_trusted("not json"))),
    ];
    let mut batch = vec![event("a", "first")];
    for (i, (_, change)) in bad.iter().enumerate() {
        let mut event = event("a", &format!("bad-{i}"));
        change(&mut event);
        batch.push(event);
    }
    let mut widest = event("a", &"é".repeat(64));
    widest.resource_name = Some("é".repeat(255));
    batch.push(widest);
    let fates = writer.append(batch).await.unwrap();
    assert_eq!(fates.first(), Some(&Fate::Stored));
    assert_eq!(fates.last(), Some(&Fate::Stored));
    for ((column, _), fate) in bad.iter().zip(&fates[1..]) {
        let Fate::Rejected(reason) = fate else { panic!("{column}: {fate:?}") };
        assert_eq!(reason.column, *column, "{reason}");
    }
    assert_eq!(chain(&mut connect(&database).await, "a").await.len(), 2);
    database.drop_now().await;
}

#[tokio::test]
async fn states_at_the_limits_are_stored() {
    let database = support::database().await;
    let mut writer = writer(&database).await;
    let states = [
        format!("{}{}", "[".repeat(1000), "]".repeat(1000)),
        format!("{}1{}", "{\"k\":".repeat(1000), "}".repeat(1000)),
        "[1e4095,1e-4095,-1.5e-300,0e-4095]".to_owned(),
        format!("[{}]", vec!["1e4095"; 2000].join(",")),
        format!("\"{}\"", "\u{1f600}".repeat(300_000)),
        format!("[{}]", (0..200_000).map(|n| format!("\"w{n}\"")).collect::<Vec<_>>().join(",")),
        format!("\"{}\"", "abc-".repeat(100_000)),
    ];
    let batch = states
        .iter()
        .enumerate()
        .map(|(i, state)| NewEvent {
            new_state: Some(Json::from_trusted(state.as_str())),
            previous_state: None,
            ..event("a", &format!("e-{i}"))
        })
        .collect::<Vec<_>>();
    assert_eq!(writer.append(batch.clone()).await.unwrap(), vec![Fate::Stored; states.len()]);
    assert_eq!(writer.append(batch).await.unwrap(), vec![Fate::Duplicate; states.len()]);
    database.drop_now().await;
}

#[tokio::test]
async fn concurrent_writers_neither_fork_nor_double() {
    let database = support::database().await;
    let mut tasks = tokio::task::JoinSet::new();
    for worker in 0..4 {
        let mut writer = writer(&database).await;
        tasks.spawn(async move {
            let mut stored = 0;
            for batch in 0..10 {
                // Events of its own, and some that every worker sends, in two organisations and different order.
                let id = |kind: &str, n: usize| format!("{kind}-{n}");
                let mut events = vec![
                    event("a", &id("shared-a", batch)),
                    event("b", &id("shared-b", batch)),
                    event("a", &id(&format!("own-a-{worker}"), batch)),
                    event("b", &id(&format!("own-b-{worker}"), batch)),
                ];
                if worker % 2 == 0 {
                    events.reverse();
                }
                let fates = writer.append(events).await.unwrap();
                assert!(fates.iter().all(|f| matches!(f, Fate::Stored | Fate::Duplicate)), "{fates:?}");
                stored += fates.iter().filter(|f| **f == Fate::Stored).count();
            }
            stored
        });
    }
    let stored: usize = tasks.join_all().await.into_iter().sum();
    assert_eq!(stored, 2 * 10 * (4 + 1));
    let mut c = connect(&database).await;
    for organization in ["a", "b"] {
        assert_eq!(chain(&mut c, organization).await.len(), 50);
        assert_eq!(recorded_head(&mut c, organization).await.2, 50);
    }
    database.drop_now().await;
}

/// Inserts a copy of an event behind the writer's back.
async fn insert_foreign(c: &mut PgConnection, like: &str, id: &str, hash: &str, previous_hash: &str) {
    sqlx::query(
        "INSERT INTO audit_events (event_id, timestamp, organization_id, actor_type, actor_id, event_category, \
             event_type, event_severity, resource_type, resource_id, action, request_id, hash, previous_hash) \
         SELECT $2, timestamp, organization_id, actor_type, actor_id, event_category, event_type, event_severity, \
             resource_type, resource_id, action, request_id, $3, $4 FROM audit_events WHERE event_id = $1",
    )
    .bind(like)
    .bind(id)
    .bind(hash)
    .bind(previous_hash)
    .execute(c)
    .await
    .unwrap();
}

#[tokio::test]
async fn a_foreign_successor_stops_the_writer_until_it_is_told_where_to_go_on() {
    let database = support::database().await;
    let mut first = writer(&database).await;
    first.append(events("a", 0..3)).await.unwrap();
    first.append(events("b", 0..3)).await.unwrap();
    let mut c = connect(&database).await;
    let (_, head, _) = recorded_head(&mut c, "a").await;
    let foreign = "f".repeat(64);
    insert_foreign(&mut c, "a-00000", "foreign", &foreign, &head).await;

    // Also seen by the writer that left the record itself.
    let error = first.append(events("a", 3..4)).await.unwrap_err();
    let WriteError::ForeignHead { organization, heads, detail } = error else { panic!("{error}") };
    assert_eq!((organization.as_str(), heads), ("a", vec![foreign.clone()]));
    assert!(detail.contains(&head) && detail.contains("--continue-from"), "{detail}");
    // What is there already needs no head.
    assert_eq!(first.append(events("a", 0..3)).await.unwrap(), vec![Fate::Duplicate; 3]);
    first.append(events("b", 3..4)).await.unwrap();

    let told = WriterSettings { continue_from: Some(foreign) };
    let mut second = writer_with(&database, told).await;
    assert_eq!(second.append(events("a", 3..5)).await.unwrap(), vec![Fate::Stored; 2]);
    assert_eq!(writer(&database).await.append(events("a", 5..6)).await.unwrap(), [Fate::Stored]);
    assert_eq!(
        chain(&mut c, "a").await,
        ["a-00000", "a-00001", "a-00002", "foreign", "a-00003", "a-00004", "a-00005"]
    );
    assert_eq!(recorded_head(&mut c, "a").await.2, 7);
    database.drop_now().await;
}

#[tokio::test]
async fn a_second_chain_beside_the_record_stops_a_new_writer() {
    let database = support::database().await;
    writer(&database).await.append(events("a", 0..3)).await.unwrap();
    let mut c = connect(&database).await;
    let (_, head, _) = recorded_head(&mut c, "a").await;
    let foreign = "e".repeat(64);
    insert_foreign(&mut c, "a-00000", "restarted", &foreign, "").await;
    let error = writer(&database).await.append(events("a", 3..4)).await.unwrap_err();
    let WriteError::ForeignHead { mut heads, .. } = error else { panic!("{error}") };
    heads.sort();
    let mut expected = [head.clone(), foreign];
    expected.sort();
    assert_eq!(heads, expected);
    // A hash that ends no chain is not gone on from.
    let told = WriterSettings { continue_from: Some("0".repeat(64)) };
    assert!(writer_with(&database, told).await.append(events("a", 3..4)).await.is_err());
    let told = WriterSettings { continue_from: Some(head) };
    writer_with(&database, told).await.append(events("a", 3..4)).await.unwrap();
    // The decision is remembered by the record.
    writer(&database).await.append(events("a", 4..5)).await.unwrap();
    database.drop_now().await;
}

/// What another system's trail would bring: three events, each with its hashes.
fn evidence(organization: &str, links: &[(&str, &str)]) -> Vec<PreservedEvent> {
    events(organization, 0..links.len())
        .into_iter()
        .zip(links)
        .map(|(event, (hash, previous_hash))| PreservedEvent {
            event,
            hash: (*hash).to_owned(),
            previous_hash: (*previous_hash).to_owned(),
        })
        .collect()
}

#[tokio::test]
async fn evidence_keeps_its_hashes_and_is_gone_on_from_only_when_it_has_one_head() {
    let database = support::database().await;
    let mut loader = writer(&database).await;
    let single = evidence("single", &[("h1", ""), ("h2", "h1"), ("h3", "h2")]);
    assert_eq!(loader.preserve(single.clone()).await.unwrap(), vec![Fate::Stored; 3]);
    assert_eq!(loader.preserve(single.clone()).await.unwrap(), vec![Fate::Duplicate; 3]);
    let mut altered = single[1].clone();
    altered.previous_hash = "h0".to_owned();
    let conflict = Fate::Conflict(vec!["previous_hash".to_owned()]);
    assert_eq!(loader.preserve(vec![altered]).await.unwrap(), [conflict]);

    // Out of order, still one head; forked: two.
    let shuffled = evidence("shuffled", &[("h2", "h1"), ("h3", "h2"), ("h1", "")]);
    loader.preserve(shuffled).await.unwrap();
    loader.preserve(evidence("forked", &[("h1", ""), ("h2", "h1"), ("h3", "h1")])).await.unwrap();

    loader.preserve(evidence("hashless", &[("", ""), ("", "")])).await.unwrap();

    let mut c = connect(&database).await;
    assert_eq!(recorded_head(&mut c, "single").await, (Some("single-00002".to_owned()), "h3".to_owned(), 3));
    assert_eq!(
        recorded_head(&mut c, "shuffled").await,
        (Some("shuffled-00001".to_owned()), "h3".to_owned(), 3)
    );
    assert_eq!(recorded_head(&mut c, "forked").await, (None, String::new(), 0));

    let mut writer = writer(&database).await;
    writer.append(events("single", 3..4)).await.unwrap();
    writer.append(events("shuffled", 3..4)).await.unwrap();
    let error = writer.append(events("forked", 3..4)).await.unwrap_err();
    let WriteError::ForeignHead { heads, .. } = error else { panic!("{error}") };
    assert_eq!(heads, ["h3", "h2"]);
    let error = writer.append(events("hashless", 2..3)).await.unwrap_err();
    assert!(error.to_string().contains("the table holds no event that ends a chain"), "{error}");
    let too_long = evidence("single", &[("x".repeat(65).as_str(), "")]);
    assert!(
        matches!(loader.preserve(too_long).await.unwrap().as_slice(), [Fate::Rejected(e)] if e.column == "hash")
    );
    database.drop_now().await;
}

#[tokio::test]
async fn listeners_are_woken_once_a_batch() {
    let database = support::database().await;
    let mut listener = sqlx::postgres::PgListener::connect_with(
        &sqlx::postgres::PgPoolOptions::new().connect_with(database.options.clone()).await.unwrap(),
    )
    .await
    .unwrap();
    listener.listen(agenttrace::store::writer::CHANNEL).await.unwrap();
    let mut writer = writer(&database).await;
    writer.append(events("a", 0..10)).await.unwrap();
    writer.append(events("a", 0..10)).await.unwrap();
    writer.append(events("b", 0..1)).await.unwrap();
    // Two batches stored something. A third notification would arrive before the marker.
    sqlx::query("SELECT pg_notify('agenttrace', 'marker')")
        .execute(&mut connect(&database).await)
        .await
        .unwrap();
    let mut payloads = Vec::new();
    for _ in 0..3 {
        payloads.push(listener.recv().await.unwrap().payload().to_owned());
    }
    assert_eq!(payloads, ["", "", "marker"]);
    database.drop_now().await;
}

#[tokio::test]
async fn a_batch_that_is_cut_off_leaves_nothing_and_the_next_one_goes_on() {
    let database = support::database().await;
    let mut first = writer(&database).await;
    first.append(events("a", 0..2)).await.unwrap();
    // Dropped at its first, second, … wait for the server, until it gets through: all or nothing is there.
    for waits in 0.. {
        let mut cut = writer(&database).await;
        let mut append = Box::pin(cut.append(events("a", 2..50)));
        let mut left = waits;
        let done = std::future::poll_fn(|context| {
            if left == 0 {
                return Poll::Ready(None);
            }
            left -= 1;
            append.as_mut().poll(context).map(Some)
        })
        .await;
        drop(append);
        let count = chain(&mut connect(&database).await, "a").await.len();
        if count == 50 {
            // Through, or cut off while it waited for the answer to its commit.
            assert!(done.is_none_or(|fates| fates.unwrap() == vec![Fate::Stored; 48]));
            // How often depends on how much arrives at once; without one cut in the middle nothing was tried.
            assert!(waits > 1, "the server was waited for {waits} times only");
            break;
        }
        assert_eq!((count, done.is_none()), (2, true), "after {waits} waits");
    }
    let fates = first.append(events("a", 2..60)).await.unwrap();
    assert!(fates.iter().all(|f| matches!(f, Fate::Stored | Fate::Duplicate)));
    assert_eq!(chain(&mut connect(&database).await, "a").await.len(), 60);
    database.drop_now().await;
}
