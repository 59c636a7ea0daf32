//! `agenttrace pin keygen|create|trust`: signed checkpoints.

use super::asked::wants_json;
use super::{Context, pin_publish};
use crate::case::{self, keys};
use crate::domain::{Safe, Timestamp, grouped};
use crate::error::{Error, Result};
use crate::evidence::checkpoint::Signed;
use crate::evidence::note::{PrivateKey, PublicKey};
use crate::export::json;
use crate::investigation::Records;
use crate::investigation::checkpoint::{self, Created};
use chrono::Utc;
use std::io::Write as _;
use std::path::Path;

/// Arguments of `pin create`.
#[derive(Debug, Clone, clap::Args)]
pub struct CreateArgs {
    /// Sign a checkpoint of the trail
    #[arg(long)]
    pub sign: bool,
    /// Key to sign with, where this machine has several
    #[arg(long, value_name = "NAME", requires = "sign")]
    pub key: Option<String>,
}

/// Arguments of `pin trust`.
#[derive(Debug, Clone, clap::Args)]
pub struct TrustArgs {
    /// Public key as pin keygen prints it; without one, trusted keys are listed
    pub key: Option<String>,
    /// Take back the trust in the key of this name
    #[arg(long, value_name = "NAME", conflicts_with = "key")]
    pub remove: Option<String>,
}

/// Makes a key, and prints its public part.
pub(super) fn keygen(context: &Context, name: &str) -> Result<()> {
    let folder = case::folder()?;
    let key = keys::generate(&folder, name)?;
    let mut out = context.out.results();
    writeln!(out, "{}", key.public())?;
    context.out.remark(
        "the private key stays on this machine; give the line above to those who are to trust it, by a way \
         that they trust: agenttrace pin trust KEY",
    );
    Ok(out.flush()?)
}

/// The key that is meant: the one that is named, else the only one.
pub(super) fn key_of(folder: &Path, name: Option<&str>) -> Result<PrivateKey> {
    if let Some(name) = name {
        return keys::private(folder, name);
    }
    match keys::names(folder)?.as_slice() {
        [one] => keys::private(folder, one),
        [] => {
            Err(Error::usage("this machine has no key to sign with")
                .hint("agenttrace pin keygen NAME makes one"))
        }
        several => Err(Error::usage("this machine has several keys; say which one with --key NAME")
            .hint(format!("keys: {}", several.join(", ")))),
    }
}

/// The keys that are trusted: those of this machine, of `pin trust`, and of the command line.
pub(super) fn trusted(given: &[String]) -> Result<Vec<PublicKey>> {
    let mut trusted: Vec<PublicKey> = Vec::new();
    for text in given {
        trusted.push(PublicKey::parse(text.trim()).map_err(|e| Error::usage(format!("--trust: {e}")))?);
    }
    // A machine on which nothing is remembered verifies, too.
    if let Ok(folder) = case::folder() {
        trusted.extend(keys::trusted(&folder)?);
        for name in keys::names(&folder)? {
            trusted.push(keys::private(&folder, &name)?.public());
        }
    }
    Ok(trusted)
}

pub(super) async fn create(context: &Context, args: &CreateArgs) -> Result<()> {
    let folder = case::folder()?;
    let key = if args.sign { Some(key_of(&folder, args.key.as_deref())?) } else { None };
    let as_json = wants_json(context, "pin create")?;
    let reader = context.reader().await?;
    let cancel = super::cancel_on_interrupt();
    let scope = context.scope(&reader).await?;
    let mut records = Records::load(&reader.place);
    let bar = super::verify_scan::progress_bar(context.out, &scope);
    let tell = |progress| super::verify_scan::draw(&bar, &progress);
    let created = Box::pin(checkpoint::create(
        &reader.db,
        &reader.place,
        folder,
        &mut records,
        scope,
        key,
        tell,
        &cancel,
    ))
    .await;
    bar.finish_and_clear();
    for remark in records.take_remarks() {
        context.out.remark(Safe::from_untrusted(&remark));
    }
    let created = created?;
    let mut out = context.out.results();
    if as_json {
        json::write_line(&mut out, &document(&created))?;
    } else {
        writeln!(out, "{}", created.report)?;
        if let Some(signed) = &created.signed {
            for line in words(signed, created.follows.as_ref()) {
                writeln!(out, "{}", Safe::from_untrusted(&line))?;
            }
        }
    }
    out.flush()?;
    if let (Some(signed), Some(command)) = (&created.signed, &context.config()?.publish_command) {
        let origin = signed.trail.checkpoint.origin.clone();
        pin_publish::hand_to(context, origin, command).await?;
    }
    created.report.exit().map_or(Ok(()), |kind| Err(Error::silent(kind)))
}

/// What a new checkpoint says, and does not say.
fn words(signed: &Signed, follows: Option<&Signed>) -> Vec<String> {
    let trail = &signed.trail;
    let mut lines = vec![format!("CHECKPOINT {}", checkpoint::said(trail))];
    match follows {
        Some(last) => lines.push(format!(
            "begins with the {} events of the checkpoint of {}",
            grouped(last.trail.checkpoint.size),
            last.trail.at.to_rfc3339()
        )),
        None => lines.push("the first checkpoint of this log: nothing is shown of earlier times".to_owned()),
    }
    if trail.is_forked {
        lines.push(
            "the trail has several chains: in which order their events came is this machine's choice, recorded in its leaves"
                .to_owned(),
        );
    }
    if trail.unhashed > 0 {
        lines.push(format!("{} events without a hash are not in it", grouped(trail.unhashed)));
    }
    lines
}

fn document(created: &Created) -> serde_json::Value {
    let checkpoint = created.signed.as_ref().map(|signed| {
        let trail = &signed.trail;
        serde_json::json!({
            "origin": trail.checkpoint.origin,
            "size": trail.checkpoint.size,
            "root": crate::chain::to_hex(&trail.checkpoint.root),
            "at": trail.at.to_rfc3339(),
            "forked": trail.is_forked,
            "follows": created.follows.as_ref().map(|last| last.trail.checkpoint.size),
            "note": signed.checkpoint.as_str(),
            "trail_note": signed.trail_note.as_str(),
        })
    });
    serde_json::json!({
        "schema_version": json::SCHEMA_VERSION,
        "organization_id": created.report.organization_id,
        "verdict": created.report.verdict,
        "checkpoint": checkpoint,
    })
}

pub(super) fn trust(context: &Context, args: &TrustArgs) -> Result<()> {
    let folder = case::folder()?;
    let now = Timestamp::from(Utc::now());
    let mut out = context.out.results();
    match (&args.key, &args.remove) {
        (Some(text), _) => {
            let key = PublicKey::parse(text.trim()).map_err(|e| Error::usage(e.to_string()))?;
            let is_new = keys::trust(&folder, &key, &case::user(), now)?;
            let word = if is_new { "trusted" } else { "trusted already" };
            writeln!(out, "{}", Safe::from_untrusted(&format!("{word}: {key}")))?;
        }
        (None, Some(name)) => {
            if !keys::remove(&folder, name, &case::user(), now)? {
                return Err(Error::usage(format!("no key of the name '{name}' is trusted")));
            }
            writeln!(out, "{}", Safe::from_untrusted(&format!("no longer trusted: {name}")))?;
        }
        (None, None) => {
            for name in keys::names(&folder)? {
                let key = keys::private(&folder, &name)?.public();
                writeln!(out, "{}", Safe::from_untrusted(&format!("own      {key}")))?;
            }
            for key in keys::trusted(&folder)? {
                writeln!(out, "{}", Safe::from_untrusted(&format!("trusted  {key}")))?;
            }
        }
    }
    Ok(out.flush()?)
}
