//! `agenttrace ingest --ack`: into a spool on disk, and from there into the database.

use super::Out;
use super::ingest::IngestArgs;
use crate::case;
use crate::chain::sha256;
use crate::domain::Safe;
use crate::error::{Error, Kind, Result};
use crate::ingest::{AuditSettings, AuditWriter, Fates, Halt, Metrics, Outcome};
use crate::store::writer::WriterSettings;
use crate::store::{WriteDb, WriteTarget};
use std::time::Duration;

/// Opens the spool: the one of the arguments, else the target's own in the data folder.
///
/// # Errors
/// As [`AuditWriter::open`].
pub(super) async fn open(out: Out, args: &IngestArgs, db: &WriteDb) -> Result<AuditWriter> {
    let target = WriteTarget::from(db.clone());
    let folder = match &args.spool {
        Some(folder) => folder.clone(),
        None => {
            let name: String = sha256(target.place()).chars().take(16).collect();
            case::folder()?.join("spool").join(name)
        }
    };
    let settings = AuditSettings {
        spool_limit: u64::from(args.spool_limit) << 20,
        patience: args.wait.as_duration(),
        batch: args.batch as usize,
        dead_letters: args.rejected.clone(),
        writer: WriterSettings { continue_from: args.continue_from.clone() },
        ..AuditSettings::new(folder)
    };
    let opened = AuditWriter::open(target, settings).await;
    let writer = opened.map_err(|e| e.hint("--spool FOLDER names another one"))?;
    let waiting = writer.metrics().pending;
    if waiting > 0 {
        out.remark(format_args!("{waiting} events wait in the spool from an earlier run: they go first"));
    }
    Ok(writer)
}

/// Delivers what waits, as long as something gets through within `patience`, and puts what became of it into the report. A
/// Ctrl-C ends it at once.
pub(super) async fn finish(
    out: Out,
    writer: &AuditWriter,
    outcome: &mut Outcome,
    patience: Duration,
) -> Result<Metrics> {
    let closing = writer.close(patience);
    tokio::pin!(closing);
    let last = tokio::select! {
        last = &mut closing => last,
        signal = tokio::signal::ctrl_c() => {
            signal?;
            outcome.halt.get_or_insert(Halt::Interrupted);
            writer.metrics()
        }
    };
    let Fates { stored, duplicate, mapped_differently, conflict, rejected } = last.delivered;
    let report = &mut outcome.report;
    report.stored += stored;
    report.duplicate += duplicate;
    report.mapped_differently += mapped_differently;
    report.conflict += conflict;
    report.rejected += rejected;
    let replayed = last.replayed;
    if replayed.total() > 0 {
        out.remark(format_args!(
            "of an earlier run: {} stored, {} duplicate, {} conflict, {} rejected",
            replayed.stored, replayed.duplicate, replayed.conflict, replayed.rejected
        ));
    }
    if last.damaged > 0 {
        out.remark(format_args!("{} lines of the spool were damaged", last.damaged));
    }
    for path in writer.dead_letters() {
        let path = Safe::from_untrusted(&path.display().to_string());
        out.remark(format_args!("what was not stored is in {path}; --retry {path} tries it again"));
    }
    Ok(last)
}

/// What is wrong with what is left, or with what an earlier run had left.
pub(super) fn conclude(last: &Metrics) -> Result<()> {
    if last.pending > 0 {
        let why = last.trouble.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        let waiting = format!("{} events wait in the spool{why}", last.pending);
        return Err(Error::new(Kind::Incomplete, waiting)
            .hint("they are safe there: the same command delivers them, also without input"));
    }
    let lost = last.replayed.conflict + last.replayed.rejected + last.damaged;
    if lost > 0 {
        let text = format!("{lost} records of an earlier run were not stored");
        return Err(Error::new(Kind::Finding, text));
    }
    Ok(())
}
