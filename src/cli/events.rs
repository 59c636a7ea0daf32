//! `agenttrace events`

use super::context::no_such_organization;
use super::filter::{FilterArgs, freeze};
use super::{Context, Format, Out};
use crate::domain::{self, EventKey, EventRow, OrgScope, Safe, TimeRange, Timestamp};
use crate::error::{Error, Result};
use crate::export::{self, Record, csv, json, table};
use crate::store::ReadDb;
use crate::store::cursor::{Cursor, Order};
use crate::store::timeline::{self, Count, Pace, Page, Query, Seek};
use clap::ValueEnum;
use std::io::Write as _;
use tokio_util::sync::CancellationToken;

/// What `--help` says below the options.
const AFTER_HELP: &str = "A listing without events is exit 0 with a remark on stderr.";

/// Arguments of `events`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = format!("{}\n\n{AFTER_HELP}", super::filter::HELP))]
pub struct EventsArgs {
    /// What to list
    #[command(flatten)]
    pub filter: FilterArgs,
    /// Greatest number of events
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub limit: u32,
    /// Go on where an earlier page ended: its next_cursor or previous_cursor, with the same filter
    #[arg(long, value_name = "CURSOR")]
    pub cursor: Option<String>,
    /// Newest or oldest first [default: desc, or the cursor's]
    #[arg(long, value_enum)]
    pub order: Option<OrderArg>,
    /// With previous_state and new_state
    #[arg(long)]
    pub states: bool,
    /// How to count all events that match
    #[arg(long, value_enum, default_value_t)]
    pub count: CountArg,
}

/// Order of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OrderArg {
    /// Oldest first.
    Asc,
    /// Newest first.
    Desc,
}

/// How to count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum CountArg {
    /// One by one, within the time a statement may take.
    Exact,
    /// As the planner guesses.
    #[default]
    Estimate,
    /// Not at all.
    None,
}

/// A page with all that is said about it.
struct Listing<T> {
    scope: OrgScope,
    /// In the order asked for.
    events: Vec<T>,
    next_cursor: Option<String>,
    previous_cursor: Option<String>,
    count: Count,
    range: TimeRange,
    order: Order,
}

/// Runs it.
///
/// # Errors
/// Exit 2 for a filter or cursor that cannot be used, exit 3 when the database cannot be read.
pub(super) async fn run(context: &Context, args: EventsArgs) -> Result<()> {
    let filter = args.filter.read(&context.global)?;
    let reader = context.reader().await?;
    let scope = context.scope(&reader).await?;
    let cancel = super::cancel_on_interrupt();

    let cursor = args.cursor.as_deref().map(|text| Cursor::decode(text, &scope, &filter)).transpose();
    let cursor = cursor.map_err(|e| Error::usage(e.to_string()))?;
    let asked = args.order.map(Order::from);
    if let (Some(cursor), Some(asked)) = (&cursor, asked)
        && cursor.order != asked
    {
        return Err(Error::usage("--order differs from the order of the listing that the cursor belongs to")
            .hint("leave --order out, or start again without --cursor"));
    }
    let first = if let Some(cursor) = cursor {
        cursor
    } else {
        let order = asked.unwrap_or_default();
        let seek = if order == Order::Asc { Seek::Oldest } else { Seek::Newest };
        let range = freeze(context, &reader, &scope, &filter, &cancel).await?;
        Cursor { seek, range, order }
    };
    let query = Query { scope, filter, range: first.range };
    let limit = args.limit as usize;
    let db = &reader.db;
    let announce = super::walk_announcer(context.out);
    let pace = Pace { progress: Some(&announce), ..Pace::default() };
    if args.states {
        let page = timeline::page_with_states(db, &query, &first.seek, limit, pace, &cancel).await?;
        let listing = listing(db, &args, query, &first, page, |e| &e.row, &cancel).await?;
        write(context, db, &listing, |e| Record::from(e), args.cursor.is_some(), &cancel).await
    } else {
        let page = timeline::page_at(db, &query, &first.seek, limit, pace, &cancel).await?;
        let listing = listing(db, &args, query, &first, page, |e| e, &cancel).await?;
        write(context, db, &listing, |e| Record::from(e), args.cursor.is_some(), &cancel).await
    }
}

impl From<OrderArg> for Order {
    fn from(order: OrderArg) -> Self {
        match order {
            OrderArg::Asc => Self::Asc,
            OrderArg::Desc => Self::Desc,
        }
    }
}

async fn listing<T>(
    db: &ReadDb,
    args: &EventsArgs,
    query: Query,
    first: &Cursor,
    page: Page<T>,
    row: fn(&T) -> &EventRow,
    cancel: &CancellationToken,
) -> Result<Listing<T>> {
    let Cursor { order, range, .. } = *first;
    let Page { rows: mut events, has_older, has_newer, .. } = page;
    let handle = |seek: fn(EventKey) -> Seek, event: Option<&T>, there: bool| {
        let seek = seek(row(event.filter(|_| there)?).key());
        Some(Cursor { seek, range, order }.encode(&query.scope, &query.filter))
    };
    let older = handle(Seek::OlderThan, events.last(), has_older);
    let newer = handle(Seek::NewerThan, events.first(), has_newer);
    let count = if has_older || has_newer {
        match args.count {
            CountArg::None => Count::Unknown,
            // An estimate may be less than what stands here already.
            CountArg::Estimate => match timeline::estimate(db, &query, cancel).await? {
                Count::Estimate(n) if n <= events.len() as u64 => Count::AtLeast(events.len() as u64 + 1),
                count => count,
            },
            CountArg::Exact => timeline::count(db, &query, db.settings().statement_timeout, cancel).await?,
        }
    } else {
        // The page is all there is.
        Count::Exact(events.len() as u64)
    };
    let (next_cursor, previous_cursor) = if order == Order::Asc {
        events.reverse();
        (newer, older)
    } else {
        (older, newer)
    };
    Ok(Listing { scope: query.scope, events, next_cursor, previous_cursor, count, range, order })
}

async fn write<T>(
    context: &Context,
    db: &ReadDb,
    listing: &Listing<T>,
    record: fn(&T) -> Record<'_>,
    is_continued: bool,
    cancel: &CancellationToken,
) -> Result<()> {
    let out = context.out;
    let format = context.global.format.unwrap_or(Format::Table);
    let records = || listing.events.iter().map(record);
    let mut results = out.results();
    match format {
        Format::Table | Format::Source(_) | Format::Patch(_) if listing.events.is_empty() => {}
        Format::Table | Format::Source(_) | Format::Patch(_) => {
            table::write_list(&mut results, records().map(Record::row), out.style())?;
        }
        Format::Json => json::write_line(&mut results, &document(listing, records()))?,
        Format::Ndjson => {
            for event in records() {
                json::write_line(&mut results, &event)?;
            }
        }
        Format::Csv => {
            let has_states = listing.events.first().map(record).is_some_and(Record::has_states);
            let columns =
                domain::COLUMNS.into_iter().filter(|c| has_states || !export::STATE_COLUMNS.contains(c));
            csv::write(&mut results, &columns.collect::<Vec<_>>(), records())?;
        }
    }
    results.flush()?;
    drop(results);
    if listing.events.is_empty() && !is_continued {
        return remark_on_nothing(out, db, listing, cancel).await;
    }
    if format != Format::Json {
        out.remark(format_args!("{} of {}", listing.events.len(), in_words(listing.count)));
        if let Some(cursor) = &listing.next_cursor {
            out.remark(format_args!("next page: the same command with --cursor {cursor}"));
        }
    }
    Ok(())
}

/// An empty listing names the nearest event outside its window and how to reach it.
async fn remark_on_nothing<T>(
    out: Out,
    db: &ReadDb,
    listing: &Listing<T>,
    cancel: &CancellationToken,
) -> Result<()> {
    if timeline::newest(db, &listing.scope, None, cancel).await?.is_none() {
        return Err(no_such_organization(db, &listing.scope, cancel).await?);
    }
    let organization = Safe::from_untrusted(listing.scope.organization().as_str());
    let Some(since) = listing.range.since else {
        out.remark(format_args!("no event of organisation '{organization}' matches"));
        return Ok(());
    };
    match timeline::newest(db, &listing.scope, Some(since), cancel).await? {
        Some(older) => out.remark(format_args!(
            "no event of organisation '{organization}' since {since} matches; the nearest older event is {} at {}: \
             since:{} or all-time reach it",
            Safe::from_untrusted(&older.event_id),
            older.timestamp,
            older.timestamp,
        )),
        None => out.remark(format_args!(
            "no event of organisation '{organization}' since {since} matches, and it has no older ones"
        )),
    }
    Ok(())
}

fn in_words(count: Count) -> String {
    match count {
        Count::Exact(n) => format!("{n} events"),
        Count::Estimate(n) => format!("~{n} events (estimated)"),
        Count::AtLeast(n) => format!("{n} events or more"),
        Count::Unknown => "an unknown number of events".to_owned(),
    }
}

/// The document of `--format json`.
fn document<'a, T>(
    listing: &'a Listing<T>,
    records: impl Iterator<Item = Record<'a>>,
) -> impl serde::Serialize + 'a {
    #[derive(serde::Serialize)]
    struct Document<'a> {
        schema_version: u32,
        organization_id: &'a str,
        events: Vec<Record<'a>>,
        next_cursor: Option<&'a str>,
        previous_cursor: Option<&'a str>,
        count: Number,
        window: Window,
        order: &'static str,
    }
    #[derive(serde::Serialize)]
    struct Number {
        kind: &'static str,
        value: Option<u64>,
    }
    #[derive(serde::Serialize)]
    struct Window {
        since: Option<String>,
        until: Option<String>,
    }
    Document {
        schema_version: json::SCHEMA_VERSION,
        organization_id: listing.scope.organization().as_str(),
        events: records.collect(),
        next_cursor: listing.next_cursor.as_deref(),
        previous_cursor: listing.previous_cursor.as_deref(),
        count: Number { kind: listing.count.kind(), value: listing.count.value() },
        window: Window {
            since: listing.range.since.map(Timestamp::to_rfc3339),
            until: listing.range.until.map(Timestamp::to_rfc3339),
        },
        order: match listing.order {
            Order::Desc => "desc",
            Order::Asc => "asc",
        },
    }
}
