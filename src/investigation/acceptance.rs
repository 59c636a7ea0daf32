//! Findings that somebody has understood: they stay listed and no longer decide the verdict.

use super::Records;
use crate::case::{self, accepted};
use crate::domain::Timestamp;
use crate::error::{Error, Result};
use crate::verify::{Acceptance, Class, Compared, Finding, Report};

/// Findings that are named when the one asked for is not among them.
const NAMED: usize = 5;

/// The wish to accept a finding, checked as far as it can be before the trail is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    class: Class,
    event_id: String,
    note: String,
}

impl Wanted {
    /// Reads `CLASS:EVENT_ID`, as findings are listed, and the reason for accepting it.
    ///
    /// # Errors
    /// Usage: the form, the class, or an empty reason.
    pub fn parse(finding: &str, note: &str) -> Result<Self> {
        let note = note.trim();
        if note.is_empty() {
            return Err(Error::usage("--note: say why the finding is understood"));
        }
        let (class, event_id) = finding.split_once(':').ok_or_else(|| {
            Error::usage(format!("--accept: '{finding}' is not a finding"))
                .hint("write CLASS:EVENT_ID, as the finding is listed")
        })?;
        let class: Class = class.parse().map_err(|error| {
            let classes: Vec<&str> = Class::ALL.iter().map(|class| class.name()).collect();
            Error::usage(format!("--accept: {error}"))
                .hint(format!("classes of findings: {}", classes.join(", ")))
        })?;
        if class == Class::ScanIncomplete {
            return Err(Error::usage(
                "--accept: scan_incomplete cannot be accepted: nothing is known of what was not read",
            ));
        }
        Ok(Self { class, event_id: event_id.to_owned(), note: note.to_owned() })
    }
}

impl Records {
    /// Moves the accepted findings of a report out of the way, and judges it anew.
    pub fn apply(&self, report: &mut Report) {
        let (organization, database) = (report.organization_id.clone(), report.database_identity.clone());
        report.accept(|finding| {
            accepted::find(&self.accepted, &organization, &database, &subject(finding)).map(acceptance)
        });
    }

    /// The findings of a comparison of heads that nobody has accepted.
    pub fn open_of(&self, organization: &str, compared: &Compared) -> Vec<Finding> {
        let is_open = |finding: &&Finding| {
            accepted::find(&self.accepted, organization, &compared.object, &subject(finding)).is_none()
        };
        compared.findings.iter().filter(is_open).cloned().collect()
    }

    /// Records that an open finding of a report is understood, and applies that; returns the record.
    ///
    /// # Errors
    /// Usage, when the report has no such finding; and when it cannot be recorded.
    pub fn accept(&mut self, report: &mut Report, wanted: &Wanted) -> Result<accepted::Record> {
        let is_wanted =
            |finding: &&Finding| finding.class == wanted.class && finding.place() == wanted.event_id;
        let Some(finding) = report.findings.iter().find(is_wanted) else {
            let (class, id) = (wanted.class, &wanted.event_id);
            let names: Vec<String> = report.findings.iter().take(NAMED).map(Finding::name).collect();
            let error = Error::usage(format!("--accept: there is no open finding '{class}:{id}'"));
            return Err(if names.is_empty() {
                error.hint("there are no open findings")
            } else {
                error.hint(format!("open findings: {}", names.join(", ")))
            });
        };
        let draft = draft(report, finding, &case::user());
        let record = answered(draft, wanted.note.clone(), Timestamp::from(chrono::Utc::now()));
        self.keep_accepted(record.clone())?;
        self.apply(report);
        Ok(record)
    }
}

/// The record of an acceptance by somebody, without reason and time.
pub fn draft(report: &Report, finding: &Finding, user: &str) -> accepted::Record {
    accepted::Record::new(&report.organization_id, &report.database_identity, &subject(finding), user)
}

/// The record with its reason and time.
pub fn answered(draft: accepted::Record, note: String, at: Timestamp) -> accepted::Record {
    accepted::Record { note, accepted_at: at.to_rfc3339(), ..draft }
}

/// Appends an acceptance to the records of this machine.
///
/// # Errors
/// When it cannot be written.
pub fn keep(record: &accepted::Record) -> Result<()> {
    accepted::append(&case::folder()?, record)
}

/// Applies one acceptance to a report.
pub fn apply(report: &mut Report, record: &accepted::Record) {
    let (organization, database) = (report.organization_id.clone(), report.database_identity.clone());
    let covers = |finding: &Finding| record.covers(&organization, &database, &subject(finding));
    report.accept(|finding| covers(finding).then(|| acceptance(record)));
}

fn acceptance(record: &accepted::Record) -> Acceptance {
    Acceptance {
        accepted_by: record.accepted_by.clone(),
        accepted_at: record.accepted_at.clone(),
        note: record.note.clone(),
    }
}

/// What an acceptance is bound to.
fn subject(finding: &Finding) -> accepted::Subject<'_> {
    accepted::Subject {
        class: finding.class.name(),
        event_id: finding.place(),
        hash: &finding.hash,
        previous_hash: &finding.previous_hash,
        computed_hash: finding.computed.as_deref(),
        bound: &finding.bound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use crate::verify::samples;

    #[test]
    fn what_cannot_be_accepted_is_refused_before_anything_is_read() {
        let wanted = Wanted::parse("fork:a:b", " because ").unwrap();
        assert_eq!(
            (wanted.class, wanted.event_id.as_str(), wanted.note.as_str()),
            (Class::Fork, "a:b", "because")
        );
        for (finding, note) in [("fork", "x"), ("forks:a", "x"), ("fork:a", " "), ("", "x")] {
            assert_eq!(Wanted::parse(finding, note).unwrap_err().kind(), Kind::Usage, "{finding}, {note}");
        }
    }

    #[test]
    fn an_acceptance_is_recorded_and_counts_from_then_on() {
        let folder = tempfile::tempdir().unwrap();
        let mut records = Records::from_folder(folder.path().to_owned(), "here");
        let mut report = samples::report(&[Class::Fork]);
        let name = report.findings[0].name();
        let (_, id) = name.split_once(':').unwrap();
        let missing = Wanted::parse("fork:elsewhere", "why").unwrap();
        let refused = records.accept(&mut report, &missing).unwrap_err();
        assert!(refused.hints()[0].contains(&name), "{refused:?}");
        assert_eq!(report.accepted.len(), 0);
        records.accept(&mut report, &Wanted::parse(&format!("fork:{id}"), "why").unwrap()).unwrap();
        assert_eq!((report.findings.len(), report.accepted.len()), (0, 1));
        let mut again = samples::report(&[Class::Fork]);
        Records::from_folder(folder.path().to_owned(), "here").apply(&mut again);
        assert_eq!(again.accepted[0].acceptance.note, "why");
    }
}
