//! Writing into the buffer: clipped, and only text that is safe for a terminal.

use crate::console::widgets::highlight::Hit;
use crate::console::widgets::theme::{Role, Theme};
use crate::domain::Safe;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use unicode_width::UnicodeWidthStr as _;

/// A brush on one area of the screen. Columns and lines count from the area's corner; what lies outside is cut off.
#[derive(Debug)]
pub(crate) struct Painter<'a> {
    buffer: &'a mut Buffer,
    theme: &'a Theme,
    area: Rect,
    masked: bool,
}

impl<'a> Painter<'a> {
    /// A brush on `area`.
    pub(crate) fn new(buffer: &'a mut Buffer, theme: &'a Theme, area: Rect) -> Self {
        let area = area.intersection(buffer.area);
        Self { buffer, theme, area, masked: false }
    }

    /// The same under the mask, or not.
    pub(crate) fn under_mask(self, masked: bool) -> Self {
        Self { masked, ..self }
    }

    /// The same brush on a part of the screen.
    pub(crate) fn on(&mut self, area: Rect) -> Painter<'_> {
        Painter::new(self.buffer, self.theme, area).under_mask(self.masked)
    }

    /// The same without its last lines.
    pub(crate) fn above(&mut self, lines: u16) -> Painter<'_> {
        let area = Rect { height: self.area.height.saturating_sub(lines), ..self.area };
        self.on(area)
    }

    /// Columns of the area.
    pub(crate) fn width(&self) -> usize {
        usize::from(self.area.width)
    }

    /// Lines of the area.
    pub(crate) fn height(&self) -> usize {
        usize::from(self.area.height)
    }

    /// Writes untrusted text, made safe; returns the column behind it.
    pub(crate) fn put(&mut self, x: usize, y: usize, text: &Safe, role: Role) -> usize {
        let text = if self.masked { text.masked() } else { text.as_str() };
        self.write(x, y, text, self.theme.style(role))
    }

    /// Writes text of the program itself; returns the column behind it.
    pub(crate) fn say(&mut self, x: usize, y: usize, text: &'static str, role: Role) -> usize {
        self.write(x, y, text, self.theme.style(role))
    }

    /// Writes text so that it ends before column `right`; returns its first column.
    pub(crate) fn put_right(&mut self, right: usize, y: usize, text: &Safe, role: Role) -> usize {
        let x = right.saturating_sub(text.width());
        self.put(x, y, &text.cut_end(right - x), role);
        x
    }

    /// Writes prose over as many lines as it needs; returns the line behind it.
    pub(crate) fn put_wrapped(&mut self, x: usize, y: usize, text: &Safe, role: Role) -> usize {
        let lines = text.wrapped_words(self.width().saturating_sub(x + 1), 2);
        for (i, line) in lines.iter().enumerate() {
            self.put(x, y + i, line, role);
        }
        y + lines.len()
    }

    /// A line of one character from `x` to the right end.
    pub(crate) fn rule(&mut self, x: usize, y: usize, stroke: &'static str, role: Role) {
        for column in x..self.width() {
            self.say(column, y, stroke, role);
        }
    }

    /// A line of one character downwards.
    pub(crate) fn wall(&mut self, x: usize, stroke: &'static str, role: Role) {
        for y in 0..self.height() {
            self.say(x, y, stroke, role);
        }
    }

    /// Adds the role's style to a whole line, on top of what is there.
    pub(crate) fn mark_line(&mut self, y: usize, role: Role) {
        self.mark(0, y, self.width(), role);
    }

    /// Adds the role's style to some columns of a line.
    pub(crate) fn mark(&mut self, x: usize, y: usize, columns: usize, role: Role) {
        if y < self.height() && x < self.width() {
            let width = columns.min(self.width() - x) as u16;
            let area = Rect { x: self.area.x + x as u16, y: self.area.y + y as u16, width, height: 1 };
            self.buffer.set_style(area, self.theme.style(role));
        }
    }

    /// Adds a style to what a search looks for, wherever it stands in the area.
    pub(crate) fn mark_hits(&mut self, hits: &[Hit]) {
        let style = self.theme.style(Role::Hit);
        for y in self.area.top()..self.area.bottom() {
            let mut line = Vec::new();
            let mut columns = Vec::new();
            for x in self.area.left()..self.area.right() {
                for c in self.buffer.cell((x, y)).map_or("", |cell| cell.symbol()).chars() {
                    line.push(c);
                    columns.push(x);
                }
            }
            for place in hits.iter().flat_map(|hit| hit.places(&line)) {
                for x in columns.get(place).unwrap_or_default() {
                    self.buffer.set_style(Rect { x: *x, y, width: 1, height: 1 }, style);
                }
            }
        }
    }

    /// Blanks the area, for what lies on top of something else.
    pub(crate) fn clear(&mut self) {
        for y in self.area.top()..self.area.bottom() {
            for x in self.area.left()..self.area.right() {
                if let Some(cell) = self.buffer.cell_mut((x, y)) {
                    cell.reset();
                }
            }
        }
    }

    fn write(&mut self, x: usize, y: usize, text: &str, style: Style) -> usize {
        let columns = text.width();
        if y < self.height() && x < self.width() {
            let (sx, sy) = (self.area.x + x as u16, self.area.y + y as u16);
            // What is written replaces what was there, style and all.
            let style = Style::reset().patch(style);
            let room = self.width() - x;
            if columns > room {
                // Nothing is cut without a sign of it.
                let cut = Safe::composed(text).cut_end(room);
                self.buffer.set_stringn(sx, sy, cut.as_str(), room, style);
            } else {
                self.buffer.set_stringn(sx, sy, text, room, style);
            }
        }
        x + columns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_is_broken_between_words_and_long_words_anywhere() {
        let lines = |text: &str, columns| -> Vec<String> {
            let lines = Safe::from_untrusted(text).wrapped_words(columns, 2);
            lines.iter().map(|line| line.as_str().to_owned()).collect()
        };
        assert_eq!(lines("an edit of the row", 10), ["an edit of", "  the row"]);
        assert_eq!(lines("", 10), [""]);
        assert_eq!(lines("of 0123456789abcdef", 10), ["of", "  01234567", "  89abcdef"]);
    }
}
