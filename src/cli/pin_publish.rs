//! `agenttrace pin publish|stamp|cosign|check --published|import`: checkpoints where others see them, and what others sign.

use super::Context;
use super::context::blocking;
use super::pin_sign::{key_of, trusted};
use crate::case::{self, checkpoints};
use crate::domain::{Safe, Timestamp, grouped};
use crate::error::{Error, Kind, Result};
use crate::evidence::checkpoint::{Signed, origin};
use crate::evidence::note::{Note, PrivateKey};
use crate::evidence::stamp::{self, Authority, Stamp};
use crate::investigation::Records;
use crate::investigation::checkpoint::said;
use crate::investigation::output::{Output, refuse_existing};
use crate::investigation::publication::{self, Compared, Published};
use crate::investigation::witness;
use chrono::Utc;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

/// Arguments of `pin publish`.
#[derive(Debug, Clone, clap::Args)]
#[command(group(clap::ArgGroup::new("where").required(true).multiple(true).args(["output", "git", "command"])))]
pub struct PublishArgs {
    /// Write the checkpoint to FILE, what it is about to FILE.trail, proofs from earlier ones to FILE.proofs
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Commit it to the git repository in this folder
    #[arg(long, value_name = "FOLDER")]
    pub git: Option<PathBuf>,
    /// Give it to the publish_command of the configuration, as JSON on standard input
    #[arg(long)]
    pub command: bool,
    /// Key that signed it, where this machine has several
    #[arg(long, value_name = "NAME")]
    pub key: Option<String>,
    /// Replace files that are there
    #[arg(long)]
    pub overwrite: bool,
}

/// Arguments of `pin cosign`.
#[derive(Debug, Clone, clap::Args)]
pub struct CosignArgs {
    /// Published checkpoint; FILE.trail and FILE.proofs stand beside it
    pub file: PathBuf,
    /// File for the checkpoint with one more signature [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Own key to sign with, where this machine has several
    #[arg(long, value_name = "NAME")]
    pub key: Option<String>,
    /// Public key of the log, besides those of agenttrace pin trust
    #[arg(long, value_name = "KEY")]
    pub trust: Vec<String>,
    /// Replace a file that is there
    #[arg(long)]
    pub overwrite: bool,
}

/// Arguments of `pin stamp`.
#[derive(Debug, Clone, clap::Args)]
#[command(group(clap::ArgGroup::new("direction").required(true).args(["request", "answer"])))]
pub struct StampArgs {
    /// Write the request for a time stamp of the last checkpoint, as RFC 3161 has it
    #[arg(long, value_name = "FILE")]
    pub request: Option<PathBuf>,
    /// Read what the authority answered, and keep it with the checkpoint
    #[arg(long, value_name = "FILE")]
    pub answer: Option<PathBuf>,
    /// Certificates in PEM of the authority, to verify its signature
    #[arg(long, value_name = "FILE", requires = "answer")]
    pub tsa: Vec<PathBuf>,
    /// Key that signed the checkpoint, where this machine has several
    #[arg(long, value_name = "NAME")]
    pub key: Option<String>,
    /// Replace a file that is there
    #[arg(long)]
    pub overwrite: bool,
}

/// Certificates of authorities.
pub(super) fn authorities(files: &[PathBuf]) -> Result<Vec<Authority>> {
    let mut all = Vec::new();
    for path in files {
        let name = path.display();
        let pem = std::fs::read(path)
            .map_err(|e| Error::could_not_run(format!("cannot read '{name}'")).because(e))?;
        all.extend(Authority::read(&pem).map_err(|e| Error::usage(format!("--tsa '{name}': {e}")))?);
    }
    Ok(all)
}

/// The key that is meant, and the organisation.
async fn meant(context: &Context, folder: &Path, key: Option<&str>) -> Result<(PrivateKey, String)> {
    let key = key_of(folder, key)?;
    let organization = match &context.global.org {
        Some(organization) => organization.clone(),
        None => {
            let reader = context.reader().await?;
            context.scope(&reader).await?.organization().as_str().to_owned()
        }
    };
    Ok((key, organization))
}

fn no_checkpoint(organization: &str) -> Error {
    Error::new(Kind::Incomplete, format!("no checkpoint of '{organization}' was signed with this key"))
        .hint("agenttrace pin create --sign signs one")
}

/// Writes a request for a time stamp, or keeps the answer.
pub(super) async fn stamp(context: &Context, args: &StampArgs) -> Result<()> {
    let folder = case::folder()?;
    let (key, organization) = meant(context, &folder, args.key.as_deref()).await?;
    let origin = origin(key.name(), &organization);
    let last = checkpoints::last(&folder, &origin)?.ok_or_else(|| no_checkpoint(&organization))?;
    if let Some(path) = &args.request {
        if !args.overwrite {
            refuse_existing(path)?;
        }
        let mut output = Output::new(Some(path))?;
        output.write_all(&stamp::request(last.1.checkpoint.text().as_bytes()))?;
        output.complete(args.overwrite)?;
        context.out.remark(Safe::from_untrusted(&format!("request for: {}", said(&last.1.trail))));
        context.out.remark(
            "send it as application/timestamp-query, and give the answer to agenttrace pin stamp --answer FILE",
        );
        return Ok(());
    }
    let Some(path) = &args.answer else { return Ok(()) };
    let name = path.display();
    let answer = File::open(path).and_then(|file| {
        let mut bytes = Vec::new();
        file.take(2 * stamp::LONGEST as u64).read_to_end(&mut bytes).map(|_| bytes)
    });
    let answer = answer.map_err(|e| Error::could_not_run(format!("cannot read '{name}'")).because(e))?;
    let authorities = authorities(&args.tsa)?;
    let refused = |e| Error::new(Kind::Finding, "the time stamp was not kept").because(e);
    let stamp = Stamp::of_answer(&answer).map_err(refused)?;
    // It may have been asked for before a newer checkpoint was signed.
    let of = |(_, signed): &(checkpoints::Kept, Signed)| {
        signed.trail.checkpoint.origin == origin && stamp.is_of(signed.checkpoint.text().as_bytes()).is_ok()
    };
    let Some((_, signed)) = checkpoints::load(&folder)?.into_iter().rfind(of) else {
        let error = stamp.is_of(last.1.checkpoint.text().as_bytes()).err();
        let error = error.map_or_else(|| "it is of no checkpoint".to_owned(), |e| e.to_string());
        return Err(Error::new(Kind::Finding, format!("the time stamp was not kept: {error}")));
    };
    let by = match authorities.as_slice() {
        [] => None,
        authorities => Some(stamp.verify(authorities).map_err(refused)?),
    };
    let now = Timestamp::from(Utc::now());
    checkpoints::keep_stamp(&folder, signed.checkpoint.text(), stamp.token(), now)?;
    let time = stamp.time.to_rfc3339();
    context.out.remark(Safe::from_untrusted(&match by {
        Some(name) => format!("stamped {time} by {name}: {}", said(&signed.trail)),
        None => format!(
            "stamped {time}; the authority's signature was not verified (--tsa FILE verifies it): {}",
            said(&signed.trail)
        ),
    }));
    Ok(())
}

/// Publishes the last checkpoint of an organisation.
pub(super) async fn publish(context: &Context, args: &PublishArgs) -> Result<()> {
    let folder = case::folder()?;
    let (key, organization) = meant(context, &folder, args.key.as_deref()).await?;
    let origin = origin(key.name(), &organization);
    let Some(last) = blocking(move || Published::last(&folder, &origin)).await?? else {
        return Err(no_checkpoint(&organization));
    };
    let what = said(&last.signed.trail);
    if let Some(path) = &args.output {
        last.write(path, args.overwrite)?;
        context.out.remark(Safe::from_untrusted(&format!("published: {what}")));
    }
    if let Some(repository) = &args.git {
        let is_new = last.commit(repository).await?;
        let word = if is_new { "committed" } else { "committed already" };
        context.out.remark(Safe::from_untrusted(&format!("{word} in {}: {what}", repository.display())));
    }
    if args.command {
        last.hand_to(&context.config()?.publish_command.unwrap_or_default()).await?;
        context.out.remark(Safe::from_untrusted(&format!("given to publish_command: {what}")));
    }
    Ok(())
}

/// Gives a checkpoint that was just signed to the program that the configuration names.
pub(super) async fn hand_to(context: &Context, origin: String, command: &[String]) -> Result<()> {
    let folder = case::folder()?;
    let Some(last) = blocking(move || Published::last(&folder, &origin)).await?? else { return Ok(()) };
    last.hand_to(command).await.map_err(|error| {
        error.hint("the checkpoint is signed and kept: agenttrace pin publish --command tries again")
    })?;
    context.out.remark("given to publish_command");
    Ok(())
}

/// Signs somebody else's checkpoint.
pub(super) async fn cosign(context: &Context, args: &CosignArgs) -> Result<()> {
    let folder = case::folder()?;
    if let (Some(path), false) = (&args.output, args.overwrite) {
        refuse_existing(path)?;
    }
    let key = key_of(&folder, args.key.as_deref())?;
    let trusted = trusted(&args.trust)?;
    let published = Published::read(&args.file)?;
    let cosigned = blocking(move || witness::cosign(&folder, &key, &trusted, &published)).await??;
    let mut output = Output::new(args.output.as_deref())?;
    output.write_all(cosigned.note.as_bytes())?;
    output.complete(args.overwrite)?;
    let trail = &cosigned.signed.trail;
    context.out.remark(Safe::from_untrusted(&format!("cosigned: {}", said(trail))));
    match &cosigned.follows {
        Some(before) => context.out.remark(format_args!(
            "it begins with the {} events that were seen here before: proven",
            grouped(before.trail.checkpoint.size)
        )),
        None => context
            .out
            .remark("the first checkpoint of this log that was seen here: nothing is shown of earlier times"),
    }
    context.out.remark("give it back to whoever signed it: agenttrace pin import FILE");
    Ok(())
}

/// Whether a text is a signed note rather than exported heads.
pub(super) fn is_checkpoint(text: &str) -> bool {
    Note::parse(text.as_bytes()).is_ok()
}

/// Adds what others have signed of an own checkpoint.
pub(super) fn import(context: &Context, text: &str) -> Result<()> {
    let note = Note::parse(text.as_bytes())
        .map_err(|e| Error::usage("not a signed note; nothing was imported").because(e))?;
    let (signed, names): (Signed, _) = witness::import(&case::folder()?, &note, &trusted(&[])?)?;
    context.out.remark(Safe::from_untrusted(&format!(
        "cosigned by {}: {}",
        names.join(", "),
        said(&signed.trail)
    )));
    Ok(())
}

/// Compares what was published.
pub(super) async fn check(context: &Context, path: &Path) -> Result<()> {
    let reader = context.reader().await?;
    let cancel = super::cancel_on_interrupt();
    let scope = context.scope(&reader).await?;
    let (folder, records) = (case::folder()?, Records::load(&reader.place));
    let trusted = trusted(&[])?;
    let compared = Box::pin(publication::check(
        &reader.db,
        &reader.place,
        &records,
        &scope,
        &folder,
        &trusted,
        path,
        &cancel,
    ))
    .await?;
    let mut out = context.out.results();
    for Compared { path, what, contradictions, open } in &compared {
        let word = match (contradictions.is_empty(), open.is_empty()) {
            (false, _) => "CONTRADICTED",
            (true, false) => "not compared",
            (true, true) => "present",
        };
        let path = path.display();
        writeln!(out, "{}", Safe::from_untrusted(&format!("PUBLISHED {path}: {word}: {what}")))?;
        for line in contradictions.iter().chain(open) {
            writeln!(out, "  {}", Safe::from_untrusted(line))?;
        }
    }
    out.flush()?;
    if compared.is_empty() {
        let organization = scope.organization();
        return Err(Error::new(
            Kind::Incomplete,
            format!("no checkpoint of '{organization}' is published there"),
        ));
    }
    match () {
        () if compared.iter().any(|one| !one.contradictions.is_empty()) => Err(Error::silent(Kind::Finding)),
        () if compared.iter().any(|one| !one.open.is_empty()) => Err(Error::silent(Kind::Incomplete)),
        () => Ok(()),
    }
}
