//! Reading pages: keyset, filters, cancel, lost connections.

use crate::support::{self, TestDatabase};

use agenttrace::domain::{EventKey, EventRow, OrgId, OrgScope, TimeRange, Timestamp};
use agenttrace::filter::Filter;
use agenttrace::store::aggregate::organizations;
use agenttrace::store::listing::timeline;
use agenttrace::store::query::{Count, Query, Seek};
use agenttrace::store::{ReadDb, ReadSettings, StoreError};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{Connection as _, Row as _};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// `$1` events of organisations `o-1` and `o-2` in turn, `$2` of them at each second from 2026 on.
const FILL: &str = r#"
    INSERT INTO audit_events (event_id, timestamp, organization_id, project_id, actor_type, actor_id, actor_email,
        actor_ip, actor_user_agent, event_category, event_type, event_severity, resource_type, resource_id, action,
        request_id, session_id, hash, new_state)
    SELECT 'evt-' || lpad((i * 7919 % 1000003)::text, 7, '0'),
        timestamptz '2026-01-01Z' + (i / $2) * interval '1 second',
        'o-' || 1 + i % 2,
        CASE WHEN i % 3 = 0 THEN 'p-' || i % 5 END,
        (ARRAY['user', 'service', 'system'])[1 + i % 3],
        CASE WHEN i % 11 = 0 THEN 'svc-' || i % 4 ELSE 'user-' || i % 17 END,
        CASE WHEN i % 4 > 0 THEN 'User' || i % 17 || '@Example.org' END,
        CASE WHEN i % 5 > 0 THEN ('10.0.' || i % 3 || '.' || i % 250)::inet END,
        CASE WHEN i % 2 = 0 THEN 'curl/8.' || i % 3 ELSE 'Mozilla "5" %_\' END,
        (ARRAY['auth', 'data', 'config', 'admin', 'eval'])[1 + i % 5],
        (ARRAY['login.failed', 'login.ok', 'trace.read', 'trace', 'tracé', 'logout'])[1 + i % 6],
        CASE WHEN i % 50 = 0 THEN 'critical' WHEN i % 9 = 0 THEN 'warning' ELSE 'info' END,
        (ARRAY['trace', 'api_key'])[1 + i % 7 % 2], 'r/' || i % 13,
        (ARRAY['create', 'read', 'update', 'delete', 'export'])[1 + i % 5],
        'req-' || i / 3, CASE WHEN i % 6 > 0 THEN 's-' || i % 29 END,
        lpad(to_hex(i), 64, '0'), jsonb_build_object('i', i)
    FROM generate_series(1, $1) i"#;

pub(crate) async fn fill(options: &PgConnectOptions, events: i32, ties: i32) {
    let mut c = PgConnection::connect_with(options).await.unwrap();
    let fill = sqlx::query(FILL).bind(events).bind(ties);
    fill.execute(&mut c).await.unwrap();
    sqlx::query("VACUUM ANALYZE audit_events").execute(&mut c).await.unwrap();
    c.close().await.unwrap();
}

pub(crate) fn scope(id: &str) -> OrgScope {
    OrgScope::enter(OrgId::new(id).unwrap())
}

pub(crate) fn query(org: &str, filter: &str) -> Query {
    Query { scope: scope(org), filter: Filter::parse(filter).unwrap(), range: TimeRange::default() }
}

pub(crate) async fn reader(options: &PgConnectOptions) -> ReadDb {
    ReadDb::connect(options.clone(), ReadSettings::default()).await.unwrap()
}

pub(crate) fn never() -> CancellationToken {
    CancellationToken::new()
}

/// What the oracle knows of a row, read without any code of the store.
#[derive(Debug, Clone)]
struct Known {
    key: (i64, String),
    organization: String,
    project: Option<String>,
    actor_id: String,
    email: Option<String>,
    ip: Option<[u8; 4]>,
    agent: String,
    event_type: String,
    severity: String,
    resource: (String, String),
    action: String,
    session: Option<String>,
}

async fn know_all(options: &PgConnectOptions) -> Vec<Known> {
    let mut c = PgConnection::connect_with(options).await.unwrap();
    let rows = sqlx::query(
        "SELECT event_id, (extract(epoch FROM timestamp) * 1000000)::int8, organization_id, project_id, actor_id,
             actor_email, host(actor_ip), actor_user_agent, event_type, event_severity, resource_type, resource_id,
             action, session_id
         FROM audit_events",
    )
    .fetch_all(&mut c)
    .await
    .unwrap();
    c.close().await.unwrap();
    let known = |r: &sqlx::postgres::PgRow| Known {
        key: (r.get(1), r.get(0)),
        organization: r.get(2),
        project: r.get(3),
        actor_id: r.get(4),
        email: r.get(5),
        ip: r.get::<Option<String>, _>(6).map(|ip| ip.parse::<std::net::Ipv4Addr>().unwrap().octets()),
        agent: r.get(7),
        event_type: r.get(8),
        severity: r.get(9),
        resource: (r.get(10), r.get(11)),
        action: r.get(12),
        session: r.get(13),
    };
    rows.iter().map(known).collect()
}

/// A term as text, and what it means, decided by other code than the store's.
#[derive(Debug, Clone)]
enum Term {
    Actor(u8, bool),
    ActorPrefix(&'static str),
    Email(u8),
    Project(Option<u8>),
    AnyProject,
    Type(&'static str),
    TypePrefix(&'static str),
    Severity(&'static str, &'static [&'static str]),
    Actions(&'static str, &'static str),
    Network(u8, u8),
    Agent(&'static str, &'static str),
    Resource(&'static str, &'static str, bool),
    Sessions(u8, u8),
}

impl Term {
    fn text(&self) -> String {
        match self {
            Self::Actor(n, true) => format!("actor:USER{n}@example.ORG"),
            Self::Actor(n, false) => format!("actor:user-{n}"),
            Self::ActorPrefix(p) => format!("actor:{p}*"),
            Self::Email(n) => format!("email:user{n}@EXAMPLE.org"),
            Self::Project(Some(n)) => format!("proj:p-{n}"),
            Self::Project(None) => "proj:null".to_owned(),
            Self::AnyProject => "proj:*".to_owned(),
            Self::Type(t) => format!("type:{t}"),
            Self::TypePrefix(t) => format!("type:{t}*"),
            Self::Severity(text, _) => (*text).to_owned(),
            Self::Actions(a, b) => format!("action:{a},{b}"),
            Self::Network(third, bits) => format!("ip:10.0.{third}.77/{bits}"),
            Self::Agent(text, _) => format!("ua~{text}"),
            Self::Resource(kind, id, prefix) => format!("res:{kind}/{id}{}", if *prefix { "*" } else { "" }),
            Self::Sessions(a, b) => format!("sess:s-{a},s-{b},null"),
        }
    }

    fn holds(&self, e: &Known) -> bool {
        let email = e.email.as_deref().unwrap_or("").to_lowercase();
        match self {
            Self::Actor(n, true) | Self::Email(n) => email == format!("user{n}@example.org"),
            Self::Actor(n, false) => e.actor_id == format!("user-{n}"),
            Self::ActorPrefix(p) => e.actor_id.starts_with(p) || email.starts_with(&p.to_lowercase()),
            Self::Project(n) => e.project == n.map(|n| format!("p-{n}")),
            Self::AnyProject => e.project.is_some(),
            Self::Type(t) => e.event_type == *t,
            Self::TypePrefix(t) => e.event_type.starts_with(t),
            Self::Severity(_, words) => words.contains(&e.severity.as_str()),
            Self::Actions(a, b) => e.action == *a || e.action == *b,
            Self::Network(third, bits) => {
                let host =
                    |ip: [u8; 4]| u32::from_be_bytes(ip).checked_shr(32 - u32::from(*bits)).unwrap_or(0);
                e.ip.is_some_and(|ip| host(ip) == host([10, 0, *third, 77]))
            }
            Self::Agent(_, part) => e.agent.contains(part),
            Self::Resource(kind, id, prefix) => {
                let (k, i) = (&e.resource.0, &e.resource.1);
                k == kind && if *prefix { i.starts_with(id) } else { i == id }
            }
            Self::Sessions(a, b) => {
                e.session.as_ref().is_none_or(|s| *s == format!("s-{a}") || *s == format!("s-{b}"))
            }
        }
    }
}

fn terms() -> impl Strategy<Value = Vec<(bool, Term)>> {
    let term = prop_oneof![
        (0..18u8, any::<bool>()).prop_map(|(n, mail)| Term::Actor(n, mail)),
        prop_oneof![Just("user-1"), Just("svc-"), Just("User1"), Just("nobody")].prop_map(Term::ActorPrefix),
        (0..18u8).prop_map(Term::Email),
        proptest::option::of(0..6u8).prop_map(Term::Project),
        Just(Term::AnyProject),
        prop_oneof![Just("trace"), Just("tracé"), Just("login.ok"), Just("TRACE")].prop_map(Term::Type),
        prop_oneof![Just("trace"), Just("login."), Just("lo"), Just("tracé")].prop_map(Term::TypePrefix),
        prop_oneof![
            Just(Term::Severity("sev>=warning", &["warning", "critical"])),
            Just(Term::Severity("sev:crit", &["critical"])),
            Just(Term::Severity("severity<CRITICAL", &["info", "warning"])),
        ],
        (0..5usize, 0..5usize).prop_map(|(a, b)| {
            let actions = ["create", "read", "update", "delete", "export"];
            Term::Actions(actions[a], actions[b])
        }),
        (0..4u8, 15..=32u8).prop_map(|(third, bits)| Term::Network(third, bits)),
        prop_oneof![Just(Term::Agent("curl", "curl")), Just(Term::Agent(r#""\"5\" %_\\""#, "\"5\" %_\\"))],
        (0..14u8, any::<bool>()).prop_map(|(n, p)| Term::Resource(
            "trace",
            ["r/1", "r/7", "r/12", "r/", ""][usize::from(n % 5)],
            p
        )),
        (0..30u8, 0..30u8).prop_map(|(a, b)| Term::Sessions(a, b)),
    ];
    proptest::collection::vec((any::<bool>(), term), 0..3)
}

/// All events of a query by pages of `limit`, from one end to the other, and whether each page knew its neighbours.
async fn walk(db: &ReadDb, query: &Query, limit: usize, ascending: bool) -> Vec<(i64, String)> {
    let mut seek = if ascending { Seek::Oldest } else { Seek::Newest };
    let mut all = Vec::new();
    loop {
        let page = timeline::page(db, query, &seek, limit, &never()).await.unwrap();
        let (goes_on, came_from) =
            if ascending { (page.has_newer, page.has_older) } else { (page.has_older, page.has_newer) };
        assert_eq!(came_from, !all.is_empty());
        assert!(page.rows.len() == limit || !goes_on);
        let mut rows = page.rows;
        if ascending {
            rows.reverse();
        }
        all.extend(rows.iter().map(|e| (e.timestamp.as_micros(), e.event_id.clone())));
        match rows.last() {
            Some(last) if goes_on && ascending => seek = Seek::NewerThan(last.key()),
            Some(last) if goes_on => seek = Seek::OlderThan(last.key()),
            _ => return all,
        }
    }
}

/// Runs a property against one database; panics with the smallest case that fails.
fn check<S: Strategy>(runtime: &Runtime, cases: u32, strategy: S, property: impl AsyncFn(S::Value))
where
    S::Value: std::fmt::Debug,
{
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let outcome = TestRunner::new(config).run(&strategy, |case| {
        runtime.block_on(property(case));
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn pages_give_every_event_of_a_filter_exactly_once_in_both_directions() {
    let runtime = Runtime::new().unwrap();
    // Thousands of equal timestamps, beside a few.
    for (events, ties) in [(6000, 4000), (1500, 7)] {
        let test = runtime.block_on(async {
            let test = support::database().await;
            fill(&test.options, events, ties).await;
            test
        });
        // Whole pages at once, and walks that are cut into short pieces.
        for walk in [50_000, 300] {
            agree_with_the_oracle(&runtime, &test.options, 24, walk, Ids::Fall);
        }
        runtime.block_on(test.drop_now());
    }
}

/// The order of events of one instant in a newest-first listing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Ids {
    Fall,
    Rise,
}

/// Compares pages and counts of random filters with what the rows themselves say.
pub(crate) fn agree_with_the_oracle(
    runtime: &Runtime,
    options: &PgConnectOptions,
    cases: u32,
    walk_step: u32,
    ids: Ids,
) {
    let settings = ReadSettings { walk: walk_step, ..ReadSettings::default() };
    let (db, known) = runtime.block_on(async {
        let db = ReadDb::connect(options.clone(), settings).await.unwrap();
        (db, know_all(options).await)
    });
    let start = 1_767_225_600_000_000;
    let bound = || proptest::option::of((0..300i64).prop_map(move |s| start + s * 1_000_000));
    let case = (terms(), 1..400usize, any::<bool>(), 1..3u8, bound(), bound());
    check(runtime, cases, case, async |(terms, limit, ascending, org, since, until)| {
        let limit = if terms.is_empty() { limit.max(97) } else { limit };
        let text: Vec<String> =
            terms.iter().map(|(not, t)| format!("{}{}", if *not { "-" } else { "" }, t.text())).collect();
        let organization = format!("o-{org}");
        let mut query = query(&organization, &text.join(" "));
        query.range =
            TimeRange { since: since.map(Timestamp::from_micros), until: until.map(Timestamp::from_micros) };
        let mut wanted: Vec<_> = known
            .iter()
            .filter(|e| e.organization == organization)
            .filter(|e| since.is_none_or(|t| e.key.0 >= t) && until.is_none_or(|t| e.key.0 < t))
            .filter(|e| terms.iter().all(|(not, t)| t.holds(e) != *not))
            .map(|e| e.key.clone())
            .collect();
        wanted.sort_by(|a, b| {
            let by_id = a.1.cmp(&b.1);
            a.0.cmp(&b.0).then(if ids == Ids::Fall { by_id } else { by_id.reverse() })
        });
        if !ascending {
            wanted.reverse();
        }
        assert_eq!(walk(&db, &query, limit, ascending).await, wanted, "{text:?}");
        let counted = timeline::count(&db, &query, Duration::from_secs(20), &never()).await.unwrap();
        assert_eq!(counted, Count::Exact(wanted.len() as u64));
    });
    runtime.block_on(db.close());
}

#[tokio::test]
async fn a_page_can_begin_at_any_key_or_time_and_knows_both_sides() {
    let test = support::database().await;
    fill(&test.options, 100, 10).await;
    let db = reader(&test.options).await;
    let query = query("o-1", "");
    let all = timeline::page(&db, &query, &Seek::Newest, 100, &never()).await.unwrap().rows;
    assert_eq!(all.len(), 50);
    let page = async |seek: &Seek, limit| timeline::page(&db, &query, seek, limit, &never()).await.unwrap();

    let middle = all[20].key();
    let older = page(&Seek::OlderThan(middle.clone()), 7).await;
    assert_eq!((older.rows.as_slice(), older.has_older, older.has_newer), (&all[21..28], true, true));
    let newer = page(&Seek::NewerThan(middle.clone()), 7).await;
    assert_eq!((newer.rows.as_slice(), newer.has_older, newer.has_newer), (&all[13..20], true, true));
    let end = page(&Seek::OlderThan(all[45].key()), 7).await;
    assert_eq!((end.rows.as_slice(), end.has_older), (&all[46..], false));

    // The whole run of a second belongs to it.
    let at = page(&Seek::AtOrBefore(middle.timestamp), 3).await;
    assert!(at.has_newer && at.has_older);
    let first = all.iter().position(|e| e.timestamp == middle.timestamp).unwrap();
    assert_eq!(at.rows, all[first..first + 3]);
    let newest = page(&Seek::AtOrBefore(all[0].timestamp), 3).await;
    assert!(!newest.has_newer);
    let none = page(&Seek::AtOrBefore(Timestamp::from_micros(0)), 3).await;
    assert!(none.rows.is_empty() && none.has_newer && !none.has_older);

    // An event between two that are there, as after a change of filter.
    let between = EventKey { event_id: format!("{}!", middle.event_id), ..middle };
    assert_eq!(page(&Seek::OlderThan(between), 1).await.rows, all[20..21]);
    db.close().await;
    test.drop_now().await;
}

#[tokio::test]
async fn nothing_of_another_organisation_is_ever_returned() {
    let test = support::database().await;
    fill(&test.options, 300, 10).await;
    let db = reader(&test.options).await;
    let other =
        timeline::page(&db, &query("o-2", ""), &Seek::Newest, 1, &never()).await.unwrap().rows.remove(0);
    let o1 = scope("o-1");
    assert_eq!(timeline::event(&db, &o1, &other.event_id, None, &never()).await.unwrap(), None);
    assert_eq!(
        timeline::event(&db, &o1, &other.event_id, Some(other.timestamp), &never()).await.unwrap(),
        None
    );
    let own = timeline::event(&db, &scope("o-2"), &other.event_id, None, &never()).await.unwrap().unwrap();
    assert_eq!(own.row, other);
    assert!(own.new_state.unwrap().as_str().starts_with("{\"i\": "));
    // Not even by asking for exactly it.
    let asked = query("o-1", &format!("event_id:{} hash:{}", other.event_id, other.hash));
    assert_eq!(timeline::page(&db, &asked, &Seek::Newest, 9, &never()).await.unwrap().rows, []);
    let found = agenttrace::store::history::links::with_hash(&db, &o1, &other.hash, &never()).await.unwrap();
    assert_eq!(found, []);
    let key = Seek::OlderThan(other.key());
    let rows = timeline::page(&db, &query("o-1", ""), &key, 1000, &never()).await.unwrap().rows;
    assert!(!rows.is_empty() && rows.iter().all(|e| e.organization_id == "o-1"));
    let before = timeline::newest(&db, &o1, Some(other.timestamp), &never()).await.unwrap().unwrap();
    assert!(before.organization_id == "o-1" && before.timestamp < other.timestamp);
    assert_eq!(timeline::newest(&db, &scope("o-3"), None, &never()).await.unwrap(), None);
    db.close().await;
    test.drop_now().await;
}

#[tokio::test]
async fn hostile_values_are_values() {
    let test = support::database().await;
    let mut c = PgConnection::connect_with(&test.options).await.unwrap();
    sqlx::raw_sql(
        r"INSERT INTO audit_events (event_id, timestamp, organization_id, actor_type, actor_id, actor_ip,
               event_category, event_type, event_severity, resource_type, resource_id, action, request_id, hash)
           SELECT 'e' || n, t::timestamptz, 'o-1', 'user', 'u', ip::inet, 'auth', E't\u001b[31m', 'info', 'r', '',
               'read', '', ''
           FROM (VALUES (1, 'infinity', '10.0.0.1'), (2, '-infinity', '10.0.0.1/24'), (3, '294276-12-31Z', '::1'),
               (4, '4714-11-24 00:00:00+00 BC', '::ffff:10.0.0.1'), (5, '2026-01-01Z', '::/0')) v (n, t, ip)",
    )
    .execute(&mut c)
    .await
    .unwrap();
    let db = reader(&test.options).await;
    let all = timeline::page(&db, &query("o-1", ""), &Seek::Newest, 9, &never()).await.unwrap().rows;
    let seen: Vec<_> = all.iter().map(|e| (e.event_id.as_str(), e.actor_ip.as_deref().unwrap())).collect();
    let wanted =
        [("e1", "10.0.0.1"), ("e3", "::1"), ("e5", "::/0"), ("e4", "::ffff:10.0.0.1"), ("e2", "10.0.0.1/24")];
    assert_eq!(seen, wanted);
    assert_eq!((all[0].timestamp, all[4].timestamp), (Timestamp::INFINITY, Timestamp::NEG_INFINITY));
    // What is no organisation we could name is not listed.
    sqlx::raw_sql(
        "INSERT INTO audit_events (event_id, timestamp, organization_id, actor_type, actor_id, event_category,
             event_type, event_severity, resource_type, resource_id, action, request_id, hash)
         VALUES ('e6', now(), '', 'user', 'u', 'auth', 't', 'info', 'r', '', 'read', '', '')",
    )
    .execute(&mut c)
    .await
    .unwrap();
    let listed = organizations::list(&db, &never()).await.unwrap();
    assert_eq!(listed.iter().map(|o| o.id.as_str()).collect::<Vec<_>>(), ["o-1"]);
    c.close().await.unwrap();
    db.close().await;
    test.drop_now().await;
}

#[tokio::test]
async fn organisations_come_with_their_newest_event_and_the_writers_count() {
    let test = support::database().await;
    let db = reader(&test.options).await;
    assert_eq!(organizations::list(&db, &never()).await.unwrap(), []);
    fill(&test.options, 100, 10).await;
    let mut c = PgConnection::connect_with(&test.options).await.unwrap();
    sqlx::query("INSERT INTO audit_chain_heads (organization_id, event_count) VALUES ('o-2', 50)")
        .execute(&mut c)
        .await
        .unwrap();
    let listed = organizations::list(&db, &never()).await.unwrap();
    let second = |s: i64| Some(Timestamp::from_micros(1_767_225_600_000_000 + s * 1_000_000));
    let shown: Vec<_> = listed.iter().map(|o| (o.id.as_str(), o.newest, o.events)).collect();
    assert_eq!(shown, [("o-1", second(10), None), ("o-2", second(9), Some(50))]);
    // A table of somebody else has no heads.
    sqlx::query("DROP TABLE audit_chain_heads").execute(&mut c).await.unwrap();
    let listed = organizations::list(&reader(&test.options).await, &never()).await.unwrap();
    assert!(listed.len() == 2 && listed.iter().all(|o| o.events.is_none()));
    c.close().await.unwrap();
    db.close().await;
    test.drop_now().await;
}

#[tokio::test]
async fn counts_say_how_far_they_can_be_trusted() {
    let test = support::database().await;
    fill(&test.options, 4_000, 10).await;
    let db = reader(&test.options).await;
    let exact =
        async |filter| timeline::count(&db, &query("o-1", filter), Duration::from_secs(20), &never()).await;
    assert_eq!(exact("").await.unwrap(), Count::Exact(2_000));
    assert_eq!(exact("actor:nobody").await.unwrap(), Count::Exact(0));
    // Never an estimated 0.
    let estimate = async |filter| timeline::estimate(&db, &query("o-1", filter), &never()).await.unwrap();
    assert!(matches!(estimate("").await, Count::Estimate(1_000..=4_000)));
    assert!(matches!(estimate("actor:nobody").await, Count::Estimate(1..)));
    db.close().await;
    test.drop_now().await;
}

#[tokio::test]
async fn a_count_over_its_budget_becomes_an_estimate() {
    let test = support::bare_database().await;
    let mut c = PgConnection::connect_with(&test.options).await.unwrap();
    // Each row takes its time; to estimate them takes none.
    sqlx::raw_sql(
        "CREATE VIEW audit_events AS SELECT 'o-1' AS organization_id, n::text AS event_id, now() AS timestamp,
            't' AS event_type, '' AS hash, '' AS previous_hash FROM generate_series(1, 1000000) n
         WHERE pg_sleep(0.01)::text IS NOT NULL",
    )
    .execute(&mut c)
    .await
    .unwrap();
    let db = reader(&test.options).await;
    for _ in 0..3 {
        let counted =
            timeline::count(&db, &query("o-1", ""), Duration::from_millis(30), &never()).await.unwrap();
        assert!(matches!(counted, Count::Estimate(1..)), "{counted:?}");
    }
    // By itself the count would go on for hours.
    support::until_idle(&mut c).await;
    c.close().await.unwrap();
    db.close().await;
    test.drop_now().await;
}

/// A lock that makes every reader of the table wait.
struct Lock(PgConnection);

impl Lock {
    async fn take(test: &TestDatabase) -> Self {
        let mut c = PgConnection::connect_with(&test.options).await.unwrap();
        sqlx::raw_sql("BEGIN; LOCK TABLE audit_events").execute(&mut c).await.unwrap();
        Self(c)
    }

    async fn release(self) {
        self.0.close().await.unwrap();
    }

    /// The process ids of readers, those that wait for the lock first.
    async fn readers(&mut self) -> Vec<(i32, bool)> {
        sqlx::query_as(
            "SELECT pid, wait_event_type IS NOT DISTINCT FROM 'Lock' FROM pg_stat_activity
             WHERE datname = current_database() AND application_name = 'agenttrace' AND pid <> pg_backend_pid() ORDER BY 2 DESC, 1",
        )
        .fetch_all(&mut self.0)
        .await
        .unwrap()
    }

    async fn wait_for_a_reader(&mut self) -> i32 {
        loop {
            if let Some((pid, true)) = self.readers().await.first() {
                return *pid;
            }
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_statement_ends_on_the_server_and_its_connection_serves_on() {
    let test = support::database().await;
    fill(&test.options, 100, 10).await;
    let db = Arc::new(reader(&test.options).await);
    let mut first = None;
    for round in 0..20u64 {
        let mut lock = Lock::take(&test).await;
        let cancel = never();
        let waiting = tokio::spawn({
            let (db, cancel) = (db.clone(), cancel.clone());
            async move { timeline::page(&db, &query("o-1", ""), &Seek::Newest, 1, &cancel).await }
        });
        // At once, when the request meets no statement yet, and when the statement waits.
        if round % 3 > 0 {
            let pid = lock.wait_for_a_reader().await;
            assert_eq!(*first.get_or_insert(pid), pid, "the connection was not kept");
        }
        cancel.cancel();
        let ended = waiting.await.unwrap();
        assert!(matches!(ended, Err(StoreError::Cancelled)), "{ended:?}");
        assert!(
            lock.readers().await.iter().all(|(_, waits)| !waits),
            "the statement goes on after its cancel"
        );
        lock.release().await;
        // No late cancel hits what the connection runs next.
        for _ in 0..5 {
            let page = timeline::page(&db, &query("o-1", ""), &Seek::Newest, 1, &never()).await;
            assert_eq!(page.unwrap().rows.len(), 1);
        }
    }
    let cancelled = never();
    cancelled.cancel();
    let page = timeline::page(&db, &query("o-1", ""), &Seek::Newest, 1, &cancelled).await;
    assert!(matches!(page, Err(StoreError::Cancelled)));
    db.close().await;
    test.drop_now().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_takes_too_long_says_so() {
    let test = support::database().await;
    let settings = ReadSettings { statement_timeout: Duration::from_millis(1000), ..ReadSettings::default() };
    let db = ReadDb::connect(test.options.clone(), settings).await.unwrap();
    let lock = Lock::take(&test).await;
    let page = timeline::page(&db, &query("o-1", ""), &Seek::Newest, 1, &never()).await;
    assert!(matches!(page, Err(StoreError::TimedOut { limit_s: 1 })), "{page:?}");
    lock.release().await;
    assert!(timeline::page(&db, &query("o-1", ""), &Seek::Newest, 1, &never()).await.is_ok());
    db.close().await;
    test.drop_now().await;
}

#[tokio::test]
async fn the_server_keeps_every_session_read_only_and_in_utc() {
    let test = support::bare_database().await;
    let mut c = PgConnection::connect_with(&test.options).await.unwrap();
    // A table that writes when it is read, and shows the settings of whoever reads it.
    sqlx::raw_sql(
        "CREATE TABLE written (n int);
         CREATE FUNCTION look() RETURNS text LANGUAGE plpgsql AS $$ BEGIN
             IF current_setting('agenttrace.write', true) = 'yes' THEN INSERT INTO public.written VALUES (1); END IF;
             RETURN concat_ws(' ', current_setting('transaction_read_only'), current_setting('TimeZone'),
                 current_setting('statement_timeout'), current_setting('lock_timeout'),
                 current_setting('idle_in_transaction_session_timeout'), current_setting('application_name'));
         END $$;
         CREATE VIEW audit_events AS SELECT 'e' AS event_id, timestamptz '2026-01-01Z' AS timestamp,
             'o-1' AS organization_id, '' AS project_id, '' AS actor_type, '' AS actor_id, '' AS actor_email,
             NULL::inet AS actor_ip, look() AS actor_user_agent, '' AS event_category, '' AS event_type,
             '' AS event_severity, '' AS resource_type, '' AS resource_id, '' AS resource_name, '' AS action,
             '' AS request_id, '' AS session_id, '' AS hash, '' AS previous_hash, NULL::jsonb AS previous_state,
             NULL::jsonb AS new_state, '7'::xid AS xmin;",
    )
    .execute(&mut c)
    .await
    .unwrap();
    // What the role or the database say does not matter.
    sqlx::raw_sql(
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET TimeZone = ''Asia/Kolkata''', current_database());
             EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = off', current_database()); END $$",
    )
    .execute(&mut c)
    .await
    .unwrap();
    let db = reader(&test.options).await;
    let look = async || -> Result<EventRow, StoreError> {
        Ok(timeline::page(&db, &query("o-1", ""), &Seek::Newest, 1, &never()).await?.rows.remove(0))
    };
    for _ in 0..2 {
        assert_eq!(look().await.unwrap().actor_user_agent.unwrap(), "on UTC 30s 2s 1min agenttrace");
        // The next one is on a new connection.
        terminate_readers(&mut c).await;
    }
    sqlx::raw_sql(
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET agenttrace.write = ''yes''', current_database()); END $$",
    )
    .execute(&mut c)
    .await
    .unwrap();
    terminate_readers(&mut c).await;
    let refused = look().await.unwrap_err();
    let StoreError::Database(sqlx::Error::Database(refused)) = refused else { panic!("{refused}") };
    assert_eq!(refused.code().as_deref(), Some("25006"), "read_only_sql_transaction");
    c.close().await.unwrap();
    db.close().await;
    test.drop_now().await;
}

async fn terminate_readers(c: &mut PgConnection) {
    sqlx::query(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
         WHERE datname = current_database() AND application_name = 'agenttrace' AND pid <> pg_backend_pid()",
    )
    .execute(c)
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminated_session_is_a_lost_connection_and_the_next_one_works() {
    let test = support::database().await;
    fill(&test.options, 10, 1).await;
    let db = Arc::new(reader(&test.options).await);
    let mut lock = Lock::take(&test).await;
    let waiting = tokio::spawn({
        let db = db.clone();
        async move { timeline::page(&db, &query("o-1", ""), &Seek::Newest, 1, &never()).await }
    });
    lock.wait_for_a_reader().await;
    terminate_readers(&mut lock.0).await;
    let lost = waiting.await.unwrap().unwrap_err();
    assert!(lost.is_connection_loss(), "{lost:?}");
    lock.release().await;
    // Idle connections that died are replaced without a word.
    for _ in 0..3 {
        assert!(timeline::page(&db, &query("o-1", ""), &Seek::Newest, 1, &never()).await.is_ok());
        let mut c = PgConnection::connect_with(&test.options).await.unwrap();
        terminate_readers(&mut c).await;
        c.close().await.unwrap();
    }
    db.close().await;
    test.drop_now().await;
}

/// A server that can be cut off: a port that leads to the real one.
pub(crate) async fn forward(listener: TcpListener, server: PgConnectOptions) {
    let mut connections = JoinSet::new();
    loop {
        let (mut client, _) = listener.accept().await.unwrap();
        let server = server.clone();
        connections.spawn(async move {
            let (host, port) = (server.get_host(), server.get_port());
            let socket = match server.get_socket() {
                Some(folder) => Some(folder.clone()),
                None => host.starts_with('/').then(|| host.into()),
            };
            if let Some(folder) = socket {
                let mut up = UnixStream::connect(folder.join(format!(".s.PGSQL.{port}"))).await.unwrap();
                let _ = copy_bidirectional(&mut client, &mut up).await;
            } else {
                let mut up = TcpStream::connect((host, port)).await.unwrap();
                let _ = copy_bidirectional(&mut client, &mut up).await;
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_gone_is_noticed_at_once_and_found_again() {
    let test = support::database().await;
    fill(&test.options, 10, 1).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let options = PgConnectOptions::new_without_pgpass()
        .host("127.0.0.1")
        .port(address.port())
        .username(test.options.get_username())
        .database(&test.name)
        .ssl_mode(sqlx::postgres::PgSslMode::Disable);
    let up = tokio::spawn(forward(listener, test.options.clone()));
    // Much longer than the test may take: what is lost must not be waited for.
    let settings = ReadSettings { connect_timeout: Duration::from_secs(3600), ..ReadSettings::default() };
    let db = ReadDb::connect(options, settings).await.unwrap();
    let page = async || timeline::page(&db, &query("o-1", ""), &Seek::Newest, 1, &never()).await;
    assert!(page().await.is_ok());

    up.abort();
    let _ = up.await;
    for _ in 0..2 {
        let lost = page().await.unwrap_err();
        assert!(lost.is_connection_loss(), "{lost:?}");
    }
    let up = tokio::spawn(forward(TcpListener::bind(address).await.unwrap(), test.options.clone()));
    assert!(page().await.is_ok());
    db.close().await;
    up.abort();
    test.drop_now().await;
}

#[tokio::test]
async fn refusals_are_told_from_losses() {
    let test = support::bare_database().await;
    let nowhere = test.options.clone().database("agenttrace_no_such_database");
    let refused = ReadDb::connect(nowhere, ReadSettings::default()).await.unwrap_err();
    assert!(matches!(refused, StoreError::Database(_)), "{refused:?}");
    let db = reader(&test.options).await;
    let missing = timeline::page(&db, &query("o-1", ""), &Seek::Newest, 1, &never()).await.unwrap_err();
    assert!(matches!(missing, StoreError::NoTable), "{missing:?}");
    assert!(matches!(organizations::list(&db, &never()).await, Err(StoreError::NoTable)));
    let facts = db.facts().await.unwrap();
    assert!(facts.major >= 15);
    assert_eq!(
        (facts.database.as_str(), facts.role.as_str()),
        (test.name.as_str(), test.options.get_username())
    );
    db.close().await;
    let closed = timeline::page(&db, &query("o-1", ""), &Seek::Newest, 1, &never()).await.unwrap_err();
    assert!(closed.to_string().contains("closed"));
    test.drop_now().await;
}
