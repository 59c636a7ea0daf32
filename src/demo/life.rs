//! Everyday life of one company: who works when, in which session, on what.
//!
//! Hours are filled one after the other. Each hour has its exact share of the company's events, in proportion to how
//! many are at work in it; they come in bursts of one actor each, whose events follow seconds or minutes apart. What an
//! event does is decided only when its time has come, so that every change finds the state that the one before left.

use super::calendar::{DAY, HOUR, MINUTE, SECOND, Zone};
use super::cast::{Company, Habit, PEOPLE, Person, SERVICES, Service, Shape, Team};
use super::dice::{Dice, EventIds, tagged};
use super::kind::Kind;
use super::resource::{Resource, Scene, Tag, born, change, json_text};
use super::stock::Stock;
use super::text;
use crate::domain::{Action, ActorType, Category, Json, NewEvent, OrgId, Severity, Timestamp};
use serde_json::{Value, json};
use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// A signed-in session of a person, or the access token of a service.
#[derive(Debug)]
struct Session {
    id: String,
    address: String,
    agent: &'static str,
    last: i64,
    renewed: i64,
    state: Value,
    text: Json,
}

/// One of the company's actors.
#[derive(Debug)]
struct Actor {
    person: Option<Person>,
    service: Option<(usize, &'static Service)>,
    session: Option<Session>,
}

/// Events still to come from one actor. Ordered so that the earliest is the greatest, as the heap wants it.
#[derive(Debug)]
struct Burst {
    time: i64,
    order: u64,
    actor: usize,
    left: u64,
    focus: Option<(Kind, u64)>,
    request: String,
}

impl Ord for Burst {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.time, other.order).cmp(&(self.time, self.order))
    }
}
impl PartialOrd for Burst {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl PartialEq for Burst {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Burst {}

/// The everyday events of one company, in time order.
#[derive(Debug)]
pub(super) struct Life {
    company: &'static Company,
    organization: OrgId,
    dice: Dice,
    ids: EventIds,
    stock: Stock,
    actors: Vec<Actor>,
    until: i64,
    since: i64,
    /// Events due before the beginning of each hour; one entry more than there are hours.
    due: Vec<u64>,
    hour: usize,
    bursts: BinaryHeap<Burst>,
    order: u64,
}

/// What an event says besides who did it and when.
struct Deed {
    category: Category,
    event_type: &'static str,
    severity: Severity,
    action: Action,
    resource_type: &'static str,
    resource_id: String,
    resource_name: Option<String>,
    project: Option<&'static str>,
    previous: Option<Json>,
    new: Option<Json>,
}

impl Life {
    /// `count` events of a company in `since..until` (microseconds).
    pub(super) fn new(
        company: &'static Company,
        organization: OrgId,
        index: usize,
        seed: u64,
        (since, until): (i64, i64),
        count: u64,
    ) -> Self {
        let people =
            (1..=PEOPLE).map(|n| Actor { person: Some(company.person(n)), service: None, session: None });
        let services = SERVICES.iter().enumerate().map(|(index, service)| Actor {
            person: None,
            service: Some((index, service)),
            session: None,
        });
        let mut life = Self {
            company,
            organization,
            dice: Dice::new(seed, index as u64),
            ids: EventIds::everyday(seed, index),
            stock: Stock::default(),
            actors: people.chain(services).collect(),
            until,
            since,
            due: Vec::new(),
            hour: 0,
            bursts: BinaryHeap::new(),
            order: 0,
        };
        life.share_out(count);
        life.furnish();
        life
    }

    fn hours(&self) -> usize {
        ((self.until - self.since) / HOUR) as usize
    }

    /// How much each actor is about in an hour.
    fn presence(&self, hour: usize) -> impl Iterator<Item = u64> + Clone {
        let middle = self.since + hour as i64 * HOUR + HOUR / 2;
        let busy = Zone::ALL.map(|zone| zone.busyness(middle));
        // The traffic of the company's customers follows the day of its first office.
        let traffic = 30 + self.actors[0].person.as_ref().map_or(0, |p| busy[p.zone as usize]);
        let hour_of_day = middle.rem_euclid(DAY) / HOUR;
        self.actors.iter().map(move |actor| match (&actor.person, actor.service) {
            // Some work more than others.
            (Some(person), _) => {
                let diligence = 40 + (person.number as u64 * 37) % 80;
                let busy = busy[person.zone as usize] * diligence;
                if person.team == Team::Administration { busy * 3 } else { busy }
            }
            (None, Some((_, service))) => {
                service.vigour
                    * match service.shape {
                        Shape::Even => 60,
                        Shape::Traffic => traffic,
                        Shape::Nightly if (1..4).contains(&hour_of_day) => 240,
                        Shape::Nightly => 0,
                    }
            }
            (None, None) => 0,
        })
    }

    /// Gives each hour its exact share of `count` events.
    fn share_out(&mut self, count: u64) {
        let mut sums = vec![0_u128];
        for hour in 0..self.hours() {
            let before = sums.last().copied().unwrap_or(0);
            sums.push(before + u128::from(self.presence(hour).sum::<u64>()));
        }
        let all = sums.last().copied().unwrap_or(0).max(1);
        self.due = sums.iter().map(|sum| (u128::from(count) * sum / all) as u64).collect();
    }

    /// What the company has before the trail begins: born then, unseen by the trail.
    fn furnish(&mut self) {
        let before = Timestamp::from_micros(self.since - 3 * DAY);
        for kind in [
            Kind::Dataset,
            Kind::Prompt,
            Kind::Trace,
            Kind::Evaluation,
            Kind::Benchmark,
            Kind::ApiKey,
            Kind::RoleBinding,
            Kind::Webhook,
            Kind::RetentionPolicy,
        ] {
            for _ in 0..kind.population().0 {
                let owner = format!("user-{}", self.dice.between(1, PEOPLE as u64));
                self.give_birth(kind, &owner, before);
            }
        }
        let company = self.company;
        let unscripted = (1..=PEOPLE).filter(|n| !company.scripted.contains(n));
        let users = unscripted.map(|n| (Kind::User, format!("user-{n}"), None));
        let projects = company.projects.iter().map(|p| (Kind::Project, p.0.to_owned(), Some(p.0)));
        for (kind, id, project) in users.chain(projects) {
            let scene = Scene { company, actor: "user-1", now: before, dataset: "", prompt: "" };
            let (name, state) = born(kind, &id, &scene, &mut self.dice);
            self.stock.add(kind, id, name, project, state);
        }
    }

    /// Makes a resource.
    fn give_birth(&mut self, kind: Kind, actor: &str, now: Timestamp) -> &Resource {
        let id = self.stock.next_id(kind);
        let project = match kind {
            Kind::User | Kind::RetentionPolicy => None,
            _ => Some(self.dice.pick(self.company.projects).0),
        };
        let (dataset, prompt) = match kind {
            Kind::Evaluation => (self.some_id(Kind::Dataset), self.some_id(Kind::Prompt)),
            _ => Default::default(),
        };
        let scene = Scene { company: self.company, actor, now, dataset: &dataset, prompt: &prompt };
        let (name, state) = born(kind, &id, &scene, &mut self.dice);
        self.stock.add(kind, id, name, project, state)
    }

    fn some_id(&mut self, kind: Kind) -> String {
        let index = self.stock.any(kind, &mut self.dice);
        index.map(|index| self.stock.get(kind, index).tag.id.clone()).unwrap_or_default()
    }

    /// Plans the bursts of the next hour.
    fn open_hour(&mut self) {
        let begin = self.since + self.hour as i64 * HOUR;
        let mut budget = self.due[self.hour + 1] - self.due[self.hour];
        let presence: Vec<u64> = self.presence(self.hour).collect();
        while budget > 0 {
            let actor = self.dice.weighted(presence.iter().copied());
            let longest = self.actors[actor].service.map_or(22, |(_, service)| service.burst);
            let left = self.dice.between(1, longest).min(budget);
            budget -= left;
            let time = begin + self.dice.below(HOUR as u64) as i64;
            let request = tagged("req", self.dice.bits());
            self.order += 1;
            self.bursts.push(Burst { time, order: self.order, actor, left, focus: None, request });
        }
        self.hour += 1;
    }

    /// When the next event of a burst is due. A time behind the end is brought back to half-way before it.
    fn after(&mut self, time: i64, is_person: bool) -> i64 {
        let gap = if is_person {
            // Reading takes a while; sometimes somebody fetches a coffee.
            if self.dice.chance(60) {
                self.dice.between(4 * MINUTE as u64, 20 * MINUTE as u64)
            } else {
                self.dice.between(900_000, 70 * SECOND as u64)
            }
        } else if self.dice.chance(15) {
            // A batch written at once: equal timestamps are normal.
            0
        } else {
            self.dice.between(2_000, 9 * SECOND as u64)
        };
        let next = time + gap as i64;
        if next < self.until { next } else { time + (self.until - time) / 2 }
    }

    /// Carries out the next event of a burst.
    fn act(&mut self, burst: &mut Burst) -> NewEvent {
        let is_person = self.actors[burst.actor].person.is_some();
        if burst.left > 1 && self.dice.chance(if is_person { 700 } else { 300 }) {
            burst.request = tagged("req", self.dice.bits());
        }
        let now = Timestamp::from_micros(burst.time);
        let deed = self.sign_in_or_out(burst).unwrap_or_else(|| self.work(burst, now));
        let actor = &mut self.actors[burst.actor];
        let session = actor.session.as_mut();
        let (address, agent) = match (&session, &actor.person, actor.service) {
            (Some(session), ..) => (Some(session.address.clone()), Some(session.agent)),
            (None, Some(person), _) => {
                let place = person.place(burst.time);
                (Some(person.addresses[place].clone()), Some(person.agents[place]))
            }
            (None, None, Some((index, Service { agent: Some(agent), .. }))) => {
                (Some(self.company.service_address(index)), Some(*agent))
            }
            _ => (None, None),
        };
        let session_id = session.map(|session| {
            session.last = burst.time;
            session.id.clone()
        });
        if deed.event_type == "logout" {
            actor.session = None;
        }
        let (actor_type, actor_id) = match (&actor.person, actor.service) {
            (Some(person), _) => (ActorType::User, person.id.clone()),
            (None, Some((_, service))) if service.agent.is_some() => {
                (ActorType::Service, service.id.to_owned())
            }
            _ => (ActorType::System, "system".to_owned()),
        };
        NewEvent {
            event_id: self.ids.next(),
            timestamp: now,
            organization_id: self.organization.clone(),
            project_id: deed.project.map(str::to_owned),
            actor_type,
            actor_id,
            actor_email: actor.person.as_ref().map(|p| p.email.clone()),
            actor_ip: address,
            actor_user_agent: agent.map(str::to_owned),
            event_category: deed.category,
            event_type: deed.event_type.to_owned(),
            event_severity: deed.severity,
            resource_type: deed.resource_type.to_owned(),
            resource_id: deed.resource_id,
            resource_name: deed.resource_name,
            action: deed.action,
            previous_state: deed.previous,
            new_state: deed.new,
            request_id: burst.request.clone(),
            session_id,
        }
    }

    /// A sign-in, a renewed token or a sign-out, when one is due at this point of a burst.
    fn sign_in_or_out(&mut self, burst: &Burst) -> Option<Deed> {
        let actor = &mut self.actors[burst.actor];
        let dice = &mut self.dice;
        let (idle, lifetime) = if actor.person.is_some() { (90 * MINUTE, HOUR) } else { (DAY, 12 * HOUR) };
        let resource_type = if actor.person.is_some() { "session" } else { "token" };
        let auth = |event_type, severity, action, id: &str, previous, new| Deed {
            category: Category::Auth,
            event_type,
            severity,
            action,
            resource_type,
            resource_id: id.to_owned(),
            resource_name: None,
            project: None,
            previous,
            new,
        };
        let expires = |after: i64| text::seconds(Timestamp::from_micros(burst.time + after));
        if let Some(session) = actor.session.as_mut().filter(|s| burst.time - s.last < idle) {
            if burst.time - session.renewed > lifetime {
                session.renewed = burst.time;
                session.state["expires_at"] = json!(expires(lifetime));
                let previous = std::mem::replace(&mut session.text, json_text(&session.state));
                let new = session.text.clone();
                let renewed = auth(
                    "token.refreshed",
                    Severity::Info,
                    Action::Update,
                    &session.id,
                    Some(previous),
                    Some(new),
                );
                return Some(renewed);
            }
            if actor.person.is_some() && burst.left == 1 && dice.chance(350) {
                let previous = session.text.clone();
                return Some(auth(
                    "logout",
                    Severity::Info,
                    Action::Delete,
                    &session.id,
                    Some(previous),
                    None,
                ));
            }
            return None;
        }
        let (method, address, agent) = match (&actor.person, actor.service) {
            (Some(person), _) => {
                let place = person.place(burst.time);
                ("password+totp", person.addresses[place].clone(), person.agents[place])
            }
            (None, Some((index, service))) => {
                // The platform itself needs no token.
                ("client_credentials", self.company.service_address(index), service.agent?)
            }
            (None, None) => return None,
        };
        if let Some(person) = actor.person.as_ref().filter(|_| burst.left > 1 && dice.chance(120)) {
            let reason =
                dice.pick(&["bad_password", "bad_password", "bad_second_factor", "expired_password"]);
            let new = json!({ "account": person.email, "outcome": "denied", "reason": reason });
            let id = tagged("la", dice.bits());
            let new = Some(json_text(&new));
            let failed = auth("login.failed", Severity::Warning, Action::Create, &id, None, new);
            return Some(Deed { resource_type: "login_attempt", ..failed });
        }
        let state = json!({ "method": method, "created_at": expires(0), "expires_at": expires(lifetime), "ip": address });
        let text = json_text(&state);
        let (prefix, event_type) =
            if actor.person.is_some() { ("s", "login.succeeded") } else { ("tok", "token.created") };
        let id = tagged(prefix, dice.bits());
        let deed = auth(event_type, Severity::Info, Action::Create, &id, None, Some(text.clone()));
        let (last, renewed) = (burst.time, burst.time);
        actor.session = Some(Session { id, address, agent, last, renewed, state, text });
        Some(deed)
    }

    /// Something an actor does for a living.
    fn work(&mut self, burst: &mut Burst, now: Timestamp) -> Deed {
        let actor = &self.actors[burst.actor];
        let (id, habits): (String, &'static [Habit]) = match (&actor.person, actor.service) {
            (Some(person), _) => (person.id.clone(), person.team.habits()),
            (None, Some((_, service))) => (service.id.to_owned(), service.habits),
            (None, None) => ("system".to_owned(), SERVICES[SERVICES.len() - 1].habits),
        };
        let (_, kind, wanted) = habits[self.dice.weighted(habits.iter().map(|habit| habit.0))];
        let company = self.company;
        let scene = Scene { company, actor: &id, now, dataset: "", prompt: "" };
        // Most steps go on with what the one before was about.
        let focused = burst.focus.filter(|focus| focus.0 == kind && self.dice.chance(550));
        let target = focused
            .and_then(|(_, serial)| self.stock.find(kind, serial))
            .or_else(|| self.stock.any(kind, &mut self.dice));
        let gone = if wanted == Action::Delete { self.stock.remove_oldest(kind) } else { None };
        // Where nothing can be spared, or nothing is there, somebody only looks, or makes one.
        let (action, (event_type, severity), tag, previous, new) = if let Some(gone) = gone {
            (wanted, kind.told(wanted), gone.tag, Some(gone.text), None)
        } else {
            match target.filter(|_| wanted != Action::Create) {
                None => {
                    let made = self.give_birth(kind, &id, now);
                    let (tag, new) = (made.tag.clone(), made.text.clone());
                    (Action::Create, kind.told(Action::Create), tag, None, Some(new))
                }
                Some(index) if wanted == Action::Update => {
                    let resource = self.stock.get_mut(kind, index);
                    let told = change(kind, &mut resource.state, &scene, &mut self.dice);
                    let previous = std::mem::replace(&mut resource.text, json_text(&resource.state));
                    (wanted, told, resource.tag.clone(), Some(previous), Some(resource.text.clone()))
                }
                Some(index) => {
                    let action = if wanted == Action::Export { wanted } else { Action::Read };
                    (action, kind.told(action), self.stock.get(kind, index).tag.clone(), None, None)
                }
            }
        };
        burst.focus = Some((kind, tag.serial));
        let Tag { id: resource_id, name, project, .. } = tag;
        Deed {
            category: kind.category(),
            event_type,
            severity,
            action,
            resource_type: kind.name(),
            resource_id,
            resource_name: Some(name),
            project,
            previous,
            new,
        }
    }
}

impl Iterator for Life {
    type Item = NewEvent;

    fn next(&mut self) -> Option<NewEvent> {
        while self.hour < self.hours()
            && self.bursts.peek().is_none_or(|b| b.time >= self.since + self.hour as i64 * HOUR)
        {
            self.open_hour();
        }
        let mut burst = self.bursts.pop()?;
        let event = self.act(&mut burst);
        burst.left -= 1;
        if burst.left > 0 {
            burst.time = self.after(burst.time, self.actors[burst.actor].person.is_some());
            self.bursts.push(burst);
        }
        Some(event)
    }
}
