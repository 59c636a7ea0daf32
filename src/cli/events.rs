//! `agenttrace events`

use super::context::no_such_organization;
use super::filter::{FilterArgs, ask_the_case, freeze};
use super::lines::Lines;
use super::{Context, Format, Out, Reader};
use crate::case::activity::Step;
use crate::domain::{EventKey, EventRow, OrgScope, Safe, TimeRange, Timestamp};
use crate::error::{Error, Kind, Result};
use crate::export::{Record, json};
use crate::filter::Filter;
use crate::investigation::{activity, listing};
use crate::store::ReadDb;
use crate::store::listing::cursor::{Cursor, Order};
use crate::store::listing::search::Engine;
use crate::store::listing::timeline;
use crate::store::query::{Count, Looked, Pace, Page, Query, Seek};
use crate::verify::writing::Memory;
use clap::ValueEnum;
use std::io::Write as _;
use std::sync::Mutex;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// After this time of walking past events that do not match, what was found is put aside: an interruption keeps it.
const PATIENCE: Duration = Duration::from_millis(500);

/// What `--help` says below the options.
const AFTER_HELP: &str = "A listing without events is exit 0 with a remark on stderr.";

/// Arguments of `events`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = format!("{}\n\n{AFTER_HELP}", super::filter::HELP))]
pub struct EventsArgs {
    /// What to list
    #[command(flatten)]
    pub filter: FilterArgs,
    /// Maximum number of events
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
    /// Of a search for words.
    searched: Option<Searched>,
    /// The user stopped it.
    interrupted: bool,
}

/// How a search for words went.
struct Searched {
    /// What answers the words; `None` where there are none, and the rest of the filter has found the events.
    engine: Option<Engine>,
    /// Everything from this instant on has been looked at; `None` when everything has.
    back_to: Option<Timestamp>,
    /// The whole window has been looked at.
    complete: bool,
    /// The first of the words as it is typed to find longer ones, too.
    longer: Option<String>,
}

/// Runs it.
///
/// # Errors
/// Exit 2 for a filter or cursor that cannot be used, exit 3 when the database cannot be read.
pub(super) async fn run(context: &Context, args: EventsArgs) -> Result<()> {
    let filter = args.filter.read(&context.global)?;
    list(context, filter, &args, false).await
}

/// Lists the events of a filter; as a search it also says how they were found, and how far it has looked.
///
/// # Errors
/// As [`run`]; exit 130 when it was interrupted, after what had been found until then.
pub(super) async fn list(
    context: &Context,
    filter: Filter,
    args: &EventsArgs,
    is_search: bool,
) -> Result<()> {
    let reader = context.reader().await?;
    let scope = context.scope(&reader).await?;
    let cancel = super::cancel_on_interrupt();

    let cursor = args.cursor.as_deref().map(|text| Cursor::decode(text, &scope, &filter)).transpose();
    let cursor = cursor.map_err(|e| Error::usage(e.to_string()))?;
    let mut filter = filter;
    ask_the_case(context, &reader, &scope, &mut filter, &cancel).await?;
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
    let mut query = Query { scope, filter, range: first.range };
    Memory::default().tell(&reader.db, &query.scope, &mut query.filter, &cancel).await?;
    let limit = args.limit as usize;
    let db = &reader.db;
    let announce = super::walk_announcer(context.out);
    // What the parts before the one under way have come to.
    let before = Mutex::new(Looked::default());
    let progress = |looked: &Looked| {
        let (events, found) = before.lock().map_or((0, 0), |before| (before.events, before.found));
        announce(&Looked { events: looked.events + events, found: looked.found + found, ..looked.clone() });
    };
    let pace = Pace { patience: Some(PATIENCE), progress: Some(&progress) };
    let mut lines = Lines::new(context, first.order, args.states);
    let engine = if is_search { Some(search_engine(db, &query.filter, &cancel).await?) } else { None };
    if args.states {
        let read = async |seek: &Seek, limit| {
            timeline::page_with_states(db, &query, seek, limit, pace, &cancel).await
        };
        let tell = |part: &[_]| lines.write(part, |e| Record::from(e));
        let page = listing::gather(&first.seek, first.order, limit, read, tell, &before).await?;
        super::announce_scan(context.out, page.0.looked.as_ref());
        record(context, &reader, &query, (&first.seek, true), &page.0, |e| Record::from(e));
        let listing = describe(db, args, &query, &first, page, |e| &e.row, engine, &cancel).await?;
        write(context, db, &listing, lines, |e| Record::from(e), args.cursor.is_some(), &cancel).await
    } else {
        let read = async |seek: &Seek, limit| timeline::page_at(db, &query, seek, limit, pace, &cancel).await;
        let tell = |part: &[_]| lines.write(part, |e| Record::from(e));
        let page = listing::gather(&first.seek, first.order, limit, read, tell, &before).await?;
        super::announce_scan(context.out, page.0.looked.as_ref());
        record(context, &reader, &query, (&first.seek, false), &page.0, |e| Record::from(e));
        let listing = describe(db, args, &query, &first, page, |e| e, engine, &cancel).await?;
        write(context, db, &listing, lines, |e| Record::from(e), args.cursor.is_some(), &cancel).await
    }
}

fn record<T>(
    context: &Context,
    reader: &Reader,
    query: &Query,
    (seek, states): (&Seek, bool),
    page: &Page<T>,
    record: fn(&T) -> Record<'_>,
) {
    let step = Step::Listing { question: reader.activity.question(query), states };
    let is_ascending = matches!(seek, Seek::Oldest | Seek::NewerThan(_));
    context.record(reader, &query.scope, step, || {
        let ends = (page.has_newer, page.has_older);
        activity::of_page(page.rows.iter().map(record), ends, page.looked.as_ref(), is_ascending)
    });
}

impl From<OrderArg> for Order {
    fn from(order: OrderArg) -> Self {
        match order {
            OrderArg::Asc => Self::Asc,
            OrderArg::Desc => Self::Desc,
        }
    }
}

#[expect(clippy::too_many_arguments, reason = "one for each thing that is said about a page")]
async fn describe<T>(
    db: &ReadDb,
    args: &EventsArgs,
    query: &Query,
    first: &Cursor,
    (page, interrupted): (Page<T>, bool),
    row: fn(&T) -> &EventRow,
    engine: Option<Option<Engine>>,
    cancel: &CancellationToken,
) -> Result<Listing<T>> {
    let Cursor { order, range, .. } = *first;
    let Page { rows: mut events, has_older, has_newer, looked } = page;
    let ahead = if order == Order::Asc { has_newer } else { has_older };
    let searched = engine.map(|engine| {
        let resume = looked.and_then(|looked| looked.resume).map(|key| key.timestamp);
        let last = resume.or_else(|| events.last().map(|e| row(e).timestamp));
        let back_to = if order == Order::Desc && ahead { last } else { range.since };
        let words = query.filter.words();
        let longer = words.iter().find(|words| !words.prefix).map(|words| words.longer());
        Searched { engine, back_to, complete: !ahead, longer }
    });
    let handle = |seek: fn(EventKey) -> Seek, event: Option<&T>, there: bool| {
        let seek = seek(row(event.filter(|_| there)?).key());
        Some(Cursor { seek, range, order }.encode(&query.scope, &query.filter))
    };
    let older = handle(Seek::OlderThan, events.last(), has_older);
    let newer = handle(Seek::NewerThan, events.first(), has_newer);
    let count = if interrupted {
        Count::AtLeast(events.len() as u64)
    } else if has_older || has_newer {
        match args.count {
            CountArg::None => Count::Unknown,
            CountArg::Estimate => listing::count_beside(db, query, events.len() as u64, cancel).await?,
            CountArg::Exact => timeline::count(db, query, db.settings().statement_timeout, cancel).await?,
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
    let scope = query.scope.clone();
    Ok(Listing { scope, events, next_cursor, previous_cursor, count, range, order, searched, interrupted })
}

async fn write<T>(
    context: &Context,
    db: &ReadDb,
    listing: &Listing<T>,
    lines: Lines,
    record: fn(&T) -> Record<'_>,
    is_continued: bool,
    cancel: &CancellationToken,
) -> Result<()> {
    let out = context.out;
    let format = context.global.format.unwrap_or(Format::Table);
    if format == Format::Json {
        let mut results = out.results();
        json::write_line(&mut results, &document(listing, listing.events.iter().map(record)))?;
        results.flush()?;
    }
    lines.finish()?;
    if let (Some(searched), false) = (&listing.searched, format == Format::Json) {
        remark_on_search(out, searched);
    }
    let longer = listing.searched.as_ref().and_then(|searched| searched.longer.as_ref());
    if let (Some(longer), true) = (longer, listing.events.is_empty()) {
        out.remark(format_args!(
            "whole words are searched for: {} also finds longer ones",
            Safe::from_untrusted(longer)
        ));
    }
    if listing.events.is_empty() && !is_continued {
        return remark_on_nothing(out, db, listing, cancel).await;
    }
    if format != Format::Json {
        out.remark(format_args!("{} of {}", listing.events.len(), in_words(listing.count)));
        if let Some(cursor) = &listing.next_cursor {
            out.remark(format_args!("next page: the same command with --cursor {cursor}"));
        }
    }
    if listing.interrupted {
        return Err(Error::new(Kind::Interrupted, "stopped: these are the events found until then"));
    }
    Ok(())
}

/// What answers the words of a filter, if it has any.
async fn search_engine(db: &ReadDb, filter: &Filter, cancel: &CancellationToken) -> Result<Option<Engine>> {
    let has_words = !filter.words().is_empty();
    Ok(if has_words { Some(Engine::of(&*db.capabilities(cancel).await?)) } else { None })
}

fn remark_on_search(out: Out, searched: &Searched) {
    let Searched { engine, back_to, complete, .. } = searched;
    let Some(engine) = engine else {
        return out.remark("no words are asked for: these are the events of the filter");
    };
    let back_to = back_to.map_or_else(|| "the oldest event".to_owned(), |t| format!("{t}"));
    let complete = if *complete { "" } else { ", not further" };
    out.remark(format_args!(
        "searched back to {back_to}{complete} by {}; not seen: {}",
        engine.name(),
        engine.blind_to()
    ));
}

/// An empty listing names the nearest event outside its window and how to reach it.
async fn remark_on_nothing<T>(
    out: Out,
    db: &ReadDb,
    listing: &Listing<T>,
    cancel: &CancellationToken,
) -> Result<()> {
    let range = listing.range;
    let absence = listing::absence(db, &listing.scope, None, range.since, cancel).await?;
    if absence.newest.is_none() {
        return Err(no_such_organization(db, &listing.scope, cancel).await?);
    }
    let organization = Safe::from_untrusted(listing.scope.organization().as_str());
    let Some(since) = range.since else {
        out.remark(format_args!("no event of organisation '{organization}' matches"));
        return Ok(());
    };
    match absence.nearest_older {
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
        Count::AtLeast(n) => format!("at least {n} events"),
        Count::Unknown => "an unknown number of events".to_owned(),
    }
}

/// The document of `--format json`.
fn document<'a, T>(
    listing: &'a Listing<T>,
    records: impl Iterator<Item = Record<'a>>,
) -> impl serde::Serialize + 'a {
    #[derive(serde::Serialize)]
    struct Body<'a> {
        events: Vec<Record<'a>>,
        next_cursor: Option<&'a str>,
        previous_cursor: Option<&'a str>,
        count: Number,
        window: Window,
        order: &'static str,
        #[serde(flatten)]
        searched: Option<Engined>,
    }
    #[derive(serde::Serialize)]
    struct Engined {
        /// Null without words.
        engine: Option<&'static str>,
        searched_back_to: Option<String>,
        complete: bool,
        not_seen: Option<std::borrow::Cow<'static, str>>,
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
    json::document(
        listing.scope.organization().as_str(),
        Body {
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
            searched: listing.searched.as_ref().map(|searched| Engined {
                engine: searched.engine.as_ref().map(Engine::name),
                searched_back_to: searched.back_to.map(Timestamp::to_rfc3339),
                complete: searched.complete,
                not_seen: searched.engine.as_ref().map(Engine::blind_to),
            }),
        },
    )
}
