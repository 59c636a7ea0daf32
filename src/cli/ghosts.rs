//! `agenttrace ghosts`

use super::asked::{Window, wants_json};
use super::context::demand_events;
use super::filter::FilterArgs;
use super::{Context, Out};
use crate::case::activity::Step;
use crate::diff::ghost::Ghost;
use crate::domain::{Safe, Timestamp};
use crate::error::{Error, Kind, Result};
use crate::export::json;
use crate::investigation::activity;
use crate::store::query::Query;
use crate::verify::{self, Ghosts};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{self, Write};

/// Findings that people are shown unless they ask for more.
const SHOWN: usize = 20;

/// Arguments of `ghosts`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "\
A ghost change: an event saw another previous state than the event before it left. Somebody changed the resource \
without an audit row, or a row is missing; a gap of the chain in that time speaks for the latter. A filter picks the \
resources; of these every event in the time is looked at. Where a writer stores only the members that an event touched, \
only those are compared, and the report says so.
Events that record calls (as AWS CloudTrail does) hold no states and are not compared.
Exit 0 without a finding, 1 with one, 4 when no two events could be compared. docs/guide/diff.md says more.")]
pub struct GhostsArgs {
    /// Which resources: those of the events that match
    #[command(flatten)]
    pub filter: FilterArgs,
    /// Maximum number of findings to list [default: 20 for people, all in JSON]
    #[arg(long, value_name = "N")]
    pub max_findings: Option<usize>,
}

/// Runs it.
///
/// # Errors
/// Exit 1 when a change without an event was found, 4 when nothing could be compared.
pub(super) async fn run(context: &Context, args: GhostsArgs) -> Result<()> {
    let as_json = wants_json(context, "ghosts")?;
    let reader = context.reader().await?;
    let scope = context.scope(&reader).await?;
    let cancel = super::cancel_on_interrupt();
    let query = args.filter.query(context, &reader, scope, &cancel).await?;
    let bar = progress_bar(context.out);
    let found = verify::ghosts(&reader.db, &query, &|sight| bar.set_position(sight.events), &cancel).await;
    bar.finish_and_clear();
    let found = found?;
    let step = Step::Ghosts { question: reader.activity.question(&query) };
    context.record_aggregate(&reader, (&query, None), step, || activity::of_ghosts(&found), &cancel).await;
    let mut out = context.out.results();
    if as_json {
        json::write_line(&mut out, &document(&query, &found, args.max_findings.unwrap_or(usize::MAX)))?;
    } else {
        print(&mut out, &query, &found, args.max_findings.unwrap_or(SHOWN))?;
    }
    out.flush()?;
    if found.events == 0 {
        demand_events(&reader.db, &query.scope, &cancel).await?;
    }
    if found.total() > 0 {
        Err(Error::silent(Kind::Finding))
    } else if let Some(why) = found.incomparable() {
        let error = Error::new(Kind::Incomplete, why);
        // More of the same records would not help.
        Err(if found.calls().is_some() { error } else { error.hint("--all-time looks at everything") })
    } else {
        Ok(())
    }
}

fn progress_bar(out: Out) -> ProgressBar {
    if out.quiet || !out.stderr_is_terminal {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("looking for ghost changes: {human_pos} events, {rate}") {
        bar.set_style(style.with_key("rate", super::out::rate));
    }
    bar
}

fn listed(found: &Ghosts) -> impl Iterator<Item = &Ghost> {
    found.types.iter().flat_map(|t| &t.ghosts)
}

fn print(out: &mut impl Write, query: &Query, found: &Ghosts, most: usize) -> io::Result<()> {
    let (total, compared) = (found.total(), found.compared());
    let changes = if total == 1 { "change" } else { "changes" };
    writeln!(
        out,
        "GHOSTS {}: {} events, {compared} pairs compared, {total} {changes} without an event",
        Safe::from_untrusted(query.scope.organization().as_str()),
        found.events
    )?;
    for report in &found.types {
        if let Some(remark) = report.writing.remark().filter(|_| report.compared > 0) {
            writeln!(out, "{}: {remark}", Safe::from_untrusted(&report.resource_type))?;
        }
    }
    if let Some((n, record)) = found.calls().filter(|_| found.compared() > 0) {
        let events = if n == 1 { "event records a call" } else { "events record calls" };
        writeln!(out, "{n} {events} ({}), not states: not compared", record.title)?;
    }
    if found.left_out > 0 {
        let n = found.left_out;
        let events = if n == 1 { "event was" } else { "events were" };
        writeln!(out, "{n} {events} left out: a state is too large or cannot be read")?;
    }
    for ghost in listed(found).take(most) {
        let safe = Safe::from_untrusted;
        writeln!(out, "{}/{}", safe(&ghost.resource_type), safe(&ghost.resource_id))?;
        writeln!(out, "    after  {} {}", ghost.after.1, safe(&ghost.after.0))?;
        writeln!(out, "    before {} {}", ghost.before.1, safe(&ghost.before.0))?;
        let paths: Vec<&str> =
            ghost.paths.iter().map(|p| if p.is_empty() { "the whole state" } else { p }).collect();
        writeln!(out, "    changed: {}", safe(&paths.join(" ")))?;
        for gap in found.gaps_at(ghost) {
            writeln!(
                out,
                "    the chain has a gap before {} {}: a row may be missing",
                gap.timestamp,
                safe(&gap.event_id)
            )?;
        }
    }
    let rest = total.saturating_sub(most as u64);
    if rest > 0 {
        writeln!(out, "… and {rest} more (--max-findings, --format json)")?;
    }
    Ok(())
}

#[derive(serde::Serialize)]
struct Body<'a> {
    window: Window,
    events: u64,
    left_out: u64,
    compared: u64,
    total: u64,
    resource_types: Vec<TypeJson<'a>>,
    ghosts: Vec<GhostJson<'a>>,
    /// Findings that are not listed.
    cut: u64,
}

#[derive(serde::Serialize)]
struct TypeJson<'a> {
    resource_type: &'a str,
    /// `full`, `partial`, `changed_after` or `changed_before` where only that side holds only what changed, or
    /// `undecided` where there are too few events to tell.
    states: &'static str,
    /// Events that record calls and hold no states.
    calls: u64,
    compared: u64,
    ghosts: u64,
}

#[derive(serde::Serialize)]
struct GhostJson<'a> {
    resource_type: &'a str,
    resource_id: &'a str,
    after: EventJson<'a>,
    before: EventJson<'a>,
    /// JSON Pointers; `""` is the whole state.
    paths: &'a [String],
    /// Events behind gaps of the chain in that time.
    chain_gaps: Vec<EventJson<'a>>,
}

#[derive(serde::Serialize)]
struct EventJson<'a> {
    event_id: &'a str,
    timestamp: String,
}

fn document<'a>(query: &'a Query, found: &'a Ghosts, most: usize) -> json::Document<'a, Body<'a>> {
    let event = |(event_id, timestamp): &'a (String, Timestamp)| EventJson {
        event_id,
        timestamp: timestamp.to_rfc3339(),
    };
    let ghost = |ghost: &'a Ghost| GhostJson {
        resource_type: &ghost.resource_type,
        resource_id: &ghost.resource_id,
        after: event(&ghost.after),
        before: event(&ghost.before),
        paths: &ghost.paths,
        chain_gaps: found
            .gaps_at(ghost)
            .iter()
            .map(|g| EventJson { event_id: &g.event_id, timestamp: g.timestamp.to_rfc3339() })
            .collect(),
    };
    let ghosts: Vec<GhostJson<'a>> = listed(found).take(most).map(ghost).collect();
    json::document(
        query.scope.organization().as_str(),
        Body {
            window: query.range.into(),
            events: found.events,
            left_out: found.left_out,
            compared: found.compared(),
            total: found.total(),
            resource_types: found
                .types
                .iter()
                .map(|t| TypeJson {
                    resource_type: &t.resource_type,
                    states: t.writing.as_str(),
                    calls: t.calls,
                    compared: t.compared,
                    ghosts: t.total,
                })
                .collect(),
            cut: found.total() - ghosts.len() as u64,
            ghosts,
        },
    )
}
