//! The lines of a report, computed by the database.

use crate::console::core::failure::Failure;
use crate::console::core::tasks::tasks;
use crate::console::report::dialog::Subject;
use crate::console::runtime::context::Context;
use crate::export::report::{self, Line};
use crate::investigation::aggregate;
use crate::store::cache::{Answer, Freshness};
use crate::store::summary::By;
use crate::store::timeline::{Query, Seek};
use crate::store::{ReadDb, explain};
use tokio_util::sync::CancellationToken;

/// Buckets of a histogram: what most screens can hold.
const BUCKETS: u32 = 30;
/// What a summary tells events apart by, and how many lines of each it has.
const PARTS: [(By, u32); 5] =
    [(By::Category, 10), (By::Severity, 5), (By::Action, 10), (By::Actor, 15), (By::Type, 15)];

tasks! {
    /// A report about a view, in lines of a width.
    Sheet: Sheet(Query, Subject, usize, Freshness) -> Answer<Vec<Line>>;
}

/// The task has no interim reports.
pub(crate) type Progress = std::convert::Infallible;

/// Runs a task.
pub(crate) async fn perform(
    task: Task,
    cx: &Context<'_>,
    _tell: &(dyn Fn(Progress) + Sync),
) -> Result<Output, Failure> {
    let Task::Sheet(query, subject, width, wanted) = task;
    Ok(Output::Sheet(work_out(cx.db, &query, subject, width, wanted, cx.cancel).await?))
}

/// The lines, for a sheet of `width` columns. Of a plan they are always new.
///
/// # Errors
/// [`Failure`], also when too many events would have to be read.
async fn work_out(
    db: &ReadDb,
    query: &Query,
    subject: Subject,
    width: usize,
    wanted: Freshness,
    cancel: &CancellationToken,
) -> Result<Answer<Vec<Line>>, Failure> {
    let (mut since, mut trouble) = (None, None);
    let lines = match subject {
        Subject::Plan => {
            let explanation = explain::page(db, query, &Seek::Newest, 100, true, cancel).await?;
            let mut lines = report::findings(query, &explanation, Some(width));
            lines.push(Line::default());
            lines.extend(report::statements(&explanation, Some(width)));
            lines
        }
        Subject::Histogram => {
            let histogram = aggregate::histogram(db, query, BUCKETS, (wanted, false), cancel).await?;
            (since, trouble) = (histogram.since, histogram.trouble);
            report::histogram(&histogram.value, Some(width))
        }
        Subject::Summary => {
            let mut lines = Vec::new();
            for (by, limit) in PARTS {
                let part =
                    aggregate::totals(db, query, (&[by], false, limit), (wanted, false), cancel).await?;
                since = since.into_iter().chain(part.since).min();
                trouble = trouble.or(part.trouble);
                if !lines.is_empty() {
                    lines.push(Line::default());
                }
                lines.extend(report::totals(&[by], &part.value, false));
                match part.value.all_groups.saturating_sub(part.value.groups.len() as u64) {
                    0 => {}
                    more => lines.push(Line::text(&format!("… {more} more"))),
                }
            }
            lines
        }
    };
    Ok(Answer { value: lines, since, trouble })
}
