//! The results of a run, brought together as a report.

use super::class::Class;
use super::completeness::Completeness;
use super::detect::FOREIGN;
use super::engine::{Request, ids};
use super::finding::Finding;
use super::heads::Compared;
use super::limits::ROWS_ALONE;
use super::progress::Gauge;
use super::reading::Readings;
use super::report::{
    Coverage, EventHash, ForkShape, Links as LinksPart, MissingShape, OUTSIDE, Report, SchemeUsed, Scope,
    Verdict,
};
use super::vectors;
use crate::chain::head::{BeforeHashing, Head};
use crate::chain::links::{self, MAX_LISTED, MAX_NOTED, Open, Shape};
use crate::chain::{Scheme, protected_columns};
use crate::domain::{TimeRange, Timestamp};
use crate::store::scan::Snapshot;

/// What has become of the links.
pub(super) struct Followed {
    pub(super) shape: Shape,
    pub(super) chain: Vec<Finding>,
    pub(super) completeness: Completeness,
}

#[expect(clippy::too_many_arguments, reason = "the one place where all results of a run come together")]
pub(super) fn report(
    snapshot: &Snapshot<'_>,
    request: &Request,
    used: SchemeUsed,
    scheme: Scheme,
    mut whole: Readings,
    open: &Open,
    followed: Followed,
    compared: Compared,
    vectors: vectors::Compared,
    gauge: &Gauge,
) -> Report {
    let Followed { shape, chain, completeness } = followed;
    let foreign = used.guessed
        && whole.content.mismatch >= FOREIGN
        && whole.content.verified + whole.content.verified_alternative == 0;
    if foreign {
        whole.reclassify_as_foreign();
    }
    let mut not_checked = not_checked(request, open, foreign);
    not_checked.extend(completeness.not_checked);
    not_checked.extend(vectors.not_checked);
    if vectors.cut > 0 {
        whole.cut_classes.push(Class::SearchVectorMismatch);
    }
    if !completeness.findings.is_empty() {
        not_checked.push("the links between the events: not everything was read".to_owned());
    }
    let mut findings = std::mem::take(&mut whole.findings);
    // Of what was not read, nothing follows about heads.
    if completeness.findings.is_empty() {
        findings.extend(compared.findings.iter().cloned());
    }
    findings.extend(completeness.findings);
    findings.extend(vectors.findings);
    // Of rows that a remembered head covers, that finding says more: whoever accepts it has accepted these very rows.
    let is_covered = |finding: &Finding| finding.class == Class::NotHashed && !compared.covered.is_empty();
    findings.extend(chain.into_iter().filter(|finding| !is_covered(finding)));
    findings.extend(compared.covered.iter().cloned());
    compared.explain_retired(&mut findings);
    findings.sort_by(|a, b| {
        (a.class, &a.timestamp, &a.event_id, &a.detail).cmp(&(b.class, &b.timestamp, &b.event_id, &b.detail))
    });
    whole.count_unlisted(&findings, open);
    let elapsed = gauge.progress().elapsed;
    let remembered = |node: &links::Node| Head {
        event_id: node.event_id.clone(),
        hash: node.hash.clone(),
        timestamp: Some(Timestamp::from_micros(node.time)),
    };
    Report {
        schema_version: 1,
        organization_id: request.scope.organization().as_str().to_owned(),
        verdict: Verdict::Intact,
        scheme: used,
        snapshot_at: snapshot.view.at.to_rfc3339(),
        database_identity: snapshot.view.identity.clone(),
        table: snapshot.view.table.clone(),
        before_transaction: snapshot.view.before_transaction,
        catalogue: snapshot.view.catalogue.clone(),
        remarks: compared.remarks.clone(),
        scope: Scope {
            since: request.range.since.map(Timestamp::to_rfc3339),
            until: request.range.until.map(Timestamp::to_rfc3339),
            links_only: request.links_only,
            incremental: false,
            replica_lag_s: None,
        },
        events: whole.events,
        content: whole.content,
        head: shape.heads.last().map(event_hash),
        heads: shape.heads.iter().map(remembered).collect(),
        links: links_part(open, &shape),
        pins: compared.pins,
        limits: Vec::new(),
        newest_head: compared.newest,
        other_columns: snapshot.other_columns().to_vec(),
        before_hashing: (!request.links_only).then(|| BeforeHashing::from(&open.unhashed)),
        findings,
        findings_cut: whole.findings_cut + vectors.cut,
        accepted: Vec::new(),
        coverage: Coverage {
            unprotected_columns: unprotected(scheme, snapshot.other_columns()),
            not_checked,
            columns: Vec::new(),
            search_vector: vectors.coverage,
            verified_earlier: Vec::new(),
        },
        elapsed_ms: elapsed.as_millis() as u64,
        events_per_second: (whole.events as f64 / elapsed.as_secs_f64().max(1e-6)) as u64,
        alternatives: whole.alternatives,
        cut_classes: whole.cut_classes,
        links_followed: !open.overflowed,
        not_used: Vec::new(),
    }
}

/// The links of a trail, as a report has them.
fn links_part(open: &Open, shape: &links::Shape) -> LinksPart {
    LinksPart {
        genesis: ids(&open.genesis),
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
        time_before_predecessor: shape.time_before_predecessor.iter().map(|n| n.event_id.clone()).collect(),
    }
}

fn event_hash(node: &links::Node) -> EventHash {
    EventHash { event_id: node.event_id.clone(), hash: node.hash.clone() }
}

/// Columns of the table that no hash covers. The hash itself is what is compared.
fn unprotected(scheme: Scheme, others: &[String]) -> Vec<String> {
    let known = protected_columns(scheme).1.into_iter().map(str::to_owned);
    known.chain(others.iter().cloned()).collect()
}

fn not_checked(request: &Request, open: &Open, foreign: bool) -> Vec<String> {
    let mut said = vec![ROWS_ALONE];
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
    let most = MAX_LISTED as u64;
    if open.genesis_count > most || open.malformed_count > most || open.backwards_count > MAX_NOTED as u64 {
        said.push(
            "one by one: beginnings and malformed hashes beyond 20 000 of each, times out of order beyond 100 000, \
             which are counted",
        );
    }
    said.into_iter().map(str::to_owned).collect()
}
