//! Local time in six zones by integer rules: enough for a daily rhythm, and the same whatever zone database a
//! machine has.

use crate::domain::Timestamp;
use chrono::{DateTime, Datelike as _, Days, NaiveDate, NaiveDateTime, Timelike as _, Utc, Weekday};

/// Microseconds of a second.
pub(super) const SECOND: i64 = 1_000_000;
/// Microseconds of a minute.
pub(super) const MINUTE: i64 = 60 * SECOND;
/// Microseconds of an hour.
pub(super) const HOUR: i64 = 60 * MINUTE;
/// Microseconds of a day.
pub(super) const DAY: i64 = 24 * HOUR;

/// Where somebody works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Zone {
    Berlin,
    London,
    NewYork,
    LosAngeles,
    Kolkata,
    Tokyo,
}

impl Zone {
    /// All of them; `self as usize` is the index.
    pub(super) const ALL: [Self; 6] =
        [Self::Berlin, Self::London, Self::NewYork, Self::LosAngeles, Self::Kolkata, Self::Tokyo];

    /// Minutes east of UTC at an instant, by the rules in force since 1996 (Europe) and 2007 (United States).
    fn offset_minutes(self, at: DateTime<Utc>) -> i64 {
        let standard = match self {
            Self::Berlin => 60,
            Self::London => 0,
            Self::NewYork => -300,
            Self::LosAngeles => -480,
            Self::Kolkata => return 330,
            Self::Tokyo => return 540,
        };
        let year = at.year();
        // Europe changes everywhere at 01:00 UTC; the United States at 02:00 local wall-clock time.
        let summer = match self {
            Self::Berlin | Self::London => (
                NaiveDate::from_weekday_of_month_opt(year, 3, Weekday::Sun, 5)
                    .or_else(|| NaiveDate::from_weekday_of_month_opt(year, 3, Weekday::Sun, 4)),
                NaiveDate::from_weekday_of_month_opt(year, 10, Weekday::Sun, 5)
                    .or_else(|| NaiveDate::from_weekday_of_month_opt(year, 10, Weekday::Sun, 4)),
                60,
                60,
            ),
            _ => (
                NaiveDate::from_weekday_of_month_opt(year, 3, Weekday::Sun, 2),
                NaiveDate::from_weekday_of_month_opt(year, 11, Weekday::Sun, 1),
                120 - standard,
                60 - standard,
            ),
        };
        let (Some(begin), Some(end), begin_minutes, end_minutes) = summer else { return standard };
        let instant = |day: NaiveDate, minutes: i64| {
            day.and_time(chrono::NaiveTime::MIN).and_utc() + chrono::TimeDelta::minutes(minutes)
        };
        let is_summer = instant(begin, begin_minutes) <= at && at < instant(end, end_minutes);
        standard + if is_summer { 60 } else { 0 }
    }

    /// What the clock on the wall shows; `None` outside the years chrono knows.
    fn local(self, micros: i64) -> Option<NaiveDateTime> {
        let utc = Timestamp::from_micros(micros).to_utc()?;
        Some((utc + chrono::TimeDelta::minutes(self.offset_minutes(utc))).naive_utc())
    }

    /// How busy somebody of this zone is at an instant, from 0 (asleep) to 100.
    pub(super) fn busyness(self, micros: i64) -> u64 {
        const WEEKDAY: [u64; 24] =
            [1, 0, 0, 0, 0, 0, 1, 6, 30, 80, 100, 95, 50, 70, 95, 90, 80, 50, 20, 9, 7, 6, 4, 2];
        let Some(local) = self.local(micros) else { return 1 };
        let hour = WEEKDAY[local.hour() as usize];
        match local.weekday() {
            Weekday::Sat | Weekday::Sun => hour.div_ceil(14),
            Weekday::Fri if local.hour() >= 15 => hour / 2,
            _ => hour,
        }
    }
}

/// The instant of a wall-clock time in Berlin on the day `days` after `date` (before, when negative).
///
/// A time that a change of the clocks skips or doubles is taken in the offset in force at that hour of UTC; no
/// planted fact lies in one.
pub(super) fn berlin(date: NaiveDate, days: i64, hour: i64, minute: i64, second: i64) -> i64 {
    let day = shift(date, days);
    let wall = day.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_micros()
        + hour * HOUR
        + minute * MINUTE
        + second * SECOND;
    let offset = |micros: i64| {
        Timestamp::from_micros(micros).to_utc().map_or(60, |utc| Zone::Berlin.offset_minutes(utc)) * MINUTE
    };
    let guess = wall - offset(wall);
    wall - offset(guess)
}

/// Berlin's calendar day at an instant.
pub(super) fn berlin_date(micros: i64) -> NaiveDate {
    Zone::Berlin.local(micros).map_or(NaiveDate::default(), |local| local.date())
}

/// The last Tuesday on or before a day.
pub(super) fn tuesday_on_or_before(date: NaiveDate) -> NaiveDate {
    let back = (date.weekday().num_days_from_monday() + 6) % 7;
    shift(date, -i64::from(back))
}

fn shift(date: NaiveDate, days: i64) -> NaiveDate {
    let distance = Days::new(days.unsigned_abs());
    let moved = if days < 0 { date.checked_sub_days(distance) } else { date.checked_add_days(distance) };
    moved.unwrap_or(date)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offset(zone: Zone, at: &str) -> i64 {
        zone.offset_minutes(Timestamp::parse(at).unwrap().to_utc().unwrap())
    }

    #[test]
    fn clocks_change_when_they_do() {
        assert_eq!(offset(Zone::Berlin, "2026-03-29T00:59:59Z"), 60);
        assert_eq!(offset(Zone::Berlin, "2026-03-29T01:00:00Z"), 120);
        assert_eq!(offset(Zone::London, "2026-10-25T00:59:59Z"), 60);
        assert_eq!(offset(Zone::London, "2026-10-25T01:00:00Z"), 0);
        assert_eq!(offset(Zone::NewYork, "2026-03-08T06:59:59Z"), -300);
        assert_eq!(offset(Zone::NewYork, "2026-03-08T07:00:00Z"), -240);
        assert_eq!(offset(Zone::LosAngeles, "2026-11-01T08:59:59Z"), -420);
        assert_eq!(offset(Zone::LosAngeles, "2026-11-01T09:00:00Z"), -480);
        assert_eq!(offset(Zone::Kolkata, "2026-07-01T00:00:00Z"), 330);
    }

    #[test]
    fn wall_clock_times_of_berlin_become_instants() {
        let day = NaiveDate::from_ymd_opt(2026, 7, 14).unwrap();
        let at = |days, hour, minute| Timestamp::from_micros(berlin(day, days, hour, minute, 0)).to_rfc3339();
        assert_eq!(at(0, 23, 4), "2026-07-14T21:04:00.000000Z");
        assert_eq!(at(1, 1, 30), "2026-07-14T23:30:00.000000Z");
        assert_eq!(at(-180, 12, 0), "2026-01-15T11:00:00.000000Z");
        assert_eq!(tuesday_on_or_before(day), day);
        assert_eq!(tuesday_on_or_before(shift(day, 6)), day);
        assert_eq!(berlin_date(Timestamp::parse("2026-07-14T22:30:00Z").unwrap().as_micros()), shift(day, 1));
    }

    #[test]
    fn people_work_by_day_and_on_weekdays() {
        let busy = |at: &str| Zone::Berlin.busyness(Timestamp::parse(at).unwrap().as_micros());
        assert!(busy("2026-07-14T08:30:00Z") > 10 * busy("2026-07-14T20:30:00Z"));
        assert!(busy("2026-07-14T08:30:00Z") > 10 * busy("2026-07-18T08:30:00Z"));
    }
}
