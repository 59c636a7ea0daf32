//! What follows from work that was stopped or has failed, and from a connection that was lost.

use super::browsing;
use super::hunting;
use super::model::{Connection, Model, Overlay};
use super::msg::{Effect, Effects, Failure};
use super::slots::Slot;
use crate::domain::Safe;
use std::time::Duration;

/// Says that it was stopped where it would have been shown.
pub(super) fn stopped(model: &mut Model, slot: Slot) {
    model.timeline.paused |= matches!(slot, Slot::Older | Slot::Newer);
    match slot {
        Slot::Marks => model.marks.trouble = Some(Safe::literal("stopped")),
        Slot::Integrity => model.integrity.fail(Safe::literal("stopped")),
        Slot::Ghosts => hunting::failed(model, Safe::literal("stopped")),
        Slot::Tree => browsing::failed(model, Safe::literal("stopped")),
        Slot::Scan => {
            model.trails.stopped(&model.setup.keymap);
        }
        _ => {}
    }
    if slot == Slot::View {
        view_failed(model, Safe::literal("stopped · R loads again"));
    }
    model.notify(Safe::literal("stopped"));
}

/// Says what failed where it would have been shown.
pub(super) fn failed(model: &mut Model, slot: Slot, failure: Failure, effects: &mut Effects) {
    // Without a pulse there is no work either, whatever the reason.
    if failure.lost || matches!(slot, Slot::Connection | Slot::Pulse) {
        return lost(model, slot, failure, effects);
    }
    let setting = model.setting();
    match slot {
        Slot::View => view_failed(model, failure.text),
        Slot::Older | Slot::Newer => {
            model.timeline.paused = true;
            model.timeline.trouble = Some(failure.text);
        }
        Slot::Event => {
            model.change.fail(failure.text.clone());
            model.event.fail(failure.text, setting);
        }
        Slot::Marked | Slot::Change => model.change.fail(failure.text),
        Slot::Version | Slot::Lists | Slot::Find | Slot::Shelf => model.notify(failure.text),
        Slot::Ghosts => hunting::failed(model, failure.text),
        Slot::Tree => browsing::failed(model, failure.text),
        Slot::Sheet => {
            if let Some(Overlay::Sheet(sheet)) = &mut model.overlay {
                sheet.fail(failure.text);
            }
        }
        Slot::Organizations => model.organizations.trouble = Some(failure.text),
        Slot::Marks => model.marks.trouble = Some(failure.text),
        Slot::Integrity => model.integrity.fail(failure.text),
        Slot::Accept => model.notify(failure.text),
        Slot::Scan => model.trails.fail(failure.text),
        // What would be said of the view.
        Slot::Price => {
            if let Some(advice) = model.filter.advice() {
                advice.trouble = Some(failure.text);
            }
        }
        // Connection and pulse were dealt with above; without a count, the title says that it is not known.
        // Without the versions each state is fetched by itself, and says what fails then. Values that are not there are
        // not missed.
        Slot::Count | Slot::Cost | Slot::Chronicle | Slot::Connection | Slot::Pulse | Slot::Values => {}
    }
}

/// Says why a view cannot be shown. Rows of the view before must not stand under the filter of this one.
fn view_failed(model: &mut Model, text: Safe) {
    if !model.shows_current_place() {
        model.timeline.close();
    }
    model.timeline.trouble = Some(text);
}

/// Waiting time before the next attempt: 0.5, 1, 2, 4, 5, 5, … seconds.
fn back_off(attempts: u32) -> Duration {
    Duration::from_millis(500 << attempts.min(4)).min(Duration::from_secs(5))
}

/// Gives up all work; tries to connect again where that may help.
fn lost(model: &mut Model, slot: Slot, failure: Failure, effects: &mut Effects) {
    for slot in Slot::ALL {
        if model.slots.abandon(slot) {
            effects.push(Effect::Cancel(slot));
        }
    }
    if let Some(place) = model.history.current_mut() {
        place.selected = model.timeline.key().or(place.selected.take());
    }
    hunting::failed(model, Safe::literal("the connection was lost"));
    if model.trails.scan.is_some() {
        let text = "the connection was lost: what was read until then says nothing of the trail";
        model.trails.fail(Safe::literal(text));
    }
    let (since, attempts) = match model.connection {
        Connection::Lost { since, attempts, .. } => (since, attempts),
        _ => (model.at.wall, 0),
    };
    // A refusal at the start (no such database, wrong password) will not change by itself. One that follows a lost
    // connection will: the server is starting, or lets nobody in for a while.
    let hopeless = slot == Slot::Connection && !failure.lost && model.server.is_none();
    let retry_at = (!hopeless).then(|| model.at.clock + back_off(attempts));
    model.connection = Connection::Lost { since, attempts, retry_at, reason: failure.text };
}
