//! What keys do in the tree of an event, and what becomes of what was looked for in it.

use super::keymap::Action;
use super::keys::lines_of;
use super::layout::Focus;
use super::model::{Connection, Model, Overlay, Page};
use super::msg::{Effect, Effects, Work};
use super::panes::seek::{OFFERED, SeekLine};
use super::panes::tree::TreePane;
use super::slots::Slot;
use super::update::begin;
use crate::diff::json::NodeId;
use crate::diff::outline::{Outline, Path};
use crate::diff::rows::View;
use crate::domain::{OrgScope, Safe};

/// Opens the tree of the selected event, where the cursor of the change is.
pub(super) fn open_tree(model: &mut Model, effects: &mut Effects) {
    let (Some(place), Some(key)) = (model.history.current(), model.timeline.key()) else { return };
    if model.connection == Connection::Up {
        let work = Work::Tree(OrgScope::enter(place.organization.clone()), key.clone());
        let from = model.change.pointer().filter(|_| model.focus == Focus::Change).map(str::to_owned);
        model.page = Some(Page::Tree(Box::new(TreePane::new(key, from))));
        begin(model, Slot::Tree, work, effects);
    }
}

/// The tree, if it has the place of the panes.
pub(super) fn tree(model: &mut Model) -> Option<&mut TreePane> {
    match &mut model.page {
        Some(Page::Tree(tree)) => Some(tree),
        _ => None,
    }
}

/// Goes back to the panes.
pub(super) fn close(model: &mut Model, effects: &mut Effects) {
    model.page = None;
    if model.slots.abandon(Slot::Tree) {
        effects.push(Effect::Cancel(Slot::Tree));
    }
}

/// A key while the tree is there. False when the panes are to deal with it, and the tree has gone.
pub(super) fn in_tree(model: &mut Model, action: Action, effects: &mut Effects) -> bool {
    let Some(tree) = tree(model) else { return false };
    match action {
        Action::Collapse => tree.collapse(),
        Action::Expand => tree.expand(),
        Action::Open => tree.open(),
        Action::ExpandAll => tree.unfold_to(usize::MAX),
        Action::CollapseAll => tree.unfold_to(0),
        Action::Levels => model.overlay = Some(Overlay::Levels),
        Action::NextHit | Action::PreviousHit => {
            if !tree.step_hit(action == Action::PreviousHit) {
                model.notify(Safe::literal("nothing was found: / looks for something else"));
            }
        }
        Action::Search if tree.outline().is_some() => {
            model.overlay = Some(Overlay::Seek(Box::new(SeekLine::for_words())));
        }
        Action::FindPath if tree.outline().is_some() => {
            model.overlay = Some(Overlay::Seek(Box::new(SeekLine::for_path())));
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

/// A digit after the key for levels.
pub(super) fn levels(model: &mut Model, digit: char) {
    model.overlay = None;
    if let (Some(tree), Some(levels)) = (tree(model), digit.to_digit(10)) {
        tree.unfold_to(levels as usize);
    }
}

/// A key while it is typed what to look for.
pub(super) fn in_seek(model: &mut Model, mut line: Box<SeekLine>, action: Action, effects: &mut Effects) {
    match action {
        Action::Leave => return,
        Action::Submit if line.is_path() => {
            if let (Some(path), Some(tree)) = (line.chosen(), tree(model)) {
                tree.go_to(path.id);
                return;
            }
        }
        Action::Submit => {
            let text = line.editor.text().trim().to_owned();
            let Some((doc, view)) = sought(model).filter(|_| !text.is_empty()) else { return };
            return begin(model, Slot::Tree, Work::TreeFind(doc, Box::new(view), text), effects);
        }
        Action::Clear => line.editor.set(""),
        Action::HistoryBack => line.step(-1),
        Action::HistoryForward => line.step(1),
        _ => {}
    }
    let cleared = action == Action::Clear;
    model.overlay = Some(Overlay::Seek(line));
    if cleared {
        typed(model, effects);
    }
}

/// The text of that line has changed.
pub(super) fn typed(model: &mut Model, effects: &mut Effects) {
    let Some(Overlay::Seek(line)) = &model.overlay else { return };
    if line.is_path() {
        let text = line.editor.text().to_owned();
        if let Some((doc, _)) = sought(model) {
            begin(model, Slot::Tree, Work::TreePaths(doc, text, OFFERED), effects);
        }
    }
}

fn sought(model: &mut Model) -> Option<(std::sync::Arc<crate::diff::json::OwnedDoc>, View)> {
    let tree = tree(model)?;
    Some((tree.outline()?.share(), tree.view().clone()))
}

/// The tree has been built.
pub(super) fn built(model: &mut Model, found: Option<(Outline, View)>) {
    if let Some(tree) = tree(model) {
        match found {
            Some((outline, view)) => tree.fill(outline, view),
            None => tree.fail(Safe::literal("the event is not in the table any more")),
        }
    }
}

/// It could not be built, or searched.
pub(super) fn failed(model: &mut Model, why: Safe) {
    match tree(model) {
        Some(tree) if tree.outline().is_none() => tree.fail(why),
        _ => model.notify(why),
    }
}

/// Words have been looked for.
pub(super) fn found(model: &mut Model, text: String, hits: Vec<NodeId>) {
    let Some(tree) = tree(model) else { return };
    if !tree.take_hits(text, hits) {
        model.notify(Safe::literal("nothing in this tree has that"));
    }
}

/// Paths have been looked for.
pub(super) fn offered(model: &mut Model, paths: Vec<Path>) {
    if let Some(Overlay::Seek(line)) = &mut model.overlay
        && line.is_path()
    {
        line.offer(paths);
    }
}
