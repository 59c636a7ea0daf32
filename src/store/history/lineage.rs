//! What came of what was created: events of actors, and of resources by others, from a time on.

use crate::domain::{EventKey, OrgScope, TimeRange, Timestamp};
use crate::store::connection::Link;
use crate::store::history::Resource;
use crate::store::query::Count;
use crate::store::row::SqlTime;
use crate::store::{ReadDb, StoreError};
use sqlx::{Postgres, QueryBuilder, Row as _};
use tokio_util::sync::CancellationToken;

/// Events of one actor or resource that are counted; there may be more.
pub const MAX_COUNTED: u32 = 1_000;

/// Actors or resources of one look-up.
pub const MAX_SOUGHT: usize = 1_000;

/// Events from a place in the timeline on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deeds {
    /// The index of what was asked for.
    pub of: usize,
    /// How many events, at most [`MAX_COUNTED`].
    pub events: Count,
    /// Time of the first one.
    pub first: Timestamp,
    /// Time of the last one that was counted.
    pub last: Timestamp,
    /// The actor has events before that place, also before the range.
    pub before: bool,
}

/// An actor, and the event from which on its events are looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// `actor_id`.
    pub actor: String,
    /// The event, which does not count.
    pub since: EventKey,
}

/// A resource that was created, who did, and by which event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// The resource.
    pub resource: Resource,
    /// `actor_id` of whoever created it; own events do not count.
    pub creator: String,
    /// The event, which does not count either.
    pub since: EventKey,
}

/// Those of the ids that are actors with events in the range, each from its event on: one look-up. At most [`MAX_SOUGHT`]
/// ids are looked up.
///
/// # Errors
/// [`StoreError`], also when the look-up takes too long because the table has no index on actors.
pub async fn deeds(
    db: &ReadDb,
    scope: &OrgScope,
    named: &[Named],
    range: TimeRange,
    cancel: &CancellationToken,
) -> Result<Vec<Deeds>, StoreError> {
    let named = named.get(..MAX_SOUGHT).unwrap_or(named);
    if named.is_empty() {
        return Ok(Vec::new());
    }
    let table = db.relation(cancel).await?;
    let actors: Vec<&str> = named.iter().map(|n| n.actor.as_str()).collect();
    let keys: Vec<&EventKey> = named.iter().map(|n| &n.since).collect();
    let mut sql =
        QueryBuilder::<Postgres>::new("SELECT s.n, e.events, e.first, e.last, EXISTS (SELECT FROM ");
    sql.push(table.sql()).push(" WHERE organization_id = ").push_bind(scope.organization().as_str());
    sql.push(
        " AND actor_id = s.actor AND timestamp <= s.since AND (timestamp, event_id) < (s.since, s.event))",
    );
    sql.push(" FROM unnest(").push_bind(actors);
    sql.push(", ");
    push_keys(&mut sql, &keys);
    sql.push(") WITH ORDINALITY s (actor, since, event, n), LATERAL (");
    push_counted(&mut sql, table.sql(), scope, range);
    sql.push(" AND actor_id = s.actor");
    push_end(&mut sql);
    let rows = db.run(cancel, async |c: &mut Link| sql.build().fetch_all(c).await).await?;
    rows.iter().map(|row| told(row, row.try_get(4)?)).collect()
}

/// Those of the resources that have events by others than their creator in the range, each from its event on: one look-up.
/// At most [`MAX_SOUGHT`] resources are looked up.
///
/// # Errors
/// [`StoreError`], also when the look-up takes too long because the table has no index on resources.
pub async fn uses(
    db: &ReadDb,
    scope: &OrgScope,
    created: &[Created],
    range: TimeRange,
    cancel: &CancellationToken,
) -> Result<Vec<Deeds>, StoreError> {
    let created = created.get(..MAX_SOUGHT).unwrap_or(created);
    if created.is_empty() {
        return Ok(Vec::new());
    }
    let text = |of: fn(&Created) -> &str| created.iter().map(of).collect::<Vec<_>>();
    let keys: Vec<&EventKey> = created.iter().map(|c| &c.since).collect();
    let table = db.relation(cancel).await?;
    let mut sql = QueryBuilder::<Postgres>::new("SELECT s.n, e.events, e.first, e.last FROM unnest(");
    sql.push_bind(text(|c| &c.resource.kind)).push(", ").push_bind(text(|c| &c.resource.id)).push(", ");
    sql.push_bind(text(|c| &c.creator)).push(", ");
    push_keys(&mut sql, &keys);
    sql.push(") WITH ORDINALITY s (kind, id, creator, since, event, n), LATERAL (");
    push_counted(&mut sql, table.sql(), scope, range);
    sql.push(" AND resource_type = s.kind AND resource_id = s.id AND actor_id <> s.creator");
    push_end(&mut sql);
    let rows = db.run(cancel, async |c: &mut Link| sql.build().fetch_all(c).await).await?;
    rows.iter().map(|row| told(row, true)).collect()
}

/// The times and ids of events, as two arrays.
fn push_keys(sql: &mut QueryBuilder<Postgres>, keys: &[&EventKey]) {
    let times: Vec<SqlTime> = keys.iter().map(|key| SqlTime(key.timestamp)).collect();
    let ids: Vec<String> = keys.iter().map(|key| key.event_id.clone()).collect();
    sql.push_bind(times).push(", ").push_bind(ids);
}

/// The events behind the place that is looked at, up to a condition on whose they are.
fn push_counted(sql: &mut QueryBuilder<Postgres>, table: &str, scope: &OrgScope, range: TimeRange) {
    sql.push("SELECT count(*)::int8, min(timestamp), max(timestamp) FROM (SELECT timestamp FROM ")
        .push(table);
    sql.push(" WHERE organization_id = ").push_bind(scope.organization().as_str().to_owned());
    sql.push(" AND timestamp >= s.since AND (timestamp, event_id) > (s.since, s.event)");
    if let Some(since) = range.since {
        sql.push(" AND timestamp >= ").push_bind(SqlTime(since));
    }
    if let Some(until) = range.until {
        sql.push(" AND timestamp < ").push_bind(SqlTime(until));
    }
}

fn push_end(sql: &mut QueryBuilder<Postgres>) {
    sql.push(" ORDER BY timestamp LIMIT ").push_bind(i64::from(MAX_COUNTED));
    sql.push(") first) e (events, first, last) WHERE e.events > 0 ORDER BY s.n");
}

fn told(row: &sqlx::postgres::PgRow, before: bool) -> Result<Deeds, StoreError> {
    let events = row.try_get::<i64, _>(1)?.unsigned_abs();
    let most = u64::from(MAX_COUNTED);
    Ok(Deeds {
        of: usize::try_from(row.try_get::<i64, _>(0)?).unwrap_or_default().saturating_sub(1),
        events: if events < most { Count::Exact(events) } else { Count::AtLeast(events) },
        first: row.try_get::<SqlTime, _>(2)?.0,
        last: row.try_get::<SqlTime, _>(3)?.0,
        before,
    })
}
