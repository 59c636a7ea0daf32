//! What is asked of the pane about a change: to look at something else, to compare, to go from version to version.

use super::change::{CAP, WHOLE};
use super::keymap::Action;
use super::layout::Focus;
use super::model::Model;
use super::msg::{Effect, Effects, Work};
use super::panes::change::Lens;
use super::slots::Slot;
use super::update::begin;
use crate::domain::{EventKey, OrgScope, Safe};
use crate::store::history::Resource;

/// Looks at the life of the resource, or at the event again.
pub(super) fn look(model: &mut Model, lens: Lens) {
    if model.areas().change.is_none() {
        model.focus_on(Focus::Change);
    }
    model.change.toggle(lens);
}

/// Goes to the version of the resource before or after the selected event.
pub(super) fn version(model: &mut Model, older: bool, effects: &mut Effects) {
    if let (Some(place), Some(row)) = (model.history.current(), model.timeline.row()) {
        let scope = OrgScope::enter(place.organization.clone());
        let (resource, of) = (Resource::of(&row.event), row.event.key());
        begin(model, Slot::Version, Work::Version { scope, resource, of, older }, effects);
    }
}

/// Copies something about the selected event.
pub(super) fn copy(model: &mut Model, action: Action, effects: &mut Effects) {
    match super::copy::text(model, action) {
        Ok(text) => {
            effects.push(Effect::Copy(text));
            model.notify(Safe::literal("copied, if the terminal allows it"));
        }
        Err(reason) => model.notify(Safe::literal(reason)),
    }
}

/// Marks the selected event, to compare others with it.
pub(super) fn mark(model: &mut Model) {
    let Some(place) = model.history.current() else { return };
    let text = if model.change.mark(&place.organization) {
        "marked: D compares the selected event with it"
    } else {
        "no event is marked"
    };
    model.notify(Safe::literal(text));
}

/// Compares with the marked event, or with the state before again.
pub(super) fn compare(model: &mut Model, effects: &mut Effects) {
    let marked = model.history.current().and_then(|p| model.change.marked(&p.organization)).cloned();
    let Some(key) = marked else {
        return model.notify(Safe::literal("no event is marked here: Space marks one"));
    };
    if model.areas().change.is_none() {
        model.focus_on(Focus::Change);
    }
    if model.change.compare() {
        fetch(model, Slot::Marked, key, CAP, effects);
    }
}

/// Fetches the states of which only the beginning is here.
pub(super) fn fetch_whole(model: &mut Model, effects: &mut Effects) {
    let marked = model.history.current().and_then(|p| model.change.compared(&p.organization)).cloned();
    for (slot, key) in [(Slot::Event, model.timeline.key()), (Slot::Marked, marked)] {
        if let Some(key) = key {
            fetch(model, slot, key, WHOLE, effects);
        }
    }
}

/// Fetches an event of the current organisation with its states.
fn fetch(model: &mut Model, slot: Slot, key: EventKey, cap: u32, effects: &mut Effects) {
    if let Some(place) = model.history.current() {
        let scope = OrgScope::enter(place.organization.clone());
        begin(model, slot, Work::Event(scope, key, cap), effects);
    }
}
