//! The palette: every action by name, for whoever does not know its key.

use crate::console::editor::Editor;
use crate::console::keymap::{Action, Keymap, Section};
use crate::console::paint::Painter;
use crate::console::theme::Role;
use crate::domain::Safe;

/// The state of the palette.
#[derive(Debug, Default)]
pub(crate) struct Palette {
    /// The words typed.
    pub(crate) editor: Editor,
    selected: usize,
    /// The tree has the keys: what can be done in it is offered, too.
    in_tree: bool,
}

impl Palette {
    /// An empty line over the panes, or over the tree.
    pub(crate) fn new(in_tree: bool) -> Self {
        Self { in_tree, ..Self::default() }
    }

    /// The actions whose name or description has all words.
    pub(crate) fn matches(&self) -> Vec<Action> {
        let text = self.editor.text().to_lowercase();
        let offered = |a: &Action| match a.section() {
            Section::Global | Section::Move | Section::Always => *a != Action::Palette,
            Section::Tree => self.in_tree,
            _ => false,
        };
        let has = |a: &Action, word: &str| a.name().contains(word) || a.doc().to_lowercase().contains(word);
        Action::ALL
            .iter()
            .copied()
            .filter(offered)
            .filter(|a| text.split_whitespace().all(|word| has(a, word)))
            .collect()
    }

    /// The action to run.
    pub(crate) fn chosen(&self) -> Option<Action> {
        let matches = self.matches();
        matches.get(self.selected.min(matches.len().saturating_sub(1))).copied()
    }

    /// Moves the selection.
    pub(crate) fn step(&mut self, by: isize) {
        let last = self.matches().len().saturating_sub(1);
        self.selected = self.selected.min(last).saturating_add_signed(by).min(last);
    }

    /// Draws it; returns the place of the cursor.
    pub(crate) fn paint(&self, painter: &mut Painter<'_>, keymap: &Keymap) -> (usize, usize) {
        let x = painter.say(1, 0, ": ", Role::Key);
        let (cursor, _) = self.editor.paint(painter, x, 0, &[], None);
        let matches = self.matches();
        if matches.is_empty() {
            painter.say(3, 1, "no action has these words", Role::Muted);
        }
        let lines = painter.height().saturating_sub(1);
        let selected = self.selected.min(matches.len().saturating_sub(1));
        let top = (selected + 1).saturating_sub(lines.max(1));
        for (y, (index, action)) in matches.iter().enumerate().skip(top).take(lines).enumerate() {
            let y = y + 1;
            painter.say(3, y, action.name(), Role::Text);
            painter.say(20, y, action.doc(), Role::Muted);
            let right = painter.width().saturating_sub(1);
            painter.put_right(right, y, &Safe::from_untrusted(&keymap.keys_of(*action).join(" ")), Role::Key);
            if index == selected {
                painter.say(1, y, "▸", Role::Text);
                painter.mark_line(y, Role::Selected);
            }
        }
        (cursor, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_narrow_the_list() {
        let mut palette = Palette::default();
        assert!(palette.matches().len() > 15);
        palette.editor.paste("oldest");
        assert_eq!(palette.chosen(), Some(Action::Last));
        palette.editor.paste(" nothing like it");
        assert_eq!(palette.chosen(), None);
        palette.step(1);
    }
}
