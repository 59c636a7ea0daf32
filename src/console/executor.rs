//! The one place that runs work: it owns every task, its cancellation and its result, and the connections.

use super::change::{self, CAP, States};
use super::hunt;
use super::life;
use super::marks;
use super::msg::{
    Ask, Detail, Effect, Failure, Land, Opened, Outcome, Output, Reading, Steer, Told, What, Work,
};
use super::pricing::Pricing;
use super::scan;
use super::sheets;
use super::shelf;
use super::slots::{Slot, Ticket};
use super::travel;
use super::tree;
use super::window::PAGE;
use crate::case::{self, accepted, lists};
use crate::config::Target;
use crate::diff::rows::{View, size};
use crate::diff::{Options, outline};
use crate::domain::{EventKey, EventRow, OrgScope};
use crate::export::pretty::{Limits, pretty};
use crate::store::timeline::{self, Looked, Pace, Page, Query, Seek};
use crate::store::{
    ReadDb, ReadSettings, StoreError, answers, bounds, cost, explain, history, links, organizations, values,
};
use crate::verify::{self, Gauge};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

/// How long counting may take before the estimate has to do.
const COUNT_BUDGET: Duration = Duration::from_secs(3);

/// A walk past events that do not match shows what it has found after this time; then it goes on.
const UNHURRIED: Pace<'static> = Pace { patience: Some(Duration::from_millis(300)), progress: None };

/// How long leaving waits for the server to confirm that statements have ended.
const LEAVE_LIMIT: Duration = Duration::from_secs(2);

/// What a task brings besides what the model may see.
type Result = std::result::Result<(Output, Option<ReadDb>), Failure>;

/// How far the work of a ticket has come.
type Word = (Ticket, Told);

/// Runs effects. A `JoinSet` reports every task exactly once, also one that panicked.
#[derive(Debug)]
pub(crate) struct Executor {
    target: Target,
    settings: ReadSettings,
    options: Arc<Options>,
    pricing: Arc<Pricing>,
    db: Option<ReadDb>,
    tasks: JoinSet<Result>,
    tickets: HashMap<Id, Ticket>,
    running: HashMap<Slot, CancellationToken>,
    /// Of the trail that was last begun to be verified.
    trail: Arc<Gauge>,
    /// How far tasks have come: the end for the tasks, and ours.
    told: (UnboundedSender<Word>, UnboundedReceiver<Word>),
}

impl Executor {
    /// An executor for a target, not connected yet. `options` say how states are compared.
    pub(crate) fn new(target: Target, settings: ReadSettings, options: Options) -> Self {
        Self {
            target,
            settings,
            options: Arc::new(options),
            pricing: Arc::default(),
            db: None,
            tasks: JoinSet::new(),
            tickets: HashMap::new(),
            running: HashMap::new(),
            trail: Arc::default(),
            told: unbounded_channel(),
        }
    }

    /// Whether a result is to be expected.
    pub(crate) fn is_busy(&self) -> bool {
        !self.tasks.is_empty()
    }

    /// Starts or cancels work. Effects that concern the terminal are not for here.
    pub(crate) fn run(&mut self, effect: Effect) {
        match effect {
            Effect::Start(ticket, work) => {
                let token = CancellationToken::new();
                if let Some(replaced) = self.running.insert(ticket.slot(), token.clone()) {
                    replaced.cancel();
                }
                let handle = match (work, self.db.clone()) {
                    (Work::Connect { revive }, _) => {
                        let (target, settings) = (self.target.clone(), self.settings.clone());
                        self.tasks.spawn(async move {
                            tokio::select! {
                                result = connect(target, settings, revive) => result,
                                () = token.cancelled() => Err(StoreError::Cancelled.into()),
                            }
                        })
                    }
                    (work, Some(db)) => {
                        let options = Arc::clone(&self.options);
                        let gauge = Arc::new(Gauge::new());
                        if let Work::VerifyTrail { throttle, .. } = &work {
                            gauge.pace().throttle(*throttle);
                            self.trail = Arc::clone(&gauge);
                        }
                        let pricing = Arc::clone(&self.pricing);
                        let told = self.told.0.clone();
                        let tell = move |word| {
                            // Nobody listens any more when the console is being left.
                            let _ = told.send((ticket, word));
                        };
                        self.tasks.spawn(async move {
                            Ok((perform(&db, work, (&options, &pricing), &gauge, tell, &token).await?, None))
                        })
                    }
                    (_, None) => self.tasks.spawn(async { Err(StoreError::Cancelled.into()) }),
                };
                self.tickets.insert(handle.id(), ticket);
            }
            Effect::Cancel(slot) => {
                if let Some(token) = self.running.remove(&slot) {
                    token.cancel();
                }
            }
            Effect::Steer(Steer::Pause(paused)) => self.trail.pace().pause(paused),
            Effect::Steer(Steer::Throttle(per_second)) => self.trail.pace().throttle(per_second),
            Effect::Suspend | Effect::Copy(_) | Effect::Redraw | Effect::Quit => {}
        }
    }

    /// The next end of a task, or word of how far one has come. Pending while there is none.
    pub(crate) async fn next(&mut self) -> What {
        loop {
            let ended = tokio::select! {
                Some(ended) = self.tasks.join_next_with_id() => ended,
                Some((ticket, told)) = self.told.1.recv() => return What::Progress(ticket, told),
            };
            let (id, outcome) = match ended {
                Ok((id, result)) => (id, self.outcome(result)),
                Err(error) => {
                    tracing::error!(%error, "a task ended by a defect");
                    (error.id(), Outcome::Panicked)
                }
            };
            if let Some(ticket) = self.tickets.remove(&id) {
                tracing::debug!(?ticket, ?outcome, "ended");
                return What::Ended(ticket, outcome);
            }
        }
    }

    fn outcome(&mut self, result: Result) -> Outcome {
        match result {
            Ok((output, db)) => {
                if db.is_some() {
                    self.db = db;
                }
                Outcome::Done(output)
            }
            Err(failure) if failure.cancelled => Outcome::Cancelled,
            Err(failure) => Outcome::Failed(failure),
        }
    }

    /// Stops everything, waits a little for the server's confirmation, and closes the connections.
    pub(crate) async fn close(mut self) {
        for token in self.running.values() {
            token.cancel();
        }
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(LEAVE_LIMIT, ended).await.is_err() {
            self.tasks.abort_all();
        }
        if let Some(db) = &self.db {
            db.close().await;
        }
    }
}

async fn connect(target: Target, settings: ReadSettings, revive: bool) -> Result {
    if let (true, Some(server)) = (revive, target.server.clone()) {
        let revived = tokio::task::spawn_blocking(move || server.revive().map_err(|e| e.to_string())).await;
        if let Ok(Err(reason)) = revived {
            return Err(Failure { lost: true, ..Failure::because(&reason) });
        }
    }
    let db = ReadDb::connect_near(target.options, target.replica, settings).await?;
    let facts = db.facts().await?;
    Ok((Output::Connected(facts), Some(db)))
}

async fn perform(
    db: &ReadDb,
    work: Work,
    (options, pricing): (&Arc<Options>, &Pricing),
    gauge: &Arc<Gauge>,
    tell: impl Fn(Told) + Sync,
    cancel: &CancellationToken,
) -> std::result::Result<Output, Failure> {
    Ok(match work {
        // Has a way of its own: it needs no database yet.
        Work::Connect { .. } => return Err(StoreError::Cancelled.into()),
        Work::Pulse => Output::Alive(db.facts().await?),
        Work::Organizations => Output::Organizations(organizations::list(db, cancel).await?),
        Work::Open(ask, land) => {
            let begun = Instant::now();
            let filter = ask.filter.clone();
            let watch = |looked: &Looked| tell_reading(looked, &tell);
            let pace = Pace { progress: Some(&watch), ..UNHURRIED };
            let opened = open(db, *ask, land, pace, cancel).await?;
            if opened.land == Land::Newest && opened.looked.as_ref().is_none_or(|l| l.resume.is_none()) {
                pricing.learn(&filter, begun.elapsed());
            }
            Output::Opened(Box::new(opened))
        }
        Work::More(query, seek) => {
            let older = !matches!(seek, Seek::NewerThan(_));
            let watch = |looked: &Looked| tell_reading(looked, &tell);
            let pace = Pace { progress: Some(&watch), ..if older { UNHURRIED } else { Pace::default() } };
            let begun = Instant::now();
            let page = timeline::page_at(db, &query, &seek, PAGE, pace, cancel).await?;
            let more = if older { page.has_older } else { page.has_newer };
            Output::More(page.rows, more, page.looked, begun.elapsed())
        }
        Work::Way(query, seek) => {
            Output::Way(explain::page(db, &query, &seek, PAGE, false, cancel).await?.in_short())
        }
        Work::Estimate(query) => Output::Estimated(timeline::estimate(db, &query, cancel).await?),
        Work::Count(query, wanted) => {
            Output::Counted(answers::count(db, &query, COUNT_BUDGET, wanted, cancel).await?)
        }
        Work::Glance(look) => Output::Glanced(Box::new(marks::look(db, look, options, cancel).await?)),
        Work::VerifyEvent(scope, key, thorough) => {
            // What is large is not fetched because the selection has come to rest on it.
            if !thorough && is_large(db, &scope, &key, cancel).await? {
                let cap = size(CAP as usize);
                return Err(Failure::because(&format!(
                    "a state is larger than {cap}: v verifies it all the same"
                )));
            }
            let event = timeline::event(db, &scope, &key.event_id, Some(key.timestamp), cancel).await?;
            Output::EventVerified(match event {
                Some(event) => {
                    let neighbours = thorough || links::are_quick(db, cancel).await?;
                    let report = verify::verify_read(db, &scope, &event, neighbours, cancel).await?;
                    Some(Box::new(report))
                }
                None => None,
            })
        }
        Work::Accept(record) => {
            let kept =
                case::folder().and_then(|folder| accepted::append(&folder.join(accepted::FILE), &record));
            kept.map_err(|e| Failure::because(&e.to_string()))?;
            Output::Accepted(record)
        }
        Work::VerifyTrail { scope, resume, throttle: _ } => {
            let tell = |progress| tell(Told::Verifying(progress));
            Output::TrailVerified(Box::new(scan::trail(db, scope, resume, gauge, tell, cancel).await?))
        }
        Work::Event(scope, key, cap) => {
            Output::Event(event(db, &scope, &key, cap, cancel).await?.map(Box::new))
        }
        Work::Ghosts(query) => Output::Ghosts(Box::new(hunt::ghosts(db, &query, tell, cancel).await?)),
        Work::Tree(scope, key) => {
            let view = View { rules: options.rules.clone(), ..View::default() };
            match tree::read(db, &scope, &key, cancel).await? {
                Some(event) => {
                    let outline = aside(move || tree::build(&event)).await??;
                    Output::Tree(Some(Box::new((outline, view))))
                }
                None => Output::Tree(None),
            }
        }
        Work::TreeFind(doc, view, text) => {
            let cancel = cancel.clone();
            let find = move || {
                let hits = outline::hits(&doc.doc(), &text, &view, &|| cancel.is_cancelled());
                hits.map(|hits| Output::TreeHits(text, hits))
            };
            aside(find).await?.ok_or(StoreError::Cancelled)?
        }
        Work::TreePaths(doc, text, most) => {
            let cancel = cancel.clone();
            let find = move || outline::paths(&doc.doc(), &text, most, &|| cancel.is_cancelled());
            Output::TreePaths(aside(find).await?.ok_or(StoreError::Cancelled)?)
        }
        Work::LayOut(states, form) => {
            let (options, cancel, begun) = (Arc::clone(options), cancel.clone(), Instant::now());
            let work = move || {
                let elapsed = || if cancel.is_cancelled() { Duration::MAX } else { begun.elapsed() };
                change::lay_out(&states, &form, &options, &elapsed)
            };
            Output::LaidOut(aside(work).await?)
        }
        Work::Blame(life, form) => {
            let events = life::events(db, &life, cancel).await?;
            let (options, cancel) = (Arc::clone(options), cancel.clone());
            let stop = move || cancel.is_cancelled();
            Output::LaidOut(aside(move || life::blame(&events, life.now, &form, &options, &stop)).await??)
        }
        Work::State(life, form) => {
            let moment = history::moment(db, &life.scope, &life.resource, &life.event, CAP, cancel).await?;
            let (options, cancel, begun) = (Arc::clone(options), cancel.clone(), Instant::now());
            let work = move || {
                let elapsed = || if cancel.is_cancelled() { Duration::MAX } else { begun.elapsed() };
                travel::state(&moment, &form, &options, &elapsed)
            };
            Output::LaidOut(aside(work).await?)
        }
        Work::StateAt(chronicle, index, form) => {
            let (options, cancel, begun) = (Arc::clone(options), cancel.clone(), Instant::now());
            let work = move || {
                let elapsed = || if cancel.is_cancelled() { Duration::MAX } else { begun.elapsed() };
                travel::state_at(&chronicle, index, &form, &options, &elapsed)
            };
            Output::LaidOut(aside(work).await?)
        }
        Work::Chronicle(scope, resource) => {
            let found = travel::chronicle(db, &scope, &resource, cancel).await?;
            Output::Chronicle(resource, found.map(Arc::new))
        }
        Work::Find(query, seek) => {
            let page = timeline::page(db, &query, &seek, 1, cancel).await?;
            Output::Found(page.rows.first().map(EventRow::key))
        }
        Work::Lists(names) => {
            let read = |name: String| (name.clone(), lists::read(&name));
            Output::Lists(aside(move || names.into_iter().map(read).collect()).await?)
        }
        Work::Shelf(organization, what) => {
            let put = aside(move || shelf::put(&organization, what)).await?;
            Output::Shelf(put.map_err(|e| Failure::because(&e.to_string()))?)
        }
        Work::Price(ask) => {
            let Ask { scope, filter, now, window, .. } = *ask;
            let range = bounds::freeze(db, &scope, &filter, now, window, cancel).await?.range;
            let query = Query { scope, filter, range };
            let cost = cost::guess(db, &query, cancel).await?;
            let time = pricing.expect(&query.filter, &cost);
            Output::Priced(Box::new(cost), time)
        }
        Work::Values(scope, field, begun) => {
            let found = values::of(db, &scope, field, &begun, cancel).await?;
            Output::Values(field, begun, found)
        }
        Work::Sheet(query, subject, width, wanted) => {
            Output::Sheet(sheets::work_out(db, &query, subject, width, wanted, cancel).await?)
        }
        Work::Version { scope, resource, of, older } => {
            let found = history::neighbour(db, &scope, &resource, &of, older, cancel).await?;
            Output::Version(resource, found)
        }
    })
}

/// Tells how much of a table without an index on time has been read.
fn tell_reading(looked: &Looked, tell: &impl Fn(Told)) {
    if let Some(percent) = looked.percent {
        tell(Told::Reading(Reading { percent, found: looked.found }));
    }
}

async fn open(
    db: &ReadDb,
    ask: Ask,
    land: Land,
    pace: Pace<'_>,
    cancel: &CancellationToken,
) -> std::result::Result<Opened, Failure> {
    let (range, mut newest_event) = if let Some(range) = ask.range {
        (range, None)
    } else {
        let frozen = bounds::freeze(db, &ask.scope, &ask.filter, ask.now, ask.window, cancel).await?;
        (frozen.range, frozen.newest)
    };
    let query = Query { scope: ask.scope.clone(), filter: ask.filter.clone(), range };
    let begun = Instant::now();
    let (Page { rows, has_older, has_newer, looked }, selected) = match &land {
        Land::Newest => (timeline::page_at(db, &query, &Seek::Newest, PAGE, pace, cancel).await?, 0),
        Land::Oldest => {
            let pace = Pace { patience: None, ..pace };
            let page = timeline::page_at(db, &query, &Seek::Oldest, PAGE, pace, cancel).await?;
            let last = page.rows.len().saturating_sub(1);
            (page, last)
        }
        Land::At(key) => around(db, &query, key, cancel).await?,
    };
    let took = begun.elapsed();
    let mut nearest_older = None;
    if rows.is_empty() {
        if newest_event.is_none() {
            newest_event = timeline::newest(db, &ask.scope, None, cancel).await?.map(|r| r.timestamp);
        }
        if let Some(since) = range.since {
            nearest_older = timeline::newest(db, &ask.scope, Some(since), cancel).await?.map(|r| r.timestamp);
        }
    }
    Ok(Opened {
        land,
        range,
        rows,
        has_newer,
        has_older,
        looked,
        selected,
        newest: newest_event,
        nearest_older,
        took,
    })
}

/// A page on either side of an event, and where it, or what comes next below it, stands.
async fn around(
    db: &ReadDb,
    query: &Query,
    key: &EventKey,
    cancel: &CancellationToken,
) -> std::result::Result<(Page, usize), StoreError> {
    let at = Seek::AtOrOlderThan(key.clone());
    let mut older = timeline::page_at(db, query, &at, PAGE, UNHURRIED, cancel).await?;
    // A walk on this side goes on by itself as soon as there is a row to go on from.
    let comes = !older.rows.is_empty() || older.looked.as_ref().is_some_and(|l| l.resume.is_some());
    let pace = if comes { UNHURRIED } else { Pace::default() };
    let mut newer = timeline::page_at(db, query, &Seek::NewerThan(key.clone()), PAGE, pace, cancel).await?;
    let selected = if older.rows.is_empty() { newer.rows.len().saturating_sub(1) } else { newer.rows.len() };
    newer.rows.append(&mut older.rows);
    Ok((Page { rows: newer.rows, has_newer: newer.has_newer, ..older }, selected))
}

async fn event(
    db: &ReadDb,
    scope: &OrgScope,
    key: &EventKey,
    cap: u32,
    cancel: &CancellationToken,
) -> std::result::Result<Option<Detail>, Failure> {
    let Some(event) = history::observe(db, scope, key, cap, cancel).await? else { return Ok(None) };
    let work = move || Detail {
        previous_state: event.previous.as_ref().map(|s| pretty(&s.text, Limits::SCREEN)),
        new_state: event.new.as_ref().map(|s| pretty(&s.text, Limits::SCREEN)),
        states: States { old: event.previous.map(Arc::new), new: event.new.map(Arc::new) },
        row: event.row,
    };
    aside(work).await.map(Some)
}

/// Whether a state of an event is larger than what is fetched unasked.
async fn is_large(
    db: &ReadDb,
    scope: &OrgScope,
    key: &EventKey,
    cancel: &CancellationToken,
) -> std::result::Result<bool, Failure> {
    let seen = history::observe(db, scope, key, CAP, cancel).await?;
    let states = seen.iter().flat_map(|event| [&event.previous, &event.new]).flatten();
    Ok(states.into_iter().any(|state| !state.is_whole()))
}

/// Runs what takes the processor for a while, away from the loop of the screen.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> std::result::Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.map_err(|e| match e.try_into_panic() {
        // Reported as every other defect is.
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_) => StoreError::Cancelled.into(),
    })
}
