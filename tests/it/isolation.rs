//! Two organisations in one table: no reading function of the store returns anything of the other one. Which functions
//! there are is read from the source, so that none can be added without a case here.

use crate::shapes::Shape;
use crate::support::TestDatabase;
use agenttrace::chain::links::{self, Hash};
use agenttrace::domain::{EventKey, OrgId, OrgScope, TimeRange, Timestamp};
use agenttrace::filter::Filter;
use agenttrace::store::history::{self, Resource};
use agenttrace::store::scan::{self, Request, Scanned, Sink, Unreadable};
use agenttrace::store::summary::By;
use agenttrace::store::timeline::{self, Pace, Query, Seek};
use agenttrace::store::{ReadDb, ReadSettings, StoreError, bounds, explain, histogram, links as neighbours};
use agenttrace::store::{organizations, states, summary};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _};
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::fs;
use std::path::Path;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Functions that read no rows of events, or say by their nature which organisations there are.
const OTHERS: [&str; 10] = [
    "db::connect",
    "db::close",
    "db::facts",
    "capabilities::capabilities",
    "schema::migrate",
    "schema::refresh_summary",
    "schema::status::status",
    "schema::partitions::list",
    // For the chooser: ids, times and numbers.
    "organizations::list",
    // Names of other organisations that have a missing predecessor, as a finding.
    "scan::lookup::found_elsewhere",
];

/// Rooms that write, and need more than a reader.
const WRITING: [&str; 7] = [
    "writer",
    "databases",
    "demo_trail",
    "schema::indexes",
    "schema::layout",
    "schema::roles",
    "schema::partitions::ensure",
];

/// The public asynchronous functions of the store, as `module::function`: what asks the database is asynchronous.
fn public_functions() -> BTreeSet<String> {
    fn visit(folder: &Path, module: &str, out: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let stem = path.file_stem().unwrap().to_str().unwrap();
            let name = if stem == "mod" { module.to_owned() } else { format!("{module}{stem}::") };
            if path.is_dir() {
                visit(&path, &name, out);
            } else {
                for line in fs::read_to_string(&path).unwrap().lines() {
                    if let Some(rest) = line.trim_start().strip_prefix("pub async fn ") {
                        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap();
                        out.insert(format!("{name}{}", &rest[..end]));
                    }
                }
            }
        }
    }
    let mut found = BTreeSet::new();
    visit(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store"), "", &mut found);
    found.retain(|name| !WRITING.iter().any(|room| name.starts_with(room)));
    found
}

/// Both organisations have the same resources, actors and times; ids, hashes and states tell them apart.
async fn fill(database: &TestDatabase) {
    let mut c = PgConnection::connect_with(&database.options).await.unwrap();
    for organization in ["acme", "globex"] {
        let sql = format!(
            "INSERT INTO audit_events (event_id, timestamp, organization_id, actor_type, actor_id, actor_ip, event_category, \
                 event_type, event_severity, resource_type, resource_id, action, previous_state, new_state, request_id, \
                 session_id, hash, previous_hash) \
             SELECT '{organization}-' || n, timestamptz '2026-01-01Z' + n * interval '1 hour', '{organization}', 'user', 'u', \
                 '10.0.0.1', 'data', 'doc.updated', 'critical', 'doc', 'd', 'update', jsonb_build_object('of', '{organization}', 'n', n), \
                 jsonb_build_object('of', '{organization}', 'n', n + 1), 'r', 's', \
                 encode(sha256(convert_to('{organization}-' || n, 'UTF8')), 'hex'), \
                 CASE n WHEN 1 THEN '' ELSE encode(sha256(convert_to('{organization}-' || n - 1, 'UTF8')), 'hex') END \
             FROM generate_series(1, 30) n"
        );
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut c).await.unwrap();
    }
    c.close().await.unwrap();
}

/// What is told of an organisation.
struct Told {
    shape: Shape,
    cases: BTreeSet<String>,
    /// Hashes of the other organisation.
    foreign: Vec<String>,
}

impl Told {
    /// An answer about `acme`, which should have something in it unless it is `empty`.
    fn hear(&mut self, name: &str, answer: &impl Debug, empty: bool) {
        let text = format!("{answer:?}");
        let shape = self.shape;
        assert!(!text.contains("globex"), "{shape:?}: {name}: {text}");
        assert!(!self.foreign.iter().any(|hash| text.contains(hash)), "{shape:?}: {name}: {text}");
        assert_eq!(text.contains("acme"), !empty, "{shape:?}: {name}: {text}");
        self.cases.insert(name.to_owned());
    }

    /// An answer in numbers.
    fn count<T: PartialEq + Debug>(&mut self, name: &str, answer: T, right: T) {
        assert_eq!(answer, right, "{:?}: {name}", self.shape);
        self.cases.insert(name.to_owned());
    }
}

#[derive(Default)]
struct Rows(Vec<String>);

impl Sink for Rows {
    fn row(&mut self, row: &Scanned<'_>) {
        self.0.push(format!("{row:?}"));
    }

    fn unreadable(&mut self, row: Unreadable) {
        self.0.push(format!("{row:?}"));
    }
}

async fn ask_everything(db: &ReadDb, shape: Shape, foreign: Vec<String>) -> BTreeSet<String> {
    let cancel = CancellationToken::new();
    let cancel = &cancel;
    let mut told = Told { shape, cases: BTreeSet::new(), foreign: foreign.clone() };
    let scope = OrgScope::enter(OrgId::new("acme").unwrap());
    let query = |filter: &str| Query {
        scope: scope.clone(),
        filter: Filter::parse(filter).unwrap(),
        range: TimeRange::default(),
    };
    let micros = |hour: i64| Timestamp::from_micros(1_767_225_600_000_000 + hour * 3_600_000_000);
    // Keys of the other organisation, as a mistaken caller might have them.
    let key = |organization: &str, n: i64| EventKey {
        timestamp: micros(n),
        event_id: format!("{organization}-{n}"),
    };
    let theirs = key("globex", 7);

    for filter in [
        "",
        "actor:u",
        "sev:critical",
        "type:doc.updated",
        "res:doc/d",
        "ip:10.0.0.1",
        "session:s",
        "request:r",
        "updated",
        "id:globex-7",
    ] {
        let empty = filter.starts_with("id:");
        for seek in [
            Seek::Newest,
            Seek::Oldest,
            Seek::OlderThan(key("globex", 20)),
            Seek::AtOrOlderThan(key("globex", 20)),
            Seek::NewerThan(key("globex", 5)),
            Seek::AtOrBefore(micros(20)),
        ] {
            let page = timeline::page(db, &query(filter), &seek, 100, cancel).await.unwrap();
            told.hear("timeline::page", &page, empty);
            let page =
                timeline::page_at(db, &query(filter), &seek, 100, Pace::default(), cancel).await.unwrap();
            told.hear("timeline::page_at", &page, empty);
            let page =
                timeline::page_with_states(db, &query(filter), &seek, 100, Pace::default(), cancel).await;
            told.hear("timeline::page_with_states", &page.unwrap(), empty);
        }
        let right = if empty { 0 } else { 30 };
        let count = timeline::count(db, &query(filter), Duration::from_secs(60), cancel).await.unwrap();
        told.count("timeline::count", count.value(), Some(right));
        let drawn = histogram::histogram(db, &query(filter), 10, &|_| {}, cancel).await.unwrap();
        told.count("histogram::histogram", drawn.buckets.iter().map(|b| b.events).sum::<u64>(), right);
        for by in By::ALL {
            let found = summary::groups(db, &query(filter), &[by], false, 100, cancel).await.unwrap();
            told.count("summary::groups", found.events, right);
        }
        for analyze in [false, true] {
            let plan = explain::page(db, &query(filter), &Seek::Newest, 100, analyze, cancel).await.unwrap();
            let most = plan.statements.iter().filter_map(|s| s.plan.rows_real).fold(0.0, f64::max);
            told.count("explain::page", most <= 30.0, true);
        }
    }
    // A guess, and of all rows where nothing is known of any.
    timeline::estimate(db, &query(""), cancel).await.unwrap();
    told.cases.insert("timeline::estimate".to_owned());
    told.hear("timeline::newest", &timeline::newest(db, &scope, None, cancel).await.unwrap(), false);
    for time in [None, Some(micros(7))] {
        let event = timeline::event(db, &scope, "globex-7", time, cancel).await.unwrap();
        told.hear("timeline::event", &event, true);
        let event = timeline::event(db, &scope, "acme-7", time, cancel).await.unwrap();
        told.hear("timeline::event", &event, false);
    }
    let around = Filter::parse("around:globex-7").unwrap();
    let frozen = bounds::freeze(db, &scope, &around, micros(40), Duration::from_secs(3600), cancel).await;
    told.count("bounds::freeze", frozen.is_err(), true);

    let row = timeline::event(db, &scope, "acme-7", None, cancel).await.unwrap().unwrap().row;
    let resource = Resource::of(&row);
    for until in [None, Some(&theirs)] {
        let found = history::events(db, &scope, &resource, until, 100, cancel).await.unwrap();
        told.hear("history::events", &found, false);
    }
    let bytes = history::stored_bytes(db, &scope, &resource, &key("globex", 30), 100, cancel).await.unwrap();
    let half = history::stored_bytes(db, &scope, &resource, &key("globex", 30), 15, cancel).await.unwrap();
    told.count("history::stored_bytes", bytes, half * 2);
    for older in [false, true] {
        let found = history::neighbour(db, &scope, &resource, &theirs, older, cancel).await.unwrap();
        told.hear("history::neighbour", &found, false);
    }
    let moment = history::moment(db, &scope, &resource, &theirs, 1 << 20, cancel).await.unwrap();
    told.hear("history::moment", &moment, false);
    told.count("history::moment", moment.total, 30);
    told.hear(
        "history::observe",
        &history::observe(db, &scope, &theirs, 1 << 20, cancel).await.unwrap(),
        true,
    );
    let seen = states::of(db, &scope, &[theirs.clone(), key("acme", 8)], cancel).await.unwrap();
    told.hear("states::of", &seen, false);
    for hash in &foreign {
        told.hear("links::with_hash", &neighbours::with_hash(db, &scope, hash, cancel).await.unwrap(), true);
        told.hear(
            "links::behind_hash",
            &neighbours::behind_hash(db, &scope, hash, cancel).await.unwrap(),
            true,
        );
    }
    ask_a_snapshot(db, &scope, &mut told, cancel).await;
    told.cases
}

async fn ask_a_snapshot(db: &ReadDb, scope: &OrgScope, told: &mut Told, cancel: &CancellationToken) {
    let hashes: Vec<Hash> = told.foreign.iter().map(|hash| links::parse_hash(hash).unwrap()).collect();
    let ids: Vec<String> = (1..=30).flat_map(|n| [format!("globex-{n}"), format!("acme-{n}")]).collect();
    for links_only in [false, true] {
        let request = Request { scope: scope.clone(), range: TimeRange::default(), links_only };
        let (sample, read, nodes, twice, genesis, placed) =
            scan::with_snapshot(db, request, cancel, async |s| {
                let mut sample = Rows::default();
                if !links_only {
                    s.sample(100, &mut sample).await?;
                }
                let read = s.read(vec![Rows::default(), Rows::default()], |_| {}).await?;
                let read: Vec<_> = read.into_iter().flat_map(|rows| rows.0).collect();
                let nodes = s.nodes(&hashes).await?;
                let twice = s.duplicate_ids(100).await?;
                Ok::<_, StoreError>((
                    sample.0,
                    read,
                    nodes,
                    twice,
                    s.first_genesis().await?,
                    s.links_of(&ids).await?,
                ))
            })
            .await
            .unwrap();
        told.hear("scan::sample", &sample, links_only);
        told.hear("scan::read", &read, false);
        told.count("scan::read", read.len(), 30);
        told.hear("scan::lookup::nodes", &nodes, true);
        told.hear("scan::lookup::duplicate_ids", &twice, true);
        told.hear("scan::lookup::first_genesis", &genesis, false);
        told.hear("scan::lookup::links_of", &placed, false);
    }
    told.cases.insert("scan::with_snapshot".to_owned());
}

#[tokio::test]
async fn no_reading_function_returns_anything_of_another_organisation() {
    for shape in Shape::ALL {
        let database = shape.database().await;
        fill(&database).await;
        let db = ReadDb::connect(database.options.clone(), ReadSettings::default()).await.unwrap();
        let mut c = PgConnection::connect_with(&database.options).await.unwrap();
        let foreign: Vec<String> =
            sqlx::query_scalar("SELECT hash FROM audit_events WHERE organization_id = 'globex'")
                .fetch_all(&mut c)
                .await
                .unwrap();
        assert_eq!(foreign.len(), 30);
        let mut cases = ask_everything(&db, shape, foreign).await;
        cases.extend(OTHERS.map(ToOwned::to_owned));
        // A function that is missing here has no case; a case that is missing there has no function any more.
        assert_eq!(cases, public_functions());
        assert_eq!(organizations::list(&db, &CancellationToken::new()).await.unwrap().len(), 2);
        db.close().await;
        c.close().await.unwrap();
        database.drop_now().await;
    }
}
