//! What an actor created, or what the creation of a resource named, and what that did next: in a few hops, each of which
//! can be shown by an event.

use crate::domain::{EventKey, EventRow, LIMITS, OrgScope, TimeRange, Timestamp, is_identifier};
use crate::filter::{Expr, Field, Filter, Match, Matcher};
use crate::store::history::Resource;
use crate::store::history::lineage::{self, Created, Named};
use crate::store::history::states::{self, Seen};
use crate::store::listing::timeline;
use crate::store::query::{Count, Query, Seek};
use crate::store::{ReadDb, StoreError};
use serde_json::Value;
use std::collections::HashSet;
use tokio_util::sync::CancellationToken;

/// Creations that are read of a hop, the newest ones.
pub const MAX_CREATIONS: usize = 500;

/// Hops: what was created did something, and what that created did, too.
pub const HOPS: u8 = 2;

/// Actors and resources that a filter names, the origin included.
pub const MAX_TERMS: usize = 30;

/// Identifiers that are looked up of one state.
const MAX_NAMES: usize = 30;

/// States that are read at once.
const AT_ONCE: usize = 100;

/// Somebody, or something, of a filter.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Term {
    /// An `actor_id`.
    Actor(String),
    /// A resource.
    Resource(Resource),
}

impl Term {
    /// `svc-deploy`, `api_key/ak-77`
    pub fn name(&self) -> String {
        match self {
            Self::Actor(id) => id.clone(),
            Self::Resource(Resource { kind, id }) => format!("{kind}/{id}"),
        }
    }
}

/// What became of something that was created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Follower {
    /// The actor that it is or names, or the resource, used by others than its creator.
    pub term: Term,
    /// Where the actor is named in the new state, as a JSON Pointer; `None` for the id of the resource itself.
    pub path: Option<String>,
    /// Events since, within the range.
    pub events: Count,
    /// Time of the first and of the last of those that were counted.
    pub times: (Timestamp, Timestamp),
    /// It is an actor that was active before.
    pub before: bool,
}

/// The creation of something that somebody used, or that named somebody who did something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// 1 for what the origin created, 2 for what that created.
    pub hop: u8,
    /// The event.
    pub event: EventKey,
    /// `actor_id` of whoever created it.
    pub creator: String,
    /// What was created.
    pub resource: Resource,
    /// What became of it; never empty.
    pub followers: Vec<Follower>,
}

/// What came of an origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lineage {
    /// Whose or what it is.
    pub origin: Term,
    /// Creations that led to something, hop by hop, oldest first.
    pub steps: Vec<Step>,
    /// Creations that were looked at.
    pub creations: usize,
    /// There are older creations, which were not looked at.
    pub more: bool,
    /// New states that were not read: too large, or the server cannot send them.
    pub unread: usize,
}

impl Lineage {
    /// Its actors and resources, the origin first, then what appeared by it, then what was there before.
    pub fn terms(&self) -> Vec<Term> {
        let followers = || self.steps.iter().flat_map(|step| &step.followers);
        let new = followers().filter(|f| !f.before);
        let all = new.chain(followers().filter(|f| f.before)).map(|f| f.term.clone());
        let mut seen = HashSet::new();
        std::iter::once(self.origin.clone()).chain(all).filter(|term| seen.insert(term.clone())).collect()
    }
}

/// The filter of the events of all of these, in the time of another one; `None` without any. The first [`MAX_TERMS`]
/// count.
pub fn union(base: &Filter, terms: &[Term]) -> Option<Filter> {
    let (mut actors, mut resources, mut parts) = (Vec::new(), Vec::new(), Vec::new());
    for term in terms.iter().take(MAX_TERMS) {
        match term {
            Term::Actor(id) => actors.push(Matcher::Equals(id.clone())),
            // A reference to a resource ends its type at the first slash.
            Term::Resource(Resource { kind, id }) if kind.is_empty() || kind.contains('/') => {
                let exactly = |field, value: &String| {
                    Expr::Match(Match { field, any_of: vec![Matcher::Equals(value.clone())] })
                };
                parts.push(Expr::And(vec![
                    exactly(Field::ResourceType, kind),
                    exactly(Field::ResourceId, id),
                ]));
            }
            Term::Resource(Resource { kind, id }) => {
                let (resource_type, id) = (kind.clone(), id.clone());
                resources.push(Matcher::Resource { resource_type, id, prefix: false });
            }
        }
    }
    for (field, any_of) in [(Field::Resource, resources), (Field::Actor, actors)] {
        if !any_of.is_empty() {
            parts.insert(0, Expr::Match(Match { field, any_of }));
        }
    }
    let condition = if parts.len() > 1 { Expr::Or(parts) } else { parts.pop()? };
    Some(base.with_only(condition))
}

/// Follows what `origin` created within `range`: which resources others used since, which identifiers in the new states
/// are actors, and what those that first appeared then created in their turn. Of a resource its own creation is looked
/// for at any time.
///
/// Each hop reads at most [`MAX_CREATIONS`] events and looks up to [`lineage::MAX_SOUGHT`] identifiers.
///
/// # Errors
/// [`StoreError`], also [`StoreError::Cancelled`] and [`StoreError::TimedOut`].
pub async fn follow(
    db: &ReadDb,
    scope: &OrgScope,
    origin: Term,
    range: TimeRange,
    cancel: &CancellationToken,
) -> Result<Lineage, StoreError> {
    let mut known = HashSet::new();
    let (mut condition, mut bounds) = match &origin {
        Term::Actor(id) => {
            known.insert(id.clone());
            (any_actor(std::slice::from_ref(id)), range)
        }
        resource @ Term::Resource(_) => {
            let only = union(&Filter::default(), std::slice::from_ref(resource));
            (only.unwrap_or_default(), TimeRange::default())
        }
    };
    let mut found = Lineage { origin, steps: Vec::new(), creations: 0, more: false, unread: 0 };
    for hop in 1..=HOPS {
        let created = vec![Matcher::Equals("create".to_owned())];
        let created = Expr::Match(Match { field: Field::Action, any_of: created });
        let query = Query { scope: scope.clone(), filter: condition.with(created), range: bounds };
        let page = timeline::page(db, &query, &Seek::Newest, MAX_CREATIONS, cancel).await?;
        found.more |= page.has_older;
        found.creations += page.rows.len();
        let mut rows = page.rows;
        rows.reverse();
        let steps = hop_of(db, scope, &rows, range, &mut known, &mut found.unread, cancel).await?;
        let appeared: Vec<String> = steps
            .iter()
            .flat_map(|(_, followers)| followers)
            .filter(|f| !f.before)
            .filter_map(|f| if let Term::Actor(id) = &f.term { Some(id.clone()) } else { None })
            .collect();
        found.steps.extend(steps.into_iter().map(|(row, followers)| Step {
            hop,
            event: row.key(),
            creator: row.actor_id.clone(),
            resource: Resource::of(row),
            followers,
        }));
        if appeared.is_empty() {
            break;
        }
        (condition, bounds) = (any_actor(&appeared), range);
    }
    Ok(found)
}

fn any_actor(ids: &[String]) -> Filter {
    let any_of = ids.iter().cloned().map(Matcher::Equals).collect();
    Filter::default().with(Expr::Match(Match { field: Field::ActorId, any_of }))
}

/// What became of these creations: those of which something became.
async fn hop_of<'a>(
    db: &ReadDb,
    scope: &OrgScope,
    rows: &'a [EventRow],
    range: TimeRange,
    known: &mut HashSet<String>,
    unread: &mut usize,
    cancel: &CancellationToken,
) -> Result<Vec<(&'a EventRow, Vec<Follower>)>, StoreError> {
    let mut out: Vec<(&EventRow, Vec<Follower>)> = rows.iter().map(|row| (row, Vec::new())).collect();
    let created: Vec<Created> = rows
        .iter()
        .map(|row| Created { resource: Resource::of(row), creator: row.actor_id.clone(), since: row.key() })
        .collect();
    for used in lineage::uses(db, scope, &created, range, cancel).await? {
        let Some((row, followers)) = out.get_mut(used.of) else { continue };
        followers.push(Follower {
            term: Term::Resource(Resource::of(row)),
            path: None,
            events: used.events,
            times: (used.first, used.last),
            before: false,
        });
    }
    let mut named: Vec<Named> = Vec::new();
    // Of each: the creation, and where in its state.
    let mut places: Vec<(usize, Option<String>)> = Vec::new();
    let mut sought = HashSet::new();
    let keys: Vec<EventKey> = rows.iter().map(EventRow::key).collect();
    for (chunk, keys) in keys.chunks(AT_ONCE).enumerate() {
        for (n, seen) in states::of(db, scope, keys, cancel).await?.into_iter().enumerate() {
            let at = chunk * AT_ONCE + n;
            let Some(row) = rows.get(at) else { continue };
            let mut names = vec![(row.resource_id.clone(), None)];
            match seen {
                Seen::Whole(event) => match event.new_state.map(|state| identifiers(state.as_str())) {
                    Some(Some(found)) => names.extend(found.into_iter().map(|(id, at)| (id, Some(at)))),
                    Some(None) => *unread += 1,
                    None => {}
                },
                Seen::Large(_) | Seen::Unreadable(_) => *unread += 1,
                Seen::Gone => {}
            }
            for (actor, path) in names {
                let new = !known.contains(&actor) && named.len() < lineage::MAX_SOUGHT;
                if new && Field::ActorId.knows(&actor) && sought.insert(actor.clone()) {
                    named.push(Named { actor, since: row.key() });
                    places.push((at, path));
                }
            }
        }
    }
    for deeds in lineage::deeds(db, scope, &named, range, cancel).await? {
        let (Some(Named { actor, .. }), Some((at, path))) = (named.get(deeds.of), places.get(deeds.of))
        else {
            continue;
        };
        let Some((_, followers)) = out.get_mut(*at) else { continue };
        known.insert(actor.clone());
        followers.push(Follower {
            term: Term::Actor(actor.clone()),
            path: path.clone(),
            events: deeds.events,
            times: (deeds.first, deeds.last),
            before: deeds.before,
        });
    }
    out.retain(|(_, followers)| !followers.is_empty());
    Ok(out)
}

/// The texts of a state that look like identifiers and can be an actor's, each once, with the first place of each; at most
/// [`MAX_NAMES`]. `None` when the state is nested too deeply to be read.
fn identifiers(state: &str) -> Option<Vec<(String, String)>> {
    let longest = LIMITS.iter().find(|(column, _)| *column == "actor_id").map_or(64, |(_, most)| *most);
    let state: Value = serde_json::from_str(state).ok()?;
    let mut found: Vec<(String, String)> = Vec::new();
    let mut open = vec![(String::new(), &state)];
    while let Some((path, value)) = open.pop() {
        match value {
            Value::String(text) => {
                let fits = text.chars().count() <= longest && is_identifier(text);
                if fits && found.len() < MAX_NAMES && !found.iter().any(|(id, _)| id == text) {
                    found.push((text.clone(), path));
                }
            }
            Value::Array(items) => {
                let items = items.iter().enumerate().rev();
                open.extend(items.map(|(n, item)| (format!("{path}/{n}"), item)));
            }
            Value::Object(members) => {
                let escaped = |key: &str| key.replace('~', "~0").replace('/', "~1");
                let members = members.iter().rev();
                open.extend(members.map(|(key, value)| (format!("{path}/{}", escaped(key)), value)));
            }
            _ => {}
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn actor(id: &str) -> Term {
        Term::Actor(id.to_owned())
    }

    fn resource(kind: &str, id: &str) -> Term {
        Term::Resource(Resource { kind: kind.to_owned(), id: id.to_owned() })
    }

    #[test]
    fn a_union_is_a_filter_that_can_be_typed_and_keeps_the_time() {
        let base = Filter::parse("since:-7d until:-1d sev:critical").unwrap();
        let text = |terms: &[Term]| {
            let filter = union(&base, terms).unwrap();
            assert_eq!(Filter::parse(&filter.canonical()), Ok(filter.clone()));
            filter.canonical()
        };
        assert_eq!(
            text(&[actor("svc-deploy"), resource("api_key", "ak-77"), actor("svc-ci-backup")]),
            "since:-7d until:-1d (actor:svc-deploy,svc-ci-backup OR res:api_key/ak-77)"
        );
        assert_eq!(text(&[actor("a b")]), "since:-7d until:-1d actor:\"a b\"");
        assert_eq!(
            text(&[resource("odd/kind", "x"), actor("a-1")]),
            "since:-7d until:-1d (actor:a-1 OR resource_type:odd/kind resource_id:x)"
        );
        let many: Vec<Term> = (0..99).map(|n| actor(&format!("a-{n}"))).collect();
        assert_eq!(text(&many).matches("a-").count(), MAX_TERMS);
        assert_eq!(union(&base, &[]), None);
    }

    #[test]
    fn identifiers_of_a_state_have_their_place() {
        let state = r#"{"owner": "user-33", "name": "ci backup", "at": "2026-11-28T18:15:49Z", "a/b": [{"x": "svc-1"}], "n": 7,
            "again": "user-33"}"#;
        let found = identifiers(state).unwrap();
        let at = |id: &str| found.iter().find(|(found, _)| found == id).map(|(_, path)| path.as_str());
        assert_eq!((at("svc-1"), found.len()), (Some("/a~1b/0/x"), 2));
        assert!(matches!(at("user-33"), Some("/owner" | "/again")));
        assert_eq!(identifiers(&format!("{}1{}", "[".repeat(500), "]".repeat(500))), None);
    }
}
