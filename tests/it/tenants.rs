//! Two organisations with the same events, and everything that reads: nothing of the one is ever told about the other.

use crate::shapes::Shape;
use crate::timeline::{never, reader, scope};

use agenttrace::chain::links::parse_hash;
use agenttrace::domain::{EventKey, EventRow, OrgScope, TimeRange, Timestamp};
use agenttrace::filter::{Field, Filter};
use agenttrace::store::ReadDb;
use agenttrace::store::aggregate::histogram;
use agenttrace::store::aggregate::summary::By;
use agenttrace::store::aggregate::{answers, summary};
use agenttrace::store::bench::words;
use agenttrace::store::cache::Freshness;
use agenttrace::store::history::{self, Resource};
use agenttrace::store::history::{lineage, links, states};
use agenttrace::store::listing::{bounds, cost, explain, timeline, values};
use agenttrace::store::query::{Count, Pace, Query, Seek};
use agenttrace::store::scan::{self, Request, Scanned, Sink, Skipped, Unreadable};
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Every function of the store that reads events, as `file function`. What is added to the store is added here, and
/// below.
const READING: [&str; 56] = [
    "aggregate/answers.rs count",
    "aggregate/answers.rs groups",
    "aggregate/answers.rs histogram",
    "aggregate/histogram.rs strip",
    "listing/bounds.rs freeze",
    "listing/cost.rs guess",
    "listing/explain.rs page",
    "history/mod.rs access",
    "history/mod.rs events",
    "history/mod.rs moment",
    "history/mod.rs neighbour",
    "history/mod.rs observe",
    "history/mod.rs resources",
    "history/mod.rs stored_bytes",
    "history/lineage.rs deeds",
    "history/lineage.rs uses",
    "history/links.rs behind_hash",
    "history/links.rs with_hash",
    "scan/count.rs count_otherwise",
    "scan/count.rs is_the_same",
    "scan/floor.rs discard",
    "scan/floor.rs discard_as_json",
    "scan/heads.rs heads",
    "scan/lookup.rs duplicate_ids",
    "scan/lookup.rs first_genesis",
    "scan/lookup.rs first_hashed",
    "scan/lookup.rs found_elsewhere",
    "scan/lookup.rs links_of",
    "scan/lookup.rs nodes",
    "scan/mod.rs guard",
    "scan/mod.rs sample",
    "scan/mod.rs with_snapshot",
    "scan/read.rs read",
    "scan/vector.rs vectors",
    "listing/search/vectors.rs others",
    "bench/words.rs sample",
    "history/states.rs of",
    "aggregate/summary.rs groups",
    "listing/timeline.rs count",
    "listing/timeline.rs estimate",
    "listing/timeline.rs event",
    "listing/timeline.rs event_row",
    "listing/timeline.rs keys",
    "listing/timeline.rs newest",
    "listing/timeline.rs page",
    "listing/timeline.rs page_as_stored",
    "listing/timeline.rs page_at",
    "listing/timeline.rs page_with_states",
    "listing/values.rs of",
    // These speak of the table and of all organisations, as is their purpose.
    "history/links.rs are_quick",
    "connection/capabilities.rs capabilities",
    "scan/catalogue.rs catalogue",
    "aggregate/organizations.rs list",
    "aggregate/organizations.rs recorded",
    "aggregate/organizations.rs unnamed",
    "aggregate/organizations.rs unnamed_within",
];

/// Files and folders that read no events for anybody: connections, the schema, the catalogues for the doctor (and how many
/// rows and transactions are on a few pages), the writer, the demo's own record.
const OTHERS: [&str; 14] = [
    "health.rs",
    "connection/snapshot.rs",
    "connection/pulse.rs",
    "connection/servers.rs",
    "connection/plain.rs",
    "bench/activity.rs",
    "connection/mod.rs",
    "connection/write.rs",
    "connection/facts.rs",
    "private/databases.rs",
    "private/demo_trail.rs",
    "schema",
    "private/tamper.rs",
    "writer",
];

/// Who may learn which organisations there are, and so could ask all of them. `across.rs` is the one that does ask all of
/// them about their events: how many are from one address. A verification asks each for its own report.
const LISTING: [&str; 6] = [
    "cli/context.rs",
    "cli/demo.rs",
    "console/connection/task.rs",
    "investigation/across.rs",
    "investigation/schemes.rs",
    "investigation/verification.rs",
];

#[test]
fn whoever_lists_organisations_is_known() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = BTreeSet::new();
    let mut folders = vec![src.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if std::fs::read_to_string(&path).unwrap().contains("organizations::list(") {
                found.insert(path.strip_prefix(&src).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    assert_eq!(
        found,
        LISTING.map(str::to_owned).into(),
        "a file that lists organisations, or one that is gone"
    );
}

#[test]
fn every_function_that_reads_is_known() {
    let store = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store");
    let mut found = BTreeSet::new();
    let mut folders = vec![store.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(&store).unwrap().to_str().unwrap().to_owned();
            if OTHERS.contains(&name.as_str()) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            for line in std::fs::read_to_string(&path).unwrap().lines() {
                if let Some(function) = line.trim_start().strip_prefix("pub async fn ") {
                    let function = function.split(['(', '<']).next().unwrap();
                    found.insert(format!("{name} {function}"));
                }
            }
        }
    }
    let known: BTreeSet<String> = READING.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(found, known, "a function of the store that this file does not call, or one that is gone");
}

/// 40 events of `own`, and the same of `other`, whose ids begin with `secret` and who has two more on either side.
const TWINS: &str = r#"
    INSERT INTO audit_events (event_id, timestamp, organization_id, actor_type, actor_id, actor_email, event_category,
        event_type, event_severity, resource_type, resource_id, action, request_id, session_id, hash, previous_hash,
        previous_state, new_state)
    SELECT o.prefix || lpad(i::text, 3, '0'), timestamptz '2026-01-10Z' + i / 4 * interval '1 minute', o.id, 'user',
        'user-' || i % 3, 'user-' || i % 3 || '@example.org', 'auth', 'login.failed', 'critical', 'trace', 'tr-1',
        'update', 'req-' || i / 5, 's-' || i / 10, lpad(to_hex(i + 1), 64, '0'),
        CASE WHEN i = 0 THEN '' ELSE lpad(to_hex(i), 64, '0') END, '{"k": 1}', '{"k": 2}'
    FROM (VALUES ('own', 'event-', 0, 39), ('other', 'secret-', -8, 47)) o (id, prefix, first, last),
        generate_series(o.first, o.last) i
    WHERE i >= 0 OR o.id = 'other'"#;

/// What a scan tells, in words.
#[derive(Default)]
struct Told(Vec<String>);

impl Sink for Told {
    fn row(&mut self, row: &Scanned<'_>) {
        self.0.push(format!("{row:?}"));
    }

    fn unreadable(&mut self, row: Unreadable) {
        self.0.push(format!("{row:?}"));
    }

    fn skipped(&mut self, part: Skipped) {
        self.0.push(format!("{part:?}"));
    }
}

fn query(scope: &OrgScope, filter: &str) -> Query {
    Query { scope: scope.clone(), filter: Filter::parse(filter).unwrap(), range: TimeRange::default() }
}

/// Nothing in it is of the other organisation. (The other's id occurs in no value of this one.)
fn own(what: &str, told: &impl std::fmt::Debug) {
    let told = format!("{told:?}");
    assert!(!told.contains("secret") && !told.contains("other"), "{what}: {told}");
}

#[tokio::test]
async fn nothing_of_another_organisation_is_told() {
    for shape in [Shape::Ours, Shape::SeedByMonth, Shape::Bare] {
        let test = shape.database().await;
        let mut c = PgConnection::connect_with(&test.options).await.unwrap();
        sqlx::raw_sql(TWINS).execute(&mut c).await.unwrap();
        sqlx::raw_sql("VACUUM ANALYZE audit_events").execute(&mut c).await.unwrap();
        if shape == Shape::Ours {
            sqlx::raw_sql("REFRESH MATERIALIZED VIEW audit_daily_summary").execute(&mut c).await.unwrap();
        }
        c.close().await.unwrap();
        let db = reader(&test.options).await;
        pages(&db, shape).await;
        single_events(&db, shape).await;
        whole_trails(&db).await;
        db.close().await;
        test.drop_now().await;
    }
}

const FILTERS: [&str; 10] = [
    "",
    "actor:user-1",
    "actor:user-1,user-2",
    "actor:user-1@example.org",
    "sev>=warning",
    "type:login.failed",
    "res:trace/tr-1",
    "req:req-2",
    "-actor:user-1 ua:null",
    "event_id:secret-003",
];

async fn pages(db: &ReadDb, shape: Shape) {
    let (own_scope, other_scope) = (scope("own"), scope("other"));
    let foreign =
        timeline::page(db, &query(&other_scope, ""), &Seek::Newest, 9, &never()).await.unwrap().rows;
    assert!(foreign[0].event_id.starts_with("secret"));
    for filter in FILTERS {
        let query = query(&own_scope, filter);
        let mut all = 0;
        for seek in [
            Seek::Newest,
            Seek::Oldest,
            Seek::AtOrBefore(foreign[0].timestamp),
            // Keys of the other one are mere places.
            Seek::OlderThan(foreign[0].key()),
            Seek::AtOrOlderThan(foreign[8].key()),
            Seek::NewerThan(EventKey {
                timestamp: Timestamp::from_micros(0),
                event_id: foreign[0].event_id.clone(),
            }),
        ] {
            let page = timeline::page(db, &query, &seek, 99, &never()).await.unwrap();
            all = all.max(page.rows.len());
            own("page", &page);
            own(
                "page_at",
                &timeline::page_at(db, &query, &seek, 7, Pace::default(), &never()).await.unwrap(),
            );
            let keys = timeline::keys(db, &query, &seek, 99, Pace::default(), &never()).await.unwrap();
            own("keys", &keys);
            assert_eq!(keys.rows, page.rows.iter().map(EventRow::key).collect::<Vec<_>>(), "{filter}");
            let whole =
                timeline::page_with_states(db, &query, &seek, 7, Pace::default(), &never()).await.unwrap();
            own("page_with_states", &whole);
            let stored =
                timeline::page_as_stored(db, &query, &seek, 7, Pace::default(), &never()).await.unwrap();
            let stored: Vec<_> = stored.rows.iter().map(|event| event.event().unwrap()).collect();
            assert_eq!(stored, whole.rows, "{filter}");
        }
        assert!(all <= 40, "{shape:?} {filter}");
        let explained = explain::page(db, &query, &Seek::Newest, 9, true, &never()).await.unwrap();
        if filter != "event_id:secret-003" {
            own("explain", &explained);
        }
        let counted = timeline::count(db, &query, Duration::from_secs(20), &never()).await.unwrap();
        assert_eq!(counted, Count::Exact(all as u64), "{shape:?} {filter}");
        timeline::estimate(db, &query, &never()).await.unwrap();
        own("cost", &cost::guess(db, &query, &never()).await.unwrap());
        for by in [&[By::Day, By::Category][..], &[By::Actor], &[By::Resource]] {
            let summary = summary::groups(db, &query, by, false, 99, &never()).await.unwrap();
            assert_eq!(summary.events, all as u64, "{shape:?} {filter} {by:?}");
        }
        let histogram = answers::histogram(db, &query, 9, Freshness::Recent, &never()).await.unwrap().value;
        assert_eq!(histogram.buckets.iter().map(|b| b.events).sum::<u64>(), all as u64, "{shape:?} {filter}");
        let severe: u64 = histogram.buckets.iter().map(|b| b.critical + b.warning).sum();
        assert_eq!(severe, all as u64, "{shape:?} {filter}");
        let strip = histogram::strip(db, &query, 9, &never()).await.unwrap();
        assert_eq!(strip.columns.iter().map(|c| c.events).sum::<u64>(), all as u64, "{shape:?} {filter}");
        let severe: u64 = strip.columns.iter().map(|c| c.critical + c.warning).sum();
        assert!(severe == all as u64 && strip.columns.len() <= 9, "{strip:?}");
        for wanted in [Freshness::Now, Freshness::Recent] {
            let budget = Duration::from_secs(20);
            let counted = answers::count(db, &query, budget, wanted, &never()).await.unwrap();
            assert_eq!(counted.value, Count::Exact(all as u64), "{shape:?} {filter}");
            let by = [By::Actor];
            let groups = answers::groups(db, &query, &by, true, 99, wanted, &never()).await.unwrap();
            assert_eq!(groups.value.events, all as u64, "{shape:?} {filter}");
            own("groups", &groups);
            assert_eq!(counted.since.is_some(), wanted == Freshness::Recent);
        }
        let resources = history::resources(db, &query, 9, &never()).await.unwrap();
        assert_eq!(resources.len(), usize::from(all > 0), "{shape:?} {filter}");
    }
}

async fn single_events(db: &ReadDb, shape: Shape) {
    let own_scope = scope("own");
    let foreign =
        timeline::page(db, &query(&scope("other"), ""), &Seek::Oldest, 99, &never()).await.unwrap().rows;
    for row in &foreign {
        let key = row.key();
        for time in [None, Some(key.timestamp)] {
            let found = timeline::event(db, &own_scope, &key.event_id, time, &never()).await.unwrap();
            assert_eq!(found, None, "{shape:?}");
        }
        let found = timeline::event_row(db, &own_scope, &key.event_id, &never()).await.unwrap();
        assert_eq!(found, None, "{shape:?}");
        assert_eq!(history::observe(db, &own_scope, &key, 9, &never()).await.unwrap(), None);
        own("with_hash", &links::with_hash(db, &own_scope, &row.hash, &never()).await.unwrap());
        own("behind_hash", &links::behind_hash(db, &own_scope, &row.hash, &never()).await.unwrap());
        let resource = Resource::of(row);
        for older in [false, true] {
            let next = history::neighbour(db, &own_scope, &resource, &key, older, &never()).await.unwrap();
            own("neighbour", &next);
        }
        let moment = history::moment(db, &own_scope, &resource, &key, 99, &never()).await.unwrap();
        own("moment", &moment);
        assert_eq!(moment.total, 40);
        let events = history::events(db, &own_scope, &resource, Some(&key), 99, &never()).await.unwrap();
        own("history", &events);
        let accesses =
            history::access(db, &own_scope, &resource, TimeRange::default(), &never()).await.unwrap();
        assert_eq!(accesses.iter().map(|access| access.events).sum::<u64>(), 40, "{shape:?}");
        let newest = timeline::newest(db, &own_scope, Some(key.timestamp), &never()).await.unwrap();
        own("newest", &newest);
    }
    let keys: Vec<EventKey> = foreign.iter().map(agenttrace::domain::EventRow::key).collect();
    let seen = states::of(db, &own_scope, &keys, &never()).await.unwrap();
    assert!(seen.iter().all(|seen| *seen == states::Seen::Gone), "{seen:?}");
    // Both have the same actors and resources, the other one has more events of each.
    let (since, range) = (foreign.last().unwrap().key(), TimeRange::default());
    let actor = "user-1".to_owned();
    let named = [lineage::Named { actor: actor.clone(), since: since.clone() }];
    let deeds = lineage::deeds(db, &own_scope, &named, range, &never()).await.unwrap();
    assert_eq!(deeds[0].events, Count::Exact(13), "{shape:?}");
    assert!(!deeds[0].before, "{shape:?}");
    let created = [lineage::Created { resource: Resource::of(&foreign[0]), creator: actor, since }];
    let uses = lineage::uses(db, &own_scope, &created, range, &never()).await.unwrap();
    assert_eq!(uses[0].events, Count::Exact(27), "{shape:?}");
    let others =
        agenttrace::store::listing::search::vectors::others(db, &own_scope, &keys, &never()).await.unwrap();
    assert!(others.is_empty(), "{others:?}");
    let resource = Resource { kind: "trace".to_owned(), id: "tr-1".to_owned() };
    let access = history::access(db, &own_scope, &resource, TimeRange::default(), &never()).await.unwrap();
    assert_eq!(access.iter().map(|access| access.events).sum::<u64>(), 40);
    // Both have the same states: twice as many bytes would be the other's too.
    let last = foreign.last().unwrap().key();
    let bytes =
        async |scope: &OrgScope| history::stored_bytes(db, scope, &resource, &last, 9999, &never()).await;
    assert!(bytes(&own_scope).await.unwrap() < bytes(&scope("other")).await.unwrap());
    for field in Field::all() {
        for begun in ["", "user", "s", "trace/"] {
            let found = values::of(db, &own_scope, field, begun, &never()).await.unwrap();
            own("values", &found);
            // Both have the same sessions and requests, but the other one has more of them.
            let more = |value: &String| ["s-4", "req-8", "req-9"].contains(&value.as_str());
            assert!(!found.iter().any(more), "{shape:?} {field:?} {begun}: {found:?}");
            let first = match (shape, field, begun) {
                (Shape::Bare, ..) => None,
                (_, Field::Actor | Field::ActorId, "" | "user") => Some("user-0"),
                (_, Field::EventType, _) => Some("login.failed"),
                (_, Field::Resource, "") => Some("trace/"),
                (_, Field::Resource, "trace/") => Some("trace/tr-1"),
                _ => continue,
            };
            assert_eq!(found.first().map(String::as_str), first, "{shape:?} {field:?} {begun}");
        }
    }
    // All words of both are the same: what tells them apart is how many events have them.
    let sampled = words::sample(db, &own_scope, 9999, &never()).await.unwrap();
    assert!(sampled.words.iter().all(|(_, events)| *events <= 40), "{sampled:?}");
    assert_eq!(sampled.events, 40);
    let now = Timestamp::from_micros(1_790_000_000_000_000);
    let day = Duration::from_secs(86_400);
    let frozen = bounds::freeze(db, &own_scope, &Filter::default(), now, day, &never()).await.unwrap();
    let newest = timeline::newest(db, &own_scope, None, &never()).await.unwrap().unwrap();
    assert_eq!(frozen.newest, Some(newest.timestamp));
    let around = Filter::parse("around:secret-003").unwrap();
    assert!(bounds::freeze(db, &own_scope, &around, now, day, &never()).await.is_err());
}

async fn whole_trails(db: &ReadDb) {
    for links_only in [false, true] {
        let request = Request { scope: scope("own"), range: TimeRange::default(), links_only };
        let hashes: Vec<String> = (0..50).map(|i| format!("{i:064x}")).collect();
        scan::with_snapshot(db, request, &never(), async |snapshot| {
            if !links_only {
                let mut sample = Told::default();
                snapshot.sample(99, u32::MAX, &mut sample).await?;
                assert_eq!(sample.0.len(), 40);
                own("sample", &sample.0);
            }
            let sinks = vec![Told::default(), Told::default()];
            let (told, _) = snapshot.read(sinks, &[], |_| {}, &Arc::default()).await?;
            let rows: Vec<_> = told.iter().flat_map(|told| &told.0).collect();
            assert_eq!(rows.len(), 40);
            own("scan", &rows);
            let parsed: Vec<_> = hashes.iter().filter_map(parse_hash).collect();
            own("nodes", &snapshot.nodes(&parsed).await?);
            own("genesis", &snapshot.first_genesis().await?);
            let first = Timestamp::parse("2026-01-10T00:00:00Z").unwrap();
            assert_eq!(
                snapshot.first_hashed().await?,
                Some(first),
                "the other organisation has earlier ones"
            );
            own("duplicates", &snapshot.duplicate_ids(99).await?);
            own("another count", &snapshot.count_otherwise().await?);
            assert!(snapshot.is_the_same().await?);
            assert!(snapshot.guard().await?.is_empty());
            for depth in [scan::Depth::Sample, scan::Depth::All] {
                // Only our own schema has one.
                if let Some(vectors) = snapshot.vectors(depth).await? {
                    assert!(vectors.compared == 40 && vectors.others.is_empty(), "{vectors:?}");
                }
            }
            let foreign = ["secret-003".to_owned(), "event-003".to_owned()];
            let links = snapshot.links_of(&foreign).await?;
            assert_eq!(links.len(), 1);
            own("links_of", &links);
            let heads = snapshot.heads(&foreign).await?;
            assert_eq!(heads.rows.len(), 1);
            own("heads", &heads);
            // The one that is there to name other organisations: of a hash, and nothing of its events.
            let elsewhere = snapshot.found_elsewhere(&hashes).await?;
            assert!(
                elsewhere.iter().all(|(_, organization)| organization == "other") && elsewhere.len() == 49
            );
            Ok(())
        })
        .await
        .unwrap();
    }
}
