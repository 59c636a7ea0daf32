//! The events of one resource, with their states; and one event with as much of its states as was asked for.

pub mod lineage;
pub mod links;
pub mod states;

use super::connection::Link;
use super::row::{self, EVENT_COLUMNS, ROW_COLUMNS, SqlTime};
use super::{ReadDb, StoreError};
use crate::domain::{Event, EventKey, EventRow, OrgScope, TimeRange, Timestamp};
use crate::filter::quoted;
use crate::filter::{Filter, FilterError};
use crate::store::listing::{filter_sql, page_sql};
use crate::store::query::Query;
use sqlx::postgres::PgRow;
use sqlx::{Postgres, QueryBuilder, Row as _};
use tokio_util::sync::CancellationToken;

/// What a history is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Resource {
    /// Column `resource_type`.
    pub kind: String,
    /// Column `resource_id`.
    pub id: String,
}

impl Resource {
    /// What an event is about.
    pub fn of(row: &EventRow) -> Self {
        Self { kind: row.resource_type.clone(), id: row.resource_id.clone() }
    }

    /// The filter that matches its events, at any time.
    ///
    /// # Errors
    /// When its name cannot be written in the language of filters.
    pub fn filter(&self) -> Result<Filter, FilterError> {
        let Self { kind, id } = self;
        if kind.contains('/') {
            // A reference to a resource ends its type at the first slash.
            Filter::parse(&format!("all-time resource_type:{} resource_id:{}", quoted(kind), quoted(id)))
        } else {
            Filter::parse(&format!("all-time res:{}", quoted(&format!("{kind}/{id}"))))
        }
    }

    fn push_where(&self, sql: &mut QueryBuilder<Postgres>, scope: &OrgScope) {
        sql.push(" WHERE organization_id = ").push_bind(scope.organization().as_str().to_owned());
        sql.push(" AND resource_type = ").push_bind(self.kind.clone());
        sql.push(" AND resource_id = ").push_bind(self.id.clone());
    }
}

/// The newest `limit` events of a resource, oldest first, in the order of the timeline; with `until`, none that is
/// newer than this one.
///
/// # Errors
/// [`StoreError`].
pub async fn events(
    db: &ReadDb,
    scope: &OrgScope,
    resource: &Resource,
    until: Option<&EventKey>,
    limit: u32,
    cancel: &CancellationToken,
) -> Result<Vec<Event>, StoreError> {
    let relation = db.relation(cancel).await?;
    let mut sql = QueryBuilder::new("SELECT ");
    sql.push(EVENT_COLUMNS).push(" FROM ").push(relation.sql());
    resource.push_where(&mut sql, scope);
    if let Some(key) = until {
        push_key(&mut sql, "<=", key);
    }
    sql.push(" ORDER BY timestamp DESC, event_id DESC LIMIT ").push_bind(i64::from(limit));
    let rows = db.run(cancel, async |c: &mut Link| sql.build().fetch_all(c).await).await?;
    rows.iter().rev().map(row::event).collect()
}

/// Bytes that the states of the newest `limit` events take in the table, none newer than `until`: what reading them
/// all would cost, without reading them.
///
/// # Errors
/// [`StoreError`].
pub async fn stored_bytes(
    db: &ReadDb,
    scope: &OrgScope,
    resource: &Resource,
    until: &EventKey,
    limit: u32,
    cancel: &CancellationToken,
) -> Result<u64, StoreError> {
    let mut sql = QueryBuilder::new(
        "SELECT coalesce(sum(coalesce(pg_column_size(previous_state), 0) + coalesce(pg_column_size(new_state), 0)), \
         0)::bigint FROM (SELECT previous_state, new_state FROM ",
    );
    sql.push(db.relation(cancel).await?.sql());
    resource.push_where(&mut sql, scope);
    push_key(&mut sql, "<=", until);
    sql.push(" ORDER BY timestamp DESC, event_id DESC LIMIT ").push_bind(i64::from(limit)).push(") s");
    let row = db.run(cancel, async |c: &mut Link| sql.build().fetch_one(c).await).await?;
    Ok(row.try_get::<i64, _>(0)?.unsigned_abs())
}

/// Most addresses that are named for one actor.
pub const MAX_ADDRESSES: usize = 20;

/// What one actor did with a resource, by one action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// Column `actor_type`.
    pub actor_type: String,
    /// Column `actor_id`.
    pub actor_id: String,
    /// An e-mail address of the actor.
    pub actor_email: Option<String>,
    /// Column `action`.
    pub action: String,
    /// Number of events.
    pub events: u64,
    /// Time of the first one.
    pub first: Timestamp,
    /// Time of the last one.
    pub last: Timestamp,
    /// Addresses, at most [`MAX_ADDRESSES`].
    pub addresses: Vec<String>,
}

/// Who did what with a resource in a period, by actor and action.
///
/// # Errors
/// [`StoreError`].
pub async fn access(
    db: &ReadDb,
    scope: &OrgScope,
    resource: &Resource,
    range: TimeRange,
    cancel: &CancellationToken,
) -> Result<Vec<Access>, StoreError> {
    let mut sql = QueryBuilder::new(
        "SELECT actor_type, actor_id, max(actor_email), action, count(*), min(timestamp), max(timestamp), \
         (array_agg(DISTINCT concat(actor_ip)) FILTER (WHERE actor_ip IS NOT NULL))[1:",
    );
    sql.push_bind(i32::try_from(MAX_ADDRESSES).unwrap_or(i32::MAX)).push("] FROM ");
    sql.push(db.relation(cancel).await?.sql());
    resource.push_where(&mut sql, scope);
    if let Some(since) = range.since {
        sql.push(" AND timestamp >= ").push_bind(SqlTime(since));
    }
    if let Some(until) = range.until {
        sql.push(" AND timestamp < ").push_bind(SqlTime(until));
    }
    sql.push(" GROUP BY actor_type, actor_id, action ORDER BY actor_type, actor_id, action");
    let rows = db.run(cancel, async |c: &mut Link| sql.build().fetch_all(c).await).await?;
    let access = |row: &PgRow| {
        Ok(Access {
            actor_type: row.try_get(0)?,
            actor_id: row.try_get(1)?,
            actor_email: row.try_get(2)?,
            action: row.try_get(3)?,
            events: row.try_get::<i64, _>(4)?.unsigned_abs(),
            first: row.try_get::<SqlTime, _>(5)?.0,
            last: row.try_get::<SqlTime, _>(6)?.0,
            addresses: row.try_get::<Option<Vec<String>>, _>(7)?.unwrap_or_default(),
        })
    };
    rows.iter().map(access).collect()
}

/// The resources of the events that match a query, at most `limit`.
///
/// # Errors
/// [`StoreError`].
pub async fn resources(
    db: &ReadDb,
    query: &Query,
    limit: u32,
    cancel: &CancellationToken,
) -> Result<Vec<Resource>, StoreError> {
    let mut sql = QueryBuilder::new("SELECT DISTINCT resource_type, resource_id FROM ");
    sql.push(db.relation(cancel).await?.sql());
    page_sql::push_scope(&mut sql, query);
    filter_sql::push_conditions(&mut sql, query, &db.vector(cancel).await?);
    sql.push(" LIMIT ").push_bind(i64::from(limit));
    let rows = db.run(cancel, async |c: &mut Link| sql.build().fetch_all(c).await).await?;
    rows.iter().map(|row| Ok(Resource { kind: row.try_get(0)?, id: row.try_get(1)? })).collect()
}

/// What tells anything about the state, as [`crate::diff::history`] sees it.
const TELLS: &str =
    " AND (action NOT IN ('read', 'export') OR previous_state IS NOT NULL OR new_state IS NOT NULL)";

/// The version of a resource next to one of its events, towards the past or the present: its next event that is not
/// merely a look at it.
///
/// # Errors
/// [`StoreError`].
pub async fn neighbour(
    db: &ReadDb,
    scope: &OrgScope,
    resource: &Resource,
    of: &EventKey,
    older: bool,
    cancel: &CancellationToken,
) -> Result<Option<EventKey>, StoreError> {
    let mut sql = QueryBuilder::new("SELECT timestamp, event_id FROM ");
    sql.push(db.relation(cancel).await?.sql());
    resource.push_where(&mut sql, scope);
    push_key(&mut sql, if older { "<" } else { ">" }, of);
    sql.push(TELLS);
    let direction = if older { "DESC" } else { "ASC" };
    sql.push(format_args!(" ORDER BY timestamp {direction}, event_id {direction} LIMIT 1"));
    let found = db.run(cancel, async |c: &mut Link| sql.build().fetch_optional(c).await).await?;
    found
        .map(|row| Ok(EventKey { timestamp: row.try_get::<SqlTime, _>(0)?.0, event_id: row.try_get(1)? }))
        .transpose()
}

/// A resource at one of its events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// The last version not newer than the event: reading and exporting without a state make none.
    pub version: Option<Observed>,
    /// The version after it.
    pub next: Option<Observed>,
    /// Number of versions up to `version`.
    pub index: u64,
    /// Number of all versions.
    pub total: u64,
}

/// The versions of a resource on either side of the moment after an event, their states whole up to `cap` bytes each.
///
/// # Errors
/// [`StoreError`].
pub async fn moment(
    db: &ReadDb,
    scope: &OrgScope,
    resource: &Resource,
    after: &EventKey,
    cap: u32,
    cancel: &CancellationToken,
) -> Result<Moment, StoreError> {
    let relation = db.relation(cancel).await?;
    let side = |operator: &'static str, direction: &'static str| {
        let mut sql = QueryBuilder::new("SELECT ");
        push_observed(&mut sql, relation.sql(), cap);
        resource.push_where(&mut sql, scope);
        push_key(&mut sql, operator, after);
        sql.push(TELLS);
        sql.push(format_args!(" ORDER BY timestamp {direction}, event_id {direction} LIMIT 1"));
        sql
    };
    let (mut before, mut behind) = (side("<=", "DESC"), side(">", "ASC"));
    let mut numbers = QueryBuilder::new("SELECT count(*) FILTER (WHERE (timestamp, event_id) <= (");
    numbers.push_bind(SqlTime(after.timestamp)).push(", ").push_bind(&after.event_id);
    numbers.push(")), count(*) FROM ").push(relation.sql());
    resource.push_where(&mut numbers, scope);
    numbers.push(TELLS);
    let (before, behind, numbers) = db
        .run(cancel, async |c: &mut Link| {
            let before = before.build().fetch_optional(&mut *c).await?;
            let behind = behind.build().fetch_optional(&mut *c).await?;
            Ok((before, behind, numbers.build().fetch_one(c).await?))
        })
        .await?;
    Ok(Moment {
        version: before.as_ref().map(observed).transpose()?,
        next: behind.as_ref().map(observed).transpose()?,
        index: numbers.try_get::<i64, _>(0)?.unsigned_abs(),
        total: numbers.try_get::<i64, _>(1)?.unsigned_abs(),
    })
}

/// A row comparison with a key; the bound on the time alone, which it implies, is what prunes partitions.
fn push_key(sql: &mut QueryBuilder<Postgres>, operator: &'static str, key: &EventKey) {
    sql.push(format_args!(" AND (timestamp, event_id) {operator} (")).push_bind(SqlTime(key.timestamp));
    sql.push(", ").push_bind(key.event_id.clone());
    let time_operator = if operator.starts_with('<') { "<=" } else { ">=" };
    sql.push(format_args!(") AND timestamp {time_operator} ")).push_bind(SqlTime(key.timestamp));
}

/// Characters that are fetched of a state that is not fetched whole.
const BEGINNING: i32 = 16_384;

/// A state, or the beginning of one that is larger than was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// The text, as PostgreSQL prints a `jsonb`.
    pub text: Box<str>,
    /// Bytes of the whole text.
    pub bytes: u64,
    /// Of a beginning: SHA-256 of the whole text, in hexadecimal.
    pub sha256: Option<String>,
}

impl Excerpt {
    /// Whether this is the whole state.
    pub fn is_whole(&self) -> bool {
        self.sha256.is_none()
    }
}

/// An event with what was fetched of its states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// The event.
    pub row: EventRow,
    /// State before.
    pub previous: Option<Excerpt>,
    /// State after.
    pub new: Option<Excerpt>,
}

/// One event, its states whole up to `cap` bytes each; `None` when the organisation has no such event. Larger states
/// do not leave the server: their beginning, size and digest do.
///
/// # Errors
/// [`StoreError`].
pub async fn observe(
    db: &ReadDb,
    scope: &OrgScope,
    key: &EventKey,
    cap: u32,
    cancel: &CancellationToken,
) -> Result<Option<Observed>, StoreError> {
    let mut sql = QueryBuilder::new("SELECT ");
    push_observed(&mut sql, db.relation(cancel).await?.sql(), cap);
    sql.push(" WHERE organization_id = ");
    sql.push_bind(scope.organization().as_str());
    sql.push(" AND event_id = ").push_bind(&key.event_id);
    sql.push(" AND timestamp = ").push_bind(SqlTime(key.timestamp)).push(" LIMIT 1");
    let found = db.run(cancel, async |c: &mut Link| sql.build().fetch_optional(c).await).await?;
    found.as_ref().map(observed).transpose()
}

/// What [`observed`] reads, and where from.
fn push_observed(sql: &mut QueryBuilder<Postgres>, table: &str, cap: u32) {
    sql.push(ROW_COLUMNS);
    for side in ["p", "n"] {
        sql.push(format_args!(", octet_length({side})::bigint, CASE WHEN octet_length({side}) > "));
        sql.push_bind(i64::from(cap));
        sql.push(format_args!(
            " THEN left({side}, {BEGINNING}) ELSE {side} END, CASE WHEN octet_length({side}) > "
        ));
        sql.push_bind(i64::from(cap));
        sql.push(format_args!(" THEN encode(sha256(convert_to({side}, 'UTF8')), 'hex') END"));
    }
    // OFFSET 0 keeps the planner from printing a state once for each mention.
    sql.push(format_args!(
        " FROM {table}, LATERAL (SELECT previous_state::text AS p, new_state::text AS n OFFSET 0) s",
    ));
}

fn observed(row: &PgRow) -> Result<Observed, StoreError> {
    let excerpt = |first: usize| -> Result<Option<Excerpt>, StoreError> {
        let bytes: Option<i64> = row.try_get(first)?;
        let text: Option<String> = row.try_get(first + 1)?;
        let sha256 = row.try_get(first + 2)?;
        Ok(bytes.zip(text).map(|(bytes, text)| Excerpt {
            text: text.into(),
            bytes: bytes.unsigned_abs(),
            sha256,
        }))
    };
    let (previous, new) = (excerpt(row::WIDTH)?, excerpt(row::WIDTH + 3)?);
    Ok(Observed { row: row::event_row(row)?, previous, new })
}
