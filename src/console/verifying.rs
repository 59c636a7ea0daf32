//! What is verified from the console, and when: rows in passing, an event, a trail; and what becomes of findings.

use super::accept::Accepting;
use super::history::Place;
use super::keymap::Action;
use super::keys::stop;
use super::marks::Look;
use super::model::{Connection, Model, Overlay};
use super::msg::{Effect, Effects, Land, Steer, Work};
use super::slots::Slot;
use super::trail;
use super::update::{begin, open_at, visit};
use crate::domain::{EventRow, OrgScope, Safe, grouped};
use crate::filter::Filter;
use std::num::NonZeroU32;

/// Paces at which a trail can be read, in events a second.
const PACES: [u32; 3] = [100_000, 10_000, 1000];

/// Checks the rows on the screen: those of which nothing is known yet, or all of them, thoroughly.
pub(super) fn look_at_rows(model: &mut Model, thorough: bool, effects: &mut Effects) {
    let rows: Vec<EventRow> = if thorough {
        model.timeline.visible().map(|row| row.event.clone()).collect()
    } else {
        model.unmarked().cloned().collect()
    };
    if let (Some(query), false) = (&model.timeline.query, rows.is_empty()) {
        let detected = model.marks.detected().cloned();
        let look = Look { scope: query.scope.clone(), rows, detected, thorough };
        begin(model, Slot::Marks, Work::Glance(look), effects);
    }
}

/// Verifies the selected event, if it is time.
pub(super) fn verify_event(model: &mut Model, effects: &mut Effects) {
    let Some(organization) = model.organization().cloned() else { return };
    if let Some((row, thorough)) = model.integrity.take_due(model.at.clock) {
        let work = Work::VerifyEvent(OrgScope::enter(organization), row.key(), thorough);
        begin(model, Slot::Integrity, work, effects);
    }
}

/// Verifies what is on the screen, whatever is known of it.
pub(super) fn verify_screen(model: &mut Model, effects: &mut Effects) {
    if model.connection == Connection::Up && model.shows_current_place() {
        look_at_rows(model, true, effects);
        model.integrity.hurry(model.at.clock);
    }
}

/// Starts reading the whole trail, or stops that.
pub(super) fn verify_trail(model: &mut Model, effects: &mut Effects) {
    if !stop(model, &[Slot::Scan], effects) {
        start(model, false, effects);
    }
}

fn start(model: &mut Model, resume: bool, effects: &mut Effects) {
    let Some(organization) = model.organization().cloned() else { return };
    if model.connection != Connection::Up {
        return;
    }
    model.trails.begin(organization.clone());
    let throttle = model.trails.throttle;
    let work = Work::VerifyTrail { scope: OrgScope::enter(organization), resume, throttle };
    begin(model, Slot::Scan, work, effects);
}

/// Pauses the reading of a trail, or goes on with it, also where it was interrupted.
pub(super) fn pause_trail(model: &mut Model, effects: &mut Effects) {
    match &mut model.trails.scan {
        Some(scan) => {
            scan.paused = !scan.paused;
            effects.push(Effect::Steer(Steer::Pause(scan.paused)));
        }
        None => start(model, true, effects),
    }
}

/// Reads the trail at the next slower pace; behind the slowest one as fast as can be.
pub(super) fn throttle_trail(model: &mut Model, effects: &mut Effects) {
    let slower = PACES.iter().copied().find(|pace| model.trails.throttle.is_none_or(|now| *pace < now.get()));
    model.trails.throttle = slower.and_then(NonZeroU32::new);
    if model.trails.scan.is_some() {
        effects.push(Effect::Steer(Steer::Throttle(model.trails.throttle)));
    }
    model.notify(match slower {
        Some(pace) => {
            let pace = grouped(pace.into());
            Safe::from_untrusted(&format!("trails are read at most at {pace} events a second"))
        }
        None => Safe::literal("trails are read as fast as can be"),
    });
}

/// Goes to the next finding of the last verification, or back to the one before.
pub(super) fn step_finding(model: &mut Model, back: bool, effects: &mut Effects) {
    let Some(organization) = model.organization().cloned() else { return };
    let Some(verified) = model.trails.report_mut(&organization) else {
        return model.notify(Safe::literal("V verifies the whole trail and lists its findings"));
    };
    let Some(finding) = verified.step(back) else {
        return model.notify(Safe::literal("the last verification has no findings"));
    };
    let Some(key) = trail::place_of(finding) else {
        return model.notify(Safe::literal("the row of this finding has no readable place in the timeline"));
    };
    if model.timeline.select(&key) || model.connection != Connection::Up {
        return;
    }
    let focus = model.focus;
    let mut filter = Filter::default();
    filter.set_all_time();
    match model.history.current() {
        Some(place) if place.filter == filter => open_at(model, Land::At(key), effects),
        _ => {
            let mut place = Place::new(organization, filter.canonical(), filter);
            place.selected = Some(key);
            visit(model, place, effects);
        }
    }
    model.focus = focus;
}

/// Asks why the finding that has been stepped to is understood.
pub(super) fn ask_to_accept(model: &mut Model) {
    let verified = model.organization().and_then(|organization| model.trails.report(organization));
    let asked = verified.and_then(|verified| {
        let finding = verified.current()?;
        Some(Accepting::new(&verified.report, finding, &model.setup.user))
    });
    match asked {
        Some(asked) => model.overlay = Some(Overlay::Accept(Box::new(asked))),
        None => model.notify(Safe::literal("there is no finding to accept: ' goes to one")),
    }
}

/// A key while that question is open.
pub(super) fn in_accept(model: &mut Model, mut asked: Box<Accepting>, action: Action, effects: &mut Effects) {
    match action {
        Action::Leave => return,
        Action::Clear => asked.editor.set(""),
        Action::Submit => {
            if let Some(record) = asked.answered(model.at.wall.to_rfc3339()) {
                return begin(model, Slot::Accept, Work::Accept(Box::new(record)), effects);
            }
            model.notify(Safe::literal("say why it is understood, Esc leaves it open"));
        }
        _ => {}
    }
    model.overlay = Some(Overlay::Accept(asked));
}
