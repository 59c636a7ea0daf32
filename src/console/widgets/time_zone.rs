//! Instants as people read them: in UTC or in the zone of the machine, and how long ago.

use crate::domain::Timestamp;
use chrono::{DateTime, FixedOffset, Local, NaiveDate, Offset as _, TimeZone as _, Utc};

/// The zone that times are shown in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Zone {
    /// UTC, as stored.
    Utc,
    /// The machine's zone, summer time included.
    Local,
    /// A fixed offset in seconds east of UTC.
    #[cfg(test)]
    Fixed(i32),
}

impl Zone {
    /// The instant in this zone; `None` for the infinities.
    pub(crate) fn at(self, instant: Timestamp) -> Option<DateTime<FixedOffset>> {
        let utc = instant.to_utc()?;
        let offset = match self {
            Self::Utc => Utc.fix(),
            Self::Local => Local.offset_from_utc_datetime(&utc.naive_utc()).fix(),
            #[cfg(test)]
            Self::Fixed(seconds) => FixedOffset::east_opt(seconds)?,
        };
        Some(utc.with_timezone(&offset))
    }

    /// Time of day to the second, always eight columns.
    pub(crate) fn clock(self, instant: Timestamp) -> String {
        self.at(instant).map_or_else(|| "--:--:--".to_owned(), |t| t.format("%H:%M:%S").to_string())
    }

    /// What follows a time of day: `Z`, or the offset.
    pub(crate) fn mark(self, instant: Timestamp) -> String {
        match self.at(instant) {
            Some(t) if self != Self::Utc => t.format(" %:z").to_string(),
            _ => "Z".to_owned(),
        }
    }

    /// The day, `None` for the infinities.
    pub(crate) fn day(self, instant: Timestamp) -> Option<NaiveDate> {
        self.at(instant).map(|t| t.date_naive())
    }

    /// The day with the zone in force on it: `Thu 2026-01-15 UTC`.
    pub(crate) fn day_name(self, instant: Timestamp) -> String {
        match self.at(instant) {
            Some(t) => format!("{} {}", t.format("%a %Y-%m-%d"), self.name_at(&t)),
            None => instant.to_rfc3339(),
        }
    }

    /// Date and time of day to the second: `2026-01-15 23:30:00Z`, `2026-01-16 00:30:00 +01:00`.
    pub(crate) fn second(self, instant: Timestamp) -> String {
        self.shown(instant, "%Y-%m-%d %H:%M:%S")
    }

    /// Columns that [`Self::second`] takes.
    pub(crate) const fn second_width(self) -> usize {
        if matches!(self, Self::Utc) { 20 } else { 26 }
    }

    /// The same to the minute.
    pub(crate) fn minute(self, instant: Timestamp) -> String {
        self.shown(instant, "%Y-%m-%d %H:%M")
    }

    /// Every time says the zone that it is of: lines are read, copied and quoted one by one.
    fn shown(self, instant: Timestamp, format: &str) -> String {
        self.at(instant)
            .map_or_else(|| instant.to_rfc3339(), |t| format!("{}{}", t.format(format), self.mark(instant)))
    }

    /// Date, time of day and offset: `2026-01-16 00:30:00 +01:00`.
    pub(crate) fn full(self, instant: Timestamp) -> String {
        self.at(instant)
            .map_or_else(|| instant.to_rfc3339(), |t| t.format("%Y-%m-%d %H:%M:%S %:z").to_string())
    }

    /// What the header calls it at an instant.
    pub(crate) fn name(self, instant: Timestamp) -> String {
        self.at(instant).map_or_else(|| "UTC".to_owned(), |t| self.name_at(&t))
    }

    fn name_at(self, t: &DateTime<FixedOffset>) -> String {
        if self == Self::Utc { "UTC".to_owned() } else { format!("local (UTC{})", t.format("%:z")) }
    }
}

/// How long before `now` an instant was, in its two greatest units: `3 d 4 h ago`, `in 5 min`.
pub(crate) fn relative(instant: Timestamp, now: Timestamp) -> String {
    let seconds = now.as_micros().saturating_sub(instant.as_micros()) / 1_000_000;
    let age = seconds.unsigned_abs();
    let text = match age {
        0 => return "now".to_owned(),
        1..60 => format!("{age} s"),
        60..3_600 => two(age, 60, "min", 1, "s"),
        3_600..86_400 => two(age, 3_600, "h", 60, "min"),
        86_400..31_557_600 => two(age, 86_400, "d", 3_600, "h"),
        _ => two(age, 31_557_600, "y", 86_400, "d"),
    };
    if seconds < 0 { format!("in {text}") } else { format!("{text} ago") }
}

fn two(age: u64, great: u64, great_name: &str, small: u64, small_name: &str) -> String {
    let rest = age % great / small;
    if rest == 0 {
        format!("{} {great_name}", age / great)
    } else {
        format!("{} {great_name} {rest} {small_name}", age / great)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_turn_over_in_the_zone_shown() {
        let t = Timestamp::parse("2026-01-15T23:30:00Z").unwrap();
        assert_eq!(Zone::Utc.day_name(t), "Thu 2026-01-15 UTC");
        assert_eq!(Zone::Fixed(3_600).day_name(t), "Fri 2026-01-16 local (UTC+01:00)");
        assert_eq!(Zone::Fixed(3_600).full(t), "2026-01-16 00:30:00 +01:00");
        assert_eq!(Zone::Fixed(3_600).second(t), "2026-01-16 00:30:00 +01:00");
        assert!(
            [Zone::Utc, Zone::Fixed(3_600)]
                .into_iter()
                .all(|zone| zone.second(t).len() == zone.second_width())
        );
        assert_eq!(
            (Zone::Utc.second(t).as_str(), Zone::Utc.minute(t).as_str()),
            ("2026-01-15 23:30:00Z", "2026-01-15 23:30Z")
        );
        assert_eq!(Zone::Fixed(3_600).minute(Timestamp::INFINITY), "infinity");
        assert_eq!(Zone::Utc.clock(Timestamp::INFINITY), "--:--:--");
    }

    #[test]
    fn ages_have_two_units() {
        let at = |s: i64| Timestamp::from_micros(s * 1_000_000);
        assert_eq!(relative(at(0), at(0)), "now");
        assert_eq!(relative(at(0), at(59)), "59 s ago");
        assert_eq!(relative(at(0), at(90_000)), "1 d 1 h ago");
        assert_eq!(relative(at(7_200), at(0)), "in 2 h");
        assert_eq!(relative(Timestamp::NEG_INFINITY, at(0)).split(' ').next(), Some("292271"));
    }
}
