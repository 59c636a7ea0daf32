//! The dialog of a lineage: each hop in a line with its event, and which of the actors and resources a view is opened of.

use crate::console::core::keymap::{Action, Context};
use crate::console::dialogs::{Cursor, Dialog, Frame, Stage};
use crate::console::widgets::painter::Painter;
use crate::console::widgets::theme::Role;
use crate::console::widgets::time_zone::Zone;
use crate::domain::{Safe, grouped};
use crate::investigation::lineage::{Follower, HOPS, Lineage, MAX_CREATIONS, MAX_TERMS, Step, Term};
use crate::store::query::Count;

/// A line: text, or an actor or resource that can be chosen.
#[derive(Debug)]
struct Entry {
    text: Safe,
    role: Role,
    /// The number of the term.
    term: Option<usize>,
}

/// A term, and whether the view is to have it.
#[derive(Debug)]
struct Choice {
    term: Term,
    is_in: bool,
}

/// How far it is.
#[derive(Debug)]
enum Progress {
    Following,
    Failed(Safe),
    Done,
}

/// The dialog.
#[derive(Debug)]
pub(crate) struct LineageDialog {
    /// Whose lineage it is.
    pub(crate) origin: Term,
    progress: Progress,
    entries: Vec<Entry>,
    choices: Vec<Choice>,
    /// The number of the chosen line among those that have a term.
    cursor: usize,
    top: usize,
    /// Keys that open the view, leave a line out, and cancel.
    keys: [String; 3],
}

impl LineageDialog {
    /// A lineage that is being followed.
    pub(crate) fn new(origin: Term, keys: [String; 3]) -> Self {
        let (entries, choices) = (Vec::new(), Vec::new());
        Self { origin, progress: Progress::Following, entries, choices, cursor: 0, top: 0, keys }
    }

    /// Takes the lineage in; times are shown in `zone`.
    pub(crate) fn fill(&mut self, found: Lineage, zone: Zone) {
        let terms = found.terms();
        let number = |term: &Term| terms.iter().position(|other| other == term);
        let text = |text: &str, role| Entry { text: Safe::composed(text), role, term: None };
        let mut entries = vec![Entry { term: Some(0), ..text(&found.origin.name(), Role::Text) }];
        for step in &found.steps {
            entries.push(text(&creation(step, zone), Role::Title));
            entries.extend(step.followers.iter().map(|follower| Entry {
                term: number(&follower.term),
                ..text(&sentence(follower, zone), if follower.before { Role::Muted } else { Role::Text })
            }));
        }
        entries.push(text("", Role::Text));
        entries.extend(remarks(&found, terms.len()).iter().map(|(line, role)| text(line, *role)));
        let is_in = |(n, term)| Choice { term, is_in: n < MAX_TERMS };
        self.choices = terms.into_iter().enumerate().map(is_in).collect();
        self.entries = entries;
        self.progress = Progress::Done;
    }

    /// Says why there is none.
    pub(crate) fn fail(&mut self, reason: Safe) {
        self.progress = Progress::Failed(reason);
    }

    /// Whether it is there.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self.progress, Progress::Done)
    }

    /// What the view is to have.
    pub(crate) fn chosen(&self) -> Vec<Term> {
        self.choices.iter().filter(|c| c.is_in).map(|c| c.term.clone()).collect()
    }

    /// Lines that can be chosen, by their places.
    fn stops(&self) -> Vec<usize> {
        let entries = self.entries.iter().enumerate();
        entries.filter_map(|(at, entry)| entry.term.map(|_| at)).collect()
    }

    /// Moves the choice; `height` lines are to be seen.
    pub(crate) fn step(&mut self, by: isize, height: usize) {
        let stops = self.stops();
        let last = stops.len().saturating_sub(1);
        self.cursor = self.cursor.saturating_add_signed(by).min(last);
        let Some(&at) = stops.get(self.cursor) else { return };
        // The head of a hop is seen with its first line, and what is said of all of them with the last one.
        let first = self.cursor.checked_sub(1).and_then(|before| stops.get(before)).map_or(0, |at| at + 1);
        let end = if self.cursor == last { self.entries.len() } else { at + 1 };
        self.top =
            self.top.min(first.max((at + 1).saturating_sub(height))).max(end.saturating_sub(height).min(at));
    }

    /// Leaves the chosen line out, or takes it in again.
    pub(crate) fn toggle(&mut self) {
        let term = self.stops().get(self.cursor).and_then(|at| self.entries.get(*at)?.term);
        if let Some(choice) = term.and_then(|term| self.choices.get_mut(term)) {
            choice.is_in = !choice.is_in;
        }
    }
}

impl Dialog for LineageDialog {
    fn context(&self) -> Context {
        Context::Pane
    }

    fn frame(&self, stage: &Stage<'_>) -> Frame {
        Frame::whole(" Lineage ", stage)
    }

    fn hints(&self) -> Option<&'static [Action]> {
        Some(&[Action::Open, Action::Cancel, Action::Mark, Action::Down, Action::Up])
    }

    fn draw(&self, painter: &mut Painter<'_>, _stage: &Stage<'_>) -> Option<Cursor> {
        let width = painter.width().saturating_sub(2);
        match &self.progress {
            Progress::Failed(reason) => {
                painter.put_wrapped(1, 0, reason, Role::Error);
                return None;
            }
            Progress::Following => {
                let text =
                    format!("Following what came of {}… ({} to cancel)", self.origin.name(), self.keys[2]);
                painter.put(1, 0, &Safe::composed(&text).cut_end(width), Role::Muted);
                return None;
            }
            Progress::Done => {}
        }
        let current = self.stops().get(self.cursor).copied();
        let height = painter.height().saturating_sub(1);
        for (y, (at, entry)) in self.entries.iter().enumerate().skip(self.top).take(height).enumerate() {
            let mut x = 1;
            if let Some(choice) = entry.term.and_then(|term| self.choices.get(term)) {
                x = painter.say(1, y, if choice.is_in { "[x] " } else { "[ ] " }, Role::Key);
            }
            painter.put(x, y, &entry.text.cut_end((width + 1).saturating_sub(x)), entry.role);
            if current == Some(at) {
                painter.mark_line(y, Role::Selected);
            }
        }
        let [open, mark, cancel] = &self.keys;
        let chosen = self.choices.iter().filter(|c| c.is_in).count();
        let over = chosen.saturating_sub(MAX_TERMS);
        let text = if over > 0 {
            format!("{over} too many: a view holds {MAX_TERMS} · {mark} leaves a line out")
        } else {
            format!("{open} opens the view of {chosen} · {mark} leaves a line out · {cancel} stays here")
        };
        let role = if over > 0 { Role::Notice } else { Role::Muted };
        painter.put(1, height, &Safe::composed(&text).cut_end(width), role);
        None
    }
}

/// `2026-11-17 23:14Z api_key/ak-77 created by svc-deploy · evt-dd4h7xy7ctf68`
fn creation(step: &Step, zone: Zone) -> String {
    let Step { hop, event, creator, resource, .. } = step;
    let resource = Term::Resource(resource.clone()).name();
    let again = if *hop > 1 { "↳ " } else { "" };
    let time = zone.minute(event.timestamp);
    format!("{again}{time} {resource} created by {creator} · {}", event.event_id)
}

/// `svc-ci-backup (/service_account) · 2 events since, none before · 00:02 to 00:03`
fn sentence(follower: &Follower, zone: Zone) -> String {
    let name = follower.term.name();
    let path = follower.path.as_ref().map(|path| format!(" ({path})")).unwrap_or_default();
    let events = match follower.events {
        Count::Exact(1) => "1 event".to_owned(),
        Count::Exact(n) | Count::Estimate(n) => format!("{} events", grouped(n)),
        Count::AtLeast(n) => format!("≥ {} events", grouped(n)),
        Count::Unknown => "events".to_owned(),
    };
    let whose = match (&follower.term, follower.before) {
        (Term::Resource(_), _) => " by others",
        (Term::Actor(_), true) => ", active before",
        (Term::Actor(_), false) => ", none before",
    };
    let since = match &follower.term {
        Term::Resource(_) => format!("{events}{whose} since"),
        Term::Actor(_) => format!("{events} since{whose}"),
    };
    let (first, last) = follower.times;
    let to = match follower.events {
        Count::Exact(1) => String::new(),
        Count::AtLeast(_) => " on".to_owned(),
        _ => format!(" to {}", zone.minute(last)),
    };
    format!("{name}{path} · {since} · {}{to}", zone.minute(first))
}

/// What must be known of the whole.
fn remarks(found: &Lineage, terms: usize) -> Vec<(String, Role)> {
    let mut lines = Vec::new();
    let others = found.creations.saturating_sub(found.steps.len());
    let creations = |n: usize| if n == 1 { "creation" } else { "creations" };
    let read = grouped(found.creations as u64);
    lines.push(match (found.steps.len(), &found.origin) {
        (0, Term::Resource(_)) if found.creations == 0 => {
            ("no event records that it was created".to_owned(), Role::Notice)
        }
        (0, _) => (
            format!(
                "{read} {} read: nobody else used what was created, nobody named acted",
                creations(found.creations)
            ),
            Role::Notice,
        ),
        _ => {
            let idle = match others {
                0 => String::new(),
                n => format!(", {} led to nothing", grouped(n as u64)),
            };
            let text = format!("{read} {} read in up to {HOPS} hops{idle}", creations(found.creations));
            (text, Role::Muted)
        }
    });
    if found.more {
        let text = format!(
            "older creations were not read: a hop reads the newest {}; narrow the time",
            grouped(MAX_CREATIONS as u64)
        );
        lines.push((text, Role::Notice));
    }
    if found.unread > 0 {
        let text = format!("{} new states were not read: too large", grouped(found.unread as u64));
        lines.push((text, Role::Notice));
    }
    if terms > MAX_TERMS {
        lines.push((format!("{terms} actors and resources: the first {MAX_TERMS} are chosen"), Role::Notice));
    }
    lines
}
