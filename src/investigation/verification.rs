//! A verification of an organisation's trail: the whole of it, the rest of an interrupted one, a range, or what came
//! since the last one. It records by itself what later ones need.

use super::Records;
use crate::case::verifications::Verification;
use crate::chain::Scheme;
use crate::chain::head::Memory;
use crate::domain::{OrgId, OrgScope, TimeRange, Timestamp};
use crate::evidence::leaves::Tap;
use crate::filter::Filter;
use crate::store::aggregate::organizations;
use crate::store::listing::timeline;
use crate::store::query::{Count, Query};
use crate::store::{ReadDb, StoreError};
use crate::verify::{self, Finding, Gauge, Interrupted, Progress, Report, Request, Watched};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How often it says how far it has come.
const TELL_EVERY: Duration = Duration::from_millis(100);
/// How often what would be lost by a crash is recorded.
const RECORD_EVERY: Duration = Duration::from_secs(60);

/// How long a look in passing counts events.
const COUNT_WITHIN: Duration = Duration::from_secs(1);

/// How much of a trail is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// All of it.
    Whole,
    /// All of it; what an interrupted verification has verified is not read again.
    Resume,
    /// Events of this time.
    Range(TimeRange),
    /// What came since the last verification.
    Increment,
}

/// What to verify, and how.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The organisation.
    pub scope: OrgScope,
    /// How much of its trail.
    pub extent: Extent,
    /// Only the links, not the content.
    pub links_only: bool,
    /// Readers, each with a connection of its own.
    pub jobs: usize,
    /// The scheme of the hashes; `None` finds it out on a sample.
    pub scheme: Option<Scheme>,
    /// Compare the search vectors of all events rather than of a sample.
    pub deep: bool,
    /// See of each column whether the hash notices a change of it.
    pub measure_columns: bool,
    /// Where the hashes of all events are noted, for a checkpoint.
    pub tap: Option<Tap>,
}

impl Asked {
    /// The whole trail, by one reader.
    pub fn whole(scope: OrgScope) -> Self {
        Self {
            scope,
            extent: Extent::Whole,
            links_only: false,
            jobs: 1,
            scheme: None,
            deep: false,
            measure_columns: false,
            tap: None,
        }
    }
}

/// Why a verification brought no report.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct Stopped {
    /// What stopped it.
    #[source]
    pub error: StoreError,
    /// How much of the trail need not be read again by [`Extent::Resume`], in percent.
    pub resumable: Option<u8>,
}

impl From<StoreError> for Stopped {
    fn from(error: StoreError) -> Self {
        Self { error, resumable: None }
    }
}

/// What the content need not be read again for.
#[derive(Debug)]
enum Base {
    Nothing,
    Verified(Interrupted),
    Interrupted(Interrupted),
}

/// A verification that is about to run: the records of this machine have been read.
#[derive(Debug)]
pub struct Session<'r> {
    records: &'r mut Records,
    asked: Asked,
    base: Base,
}

/// The organisations whose trails a verification of all of them reads: those that have events, and those that are
/// remembered at this place or named by the database's own record of heads.
///
/// # Errors
/// [`StoreError`].
pub async fn organizations(
    db: &ReadDb,
    records: &Records,
    cancel: &CancellationToken,
) -> Result<Vec<OrgId>, StoreError> {
    let found = match organizations::list(db, cancel).await {
        // Row-level security shows nothing: which of those that are remembered it hides is said of each.
        Err(StoreError::NothingGranted) if !records.organizations().is_empty() => Vec::new(),
        found => found?,
    };
    let mut ids: Vec<OrgId> = found.into_iter().map(|organization| organization.id).collect();
    ids.extend(vanished(db, records, &ids, cancel).await?);
    ids.sort();
    Ok(ids)
}

/// Compares all that is remembered of a trail with the table and reads nothing else of it: what contradicts it and is not
/// accepted. For a look in passing.
///
/// # Errors
/// [`StoreError`].
pub async fn contradictions(
    db: &ReadDb,
    records: &Records,
    scope: &OrgScope,
    cancel: &CancellationToken,
) -> Result<Vec<Finding>, StoreError> {
    let organization = scope.organization().as_str();
    let compared = verify::compare_heads(db, scope, &records.memory(organization), &[], cancel).await?;
    Ok(records.open_of(organization, &compared))
}

/// What a session has seen of a trail itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SeenBefore {
    /// Events that must still be there: the newest one that was seen, and those at which something was found.
    pub watched: Vec<Watched>,
    /// The most events that were counted exactly, and when.
    pub events: Option<(u64, Timestamp)>,
}

/// What a look in passing finds.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Passing {
    /// What contradicts remembered heads, or what the session has seen, and is not accepted.
    pub findings: Vec<Finding>,
    /// How many events there are, where that could be counted exactly within a second.
    pub events: Option<u64>,
    /// The last verifications at this place, the newest first.
    pub verifications: Vec<Verification>,
    /// What was signed of it on this machine.
    pub signing: Signing,
}

/// What this machine has signed of a trail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Signing {
    /// Nothing, and it has no key to sign with.
    #[default]
    NoKey,
    /// Nothing.
    Never,
    /// A checkpoint; the trail was read at this time.
    Last(Timestamp),
}

/// As [`contradictions`], and with what the session itself has seen.
///
/// # Errors
/// [`StoreError`].
pub async fn passing(
    db: &ReadDb,
    records: &Records,
    scope: &OrgScope,
    seen: &SeenBefore,
    cancel: &CancellationToken,
) -> Result<Passing, StoreError> {
    let organization = scope.organization().as_str();
    let memory = records.memory(organization);
    let mut compared = verify::compare_heads(db, scope, &memory, &seen.watched, cancel).await?;
    let all = Query { scope: scope.clone(), filter: Filter::default(), range: TimeRange::default() };
    let events = match timeline::count(db, &all, COUNT_WITHIN, cancel).await? {
        Count::Exact(events) => Some(events),
        _ => None,
    };
    if let (Some(then), Some(now)) = (seen.events, events)
        && now < then.0
        && !compared.is_of_replica
    {
        let relation = db.relation(cancel).await?;
        compared.findings.push(Finding::fewer_events(relation.named(), then, now));
    }
    let findings = records.open_of(organization, &compared);
    let (verifications, signing) = (records.verifications(organization), records.signing(organization));
    Ok(Passing { findings, events, verifications, signing })
}

/// The organisations that [`organizations()`] names beside those that have events: they have vanished, or are hidden from
/// this role.
///
/// # Errors
/// [`StoreError`].
pub async fn vanished(
    db: &ReadDb,
    records: &Records,
    present: &[OrgId],
    cancel: &CancellationToken,
) -> Result<Vec<OrgId>, StoreError> {
    let mut ids: BTreeSet<OrgId> = organizations::recorded(db, cancel).await?.into_iter().collect();
    ids.extend(records.organizations().into_iter().filter_map(|id| OrgId::new(id).ok()));
    Ok(ids.into_iter().filter(|id| !present.contains(id)).collect())
}

impl<'r> Session<'r> {
    /// Decides where the verification begins; remarks in the records say where that is not what was asked for.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn prepare(
        db: &ReadDb,
        records: &'r mut Records,
        asked: Asked,
        cancel: &CancellationToken,
    ) -> Result<Self, StoreError> {
        let organization = asked.scope.organization().as_str();
        let base = match asked.extent {
            Extent::Whole | Extent::Range(_) => Base::Nothing,
            Extent::Resume => {
                let identity = verify::identity(db, &asked.scope, cancel).await?;
                records.interrupted(organization, &identity).map_or(Base::Nothing, Base::Interrupted)
            }
            Extent::Increment => records.base(organization).map_or(Base::Nothing, Base::Verified),
        };
        match (asked.extent, &base) {
            (Extent::Resume, Base::Nothing) => {
                records.remark("there is no interrupted verification to resume: the whole trail is read");
            }
            (Extent::Increment, Base::Nothing) => {
                records.remark("there is no intact verification to go on from: the whole trail is read");
            }
            _ => {}
        }
        Ok(Self { records, asked, base })
    }

    /// Whether it goes on with one that was interrupted.
    pub fn resumes(&self) -> bool {
        matches!(self.base, Base::Interrupted(_))
    }

    /// Runs it: says how far it has come whenever that changes, records what a later one needs, and returns a report in
    /// which accepted findings are told apart.
    ///
    /// # Errors
    /// [`Stopped`]. What was verified until then is recorded, where it can be resumed.
    pub async fn run(
        self,
        db: &ReadDb,
        gauge: &Arc<Gauge>,
        tell: impl Fn(Progress),
        cancel: &CancellationToken,
    ) -> Result<Report, Stopped> {
        let Self { records, asked, base } = self;
        let organization = asked.scope.organization().as_str().to_owned();
        let resumable = matches!(asked.extent, Extent::Whole | Extent::Resume) && !asked.links_only;
        let mut leaves_a_record = matches!(base, Base::Interrupted(_));
        let memory = records.memory(&organization);
        let mut verifying = spawn(db.clone(), asked, base, memory, gauge.clone(), cancel.clone());
        let (mut told, mut recorded) = (None, Instant::now());
        let ended = loop {
            tokio::select! {
                ended = &mut verifying => break ended,
                () = tokio::time::sleep(TELL_EVERY) => {}
            }
            let progress = Some(gauge.progress());
            // Nothing changes in a pause, and then no screen need be drawn.
            if progress != told {
                progress.iter().cloned().for_each(&tell);
                told = progress;
            }
            if resumable && recorded.elapsed() >= RECORD_EVERY {
                recorded = Instant::now();
                if let Some(left) = gauge.interrupted() {
                    leaves_a_record |= records.keep_interrupted(&organization, &left);
                }
            }
        };
        let ended = ended.unwrap_or_else(|e| Err(StoreError::Other(format!("the verification failed: {e}"))));
        let left = gauge.interrupted();
        let mut report = match ended {
            Ok(report) => report,
            Err(error) => {
                let left = left.filter(|left| resumable && !left.has_ended());
                let kept = left.filter(|left| records.keep_interrupted(&organization, left));
                return Err(Stopped { error, resumable: kept.map(|left| left.percent) });
            }
        };
        if let (Some(left), true) = (&left, leaves_a_record) {
            records.keep_interrupted(&organization, &left.clone().ended());
        }
        records.apply(&mut report);
        report.note_not_used(records.refused());
        records.keep(&report, left);
        Ok(report)
    }
}

/// Verifies in a task of its own: it runs where its socket is waited for; elsewhere each answer would wake up two
/// threads.
#[expect(clippy::disallowed_methods, reason = "ends with the verification that it records")]
fn spawn(
    db: ReadDb,
    asked: Asked,
    base: Base,
    memory: Memory,
    gauge: Arc<Gauge>,
    cancel: CancellationToken,
) -> JoinHandle<Result<Report, StoreError>> {
    let Asked { scope, extent, links_only, jobs, scheme, deep, measure_columns, tap } = asked;
    let range = match extent {
        Extent::Range(range) => range,
        Extent::Whole | Extent::Resume | Extent::Increment => TimeRange::default(),
    };
    let request = Request { scope, range, links_only, jobs, memory, scheme, deep, measure_columns, tap };
    tokio::spawn(async move {
        match &base {
            Base::Verified(base) => verify::verify_since(&db, &request, base, &gauge, &cancel).await,
            Base::Interrupted(left) => verify::verify_rest(&db, &request, left, &gauge, &cancel).await,
            Base::Nothing => verify::verify(&db, &request, &gauge, &cancel).await,
        }
    })
}
