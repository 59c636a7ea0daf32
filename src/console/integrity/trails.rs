//! What is known of whole trails: the scan that is running, and the last report of each organisation.

use crate::case::accepted::Record;
use crate::case::verifications::Verification;
use crate::console::core::keymap::{Action, Keymap};
use crate::console::integrity::row_marks::{Mark, Marks};
use crate::console::widgets::time_zone::Zone;
use crate::domain::{EventKey, OrgId, Safe, Timestamp, grouped};
use crate::investigation::acceptance;
use crate::investigation::verification::{Passing, SeenBefore, Signing};
use crate::store::scan::Catalogue;
use crate::verify::{self, Class, Finding, Known, Progress, RangeState, Report, Verdict, Watched};
use std::collections::{HashMap, HashSet};
use std::num::NonZeroU32;
use std::time::Duration;

/// Most findings of a report that are kept.
pub(crate) const MAX_FINDINGS: usize = 10_000;

/// On a narrower line the age of a verdict gives way to what it says.
pub(crate) const WIDE: usize = 100;

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

    /// Steps to this finding; to none where the report does not have it.
    pub(crate) fn step_to(&mut self, finding: &Finding) {
        self.finding = self.report.findings.iter().position(|known| known == finding);
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

/// Findings about rows that are looked for again.
const WATCHED: usize = 200;

/// Whether a finding is about the content of one row.
fn is_about_a_row(finding: &Finding) -> bool {
    let about = [
        Class::ContentMismatch,
        Class::MalformedHash,
        Class::DuplicateEventId,
        Class::SearchVectorMismatch,
        Class::Unreadable,
        Class::Undecided,
    ];
    about.contains(&finding.class) && !finding.event_id.is_empty()
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
    /// The state of the columns, as they were last seen.
    pub(crate) columns: Option<Catalogue>,
    reports: HashMap<OrgId, Verified>,
    /// What contradicts remembered heads or what this session has seen, by the last look in passing.
    contradictions: HashMap<OrgId, Vec<Finding>>,
    /// What this session has seen itself.
    sessions: HashMap<OrgId, SessionOf>,
}

/// What this session has seen of a trail.
#[derive(Debug, Default)]
struct SessionOf {
    /// The newest event.
    newest: Option<(EventKey, String)>,
    /// The most events that were counted, and when.
    most: Option<(u64, Timestamp)>,
    /// How many there were when they were last counted.
    now: Option<u64>,
    /// Findings about rows, of reports before the last one, which does not have them.
    former: Vec<Finding>,
    /// Events that stood in a view and were not in it any more when it was opened anew.
    gone: Vec<Finding>,
    /// The last verifications at this place, by whomever.
    verifications: Vec<Verification>,
    /// What was signed of it on this machine.
    signing: Signing,
}

impl SessionOf {
    fn counted(&mut self, events: u64, at: Timestamp) {
        self.now = Some(events);
        if self.most.is_none_or(|(most, _)| most <= events) {
            self.most = Some((events, at));
        }
    }
}

impl Trails {
    /// Whether the remembered heads of an organisation are still to be compared.
    pub(crate) fn wants_heads(&self, organization: &OrgId) -> bool {
        !self.contradictions.contains_key(organization)
    }

    /// Remembered heads are to be compared again.
    pub(crate) fn compare_again(&mut self) {
        self.contradictions.clear();
    }

    /// A trail was looked at in passing.
    pub(crate) fn compared(&mut self, organization: OrgId, passing: Passing, at: Timestamp) {
        let session = self.sessions.entry(organization.clone()).or_default();
        session.verifications = passing.verifications;
        session.signing = passing.signing;
        if let Some(events) = passing.events {
            session.counted(events, at);
        }
        self.contradictions.insert(organization, passing.findings);
    }

    /// An event of an organisation was seen.
    pub(crate) fn saw(&mut self, organization: &OrgId, event: EventKey, hash: &str) {
        let session = self.sessions.entry(organization.clone()).or_default();
        let is_newer = |(newest, _): &(EventKey, String)| {
            (newest.timestamp, &newest.event_id) < (event.timestamp, &event.event_id)
        };
        if session.newest.as_ref().is_none_or(is_newer) {
            session.newest = Some((event, hash.to_owned()));
        }
    }

    /// Events that stood in a view are not in the table any more.
    pub(crate) fn note_gone(&mut self, organization: &OrgId, found: impl Iterator<Item = Finding>) {
        let session = self.sessions.entry(organization.clone()).or_default();
        for finding in found {
            if session.gone.iter().all(|known| known.event_id != finding.event_id) {
                session.gone.push(finding);
            }
        }
    }

    /// What this session has seen of a trail, and must find again.
    pub(crate) fn seen_before(&self, organization: &OrgId) -> SeenBefore {
        let Some(session) = self.sessions.get(organization) else { return SeenBefore::default() };
        let newest = session.newest.iter().map(|(event, hash)| Watched {
            event: event.clone(),
            hash: hash.clone(),
            was: None,
        });
        let report = self.report(organization).into_iter().flat_map(|verified| &verified.report.findings);
        let of_rows = session.former.iter().chain(report.filter(|finding| is_about_a_row(finding)));
        let of_rows = of_rows.take(WATCHED).filter_map(|finding| {
            let hash = finding.hash.clone();
            Some(Watched { event: place_of(finding)?, hash, was: Some(finding.clone()) })
        });
        SeenBefore { watched: newest.chain(of_rows).collect(), events: session.most }
    }

    /// Events that came since the last report on a whole trail, where they could be counted.
    pub(crate) fn since(&self, organization: &OrgId) -> Option<u64> {
        let report = &self.report(organization)?.report;
        let now = self.sessions.get(organization)?.now?;
        (!report.is_partial()).then(|| now.saturating_sub(report.events))
    }

    /// What was signed of a trail on this machine.
    pub(crate) fn signing(&self, organization: &OrgId) -> Signing {
        self.sessions.get(organization).map_or(Signing::NoKey, |session| session.signing)
    }

    /// The last verifications at this place.
    pub(crate) fn verifications(&self, organization: &OrgId) -> &[Verification] {
        self.sessions.get(organization).map_or(&[], |session| &session.verifications)
    }

    /// All that was found of an organisation's trail: by the last report, by looks in passing, by this session, and of
    /// the rows that were on the screen, `marks`. Each once.
    pub(crate) fn findings(&self, organization: &OrgId, marks: &Marks) -> Vec<Finding> {
        let report = self.report(organization).into_iter().flat_map(|verified| &verified.report.findings);
        let gone = self.sessions.get(organization).into_iter().flat_map(|session| &session.gone);
        let mut known = HashSet::new();
        let all = report.chain(self.contradictions(organization)).chain(gone);
        let all = all.filter(|finding| known.insert((finding.name(), finding.detail.clone())));
        let mut all: Vec<Finding> = all.cloned().collect();
        // A report says more of the same row.
        let named: HashSet<String> = all.iter().map(Finding::name).collect();
        let is_new = |finding: &&Finding| {
            !named.contains(&finding.name()) && !is_accepted(finding, self.report(organization))
        };
        all.extend(marks.broken().filter(is_new).cloned());
        all
    }

    /// What contradicts the remembered heads of an organisation, or what this session has seen, and is not in its last
    /// report.
    pub(crate) fn contradictions(&self, organization: &OrgId) -> impl Iterator<Item = &Finding> {
        let report = self.report(organization).map(|verified| &verified.report);
        let is_known = move |finding: &&Finding| {
            report.is_some_and(|report| {
                report
                    .findings
                    .iter()
                    .any(|known| known.class == finding.class && known.place() == finding.place())
            })
        };
        let found = self.contradictions.get(organization).map_or(&[][..], Vec::as_slice);
        found.iter().filter(move |finding| !is_known(finding))
    }

    /// The last report of an organisation.
    pub(crate) fn report(&self, organization: &OrgId) -> Option<&Verified> {
        self.reports.get(organization)
    }

    /// What it says of the events that a filter is about: nothing, where values may have changed since without their rows.
    pub(crate) fn known(&self, organization: &OrgId) -> Known<'_> {
        let holds =
            |report: &&Report| report.catalogue.holds_in(self.columns.as_ref().unwrap_or(&report.catalogue));
        Known(self.report(organization).map(|verified| verified.report.as_ref()).filter(holds))
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
        // It has compared them itself.
        self.contradictions.insert(scan.organization.clone(), Vec::new());
        let at = Timestamp::parse(&report.snapshot_at).unwrap_or(Timestamp::NEG_INFINITY);
        let session = self.sessions.entry(scan.organization.clone()).or_default();
        if !report.is_partial() {
            session.counted(report.events, at);
        }
        // A finding that is not found again is mended, or its row is gone: the next look in passing tells.
        let before = self.reports.remove(&scan.organization);
        let before = before.into_iter().flat_map(|verified| verified.report.findings);
        let is_there = |finding: &Finding| {
            let now = report.findings.iter().chain(report.accepted.iter().map(|accepted| &accepted.finding));
            now.into_iter().any(|known| known.class == finding.class && known.event_id == finding.event_id)
        };
        session.former.extend(before.filter(is_about_a_row));
        session.former.retain(|finding| !is_there(finding));
        self.reports.insert(scan.organization, Verified { report, at, finding: None });
    }

    /// A finding was accepted.
    pub(crate) fn accept(&mut self, record: &Record) {
        let verified = self.reports.iter_mut().find(|(id, _)| id.as_str() == record.organization_id);
        if let Some((_, verified)) = verified {
            acceptance::apply(&mut verified.report, record);
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

/// `✗ broken, 3 findings · head of 12 d ago present (10 800 events)`.
pub(crate) fn verdict(verified: &Verified) -> Safe {
    let report = &verified.report;
    let word = report.words();
    let findings = report.findings.len() as u64 + report.findings_cut;
    let mut text = format!("{} {word}", sign(report.verdict).sign());
    match findings {
        0 => {}
        1 => text.push_str(", 1 finding"),
        n => text.push_str(&format!(", {} findings", grouped(n))),
    }
    text.push_str(" · ");
    text.push_str(&report.newest_end());
    Safe::from_untrusted(&text)
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

/// What was seen since the report, or before there was one: `✗ 2 events broken`, but for those that somebody has
/// understood, and `✗ 1 event gone`. `None` where there is nothing, or the report says it itself.
pub(crate) fn seen_broken(marks: &Marks, verified: Option<&Verified>) -> Option<Safe> {
    let events =
        |n: usize| if n == 1 { "1 event".to_owned() } else { format!("{} events", grouped(n as u64)) };
    if marks.gone() > 0 {
        return Some(Safe::from_untrusted(&format!("✗ {} gone", events(marks.gone()))));
    }
    if verified.is_some_and(|verified| verified.report.verdict == Verdict::Broken) {
        return None;
    }
    match marks.broken().filter(|finding| !is_accepted(finding, verified)).count() {
        0 => None,
        n => Some(Safe::from_untrusted(&format!("✗ {} broken", events(n)))),
    }
}

/// What contradicts the last report, or was seen before there was one: what is no more as this session has seen it, then
/// what a look in passing found.
pub(crate) fn contradiction(trails: &Trails, marks: &Marks, organization: &OrgId) -> Option<Safe> {
    seen_broken(marks, trails.report(organization)).or_else(|| {
        let first = trails.contradictions(organization).next()?;
        Some(Safe::from_untrusted(&format!("✗ {}", first.class)))
    })
}

/// Whether somebody has understood it, as the last report has it.
fn is_accepted(finding: &Finding, verified: Option<&Verified>) -> bool {
    let mut accepted = verified.into_iter().flat_map(|verified| &verified.report.accepted);
    accepted.any(|a| a.finding.class == finding.class && a.finding.event_id == finding.event_id)
}

/// The verdict with what was compared and how old it is, as far as a line of `width` columns has room for it: `✓ chain
/// intact · head of 12 d ago present (10 800 events) · 3 min ago`, `✓ chain intact · end not proven · 3 min ago`.
pub(crate) fn standing(verified: &Verified, since: Option<u64>, now: Timestamp, width: usize) -> Safe {
    let report = &verified.report;
    let end = match (report.pins.checked, report.pins.matched) {
        (0, _) => "end not proven".to_owned(),
        (checked, matched) if matched < checked => format!("{} heads missing", grouped(checked - matched)),
        _ => report.newest_end(),
    };
    let verdict = format!("{} {}", sign(report.verdict).sign(), report.words());
    Safe::from_untrusted(&match width {
        WIDE.. => format!("{verdict} · {end} · {}{}", age(verified.at, now), came(since, " since")),
        _ => format!("{verdict} · {end}{}", came(since, "")),
    })
}

/// ` · +12 since`: events that came since the report.
fn came(events: Option<u64>, word: &str) -> String {
    match events {
        None | Some(0) => String::new(),
        Some(events) => format!(" · +{}{word}", grouped(events)),
    }
}

/// `1 204 331 of 1 204 331 events, verified to 09:58:02Z, 3 s ago`.
pub(crate) fn coverage(verified: &Verified, now: Timestamp, zone: Zone) -> Safe {
    let report = &verified.report;
    let (part, word) =
        if report.scope.links_only { (report.events, "linked") } else { (report.verified(), "verified") };
    Safe::from_untrusted(&format!(
        "{} of {} events, {word} to {}{}, {}",
        grouped(part),
        grouped(report.events),
        zone.clock(verified.at),
        zone.mark(verified.at),
        age(verified.at, now)
    ))
}

/// To the second while it is young, to the minute after that: what is shown must not need a frame every second.
pub(crate) fn age(at: Timestamp, now: Timestamp) -> String {
    let age = now.as_micros().saturating_sub(at.as_micros()).max(0);
    if age < YOUNG {
        format!("{} s ago", age / 1_000_000)
    } else {
        crate::console::widgets::time_zone::relative(
            Timestamp::from_micros(-(age / YOUNG * YOUNG)),
            Timestamp::from_micros(0),
        )
    }
}

/// How long from now the age of a report is shown otherwise.
pub(crate) fn ages_in(at: Timestamp, now: Timestamp) -> Duration {
    let age = now.as_micros().saturating_sub(at.as_micros()).max(0);
    let step = if age < YOUNG { 1_000_000 } else { YOUNG };
    Duration::from_micros((step - age % step) as u64)
}
