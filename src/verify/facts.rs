//! What a filter can be told about events: what the last verification of the whole trail has found.

use super::class::Class;
use super::report::Report;
use crate::filter::{Facts, Integrity, Question, Selection};
use std::collections::BTreeSet;

/// The last report on an organisation's trail, if there is one.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a>(pub Option<&'a Report>);

impl Facts for Known<'_> {
    /// Findings name events as of the report. Of all others the row tells whether the report was about it: one that was
    /// written or altered since is not verified, and neither is one of a transaction that was under way then or began
    /// later than one that was.
    ///
    /// Nothing is answered from a report that leaves events out.
    fn answer(&self, question: &Question) -> Option<Selection> {
        let (Question::Integrity(any_of), report) = (question, self.0?) else { return None };
        let is_whole = !report.is_partial();
        if !is_whole || report.findings_cut > 0 {
            return None;
        }
        let (broken, unknown) = (named(report, is_broken), named(report, is_unknown));
        let transaction = report.before_transaction;
        let answer = |integrity: &Integrity| match integrity {
            Integrity::Broken => Some(Selection::Only(broken.clone().into_iter().collect())),
            Integrity::Unknown => Some(Selection::Only(unknown.clone().into_iter().collect())),
            Integrity::Unverified => Some(Selection::Since { transaction }),
            Integrity::Verified => {
                let but: BTreeSet<String> = broken.union(&unknown).cloned().collect();
                // As long as every event that is not verified is known by its name.
                let content = &report.content;
                let named = content.mismatch + content.undecided + content.unreadable <= but.len() as u64;
                (named && !but.contains(""))
                    .then(|| Selection::Before { transaction, but: but.into_iter().collect() })
            }
        };
        let mut sets = any_of.iter().map(answer).collect::<Option<Vec<Selection>>>()?;
        if sets.len() == 1 { sets.pop() } else { Some(Selection::AnyOf(sets)) }
    }
}

/// The events of findings, accepted ones too: that somebody has understood one does not mend it.
fn named(report: &Report, is_such: fn(Class) -> bool) -> BTreeSet<String> {
    let accepted = report.accepted.iter().map(|accepted| &accepted.finding);
    let findings = report.findings.iter().chain(accepted).filter(|finding| is_such(finding.class));
    findings.map(|finding| finding.event_id.clone()).collect()
}

fn is_broken(class: Class) -> bool {
    matches!(
        class,
        Class::ContentMismatch | Class::MalformedHash | Class::DuplicateEventId | Class::SearchVectorMismatch
    )
}

fn is_unknown(class: Class) -> bool {
    matches!(class, Class::Unreadable | Class::Undecided)
}
