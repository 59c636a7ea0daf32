//! Filters under a name: the line in which the name is typed, and the chooser.

use crate::case::saved::{LineError, Saved};
use crate::console::editor::Editor;
use crate::console::paint::Painter;
use crate::console::theme::Role;
use crate::domain::Safe;

/// The question for the name of a filter.
#[derive(Debug)]
pub(crate) struct Naming {
    filter: String,
    /// The answer.
    pub(crate) editor: Editor,
    /// What has this name already, or why it is none.
    trouble: Option<Safe>,
}

impl Naming {
    /// Asks for the name of a filter.
    pub(crate) fn new(filter: &str) -> Self {
        Self { filter: filter.to_owned(), editor: Editor::default(), trouble: None }
    }

    /// Lines of the box's inside.
    pub(crate) const HEIGHT: usize = 3;

    /// The filter and its name; `None` when it is no name: the reason is shown. A name that is in use has to be
    /// confirmed.
    pub(crate) fn answered(&mut self, saved: &[Saved]) -> Option<Saved> {
        let name = self.editor.text().trim().to_owned();
        let new = match Saved::new(&name, &self.filter) {
            Ok(new) => new,
            Err(error @ (LineError::Name(_) | LineError::Long | LineError::Form)) => {
                self.trouble = Some(Safe::from_untrusted(&error.to_string()));
                return None;
            }
            Err(LineError::Filter(..)) => {
                self.trouble = Some(Safe::literal("the filter cannot be read: Esc goes back to it"));
                return None;
            }
        };
        let other = saved.iter().find(|other| other.name == new.name && other.filter != new.filter);
        let warning =
            other.map(|other| Safe::from_untrusted(&format!("Enter again replaces: {}", other.filter)));
        if warning.is_some() && self.trouble != warning {
            self.trouble = warning;
            return None;
        }
        Some(new)
    }

    /// Draws it; returns the place of the cursor.
    pub(crate) fn paint(&self, painter: &mut Painter<'_>) -> (usize, usize) {
        let room = painter.width().saturating_sub(2);
        painter.put(1, 0, &Safe::from_untrusted(&self.filter).cut_end(room), Role::Text);
        let x = painter.say(1, 1, "name ", Role::Label);
        let (x, _) = self.editor.paint(painter, x, 1, &[], None);
        match &self.trouble {
            Some(trouble) => painter.put(1, 2, &trouble.cut_end(room), Role::Error),
            None => painter.say(1, 2, "Enter saves it for all organisations, on this machine", Role::Muted),
        };
        (x, 1)
    }
}

/// The chooser of a saved filter.
#[derive(Debug)]
pub(crate) struct SavedFilters {
    list: Vec<Saved>,
    selected: usize,
}

impl SavedFilters {
    /// A chooser among these.
    pub(crate) fn new(list: Vec<Saved>) -> Self {
        Self { list, selected: 0 }
    }

    /// The chosen one.
    pub(crate) fn selected(&self) -> Option<&Saved> {
        self.list.get(self.selected)
    }

    /// Moves the selection.
    pub(crate) fn step(&mut self, by: isize) {
        self.selected = self.selected.saturating_add_signed(by).min(self.list.len().saturating_sub(1));
    }

    /// Takes the selected one off the list.
    pub(crate) fn forget(&mut self) -> Option<Saved> {
        let gone = (self.selected < self.list.len()).then(|| self.list.remove(self.selected));
        self.step(0);
        gone
    }

    /// Lines of the box's inside.
    pub(crate) fn height(&self) -> usize {
        self.list.len().max(1) + 1
    }

    /// Draws the list.
    pub(crate) fn paint(&self, painter: &mut Painter<'_>) {
        let lines = painter.height().saturating_sub(1).max(1);
        let top = (self.selected + 1).saturating_sub(lines);
        if self.list.is_empty() {
            painter.say(1, 0, "none: Ctrl-s saves the filter that is typed", Role::Muted);
        }
        let names =
            self.list.iter().map(|saved| Safe::from_untrusted(&saved.name).width()).max().unwrap_or(0);
        for (y, (n, saved)) in self.list.iter().enumerate().skip(top).take(lines).enumerate() {
            painter.put(3, y, &Safe::from_untrusted(&saved.name), Role::Label);
            let room = painter.width().saturating_sub(names + 6);
            painter.put(names + 5, y, &Safe::from_untrusted(&saved.filter).cut_end(room), Role::Text);
            if n == self.selected {
                painter.say(1, y, "▸", Role::Text);
                painter.mark_line(y, Role::Selected);
            }
        }
        let y = painter.height().saturating_sub(1);
        painter.say(1, y, "Enter takes it into the line · x forgets it", Role::Muted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_use_has_to_be_confirmed_and_what_is_none_is_refused() {
        let saved = [Saved::new("a", "sev:info").unwrap()];
        let mut naming = Naming::new("sev:critical");
        naming.editor.set("a b");
        assert_eq!(naming.answered(&saved), None);
        naming.editor.set("a");
        assert_eq!(naming.answered(&saved), None);
        let new = naming.answered(&saved).unwrap();
        assert_eq!(new.to_string(), "a = sev:critical");
        naming.editor.set("b");
        assert_eq!(naming.answered(&saved).unwrap().name, "b");
    }

    #[test]
    fn the_selection_stays_on_the_list() {
        let saved = |name: &str| Saved::new(name, "x").unwrap();
        let mut chooser = SavedFilters::new(vec![saved("a"), saved("b")]);
        chooser.step(9);
        assert_eq!(chooser.forget().unwrap().name, "b");
        assert_eq!(chooser.selected().unwrap().name, "a");
        chooser.forget();
        assert_eq!((chooser.forget(), chooser.selected()), (None, None));
    }
}
