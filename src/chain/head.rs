//! Heads that were remembered outside the database, and what has become of them in a trail. No IO.
//!
//! A head is remembered with its *place* (how the database was named: a profile, or host, port and database) and its
//! *object* (which database that was: system identifier, database, table). The same place must always lead to a trail in
//! which every remembered head still is.

use super::links::{Listed, Unhashed};
use super::scheme::to_hex;
use crate::domain::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// An event that nobody referred to yet when it was verified.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Head {
    /// The event.
    pub event_id: String,
    /// Its hash.
    pub hash: String,
    /// The time that it claims; `None` in records of the first programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<Timestamp>,
}

/// The rows without a hash that lie before the first hashed event.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BeforeHashing {
    /// How many there are.
    pub count: u64,
    /// Id of the earliest one; empty without any.
    pub first: String,
    /// Id of the latest one; empty without any.
    pub last: String,
    /// Sum over the hashes that their contents would have, in hexadecimal.
    pub sum: String,
}

impl From<&Unhashed> for BeforeHashing {
    fn from(rows: &Unhashed) -> Self {
        let id = |listed: &Option<Listed>| listed.as_ref().map(|l| l.event_id.clone()).unwrap_or_default();
        Self { count: rows.count, first: id(&rows.first), last: id(&rows.last), sum: to_hex(&rows.sum) }
    }
}

/// What a verification of a whole trail remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// How the database was named; empty in records of the first programs.
    #[serde(default)]
    pub place: String,
    /// `SYSTEM/DATABASE/TABLE`.
    pub object: String,
    /// All heads of the trail.
    pub heads: Vec<Head>,
    /// Events of the trail; `None` in records of the first programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<u64>,
    /// The rows from before hashing that it had; `None` in records of earlier programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before_hashing: Option<BeforeHashing>,
    /// Columns of the table that no scheme knows; `None` in records of earlier programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_columns: Option<Vec<String>>,
    /// Name of the scheme by which its content was verified; `None` in records of earlier programs, and where no event
    /// had a hash to be compared with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheme: Option<String>,
    /// When the trail was read, by the server's clock.
    pub verified_at: Timestamp,
}

/// All that is remembered of an organisation's trail, for a verification to compare.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Memory {
    /// How the database is named this time; empty where that is not known.
    pub place: String,
    /// Earlier verifications, oldest first.
    pub records: Vec<Remembered>,
    /// Why records are not used, in words.
    pub refused: Option<String>,
}

/// A remembered head that must be in the trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// The head.
    pub head: Head,
    /// When it was first seen.
    pub since: Timestamp,
    /// When it was last remembered.
    pub until: Timestamp,
    /// Events of the trail of which it was the head, when it was last remembered.
    pub events: Option<u64>,
    /// It was seen in another database, which had this place.
    pub of_another_object: bool,
}

/// Whether two object names can mean the same table. The system identifier is not known to every role.
pub fn same_object(a: &str, b: &str) -> bool {
    const UNKNOWN: &str = "unknown";
    match (a.split_once('/'), b.split_once('/')) {
        (Some((one, table)), Some((other, other_table))) => {
            table == other_table && (one == other || one == UNKNOWN || other == UNKNOWN)
        }
        _ => a == b,
    }
}

impl Memory {
    /// The heads to look for in this object, each once, oldest first.
    pub fn pins(&self, object: &str) -> Vec<Pin> {
        let mut pins: Vec<Pin> = Vec::new();
        let mut known: HashMap<(&str, &str), usize> = HashMap::new();
        for record in self.records.iter().filter(|record| self.is_of_here(record, object)) {
            for head in &record.heads {
                let (at, events) = (record.verified_at, record.events);
                match known
                    .get(&(head.event_id.as_str(), head.hash.as_str()))
                    .and_then(|at| pins.get_mut(*at))
                {
                    Some(pin) => {
                        pin.since = pin.since.min(at);
                        if at >= pin.until {
                            (pin.until, pin.events) = (at, events.or(pin.events));
                        }
                        pin.of_another_object &= !same_object(&record.object, object);
                        pin.head.timestamp = pin.head.timestamp.or(head.timestamp);
                    }
                    None => {
                        known.insert((&head.event_id, &head.hash), pins.len());
                        pins.push(Pin {
                            head: head.clone(),
                            since: at,
                            until: at,
                            events,
                            of_another_object: !same_object(&record.object, object),
                        });
                    }
                }
            }
        }
        pins.sort_by(|a, b| (a.since, &a.head.event_id).cmp(&(b.since, &b.head.event_id)));
        pins
    }

    /// The verifications of this object's place that know of rows from before hashing, and found others than these, newest
    /// first, each set of rows once.
    pub fn other_before_hashing(&self, object: &str, now: &BeforeHashing) -> Vec<&Remembered> {
        let mut others: Vec<&Remembered> = Vec::new();
        for record in self.records.iter().rev().filter(|record| self.is_of_here(record, object)) {
            let is_other = record.before_hashing.as_ref().is_some_and(|then| then != now);
            if is_other && others.iter().all(|other| other.before_hashing != record.before_hashing) {
                others.push(record);
            }
        }
        others
    }

    /// Columns that at least one verification of this object's place did not find, and when the first one did not.
    pub fn added_columns<'c>(&self, object: &str, now: &'c [String]) -> Option<(Vec<&'c str>, Timestamp)> {
        let known = self.records.iter().filter(|record| self.is_of_here(record, object));
        let known: Vec<(&Vec<String>, Timestamp)> =
            known.filter_map(|record| Some((record.other_columns.as_ref()?, record.verified_at))).collect();
        let lacks = |name: &&String| known.iter().any(|(columns, _)| !columns.contains(name));
        let added: Vec<&str> = now.iter().filter(lacks).map(String::as_str).collect();
        let first = known.iter().filter(|(columns, _)| now.iter().any(|name| !columns.contains(name)));
        let first = first.map(|(_, at)| *at).min()?;
        (!added.is_empty()).then_some((added, first))
    }

    /// The scheme of the newest verification of this object's place that remembers one of the heads that are `present`.
    pub fn scheme(&self, object: &str, present: impl Fn(&Head) -> bool) -> Option<&str> {
        let records = self.records.iter().rev().filter(|record| self.is_of_here(record, object));
        let with_head = { records }.filter(|record| record.heads.iter().any(&present));
        { with_head }.find_map(|record| record.scheme.as_deref())
    }

    /// The other places at which a trail of this organisation was verified, each once.
    pub fn elsewhere(&self, object: &str) -> Vec<&str> {
        let others = self.records.iter().filter(|record| !self.is_of_here(record, object));
        let mut places: Vec<&str> =
            others.map(|record| record.place.as_str()).filter(|place| !place.is_empty()).collect();
        places.sort_unstable();
        places.dedup();
        places
    }

    /// Of what the first programs remembered only the object is known.
    fn is_of_here(&self, record: &Remembered, object: &str) -> bool {
        if record.place.is_empty() || self.place.is_empty() {
            return same_object(&record.object, object);
        }
        record.place == self.place
    }
}

/// A row, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are columns of the table")]
pub struct Seen {
    pub event_id: String,
    pub hash: String,
    pub previous_hash: String,
    pub timestamp: Timestamp,
}

/// What the trail shows of the pins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sight {
    /// All rows with an event id of a pin.
    pub rows: Vec<Seen>,
    /// The trail's oldest row.
    pub oldest: Option<Seen>,
    /// Whether the trail has a beginning: an event without predecessor.
    pub begins: bool,
    /// On a replica: the time up to which it shows all changes.
    pub applied_until: Option<Timestamp>,
}

/// What has become of a pin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It is in the trail.
    Present,
    /// The event has another hash.
    Changed(Seen),
    /// The event is not in the trail.
    Missing,
    /// Nor need it be: it is older than the oldest row of a trail without beginning in which all later heads are.
    Retired,
    /// Nor can it be: the replica has not received it yet.
    NotYet,
}

/// What has become of each of these pins, in their order (that of [`Memory::pins`]).
pub fn fates(pins: &[Pin], sight: &Sight) -> Vec<Fate> {
    let mut rows: HashMap<&str, Vec<&Seen>> = HashMap::new();
    for row in &sight.rows {
        rows.entry(&row.event_id).or_default().push(row);
    }
    let mut fates: Vec<Fate> = pins
        .iter()
        .map(|pin| match rows.get(pin.head.event_id.as_str()) {
            Some(rows) if rows.iter().any(|row| row.hash == pin.head.hash) => Fate::Present,
            Some(rows) => rows.first().map_or(Fate::Missing, |row| Fate::Changed((*row).clone())),
            None if sight.applied_until.is_some_and(|applied| applied < pin.since) => Fate::NotYet,
            None => Fate::Missing,
        })
        .collect();
    let Some(oldest) = sight.oldest.as_ref().filter(|_| !sight.begins) else { return fates };
    // From the newest backwards: as soon as a head is not there, none before it can have been retired.
    let mut later_are_there = false;
    for (fate, pin) in fates.iter_mut().zip(pins).rev() {
        match fate {
            Fate::Present => later_are_there = true,
            Fate::Missing
                if later_are_there && pin.head.timestamp.unwrap_or(pin.since) < oldest.timestamp =>
            {
                *fate = Fate::Retired;
            }
            _ => break,
        }
    }
    fates
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HERE: &str = "7/1/2";

    fn at(n: i64) -> Timestamp {
        Timestamp::from_micros(n * 1_000_000)
    }

    /// Verified at second `n`, with the event of that second as head.
    fn remembered(place: &str, object: &str, n: i64) -> Remembered {
        let head = Head { event_id: format!("e{n}"), hash: format!("h{n}"), timestamp: Some(at(n)) };
        Remembered {
            place: place.to_owned(),
            object: object.to_owned(),
            heads: vec![head],
            events: Some(n as u64),
            before_hashing: None,
            other_columns: None,
            scheme: None,
            verified_at: at(n),
        }
    }

    fn memory(records: Vec<Remembered>) -> Memory {
        Memory { place: "prod".to_owned(), records, refused: None }
    }

    fn ids(pins: &[Pin]) -> Vec<&str> {
        pins.iter().map(|pin| pin.head.event_id.as_str()).collect()
    }

    /// Rows of the seconds `from..=to`.
    fn sight(from: i64, to: i64) -> Sight {
        let row = |n: i64| Seen {
            event_id: format!("e{n}"),
            hash: format!("h{n}"),
            previous_hash: if n == 1 { String::new() } else { format!("h{}", n - 1) },
            timestamp: at(n),
        };
        let rows: Vec<Seen> = (from..=to).map(row).collect();
        Sight { oldest: rows.first().cloned(), begins: from == 1 && to >= 1, rows, applied_until: None }
    }

    #[test]
    fn the_place_decides_what_is_looked_for_and_the_object_where_no_place_is_known() {
        let memory = memory(vec![
            remembered("", HERE, 1),
            remembered("", "7/9/9", 2),
            remembered("prod", HERE, 3),
            remembered("prod", "8/1/2", 4),
            remembered("stage", HERE, 5),
            remembered("stage", HERE, 5),
        ]);
        let pins = memory.pins(HERE);
        assert_eq!(ids(&pins), ["e1", "e3", "e4"]);
        assert_eq!(pins.iter().map(|pin| pin.of_another_object).collect::<Vec<_>>(), [false, false, true]);
        assert_eq!(memory.elsewhere(HERE), ["stage"]);
        let unnamed = Memory { place: String::new(), ..memory };
        assert_eq!(ids(&unnamed.pins(HERE)), ["e1", "e3", "e5"]);
    }

    #[test]
    fn a_head_is_one_pin_from_when_it_was_first_seen_to_when_it_was_last() {
        let mut again = remembered("prod", HERE, 3);
        (again.verified_at, again.events) = (at(9), Some(4));
        let pins = memory(vec![remembered("prod", HERE, 3), again]).pins(HERE);
        assert_eq!(pins.len(), 1);
        assert_eq!((pins[0].since, pins[0].until, pins[0].events), (at(3), at(9), Some(4)));
    }

    #[test]
    fn a_role_that_may_not_know_the_system_sees_the_same_object() {
        assert!(same_object("7/1/2", "unknown/1/2") && same_object("unknown/1/2", "7/1/2"));
        assert!(!same_object("7/1/2", "8/1/2") && !same_object("unknown/1/2", "7/1/3"));
    }

    fn fates_of(remembered_at: &[i64], sight: &Sight) -> Vec<Fate> {
        let records = remembered_at.iter().map(|n| remembered("prod", HERE, *n)).collect();
        fates(&memory(records).pins(HERE), sight)
    }

    #[test]
    fn truncation_change_and_retention_are_told_apart() {
        assert_eq!(fates_of(&[10, 20], &sight(1, 30)), [Fate::Present, Fate::Present]);
        assert_eq!(fates_of(&[10, 20], &sight(1, 15)), [Fate::Present, Fate::Missing]);
        assert_eq!(fates_of(&[10, 20, 30], &sight(15, 30)), [Fate::Retired, Fate::Present, Fate::Present]);
        let missing = [Fate::Missing, Fate::Missing];
        assert_eq!(fates_of(&[10, 20], &sight(25, 30)), missing, "no later head shows that it is this trail");
        let gap = [Fate::Missing, Fate::Missing, Fate::Present];
        assert_eq!(fates_of(&[10, 20, 30], &Sight { rows: sight(30, 30).rows, ..sight(15, 30) }), gap);
        let rewritten = Sight { begins: true, ..sight(15, 30) };
        assert_eq!(fates_of(&[10, 20], &rewritten), [Fate::Missing, Fate::Present], "it has a beginning");
        let mut changed = sight(1, 30);
        changed.rows[9].hash = "other".to_owned();
        assert_eq!(fates_of(&[10, 20], &changed), [Fate::Changed(changed.rows[9].clone()), Fate::Present]);
        // A second row under the id does not hide the first.
        changed.rows.extend(sight(10, 10).rows);
        assert_eq!(fates_of(&[10], &changed), [Fate::Present]);
        assert_eq!(fates_of(&[10], &Sight::default()), [Fate::Missing]);
    }

    #[test]
    fn a_replica_lacks_what_it_has_not_received() {
        let late = Sight { applied_until: Some(at(15)), ..sight(1, 15) };
        assert_eq!(fates_of(&[10, 20], &late), [Fate::Present, Fate::NotYet]);
        let caught_up = Sight { applied_until: Some(at(25)), ..sight(1, 15) };
        assert_eq!(fates_of(&[10, 20], &caught_up), [Fate::Present, Fate::Missing]);
    }

    proptest! {
        #[test]
        fn nothing_is_excused_that_is_not_before_all_that_is_there(
            remembered_at in prop::collection::btree_set(1i64..60, 1..8),
            (from, to) in (1i64..60).prop_flat_map(|from| (Just(from), from..60)),
        ) {
            let remembered_at: Vec<i64> = remembered_at.into_iter().collect();
            let found = fates_of(&remembered_at, &sight(from, to));
            for (n, fate) in remembered_at.iter().zip(&found) {
                let wanted = match n {
                    n if (from..=to).contains(n) => Fate::Present,
                    n if *n < from && remembered_at.iter().any(|later| later > n && *later >= from)
                        && remembered_at.iter().all(|later| *later < from || *later <= to) => Fate::Retired,
                    _ => Fate::Missing,
                };
                prop_assert_eq!(fate, &wanted);
            }
        }
    }
}
