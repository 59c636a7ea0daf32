//! What the commands have in common that look at a part of the timeline as a whole.

use super::{Context, Format, Reader};
use crate::domain::{TimeRange, Timestamp};
use crate::error::{Error, Kind, Result};
use crate::store::summary::MAX_EVENTS;
use crate::store::timeline::{self, Count, Query};
use tokio_util::sync::CancellationToken;

/// The bounds of a query in a document.
#[derive(Debug, serde::Serialize)]
pub(super) struct Window {
    since: Option<String>,
    until: Option<String>,
}

impl From<TimeRange> for Window {
    fn from(range: TimeRange) -> Self {
        Self { since: range.since.map(Timestamp::to_rfc3339), until: range.until.map(Timestamp::to_rfc3339) }
    }
}

/// Whether a document is asked for instead of lines for people.
///
/// # Errors
/// Exit 2 for other formats.
pub(super) fn wants_json(context: &Context, command: &str) -> Result<bool> {
    match context.global.format {
        None | Some(Format::Table) => Ok(false),
        Some(Format::Json) => Ok(true),
        Some(_) => Err(Error::usage(format!("{command} writes --format table or json"))),
    }
}

/// Refuses to go through very many events unless that is insisted on.
///
/// # Errors
/// Exit 5 when the planner expects too many.
pub(super) async fn refuse_the_immense(
    reader: &Reader,
    query: &Query,
    force: bool,
    cancel: &CancellationToken,
) -> Result<()> {
    match timeline::estimate(&reader.db, query, cancel).await? {
        Count::Estimate(events) if events > MAX_EVENTS && !force => Err(Error::new(
            Kind::Refused,
            format!("about {events} events would have to be gone through, more than {MAX_EVENTS}"),
        )
        .hint("narrow the time with since: and until:, or add a field that has an index, such as actor:")
        .hint("--force does it all the same; --timeout 10m gives each statement longer")),
        _ => Ok(()),
    }
}
