//! Verifying from the console: what keys start and stop, and what is then said.

use crate::chain::Content;
use crate::console::app::fixtures::{Desk, event_row};
use crate::console::app::message::{self as message, Effect, Event, Outcome, Output, Steer, Task};
use crate::console::app::model::Model;
use crate::console::app::view::render;
use crate::console::core::layout::Focus;
use crate::console::core::tasks::{Slot, Ticket};
use crate::console::integrity::row_marks::{Glance, Mark};
use crate::console::integrity::task as integrity;
use crate::console::timeline::task as timeline;
use crate::console::timeline::task::{Landing, Opened};
use crate::domain::{EventRow, OrgId, TimeRange};
use crate::filter::PartialSides;
use crate::verify::{
    Acceptance, Class, EventReport, Neighbour, Predecessor, Progress, RangeState, Report, SchemeUsed,
    Verdict, samples,
};
use crossterm::event::KeyCode;
use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::Rect;
use std::num::NonZeroU32;
use std::time::Duration;

fn screen(model: &Model) -> String {
    let (width, height) = model.size;
    let mut buffer = Buffer::empty(Rect { x: 0, y: 0, width, height });
    render(model, &mut buffer);
    let lines = buffer.content().chunks(usize::from(width));
    lines.map(|line| line.iter().map(Cell::symbol).collect::<String>().trim_end().to_owned() + "\n").collect()
}

fn organization() -> OrgId {
    OrgId::new("acme").unwrap()
}

/// A report with findings at rows of the desk.
fn report(classes: &[Class], events: &[&str]) -> Box<Report> {
    let mut report = samples::report(classes);
    report.organization_id = "acme".to_owned();
    report.snapshot_at = "2026-01-15T10:57:57.000000Z".to_owned();
    for (finding, event) in report.findings.iter_mut().zip(events) {
        finding.event_id = (*event).to_owned();
        finding.timestamp = "2026-01-15T09:57:58.000000Z".to_owned();
        finding.detail = "the stored hash is not the hash of the stored row".into();
        finding.consistent_with = vec!["an edit of the row after it was written".into()];
    }
    Box::new(report)
}

fn event_report(desk: &Desk, content: Content) -> Box<EventReport> {
    report_of(&desk.model.timeline.row().unwrap().event, content)
}

/// A report of an event, with a predecessor and two successors.
pub(crate) fn report_of(row: &EventRow, content: Content) -> Box<EventReport> {
    let neighbour = |id: &str| Neighbour {
        event_id: id.to_owned(),
        timestamp: "2026-01-15T09:57:57.000000Z".to_owned(),
        hash: String::new(),
    };
    Box::new(EventReport {
        schema_version: 1,
        organization_id: row.organization_id.clone(),
        event_id: row.event_id.clone(),
        timestamp: row.timestamp.to_rfc3339(),
        verdict: Verdict::Broken,
        content,
        detail: None,
        consistent_with: Vec::new(),
        ruled_out: Vec::new(),
        scheme: SchemeUsed { name: "agenttrace-v1", guessed: false, confidence: 1.0 },
        stored_hash: row.hash.clone(),
        computed_hash: Some("7ab0".repeat(16)),
        previous_hash: row.previous_hash.clone(),
        predecessor: Predecessor::Found { events: vec![neighbour("e89997")] },
        successors: vec![neighbour("e89999"), neighbour("e99999")],
        xmin: row.xmin,
        canonical_text: None,
    })
}

fn scanning(desk: &mut Desk) -> Ticket {
    desk.keys("V");
    let (ticket, work) = desk.begun(Slot::Scan);
    assert!(
        matches!(work, Task::Integrity(integrity::Task::VerifyTrail(request)) if *request.scope.organization() == organization())
    );
    ticket
}

#[test]
fn the_trail_is_verified_with_its_progress_and_its_findings_are_stepped_through() {
    let mut desk = Desk::sized(80, 24, Some("acme"));
    desk.connect().opened(50, 0).keys("4");
    assert!(screen(&desk.model).contains("not verified: V reads all of it"));
    let ticket = scanning(&mut desk);
    let progress = Progress {
        events: 300_000,
        total: Some(1_000_000),
        elapsed: Duration::from_secs(1),
        ranges: [RangeState::Ok, RangeState::Broken, RangeState::Reading, RangeState::Unchecked].to_vec(),
    };
    desk.say(Event::Progress(ticket, message::Progress::Integrity(progress)));
    let text = screen(&desk.model);
    assert!(
        text.contains("verifying 30 %") && text.contains("300 000 of ~1 000 000 events · 300 000/s"),
        "{text}"
    );
    assert!(text.contains("[=X>.]") && text.contains("1 of 4 ranges verified, 1 broken (X)"), "{text}");
    let found = report(&[Class::ContentMismatch, Class::Fork], &["e89998", "gone"]);
    desk.end(ticket, Outcome::Done(Output::Integrity(integrity::Output::VerifyTrail(found))));
    let text = screen(&desk.model);
    assert!(text.contains("✗ broken, 2 findings"), "{text}");
    assert!(text.contains("1 204 330 of 1 204 331 events, verified to 10:57:57Z, 3 s ago"), "{text}");

    desk.keys("'");
    assert_eq!((desk.selected().as_str(), desk.model.focus), ("e89998", Focus::Integrity));
    desk.wait(200);
    let mut event = event_report(&desk, Content::Mismatch);
    let explanation = "an edit of the row after it was written";
    assert_eq!(screen(&desk.model).matches(explanation).count(), 1);
    event.detail = Some("the stored hash is not the hash of the stored row".to_owned());
    event.consistent_with = vec![explanation.to_owned()];
    desk.finish(Slot::Integrity, Output::Integrity(integrity::Output::VerifyEvent(Some(event))));
    assert_eq!(screen(&desk.model).matches(explanation).count(), 1, "not of the event and of the finding");
    assert_eq!(desk.model.marks.mark(&desk.model.timeline.row().unwrap().event), Mark::Broken);
    insta::assert_snapshot!("integrity_80x24", screen(&desk.model));

    // The next one is not in the view: all of the trail is opened there.
    desk.keys("'");
    let (_, work) = desk.begun(Slot::View);
    assert!(
        matches!(&work, Task::Timeline(timeline::Task::Open(ask, Landing::At(key))) if ask.filter.canonical() == "all-time" && key.event_id == "gone"),
        "{work:?}"
    );
    assert_eq!(desk.model.focus, Focus::Integrity);
    desk.opened(50, 0);
    desk.keys("'");
    assert_eq!(desk.selected(), "e89998", "and round again");
    desk.keys("\"\"");
    assert_eq!(desk.model.trails.report(&organization()).unwrap().finding, Some(0));
}

#[test]
fn escape_and_the_same_key_stop_the_scan() {
    for stop in [KeyCode::Esc, KeyCode::Char('V')] {
        let mut desk = Desk::with_events(50);
        let ticket = scanning(&mut desk);
        desk.key(stop);
        assert!(desk.effects.contains(&Effect::Cancel(Slot::Scan)));
        assert!(!desk.begins(Slot::Scan));
        desk.end(ticket, Outcome::Cancelled);
        assert!(desk.model.trails.scan.is_none());
        desk.keys("4");
        assert!(screen(&desk.model).contains("stopped, which says nothing"), "{}", screen(&desk.model));
        scanning(&mut desk);
    }
}

#[test]
fn a_row_seen_to_be_broken_lowers_the_header_at_once() {
    let mut desk = Desk::with_events(50);
    let ticket = scanning(&mut desk);
    desk.end(ticket, Outcome::Done(Output::Integrity(integrity::Output::VerifyTrail(report(&[], &[])))));
    let header = |desk: &Desk| screen(&desk.model).lines().next().unwrap().to_owned();
    assert!(header(&desk).contains("✓ chain intact · end not proven"), "{}", header(&desk));
    let row = desk.model.timeline.row().unwrap().event.clone();
    desk.model.marks.note_one(row.event_id.clone(), Glance::of(&row, Mark::Broken, ""));
    assert!(
        header(&desk).contains("✗ 1 event broken") && !header(&desk).contains("intact"),
        "{}",
        header(&desk)
    );
    // While a scan runs too: the list tells the same story.
    let ticket = scanning(&mut desk);
    desk.keys("I");
    let list = screen(&desk.model);
    assert!(list.contains("content_mismatch") && list.contains(&row.event_id), "{list}");
    desk.keys("I").end(ticket, Outcome::Cancelled);
    // Somebody may have understood it already.
    let ticket = scanning(&mut desk);
    let mut understood = report(&[Class::ContentMismatch], &[&row.event_id]);
    understood.accept(|_| Some(acceptance()));
    desk.end(ticket, Outcome::Done(Output::Integrity(integrity::Output::VerifyTrail(understood))));
    assert!(header(&desk).contains("✓ chain intact"), "{}", header(&desk));
    desk.keys("I");
    let list = screen(&desk.model);
    assert!(!list.contains(&row.event_id), "{list}");
}

#[test]
fn an_event_that_is_gone_when_the_view_is_loaded_again_is_said_loudly() {
    let mut desk = Desk::with_events(50);
    let reload = |desk: &mut Desk, gone: &[i64]| {
        desk.keys("R");
        let (ticket, work) = desk.begun(Slot::View);
        let Task::Timeline(timeline::Task::Open(_, landing)) = work else { panic!("{work:?}") };
        // A new one above, and a shorter page.
        let rows = (-1..40).filter(|i| !gone.contains(i));
        let opened = Opened {
            landing,
            range: TimeRange::default(),
            sides: PartialSides::default(),
            rows: rows.map(|i| event_row(&format!("e{:05}", 90_000 - i), -i)).collect(),
            has_newer: false,
            has_older: true,
            looked: None,
            selected: 0,
            newest: None,
            nearest_older: None,
            took: Duration::from_millis(3),
        };
        desk.end(ticket, Outcome::Done(Output::Timeline(timeline::Output::Open(Box::new(opened)))));
    };
    let header = |desk: &Desk| screen(&desk.model).lines().next().unwrap().to_owned();
    reload(&mut desk, &[]);
    assert!(header(&desk).contains("· not verified"), "{}", header(&desk));
    reload(&mut desk, &[-1, 7]);
    let said = desk.model.notice.as_ref().unwrap().text.to_string();
    assert!(said.contains("verified_event_missing: e90001 and another one stood here"), "{said}");
    assert!(header(&desk).contains("✗ 2 events gone"), "{}", header(&desk));
    // No later verdict outranks what was seen, until the event is there and fits.
    let ticket = scanning(&mut desk);
    desk.end(ticket, Outcome::Done(Output::Integrity(integrity::Output::VerifyTrail(report(&[], &[])))));
    assert!(header(&desk).contains("✗ 2 events gone"), "{}", header(&desk));
    // The pane says the same, and what the verification found as what it is.
    desk.keys("4");
    let pane = screen(&desk.model);
    assert!(pane.contains("4 Integrity  ✗ 2 events gone"), "{pane}");
    assert!(
        pane.contains("trail    ✗ 2 events gone") && pane.contains("last verification: ✓ chain"),
        "{pane}"
    );
}

fn acceptance() -> Acceptance {
    Acceptance { accepted_by: "eve".to_owned(), accepted_at: String::new(), note: "known".to_owned() }
}

#[test]
fn a_scan_outlives_a_visit_to_another_view_and_dies_with_the_connection() {
    let mut desk = Desk::with_events(50);
    let ticket = scanning(&mut desk);
    desk.keys("fsev:critical").key(KeyCode::Enter).opened(3, 0);
    desk.end(ticket, Outcome::Done(Output::Integrity(integrity::Output::VerifyTrail(report(&[], &[])))));
    assert!(screen(&desk.model).contains("✓ chain intact · end not proven"), "{}", screen(&desk.model));

    let late = scanning(&mut desk);
    desk.wait(5_000);
    let (pulse, _) = desk.begun(Slot::Pulse);
    desk.fail(pulse, "cannot reach the database", true);
    assert!(desk.model.trails.scan.is_none());
    let before = desk.model.trails.report(&organization()).unwrap().at;
    desk.end(
        late,
        Outcome::Done(Output::Integrity(integrity::Output::VerifyTrail(report(&[Class::Fork], &["e"])))),
    );
    let verified = desk.model.trails.report(&organization()).unwrap();
    assert_eq!(
        (verified.at, verified.report.verdict),
        (before, Verdict::Intact),
        "what is left is the old one"
    );
}

#[test]
fn an_event_is_verified_when_the_pane_is_there_and_the_selection_rests() {
    let mut desk = Desk::sized(80, 24, Some("acme"));
    desk.connect().opened(50, 0).wait(500);
    assert!(!desk.begins(Slot::Integrity), "the pane is not on the screen");
    desk.keys("4").wait(200);
    let (ticket, work) = desk.begun(Slot::Integrity);
    assert!(
        matches!(work, Task::Integrity(integrity::Task::VerifyEvent(_, key, false)) if key.event_id == "e90000")
    );
    desk.keys("1j");
    assert!(desk.effects.contains(&Effect::Cancel(Slot::Integrity)));
    let stale = event_report(&desk, Content::Mismatch);
    desk.end(ticket, Outcome::Done(Output::Integrity(integrity::Output::VerifyEvent(Some(stale)))));
    assert_eq!(desk.model.marks.mark(&desk.model.timeline.row().unwrap().event), Mark::Unchecked);
}

#[test]
fn rows_are_verified_thoroughly_when_somebody_asks() {
    let mut desk = Desk::with_events(50);
    desk.wait(100).look(Mark::Unable);
    desk.keys("v");
    let (_, work) = desk.begun(Slot::Marks);
    assert!(
        matches!(&work, Task::Integrity(integrity::Task::Glance(look)) if look.thorough && look.rows.len() > 20),
        "{work:?}"
    );
    desk.look(Mark::Verified);
    let rows = desk.model.timeline.visible().count();
    let said = desk.model.notice.as_ref().unwrap().text.to_string();
    assert_eq!(said, format!("{rows} rows: {rows} verified"));
}

#[test]
fn the_age_of_a_report_is_drawn_anew_only_while_it_is_seen() {
    // On a wider screen the header shows it, too.
    let mut desk = Desk::sized(80, 24, Some("acme"));
    desk.connect().opened(50, 0);
    let ticket = scanning(&mut desk);
    desk.end(ticket, Outcome::Done(Output::Integrity(integrity::Output::VerifyTrail(report(&[], &[])))));
    desk.wait(100).look(Mark::Verified);
    let quiet = |desk: &mut Desk| {
        desk.wait(6_000);
        desk.model.timeline.paused = true;
        for slot in Slot::ALL {
            desk.model.slots.abandon(*slot);
        }
        desk.model.pulse_at = Duration::from_hours(1);
        desk.model.next_wake().saturating_sub(Duration::from_millis(desk.millis))
    };
    assert!(quiet(&mut desk) > Duration::from_secs(2));
    desk.keys("4");
    assert!(quiet(&mut desk) <= Duration::from_secs(1));
    desk.model.dirty = false;
    desk.wait(1_000);
    assert!(desk.model.dirty);
}

#[test]
fn a_finding_is_accepted_with_a_reason_and_decides_the_verdict_no_more() {
    let mut desk = Desk::sized(80, 24, Some("acme"));
    desk.connect().opened(50, 0).keys("A");
    assert!(desk.model.overlay.is_none(), "there is none");
    let ticket = scanning(&mut desk);
    let found = report(&[Class::Fork, Class::TimeBeforePredecessor], &["e89998", "e89990"]);
    desk.end(ticket, Outcome::Done(Output::Integrity(integrity::Output::VerifyTrail(found))));
    desk.keys("'A").key(KeyCode::Enter);
    assert!(!desk.begins(Slot::Accept), "not without a reason");
    desk.keys("known restart");
    insta::assert_snapshot!("accept_80x24", screen(&desk.model));
    desk.key(KeyCode::Enter);
    let (ticket, work) = desk.begun(Slot::Accept);
    let Task::Integrity(integrity::Task::Accept(record)) = work else { panic!("{work:?}") };
    assert_eq!((record.note.as_str(), record.accepted_by.as_str()), ("known restart", "eve"));
    assert_eq!((record.class.as_str(), record.event_id.as_str()), ("fork", "e89998"));
    assert!(record.accepted_at.starts_with("2026-01-15T10:58:"), "{}", record.accepted_at);
    desk.end(ticket, Outcome::Done(Output::Integrity(integrity::Output::Accept(record))));
    let verified = desk.model.trails.report(&organization()).unwrap();
    assert_eq!((verified.report.verdict, verified.report.accepted.len()), (Verdict::Intact, 1));
    assert_eq!(verified.current().unwrap().event_id, "e89990");
}

#[test]
fn a_scan_is_paused_throttled_and_gone_on_with_after_it_was_stopped() {
    let mut desk = Desk::sized(200, 60, Some("acme"));
    desk.connect().opened(50, 0).keys("4%");
    assert!(screen(&desk.model).contains("limited to 100 000 events/s"), "{}", screen(&desk.model));
    let ticket = scanning(&mut desk);
    let steered = |desk: &Desk, steer| desk.effects.contains(&Effect::Steer(steer));
    desk.keys("P");
    assert!(steered(&desk, Steer::Pause(true)));
    assert!(screen(&desk.model).contains("P goes on"), "{}", screen(&desk.model));
    desk.keys("%");
    assert!(steered(&desk, Steer::Throttle(NonZeroU32::new(10_000))));
    desk.keys("P");
    assert!(steered(&desk, Steer::Pause(false)));
    assert!(screen(&desk.model).contains("P pauses"), "{}", screen(&desk.model));
    desk.keys("%%");
    assert!(steered(&desk, Steer::Throttle(None)), "behind the slowest pace comes none");
    desk.keys("V").end(ticket, Outcome::Cancelled);
    assert!(screen(&desk.model).contains("stopped, which says nothing of the trail yet: P goes on"));
    desk.keys("P");
    let (_, work) = desk.begun(Slot::Scan);
    assert!(
        matches!(&work, Task::Integrity(integrity::Task::VerifyTrail(request)) if request.resume && request.throttle.is_none()),
        "{work:?}"
    );
}

#[test]
fn where_nothing_was_interrupted_resuming_says_so_whatever_pane_is_looked_at() {
    let mut desk = Desk::sized(80, 24, Some("acme"));
    desk.connect().opened(50, 0).keys("P");
    let (ticket, work) = desk.begun(Slot::Scan);
    assert!(
        matches!(&work, Task::Integrity(integrity::Task::VerifyTrail(request)) if request.resume),
        "{work:?}"
    );
    desk.fail(ticket, "there is no interrupted verification to resume", false);
    assert!(screen(&desk.model).contains("no interrupted verification"), "{}", screen(&desk.model));
}
