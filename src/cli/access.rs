//! `agenttrace resource TYPE ID --access`: who touched or read it.

use crate::domain::{OrgScope, Safe};
use crate::export::json;
use crate::investigation::report::access::{Visitor, visitors};
use crate::store::history::{Access, Resource};
use std::io::{self, Write};

/// Writes it for people.
///
/// # Errors
/// When `out` cannot be written.
pub(super) fn write(out: &mut impl Write, access: &[Access]) -> io::Result<()> {
    let safe = Safe::from_untrusted;
    for actor in visitors(access) {
        let (name, what) = (actor.name(), actor.what());
        writeln!(out, "{} {} · {}", safe(actor.actor_type), safe(name), safe(&what))?;
        writeln!(out, "    first {} · last {}", actor.first, actor.last)?;
        if !actor.addresses.is_empty() {
            writeln!(out, "    from {}", safe(&actor.where_from()))?;
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
