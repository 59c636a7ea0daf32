//! Times as an analyst writes them.

use crate::domain::Timestamp;
use chrono::{DateTime, Datelike as _, Days, Months, NaiveDate, NaiveTime, TimeDelta, Timelike as _, Utc};
use std::fmt;

/// A time, absolute or to be reckoned from the moment the filter is run. Days are days of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// An instant; a date stands for its first.
    Instant(Timestamp),
    /// `now`
    Now,
    /// `today`: its first instant.
    Today,
    /// `yesterday`: its first instant.
    Yesterday,
    /// `-24h@h`: so much earlier or later than now, then back to the beginning of a unit.
    Offset {
        /// How many, negative for the past.
        amount: i32,
        /// Of what.
        unit: Unit,
        /// Back to the beginning of this unit.
        snap: Option<Unit>,
    },
}

/// A unit of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// `s`
    Second,
    /// `m`
    Minute,
    /// `h`
    Hour,
    /// `d`
    Day,
    /// `w`: begins on Monday.
    Week,
    /// `mon`: of the calendar.
    Month,
    /// `y`: of the calendar.
    Year,
}

const UNITS: &[(Unit, &str)] = &[
    (Unit::Second, "s"),
    (Unit::Minute, "m"),
    (Unit::Hour, "h"),
    (Unit::Day, "d"),
    (Unit::Week, "w"),
    (Unit::Month, "mon"),
    (Unit::Year, "y"),
];

impl Unit {
    fn by_name(name: &str) -> Option<Self> {
        UNITS.iter().find(|(_, n)| n.eq_ignore_ascii_case(name)).map(|(unit, _)| *unit)
    }

    fn name(self) -> &'static str {
        UNITS.iter().find(|(unit, _)| *unit == self).map_or("", |(_, name)| name)
    }
}

impl When {
    /// Reads a time; `None` when it is none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "now" => return Some(Self::Now),
            "today" => return Some(Self::Today),
            "yesterday" => return Some(Self::Yesterday),
            _ => {}
        }
        if text.starts_with(['-', '+']) {
            return Self::parse_offset(text);
        }
        if let Ok(date) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
            return Some(Self::Instant(date.and_time(NaiveTime::MIN).and_utc().into()));
        }
        // Minutes are enough for people: 2026-11-17T00:00Z.
        let padded = text.find(['T', 't', ' ']).and_then(|t| {
            let clock = t + 6;
            let minutes_end = text.get(clock..)?;
            let has_seconds = minutes_end.starts_with(':');
            (!has_seconds).then(|| format!("{}:00{minutes_end}", &text[..clock]))
        });
        let instant = Timestamp::parse(padded.as_deref().unwrap_or(text)).ok()?;
        // An offset can lead out of the four-digit years that RFC 3339 can write.
        instant.to_utc().filter(|t| (0..=9999).contains(&t.year())).map(|_| Self::Instant(instant))
    }

    fn parse_offset(text: &str) -> Option<Self> {
        let (offset, snap) = match text.split_once('@') {
            Some((offset, snap)) => (offset, Some(Unit::by_name(snap)?)),
            None => (text, None),
        };
        let unit_at = offset.find(|c: char| c.is_ascii_alphabetic())?;
        let (amount, unit) = offset.split_at(unit_at);
        Some(Self::Offset { amount: amount.parse().ok()?, unit: Unit::by_name(unit)?, snap })
    }

    /// The instant it means at `now`; `None` beyond the calendar.
    pub(super) fn at(self, now: Timestamp) -> Option<Timestamp> {
        if let Self::Instant(t) = self {
            return Some(t);
        }
        let now = now.to_utc()?;
        let then = match self {
            Self::Instant(_) | Self::Now => now,
            Self::Today => begin(now, Unit::Day)?,
            Self::Yesterday => begin(now, Unit::Day)?.checked_sub_days(Days::new(1))?,
            Self::Offset { amount, unit, snap } => {
                let moved = shift(now, amount, unit)?;
                match snap {
                    Some(unit) => begin(moved, unit)?,
                    None => moved,
                }
            }
        };
        Some(then.into())
    }
}

fn shift(from: DateTime<Utc>, amount: i32, unit: Unit) -> Option<DateTime<Utc>> {
    let months = |months_each: u32| {
        let months = Months::new(amount.unsigned_abs().checked_mul(months_each)?);
        if amount < 0 { from.checked_sub_months(months) } else { from.checked_add_months(months) }
    };
    let seconds = |seconds_each: i64| {
        from.checked_add_signed(TimeDelta::try_seconds(i64::from(amount).checked_mul(seconds_each)?)?)
    };
    match unit {
        Unit::Second => seconds(1),
        Unit::Minute => seconds(60),
        Unit::Hour => seconds(3_600),
        Unit::Day => seconds(86_400),
        Unit::Week => seconds(7 * 86_400),
        Unit::Month => months(1),
        Unit::Year => months(12),
    }
}

/// The first instant of the unit that `t` lies in.
fn begin(t: DateTime<Utc>, unit: Unit) -> Option<DateTime<Utc>> {
    let clock = |hour, minute, second| Some(t.date_naive().and_hms_opt(hour, minute, second)?.and_utc());
    let midnight = |date: NaiveDate| date.and_time(NaiveTime::MIN).and_utc();
    match unit {
        Unit::Second => clock(t.hour(), t.minute(), t.second()),
        Unit::Minute => clock(t.hour(), t.minute(), 0),
        Unit::Hour => clock(t.hour(), 0, 0),
        Unit::Day => clock(0, 0, 0),
        Unit::Week => {
            let since_monday = Days::new(t.weekday().num_days_from_monday().into());
            Some(midnight(t.date_naive().checked_sub_days(since_monday)?))
        }
        Unit::Month => Some(midnight(t.date_naive().with_day(1)?)),
        Unit::Year => Some(midnight(NaiveDate::from_ymd_opt(t.year(), 1, 1)?)),
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instant(t) => t.fmt(f),
            Self::Now => f.write_str("now"),
            Self::Today => f.write_str("today"),
            Self::Yesterday => f.write_str("yesterday"),
            Self::Offset { amount, unit, snap } => {
                write!(f, "{amount:+}{}", unit.name())?;
                match snap {
                    Some(unit) => write!(f, "@{}", unit.name()),
                    None => Ok(()),
                }
            }
        }
    }
}
