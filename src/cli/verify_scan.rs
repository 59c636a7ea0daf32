//! A verification as it runs under `agenttrace verify`: progress, and what of it is remembered on this machine.

use super::verify::VerifyArgs;
use super::{Context, Out, Reader};
use crate::case::{self, verified};
use crate::domain::{OrgScope, Safe, TimeRange};
use crate::error::{Error, Result};
use crate::verify::{self, Anchor, Gauge, Interrupted, RangeState, Report, Request};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// How often the progress is drawn.
const DRAW_EVERY: Duration = Duration::from_millis(100);
/// How often what would be lost by a crash is recorded.
const RECORD_EVERY: Duration = Duration::from_secs(60);
/// Columns of the ranges in the progress.
const STRIP: usize = 30;

/// Where a verification goes on.
enum From {
    TheBeginning,
    Anchor(Anchor),
    Interrupted(Interrupted),
}

/// Verifies one organisation.
pub(super) async fn scan(
    context: &Context,
    args: &VerifyArgs,
    reader: &Reader,
    scope: OrgScope,
    range: TimeRange,
    cancel: &CancellationToken,
) -> Result<Report> {
    let gauge = Arc::new(Gauge::new());
    gauge.pace().throttle(args.throttle);
    let bar = progress_bar(context.out, &scope);
    let request = Request { scope, range, links_only: args.links_only, jobs: args.jobs.into() };
    let from = if args.incremental {
        anchor(context, reader, &request.scope, cancel).await?.map_or(From::TheBeginning, From::Anchor)
    } else if args.resume {
        interrupted(context, reader, &request.scope, cancel)
            .await?
            .map_or(From::TheBeginning, From::Interrupted)
    } else {
        From::TheBeginning
    };
    let organization = request.scope.organization().as_str().to_owned();
    let goes_on = matches!(from, From::Interrupted(_));
    let resumable = range == TimeRange::default() && !args.links_only && !args.incremental;
    let (db, read, stop) = (reader.db.clone(), gauge.clone(), cancel.clone());
    // A task of its own runs where its socket is waited for; out here each answer would wake up two threads.
    let mut verifying = tokio::spawn(async move {
        match &from {
            From::Anchor(anchor) => verify::verify_since(&db, &request, anchor, &read, &stop).await,
            From::Interrupted(left) => verify::verify_rest(&db, &request, left, &read, &stop).await,
            From::TheBeginning => verify::verify(&db, &request, &read, &stop).await,
        }
    });
    let mut recorded = Instant::now();
    let mut leaves_a_record = goes_on;
    let report = loop {
        tokio::select! {
            report = &mut verifying => break report,
            () = tokio::time::sleep(DRAW_EVERY) => draw(&bar, &gauge),
        }
        if resumable && recorded.elapsed() >= RECORD_EVERY {
            recorded = Instant::now();
            leaves_a_record |= record(context, &organization, gauge.interrupted());
        }
    };
    bar.finish_and_clear();
    let report = report.map_err(|e| Error::could_not_run(format!("the verification failed: {e}")))?;
    let report = match report {
        Ok(report) => report,
        Err(error) => {
            let left = gauge.interrupted().filter(|left| resumable && !left.parts.is_empty());
            let percent = left.as_ref().map(|left| left.percent);
            let error = Error::from(error);
            return Err(match percent.filter(|_| record(context, &organization, left)) {
                Some(percent) => error.hint(format!(
                    "verify --resume goes on from here: {percent} % of the trail are verified"
                )),
                None => error,
            });
        }
    };
    if leaves_a_record {
        record(context, &organization, gauge.interrupted().map(Interrupted::ended));
    }
    if let Some(anchor) = &report.anchor {
        let kept = case::folder().and_then(|folder| {
            verified::append(&folder.join(verified::FILE), &report.organization_id, anchor)
        });
        // The result stands without it.
        if let Err(error) = kept {
            context.out.remark(format_args!("--incremental cannot go on from this verification: {error}"));
        }
    }
    Ok(report)
}

/// Records what a verification leaves behind; true when that was done.
fn record(context: &Context, organization: &str, left: Option<Interrupted>) -> bool {
    let Some(left) = left else { return false };
    let kept = case::folder()
        .and_then(|folder| verified::append(&folder.join(verified::INTERRUPTED), organization, &left));
    if let Err(error) = &kept {
        context.out.remark(format_args!("--resume cannot go on from this verification: {error}"));
    }
    kept.is_ok()
}

/// What the last verification of the trail left to go on from.
async fn anchor(
    context: &Context,
    reader: &Reader,
    scope: &OrgScope,
    cancel: &CancellationToken,
) -> Result<Option<Anchor>> {
    let path = case::folder()?.join(verified::FILE);
    let identity = verify::identity(&reader.db, scope, cancel).await?;
    let fits = |anchor: &Anchor| anchor.database_identity == identity;
    let anchor = verified::newest(&path, scope.organization().as_str(), fits)?;
    if anchor.is_none() {
        context.out.remark("there is no earlier verification to go on from: the whole trail is read");
    }
    Ok(anchor)
}

/// What an interrupted verification of the trail left to go on from.
async fn interrupted(
    context: &Context,
    reader: &Reader,
    scope: &OrgScope,
    cancel: &CancellationToken,
) -> Result<Option<Interrupted>> {
    let path = case::folder()?.join(verified::INTERRUPTED);
    let identity = verify::identity(&reader.db, scope, cancel).await?;
    let fits = |left: &Interrupted| left.database_identity == identity;
    let left = verified::newest(&path, scope.organization().as_str(), fits)?.filter(|left| !left.has_ended());
    if left.is_none() {
        context.out.remark("there is no interrupted verification to go on from: the whole trail is read");
    }
    Ok(left)
}

fn draw(bar: &ProgressBar, gauge: &Gauge) {
    let progress = gauge.progress();
    if let Some(total) = progress.total {
        bar.set_length(total.max(progress.events));
    }
    bar.set_prefix(
        verify::strip(&progress.ranges, STRIP).into_iter().map(RangeState::sign).collect::<String>(),
    );
    bar.set_position(progress.events);
}

fn progress_bar(out: Out, scope: &OrgScope) -> ProgressBar {
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
