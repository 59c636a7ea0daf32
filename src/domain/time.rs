//! Instants in microseconds of UTC, the resolution of `timestamptz`.

use chrono::{DateTime, Datelike as _, SecondsFormat, TimeZone as _, Timelike as _, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;

/// An instant: microseconds since 1970-01-01T00:00:00Z.
///
/// Exactly what `timestamptz` holds, so that no cursor and no hash ever loses a digit (a cursor cut to milliseconds
/// loses rows). PostgreSQL's `infinity` and `-infinity` are the two ends of the range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// 2000-01-01T00:00:00Z, the beginning of a cycle of the calendar.
const CYCLE_BEGIN: i128 = 946_684_800_000_000;
/// 400 years, after which the calendar repeats itself.
const CYCLE: i128 = 146_097 * 86_400_000_000;

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

    /// The first instant after it, a microsecond later: the exclusive end of an interval that ends with it.
    pub const fn next(self) -> Self {
        Self::from_micros(self.as_micros().saturating_add(1))
    }

    /// Reads what [`Self::to_rfc3339`] writes, and RFC 3339 with any offset; digits beyond microseconds are cut, never rounded (rounding could move an
    /// event into the next day). A blank may stand for the `T`; without an offset the time is taken as UTC, as
    /// the original Python system does.
    ///
    /// # Errors
    /// When the text is no such time.
    pub fn parse(text: &str) -> Result<Self, TimestampError> {
        if let Some(beyond) = Self::parse_beyond(text) {
            return Ok(beyond);
        }
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

    /// Reads the times that RFC 3339 has no form for: `infinity`, `-infinity`, and years of a sign and at least four
    /// digits, as [`Self::to_rfc3339`] writes them. `None` for everything else.
    pub fn parse_beyond(text: &str) -> Option<Self> {
        match text {
            "infinity" => return Some(Self::INFINITY),
            "-infinity" => return Some(Self::NEG_INFINITY),
            _ => {}
        }
        let unsigned = text.strip_prefix(['+', '-'])?;
        let (digits, rest) = unsigned.split_once('-')?;
        if !(4..=6).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let year: i64 = digits.parse().ok()?;
        let year = if text.starts_with('-') { -year } else { year };
        // The same day in a cycle that RFC 3339 reaches.
        let within = DateTime::parse_from_rfc3339(&format!("{}-{rest}", 2000 + year.rem_euclid(400))).ok()?;
        let cycles = i128::from((year - 2000).div_euclid(400));
        let micros = i128::from(within.timestamp_micros()) + cycles * CYCLE;
        i64::try_from(micros).ok().map(Self)
    }

    /// The instant as chrono's type; `None` for the infinities and years chrono does not reach.
    pub fn to_utc(self) -> Option<DateTime<Utc>> {
        Utc.timestamp_micros(self.0).single()
    }

    /// How long before `now` it was, in one unit: `12 d`, `3 h`, `5 min`, `40 s`; `0 s` when it lies ahead.
    pub fn age(self, now: Self) -> String {
        let seconds = now.0.saturating_sub(self.0).max(0) / 1_000_000;
        match seconds {
            0..120 => format!("{seconds} s"),
            120..7_200 => format!("{} min", seconds / 60),
            7_200..172_800 => format!("{} h", seconds / 3_600),
            _ => format!("{} d", seconds / 86_400),
        }
    }

    /// RFC 3339 in UTC with `Z` and six digits, the form of every output that machines read. Where a year has no four
    /// digits, it is written as ISO 8601 expands it, with a sign, the year before 0001 being 0000: `+12026-…`, `-0043-…`.
    /// The infinities are `infinity` and `-infinity`, as in PostgreSQL. [`Self::parse`] reads all of it.
    pub fn to_rfc3339(self) -> String {
        match self {
            Self::INFINITY => return "infinity".to_owned(),
            Self::NEG_INFINITY => return "-infinity".to_owned(),
            _ => {}
        }
        let since = i128::from(self.0) - CYCLE_BEGIN;
        let within = i64::try_from(CYCLE_BEGIN + since.rem_euclid(CYCLE)).ok();
        let Some(t) = within.and_then(|micros| Utc.timestamp_micros(micros).single()) else {
            return format!("{} µs since 1970", self.0);
        };
        let year = i128::from(t.year()) + since.div_euclid(CYCLE) * 400;
        let text = t.to_rfc3339_opts(SecondsFormat::Micros, true);
        let behind = text.get(4..).unwrap_or_default();
        if (0..=9999).contains(&year) { format!("{year:04}{behind}") } else { format!("{year:+05}{behind}") }
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
    fn an_age_has_one_unit() {
        let age = |seconds: i64| Timestamp::from_micros(0).age(Timestamp::from_micros(seconds * 1_000_000));
        assert_eq!([-5, 40, 300, 10_800, 12 * 86_400 + 5].map(age), ["0 s", "40 s", "5 min", "3 h", "12 d"]);
    }

    #[test]
    fn every_time_of_a_table_has_one_form_that_reads_back() {
        for (micros, text) in [
            (i64::MAX, "infinity"),
            (i64::MIN, "-infinity"),
            (0, "1970-01-01T00:00:00.000000Z"),
            (253_402_300_799_999_999, "9999-12-31T23:59:59.999999Z"),
            (253_402_300_800_000_000, "+10000-01-01T00:00:00.000000Z"),
            (-62_135_596_800_000_000, "0001-01-01T00:00:00.000000Z"),
            (-62_135_596_800_000_001, "0000-12-31T23:59:59.999999Z"),
            (-62_167_219_200_000_001, "-0001-12-31T23:59:59.999999Z"),
            // The first instant of timestamptz, 4714-11-24 BC, and the last one that fits here.
            (-210_866_803_200_000_000, "-4713-11-24T00:00:00.000000Z"),
            (i64::MAX - 1, "+294247-01-10T04:00:54.775806Z"),
        ] {
            let time = Timestamp::from_micros(micros);
            assert_eq!(time.to_rfc3339(), text);
            assert_eq!(Timestamp::parse(text), Ok(time));
        }
        for wrong in [
            "+294276-12-31T23:59:59.999999Z",
            "+2026-13-01T00:00:00Z",
            "+-026-01-01T00:00:00Z",
            "-infinit",
            "+infinity",
            "-43-01-01T00:00:00Z",
        ] {
            assert!(Timestamp::parse(wrong).is_err(), "{wrong}");
        }
    }

    proptest::proptest! {
        #[test]
        fn times_read_back_as_they_were_written(micros in proptest::num::i64::ANY) {
            let time = Timestamp::from_micros(micros);
            proptest::prop_assert_eq!(Timestamp::parse(&time.to_rfc3339()), Ok(time));
            if let Some(t) = time.to_utc() {
                proptest::prop_assert_eq!(time.to_rfc3339(), t.to_rfc3339_opts(SecondsFormat::Micros, true));
            }
        }
    }
}
