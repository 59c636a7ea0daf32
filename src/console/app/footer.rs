//! The last line: the keys that make sense now.

use crate::console::app::model::{Model, Page};
use crate::console::core::keymap::{Action, Context};
use crate::console::core::layout::Focus;
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
                A::HelpWhileTyping,
                A::Clear,
            ];
        }
        Context::Copy => {
            return vec![
                A::CopyRow,
                A::CopyValue,
                A::CopyState,
                A::CopyPatch,
                A::CopyRestore,
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
        Context::Brush => {
            return vec![
                A::Open,
                A::Cancel,
                A::BrushEarlier,
                A::BrushLater,
                A::BrushAnchor,
                A::First,
                A::Last,
            ];
        }
        Context::Columns => {
            return vec![A::Open, A::Cancel, A::ColumnToggle, A::ColumnDown, A::ColumnUp, A::ColumnReset];
        }
        Context::Tasks => return vec![A::CancelTask, A::Cancel, A::Pause, A::Down, A::Up, A::Help],
        Context::Scope | Context::Levels => return vec![A::Cancel],
        Context::Export => return vec![A::Open, A::Cancel, A::ExportMarks, A::Down, A::Up],
        Context::Saved => return vec![A::Open, A::Cancel, A::Forget, A::Down, A::Up],
        Context::Chooser | Context::Values => return vec![A::Open, A::Cancel, A::Down, A::Up],
        Context::Pane => {}
    }
    in_panes(model)
}

/// The same where panes, or what has their place, have the keys.
fn in_panes(model: &Model) -> Vec<Action> {
    use Action as A;
    if let Some(hints) = model.overlay.as_ref().and_then(|dialog| dialog.hints()) {
        return hints.to_vec();
    }
    match model.page {
        Some(Page::Findings(_)) => {
            return vec![A::Open, A::Cancel, A::Include, A::Exclude, A::Accept, A::VerifyAll, A::Help];
        }
        Some(Page::Case(_)) => {
            return vec![A::Open, A::Cancel, A::Note, A::Tag, A::Bookmark, A::Refresh, A::Help];
        }
        Some(Page::Ghosts) => return vec![A::Open, A::Cancel, A::Ghosts, A::Down, A::Up, A::Help],
        Some(Page::Tree(_) | Page::Tasks(_)) | None => {}
    }
    if model.history.current().is_none() {
        return vec![A::Organization, A::Refresh, A::Help, A::Quit];
    }
    if model.timeline.row().is_none() && model.focus == Focus::Timeline {
        // There is no event to do something with.
        return vec![
            A::Filter,
            A::Cancel,
            A::Refresh,
            A::Organization,
            A::Time,
            A::Histogram,
            A::Zone,
            A::Palette,
        ];
    }
    let areas = model.areas();
    let mut actions = of_pane(model);
    // The panes that are not on the screen are named, so that they can be found.
    let hidden = [A::Timeline, A::Change, A::Integrity, A::Event].into_iter().zip(Focus::ALL);
    actions.extend(hidden.filter(|(_, pane)| areas.of(*pane).is_none()).map(|(action, _)| action));
    if model.focus == Focus::Timeline {
        actions.extend([
            A::VerifyAll,
            A::Include,
            A::Exclude,
            A::Bookmark,
            A::Note,
            A::Mark,
            A::Time,
            A::First,
            A::Last,
        ]);
    } else {
        actions.extend([A::Filter, A::NextEvent]);
    }
    actions.extend([A::Organization, A::Palette]);
    if areas.timeline.is_some() && areas.divider.is_some() {
        actions.extend([A::NextPane, A::Zoom]);
    }
    if model.history.can_go_back() {
        actions.push(A::Back);
    }
    if model.history.can_go_forward() {
        actions.push(A::Forward);
    }
    if model.tabs.count() > 1 {
        actions.extend([A::NextTab, A::PreviousTab]);
    }
    actions.extend([A::Refresh, A::Zone]);
    actions
}

/// Those of the pane that has the keys.
fn of_pane(model: &Model) -> Vec<Action> {
    use Action as A;
    match model.focus {
        Focus::Timeline => vec![A::Open, A::Filter, A::Pivot, A::Search],
        Focus::Integrity if model.trails.scan.is_some() => {
            vec![A::Cancel, A::Pause, A::Throttle, A::VerifyAll]
        }
        Focus::Change if model.change.travels() => {
            let mut hints =
                vec![A::Cancel, A::PreviousVersion, A::NextVersion, A::FirstVersion, A::LastVersion];
            hints.extend([A::Time, A::State, A::Copy]);
            hints
        }
        Focus::Change => vec![A::Cancel, A::Layout, A::Tree, A::Blame, A::State, A::Copy, A::Compare],
        Focus::Integrity => vec![A::Cancel, A::VerifyAll, A::NextFinding, A::Findings, A::Accept, A::Verify],
        Focus::Event => vec![A::Cancel, A::Tree, A::Copy, A::NextEvent, A::Pivot],
    }
}

/// The actions that are named wherever the panes have the keys, behind all others.
fn last(model: &Model) -> &'static [Action] {
    let panes = model.context() == Context::Pane && model.overlay.is_none() && model.page.is_none();
    if panes && model.history.current().is_some() { &[Action::Help, Action::Quit] } else { &[] }
}

/// Draws as many as fit, each once; those that are always named have their room.
pub(crate) fn paint(painter: &mut Painter<'_>, model: &Model) {
    let keymap = &model.setup.keymap;
    let hint = |action: Action| Some((Safe::from_untrusted(keymap.keys_of(action).first()?), action.short()));
    let width = |(key, name): &(Safe, &str)| key.width() + 1 + name.len();
    let last: Vec<_> = last(model).iter().copied().filter_map(hint).collect();
    let kept: usize = last.iter().map(|hint| width(hint) + 2).sum();
    let mut x = 1;
    let mut draw = |painter: &mut Painter<'_>, hint: (Safe, &'static str), kept: usize| {
        if x + width(&hint) + kept <= painter.width() {
            x = painter.put(x, 0, &hint.0, Role::Key) + 1;
            x = painter.say(x, 0, hint.1, Role::Muted) + 2;
        }
    };
    let actions = actions(model);
    let first = actions.iter().enumerate().filter(|(at, action)| !actions[..*at].contains(action));
    for hint in first.filter_map(|(_, action)| hint(*action)) {
        draw(painter, hint, kept);
    }
    for hint in last {
        draw(painter, hint, 0);
    }
}
