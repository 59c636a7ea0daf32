//! What came of what was created, on the demo's planted truth.

use crate::support;
use crate::timeline::{never, reader, scope};
use agenttrace::demo::{self, Settings};
use agenttrace::domain::{TimeRange, Timestamp};
use agenttrace::filter::Filter;
use agenttrace::investigation::lineage::{Follower, Lineage, Term, follow, union};
use agenttrace::store::WriteDb;
use agenttrace::store::history::Resource;
use agenttrace::store::listing::timeline;
use agenttrace::store::query::{Count, Query, Seek};
use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Executor as _};
use std::collections::BTreeSet;

fn actor(id: &str) -> Term {
    Term::Actor(id.to_owned())
}

fn followers(found: &Lineage) -> Vec<(u8, &str, &Follower)> {
    let steps = found.steps.iter();
    steps.flat_map(|s| s.followers.iter().map(|f| (s.hop, s.resource.id.as_str(), f))).collect()
}

#[tokio::test]
async fn what_a_stolen_account_created_leads_to_what_that_did() {
    let test = support::database().await;
    let db = WriteDb::connect(test.options.clone()).await.unwrap();
    let until = Timestamp::parse("2026-07-01T09:30:00Z").unwrap();
    crate::demo::load(&db, Settings::new(1, until, 2_000).unwrap()).await;
    let reader = reader(&test.options).await;
    let all = TimeRange::default();

    let found = follow(&reader, &scope("acme"), actor("svc-deploy"), all, &never()).await.unwrap();
    let incident = demo::planted().into_iter().find(|fact| fact.name == "incident").unwrap();
    let (_, made, backup) = *followers(&found)
        .iter()
        .find(|(_, _, follower)| follower.term == actor("svc-ci-backup"))
        .expect("the account of the second key");
    assert_eq!((made, backup.path.as_deref()), ("ak-77", Some("/service_account")));
    assert_eq!((backup.events, backup.before), (Count::Exact(2), false), "the two planted follow-on events");

    // The view of all of them has every event of the incident.
    let filter = union(&Filter::default(), &found.terms()).unwrap();
    let query = Query { scope: scope("acme"), filter, range: all };
    let page = timeline::page(&reader, &query, &Seek::Newest, 2_000, &never()).await.unwrap();
    let seen: BTreeSet<&str> = page.rows.iter().map(|row| row.event_id.as_str()).collect();
    let missing: Vec<_> = incident.event_ids.iter().filter(|id| !seen.contains(id.as_str())).collect();
    assert!(missing.is_empty(), "{missing:?}");

    // Of a resource: whom its creation named.
    let key = Term::Resource(Resource { kind: "api_key".to_owned(), id: "ak-77".to_owned() });
    let found = follow(&reader, &scope("acme"), key, all, &never()).await.unwrap();
    assert!(found.terms().contains(&actor("svc-ci-backup")), "{found:?}");
    // Nothing outside of the time of the view counts, and nothing of another organisation.
    let early = TimeRange { since: None, until: found.steps.first().map(|step| step.event.timestamp) };
    let before = follow(&reader, &scope("acme"), actor("svc-deploy"), early, &never()).await.unwrap();
    assert!(!before.terms().contains(&actor("svc-ci-backup")));
    let other = follow(&reader, &scope("globex"), actor("svc-deploy"), all, &never()).await.unwrap();
    assert!(!other.terms().contains(&actor("svc-ci-backup")));
    test.drop_now().await;
}

/// `root` makes a key for `a-1`, who first appears then and makes one for `b-1`, who makes one for `c-1`.
const CHAIN: &str = r#"
    INSERT INTO audit_events (event_id, timestamp, organization_id, actor_type, actor_id, event_category, event_type,
        event_severity, resource_type, resource_id, action, request_id, hash, new_state)
    SELECT 'e-' || n, timestamptz '2026-01-10Z' + n * interval '1 minute', 'acme', 'user', actor, 'admin', 'key.created',
        'info', 'key', 'k-' || n, 'create', 'r-' || n, md5(n::text), state::jsonb
    FROM (VALUES (1, 'old-1', '{}'), (2, 'root-1', '{"for": ["a-1", "old-1", "root-1", "nobody-1"]}'), (3, 'a-1', '{"for": "b-1"}'),
        (4, 'b-1', '{"for": "c-1"}'), (5, 'c-1', '{}'), (6, 'old-1', '{"for": "c-1"}')) v (n, actor, state)"#;

#[tokio::test]
async fn it_ends_after_two_hops_and_follows_nobody_who_was_there_before() {
    let test = support::database().await;
    let mut c = PgConnection::connect_with(&test.options).await.unwrap();
    c.execute(CHAIN).await.unwrap();
    c.close().await.unwrap();
    let db = reader(&test.options).await;
    let found = follow(&db, &scope("acme"), actor("root-1"), TimeRange::default(), &never()).await.unwrap();
    let told: Vec<_> = followers(&found)
        .into_iter()
        .map(|(hop, of, follower)| (hop, of, follower.term.name(), follower.events, follower.before))
        .collect();
    let one = Count::Exact(1);
    assert_eq!(
        told,
        [
            (1, "k-2", "a-1".to_owned(), one, false),
            (1, "k-2", "old-1".to_owned(), one, true),
            (2, "k-3", "b-1".to_owned(), one, false)
        ]
    );
    assert_eq!((found.creations, found.more, found.unread), (2, false, 0));
    let names: Vec<String> = found.terms().iter().map(Term::name).collect();
    assert_eq!(names, ["root-1", "a-1", "b-1", "old-1"], "what appeared comes before what was there");
    test.drop_now().await;
}
