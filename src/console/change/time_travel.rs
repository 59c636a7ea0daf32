//! Time travel: the state of a resource after one of its events, and a bar on which one goes through its versions. They
//! are fetched once; then each step is made from memory.

use crate::console::change::blame::{MAX_STORED, MAX_VERSIONS};
use crate::console::change::found::Found;
use crate::console::change::layout::{Cell, Form, Laid, Line, MAX_LINES, paragraph, wrapped};
use crate::console::core::failure::Failure;
use crate::console::widgets::theme::Role;
use crate::diff::chronicle::{Chronicle, Recorder, Span};
use crate::diff::history::{self, Known, Version};
use crate::diff::json::Limits;
use crate::diff::rows::{Row, View};
use crate::diff::writing::Writing;
use crate::diff::{Options, compare, tree};
use crate::domain::{EventKey, OrgScope, Safe, Timestamp};
use crate::store::ReadDb;
use crate::store::history::{Excerpt, Moment, Observed, Resource};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Bytes of text that are read for a chronicle: more are not worth the waiting, each state is fetched by itself then.
const MAX_TEXT: usize = 256 << 20;

/// Bytes of text that are fetched at once, about.
const BATCH_TEXT: usize = 8 << 20;

/// Beyond these, states are compared as text, and none is completed.
pub(crate) const LIMITS: Limits = Limits { bytes: 1 << 20, nodes: 100_000 };

/// Columns of the bar.
const BAR: usize = 120;

/// The versions of a resource; nothing where their states are too much to be kept.
///
/// # Errors
/// When they cannot be read.
pub(crate) async fn chronicle(
    db: &ReadDb,
    scope: &OrgScope,
    resource: &Resource,
    writing: Writing,
    cancel: &CancellationToken,
) -> Result<Option<Chronicle>, Failure> {
    let end = EventKey { timestamp: Timestamp::INFINITY, event_id: String::new() };
    let stored = crate::store::history::stored_bytes(db, scope, resource, &end, MAX_VERSIONS, cancel).await?;
    if stored > MAX_STORED {
        return Ok(None);
    }
    let mut recorder = Recorder::new(LIMITS);
    let (mut until, mut batch, mut read, mut text) = (None, 20, 0, 0);
    loop {
        // The oldest of the batch before comes once more.
        let again = u32::from(until.is_some());
        let mut events =
            crate::store::history::events(db, scope, resource, until.as_ref(), batch + again, cancel).await?;
        for event in &mut events {
            writing.complete_one(event, LIMITS);
        }
        let fresh = events.len().saturating_sub(again as usize);
        let recorded = events.iter().take(fresh).rev().try_for_each(|event| {
            let version = Version::from(event);
            text += [version.previous, version.new].into_iter().flatten().map(str::len).sum::<usize>();
            recorder.record(&version)
        });
        recorded.map_err(|e| Failure::because(&e.to_string()))?;
        read += fresh as u32;
        if text > MAX_TEXT {
            return Ok(None);
        }
        let (is_end, is_cut) = (fresh < batch as usize, read >= MAX_VERSIONS);
        if is_end || is_cut {
            return match recorder.finish(is_cut && !is_end) {
                Ok(chronicle) => Ok(Some(chronicle)),
                Err(error) => Err(Failure::because(&error.to_string())),
            };
        }
        until = events.first().map(|event| event.row.key());
        let average = (text / read.max(1) as usize).max(1);
        batch = ((BATCH_TEXT / average).clamp(1, 500) as u32).min(MAX_VERSIONS - read);
    }
}

/// The state after a version of a chronicle, with what is unknown of it, and its place among the others.
pub(crate) fn state_at(
    chronicle: &Chronicle,
    index: Option<usize>,
    form: &Form,
    options: &Options,
    elapsed: &dyn Fn() -> Duration,
) -> Laid {
    let mut heading = vec![bar(chronicle, index, form.width)];
    if chronicle.cut {
        heading.extend(paragraph("older versions were not read", Role::Notice, form.width));
    }
    let next = index.map_or(0, |index| index + 1);
    let states = index.map(|index| chronicle.states(index)).transpose();
    let (Ok(states), Ok(following)) = (states, chronicle.states(next)) else {
        heading.extend(paragraph(
            "the versions kept in memory are damaged: refresh reads them again",
            Role::Error,
            form.width,
        ));
        return Laid::new(heading, Vec::new());
    };
    let before = index.zip(states.as_ref()).and_then(|(index, states)| chronicle.version(index, states));
    let following = chronicle.version(next, &following);
    between(before.as_ref(), following.as_ref(), heading, form, options, elapsed)
}

/// The same from the database, where there is no chronicle.
pub(crate) fn state(moment: &Moment, form: &Form, options: &Options, elapsed: &dyn Fn() -> Duration) -> Laid {
    let width = form.width;
    let mut heading = vec![scrubber(moment.index, moment.total, width)];
    let sides = [&moment.version, &moment.next].into_iter().flatten();
    let in_part = |e: &&Excerpt| !e.is_whole();
    if sides.clone().flat_map(|o| [o.previous.as_ref(), o.new.as_ref()]).flatten().any(|e| in_part(&e)) {
        let text = "a state is too large to be shown here: agenttrace resource TYPE ID --at TIME";
        heading.extend(paragraph(text, Role::Notice, width));
        return Laid::new(heading, Vec::new());
    }
    let (before, following) = (moment.version.as_ref().map(seen), moment.next.as_ref().map(seen));
    between(before.as_ref(), following.as_ref(), heading, form, options, elapsed)
}

/// What is known between two versions that follow each other.
fn between(
    before: Option<&Version<'_>>,
    following: Option<&Version<'_>>,
    mut heading: Vec<Line>,
    form: &Form,
    options: &Options,
    elapsed: &dyn Fn() -> Duration,
) -> Laid {
    let width = form.width;
    let mut say = |text: &str, role| heading.extend(paragraph(text, role, width));
    let limits = Limits { bytes: options.budget.bytes, nodes: options.budget.nodes };
    let (known, unknown, confirmed) = history::state_between(before, following, limits);
    let text = match known {
        Known::Absent => {
            say("the resource does not exist", Role::Notice);
            return Laid::new(heading, Vec::new());
        }
        Known::Unknown => {
            say("unknown: no event recorded the state", Role::Notice);
            return Laid::new(heading, Vec::new());
        }
        Known::State(text) => text,
    };
    if confirmed {
        say("the next event saw it so", Role::Muted);
    } else if unknown.iter().any(String::is_empty) {
        say("? not confirmed: the next event starts from a different state", Role::Notice);
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
    Laid::new(heading, wrapped(&rows, width)).marked(form.needles.as_deref(), &Found::default())
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

/// `version 17 of 213 ├──┼┼─●┄┄┼─┤`: the versions in time, `┄` where the state is unknown.
fn bar(chronicle: &Chronicle, index: Option<usize>, width: usize) -> Line {
    let entries = chronicle.entries();
    let total = entries.len();
    let text = match index {
        _ if total == 0 => "no version".to_owned(),
        None => format!("before the first of {total} "),
        // As wide for each of them: the bar stands still.
        Some(index) => format!("version {:>1$} of {total} ", index + 1, total.to_string().len()),
    };
    let mut pieces = vec![(Safe::from_untrusted(&text), Role::Title)];
    let room = width.saturating_sub(text.len() + 1).min(BAR);
    let (Some(first), Some(last)) = (entries.first(), entries.last()) else {
        return Line { left: Cell { pieces, ..Cell::default() }, ..Line::default() };
    };
    let micros = |at: Timestamp| i128::from(at.as_micros());
    let length = (micros(last.timestamp) - micros(first.timestamp)).max(0);
    let column = |n: usize| -> usize {
        let last_column = room.saturating_sub(1) as i128;
        let at = entries.get(n).map_or(0, |e| micros(e.timestamp) - micros(first.timestamp));
        // All at once: one after the other.
        let (at, length) =
            if length == 0 { (n as i128, total.saturating_sub(1) as i128) } else { (at, length) };
        (at.clamp(0, length.max(1)) * last_column / length.max(1)) as usize
    };
    let mut cells = vec![("─", Role::Muted); room];
    for n in 0..total {
        let (here, next) = (column(n), if n + 1 < total { column(n + 1) } else { room });
        if entries.get(n).is_some_and(|e| e.until_next == Span::Unknown) {
            cells.get_mut(here + 1..next).unwrap_or_default().fill(("┄", Role::Notice));
        }
    }
    for n in 0..total {
        if let Some(cell) = cells.get_mut(column(n)) {
            *cell = ("┼", Role::Label);
        }
    }
    if let Some(cell) = index.and_then(|n| cells.get_mut(column(n))) {
        *cell = ("●", Role::Title);
    }
    for run in cells.chunk_by(|a, b| a.1 == b.1) {
        let strokes: String = run.iter().map(|(stroke, _)| *stroke).collect();
        pieces.push((Safe::from_untrusted(&strokes), run[0].1));
    }
    Line { left: Cell { pieces, ..Cell::default() }, ..Line::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::app::fixtures::{BASE, PATHS as FORM, event_row, text};
    use crate::diff::unhurried;

    /// Versions `seconds` after the first, each with the states it saw and left.
    fn chronicle(life: &[(i64, &str, Option<&str>, Option<&str>)]) -> Chronicle {
        let mut recorder = Recorder::new(Limits { bytes: 1 << 20, nodes: 1_000 });
        for (n, (seconds, action, previous, new)) in life.iter().enumerate().rev() {
            let timestamp = Timestamp::from_micros((BASE + seconds) * 1_000_000);
            let (event_id, actor_id) = (&format!("e{n}"), "a");
            recorder
                .record(&Version { event_id, timestamp, actor_id, action, previous: *previous, new: *new })
                .unwrap();
        }
        recorder.finish(false).unwrap()
    }

    #[test]
    fn one_goes_through_the_versions_from_memory() {
        let (a, b, c) = (r#"{"n": 0.1000}"#, r#"{"n": 1e400}"#, r#"{"n": 3}"#);
        let life = chronicle(&[
            (0, "create", None, Some(a)),
            (10, "update", Some(a), Some(b)),
            (40, "update", Some(c), Some(c)),
            (50, "delete", Some(c), None),
        ]);
        let shown = |index| {
            let laid = state_at(&life, index, &FORM, &Options::default(), &unhurried);
            let mut all = text(&laid.heading);
            all.extend(text(&laid.lines));
            all
        };
        assert_eq!(shown(None)[1..], ["the resource does not exist"]);
        assert!(shown(None)[0].starts_with("before the first of 4 ┼──"), "{}", shown(None)[0]);
        assert_eq!(shown(Some(0))[1..], ["the next event saw it so", "  {", "    \"n\": 0.1000", "  }"]);
        let second = shown(Some(1));
        assert!(second[0].contains("●┄┄┄") && second[1].starts_with("? changed"), "{second:?}");
        assert!(second.iter().any(|l| l == "?   \"n\": 1e400"), "{second:?}");
        assert_eq!(shown(Some(3))[1..], ["the resource does not exist"]);
        assert!(shown(Some(3))[0].ends_with('●'));
    }

    #[test]
    fn a_bar_fits_whatever_the_times() {
        let lives: [&[i64]; 5] = [&[], &[0], &[0, 0, 0], &[0, 1, 1_000_000_000], &[5, 3]];
        for times in lives {
            let life: Vec<_> = times.iter().map(|t| (*t, "update", None, Some("1"))).collect();
            let life = chronicle(&life);
            for width in 0..140 {
                for index in [None].into_iter().chain((0..life.len()).map(Some)) {
                    let line = bar(&life, index, width);
                    let columns: usize = line.left.pieces.iter().map(|(t, _)| t.width()).sum();
                    assert!(columns <= width.max(24), "{times:?} {width}");
                }
            }
        }
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
