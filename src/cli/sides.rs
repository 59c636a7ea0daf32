//! The two sides of `agenttrace diff`: of an event, of two events, of a resource at two times, or of two files.

use super::{Context, Reader};
use crate::case::activity::Step;
use crate::diff::Budget;
use crate::diff::history::{self, At, Known, Version};
use crate::diff::json::Limits;
use crate::diff::writing::Writing;
use crate::domain::{Event, Json, OrgScope, Safe, Timestamp};
use crate::error::{Error, Kind, Result};
use crate::investigation::activity;
use crate::store;
use crate::store::listing::timeline;
use crate::verify;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What the command line names.
#[derive(Debug, Clone, clap::Args)]
pub struct Operands {
    /// Id of the event
    #[arg(value_name = "EVENT", allow_hyphen_values = true, value_parser = super::event_id, required_unless_present_any = ["resource", "files"])]
    pub event: Option<String>,
    /// Id of a second event
    #[arg(value_name = "EVENT", allow_hyphen_values = true, value_parser = super::event_id)]
    pub other: Option<String>,
    /// A resource instead of events: its state at one time against another
    #[arg(long, num_args = 2, value_names = ["TYPE", "ID"], requires = "since", conflicts_with_all = ["event", "files"])]
    pub resource: Vec<String>,
    /// The older time, such as 2026-01-15T09:58:00Z
    #[arg(long, value_name = "TIME", requires = "resource")]
    pub since: Option<String>,
    /// The newer time [default: now]
    #[arg(long, value_name = "TIME", requires = "resource")]
    pub until: Option<String>,
    /// Two files with JSON instead of events
    #[arg(long, num_args = 2, value_names = ["OLD", "NEW"], conflicts_with = "event")]
    pub files: Vec<PathBuf>,
}

/// Nobody waits for a frame here: everything up to the size that PostgreSQL itself sends in one piece.
pub(super) const BUDGET: Budget = Budget { bytes: 64 << 20, nodes: 2_000_000, time: Duration::from_mins(1) };

/// Events of a resource that are read, unless `--limit` says otherwise.
pub(super) const MOST_EVENTS: u32 = 5_000;

/// What is compared.
#[derive(Debug, Default)]
pub(super) struct Sides {
    /// The organisation, unless the texts are files.
    pub(super) organization: Option<String>,
    /// The events whose states these are, older first.
    pub(super) events: Vec<String>,
    pub(super) old: Option<String>,
    pub(super) new: Option<String>,
    /// Paths (JSON Pointers) of each side whose value is unknown, because it changed without an event.
    pub(super) unknown: [Vec<String>; 2],
    /// How the states of the resource type are written.
    pub(super) writing: Writing,
}

impl Sides {
    /// Finds what the arguments name.
    ///
    /// # Errors
    /// Exit 2 for arguments that do not go together, 3 for a file that cannot be read, 4 when an event does not exist
    /// or a state is not known.
    pub(super) async fn find(context: &Context, args: &Operands, cancel: &CancellationToken) -> Result<Self> {
        if let [old, new] = args.files.as_slice() {
            let (old, new) = (Some(read(old)?), Some(read(new)?));
            return Ok(Self { old, new, ..Self::default() });
        }
        let moments = Moments::of(args)?;
        let reader = context.reader().await?;
        let scope = context.scope(&reader).await?;
        match (moments, &args.event) {
            (Some(moments), _) => moments.sides(context, &reader, &scope, cancel).await,
            (None, Some(id)) => of_events(context, &reader, &scope, id, args.other.as_deref(), cancel).await,
            (None, None) => Err(Error::usage("there is nothing to compare")
                .hint("agenttrace diff EVENT, or --resource TYPE ID --since TIME, or --files OLD NEW")),
        }
    }

    /// What is unknown of the sides, in a line each.
    pub(super) fn warnings(&self) -> Vec<String> {
        let line = |(side, paths): (&str, &Vec<String>)| {
            let named: Vec<String> = paths
                .iter()
                .map(|path| {
                    if path.is_empty() {
                        "all of it".to_owned()
                    } else {
                        Safe::from_untrusted(path).to_string()
                    }
                })
                .collect();
            (!named.is_empty()).then(|| {
                format!(
                    "unknown in the {side} state, changed without an event before the next one: {}",
                    named.join(", ")
                )
            })
        };
        let writing = self.writing.remark().map(str::to_owned);
        ["older", "newer"].into_iter().zip(&self.unknown).filter_map(line).chain(writing).collect()
    }
}

fn read(path: &Path) -> Result<String> {
    let failed = |e: String| Error::could_not_run(format!("cannot read {}: {e}", path.display()));
    let size = std::fs::metadata(path).map_err(|e| failed(e.to_string()))?.len();
    if size > BUDGET.bytes as u64 {
        return Err(failed(format!("{size} bytes, and at most {} are compared", BUDGET.bytes)));
    }
    let text = std::fs::read_to_string(path).map_err(|e| failed(e.to_string()))?;
    // A byte order mark is no part of the text.
    Ok(text.trim_start_matches('\u{feff}').trim().to_owned())
}

/// Exit 4: the organisation knows nothing of the resource.
pub(super) fn no_events(scope: &OrgScope, resource: &store::history::Resource) -> Error {
    let (kind, id) = (Safe::from_untrusted(&resource.kind), Safe::from_untrusted(&resource.id));
    let message = format!("organisation '{}' has no event of {kind}/{id}", scope.organization());
    Error::new(Kind::Incomplete, message).hint("--org ID looks into another organisation")
}

async fn of_events(
    context: &Context,
    reader: &Reader,
    scope: &OrgScope,
    id: &str,
    other: Option<&str>,
    cancel: &CancellationToken,
) -> Result<Sides> {
    let (first, writing) = event(context, reader, scope, id, cancel).await?;
    let mut events = vec![id.to_owned()];
    let (old, new) = match other {
        Some(other) => {
            events.push(other.to_owned());
            (first.new_state, event(context, reader, scope, other, cancel).await?.0.new_state)
        }
        None => (first.previous_state, first.new_state),
    };
    let text = |state: Option<Json>| state.map(|state| state.as_str().to_owned());
    let organization = Some(scope.organization().as_str().to_owned());
    Ok(Sides { organization, events, old: text(old), new: text(new), writing, ..Sides::default() })
}

/// An event with its states as wholes, and how they are stored.
async fn event(
    context: &Context,
    reader: &Reader,
    scope: &OrgScope,
    id: &str,
    cancel: &CancellationToken,
) -> Result<(Event, Writing)> {
    let db = &reader.db;
    let mut event = timeline::event(db, scope, id, None, cancel).await?.ok_or_else(|| {
        let message =
            format!("organisation '{}' has no event '{}'", scope.organization(), Safe::from_untrusted(id));
        Error::new(Kind::Incomplete, message).hint("--org ID looks into another organisation")
    })?;
    context.record(reader, scope, Step::Event { event_id: id.to_owned() }, || activity::of_event(&event));
    let kind = &event.row.resource_type;
    let writing = verify::writing::writings(db, scope, Some(kind), cancel).await?.of(kind);
    writing.complete_one(&mut event, LIMITS);
    Ok((event, writing))
}

/// The newest events of a resource, oldest first, their states as wholes, and how they are stored.
pub(super) async fn life(
    context: &Context,
    reader: &Reader,
    scope: &OrgScope,
    resource: &store::history::Resource,
    limit: u32,
    cancel: &CancellationToken,
) -> Result<(Vec<Event>, Writing)> {
    let db = &reader.db;
    let mut events = store::history::events(db, scope, resource, None, limit, cancel).await?;
    if events.is_empty() {
        return Err(no_events(scope, resource));
    }
    context.record(reader, scope, activity::resource(resource, limit), || activity::of_rows(&events));
    let writing =
        verify::writing::writings(db, scope, Some(&resource.kind), cancel).await?.of(&resource.kind);
    writing.complete(&mut events, LIMITS);
    Ok((events, writing))
}

/// A resource at two times.
struct Moments {
    resource: store::history::Resource,
    since: Timestamp,
    /// `None`: as it is now.
    until: Option<Timestamp>,
}

impl Moments {
    /// What `--resource TYPE ID --since TIME [--until TIME]` says.
    fn of(args: &Operands) -> Result<Option<Self>> {
        let ([kind, id], Some(since)) = (args.resource.as_slice(), &args.since) else { return Ok(None) };
        let time =
            |name: &str, text: &str| Timestamp::parse(text).map_err(|e| Error::usage(format!("{name}: {e}")));
        let since = time("--since", since)?;
        let until = args.until.as_deref().map(|text| time("--until", text)).transpose()?;
        if until.is_some_and(|until| until < since) {
            return Err(Error::usage("--until is before --since"));
        }
        Ok(Some(Self {
            resource: store::history::Resource { kind: kind.clone(), id: id.clone() },
            since,
            until,
        }))
    }

    async fn sides(
        &self,
        context: &Context,
        reader: &Reader,
        scope: &OrgScope,
        cancel: &CancellationToken,
    ) -> Result<Sides> {
        let (events, writing) = life(context, reader, scope, &self.resource, MOST_EVENTS, cancel).await?;
        let cut = events.len() == MOST_EVENTS as usize;
        let versions: Vec<Version<'_>> = events.iter().map(Version::from).collect();
        let at = |moment| history::state_at(&versions, moment, LIMITS);
        let (old, new) = (at(self.since), at(self.until.unwrap_or(Timestamp::INFINITY)));
        let ids = [&old, &new]
            .into_iter()
            .filter_map(|at| versions.get(at.version?).map(|v| v.event_id.to_owned()));
        Ok(Sides {
            organization: Some(scope.organization().as_str().to_owned()),
            events: ids.collect(),
            old: self.known(&old, Some(self.since), cut)?,
            new: self.known(&new, self.until, cut)?,
            unknown: [old.unknown, new.unknown],
            writing,
        })
    }

    /// The state, or none where the resource did not exist. `cut`: there are older events, which were not read.
    fn known(&self, at: &At<'_>, moment: Option<Timestamp>, cut: bool) -> Result<Option<String>> {
        match at.state {
            Known::State(text) => Ok(Some(text.to_owned())),
            Known::Absent => Ok(None),
            Known::Unknown => {
                let when = moment.map_or("now".to_owned(), |moment| format!("at {moment}"));
                let (kind, id) =
                    (Safe::from_untrusted(&self.resource.kind), Safe::from_untrusted(&self.resource.id));
                let error = Error::new(
                    Kind::Incomplete,
                    format!("no event recorded the state of {kind}/{id} {when}"),
                );
                let hint = if cut {
                    format!("only its newest {MOST_EVENTS} events were read")
                } else {
                    format!("agenttrace resource {kind} {id} lists its events")
                };
                Err(error.hint(hint))
            }
        }
    }
}

const LIMITS: Limits = Limits { bytes: BUDGET.bytes, nodes: BUDGET.nodes };
