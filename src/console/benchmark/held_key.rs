//! A key that is held on a distant database: every answer takes its time, and the clock is that of the console, not a real
//! one. What goes to the terminal is written as it is for a real one.

use super::{first_facts, opened};
use crate::chain::Scheme;
use crate::console::app::message::{Effect, Effects, Event, Msg, Outcome, Output, Task};
use crate::console::app::model::Model;
use crate::console::app::update::{start, update};
use crate::console::change::layout::{self, States};
use crate::console::change::task as change;
use crate::console::connection::task as connection;
use crate::console::core::clock::Moment;
use crate::console::core::tasks::Ticket;
use crate::console::event::task as event;
use crate::console::event::task::Detail;
use crate::console::integrity::row_marks::{Glance, Glances, Mark};
use crate::console::integrity::task as integrity;
use crate::console::runtime::frames::Frames;
use crate::console::timeline::task as timeline;
use crate::console::timeline::task::More;
use crate::console::timeline::window::PAGE;
use crate::diff::writing::Writing;
use crate::diff::{Options, unhurried};
use crate::domain::{EventRow, Timestamp};
use crate::error::Result;
use crate::store::aggregate::histogram::{Column, Strip};
use crate::store::history::Excerpt;
use crate::store::query::Count;
use crate::store::scan::Catalogue;
use crate::verify::{Detected, SchemeUsed};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// The time of an answer.
const LATENCY: Duration = Duration::from_millis(120);

/// Time between two keys of one that is held.
const REPEAT: Duration = Duration::from_millis(33);

/// What came of it.
#[derive(Debug)]
pub struct Held {
    /// Bytes of the frame after each key.
    pub frames: Vec<usize>,
    /// Keys after which the cursor stood where it was.
    pub waits: usize,
}

/// Holds the key that goes to the next older event until it came so often.
///
/// # Errors
/// When a frame cannot be written.
pub(super) fn hold(model: Model, options: &Options, keys: usize) -> Result<Held> {
    let written = Arc::new(AtomicUsize::new(0));
    let mut line = Line {
        rows: rows(model.at.wall),
        wall: model.at.wall,
        model,
        options,
        clock: Duration::ZERO,
        answers: VecDeque::new(),
        frames: Frames::new(Counter(Arc::clone(&written))),
    };
    let effects = start(&mut line.model);
    line.send(effects);
    line.until(Duration::from_secs(3))?;
    let mut held = Held { frames: Vec::with_capacity(keys), waits: 0 };
    for _ in 0..keys {
        let before = line.model.timeline.key();
        line.say(Event::Key(KeyEvent::new(KeyCode::Char('j'), KeyModifiers::NONE)));
        held.waits += usize::from(line.model.timeline.key() == before);
        written.store(0, Ordering::Relaxed);
        line.draw()?;
        held.frames.push(written.load(Ordering::Relaxed));
        line.until(line.clock + REPEAT)?;
    }
    Ok(held)
}

/// Counts what is written.
#[derive(Debug)]
struct Counter(Arc<AtomicUsize>);

impl io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.fetch_add(bytes.len(), Ordering::Relaxed);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The console, and the answers that are on their way to it.
struct Line<'a> {
    model: Model,
    rows: Vec<EventRow>,
    wall: Timestamp,
    options: &'a Options,
    clock: Duration,
    answers: VecDeque<(Duration, Ticket, Output)>,
    frames: Frames<Counter>,
}

impl Line<'_> {
    fn say(&mut self, event: Event) {
        let at = Moment { wall: self.wall, clock: self.clock };
        let effects = update(&mut self.model, Msg { at, event });
        self.send(effects);
    }

    /// Sends the questions off.
    fn send(&mut self, effects: Effects) {
        for effect in effects {
            if let Effect::Start(ticket, task) = effect
                && let Some(output) = self.answer(task)
            {
                self.answers.push_back((self.clock + LATENCY, ticket, output));
            }
        }
    }

    /// Goes on to a time: answers arrive, what is due is done, each with its frame.
    fn until(&mut self, end: Duration) -> Result<()> {
        loop {
            let wake = self.model.next_wake().max(self.clock + Duration::from_millis(1));
            let arrival = self.answers.front().map_or(Duration::MAX, |(at, ..)| *at);
            let next = wake.min(arrival);
            if next > end {
                self.clock = end;
                return Ok(());
            }
            self.clock = next;
            let answer = if arrival <= wake { self.answers.pop_front() } else { None };
            match answer {
                Some((_, ticket, output)) => self.say(Event::Ended(ticket, Outcome::Done(output))),
                None => self.say(Event::Tick),
            }
            self.draw()?;
        }
    }

    fn draw(&mut self) -> Result<()> {
        if std::mem::take(&mut self.model.dirty) {
            self.frames.draw(&self.model)?;
        }
        Ok(())
    }

    /// What the database says; `None` for what nobody waits for here.
    fn answer(&self, task: Task) -> Option<Output> {
        Some(match task {
            Task::Connection(connection::Task::Connect(_)) => {
                Output::Connection(connection::Output::Connect(first_facts()))
            }
            Task::Connection(connection::Task::Pulse()) => {
                Output::Connection(connection::Output::Pulse(None))
            }
            Task::Timeline(task) => Output::Timeline(self.page(task)?),
            Task::Integrity(integrity::Task::Glance(look)) => {
                let seen =
                    look.rows.iter().map(|row| (row.event_id.clone(), Glance::of(row, Mark::Verified, "")));
                let used = SchemeUsed { name: Scheme::V1.name(), guessed: false, confidence: 1.0 };
                Output::Integrity(integrity::Output::Glance(Box::new(Glances {
                    detected: Detected { scheme: Scheme::V1, used, rows: 100 },
                    seen: seen.collect(),
                    changed: Vec::new(),
                    thorough: look.thorough,
                    catalogue: Catalogue::default(),
                })))
            }
            Task::Event(event::Task::Load(_, key, _)) => {
                let row = self.rows.iter().find(|row| row.key() == key)?.clone();
                let state = |text: String| {
                    Some(Arc::new(Excerpt { bytes: text.len() as u64, text: text.into(), sha256: None }))
                };
                let old = format!(r#"{{"id": "{}", "status": "open", "n": 1}}"#, row.resource_id);
                let new = format!(r#"{{"id": "{}", "status": "closed", "n": 2}}"#, row.resource_id);
                let states = States { old: state(old), new: state(new), writing: Writing::Full };
                let detail = Detail { row, states, previous_state: None, new_state: None };
                Output::Event(event::Output::Load(Some(Box::new(detail))))
            }
            Task::Change(change::Task::Compare(states, form)) => Output::Change(change::Output::Compare(
                layout::lay_out(&states, &form, self.options, &unhurried),
            )),
            _ => return None,
        })
    }

    fn page(&self, task: timeline::Task) -> Option<timeline::Output> {
        Some(match task {
            timeline::Task::Open(_, landing) => {
                let rows = self.rows.iter().take(PAGE).cloned().collect();
                timeline::Output::Open(Box::new(opened(landing, rows, true)))
            }
            timeline::Task::Older(_, key) => {
                let from = self.rows.iter().position(|row| row.key() == key)? + 1;
                let rows: Vec<EventRow> = self.rows.iter().skip(from).take(PAGE).cloned().collect();
                let goes_on = from + rows.len() < self.rows.len();
                timeline::Output::Older(More { rows, goes_on, looked: None, took: LATENCY })
            }
            timeline::Task::Estimate(_) => {
                timeline::Output::Estimate(Count::Estimate(self.rows.len() as u64))
            }
            timeline::Task::AccessPath(..) => timeline::Output::AccessPath("index".to_owned()),
            timeline::Task::Strip(_, columns) => {
                let column = |n: u32| Column {
                    events: u64::from(n * 7 % 40),
                    warning: 0,
                    critical: u64::from(n.is_multiple_of(9)),
                };
                let micros = (self.rows.len() as i64 * SECONDS * 1_000_000) / i64::from(columns.max(1));
                let first = self.rows.last()?.timestamp;
                timeline::Output::Strip(Some(Strip {
                    first,
                    micros,
                    columns: (0..columns).map(column).collect(),
                }))
            }
            _ => return None,
        })
    }
}

/// Seconds between two events.
const SECONDS: i64 = 97;

/// Events that look as different as those of a company do, the newest first.
fn rows(newest: Timestamp) -> Vec<EventRow> {
    const KINDS: [(&str, &str, &str); 6] = [
        ("trace", "created", "create"),
        ("prompt", "viewed", "read"),
        ("role_binding", "updated", "update"),
        ("evaluation", "completed", "update"),
        ("session", "closed", "delete"),
        ("dataset", "exported", "export"),
    ];
    const PEOPLE: [&str; 7] = ["alice", "bruno", "carla", "dmitri", "eve", "farid", "quentin"];
    let row = |n: usize| {
        let (kind, done, action) = KINDS[n * n % KINDS.len()];
        let person = PEOPLE[n * 5 / 3 % PEOPLE.len()];
        let hash =
            |n: usize| format!("{:016x}", (n as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)).repeat(4);
        EventRow {
            event_id: format!("evt-{:013x}", (n as u64 + 7).wrapping_mul(0x2545_f491_4f6c_dd1d) >> 12),
            timestamp: Timestamp::from_micros(newest.as_micros() - n as i64 * SECONDS * 1_000_000),
            organization_id: "bench".to_owned(),
            project_id: Some(format!("p-{}", n % 11)),
            actor_type: "user".to_owned(),
            actor_id: format!("user-{}", n % 30),
            actor_email: Some(format!("{person}@bench.example")),
            actor_ip: Some(format!("192.0.2.{}", n * 13 % 250)),
            actor_user_agent: Some(format!("agent/{}.{} (linux)", n % 9, n % 7)),
            event_category: "data".to_owned(),
            event_type: format!("{kind}.{done}"),
            event_severity: if n.is_multiple_of(23) { "warning" } else { "info" }.to_owned(),
            resource_type: kind.to_owned(),
            resource_id: format!("{kind}-{}", n * 37 % 4_001),
            resource_name: None,
            action: action.to_owned(),
            request_id: format!("req-{:08x}", n * 2_654_435_761 % 4_294_967_291),
            session_id: Some(format!("s-{:06x}", n / 5 * 40_503 % 16_777_213)),
            hash: hash(n),
            previous_hash: hash(n + 1),
            xmin: 0,
        }
    };
    (0..10 * PAGE).map(row).collect()
}
