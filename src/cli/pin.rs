//! `agenttrace pin`: heads of verified trails, remembered on this machine. Checkpoints are in `pin_sign` and `pin_publish`.

use super::nagios::State;
use super::pin_publish::{CosignArgs, PublishArgs, StampArgs};
use super::pin_sign::{CreateArgs, TrustArgs};
use super::{Context, Format, Reader, pin_publish, pin_sign};
use crate::case;
use crate::case::heads::{self, Heads, Verified};
use crate::case::notebook;
use crate::case::notebook::handover::Handover;
use crate::domain::{OrgScope, Safe, grouped};
use crate::error::{Error, Kind, Result};
use crate::export::json;
use crate::investigation::Records;
use crate::investigation::verification::{self, Asked, Extent, Session};
use crate::verify::{Class, Finding, Gauge};
use clap::Subcommand;
use std::fs::File;
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Longest file that is imported, in bytes.
const LONGEST: u64 = 64 * 1024 * 1024;

const AFTER_HELP: &str = "\
Each verification of a whole trail that finds no contradiction remembers the heads of the trail; every later one compares them.
  agenttrace pin export | ssh colleague agenttrace pin import -
  */15 * * * *  agenttrace --profile prod pin watch";

/// Arguments of `pin`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct PinArgs {
    /// What to do
    #[command(subcommand)]
    pub what: PinCommand,
}

/// What can be done with remembered heads.
#[derive(Debug, Clone, Subcommand)]
pub enum PinCommand {
    /// Make a key to sign checkpoints with, and print its public part
    Keygen {
        /// Name of the key, such as acme.example/audit: origins of checkpoints begin with it
        name: String,
    },
    /// Verify the whole trail and remember its heads; with --sign, sign a checkpoint of it
    Create(CreateArgs),
    /// Trust a public key, or list trusted keys
    Trust(TrustArgs),
    /// Publish the last signed checkpoint: to a file, a git repository, or a program
    Publish(PublishArgs),
    /// Sign a published checkpoint of somebody else's log, if it provably begins with what was seen of that log here
    Cosign(CosignArgs),
    /// Ask a third party for a time stamp of the last signed checkpoint, and keep its answer
    Stamp(StampArgs),
    /// List remembered heads
    List,
    /// Compare remembered heads with the table, without reading the trail
    Check {
        /// Compare what was published instead: a checkpoint, or a folder or git repository of them
        #[arg(long, value_name = "PATH")]
        published: Option<PathBuf>,
    },
    /// Write remembered heads to standard output, one JSON object a line
    Export,
    /// Add heads that were exported elsewhere, alone or with a case, or a checkpoint that somebody has cosigned; a conflict is
    /// shown and nothing is imported
    Import {
        /// File; - is standard input
        file: PathBuf,
    },
    /// Verify what was written since the last run, for cron: no output and exit 0 when nothing is found, one line otherwise
    Watch {
        /// Print a status line and exit 0, 1, 2 or 3 (OK, WARNING, CRITICAL, UNKNOWN)
        #[arg(long)]
        nagios: bool,
    },
}

/// Runs it.
///
/// # Errors
/// Exit 1 for contradictions and conflicts, exit 4 where something cannot be told or nothing is remembered; those of every
/// command.
pub(super) async fn run(context: &Context, args: PinArgs) -> Result<()> {
    match args.what {
        PinCommand::Keygen { name } => pin_sign::keygen(context, &name),
        PinCommand::Create(args) => pin_sign::create(context, &args).await,
        PinCommand::Trust(args) => pin_sign::trust(context, &args),
        PinCommand::Publish(args) => pin_publish::publish(context, &args).await,
        PinCommand::Stamp(args) => pin_publish::stamp(context, &args).await,
        PinCommand::Cosign(args) => pin_publish::cosign(context, &args).await,
        PinCommand::List => list(context),
        PinCommand::Export => export(context),
        PinCommand::Import { file } => import(context, &file),
        PinCommand::Check { published: None } => check(context).await,
        PinCommand::Check { published: Some(path) } => pin_publish::check(context, &path).await,
        PinCommand::Watch { nagios } => watch(context, nagios).await,
    }
}

/// The remembered heads, those of `--org` where it is given. Damage of the files is said.
fn remembered(context: &Context) -> Result<(Heads, Vec<Verified>)> {
    let all = Heads::load(&case::folder()?);
    let refused = all.refused().map(str::to_owned);
    for remark in all.remarks().chain(&refused) {
        context.out.remark(format_args!("verified heads: {}", Safe::from_untrusted(remark)));
    }
    let wanted = |verified: &&Verified| {
        context.global.org.as_ref().is_none_or(|organization| *organization == verified.organization_id)
    };
    let found = all.verified().filter(wanted).cloned().collect();
    Ok((all, found))
}

fn list(context: &Context) -> Result<()> {
    let (_, all) = remembered(context)?;
    let mut out = context.out.results();
    match context.global.format {
        None | Some(Format::Table) => {
            for verified in &all {
                writeln!(out, "{}", line(verified))?;
            }
        }
        Some(Format::Json) => {
            let document = serde_json::json!({ "schema_version": json::SCHEMA_VERSION, "heads": all });
            json::write_line(&mut out, &document)?;
        }
        Some(_) => return Err(Error::usage("pin list writes --format table or json")),
    }
    if all.is_empty() {
        context.out.remark("no heads are remembered: agenttrace verify remembers those of a trail");
    }
    Ok(out.flush()?)
}

/// `acme  2026-01-05T08:00:00Z  1 204 331 events  head e-30 9c41aa00…  at profile prod, by eve`.
pub(super) fn line(Verified { organization_id, verified_by, trail }: &Verified) -> Safe {
    let newest = trail.heads.last();
    let (event_id, hash) = newest.map_or(("–", ""), |head| (&head.event_id, &head.hash));
    let hash: String = hash.chars().take(8).collect();
    let more = match trail.heads.len() {
        0 | 1 => String::new(),
        heads => format!(" and {} more", heads - 1),
    };
    let events = trail.events.map_or_else(|| "–".to_owned(), grouped);
    let place = if trail.place.is_empty() { "an earlier version of agenttrace" } else { &trail.place };
    Safe::from_untrusted(&format!(
        "{organization_id}  {}  {events} events  head {event_id} {hash}…{more}  at {place}, by {verified_by}",
        trail.verified_at.to_rfc3339()
    ))
}

fn export(context: &Context) -> Result<()> {
    let (_, all) = remembered(context)?;
    let mut out = context.out.results();
    for verified in &all {
        json::write_line(&mut out, verified)?;
    }
    Ok(out.flush()?)
}

/// Two heads of which at most one can be true: one event of one trail with two hashes.
fn conflict<'a>(here: &'a [Verified], there: &'a [Verified]) -> Option<(&'a Verified, &'a Verified)> {
    here.iter().find_map(|mine| {
        let contradicts = |other: &&Verified| {
            let same_trail = mine.organization_id == other.organization_id
                && (mine.trail.place == other.trail.place || mine.trail.object == other.trail.object);
            let other_hash = |a: &crate::chain::head::Head, b: &crate::chain::head::Head| {
                a.event_id == b.event_id && a.hash != b.hash
            };
            same_trail && mine.trail.heads.iter().any(|a| other.trail.heads.iter().any(|b| other_hash(a, b)))
        };
        there.iter().find(contradicts).map(|other| (mine, other))
    })
}

fn import(context: &Context, file: &Path) -> Result<()> {
    let is_input = file.as_os_str() == "-";
    let name = if is_input { "standard input".to_owned() } else { format!("'{}'", file.display()) };
    let cannot = |e| Error::could_not_run(format!("cannot read {name}")).because(e);
    let source: Box<dyn Read> =
        if is_input { Box::new(io::stdin()) } else { Box::new(File::open(file).map_err(cannot)?) };
    let mut text = String::new();
    source.take(LONGEST + 1).read_to_string(&mut text).map_err(cannot)?;
    if text.len() as u64 > LONGEST {
        return Err(Error::could_not_run(format!("{name} is larger than {LONGEST} bytes")));
    }
    if pin_publish::is_checkpoint(&text) {
        return pin_publish::import(context, &text);
    }
    let mut new: Vec<Verified> = Vec::new();
    // A case brings the heads of its trails.
    let of_case = Handover::of(&notebook::read(&name, text.as_bytes()).records).heads;
    let lines = if of_case.is_empty() { text.as_str() } else { "" };
    new.extend(of_case);
    for (n, line) in lines.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let verified = serde_json::from_str(line).map_err(|e| {
            Error::usage(format!("{name}, line {}: not an exported head; nothing was imported", n + 1))
                .because(e)
        })?;
        new.push(verified);
    }
    let folder = case::folder()?;
    let (all, _) = remembered(context)?;
    if let Some(why) = all.refused() {
        return Err(Error::could_not_run(format!("nothing was imported: {why}")));
    }
    let here: Vec<Verified> = all.verified().cloned().collect();
    let conflict = conflict(&here, &new).map(|found| (found, "here", "there"));
    if let Some(((mine, other), one, two)) =
        conflict.or_else(|| self::conflict(&new, &new).map(|f| (f, "there", "there")))
    {
        return Err(Error::new(
            Kind::Finding,
            "the imported heads contradict each other or those remembered here: nothing was imported",
        )
        .hint(format!("{one}: {}", line(mine)))
        .hint(format!("{two}: {}", line(other)))
        .hint(
            "two people were shown different histories, or one trail was rewritten: verify at both places",
        ));
    }
    new.retain(|verified| !here.contains(verified));
    heads::add(&folder, &new)?;
    context.out.remark(format_args!("{} records of heads imported", new.len()));
    Ok(())
}

/// The organisations that are meant: `--org`, else all that have events, are remembered or recorded.
async fn meant(
    context: &Context,
    reader: &Reader,
    records: &Records,
    cancel: &CancellationToken,
) -> Result<Vec<OrgScope>> {
    let ids = match context.named_organization(&reader.choice)? {
        Some(id) => vec![id],
        None => verification::organizations(&reader.db, records, cancel).await?,
    };
    Ok(ids.into_iter().map(OrgScope::enter).collect())
}

async fn check(context: &Context) -> Result<()> {
    let reader = context.reader().await?;
    let cancel = super::cancel_on_interrupt();
    let records = Records::load(&reader.place);
    let mut out = context.out.results();
    let mut worst = None;
    for scope in meant(context, &reader, &records, &cancel).await? {
        let organization = scope.organization().as_str();
        let pins = records.memory(organization).records.iter().map(|trail| trail.heads.len()).sum::<usize>();
        let found = verification::contradictions(&reader.db, &records, &scope, &cancel).await?;
        let name = Safe::from_untrusted(organization);
        match found.as_slice() {
            [] if pins == 0 => writeln!(out, "PIN {name}: nothing remembered")?,
            [] => writeln!(out, "PIN {name}: every remembered head is present")?,
            found => {
                for finding in found {
                    writeln!(out, "PIN {name}: {}", said(finding))?;
                }
            }
        }
        worst = worst.max(Some(severity(&found, pins)));
    }
    out.flush()?;
    match worst {
        Some(Severity::Fine) => Ok(()),
        Some(Severity::Contradicted) => Err(Error::silent(Kind::Finding)),
        Some(Severity::Unknown) | None => Err(Error::silent(Kind::Incomplete)),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Severity {
    Fine,
    Unknown,
    Contradicted,
}

fn severity(found: &[Finding], pins: usize) -> Severity {
    let untold = |finding: &Finding| finding.class == Class::ScanIncomplete;
    match found {
        [] if pins == 0 => Severity::Unknown,
        [] => Severity::Fine,
        found if found.iter().all(untold) => Severity::Unknown,
        _ => Severity::Contradicted,
    }
}

pub(super) fn said(finding: &Finding) -> Safe {
    Safe::from_untrusted(&format!("{}  {}", finding.name(), finding.detail))
}

/// Verifies the increment of each organisation. What earlier runs missed is in it: it begins where the last one that found
/// the trail intact ended.
async fn watch(context: &Context, nagios: bool) -> Result<()> {
    let watched = watch_all(context).await;
    if !nagios {
        let Watched { lines, worst, .. } = watched?;
        let mut out = context.out.results();
        for line in &lines {
            writeln!(out, "{line}")?;
        }
        out.flush()?;
        return worst.map_or(Ok(()), |kind| Err(Error::silent(kind)));
    }
    let (state, text) = match watched {
        Ok(watched) => match watched.worst {
            None => (State::Ok, watched.words()),
            Some(Kind::Finding) => (State::Critical, joined(&watched.lines)),
            Some(Kind::Incomplete) => (State::Warning, joined(&watched.lines)),
            Some(_) => (State::Unknown, joined(&watched.lines)),
        },
        Err(error) => (State::Unknown, Safe::from_untrusted(&error.to_string()).to_string()),
    };
    state.report(context, &text)
}

fn joined(lines: &[String]) -> String {
    lines.join("; ")
}

/// What watching all organisations has come to.
#[derive(Debug, Default)]
struct Watched {
    /// A line for each organisation that is not intact.
    lines: Vec<String>,
    /// The worst of what they come to.
    worst: Option<Kind>,
    organizations: usize,
    /// Organisations of which no earlier head was compared.
    unproven: usize,
}

impl Watched {
    /// What it means that nothing was found: no more than what was compared.
    fn words(&self) -> String {
        let proven = self.organizations - self.unproven;
        let unproven = match self.unproven {
            0 => String::new(),
            n => format!("; newest end of {n} not proven: no earlier head"),
        };
        format!("increments without a finding, earlier heads of {proven} organisations present{unproven}")
    }
}

async fn watch_all(context: &Context) -> Result<Watched> {
    let reader = context.reader().await?;
    let cancel = super::cancel_on_interrupt();
    let mut records = Records::load(&reader.place);
    let mut watched = Watched::default();
    let rank = |kind: Option<Kind>| match kind {
        None => 0,
        Some(Kind::Incomplete) => 1,
        Some(Kind::CouldNotRun) => 2,
        Some(_) => 3,
    };
    for scope in meant(context, &reader, &records, &cancel).await? {
        let asked = Asked { extent: Extent::Increment, ..Asked::whole(scope) };
        let session = Session::prepare(&reader.db, &mut records, asked, &cancel).await?;
        let ended = session.run(&reader.db, &Arc::new(Gauge::new()), |_| {}, &cancel).await;
        let report = ended.map_err(|stopped| stopped.error)?;
        watched.organizations += 1;
        watched.unproven += usize::from(report.pins.checked == 0);
        let not_compared = (!report.not_used.is_empty()).then_some(Kind::Incomplete);
        let exit = report.exit().or(not_compared);
        if exit.is_some() {
            let first = report.findings.first().map(|finding| format!(": {}", said(finding)));
            watched.lines.push(format!("{report}{}", first.unwrap_or_default()));
        }
        if rank(exit) > rank(watched.worst) {
            watched.worst = exit;
        }
    }
    Ok(watched)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::head::{Head, Remembered};
    use crate::domain::Timestamp;

    fn verified(organization: &str, place: &str, event: &str, hash: &str) -> Verified {
        let head = Head { event_id: event.to_owned(), hash: hash.to_owned(), timestamp: None };
        let trail = Remembered {
            place: place.to_owned(),
            object: format!("7/{place}/2"),
            heads: vec![head],
            events: Some(1200),
            before_hashing: None,
            other_columns: None,
            scheme: None,
            verified_at: Timestamp::from_micros(0),
        };
        Verified { organization_id: organization.to_owned(), verified_by: "eve\u{1b}".to_owned(), trail }
    }

    #[test]
    fn only_one_event_of_one_trail_with_two_hashes_is_a_conflict() {
        let mine = [verified("a", "prod", "e1", "h1")];
        let contradicts = |other: Verified| conflict(&mine, &[other]).is_some();
        assert!(contradicts(verified("a", "prod", "e1", "h2")));
        assert!(!contradicts(verified("a", "prod", "e1", "h1")));
        assert!(!contradicts(verified("a", "prod", "e2", "h2")));
        assert!(!contradicts(verified("b", "prod", "e1", "h2")));
        assert!(!contradicts(verified("a", "stage", "e1", "h2")));
    }

    #[test]
    fn a_line_is_fit_for_a_terminal() {
        let line = line(&verified("a", "prod", "e1", "0123456789")).to_string();
        assert!(line.starts_with("a  1970-01-01T00:00:00.000000Z  1"), "{line}");
        assert!(line.ends_with("200 events  head e1 01234567…  at prod, by eve\\x1B"), "{line}");
    }
}
