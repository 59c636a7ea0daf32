//! The subject `export`: how much of the speed of the server's own COPY of the same events as JSON is left.

use super::pages::query;
use super::verify::{forget_peak, peak_memory};
use super::{BenchArgs, Measure, Measured};
use crate::domain::{Joiners, OrgScope, TimeRange};
use crate::error::{Error, Kind, Result};
use crate::export::{FileFormat, Style};
use crate::investigation::export_file::{self, Job};
use crate::store::{ReadDb, StoreError, scan};
use std::time::Instant;
use tokio_util::sync::CancellationToken;

/// The trail as JSON, written by the server in one COPY and dropped here: seconds.
async fn copied(db: &ReadDb, scope: &OrgScope, cancel: &CancellationToken) -> Result<f64, StoreError> {
    let begun = Instant::now();
    let whole = scan::Request { scope: scope.clone(), range: TimeRange::default(), links_only: false };
    scan::with_snapshot(db, whole, cancel, async |s: &mut scan::Snapshot<'_>| s.discard_as_json().await)
        .await?;
    Ok(begun.elapsed().as_secs_f64())
}

/// Measures it.
pub(super) async fn measure(
    args: &BenchArgs,
    db: &ReadDb,
    place: &str,
    scope: &OrgScope,
) -> Result<Measured> {
    let cancel = super::super::cancel_on_interrupt();
    let job = Job {
        query: query(scope, "all-time")?,
        filter: String::new(),
        format: FileFormat::Ndjson,
        style: Style { states_as_text: false, csv_raw: false, marks: false },
        path: None,
        replace: false,
        first_line: false,
        joiners: Joiners::Kept,
    };
    // Once for nothing: caches fill, connections are made.
    copied(db, scope, &cancel).await?;
    forget_peak();
    let (mut ratios, mut rates, mut floors) = (Vec::new(), Vec::new(), Vec::new());
    let mut events = 0;
    for pair in 0..args.pairs {
        let floor = if pair % 2 == 0 { Some(copied(db, scope, &cancel).await?) } else { None };
        let begun = Instant::now();
        let outcome = export_file::digest(db, place, &job, &cancel).await?;
        let exported = begun.elapsed().as_secs_f64();
        let floor = match floor {
            Some(floor) => floor,
            None => copied(db, scope, &cancel).await?,
        };
        events = outcome.events;
        ratios.push(floor / exported);
        rates.push(events as f64 / exported);
        floors.push(events as f64 / floor);
    }
    if events == 0 {
        return Err(Error::new(Kind::Incomplete, "the organisation has no events to measure with")
            .hint("agenttrace demo --database bench --events 1000000 --no-console makes some"));
    }
    Ok(Measured {
        subject: "export",
        organization_id: scope.organization().as_str().to_owned(),
        events,
        pairs: args.pairs,
        measures: vec![
            Measure::median("exported / copied by the server as JSON", "", ratios).at_least(0.80),
            Measure::median("copied by the server as JSON", "events/s", floors),
            Measure::median("exported as NDJSON", "events/s", rates),
            Measure::new("peak memory of this program", peak_memory(), "MB").at_most(64.0),
        ],
    })
}
