//! What changed: real pairs, and the commands `diff` and `resource` on a real database.

use crate::support;

use agenttrace::diff::json::{Doc, Limits};
use agenttrace::diff::{Options, Rules, apply, compare, patch, unhurried};
use agenttrace::domain::{EventKey, OrgId, OrgScope, Timestamp};
use agenttrace::store::{ReadDb, ReadSettings, history};
use flate2::read::GzDecoder;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use tokio_util::sync::CancellationToken;

const LIMITS: Limits = Limits { bytes: 1 << 24, nodes: 1 << 20 };

/// Real logs that are not part of the repository, where they are at hand.
pub(crate) fn shared(file: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let found =
        ["..", "../.."].iter().map(|up| root.join(up).join("shared/data").join(file)).find(|p| p.exists());
    if found.is_none() {
        println!("skipped: {file} is not here");
    }
    found
}

pub(crate) fn lines(file: &Path) -> Vec<String> {
    let mut text = String::new();
    GzDecoder::new(std::fs::File::open(file).unwrap()).read_to_string(&mut text).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// The changes lead from one state to the other, and so does the JSON Patch for an independent implementation.
fn holds(old: &str, new: &str) {
    let compared = compare(Some(old), Some(new), &Options::default(), &unhurried);
    let before = Doc::parse(old, LIMITS).unwrap();
    let after = Doc::parse(new, LIMITS).unwrap();
    let applied = apply::apply(&before, compared.changes()).unwrap();
    let got = Doc::parse(&applied, LIMITS).unwrap();
    assert!(got.same(got.root(), &after, after.root()), "{old}\n{new}\n{applied}");
    let agenttrace::diff::Detail::Structural { structure, .. } = &compared.detail else { panic!("{old}") };
    let operations: json_patch::Patch = serde_json::from_str(&patch::json_patch(structure).unwrap()).unwrap();
    let mut value: Value = serde_json::from_str(old).unwrap();
    json_patch::patch(&mut value, &operations).unwrap();
    assert_eq!(value, serde_json::from_str::<Value>(new).unwrap());
}

#[test]
fn admission_reviews() {
    #[derive(serde::Deserialize)]
    struct Review<'a> {
        #[serde(borrow)]
        request: Request<'a>,
    }
    #[derive(serde::Deserialize)]
    struct Request<'a> {
        #[serde(borrow)]
        object: &'a RawValue,
        #[serde(borrow, rename = "oldObject")]
        old: &'a RawValue,
    }
    let Some(file) = shared("k8s-admission-kar/admission-reviews.ndjson.gz") else { return };
    let lines = lines(&file);
    let reviews: Vec<Review<'_>> = lines.iter().map(|l| serde_json::from_str(l).unwrap()).collect();
    let updates =
        reviews.iter().filter(|r| r.request.old.get() != "null" && r.request.object.get() != "null");
    assert_eq!(updates.clone().count(), 2);
    for review in updates {
        holds(review.request.old.get(), review.request.object.get());
    }
    // Objects of one kind are much alike: neighbours are good pairs, too.
    for pair in reviews.windows(2) {
        holds(pair[0].request.object.get(), pair[1].request.object.get());
    }
}

#[test]
fn workspace_values() {
    let Some(file) = shared("saas-panther/google-workspace.ndjson.gz") else { return };
    let mut found = 0;
    for line in lines(&file) {
        let event: Value = serde_json::from_str(&line).unwrap();
        let Some(parameters) = event.get("parameters") else { continue };
        let value = |names: [&str; 2]| names.iter().find_map(|n| parameters.get(n)).map(Value::to_string);
        if let (Some(old), Some(new)) = (value(["old_value", "OLD_VALUE"]), value(["new_value", "NEW_VALUE"]))
        {
            found += 1;
            holds(&old, &new);
            holds(&new, &old);
        }
    }
    assert!(found > 10, "{found}");
}

const EVENTS: &str = r#"
    INSERT INTO audit_events (event_id, timestamp, organization_id, actor_type, actor_id, event_category, event_type,
        event_severity, resource_type, resource_id, action, request_id, hash, previous_hash, previous_state, new_state)
    SELECT id, timestamptz '2026-01-15T00:00:00Z' + minute * interval '1 minute', org, 'user', actor, 'admin', 'x.y', 'info',
        'role_binding', 'rb-7', action, 'req', md5(org || id), '', previous::jsonb, new::jsonb
    FROM (VALUES
        ('e1', 0, 'acme', 'alice', 'create', NULL, '{"role": "viewer", "n": 0.1000}'),
        ('e2', 1, 'acme', 'bob', 'update', '{"role": "viewer", "n": 0.1000}', '{"role": "admin", "n": 0.1000, "token": "s3cr3t"}'),
        ('e3', 2, 'acme', 'eve', 'read', NULL, NULL),
        ('e4', 3, 'acme', 'eve', 'update', '{"role": "admin", "n": 1e300, "token": "s3cr3t"}', '{"role": "owner", "n": 1e300, "token": "s3cr3t"}'),
        ('e5', 4, 'acme', 'bob', 'delete', '{"role": "owner", "n": 1e300, "token": "s3cr3t"}', NULL),
        ('other', 1, 'rival', 'mallory', 'update', '{"a": 1}', '{"a": 2}')
    ) v (id, minute, org, actor, action, previous, new)"#;

/// A database with the life of one resource, and what a command says about it: exit code and standard output.
struct Life(support::TestDatabase);

impl Life {
    async fn new() -> Self {
        let db = support::database().await;
        let mut c = PgConnection::connect_with(&db.options).await.unwrap();
        sqlx::query(EVENTS).execute(&mut c).await.unwrap();
        c.close().await.unwrap();
        Self(db)
    }

    fn run(&self, arguments: &str) -> (i32, String) {
        let mut program = support::agenttrace();
        program.args(["--database-url", &self.0.url(), "--org", "acme"]).args(arguments.split(' '));
        let output = program.output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        let out = String::from_utf8(output.stdout).unwrap();
        assert!(!err.contains("panicked"), "{err}");
        (output.status.code().unwrap(), if out.is_empty() { err } else { out })
    }

    fn json(&self, arguments: &str) -> Value {
        serde_json::from_str(&self.run(arguments).1).unwrap()
    }
}

#[tokio::test]
async fn a_resource_is_compared_at_two_times() {
    let life = Life::new().await;
    let at = |minute: &str| format!("2026-01-15T00:0{minute}:30Z");
    let between = |since, until| {
        format!("diff --resource role_binding rb-7 --since {} --until {}", at(since), at(until))
    };
    let document = life.json(&format!("{} --format json", between("0", "1")));
    assert_eq!(document["events"], json!(["e1", "e2"]));
    let paths: Vec<&str> =
        document["changes"].as_array().unwrap().iter().map(|c| c["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["/role", "/token"], "{document}");
    // After e2 the number became 1e300 without an event, and e4 saw it so.
    assert_eq!(document["unknown"], json!({"old": [], "new": ["/n"]}));
    assert_eq!(life.run(&between("1", "2")), (0, "  no difference\n".to_owned()));
    // Up to now it was deleted.
    let (code, text) = life.run(&format!("diff --resource role_binding rb-7 --since {}", at("3")));
    assert!(code == 1 && text.contains("3 removed"), "{code}: {text}");

    for (arguments, expected) in [
        ("diff --resource role_binding rb-7 --since 2026-01-01T00:00:00Z --until 2026-01-02T00:00:00Z", 0),
        ("diff --resource role_binding nosuch --since 2026-01-01T00:00:00Z", 4),
        ("diff --resource role_binding rb-7 --since 2026-01-02T00:00:00Z --until 2026-01-01T00:00:00Z", 2),
        ("diff --resource role_binding rb-7", 2),
        ("diff e1 --resource role_binding rb-7 --since 2026-01-01T00:00:00Z", 2),
        ("diff", 2),
    ] {
        assert_eq!(life.run(arguments).0, expected, "{arguments}");
    }
}

#[test]
fn two_files_are_compared_without_a_database() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let run = |old: &Path, new: &Path| {
        let mut program = support::agenttrace();
        program.args(["diff", "--format", "json-patch", "--files"]).args([old, new]);
        let output = program.output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    };
    let (old, new) =
        (file("old.json", "{\"n\": 0.1000, \"a\": [1]}\n"), file("new.json", "{\"a\": [1], \"n\": 0.1}"));
    assert_eq!(run(&old, &old).0, 0);
    let marked = file("marked.json", "\u{feff}{\"n\": 0.1000, \"a\": [1]}");
    assert_eq!(run(&old, &marked), (0, "[]\n".to_owned()), "a byte order mark is no difference");
    assert_eq!(run(&old, &new), (1, "[{\"op\":\"replace\",\"path\":\"/n\",\"value\":0.1}]\n".to_owned()));
    assert_eq!(run(&old, &folder.path().join("nosuch")).0, 3);
}

#[tokio::test]
async fn one_event_and_two_events() {
    let life = Life::new().await;
    let (code, text) = life.run("diff e2");
    assert_eq!(
        (code, text.as_str()),
        (1, "  1 changed · 1 added\n~ role viewer → admin\n+ token ‹masked, 6 characters›\n")
    );
    let (_, text) = life.run("diff e2 --show-secrets");
    assert!(text.contains("+ token s3cr3t"), "{text}");
    let (code, text) = life.run("diff e1 e4");
    assert_eq!(code, 1);
    // What PostgreSQL stores of 1e300 are all its digits.
    assert!(text.contains(&format!("~ n 0.1000 → 1{}", "0".repeat(300))), "{text}");
    assert_eq!(life.run("diff e3"), (0, "  no state recorded\n".to_owned()));
    assert_eq!(life.run("diff e2 e2"), (0, "  no difference\n".to_owned()));
    assert_eq!(life.run("diff nosuch").0, 4);
    // Another organisation's event does not exist here.
    let (code, text) = life.run("diff other");
    assert!(code == 4 && text.contains("organisation 'acme' has no event 'other'"), "{text}");
    life.0.drop_now().await;
}

#[tokio::test]
async fn of_large_states_only_a_beginning_leaves_the_server() {
    let life = Life::new().await;
    let mut c = PgConnection::connect_with(&life.0.options).await.unwrap();
    sqlx::query(
        "INSERT INTO audit_events (event_id, timestamp, organization_id, actor_type, actor_id, event_category,
             event_type, event_severity, resource_type, resource_id, action, request_id, hash, previous_hash,
             previous_state, new_state)
         SELECT 'large', '2026-02-01T00:00:00Z', 'acme', 'user', 'a', 'admin', 'x.y', 'info', 't', 'i', 'update', 'r',
             'h', '', '{\"a\": 1}', to_jsonb(repeat('é', 30000))",
    )
    .execute(&mut c)
    .await
    .unwrap();
    c.close().await.unwrap();
    let db = ReadDb::connect(life.0.options.clone(), ReadSettings::default()).await.unwrap();
    let cancel = CancellationToken::new();
    let key = EventKey {
        timestamp: Timestamp::parse("2026-02-01T00:00:00Z").unwrap(),
        event_id: "large".to_owned(),
    };
    let scope = |org: &str| OrgScope::enter(OrgId::new(org).unwrap());
    let observe = async |org, cap| history::observe(&db, &scope(org), &key, cap, &cancel).await.unwrap();

    let seen = observe("acme", 1_000).await.unwrap();
    let (previous, new) = (seen.previous.unwrap(), seen.new.unwrap());
    assert_eq!((&*previous.text, previous.bytes, previous.is_whole()), ("{\"a\": 1}", 8, true));
    assert_eq!((new.text.chars().count(), new.bytes, new.is_whole()), (16_384, 60_002, false));
    let whole = observe("acme", 60_002).await.unwrap().new.unwrap();
    assert_eq!((whole.text.len(), whole.is_whole()), (60_002, true));
    assert_eq!(new.sha256, Some(agenttrace::chain::sha256(&*whole.text)));
    assert_eq!(observe("rival", 1_000).await, None);
    db.close().await;
    life.0.drop_now().await;
}

#[tokio::test]
async fn versions_of_a_resource_and_their_neighbours() {
    let life = Life::new().await;
    let db = ReadDb::connect(life.0.options.clone(), ReadSettings::default()).await.unwrap();
    let cancel = CancellationToken::new();
    let scope = OrgScope::enter(OrgId::new("acme").unwrap());
    let resource = history::Resource { kind: "role_binding".to_owned(), id: "rb-7".to_owned() };
    let key = |n: i64| EventKey {
        timestamp: Timestamp::parse(&format!("2026-01-15T00:0{}:00Z", n - 1)).unwrap(),
        event_id: format!("e{n}"),
    };
    let next = async |n, older| {
        let found = history::neighbour(&db, &scope, &resource, &key(n), older, &cancel).await.unwrap();
        found.map(|k| k.event_id)
    };
    // e3 only reads, and the event of the other organisation does not exist here.
    assert_eq!(next(4, true).await.as_deref(), Some("e2"));
    assert_eq!(next(2, false).await.as_deref(), Some("e4"));
    assert_eq!((next(1, true).await, next(5, false).await), (None, None));

    let moment = async |n| history::moment(&db, &scope, &resource, &key(n), 1_000, &cancel).await.unwrap();
    let after_read = moment(3).await;
    let id = |o: &Option<history::Observed>| o.as_ref().map(|o| o.row.event_id.clone());
    assert_eq!(
        (id(&after_read.version).as_deref(), id(&after_read.next).as_deref()),
        (Some("e2"), Some("e4"))
    );
    assert_eq!((after_read.index, after_read.total), (2, 4));
    // 1e300 written out is 301 bytes.
    assert!(after_read.next.unwrap().previous.unwrap().text.contains(&"0".repeat(300)));
    assert_eq!(id(&moment(5).await.next), None);

    let until = history::events(&db, &scope, &resource, Some(&key(3)), 2, &cancel).await.unwrap();
    let ids: Vec<&str> = until.iter().map(|e| e.row.event_id.as_str()).collect();
    assert_eq!(ids, ["e2", "e3"]);
    let bytes = async |n| history::stored_bytes(&db, &scope, &resource, &key(n), 9, &cancel).await.unwrap();
    assert!(bytes(1).await > 0 && bytes(2).await > bytes(1).await);
    db.close().await;
    life.0.drop_now().await;
}

#[tokio::test]
async fn who_touched_or_read_a_resource() {
    let life = Life::new().await;
    let document = life.json("resource role_binding rb-7 --access --format json");
    let actors = document["actors"].as_array().unwrap();
    let ids: Vec<&str> = actors.iter().map(|a| a["actor_id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["bob", "eve", "alice"], "the last one first, nobody of another organisation");
    assert_eq!(actors[1]["actions"], serde_json::json!({"read": 1, "update": 1}));
    assert_eq!(
        (&actors[0]["events"], &actors[0]["first"], &actors[0]["last"]),
        (&2.into(), &"2026-01-15T00:01:00.000000Z".into(), &"2026-01-15T00:04:00.000000Z".into())
    );
    let (code, text) = life.run("resource role_binding rb-7 --access");
    assert_eq!(code, 0);
    assert!(text.contains("user eve · read 1, update 1\n    first 2026-01-15T00:02:00"), "{text}");
    assert_eq!(life.run("resource role_binding nosuch --access").0, 4);
    assert_eq!(life.run("resource role_binding rb-7 --access --blame").0, 2);
    life.0.drop_now().await;
}

#[tokio::test]
async fn secrets_are_masked_by_the_words_of_the_configuration() {
    let life = Life::new().await;
    let at = "resource role_binding rb-7 --at 2026-01-15T00:03:30Z";
    for (more, shown) in
        [("", false), (" --blame", false), (" --show-secrets", true), (" --format json", true)]
    {
        let (code, text) = life.run(&format!("{at}{more}"));
        assert_eq!((code, text.contains("s3cr3t")), (0, shown), "{text}");
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    std::fs::write(&file, "[diff]\nsecret = [\"role\"]\nprivilege = []\n").unwrap();
    let (_, text) = life.run(&format!("--config {} diff e2", file.display()));
    assert!(text.contains("role ‹masked, 6 characters› → ‹masked, 5 characters›"), "{text}");
    assert!(text.contains("+ token s3cr3t"), "{text}");
    life.0.drop_now().await;
}

#[test]
fn the_example_configuration_shows_the_built_in_words() {
    let example = include_str!("../../config.example.toml");
    let (_, part) = example.split_once("#[diff]\n").unwrap();
    let lists: String = part
        .lines()
        .take_while(|l| !l.is_empty())
        .filter(|l| !l.starts_with("# "))
        .map(|l| format!("{}\n", &l[1..]))
        .collect();
    let shown: std::collections::BTreeMap<String, Vec<String>> = toml::from_str(&lists).unwrap();
    let rules = Rules::default();
    let built_in = [
        ("privilege", rules.privilege),
        ("secret", rules.secret),
        ("secret_attribute", rules.secret_attribute),
        ("secret_prefix", rules.secret_prefix),
        ("owner", rules.owner),
        ("network", rules.network),
        ("open_to_all", rules.open_to_all),
        ("noise", rules.noise),
    ];
    assert_eq!(shown, built_in.into_iter().map(|(k, v)| (k.to_owned(), v)).collect());
}

#[tokio::test]
async fn layouts_and_forms() {
    let life = Life::new().await;
    let (_, unified) = life.run("diff e2 --layout unified");
    assert!(unified.contains("-   \"role\": \"viewer\"\n+   \"role\": \"admin\"\n"), "{unified}");
    let (_, columns) = life.run("diff e2 --layout side-by-side");
    let places: Vec<_> = columns.lines().skip(1).filter_map(|l| l.chars().position(|c| c == '│')).collect();
    assert!(places.len() > 3 && places.iter().all(|p| *p == places[0]), "{columns}");
    let (_, raw) = life.run("diff e2 --layout raw");
    assert!(raw.contains("\n{\"n\": 0.1000, \"role\": \"viewer\"}\n"), "{raw}");

    let json = life.run("diff e2 --format json").1;
    assert!(
        json.contains(
            r#"{"path":"/role","kind":"changed","old":"viewer","new":"admin","significance":"privilege""#
        ),
        "{json}"
    );
    let document: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&document["schema_version"], &document["organization_id"]), (&1.into(), &"acme".into()));
    assert_eq!(document["changes"][1]["old"], Value::Null);
    assert_eq!(life.run("diff e2 --format ndjson").1.lines().count(), 2);
    assert_eq!(life.run("diff e2 --format merge-patch").1, "{\"role\":\"admin\",\"token\":\"s3cr3t\"}\n");
    let patch = life.run("diff e2 --format json-patch").1;
    assert!(patch.starts_with(r#"[{"op":"replace","path":"/role","value":"admin"}"#), "{patch}");
    assert_eq!(life.run("diff e5 --format json-patch").1, "[{\"op\":\"remove\",\"path\":\"\"}]\n");
    assert_eq!(life.run("diff e3 --format json-patch").0, 4);
    assert_eq!(life.run("diff e2 --format csv").0, 2);
    life.0.drop_now().await;
}

#[tokio::test]
async fn the_life_of_a_resource() {
    let life = Life::new().await;
    let versions = life.json("resource role_binding rb-7 --format json");
    let ids: Vec<&str> =
        versions["versions"].as_array().unwrap().iter().map(|v| v["event_id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["e1", "e2", "e3", "e4", "e5"]);

    // For people: who, as lists name them, and the ids below one another.
    let mut c = PgConnection::connect_with(&life.0.options).await.unwrap();
    let named = "ALTER TABLE audit_events DISABLE TRIGGER USER;
        UPDATE audit_events SET actor_email = 'alice@acme.example' WHERE actor_id = 'alice'";
    sqlx::raw_sql(named).execute(&mut c).await.unwrap();
    c.close().await.unwrap();
    let text = life.run("resource role_binding rb-7").1;
    let places: Vec<Option<usize>> = text.lines().map(|line| line.rfind("  ")).collect();
    assert!(text.contains("alice@acme.example") && places.iter().all(|place| *place == places[0]), "{text}");

    let blame = life.json("resource role_binding rb-7 --at 2026-01-15T00:03:30Z --blame --format json");
    let by = |path: &str| {
        let lines = blame["blame"].as_array().unwrap();
        lines.iter().find(|l| l["path"] == path).unwrap().clone()
    };
    assert_eq!((&by("/role")["event_id"], &by("/role")["actor_id"]), (&"e4".into(), &"eve".into()));
    assert_eq!(by("/token")["event_id"], "e2");
    // Nobody recorded who set it: it was between two events.
    assert_eq!(by("/n")["event_id"], Value::Null);
    assert_eq!((&by("/n")["unknown_after"], &by("/n")["unknown_until"]), (&"e2".into(), &"e4".into()));

    let at = |time: &str| life.json(&format!("resource role_binding rb-7 --at {time} --format json"));
    assert_eq!(at("2026-01-14T00:00:00Z")["known"], "absent");
    // For people it is JSON, too.
    let time = "2026-01-15T00:03:30Z";
    let text = life.run(&format!("resource role_binding rb-7 --at {time} --show-secrets")).1;
    let lines = text.lines().skip(1).filter(|line| !line.starts_with("unknown"));
    let state: Value = serde_json::from_str(&lines.collect::<String>()).unwrap();
    assert!(state.as_object().unwrap().len() > 1 && state == at(time)["state"], "{text}");
    assert_eq!(
        (&at("2026-01-15T00:00:30Z")["state"]["role"], &at("2026-01-15T00:00:30Z")["confirmed"]),
        (&"viewer".into(), &true.into())
    );
    assert_eq!(at("2026-01-15T00:01:30Z")["unknown"], serde_json::json!(["/n"]));
    assert_eq!(at("2026-01-16T00:00:00Z")["known"], "absent");
    assert_eq!(life.run("resource role_binding nosuch").0, 4);
    assert_eq!(life.run("resource role_binding rb-7 --at yesterday-ish").0, 2);
    let (code, text) = life.run("resource role_binding rb-7 --blame");
    assert_eq!((code, text.as_str()), (0, "the resource is gone\n"));
    life.0.drop_now().await;
}
