//! From rows to a report.

use super::assembly::{Followed, report};
use super::columns;
use super::completeness;
use super::detect::{self, Detected};
use super::finding::{Beginnings, Finding};
use super::heads;
use super::progress::Gauge;
use super::ranges::Interrupted;
use super::reading::{Reader, Readings};
use super::report::Report;
use super::vectors;
use crate::chain::head::Memory;
use crate::chain::links::{self, Listed, MAX_NOTED, Open, Shape};
use crate::chain::{Judge, Scheme};
use crate::domain::{OrgScope, TimeRange};
use crate::evidence::leaves::Tap;
use crate::store::scan::{self, Depth, Link, Snapshot};
use crate::store::schema::Guard;
use crate::store::{ReadDb, StoreError};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Malformed events whose rows are looked up together.
const AT_ONCE: usize = 4_096;

/// What to verify.
#[derive(Debug, Clone)]
pub struct Request {
    /// The organisation.
    pub scope: OrgScope,
    /// Only events of this time; the two seams are looked up.
    pub range: TimeRange,
    /// Only the links, not the content.
    pub links_only: bool,
    /// Readers, each with a connection of its own.
    pub jobs: usize,
    /// What is remembered of the trail; compared before anything else.
    pub memory: Memory,
    /// The scheme of the hashes; `None` finds it out on a sample.
    pub scheme: Option<Scheme>,
    /// Compare the search vectors of all events in scope rather than of a sample.
    pub deep: bool,
    /// Change each column of sampled rows, in memory, and see whether the hash notices.
    pub measure_columns: bool,
    /// Where the hashes of all events are noted.
    pub tap: Option<Tap>,
}

impl Request {
    /// The whole trail of an organisation, by one reader, of which nothing is remembered.
    pub fn whole(scope: OrgScope) -> Self {
        Self {
            scope,
            range: TimeRange::default(),
            links_only: false,
            jobs: 1,
            memory: Memory::default(),
            scheme: None,
            deep: false,
            measure_columns: false,
            tap: None,
        }
    }
}

/// What need not be read again.
#[derive(Debug, Default)]
struct Base {
    verified: Option<Interrupted>,
    /// It was the base of an increment: where it does not fit any more, everything is read.
    incremental: bool,
}

/// Verifies an organisation or a range of it as it is now; what is written meanwhile is not seen. While the gauge's pace
/// is paused, nothing is read; after a minute of that the snapshot is given up, and the rest is read of a new one.
///
/// # Errors
/// [`StoreError::Cancelled`] when `cancel` fired, and whatever keeps the database from being read. Rows that cannot be
/// read are findings, not errors.
pub async fn verify(
    db: &ReadDb,
    request: &Request,
    gauge: &Arc<Gauge>,
    cancel: &CancellationToken,
) -> Result<Report, StoreError> {
    run(db, request, Base::default(), gauge, cancel).await
}

/// As [`verify`] of a whole trail, from an earlier verification that found it intact: all links are followed, and the
/// content is read of every row version that is newer than that. Where it cannot be told which those are, everything is
/// read, and [`Report::remarks`] says why. The range of the request is not used.
///
/// # Errors
/// As [`verify`].
pub async fn verify_since(
    db: &ReadDb,
    request: &Request,
    base: &Interrupted,
    gauge: &Arc<Gauge>,
    cancel: &CancellationToken,
) -> Result<Report, StoreError> {
    let request = Request { range: TimeRange::default(), links_only: false, ..request.clone() };
    run(db, &request, Base { verified: Some(base.clone()), incremental: true }, gauge, cancel).await
}

/// As [`verify`] of a whole trail, from where an interrupted one was: of rows that it has verified, and that are the same
/// versions still, only the links are read. The findings are those of a verification that was not interrupted.
///
/// # Errors
/// As [`verify`], and when it cannot be told which rows it has verified.
pub async fn verify_rest(
    db: &ReadDb,
    request: &Request,
    interrupted: &Interrupted,
    gauge: &Arc<Gauge>,
    cancel: &CancellationToken,
) -> Result<Report, StoreError> {
    let request = Request { range: TimeRange::default(), links_only: false, ..request.clone() };
    run(db, &request, Base { verified: Some(interrupted.clone()), incremental: false }, gauge, cancel).await
}

/// Reads the rows and judges them by a scheme; `None` when it was paused for too long. Also says what was not read again.
async fn read(
    snapshot: &mut Snapshot<'_>,
    request: &Request,
    base: &Base,
    detected: &Detected,
    gauge: &Arc<Gauge>,
    cancel: &CancellationToken,
) -> Result<Option<(Readings, Parts)>, StoreError> {
    let scheme = detected.scheme;
    let parts = parts(base, snapshot, scheme)?;
    request.tap.iter().for_each(Tap::begin);
    let reader = || {
        let stop = cancel.clone();
        let judge = Judge::new(scheme).until(move || stop.is_cancelled());
        let judge = if detected.is_foreign() { judge.of_a_guess() } else { judge };
        Reader::new(judge, gauge.clone(), detected.is_foreign(), parts.earlier.len())
            .noting(request.tap.clone())
    };
    let readers = (0..request.jobs.max(1)).map(|_| reader()).collect();
    let view = snapshot.view.clone();
    let begin = |outline: scan::Outline| {
        gauge.expect(outline.rows);
        gauge.ledger().begin(view, scheme, parts.earlier.clone(), outline);
    };
    let (readers, complete) = snapshot.read(readers, &parts.earlier, begin, gauge.pace()).await?;
    let whole = readers.into_iter().map(Reader::end).reduce(Readings::merge).unwrap_or_default();
    Ok(complete.then_some((whole, parts)))
}

/// What restores the guard.
const GUARD: &str = "agenttrace db migrate restores it";
/// What is said when nothing that was remembered of rows is of use.
const READ_AGAIN: &str = "the columns of the table or their types are not as an earlier verification found them, or it has \
     not recorded them: nothing that it has verified is taken for verified, and all content was read again";

async fn run(
    db: &ReadDb,
    request: &Request,
    mut base: Base,
    gauge: &Arc<Gauge>,
    cancel: &CancellationToken,
) -> Result<Report, StoreError> {
    loop {
        if let Some(report) = Box::pin(of_one_snapshot(db, request, &base, gauge, cancel)).await? {
            return Ok(report);
        }
        // Links alone are read fast enough to begin anew.
        base.verified = if request.links_only { None } else { gauge.interrupted() };
        gauge.pace().until_resumed(cancel).await;
    }
}

async fn of_one_snapshot(
    db: &ReadDb,
    request: &Request,
    base: &Base,
    gauge: &Arc<Gauge>,
    cancel: &CancellationToken,
) -> Result<Option<Report>, StoreError> {
    let reading =
        scan::Request { scope: request.scope.clone(), range: request.range, links_only: request.links_only };
    // Before the snapshot is taken: what was applied by then is in it.
    let applied = db.applied_until().await?;
    let replica_lag_s = db.replica_lag().await?;
    scan::with_snapshot(db, reading, cancel, async |snapshot: &mut Snapshot<'_>| {
        let looked = heads::look(snapshot, &request.memory, applied).await?;
        let sampled = detect::scheme(snapshot, request.scheme).await?;
        let mut detected = sampled.or_remembered(&looked, &request.memory);
        let Some((mut whole, parts)) = read(snapshot, request, base, &detected, gauge, cancel).await? else {
            return Ok(None);
        };
        let mut read_by = parts;
        if detected.used.guessed
            && let Some(proven) = whole.proven(detected.scheme)
        {
            let is_judged = proven == detected.scheme && !whole.is_of_no_scheme();
            detected = detected.known(proven);
            if !is_judged {
                match read(snapshot, request, base, &detected, gauge, cancel).await? {
                    Some(again) => (whole, read_by) = again,
                    None => return Ok(None),
                }
            }
        }
        let scheme = detected.scheme;
        let Parts { earlier, refused, outdated } = read_by;
        if request.range != TimeRange::default()
            && whole.links.has_unhashed()
            && let Some(first) = snapshot.first_hashed().await?
        {
            whole.links.hashed_at(first.as_micros());
        }
        let open = std::mem::take(&mut whole.links).close();
        if !request.links_only {
            whole.content.undecided -= open.lost_hashes.min(whole.content.undecided);
            whole.content.mismatch += open.lost_hashes;
        }
        let followed = follow(snapshot, request, &whole, &open).await?;
        let verified_earlier = whole.earlier_parts(&earlier);
        let compared = looked.judge(&request.memory, known(request, &whole, &open));
        let depth = if request.deep { Depth::All } else { Depth::Sample };
        let vectors = vectors::Compared::of(snapshot.vectors(depth).await?, whole.events);
        let columns =
            if request.measure_columns { columns::measure(snapshot, scheme).await? } else { Vec::new() };
        let guard = snapshot.guard().await?;
        let mut report = report(
            snapshot,
            request,
            detected.used,
            scheme,
            whole,
            &open,
            followed,
            compared,
            vectors,
            gauge,
        );
        report.coverage.measured(columns);
        report.remarks.extend(of_guard(&guard));
        report.scope.incremental = base.incremental;
        report.coverage.went_on_from(verified_earlier);
        report.scope.replica_lag_s = replica_lag_s;
        report.remarks.extend(refused.map(|why| format!("the whole trail was read: {why}")));
        if outdated {
            report.remarks.push(READ_AGAIN.to_owned());
        }
        report.judge();
        Ok(Some(report))
    })
    .await
}

/// One line on the triggers that do not hold: in a partitioned table there may be hundreds.
fn of_guard(guard: &[Guard]) -> Option<String> {
    let mut problems = guard.iter().filter_map(Guard::problem);
    let first = problems.next()?;
    let others = match problems.count() {
        0 => String::new(),
        1 => "; 1 other trigger of the guard does not hold either".to_owned(),
        n => format!("; {n} other triggers of the guard do not hold either"),
    };
    Some(format!("{first}{others} ({GUARD})"))
}

/// What of the base need not be read again, or why all is.
#[derive(Default)]
struct Parts {
    earlier: Vec<scan::Earlier>,
    /// Why there is nothing to go on from.
    refused: Option<String>,
    /// The catalogue is another one than it was, or was not recorded: a row may be the same version and have other values.
    outdated: bool,
}

fn parts(base: &Base, snapshot: &Snapshot<'_>, scheme: Scheme) -> Result<Parts, StoreError> {
    let Some(verified) = &base.verified else { return Ok(Parts::default()) };
    match verified.check(snapshot, scheme) {
        Ok(()) if !verified.holds_in(snapshot) => Ok(Parts { outdated: true, ..Parts::default() }),
        Ok(()) => Ok(Parts { earlier: verified.parts.clone(), ..Parts::default() }),
        Err(why) if base.incremental => Ok(Parts { refused: Some(why.to_owned()), ..Parts::default() }),
        Err(why) => Err(StoreError::Other(format!(
            "the interrupted verification cannot be resumed: {why}; verify the whole trail"
        ))),
    }
}

/// What the database's own record of heads is judged by.
fn known<'o>(request: &Request, whole: &Readings, open: &'o Open) -> heads::Known<'o> {
    let everything = request.range == TimeRange::default();
    heads::Known {
        events: everything.then_some(whole.events),
        has_no_beginning: everything && whole.events > 0 && open.genesis_count == 0 && !open.overflowed,
        before_hashing: (everything && !request.links_only).then_some(&open.unhashed),
    }
}

/// Looks up what the links left over. When not everything was read, nothing is said of the links.
async fn follow(
    snapshot: &mut Snapshot<'_>,
    request: &Request,
    whole: &Readings,
    open: &Open,
) -> Result<Followed, StoreError> {
    let found = snapshot.nodes(&open.look_up).await?;
    let again = links::not_found_again(open, &found);
    let mut shape = links::classify(&open.look_up, found.producing.into_iter().chain(found.wanting));
    let completeness = completeness::check(snapshot, request, whole, open, &shape, again.len()).await?;
    let mut chain: Vec<Finding> = snapshot.unexpected().iter().map(Finding::unexpected_relation).collect();
    if completeness.findings.is_empty() {
        name_organizations(snapshot, &mut shape).await?;
        chain.extend(link_findings(snapshot, request, whole, open, &shape).await?);
    } else {
        shape = Shape::default();
    }
    chain.extend(row_findings(snapshot, open).await?);
    if let Some((added, since)) =
        request.memory.added_columns(&snapshot.view.identity, snapshot.other_columns())
    {
        chain.push(Finding::added_columns(&snapshot.view.table, &added, since));
    }
    Ok(Followed { shape, chain, completeness })
}

/// Looks for missing predecessors in other organisations.
async fn name_organizations(snapshot: &mut Snapshot<'_>, shape: &mut Shape) -> Result<(), StoreError> {
    let missing: Vec<String> =
        shape.missing_predecessor.iter().map(|m| m.event.previous_hash.clone()).collect();
    for (hash, organization) in snapshot.found_elsewhere(&missing).await? {
        for missing in shape.missing_predecessor.iter_mut().filter(|m| m.event.previous_hash == hash) {
            missing.found_in_org.push(organization.clone());
        }
    }
    Ok(())
}

pub(super) fn ids(listed: &[Listed]) -> Vec<String> {
    listed.iter().map(|l| l.event_id.clone()).collect()
}

/// Findings about the links.
async fn link_findings(
    snapshot: &mut Snapshot<'_>,
    request: &Request,
    whole: &Readings,
    open: &Open,
    shape: &Shape,
) -> Result<Vec<Finding>, StoreError> {
    let mut findings: Vec<Finding> =
        shape.missing_predecessor.iter().map(Finding::missing_predecessor).collect();
    findings.extend(shape.forks.iter().filter_map(Finding::fork));
    findings.extend(shape.time_before_predecessor.iter().map(Finding::time_before));

    let additional = additional_genesis(snapshot, request, open).await?;
    let beginnings: &[Listed] = if additional.is_empty() { &[] } else { &open.genesis };
    let hashes: BTreeMap<String, String> =
        snapshot.links_of(&ids(beginnings)).await?.into_iter().map(|l| (l.event_id, l.hash)).collect();
    let additional: HashSet<&str> = additional.iter().map(|genesis| genesis.event_id.as_str()).collect();
    let mut earlier = Beginnings::default();
    for genesis in beginnings {
        let hash = hashes.get(&genesis.event_id).cloned().unwrap_or_default();
        let finding = additional
            .contains(genesis.event_id.as_str())
            .then(|| Finding::additional_genesis(genesis, hash.clone(), &earlier));
        findings.extend(finding);
        earlier.push(&genesis.event_id, &hash);
    }
    let whole_trail = request.range == TimeRange::default();
    findings.extend(Finding::not_hashed(&open.unhashed));
    if whole_trail && whole.events > open.unhashed.count && open.genesis_count == 0 && !open.overflowed {
        findings.push(Finding::missing_genesis(shape.missing_predecessor.first().map(|m| &m.event)));
    }
    Ok(findings)
}

/// Findings about single rows, whatever else was read.
async fn row_findings(snapshot: &mut Snapshot<'_>, open: &Open) -> Result<Vec<Finding>, StoreError> {
    let mut findings = Vec::new();
    // Interval by interval: the rows of all of them are many.
    for some in open.malformed.chunks(AT_ONCE) {
        let some_ids: Vec<String> = some.iter().map(|(listed, _)| listed.event_id.clone()).collect();
        let links = snapshot.links_of(&some_ids).await?;
        let links: HashMap<&str, &Link> = links.iter().map(|link| (link.event_id.as_str(), link)).collect();
        findings.extend(some.iter().map(|(listed, which)| {
            Finding::malformed(listed, *which, links.get(listed.event_id.as_str()).copied())
        }));
    }
    let duplicates = snapshot.duplicate_ids(MAX_NOTED as i64).await?;
    findings.extend(duplicates.iter().map(|(id, first, rows)| Finding::duplicate(id, *first, *rows)));
    Ok(findings)
}

/// Beginnings but for the organisation's first one, which for a range may lie before it.
async fn additional_genesis(
    snapshot: &mut Snapshot<'_>,
    request: &Request,
    open: &Open,
) -> Result<Vec<Listed>, StoreError> {
    let Some(oldest) = open.genesis.first() else { return Ok(Vec::new()) };
    let first = if request.range == TimeRange::default() {
        Some(oldest.event_id.clone())
    } else {
        snapshot.first_genesis().await?.map(|link| link.event_id)
    };
    Ok(open.genesis.iter().filter(|genesis| Some(&genesis.event_id) != first.as_ref()).cloned().collect())
}
