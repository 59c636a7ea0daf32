//! The states of a few rows at once, for what a list shows about its rows. Large ones are left where they are.

use crate::domain::{Event, EventKey, EventRow, Json, OrgScope};
use crate::store::connection::Link;
use crate::store::row::{self, ROW_COLUMNS, SqlTime};
use crate::store::{ReadDb, StoreError, scan};
use sqlx::postgres::PgRow;
use sqlx::{Postgres, QueryBuilder, Row as _};
use std::collections::HashMap;
use tokio_util::sync::CancellationToken;

/// Longest state that is read, in bytes as stored and in characters of its text.
pub const MAX_STATE: i32 = 64 << 10;

/// What has become of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    /// It is there, with its states.
    Whole(Box<Event>),
    /// It is there; a state of it is longer than [`MAX_STATE`].
    Large(Box<EventRow>),
    /// The server cannot send it; its reason.
    Unreadable(String),
    /// The organisation has no such event at that time any more.
    Gone,
}

/// Reads rows again, now with their states, in the order of `keys`. Ask for no more than a few screens.
///
/// # Errors
/// [`StoreError`]. Rows that the server cannot send are no errors.
pub async fn of(
    db: &ReadDb,
    scope: &OrgScope,
    keys: &[EventKey],
    cancel: &CancellationToken,
) -> Result<Vec<Seen>, StoreError> {
    match read(db, scope, keys, cancel).await {
        // One of them cannot be sent, and the error does not say which.
        Err(StoreError::Database(error)) if scan::is_about_a_row(&error) => {}
        read => return read,
    }
    let mut all = Vec::with_capacity(keys.len());
    for key in keys {
        match read(db, scope, std::slice::from_ref(key), cancel).await {
            Err(error @ StoreError::Database(_)) => all.push(Seen::Unreadable(scan::reason(&error))),
            read => all.extend(read?),
        }
    }
    Ok(all)
}

async fn read(
    db: &ReadDb,
    scope: &OrgScope,
    keys: &[EventKey],
    cancel: &CancellationToken,
) -> Result<Vec<Seen>, StoreError> {
    let (Some(first), Some(last)) =
        (keys.iter().map(|k| k.timestamp).min(), keys.iter().map(|k| k.timestamp).max())
    else {
        return Ok(Vec::new());
    };
    let ids: Vec<&str> = keys.iter().map(|key| key.event_id.as_str()).collect();
    let mut sql = QueryBuilder::<Postgres>::new("SELECT ");
    sql.push(ROW_COLUMNS);
    for column in ["previous_state", "new_state"] {
        // What is short as stored may be long as text; one character too many tells.
        sql.push(format_args!(", {column} IS NOT NULL, CASE WHEN pg_column_size({column}) <= "));
        sql.push_bind(MAX_STATE).push(format_args!(" THEN left({column}::text, ")).push_bind(MAX_STATE + 1);
        sql.push(") END");
    }
    sql.push(" FROM ").push(db.relation(cancel).await?.sql());
    sql.push(" WHERE organization_id = ").push_bind(scope.organization().as_str());
    sql.push(" AND timestamp >= ").push_bind(SqlTime(first));
    sql.push(" AND timestamp <= ").push_bind(SqlTime(last));
    sql.push(" AND event_id = ANY (").push_bind(ids).push(")");
    let rows = db.run(cancel, async |c: &mut Link| sql.build().fetch_all(c).await).await?;
    let mut found = HashMap::with_capacity(rows.len());
    for row in &rows {
        let event = row::event_row(row)?;
        found.insert(event.key(), seen(row, event)?);
    }
    // Keys may be given twice, rows are given once.
    Ok(keys.iter().map(|key| found.get(key).cloned().unwrap_or(Seen::Gone)).collect())
}

fn seen(row: &PgRow, event: EventRow) -> Result<Seen, StoreError> {
    let mut states = [None, None];
    for (state, column) in states.iter_mut().zip([row::WIDTH, row::WIDTH + 2]) {
        let text: Option<String> = row.try_get(column + 1)?;
        let whole = text.filter(|text| text.chars().count() <= MAX_STATE as usize);
        if whole.is_none() && row.try_get(column)? {
            return Ok(Seen::Large(Box::new(event)));
        }
        *state = whole.map(Json::from_trusted);
    }
    let [previous_state, new_state] = states;
    Ok(Seen::Whole(Box::new(Event { row: event, previous_state, new_state })))
}
