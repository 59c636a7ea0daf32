//! Questions that one key answers.

use crate::console::core::keymap::{Action, Context, Section};
use crate::console::dialogs::{Cursor, Dialog, Frame, Stage};
use crate::console::widgets::painter::Painter;
use crate::console::widgets::theme::Role;
use crate::domain::Safe;

/// The scope of a search for ghost changes.
#[derive(Debug)]
pub(crate) struct GhostScope;

impl Dialog for GhostScope {
    fn context(&self) -> Context {
        Context::Scope
    }

    fn frame(&self, _stage: &Stage<'_>) -> Frame {
        Frame::around(" Ghost changes ", 76, 5)
    }

    fn draw(&self, painter: &mut Painter<'_>, stage: &Stage<'_>) -> Option<Cursor> {
        painter.say(1, 0, "Unexplained changes: search which resources?", Role::Text);
        let scopes = Action::ALL.iter().copied().filter(|a| a.section() == Section::Scope);
        for (y, action) in scopes.enumerate() {
            painter.put(3, y + 1, &Safe::from_untrusted(&stage.keymap.key(action)), Role::Key);
            painter.say(6, y + 1, action.doc(), Role::Text);
        }
        painter.say(1, 4, "Reads every event of them; runs in the background.", Role::Muted);
        None
    }
}

/// The depth of a tree.
#[derive(Debug)]
pub(crate) struct TreeDepth;

impl Dialog for TreeDepth {
    fn context(&self) -> Context {
        Context::Levels
    }

    fn frame(&self, _stage: &Stage<'_>) -> Frame {
        Frame::around(" Depth ", 50, 1)
    }

    fn draw(&self, painter: &mut Painter<'_>, stage: &Stage<'_>) -> Option<Cursor> {
        let keys: Vec<String> = Action::ALL
            .iter()
            .filter(|a| a.section() == Section::Levels)
            .map(|action| stage.keymap.key(*action))
            .collect();
        let text = format!("Unfold how deep?  {}", keys.join(" "));
        painter.put(1, 0, &Safe::from_untrusted(&text), Role::Text);
        None
    }
}

/// Leave?
#[derive(Debug)]
pub(crate) struct Leaving;

impl Dialog for Leaving {
    fn context(&self) -> Context {
        Context::Confirm
    }

    fn frame(&self, _stage: &Stage<'_>) -> Frame {
        Frame::around(" Leave? ", 40, 1)
    }

    fn draw(&self, painter: &mut Painter<'_>, stage: &Stage<'_>) -> Option<Cursor> {
        let (yes, no) = (stage.keymap.key(Action::Yes), stage.keymap.key(Action::No));
        let text = format!("Leave the console?  {yes} yes  {no} no");
        painter.put(1, 0, &Safe::from_untrusted(&text), Role::Text);
        None
    }
}
