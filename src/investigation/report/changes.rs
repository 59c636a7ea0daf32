//! What changed in a period: each event that is no mere look, with its change and its verification.

use super::{
    LIMIT_OF_CONTENT, Origin, Report, bare, basis, changes_of, closing, fact, fields, period, safe, tone,
};
use crate::diff::Options;
use crate::domain::grouped;
use crate::error::{Error, Kind, Result};
use crate::export::document::{Block, Card, Document, Tone};
use crate::filter::{Expr, Field, Match, Matcher};
use crate::store::ReadDb;
use crate::store::listing::timeline;
use crate::store::query::{Query, Seek};
use crate::verify::writing;
use tokio_util::sync::CancellationToken;

/// Actions that change nothing.
const LOOKS: [&str; 2] = ["read", "export"];

/// What is asked for.
pub struct Asked<'a> {
    /// Which events, of which organisation.
    pub query: &'a Query,
    /// The filter as it was typed.
    pub filter: &'a str,
    /// Most events in the report.
    pub limit: usize,
    /// How states are judged.
    pub options: &'a Options,
}

/// Makes the report. Its events are the oldest of the query that are no mere look: neither `read` nor `export`.
///
/// # Errors
/// Exit 3 when the database cannot be read, exit 4 when no such event matches.
pub async fn of(db: &ReadDb, place: &str, asked: &Asked<'_>, cancel: &CancellationToken) -> Result<Report> {
    let Query { scope, filter, range } = asked.query;
    let origin = Origin::new(db, place, scope, cancel).await?;
    let looks = Match {
        field: Field::Action,
        any_of: LOOKS.map(|action| Matcher::Equals(action.to_owned())).to_vec(),
    };
    let filter = filter.narrowed(Expr::Not(Box::new(Expr::Match(looks))));
    let query = Query { scope: scope.clone(), filter, range: *range };
    let page = timeline::page(db, &query, &Seek::Oldest, asked.limit, cancel).await?;
    if page.rows.is_empty() {
        return Err(Error::new(Kind::Incomplete, "no event that changes anything matches"));
    }
    let detected = origin.detect(cancel).await?;
    let mut cards = Vec::new();
    let memory = writing::Memory::default();
    for row in page.rows.iter().rev() {
        let (event, verified) = match origin.read(row, &detected, cancel).await? {
            Some(read) => read,
            // It has gone between the two looks at it.
            None => (bare(row), Err("it is not in the table any more".to_owned())),
        };
        let changes = changes_of(db, scope, &memory, &event, asked.options, cancel).await?;
        cards.push(Card {
            title: format!("{} · {}", event.row.timestamp.to_rfc3339(), safe(&event.row.event_type)),
            facts: fields(&event.row),
            integrity: (tone(&verified), basis(&verified)),
            changes,
            remarks: Vec::new(),
        });
    }
    let count = |tone| cards.iter().filter(|card| card.integrity.0 == tone).count();
    let mut facts = origin.facts().await?;
    let more = if page.has_newer { " – the oldest; there are more" } else { "" };
    facts.extend([
        fact("Filter", if asked.filter.is_empty() { "none".to_owned() } else { safe(asked.filter) }),
        fact("As it was run", safe(&query.filter.canonical())),
        fact("Period", period(*range)),
        fact("Events", format!("{}{more}", grouped(cards.len() as u64))),
        fact(
            "Integrity",
            format!(
                "content of {} verified now, {} contradicted, {} not decided",
                count(Tone::Good),
                count(Tone::Bad),
                count(Tone::Unknown)
            ),
        ),
    ]);
    let mut remarks = origin.remarks.clone();
    if page.has_newer {
        remarks.push(format!("the report ends with {} events (--limit): there are more", cards.len()));
    }
    let events = cards.len() as u64;
    let mut blocks = vec![
        Block::Facts(facts),
        Block::Section("What changed".to_owned()),
        Block::Paragraph(
            "Oldest first, in the order of the times that the events claim. What looks like a secret is masked.".to_owned(),
        ),
    ];
    blocks.extend(cards.into_iter().map(|card| Block::Card(Box::new(card))));
    blocks.extend(origin.integrity());
    blocks.push(Block::Section("Limits".to_owned()));
    blocks.push(Block::List(vec![
        LIMIT_OF_CONTENT.to_owned(),
        "Only what was recorded is here: a change for which no event was written leaves no trace, and events with the action \
         read or export are left out."
            .to_owned(),
        "Times are those that the writer of the event claimed.".to_owned(),
    ]));
    blocks.extend(closing());
    let document = Document { title: format!("Changes: {}", safe(origin.organization())), blocks };
    Ok(Report { document, events, remarks })
}
