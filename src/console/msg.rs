//! What can happen to the console, and what it then asks for. Both are data: `update` turns the one into the other.

use super::change::{Form, Laid, States};
use super::hunt::SoFar;
use super::life::Life;
use super::marks::{Glances, Look};
use super::panes::filter::List;
use super::panes::sheet::Subject;
use super::shelf::{Shelf, Shelving};
use super::slots::{Slot, Ticket};
use crate::case::accepted::Record;
use crate::diff::chronicle::Chronicle;
use crate::diff::json::{NodeId, OwnedDoc};
use crate::diff::outline::{Outline, Path};
use crate::diff::rows::View;
use crate::domain::{EventKey, EventRow, OrgId, OrgScope, Safe, TimeRange, Timestamp};
use crate::filter::{Field, Filter};
use crate::store::bounds::BoundsError;
use crate::store::cache::{Answer, Freshness};
use crate::store::cost::Cost;
use crate::store::history::Resource;
use crate::store::organizations::Organization;
use crate::store::timeline::{Count, Looked, Query, Seek};
use crate::store::{ServerFacts, StoreError};
use crate::verify::{EventReport, Ghosts, Progress, Report};
use crossterm::event::KeyEvent;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

/// When a message came about. Neither `update` nor `render` reads a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    /// By the calendar.
    pub(crate) wall: Timestamp,
    /// Since the console started; never runs backwards.
    pub(crate) clock: Duration,
}

/// Something that happened.
#[derive(Debug)]
pub(crate) struct Msg {
    /// When.
    pub(crate) at: Moment,
    /// What.
    pub(crate) what: What,
}

/// The kinds of things that happen.
#[derive(Debug)]
pub(crate) enum What {
    /// A key was pressed or repeats.
    Key(KeyEvent),
    /// Text was pasted.
    Paste(String),
    /// The terminal has another size: columns, lines.
    Resize(u16, u16),
    /// The moment that [`super::model::Model::next_wake`] asked for has come.
    Tick,
    /// SIGINT, from elsewhere than the keyboard.
    Interrupt,
    /// A task says how far it has come.
    Progress(Ticket, Told),
    /// A task has ended. Every task ends once.
    Ended(Ticket, Outcome),
}

/// What a task says on its way.
#[derive(Debug)]
pub(crate) enum Told {
    /// How far a verification has come.
    Verifying(Progress),
    /// What a search for ghost changes has found so far.
    Ghosts(Box<SoFar>),
    /// How far a page that takes reading the whole table has come.
    Reading(Reading),
}

/// A page of a table without an index on time, on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reading {
    /// How much of the table has been read.
    pub(crate) percent: u8,
    /// Matching rows among it, at most those of a page.
    pub(crate) found: usize,
}

impl Reading {
    /// `no index on time: reading the whole table, 45 %, found 3`.
    pub(crate) fn describe(self) -> Safe {
        let Self { percent, found } = self;
        Safe::from_untrusted(&format!(
            "no index on time: reading the whole table, {percent} %, found {found}"
        ))
    }
}

/// How a task ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// With a result.
    Done(Output),
    /// It was stopped, on the server too.
    Cancelled,
    /// With an error.
    Failed(Failure),
    /// By a defect of the program.
    Panicked,
}

/// An error, fit for a pane.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Failure {
    /// What happened, and what to do.
    pub(crate) text: Safe,
    /// The connection is gone.
    pub(crate) lost: bool,
    /// It was asked to stop.
    pub(crate) cancelled: bool,
}

impl Failure {
    /// A failure of which nothing is known but its text.
    pub(crate) fn because(text: &str) -> Self {
        Self { text: Safe::from_untrusted(text), ..Self::default() }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let remedy = match &error {
            StoreError::NoTable => " · `agenttrace db migrate` makes it, `agenttrace demo` shows a trail",
            StoreError::Certificate(_) => " · name its authority with sslrootcert=FILE in the URL",
            StoreError::ReplicaConflict => " · R tries again",
            StoreError::NothingGranted => " · an administrator grants organisations to roles",
            StoreError::NotEncrypted => " · switch TLS on there, or add ?sslmode=disable to the URL",
            StoreError::Regex(_) => " · it is PostgreSQL's notation: \\( is a parenthesis itself",
            StoreError::TimedOut { .. } => " · narrow the filter, or raise --timeout",
            _ => "",
        };
        Self {
            text: Safe::from_untrusted(&format!("{error}{remedy}")),
            lost: error.is_connection_loss(),
            cancelled: matches!(error, StoreError::Cancelled),
        }
    }
}

impl From<BoundsError> for Failure {
    fn from(error: BoundsError) -> Self {
        match error {
            BoundsError::Store(error) => error.into(),
            other => Self::because(&other.to_string()),
        }
    }
}

/// What a task brings.
#[derive(Debug)]
pub(crate) enum Output {
    /// A connection.
    Connected(ServerFacts),
    /// The server still answers.
    Alive(ServerFacts),
    /// The organisations of the table.
    Organizations(Vec<Organization>),
    /// The beginning of a view.
    Opened(Box<Opened>),
    /// More rows at one end of the view, newest first, whether there are others behind them, how far a walk past events
    /// that do not match has come, and the time it took.
    More(Vec<EventRow>, bool, Option<Looked>, Duration),
    /// A first guess of the number of events.
    Estimated(Count),
    /// The number of events.
    Counted(Answer<Count>),
    /// An event with its states; `None` when it is not there any more.
    Event(Option<Box<Detail>>),
    /// A change, a blame or a state as it is to be drawn.
    LaidOut(Laid),
    /// The tree of an event, and how secrets are masked; `None` when the event is not there any more.
    Tree(Option<Box<(Outline, View)>>),
    /// What was looked for in a tree, and the values that have it.
    TreeHits(String, Vec<NodeId>),
    /// Paths of a tree that fit some letters.
    TreePaths(Vec<Path>),
    /// The event of a resource next to another, and the resource; `None` when there is none.
    Version(Resource, Option<EventKey>),
    /// The next event that has what was looked for.
    Found(Option<EventKey>),
    /// The lists that a filter names.
    Lists(BTreeMap<String, List>),
    /// How a page was found, in two words.
    Way(String),
    /// The lines of a sheet.
    Sheet(Answer<Vec<Safe>>),
    /// What was learnt of the rows on the screen.
    Glanced(Box<Glances>),
    /// What was found out about one event; `None` when it is not there any more.
    EventVerified(Option<Box<EventReport>>),
    /// The versions of a resource; `None` where they are too much to be kept.
    Chronicle(Resource, Option<Arc<Chronicle>>),
    /// Changes without an event.
    Ghosts(Box<Ghosts>),
    /// What was found out about a trail.
    TrailVerified(Box<Report>),
    /// It is recorded that a finding is understood.
    Accepted(Box<Record>),
    /// Filters that are kept.
    Shelf(Shelf),
    /// What the filter that is typed will cost, and how long its page will take.
    Priced(Box<Cost>, Duration),
    /// Values of a field that go on from this beginning.
    Values(Field, String, Vec<String>),
}

/// A view as it is opened.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Opened {
    /// Where it was entered.
    pub(crate) land: Land,
    /// The bounds, from now on frozen.
    pub(crate) range: TimeRange,
    /// Rows, newest first.
    pub(crate) rows: Vec<EventRow>,
    /// Whether there are newer rows than the first.
    pub(crate) has_newer: bool,
    /// Whether there are older rows than the last.
    pub(crate) has_older: bool,
    /// How far a walk past events that do not match has come.
    pub(crate) looked: Option<Looked>,
    /// The row to stand on.
    pub(crate) selected: usize,
    /// The organisation's newest event, filter or not; not looked up where the bounds were known and rows came.
    pub(crate) newest: Option<Timestamp>,
    /// For an empty view: the newest event before its window.
    pub(crate) nearest_older: Option<Timestamp>,
    /// The time its page took.
    pub(crate) took: Duration,
}

/// An event with its states laid out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Detail {
    /// The event.
    pub(crate) row: EventRow,
    /// What was fetched of its states.
    pub(crate) states: States,
    /// Lines of the state before.
    pub(crate) previous_state: Option<Vec<Safe>>,
    /// Lines of the state after.
    pub(crate) new_state: Option<Vec<Safe>>,
}

/// Where a view is entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Land {
    /// At the newest event.
    Newest,
    /// At the oldest event.
    Oldest,
    /// At this event, or where it would stand.
    At(EventKey),
}

/// What a view shows, before its bounds are known.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ask {
    /// The organisation.
    pub(crate) scope: OrgScope,
    /// The predicate.
    pub(crate) filter: Filter,
    /// Bounds of an earlier visit; else they are worked out from the filter.
    pub(crate) range: Option<TimeRange>,
    /// The clock for relative times.
    pub(crate) now: Timestamp,
    /// Length of the default window.
    pub(crate) window: Duration,
}

/// Work for the executor.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Work {
    /// Connect, after waking the private server where there is one.
    Connect {
        /// The connection was lost: a private server may have to be started again.
        revive: bool,
    },
    /// Find out whether the server answers.
    Pulse,
    /// List the organisations.
    Organizations,
    /// Enter a view.
    Open(Box<Ask>, Land),
    /// A page that borders on what is there.
    More(Query, Seek),
    /// A guess of the number of events.
    Estimate(Query),
    /// The number of events.
    Count(Query, Freshness),
    /// Ask how a page is found.
    Way(Query, Seek),
    /// An event with its states, each whole up to this many bytes.
    Event(OrgScope, EventKey, u32),
    /// Two states compared.
    LayOut(States, Form),
    /// Who last set each value of a resource.
    Blame(Life, Form),
    /// The state of a resource after an event.
    State(Life, Form),
    /// The same after a version that is at hand, or before the first.
    StateAt(Arc<Chronicle>, Option<usize>, Form),
    /// All versions of a resource.
    Chronicle(OrgScope, Resource),
    /// The tree of an event.
    Tree(OrgScope, EventKey),
    /// Look for a text in a tree.
    TreeFind(Arc<OwnedDoc>, Box<View>, String),
    /// Look for paths by some of their letters, so many at most.
    TreePaths(Arc<OwnedDoc>, String, usize),
    /// Look for the event of a query that stands next there.
    Find(Box<Query>, Seek),
    /// Read lists that a filter names.
    Lists(BTreeSet<String>),
    /// What is said about a view as a whole, in lines of so many columns.
    Sheet(Query, Subject, usize, Freshness),
    /// The event of a resource before this one, or after it.
    Version {
        /// The organisation.
        scope: OrgScope,
        /// The resource.
        resource: Resource,
        /// The event.
        of: EventKey,
        /// Towards the past.
        older: bool,
    },
    /// What can be learnt of rows by reading their states.
    Glance(Look),
    /// Whether one event is as it was written, and its place in the chain: where that is quickly found, or when it must
    /// be found.
    VerifyEvent(OrgScope, EventKey, bool),
    /// Look for changes without an event.
    Ghosts(Box<Query>),
    /// Whether a whole trail is.
    VerifyTrail {
        /// The organisation.
        scope: OrgScope,
        /// Go on with what was interrupted, if anything was.
        resume: bool,
        /// Most events a second.
        throttle: Option<NonZeroU32>,
    },
    /// Record that a finding is understood.
    Accept(Box<Record>),
    /// Look at the filters that are kept, or change them.
    Shelf(OrgId, Shelving),
    /// Guess what a view will cost.
    Price(Box<Ask>),
    /// Look for values of a field that go on from this beginning.
    Values(OrgScope, Field, String),
}

/// How the verification of a trail that is running shall go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Steer {
    /// Not at all for a while, or on again.
    Pause(bool),
    /// At most so many events a second.
    Throttle(Option<NonZeroU32>),
}

/// What `update` wants done.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Effect {
    /// Run work; whatever ran in the slot is cancelled.
    Start(Ticket, Work),
    /// Stop what runs in a slot; it will still report its end.
    Cancel(Slot),
    /// Change the pace of the verification of a trail.
    Steer(Steer),
    /// Give the terminal back and stop until `fg`.
    Suspend,
    /// Give the terminal a text for the clipboard.
    Copy(String),
    /// Draw everything anew.
    Redraw,
    /// Leave.
    Quit,
}

/// What one message leads to.
pub(crate) type Effects = Vec<Effect>;
