//! What a file of events holds, for whoever gets it: `FILE.manifest.json`.

use crate::chain::Content;
use crate::domain::EventKey;
use serde::Serialize;
use std::collections::BTreeMap;

/// What was asked for. Known before the first event is read.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "the fields are the keys of the output")]
pub struct Request {
    pub schema_version: u32,
    pub program: &'static str,
    pub version: &'static str,
    pub format: &'static str,
    pub organization_id: String,
    /// As it was typed; it may name local lists.
    pub filter: String,
    pub since: Option<String>,
    pub until: Option<String>,
    pub order: &'static str,
    /// This machine's clock when the snapshot was taken.
    pub read_at: String,
    pub database: Database,
    /// The last verification of the trail on this machine that found it intact.
    pub last_intact: Option<LastIntact>,
    pub limits: Vec<String>,
}

/// Where the events come from.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "the fields are the keys of the output")]
pub struct Database {
    /// System identifier, database and table, as heads are remembered.
    pub identity: String,
    pub table: Option<String>,
    pub postgresql: u32,
    pub standing: String,
}

/// A verification that found the trail intact.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "the fields are the keys of the output")]
pub struct LastIntact {
    pub verified_at: String,
    pub events: Option<u64>,
    pub heads: Vec<String>,
}

/// What the file came to.
#[derive(Debug, Clone, Default, Serialize)]
#[expect(missing_docs, reason = "the fields are the keys of the output")]
pub struct Outcome {
    pub file: String,
    pub bytes: u64,
    pub sha256: String,
    pub events: u64,
    pub first: Option<Place>,
    pub last: Option<Place>,
    /// Events by what is known of their content; empty where it was not looked at.
    pub content: BTreeMap<&'static str, u64>,
    /// The scheme by which it was looked at.
    pub scheme: Option<&'static str>,
    /// Instants in which events stand by id instead of along the chain.
    pub instants_by_id: Vec<String>,
}

/// An event's place in the timeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the fields are the keys of the output")]
pub struct Place {
    pub timestamp: String,
    pub event_id: String,
}

/// The document beside the file.
#[derive(Debug, Serialize)]
pub struct Manifest<'a> {
    /// What was asked for.
    #[serde(flatten)]
    pub request: &'a Request,
    /// What it came to.
    #[serde(flatten)]
    pub outcome: &'a Outcome,
}

/// The line before the events.
#[derive(Debug, Serialize)]
pub struct FirstLine<'a> {
    /// Its only member.
    pub manifest: &'a Request,
}

impl From<&EventKey> for Place {
    fn from(key: &EventKey) -> Self {
        Self { timestamp: key.timestamp.to_rfc3339(), event_id: key.event_id.clone() }
    }
}

/// How the events of a file stand.
pub const ORDER: &str = "oldest first; inside one instant along the chain, else by id";

/// What a file of events does not prove. `marked`: their content was verified in passing.
pub fn limits(marked: bool) -> Vec<String> {
    let verified = if marked {
        "the content of each event was compared with its own hash; links between events were not verified"
    } else {
        "hashes and links were not verified while these events were read"
    };
    let complete = "these are the events that the filter matched in one snapshot of the table: that none had been removed \
                    before is not proven by this file";
    vec![complete.to_owned(), verified.to_owned()]
}

impl Outcome {
    /// Notes the first and the last one of some events in a row.
    pub fn reached(&mut self, first: Option<EventKey>, last: Option<EventKey>) {
        if self.first.is_none() {
            self.first = first.as_ref().map(Place::from);
        }
        if let Some(last) = &last {
            self.last = Some(Place::from(last));
        }
    }

    /// Counts an event.
    pub fn count(&mut self, content: Option<Content>) {
        self.events += 1;
        if let Some(content) = content {
            *self.content.entry(content.name()).or_default() += 1;
        }
    }
}
