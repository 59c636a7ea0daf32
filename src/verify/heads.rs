//! Heads that were remembered, compared with the trail before anything else is said of it.

use super::finding::Finding;
use super::limits::NewestHead;
use super::report::Pins;
use crate::chain::Scheme;
use crate::chain::head::{self, BeforeHashing, Fate, Head, Memory, Pin, Seen, Sight};
use crate::chain::links::Unhashed;
use crate::domain::{EventKey, OrgScope, Safe, TimeRange, Timestamp, grouped};
use crate::store::scan::{self, ChainRecord, HeadSight, Link, Snapshot};
use crate::store::{ReadDb, StoreError};
use std::collections::HashSet;
use tokio_util::sync::CancellationToken;

/// What the trail shows of all that is remembered of it.
#[derive(Debug)]
pub(super) struct Looked {
    object: String,
    pins: Vec<Pin>,
    fates: Vec<Fate>,
    seen: HeadSight,
    applied_until: Option<Timestamp>,
    remarks: Vec<String>,
}

/// What the comparison comes to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Compared {
    /// Which database it was.
    pub object: String,
    /// Contradictions, and what cannot be told here (`scan_incomplete`).
    pub findings: Vec<Finding>,
    /// Rows from before hashing that are not those of an earlier verification.
    pub covered: Vec<Finding>,
    /// How many heads were compared and how many were found.
    pub pins: Pins,
    /// The newest verification whose head is in the trail.
    pub newest: Option<NewestHead>,
    /// Remembered heads that went with the beginning of the trail.
    pub retired: Vec<Pin>,
    /// What is no finding, a sentence each.
    pub remarks: Vec<String>,
    /// It was a replica that was asked.
    pub is_of_replica: bool,
    /// Why the records of heads on this machine are not used.
    pub refused: Option<String>,
}

/// What else is known of the trail when the comparison is judged.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Known<'a> {
    /// How many events it has, where all of it was read.
    pub(super) events: Option<u64>,
    /// Whether all of it was read and it has no beginning.
    pub(super) has_no_beginning: bool,
    /// Its rows from before hashing, where the contents of all of it were read.
    pub(super) before_hashing: Option<&'a Unhashed>,
}

/// An event that somebody has seen, and that must still be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// The event.
    pub event: EventKey,
    /// Its hash as it was seen.
    pub hash: String,
    /// What was found at it.
    pub was: Option<Finding>,
}

impl Watched {
    fn finding(&self) -> Finding {
        match &self.was {
            // What was found does not go away with its row.
            Some(was) => {
                let detail = format!("{}; the row is not in the table any more", was.detail).into();
                Finding { detail, ..was.clone() }
            }
            None => Finding::event_gone(&self.event, &self.hash),
        }
    }
}

/// Compares what is remembered of a trail, and what somebody has seen of it, with the table, and reads nothing else of it: for a look in passing. Where event
/// ids have no unique index, which only reading the whole table could make up for, it is not done.
///
/// # Errors
/// [`StoreError`].
pub async fn compare_heads(
    db: &ReadDb,
    scope: &OrgScope,
    memory: &Memory,
    watched: &[Watched],
    cancel: &CancellationToken,
) -> Result<Compared, StoreError> {
    let reading = scan::Request { scope: scope.clone(), range: TimeRange::default(), links_only: true };
    let applied = db.applied_until().await?;
    scan::with_snapshot(db, reading, cancel, async |snapshot: &mut Snapshot<'_>| {
        if !snapshot.has_unique_ids() {
            return Ok(Compared::default());
        }
        let looked = look(snapshot, memory, applied).await?;
        let mut compared = looked.judge(memory, Known::default());
        // On a replica it may not have arrived yet.
        if applied.is_none() && !watched.is_empty() {
            let ids: Vec<String> = watched.iter().map(|watched| watched.event.event_id.clone()).collect();
            let seen = snapshot.heads(&ids).await?;
            let there: HashSet<&str> = seen.rows.iter().map(|row| row.event_id.as_str()).collect();
            let gone = watched.iter().filter(|watched| !there.contains(watched.event.event_id.as_str()));
            compared.findings.extend(gone.map(Watched::finding));
        }
        compared.is_of_replica = applied.is_some();
        Ok(compared)
    })
    .await
}

/// Looks for everything that is remembered. `applied`: on a replica, up to when it showed all changes before the
/// snapshot was taken.
pub(super) async fn look(
    snapshot: &mut Snapshot<'_>,
    memory: &Memory,
    applied: Option<Timestamp>,
) -> Result<Looked, StoreError> {
    let object = snapshot.view.identity.clone();
    let pins = memory.pins(&object);
    let ids: Vec<String> = pins.iter().map(|pin| pin.head.event_id.clone()).collect();
    let seen = snapshot.heads(&ids).await?;
    let of = |link: &Link| Seen {
        event_id: link.event_id.clone(),
        hash: link.hash.clone(),
        previous_hash: link.previous_hash.clone(),
        timestamp: link.timestamp,
    };
    let mut sight = Sight {
        rows: seen.rows.iter().map(of).collect(),
        oldest: seen.oldest.as_ref().map(of),
        begins: true,
        applied_until: applied,
    };
    let mut fates = head::fates(&pins, &sight);
    if fates.contains(&Fate::Missing) && sight.oldest.is_some() {
        // Only then does it matter.
        sight.begins = snapshot.first_genesis().await?.is_some();
        fates = head::fates(&pins, &sight);
    }
    let mut remarks = Vec::new();
    let moved = pins.iter().filter(|pin| pin.of_another_object).count();
    if moved > 0 {
        let there =
            pins.iter().zip(&fates).filter(|(pin, fate)| pin.of_another_object && **fate == Fate::Present);
        remarks.push(format!(
            "this is another database or table than before at {}: of {moved} heads verified in the earlier one, {} are here",
            Safe::from_untrusted(&memory.place),
            there.count()
        ));
    }
    if pins.is_empty()
        && let others @ [_, ..] = memory.elsewhere(&object).as_slice()
    {
        remarks.push(format!(
            "first verification at {}; heads of this organisation are remembered of {}, which is another place",
            Safe::from_untrusted(&memory.place),
            Safe::from_untrusted(&others.join(", "))
        ));
    }
    Ok(Looked { object, pins, fates, seen, applied_until: applied, remarks })
}

impl Looked {
    /// The scheme by which the trail was verified when one of the heads was remembered that are in it now: its rows were
    /// hashed by that one, whatever has become of them.
    pub(super) fn scheme(&self, memory: &Memory) -> Option<Scheme> {
        let present = |head: &Head| {
            let fates = self.pins.iter().zip(&self.fates);
            { fates }.any(|(Pin { head: pin, .. }, fate)| {
                *fate == Fate::Present && (&pin.event_id, &pin.hash) == (&head.event_id, &head.hash)
            })
        };
        let name = memory.scheme(&self.object, present)?;
        Scheme::ALL.iter().copied().find(|scheme| scheme.name() == name)
    }

    /// What it comes to.
    pub(super) fn judge(self, memory: &Memory, known: Known<'_>) -> Compared {
        let mut compared =
            Compared { object: self.object.clone(), refused: memory.refused.clone(), ..Compared::default() };
        compared.remarks.clone_from(&self.remarks);
        compared.pins.checked = self.pins.len() as u64;
        let record = self.seen.record.as_ref().filter(|record| !record.hash.is_empty());
        if self.seen.oldest.is_none() {
            compared.findings.extend(self.without_events(record));
            return compared;
        }
        for (pin, fate) in self.pins.iter().zip(&self.fates) {
            match fate {
                Fate::Present => {
                    compared.pins.matched += 1;
                    if compared.newest.is_none_or(|newest| newest.verified_at <= pin.until) {
                        compared.newest = Some(NewestHead { verified_at: pin.until, events: pin.events });
                    }
                }
                Fate::Retired => compared.retired.push(pin.clone()),
                Fate::Changed(now) => compared.findings.push(Finding::pin_mismatch(pin, now)),
                Fate::NotYet => compared.findings.push(Finding::not_received(pin, self.applied_until)),
                Fate::Missing => compared.findings.push(Finding::pin_missing(pin)),
            }
        }
        if let Some(record) = record {
            compared.judge_record(record, known);
        }
        if let Some(rows) = known.before_hashing {
            let others = memory.other_before_hashing(&self.object, &BeforeHashing::from(rows));
            compared.covered = others.into_iter().filter_map(|then| Finding::covered(then, rows)).collect();
        }
        compared
    }

    /// The role sees no event of the organisation.
    fn without_events(&self, record: Option<&ChainRecord>) -> Option<Finding> {
        let newest = self.pins.iter().max_by_key(|pin| pin.until);
        if newest.is_none() && record.is_none() {
            return None;
        }
        if self.seen.row_security {
            return Some(Finding::hidden(newest, record));
        }
        match (newest, record, self.fates.iter().all(|fate| *fate == Fate::NotYet)) {
            (Some(newest), None, true) => Some(Finding::not_received(newest, self.applied_until)),
            _ => Some(Finding::organization_missing(newest, record)),
        }
    }
}

impl Compared {
    /// The database's own record contradicts the trail where it knows more; its agreement proves nothing.
    fn judge_record(&mut self, record: &ChainRecord, known: Known<'_>) {
        let more = known.events.filter(|events| record.events > *events);
        if !record.is_there {
            let detail = format!(
                "audit_chain_heads names the newest of {} events: {}, with the hash {}; the trail has no such event",
                grouped(record.events),
                record.event_id.as_deref().unwrap_or("no id"),
                record.hash
            );
            self.findings.push(Finding::head_record(record, detail, record.events));
        } else if let Some(events) = more
            && !known.has_no_beginning
        {
            let detail = format!(
                "audit_chain_heads counts {} events; the trail has {}",
                grouped(record.events),
                grouped(events)
            );
            self.findings.push(Finding::head_record(record, detail, record.events - events));
        } else if record.has_successors {
            self.remarks.push(
                "audit_chain_heads is out of date: other writers went on from the event that it names"
                    .to_owned(),
            );
        }
    }

    /// Tells the finding that the beginning is missing about the heads that went with it.
    pub(super) fn explain_retired(&self, findings: &mut Vec<Finding>) {
        let Some(last) = self.retired.last() else { return };
        let text = format!(
            "; {} remembered heads went with it, up to {} of {}",
            self.retired.len(),
            last.head.event_id,
            last.until.to_rfc3339()
        );
        match findings.iter_mut().find(|finding| finding.class == super::Class::MissingGenesis) {
            Some(finding) => finding.detail.to_mut().push_str(&text),
            None => {
                let mut finding = Finding::missing_genesis(None);
                finding.detail.to_mut().push_str(&text);
                findings.push(finding);
            }
        }
    }
}
