//! What follows from what happens. No IO, no waiting, no clock.

use super::history::Place;
use super::keymap::{Action, Context};
use super::layout::Focus;
use super::model::{Connection, Model, Overlay, PULSE, TWICE};
use super::msg::{Ask, Effect, Effects, Failure, Land, Msg, Outcome, Output, What, Work};
use super::panes::help;
use super::panes::palette::Palette;
use super::panes::timeline::{Step, Wanted};
use super::slots::{Slot, Ticket};
use super::zone::Zone;
use crate::domain::{OrgId, OrgScope, Safe};
use crate::filter::Filter;
use crate::store::timeline::{Count, Query, Seek};
use crossterm::event::{KeyEvent, KeyEventKind};
use std::time::Duration;

/// The first effects: connect.
pub(crate) fn start(model: &mut Model) -> Effects {
    let ticket = model.slots.begin(Slot::Connection, model.at.clock);
    vec![Effect::Start(ticket, Work::Connect { revive: false })]
}

/// Takes in one message.
pub(crate) fn update(model: &mut Model, msg: Msg) -> Effects {
    model.at = msg.at;
    let mut effects = Effects::new();
    match msg.what {
        What::Tick => tick(model, &mut effects),
        What::Key(key) => {
            if key.kind != KeyEventKind::Release {
                model.dirty = true;
                press(model, key, &mut effects);
            }
        }
        What::Paste(text) => {
            model.dirty = true;
            match &mut model.overlay {
                Some(Overlay::Palette(palette)) => palette.editor.paste(&text),
                _ => model.filter.paste(&text),
            }
        }
        What::Resize(width, height) => {
            model.dirty = true;
            model.size = (width, height);
        }
        What::Interrupt => {
            model.dirty = true;
            interrupt(model, &mut effects);
        }
        // The one place where results that nobody waits for any more are dropped.
        What::Ended(ticket, outcome) => {
            if model.slots.end(ticket) {
                ended(model, ticket, outcome, &mut effects);
            }
        }
    }
    follow(model, &mut effects);
    effects
}

/// What every change may entail: sizes, the event pane, rows to fetch ahead.
fn follow(model: &mut Model, effects: &mut Effects) {
    model.lay_out();
    let setting = model.setting();
    if model.event.show(model.timeline.row(), model.at.clock, setting) && model.slots.abandon(Slot::Event) {
        effects.push(Effect::Cancel(Slot::Event));
    }
    if model.connection != Connection::Up || model.slots.running(Slot::View).is_some() {
        return;
    }
    let Some(query) = model.timeline.query.clone() else { return };
    for (slot, wanted) in
        [(Slot::Older, model.timeline.wanted_older()), (Slot::Newer, model.timeline.wanted_newer())]
    {
        let Some(wanted) = wanted.filter(|_| model.slots.running(slot).is_none()) else { continue };
        let seek = match wanted {
            Wanted::Older(key) => Seek::OlderThan(key),
            Wanted::Newer(key) => Seek::NewerThan(key),
        };
        begin(model, slot, Work::More(query.clone(), seek), effects);
    }
}

fn begin(model: &mut Model, slot: Slot, work: Work, effects: &mut Effects) {
    let ticket = model.slots.begin(slot, model.at.clock);
    effects.push(Effect::Start(ticket, work));
}

fn tick(model: &mut Model, effects: &mut Effects) {
    let clock = model.at.clock;
    // Something on the screen moves by itself.
    model.dirty |= model.activity().is_some();
    if model.notice.as_ref().is_some_and(|n| n.until <= clock) {
        model.notice = None;
        model.dirty = true;
    }
    if model.leave_until.is_some_and(|until| until <= clock) {
        model.leave_until = None;
        model.dirty = true;
    }
    match model.connection {
        Connection::Up => {
            if model.pulse_at <= clock && model.slots.running(Slot::Pulse).is_none() {
                begin(model, Slot::Pulse, Work::Pulse, effects);
            }
            if let (Some(key), Some(place)) = (model.event.take_due(clock), model.history.current()) {
                let scope = OrgScope::enter(place.organization.clone());
                begin(model, Slot::Event, Work::Event(scope, key), effects);
            }
        }
        Connection::Lost { retry_at, .. } => {
            model.dirty = true;
            if retry_at.is_some_and(|at| at <= clock) {
                retry(model, effects);
            }
        }
        Connection::Connecting => {}
    }
}

fn retry(model: &mut Model, effects: &mut Effects) {
    if let Connection::Lost { retry_at, attempts, .. } = &mut model.connection {
        *retry_at = None;
        *attempts += 1;
        begin(model, Slot::Connection, Work::Connect { revive: model.setup.private_server }, effects);
    }
}

// ---------------------------------------------------------------------------------------------------- results

fn ended(model: &mut Model, ticket: Ticket, outcome: Outcome, effects: &mut Effects) {
    let slot = ticket.slot();
    // A pulse that was found beating changes nothing on the screen.
    model.dirty |= slot != Slot::Pulse || !matches!(outcome, Outcome::Done(_));
    model.pulse_at = model.at.clock + PULSE;
    match outcome {
        Outcome::Done(output) => done(model, slot, output, effects),
        Outcome::Cancelled => {
            model.timeline.paused |= matches!(slot, Slot::Older | Slot::Newer);
            if slot == Slot::View {
                view_failed(model, Safe::literal("stopped · R loads again"));
            }
            model.notify(Safe::literal("stopped"));
        }
        Outcome::Panicked => {
            let text = Safe::literal("this failed by a defect of the program · details are in the log");
            failed(model, slot, Failure { text, ..Failure::default() }, effects);
        }
        Outcome::Failed(failure) => failed(model, slot, failure, effects),
    }
}

fn failed(model: &mut Model, slot: Slot, failure: Failure, effects: &mut Effects) {
    if slot == Slot::Connection || failure.lost {
        return lost(model, slot, failure, effects);
    }
    let setting = model.setting();
    match slot {
        Slot::View => view_failed(model, failure.text),
        Slot::Older | Slot::Newer => {
            model.timeline.paused = true;
            model.timeline.trouble = Some(failure.text);
        }
        Slot::Event => model.event.fail(failure.text, setting),
        Slot::Organizations => model.organizations.trouble = Some(failure.text),
        // The title goes on saying that the number is not known.
        Slot::Count => {}
        Slot::Connection | Slot::Pulse => model.notify(failure.text),
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

fn lost(model: &mut Model, slot: Slot, failure: Failure, effects: &mut Effects) {
    for slot in Slot::ALL {
        if model.slots.abandon(slot) {
            effects.push(Effect::Cancel(slot));
        }
    }
    if let Some(place) = model.history.current_mut() {
        place.selected = model.timeline.key().or(place.selected.take());
    }
    let (since, attempts) = match model.connection {
        Connection::Lost { since, attempts, .. } => (since, attempts),
        _ => (model.at.wall, 0),
    };
    // A refusal (no such database, wrong password) will not change by itself.
    let hopeless = slot == Slot::Connection && !failure.lost && !model.setup.private_server;
    let retry_at = (!hopeless).then(|| model.at.clock + back_off(attempts));
    model.connection = Connection::Lost { since, attempts, retry_at, reason: failure.text };
}

fn done(model: &mut Model, slot: Slot, output: Output, effects: &mut Effects) {
    let zone = model.zone;
    match output {
        Output::Connected(facts) => connected(model, facts, effects),
        Output::Alive => {}
        Output::Organizations(list) => {
            let current = model.history.current().map(|p| p.organization.clone());
            model.organizations.set(list, current.as_ref());
            if current.is_none() {
                match model.organizations.list() {
                    [only] => {
                        let id = only.id.clone();
                        model.overlay = None;
                        enter_first(model, id, effects);
                    }
                    _ => model.overlay = Some(Overlay::Organizations),
                }
            }
        }
        Output::Opened(opened) => {
            let Some(place) = model.history.current_mut() else { return };
            place.range = Some(opened.range);
            let query = Query {
                scope: OrgScope::enter(place.organization.clone()),
                filter: place.filter.clone(),
                range: opened.range,
            };
            model.timeline.open(query.clone(), *opened, zone);
            if !matches!(model.timeline.count, Some(Count::Exact(_))) {
                begin(model, Slot::Count, Work::Estimate(query), effects);
            }
        }
        Output::More(rows, more) => {
            model.timeline.trouble = None;
            match slot {
                Slot::Older => model.timeline.append(rows, more, zone),
                _ => model.timeline.prepend(rows, more, zone),
            }
        }
        Output::Estimated(count) => {
            model.timeline.set_count(count);
            if let (false, Some(query)) = (matches!(count, Count::Exact(_)), model.timeline.query.clone()) {
                begin(model, Slot::Count, Work::Count(query), effects);
            }
        }
        Output::Counted(count) => model.timeline.set_count(count),
        Output::Event(detail) => {
            let setting = model.setting();
            model.event.fill(detail.map(|d| *d), setting);
        }
    }
}

fn connected(model: &mut Model, facts: crate::store::ServerFacts, effects: &mut Effects) {
    if matches!(model.connection, Connection::Lost { .. }) {
        model.notify(Safe::literal("connected again"));
    }
    model.connection = Connection::Up;
    model.server = Some(facts);
    if model.history.current().is_some() {
        open(model, effects);
        model.event.hurry(model.at.clock);
    } else if let Some(id) = model.wanted.0.take() {
        enter_first(model, id, effects);
    } else {
        begin(model, Slot::Organizations, Work::Organizations, effects);
    }
}

// ---------------------------------------------------------------------------------------------------- views

fn enter_first(model: &mut Model, organization: OrgId, effects: &mut Effects) {
    let (_, text, filter) = std::mem::take(&mut model.wanted);
    model.history.push(Place::new(organization, text, filter));
    open(model, effects);
}

/// Opens the current view, at the event that was selected in it.
fn open(model: &mut Model, effects: &mut Effects) {
    let land = model.history.current().and_then(|p| p.selected.clone()).map_or(Land::Newest, Land::At);
    open_at(model, land, effects);
}

fn open_at(model: &mut Model, land: Land, effects: &mut Effects) {
    let Some(place) = model.history.current() else { return };
    let ask = Ask {
        scope: OrgScope::enter(place.organization.clone()),
        filter: place.filter.clone(),
        range: place.range,
        now: model.at.wall,
        window: model.setup.window.as_duration(),
    };
    for slot in [Slot::Older, Slot::Newer, Slot::Count] {
        if model.slots.abandon(slot) {
            effects.push(Effect::Cancel(slot));
        }
    }
    begin(model, Slot::View, Work::Open(ask, land), effects);
}

/// Remembers where we are, before going somewhere else.
fn remember(model: &mut Model) {
    let key = model.timeline.key();
    if let Some(place) = model.history.current_mut() {
        place.selected = key.or(place.selected.take());
    }
}

fn visit(model: &mut Model, place: Place, effects: &mut Effects) {
    remember(model);
    let elsewhere = model.history.current().is_none_or(|p| p.organization != place.organization);
    model.history.push(place);
    show_other(model, elsewhere, effects);
}

/// Opens the view that has become the current one.
fn show_other(model: &mut Model, elsewhere: bool, effects: &mut Effects) {
    if elsewhere {
        // Rows of one organisation must not stand under the name of another, not even for a moment.
        model.timeline.close();
    }
    model.focus = Focus::Timeline;
    open(model, effects);
}

fn travel(model: &mut Model, go: fn(&mut super::history::History) -> bool, effects: &mut Effects) -> bool {
    remember(model);
    let before = model.history.current().map(|p| p.organization.clone());
    let moved = go(&mut model.history);
    if moved {
        let elsewhere = model.history.current().map(|p| &p.organization) != before.as_ref();
        show_other(model, elsewhere, effects);
    }
    moved
}

// ---------------------------------------------------------------------------------------------------- keys

fn press(model: &mut Model, key: KeyEvent, effects: &mut Effects) {
    let context = model.context();
    match model.setup.keymap.action(context, key) {
        Some(action) => act(model, action, effects),
        None if context == Context::Editor => match &mut model.overlay {
            Some(Overlay::Palette(palette)) => {
                palette.editor.input(key);
            }
            _ => model.filter.input(key),
        },
        None => {}
    }
}

/// Does what a key, or the palette, asks for.
fn act(model: &mut Model, action: Action, effects: &mut Effects) {
    match action {
        Action::Interrupt => return interrupt(model, effects),
        Action::Suspend => return effects.push(Effect::Suspend),
        Action::Redraw => return effects.push(Effect::Redraw),
        _ => {}
    }
    match model.overlay.take() {
        Some(Overlay::Quit) => {
            if action == Action::Yes {
                effects.push(Effect::Quit);
            } else if model.history.current().is_none() {
                model.overlay = Some(Overlay::Organizations);
            }
        }
        Some(Overlay::Palette(palette)) => in_palette(model, palette, action, effects),
        Some(Overlay::Organizations) => in_chooser(model, action, effects),
        Some(Overlay::Help(top)) => in_help(model, top, action),
        None if model.filter.is_editing() => in_filter(model, action, effects),
        None => in_panes(model, action, effects),
    }
}

fn in_palette(model: &mut Model, mut palette: Palette, action: Action, effects: &mut Effects) {
    match action {
        Action::Leave => return,
        Action::Submit => {
            if let Some(chosen) = palette.chosen() {
                return act(model, chosen, effects);
            }
        }
        Action::Clear => palette = Palette::default(),
        Action::HistoryBack => palette.step(-1),
        Action::HistoryForward => palette.step(1),
        _ => {}
    }
    model.overlay = Some(Overlay::Palette(palette));
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
                model.overlay = Some(Overlay::Quit);
            }
            return;
        }
        other => lines_of(other, 10).unwrap_or(0),
    };
    model.organizations.step(by);
    model.overlay = Some(Overlay::Organizations);
}

fn choose(model: &mut Model, id: OrgId, effects: &mut Effects) {
    match model.history.current() {
        None => enter_first(model, id, effects),
        Some(place) if place.organization == id => {}
        // A filter names actors and objects of one organisation: another one is entered without it.
        Some(_) => visit(model, Place::new(id, String::new(), Filter::default()), effects),
    }
}

fn in_help(model: &mut Model, top: usize, action: Action) {
    let lines = usize::from(model.size.1.saturating_sub(4)).max(1);
    let last = help::height(&model.setup.keymap).saturating_sub(lines);
    if let Some(by) = lines_of(action, lines) {
        model.overlay = Some(Overlay::Help(top.saturating_add_signed(by).min(last)));
    }
    // Any other key closes help.
}

fn in_filter(model: &mut Model, action: Action, effects: &mut Effects) {
    match action {
        Action::Submit => {
            if let Some((text, filter)) = model.filter.submit()
                && let Some(place) = model.history.current()
            {
                let mut next = Place::new(place.organization.clone(), text, filter);
                next.selected = model.timeline.key().or_else(|| place.selected.clone());
                visit(model, next, effects);
            }
        }
        Action::Leave => model.filter.leave(),
        Action::Clear => model.filter.clear(),
        Action::HistoryBack => model.filter.recall(false),
        Action::HistoryForward => model.filter.recall(true),
        _ => {}
    }
}

fn in_panes(model: &mut Model, action: Action, effects: &mut Effects) {
    match action {
        Action::Help => model.overlay = Some(Overlay::Help(0)),
        Action::Palette => model.overlay = Some(Overlay::Palette(Palette::default())),
        Action::Filter => {
            if let Some(place) = model.history.current() {
                model.filter.edit(&place.text);
            }
        }
        Action::Organization => {
            if let Some(place) = model.history.current() {
                model.organizations.select(&place.organization);
            }
            model.overlay = Some(Overlay::Organizations);
            if model.connection == Connection::Up {
                begin(model, Slot::Organizations, Work::Organizations, effects);
            }
        }
        Action::Refresh => refresh(model, effects),
        Action::Back => {
            travel(model, super::history::History::back, effects);
        }
        Action::Forward => {
            travel(model, super::history::History::forward, effects);
        }
        Action::Timeline => model.focus = Focus::Timeline,
        Action::Event => {
            model.focus = Focus::Event;
            model.event.hurry(model.at.clock);
        }
        Action::NextPane | Action::PreviousPane => {
            model.focus = if model.focus == Focus::Timeline { Focus::Event } else { Focus::Timeline };
        }
        Action::Zoom => model.zoomed = !model.zoomed,
        Action::Zone => {
            model.zone = if model.zone == Zone::Utc { model.setup.local } else { Zone::Utc };
            model.timeline.window.set_zone(model.zone);
        }
        Action::NextEvent => {
            model.timeline.step(Step::Older);
        }
        Action::PreviousEvent => {
            model.timeline.step(Step::Newer);
        }
        Action::Quit => {
            let reading = model.focus == Focus::Event && model.areas().timeline.is_none();
            if reading {
                model.focus = Focus::Timeline;
            } else if !travel(model, super::history::History::pop, effects) {
                model.overlay = Some(Overlay::Quit);
            }
        }
        Action::Cancel => {
            if !stop(model, &[Slot::View], effects) {
                if model.focus == Focus::Event {
                    model.focus = Focus::Timeline;
                } else {
                    travel(model, super::history::History::back, effects);
                }
            }
        }
        Action::Open => {
            if model.timeline.row().is_some() {
                model.focus = Focus::Event;
                model.event.hurry(model.at.clock);
            }
        }
        other => move_focused(model, other, effects),
    }
}

fn move_focused(model: &mut Model, action: Action, effects: &mut Effects) {
    if model.focus == Focus::Event {
        if let Some(by) = lines_of(action, model.event.height()) {
            model.event.scroll(by);
        }
        return;
    }
    let step = match action {
        Action::Down => Step::Older,
        Action::Up => Step::Newer,
        Action::PageDown => Step::PageOlder,
        Action::PageUp => Step::PageNewer,
        Action::HalfDown => Step::HalfOlder,
        Action::HalfUp => Step::HalfNewer,
        Action::First | Action::Last => {
            let oldest = action == Action::Last;
            if !model.timeline.jump(oldest) && model.connection == Connection::Up {
                if let Some(place) = model.history.current_mut() {
                    place.selected = None;
                }
                open_at(model, if oldest { Land::Oldest } else { Land::Newest }, effects);
            }
            return;
        }
        _ => return,
    };
    model.timeline.step(step);
}

/// Lines that a movement scrolls; `None` for other actions.
fn lines_of(action: Action, height: usize) -> Option<isize> {
    let page = height.max(1) as isize;
    Some(match action {
        Action::Down => 1,
        Action::Up => -1,
        Action::PageDown => page,
        Action::PageUp => -page,
        Action::HalfDown => (page / 2).max(1),
        Action::HalfUp => -(page / 2).max(1),
        Action::First => isize::MIN,
        Action::Last => isize::MAX,
        _ => return None,
    })
}

fn refresh(model: &mut Model, effects: &mut Effects) {
    match model.connection {
        Connection::Up => {
            if model.history.current().is_none() {
                return begin(model, Slot::Organizations, Work::Organizations, effects);
            }
            remember(model);
            if let Some(place) = model.history.current_mut() {
                // New bounds: the trail may have grown.
                place.range = None;
            }
            open(model, effects);
            model.event.hurry(model.at.clock);
        }
        Connection::Lost { .. } if model.slots.running(Slot::Connection).is_none() => retry(model, effects),
        _ => {}
    }
}

/// Stops what is running in some slots. Whether there was anything.
fn stop(model: &Model, slots: &[Slot], effects: &mut Effects) -> bool {
    let before = effects.len();
    let running = slots.iter().filter(|s| s.activity().is_some() && model.slots.running(**s).is_some());
    effects.extend(running.map(|s| Effect::Cancel(*s)));
    effects.len() > before
}

fn interrupt(model: &mut Model, effects: &mut Effects) {
    if model.leave_until.is_some_and(|until| model.at.clock < until) {
        return effects.push(Effect::Quit);
    }
    model.leave_until = Some(model.at.clock + TWICE);
    let text = if stop(model, &Slot::ALL, effects) {
        "stopping · Ctrl-c again leaves"
    } else {
        "Ctrl-c again leaves"
    };
    model.notify(Safe::literal(text));
}

#[cfg(test)]
#[path = "update_tests.rs"]
mod tests;
