//! The last line: the keys that make sense now.

use crate::console::keymap::{Action, Context};
use crate::console::layout::Focus;
use crate::console::model::{Model, Overlay};
use crate::console::paint::Painter;
use crate::console::theme::Role;
use crate::domain::Safe;

/// The actions worth a hint, the most important first.
fn actions(model: &Model) -> Vec<Action> {
    use Action as A;
    match model.context() {
        Context::Confirm => return vec![A::Yes, A::No],
        Context::Editor if model.overlay.is_some() => return vec![A::Submit, A::Leave, A::Clear],
        Context::Editor => return vec![A::Submit, A::Leave, A::Clear, A::HistoryBack],
        Context::Chooser => return vec![A::Open, A::Cancel, A::Down, A::Up],
        Context::Pane => {}
    }
    if let Some(Overlay::Help(_)) = model.overlay {
        return vec![A::Cancel, A::Down, A::Up, A::PageDown];
    }
    if model.history.current().is_none() {
        return vec![A::Organization, A::Refresh, A::Help, A::Quit];
    }
    let areas = model.areas();
    let mut actions = match model.focus {
        Focus::Event => vec![A::Cancel, A::NextEvent, A::PreviousEvent],
        Focus::Timeline => vec![A::Open],
    };
    actions.extend([A::Filter, A::Organization, A::Help]);
    // The pane that is not on the screen is named, so that it can be found.
    match (areas.timeline, areas.event) {
        (None, _) => actions.insert(1, A::Timeline),
        (_, None) => actions.insert(1, A::Event),
        _ => actions.extend([A::NextPane, A::Zoom]),
    }
    if model.focus == Focus::Timeline {
        actions.extend([A::First, A::Last]);
    }
    if model.history.can_go_back() {
        actions.push(A::Back);
    }
    if model.history.can_go_forward() {
        actions.push(A::Forward);
    }
    actions.extend([A::Refresh, A::Zone, A::Palette, A::Quit]);
    actions
}

/// Draws as many as fit.
pub(crate) fn paint(painter: &mut Painter<'_>, model: &Model) {
    let mut x = 1;
    for action in actions(model) {
        let keys = model.setup.keymap.keys_of(action);
        let Some(key) = keys.first().map(|k| Safe::from_untrusted(k)) else { continue };
        let needed = key.width() + 1 + action.short().len();
        if x + needed > painter.width() {
            continue;
        }
        x = painter.put(x, 0, &key, Role::Key) + 1;
        x = painter.say(x, 0, action.short(), Role::Muted) + 2;
    }
}
