//! Tables in a database that does not sort text by bytes: pages, prefixes, lists and merges stay complete.

use crate::shapes::Shape;
use crate::support::{self, Collation};
use crate::timeline::{never, query};

use agenttrace::domain::EventRow;
use agenttrace::store::listing::explain::{self, Way};
use agenttrace::store::listing::timeline;
use agenttrace::store::query::Seek;
use agenttrace::store::{ReadDb, ReadSettings};
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use std::collections::BTreeSet;

/// Words that ICU sorts otherwise than bytes do, or between whose bytes its order jumps.
const WORDS: [&str; 16] =
    ["a", "A", "b", "B", "Z", "-a", "a-b", "a_b", "a.b", "ab", "a b", "é", "e", "É", "~", "ß"];

async fn fill(c: &mut PgConnection) {
    // Every word is an id at each of three instants, and the ending of a type, an actor and a resource.
    for (i, word) in WORDS.iter().enumerate() {
        for instant in 0..3_i32 {
            let other = WORDS[(i + 5) % WORDS.len()];
            sqlx::query(
                "INSERT INTO audit_events (event_id, timestamp, organization_id, actor_type, actor_id, actor_email,
                     event_category, event_type, event_severity, resource_type, resource_id, action, request_id, hash)
                 VALUES ($1, timestamptz '2026-01-01Z' + $2 * interval '1 second', 'o-1', 'user', 'actor-' || $3,
                     'Mail-' || $3 || '@x.org', 'auth', 'login.' || $4, 'info', 't', 'res-' || $3, 'read', 'r', 'h' || $1)",
            )
            .bind(format!("{word}{instant}"))
            .bind(instant)
            .bind(*word)
            .bind(other)
            .execute(&mut *c)
            .await
            .unwrap();
        }
    }
    sqlx::raw_sql("VACUUM ANALYZE audit_events").execute(c).await.unwrap();
}

/// The filters, and the rows they are meant to find, as bytes tell.
type Meant = (&'static str, fn(&EventRow) -> bool);

const FILTERS: [Meant; 12] = [
    ("", |_| true),
    ("type:login.a*", |e| e.event_type.starts_with("login.a")),
    ("type:login.A*", |e| e.event_type.starts_with("login.A")),
    ("type:login.-*", |e| e.event_type.starts_with("login.-")),
    ("type:\"login.é\"*", |e| e.event_type.starts_with("login.é")),
    ("actor:actor-a,actor-A,actor-b", |e| ["actor-a", "actor-A", "actor-b"].contains(&&*e.actor_id)),
    ("actor_id:actor-a*", |e| e.actor_id.starts_with("actor-a")),
    ("email:mail-B@x.org,mail-z@x.org", |e| {
        let email = e.actor_email.as_deref().unwrap_or_default().to_ascii_lowercase();
        ["mail-b@x.org", "mail-z@x.org"].contains(&&*email)
    }),
    ("type:login.a,login.A,login.ab OR type:login.~", |e| {
        ["login.a", "login.A", "login.ab", "login.~"].contains(&&*e.event_type)
    }),
    ("resource_id:res-*", |e| e.resource_id.starts_with("res-")),
    ("res:t/res-a", |e| e.resource_id == "res-a"),
    ("-type:login.a* actor_id:actor-*", |e| !e.event_type.starts_with("login.a")),
];

async fn walked(db: &ReadDb, filter: &str, ascending: bool) -> Vec<EventRow> {
    let query = query("o-1", filter);
    let mut rows: Vec<EventRow> = Vec::new();
    loop {
        let seek = match (rows.last(), ascending) {
            (None, false) => Seek::Newest,
            (None, true) => Seek::Oldest,
            (Some(last), false) => Seek::OlderThan(last.key()),
            (Some(last), true) => Seek::NewerThan(last.key()),
        };
        let mut page = timeline::page(db, &query, &seek, 3, &never()).await.unwrap();
        let more = if ascending { page.has_newer } else { page.has_older };
        if ascending {
            page.rows.reverse();
        }
        rows.append(&mut page.rows);
        if !more {
            return rows;
        }
        assert!(rows.len() <= 3 * WORDS.len(), "{filter}: it goes round in circles");
    }
}

#[tokio::test]
async fn pages_are_complete_whatever_the_order_of_text() {
    for shape in Shape::ALL {
        let test = shape.database_in(Collation::Icu).await;
        let mut c = PgConnection::connect_with(&test.options).await.unwrap();
        let by_icu: bool = sqlx::query_scalar("SELECT 'a' < 'B' AND 'B' < 'c' AND 'é' < 'f'")
            .fetch_one(&mut c)
            .await
            .unwrap();
        assert!(by_icu, "the database sorts as it is meant to");
        fill(&mut c).await;
        c.close().await.unwrap();
        for walk in [50_000, 4] {
            let settings = ReadSettings { walk, ..ReadSettings::default() };
            let db = ReadDb::connect(test.options.clone(), settings).await.unwrap();
            let all = walked(&db, "", false).await;
            assert_eq!(all.len(), 3 * WORDS.len(), "{shape:?}");
            for (filter, meant) in FILTERS {
                let down = walked(&db, filter, false).await;
                let mut up = walked(&db, filter, true).await;
                up.reverse();
                assert_eq!(down, up, "{shape:?} {filter}: down and up");
                // In the order of the whole timeline, none missing, none twice.
                let wanted: Vec<&EventRow> = all.iter().filter(|e| meant(e)).collect();
                assert!(!wanted.is_empty(), "{filter}");
                assert_eq!(down.iter().collect::<Vec<_>>(), wanted, "{shape:?} {filter}");
            }
            db.close().await;
        }
        test.drop_now().await;
    }
}

/// What an index in another order cannot serve is not said to be served by it.
#[tokio::test]
async fn an_explanation_names_the_index_that_is_used() {
    for shape in [Shape::Ours, Shape::Seed] {
        let test = shape.database_in(Collation::Icu).await;
        let mut c = PgConnection::connect_with(&test.options).await.unwrap();
        sqlx::raw_sql(
            "INSERT INTO audit_events (event_id, timestamp, organization_id, actor_type, actor_id, event_category, event_type,
                 event_severity, resource_type, resource_id, action, request_id, hash)
             SELECT 'e' || i, timestamptz '2026-01-01Z' + i * interval '1 second', 'o-1', 'user', 'actor-' || i % 100, 'auth',
                 'login.' || i % 50, 'info', 't', 'r', 'read', 'r', 'h' || i FROM generate_series(1, 5000) i",
        )
        .execute(&mut c)
        .await
        .unwrap();
        sqlx::raw_sql("VACUUM ANALYZE audit_events").execute(&mut c).await.unwrap();
        c.close().await.unwrap();
        let db = ReadDb::connect(test.options.clone(), ReadSettings::default()).await.unwrap();
        for filter in ["", "actor:actor-7", "cat:auth type:login.7", "actor:actor-7,actor-8", "type:login.7*"]
        {
            let explained =
                explain::page(&db, &query("o-1", filter), &Seek::Newest, 20, true, &never()).await.unwrap();
            let nodes: Vec<_> = explained.statements.iter().flat_map(|s| s.plan.all()).collect();
            let used: BTreeSet<&str> = nodes.iter().filter_map(|node| node.index.as_deref()).collect();
            assert_eq!(explained.way == Way::Walk, filter.ends_with('*'), "{shape:?} {filter}");
            assert!(
                explained.meant.iter().all(|index| used.contains(&**index)),
                "{shape:?} {filter}: {used:?}"
            );
        }
        db.close().await;
        test.drop_now().await;
    }
}

#[tokio::test]
async fn a_word_that_the_databases_encoding_cannot_hold_matches_nothing_and_says_why() {
    let test = Shape::Seed.database_in(Collation::Latin1).await;
    crate::timeline::fill(&test.options, 30, 10).await;
    let run = |args: &[&str]| {
        let mut program = support::agenttrace();
        let output =
            program.args(["--database-url", &test.url(), "--org", "o-1"]).args(args).output().unwrap();
        (
            output.status.code().unwrap(),
            String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(),
        )
    };
    for args in [
        &["events", "actor:日本"][..],
        &["events", "all-time", "日本"],
        &["events", "new.a:日本"],
        &["events", "ua~日"],
        &["events", "-actor:日本"],
        &["summary", "actor:日*"],
        &["histogram", "type:日本,trace.created"],
        &["export", "actor:日本"],
        &["actor", "日本"],
        &["show", "日本"],
    ] {
        let (code, text) = run(args);
        assert_eq!(code, 4, "{args:?}: {text}");
        assert!(
            text.contains("no event can hold such a word") && text.contains("LATIN1"),
            "{args:?}: {text}"
        );
        assert!(text.contains("leave the word out"), "{text}");
    }
    // What it can hold is looked for.
    let (code, text) = run(&["events", "actor:jürgen"]);
    assert!(code == 0 && text.contains("no event of organisation 'o-1'"), "{text}");
    test.drop_now().await;
}
