//! What is verified from the console, and when: rows in passing, an event, a trail; and what becomes of findings.

use crate::console::app::feature::Update;
use crate::console::app::message::{Effect, Effects, Steer};
use crate::console::app::model::{Connection, Model, Page};
use crate::console::app::navigation::{open_at, visit};
use crate::console::app::start_task::{begin, stop};
use crate::console::core::failure::Failure;
use crate::console::core::keymap::Action;
use crate::console::core::layout::{Focus, below_title};
use crate::console::core::tasks::Slot;
use crate::console::core::view_stack::Place;
use crate::console::dialogs::Overlay;
use crate::console::integrity::accept_dialog::Accepting;
use crate::console::integrity::findings::FindingsPage;
use crate::console::integrity::row_marks::{self, Glance, Look};
use crate::console::integrity::task::{Output, Progress, Task, TrailRequest};
use crate::console::integrity::{pane, trails};
use crate::console::timeline::task::Landing;
use crate::console::widgets::scrolling::lines_of;
use crate::domain::{EventKey, EventRow, OrgId, OrgScope, Safe, grouped};
use crate::filter::Filter;
use std::num::NonZeroU32;

/// The rules of verification.
pub(in crate::console) struct Rules;

impl Update for Rules {
    type Output = Output;
    type Progress = Progress;

    fn done(model: &mut Model, output: Output, effects: &mut Effects) {
        match output {
            Output::Glance(glances) => {
                for row in glances.changed {
                    model.timeline.replace(row, model.zone);
                }
                if glances.thorough {
                    model.notify(row_marks::summary(&glances.seen));
                }
                model.marks.note(glances.detected, glances.catalogue, glances.seen);
                model.trails.columns = model.marks.catalogue().cloned();
                list_again(model);
            }
            Output::VerifyEvent(report) => {
                if let Some(report) = &report {
                    model.marks.note_one(report.event_id.clone(), Glance::from_report(report));
                    list_again(model);
                }
                model.integrity.fill(report);
            }
            Output::Accept(record) => {
                model.notify(Safe::literal("accepted"));
                model.trails.accept(&record);
                list_again(model);
            }
            Output::CompareHeads((organization, passing)) => {
                model.trails.compared(organization.clone(), *passing, model.at.wall);
                let first = model.trails.contradictions(&organization).next();
                if let Some(said) = first.map(|first| format!("{}: {}", first.name(), first.detail)) {
                    model.notify(Safe::from_untrusted(&said));
                }
                list_again(model);
            }
            Output::VerifyTrail(report) => {
                let said = format!("verified: {} · {}", report.words(), report.newest_end());
                model.notify(Safe::from_untrusted(&said));
                model.trails.finish(report);
                if let Some(organization) = model.organization().cloned() {
                    look_in_passing(model, organization, effects);
                }
                list_again(model);
            }
        }
    }

    fn progress(model: &mut Model, progress: Progress) {
        if let Some(scan) = &mut model.trails.scan {
            scan.progress = Some(progress);
        }
    }

    fn failed(model: &mut Model, slot: Slot, failure: Failure, _effects: &mut Effects) {
        match slot {
            Slot::Marks => model.marks.trouble = Some(failure.text),
            Slot::Integrity => model.integrity.fail(failure.text),
            Slot::Scan => {
                // Whoever asked for it may look at another pane.
                model.notify(failure.text.clone());
                model.trails.fail(failure.text);
            }
            _ => model.notify(failure.text),
        }
    }

    fn cancelled(model: &mut Model, slot: Slot) {
        match slot {
            Slot::Marks => model.marks.trouble = Some(Safe::literal("cancelled")),
            Slot::Integrity => model.integrity.fail(Safe::literal("cancelled")),
            Slot::Scan => {
                model.trails.stopped(&model.setup.keymap);
            }
            _ => {}
        }
    }

    fn retry(model: &mut Model, _effects: &mut Effects) {
        model.marks.retry();
        model.integrity.retry(model.at.clock);
    }

    fn in_page(model: &mut Model, action: Action, effects: &mut Effects) -> bool {
        in_list(model, action, effects)
    }

    fn act(model: &mut Model, action: Action, effects: &mut Effects) -> bool {
        match action {
            Action::Verify => verify_screen(model, effects),
            Action::VerifyAll => verify_trail(model, effects),
            Action::Pause => pause_trail(model, effects),
            Action::Throttle => throttle_trail(model, effects),
            Action::Accept => ask_to_accept(model),
            Action::Findings => open_list(model),
            Action::NextFinding => step_finding(model, false, effects),
            Action::PreviousFinding => step_finding(model, true, effects),
            action if model.focus == Focus::Integrity => return scroll(model, action),
            _ => return false,
        }
        true
    }

    fn answer(model: &mut Model, overlay: Overlay, action: Action, effects: &mut Effects) -> Option<Overlay> {
        overlay.when(|asked| in_accept(model, asked, action, effects))
    }
}

/// Whether the action scrolls the pane.
fn scroll(model: &mut Model, action: Action) -> bool {
    let Some(area) = model.areas().integrity.map(below_title) else { return false };
    let (width, height) = (usize::from(area.width), usize::from(area.height));
    let Some(by) = lines_of(action, height) else { return false };
    let lines = pane::height(model, width);
    model.integrity.scroll(by, height, lines);
    true
}

/// Paces at which a trail can be read, in events a second.
const PACES: [u32; 3] = [100_000, 10_000, 1000];

/// Checks the rows on the screen: those of which nothing is known yet, or all of them, thoroughly.
pub(in crate::console) fn look_at_rows(model: &mut Model, thorough: bool, effects: &mut Effects) {
    let rows: Vec<EventRow> = if thorough {
        model.timeline.visible().map(|row| row.event.clone()).collect()
    } else {
        model.unmarked().cloned().collect()
    };
    look_at(model, rows, thorough, effects);
}

fn look_at(model: &mut Model, rows: Vec<EventRow>, thorough: bool, effects: &mut Effects) {
    if let (Some(query), false) = (&model.timeline.query, rows.is_empty()) {
        let detected = model.marks.detected().cloned();
        let look = Look { scope: query.scope.clone(), rows, detected, thorough };
        begin(model, Task::Glance(look), effects);
    }
}

/// Verifies the selected event, if it is time.
pub(in crate::console) fn verify_event(model: &mut Model, effects: &mut Effects) {
    let Some(organization) = model.organization().cloned() else { return };
    if let Some((row, thorough)) = model.integrity.take_due(model.at.clock) {
        let task = Task::VerifyEvent(OrgScope::enter(organization), row.key(), thorough);
        begin(model, task, effects);
    }
}

/// Compares a trail with what is remembered of it, and with what this session has seen.
pub(in crate::console) fn look_in_passing(model: &mut Model, organization: OrgId, effects: &mut Effects) {
    let seen = model.trails.seen_before(&organization);
    begin(model, Task::CompareHeads(OrgScope::enter(organization), seen), effects);
}

/// Verifies the marked rows, or without any those on the screen, whatever is known of them.
pub(in crate::console) fn verify_screen(model: &mut Model, effects: &mut Effects) {
    if model.connection == Connection::Up && model.shows_current_place() {
        match model.marks.picked() {
            [] => look_at_rows(model, true, effects),
            some => look_at(model, some.to_vec(), true, effects),
        }
        model.integrity.hurry(model.at.clock);
    }
}

/// Starts reading the whole trail, or stops that.
pub(in crate::console) fn verify_trail(model: &mut Model, effects: &mut Effects) {
    if !stop(model, &[Slot::Scan], effects) {
        start(model, false, effects);
    }
}

fn start(model: &mut Model, resume: bool, effects: &mut Effects) {
    let Some(organization) = model.organization().cloned() else { return };
    if model.connection != Connection::Up {
        return;
    }
    model.trails.begin(organization.clone());
    let throttle = model.trails.throttle;
    let request = TrailRequest { scope: OrgScope::enter(organization), resume, throttle };
    begin(model, Task::VerifyTrail(Box::new(request)), effects);
}

/// Pauses the reading of a trail, or goes on with it, also where it was interrupted.
pub(in crate::console) fn pause_trail(model: &mut Model, effects: &mut Effects) {
    match &mut model.trails.scan {
        Some(scan) => {
            scan.paused = !scan.paused;
            effects.push(Effect::Steer(Steer::Pause(scan.paused)));
        }
        None => start(model, true, effects),
    }
}

/// Reads the trail at the next slower pace; after the slowest one at full speed.
pub(in crate::console) fn throttle_trail(model: &mut Model, effects: &mut Effects) {
    let slower = PACES.iter().copied().find(|pace| model.trails.throttle.is_none_or(|now| *pace < now.get()));
    model.trails.throttle = slower.and_then(NonZeroU32::new);
    if model.trails.scan.is_some() {
        effects.push(Effect::Steer(Steer::Throttle(model.trails.throttle)));
    }
    model.notify(match slower {
        Some(pace) => {
            let pace = grouped(pace.into());
            Safe::from_untrusted(&format!("verification limited to {pace} events/s"))
        }
        None => Safe::literal("verification not limited"),
    });
}

/// Goes to the next finding of the last verification, or back to the one before.
pub(in crate::console) fn step_finding(model: &mut Model, back: bool, effects: &mut Effects) {
    let Some(organization) = model.organization().cloned() else { return };
    if model.trails.report(&organization).is_none() {
        let text = match model.trails.scanning(&organization) {
            Some(scan) => format!("no report yet: {}", scan.title()),
            None => {
                let key = model.setup.keymap.key(Action::VerifyAll);
                format!("no report yet: {key} verifies the whole trail")
            }
        };
        return model.notify(Safe::from_untrusted(&text));
    }
    let Some(finding) = model.trails.report_mut(&organization).and_then(|verified| verified.step(back))
    else {
        return model.notify(Safe::literal("the last verification has no findings"));
    };
    match trails::place_of(finding) {
        Some(key) => go_to(model, organization, key, effects),
        None => model.notify(Safe::literal("the row of this finding has no readable place in the timeline")),
    }
}

/// Selects an event wherever it is in the timeline.
pub(in crate::console) fn go_to(
    model: &mut Model,
    organization: OrgId,
    key: EventKey,
    effects: &mut Effects,
) {
    if model.timeline.select(&key) || model.connection != Connection::Up {
        return;
    }
    let focus = model.focus;
    let mut filter = Filter::default();
    filter.set_all_time();
    match model.history.current() {
        Some(place) if place.filter == filter => open_at(model, Landing::At(key), effects),
        _ => {
            let mut place = Place::new(organization, filter.canonical(), filter);
            place.selected = Some(key);
            visit(model, place, effects);
        }
    }
    model.focus = focus;
}

/// Shows the findings as a list.
fn open_list(model: &mut Model) {
    let Some(organization) = model.organization().cloned() else { return };
    let findings = model.trails.findings(&organization, &model.marks);
    let page = FindingsPage::new(organization.clone(), findings, model.trails.verifications(&organization));
    model.page = Some(Page::Findings(Box::new(page)));
}

/// Lists anew what the list shows.
pub(in crate::console) fn list_again(model: &mut Model) {
    if let Some(Page::Findings(page)) = &mut model.page {
        let findings = model.trails.findings(&page.organization, &model.marks);
        page.set(findings, model.trails.verifications(&page.organization));
    }
}

/// A key while the list is there. False when the panes are to deal with it.
fn in_list(model: &mut Model, action: Action, effects: &mut Effects) -> bool {
    let Some(Page::Findings(list)) = &mut model.page else { return false };
    match action {
        Action::Cancel | Action::Quit | Action::Findings => {
            if action == Action::Findings || !list.widen() {
                model.page = None;
            }
        }
        Action::Include => list.narrow(false),
        Action::Exclude => list.narrow(true),
        Action::Open => open_finding(model, effects),
        Action::Accept => {
            let (organization, finding) = (list.organization.clone(), list.current().cloned());
            if let (Some(finding), Some(verified)) = (finding, model.trails.report_mut(&organization)) {
                verified.step_to(&finding);
            }
            ask_to_accept(model);
        }
        Action::VerifyAll => verify_trail(model, effects),
        Action::Help | Action::Palette | Action::Pause | Action::Throttle | Action::Refresh => return false,
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

/// Goes to the event of the finding under the cursor of the list.
fn open_finding(model: &mut Model, effects: &mut Effects) {
    let Some(Page::Findings(list)) = &model.page else { return };
    let organization = list.organization.clone();
    let Some(finding) = list.current().cloned() else { return };
    let Some(key) = trails::place_of(&finding) else {
        return model.notify(Safe::literal("this finding is about no event with a place in the timeline"));
    };
    model.page = None;
    if let Some(verified) = model.trails.report_mut(&organization) {
        verified.step_to(&finding);
    }
    go_to(model, organization, key, effects);
}

/// Asks why the finding that has been stepped to is understood.
pub(in crate::console) fn ask_to_accept(model: &mut Model) {
    let verified = model.organization().and_then(|organization| model.trails.report(organization));
    let asked = verified.and_then(|verified| {
        let finding = verified.current()?;
        Some(Accepting::new(&verified.report, finding, &model.setup.user))
    });
    match asked {
        Some(asked) => model.show(asked),
        None => {
            let next = model.setup.keymap.key(Action::NextFinding);
            model.notify(Safe::from_untrusted(&format!("no finding selected: {next} goes to the next one")));
        }
    }
}

/// A key while that question is open.
pub(in crate::console) fn in_accept(
    model: &mut Model,
    mut asked: Accepting,
    action: Action,
    effects: &mut Effects,
) {
    match action {
        Action::Leave => return,
        Action::Clear => asked.prompt.editor.set(""),
        Action::Submit => {
            if let Some(record) = asked.answered(model.at.wall) {
                return begin(model, Task::Accept(Box::new(record)), effects);
            }
            model.notify(Safe::literal("a reason is required"));
        }
        _ => {}
    }
    model.show(asked);
}
