//! A signed checkpoint: a verification of the whole trail, the order of its leaves, the signature.

use super::Records;
use super::verification::{Asked, Session};
use crate::case::checkpoints::{self, Kept};
use crate::chain::to_hex;
use crate::domain::{OrgScope, Timestamp, grouped};
use crate::error::{Error, Kind, Result};
use crate::evidence::checkpoint::{Checkpoint, MOST_HEADS, Signed, Trail, TrailHead, origin};
use crate::evidence::leaves::{self, OrderError, Tap};
use crate::evidence::note::PrivateKey;
use crate::evidence::tree::{Peaks, leaf};
use crate::store::ReadDb;
use crate::verify::{Gauge, Progress, Report, Verdict};
use chrono::Utc;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// What came of it.
#[derive(Debug)]
pub struct Created {
    /// The verification.
    pub report: Report,
    /// The new checkpoint; `None` where none was to be signed.
    pub signed: Option<Signed>,
    /// The one that it follows.
    pub follows: Option<Signed>,
}

/// Verifies a whole trail, remembers its heads, and signs a checkpoint of it where there is a key. A trail that the
/// verification contradicts, or of which not all was read, is not signed, nor is one that lacks events of the last
/// checkpoint.
///
/// # Errors
/// When the trail cannot be read; exit 1 when it is broken or lacks events that the last checkpoint covers; exit 4 when it
/// was not read as a whole, on a replica, and without events.
#[expect(clippy::too_many_arguments, reason = "one caller")]
pub async fn create(
    db: &ReadDb,
    place: &str,
    folder: PathBuf,
    records: &mut Records,
    scope: OrgScope,
    key: Option<PrivateKey>,
    tell: impl Fn(Progress),
    cancel: &CancellationToken,
) -> Result<Created> {
    let organization = scope.organization().as_str().to_owned();
    let tap = key.as_ref().map(|_| Tap::default());
    let asked = Asked { tap: tap.clone(), ..Asked::whole(scope) };
    let session = Session::prepare(db, records, asked, cancel).await?;
    let ended = session.run(db, &Arc::new(Gauge::new()), tell, cancel).await;
    let report = ended.map_err(|stopped| Error::from(stopped.error))?;
    let (Some(key), Some(tap)) = (key, tap) else {
        return Ok(Created { report, signed: None, follows: None });
    };
    may_be_signed(&report)?;
    let place = place.to_owned();
    let (signed, follows, report) = aside(move || {
        let (signed, follows) = sign(&folder, &place, &organization, &key, &tap, &report)?;
        Ok::<_, Error>((signed, follows, report))
    })
    .await??;
    Ok(Created { report, signed: Some(signed), follows })
}

fn may_be_signed(report: &Report) -> Result<()> {
    let refused =
        |kind: Kind, why: &str| Err(Error::new(kind, format!("{report}; nothing was signed: {why}")));
    match report.verdict {
        Verdict::Intact | Verdict::Anomalous if report.scope.replica_lag_s.is_some() => {
            refused(Kind::Incomplete, "a replica may lack the newest events; sign on the primary")
        }
        Verdict::Intact | Verdict::Anomalous if report.is_whole() => Ok(()),
        Verdict::Broken => refused(Kind::Finding, "the trail contradicts itself or what is remembered of it"),
        _ => refused(Kind::Incomplete, "not all of the trail was verified"),
    }
}

fn sign(
    folder: &Path,
    place: &str,
    organization: &str,
    key: &PrivateKey,
    tap: &Tap,
    report: &Report,
) -> Result<(Signed, Option<Signed>)> {
    let origin = origin(key.name(), organization);
    // Locked first: what was signed last is not changed then until this has ended.
    let mut file = checkpoints::leaves(folder, &origin)?;
    let last = checkpoints::last(folder, &origin)?;
    let known = last.as_ref().map_or(0, |(_, signed)| signed.trail.checkpoint.size);
    if let Some((_, signed)) = &last {
        check_leaves(&mut file, &signed.trail.checkpoint)?;
    }
    let peaks = leaves::append(&mut file, known, tap).map_err(|e| {
        let error = match e {
            OrderError::Missing { .. } | OrderError::Twice(_) => {
                Error::new(Kind::Finding, "nothing was signed")
            }
            OrderError::Pieces => Error::new(Kind::Incomplete, "nothing was signed"),
            OrderError::File(_) => Error::could_not_run("nothing was signed"),
        };
        let error = error.because(e);
        match &last {
            Some((kept, signed)) => contradicted(error, kept, &signed.trail, report, place),
            None => error,
        }
    })?;
    let checkpoint = Checkpoint { origin: origin.clone(), size: peaks.size(), root: peaks.root() };
    let heads = report.heads.iter().take(MOST_HEADS);
    let heads = heads.map(|head| TrailHead { hash: head.hash.clone(), event_id: head.event_id.clone() });
    let trail = Trail {
        checkpoint: checkpoint.clone(),
        at: Timestamp::parse(&report.snapshot_at)
            .map_err(|_| Error::could_not_run("the server's clock cannot be read"))?,
        object: report.database_identity.clone(),
        unhashed: report.before_hashing.as_ref().map_or(0, |rows| rows.count),
        verdict: report.words(),
        is_forked: report.heads.len() > 1
            || report.links.genesis.len() > 1
            || !report.links.forks.is_empty()
            || !report.links.missing_predecessor.is_empty(),
        heads_count: report.heads.len() as u64,
        heads: heads.collect(),
    };
    let cannot = |e| Error::could_not_run("nothing was signed").because(e);
    let kept = Kept {
        organization_id: organization.to_owned(),
        place: place.to_owned(),
        checkpoint: checkpoint.sign(key).map_err(cannot)?,
        trail: trail.sign(key).map_err(cannot)?,
        signed_at: Timestamp::from(Utc::now()),
    };
    // As others will read it.
    let signed = kept.signed()?;
    let by = signed
        .signed_by(&[key.public()])
        .map_err(|e| Error::could_not_run("nothing was signed").because(e))?
        .len();
    if by != 1 {
        return Err(Error::could_not_run("nothing was signed: the signature does not verify"));
    }
    checkpoints::keep(folder, &origin, last.as_ref().map(|(kept, _)| kept), &kept)?;
    Ok((signed, last.map(|(_, signed)| signed)))
}

/// Whether the file still holds the leaves that a checkpoint was made of.
///
/// # Errors
/// When it does not.
pub(super) fn check_leaves(file: &mut std::fs::File, checkpoint: &Checkpoint) -> Result<Peaks> {
    let mut peaks = Peaks::default();
    let read = leaves::read(file, checkpoint.size)?.try_for_each(|hash| {
        peaks.push(leaf(&hash?));
        Ok::<_, std::io::Error>(())
    });
    if read.is_ok() && peaks.root() == checkpoint.root {
        return Ok(peaks);
    }
    Err(Error::could_not_run(format!(
        "the file with the leaves of {} is not the one that its last checkpoint was made of",
        checkpoint.origin
    ))
    .hint("restore the data folder from a backup, or begin a new log: agenttrace pin keygen NAME, and sign with it"))
}

/// Shows both heads.
fn contradicted(error: Error, kept: &Kept, then: &Trail, report: &Report, place: &str) -> Error {
    let newest = report.heads.last();
    let now =
        newest.map_or_else(|| "no head".to_owned(), |head| format!("head {} {}", head.event_id, head.hash));
    let other = if kept.place == place {
        String::new()
    } else {
        format!(" (at {place}; the checkpoint is of {})", kept.place)
    };
    error.hint(format!("signed: {}", said(then))).hint(format!(
        "now: {} events, {now}, database {}{other}",
        grouped(report.events),
        report.database_identity
    ))
}

/// A checkpoint in one line.
pub fn said(trail: &Trail) -> String {
    let head = trail.heads.last();
    let head =
        head.map_or_else(|| "no head".to_owned(), |head| format!("head {} {}", head.event_id, head.hash));
    let events = grouped(trail.checkpoint.size);
    let root: String = to_hex(&trail.checkpoint.root).chars().take(16).collect();
    format!(
        "{}  {events} events  root {root}…  {head}  database {}  {}",
        trail.checkpoint.origin,
        trail.object,
        trail.at.to_rfc3339()
    )
}

/// Runs blocking work away from the runtime's own threads.
#[expect(clippy::disallowed_methods, reason = "ends with the checkpoint or bundle that it makes")]
pub(super) async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|e| Error::could_not_run("a background task failed").because(e))
}
