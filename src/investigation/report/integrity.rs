//! When a trail was verified, with which verdict, and what is remembered of it.

use super::{Origin, Report, closing, fact, head, safe};
use crate::case::{self, checkpoints};
use crate::domain::{OrgScope, grouped};
use crate::error::{Error, Kind, Result};
use crate::evidence::checkpoint;
use crate::export::document::{Block, Document};
use crate::investigation::checkpoint::said;
use crate::store::ReadDb;
use tokio_util::sync::CancellationToken;

/// Makes the report from what this machine remembers; nothing is verified for it.
///
/// # Errors
/// Exit 3 when the database or the records cannot be read, exit 4 when no verification is remembered.
pub async fn of(db: &ReadDb, place: &str, scope: &OrgScope, cancel: &CancellationToken) -> Result<Report> {
    let origin = Origin::new(db, place, scope, cancel).await?;
    let verifications = origin.records.verifications(origin.organization());
    if verifications.is_empty() {
        let organization = safe(origin.organization());
        let message =
            format!("no verification of '{organization}' at this place is remembered on this machine");
        return Err(Error::new(Kind::Incomplete, message).hint("agenttrace verify verifies it"));
    }
    let mut facts = origin.facts().await?;
    facts.push(fact("Verifications remembered", format!("{} (at most 50 are kept)", verifications.len())));
    let rows = verifications.iter().map(|v| {
        vec![
            v.at.to_rfc3339(),
            safe(&v.by),
            safe(&v.verdict),
            safe(&v.newest_end),
            grouped(v.events),
            grouped(v.findings),
        ]
    });
    let columns = head(&["At", "By", "Verdict", "Newest end", "Events", "Open findings"]);
    let mut blocks = vec![
        Block::Facts(facts),
        Block::Section("Verifications".to_owned()),
        Block::Paragraph(
            "The newest first, by the clock of the server. Each verdict is about the events that were there then.".to_owned(),
        ),
        Block::Table(columns, rows.collect()),
    ];
    blocks.extend(origin.integrity());
    let signed: Vec<String> = checkpoints::load(&case::folder()?)?
        .into_iter()
        .filter(|(kept, signed)| {
            kept.place == place
                && checkpoint::organization(&signed.trail.checkpoint.origin).as_deref()
                    == Some(origin.organization())
        })
        .map(|(kept, signed)| format!("{}: {}", kept.signed_at.to_rfc3339(), safe(&said(&signed.trail))))
        .collect();
    blocks.push(Block::Section("Signed checkpoints".to_owned()));
    if signed.is_empty() {
        blocks.push(Block::Paragraph("None was signed on this machine.".to_owned()));
    } else {
        blocks.push(Block::List(signed));
    }
    blocks.push(Block::Section("Limits".to_owned()));
    blocks.push(Block::List(vec![
        "The list is what this machine remembers, and whoever owns its files could have written it; a signed checkpoint that \
         was published is not so easily changed."
            .to_owned(),
        "A verification proves that the rows fit their hashes and each other, up to the newest end that was known; that newer \
         events were cut off shows only against a head that was remembered."
            .to_owned(),
        "Nothing was verified for this report.".to_owned(),
    ]));
    blocks.extend(closing());
    let document =
        Document { title: format!("Integrity of the trail: {}", safe(origin.organization())), blocks };
    Ok(Report { document, events: verifications.first().map_or(0, |v| v.events), remarks: origin.remarks })
}
