//! The chooser of a value of the selected event: to look at it alone, to include or to exclude it.

use crate::console::paint::Painter;
use crate::console::theme::Role;
use crate::domain::{EventRow, Safe};
use crate::filter::{Expr, Field, Filter, Match, Matcher};

/// What is done with the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A view of everything that has it.
    Pivot,
    /// The view, as far as it has it.
    Include,
    /// The view without it.
    Exclude,
}

/// A value, and the letter that chooses it.
#[derive(Debug, Clone)]
struct Choice {
    letter: char,
    name: &'static str,
    term: Match,
}

/// The state of the chooser.
#[derive(Debug)]
pub(crate) struct Choices {
    purpose: Purpose,
    list: Vec<Choice>,
    selected: usize,
}

impl Choices {
    /// The values of an event.
    pub(crate) fn of(event: &EventRow, purpose: Purpose) -> Self {
        let text = |letter, name, field, value: Option<&String>| {
            let any_of = vec![Matcher::Equals(value?.clone())];
            Some(Choice { letter, name, term: Match { field, any_of } })
        };
        let resource = Matcher::Resource {
            resource_type: event.resource_type.clone(),
            id: event.resource_id.clone(),
            prefix: false,
        };
        // What cannot be told from TYPE/ID is no choice.
        let resource = (!event.resource_type.is_empty() && !event.resource_type.contains('/'))
            .then(|| Match { field: Field::Resource, any_of: vec![resource] });
        let address = event.actor_ip.as_ref().and_then(|ip| ip.parse().ok());
        let address =
            address.map(|network| Match { field: Field::ActorIp, any_of: vec![Matcher::Network(network)] });
        let list = [
            text('a', "actor", Field::ActorId, Some(&event.actor_id)),
            resource.map(|term| Choice { letter: 'r', name: "resource", term }),
            text('s', "session", Field::SessionId, event.session_id.as_ref()),
            text('q', "request", Field::RequestId, Some(&event.request_id)),
            address.map(|term| Choice { letter: 'i', name: "address", term }),
            text('u', "user agent", Field::ActorUserAgent, event.actor_user_agent.as_ref()),
            text('t', "type", Field::EventType, Some(&event.event_type)),
            text('n', "action", Field::Action, Some(&event.action)),
            text('c', "category", Field::EventCategory, Some(&event.event_category)),
            text('v', "severity", Field::EventSeverity, Some(&event.event_severity)),
            text('p', "project", Field::ProjectId, event.project_id.as_ref()),
        ];
        // Enumerated columns of somebody else's table may hold words that a filter does not know.
        let known = |choice: &Choice| {
            let words = choice.term.field.words();
            let value = choice.term.any_of.first();
            words.is_empty() || matches!(value, Some(Matcher::Equals(v)) if words.contains(&v.as_str()))
        };
        Self { purpose, list: list.into_iter().flatten().filter(known).collect(), selected: 0 }
    }

    /// Moves the selection.
    pub(crate) fn step(&mut self, by: isize) {
        self.selected = self.selected.saturating_add_signed(by).min(self.list.len().saturating_sub(1));
    }

    /// Puts the selection on the value with this letter. Whether there is one.
    pub(crate) fn pick(&mut self, letter: char) -> bool {
        let found = self.list.iter().position(|c| c.letter == letter);
        self.selected = found.unwrap_or(self.selected);
        found.is_some()
    }

    /// The filter that the selected value makes of another one, as text and meaning.
    pub(crate) fn apply(&self, text: &str, filter: &Filter) -> Option<(String, Filter)> {
        let term = Expr::Match(self.list.get(self.selected)?.term.clone());
        let next = match self.purpose {
            Purpose::Pivot => filter.with_only(term),
            Purpose::Include => filter.with(term),
            Purpose::Exclude => filter.with(term.not()),
        };
        // What was typed stays as it was typed, where the new term can simply stand behind it.
        let appended = next.conditions().last().map(|last| format!("{text} {last}").trim().to_owned());
        let appended = appended.filter(|text| Filter::parse(text).as_ref() == Ok(&next));
        Some((appended.unwrap_or_else(|| next.canonical()), next))
    }

    /// Its title.
    pub(crate) const fn title(&self) -> &'static str {
        match self.purpose {
            Purpose::Pivot => " everything with this ",
            Purpose::Include => " only with this ",
            Purpose::Exclude => " without this ",
        }
    }

    /// Lines of the list.
    pub(crate) fn height(&self) -> usize {
        self.list.len()
    }

    /// Draws the list.
    pub(crate) fn paint(&self, painter: &mut Painter<'_>) {
        let room = painter.width().saturating_sub(18);
        for (y, choice) in self.list.iter().enumerate() {
            let letter = choice.letter.to_string();
            painter.put(3, y, &Safe::from_untrusted(&letter), Role::Key);
            painter.say(5, y, choice.name, Role::Label);
            let value = choice.term.any_of.first().map(ToString::to_string).unwrap_or_default();
            painter.put(17, y, &Safe::from_untrusted(&value).cut_middle(room), Role::Text);
            if y == self.selected {
                painter.say(1, y, "▸", Role::Text);
                painter.mark_line(y, Role::Selected);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::fixtures::event_row;

    fn applied(purpose: Purpose, letter: char, text: &str) -> String {
        let mut event = event_row("e-1", 0);
        event.actor_id = "user-7".to_owned();
        event.actor_ip = Some("2001:db8::1".to_owned());
        event.event_severity = "fatal".to_owned();
        let mut choices = Choices::of(&event, purpose);
        assert!(choices.pick(letter) && !choices.pick('v'));
        let filter = Filter::parse(text).unwrap();
        let (text, next) = choices.apply(text, &filter).unwrap();
        assert_eq!(Filter::parse(&text), Ok(next));
        text
    }

    #[test]
    fn a_value_is_looked_at_alone_included_and_excluded() {
        assert_eq!(applied(Purpose::Include, 'a', ""), "actor_id:user-7");
        assert_eq!(
            applied(Purpose::Include, 'a', "since:-7d sev:crit"),
            "since:-7d sev:crit actor_id:user-7"
        );
        assert_eq!(applied(Purpose::Exclude, 'a', "type:a OR type:b"), "(type:a OR type:b) -actor_id:user-7");
        assert_eq!(applied(Purpose::Exclude, 'a', "actor_id:user-7 x"), "\"x\" -actor_id:user-7");
        assert_eq!(applied(Purpose::Include, 'i', "ip:\"2001:db8::1\""), "ip:2001:db8::1");
        assert_eq!(applied(Purpose::Pivot, 'a', "sev:info since:-7d"), "since:-7d actor_id:user-7");
    }
}
