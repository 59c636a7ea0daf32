use crate::case::saved::Saved;
use crate::console::app::fixtures::Desk;
use crate::console::app::message::{Effect, Event, Outcome, Output, Task};
use crate::console::filter_bar::saved_task::Shelf;
use crate::console::filter_bar::task as filter_bar;
use crate::console::filter_bar::update::*;
use crate::filter::Field;
use crate::store::listing::cost::Cost;
use crate::store::listing::explain::Way;
use crate::store::query::Count;
use crossterm::event::KeyCode;
use std::time::Duration;

fn cost() -> Cost {
    Cost {
        events: Count::Estimate(12),
        way: Way::Walk,
        indexes: Vec::new(),
        looked_at: Some(1_204_000),
        units: 1.0,
        cheaper: vec!["type:"],
    }
}

fn price(desk: &mut Desk) -> Option<String> {
    desk.model.filter.advice().and_then(|advice| advice.price.as_ref()).map(ToString::to_string)
}

#[test]
fn what_is_typed_is_priced_when_typing_rests_and_what_is_superseded_is_cancelled() {
    let mut desk = Desk::with_events(10);
    desk.keys("f").keys("ua~curl");
    assert!(!desk.begins(Slot::Price), "not while typing");
    desk.wait(400);
    let (ticket, work) = desk.begun(Slot::Price);
    assert!(
        matches!(work, Task::FilterBar(filter_bar::Task::Price(ask)) if ask.filter.canonical() == "ua~curl"),
        "{:?}",
        desk.effects
    );
    // Another letter: the server is told to stop, and the answer comes too late.
    desk.keys("/");
    assert!(desk.effects.contains(&Effect::Cancel(Slot::Price)), "{:?}", desk.effects);
    desk.end(
        ticket,
        Outcome::Done(Output::FilterBar(filter_bar::Output::Price((
            Box::new(cost()),
            Duration::from_secs(4),
        )))),
    );
    assert_eq!(price(&mut desk), None);
    desk.wait(400);
    desk.finish(
        Slot::Price,
        Output::FilterBar(filter_bar::Output::Price((Box::new(cost()), Duration::from_secs(4)))),
    );
    let wanted = "~12 events · scan of ~1 204 000 · ~4 s · cheaper: add type:";
    assert_eq!(price(&mut desk).as_deref(), Some(wanted));
    // Enter does not wait for anything, and leaves nothing behind.
    desk.keys("x").wait(400);
    assert!(desk.begins(Slot::Price));
    desk.key(KeyCode::Enter);
    assert!(desk.begins(Slot::View) && desk.effects.contains(&Effect::Cancel(Slot::Price)));
}

#[test]
fn what_the_database_refuses_is_said_while_it_is_typed() {
    let mut desk = Desk::with_events(3);
    desk.keys("f").keys("/a(/ since:-1d").wait(400);
    let (ticket, _) = desk.begun(Slot::Price);
    desk.fail(ticket, "invalid regular expression", false);
    let trouble = |desk: &mut Desk| desk.model.filter.advice().and_then(|a| a.trouble.clone());
    assert_eq!(trouble(&mut desk), Some(Safe::literal("invalid regular expression")));
    desk.keys(" ");
    assert_eq!(trouble(&mut desk), None, "of another text nothing is known yet");
}

#[test]
fn values_come_from_the_database_when_there_are_none_on_the_screen() {
    let mut desk = Desk::with_events(3);
    desk.keys("f").keys("actor:zoe");
    desk.key(KeyCode::Tab);
    let (_, work) = desk.begun(Slot::Values);
    assert!(
        matches!(work, Task::FilterBar(filter_bar::Task::Values(_, Field::Actor, begun)) if begun == "zoe")
    );
    let values = ["zoe o'neill", "zoe-2"].map(ToOwned::to_owned).to_vec();
    desk.finish(
        Slot::Values,
        Output::FilterBar(filter_bar::Output::Values((Field::Actor, "zoe".to_owned(), values))),
    );
    assert_eq!(desk.model.filter.text(), Some("actor:\"zoe o'neill\""));
    desk.key(KeyCode::Tab);
    assert_eq!(desk.model.filter.text(), Some("actor:zoe-2"));
    // Values that come late do not change what has been typed since.
    desk.keys(" proj:q");
    desk.key(KeyCode::Tab);
    let (ticket, _) = desk.begun(Slot::Values);
    desk.keys("x");
    let late = Output::FilterBar(filter_bar::Output::Values((
        Field::ProjectId,
        "q".to_owned(),
        vec!["q-1".to_owned()],
    )));
    desk.end(ticket, Outcome::Done(late));
    assert_eq!(desk.model.filter.text(), Some("actor:zoe-2 proj:qx"));
}

#[test]
fn filters_are_saved_chosen_forgotten_and_remembered() {
    let mut desk = Desk::begin(Some("acme"));
    let (looking, _) = desk.connect().begun(Slot::Shelf);
    desk.opened(3, 0);
    let saved = |name: &str, filter: &str| Saved::new(name, filter).unwrap();
    desk.keys("f").keys("sev:critical").control('o');
    let screen = desk.screen();
    assert!(screen.contains("reading the saved filters…") && !screen.contains("none:"), "{screen}");
    desk.end(looking, Outcome::Done(Output::FilterBar(filter_bar::Output::Shelf(Shelf::default()))));
    assert!(desk.screen().contains("none: Ctrl-s saves the filter"), "{}", desk.screen());
    desk.key(KeyCode::Esc).control('s');
    desk.keys("a b").key(KeyCode::Enter);
    assert!(desk.model.dialog::<Naming>().is_some(), "that is no name");
    desk.control('u').keys("mine").key(KeyCode::Enter);
    let (_, work) = desk.begun(Slot::Shelf);
    let organization = desk.model.organization().cloned().unwrap();
    let kept = Task::FilterBar(filter_bar::Task::Shelf(
        organization.clone(),
        Shelving::Save(saved("mine", "sev:critical")),
    ));
    assert_eq!(work, kept);
    let shelf = Shelf { recent: vec!["type:old".to_owned()], saved: vec![saved("mine", "sev:critical")] };
    desk.finish(Slot::Shelf, Output::FilterBar(filter_bar::Output::Shelf(shelf)));
    assert_eq!(desk.model.filter.text(), Some("sev:critical"), "the line is still being edited");
    // From the session before.
    desk.control('r');
    assert_eq!(desk.model.filter.text(), Some("type:old"));
    desk.control('u').control('o').key(KeyCode::Enter);
    assert_eq!(desk.model.filter.text(), Some("sev:critical"));
    desk.key(KeyCode::Enter);
    let (_, work) = desk.begun(Slot::Shelf);
    assert_eq!(
        work,
        Task::FilterBar(filter_bar::Task::Shelf(
            organization.clone(),
            Shelving::Ran("sev:critical".to_owned())
        ))
    );
    desk.keys("f").control('o').keys("x");
    let (_, work) = desk.begun(Slot::Shelf);
    assert_eq!(
        work,
        Task::FilterBar(filter_bar::Task::Shelf(organization, Shelving::Forget("mine".to_owned())))
    );
}

#[test]
fn saved_filters_that_cannot_be_read_are_not_said_to_be_none() {
    let mut desk = Desk::begin(Some("acme"));
    let (ticket, _) = desk.connect().begun(Slot::Shelf);
    desk.opened(3, 0).keys("f").control('o').fail(ticket, "filters.txt cannot be read", false);
    let screen = desk.screen();
    assert!(screen.contains("not read: filters.txt cannot be read") && !screen.contains("none:"), "{screen}");
    desk.key(KeyCode::Esc).key(KeyCode::Esc).keys("R");
    assert!(desk.begins(Slot::Shelf), "read again");
}

/// Pieces that a hostile or careless paste may repeat.
const PIECES: [&str; 34] = [
    "a ",
    "a",
    "(",
    ")",
    "\"",
    "\\\"",
    "x\"\\\"",
    "-",
    "!",
    "a.",
    ".\"",
    "/",
    "\\/",
    "->",
    "..",
    ",",
    "@",
    "actor:a,",
    "actor:b(",
    "ip:10.0.0.0/8,",
    "changed:a,",
    "role:a->b ",
    "sev:info ",
    "( a",
    "日本 ",
    "e\u{301}",
    "\u{1b}",
    "[0]",
    "a OR ",
    "since:",
    "'",
    "new.a:",
    "NOT ",
    "🇩🇪",
];

/// The processor's time that this thread has used: other programs do not count.
fn used() -> Duration {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(used.tv_sec.unsigned_abs(), u32::try_from(used.tv_nsec).unwrap())
}

/// What a paste of some bytes, a letter, a completion and the frames behind them take.
fn time_of_paste(begin: &str, piece: &str, bytes: usize) -> Duration {
    let mut text = begin.to_owned();
    while text.len() < bytes {
        text.push_str(piece);
    }
    let mut desk = Desk::with_events(10);
    desk.keys("f");
    let before = used();
    desk.say(Event::Paste(text));
    desk.screen();
    desk.keys("x");
    desk.key(KeyCode::Tab);
    desk.screen();
    used().saturating_sub(before)
}

#[test]
fn a_paste_takes_time_in_proportion_to_its_length() {
    for (begin, piece) in PIECES.iter().map(|piece| ("", *piece)).chain([("actor:", "a,"), ("\"", "a ")]) {
        let best = |bytes| (0..2).map(|_| time_of_paste(begin, piece, bytes)).min().unwrap();
        let (short, long) = (best(4 << 10), best(16 << 10));
        // Four times the length; a quadratic part would make it sixteen times, and far more than the slack.
        assert!(long <= short * 9 + Duration::from_millis(60), "{begin}{piece:?}: {short:?}, then {long:?}");
    }
}

#[test]
#[ignore = "a measurement, for a release build"]
fn a_paste_of_a_megabyte_takes_a_tenth_of_a_second() {
    for (begin, piece) in PIECES.iter().map(|piece| ("", *piece)).chain([("actor:", "a,"), ("\"", "a ")]) {
        let took = time_of_paste(begin, piece, (1 << 20) - 8);
        println!("{begin}{piece:?}: {took:?}");
        assert!(cfg!(debug_assertions) || took <= Duration::from_millis(100), "{begin}{piece:?}: {took:?}");
    }
}

#[test]
fn a_paste_beyond_a_megabyte_is_refused_with_a_message() {
    let mut desk = Desk::with_events(3);
    desk.keys("f").keys("sev:info ");
    desk.say(Event::Paste("a".repeat(1 << 20)));
    assert_eq!(desk.model.filter.text(), Some("sev:info "), "nothing was pasted");
    let notice = desk.screen();
    assert!(notice.contains("a line holds at most 1 MB"), "{notice}");
    desk.say(Event::Paste("type:x".to_owned()));
    assert_eq!(desk.model.filter.text(), Some("sev:info type:x"));
}

#[test]
fn a_long_line_is_shown_around_the_cursor() {
    let mut desk = Desk::with_events(3);
    desk.keys("f");
    desk.say(Event::Paste(format!("sev:info {} é\u{1b}end", "x".repeat(70_000))));
    let shown = desk.screen();
    assert!(shown.contains("xxx é\\x1Bend"), "{shown}");
    assert!(!shown.contains("sev:info xxx"), "{shown}");
    desk.key(KeyCode::Home);
    let shown = desk.screen();
    assert!(shown.contains("sev:info xxx") && !shown.contains("end"), "{shown}");
}
