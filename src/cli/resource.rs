//! `agenttrace resource`

use super::sides::{BUDGET, MOST_EVENTS, life, no_events};
use super::{Context, Format};
use crate::case::activity::Step;
use crate::diff::history::{self, At, Blame, Known, Origin, Version};
use crate::diff::json::Limits;
use crate::diff::rows::{self, Row, View};
use crate::diff::writing::Writing;
use crate::diff::{Count, Options, change_count, compare, tree, unhurried};
use crate::domain::{CallRecord, OrgScope, Safe, TimeRange, Timestamp};
use crate::error::{Error, Kind, Result};
use crate::export::json::{self, Stored};
use crate::export::table;
use crate::investigation::activity;
use crate::store;
use std::io::{self, Write};

/// Arguments of `resource`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "\
What no event recorded is shown as unknown, with the events between which it happened. Secrets are masked, visibly;
--format json holds every value exactly as it is stored. A resource without events is exit 4.")]
pub struct ResourceArgs {
    /// Its type, such as role_binding
    #[arg(value_name = "TYPE")]
    pub resource_type: String,
    /// Its id
    #[arg(value_name = "ID", allow_hyphen_values = true, value_parser = super::event_id)]
    pub resource_id: String,
    /// The state at a time, such as 2026-01-15T09:58:00Z
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,
    /// Who last set each value
    #[arg(long)]
    pub blame: bool,
    /// Who touched or read it: actions, times and addresses of each actor, over all time
    #[arg(long, conflicts_with_all = ["at", "blame"])]
    pub access: bool,
    /// Show what looks like a secret
    #[arg(long)]
    pub show_secrets: bool,
    /// Maximum number of events, newest first
    #[arg(long, value_name = "N", default_value_t = MOST_EVENTS, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub limit: u32,
}

const LIMITS: Limits = Limits { bytes: 64 << 20, nodes: 4_000_000 };

/// Runs it.
///
/// # Errors
/// Exit 4 when the organisation has no event of the resource.
pub(super) async fn run(context: &Context, args: ResourceArgs) -> Result<()> {
    let moment = match &args.at {
        Some(text) => Some(Timestamp::parse(text).map_err(|e| Error::usage(format!("--at: {e}")))?),
        None => None,
    };
    let format = context.global.format.unwrap_or(Format::Table);
    if !matches!(format, Format::Table | Format::Json) {
        return Err(Error::usage("resource writes --format table or json"));
    }
    let reader = context.reader().await?;
    let scope = context.scope(&reader).await?;
    let cancel = super::cancel_on_interrupt();
    let (kind, id) = (&args.resource_type, &args.resource_id);
    let resource = store::history::Resource { kind: kind.clone(), id: id.clone() };
    let mut out = context.out.results();
    if args.access {
        let access =
            store::history::access(&reader.db, &scope, &resource, TimeRange::default(), &cancel).await?;
        if access.is_empty() {
            return Err(no_events(&scope, &resource));
        }
        let step = Step::Access { resource_type: kind.clone(), resource_id: id.clone() };
        context.record(&reader, &scope, step, || activity::of_access(&access));
        if format == Format::Json {
            super::access::write_json(&mut out, &scope, &resource, &access)?;
        } else {
            super::access::write(&mut out, &access)?;
        }
        return Ok(out.flush()?);
    }
    let (events, writing) = life(context, &reader, &scope, &resource, args.limit, &cancel).await?;
    if let Some(remark) = writing.remark() {
        context.out.remark(remark);
    }
    if events.len() == args.limit as usize {
        context.out.remark(format_args!("only the newest {} events were read (--limit)", events.len()));
    }
    let versions: Vec<Version<'_>> = events.iter().map(Version::from).collect();
    let at = moment.map(|m| (m, history::state_at(&versions, m, LIMITS)));
    // With a time: of the state at that time.
    let end = moment.map_or(versions.len(), |m| versions.partition_point(|v| v.timestamp <= m));
    let blame = if args.blame {
        let stop = || cancel.is_cancelled();
        let blame = history::blame(&versions[..end], LIMITS, &stop);
        Some(blame.map_err(|_| Error::new(Kind::Interrupted, "stopped"))?)
    } else {
        None
    };
    if format == Format::Json {
        json::write_line(
            &mut out,
            &document(&scope, &args, writing, &versions, at.as_ref(), blame.as_ref()),
        )?;
    } else {
        let view = View {
            width: usize::MAX,
            mask: !args.show_secrets,
            rules: context.rules()?,
            unfold_all: true,
            ..View::default()
        };
        let actors: Vec<Safe> = events.iter().map(|event| table::actor(&event.row)).collect();
        write_table(&mut out, (&versions, &actors), at.as_ref(), blame.as_ref(), &view)?;
    }
    Ok(out.flush()?)
}

#[derive(serde::Serialize)]
struct Body<'a> {
    resource_type: &'a str,
    resource_id: &'a str,
    /// How states are written (as `ghosts` says it); those that are stored in part were completed.
    states: &'static str,
    versions: Vec<VersionJson<'a>>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    at: Option<AtJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blame: Option<Vec<BlameJson<'a>>>,
    /// The last events recorded no state: the blame may be out of date.
    #[serde(skip_serializing_if = "Option::is_none")]
    blame_stale: Option<bool>,
    /// Why a state was blamed as one value, with an empty path.
    #[serde(skip_serializing_if = "Option::is_none")]
    blame_unread: Option<String>,
}

#[derive(serde::Serialize)]
struct VersionJson<'a> {
    event_id: &'a str,
    timestamp: String,
    actor_id: &'a str,
    action: &'a str,
    /// Null when no state was recorded, or they are too large to count.
    changes: Option<usize>,
}

#[derive(serde::Serialize)]
struct AtJson<'a> {
    at: String,
    /// The version that made the state.
    event_id: Option<&'a str>,
    /// `known`, `absent` or `unknown`.
    known: &'static str,
    state: Option<Stored<'a>>,
    unknown: &'a [String],
    confirmed: bool,
}

#[derive(serde::Serialize)]
struct BlameJson<'a> {
    path: &'a str,
    value: Option<Stored<'a>>,
    /// Null when it is unknown; then it was after `unknown_after` and not later than `unknown_until`.
    event_id: Option<&'a str>,
    timestamp: Option<String>,
    actor_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unknown_after: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unknown_until: Option<&'a str>,
}

fn changes(version: &Version<'_>) -> Option<usize> {
    match change_count(version.previous, version.new, &Options::default(), &unhurried) {
        Count::Exact { changes, noise } => Some(changes + noise),
        Count::NothingRecorded | Count::Uncounted { .. } => None,
    }
}

/// The kind of record where there is one, and no event records a state.
fn only_calls(versions: &[Version<'_>]) -> Option<&'static CallRecord> {
    let states = versions.iter().any(|v| v.call().is_none() && (v.previous.is_some() || v.new.is_some()));
    versions.iter().find_map(Version::call).filter(|_| !states)
}

fn document<'a>(
    scope: &'a OrgScope,
    args: &'a ResourceArgs,
    writing: Writing,
    versions: &[Version<'a>],
    at: Option<&'a (Timestamp, At<'a>)>,
    blame: Option<&'a Blame<'a>>,
) -> json::Document<'a, Body<'a>> {
    let by_place = |place: usize| versions.get(place).copied();
    let at = at.map(|(moment, at)| {
        let (known, state) = match at.state {
            Known::State(text) => ("known", Some(Stored(text))),
            Known::Absent => ("absent", None),
            Known::Unknown => ("unknown", None),
        };
        AtJson {
            at: moment.to_rfc3339(),
            event_id: at.version.and_then(by_place).map(|v| v.event_id),
            known,
            state,
            unknown: &at.unknown,
            confirmed: at.confirmed,
        }
    });
    let lines = blame.map(|blame| {
        let line = |line: &'a history::BlameLine<'a>| {
            let (set, after, until) = match line.origin {
                Origin::Event(place) => (by_place(place), None, None),
                Origin::Unknown { after, until } => (None, after.and_then(by_place), by_place(until)),
            };
            BlameJson {
                path: &line.path,
                value: Some(Stored(line.value)),
                event_id: set.map(|v| v.event_id),
                timestamp: set.map(|v| v.timestamp.to_rfc3339()),
                actor_id: set.map(|v| v.actor_id),
                unknown_after: after.map(|v| v.event_id),
                unknown_until: until.map(|v| v.event_id),
            }
        };
        blame.lines.iter().map(line).collect()
    });
    let version = |v: &Version<'a>| VersionJson {
        event_id: v.event_id,
        timestamp: v.timestamp.to_rfc3339(),
        actor_id: v.actor_id,
        action: v.action,
        changes: changes(v),
    };
    json::document(
        scope.organization().as_str(),
        Body {
            resource_type: &args.resource_type,
            resource_id: &args.resource_id,
            states: writing.as_str(),
            versions: versions.iter().map(version).collect(),
            at,
            blame: lines,
            blame_stale: blame.map(|b| b.stale),
            blame_unread: blame.and_then(|b| b.why_unread(versions)),
        },
    )
}

/// The rows of a state as lines of JSON, with commas, without the gutter: nothing is marked in it.
fn json_lines(rows: &[Row]) -> Vec<String> {
    let texts: Vec<String> = rows
        .iter()
        .map(|row| {
            let text = row.text();
            text.strip_prefix("  ").unwrap_or(&text).to_owned()
        })
        .collect();
    let opens = |text: &str| text.ends_with(['{', '[']);
    let closes = |text: &str| text.trim_start().starts_with(['}', ']']);
    let comma = |at: usize, text: &str| !opens(text) && texts.get(at + 1).is_some_and(|next| !closes(next));
    texts
        .iter()
        .enumerate()
        .map(|(at, text)| format!("{text}{}", if comma(at, text) { "," } else { "" }))
        .collect()
}

fn write_table(
    out: &mut impl Write,
    (versions, actors): (&[Version<'_>], &[Safe]),
    at: Option<&(Timestamp, At<'_>)>,
    blame: Option<&Blame<'_>>,
    view: &View,
) -> io::Result<()> {
    let safe = Safe::from_untrusted;
    if let Some((moment, at)) = at {
        let by = at.version.and_then(|v| versions.get(v)).map_or("no event yet", |v| v.event_id);
        writeln!(out, "at {}, after {}:", moment.to_rfc3339(), safe(by))?;
        match at.state {
            Known::State(text) => {
                let options = Options { budget: BUDGET, rules: view.rules.clone(), as_sets: false };
                let rows = tree::unified(&compare(Some(text), Some(text), &options, &unhurried), view);
                json_lines(&rows).iter().try_for_each(|line| writeln!(out, "{line}"))?;
            }
            Known::Absent => writeln!(out, "the resource did not exist")?,
            Known::Unknown => match only_calls(versions) {
                Some(record) => {
                    writeln!(out, "unknown: the events record calls ({}), not states", record.title)?;
                }
                None => writeln!(out, "unknown: no event recorded the state")?,
            },
        }
        for path in at.unknown.iter().filter(|p| !p.is_empty()) {
            writeln!(out, "unknown: {} changed without an event before the next one", safe(path))?;
        }
        if at.state != Known::Unknown && at.unknown.iter().any(String::is_empty) {
            writeln!(out, "not confirmed: the next event starts from a different state")?;
        }
    }
    if let Some(blame) = blame {
        if blame.stale {
            writeln!(out, "later events recorded no state, so that this may be out of date")?;
        }
        if let Some(why) = blame.why_unread(versions) {
            writeln!(out, "{}", safe(&why))?;
        }
        match (blame.lines.is_empty(), only_calls(versions)) {
            (true, Some(record)) => {
                writeln!(
                    out,
                    "the events record calls ({}), not states: nobody can be blamed",
                    record.title
                )?;
            }
            (true, None) if blame.version.is_none() => writeln!(out, "no event recorded a state")?,
            (true, None) => writeln!(out, "the resource is gone")?,
            (false, _) => {}
        }
        for line in &blame.lines {
            let by = match line.origin {
                Origin::Event(place) => versions
                    .get(place)
                    .zip(actors.get(place))
                    .map(|(v, actor)| format!("{} {actor} {}", v.timestamp.to_rfc3339(), safe(v.event_id))),
                Origin::Unknown { after, until } => {
                    let id = |place: usize| versions.get(place).map_or("?", |v| v.event_id);
                    let after = after.map_or("the beginning of the trail".to_owned(), |a| id(a).to_owned());
                    Some(format!("unknown, between {} and {}", safe(&after), safe(id(until))))
                }
            };
            // What cannot be read may have secrets in it.
            let hidden = view.mask && (blame.is_whole() || view.rules.hides(&line.path, line.value));
            let value = if hidden { rows::masked(line.value) } else { line.value.to_owned() };
            let value = Safe::composed(&value).cut_end(40);
            writeln!(out, "{:<32} {value:<40} {}", safe(&line.path), by.unwrap_or_default())?;
        }
    }
    if at.is_none() && blame.is_none() {
        let widest = actors.iter().map(Safe::width).max().unwrap_or_default();
        for (v, actor) in versions.iter().zip(actors).rev() {
            let changes = changes(v).map_or("-".to_owned(), |n| n.to_string());
            let time = v.timestamp.to_rfc3339();
            let gap = widest - actor.width();
            writeln!(
                out,
                "{time}  {:<8} Δ{changes:<4} {actor}{:gap$}  {}",
                safe(v.action),
                "",
                safe(v.event_id)
            )?;
        }
    }
    Ok(())
}
