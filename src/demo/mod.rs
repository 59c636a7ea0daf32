//! The demo trail: a believable company platform, ninety days of audit events, and a planted incident.
//!
//! Pure: seed, end and number of events in, [`NewEvent`]s in time order out. No IO, no clock, no database. The same
//! [`Settings`] make the same trail, byte for byte, on every platform. `docs/guide/demo.md` describes what is in it.

mod calendar;
mod cast;
mod dice;
mod incident;
mod kind;
mod life;
mod planted;
mod resource;
mod script;
mod stock;
mod text;

pub use planted::{Fact, PLANTED_IN, planted};

use crate::domain::{NewEvent, OrgId, OrgIdError, Timestamp};
use calendar::DAY;
use cast::COMPANIES;
use life::Life;
use std::iter::Peekable;
use std::vec::IntoIter;

/// Version of the generator: rises when the same settings make another trail than before.
pub const VERSION: u32 = 2;

/// The fewest events that hold the planted story and an everyday life around it.
pub const MIN_EVENTS: u64 = 2_000;

/// The days a trail covers.
pub const DAYS: i64 = 90;

/// What a trail depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    seed: u64,
    until: Timestamp,
    count: u64,
}

/// Why no trail can be made of some settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// The planted story would not fit.
    #[error("a demo trail has at least {MIN_EVENTS} events, {0} were asked for")]
    TooFew(u64),
    /// A year of fewer or more than four digits, or before 1971.
    #[error("a demo trail ends between the years 1971 and 9999, not at {0}")]
    Until(Timestamp),
}

impl Settings {
    /// A trail of exactly `count` events in the [`DAYS`] days before `until`.
    ///
    /// # Errors
    /// When there are fewer than [`MIN_EVENTS`], or the end lies outside 1971 to 9999.
    pub fn new(seed: u64, until: Timestamp, count: u64) -> Result<Self, SettingsError> {
        const FIRST: i64 = 366 * DAY;
        const LAST: i64 = 253_402_300_799_999_999;
        if count < MIN_EVENTS {
            Err(SettingsError::TooFew(count))
        } else if (FIRST..=LAST).contains(&until.as_micros()) {
            Ok(Self { seed, until, count })
        } else {
            Err(SettingsError::Until(until))
        }
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The instant behind the last event.
    pub fn until(&self) -> Timestamp {
        self.until
    }

    /// How many events.
    pub fn count(&self) -> u64 {
        self.count
    }
}

/// Ids of the organisations a trail has.
pub fn organizations() -> [&'static str; COMPANIES.len()] {
    COMPANIES.map(|company| company.id)
}

/// The events of one organisation, in time order; within one instant in an order of their own, always the same.
///
/// Holds the living resources of the company (a few megabytes), never the trail.
#[derive(Debug)]
struct OrganizationTrail {
    planted: Peekable<IntoIter<NewEvent>>,
    everyday: Peekable<Life>,
}

/// The trail of some settings, an iterator for each organisation, in the order of [`organizations`].
fn trails(settings: Settings) -> Result<Vec<OrganizationTrail>, OrgIdError> {
    let until = settings.until.as_micros();
    let span = (until - DAYS * DAY, until);
    let mut left = settings.count;
    let mut trails = Vec::new();
    for (index, company) in COMPANIES.iter().enumerate() {
        let last = index + 1 == COMPANIES.len();
        let share = if last { left } else { settings.count / 100 * company.share };
        left -= share;
        let planted = if company.id == PLANTED_IN { planted::events(until)? } else { Vec::new() };
        let everyday = share - planted.len() as u64;
        let life = Life::new(company, OrgId::new(company.id)?, index, settings.seed, span, everyday);
        trails.push(OrganizationTrail { planted: planted.into_iter().peekable(), everyday: life.peekable() });
    }
    Ok(trails)
}

impl OrganizationTrail {
    /// Time of the next event, and whether it is a planted one: these go first within an instant.
    fn head(&mut self) -> Option<(Timestamp, bool)> {
        let planted = self.planted.peek().map(|event| event.timestamp);
        let everyday = self.everyday.peek().map(|event| event.timestamp);
        match (planted, everyday) {
            (Some(planted), Some(everyday)) => Some((planted.min(everyday), planted <= everyday)),
            (Some(planted), None) => Some((planted, true)),
            (None, everyday) => everyday.map(|time| (time, false)),
        }
    }
}

impl Iterator for OrganizationTrail {
    type Item = NewEvent;

    fn next(&mut self) -> Option<NewEvent> {
        let (_, is_planted) = self.head()?;
        if is_planted { self.planted.next() } else { self.everyday.next() }
    }
}

/// The events of all organisations in one stream, in time order.
#[derive(Debug)]
pub struct Trail(Vec<OrganizationTrail>);

impl Trail {
    /// The trail of some settings.
    ///
    /// # Errors
    /// When one of the names in [`organizations`] were none, which a test excludes.
    pub fn new(settings: Settings) -> Result<Self, OrgIdError> {
        trails(settings).map(Self)
    }
}

impl Iterator for Trail {
    type Item = NewEvent;

    fn next(&mut self) -> Option<NewEvent> {
        let heads = self.0.iter_mut().enumerate();
        let (_, index) = heads.filter_map(|(index, trail)| Some((trail.head()?.0, index))).min()?;
        self.0[index].next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Action, LIMITS};
    use sha2::{Digest as _, Sha256};
    use std::collections::{BTreeMap, HashMap, HashSet};

    fn trail(seed: u64, until: &str, count: u64) -> Vec<NewEvent> {
        let settings = Settings::new(seed, Timestamp::parse(until).unwrap(), count).unwrap();
        Trail::new(settings).unwrap().collect()
    }

    /// Every field of every event.
    fn digest(events: &[NewEvent]) -> String {
        use std::fmt::Write as _;
        let mut hasher = Sha256::new();
        for event in events {
            hasher.update(format!("{event:?}\n"));
        }
        hasher.finalize().iter().take(8).fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        })
    }

    #[test]
    fn settings_are_checked_at_the_door() {
        let until = Timestamp::parse("2026-07-01T00:00:00Z").unwrap();
        assert_eq!(Settings::new(1, until, 1_999), Err(SettingsError::TooFew(1_999)));
        assert_eq!(
            Settings::new(1, Timestamp::INFINITY, 2_000),
            Err(SettingsError::Until(Timestamp::INFINITY))
        );
        assert!(Settings::new(1, Timestamp::from_micros(0), 2_000).is_err());
    }

    #[test]
    fn the_same_settings_make_the_same_trail_on_every_platform() {
        let one = trail(1, "2026-07-01T09:30:00.5Z", 3_000);
        assert_eq!(one, trail(1, "2026-07-01T09:30:00.5Z", 3_000));
        assert_ne!(one, trail(2, "2026-07-01T09:30:00.5Z", 3_000));
        // Changes with the generator; must not change with anything else.
        assert_eq!(digest(&one), "07f0724e8abd9977");
    }

    #[test]
    fn counts_are_exact_and_times_in_order() {
        for (count, until) in [
            (2_000, "2026-07-01T09:30:00Z"),
            (2_777, "2026-03-30T00:00:00Z"),
            (12_345, "2026-11-02T23:59:59.999999Z"),
            (2_000, "1971-06-01T00:00:00Z"),
            (2_000, "9999-12-31T23:59:59Z"),
        ] {
            let events = trail(5, until, count);
            assert_eq!(events.len() as u64, count);
            assert!(events.is_sorted_by_key(|e| e.timestamp));
            let end = Timestamp::parse(until).unwrap();
            let begin = Timestamp::from_micros(end.as_micros() - DAYS * DAY);
            assert!(events.iter().all(|e| begin <= e.timestamp && e.timestamp < end));
            let ids: HashSet<&str> = events.iter().map(|e| e.event_id.as_str()).collect();
            assert_eq!(ids.len(), events.len());
        }
    }

    #[test]
    fn states_follow_from_one_another() {
        let mut states: HashMap<(String, String, String), String> = HashMap::new();
        let mut gone = HashSet::new();
        let mut followed = 0;
        for event in trail(1, "2026-07-01T09:30:00Z", 30_000) {
            let resource =
                (event.organization_id.to_string(), event.resource_type.clone(), event.resource_id.clone());
            let (previous, new) = (event.previous_state.as_ref(), event.new_state.as_ref());
            let present = (previous.is_some(), new.is_some());
            let expected = match event.action {
                Action::Create => (false, true),
                Action::Update => (true, true),
                Action::Delete => (true, false),
                Action::Read | Action::Export => (false, false),
            };
            assert_eq!(present, expected, "{event:?}");
            assert!(!gone.contains(&resource), "touched after its end: {event:?}");
            if event.action == Action::Create {
                assert!(!states.contains_key(&resource), "created twice: {event:?}");
            }
            if let (Some(previous), Some(known)) = (previous, states.get(&resource)) {
                assert_eq!(previous.as_str(), known, "{event:?}");
                followed += 1;
            }
            if let Some(new) = new {
                assert_ne!(previous, Some(new), "{event:?}");
                states.insert(resource, new.as_str().to_owned());
            } else if previous.is_some() {
                states.remove(&resource);
                gone.insert(resource);
            }
        }
        assert!(followed > 3_000, "{followed}");
    }

    #[test]
    fn every_event_fits_the_table() {
        let limit: BTreeMap<&str, usize> = LIMITS.iter().copied().collect();
        for e in trail(1, "2026-07-01T09:30:00Z", 20_000) {
            for (column, text) in [
                ("event_id", Some(&e.event_id)),
                ("project_id", e.project_id.as_ref()),
                ("actor_id", Some(&e.actor_id)),
                ("actor_email", e.actor_email.as_ref()),
                ("event_type", Some(&e.event_type)),
                ("resource_type", Some(&e.resource_type)),
                ("resource_id", Some(&e.resource_id)),
                ("resource_name", e.resource_name.as_ref()),
                ("request_id", Some(&e.request_id)),
                ("session_id", e.session_id.as_ref()),
            ] {
                let text = text.map_or("", String::as_str);
                assert!(text.chars().count() <= limit[column] && !text.contains('\0'), "{column}: {e:?}");
            }
            if let Some(address) = &e.actor_ip {
                assert!(address.parse::<std::net::IpAddr>().is_ok(), "{address}");
            }
            for state in [&e.previous_state, &e.new_state].into_iter().flatten() {
                assert!(serde_json::from_str::<serde_json::Value>(state.as_str()).unwrap().is_object());
            }
        }
    }

    #[test]
    fn the_mixture_is_believable() {
        let events = trail(1, "2026-07-01T09:30:00Z", 50_000);
        let share =
            |f: &dyn Fn(&NewEvent) -> bool| events.iter().filter(|e| f(e)).count() * 100 / events.len();
        for action in Action::ALL {
            assert!((1..60).contains(&share(&|e| e.action == *action)), "{action}");
        }
        for category in crate::domain::Category::ALL {
            assert!((3..60).contains(&share(&|e| e.event_category == *category)), "{category}");
        }
        assert!((52..=56).contains(&share(&|e| e.organization_id.as_str() == "acme")));
        let critical =
            events.iter().filter(|e| e.event_severity == crate::domain::Severity::Critical).count();
        assert!((10..1_000).contains(&critical), "{critical}");
        let mut actors: HashMap<&str, HashSet<&str>> = HashMap::new();
        for event in &events {
            actors.entry(event.organization_id.as_str()).or_default().insert(&event.actor_id);
        }
        assert!(actors.values().all(|a| a.len() > 45), "{actors:?}");
    }
}
