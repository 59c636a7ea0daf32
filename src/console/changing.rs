//! What is asked of the pane about a change: to look at something else, to compare, to go from version to version.

use super::change::{CAP, WHOLE};
use super::keymap::Action;
use super::layout::Focus;
use super::life::Life;
use super::model::{Connection, Model, Overlay};
use super::msg::{Effect, Effects, Land, Work};
use super::panes::change::{self, Lens, Way};
use super::panes::time::TimeLine;
use super::slots::Slot;
use super::update::{begin, go_to_version, open_at};
use crate::domain::{EventKey, OrgScope, Safe, Timestamp};
use crate::store::history::Resource;

/// Looks at the life of the resource, or at the event again.
pub(super) fn look(model: &mut Model, lens: Lens) {
    if model.areas().change.is_none() {
        model.focus_on(Focus::Change);
    }
    model.change.toggle(lens);
}

/// Goes to another version of the resource: from memory while its versions are at hand.
pub(super) fn version(model: &mut Model, way: Way, effects: &mut Effects) {
    let (Some(place), Some(row)) = (model.history.current(), model.timeline.row()) else { return };
    let (resource, key) = (Resource::of(&row.event), row.event.key());
    if let Ok(found) = model.change.go(way) {
        return match found {
            Some(there) if there != key => go_to_version(model, &resource, there, effects),
            _ => model.notify(Safe::literal("there is no further version")),
        };
    }
    let scope = OrgScope::enter(place.organization.clone());
    let end = |timestamp| EventKey { timestamp, event_id: String::new() };
    let (of, older) = match way {
        Way::Older => (key, true),
        Way::Newer => (key, false),
        Way::First => (end(Timestamp::NEG_INFINITY), false),
        Way::Last => (end(Timestamp::INFINITY), true),
    };
    begin(model, Slot::Version, Work::Version { scope, resource, of, older }, effects);
}

/// A key while it is typed which time to go to.
pub(super) fn in_time(model: &mut Model, mut line: Box<TimeLine>, action: Action, effects: &mut Effects) {
    match action {
        Action::Leave => return,
        Action::Clear => line.editor.set(""),
        Action::Submit => {
            let newest = model.timeline.newest;
            if let Some(time) = line.answered(model.at.wall, newest) {
                return go_to_time(model, time, effects);
            }
        }
        _ => {}
    }
    model.overlay = Some(Overlay::Time(line));
}

/// Goes to what was the case at a time: to the last event of the view until then, or to the version of the resource.
fn go_to_time(model: &mut Model, time: Timestamp, effects: &mut Effects) {
    // Events of that instant have happened by then.
    let behind = EventKey {
        timestamp: Timestamp::from_micros(time.as_micros().saturating_add(1)),
        event_id: String::new(),
    };
    let (Some(place), Some(row)) = (model.history.current(), model.timeline.row()) else { return };
    if model.connection != Connection::Up {
        return;
    }
    if model.change.travels() {
        let (scope, resource) = (OrgScope::enter(place.organization.clone()), Resource::of(&row.event));
        begin(model, Slot::Version, Work::Version { scope, resource, of: behind, older: true }, effects);
    } else {
        open_at(model, Land::At(behind), effects);
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

/// What the change pane wants done.
pub(super) fn follow(model: &mut Model, effects: &mut Effects) {
    if let Some(work) = wanted(model) {
        begin(model, Slot::Change, work, effects);
    }
    if let (Connection::Up, Some(place)) = (&model.connection, model.history.current())
        && let Some(resource) = model.change.take_wanted_versions()
    {
        let work = Work::Chronicle(OrgScope::enter(place.organization.clone()), resource);
        begin(model, Slot::Chronicle, work, effects);
    }
}

fn wanted(model: &mut Model) -> Option<Work> {
    let scope = OrgScope::enter(model.history.current()?.organization.clone());
    let now = model.at.wall;
    Some(match model.change.wanted()? {
        change::Wanted::Compared(states, form) => Work::LayOut(states, form),
        change::Wanted::Blame(resource, event, form) => {
            Work::Blame(Life { scope, resource, event, now }, form)
        }
        change::Wanted::StateAt(chronicle, version, form) => Work::StateAt(chronicle, version, form),
        change::Wanted::State(resource, event, form) => {
            Work::State(Life { scope, resource, event, now }, form)
        }
    })
}
