//! The events of one resource, with their states; and one event with as much of its states as was asked for.

use super::row::{self, EVENT_COLUMNS, ROW_COLUMNS, SqlTime};
use super::{ReadDb, StoreError};
use crate::domain::{Event, EventKey, EventRow, OrgScope};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, QueryBuilder, Row as _};
use tokio_util::sync::CancellationToken;

/// The newest `limit` events of a resource, oldest first, in the order of the timeline.
///
/// # Errors
/// [`StoreError`].
pub async fn events(
    db: &ReadDb,
    scope: &OrgScope,
    resource_type: &str,
    resource_id: &str,
    limit: u32,
    cancel: &CancellationToken,
) -> Result<Vec<Event>, StoreError> {
    let mut sql = QueryBuilder::new("SELECT ");
    sql.push(EVENT_COLUMNS).push(" FROM audit_events WHERE organization_id = ");
    sql.push_bind(scope.organization().as_str());
    sql.push(" AND resource_type = ").push_bind(resource_type);
    sql.push(" AND resource_id = ").push_bind(resource_id);
    sql.push(" ORDER BY timestamp DESC, event_id DESC LIMIT ").push_bind(i64::from(limit));
    let rows = db.run(cancel, async |c: &mut PgConnection| sql.build().fetch_all(c).await).await?;
    rows.iter().rev().map(row::event).collect()
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
    sql.push(
        " FROM audit_events, LATERAL (SELECT previous_state::text AS p, new_state::text AS n OFFSET 0) s \
         WHERE organization_id = ",
    );
    sql.push_bind(scope.organization().as_str());
    sql.push(" AND event_id = ").push_bind(&key.event_id);
    sql.push(" AND timestamp = ").push_bind(SqlTime(key.timestamp)).push(" LIMIT 1");
    let found = db.run(cancel, async |c: &mut PgConnection| sql.build().fetch_optional(c).await).await?;
    found.as_ref().map(observed).transpose()
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
    // The two states follow the 21 columns of a row.
    Ok(Observed { row: row::event_row(row)?, previous: excerpt(21)?, new: excerpt(24)? })
}
