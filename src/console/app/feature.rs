//! What the `update` of a feature answers to.

use crate::console::app::message::Effects;
use crate::console::app::model::Model;
use crate::console::core::failure::Failure;
use crate::console::core::keymap::Action;
use crate::console::core::tasks::Slot;
use crate::console::dialogs::Overlay;

/// The rules of a feature. All of them are pure: no IO, no waiting, no clock.
pub(in crate::console) trait Update {
    /// Results of its tasks.
    type Output;
    /// Interim reports of its tasks.
    type Progress;

    /// Takes in the result of a task.
    fn done(model: &mut Model, output: Self::Output, effects: &mut Effects);

    /// Takes in how far a task has come.
    fn progress(_model: &mut Model, _progress: Self::Progress) {}

    /// Shows why a task has failed.
    fn failed(model: &mut Model, slot: Slot, failure: Failure, effects: &mut Effects);

    /// Shows that a task was cancelled. The status line says so anyway.
    fn cancelled(_model: &mut Model, _slot: Slot) {}

    /// Starts again what has failed and is still on the screen, so that no error outlasts its cause.
    fn retry(_model: &mut Model, _effects: &mut Effects) {}

    /// Answers a key while the feature has the place of all panes. False for a key that means what it means in the panes.
    fn in_page(_model: &mut Model, _action: Action, _effects: &mut Effects) -> bool {
        false
    }

    /// Answers a key of the panes. False for a key of another feature.
    fn act(_model: &mut Model, _action: Action, _effects: &mut Effects) -> bool {
        false
    }

    /// Answers a key in a dialog that has been taken off the screen; puts it back if it stays. Gives back the dialog of
    /// another feature.
    fn answer(
        _model: &mut Model,
        overlay: Overlay,
        _action: Action,
        _effects: &mut Effects,
    ) -> Option<Overlay> {
        Some(overlay)
    }
}
