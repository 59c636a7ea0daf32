//! The search for ghost changes as the console sees it: where to search, the list, and what keys do there.

use crate::console::app::feature::Update;
use crate::console::app::message::Effects;
use crate::console::app::model::{Connection, Model, Page};
use crate::console::app::navigation::go_to_version;
use crate::console::app::start_task::{begin, stop};
use crate::console::core::failure::Failure;
use crate::console::core::keymap::Action;
use crate::console::core::layout::Focus;
use crate::console::core::tasks::Slot;
use crate::console::dialogs::Overlay;
use crate::console::dialogs::questions::GhostScope;
use crate::console::ghosts::pane::GhostPane;
use crate::console::ghosts::task::{Output, Progress, Task};
use crate::console::widgets::scrolling::lines_of;
use crate::domain::{OrgScope, Safe, TimeRange, grouped};
use crate::filter::Filter;
use crate::store::history::Resource;
use crate::store::query::Query;
use crate::verify::Ghosts;

/// The rules of the search for ghost changes.
pub(in crate::console) struct Rules;

impl Update for Rules {
    type Output = Output;
    type Progress = Progress;

    fn done(model: &mut Model, Output::Search(found): Output, _effects: &mut Effects) {
        done(model, *found);
    }

    fn progress(model: &mut Model, progress: Progress) {
        if let Some(list) = &mut model.ghosts {
            list.tell(progress);
        }
    }

    fn failed(model: &mut Model, _slot: Slot, failure: Failure, _effects: &mut Effects) {
        failed(model, failure.text);
    }

    fn cancelled(model: &mut Model, _slot: Slot) {
        failed(model, Safe::literal("cancelled"));
    }

    fn in_page(model: &mut Model, action: Action, effects: &mut Effects) -> bool {
        in_list(model, action, effects)
    }

    fn act(model: &mut Model, action: Action, _effects: &mut Effects) -> bool {
        let is_it = action == Action::Ghosts;
        if is_it {
            open(model);
        }
        is_it
    }

    fn answer(model: &mut Model, overlay: Overlay, action: Action, effects: &mut Effects) -> Option<Overlay> {
        // Any other key ends the question.
        overlay.when(|GhostScope| chosen(model, action, effects))
    }
}

/// Shows the list of this organisation, or, where there is none yet or it is shown already, asks where to look.
fn open(model: &mut Model) {
    let known = model.ghosts.as_ref().is_some_and(|g| model.organization() == Some(&g.organization));
    if known && model.page.is_none() {
        model.page = Some(Page::Ghosts);
    } else if model.history.current().is_some() {
        model.show(GhostScope);
    }
}

/// A letter after the question where to look.
fn chosen(model: &mut Model, action: Action, effects: &mut Effects) {
    let Some(place) = model.history.current() else { return };
    let (organization, scope) = (place.organization.clone(), OrgScope::enter(place.organization.clone()));
    let everything = Query { scope, filter: Filter::default(), range: TimeRange::default() };
    let asked = match action {
        Action::ScopeResource => model.timeline.row().and_then(|row| {
            let resource = Resource::of(&row.event);
            let of = format!("{}/{}", resource.kind, resource.id);
            Some((of, Query { filter: resource.filter().ok()?, ..everything }))
        }),
        Action::ScopeView => model.timeline.query.clone().map(|query| {
            let text = if place.text.is_empty() { "all events" } else { &place.text };
            (format!("the resources of {text}"), query)
        }),
        Action::ScopeOrganization => Some((format!("all of {organization}"), everything)),
        _ => return,
    };
    match asked {
        Some((of, query)) if model.connection == Connection::Up => {
            model.ghosts = Some(GhostPane::new(organization, Safe::from_untrusted(&of)));
            model.page = Some(Page::Ghosts);
            begin(model, Task::Search(Box::new(query)), effects);
        }
        _ => model.notify(Safe::literal("no resource to search")),
    }
}

/// A key while the list is there. False when the panes are to deal with it.
fn in_list(model: &mut Model, action: Action, effects: &mut Effects) -> bool {
    if !matches!(model.page, Some(Page::Ghosts)) {
        return false;
    }
    if action == Action::Cancel && stop(model, &[Slot::Ghosts], effects) {
        return true;
    }
    let Some(list) = &mut model.ghosts else { return false };
    match action {
        Action::Cancel | Action::Quit => model.page = None,
        Action::Ghosts | Action::Refresh => model.show(GhostScope),
        Action::Open => {
            if let Some((resource, key)) = list.place() {
                model.page = None;
                model.focus_on(Focus::Change);
                go_to_version(model, &resource, key, effects);
            }
        }
        Action::Help | Action::Palette => return false,
        Action::Zoom => {}
        other => match lines_of(other, list.body_height()) {
            Some(by) => list.scroll(by),
            None => {
                model.page = None;
                return false;
            }
        },
    }
    true
}

/// The search has come to its end.
fn done(model: &mut Model, found: Ghosts) {
    let total = found.total();
    if let Some(list) = &mut model.ghosts {
        list.finish(found);
    }
    if model.page.is_none() {
        let key = model.setup.keymap.key(Action::Ghosts);
        let text = match total {
            0 => "no change without an event".to_owned(),
            1 => format!("1 change without an event: {key} shows it"),
            n => format!("{} changes without an event: {key} shows them", grouped(n)),
        };
        model.notify(Safe::from_untrusted(&text));
    }
}

/// The search has ended before its time.
fn failed(model: &mut Model, why: Safe) {
    if let Some(list) = &mut model.ghosts {
        list.fail(why);
    }
}
