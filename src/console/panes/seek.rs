//! The line in which one says what is looked for in a tree: words, or a path by some of its letters.

use crate::console::editor::Editor;
use crate::console::paint::Painter;
use crate::console::theme::Role;
use crate::diff::outline::Path;
use crate::domain::Safe;

/// Paths that are offered.
pub(crate) const OFFERED: usize = 100;

/// The line while it is typed.
#[derive(Debug)]
pub(crate) struct SeekLine {
    /// The text.
    pub(crate) editor: Editor,
    /// The paths offered, the best first; nothing where words are looked for.
    paths: Option<Vec<Path>>,
    selected: usize,
}

impl SeekLine {
    /// A line for words.
    pub(crate) fn for_words() -> Self {
        Self { editor: Editor::default(), paths: None, selected: 0 }
    }

    /// A line for a path.
    pub(crate) fn for_path() -> Self {
        Self { paths: Some(Vec::new()), ..Self::for_words() }
    }

    /// Whether a path is looked for.
    pub(crate) fn is_path(&self) -> bool {
        self.paths.is_some()
    }

    /// Takes the paths that fit what is typed.
    pub(crate) fn offer(&mut self, paths: Vec<Path>) {
        self.paths = Some(paths);
        self.selected = 0;
    }

    /// The path that is chosen.
    pub(crate) fn chosen(&self) -> Option<&Path> {
        self.paths.as_ref()?.get(self.selected)
    }

    /// Moves the choice.
    pub(crate) fn step(&mut self, by: isize) {
        let last = self.paths.as_ref().map_or(0, Vec::len).saturating_sub(1);
        self.selected = self.selected.saturating_add_signed(by).min(last);
    }

    /// Its title.
    pub(crate) const fn title(&self) -> &'static str {
        if self.paths.is_some() { " Go to a path " } else { " Search in this tree " }
    }

    /// Lines it needs.
    pub(crate) const fn height(&self) -> u16 {
        if self.paths.is_some() { 18 } else { 2 }
    }

    /// Draws it; returns the place of the cursor.
    pub(crate) fn paint(&self, painter: &mut Painter<'_>) -> (usize, usize) {
        let x = painter.say(1, 0, "/ ", Role::Key);
        let (cursor, _) = self.editor.paint(painter, x, 0, &[], None);
        let room = painter.width().saturating_sub(4);
        let Some(paths) = &self.paths else {
            painter.say(1, 1, "in keys and values; capitals count if there are some", Role::Muted);
            return (cursor, 0);
        };
        if paths.is_empty() && !self.editor.text().is_empty() {
            painter.say(3, 1, "no path has these letters in this order", Role::Muted);
        } else if paths.is_empty() {
            painter.say(3, 1, "some letters of a path: rolperm finds /roles/0/permissions", Role::Muted);
        }
        let lines = painter.height().saturating_sub(1);
        let top = (self.selected + 1).saturating_sub(lines.max(1));
        for (y, (index, path)) in paths.iter().enumerate().skip(top).take(lines).enumerate() {
            painter.put(3, y + 1, &Safe::from_untrusted(&path.pointer).cut_middle(room), Role::Text);
            if index == self.selected {
                painter.say(1, y + 1, "▸", Role::Text);
                painter.mark_line(y + 1, Role::Selected);
            }
        }
        (cursor, 0)
    }
}
