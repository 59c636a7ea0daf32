//! What a session says of the server behind it: version, names, and whether it is a replica, and how far that lags.

use crate::domain::Timestamp;
use crate::store::connection::Link;
use crate::store::row::SqlTime;
use crate::store::{ReadDb, StoreError};
use serde::Serialize;
use sqlx::Row as _;
use std::fmt;
use tokio_util::sync::CancellationToken;

/// What the header says about the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerFacts {
    /// Major version, such as 15.
    pub major: u32,
    /// Name of the database.
    pub database: String,
    /// Name of the role.
    pub role: String,
    /// Which server of several it is.
    pub standing: Standing,
    /// The table, with its schema, owner and object id, if there is one.
    pub table: Option<String>,
    /// Sessions are handed out by a pooler.
    pub pooled: bool,
    /// What has to be said before the table is read; only just after connecting.
    pub remarks: Vec<String>,
}

/// Which server of several is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case", tag = "standing")]
pub enum Standing {
    /// One that is written to.
    #[default]
    Primary,
    /// The same, because the replica that is configured did not answer.
    InsteadOfReplica,
    /// A replica.
    Replica(Lag),
}

/// How far a replica is behind. What it does not show may be on the primary: it says nothing about missing events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Lag {
    /// It is connected to its primary.
    pub receiving: bool,
    /// Bytes of WAL that it has received and not applied.
    pub waiting_bytes: u64,
    /// Seconds since the last transaction that it has applied was committed; `None` before the first one.
    pub seconds: Option<u64>,
}

impl Lag {
    /// It shows everything that it has been told, and is being told.
    pub fn is_caught_up(self) -> bool {
        self.receiving && self.waiting_bytes == 0
    }
}

impl fmt::Display for Standing {
    /// `replica, caught up`, `replica, 12 s behind`; empty for a primary that is meant.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Replica(lag) = self else {
            return f.write_str(if *self == Self::Primary { "" } else { "primary: the replica is away" });
        };
        match (lag.seconds.map(short), lag.receiving) {
            _ if lag.is_caught_up() => f.write_str("replica, caught up"),
            (Some(age), true) => write!(f, "replica, {age} behind"),
            (Some(age), false) => write!(f, "replica, cut off, {age} behind or more"),
            (None, true) => f.write_str("replica, behind"),
            (None, false) => f.write_str("replica, cut off"),
        }
    }
}

fn short(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

impl ReadDb {
    /// When the last transaction that this replica shows was committed (the beginning of time where it has applied none);
    /// `None` on a primary.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn applied_until(&self) -> Result<Option<Timestamp>, StoreError> {
        const SQL: &str = "
            SELECT CASE WHEN pg_is_in_recovery() THEN coalesce(pg_last_xact_replay_timestamp(), '-infinity') END";
        let row = self
            .run(&CancellationToken::new(), async |c: &mut Link| sqlx::query(SQL).fetch_one(c).await)
            .await?;
        Ok(row.try_get::<Option<SqlTime>, _>(0)?.map(|time| time.0))
    }

    /// How far this replica shows less than its primary may hold, in seconds; infinite where that is not known, `None` on
    /// a primary.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn replica_lag(&self) -> Result<Option<f64>, StoreError> {
        const SQL: &str = "
            SELECT CASE
                WHEN NOT pg_is_in_recovery() THEN NULL
                WHEN EXISTS (SELECT FROM pg_catalog.pg_stat_wal_receiver)
                    AND pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) <= 0 THEN 0
                ELSE coalesce(extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8, 'Infinity')
            END";
        let row = self
            .run(&CancellationToken::new(), async |c: &mut Link| sqlx::query(SQL).fetch_one(c).await)
            .await?;
        Ok(row.try_get::<Option<f64>, _>(0)?.map(|lag| lag.max(0.0)))
    }

    /// Version, database, role and lag.
    pub async fn facts(&self) -> Result<ServerFacts, StoreError> {
        const SQL: &str = "
            SELECT current_setting('server_version_num')::int / 10000, current_database()::text, current_user::text,
                pg_is_in_recovery(), EXISTS (SELECT FROM pg_catalog.pg_stat_wal_receiver),
                greatest(pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()), 0)::int8,
                floor(extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()))::int8";
        let row = self
            .run(&CancellationToken::new(), async |c: &mut Link| sqlx::query(SQL).fetch_one(c).await)
            .await?;
        let lag = Lag {
            receiving: row.try_get(4)?,
            waiting_bytes: row.try_get::<Option<i64>, _>(5)?.unwrap_or_default().unsigned_abs(),
            seconds: row.try_get::<Option<i64>, _>(6)?.map(|s| s.max(0).unsigned_abs()),
        };
        Ok(ServerFacts {
            major: u32::try_from(row.try_get::<i32, _>(0)?).unwrap_or_default(),
            database: row.try_get(1)?,
            role: row.try_get(2)?,
            table: self.known_relation().map(|relation| relation.to_string()),
            pooled: self.is_pooled(),
            remarks: Vec::new(),
            standing: match (row.try_get(3)?, self.replica_trouble()) {
                (true, _) => Standing::Replica(lag),
                (false, Some(_)) => Standing::InsteadOfReplica,
                (false, None) => Standing::Primary,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lag_is_told_in_words() {
        let told = |receiving, waiting_bytes, seconds| {
            Standing::Replica(Lag { receiving, waiting_bytes, seconds }).to_string()
        };
        // Nothing was written since: old, but not behind.
        assert_eq!(told(true, 0, Some(90_000)), "replica, caught up");
        assert_eq!(told(true, 16, Some(12)), "replica, 12 s behind");
        assert_eq!(told(true, 16, Some(7_300)), "replica, 2 h behind");
        assert_eq!(told(false, 0, Some(180)), "replica, cut off, 3 min behind or more");
        assert_eq!(told(false, 0, None), "replica, cut off");
        assert_eq!(Standing::Primary.to_string(), "");
    }
}
