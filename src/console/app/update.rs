//! What follows from what happens. No IO, no waiting, no clock.

use crate::console::app::dispatch;
use crate::console::app::input::{act, press};
use crate::console::app::message::{Effect, Effects, Event, Msg, Outcome};
use crate::console::app::model::{Connection, Model};
use crate::console::app::navigation::{enter_first, open, remember};
use crate::console::app::start_task::{abandon, begin};
use crate::console::change;
use crate::console::change::layout::CAP;
use crate::console::connection;
use crate::console::connection::task as connection_task;
use crate::console::core::failure::Failure;
use crate::console::core::keymap::Action;
use crate::console::core::tasks::{Slot, Ticket};
use crate::console::event::{task as event_task, tree_update};
use crate::console::filter_bar::update::{ask_about_line, follow_line};
use crate::console::integrity::update::{look_at_rows, verify_event};
use crate::console::restore;
use crate::console::timeline;
use crate::domain::{OrgScope, Safe};
use crossterm::event::KeyEventKind;

/// The first effects: connect.
pub(crate) fn start(model: &mut Model) -> Effects {
    let mut effects = Effects::new();
    begin(model, connection_task::Task::Connect(false), &mut effects);
    effects
}

/// Takes in one message.
pub(crate) fn update(model: &mut Model, msg: Msg) -> Effects {
    model.at = msg.at;
    let mut effects = Effects::new();
    match msg.event {
        Event::Tick => tick(model, &mut effects),
        Event::Key(key) => {
            if key.kind != KeyEventKind::Release {
                model.dirty = true;
                model.keeper.touched = true;
                if model.banner.is_empty() {
                    press(model, key, &mut effects);
                } else {
                    // The first key says that it was read; only then is anything of the table.
                    model.banner.clear();
                    resume(model, &mut effects);
                }
            }
        }
        Event::Paste(text) => {
            model.dirty = true;
            paste(model, &text, &mut effects);
            tree_update::typed(model, &mut effects);
        }
        Event::Resize(width, height) => {
            model.dirty = true;
            model.size = (width, height);
            // Even at the size before: a terminal that was small for a moment has lost what it showed.
            effects.push(Effect::Redraw);
        }
        Event::Interrupt => {
            model.dirty = true;
            connection::update::interrupt(model, &mut effects);
        }
        Event::Progress(ticket, progress) => {
            if model.slots.is_current(ticket) {
                model.dirty = true;
                dispatch::progress(model, progress);
            }
        }
        // The one place where results that nobody waits for any more are dropped.
        Event::Ended(ticket, outcome) => {
            if model.slots.end(ticket) {
                ended(model, ticket, outcome, &mut effects);
            }
        }
    }
    follow(model, &mut effects);
    effects
}

/// Text goes where text is typed; elsewhere it begins a filter, which waits for the key that runs it.
fn paste(model: &mut Model, text: &str, effects: &mut Effects) {
    if model.overlay.is_none() && !model.filter.is_editing() && model.banner.is_empty() {
        act(model, Action::Filter, effects);
        model.filter.clear();
    }
    let taken = match model.overlay.as_mut().map(|overlay| overlay.editor_mut()) {
        Some(Some(editor)) => editor.paste(text),
        None if model.filter.is_editing() => model.filter.paste(text),
        _ => return model.notify(Safe::literal("not pasted: no text is typed here")),
    };
    if !taken {
        model.notify(Safe::literal("not pasted: a line holds at most 1 MB"));
    }
}

/// What every change may entail: sizes, the event pane, rows to fetch ahead.
fn follow(model: &mut Model, effects: &mut Effects) {
    model.lay_out();
    follow_line(model, effects);
    let setting = model.setting();
    if model.event.show(model.timeline.row(), model.at.clock, setting) {
        model.change.show(model.timeline.row());
        abandon(model, &[Slot::Event, Slot::Change], effects);
    }
    let needles = model.needles();
    model.change.seek(&needles);
    model.event.seek(&needles, setting);
    change::update::follow(model, effects);
    let known = model.timeline.row().and_then(|row| model.marks.of(&row.event)).cloned();
    model.event.set_known(known, setting);
    let row = model.timeline.row().map(|row| &row.event);
    let entry =
        model.organization().zip(row).and_then(|(organization, row)| model.case.entry(organization, row));
    model.event.set_said(entry.cloned(), setting);
    let row = model.timeline.row().map(|row| &row.event);
    if model.integrity.show(row, model.at.clock) {
        abandon(model, &[Slot::Integrity], effects);
    }
    if model.connection != Connection::Up || model.slots.running(Slot::View).is_some() {
        return;
    }
    let wanted = model.slots.running(Slot::Marks).is_none() && model.unmarked().next().is_some();
    model.marks.want(wanted, model.at.clock);
    timeline::update::fetch_ahead(model, effects);
    timeline::update::follow_strip(model, effects);
    restore::update::follow(model);
}

fn tick(model: &mut Model, effects: &mut Effects) {
    let clock = model.at.clock;
    // Something on the screen moves by itself.
    model.dirty |= model.activity().is_some() || model.shows_age();
    if model.notice.as_ref().is_some_and(|n| n.until <= clock) {
        model.notice = None;
        model.dirty = true;
    }
    if model.leave_until.is_some_and(|until| until <= clock) {
        model.leave_until = None;
        model.dirty = true;
    }
    connection::update::tick(model, effects);
    if model.connection != Connection::Up {
        return;
    }
    restore::update::tick(model, effects);
    if let (Some(key), Some(place)) = (model.event.take_due(clock), model.history.current()) {
        let scope = OrgScope::enter(place.organization.clone());
        begin(model, event_task::Task::Load(scope, key, CAP), effects);
    }
    timeline::update::count_new(model, effects);
    if model.marks.take_due(clock) {
        look_at_rows(model, false, effects);
    }
    ask_about_line(model, effects);
    if model.areas().integrity.is_some() {
        verify_event(model, effects);
    }
}

fn ended(model: &mut Model, ticket: Ticket, outcome: Outcome, effects: &mut Effects) {
    let slot = ticket.slot();
    // A check that the server answers changes nothing on the screen, nor does counting that nothing came, nor a note.
    model.dirty |=
        !matches!(slot, Slot::Pulse | Slot::New | Slot::KeepPlace) || !matches!(outcome, Outcome::Done(_));
    connection::update::ended(model, slot);
    match outcome {
        Outcome::Done(output) => {
            dispatch::done(model, output, effects);
            if slot == Slot::Connection && model.banner.is_empty() {
                resume(model, effects);
            }
        }
        Outcome::Cancelled => dispatch::cancelled(model, slot),
        Outcome::Panicked => {
            let text = Safe::literal("this failed by a defect of the program · details are in the log");
            failed(model, slot, Failure { text, ..Failure::default() }, effects);
        }
        Outcome::Failed(failure) => failed(model, slot, failure, effects),
    }
}

fn failed(model: &mut Model, slot: Slot, failure: Failure, effects: &mut Effects) {
    // Without a pulse there is no work either, whatever the reason.
    if failure.lost {
        connection::update::lost(model, slot, failure, effects);
    } else {
        dispatch::failed(model, slot, failure, effects);
    }
}

/// Reads what is to be seen first, or what was seen last.
fn resume(model: &mut Model, effects: &mut Effects) {
    if model.history.current().is_some() {
        // One may have moved on in the rows at hand meanwhile.
        remember(model);
        open(model, effects);
        dispatch::retry(model, effects);
    } else if let Some(id) = model.wanted.0.take() {
        restore::update::ask(model, effects);
        enter_first(model, id, effects);
    } else {
        restore::update::ask(model, effects);
        begin(model, connection_task::Task::Organizations(), effects);
    }
}

#[cfg(test)]
#[path = "update_tests.rs"]
mod tests;
