//! What follows from a connection that is made, lost or made again, and from the list of organisations.

use crate::console::app::feature::Update;
use crate::console::app::message::{Effect, Effects};
use crate::console::app::model::{Connection, Model, PULSE, TWICE};
use crate::console::app::navigation::{enter_first, visit};
use crate::console::app::start_task::{begin, stop};
use crate::console::connection::task::{Output, Progress, Task};
use crate::console::core::failure::Failure;
use crate::console::core::keymap::Action;
use crate::console::core::tasks::{SILENT, Slot};
use crate::console::core::view_stack::Place;
use crate::console::dialogs::Overlay;
use crate::console::dialogs::organizations::OrganizationChooser;
use crate::console::dialogs::questions::Leaving;
use crate::console::widgets::scrolling::lines_of;
use crate::domain::{OrgId, Safe};
use crate::filter::Filter;
use crate::store::aggregate::organizations::{Organization, unnamed_in_words};
use crate::store::{ServerFacts, Standing};
use std::time::Duration;

/// The rules of the connection.
pub(in crate::console) struct Rules;

impl Update for Rules {
    type Output = Output;
    type Progress = Progress;

    fn done(model: &mut Model, output: Output, effects: &mut Effects) {
        match output {
            Output::Connect(facts) => connected(model, facts),
            Output::Pulse(None) => {}
            Output::Pulse(Some(facts)) => {
                // A replica falls behind and catches up.
                let told = |facts: &ServerFacts| facts.standing.to_string();
                model.dirty |= model.server.as_ref().map(told) != Some(told(&facts));
                model.server = Some(facts);
            }
            Output::Organizations((list, unnamed)) => listed(model, list, unnamed, effects),
        }
    }

    fn failed(model: &mut Model, slot: Slot, failure: Failure, effects: &mut Effects) {
        match slot {
            Slot::Organizations => model.organizations.trouble = Some(failure.text),
            _ => lost(model, slot, failure, effects),
        }
    }

    fn retry(model: &mut Model, effects: &mut Effects) {
        if model.organizations.trouble.is_some() {
            begin(model, Task::Organizations(), effects);
        }
    }

    fn act(model: &mut Model, action: Action, effects: &mut Effects) -> bool {
        if action != Action::Organization {
            return false;
        }
        if let Some(place) = model.history.current() {
            model.organizations.select(&place.organization);
        }
        model.show(OrganizationChooser);
        if model.connection == Connection::Up {
            begin(model, Task::Organizations(), effects);
        }
        true
    }

    fn answer(model: &mut Model, overlay: Overlay, action: Action, effects: &mut Effects) -> Option<Overlay> {
        overlay.when(|OrganizationChooser| in_chooser(model, action, effects))
    }
}

fn in_chooser(model: &mut Model, action: Action, effects: &mut Effects) {
    let by = match action {
        Action::Open => {
            if let Some(id) = model.organizations.selected().cloned() {
                return choose(model, id, effects);
            }
            0
        }
        Action::Cancel => {
            // Without an organisation there is nothing behind the chooser.
            if model.history.current().is_none() {
                model.show(Leaving);
            }
            return;
        }
        other => lines_of(other, 10).unwrap_or(0),
    };
    model.organizations.step(by);
    model.show(OrganizationChooser);
}

fn choose(model: &mut Model, id: OrgId, effects: &mut Effects) {
    match model.history.current() {
        None => enter_first(model, id, effects),
        Some(place) if place.organization == id => {}
        // A filter names actors and objects of one organisation: another one is entered without it.
        Some(_) => visit(model, Place::new(id, String::new(), Filter::default()), effects),
    }
}

fn listed(model: &mut Model, list: Vec<Organization>, unnamed: u64, effects: &mut Effects) {
    if unnamed > 0 {
        model.notify(Safe::from_untrusted(&unnamed_in_words(unnamed)));
    }
    let current = model.history.current().map(|p| p.organization.clone());
    model.organizations.set(list, current.as_ref());
    if current.is_none() {
        match model.organizations.list() {
            [only] => {
                let id = only.id.clone();
                model.overlay = None;
                enter_first(model, id, effects);
            }
            _ => model.show(OrganizationChooser),
        }
    }
}

fn connected(model: &mut Model, facts: ServerFacts) {
    if matches!(model.connection, Connection::Lost { .. }) {
        model.notify(Safe::literal("connected again"));
    }
    model.connection = Connection::Up;
    if facts.standing == Standing::InsteadOfReplica {
        model.notify(Safe::literal("the replica is away: reading from the primary"));
    }
    if !model.warned && !facts.remarks.is_empty() {
        model.banner = facts.remarks.iter().map(|remark| Safe::from_untrusted(remark)).collect();
        model.warned = true;
    }
    model.server = Some(facts);
}

/// Connects again, at once.
pub(in crate::console) fn reconnect(model: &mut Model, effects: &mut Effects) {
    if let Connection::Lost { retry_at, attempts, .. } = &mut model.connection {
        *retry_at = None;
        *attempts += 1;
        begin(model, Task::Connect(model.setup.private_server), effects);
    }
}

/// Checks the server when it is time, or connects again.
pub(in crate::console) fn tick(model: &mut Model, effects: &mut Effects) {
    let clock = model.at.clock;
    match model.connection {
        Connection::Up => {
            if model.pulse_at <= clock && model.slots.running(Slot::Pulse).is_none() {
                begin(model, Task::Pulse(), effects);
            }
        }
        Connection::Lost { retry_at, .. } => {
            model.dirty = true;
            if retry_at.is_some_and(|at| at <= clock) {
                reconnect(model, effects);
            }
        }
        Connection::Connecting => {}
    }
}

/// Notes the end of a check, for the time of the next one.
pub(in crate::console) fn ended(model: &mut Model, slot: Slot) {
    if matches!(slot, Slot::Connection | Slot::Pulse) {
        model.pulse_at = model.at.clock + PULSE;
    }
}

/// Waiting time before the next attempt: 0.5, 1, 2, 4, 5, 5, … seconds.
fn back_off(attempts: u32) -> Duration {
    Duration::from_millis(500 << attempts.min(4)).min(Duration::from_secs(5))
}

/// Gives up all work; tries to connect again where that may help.
pub(in crate::console) fn lost(model: &mut Model, slot: Slot, failure: Failure, effects: &mut Effects) {
    for slot in Slot::ALL {
        if model.slots.abandon(*slot) {
            effects.push(Effect::Cancel(*slot));
        }
    }
    if let Some(place) = model.history.current_mut() {
        place.selected = model.timeline.key().or(place.selected.take());
    }
    if let Some(list) = &mut model.ghosts {
        list.fail(Safe::literal("the connection was lost"));
    }
    if model.trails.scan.is_some() {
        let text = "the connection was lost: what was read until then says nothing of the trail";
        model.trails.fail(Safe::literal(text));
    }
    if failure.refused {
        model.refused = Some(failure.text.clone());
        effects.push(Effect::Quit);
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

/// The first time: cancel what is running. The second time, soon after: leave.
pub(in crate::console) fn interrupt(model: &mut Model, effects: &mut Effects) {
    if model.leave_until.is_some_and(|until| model.at.clock < until) {
        return effects.push(Effect::Quit);
    }
    model.leave_until = Some(model.at.clock + TWICE);
    let again = model.setup.keymap.key(Action::Interrupt);
    let unseen = SILENT.iter().filter(|slot| model.slots.running(**slot).is_some());
    effects.extend(unseen.map(|slot| Effect::Cancel(*slot)));
    let text = if stop(model, Slot::ALL, effects) {
        format!("cancelling · {again} again leaves")
    } else {
        format!("{again} again leaves")
    };
    model.notify(Safe::from_untrusted(&text));
}
