//! The chooser of a value of the selected event: to look at it alone, to include or to exclude it.

use crate::console::core::keymap::{Action, Context};
use crate::console::dialogs::{Cursor, Dialog, Frame, Stage};
use crate::console::widgets::painter::Painter;
use crate::console::widgets::picker::Picker;
use crate::console::widgets::theme::Role;
use crate::domain::{EventRow, Safe, is_identifier};
use crate::filter::{Expr, Field, Filter, Match, Matcher, Path, Side, StateMatch, Test, Value, Words};
use crate::investigation::lineage::Term;
use crate::store::history::Resource;

/// Longest value of a state that is offered, in bytes.
const LONGEST: usize = 256;

/// What is done with the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A view of everything that has it.
    Pivot,
    /// The view, as far as it has it.
    Include,
    /// The view without it.
    Exclude,
    /// The view, and besides what has it.
    Widen,
}

/// A value in a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StateValue {
    /// The value.
    pub(crate) value: Value,
    /// Where it stands.
    pub(crate) path: Path,
}

impl StateValue {
    /// What can be looked at by it: events that mention it, that have it in the same place; and where it looks like the
    /// name of an actor or a resource, or like an address, what those did or suffered.
    fn choices(&self, purpose: Purpose) -> Vec<Choice> {
        let text = match &self.value {
            Value::Text(text) => text.clone(),
            other => other.to_json(),
        };
        if text.is_empty() || text.len() > LONGEST || text.contains(char::is_control) {
            return Vec::new();
        }
        let choice =
            |action, name, term| Choice { action, name, value: text.clone(), leads: Leads::Filter(term) };
        let field = |field, matcher| Expr::Match(Match { field, any_of: vec![matcher] });
        let mut out = Vec::new();
        let is_text = matches!(self.value, Value::Text(_));
        if is_text && text.contains(char::is_alphanumeric) {
            let words = Expr::Words(Words { text: text.clone(), prefix: false });
            out.push(choice(Action::PickMention, "mentions", words));
        }
        let any_of = vec![Test::Equals(self.value.clone())];
        let same = Expr::State(StateMatch { side: Side::Any, path: self.path.clone(), any_of });
        out.push(choice(Action::PickSame, "same value", same));
        if !matches!(purpose, Purpose::Pivot | Purpose::Widen) || !is_text {
            return out;
        }
        if let Ok(network) = text.parse() {
            let from = field(Field::ActorIp, Matcher::Network(network));
            out.push(choice(Action::PickHost, "from there", from));
        } else if is_identifier(&text) {
            out.push(choice(
                Action::PickDeeds,
                "what it did",
                field(Field::Actor, Matcher::Equals(text.clone())),
            ));
            let resource = match text.split_once('/') {
                Some((kind, id)) if !kind.is_empty() && !id.is_empty() => {
                    let (resource_type, id) = (kind.to_owned(), id.to_owned());
                    field(Field::Resource, Matcher::Resource { resource_type, id, prefix: false })
                }
                _ => field(Field::ResourceId, Matcher::Equals(text.clone())),
            };
            out.push(choice(Action::PickFate, "its history", resource));
        }
        out
    }
}

/// A value, and the letter that chooses it.
#[derive(Debug, Clone)]
struct Choice {
    action: Action,
    name: &'static str,
    value: String,
    leads: Leads,
}

/// What a choice leads to.
#[derive(Debug, Clone)]
enum Leads {
    /// A filter with this term.
    Filter(Expr),
    /// What this created, and what that did next.
    Lineage(Term),
}

/// What the actor of an event created, and what the creation of its resource named.
fn lineages(event: &EventRow) -> Vec<Choice> {
    let choice = |action, origin: Term| Choice {
        action,
        name: "lineage",
        value: origin.name(),
        leads: Leads::Lineage(origin),
    };
    let actor = Term::Actor(event.actor_id.clone());
    let resource = Term::Resource(Resource::of(event));
    vec![choice(Action::PickActorLineage, actor), choice(Action::PickResourceLineage, resource)]
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
    /// The values under the cursor, if there are any, and those of an event.
    pub(crate) fn of(event: &EventRow, at_cursor: &[StateValue], purpose: Purpose) -> Self {
        let choice = |action, name, term: Match| Choice {
            action,
            name,
            value: term.any_of.first().map(ToString::to_string).unwrap_or_default(),
            leads: Leads::Filter(Expr::Match(term)),
        };
        let text = |action, name, field: Field, value: Option<&String>| {
            let value = value?;
            let any_of = vec![Matcher::Equals(value.clone())];
            field.knows(value).then(|| choice(action, name, Match { field, any_of }))
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
            resource.map(|term| choice(Action::PickResource, "resource", term)),
            text(Action::PickSession, "session", Field::SessionId, event.session_id.as_ref()),
            text(Action::PickRequest, "request", Field::RequestId, Some(&event.request_id)),
            address.map(|term| choice(Action::PickAddress, "address", term)),
            text(Action::PickUserAgent, "user agent", Field::ActorUserAgent, event.actor_user_agent.as_ref()),
            text(Action::PickType, "type", Field::EventType, Some(&event.event_type)),
            text(Action::PickAction, "action", Field::Action, Some(&event.action)),
            text(Action::PickCategory, "category", Field::EventCategory, Some(&event.event_category)),
            text(Action::PickSeverity, "severity", Field::EventSeverity, Some(&event.event_severity)),
            text(Action::PickProject, "project", Field::ProjectId, event.project_id.as_ref()),
        ];
        let lineage = lineages(event).into_iter().filter(|_| purpose == Purpose::Pivot);
        let at_cursor = at_cursor.iter().flat_map(|value| value.choices(purpose));
        let list = at_cursor.chain(list.into_iter().flatten()).chain(lineage).collect();
        Self { purpose, list, picker: Picker::default() }
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

    fn selected(&self) -> Option<&Choice> {
        self.list.get(self.picker.selected(self.list.len()))
    }

    /// Whose lineage is selected, if that is.
    pub(crate) fn lineage(&self) -> Option<Term> {
        match &self.selected()?.leads {
            Leads::Lineage(origin) => Some(origin.clone()),
            Leads::Filter(_) => None,
        }
    }

    /// The filter that the selected value makes of another one, as text and meaning.
    pub(crate) fn apply(&self, text: &str, filter: &Filter) -> Option<(String, Filter)> {
        let Leads::Filter(term) = self.selected()?.leads.clone() else { return None };
        let next = match self.purpose {
            Purpose::Pivot => filter.with_only(term),
            Purpose::Include => filter.with(term),
            Purpose::Exclude => filter.with(term.not()),
            Purpose::Widen => filter.widened(term),
        };
        Some((spelled(text, &next), next))
    }

    /// Its title.
    pub(crate) const fn title(&self) -> &'static str {
        match self.purpose {
            Purpose::Pivot => " New view of ",
            Purpose::Include => " Filter to ",
            Purpose::Exclude => " Exclude ",
            Purpose::Widen => " Add to this view ",
        }
    }

    /// Lines of the list.
    fn height(&self) -> usize {
        self.list.len()
    }
}

impl Dialog for Choices {
    fn context(&self) -> Context {
        Context::Values
    }

    fn frame(&self, _stage: &Stage<'_>) -> Frame {
        Frame::around(self.title(), 76, self.height())
    }

    fn draw(&self, painter: &mut Painter<'_>, stage: &Stage<'_>) -> Option<Cursor> {
        let keymap = stage.keymap;
        let room = painter.width().saturating_sub(18);
        self.picker.paint(painter, 0, self.list.len(), |painter, y, index| {
            let Some(choice) = self.list.get(index) else { return };
            painter.put(3, y, &Safe::from_untrusted(&keymap.key(choice.action)), Role::Key);
            painter.say(5, y, choice.name, Role::Label);
            painter.put(17, y, &Safe::from_untrusted(&choice.value).cut_middle(room), Role::Text);
        });
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::app::fixtures::event_row;
    use crate::filter::Step;

    fn applied(purpose: Purpose, action: Action, text: &str) -> String {
        let mut event = event_row("e-1", 0);
        event.actor_id = "user-7".to_owned();
        event.actor_ip = Some("2001:db8::1".to_owned());
        event.event_severity = "fatal".to_owned();
        let mut choices = Choices::of(&event, &[], purpose);
        assert!(choices.pick(action) && !choices.pick(Action::PickSeverity));
        let filter = Filter::parse(text).unwrap();
        let (text, next) = choices.apply(text, &filter).unwrap();
        assert_eq!(Filter::parse(&text), Ok(next));
        text
    }

    fn of_value(value: Value, purpose: Purpose) -> Vec<(&'static str, String)> {
        let path = Path { anywhere: false, steps: vec![Step::Key("owner".to_owned())] };
        let choices = StateValue { value, path }.choices(purpose);
        let filter = |choice: Choice| {
            let Leads::Filter(term) = choice.leads else { unreachable!("of a value") };
            let next = Filter::default().with_only(term);
            assert_eq!(Filter::parse(&next.canonical()), Ok(next.clone()));
            (choice.name, next.canonical())
        };
        choices.into_iter().map(filter).collect()
    }

    #[test]
    fn a_value_of_a_state_is_mentioned_repeated_and_may_be_somebody() {
        let text = |text: &str| of_value(Value::Text(text.to_owned()), Purpose::Pivot);
        let filters = |choices: Vec<(&str, String)>| choices.into_iter().map(|(_, f)| f).collect::<Vec<_>>();
        assert_eq!(
            filters(text("svc-ci-backup")),
            [
                "\"svc-ci-backup\"",
                "any.owner:svc-ci-backup",
                "actor:svc-ci-backup",
                "resource_id:svc-ci-backup"
            ]
        );
        assert_eq!(text("role_binding/rb-7")[3], ("its history", "res:role_binding/rb-7".to_owned()));
        assert_eq!(filters(text("203.0.113.91"))[2], "ip:203.0.113.91");
        for plain in ["active", "2026-11-28T18:15:49Z", "a note: who-ever"] {
            assert_eq!(text(plain).len(), 2, "{plain}");
        }
        assert_eq!(filters(of_value(Value::Bool(true), Purpose::Pivot)), ["any.owner:true"]);
        assert_eq!(of_value(Value::Text("svc-ci".to_owned()), Purpose::Exclude).len(), 2);
        assert_eq!(text("a\u{1b}[31m"), []);
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
        for (before, after) in [
            ("actor_id:user-8", "actor_id:user-8,user-7"),
            ("actor_id:user-7", "actor_id:user-7"),
            ("since:-7d res:key/k-1", "since:-7d (res:key/k-1 OR actor_id:user-7)"),
            ("res:key/k-1 OR sess:s", "res:key/k-1 OR sess:s OR actor_id:user-7"),
            ("res:key/k-1 sev:crit", "(res:key/k-1 sev:crit) OR actor_id:user-7"),
            ("", ""),
        ] {
            let wanted = Filter::parse(after).unwrap();
            let text = applied(Purpose::Widen, Action::PickActor, before);
            assert_eq!(Filter::parse(&text), Ok(wanted), "{before}: {text}");
        }
        assert_eq!(
            applied(Purpose::Pivot, Action::PickActor, "sev:info since:-7d"),
            "since:-7d actor_id:user-7"
        );
    }
}
