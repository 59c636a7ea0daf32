//! The life of a resource in the pane: who last set each value. Fetched and laid out by the executor.

use crate::console::change::found::Found;
use crate::console::change::layout::{Cell, Form, Laid, Line, MAX_LINES, paragraph};
use crate::console::core::failure::Failure;
use crate::console::timeline::row::cut_actor;
use crate::console::widgets::theme::Role;
use crate::console::widgets::time_zone::relative;
use crate::diff::Options;
use crate::diff::history::{self, Blame, BlameLine, Origin, Version};
use crate::diff::json::Limits;
use crate::diff::rows;
use crate::domain::{Event, EventKey, OrgScope, Safe, Timestamp};
use crate::store::ReadDb;
use crate::store::history::Resource;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Most versions that blame goes back.
pub(crate) const MAX_VERSIONS: u32 = 5_000;

/// Bytes of states, as stored, that blame reads without being asked twice.
pub(crate) const MAX_STORED: u64 = 64 << 20;

/// A day and a month in microseconds: ages have three colours.
const AGES: [(i64, Role); 2] = [(86_400_000_000, Role::AgeNew), (30 * 86_400_000_000, Role::AgeRecent)];

/// Columns of ages.
const AGE: usize = 11;

/// Columns of actors: most addresses fit where there is room.
fn actor_columns(width: usize) -> usize {
    (width / 4).clamp(16, 32)
}

/// A resource at one of its events, as seen at a time.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Life {
    /// The organisation.
    pub(crate) scope: OrgScope,
    /// The resource.
    pub(crate) resource: Resource,
    /// The event.
    pub(crate) event: EventKey,
    /// The present, for ages.
    pub(crate) now: Timestamp,
}

/// The events that blame looks at, oldest first.
///
/// # Errors
/// When they cannot be read, or would be too much.
pub(crate) async fn events(
    db: &ReadDb,
    life: &Life,
    cancel: &CancellationToken,
) -> Result<Vec<Event>, Failure> {
    let Life { scope, resource, event, .. } = life;
    let bytes = crate::store::history::stored_bytes(db, scope, resource, event, MAX_VERSIONS, cancel).await?;
    if bytes > MAX_STORED {
        let size = rows::size(usize::try_from(bytes).unwrap_or(usize::MAX));
        return Err(Failure::because(&format!(
            "the states of this resource take {size} in the table · agenttrace resource TYPE ID --blame reads them all"
        )));
    }
    let events =
        crate::store::history::events(db, scope, resource, Some(event), MAX_VERSIONS, cancel).await?;
    Ok(events)
}

/// Who last set each value of the state after the last event.
///
/// # Errors
/// When `stop` said so.
pub(crate) fn blame(
    events: &[Event],
    now: Timestamp,
    form: &Form,
    options: &Options,
    stop: &dyn Fn() -> bool,
) -> Result<Laid, Failure> {
    let versions: Vec<Version<'_>> = events.iter().map(Version::from).collect();
    let limits = Limits { bytes: 16 << 20, nodes: 1_000_000 };
    let found = history::blame(&versions, limits, stop)
        .map_err(|_| Failure { cancelled: true, ..Failure::default() })?;
    let unread = found.why_unread(&versions);
    Ok(laid(&found, unread.as_deref(), events, now, form, options))
}

fn laid(
    found: &Blame<'_>,
    unread: Option<&str>,
    events: &[Event],
    now: Timestamp,
    form: &Form,
    options: &Options,
) -> Laid {
    let mut heading = Vec::new();
    let mut say = |text: &str, role| heading.extend(paragraph(text, role, form.width));
    let noun = if events.len() == 1 { "event" } else { "events" };
    say(&format!("who last set each value · from {} {noun}", events.len()), Role::Muted);
    if events.len() == MAX_VERSIONS as usize {
        say("older events were not read", Role::Notice);
    }
    if found.stale {
        say("later events recorded no state: this may be out of date", Role::Notice);
    }
    if let Some(why) = unread {
        say(why, Role::Notice);
    }
    match (found.lines.is_empty(), found.version) {
        (true, Some(_)) => say("the resource is gone", Role::Notice),
        (true, None) => match events.iter().find_map(|e| Version::from(e).call()) {
            Some(record) => say(
                &format!("the events record calls ({}), not states: there is no blame", record.title),
                Role::Notice,
            ),
            None => say("no event recorded a state", Role::Notice),
        },
        _ => {}
    }
    if found.lines.len() > MAX_LINES {
        say(&format!("the first {MAX_LINES} of {} values", found.lines.len()), Role::Notice);
    }
    let line = |line: &BlameLine<'_>| blame_line(line, events, now, actor_columns(form.width), options);
    let lines = found.lines.iter().take(MAX_LINES).map(line).collect();
    Laid::new(heading, lines).marked(form.needles.as_deref(), &Found::default())
}

fn blame_line(
    line: &BlameLine<'_>,
    events: &[Event],
    now: Timestamp,
    columns: usize,
    options: &Options,
) -> Line {
    let (by, age, actor, role) = match line.origin {
        Origin::Event(place) => {
            let row = events.get(place).map(|e| &e.row);
            let time = row.map_or(now, |r| r.timestamp);
            let age = now.as_micros().saturating_sub(time.as_micros());
            let role = AGES.iter().find(|(limit, _)| age < *limit).map_or(Role::AgeOld, |(_, role)| *role);
            let actor = row.map_or("", |r| r.actor_email.as_deref().unwrap_or(&r.actor_id));
            (row, relative(time, now).trim_end_matches(" ago").to_owned(), actor, role)
        }
        // Set by nobody who left a trace: before the first event, or between two.
        Origin::Unknown { after, until } => {
            let when = if after.is_some() { "not recorded" } else { "before the trail" };
            (events.get(until).map(|e| &e.row), "?".to_owned(), when, Role::Notice)
        }
    };
    let path = line.path.strip_prefix('/').unwrap_or("(document)").replace('/', ".");
    // A container that cannot be read may have secrets in it; an empty one has none.
    let unread = line.path.is_empty() && line.value.len() > 2 && line.value.starts_with(['{', '[']);
    let (value, value_role) = if unread || options.rules.hides(&line.path, line.value) {
        (rows::masked(line.value), Role::Masked)
    } else {
        (line.value.chars().take(400).collect(), Role::Text)
    };
    let padded = |text: Safe, columns: usize| {
        let blanks = 1 + columns - text.width().min(columns);
        Safe::concat(&[&text, &Safe::composed(&" ".repeat(blanks))])
    };
    let pieces = vec![
        (padded(Safe::from_untrusted(&age).cut_middle(AGE), AGE), role),
        (padded(cut_actor(actor, columns), columns), role),
        (Safe::from_untrusted(&path), Role::Label),
        (Safe::literal(" "), Role::Text),
        (Safe::composed(&value), value_role),
    ];
    Line {
        left: Cell { pieces, ..Cell::default() },
        pointer: Some(Arc::from(line.path.as_str())),
        event: by.map(|row| Arc::new(row.key())),
        ..Line::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::app::fixtures::{BASE, PATHS as FORM, event_row, text};
    use crate::domain::Json;

    fn event(id: &str, seconds: i64, actor: &str, old: Option<&str>, new: Option<&str>) -> Event {
        let mut row = event_row(id, seconds);
        row.actor_email = None;
        row.actor_id = actor.to_owned();
        let state = |s: Option<&str>| s.map(Json::from_trusted);
        Event { row, previous_state: state(old), new_state: state(new) }
    }

    #[test]
    fn each_value_is_blamed_with_age_and_actor_and_leads_to_the_event() {
        let (a, b) = (r#"{"role": "viewer", "token": "s3cr3t"}"#, r#"{"role": "admin", "token": "s3cr3t"}"#);
        let events = [
            event("e1", 0, "alice", Some(r#"{"role": "none", "token": "s3cr3t"}"#), Some(a)),
            event("e2", 7_200, "bob", Some(a), Some(b)),
        ];
        let now = Timestamp::from_micros((BASE + 7_260) * 1_000_000);
        let laid = blame(&events, now, &FORM, &Options::default(), &|| false).unwrap();
        assert_eq!(text(&laid.heading), ["who last set each value · from 2 events"]);
        assert_eq!(
            text(&laid.lines),
            [
                "1 min       bob                 role \"admin\"",
                "?           before the trail    token ‹masked, 6 characters›"
            ]
        );
        assert_eq!(laid.lines[0].event.as_ref().unwrap().event_id, "e2");
    }
}
