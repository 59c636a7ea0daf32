//! What is asked of the pane about a change: to look at something else, to compare, to go from version to version.

use crate::console::app::feature::Update;
use crate::console::app::message::{Effect, Effects};
use crate::console::app::model::{Connection, Model};
use crate::console::app::navigation::{go_to_version, open_at};
use crate::console::app::start_task::begin;
use crate::console::change::blame::Life;
use crate::console::change::layout::{CAP, WHOLE};
use crate::console::change::pane::{Lens, Wanted, Way};
use crate::console::change::task::{Output, Progress, Task, VersionRequest};
use crate::console::change::time_prompt::{Asked, Step, TimePrompt};
use crate::console::core::failure::Failure;
use crate::console::core::keymap::Action;
use crate::console::core::layout::Focus;
use crate::console::core::tasks::Slot;
use crate::console::dialogs::copy_menu::CopyMenu;
use crate::console::dialogs::{Overlay, copy_text};
use crate::console::event::task as event;
use crate::console::timeline::task as timeline_task;
use crate::console::timeline::task::Landing;
use crate::console::widgets::scrolling::lines_of;
use crate::console::widgets::time_zone::Zone;
use crate::domain::{EventKey, OrgScope, Safe, Timestamp};
use crate::store::history::Resource;
use crate::store::query::Seek;

/// The rules of the change.
pub(in crate::console) struct Rules;

impl Update for Rules {
    type Output = Output;
    type Progress = Progress;

    fn done(model: &mut Model, output: Output, effects: &mut Effects) {
        match output {
            Output::Compare(laid) | Output::Blame(laid) | Output::State(laid) | Output::StateAt(laid) => {
                model.change.lay(laid);
            }
            Output::Chronicle((resource, found)) => model.change.keep_versions(&resource, found),
            Output::Version((resource, Some(key))) => go_to_version(model, &resource, key, effects),
            Output::Version((_, None)) => model.notify(Safe::literal("no further version")),
            Output::Marked(detail) => model.change.fill_marked(detail.map(|d| *d)),
        }
    }

    fn failed(model: &mut Model, slot: Slot, failure: Failure, _effects: &mut Effects) {
        match slot {
            Slot::Version => model.notify(failure.text),
            // Without the versions each state is fetched by itself, and says what fails then.
            Slot::Chronicle => {}
            _ => model.change.fail(failure.text),
        }
    }

    fn retry(model: &mut Model, _effects: &mut Effects) {
        model.change.retry();
    }

    fn act(model: &mut Model, action: Action, effects: &mut Effects) -> bool {
        match action {
            Action::Layout => {
                if model.areas().change.is_some() {
                    model.change.cycle();
                } else {
                    model.focus_on(Focus::Change);
                }
            }
            Action::Mark => mark(model),
            Action::Blame => look(model, Lens::Blame),
            Action::State => look(model, Lens::State),
            Action::PreviousVersion => version(model, Way::Older, effects),
            Action::NextVersion => version(model, Way::Newer, effects),
            Action::FirstVersion => version(model, Way::First, effects),
            Action::LastVersion => version(model, Way::Last, effects),
            Action::Time => {
                let zone = if model.zone == Zone::Utc { "UTC" } else { &model.setup.local_name };
                let selected = model.timeline.key().map(|key| key.timestamp);
                model.show(TimePrompt::new(zone, selected));
            }
            Action::Compare => compare(model, effects),
            _ if model.focus != Focus::Change => return false,
            Action::Open => open(model, effects),
            action => match lines_of(action, model.change.body_height()) {
                Some(by) => model.change.scroll(by),
                None => return false,
            },
        }
        true
    }

    fn answer(model: &mut Model, overlay: Overlay, action: Action, effects: &mut Effects) -> Option<Overlay> {
        overlay
            .when(|line| in_time(model, line, action, effects))?
            .when(|CopyMenu| copy(model, action, effects))
    }
}

/// Goes to the event under the cursor of a blame; else fetches what is missing of a state; else folds.
fn open(model: &mut Model, effects: &mut Effects) {
    let resource = model.timeline.row().map(|r| Resource::of(&r.event));
    if let (Some(resource), Some(key)) = (resource, model.change.event_at_cursor().cloned()) {
        // What one goes to is to be seen.
        model.zoomed = false;
        if model.areas().timeline.is_none() {
            model.focus_on(Focus::Timeline);
        }
        go_to_version(model, &resource, key, effects);
    } else if model.change.is_in_part() {
        fetch_whole(model, effects);
    } else {
        model.change.toggle_fold();
    }
}

/// Looks at the life of the resource, or at the event again.
fn look(model: &mut Model, lens: Lens) {
    if model.areas().change.is_none() {
        model.focus_on(Focus::Change);
    }
    model.change.toggle(lens);
}

/// Goes to another version of the resource: from memory while its versions are at hand.
fn version(model: &mut Model, way: Way, effects: &mut Effects) {
    let (Some(place), Some(row)) = (model.history.current(), model.timeline.row()) else { return };
    let (resource, key) = (Resource::of(&row.event), row.event.key());
    if let Ok(found) = model.change.go(way) {
        return match found {
            Some(there) if there != key => go_to_version(model, &resource, there, effects),
            _ => model.notify(Safe::literal("no further version")),
        };
    }
    let scope = OrgScope::enter(place.organization.clone());
    let end = |timestamp| EventKey { timestamp, event_id: String::new() };
    let (of, older) = match way {
        Way::Older => (key, true),
        Way::Newer => (key, false),
        Way::First => (end(Timestamp::NEG_INFINITY), false),
        Way::Last => (end(Timestamp::INFINITY), true),
    };
    begin(model, Task::Version(Box::new(VersionRequest { scope, resource, of, older })), effects);
}

/// A key while it is typed which time to go to.
fn in_time(model: &mut Model, mut line: TimePrompt, action: Action, effects: &mut Effects) {
    match action {
        Action::Leave => return,
        Action::Clear => line.prompt.editor.set(""),
        Action::Submit => {
            let newest = model.timeline.newest;
            if let Some(asked) = line.answered(model.at.wall, newest) {
                return go_to_time(model, asked, effects);
            }
        }
        _ => {}
    }
    model.show(line);
}

/// Goes to a time: to its newest event, so that a day that was asked for is on the screen; while states are shown, to
/// the version of the resource that was in force when it began.
fn go_to_time(model: &mut Model, asked: Asked, effects: &mut Effects) {
    let time = if model.change.travels() { asked.start } else { asked.last() };
    // Events of that instant have happened by then.
    let next = EventKey { timestamp: time.next(), event_id: String::new() };
    let (Some(place), Some(row)) = (model.history.current(), model.timeline.row()) else { return };
    if model.connection != Connection::Up {
        return;
    }
    if model.change.travels() {
        let (scope, resource) = (OrgScope::enter(place.organization.clone()), Resource::of(&row.event));
        begin(
            model,
            Task::Version(Box::new(VersionRequest { scope, resource, of: next, older: true })),
            effects,
        );
    } else if let (Some(step), Some(query)) = (asked.step, model.timeline.query.clone()) {
        // The first event that is at least so far away.
        let at = EventKey { timestamp: time, event_id: String::new() };
        let seek = match step {
            Step::Later => Seek::NewerThan(at),
            Step::Earlier => Seek::OlderThan(next),
        };
        begin(model, timeline_task::Task::Find(Box::new(query), seek), effects);
    } else {
        open_at(model, Landing::At(next), effects);
    }
}

/// Copies something about the selected event.
fn copy(model: &mut Model, action: Action, effects: &mut Effects) {
    match copy_text::text(model, action) {
        Ok(text) => {
            effects.push(Effect::Copy(text));
            model.notify(Safe::literal(if model.setup.in_tmux {
                "copied (OSC 52) · tmux hands it on with: set -s set-clipboard on"
            } else {
                "copied (OSC 52)"
            }));
        }
        Err(reason) => model.notify(Safe::literal(reason)),
    }
}

/// Marks the selected event, to compare others with it.
fn mark(model: &mut Model) {
    let Some(place) = model.history.current() else { return };
    let compare = model.setup.keymap.key(Action::Compare);
    let organization = place.organization.clone();
    let Some(row) = model.timeline.row().map(|row| row.event.clone()) else { return };
    let is_compared_with = model.change.marked(&organization).is_some_and(|marked| *marked == row.key());
    // The last one that was marked is the one to compare with.
    let picked = model.marks.pick(&row);
    if picked || is_compared_with {
        model.change.mark(&organization);
    }
    let text = match (model.marks.picked().len(), picked) {
        (0, _) => "no event marked".to_owned(),
        (1, true) => format!("marked ({compare} compares)"),
        (n, true) => {
            let verify = model.setup.keymap.key(Action::Verify);
            format!("{n} events marked ({verify} verifies, {compare} compares with the last one)")
        }
        (n, false) => format!("{n} events marked"),
    };
    model.notify(Safe::from_untrusted(&text));
}

/// Compares with the marked event, or with the state before again.
fn compare(model: &mut Model, effects: &mut Effects) {
    let marked = model.history.current().and_then(|p| model.change.marked(&p.organization)).cloned();
    let Some(key) = marked else {
        let text = format!("no event marked: {} marks one", model.setup.keymap.key(Action::Mark));
        return model.notify(Safe::from_untrusted(&text));
    };
    if model.areas().change.is_none() {
        model.focus_on(Focus::Change);
    }
    if model.change.compare() {
        fetch_marked(model, key, CAP, effects);
    }
}

/// Fetches states whole that were fetched in part.
fn fetch_whole(model: &mut Model, effects: &mut Effects) {
    let Some(place) = model.history.current() else { return };
    let organization = place.organization.clone();
    if let Some(key) = model.timeline.key() {
        let task = event::Task::Load(OrgScope::enter(organization.clone()), key, WHOLE);
        begin(model, task, effects);
    }
    if let Some(key) = model.change.compared(&organization).cloned() {
        fetch_marked(model, key, WHOLE, effects);
    }
}

fn fetch_marked(model: &mut Model, key: EventKey, cap: u32, effects: &mut Effects) {
    if let Some(place) = model.history.current() {
        let scope = OrgScope::enter(place.organization.clone());
        begin(model, Task::Marked(scope, key, cap), effects);
    }
}

/// What the change pane wants done.
pub(in crate::console) fn follow(model: &mut Model, effects: &mut Effects) {
    if let Some(work) = wanted(model) {
        begin(model, work, effects);
    }
    if let (Connection::Up, Some(place)) = (&model.connection, model.history.current())
        && let Some(resource) = model.change.take_wanted_versions()
    {
        let task = Task::Chronicle(OrgScope::enter(place.organization.clone()), resource);
        begin(model, task, effects);
    }
}

fn wanted(model: &mut Model) -> Option<Task> {
    let scope = OrgScope::enter(model.history.current()?.organization.clone());
    let now = model.at.wall;
    Some(match model.change.wanted()? {
        Wanted::Compared(states, form) => Task::Compare(states, form),
        Wanted::Blame(resource, event, form) => Task::Blame(Life { scope, resource, event, now }, form),
        Wanted::StateAt(chronicle, version, form) => Task::StateAt(chronicle, version, form),
        Wanted::State(resource, event, form) => Task::State(Life { scope, resource, event, now }, form),
    })
}
