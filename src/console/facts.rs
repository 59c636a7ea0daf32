//! What the console can tell a filter about events: what the last verification of the whole trail has found.

use super::trail::Verified;
use crate::filter::{Facts, Integrity, Question, Selection};
use crate::verify::Class;

/// The last report of an organisation, if there is one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known<'a>(pub(crate) Option<&'a Verified>);

impl Facts for Known<'_> {
    /// Findings name events. Which events were verified is known only as of the report: newer ones would be named
    /// too, so such questions stay without an answer.
    fn answer(&self, question: &Question) -> Option<Selection> {
        let (Question::Integrity(any_of), report) = (question, &self.0?.report) else { return None };
        let names_events = any_of.iter().all(|i| matches!(i, Integrity::Broken | Integrity::Unknown));
        if !names_events || report.findings_cut > 0 {
            return None;
        }
        let asked = report.findings.iter().filter(|finding| {
            any_of.iter().any(|i| match i {
                Integrity::Broken => matches!(
                    finding.class,
                    Class::ContentMismatch | Class::MalformedHash | Class::DuplicateEventId
                ),
                _ => matches!(finding.class, Class::Unreadable | Class::Undecided),
            })
        });
        Some(Selection::Only(asked.map(|finding| finding.event_id.clone()).collect()))
    }
}
