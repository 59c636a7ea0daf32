//! `agenttrace show`

use super::{Context, Format};
use crate::chain::{Canonicaliser, Content, Fields, Limits, SCHEME, to_hex};
use crate::domain::{self, Event, EventKey, EventRow, OrgScope, Safe, TimeRange};
use crate::error::{Error, Kind, Result};
use crate::export::{self, Record, csv, json, table};
use crate::filter::Filter;
use crate::store::timeline::{self, Query, Seek};
use crate::store::{ReadDb, links};
use std::io::{self, Write};
use tokio_util::sync::CancellationToken;

/// Arguments of `show`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "An event that the organisation does not have is exit 4.")]
pub struct ShowArgs {
    /// Id of the event
    #[arg(value_name = "EVENT_ID")]
    pub event_id: String,
    /// With so many events before and after it, whatever they are about
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=10_000))]
    pub context: u32,
    /// Only the text that the event's hash is made of
    #[arg(long, conflicts_with = "context")]
    pub preimage: bool,
}

/// What is known about an event's place in the chain.
struct Verification {
    content: &'static str,
    /// Why the content is undecided.
    detail: Option<String>,
    stored_hash: String,
    computed_hash: Option<String>,
    predecessors: Vec<EventRow>,
    successors: Vec<EventRow>,
}

/// The timeline around an event, newest first.
#[derive(Default)]
struct Around {
    newer: Vec<EventRow>,
    older: Vec<EventRow>,
}

/// Runs it.
///
/// # Errors
/// Exit 4 when the organisation has no such event, exit 3 when the database cannot be read.
pub(super) async fn run(context: &Context, args: ShowArgs) -> Result<()> {
    let reader = context.reader().await?;
    let scope = context.scope(&reader).await?;
    let cancel = super::cancel_on_interrupt();
    let db = &reader.db;
    let Some(event) = timeline::event(db, &scope, &args.event_id, None, &cancel).await? else {
        let message = format!(
            "organisation '{}' has no event '{}'",
            scope.organization(),
            args.event_id.escape_debug()
        );
        return Err(Error::new(Kind::Incomplete, message).hint("--org ID looks into another organisation"));
    };
    let content = content(&event);
    let mut results = context.out.results();
    if args.preimage {
        let content = content.map_err(|e| Error::new(Kind::Incomplete, e))?;
        writeln!(results, "{}", content.preimage(&event.row.previous_hash))?;
        return Ok(results.flush()?);
    }
    let verification = verify(db, &scope, &event, content, &cancel).await?;
    let around = around(db, &scope, event.row.key(), args.context as usize, &cancel).await?;
    match context.global.format.unwrap_or(Format::Table) {
        Format::Table | Format::Source(_) | Format::Patch(_) => {
            write_table(&mut results, &event, &verification, &around, context.out.style())?;
        }
        Format::Json => json::write_line(&mut results, &document(&scope, &event, &verification, &around))?,
        Format::Ndjson => {
            for record in all(&event, &around) {
                json::write_line(&mut results, &record)?;
            }
        }
        Format::Csv if args.context == 0 => {
            csv::write(&mut results, &domain::COLUMNS, [Record::from(&event)])?;
        }
        Format::Csv => {
            let columns = domain::COLUMNS.into_iter().filter(|c| !export::STATE_COLUMNS.contains(c));
            let rows = around.newer.iter().chain([&event.row]).chain(&around.older);
            csv::write(&mut results, &columns.collect::<Vec<_>>(), rows.map(Record::from))?;
        }
    }
    Ok(results.flush()?)
}

/// The event among its neighbours, newest first.
fn all<'a>(event: &'a Event, around: &'a Around) -> impl Iterator<Item = Record<'a>> {
    let newer = around.newer.iter().map(Record::from);
    newer.chain([Record::from(event)]).chain(around.older.iter().map(Record::from))
}

/// The canonical text, or why there is none.
fn content(event: &Event) -> Result<Content, String> {
    Content::of(&Fields::from(event), &mut Canonicaliser::new(Limits::READ)).map_err(|e| e.to_string())
}

async fn verify(
    db: &ReadDb,
    scope: &OrgScope,
    event: &Event,
    content: Result<Content, String>,
    cancel: &CancellationToken,
) -> Result<Verification> {
    let row = &event.row;
    let (computed_hash, mut detail) = match content {
        Ok(content) => (Some(to_hex(&content.hash(&row.previous_hash))), None),
        Err(reason) => (None, Some(reason)),
    };
    let content = if computed_hash.as_ref() == Some(&row.hash) {
        "verified"
    } else {
        // Equal values can have had other spellings when they were hashed, so this alone proves nothing yet.
        detail.get_or_insert_with(|| {
            format!("the row does not have its stored hash under {SCHEME}; other spellings were not tried")
        });
        "undecided"
    };
    Ok(Verification {
        content,
        detail,
        stored_hash: row.hash.clone(),
        computed_hash,
        predecessors: links::with_hash(db, scope, &row.previous_hash, cancel).await?,
        successors: links::behind_hash(db, scope, &row.hash, cancel).await?,
    })
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
    verification: &Verification,
    around: &Around,
    style: table::Style,
) -> io::Result<()> {
    table::write_event(out, Record::from(event), style)?;
    let ids = |rows: &[EventRow], none: &str| {
        let ids: Vec<String> = rows.iter().map(|r| Safe::from_untrusted(&r.event_id).to_string()).collect();
        if ids.is_empty() { none.to_owned() } else { ids.join(", ") }
    };
    let before = if event.row.previous_hash.is_empty() {
        "none: the chain begins here"
    } else {
        "not in the organisation"
    };
    writeln!(out, "\ncontent           {} ({SCHEME})", verification.content)?;
    if let Some(detail) = &verification.detail {
        writeln!(out, "                  {}", Safe::from_untrusted(detail))?;
    }
    writeln!(out, "computed hash     {}", verification.computed_hash.as_deref().unwrap_or("-"))?;
    writeln!(out, "predecessor       {}", ids(&verification.predecessors, before))?;
    writeln!(out, "successors        {}", ids(&verification.successors, "none: the chain ends here"))?;
    if !(around.newer.is_empty() && around.older.is_empty()) {
        writeln!(out)?;
        let rows = around.newer.iter().chain([&event.row]).chain(&around.older);
        table::write_list(out, rows, style)?;
    }
    Ok(())
}

/// The document of `--format json`.
fn document<'a>(
    scope: &'a OrgScope,
    event: &'a Event,
    verification: &'a Verification,
    around: &'a Around,
) -> impl serde::Serialize + 'a {
    #[derive(serde::Serialize)]
    struct Document<'a> {
        schema_version: u32,
        organization_id: &'a str,
        event: Record<'a>,
        verification: Verified<'a>,
        context: Surroundings<'a>,
    }
    #[derive(serde::Serialize)]
    struct Verified<'a> {
        content: &'static str,
        detail: Option<&'a str>,
        scheme: &'static str,
        stored_hash: &'a str,
        computed_hash: Option<&'a str>,
        predecessor: Option<Neighbour<'a>>,
        successors: Vec<Neighbour<'a>>,
    }
    #[derive(serde::Serialize)]
    struct Neighbour<'a> {
        event_id: &'a str,
        timestamp: String,
    }
    #[derive(serde::Serialize)]
    struct Surroundings<'a> {
        newer: Vec<Record<'a>>,
        older: Vec<Record<'a>>,
    }
    let neighbour =
        |row: &'a EventRow| Neighbour { event_id: &row.event_id, timestamp: row.timestamp.to_rfc3339() };
    Document {
        schema_version: json::SCHEMA_VERSION,
        organization_id: scope.organization().as_str(),
        event: Record::from(event),
        verification: Verified {
            content: verification.content,
            detail: verification.detail.as_deref(),
            scheme: SCHEME,
            stored_hash: &verification.stored_hash,
            computed_hash: verification.computed_hash.as_deref(),
            predecessor: verification.predecessors.first().map(neighbour),
            successors: verification.successors.iter().map(neighbour).collect(),
        },
        context: Surroundings {
            newer: around.newer.iter().map(Record::from).collect(),
            older: around.older.iter().map(Record::from).collect(),
        },
    }
}
