//! Verification as work of the executor: rows in passing, one event, a whole trail; recording an acceptance.

use crate::case::accepted::Record;
use crate::case::activity::Step;
use crate::console::change::layout::CAP;
use crate::console::core::failure::Failure;
use crate::console::core::tasks::tasks;
use crate::console::event::task::is_large;
use crate::console::integrity::row_marks::{self, Glances, Look};
use crate::console::integrity::trails::MAX_FINDINGS;
use crate::console::runtime::context::Context;
use crate::diff::rows::size;
use crate::domain::{EventKey, OrgId, OrgScope};
use crate::investigation::verification::{self, Asked, Extent, Passing, SeenBefore, Session};
use crate::investigation::{Records, acceptance, activity};
use crate::store::history::links;
use crate::store::listing::timeline;
use crate::verify::{self, EventReport, Report, SchemeSource};
use std::num::NonZeroU32;

tasks! {
    /// Check rows by reading their states.
    Marks: Glance(Look) -> Box<Glances>;
    /// Verify one event and its place in the chain: where that is quickly found, or true to find it anyway. `None` when
    /// the event is not there any more.
    Integrity: VerifyEvent(OrgScope, EventKey, bool) -> Option<Box<EventReport>>;
    /// Verify a whole trail.
    Scan: VerifyTrail(Box<TrailRequest>) -> Box<Report>;
    /// Record the acceptance of a finding.
    Accept: Accept(Box<Record>) -> Box<Record>;
    /// Compare the remembered heads of a trail, and what this session has seen of it, with the table.
    Heads: CompareHeads(OrgScope, SeenBefore) -> (OrgId, Box<Passing>);
}

/// How far the verification of a trail has come.
pub(crate) type Progress = verify::Progress;

/// A trail to verify.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TrailRequest {
    /// The organisation.
    pub(crate) scope: OrgScope,
    /// Resume an interrupted verification.
    pub(crate) resume: bool,
    /// Maximum of events a second.
    pub(crate) throttle: Option<NonZeroU32>,
}

/// Runs a task.
pub(crate) async fn perform(
    task: Task,
    cx: &Context<'_>,
    tell: &(dyn Fn(Progress) + Sync),
) -> Result<Output, Failure> {
    let (db, cancel) = (cx.db, cx.cancel);
    Ok(match task {
        Task::Glance(look) => Output::Glance(Box::new(row_marks::look(look, cx).await?)),
        Task::VerifyEvent(scope, key, thorough) => {
            // What is large is not fetched because the selection has come to rest on it.
            if !thorough && is_large(db, &scope, &key, cancel).await? {
                let cap = size(CAP as usize);
                return Err(Failure::because(&format!(
                    "a state is larger than {cap}: verify the screen to read it anyway"
                )));
            }
            let event = timeline::event(db, &scope, &key.event_id, Some(key.timestamp), cancel).await?;
            Output::VerifyEvent(match event {
                Some(event) => {
                    let memory = Records::load(cx.place).memory(scope.organization().as_str());
                    let source = SchemeSource::Remembered(&memory);
                    let detected = verify::detect(db, &scope, source, cancel).await?;
                    let neighbours = thorough || links::are_quick(db, cancel).await?;
                    let report =
                        verify::verify_read(db, &scope, &event, neighbours, &detected, cancel).await?;
                    // What follows the selection was not asked for.
                    if thorough {
                        let step = Step::EventVerification { event_id: key.event_id };
                        let answer = || Some(activity::of_verification(&report));
                        cx.activity.record(scope.organization(), step, answer);
                    }
                    Some(Box::new(report))
                }
                None => None,
            })
        }
        Task::VerifyTrail(request) => Output::VerifyTrail(Box::new(trail(*request, cx, tell).await?)),
        Task::Accept(record) => {
            acceptance::keep(&record).map_err(|e| Failure::because(&e.to_string()))?;
            if let Ok(organization) = OrgId::new(record.organization_id.clone()) {
                cx.activity.record_acceptance(&organization, &record);
            }
            Output::Accept(record)
        }
        Task::CompareHeads(scope, seen) => {
            let records = Records::load(cx.place);
            let passing = verification::passing(db, &records, &scope, &seen, cancel).await?;
            Output::CompareHeads((scope.organization().clone(), Box::new(passing)))
        }
    })
}

/// The report of a trail; its findings are cut to what a list can show.
async fn trail(
    request: TrailRequest,
    cx: &Context<'_>,
    tell: &(dyn Fn(Progress) + Sync),
) -> Result<Report, Failure> {
    let (db, cancel) = (cx.db, cx.cancel);
    let TrailRequest { scope, resume, .. } = request;
    let mut records = Records::load(cx.place);
    let extent = if resume { Extent::Resume } else { Extent::Whole };
    // One reader: the others of the pool stay free for whoever reads on meanwhile.
    let organization = scope.organization().clone();
    let asked = Asked { extent, ..Asked::whole(scope) };
    let session = Session::prepare(db, &mut records, asked, cancel).await?;
    // Whoever asks to go on does not ask to begin.
    if resume && !session.resumes() {
        return Err(Failure::because("there is no interrupted verification to resume"));
    }
    let ended = session.run(db, cx.gauge, tell, cancel).await;
    for remark in records.take_remarks() {
        tracing::warn!("{remark}");
    }
    let mut report = ended.map_err(|stopped| stopped.error)?;
    let step = Step::Verification { since: None, until: None, links_only: false, deep: false, scheme: None };
    cx.activity.record(&organization, step, || Some(activity::of_report(&report)));
    report.cut(MAX_FINDINGS);
    // They are counted; their names would be many.
    report.alternatives = Vec::new();
    Ok(report)
}
