//! The events of one organisation, stored in one transaction.

use super::copy::{self, Linked};
use super::head::{self, Head};
use super::original;
use super::prepare::{Ready, check_text};
use super::stored::{self, Stored};
use super::{CHANNEL, Failure, Fate, Writer};
use crate::chain::{EventText, Fields, to_hex};
use crate::domain::{ColumnError, OrgId, Timestamp};
use crate::store::connection::{Link as Connection, Relation, bounded};
use crate::store::row::SqlTime;
use chrono::Datelike as _;
use std::collections::HashMap;

/// Where an event's place in the chain comes from.
#[derive(Debug)]
pub(super) enum Link {
    /// Behind the event before it.
    Next,
    /// It brings its own.
    Given { hash: String, previous_hash: String },
}

impl Link {
    /// Checks that the columns can hold given hashes.
    pub(super) fn check(&self) -> Result<(), ColumnError> {
        const LENGTH: Option<usize> = Some(64);
        match self {
            Self::Next => Ok(()),
            Self::Given { hash, previous_hash } => check_text("hash", hash, LENGTH)
                .and_then(|()| check_text("previous_hash", previous_hash, LENGTH)),
        }
    }
}

/// Events that the table can hold, with their places in the caller's list.
#[derive(Debug, Default)]
pub(super) struct Batch {
    events: Vec<(usize, Ready, Link)>,
}

/// What the table, or an event earlier in the batch, has under an id.
struct Occupant<'a> {
    foreign: bool,
    content: Option<&'a EventText>,
    link: Option<(&'a str, &'a str)>,
    source: Source<'a>,
}

/// Where its columns are.
#[derive(Clone, Copy)]
enum Source<'a> {
    Table(&'a Stored),
    Batch(&'a Ready),
}

impl Occupant<'_> {
    /// What becomes of an event that comes under its id with other content, or another place in the chain.
    fn meets(&self, ready: &Ready, link: Option<(&str, &str)>) -> Fate {
        let ip = ready.ip.map(|ip| ip.to_string());
        let fields = ready.fields(ip.as_deref());
        let told = |own: &Fields<'_>| {
            if link.is_none() && original::same_record(own, &fields) {
                return Fate::MappedDifferently;
            }
            let mut differs = original::differences(own, &fields);
            if let (Some(own), Some(link)) = (self.link, link) {
                differs.extend((own.0 != link.0).then(|| "hash".to_owned()));
                differs.extend((own.1 != link.1).then(|| "previous_hash".to_owned()));
            }
            Fate::Conflict(differs)
        };
        match self.source {
            Source::Table(stored) => stored.fields().map_or(Fate::Conflict(Vec::new()), |own| told(&own)),
            Source::Batch(earlier) => {
                let ip = earlier.ip.map(|ip| ip.to_string());
                told(&earlier.fields(ip.as_deref()))
            }
        }
    }
}

/// How the table is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Partitions {
    None,
    Months,
    /// By organisation, or as somebody else wants it.
    Others,
}

impl Batch {
    pub(super) fn push(&mut self, at: usize, ready: Ready, link: Link) {
        self.events.push((at, ready, link));
    }

    /// Stores what is new in one transaction and returns the fate of every event.
    pub(super) async fn store(
        &self,
        writer: &mut Writer,
        organization: &OrgId,
    ) -> Result<Vec<(usize, Fate)>, Failure> {
        let relation = writer.db.relation()?;
        let mut work = writer.db.begin().await?;
        let done = bounded(self.store_in(&mut work, &relation, writer, organization)).await;
        match done {
            Ok((fates, None)) => {
                // Also the record of an organisation that has no events yet goes away again.
                work.roll_back().await;
                Ok(fates)
            }
            Ok((fates, Some(after))) => {
                work.commit().await?;
                match after {
                    Some(after) => writer.known.insert(organization.clone(), after),
                    None => writer.known.remove(organization),
                };
                Ok(fates)
            }
            Err(failure) => {
                work.roll_back().await;
                Err(failure)
            }
        }
    }

    /// The fates, and, where something was written, the new head if there is one.
    async fn store_in(
        &self,
        tx: &mut Connection,
        relation: &Relation,
        writer: &mut Writer,
        organization: &OrgId,
    ) -> Result<(Vec<(usize, Fate)>, Option<Option<Head>>), Failure> {
        let is_recorded = writer.db.has_heads();
        let recorded = if is_recorded {
            head::lock(tx, relation, organization).await?
        } else {
            head::lock_unrecorded(tx, relation, organization).await?;
            Head::default()
        };

        let ids: Vec<&str> = self.events.iter().map(|(_, ready, _)| ready.event.event_id.as_str()).collect();
        let partitions = self.make_room(tx, relation, is_recorded).await?;
        let partitioned = partitions != Partitions::None;
        let stored = stored::find(tx, relation, organization, &ids, partitioned, &mut writer.json).await?;
        let fates = self.fates(organization, &stored, partitions);
        let new: Vec<_> = self
            .events
            .iter()
            .zip(&fates)
            .filter(|(_, (_, fate))| *fate == Fate::Stored)
            .map(|((_, ready, link), _)| (ready, link))
            .collect();
        let Some((last, _)) = new.last() else {
            return Ok((fates, None));
        };

        let known = writer.known.get(organization);
        let chained = new.iter().all(|(_, link)| matches!(link, Link::Next));
        let before = if chained {
            let continue_from = writer.settings.continue_from.as_deref();
            if !is_recorded {
                head::find(tx, relation, organization, known, continue_from).await?
            } else if writer.trusting && known == Some(&recorded) {
                recorded
            } else {
                head::check(tx, relation, organization, &recorded, known, continue_from).await?
            }
        } else {
            recorded
        };
        let hashes = links(&new, &before.hash);
        // Given hashes need not follow from one another, nor from the record.
        let follows = chained
            || (is_recorded
                && is_chain(&hashes, &before.hash)
                && head::holds(tx, relation, organization, &before, known).await?);

        let rows = new.iter().zip(&hashes).map(|((ready, _), (hash, previous_hash))| Linked {
            ready,
            hash,
            previous_hash,
        });
        let written = copy::send(tx, relation, rows).await?;
        if written != new.len() as u64 {
            let text = format!("the server took {written} of {} events", new.len());
            return Err(Failure::Sql(sqlx::Error::Protocol(text)));
        }

        let after = if follows {
            let hash = hashes.last().map(|(hash, _)| hash.clone()).unwrap_or_default();
            let event_id = Some(last.event.event_id.clone());
            Some(Head { event_id, hash, events: before.events + new.len() as i64 })
        } else {
            head::only(tx, relation, organization).await?
        };
        if let Some(after) = after.as_ref().filter(|_| is_recorded) {
            head::advance(tx, relation, organization, after).await?;
        }
        sqlx::query("SELECT pg_notify($1, '')").bind(CHANNEL).execute(tx).await?;
        Ok((fates, Some(after)))
    }

    /// Sees to it that there is a partition for each event that can have one, where the table has a partition for each
    /// month; `is_ours`, where it is our schema, which has a function for it.
    async fn make_room(
        &self,
        c: &mut Connection,
        relation: &Relation,
        is_ours: bool,
    ) -> Result<Partitions, sqlx::Error> {
        let strategy: Option<String> = sqlx::query_scalar(
            "SELECT partstrat::text FROM pg_catalog.pg_partitioned_table WHERE partrelid = to_regclass($1)",
        )
        .bind(relation.sql())
        .fetch_optional(&mut *c)
        .await?;
        let partitions = match strategy.as_deref() {
            None => Partitions::None,
            Some("r") if is_ours => Partitions::Months,
            Some(_) => Partitions::Others,
        };
        if partitions == Partitions::Months {
            let month = |time: Timestamp| time.to_utc().map(|time| (time.year(), time.month()));
            let mut times: Vec<_> = self.events.iter().map(|(_, ready, _)| ready.event.timestamp).collect();
            times.retain(|time| has_month(*time));
            times.sort_unstable();
            times.dedup_by_key(|time| month(*time));
            for time in times {
                sqlx::query(relation.name_in("SELECT {schema}.agenttrace_ensure_partition($1)"))
                    .bind(SqlTime(time))
                    .execute(&mut *c)
                    .await?;
            }
        }
        Ok(partitions)
    }

    /// What is new, the same or different, against the table and within the batch.
    fn fates<'a>(
        &'a self,
        organization: &OrgId,
        stored: &'a HashMap<String, Stored>,
        partitions: Partitions,
    ) -> Vec<(usize, Fate)> {
        let mut occupants: HashMap<&str, Occupant<'a>> = stored
            .iter()
            .map(|(id, event)| {
                let occupant = Occupant {
                    foreign: event.organization != organization.as_str(),
                    content: event.content.as_ref(),
                    link: Some((&event.hash, &event.previous_hash)),
                    source: Source::Table(event),
                };
                (id.as_str(), occupant)
            })
            .collect();
        let mut fate = |ready: &'a Ready, link: &'a Link| {
            if partitions == Partitions::Months && !has_month(ready.event.timestamp) {
                let time = ready.event.timestamp;
                return Fate::Rejected(ColumnError {
                    column: "timestamp",
                    reason: format!("{time} lies outside the months that can be made (1970 to 2999)"),
                });
            }
            let own_link = match link {
                Link::Next => None,
                Link::Given { hash, previous_hash } => Some((hash.as_str(), previous_hash.as_str())),
            };
            match occupants.get(ready.event.event_id.as_str()) {
                None => {
                    let occupant = Occupant {
                        foreign: false,
                        content: Some(&ready.content),
                        link: own_link,
                        source: Source::Batch(ready),
                    };
                    occupants.insert(&ready.event.event_id, occupant);
                    Fate::Stored
                }
                Some(occupant) if occupant.foreign => Fate::Rejected(ColumnError {
                    column: "event_id",
                    reason: format!(
                        "'{}' is the id of an event of another organisation",
                        ready.event.event_id.escape_debug()
                    ),
                }),
                Some(occupant)
                    if occupant.content == Some(&ready.content)
                        && (own_link.is_none() || own_link == occupant.link) =>
                {
                    Fate::Duplicate
                }
                Some(occupant) => occupant.meets(ready, own_link),
            }
        };
        self.events.iter().map(|(at, ready, link)| (*at, fate(ready, link))).collect()
    }
}

/// Whether the function `agenttrace_ensure_partition` makes a month for it.
fn has_month(time: Timestamp) -> bool {
    time.to_utc().is_some_and(|time| (1970..3000).contains(&time.year()))
}

/// Hash and previous hash of each event, from this head on.
fn links(events: &[(&Ready, &Link)], head: &str) -> Vec<(String, String)> {
    let mut previous = head.to_owned();
    events
        .iter()
        .map(|(ready, link)| match link {
            Link::Next => {
                let hash = to_hex(&ready.content.hash(&previous));
                let before = std::mem::replace(&mut previous, hash.clone());
                (hash, before)
            }
            Link::Given { hash, previous_hash } => (hash.clone(), previous_hash.clone()),
        })
        .collect()
}

/// Whether each event refers to the one before it, and the first one to the head. (An empty hash is no head: it would
/// look like the record of an organisation without events.)
fn is_chain(hashes: &[(String, String)], head: &str) -> bool {
    let mut expected = head;
    hashes
        .iter()
        .all(|(hash, previous)| !hash.is_empty() && std::mem::replace(&mut expected, hash) == previous)
}
