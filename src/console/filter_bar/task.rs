//! The filter line as work of the executor: lists, saved filters, cost, values.

use crate::case::lists;
use crate::console::core::failure::Failure;
use crate::console::core::tasks::tasks;
use crate::console::filter_bar::pane::List;
use crate::console::filter_bar::saved_task::{self, Shelf, Shelving};
use crate::console::runtime::context::{Context, aside};
use crate::console::timeline::task::ViewRequest;
use crate::domain::{OrgId, OrgScope};
use crate::filter::Field;
use crate::store::listing::cost::{self, Cost};
use crate::store::listing::{bounds, values};
use crate::store::query::Query;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

tasks! {
    /// Read lists that a filter names.
    Lists: Lists(BTreeSet<String>) -> BTreeMap<String, List>;
    /// Read the saved filters, or change them.
    Shelf: Shelf(OrgId, Shelving) -> Shelf;
    /// Estimate the cost of a view, and how long its page will take.
    Price: Price(Box<ViewRequest>) -> (Box<Cost>, Duration);
    /// The values of a field with a prefix.
    Values: Values(OrgScope, Field, String) -> (Field, String, Vec<String>);
}

/// The tasks have no interim reports.
pub(crate) type Progress = std::convert::Infallible;

/// Runs a task.
pub(crate) async fn perform(
    task: Task,
    cx: &Context<'_>,
    _tell: &(dyn Fn(Progress) + Sync),
) -> Result<Output, Failure> {
    let (db, cancel) = (cx.db, cx.cancel);
    Ok(match task {
        Task::Lists(names) => {
            let read = |name: String| (name.clone(), lists::read(&name));
            Output::Lists(aside(move || names.into_iter().map(read).collect()).await?)
        }
        Task::Shelf(organization, what) => {
            let put = aside(move || saved_task::put(&organization, what)).await?;
            Output::Shelf(put.map_err(|e| Failure::because(&e.to_string()))?)
        }
        Task::Price(request) => {
            let ViewRequest { scope, filter, now, window, .. } = *request;
            let range = bounds::freeze(db, &scope, &filter, now, window, cancel).await?.range;
            let query = Query { scope, filter, range };
            let cost = cost::guess(db, &query, cancel).await?;
            let time = cx.calibration.expect(&query.filter, &cost);
            Output::Price((Box::new(cost), time))
        }
        Task::Values(scope, field, prefix) => {
            let found = values::of(db, &scope, field, &prefix, cancel).await?;
            Output::Values((field, prefix, found))
        }
    })
}
