//! Ghost changes: what the search has found so far, to be stepped through. Has the place of all panes.

use crate::console::ghosts::task::Progress;
use crate::console::widgets::painter::Painter;
use crate::console::widgets::theme::Role;
use crate::console::widgets::time_zone::Zone;
use crate::diff::ghost::Ghost;
use crate::diff::writing::Writing;
use crate::domain::{EventKey, OrgId, Safe, Timestamp, grouped};
use crate::store::history::Resource;
use crate::verify::Ghosts;

/// Lines about the finding under the cursor, below the list.
const ABOUT: usize = 5;

/// How far a search has come.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    /// It runs, and has looked at what came up to then.
    Running(Option<Timestamp>),
    /// It has looked at everything.
    Done,
    /// It ended before, for this reason, having looked at what came up to then.
    Ended(Option<Timestamp>, Safe),
}

/// The state of the page.
#[derive(Debug)]
pub(crate) struct GhostPane {
    /// Where it looks.
    pub(crate) organization: OrgId,
    /// The same in words: the organisation, a resource, a filter.
    of: Safe,
    stage: Stage,
    found: Ghosts,
    /// All findings, in the order of time.
    list: Vec<Ghost>,
    cursor: usize,
    top: usize,
    width: usize,
    height: usize,
    zone: Zone,
}

impl GhostPane {
    /// A search that begins.
    pub(crate) fn new(organization: OrgId, of: Safe) -> Self {
        Self {
            organization,
            of,
            stage: Stage::Running(None),
            found: Ghosts::default(),
            list: Vec::new(),
            cursor: 0,
            top: 0,
            width: 0,
            height: 0,
            zone: Zone::Utc,
        }
    }

    /// What was found so far.
    pub(crate) fn tell(&mut self, so_far: Progress) {
        self.stage = Stage::Running(so_far.at);
        self.take(so_far.found);
    }

    /// What was found.
    pub(crate) fn finish(&mut self, found: Ghosts) {
        self.stage = Stage::Done;
        self.take(found);
    }

    /// The search has ended before its time; what was found stays.
    pub(crate) fn fail(&mut self, why: Safe) {
        if let Stage::Running(at) = self.stage {
            self.stage = Stage::Ended(at, why);
        }
    }

    fn take(&mut self, found: Ghosts) {
        let stood = self.current().cloned();
        self.list = found.types.iter().flat_map(|t| &t.ghosts).cloned().collect();
        let key = |g: &Ghost| (g.before.1, g.before.0.clone(), g.resource_id.clone());
        self.list.sort_by_cached_key(key);
        self.found = found;
        // One stays where one was, also when a type of resources turns out to be written otherwise.
        if let Some(stood) = stood {
            let at = self.list.partition_point(|g| key(g) < key(&stood));
            self.cursor = at;
        }
        self.keep_in_sight();
    }

    /// The finding under the cursor.
    pub(crate) fn current(&self) -> Option<&Ghost> {
        self.list.get(self.cursor)
    }

    /// The resource of the finding under the cursor, and the event that saw the change.
    pub(crate) fn place(&self) -> Option<(Resource, EventKey)> {
        let ghost = self.current()?;
        let resource = Resource { kind: ghost.resource_type.clone(), id: ghost.resource_id.clone() };
        let (event_id, timestamp) = ghost.before.clone();
        Some((resource, EventKey { timestamp, event_id }))
    }

    /// Takes note of the size of the page and of the zone that times are shown in.
    pub(crate) fn set_size(&mut self, width: usize, height: usize, zone: Zone) {
        (self.width, self.height, self.zone) = (width, height, zone);
        self.keep_in_sight();
    }

    /// Lines of the list.
    pub(crate) fn body_height(&self) -> usize {
        let about = if self.list.is_empty() { 0 } else { ABOUT.min(self.height / 3) + 1 };
        self.height.saturating_sub(self.heading_in_sight().len() + about)
    }

    /// Moves the cursor by lines.
    pub(crate) fn scroll(&mut self, by: isize) {
        self.cursor = self.cursor.saturating_add_signed(by);
        self.keep_in_sight();
    }

    fn keep_in_sight(&mut self) {
        self.cursor = self.cursor.min(self.list.len().saturating_sub(1));
        let height = self.body_height().max(1);
        self.top = self.top.min(self.cursor).max((self.cursor + 1).saturating_sub(height));
    }

    /// `all of acme · 3 of 17`
    pub(crate) fn note(&self) -> Safe {
        let place = match self.list.len() {
            0 => String::new(),
            n => format!(" · {} of {}", grouped(self.cursor as u64 + 1), grouped(n as u64)),
        };
        Safe::from_untrusted(&format!("{}{place}", self.of))
    }

    /// How far it has looked, and what must be known of the findings.
    fn heading(&self) -> Vec<(Safe, Role)> {
        let (total, compared) = (self.found.total(), grouped(self.found.compared()));
        let changes = if total == 1 { "change" } else { "changes" };
        let events = grouped(self.found.events);
        let counts = format!(
            "{events} events read, {compared} pairs compared: {} {changes} without an event",
            grouped(total)
        );
        let minute = |at: &Option<Timestamp>| at.map_or("nothing yet".to_owned(), |at| self.zone.second(at));
        let (stage, role) = match &self.stage {
            Stage::Running(at) => (format!("searching, up to {}", minute(at)), Role::Notice),
            Stage::Ended(None, why) => (format!("{why}: nothing was searched"), Role::Error),
            Stage::Ended(at, why) => {
                (format!("{why}: nothing is said of what came after {}", minute(at)), Role::Error)
            }
            Stage::Done if total == 0 && self.found.compared() == 0 => (
                format!("{}: this says nothing", self.found.incomparable().unwrap_or_default()),
                Role::Notice,
            ),
            Stage::Done if total == 0 => ("done: none in what was compared".to_owned(), Role::Muted),
            Stage::Done => ("done; the chain around each was checked".to_owned(), Role::Muted),
        };
        let mut lines = vec![(counts, Role::Text), (stage, role)];
        let of_writing = |writing: Writing| {
            let types = self.found.types.iter().filter(move |t| t.writing == writing && t.compared > 0);
            types.map(|t| t.resource_type.as_str()).collect::<Vec<_>>().join(", ")
        };
        for writing in [Writing::Partial, Writing::ChangedAfter, Writing::ChangedBefore] {
            let types = of_writing(writing);
            if let Some(remark) = writing.remark().filter(|_| !types.is_empty()) {
                lines.push((format!("{types}: {remark}"), Role::Notice));
            }
        }
        if let Some((n, record)) = self.found.calls().filter(|_| self.found.compared() > 0) {
            let events = if n == 1 { "event records a call" } else { "events record calls" };
            let text = format!("{} {events} ({}), not states: not compared", grouped(n), record.title);
            lines.push((text, Role::Notice));
        }
        if self.found.left_out > 0 {
            let events = if self.found.left_out == 1 { "event" } else { "events" };
            let left_out = format!("{} {events}", grouped(self.found.left_out));
            lines
                .push((format!("{left_out} left out: a state is too large or cannot be read"), Role::Notice));
        }
        if total > self.list.len() as u64 {
            lines.push((format!("the first {} are listed", grouped(self.list.len() as u64)), Role::Notice));
        }
        let width = self.width.saturating_sub(2).max(16);
        let wrapped = |(text, role): (String, Role)| {
            Safe::from_untrusted(&text).wrapped_words(width, 2).into_iter().map(move |line| (line, role))
        };
        lines.into_iter().flat_map(wrapped).collect()
    }

    /// The same, where it would leave no line to the list: as much as has half of the page.
    fn heading_in_sight(&self) -> Vec<(Safe, Role)> {
        let mut lines = self.heading();
        if !self.list.is_empty() {
            lines.truncate((self.height / 2).max(1));
        }
        lines
    }

    /// Draws the list, and what is known of the finding under the cursor.
    pub(crate) fn paint(&self, painter: &mut Painter<'_>) {
        let heading = self.heading_in_sight();
        for (y, (line, role)) in heading.iter().enumerate() {
            painter.put(1, y, line, *role);
        }
        let (first, height) = (heading.len(), self.body_height());
        for (y, (index, ghost)) in self.list.iter().enumerate().skip(self.top).take(height).enumerate() {
            self.paint_ghost(painter, first + y, ghost);
            if index == self.cursor {
                painter.mark_line(first + y, Role::Selected);
            }
        }
        if let Some(ghost) = self.current() {
            self.paint_about(painter, first + height, ghost);
        }
    }

    /// `2026-01-15 09:58:01  role_binding/rb-7       roles quota   gap`
    fn paint_ghost(&self, painter: &mut Painter<'_>, y: usize, ghost: &Ghost) {
        let width = painter.width().saturating_sub(1);
        painter.put(1, y, &Safe::from_untrusted(&self.zone.second(ghost.before.1)), Role::Text);
        let time = self.zone.second_width() + 2;
        let columns = (width.saturating_sub(time + 2) / 2).max(8);
        let resource = Safe::from_untrusted(&format!("{}/{}", ghost.resource_type, ghost.resource_id));
        painter.put(1 + time, y, &resource.cut_middle(columns), Role::Label);
        let x = time + columns + 2;
        let gap = !self.found.gaps_at(ghost).is_empty();
        let end = if gap { painter.put_right(width, y, &Safe::literal("gap"), Role::Unable) } else { width };
        painter.put(
            x,
            y,
            &Safe::from_untrusted(&paths(ghost)).cut_end(end.saturating_sub(x + 1)),
            Role::Changed,
        );
    }

    fn paint_about(&self, painter: &mut Painter<'_>, y: usize, ghost: &Ghost) {
        painter.rule(0, y, "─", Role::Rule);
        let room = painter.width().saturating_sub(10);
        let mut line = y + 1;
        let mut add = |label: &'static str, text: &str, role: Role| {
            painter.say(1, line, label, Role::Label);
            painter.put(9, line, &Safe::from_untrusted(text).cut_end(room), role);
            line += 1;
        };
        add("left by", &format!("{} {}", self.zone.second(ghost.after.1), ghost.after.0), Role::Text);
        add("seen by", &format!("{} {}", self.zone.second(ghost.before.1), ghost.before.0), Role::Text);
        add("changed", &paths(ghost), Role::Changed);
        match (self.found.gaps_at(ghost), &self.stage) {
            ([first, rest @ ..], _) => {
                let more = if rest.is_empty() { String::new() } else { format!(", and {} more", rest.len()) };
                let text = format!(
                    "a gap before {} {}{more}: a row may be missing",
                    self.zone.second(first.timestamp),
                    first.event_id
                );
                add("chain", &text, Role::Unable);
            }
            ([], Stage::Done) => add("chain", "no gap in that time: the change had no row", Role::Text),
            ([], _) => add("chain", "not looked at yet", Role::Muted),
        }
    }
}

fn paths(ghost: &Ghost) -> String {
    let name = |path: &String| if path.is_empty() { "the whole state".to_owned() } else { path.clone() };
    ghost.paths.iter().map(name).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::diff::ghost::TypeReport;
    use crate::verify::Gap;

    pub(crate) fn found(times: &[i64]) -> Ghosts {
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        let ghost = |n: &i64| Ghost {
            resource_type: "role".to_owned(),
            resource_id: format!("r{n}"),
            after: (format!("a{n}"), at(n - 1)),
            before: (format!("b{n}"), at(*n)),
            paths: vec!["/x".to_owned(), String::new()],
        };
        let report = TypeReport {
            resource_type: "role".to_owned(),
            writing: Writing::Partial,
            compared: 9,
            ghosts: times.iter().map(ghost).collect(),
            total: times.len() as u64,
            calls: 0,
            record: None,
        };
        let gaps = vec![Gap { timestamp: at(5), event_id: "g".to_owned() }];
        Ghosts { events: 100, left_out: 1, types: vec![report], gaps }
    }

    fn pane() -> GhostPane {
        let mut pane = GhostPane::new(OrgId::new("acme").unwrap(), Safe::literal("all of acme"));
        pane.set_size(80, 20, Zone::Utc);
        pane
    }

    #[test]
    fn one_stays_at_a_finding_while_others_come_in() {
        let mut pane = pane();
        pane.tell(Progress { found: found(&[5, 9]), at: None });
        pane.scroll(1);
        assert_eq!(pane.place().unwrap().1.event_id, "b9");
        pane.tell(Progress { found: found(&[3, 5, 7, 9]), at: None });
        assert_eq!(pane.place().unwrap().1.event_id, "b9");
        assert_eq!(pane.note().as_str(), "all of acme · 4 of 4");
        pane.finish(found(&[]));
        assert!(pane.place().is_none());
    }

    #[test]
    fn what_was_not_looked_at_is_said() {
        let text = |pane: &GhostPane| -> String {
            pane.heading().iter().map(|(line, _)| line.as_str()).collect::<Vec<_>>().join("\n")
        };
        let mut pane = pane();
        assert!(text(&pane).contains("searching, up to nothing yet"), "{}", text(&pane));
        pane.tell(Progress { found: found(&[5]), at: Some(Timestamp::from_micros(0)) });
        pane.fail(Safe::literal("stopped"));
        assert!(
            text(&pane).contains("stopped: nothing is said of what came after 1970-01-01 00:00:00Z"),
            "{}",
            text(&pane)
        );
        pane.finish(found(&[5]));
        let said = text(&pane);
        assert!(said.contains("100 events read, 9 pairs compared: 1 change without an event"), "{said}");
        assert!(
            said.contains("role: states hold only what an event touched")
                && said.contains("1 event left out")
        );
        assert!(!pane.found.gaps_at(&pane.list[0]).is_empty());
    }
}
