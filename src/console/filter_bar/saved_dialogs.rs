//! Filters under a name: the line in which the name is typed, and the chooser.

use crate::case::saved::{LineError, Saved};
use crate::console::core::keymap::{Action, Context};
use crate::console::dialogs::{Cursor, Dialog, Frame, Stage};
use crate::console::widgets::painter::Painter;
use crate::console::widgets::picker::Picker;
use crate::console::widgets::prompt::Prompt;
use crate::console::widgets::text_input::Editor;
use crate::console::widgets::theme::Role;
use crate::domain::Safe;

/// What is known of the filters that have a name.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) enum Named {
    /// Nothing yet: they are being read.
    #[default]
    Reading,
    /// All of them.
    Known(Vec<Saved>),
    /// Why they could not be read.
    Unknown(Safe),
}

/// The question for the name of a filter.
#[derive(Debug)]
pub(crate) struct Naming {
    filter: String,
    /// The name.
    pub(crate) prompt: Prompt,
}

impl Naming {
    /// Asks for the name of a filter.
    pub(crate) fn new(filter: &str) -> Self {
        Self {
            filter: filter.to_owned(),
            prompt: Prompt::new("name ", "saved for all organisations, on this machine"),
        }
    }

    /// Lines of the box's inside.
    fn height(&self, width: usize) -> usize {
        1 + self.prompt.height(width)
    }

    /// The filter and its name; `None` when it is no name: the reason is shown. A name that is in use has to be
    /// confirmed, for which the names in use have to be known.
    pub(crate) fn answered(&mut self, named: &Named) -> Option<Saved> {
        let saved = match named {
            Named::Known(saved) => saved.as_slice(),
            Named::Reading => {
                let why = "the saved filters are still being read: submit again in a moment";
                self.prompt.trouble = Some(Safe::literal(why));
                return None;
            }
            // Then they cannot be written either, which says why.
            Named::Unknown(_) => &[],
        };
        let name = self.prompt.text().to_owned();
        let new = match Saved::new(&name, &self.filter) {
            Ok(new) => new,
            Err(error @ (LineError::Name(_) | LineError::Long | LineError::Form)) => {
                self.prompt.trouble = Some(Safe::composed(&error.to_string()));
                return None;
            }
            Err(LineError::Filter(..)) => {
                self.prompt.trouble = Some(Safe::literal("not a valid filter: go back and correct it"));
                return None;
            }
        };
        let other = saved.iter().find(|other| other.name == new.name && other.filter != new.filter);
        let warning =
            other.map(|other| Safe::composed(&format!("submit again to replace: {}", other.filter)));
        if warning.is_some() && self.prompt.trouble != warning {
            self.prompt.trouble = warning;
            return None;
        }
        Some(new)
    }
}

impl Dialog for Naming {
    fn context(&self) -> Context {
        Context::Editor
    }

    fn editor_mut(&mut self) -> Option<&mut Editor> {
        Some(&mut self.prompt.editor)
    }

    fn frame(&self, stage: &Stage<'_>) -> Frame {
        Frame::around(" Save this filter ", 76, self.height(stage.inside(76)))
    }

    fn draw(&self, painter: &mut Painter<'_>, _stage: &Stage<'_>) -> Option<Cursor> {
        let room = painter.width().saturating_sub(2);
        painter.put(1, 0, &Safe::composed(&self.filter).cut_end(room), Role::Text);
        Some(self.prompt.paint(painter, 1))
    }
}

/// The chooser of a saved filter.
#[derive(Debug)]
pub(crate) struct SavedFilters {
    named: Named,
    picker: Picker,
}

impl SavedFilters {
    /// A chooser among these.
    pub(crate) fn new(named: Named) -> Self {
        Self { named, picker: Picker::default() }
    }

    /// Takes in what is known by now; the selection stays on its line.
    pub(crate) fn set(&mut self, named: Named) {
        self.named = named;
    }

    fn list(&self) -> &[Saved] {
        match &self.named {
            Named::Known(list) => list,
            Named::Reading | Named::Unknown(_) => &[],
        }
    }

    /// The chosen one.
    pub(crate) fn selected(&self) -> Option<&Saved> {
        let list = self.list();
        list.get(self.picker.selected(list.len()))
    }

    /// Moves the selection.
    pub(crate) fn step(&mut self, by: isize) {
        self.picker.step(by, self.list().len());
    }

    /// Takes the selected one off the list.
    pub(crate) fn forget(&mut self) -> Option<Saved> {
        let selected = self.picker.selected(self.list().len());
        match &mut self.named {
            Named::Known(list) => (selected < list.len()).then(|| list.remove(selected)),
            Named::Reading | Named::Unknown(_) => None,
        }
    }

    /// Lines of the box's inside.
    fn height(&self) -> usize {
        self.list().len().max(1) + 1
    }
}

impl Dialog for SavedFilters {
    fn context(&self) -> Context {
        Context::Saved
    }

    fn frame(&self, _stage: &Stage<'_>) -> Frame {
        Frame::around(" Saved filters ", 100, self.height())
    }

    fn draw(&self, painter: &mut Painter<'_>, stage: &Stage<'_>) -> Option<Cursor> {
        let keymap = stage.keymap;
        let last = painter.height().saturating_sub(1);
        let (text, role) = match &self.named {
            Named::Reading => ("reading the saved filters…".to_owned(), Role::Muted),
            Named::Unknown(why) => (format!("not read: {why}"), Role::Error),
            Named::Known(list) if list.is_empty() => {
                let save = keymap.key(Action::SaveFilter);
                (format!("none: {save} saves the filter that is being edited"), Role::Muted)
            }
            Named::Known(_) => {
                let (open, delete) = (keymap.key(Action::Open), keymap.key(Action::Forget));
                (format!("{open} puts it into the filter line · {delete} deletes it"), Role::Muted)
            }
        };
        let room = painter.width().saturating_sub(2);
        painter.put(1, last, &Safe::composed(&text).cut_end(room), role);
        let list = self.list();
        let names = list.iter().map(|saved| Safe::composed(&saved.name).width()).max().unwrap_or(0);
        let length = list.len();
        let mut painter = painter.above(1);
        self.picker.paint(&mut painter, 0, length, |painter, y, index| {
            let Some(saved) = list.get(index) else { return };
            painter.put(3, y, &Safe::composed(&saved.name), Role::Label);
            let room = painter.width().saturating_sub(names + 6);
            painter.put(names + 5, y, &Safe::composed(&saved.filter).cut_end(room), Role::Text);
        });
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_use_has_to_be_confirmed_and_what_is_none_is_refused() {
        let saved = Named::Known(vec![Saved::new("a", "sev:info").unwrap()]);
        let mut naming = Naming::new("sev:critical");
        naming.prompt.editor.set("a b");
        assert_eq!(naming.answered(&saved), None);
        naming.prompt.editor.set("a");
        assert_eq!(naming.answered(&saved), None);
        let new = naming.answered(&saved).unwrap();
        assert_eq!(new.to_string(), "a = sev:critical");
        naming.prompt.editor.set("b");
        assert_eq!(naming.answered(&Named::Reading), None, "a name may be in use");
        assert_eq!(naming.answered(&saved).unwrap().name, "b");
    }

    #[test]
    fn the_selection_stays_on_the_list() {
        let saved = |name: &str| Saved::new(name, "x").unwrap();
        let mut chooser = SavedFilters::new(Named::Known(vec![saved("a"), saved("b")]));
        chooser.step(9);
        assert_eq!(chooser.forget().unwrap().name, "b");
        assert_eq!(chooser.selected().unwrap().name, "a");
        chooser.forget();
        assert_eq!((chooser.forget(), chooser.selected()), (None, None));
    }
}
