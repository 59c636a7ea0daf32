//! The line in which one says what is looked for in a tree: words, or a path by some of its letters.

use crate::console::core::keymap::Context;
use crate::console::dialogs::{Cursor, Dialog, Frame, Stage};
use crate::console::widgets::painter::Painter;
use crate::console::widgets::picker::Picker;
use crate::console::widgets::prompt::Prompt;
use crate::console::widgets::text_input::Editor;
use crate::console::widgets::theme::Role;
use crate::diff::outline::Path;
use crate::domain::Safe;

/// Paths that are offered.
pub(crate) const OFFERED: usize = 100;

/// The line while it is typed.
#[derive(Debug)]
pub(crate) struct TreePrompt {
    /// The text.
    pub(crate) prompt: Prompt,
    /// The paths offered, the best first; nothing where words are looked for.
    paths: Option<Vec<Path>>,
    picker: Picker,
}

impl TreePrompt {
    /// A line for words.
    pub(crate) fn for_words() -> Self {
        let hint = "in keys and values; case counts if there are capitals";
        Self { prompt: Prompt::new("/ ", hint), paths: None, picker: Picker::default() }
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
        self.picker.select(0);
    }

    /// The path that is chosen.
    pub(crate) fn chosen(&self) -> Option<&Path> {
        let paths = self.paths.as_ref()?;
        paths.get(self.picker.selected(paths.len()))
    }

    /// Moves the choice.
    pub(crate) fn step(&mut self, by: isize) {
        self.picker.step(by, self.paths.as_ref().map_or(0, Vec::len));
    }

    /// Its title.
    const fn title(&self) -> &'static str {
        if self.paths.is_some() { " Go to a path " } else { " Search in this tree " }
    }

    /// Lines it needs.
    const fn height(&self) -> usize {
        if self.paths.is_some() { 18 } else { 2 }
    }
}

impl Dialog for TreePrompt {
    fn context(&self) -> Context {
        Context::Editor
    }

    fn editor_mut(&mut self) -> Option<&mut Editor> {
        Some(&mut self.prompt.editor)
    }

    fn frame(&self, _stage: &Stage<'_>) -> Frame {
        Frame::around(self.title(), 90, self.height())
    }

    fn draw(&self, painter: &mut Painter<'_>, _stage: &Stage<'_>) -> Option<Cursor> {
        let Some(paths) = &self.paths else { return Some(self.prompt.paint(painter, 0)) };
        let cursor = self.prompt.paint_line(painter, 0);
        let room = painter.width().saturating_sub(4);
        if paths.is_empty() && !self.prompt.editor.text().is_empty() {
            painter.say(3, 1, "no path has these letters in this order", Role::Muted);
        } else if paths.is_empty() {
            painter.say(3, 1, "some letters of a path: rolperm finds /roles/0/permissions", Role::Muted);
        }
        self.picker.paint(painter, 1, paths.len(), |painter, y, index| {
            if let Some(path) = paths.get(index) {
                painter.put(3, y, &Safe::from_untrusted(&path.pointer).cut_middle(room), Role::Text);
            }
        });
        Some(cursor)
    }
}
