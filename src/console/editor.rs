//! One line of text being typed.

use crate::console::paint::Painter;
use crate::console::theme::Role;
use crate::domain::Safe;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use std::ops::Range;
use tui_textarea::{CursorMove, TextArea};

/// A line editor. The text is drawn by us, not by the widget, because pasted text may hold what a terminal must not
/// see, and because the place of an error is to be marked.
#[derive(Debug, Default)]
pub(crate) struct Editor {
    area: TextArea<'static>,
}

impl Editor {
    /// An editor that holds a text, with the cursor behind it.
    pub(crate) fn new(text: &str) -> Self {
        let mut editor = Self::default();
        editor.paste(text);
        editor
    }

    /// The text.
    pub(crate) fn text(&self) -> &str {
        self.area.lines().first().map_or("", String::as_str)
    }

    /// A key that is bound to nothing else. Whether the text changed.
    pub(crate) fn input(&mut self, key: KeyEvent) -> bool {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        let adds_a_line = matches!(key.code, KeyCode::Enter | KeyCode::Tab | KeyCode::BackTab)
            || (control && matches!(key.code, KeyCode::Char('m' | 'j' | 'i')));
        !adds_a_line && self.area.input(key)
    }

    /// Inserts text; line ends become blanks.
    pub(crate) fn paste(&mut self, text: &str) {
        self.area.insert_str(text.trim_end_matches(['\r', '\n']).replace(['\r', '\n', '\t'], " "));
    }

    /// Replaces the text.
    pub(crate) fn set(&mut self, text: &str) {
        *self = Self::new(text);
    }

    /// Puts `text` in the place of a part, and the cursor behind it.
    pub(crate) fn replace(&mut self, part: Range<usize>, text: &str) {
        let mut whole = self.text().to_owned();
        if whole.get(part.clone()).is_none() {
            return;
        }
        let end = part.start + text.len();
        whole.replace_range(part, text);
        let column = whole.get(..end).map_or(0, |head| head.chars().count());
        self.set(&whole);
        self.area.move_cursor(CursorMove::Jump(0, u16::try_from(column).unwrap_or(u16::MAX)));
    }

    /// Where the cursor is, in bytes.
    pub(crate) fn cursor(&self) -> usize {
        let characters = self.area.cursor().1;
        self.text().char_indices().nth(characters).map_or(self.text().len(), |(at, _)| at)
    }

    /// Draws the line from column `x`, scrolled so that the cursor is visible, its `pieces` in their roles and the
    /// `marked` bytes as wrong. Returns the column of the cursor and the column at which `marked` begins.
    pub(crate) fn paint(
        &self,
        painter: &mut Painter<'_>,
        x: usize,
        y: usize,
        pieces: &[(Range<usize>, Role)],
        marked: Option<Range<usize>>,
    ) -> (usize, usize) {
        let part = |range: Range<usize>| Safe::from_untrusted(self.text().get(range).unwrap_or_default());
        let room = painter.width().saturating_sub(x + 1).max(1);
        let cursor = part(0..self.cursor()).width();
        let skip = (cursor + 1).saturating_sub(room);
        let whole = Safe::from_untrusted(self.text());
        painter.put(x, y, &skip_columns(&whole, skip), Role::Text);
        // The columns of a part, as far as it is on the screen.
        let columns = |range: Range<usize>| {
            let begin = part(0..range.start).width();
            let end = begin + part(range).width().max(1);
            (begin.saturating_sub(skip), end.saturating_sub(skip))
        };
        for (range, role) in pieces {
            let (begin, end) = columns(range.clone());
            painter.mark(x + begin, y, end.saturating_sub(begin), *role);
        }
        let mark = marked.map_or(0, |range| {
            let (begin, end) = columns(range);
            painter.mark(x + begin, y, end.saturating_sub(begin), Role::Error);
            begin
        });
        (x + cursor - skip, x + mark)
    }

    /// Moves the cursor to the end.
    pub(crate) fn end(&mut self) {
        self.area.move_cursor(CursorMove::End);
    }
}

/// Text without its first columns.
fn skip_columns(text: &Safe, columns: usize) -> Safe {
    use unicode_width::UnicodeWidthChar as _;
    let mut skipped = 0;
    let rest: String = text
        .as_str()
        .chars()
        .skip_while(|c| {
            let skip = skipped < columns;
            skipped += c.width().unwrap_or(0);
            skip
        })
        .collect();
    Safe::from_untrusted(&rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stays_one_line() {
        let mut editor = Editor::new("a");
        editor.paste("\nb\r\nc\n");
        assert_eq!(editor.text(), "a b  c");
        for key in [
            KeyEvent::new(KeyCode::Enter, KeyModifiers::NONE),
            KeyEvent::new(KeyCode::Char('m'), KeyModifiers::CONTROL),
            KeyEvent::new(KeyCode::Char('j'), KeyModifiers::CONTROL),
            KeyEvent::new(KeyCode::Tab, KeyModifiers::NONE),
        ] {
            editor.input(key);
        }
        assert_eq!(editor.text(), "a b  c");
        assert_eq!(editor.cursor(), 6);
        editor.input(KeyEvent::new(KeyCode::Char('é'), KeyModifiers::NONE));
        assert_eq!((editor.text(), editor.cursor()), ("a b  cé", 8));
        editor.replace(2..3, "éé");
        assert_eq!((editor.text(), editor.cursor()), ("a éé  cé", 6));
    }
}
