//! `agenttrace summary`

use super::Context;
use super::across;
use super::asked::{self, Window, wants_json};
use super::context::demand_events;
use super::filter::{FilterArgs, HELP};
use crate::case::activity::Step;
use crate::domain::Timestamp;
use crate::error::{Error, Result};
use crate::export::{json, report};
use crate::investigation::{activity, aggregate};
use crate::store::aggregate::summary::{By, Group, Summary};
use crate::store::query::Query;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde_json::{Map, Value};
use std::io::Write;

/// Arguments of `summary`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = HELP)]
pub struct SummaryArgs {
    /// What is added up
    #[command(flatten)]
    pub asked: FilterArgs,
    /// Columns to group by, comma-separated
    #[arg(long, value_name = "COLUMN", value_parser = by_parser(), value_delimiter = ',', default_value = "category")]
    pub by: Vec<By>,
    /// Count distinct actors too
    #[arg(long)]
    pub actors: bool,
    /// Maximum number of lines
    #[arg(long, value_name = "N", default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub limit: u32,
    /// Add up also where very many events have to be gone through
    #[arg(long)]
    pub force: bool,
    /// Count again also what a shared cache knows
    #[arg(long)]
    pub fresh: bool,
    /// Count the events from ONE address (ip:ADDRESS, and times) in every organisation that the role may read
    #[arg(long, conflicts_with_all = ["by", "actors", "fresh"])]
    pub all_orgs: bool,
}

fn by_parser() -> impl TypedValueParser<Value = By> {
    PossibleValuesParser::new(By::ALL.map(By::name))
        .try_map(|name| By::named(&name).ok_or("nothing to tell events apart by"))
}

/// Runs it.
///
/// # Errors
/// Exit 2 for a filter that cannot be read, exit 3 when the database cannot be, exit 4 for an organisation without
/// events, exit 5 for too many events.
pub(super) async fn run(context: &Context, args: SummaryArgs) -> Result<()> {
    if args.all_orgs {
        return across::run(context, &args).await;
    }
    let json = wants_json(context, "summary")?;
    let by = args.by;
    if by.iter().enumerate().any(|(at, one)| by.iter().skip(at + 1).any(|other| one == other)) {
        return Err(Error::usage("--by names a column twice"));
    }
    let reader = context.reader().await?;
    let scope = context.scope(&reader).await?;
    let cancel = super::cancel_on_interrupt();
    let query = args.asked.query(context, &reader, scope, &cancel).await?;
    let wanted = asked::freshness(args.fresh);
    let answer =
        aggregate::totals(&reader.db, &query, (&by, args.actors, args.limit), (wanted, args.force), &cancel)
            .await?;
    asked::remark_on_age(context, &answer);
    let (summary, counted_at) = (answer.value, answer.since);
    let step = Step::Summary {
        question: reader.activity.question(&query),
        parts: activity::parts([(by.as_slice(), args.limit)], args.actors),
    };
    let answer = || activity::of_summary([&summary]);
    context.record_aggregate(&reader, (&query, counted_at), step, answer, &cancel).await;
    let mut out = context.out.results();
    if json {
        json::write_line(&mut out, &document(&query, &by, &summary, counted_at))?;
    } else {
        report::write(&mut out, &report::totals(&by, &summary, args.actors, None))?;
        let shown = summary.groups.len() as u64;
        let more = if shown < summary.all_groups {
            format!(", {shown} of {} lines", summary.all_groups)
        } else {
            String::new()
        };
        context.out.remark(format_args!("{} events{more}", summary.events));
        if let Some(until) = summary.view_until {
            context.out.remark(format_args!(
                "days before {until} come from audit_daily_summary as it was last refreshed"
            ));
        }
    }
    out.flush()?;
    if summary.events == 0 {
        demand_events(&reader.db, &query.scope, &cancel).await?;
    }
    Ok(())
}

/// A group as an object: its keys under their names, then the numbers.
pub(super) fn object(by: &[By], group: &Group) -> Map<String, Value> {
    let keys = by.iter().zip(&group.keys).map(|(by, key)| (by.name().to_owned(), Value::from(key.clone())));
    let mut object: Map<String, Value> = keys.collect();
    object.insert("events".to_owned(), group.events.into());
    if let Some(actors) = group.actors {
        object.insert("actors".to_owned(), actors.into());
    }
    if let Some((first, last)) = group.times {
        object.insert("first".to_owned(), first.to_rfc3339().into());
        object.insert("last".to_owned(), last.to_rfc3339().into());
    }
    object
}

fn document(
    query: &Query,
    by: &[By],
    summary: &Summary,
    counted_at: Option<Timestamp>,
) -> impl serde::Serialize {
    #[derive(serde::Serialize)]
    struct Body {
        filter: String,
        window: Window,
        by: Vec<&'static str>,
        events: u64,
        all_groups: u64,
        from_daily_summary_until: Option<String>,
        /// When the oldest part was counted, if that was earlier.
        counted_at: Option<Timestamp>,
        groups: Vec<Map<String, Value>>,
    }
    json::document(
        query.scope.organization().as_str(),
        Body {
            filter: query.filter.canonical(),
            window: query.range.into(),
            by: by.iter().map(|by| by.name()).collect(),
            events: summary.events,
            all_groups: summary.all_groups,
            from_daily_summary_until: summary.view_until.map(Timestamp::to_rfc3339),
            counted_at,
            groups: summary.groups.iter().map(|group| object(by, group)).collect(),
        },
    )
}
