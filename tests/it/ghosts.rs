//! Changes without an event: planted ones are all found, and an honest trail is quiet.

use crate::support::{self, TestDatabase};
use agenttrace::demo::{Settings, Trail};
use agenttrace::diff::ghost::Ghost;
use agenttrace::diff::writing::Writing;
use agenttrace::domain::{Action, Json, NewEvent, OrgId, OrgScope, TimeRange, Timestamp};
use agenttrace::filter::Filter;
use agenttrace::store::query::Query;
use agenttrace::store::writer::BulkWriter;
use agenttrace::store::{ReadDb, ReadSettings, WriteDb};
use agenttrace::verify::{Ghosts, ghosts};
use serde_json::{Map, Value};
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use std::collections::{HashMap, HashSet};
use tokio_util::sync::CancellationToken;

type Id = (String, String);

fn id(event: &NewEvent) -> Id {
    (event.resource_type.clone(), event.resource_id.clone())
}

/// The events of one organisation of the demo.
fn trail(events: u64) -> Vec<NewEvent> {
    let until = Timestamp::parse("2026-07-01T09:30:00Z").unwrap();
    let trail = Trail::new(Settings::new(3, until, events).unwrap()).unwrap();
    trail.filter(|e| e.organization_id.as_str() == "acme").collect()
}

fn members(state: Option<&Json>) -> Map<String, Value> {
    let value = state.and_then(|s| serde_json::from_str(s.as_str()).ok());
    if let Some(Value::Object(map)) = value { map } else { Map::new() }
}

/// As a writer would that stores only the members an update touches.
fn partial(mut event: NewEvent) -> NewEvent {
    if event.action == Action::Update {
        let (old, new) = (members(event.previous_state.as_ref()), members(event.new_state.as_ref()));
        let touched = |mine: &Map<String, Value>, other: &Map<String, Value>| {
            let part: Map<String, Value> = mine
                .iter()
                .filter(|(k, v)| other.get(*k) != Some(v))
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect();
            Json::from_trusted(Value::Object(part).to_string())
        };
        event.previous_state = Some(touched(&old, &new));
        event.new_state = Some(touched(&new, &old));
    }
    event
}

/// Updates, of different resources, whose absence the next event gives away.
fn bypasses(events: &[NewEvent], most: usize) -> Vec<usize> {
    let mut created: HashSet<Id> = HashSet::new();
    let mut last: HashMap<Id, usize> = HashMap::new();
    let mut found: HashMap<Id, usize> = HashMap::new();
    for (at, event) in events.iter().enumerate() {
        let seen = members(event.previous_state.as_ref());
        if let Some(before) = last.get(&id(event)).copied()
            && let update = &events[before]
            && update.action == Action::Update
        {
            let (old, new) = (members(update.previous_state.as_ref()), members(update.new_state.as_ref()));
            // Only what is seen again tells that it changed in between.
            if seen.iter().any(|(k, v)| old.contains_key(k) && old.get(k) != Some(v) && new.get(k) == Some(v))
            {
                found.entry(id(event)).or_insert(before);
            }
        }
        if event.action == Action::Create {
            created.insert(id(event));
        }
        if event.previous_state.is_some() && created.contains(&id(event)) {
            last.insert(id(event), at);
        }
    }
    let mut found: Vec<usize> = found.into_values().collect();
    found.sort_unstable();
    let step = (found.len() / most).max(1);
    found.into_iter().step_by(step).take(most).collect()
}

async fn load(events: &[NewEvent]) -> TestDatabase {
    let database = support::database().await;
    let mut writer =
        BulkWriter::begin(WriteDb::connect(database.options.clone()).await.unwrap()).await.unwrap();
    for batch in events.chunks(2_000) {
        writer.append(batch.to_vec()).await.unwrap();
    }
    writer.finish().await.unwrap();
    database
}

async fn search(database: &TestDatabase, filter: &str) -> Ghosts {
    let db = ReadDb::connect(database.options.clone(), ReadSettings::default()).await.unwrap();
    let query = Query {
        scope: OrgScope::enter(OrgId::new("acme").unwrap()),
        filter: Filter::parse(filter).unwrap(),
        range: TimeRange::default(),
    };
    let found = ghosts(&db, &query, &|_| {}, &CancellationToken::new()).await.unwrap();
    db.close().await;
    found
}

/// Leaves `planted` changes out of a trail of `events` events, half of them before it is written and half by deleting
/// their rows afterwards, and looks for them; then looks for ghosts where there are none.
async fn planted_changes_are_found(events: u64, planted: usize, as_partial: bool) {
    let mut honest = trail(events);
    if as_partial {
        honest = honest.into_iter().map(partial).collect();
    }
    let left_out = bypasses(&honest, planted);
    assert_eq!(left_out.len(), planted, "the trail is too short");
    let (unwritten, deleted): (Vec<usize>, Vec<usize>) = left_out.iter().partition(|at| *at % 2 == 0);
    assert!(!unwritten.is_empty() && !deleted.is_empty());

    let database = load(&honest).await;
    let quiet = search(&database, "").await;
    assert_eq!(quiet.total(), 0, "{:?}", quiet.types);
    // The demo has a state that is too large to be looked at in passing.
    assert!(quiet.left_out < 5, "{}", quiet.left_out);
    assert!(quiet.compared() > events / 20, "{}", quiet.compared());
    assert_eq!(quiet.types.iter().any(|t| t.writing == Writing::Partial), as_partial);
    database.drop_now().await;

    let written: Vec<NewEvent> =
        honest.iter().enumerate().filter(|(at, _)| !unwritten.contains(at)).map(|(_, e)| e.clone()).collect();
    let database = load(&written).await;
    let ids: Vec<&str> = deleted.iter().map(|at| honest[*at].event_id.as_str()).collect();
    let mut c = PgConnection::connect_with(&database.options).await.unwrap();
    sqlx::raw_sql("ALTER TABLE audit_events DISABLE TRIGGER USER").execute(&mut c).await.unwrap();
    let gone =
        sqlx::query("DELETE FROM audit_events WHERE event_id = ANY ($1)").bind(&ids).execute(&mut c).await;
    assert_eq!(gone.unwrap().rows_affected() as usize, deleted.len());
    c.close().await.unwrap();

    let found = search(&database, "").await;
    let ghosts: Vec<_> = found.types.iter().flat_map(|t| &t.ghosts).collect();
    let seen: HashSet<Id> = ghosts.iter().map(|g| (g.resource_type.clone(), g.resource_id.clone())).collect();
    let wanted: HashSet<Id> = left_out.iter().map(|at| id(&honest[*at])).collect();
    assert_eq!(seen, wanted);
    // In partial states one change of several members may come to light at several later events.
    assert!(found.total() as usize == planted || as_partial && ghosts.len() > planted, "{}", found.total());
    for at in &left_out {
        let event = &honest[*at];
        let around = |g: &&&Ghost| {
            (&g.resource_type, &g.resource_id) == (&event.resource_type, &event.resource_id)
                && g.after.1 <= event.timestamp
                && event.timestamp <= g.before.1
        };
        let ghost = ghosts.iter().find(around).unwrap_or_else(|| panic!("{event:?}"));
        // A row that was there once left a gap.
        if deleted.contains(at) {
            assert!(!found.gaps_at(ghost).is_empty(), "{ghost:?}");
        }
    }
    // A filter picks resources; all of their events are looked at.
    let one = &honest[left_out[0]];
    let filter = format!("res:{}/{} action:create", one.resource_type, one.resource_id);
    let of_one = search(&database, &filter).await;
    let expected = ghosts.iter().filter(|g| g.resource_id == one.resource_id).count();
    assert_eq!((of_one.total() as usize, of_one.types.len()), (expected, 1));
    let of_many = search(&database, "action:create").await;
    assert_eq!(of_many.total(), found.total());
    database.drop_now().await;
}

#[tokio::test]
async fn planted_changes_are_found_in_a_short_trail() {
    planted_changes_are_found(4_000, 10, false).await;
}

#[tokio::test]
async fn planted_changes_are_found_where_states_are_partial() {
    planted_changes_are_found(4_000, 6, true).await;
}

#[tokio::test]
#[ignore = "long: 100 000 events, four times"]
async fn fifty_planted_changes_in_100_000_events() {
    planted_changes_are_found(100_000, 50, false).await;
    planted_changes_are_found(100_000, 50, true).await;
}

/// A resource, what was done to it, its state before and after.
type Ticket = (String, Action, Option<String>, Option<String>);

/// Events of the type `ticket`.
fn tickets(events: &[Ticket]) -> Vec<NewEvent> {
    let pattern = trail(2_000).remove(0);
    let json = |state: &Option<String>| state.clone().map(Json::from_trusted);
    let event = |(n, (id, action, old, new)): (usize, &Ticket)| NewEvent {
        event_id: format!("t-{n:04}"),
        timestamp: Timestamp::from_micros(1_772_600_000_000_000 + n as i64 * 1_000_000),
        resource_type: "ticket".to_owned(),
        resource_id: id.clone(),
        action: *action,
        previous_state: json(old),
        new_state: json(new),
        ..pattern.clone()
    };
    events.iter().enumerate().map(event).collect()
}

#[tokio::test]
async fn an_audit_trigger_that_stores_only_what_changed_is_learnt_and_said() {
    let row =
        |status: &str, amount: u32| Some(format!(r#"{{"id":1,"status":"{status}","amount":{amount}}}"#));
    let mut life = Vec::new();
    for id in 1..=6 {
        let id = id.to_string();
        let mut step = |action, old, new| life.push((id.clone(), action, old, new));
        step(Action::Create, None, row("NEW", 100));
        step(Action::Update, row("NEW", 100), Some(r#"{"status":"OPEN"}"#.to_owned()));
        step(Action::Update, row("OPEN", 100), Some(r#"{"amount":150}"#.to_owned()));
        step(Action::Update, row("OPEN", 150), Some(r#"{"status":"CLOSED"}"#.to_owned()));
        step(Action::Delete, row("CLOSED", 150), None);
    }
    let database = load(&tickets(&life)).await;
    let found = search(&database, "").await;
    assert_eq!((found.total(), found.compared(), found.types[0].writing), (0, 24, Writing::ChangedAfter));
    let mut program = support::agenttrace();
    let output = program
        .args(["--database-url", &database.url(), "--org", "acme", "--all-time", "ghosts"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("ticket: states after hold only what changed"), "{text}");
    database.drop_now().await;
}

/// Exit code, and what the program writes to stdout and stderr.
fn run(database: &TestDatabase, args: &[&str]) -> (i32, String, String) {
    let mut program = support::agenttrace();
    program.args(["--database-url", &database.url(), "--org", "acme", "--all-time"]).args(args);
    let output = program.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn document(database: &TestDatabase, args: &[&str]) -> Value {
    let (_, said, why) = run(database, &[args, &["--format", "json"]].concat());
    serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}{why}"))
}

/// What an event changed, and which events changed a member, must not depend on how much of a state its writer stores.
#[tokio::test]
async fn states_in_part_are_completed_wherever_changes_are_shown() {
    let whole = [
        r#"{"id":1,"status":"NEW","amount":100}"#,
        r#"{"id":1,"status":"OPEN","amount":100}"#,
        r#"{"id":1,"status":"OPEN","amount":150}"#,
        r#"{"id":1,"status":"CLOSED","amount":150}"#,
    ];
    let before = [r#"{"status":"NEW"}"#, r#"{"amount":100}"#, r#"{"status":"OPEN"}"#];
    let after = [r#"{"status":"OPEN"}"#, r#"{"amount":150}"#, r#"{"status":"CLOSED"}"#];
    let text = |text: &str| Some(text.to_owned());
    for (old_whole, new_whole, states) in [
        (true, true, "full"),
        (true, false, "changed_after"),
        (false, true, "changed_before"),
        (false, false, "partial"),
    ] {
        let mut life = Vec::new();
        for id in 1..=6 {
            let mut step = |action, old, new| life.push((id.to_string(), action, old, new));
            step(Action::Create, None, text(whole[0]));
            for n in 0..3 {
                let old = if old_whole { whole[n] } else { before[n] };
                let new = if new_whole { whole[n + 1] } else { after[n] };
                step(Action::Update, text(old), text(new));
            }
        }
        let database = load(&tickets(&life)).await;
        // The second update of the first ticket: the amount.
        let diff = document(&database, &["diff", "t-0002"]);
        let changes: Vec<_> = diff["changes"].as_array().unwrap().iter().map(|c| &c["path"]).collect();
        assert_eq!((diff["states"].as_str(), changes), (Some(states), vec![&Value::from("/amount")]));
        let ids = |filter: &str| -> Vec<String> {
            let found = document(&database, &["events", filter, "res:ticket/1", "--order", "asc"]);
            let id = |event: &Value| event["event_id"].as_str().unwrap().to_owned();
            found["events"].as_array().unwrap().iter().map(id).collect()
        };
        assert_eq!(ids("changed:amount action:update"), ["t-0002"], "{states}");
        assert_eq!(ids("onlychanged:status action:update"), ["t-0001", "t-0003"], "{states}");
        assert_eq!(ids("amount:100->"), ["t-0002"], "{states}");
        let at = document(&database, &["resource", "ticket", "1", "--at", "2027-01-01T00:00:00Z"]);
        let wanted: Value = serde_json::from_str(whole[3]).unwrap();
        assert_eq!((&at["state"], at["unknown"].as_array().map(Vec::len)), (&wanted, Some(0)), "{states}");
        let counts: Vec<_> = at["versions"].as_array().unwrap().iter().map(|v| &v["changes"]).collect();
        assert_eq!(counts, [3, 1, 1, 1], "{states}");
        let blamed = document(&database, &["resource", "ticket", "1", "--blame"]);
        let by = |path: &str| {
            let lines = blamed["blame"].as_array().unwrap();
            lines.iter().find(|l| l["path"] == path).map(|l| l["event_id"].as_str().unwrap_or("?").to_owned())
        };
        let all = [by("/amount"), by("/id"), by("/status")].map(Option::unwrap);
        assert_eq!(all, ["t-0002", "t-0000", "t-0003"], "{states}");
        let (_, _, why) = run(&database, &["diff", "t-0002"]);
        assert_eq!(why.contains("states"), states != "full", "{why}");
        database.drop_now().await;
    }
}

#[tokio::test]
async fn records_of_calls_are_no_states_anywhere() {
    let call = |n: usize| {
        format!(
            r#"{{"eventVersion":"1.08","eventType":"AwsApiCall","userIdentity":{{"userName":"ada"}},"requestParameters":{{"role":"admin","maxResults":{n}}},"errorCode":"AccessDenied"}}"#
        )
    };
    let events: Vec<_> = (0..5).map(|n| ("i-1".to_owned(), Action::Update, None, Some(call(n)))).collect();
    let database = load(&tickets(&events)).await;
    let run = |args: &[&str]| {
        let mut program = support::agenttrace();
        program.args(["--database-url", &database.url(), "--org", "acme", "--all-time"]).args(args);
        let output = program.output().unwrap();
        (
            output.status.code().unwrap(),
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (code, said, why) = run(&["ghosts"]);
    assert_eq!(code, 4, "{said}{why}");
    assert!(
        said.starts_with("GHOSTS acme: 5 events, 0 pairs compared, 0 changes without an event"),
        "{said}"
    );
    assert!(why.contains("the 5 events that were read record calls (AWS CloudTrail), not states"), "{why}");
    let (_, json, _) = run(&["ghosts", "--format", "json"]);
    let document: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(document["resource_types"][0]["calls"], 5);

    for filter in
        ["changed:**.role", "changed:requestParameters", "onlychanged:x", "new.requestParameters.role:admin"]
    {
        let (_, listed, _) = run(&["events", filter, "--format", "json"]);
        let document: Value = serde_json::from_str(&listed).unwrap();
        let wanted = if filter.starts_with("new.") { 5 } else { 0 };
        assert_eq!(document["events"].as_array().unwrap().len(), wanted, "{filter}");
    }
    let (code, said, _) = run(&["diff", "t-0000"]);
    assert_eq!(code, 0, "no change: {said}");
    assert!(said.contains("a call, as AWS CloudTrail recorded it: no states, so no change"), "{said}");
    let place = |word: &str| said.find(word).unwrap_or_else(|| panic!("{word} is missing in {said}"));
    assert!(place("request") < place("AccessDenied") && place("AccessDenied") < place("ada"), "{said}");
    let (_, said, _) = run(&["diff", "t-0000", "--format", "json"]);
    let document: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&document["comparison"], &document["differs"]), (&"call".into(), &false.into()));
    let (_, said, _) = run(&["resource", "ticket", "i-1", "--blame"]);
    assert!(said.contains("the events record calls (AWS CloudTrail), not states"), "{said}");
    let (_, said, _) = run(&["resource", "ticket", "i-1", "--at", "2027-01-01T00:00:00Z"]);
    assert!(said.contains("unknown: the events record calls (AWS CloudTrail), not states"), "{said}");
    let (_, said, _) = run(&["resource", "ticket", "i-1"]);
    assert!(said.contains("Δ-") && !said.contains("Δ1"), "{said}");
    database.drop_now().await;
}

#[tokio::test]
async fn the_command_says_what_it_found_by_its_exit_code() {
    let honest = trail(2_000);
    let at = bypasses(&honest, 1)[0];
    let mut written = honest.clone();
    let hidden = written.remove(at);
    for (events, code) in [(&honest, 0), (&written, 1)] {
        let database = load(events).await;
        let run = |more: &[&str]| {
            let mut program = support::agenttrace();
            program
                .args(["--database-url", &database.url(), "--org", "acme", "--all-time", "ghosts"])
                .args(more);
            program.output().unwrap()
        };
        let output = run(&["--format", "json"]);
        assert_eq!(output.status.code(), Some(code));
        let document: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&document["schema_version"], &document["total"]), (&1.into(), &code.into()));
        let output = run(&[]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.starts_with("GHOSTS acme: "), "{text}");
        assert_eq!(
            text.contains(&format!("{}/{}", hidden.resource_type, hidden.resource_id)),
            code == 1,
            "{text}"
        );
        assert!(!String::from_utf8_lossy(&output.stderr).contains("error"));
        assert_eq!(run(&["res:no/such"]).status.code(), Some(4));
        database.drop_now().await;
    }
}
