//! A row of the timeline, made fit for the screen once, when its page arrives.

use super::marks::{Delta, Marks};
use super::paint::Painter;
use super::theme::Role;
use super::zone::Zone;
use crate::domain::{EventRow, Safe};
use chrono::NaiveDate;

/// An event with the texts that the timeline shows of it.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// The event without states.
    pub(crate) event: EventRow,
    /// Its day in the zone shown; `None` for the infinities.
    pub(crate) day: Option<NaiveDate>,
    clock: Safe,
    severity: (Safe, Role),
    action: Safe,
    kind: Safe,
    actor: Actor,
    resource: Safe,
    ip: Safe,
    session: Safe,
}

/// Who acted: what may be cut, and the domain, which may not.
#[derive(Debug, Clone)]
struct Actor {
    local: Safe,
    domain: Safe,
    whole: Safe,
}

impl Actor {
    fn new(event: &EventRow) -> Self {
        let prefix = match event.actor_type.as_str() {
            "service" => "svc:",
            "system" => "sys:",
            _ => "",
        };
        Self::of(prefix, event.actor_email.as_deref().filter(|e| !e.is_empty()).unwrap_or(&event.actor_id))
    }

    fn of(prefix: &str, name: &str) -> Self {
        let (local, domain) = match name.rfind('@') {
            Some(at) => name.split_at(at),
            None => (name, ""),
        };
        Self {
            local: Safe::from_untrusted(&format!("{prefix}{local}")),
            domain: Safe::from_untrusted(domain),
            whole: Safe::from_untrusted(&format!("{prefix}{name}")),
        }
    }

    /// Cut to columns: the domain of an e-mail address is never cut, as long as something remains before it.
    fn cut(&self, columns: usize) -> Safe {
        let room = columns.saturating_sub(self.domain.width());
        if self.whole.width() <= columns || room < 5 {
            self.whole.cut_middle(columns)
        } else {
            Safe::from_untrusted(&format!("{}{}", self.local.cut_middle(room), self.domain))
        }
    }
}

/// The name of an actor cut to columns, as the timeline cuts it.
pub(crate) fn cut_actor(name: &str, columns: usize) -> Safe {
    Actor::of("", name).cut(columns)
}

impl Row {
    /// Formats an event.
    pub(crate) fn new(event: EventRow, zone: Zone) -> Self {
        let safe = |text: &Option<String>| Safe::from_untrusted(text.as_deref().unwrap_or_default());
        Self {
            day: zone.day(event.timestamp),
            clock: Safe::from_untrusted(&zone.clock(event.timestamp)),
            severity: severity(&event.event_severity),
            action: Safe::from_untrusted(&event.action),
            kind: Safe::from_untrusted(&event.event_type),
            actor: Actor::new(&event),
            resource: Safe::from_untrusted(&format!("{}/{}", event.resource_type, event.resource_id)),
            ip: safe(&event.actor_ip),
            session: safe(&event.session_id),
            event,
        }
    }

    /// Shows its time in another zone.
    pub(crate) fn set_zone(&mut self, zone: Zone) {
        self.day = zone.day(self.event.timestamp);
        self.clock = Safe::from_untrusted(&zone.clock(self.event.timestamp));
    }

    /// How its severity looks.
    pub(crate) fn severity(&self) -> Role {
        self.severity.1
    }

    /// Draws it on line `y`.
    pub(crate) fn paint(&self, painter: &mut Painter<'_>, y: usize, columns: &Columns, marks: &Marks) {
        let mark = marks.mark(&self.event);
        painter.say(1, y, mark.sign(), mark.role());
        painter.put(3, y, &self.clock, Role::Text);
        painter.put(12, y, &self.severity.0.cut_end(4), self.severity.1);
        painter.put(17, y, &self.action.cut_end(6), Role::Text);
        let mut x = 24;
        painter.put(x, y, &self.kind.cut_middle(columns.kind), Role::Text);
        x += columns.kind + 1;
        painter.put(x, y, &self.actor.cut(columns.actor), Role::Text);
        x += columns.actor + 1;
        match marks.of(&self.event).map(|g| &g.delta) {
            Some(Delta::Changes(sign)) => painter.put(x, y, sign, Role::Text),
            Some(Delta::Noise) => painter.say(x, y, "Δ0", Role::Muted),
            Some(Delta::NotRecorded) => painter.say(x, y, "–", Role::Muted),
            Some(Delta::Uncounted) => painter.say(x, y, "Δ?", Role::Muted),
            None => painter.say(x, y, "·", Role::Muted),
        };
        x += DELTA + 1;
        if columns.resource > 0 {
            painter.put(x, y, &self.resource.cut_middle(columns.resource), Role::Text);
            x += columns.resource + 1;
        }
        if columns.ip > 0 {
            painter.put(x, y, &self.ip.cut_middle(columns.ip), Role::Muted);
            x += columns.ip + 1;
        }
        if columns.session > 0 {
            painter.put(x, y, &self.session.cut_middle(columns.session), Role::Muted);
        }
    }
}

/// The word for a severity: critical and warning in capitals, so that they stand out without colour too.
fn severity(stored: &str) -> (Safe, Role) {
    match stored {
        "critical" => (Safe::literal("CRIT"), Role::Critical),
        "warning" => (Safe::literal("WARN"), Role::Warning),
        "info" => (Safe::literal("info"), Role::Info),
        other => (Safe::from_untrusted(other), Role::Text),
    }
}

/// Columns of the number of changes.
const DELTA: usize = 4;

/// Widths of the columns that share what the fixed ones (mark, time, severity, action) leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Columns {
    kind: usize,
    actor: usize,
    resource: usize,
    ip: usize,
    session: usize,
}

impl Columns {
    /// The columns of a timeline `width` wide, less one at the right end: resource from 100, address and session
    /// from 140.
    pub(crate) fn for_width(width: usize) -> Self {
        let mut room = width.saturating_sub(25);
        let (mut ip, mut session, mut resource) = (0, 0, 0);
        if width >= 140 {
            ip = 15;
            session = 16;
            room -= ip + session + 2;
        }
        if width >= 100 {
            resource = room * 2 / 5;
            room -= resource + 1;
        }
        // The number of changes, and a blank on either side of it.
        let room = room.saturating_sub(DELTA + 2);
        let kind = (room * 9 / 20).min(30);
        Self { kind, actor: room - kind, resource, ip, session }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::fixtures::event_row;

    #[test]
    fn the_domain_of_an_address_survives_the_cut() {
        let mut event = event_row("e1", 0);
        event.actor_email = Some("a.very.long.name.of.somebody@corp.example".to_owned());
        let row = Row::new(event, Zone::Utc);
        assert_eq!(row.actor.cut(60).as_str(), "a.very.long.name.of.somebody@corp.example");
        assert_eq!(row.actor.cut(24).as_str(), "a.ver…ebody@corp.example");
        assert_eq!(row.actor.cut(24).width(), 24);
        assert!(row.actor.cut(12).width() <= 12);
    }

    #[test]
    fn columns_never_need_more_than_there_is() {
        for width in 0..400 {
            let c = Columns::for_width(width);
            let blanks = [c.resource, c.ip, c.session].iter().filter(|w| **w > 0).count();
            let needed = 24 + c.kind + 1 + c.actor + 1 + DELTA + c.resource + c.ip + c.session + blanks;
            assert!(needed < width.max(31), "{width}: {c:?}");
        }
    }

    #[test]
    fn words_of_other_tables_are_shown_as_they_are() {
        let mut event = event_row("e1", 0);
        event.event_severity = "fatal\u{1b}".to_owned();
        assert_eq!(Row::new(event, Zone::Utc).severity.0.as_str(), "fatal\\x1B");
    }
}
