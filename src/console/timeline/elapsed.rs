//! The time between an event and the one before it, and when that is a gap.

use crate::domain::{Safe, Timestamp};

/// A gap is at least so many times as long as what is usual among the rows on the screen and near it.
const GAP: i64 = 20;

/// And at least so long: a minute, in microseconds.
const LEAST: i64 = 60_000_000;

/// The time since the event before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Elapsed {
    micros: i64,
    /// It is long, compared with those near it.
    pub(crate) is_gap: bool,
}

impl Elapsed {
    /// Columns that the text of any takes.
    pub(crate) const WIDTH: usize = 8;

    /// The time from `before` to `time`, where `usual` is that between two events near it, in microseconds.
    pub(crate) fn between(before: Timestamp, time: Timestamp, usual: i64) -> Self {
        let micros = time.as_micros().saturating_sub(before.as_micros()).max(0);
        Self { micros, is_gap: micros >= LEAST.max(usual.saturating_mul(GAP)) }
    }

    /// `340 ms`, `7 s`, `12 min`, `3 h`, `40 d`; of a gap `gap 3 h`.
    pub(crate) fn text(self) -> Safe {
        let ms = self.micros / 1_000;
        let text = match ms {
            0..1_000 => format!("{ms} ms"),
            1_000..120_000 => format!("{} s", ms / 1_000),
            120_000..7_200_000 => format!("{} min", ms / 60_000),
            7_200_000..172_800_000 => format!("{} h", ms / 3_600_000),
            _ => format!("{} d", ms / 86_400_000),
        };
        Safe::from_untrusted(&if self.is_gap { format!("▽{text}") } else { text })
    }
}

/// The usual time between neighbours: the median, in microseconds; of times newest first.
pub(crate) fn usual(times: impl Iterator<Item = Timestamp>) -> i64 {
    let times: Vec<i64> = times.map(Timestamp::as_micros).collect();
    let mut lengths: Vec<i64> = times.windows(2).map(|pair| pair[0].saturating_sub(pair[1]).max(0)).collect();
    let middle = lengths.len() / 2;
    if lengths.is_empty() { 0 } else { *lengths.select_nth_unstable(middle).1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_long_compared_with_what_is_usual() {
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        let usual = usual([100, 90, 80, 10].into_iter().map(at));
        assert_eq!(usual, 10_000_000);
        let text = |seconds: i64| Elapsed::between(at(0), at(seconds), usual).text().as_str().to_owned();
        assert_eq!(
            [0, 1, 119, 120, 199, 200, 7_200, 172_800].map(text),
            ["0 ms", "1 s", "119 s", "2 min", "3 min", "▽3 min", "▽2 h", "▽2 d"]
        );
        assert!(!Elapsed::between(at(0), at(59), 0).is_gap, "shorter than a minute is none");
        assert_eq!(Elapsed::between(at(5), at(0), 0).text().as_str(), "0 ms", "equal or out of order");
        let widest = Elapsed { micros: i64::MAX, is_gap: false }.text();
        assert!(Elapsed { micros: 7_199_000_000, is_gap: true }.text().width() <= Elapsed::WIDTH, "{widest}");
        assert_eq!(super::usual(std::iter::empty()), 0);
    }
}
