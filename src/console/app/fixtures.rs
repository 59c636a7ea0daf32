//! Events and models for the tests of the console.

use crate::chain::Scheme;
use crate::config::Span;
use crate::console::app::message::{Effect, Effects, Event, Msg, Outcome, Output, Task};
use crate::console::app::model::{Model, Setup};
use crate::console::app::update::{start, update};
use crate::console::app::view::render;
use crate::console::change::layout::{Form, Layout, Line};
use crate::console::connection::task as connection;
use crate::console::core::clock::Moment;
use crate::console::core::failure::Failure;
use crate::console::core::keymap::Keymap;
use crate::console::core::tasks::{Slot, Ticket};
use crate::console::integrity::row_marks::{Glance, Glances, Look, Mark};
use crate::console::integrity::task as integrity;
use crate::console::timeline::row::Row;
use crate::console::timeline::task as timeline;
use crate::console::timeline::task::Opened;
use crate::console::widgets::theme::{Depth, Theme};
use crate::console::widgets::time_zone::Zone;
use crate::domain::{EventRow, OrgId, Safe, TimeRange, Timestamp};
use crate::filter::Filter;
use crate::filter::PartialSides;
use crate::store::aggregate::organizations::Organization;
use crate::store::scan::Catalogue;
use crate::store::{ServerFacts, Standing};
use crate::verify::{Detected, SchemeUsed};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Thursday, 2026-01-15T09:58:00Z, in seconds.
pub(crate) const BASE: i64 = 1_768_471_080;

/// The path list, 78 columns wide.
pub(crate) const PATHS: Form =
    Form { layout: Layout::Paths, width: 78, height: 0, unfolded: BTreeSet::new(), needles: None };

/// Lines of the change pane as text.
pub(crate) fn text(lines: &[Line]) -> Vec<String> {
    let line = |l: &Line| {
        let mark = l.left.mark.as_ref().map_or("", |(m, _)| m.as_str());
        let text: String = l.left.pieces.iter().map(|(t, _)| t.as_str()).collect();
        format!("{mark:indent$}{text}", indent = l.left.indent).trim_end().to_owned()
    };
    lines.iter().map(line).collect()
}

/// An ordinary event, `seconds` after [`BASE`].
pub(crate) fn event_row(id: &str, seconds: i64) -> EventRow {
    EventRow {
        event_id: id.to_owned(),
        timestamp: Timestamp::from_micros((BASE + seconds) * 1_000_000),
        organization_id: "acme".to_owned(),
        project_id: Some("p-7".to_owned()),
        actor_type: "user".to_owned(),
        actor_id: "user-17".to_owned(),
        actor_email: Some("alice@acme.example".to_owned()),
        actor_ip: Some("192.0.2.17".to_owned()),
        actor_user_agent: Some("Mozilla/5.0 (X11; Linux x86_64)".to_owned()),
        event_category: "admin".to_owned(),
        event_type: "user.role_changed".to_owned(),
        event_severity: "info".to_owned(),
        resource_type: "role_binding".to_owned(),
        resource_id: "rb-7".to_owned(),
        resource_name: None,
        action: "update".to_owned(),
        request_id: "req-88123".to_owned(),
        session_id: Some("s-9f3".to_owned()),
        hash: "9c41".repeat(16),
        previous_hash: String::new(),
        xmin: 700,
    }
}

/// A trail over two days with all severities, kinds of actors, and names that have to be cut.
pub(crate) fn trail() -> Vec<EventRow> {
    let mut rows: Vec<EventRow> =
        (0..80).map(|i| event_row(&format!("evt-{:06}", 900_000 - i), -i64::from(i) * 1_250)).collect();
    for (i, row) in rows.iter_mut().enumerate() {
        row.event_severity = ["info", "info", "warning", "info", "critical"][i % 5].to_owned();
        row.actor_type = ["user", "service", "user", "system"][i % 4].to_owned();
        if i % 4 % 2 == 1 {
            row.actor_email = None;
            row.actor_id = format!("worker-{i}");
        }
        if i % 7 == 2 {
            row.actor_email = Some("maximiliana.featherstonehaugh.the.third@acme.example".to_owned());
            row.event_type = "retention_policy.minimum_period_lowered".to_owned();
            row.resource_id = "ret-0123456789abcdef0123456789abcdef".to_owned();
        }
        row.previous_hash = "7ab0".repeat(16);
    }
    rows
}

/// What an attacker would write.
pub(crate) fn hostile() -> Vec<EventRow> {
    let attack = "\u{1b}]52;c;AAAA\u{7}\u{202e}gpj.exe\u{200b}\n\u{9b}2J";
    let mut row = event_row("evil", 0);
    row.actor_email = Some(format!("a{attack}@x"));
    row.actor_user_agent = Some(attack.to_owned());
    row.event_type = attack.to_owned();
    row.event_severity = attack.to_owned();
    row.action = attack.to_owned();
    row.resource_id = format!("{}日本語👩‍👩‍👧", "e\u{301}\u{301}".repeat(40));
    row.session_id = Some(attack.to_owned());
    row.organization_id = attack.to_owned();
    let mut end = event_row("at-the-end-of-time", -1);
    end.timestamp = Timestamp::NEG_INFINITY;
    vec![row, end]
}

/// An ordinary row.
pub(crate) fn row_at(seconds: i64, id: &str) -> Row {
    Row::new(event_row(id, seconds), Zone::Utc)
}

/// A moment, in milliseconds since the console started at [`BASE`] + 1 h.
pub(crate) fn moment(millis: u64) -> Moment {
    Moment {
        wall: Timestamp::from_micros((BASE + 3_600) * 1_000_000 + millis as i64 * 1_000),
        clock: Duration::from_millis(millis),
    }
}

/// A console of a size that has not begun.
pub(crate) fn model(width: u16, height: u16, organization: Option<&str>) -> Model {
    let setup = Setup {
        label: Safe::literal("demo"),
        production: false,
        private_server: false,
        window: Span::days(90),
        local: Zone::Fixed(3_600),
        local_name: "Europe/Berlin".to_owned(),
        keymap: Keymap::shipped().unwrap(),
        theme: Theme::shipped("dark", Depth::Rgb).unwrap(),
        user: "eve".to_owned(),
        case: "default".to_owned(),
        flags: Vec::new(),
        masked: false,
        labels: Arc::default(),
        in_tmux: false,
    };
    let wanted = (organization.map(|id| OrgId::new(id).unwrap()), String::new(), Filter::default());
    let mut model = Model::new(setup, moment(0), wanted);
    model.size = (width, height);
    model.lay_out();
    model
}

/// An organisation of the chooser.
pub(crate) fn organization(id: &str) -> Organization {
    Organization { id: OrgId::new(id).unwrap(), newest: None, events: Some(7) }
}

/// What a look at rows brings, when each gets the same mark.
pub(crate) fn glances(rows: &[EventRow], mark: Mark) -> Glances {
    let scheme = Scheme::V1;
    let used = SchemeUsed { name: scheme.name(), guessed: false, confidence: 1.0 };
    Glances {
        detected: Detected { scheme, used, rows: 100 },
        catalogue: Catalogue::default(),
        seen: rows.iter().map(|row| (row.event_id.clone(), Glance::of(row, mark, ""))).collect(),
        changed: Vec::new(),
        thorough: false,
    }
}

/// What a server says of itself.
pub(crate) fn facts(standing: Standing) -> ServerFacts {
    ServerFacts {
        major: 15,
        database: "audit".to_owned(),
        role: "reader".to_owned(),
        standing,
        table: None,
        pooled: false,
        remarks: Vec::new(),
    }
}

/// A console and its clock; remembers the effects of the last message.
pub(crate) struct Desk {
    pub(crate) model: Model,
    pub(crate) millis: u64,
    pub(crate) effects: Effects,
}

impl Desk {
    pub(crate) fn begin(organization: Option<&str>) -> Self {
        Self::sized(120, 40, organization)
    }

    pub(crate) fn sized(width: u16, height: u16, organization: Option<&str>) -> Self {
        let mut model = model(width, height, organization);
        let effects = start(&mut model);
        Self { model, millis: 0, effects }
    }

    /// Connected, and looking at `rows` events of `acme`, the newest selected.
    pub(crate) fn with_events(rows: usize) -> Self {
        let mut desk = Self::begin(Some("acme"));
        desk.connect();
        desk.opened(rows, 0);
        desk
    }

    pub(crate) fn say(&mut self, event: Event) -> &mut Self {
        self.millis += 20;
        self.effects = update(&mut self.model, Msg { at: moment(self.millis), event });
        self
    }

    /// What is on the screen.
    pub(crate) fn screen(&self) -> String {
        let (width, height) = self.model.size;
        let mut buffer = Buffer::empty(Rect { x: 0, y: 0, width, height });
        render(&self.model, &mut buffer);
        text_of(&buffer)
    }

    pub(crate) fn wait(&mut self, millis: u64) -> &mut Self {
        self.millis += millis;
        self.say(Event::Tick)
    }

    pub(crate) fn keys(&mut self, text: &str) -> &mut Self {
        for c in text.chars() {
            self.say(Event::Key(KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE)));
        }
        self
    }

    pub(crate) fn key(&mut self, code: KeyCode) -> &mut Self {
        self.say(Event::Key(KeyEvent::new(code, KeyModifiers::NONE)))
    }

    pub(crate) fn control(&mut self, c: char) -> &mut Self {
        self.say(Event::Key(KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL)))
    }

    /// The work that was begun in a slot by the last message.
    pub(crate) fn begun(&self, slot: Slot) -> (Ticket, Task) {
        let found = self.effects.iter().rev().find_map(|e| match e {
            Effect::Start(ticket, work) if ticket.slot() == slot => Some((*ticket, work.clone())),
            _ => None,
        });
        found.unwrap_or_else(|| panic!("nothing begun in {slot:?}: {:?}", self.effects))
    }

    pub(crate) fn begins(&self, slot: Slot) -> bool {
        self.effects.iter().any(|e| matches!(e, Effect::Start(ticket, _) if ticket.slot() == slot))
    }

    pub(crate) fn end(&mut self, ticket: Ticket, outcome: Outcome) -> &mut Self {
        self.say(Event::Ended(ticket, outcome))
    }

    pub(crate) fn finish(&mut self, slot: Slot, output: Output) -> &mut Self {
        let (ticket, _) = self.begun(slot);
        self.end(ticket, Outcome::Done(output))
    }

    /// Ends the check of rows that was begun by the last message; each gets the mark.
    pub(crate) fn look(&mut self, mark: Mark) -> &mut Self {
        let (ticket, work) = self.begun(Slot::Marks);
        let Task::Integrity(integrity::Task::Glance(Look { rows, thorough, .. })) = work else {
            panic!("{work:?}")
        };
        let glances = Glances { thorough, ..glances(&rows, mark) };
        self.end(ticket, Outcome::Done(Output::Integrity(integrity::Output::Glance(Box::new(glances)))))
    }

    pub(crate) fn connect(&mut self) -> &mut Self {
        self.finish(
            Slot::Connection,
            Output::Connection(connection::Output::Connect(facts(Standing::Primary))),
        )
    }

    pub(crate) fn opened(&mut self, rows: usize, selected: usize) -> &mut Self {
        self.opened_with(rows, selected, |_, _| {})
    }

    /// The same, with rows that are not ordinary.
    pub(crate) fn opened_with(
        &mut self,
        rows: usize,
        selected: usize,
        change: impl Fn(usize, &mut EventRow),
    ) -> &mut Self {
        let row = |i: usize| {
            let mut row = event_row(&format!("e{:05}", 90_000 - i), -(i as i64));
            change(i, &mut row);
            row
        };
        let (ticket, work) = self.begun(Slot::View);
        let Task::Timeline(timeline::Task::Open(_, landing)) = work else { panic!("{work:?}") };
        let opened = Opened {
            landing,
            range: TimeRange::default(),
            sides: PartialSides::default(),
            rows: (0..rows).map(row).collect(),
            has_newer: false,
            has_older: true,
            looked: None,
            selected,
            newest: None,
            nearest_older: None,
            took: Duration::from_micros(3_200),
        };
        self.end(ticket, Outcome::Done(Output::Timeline(timeline::Output::Open(Box::new(opened)))))
    }

    pub(crate) fn fail(&mut self, ticket: Ticket, text: &'static str, lost: bool) -> &mut Self {
        self.end(
            ticket,
            Outcome::Failed(Failure { text: Safe::literal(text), lost, cancelled: false, refused: false }),
        )
    }

    pub(crate) fn selected(&self) -> String {
        self.model.timeline.key().map(|k| k.event_id).unwrap_or_default()
    }
}

/// The text of a screen, without blanks at the ends of lines.
pub(crate) fn text_of(buffer: &Buffer) -> String {
    let width = usize::from(buffer.area.width).max(1);
    buffer.content().chunks(width).fold(String::new(), |mut out, line| {
        let mut skip = 0;
        for cell in line {
            if skip > 0 {
                skip -= 1;
                continue;
            }
            out.push_str(cell.symbol());
            skip = unicode_width::UnicodeWidthStr::width(cell.symbol()).saturating_sub(1);
        }
        out.truncate(out.trim_end_matches(' ').len());
        out.push('\n');
        out
    })
}
