//! What keys say of events, and what follows from what stands in the case.

use crate::case::notebook::{Entry, Subject, Wish};
use crate::console::app::feature::Update;
use crate::console::app::message::Effects;
use crate::console::app::model::{Connection, Model, Page};
use crate::console::app::navigation::open as open_view;
use crate::console::app::start_task::begin;
use crate::console::case::books::Opened;
use crate::console::case::pane::CasePage;
use crate::console::case::prompts::{Noting, Tagging};
use crate::console::case::task::{Output, Progress, Task, Writing};
use crate::console::case::verdict_picker::VerdictPicker;
use crate::console::core::failure::Failure;
use crate::console::core::keymap::Action;
use crate::console::core::tasks::Slot;
use crate::console::dialogs::Overlay;
use crate::console::integrity::update::go_to;
use crate::console::widgets::scrolling::lines_of;
use crate::domain::{EventKey, OrgScope, Safe};
use crate::investigation::casework::Fate;

/// The rules of the case.
pub(in crate::console) struct Rules;

impl Update for Rules {
    type Output = Output;
    type Progress = Progress;

    fn done(model: &mut Model, output: Output, effects: &mut Effects) {
        match output {
            Output::Open(opened) => {
                take(model, *opened);
                // A view that asks the case waits for it.
                let asks = model.history.current().is_some_and(|place| place.filter.asks_the_case());
                if asks && model.connection == Connection::Up && model.timeline.trouble.is_some() {
                    open_view(model, effects);
                }
            }
            Output::Write(opened) => {
                take(model, *opened);
                if std::mem::take(&mut model.case.again) {
                    read(model, effects);
                }
            }
            Output::Look(fates) => {
                if let Some(Page::Case(page)) = &mut model.page {
                    page.take_fates(fates);
                }
            }
        }
    }

    fn failed(model: &mut Model, slot: Slot, failure: Failure, _effects: &mut Effects) {
        if slot == Slot::CaseFates {
            if let Some(Page::Case(page)) = &mut model.page {
                page.fail(failure.text);
            }
            return;
        }
        model.case.trouble = Some(failure.text.clone());
        model.notify(failure.text);
    }

    fn cancelled(model: &mut Model, slot: Slot) {
        if let (Slot::CaseFates, Some(Page::Case(page))) = (slot, &mut model.page) {
            page.fail(Safe::literal("cancelled"));
        }
    }

    fn retry(model: &mut Model, effects: &mut Effects) {
        read(model, effects);
        compare(model, effects);
    }

    fn in_page(model: &mut Model, action: Action, effects: &mut Effects) -> bool {
        in_list(model, action, effects)
    }

    fn act(model: &mut Model, action: Action, effects: &mut Effects) -> bool {
        match action {
            Action::Case => open_list(model, effects),
            Action::Bookmark | Action::Note | Action::Tag | Action::Verdict => say(model, action, effects),
            _ => return false,
        }
        true
    }

    fn answer(model: &mut Model, overlay: Overlay, action: Action, effects: &mut Effects) -> Option<Overlay> {
        overlay
            .when(|line| in_note(model, line, action, effects))?
            .when(|line| in_tags(model, line, action, effects))?
            .when(|picker| in_verdicts(model, picker, action, effects))
    }
}

/// Reads the case of the organisation looked at.
pub(in crate::console) fn read(model: &mut Model, effects: &mut Effects) {
    if let Some(organization) = model.organization().cloned() {
        let task = Task::Open(OrgScope::enter(organization), model.setup.case.clone());
        begin(model, task, effects);
    }
}

fn take(model: &mut Model, opened: Opened) {
    if let Some(Page::Case(page)) = &mut model.page
        && page.organization == opened.organization
    {
        page.set(&opened.book);
    }
    if let Some(remark) = model.case.take(opened) {
        model.notify(Safe::from_untrusted(&format!("case {}: {remark}", model.setup.case)));
    }
}

/// The event that keys are about: of the list, else of the timeline; and what stands about it.
fn subject(model: &Model) -> Option<(Subject, Option<Entry>)> {
    if let Some(Page::Case(page)) = &model.page {
        return page.current().map(|entry| (entry.event.clone(), Some(entry.clone())));
    }
    // Rows of the view before are still on the screen while another one is being loaded.
    let row = model.timeline.row().filter(|_| model.shows_current_place())?;
    let organization = model.organization()?;
    let event = model.case.subject(organization, &row.event);
    Some((event, model.case.entry(organization, &row.event).cloned()))
}

/// Bookmarks the event, or asks what is to be said of it.
fn say(model: &mut Model, action: Action, effects: &mut Effects) {
    let Some((event, entry)) = subject(model) else {
        let is_loading = model.timeline.row().is_some();
        let why = if is_loading { "the view is still being loaded" } else { "no event is selected" };
        return model.notify(Safe::literal(why));
    };
    match action {
        Action::Verdict => {
            let picker = VerdictPicker::new(event, entry.as_ref(), &model.setup.user);
            model.show(picker);
        }
        Action::Bookmark => write(model, Wish::ToggleBookmark(event), effects),
        Action::Note => {
            let line = Noting::new(event, entry.as_ref(), &model.setup.user, &model.setup.keymap);
            model.show(line);
        }
        _ => {
            let book = model.organization().and_then(|organization| model.case.book(organization));
            let known: Vec<&str> = book.map(|book| book.tags().into_iter().collect()).unwrap_or_default();
            let line = Tagging::new(event, entry.as_ref(), &known);
            model.show(line);
        }
    }
}

fn write(model: &mut Model, wish: Wish, effects: &mut Effects) {
    let Some(organization) = model.organization().cloned() else { return };
    let trail = model.case.trail(&organization).cloned();
    // What the one before comes to is not waited for any more: the file is read once more.
    model.case.again |= model.slots.running(Slot::CaseWriting).is_some();
    let (case, by) = (model.setup.case.clone(), model.setup.user.clone());
    let writing = Writing { case, organization, trail, wishes: vec![wish], at: model.at.wall, by };
    begin(model, Task::Write(Box::new(writing)), effects);
}

fn in_note(model: &mut Model, mut line: Noting, action: Action, effects: &mut Effects) {
    match action {
        Action::Leave => return,
        Action::Submit => match line.answered() {
            Ok(Some(wish)) => return write(model, wish, effects),
            Ok(None) => return,
            Err(()) => {}
        },
        Action::Clear => line.prompt.editor.set(""),
        Action::HistoryBack => line.recall(false),
        Action::HistoryForward => line.recall(true),
        _ => {}
    }
    model.show(line);
}

fn in_tags(model: &mut Model, mut line: Tagging, action: Action, effects: &mut Effects) {
    match action {
        Action::Leave => return,
        Action::Submit => match line.answered() {
            Ok(Some(wish)) => return write(model, wish, effects),
            Ok(None) => return,
            Err(()) => {}
        },
        Action::Clear => line.prompt.editor.set(""),
        Action::Complete => line.complete(false),
        Action::CompleteBack => line.complete(true),
        _ => {}
    }
    model.show(line);
}

fn in_verdicts(model: &mut Model, mut picker: VerdictPicker, action: Action, effects: &mut Effects) {
    match action {
        Action::Open => return write(model, picker.wish(), effects),
        Action::Cancel => return,
        other => {
            if let Some(by) = lines_of(other, 4) {
                picker.step(by);
            }
        }
    }
    model.show(picker);
}

/// Shows the case as a list, and looks what has become of its events.
fn open_list(model: &mut Model, effects: &mut Effects) {
    let Some(organization) = model.organization().cloned() else { return };
    let Some(book) = model.case.book(&organization) else {
        let text = model.case.trouble.clone();
        return model.notify(text.unwrap_or(Safe::literal("the case is still being read")));
    };
    let page = CasePage::new(organization, &model.setup.case, book);
    model.page = Some(Page::Case(Box::new(page)));
    compare(model, effects);
}

/// Looks what has become of the events of the list.
fn compare(model: &mut Model, effects: &mut Effects) {
    let Some(Page::Case(page)) = &mut model.page else { return };
    let (organization, entries) = (page.organization.clone(), page.entries().to_vec());
    if !entries.is_empty() && model.connection == Connection::Up {
        page.compare();
        begin(model, Task::Look(OrgScope::enter(organization), entries), effects);
    }
}

/// A key while the list is there. False when the panes are to deal with it.
fn in_list(model: &mut Model, action: Action, effects: &mut Effects) -> bool {
    let Some(Page::Case(page)) = &mut model.page else { return false };
    match action {
        Action::Cancel | Action::Quit | Action::Case => model.page = None,
        Action::Open => open_event(model, effects),
        Action::Bookmark | Action::Note | Action::Tag | Action::Verdict => say(model, action, effects),
        Action::Help | Action::Palette => return false,
        Action::Refresh => {
            read(model, effects);
            open_list(model, effects);
        }
        Action::Zoom => {}
        other => match lines_of(other, page.body_height()) {
            Some(by) => page.scroll(by),
            None => {
                model.page = None;
                return false;
            }
        },
    }
    true
}

/// Goes to the event under the cursor of the list.
fn open_event(model: &mut Model, effects: &mut Effects) {
    let Some(Page::Case(page)) = &model.page else { return };
    let Some(entry) = page.current() else { return };
    if matches!(page.fate(), Some(Fate::Gone)) {
        let text = "the event is not in the table any more, or hidden from this role: its hash is below";
        return model.notify(Safe::literal(text));
    }
    let organization = page.organization.clone();
    let key = EventKey { timestamp: entry.event.timestamp, event_id: entry.event.event_id.clone() };
    model.page = None;
    go_to(model, organization, key, effects);
}

#[cfg(test)]
#[path = "update_tests.rs"]
pub(crate) mod tests;
