//! A second person's signature under a checkpoint: after a proof that the log still begins with what that person has seen
//! of it, and recorded before it is given away (the rule of C2SP `tlog-witness`).

use super::checkpoint::said;
use super::publication::Published;
use crate::case::checkpoints;
use crate::case::witnessed::{self, Witnessed};
use crate::chain::to_hex;
use crate::domain::{Timestamp, grouped};
use crate::error::{Error, Kind, Result};
use crate::evidence::checkpoint::{Checkpoint, Signed, Trail, key_name};
use crate::evidence::note::{Note, PrivateKey, PublicKey};
use crate::evidence::proofs::{Relation, relation};
use chrono::Utc;
use std::path::Path;

/// A checkpoint with one more signature.
#[derive(Debug)]
pub struct Cosigned {
    /// The signed note.
    pub note: String,
    /// What it is about.
    pub signed: Signed,
    /// The checkpoint of the same log that was seen here before.
    pub follows: Option<Signed>,
}

/// Whether the key of a checkpoint's log, one of these, has signed it and the text about its trail.
///
/// # Errors
/// When a signature by a known key does not verify (exit 1), or the log's key is unknown (exit 4).
pub(super) fn check_signature(signed: &Signed, trusted: &[PublicKey]) -> Result<()> {
    let origin = &signed.trail.checkpoint.origin;
    let by = signed.signed_by(trusted).map_err(|e| {
        Error::new(Kind::Finding, format!("the checkpoint of {origin} is forged or damaged")).because(e)
    })?;
    if by.iter().any(|key| Some(key.name()) == key_name(origin)) {
        return Ok(());
    }
    Err(Error::new(
        Kind::Incomplete,
        format!("the checkpoint of {origin} is not signed by a key that is trusted here"),
    )
    .hint("compare the key with its owner, then agenttrace pin trust KEY"))
}

/// Two histories of one log, both heads shown.
pub(super) fn split(done: &str, then: (&str, &Trail), now: (&str, &Trail)) -> Error {
    Error::new(Kind::Finding, format!("{done}: two histories of one log were shown"))
        .hint(format!("{}: {}", then.0, said(then.1)))
        .hint(format!("{}: {}", now.0, said(now.1)))
        .hint(
            "both are signed by the same key, and at most one is of the true history: keep both files, and ask whoever \
             holds the key",
        )
}

/// What is said where a proof is missing or does not hold.
fn unproven(refuted: bool, then: &Trail, now: &Trail) -> Error {
    let (old, new) = (grouped(then.checkpoint.size), grouped(now.checkpoint.size));
    let error = if refuted {
        Error::new(
            Kind::Finding,
            format!(
                "nothing was signed: the proof does not lead from the {old} events that were seen here to these {new}; two \
                 histories of one log were shown, or the file of proofs is damaged"
            ),
        )
    } else {
        Error::new(
            Kind::Incomplete,
            format!("nothing was signed: there is no proof that these {new} events begin with the {old} that were seen here"),
        )
        .hint("ask for the file of proofs beside the checkpoint (agenttrace pin publish writes FILE.proofs)")
    };
    error.hint(format!("seen here: {}", said(then))).hint(format!("shown now: {}", said(now)))
}

fn allowed(seen: &Checkpoint, then: &Trail, published: &Published) -> Result<()> {
    let now = &published.signed.trail;
    match relation(seen, &now.checkpoint, published.proofs.as_ref()) {
        Relation::Same | Relation::Grown => Ok(()),
        Relation::Split => Err(split("nothing was signed", ("seen here", then), ("shown now", now))),
        Relation::Older => Err(Error::new(
            Kind::Incomplete,
            "nothing was signed: the checkpoint is older than one that was signed here",
        )
        .hint(format!("seen here: {}", said(then)))
        .hint(format!("shown now: {}", said(now)))
        .hint("ask for the newest one; that a log grew back cannot be shown")),
        Relation::Unproven => Err(unproven(false, then, now)),
        Relation::Refuted => Err(unproven(true, then, now)),
    }
}

/// Signs a published checkpoint of somebody else's log.
///
/// # Errors
/// When the log's key is not trusted or is the signing one; when the log does not provably begin with what was seen of it
/// here: exit 1 where two histories were shown, exit 4 where a proof is missing; when it cannot be recorded. Nothing is
/// signed then.
pub fn cosign(
    folder: &Path,
    key: &PrivateKey,
    trusted: &[PublicKey],
    published: &Published,
) -> Result<Cosigned> {
    let signed = &published.signed;
    let origin = &signed.trail.checkpoint.origin;
    if Some(key.name()) == key_name(origin) {
        return Err(Error::usage("a log is not witnessed by the key that signs it")
            .hint("a second person, with a key of their own, cosigns it"));
    }
    check_signature(signed, trusted)?;
    let cannot = |e| Error::could_not_run("nothing was signed").because(e);
    let note = key.sign_also(&signed.checkpoint).map_err(cannot)?;
    // As others will read it.
    let cosigned = Note::parse(note.as_bytes()).map_err(cannot)?;
    cosigned.signed_by(&[key.public()]).map_err(cannot)?;
    let witnessed = Witnessed {
        origin: origin.clone(),
        checkpoint: signed.checkpoint.as_str().to_owned(),
        trail: signed.trail_note.as_str().to_owned(),
        key: key.name().to_owned(),
        by: crate::case::user(),
        at: Timestamp::from(Utc::now()),
    };
    let mut follows = None;
    witnessed::keep(folder, &witnessed, |last| {
        let Some(last) = last else { return Ok(()) };
        let seen = last.signed()?;
        allowed(&seen.trail.checkpoint, &seen.trail, published)?;
        follows = Some(seen);
        Ok(())
    })?;
    Ok(Cosigned { note, signed: signed.clone(), follows })
}

/// Adds what others have signed of an own checkpoint; the names of their keys.
///
/// # Errors
/// When it is not of a log of this machine (exit 2), of another history of one (exit 1), or has no signature by a trusted
/// key that the own one lacks (exit 4).
pub fn import(folder: &Path, note: &Note, trusted: &[PublicKey]) -> Result<(Signed, Vec<String>)> {
    let given = Checkpoint::parse(note.text())
        .map_err(|e| Error::usage("not a checkpoint; nothing was imported").because(e))?;
    let mut all = checkpoints::load(folder)?;
    all.retain(|(_, signed)| signed.trail.checkpoint.origin == given.origin);
    if all.is_empty() {
        return Err(Error::usage(format!(
            "no checkpoint of {} was signed here; nothing was imported",
            given.origin
        ))
        .hint("agenttrace pin cosign FILE signs a checkpoint of somebody else's log"));
    }
    note.signed_by(trusted).map_err(|e| {
        Error::new(Kind::Finding, "the checkpoint is forged or damaged; nothing was imported").because(e)
    })?;
    let same_size = |(_, signed): &&(checkpoints::Kept, Signed)| signed.trail.checkpoint.size == given.size;
    let Some((_, own)) = all.iter().rfind(same_size) else {
        return Err(Error::new(
            Kind::Incomplete,
            format!(
                "no checkpoint of {} with {} events was signed here; nothing was imported",
                given.origin,
                grouped(given.size)
            ),
        ));
    };
    if own.trail.checkpoint.root != given.root {
        return Err(Error::new(Kind::Finding, "nothing was imported: two histories of one log were shown")
            .hint(format!("signed here: {}", said(&own.trail)))
            .hint(format!("shown now: {} events, root {}", grouped(given.size), to_hex(&given.root))));
    }
    let joined = own
        .checkpoint
        .with_signatures_of(note, trusted)
        .map_err(|e| Error::could_not_run("nothing was imported").because(e))?;
    let known: Vec<&str> = own.checkpoint.claimed().collect();
    let new: Vec<String> =
        joined.claimed().filter(|name| !known.contains(name)).map(ToOwned::to_owned).collect();
    if new.is_empty() {
        return Err(Error::new(Kind::Incomplete, "it has no signature of a trusted key that is new here")
            .hint("agenttrace pin trust KEY trusts the key of whoever cosigned it"));
    }
    checkpoints::keep_cosigned(folder, &joined, Timestamp::from(Utc::now()))?;
    Ok((Signed { checkpoint: joined, ..own.clone() }, new))
}
