//! A prompt: a line that is typed, and below it a hint or why it was refused.

use crate::console::widgets::painter::Painter;
use crate::console::widgets::text_input::Editor;
use crate::console::widgets::theme::Role;
use crate::domain::Safe;

/// The hint below an answer that is kept: under which name.
pub(crate) fn recorded_as(user: &str) -> String {
    format!("Recorded as {}, with the time.", Safe::from_untrusted(user))
}

/// The line while it is typed.
#[derive(Debug, Default)]
pub(crate) struct Prompt {
    label: &'static str,
    hint: Safe,
    /// The text.
    pub(crate) editor: Editor,
    /// Why the text was refused.
    pub(crate) trouble: Option<Safe>,
}

impl Prompt {
    /// An empty line after a label, with a hint below.
    pub(crate) fn new(label: &'static str, hint: &str) -> Self {
        Self { label, hint: Safe::composed(hint), ..Self::default() }
    }

    /// The text, without blanks at its ends.
    pub(crate) fn text(&self) -> &str {
        self.editor.text().trim()
    }

    /// Shows why the text was refused.
    pub(crate) fn refuse(&mut self, why: Safe) {
        self.trouble = Some(why);
    }

    /// Lines that the line and what is below it take at a width: a refusal is never cut, since it ends with the remedy.
    pub(crate) fn height(&self, width: usize) -> usize {
        1 + self.trouble.as_ref().map_or(1, |why| why.wrapped_words(width.saturating_sub(2).max(8), 2).len())
    }

    /// Draws the line at `y` and the hint below it; returns the place of the cursor.
    pub(crate) fn paint(&self, painter: &mut Painter<'_>, y: usize) -> (usize, usize) {
        let cursor = self.paint_line(painter, y);
        let room = painter.width().saturating_sub(2);
        match &self.trouble {
            Some(why) => painter.put_wrapped(1, y + 1, why, Role::Error),
            None => painter.put(1, y + 1, &self.hint.cut_end(room), Role::Muted),
        };
        cursor
    }

    /// Draws the line at `y` alone; returns the place of the cursor.
    pub(crate) fn paint_line(&self, painter: &mut Painter<'_>, y: usize) -> (usize, usize) {
        let x = painter.say(1, y, self.label, Role::Key);
        let (cursor, _) = self.editor.paint(painter, x, y, &[], None);
        (cursor, y)
    }
}
