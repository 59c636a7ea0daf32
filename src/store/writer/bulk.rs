//! Many events into a new table: organisations side by side, secondary indexes built at the end in one go.

use super::{Fate, WriteError, Writer, WriterSettings};
use crate::domain::{NewEvent, OrgId};
use crate::store::connection::Work;
use crate::store::{StoreError, WriteDb, schema};
use std::collections::HashMap;

/// Organisations that are written at once.
const SIDE_BY_SIDE: usize = 2;

/// A [`Writer`] for a trail that is loaded in one go.
///
/// On an empty table the secondary indexes are dropped first and built by [`Self::finish`], which costs a third of
/// keeping them. However the program ends in between, each organisation's chain is whole up to its last batch, and
/// [`schema::migrate`] builds what is missing. A table that holds events keeps its indexes. One program does this at a
/// time, others wait.
#[derive(Debug)]
pub struct BulkWriter {
    db: WriteDb,
    /// Keeps others from dropping and building indexes.
    turn: Work,
    writers: Vec<Writer>,
    /// The writer of each organisation, and how many events each writer was given.
    assigned: HashMap<OrgId, usize>,
    loads: [usize; SIDE_BY_SIDE],
}

impl BulkWriter {
    /// Waits for its turn and drops the secondary indexes if the table is empty.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn begin(db: WriteDb) -> Result<Self, WriteError> {
        let relation = db.relation()?;
        let turn = schema::lock_indexes(&db).await?;
        let mut work = db.begin().await?;
        let look = relation.name_in("SELECT NOT EXISTS (SELECT FROM {schema}.audit_events)");
        let empty: bool = sqlx::query_scalar(look).fetch_one(&mut *work).await.map_err(StoreError::from)?;
        work.commit().await.map_err(StoreError::from)?;
        if empty {
            schema::drop_indexes(&db).await?;
        }
        let writer = || Writer { trusting: empty, ..Writer::new(db.clone(), WriterSettings::default()) };
        let writers = (0..SIDE_BY_SIDE).map(|_| writer()).collect();
        Ok(Self { writers, db, turn, assigned: HashMap::new(), loads: [0; SIDE_BY_SIDE] })
    }

    /// As [`Writer::append`]; organisations are written side by side.
    ///
    /// # Errors
    /// As [`Writer::append`]; other organisations may have been stored.
    pub async fn append(&mut self, events: Vec<NewEvent>) -> Result<Vec<Fate>, WriteError> {
        let mut fates = vec![Fate::Stored; events.len()];
        let mut parts: [(Vec<usize>, Vec<NewEvent>); SIDE_BY_SIDE] = Default::default();
        for (at, event) in events.into_iter().enumerate() {
            let part = self.part(&event.organization_id);
            if let (Some((places, events)), Some(load)) = (parts.get_mut(part), self.loads.get_mut(part)) {
                places.push(at);
                events.push(event);
                *load += 1;
            }
        }
        let work = self.writers.iter_mut().zip(parts).map(async |(writer, (places, events))| {
            Ok::<_, WriteError>(places.into_iter().zip(writer.append(events).await?))
        });
        // All of them to their end: a cancelled batch would be rolled back for nothing.
        for done in futures_util::future::join_all(work).await {
            for (at, fate) in done? {
                if let Some(place) = fates.get_mut(at) {
                    *place = fate;
                }
            }
        }
        Ok(fates)
    }

    /// The writer of an organisation: always the same, because it knows the head; at first the one with the least work.
    fn part(&mut self, organization: &OrgId) -> usize {
        if let Some(part) = self.assigned.get(organization) {
            return *part;
        }
        let part = (0..SIDE_BY_SIDE).min_by_key(|part| self.loads.get(*part)).unwrap_or(0);
        self.assigned.insert(organization.clone(), part);
        part
    }

    /// Builds the indexes, and brings statistics and visibility map up to date.
    ///
    /// # Errors
    /// When an index cannot be built.
    pub async fn finish(self) -> Result<(), WriteError> {
        schema::build_indexes(&self.db).await?;
        schema::settle(&self.db).await?;
        self.turn.roll_back().await;
        Ok(())
    }
}
