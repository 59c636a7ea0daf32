//! Times of the day and days of the week.

use std::fmt;

/// Seconds of a day.
pub(super) const DAY: u32 = 86_400;

/// An interval of the day, half-open; it may pass midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hours {
    /// First second inside, from midnight.
    pub from: u32,
    /// First second behind; 86 400 is the end of the day.
    pub to: u32,
}

/// Reads `22`, `22:00` or `22:00:30`, up to `24:00`: its first second, and how long what is written takes.
pub(super) fn clock(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split(':');
    let mut number = |limit: u32| match parts.next() {
        None => Some(None),
        Some(part) if (1..=2).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit()) => {
            part.parse().ok().filter(|n| *n <= limit).map(Some)
        }
        Some(_) => None,
    };
    let (hour, minute, second) = (number(24)??, number(59)?, number(59)?);
    let length = match (minute, second) {
        (None, _) => 3_600,
        (Some(_), None) => 60,
        (Some(_), Some(_)) => 1,
    };
    let start = hour * 3_600 + minute.unwrap_or(0) * 60 + second.unwrap_or(0);
    (parts.next().is_none() && start <= DAY).then_some((start, length))
}

/// `HH:MM`, with seconds where there are some.
pub(super) fn write_clock(f: &mut fmt::Formatter<'_>, seconds: u32) -> fmt::Result {
    write!(f, "{:02}:{:02}", seconds / 3_600, seconds / 60 % 60)?;
    if seconds.is_multiple_of(60) { Ok(()) } else { write!(f, ":{:02}", seconds % 60) }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_clock(f, self.from)?;
        f.write_str("..")?;
        write_clock(f, self.to)
    }
}

/// Days of the week, at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Weekdays(u8);

/// The days in the order of ISO 8601, with the names they go by.
const DAYS: [(&str, &str); 7] = [
    ("mon", "monday"),
    ("tue", "tuesday"),
    ("wed", "wednesday"),
    ("thu", "thursday"),
    ("fri", "friday"),
    ("sat", "saturday"),
    ("sun", "sunday"),
];

/// The number of a day from Monday, by its name or the beginning of it.
pub(super) fn weekday(text: &str) -> Option<u8> {
    let text = text.to_ascii_lowercase();
    DAYS.iter().position(|(short, long)| text == *short || text == *long).map(|n| n as u8)
}

/// The short name of a day, counted from Monday.
pub(super) fn weekday_name(day: u8) -> &'static str {
    DAYS.get(usize::from(day)).map_or("", |(short, _)| short)
}

/// The short names, Monday first.
pub(super) fn weekday_names() -> impl Iterator<Item = &'static str> {
    DAYS.iter().map(|(short, _)| *short)
}

impl Weekdays {
    /// Adds the days from one to another (both from Monday, both inside), over the end of the week if need be.
    pub(super) fn add(&mut self, from: u8, to: u8) {
        let mut day = from % 7;
        self.0 |= 1 << day;
        while day != to % 7 {
            day = (day + 1) % 7;
            self.0 |= 1 << day;
        }
    }

    /// The days as ISO 8601 counts them: Monday is 1, Sunday 7.
    pub fn iso(self) -> impl Iterator<Item = u8> {
        (0..7).filter(move |day| self.0 & 1 << day != 0).map(|day| day + 1)
    }
}

impl fmt::Display for Weekdays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, day) in self.iso().enumerate() {
            write!(f, "{}{}", if n == 0 { "" } else { "," }, weekday_name(day - 1))?;
        }
        Ok(())
    }
}
