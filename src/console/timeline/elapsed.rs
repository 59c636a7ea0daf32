//! The time between an event and the one before it, and the signs of gaps and bursts.

use crate::console::widgets::theme::Role;
use crate::domain::Safe;
use crate::investigation::tempo::Tempo;

/// Columns that the text of any time takes that is not of centuries.
pub(crate) const WIDTH: usize = 7;

/// The sign of a gap before the event.
pub(crate) const GAP: &str = "▽";

/// The sign of an event in a burst.
pub(crate) const BURST: &str = "┃";

/// `340 ms`, `7 s`, `12 min`, `3 h`, `40 d`
pub(crate) fn text(micros: i64) -> Safe {
    let ms = micros / 1_000;
    let text = match ms {
        ..1_000 => format!("{ms} ms"),
        1_000..120_000 => format!("{} s", ms / 1_000),
        120_000..7_200_000 => format!("{} min", ms / 60_000),
        7_200_000..172_800_000 => format!("{} h", ms / 3_600_000),
        _ => format!("{} d", ms / 86_400_000),
    };
    Safe::composed(&text)
}

/// The sign of an event, where it has one: that of the gap, where it begins a burst after one.
pub(crate) fn sign(tempo: Tempo) -> Option<(&'static str, Role)> {
    match tempo {
        Tempo { is_gap: true, .. } => Some((GAP, Role::Notice)),
        Tempo { in_burst: true, .. } => Some((BURST, Role::Label)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_in_the_unit_that_says_it_best() {
        let text = |seconds: i64| text(seconds * 1_000_000).as_str().to_owned();
        assert_eq!(
            [0, 1, 119, 120, 7_199, 7_200, 172_799, 172_800].map(text),
            ["0 ms", "1 s", "119 s", "2 min", "119 min", "2 h", "47 h", "2 d"]
        );
        assert!(
            [999, 7_199, 172_799, 100 * 365 * 86_400]
                .into_iter()
                .all(|t| super::text(t * 1_000_000).width() <= WIDTH)
        );
    }

    #[test]
    fn a_gap_has_its_sign_before_that_of_a_burst() {
        let tempo = |is_gap, in_burst| Tempo { elapsed: None, is_gap, in_burst };
        let shown = |is_gap, in_burst| sign(tempo(is_gap, in_burst)).map(|(sign, _)| sign);
        assert_eq!(
            [shown(false, false), shown(true, false), shown(false, true), shown(true, true)],
            [None, Some(GAP), Some(BURST), Some(GAP)]
        );
    }
}
