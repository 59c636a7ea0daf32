//! The log that a bundle's events are placed in, as the last checkpoint has it.

use super::{Entry, MOST_EVENTS};
use crate::case::checkpoints::{self, Kept};
use crate::domain::grouped;
use crate::error::{Error, Kind, Result};
use crate::evidence::checkpoint::{Signed, key_name};
use crate::evidence::leaves;
use crate::evidence::tree::Node;
use crate::investigation::checkpoint::check_leaves;
use crate::store::query::Query;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::path::Path;

/// The log that events are placed in.
pub(super) struct Log {
    pub(super) checkpoint: Option<Signed>,
    pub(super) before: Option<Signed>,
    /// Earlier checkpoints of it.
    earlier: Vec<Signed>,
    leaves: Option<File>,
}

impl Log {
    /// The last one of a trail that was signed here, or by this key.
    pub(super) fn of(folder: &Path, place: &str, organization: &str, key: Option<&str>) -> Result<Self> {
        let is_meant = |(kept, signed): &(Kept, Signed)| {
            let log = key_name(&signed.trail.checkpoint.origin);
            kept.organization_id == organization && kept.place == place && (key.is_none() || key == log)
        };
        let mut all: Vec<Signed> =
            checkpoints::load(folder)?.into_iter().filter(is_meant).map(|(_, signed)| signed).collect();
        let Some(checkpoint) = all.pop() else {
            return Ok(Self { checkpoint: None, before: None, earlier: Vec::new(), leaves: None });
        };
        let origin = checkpoint.trail.checkpoint.origin.clone();
        all.retain(|signed| signed.trail.checkpoint.origin == origin);
        let mut leaves = checkpoints::leaves_to_read(folder, &origin)?;
        check_leaves(&mut leaves, &checkpoint.trail.checkpoint)?;
        Ok(Self { checkpoint: Some(checkpoint), before: None, earlier: all, leaves: Some(leaves) })
    }

    pub(super) fn size(&self) -> u64 {
        self.checkpoint.as_ref().map_or(0, |signed| signed.trail.checkpoint.size)
    }

    fn from(&self) -> u64 {
        self.before.as_ref().map_or(0, |signed| signed.trail.checkpoint.size)
    }

    pub(super) fn each(&mut self, mut take: impl FnMut(u64, Node) -> Result<()>) -> Result<()> {
        let size = self.size();
        let Some(file) = &mut self.leaves else { return Ok(()) };
        for (at, hash) in (0..).zip(leaves::read(file, size)?) {
            take(at, hash?)?;
        }
        Ok(())
    }

    /// Finds the leaf of each event, and the last checkpoint before all of them and before the time asked for.
    pub(super) fn place(&mut self, entries: &mut [Entry], query: &Query) -> Result<()> {
        let by_hash: HashMap<Node, usize> =
            entries.iter().enumerate().map(|(n, entry)| (entry.hash, n)).collect();
        if by_hash.len() < entries.len() {
            return Err(Error::new(
                Kind::Finding,
                "two of these events have the same hash: agenttrace verify says more",
            ));
        }
        let mut first = self.size();
        self.each(|at, hash| {
            if let Some(entry) = by_hash.get(&hash).and_then(|n| entries.get_mut(*n)) {
                entry.leaf = Some(at);
                first = first.min(at);
            }
            Ok(())
        })?;
        let is_before = |signed: &&Signed| {
            signed.trail.checkpoint.size <= first
                && query.range.since.is_some_and(|since| signed.trail.at <= since)
        };
        self.before = self.earlier.iter().rfind(is_before).cloned();
        Ok(())
    }

    pub(super) fn range_hashes(&mut self) -> Result<HashSet<Node>> {
        let from = self.from();
        if self.size() - from > MOST_EVENTS as u64 {
            let events = grouped(self.size() - from);
            return Err(Error::usage(format!(
                "the range between the checkpoints has {events} events, too many to give in full"
            ))
            .hint("use --level hashes, or begin the time after a later checkpoint"));
        }
        let mut found = HashSet::new();
        self.each(|at, hash| {
            if at >= from {
                found.insert(hash);
            }
            Ok(())
        })?;
        Ok(found)
    }
}
