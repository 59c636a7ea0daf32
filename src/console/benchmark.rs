//! How long the console takes to take in a key and draw, where it is hardest: for `agenttrace bench ui`.
//! Nothing is simulated but the database: the pure core and the work of the executor are those of the real console.

mod held_key;

pub use held_key::Held;

use crate::config::Span;
use crate::console::Keymap;
use crate::console::app::message::{Effect, Effects, Event, Msg, Outcome, Output, Task};
use crate::console::app::model::{Model, Page, Setup};
use crate::console::app::update::{start, update};
use crate::console::app::view::render;
use crate::console::change::layout;
use crate::console::change::layout::States;
use crate::console::change::task as change;
use crate::console::change::time_travel;
use crate::console::connection::task as connection;
use crate::console::core::clock::Moment;
use crate::console::event::task as event;
use crate::console::event::task::Detail;
use crate::console::event::tree_task;
use crate::console::timeline::task as timeline;
use crate::console::timeline::task::{Landing, Opened};
use crate::console::widgets::theme::{Depth, Theme};
use crate::console::widgets::time_zone::Zone;
use crate::diff::chronicle::Chronicle;
use crate::diff::rows::View;
use crate::diff::writing::Writing;
use crate::diff::{Options, outline};
use crate::domain::{EventRow, OrgId, Safe, TimeRange, Timestamp};
use crate::error::{Error, Result};
use crate::filter::Filter;
use crate::filter::PartialSides;
use crate::store::history::{Excerpt, Observed};
use crate::store::{ServerFacts, Standing};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The screen that the bars are for.
const SCREEN: (u16, u16) = (200, 60);

/// Times of one kind of step.
#[derive(Debug)]
pub struct Steps {
    /// What was done.
    pub name: &'static str,
    /// From the key to the finished frame, each; work that the console does away from the screen is not in it, unless
    /// the name says so.
    pub times: Vec<Duration>,
}

/// Draws at 200 × 60 while one scrolls in the difference of `pair` and in its tree, and goes through the versions of
/// `chronicle`, which are those of `row` and before.
///
/// # Errors
/// When the console cannot be set up, or a state is too large to be shown.
pub fn measure(row: &EventRow, pair: [&str; 2], chronicle: Chronicle, rules: &Options) -> Result<Vec<Steps>> {
    let mut bench = Bench::new(row, rules)?;
    let mut steps = Vec::new();
    let whole = |text: &str| Excerpt { text: text.into(), bytes: text.len() as u64, sha256: None };
    let [old, new] = pair.map(whole);
    let states =
        States { old: Some(Arc::new(old.clone())), new: Some(Arc::new(new.clone())), writing: Writing::Full };
    let detail = Detail { row: row.clone(), states, previous_state: None, new_state: None };

    steps.push(bench.times("frame of the timeline, scrolling", &['j'; 100]));
    bench.key('g');
    bench.key('3');
    // While the states are fetched and compared, keys are taken in as ever.
    steps.push(bench.times("frame while a large change is loaded", &['j', 'k', 't', 't'].repeat(25)));
    bench.say(Event::Tick);
    bench.shows = Some(detail);
    bench.settle();
    bench.key('G');
    bench.key('g');
    steps.push(bench.times("frame of a large change, scrolling", &['j'; 200]));
    bench.event = Some(Observed { row: row.clone(), previous: Some(old), new: Some(new) });
    bench.key('J');
    bench.key('g');
    steps.push(bench.times("frame of its tree, folded and unfolded whole", &['e', 'c', 'e', 'c', 'e']));
    let whole =
        matches!(&bench.model.page, Some(Page::Tree(t)) if t.outline().is_some_and(|o| o.len() > 1_000_000));
    if !whole {
        return Err(Error::could_not_run("the tree of the large states was not unfolded"));
    }
    steps.push(bench.times("frame of its tree, scrolling", &['j', 'G', 'k', 'g'].repeat(50)));
    bench.keys("/value 4999");
    bench.press(KeyCode::Enter);
    steps.push(bench.times("frame from hit to hit of it", &['n'; 100]));
    bench.press(KeyCode::Esc);

    bench.chronicle = Some(Arc::new(chronicle));
    bench.keys("@");
    let scrub: Vec<char> = ['[', '[', '[', ']', '[', '['].repeat(50);
    bench.with_work = true;
    steps.push(bench.times("step through the versions, work included", &scrub));
    Ok(steps)
}

/// Holds the key that goes to the next older event until it came so often, on a database whose answers come after 120 ms.
///
/// # Errors
/// When the console cannot be set up.
pub fn hold_a_key(row: &EventRow, rules: &Options, keys: usize) -> Result<Held> {
    held_key::hold(model(row)?, rules, keys)
}

/// A console that has not begun, looking at the history of the resource of `row`.
fn model(row: &EventRow) -> Result<Model> {
    let usage = |e: &dyn std::fmt::Display| Error::usage(e.to_string());
    let setup = Setup {
        label: Safe::literal("bench"),
        production: false,
        private_server: false,
        window: Span::days(90),
        local: Zone::Utc,
        local_name: "UTC".to_owned(),
        keymap: Keymap::shipped().map_err(|e| usage(&e))?,
        theme: Theme::shipped("dark", Depth::Rgb).map_err(|e| usage(&e))?,
        user: String::new(),
        case: "default".to_owned(),
        flags: Vec::new(),
        masked: false,
        labels: Arc::default(),
        in_tmux: false,
    };
    let organization = OrgId::new(&row.organization_id).map_err(|e| usage(&e))?;
    let text = format!("all-time res:{}/{}", row.resource_type, row.resource_id);
    let filter = Filter::parse(&text).map_err(|e| usage(&e))?;
    let moment = Moment { wall: row.timestamp, clock: Duration::ZERO };
    let mut model = Model::new(setup, moment, (Some(organization), text, filter));
    model.size = SCREEN;
    Ok(model)
}

/// What the server says of itself.
fn first_facts() -> ServerFacts {
    let text = || "bench".to_owned();
    ServerFacts {
        major: 0,
        database: text(),
        role: text(),
        standing: Standing::default(),
        table: Some(text()),
        pooled: false,
        remarks: Vec::new(),
    }
}

/// A view with these rows.
fn opened(landing: Landing, rows: Vec<EventRow>, has_older: bool) -> Opened {
    Opened {
        landing,
        range: TimeRange::default(),
        sides: PartialSides::default(),
        rows,
        has_newer: false,
        has_older,
        looked: None,
        selected: 0,
        newest: None,
        nearest_older: None,
        took: Duration::ZERO,
    }
}

struct Bench {
    model: Model,
    buffer: Buffer,
    options: Options,
    begun: Instant,
    rows: Vec<EventRow>,
    effects: Effects,
    shows: Option<Detail>,
    event: Option<Observed>,
    chronicle: Option<Arc<Chronicle>>,
    with_work: bool,
}

impl Bench {
    fn new(row: &EventRow, options: &Options) -> Result<Self> {
        let mut model = model(row)?;
        let earlier = |n: i64| EventRow {
            event_id: format!("version-{:06}", 1_000_000 - n),
            timestamp: Timestamp::from_micros(row.timestamp.as_micros() - n * 1_000_000),
            ..row.clone()
        };
        let effects = start(&mut model);
        let mut bench = Self {
            model,
            buffer: Buffer::empty(Rect { x: 0, y: 0, width: SCREEN.0, height: SCREEN.1 }),
            options: options.clone(),
            begun: Instant::now(),
            rows: [row.clone()].into_iter().chain((1..5_000).map(earlier)).collect(),
            effects,
            shows: None,
            event: None,
            chronicle: None,
            with_work: false,
        };
        bench.settle();
        Ok(bench)
    }

    fn say(&mut self, event: Event) {
        let clock = self.begun.elapsed();
        let wall = self.rows.first().map_or(Timestamp::from_micros(0), |row| row.timestamp);
        let effects = update(&mut self.model, Msg { at: Moment { wall, clock }, event });
        self.effects.extend(effects);
    }

    /// Does what the executor would, until nothing is left to do.
    fn settle(&mut self) {
        loop {
            let effects = std::mem::take(&mut self.effects);
            if effects.is_empty() {
                return;
            }
            for effect in effects {
                if let Effect::Start(ticket, work) = effect
                    && let Some(output) = self.perform(work)
                {
                    self.say(Event::Ended(ticket, Outcome::Done(output)));
                }
            }
        }
    }

    fn perform(&mut self, work: Task) -> Option<Output> {
        let unhurried = crate::diff::unhurried;
        Some(match work {
            Task::Connection(connection::Task::Connect(_)) => {
                Output::Connection(connection::Output::Connect(first_facts()))
            }
            Task::Timeline(timeline::Task::Open(_, landing)) => {
                let opened = opened(landing, self.rows.clone(), false);
                Output::Timeline(timeline::Output::Open(Box::new(opened)))
            }
            Task::Event(event::Task::Load(_, key, _)) => {
                let detail = self.shows.take_if(|detail| detail.row.key() == key)?;
                Output::Event(event::Output::Load(Some(Box::new(detail))))
            }
            Task::Change(change::Task::Compare(states, form)) => Output::Change(change::Output::Compare(
                layout::lay_out(&states, &form, &self.options, &unhurried),
            )),
            Task::Change(change::Task::StateAt(chronicle, version, form)) => {
                Output::Change(change::Output::Compare(time_travel::state_at(
                    &chronicle,
                    version,
                    &form,
                    &self.options,
                    &unhurried,
                )))
            }
            Task::Change(change::Task::Chronicle(_, resource)) => {
                Output::Change(change::Output::Chronicle((resource, self.chronicle.take())))
            }
            Task::Event(event::Task::Tree(..)) => {
                let outline = tree_task::build(&self.event.take()?).ok()?;
                Output::Event(event::Output::Tree(Some(Box::new((outline, View::default())))))
            }
            Task::Event(event::Task::TreeFind(doc, view, text)) => Output::Event(event::Output::TreeFind((
                text.clone(),
                outline::hits(&doc.doc(), &text, &view, &|| false)?,
            ))),
            _ => return None,
        })
    }

    fn press(&mut self, code: KeyCode) {
        self.say(Event::Key(KeyEvent::new(code, KeyModifiers::NONE)));
        self.settle();
    }

    fn key(&mut self, key: char) {
        self.press(KeyCode::Char(key));
    }

    fn keys(&mut self, keys: &str) {
        keys.chars().for_each(|key| self.key(key));
    }

    fn times(&mut self, name: &'static str, keys: &[char]) -> Steps {
        let mut times = Vec::with_capacity(keys.len());
        for key in keys {
            let begun = Instant::now();
            self.say(Event::Key(KeyEvent::new(KeyCode::Char(*key), KeyModifiers::NONE)));
            if self.with_work {
                self.settle();
            }
            render(&self.model, &mut self.buffer);
            times.push(begun.elapsed());
            self.settle();
        }
        Steps { name, times }
    }
}
