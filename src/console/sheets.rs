//! What sheets say, worked out by the database.

use super::panes::sheet::Subject;
use crate::domain::Safe;
use crate::export::report;
use crate::store::cache::{Answer, Freshness};
use crate::store::summary::{self, By, MAX_EVENTS};
use crate::store::timeline::{self, Count, Query, Seek};
use crate::store::{ReadDb, StoreError, answers, explain};
use std::io::{self, Write as _};
use tokio_util::sync::CancellationToken;

/// Stretches of a histogram: what most screens can hold.
const STRETCHES: u32 = 30;
/// What a summary tells events apart by, and how many lines of each it has.
const PARTS: [(By, u32); 5] =
    [(By::Category, 10), (By::Severity, 5), (By::Action, 10), (By::Actor, 15), (By::Type, 15)];

/// The lines, for a sheet of `width` columns. Of a plan they are always new.
///
/// # Errors
/// [`StoreError`], also when too many events would have to be gone through.
pub(super) async fn work_out(
    db: &ReadDb,
    query: &Query,
    subject: Subject,
    width: usize,
    wanted: Freshness,
    cancel: &CancellationToken,
) -> Result<Answer<Vec<Safe>>, StoreError> {
    let mut text = Vec::new();
    let (mut since, mut trouble) = (None, None);
    if subject != Subject::Plan
        && let Count::Estimate(events) = timeline::estimate(db, query, cancel).await?
        && events > MAX_EVENTS
    {
        return Err(StoreError::Other(format!(
            "about {events} events would have to be gone through; narrow the filter, or use `agenttrace {} --force`",
            if subject == Subject::Summary { "summary" } else { "histogram" }
        )));
    }
    let written = match subject {
        Subject::Plan => {
            let explanation = explain::page(db, query, &Seek::Newest, 100, true, cancel).await?;
            report::write_findings(&mut text, query, &explanation, Some(width))
                .and_then(|()| writeln!(text))
                .and_then(|()| report::write_statements(&mut text, &explanation, Some(width)))
        }
        Subject::Histogram => {
            let histogram = answers::histogram(db, query, STRETCHES, wanted, &|_| {}, cancel).await?;
            (since, trouble) = (histogram.since, histogram.trouble);
            report::write_histogram(&mut text, &histogram.value, Some(width))
        }
        Subject::Summary => {
            let mut written = Ok(());
            for (by, limit) in PARTS {
                let part = answers::groups(db, query, &[by], false, limit, wanted, cancel).await?;
                since = since.into_iter().chain(part.since).min();
                trouble = trouble.or(part.trouble);
                written = written.and_then(|()| write_part(&mut text, by, &part.value));
            }
            written
        }
    };
    written.map_err(|e| StoreError::Other(e.to_string()))?;
    let text = String::from_utf8_lossy(&text);
    Ok(Answer { value: text.lines().map(Safe::from_untrusted).collect(), since, trouble })
}

fn write_part(text: &mut Vec<u8>, by: By, part: &summary::Summary) -> io::Result<()> {
    if !text.is_empty() {
        writeln!(text)?;
    }
    report::write_summary(text, &[by], part, false)?;
    match part.all_groups.saturating_sub(part.groups.len() as u64) {
        0 => Ok(()),
        more => writeln!(text, "… {more} more"),
    }
}
