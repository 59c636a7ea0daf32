//! What is handed over with a case beside what was said of events: heads of its trails that were remembered, findings
//! that were accepted, saved filters. It is put into the case before that is exported, and stays there.
//!
//! Whoever gets a case gets statements of somebody else. Heads and acceptances from a case decide no verdict here: they are
//! shown, and heads are compared with the table where that is asked for; filters are offered under their names.

use super::{Act, CaseFile, Record, Trail};
use crate::case::heads::{Heads, Verified};
use crate::case::saved::{self, Saved};
use crate::case::{accepted, record::Contents};
use crate::chain::head::same_object;
use crate::domain::Timestamp;
use crate::error::Result;
use std::collections::BTreeMap;
use std::path::Path;

/// A filter that was handed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedFilter {
    /// Who had it.
    pub by: String,
    /// Organisations of the case that it was saved for.
    pub organization_ids: Vec<String>,
    /// Its name and text.
    pub saved: Saved,
}

/// All that was handed over, each thing once.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Handover {
    /// Heads that were remembered.
    pub heads: Vec<Verified>,
    /// Findings that were accepted.
    pub accepted: Vec<accepted::Record>,
    /// Filters that can be read here; those that cannot are left out.
    pub filters: Vec<SharedFilter>,
}

impl Handover {
    /// What stands in the records of a case, in their order.
    pub fn of(records: &[Record]) -> Self {
        let mut found = Self::default();
        for record in records {
            match &record.act {
                Act::Head { head } if !found.heads.contains(head) => found.heads.push((**head).clone()),
                Act::Accepted { finding } if !found.accepted.contains(finding) => {
                    found.accepted.push((**finding).clone());
                }
                Act::Filter { name, filter, organization_ids } => {
                    let Ok(saved) = Saved::new(name, filter) else { continue };
                    if found.filters.iter().all(|there| there.saved != saved) {
                        let organization_ids = organization_ids.clone();
                        found.filters.push(SharedFilter { by: record.by.clone(), organization_ids, saved });
                    }
                }
                _ => {}
            }
        }
        found
    }
}

impl CaseFile {
    /// Puts into the case what this machine remembers of its trails, and its saved filters; what is there already is not
    /// put there again. Returns how many records that took.
    ///
    /// # Errors
    /// As [`super::record::Segment::append`], and when the saved filters cannot be read.
    pub fn gather(&self, folder: &Path, at: Timestamp, by: &str) -> Result<usize> {
        let (heads, accepted) = (Heads::load(folder), accepted::load(folder));
        let filters = saved::load(&folder.join(saved::FILE))?;
        self.segment.append_with(|there: &[Record]| {
            let mut trails: Vec<&Trail> = Vec::new();
            for event in there.iter().filter_map(Record::event) {
                if !trails.contains(&&event.trail) {
                    trails.push(&event.trail);
                }
            }
            let acts = acts(&trails, &heads, &accepted, &filters);
            let new = acts.into_iter().filter(|act| there.iter().all(|record| record.act != *act));
            new.map(|act| Record::new(act, at, by)).collect::<Vec<_>>()
        })
    }
}

fn acts(
    trails: &[&Trail],
    heads: &Heads,
    accepted: &Contents<accepted::Record>,
    filters: &[Saved],
) -> Vec<Act> {
    // Of each trail what was remembered last.
    let mut last: BTreeMap<(&str, &str), &Verified> = BTreeMap::new();
    for head in heads.verified().filter(|head| trails.iter().any(|trail| is_of(head, trail))) {
        last.insert((&head.organization_id, &head.trail.place), head);
    }
    let heads = last.into_values().map(|head| Act::Head { head: Box::new(head.clone()) });
    let is_ours = |record: &&accepted::Record| {
        trails.iter().any(|trail| {
            trail.organization_id == record.organization_id
                && same_object(&trail.object, &record.database_identity)
        })
    };
    let accepted = accepted.records.iter().filter(is_ours);
    let accepted = accepted.map(|record| Act::Accepted { finding: Box::new(record.clone()) });
    let mut organization_ids: Vec<String> =
        trails.iter().map(|trail| trail.organization_id.clone()).collect();
    organization_ids.sort();
    organization_ids.dedup();
    let filters = filters.iter().map(|saved| Act::Filter {
        name: saved.name.clone(),
        filter: saved.filter.clone(),
        organization_ids: organization_ids.clone(),
    });
    heads.chain(accepted).chain(filters).collect()
}

/// Whether a head was remembered of this trail.
pub fn is_of(head: &Verified, trail: &Trail) -> bool {
    let there = Trail {
        organization_id: head.organization_id.clone(),
        place: head.trail.place.clone(),
        object: head.trail.object.clone(),
    };
    trail.is_same(&there)
}
