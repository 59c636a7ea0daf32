//! `agenttrace doctor`

use super::nagios::State;
use super::{Context, Format};
use crate::domain::Safe;
use crate::error::{Error, Kind, Result};
use crate::export::document::Form;
use crate::export::{inert, json};
use crate::investigation::Records;
use crate::investigation::doctor::{self, Diagnosis, Item, Level, Subject};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde::Serialize;
use std::io::{self, Write};

const AFTER_HELP: &str = "\
Reads catalogues and statistics with the rights of the role, and no event but for the oldest of each organisation and the newest
pages. Proposed SQL is printed, never run. Exit code 1 where a check warns or fails, 4 where the worst is not known.
  agenttrace doctor --only index-order,statistics
  agenttrace doctor --checklist --format markdown
  */15 * * * *  agenttrace --profile prod doctor --nagios";

/// Arguments of `doctor`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct DoctorArgs {
    /// The eleven items of the guide's checklist, a line each
    #[arg(long, conflicts_with_all = ["only", "list"])]
    checklist: bool,
    /// Only these checks
    #[arg(long, value_name = "CHECK", value_delimiter = ',', value_parser = names())]
    only: Vec<String>,
    /// Print a status line and exit 0, 1, 2 or 3 (OK, WARNING, CRITICAL, UNKNOWN)
    #[arg(long, conflicts_with = "list")]
    nagios: bool,
    /// Name all checks and what they look at
    #[arg(long)]
    list: bool,
    /// Output format
    #[arg(long, value_name = "FORMAT", value_parser = format_parser(), conflicts_with = "nagios")]
    format: Option<Format>,
}

/// `--format` of this command.
fn format_parser() -> impl TypedValueParser<Value = Format> {
    PossibleValuesParser::new(["table", "json", "markdown"]).map(|word| match word.as_str() {
        "json" => Format::Json,
        "markdown" => Format::Document(Form::Markdown),
        _ => Format::Table,
    })
}

fn names() -> impl TypedValueParser<Value = String> {
    PossibleValuesParser::new(doctor::checks().map(|check| check.name))
}

/// What is written.
enum Answer {
    Diagnoses(Vec<Diagnosis>),
    Checklist(Vec<Item>),
}

impl Answer {
    fn levels(&self) -> Vec<Level> {
        match self {
            Self::Diagnoses(found) => found.iter().map(|diagnosis| diagnosis.level).collect(),
            Self::Checklist(items) => items.iter().map(|item| item.level).collect(),
        }
    }

    fn worst(&self) -> Level {
        self.levels().into_iter().max().unwrap_or(Level::Unknown)
    }

    /// `2 FAIL, 3 WARN, 1 UNKNOWN, 20 PASS`.
    fn counts(&self) -> String {
        let levels = self.levels();
        let count = |level: Level| levels.iter().filter(|found| **found == level).count();
        let all = [Level::Fail, Level::Warn, Level::Unknown, Level::Pass].into_iter();
        let named =
            all.filter(|level| count(*level) > 0).map(|level| format!("{} {}", count(level), level.word()));
        named.collect::<Vec<_>>().join(", ")
    }
}

/// Runs it.
///
/// # Errors
/// Exit 1 for checks that warn or fail, exit 4 where nothing worse is found than what could not be seen; those of every
/// command. With `--nagios` the codes of that.
pub(super) async fn run(context: &Context, args: DoctorArgs) -> Result<()> {
    if args.list {
        return list(context);
    }
    let json = args.format == Some(Format::Json);
    let markdown = matches!(args.format, Some(Format::Document(_)));
    let answer = look(context, &args).await;
    if args.nagios {
        return nagios(context, answer);
    }
    let (subject, answer) = answer?;
    let mut out = context.out.results();
    match (&answer, json) {
        (Answer::Diagnoses(found), true) => {
            #[derive(Serialize)]
            struct Body<'a> {
                table: &'a str,
                diagnoses: &'a [Diagnosis],
            }
            let body = Body { table: &subject.table, diagnoses: found };
            json::write_line(&mut out, &json::general_document(body))?;
        }
        (Answer::Checklist(items), true) => {
            #[derive(Serialize)]
            struct Body<'a> {
                table: &'a str,
                checklist: &'a [Item],
            }
            let body = Body { table: &subject.table, checklist: items };
            json::write_line(&mut out, &json::general_document(body))?;
        }
        (Answer::Diagnoses(found), false) => write_diagnoses(&mut out, found, markdown)?,
        (Answer::Checklist(items), false) => write_checklist(&mut out, items, markdown)?,
    }
    if !json {
        writeln!(out, "\nDOCTOR {}: {}", Safe::from_untrusted(&subject.table), answer.counts())?;
    }
    out.flush()?;
    match answer.worst() {
        Level::Pass => Ok(()),
        Level::Unknown => Err(Error::silent(Kind::Incomplete)),
        Level::Warn | Level::Fail => Err(Error::silent(Kind::Finding)),
    }
}

async fn look(context: &Context, args: &DoctorArgs) -> Result<(Subject, Answer)> {
    let reader = context.reader().await?;
    let cancel = super::cancel_on_interrupt();
    let records = Records::load(&reader.place);
    let shared = context.config()?.cache_url.is_some();
    let subject = doctor::look(&reader.db, &records, shared, &cancel).await?;
    let answer = if args.checklist {
        Answer::Checklist(doctor::checklist(&subject))
    } else {
        let is_wanted = |name: &str| args.only.is_empty() || args.only.iter().any(|only| only == name);
        Answer::Diagnoses(doctor::examine(&subject, |check| is_wanted(check.name)))
    };
    Ok((subject, answer))
}

fn list(context: &Context) -> Result<()> {
    let mut out = context.out.results();
    for check in doctor::checks() {
        writeln!(out, "{:<10} {:<16} {}", group(check.group), check.name, check.about)?;
    }
    Ok(out.flush()?)
}

const fn group(group: doctor::Group) -> &'static str {
    match group {
        doctor::Group::Loss => "loss",
        doctor::Group::Integrity => "integrity",
        doctor::Group::Speed => "speed",
        doctor::Group::Space => "space",
    }
}

fn write_diagnoses(out: &mut impl Write, found: &[Diagnosis], markdown: bool) -> io::Result<()> {
    let mut before = None;
    for diagnosis in found {
        let name = group(diagnosis.group);
        if before != Some(name) {
            let blank = if before.is_some() { "\n" } else { "" };
            writeln!(out, "{blank}{}{name}", if markdown { "## " } else { "" })?;
            if markdown {
                writeln!(out)?;
            }
            before = Some(name);
        }
        let (word, check) = (diagnosis.level.word(), diagnosis.check);
        if markdown {
            writeln!(
                out,
                "- **{word}** `{check}`: {}",
                inert(Safe::from_untrusted(&diagnosis.evidence).as_str())
            )?;
        } else {
            writeln!(out, "  {word:<8}{check:<17}{}", Safe::from_untrusted(&diagnosis.evidence))?;
        }
        for advice in &diagnosis.advice {
            let advice = Safe::from_untrusted(advice);
            if markdown {
                writeln!(out, "\n  ```sql\n  {advice}\n  ```\n")?;
            } else {
                writeln!(out, "                           {advice}")?;
            }
        }
    }
    Ok(())
}

fn write_checklist(out: &mut impl Write, items: &[Item], markdown: bool) -> io::Result<()> {
    if markdown {
        writeln!(out, "| item | | evidence |\n|---|---|---|")?;
    }
    for Item { item, level, evidence } in items {
        if markdown {
            writeln!(
                out,
                "| {item} | **{}** | {} |",
                level.word(),
                inert(Safe::from_untrusted(evidence).as_str())
            )?;
        } else {
            writeln!(out, "{:<8}{item:<36}{}", level.word(), Safe::from_untrusted(evidence))?;
        }
    }
    Ok(())
}

/// The line for Nagios.
fn nagios(context: &Context, answer: Result<(Subject, Answer)>) -> Result<()> {
    let answer = match answer {
        Err(error) => return State::Unknown.report(context, &error.to_string()),
        Ok((_, answer)) => answer,
    };
    let worst = answer.worst();
    let state = match worst {
        Level::Fail => State::Critical,
        Level::Warn => State::Warning,
        // What cannot be seen by a role is so at each run: no alarm.
        Level::Unknown | Level::Pass => State::Ok,
    };
    let alarms = state != State::Ok;
    let named: Vec<String> = match &answer {
        Answer::Diagnoses(found) => {
            let of_worst = found.iter().filter(|d| alarms && d.level == worst);
            of_worst.map(|d| format!("{}: {}", d.check, d.evidence)).collect()
        }
        Answer::Checklist(items) => {
            let of_worst = items.iter().filter(|item| alarms && item.level == worst);
            of_worst.map(|item| format!("{}: {}", item.item, item.evidence)).collect()
        }
    };
    let counts = answer.counts();
    let lines: Vec<&str> = std::iter::once(counts.as_str()).chain(named.iter().map(String::as_str)).collect();
    state.report(context, &lines.join("; "))
}
