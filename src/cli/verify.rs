//! `agenttrace verify`

use super::context::only;
use super::verify_scan::scan;
use super::{Context, Format, Reader};
use crate::case::activity::Step;
use crate::chain::Scheme;
use crate::domain::{OrgId, OrgScope, Safe, TimeRange, Timestamp, grouped};
use crate::error::{Error, Kind, Result};
use crate::export::json;
use crate::filter::{Filter, FilterError};
use crate::investigation::acceptance::Wanted;
use crate::investigation::verification::{self, Extent};
use crate::investigation::{Records, activity};
use crate::store::aggregate::organizations;
use crate::verify::{self, Class, EventReport, Finding, Predecessor, Report, SchemeSource};
use std::io::Write;
use std::num::NonZeroU32;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Findings that people are shown unless they ask for more.
const SHOWN: usize = 20;

const HELP: &str = "\
Verdicts: intact (exit 0), broken (1: a row and its hash contradict each other, or a head that was verified earlier is \
gone), anomalous (1: the chain has a shape that a restart, a lost batch or concurrent writers cause too), incomplete (3: \
rows cannot be read; 4: neither verified nor refuted), nothing_to_check (4).

Rows alone cannot show whether events are missing at the newest end, or whether the trail was replaced as a whole. Only a \
head that was remembered earlier, on this machine, can: the first line says which one was compared, or that there was none.

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
    #[arg(
        long,
        value_name = "ID",
        allow_hyphen_values = true,
        value_parser = super::event_id,
        conflicts_with_all = ["since", "until", "links_only", "all_orgs", "accept"]
    )]
    pub event: Option<String>,
    /// Follow all links, and read only rows written since the last verification on this machine that found the trail intact
    #[arg(long, conflicts_with_all = ["since", "until", "links_only", "event"])]
    pub incremental: bool,
    /// Resume an interrupted full verification
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
    /// Scheme of the hashes, instead of the one that fits a sample
    #[arg(long, value_name = "NAME", value_parser = parse_scheme)]
    pub scheme: Option<Scheme>,
    /// Exit with 4 when no head of an earlier verification was compared
    #[arg(long, conflicts_with = "event")]
    pub require_pin: bool,
    /// Exit with 4 when only a part of the trail was verified, or only its links
    #[arg(long, conflicts_with = "event")]
    pub require_whole: bool,
    /// Compare the search vector of every event with its words, not only of a sample
    #[arg(long, conflicts_with = "event")]
    pub deep: bool,
    /// Change each column of sampled events, in memory, and say whether the hash notices; say what was not checked
    #[arg(long)]
    pub coverage: bool,
    /// Maximum number of findings to list [default: 20 for people, all in JSON]
    #[arg(long, value_name = "N")]
    pub max_findings: Option<usize>,
    /// Record that a finding is understood: CLASS:EVENT_ID as it is listed
    #[arg(long, value_name = "FINDING", requires = "note")]
    pub accept: Option<String>,
    /// Reason for accepting the finding
    #[arg(long, value_name = "TEXT", requires = "accept")]
    pub note: Option<String>,
}

fn parse_scheme(name: &str) -> Result<Scheme, String> {
    let names: Vec<&str> = Scheme::ALL.iter().map(|scheme| scheme.name()).collect();
    let found = Scheme::ALL.iter().copied().find(|scheme| scheme.name() == name);
    found.ok_or_else(|| format!("schemes: {}", names.join(", ")))
}

/// Runs it.
///
/// # Errors
/// The exit codes of [`HELP`], beside those of every command.
pub(super) async fn run(context: &Context, args: VerifyArgs) -> Result<()> {
    let as_json = match context.global.format {
        None | Some(Format::Table) => false,
        Some(Format::Json) => true,
        Some(_) => return Err(Error::usage("verify writes for people, or --format json")),
    };
    let extent = extent(&args)?;
    let wanted = match (&args.accept, &args.note) {
        (Some(finding), note) => Some(Wanted::parse(finding, note.as_deref().unwrap_or_default())?),
        (None, _) => None,
    };
    let reader = context.reader().await?;
    let cancel = super::cancel_on_interrupt();
    if args.all_orgs {
        return all_organizations(context, &args, &reader, extent, as_json, &cancel).await;
    }
    if let Some(id) = &args.event {
        let scope = context.scope(&reader).await?;
        let memory = Records::load(&reader.place).memory(scope.organization().as_str());
        let source = args.scheme.map_or(SchemeSource::Remembered(&memory), SchemeSource::Given);
        return one_event(context, &reader, &scope, id, source, as_json, &cancel).await;
    }
    let mut records = Records::load(&reader.place);
    let scope = match context.named_organization(&reader.choice)? {
        Some(id) => OrgScope::enter(id),
        // One that has vanished is one of them.
        None => {
            let found = verification::organizations(&reader.db, &records, &cancel).await?;
            only(&reader.db, found, &cancel).await?
        }
    };
    let mut report = scan(context, &args, &reader, &mut records, scope, extent, &cancel).await?;
    let refused = wanted.and_then(|wanted| match records.accept(&mut report, &wanted) {
        Ok(record) => {
            let organization = OrgId::new(record.organization_id.clone()).ok()?;
            reader.activity.record_acceptance(&organization, &record);
            context.say_unrecorded(&reader);
            None
        }
        Err(error) => Some(error),
    });
    report.cut(args.max_findings.unwrap_or(usize::MAX));
    let mut out = context.out.results();
    if as_json {
        json::write_line(&mut out, &report)?;
    } else {
        print(&mut out, &args, &report)?;
    }
    out.flush()?;
    // The verdict has been said; that an acceptance does not count is what whoever asked for it must learn.
    refused.map_or_else(|| conclude(&[report], &args), Err)
}

/// How much of the trail the arguments are about.
fn extent(args: &VerifyArgs) -> Result<Extent> {
    let range = time_range(args)?;
    Ok(match range {
        _ if args.incremental => Extent::Increment,
        _ if args.resume => Extent::Resume,
        range if range == TimeRange::default() => Extent::Whole,
        range => Extent::Range(range),
    })
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
    extent: Extent,
    as_json: bool,
    cancel: &CancellationToken,
) -> Result<()> {
    let mut records = Records::load(&reader.place);
    let mut reports = Vec::new();
    for organization in verification::organizations(&reader.db, &records, cancel).await? {
        let scope = OrgScope::enter(organization);
        let mut report = scan(context, args, reader, &mut records, scope, extent, cancel).await?;
        report.cut(args.max_findings.unwrap_or(usize::MAX));
        reports.push(report);
    }
    let unnamed = organizations::unnamed(&reader.db, cancel).await?;
    let mut out = context.out.results();
    if as_json {
        #[derive(serde::Serialize)]
        struct Body<'a> {
            organizations: &'a [Report],
            unnamed_events: u64,
        }
        json::write_line(
            &mut out,
            &json::general_document(Body { organizations: &reports, unnamed_events: unnamed }),
        )?;
    } else {
        for report in &reports {
            writeln!(out, "{report}")?;
            for remark in &report.remarks {
                writeln!(out, "    remark: {}", Safe::from_untrusted(remark))?;
            }
        }
        if unnamed > 0 {
            writeln!(out, "{}", organizations::unnamed_in_words(unnamed))?;
        }
    }
    out.flush()?;
    let concluded = conclude(&reports, args);
    let worse = concluded.as_ref().is_err_and(|error| error.kind() != Kind::Incomplete);
    if unnamed > 0 && !worse {
        return Err(Error::new(Kind::Incomplete, organizations::unnamed_in_words(unnamed)));
    }
    concluded
}

/// The worst exit of all: a finding, then what could not be read, then what is incomplete or less than was required.
fn conclude(reports: &[Report], args: &VerifyArgs) -> Result<()> {
    if reports.is_empty() {
        return Err(Error::new(Kind::Incomplete, "this database holds no events yet"));
    }
    let with = |kind: Kind| reports.iter().find(|report| report.exit() == Some(kind));
    let kinds = [Kind::Finding, Kind::CouldNotRun, Kind::Incomplete];
    match kinds.into_iter().find_map(|kind| Some((kind, with(kind)?))) {
        None => reports.iter().try_for_each(|report| meets(report, args)),
        Some((kind, report)) => {
            let organization = Safe::from_untrusted(&report.organization_id);
            let verdict = report.words();
            Err(Error::new(kind, format!("the trail of {organization} is not verified as intact: {verdict}")))
        }
    }
}

/// Whether as much was proven as was required.
fn meets(report: &Report, args: &VerifyArgs) -> Result<()> {
    let organization = Safe::from_untrusted(&report.organization_id);
    if args.require_pin && report.pins.checked == 0 {
        let text = format!("{organization}: no head of an earlier verification was compared (--require-pin)");
        let error = Error::new(Kind::Incomplete, text);
        return Err(error.hint("this verification is remembered: the next one on this machine compares it"));
    }
    if args.require_whole && report.is_partial() {
        let text = format!("{organization}: not the whole trail was verified (--require-whole)");
        let error = Error::new(Kind::Incomplete, text);
        return Err(error.hint("verify without --since, --until, --links-only and --incremental"));
    }
    Ok(())
}

fn print(out: &mut impl Write, args: &VerifyArgs, report: &Report) -> Result<()> {
    writeln!(out, "{report}")?;
    let guessed =
        if report.scheme.guessed { ", GUESSED: no event of a sample fits any known scheme" } else { "" };
    let earlier: u64 = report.coverage.verified_earlier.iter().map(|part| part.events).sum();
    let sample = if report.events == earlier {
        // Nothing was read that a sample could be of.
        String::new()
    } else {
        format!(" ({:.0} % of a sample){guessed}", report.scheme.confidence * 100.0)
    };
    writeln!(out, "scheme {}{sample}; snapshot {}", report.scheme.name, report.snapshot_at)?;
    let table = &report.table;
    writeln!(
        out,
        "table {}.{} (owner {}, oid {})",
        Safe::from_untrusted(&table.schema),
        Safe::from_untrusted(&table.name),
        Safe::from_untrusted(&table.owner),
        table.oid
    )?;
    writeln!(out, "{}", verify::ROWS_ALONE)?;
    // The first one is in the first line, and so is why a verdict is incomplete.
    for limit in report.limits.iter().skip(1) {
        writeln!(out, "limit: {}", Safe::from_untrusted(limit))?;
    }
    for remark in &report.remarks {
        writeln!(out, "remark: {}", Safe::from_untrusted(remark))?;
    }
    for part in &report.coverage.verified_earlier {
        writeln!(
            out,
            "the content of {} events was verified at {} and not read again",
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
        let all = grouped(report.open_findings());
        writeln!(out, "… and {} more of {all} findings (--max-findings, --format json)", grouped(left_out))?;
    }
    if report.findings_cut > 0 && args.max_findings.is_none() {
        // They cannot be had by any option.
        writeln!(
            out,
            "{} of them are counted only: at most 20 000 of a kind are listed",
            grouped(report.findings_cut)
        )?;
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
    print_coverage(out, args, report)
}

/// What was compared besides hashes and links, and what was not.
fn print_coverage(out: &mut impl Write, args: &VerifyArgs, report: &Report) -> Result<()> {
    let unprotected = &report.coverage.unprotected_columns;
    if args.coverage || !unprotected.is_empty() {
        let columns = if unprotected.is_empty() { "none".to_owned() } else { unprotected.join(", ") };
        writeln!(out, "columns that the hash does not protect: {}", Safe::from_untrusted(&columns))?;
    }
    if let Some(vectors) = report.coverage.search_vector.filter(|_| args.coverage || args.deep) {
        let part = if vectors.all { "all events" } else { "a sample (--deep: of all events)" };
        writeln!(
            out,
            "search vector computed anew for {part}: {} compared, {} not that of their words",
            grouped(vectors.compared),
            grouped(vectors.mismatch)
        )?;
    }
    if args.coverage {
        print_columns(out, report)?;
        // The first line of details has said that already.
        for not_checked in report.coverage.not_checked.iter().filter(|text| *text != verify::ROWS_ALONE) {
            writeln!(out, "not checked: {not_checked}")?;
        }
    }
    Ok(())
}

/// What became of changes of each column.
fn print_columns(out: &mut impl Write, report: &Report) -> Result<()> {
    for column in &report.coverage.columns {
        let said = match (column.changed, column.noticed) {
            (0, _) => "NOT hashed".to_owned(),
            (changed, noticed) if changed == noticed => {
                format!("the hash notices a change ({changed} events of a sample)")
            }
            (changed, noticed) => format!("the hash notices {noticed} of {changed} changes"),
        };
        writeln!(out, "column {:<20}{said}", Safe::from_untrusted(&column.column))?;
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

async fn one_event(
    context: &Context,
    reader: &Reader,
    scope: &OrgScope,
    id: &str,
    source: SchemeSource<'_>,
    as_json: bool,
    cancel: &CancellationToken,
) -> Result<()> {
    let report = verify::verify_event(&reader.db, scope, id, source, cancel).await?.ok_or_else(|| {
        let organization = Safe::from_untrusted(scope.organization().as_str());
        Error::new(Kind::Incomplete, format!("{organization} has no event '{}'", Safe::from_untrusted(id)))
    })?;
    let step = Step::EventVerification { event_id: id.to_owned() };
    context.record(reader, scope, step, || activity::of_verification(&report));
    let mut out = context.out.results();
    if as_json {
        json::write_line(&mut out, &report)?;
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
    writeln!(
        out,
        "VERIFY {} {}: event {} · says nothing of other events",
        safe(&report.organization_id),
        safe(&report.event_id),
        report.verdict
    )?;
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
        writeln!(out, "hashed text   {}", Safe::composed(text))?;
    }
    Ok(())
}
