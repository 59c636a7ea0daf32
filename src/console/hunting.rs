//! The search for ghost changes as the console sees it: where to look, the list, and what keys do there.

use super::keymap::Action;
use super::keys::{lines_of, stop};
use super::layout::Focus;
use super::model::{Connection, Model, Overlay, Page};
use super::msg::{Effects, Work};
use super::panes::ghosts::GhostPane;
use super::slots::Slot;
use super::update::{begin, go_to_version};
use crate::domain::{OrgScope, Safe, TimeRange, grouped};
use crate::filter::Filter;
use crate::store::history::Resource;
use crate::store::timeline::Query;
use crate::verify::Ghosts;

/// Shows the list of this organisation, or, where there is none yet or it is shown already, asks where to look.
pub(super) fn open(model: &mut Model) {
    let known = model.ghosts.as_ref().is_some_and(|g| model.organization() == Some(&g.organization));
    if known && model.page.is_none() {
        model.page = Some(Page::Ghosts);
    } else if model.history.current().is_some() {
        model.overlay = Some(Overlay::Ghosts);
    }
}

/// A letter after the question where to look.
pub(super) fn chosen(model: &mut Model, letter: char, effects: &mut Effects) {
    model.overlay = None;
    let Some(place) = model.history.current() else { return };
    let (organization, scope) = (place.organization.clone(), OrgScope::enter(place.organization.clone()));
    let everything = Query { scope, filter: Filter::default(), range: TimeRange::default() };
    let asked = match letter {
        'r' => model.timeline.row().and_then(|row| {
            let resource = Resource::of(&row.event);
            let of = format!("{}/{}", resource.kind, resource.id);
            Some((of, Query { filter: resource.filter().ok()?, ..everything }))
        }),
        'v' => model.timeline.query.clone().map(|query| {
            let text = if place.text.is_empty() { "all events" } else { &place.text };
            (format!("the resources of {text}"), query)
        }),
        'o' => Some((format!("all of {organization}"), everything)),
        _ => return,
    };
    match asked {
        Some((of, query)) if model.connection == Connection::Up => {
            model.ghosts = Some(GhostPane::new(organization, Safe::from_untrusted(&of)));
            model.page = Some(Page::Ghosts);
            begin(model, Slot::Ghosts, Work::Ghosts(Box::new(query)), effects);
        }
        _ => model.notify(Safe::literal("there is nothing to look at")),
    }
}

/// A key while the list is there. False when the panes are to deal with it.
pub(super) fn in_list(model: &mut Model, action: Action, effects: &mut Effects) -> bool {
    if !matches!(model.page, Some(Page::Ghosts)) {
        return false;
    }
    if action == Action::Cancel && stop(model, &[Slot::Ghosts], effects) {
        return true;
    }
    let Some(list) = &mut model.ghosts else { return false };
    match action {
        Action::Cancel | Action::Quit => model.page = None,
        Action::Ghosts | Action::Refresh => model.overlay = Some(Overlay::Ghosts),
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
pub(super) fn done(model: &mut Model, found: Ghosts) {
    let total = found.total();
    if let Some(list) = &mut model.ghosts {
        list.finish(found);
    }
    if model.page.is_none() {
        let text = match total {
            0 => "no change without an event".to_owned(),
            1 => "1 change without an event: ! shows it".to_owned(),
            n => format!("{} changes without an event: ! shows them", grouped(n)),
        };
        model.notify(Safe::from_untrusted(&text));
    }
}

/// The search has ended before its time.
pub(super) fn failed(model: &mut Model, why: Safe) {
    if let Some(list) = &mut model.ghosts {
        list.fail(why);
    }
}
