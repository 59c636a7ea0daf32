//! The subject `verify`: how much of the speed of reading is left when everything that is read is verified.

use super::super::Context;
use super::{BenchArgs, Measure, Measured, milliseconds};
use crate::domain::{OrgScope, TimeRange};
use crate::error::{Error, Kind, Result};
use crate::filter::Filter;
use crate::store::listing::timeline;
use crate::store::query::{Query, Seek};
use crate::store::{ReadDb, StoreError, scan};
use crate::verify::{self, Gauge, Report, Request};
use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// How often a scan is stopped half-way.
const STOPS: u32 = 5;
/// Rows of the pages that are read while a scan runs.
const PAGE: usize = 100;

/// Wall and CPU time of something.
struct Cost {
    wall: Duration,
    /// Of this process: all of its threads, user and system.
    cpu: Duration,
}

impl Cost {
    async fn of<T>(work: impl Future<Output = std::result::Result<T, StoreError>>) -> Result<(T, Self)> {
        let mut work = Box::pin(work);
        let (cpu, begun) = (cpu_time(), Instant::now());
        let done = (&mut work).await?;
        Ok((done, Self { wall: begun.elapsed(), cpu: cpu_time().saturating_sub(cpu) }))
    }
}

/// Runs work as a task of its own, as `verify` and the console do: it then runs where its socket is waited for.
#[expect(clippy::disallowed_methods, reason = "awaited at once")]
async fn apart<T: Send + 'static>(
    work: impl Future<Output = std::result::Result<T, StoreError>> + Send + 'static,
) -> std::result::Result<T, StoreError> {
    let ended = tokio::spawn(work).await;
    ended.unwrap_or_else(|e| Err(StoreError::Other(format!("a run of the benchmark failed: {e}"))))
}

struct Bench<'a> {
    db: &'a ReadDb,
    request: Request,
    cancel: CancellationToken,
}

impl Bench<'_> {
    async fn discard(&self) -> std::result::Result<u64, StoreError> {
        let reading = scan::Request {
            scope: self.request.scope.clone(),
            range: self.request.range,
            links_only: self.request.links_only,
        };
        let (db, cancel) = (self.db.clone(), self.cancel.clone());
        apart(async move {
            scan::with_snapshot(&db, reading, &cancel, async |s: &mut scan::Snapshot<'_>| s.discard().await)
                .await
        })
        .await
    }

    async fn verify(&self, cancel: &CancellationToken) -> std::result::Result<Report, StoreError> {
        let (db, request, cancel) = (self.db.clone(), self.request.clone(), cancel.clone());
        apart(async move { verify::verify(&db, &request, &Arc::new(Gauge::new()), &cancel).await }).await
    }

    /// Pages of the timeline are asked for while a scan runs; the time of each in milliseconds.
    async fn pages_meanwhile(&self) -> Result<Vec<f64>> {
        let query = Query {
            scope: self.request.scope.clone(),
            filter: Filter::default(),
            range: TimeRange::default(),
        };
        let mut scan = Box::pin(self.verify(&self.cancel));
        let mut times = Vec::new();
        loop {
            let begun = Instant::now();
            tokio::select! {
                report = &mut scan => {
                    report?;
                    return Ok(times);
                }
                page = timeline::page(self.db, &query, &Seek::Newest, PAGE, &self.cancel) => {
                    page?;
                    times.push(milliseconds(begun.elapsed()));
                }
            }
            tokio::select! {
                report = &mut scan => {
                    report?;
                    return Ok(times);
                }
                () = tokio::time::sleep(Duration::from_millis(20)) => {}
            }
        }
    }

    /// A scan is stopped after this time: milliseconds until the server has confirmed the end.
    async fn stop_after(&self, time: Duration) -> Result<f64> {
        let cancel = self.cancel.child_token();
        let mut scan = Box::pin(self.verify(&cancel));
        tokio::select! {
            ended = &mut scan => {
                ended?;
                return Ok(0.0);
            }
            () = tokio::time::sleep(time) => {}
        }
        let begun = Instant::now();
        cancel.cancel();
        match scan.await {
            Err(StoreError::Cancelled) if !self.cancel.is_cancelled() => {}
            Err(error) => return Err(error.into()),
            Ok(_) => return Ok(0.0),
        }
        let stopped = begun.elapsed();
        // The connection answers the next question.
        self.db.facts().await?;
        Ok(milliseconds(stopped))
    }
}

/// Measures it.
pub(super) async fn measure(
    context: &Context,
    args: &BenchArgs,
    db: &ReadDb,
    scope: &OrgScope,
) -> Result<Measured> {
    let request = Request { jobs: usize::from(args.jobs), ..Request::whole(scope.clone()) };
    let bench = Bench { db, request, cancel: super::super::cancel_on_interrupt() };
    // Once for nothing: caches fill, connections are made.
    bench.discard().await?;
    let baseline = forget_peak();
    let (mut ratios, mut discarding, mut verifying, mut cpu, mut floor_cpu) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut last = None;
    let mut bytes = 0;
    for pair in 0..args.pairs {
        let floor_first = pair % 2 == 0;
        let mut floor = None;
        if floor_first {
            floor = Some(Cost::of(bench.discard()).await?);
        }
        let (report, whole) = Cost::of(bench.verify(&bench.cancel)).await?;
        let (read, floor) = match floor {
            Some(floor) => floor,
            None => Cost::of(bench.discard()).await?,
        };
        let events = report.events.max(1) as f64;
        context.out.remark(format_args!(
            "pair {}: read in {:.2} s, verified in {:.2} s",
            pair + 1,
            floor.wall.as_secs_f64(),
            whole.wall.as_secs_f64()
        ));
        bytes = read;
        ratios.push(floor.wall.as_secs_f64() / whole.wall.as_secs_f64());
        discarding.push(events / floor.wall.as_secs_f64());
        verifying.push(events / whole.wall.as_secs_f64());
        cpu.push(whole.cpu.as_secs_f64() * 1e6 / events);
        floor_cpu.push(floor.cpu.as_secs_f64() * 1e6 / events);
        last = Some(report);
    }
    let peak = peak_memory();
    let report = last.filter(|report| report.events > 0).ok_or_else(|| {
        Error::new(Kind::Incomplete, "the organisation has no events to measure with")
            .hint("agenttrace demo --database bench --events 1000000 --no-console makes some")
    })?;
    let seconds = report.events as f64 / verifying.first().copied().unwrap_or(1.0);
    let mut pages = bench.pages_meanwhile().await?;
    pages.sort_by(f64::total_cmp);
    let mut stops = Vec::new();
    for stop in 0..STOPS {
        let part = f64::from(stop + 1) / f64::from(STOPS + 1);
        stops.push(bench.stop_after(Duration::from_secs_f64(seconds * part)).await?);
    }
    let slowest_stop = stops.into_iter().fold(0.0, f64::max);
    let p95 = pages.get(pages.len() * 95 / 100).copied().unwrap_or(f64::NAN);
    let content = report.content.mismatch + report.content.undecided + report.content.unreadable;
    let one_reader = args.jobs == 1;
    let bar = |measure: Measure, bar: fn(Measure, f64) -> Measure, at: f64| {
        // The bars are those of one reader.
        if one_reader { bar(measure, at) } else { measure }
    };
    Ok(Measured {
        subject: "verify",
        organization_id: scope.organization().as_str().to_owned(),
        events: report.events,
        pairs: args.pairs,
        measures: vec![
            bar(Measure::median("verified / read and dropped", "", ratios), Measure::at_least, 0.80),
            Measure::median("read and dropped", "events/s", discarding),
            Measure::median("verified", "events/s", verifying),
            Measure::median("CPU of this program, read and dropped", "µs/event", floor_cpu),
            bar(Measure::median("CPU of this program, verified", "µs/event", cpu), Measure::at_most, 2.3),
            Measure::new("bytes of COPY", bytes as f64 / report.events as f64, "B/event"),
            bar(Measure::new("peak memory of this program", peak, "MB"), Measure::at_most, 64.0),
            Measure::new("memory before", baseline, "MB"),
            Measure::new("findings about content", content as f64, ""),
            Measure::new("a page of the timeline meanwhile, P95", p95, "ms"),
            Measure::new("until a stopped scan has ended, slowest", slowest_stop, "ms"),
        ],
    })
}

/// CPU time of this process since it began.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Makes the kernel forget the peak of the memory so far; what is in use now, in MB. Linux only, else unknown.
pub(super) fn forget_peak() -> f64 {
    let forgotten = fs::write("/proc/self/clear_refs", "5").is_ok();
    if forgotten { memory("VmRSS:") } else { f64::NAN }
}

/// Peak of the memory since [`forget_peak`], in MB.
pub(super) fn peak_memory() -> f64 {
    memory("VmHWM:")
}

fn memory(key: &str) -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kilobytes.map_or(f64::NAN, |kb| kb / 1024.0)
}
