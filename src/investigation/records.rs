//! What this machine remembers of verifications. It is read before the first row of a trail, and nothing in it can cost
//! a verdict: a line that cannot be read is a remark.

use super::verification::Signing;
use crate::case::heads::{self, Heads, Last, Verified};
use crate::case::record::Contents;
use crate::case::verifications::{self, Verification};
use crate::case::{self, accepted, checkpoints, interrupted, keys};
use crate::chain::head::Memory;
use crate::domain::Timestamp;
use crate::error::Error;
use crate::verify::{Interrupted, Report, Verdict};
use std::path::PathBuf;

/// The records of all organisations, as they were when they were loaded.
#[derive(Debug, Default)]
pub struct Records {
    folder: Option<PathBuf>,
    /// How the database is named, as heads are remembered.
    place: String,
    heads: Heads,
    pub(super) accepted: Vec<accepted::Record>,
    remarks: Vec<String>,
    /// What is not used, and why.
    refused: Vec<String>,
}

impl Records {
    /// Loads them from [`case::folder`], for work on the database of this place ([`crate::config::Target::place`]).
    pub fn load(place: &str) -> Self {
        match case::folder() {
            Ok(folder) => Self::from_folder(folder, place),
            Err(error) => Self {
                remarks: vec![format!("nothing is remembered on this machine: {error}")],
                ..Self::default()
            },
        }
    }

    /// Loads them from a folder.
    pub fn from_folder(folder: PathBuf, place: &str) -> Self {
        let Contents { records: accepted, remarks, refused } = accepted::load(&folder);
        let remarks = remarks.iter().map(|remark| format!("accepted findings: {remark}"));
        let heads = Heads::load(&folder);
        let of_heads = heads.remarks().map(|remark| format!("verified heads: {remark}"));
        let remarks = remarks.chain(of_heads).collect();
        let of_accepted = refused.map(|why| format!("accepted findings NOT used ({why})"));
        let of_heads = heads.refused().map(|why| format!("remembered heads NOT compared ({why})"));
        let refused = of_accepted.into_iter().chain(of_heads).collect();
        Self { folder: Some(folder), place: place.to_owned(), heads, accepted, remarks, refused }
    }

    /// What could not be read or written, in words, since this was last asked.
    pub fn take_remarks(&mut self) -> Vec<String> {
        std::mem::take(&mut self.remarks)
    }

    /// Records that are not used, and why, a sentence each.
    pub(super) fn refused(&self) -> &[String] {
        &self.refused
    }

    pub(super) fn remark(&mut self, text: impl Into<String>) {
        self.remarks.push(text.into());
    }

    /// Organisations of which a trail was verified at this place.
    pub fn organizations(&self) -> Vec<&str> {
        self.heads.organizations(&self.place)
    }

    /// All that is remembered of a trail, to be compared with the table.
    pub fn memory(&self, organization: &str) -> Memory {
        let seen = self.last(organization).map(|last| last.verified_at);
        self.heads.memory(&self.place, organization, seen)
    }

    /// The last verifications of a trail at this place, the newest first.
    pub fn verifications(&self, organization: &str) -> Vec<Verification> {
        let folder = self.folder.as_ref();
        folder.map(|folder| verifications::load(folder, &self.place, organization)).unwrap_or_default()
    }

    /// What was signed of a trail at this place; what cannot be read was not.
    pub(super) fn signing(&self, organization: &str) -> Signing {
        let Some(folder) = &self.folder else { return Signing::NoKey };
        let all = checkpoints::load(folder).unwrap_or_default();
        let of = |(kept, _): &&(checkpoints::Kept, _)| {
            kept.organization_id == organization && kept.place == self.place
        };
        match all.iter().rfind(of) {
            Some((_, signed)) => Signing::Last(signed.trail.at),
            None if keys::names(folder).is_ok_and(|names| !names.is_empty()) => Signing::Never,
            None => Signing::NoKey,
        }
    }

    /// Adds a verification to that list; where that fails, nothing that decides anything is lost.
    fn note(&mut self, report: &Report) {
        let verification = Verification {
            at: Timestamp::parse(&report.snapshot_at).unwrap_or(Timestamp::NEG_INFINITY),
            events: report.events,
            verdict: report.words(),
            newest_end: report.newest_end(),
            findings: report.open_findings(),
            by: case::user(),
        };
        let organization = &report.organization_id;
        let noted = self
            .folder()
            .and_then(|folder| verifications::add(&folder, &self.place, organization, verification));
        if let Err(error) = noted {
            self.remark(format!("this verification is not in the list of the last ones: {error}"));
        }
    }

    fn last(&self, organization: &str) -> Option<Last<Interrupted>> {
        heads::last(self.folder.as_ref()?, &self.place, organization).records.pop()
    }

    /// What the last verification that found the trail intact has verified.
    pub(super) fn base(&self, organization: &str) -> Option<Interrupted> {
        self.last(organization)?.base
    }

    /// Remembers what a verification has come to: heads, and what the next increment need not read again; or that there
    /// is nothing of that kind, after a verdict that is worse than `intact`.
    pub(super) fn keep(&mut self, report: &Report, base: Option<Interrupted>) {
        self.note(report);
        let organization = &report.organization_id;
        if let Some(trail) = report.remembered(&self.place) {
            let verified_by = case::user();
            let verified = Verified { organization_id: organization.clone(), verified_by, trail };
            let kept = self.folder().and_then(|folder| {
                if heads::keep(&folder, &verified)? {
                    self.heads.push(verified);
                }
                Ok(())
            });
            if let Err(error) = kept {
                self.remark(format!("the head of {organization} is not remembered: {error}"));
            }
        }
        let last = match report.verdict {
            Verdict::Intact if report.is_whole() => {
                let verified_at = Timestamp::parse(&report.snapshot_at).unwrap_or(Timestamp::NEG_INFINITY);
                Last { verified_at, base }
            }
            Verdict::Intact | Verdict::NothingToCheck => return,
            // Rows that were found damaged may be older than the base: only a whole verification reads them again.
            Verdict::Broken | Verdict::Anomalous | Verdict::Incomplete => match self.last(organization) {
                Some(last) if last.base.is_some() => Last { base: None, ..last },
                _ => return,
            },
        };
        let kept =
            self.folder().and_then(|folder| heads::keep_last(&folder, &self.place, organization, &last));
        if let Err(error) = kept {
            self.remark(format!("an increment cannot go on from this verification: {error}"));
        }
    }

    /// What an interrupted verification of a trail left to resume.
    pub(super) fn interrupted(&self, organization: &str, identity: &str) -> Option<Interrupted> {
        let fits = |left: &Interrupted| left.database_identity == identity;
        let file = self.folder.as_ref()?.join(interrupted::FILE);
        interrupted::newest(&file, organization, fits).filter(|left| !left.has_ended())
    }

    /// Remembers how far a verification has come; true when that was written.
    pub(super) fn keep_interrupted(&mut self, organization: &str, left: &Interrupted) -> bool {
        let folder = self.folder();
        let kept = folder
            .and_then(|folder| interrupted::append(&folder.join(interrupted::FILE), organization, left));
        if let Err(error) = &kept {
            self.remark(format!("this verification cannot be resumed: {error}"));
        }
        kept.is_ok()
    }

    /// Appends an acceptance and makes sure it is on disk.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn keep_accepted(&mut self, record: accepted::Record) -> Result<(), Error> {
        accepted::append(&self.folder()?, &record)?;
        self.accepted.push(record);
        Ok(())
    }

    fn folder(&self) -> Result<PathBuf, Error> {
        self.folder.clone().map_or_else(case::folder, Ok)
    }
}
