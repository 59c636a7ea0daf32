//! What follows from what happens. No IO, no waiting, no clock.

use super::browsing;
use super::change::CAP;
use super::changing;
use super::copy;
use super::failing::{failed, stopped};
use super::filtering::{ask_about_line, complete, follow_line, submit};
use super::history::{History, Place};
use super::hunting;
use super::keys::{interrupt, press};
use super::layout::Focus;
use super::marks::{self, Glance, Marks};
use super::model::{Connection, Model, Overlay, PULSE};
use super::msg::{Ask, Effect, Effects, Failure, Land, Msg, Outcome, Output, Told, What, Work};
use super::panes::advice;
use super::panes::timeline::Wanted;
use super::shelf::Shelving;
use super::slots::{PAGES, Slot, Ticket};
use super::verifying::{look_at_rows, verify_event};
use crate::domain::{EventKey, OrgId, OrgScope, Safe};
use crate::store::cache::Freshness;
use crate::store::history::Resource;
use crate::store::timeline::{Count, Query, Seek};
use crate::store::{ServerFacts, Standing};
use crossterm::event::KeyEventKind;

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
                Some(Overlay::Accept(asked)) => asked.editor.paste(&text),
                Some(Overlay::Search(line)) => line.editor.paste(&text),
                Some(Overlay::Naming(asked)) => asked.editor.paste(&text),
                Some(Overlay::Seek(line)) => line.editor.paste(&text),
                Some(Overlay::Time(line)) => line.editor.paste(&text),
                _ => model.filter.paste(&text),
            }
            browsing::typed(model, &mut effects);
        }
        What::Resize(width, height) => {
            model.dirty = true;
            model.size = (width, height);
            // Even at the size before: a terminal that was small for a moment has lost what it showed.
            effects.push(Effect::Redraw);
        }
        What::Interrupt => {
            model.dirty = true;
            interrupt(model, &mut effects);
        }
        What::Progress(ticket, told) if model.slots.is_current(ticket) => {
            model.dirty = true;
            match (told, &mut model.trails.scan, &mut model.ghosts) {
                (Told::Verifying(progress), Some(scan), _) => scan.progress = Some(progress),
                (Told::Ghosts(so_far), _, Some(list)) => list.tell(*so_far),
                (Told::Reading(reading), ..) => model.timeline.reading = Some(reading),
                _ => {}
            }
        }
        What::Progress(..) => {}
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
    follow_line(model, effects);
    let setting = model.setting();
    if model.event.show(model.timeline.row(), model.at.clock, setting) {
        model.change.show(model.timeline.row());
        for slot in [Slot::Event, Slot::Change] {
            if model.slots.abandon(slot) {
                effects.push(Effect::Cancel(slot));
            }
        }
    }
    changing::follow(model, effects);
    let known = model.timeline.row().and_then(|row| model.marks.of(&row.event)).cloned();
    model.event.set_known(known, setting);
    let row = model.timeline.row().map(|row| &row.event);
    if model.integrity.show(row, model.at.clock) && model.slots.abandon(Slot::Integrity) {
        effects.push(Effect::Cancel(Slot::Integrity));
    }
    if model.connection != Connection::Up || model.slots.running(Slot::View).is_some() {
        return;
    }
    let wanted = model.slots.running(Slot::Marks).is_none() && model.unmarked().next().is_some();
    model.marks.want(wanted, model.at.clock);
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

pub(super) fn begin(model: &mut Model, slot: Slot, work: Work, effects: &mut Effects) {
    let ticket = model.slots.begin(slot, model.at.clock);
    if PAGES.contains(&slot) {
        model.timeline.reading = None;
    }
    effects.push(Effect::Start(ticket, work));
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
    match model.connection {
        Connection::Up => {
            if model.pulse_at <= clock && model.slots.running(Slot::Pulse).is_none() {
                begin(model, Slot::Pulse, Work::Pulse, effects);
            }
            if let (Some(key), Some(place)) = (model.event.take_due(clock), model.history.current()) {
                let scope = OrgScope::enter(place.organization.clone());
                begin(model, Slot::Event, Work::Event(scope, key, CAP), effects);
            }
            if model.marks.take_due(clock) {
                look_at_rows(model, false, effects);
            }
            ask_about_line(model, effects);
            if model.areas().integrity.is_some() {
                verify_event(model, effects);
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

pub(super) fn retry(model: &mut Model, effects: &mut Effects) {
    if let Connection::Lost { retry_at, attempts, .. } = &mut model.connection {
        *retry_at = None;
        *attempts += 1;
        begin(model, Slot::Connection, Work::Connect { revive: model.setup.private_server }, effects);
    }
}

fn ended(model: &mut Model, ticket: Ticket, outcome: Outcome, effects: &mut Effects) {
    let slot = ticket.slot();
    // A pulse that was found beating changes nothing on the screen.
    model.dirty |= slot != Slot::Pulse || !matches!(outcome, Outcome::Done(_));
    model.pulse_at = model.at.clock + PULSE;
    match outcome {
        Outcome::Done(output) => done(model, slot, output, effects),
        Outcome::Cancelled => stopped(model, slot),
        Outcome::Panicked => {
            let text = Safe::literal("this failed by a defect of the program · details are in the log");
            failed(model, slot, Failure { text, ..Failure::default() }, effects);
        }
        Outcome::Failed(failure) => failed(model, slot, failure, effects),
    }
}

fn done(model: &mut Model, slot: Slot, output: Output, effects: &mut Effects) {
    let zone = model.zone;
    match output {
        Output::Connected(facts) => connected(model, facts, effects),
        Output::Alive(facts) => {
            // A replica falls behind and catches up.
            let told = |facts: &ServerFacts| facts.standing.to_string();
            model.dirty |= model.server.as_ref().map(told) != Some(told(&facts));
            model.server = Some(facts);
        }
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
            let seek = match &opened.land {
                Land::Newest => Seek::Newest,
                Land::Oldest => Seek::Oldest,
                Land::At(key) => Seek::AtOrOlderThan(key.clone()),
            };
            model.timeline.open(query.clone(), *opened, zone);
            begin(model, Slot::Cost, Work::Way(query.clone(), seek), effects);
            if !matches!(model.timeline.count, Some(Count::Exact(_))) {
                begin(model, Slot::Count, Work::Estimate(query), effects);
            }
        }
        Output::More(rows, more, looked, took) => {
            model.timeline.trouble = None;
            model.timeline.note_time(took);
            match slot {
                Slot::Older => {
                    model.timeline.append(rows, more, zone);
                    model.timeline.note_walk(looked);
                }
                _ => model.timeline.prepend(rows, more, zone),
            }
        }
        Output::Way(way) => model.timeline.note_way(way),
        Output::Estimated(count) => {
            model.timeline.set_count(count);
            if let (false, Some(query)) = (matches!(count, Count::Exact(_)), model.timeline.query.clone()) {
                let anew = std::mem::take(&mut model.timeline.recount);
                let wanted = if anew { Freshness::Now } else { Freshness::Recent };
                begin(model, Slot::Count, Work::Count(query, wanted), effects);
            }
        }
        Output::Glanced(glances) => {
            for row in glances.changed {
                model.timeline.replace(row, zone);
            }
            if glances.thorough {
                model.notify(marks::summary(&glances.seen));
            }
            model.marks.note(glances.detected, glances.seen);
        }
        Output::EventVerified(report) => {
            if let Some(report) = &report {
                model.marks.note_one(report.event_id.clone(), Glance::from_report(report));
            }
            model.integrity.fill(report);
        }
        Output::Accepted(record) => {
            model.notify(Safe::literal("accepted"));
            model.trails.accept(&record);
        }
        Output::TrailVerified(report) => {
            model.notify(Safe::from_untrusted(&format!("verified: {}", report.verdict)));
            model.trails.finish(report);
        }
        Output::Counted(answer) => {
            note_trouble(model, answer.trouble.as_deref());
            model.timeline.set_counted(&answer);
        }
        Output::Event(detail) if slot == Slot::Marked => model.change.fill_marked(detail.map(|d| *d)),
        Output::Event(detail) => {
            let setting = model.setting();
            match &detail {
                Some(detail) => model.change.fill(detail),
                None => model.change.fail(Safe::literal("the event is not in the table any more")),
            }
            model.event.fill(detail.map(|d| *d), setting);
        }
        Output::Chronicle(resource, found) => model.change.keep_versions(&resource, found),
        Output::Ghosts(found) => hunting::done(model, *found),
        Output::Tree(found) => browsing::built(model, found.map(|found| *found)),
        Output::TreeHits(text, hits) => browsing::found(model, text, hits),
        Output::TreePaths(paths) => browsing::offered(model, paths),
        Output::LaidOut(laid) => model.change.lay(laid),
        Output::Found(Some(key)) => {
            if !model.timeline.select(&key) {
                open_at(model, Land::At(key), effects);
            }
        }
        Output::Found(None) => model.notify(Safe::literal("nothing more in this view")),
        Output::Lists(lists) => {
            let submitted = model.filter.take_lists(lists);
            submit(model, submitted, effects);
        }
        Output::Shelf(shelf) => {
            model.filter.take_recent(shelf.recent);
            model.filter.saved = shelf.saved;
        }
        Output::Priced(cost, time) => {
            if let Some(advice) = model.filter.advice() {
                advice.price = Some(advice::in_words(&cost, time));
            }
        }
        Output::Values(field, begun, values) => {
            if let Some(advice) = model.filter.advice() {
                advice.take_values(field, begun, values);
                if std::mem::take(&mut advice.awaited) {
                    complete(model, false);
                }
            }
        }
        Output::Version(resource, Some(key)) => go_to_version(model, &resource, key, effects),
        Output::Sheet(answer) => {
            note_trouble(model, answer.trouble.as_deref());
            let Some(Overlay::Sheet(sheet)) = &model.overlay else { return };
            let command = copy::listing(model, sheet.subject.command());
            if let Some(Overlay::Sheet(sheet)) = &mut model.overlay {
                sheet.fill(answer, command.as_deref());
            }
        }
        Output::Version(_, None) => model.notify(Safe::literal("there is no further version")),
    }
}

/// Says why answers are not shared.
fn note_trouble(model: &mut Model, trouble: Option<&str>) {
    if let Some(trouble) = trouble {
        model.notify(Safe::from_untrusted(&format!("the shared cache is not used: {trouble}")));
    }
}

/// Selects an event in the history of its resource: in the view that is that history, or in a new one.
pub(super) fn go_to_version(model: &mut Model, resource: &Resource, key: EventKey, effects: &mut Effects) {
    let Some(place) = model.history.current() else { return };
    let Ok(filter) = resource.filter() else { return };
    if place.filter != filter {
        let mut next = Place::new(place.organization.clone(), filter.to_string(), filter);
        next.selected = Some(key);
        let focus = model.focus;
        visit(model, next, effects);
        // Whoever reads on from version to version stays where they read.
        model.focus = focus;
    } else if !model.timeline.select(&key) {
        open_at(model, Land::At(key), effects);
    }
}

fn connected(model: &mut Model, facts: ServerFacts, effects: &mut Effects) {
    if matches!(model.connection, Connection::Lost { .. }) {
        model.notify(Safe::literal("connected again"));
    }
    model.connection = Connection::Up;
    if facts.standing == Standing::InsteadOfReplica {
        model.notify(Safe::literal("the replica is away: reading from the primary"));
    }
    model.server = Some(facts);
    if model.history.current().is_some() {
        // One may have moved on in the rows at hand meanwhile.
        remember(model);
        open(model, effects);
        model.event.hurry(model.at.clock);
    } else if let Some(id) = model.wanted.0.take() {
        enter_first(model, id, effects);
    } else {
        begin(model, Slot::Organizations, Work::Organizations, effects);
    }
}

pub(super) fn enter_first(model: &mut Model, organization: OrgId, effects: &mut Effects) {
    let (_, text, filter) = std::mem::take(&mut model.wanted);
    model.history.push(Place::new(organization.clone(), text, filter));
    open(model, effects);
    begin(model, Slot::Shelf, Work::Shelf(organization, Shelving::Look), effects);
}

/// Opens the current view, at the event that was selected in it.
pub(super) fn open(model: &mut Model, effects: &mut Effects) {
    let land = model.history.current().and_then(|p| p.selected.clone()).map_or(Land::Newest, Land::At);
    open_at(model, land, effects);
}

pub(super) fn open_at(model: &mut Model, land: Land, effects: &mut Effects) {
    let Some(place) = model.history.current_mut() else { return };
    place.filter.supply(&model.trails.known(&place.organization));
    let ask = Ask {
        scope: OrgScope::enter(place.organization.clone()),
        filter: place.filter.clone(),
        range: place.range,
        now: model.at.wall,
        window: model.setup.window.as_duration(),
    };
    for slot in [Slot::Older, Slot::Newer, Slot::Count, Slot::Cost] {
        if model.slots.abandon(slot) {
            effects.push(Effect::Cancel(slot));
        }
    }
    begin(model, Slot::View, Work::Open(Box::new(ask), land), effects);
}

/// Remembers where we are, before going somewhere else.
pub(super) fn remember(model: &mut Model) {
    let key = model.timeline.key();
    if let Some(place) = model.history.current_mut() {
        place.selected = key.or(place.selected.take());
    }
}

pub(super) fn visit(model: &mut Model, place: Place, effects: &mut Effects) {
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
        model.marks = Marks::default();
        if model.slots.abandon(Slot::Marks) {
            effects.push(Effect::Cancel(Slot::Marks));
        }
        if let Some(organization) = model.organization().cloned() {
            begin(model, Slot::Shelf, Work::Shelf(organization, Shelving::Look), effects);
        }
    }
    model.focus = Focus::Timeline;
    open(model, effects);
}

pub(super) fn travel(model: &mut Model, go: fn(&mut History) -> bool, effects: &mut Effects) -> bool {
    remember(model);
    let before = model.history.current().map(|p| p.organization.clone());
    let moved = go(&mut model.history);
    if moved {
        let elsewhere = model.history.current().map(|p| &p.organization) != before.as_ref();
        show_other(model, elsewhere, effects);
    }
    moved
}

#[cfg(test)]
#[path = "update_tests.rs"]
mod tests;
