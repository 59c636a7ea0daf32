//! Layouts `monthly` and `hash`: made empty, and made of a table with events while it is written.

use crate::support::{self, TestDatabase};
use crate::timeline::{self as fixture, Ids, never};
use crate::writer::{chain, event};

use agenttrace::domain::{NewEvent, Timestamp};
use agenttrace::store::schema::{self, Layout, LayoutChange, Step, partitions};
use agenttrace::store::writer::{BulkWriter, Fate, Writer, WriterSettings};
use agenttrace::store::{ReadDb, WriteDb};
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use std::sync::Mutex;
use tokio::runtime::Runtime;

async fn write_db(test: &TestDatabase) -> WriteDb {
    WriteDb::connect(test.options.clone()).await.unwrap()
}

async fn writer(test: &TestDatabase) -> Writer {
    Writer::new(write_db(test).await, WriterSettings::default())
}

async fn problems(db: &ReadDb) -> Vec<String> {
    schema::status(db, &never()).await.unwrap().problems
}

/// Events of four months, twenty a month.
fn events(organization: &str, range: std::ops::Range<usize>) -> Vec<NewEvent> {
    let at = |i: usize| Timestamp::from_micros(1_767_600_061_000_000 + i as i64 * 130_000_000_000);
    let ip = || Some("10.0.1.5".to_owned());
    range
        .map(|i| NewEvent { timestamp: at(i), actor_ip: ip(), ..event(organization, &format!("e-{i:05}")) })
        .collect()
}

fn all(fates: &[Fate], wanted: Fate) -> bool {
    fates.iter().all(|fate| *fate == wanted)
}

/// Statements that the guard must refuse on the table and on one of its partitions.
async fn nothing_can_be_changed(c: &mut PgConnection) {
    let partition: String = sqlx::query_scalar("SELECT tableoid::regclass::text FROM audit_events LIMIT 1")
        .fetch_one(&mut *c)
        .await
        .unwrap();
    assert_ne!(partition, "audit_events");
    for table in ["audit_events", &partition] {
        for statement in [
            format!("UPDATE {table} SET action = 'read'"),
            format!("DELETE FROM {table}"),
            format!("TRUNCATE {table}"),
        ] {
            let error =
                sqlx::raw_sql(sqlx::AssertSqlSafe(statement.clone())).execute(&mut *c).await.unwrap_err();
            let code = error.as_database_error().unwrap().code().unwrap().into_owned();
            assert_eq!(code, "42501", "{statement}: {error}");
        }
    }
}

#[tokio::test]
async fn an_empty_table_takes_any_layout_and_is_written_as_before() {
    for layout in [Layout::Range, Layout::Hash] {
        let test = support::database().await;
        let db = write_db(&test).await;
        schema::change_layout(&db, layout, &|_| {}).await.unwrap();
        // Once more is nothing to do, another one is refused.
        schema::change_layout(&db, layout, &|step| panic!("{step:?}")).await.unwrap();
        assert!(schema::change_layout(&db, Layout::Plain, &|_| {}).await.is_err());
        assert!(schema::migrate(&db).await.unwrap().is_empty());
        let reader = fixture::reader(&test.options).await;
        assert_eq!(problems(&reader).await, [""; 0]);
        assert_eq!(reader.capabilities(&never()).await.unwrap().layout, layout);

        let mut writer = writer(&test).await;
        for organization in ["a", "b"] {
            // The same ids in both: an id is unique within its organisation.
            assert!(all(&writer.append(events(organization, 0..80)).await.unwrap(), Fate::Stored));
        }
        assert!(all(&writer.append(events("a", 10..70)).await.unwrap(), Fate::Duplicate));
        let changed = NewEvent { actor_id: "other".to_owned(), ..events("a", 5..6).remove(0) };
        assert!(all(
            &writer.append(vec![changed]).await.unwrap(),
            Fate::Conflict(vec!["actor_id".to_owned()])
        ));
        // The same id in another month is the same id.
        let moved = NewEvent { timestamp: events("a", 60..61)[0].timestamp, ..events("a", 5..6).remove(0) };
        let fates = writer.append(vec![moved]).await.unwrap();
        assert!(matches!(&fates[..], [Fate::Conflict(differs)] if differs[0] == "timestamp"), "{fates:?}");

        let mut c = PgConnection::connect_with(&test.options).await.unwrap();
        for organization in ["a", "b"] {
            assert_eq!(chain(&mut c, organization).await.len(), 80);
        }
        nothing_can_be_changed(&mut c).await;
        assert_eq!(problems(&reader).await, [""; 0]);
        if layout == Layout::Range {
            let made = partitions::ensure(&db, 5).await.unwrap();
            assert_eq!(made.len(), 6);
            let listed = partitions::list(&reader, &never()).await.unwrap();
            assert!(made.iter().all(|name| listed.iter().any(|p| p.name == *name && p.until.is_some())));
            assert!(listed.windows(2).all(|pair| pair[0].until < pair[1].until));
        }
        c.close().await.unwrap();
        reader.close().await;
        test.drop_now().await;
    }
}

#[tokio::test]
async fn a_bulk_load_fills_months() {
    let test = support::database().await;
    let db = write_db(&test).await;
    schema::change_layout(&db, Layout::Range, &|_| {}).await.unwrap();
    let mut bulk = BulkWriter::begin(db).await.unwrap();
    bulk.append(events("a", 0..80)).await.unwrap();
    bulk.finish().await.unwrap();
    let reader = fixture::reader(&test.options).await;
    assert_eq!(problems(&reader).await, [""; 0]);
    reader.close().await;
    test.drop_now().await;
}

async fn layout_change(test: &TestDatabase) -> Option<LayoutChange> {
    let reader = fixture::reader(&test.options).await;
    let status = schema::status(&reader, &never()).await.unwrap();
    reader.close().await;
    status.layout_change
}

#[test]
fn a_table_with_events_changes_its_layout_while_it_is_written() {
    let runtime = Runtime::new().unwrap();
    for layout in [Layout::Range, Layout::Hash] {
        let test = runtime.block_on(async {
            let test = support::database().await;
            fixture::fill(&test.options, 2000, 300).await;
            let mut c = PgConnection::connect_with(&test.options).await.unwrap();
            sqlx::raw_sql("CREATE ROLE agenttrace_test_reader").execute(&mut c).await.ok();
            sqlx::raw_sql("GRANT SELECT ON audit_events TO agenttrace_test_reader")
                .execute(&mut c)
                .await
                .unwrap();
            let mut writer = writer(&test).await;
            writer.append(events("a", 0..40)).await.unwrap();

            // Given up after the first piece, as by a lost connection; then once more to the end.
            let db = write_db(&test).await;
            let seen = Mutex::new(Vec::new());
            let stop = tokio_util::sync::CancellationToken::new();
            let on_step = |step: &Step| {
                seen.lock().unwrap().push(step.clone());
                stop.cancel();
            };
            let first = schema::change_layout(&db, layout, &on_step);
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                done = first => done.unwrap(),
            }
            assert!(matches!(seen.lock().unwrap()[..], [Step::Copied { .. }, ..]));
            assert_eq!(layout_change(&test).await, Some(LayoutChange::Begun));
            // Written after some of it was copied, also into the past.
            writer.append(events("a", 40..80)).await.unwrap();
            let steps = Mutex::new(Vec::new());
            schema::change_layout(&db, layout, &|step| steps.lock().unwrap().push(step.clone()))
                .await
                .unwrap();
            let steps = steps.into_inner().unwrap();
            assert_eq!(steps.last(), Some(&Step::Exchanged { kept: Some("audit_events_plain") }));
            assert_eq!(layout_change(&test).await, Some(LayoutChange::Done));
            let reader = fixture::reader(&test.options).await;
            let table = schema::status(&reader, &never()).await.unwrap().table.unwrap();
            assert!(table.estimated_rows >= Some(2000), "months to come, without events, need no ANALYZE");
            reader.close().await;
            writer.append(events("a", 80..120)).await.unwrap();

            assert_eq!(chain(&mut c, "a").await.len(), 120);
            let equal: bool = sqlx::query_scalar(
                "SELECT NOT EXISTS (SELECT event_id, hash, new_state::text, timestamp FROM audit_events_plain
                     EXCEPT SELECT event_id, hash, new_state::text, timestamp FROM audit_events)
                   AND has_table_privilege('agenttrace_test_reader', 'audit_events', 'SELECT')",
            )
            .fetch_one(&mut c)
            .await
            .unwrap();
            assert!(equal);
            nothing_can_be_changed(&mut c).await;
            let refused = schema::change_layout(&db, Layout::Plain, &|_| {}).await.unwrap_err();
            assert!(refused.to_string().contains("partitioned already"), "{refused}");
            sqlx::raw_sql(
                "DROP TABLE audit_events_plain; ANALYZE audit_events; DROP OWNED BY agenttrace_test_reader",
            )
            .execute(&mut c)
            .await
            .unwrap();
            c.close().await.unwrap();
            let reader = fixture::reader(&test.options).await;
            assert_eq!(problems(&reader).await, [""; 0]);
            reader.close().await;
            assert_eq!(layout_change(&test).await, None);
            test
        });
        fixture::agree_with_the_oracle(&runtime, &test.options, 12, 300, Ids::Fall);
        runtime.block_on(test.drop_now());
    }
}

#[tokio::test]
async fn an_event_for_which_there_can_be_no_month_is_refused_alone() {
    let test = support::database().await;
    let db = write_db(&test).await;
    schema::change_layout(&db, Layout::Range, &|_| {}).await.unwrap();
    db.close().await;
    let mut writer = writer(&test).await;
    let mut batch = events("o-1", 0..6);
    let second = 1_000_000;
    batch[1].timestamp = Timestamp::from_micros(-second);
    batch[3].timestamp = Timestamp::from_micros(32_503_680_000 * second);
    batch[4].timestamp = Timestamp::from_micros(32_503_680_000 * second - 1);
    let fates = writer.append(batch).await.unwrap();
    let stored: Vec<bool> = fates.iter().map(|fate| *fate == Fate::Stored).collect();
    assert_eq!(stored, [true, false, true, false, true, true]);
    for at in [1, 3] {
        assert!(
            matches!(&fates[at], Fate::Rejected(e) if e.column == "timestamp" && e.reason.contains("1970 to 2999")),
            "{:?}",
            fates[at]
        );
    }
    let mut c = PgConnection::connect_with(&test.options).await.unwrap();
    assert_eq!(chain(&mut c, "o-1").await, ["e-00000", "e-00002", "e-00004", "e-00005"]);
    c.close().await.unwrap();
    test.drop_now().await;
}

#[tokio::test]
async fn months_that_others_have_made_count_by_their_bounds() {
    let test = support::database().await;
    let db = write_db(&test).await;
    schema::change_layout(&db, Layout::Range, &|_| {}).await.unwrap();
    let mut c = PgConnection::connect_with(&test.options).await.unwrap();
    let partman: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pg_partman')")
            .fetch_one(&mut c)
            .await
            .unwrap();
    // A month and the rest as pg_partman 4.7 calls them.
    let by_hand = "
        CREATE TABLE audit_events_p2031_03 PARTITION OF audit_events FOR VALUES FROM ('2031-03-01Z') TO ('2031-04-01Z');
        CREATE TABLE audit_events_default PARTITION OF audit_events DEFAULT";
    if partman {
        let by_partman = "CREATE SCHEMA partman; CREATE EXTENSION pg_partman SCHEMA partman;
            SELECT partman.create_parent('public.audit_events', 'timestamp', 'native', 'monthly', p_premake := 2,
                p_start_partition := '2031-03-01')";
        sqlx::raw_sql(by_partman).execute(&mut c).await.unwrap();
    } else {
        println!("pg_partman is not installed: its partitions are made by hand");
        sqlx::raw_sql(by_hand).execute(&mut c).await.unwrap();
    }
    sqlx::raw_sql(
        "CREATE TABLE a_week PARTITION OF audit_events FOR VALUES FROM ('2031-07-08Z') TO ('2031-07-15Z')",
    )
    .execute(&mut c)
    .await
    .unwrap();
    let at = |time: &str| Timestamp::parse(time).unwrap();
    // Within theirs, before, in and behind the week, and where there is nothing yet.
    let times = [
        "2031-03-05T00:00:00Z",
        "2031-03-31T23:59:59Z",
        "2031-07-01T00:00:00Z",
        "2031-07-09T00:00:00Z",
        "2031-07-31T00:00:00Z",
        "2031-09-10T00:00:00Z",
    ];
    let mut writer = writer(&test).await;
    for (n, time) in times.iter().enumerate() {
        let event = NewEvent { timestamp: at(time), ..event("o-1", &format!("e-{n}")) };
        assert!(all(&writer.append(vec![event]).await.unwrap(), Fate::Stored), "{time}");
    }
    let placed: Vec<(String, String)> =
        sqlx::query_as("SELECT event_id::text, tableoid::regclass::text FROM audit_events ORDER BY event_id")
            .fetch_all(&mut c)
            .await
            .unwrap();
    let placed: Vec<&str> = placed.iter().map(|(_, table)| table.as_str()).collect();
    let wanted = [
        "audit_events_p2031_03",
        "audit_events_p2031_03",
        "audit_events_2031_07_01_000000000000",
        "a_week",
        "audit_events_2031_07_15_000000000000",
        "audit_events_2031_09",
    ];
    assert_eq!(placed, wanted);
    // What stands in the rest of the table already stays where it is.
    let in_rest = "SET session_replication_role = replica;
        INSERT INTO audit_events SELECT * FROM (SELECT (e).* FROM (SELECT jsonb_populate_record(a, '{\"event_id\": \"e-9\",
            \"timestamp\": \"2031-11-02Z\"}') AS e FROM audit_events a LIMIT 1) x) y";
    let columns: String = sqlx::query_scalar(
        "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
         WHERE attrelid = 'audit_events'::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''",
    )
    .fetch_one(&mut c)
    .await
    .unwrap();
    let in_rest = in_rest
        .replace("INTO audit_events SELECT *", &format!("INTO audit_events ({columns}) SELECT {columns}"));
    sqlx::raw_sql(sqlx::AssertSqlSafe(in_rest)).execute(&mut c).await.unwrap();
    let event = NewEvent { timestamp: at("2031-11-20T00:00:00Z"), ..event("o-2", "e-10") };
    assert!(all(&writer.append(vec![event]).await.unwrap(), Fate::Stored));
    let made = partitions::ensure(&db, 2).await.unwrap();
    assert_eq!(made.len(), 3, "{made:?}");
    c.close().await.unwrap();
    db.close().await;
    test.drop_now().await;
}
