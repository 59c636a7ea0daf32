//! Somebody else's table in every shape: each command gives the same answer as on ours, or says in words why it cannot.
//! `docs/reference/compatibility.md` holds what came of it; a cell may become better, not worse.

use crate::compatibility::{hold, raw_text, reason, section, table as table_of, write_section};
use crate::support::{self, Home, TestDatabase};
use agenttrace::domain::COLUMNS;
use serde_json::{Value, json};
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

/// A shape: what it is, how it is made in the schema `{s}` from `public.audit_events`, the extension that it needs, and
/// whether it holds all that an event has.
struct Shape {
    name: &'static str,
    sql: String,
    needs: Option<&'static str>,
    whole: bool,
}

/// A table with some columns written otherwise (`column = expression`), and some left out.
fn table(name: &'static str, otherwise: &[(&str, &str)], without: &[&str]) -> Shape {
    let mut columns: Vec<String> = Vec::new();
    for column in COLUMNS.into_iter().filter(|column| !without.contains(column)) {
        let found = otherwise.iter().find(|(name, _)| *name == column);
        columns.push(found.map_or_else(
            || column.to_owned(),
            |(name, by)| {
                if by.contains(" AS ") { (*by).to_owned() } else { format!("{by} AS {name}") }
            },
        ));
    }
    let sql =
        format!("CREATE TABLE {{s}}.audit_events AS SELECT {} FROM public.audit_events", columns.join(", "));
    Shape { name, sql, needs: None, whole: without.is_empty() }
}

fn other(name: &'static str, sql: &str) -> Shape {
    Shape { name, sql: sql.replace("{columns}", &COLUMNS.join(", ")), needs: None, whole: true }
}

fn needs(extension: &'static str, shape: Shape) -> Shape {
    Shape { needs: Some(extension), ..shape }
}

const FOREIGN: &str = "CREATE FOREIGN TABLE {s}.audit_events (event_id text, timestamp timestamptz, organization_id text,
    project_id text, actor_type text, actor_id text, actor_email text, actor_ip inet, actor_user_agent text,
    event_category text, event_type text, event_severity text, resource_type text, resource_id text, resource_name text,
    action text, previous_state jsonb, new_state jsonb, request_id text, session_id text, hash text, previous_hash text)
    SERVER here OPTIONS (schema_name 'public', table_name 'audit_events')";

fn shapes() -> Vec<Shape> {
    vec![
        table("a table without indexes", &[], &[]),
        other("view", "CREATE VIEW {s}.audit_events AS SELECT {columns} FROM public.audit_events"),
        other(
            "view over a join",
            "CREATE VIEW {s}.audit_events AS SELECT {columns} FROM (SELECT event_id, new_state, previous_state FROM \
             public.audit_events) states JOIN (SELECT * FROM (SELECT {columns} FROM public.audit_events) x) e USING (event_id, new_state, previous_state)",
        ),
        other(
            "materialised view",
            "CREATE MATERIALIZED VIEW {s}.audit_events AS SELECT {columns} FROM public.audit_events",
        ),
        needs("postgres_fdw", other("foreign table", FOREIGN)),
        other(
            "inheritance",
            "CREATE TABLE {s}.audit_events AS SELECT {columns} FROM public.audit_events WITH NO DATA; \
             CREATE TABLE {s}.child () INHERITS ({s}.audit_events); \
             INSERT INTO {s}.child SELECT {columns} FROM public.audit_events",
        ),
        other(
            "partitions by list",
            "CREATE TABLE {s}.audit_events (LIKE public.audit_events) PARTITION BY LIST (organization_id); \
             CREATE TABLE {s}.acme PARTITION OF {s}.audit_events FOR VALUES IN ('acme'); \
             ALTER TABLE {s}.audit_events DROP COLUMN search_vector; \
             INSERT INTO {s}.audit_events SELECT {columns} FROM public.audit_events",
        ),
        table("timestamp without time zone", &[("timestamp", "timestamp AT TIME ZONE 'UTC'")], &[]),
        table(
            "timestamp without time zone, zone = \"UTC\"",
            &[("timestamp", "timestamp AT TIME ZONE 'UTC'")],
            &[],
        ),
        other(
            "enum and domain",
            "CREATE TYPE {s}.verb AS ENUM ('create', 'read', 'update', 'delete', 'export'); \
             CREATE DOMAIN {s}.ident AS varchar(64); \
             CREATE TABLE {s}.audit_events AS SELECT {columns} FROM public.audit_events; \
             ALTER TABLE {s}.audit_events ALTER action TYPE {s}.verb USING action::{s}.verb; \
             ALTER TABLE {s}.audit_events ALTER actor_id TYPE {s}.ident, ALTER event_id TYPE {s}.ident",
        ),
        table("uuid", &[("request_id", "request_id::uuid")], &[]),
        needs("citext", table("citext", &[("actor_id", "actor_id::public.citext")], &[])),
        table("json", &[("previous_state", "previous_state::json"), ("new_state", "new_state::json")], &[]),
        // A text that is no JSON must not end a page, so that such states are strings.
        Shape {
            whole: false,
            ..table(
                "states as text",
                &[("previous_state", "previous_state::text"), ("new_state", "new_state::text")],
                &[],
            )
        },
        table("address as text", &[("actor_ip", "host(actor_ip)::text")], &[]),
        table(
            "hashes as bytea",
            &[("hash", "decode(hash, 'hex')"), ("previous_hash", "decode(previous_hash, 'hex')")],
            &[],
        ),
        table(
            "hashes as char(64)",
            &[("hash", "hash::char(64)"), ("previous_hash", "previous_hash::char(64)")],
            &[],
        ),
        other(
            "nondeterministic collation",
            "CREATE COLLATION {s}.loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false); \
             CREATE TABLE {s}.audit_events AS SELECT {columns} FROM public.audit_events; \
             ALTER TABLE {s}.audit_events ALTER actor_id TYPE varchar(64) COLLATE {s}.loose",
        ),
        other(
            "extra columns",
            "CREATE TABLE {s}.audit_events AS SELECT {columns}, 'x'::text AS tags FROM public.audit_events",
        ),
        table("without session and project", &[], &["session_id", "project_id"]),
        table(
            "the six columns",
            &[],
            &[
                "project_id",
                "actor_type",
                "actor_id",
                "actor_email",
                "actor_ip",
                "actor_user_agent",
                "event_category",
                "event_severity",
                "resource_type",
                "resource_id",
                "resource_name",
                "action",
                "previous_state",
                "new_state",
                "request_id",
                "session_id",
            ],
        ),
        table("without a hash", &[], &["hash"]),
        Shape {
            name: "other names",
            ..other(
                "",
                "CREATE TABLE {s}.\"Audit Log\" AS SELECT {columns} FROM public.audit_events; \
                 ALTER TABLE {s}.\"Audit Log\" RENAME timestamp TO created_at; \
                 ALTER TABLE {s}.\"Audit Log\" RENAME actor_id TO \"User\"",
            )
        },
        Shape {
            name: "grants without states",
            whole: false,
            ..other(
                "",
                "CREATE TABLE {s}.audit_events AS SELECT {columns} FROM public.audit_events; \
                 GRANT USAGE ON SCHEMA {s} TO {role}; \
                 GRANT SELECT (event_id, timestamp, organization_id, actor_type, actor_id, event_category, event_type, \
                 event_severity, resource_type, resource_id, action, request_id, hash, previous_hash) ON {s}.audit_events TO {role}",
            )
        },
    ]
}

/// Commands, with the arguments of each; the first ones list events.
const COMMANDS: [(&str, &[&str]); 12] = [
    ("events", &["events", "all-time", "--states", "--format", "ndjson"]),
    ("a filter", &["events", "all-time", "actor:u-1", "sev:info", "--format", "ndjson"]),
    ("addresses", &["events", "all-time", "ip:203.0.113.0/24", "--format", "ndjson"]),
    ("states", &["events", "all-time", "new.role:admin", "--format", "ndjson"]),
    ("words", &["events", "all-time", "role_changed", "--format", "ndjson"]),
    ("show", &["show", "e-12", "--format", "json"]),
    ("resource", &["resource", "user", "r-1", "--format", "json"]),
    ("diff", &["diff", "e-12", "--format", "json"]),
    ("summary", &["summary", "all-time", "--format", "json"]),
    ("explain", &["explain", "all-time", "actor:u-1"]),
    ("verify", &["verify"]),
    ("db status", &["db", "status"]),
];
/// So many of them are held to what they write.
const COMPARED: usize = 5;

/// What came of a command on a shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cell {
    /// The same as on our table.
    Works,
    /// As far as its columns go.
    Part,
    /// Not; why.
    Cannot(String),
}

impl Cell {
    pub(crate) fn mark(&self) -> &'static str {
        match self {
            Self::Works => "✓",
            Self::Part => "part",
            Self::Cannot(_) => "–",
        }
    }

    pub(crate) fn rank(mark: &str) -> usize {
        ["–", "part", "✓"].iter().position(|known| *known == mark).unwrap_or_else(|| panic!("'{mark}'"))
    }
}

/// The events of the base: thirty of five users.
pub(crate) fn events() -> String {
    let role = |n: usize| ["viewer", "editor", "admin"][n % 3];
    let event = |n: usize| {
        json!({
            "event_id": format!("e-{n}"), "timestamp": format!("2026-01-15T09:{n:02}:01.002Z"),
            "organization_id": "acme", "actor_type": "user", "actor_id": format!("u-{}", n % 4),
            "actor_ip": format!("203.0.113.{n}"), "event_category": "admin", "event_type": "user.role_changed",
            "event_severity": "info", "resource_type": "user", "resource_id": format!("r-{}", n % 5),
            "action": "update", "previous_state": {"id": n % 5, "role": role(n)},
            "new_state": {"id": n % 5, "role": role(n + 5)},
            "request_id": format!("00000000-0000-4000-8000-{n:012}")
        })
        .to_string()
    };
    (0..30).map(event).collect::<Vec<_>>().join("\n")
}

struct Bench {
    database: TestDatabase,
    home: Home,
    role: String,
}

impl Bench {
    async fn new() -> Self {
        let database = support::database().await;
        let bench = Self { role: format!("{}_analyst", database.name), database, home: Home::new() };
        let file = bench.home.path().join("events.ndjson");
        fs::write(&file, events()).unwrap();
        let url = bench.database.url();
        let output =
            bench.home.agenttrace().args(["--database-url", &url, "ingest"]).arg(file).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        bench
    }

    /// Makes a shape; false where the server has not what it needs.
    async fn make(&self, schema: &str, shape: &Shape) -> bool {
        let mut c = PgConnection::connect_with(&self.database.options).await.unwrap();
        if let Some(extension) = shape.needs {
            let there: bool =
                sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = $1)")
                    .bind(extension)
                    .fetch_one(&mut c)
                    .await
                    .unwrap();
            if !there {
                println!("skipped: {} needs {extension}, which the server does not have", shape.name);
                return false;
            }
            let mut sql = format!("CREATE EXTENSION IF NOT EXISTS {extension} SCHEMA public");
            if extension == "postgres_fdw" {
                let options = &self.database.options;
                let host =
                    options.get_socket().map_or(options.get_host().to_owned(), |s| s.display().to_string());
                write!(
                    sql,
                    "; CREATE SERVER here FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '{host}', port '{}', dbname '{}'); \
                     CREATE USER MAPPING FOR CURRENT_USER SERVER here OPTIONS (user '{}')",
                    options.get_port(),
                    self.database.name,
                    options.get_username()
                )
                .unwrap();
            }
            sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut c).await.unwrap();
        }
        let sql = shape.sql.replace("{s}", schema).replace("{role}", &self.role);
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("CREATE SCHEMA {schema}; {sql}")))
            .execute(&mut c)
            .await
            .unwrap();
        c.close().await.unwrap();
        true
    }

    /// Exit code, stdout and stderr of a command on the table of a schema.
    fn run(&self, schema: &str, shape: &str, args: &[&str]) -> (i32, String, String) {
        let mut program = self.home.agenttrace();
        let mut url = self.database.url();
        if shape == "grants without states" {
            url = url.replacen(
                &format!("//{}@", self.database.options.get_username()),
                &format!("//{}@", self.role),
                1,
            );
        }
        if shape.contains("zone = ") {
            let config = self.home.path().join("zone.toml");
            let text =
                format!("[profiles.zone]\ndatabase_url = \"{url}\"\nschema = \"{schema}\"\nzone = \"UTC\"\n");
            fs::write(&config, text).unwrap();
            program.arg("--config").arg(config).args(["--profile", "zone"]);
        } else if shape == "other names" {
            let config = self.home.path().join("names.toml");
            let text = format!(
                "[profiles.names]\ndatabase_url = \"{url}\"\nschema = \"{schema}\"\ntable = \"Audit Log\"\n\
                 columns = {{ timestamp = \"created_at\", actor_id = \"User\" }}\n"
            );
            fs::write(&config, text).unwrap();
            program.arg("--config").arg(config).args(["--profile", "names"]);
        } else {
            program.args(["--database-url", &url, "--schema", schema]);
        }
        let output = program.args(["--org", "acme"]).args(args).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    }
}

/// The ids of the events that a listing has.
fn ids(lines: &str) -> Vec<String> {
    let id =
        |line: &str| serde_json::from_str::<Value>(line).unwrap()["event_id"].as_str().unwrap().to_owned();
    lines.lines().map(id).collect()
}

/// All cells, by shape and command, and what must not be in any.
async fn measure() -> (BTreeMap<&'static str, Vec<Cell>>, Vec<String>) {
    let bench = Bench::new().await;
    let mut c = PgConnection::connect_with(&bench.database.options).await.unwrap();
    let role = format!("CREATE ROLE {} LOGIN", bench.role);
    sqlx::raw_sql(sqlx::AssertSqlSafe(role)).execute(&mut c).await.unwrap();
    let ours: Vec<_> = COMMANDS.iter().map(|(_, args)| bench.run("public", "", args)).collect();
    for ((name, _), (code, out, err)) in COMMANDS.iter().zip(&ours) {
        assert!(*code == 0 || *name == "diff" && *code == 1, "{name}: {code} {out} {err}");
    }
    let (mut all, mut wrong) = (BTreeMap::new(), Vec::new());
    for (n, shape) in shapes().iter().enumerate() {
        let schema = format!("s{n}");
        if !bench.make(&schema, shape).await {
            continue;
        }
        let mut cells = Vec::new();
        for (at, (name, args)) in COMMANDS.iter().enumerate() {
            let (code, out, err) = bench.run(&schema, shape.name, args);
            let place = format!("{} × {name}", shape.name);
            if raw_text(&err) || raw_text(&out) {
                wrong.push(format!("{place}: {out}{err}"));
            }
            let (wanted, same, _) = &ours[at];
            // Without states two events do not differ.
            let done = code == *wanted || !shape.whole && *name == "diff" && code == 0;
            // A verdict with a finding about the table, such as a column that no hash covers, is an answer.
            let verdict = *name == "verify" && code == 1 && !out.is_empty();
            cells.push(if verdict {
                Cell::Part
            } else if !done {
                let why = reason(&err).unwrap_or_else(|| {
                    wrong.push(format!("{place}: exit {code} without a word: {out}{err}"));
                    String::new()
                });
                Cell::Cannot(why.replace(&format!("\"{schema}\"."), ""))
            } else if at >= COMPARED || out == *same {
                Cell::Works
            } else {
                if shape.whole && ids(&out) != ids(same) {
                    wrong.push(format!("{place}:\n{out}\n{same}"));
                }
                Cell::Part
            });
        }
        all.insert(shape.name, cells);
    }
    let drop = format!("DROP OWNED BY {0}; DROP ROLE {0}", bench.role);
    sqlx::raw_sql(sqlx::AssertSqlSafe(drop)).execute(&mut c).await.unwrap();
    c.close().await.unwrap();
    bench.database.drop_now().await;
    (all, wrong)
}

const SHAPES: &str = "Shapes of tables";

fn names() -> Vec<&'static str> {
    COMMANDS.iter().map(|(name, _)| *name).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes docs/reference/compatibility.md"]
async fn the_matrix_of_shapes_is_written() {
    let (all, wrong) = measure().await;
    let text = format!(
        "✓: the same answer as on a table of our own; part: as far as the columns go, or with a finding about the table; –:\n\
         not, for the reason below.\n\n{}",
        table_of("shape", &names(), &all)
    );
    write_section(SHAPES, &text);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_shape_of_table_is_served_worse_than_the_matrix_says() {
    let (all, wrong) = measure().await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    hold(&section(SHAPES), &names(), &all);
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_found_through_other_names_and_conversions_as_in_a_table_of_our_own() {
    let bench = Bench::new().await;
    let mut c = PgConnection::connect_with(&bench.database.options).await.unwrap();
    let hex = |name: &str| format!("decode({name}, 'hex') AS {name}");
    let converted = COLUMNS
        .map(|name| match name {
            "hash" | "previous_hash" => hex(name),
            "timestamp" => "timestamp AT TIME ZONE 'UTC' AS created".to_owned(),
            "event_id" => "event_id AS \"Id\"".to_owned(),
            other => other.to_owned(),
        })
        .join(", ");
    let make = format!(
        "CREATE SCHEMA plain; CREATE TABLE plain.audit_events AS SELECT {} FROM public.audit_events;
         CREATE SCHEMA other; CREATE TABLE other.log AS SELECT {converted} FROM public.audit_events",
        COLUMNS.join(", ")
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(make)).execute(&mut c).await.unwrap();
    let config = bench.home.path().join("both.toml");
    let text = format!(
        "[profiles.plain]\ndatabase_url = \"{0}\"\nschema = \"plain\"\n\
         [profiles.other]\ndatabase_url = \"{0}\"\nschema = \"other\"\ntable = \"log\"\nzone = \"UTC\"\n\
         columns = {{ timestamp = \"created\", event_id = \"Id\" }}\n",
        bench.database.url()
    );
    fs::write(&config, text).unwrap();
    let verified = |profile: &str| -> Value {
        // Nothing is remembered from one to the other.
        let home = Home::new();
        let mut program = home.agenttrace();
        program.arg("--config").arg(&config).args(["--profile", profile, "--org", "acme"]);
        let output = program.args(["verify", "--format", "json"]).output().unwrap();
        let mut report: Value =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{profile}: {e} {output:?}"));
        for at_random in ["snapshot_at", "database_identity", "elapsed_ms", "events_per_second", "table"] {
            report.as_object_mut().unwrap().remove(at_random);
        }
        report
    };
    assert_eq!(verified("plain")["verdict"], "intact");
    assert_eq!(verified("other"), verified("plain"));
    let damage = "UPDATE {table} SET new_state = '{\"role\": \"root\"}' WHERE {id} = 'e-7';
        DELETE FROM {table} WHERE {id} = 'e-11';
        UPDATE {table} SET actor_id = 'nobody' WHERE {id} = 'e-20'";
    for (table, id) in [("plain.audit_events", "event_id"), ("other.log", "\"Id\"")] {
        let damage = damage.replace("{table}", table).replace("{id}", id);
        sqlx::raw_sql(sqlx::AssertSqlSafe(damage)).execute(&mut c).await.unwrap();
    }
    let (plain, other) = (verified("plain"), verified("other"));
    assert_eq!(plain["verdict"], "broken");
    assert!(plain["findings"].as_array().unwrap().len() >= 3, "{plain}");
    assert_eq!(other, plain);
    c.close().await.unwrap();
    bench.database.drop_now().await;
}
