//! The chooser of a value of the selected event: to look at it alone, to include or to exclude it.

use crate::console::core::keymap::{Action, Keymap};
use crate::console::widgets::painter::Painter;
use crate::console::widgets::picker::Picker;
use crate::console::widgets::theme::Role;
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
    action: Action,
    name: &'static str,
    term: Match,
}

/// The text of a filter that came of the one typed as `text`: what was typed stays as it was typed, where the new term can
/// simply stand behind it.
pub(crate) fn spelled(text: &str, next: &Filter) -> String {
    let appended = next.conditions().last().map(|last| format!("{text} {last}").trim().to_owned());
    appended.filter(|text| Filter::parse(text).as_ref() == Ok(next)).unwrap_or_else(|| next.canonical())
}

/// The state of the chooser.
#[derive(Debug)]
pub(crate) struct Choices {
    purpose: Purpose,
    list: Vec<Choice>,
    picker: Picker,
}

impl Choices {
    /// The values of an event.
    pub(crate) fn of(event: &EventRow, purpose: Purpose) -> Self {
        let text = |action, name, field, value: Option<&String>| {
            let any_of = vec![Matcher::Equals(value?.clone())];
            Some(Choice { action, name, term: Match { field, any_of } })
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
            text(Action::PickActor, "actor", Field::ActorId, Some(&event.actor_id)),
            resource.map(|term| Choice { action: Action::PickResource, name: "resource", term }),
            text(Action::PickSession, "session", Field::SessionId, event.session_id.as_ref()),
            text(Action::PickRequest, "request", Field::RequestId, Some(&event.request_id)),
            address.map(|term| Choice { action: Action::PickAddress, name: "address", term }),
            text(Action::PickUserAgent, "user agent", Field::ActorUserAgent, event.actor_user_agent.as_ref()),
            text(Action::PickType, "type", Field::EventType, Some(&event.event_type)),
            text(Action::PickAction, "action", Field::Action, Some(&event.action)),
            text(Action::PickCategory, "category", Field::EventCategory, Some(&event.event_category)),
            text(Action::PickSeverity, "severity", Field::EventSeverity, Some(&event.event_severity)),
            text(Action::PickProject, "project", Field::ProjectId, event.project_id.as_ref()),
        ];
        // Enumerated columns of somebody else's table may hold words that a filter does not know.
        let known = |choice: &Choice| {
            let words = choice.term.field.words();
            let value = choice.term.any_of.first();
            words.is_empty() || matches!(value, Some(Matcher::Equals(v)) if words.contains(&v.as_str()))
        };
        Self { purpose, list: list.into_iter().flatten().filter(known).collect(), picker: Picker::default() }
    }

    /// Moves the selection.
    pub(crate) fn step(&mut self, by: isize) {
        self.picker.step(by, self.list.len());
    }

    /// Puts the selection on the value with this letter. Whether there is one.
    pub(crate) fn pick(&mut self, action: Action) -> bool {
        let found = self.list.iter().position(|c| c.action == action);
        if let Some(index) = found {
            self.picker.select(index);
        }
        found.is_some()
    }

    /// The filter that the selected value makes of another one, as text and meaning.
    pub(crate) fn apply(&self, text: &str, filter: &Filter) -> Option<(String, Filter)> {
        let term = Expr::Match(self.list.get(self.picker.selected(self.list.len()))?.term.clone());
        let next = match self.purpose {
            Purpose::Pivot => filter.with_only(term),
            Purpose::Include => filter.with(term),
            Purpose::Exclude => filter.with(term.not()),
        };
        Some((spelled(text, &next), next))
    }

    /// Its title.
    pub(crate) const fn title(&self) -> &'static str {
        match self.purpose {
            Purpose::Pivot => " New view of ",
            Purpose::Include => " Filter to ",
            Purpose::Exclude => " Exclude ",
        }
    }

    /// Lines of the list.
    pub(crate) fn height(&self) -> usize {
        self.list.len()
    }

    /// Draws the list.
    pub(crate) fn paint(&self, painter: &mut Painter<'_>, keymap: &Keymap) {
        let room = painter.width().saturating_sub(18);
        self.picker.paint(painter, 0, self.list.len(), |painter, y, index| {
            let Some(choice) = self.list.get(index) else { return };
            painter.put(3, y, &Safe::from_untrusted(&keymap.key(choice.action)), Role::Key);
            painter.say(5, y, choice.name, Role::Label);
            let value = choice.term.any_of.first().map(ToString::to_string).unwrap_or_default();
            painter.put(17, y, &Safe::from_untrusted(&value).cut_middle(room), Role::Text);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::app::fixtures::event_row;

    fn applied(purpose: Purpose, action: Action, text: &str) -> String {
        let mut event = event_row("e-1", 0);
        event.actor_id = "user-7".to_owned();
        event.actor_ip = Some("2001:db8::1".to_owned());
        event.event_severity = "fatal".to_owned();
        let mut choices = Choices::of(&event, purpose);
        assert!(choices.pick(action) && !choices.pick(Action::PickSeverity));
        let filter = Filter::parse(text).unwrap();
        let (text, next) = choices.apply(text, &filter).unwrap();
        assert_eq!(Filter::parse(&text), Ok(next));
        text
    }

    #[test]
    fn a_value_is_looked_at_alone_included_and_excluded() {
        assert_eq!(applied(Purpose::Include, Action::PickActor, ""), "actor_id:user-7");
        assert_eq!(
            applied(Purpose::Include, Action::PickActor, "since:-7d sev:crit"),
            "since:-7d sev:crit actor_id:user-7"
        );
        assert_eq!(
            applied(Purpose::Exclude, Action::PickActor, "type:a OR type:b"),
            "(type:a OR type:b) -actor_id:user-7"
        );
        assert_eq!(
            applied(Purpose::Exclude, Action::PickActor, "actor_id:user-7 x"),
            "\"x\" -actor_id:user-7"
        );
        assert_eq!(applied(Purpose::Include, Action::PickAddress, "ip:\"2001:db8::1\""), "ip:2001:db8::1");
        assert_eq!(
            applied(Purpose::Pivot, Action::PickActor, "sev:info since:-7d"),
            "since:-7d actor_id:user-7"
        );
    }
}
