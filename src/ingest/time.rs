//! Times as sources write them. Nothing is assumed: a time without a zone is refused unless somebody has said which
//! zone it is in, be it the user or the format itself.

use super::Reject;
use crate::domain::Timestamp;
use chrono::{LocalResult, NaiveDateTime, TimeZone as _, Utc};
use chrono_tz::Tz;

/// An instant, and whether it stood in a leap second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) timestamp: Timestamp,
    /// Second 60, which neither PostgreSQL nor the clock of any computer has: the next second is meant.
    pub(super) leap_second: bool,
}

/// Reads RFC 3339, and what PostgreSQL, Python and Athena print: a blank for the `T`, offsets such as `+00`, `+0530`,
/// `+00:00:30` or ` UTC`, any number of digits (those beyond microseconds are cut).
pub(super) fn read(text: &str, zone: Option<Tz>) -> Result<Moment, Reject> {
    let shown: String = text.chars().take(64).collect();
    let wrong = || Reject::new(format!("'{shown}' is not a time such as 2026-01-15T09:58:01.002Z"));
    let (local, offset) = split(text).ok_or_else(wrong)?;
    instant(local, offset, zone, &shown)
}

/// The instant of a date and clock, with an offset in seconds or in a zone; `shown` is how it is written.
fn instant(
    local: NaiveDateTime,
    offset: Option<i64>,
    zone: Option<Tz>,
    shown: &str,
) -> Result<Moment, Reject> {
    let wrong = || Reject::new(format!("'{shown}' is not a time such as 2026-01-15T09:58:01.002Z"));
    let leap_second = local.and_utc().timestamp_subsec_nanos() >= 1_000_000_000;
    let utc = match (offset, zone) {
        (Some(seconds), _) => {
            local.checked_sub_signed(chrono::TimeDelta::seconds(seconds)).ok_or_else(wrong)?.and_utc()
        }
        (None, None) => {
            return Err(Reject::new(format!(
                "'{shown}' has no zone; name it with --zone (such as --zone UTC)"
            )));
        }
        (None, Some(zone)) => match zone.from_local_datetime(&local) {
            LocalResult::Single(time) => time.with_timezone(&Utc),
            LocalResult::Ambiguous(a, b) => {
                let reason = format!("'{shown}' happens twice in {}: {a} or {b}", zone.name());
                return Err(Reject::new(reason));
            }
            LocalResult::None => {
                return Err(Reject::new(format!("'{shown}' never happens in {}", zone.name())));
            }
        },
    };
    Ok(Moment { timestamp: Timestamp::from(utc), leap_second })
}

/// As `strftime` writes it: with an offset, or in a zone.
pub(super) fn by_pattern(text: &str, pattern: &str, zone: Option<Tz>) -> Result<Moment, Reject> {
    let shown: String = text.chars().take(64).collect();
    if let Ok(time) = chrono::DateTime::parse_from_str(text, pattern) {
        return instant(time.naive_utc(), Some(0), None, &shown);
    }
    let local = NaiveDateTime::parse_from_str(text, pattern)
        .map_err(|e| Reject::new(format!("'{shown}' is not written as {pattern}: {e}")))?;
    instant(local, None, zone, &shown)
}

/// A number since 1970 of which one is `times` microseconds, or of which `over` are one; digits beyond are cut.
pub(super) fn epoch(text: &str, times: i64, over: i64) -> Result<Moment, Reject> {
    let shown: String = text.chars().take(64).collect();
    let wrong = || Reject::new(format!("'{shown}' is not a number of seconds, or parts of them, since 1970"));
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return Err(wrong());
    }
    let micros = |number: i64| number.checked_mul(times).map(|n| n.div_euclid(over));
    let whole_micros = whole.parse().ok().and_then(micros).ok_or_else(wrong)?;
    // As many digits as a microsecond needs.
    let digits: String = format!("{fraction:0<6}").chars().take(6).collect();
    let parts: i64 = digits.parse().map_err(|_| wrong())?;
    let more = parts.checked_mul(times).map(|n| n / over / 1_000_000).ok_or_else(wrong)?;
    let more = if whole.starts_with('-') { -more } else { more };
    let timestamp = whole_micros.checked_add(more).map(Timestamp::from_micros).ok_or_else(wrong)?;
    // Beyond what a year of four digits can say.
    if !(-62_135_596_800_000_000..253_402_300_800_000_000).contains(&timestamp.as_micros()) {
        return Err(wrong());
    }
    Ok(Moment { timestamp, leap_second: false })
}

/// Milliseconds since 1970, as GitHub writes them, also where a collector has made `1700000000123.000000` of them; `None` for
/// a text that is something else.
pub(super) fn since_epoch(text: &str) -> Option<Moment> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    // 2001 to 2286: shorter ones are seconds, or no times.
    let is_time = whole.len() == 13 && whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit());
    let millis: i64 = is_time.then(|| whole.parse().ok())??;
    let micros: i64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    Some(Moment { timestamp: Timestamp::from_micros(millis * 1000 + micros), leap_second: false })
}

/// `11/14/2025 1:48:53 AM`, as Azure and Purview print it, month first and in UTC, also with an offset behind it; `None` for
/// a text that is something else.
pub(super) fn american(text: &str) -> Option<Moment> {
    let half = text.find(" AM").or_else(|| text.find(" PM"))? + 3;
    let (local, offset) = text.split_at_checked(half)?;
    let local = NaiveDateTime::parse_from_str(local, "%m/%d/%Y %I:%M:%S %p").ok()?;
    let offset = match offset.trim() {
        "" => 0,
        offset => seconds(offset)?,
    };
    let utc = local.checked_sub_signed(chrono::TimeDelta::seconds(offset))?.and_utc();
    Some(Moment { timestamp: Timestamp::from(utc), leap_second: false })
}

/// Date and clock, and the offset in seconds if there is one.
fn split(text: &str) -> Option<(NaiveDateTime, Option<i64>)> {
    let (date, rest) = text.split_at_checked(10)?;
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let clock_ends = rest.find(|c: char| !(c.is_ascii_digit() || c == ':' || c == '.')).unwrap_or(rest.len());
    let (clock, offset) = rest.split_at_checked(clock_ends)?;
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    if fraction.is_empty() || clock.len() != 8 {
        return None;
    }
    let digits: String = fraction.chars().take(6).collect();
    let local = format!("{date}T{clock}.{digits}");
    let local = NaiveDateTime::parse_from_str(&local, "%Y-%m-%dT%H:%M:%S%.f").ok()?;
    let offset = offset.strip_prefix(' ').unwrap_or(offset);
    match offset {
        "" => Some((local, None)),
        "Z" | "z" | "UTC" => Some((local, Some(0))),
        _ => Some((local, Some(seconds(offset)?))),
    }
}

/// Seconds of an offset: `+02`, `+0230`, `+02:30`, `+02:30:15`.
fn seconds(offset: &str) -> Option<i64> {
    let (sign, digits) = match offset.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-" | "\u{2212}", digits) => (-1, digits),
        _ => return None,
    };
    let parts: Vec<&str> = if digits.len() == 4 {
        vec![digits.get(..2)?, digits.get(2..)?]
    } else {
        digits.split(':').collect()
    };
    let number = |part: &&str| -> Option<i64> {
        (part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit())).then(|| part.parse().ok())?
    };
    let numbers: Vec<i64> = parts.iter().map(number).collect::<Option<_>>()?;
    let (hours, minutes, seconds) = match numbers.as_slice() {
        [h] => (*h, 0, 0),
        [h, m] => (*h, *m, 0),
        [h, m, s] => (*h, *m, *s),
        _ => return None,
    };
    (hours < 24 && minutes < 60 && seconds < 60).then_some(sign * (hours * 3600 + minutes * 60 + seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> String {
        read(text, None).map_or_else(|e| e.to_string(), |moment| moment.timestamp.to_rfc3339())
    }

    #[test]
    fn times_of_every_writer_are_read() {
        for (text, instant) in [
            ("2026-03-04 05:06:07+00", "2026-03-04T05:06:07.000000Z"),
            ("2026-03-04 05:06:07.1234567+00", "2026-03-04T05:06:07.123456Z"),
            ("2026-03-04T05:06:07.123456789Z", "2026-03-04T05:06:07.123456Z"),
            ("2026-03-04T05:06:07+0530", "2026-03-03T23:36:07.000000Z"),
            ("2026-03-04T05:06:07-05:30", "2026-03-04T10:36:07.000000Z"),
            ("2026-03-04t05:06:07z", "2026-03-04T05:06:07.000000Z"),
            ("2026-03-04 05:06:07.000 UTC", "2026-03-04T05:06:07.000000Z"),
            ("2026-03-04T05:06:07.5+00:00:30", "2026-03-04T05:05:37.500000Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000Z"),
            ("1969-12-31T23:59:59.9999999Z", "1969-12-31T23:59:59.999999Z"),
        ] {
            assert_eq!(at(text), instant, "{text}");
        }
    }

    #[test]
    fn what_is_no_instant_is_refused_with_its_reason() {
        assert!(at("2026-03-04T05:06:07").ends_with("has no zone; name it with --zone (such as --zone UTC)"));
        for text in [
            "1772600767",
            "2026-03-04",
            "2026-03-04T05:06:07 Europe/Berlin",
            "2026-03-04T05:06:07 CET",
            "2026-03-04T24:00:00Z",
            "2026-03-04T05:06Z",
            "2026-03-04T05:06:07,5Z",
            "2026-03-04T05:06:07.Z",
            "2026-03-04T05:06:07+25:00",
            "2026-03-04T05:06:07+1:00",
            "3/4/2026 5:06:07 AM",
            "infinity",
            "2026-02-30T00:00:00Z",
            "20ü6-03-04",
            "",
        ] {
            assert!(at(text).contains("is not a time such as"), "{text}: {}", at(text));
        }
    }

    #[test]
    fn other_writers_times_are_read_where_a_source_has_them() {
        let shown = |moment: Option<Moment>| moment.map(|m| m.timestamp.to_rfc3339());
        let of = |text: &str| Some(text.to_owned());
        assert_eq!(shown(since_epoch("1700000000123")), of("2023-11-14T22:13:20.123000Z"));
        assert_eq!(shown(since_epoch("1700000000123.456000")), of("2023-11-14T22:13:20.123456Z"));
        assert_eq!(shown(american("11/14/2025 1:48:53 AM")), of("2025-11-14T01:48:53.000000Z"));
        assert_eq!(shown(american("1/9/2007 12:41:00 PM +01:00")), of("2007-01-09T11:41:00.000000Z"));
        for text in ["1700000000", "2025-11-14T01:48:53Z", "13/14/2025 1:48:53 AM", "170000000012x", "ü AM"]
        {
            assert_eq!((since_epoch(text), american(text)), (None, None), "{text}");
        }
    }

    #[test]
    fn a_zone_that_was_named_is_applied_and_its_gaps_are_refused() {
        let berlin: Tz = "Europe/Berlin".parse().unwrap();
        let at = |text| read(text, Some(berlin)).map(|m| m.timestamp.to_rfc3339());
        assert_eq!(at("2026-07-04T05:06:07").unwrap(), "2026-07-04T03:06:07.000000Z");
        assert_eq!(at("2026-07-04T05:06:07Z").unwrap(), "2026-07-04T05:06:07.000000Z", "it says its own");
        let twice = at("2026-10-25T02:30:00").unwrap_err().to_string();
        assert!(
            twice.contains("happens twice") && twice.contains("CEST") && twice.contains("CET"),
            "{twice}"
        );
        assert!(at("2026-03-29T02:30:00").unwrap_err().to_string().contains("never happens"));
    }

    #[test]
    fn a_leap_second_is_the_next_second_and_said() {
        let moment = read("2026-03-04T23:59:60Z", None).unwrap();
        assert_eq!(
            (moment.timestamp.to_rfc3339().as_str(), moment.leap_second),
            ("2026-03-05T00:00:00.000000Z", true)
        );
        assert!(!read("2026-03-04T23:59:59.999Z", None).unwrap().leap_second);
    }
}
