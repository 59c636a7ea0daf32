//! `agenttrace evidence`: bundles that prove events to somebody without the database.

use super::filter::FilterArgs;
use super::{Context, Format, pin_publish, pin_sign};
use crate::case;
use crate::chain::to_hex;
use crate::domain::{Safe, Timestamp, grouped};
use crate::error::{Error, Kind, Result};
use crate::evidence::bundle::{self, BundleError, Disclosure, HIDEABLE, Level, Report, State};
use crate::evidence::checkpoint::Signed;
use crate::export::document::{self, Form};
use crate::export::json;
use crate::investigation::checkpoint::said;
use crate::investigation::evidence::{self, Job, Outcome};
use crate::investigation::output::{Output, refuse_existing};
use crate::investigation::report;
use chrono::Utc;
use clap::{Subcommand, ValueEnum};
use indicatif::ProgressBar;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};

const AFTER_HELP: &str = "\
A bundle holds the events of a filter as they were hashed, and places them in the log of the last signed checkpoint
(agenttrace pin create --sign). Whoever gets it verifies it without the database, with agenttrace evidence verify or
assets/verify_bundle.py. docs/guide/evidence.md says what it shows; docs/reference/evidence.md is the format.";

/// Most events that are named because their disclosed columns differ.
const MOST_DIFFERING: usize = 100;

/// Arguments of `evidence`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct EvidenceArgs {
    /// What to do
    #[command(subcommand)]
    pub what: EvidenceCommand,
}

/// What can be done with bundles.
#[derive(Debug, Clone, Subcommand)]
pub enum EvidenceCommand {
    /// Write the events of a filter, with their proofs, into a bundle
    Export(ExportArgs),
    /// Verify a bundle, without a database
    Verify(VerifyArgs),
}

/// Arguments of `evidence export`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = super::filter::HELP)]
pub struct ExportArgs {
    /// Which events; is:bookmarked for those of the case
    #[command(flatten)]
    pub filter: FilterArgs,
    /// Bundle to write
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// What it holds of the events between the checkpoints that are not selected
    #[arg(long, value_enum, default_value_t)]
    pub level: LevelArg,
    /// Key whose checkpoints are meant, and that seals the bundle [default: that of the last checkpoint]
    #[arg(long, value_name = "NAME")]
    pub key: Option<String>,
    /// Columns to hide, each behind a salted commitment: actor_email, actor_ip, new_state, …
    #[arg(long, value_name = "COLUMN", value_delimiter = ',')]
    pub redact: Vec<String>,
    /// Replace a file that is there
    #[arg(long)]
    pub overwrite: bool,
}

/// What a bundle shows of completeness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LevelArg {
    /// Level A: all events between two checkpoints, in full
    Rows,
    /// Level B: the hashes of the others
    #[default]
    Hashes,
    /// Nothing: each event has a proof of its own
    None,
}

/// Arguments of `evidence verify`.
#[derive(Debug, Clone, clap::Args)]
pub struct VerifyArgs {
    /// The bundle
    pub file: PathBuf,
    /// Public key that is trusted, besides those of agenttrace pin trust
    #[arg(long, value_name = "KEY")]
    pub trust: Vec<String>,
    /// Certificates in PEM of authorities whose time stamps are trusted
    #[arg(long, value_name = "FILE")]
    pub tsa: Vec<PathBuf>,
    /// Bundle of the same events with fewer hidden columns: whether it discloses what was shown and committed to here
    #[arg(long, value_name = "FILE")]
    pub disclosed: Option<PathBuf>,
    /// Write a report for people who read no hashes: FILE.html or FILE.md
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Replace a report that is there
    #[arg(long)]
    pub overwrite: bool,
}

/// Runs it.
///
/// # Errors
/// Of `verify`: exit 1 when a claim fails or the file is no bundle, exit 4 when one is not shown; those of every command.
pub(super) async fn run(context: &Context, args: EvidenceArgs) -> Result<()> {
    match args.what {
        EvidenceCommand::Export(args) => export(context, args).await,
        EvidenceCommand::Verify(args) => verify(context, args).await,
    }
}

async fn export(context: &Context, args: ExportArgs) -> Result<()> {
    if !args.overwrite {
        refuse_existing(&args.output)?;
    }
    if let Some(unknown) = args.redact.iter().find(|column| !HIDEABLE.contains(&column.as_str())) {
        let name = Safe::from_untrusted(unknown);
        return Err(Error::usage(format!("--redact: '{name}' is no column that can be hidden"))
            .hint(format!("these can: {}", HIDEABLE.join(", "))));
    }
    let reader = context.reader().await?;
    let scope = context.scope(&reader).await?;
    let cancel = super::cancel_on_interrupt();
    let query = args.filter.query(context, &reader, scope, &cancel).await?;
    let level = match args.level {
        LevelArg::Rows => Level::Rows,
        LevelArg::Hashes => Level::Hashes,
        LevelArg::None => Level::None,
    };
    let job = Job {
        query,
        words: None,
        level,
        key: args.key,
        path: args.output.clone(),
        replace: args.overwrite,
        redact: args.redact,
    };
    let bar = super::export::events_bar(context, true);
    let announce = super::walk_announcer(context.out);
    let made = make(&reader, job, &bar, &announce, &cancel).await;
    bar.finish_and_clear();
    say(context, &args.output, &made?);
    Ok(())
}

async fn make(
    reader: &super::Reader,
    job: Job,
    bar: &ProgressBar,
    announce: &(dyn Fn(&crate::store::query::Looked) + Send + Sync),
    cancel: &tokio_util::sync::CancellationToken,
) -> Result<Outcome> {
    let tell = |events| bar.inc(events);
    let folder = case::folder()?;
    Box::pin(evidence::export(&reader.db, &reader.place, folder, job, &tell, Some(announce), cancel)).await
}

fn say(context: &Context, path: &Path, outcome: &Outcome) {
    let out = context.out;
    out.remark(Safe::from_untrusted(&format!(
        "EVIDENCE: {} events, {} bytes, sha256 {}, {}",
        grouped(outcome.header.selected),
        outcome.written.bytes,
        outcome.written.sha256,
        path.display()
    )));
    match &outcome.header.checkpoint {
        Some(signed) => out.remark(Safe::from_untrusted(&format!("checkpoint: {}", said(&signed.trail)))),
        None => out.remark("no checkpoint: only the content of the events can be verified"),
    }
    if outcome.without_leaf > 0 && outcome.header.checkpoint.is_some() {
        out.remark(format_args!(
            "{} events are not in the last checkpoint: agenttrace pin create --sign signs one with them",
            grouped(outcome.without_leaf)
        ));
    }
    for contradiction in &outcome.contradictions {
        out.remark(Safe::from_untrusted(&format!("the bundle shows a contradiction: {contradiction}")));
    }
    match &outcome.sealed_by {
        Some(name) => out.remark(Safe::from_untrusted(&format!("sealed by {name}"))),
        None => out.remark(
            "not sealed: this machine has no key, or several and not that of the checkpoint (--key NAME)",
        ),
    }
}

async fn verify(context: &Context, args: VerifyArgs) -> Result<()> {
    let wants_json = match context.global.format {
        None | Some(Format::Table) => false,
        Some(Format::Json) => true,
        Some(_) => return Err(Error::usage("evidence verify writes for people, or --format json")),
    };
    let (trusted, authorities) = (pin_sign::trusted(&args.trust)?, pin_publish::authorities(&args.tsa)?);
    let form = args.report.as_deref().map(form_of).transpose()?;
    if let (Some(path), false) = (&args.report, args.overwrite) {
        refuse_existing(path)?;
    }
    let keys: Vec<String> = trusted.iter().map(ToString::to_string).collect();
    let name = Safe::from_untrusted(&args.file.display().to_string());
    let file = File::open(&args.file)
        .map_err(|e| Error::could_not_run(format!("cannot read '{name}'")).because(e))?;
    let verified = super::blocking(move || {
        bundle::verify_stamped(BufReader::with_capacity(1 << 16, file), &trusted, &authorities)
    });
    let report = verified.await?.map_err(|e| match e {
        BundleError::File(e) => Error::could_not_run(format!("cannot read '{name}'")).because(e),
        form @ BundleError::Form { .. } => {
            Error::new(Kind::Finding, format!("'{name}' is no valid evidence bundle")).because(form)
        }
    })?;
    let mut out = context.out.results();
    if wants_json {
        json::write_line(&mut out, &self::as_json(&report))?;
    } else {
        for line in words(&report) {
            writeln!(out, "{}", Safe::from_untrusted(&line))?;
        }
    }
    let differs = match &args.disclosed {
        None => false,
        Some(other) => {
            let found = disclosed(&args.file, other)?;
            if !wants_json {
                for line in disclosed_words(&found) {
                    writeln!(out, "{}", Safe::from_untrusted(&line))?;
                }
            }
            found.disclosed == 0 || !found.differing.is_empty()
        }
    };
    out.flush()?;
    if differs {
        return Err(Error::new(Kind::Finding, "what is disclosed is not what was shown and committed to"));
    }
    if let (Some(path), Some(form)) = (&args.report, form) {
        let file = report::evidence::File {
            name: args.file.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            sha256: digest(&args.file)?,
            at: Timestamp::from(Utc::now()),
            keys,
        };
        let mut output = Output::new(Some(path))?;
        document::write(&mut output, &report::evidence::of(&report, &file), form)?;
        output.complete(args.overwrite)?;
        context.out.remark(Safe::from_untrusted(&format!("report: {}", path.display())));
    }
    match report.state() {
        State::Shown => Ok(()),
        State::NotShown => Err(Error::silent(Kind::Incomplete)),
        State::Fails => Err(Error::silent(Kind::Finding)),
    }
}

/// What another bundle discloses of the hidden columns of this one.
fn disclosed(file: &Path, other: &Path) -> Result<Disclosure> {
    let open = |path: &Path| {
        File::open(path)
            .map(|file| BufReader::with_capacity(1 << 16, file))
            .map_err(|e| Error::could_not_run(format!("cannot read '{}'", path.display())).because(e))
    };
    let refused = |e| {
        Error::new(Kind::Finding, format!("'{}' is no valid evidence bundle", other.display())).because(e)
    };
    // By itself first: lines of another file disclose nothing.
    bundle::verify(open(other)?, &[]).map_err(refused)?;
    bundle::disclosure(open(file)?, open(other)?).map_err(refused)
}

fn disclosed_words(found: &Disclosure) -> Vec<String> {
    let mut lines = vec![format!(
        "disclosed: {} of {} events with hidden columns, {} of them differ",
        grouped(found.disclosed),
        grouped(found.redacted),
        grouped(found.differing.len() as u64)
    )];
    for (hash, columns) in found.differing.iter().take(MOST_DIFFERING) {
        lines.push(format!("  {hash}: {}", columns.join(", ")));
    }
    lines
}

/// The form that the name of a report asks for.
fn form_of(path: &Path) -> Result<Form> {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    Form::ALL
        .into_iter()
        .find(|form| form.name() == ending)
        .ok_or_else(|| Error::usage("--report: the name of the report ends in .html or .md"))
}

fn digest(path: &Path) -> Result<String> {
    let (mut file, mut digest, mut part) = (File::open(path)?, Sha256::new(), vec![0; 1 << 16]);
    loop {
        let read = file.read(&mut part)?;
        if read == 0 {
            return Ok(to_hex(&digest.finalize().into()));
        }
        digest.update(part.get(..read).unwrap_or_default());
    }
}

fn words(report: &Report) -> Vec<String> {
    let header = &report.header;
    let time = |at: Option<Timestamp>| at.map_or_else(|| "…".to_owned(), Timestamp::to_rfc3339);
    let mut lines = vec![
        format!(
            "EVIDENCE {}: {} events: {} ({})",
            header.organization,
            grouped(header.selected),
            report.state(),
            header.level.claim()
        ),
        format!("filter: {}  from {} to {}", header.filter, time(header.since), time(header.until)),
    ];
    let signed = |name: &str, signed: &Signed| {
        format!("{name}: {}  (verification then: {})", said(&signed.trail), signed.trail.verdict)
    };
    lines.extend(header.before.as_ref().map(|before| signed("earlier checkpoint", before)));
    lines.extend(header.checkpoint.as_ref().map(|checkpoint| signed("checkpoint", checkpoint)));
    lines.extend(report.parts().map(|(name, part)| format!("{name:<12} {:<9} {}", part.state, part.detail)));
    lines
}

fn as_json(report: &Report) -> serde_json::Value {
    let header = &report.header;
    let checkpoint = |signed: &Option<Signed>| {
        signed.as_ref().map(|signed| {
            let trail = &signed.trail;
            serde_json::json!({
                "origin": trail.checkpoint.origin,
                "size": trail.checkpoint.size,
                "root": to_hex(&trail.checkpoint.root),
                "at": trail.at.to_rfc3339(),
                "object": trail.object,
                "verdict": trail.verdict,
                "forked": trail.is_forked,
            })
        })
    };
    let parts: serde_json::Map<String, serde_json::Value> =
        report.parts().into_iter().map(|(name, part)| (name.to_owned(), serde_json::json!(part))).collect();
    let events = report.selected.iter().map(
        |event| serde_json::json!({ "event_id": event.event_id, "hash": event.hash, "leaf": event.leaf }),
    );
    serde_json::json!({
        "schema_version": json::SCHEMA_VERSION,
        "organization_id": header.organization,
        "state": report.state(),
        "filter": header.filter,
        "since": header.since.map(Timestamp::to_rfc3339),
        "until": header.until.map(Timestamp::to_rfc3339),
        "level": header.level.name(),
        "selected": header.selected,
        "checkpoint": checkpoint(&header.checkpoint),
        "before": checkpoint(&header.before),
        "parts": parts,
        "events": events.collect::<Vec<_>>(),
    })
}
