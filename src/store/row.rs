//! Rows of `audit_events` to domain types.

use super::StoreError;
use crate::domain::{Event, EventKey, EventRow, Json, Timestamp};
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgHasArrayType, PgRow, PgTypeInfo, PgValueFormat, PgValueRef};
use sqlx::{Decode, Encode, Postgres, Row as _, Type, ValueRef as _};

macro_rules! row_columns {
    () => {
        "event_id, timestamp, organization_id, project_id, actor_type, actor_id, actor_email, \
         nullif(concat(actor_ip), ''), actor_user_agent, event_category, event_type, event_severity, resource_type, \
         resource_id, resource_name, action, request_id, session_id, hash, previous_hash, xmin::text"
    };
}

/// The columns of an [`EventRow`], in the order [`event_row`] reads them.
///
/// `concat` prints an address as PostgreSQL itself does, while its cast to text adds `/32`; it makes `''` of NULL.
pub(super) const ROW_COLUMNS: &str = row_columns!();

/// How many these are.
pub(super) const WIDTH: usize = 21;
/// Which of them is the user agent.
const USER_AGENT: usize = 8;

/// The columns of an [`Event`], in the order [`event`] reads them.
pub(super) const EVENT_COLUMNS: &str = concat!(row_columns!(), ", previous_state::text, new_state::text");

/// The columns of an [`EventKey`], in the order [`event_key`] reads them.
pub(super) const KEY_COLUMNS: &str = "event_id, timestamp";

/// Microseconds from 1970-01-01 to 2000-01-01, where PostgreSQL begins to count.
const EPOCH: i64 = 946_684_800_000_000;
/// First instant a `timestamptz` can hold, 4714-11-24 BC, counted from 2000.
const FIRST: i64 = -211_813_488_000_000_000;

/// An instant as `timestamptz`, in binary, so that `infinity` and years beyond those of chrono are values like others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SqlTime(pub(super) Timestamp);

impl Type<Postgres> for SqlTime {
    fn type_info() -> PgTypeInfo {
        <chrono::DateTime<chrono::Utc> as Type<Postgres>>::type_info()
    }
}

impl PgHasArrayType for SqlTime {
    fn array_type_info() -> PgTypeInfo {
        <chrono::DateTime<chrono::Utc> as PgHasArrayType>::array_type_info()
    }
}

impl Encode<'_, Postgres> for SqlTime {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        Encode::<Postgres>::encode_by_ref(&to_postgres(self.0), buffer)
    }
}

impl Decode<'_, Postgres> for SqlTime {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        match value.format() {
            PgValueFormat::Binary => {
                let bytes: [u8; 8] = value.as_bytes()?.try_into()?;
                Ok(Self(from_postgres(i64::from_be_bytes(bytes))))
            }
            PgValueFormat::Text => Err("a timestamptz must be asked for in binary".into()),
        }
    }
}

fn to_postgres(time: Timestamp) -> i64 {
    match time {
        Timestamp::INFINITY => i64::MAX,
        t => match t.as_micros().saturating_sub(EPOCH) {
            // Earlier than any value of the type, which is what the comparison wants.
            micros if micros < FIRST => i64::MIN,
            micros => micros,
        },
    }
}

pub(super) fn from_postgres(micros: i64) -> Timestamp {
    match micros {
        i64::MAX => Timestamp::INFINITY,
        i64::MIN => Timestamp::NEG_INFINITY,
        // The last thirty years before 294277 do not fit and become the last instant that does.
        m => Timestamp::from_micros(m.checked_add(EPOCH).unwrap_or(i64::MAX - 1)),
    }
}

/// Reads [`ROW_COLUMNS`].
pub(super) fn event_row(row: &PgRow) -> Result<EventRow, StoreError> {
    let xmin: String = row.try_get(20)?;
    Ok(EventRow {
        event_id: row.try_get(0)?,
        timestamp: row.try_get::<SqlTime, _>(1)?.0,
        organization_id: row.try_get(2)?,
        project_id: row.try_get(3)?,
        actor_type: row.try_get(4)?,
        actor_id: row.try_get(5)?,
        actor_email: row.try_get(6)?,
        actor_ip: row.try_get(7)?,
        actor_user_agent: row.try_get(8)?,
        event_category: row.try_get(9)?,
        event_type: row.try_get(10)?,
        event_severity: row.try_get(11)?,
        resource_type: row.try_get(12)?,
        resource_id: row.try_get(13)?,
        resource_name: row.try_get(14)?,
        action: row.try_get(15)?,
        request_id: row.try_get(16)?,
        session_id: row.try_get(17)?,
        hash: row.try_get(18)?,
        previous_hash: row.try_get(19)?,
        xmin: xmin.parse().map_err(|_| StoreError::Decode(format!("xmin is '{}'", xmin.escape_debug())))?,
    })
}

/// Reads [`KEY_COLUMNS`].
pub(super) fn event_key(row: &PgRow) -> Result<EventKey, StoreError> {
    Ok(EventKey { event_id: row.try_get(0)?, timestamp: row.try_get::<SqlTime, _>(1)?.0 })
}

/// Reads [`EVENT_COLUMNS`].
pub(super) fn event(row: &PgRow) -> Result<Event, StoreError> {
    let state = |column: usize| -> Result<Option<Json>, StoreError> {
        Ok(row.try_get::<Option<String>, _>(column)?.map(Json::from_trusted))
    };
    Ok(Event { row: event_row(row)?, previous_state: state(WIDTH)?, new_state: state(WIDTH + 1)? })
}

/// An [`Event`] as the server has sent it. Its values are decoded by [`Self::event`]: that is work for another thread than
/// the one that has to ask for the next page.
pub struct StoredEvent {
    row: PgRow,
    key: EventKey,
}

impl StoredEvent {
    /// Takes a row of [`EVENT_COLUMNS`].
    pub(super) fn new(row: PgRow) -> Result<Self, StoreError> {
        let key = event_key(&row)?;
        Ok(Self { row, key })
    }

    /// Its place in the timeline.
    pub fn key(&self) -> &EventKey {
        &self.key
    }

    /// Bytes of those of its values that can be large, as they came: the states and the user agent.
    pub fn large_bytes(&self) -> usize {
        let bytes = |column| {
            let value = self.row.try_get_raw(column).ok().filter(|value| !value.is_null())?;
            value.as_bytes().ok().map(<[u8]>::len)
        };
        [USER_AGENT, WIDTH, WIDTH + 1].into_iter().filter_map(bytes).sum()
    }

    /// Its values.
    ///
    /// # Errors
    /// [`StoreError::Decode`] and the like, where a value is not what its type says.
    pub fn event(&self) -> Result<Event, StoreError> {
        event(&self.row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_survive_the_way_to_postgres_and_back() {
        for micros in [0, 1, -1, EPOCH, EPOCH + 1, 1_800_000_000_000_001, -62_135_596_800_000_000] {
            let time = Timestamp::from_micros(micros);
            assert_eq!(from_postgres(to_postgres(time)), time);
        }
        for end in [Timestamp::INFINITY, Timestamp::NEG_INFINITY] {
            assert_eq!(from_postgres(to_postgres(end)), end);
        }
        assert_eq!(to_postgres(Timestamp::from_micros(EPOCH + FIRST - 1)), i64::MIN);
        assert_eq!(from_postgres(9_223_371_331_199_999_999), Timestamp::from_micros(i64::MAX - 1));
    }
}
