//! The way of a result, a failure, a key or a dialog to the feature that it belongs to.

use crate::console::app::feature::Update;
use crate::console::app::message::{Effects, Output, Progress};
use crate::console::app::model::Model;
use crate::console::core::failure::Failure;
use crate::console::core::features::features;
use crate::console::core::keymap::Action;
use crate::console::core::tasks::{Feature, Slot};
use crate::console::dialogs::Overlay;
use crate::domain::Safe;

macro_rules! dispatch {
    ($($name:ident $module:ident { $($slots:tt)+ })+) => {
        /// Hands a result to its feature.
        pub(in crate::console) fn done(model: &mut Model, output: Output, effects: &mut Effects) {
            match output {
                $(Output::$name(output) => {
                    <crate::console::$module::update::Rules as Update>::done(model, output, effects);
                })+
            }
        }

        /// Hands an interim report to its feature.
        pub(in crate::console) fn progress(model: &mut Model, progress: Progress) {
            match progress {
                $(Progress::$name(progress) => {
                    <crate::console::$module::update::Rules as Update>::progress(model, progress);
                })+
            }
        }

        /// Hands a failure to the feature whose slot it is.
        pub(in crate::console) fn failed(
            model: &mut Model,
            slot: Slot,
            failure: Failure,
            effects: &mut Effects,
        ) {
            match slot.feature() {
                $(Feature::$name => {
                    <crate::console::$module::update::Rules as Update>::failed(model, slot, failure, effects);
                })+
            }
        }

        /// Tells the feature whose slot it is that work was cancelled.
        pub(in crate::console) fn cancelled(model: &mut Model, slot: Slot) {
            match slot.feature() {
                $(Feature::$name => {
                    <crate::console::$module::update::Rules as Update>::cancelled(model, slot);
                })+
            }
            if slot.activity().is_some() {
                model.notify(Safe::literal("cancelled"));
            }
        }

        /// Lets every feature start again what has failed.
        pub(in crate::console) fn retry(model: &mut Model, effects: &mut Effects) {
            $(<crate::console::$module::update::Rules as Update>::retry(model, effects);)+
        }

        /// Hands a key to the feature that has the place of all panes. Whether there is one that answers to it.
        pub(in crate::console) fn in_page(model: &mut Model, action: Action, effects: &mut Effects) -> bool {
            $(<crate::console::$module::update::Rules as Update>::in_page(model, action, effects))||+
        }

        /// Hands a key of the panes to the feature that answers to it. Whether there is one.
        pub(in crate::console) fn act(model: &mut Model, action: Action, effects: &mut Effects) -> bool {
            $(<crate::console::$module::update::Rules as Update>::act(model, action, effects))||+
        }

        /// Hands a key to the feature whose dialog it is. Gives back a dialog of no feature.
        pub(in crate::console) fn answer(
            model: &mut Model,
            overlay: Overlay,
            action: Action,
            effects: &mut Effects,
        ) -> Option<Overlay> {
            let mut rest = Some(overlay);
            $(if let Some(overlay) = rest {
                rest = <crate::console::$module::update::Rules as Update>::answer(model, overlay, action, effects);
            })+
            rest
        }
    };
}

features!(dispatch);
