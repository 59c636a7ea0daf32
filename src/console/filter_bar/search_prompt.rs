//! The search within a view: the line in which it is typed, and what is looked for.

use crate::console::core::keymap::Context;
use crate::console::dialogs::{Cursor, Dialog, Frame, Stage};
use crate::console::widgets::painter::Painter;
use crate::console::widgets::prompt::Prompt;
use crate::console::widgets::text_input::Editor;
use crate::domain::Safe;
use crate::filter::{Expr, Filter, FilterError};

/// The prompt while it is typed.
#[derive(Debug)]
pub(crate) struct SearchPrompt {
    /// The line.
    pub(crate) prompt: Prompt,
}

impl Default for SearchPrompt {
    fn default() -> Self {
        Self { prompt: Prompt::new("/ ", "words, a \"phrase\", or any term of a filter") }
    }
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
        self.conditions.iter().cloned().fold(filter.clone(), |filter, condition| filter.narrowed(condition))
    }

    /// What is looked for by itself.
    pub(crate) fn filter(&self) -> Filter {
        Filter::of(self.conditions.clone())
    }
}

impl SearchPrompt {
    /// What the line says; `None` when it says nothing that can be looked for: the reason is shown.
    pub(crate) fn submit(&mut self) -> Option<Sought> {
        let text = self.prompt.text().to_owned();
        let why = |e: FilterError| Safe::composed(&e.to_string());
        match Filter::parse(&text).map_err(why) {
            Ok(filter) if filter.has_time() => {
                self.prompt
                    .refuse(Safe::literal("the times of the view are in its filter: change them there"));
                None
            }
            Ok(filter) if filter.conditions().is_empty() => None,
            Ok(filter) => Some(Sought { text, conditions: filter.conditions().to_vec() }),
            Err(why) => {
                self.prompt.refuse(why);
                None
            }
        }
    }
}

impl Dialog for SearchPrompt {
    fn context(&self) -> Context {
        Context::Editor
    }

    fn editor_mut(&mut self) -> Option<&mut Editor> {
        Some(&mut self.prompt.editor)
    }

    fn frame(&self, stage: &Stage<'_>) -> Frame {
        Frame::around(" Search in this view ", 70, self.prompt.height(stage.inside(70)))
    }

    fn draw(&self, painter: &mut Painter<'_>, _stage: &Stage<'_>) -> Option<Cursor> {
        Some(self.prompt.paint(painter, 0))
    }
}
