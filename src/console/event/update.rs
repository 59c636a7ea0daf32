//! What follows from an event that was fetched, and what keys do in its pane and in its tree.

use crate::console::app::feature::Update;
use crate::console::app::message::Effects;
use crate::console::app::model::Model;
use crate::console::core::failure::Failure;
use crate::console::core::keymap::Action;
use crate::console::core::layout::Focus;
use crate::console::core::tasks::Slot;
use crate::console::dialogs::Overlay;
use crate::console::dialogs::questions::TreeDepth;
use crate::console::event::task::{Output, Progress};
use crate::console::event::tree_update;
use crate::console::widgets::scrolling::lines_of;
use crate::domain::Safe;

/// The rules of the event.
pub(in crate::console) struct Rules;

impl Update for Rules {
    type Output = Output;
    type Progress = Progress;

    fn done(model: &mut Model, output: Output, _effects: &mut Effects) {
        match output {
            Output::Load(detail) => {
                let setting = model.setting();
                match &detail {
                    Some(detail) => model.change.fill(detail),
                    None => model.change.fail(Safe::literal("the event is not in the table any more")),
                }
                model.event.fill(detail.map(|d| *d), setting);
            }
            Output::Tree(found) => tree_update::built(model, found.map(|found| *found)),
            Output::TreeFind((text, hits)) => tree_update::found(model, text, hits),
            Output::TreePaths(paths) => tree_update::offered(model, paths),
        }
    }

    fn failed(model: &mut Model, slot: Slot, failure: Failure, _effects: &mut Effects) {
        if slot == Slot::Tree {
            return tree_update::failed(model, failure.text);
        }
        let setting = model.setting();
        model.change.fail(failure.text.clone());
        model.event.fail(failure.text, setting);
    }

    fn cancelled(model: &mut Model, slot: Slot) {
        if slot == Slot::Tree {
            tree_update::failed(model, Safe::literal("cancelled"));
        }
    }

    fn retry(model: &mut Model, effects: &mut Effects) {
        model.event.hurry(model.at.clock);
        tree_update::retry(model, effects);
    }

    fn in_page(model: &mut Model, action: Action, effects: &mut Effects) -> bool {
        tree_update::in_tree(model, action, effects)
    }

    fn act(model: &mut Model, action: Action, effects: &mut Effects) -> bool {
        match action {
            Action::Tree => tree_update::open_tree(model, effects),
            _ if model.focus != Focus::Event => return false,
            Action::Open => tree_update::open_tree(model, effects),
            action => match lines_of(action, model.event.height()) {
                Some(by) => model.event.scroll(by),
                None => return false,
            },
        }
        true
    }

    fn answer(model: &mut Model, overlay: Overlay, action: Action, effects: &mut Effects) -> Option<Overlay> {
        overlay
            .when(|line| tree_update::in_prompt(model, line, action, effects))?
            .when(|TreeDepth| tree_update::unfold_to(model, action))
    }
}
