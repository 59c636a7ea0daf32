//! The question under which a finding is accepted: why is it understood?

use super::editor::Editor;
use super::paint::Painter;
use super::theme::Role;
use crate::case::accepted::{Record, Subject};
use crate::domain::Safe;
use crate::verify::{Acceptance, Finding, Report};

/// The finding, and the answer as far as it has been typed.
#[derive(Debug)]
pub(crate) struct Accepting {
    name: Safe,
    record: Record,
    /// The answer.
    pub(crate) editor: Editor,
}

impl Accepting {
    /// Asks about a finding of a report.
    pub(crate) fn new(report: &Report, finding: &Finding, user: &str) -> Self {
        let record = Record::new(&report.organization_id, &report.database_identity, &subject(finding), user);
        Self { name: Safe::from_untrusted(&finding.name()), record, editor: Editor::default() }
    }

    /// The acceptance, once there is an answer.
    pub(crate) fn answered(&self, now: String) -> Option<Record> {
        let note = self.editor.text().trim();
        (!note.is_empty()).then(|| Record { note: note.to_owned(), accepted_at: now, ..self.record.clone() })
    }

    /// Lines of the box's inside.
    pub(crate) const HEIGHT: usize = 4;

    /// Draws it; returns the place of the cursor.
    pub(crate) fn paint(&self, painter: &mut Painter<'_>) -> (usize, usize) {
        painter.put(1, 0, &self.name.cut_middle(painter.width().saturating_sub(2)), Role::Notice);
        painter.say(
            1,
            1,
            "It stays listed and decides the verdict no more. Why is it understood?",
            Role::Muted,
        );
        let (x, _) = self.editor.paint(painter, 1, 2, &[], None);
        painter.say(1, 3, "It is recorded with your name and the time.", Role::Muted);
        (x, 2)
    }
}

/// Moves the finding that was accepted out of the way.
pub(crate) fn apply(report: &mut Report, record: &Record) {
    report.accept(|finding| (subject(finding) == record.subject()).then(|| acceptance(record)));
}

/// What a record says of the finding it is about.
pub(crate) fn acceptance(record: &Record) -> Acceptance {
    Acceptance {
        accepted_by: record.accepted_by.clone(),
        accepted_at: record.accepted_at.clone(),
        note: record.note.clone(),
    }
}

/// What an acceptance is bound to.
pub(crate) fn subject(finding: &Finding) -> Subject<'_> {
    Subject {
        class: finding.class.name(),
        event_id: &finding.event_id,
        hash: &finding.hash,
        previous_hash: &finding.previous_hash,
        computed_hash: finding.computed.as_deref(),
    }
}
