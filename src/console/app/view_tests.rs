//! The screen as it is drawn, at the sizes people have, with the data that hurts.

use crate::console::app::fixtures::{Desk, event_row, facts, hostile, organization, trail};
use crate::console::app::message::{Event, Outcome, Output, Task};
use crate::console::app::view::*;
use crate::console::change::layout;
use crate::console::change::layout::States;
use crate::console::change::task as change;
use crate::console::connection::task as connection;
use crate::console::event::task as event;
use crate::console::event::task::Detail;
use crate::console::ghosts::task as ghosts;
use crate::console::timeline::task as timeline;
use crate::console::timeline::task::Opened;
use crate::diff::writing::Writing;
use crate::diff::{Options, unhurried};
use crate::domain::{EventRow, Timestamp};
use crate::export::pretty::{Limits, pretty};
use crate::filter::PartialSides;
use crate::investigation::verification::{Passing, Signing};
use crate::store::aggregate::histogram::{Column, Strip};
use crate::store::history::{Excerpt, Observed};
use crate::store::query::Count;
use crate::store::{Lag, ServerFacts, Standing};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

fn draw(desk: &Desk) -> Buffer {
    let (width, height) = desk.model.size;
    let mut buffer = Buffer::empty(Rect { x: 0, y: 0, width, height });
    render(&desk.model, &mut buffer);
    buffer
}

fn screen(desk: &Desk) -> String {
    desk.screen()
}

#[test]
fn the_header_says_what_a_slow_page_cost_and_how_far_a_replica_is_behind() {
    let mut desk = Desk::sized(120, 30, Some("acme"));
    desk.connect().opened(50, 0);
    let header = |desk: &Desk| screen(desk).lines().next().unwrap_or_default().to_owned();
    desk.finish(Slot::Cost, Output::Timeline(timeline::Output::AccessPath("idx_audit_actor".to_owned())));
    assert!(!header(&desk).contains(" ms"), "nobody waited: {}", header(&desk));
    desk.model.timeline.note_time(Duration::from_millis(812));
    assert!(header(&desk).contains("812 ms idx_audit_actor  "), "{}", header(&desk));
    assert!(!header(&desk).contains("replica"));
    desk.wait(6_000);
    let lag = Lag { receiving: true, waiting_bytes: 16, seconds: Some(12) };
    desk.finish(
        Slot::Pulse,
        Output::Connection(connection::Output::Pulse(Some(facts(Standing::Replica(lag))))),
    );
    assert!(header(&desk).contains("replica, 12 s behind"), "{}", header(&desk));
    // Names come first where there is little room.
    desk.say(Event::Resize(80, 24));
    assert!(!header(&desk).contains("3.2 ms") && header(&desk).contains("acme"), "{}", header(&desk));
}

#[test]
fn the_header_says_how_old_the_newest_signature_is_where_somebody_signs() {
    let mut desk = Desk::sized(120, 30, Some("acme"));
    desk.connect().opened(50, 0);
    let org = desk.model.organization().unwrap().clone();
    let now = desk.model.at.wall;
    let mut header = |signing: Signing, width: u16| {
        let passing = Passing { signing, ..Passing::default() };
        desk.model.trails.compared(org.clone(), passing, now);
        desk.say(Event::Resize(width, 30));
        screen(&desk).lines().next().unwrap_or_default().to_owned()
    };
    assert!(!header(Signing::NoKey, 120).contains("signed"));
    assert!(header(Signing::Never, 120).contains("not signed"));
    let last = Signing::Last(Timestamp::from_micros(now.as_micros() - 3 * 3_600_000_000));
    let text = header(last, 120);
    assert!(text.contains("signed 3 h ago") && !text.contains("not signed"), "{text}");
    // Names and verdicts come first where there is little room.
    assert!(!header(last, 80).contains("signed 3 h"));
}

fn desk(width: u16, height: u16, rows: Vec<EventRow>, has_older: bool) -> Desk {
    let mut desk = Desk::sized(width, height, Some("acme"));
    desk.connect();
    let (ticket, work) = desk.begun(Slot::View);
    let Task::Timeline(timeline::Task::Open(ask, landing)) = work else { panic!("{work:?}") };
    let newest = rows.first().map(|r| r.timestamp);
    let range = ask.filter.range(ask.now, newest, ask.window).unwrap();
    let opened = Opened {
        took: Duration::from_micros(3_200),
        landing,
        range,
        sides: PartialSides::default(),
        rows,
        has_newer: false,
        has_older,
        looked: None,
        selected: 0,
        newest,
        nearest_older: None,
    };
    desk.end(ticket, Outcome::Done(Output::Timeline(timeline::Output::Open(Box::new(opened)))));
    if has_older {
        desk.finish(Slot::Count, Output::Timeline(timeline::Output::Estimate(Count::Estimate(104_000))));
    }
    desk
}

fn with_states(desk: &mut Desk, previous: Option<&str>, new: Option<&str>) {
    desk.wait(100);
    let row = desk.model.timeline.row().unwrap().event.clone();
    let lines = |state: Option<&str>| state.map(|s| pretty(s, Limits::SCREEN));
    let detail =
        Detail { row, states: states(previous, new), previous_state: lines(previous), new_state: lines(new) };
    desk.finish(Slot::Event, Output::Event(event::Output::Load(Some(Box::new(detail)))));
    lay(desk);
}

/// Does what the executor would: compares.
fn lay(desk: &mut Desk) {
    if desk.begins(Slot::Change) {
        let (ticket, work) = desk.begun(Slot::Change);
        let Task::Change(change::Task::Compare(states, form)) = work else { panic!("{work:?}") };
        let laid = layout::lay_out(&states, &form, &Options::default(), &unhurried);
        desk.end(ticket, Outcome::Done(Output::Change(change::Output::Compare(laid))));
    }
}

fn states(previous: Option<&str>, new: Option<&str>) -> States {
    let whole = |text: &str| Arc::new(Excerpt { text: text.into(), bytes: text.len() as u64, sha256: None });
    States { old: previous.map(whole), new: new.map(whole), writing: Writing::Full }
}

const BEFORE: &str = r#"{"role": "viewer", "quota": 100.10, "roles": ["viewer"]}"#;
const AFTER: &str =
    r#"{"role": "admin", "quota": 12345678901234567890.5, "roles": ["viewer", "admin"], "tags": {}}"#;

#[test]
fn eighty_by_twenty_four() {
    let mut desk = desk(80, 24, trail(), true);
    desk.keys("jj");
    insta::assert_snapshot!("timeline_80x24", screen(&desk));
    desk.key(KeyCode::Enter);
    with_states(&mut desk, Some(BEFORE), Some(AFTER));
    insta::assert_snapshot!("event_80x24", screen(&desk));
}

/// Counts of the trail for the strip over the timeline: an hour and a half of nothing in the middle, and one critical event.
fn counted(columns: usize) -> Strip {
    let column = |at: usize| {
        let events = if (columns / 3..columns / 2).contains(&at) { 0 } else { (at as u64 * 7) % 50 };
        let critical = u64::from(at + 9 == columns);
        Column { events: events + critical, warning: events / 7, critical }
    };
    let first = Timestamp::parse("2026-01-14T06:31:50Z").unwrap();
    Strip { first, micros: 98_750_000_000 / columns as i64, columns: (0..columns).map(column).collect() }
}

#[test]
fn a_part_of_the_strip_is_brushed_and_becomes_the_view() {
    let mut desk = desk(100, 30, trail(), true);
    desk.model.timeline.strip.take(Some(counted(100)));
    desk.keys("B");
    for _ in 0..9 {
        desk.key(KeyCode::Left);
    }
    insta::assert_snapshot!("brushed_100x30", screen(&desk));
    desk.key(KeyCode::Enter);
    let place = desk.model.history.current().unwrap();
    assert!(place.text.starts_with("since:2026-01-15T0") && place.text.contains(" until:"), "{}", place.text);
    assert!(!desk.model.timeline.strip.brushes());
    // On a screen without the strip the key says so.
    desk.opened(5, 0).say(Event::Resize(100, 24));
    desk.keys("B");
    assert!(screen(&desk).contains("the histogram strip needs 30 lines"), "{}", screen(&desk));
}

#[test]
fn hundred_and_twenty_by_forty() {
    let mut desk = desk(120, 40, trail(), true);
    desk.model.timeline.strip.take(Some(counted(80)));
    desk.keys("jj");
    with_states(&mut desk, Some(BEFORE), Some(AFTER));
    insta::assert_snapshot!("panes_120x40", screen(&desk));
    desk.keys("zt");
    insta::assert_snapshot!("zoomed_local_120x40", screen(&desk));
}

#[test]
fn changes_in_every_layout() {
    let mut narrow = desk(80, 24, trail(), true);
    narrow.keys("jj3");
    with_states(&mut narrow, Some(BEFORE), Some(AFTER));
    insta::assert_snapshot!("change_80x24", screen(&narrow));

    let mut wide = desk(160, 40, trail(), true);
    wide.keys("jj3z");
    with_states(&mut wide, Some(BEFORE), Some(AFTER));
    wide.keys("dd");
    lay(&mut wide);
    insta::assert_snapshot!("side_by_side_160x40", screen(&wide));
    wide.keys("d");
    lay(&mut wide);
    assert!(screen(&wide).contains(AFTER), "{}", screen(&wide));

    let mut read = desk(80, 24, trail(), true);
    read.keys("3");
    with_states(&mut read, None, None);
    assert!(screen(&read).contains("no state recorded"), "{}", screen(&read));
    let mut created = desk(80, 24, trail(), true);
    created.keys("3");
    with_states(&mut created, None, Some(AFTER));
    assert!(screen(&created).contains("4 added · no previous state recorded"), "{}", screen(&created));
}

#[test]
fn a_tree() {
    for (width, height) in [(80, 24), (200, 60)] {
        let mut desk = desk(width, height, trail(), true);
        desk.keys("J");
        let whole = |text: &str| Some(Excerpt { text: text.into(), bytes: text.len() as u64, sha256: None });
        let new = AFTER
            .replace("\"tags\": {}", "\"tags\": {\"\\u202e\": \"a\\u001b[31m\", \"api_key\": \"k-123456\"}");
        let event = Observed { row: event_row("evt-1", 0), previous: whole(BEFORE), new: whole(&new) };
        let outline = crate::console::event::tree_task::build(&event).unwrap();
        let built = (outline, crate::diff::rows::View::default());
        desk.finish(Slot::Tree, Output::Event(event::Output::Tree(Some(Box::new(built)))));
        desk.keys("elj");
        insta::assert_snapshot!(format!("tree_{width}x{height}"), screen(&desk));
    }
}

#[test]
fn ghost_changes() {
    let mut desk = desk(80, 24, trail(), true);
    desk.keys("!");
    insta::assert_snapshot!("ghosts_asked_80x24", screen(&desk));
    desk.keys("o");
    let found = crate::console::ghosts::pane::tests::found(&[5, 1_768_471_080]);
    desk.finish(Slot::Ghosts, Output::Ghosts(ghosts::Output::Search(Box::new(found))));
    insta::assert_snapshot!("ghosts_80x24", screen(&desk));
}

#[test]
fn two_hundred_by_sixty() {
    let mut desk = desk(200, 60, trail(), false);
    desk.keys("G");
    with_states(&mut desk, None, Some(AFTER));
    insta::assert_snapshot!("panes_200x60", screen(&desk));
    desk.keys("z");
    insta::assert_snapshot!("zoomed_200x60", screen(&desk));
}

#[test]
fn hostile_text_is_visible_and_harmless() {
    let mut desk = desk(120, 40, hostile(), false);
    with_states(&mut desk, None, Some("{\"k\": \"\u{1b}[31m\u{202e}\"}"));
    insta::assert_snapshot!("hostile_120x40", screen(&desk));
}

#[test]
fn waiting_failing_and_finding_nothing() {
    let mut desk = Desk::sized(80, 24, Some("acme"));
    insta::assert_snapshot!("connecting_80x24", screen(&desk));
    desk.connect().wait(400);
    insta::assert_snapshot!("loading_80x24", screen(&desk));

    let mut desk = self::desk(80, 24, trail(), false);
    desk.keys("fsev:critical").key(KeyCode::Enter);
    let (ticket, _) = desk.begun(Slot::View);
    desk.fail(
        ticket,
        "the query took longer than its limit of 30 s and was stopped · narrow the filter",
        false,
    );
    insta::assert_snapshot!("failed_80x24", screen(&desk));

    let mut desk = self::desk(80, 24, trail(), false);
    desk.keys("ftype:login.failed").key(KeyCode::Enter);
    let (ticket, work) = desk.begun(Slot::View);
    let Task::Timeline(timeline::Task::Open(ask, landing)) = work else { panic!() };
    let opened = Opened {
        took: Duration::from_micros(3_200),
        landing,
        range: ask.filter.range(ask.now, desk.model.timeline.newest, ask.window).unwrap(),
        sides: PartialSides::default(),
        rows: Vec::new(),
        has_newer: false,
        has_older: false,
        looked: None,
        selected: 0,
        newest: desk.model.timeline.newest,
        nearest_older: Some(Timestamp::parse("2025-08-01T12:00:00Z").unwrap()),
    };
    desk.end(ticket, Outcome::Done(Output::Timeline(timeline::Output::Open(Box::new(opened)))));
    insta::assert_snapshot!("empty_80x24", screen(&desk));
}

#[test]
fn a_lost_connection_leaves_the_rows() {
    let mut desk = desk(80, 24, trail(), false);
    desk.wait(5_000);
    let (pulse, _) = desk.begun(Slot::Pulse);
    desk.fail(pulse, "cannot reach the database: connection refused", true);
    insta::assert_snapshot!("lost_80x24", screen(&desk));
}

#[test]
fn what_lies_on_top() {
    let mut desk = desk(80, 24, trail(), false);
    desk.keys("?");
    insta::assert_snapshot!("help_80x24", screen(&desk));
    // Words leave the lines that have them; leaving the search leaves help open.
    desk.keys("/hash");
    insta::assert_snapshot!("help_searched_80x24", screen(&desk));
    desk.key(KeyCode::Enter).keys("j").key(KeyCode::Esc);
    assert!(screen(&desk).contains("show surrounding events") && screen(&desk).contains(" Find"));
    desk.key(KeyCode::Esc).keys("s");
    let list = vec![organization("acme"), organization("globex")];
    desk.finish(Slot::Organizations, Output::Connection(connection::Output::Organizations((list, 0))));
    insta::assert_snapshot!("organizations_80x24", screen(&desk));
    desk.key(KeyCode::Esc).keys(":event");
    insta::assert_snapshot!("palette_80x24", screen(&desk));
    // Something would be lost.
    desk.key(KeyCode::Esc).keys(" q");
    insta::assert_snapshot!("leave_80x24", screen(&desk));
}

#[test]
fn help_has_two_columns_and_begins_with_what_has_the_keys() {
    let mut desk = desk(140, 60, trail(), false);
    desk.keys("3?");
    insta::assert_snapshot!("help_140x60", screen(&desk));
    // On any screen.
    for (width, height) in [(1, 1), (3, 2), (20, 5), (80, 24), (300, 90)] {
        desk.say(Event::Resize(width, height)).keys("jGg/x").key(KeyCode::Esc);
        screen(&desk);
    }
}

#[test]
fn a_filter_error_points_at_its_place() {
    let mut desk = desk(80, 24, trail(), false);
    desk.keys("fcat:auth actr:eve");
    let shown = screen(&desk);
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines[1], " filter cat:auth actr:eve");
    assert_eq!(lines[2], "                 ^ unknown field 'actr' · did you mean 'actor'?");
    let mut buffer = draw(&desk);
    assert_eq!(render(&desk.model, &mut buffer), Some(Position { x: 25, y: 1 }));
}

#[test]
fn a_filter_is_explained_and_completed_while_it_is_typed() {
    let mut desk = desk(80, 24, trail(), false);
    desk.keys("fac").key(KeyCode::Tab);
    let line = |desk: &Desk, n: usize| screen(desk).lines().nth(n).unwrap().to_owned();
    assert_eq!(line(&desk, 1), " filter act");
    assert_eq!(line(&desk, 2), " actor_type:  actor:  actor_id:  action:");
    desk.say(Event::Key(KeyEvent::new(KeyCode::BackTab, KeyModifiers::SHIFT)));
    desk.keys("up").key(KeyCode::Tab);
    assert_eq!(line(&desk, 1), " filter action:update");
    assert_eq!(line(&desk, 2), "        update events, last 90 days UTC");
}

#[test]
fn the_command_that_lists_the_same_is_below_the_filter() {
    let line = |desk: &Desk, n: usize| screen(desk).lines().nth(n).unwrap_or_default().trim_end().to_owned();
    let wanted =
        |filter: &str| format!(" shell  agenttrace events --org acme '{}'", filter.replace('\'', r"'\''"));
    let mut desk = desk(120, 40, trail(), true);
    assert!(!line(&desk, 2).contains("shell"), "without a filter there is nothing to say");
    desk.keys("f").keys("sev:critical ua~it's");
    assert_eq!(line(&desk, 4), wanted("sev:critical ua~it's"));
    desk.keys(" actr:x");
    assert_eq!(line(&desk, 4), "", "what means nothing has no command");
    desk.key(KeyCode::Esc);
    desk.keys("f").keys("type:\u{202e}").key(KeyCode::Enter);
    let printed = r#" shell  agenttrace events --org acme "$(printf 'type:\342\200\256')""#;
    assert_eq!(line(&desk, 2), printed, "a shell makes what is hidden");
    // Where lines are few it is told while the filter is edited only.
    desk.say(Event::Resize(80, 24));
    assert!(!screen(&desk).contains("shell"));
    desk.keys("f").keys(" since:-7d role:viewer->admin");
    assert!(line(&desk, 4).starts_with(" shell  agenttrace events") && line(&desk, 4).ends_with('…'));
    // Nobody else knows what V has found.
    desk.key(KeyCode::Esc);
    desk.say(Event::Resize(120, 40));
    desk.keys("f").keys(" integrity:verified");
    assert!(!screen(&desk).contains("shell"));
}

#[test]
fn production_is_a_word() {
    let mut desk = desk(80, 24, trail(), false);
    desk.model.setup.production = true;
    assert!(screen(&desk).starts_with("  PRODUCTION  "));
}

/// Styles as runs: columns, then what is set on them.
fn styles(buffer: &Buffer) -> String {
    let width = usize::from(buffer.area.width);
    let mut out = String::new();
    for (y, line) in buffer.content().chunks(width).enumerate() {
        for run in line.chunk_by(|a, b| a.style() == b.style()) {
            let from = (run.as_ptr() as usize - line.as_ptr() as usize) / size_of_val(&line[0]);
            let style = run[0].style();
            let plain = run.iter().all(|c| c.symbol() == " ") && style.add_modifier.is_empty();
            if !plain {
                let shown: String = run.iter().map(ratatui::buffer::Cell::symbol).collect();
                let _ = writeln!(
                    out,
                    "{y:2}:{from:02}..{:02} {:?}/{:?} {:?} {}",
                    from + run.len(),
                    style.fg.unwrap_or_default(),
                    style.bg.unwrap_or_default(),
                    style.add_modifier,
                    shown.trim_end()
                );
            }
        }
    }
    out
}

#[test]
fn styles_go_by_meaning() {
    let mut desk = desk(80, 12, trail(), true);
    desk.keys("j");
    insta::assert_snapshot!("styles_80x12", styles(&draw(&desk)));
}

#[test]
fn every_size_is_drawn_and_nothing_hidden_gets_out() {
    for rows in [Vec::new(), trail(), hostile()] {
        let mut desk = desk(80, 24, rows, true);
        if desk.model.timeline.row().is_some() {
            with_states(&mut desk, Some(BEFORE), Some("\"\u{202e}\u{1b}\""));
        }
        let steps: [&[KeyCode]; 7] = [
            &[],
            &[KeyCode::Enter],
            &[KeyCode::Char('z')],
            &[KeyCode::Char('?')],
            &[KeyCode::Esc, KeyCode::Char(':')],
            &[KeyCode::Esc, KeyCode::Char('s')],
            &[KeyCode::Esc, KeyCode::Char('f'), KeyCode::Char('(')],
        ];
        for keys in steps {
            for key in keys {
                desk.key(*key);
            }
            for (width, height) in (0..8).flat_map(|w| (0..8).map(move |h| (w, h))).chain([
                (20, 5),
                (300, 3),
                (111, 90),
                (80, 24),
            ]) {
                desk.say(Event::Resize(width, height));
                for cell in draw(&desk).content() {
                    let hidden = |c: char| {
                        c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}')
                    };
                    let clean = !cell.symbol().chars().any(|c| hidden(c) && c != '\u{200d}');
                    assert!(clean, "{:?}", cell.symbol());
                }
            }
        }
    }
}

#[test]
fn nothing_is_read_before_the_banner_was_and_its_mark_stays() {
    let mut desk = Desk::sized(120, 30, Some("acme"));
    let remarks = vec!["reading runs code of mallory\u{1b}[31m".to_owned()];
    let table = Some("public.audit_events (owner app, oid 7)".to_owned());
    let told = ServerFacts { table, remarks, ..facts(Standing::Primary) };
    desk.finish(Slot::Connection, Output::Connection(connection::Output::Connect(told)));
    assert!(desk.effects.is_empty(), "{:?}", desk.effects);
    assert!(screen(&desk).contains("reading runs code of mallory\\x1B[31m"), "{}", screen(&desk));
    desk.key(KeyCode::Char('j'));
    desk.opened(50, 0);
    let header = screen(&desk).lines().next().unwrap_or_default().to_owned();
    assert!(!screen(&desk).contains("mallory") && header.contains(" ! UNTRUSTED "), "{header}");
    desk.say(Event::Resize(200, 30));
    assert!(screen(&desk).contains("public.audit_events (owner app, oid 7)"), "{}", screen(&desk));
    // Connected again, it is not asked again.
    desk.wait(6_000);
    assert!(desk.model.banner.is_empty() && desk.model.warned);
}

#[test]
fn one_zone_is_in_force_everywhere() {
    let mut desk = desk(120, 40, trail(), true);
    desk.keys("t");
    let shown = screen(&desk);
    let event = shown.lines().position(|line| line.contains("5 Event")).unwrap();
    let times: Vec<&str> = shown.lines().skip(event).filter(|line| line.contains("2026-01-15")).collect();
    // The zone in force first, what is stored below it.
    assert!(times[0].contains("timestamp        2026-01-15 10:58:00"), "{shown}");
    assert!(times[1].contains("stored (UTC)   2026-01-15"), "{shown}");
    desk.keys("T");
    assert!(screen(&desk).contains("in Europe/Berlin: 2026-01-15T"), "{}", screen(&desk));
}
