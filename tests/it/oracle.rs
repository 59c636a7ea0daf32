//! Canonical text and hashes against PostgreSQL, against Python, and against events of the original system.

use crate::support;
use agenttrace::chain::{Canonicaliser, EventText, Fields, Inet, Limits, to_hex};
use agenttrace::domain::{Event, Json, NewEvent, OrgId, OrgScope, Timestamp};
use agenttrace::store::listing::timeline;
use agenttrace::store::writer::{Fate, PreservedEvent, Writer, WriterSettings};
use agenttrace::store::{ReadDb, ReadSettings, WriteDb};
use rand_core::{Rng as _, SeedableRng as _};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
#[expect(
    clippy::disallowed_types,
    reason = "a function is made for each expression, of this file's own texts"
)]
use sqlx::AssertSqlSafe;
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tokio_util::sync::CancellationToken;

fn canonical(json: &str) -> Result<String, String> {
    let mut out = Vec::new();
    Canonicaliser::new(Limits::WRITE).append(json.as_bytes(), &mut out).map_err(|e| e.to_string())?;
    Ok(String::from_utf8(out).unwrap())
}

fn content(fields: &Fields<'_>) -> EventText {
    EventText::of(fields, &mut Canonicaliser::new(Limits::WRITE)).unwrap()
}

// ---------------------------------------------------------------- random texts

/// Random JSON texts: every spelling of numbers and strings, repeated and unsorted keys, blanks.
struct Texts(rand_chacha::ChaCha8Rng);

impl Texts {
    fn new(seed: u64) -> Self {
        Self(rand_chacha::ChaCha8Rng::seed_from_u64(seed))
    }

    fn below(&mut self, n: u32) -> u32 {
        self.0.next_u32() % n
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len() as u32) as usize]
    }

    fn digits(&mut self, most: u32) -> String {
        (0..=self.below(most)).map(|_| self.pick(&["0", "0", "1", "5", "9"])).collect()
    }

    fn number(&mut self) -> String {
        let integer = match self.below(3) {
            0 => "0".to_owned(),
            1 => format!("{}{}", self.pick(&["1", "4", "9"]), self.digits(2)),
            _ => format!("{}{}", self.pick(&["1", "4", "9"]), self.digits(24)),
        };
        let fraction = if self.below(2) == 0 { format!(".{}", self.digits(20)) } else { String::new() };
        let exponent = match self.below(4) {
            0 => format!("{}{}{}", self.pick(&["e", "E"]), self.pick(&["", "+", "-"]), self.below(30)),
            1 if self.below(4) == 0 => format!("e{}{}", self.pick(&["", "-"]), self.below(400)),
            _ => String::new(),
        };
        format!("{}{integer}{fraction}{exponent}", self.pick(&["", "-"]))
    }

    fn string(&mut self, most: u32) -> String {
        let mut s = String::from("\"");
        for _ in 0..self.below(most) {
            s.push_str(self.pick(&[
                "a",
                "b",
                "Z",
                " ",
                "/",
                "\\/",
                "\\\"",
                "\\\\",
                "\\b",
                "\\f",
                "\\n",
                "\\r",
                "\\t",
                "\\u0001",
                "\u{7f}",
                "\\u007F",
                "é",
                "\\u00e9",
                "\\u00C9",
                "\u{2028}",
                "\u{ffff}",
                "\u{ff5e}",
                "😀",
                "\\ud83d\\ude00",
                "\u{10ffff}",
                "abcdefgh",
                "日本",
            ]));
        }
        s + "\""
    }

    fn blank(&mut self) -> &'static str {
        self.pick(&["", "", "", " ", "\n", "\t\r "])
    }

    fn value(&mut self, depth: u32) -> String {
        let mut text = self.blank().to_owned();
        match self.below(if depth == 0 { 6 } else { 10 }) {
            0 => text.push_str(self.pick(&["true", "false", "null"])),
            1..=3 => text.push_str(&self.number()),
            4 | 5 => text.push_str(&self.string(12)),
            6 | 7 => {
                let items: Vec<_> = (0..self.below(5)).map(|_| self.value(depth - 1)).collect();
                let blank = self.blank();
                text = text + "[" + blank + &items.join(",") + "]";
            }
            _ => {
                let member = |texts: &mut Self| {
                    let (key, before, after) = (texts.string(4), texts.blank(), texts.blank());
                    format!("{before}{key}{after}:{}", texts.value(depth - 1))
                };
                let members: Vec<_> = (0..self.below(7)).map(|_| member(self)).collect();
                let blank = self.blank();
                text = text + "{" + blank + &members.join(",") + "}";
            }
        }
        text + self.blank()
    }
}

/// `jsonb`'s text of each text, `None` where PostgreSQL refuses it.
async fn as_jsonb(c: &mut PgConnection, texts: &[String]) -> Vec<Option<String>> {
    tried(c, "jsonb", "t::jsonb::text", texts).await
}

/// The result of an expression over each text `t`, `None` where it is an error.
async fn tried(c: &mut PgConnection, name: &str, expression: &str, texts: &[String]) -> Vec<Option<String>> {
    let function = format!(
        "CREATE OR REPLACE FUNCTION pg_temp.try_{name}(t text) RETURNS text LANGUAGE plpgsql AS $$ \
         BEGIN RETURN {expression}; EXCEPTION WHEN OTHERS THEN RETURN NULL; END $$"
    );
    sqlx::raw_sql(AssertSqlSafe(function)).execute(&mut *c).await.unwrap();
    let query =
        format!("SELECT pg_temp.try_{name}(t) FROM unnest($1::text[]) WITH ORDINALITY AS u(t, n) ORDER BY n");
    sqlx::query_scalar(AssertSqlSafe(query)).bind(texts).fetch_all(c).await.unwrap()
}

#[tokio::test]
async fn canonical_text_is_that_of_what_jsonb_returns() {
    let mut c = PgConnection::connect_with(&support::server()).await.unwrap();
    let mut texts = Texts::new(1);
    let inputs: Vec<String> = (0..6000).map(|i| texts.value(i % 6)).collect();
    for (input, stored) in inputs.iter().zip(as_jsonb(&mut c, &inputs).await) {
        let stored = stored.unwrap_or_else(|| panic!("PostgreSQL refuses {input}"));
        assert_eq!(canonical(input), canonical(&stored), "{input}\n{stored}");
        assert!(canonical(input).is_ok(), "{input}");
    }
}

#[tokio::test]
async fn what_postgresql_refuses_is_refused_and_the_reverse() {
    const PIECES: &[&str] = &[
        "{", "}", "[", "]", ",", ":", "\"", "\"a\"", "\"b\":", "\\", "\\u00", "\\ud83d", "\\ude00",
        "\\u0000", "0", "-", "1", ".", "e", "E5", "+", "9", " ", "\n", "\u{b}", "true", "null", "nul",
        "\u{7f}", "é", "\u{a0}", "\u{feff}", "\\n", "\\x",
    ];
    let mut c = PgConnection::connect_with(&support::server()).await.unwrap();
    let mut texts = Texts::new(2);
    let mut inputs: Vec<String> = (0..20_000)
        .map(|_| (0..=texts.below(9)).map(|_| PIECES[texts.below(PIECES.len() as u32) as usize]).collect())
        .collect();
    // And valid texts with one piece put in somewhere.
    for _ in 0..5000 {
        let mut text = texts.value(2);
        let mut at = texts.below(text.len() as u32 + 1) as usize;
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        text.insert_str(at, PIECES[texts.below(PIECES.len() as u32) as usize]);
        inputs.push(text);
    }
    let mut accepted = 0;
    for (input, stored) in inputs.iter().zip(as_jsonb(&mut c, &inputs).await) {
        match (canonical(input), stored) {
            (Ok(_), Some(_)) => accepted += 1,
            (Err(_), None) => {}
            // The one difference, on purpose.
            (Err(reason), Some(stored)) => {
                assert!(reason.contains("more than 4096 digits") && stored.len() > 4096, "{input}");
            }
            (Ok(text), None) => panic!("PostgreSQL refuses {input:?}, which became {text}"),
        }
    }
    assert!((500..20_000).contains(&accepted), "{accepted}");
}

#[tokio::test]
async fn addresses_are_taken_and_printed_as_postgresql_does() {
    let mut c = PgConnection::connect_with(&support::server()).await.unwrap();
    let mut texts = Texts::new(3);
    let mut inputs = Vec::new();
    for i in 0..30_000 {
        let mut text = String::new();
        if i % 3 == 0 {
            for octet in 0..=texts.below(4) {
                let bound = if texts.below(8) == 0 { 400 } else { 256 };
                let value = texts.below(bound);
                text += if octet == 0 { "" } else { "." };
                text = text + texts.pick(&["", "", "", "0"]) + &value.to_string();
            }
        } else {
            for _ in 0..=texts.below(9) {
                let group =
                    ["0", "0", "0", "1", "ffff", "FE80", "64", "00a", "12345", "", ":", "192.0.2.1", "1.2"];
                text += texts.pick(&group);
                text += texts.pick(&[":", ":", ":", ":", ":", "::", "."]);
            }
            if texts.below(2) == 0 {
                text.pop();
            }
        }
        if texts.below(4) == 0 {
            text = text + "/" + texts.pick(&["", "", "0"]) + &texts.below(140).to_string();
        }
        text += texts.pick(&["", "", "", "", "", "", "", " ", ".", "/", "%eth0", "x"]);
        inputs.push(text);
    }
    let printed = tried(&mut c, "inet", "trim(both '\"' from to_json(t::inet)::text)", &inputs).await;
    let mut accepted = 0;
    for (input, printed) in inputs.iter().zip(printed) {
        assert_eq!(input.parse::<Inet>().ok().map(|i| i.to_string()), printed, "{input}");
        accepted += usize::from(printed.is_some());
    }
    assert!(accepted > 1000, "{accepted}");
}

// ---------------------------------------------------------------- Python

/// One document a line.
fn joined(lines: &[Value]) -> String {
    lines.iter().fold(String::new(), |text, line| text + &line.to_string() + "\n")
}

/// Runs the oracle on one document a line. `None` where there is no python3.
fn python(mode: &str, lines: &[Value]) -> Option<Vec<Value>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle/canonical.py");
    let mut child = match Command::new("python3")
        .arg(script)
        .arg(mode)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
    {
        Ok(child) => child,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            println!("skipped: there is no python3");
            return None;
        }
        Err(e) => panic!("{e}"),
    };
    let input = joined(lines);
    let mut stdin = child.stdin.take().unwrap();
    let feeder = std::thread::spawn(move || stdin.write_all(input.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap();
    assert!(output.status.success());
    let answers: Vec<Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(answers.len(), lines.len());
    Some(answers)
}

fn vectors(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/vectors").join(name)
}

/// Keeps what the oracle said for machines without Python, when `AGENTTRACE_WRITE_VECTORS` is set.
fn keep(name: &str, lines: &[Value]) {
    if std::env::var_os("AGENTTRACE_WRITE_VECTORS").is_some() {
        std::fs::write(vectors(name), joined(lines)).unwrap();
    }
}

fn kept(name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(vectors(name)).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.len() > 50, "{name} has {} vectors", lines.len());
    lines
}

#[tokio::test]
async fn python_writes_the_same_text_for_what_postgresql_returns() {
    let mut c = PgConnection::connect_with(&support::server()).await.unwrap();
    let mut texts = Texts::new(4);
    let mut inputs: Vec<String> = (0..3000).map(|i| texts.value(i % 5)).collect();
    // Floats as Python writes them; it knows exponents, PostgreSQL writes them out.
    for _ in 0..3000 {
        let float = f64::from_bits(u64::from(texts.0.next_u32()) << 32 | u64::from(texts.0.next_u32()));
        if float.is_finite() {
            inputs.push(format!("{float:e}"));
        }
    }
    let stored: Vec<String> = as_jsonb(&mut c, &inputs).await.into_iter().map(Option::unwrap).collect();
    let lines: Vec<Value> = stored.iter().map(|text| json!(text)).collect();
    let Some(answers) = python("states", &lines) else { return };
    let mut sample = Vec::new();
    for (i, ((input, stored), answer)) in inputs.iter().zip(&stored).zip(&answers).enumerate() {
        let expected = answer.as_str().unwrap();
        assert_eq!(canonical(stored).as_deref(), Ok(expected), "{input}");
        assert_eq!(canonical(input).as_deref(), Ok(expected), "{input}");
        if i % 25 == 0 && expected.len() < 1000 {
            sample.push(json!({"json": input, "stored": stored, "canonical": expected}));
        }
    }
    keep("states.ndjson", &sample);
}

#[test]
fn kept_states_have_the_canonical_text_that_python_wrote() {
    for vector in kept("states.ndjson") {
        let text = |key: &str| vector[key].as_str().unwrap().to_owned();
        assert_eq!(canonical(&text("json")), Ok(text("canonical")));
        assert_eq!(canonical(&text("stored")), Ok(text("canonical")));
    }
}

/// The 21 hashed columns of an event, for the oracle.
fn columns(event: &Event) -> Value {
    let row = &event.row;
    json!({
        "event_id": row.event_id, "timestamp": row.timestamp.to_python_isoformat(),
        "organization_id": row.organization_id, "project_id": row.project_id, "actor_type": row.actor_type,
        "actor_id": row.actor_id, "actor_email": row.actor_email, "actor_ip": row.actor_ip,
        "actor_user_agent": row.actor_user_agent, "event_category": row.event_category,
        "event_type": row.event_type, "event_severity": row.event_severity, "resource_type": row.resource_type,
        "resource_id": row.resource_id, "resource_name": row.resource_name, "action": row.action,
        "previous_state": event.previous_state.as_ref().map(Json::as_str),
        "new_state": event.new_state.as_ref().map(Json::as_str), "request_id": row.request_id,
        "session_id": row.session_id, "previous_hash": row.previous_hash,
    })
}

/// A random event of the organisation.
fn random_event(texts: &mut Texts, organization: &str, n: usize) -> NewEvent {
    fn pick<T: Copy>(texts: &mut Texts, all: &[T]) -> T {
        all[texts.below(all.len() as u32) as usize]
    }
    let word = |texts: &mut Texts| {
        let quoted = texts.string(8);
        serde_json::from_str::<String>(&quoted).unwrap()
    };
    let maybe = |texts: &mut Texts| (texts.below(3) > 0).then(|| word(texts));
    let state = |texts: &mut Texts| (texts.below(3) > 0).then(|| Json::from_trusted(texts.value(3)));
    let seconds = i64::from(texts.0.next_u32());
    let micros = seconds * pick(texts, &[1_000_000, 1_000_003, 100_000]);
    NewEvent {
        event_id: format!("{organization}-{n}"),
        timestamp: Timestamp::from_micros(micros),
        organization_id: OrgId::new(organization).unwrap(),
        project_id: maybe(texts),
        actor_type: pick(texts, agenttrace::domain::ActorType::ALL),
        actor_id: word(texts),
        actor_email: maybe(texts),
        actor_ip: (texts.below(2) == 0).then(|| {
            texts.pick(&["192.0.2.7", "192.0.2.7/32", "10.1/16", "2001:DB8:0::1", "::ffff:1.2.3.4"]).into()
        }),
        actor_user_agent: maybe(texts),
        event_category: pick(texts, agenttrace::domain::Category::ALL),
        event_type: word(texts),
        event_severity: pick(texts, agenttrace::domain::Severity::ALL),
        resource_type: word(texts),
        resource_id: word(texts),
        resource_name: maybe(texts),
        action: pick(texts, agenttrace::domain::Action::ALL),
        previous_state: state(texts),
        new_state: state(texts),
        request_id: word(texts),
        session_id: maybe(texts),
    }
}

async fn read_back(database: &support::TestDatabase, keys: &[(String, String)]) -> Vec<Event> {
    let db = ReadDb::connect(database.options.clone(), ReadSettings::default()).await.unwrap();
    let cancel = CancellationToken::new();
    let mut events = Vec::new();
    for (organization, id) in keys {
        let scope = OrgScope::enter(OrgId::new(organization.as_str()).unwrap());
        events.push(timeline::event(&db, &scope, id, None, &cancel).await.unwrap().unwrap());
    }
    db.close().await;
    events
}

#[tokio::test]
async fn python_makes_the_same_hashes_from_the_stored_rows() {
    let database = support::database().await;
    let mut texts = Texts::new(5);
    let mut writer =
        Writer::new(WriteDb::connect(database.options.clone()).await.unwrap(), WriterSettings::default());
    let mut keys = Vec::new();
    for batch in 0..4 {
        let mut events = Vec::new();
        for organization in ["org-a", "org-ü"] {
            for n in 0..50 {
                events.push(random_event(&mut texts, organization, batch * 50 + n));
            }
        }
        keys.extend(events.iter().map(|e| (e.organization_id.to_string(), e.event_id.clone())));
        let fates = writer.append(events).await.unwrap();
        assert!(fates.iter().all(|f| *f == Fate::Stored), "{fates:?}");
    }
    let events = read_back(&database, &keys).await;
    let mut last = std::collections::HashMap::new();
    for event in &events {
        let previous = last.insert(event.row.organization_id.clone(), event.row.hash.clone());
        assert_eq!(event.row.previous_hash, previous.unwrap_or_default());
        assert_eq!(to_hex(&content(&event.into()).hash(&event.row.previous_hash)), event.row.hash);
    }
    let lines: Vec<Value> = events.iter().map(columns).collect();
    if let Some(answers) = python("events", &lines) {
        for (event, answer) in events.iter().zip(&answers) {
            assert_eq!(
                content(&event.into()).preimage(&event.row.previous_hash),
                answer["preimage"].as_str().unwrap()
            );
            assert_eq!(event.row.hash, answer["hash"].as_str().unwrap());
        }
        let sample: Vec<Value> = lines
            .iter()
            .zip(&answers)
            .step_by(5)
            .map(|(columns, answer)| json!({"columns": columns, "preimage": answer["preimage"], "hash": answer["hash"]}))
            .collect();
        keep("events.ndjson", &sample);
    }
    database.drop_now().await;
}

#[test]
fn kept_events_have_the_hashes_that_python_made() {
    for vector in kept("events.ndjson") {
        let columns = &vector["columns"];
        let text = |key: &str| columns[key].as_str();
        let fields = Fields {
            event_id: text("event_id").unwrap(),
            timestamp: Timestamp::parse(text("timestamp").unwrap()).unwrap(),
            organization_id: text("organization_id").unwrap(),
            project_id: text("project_id"),
            actor_type: text("actor_type").unwrap(),
            actor_id: text("actor_id").unwrap(),
            actor_email: text("actor_email"),
            actor_ip: text("actor_ip"),
            actor_user_agent: text("actor_user_agent"),
            event_category: text("event_category").unwrap(),
            event_type: text("event_type").unwrap(),
            event_severity: text("event_severity").unwrap(),
            resource_type: text("resource_type").unwrap(),
            resource_id: text("resource_id").unwrap(),
            resource_name: text("resource_name"),
            action: text("action").unwrap(),
            previous_state: text("previous_state"),
            new_state: text("new_state"),
            request_id: text("request_id").unwrap(),
            session_id: text("session_id"),
        };
        let previous_hash = text("previous_hash").unwrap();
        let content = content(&fields);
        assert_eq!(content.preimage(previous_hash), vector["preimage"].as_str().unwrap());
        assert_eq!(to_hex(&content.hash(previous_hash)), vector["hash"].as_str().unwrap());
    }
}

// ---------------------------------------------------------------- events of the original system

/// A line as the original system writes it.
#[derive(Deserialize)]
struct Line {
    event_id: String,
    timestamp: String,
    organization_id: String,
    project_id: Option<String>,
    actor_type: String,
    actor_id: String,
    actor_email: Option<String>,
    actor_ip: Option<String>,
    actor_user_agent: Option<String>,
    event_category: String,
    event_type: String,
    event_severity: String,
    resource_type: String,
    resource_id: String,
    resource_name: Option<String>,
    action: String,
    previous_state: Option<Box<RawValue>>,
    new_state: Option<Box<RawValue>>,
    request_id: String,
    session_id: Option<String>,
    hash: String,
    previous_hash: String,
}

impl Line {
    fn preserved(&self) -> PreservedEvent {
        let json = |raw: &Option<Box<RawValue>>| raw.as_ref().map(|raw| Json::from_trusted(raw.get()));
        let event = NewEvent {
            event_id: self.event_id.clone(),
            timestamp: Timestamp::parse(&self.timestamp).unwrap(),
            organization_id: OrgId::new(self.organization_id.as_str()).unwrap(),
            project_id: self.project_id.clone(),
            actor_type: self.actor_type.parse().unwrap(),
            actor_id: self.actor_id.clone(),
            actor_email: self.actor_email.clone(),
            actor_ip: self.actor_ip.clone(),
            actor_user_agent: self.actor_user_agent.clone(),
            event_category: self.event_category.parse().unwrap(),
            event_type: self.event_type.clone(),
            event_severity: self.event_severity.parse().unwrap(),
            resource_type: self.resource_type.clone(),
            resource_id: self.resource_id.clone(),
            resource_name: self.resource_name.clone(),
            action: self.action.parse().unwrap(),
            previous_state: json(&self.previous_state),
            new_state: json(&self.new_state),
            request_id: self.request_id.clone(),
            session_id: self.session_id.clone(),
        };
        PreservedEvent { event, hash: self.hash.clone(), previous_hash: self.previous_hash.clone() }
    }
}

/// The golden data beside the repository, where it is.
fn golden() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let found = ["../shared", "../../shared"]
        .iter()
        .map(|p| root.join(p).join("data/agenttrace"))
        .find(|p| p.is_dir());
    if found.is_none() {
        println!("skipped: the golden data is not beside the repository");
    }
    found
}

/// Loads a file as evidence, reads it back, and returns the ids of the events whose stored hash is not that of the
/// stored row. A file may hold an id twice: it then stays the first.
async fn mismatches(lines: &[Line]) -> Vec<String> {
    let database = support::database().await;
    let mut writer =
        Writer::new(WriteDb::connect(database.options.clone()).await.unwrap(), WriterSettings::default());
    let fates = writer.preserve(lines.iter().map(Line::preserved).collect()).await.unwrap();
    assert!(fates.iter().all(|f| *f == Fate::Stored), "{fates:?}");
    let keys: Vec<_> = lines.iter().map(|l| (l.organization_id.clone(), l.event_id.clone())).collect();
    let mut wrong = Vec::new();
    for (line, event) in lines.iter().zip(read_back(&database, &keys).await) {
        assert_eq!((&event.row.hash, &event.row.previous_hash), (&line.hash, &line.previous_hash));
        if to_hex(&content(&(&event).into()).hash(&event.row.previous_hash)) != event.row.hash {
            wrong.push(event.row.event_id);
        }
    }
    database.drop_now().await;
    wrong
}

fn lines(path: &Path) -> Vec<Line> {
    std::fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn expected(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn ids(list: &Value) -> Vec<String> {
    let mut ids: Vec<_> = list.as_array().unwrap().iter().map(|v| v.as_str().unwrap().to_owned()).collect();
    ids.sort();
    ids
}

#[tokio::test]
async fn honest_trails_reproduce_every_hash_after_a_round_trip() {
    let Some(golden) = golden() else { return };
    for name in ["basic", "honest_restart_fork", "honest_batch_loss", "honest_three_workers"] {
        let truth = expected(&golden.join(format!("{name}.expected.json")));
        let lines = lines(&golden.join(format!("{name}.ndjson")));
        assert_eq!(truth["visible_from_rows_alone"]["events"], lines.len(), "{name}");
        assert_eq!(
            mismatches(&lines).await,
            ids(&truth["visible_from_rows_alone"]["own_hash_mismatch"]),
            "{name}"
        );
    }
}

#[tokio::test]
async fn tampered_trails_mismatch_where_the_truth_says() {
    let Some(golden) = golden() else { return };
    let truth = expected(&golden.join("tampered/truth.json"));
    let mut checked = 0;
    for file in std::fs::read_dir(golden.join("tampered")).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|e| e != "ndjson") {
            continue;
        }
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let files = &truth["files"];
        let entry = files.as_array().map_or_else(
            || files[&name].clone(),
            |files| {
                files.iter().find(|f| f["file"].as_str().is_some_and(|f| f.ends_with(&name))).unwrap().clone()
            },
        );
        let mut wrong = mismatches(&lines(&path)).await;
        wrong.sort();
        assert_eq!(wrong, ids(&entry["visible_from_rows_alone"]["own_hash_mismatch"]), "{name}");
        checked += 1;
    }
    assert_eq!(checked, 7);
}

#[tokio::test]
async fn tricky_events_reproduce_exactly_where_a_row_can() {
    let Some(golden) = golden() else { return };
    let truth = expected(&golden.join("tricky.expected.json"));
    let lines = lines(&golden.join("tricky.ndjson"));
    let wrong = mismatches(&lines).await;
    let mut reproducible = 0;
    for (case, line) in truth["events"].as_array().unwrap().iter().zip(&lines) {
        assert_eq!(case["event_id"], line.event_id);
        let from_row = case["pg"]["hash_reproducible"].as_bool().unwrap();
        assert_eq!(!wrong.contains(&line.event_id), from_row, "{}", case["case"]);
        reproducible += usize::from(from_row);
        // Our canonical text is that of the row which the line will become, so where the row does, the line does.
        let preserved = line.preserved();
        let event = &preserved.event;
        let ip = event.actor_ip.as_ref().map(|ip| ip.parse::<Inet>().unwrap().to_string());
        let fields = Fields {
            event_id: &event.event_id,
            timestamp: event.timestamp,
            organization_id: event.organization_id.as_str(),
            project_id: event.project_id.as_deref(),
            actor_type: event.actor_type.as_str(),
            actor_id: &event.actor_id,
            actor_email: event.actor_email.as_deref(),
            actor_ip: ip.as_deref(),
            actor_user_agent: event.actor_user_agent.as_deref(),
            event_category: event.event_category.as_str(),
            event_type: &event.event_type,
            event_severity: event.event_severity.as_str(),
            resource_type: &event.resource_type,
            resource_id: &event.resource_id,
            resource_name: event.resource_name.as_deref(),
            action: event.action.as_str(),
            previous_state: event.previous_state.as_ref().map(Json::as_str),
            new_state: event.new_state.as_ref().map(Json::as_str),
            request_id: &event.request_id,
            session_id: event.session_id.as_deref(),
        };
        let hash = to_hex(&content(&fields).hash(&line.previous_hash));
        assert_eq!(hash == line.hash, from_row, "{} from the line", case["case"]);
    }
    assert!(reproducible >= 36, "{reproducible}");
}
