//! Sources that a table describes: which member of a record becomes which column. The tables of some sources are in
//! `assets/mappings`; anybody's own JSON is loaded by a file of the same form (`--mapping`), which
//! `docs/reference/mapping-files.md` describes.

mod builtin;
mod file;
mod path;
mod rule;

pub(super) use builtin::{gitlab, slack, teleport, vault};

use super::draft::{Changes, Draft, Record, When, action_of, at, text_at};
use super::format::{Format, Opened};
use super::record::Members;
use super::time::Moment;
use super::{Mapped, Mapping, Reject, time};
use crate::domain::{Action, ActorType, Category, Severity};
use crate::error::{Error, Result};
use path::Path;
use rule::Rule;
use serde_json::Value;
use std::path::Path as File;

/// A mapping.
#[derive(Debug, Clone)]
pub struct Declared {
    name: String,
    /// Members that a record has.
    has: Vec<Path>,
    /// Members that have a text.
    equals: Vec<(Path, String)>,
    time: Time,
    columns: Vec<(Column, Rule)>,
    /// The states before and after.
    before: Option<Path>,
    after: Option<Path>,
}

/// Where the time is, and how it is written.
#[derive(Debug, Clone)]
struct Time {
    from: Vec<Path>,
    format: TimeFormat,
    zone: Option<chrono_tz::Tz>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum TimeFormat {
    /// RFC 3339, and what databases print.
    Rfc3339,
    /// A number since 1970, of which one is so many microseconds, or of which so many are one.
    Epoch { times: i64, over: i64 },
    /// As `strftime` writes it.
    Pattern(String),
}

/// A column that a rule may fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Column(&'static str);

/// The columns that a mapping may fill; the others are made of these, of the time and of the states.
const COLUMNS: [&str; 16] = [
    "event_id",
    "organization_id",
    "project_id",
    "actor_type",
    "actor_id",
    "actor_ip",
    "actor_user_agent",
    "event_category",
    "event_type",
    "event_severity",
    "resource_type",
    "resource_id",
    "resource_name",
    "action",
    "request_id",
    "session_id",
];

/// Records that a mapping file describes.
pub(super) static DECLARED: Format = Format {
    name: "mapping",
    title: "a mapping file",
    help: "What a mapping file describes",
    has_chain: false,
    marks: &[],
    lists: &[],
    kinds: &[],
    // Which records are meant says the mapping.
    open: |_| Opened::Record,
    map: |text, mapping| match &mapping.declared {
        Some(declared) => declared.map(text, mapping),
        None => Err(Reject::new("no mapping file was named: --mapping FILE names one")),
    },
};

impl Declared {
    /// Reads a mapping file: TOML, or JSON where its name ends in `.json`.
    ///
    /// # Errors
    /// Exit 3 when it cannot be read; exit 2, with line, column and field, when it is no mapping.
    pub fn read(file: &File) -> Result<Self> {
        let shown = file.display();
        let text = std::fs::read_to_string(file).map_err(|e| {
            Error::could_not_run(format!("cannot read the mapping file '{shown}'")).because(e)
        })?;
        let is_json = file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
        let read = if is_json { file::of_json(&text) } else { file::of_toml(&text) };
        read.map_err(|why| {
            Error::usage(format!("the mapping file {shown}:{why}"))
                .hint("docs/reference/mapping-files.md describes the form")
        })
    }

    /// What an object is to it.
    fn open(&self, members: &Members<'_>) -> Opened {
        // By their top-level members first: of most objects nothing else has to be read.
        let has_tops = self.has.iter().all(|path| members.has_alike(path.first()));
        if !has_tops {
            return Opened::Foreign;
        }
        let values: Value = members
            .iter()
            .filter_map(|(key, raw)| Some((key.to_owned(), serde_json::from_str(raw.get()).ok()?)))
            .collect::<serde_json::Map<_, _>>()
            .into();
        if self.misses(&values).is_none() { Opened::Record } else { Opened::Foreign }
    }

    /// Why an object is none of its records.
    fn misses(&self, root: &Value) -> Option<String> {
        let absent = self.has.iter().find(|path| at(root, path.inner()).is_none());
        if let Some(path) = absent {
            return Some(format!("{path} is missing"));
        }
        let other =
            self.equals.iter().find(|(path, text)| text_at(root, &[path.inner()]).as_ref() != Some(text));
        other.map(|(path, text)| format!("{path} is not '{text}'"))
    }

    /// One record as an event.
    fn map(&self, text: &str, mapping: &Mapping) -> Result<Mapped, Reject> {
        let record = Record::parse(text, |_| Opened::Record)?;
        let root = &record.root;
        if let Some(why) = self.misses(root) {
            return Err(Reject::new(format!("not a record of the mapping '{}': {why}", self.name)));
        }
        let get = |column: &str| {
            let rule = self.columns.iter().find(|(own, _)| own.0 == column)?;
            rule.1.of(root)
        };
        let event_type = get("event_type").ok_or_else(|| self.nothing("event_type"))?;
        let verb = event_type.rsplit(['.', ':', '/']).next().unwrap_or(&event_type).to_owned();
        let action = match get("action") {
            Some(word) => word.parse::<Action>().ok().or_else(|| action_of(&word)),
            None => action_of(&verb),
        };
        let actor = get("actor_id");
        let kind = get("actor_type").and_then(|word| word.parse::<ActorType>().ok());
        let nobody = if actor.is_some() { ActorType::User } else { ActorType::System };
        Draft {
            id: get("event_id"),
            when: self.time.of(root, mapping)?,
            organization: get("organization_id"),
            project: get("project_id"),
            actor_type: kind.unwrap_or(nobody),
            actor,
            address: get("actor_ip"),
            user_agent: get("actor_user_agent"),
            category: get("event_category").and_then(|word| word.parse().ok()).unwrap_or(Category::Config),
            severity: get("event_severity").and_then(|word| word.parse().ok()).unwrap_or(Severity::Info),
            action: action.unwrap_or(Action::Update),
            resource_type: get("resource_type").unwrap_or_else(|| self.name.clone()),
            resource: get("resource_id"),
            resource_name: get("resource_name"),
            changes: self.changes(root),
            request: get("request_id"),
            session: get("session_id"),
            event_type,
        }
        .finish(&self.name, &record, mapping)
    }

    fn nothing(&self, column: &str) -> Reject {
        let rule = self.columns.iter().find(|(own, _)| own.0 == column);
        let places = rule.map_or_else(String::new, |(_, rule)| format!(" ({rule})"));
        Reject::new(format!("{column}: the record has nothing where the mapping looks for it{places}"))
    }

    /// The members of both states; a state that is no object counts as one value.
    fn changes(&self, root: &Value) -> Changes {
        let mut changes = Changes::default();
        let side = |path: &Option<Path>| path.as_ref().and_then(|path| at(root, path.inner())).cloned();
        match (side(&self.before), side(&self.after)) {
            (Some(Value::Object(before)), Some(Value::Object(after))) => {
                let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
                names.sort_unstable();
                names.dedup();
                for name in names {
                    changes.push(name, before.get(name).cloned(), after.get(name).cloned());
                }
            }
            (None, _) => {}
            (before, after) => changes.push("value", before, after),
        }
        changes
    }
}

impl Time {
    fn of(&self, root: &Value, mapping: &Mapping) -> Result<When, Reject> {
        let found = self.from.iter().find_map(|path| Some((path, text_at(root, &[path.inner()])?)));
        let Some((path, text)) = found else {
            let Some(timestamp) = mapping.default_time else {
                let places: Vec<String> = self.from.iter().map(Path::to_string).collect();
                let places = places.join(", ");
                return Err(Reject::new(format!(
                    "the record has no time ({places}): --default-time says which one it gets"
                )));
            };
            return Ok(When::known(Moment { timestamp, leap_second: false }));
        };
        let moment = match &self.format {
            TimeFormat::Rfc3339 => time::read(&text, mapping.zone.or(self.zone)),
            TimeFormat::Epoch { times, over } => time::epoch(&text, *times, *over),
            TimeFormat::Pattern(pattern) => time::by_pattern(&text, pattern, mapping.zone.or(self.zone)),
        };
        moment.map(When::known).map_err(|e| Reject::new(format!("{path}: {e}")))
    }
}

#[cfg(test)]
mod tests;
