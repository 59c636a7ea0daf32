//! Going from event to event of a kind, beyond the rows at hand too: the server is asked.

use crate::console::app::message::Effects;
use crate::console::app::model::{Connection, Model};
use crate::console::app::navigation::open_at;
use crate::console::app::start_task::begin;
use crate::console::core::keymap::Action;
use crate::console::timeline::task::{Landing, Task};
use crate::domain::{EventKey, EventRow, Safe, grouped};
use crate::filter::{Expr, Facts as _, Field, Local, Match, Matcher, Noted, Question, Selection};
use crate::investigation::tempo::{MOST, Search, Sought};
use crate::store::query::{Query, Seek};

/// Whether the action is a motion. Looks for the event that it goes to.
pub(in crate::console) fn go(model: &mut Model, action: Action, effects: &mut Effects) -> bool {
    let Some((query, row)) = model.timeline.query.as_ref().zip(model.timeline.row()) else { return false };
    let (condition, newer) = match action {
        Action::NextCritical => (Some(severities(&["critical"])), false),
        Action::PreviousCritical => (Some(severities(&["critical"])), true),
        Action::NextWarning => (Some(severities(&["warning", "critical"])), false),
        Action::PreviousWarning => (Some(severities(&["warning", "critical"])), true),
        Action::NextOfSession => (session(&row.event), false),
        Action::PreviousOfSession => (session(&row.event), true),
        Action::NextBookmark | Action::PreviousBookmark => {
            return to_bookmark(model, action == Action::PreviousBookmark, effects);
        }
        Action::NextGap | Action::PreviousGap => {
            to_gap(model, action == Action::PreviousGap, effects);
            return true;
        }
        _ => return false,
    };
    let Some(condition) = condition else {
        model.notify(Safe::literal("the event names neither a session nor a request"));
        return true;
    };
    let key = row.event.key();
    let filter = query.filter.narrowed(Expr::Match(condition));
    let query = Box::new(Query { filter, ..query.clone() });
    find(model, query, key, newer, effects);
    true
}

fn find(model: &mut Model, query: Box<Query>, key: EventKey, newer: bool, effects: &mut Effects) {
    if model.connection == Connection::Up && model.shows_current_place() {
        begin(
            model,
            Task::Find(query, if newer { Seek::NewerThan(key) } else { Seek::OlderThan(key) }),
            effects,
        );
    }
}

/// Goes to the event after the next gap: one at hand, else one that the server is asked for.
fn to_gap(model: &mut Model, newer: bool, effects: &mut Effects) {
    let window = &model.timeline.window;
    let keys = window.rows().iter().map(|row| row.event.key()).collect();
    let mut search = Search::new(keys, model.timeline.selected, newer);
    let goes_on = if newer { window.has_newer() } else { window.has_older() };
    match (search.step(!goes_on), &model.timeline.query) {
        (Some(key), _) => {
            model.timeline.select(&key);
        }
        (None, Some(query)) if goes_on => {
            let task = Task::FindGap(Box::new(query.clone()), Box::new(search));
            if model.connection == Connection::Up && model.shows_current_place() {
                begin(model, task, effects);
            }
        }
        (None, _) => sought(model, Sought::End, effects),
    }
}

/// What follows from a search for a gap.
pub(in crate::console) fn sought(model: &mut Model, found: Sought, effects: &mut Effects) {
    match found {
        Sought::Gap(key) => arrive(model, key, effects),
        Sought::End => model.notify(Safe::literal("no further gap in this view")),
        Sought::Limit(last) => {
            let (events, to) = (grouped(MOST as u64), model.zone.minute(last.timestamp));
            let key = model.setup.keymap.key(Action::Time);
            let text = format!("no gap among {events} events, to {to}: {key} goes there");
            model.notify(Safe::composed(&text));
        }
    }
}

/// Selects an event that was looked for, wherever it is in the view.
pub(in crate::console) fn arrive(model: &mut Model, key: EventKey, effects: &mut Effects) {
    if !model.timeline.select(&key) {
        open_at(model, Landing::At(key), effects);
    }
}

/// Looks for the next bookmarked event of the view.
fn to_bookmark(model: &mut Model, newer: bool, effects: &mut Effects) -> bool {
    let Some((query, row)) = model.timeline.query.as_ref().zip(model.timeline.row()) else { return false };
    let question = Question::Is(vec![Noted::Bookmarked]);
    let book = model.organization().and_then(|organization| model.case.book(organization));
    let Some(Selection::Only(ids)) = book.and_then(|book| book.answer(&question)) else {
        model.notify(Safe::literal("the case is still being read, or cannot be used"));
        return true;
    };
    if ids.is_empty() {
        let key = model.setup.keymap.key(Action::Bookmark);
        model.notify(Safe::composed(&format!("no event is bookmarked: {key} bookmarks the selected one")));
        return true;
    }
    let key = row.event.key();
    let bookmarked = Expr::Local(Local { question, answer: Some(Selection::Only(ids)) });
    let filter = query.filter.narrowed(bookmarked);
    let query = Box::new(Query { filter, ..query.clone() });
    find(model, query, key, newer, effects);
    true
}

fn severities(words: &[&str]) -> Match {
    let any_of = words.iter().map(|word| Matcher::Equals((*word).to_owned())).collect();
    Match { field: Field::EventSeverity, any_of }
}

/// The session; the request where the event belongs to none.
fn session(event: &EventRow) -> Option<Match> {
    let session = event.session_id.as_ref().map(|id| (Field::SessionId, id));
    let (field, id) = session
        .filter(|(_, id)| !id.is_empty())
        .or_else(|| Some((Field::RequestId, &event.request_id)).filter(|(_, id)| !id.is_empty()))?;
    Some(Match { field, any_of: vec![Matcher::Equals(id.clone())] })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::app::fixtures::{Desk, event_row};
    use crate::console::app::message::{Event, Output, Progress, Task as Work};
    use crate::console::core::tasks::Slot;
    use crate::console::timeline::task;
    use crate::domain::Timestamp;

    /// A hundred events, one each second but for an hour before the thirtieth.
    fn desk() -> Desk {
        let mut desk = Desk::begin(Some("acme"));
        desk.connect();
        desk.opened_with(100, 0, |at, row| {
            if at >= 30 {
                row.timestamp = Timestamp::from_micros(row.timestamp.as_micros() - 3_600_000_000);
            }
        });
        desk
    }

    fn finish(desk: &mut Desk, found: Sought) {
        desk.finish(Slot::Find, Output::Timeline(task::Output::FindGap(found)));
    }

    fn said(desk: &Desk) -> String {
        desk.model.notice.as_ref().map(|notice| notice.text.as_str().to_owned()).unwrap_or_default()
    }

    #[test]
    fn a_gap_at_hand_is_gone_to_and_another_one_is_asked_of_the_server() {
        let mut desk = desk();
        let marked = |desk: &Desk| desk.screen().lines().filter(|line| line.contains('▽')).count();
        desk.keys(".");
        assert_eq!((desk.selected().as_str(), marked(&desk)), ("e89971", 1), "{}", desk.screen());
        assert!(!desk.begins(Slot::Find));
        desk.keys(".");
        let (ticket, work) = desk.begun(Slot::Find);
        assert!(matches!(work, Work::Timeline(Task::FindGap(..))), "{work:?}");
        let to = event_row("x", -90_000).timestamp;
        desk.say(Event::Progress(ticket, Progress::Timeline(task::Progress::Gap { passed: 24_000, to })));
        desk.wait(1_000);
        let text = "searching a gap: passed 24 000 events, to ";
        assert!(desk.screen().contains(text), "{}", desk.screen());
        // Far away: the view is opened there.
        let far = event_row("e10000", -80_000).key();
        desk.end(
            ticket,
            crate::console::app::message::Outcome::Done(Output::Timeline(task::Output::FindGap(
                Sought::Gap(far.clone()),
            ))),
        );
        let (_, work) = desk.begun(Slot::View);
        assert!(matches!(&work, Work::Timeline(Task::Open(_, Landing::At(key))) if *key == far), "{work:?}");
    }

    #[test]
    fn a_search_for_a_gap_says_how_it_ended() {
        let mut desk = desk();
        desk.keys(";");
        assert_eq!((desk.begins(Slot::Find), said(&desk).as_str()), (false, "no further gap in this view"));
        desk.keys("..");
        finish(&mut desk, Sought::Limit(event_row("e10000", -80_000).key()));
        assert!(
            said(&desk).starts_with("no gap among 100 000 events, to ")
                && said(&desk).ends_with(": T goes there"),
            "{}",
            said(&desk)
        );
        assert_eq!(desk.selected(), "e89971", "where it began");
        desk.keys(".");
        finish(&mut desk, Sought::End);
        assert_eq!(said(&desk), "no further gap in this view");
        desk.keys("j.");
        let (ticket, _) = desk.begun(Slot::Find);
        desk.key(crossterm::event::KeyCode::Esc);
        assert!(desk.effects.contains(&crate::console::app::message::Effect::Cancel(ticket.slot())));
    }
}
