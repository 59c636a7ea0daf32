//! The result of a verification: the JSON of `verify --format json`, the verdict, the line for a ticket.

use super::anchor::{Anchor, Held};
use super::finding::{Class, Finding};
use crate::domain::{Safe, Timestamp, grouped};
use crate::error::Kind;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a verification of a range says nothing about.
pub(super) const OUTSIDE: &str = "events outside of the time range, but for the neighbours at its two ends";

/// What it comes to. The order of the rules is that of the variants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// A row and its hash contradict each other.
    Broken,
    /// The chain has a shape that an honest writer can cause too.
    Anomalous,
    /// Something could not be read, or could be neither verified nor refuted.
    Incomplete,
    /// No events in scope.
    NothingToCheck,
    /// All is as it was written, as far as rows alone can tell.
    Intact,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Broken => "broken",
            Self::Anomalous => "anomalous",
            Self::Incomplete => "incomplete",
            Self::NothingToCheck => "nothing_to_check",
            Self::Intact => "intact",
        })
    }
}

/// What was verified and found. Serialised, it is the output of `verify --format json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the fields are the keys of the output, described in docs/verify.md")]
pub struct Report {
    pub schema_version: u32,
    pub organization_id: String,
    pub verdict: Verdict,
    pub scheme: SchemeUsed,
    pub snapshot_at: String,
    pub database_identity: String,
    /// Every transaction before this one had ended when the snapshot was taken.
    #[serde(skip)]
    pub before_transaction: i64,
    pub scope: Scope,
    pub events: u64,
    pub content: Content,
    pub links: Links,
    pub pins: Pins,
    pub head: Option<EventHash>,
    pub findings: Vec<Finding>,
    /// Findings left out because of `--max-findings`, or beyond a hundred thousand of a kind.
    #[serde(skip_serializing_if = "is_zero")]
    pub findings_cut: u64,
    pub accepted: Vec<Accepted>,
    pub coverage: Coverage,
    pub elapsed_ms: u64,
    pub events_per_second: u64,
    /// Rows verified in another spelling, and which; at most a hundred thousand.
    #[serde(skip)]
    pub alternatives: Vec<(String, String)>,
    /// Classes of findings that were cut, since they still decide the verdict.
    #[serde(skip)]
    pub(super) cut_classes: Vec<Class>,
    /// Whether the links could be followed to their end.
    #[serde(skip)]
    pub(super) links_followed: bool,
    /// Whether what was verified earlier, and not read again, is as many events as then.
    #[serde(skip)]
    pub(super) count_fits: bool,
    /// What the next verification can go on from: when the whole trail was read, and all its content was verified.
    #[serde(skip)]
    pub anchor: Option<Anchor>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde asks for")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// The scheme by which hashes were checked.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SchemeUsed {
    /// Its name.
    pub name: &'static str,
    /// No row of the sample fitted any scheme.
    pub guessed: bool,
    /// Part of the sample that it fits, 0 to 1.
    pub confidence: f64,
}

/// What was to be verified; times are RFC 3339.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the fields are the keys of the output")]
pub struct Scope {
    pub since: Option<String>,
    pub until: Option<String>,
    pub links_only: bool,
}

/// Events by what is known of their content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[expect(missing_docs, reason = "the fields are the keys of the output")]
pub struct Content {
    pub verified: u64,
    pub verified_alternative: u64,
    pub mismatch: u64,
    pub undecided: u64,
    pub unreadable: u64,
}

/// The shape of the chain; lists by time and event id.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[expect(missing_docs, reason = "the fields are the keys of the output")]
pub struct Links {
    pub genesis: Vec<String>,
    pub missing_predecessor: Vec<MissingShape>,
    pub forks: Vec<ForkShape>,
    pub heads: Vec<EventHash>,
    pub time_before_predecessor: Vec<String>,
}

/// An event without its predecessor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the fields are the keys of the output")]
pub struct MissingShape {
    pub event_id: String,
    pub previous_hash: String,
    pub found_in_org: Vec<String>,
}

/// Events with one predecessor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the fields are the keys of the output")]
pub struct ForkShape {
    pub previous_hash: String,
    pub children: Vec<String>,
}

/// An event and its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are the keys of the output")]
pub struct EventHash {
    pub event_id: String,
    pub hash: String,
}

/// Heads remembered outside the database, compared with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[expect(missing_docs, reason = "the fields are the keys of the output")]
pub struct Pins {
    pub checked: u64,
    pub matched: u64,
}

/// What the verification says nothing about.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Coverage {
    /// Columns that the scheme does not hash.
    pub unprotected_columns: Vec<&'static str>,
    /// In words.
    pub not_checked: Vec<String>,
    /// Events whose content was not read again, because a verification that was interrupted had verified them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub verified_earlier: Vec<VerifiedEarlier>,
}

/// Events that an interrupted verification has verified; their rows are the same versions still.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerifiedEarlier {
    /// When their rows were read, RFC 3339.
    pub at: String,
    /// How many.
    pub events: u64,
}

impl Coverage {
    /// Takes in what was verified earlier.
    pub(super) fn went_on_from(&mut self, earlier: Vec<VerifiedEarlier>) {
        for part in &earlier {
            self.not_checked.push(format!(
                "whether the rows of {} events have been altered beneath the database since {}: they were verified then, \
                 are the same versions still, and were not read again but for their links",
                grouped(part.events),
                part.at
            ));
        }
        self.verified_earlier = earlier;
    }
}

/// That somebody has understood a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Acceptance {
    /// Who.
    pub accepted_by: String,
    /// When, RFC 3339.
    pub accepted_at: String,
    /// Why.
    pub note: String,
}

/// A finding that no longer decides the verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Accepted {
    /// What was found.
    #[serde(flatten)]
    pub finding: Finding,
    /// Who understood it.
    #[serde(flatten)]
    pub acceptance: Acceptance,
}

impl Report {
    /// Moves the findings that somebody has accepted out of the way, and judges anew.
    pub fn accept(&mut self, known: impl Fn(&Finding) -> Option<Acceptance>) {
        let findings = std::mem::take(&mut self.findings);
        for finding in findings {
            match known(&finding) {
                Some(acceptance) => self.accepted.push(Accepted { finding, acceptance }),
                None => self.findings.push(finding),
            }
        }
        self.judge();
    }

    /// Takes in what has become of the verification that this one went on from. Returns how many events that one had
    /// verified which were not read again.
    pub(super) fn go_on_from(&mut self, anchor: &Anchor, held: Held) -> u64 {
        self.pins = Pins { checked: 1, matched: u64::from(!matches!(held, Held::Broken(_))) };
        let at = anchor.at.to_rfc3339();
        let outside = &mut self.coverage.not_checked;
        // Said of ranges in general; here more is known.
        outside.retain(|text| text != OUTSIDE);
        outside.push(format!(
            "events before {}: they were verified at {at} and not read again, only counted",
            anchor.since.to_rfc3339()
        ));
        match held {
            // Nothing came since: the head is still that one.
            Held::Fits => self.head = self.head.take().or_else(|| Some(anchor.head.clone())),
            Held::Count(now) => {
                self.count_fits = false;
                outside.push(format!(
                    "why there are {now} events before that time now where there were {} then: verify everything",
                    anchor.events_before
                ));
            }
            Held::Broken(finding) => self.findings.push(finding),
        }
        self.judge();
        anchor.events_before
    }

    /// What can be gone on from, if all content was verified.
    pub(super) fn anchor_at(&self, at: Timestamp, since: Timestamp, events_before: u64) -> Option<Anchor> {
        let whole =
            self.verified() == self.events && self.count_fits && self.pins.matched == self.pins.checked;
        Some(Anchor {
            database_identity: self.database_identity.clone(),
            at,
            head: self.head.clone().filter(|_| whole)?,
            since,
            events_before,
        })
    }

    /// Keeps the first `most` findings and counts the others; the verdict stays.
    pub fn cut(&mut self, most: usize) {
        let kept = self.findings.len().min(most);
        for finding in self.findings.drain(kept..) {
            self.findings_cut += 1;
            if !self.cut_classes.contains(&finding.class) {
                self.cut_classes.push(finding.class);
            }
        }
    }

    pub(super) fn judge(&mut self) {
        let has = |classes: &[Class]| {
            self.findings.iter().any(|f| classes.contains(&f.class))
                || self.cut_classes.iter().any(|class| classes.contains(class))
        };
        self.verdict = if has(&[
            Class::ContentMismatch,
            Class::MalformedHash,
            Class::DuplicateEventId,
            Class::PinMissing,
            Class::PinMismatch,
        ]) {
            Verdict::Broken
        } else if has(&[
            Class::MissingPredecessor,
            Class::Fork,
            Class::AdditionalGenesis,
            Class::MissingGenesis,
        ]) {
            Verdict::Anomalous
        } else if has(&[Class::Unreadable, Class::Undecided]) || !self.links_followed || !self.count_fits {
            Verdict::Incomplete
        } else if self.events == 0 && self.pins.matched == 0 {
            Verdict::NothingToCheck
        } else {
            Verdict::Intact
        };
    }

    /// The process's exit code as a kind of error; `None` when all is well.
    pub fn exit(&self) -> Option<Kind> {
        let unreadable = self.findings.iter().any(|f| f.class == Class::Unreadable)
            || self.cut_classes.contains(&Class::Unreadable);
        match self.verdict {
            Verdict::Intact => None,
            Verdict::Broken | Verdict::Anomalous => Some(Kind::Finding),
            Verdict::Incomplete if unreadable => Some(Kind::CouldNotRun),
            Verdict::Incomplete | Verdict::NothingToCheck => Some(Kind::Incomplete),
        }
    }

    /// Events that claim a time before their predecessor's: information, which decides nothing.
    pub fn out_of_time_order(&self) -> u64 {
        let accepted =
            self.accepted.iter().filter(|a| a.finding.class == Class::TimeBeforePredecessor).count();
        self.links.time_before_predecessor.len().saturating_sub(accepted) as u64
    }

    /// Open findings, those that were cut included, information not.
    pub fn open_findings(&self) -> u64 {
        (self.findings.len() as u64 + self.findings_cut).saturating_sub(self.out_of_time_order())
    }

    /// Events whose content is known to be as it was written.
    pub fn verified(&self) -> u64 {
        self.content.verified + self.content.verified_alternative
    }
}

impl fmt::Display for Report {
    /// One line that can be pasted into a ticket.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unverified = self.events - self.verified();
        let findings = self.open_findings();
        write!(
            f,
            "VERIFY {}: {}, {} events, {} broken, {} finding{}, pins {}/{}, unverified {}",
            Safe::from_untrusted(&self.organization_id),
            self.verdict.to_string().replace('_', " "),
            grouped(self.events),
            grouped(self.content.mismatch),
            grouped(findings),
            if findings == 1 { "" } else { "s" },
            self.pins.matched,
            self.pins.checked,
            grouped(unverified),
        )?;
        if self.out_of_time_order() > 0 {
            write!(f, ", out of time order {}", grouped(self.out_of_time_order()))?;
        }
        if !self.accepted.is_empty() {
            write!(f, ", accepted {}", self.accepted.len())?;
        }
        if let Some(head) = &self.head {
            let hash: String = head.hash.chars().take(8).collect();
            write!(f, ", head {}…", Safe::from_untrusted(&hash))?;
        }
        write!(f, ", {}.{} s", self.elapsed_ms / 1000, self.elapsed_ms % 1000 / 100)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A finding of no particular kind.
    pub(crate) fn finding(class: Class, event_id: &str) -> Finding {
        Finding {
            class,
            event_id: event_id.to_owned(),
            timestamp: String::new(),
            detail: String::new(),
            consistent_with: Vec::new(),
            ruled_out: Vec::new(),
            hash: "h".to_owned(),
            previous_hash: "p".to_owned(),
            computed: None,
        }
    }

    /// A report with a finding of each of these classes.
    pub(crate) fn report(classes: &[Class]) -> Report {
        let mut report = Report {
            schema_version: 1,
            organization_id: "org\u{1b}-1".to_owned(),
            verdict: Verdict::Intact,
            scheme: SchemeUsed { name: "agenttrace-v1", guessed: false, confidence: 1.0 },
            snapshot_at: String::new(),
            before_transaction: 1_000,
            database_identity: String::new(),
            scope: Scope { since: None, until: None, links_only: false },
            events: 1_204_331,
            content: Content { verified: 1_204_330, mismatch: 1, ..Content::default() },
            links: Links::default(),
            pins: Pins::default(),
            head: Some(EventHash { event_id: "e".to_owned(), hash: "9c41aa00ff".to_owned() }),
            findings: classes.iter().map(|class| finding(*class, "e")).collect(),
            findings_cut: 0,
            accepted: Vec::new(),
            coverage: Coverage::default(),
            elapsed_ms: 11_840,
            events_per_second: 0,
            alternatives: Vec::new(),
            cut_classes: Vec::new(),
            links_followed: true,
            count_fits: true,
            anchor: None,
        };
        report.judge();
        report
    }

    #[test]
    fn the_first_rule_that_applies_decides() {
        use Class as C;
        for (classes, verdict, exit) in [
            (vec![], Verdict::Intact, None),
            (vec![C::TimeBeforePredecessor], Verdict::Intact, None),
            (vec![C::Undecided], Verdict::Incomplete, Some(Kind::Incomplete)),
            (vec![C::Undecided, C::Unreadable], Verdict::Incomplete, Some(Kind::CouldNotRun)),
            (vec![C::Unreadable, C::Fork], Verdict::Anomalous, Some(Kind::Finding)),
            (vec![C::Fork, C::MalformedHash], Verdict::Broken, Some(Kind::Finding)),
            (vec![C::DuplicateEventId], Verdict::Broken, Some(Kind::Finding)),
        ] {
            let report = report(&classes);
            assert_eq!((report.verdict, report.exit()), (verdict, exit), "{classes:?}");
        }
        let mut nothing = report(&[]);
        nothing.events = 0;
        nothing.judge();
        assert_eq!((nothing.verdict, nothing.exit()), (Verdict::NothingToCheck, Some(Kind::Incomplete)));
    }

    #[test]
    fn accepted_findings_stay_listed_and_decide_nothing() {
        let mut report = report(&[Class::Fork, Class::MissingPredecessor]);
        let acceptance = Acceptance {
            accepted_by: "eve".to_owned(),
            accepted_at: String::new(),
            note: "restart".to_owned(),
        };
        report.accept(|f| (f.class == Class::Fork).then(|| acceptance.clone()));
        assert_eq!((report.verdict, report.accepted.len()), (Verdict::Anomalous, 1));
        report.accept(|_| Some(acceptance.clone()));
        assert_eq!((report.verdict, report.accepted.len()), (Verdict::Intact, 2));
        let json = serde_json::to_value(&report.accepted[0]).unwrap();
        assert_eq!((json["class"].as_str(), json["note"].as_str()), (Some("fork"), Some("restart")));
    }

    #[test]
    fn what_was_cut_is_counted_and_still_decides() {
        let mut report = report(&[Class::TimeBeforePredecessor, Class::ContentMismatch]);
        report.cut(1);
        report.judge();
        assert_eq!((report.findings.len(), report.findings_cut, report.verdict), (1, 1, Verdict::Broken));
    }

    #[test]
    fn the_line_is_fit_for_a_terminal() {
        assert_eq!(
            report(&[Class::ContentMismatch]).to_string(),
            "VERIFY org\\x1B-1: broken, 1 204 331 events, 1 broken, 1 finding, pins 0/0, unverified 1, head 9c41aa00…, \
             11.8 s"
        );
        let mut report = report(&[Class::TimeBeforePredecessor]);
        report.links.time_before_predecessor.push("e".to_owned());
        let line = report.to_string();
        assert!(line.contains(", 0 findings, ") && line.contains(", out of time order 1, "), "{line}");
    }
}
