//! The reason for accepting a finding.

use crate::case::accepted::Record;
use crate::console::core::keymap::Context;
use crate::console::dialogs::{Cursor, Dialog, Frame, Stage};
use crate::console::widgets::painter::Painter;
use crate::console::widgets::prompt::{Prompt, recorded_as};
use crate::console::widgets::text_input::Editor;
use crate::console::widgets::theme::Role;
use crate::domain::{Safe, Timestamp};
use crate::investigation::acceptance;
use crate::verify::{Finding, Report};

/// The finding, and the answer as far as it has been typed.
#[derive(Debug)]
pub(crate) struct Accepting {
    name: Safe,
    record: Record,
    /// The reason.
    pub(crate) prompt: Prompt,
}

impl Accepting {
    /// Asks about a finding of a report.
    pub(crate) fn new(report: &Report, finding: &Finding, user: &str) -> Self {
        let record = acceptance::draft(report, finding, user);
        Self {
            name: Safe::from_untrusted(&finding.name()),
            record,
            prompt: Prompt::new("", &recorded_as(user)),
        }
    }

    /// The acceptance, once there is an answer.
    pub(crate) fn answered(&self, now: Timestamp) -> Option<Record> {
        let note = self.prompt.text();
        (!note.is_empty()).then(|| acceptance::answered(self.record.clone(), note.to_owned(), now))
    }

    /// Lines of the box's inside at a width.
    fn height(&self, width: usize) -> usize {
        2 + self.prompt.height(width)
    }
}

impl Dialog for Accepting {
    fn context(&self) -> Context {
        Context::Editor
    }

    fn editor_mut(&mut self) -> Option<&mut Editor> {
        Some(&mut self.prompt.editor)
    }

    fn frame(&self, stage: &Stage<'_>) -> Frame {
        Frame::around(" Accept ", 76, self.height(stage.inside(76)))
    }

    fn draw(&self, painter: &mut Painter<'_>, _stage: &Stage<'_>) -> Option<Cursor> {
        painter.put(1, 0, &self.name.cut_middle(painter.width().saturating_sub(2)), Role::Notice);
        painter.say(1, 1, "It stays listed but no longer affects the verdict. Reason:", Role::Muted);
        Some(self.prompt.paint(painter, 2))
    }
}
