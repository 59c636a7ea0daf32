//! What can be copied, by the key that follows.

use crate::console::core::keymap::{Action, Keymap, Section};
use crate::console::widgets::painter::Painter;
use crate::console::widgets::theme::Role;
use crate::domain::Safe;

/// The choices.
fn choices() -> impl Iterator<Item = Action> {
    Action::ALL.iter().copied().filter(|a| a.section() == Section::Copy)
}

/// Lines it needs.
pub(crate) fn height() -> usize {
    choices().count()
}

/// Draws them.
pub(crate) fn paint(painter: &mut Painter<'_>, keymap: &Keymap) {
    for (y, action) in choices().enumerate() {
        if let Some(key) = keymap.keys_of(action).first() {
            painter.put(1, y, &Safe::from_untrusted(key), Role::Key);
        }
        painter.say(5, y, action.doc(), Role::Text);
    }
}
