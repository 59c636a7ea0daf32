//! `agenttrace show`

use super::{Context, Format};
use crate::case::activity::Step;
use crate::chain::{Content, Judge, Row};
use crate::domain::{Event, EventKey, EventRow, OrgScope, Safe, TimeRange};
use crate::error::{Error, Kind, Result};
use crate::export::{Record, csv, json, table};
use crate::filter::Filter;
use crate::investigation::{Records, activity};
use crate::store::listing::timeline;
use crate::store::query::{Query, Seek};
use crate::store::{ReadDb, StoreError};
use crate::verify::{self, EventReport, Neighbour, Predecessor, SchemeSource};
use std::io::{self, Write};
use tokio_util::sync::CancellationToken;

/// Arguments of `show`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "An event that the organisation does not have is exit 4.")]
pub struct ShowArgs {
    /// Id of the event
    #[arg(value_name = "EVENT_ID", allow_hyphen_values = true, value_parser = super::event_id)]
    pub event_id: String,
    /// With so many events before and after it, whatever they are about
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=10_000))]
    pub context: u32,
    /// Only the text that the event's hash is made of
    #[arg(long, conflicts_with = "context")]
    pub preimage: bool,
}

/// The timeline around an event, newest first.
#[derive(Default)]
struct Around {
    newer: Vec<EventRow>,
    older: Vec<EventRow>,
}

/// The document of `--format json`; `V` is what is known of the event's integrity.
#[derive(serde::Serialize)]
struct Body<'a, V> {
    event: Record<'a>,
    verification: V,
    context: Surroundings<'a>,
}

/// What is said of an event that was not verified.
#[derive(serde::Serialize)]
struct Unverified<'a> {
    content: Content,
    detail: &'a str,
    stored_hash: &'a str,
}

/// The surroundings in a document.
#[derive(serde::Serialize)]
struct Surroundings<'a> {
    newer: Vec<Record<'a>>,
    older: Vec<Record<'a>>,
}

impl<'a> From<&'a Around> for Surroundings<'a> {
    fn from(around: &'a Around) -> Self {
        let records = |rows: &'a [EventRow]| rows.iter().map(Record::from).collect();
        Self { newer: records(&around.newer), older: records(&around.older) }
    }
}

/// Runs it.
///
/// # Errors
/// Exit 4 when the organisation has no such event, exit 3 when the database cannot be read, or
/// cannot send the states of the event.
pub(super) async fn run(context: &Context, args: ShowArgs) -> Result<()> {
    let reader = context.reader().await?;
    let scope = context.scope(&reader).await?;
    let cancel = super::cancel_on_interrupt();
    let db = &reader.db;
    let event = match timeline::event(db, &scope, &args.event_id, None, &cancel).await {
        Err(error) if error.is_of_a_value_too_large() && !args.preimage => {
            return without_states(context, db, &scope, &args, error, &cancel).await;
        }
        event => event?.ok_or_else(|| no_such_event(&scope, &args.event_id))?,
    };
    context.record(&reader, &scope, Step::Event { event_id: args.event_id.clone() }, || {
        activity::of_event(&event)
    });
    let memory = Records::load(&reader.place).memory(scope.organization().as_str());
    let source = SchemeSource::Remembered(&memory);
    let mut results = context.out.results();
    if args.preimage {
        let scheme = verify::detect(db, &scope, source, &cancel).await?.scheme;
        let text = Judge::new(scheme).preimage(&Row::from(&event));
        writeln!(results, "{}", text.map_err(|e| Error::new(Kind::Incomplete, e.to_string()))?)?;
        return Ok(results.flush()?);
    }
    let around = around(db, &scope, event.row.key(), args.context as usize, &cancel).await?;
    let verification = match db.relation(&cancel).await?.unverifiable() {
        // The event is there all the same.
        Some(why) => Err(why.to_owned()),
        None => {
            let detected = verify::detect(db, &scope, source, &cancel).await?;
            let report = verify::verify_read(db, &scope, &event, true, &detected, &cancel).await?;
            let step = Step::EventVerification { event_id: args.event_id.clone() };
            context.record(&reader, &scope, step, || activity::of_verification(&report));
            Ok(report)
        }
    };
    match context.global.format.unwrap_or(Format::Table) {
        Format::Table | Format::Patch(_) | Format::File(_) | Format::Document(_) => {
            write_table(&mut results, &event, verification.as_ref(), &around, context.out.style())?;
        }
        Format::Json => match &verification {
            Ok(verification) => {
                json::write_line(&mut results, &document(&scope, &event, verification, &around))?;
            }
            Err(why) => {
                let verification =
                    Unverified { content: Content::Undecided, detail: why, stored_hash: &event.row.hash };
                let body =
                    Body { event: Record::from(&event), verification, context: Surroundings::from(&around) };
                json::write_line(&mut results, &json::document(scope.organization().as_str(), body))?;
            }
        },
        Format::Ndjson => {
            for record in all(&event, &around) {
                json::write_event(&mut results, record, context.out.joiners())?;
            }
        }
        Format::Csv if args.context == 0 => {
            csv::write(&mut results, &csv::columns(true), [Record::from(&event)], context.out.joiners())?;
        }
        Format::Csv => {
            let rows = around.newer.iter().chain([&event.row]).chain(&around.older);
            csv::write(&mut results, &csv::columns(false), rows.map(Record::from), context.out.joiners())?;
        }
    }
    Ok(results.flush()?)
}

pub(super) fn no_such_event(scope: &OrgScope, id: &str) -> Error {
    let message =
        format!("organisation '{}' has no event '{}'", scope.organization(), Safe::from_untrusted(id));
    Error::new(Kind::Incomplete, message).hint("--org ID looks into another organisation")
}

/// An event whose states the server cannot send: its other fields, and why.
async fn without_states(
    context: &Context,
    db: &ReadDb,
    scope: &OrgScope,
    args: &ShowArgs,
    why: StoreError,
    cancel: &CancellationToken,
) -> Result<()> {
    let row = timeline::event_row(db, scope, &args.event_id, cancel).await?;
    let row = row.ok_or_else(|| no_such_event(scope, &args.event_id))?;
    let around = around(db, scope, row.key(), args.context as usize, cancel).await?;
    let rows = || around.newer.iter().chain([&row]).chain(&around.older);
    let detail = format!("the server cannot send the states of this event: {why}");
    let mut results = context.out.results();
    match context.global.format.unwrap_or(Format::Table) {
        Format::Table | Format::Patch(_) | Format::File(_) | Format::Document(_) => {
            table::write_event(&mut results, Record::from(&row), context.out.style())?;
            writeln!(results, "\ncontent           unreadable: {}", Safe::from_untrusted(&detail))?;
            if args.context > 0 {
                writeln!(results)?;
                table::write_list(&mut results, rows(), context.out.style())?;
            }
        }
        Format::Json => {
            let document = json::document(
                scope.organization().as_str(),
                Body {
                    event: Record::from(&row),
                    verification: Unverified {
                        content: Content::Unreadable,
                        detail: &detail,
                        stored_hash: &row.hash,
                    },
                    context: Surroundings::from(&around),
                },
            );
            json::write_line(&mut results, &document)?;
        }
        Format::Ndjson => rows()
            .try_for_each(|row| json::write_event(&mut results, Record::from(row), context.out.joiners()))?,
        Format::Csv => {
            csv::write(&mut results, &csv::columns(false), rows().map(Record::from), context.out.joiners())?;
        }
    }
    results.flush()?;
    Err(why.into())
}

/// The event among its neighbours, newest first.
fn all<'a>(event: &'a Event, around: &'a Around) -> impl Iterator<Item = Record<'a>> {
    let newer = around.newer.iter().map(Record::from);
    newer.chain([Record::from(event)]).chain(around.older.iter().map(Record::from))
}

async fn around(
    db: &ReadDb,
    scope: &OrgScope,
    key: EventKey,
    limit: usize,
    cancel: &CancellationToken,
) -> Result<Around> {
    if limit == 0 {
        return Ok(Around::default());
    }
    let query = Query { scope: scope.clone(), filter: Filter::default(), range: TimeRange::default() };
    let newer = timeline::page(db, &query, &Seek::NewerThan(key.clone()), limit, cancel).await?.rows;
    let older = timeline::page(db, &query, &Seek::OlderThan(key), limit, cancel).await?.rows;
    Ok(Around { newer, older })
}

fn write_table(
    out: &mut impl Write,
    event: &Event,
    verification: std::result::Result<&EventReport, &String>,
    around: &Around,
    style: table::Style,
) -> io::Result<()> {
    table::write_event(out, Record::from(event), style)?;
    match verification {
        Ok(verification) => write_verification(out, verification)?,
        Err(why) => writeln!(out, "\ncontent           not verified: {}", Safe::from_untrusted(why))?,
    }
    if !(around.newer.is_empty() && around.older.is_empty()) {
        writeln!(out)?;
        let rows = around.newer.iter().chain([&event.row]).chain(&around.older);
        table::write_list(out, rows, style)?;
    }
    Ok(())
}

fn write_verification(out: &mut impl Write, verification: &EventReport) -> io::Result<()> {
    let ids = |events: &[Neighbour], none: &str| {
        let ids: Vec<String> = events.iter().map(|e| Safe::from_untrusted(&e.event_id).to_string()).collect();
        if ids.is_empty() { none.to_owned() } else { ids.join(", ") }
    };
    let guessed = if verification.scheme.guessed { ", guessed" } else { "" };
    writeln!(out, "\ncontent           {} ({}{guessed})", verification.content, verification.scheme.name)?;
    if let Some(detail) = &verification.detail {
        writeln!(out, "                  {}", Safe::from_untrusted(detail))?;
    }
    for explanation in &verification.consistent_with {
        writeln!(out, "                  consistent with: {}", Safe::from_untrusted(explanation))?;
    }
    for explanation in &verification.ruled_out {
        writeln!(out, "                  not: {}", Safe::from_untrusted(explanation))?;
    }
    writeln!(out, "computed hash     {}", verification.computed_hash.as_deref().unwrap_or("-"))?;
    let predecessor = match &verification.predecessor {
        Predecessor::Genesis => "none: the chain begins here".to_owned(),
        Predecessor::Missing => "not in the organisation".to_owned(),
        Predecessor::Unknown => "not looked up".to_owned(),
        Predecessor::Found { events } => ids(events, "-"),
    };
    writeln!(out, "predecessor       {predecessor}")?;
    writeln!(out, "successors        {}", ids(&verification.successors, "none: the chain ends here"))
}

/// The document of `--format json`.
fn document<'a>(
    scope: &'a OrgScope,
    event: &'a Event,
    verification: &'a EventReport,
    around: &'a Around,
) -> impl serde::Serialize + 'a {
    #[derive(serde::Serialize)]
    struct Verified<'a> {
        content: Content,
        detail: Option<&'a str>,
        consistent_with: &'a [String],
        ruled_out: &'a [String],
        scheme: &'static str,
        stored_hash: &'a str,
        computed_hash: Option<&'a str>,
        predecessor: Option<&'a Neighbour>,
        successors: &'a [Neighbour],
    }
    let predecessor = match &verification.predecessor {
        Predecessor::Found { events } => events.first(),
        Predecessor::Genesis | Predecessor::Missing | Predecessor::Unknown => None,
    };
    json::document(
        scope.organization().as_str(),
        Body {
            event: Record::from(event),
            verification: Verified {
                content: verification.content,
                detail: verification.detail.as_deref(),
                consistent_with: &verification.consistent_with,
                ruled_out: &verification.ruled_out,
                scheme: verification.scheme.name,
                stored_hash: &verification.stored_hash,
                computed_hash: verification.computed_hash.as_deref(),
                predecessor,
                successors: &verification.successors,
            },
            context: Surroundings::from(around),
        },
    )
}
