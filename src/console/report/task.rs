//! The lines of a report, computed by the database.

use crate::case::activity::Step;
use crate::console::core::failure::Failure;
use crate::console::core::tasks::tasks;
use crate::console::report::dialog::Subject;
use crate::console::report::target::{self, Entry};
use crate::console::runtime::context::Context;
use crate::console::widgets::time_zone::Zone;
use crate::domain::grouped;
use crate::export::report::{self, Line};
use crate::investigation::{activity, aggregate};
use crate::store::ReadDb;
use crate::store::aggregate::summary::{By, Summary};
use crate::store::cache::{Answer, Freshness};
use crate::store::listing::explain;
use crate::store::query::{Query, Seek};
use tokio_util::sync::CancellationToken;

/// Buckets of a histogram: what most screens can hold.
const BUCKETS: u32 = 30;
/// What a summary tells events apart by, and how many lines of each it has: first what is quick and what most ask for.
const PARTS: [(By, u32); 10] = [
    (By::Severity, 5),
    (By::Actor, 15),
    (By::Type, 15),
    (By::Ip, 15),
    (By::Resource, 15),
    (By::Category, 10),
    (By::Action, 10),
    (By::ResourceType, 10),
    (By::Session, 10),
    (By::UserAgent, 10),
];

tasks! {
    /// A report about a view, in lines of a width, with times of a zone.
    Sheet: Sheet(Query, Subject, (usize, Zone), Freshness) -> Answer<Vec<Entry>>;
}

/// Further lines, while the rest is being computed.
pub(crate) type Progress = Vec<Entry>;

/// Runs a task.
pub(crate) async fn perform(
    task: Task,
    cx: &Context<'_>,
    tell: &(dyn Fn(Progress) + Sync),
) -> Result<Output, Failure> {
    let Task::Sheet(query, subject, (width, zone), wanted) = task;
    Ok(Output::Sheet(match subject {
        Subject::Plan => plan(cx.db, &query, width, cx.cancel).await?,
        Subject::Histogram => histogram(cx, &query, (width, zone), wanted).await?,
        Subject::Summary => totals(cx, &query, width, wanted, tell).await?,
    }))
}

/// How the first page is found: always new.
async fn plan(
    db: &ReadDb,
    query: &Query,
    width: usize,
    cancel: &CancellationToken,
) -> Result<Answer<Vec<Entry>>, Failure> {
    let explanation = explain::page(db, query, &Seek::Newest, 100, true, cancel).await?;
    let mut lines = report::findings(query, &explanation, Some(width));
    lines.push(Line::default());
    lines.extend(report::statements(&explanation, Some(width)));
    Ok(Answer { value: Entry::plain(lines).collect(), since: None, trouble: None })
}

/// Events in each time bucket; refused when too many would have to be read.
async fn histogram(
    cx: &Context<'_>,
    query: &Query,
    (width, zone): (usize, Zone),
    wanted: Freshness,
) -> Result<Answer<Vec<Entry>>, Failure> {
    let Answer { value, since, trouble } =
        aggregate::histogram(cx.db, query, BUCKETS, (wanted, false), cx.cancel).await?;
    let step = Step::Histogram { question: cx.activity.question(query), buckets: BUCKETS };
    cx.record_aggregate((&query.scope, query.range, since), step, || activity::of_histogram(&value)).await;
    let start = |start, seconds| if seconds < 60 { zone.second(start) } else { zone.minute(start) };
    let lines = report::histogram(&value, Some(width), &start).into_iter();
    // The first line is the heads of the columns.
    let targets = std::iter::once(None).chain(target::times(&value, query.range));
    let entries = lines.zip(targets).map(|(line, target)| Entry { line, target });
    Ok(Answer { value: entries.collect(), since, trouble })
}

/// Events by one column after the other, told as they come; refused when too many would have to be read.
async fn totals(
    cx: &Context<'_>,
    query: &Query,
    width: usize,
    wanted: Freshness,
    tell: &(dyn Fn(Progress) + Sync),
) -> Result<Answer<Vec<Entry>>, Failure> {
    let (mut since, mut trouble) = (None, None);
    let mut entries: Vec<Entry> = Vec::new();
    let mut summaries: Vec<Summary> = Vec::new();
    for (by, limit) in PARTS {
        let part = aggregate::totals(cx.db, query, (&[by], false, limit), (wanted, false), cx.cancel).await?;
        since = since.into_iter().chain(part.since).min();
        trouble = trouble.or(part.trouble);
        summaries.push(part.value.clone());
        let Summary { groups, all_groups, .. } = &part.value;
        // A column that nobody fills says nothing.
        if groups.iter().all(|group| group.keys.iter().all(Option::is_none)) {
            continue;
        }
        let before = entries.len();
        entries.extend((before > 0).then(Entry::default));
        let values = groups.iter().map(|group| target::value(by, group.keys.first()?.as_deref()));
        // The first line is the head of the column.
        let targets = std::iter::once(None).chain(values);
        let lines = report::totals(&[by], &part.value, false, Some(width)).into_iter();
        entries.extend(lines.zip(targets).map(|(line, target)| Entry { line, target }));
        match all_groups.saturating_sub(groups.len() as u64) {
            0 => {}
            more => entries.extend(Entry::plain([Line::text(&format!("… {} more", grouped(more)))])),
        }
        tell(entries.get(before..).unwrap_or_default().to_vec());
    }
    let step = Step::Summary {
        question: cx.activity.question(query),
        parts: activity::parts(PARTS.iter().map(|(by, limit)| (std::slice::from_ref(by), *limit)), false),
    };
    cx.record_aggregate((&query.scope, query.range, since), step, || activity::of_summary(&summaries)).await;
    Ok(Answer { value: entries, since, trouble })
}
