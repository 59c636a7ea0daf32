//! Events added up: by day, category, actor and so on.

use crate::domain::{TimeRange, Timestamp};
use crate::filter::Filter;
use crate::store::connection::Link;
use crate::store::listing::{filter_sql, page_sql, timeline};
use crate::store::query::{Query, Seek};
use crate::store::row::SqlTime;
use crate::store::{ReadDb, StoreError};
use serde::{Deserialize, Serialize};
use sqlx::{Postgres, QueryBuilder, Row as _};
use tokio_util::sync::CancellationToken;

/// Events that may be gone through to add something up without asking, by the planner's estimate: five seconds or so.
pub const MAX_EVENTS: u64 = 5_000_000;

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

/// What events are told apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "named after the columns, but for the day")]
pub enum By {
    /// The UTC day.
    Day,
    Category,
    Severity,
    Action,
    Type,
    ActorType,
    Actor,
    Email,
    /// `TYPE/ID`
    Resource,
    ResourceType,
    Ip,
    Project,
    Session,
    UserAgent,
}

impl By {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Day,
        Self::Category,
        Self::Severity,
        Self::Action,
        Self::Type,
        Self::ActorType,
        Self::Actor,
        Self::Email,
        Self::Resource,
        Self::ResourceType,
        Self::Ip,
        Self::Project,
        Self::Session,
        Self::UserAgent,
    ];

    /// The one of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|by| by.name() == name)
    }

    /// The name of the key in documents and arguments.
    pub fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Category => "category",
            Self::Severity => "severity",
            Self::Action => "action",
            Self::Type => "type",
            Self::ActorType => "actor_type",
            Self::Actor => "actor",
            Self::Email => "email",
            Self::Resource => "resource",
            Self::ResourceType => "resource_type",
            Self::Ip => "ip",
            Self::Project => "project",
            Self::Session => "session",
            Self::UserAgent => "user_agent",
        }
    }

    fn sql(self) -> &'static str {
        match self {
            // The server's own zone must not decide where a day begins.
            Self::Day => "(timestamp AT TIME ZONE 'UTC')::date::text",
            Self::Category => "event_category::text",
            Self::Severity => "event_severity::text",
            Self::Action => "action::text",
            Self::Type => "event_type::text",
            Self::ActorType => "actor_type::text",
            Self::Actor => "actor_id::text",
            Self::Email => "actor_email::text",
            Self::Resource => "resource_type || '/' || resource_id",
            Self::ResourceType => "resource_type::text",
            Self::Ip => "nullif(concat(actor_ip), '')",
            Self::Project => "project_id::text",
            Self::Session => "session_id::text",
            Self::UserAgent => "actor_user_agent::text",
        }
    }
}

/// Events that have the same values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// The values, in the order of the question; `None` where the column is empty.
    pub keys: Vec<Option<String>>,
    /// How many events.
    pub events: u64,
    /// Distinct actors, if asked for.
    pub actors: Option<u64>,
    /// Time of the first and the last event; `None` where only days are known.
    pub times: Option<(Timestamp, Timestamp)>,
}

/// All events of a query, in groups.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Summary {
    /// The largest ones; with days, the newest days first.
    pub groups: Vec<Group>,
    /// How many groups there are, shown or not.
    pub all_groups: u64,
    /// All events, shown or not.
    pub events: u64,
    /// Days before this one come from the materialised view: events that were written after its last refresh, with an
    /// older time, are not in it.
    pub view_until: Option<Timestamp>,
}

/// Adds up the events of a query. At most `limit` groups are returned; distinct actors are expensive.
///
/// Days and categories of all events come from `audit_daily_summary` where that is, but for its newest day and the
/// parts of days at the ends of the range.
///
/// # Errors
/// [`StoreError`].
pub async fn groups(
    db: &ReadDb,
    query: &Query,
    by: &[By],
    actors: bool,
    limit: u32,
    cancel: &CancellationToken,
) -> Result<Summary, StoreError> {
    if let Some(days) = view_days(db, query, by, actors, cancel).await? {
        return by_view(db, query, by, limit, days, cancel).await;
    }
    let mut sql = QueryBuilder::<Postgres>::new("SELECT ");
    push_keys(&mut sql, by);
    sql.push("count(*)::int8, sum(count(*)) OVER ()::int8, count(*) OVER ()::int8, min(timestamp), max(timestamp), ");
    sql.push(if actors { "count(DISTINCT actor_id)::int8" } else { "NULL::int8" });
    sql.push(" FROM ").push(db.relation(cancel).await?.sql());
    page_sql::push_scope(&mut sql, query);
    filter_sql::push_conditions(&mut sql, query, &db.vector(cancel).await?);
    push_groups(&mut sql, by, "count(*)", limit);
    let rows = db.run(cancel, async |c: &mut Link| sql.build().fetch_all(c).await).await?;
    let mut summary = Summary::default();
    let width = by.len();
    for row in &rows {
        summary.events = row.try_get::<i64, _>(width + 1)?.unsigned_abs();
        summary.all_groups = row.try_get::<i64, _>(width + 2)?.unsigned_abs();
        summary.groups.push(Group {
            keys: keys(row, width)?,
            events: row.try_get::<i64, _>(width)?.unsigned_abs(),
            actors: row.try_get::<Option<i64>, _>(width + 5)?.map(i64::unsigned_abs),
            times: Some((row.try_get::<SqlTime, _>(width + 3)?.0, row.try_get::<SqlTime, _>(width + 4)?.0)),
        });
    }
    Ok(summary)
}

/// Whole days that a view can answer for: its name, the first day, and the first behind the last.
async fn view_days(
    db: &ReadDb,
    query: &Query,
    by: &[By],
    actors: bool,
    cancel: &CancellationToken,
) -> Result<Option<(String, Timestamp, Timestamp)>, StoreError> {
    let fits =
        by.iter().all(|by| matches!(by, By::Day | By::Category)) && query.filter.conditions().is_empty();
    if !fits || actors {
        return Ok(None);
    }
    let Some(view) = db.capabilities(cancel).await?.daily_summary.clone() else { return Ok(None) };
    let mut sql = QueryBuilder::<Postgres>::new(
        "SELECT min(date)::timestamp AT TIME ZONE 'UTC', max(date)::timestamp AT TIME ZONE 'UTC' FROM ",
    );
    sql.push(&view).push(" WHERE isfinite(date) AND organization_id = ");
    sql.push_bind(query.scope.organization().as_str());
    let row = db.run(cancel, async |c: &mut Link| sql.build().fetch_one(c).await).await?;
    let (Some(first), Some(last)) =
        (row.try_get::<Option<SqlTime>, _>(0)?, row.try_get::<Option<SqlTime>, _>(1)?)
    else {
        return Ok(None);
    };
    let day = |t: Timestamp| t.as_micros().div_euclid(DAY);
    // Events that have been archived since its last refresh are still in it.
    let everything =
        Query { scope: query.scope.clone(), filter: Filter::default(), range: TimeRange::default() };
    let oldest = timeline::page(db, &everything, &Seek::Oldest, 1, cancel).await?.rows.pop();
    let Some(oldest) = oldest else { return Ok(None) };
    let behind_oldest = Timestamp::from_micros((day(oldest.timestamp) + 1).saturating_mul(DAY));
    let first = SqlTime(first.0.max(behind_oldest));
    let since = query.range.since.map_or(first.0, |since| {
        let next = day(since) + i64::from(since.as_micros().rem_euclid(DAY) > 0);
        Timestamp::from_micros(next.saturating_mul(DAY)).max(first.0)
    });
    // Its newest day may have been going on when it was refreshed.
    let until =
        query.range.until.map_or(last.0, |until| Timestamp::from_micros(day(until).saturating_mul(DAY)));
    let until = until.min(last.0);
    Ok((since < until).then_some((view, since, until)))
}

async fn by_view(
    db: &ReadDb,
    query: &Query,
    by: &[By],
    limit: u32,
    (view, since, until): (String, Timestamp, Timestamp),
    cancel: &CancellationToken,
) -> Result<Summary, StoreError> {
    let relation = db.relation(cancel).await?;
    let mut sql = QueryBuilder::<Postgres>::new("SELECT ");
    for by in by {
        sql.push(by.name()).push(", ");
    }
    sql.push("sum(n)::int8, sum(sum(n)) OVER ()::int8, count(*) OVER ()::int8 FROM (");
    sql.push("SELECT date::text AS day, event_category::text AS category, event_count AS n FROM ");
    sql.push(view)
        .push(" WHERE organization_id = ")
        .push_bind(query.scope.organization().as_str().to_owned());
    sql.push(" AND date >= (").push_bind(SqlTime(since)).push(" AT TIME ZONE 'UTC')::date");
    sql.push(" AND date < (").push_bind(SqlTime(until)).push(" AT TIME ZONE 'UTC')::date");
    for range in [
        TimeRange { since: query.range.since, until: Some(since) },
        TimeRange { since: Some(until), until: query.range.until },
    ] {
        sql.push(format_args!(
            " UNION ALL SELECT {}, {}, count(*) FROM {}",
            By::Day.sql(),
            By::Category.sql(),
            relation.sql()
        ));
        page_sql::push_scope(&mut sql, &Query { range, ..query.clone() });
        sql.push(" GROUP BY 1, 2");
    }
    sql.push(") days");
    push_groups(&mut sql, by, "sum(n)", limit);
    let rows = db.run(cancel, async |c: &mut Link| sql.build().fetch_all(c).await).await?;
    let mut summary = Summary { view_until: Some(until), ..Summary::default() };
    let width = by.len();
    for row in &rows {
        summary.events = row.try_get::<i64, _>(width + 1)?.unsigned_abs();
        summary.all_groups = row.try_get::<i64, _>(width + 2)?.unsigned_abs();
        let events = row.try_get::<i64, _>(width)?.unsigned_abs();
        summary.groups.push(Group { keys: keys(row, width)?, events, actors: None, times: None });
    }
    Ok(summary)
}

fn push_keys(sql: &mut QueryBuilder<Postgres>, by: &[By]) {
    for by in by {
        sql.push(by.sql()).push(", ");
    }
}

/// Groups by the first columns, the newest days or else the largest groups first.
fn push_groups(sql: &mut QueryBuilder<Postgres>, by: &[By], events: &str, limit: u32) {
    let columns: Vec<String> = (1..=by.len()).map(|n| n.to_string()).collect();
    if !columns.is_empty() {
        sql.push(" GROUP BY ").push(columns.join(", "));
    }
    sql.push(" ORDER BY ");
    if let Some(day) = by.iter().position(|by| *by == By::Day) {
        sql.push(format_args!("{} DESC, ", day + 1));
    }
    sql.push(events).push(" DESC");
    for column in &columns {
        sql.push(", ").push(column);
    }
    sql.push(" LIMIT ").push_bind(i64::from(limit));
}

fn keys(row: &sqlx::postgres::PgRow, width: usize) -> Result<Vec<Option<String>>, sqlx::Error> {
    (0..width).map(|column| row.try_get(column)).collect()
}
