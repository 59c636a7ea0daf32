//! Every view, in every state that hurts, at the sizes that people have: one snapshot a view.
//!
//! The tasks are answered as the executor would answer them, by what the state says; the view's own work only is left
//! running, or fails. So that a snapshot can be read, runs of lines in which nothing stands are one line of it.

use crate::chain::Content;
use crate::console::app::fixtures::{
    BASE, Desk, event_row, facts, glances, hostile, organization, text_of, trail,
};
use crate::console::app::message::{Effect, Outcome, Output, Task};
use crate::console::app::view::render;
use crate::console::case::task as case;
use crate::console::change::layout::States;
use crate::console::change::{blame, layout, task as change, time_travel};
use crate::console::connection::task as connection;
use crate::console::core::failure::Failure;
use crate::console::core::layout::Focus;
use crate::console::core::tasks::Slot;
use crate::console::event::{task as event, tree_task};
use crate::console::filter_bar::saved_task::Shelf;
use crate::console::filter_bar::task as filter_bar;
use crate::console::ghosts::task as ghosts;
use crate::console::integrity::row_marks::Mark;
use crate::console::integrity::task as integrity;
use crate::console::lineage::task as lineage;
use crate::console::report::dialog::Subject;
use crate::console::report::target::{self, Entry};
use crate::console::report::task as report;
use crate::console::restore::task as restore;
use crate::console::timeline::task as timeline;
use crate::console::timeline::task::Opened;
use crate::console::widgets::time_zone::Zone;
use crate::diff::rows::View;
use crate::diff::writing::Writing;
use crate::diff::{Options, unhurried};
use crate::domain::{Event, EventRow, Json, Safe, Timestamp};
use crate::export::pretty::{Limits, pretty};
use crate::export::report as lines;
use crate::filter::PartialSides;
use crate::investigation::casework::Fate;
use crate::store::Standing;
use crate::store::aggregate::histogram::{Bucket, Column, Histogram, Strip};
use crate::store::aggregate::summary::{By, Group, Summary};
use crate::store::cache::Answer;
use crate::store::history::{Excerpt, Moment, Observed};
use crate::store::query::{Count, Query};
use crate::verify::{Class, samples};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

const SIZES: [(u16, u16); 4] = [(40, 10), (80, 24), (120, 40), (200, 60)];

/// What the view has to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Empty,
    Loading,
    Failed,
    Long,
    Wide,
    Hostile,
}

impl State {
    const ALL: [Self; 6] = [Self::Empty, Self::Loading, Self::Failed, Self::Long, Self::Wide, Self::Hostile];
    /// Of a view that is there at once.
    const CONTENT: [Self; 3] = [Self::Long, Self::Wide, Self::Hostile];

    /// A text as names and values have it.
    fn word(self) -> &'static str {
        match self {
            Self::Wide => "日本語の名前👩‍👩‍👧❤️☎️e\u{301}\u{301}",
            Self::Hostile => "\u{1b}]52;c;AAAA\u{7}\u{202e}gpj.exe\u{200b}\n\u{9b}2J",
            Self::Long => {
                "a name that goes on and on, much longer than any column has room for, and then some"
            }
            _ => "alice",
        }
    }

    fn rows(self) -> Vec<EventRow> {
        match self {
            Self::Wide => trail().into_iter().map(wide).collect(),
            Self::Hostile => hostile(),
            _ => trail(),
        }
    }

    /// A state of an event: the more there is, the longer.
    fn json(self, version: u32) -> String {
        let number = if self == Self::Long { 120 } else { 3 };
        let mut fields: Vec<String> =
            (0..number).map(|n| format!("\"field_{n:03}\": \"{}\"", (n * version) % 7)).collect();
        fields.push(format!("\"roles\": [\"viewer\", \"v{version}\"]"));
        let escaped = serde_json::Value::from(self.word()).to_string();
        let escaped = escaped.trim_matches('"');
        fields.push(format!("\"{escaped}\": \"{escaped} {version}\""));
        format!("{{{}}}", fields.join(", "))
    }
}

fn wide(row: EventRow) -> EventRow {
    let word = State::Wide.word();
    EventRow {
        actor_email: Some(format!("{word}@例え.example")),
        actor_user_agent: Some(word.to_owned()),
        event_type: format!("{word}.updated"),
        resource_id: format!("{word}{}", row.event_id),
        session_id: Some(word.to_owned()),
        request_id: word.to_owned(),
        ..row
    }
}

/// A view: its name, the keys that lead to it from the timeline, the slot of its work, and the states it has.
struct Case {
    name: &'static str,
    keys: &'static str,
    own: Option<Slot>,
    states: &'static [State],
}

const fn view(name: &'static str, keys: &'static str, own: Slot) -> Case {
    Case { name, keys, own: Some(own), states: &State::ALL }
}

/// What is there at once, made of what is at hand.
const fn at_once(name: &'static str, keys: &'static str) -> Case {
    Case { name, keys, own: None, states: &State::CONTENT }
}

/// `⏎` is Enter, `^` before a letter the control key.
const VIEWS: [Case; 33] = [
    view("timeline", "", Slot::View),
    view("change", "3", Slot::Change),
    view("change_unified", "3d", Slot::Change),
    view("change_sides", "3zdd", Slot::Change),
    view("change_raw", "3dd", Slot::Change),
    view("blame", "3b", Slot::Change),
    view("state", "3@", Slot::Change),
    view("integrity", "4V", Slot::Scan),
    view("event", "5", Slot::Event),
    view("tree", "J", Slot::Tree),
    view("ghosts", "!o", Slot::Ghosts),
    view("findings", "VI", Slot::Scan),
    Case { name: "tasks", keys: "VK", own: Some(Slot::Scan), states: &[State::Empty, State::Loading] },
    view("case", "L", Slot::CaseFates),
    view("histogram", "i", Slot::Sheet),
    view("summary", "S", Slot::Sheet),
    view("plan", "X", Slot::Sheet),
    view("lineage", "pl", Slot::Lineage),
    view("organizations", "s", Slot::Organizations),
    view("saved_filters", "f^o", Slot::Shelf),
    at_once("filter", "fres:nothing/"),
    at_once("help", "?"),
    at_once("palette", ":e"),
    at_once("columns", ","),
    at_once("values", "p"),
    at_once("copy", "y"),
    at_once("export", " x"),
    at_once("export_file", "x⏎"),
    at_once("note", "c"),
    at_once("tags", "#"),
    at_once("verdict", "a"),
    at_once("time", "T"),
    at_once("leave", " q"),
];

/// The executor, as far as pictures need it.
struct Stand {
    state: State,
    own: Option<Slot>,
    desk: Desk,
}

impl Stand {
    fn new(case: &Case, state: State, (width, height): (u16, u16)) -> Self {
        let desk = Desk::sized(width, height, Some("acme"));
        let mut stand = Self { state, own: case.own, desk };
        stand.serve();
        let mut keys = case.keys.chars();
        while let Some(key) = keys.next() {
            match key {
                '⏎' => stand.desk.key(KeyCode::Enter),
                '^' => {
                    let control = KeyEvent::new(KeyCode::Char(keys.next().unwrap()), KeyModifiers::CONTROL);
                    stand.desk.say(crate::console::app::message::Event::Key(control))
                }
                key => stand.desk.keys(key.encode_utf8(&mut [0; 4])),
            };
            stand.serve();
        }
        // Until nothing more is asked for: what waits for rest, and what says that it takes long.
        for _ in 0..4 {
            stand.desk.wait(400);
            stand.serve();
        }
        stand
    }

    /// Ends all that was begun, and what follows from it.
    fn serve(&mut self) {
        loop {
            let begun: Vec<_> = self.desk.effects.drain(..).collect();
            let tasks = begun.into_iter().filter_map(|effect| match effect {
                Effect::Start(ticket, task) => Some((ticket, task)),
                _ => None,
            });
            let mut next = Vec::new();
            for (ticket, task) in tasks {
                if let Some(outcome) = self.outcome(task) {
                    self.desk.end(ticket, outcome);
                    next.append(&mut self.desk.effects);
                }
            }
            if next.is_empty() {
                return;
            }
            self.desk.effects = next;
        }
    }

    fn outcome(&self, task: Task) -> Option<Outcome> {
        let is_own = self.own == Some(task.slot());
        match self.state {
            State::Loading if is_own => None,
            State::Failed if is_own => {
                let text = "the query took longer than its limit of 30 s and was stopped · narrow the filter, or raise \
                            the limit with --statement-timeout";
                Some(Outcome::Failed(Failure { text: Safe::literal(text), ..Failure::default() }))
            }
            _ => self.output(task, is_own && self.state == State::Empty).map(Outcome::Done),
        }
    }

    /// What a task brings; `empty` where it finds nothing.
    fn output(&self, task: Task, empty: bool) -> Option<Output> {
        Some(match task {
            Task::Connection(connection::Task::Connect(_)) => {
                connection::Output::Connect(facts(Standing::Primary)).into()
            }
            Task::Connection(connection::Task::Pulse()) => connection::Output::Pulse(None).into(),
            Task::Connection(connection::Task::Organizations()) => {
                let word: String = self.state.word().chars().take(40).collect();
                let names = ["acme", "globex", &word];
                let list = names.iter().filter(|_| !empty).map(|name| organization(name)).collect();
                connection::Output::Organizations((list, u64::from(self.state == State::Hostile))).into()
            }
            Task::Timeline(task) => self.timeline(task, empty)?.into(),
            Task::Event(event::Task::Load(_, key, _)) => {
                event::Output::Load(self.detail(&key.event_id).filter(|_| !empty).map(Box::new)).into()
            }
            Task::Event(event::Task::Tree(_, key)) => {
                let built = || {
                    let detail = self.detail(&key.event_id)?;
                    let observed = Observed {
                        row: detail.row,
                        previous: detail.states.old.as_deref().cloned(),
                        new: detail.states.new.as_deref().cloned(),
                    };
                    Some(Box::new((tree_task::build(&observed).ok()?, View::default())))
                };
                event::Output::Tree(if empty { None } else { built() }).into()
            }
            Task::Change(task) => self.change(task, empty)?.into(),
            Task::Integrity(task) => self.integrity(task, empty)?.into(),
            Task::Ghosts(ghosts::Task::Search(_)) => {
                let times: Vec<i64> = (0..if empty { 0 } else { 70 }).map(|n| BASE - n * 977).collect();
                let mut found = crate::console::ghosts::pane::tests::found(&times);
                for ghost in found.types.iter_mut().flat_map(|kind| &mut kind.ghosts) {
                    ghost.resource_id.push_str(self.state.word());
                }
                ghosts::Output::Search(Box::new(found)).into()
            }
            Task::Case(case::Task::Open(..)) => {
                let records = if self.own == Some(Slot::CaseFates) && self.state == State::Empty {
                    Vec::new()
                } else {
                    crate::console::case::update::tests::records(self.state.word())
                };
                case::Output::Open(crate::console::case::update::tests::opened(records)).into()
            }
            Task::Case(case::Task::Look(_, entries)) => {
                let ids = entries.iter().map(|entry| entry.event.event_id.clone());
                let fate = |id: String| (id.clone(), Fate::Present(Box::new(event_row(&id, 0))));
                case::Output::Look(ids.map(fate).collect()).into()
            }
            Task::Report(report::Task::Sheet(query, subject, page, _)) => {
                let value = if empty { Vec::new() } else { self.sheet(&query, subject, page) };
                report::Output::Sheet(Answer { value, since: None, trouble: None }).into()
            }
            Task::Lineage(lineage::Task::Follow(..)) => {
                let found = crate::console::lineage::update::tests::lineage(if empty { 0 } else { 9 });
                lineage::Output::Follow(Box::new(found)).into()
            }
            Task::FilterBar(filter_bar::Task::Shelf(..)) => {
                let saved = |n: u32| crate::case::saved::Saved {
                    name: format!("filter-{n}"),
                    filter: format!("actor:\"{}\"", self.state.word()),
                };
                let saved = if empty { Vec::new() } else { (0..30).map(saved).collect() };
                filter_bar::Output::Shelf(Shelf { recent: Vec::new(), saved }).into()
            }
            Task::FilterBar(filter_bar::Task::Values(_, field, prefix)) => {
                filter_bar::Output::Values((field, prefix, vec![self.state.word().to_owned()])).into()
            }
            Task::Restore(restore::Task::Last()) => restore::Output::Last(None).into(),
            Task::Restore(restore::Task::Keep(..)) => restore::Output::Keep(()).into(),
            Task::Event(_) | Task::Case(case::Task::Write(_)) | Task::Export(_) | Task::FilterBar(_) => {
                return None;
            }
        })
    }

    /// The lines of a sheet, laid out as they are for the screen.
    fn sheet(&self, query: &Query, subject: Subject, (width, zone): (usize, Zone)) -> Vec<Entry> {
        match subject {
            Subject::Plan => {
                Entry::plain([lines::Line::text("good  an index"), lines::Line::text(self.state.word())])
                    .collect()
            }
            Subject::Histogram => {
                let bucket = |n: u64| Bucket {
                    start: Timestamp::from_micros((BASE - 86_400 * (60 - n as i64)) * 1_000_000),
                    events: n * n * 31 % 1_000,
                    warning: n * n * 31 % 1_000 / 10,
                    critical: u64::from(n % 20 == 7),
                };
                let value = Histogram { seconds: 86_400, buckets: (0..60).map(bucket).collect() };
                let heads = |at, _| zone.minute(at);
                let drawn = lines::histogram(&value, Some(width), &heads).into_iter();
                let targets = std::iter::once(None).chain(target::times(&value, query.range));
                drawn.zip(targets).map(|(line, target)| Entry { line, target }).collect()
            }
            Subject::Summary => {
                let group = |n: u64| Group {
                    keys: vec![Some(format!("{}-{n}", self.state.word()))],
                    events: 10_000 / n,
                    actors: None,
                    times: None,
                };
                let groups: Vec<Group> = (1..30).map(group).collect();
                let value = Summary { groups, all_groups: 31, events: 54_000, view_until: None };
                let targets = value.groups.iter().map(|g| target::value(By::Actor, g.keys[0].as_deref()));
                let targets = std::iter::once(None).chain(targets);
                let drawn = lines::totals(&[By::Actor], &value, false, Some(width)).into_iter();
                drawn.zip(targets).map(|(line, target)| Entry { line, target }).collect()
            }
        }
    }

    fn timeline(&self, task: timeline::Task, empty: bool) -> Option<timeline::Output> {
        Some(match task {
            timeline::Task::Open(asked, landing) => {
                let rows = if empty { Vec::new() } else { self.state.rows() };
                let newest = event_row("newest", 0).timestamp;
                let range = asked.filter.range(asked.now, Some(newest), asked.window).unwrap();
                timeline::Output::Open(Box::new(Opened {
                    landing,
                    range,
                    sides: PartialSides::default(),
                    has_newer: false,
                    has_older: self.state == State::Long,
                    rows,
                    looked: None,
                    selected: 0,
                    newest: Some(newest),
                    nearest_older: Some(Timestamp::from_micros((BASE - 170 * 86_400) * 1_000_000)),
                    took: Duration::from_micros(3_200),
                }))
            }
            timeline::Task::Estimate(_) => timeline::Output::Estimate(Count::Estimate(1_204_000)),
            timeline::Task::AccessPath(..) => {
                timeline::Output::AccessPath("idx_audit_org_timestamp".to_owned())
            }
            timeline::Task::Strip(_, columns) if !empty => {
                let column = |n: u32| Column {
                    events: u64::from(n * 7 % 50),
                    warning: u64::from(n % 9),
                    critical: u64::from(n % 11 == 3),
                };
                let first = Timestamp::from_micros((BASE - 90 * 86_400) * 1_000_000);
                let micros = 90 * 86_400_000_000 / i64::from(columns);
                timeline::Output::Strip(Some(Strip {
                    first,
                    micros,
                    columns: (0..columns).map(column).collect(),
                }))
            }
            timeline::Task::Strip(..) => timeline::Output::Strip(None),
            timeline::Task::New(_) => timeline::Output::New(Count::Exact(3)),
            timeline::Task::KeepColumns(_) => timeline::Output::KeepColumns(()),
            timeline::Task::Older(..)
            | timeline::Task::Newer(..)
            | timeline::Task::Count(..)
            | timeline::Task::Find(..)
            | timeline::Task::FindGap(..) => return None,
        })
    }

    fn states(&self) -> States {
        let whole = |version| {
            let text = self.state.json(version);
            Arc::new(Excerpt { bytes: text.len() as u64, text: text.into(), sha256: None })
        };
        States { old: Some(whole(1)), new: Some(whole(2)), writing: Writing::Full }
    }

    fn detail(&self, id: &str) -> Option<event::Detail> {
        let row = self.state.rows().into_iter().find(|row| row.event_id == id)?;
        let states = self.states();
        let lines = |state: &Option<Arc<Excerpt>>| state.as_ref().map(|s| pretty(&s.text, Limits::SCREEN));
        let (previous_state, new_state) = (lines(&states.old), lines(&states.new));
        Some(event::Detail { row, states, previous_state, new_state })
    }

    fn change(&self, task: change::Task, empty: bool) -> Option<change::Output> {
        let options = Options::default();
        let states = self.states();
        Some(match task {
            change::Task::Compare(asked, form) => {
                let nothing = States { old: None, new: None, ..asked.clone() };
                let shown = if empty { &nothing } else { &asked };
                change::Output::Compare(layout::lay_out(shown, &form, &options, &unhurried))
            }
            change::Task::Blame(life, form) => {
                let event = |version: u32| Event {
                    row: event_row("e", i64::from(version) * 900 - 90_000),
                    previous_state: Some(Json::from_trusted(self.state.json(version))),
                    new_state: Some(Json::from_trusted(self.state.json(version + 1))),
                };
                let events: Vec<Event> = (0..if empty { 0 } else { 3 }).map(event).collect();
                change::Output::Blame(blame::blame(&events, life.now, &form, &options, &|| false).ok()?)
            }
            change::Task::State(life, form) => {
                let observed = |version| Observed {
                    row: event_row(&life.event.event_id, version),
                    previous: states.old.as_deref().cloned(),
                    new: states.new.as_deref().cloned(),
                };
                let moment = if empty {
                    Moment { version: None, next: None, index: 0, total: 0 }
                } else {
                    Moment { version: Some(observed(0)), next: Some(observed(60)), index: 3, total: 50 }
                };
                change::Output::State(time_travel::state(&moment, &form, &options, &unhurried))
            }
            // Too many versions to keep: each is asked for.
            change::Task::Chronicle(_, resource) => change::Output::Chronicle((resource, None)),
            change::Task::StateAt(..) | change::Task::Version(_) | change::Task::Marked(..) => return None,
        })
    }

    fn integrity(&self, task: integrity::Task, empty: bool) -> Option<integrity::Output> {
        Some(match task {
            integrity::Task::Glance(look) => {
                integrity::Output::Glance(Box::new(glances(&look.rows, Mark::Verified)))
            }
            integrity::Task::VerifyEvent(..) => {
                let row = self.desk.model.timeline.row().map(|row| row.event.clone());
                let report =
                    row.map(|row| crate::console::integrity::pane::tests::report_of(&row, Content::Verified));
                integrity::Output::VerifyEvent(report)
            }
            integrity::Task::VerifyTrail(_) => {
                let classes: &[Class] = if empty {
                    &[]
                } else {
                    &[Class::ContentMismatch, Class::ContentMismatch, Class::Fork, Class::PinMissing]
                };
                let mut found = samples::report(classes);
                found.organization_id = "acme".to_owned();
                found.snapshot_at = Timestamp::from_micros(BASE * 1_000_000).to_rfc3339();
                found.limits = vec![crate::verify::ROWS_ALONE.to_owned()];
                for (n, finding) in found.findings.iter_mut().enumerate() {
                    finding.event_id = format!("evt-{:06}{}", 900_000 - n, self.state.word());
                    finding.timestamp = Timestamp::from_micros((BASE - n as i64) * 1_000_000).to_rfc3339();
                    finding.detail =
                        format!("the stored hash is not that of the row: {}", self.state.word()).into();
                    finding.consistent_with = vec!["an edit of the row after it was written".into()];
                }
                integrity::Output::VerifyTrail(Box::new(found))
            }
            integrity::Task::CompareHeads(scope, _) => {
                integrity::Output::CompareHeads((scope.organization().clone(), Box::default()))
            }
            integrity::Task::Accept(_) => return None,
        })
    }
}

/// The screen; where it is large, only what belongs to the view: its dialog, its pane.
fn picture(desk: &Desk) -> String {
    let (width, height) = desk.model.size;
    let mut buffer = Buffer::empty(Rect { x: 0, y: 0, width, height });
    render(&desk.model, &mut buffer);
    if width <= 80 {
        return text_of(&buffer);
    }
    let corner = |sign: &str| {
        buffer.content().iter().position(|cell| cell.symbol() == sign).map(|at| buffer.pos_of(at))
    };
    let pane = desk.model.areas().of(desk.model.focus);
    let area = match (&desk.model.overlay, corner("┏"), corner("┛")) {
        (Some(_), Some((x, y)), Some((right, below))) => {
            Rect { x, y, width: right + 1 - x, height: below + 1 - y }
        }
        _ if desk.model.page.is_some() || desk.model.focus == Focus::Timeline => buffer.area,
        _ => pane.unwrap_or(buffer.area),
    };
    let mut cut = Buffer::empty(area);
    for position in area.positions() {
        cut[position] = buffer[position].clone();
    }
    text_of(&cut)
}

/// Lines of a picture at its beginning, and at its end: of a long list those between are not shown.
const KEPT: (usize, usize) = (20, 8);

/// A picture in which runs of lines that say nothing are one line.
fn compact(screen: &str) -> String {
    let says = |line: &str| line.chars().any(|c| !matches!(c, ' ' | '│' | '┃'));
    let lines: Vec<&str> = screen.lines().collect();
    let mut out: Vec<String> = Vec::new();
    for run in lines.chunk_by(|a, b| !says(a) && !says(b)) {
        if run.len() > 2 {
            out.push(format!("⋮ {} lines", run.len()));
        } else {
            out.extend(run.iter().map(|line| (*line).to_owned()));
        }
    }
    let (first, last) = KEPT;
    if out.len() > first + last + 2 {
        let left_out = first..out.len() - last;
        let text = format!("⋮ {} lines more", left_out.len());
        out.splice(left_out, [text]);
    }
    out.iter().map(|line| format!("{line}\n")).collect()
}

#[test]
fn every_view_in_every_state_at_every_size() {
    for case in &VIEWS {
        let mut pictures = String::new();
        for state in case.states {
            for size in SIZES {
                let stand = Stand::new(case, *state, size);
                let _ = writeln!(pictures, "──── {state:?} {}×{} ────", size.0, size.1);
                pictures.push_str(&compact(&picture(&stand.desk)));
            }
        }
        insta::with_settings!({ snapshot_path => "snapshots/views", prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!(case.name, pictures);
        });
    }
}

#[test]
fn under_the_mask_no_view_shows_an_address() {
    // Parts of the addresses of the trail that no other text of the screen has.
    let parts = ["lice", "axim", "feath", "erston", "haugh", "@acme", ".example", "192.", "0.2.17"];
    for case in &VIEWS {
        for size in SIZES {
            let mut stand = Stand::new(case, State::Long, size);
            let seen = stand.desk.screen();
            stand.desk.model.masked = true;
            let screen = stand.desk.screen();
            for part in parts {
                assert!(!screen.contains(part), "{} at {size:?} shows {part}:\n{screen}", case.name);
            }
            let is_full = stand.desk.model.overlay.is_some() || stand.desk.model.page.is_some();
            assert!(is_full || size.0 == 40 || screen.contains(" MASKED "), "{screen}");
            // Nothing has moved but in the first line, and where this sign stands.
            let alike = |a: &str, b: &str| {
                unicode_width::UnicodeWidthStr::width(a.trim_end())
                    == unicode_width::UnicodeWidthStr::width(b.trim_end())
            };
            let moved = seen.lines().zip(screen.lines()).skip(1).find(|(a, b)| !alike(a, b));
            assert_eq!(moved, None, "{} at {size:?}", case.name);
        }
    }
}
