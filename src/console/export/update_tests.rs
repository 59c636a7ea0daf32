use super::*;
use crate::console::app::fixtures::Desk;
use crate::console::app::message::{
    Event, Outcome, Output as AnyOutput, Progress as AnyProgress, Task as AnyTask,
};
use crate::console::export::progress::Walked;
use crate::export::FileFormat;
use crossterm::event::KeyCode;

fn request(desk: &Desk) -> Request {
    match desk.begun(Slot::Export).1 {
        AnyTask::Export(Task::Export(request)) => *request,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_form_is_chosen_and_a_file_named() {
    for (width, height, size) in [(80, 24, "80x24"), (120, 40, "120x40")] {
        let mut desk = Desk::sized(width, height, Some("acme"));
        desk.connect().opened(50, 0);
        desk.keys(" x");
        insta::assert_snapshot!(format!("menu_{size}"), desk.screen());
        desk.keys("vjjj").key(KeyCode::Enter);
        insta::assert_snapshot!(format!("file_{size}"), desk.screen());
        desk.control('u').keys("a.csv").key(KeyCode::Enter);
        let request = request(&desk);
        assert_eq!((request.path.as_str(), request.replace, request.marks), ("a.csv", false, true));
        assert!(matches!(request.source, Source::Events(_, _, FileFormat::Csv)), "{request:?}");
        assert_eq!(request.what, What::View(FileFormat::Csv));
    }
}

#[test]
fn how_far_it_has_come_is_seen_and_it_can_be_cancelled() {
    let mut desk = Desk::with_events(50);
    desk.keys("x").key(KeyCode::Enter).key(KeyCode::Enter);
    let (ticket, _) = desk.begun(Slot::Export);
    desk.wait(300);
    desk.say(Event::Progress(ticket, AnyProgress::Export(Progress { events: 12_000, walked: None })));
    let text = format!("exporting: {} events · Esc cancels", grouped(12_000));
    assert!(desk.screen().contains(&text), "{}", desk.screen());
    let at = crate::domain::Timestamp::parse("2026-01-14T07:30:00Z").unwrap();
    for (walked, words) in [
        (Walked::To(at), "events · looked at all up to 2026-01-14 07:30Z · Esc"),
        (Walked::Percent(34), "events · 34 % of the table read · Esc"),
    ] {
        let progress = Progress { events: 0, walked: Some(walked) };
        desk.say(Event::Progress(ticket, AnyProgress::Export(progress)));
        assert!(desk.screen().contains(words), "{}", desk.screen());
    }
    // One at a time.
    desk.keys("x");
    assert!(desk.screen().contains("an export is running"));
    desk.keys("q");
    assert!(desk.screen().contains("Leave"), "nothing is lost without a question");
    desk.keys("n").wait(6_000);
    desk.key(KeyCode::Esc);
    assert!(
        desk.effects.iter().any(|e| matches!(e, crate::console::app::message::Effect::Cancel(Slot::Export)))
    );
    desk.end(ticket, Outcome::Cancelled);
    assert!(!desk.screen().contains("exporting") && desk.screen().contains("cancelled"));
}

#[test]
fn a_file_that_is_there_is_asked_about() {
    let mut desk = Desk::with_events(50);
    desk.keys("x").key(KeyCode::Enter).key(KeyCode::Enter);
    let first = request(&desk);
    let is_there = Exported::IsThere { what: first.what, marks: first.marks, path: first.path.clone() };
    desk.finish(Slot::Export, AnyOutput::Export(Output::Export(is_there)));
    assert!(desk.screen().contains("submit again"), "{}", desk.screen());
    desk.key(KeyCode::Enter);
    assert_eq!(request(&desk), Request { replace: true, ..first });
    let written = Exported::Written {
        path: "a\u{1b}".to_owned(),
        events: 50,
        sha256: "9c".repeat(32),
        remark: String::new(),
    };
    desk.finish(Slot::Export, AnyOutput::Export(Output::Export(written)));
    assert!(desk.screen().contains("50 events in a\\x1B · sha256 9c9c9c9c9c9c"), "{}", desk.screen());
}

#[test]
fn a_view_is_exported_as_evidence_and_what_it_does_not_prove_is_said() {
    let mut desk = Desk::with_events(50);
    desk.keys("x").keys("jjjjjjj").key(KeyCode::Enter);
    assert!(desk.screen().contains("evidence bundle: proven without the database"), "{}", desk.screen());
    desk.key(KeyCode::Enter);
    let request = request(&desk);
    assert!(request.path.ends_with(".evidence"), "{}", request.path);
    assert!(matches!(request.source, Source::Evidence(_, None)), "{request:?}");
    let written = Exported::Written {
        path: "a.evidence".to_owned(),
        events: 50,
        sha256: "9c".repeat(32),
        remark: "3 of them came after the last checkpoint: not proven".to_owned(),
    };
    desk.finish(Slot::Export, AnyOutput::Export(Output::Export(written)));
    assert!(desk.screen().contains("3 of them came after the last checkpoint"), "{}", desk.screen());
}
