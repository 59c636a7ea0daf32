//! Going from event to event of a kind, beyond the rows at hand too: the server is asked.

use crate::console::app::message::Effects;
use crate::console::app::model::{Connection, Model};
use crate::console::app::start_task::begin;
use crate::console::core::keymap::Action;
use crate::console::timeline::task::Task;
use crate::domain::{EventKey, EventRow, Safe};
use crate::filter::{Expr, Facts as _, Field, Local, Match, Matcher, Noted, Question, Selection};
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
