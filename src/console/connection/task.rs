//! The connection as work of the executor: connecting, checking that the server answers, listing organisations.

use crate::config::Target;
use crate::console::core::failure::Failure;
use crate::console::core::tasks::tasks;
use crate::console::runtime::context::{Context, aside};
use crate::domain::OrgId;
use crate::investigation::{Records, verification};
use crate::store::aggregate::organizations::{self, Organization};
use crate::store::{ReadDb, ReadSettings, ServerFacts, StoreError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long to wait for the facts of the server, once it has shown that it is alive.
const FACTS_LIMIT: Duration = Duration::from_secs(1);

tasks! {
    /// Connect; true to start a private server again first, because the connection was lost.
    Connection: Connect(bool) -> ServerFacts;
    /// Check that the server answers. Its facts are missing where all connections were busy.
    Pulse: Pulse() -> Option<ServerFacts>;
    /// List the organisations; with the number of events that belong to none that can be named.
    Organizations: Organizations() -> (Vec<Organization>, u64);
}

/// Connecting and listing have no interim reports.
pub(crate) type Progress = std::convert::Infallible;

/// A connection to a target and the facts of its server.
pub(crate) async fn connect(
    target: Target,
    settings: ReadSettings,
    revive: bool,
) -> Result<(Output, ReadDb), Failure> {
    if let (true, Some(server)) = (revive, target.server.clone()) {
        let revived = aside(move || server.revive().map_err(|e| e.to_string())).await;
        if let Ok(Err(reason)) = revived {
            return Err(Failure { lost: true, ..Failure::because(&reason) });
        }
    }
    let db = ReadDb::connect_near(target.options, target.replica, settings).await?;
    let mut facts = db.facts().await?;
    facts.remarks = target.warnings;
    // On the private server everything is ours.
    if target.server.is_none() {
        facts.remarks.extend(db.remarks(&CancellationToken::new()).await?);
    }
    Ok((Output::Connect(facts), db))
}

/// Runs a task.
pub(crate) async fn perform(
    task: Task,
    cx: &Context<'_>,
    _tell: &(dyn Fn(Progress) + Sync),
) -> Result<Output, Failure> {
    let (db, cancel) = (cx.db, cx.cancel);
    Ok(match task {
        // The executor runs it: it needs no database yet.
        Task::Connect(_) => return Err(StoreError::Cancelled.into()),
        Task::Pulse() => {
            db.pulse().await?;
            // They take a connection of those that work; where all of these are busy they stay as they were.
            Output::Pulse(match tokio::time::timeout(FACTS_LIMIT, db.facts()).await {
                Ok(Err(error)) if error.is_connection_loss() => return Err(error.into()),
                Ok(facts) => facts.ok(),
                Err(_) => None,
            })
        }
        Task::Organizations() => {
            let mut list = organizations::list(db, cancel).await?;
            let present: Vec<OrgId> = list.iter().map(|organization| organization.id.clone()).collect();
            for id in verification::vanished(db, &Records::load(cx.place), &present, cancel).await? {
                list.push(Organization { id, newest: None, events: Some(0) });
            }
            Output::Organizations((list, organizations::unnamed(db, cancel).await?))
        }
    })
}
