use super::*;
use crate::case::notebook::{Act, Book, Record, Trail};
use crate::case::record::Contents;
use crate::console::app::fixtures::{Desk, event_row};
use crate::console::app::message::{Outcome, Output as AnyOutput, Task as AnyTask};
use crate::domain::{OrgId, Timestamp};
use crossterm::event::KeyCode;

fn trail() -> Trail {
    Trail { organization_id: "acme".to_owned(), place: "here".to_owned(), object: "7/audit/t".to_owned() }
}

pub(crate) fn opened(records: Vec<Record>) -> Box<Opened> {
    let contents = Contents { records, ..Contents::default() };
    let book = Book::of(contents, Some(&trail()));
    Box::new(Opened { organization: OrgId::new("acme").unwrap(), trail: trail(), book })
}

fn record(id: &str, act: Act) -> Record {
    Record { id: id.to_owned(), at: Timestamp::from_micros(1_768_471_080_000_000), by: "bob".to_owned(), act }
}

/// As [`Desk::opened`] makes them: `e89999` is one second older than `e90000`.
fn event(n: i64) -> Box<Subject> {
    Box::new(Subject::of(&trail(), &event_row(&format!("e{}", 90_000 - n), -n)))
}

/// Something is said of many events, in the words of a text that was written elsewhere.
pub(crate) fn records(text: &str) -> Vec<Record> {
    let note = |n: i64| Act::Note { event: event(n), text: format!("{n}: {text}"), replaces: Vec::new() };
    let tag = |n: i64| Act::Tag { event: event(n), tag: "exfil".to_owned() };
    let acts = (0..40).flat_map(|n| [note(n), tag(n), Act::Bookmark { event: event(n) }]);
    acts.enumerate().map(|(n, act)| record(&n.to_string(), act)).collect()
}

fn said() -> Vec<Record> {
    let note = |text: &str| Act::Note { event: event(1), text: text.to_owned(), replaces: Vec::new() };
    vec![
        record("1", Act::Bookmark { event: event(0) }),
        record("2", note("first use of the \u{1b}[31mstolen key")),
        record("3", Act::Tag { event: event(1), tag: "exfil".to_owned() }),
        record("4", Act::Bookmark { event: event(500) }),
    ]
}

/// A desk at which the case has been read.
fn desk(width: u16, height: u16, records: Vec<Record>) -> Desk {
    let mut desk = Desk::sized(width, height, Some("acme"));
    desk.connect();
    let (ticket, _) = desk.begun(Slot::Case);
    desk.opened(50, 0);
    desk.end(ticket, Outcome::Done(AnyOutput::Case(Output::Open(opened(records)))));
    desk
}

fn written(desk: &Desk) -> Vec<Wish> {
    match desk.begun(Slot::CaseWriting).1 {
        AnyTask::Case(Task::Write(writing)) => writing.wishes,
        other => panic!("{other:?}"),
    }
}

#[test]
fn keys_say_something_of_the_selected_event() {
    let mut desk = desk(120, 40, Vec::new());
    desk.keys("jm");
    assert_eq!(written(&desk), [Wish::ToggleBookmark(*event(1))]);
    desk.finish(Slot::CaseWriting, AnyOutput::Case(Output::Write(opened(said()))));
    assert!(desk.screen().contains("★"), "{}", desk.screen());
    desk.keys("cfirst").key(KeyCode::Enter);
    assert_eq!(written(&desk), [Wish::Note(*event(1), "first".to_owned())]);
    // While that is being written.
    desk.keys("#");
    assert!(desk.screen().contains("exfil"), "{}", desk.screen());
    desk.keys("night").key(KeyCode::Enter);
    let tags = Wish::Tags { event: *event(1), add: vec!["night".to_owned()], remove: Vec::new() };
    assert_eq!(written(&desk), [tags]);
    desk.finish(Slot::CaseWriting, AnyOutput::Case(Output::Write(opened(said()))));
    assert!(desk.begins(Slot::Case), "what came of the note is read");
    // Nothing is written where nothing was said.
    desk.keys("c").key(KeyCode::Enter);
    assert!(!desk.begins(Slot::CaseWriting) && desk.screen().contains("the note is empty"));
    desk.key(KeyCode::Esc);
    assert!(!desk.screen().contains("the note is empty"));
}

#[test]
fn what_was_said_is_seen_in_the_timeline_and_beside_it() {
    for (width, height, name) in [(80, 24, "marks_80x24"), (120, 40, "marks_120x40")] {
        let mut desk = desk(width, height, said());
        desk.keys("j");
        insta::assert_snapshot!(name, desk.screen());
        desk.keys("5");
        let screen = desk.screen();
        assert!(screen.contains("#exfil") && screen.contains("\\x1B[31mstolen"), "{screen}");
    }
}

#[test]
fn a_note_is_typed_below_those_before() {
    for (width, height, name) in [(80, 24, "note_80x24"), (120, 40, "note_120x40")] {
        let mut desk = desk(width, height, said());
        desk.keys("jcsecond");
        insta::assert_snapshot!(name, desk.screen());
    }
}

#[test]
fn the_list_says_what_has_become_of_the_events_and_leads_to_those_that_are_there() {
    for (width, height, name) in [(80, 24, "list_80x24"), (120, 40, "list_120x40")] {
        let mut desk = desk(width, height, said());
        desk.keys("L");
        let (_, AnyTask::Case(Task::Look(_, entries))) = desk.begun(Slot::CaseFates) else { panic!() };
        assert_eq!(entries.len(), 3);
        let fates = vec![
            ("e90000".to_owned(), Fate::Present(Box::new(event_row("e90000", 0)))),
            ("e89999".to_owned(), Fate::OtherHash(Box::new(event_row("e89999", -1)))),
            ("e89500".to_owned(), Fate::Gone),
        ];
        desk.finish(Slot::CaseFates, AnyOutput::Case(Output::Look(fates)));
        desk.keys("j");
        insta::assert_snapshot!(name, desk.screen());
        desk.keys("j").key(KeyCode::Enter);
        assert!(desk.screen().contains("not in the table any more"), "{}", desk.screen());
        desk.keys("kk").key(KeyCode::Enter);
        assert_eq!((desk.selected().as_str(), desk.model.page.is_none()), ("e90000", true));
    }
    let mut empty = desk(80, 24, Vec::new());
    empty.keys("L");
    assert!(empty.screen().contains("m bookmarks the selected"), "{}", empty.screen());
    assert!(!empty.begins(Slot::CaseFates));
    // Any other key goes on in the panes.
    empty.keys("3");
    assert!(empty.model.page.is_none());
}

#[test]
fn one_goes_from_bookmark_to_bookmark_and_filters_by_them() {
    let mut desk = desk(120, 40, said());
    desk.keys("u");
    let (_, work) = desk.begun(Slot::Find);
    assert!(format!("{work:?}").contains("e89500"), "{work:?}");
    desk.keys("fis:bookmarked").key(KeyCode::Enter);
    let (_, work) = desk.begun(Slot::View);
    let asked = format!("{work:?}");
    assert!(asked.contains(r#"Only(["e89500", "e90000"])"#), "{asked}");
    // Another shell can list the same.
    assert!(desk.model.listed().is_some());
    desk.opened(2, 0);
    let mut none = self::desk(120, 40, Vec::new());
    none.keys("u");
    assert!(none.screen().contains("no event is bookmarked: m bookmarks"), "{}", none.screen());
    // No empty answer that looks as if the table had been searched.
    for (filter, absence, key) in [
        ("is:bookmarked", "no bookmark", "m: bookmark the event"),
        ("is:noted", "no note", "c: write a note"),
        ("tag:exfil", "no event with the tag exfil", "#: tags of the event"),
    ] {
        none.keys("f").control('u').keys(filter).key(KeyCode::Enter).opened(0, 0);
        let screen = none.screen();
        let said = format!("The case 'default' has {absence} in this organisation.");
        assert!(screen.contains(&said) && screen.contains(key), "{screen}");
    }
}

#[test]
fn a_view_that_asks_the_case_waits_for_it() {
    let mut desk = Desk::begin(Some("acme"));
    desk.connect();
    let (case, _) = desk.begun(Slot::Case);
    desk.opened(50, 0);
    desk.keys("L");
    assert!(desk.screen().contains("the case is still being read"));
    // What is said is not lost: its task finds out by itself which trail it is about.
    desk.keys("m");
    let (_, work) = desk.begun(Slot::CaseWriting);
    assert!(format!("{work:?}").contains("trail: None"), "{work:?}");
    desk.keys("fis:noted").key(KeyCode::Enter);
    let (view, _) = desk.begun(Slot::View);
    desk.fail(view, "nothing is known about that yet", false);
    // The case is read anew for the view, since it was not there.
    let case = if desk.model.slots.is_current(case) { case } else { desk.begun(Slot::Case).0 };
    desk.end(case, Outcome::Done(AnyOutput::Case(Output::Open(opened(said())))));
    let (_, work) = desk.begun(Slot::View);
    assert!(format!("{work:?}").contains(r#"Only(["e89999"])"#), "{work:?}");
}

#[test]
fn damage_is_told_once() {
    let mut desk = desk(120, 40, Vec::new());
    let damaged = || {
        let mut opened = opened(Vec::new());
        opened.book.remarks = vec!["'x', line 3: not a valid record; it is not used".to_owned()];
        opened
    };
    desk.control('x').keys("R");
    desk.finish(Slot::Case, AnyOutput::Case(Output::Open(damaged())));
    assert!(desk.screen().contains("line 3: not a valid record"), "{}", desk.screen());
    // Of a view that is there: one that is still being loaded is not begun anew.
    desk.model.slots.abandon(Slot::View);
    desk.wait(10_000).keys("R");
    desk.finish(Slot::Case, AnyOutput::Case(Output::Open(damaged())));
    assert!(!desk.screen().contains("line 3"), "{}", desk.screen());
}
