//! What follows from a report about the view, and what keys do in its dialog.

use crate::console::app::feature::Update;
use crate::console::app::message::Effects;
use crate::console::app::model::{Connection, Model};
use crate::console::app::start_task::{abandon, begin};
use crate::console::core::failure::Failure;
use crate::console::core::keymap::Action;
use crate::console::core::tasks::Slot;
use crate::console::dialogs::{Overlay, copy_text};
use crate::console::filter_bar::update::run_filter;
use crate::console::report::dialog::{Sheet, Subject};
use crate::console::report::task::{Output, Progress, Task};
use crate::console::widgets::scrolling::lines_of;
use crate::domain::Safe;
use crate::store::cache::Freshness;

/// The rules of reports.
pub(in crate::console) struct Rules;

impl Update for Rules {
    type Output = Output;
    type Progress = Progress;

    fn done(model: &mut Model, Output::Sheet(answer): Output, _effects: &mut Effects) {
        model.note_cache_trouble(answer.trouble.as_deref());
        if let Some(sheet) = model.dialog_mut::<Sheet>() {
            sheet.fill(answer);
        }
    }

    fn progress(model: &mut Model, entries: Progress) {
        if let Some(sheet) = model.dialog_mut::<Sheet>() {
            sheet.extend(entries);
        }
    }

    fn failed(model: &mut Model, _slot: Slot, failure: Failure, _effects: &mut Effects) {
        if let Some(sheet) = model.dialog_mut::<Sheet>() {
            sheet.fail(failure.text);
        }
    }

    fn cancelled(model: &mut Model, _slot: Slot) {
        if let Some(sheet) = model.dialog_mut::<Sheet>() {
            sheet.fail(Safe::literal("cancelled"));
        }
    }

    fn retry(model: &mut Model, effects: &mut Effects) {
        if let Some(sheet) = model.dialog::<Sheet>()
            && !sheet.is_done()
            && model.slots.running(Slot::Sheet).is_none()
        {
            let subject = sheet.subject;
            open(model, subject, Freshness::Recent, effects);
        }
    }

    fn act(model: &mut Model, action: Action, effects: &mut Effects) -> bool {
        let subject = match action {
            Action::Plan => Subject::Plan,
            Action::Histogram => Subject::Histogram,
            Action::Summary => Subject::Summary,
            _ => return false,
        };
        open(model, subject, Freshness::Recent, effects);
        true
    }

    fn answer(model: &mut Model, overlay: Overlay, action: Action, effects: &mut Effects) -> Option<Overlay> {
        overlay.when(|sheet| in_sheet(model, sheet, action, effects))
    }
}

fn in_sheet(model: &mut Model, mut sheet: Sheet, action: Action, effects: &mut Effects) {
    // Below the title and above the foot of the frame, and above the keys.
    let height = usize::from(model.size.1.saturating_sub(3)).max(1);
    if let Some(by) = lines_of(action, height) {
        sheet.scroll(by, height);
        return model.show(sheet);
    }
    if matches!(action, Action::NextPane | Action::PreviousPane) && sheet.target().is_some() {
        sheet.step_group(action == Action::PreviousPane, height);
        return model.show(sheet);
    }
    // Any other key closes it; a refresh opens it again.
    abandon(model, &[Slot::Sheet], effects);
    match action {
        Action::Refresh => open(model, sheet.subject, Freshness::Now, effects),
        Action::Open | Action::Include | Action::Exclude | Action::Pivot => {
            drill(model, sheet, action, effects);
        }
        _ => {}
    }
}

/// Opens a view of the events that the chosen line counts, of the view without them, or of all with its value.
fn drill(model: &mut Model, sheet: Sheet, action: Action, effects: &mut Effects) {
    let Some((target, place)) = sheet.target().zip(model.history.current()) else { return };
    let next = match action {
        Action::Exclude => target.without(&place.filter),
        Action::Pivot => Some(target.only(&place.filter)),
        _ => Some(target.within(&place.filter)),
    };
    match next {
        Some(next) => {
            let text = target.spelled(&place.text, &next);
            run_filter(model, text, next, effects);
        }
        None => {
            model.show(sheet);
            model.notify(Safe::literal("a filter has only one time: it cannot leave one out"));
        }
    }
}

/// Opens a report about the view; its lines are being computed.
fn open(model: &mut Model, subject: Subject, wanted: Freshness, effects: &mut Effects) {
    let Some(query) = model.timeline.query.clone() else { return };
    if model.connection == Connection::Up {
        let again = model.setup.keymap.key(Action::Refresh);
        let stop = model.setup.keymap.key(Action::Cancel);
        let command = copy_text::listing(model, subject.command());
        model.show(Sheet::new(subject, command.as_deref(), &stop, &again));
        let width = usize::from(model.size.0).saturating_sub(4);
        begin(model, Task::Sheet(query, subject, (width, model.zone), wanted), effects);
    }
}
