//! Letters for the actors and resources that a filter names, so that several on one timeline are told apart at a glance.

use crate::domain::EventRow;
use crate::filter::{Expr, Field, Filter, Match, Matcher};

/// Columns of a letter and the blank behind it.
pub(crate) const LETTER: usize = 2;

/// What has a letter, by the order in the filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named<'f> {
    Actor(&'f str),
    Resource(Option<&'f str>, &'f str),
}

/// The letters of a filter; none where it names fewer than two actors and resources, or more than there are letters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Letters<'f>(Vec<Named<'f>>);

impl<'f> Letters<'f> {
    /// Those of a filter.
    pub(crate) fn of(filter: &'f Filter) -> Self {
        let mut named = Vec::new();
        filter.conditions().iter().for_each(|expr| collect(expr, &mut named));
        let letters = ('A'..='Z').count();
        Self(if (2..=letters).contains(&named.len()) { named } else { Vec::new() })
    }

    /// The letter of the event's actor.
    pub(crate) fn actor(&self, event: &EventRow) -> Option<char> {
        let is_it = |id: &str| event.actor_id == id || is_email(event.actor_email.as_deref(), id);
        self.position(|named| matches!(named, Named::Actor(id) if is_it(id)))
    }

    /// The letter of the event's resource.
    pub(crate) fn resource(&self, event: &EventRow) -> Option<char> {
        self.position(|named| match named {
            Named::Resource(kind, id) => {
                kind.is_none_or(|kind| kind == event.resource_type) && *id == event.resource_id
            }
            Named::Actor(_) => false,
        })
    }

    /// Whether there are actors among them, and whether there are resources.
    pub(crate) fn kinds(&self) -> (bool, bool) {
        let actor = |named: &Named<'_>| matches!(named, Named::Actor(_));
        (self.0.iter().any(actor), self.0.iter().any(|named| !actor(named)))
    }

    fn position(&self, is_it: impl Fn(&Named<'f>) -> bool) -> Option<char> {
        ('A'..='Z').zip(&self.0).find(|(_, named)| is_it(named)).map(|(letter, _)| letter)
    }
}

/// E-mail addresses are the same in any case.
fn is_email(email: Option<&str>, name: &str) -> bool {
    email.is_some_and(|email| name.contains('@') && email.eq_ignore_ascii_case(name))
}

/// What an expression names; what it excludes does not count.
fn collect<'f>(expr: &'f Expr, into: &mut Vec<Named<'f>>) {
    match expr {
        Expr::And(parts) | Expr::Or(parts) => parts.iter().for_each(|part| collect(part, into)),
        Expr::Match(Match { field, any_of }) => {
            for matcher in any_of {
                let named = match (field, matcher) {
                    (Field::Actor | Field::ActorId | Field::ActorEmail, Matcher::Equals(id)) => {
                        Named::Actor(id)
                    }
                    (Field::ResourceId, Matcher::Equals(id)) => Named::Resource(None, id),
                    (Field::Resource, Matcher::Resource { resource_type, id, prefix: false }) => {
                        Named::Resource(Some(resource_type), id)
                    }
                    _ => continue,
                };
                if !into.contains(&named) {
                    into.push(named);
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::app::fixtures::event_row;

    fn letters(filter: &str, actor: &str, resource: (&str, &str)) -> (Option<char>, Option<char>) {
        let filter = Filter::parse(filter).unwrap();
        let event = EventRow {
            actor_id: actor.to_owned(),
            actor_email: Some("Eve@acme.example".to_owned()),
            resource_type: resource.0.to_owned(),
            resource_id: resource.1.to_owned(),
            ..event_row("e1", 0)
        };
        let letters = Letters::of(&filter);
        (letters.actor(&event), letters.resource(&event))
    }

    #[test]
    fn two_that_a_filter_names_have_a_letter_each() {
        let key = ("api_key", "ak-42");
        assert_eq!(letters("actor:svc-ci,svc-deploy sev:crit", "svc-deploy", key), (Some('B'), None));
        assert_eq!(letters("actor:svc-ci OR res:api_key/ak-42", "svc-ci", key), (Some('A'), Some('B')));
        assert_eq!(letters("resource_id:ak-42,ak-77", "svc-ci", key), (None, Some('A')));
        assert_eq!(letters("actor:eve@acme.example,x", "user-5", key), (Some('A'), None));
        assert_eq!(letters("actor:svc-ci", "svc-ci", key), (None, None), "one needs none");
        assert_eq!(letters("-actor:svc-ci -actor:x", "svc-ci", key), (None, None), "excluded");
        assert_eq!(letters("actor:svc-*,x*", "svc-ci", key), (None, None), "no single one");
    }
}
