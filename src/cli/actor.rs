//! `agenttrace actor`

use super::asked::{Window, wants_json};
use super::filter::FilterArgs;
use super::{Context, summary as summary_command};
use crate::case::activity::Step;
use crate::domain::{EventRow, Safe, Timestamp};
use crate::error::{Error, Kind, Result};
use crate::export::{Record, json, report, table};
use crate::filter::quoted;
use crate::investigation::activity;
use crate::store::aggregate::summary::{self, By, Summary};
use crate::store::listing::timeline;
use crate::store::query::{Query, Seek};
use serde_json::{Map, Value};
use std::io::Write;

/// Columns by which an actor's events are grouped, and the maximum of lines of each.
const PARTS: [(By, u32); 6] = [
    (By::Action, 10),
    (By::Category, 10),
    (By::Severity, 10),
    (By::Type, 15),
    (By::Resource, 15),
    (By::Ip, 10),
];

/// Arguments of `actor`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "\
A value with @ is an e-mail address. An actor without events in the window is exit 4; --all-time looks at everything.")]
pub struct ActorArgs {
    /// Id or e-mail address of the actor
    #[arg(value_name = "ACTOR_ID", allow_hyphen_values = true, value_parser = super::event_id)]
    pub actor: String,
    /// Events from this time on
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub since: Option<String>,
    /// Events before this time
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub until: Option<String>,
    /// Newest events to list
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub limit: u32,
}

/// What an actor did.
struct Profile {
    query: Query,
    parts: Vec<(By, Summary)>,
    newest: Vec<EventRow>,
}

impl Profile {
    fn events(&self) -> u64 {
        self.parts.first().map_or(0, |(_, summary)| summary.events)
    }

    /// Time of the first and the last event.
    fn times(&self) -> Option<(Timestamp, Timestamp)> {
        let times =
            || self.parts.first()?.1.groups.iter().map(|group| group.times).collect::<Option<Vec<_>>>();
        let times = times()?;
        Some((times.iter().map(|t| t.0).min()?, times.iter().map(|t| t.1).max()?))
    }
}

/// Runs it.
///
/// # Errors
/// Exit 4 when the actor has no event in the window, exit 3 when the database cannot be read.
pub(super) async fn run(context: &Context, args: ActorArgs) -> Result<()> {
    let json = wants_json(context, "actor")?;
    let reader = context.reader().await?;
    let scope = context.scope(&reader).await?;
    let cancel = super::cancel_on_interrupt();
    let asked = FilterArgs {
        saved: None,
        filter: vec![format!("actor:{}", quoted(&args.actor))],
        since: args.since,
        until: args.until,
    };
    let query = asked.query(context, &reader, scope, &cancel).await?;
    let db = &reader.db;
    let mut parts = Vec::new();
    for (by, limit) in PARTS {
        let part = summary::groups(db, &query, &[by], false, limit, &cancel).await?;
        if part.groups.is_empty() {
            let message = format!(
                "organisation '{}' has no event of the actor '{}' in this window",
                query.scope.organization(),
                Safe::from_untrusted(&args.actor)
            );
            return Err(Error::new(Kind::Incomplete, message)
                .hint("--all-time looks at everything; agenttrace summary --by actor lists actors"));
        }
        parts.push((by, part));
    }
    let step = Step::Summary {
        question: reader.activity.question(&query),
        parts: activity::parts(PARTS.iter().map(|(by, limit)| (std::slice::from_ref(by), *limit)), false),
    };
    let answer = || activity::of_summary(parts.iter().map(|part| &part.1));
    context.record_aggregate(&reader, (&query, None), step, answer, &cancel).await;
    let page = timeline::page(db, &query, &Seek::Newest, args.limit as usize, &cancel).await?;
    let step = Step::Listing { question: reader.activity.question(&query), states: false };
    context.record(&reader, &query.scope, step, || {
        activity::of_page(page.rows.iter().map(Record::from), (page.has_newer, page.has_older), None, false)
    });
    let newest = page.rows;
    let profile = Profile { query, parts, newest };
    let mut out = context.out.results();
    if json {
        json::write_line(&mut out, &document(&args.actor, &profile))?;
        return Ok(out.flush()?);
    }
    writeln!(out, "actor   {}", Safe::from_untrusted(&args.actor))?;
    writeln!(out, "events  {}", profile.events())?;
    if let Some((first, last)) = profile.times() {
        writeln!(out, "first   {first}\nlast    {last}")?;
    }
    for (by, part) in &profile.parts {
        writeln!(out)?;
        report::write(&mut out, &report::totals(&[*by], part, false, None))?;
        let shown = part.groups.len() as u64;
        if shown < part.all_groups {
            writeln!(out, "… {} more", part.all_groups - shown)?;
        }
    }
    if !profile.newest.is_empty() {
        writeln!(out)?;
        table::write_list(&mut out, &profile.newest, context.out.style())?;
    }
    Ok(out.flush()?)
}

fn document<'a>(actor: &'a str, profile: &'a Profile) -> impl serde::Serialize + 'a {
    #[derive(serde::Serialize)]
    struct Body<'a> {
        actor: &'a str,
        window: Window,
        events: u64,
        first: Option<String>,
        last: Option<String>,
        /// Under the name of each column, the groups of its values.
        by: Map<String, Value>,
        newest: Vec<Record<'a>>,
    }
    let part = |(by, summary): &(By, Summary)| {
        let groups = summary.groups.iter().map(|group| summary_command::object(&[*by], group).into());
        (by.name().to_owned(), Value::Array(groups.collect()))
    };
    let times = profile.times();
    json::document(
        profile.query.scope.organization().as_str(),
        Body {
            actor,
            window: profile.query.range.into(),
            events: profile.events(),
            first: times.map(|t| t.0.to_rfc3339()),
            last: times.map(|t| t.1.to_rfc3339()),
            by: profile.parts.iter().map(part).collect(),
            newest: profile.newest.iter().map(Record::from).collect(),
        },
    )
}
