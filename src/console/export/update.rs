//! What keys export, and what is said of it.

use crate::console::app::feature::Update;
use crate::console::app::message::Effects;
use crate::console::app::model::{Connection, Model};
use crate::console::app::start_task::begin;
use crate::console::core::failure::Failure;
use crate::console::core::keymap::Action;
use crate::console::core::tasks::Slot;
use crate::console::dialogs::Overlay;
use crate::console::export::dialog::{ExportMenu, FileName, Of, What};
use crate::console::export::task::{Exported, Output, Progress, Request, Source, Task};
use crate::console::widgets::scrolling::lines_of;
use crate::domain::{OrgScope, Safe, grouped};
use crate::investigation::casework;

/// The rules of exports.
pub(in crate::console) struct Rules;

impl Update for Rules {
    type Output = Output;
    type Progress = Progress;

    fn done(model: &mut Model, Output::Export(exported): Output, _effects: &mut Effects) {
        model.exporting = None;
        match exported {
            Exported::IsThere { what, marks, path } if model.overlay.is_none() => {
                model.show(FileName::again((what, marks), &path));
            }
            Exported::IsThere { path, .. } => {
                model.notify(Safe::from_untrusted(&format!("not exported: '{path}' is there already")));
            }
            Exported::Written { path, events, sha256, remark } => {
                let name = if events == 1 { "event" } else { "events" };
                let digest: String = sha256.chars().take(12).collect();
                let remark = if remark.is_empty() { remark } else { format!(" · {remark}") };
                let text = format!("{} {name} in {path} · sha256 {digest}…{remark}", grouped(events));
                model.notify(Safe::from_untrusted(&text));
            }
        }
    }

    fn progress(model: &mut Model, progress: Progress) {
        model.exporting = Some(progress);
    }

    fn failed(model: &mut Model, _slot: Slot, failure: Failure, _effects: &mut Effects) {
        model.exporting = None;
        model.notify(Safe::composed(&format!("not exported: {}", failure.text)));
    }

    fn cancelled(model: &mut Model, _slot: Slot) {
        model.exporting = None;
    }

    fn act(model: &mut Model, action: Action, _effects: &mut Effects) -> bool {
        if action != Action::Export {
            return false;
        }
        let is_open = model.timeline.query.is_some() && model.shows_current_place();
        if model.slots.running(Slot::Export).is_some() {
            let key = model.setup.keymap.key(Action::Cancel);
            model.notify(Safe::composed(&format!("an export is running: {key} cancels it")));
        } else if is_open {
            let book = model.organization().and_then(|organization| model.case.book(organization));
            let has_case = book.is_some_and(|book| !book.is_empty());
            let menu = ExportMenu::new(!model.marks.picked().is_empty(), has_case);
            model.show(menu);
        } else {
            model.notify(Safe::literal("there is no view to export"));
        }
        true
    }

    fn answer(model: &mut Model, overlay: Overlay, action: Action, effects: &mut Effects) -> Option<Overlay> {
        overlay.when(|menu| in_menu(model, menu, action))?.when(|line| in_line(model, line, action, effects))
    }
}

fn in_menu(model: &mut Model, mut menu: ExportMenu, action: Action) {
    match action {
        Action::Cancel => {}
        Action::Open => {
            if let (Some(what), Some(organization)) = (menu.selected(), model.organization()) {
                let line = FileName::new(what, organization, model.at.wall);
                model.show(line);
            }
        }
        Action::ExportMarks => {
            menu.toggle_marks();
            model.show(menu);
        }
        other => {
            menu.step(lines_of(other, 10).unwrap_or(0));
            model.show(menu);
        }
    }
}

fn in_line(model: &mut Model, mut line: FileName, action: Action, effects: &mut Effects) {
    match action {
        Action::Leave => return,
        Action::Clear => line.prompt.editor.set(""),
        Action::Submit => {
            if let Some((path, replace)) = line.answered() {
                return export(model, &line, path, replace, effects);
            }
        }
        _ => {}
    }
    model.show(line);
}

fn export(model: &mut Model, line: &FileName, path: String, replace: bool, effects: &mut Effects) {
    let FileName { what, marks, .. } = *line;
    let (Some(query), Some(place)) = (&model.timeline.query, model.history.current()) else { return };
    if model.connection != Connection::Up {
        return model.notify(Safe::literal("not exported: there is no connection"));
    }
    let scope = OrgScope::enter(place.organization.clone());
    let marked = || model.marks.picked().iter().map(|row| row.event_id.clone()).collect::<Vec<_>>();
    let of_case = || {
        let entries = model.case.book(&place.organization).map(|book| book.entries()).unwrap_or_default();
        entries.iter().map(|entry| entry.event.event_id.clone()).collect::<Vec<_>>()
    };
    let source = match what {
        What::Evidence(Of::View) => Source::Evidence(Box::new(query.clone()), None),
        What::Evidence(Of::Marked) => {
            let words = "events that were marked in the console".to_owned();
            Source::Evidence(Box::new(casework::by_ids(&scope, marked())), Some(words))
        }
        What::Evidence(Of::Case) => {
            let words = format!("events of the case {}", model.setup.case);
            Source::Evidence(Box::new(casework::by_ids(&scope, of_case())), Some(words))
        }
        What::View(format) => Source::Events(Box::new(query.clone()), place.text.clone(), format),
        What::Marked(format) => {
            let query = casework::by_ids(&scope, marked());
            Source::Events(Box::new(query), "events that were marked in the console".to_owned(), format)
        }
        What::Case(format) => {
            let query = casework::by_ids(&scope, of_case());
            Source::Events(Box::new(query), format!("events of the case {}", model.setup.case), format)
        }
        What::Report(form) => Source::Report(scope, model.setup.case.clone(), form),
    };
    model.exporting = None;
    begin(model, Task::Export(Box::new(Request { what, path, replace, marks, source })), effects);
}

#[cfg(test)]
#[path = "update_tests.rs"]
mod tests;
