//! What is known of whole trails: the scan that is running, and the last report of each organisation.

use super::accept;
use super::keymap::{Action, Keymap};
use super::marks::Mark;
use super::zone::Zone;
use crate::case::accepted::Record;
use crate::domain::{EventKey, OrgId, Safe, Timestamp, grouped};
use crate::verify::{self, Finding, Known, Progress, RangeState, Report, Verdict};
use std::collections::HashMap;
use std::num::NonZeroU32;
use std::time::Duration;

/// Most findings of a report that are kept.
pub(crate) const MAX_FINDINGS: usize = 10_000;

/// Younger than this, the age of a report is shown to the second.
const YOUNG: i64 = 60_000_000;

/// A report, and where one stands in its findings.
#[derive(Debug)]
pub(crate) struct Verified {
    /// The report.
    pub(crate) report: Box<Report>,
    /// When its snapshot was taken.
    pub(crate) at: Timestamp,
    /// The finding one has stepped to.
    pub(crate) finding: Option<usize>,
}

impl Verified {
    /// The finding one has stepped to.
    pub(crate) fn current(&self) -> Option<&Finding> {
        self.report.findings.get(self.finding?)
    }

    /// Goes on to the next finding, or back to the one before; round at the ends. `None` when there is none.
    pub(crate) fn step(&mut self, back: bool) -> Option<&Finding> {
        let count = self.report.findings.len();
        let last = count.checked_sub(1)?;
        let at = match (self.finding, back) {
            (None, false) => 0,
            (None, true) => last,
            (Some(at), false) => (at + 1) % count,
            (Some(at), true) => at.checked_sub(1).unwrap_or(last),
        };
        self.finding = Some(at);
        self.current()
    }
}

/// The event at which a finding shows; `None` where not even that could be read.
pub(crate) fn place_of(finding: &Finding) -> Option<EventKey> {
    let timestamp = Timestamp::parse(&finding.timestamp).ok()?;
    (!finding.event_id.is_empty()).then(|| EventKey { timestamp, event_id: finding.event_id.clone() })
}

/// A scan that is running.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scan {
    /// Whose trail is read.
    pub(crate) organization: OrgId,
    /// How far it has come.
    pub(crate) progress: Option<Progress>,
    /// It was asked to pause.
    pub(crate) paused: bool,
}

impl Scan {
    /// The part that has been read, in percent, where that can be told.
    pub(crate) fn percent(&self) -> Option<u64> {
        let progress = self.progress.as_ref()?;
        // The number of events is an estimate: it is not done before it is done.
        Some((progress.events * 100 / progress.total?.max(1)).min(99))
    }

    /// `verifying 30 %`
    pub(crate) fn title(&self) -> Safe {
        let doing = if self.paused { "paused" } else { "verifying" };
        match self.percent() {
            Some(percent) => Safe::from_untrusted(&format!("{doing} {percent} %")),
            None => Safe::literal(doing),
        }
    }

    /// The ranges of the trail, in at most `width` columns, and in words.
    pub(crate) fn ranges(&self, width: usize) -> Option<(Safe, Safe)> {
        let states = &self.progress.as_ref().filter(|progress| !progress.ranges.is_empty())?.ranges;
        let cells = verify::strip(states, width.saturating_sub(2));
        let strip: String = cells.into_iter().map(RangeState::sign).collect();
        let count = |state| states.iter().filter(|s| **s == state).count() as u64;
        let all = states.len() as u64;
        let mut words = format!("{} of {} ranges verified", grouped(count(RangeState::Ok)), grouped(all));
        for (state, word) in [(RangeState::Broken, "broken"), (RangeState::ReadError, "not readable")] {
            if count(state) > 0 {
                words.push_str(&format!(", {} {word} ({})", grouped(count(state)), state.sign()));
            }
        }
        Some((Safe::from_untrusted(&format!("[{strip}]")), Safe::from_untrusted(&words)))
    }

    /// `742 000 of ~1 204 331 events · 355 000/s · 1 s left`.
    pub(crate) fn describe(&self) -> Safe {
        let Some(progress) = &self.progress else { return Safe::literal("beginning…") };
        let mut text = grouped(progress.events);
        if let Some(total) = progress.total {
            text.push_str(" of ~");
            text.push_str(&grouped(total.max(progress.events)));
        }
        text.push_str(" events · ");
        text.push_str(&grouped(progress.rate() as u64));
        text.push_str("/s");
        if let Some(eta) = progress.eta().filter(|_| !self.paused) {
            text.push_str(" · ");
            text.push_str(&grouped(eta.as_secs() + 1));
            text.push_str(" s left");
        }
        Safe::from_untrusted(&text)
    }
}

/// All of it.
#[derive(Debug, Default)]
pub(crate) struct Trails {
    /// The scan that is running.
    pub(crate) scan: Option<Scan>,
    /// At most so many events are read a second.
    pub(crate) throttle: Option<NonZeroU32>,
    /// Why the last scan brought no report.
    pub(crate) trouble: Option<Safe>,
    reports: HashMap<OrgId, Verified>,
}

impl Trails {
    /// The last report of an organisation.
    pub(crate) fn report(&self, organization: &OrgId) -> Option<&Verified> {
        self.reports.get(organization)
    }

    /// What it says of the events that a filter is about.
    pub(crate) fn known(&self, organization: &OrgId) -> Known<'_> {
        Known(self.report(organization).map(|verified| verified.report.as_ref()))
    }

    /// The same, to step through its findings.
    pub(crate) fn report_mut(&mut self, organization: &OrgId) -> Option<&mut Verified> {
        self.reports.get_mut(organization)
    }

    /// Whether the trail of an organisation is being read.
    pub(crate) fn scanning(&self, organization: &OrgId) -> Option<&Scan> {
        self.scan.as_ref().filter(|scan| scan.organization == *organization)
    }

    /// A scan begins.
    pub(crate) fn begin(&mut self, organization: OrgId) {
        self.scan = Some(Scan { organization, progress: None, paused: false });
        self.trouble = None;
    }

    /// A scan has ended with a report.
    pub(crate) fn finish(&mut self, report: Box<Report>) {
        let Some(scan) = self.scan.take() else { return };
        let at = Timestamp::parse(&report.snapshot_at).unwrap_or(Timestamp::NEG_INFINITY);
        self.reports.insert(scan.organization, Verified { report, at, finding: None });
    }

    /// A finding was accepted.
    pub(crate) fn accept(&mut self, record: &Record) {
        let verified = self.reports.iter_mut().find(|(id, _)| id.as_str() == record.organization_id);
        if let Some((_, verified)) = verified {
            accept::apply(&mut verified.report, record);
            // The next one has come into its place.
            let last = verified.report.findings.len().checked_sub(1);
            verified.finding = verified.finding.and_then(|at| last.map(|last| at.min(last)));
        }
    }

    /// A scan was stopped.
    pub(crate) fn stopped(&mut self, keymap: &Keymap) {
        let keys = keymap.keys_of(Action::Pause);
        let key = keys.first().map_or("", String::as_str);
        self.fail(Safe::from_untrusted(&format!(
            "stopped, which says nothing of the trail yet: {key} goes on"
        )));
    }

    /// A scan has ended without one.
    pub(crate) fn fail(&mut self, why: Safe) {
        self.scan = None;
        self.trouble = Some(why);
    }
}

/// The sign of a verdict.
pub(crate) fn sign(verdict: Verdict) -> Mark {
    match verdict {
        Verdict::Intact => Mark::Verified,
        Verdict::Broken => Mark::Broken,
        Verdict::Anomalous | Verdict::Incomplete => Mark::Unable,
        Verdict::NothingToCheck => Mark::Unchecked,
    }
}

/// `1 204 331 of 1 204 331 events, verified to 09:58:02Z, 3 s ago`.
pub(crate) fn coverage(verified: &Verified, now: Timestamp) -> Safe {
    let report = &verified.report;
    let (part, word) =
        if report.scope.links_only { (report.events, "linked") } else { (report.verified(), "verified") };
    Safe::from_untrusted(&format!(
        "{} of {} events, {word} to {}Z, {}",
        grouped(part),
        grouped(report.events),
        Zone::Utc.clock(verified.at),
        age(verified.at, now)
    ))
}

/// To the second while it is young, to the minute after that: what is shown must not need a frame every second.
pub(crate) fn age(at: Timestamp, now: Timestamp) -> String {
    let age = now.as_micros().saturating_sub(at.as_micros()).max(0);
    if age < YOUNG {
        format!("{} s ago", age / 1_000_000)
    } else {
        super::zone::relative(Timestamp::from_micros(-(age / YOUNG * YOUNG)), Timestamp::from_micros(0))
    }
}

/// How long from now the age of a report is shown otherwise.
pub(crate) fn ages_in(at: Timestamp, now: Timestamp) -> Duration {
    let age = now.as_micros().saturating_sub(at.as_micros()).max(0);
    let step = if age < YOUNG { 1_000_000 } else { YOUNG };
    Duration::from_micros((step - age % step) as u64)
}
