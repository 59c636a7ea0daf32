//! The words in which a verdict is given: never without what was compared, and what cannot be known from it.

use super::class::Class;
use super::report::{Report, Verdict};
use crate::domain::{Safe, Timestamp, grouped};
use std::fmt;

/// The newest remembered head that is in the trail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewestHead {
    /// When it was verified last.
    pub verified_at: Timestamp,
    /// How many events the trail had then.
    pub events: Option<u64>,
}

/// Said wherever a verdict is listed with its details.
pub const ROWS_ALONE: &str =
    "rows alone cannot show: events missing at the newest end; a trail that was replaced as a whole";

impl Report {
    /// Only a part of the trail was verified, or not its content.
    pub fn is_partial(&self) -> bool {
        let scope = &self.scope;
        scope.links_only || scope.incremental || scope.since.is_some() || scope.until.is_some()
    }

    /// The verdict with what it is about: `chain intact`, `range intact`, `intact (replica, 0.3 s behind)`.
    pub fn words(&self) -> String {
        let scope = &self.scope;
        let is_range = scope.since.is_some() || scope.until.is_some();
        let part = match (scope.incremental, is_range, scope.links_only) {
            (true, _, _) => "increment",
            (false, true, true) => "links of the range",
            (false, true, false) => "range",
            (false, false, true) => "links",
            (false, false, false) => "chain",
        };
        let words = match self.verdict {
            Verdict::Intact if part == "chain" && scope.replica_lag_s.is_some() => "intact".to_owned(),
            Verdict::Intact => format!("{part} intact"),
            Verdict::NothingToCheck => "nothing to check".to_owned(),
            Verdict::Broken | Verdict::Anomalous | Verdict::Incomplete => self.verdict.to_string(),
        };
        match scope.replica_lag_s {
            Some(lag) if lag.is_finite() => format!("{words} (replica, {lag:.1} s behind)"),
            Some(_) => format!("{words} (replica, lag unknown)"),
            None => words,
        }
    }

    /// What is known of the newest end: `newest end not proven: no earlier head`, `head of 12 d ago present (10 800
    /// events)`, `1 of 4 earlier heads not present`.
    pub fn newest_end(&self) -> String {
        let missing = self.pins.checked - self.pins.matched.min(self.pins.checked);
        if self.pins.checked == 0 {
            return "newest end not proven: no earlier head".to_owned();
        }
        if missing > 0 {
            return format!(
                "{} of {} earlier heads not present",
                grouped(missing),
                grouped(self.pins.checked)
            );
        }
        let Some(head) = self.newest_head else {
            return format!("{} earlier heads present", grouped(self.pins.checked));
        };
        let now = Timestamp::parse(&self.snapshot_at).unwrap_or(head.verified_at);
        let events = head.events.map(|events| format!(" ({} events)", grouped(events))).unwrap_or_default();
        format!("head of {} ago present{events}", head.verified_at.age(now))
    }

    /// What an increment did not read.
    fn earlier(&self) -> String {
        let events: u64 = self.coverage.verified_earlier.iter().map(|part| part.events).sum();
        format!("content of {} verified earlier and not read again", grouped(events))
    }

    /// Why not everything could be judged; `None` unless that is the verdict.
    pub fn reason(&self) -> Option<String> {
        if self.verdict != Verdict::Incomplete {
            return None;
        }
        let mut reasons = Vec::new();
        for class in Class::ALL.into_iter().filter(|class| class.is_incompleteness()) {
            let mut findings = self.findings.iter().filter(|finding| finding.class == class);
            if let Some(first) = findings.next() {
                // Beyond a maximum they are counted only.
                let listed = findings.count() as u64 + 1;
                let number = match class {
                    Class::Undecided => listed.max(self.content.undecided),
                    Class::Unreadable => listed.max(self.content.unreadable),
                    _ => listed,
                };
                reasons.push(format!("{} {}: {}", grouped(number), class.words(), first.detail));
            }
        }
        if !self.links_followed {
            reasons.push("the chain is in too many pieces to be followed".to_owned());
        }
        if reasons.is_empty() {
            // Findings that were cut from the list.
            let unknown = self.content.undecided + self.content.unreadable;
            reasons.push(format!("{} events neither verified nor refuted", grouped(unknown)));
        }
        Some(reasons.join("; "))
    }

    /// What the verdict does not say, shortest first: [`Report::limits`].
    pub(super) fn all_limits(&self) -> Vec<String> {
        let scope = &self.scope;
        let mut limits = vec![self.newest_end()];
        if scope.incremental {
            limits.push(self.earlier());
        } else if scope.since.is_some() || scope.until.is_some() {
            limits.push("only events of the range were read".to_owned());
        }
        if scope.links_only {
            limits.push("content was not read".to_owned());
        }
        if scope.replica_lag_s.is_some() {
            limits.push("read from a replica: later events are not judged".to_owned());
        }
        limits.extend(self.not_used.iter().cloned());
        limits.extend(self.reason().map(|reason| format!("incomplete: {reason}")));
        limits
    }
}

impl fmt::Display for Report {
    /// One line that can be pasted into a ticket.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VERIFY {}: {}", Safe::from_untrusted(&self.organization_id), self.words())?;
        for text in self.not_used.iter().chain(&self.reason()) {
            write!(f, " · {}", Safe::from_untrusted(text))?;
        }
        write!(
            f,
            " · {} · {} events, {} broken, heads {}/{}",
            self.newest_end(),
            grouped(self.events),
            grouped(self.content.mismatch),
            self.pins.matched,
            self.pins.checked,
        )?;
        if self.scope.incremental {
            write!(f, ", {}", self.earlier())?;
        }
        let unverified = self.events - self.verified();
        for (number, what) in [
            (self.open_findings(), "findings"),
            (if self.scope.links_only { 0 } else { unverified }, "unverified"),
            (self.out_of_time_order(), "out of time order"),
            (self.accepted.len() as u64, "accepted"),
        ] {
            if number > 0 {
                write!(f, ", {what} {}", grouped(number))?;
            }
        }
        if let Some(head) = &self.head {
            let hash: String = head.hash.chars().take(8).collect();
            write!(f, ", head {}…", Safe::from_untrusted(&hash))?;
        }
        write!(f, ", {}.{} s", self.elapsed_ms / 1000, self.elapsed_ms % 1000 / 100)
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::report;
    use super::*;

    const AT: &str = "2026-01-15T12:00:00.000000Z";

    fn intact() -> Report {
        let mut report = report(&[]);
        AT.clone_into(&mut report.snapshot_at);
        report.content.verified = report.events;
        report.content.mismatch = 0;
        report.judge();
        report
    }

    #[test]
    fn intact_never_stands_without_what_was_compared() {
        let mut report = intact();
        assert_eq!(
            report.to_string(),
            "VERIFY org\\x1B-1: chain intact · newest end not proven: no earlier head · 1 204 331 events, 0 broken, \
             heads 0/0, head 9c41aa00…, 11.8 s"
        );
        assert_eq!(report.limits, ["newest end not proven: no earlier head"]);
        report.pins.checked = 4;
        report.pins.matched = 4;
        let verified_at = Timestamp::parse("2026-01-03T11:00:00Z").unwrap();
        report.newest_head = Some(NewestHead { verified_at, events: Some(10_800) });
        report.judge();
        assert!(
            report.to_string().contains("chain intact · head of 12 d ago present (10 800 events) · "),
            "{report}"
        );
        assert_eq!(report.limits, ["head of 12 d ago present (10 800 events)"]);
        report.pins.matched = 3;
        assert!(report.to_string().contains(" · 1 of 4 earlier heads not present · "), "{report}");
    }

    #[test]
    fn each_scope_has_words_of_its_own() {
        let words = |change: fn(&mut Report)| {
            let mut report = intact();
            change(&mut report);
            report.judge();
            assert!(report.limits.len() > 1 || !report.is_partial(), "{:?}", report.limits);
            report.words()
        };
        let since = || Some(AT.to_owned());
        assert_eq!(words(|_| {}), "chain intact");
        assert_eq!(words(|r| r.scope.links_only = true), "links intact");
        assert_eq!(words(|r| r.scope.incremental = true), "increment intact");
        assert_eq!(words(|r| r.scope.replica_lag_s = Some(0.3)), "intact (replica, 0.3 s behind)");
        let mut range = intact();
        range.scope.until = since();
        assert_eq!(range.words(), "range intact");
        range.scope.links_only = true;
        range.scope.replica_lag_s = Some(12.0);
        assert_eq!(range.words(), "links of the range intact (replica, 12.0 s behind)");
    }

    #[test]
    fn an_incomplete_verdict_says_why_in_its_first_line() {
        for class in Class::ALL.into_iter().filter(|class| class.is_incompleteness()) {
            let mut report = report(&[class]);
            report.findings[0].detail = "because\u{1b}".into();
            report.judge();
            let line = report.to_string();
            assert!(line.contains(&format!("incomplete · 1 {}: because\\x1B · ", class.words())), "{line}");
            assert!(report.limits.iter().any(|limit| limit.contains("because")));
        }
        let mut report = intact();
        report.links_followed = false;
        report.judge();
        assert!(report.reason().unwrap().contains("too many pieces"));
    }
}
