//! Message in, state and effects out.

use crate::console::app::fixtures::{Desk, event_row, facts, glances, moment, organization};
use crate::console::app::message::{Output, Progress, Task};
use crate::console::app::model::PULSE;
use crate::console::app::update::*;
use crate::console::change::layout::States;
use crate::console::change::task as change;
use crate::console::connection::task as connection;
use crate::console::core::layout::Focus;
use crate::console::dialogs::copy_text::way_back;
use crate::console::dialogs::questions::Leaving;
use crate::console::event::task as event;
use crate::console::event::task::Detail;
use crate::console::ghosts::task as ghosts;
use crate::console::integrity::row_marks::{Glances, Look, Mark};
use crate::console::integrity::task as integrity;
use crate::console::report::dialog::{Sheet, Subject};
use crate::console::report::target::{self, Entry};
use crate::console::report::task as report;
use crate::console::timeline::task as timeline;
use crate::console::timeline::task::{Landing, More, Opened};
use crate::console::widgets::time_zone::Zone;
use crate::diff::writing::Writing;
use crate::diff::{Options, unhurried};
use crate::domain::EventKey;
use crate::domain::{TimeRange, Timestamp};
use crate::export::report::Line;
use crate::filter::Filter;
use crate::filter::PartialSides;
use crate::store::Lag;
use crate::store::Standing;
use crate::store::aggregate::summary::By;
use crate::store::cache::Answer;
use crate::store::cache::Freshness;
use crate::store::history::Excerpt;
use crate::store::query::{Count, Looked, Seek};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use std::time::Duration;

#[test]
fn one_organisation_is_entered_several_are_asked_for() {
    let mut desk = Desk::begin(None);
    desk.connect().finish(
        Slot::Organizations,
        Output::Connection(connection::Output::Organizations((vec![organization("acme")], 0))),
    );
    assert!(
        matches!(desk.begun(Slot::View).1, Task::Timeline(timeline::Task::Open(ask, Landing::Newest)) if ask.scope.organization().as_str() == "acme")
    );

    let mut desk = Desk::begin(None);
    desk.connect();
    desk.finish(
        Slot::Organizations,
        Output::Connection(connection::Output::Organizations((
            vec![organization("acme"), organization("globex")],
            0,
        ))),
    );
    assert!(!desk.begins(Slot::View));
    desk.keys("j").key(KeyCode::Enter);
    assert!(
        matches!(desk.begun(Slot::View).1, Task::Timeline(timeline::Task::Open(ask, _)) if ask.scope.organization().as_str() == "globex")
    );
    assert!(desk.model.overlay.is_none());
}

#[test]
fn a_stale_result_changes_nothing() {
    let mut desk = Desk::with_events(10);
    desk.keys("R");
    let (old, _) = desk.begun(Slot::View);
    desk.keys("R").opened(5, 3);
    assert_eq!(desk.selected(), "e89997");
    let before = format!("{:?}", desk.model.timeline);
    desk.fail(old, "too late", false);
    assert_eq!(format!("{:?}", desk.model.timeline), before);
}

#[test]
fn rows_are_fetched_ahead_once() {
    let mut desk = Desk::with_events(200);
    let (ticket, work) = desk.begun(Slot::Older);
    assert!(matches!(work, Task::Timeline(timeline::Task::Older(_, key)) if key.event_id == "e89801"));
    desk.key(KeyCode::PageDown);
    assert!(!desk.begins(Slot::Older), "one page at a time");
    let rows = vec![event_row("a", -5_000)];
    desk.end(
        ticket,
        Outcome::Done(Output::Timeline(timeline::Output::Older(More {
            rows,
            goes_on: false,
            looked: None,
            took: Duration::ZERO,
        }))),
    );
    assert_eq!(desk.model.timeline.window.len(), 201);
    assert!(!desk.begins(Slot::Older), "there is no older row");
}

#[test]
fn a_stopped_or_failed_fetch_is_taken_up_with_the_next_movement() {
    let mut desk = Desk::with_events(200);
    let (ticket, _) = desk.begun(Slot::Older);
    desk.fail(ticket, "the query took too long", false);
    assert!(!desk.begins(Slot::Older));
    assert!(desk.model.timeline.trouble.is_some());
    desk.wait(1_000);
    assert!(!desk.begins(Slot::Older));
    desk.keys("j");
    assert!(desk.begins(Slot::Older));
}

#[test]
fn the_ends_are_reached_by_one_key() {
    let mut desk = Desk::with_events(200);
    desk.keys("G");
    assert!(matches!(desk.begun(Slot::View).1, Task::Timeline(timeline::Task::Open(_, Landing::Oldest))));
    desk.opened(200, 199);
    assert_eq!(desk.selected(), "e89801");
    desk.keys("g");
    assert_eq!(desk.selected(), "e90000");
    assert!(!desk.begins(Slot::View), "the newest row is at hand");
}

#[test]
fn a_filter_opens_a_view_at_the_same_event_and_back_returns() {
    let mut desk = Desk::with_events(50);
    desk.keys("jjj");
    let here = desk.model.timeline.key().unwrap();
    desk.keys("fsev:critical").key(KeyCode::Enter);
    let (_, work) = desk.begun(Slot::View);
    assert!(
        matches!(&work, Task::Timeline(timeline::Task::Open(ask, Landing::At(key))) if ask.filter.canonical() == "sev:critical" && *key == here),
        "{work:?}"
    );
    desk.opened(3, 1);
    desk.keys("<");
    let (_, work) = desk.begun(Slot::View);
    let at = |id: &str| matches!(&work, Task::Timeline(timeline::Task::Open(ask, Landing::At(key))) if ask.filter == Filter::default() && key.event_id == id);
    assert!(at("e89997"), "{work:?}");
    desk.opened(50, 3);
    desk.keys(">");
    assert!(
        matches!(desk.begun(Slot::View).1, Task::Timeline(timeline::Task::Open(ask, Landing::At(key))) if ask.filter.canonical() == "sev:critical" && key.event_id == "e89999")
    );
}

#[test]
fn a_view_that_cannot_be_shown_does_not_keep_the_rows_of_another() {
    let mut desk = Desk::with_events(50);
    desk.keys("fsev:critical").key(KeyCode::Enter);
    let (ticket, _) = desk.begun(Slot::View);
    assert!(!desk.model.shows_current_place());
    desk.fail(ticket, "the query took too long", false);
    assert!(desk.model.timeline.window.is_empty());
    assert_eq!(desk.model.timeline.trouble.as_ref().unwrap().as_str(), "the query took too long");
}

#[test]
fn another_organisation_shows_none_of_the_rows_before() {
    let mut desk = Desk::with_events(50);
    desk.keys("s");
    desk.finish(
        Slot::Organizations,
        Output::Connection(connection::Output::Organizations((
            vec![organization("acme"), organization("globex")],
            0,
        ))),
    );
    desk.keys("j").key(KeyCode::Enter);
    assert!(desk.model.timeline.window.is_empty());
    assert!(desk.model.event.key().is_none());
    assert!(
        matches!(desk.begun(Slot::View).1, Task::Timeline(timeline::Task::Open(ask, Landing::Newest)) if ask.scope.organization().as_str() == "globex")
    );
}

#[test]
fn a_sheet_is_worked_out_for_the_view_and_given_up_when_it_is_closed() {
    let mut desk = Desk::with_events(50);
    for (key, subject) in [("X", Subject::Plan), ("i", Subject::Histogram), ("S", Subject::Summary)] {
        desk.keys(key);
        let (_, work) = desk.begun(Slot::Sheet);
        let query = desk.model.timeline.query.clone().unwrap();
        assert!(
            matches!(&work, Task::Report(report::Task::Sheet(of, what, _, Freshness::Recent)) if *of == query && *what == subject),
            "{work:?}"
        );
        // Closed while it is worked out: the server is told to stop, and nothing lies on the timeline.
        desk.key(KeyCode::Esc);
        assert!(desk.model.overlay.is_none() && desk.model.slots.running(Slot::Sheet).is_none());
    }
    desk.keys("X");
    desk.finish(
        Slot::Sheet,
        Output::Report(report::Output::Sheet(answer(vec![said("good  an index")], None))),
    );
    desk.keys("j");
    assert!(desk.model.dialog::<Sheet>().is_some(), "keys of movement scroll");
    assert_eq!(desk.selected(), "e90000", "and leave the timeline alone");
    desk.keys("q");
    assert!(desk.model.overlay.is_none());
}

#[test]
fn states_are_fetched_when_the_selection_rests() {
    let mut desk = Desk::with_events(50);
    desk.keys("jjj");
    assert!(!desk.begins(Slot::Event));
    desk.wait(100);
    let (ticket, work) = desk.begun(Slot::Event);
    assert!(
        matches!(work, Task::Event(event::Task::Load(_, EventKey { event_id, .. }, _)) if event_id == "e89997")
    );
    desk.keys("j");
    assert!(desk.effects.contains(&Effect::Cancel(Slot::Event)));
    desk.end(ticket, Outcome::Done(Output::Event(event::Output::Load(None))));
    desk.wait(100);
    assert!(
        matches!(desk.begun(Slot::Event).1, Task::Event(event::Task::Load(_, EventKey { event_id, .. }, _)) if event_id == "e89996")
    );
}

#[test]
fn rows_on_the_screen_are_checked_once_and_again_when_they_have_changed() {
    let mut desk = Desk::with_events(200);
    assert!(!desk.begins(Slot::Marks), "what flies past is not checked");
    desk.wait(100).look(Mark::Verified);
    let on_screen = desk.model.timeline.visible().count();
    let marks = |desk: &Desk, mark: Mark| {
        desk.model.timeline.visible().filter(|row| desk.model.marks.mark(&row.event) == mark).count()
    };
    assert!(on_screen > 20 && marks(&desk, Mark::Verified) == on_screen);

    desk.key(KeyCode::PageDown).wait(100).look(Mark::Broken);
    assert_eq!(marks(&desk, Mark::Broken), on_screen);
    desk.key(KeyCode::PageUp).wait(100);
    assert!(!desk.begins(Slot::Marks));
    assert_eq!(marks(&desk, Mark::Verified), on_screen, "marks survive scrolling");
    desk.keys("fsev:info").key(KeyCode::Enter).opened(200, 0).wait(100);
    // The command that lists the same has a line of its own now.
    let on_screen = on_screen - 1;
    assert_eq!(marks(&desk, Mark::Verified), on_screen, "and filtering");

    let mut edited = desk.model.timeline.row().unwrap().event.clone();
    edited.xmin += 1;
    desk.model.timeline.replace(edited, Zone::Utc);
    assert_eq!(marks(&desk, Mark::Verified), on_screen - 1, "a row that was written anew has no mark");
    desk.wait(100).wait(100);
    assert!(
        matches!(desk.begun(Slot::Marks).1, Task::Integrity(integrity::Task::Glance(Look { rows, detected: Some(_), thorough: false, .. })) if rows.len() == 1)
    );
}

#[test]
fn rows_that_have_changed_under_the_screen_are_shown_as_they_are_now() {
    let mut desk = Desk::with_events(50);
    desk.wait(100);
    let mut edited = desk.model.timeline.row().unwrap().event.clone();
    edited.xmin += 1;
    edited.actor_id = "mallory".to_owned();
    let glances = Glances { changed: vec![edited.clone()], ..glances(&[edited], Mark::Broken) };
    desk.finish(Slot::Marks, Output::Integrity(integrity::Output::Glance(Box::new(glances))));
    let row = desk.model.timeline.row().unwrap();
    assert_eq!((row.event.actor_id.as_str(), desk.model.marks.mark(&row.event)), ("mallory", Mark::Broken));
}

#[test]
fn a_check_that_failed_is_tried_again_with_the_next_movement_only() {
    let mut desk = Desk::with_events(50);
    desk.wait(100);
    let (ticket, _) = desk.begun(Slot::Marks);
    desk.fail(ticket, "permission denied", false).wait(1_000);
    assert!(!desk.begins(Slot::Marks));
    desk.keys("j").wait(100);
    assert!(desk.begins(Slot::Marks));
}

#[test]
fn marks_of_one_organisation_are_not_those_of_another() {
    let mut desk = Desk::with_events(50);
    desk.wait(100);
    let (late, _) = desk.begun(Slot::Marks);
    let rows: Vec<_> = desk.model.timeline.visible().map(|row| row.event.clone()).collect();
    desk.keys("s");
    desk.finish(
        Slot::Organizations,
        Output::Connection(connection::Output::Organizations((
            vec![organization("acme"), organization("globex")],
            0,
        ))),
    );
    desk.keys("j").key(KeyCode::Enter);
    assert!(desk.effects.contains(&Effect::Cancel(Slot::Marks)));
    desk.end(
        late,
        Outcome::Done(Output::Integrity(integrity::Output::Glance(Box::new(glances(&rows, Mark::Verified))))),
    );
    assert_eq!(desk.model.marks.mark(&rows[0]), Mark::Unchecked);
}

#[test]
fn a_lost_connection_is_tried_again_ever_more_slowly_and_the_place_is_kept() {
    let mut desk = Desk::with_events(50);
    desk.keys("jjjjj").wait(5_000);
    let (pulse, _) = desk.begun(Slot::Pulse);
    desk.fail(pulse, "cannot reach the database", true);
    assert_eq!(desk.selected(), "e89995", "the screen stays");
    let mut waits = Vec::new();
    for _ in 0..6 {
        let Connection::Lost { retry_at: Some(at), since, .. } = desk.model.connection else { panic!() };
        assert_eq!(since, moment(desk.millis).wall.min(since));
        waits.push((at.as_millis() as u64).saturating_sub(desk.millis));
        desk.wait(5_000);
        let (ticket, _) = desk.begun(Slot::Connection);
        desk.fail(ticket, "cannot reach the database", true);
    }
    assert_eq!(waits, [500, 1_000, 2_000, 4_000, 5_000, 5_000]);
    desk.keys("j").wait(5_000).connect();
    assert!(
        matches!(desk.begun(Slot::View).1, Task::Timeline(timeline::Task::Open(_, Landing::At(key))) if key.event_id == "e89994")
    );
}

#[test]
fn ctrl_c_stops_then_leaves() {
    let mut desk = Desk::with_events(50);
    desk.keys("R").control('c');
    assert!(desk.effects.contains(&Effect::Cancel(Slot::View)));
    assert!(!desk.effects.contains(&Effect::Quit));
    desk.wait(2_500).control('c');
    assert!(!desk.effects.contains(&Effect::Quit), "too late for the second one");
    desk.control('c');
    assert!(desk.effects.contains(&Effect::Quit));
}

#[test]
fn q_closes_views_then_leaves_and_asks_where_something_is_lost() {
    let mut desk = Desk::with_events(50);
    desk.keys("fsev:critical").key(KeyCode::Enter).opened(3, 0);
    desk.keys("q");
    assert!(
        matches!(desk.begun(Slot::View).1, Task::Timeline(timeline::Task::Open(ask, _)) if ask.filter == Filter::default())
    );
    assert!(!desk.model.history.can_go_forward());
    desk.opened(50, 0).keys(" q");
    assert!(desk.model.dialog::<Leaving>().is_some(), "an event is marked");
    desk.keys("n");
    assert!(desk.model.overlay.is_none());
    assert!(!desk.effects.contains(&Effect::Quit));
    desk.keys(" q");
    assert!(desk.effects.contains(&Effect::Quit), "nothing is marked any more, nothing runs");
}

#[test]
fn escape_undoes_the_last_thing_on_the_screen() {
    let mut desk = Desk::with_events(50);
    desk.keys("fsev:critical").key(KeyCode::Enter).opened(3, 0);
    desk.keys("1@3z");
    assert!(desk.model.change.travels());
    desk.key(KeyCode::Esc);
    assert!(!desk.model.change.travels() && desk.model.zoomed, "the state goes first");
    desk.key(KeyCode::Esc);
    assert!(!desk.model.zoomed, "then the zoom");
    desk.key(KeyCode::Esc);
    assert_eq!(desk.model.focus, Focus::Timeline, "then the keys go to the timeline");
    assert!(!desk.model.history.can_go_forward());
    desk.key(KeyCode::Esc);
    assert!(desk.model.history.can_go_forward(), "and last the view");
}

#[test]
fn counts_go_from_guess_to_number() {
    let mut desk = Desk::with_events(200);
    desk.finish(Slot::Count, Output::Timeline(timeline::Output::Estimate(Count::Estimate(120_000))));
    assert_eq!(desk.model.timeline.position().as_str(), "1 of ~120 000");
    desk.finish(Slot::Count, Output::Timeline(timeline::Output::Count(answer(Count::Exact(100_000), None))));
    assert_eq!(desk.model.timeline.position().as_str(), "1 of 100 000");
    // A guess that comes late does not replace it.
    desk.model.timeline.set_count(Count::Estimate(1));
    assert_eq!(desk.model.timeline.position().as_str(), "1 of 100 000");
}

#[test]
fn what_was_counted_earlier_is_shown_with_its_age_until_it_is_counted_again() {
    let mut desk = Desk::with_events(200);
    desk.finish(Slot::Count, Output::Timeline(timeline::Output::Estimate(Count::Estimate(120_000))));
    assert!(matches!(desk.begun(Slot::Count).1, Task::Timeline(timeline::Task::Count(_, Freshness::Recent))));
    let earlier = Timestamp::from_micros(moment(0).wall.as_micros() - 42_000_000);
    desk.finish(
        Slot::Count,
        Output::Timeline(timeline::Output::Count(answer(Count::Exact(100_000), Some(earlier)))),
    );
    let note = |desk: &Desk| desk.model.timeline.note(desk.model.at.wall).as_str().to_owned();
    assert_eq!(note(&desk), "1 of 100 000 · counted 42 s ago");
    // It grows old on the screen too.
    assert!(desk.model.next_wake() <= Duration::from_millis(desk.millis + 1_000));
    desk.wait(1_000);
    assert!(desk.model.dirty);
    assert_eq!(note(&desk), "1 of 100 000 · counted 43 s ago");
    desk.keys("R").opened(200, 0);
    assert_eq!(note(&desk), "1 of ~100 000");
    desk.finish(Slot::Count, Output::Timeline(timeline::Output::Estimate(Count::Estimate(120_000))));
    assert!(matches!(desk.begun(Slot::Count).1, Task::Timeline(timeline::Task::Count(_, Freshness::Now))));
    desk.finish(Slot::Count, Output::Timeline(timeline::Output::Count(answer(Count::Exact(100_001), None))));
    assert_eq!(note(&desk), "1 of 100 001");
    // The next view may take what is known again.
    desk.keys("fsev:critical").key(KeyCode::Enter).opened(200, 0);
    desk.finish(Slot::Count, Output::Timeline(timeline::Output::Estimate(Count::Estimate(120_000))));
    assert!(matches!(desk.begun(Slot::Count).1, Task::Timeline(timeline::Task::Count(_, Freshness::Recent))));
}

#[test]
fn a_sheet_that_was_worked_out_earlier_says_so_and_is_worked_out_again_on_request() {
    let mut desk = Desk::with_events(50);
    desk.keys("S");
    let earlier = Timestamp::from_micros(moment(0).wall.as_micros() - 42_000_000);
    desk.finish(
        Slot::Sheet,
        Output::Report(report::Output::Sheet(answer(vec![said("auth 7")], Some(earlier)))),
    );
    assert!(desk.model.shows_age());
    desk.keys("R");
    assert!(matches!(
        desk.begun(Slot::Sheet).1,
        Task::Report(report::Task::Sheet(_, Subject::Summary, _, Freshness::Now))
    ));
    assert!(!desk.begins(Slot::View), "only the sheet");
    let mut told = answer(vec![said("auth 8")], None);
    told.trouble = Some("no answer".to_owned());
    desk.finish(Slot::Sheet, Output::Report(report::Output::Sheet(told)));
    assert_eq!(
        desk.model.notice.as_ref().map(|n| n.text.as_str()),
        Some("the shared cache is not used: no answer")
    );
}

#[test]
fn the_lag_of_a_replica_is_drawn_when_it_changes() {
    let mut desk = Desk::with_events(20);
    let pulse = |desk: &mut Desk, standing| {
        desk.wait(5_000);
        let (ticket, _) = desk.begun(Slot::Pulse);
        desk.model.dirty = false;
        desk.end(ticket, Outcome::Done(Output::Connection(connection::Output::Pulse(Some(facts(standing))))));
        desk.model.dirty
    };
    let behind =
        |seconds| Standing::Replica(Lag { receiving: true, waiting_bytes: 16, seconds: Some(seconds) });
    assert!(pulse(&mut desk, behind(7)));
    assert!(!pulse(&mut desk, behind(7)));
    assert!(pulse(&mut desk, behind(12)));
    assert_eq!(desk.model.server.as_ref().unwrap().standing.to_string(), "replica, 12 s behind");
}

/// A line of a report that leads nowhere.
fn said(text: &str) -> Entry {
    Entry { line: Line::text(text), target: None }
}

#[test]
fn motions_ask_the_server_for_the_next_event_of_a_kind_inside_the_view() {
    let mut desk = Desk::with_events(50);
    desk.keys("f-sev:critical").key(KeyCode::Enter).opened(40, 0);
    for (key, kind, newer) in [
        ("e", "sev:critical", false),
        ("E", "sev:critical", true),
        ("w", "sev:warning,critical", false),
        ("o", "sess:s-9f3", false),
        ("O", "sess:s-9f3", true),
    ] {
        desk.keys(key);
        let (ticket, work) = desk.begun(Slot::Find);
        let Task::Timeline(timeline::Task::Find(query, seek)) = work else { panic!("{work:?}") };
        // Never wider than the view, even where that excludes the kind.
        assert_eq!(query.filter.canonical(), format!("-sev:critical {kind}"), "{key}");
        assert_eq!(matches!(seek, Seek::NewerThan(_)), newer, "{key}");
        let found = (key == "w").then(|| event_row("e89993", -7).key());
        desk.end(ticket, Outcome::Done(Output::Timeline(timeline::Output::Find(found))));
    }
    assert_eq!(desk.selected(), "e89993");
}

#[test]
fn a_line_of_the_totals_leads_to_its_events_and_back() {
    let mut desk = Desk::with_events(50);
    desk.keys("fsev:info").key(KeyCode::Enter).opened(40, 0).keys("jS");
    let (ticket, _) = desk.begun(Slot::Sheet);
    let leads = |by, key: &str| Entry { line: Line::text(key), target: target::value(by, Some(key)) };
    let address = leads(By::Ip, "192.0.2.17");
    // Told while the rest is being computed: the first line that leads somewhere is chosen.
    let part = vec![said("IP"), address.clone()];
    desk.say(Event::Progress(ticket, Progress::Report(part.clone())));
    let shown = desk.screen();
    assert!(shown.contains("192.0.2.17") && shown.contains("Computing…"), "{shown}");
    let all = part.into_iter().chain([said("RESOURCE"), leads(By::Resource, "role_binding/rb-7")]).collect();
    desk.end(ticket, Outcome::Done(Output::Report(report::Output::Sheet(answer(all, None)))));
    assert!(!desk.screen().contains("Computing…"));
    // From group to group, and round.
    let (tab, back) = ((KeyCode::Tab, KeyModifiers::NONE), (KeyCode::BackTab, KeyModifiers::SHIFT));
    for (key, found) in [(tab, By::Resource), (tab, By::Ip), (back, By::Resource)] {
        desk.say(Event::Key(KeyEvent::new(key.0, key.1)));
        let target = desk.model.dialog::<Sheet>().unwrap().target().cloned();
        let value = if found == By::Ip { "192.0.2.17" } else { "role_binding/rb-7" };
        assert_eq!(target, target::value(found, Some(value)), "{key:?}");
    }
    desk.key(KeyCode::Enter);
    let place = desk.model.history.current().unwrap();
    assert_eq!(place.text, "sev:info res:role_binding/rb-7");
    desk.opened(7, 0).keys("S");
    desk.finish(Slot::Sheet, Output::Report(report::Output::Sheet(answer(vec![address.clone()], None))));
    desk.keys("-");
    assert_eq!(desk.model.history.current().unwrap().text, "sev:info res:role_binding/rb-7 -ip:192.0.2.17");
    desk.opened(3, 0).keys("S");
    desk.finish(Slot::Sheet, Output::Report(report::Output::Sheet(answer(vec![address], None))));
    desk.keys("p");
    assert_eq!(desk.model.history.current().unwrap().text, "ip:192.0.2.17");
    desk.opened(9, 0).keys("q").opened(3, 0).keys("q").opened(7, 0).keys("q").opened(40, 1);
    assert_eq!(desk.selected(), "e89999", "where one came from");
}

fn answer<T>(value: T, since: Option<Timestamp>) -> Answer<T> {
    Answer { value, since, trouble: None }
}

#[test]
fn an_idle_console_wakes_for_the_pulse_only_and_draws_nothing() {
    let mut desk = Desk::with_events(200);
    desk.finish(Slot::Count, Output::Timeline(timeline::Output::Estimate(Count::Exact(200))));
    desk.wait(100);
    let (event, _) = desk.begun(Slot::Event);
    desk.look(Mark::Verified).end(event, Outcome::Done(Output::Event(event::Output::Load(None))));
    desk.model.timeline.paused = true;
    assert!(desk.model.slots.abandon(Slot::Older));
    desk.wait(1_500);
    assert!(desk.model.slots.abandon(Slot::Integrity));
    let wake = desk.model.next_wake();
    assert_eq!(wake, desk.model.pulse_at);
    desk.millis = wake.as_millis() as u64;
    desk.model.dirty = false;
    desk.say(Event::Tick);
    assert!(!desk.model.dirty);
    let (pulse, _) = desk.begun(Slot::Pulse);
    desk.end(
        pulse,
        Outcome::Done(Output::Connection(connection::Output::Pulse(Some(facts(Standing::Primary))))),
    );
    assert!(!desk.model.dirty);
    assert!(desk.model.next_wake() >= Duration::from_millis(desk.millis + 2_000));
}

#[test]
fn versions_are_gone_through_in_the_history_of_the_resource() {
    let mut desk = Desk::with_events(5);
    desk.keys("j").keys("[");
    let (ticket, work) = desk.begun(Slot::Version);
    let Task::Change(change::Task::Version(request)) = work else { panic!("{work:?}") };
    let change::VersionRequest { resource, of, older, .. } = *request;
    assert_eq!((of.event_id.as_str(), older), ("e89999", true));
    let key = event_row("e89997", -3).key();
    desk.end(
        ticket,
        Outcome::Done(Output::Change(change::Output::Version((resource.clone(), Some(key.clone()))))),
    );
    let (_, work) = desk.begun(Slot::View);
    let Task::Timeline(timeline::Task::Open(ask, landing)) = work else { panic!("{work:?}") };
    assert_eq!(
        (ask.filter.to_string().as_str(), landing),
        ("all-time res:role_binding/rb-7", Landing::At(key))
    );
    desk.opened(5, 3);
    assert_eq!(desk.selected(), "e89997");
    // In that view the next one is at hand: nothing is opened.
    desk.keys("]");
    let (ticket, _) = desk.begun(Slot::Version);
    desk.end(
        ticket,
        Outcome::Done(Output::Change(change::Output::Version((
            resource.clone(),
            Some(event_row("e89998", -2).key()),
        )))),
    );
    assert!(!desk.begins(Slot::View));
    assert_eq!(desk.selected(), "e89998");
    desk.keys("[");
    let (ticket, _) = desk.begun(Slot::Version);
    desk.end(ticket, Outcome::Done(Output::Change(change::Output::Version((resource, None)))));
    assert_eq!(desk.selected(), "e89998");
}

#[test]
fn the_life_of_the_resource_is_fetched_once_the_event_is_there() {
    let mut desk = Desk::with_events(5);
    desk.keys("b");
    assert!(!desk.begins(Slot::Change));
    desk.wait(100);
    let row = desk.model.timeline.row().unwrap().event.clone();
    let states = States { old: None, new: None, writing: Writing::Full };
    let detail = Detail { row, states, previous_state: None, new_state: None };
    desk.finish(Slot::Event, Output::Event(event::Output::Load(Some(Box::new(detail)))));
    assert!(
        matches!(desk.begun(Slot::Change).1, Task::Change(change::Task::Blame(life, _)) if life.event.event_id == "e90000")
    );
    desk.keys("@");
    assert!(matches!(desk.begun(Slot::Change).1, Task::Change(change::Task::State(..))));
    desk.keys("@");
    assert!(matches!(desk.begun(Slot::Change).1, Task::Change(change::Task::Compare(..))));
}

#[test]
fn a_search_goes_from_hit_to_hit_beyond_the_rows_at_hand() {
    let mut desk = Desk::with_events(50);
    desk.keys("n");
    assert!(!desk.begins(Slot::Find), "nothing was looked for");
    desk.keys("jj/rotate").key(KeyCode::Enter);
    let (_, work) = desk.begun(Slot::Find);
    let Task::Timeline(timeline::Task::Find(query, Seek::OlderThan(key))) = work else { panic!("{work:?}") };
    assert_eq!((query.filter.canonical().as_str(), key.event_id.as_str()), ("\"rotate\"", "e89998"));
    desk.finish(Slot::Find, Output::Timeline(timeline::Output::Find(Some(event_row("e89990", -10).key()))));
    assert_eq!(desk.selected(), "e89990");
    // The next one is not at hand: the view is opened there.
    desk.keys("n").finish(
        Slot::Find,
        Output::Timeline(timeline::Output::Find(Some(event_row("e80000", -10_000).key()))),
    );
    assert!(
        matches!(desk.begun(Slot::View).1, Task::Timeline(timeline::Task::Open(_, Landing::At(key))) if key.event_id == "e80000"),
        "{:?}",
        desk.effects
    );
    desk.opened(50, 20);
    desk.keys("N");
    assert!(matches!(desk.begun(Slot::Find).1, Task::Timeline(timeline::Task::Find(_, Seek::NewerThan(_)))));
    desk.finish(Slot::Find, Output::Timeline(timeline::Output::Find(None)));
    assert_eq!(desk.model.notice.as_ref().unwrap().text.as_str(), "no further match in this view");
}

#[test]
fn values_of_an_event_narrow_the_view() {
    let mut desk = Desk::with_events(50);
    let canonical = |desk: &Desk| match desk.begun(Slot::View).1 {
        Task::Timeline(timeline::Task::Open(ask, _)) => ask.filter.canonical(),
        work => panic!("{work:?}"),
    };
    let kind = desk.model.timeline.row().unwrap().event.event_type.clone();
    desk.keys("+t");
    assert_eq!(canonical(&desk), format!("type:{kind}"));
    desk.opened(50, 0);
    desk.keys("-j").key(KeyCode::Enter);
    assert!(canonical(&desk).starts_with(&format!("type:{kind} -res:")), "{}", canonical(&desk));
    desk.opened(50, 0);
    desk.keys("pa");
    assert!(canonical(&desk).starts_with("actor_id:"), "{}", canonical(&desk));
    desk.opened(50, 0);
    desk.keys("p").key(KeyCode::Esc);
    assert!(desk.model.overlay.is_none() && !desk.begins(Slot::View));
}

#[test]
fn the_surroundings_of_an_event_are_shown_without_the_filter() {
    let mut desk = Desk::with_events(50);
    desk.keys("fsev:critical").key(KeyCode::Enter).opened(50, 7);
    let id = desk.selected();
    desk.keys("C");
    let (_, work) = desk.begun(Slot::View);
    let Task::Timeline(timeline::Task::Open(ask, Landing::At(key))) = work else { panic!("{work:?}") };
    assert_eq!((ask.filter.canonical(), key.event_id), (format!("around:{id}"), id));
    assert_eq!(desk.model.history.current().unwrap().text, ask.filter.canonical());
}

#[test]
fn escape_stops_a_walk_and_leaves_what_it_has_found() {
    let mut desk = Desk::with_events(50);
    desk.keys("fua:curl").key(KeyCode::Enter);
    let (ticket, work) = desk.begun(Slot::View);
    let Task::Timeline(timeline::Task::Open(_, landing)) = work else { panic!("{work:?}") };
    let resume = Some(event_row("e00001", -90_000).key());
    let opened = Opened {
        landing,
        range: TimeRange::default(),
        sides: PartialSides::default(),
        rows: vec![event_row("hit", -5)],
        has_newer: false,
        has_older: true,
        looked: Some(Looked { events: 50_000, found: 1, resume, ..Looked::default() }),
        selected: 0,
        newest: None,
        nearest_older: None,
        took: Duration::from_millis(300),
    };
    desk.end(ticket, Outcome::Done(Output::Timeline(timeline::Output::Open(Box::new(opened)))));
    let (walking, work) = desk.begun(Slot::Older);
    assert!(matches!(work, Task::Timeline(timeline::Task::Older(_, key)) if key.event_id == "e00001"));
    desk.key(KeyCode::Esc);
    assert!(desk.effects.contains(&Effect::Cancel(Slot::Older)));
    assert!(desk.effects.contains(&Effect::Cancel(Slot::Count)), "the server rests");
    desk.end(walking, Outcome::Cancelled);
    assert!(!desk.begins(Slot::Older) && desk.model.timeline.paused);
    assert_eq!(
        (desk.selected(), desk.model.history.current().unwrap().text.as_str()),
        ("hit".to_owned(), "ua:curl")
    );
    // Nothing runs any more: back.
    desk.key(KeyCode::Esc);
    assert!(desk.begins(Slot::View));
}

#[test]
fn a_refresh_that_would_begin_a_long_search_anew_says_so_first() {
    let mut desk = Desk::with_events(50);
    desk.keys("R");
    assert!(desk.begins(Slot::View), "what was quick is done at once");
    desk.opened(50, 0);
    desk.keys("fua:curl").key(KeyCode::Enter);
    let (ticket, _) = desk.begun(Slot::View);
    let place = |n: i64| Some(event_row("e00001", -90_000 - n).key());
    let looked = |n| Looked { events: 50_000, found: 1, resume: place(n), ..Looked::default() };
    let opened = Opened {
        landing: Landing::Newest,
        range: TimeRange::default(),
        sides: PartialSides::default(),
        rows: vec![event_row("hit", -5)],
        has_newer: false,
        has_older: true,
        looked: Some(looked(0)),
        selected: 0,
        newest: None,
        nearest_older: None,
        took: Duration::from_millis(300),
    };
    desk.end(ticket, Outcome::Done(Output::Timeline(timeline::Output::Open(Box::new(opened)))));
    for n in 1..=2 {
        let more =
            More { rows: Vec::new(), goes_on: true, looked: Some(looked(n)), took: Duration::from_secs(2) };
        desk.finish(Slot::Older, Output::Timeline(timeline::Output::Older(more)));
    }
    desk.keys("R");
    assert!(!desk.begins(Slot::View), "the hit stays");
    let said = "not refreshed: the search took 4 s and would begin anew · R again does it";
    assert!(desk.screen().contains(said), "{}", desk.screen());
    // Who asks later is asked again.
    desk.wait(6_000).keys("R");
    assert!(!desk.begins(Slot::View));
    desk.keys("R");
    assert!(desk.begins(Slot::View));
    desk.wait(3_000).keys("R");
    assert!(!desk.begins(Slot::View), "what is being loaded is not begun anew either");
    assert!(desk.screen().contains("the view is still being loaded · Esc cancels"), "{}", desk.screen());
}

#[test]
fn what_was_being_worked_out_when_the_connection_was_lost_is_worked_out_again() {
    for (keys, slot) in [("i", Slot::Sheet), ("J", Slot::Tree), ("pl", Slot::Lineage)] {
        let mut desk = Desk::with_events(50);
        desk.keys(keys);
        assert!(desk.begins(slot), "{keys}");
        desk.wait(5_000);
        let (pulse, _) = desk.begun(Slot::Pulse);
        desk.fail(pulse, "cannot reach the database", true);
        assert!(desk.model.slots.running(slot).is_none());
        desk.wait(60_000).connect();
        assert!(desk.begins(slot), "{keys}: {}", desk.screen());
    }
}

#[test]
fn what_was_cancelled_is_not_said_to_be_worked_out() {
    let mut desk = Desk::with_events(50);
    desk.keys("i");
    let (ticket, _) = desk.begun(Slot::Sheet);
    desk.control('c').end(ticket, Outcome::Cancelled);
    let screen = desk.screen();
    assert!(screen.contains("cancelled") && !screen.contains("Computing"), "{screen}");
}

#[test]
fn what_is_under_the_cursor_is_copied() {
    let mut desk = Desk::with_events(5);
    desk.keys("yj");
    let copied = |desk: &Desk| {
        desk.effects.iter().find_map(|e| match e {
            Effect::Copy(text) => Some(text.clone()),
            _ => None,
        })
    };
    assert!(copied(&desk).unwrap().starts_with(r#"{"event_id":"e90000","#));
    desk.keys("yp");
    assert_eq!(copied(&desk), None, "the cursor is in the timeline");
    desk.keys("3").wait(100);
    let row = desk.model.timeline.row().unwrap().event.clone();
    let state = |text: &str| {
        let excerpt = Excerpt { text: text.into(), bytes: text.len() as u64, sha256: None };
        Some(std::sync::Arc::new(excerpt))
    };
    let states = States {
        old: state(r#"{"role": "a", "gone": 1.10}"#),
        new: state(r#"{"role": "\u001b"}"#),
        writing: Writing::Full,
    };
    let detail = Detail { row, states, previous_state: None, new_state: None };
    desk.finish(Slot::Event, Output::Event(event::Output::Load(Some(Box::new(detail)))));
    let (ticket, work) = desk.begun(Slot::Change);
    let Task::Change(change::Task::Compare(states, form)) = work else { panic!("{work:?}") };
    let laid = crate::console::change::layout::lay_out(&states, &form, &Options::default(), &unhurried);
    desk.end(ticket, Outcome::Done(Output::Change(change::Output::Compare(laid))));
    desk.keys("yp");
    assert_eq!(copied(&desk).as_deref(), Some("/role"));
    desk.keys("yv");
    assert_eq!(copied(&desk).as_deref(), Some(r#""\u001b""#));
    desk.keys("jyv");
    assert_eq!(copied(&desk).as_deref(), Some("1.10"));
    desk.keys("yx");
    assert!(copied(&desk).is_none() && desk.model.overlay.is_none());
}

#[test]
fn a_question_about_integrity_waits_for_a_verification() {
    let mut desk = Desk::with_events(50);
    desk.keys("fintegrity:broken").key(KeyCode::Enter);
    let asked = |desk: &Desk| match desk.begun(Slot::View).1 {
        Task::Timeline(timeline::Task::Open(ask, _)) => ask.filter.range(ask.now, None, ask.window),
        work => panic!("{work:?}"),
    };
    assert!(matches!(asked(&desk), Err(crate::filter::RangeError::NoFacts { field: "integrity" })));
}

#[test]
fn a_tree_is_built_searched_gone_through_and_left() {
    let mut desk = Desk::with_events(5);
    desk.keys("J");
    let (ticket, work) = desk.begun(Slot::Tree);
    assert!(matches!(work, Task::Event(event::Task::Tree(_, key)) if key.event_id == "e90000"));
    let state = |text: &str| Some(Excerpt { text: text.into(), bytes: text.len() as u64, sha256: None });
    let event = crate::store::history::Observed {
        row: event_row("e90000", 0),
        previous: None,
        new: state(r#"{"roles": [{"permissions": ["read"]}], "token": "s3cr3t"}"#),
    };
    let outline = crate::console::event::tree_task::build(&event).unwrap();
    let built = Some(Box::new((outline, crate::diff::rows::View::default())));
    desk.end(ticket, Outcome::Done(Output::Event(event::Output::Tree(built))));
    let at = |desk: &mut Desk| {
        crate::console::event::tree_update::tree(&mut desk.model).unwrap().place().unwrap().1
    };
    assert_eq!(at(&mut desk), "");
    // A path by its letters, each of which asks again.
    desk.keys("prolperm");
    let (ticket, work) = desk.begun(Slot::Tree);
    let Task::Event(event::Task::TreePaths(doc, text, most)) = work else { panic!("{work:?}") };
    assert_eq!(text, "rolperm");
    let paths = crate::diff::outline::paths(&doc.doc(), &text, most, &|| false).unwrap();
    desk.end(ticket, Outcome::Done(Output::Event(event::Output::TreePaths(paths))));
    desk.key(KeyCode::Enter);
    assert_eq!(at(&mut desk), "/roles/0/permissions");
    let copied = |desk: &Desk| match desk.effects.as_slice() {
        [Effect::Copy(text)] => text.clone(),
        other => panic!("{other:?}"),
    };
    desk.keys("yp");
    assert_eq!(copied(&desk), "/roles/0/permissions");
    desk.keys("yv");
    assert_eq!(copied(&desk), r#"["read"]"#);
    // Words; what is masked stays masked in the clipboard, too.
    desk.keys("/tok").key(KeyCode::Enter);
    let (ticket, work) = desk.begun(Slot::Tree);
    let Task::Event(event::Task::TreeFind(doc, view, text)) = work else { panic!("{work:?}") };
    let hits = crate::diff::outline::hits(&doc.doc(), &text, &view, &|| false).unwrap();
    desk.end(ticket, Outcome::Done(Output::Event(event::Output::TreeFind((text, hits)))));
    assert_eq!(at(&mut desk), "/token");
    desk.keys("yv");
    assert_eq!(copied(&desk), "‹masked, 6 characters›");
    desk.keys("gz0");
    assert_eq!(
        crate::console::event::tree_update::tree(&mut desk.model).unwrap().outline().unwrap().len(),
        1
    );
    desk.keys("z2jl?").key(KeyCode::Esc).key(KeyCode::Esc);
    assert!(desk.model.page.is_none() && desk.model.overlay.is_none());
    // Closed while it is built: the server is told to stop.
    desk.keys("JJ");
    assert!(desk.effects.contains(&Effect::Cancel(Slot::Tree)));
    // What the tree has no use for closes it, and is done.
    desk.keys("J3");
    assert!(desk.model.page.is_none());
    assert_eq!(desk.model.focus, Focus::Change);
}

#[test]
fn reading_a_whole_table_for_a_page_says_how_far_it_has_come() {
    let mut desk = Desk::with_events(50);
    desk.keys("R");
    let (ticket, _) = desk.begun(Slot::View);
    assert_eq!(desk.model.reading(), None);
    desk.say(Event::Progress(ticket, Progress::Timeline(timeline::Progress::Page { percent: 45, found: 3 })));
    let said = desk.model.reading().unwrap();
    assert_eq!(said.as_str(), "no index on time: reading the whole table, 45 %, found 3");
    desk.end(ticket, Outcome::Cancelled);
    assert_eq!(desk.model.reading(), None, "it is not read any more");
    desk.keys("R");
    desk.begun(Slot::View);
    assert_eq!(desk.model.reading(), None, "that was another reading");
}

#[test]
fn ghost_changes_are_looked_for_listed_and_gone_to() {
    let mut desk = Desk::with_events(50);
    desk.keys("!x");
    assert!(desk.model.overlay.is_none() && desk.model.page.is_none(), "no such place to look");
    let asked = |desk: &Desk| match desk.begun(Slot::Ghosts).1 {
        Task::Ghosts(ghosts::Task::Search(query)) => query.filter.canonical(),
        work => panic!("{work:?}"),
    };
    desk.keys("!r");
    assert_eq!(asked(&desk), "all-time res:role_binding/rb-7");
    desk.keys("!v");
    assert_eq!(asked(&desk), "");
    desk.keys("!o");
    let (ticket, work) = desk.begun(Slot::Ghosts);
    assert!(
        matches!(work, Task::Ghosts(ghosts::Task::Search(query)) if query.range == crate::domain::TimeRange::default())
    );
    // What was found so far can be gone to while the search goes on.
    let found = crate::console::ghosts::pane::tests::found(&[5, 9]);
    let so_far = ghosts::Progress { found: found.clone(), at: None };
    desk.say(Event::Progress(ticket, Progress::Ghosts(so_far)));
    desk.keys("j").key(KeyCode::Enter);
    let (_, work) = desk.begun(Slot::View);
    assert!(
        matches!(&work, Task::Timeline(timeline::Task::Open(ask, Landing::At(key))) if ask.filter.to_string() == "all-time res:role/r9" && key.event_id == "b9"),
        "{work:?}"
    );
    assert!(desk.model.page.is_none() && desk.model.focus == Focus::Change);
    desk.end(ticket, Outcome::Done(Output::Ghosts(ghosts::Output::Search(Box::new(found)))));
    assert_eq!(desk.model.notice.as_ref().unwrap().text.as_str(), "2 changes without an event: ! shows them");
    // The list is where it was.
    desk.keys("!");
    assert_eq!(desk.model.ghosts.as_ref().unwrap().place().unwrap().1.event_id, "b9");
    // Esc stops what runs, and only then goes back.
    desk.keys("Ro");
    let (ticket, _) = desk.begun(Slot::Ghosts);
    desk.key(KeyCode::Esc);
    assert_eq!(desk.effects, [Effect::Cancel(Slot::Ghosts)]);
    desk.end(ticket, Outcome::Cancelled);
    assert!(desk.model.slots.running(Slot::Ghosts).is_none() && desk.model.page.is_some());
    desk.key(KeyCode::Esc);
    assert!(desk.model.page.is_none());
}

/// The versions `e90000` and older of the resource of [`event_row`], one a second.
fn versions(count: i64) -> std::sync::Arc<crate::diff::chronicle::Chronicle> {
    use crate::diff::chronicle::Recorder;
    use crate::diff::history::Version;
    let limits = crate::diff::json::Limits { bytes: 1 << 20, nodes: 1_000 };
    let mut recorder = Recorder::new(limits);
    for n in 0..count {
        let row = event_row(&format!("e{:05}", 90_000 - n), -n);
        let (previous, new) = (format!("{{\"n\": {}}}", n + 1), format!("{{\"n\": {n}}}"));
        let version = Version {
            event_id: &row.event_id,
            timestamp: row.timestamp,
            actor_id: &row.actor_id,
            action: &row.action,
            previous: Some(&previous),
            new: Some(&new),
        };
        recorder.record(&version).unwrap();
    }
    std::sync::Arc::new(recorder.finish(false).unwrap())
}

#[test]
fn time_is_travelled_from_memory() {
    let mut desk = Desk::with_events(50);
    desk.keys("fall-time res:role_binding/rb-7").key(KeyCode::Enter).opened(50, 2);
    desk.keys("3@");
    let (ticket, work) = desk.begun(Slot::Chronicle);
    let Task::Change(change::Task::Chronicle(_, resource)) = work else { panic!("{work:?}") };
    desk.end(
        ticket,
        Outcome::Done(Output::Change(change::Output::Chronicle((resource.clone(), Some(versions(50)))))),
    );
    let shown = |desk: &Desk| match desk.begun(Slot::Change).1 {
        Task::Change(change::Task::StateAt(_, version, _)) => version,
        work => panic!("{work:?}"),
    };
    assert_eq!(shown(&desk), Some(47), "the state is shown before the event itself has been fetched");
    // A step needs nothing but the rows and the versions at hand.
    desk.keys("[");
    assert_eq!((shown(&desk), desk.selected().as_str()), (Some(46), "e89997"));
    assert!(!desk.begins(Slot::Version) && !desk.begins(Slot::View) && !desk.begins(Slot::Chronicle));
    desk.keys("{");
    assert_eq!((shown(&desk), desk.selected().as_str()), (Some(0), "e89951"));
    desk.keys("[");
    assert_eq!(desk.model.notice.as_ref().unwrap().text.as_str(), "no further version");
    desk.keys("}");
    assert_eq!(shown(&desk), Some(49));
    let copied = |desk: &Desk| match desk.effects.as_slice() {
        [Effect::Copy(text)] => text.clone(),
        other => panic!("{other:?}"),
    };
    desk.keys("[ys");
    assert_eq!(copied(&desk), "{\"n\": 1}");
    desk.keys("yc");
    assert_eq!(
        copied(&desk),
        "agenttrace resource --org acme --at 2026-01-15T09:57:59.000000Z --format json role_binding rb-7"
    );
    // To a time: the last version until then.
    desk.keys("T2026-01-15T09:57:50Z").key(KeyCode::Enter);
    let (ticket, work) = desk.begun(Slot::Version);
    assert!(
        matches!(&work, Task::Change(change::Task::Version(request)) if request.older && request.of.timestamp == Timestamp::parse("2026-01-15T09:57:50.000001Z").unwrap()),
        "{work:?}"
    );
    desk.end(
        ticket,
        Outcome::Done(Output::Change(change::Output::Version((
            resource,
            Some(event_row("e89990", -10).key()),
        )))),
    );
    assert_eq!(shown(&desk), Some(39));
    // The table may have other versions by now.
    desk.keys("R");
    assert!(desk.begins(Slot::Chronicle));
    // Elsewhere T goes to a time of the view.
    desk.opened(50, 0);
    desk.keys("@T2026-01-15").key(KeyCode::Enter);
    assert!(
        matches!(desk.begun(Slot::View).1, Task::Timeline(timeline::Task::Open(_, Landing::At(key))) if key.timestamp == Timestamp::parse("2026-01-16T00:00:00Z").unwrap())
    );
}

#[test]
fn events_that_came_meanwhile_are_counted_and_shown_when_somebody_asks() {
    let mut desk = Desk::with_events(20);
    desk.model.timeline.newest = Some(Timestamp::parse("2026-01-15T09:58:00Z").unwrap());
    let header = |desk: &Desk| desk.screen().lines().next().unwrap().to_owned();
    desk.wait(100);
    assert!(!desk.begins(Slot::New), "not at once");
    desk.wait(10_100);
    let (ticket, Task::Timeline(timeline::Task::New(query))) = desk.begun(Slot::New) else { panic!() };
    assert_eq!(query.range.since, Some(Timestamp::parse("2026-01-15T09:58:00.000001Z").unwrap()));
    desk.model.dirty = false;
    desk.end(ticket, Outcome::Done(Output::Timeline(timeline::Output::New(Count::Exact(0)))));
    assert!(!desk.model.dirty, "nothing is drawn where nothing came");
    desk.wait(10_100);
    desk.finish(Slot::New, Output::Timeline(timeline::Output::New(Count::Exact(1_203))));
    assert!(header(&desk).contains("1 203 new (R)"), "{}", header(&desk));
    desk.keys("R").opened(20, 0);
    assert!(!header(&desk).contains(" new "), "{}", header(&desk));
    // Where it takes too long it is not done again.
    desk.wait(100).wait(10_100);
    desk.finish(Slot::New, Output::Timeline(timeline::Output::New(Count::Estimate(9))));
    desk.wait(100_000);
    assert!(!desk.begins(Slot::New));
}

#[test]
fn a_silent_line_is_lost_within_five_seconds() {
    assert!(PULSE + crate::store::ReadDb::PULSE_LIMIT < Duration::from_secs(5));
    // Other work that ends does not put the pulse off.
    let mut desk = Desk::with_events(20);
    desk.wait(1_500).keys("R").opened(20, 0);
    desk.wait(1_000);
    assert!(desk.begins(Slot::Pulse), "{:?}", desk.effects);
}

#[test]
fn no_error_outlasts_its_cause() {
    for again in ["R", "reconnected"] {
        let mut desk = Desk::with_events(20);
        desk.wait(300);
        for slot in [Slot::Event, Slot::Marks] {
            let (ticket, _) = desk.begun(slot);
            let effects = desk.effects.clone();
            desk.fail(ticket, "the server has stopped", false);
            desk.effects = effects;
        }
        desk.model.integrity.fail(Safe::literal("the server has stopped"));
        desk.model.organizations.trouble = Some(Safe::literal("the server has stopped"));
        desk.model.trails.fail(Safe::literal("the server has stopped"));
        let shown = |desk: &Desk| format!("{:?}", desk.model).matches("the server has stopped").count();
        assert!(shown(&desk) >= 6, "{}", shown(&desk));
        if again == "R" {
            desk.keys("R");
        } else {
            desk.wait(6_000);
            let (pulse, _) = desk.begun(Slot::Pulse);
            desk.fail(pulse, "cannot reach the database", true);
            desk.wait(1_000).connect();
        }
        assert!(desk.begins(Slot::Organizations));
        let (ticket, _) = desk.begun(Slot::Organizations);
        desk.opened(20, 0);
        desk.end(
            ticket,
            Outcome::Done(Output::Connection(connection::Output::Organizations((
                vec![organization("acme")],
                0,
            )))),
        );
        desk.wait(300);
        let (event, _) = desk.begun(Slot::Event);
        let detail = Detail {
            row: event_row("e90000", 0),
            previous_state: None,
            new_state: None,
            states: States { old: None, new: None, writing: Writing::Full },
        };
        desk.end(event, Outcome::Done(Output::Event(event::Output::Load(Some(Box::new(detail))))));
        // That a verification was not finished is known until it is asked for anew.
        let left = usize::from(again == "reconnected");
        assert_eq!(shown(&desk), left, "{again}");
    }
}

#[test]
fn a_paste_begins_a_filter_and_does_not_run_it() {
    let mut desk = Desk::with_events(10);
    desk.say(Event::Paste("evt-1\n".to_owned()));
    assert_eq!(desk.model.filter.text(), Some("evt-1"));
    assert!(!desk.begins(Slot::View));
    // While something is typed, it goes there.
    desk.say(Event::Paste(" since:-7d".to_owned()));
    assert_eq!(desk.model.filter.text(), Some("evt-1 since:-7d"));
    desk.key(KeyCode::Esc);
    assert_eq!(desk.model.filter.text(), None);
    desk.keys("/").say(Event::Paste("words".to_owned()));
    assert_eq!(desk.model.filter.text(), None);
    desk.key(KeyCode::Esc).keys("?").say(Event::Paste("words".to_owned()));
    assert_eq!(desk.model.notice.as_ref().unwrap().text.as_str(), "not pasted: no text is typed here");
    // Nor is there a filter before there is an organisation.
    let mut desk = Desk::begin(None);
    desk.connect().say(Event::Paste("evt-1".to_owned()));
    assert_eq!(desk.model.filter.text(), None);
}

#[test]
fn inside_tmux_the_notice_of_a_copy_says_what_tmux_needs() {
    let mut desk = Desk::with_events(10);
    let said = |desk: &Desk| desk.model.notice.as_ref().unwrap().text.as_str().to_owned();
    desk.keys("yy");
    assert_eq!(said(&desk), "copied (OSC 52)");
    desk.model.setup.in_tmux = true;
    desk.keys("yy");
    assert!(said(&desk).contains("set-clipboard"), "{}", said(&desk));
}

#[test]
fn on_leaving_it_is_said_how_to_come_back() {
    let mut desk = Desk::begin(None);
    assert_eq!(way_back(&desk.model), None, "there was no view");
    desk = Desk::with_events(10);
    desk.model.setup.flags = vec!["--profile".to_owned(), "my demo".to_owned()];
    assert_eq!(
        way_back(&desk.model).unwrap(),
        "event e90000 · come back with: agenttrace --profile 'my demo' --org acme"
    );
    desk.keys("fsev:critical ua~\"it's\"").key(KeyCode::Enter);
    desk.opened(3, 1);
    assert_eq!(
        way_back(&desk.model).unwrap(),
        "filter 'sev:critical ua~\"it'\\''s\"' · event e89999 · come back with: agenttrace --profile 'my demo' --org acme"
    );
    desk.keys("f").control('u').keys("all-time").key(KeyCode::Enter);
    desk.opened(0, 0);
    assert_eq!(
        way_back(&desk.model).unwrap(),
        "come back with: agenttrace --profile 'my demo' --org acme --all-time"
    );
}

#[test]
fn help_over_the_filter_leaves_the_line_as_it_was() {
    let mut desk = Desk::with_events(10);
    desk.keys("fsev:crit").key(KeyCode::F(1));
    assert!(desk.screen().contains("save the filter under a name"), "{}", desk.screen());
    desk.keys("/saved").key(KeyCode::Enter).keys("j").key(KeyCode::Esc).key(KeyCode::Esc).keys("ical");
    assert_eq!(desk.model.filter.text(), Some("sev:critical"));
    assert!(desk.model.overlay.is_none());
}

#[test]
fn a_tab_keeps_its_views_and_its_place() {
    let mut desk = Desk::with_events(50);
    desk.keys("(");
    assert!(desk.screen().contains("there is one tab: Ctrl-t opens another"), "{}", desk.screen());
    desk.keys("fsev:warning").key(KeyCode::Enter).opened(50, 0);
    desk.keys("jjj3");
    let left = (desk.selected(), desk.model.focus, desk.model.timeline.top);
    // The new one begins with the same view, at the same event.
    desk.control('t');
    let Task::Timeline(timeline::Task::Open(asked, landing)) = desk.begun(Slot::View).1 else { panic!() };
    assert_eq!(asked.filter.canonical(), "sev:warning");
    assert!(matches!(landing, Landing::At(key) if key.event_id == left.0));
    desk.opened(50, 3);
    assert!(desk.screen().contains("[2/2] acme: sev:warning"), "{}", desk.screen());
    desk.keys("1f").control('u').keys("type:logout").key(KeyCode::Enter).opened(20, 0);
    desk.keys("G)");
    let Task::Timeline(timeline::Task::Open(asked, landing)) = desk.begun(Slot::View).1 else { panic!() };
    assert_eq!(asked.filter.canonical(), "sev:warning");
    assert!(matches!(landing, Landing::At(key) if key.event_id == left.0));
    desk.opened(50, 3);
    assert_eq!((desk.selected(), desk.model.focus, desk.model.timeline.top), left);
    assert!(desk.screen().contains("[1/2] acme › sev:warning"), "{}", desk.screen());
    // What was forward in one tab is not in the other; q closes views, then the tab, and asks nothing.
    desk.keys("(");
    desk.opened(20, 0);
    desk.keys("q");
    desk.opened(50, 0);
    desk.keys("q");
    desk.opened(50, 3);
    assert!(desk.model.tabs.count() == 1 && desk.model.overlay.is_none());
    assert_eq!(desk.model.history.current().unwrap().text, "sev:warning");
    assert!(!desk.screen().contains("[1/"), "{}", desk.screen());
}

#[test]
fn a_change_is_copied_as_a_patch_and_as_the_patch_that_undoes_it() {
    let mut desk = Desk::with_events(5);
    let copied = |desk: &mut Desk, keys: &str| {
        desk.keys(keys);
        match desk.effects.as_slice() {
            [Effect::Copy(text)] => text.clone(),
            _ => desk.model.notice.as_ref().unwrap().text.to_string(),
        }
    };
    assert_eq!(copied(&mut desk, "yd"), "the states are not here yet");
    let fill = |desk: &mut Desk, writing, old: Option<&str>, new: Option<&str>| {
        let whole = |text: &str| {
            std::sync::Arc::new(Excerpt { text: text.into(), bytes: text.len() as u64, sha256: None })
        };
        let states = States { old: old.map(whole), new: new.map(whole), writing };
        let row = desk.model.timeline.row().unwrap().event.clone();
        let detail = Detail { row, states, previous_state: None, new_state: None };
        desk.keys("3").wait(100);
        desk.finish(Slot::Event, Output::Event(event::Output::Load(Some(Box::new(detail)))));
    };
    fill(&mut desk, Writing::Full, Some(r#"{"n": 1}"#), Some(r#"{"n": 2.50}"#));
    assert_eq!(copied(&mut desk, "yd"), r#"[{"op":"replace","path":"/n","value":2.50}]"#);
    assert_eq!(copied(&mut desk, "yr"), r#"[{"op":"replace","path":"/n","value":1}]"#);
    desk.keys("1j");
    fill(&mut desk, Writing::Full, None, Some(r#"{"n": "x"}"#));
    assert_eq!(copied(&mut desk, "yd"), r#"[{"op":"add","path":"","value":{"n": "x"}}]"#);
    assert_eq!(copied(&mut desk, "yr"), r#"[{"op":"remove","path":""}]"#);
    desk.keys("1j");
    fill(&mut desk, Writing::Partial, Some(r#"{"n": 1}"#), Some(r#"{"n": 2}"#));
    assert!(copied(&mut desk, "yd").contains("would be wrong"));
}

#[test]
fn an_interrupt_cancels_what_nobody_sees_too() {
    let mut desk = Desk::with_events(50);
    desk.wait(11_000);
    assert!(desk.model.slots.running(Slot::Pulse).is_some());
    let unseen = [Slot::Strip, Slot::Cost];
    assert!(unseen.iter().all(|slot| desk.model.slots.running(*slot).is_some()));
    desk.control('c');
    for slot in unseen {
        assert!(desk.effects.contains(&Effect::Cancel(slot)), "{slot:?}: {:?}", desk.effects);
    }
    assert!(!desk.effects.contains(&Effect::Cancel(Slot::Pulse)), "it says whether the server is there");
}
