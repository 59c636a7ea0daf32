//! What can be copied, by the key that follows.

use crate::console::core::keymap::{Action, Context, Section};
use crate::console::dialogs::{Cursor, Dialog, Frame, Stage};
use crate::console::widgets::painter::Painter;
use crate::console::widgets::theme::Role;
use crate::domain::Safe;

/// The choices.
fn choices() -> impl Iterator<Item = Action> {
    Action::ALL.iter().copied().filter(|a| a.section() == Section::Copy)
}

/// The texts that can be copied.
#[derive(Debug)]
pub(crate) struct CopyMenu;

impl Dialog for CopyMenu {
    fn context(&self) -> Context {
        Context::Copy
    }

    fn frame(&self, _stage: &Stage<'_>) -> Frame {
        Frame::around(" Copy ", 60, choices().count())
    }

    fn draw(&self, painter: &mut Painter<'_>, stage: &Stage<'_>) -> Option<Cursor> {
        for (y, action) in choices().enumerate() {
            if let Some(key) = stage.keymap.keys_of(action).first() {
                painter.put(1, y, &Safe::from_untrusted(key), Role::Key);
            }
            painter.say(5, y, action.doc(), Role::Text);
        }
        None
    }
}
