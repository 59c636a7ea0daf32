//! Rows in the binary form of COPY.

use super::prepare::Ready;
use crate::domain::Json;
use crate::store::StoreError;
use crate::store::connection::{Link, Relation};

/// The columns in the order of [`row`].
macro_rules! columns {
    () => {
        "event_id, timestamp, organization_id, project_id, actor_type, actor_id, actor_email, actor_ip, \
         actor_user_agent, event_category, event_type, event_severity, resource_type, resource_id, resource_name, \
         action, previous_state, new_state, request_id, session_id, hash, previous_hash"
    };
}

/// The statement whose input [`send`] writes.
const COPY: &str = concat!("COPY {schema}.audit_events (", columns!(), ") FROM STDIN (FORMAT binary)");
/// PostgreSQL has no COPY into a table with row-level security. There the rows take a way round, which ends with the
/// transaction: the session may be other people's next.
const ASIDE: &str = concat!(
    "CREATE TEMPORARY TABLE agenttrace_batch ON COMMIT DROP AS SELECT ",
    columns!(),
    " FROM {schema}.audit_events WITH NO DATA"
);
const COPY_ASIDE: &str =
    concat!("COPY pg_temp.agenttrace_batch (", columns!(), ") FROM STDIN (FORMAT binary)");
const FROM_ASIDE: &str = concat!(
    "INSERT INTO {schema}.audit_events (",
    columns!(),
    ") SELECT ",
    columns!(),
    " FROM pg_temp.agenttrace_batch"
);
/// Signature, flags and length of the header extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const COLUMNS: u16 = 22;
/// Between 1970-01-01 and 2000-01-01, PostgreSQL's epoch, in microseconds.
const EPOCH: i64 = 946_684_800_000_000;
/// How much is collected before it is sent, in bytes.
const CHUNK: usize = 256 * 1024;

/// An event with its place in the chain.
#[derive(Debug)]
pub(super) struct Linked<'a> {
    pub(super) ready: &'a Ready,
    pub(super) hash: &'a str,
    pub(super) previous_hash: &'a str,
}

/// Writes rows into the table; returns how many the server took.
pub(super) async fn send<'a>(
    link: &mut Link,
    relation: &Relation,
    rows: impl Iterator<Item = Linked<'a>>,
) -> Result<u64, StoreError> {
    // PGlite's socket loses the protocol at COPY.
    let asked = "SELECT row_security_active(to_regclass($1)), version() LIKE '%PGlite%'";
    let (confined, takes_no_copy): (bool, bool) =
        sqlx::query_as(asked).bind(relation.sql()).fetch_one(&mut *link).await?;
    if takes_no_copy {
        return Err(StoreError::NoCopy);
    }
    if confined {
        sqlx::raw_sql(relation.name_in(ASIDE)).execute(&mut *link).await?;
    }
    let statement = relation.name_in(if confined { COPY_ASIDE } else { COPY }).0;
    let mut copy = link.bare().copy_in_raw(&statement).await?;
    let mut buffer = Vec::with_capacity(CHUNK + CHUNK / 4);
    buffer.extend_from_slice(HEADER);
    for linked in rows {
        row(&linked, &mut buffer);
        if buffer.len() >= CHUNK {
            copy.send(buffer.as_slice()).await?;
            buffer.clear();
        }
    }
    buffer.extend_from_slice(&(-1i16).to_be_bytes());
    copy.send(buffer.as_slice()).await?;
    let taken = copy.finish().await?;
    if confined {
        return Ok(sqlx::raw_sql(relation.name_in(FROM_ASIDE)).execute(link).await?.rows_affected());
    }
    Ok(taken)
}

fn row(linked: &Linked<'_>, out: &mut Vec<u8>) {
    let event = &linked.ready.event;
    out.extend_from_slice(&COLUMNS.to_be_bytes());
    text(Some(&event.event_id), out);
    field(out, |out| out.extend_from_slice(&(event.timestamp.as_micros() - EPOCH).to_be_bytes()));
    text(Some(event.organization_id.as_str()), out);
    text(event.project_id.as_deref(), out);
    text(Some(event.actor_type.as_str()), out);
    text(Some(&event.actor_id), out);
    text(event.actor_email.as_deref(), out);
    match &linked.ready.ip {
        Some(ip) => field(out, |out| ip.append_binary(out)),
        None => text(None, out),
    }
    text(event.actor_user_agent.as_deref(), out);
    text(Some(event.event_category.as_str()), out);
    text(Some(&event.event_type), out);
    text(Some(event.event_severity.as_str()), out);
    text(Some(&event.resource_type), out);
    text(Some(&event.resource_id), out);
    text(event.resource_name.as_deref(), out);
    text(Some(event.action.as_str()), out);
    jsonb(event.previous_state.as_ref(), out);
    jsonb(event.new_state.as_ref(), out);
    text(Some(&event.request_id), out);
    text(event.session_id.as_deref(), out);
    text(Some(linked.hash), out);
    text(Some(linked.previous_hash), out);
}

/// Writes a field behind its length.
fn field(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    write(out);
    let length = (out.len() - at - 4) as u32;
    if let Some(place) = out.get_mut(at..at + 4) {
        place.copy_from_slice(&length.to_be_bytes());
    }
}

fn text(value: Option<&str>, out: &mut Vec<u8>) {
    match value {
        Some(value) => field(out, |out| out.extend_from_slice(value.as_bytes())),
        None => out.extend_from_slice(&(-1i32).to_be_bytes()),
    }
}

/// Version 1 of the binary form is the JSON text itself.
fn jsonb(value: Option<&Json>, out: &mut Vec<u8>) {
    match value {
        Some(value) => field(out, |out| {
            out.push(1);
            out.extend_from_slice(value.as_str().as_bytes());
        }),
        None => text(None, out),
    }
}
