//! How a planted story is told: named actors do things to named resources at given times, and every state follows
//! from the one before.

use super::calendar::SECOND;
use super::cast::{Person, SERVICES, Service};
use super::dice::{EventIds, mix, tagged};
use super::resource::json_text;
use crate::domain::{Action, ActorType, Category, Json, NewEvent, OrgId, Severity, Timestamp};
use serde_json::Value;
use std::collections::HashMap;

/// Somebody in the story, at one place.
#[derive(Debug, Clone)]
pub(super) struct Who {
    pub(super) kind: ActorType,
    pub(super) id: String,
    pub(super) email: Option<String>,
    pub(super) address: String,
    pub(super) agent: String,
    pub(super) session: Option<String>,
}

impl Who {
    /// A person at their usual desk, in a session of its own that is named for `scene`.
    pub(super) fn person(person: &Person, scene: &str) -> Self {
        Self {
            kind: ActorType::User,
            id: person.id.clone(),
            email: Some(person.email.clone()),
            address: person.addresses[0].clone(),
            agent: person.agents[0].to_owned(),
            session: Some(session(scene)),
        }
    }

    /// A service account at its usual place.
    pub(super) fn service(id: &str, address: String) -> Self {
        let agent = SERVICES.iter().find(|s| s.id == id).and_then(|s: &Service| s.agent).unwrap_or("");
        Self {
            kind: ActorType::Service,
            id: id.to_owned(),
            email: None,
            address,
            agent: agent.to_owned(),
            session: None,
        }
    }

    /// The same actor from elsewhere.
    pub(super) fn elsewhere(self, address: &str, agent: &str, scene: &str) -> Self {
        let (address, agent) = (address.to_owned(), agent.to_owned());
        Self { address, agent, session: Some(session(scene)), ..self }
    }
}

/// A session id that depends on its name only.
pub(super) fn session(scene: &str) -> String {
    tagged("s", scene.bytes().fold(0, |hash, byte| mix(hash ^ u64::from(byte))))
}

/// Something in the story; without an id it is the actor's session itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Thing {
    pub(super) category: Category,
    pub(super) kind: &'static str,
    pub(super) id: &'static str,
    pub(super) name: Option<&'static str>,
    pub(super) project: Option<&'static str>,
}

fn id_of(who: &Who, thing: Thing) -> String {
    if thing.id.is_empty() { who.session.clone().unwrap_or_default() } else { thing.id.to_owned() }
}

/// A thing with a name.
pub(super) const fn thing(
    category: Category,
    kind: &'static str,
    id: &'static str,
    name: &'static str,
    project: Option<&'static str>,
) -> Thing {
    Thing { category, kind, id, name: Some(name), project }
}

/// The story so far.
#[derive(Debug)]
pub(super) struct Script {
    organization: OrgId,
    ids: EventIds,
    count: u64,
    states: HashMap<(&'static str, String), Value>,
    events: Vec<NewEvent>,
}

impl Script {
    pub(super) fn new(organization: OrgId) -> Self {
        Self { organization, ids: EventIds::planted(), count: 0, states: HashMap::new(), events: Vec::new() }
    }

    /// The events in the order of their times; events of the same instant stay in the order of the story.
    pub(super) fn finish(mut self) -> Vec<NewEvent> {
        self.events.sort_by_key(|e| e.timestamp);
        self.events
    }

    /// Something that was there before the trail began.
    pub(super) fn exists(&mut self, thing: Thing, state: Value) {
        self.states.insert((thing.kind, thing.id.to_owned()), state);
    }

    /// Reads or exports.
    pub(super) fn look(
        &mut self,
        who: &Who,
        at: i64,
        thing: Thing,
        action: Action,
        severity: Severity,
    ) -> String {
        let verb = if action == Action::Export { "exported" } else { "viewed" };
        let event_type = format!("{}.{verb}", thing.kind);
        self.tell(who, at, thing, (action, &event_type, severity), None, None)
    }

    /// Creates.
    pub(super) fn create(
        &mut self,
        who: &Who,
        at: i64,
        thing: Thing,
        (event_type, severity): (&str, Severity),
        state: Value,
    ) -> String {
        let new = json_text(&state);
        self.states.insert((thing.kind, id_of(who, thing)), state);
        self.tell(who, at, thing, (Action::Create, event_type, severity), None, Some(new))
    }

    /// Changes what the story created before, or what [`Self::exists`].
    pub(super) fn update(
        &mut self,
        who: &Who,
        at: i64,
        thing: Thing,
        (event_type, severity): (&str, Severity),
        change: impl FnOnce(&mut Value),
    ) -> String {
        let state = self.states.entry((thing.kind, id_of(who, thing))).or_default();
        let previous = json_text(state);
        change(state);
        let new = json_text(state);
        self.tell(who, at, thing, (Action::Update, event_type, severity), Some(previous), Some(new))
    }

    /// Deletes.
    pub(super) fn delete(
        &mut self,
        who: &Who,
        at: i64,
        thing: Thing,
        (event_type, severity): (&str, Severity),
    ) -> String {
        let state = self.states.remove(&(thing.kind, id_of(who, thing))).unwrap_or_default();
        self.tell(who, at, thing, (Action::Delete, event_type, severity), Some(json_text(&state)), None)
    }

    /// Gives the last event the request id of another one.
    pub(super) fn same_request(&mut self, event_id: &str) {
        let request = self.events.iter().find(|e| e.event_id == event_id).map(|e| e.request_id.clone());
        if let (Some(request), Some(last)) = (request, self.events.last_mut()) {
            last.request_id = request;
        }
    }

    /// Gives the last event a resource id that was made up while telling.
    pub(super) fn last_concerns(&mut self, resource_id: String) {
        if let Some(last) = self.events.last_mut() {
            last.resource_id = resource_id;
        }
    }

    /// Moves the last event to an exact instant.
    pub(super) fn last_happens(&mut self, at: Timestamp) {
        if let Some(last) = self.events.last_mut() {
            last.timestamp = at;
        }
    }

    fn tell(
        &mut self,
        who: &Who,
        at: i64,
        thing: Thing,
        (action, event_type, severity): (Action, &str, Severity),
        previous_state: Option<Json>,
        new_state: Option<Json>,
    ) -> String {
        self.count += 1;
        let chance = mix(self.count);
        let event_id = self.ids.next();
        self.events.push(NewEvent {
            event_id: event_id.clone(),
            // A believable fraction of a second, always the same.
            timestamp: Timestamp::from_micros(at + (chance % SECOND as u64) as i64),
            organization_id: self.organization.clone(),
            project_id: thing.project.map(str::to_owned),
            actor_type: who.kind,
            actor_id: who.id.clone(),
            actor_email: who.email.clone(),
            actor_ip: Some(who.address.clone()),
            actor_user_agent: Some(who.agent.clone()),
            event_category: thing.category,
            event_type: event_type.to_owned(),
            event_severity: severity,
            resource_type: thing.kind.to_owned(),
            resource_id: id_of(who, thing),
            resource_name: thing.name.map(str::to_owned),
            action,
            previous_state,
            new_state,
            request_id: tagged("req", mix(chance)),
            session_id: who.session.clone(),
        });
        event_id
    }
}
