//! The last line: the keys that make sense now.

use crate::console::app::model::{Model, Page};
use crate::console::core::keymap::{Action, Context};
use crate::console::core::layout::Focus;
use crate::console::dialogs::Overlay;
use crate::console::widgets::painter::Painter;
use crate::console::widgets::theme::Role;
use crate::domain::Safe;

/// The actions worth a hint, the most important first.
fn actions(model: &Model) -> Vec<Action> {
    use Action as A;
    match model.context() {
        Context::Confirm => return vec![A::Yes, A::No],
        Context::Editor if model.overlay.is_some() => return vec![A::Submit, A::Leave, A::Clear],
        Context::Editor => {
            return vec![
                A::Submit,
                A::Leave,
                A::Complete,
                A::HistoryBack,
                A::SaveFilter,
                A::SavedFilters,
                A::Clear,
            ];
        }
        Context::Copy => {
            return vec![
                A::CopyRow,
                A::CopyValue,
                A::CopyState,
                A::CopyPath,
                A::CopyCommand,
                A::CopyListing,
                A::CopyJson,
            ];
        }
        Context::Tree => {
            let mut hints =
                vec![A::Cancel, A::Expand, A::Collapse, A::Search, A::FindPath, A::Copy, A::Levels];
            hints.extend([A::ExpandAll, A::CollapseAll, A::NextHit, A::Help]);
            return hints;
        }
        Context::Scope | Context::Levels => return vec![A::Cancel],
        Context::Saved => return vec![A::Open, A::Cancel, A::Forget, A::Down, A::Up],
        Context::Chooser | Context::Values => return vec![A::Open, A::Cancel, A::Down, A::Up],
        Context::Pane => {}
    }
    if let Some(Overlay::Help(_) | Overlay::Sheet(_)) = model.overlay {
        let mut hints = vec![A::Cancel, A::Down, A::Up, A::PageDown];
        if matches!(model.overlay, Some(Overlay::Help(_))) {
            hints.insert(0, A::Search);
        }
        return hints;
    }
    if matches!(model.page, Some(Page::Findings(_))) {
        return vec![A::Open, A::Cancel, A::Include, A::Exclude, A::Accept, A::VerifyAll, A::Help];
    }
    if matches!(model.page, Some(Page::Ghosts)) {
        return vec![A::Open, A::Cancel, A::Ghosts, A::Down, A::Up, A::Help];
    }
    if model.history.current().is_none() {
        return vec![A::Organization, A::Refresh, A::Help, A::Quit];
    }
    let areas = model.areas();
    let mut actions = match model.focus {
        Focus::Timeline => vec![A::Open],
        Focus::Integrity if model.trails.scan.is_some() => {
            vec![A::Cancel, A::Pause, A::Throttle, A::VerifyAll]
        }
        Focus::Change if model.change.travels() => {
            let mut hints =
                vec![A::Cancel, A::PreviousVersion, A::NextVersion, A::FirstVersion, A::LastVersion];
            hints.extend([A::Time, A::State, A::Copy]);
            hints
        }
        Focus::Change => vec![A::Cancel, A::Layout, A::Tree, A::Mark, A::Compare, A::NextEvent],
        Focus::Integrity => vec![A::Cancel, A::VerifyAll, A::NextFinding, A::Accept, A::Verify],
        Focus::Event => vec![A::Cancel, A::Tree, A::NextEvent],
    };
    // The panes that are not on the screen are named, so that they can be found.
    let hidden = [A::Timeline, A::Change, A::Integrity, A::Event].into_iter().zip(Focus::ALL);
    let hidden = hidden.filter(|(_, pane)| areas.of(*pane).is_none()).map(|(action, _)| action);
    actions.splice(1..1, hidden);
    actions.extend([A::Filter, A::Help, A::Quit, A::Organization]);
    if areas.timeline.is_some() && areas.divider.is_some() {
        actions.extend([A::NextPane, A::Zoom]);
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
    actions.extend([A::Refresh, A::Zone, A::Palette]);
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
