//! Finding events: the filter line with its advice, saved filters, searches within a view, values to include or exclude.

use super::history::Place;
use super::keymap::Action;
use super::keys::lines_of;
use super::model::{Connection, Model, Overlay};
use super::msg::{Ask, Effect, Effects, Work};
use super::panes::choices::{Choices, Purpose};
use super::panes::filter::Submitted;
use super::panes::saved::{Naming, SavedFilters};
use super::panes::search::SearchLine;
use super::shelf::Shelving;
use super::slots::Slot;
use super::update::{begin, visit};
use crate::domain::{OrgScope, Safe};
use crate::filter::Filter;
use crate::store::timeline::{Query, Seek};

pub(super) fn in_search(model: &mut Model, mut line: Box<SearchLine>, action: Action, effects: &mut Effects) {
    match action {
        Action::Leave => return,
        Action::Submit => {
            if let Some(sought) = line.submit() {
                model.sought = Some(sought);
                return find(model, false, effects);
            }
        }
        Action::Clear => line = Box::default(),
        _ => {}
    }
    model.overlay = Some(Overlay::Search(line));
}

/// Goes to the next event of the view that has what is looked for, also beyond the rows at hand.
pub(super) fn find(model: &mut Model, newer: bool, effects: &mut Effects) {
    let (Some(query), Some(key)) = (&model.timeline.query, model.timeline.key()) else { return };
    let filter = match &model.sought {
        Some(sought) => sought.within(&query.filter),
        // Where the filter itself searches, every row is a hit.
        None if !query.filter.words().is_empty() => query.filter.clone(),
        None => return model.notify(Safe::literal("nothing was looked for: / does")),
    };
    let query = Box::new(Query { filter, ..query.clone() });
    let seek = if newer { Seek::NewerThan(key) } else { Seek::OlderThan(key) };
    if model.connection == Connection::Up && model.shows_current_place() {
        begin(model, Slot::Find, Work::Find(query, seek), effects);
    }
}

pub(super) fn in_choices(
    model: &mut Model,
    mut choices: Box<Choices>,
    action: Action,
    effects: &mut Effects,
) {
    match action {
        Action::Open => {
            let Some(place) = model.history.current() else { return };
            if let Some((text, filter)) = choices.apply(&place.text, &place.filter) {
                run_filter(model, text, filter, effects);
            }
        }
        Action::Cancel => {}
        other => {
            choices.step(lines_of(other, 10).unwrap_or(0));
            model.overlay = Some(Overlay::Choices(choices));
        }
    }
}

/// Opens a view of the current organisation, at the event that is selected.
pub(super) fn run_filter(model: &mut Model, text: String, filter: Filter, effects: &mut Effects) {
    let Some(place) = model.history.current() else { return };
    let organization = place.organization.clone();
    let mut next = Place::new(organization.clone(), text.clone(), filter);
    next.selected = model.timeline.key().or_else(|| place.selected.clone());
    model.filter.remember(text.clone());
    visit(model, next, effects);
    if !text.is_empty() {
        begin(model, Slot::Shelf, Work::Shelf(organization, Shelving::Ran(text)), effects);
    }
}

pub(super) fn in_filter(model: &mut Model, action: Action, effects: &mut Effects) {
    match action {
        Action::Submit => {
            let submitted = model.filter.submit();
            submit(model, submitted, effects);
        }
        Action::Complete | Action::CompleteBack => {
            let before = model.filter.text().map(ToOwned::to_owned);
            complete(model, action == Action::CompleteBack);
            // What is not known may come: the completion follows then.
            if model.filter.text() == before.as_deref() {
                look_for_values(model, true, effects);
            }
        }
        Action::SaveFilter => match model.filter.text().map(str::trim) {
            Some(text) if !text.is_empty() => {
                model.overlay = Some(Overlay::Naming(Box::new(Naming::new(text))));
            }
            _ => model.notify(Safe::literal("there is nothing to save yet")),
        },
        Action::SavedFilters => {
            let chooser = SavedFilters::new(model.filter.saved.clone());
            model.overlay = Some(Overlay::Saved(Box::new(chooser)));
        }
        Action::Leave => model.filter.leave(),
        Action::Clear => model.filter.clear(),
        Action::HistoryBack => model.filter.recall(false),
        Action::HistoryForward => model.filter.recall(true),
        _ => {}
    }
}

/// Runs a filter that was typed, once the lists that it names have been read.
pub(super) fn submit(model: &mut Model, submitted: Option<Submitted>, effects: &mut Effects) {
    match submitted {
        Some(Submitted::Run(text, filter)) => run_filter(model, text, filter, effects),
        Some(Submitted::Read(names)) => begin(model, Slot::Lists, Work::Lists(names), effects),
        None => {}
    }
}

/// Offers the values of the selected event.
pub(super) fn offer(model: &mut Model, purpose: Purpose) {
    if let Some(row) = model.timeline.row() {
        model.overlay = Some(Overlay::Choices(Box::new(Choices::of(&row.event, purpose))));
    }
}

/// Completes the piece under the cursor by what is known.
pub(super) fn complete(model: &mut Model, back: bool) {
    let timeline = &model.timeline;
    model.filter.complete(back, &|field| timeline.values(field));
}

/// Asks the database for the values that the piece under the cursor can become. `awaited`: a completion waits for them.
fn look_for_values(model: &mut Model, awaited: bool, effects: &mut Effects) {
    let Some((field, begun)) = model.filter.wanted_values() else { return };
    if let (Some(organization), Connection::Up) = (model.organization().cloned(), &model.connection) {
        if let Some(advice) = model.filter.advice() {
            advice.awaited = awaited;
        }
        let work = Work::Values(OrgScope::enter(organization), field, begun);
        begin(model, Slot::Values, work, effects);
    }
}

/// Forgets what is being worked out for a text that is not being edited any more.
pub(super) fn follow_line(model: &mut Model, effects: &mut Effects) {
    if model.filter.follow(model.at.clock) {
        for slot in [Slot::Price, Slot::Values] {
            if model.slots.abandon(slot) {
                effects.push(Effect::Cancel(slot));
            }
        }
    }
}

/// Asks the database about the text being edited, once typing has rested.
pub(super) fn ask_about_line(model: &mut Model, effects: &mut Effects) {
    let clock = model.at.clock;
    if !model.filter.advice().is_some_and(|advice| advice.take_due(clock)) {
        return;
    }
    look_for_values(model, false, effects);
    let meant = model.filter.meaning().filter(|filter| **filter != Filter::default()).cloned();
    if let (Some(mut filter), Some(organization)) = (meant, model.organization().cloned()) {
        filter.supply(&model.trails.known(&organization));
        let ask = Ask {
            scope: OrgScope::enter(organization),
            filter,
            range: None,
            now: model.at.wall,
            window: model.setup.window.as_duration(),
        };
        begin(model, Slot::Price, Work::Price(Box::new(ask)), effects);
    }
}

/// A key while the name of a filter is asked for.
pub(super) fn in_naming(model: &mut Model, mut asked: Box<Naming>, action: Action, effects: &mut Effects) {
    match action {
        Action::Leave => return,
        Action::Clear => asked.editor.set(""),
        Action::Submit => {
            if let (Some(saved), Some(organization)) =
                (asked.answered(&model.filter.saved), model.organization().cloned())
            {
                model.notify(Safe::from_untrusted(&format!("saved as {}: Ctrl-o chooses it", saved.name)));
                let work = Work::Shelf(organization, Shelving::Save(saved));
                return begin(model, Slot::Shelf, work, effects);
            }
        }
        _ => {}
    }
    model.overlay = Some(Overlay::Naming(asked));
}

/// A key in the chooser of saved filters.
pub(super) fn in_saved(model: &mut Model, mut chooser: Box<SavedFilters>, action: Action) {
    match action {
        Action::Open => {
            if let Some(saved) = chooser.selected() {
                model.filter.edit(&saved.filter);
            }
        }
        Action::Cancel => {}
        other => {
            chooser.step(lines_of(other, 10).unwrap_or(0));
            model.overlay = Some(Overlay::Saved(chooser));
        }
    }
}

/// Forgets the saved filter that is selected.
pub(super) fn forget_saved(model: &mut Model, effects: &mut Effects) {
    let Some(Overlay::Saved(chooser)) = &mut model.overlay else { return };
    if let (Some(gone), Some(organization)) = (chooser.forget(), model.organization().cloned()) {
        model.notify(Safe::from_untrusted(&format!("forgotten: {gone}")));
        let work = Work::Shelf(organization, Shelving::Forget(gone.name));
        begin(model, Slot::Shelf, work, effects);
    }
}

#[cfg(test)]
#[path = "filtering_tests.rs"]
mod tests;
