//! What a reader makes of the rows it is given.

use super::class::Class;
use super::detect::FOREIGN_FITS;
use super::finding::Finding;
use super::progress::Gauge;
use super::ranges::RangeState;
use super::report::{ContentCounts, VerifiedEarlier};
use crate::chain::links::{Links, MAX_LISTED, MAX_NOTED, Open, parse_hash};
use crate::chain::{Judge, Judgement, NO_SCHEME, Row, Scheme};
use crate::domain::Timestamp;
use crate::evidence::leaves::Tap;
use crate::store::scan::{Earlier, Link, Scanned, Sink, Skipped, Unreadable};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Rows after which a reader tells the gauge.
const REPORT_EVERY: u64 = 256;

/// One reader's sink.
pub(super) struct Reader {
    judge: Judge,
    gauge: Arc<Gauge>,
    untold: u64,
    /// The scheme is not known: a hash that does not fit says nothing about its row.
    foreign: bool,
    range: Option<RangeReading>,
    tap: Option<Tap>,
    readings: Readings,
}

/// The range that a reader is in.
struct RangeReading {
    range: usize,
    /// The earlier verification that has read it.
    earlier: Option<usize>,
    /// What its rows come to so far.
    state: RangeState,
    /// Whether all fit their hashes as they stand.
    plain: bool,
}

/// What was read.
#[derive(Default)]
pub(super) struct Readings {
    pub(super) events: u64,
    pub(super) content: ContentCounts,
    pub(super) links: Links,
    pub(super) findings: Vec<Finding>,
    pub(super) findings_cut: u64,
    pub(super) cut_classes: Vec<Class>,
    pub(super) alternatives: Vec<(String, String)>,
    /// Mismatching rows that fit a scheme as they stand or were before an edit, by it.
    proofs: BTreeMap<Scheme, u64>,
    /// Rows that are undecided only because no row before them fitted a scheme.
    of_no_scheme: u64,
    /// Relations that were not read to their end.
    pub(super) skipped: Vec<Skipped>,
    /// Events of which each earlier verification has verified the content.
    earlier: Vec<u64>,
}

impl Reader {
    /// `parts`: how many earlier verifications there are.
    pub(super) fn new(judge: Judge, gauge: Arc<Gauge>, foreign: bool, parts: usize) -> Self {
        let readings = Readings { earlier: vec![0; parts], ..Readings::default() };
        Self { judge, gauge, untold: 0, foreign, range: None, tap: None, readings }
    }

    /// As it is, and notes the hashes of each event.
    pub(super) fn noting(self, tap: Option<Tap>) -> Self {
        Self { tap, ..self }
    }

    /// What a row of the range comes to, when it does not simply fit.
    fn mark(&mut self, state: RangeState) {
        if let Some(range) = &mut self.range {
            range.plain = false;
            range.state = range.state.max(state);
        }
    }

    /// A row of which only the links were read: verified, if that is because an earlier verification has seen it.
    fn count_known(&mut self) {
        let earlier = self.range.as_ref().and_then(|range| range.earlier);
        if let Some(events) = earlier.and_then(|earlier| self.readings.earlier.get_mut(earlier)) {
            *events += 1;
            self.readings.content.verified += 1;
        }
    }

    fn count(&mut self) {
        self.readings.events += 1;
        self.untold += 1;
        if self.untold == REPORT_EVERY {
            self.gauge.add(self.untold);
            self.untold = 0;
        }
    }

    /// Counts a row that can be read, and takes its place in the chain.
    fn link<T: AsRef<[u8]> + ?Sized>(&mut self, time: Timestamp, event_id: &T, hash: &T, previous_hash: &T) {
        self.count();
        if let Some(tap) = &self.tap {
            tap.add(hash.as_ref(), previous_hash.as_ref());
        }
        self.readings.links.add(time.as_micros(), event_id, hash, previous_hash);
    }

    /// A row without a hash: neither verified nor refuted, until it is known where it stands.
    fn unhashed(&mut self, row: &Scanned<'_>) {
        let content = row.fields.and_then(|fields| {
            let stored = Row { fields, hash: row.hash, previous_hash: row.previous_hash };
            self.judge.hash(&stored).ok()
        });
        if row.fields.is_some() {
            self.readings.content.undecided += 1;
        }
        self.readings.links.unhashed(row.timestamp.as_micros(), row.event_id, content);
        self.mark(RangeState::ReadError);
    }

    /// What was read.
    pub(super) fn end(self) -> Readings {
        self.gauge.add(self.untold);
        self.readings
    }
}

impl Sink for Reader {
    fn settles(&mut self, row: &Row<'_, [u8]>) -> bool {
        if !self.judge.fits_as_it_came(row) {
            return false;
        }
        let Row { fields, hash, previous_hash } = *row;
        self.link(fields.timestamp, fields.event_id, hash, previous_hash);
        self.readings.content.verified += 1;
        true
    }

    fn row(&mut self, row: &Scanned<'_>) {
        self.link(row.timestamp, row.event_id, row.hash, row.previous_hash);
        if row.hash.is_empty() {
            return self.unhashed(row);
        }
        let Some(fields) = row.fields else { return self.count_known() };
        let readings = &mut self.readings;
        let stored = Row { fields, hash: row.hash, previous_hash: row.previous_hash };
        let state = match self.judge.judge(&stored) {
            Judgement::Verified => {
                readings.content.verified += 1;
                return;
            }
            Judgement::VerifiedAlternative(reading) => {
                readings.content.verified_alternative += 1;
                if readings.alternatives.len() < MAX_NOTED {
                    readings.alternatives.push((row.event_id.to_owned(), reading));
                }
                RangeState::Ok
            }
            Judgement::Undecided(why) => {
                readings.content.undecided += 1;
                readings.of_no_scheme += u64::from(why == NO_SCHEME);
                readings.note(Finding::undecided(row, why));
                RangeState::ReadError
            }
            Judgement::Mismatch(mismatch) => {
                readings.content.mismatch += 1;
                if let Some(scheme) = mismatch.proves {
                    *readings.proofs.entry(scheme).or_default() += 1;
                }
                // A malformed hash is a finding of its own.
                if parse_hash(row.hash).is_some() {
                    readings.note(Finding::content(&stored, mismatch));
                }
                if self.foreign { RangeState::ReadError } else { RangeState::Broken }
            }
        };
        self.mark(state);
    }

    fn unreadable(&mut self, row: Unreadable) {
        self.count();
        self.readings.content.unreadable += 1;
        if let Some(Link { timestamp, event_id, hash, previous_hash }) = &row.link {
            self.readings.links.add(timestamp.as_micros(), event_id, hash, previous_hash);
        }
        self.readings.note(Finding::unreadable(&row));
        self.mark(RangeState::ReadError);
    }

    fn skipped(&mut self, part: Skipped) {
        self.readings.skipped.push(part);
        self.mark(RangeState::ReadError);
    }

    fn begins(&mut self, range: usize) {
        let earlier = self.gauge.ledger().reading(range);
        self.range = Some(RangeReading { range, earlier, state: RangeState::Ok, plain: true });
    }

    fn ends(&mut self) {
        if let Some(RangeReading { range, state, plain, .. }) = self.range.take() {
            self.gauge.ledger().read(range, state, plain);
        }
    }
}

impl Readings {
    fn note(&mut self, finding: Finding) {
        if self.findings.len() < MAX_LISTED {
            self.findings.push(finding);
        } else {
            self.findings_cut += 1;
            if !self.cut_classes.contains(&finding.class) {
                self.cut_classes.push(finding.class);
            }
        }
    }

    /// Counts findings about links that were met and not noted one by one.
    pub(super) fn count_unlisted(&mut self, listed: &[Finding], open: &Open) {
        // Of beginnings, only those beside the first one are findings.
        let additional = listed.iter().any(|finding| finding.class == Class::AdditionalGenesis);
        for (class, met, noted) in [
            (Class::MalformedHash, open.malformed_count, open.malformed.len()),
            (Class::AdditionalGenesis, if additional { open.genesis_count } else { 0 }, open.genesis.len()),
        ] {
            let unlisted = met.saturating_sub(noted as u64);
            if unlisted > 0 {
                self.findings_cut += unlisted;
                self.cut_classes.push(class);
            }
        }
    }

    /// Adds what another reader has read.
    pub(super) fn merge(mut self, other: Self) -> Self {
        self.events += other.events;
        self.content.verified += other.content.verified;
        self.content.verified_alternative += other.content.verified_alternative;
        self.content.mismatch += other.content.mismatch;
        self.content.undecided += other.content.undecided;
        self.content.unreadable += other.content.unreadable;
        self.of_no_scheme += other.of_no_scheme;
        other.proofs.into_iter().for_each(|(scheme, rows)| *self.proofs.entry(scheme).or_default() += rows);
        self.links.merge(other.links);
        self.findings_cut += other.findings_cut;
        self.cut_classes.extend(other.cut_classes);
        other.findings.into_iter().for_each(|finding| self.note(finding));
        self.alternatives.extend(other.alternatives);
        self.skipped.extend(other.skipped);
        self.earlier.iter_mut().zip(&other.earlier).for_each(|(events, others)| *events += others);
        self
    }

    /// Which events were verified by which earlier verification.
    pub(super) fn earlier_parts(&self, earlier: &[Earlier]) -> Vec<VerifiedEarlier> {
        let parts = earlier.iter().zip(&self.earlier).filter(|(_, events)| **events > 0);
        parts.map(|(part, events)| VerifiedEarlier { at: part.at.to_rfc3339(), events: *events }).collect()
    }

    /// The scheme that rows prove, where it was only guessed: that of most of them. `None` when not one does.
    pub(super) fn proven(&self, guessed: Scheme) -> Option<Scheme> {
        let mut proofs = self.proofs.clone();
        *proofs.entry(guessed).or_default() += self.content.verified + self.content.verified_alternative;
        let most = proofs.into_iter().filter(|(_, rows)| *rows > 0);
        most.max_by_key(|(scheme, rows)| (*rows, *scheme == guessed)).map(|(scheme, _)| scheme)
    }

    /// Whether rows are undecided that a known scheme decides.
    pub(super) fn is_of_no_scheme(&self) -> bool {
        self.of_no_scheme > 0
    }

    /// Not one row fits: that says something about the scheme, and nothing about the rows.
    pub(super) fn reclassify_as_foreign(&mut self) {
        self.content.undecided += std::mem::take(&mut self.content.mismatch);
        let undecided = |class: &mut Class| {
            if *class == Class::ContentMismatch {
                *class = Class::Undecided;
            }
        };
        self.cut_classes.iter_mut().for_each(undecided);
        for finding in &mut self.findings {
            let is_mismatch = finding.class == Class::ContentMismatch;
            if is_mismatch || (finding.class == Class::Undecided && finding.detail == NO_SCHEME) {
                undecided(&mut finding.class);
                finding.detail = NO_SCHEME.into();
                finding.consistent_with = FOREIGN_FITS.iter().map(|fits| (*fits).into()).collect();
                finding.ruled_out.clear();
            }
        }
    }
}
