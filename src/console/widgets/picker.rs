//! A picker: a list with one selected line, scrolled so that it is seen.

use crate::console::widgets::painter::Painter;
use crate::console::widgets::theme::Role;

/// The selection in a list. The list itself belongs to whoever has the picker.
#[derive(Debug, Default)]
pub(crate) struct Picker {
    selected: usize,
}

impl Picker {
    /// Place of the selected item in a list of a length.
    pub(crate) fn selected(&self, length: usize) -> usize {
        self.selected.min(length.saturating_sub(1))
    }

    /// Puts the selection on an item.
    pub(crate) fn select(&mut self, index: usize) {
        self.selected = index;
    }

    /// Moves the selection in a list of a length.
    pub(crate) fn step(&mut self, by: isize, length: usize) {
        let last = length.saturating_sub(1);
        self.selected = self.selected.min(last).saturating_add_signed(by).min(last);
    }

    /// Draws the items that fit below `first`; `item` draws one: the painter, its line, its place in the list.
    pub(crate) fn paint(
        &self,
        painter: &mut Painter<'_>,
        first: usize,
        length: usize,
        mut item: impl FnMut(&mut Painter<'_>, usize, usize),
    ) {
        let lines = painter.height().saturating_sub(first);
        let selected = self.selected(length);
        let top = (selected + 1).saturating_sub(lines.max(1));
        for (y, index) in (top..length).take(lines).enumerate() {
            let y = first + y;
            item(painter, y, index);
            if index == selected {
                painter.say(1, y, "▸", Role::Text);
                painter.mark_line(y, Role::Selected);
            }
        }
    }
}
