//! The subjects `filters`, `ghosts` and `seed`: first pages, a search for ghost changes, and the generator of the demo
//! trail.

use super::{BenchArgs, Measure, Measured, milliseconds};
use crate::demo::{MIN_EVENTS, Settings, Trail};
use crate::domain::{OrgScope, TimeRange, Timestamp};
use crate::error::{Error, Result};
use crate::filter::Filter;
use crate::store::ReadDb;
use crate::store::listing::timeline;
use crate::store::query::{Pace, Query, Seek};
use crate::verify;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Filters whose first page is measured, and their names.
const FILTERS: [(&str, &str); 6] = [
    ("no filter", "all-time"),
    ("severity", "all-time sev>=warning"),
    ("category and type", "all-time cat:admin type:role_binding.*"),
    ("changed path", "all-time changed:role"),
    ("new value", "all-time new.role:admin"),
    ("user agent", "all-time ua~curl"),
];

/// Rows of a page.
const PAGE: usize = 100;
/// Events of the trail that is generated.
const GENERATED: u64 = 50_000;

pub(super) fn query(scope: &OrgScope, text: &str) -> Result<Query> {
    let filter = Filter::parse(text).map_err(|e| Error::usage(e.render(text)))?;
    Ok(Query { scope: scope.clone(), filter, range: TimeRange::default() })
}

async fn measured(
    subject: &'static str,
    args: &BenchArgs,
    (db, scope): (&ReadDb, &OrgScope),
    measures: Vec<Measure>,
    cancel: &CancellationToken,
) -> Result<Measured> {
    let everything = query(scope, "")?;
    let events = timeline::count(db, &everything, Duration::from_secs(30), cancel).await?;
    Ok(Measured {
        subject,
        organization_id: scope.organization().as_str().to_owned(),
        events: events.value().unwrap_or_default(),
        pairs: args.pairs,
        measures,
    })
}

/// Milliseconds until the first page of common filters is there.
pub(super) async fn filters(args: &BenchArgs, db: &ReadDb, scope: &OrgScope) -> Result<Measured> {
    let cancel = super::super::cancel_on_interrupt();
    let mut measures = Vec::new();
    for (name, text) in FILTERS {
        let query = query(scope, text)?;
        let mut times = Vec::new();
        for _ in 0..args.pairs {
            let begun = Instant::now();
            timeline::page_at(db, &query, &Seek::Newest, PAGE, Pace::default(), &cancel).await?;
            times.push(milliseconds(begun.elapsed()));
        }
        measures.push(Measure::median(name, "ms", times));
    }
    measured("filters", args, (db, scope), measures, &cancel).await
}

/// Seconds that a search for ghost changes in the whole organisation takes.
pub(super) async fn ghosts(args: &BenchArgs, db: &ReadDb, scope: &OrgScope) -> Result<Measured> {
    let cancel = super::super::cancel_on_interrupt();
    let everything = query(scope, "")?;
    let mut times = Vec::new();
    for _ in 0..args.pairs {
        let begun = Instant::now();
        verify::ghosts(db, &everything, &|_| {}, &cancel).await?;
        times.push(begun.elapsed().as_secs_f64());
    }
    let measures = vec![Measure::median("whole organisation", "s", times)];
    measured("ghosts", args, (db, scope), measures, &cancel).await
}

/// Events a second of the generator of the demo trail.
pub(super) fn seed(pairs: u32) -> Result<Measured> {
    let usage = |e: &dyn std::fmt::Display| Error::usage(e.to_string());
    let until = Timestamp::from(chrono::Utc::now());
    let mut rates = Vec::new();
    for _ in 0..pairs {
        let settings = Settings::new(1, until, GENERATED.max(MIN_EVENTS)).map_err(|e| usage(&e))?;
        let begun = Instant::now();
        let events = Trail::new(settings).map_err(|e| usage(&e))?.count();
        rates.push(events as f64 / begun.elapsed().as_secs_f64());
    }
    let measures = vec![Measure::median("generated", "events/s", rates)];
    Ok(Measured { subject: "seed", organization_id: "none".to_owned(), events: GENERATED, pairs, measures })
}
