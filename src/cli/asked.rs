//! What the commands have in common that look at a part of the timeline as a whole.

use super::{Context, Format};
use crate::domain::{Safe, TimeRange, Timestamp};
use crate::error::{Error, Result};
use crate::store::cache::{Answer, Freshness};
use chrono::Utc;

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

/// Whether what a shared cache knows will do.
pub(super) fn freshness(fresh: bool) -> Freshness {
    if fresh { Freshness::Now } else { Freshness::Recent }
}

/// Says how old an answer is that was not worked out now, and why answers are not shared.
pub(super) fn remark_on_age<T>(context: &Context, answer: &Answer<T>) {
    if let Some(since) = answer.since {
        let age = Timestamp::from(Utc::now()).as_micros().saturating_sub(since.as_micros()).max(0);
        context.out.remark(format_args!("counted {} s ago; --fresh counts again", age / 1_000_000));
    }
    if let Some(trouble) = &answer.trouble {
        context.out.remark(format_args!("the shared cache is not used: {}", Safe::from_untrusted(trouble)));
    }
}
