//! The palette: every action by name, for those who do not know its key.

use crate::console::core::keymap::{Action, Context};
use crate::console::dialogs::ranking::ranked;
use crate::console::dialogs::{Cursor, Dialog, Frame, Stage};
use crate::console::widgets::painter::Painter;
use crate::console::widgets::picker::Picker;
use crate::console::widgets::prompt::Prompt;
use crate::console::widgets::text_input::Editor;
use crate::console::widgets::theme::Role;
use crate::domain::Safe;

/// The state of the palette.
#[derive(Debug, Default)]
pub(crate) struct Palette {
    /// The words typed.
    pub(crate) prompt: Prompt,
    picker: Picker,
    /// The tree has the keys: what can be done in it is offered, too.
    in_tree: bool,
}

impl Palette {
    /// An empty line over the panes, or over the tree.
    pub(crate) fn new(in_tree: bool) -> Self {
        Self { prompt: Prompt::new(": ", ""), in_tree, ..Self::default() }
    }

    /// The actions that are meant by what is typed, the best first.
    pub(crate) fn matches(&self) -> Vec<Action> {
        let offered = Action::ALL.iter().copied().filter(|action| action.is_offered(self.in_tree));
        ranked(self.prompt.editor.text(), offered)
    }

    /// The action to run.
    pub(crate) fn chosen(&self) -> Option<Action> {
        let matches = self.matches();
        matches.get(self.picker.selected(matches.len())).copied()
    }

    /// Moves the selection.
    pub(crate) fn step(&mut self, by: isize) {
        let length = self.matches().len();
        self.picker.step(by, length);
    }
}

impl Dialog for Palette {
    fn context(&self) -> Context {
        Context::Editor
    }

    fn editor_mut(&mut self) -> Option<&mut Editor> {
        Some(&mut self.prompt.editor)
    }

    fn frame(&self, _stage: &Stage<'_>) -> Frame {
        Frame { title: " Actions ", columns: 90, lines: 20 }
    }

    fn draw(&self, painter: &mut Painter<'_>, stage: &Stage<'_>) -> Option<Cursor> {
        let keymap = stage.keymap;
        let cursor = self.prompt.paint_line(painter, 0);
        let matches = self.matches();
        if matches.is_empty() {
            painter.say(3, 1, "no action has these words: fewer letters find more", Role::Muted);
        }
        self.picker.paint(painter, 1, matches.len(), |painter, y, index| {
            let Some(action) = matches.get(index) else { return };
            painter.say(3, y, action.name(), Role::Text);
            let right = painter.width().saturating_sub(1);
            let keys = Safe::from_untrusted(&keymap.keys_of(*action).join(" "));
            let end = painter.put_right(right, y, &keys, Role::Key);
            painter.put(20, y, &Safe::literal(action.doc()).cut_end(end.saturating_sub(21)), Role::Muted);
        });
        Some(cursor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_narrow_the_list() {
        let mut palette = Palette::default();
        assert!(palette.matches().len() > 15);
        assert!(palette.prompt.editor.paste("oldest"));
        assert_eq!(palette.chosen(), Some(Action::Last));
        assert!(palette.prompt.editor.paste(" nothing like it"));
        assert_eq!(palette.chosen(), None);
        palette.step(1);
    }
}
