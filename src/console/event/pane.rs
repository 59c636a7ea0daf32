//! One event: its 22 columns, times in every reading, and both states.

use crate::case::labels::Labels;
use crate::case::notebook::Entry;
use crate::console::case;
use crate::console::event::task::Detail;
use crate::console::integrity::row_marks::{Glance, Mark};
use crate::console::timeline::row::Row;
use crate::console::widgets::highlight::{Columns, Needles};
use crate::console::widgets::painter::Painter;
use crate::console::widgets::scrolling::{brought_into_sight, next_line};
use crate::console::widgets::theme::Role;
use crate::console::widgets::time_zone::{Zone, relative};
use crate::domain::{EventKey, EventRow, Safe, Timestamp, grouped};
use std::sync::Arc;
use std::time::Duration;

/// Columns of the names of fields, blank included.
const LABEL: usize = 17;

/// How long the selection must rest before the states of an event are fetched, where it has just come from another one: of
/// those that a held key passes none is wanted. After a rest they are fetched at once.
const SETTLE: Duration = Duration::from_millis(80);

/// The state of the pane.
#[derive(Debug, Default)]
pub(crate) struct EventPane {
    row: Option<Row>,
    states: States,
    /// What is known of its content.
    known: Option<Glance>,
    /// What was said of it.
    said: Option<Entry>,
    /// What ids and networks are called here.
    labels: Arc<Labels>,
    lines: Vec<Line>,
    /// What is looked for.
    needles: Needles,
    /// The lines that have it, and which of them was gone to last.
    hits: Vec<usize>,
    hit: Option<usize>,
    /// Another event, or another search: its states, once they are there, are scrolled to what is looked for.
    arrived: bool,
    top: usize,
    width: usize,
    height: usize,
    /// The zone that the lines were made for.
    zone: Option<Zone>,
    /// When the states are to be fetched.
    due: Option<Duration>,
    /// When the selection was moved last.
    moved: Option<Duration>,
}

#[derive(Debug, Default)]
enum States {
    #[default]
    Waiting,
    Ready(Option<Vec<Safe>>, Option<Vec<Safe>>),
    Trouble(Safe),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    label: Safe,
    text: Safe,
    role: Role,
    /// Where in the text stands what is looked for.
    hits: Vec<Columns>,
}

/// What the lines depend on besides the event.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting {
    /// The zone that times are shown in.
    pub(crate) zone: Zone,
    /// The machine's zone.
    pub(crate) local: Zone,
    /// The present.
    pub(crate) now: Timestamp,
}

impl EventPane {
    /// A pane that shows labels beside ids and addresses.
    pub(crate) fn with(labels: Arc<Labels>) -> Self {
        Self { labels, ..Self::default() }
    }

    /// The event shown.
    pub(crate) fn key(&self) -> Option<EventKey> {
        self.row.as_ref().map(|r| r.event.key())
    }

    /// Shows an event: its columns at once, its states when they have been fetched. False when it is shown already.
    pub(crate) fn show(&mut self, row: Option<&Row>, clock: Duration, setting: Setting) -> bool {
        let same = match (&self.row, row) {
            (Some(old), Some(new)) => old.event == new.event,
            (None, None) => true,
            _ => false,
        };
        if same {
            return false;
        }
        self.row = row.cloned();
        self.states = States::Waiting;
        let rested = self.moved.replace(clock).is_none_or(|moved| clock >= moved + SETTLE);
        self.due = row.map(|_| if rested { clock } else { clock + SETTLE });
        self.top = 0;
        self.arrived = true;
        self.lay_out(setting);
        true
    }

    /// Takes note of what is looked for; goes there when that is something else than before.
    pub(crate) fn seek(&mut self, needles: &Needles, setting: Setting) {
        if self.needles != *needles {
            self.needles = needles.clone();
            self.arrived = true;
            self.lay_out(setting);
        }
    }

    /// Goes to the next line that has what is looked for. False when there is none further on.
    pub(crate) fn step_hit(&mut self, back: bool) -> bool {
        let at = self.hit.map_or(self.top as isize - isize::from(!back), |line| line as isize);
        let there = next_line(&self.hits, at, back);
        if let Some(line) = there {
            self.go_to_hit(line);
        }
        there.is_some()
    }

    /// Scrolls to a line that has what is looked for.
    fn go_to_hit(&mut self, line: usize) {
        self.hit = Some(line);
        self.top = brought_into_sight(self.top, line, self.height).min(self.last_top());
    }

    /// Takes note of what is known of its content.
    pub(crate) fn set_known(&mut self, known: Option<Glance>, setting: Setting) {
        if self.known != known {
            self.known = known;
            self.lay_out(setting);
        }
    }

    /// Takes note of what was said of it.
    pub(crate) fn set_said(&mut self, said: Option<Entry>, setting: Setting) {
        if self.said != said {
            self.said = said;
            self.lay_out(setting);
        }
    }

    /// When the states are to be fetched.
    pub(crate) fn due(&self) -> Option<Duration> {
        self.due
    }

    /// Fetches the states (again), without waiting.
    pub(crate) fn hurry(&mut self, clock: Duration) {
        if self.row.is_some() && !matches!(self.states, States::Ready(..)) {
            self.due = Some(clock);
        }
    }

    /// The event to fetch now, if it is time.
    pub(crate) fn take_due(&mut self, clock: Duration) -> Option<EventKey> {
        if self.due.is_some_and(|due| due <= clock) {
            self.due = None;
            self.key()
        } else {
            None
        }
    }

    /// Adds the states of the event.
    pub(crate) fn fill(&mut self, detail: Option<Detail>, setting: Setting) {
        match detail {
            Some(detail) if Some(detail.row.key()) == self.key() => {
                self.states = States::Ready(detail.previous_state, detail.new_state);
            }
            Some(_) => return,
            None => self.states = States::Trouble(Safe::literal("the event is not in the table any more")),
        }
        self.lay_out(setting);
    }

    /// Says why there are no states.
    pub(crate) fn fail(&mut self, text: Safe, setting: Setting) {
        self.states = States::Trouble(text);
        self.lay_out(setting);
    }

    /// Takes note of the pane's size.
    pub(crate) fn set_size(&mut self, width: usize, height: usize, setting: Setting) {
        let changed = (self.width, self.zone) != (width, Some(setting.zone));
        (self.width, self.zone) = (width, Some(setting.zone));
        self.height = height;
        if changed {
            self.lay_out(setting);
        }
        self.top = self.top.min(self.last_top());
    }

    /// Scrolls by lines.
    pub(crate) fn scroll(&mut self, by: isize) {
        self.top = self.top.saturating_add_signed(by).min(self.last_top());
    }

    /// Lines that the pane could fill.
    pub(crate) fn needed(&self) -> usize {
        self.lines.len()
    }

    /// Lines of the pane.
    pub(crate) fn height(&self) -> usize {
        self.height
    }

    /// `12–40 of 214`, empty when everything is on the screen.
    pub(crate) fn position(&self) -> Safe {
        if self.lines.len() <= self.height {
            return Safe::default();
        }
        let end = (self.top + self.height).min(self.lines.len());
        let place = [self.top + 1, end, self.lines.len()].map(|line| grouped(line as u64));
        Safe::from_untrusted(&format!("{}–{} of {}", place[0], place[1], place[2]))
    }

    fn last_top(&self) -> usize {
        self.lines.len().saturating_sub(self.height)
    }

    fn lay_out(&mut self, setting: Setting) {
        let width = self.width.max(LABEL + 8);
        let mut lines = Lines { out: Vec::new(), width, needles: &self.needles, labels: &self.labels };
        if let Some(row) = &self.row {
            lines.columns(row, &self.states, (self.known.as_ref(), self.said.as_ref()), setting);
        }
        self.lines = lines.out;
        let lines = self.lines.iter().enumerate();
        self.hits = lines.filter(|(_, line)| !line.hits.is_empty()).map(|(n, _)| n).collect();
        self.hit = self.hit.filter(|line| self.hits.contains(line));
        self.top = self.top.min(self.last_top());
        if self.height > 0 && matches!(self.states, States::Ready(..)) && std::mem::take(&mut self.arrived) {
            self.hit = None;
            if let Some(line) = self.hits.first().copied() {
                self.go_to_hit(line);
            }
        }
    }

    /// Draws the lines that fit.
    pub(crate) fn paint(&self, painter: &mut Painter<'_>) {
        if self.row.is_none() {
            painter.say(1, 0, "No event is selected.", Role::Muted);
        }
        for (y, line) in self.lines.iter().skip(self.top).take(painter.height()).enumerate() {
            let x = if line.label.as_str().is_empty() { 0 } else { LABEL };
            painter.put(1, y, &line.label, Role::Label);
            painter.put(1 + x, y, &line.text, line.role);
            for (column, width) in &line.hits {
                painter.mark(1 + x + column, y, *width, Role::Hit);
            }
        }
    }
}

/// Lines under construction.
struct Lines<'a> {
    out: Vec<Line>,
    width: usize,
    needles: &'a Needles,
    labels: &'a Labels,
}

impl Lines<'_> {
    fn columns(
        &mut self,
        row: &Row,
        states: &States,
        (known, said): (Option<&Glance>, Option<&Entry>),
        setting: Setting,
    ) {
        let EventRow {
            event_id,
            timestamp,
            organization_id,
            project_id,
            actor_type,
            actor_id,
            actor_email,
            actor_ip,
            actor_user_agent,
            event_category,
            event_type,
            event_severity,
            resource_type,
            resource_id,
            resource_name,
            action,
            request_id,
            session_id,
            hash,
            previous_hash,
            xmin: _,
        } = &row.event;
        self.text("event_id", event_id);
        self.times(*timestamp, setting);
        self.add("event_severity", Safe::from_untrusted(event_severity), row.severity());
        self.text("event_category", event_category);
        self.text("event_type", event_type);
        self.text("action", action);
        self.integrity(known);
        if let Some(entry) = said {
            let mut label = "case";
            for (text, role) in case::pane::said(entry, setting.zone) {
                self.add(std::mem::take(&mut label), text, role);
            }
        }
        self.blank();
        self.text("actor_type", actor_type);
        self.text("actor_id", actor_id);
        self.optional("actor_email", actor_email.as_deref());
        self.optional("actor_ip", actor_ip.as_deref());
        self.optional("actor_user_agent", actor_user_agent.as_deref());
        self.optional("session_id", session_id.as_deref());
        self.text("request_id", request_id);
        self.blank();
        self.text("resource_type", resource_type);
        self.text("resource_id", resource_id);
        self.optional("resource_name", resource_name.as_deref());
        self.states(states);
        self.blank();
        self.text("organization_id", organization_id);
        self.optional("project_id", project_id.as_deref());
        self.blank();
        self.text("hash", hash);
        if previous_hash.is_empty() {
            self.add("previous_hash", Safe::literal("empty: the first event of its chain"), Role::Muted);
        } else {
            self.text("previous_hash", previous_hash);
        }
    }

    /// The zone in force first, then the others, each with its mark; the stored value last where it is not the first.
    fn times(&mut self, at: Timestamp, setting: Setting) {
        let room = self.width.saturating_sub(LABEL + 2);
        let (mut stored, local) = (at.to_rfc3339(), setting.local.full(at));
        if stored.len() > room {
            // Broken between date and time.
            stored = stored.replace('T', " ");
        }
        let mut times = match setting.zone {
            Zone::Utc if local == Zone::Utc.full(at) => vec![("timestamp", stored)],
            Zone::Utc => vec![("timestamp", stored), ("  local", local)],
            zone => vec![("timestamp", zone.full(at)), ("  stored (UTC)", stored)],
        };
        // The age has a line of its own only where it does not fit behind the last one.
        let age = relative(at, setting.now);
        match times.last_mut() {
            Some((_, last)) if last.len() + age.len() + 3 <= room => last.push_str(&format!(" · {age}")),
            _ => times.push(("  age", age)),
        }
        for (n, (label, text)) in times.iter().enumerate() {
            self.add(label, Safe::from_untrusted(text), if n == 0 { Role::Text } else { Role::Muted });
        }
    }

    /// The change comes before the identifiers: it is what people look for. Long states are followed by them, one key
    /// away (the end of the text).
    fn states(&mut self, states: &States) {
        match states {
            States::Waiting => self.add("states", Safe::literal("loading…"), Role::Muted),
            States::Trouble(text) => self.add("states", text.clone(), Role::Error),
            States::Ready(previous, new) => {
                self.state("previous_state", previous.as_deref());
                self.state("new_state", new.as_deref());
            }
        }
    }

    fn integrity(&mut self, known: Option<&Glance>) {
        let mark = known.map_or(Mark::Unchecked, |glance| glance.mark);
        let mut text = format!("{} {}", mark.sign(), mark.word());
        if let Some(why) = known.map(|glance| glance.why.as_str()).filter(|why| !why.is_empty()) {
            text.push_str(": ");
            text.push_str(why);
        }
        self.add("integrity", Safe::from_untrusted(&text), mark.role());
    }

    fn text(&mut self, label: &'static str, text: &str) {
        if text.is_empty() {
            self.add(label, Safe::literal("empty"), Role::Muted);
        } else {
            self.add(label, Safe::from_untrusted(text), Role::Text);
            // On a line of its own: it is no part of what the record holds.
            if let Some(called) = self.labels.beside(text) {
                let indented = Safe::concat(&[&Safe::composed(&" ".repeat(LABEL)), &called]);
                self.line(
                    Safe::default(),
                    indented.cut_end(self.width.saturating_sub(2)),
                    Role::Muted,
                    Vec::new(),
                );
            }
        }
    }

    fn optional(&mut self, label: &'static str, text: Option<&str>) {
        match text {
            Some(text) => self.text(label, text),
            None => self.add(label, Safe::literal("null"), Role::Muted),
        }
    }

    fn state(&mut self, label: &'static str, lines: Option<&[Safe]>) {
        match lines {
            None => self.add(label, Safe::literal("null"), Role::Muted),
            Some([line]) => self.add(label, line.clone(), Role::Text),
            Some(lines) => {
                self.line(Safe::literal(label), Safe::default(), Role::Text, Vec::new());
                for line in lines {
                    let texts = line.wrapped(self.width.saturating_sub(2));
                    let hits = self.hits(&texts, true);
                    for (text, hits) in texts.into_iter().zip(hits) {
                        self.line(Safe::default(), text, Role::Text, hits);
                    }
                }
            }
        }
    }

    fn add(&mut self, label: &'static str, text: Safe, role: Role) {
        let mut label = Safe::literal(label);
        let texts = text.wrapped_words(self.width.saturating_sub(LABEL + 2), 0);
        let hits = self.hits(&texts, false);
        for (text, mut hits) in texts.into_iter().zip(hits) {
            let goes_on = label.as_str().is_empty();
            let text =
                if goes_on { Safe::concat(&[&Safe::composed(&" ".repeat(LABEL)), &text]) } else { text };
            if goes_on {
                for (column, _) in &mut hits {
                    *column += LABEL;
                }
            }
            self.line(std::mem::take(&mut label), text, role, hits);
        }
    }

    fn hits(&self, texts: &[Safe], of_state: bool) -> Vec<Vec<Columns>> {
        self.needles.columns(&texts.iter().map(Safe::as_str).collect::<Vec<_>>(), of_state)
    }

    fn line(&mut self, label: Safe, text: Safe, role: Role, hits: Vec<Columns>) {
        self.out.push(Line { label, text, role, hits });
    }

    fn blank(&mut self) {
        self.line(Safe::default(), Safe::default(), Role::Text, Vec::new());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::app::fixtures::row_at;

    const SETTING: Setting = Setting { zone: Zone::Utc, local: Zone::Utc, now: Timestamp::from_micros(0) };

    #[test]
    fn a_selection_is_fetched_once_at_once_after_a_rest_and_else_when_it_rests() {
        let mut pane = EventPane::default();
        let at = Duration::from_millis;
        assert!(pane.show(Some(&row_at(1, "a")), at(0), SETTING));
        assert!(!pane.show(Some(&row_at(1, "a")), at(10), SETTING));
        assert_eq!(pane.take_due(at(10)).unwrap().event_id, "a");
        assert!(pane.show(Some(&row_at(2, "b")), at(50), SETTING));
        assert_eq!(pane.take_due(at(90)), None);
        assert_eq!(pane.take_due(at(130)).unwrap().event_id, "b");
        assert_eq!(pane.take_due(at(500)), None);
        assert!(pane.show(Some(&row_at(3, "c")), at(500), SETTING));
        assert_eq!(pane.take_due(at(500)).unwrap().event_id, "c");
    }
}
