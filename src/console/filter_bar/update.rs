//! Finding events: the filter line with its advice, saved filters, searches within a view, values to include or exclude.

use crate::console::app::feature::Update;
use crate::console::app::message::Effects;
use crate::console::app::model::{Connection, Model};
use crate::console::app::navigation::visit;
use crate::console::app::start_task::{abandon, begin};
use crate::console::core::failure::Failure;
use crate::console::core::keymap::{Action, Section};
use crate::console::core::layout::Focus;
use crate::console::core::tasks::Slot;
use crate::console::core::view_stack::Place;
use crate::console::dialogs::Overlay;
use crate::console::dialogs::help::{Group, Help};
use crate::console::filter_bar::completion;
use crate::console::filter_bar::pane::Submitted;
use crate::console::filter_bar::saved_dialogs::{Named, Naming, SavedFilters};
use crate::console::filter_bar::saved_task::Shelving;
use crate::console::filter_bar::search_prompt::SearchPrompt;
use crate::console::filter_bar::task::{Output, Progress, Task};
use crate::console::filter_bar::value_picker::{Choices, Purpose};
use crate::console::timeline::task::{self as timeline, ViewRequest};
use crate::console::widgets::scrolling::lines_of;
use crate::domain::{OrgScope, Safe};
use crate::filter::{Filter, quoted};
use crate::store::query::{Query, Seek};

/// The rules of the filter line.
pub(in crate::console) struct Rules;

impl Update for Rules {
    type Output = Output;
    type Progress = Progress;

    fn done(model: &mut Model, output: Output, effects: &mut Effects) {
        match output {
            Output::Lists(lists) => {
                let submitted = model.filter.take_lists(lists);
                submit(model, submitted, effects);
            }
            Output::Shelf(shelf) => {
                model.filter.take_recent(shelf.recent);
                model.filter.named = Named::Known(shelf.saved);
                show_named(model);
            }
            Output::Price((cost, time)) => {
                if let Some(advice) = model.filter.advice() {
                    advice.price = Some(completion::in_words(&cost, time));
                }
            }
            Output::Values((field, prefix, values)) => {
                if let Some(advice) = model.filter.advice() {
                    advice.take_values(field, prefix, values);
                    if std::mem::take(&mut advice.awaited) {
                        complete(model, false);
                    }
                }
            }
        }
    }

    fn failed(model: &mut Model, slot: Slot, failure: Failure, _effects: &mut Effects) {
        match slot {
            Slot::Price => {
                if let Some(advice) = model.filter.advice() {
                    advice.trouble = Some(failure.text);
                }
            }
            // Values that do not come are not missed.
            Slot::Values => {}
            Slot::Shelf => {
                if model.filter.named == Named::Reading {
                    model.filter.named = Named::Unknown(failure.text.clone());
                }
                show_named(model);
                model.notify(failure.text);
            }
            _ => model.notify(failure.text),
        }
    }

    fn retry(model: &mut Model, effects: &mut Effects) {
        let is_read =
            matches!(model.filter.named, Named::Known(_)) || model.slots.running(Slot::Shelf).is_some();
        if let (Some(organization), false) = (model.organization().cloned(), is_read) {
            model.filter.named = Named::Reading;
            show_named(model);
            begin(model, Task::Shelf(organization, Shelving::Look), effects);
        }
    }

    fn act(model: &mut Model, action: Action, effects: &mut Effects) -> bool {
        match action {
            Action::Filter => {
                if let Some(place) = model.history.current() {
                    model.filter.edit(&place.text);
                }
            }
            Action::Search => model.show(SearchPrompt::default()),
            Action::NextHit => next_hit(model, false, effects),
            Action::PreviousHit => next_hit(model, true, effects),
            Action::Include => offer(model, Purpose::Include),
            Action::Exclude => offer(model, Purpose::Exclude),
            Action::Pivot => offer(model, Purpose::Pivot),
            Action::Widen => {
                let everything = |place: &Place| place.filter.conditions().is_empty();
                if model.history.current().is_some_and(everything) {
                    model.notify(Safe::literal("all events are in this view already"));
                } else {
                    offer(model, Purpose::Widen);
                }
            }
            Action::Surroundings => surroundings(model, effects),
            _ => return false,
        }
        true
    }

    fn answer(model: &mut Model, overlay: Overlay, action: Action, effects: &mut Effects) -> Option<Overlay> {
        // A lineage that was chosen among the values is for another feature.
        let mut given_on = None;
        overlay
            .when(|line| in_search(model, line, action, effects))?
            .when(|choices| given_on = in_choices(model, choices, action, effects))
            .map_or(given_on, Some)?
            .when(|asked| in_naming(model, asked, action, effects))?
            .when(|chooser| in_saved(model, chooser, action, effects))
    }
}

/// Opens the view of the events around the selected one, whatever the filter was.
fn surroundings(model: &mut Model, effects: &mut Effects) {
    let Some(key) = model.timeline.key() else { return };
    let text = format!("around:{}", quoted(&key.event_id));
    match Filter::parse(&text) {
        Ok(filter) => run_filter(model, filter.canonical(), filter, effects),
        // Longer than a filter may be, which is for others' tables to bring about.
        Err(error) => model.notify(Safe::composed(&error.to_string())),
    }
}

fn in_search(model: &mut Model, mut line: SearchPrompt, action: Action, effects: &mut Effects) {
    match action {
        Action::Leave => return,
        Action::Submit => {
            if let Some(sought) = line.submit() {
                model.sought = Some(sought);
                return find(model, false, effects);
            }
        }
        Action::Clear => line = SearchPrompt::default(),
        _ => {}
    }
    model.show(line);
}

/// Goes to the next place of what is looked for: within the pane that has the keys, then in the next event. Where nothing
/// is looked for, the change pane goes from change to change.
fn next_hit(model: &mut Model, back: bool, effects: &mut Effects) {
    let moved = match model.focus {
        Focus::Change => model.change.step_hit(back),
        Focus::Event => model.event.step_hit(back),
        Focus::Timeline | Focus::Integrity => false,
    };
    if moved {
        return;
    }
    if model.focus != Focus::Change || !model.needles().is_empty() {
        find(model, back, effects);
    } else if !model.change.step_hunk(back) {
        model.notify(Safe::literal("no further change in this event"));
    }
}

/// Goes to the next event of the view that has what is looked for, also beyond the rows at hand.
fn find(model: &mut Model, newer: bool, effects: &mut Effects) {
    let (Some(query), Some(key)) = (&model.timeline.query, model.timeline.key()) else { return };
    let filter = match &model.sought {
        Some(sought) => sought.within(&query.filter),
        // Where the filter itself searches, every row is a hit.
        None if !model.needles().is_empty() => query.filter.clone(),
        None => {
            let text = format!("no search yet: press {}", model.setup.keymap.key(Action::Search));
            return model.notify(Safe::from_untrusted(&text));
        }
    };
    let query = Box::new(Query { filter, ..query.clone() });
    let seek = if newer { Seek::NewerThan(key) } else { Seek::OlderThan(key) };
    if model.connection == Connection::Up && model.shows_current_place() {
        begin(model, timeline::Task::Find(query, seek), effects);
    }
}

/// A key in the chooser of values. Gives it back where a lineage was chosen, which is for another feature.
fn in_choices(
    model: &mut Model,
    mut choices: Choices,
    action: Action,
    effects: &mut Effects,
) -> Option<Overlay> {
    let action = if choices.pick(action) { Action::Open } else { action };
    match action {
        Action::Open if choices.lineage().is_some() => return Some(choices.into()),
        Action::Open => {
            let place = model.history.current()?;
            if let Some((text, filter)) = choices.apply(&place.text, &place.filter) {
                run_filter(model, text, filter, effects);
            }
        }
        Action::Cancel => {}
        other => {
            choices.step(lines_of(other, 10).unwrap_or(0));
            model.show(choices);
        }
    }
    None
}

/// Opens a view of the current organisation, at the event that is selected.
pub(in crate::console) fn run_filter(model: &mut Model, text: String, filter: Filter, effects: &mut Effects) {
    let Some(place) = model.history.current() else { return };
    let organization = place.organization.clone();
    let mut next = Place::new(organization.clone(), text.clone(), filter);
    next.selected = model.timeline.key().or_else(|| place.selected.clone());
    model.filter.remember(text.clone());
    visit(model, next, effects);
    if !text.is_empty() {
        begin(model, Task::Shelf(organization, Shelving::Ran(text)), effects);
    }
}

pub(in crate::console) fn in_filter(model: &mut Model, action: Action, effects: &mut Effects) {
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
                model.show(Naming::new(text));
            }
            _ => model.notify(Safe::literal("nothing to save")),
        },
        Action::SavedFilters => {
            let chooser = SavedFilters::new(model.filter.named.clone());
            model.show(chooser);
        }
        // The line waits below it.
        Action::HelpWhileTyping => {
            let groups = &[Group::Keys(Section::Editor), Group::Legend];
            model.show(Help::new(groups));
        }
        Action::Leave => model.filter.leave(),
        Action::Clear => model.filter.clear(),
        Action::HistoryBack => model.filter.recall(false),
        Action::HistoryForward => model.filter.recall(true),
        _ => {}
    }
}

/// Runs a filter that was typed, once the lists that it names have been read.
pub(in crate::console) fn submit(model: &mut Model, submitted: Option<Submitted>, effects: &mut Effects) {
    match submitted {
        Some(Submitted::Run(text, filter)) => run_filter(model, text, filter, effects),
        Some(Submitted::Read(names)) => begin(model, Task::Lists(names), effects),
        None => {}
    }
}

/// Offers the values of the selected event, first those under the cursor of the change pane.
fn offer(model: &mut Model, purpose: Purpose) {
    let there = model.focus == Focus::Change;
    let at_cursor = if there { model.change.values_at_cursor() } else { Vec::new() };
    if let Some(row) = model.timeline.row() {
        let choices = Choices::of(&row.event, &at_cursor, purpose);
        model.show(choices);
    }
}

/// Completes the piece under the cursor by what is known.
pub(in crate::console) fn complete(model: &mut Model, back: bool) {
    let timeline = &model.timeline;
    model.filter.complete(back, &model.setup.local_name, &|field| timeline.values(field));
}

/// Asks the database for the values that the piece under the cursor can become. `awaited`: a completion waits for them.
fn look_for_values(model: &mut Model, awaited: bool, effects: &mut Effects) {
    let Some((field, begun)) = model.filter.wanted_values() else { return };
    if let (Some(organization), Connection::Up) = (model.organization().cloned(), &model.connection) {
        if let Some(advice) = model.filter.advice() {
            advice.awaited = awaited;
        }
        let work = Task::Values(OrgScope::enter(organization), field, begun);
        begin(model, work, effects);
    }
}

/// Forgets what is being worked out for a text that is not being edited any more.
pub(in crate::console) fn follow_line(model: &mut Model, effects: &mut Effects) {
    if model.filter.follow(model.at.clock) {
        abandon(model, &[Slot::Price, Slot::Values], effects);
    }
}

/// Asks the database about the text being edited, once typing has rested.
pub(in crate::console) fn ask_about_line(model: &mut Model, effects: &mut Effects) {
    let clock = model.at.clock;
    if !model.filter.advice().is_some_and(|advice| advice.take_due(clock)) {
        return;
    }
    look_for_values(model, false, effects);
    let meant = model.filter.meaning().filter(|filter| **filter != Filter::default()).cloned();
    if let (Some(mut filter), Some(organization)) = (meant, model.organization().cloned()) {
        filter.supply(&(model.trails.known(&organization), model.case.book(&organization)));
        let request = ViewRequest {
            scope: OrgScope::enter(organization),
            filter,
            range: None,
            now: model.at.wall,
            window: model.setup.window.as_duration(),
        };
        begin(model, Task::Price(Box::new(request)), effects);
    }
}

/// A key while the name of a filter is asked for.
fn in_naming(model: &mut Model, mut asked: Naming, action: Action, effects: &mut Effects) {
    match action {
        Action::Leave => return,
        Action::Clear => asked.prompt.editor.set(""),
        Action::Submit => {
            if let (Some(saved), Some(organization)) =
                (asked.answered(&model.filter.named), model.organization().cloned())
            {
                let key = model.setup.keymap.key(Action::SavedFilters);
                model.notify(Safe::composed(&format!("saved as {} ({key} lists saved filters)", saved.name)));
                let work = Task::Shelf(organization, Shelving::Save(saved));
                return begin(model, work, effects);
            }
        }
        _ => {}
    }
    model.show(asked);
}

/// Shows in the chooser of saved filters what is known of them by now.
fn show_named(model: &mut Model) {
    let named = model.filter.named.clone();
    if let Some(chooser) = model.dialog_mut::<SavedFilters>() {
        chooser.set(named);
    }
}

/// A key in the chooser of saved filters.
fn in_saved(model: &mut Model, mut chooser: SavedFilters, action: Action, effects: &mut Effects) {
    match action {
        Action::Open => {
            if let Some(saved) = chooser.selected() {
                model.filter.edit(&saved.filter);
            }
        }
        Action::Cancel => {}
        Action::Forget => {
            forget_saved(model, &mut chooser, effects);
            model.show(chooser);
        }
        other => {
            chooser.step(lines_of(other, 10).unwrap_or(0));
            model.show(chooser);
        }
    }
}

/// Forgets the saved filter that is selected.
fn forget_saved(model: &mut Model, chooser: &mut SavedFilters, effects: &mut Effects) {
    if let (Some(gone), Some(organization)) = (chooser.forget(), model.organization().cloned()) {
        model.notify(Safe::composed(&format!("deleted: {gone}")));
        let work = Task::Shelf(organization, Shelving::Forget(gone.name));
        begin(model, work, effects);
    }
}

#[cfg(test)]
#[path = "update_tests.rs"]
mod tests;
