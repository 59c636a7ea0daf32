//! The search within a view: the line in which it is typed, and what is looked for.

use crate::console::editor::Editor;
use crate::console::paint::Painter;
use crate::console::theme::Role;
use crate::domain::Safe;
use crate::filter::{Expr, Filter, FilterError};

/// The line while it is typed.
#[derive(Debug, Default)]
pub(crate) struct SearchLine {
    /// The text.
    pub(crate) editor: Editor,
    /// Why it cannot be looked for.
    trouble: Option<Safe>,
}

/// What is looked for, as typed and as meant.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sought {
    /// As typed.
    pub(crate) text: String,
    conditions: Vec<Expr>,
}

impl Sought {
    /// A view narrowed to what is looked for.
    pub(crate) fn within(&self, filter: &Filter) -> Filter {
        self.conditions.iter().fold(filter.clone(), |narrowed, condition| narrowed.with(condition.clone()))
    }

    /// What is looked for by itself.
    pub(crate) fn filter(&self) -> Filter {
        Filter::of(self.conditions.clone())
    }
}

impl SearchLine {
    /// What the line says; `None` when it says nothing that can be looked for: the reason is shown.
    pub(crate) fn submit(&mut self) -> Option<Sought> {
        let text = self.editor.text().trim().to_owned();
        let why = |e: FilterError| Safe::from_untrusted(&e.to_string());
        match Filter::parse(&text).map_err(why) {
            Ok(filter) if filter.has_time() => {
                self.trouble = Some(Safe::literal("the view has its times already: f changes them"));
                None
            }
            Ok(filter) if filter.conditions().is_empty() => None,
            Ok(filter) => Some(Sought { text, conditions: filter.conditions().to_vec() }),
            Err(why) => {
                self.trouble = Some(why);
                None
            }
        }
    }

    /// Draws it; returns the place of the cursor.
    pub(crate) fn paint(&self, painter: &mut Painter<'_>) -> (usize, usize) {
        let x = painter.say(1, 0, "/ ", Role::Key);
        let (cursor, _) = self.editor.paint(painter, x, 0, &[], None);
        let room = painter.width().saturating_sub(2);
        match &self.trouble {
            Some(why) => painter.put(1, 1, &why.cut_end(room), Role::Error),
            None => painter.say(1, 1, "words, a \"phrase\", or any term of a filter", Role::Muted),
        };
        (cursor, 0)
    }
}
