//! `agenttrace verify`

use super::verify_scan::scan;
use super::{Context, Format, Reader};
use crate::case::{self, accepted};
use crate::domain::{OrgScope, Safe, TimeRange, Timestamp, grouped};
use crate::error::{Error, Kind, Result};
use crate::filter::{Filter, FilterError};
use crate::store::organizations;
use crate::verify::{self, Acceptance, Class, EventReport, Finding, Predecessor, Report};
use serde_json::json;
use std::io::Write;
use std::num::NonZeroU32;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Findings that people are shown unless they ask for more.
const SHOWN: usize = 20;

const HELP: &str = "\
Verdicts: intact (exit 0), broken (1: a row and its hash contradict each other), anomalous (1: the chain has a shape \
that a restart, a lost batch or concurrent writers cause too), incomplete (3: rows cannot be read; 4: neither verified \
nor refuted), nothing_to_check (4).

Without --since and --until the whole trail is verified; the default window does not apply.";

/// Arguments of `verify`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = HELP)]
pub struct VerifyArgs {
    /// Only events from this time on
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub since: Option<String>,
    /// Only events before this time
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub until: Option<String>,
    /// One event: content, predecessor, successors, the hashed text
    #[arg(long, value_name = "ID", conflicts_with_all = ["since", "until", "links_only", "all_orgs", "accept"])]
    pub event: Option<String>,
    /// Go on from the last verification of the whole trail on this machine: later events are read, earlier ones counted
    #[arg(long, conflicts_with_all = ["since", "until", "links_only", "event"])]
    pub incremental: bool,
    /// Go on with a verification of the whole trail that was interrupted on this machine
    #[arg(long, conflicts_with_all = ["since", "until", "links_only", "event", "all_orgs", "incremental"])]
    pub resume: bool,
    /// Follow the links without reading the content
    #[arg(long)]
    pub links_only: bool,
    /// Every organisation, one after the other
    #[arg(long, conflicts_with = "accept")]
    pub all_orgs: bool,
    /// Readers, each with a connection of its own
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=4))]
    pub jobs: u8,
    /// Read at most so many events a second, all readers together
    #[arg(long, value_name = "EVENTS_PER_SECOND")]
    pub throttle: Option<NonZeroU32>,
    /// Say which columns the scheme protects and what was not checked
    #[arg(long)]
    pub coverage: bool,
    /// Greatest number of findings to list [default: 20 for people, all in JSON]
    #[arg(long, value_name = "N")]
    pub max_findings: Option<usize>,
    /// Record that a finding is understood: CLASS:EVENT_ID as it is listed
    #[arg(long, value_name = "FINDING", requires = "note")]
    pub accept: Option<String>,
    /// Why it is
    #[arg(long, value_name = "TEXT", requires = "accept")]
    pub note: Option<String>,
}

/// Runs it.
///
/// # Errors
/// The exit codes of [`HELP`], beside those of every command.
pub(super) async fn run(context: &Context, args: VerifyArgs) -> Result<()> {
    let json = match context.global.format {
        None | Some(Format::Table) => false,
        Some(Format::Json) => true,
        Some(_) => return Err(Error::usage("verify writes for people, or --format json")),
    };
    let range = time_range(&args)?;
    let reader = context.reader().await?;
    let cancel = super::cancel_on_interrupt();
    if args.all_orgs {
        return all_organizations(context, &args, &reader, range, json, &cancel).await;
    }
    let scope = context.scope(&reader).await?;
    if let Some(id) = &args.event {
        return one_event(context, &reader, &scope, id, json, &cancel).await;
    }
    let mut report = scan(context, &args, &reader, scope, range, &cancel).await?;
    let path = case::folder()?.join(accepted::FILE);
    let mut known = accepted::load(&path)?;
    apply(&mut report, &known);
    if let Some(name) = &args.accept {
        let record = acceptance(&report, name, args.note.as_deref().unwrap_or_default())?;
        accepted::append(&path, &record)?;
        known.push(record);
        apply(&mut report, &known);
    }
    report.cut(args.max_findings.unwrap_or(usize::MAX));
    let mut out = context.out.results();
    if json {
        serde_json::to_writer(&mut out, &report).map_err(std::io::Error::from)?;
        writeln!(out)?;
    } else {
        print(&mut out, &args, &report)?;
    }
    out.flush()?;
    conclude(&[report])
}

fn time_range(args: &VerifyArgs) -> Result<TimeRange> {
    let mut filter = Filter::default();
    filter.set_all_time();
    let usage = |flag: &str, text: &str, e: &FilterError| Error::usage(format!("{flag}: {}", e.render(text)));
    if let Some(since) = &args.since {
        filter.set_since(since).map_err(|e| usage("--since", since, &e))?;
    }
    if let Some(until) = &args.until {
        filter.set_until(until).map_err(|e| usage("--until", until, &e))?;
    }
    let now = Timestamp::from(chrono::Utc::now());
    filter.range(now, None, Duration::ZERO).map_err(|e| Error::usage(e.to_string()))
}

async fn all_organizations(
    context: &Context,
    args: &VerifyArgs,
    reader: &Reader,
    range: TimeRange,
    json: bool,
    cancel: &CancellationToken,
) -> Result<()> {
    let known = accepted::load(&case::folder()?.join(accepted::FILE))?;
    let mut reports = Vec::new();
    for organization in organizations::list(&reader.db, cancel).await? {
        let scope = OrgScope::enter(organization.id);
        let mut report = scan(context, args, reader, scope, range, cancel).await?;
        apply(&mut report, &known);
        report.cut(args.max_findings.unwrap_or(usize::MAX));
        reports.push(report);
    }
    let mut out = context.out.results();
    if json {
        let whole = json!({ "schema_version": 1, "organizations": reports });
        serde_json::to_writer(&mut out, &whole).map_err(std::io::Error::from)?;
        writeln!(out)?;
    } else {
        for report in &reports {
            writeln!(out, "{report}")?;
        }
    }
    out.flush()?;
    conclude(&reports)
}

/// The worst exit of all: a finding, then what could not be read, then what is incomplete.
fn conclude(reports: &[Report]) -> Result<()> {
    if reports.is_empty() {
        return Err(Error::new(Kind::Incomplete, "this database holds no events yet"));
    }
    let with = |kind: Kind| reports.iter().find(|report| report.exit() == Some(kind));
    let kinds = [Kind::Finding, Kind::CouldNotRun, Kind::Incomplete];
    match kinds.into_iter().find_map(|kind| Some((kind, with(kind)?))) {
        None => Ok(()),
        Some((kind, report)) => {
            let organization = Safe::from_untrusted(&report.organization_id);
            let verdict = report.verdict.to_string().replace('_', " ");
            Err(Error::new(kind, format!("the trail of {organization} is not verified as intact: {verdict}")))
        }
    }
}

fn print(out: &mut impl Write, args: &VerifyArgs, report: &Report) -> Result<()> {
    writeln!(out, "{report}")?;
    let guessed =
        if report.scheme.guessed { ", GUESSED: no event of a sample fits any known scheme" } else { "" };
    writeln!(
        out,
        "scheme {} ({:.0} % of a sample){guessed}; snapshot {}",
        report.scheme.name,
        report.scheme.confidence * 100.0,
        report.snapshot_at
    )?;
    for part in &report.coverage.verified_earlier {
        writeln!(
            out,
            "went on from an interrupted verification: {} events were verified at {}",
            grouped(part.events),
            part.at
        )?;
    }
    let shown = args.max_findings.unwrap_or(SHOWN);
    let told = |finding: &&Finding| finding.class != Class::TimeBeforePredecessor;
    for finding in report.findings.iter().filter(told).take(shown) {
        print_finding(out, "", finding)?;
    }
    let left_out = report.open_findings().saturating_sub(shown as u64);
    if left_out > 0 {
        writeln!(out, "… and {left_out} more findings (--max-findings, --format json)")?;
    }
    // One line for all of them: an honest trail may hold thousands, and they must not bury what matters.
    let number = report.out_of_time_order();
    if number > 0 {
        writeln!(
            out,
            "information: {number} events claim a time before their predecessor's (--format json)"
        )?;
        let like = report.findings.iter().find(|finding| !told(finding));
        for explanation in like.into_iter().flat_map(|finding| &finding.consistent_with) {
            writeln!(out, "    consistent with: {}", Safe::from_untrusted(explanation))?;
        }
    }
    for accepted in &report.accepted {
        print_finding(out, "accepted ", &accepted.finding)?;
        let acceptance = &accepted.acceptance;
        writeln!(
            out,
            "    accepted by {} at {}: {}",
            Safe::from_untrusted(&acceptance.accepted_by),
            Safe::from_untrusted(&acceptance.accepted_at),
            Safe::from_untrusted(&acceptance.note)
        )?;
    }
    if report.content.verified_alternative > 0 {
        writeln!(
            out,
            "{} events verified in another spelling of the same values:",
            report.content.verified_alternative
        )?;
        for (event_id, reading) in report.alternatives.iter().take(shown) {
            writeln!(out, "    {}: {}", Safe::from_untrusted(event_id), Safe::from_untrusted(reading))?;
        }
    }
    if args.coverage {
        let unprotected = &report.coverage.unprotected_columns;
        let columns = if unprotected.is_empty() { "none".to_owned() } else { unprotected.join(", ") };
        writeln!(out, "columns that the hash does not protect: {columns}")?;
        for not_checked in &report.coverage.not_checked {
            writeln!(out, "not checked: {not_checked}")?;
        }
    }
    Ok(())
}

fn print_finding(out: &mut impl Write, lead: &str, finding: &Finding) -> Result<()> {
    let safe = Safe::from_untrusted;
    writeln!(
        out,
        "{lead}{}  {}  {}",
        safe(&finding.name()),
        safe(&finding.timestamp),
        safe(&finding.detail)
    )?;
    for explanation in &finding.consistent_with {
        writeln!(out, "    consistent with: {}", safe(explanation))?;
    }
    for explanation in &finding.ruled_out {
        writeln!(out, "    not: {}", safe(explanation))?;
    }
    Ok(())
}

fn apply(report: &mut Report, known: &[accepted::Record]) {
    let organization = report.organization_id.clone();
    report.accept(|finding| {
        let record = accepted::find(known, &organization, &subject(finding))?;
        Some(Acceptance {
            accepted_by: record.accepted_by.clone(),
            accepted_at: record.accepted_at.clone(),
            note: record.note.clone(),
        })
    });
}

/// What an acceptance is bound to.
fn subject(finding: &Finding) -> accepted::Subject<'_> {
    accepted::Subject {
        class: finding.class.name(),
        event_id: &finding.event_id,
        hash: &finding.hash,
        previous_hash: &finding.previous_hash,
        computed_hash: finding.computed.as_deref(),
    }
}

/// The record for the finding of that name.
fn acceptance(report: &Report, name: &str, note: &str) -> Result<accepted::Record> {
    if note.trim().is_empty() {
        return Err(Error::usage("--note: say why the finding is understood"));
    }
    let Some(finding) = report.findings.iter().find(|finding| finding.name() == name) else {
        let names: Vec<String> = report.findings.iter().take(5).map(Finding::name).collect();
        let error = Error::usage(format!("--accept: there is no open finding '{name}'"));
        return Err(if names.is_empty() {
            error.hint("there are no open findings")
        } else {
            error.hint(format!("open findings: {}", names.join(", ")))
        });
    };
    let (organization, database) = (&report.organization_id, &report.database_identity);
    Ok(accepted::Record {
        accepted_at: Timestamp::from(chrono::Utc::now()).to_rfc3339(),
        note: note.to_owned(),
        ..accepted::Record::new(organization, database, &subject(finding), &case::user())
    })
}

async fn one_event(
    context: &Context,
    reader: &Reader,
    scope: &OrgScope,
    id: &str,
    json: bool,
    cancel: &CancellationToken,
) -> Result<()> {
    let report = verify::verify_event(&reader.db, scope, id, cancel).await?.ok_or_else(|| {
        let organization = Safe::from_untrusted(scope.organization().as_str());
        Error::new(Kind::Incomplete, format!("{organization} has no event '{}'", Safe::from_untrusted(id)))
    })?;
    let mut out = context.out.results();
    if json {
        serde_json::to_writer(&mut out, &report).map_err(std::io::Error::from)?;
        writeln!(out)?;
    } else {
        print_event(&mut out, &report)?;
    }
    out.flush()?;
    let kind = match report.verdict {
        verify::Verdict::Intact => return Ok(()),
        verify::Verdict::Broken | verify::Verdict::Anomalous => Kind::Finding,
        verify::Verdict::Incomplete | verify::Verdict::NothingToCheck => Kind::Incomplete,
    };
    Err(Error::new(kind, format!("the event is not verified as intact: {}", report.verdict)))
}

fn print_event(out: &mut impl Write, report: &EventReport) -> Result<()> {
    let safe = Safe::from_untrusted;
    writeln!(out, "VERIFY {} {}: {}", safe(&report.organization_id), safe(&report.event_id), report.verdict)?;
    let guessed = if report.scheme.guessed { ", guessed" } else { "" };
    writeln!(out, "content       {} (scheme {}{guessed})", report.content, report.scheme.name)?;
    if let Some(detail) = &report.detail {
        writeln!(out, "              {}", safe(detail))?;
    }
    for explanation in &report.consistent_with {
        writeln!(out, "              consistent with: {}", safe(explanation))?;
    }
    for explanation in &report.ruled_out {
        writeln!(out, "              not: {}", safe(explanation))?;
    }
    writeln!(out, "stored hash   {}", safe(&report.stored_hash))?;
    writeln!(out, "computed hash {}", report.computed_hash.as_deref().unwrap_or("none"))?;
    match &report.predecessor {
        Predecessor::Genesis => writeln!(out, "predecessor   none: the beginning of a chain")?,
        Predecessor::Unknown => writeln!(out, "predecessor   not looked up")?,
        Predecessor::Missing => writeln!(out, "predecessor   MISSING: {}", safe(&report.previous_hash))?,
        Predecessor::Found { events } => {
            for event in events {
                writeln!(out, "predecessor   {}  {}", safe(&event.event_id), event.timestamp)?;
            }
        }
    }
    if report.successors.is_empty() {
        writeln!(out, "successors    none: a head")?;
    }
    for event in &report.successors {
        writeln!(out, "successor     {}  {}", safe(&event.event_id), event.timestamp)?;
    }
    if let Some(text) = &report.canonical_text {
        writeln!(out, "hashed text   {}", safe(text))?;
    }
    Ok(())
}
