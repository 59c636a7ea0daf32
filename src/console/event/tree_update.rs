//! What keys do in the tree of an event, and what becomes of what was looked for in it.

use crate::console::app::message::Effects;
use crate::console::app::model::{Connection, Model, Page};
use crate::console::app::start_task::{abandon, begin};
use crate::console::core::keymap::Action;
use crate::console::core::layout::Focus;
use crate::console::core::tasks::Slot;
use crate::console::dialogs::questions::TreeDepth;
use crate::console::event::task::Task;
use crate::console::event::tree_pane::TreePane;
use crate::console::event::tree_prompt::{OFFERED, TreePrompt};
use crate::console::widgets::scrolling::lines_of;
use crate::diff::json::NodeId;
use crate::diff::outline::{Outline, Path};
use crate::diff::rows::View;
use crate::domain::{OrgScope, Safe};

/// Opens the tree of the selected event, where the cursor of the change is.
pub(in crate::console) fn open_tree(model: &mut Model, effects: &mut Effects) {
    let (Some(place), Some(key)) = (model.history.current(), model.timeline.key()) else { return };
    if model.connection == Connection::Up {
        let work = Task::Tree(OrgScope::enter(place.organization.clone()), key.clone());
        let from = model.change.pointer().filter(|_| model.focus == Focus::Change).map(str::to_owned);
        model.page = Some(Page::Tree(Box::new(TreePane::new(key, from))));
        begin(model, work, effects);
    }
}

/// The tree, if it has the place of the panes.
pub(in crate::console) fn tree(model: &mut Model) -> Option<&mut TreePane> {
    match &mut model.page {
        Some(Page::Tree(tree)) => Some(tree),
        _ => None,
    }
}

/// Goes back to the panes.
pub(in crate::console) fn close(model: &mut Model, effects: &mut Effects) {
    model.page = None;
    abandon(model, &[Slot::Tree], effects);
}

/// A key while the tree is there. False when the panes are to deal with it, and the tree has gone.
pub(in crate::console) fn in_tree(model: &mut Model, action: Action, effects: &mut Effects) -> bool {
    let Some(tree) = tree(model) else { return false };
    match action {
        Action::Collapse => tree.collapse(),
        Action::Expand => tree.expand(),
        Action::Open => tree.open(),
        Action::ExpandAll => tree.unfold_to(usize::MAX),
        Action::CollapseAll => tree.unfold_to(0),
        Action::Levels => model.show(TreeDepth),
        Action::NextHit | Action::PreviousHit => {
            if !tree.step_hit(action == Action::PreviousHit) {
                let text = format!(
                    "no match: {} searches for something else",
                    model.setup.keymap.key(Action::Search)
                );
                model.notify(Safe::from_untrusted(&text));
            }
        }
        Action::Search if tree.outline().is_some() => {
            model.show(TreePrompt::for_words());
        }
        Action::FindPath if tree.outline().is_some() => {
            model.show(TreePrompt::for_path());
            typed(model, effects);
        }
        Action::Cancel | Action::Quit | Action::Tree => close(model, effects),
        Action::Search | Action::FindPath | Action::Zoom => {}
        Action::Help | Action::Palette | Action::Copy | Action::Refresh => return false,
        other => match lines_of(other, tree.body_height()) {
            Some(by) => tree.scroll(by),
            None => {
                close(model, effects);
                return false;
            }
        },
    }
    true
}

/// Unfolds to the level that was chosen. Any other key ends the question.
pub(in crate::console) fn unfold_to(model: &mut Model, action: Action) {
    if let (Some(tree), Some(levels)) = (tree(model), action.level()) {
        tree.unfold_to(levels);
    }
}

/// A key while it is typed what to look for.
pub(in crate::console) fn in_prompt(
    model: &mut Model,
    mut line: TreePrompt,
    action: Action,
    effects: &mut Effects,
) {
    match action {
        Action::Leave => return,
        Action::Submit if line.is_path() => {
            if let (Some(path), Some(tree)) = (line.chosen(), tree(model)) {
                tree.go_to(path.id);
                return;
            }
        }
        Action::Submit => {
            let text = line.prompt.text().to_owned();
            let Some((doc, view)) = sought(model).filter(|_| !text.is_empty()) else { return };
            return begin(model, Task::TreeFind(doc, Box::new(view), text), effects);
        }
        Action::Clear => line.prompt.editor.set(""),
        Action::HistoryBack => line.step(-1),
        Action::HistoryForward => line.step(1),
        _ => {}
    }
    let cleared = action == Action::Clear;
    model.show(line);
    if cleared {
        typed(model, effects);
    }
}

/// The text of that line has changed.
pub(in crate::console) fn typed(model: &mut Model, effects: &mut Effects) {
    let Some(line) = model.dialog::<TreePrompt>() else { return };
    if line.is_path() {
        let text = line.prompt.editor.text().to_owned();
        if let Some((doc, _)) = sought(model) {
            begin(model, Task::TreePaths(doc, text, OFFERED), effects);
        }
    }
}

fn sought(model: &mut Model) -> Option<(std::sync::Arc<crate::diff::json::OwnedDoc>, View)> {
    let tree = tree(model)?;
    Some((tree.outline()?.share(), tree.view().clone()))
}

/// The tree has been built.
pub(in crate::console) fn built(model: &mut Model, found: Option<(Outline, View)>) {
    if let Some(tree) = tree(model) {
        match found {
            Some((outline, view)) => tree.fill(outline, view),
            None => tree.fail(Safe::literal("the event is not in the table any more")),
        }
    }
}

/// Builds it again where that has failed, or ended with the connection.
pub(in crate::console) fn retry(model: &mut Model, effects: &mut Effects) {
    let Some(organization) = model.organization().cloned() else { return };
    if model.slots.running(Slot::Tree).is_some() {
        return;
    }
    if let Some(key) = tree(model).and_then(TreePane::retry) {
        begin(model, Task::Tree(OrgScope::enter(organization), key), effects);
    }
}

/// It could not be built, or searched.
pub(in crate::console) fn failed(model: &mut Model, why: Safe) {
    match tree(model) {
        Some(tree) if tree.outline().is_none() => tree.fail(why),
        _ => model.notify(why),
    }
}

/// Words have been looked for.
pub(in crate::console) fn found(model: &mut Model, text: String, hits: Vec<NodeId>) {
    let Some(tree) = tree(model) else { return };
    if !tree.take_hits(text, hits) {
        model.notify(Safe::literal("no match in this tree"));
    }
}

/// Paths have been looked for.
pub(in crate::console) fn offered(model: &mut Model, paths: Vec<Path>) {
    if let Some(line) = model.dialog_mut::<TreePrompt>()
        && line.is_path()
    {
        line.offer(paths);
    }
}
