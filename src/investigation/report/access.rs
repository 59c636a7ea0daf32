//! Who touched or read a resource.

use super::{Origin, Report, closing, fact, head, period, safe};
use crate::domain::{OrgScope, TimeRange, Timestamp, grouped};
use crate::error::Result;
use crate::export::document::{Block, Document};
use crate::store::ReadDb;
use crate::store::history::{Access, MAX_ADDRESSES, Resource};
use std::collections::{BTreeMap, BTreeSet};
use tokio_util::sync::CancellationToken;

/// What one actor did with the resource.
#[derive(Debug, serde::Serialize)]
#[expect(missing_docs, reason = "the fields are the keys of the output")]
pub struct Visitor<'a> {
    pub actor_type: &'a str,
    pub actor_id: &'a str,
    pub actor_email: Option<&'a str>,
    pub events: u64,
    pub actions: BTreeMap<&'a str, u64>,
    pub first: Timestamp,
    pub last: Timestamp,
    /// At most 20 for each action.
    pub addresses: BTreeSet<&'a str>,
}

/// By actor, the last one first. Lines of one actor must stand together.
pub fn visitors(access: &[Access]) -> Vec<Visitor<'_>> {
    let mut visitors: Vec<Visitor<'_>> = Vec::new();
    for line in access {
        let same = |a: &&mut Visitor<'_>| a.actor_type == line.actor_type && a.actor_id == line.actor_id;
        if let Some(actor) = visitors.last_mut().filter(same) {
            actor.actor_email = actor.actor_email.or(line.actor_email.as_deref());
            actor.events += line.events;
            actor.actions.insert(&line.action, line.events);
            actor.first = actor.first.min(line.first);
            actor.last = actor.last.max(line.last);
            actor.addresses.extend(line.addresses.iter().map(String::as_str));
        } else {
            visitors.push(Visitor {
                actor_type: &line.actor_type,
                actor_id: &line.actor_id,
                actor_email: line.actor_email.as_deref(),
                events: line.events,
                actions: [(line.action.as_str(), line.events)].into(),
                first: line.first,
                last: line.last,
                addresses: line.addresses.iter().map(String::as_str).collect(),
            });
        }
    }
    visitors.sort_by(|a, b| (b.last, b.actor_id).cmp(&(a.last, a.actor_id)));
    visitors
}

impl Visitor<'_> {
    /// Its e-mail address, else its id.
    pub fn name(&self) -> &str {
        self.actor_email.filter(|email| !email.is_empty()).unwrap_or(self.actor_id)
    }

    /// `read 12, update 2`.
    pub fn what(&self) -> String {
        let actions: Vec<String> = self.actions.iter().map(|(action, n)| format!("{action} {n}")).collect();
        actions.join(", ")
    }

    /// Addresses with a blank between them, and an ellipsis where there may be more.
    pub fn where_from(&self) -> String {
        let shown: Vec<&str> = self.addresses.iter().copied().take(MAX_ADDRESSES).collect();
        // The table gives so many at most for each action.
        let more = if self.addresses.len() >= MAX_ADDRESSES { " …" } else { "" };
        format!("{}{more}", shown.join(" "))
    }
}

/// Makes the report from what [`crate::store::history::access`] has found in a period.
///
/// # Errors
/// Exit 3 when the database cannot be read.
pub async fn of(
    db: &ReadDb,
    place: &str,
    scope: &OrgScope,
    (resource, range): (&Resource, TimeRange),
    access: &[Access],
    cancel: &CancellationToken,
) -> Result<Report> {
    let origin = Origin::new(db, place, scope, cancel).await?;
    let visitors = visitors(access);
    let events: u64 = visitors.iter().map(|visitor| visitor.events).sum();
    let name = safe(&format!("{}/{}", resource.kind, resource.id));
    let mut facts = origin.facts().await?;
    facts.extend([
        fact("Resource", name.clone()),
        fact("Period", period(range)),
        fact("Events", grouped(events)),
        fact("Actors", grouped(visitors.len() as u64)),
    ]);
    let mut blocks = vec![Block::Facts(facts), Block::Section("Who touched or read it".to_owned())];
    if visitors.is_empty() {
        blocks.push(Block::Paragraph("No event of the resource lies in the period.".to_owned()));
    } else {
        let rows = visitors.iter().map(|visitor| {
            vec![
                safe(&format!("{} {}", visitor.actor_type, visitor.name())),
                safe(visitor.actor_id),
                safe(&visitor.what()),
                visitor.first.to_rfc3339(),
                visitor.last.to_rfc3339(),
                safe(&visitor.where_from()),
            ]
        });
        let columns = head(&["Actor", "Id", "Actions", "First", "Last", "Addresses"]);
        blocks.push(Block::Table(columns, rows.collect()));
    }
    blocks.extend(origin.integrity());
    blocks.push(Block::Section("Limits".to_owned()));
    blocks.push(Block::List(vec![
        "Only what was recorded is here: an access for which no event was written leaves no trace.".to_owned(),
        "Events are counted by the times that their rows claim; they were not verified one by one for this report.".to_owned(),
        format!("Of more than {MAX_ADDRESSES} addresses of an actor and an action, only so many are named."),
        "Rows that row-level security hides from the role that made this report are not counted.".to_owned(),
    ]));
    blocks.extend(closing());
    let document = Document { title: format!("Access to {name}: {}", safe(origin.organization())), blocks };
    Ok(Report { document, events, remarks: origin.remarks })
}
