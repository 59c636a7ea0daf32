//! The life of a resource in the pane: who last set each value, and the state after an event. Fetched and laid out by
//! the executor.

use super::change::{Cell, Form, Laid, Line, MAX_LINES, paragraph, wrapped};
use super::msg::Failure;
use super::theme::Role;
use super::zone::relative;
use crate::diff::history::{self, Blame, BlameError, BlameLine, Known, Origin, Version};
use crate::diff::json::Limits;
use crate::diff::rows::{self, Row, View};
use crate::diff::{Options, compare, tree};
use crate::domain::{Event, EventKey, OrgScope, Safe, Timestamp};
use crate::store::ReadDb;
use crate::store::history::{Excerpt, Moment, Observed, Resource};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Most versions that blame goes back.
const MAX_VERSIONS: u32 = 5_000;

/// Bytes of states, as stored, that blame reads without being asked twice.
const MAX_STORED: u64 = 64 << 20;

/// A day and a month in microseconds: ages have three colours.
const AGES: [(i64, Role); 2] = [(86_400_000_000, Role::AgeNew), (30 * 86_400_000_000, Role::AgeRecent)];

/// Columns of ages and of actors.
const AGE: usize = 11;
const ACTOR: usize = 16;

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
/// When a state cannot be read, or `stop` said so.
pub(crate) fn blame(
    events: &[Event],
    now: Timestamp,
    form: &Form,
    options: &Options,
    stop: &dyn Fn() -> bool,
) -> Result<Laid, Failure> {
    let versions: Vec<Version<'_>> = events.iter().map(Version::from).collect();
    let limits = Limits { bytes: 16 << 20, nodes: 1_000_000 };
    let found = history::blame(&versions, limits, stop).map_err(|e| match e {
        BlameError::Stopped => Failure { cancelled: true, ..Failure::default() },
        BlameError::State { .. } => Failure::because(&e.to_string()),
    })?;
    Ok(laid(&found, events, now, form, options))
}

fn laid(found: &Blame<'_>, events: &[Event], now: Timestamp, form: &Form, options: &Options) -> Laid {
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
    match (found.lines.is_empty(), found.version) {
        (true, Some(_)) => say("the resource is gone", Role::Notice),
        (true, None) => say("no event recorded a state", Role::Notice),
        _ => {}
    }
    if found.lines.len() > MAX_LINES {
        say(&format!("the first {MAX_LINES} of {} values", found.lines.len()), Role::Notice);
    }
    let line = |line: &BlameLine<'_>| blame_line(line, events, now, options);
    Laid { heading, lines: found.lines.iter().take(MAX_LINES).map(line).collect() }
}

fn blame_line(line: &BlameLine<'_>, events: &[Event], now: Timestamp, options: &Options) -> Line {
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
    let (value, value_role) = if options.rules.hides(&line.path, line.value) {
        (rows::masked(line.value), Role::Masked)
    } else {
        (line.value.chars().take(400).collect(), Role::Text)
    };
    let padded = |text: &str, columns: usize| {
        let text = Safe::from_untrusted(text).cut_middle(columns);
        Safe::from_untrusted(&format!("{text}{:blanks$} ", "", blanks = columns - text.width().min(columns)))
    };
    let pieces = vec![
        (padded(&age, AGE), role),
        (padded(actor, ACTOR), role),
        (Safe::from_untrusted(&path), Role::Label),
        (Safe::literal(" "), Role::Text),
        (Safe::from_untrusted(&value), value_role),
    ];
    Line {
        left: Cell { pieces, ..Cell::default() },
        pointer: Some(Arc::from(line.path.as_str())),
        event: by.map(|row| Arc::new(row.key())),
        ..Line::default()
    }
}

/// The state after an event, with what is unknown of it, and its place among the versions.
pub(crate) fn state(moment: &Moment, form: &Form, options: &Options, elapsed: &dyn Fn() -> Duration) -> Laid {
    let width = form.width;
    let mut heading = vec![scrubber(moment.index, moment.total, width)];
    let mut say = |text: &str, role| heading.extend(paragraph(text, role, width));
    let sides = [&moment.version, &moment.next].into_iter().flatten();
    let in_part = |e: &&Excerpt| !e.is_whole();
    if sides.clone().flat_map(|o| [o.previous.as_ref(), o.new.as_ref()]).flatten().any(|e| in_part(&e)) {
        say("a state is too large to be shown here: agenttrace resource TYPE ID --at TIME", Role::Notice);
        return Laid { heading, lines: Vec::new() };
    }
    let (before, following) = (moment.version.as_ref().map(seen), moment.next.as_ref().map(seen));
    let limits = Limits { bytes: options.budget.bytes, nodes: options.budget.nodes };
    let (known, unknown, confirmed) = history::state_between(before.as_ref(), following.as_ref(), limits);
    let text = match known {
        Known::Absent => {
            say("the resource does not exist", Role::Notice);
            return Laid { heading, lines: Vec::new() };
        }
        Known::Unknown => {
            say("unknown: no event recorded the state", Role::Notice);
            return Laid { heading, lines: Vec::new() };
        }
        Known::State(text) => text,
    };
    if confirmed {
        say("the next event saw it so", Role::Muted);
    } else if unknown.iter().any(String::is_empty) {
        say("? the next event saw something else altogether", Role::Notice);
    } else if !unknown.is_empty() {
        say("? changed without an event before the next one", Role::Notice);
    }
    let compared = compare(Some(text), Some(text), options, elapsed);
    let view =
        View { width, rules: options.rules.clone(), unfold_all: true, limit: MAX_LINES, ..View::default() };
    let mut rows: Vec<Row> = tree::unified(&compared, &view);
    for row in &mut rows {
        let inside = |p: &&String| !p.is_empty() && row.pointer.as_deref().is_some_and(|at| is_below(at, p));
        if unknown.iter().any(|p| inside(&p)) {
            row.mark = '?';
        }
    }
    Laid { heading, lines: wrapped(&rows, width) }
}

fn seen(event: &Observed) -> Version<'_> {
    Version {
        event_id: &event.row.event_id,
        timestamp: event.row.timestamp,
        actor_id: &event.row.actor_id,
        action: &event.row.action,
        previous: event.previous.as_ref().map(|s| &*s.text),
        new: event.new.as_ref().map(|s| &*s.text),
    }
}

fn is_below(pointer: &str, of: &str) -> bool {
    pointer.strip_prefix(of).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// `version 17 of 213 ━━━●──────────`
fn scrubber(index: u64, total: u64, width: usize) -> Line {
    if index == 0 {
        let text = if total == 0 { "no version".to_owned() } else { format!("before the first of {total}") };
        return paragraph(&text, Role::Title, usize::MAX).pop().unwrap_or_default();
    }
    let text = format!("version {index} of {total} ");
    let room = width.saturating_sub(text.len() + 1).min(60);
    let share = if total > 1 { (index - 1) as f64 / (total - 1) as f64 } else { 1.0 };
    let done = (share * room.saturating_sub(1) as f64).round() as usize;
    let bar = |stroke: &str, n: usize| Safe::from_untrusted(&stroke.repeat(n));
    let rest = room.saturating_sub(done + 1);
    let pieces = vec![
        (Safe::from_untrusted(&text), Role::Title),
        (bar("━", done), Role::Label),
        (bar("●", usize::from(room > 0)), Role::Title),
        (bar("─", rest), Role::Muted),
    ];
    Line { left: Cell { pieces, ..Cell::default() }, ..Line::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::change::Layout;
    use crate::console::fixtures::{BASE, event_row};
    use crate::diff::unhurried;
    use crate::domain::Json;
    use std::collections::BTreeSet;

    const FORM: Form = Form { layout: Layout::Paths, width: 78, unfolded: BTreeSet::new() };

    fn text(lines: &[Line]) -> Vec<String> {
        let line = |l: &Line| {
            let mark = l.left.mark.as_ref().map_or("", |(m, _)| m.as_str());
            let text: String = l.left.pieces.iter().map(|(t, _)| t.as_str()).collect();
            format!("{mark:indent$}{text}", indent = l.left.indent).trim_end().to_owned()
        };
        lines.iter().map(line).collect()
    }

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
                "1 min       bob              role \"admin\"",
                "?           before the trail token ‹masked, 6 characters›"
            ]
        );
        assert_eq!(laid.lines[0].event.as_ref().unwrap().event_id, "e2");
    }

    #[test]
    fn of_a_state_the_unknown_parts_are_marked() {
        let whole = |t: &str| Some(Excerpt { text: t.into(), bytes: t.len() as u64, sha256: None });
        let observed = |id, old, new| Observed { row: event_row(id, 0), previous: old, new };
        let mut moment = Moment {
            version: Some(observed("e1", None, whole(r#"{"a": 1, "b": [1]}"#))),
            next: Some(observed("e2", whole(r#"{"a": 1, "b": [2]}"#), None)),
            index: 2,
            total: 3,
        };
        let shown = |moment: &Moment| {
            let laid = state(moment, &FORM, &Options::default(), &unhurried);
            (text(&laid.heading), text(&laid.lines))
        };
        let (heading, lines) = shown(&moment);
        assert!(heading[0].starts_with("version 2 of 3 ━") && heading[0].contains('●'), "{heading:?}");
        assert_eq!(heading[1], "? changed without an event before the next one");
        assert!(lines.contains(&"    \"a\": 1".to_owned()), "{lines:?}");
        assert!(lines.iter().any(|l| l.starts_with('?')), "{lines:?}");
        moment.version = None;
        moment.index = 0;
        let (heading, lines) = shown(&moment);
        assert_eq!(heading, ["before the first of 3", "unknown: no event recorded the state"]);
        assert!(lines.is_empty());
    }

    #[test]
    fn a_scrubber_fits_and_ends_at_its_ends() {
        for width in 0..100 {
            for (index, total) in [(0, 0), (1, 1), (1, 9), (5, 9), (9, 9)] {
                let line = scrubber(index, total, width);
                let columns: usize = line.left.pieces.iter().map(|(t, _)| t.width()).sum();
                assert!(columns <= width.max(21), "{width} {index} {total}");
            }
        }
        assert!(text(&[scrubber(9, 9, 60)])[0].ends_with('●'));
        assert!(text(&[scrubber(1, 9, 60)])[0].contains("9 ●"));
    }
}
