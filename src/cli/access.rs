//! `agenttrace resource TYPE ID --access`: who touched or read it.

use crate::domain::{OrgScope, Safe, Timestamp};
use crate::export::json;
use crate::store::history::{Access, MAX_ADDRESSES, Resource};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

/// What one actor did with the resource.
#[derive(serde::Serialize)]
struct Visitor<'a> {
    actor_type: &'a str,
    actor_id: &'a str,
    actor_email: Option<&'a str>,
    events: u64,
    actions: BTreeMap<&'a str, u64>,
    first: Timestamp,
    last: Timestamp,
    /// At most 20 for each action.
    addresses: BTreeSet<&'a str>,
}

/// By actor, the last one first.
fn visitors(access: &[Access]) -> Vec<Visitor<'_>> {
    let mut visitors: Vec<Visitor<'_>> = Vec::new();
    // Lines of one actor stand together.
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

/// Writes it for people.
///
/// # Errors
/// When `out` cannot be written.
pub(super) fn write(out: &mut impl Write, access: &[Access]) -> io::Result<()> {
    let safe = Safe::from_untrusted;
    for actor in visitors(access) {
        let name = actor.actor_email.filter(|e| !e.is_empty()).unwrap_or(actor.actor_id);
        let actions: Vec<String> = actor.actions.iter().map(|(action, n)| format!("{action} {n}")).collect();
        writeln!(out, "{} {} · {}", safe(actor.actor_type), safe(name), safe(&actions.join(", ")))?;
        writeln!(out, "    first {} · last {}", actor.first, actor.last)?;
        if !actor.addresses.is_empty() {
            let shown: Vec<&str> = actor.addresses.iter().copied().take(MAX_ADDRESSES).collect();
            // The table gives so many at most for each action.
            let more = if actor.addresses.len() >= MAX_ADDRESSES { " …" } else { "" };
            writeln!(out, "    from {}{more}", safe(&shown.join(" ")))?;
        }
    }
    Ok(())
}

#[derive(serde::Serialize)]
struct Body<'a> {
    resource_type: &'a str,
    resource_id: &'a str,
    actors: Vec<Visitor<'a>>,
}

/// Writes it as JSON.
///
/// # Errors
/// When `out` cannot be written.
pub(super) fn write_json(
    out: &mut impl Write,
    scope: &OrgScope,
    resource: &Resource,
    access: &[Access],
) -> io::Result<()> {
    let document = json::document(
        scope.organization().as_str(),
        Body { resource_type: &resource.kind, resource_id: &resource.id, actors: visitors(access) },
    );
    json::write_line(out, &document)
}
