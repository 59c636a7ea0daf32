//! What PostgreSQL finds for a filter, against an interpreter over all events in memory.

use crate::support::{self, TestDatabase};

use agenttrace::demo::{self, PLANTED_IN, Settings, Trail};
use agenttrace::domain::{Action, Event, EventKey, Json, NewEvent, OrgId, OrgScope, TimeRange, Timestamp};
use agenttrace::filter::{
    Change, Comparison, Expr, Facts, Field, Filter, Match, Matcher, Path, Question, Selection, Side,
    StateMatch, Step, Test, Value as Wanted, Words,
};
use agenttrace::store::listing::bounds;
use agenttrace::store::listing::timeline;
use agenttrace::store::query::{Pace, Query, Seek};
use agenttrace::store::writer::{BulkWriter, Fate};
use agenttrace::store::{ReadDb, ReadSettings, WriteDb};
use chrono::{Datelike as _, Timelike as _};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::Value;
use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Row as _};
use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const UNTIL: &str = "2026-11-20T12:00:00Z";
const WINDOW: Duration = Duration::from_secs(90 * 86_400);

/// The examples of the documentation; two of them ask this machine.
const EXAMPLES: [&str; 25] = [
    "sev:critical since:-24h",
    "actor:eve@corp.example",
    "actor:user-17,user-18 -action:read",
    "cat:auth type:login.failed since:yesterday until:today",
    "res:api_key/ak-42",
    "sess:s-9f3 since:2026-11-17T00:00Z until:2026-11-18T00:00Z",
    "ip:203.0.113.0/24 -actor:svc-*",
    "action:export res:dataset/* since:-7d@d",
    "changed:role",
    "role:viewer->admin",
    "new.roles:admin -old.roles:admin",
    "old.quota>100 new.quota<=10",
    "new.owner:null changed:owner",
    "new.mfa.enabled:false changed:mfa.enabled",
    "(type:token.* OR type:api_key.*) AND action:create",
    "ua~\"curl/\" actor_type:user",
    "\"prompt injection\" since:-30d",
    "/AKIA[0-9A-Z]{16}/ since:-1h",
    "actor in @suspects.txt since:-14d",
    "req:req-88123",
    "around:evt-000300000 span:5m",
    "sev>=warning tod:22:00..06:00 zone:Europe/Berlin",
    "integrity:broken,unverified since:-90d",
    "is:bookmarked tag:exfil",
    "proj:p-7 action:update,delete -onlychanged:updated_at,last_seen",
];

#[expect(clippy::unnecessary_wraps, reason = "the form of a reader of lists")]
fn list(_: &str) -> Result<String, String> {
    Ok("user-3\nsvc-*\nuser-17\n".to_owned())
}

/// Facts that can be recomputed from an id.
struct Made;

impl Made {
    fn holds(question: &Question, id: &str) -> bool {
        let last = id.bytes().last().unwrap_or(0);
        match question {
            Question::Integrity(_) => last.is_multiple_of(3),
            Question::Is(_) => last.is_multiple_of(2),
            Question::Tag(_) => last == b'7',
        }
    }
}

struct AllFacts<'a>(&'a [String]);

impl Facts for AllFacts<'_> {
    fn answer(&self, question: &Question) -> Option<Selection> {
        let holds = |id: &&String| Made::holds(question, id);
        Some(match question {
            Question::Integrity(_) => {
                Selection::AllBut(self.0.iter().filter(|id| !holds(id)).cloned().collect())
            }
            _ => Selection::Only(self.0.iter().filter(holds).cloned().collect()),
        })
    }
}

/// An event as the interpreter sees it.
struct Seen {
    event: Event,
    old: Option<Value>,
    new: Option<Value>,
    /// Words with their places, as PostgreSQL's own `to_tsvector` finds them.
    lexemes: HashMap<String, Vec<i16>>,
}

struct World {
    test: TestDatabase,
    db: ReadDb,
    now: Timestamp,
    organizations: Vec<(OrgScope, Vec<Seen>)>,
    ids: Vec<String>,
    /// Words of a filter, as PostgreSQL's own `to_tsvector` finds them.
    words: HashMap<String, Vec<(String, i16)>>,
    connection: PgConnection,
}

/// Values of small states that lead a path astray: arrays where objects are expected, numbers as texts, nulls.
fn odd_states() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        prop_oneof![Just(5), Just(10), Just(100), Just(-1)].prop_map(Value::from),
        Just(Value::from(0.5)),
        prop_oneof![Just("admin"), Just("viewer"), Just("5"), Just(""), Just("a.b"), Just("true")]
            .prop_map(Value::from),
    ];
    let inner = leaf.prop_recursive(3, 12, 3, |inner| {
        let key = prop_oneof![
            Just("role"),
            Just("roles"),
            Just("a"),
            Just("b"),
            Just("0"),
            Just("quota"),
            Just("a b")
        ];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            proptest::collection::btree_map(key.prop_map(str::to_owned), inner, 0..3)
                .prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    });
    let key = prop_oneof![Just("role"), Just("roles"), Just("a"), Just("quota"), Just("updated_at")];
    let object = proptest::collection::btree_map(key.prop_map(str::to_owned), inner.clone(), 0..4)
        .prop_map(|m| Value::Object(m.into_iter().collect()));
    prop_oneof![6 => object, 1 => inner]
}

fn runner(seed: u8) -> TestRunner {
    let config = Config { failure_persistence: None, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]))
}

fn sample<S: Strategy>(runner: &mut TestRunner, strategy: &S) -> S::Value {
    strategy.new_tree(runner).unwrap().current()
}

/// A demo trail, and beside it events with odd states.
async fn world(events: u64, odd: usize) -> World {
    let test = support::database().await;
    let now = Timestamp::parse(UNTIL).unwrap();
    let mut trail: Vec<NewEvent> = Trail::new(Settings::new(7, now, events).unwrap()).unwrap().collect();
    let (mut runner, states) = (runner(1), proptest::option::weighted(0.8, odd_states()));
    let patterns: Vec<NewEvent> = trail.iter().take(odd).cloned().collect();
    for (n, mut event) in patterns.into_iter().enumerate() {
        let json = |state: Option<Value>| state.map(|s| Json::from_trusted(s.to_string()));
        let old = sample(&mut runner, &states);
        let same = n % 7 == 0;
        event.event_id = format!("odd-{n:05}");
        event.action = if n % 2 == 0 { Action::Update } else { Action::Delete };
        event.new_state = json(if same { old.clone() } else { sample(&mut runner, &states) });
        event.previous_state = json(old);
        // Records of calls, and states that are nearly such records.
        if n % 11 == 3 {
            let extra =
                [r#""userIdentity":{}"#, r#""quota":7"#, r#""requestParameters":{"role":"admin"}"#][n % 3];
            let text =
                format!(r#"{{"eventVersion":"1.08","eventType":"AwsApiCall","role":"admin",{extra}}}"#);
            event.new_state = Some(Json::from_trusted(text));
            event.previous_state = (n % 4 == 0).then(|| Json::from_trusted("{}"));
        }
        trail.push(event);
    }
    let write = WriteDb::connect(test.options.clone()).await.unwrap();
    let mut bulk = BulkWriter::begin(write.clone()).await.unwrap();
    for batch in trail.chunks(5_000) {
        assert!(bulk.append(batch.to_vec()).await.unwrap().iter().all(|fate| *fate == Fate::Stored));
    }
    bulk.finish().await.unwrap();
    write.close().await;
    let db = ReadDb::connect(test.options.clone(), ReadSettings::default()).await.unwrap();
    let mut connection = PgConnection::connect_with(&test.options).await.unwrap();
    let mut lexemes = lexemes(&mut connection).await;
    let mut organizations = Vec::new();
    for id in demo::organizations() {
        let scope = OrgScope::enter(OrgId::new(id).unwrap());
        let query = Query { scope: scope.clone(), filter: Filter::default(), range: TimeRange::default() };
        let cancel = CancellationToken::new();
        let page =
            timeline::page_with_states(&db, &query, &Seek::Newest, 1_000_000, Pace::default(), &cancel);
        let parse = |json: &Option<Json>| json.as_ref().map(|j| serde_json::from_str(j.as_str()).unwrap());
        let seen = page.await.unwrap().rows.into_iter().map(|event| Seen {
            old: parse(&event.previous_state),
            new: parse(&event.new_state),
            lexemes: lexemes.remove(&event.row.event_id).unwrap_or_default(),
            event,
        });
        organizations.push((scope, seen.collect::<Vec<_>>()));
    }
    let ids = trail.into_iter().map(|e| e.event_id).collect();
    World { test, db, now, organizations, ids, words: HashMap::new(), connection }
}

/// The words of every event, split as `docs/reference/filter.md` says.
async fn lexemes(c: &mut PgConnection) -> HashMap<String, HashMap<String, Vec<i16>>> {
    const SPLIT: &str = r"
        SELECT event_id, w.lexeme, w.positions
        FROM audit_events,
             unnest(
               to_tsvector('simple', regexp_replace(concat_ws(' ', event_type, resource_type, resource_id,
                 coalesce(resource_name, ''), actor_id, coalesce(actor_email, '')), '[._:@/-]', ' ', 'g'))
               || to_tsvector('simple', regexp_replace(coalesce(left(new_state::text, 32768), ''), '[._:@/-]', ' ', 'g'))
               || to_tsvector('simple', regexp_replace(coalesce(left(previous_state::text, 32768), ''), '[._:@/-]', ' ', 'g'))
             ) w";
    let mut found: HashMap<String, HashMap<String, Vec<i16>>> = HashMap::new();
    for row in sqlx::query(SPLIT).fetch_all(c).await.unwrap() {
        let event = found.entry(row.get(0)).or_default();
        event.insert(row.get(1), row.get(2));
    }
    found
}

impl World {
    /// Asks PostgreSQL for the words of the filter's words.
    async fn learn(&mut self, filter: &Filter) {
        let mut wanted = Vec::new();
        filter.conditions().iter().for_each(|e| collect_words(e, &mut wanted));
        for text in wanted {
            let rows = sqlx::query(
                "SELECT lexeme, unnest(positions) FROM unnest(to_tsvector('simple', regexp_replace($1, '[._:@/-]', ' ', 'g')))",
            )
            .bind(&text)
            .fetch_all(&mut self.connection)
            .await
            .unwrap();
            let mut words: Vec<(String, i16)> = rows.iter().map(|r| (r.get(0), r.get(1))).collect();
            words.sort_by_key(|(_, at)| *at);
            self.words.insert(text, words);
        }
    }

    /// Compares both answers for every organisation, event by event in the order of the timeline; returns how many
    /// events were found. The interpreter works while PostgreSQL does.
    async fn compare(&mut self, text: &str) -> usize {
        let mut filter = Filter::parse_with(text, &list).unwrap_or_else(|e| panic!("{}", e.render(text)));
        filter.supply(&AllFacts(&self.ids));
        self.learn(&filter).await;
        let mut asked = Vec::new();
        for (scope, seen) in &self.organizations {
            let cancel = CancellationToken::new();
            let frozen = bounds::freeze(&self.db, scope, &filter, self.now, WINDOW, &cancel).await;
            let range = match frozen {
                Ok(frozen) => frozen.range,
                Err(bounds::BoundsError::NoEvent { .. }) => continue,
                Err(e) => panic!("{text}: {e}"),
            };
            let query = Query { scope: scope.clone(), filter: filter.clone(), range };
            let db = self.db.clone();
            let page = tokio::spawn(async move {
                let page = timeline::page(&db, &query, &Seek::Newest, 1_000_000, &cancel).await;
                page.map(|page| page.rows.into_iter().map(|row| row.event_id).collect::<Vec<_>>())
            });
            asked.push((seen, range, page));
        }
        let mut found = 0;
        for (seen, range, page) in asked {
            let ours: Vec<&str> = seen
                .iter()
                .filter(|e| range.since.is_none_or(|t| e.event.row.timestamp >= t))
                .filter(|e| range.until.is_none_or(|t| e.event.row.timestamp < t))
                .filter(|e| filter.conditions().iter().all(|c| self.holds(c, e, &filter)))
                .map(|e| e.event.row.event_id.as_str())
                .collect();
            let theirs = page.await.unwrap().unwrap_or_else(|e| panic!("{text}: {e}"));
            if theirs != ours {
                let equal = theirs.iter().zip(&ours).take_while(|(theirs, ours)| theirs == *ours).count();
                let event =
                    |id: Option<&str>| seen.iter().find(|e| Some(e.event.row.event_id.as_str()) == id);
                panic!(
                    "{text}: behind {equal} equal events PostgreSQL finds {:?}, the interpreter {:?}",
                    event(theirs.get(equal).map(String::as_str)).map(|e| &e.event),
                    event(ours.get(equal).copied()).map(|e| &e.event),
                );
            }
            found += ours.len();
        }
        found
    }

    fn holds(&self, expr: &Expr, e: &Seen, filter: &Filter) -> bool {
        let row = &e.event.row;
        let local = || row.timestamp.to_utc().unwrap().with_timezone(&filter.zone());
        match expr {
            Expr::And(parts) => parts.iter().all(|p| self.holds(p, e, filter)),
            Expr::Or(parts) => parts.iter().any(|p| self.holds(p, e, filter)),
            Expr::Not(inner) => !self.holds(inner, e, filter),
            Expr::Match(found) => column(found, e),
            Expr::State(StateMatch { side, path, any_of }) => any_of.iter().any(|test| {
                *side != Side::New && passes(test, e.old.as_ref(), path)
                    || *side != Side::Old && passes(test, e.new.as_ref(), path)
            }),
            Expr::Changed(paths) => paths.iter().any(|path| differs(e, path)),
            Expr::OnlyChanged(paths) => {
                differs(e, &Path::default())
                    && without(e.old.as_ref(), paths) == without(e.new.as_ref(), paths)
            }
            Expr::Change(change) => {
                let Change { path, from, to } = change.as_ref();
                let side = |is: &Option<Test>, other: &Option<Test>, state: Option<&Value>| match (is, other)
                {
                    (Some(test), _) => passes(test, state, path),
                    (None, Some(test)) => !passes(test, state, path),
                    (None, None) => true,
                };
                side(from, to, e.old.as_ref()) && side(to, from, e.new.as_ref()) && differs(e, path)
            }
            Expr::Words(words) => self.has_words(words, e),
            Expr::Regex(regex) => {
                let texts = [&row.event_type, &row.resource_type, &row.resource_id, &row.actor_id];
                let texts =
                    texts.into_iter().chain(&row.resource_name).chain(&row.actor_email).map(String::as_str);
                let states =
                    [&e.event.previous_state, &e.event.new_state].into_iter().flatten().map(Json::as_str);
                texts.chain(states).any(|text| {
                    let (text, pattern) = if regex.ignore_case {
                        (text.to_ascii_lowercase(), regex.pattern.to_ascii_lowercase())
                    } else {
                        (text.to_owned(), regex.pattern.clone())
                    };
                    match pattern.strip_prefix('^') {
                        Some(start) => text.starts_with(start),
                        None => text.contains(&pattern),
                    }
                })
            }
            Expr::Hours(any_of) => {
                let second = local().num_seconds_from_midnight();
                any_of.iter().any(|h| {
                    if h.from < h.to {
                        (h.from..h.to).contains(&second)
                    } else {
                        second >= h.from || second < h.to
                    }
                })
            }
            Expr::Weekdays(days) => {
                let day = local().weekday().number_from_monday();
                days.iso().any(|d| u32::from(d) == day)
            }
            Expr::Local(local) => Made::holds(&local.question, &row.event_id),
        }
    }

    fn has_words(&self, words: &Words, e: &Seen) -> bool {
        let wanted = &self.words[&words.text];
        let Some(((first, origin), last)) = wanted.first().zip(wanted.len().checked_sub(1)) else {
            return false;
        };
        let places = |n: usize, word: &str| -> Vec<i16> {
            if words.prefix && n == last {
                let fits = e.lexemes.iter().filter(|(lexeme, _)| lexeme.starts_with(word));
                fits.flat_map(|(_, places)| places.iter().copied()).collect()
            } else {
                e.lexemes.get(word).cloned().unwrap_or_default()
            }
        };
        places(0, first).iter().any(|start| {
            wanted.iter().enumerate().all(|(n, (word, at))| places(n, word).contains(&(start + at - origin)))
        })
    }
}

fn collect_words(expr: &Expr, out: &mut Vec<String>) {
    match expr {
        Expr::And(parts) | Expr::Or(parts) => parts.iter().for_each(|p| collect_words(p, out)),
        Expr::Not(inner) => collect_words(inner, out),
        Expr::Words(words) => out.push(words.text.clone()),
        _ => {}
    }
}

fn column(found: &Match, e: &Seen) -> bool {
    let r = &e.event.row;
    let text = match found.field {
        Field::EventId => Some(&r.event_id),
        Field::ProjectId => r.project_id.as_ref(),
        Field::ActorType => Some(&r.actor_type),
        Field::Actor | Field::ActorId => Some(&r.actor_id),
        Field::ActorEmail => r.actor_email.as_ref(),
        Field::ActorIp => r.actor_ip.as_ref(),
        Field::ActorUserAgent => r.actor_user_agent.as_ref(),
        Field::EventCategory => Some(&r.event_category),
        Field::EventType => Some(&r.event_type),
        Field::EventSeverity => Some(&r.event_severity),
        Field::ResourceType => Some(&r.resource_type),
        Field::Resource | Field::ResourceId => Some(&r.resource_id),
        Field::ResourceName => r.resource_name.as_ref(),
        Field::Action => Some(&r.action),
        Field::RequestId => Some(&r.request_id),
        Field::SessionId => r.session_id.as_ref(),
        Field::Hash => Some(&r.hash),
        Field::PreviousHash => Some(&r.previous_hash),
    };
    let folded = |text: Option<&String>| text.map(|t| t.to_ascii_lowercase());
    let one = |m: &Matcher, text: Option<&str>| match m {
        Matcher::Present => text.is_some(),
        Matcher::Absent => text.is_none(),
        Matcher::Equals(v) => text == Some(v.as_str()),
        Matcher::Prefix(v) => text.is_some_and(|t| t.starts_with(v.as_str())),
        Matcher::Contains(v) => text.is_some_and(|t| t.contains(v.as_str())),
        Matcher::Network(n) => text.is_some_and(|t| inside(t, &n.to_string())),
        Matcher::Resource { resource_type, id, prefix } => {
            r.resource_type == *resource_type
                && if *prefix { r.resource_id.starts_with(id.as_str()) } else { r.resource_id == *id }
        }
    };
    let lower = |m: &Matcher| match m {
        Matcher::Equals(v) => Matcher::Equals(v.to_ascii_lowercase()),
        Matcher::Prefix(v) => Matcher::Prefix(v.to_ascii_lowercase()),
        Matcher::Contains(v) => Matcher::Contains(v.to_ascii_lowercase()),
        other => other.clone(),
    };
    found.any_of.iter().any(|m| match found.field {
        Field::Actor => {
            one(m, text.map(String::as_str)) || one(&lower(m), folded(r.actor_email.as_ref()).as_deref())
        }
        Field::ActorEmail => one(m, folded(text).as_deref()),
        _ => one(m, text.map(String::as_str)),
    })
}

fn inside(address: &str, network: &str) -> bool {
    let bits = |a: IpAddr| match a {
        IpAddr::V4(a) => (4, u128::from(a.to_bits()) << 96),
        IpAddr::V6(a) => (6, a.to_bits()),
    };
    let (network, length) = match network.split_once('/') {
        Some((n, l)) => (n, l.parse().unwrap()),
        None => (network, 128_u32),
    };
    let ((a, x), (b, y)) = (bits(address.parse().unwrap()), bits(network.parse().unwrap()));
    a == b && (length == 0 || (x ^ y).leading_zeros() >= length || x == y)
}

/// The values at a path.
fn values<'a>(state: Option<&'a Value>, path: &Path) -> Vec<&'a Value> {
    fn walk<'a>(value: &'a Value, steps: &[Step]) -> Option<&'a Value> {
        steps.iter().try_fold(value, |value, step| match step {
            Step::Key(key) => value.as_object()?.get(key),
            Step::Index(n) => value.as_array()?.get(*n as usize),
        })
    }
    /// What the steps lead to from every value in it, as `jsonb` orders them.
    fn anywhere<'a>(value: &'a Value, steps: &[Step], out: &mut Vec<&'a Value>) {
        out.extend(walk(value, steps));
        match value {
            Value::Array(items) => items.iter().for_each(|inner| anywhere(inner, steps, out)),
            Value::Object(members) => {
                let mut members: Vec<_> =
                    members.iter().filter(|(_, v)| v.is_object() || v.is_array()).collect();
                members.sort_by_key(|(k, _)| (k.len(), k.as_bytes()));
                for (_, inner) in members {
                    anywhere(inner, steps, out);
                }
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    match state {
        Some(state) if path.anywhere => anywhere(state, &path.steps, &mut found),
        Some(state) => found.extend(walk(state, &path.steps)),
        None => {}
    }
    found
}

fn passes(test: &Test, state: Option<&Value>, path: &Path) -> bool {
    let values = values(state, path);
    match test {
        Test::Null => values.iter().all(|v| v.is_null()),
        Test::Missing => values.is_empty(),
        Test::Present => values.iter().any(|v| !v.is_null()),
        _ => values.iter().any(|v| {
            is(test, v)
                || v.as_array().is_some_and(|elements| elements.iter().any(|element| is(test, element)))
        }),
    }
}

fn is(test: &Test, value: &Value) -> bool {
    match test {
        Test::Equals(wanted) => against(value, wanted) == Some(Ordering::Equal),
        Test::Prefix(text) => value.as_str().is_some_and(|v| v.starts_with(text.as_str())),
        Test::Contains(text) => value.as_str().is_some_and(|v| v.contains(text.as_str())),
        Test::Compare(comparison, wanted) => against(value, wanted).is_some_and(|order| match comparison {
            Comparison::Above => order.is_gt(),
            Comparison::AtLeast => order.is_ge(),
            Comparison::Below => order.is_lt(),
            Comparison::AtMost => order.is_le(),
        }),
        Test::Range(from, to) => {
            against(value, from).is_some_and(Ordering::is_ge)
                && against(value, to).is_some_and(Ordering::is_le)
        }
        Test::Null | Test::Missing | Test::Present => unreachable!("not about one value"),
    }
}

/// `None` where the types differ.
fn against(value: &Value, wanted: &Wanted) -> Option<Ordering> {
    match wanted {
        Wanted::Text(text) => Some(value.as_str()?.cmp(text)),
        Wanted::Number(number) => value.as_f64()?.partial_cmp(&number.as_str().parse().unwrap()),
        Wanted::Bool(truth) => Some(value.as_bool()?.cmp(truth)),
    }
}

/// Numbers by size, as `jsonb` compares them.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(k, v)| b.get(k).is_some_and(|w| same(v, w)))
        }
        _ => a == b,
    }
}

/// What an audit log says of a call is no state: nothing changed by it.
fn is_call(e: &Seen) -> bool {
    let has = |name: &str| e.new.as_ref().and_then(Value::as_object).is_some_and(|m| m.contains_key(name));
    e.old.is_none()
        && has("eventVersion")
        && has("eventType")
        && (has("userIdentity") || has("requestParameters"))
}

fn differs(e: &Seen, path: &Path) -> bool {
    if is_call(e) {
        return false;
    }
    let empty = Value::Object(serde_json::Map::new());
    let (old, new) = (e.old.as_ref().unwrap_or(&empty), e.new.as_ref().unwrap_or(&empty));
    if path.is_whole() {
        return !same(old, new);
    }
    let (old, new) = (values(Some(old), path), values(Some(new), path));
    old.len() != new.len() || old.iter().zip(&new).any(|(a, b)| !same(a, b))
}

fn without(state: Option<&Value>, paths: &[Path]) -> Value {
    fn remove(value: &mut Value, steps: &[Step]) {
        match (steps, value) {
            ([Step::Key(key)], Value::Object(members)) => drop(members.remove(key)),
            ([Step::Index(n)], Value::Array(items)) if (*n as usize) < items.len() => {
                drop(items.remove(*n as usize));
            }
            ([Step::Key(key), rest @ ..], Value::Object(members)) => {
                if let Some(inner) = members.get_mut(key) {
                    remove(inner, rest);
                }
            }
            ([Step::Index(n), rest @ ..], Value::Array(items)) => {
                if let Some(inner) = items.get_mut(*n as usize) {
                    remove(inner, rest);
                }
            }
            _ => {}
        }
    }
    let mut state = state.cloned().unwrap_or_else(|| Value::Object(serde_json::Map::new()));
    // Keys of the root first, as documented for places inside of one another.
    let (roots, deeper): (Vec<_>, Vec<_>) = paths.iter().partition(|p| p.steps.len() == 1);
    roots.into_iter().chain(deeper).for_each(|path| remove(&mut state, &path.steps));
    state
}

/// What the random filters are made of: texts that stand in the trail, as filters write them.
struct Vocabulary {
    columns: Vec<String>,
    paths: Vec<String>,
    values: Vec<String>,
    words: Vec<String>,
    times: Vec<String>,
}

impl Vocabulary {
    fn of(world: &World) -> Self {
        let quote = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
        let (mut columns, mut paths, mut values, mut words) =
            (BTreeSet::new(), BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let mut times = vec!["all-time".to_owned(), String::new(), "since:-30d".to_owned()];
        for e in world.organizations.iter().flat_map(|(_, seen)| seen.iter().step_by(23)) {
            let r = &e.event.row;
            for (name, text) in [
                ("actor", Some(&r.actor_id)),
                ("actor", r.actor_email.as_ref()),
                ("email", r.actor_email.as_ref()),
                ("ip", r.actor_ip.as_ref()),
                ("type", Some(&r.event_type)),
                ("resource_type", Some(&r.resource_type)),
                ("resource_id", Some(&r.resource_id)),
                ("resource_name", r.resource_name.as_ref()),
                ("sess", r.session_id.as_ref()),
                ("proj", r.project_id.as_ref()),
                ("req", Some(&r.request_id)),
                ("event_id", Some(&r.event_id)),
            ] {
                let Some(text) = text else { continue };
                columns.insert(format!("{name}:{}", quote(text)));
                if name != "ip" {
                    columns.insert(format!("{name}:{}*", quote(&text.chars().take(4).collect::<String>())));
                    if text.chars().count() > 1 {
                        columns.insert(format!(
                            "{name}~{}",
                            quote(&text.chars().skip(1).take(3).collect::<String>())
                        ));
                    }
                } else if r.actor_ip.as_ref().is_some_and(|ip| ip.contains('.')) {
                    columns.insert(format!("ip:{text}/24"));
                }
                words.extend(
                    text.split(|c: char| !c.is_ascii_alphanumeric())
                        .filter(|w| w.len() > 2)
                        .map(str::to_owned),
                );
            }
            columns.insert(format!("res:{}", quote(&format!("{}/{}", r.resource_type, r.resource_id))));
            columns.insert(format!("res:{}*", quote(&format!("{}/", r.resource_type))));
            times.push(format!("around:{} span:2h", r.event_id));
            times.push(format!("until:{}", r.timestamp));
            for state in [&e.old, &e.new].into_iter().flatten() {
                leaves(state, "", &mut |path, value| {
                    paths.insert(path.to_owned());
                    if let Some(last) = path.rsplit('.').next().filter(|l| !l.contains(['[', '"'])) {
                        paths.insert(format!("**.{last}"));
                    }
                    match value {
                        Value::String(text) => {
                            values.insert(quote(&text.chars().take(40).collect::<String>()));
                            let mut some =
                                text.split_whitespace().filter(|w| w.chars().all(char::is_alphanumeric));
                            words.extend(
                                some.next().zip(some.next()).map(|(a, b)| quote(&format!("{a} {b}"))),
                            );
                        }
                        other => {
                            values.insert(other.to_string());
                        }
                    }
                });
            }
        }
        columns.extend(
            [
                "sev:info..warning",
                "sev:critical",
                "cat:auth,admin",
                "action:update",
                "-action:read",
                "actor_type:user",
            ]
            .into_iter()
            .chain(["proj:null", "sess:*", "ip:null", "ip:0.0.0.0/0", "ua~Mozilla", "type:login.*,api_key.*"])
            .map(str::to_owned),
        );
        paths.extend(
            ["role", "roles[0]", "a.b", "a[1].role", "a.0", "nowhere", "\"a b\"", "**.a.b"]
                .map(str::to_owned),
        );
        let all = |set: BTreeSet<String>| set.into_iter().collect();
        Self { columns: all(columns), paths: all(paths), values: all(values), words: all(words), times }
    }

    fn filters(&self) -> impl Strategy<Value = String> + use<> {
        let pick = |list: &[String]| proptest::sample::select(list.to_vec());
        let path = || pick(&self.paths);
        let value = || {
            prop_oneof![
                6 => pick(&self.values),
                2 => prop_oneof![Just("null"), Just("missing"), Just("*"), Just("admin"), Just("5"), Just("\"5\"")]
                    .prop_map(str::to_owned),
            ]
        };
        let side = || prop_oneof![Just("old"), Just("new"), Just("any")];
        let number =
            || prop_oneof![Just("0"), Just("5"), Just("10.5"), Just("100"), Just("-1"), Just("\"admin\"")];
        let clock = || (0..24u8, 0..60u8).prop_map(|(h, m)| format!("{h:02}:{m:02}"));
        let term = prop_oneof![
            6 => pick(&self.columns),
            3 => (side(), path(), value()).prop_map(|(s, p, v)| format!("{s}.{p}:{v}")),
            1 => (side(), path(), value(), value()).prop_map(|(s, p, v, w)| format!("{s}.{p}:{v},{w}")),
            1 => (side(), path(), prop_oneof![Just(">"), Just(">="), Just("<"), Just("<=")], number())
                .prop_map(|(s, p, op, n)| format!("{s}.{p}{op}{n}")),
            1 => (side(), path()).prop_map(|(s, p)| format!("{s}.{p}:1..100,\"a\"..\"m\"")),
            1 => (side(), path()).prop_map(|(s, p)| format!("{s}.{p}~a,\"e\"")),
            2 => path().prop_map(|p| format!("changed:{p}")),
            1 => proptest::collection::vec(path(), 1..3).prop_map(|paths| {
                let rooted: Vec<_> = paths.iter().map(|p| p.trim_start_matches("**.")).collect();
                format!("onlychanged:{}", rooted.join(","))
            }),
            2 => (path(), value(), value()).prop_map(|(p, v, w)| format!("any.{p}:{v}->{w}")),
            1 => (path(), value()).prop_map(|(p, v)| format!("any.{p}:->{v}")),
            1 => (path(), value()).prop_map(|(p, v)| format!("any.{p}:{v}->")),
            3 => pick(&self.words),
            1 => pick(&self.words).prop_map(|w| if w.starts_with('"') { w } else { format!("{}*", &w[..2]) }),
            1 => prop_oneof![Just("/admin/"), Just("/^user-/"), Just("/ADMIN/i"), Just("/rotate/")].prop_map(str::to_owned),
            1 => (clock(), clock()).prop_filter("some time", |(a, b)| a != b).prop_map(|(a, b)| format!("tod:{a}..{b}")),
            1 => prop_oneof![Just("dow:sat,sun"), Just("dow:fri..mon"), Just("dow:wed")].prop_map(str::to_owned),
            1 => prop_oneof![Just("integrity:broken"), Just("is:noted"), Just("tag:x")].prop_map(str::to_owned),
        ];
        let expr = term.prop_recursive(2, 6, 3, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 2..4).prop_map(|parts| {
                    format!("({})", parts.iter().map(|p| format!("({p})")).collect::<Vec<_>>().join(" OR "))
                }),
                proptest::collection::vec(inner.clone(), 2..3)
                    .prop_map(|parts| format!("({})", parts.join(" "))),
                inner.prop_map(|e| format!("NOT ({e})")),
            ]
        });
        let zone =
            prop_oneof![3 => Just(""), 1 => Just(" zone:Europe/Berlin"), 1 => Just(" zone:Asia/Kathmandu")];
        (expr, pick(&self.times), zone).prop_map(|(expr, time, zone)| {
            // A regular expression wants a window.
            let time = if expr.contains('/') && time == "all-time" { "since:-90d" } else { &time };
            format!("{expr} {time}{zone}")
        })
    }
}

fn leaves(value: &Value, path: &str, found: &mut impl FnMut(&str, &Value)) {
    match value {
        Value::Object(members) => {
            for (key, inner) in members {
                let bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
                let key = if bare { key.clone() } else { format!("\"{}\"", key.replace('"', "\\\"")) };
                let path = if path.is_empty() { key } else { format!("{path}.{key}") };
                leaves(inner, &path, found);
            }
        }
        Value::Array(items) if !path.is_empty() => {
            if let Some(first) = items.first() {
                if !first.is_object() && !first.is_array() {
                    found(path, first);
                }
                leaves(first, &format!("{path}[0]"), found);
            }
        }
        Value::Array(_) => {}
        leaf if !path.is_empty() => found(path, leaf),
        _ => {}
    }
}

async fn compare_many(events: u64, odd: usize, filters: usize) {
    let mut world = world(events, odd).await;
    let mut something = 0;
    for text in EXAMPLES {
        something += usize::from(world.compare(text).await > 0);
    }
    assert!(something >= 12, "only {something} examples find something");
    let strategy = Vocabulary::of(&world).filters();
    let mut runner = runner(2);
    let (mut some, mut total) = (0, 0);
    for n in 0..filters {
        if n > 0 && n % 500 == 0 {
            println!("{n} filters so far");
        }
        let text = sample(&mut runner, &strategy);
        let found = world.compare(&text).await;
        some += usize::from(found > 0);
        total += found;
    }
    println!("{filters} random filters: {some} found something, {total} events in all");
    assert!(some * 2 > filters, "only {some} of {filters} filters find something");
    world.connection.close().await.unwrap();
    world.db.close().await;
    world.test.drop_now().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filters_find_what_an_interpreter_finds() {
    compare_many(4_000, 400, 300).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: 50 000 events, 5 000 filters"]
async fn many_filters_find_what_an_interpreter_finds() {
    compare_many(50_000, 2_000, 5_000).await;
}

/// What is planted in the demo is found by the filters that are said to find it, and nothing else is.
#[tokio::test]
async fn what_is_planted_is_found() {
    let world = world(3_000, 0).await;
    let scope = OrgScope::enter(OrgId::new(PLANTED_IN).unwrap());
    for fact in demo::planted() {
        let filter = Filter::parse(&fact.filter).unwrap();
        assert_eq!(Filter::parse(&filter.canonical()), Ok(filter.clone()));
        let query = Query { scope: scope.clone(), filter, range: TimeRange::default() };
        let page = timeline::page(&world.db, &query, &Seek::Newest, 10_000, &CancellationToken::new())
            .await
            .unwrap();
        let found: BTreeSet<&str> = page.rows.iter().map(|e| e.event_id.as_str()).collect();
        let planted: BTreeSet<&str> = fact.event_ids.iter().map(String::as_str).collect();
        assert_eq!(found, planted, "{}: {}", fact.name, fact.filter);
    }
    world.connection.close().await.unwrap();
    world.db.close().await;
    world.test.drop_now().await;
}

#[tokio::test]
async fn the_surroundings_of_an_event_are_the_fifty_on_either_side() {
    let world = world(2_000, 0).await;
    let (scope, seen) = &world.organizations[0];
    let middle: EventKey = seen[700].event.row.key();
    let filter = Filter::parse(&format!("around:{}", middle.event_id)).unwrap();
    let cancel = CancellationToken::new();
    let frozen = bounds::freeze(&world.db, scope, &filter, world.now, WINDOW, &cancel).await.unwrap();
    let instant = |n: usize| seen[n].event.row.timestamp;
    assert_eq!(frozen.range.since, Some(instant(750)));
    assert_eq!(frozen.range.until, Some(Timestamp::from_micros(instant(650).as_micros() + 1)));
    let gone = Filter::parse("around:evt-nowhere").unwrap();
    let error = bounds::freeze(&world.db, scope, &gone, world.now, WINDOW, &cancel).await.unwrap_err();
    assert!(error.to_string().contains("evt-nowhere"), "{error}");
    world.connection.close().await.unwrap();
    world.db.close().await;
    world.test.drop_now().await;
}
