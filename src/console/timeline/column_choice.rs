//! Which columns the timeline is to have and in what order: the user's choice, and the dialog in which it is made.

use crate::console::core::keymap::{Action, Context};
use crate::console::dialogs::{Cursor, Dialog, Frame, Stage};
use crate::console::timeline::columns::{Column, When};
use crate::console::widgets::painter::Painter;
use crate::console::widgets::picker::Picker;
use crate::console::widgets::theme::Role;
use crate::domain::Safe;

/// Columns in the order in which they are wanted, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ColumnChoice(Vec<(Column, When)>);

impl Default for ColumnChoice {
    fn default() -> Self {
        Self(Column::ALL.map(|column| (column, When::Auto)).to_vec())
    }
}

impl ColumnChoice {
    /// The columns in order.
    pub(crate) fn columns(&self) -> &[(Column, When)] {
        &self.0
    }

    /// Reads what [`Self::to_line`] has written. A name that is unknown is passed over, and what is not named comes behind
    /// as it is by default: another program may have other columns.
    pub(crate) fn of_line(line: &str) -> Self {
        let mut chosen: Vec<(Column, When)> = Vec::new();
        for word in line.split_whitespace() {
            let (name, when) = match (word.strip_prefix('+'), word.strip_prefix('-')) {
                (Some(name), _) => (name, When::Always),
                (_, Some(name)) => (name, When::Never),
                _ => match word.strip_prefix('=') {
                    Some(name) => (name, When::Frozen),
                    None => (word, When::Auto),
                },
            };
            if let Some(column) = Column::ALL.into_iter().find(|column| column.name() == name)
                && chosen.iter().all(|(known, _)| *known != column)
            {
                chosen.push((column, when));
            }
        }
        for column in Column::ALL {
            if chosen.iter().all(|(known, _)| *known != column) {
                chosen.push((column, When::Auto));
            }
        }
        Self(chosen)
    }

    /// `=type +address -session …`: names in order, with the sign of a column that is frozen, always or never there.
    pub(crate) fn to_line(&self) -> String {
        let word = |(column, when): &(Column, When)| {
            let sign = match when {
                When::Auto => "",
                When::Always => "+",
                When::Frozen => "=",
                When::Never => "-",
            };
            format!("{sign}{}", column.name())
        };
        self.0.iter().map(word).collect::<Vec<_>>().join(" ")
    }
}

/// The dialog.
#[derive(Debug)]
pub(crate) struct ColumnDialog {
    /// What stands in it: the timeline shows it at once.
    pub(crate) choice: ColumnChoice,
    /// What there was before.
    pub(crate) before: ColumnChoice,
    picker: Picker,
}

impl ColumnDialog {
    /// The dialog over the columns that there are.
    pub(crate) fn new(choice: ColumnChoice) -> Self {
        Self { before: choice.clone(), choice, picker: Picker::default() }
    }

    /// Moves the selection.
    pub(crate) fn step(&mut self, by: isize) {
        self.picker.step(by, self.choice.0.len());
    }

    /// Shows the selected column always, never, by width.
    pub(crate) fn toggle(&mut self) {
        let at = self.picker.selected(self.choice.0.len());
        if let Some((_, when)) = self.choice.0.get_mut(at) {
            *when = when.next();
        }
    }

    /// Moves the selected column.
    pub(crate) fn shift(&mut self, by: isize) {
        let at = self.picker.selected(self.choice.0.len());
        let to = at.saturating_add_signed(by).min(self.choice.0.len().saturating_sub(1));
        if to != at {
            self.choice.0.swap(at, to);
            self.picker.select(to);
        }
    }

    /// All as shipped.
    pub(crate) fn reset(&mut self) {
        self.choice = ColumnChoice::default();
    }

    /// Lines that the dialog takes.
    fn height(&self) -> usize {
        self.choice.0.len() + 2
    }
}

impl Dialog for ColumnDialog {
    fn context(&self) -> Context {
        Context::Columns
    }

    fn frame(&self, _stage: &Stage<'_>) -> Frame {
        Frame::around(" Columns ", 70, self.height())
    }

    fn draw(&self, painter: &mut Painter<'_>, stage: &Stage<'_>) -> Option<Cursor> {
        let keymap = stage.keymap;
        let lines = self.choice.0.len();
        self.picker.paint(&mut painter.above(2), 0, lines, |painter, y, index| {
            let Some((column, when)) = self.choice.0.get(index) else { return };
            painter.say(3, y, column.name(), Role::Text);
            painter.say(14, y, when.says(), if *when == When::Auto { Role::Muted } else { Role::Key });
        });
        let key = |action| keymap.key(action);
        let keys = format!(
            "{} always/frozen/never · {} {} moves it · {} as shipped",
            key(Action::ColumnToggle),
            key(Action::ColumnDown),
            key(Action::ColumnUp),
            key(Action::ColumnReset)
        );
        let y = painter.height().saturating_sub(1);
        painter.put(1, y, &Safe::composed(&keys).cut_end(painter.width().saturating_sub(2)), Role::Muted);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::app::fixtures::Desk;
    use crate::console::app::message::Task as Work;
    use crate::console::core::tasks::Slot;
    use crate::console::timeline::task::Task;
    use crossterm::event::KeyCode;

    #[test]
    fn a_choice_is_read_as_it_was_written() {
        let mut dialog = ColumnDialog::new(ColumnChoice::default());
        dialog.step(3);
        dialog.toggle();
        dialog.shift(-2);
        dialog.step(5);
        (0..3).for_each(|_| dialog.toggle());
        dialog.step(1);
        (0..2).for_each(|_| dialog.toggle());
        let line = dialog.choice.to_line();
        assert!(line.starts_with("elapsed +actor resource type"), "{line}");
        assert!(line.contains(" -action =session "), "{line}");
        assert_eq!(ColumnChoice::of_line(&line), dialog.choice);
        assert_eq!(ColumnChoice::of_line(""), ColumnChoice::default());
        assert_eq!(ColumnChoice::of_line("nothing +type type").columns()[0], (Column::Type, When::Always));
        dialog.reset();
        assert_eq!(dialog.choice, ColumnChoice::default());
    }

    #[test]
    fn columns_are_scrolled_and_a_frozen_one_stays() {
        let mut desk = Desk::sized(80, 24, Some("acme"));
        desk.connect();
        desk.opened(30, 0);
        let heads = |desk: &Desk| {
            let screen = desk.screen();
            let line = screen.lines().find(|line| line.contains("sev")).unwrap_or_default();
            line.split_whitespace().skip(2).map(str::to_owned).collect::<Vec<_>>().join(" ")
        };
        assert!(heads(&desk).starts_with("type resource actor"), "{}", heads(&desk));
        desk.keys("l");
        assert!(heads(&desk).starts_with("‹resource actor"), "{}", heads(&desk));
        // Frozen, it is there again; the choice is remembered.
        desk.keys(",j  ").key(KeyCode::Enter);
        let kept = desk.begun(Slot::Columns).1;
        assert!(
            matches!(&kept, Work::Timeline(Task::KeepColumns(line)) if line.starts_with("elapsed =type resource")),
            "{kept:?}"
        );
        assert!(heads(&desk).starts_with("type ‹actor"), "{}", heads(&desk));
        desk.key(KeyCode::Right);
        assert!(heads(&desk).starts_with("type ‹address"), "{}", heads(&desk));
        desk.keys("hhh");
        assert!(heads(&desk).starts_with("type resource"), "{}", heads(&desk));
        // No key is lost at the end.
        desk.keys("llllllllllllllllllllh");
        assert!(heads(&desk).contains('‹'), "{}", heads(&desk));
        let before = heads(&desk);
        desk.keys("l");
        assert_ne!(heads(&desk), before);
        // Where there are no columns, an arrow closes nothing.
        for page in ["?", "K"] {
            let shown = desk.keys(page).screen();
            assert_eq!(desk.key(KeyCode::Right).screen(), shown);
            desk.key(KeyCode::Esc);
        }
    }
}
