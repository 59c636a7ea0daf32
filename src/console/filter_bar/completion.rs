//! What the database says about a filter while it is typed: what it will cost, and which values there are. Typing never
//! waits for it, and what was asked for another text is forgotten.

use crate::domain::{Safe, grouped};
use crate::filter::Field;
use crate::store::listing::cost::Cost;
use crate::store::listing::explain::Way;
use crate::store::listing::values::MOST_VALUES;
use crate::store::query::Count;
use std::time::Duration;

/// Nothing is asked before typing has rested for so long.
const PAUSE: Duration = Duration::from_millis(300);

/// The state of it.
#[derive(Debug, Default)]
pub(crate) struct Advice {
    /// The text that it is about.
    text: Option<String>,
    /// When the database is asked.
    due: Option<Duration>,
    /// What the text will cost.
    pub(crate) price: Option<Safe>,
    /// Why it cannot be run.
    pub(crate) trouble: Option<Safe>,
    /// The last answer about values: the field, what they go on from, they.
    values: Option<(Field, String, Vec<String>)>,
    /// A completion waits for values.
    pub(crate) awaited: bool,
}

impl Advice {
    /// Takes note of the text. Whether it is another one: what is being worked out for the one before is not wanted
    /// any more.
    pub(crate) fn follow(&mut self, text: &str, clock: Duration) -> bool {
        if self.text.as_deref() == Some(text) {
            return false;
        }
        self.text = Some(text.to_owned());
        self.due = Some(clock + PAUSE);
        self.price = None;
        self.trouble = None;
        self.awaited = false;
        true
    }

    /// When the database is asked.
    pub(crate) fn due(&self) -> Option<Duration> {
        self.due
    }

    /// Whether it is time to ask; once.
    pub(crate) fn take_due(&mut self, clock: Duration) -> bool {
        self.due.take_if(|due| *due <= clock).is_some()
    }

    /// Takes values of a field that go on from `begun`.
    pub(crate) fn take_values(&mut self, field: Field, begun: String, values: Vec<String>) {
        self.values = Some((field, begun, values));
    }

    /// Values of a field that are known.
    pub(crate) fn values(&self, of: Field) -> &[String] {
        match &self.values {
            Some((field, _, values)) if *field == of => values,
            _ => &[],
        }
    }

    /// Whether all values that go on from `begun` are known already.
    pub(crate) fn knows(&self, of: Field, begun: &str) -> bool {
        self.values.as_ref().is_some_and(|(field, known, values)| {
            *field == of
                && (known == begun || begun.starts_with(known.as_str()) && values.len() < MOST_VALUES)
        })
    }
}

/// What a view will cost, in a line. Every number is a guess.
pub(crate) fn in_words(cost: &Cost, time: Duration) -> Safe {
    let mut parts = match cost.events {
        Count::Estimate(1) => vec!["~1 event".to_owned()],
        Count::Estimate(events) | Count::Exact(events) | Count::AtLeast(events) => {
            vec![format!("~{} events", grouped(events))]
        }
        Count::Unknown => Vec::new(),
    };
    let up_to = if cost.events == Count::Unknown { "up to " } else { "" };
    match (cost.way, cost.looked_at) {
        (Way::Walk | Way::Scan, Some(events)) => {
            parts.push(format!("scan of {up_to}~{}", grouped(events)));
            parts.push(format!("{up_to}{}", about(time)));
        }
        _ => parts.extend([cost.indexes.join(", "), about(time)]),
    }
    if !cost.cheaper.is_empty() {
        parts.push(format!("cheaper: add {}", cost.cheaper.join(" or ")));
    }
    parts.retain(|part| !part.is_empty());
    Safe::from_untrusted(&parts.join(" · "))
}

/// A time of which only the size is known.
fn about(time: Duration) -> String {
    let milliseconds = time.as_secs_f64() * 1e3;
    if milliseconds < 1_000.0 {
        let digit = 10_f64.powf(milliseconds.max(1.0).log10().floor());
        format!("~{:.0} ms", (milliseconds / digit).round().max(1.0) * digit)
    } else if milliseconds < 120_000.0 {
        format!("~{:.0} s", milliseconds / 1e3)
    } else {
        format!("~{:.0} min", milliseconds / 6e4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_text_makes_what_was_asked_before_unwanted() {
        let at = Duration::from_millis;
        let mut advice = Advice::default();
        assert!(advice.follow("a", at(0)) && !advice.follow("a", at(100)));
        assert!(!advice.take_due(at(299)) && advice.take_due(at(300)) && !advice.take_due(at(900)));
        advice.price = Some(Safe::literal("~1 event"));
        assert!(advice.follow("ab", at(1000)));
        assert_eq!((advice.due(), &advice.price), (Some(at(1300)), &None));
    }

    #[test]
    fn values_are_asked_for_once() {
        let mut advice = Advice::default();
        assert!(!advice.knows(Field::Actor, ""));
        advice.take_values(Field::Actor, "us".to_owned(), vec!["user-1".to_owned()]);
        assert!(advice.knows(Field::Actor, "user") && !advice.knows(Field::Actor, "u"));
        assert!(!advice.knows(Field::EventType, "us"));
        assert_eq!((advice.values(Field::Actor).len(), advice.values(Field::EventType).len()), (1, 0));
        advice.take_values(Field::Actor, "us".to_owned(), vec![String::new(); MOST_VALUES]);
        assert!(!advice.knows(Field::Actor, "user"), "there may be more");
    }

    #[test]
    fn no_guess_is_said_without_its_sign() {
        let mut cost = Cost {
            events: Count::Estimate(12_480),
            way: Way::Index,
            indexes: vec!["idx_audit_actor".to_owned()],
            looked_at: None,
            units: 1.0,
            cheaper: Vec::new(),
        };
        let words = |cost: &Cost, ms| in_words(cost, Duration::from_millis(ms)).to_string();
        assert_eq!(words(&cost, 5), "~12 480 events · idx_audit_actor · ~5 ms");
        cost.way = Way::Walk;
        cost.looked_at = Some(1_204_000);
        cost.cheaper = vec!["type:", "since:-7d"];
        assert_eq!(
            words(&cost, 4_321),
            "~12 480 events · scan of ~1 204 000 · ~4 s · cheaper: add type: or since:-7d"
        );
        cost.events = Count::Unknown;
        assert_eq!(
            words(&cost, 4_321),
            "scan of up to ~1 204 000 · up to ~4 s · cheaper: add type: or since:-7d"
        );
        assert_eq!(
            [1, 16, 349, 999].map(|ms| about(Duration::from_millis(ms))),
            ["~1 ms", "~20 ms", "~300 ms", "~1000 ms"]
        );
        assert_eq!(about(Duration::from_secs(600)), "~10 min");
    }
}
