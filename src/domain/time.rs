//! Instants in microseconds of UTC, the resolution of `timestamptz`.

use chrono::{DateTime, SecondsFormat, TimeZone as _, Timelike as _, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;

/// An instant: microseconds since 1970-01-01T00:00:00Z.
///
/// Exactly what `timestamptz` holds, so that no cursor and no hash ever loses a digit (a cursor cut to milliseconds
/// loses rows). PostgreSQL's `infinity` and `-infinity` are the two ends of the range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// Why a text is no instant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not an RFC 3339 time such as 2026-01-15T09:58:01.002Z ({reason})")]
pub struct TimestampError {
    text: String,
    reason: String,
}

impl Timestamp {
    /// PostgreSQL's `infinity`.
    pub const INFINITY: Self = Self(i64::MAX);
    /// PostgreSQL's `-infinity`.
    pub const NEG_INFINITY: Self = Self(i64::MIN);

    /// From microseconds since the epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Reads RFC 3339 with any offset; digits beyond microseconds are cut, never rounded (rounding could move an
    /// event into the next day). A blank may stand for the `T`; without an offset the time is taken as UTC, as
    /// the original Python system does.
    ///
    /// # Errors
    /// When the text is no such time.
    pub fn parse(text: &str) -> Result<Self, TimestampError> {
        match DateTime::parse_from_rfc3339(text) {
            Ok(t) => Ok(Self::from(t.with_timezone(&Utc))),
            Err(e) => {
                for format in ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"] {
                    if let Ok(naive) = chrono::NaiveDateTime::parse_from_str(text, format) {
                        return Ok(Self::from(naive.and_utc()));
                    }
                }
                Err(TimestampError { text: text.chars().take(64).collect(), reason: e.to_string() })
            }
        }
    }

    /// The instant as chrono's type; `None` for the infinities and years chrono does not reach.
    pub fn to_utc(self) -> Option<DateTime<Utc>> {
        Utc.timestamp_micros(self.0).single()
    }

    /// RFC 3339 in UTC with `Z` and six digits, the form of every output that machines read.
    pub fn to_rfc3339(self) -> String {
        match (self, self.to_utc()) {
            (Self::INFINITY, _) => "infinity".to_owned(),
            (Self::NEG_INFINITY, _) => "-infinity".to_owned(),
            (_, Some(t)) => t.to_rfc3339_opts(SecondsFormat::Micros, true),
            (_, None) => format!("{} µs since 1970", self.0),
        }
    }

    /// As Python's `datetime.isoformat()` prints an aware UTC time: no fraction when it is zero, else six digits.
    /// This is the text that `agenttrace-v1` hashes.
    pub fn to_python_isoformat(self) -> String {
        match self.to_utc() {
            Some(t) if t.nanosecond() == 0 => t.format("%Y-%m-%dT%H:%M:%S+00:00").to_string(),
            Some(t) => t.format("%Y-%m-%dT%H:%M:%S%.6f+00:00").to_string(),
            None => self.to_rfc3339(),
        }
    }
}

impl From<DateTime<Utc>> for Timestamp {
    /// Cuts to microseconds towards the past.
    fn from(t: DateTime<Utc>) -> Self {
        Self(t.timestamp_micros())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_rfc3339())
    }
}

/// A half-open interval `since <= t < until`; an absent end is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct TimeRange {
    /// First instant inside.
    pub since: Option<Timestamp>,
    /// First instant behind.
    pub until: Option<Timestamp>,
}

/// RFC 3339 with microseconds, as [`Timestamp::to_rfc3339`] writes it.
impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.to_rfc3339())
    }
}

/// What [`Timestamp::parse`] reads.
impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(from)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_beyond_microseconds_are_cut_not_rounded() {
        let t = Timestamp::parse("2026-01-15T23:59:59.9999999Z").unwrap();
        assert_eq!(t.to_rfc3339(), "2026-01-15T23:59:59.999999Z");
        let before_epoch = Timestamp::parse("1969-12-31T23:59:59.9999999Z").unwrap();
        assert_eq!(before_epoch.to_rfc3339(), "1969-12-31T23:59:59.999999Z");
    }

    #[test]
    fn python_layout_drops_only_a_zero_fraction() {
        let at = |s: &str| Timestamp::parse(s).unwrap().to_python_isoformat();
        assert_eq!(at("2026-01-05T08:01:01Z"), "2026-01-05T08:01:01+00:00");
        assert_eq!(at("2026-01-05T08:01:01.1Z"), "2026-01-05T08:01:01.100000+00:00");
        assert_eq!(at("2026-01-05T10:01:01.000001+02:00"), "2026-01-05T08:01:01.000001+00:00");
    }

    #[test]
    fn infinities_have_names() {
        assert_eq!(Timestamp::INFINITY.to_string(), "infinity");
        assert_eq!(Timestamp::NEG_INFINITY.to_string(), "-infinity");
    }
}
