//! Questions that one key answers.

use crate::console::core::keymap::{Action, Keymap, Section};
use crate::console::widgets::painter::Painter;
use crate::console::widgets::theme::Role;
use crate::domain::Safe;

/// Lines of the question about the scope of a search for ghost changes.
pub(crate) const SCOPE_HEIGHT: usize = 5;

/// Draws the scopes of a search for ghost changes.
pub(crate) fn scope(painter: &mut Painter<'_>, keymap: &Keymap) {
    painter.say(1, 0, "Unexplained changes: search which resources?", Role::Text);
    let scopes = Action::ALL.iter().copied().filter(|a| a.section() == Section::Scope);
    for (y, action) in scopes.enumerate() {
        painter.put(3, y + 1, &Safe::from_untrusted(&keymap.key(action)), Role::Key);
        painter.say(6, y + 1, action.doc(), Role::Text);
    }
    painter.say(1, 4, "Reads every event of them; runs in the background.", Role::Muted);
}

/// Draws the depths of a tree.
pub(crate) fn levels(painter: &mut Painter<'_>, keymap: &Keymap) {
    let keys: Vec<String> = Action::ALL
        .iter()
        .filter(|a| a.section() == Section::Levels)
        .map(|action| keymap.key(*action))
        .collect();
    painter.put(1, 0, &Safe::from_untrusted(&format!("Unfold how deep?  {}", keys.join(" "))), Role::Text);
}

/// Draws the question before leaving.
pub(crate) fn quit(painter: &mut Painter<'_>, keymap: &Keymap) {
    let (yes, no) = (keymap.key(Action::Yes), keymap.key(Action::No));
    let text = format!("Leave the console?  {yes} yes  {no} no");
    painter.put(1, 0, &Safe::from_untrusted(&text), Role::Text);
}
