//! How much is won over the straightforward verifier: rows by `fetch_all` in the order of the timeline, states as
//! `serde_json::Value`, one string per event, the previous row's hash compared with the next row's link.
//!
//! ```text
//! AGENTTRACE_BENCH_URL=postgres://… AGENTTRACE_BENCH_ORG=acme cargo bench --bench reference_verifier
//! ```
//!
//! Both verifiers run in turn, three times. The straightforward one keeps all rows in memory (3 kB each), and reports
//! honest events as damaged: floats change on their way through a double, and events of one instant have no order.

#![expect(clippy::print_stdout, reason = "a benchmark's result")]

use agenttrace::domain::{OrgId, OrgScope, Timestamp};
use agenttrace::store::{ReadDb, ReadSettings};
use agenttrace::verify::{self, Gauge, Request};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use sqlx::postgres::{PgConnectOptions, PgRow};
use sqlx::{Connection as _, PgConnection, Row as _};
use std::error::Error;
use std::fmt::Write as _;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

const ROUNDS: usize = 3;

const SQL: &str = "SELECT event_id::text, timestamp, organization_id::text, project_id::text, actor_type::text, \
     actor_id::text, actor_email::text, host(actor_ip), actor_user_agent::text, event_category::text, \
     event_type::text, event_severity::text, resource_type::text, resource_id::text, resource_name::text, \
     action::text, previous_state::text, new_state::text, request_id::text, session_id::text, previous_hash::text, \
     hash::text FROM audit_events WHERE organization_id = $1 ORDER BY timestamp, event_id";

const NAMES: [&str; 21] = [
    "event_id",
    "timestamp",
    "organization_id",
    "project_id",
    "actor_type",
    "actor_id",
    "actor_email",
    "actor_ip",
    "actor_user_agent",
    "event_category",
    "event_type",
    "event_severity",
    "resource_type",
    "resource_id",
    "resource_name",
    "action",
    "previous_state",
    "new_state",
    "request_id",
    "session_id",
    "previous_hash",
];

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// What the straightforward verifier says.
#[derive(Default)]
struct Said {
    events: u64,
    wrong_hashes: u64,
    broken_links: u64,
}

async fn reference(c: &mut PgConnection, organization: &str) -> Result<Said> {
    let rows = sqlx::query(SQL).bind(organization).fetch_all(c).await?;
    let mut said = Said::default();
    let mut last: Option<String> = None;
    for row in &rows {
        let (previous, hash): (String, String) = (row.try_get(20)?, row.try_get(21)?);
        let digest = Sha256::digest(canonical(row)?);
        let computed = digest.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
        said.events += 1;
        said.wrong_hashes += u64::from(computed != hash);
        said.broken_links += u64::from(last.is_some_and(|last| last != previous));
        last = Some(hash);
    }
    Ok(said)
}

fn canonical(row: &PgRow) -> Result<String> {
    let mut object = Map::new();
    for (i, name) in NAMES.into_iter().enumerate() {
        let value = match name {
            "timestamp" => {
                let time: chrono::DateTime<chrono::Utc> = row.try_get(i)?;
                Value::String(Timestamp::from(time).to_python_isoformat())
            }
            "previous_state" | "new_state" => {
                let text: Option<String> = row.try_get(i)?;
                text.map_or(Ok(Value::Null), |text| serde_json::from_str(&text))?
            }
            _ => row.try_get::<Option<String>, _>(i)?.map_or(Value::Null, Value::String),
        };
        object.insert(name.to_owned(), value);
    }
    let mut out = String::new();
    write_python(&Value::Object(object), &mut out);
    Ok(out)
}

/// As `json.dumps(value, sort_keys=True)`; the keys of a `serde_json::Map` are sorted.
fn write_python(value: &Value, out: &mut String) {
    match value {
        Value::Object(members) => {
            out.push('{');
            for (i, (key, value)) in members.iter().enumerate() {
                out.push_str(if i == 0 { "" } else { ", " });
                write_string(key, out);
                out.push_str(": ");
                write_python(value, out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                out.push_str(if i == 0 { "" } else { ", " });
                write_python(item, out);
            }
            out.push(']');
        }
        Value::String(text) => write_string(text, out),
        other => out.push_str(&other.to_string()),
    }
}

fn write_string(text: &str, out: &mut String) {
    for c in Value::String(text.to_owned()).to_string().chars() {
        if matches!(c, ' '..='~') {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
}

fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

async fn run() -> Result<()> {
    let Ok(url) = std::env::var("AGENTTRACE_BENCH_URL") else {
        println!("skipped: AGENTTRACE_BENCH_URL names no database");
        return Ok(());
    };
    let organization = std::env::var("AGENTTRACE_BENCH_ORG").unwrap_or_else(|_| "acme".to_owned());
    let options = PgConnectOptions::from_str(&url)?;
    let db = ReadDb::connect(options.clone(), ReadSettings::default()).await?;
    let mut c = PgConnection::connect_with(&options).await?;
    let scope = OrgScope::enter(OrgId::new(&organization)?);
    let request = Request::whole(scope);
    let mut ratios = Vec::new();
    for round in 0..ROUNDS {
        let (cpu, begun) = (cpu_time(), Instant::now());
        let gauge = Arc::new(Gauge::new());
        let report = verify::verify(&db, &request, &gauge, &CancellationToken::new()).await?;
        let (ours, ours_cpu) = (begun.elapsed(), cpu_time().saturating_sub(cpu));
        let (cpu, begun) = (cpu_time(), Instant::now());
        let said = reference(&mut c, &organization).await?;
        let (theirs, theirs_cpu) = (begun.elapsed(), cpu_time().saturating_sub(cpu));
        let events = said.events.max(1) as f64;
        ratios.push(theirs.as_secs_f64() / ours.as_secs_f64());
        println!(
            "round {}: {} events; agenttrace {:.2} s, {:.2} µs CPU/event, {} wrong hashes, {} findings; \
             reference {:.2} s, {:.2} µs CPU/event, {} wrong hashes, {} broken links",
            round + 1,
            said.events,
            ours.as_secs_f64(),
            ours_cpu.as_secs_f64() * 1e6 / events,
            report.content.mismatch,
            report.findings.len(),
            theirs.as_secs_f64(),
            theirs_cpu.as_secs_f64() * 1e6 / events,
            said.wrong_hashes,
            said.broken_links,
        );
    }
    ratios.sort_by(f64::total_cmp);
    println!("reference / agenttrace, median of {ROUNDS} rounds: {:.2} (bar ≥ 3.5)", ratios[ROUNDS / 2]);
    Ok(())
}

fn main() -> Result<()> {
    // As a task: where its sockets are waited for, as in the program.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    #[expect(clippy::disallowed_methods, reason = "it is waited for here")]
    let ran = runtime.block_on(async { tokio::spawn(run()).await });
    ran?
}
