//! `agenttrace histogram`

use super::Context;
use super::asked::{self, Window, wants_json};
use super::context::demand_events;
use super::filter::{FilterArgs, HELP};
use crate::case::activity::Step;
use crate::domain::Timestamp;
use crate::error::Result;
use crate::export::{json, report};
use crate::investigation::{activity, aggregate};
use crate::store::aggregate::histogram::{self, Histogram};
use crate::store::query::Query;
use std::io::Write;

/// Arguments of `histogram`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = HELP)]
pub struct HistogramArgs {
    /// What is counted
    #[command(flatten)]
    pub asked: FilterArgs,
    /// Maximum number of buckets
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(2..=10_000))]
    pub buckets: u32,
    /// Count also where very many events have to be gone through
    #[arg(long)]
    pub force: bool,
    /// Count again also what a shared cache knows
    #[arg(long)]
    pub fresh: bool,
}

/// Runs it.
///
/// # Errors
/// Exit 2 for a filter that cannot be read, exit 3 when the database cannot be, exit 4 for an organisation without
/// events, exit 5 for too many events.
pub(super) async fn run(context: &Context, args: HistogramArgs) -> Result<()> {
    let json = wants_json(context, "histogram")?;
    let reader = context.reader().await?;
    let scope = context.scope(&reader).await?;
    let cancel = super::cancel_on_interrupt();
    let query = args.asked.query(context, &reader, scope, &cancel).await?;
    let wanted = asked::freshness(args.fresh);
    let answer =
        aggregate::histogram(&reader.db, &query, args.buckets, (wanted, args.force), &cancel).await?;
    asked::remark_on_age(context, &answer);
    let (histogram, counted_at) = (answer.value, answer.since);
    let step = Step::Histogram { question: reader.activity.question(&query), buckets: args.buckets };
    let answer = || activity::of_histogram(&histogram);
    context.record_aggregate(&reader, (&query, counted_at), step, answer, &cancel).await;
    let events: u64 = histogram.buckets.iter().map(|b| b.events).sum();
    let mut out = context.out.results();
    if json {
        json::write_line(&mut out, &document(&query, &histogram, counted_at))?;
    } else {
        report::write(
            &mut out,
            &report::histogram(&histogram, context.out.style().width, &report::bucket_start),
        )?;
        out.flush()?;
        if histogram.buckets.is_empty() {
            context.out.remark("0 events");
        } else {
            context.out.remark(format_args!("{events} events; a line is {}", length(histogram.seconds)));
        }
    }
    out.flush()?;
    if events == 0 {
        demand_events(&reader.db, &query.scope, &cancel).await?;
    }
    Ok(())
}

/// A length of time in its largest unit.
fn length(seconds: i64) -> String {
    let units = [(604_800, "week"), (86_400, "day"), (3_600, "hour"), (60, "minute")];
    let (unit, name) =
        units.into_iter().find(|(unit, _)| seconds % unit == 0 && seconds >= *unit).unwrap_or((1, "second"));
    match seconds / unit {
        1 => format!("1 {name}"),
        n => format!("{n} {name}s"),
    }
}

fn document(query: &Query, histogram: &Histogram, counted_at: Option<Timestamp>) -> impl serde::Serialize {
    #[derive(serde::Serialize)]
    struct Body {
        filter: String,
        window: Window,
        bucket_seconds: i64,
        events: u64,
        /// When the oldest part was counted, if that was earlier.
        counted_at: Option<Timestamp>,
        buckets: Vec<Bucket>,
    }
    #[derive(serde::Serialize)]
    struct Bucket {
        start: String,
        events: u64,
        warning: u64,
        critical: u64,
    }
    let bucket = |b: &histogram::Bucket| Bucket {
        start: b.start.to_rfc3339(),
        events: b.events,
        warning: b.warning,
        critical: b.critical,
    };
    json::document(
        query.scope.organization().as_str(),
        Body {
            filter: query.filter.canonical(),
            window: query.range.into(),
            bucket_seconds: histogram.seconds,
            events: histogram.buckets.iter().map(|b| b.events).sum(),
            counted_at,
            buckets: histogram.buckets.iter().map(bucket).collect(),
        },
    )
}
