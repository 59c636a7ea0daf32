//! Going from view to view: opening one, going back and forth, going to a version of a resource.

use crate::console::app::message::Effects;
use crate::console::app::model::Model;
use crate::console::app::start_task::{abandon, begin};
use crate::console::case;
use crate::console::core::keymap::Action;
use crate::console::core::layout::Focus;
use crate::console::core::tasks::Slot;
use crate::console::core::view_stack::{History, MAX_TABS, Place, Seat};
use crate::console::filter_bar::saved_task::Shelving;
use crate::console::filter_bar::task as filter_bar;
use crate::console::integrity::row_marks::Marks;
use crate::console::timeline::task::{Landing, Task, ViewRequest};
use crate::domain::{EventKey, OrgId, OrgScope, Safe};
use crate::store::history::Resource;

/// Enters an organisation with the filter that the console was started with.
pub(in crate::console) fn enter_first(model: &mut Model, organization: OrgId, effects: &mut Effects) {
    let (_, text, filter) = std::mem::take(&mut model.wanted);
    model.history.push(Place::new(organization.clone(), text, filter));
    open(model, effects);
    begin(model, filter_bar::Task::Shelf(organization, Shelving::Look), effects);
    case::update::read(model, effects);
}

/// Opens the current view, at the event that was selected in it.
pub(in crate::console) fn open(model: &mut Model, effects: &mut Effects) {
    let landing =
        model.history.current().and_then(|p| p.selected.clone()).map_or(Landing::Newest, Landing::At);
    open_at(model, landing, effects);
}

/// Opens the current view at a place.
pub(in crate::console) fn open_at(model: &mut Model, landing: Landing, effects: &mut Effects) {
    let Some(place) = model.history.current_mut() else { return };
    let facts = (model.trails.known(&place.organization), model.case.book(&place.organization));
    place.filter.supply(&facts);
    let request = ViewRequest {
        scope: OrgScope::enter(place.organization.clone()),
        filter: place.filter.clone(),
        range: place.range,
        now: model.at.wall,
        window: model.setup.window.as_duration(),
    };
    abandon(model, &[Slot::Older, Slot::Newer, Slot::Count, Slot::Cost, Slot::New], effects);
    begin(model, Task::Open(Box::new(request), landing), effects);
}

/// Remembers the selected event of the current view, before going somewhere else.
pub(in crate::console) fn remember(model: &mut Model) {
    // While a view is being opened, the rows on the screen are those of the one before.
    let key = model.timeline.key().filter(|_| model.shows_current_place());
    if let Some(place) = model.history.current_mut() {
        place.selected = key.or(place.selected.take());
    }
}

/// How the view is looked at.
pub(in crate::console) fn seat(model: &Model) -> Seat {
    Seat {
        focus: model.focus,
        offset: model.timeline.selected.saturating_sub(model.timeline.top),
        line: model.change.line(),
    }
}

/// Remembers how the current view is looked at, before going to another one.
fn leave(model: &mut Model) {
    // Rows of the view before are no seat in this one.
    let is_seen = model.shows_current_place() && model.timeline.row().is_some();
    remember(model);
    let seat = seat(model);
    if let Some(place) = model.history.current_mut().filter(|_| is_seen) {
        place.seat = Some(seat);
    }
}

/// Goes to a new view.
pub(in crate::console) fn visit(model: &mut Model, place: Place, effects: &mut Effects) {
    leave(model);
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
        abandon(model, &[Slot::Marks], effects);
        if let Some(organization) = model.organization().cloned() {
            begin(model, filter_bar::Task::Shelf(organization, Shelving::Look), effects);
        }
        case::update::read(model, effects);
    }
    model.focus = Focus::Timeline;
    let place = model.history.current();
    if let Some((seat, key)) = place.and_then(|place| place.seat.zip(place.selected.clone())) {
        model.change.return_to(key, seat.line);
    }
    open(model, effects);
}

/// Goes back or forth as [`navigate`] does, and gives the keys to the pane that had them there: the way on was begun in it.
/// Who closes a view goes to the list instead.
pub(in crate::console) fn revisit(model: &mut Model, go: fn(&mut History) -> bool, effects: &mut Effects) {
    let moved = navigate(model, go, effects);
    if let Some(seat) = model.history.current().and_then(|place| place.seat).filter(|_| moved) {
        model.focus_on(seat.focus);
    }
}

/// Goes back or forth among the visited views. Whether there was one to go to.
pub(in crate::console) fn navigate(
    model: &mut Model,
    go: fn(&mut History) -> bool,
    effects: &mut Effects,
) -> bool {
    leave(model);
    let before = model.history.current().map(|p| p.organization.clone());
    let moved = go(&mut model.history);
    if moved {
        let elsewhere = model.history.current().map(|p| &p.organization) != before.as_ref();
        show_other(model, elsewhere, effects);
    } else if let Some(place) = model.history.current_mut() {
        // It was not left.
        place.seat = None;
    }
    moved
}

/// Opens a tab with the view that is shown; the one before keeps it.
pub(in crate::console) fn open_tab(model: &mut Model, effects: &mut Effects) {
    leave(model);
    if model.tabs.open(&mut model.history) {
        show_tab(model, None, effects);
    } else if model.history.current().is_some() {
        model.notify(Safe::composed(&format!("there are {MAX_TABS} tabs already")));
    }
}

/// Shows the next tab, or the one before.
pub(in crate::console) fn step_tab(model: &mut Model, back: bool, effects: &mut Effects) {
    leave(model);
    let before = model.organization().cloned();
    if model.tabs.step(&mut model.history, back) {
        show_tab(model, before, effects);
    } else {
        let key = model.setup.keymap.key(Action::NewTab);
        model.notify(Safe::composed(&format!("there is one tab: {key} opens another")));
    }
}

/// Closes the tab that is shown. False where it is the only one.
pub(in crate::console) fn close_tab(model: &mut Model, effects: &mut Effects) -> bool {
    let before = model.organization().cloned();
    let is_closed = model.tabs.close(&mut model.history);
    if is_closed {
        show_tab(model, before, effects);
    }
    is_closed
}

/// Opens the view of the tab that is shown now as it was left. `before` is the organisation that was shown, where it may
/// be another one.
fn show_tab(model: &mut Model, before: Option<OrgId>, effects: &mut Effects) {
    let elsewhere = before.is_some() && before.as_ref() != model.organization();
    show_other(model, elsewhere, effects);
    if let Some(seat) = model.history.current().and_then(|place| place.seat) {
        model.focus_on(seat.focus);
    }
}

/// Selects an event in the history of its resource: in the view that is that history, or in a new one.
pub(in crate::console) fn go_to_version(
    model: &mut Model,
    resource: &Resource,
    key: EventKey,
    effects: &mut Effects,
) {
    let Some(place) = model.history.current() else { return };
    let Ok(filter) = resource.filter() else { return };
    if place.filter != filter {
        let mut next = Place::new(place.organization.clone(), filter.to_string(), filter);
        next.selected = Some(key);
        let focus = model.focus;
        visit(model, next, effects);
        // A reader who goes from version to version stays in the pane.
        model.focus = focus;
    } else if !model.timeline.select(&key) {
        open_at(model, Landing::At(key), effects);
    }
}
