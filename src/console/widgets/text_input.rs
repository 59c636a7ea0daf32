//! One line of text being typed.

use crate::console::widgets::painter::Painter;
use crate::console::widgets::theme::Role;
use crate::domain::Safe;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use std::ops::Range;
use tui_textarea::{CursorMove, TextArea};
use unicode_segmentation::UnicodeSegmentation as _;

/// Longest text that is taken by a paste, in bytes.
pub(crate) const LONGEST: usize = 1 << 20;
/// Bytes that one column of the screen may take: beyond any sequence of pictographs.
const BYTES_OF_A_COLUMN: usize = 64;

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
        editor.insert(text);
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

    /// Inserts text that is pasted; line ends become blanks. False, and nothing, where the line would be longer than
    /// [`LONGEST`].
    #[must_use]
    pub(crate) fn paste(&mut self, text: &str) -> bool {
        let fits = self.text().len() + text.len() <= LONGEST;
        if fits {
            self.insert(text);
        }
        fits
    }

    fn insert(&mut self, text: &str) {
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
        let (head, tail) = whole.split_at_checked(end).unwrap_or((&whole, ""));
        // The widget jumps to the first 65 535 columns only.
        self.set(tail);
        self.area.move_cursor(CursorMove::Head);
        self.insert(head);
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
        let room = painter.width().saturating_sub(x + 1).max(1);
        let seen = self.visible(room);
        let part = |range: Range<usize>| Safe::composed(self.text().get(range).unwrap_or_default());
        painter.put(x, y, &part(seen.clone()), Role::Text);
        // The columns of a part, as far as it is on the screen.
        let columns = |range: &Range<usize>| {
            let begin = range.start.clamp(seen.start, seen.end);
            let end = range.end.clamp(begin, seen.end);
            let column = part(seen.start..begin).width();
            (column, column + part(begin..end).width().max(1))
        };
        for (range, role) in pieces.iter().filter(|(r, _)| r.start < seen.end && r.end > seen.start) {
            let (begin, end) = columns(range);
            painter.mark(x + begin, y, end - begin, *role);
        }
        let mark = marked.map_or(0, |range| {
            let (begin, end) = columns(&range);
            painter.mark(x + begin, y, end - begin, Role::Error);
            begin
        });
        (x + part(seen.start..self.cursor()).width(), x + mark)
    }

    /// The bytes that are on the screen, in `room` columns: the cursor is among them, and everything before it as far as
    /// there is room. Only what is near the cursor is looked at.
    fn visible(&self, room: usize) -> Range<usize> {
        let (text, cursor) = (self.text(), self.cursor());
        let reach = room.saturating_mul(BYTES_OF_A_COLUMN);
        let near = text.floor_char_boundary(cursor.saturating_sub(reach));
        let far = text.ceil_char_boundary((cursor + reach).min(text.len()));
        let width = |grapheme: &str| Safe::composed(grapheme).width();
        let mut used = 0;
        let mut fits = |grapheme: &str| {
            used += width(grapheme);
            used < room
        };
        let before = text.get(near..cursor).unwrap_or_default().graphemes(true).rev();
        let start = cursor - before.take_while(|g| fits(g)).map(str::len).sum::<usize>();
        let behind = text.get(start..far).unwrap_or_default().graphemes(true);
        let mut left = room;
        let shown = behind.take_while(|g| {
            let taken = width(g);
            let there = left >= taken;
            left = left.saturating_sub(taken);
            there
        });
        start..(start + shown.map(str::len).sum::<usize>()).max(cursor)
    }

    /// Moves the cursor to the end.
    pub(crate) fn end(&mut self) {
        self.area.move_cursor(CursorMove::End);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stays_one_line() {
        let mut editor = Editor::new("a");
        assert!(editor.paste("\nb\r\nc\n"));
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
