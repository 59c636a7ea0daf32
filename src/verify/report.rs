//! The result of a verification: the JSON of `verify --format json`, the verdict, the line for a ticket.

use super::class::Class;
use super::columns::ColumnProtection;
use super::finding::Finding;
use super::limits::NewestHead;
use crate::chain::head::{BeforeHashing, Head, Remembered};
use crate::domain::{Timestamp, grouped};
use crate::error::Kind;
use crate::store::scan::{Catalogue, Named};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a verification of a range says nothing about.
pub(super) const OUTSIDE: &str = "events outside of the time range, but for the neighbours at its two ends";

/// Heads of one trail that are remembered; of more, the newest.
const MAX_HEADS: usize = 1000;

/// What it comes to.
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
#[expect(missing_docs, reason = "the fields are the keys of the output, described in docs/guide/verify.md")]
pub struct Report {
    pub schema_version: u32,
    pub organization_id: String,
    pub verdict: Verdict,
    pub scheme: SchemeUsed,
    pub snapshot_at: String,
    pub database_identity: String,
    pub table: Named,
    /// Every transaction before this one had ended when the snapshot was taken.
    #[serde(skip)]
    pub before_transaction: i64,
    /// The state of the columns then.
    #[serde(skip)]
    pub catalogue: Catalogue,
    /// What is no finding and has to be known all the same, a sentence each: what was done otherwise than asked for, what is
    /// out of date.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
    pub scope: Scope,
    pub events: u64,
    pub content: ContentCounts,
    pub links: Links,
    pub pins: Pins,
    /// What the verdict does not say, in words; first what is known of the newest end.
    pub limits: Vec<String>,
    pub head: Option<EventHash>,
    pub findings: Vec<Finding>,
    /// Findings left out because of `--max-findings`, or beyond 20 000 of a kind.
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
    /// The newest remembered head that is in the trail.
    #[serde(skip)]
    pub newest_head: Option<NewestHead>,
    /// Whether the links could be followed to their end.
    #[serde(skip)]
    pub(super) links_followed: bool,
    /// All heads, with the times that they claim.
    #[serde(skip)]
    pub heads: Vec<Head>,
    /// The rows from before hashing, where their contents were read.
    #[serde(skip)]
    pub before_hashing: Option<BeforeHashing>,
    /// Columns of the table that no scheme knows.
    #[serde(skip)]
    pub other_columns: Vec<String>,
    /// Records of this machine that were not used, and why, a sentence each.
    #[serde(skip)]
    pub not_used: Vec<String>,
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
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[expect(missing_docs, reason = "the fields are the keys of the output")]
pub struct Scope {
    pub since: Option<String>,
    pub until: Option<String>,
    pub links_only: bool,
    /// Only what came since an earlier verification was read.
    pub incremental: bool,
    /// How far the server behind it lags, in seconds; `None` on a primary.
    pub replica_lag_s: Option<f64>,
}

/// Events by what is known of their content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[expect(missing_docs, reason = "the fields are the keys of the output")]
pub struct ContentCounts {
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
    pub unprotected_columns: Vec<String>,
    /// In words.
    pub not_checked: Vec<String>,
    /// Each column of the table with what became of changes of it; only when asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<ColumnProtection>,
    /// The search vector; `None` where the table has none of ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search_vector: Option<VectorCoverage>,
    /// Events whose content was not read again, because a verification that was interrupted had verified them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub verified_earlier: Vec<VerifiedEarlier>,
}

/// The search vectors of rows, computed anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct VectorCoverage {
    /// Rows of which it was computed.
    pub compared: u64,
    /// Rows that have another one.
    pub mismatch: u64,
    /// These are all rows in scope.
    pub all: bool,
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
    /// Takes in what became of changes of the columns: one that was not always noticed is not protected, whatever the
    /// scheme says.
    pub(super) fn measured(&mut self, columns: Vec<ColumnProtection>) {
        for column in columns.iter().filter(|column| column.noticed < column.changed) {
            if !self.unprotected_columns.contains(&column.column) {
                self.unprotected_columns.push(column.column.clone());
            }
        }
        self.columns = columns;
    }

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
            // What was not read is not understood by anybody.
            let known = if finding.class == Class::ScanIncomplete { None } else { known(&finding) };
            match known {
                Some(acceptance) => self.accepted.push(Accepted { finding, acceptance }),
                None => self.findings.push(finding),
            }
        }
        self.judge();
    }

    /// Says of records of this machine that they were not used: in the first line, and among what was not checked.
    pub fn note_not_used(&mut self, what: &[String]) {
        self.not_used.extend_from_slice(what);
        self.coverage.not_checked.extend_from_slice(what);
        self.judge();
    }

    /// What is to be remembered of the trail at a place: its heads, when all of it was read and nothing contradicts it.
    pub fn remembered(&self, place: &str) -> Option<Remembered> {
        let sound = matches!(self.verdict, Verdict::Intact | Verdict::Anomalous);
        if !self.is_whole() || !sound || self.heads.is_empty() {
            return None;
        }
        let newest = self.heads.len().saturating_sub(MAX_HEADS);
        let is_known = !self.scheme.guessed && self.content.verified + self.content.verified_alternative > 0;
        Some(Remembered {
            place: place.to_owned(),
            object: self.database_identity.clone(),
            heads: self.heads.iter().skip(newest).cloned().collect(),
            events: Some(self.events),
            before_hashing: self.before_hashing.clone(),
            other_columns: Some(self.other_columns.clone()),
            scheme: is_known.then(|| self.scheme.name.to_owned()),
            verified_at: Timestamp::parse(&self.snapshot_at).ok()?,
        })
    }

    /// Whether all events of the trail were read, content and links, or verified earlier.
    pub fn is_whole(&self) -> bool {
        self.scope.since.is_none()
            && self.scope.until.is_none()
            && !self.scope.links_only
            && self.links_followed
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
            Class::SearchVectorMismatch,
        ]) {
            Verdict::Broken
        } else if has(&[Class::Unreadable, Class::Undecided, Class::ScanIncomplete]) || !self.links_followed {
            // Of what was not read, nothing follows.
            Verdict::Incomplete
        } else if has(&[
            Class::PinMissing,
            Class::PinMismatch,
            Class::HeadRecordMismatch,
            Class::OrganizationMissing,
            Class::VerifiedEventMissing,
        ]) {
            Verdict::Broken
        } else if has(&[
            Class::MissingPredecessor,
            Class::Fork,
            Class::AdditionalGenesis,
            Class::MissingGenesis,
            Class::NotHashed,
            Class::UnexpectedRelation,
        ]) {
            Verdict::Anomalous
        } else if self.events == 0 {
            Verdict::NothingToCheck
        } else {
            Verdict::Intact
        };
        self.limits = self.all_limits();
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

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A finding of no particular kind.
    pub(crate) fn finding(class: Class, event_id: &str) -> Finding {
        Finding {
            class,
            event_id: event_id.to_owned(),
            timestamp: String::new(),
            relation: String::new(),
            detail: String::new().into(),
            consistent_with: Vec::new(),
            ruled_out: Vec::new(),
            hash: "h".to_owned(),
            previous_hash: "p".to_owned(),
            computed: None,
            bound: Vec::new(),
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
            catalogue: serde_json::from_str(r#"{"16400": "9c41"}"#).unwrap(),
            remarks: Vec::new(),
            database_identity: String::new(),
            scope: Scope::default(),
            table: Named::default(),
            events: 1_204_331,
            content: ContentCounts { verified: 1_204_330, mismatch: 1, ..ContentCounts::default() },
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
            limits: Vec::new(),
            newest_head: None,
            heads: Vec::new(),
            before_hashing: None,
            other_columns: Vec::new(),
            not_used: Vec::new(),
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
            (vec![C::Unreadable, C::Fork], Verdict::Incomplete, Some(Kind::CouldNotRun)),
            (vec![C::ScanIncomplete, C::UnexpectedRelation], Verdict::Incomplete, Some(Kind::Incomplete)),
            (vec![C::ScanIncomplete, C::PinMissing], Verdict::Incomplete, Some(Kind::Incomplete)),
            (vec![C::ScanIncomplete, C::ContentMismatch], Verdict::Broken, Some(Kind::Finding)),
            (vec![C::UnexpectedRelation], Verdict::Anomalous, Some(Kind::Finding)),
            (vec![C::Fork, C::PinMissing], Verdict::Broken, Some(Kind::Finding)),
            (vec![C::Fork, C::VerifiedEventMissing], Verdict::Broken, Some(Kind::Finding)),
            (vec![C::Fork, C::MalformedHash], Verdict::Broken, Some(Kind::Finding)),
            (vec![C::DuplicateEventId], Verdict::Broken, Some(Kind::Finding)),
            (vec![C::SearchVectorMismatch, C::Unreadable], Verdict::Broken, Some(Kind::Finding)),
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
            "VERIFY org\\x1B-1: broken · newest end not proven: no earlier head · 1 204 331 events, 1 broken, heads 0/0, \
             findings 1, unverified 1, head 9c41aa00…, 11.8 s"
        );
        let mut report = report(&[Class::TimeBeforePredecessor]);
        report.links.time_before_predecessor.push("e".to_owned());
        let line = report.to_string();
        assert!(!line.contains("findings") && line.contains(", out of time order 1, "), "{line}");
    }
}
