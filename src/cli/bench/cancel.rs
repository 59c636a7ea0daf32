//! The subject `cancel`: how long the server works on after the user has stopped a filter that no index serves.

use super::super::Context;
use super::{BenchArgs, Measure, Measured, milliseconds};
use crate::domain::{OrgScope, TimeRange};
use crate::error::{Error, Kind, Result};
use crate::filter::Filter;
use crate::store::bench::activity;
use crate::store::listing::timeline;
use crate::store::query::{Pace, Query, Seek};
use crate::store::{ReadDb, StoreError};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Matches nothing, and makes the server look into every state.
const FILTER: &str = "new.agenttrace_bench:nothing ua~agenttrace-bench-nothing";
/// Stops for each pair that is asked for.
const STOPS: u32 = 4;
/// The first stop comes after so many milliseconds, each further one somewhat later: within the first piece and after.
/// After some of them from the start again, before the walk is over.
const FIRST: u64 = 20;
const LATER: u64 = 37;
const ROUND: u32 = 16;

/// Measures it.
pub(super) async fn measure(
    context: &Context,
    args: &BenchArgs,
    db: &ReadDb,
    scope: &OrgScope,
) -> Result<Measured> {
    let cancel = super::super::cancel_on_interrupt();
    let watcher = context.reader().await?;
    let filter = Filter::parse(FILTER).map_err(|e| Error::usage(e.render(FILTER)))?;
    let query = Query { scope: scope.clone(), filter, range: TimeRange::default() };
    let everything = Query { filter: Filter::default(), ..query.clone() };
    let events = timeline::count(db, &everything, Duration::from_secs(30), &cancel).await?;
    let (mut idle, mut back) = (Vec::new(), Vec::new());
    let mut too_soon = 0_u32;
    for stop in 0..args.pairs * STOPS {
        let after = Duration::from_millis(FIRST + LATER * u64::from(stop % ROUND));
        match stop_after(db, &watcher.db, &query, after, &cancel).await? {
            Some((server, client)) => {
                idle.push(server);
                back.push(client);
            }
            None => too_soon += 1,
        }
    }
    if idle.is_empty() {
        return Err(Error::new(Kind::Incomplete, "every walk was over before it could be stopped")
            .hint("agenttrace demo --database bench --events 1000000 --no-console makes a larger trail"));
    }
    if too_soon > 0 {
        context.out.remark(format_args!("{too_soon} walks were over before they could be stopped"));
    }
    let slowest = idle.iter().copied().fold(0.0, f64::max);
    Ok(Measured {
        subject: "cancel",
        organization_id: scope.organization().as_str().to_owned(),
        events: events.value().unwrap_or_default(),
        pairs: args.pairs,
        measures: vec![
            Measure::median("until the server is idle", "ms", idle),
            Measure::new("until the server is idle, slowest", slowest, "ms").at_most(50.0),
            Measure::median("until the program has the answer", "ms", back),
        ],
    })
}

/// Milliseconds until the server's processes are idle, and until the program has the answer; `None` when the walk was
/// over, or between two statements, by then.
#[expect(clippy::disallowed_methods, reason = "awaited below")]
pub(super) async fn stop_after(
    db: &ReadDb,
    watcher: &ReadDb,
    query: &Query,
    after: Duration,
    cancel: &CancellationToken,
) -> Result<Option<(f64, f64)>> {
    let stop = cancel.child_token();
    let walking = tokio::spawn({
        let (db, query, stop) = (db.clone(), query.clone(), stop.clone());
        async move { timeline::page_at(&db, &query, &Seek::Newest, 100, Pace::default(), &stop).await }
    });
    tokio::time::sleep(after).await;
    let stopped = activity::at_work(watcher, cancel).await?;
    let begun = Instant::now();
    let elapsed = || milliseconds(begun.elapsed());
    stop.cancel();
    let watching = async {
        while activity::at_work(watcher, cancel).await?.iter().any(|pid| stopped.contains(pid)) {}
        Ok::<_, StoreError>(elapsed())
    };
    let (idle, ended) = tokio::join!(watching, async { (walking.await, elapsed()) });
    match ended {
        (Ok(Err(StoreError::Cancelled)), back) if !cancel.is_cancelled() && !stopped.is_empty() => {
            Ok(Some((idle?, back)))
        }
        (Ok(Err(error)), _) if !stopped.is_empty() => Err(error.into()),
        _ => Ok(None),
    }
}
