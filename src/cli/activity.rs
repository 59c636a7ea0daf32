//! `agenttrace case activity` and `agenttrace case replay`: the log of the investigation itself.

use super::Context;
use super::asked::wants_json;
use crate::case;
use crate::case::activity::{self, Answer, Entry, Step};
use crate::case::record::Loaded;
use crate::domain::{Safe, Timestamp, grouped};
use crate::error::{Error, Kind, Result};
use crate::export::json;
use crate::investigation::activity::replay::{Outcome, Replay};
use std::io::{self, Write};

/// Arguments of `case activity`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "\
The log holds what was asked (filters, ids, times), ids of the events of a page, and digests of the answers; no text of
events. A log that was edited, or of which lines are missing, is exit 1. activity = \"off\" in the configuration ends it.")]
pub struct ActivityArgs {
    /// Maximum number of steps, the newest
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub limit: usize,
}

/// Arguments of `case replay`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "\
Each question of the log is asked again, of the same database, reading only; whole verifications are done once. An answer
is equal, also where events have come since behind what it was about (their number is said); or it is another one, with the
events that are missing, have other values, or are more. Exit 1 when an answer is another one or the log was edited, 4 when
nothing could be asked again.")]
pub struct ReplayArgs {
    /// Only the newest N steps
    #[arg(long, value_name = "N")]
    pub last: Option<usize>,
    /// Only steps from this time on
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
}

/// Prints the log, and whether it is whole.
///
/// # Errors
/// Exit 1 for a log that was edited, exit 3 for one that is not used.
pub(super) fn list(context: &Context, args: &ActivityArgs) -> Result<()> {
    let json = wants_json(context, "case activity")?;
    let loaded = loaded(context)?;
    let wanted = of_organization(context, &loaded);
    let shown = wanted.get(wanted.len().saturating_sub(args.limit)..).unwrap_or_default();
    let mut out = context.out.results();
    if json {
        #[derive(serde::Serialize)]
        struct Body<'a> {
            steps: u64,
            whole: bool,
            head: &'a str,
            files: usize,
            dropped_files: u64,
            remarks: &'a [String],
            activity: &'a [&'a Entry],
        }
        let body = Body {
            steps: wanted.len() as u64,
            whole: loaded.is_whole,
            head: &loaded.head,
            files: loaded.files,
            dropped_files: loaded.dropped,
            remarks: &loaded.remarks,
            activity: shown,
        };
        json::write_line(&mut out, &json::general_document(body))?;
    } else {
        for entry in shown {
            let answer = entry.answer.as_ref().map(answer_in_words).unwrap_or_default();
            let Entry { at, by, via, organization_id, .. } = entry;
            let line = format!("{at}  {by}  {via}  {organization_id}  {}{answer}", entry.step.words());
            writeln!(out, "{}", Safe::from_untrusted(&line))?;
        }
        writeln!(out, "{}", state(&loaded, wanted.len()))?;
    }
    out.flush()?;
    whole(&loaded)
}

/// Asks again, and prints what became of each answer.
///
/// # Errors
/// Exit 1 when an answer is another one or the log was edited, exit 4 when nothing could be asked again; those of every
/// command.
pub(super) async fn replay(context: &Context, args: &ReplayArgs) -> Result<()> {
    let json = wants_json(context, "case replay")?;
    let since = args.since.as_deref().map(Timestamp::parse).transpose();
    let since = since.map_err(|e| Error::usage(format!("--since: {e}")))?;
    let loaded = loaded(context)?;
    let mut wanted = of_organization(context, &loaded);
    wanted.retain(|entry| since.is_none_or(|since| entry.at >= since));
    if let Some(last) = args.last {
        wanted.drain(..wanted.len().saturating_sub(last));
    }
    if wanted.is_empty() {
        return Err(Error::new(Kind::Incomplete, "there is no such step in the activity log")
            .hint("agenttrace case activity lists what there is"));
    }
    let reader = context.reader().await?;
    let cancel = super::cancel_on_interrupt();
    let mut replay = Replay::new(&reader.db, &reader.place, &cancel);
    let mut done: Vec<(&Entry, Outcome)> = Vec::new();
    for entry in wanted {
        let outcome = replay.ask(entry).await?;
        if !json {
            // As it comes: a verification takes its time.
            let mut out = context.out.results();
            write_outcome(&mut out, entry, &outcome)?;
            out.flush()?;
        }
        done.push((entry, outcome));
    }
    let count = |name: &str| done.iter().filter(|(_, outcome)| outcome.name() == name).count();
    let [equal, changed, not_asked] = ["equal", "changed", "not_asked"].map(count);
    let mut out = context.out.results();
    if json {
        write_json(&mut out, &loaded, &done)?;
    } else {
        writeln!(
            out,
            "REPLAY: {} answers asked again, {} equal, {} changed, {} not asked again; {}",
            equal + changed,
            equal,
            changed,
            not_asked,
            state(&loaded, loaded.records.len())
        )?;
    }
    out.flush()?;
    whole(&loaded)?;
    if changed > 0 {
        Err(Error::silent(Kind::Finding))
    } else if equal == 0 {
        Err(Error::new(Kind::Incomplete, "nothing could be asked again"))
    } else {
        Ok(())
    }
}

/// The log, its damage said.
fn loaded(context: &Context) -> Result<Loaded<Entry>> {
    let folder = case::folder()?;
    let loaded = activity::load(&folder);
    for remark in &loaded.remarks {
        context.out.remark(format_args!("activity log: {}", Safe::from_untrusted(remark)));
    }
    if let Some(why) = &loaded.refused {
        return Err(Error::could_not_run(format!("the activity log is not used: {why}")));
    }
    if !context.config()?.activity {
        context.out.remark("nothing is recorded at present: activity = \"off\"");
    }
    Ok(loaded)
}

/// The steps of `--org`, else all.
fn of_organization<'e>(context: &Context, loaded: &'e Loaded<Entry>) -> Vec<&'e Entry> {
    let org = context.global.org.as_ref();
    loaded.records.iter().filter(|entry| org.is_none_or(|org| *org == entry.organization_id)).collect()
}

/// `214 steps, log whole, head 9c41aa00…`
fn state(loaded: &Loaded<Entry>, steps: usize) -> String {
    let steps_word = if steps == 1 { "step" } else { "steps" };
    let whole = if loaded.is_whole { "log whole" } else { "log EDITED" };
    let head: String = loaded.head.chars().take(16).collect();
    let head = if head.is_empty() { String::new() } else { format!(", head {head}…") };
    let dropped = match loaded.dropped {
        0 => String::new(),
        n => format!(", {n} oldest files dropped for their size"),
    };
    format!("{} {steps_word}, {whole}{head}{dropped}", grouped(steps as u64))
}

fn whole(loaded: &Loaded<Entry>) -> Result<()> {
    if loaded.is_whole {
        return Ok(());
    }
    Err(Error::new(Kind::Finding, "the activity log was edited, or lines of it are missing")
        .hint("what follows a missing line is still as it was written; what was there is not known"))
}

fn answer_in_words(answer: &Answer) -> String {
    let said = answer.said.as_ref().map(|said| format!(", {said}")).unwrap_or_default();
    let digest: String = answer.digest.chars().take(12).collect();
    let events = if answer.events == 1 { "event" } else { "events" };
    format!("  {} {events}{said}, sha256 {digest}…", grouped(answer.events))
}

fn write_outcome(out: &mut impl Write, entry: &Entry, outcome: &Outcome) -> io::Result<()> {
    let (word, rest) = match outcome {
        Outcome::Equal { newer: 0 } => ("equal     ", Vec::new()),
        Outcome::Equal { newer } => ("equal     ", vec![format!("{} events more since", grouped(*newer))]),
        Outcome::Changed { details } => ("CHANGED   ", details.clone()),
        Outcome::NotAsked { why } => ("not asked ", vec![why.clone()]),
        Outcome::NoQuestion => ("·         ", Vec::new()),
    };
    let line = format!("{word}{}  {}", entry.at, entry.step.words());
    writeln!(out, "{}", Safe::from_untrusted(&line))?;
    for detail in rest {
        writeln!(out, "    {}", Safe::from_untrusted(&detail))?;
    }
    Ok(())
}

fn write_json(out: &mut impl Write, loaded: &Loaded<Entry>, done: &[(&Entry, Outcome)]) -> io::Result<()> {
    #[derive(serde::Serialize)]
    struct Body<'a> {
        whole: bool,
        head: &'a str,
        steps: Vec<Line<'a>>,
    }
    #[derive(serde::Serialize)]
    struct Line<'a> {
        at: Timestamp,
        organization_id: &'a str,
        step: &'a Step,
        outcome: &'static str,
        /// Events that have come since, of an answer that is equal.
        newer: Option<u64>,
        details: Vec<&'a str>,
    }
    let mut steps = Vec::new();
    for (entry, outcome) in done {
        let (newer, details) = match outcome {
            Outcome::Equal { newer } => (Some(*newer), Vec::new()),
            Outcome::Changed { details } => (None, details.iter().map(String::as_str).collect()),
            Outcome::NotAsked { why } => (None, vec![why.as_str()]),
            Outcome::NoQuestion => (None, Vec::new()),
        };
        let (at, organization_id, step) = (entry.at, entry.organization_id.as_str(), &entry.step);
        steps.push(Line { at, organization_id, step, outcome: outcome.name(), newer, details });
    }
    let body = Body { whole: loaded.is_whole, head: &loaded.head, steps };
    json::write_line(out, &json::general_document(body))
}
