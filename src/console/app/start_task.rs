//! Starting and cancelling work.

use crate::console::app::message::{Effect, Effects, Task};
use crate::console::app::model::Model;
use crate::console::core::tasks::{PAGES, Slot};

/// Starts a task in its slot; what ran there is cancelled, and its result dropped.
pub(in crate::console) fn begin(model: &mut Model, task: impl Into<Task>, effects: &mut Effects) {
    let task = task.into();
    let slot = task.slot();
    let ticket = model.slots.begin(slot, model.at.clock);
    if slot == Slot::Find || PAGES.contains(&slot) {
        model.timeline.reading = None;
    }
    effects.push(Effect::Start(ticket, task));
}

/// Cancels what is running in some slots; each will still report its end. Whether there was anything.
pub(in crate::console) fn stop(model: &Model, slots: &[Slot], effects: &mut Effects) -> bool {
    let before = effects.len();
    let running = slots.iter().filter(|s| s.activity().is_some() && model.slots.running(**s).is_some());
    effects.extend(running.map(|s| Effect::Cancel(*s)));
    effects.len() > before
}

/// Cancels what is running in some slots, and drops its results.
pub(in crate::console) fn abandon(model: &mut Model, slots: &[Slot], effects: &mut Effects) {
    for slot in slots {
        if model.slots.abandon(*slot) {
            effects.push(Effect::Cancel(*slot));
        }
    }
}
