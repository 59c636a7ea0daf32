//! A verification as it runs under `agenttrace verify`: its progress on a terminal.

use super::verify::VerifyArgs;
use super::{Context, Out, Reader};
use crate::case::activity::Step;
use crate::domain::{OrgScope, Safe, TimeRange};
use crate::error::{Error, Result};
use crate::investigation::verification::{Asked, Extent, Session, Stopped};
use crate::investigation::{Records, activity};
use crate::verify::{self, Gauge, Progress, RangeState, Report};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Columns of the ranges in the progress.
const STRIP: usize = 30;

/// Verifies one organisation.
pub(super) async fn scan(
    context: &Context,
    args: &VerifyArgs,
    reader: &Reader,
    records: &mut Records,
    scope: OrgScope,
    extent: Extent,
    cancel: &CancellationToken,
) -> Result<Report> {
    let gauge = Arc::new(Gauge::new());
    gauge.pace().throttle(args.throttle);
    let bar = progress_bar(context.out, &scope);
    let scope_of_step = scope.clone();
    let asked = Asked {
        extent,
        links_only: args.links_only,
        jobs: jobs(context, args, reader),
        scheme: args.scheme,
        deep: args.deep,
        measure_columns: args.coverage,
        ..Asked::whole(scope)
    };
    let session = Session::prepare(&reader.db, records, asked, cancel).await?;
    let ended = session.run(&reader.db, &gauge, |progress| draw(&bar, &progress), cancel).await;
    bar.finish_and_clear();
    for remark in records.take_remarks() {
        context.out.remark(Safe::from_untrusted(&remark));
    }
    if let Ok(report) = &ended {
        let range = match extent {
            Extent::Range(range) => range,
            Extent::Whole | Extent::Resume | Extent::Increment => TimeRange::default(),
        };
        let step = Step::Verification {
            since: range.since,
            until: range.until,
            links_only: args.links_only,
            deep: args.deep,
            scheme: args.scheme.map(|scheme| scheme.name().to_owned()),
        };
        context.record(reader, &scope_of_step, step, || activity::of_report(report));
    }
    ended.map_err(|Stopped { error, resumable }| {
        let error = Error::from(error);
        match resumable {
            Some(percent) => error
                .hint(format!("verify --resume goes on from here: {percent} % of the trail are verified")),
            None => error,
        }
    })
}

/// How many readers there may be. A pooler has a limited number of sessions: the second of two readers that are to see one
/// snapshot would wait for a session that the first one holds.
fn jobs(context: &Context, args: &VerifyArgs, reader: &Reader) -> usize {
    if args.jobs > 1 && reader.db.is_pooled() {
        context.out.remark("behind a connection pooler one reader verifies, whatever --jobs says");
        return 1;
    }
    args.jobs.into()
}

pub(super) fn draw(bar: &ProgressBar, progress: &Progress) {
    if let Some(total) = progress.total {
        bar.set_length(total.max(progress.events));
    }
    bar.set_prefix(
        verify::strip(&progress.ranges, STRIP).into_iter().map(RangeState::sign).collect::<String>(),
    );
    bar.set_position(progress.events);
}

pub(super) fn progress_bar(out: Out, scope: &OrgScope) -> ProgressBar {
    if out.quiet || !out.stderr_is_terminal {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template(
        "verifying {msg} [{prefix}] {human_pos}/{human_len} events, {rate}, {eta} left",
    );
    if let Ok(style) = style {
        bar.set_style(style.with_key("rate", super::out::rate));
    }
    bar.set_message(Safe::from_untrusted(scope.organization().as_str()).to_string());
    bar
}
