//! Lengths of time in configuration and flags, such as `90d` or `30s`.

use crate::domain::Safe;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A length of time that is not zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(Duration);

impl Span {
    /// A hundred years: beyond it, sums with instants would leave the calendar.
    const LONGEST: Duration = Duration::from_secs(100 * 365 * 86_400);

    /// So many days.
    pub const fn days(n: u64) -> Self {
        Self(Duration::from_secs(n * 86_400))
    }

    /// So many seconds.
    pub const fn seconds(n: u64) -> Self {
        Self(Duration::from_secs(n))
    }

    /// As the standard library's type.
    pub const fn as_duration(self) -> Duration {
        self.0
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match humantime::parse_duration(text) {
            Ok(d) if d.is_zero() => Err("a length of time must not be zero".to_owned()),
            Ok(d) if d > Self::LONGEST => Err("a length of time is at most 100 years".to_owned()),
            Ok(d) => Ok(Self(d)),
            Err(e) => Err(format!(
                "'{}' is not a duration such as 30s, 12h or 90d ({e})",
                Safe::from_untrusted(text)
            )),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        // Days rather than humantime's months, whose length is a convention of its own.
        if self.0.subsec_nanos() == 0 && seconds.is_multiple_of(86_400) {
            write!(f, "{}d", seconds / 86_400)
        } else {
            humantime::format_duration(self.0).fmt(f)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_back_what_they_print() {
        for text in ["90d", "30s", "12h", "500ms"] {
            let span: Span = text.parse().unwrap();
            assert_eq!(span.to_string().parse::<Span>().unwrap(), span);
        }
        assert_eq!(Span::days(90).to_string(), "90d");
        assert!("0s".parse::<Span>().is_err());
        assert!("soon".parse::<Span>().is_err());
        assert!("200years".parse::<Span>().is_err());
    }
}
