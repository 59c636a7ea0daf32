//! A row of the timeline, made fit for the screen once, when its page arrives.

use crate::case::labels::Labels;
use crate::console::integrity::row_marks::{Delta, Mark, Marks};
use crate::console::timeline::columns::{Column, Columns};
use crate::console::timeline::elapsed;
use crate::console::timeline::letters::{LETTER, Letters};
use crate::console::timeline::runs::Run;
use crate::console::widgets::painter::Painter;
use crate::console::widgets::theme::Role;
use crate::console::widgets::time_zone::Zone;
use crate::domain::{EventRow, Safe};
use crate::investigation::tempo::Tempo;
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
    request: Safe,
}

/// Who acted: a name of which the domain may not be cut.
#[derive(Debug, Clone)]
struct Actor {
    whole: Safe,
    /// Columns of the domain, `@` included.
    domain: usize,
}

impl Actor {
    fn of(prefix: &str, name: &str) -> Self {
        let domain = name.rfind('@').and_then(|at| name.get(at..)).unwrap_or_default();
        Self {
            whole: Safe::from_untrusted(&format!("{prefix}{name}")),
            domain: Safe::from_untrusted(domain).width(),
        }
    }

    /// Cut to columns: the domain of an e-mail address is never cut, as long as something remains before it.
    fn cut(&self, columns: usize) -> Safe {
        self.whole.cut_middle_keeping(columns, self.domain)
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
            action: Safe::from_untrusted(if says(&event.event_type, &event.action) {
                ""
            } else {
                &event.action
            }),
            kind: Safe::from_untrusted(&event.event_type),
            actor: {
                let (prefix, name) = event.actor_name();
                Actor::of(prefix, name)
            },
            resource: Safe::from_untrusted(&format!("{}/{}", event.resource_type, event.resource_id)),
            ip: safe(&event.actor_ip),
            session: safe(&event.session_id),
            request: Safe::from_untrusted(&event.request_id),
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

    /// How many columns its text in a column takes, uncut.
    pub(crate) fn width(&self, column: Column) -> usize {
        match column {
            Column::Elapsed => elapsed::WIDTH,
            Column::Type => self.kind.width(),
            Column::Resource => self.resource.width(),
            Column::Actor => self.actor.whole.width(),
            Column::Address => self.ip.width(),
            // Of what is beside the row.
            Column::Changes | Column::Case => 0,
            Column::Action => self.action.width(),
            Column::Session => self.session.width(),
            Column::Request => self.request.width(),
        }
    }

    /// Draws it on line `y`, with what is known of its content and signs of what was said of it. The bar of the selected row has one colour; only a severity keeps its own.
    pub(crate) fn paint(
        &self,
        painter: &mut Painter<'_>,
        y: usize,
        columns: &Columns,
        marks: &Marks,
        beside: &Beside<'_>,
        selected: bool,
    ) {
        let role = |role| if selected { Role::Text } else { role };
        let (letters, labels) = (beside.letters, beside.labels);
        painter.say(1, y, beside.mark.sign(), role(beside.mark.role()));
        painter.put(3, y, &self.clock, Role::Text);
        if let Some((sign, noted)) = elapsed::sign(beside.tempo) {
            painter.say(11, y, sign, role(noted));
        }
        let severity = if self.severity.1 == Role::Info { role(Role::Info) } else { self.severity.1 };
        painter.put(12, y, &self.severity.0.cut_end(4), severity);
        for (column, x, width) in columns.places() {
            match column {
                Column::Elapsed => match beside.tempo.elapsed {
                    Some(elapsed) => {
                        let noted = if beside.tempo.is_gap { Role::Notice } else { role(Role::Muted) };
                        painter.put(x, y, &elapsed::text(elapsed).cut_end(width), noted)
                    }
                    None => x,
                },
                Column::Type => painter.put(x, y, &self.kind.cut_middle(width), Role::Text),
                Column::Resource => {
                    let (x, width) =
                        letter(painter, (x, y, width), letters.kinds().1, letters.resource(&self.event));
                    match beside.run.filter(|run| !run.one_object) {
                        Some(_) => {
                            let kind = Safe::from_untrusted(&format!("{}/…", self.event.resource_type));
                            painter.put(x, y, &kind.cut_end(width), Role::Text)
                        }
                        None => {
                            let end = painter.put(x, y, &self.resource.cut_middle(width), Role::Text);
                            let called = labels.beside(&self.event.resource_id);
                            label(painter, (end, y, x + width), called, role(Role::Muted))
                        }
                    }
                }
                Column::Actor => {
                    let (x, width) =
                        letter(painter, (x, y, width), letters.kinds().0, letters.actor(&self.event));
                    let end = painter.put(x, y, &self.actor.cut(width), Role::Text);
                    let event = &self.event;
                    let of_email = event.actor_email.as_deref().and_then(|email| labels.beside(email));
                    let called = of_email.or_else(|| labels.beside(&event.actor_id));
                    label(painter, (end, y, x + width), called, role(Role::Muted))
                }
                Column::Address => {
                    let end = painter.put(x, y, &self.ip.cut_middle(width), Role::Text);
                    let called = self.event.actor_ip.as_deref().and_then(|ip| labels.beside(ip));
                    label(painter, (end, y, x + width), called, role(Role::Muted))
                }
                // Those of one event would look like those of all.
                Column::Changes | Column::Session | Column::Request if beside.run.is_some() => x,
                Column::Changes => match marks.of(&self.event).map(|g| &g.delta) {
                    Some(Delta::Changes(sign)) => painter.put(x, y, sign, Role::Text),
                    Some(Delta::Noise) => painter.say(x, y, "Δ0", role(Role::Muted)),
                    Some(Delta::NotRecorded) => painter.say(x, y, "–", role(Role::Muted)),
                    Some(Delta::Uncounted) => painter.say(x, y, "Δ?", role(Role::Muted)),
                    None => painter.say(x, y, "·", role(Role::Muted)),
                },
                Column::Action => painter.put(x, y, &self.action.cut_end(width), role(Role::Muted)),
                Column::Session => painter.put(x, y, &self.session.cut_middle(width), role(Role::Muted)),
                Column::Case => painter.put(x, y, &beside.said, role(Role::Notice)),
                Column::Request => painter.put(x, y, &self.request.cut_middle(width), role(Role::Muted)),
            };
        }
    }
}

/// Draws a letter before the text of a column, where the column has letters. Where the text begins, and its room.
fn letter(
    painter: &mut Painter<'_>,
    (x, y, width): (usize, usize, usize),
    has_letters: bool,
    letter: Option<char>,
) -> (usize, usize) {
    if !has_letters {
        return (x, width);
    }
    if let Some(letter) = letter {
        painter.put(x, y, &Safe::from_untrusted(letter.encode_utf8(&mut [0; 4])), Role::Key);
    }
    (x + LETTER, width.saturating_sub(LETTER))
}

/// Draws what a value is called behind the value, as far as there is room in its column.
fn label(
    painter: &mut Painter<'_>,
    (x, y, end): (usize, usize, usize),
    called: Option<Safe>,
    role: Role,
) -> usize {
    let room = end.saturating_sub(x + 1);
    match called {
        Some(called) if room >= 4 => painter.put(x + 1, y, &called.cut_end(room), role),
        _ => x,
    }
}

/// What a row is seen beside.
pub(crate) struct Beside<'a> {
    /// What ids and networks are called here.
    pub(crate) labels: &'a Labels,
    /// Letters of the actors and resources of the filter.
    pub(crate) letters: &'a Letters<'a>,
    /// How it lies among its neighbours.
    pub(crate) tempo: Tempo,
    /// Signs of what was said of the event.
    pub(crate) said: Safe,
    /// What is known of its content.
    pub(crate) mark: Mark,
    /// The run that it stands for.
    pub(crate) run: Option<Run>,
}

/// Stems of the words that types have for an action.
const STEMS: [(&str, &[&str]); 4] = [
    ("create", &["creat", "add", "insert"]),
    ("read", &["view", "get", "list", "describe", "head"]),
    ("update", &["updat", "chang", "modif", "put"]),
    ("delete", &["delet", "remov", "revok", "purg"]),
];

/// Whether a type names the action already: `dataset.exported` does for `export`, `login.succeeded` does not for
/// `create`.
fn says(kind: &str, action: &str) -> bool {
    let kind = kind.to_lowercase();
    let stem = action.to_lowercase();
    let stem = stem.strip_suffix('e').unwrap_or(&stem);
    let others = STEMS.iter().find(|(word, _)| *word == action).map_or(&[][..], |(_, others)| others);
    !stem.is_empty() && (kind.contains(stem) || others.iter().any(|other| kind.contains(other)))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::app::fixtures::event_row;

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
    fn the_action_stands_where_the_type_does_not_say_it() {
        for (kind, action, expected) in [
            ("dataset.exported", "export", true),
            ("role_binding.updated", "update", true),
            ("prompt.viewed", "read", true),
            ("DeleteTrail", "delete", true),
            ("login.succeeded", "create", false),
            ("logout", "delete", false),
            ("anything", "", false),
        ] {
            assert_eq!(says(kind, action), expected, "{kind} {action}");
        }
    }

    #[test]
    fn words_of_other_tables_are_shown_as_they_are() {
        let mut event = event_row("e1", 0);
        event.event_severity = "fatal\u{1b}".to_owned();
        assert_eq!(Row::new(event, Zone::Utc).severity.0.as_str(), "fatal\\x1B");
    }
}
