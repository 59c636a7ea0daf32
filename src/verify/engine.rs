//! From rows to a report.

use super::anchor::{self, Anchor};
use super::detect::{self, FOREIGN};
use super::finding::Finding;
use super::progress::Gauge;
use super::ranges::Interrupted;
use super::reading::{Reader, Readings};
use super::report::{
    Coverage, EventHash, ForkShape, Links as LinksPart, MissingShape, OUTSIDE, Pins, Report, SchemeUsed,
    Scope, Verdict,
};
use crate::chain::links::{self, Listed, MAX_NOTED, Open, Shape};
use crate::chain::{Scheme, protected_columns};
use crate::domain::{OrgScope, TimeRange, Timestamp};
use crate::store::scan::{self, Snapshot};
use crate::store::{ReadDb, StoreError};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

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
    run(db, request, None, None, gauge, cancel).await
}

/// As [`verify`], from where an earlier verification of the whole trail left off: events before [`Anchor::since`] are
/// counted and not read again, and the head must be what it was. The range of the request is not used.
///
/// # Errors
/// As [`verify`], and when the anchor is one of another database.
pub async fn verify_since(
    db: &ReadDb,
    request: &Request,
    anchor: &Anchor,
    gauge: &Arc<Gauge>,
    cancel: &CancellationToken,
) -> Result<Report, StoreError> {
    let range = TimeRange { since: Some(anchor.since), until: None };
    let request = Request { range, links_only: false, ..request.clone() };
    run(db, &request, Some(anchor), None, gauge, cancel).await
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
    run(db, &request, None, Some(interrupted.clone()), gauge, cancel).await
}

async fn run(
    db: &ReadDb,
    request: &Request,
    anchor: Option<&Anchor>,
    mut interrupted: Option<Interrupted>,
    gauge: &Arc<Gauge>,
    cancel: &CancellationToken,
) -> Result<Report, StoreError> {
    loop {
        if let Some(report) =
            of_one_snapshot(db, request, anchor, interrupted.as_ref(), gauge, cancel).await?
        {
            return Ok(report);
        }
        // Links alone are read fast enough to begin anew.
        interrupted = if request.links_only { None } else { gauge.interrupted() };
        gauge.pace().until_resumed(cancel).await;
    }
}

/// `None` when a pause was so long that the snapshot was given up.
async fn of_one_snapshot(
    db: &ReadDb,
    request: &Request,
    anchor: Option<&Anchor>,
    interrupted: Option<&Interrupted>,
    gauge: &Arc<Gauge>,
    cancel: &CancellationToken,
) -> Result<Option<Report>, StoreError> {
    let reading =
        scan::Request { scope: request.scope.clone(), range: request.range, links_only: request.links_only };
    // Before the snapshot is taken: what was applied by then is in it.
    let applied = if anchor.is_some() { db.applied_until().await? } else { None };
    scan::with_snapshot(db, reading, cancel, async |snapshot: &mut Snapshot<'_>| {
        let held = match anchor {
            Some(anchor) => {
                let held = anchor::compare(snapshot, anchor).await?;
                anchor::refuse_the_late(applied, anchor, &held)?;
                Some((anchor, held))
            }
            None => None,
        };
        let since = anchor::next_since(snapshot.view.at);
        let detected = detect::scheme(snapshot).await?;
        let scheme = detected.scheme;
        if let Some(interrupted) = interrupted {
            interrupted.check(snapshot, scheme)?;
        }
        let earlier = interrupted.map(|interrupted| interrupted.parts.clone()).unwrap_or_default();
        let reader = || Reader::new(scheme, gauge.clone(), since, detected.is_foreign(), earlier.len());
        let readers = (0..request.jobs.max(1)).map(|_| reader()).collect();
        let view = snapshot.view.clone();
        let begin = |outline: scan::Outline| {
            gauge.expect(outline.rows);
            gauge.ledger().begin(view, scheme, earlier.clone(), outline);
        };
        let (readers, complete) = snapshot.read(readers, &earlier, begin, gauge.pace()).await?;
        if !complete {
            return Ok(None);
        }
        let mut whole = readers.into_iter().map(Reader::end).reduce(Readings::merge).unwrap_or_default();
        let open = std::mem::take(&mut whole.links).close();
        let shape = shape(snapshot, &open).await?;
        let chain = chain_findings(snapshot, request, &whole, &open, &shape).await?;
        let before = whole.before;
        let verified_earlier = whole.earlier_parts(&earlier);
        let mut report = report(snapshot, request, detected.used, scheme, whole, &open, shape, chain, gauge);
        report.coverage.went_on_from(verified_earlier);
        let counted = match held {
            Some((anchor, held)) => report.go_on_from(anchor, held) + before,
            None => before,
        };
        if anchor.is_some() || (request.range == TimeRange::default() && !request.links_only) {
            report.anchor = report.anchor_at(snapshot.view.at, since, counted);
        }
        Ok(Some(report))
    })
    .await
}

/// Looks up what the links left over.
async fn shape(snapshot: &mut Snapshot<'_>, open: &Open) -> Result<Shape, StoreError> {
    let nodes = snapshot.nodes(&open.look_up).await?;
    let mut shape = links::classify(&open.look_up, nodes);
    let missing: Vec<String> =
        shape.missing_predecessor.iter().map(|m| m.event.previous_hash.clone()).collect();
    for (hash, organization) in snapshot.found_elsewhere(&missing).await? {
        for missing in shape.missing_predecessor.iter_mut().filter(|m| m.event.previous_hash == hash) {
            missing.found_in_org.push(organization.clone());
        }
    }
    Ok(shape)
}

/// Findings about the chain.
async fn chain_findings(
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

    let ids = |listed: &[Listed]| listed.iter().map(|l| l.event_id.clone()).collect::<Vec<_>>();
    let additional = additional_genesis(snapshot, request, open).await?;
    let hashes: BTreeMap<String, String> =
        snapshot.links_of(&ids(&additional)).await?.into_iter().map(|l| (l.event_id, l.hash)).collect();
    findings.extend(additional.iter().map(|genesis| {
        Finding::additional_genesis(genesis, hashes.get(&genesis.event_id).cloned().unwrap_or_default())
    }));
    let whole_trail = request.range == TimeRange::default();
    if whole_trail && whole.events > 0 && open.genesis_count == 0 && !open.overflowed {
        findings.push(Finding::missing_genesis(shape.missing_predecessor.first().map(|m| &m.event)));
    }

    let malformed: Vec<Listed> = open.malformed.iter().map(|(listed, _)| listed.clone()).collect();
    let links = snapshot.links_of(&ids(&malformed)).await?;
    findings.extend(open.malformed.iter().map(|(listed, which)| {
        Finding::malformed(listed, *which, links.iter().find(|link| link.event_id == listed.event_id))
    }));
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

#[expect(clippy::too_many_arguments, reason = "the one place where all results of a run come together")]
fn report(
    snapshot: &Snapshot<'_>,
    request: &Request,
    used: SchemeUsed,
    scheme: Scheme,
    mut whole: Readings,
    open: &Open,
    shape: Shape,
    chain: Vec<Finding>,
    gauge: &Gauge,
) -> Report {
    let foreign = used.guessed
        && whole.content.mismatch >= FOREIGN
        && whole.content.verified + whole.content.verified_alternative == 0;
    if foreign {
        whole.reclassify_as_foreign();
    }
    let mut findings = whole.findings;
    findings.extend(chain);
    findings.sort_by(|a, b| {
        (a.class, &a.timestamp, &a.event_id, &a.detail).cmp(&(b.class, &b.timestamp, &b.event_id, &b.detail))
    });
    let elapsed = gauge.progress().elapsed;
    let event_hash =
        |node: &links::Node| EventHash { event_id: node.event_id.clone(), hash: node.hash.clone() };
    let mut report = Report {
        schema_version: 1,
        organization_id: request.scope.organization().as_str().to_owned(),
        verdict: Verdict::Intact,
        scheme: used,
        snapshot_at: snapshot.view.at.to_rfc3339(),
        database_identity: snapshot.view.identity.clone(),
        before_transaction: snapshot.view.before_transaction,
        scope: Scope {
            since: request.range.since.map(Timestamp::to_rfc3339),
            until: request.range.until.map(Timestamp::to_rfc3339),
            links_only: request.links_only,
        },
        events: whole.events,
        content: whole.content,
        head: shape.heads.last().map(event_hash),
        links: LinksPart {
            genesis: open.genesis.iter().map(|genesis| genesis.event_id.clone()).collect(),
            missing_predecessor: shape
                .missing_predecessor
                .iter()
                .map(|missing| MissingShape {
                    event_id: missing.event.event_id.clone(),
                    previous_hash: missing.event.previous_hash.clone(),
                    found_in_org: missing.found_in_org.clone(),
                })
                .collect(),
            forks: shape
                .forks
                .iter()
                .map(|fork| ForkShape {
                    previous_hash: fork.previous_hash.clone(),
                    children: fork.children.iter().map(|child| child.event_id.clone()).collect(),
                })
                .collect(),
            heads: shape.heads.iter().map(event_hash).collect(),
            time_before_predecessor: shape
                .time_before_predecessor
                .iter()
                .map(|n| n.event_id.clone())
                .collect(),
        },
        pins: Pins::default(),
        findings,
        findings_cut: whole.findings_cut,
        accepted: Vec::new(),
        coverage: Coverage {
            unprotected_columns: protected_columns(scheme).1,
            not_checked: not_checked(request, open, foreign),
            verified_earlier: Vec::new(),
        },
        elapsed_ms: elapsed.as_millis() as u64,
        events_per_second: (whole.events as f64 / elapsed.as_secs_f64().max(1e-6)) as u64,
        alternatives: whole.alternatives,
        cut_classes: whole.cut_classes,
        links_followed: !open.overflowed,
        count_fits: true,
        anchor: None,
    };
    report.judge();
    report
}

fn not_checked(request: &Request, open: &Open, foreign: bool) -> Vec<String> {
    let mut said = vec![
        "whether events are missing at the newest end, or the whole trail was replaced: rows alone cannot tell, only a \
         head remembered elsewhere can",
    ];
    if request.range != TimeRange::default() {
        said.push(OUTSIDE);
        said.push("whether an event of the range has a second successor outside of it");
    }
    if request.links_only {
        said.push("the content of the events");
    }
    if open.overflowed {
        said.push("the links: the chain is in too many pieces to be followed");
    }
    if foreign {
        said.push("the content of the events: their scheme is not known");
    }
    let most = MAX_NOTED as u64;
    if open.genesis_count > most || open.malformed_count > most || open.backwards_count > most {
        said.push(
            "beginnings, malformed hashes and times out of order beyond the first hundred thousand of each",
        );
    }
    said.into_iter().map(str::to_owned).collect()
}
