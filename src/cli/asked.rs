//! What the commands have in common that look at a part of the timeline as a whole.

use super::events::{frozen_range, read_filter};
use super::{Context, Format, Reader};
use crate::domain::{OrgScope, TimeRange, Timestamp};
use crate::error::{Error, Kind, Result};
use crate::store::timeline::{self, Count, Query};
use tokio_util::sync::CancellationToken;

/// Events that may be gone through to add something up, by the planner's estimate: five seconds or so.
const MAX_EVENTS: u64 = 5_000_000;

/// A filter and bounds, as arguments.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Asked {
    /// What is looked at; the words are joined by blanks
    #[arg(value_name = "FILTER")]
    pub filter: Vec<String>,
    /// Events from this time on; the same as since: in the filter
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub since: Option<String>,
    /// Events before this time; the same as until: in the filter
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub until: Option<String>,
}

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

impl Asked {
    /// The query, its bounds frozen now; the default window is said on stderr.
    ///
    /// # Errors
    /// Exit 2 for a filter that cannot be read, exit 3 when the database cannot be.
    pub(super) async fn query(
        &self,
        context: &Context,
        reader: &Reader,
        scope: OrgScope,
        cancel: &CancellationToken,
    ) -> Result<Query> {
        let filter =
            read_filter(&context.global, &self.filter, self.since.as_deref(), self.until.as_deref())?;
        let window = reader.choice.window;
        let range = frozen_range(&reader.db, &scope, &filter, window.as_duration(), cancel).await?;
        if let (Some(since), false) = (range.since, filter.has_window()) {
            context.out.remark(format_args!(
                "window: events since {since}, {window} before the newest one; since: or all-time choose another"
            ));
        }
        Ok(Query { scope, filter, range })
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
