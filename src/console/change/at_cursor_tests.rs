//! Going to what is looked for, pivots on what is seen, and the way back from them.

use super::*;
use crate::console::app::fixtures::{Desk, event_row};
use crate::console::app::message::{Effect, Outcome, Output, Task};
use crate::console::change::layout::{States, lay_out};
use crate::console::change::task as change;
use crate::console::core::layout::Focus;
use crate::console::core::tasks::Slot;
use crate::console::event::task as event;
use crate::console::event::task::Detail;
use crate::console::timeline::task::{self as timeline, Landing, Opened};
use crate::diff::writing::Writing;
use crate::diff::{Options, unhurried};
use crate::domain::TimeRange;
use crate::export::pretty::{Limits as Beyond, pretty};
use crate::filter::PartialSides;
use crate::store::history::Excerpt;
use crossterm::event::KeyCode;
use std::time::Duration;

/// The states of the selected event, fetched and compared.
fn fetch(desk: &mut Desk, old: Option<&str>, new: Option<&str>) {
    desk.wait(200);
    let row = desk.model.timeline.row().unwrap().event.clone();
    let excerpt =
        |text: &str| Arc::new(Excerpt { text: text.into(), bytes: text.len() as u64, sha256: None });
    let lines = |text: &str| pretty(text, Beyond::SCREEN);
    let detail = Detail {
        row,
        states: States { old: old.map(excerpt), new: new.map(excerpt), writing: Writing::Full },
        previous_state: old.map(lines),
        new_state: new.map(lines),
    };
    desk.finish(Slot::Event, Output::Event(event::Output::Load(Some(Box::new(detail)))));
    compare(desk);
}

/// The comparison that the last message began, done.
fn compare(desk: &mut Desk) {
    if desk.begins(Slot::Change) {
        let (ticket, work) = desk.begun(Slot::Change);
        let Task::Change(change::Task::Compare(states, form)) = work else { panic!("{work:?}") };
        let laid = lay_out(&states, &form, &Options::default(), &unhurried);
        desk.end(ticket, Outcome::Done(Output::Change(change::Output::Compare(laid))));
    }
}

fn filtered(filter: &str) -> Desk {
    let mut desk = Desk::with_events(50);
    desk.keys("f").keys(filter).key(KeyCode::Enter).opened(50, 0);
    desk.keys("3");
    desk
}

/// The texts that are marked in the change pane, line by line.
fn marked(desk: &Desk) -> Vec<String> {
    let laid = desk.model.change.laid.as_ref().unwrap();
    let cells = laid.lines.iter().flat_map(|line| std::iter::once(&line.left).chain(&line.right));
    let text = |cell: &Cell, (first, width): (usize, usize)| {
        let text: String = cell.pieces.iter().map(|(text, _)| text.as_str()).collect();
        text.chars().skip(first - cell.indent).take(width).collect::<String>()
    };
    cells.flat_map(|cell| cell.hits.iter().map(move |hit| text(cell, *hit))).collect()
}

#[test]
fn the_value_that_has_the_words_is_unfolded_marked_and_gone_to() {
    let mut desk = filtered("\"deploy key\"");
    let filler: Vec<String> = (0..60).map(|n| format!("\"a{n:02}\": {n}")).collect();
    let long = "lorem ipsum ".repeat(30);
    let old = format!("{{{}}}", filler.join(", "));
    let new = format!(
        "{{{}, \"feedback\": {{\"by\": \"user-6\", \"note\": \"{long}pasted the deploy key here\"}}}}",
        filler.join(", ").replace(": ", ": 1")
    );
    fetch(&mut desk, Some(&old), Some(&new));
    assert_eq!(marked(&desk).concat(), "deploy key");
    let laid = desk.model.change.laid.as_ref().unwrap();
    assert!(laid.hits.contains(&desk.model.change.cursor), "{:?}", laid.hits);
    assert!(desk.screen().contains("deploy key"), "{}", desk.screen());

    // The event pane goes there, too.
    desk.keys("5");
    let screen = desk.screen();
    let event = screen.split_once("5 Event").unwrap().1;
    assert!(event.contains("the deploy key here\""), "{screen}");
}

#[test]
fn what_did_not_change_is_shown_where_it_is_what_was_looked_for() {
    let (old, new) = (
        r#"{"n": 1, "in": {"note": "the deploy key", "x": 1}}"#,
        r#"{"n": 2, "in": {"note": "the deploy key", "x": 1}}"#,
    );
    let mut desk = filtered("\"deploy key\"");
    fetch(&mut desk, Some(old), Some(new));
    assert_eq!(marked(&desk), ["deploy key"]);
    assert!(desk.screen().contains("in.note \"the deploy key\""), "{}", desk.screen());
    desk.keys("d");
    compare(&mut desk);
    assert_eq!(marked(&desk), ["deploy key"]);
    // Nothing is unfolded for what is not looked for.
    let mut desk = filtered("sev:info");
    fetch(&mut desk, Some(old), Some(new));
    assert_eq!(marked(&desk), Vec::<String>::new());
    assert!(!desk.screen().contains("deploy"), "{}", desk.screen());
}

#[test]
fn a_filter_on_states_marks_the_value_at_its_place_but_reveals_no_secret() {
    let new = r#"{"role": "admin", "roles": ["viewer", "admin"], "owner": "admin", "token": "deploy key"}"#;
    for (filter, wanted) in [
        ("new.role:admin", vec!["admin"]),
        ("new.roles:admin", vec!["\"admin\""]),
        ("-new.role:admin", vec![]),
        ("changed:owner", vec!["admin"]),
        ("\"deploy key\"", vec![]),
    ] {
        let mut desk = filtered(filter);
        fetch(&mut desk, None, Some(new));
        let marked = marked(&desk);
        assert!(
            marked.len() == wanted.len()
                && marked.iter().zip(&wanted).all(|(text, want)| text.contains(want)),
            "{filter}: {marked:?}"
        );
        assert!(!desk.screen().contains("\"deploy key\"}") && !desk.screen().contains("token \"deploy"));
    }
}

#[test]
fn the_keys_go_through_matches_then_to_the_next_event_and_else_through_changes() {
    let state = |word: &str| format!(r#"{{"a": "x {word}", "b": 1, "c": "{word} y", "d": 2}}"#);
    let mut desk = filtered("needle");
    fetch(&mut desk, None, Some(&state("needle")));
    let line = |desk: &Desk| desk.model.change.cursor;
    let first = line(&desk);
    desk.keys("n");
    assert!(line(&desk) > first && !desk.begins(Slot::Find));
    let second = line(&desk);
    desk.keys("N");
    assert_eq!(line(&desk), first);
    desk.keys("n");
    assert_eq!(line(&desk), second);
    desk.keys("n");
    assert!(desk.begins(Slot::Find), "the next event of the view");

    let mut desk = Desk::with_events(50);
    desk.keys("3");
    fetch(&mut desk, None, Some(&state("straw")));
    desk.keys("nnn");
    assert_eq!(line(&desk), 3);
    desk.keys("n");
    assert!(!desk.begins(Slot::Find) && desk.model.notice.is_some());
    desk.keys("N");
    assert_eq!(line(&desk), 2);
}

#[test]
fn an_event_without_states_is_not_compared_as_if_everything_had_gone() {
    let mut desk = Desk::with_events(5);
    desk.keys(" j3");
    fetch(&mut desk, None, None);
    desk.keys("D");
    let (ticket, _) = desk.begun(Slot::Marked);
    let excerpt = Arc::new(Excerpt { text: r#"{"n": 1}"#.into(), bytes: 8, sha256: None });
    let detail = Detail {
        row: event_row("e90000", 0),
        states: States { old: None, new: Some(excerpt), writing: Writing::Full },
        previous_state: None,
        new_state: None,
    };
    desk.end(ticket, Outcome::Done(Output::Change(change::Output::Marked(Some(Box::new(detail))))));
    let screen = desk.screen();
    assert!(screen.contains("Nothing to compare: this event"), "{screen}");
    assert!(!screen.contains("removed"), "{screen}");
}

/// The filter that the last message opens, and where.
fn opening(desk: &Desk) -> (String, Option<String>) {
    let (_, work) = desk.begun(Slot::View);
    let Task::Timeline(timeline::Task::Open(request, landing)) = work else { panic!("{work:?}") };
    let at = match landing {
        Landing::At(key) => Some(key.event_id),
        _ => None,
    };
    (request.filter.canonical(), at)
}

#[test]
fn what_a_new_key_names_is_one_key_away() {
    let mut desk = Desk::with_events(50);
    desk.keys("3");
    let new = r#"{"name": "ci", "service_account": "svc-ci-backup", "token": "svc-secret-1"}"#;
    fetch(&mut desk, None, Some(new));
    let pointer = |desk: &Desk| desk.model.change.pointer().map(str::to_owned);
    while pointer(&desk).as_deref() != Some("/service_account") {
        let before = desk.model.change.cursor;
        desk.keys("j");
        assert_ne!(desk.model.change.cursor, before, "the line is there");
    }
    desk.keys("p");
    assert!(desk.screen().contains("what it did svc-ci-backup"), "{}", desk.screen());
    desk.keys("A");
    assert_eq!(opening(&desk), ("actor:svc-ci-backup".to_owned(), Some("e90000".to_owned())));
    desk.opened(3, 1);
    desk.keys("<").opened(50, 0);
    assert_eq!(desk.model.focus, Focus::Change);
    fetch(&mut desk, None, Some(new));
    assert_eq!(pointer(&desk).as_deref(), Some("/service_account"), "the cursor is where it was");
    desk.keys("-=");
    assert_eq!(opening(&desk).0, "-any.service_account:svc-ci-backup");
    desk.opened(50, 1);
    desk.keys("<").opened(50, 0);
    fetch(&mut desk, None, Some(new));
    while pointer(&desk).as_deref() != Some("/token") {
        let before = desk.model.change.cursor;
        desk.keys(if before == 0 { "G" } else { "k" });
        assert_ne!(desk.model.change.cursor, before, "the line is there");
    }
    desk.keys("p");
    assert!(!desk.screen().contains("svc-secret"), "what is masked is not offered: {}", desk.screen());
}

/// The view that was asked for is opened: rows around the one that was selected, and some that came meanwhile.
fn reopened(desk: &mut Desk, selected: usize, came: i64) {
    let (ticket, work) = desk.begun(Slot::View);
    let Task::Timeline(timeline::Task::Open(_, landing)) = work else { panic!("{work:?}") };
    let new = (0..came).rev().map(|n| event_row(&format!("new{n}"), 1 + n));
    let rows = new.chain((0..200).map(|n| event_row(&format!("e{:05}", 90_000 - n), -n))).collect();
    let opened = Opened {
        landing,
        range: TimeRange::default(),
        sides: PartialSides::default(),
        rows,
        has_newer: false,
        has_older: true,
        looked: None,
        selected: selected + came as usize,
        newest: None,
        nearest_older: None,
        took: Duration::ZERO,
    };
    desk.end(ticket, Outcome::Done(Output::Timeline(timeline::Output::Open(Box::new(opened)))));
}

#[test]
fn five_pivots_and_back_selection_scroll_and_filter_are_as_they_were() {
    let mut desk = Desk::with_events(200);
    let mut left = Vec::new();
    for (level, pivot) in ["pa", "pr", "ps", "pq", "pi"].into_iter().enumerate() {
        // Down a page and a little: the selection stands in the midst of the screen.
        desk.key(KeyCode::PageDown).keys(&"j".repeat(3 + level));
        let timeline = &desk.model.timeline;
        assert!(timeline.top > 0 && timeline.selected > timeline.top);
        left.push((timeline.selected, timeline.selected - timeline.top, desk.selected()));
        let filters = desk.model.history.current().unwrap().text.clone();
        desk.keys(pivot);
        assert_ne!(opening(&desk).0, filters);
        let at = desk.model.history.current().unwrap().selected.clone().unwrap();
        assert_eq!(at.event_id, left[level].2, "the new view begins at the same event");
        reopened(&mut desk, left[level].0, 0);
        // Whatever is done there.
        desk.keys("G");
        reopened(&mut desk, 199, 0);
        desk.keys("g");
    }
    for (selected, above, id) in left.into_iter().rev() {
        desk.keys("<");
        assert_eq!(opening(&desk).1.as_deref(), Some(id.as_str()));
        // Three events have come meanwhile.
        reopened(&mut desk, selected, 3);
        let timeline = &desk.model.timeline;
        assert_eq!(desk.selected(), id);
        assert_eq!(timeline.selected - timeline.top, above, "as many rows above as before");
    }
    assert_eq!(desk.model.history.current().unwrap().text, "");
    assert!(!desk.effects.iter().any(|effect| matches!(effect, Effect::Quit)));
}
