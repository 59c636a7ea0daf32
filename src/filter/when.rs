//! Times as an analyst writes them.

use super::clock::{self, weekday, weekday_name};
use crate::domain::Timestamp;
use chrono::{
    DateTime, Datelike as _, Days, LocalResult, Months, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta,
    TimeZone as _, Timelike as _, Utc,
};
use chrono_tz::Tz;
use std::fmt;

/// A time, absolute or to be reckoned from the moment the filter is run. Days are those of the filter's zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// An instant; a date stands for its first.
    Instant(Timestamp),
    /// `now`
    Now,
    /// `today`, `monday`, `"yesterday 08:00"`: a time of a day, its first instant where none is given.
    Day {
        /// Which.
        day: Day,
        /// Seconds from midnight.
        clock: Option<u32>,
        /// Instead of the filter's zone.
        zone: Option<Tz>,
    },
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

/// A day by its distance from today.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Day {
    /// `today`
    Today,
    /// `yesterday`
    Yesterday,
    /// `monday`: the last one, counted from Monday as 0; today if it is one.
    Weekday(u8),
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

/// A length of time: `5m`. Of units that always have the same length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    amount: u32,
    unit: Unit,
}

/// What an absolute time covers, as far as it was written out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Precision {
    Unit(Unit),
    /// An instant.
    Exact,
}

/// Why a text is no time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum WhenError {
    /// It does not look like one.
    NoTime,
    /// No zone goes by this name.
    NoZone(String),
    /// The clocks of the zone pass it twice, or never.
    Clock(NoInstant),
}

/// A local time that is no instant, or two.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoInstant {
    /// The clocks were set back over it.
    #[error("{local} happens twice in {zone}: {earlier} or {later}")]
    Twice {
        /// As written.
        local: NaiveDateTime,
        /// The zone's name.
        zone: &'static str,
        /// First reading.
        earlier: Timestamp,
        /// Second reading.
        later: Timestamp,
    },
    /// The clocks were set forward over it.
    #[error("{local} never happens in {zone}: the clocks are set forward over it")]
    Never {
        /// As written.
        local: NaiveDateTime,
        /// The zone's name.
        zone: &'static str,
    },
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

    /// In words, for `n` of them.
    pub(super) fn in_words(self, n: u32) -> String {
        let one = match self {
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        };
        if n == 1 { one.to_owned() } else { format!("{n} {one}s") }
    }

    /// Seconds, where they are always the same.
    fn seconds(self) -> Option<i64> {
        match self {
            Self::Second => Some(1),
            Self::Minute => Some(60),
            Self::Hour => Some(3_600),
            Self::Day => Some(86_400),
            Self::Week => Some(7 * 86_400),
            Self::Month | Self::Year => None,
        }
    }
}

/// The zone with an IANA name such as `Europe/Berlin`, or UTC. Abbreviations are none: `CET` is a zone with summer
/// time to some programs and a fixed offset to others, PostgreSQL among them.
pub(super) fn zone(name: &str) -> Option<Tz> {
    if name.eq_ignore_ascii_case("utc") {
        return Some(Tz::UTC);
    }
    name.parse().ok().filter(|found: &Tz| found.name().contains('/'))
}

impl Span {
    /// Reads `5m`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let unit_at = text.find(|c: char| c.is_ascii_alphabetic())?;
        let (amount, unit) = text.split_at(unit_at);
        let digits = amount.bytes().all(|b| b.is_ascii_digit());
        let amount = amount.parse().ok().filter(|n| digits && *n > 0)?;
        let unit = Unit::by_name(unit).filter(|u| u.seconds().is_some())?;
        Some(Self { amount, unit })
    }

    /// In microseconds.
    pub fn as_micros(self) -> i64 {
        i64::from(self.amount).saturating_mul(self.unit.seconds().unwrap_or(0)).saturating_mul(1_000_000)
    }

    /// In words.
    pub(super) fn in_words(self) -> String {
        let words = self.unit.in_words(self.amount);
        if self.amount == 1 { format!("1 {words}") } else { words }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.amount, self.unit.name())
    }
}

impl When {
    /// Reads a time; local times without a zone of their own are those of `zone`.
    pub(super) fn parse(text: &str, zone: Tz) -> Result<(Self, Precision), WhenError> {
        if text.eq_ignore_ascii_case("now") {
            return Ok((Self::Now, Precision::Exact));
        }
        if let Some(beyond) = Timestamp::parse_beyond(text) {
            return Ok((Self::Instant(beyond), Precision::Exact));
        }
        if text.starts_with(['-', '+']) {
            return Self::parse_offset(text).ok_or(WhenError::NoTime);
        }
        if let Some(found) = Self::parse_day(text)? {
            return Ok(found);
        }
        Self::parse_absolute(text, zone)
    }

    fn parse_offset(text: &str) -> Option<(Self, Precision)> {
        let (offset, snap) = match text.split_once('@') {
            Some((offset, snap)) => (offset, Some(Unit::by_name(snap)?)),
            None => (text, None),
        };
        let unit_at = offset.find(|c: char| c.is_ascii_alphabetic())?;
        let (amount, unit) = offset.split_at(unit_at);
        let when = Self::Offset { amount: amount.parse().ok()?, unit: Unit::by_name(unit)?, snap };
        Some((when, snap.map_or(Precision::Exact, Precision::Unit)))
    }

    /// `day [clock] [zone]`
    fn parse_day(text: &str) -> Result<Option<(Self, Precision)>, WhenError> {
        let mut words = text.split_whitespace();
        let Some(day) = words.next().and_then(day) else { return Ok(None) };
        let mut next = words.next();
        let clock = next.and_then(|word| clock::clock(word).filter(|_| word.contains(':')));
        let mut precision = Precision::Unit(Unit::Day);
        if let Some((_, length)) = clock {
            precision = Precision::Unit(if length == 60 { Unit::Minute } else { Unit::Second });
            next = words.next();
        }
        let zone = match next {
            None => None,
            Some(name) => Some(zone(name).ok_or_else(|| WhenError::NoZone(name.to_owned()))?),
        };
        let clock = clock.map(|(start, _)| start);
        if words.next().is_some() || clock == Some(clock::DAY) {
            return Err(WhenError::NoTime);
        }
        Ok(Some((Self::Day { day, clock, zone }, precision)))
    }

    /// A date, or a date and a time with an offset, the name of a zone, or neither.
    fn parse_absolute(text: &str, default_zone: Tz) -> Result<(Self, Precision), WhenError> {
        let (text, zone) = match text.rsplit_once(' ') {
            Some((time, name)) if name.starts_with(|c: char| c.is_ascii_alphabetic()) => {
                (time.trim_end(), zone(name).ok_or_else(|| WhenError::NoZone(name.to_owned()))?)
            }
            _ => (text, default_zone),
        };
        if let Ok(date) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
            let begin = local_or_next(zone, date.and_time(NaiveTime::MIN)).ok_or(WhenError::NoTime)?;
            return in_four_digits(begin.into())
                .map(|t| (Self::Instant(t), Precision::Unit(Unit::Day)))
                .ok_or(WhenError::NoTime);
        }
        // Minutes are enough for people: 2026-11-17T00:00Z.
        let clock_at = text.find(['T', 't', ' ']).ok_or(WhenError::NoTime)?;
        let minutes_end = text.get(clock_at + 6..).ok_or(WhenError::NoTime)?;
        let has_seconds = minutes_end.starts_with(':');
        let padded =
            if has_seconds { text.to_owned() } else { format!("{}:00{minutes_end}", &text[..clock_at + 6]) };
        let precision = match (has_seconds, padded.contains('.')) {
            (_, true) => Precision::Exact,
            (true, false) => Precision::Unit(Unit::Second),
            (false, false) => Precision::Unit(Unit::Minute),
        };
        let naive = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dt%H:%M:%S%.f"];
        let local = naive.iter().find_map(|format| NaiveDateTime::parse_from_str(&padded, format).ok());
        let instant = match local {
            Some(local) => exactly(zone, local).map_err(WhenError::Clock)?,
            None => Timestamp::parse(&padded).map_err(|_| WhenError::NoTime)?,
        };
        in_four_digits(instant).map(|t| (Self::Instant(t), precision)).ok_or(WhenError::NoTime)
    }

    /// The instant it means at `now` in `zone`.
    ///
    /// # Errors
    /// `None` beyond the calendar; when the clocks pass it twice or never.
    pub(super) fn at(self, now: Timestamp, zone: Tz) -> Result<Option<Timestamp>, NoInstant> {
        let reckoned = || -> Option<DateTime<Utc>> {
            let now = now.to_utc()?;
            match self {
                Self::Offset { amount, unit, snap } => {
                    let moved = shift(now, amount, unit)?;
                    snap.map_or(Some(moved), |unit| begin(moved, unit, zone))
                }
                _ => Some(now),
            }
        };
        match self {
            Self::Instant(t) => Ok(Some(t)),
            Self::Now | Self::Offset { .. } => Ok(reckoned().map(Timestamp::from)),
            Self::Day { day, clock, zone: own } => {
                let zone = own.unwrap_or(zone);
                let Some(date) = now.to_utc().and_then(|now| day.date(now.with_timezone(&zone).date_naive()))
                else {
                    return Ok(None);
                };
                match clock.and_then(|seconds| NaiveTime::from_num_seconds_from_midnight_opt(seconds, 0)) {
                    Some(time) => exactly(zone, date.and_time(time)).map(Some),
                    None => Ok(local_or_next(zone, date.and_time(NaiveTime::MIN)).map(Timestamp::from)),
                }
            }
        }
    }

    /// The first instant behind the interval that it names and that begins at `start`.
    pub(super) fn end_of(self, start: Timestamp, zone: Tz) -> Option<Timestamp> {
        let (unit, zone) = match self {
            Self::Day { clock, zone: own, .. } => {
                let unit = match clock {
                    None => Unit::Day,
                    Some(seconds) if seconds.is_multiple_of(60) => Unit::Minute,
                    Some(_) => Unit::Second,
                };
                (unit, own.unwrap_or(zone))
            }
            Self::Offset { snap: Some(unit), .. } => (unit, zone),
            Self::Instant(_) | Self::Now | Self::Offset { .. } => return None,
        };
        interval_end(start, unit, zone)
    }
}

/// The first instant behind a unit that begins at `start`.
pub(super) fn interval_end(start: Timestamp, unit: Unit, zone: Tz) -> Option<Timestamp> {
    let start = start.to_utc()?;
    let local = start.with_timezone(&zone).naive_local();
    let date = local.date();
    let next = match unit {
        Unit::Second | Unit::Minute | Unit::Hour => {
            return start.checked_add_signed(TimeDelta::try_seconds(unit.seconds()?)?).map(Timestamp::from);
        }
        Unit::Day => date.checked_add_days(Days::new(1)),
        Unit::Week => date.checked_add_days(Days::new(7)),
        Unit::Month => date.checked_add_months(Months::new(1)),
        Unit::Year => date.checked_add_months(Months::new(12)),
    };
    local_or_next(zone, next?.and_time(NaiveTime::MIN)).map(Timestamp::from)
}

fn day(word: &str) -> Option<Day> {
    match word.to_ascii_lowercase().as_str() {
        "today" => Some(Day::Today),
        "yesterday" => Some(Day::Yesterday),
        other => weekday(other).map(Day::Weekday),
    }
}

/// Whether a word names a day, which a clock and a zone may follow.
pub(super) fn is_day(word: &str) -> bool {
    day(word).is_some()
}

impl Day {
    fn date(self, today: NaiveDate) -> Option<NaiveDate> {
        let back = match self {
            Self::Today => 0,
            Self::Yesterday => 1,
            Self::Weekday(day) => (today.weekday().num_days_from_monday() + 7 - u32::from(day)) % 7,
        };
        today.checked_sub_days(Days::new(back.into()))
    }
}

/// An offset can lead out of the four-digit years that RFC 3339 can write.
fn in_four_digits(instant: Timestamp) -> Option<Timestamp> {
    instant.to_utc().filter(|t| (0..=9999).contains(&t.year())).map(|_| instant)
}

/// The one instant of a local time.
fn exactly(zone: Tz, local: NaiveDateTime) -> Result<Timestamp, NoInstant> {
    match zone.from_local_datetime(&local) {
        LocalResult::Single(t) => Ok(t.to_utc().into()),
        LocalResult::Ambiguous(a, b) => Err(NoInstant::Twice {
            local,
            zone: zone.name(),
            earlier: a.to_utc().into(),
            later: b.to_utc().into(),
        }),
        LocalResult::None => Err(NoInstant::Never { local, zone: zone.name() }),
    }
}

/// The first instant at which the clocks show `local`, or what follows the gap in which they would.
fn local_or_next(zone: Tz, local: NaiveDateTime) -> Option<DateTime<Utc>> {
    // No zone has ever skipped more than a day, and none in smaller steps than these.
    (0..=24 * 4 + 1).find_map(|quarters| {
        let local = local.checked_add_signed(TimeDelta::try_minutes(15 * quarters)?)?;
        zone.from_local_datetime(&local).earliest().map(|t| t.to_utc())
    })
}

fn shift(from: DateTime<Utc>, amount: i32, unit: Unit) -> Option<DateTime<Utc>> {
    let months = |months_each: u32| {
        let months = Months::new(amount.unsigned_abs().checked_mul(months_each)?);
        if amount < 0 { from.checked_sub_months(months) } else { from.checked_add_months(months) }
    };
    match unit {
        Unit::Month => months(1),
        Unit::Year => months(12),
        _ => {
            from.checked_add_signed(TimeDelta::try_seconds(i64::from(amount).checked_mul(unit.seconds()?)?)?)
        }
    }
}

/// The first instant of the unit that `t` lies in.
fn begin(t: DateTime<Utc>, unit: Unit, zone: Tz) -> Option<DateTime<Utc>> {
    let local = t.with_timezone(&zone).naive_local();
    let midnight = |date: NaiveDate| local_or_next(zone, date.and_time(NaiveTime::MIN));
    // Parts of an hour are taken off the instant itself, so that an hour which happens twice stays the one it is.
    let less = |seconds: u32| {
        let nanos = i64::from(local.nanosecond() % 1_000_000_000);
        let back = TimeDelta::try_seconds(seconds.into())?.checked_add(&TimeDelta::nanoseconds(nanos))?;
        t.checked_sub_signed(back)
    };
    match unit {
        Unit::Second => less(0),
        Unit::Minute => less(local.second()),
        Unit::Hour => less(local.minute() * 60 + local.second()),
        Unit::Day => midnight(local.date()),
        Unit::Week => {
            let since_monday = Days::new(local.weekday().num_days_from_monday().into());
            midnight(local.date().checked_sub_days(since_monday)?)
        }
        Unit::Month => midnight(local.date().with_day(1)?),
        Unit::Year => midnight(NaiveDate::from_ymd_opt(local.year(), 1, 1)?),
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Today => "today",
            Self::Yesterday => "yesterday",
            Self::Weekday(day) => weekday_name(*day),
        })
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instant(t) => t.fmt(f),
            Self::Now => f.write_str("now"),
            Self::Day { day, clock: None, zone: None } => day.fmt(f),
            Self::Day { day, clock, zone } => {
                write!(f, "\"{day}")?;
                if let Some(seconds) = clock {
                    f.write_str(" ")?;
                    clock::write_clock(f, *seconds)?;
                }
                match zone {
                    Some(zone) => write!(f, " {}\"", zone.name()),
                    None => f.write_str("\""),
                }
            }
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
