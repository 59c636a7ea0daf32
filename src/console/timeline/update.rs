//! What follows from pages of the timeline, counts and searches, and what keys do in it.

use crate::console::app::feature::Update;
use crate::console::app::message::Effects;
use crate::console::app::model::{Connection, Model};
use crate::console::app::navigation::open_at;
use crate::console::app::start_task::begin;
use crate::console::core::failure::Failure;
use crate::console::core::keymap::Action;
use crate::console::core::layout::Focus;
use crate::console::core::tasks::Slot;
use crate::console::dialogs::Overlay;
use crate::console::integrity::update::{list_again, look_in_passing};
use crate::console::timeline::column_choice::ColumnDialog;
use crate::console::timeline::pane::{Step, Timeline, Wanted};
use crate::console::timeline::task::{Landing, More, Opened, Output, Progress, Task};
use crate::console::timeline::{brush, motion};
use crate::console::widgets::scrolling::lines_of;
use crate::domain::{OrgScope, Safe, grouped};
use crate::store::Standing;
use crate::store::cache::Freshness;
use crate::store::query::{Count, Query, Seek};
use crate::verify::Finding;

/// The rules of the timeline.
pub(in crate::console) struct Rules;

impl Update for Rules {
    type Output = Output;
    type Progress = Progress;

    fn done(model: &mut Model, output: Output, effects: &mut Effects) {
        let zone = model.zone;
        match output {
            Output::Open(opened) => show(model, *opened, effects),
            Output::Older(more) => {
                let More { rows, goes_on, looked, .. } = took(model, more);
                model.timeline.append(rows, goes_on, zone);
                model.timeline.note_walk(looked);
            }
            Output::Newer(more) => {
                let More { rows, goes_on, .. } = took(model, more);
                model.timeline.prepend(rows, goes_on, zone);
            }
            Output::AccessPath(path) => model.timeline.note_way(path),
            Output::Estimate(count) => {
                model.timeline.set_count(count);
                if let (false, Some(query)) = (matches!(count, Count::Exact(_)), model.timeline.query.clone())
                {
                    let anew = std::mem::take(&mut model.timeline.recount);
                    let wanted = if anew { Freshness::Now } else { Freshness::Recent };
                    begin(model, Task::Count(query, wanted), effects);
                }
            }
            Output::Count(answer) => {
                model.note_cache_trouble(answer.trouble.as_deref());
                model.timeline.set_counted(&answer);
            }
            Output::Find(Some(key)) => motion::arrive(model, key, effects),
            Output::FindGap(found) => motion::sought(model, found, effects),
            Output::KeepColumns(()) => {}
            Output::Strip(strip) => model.timeline.strip.take(strip),
            Output::New(count) => model.dirty |= model.timeline.note_new(count),
            Output::Find(None) => model.notify(Safe::literal("no further match in this view")),
        }
    }

    fn progress(model: &mut Model, progress: Progress) {
        model.timeline.reading = Some(progress);
    }

    fn failed(model: &mut Model, slot: Slot, failure: Failure, _effects: &mut Effects) {
        match slot {
            Slot::View => cannot_show(model, failure.text),
            Slot::Older | Slot::Newer => {
                model.timeline.paused = true;
                model.timeline.trouble = Some(failure.text);
            }
            Slot::Find | Slot::Columns => model.notify(failure.text),
            Slot::Strip => model.timeline.strip.take(None),
            // Without a count the title says that it is not known.
            _ => {}
        }
    }

    fn cancelled(model: &mut Model, slot: Slot) {
        match slot {
            Slot::View => {
                let text = format!("cancelled · {} loads again", model.setup.keymap.key(Action::Refresh));
                cannot_show(model, Safe::from_untrusted(&text));
            }
            Slot::Older | Slot::Newer => model.timeline.paused = true,
            _ => {}
        }
    }

    fn in_page(model: &mut Model, action: Action, effects: &mut Effects) -> bool {
        brush::act(model, action, effects)
    }

    fn answer(model: &mut Model, overlay: Overlay, action: Action, effects: &mut Effects) -> Option<Overlay> {
        overlay.when(|dialog| in_columns(model, dialog, action, effects))
    }

    fn act(model: &mut Model, action: Action, effects: &mut Effects) -> bool {
        match action {
            Action::Brush => brush::begin(model),
            Action::Runs => model.timeline.toggle_runs(),
            Action::Columns => {
                let dialog = ColumnDialog::new(model.columns.clone());
                model.show(dialog);
            }
            Action::NextEvent => {
                model.timeline.step(Step::Older);
            }
            Action::PreviousEvent => {
                model.timeline.step(Step::Newer);
            }
            _ if motion::go(model, action, effects) => {}
            _ if model.focus != Focus::Timeline => return false,
            Action::Open => {
                if model.timeline.row().is_some() {
                    model.focus_on(Focus::Event);
                }
            }
            Action::ColumnsRight | Action::ColumnsLeft => {
                let by = if action == Action::ColumnsRight { 1 } else { -1 };
                let width = model.areas().timeline.map_or(0, |area| usize::from(area.width));
                model.timeline.scroll_columns(by, width, &model.columns);
            }
            Action::First | Action::Last => {
                let oldest = action == Action::Last;
                if !model.timeline.jump(oldest) && model.connection == Connection::Up {
                    if let Some(place) = model.history.current_mut() {
                        place.selected = None;
                    }
                    open_at(model, if oldest { Landing::Oldest } else { Landing::Newest }, effects);
                }
            }
            action => match step_of(action) {
                Some(step) => {
                    model.timeline.step(step);
                }
                None => return false,
            },
        }
        true
    }
}

fn in_columns(model: &mut Model, mut dialog: ColumnDialog, action: Action, effects: &mut Effects) {
    match action {
        Action::ColumnToggle => dialog.toggle(),
        Action::ColumnDown => dialog.shift(1),
        Action::ColumnUp => dialog.shift(-1),
        Action::ColumnReset => dialog.reset(),
        Action::Open => {
            if dialog.choice != dialog.before {
                begin(model, Task::KeepColumns(dialog.choice.to_line()), effects);
            }
            model.columns = dialog.choice;
            return;
        }
        Action::Cancel => return,
        other => dialog.step(lines_of(other, 10).unwrap_or(0)),
    }
    model.show(dialog);
}

fn step_of(action: Action) -> Option<Step> {
    Some(match action {
        Action::Down => Step::Older,
        Action::Up => Step::Newer,
        Action::PageDown => Step::PageOlder,
        Action::PageUp => Step::PageNewer,
        Action::HalfDown => Step::HalfOlder,
        Action::HalfUp => Step::HalfNewer,
        _ => return None,
    })
}

fn took(model: &mut Model, more: More) -> More {
    model.marks.forget_undated();
    model.timeline.trouble = None;
    model.timeline.note_time(more.took);
    more
}

/// Shows a view that was opened, and asks for what is said about it.
fn show(model: &mut Model, opened: Opened, effects: &mut Effects) {
    let zone = model.zone;
    let Some(place) = model.history.current_mut() else { return };
    place.range = Some(opened.range);
    place.filter.set_partial_sides(opened.sides.clone());
    let query = Query {
        scope: OrgScope::enter(place.organization.clone()),
        filter: place.filter.clone(),
        range: opened.range,
    };
    let seek = match &opened.landing {
        Landing::Newest => Seek::Newest,
        Landing::Oldest => Seek::Oldest,
        Landing::At(key) => Seek::AtOrOlderThan(key.clone()),
    };
    model.marks.forget_undated();
    notice_vanished(model, &query, &opened);
    if let Some(newest) = opened.rows.first() {
        model.trails.saw(query.scope.organization(), newest.key(), &newest.hash);
    }
    let offset = model.history.current_mut().and_then(|place| place.seat.take()).map(|seat| seat.offset);
    model.timeline.open(query.clone(), opened, zone, offset);
    if model.trails.wants_heads(query.scope.organization()) {
        look_in_passing(model, query.scope.organization().clone(), effects);
    }
    begin(model, Task::AccessPath(query.clone(), seek), effects);
    if !matches!(model.timeline.count, Some(Count::Exact(_))) {
        begin(model, Task::Estimate(query), effects);
    }
}

/// Counts what came since the view was opened, when it is time.
pub(in crate::console) fn count_new(model: &mut Model, effects: &mut Effects) {
    if model.slots.running(Slot::New).is_some() || model.slots.running(Slot::View).is_some() {
        return;
    }
    if let Some(query) = model.timeline.new_events(model.at.clock) {
        begin(model, Task::New(query), effects);
    }
}

/// Shows why a view cannot be shown. Rows of the view before must not stand under the filter of this one.
fn cannot_show(model: &mut Model, text: Safe) {
    if !model.shows_current_place() {
        model.timeline.close();
    }
    model.timeline.trouble = Some(text);
}

/// Counts the events of the view for the strip above it, once there is room for that.
pub(in crate::console) fn follow_strip(model: &mut Model, effects: &mut Effects) {
    let areas = model.areas();
    // Where a view was too large for it, the next one may not be.
    let refused = areas.timeline.filter(|_| !model.timeline.strip.is_shown());
    let (Some(area), true) = (areas.strip.or(refused), model.shows_current_place()) else { return };
    let Timeline { query: Some(query), strip, .. } = &mut model.timeline else { return };
    if strip.wants(query, area.width) {
        let task = Task::Strip(query.clone(), u32::from(area.width));
        begin(model, task, effects);
    }
}

/// Fetches the rows that will be missed soon.
pub(in crate::console) fn fetch_ahead(model: &mut Model, effects: &mut Effects) {
    let Some(query) = model.timeline.query.clone() else { return };
    for (slot, wanted) in
        [(Slot::Older, model.timeline.wanted_older()), (Slot::Newer, model.timeline.wanted_newer())]
    {
        let Some(wanted) = wanted.filter(|_| model.slots.running(slot).is_none()) else { continue };
        let task = match wanted {
            Wanted::Older(key) => Task::Older(query.clone(), key),
            Wanted::Newer(key) => Task::Newer(query.clone(), key),
        };
        begin(model, task, effects);
    }
}

/// What this session has seen itself must still be there. On a replica it may not have arrived yet.
fn notice_vanished(model: &mut Model, query: &Query, opened: &Opened) {
    let gone = model.timeline.vanished(query, opened);
    let on_primary = model.server.as_ref().is_some_and(|server| server.standing == Standing::Primary);
    let (Some(first), true) = (gone.first(), on_primary) else { return };
    let first = first.event_id.clone();
    let others = match gone.len() - 1 {
        0 => String::new(),
        1 => " and another one".to_owned(),
        n => format!(" and {} others", grouped(n as u64)),
    };
    let are = if gone.len() == 1 { "is" } else { "are" };
    model.notify(Safe::from_untrusted(&format!(
        "✗ verified_event_missing: {first}{others} stood here and {are} not in the table any more: deleted, edited so \
         that the filter does not match, or hidden from this role"
    )));
    let found = gone.iter().map(|row| Finding::event_gone(&row.key(), &row.hash));
    model.trails.note_gone(query.scope.organization(), found);
    model.marks.note_gone(gone.into_iter().map(|row| row.event_id).collect());
    list_again(model);
}
