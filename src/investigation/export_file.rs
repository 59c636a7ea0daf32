//! An export: all events of a query in a file of one format, with its manifest beside it.

use super::Records;
use super::export::{self, Arrangement, Part};
use super::output::{Output, Written};
use crate::chain::head::same_object;
use crate::chain::{Content, Judge};
use crate::domain::{Joiners, Timestamp};
use crate::error::{Error, Kind, Result};
use crate::export::manifest::{self, Database, FirstLine, LastIntact, Manifest, Outcome, Request};
use crate::export::{EventFile, FileFormat, Mark, Record, Style, json};
use crate::store::ReadDb;
use crate::store::query::{Looked, Query};
use crate::verify::{self, Detected, SchemeSource};
use chrono::Utc;
use std::path::{Path, PathBuf};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// What is to be written, and how.
#[derive(Debug, Clone)]
pub struct Job {
    /// Which events.
    pub query: Query,
    /// The filter as it was typed, for the manifest.
    pub filter: String,
    /// Form of the file.
    pub format: FileFormat,
    /// How events are written in it; with marks, the content of each is verified.
    pub style: Style,
    /// The file; `None` is standard output.
    pub path: Option<PathBuf>,
    /// A file that is there is replaced.
    pub replace: bool,
    /// The manifest's first part stands before the events.
    pub first_line: bool,
    /// What becomes of joiners of words.
    pub joiners: Joiners,
}

/// Runs it: `tell` is told how many events were read with each part, `announce` how far a walk past events that do not
/// match has come. The file appears when it is complete.
///
/// # Errors
/// When the file cannot be written or is there already, and when the database cannot be read; also when it was stopped. No
/// file is left behind then.
pub async fn run(
    db: &ReadDb,
    place: &str,
    job: &Job,
    tell: &(dyn Fn(u64) + Send + Sync),
    announce: Option<&(dyn Fn(&Looked) + Send + Sync)>,
    cancel: &CancellationToken,
) -> Result<Outcome> {
    let output = Output::new(job.path.as_deref())?;
    write_to(db, place, job, output, tell, announce, cancel).await
}

/// What [`run`] would write now, by its digest: no file is written.
///
/// # Errors
/// As [`run`].
pub async fn digest(db: &ReadDb, place: &str, job: &Job, cancel: &CancellationToken) -> Result<Outcome> {
    write_to(db, place, job, Output::nowhere(), &|_| {}, None, cancel).await
}

async fn write_to(
    db: &ReadDb,
    place: &str,
    job: &Job,
    output: Output,
    tell: &(dyn Fn(u64) + Send + Sync),
    announce: Option<&(dyn Fn(&Looked) + Send + Sync)>,
    cancel: &CancellationToken,
) -> Result<Outcome> {
    let query = &job.query;
    let detected = if job.style.marks {
        let memory = Records::load(place).memory(query.scope.organization().as_str());
        Some(verify::detect(db, &query.scope, SchemeSource::Remembered(&memory), cancel).await?)
    } else {
        None
    };
    let request = request(db, place, job, cancel).await?;
    let first = job.first_line.then_some(FirstLine { manifest: &request });
    let organization = query.scope.organization().as_str();
    let file = EventFile::new(output, job.format, job.style, job.joiners, organization, first.as_ref())?;
    let (send, receive) = mpsc::channel::<Part>(1);
    let streaming = db.at_one_snapshot(cancel, |db| {
        // Its end is that of the file.
        let send = send;
        async move {
            export::parts(&db, query, announce, cancel, async |part: Part| {
                tell(part.events());
                // Whoever writes has failed, and says why.
                send.send(part).await.map_err(|_| Error::silent(Kind::CouldNotRun))
            })
            .await
        }
    });
    let (streamed, written) = tokio::join!(streaming, aside(move || write(file, receive, detected)));
    // What could not be written comes first: it ended the reading.
    let (output, mut outcome) = written??;
    streamed?;
    let Written { bytes, sha256 } = output.complete(job.replace)?;
    (outcome.bytes, outcome.sha256) = (bytes, sha256);
    if let Some(path) = &job.path {
        outcome.file = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let mut beside = Output::new(Some(&manifest_path(path)))?;
        json::write_line(&mut beside, &Manifest { request: &request, outcome: &outcome })?;
        beside.complete(true)?;
    }
    Ok(outcome)
}

/// Where the manifest of a file stands.
pub fn manifest_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".manifest.json");
    name.into()
}

async fn request(db: &ReadDb, place: &str, job: &Job, cancel: &CancellationToken) -> Result<Request> {
    let facts = db.facts().await?;
    let query = &job.query;
    let organization = query.scope.organization().as_str();
    let identity = verify::identity(db, &query.scope, cancel).await?;
    let memory = Records::load(place).memory(organization);
    let last = memory.records.iter().rfind(|trail| same_object(&trail.object, &identity));
    let last_intact = last.map(|trail| LastIntact {
        verified_at: trail.verified_at.to_rfc3339(),
        events: trail.events,
        heads: trail.heads.iter().map(|head| head.hash.clone()).collect(),
    });
    let database = Database {
        identity,
        table: facts.table,
        postgresql: facts.major,
        standing: facts.standing.to_string(),
    };
    Ok(Request {
        schema_version: json::SCHEMA_VERSION,
        program: env!("CARGO_PKG_NAME"),
        version: env!("CARGO_PKG_VERSION"),
        format: job.format.name(),
        organization_id: organization.to_owned(),
        filter: job.filter.clone(),
        since: query.range.since.map(Timestamp::to_rfc3339),
        until: query.range.until.map(Timestamp::to_rfc3339),
        order: manifest::ORDER,
        read_at: Timestamp::from(Utc::now()).to_rfc3339(),
        database,
        last_intact,
        limits: manifest::limits(job.style.marks),
    })
}

/// Decodes and writes what comes in until nothing more comes.
fn write(
    mut file: EventFile<Output>,
    mut parts: mpsc::Receiver<Part>,
    detected: Option<Detected>,
) -> Result<(Output, Outcome)> {
    let mut judge = detected.as_ref().map(|detected| Judge::new(detected.scheme));
    let scheme = detected.as_ref().map(|detected| detected.used.name);
    let mut outcome = Outcome { scheme, ..Outcome::default() };
    let mut arrangement = Arrangement::default();
    while let Some(part) = parts.blocking_recv() {
        let events = arrangement.take(part)?;
        for event in &events {
            let content = match (&detected, &mut judge) {
                (Some(detected), Some(judge)) => Some(detected.judge(judge, event).content()),
                _ => None,
            };
            let mark = content.zip(scheme).map(|(content, scheme)| mark(content, scheme));
            file.write(Record::from(event), mark)?;
            outcome.count(content);
        }
        outcome
            .reached(events.first().map(|event| event.row.key()), events.last().map(|event| event.row.key()));
    }
    outcome.instants_by_id = arrangement.instants_by_id().into_iter().map(Timestamp::to_rfc3339).collect();
    Ok((file.finish()?, outcome))
}

fn mark(content: Content, scheme: &str) -> Mark<'_> {
    Mark { content: content.name(), scheme }
}

/// Runs blocking work away from the runtime's own threads.
#[expect(clippy::disallowed_methods, reason = "ends with the export that it writes")]
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|e| Error::could_not_run("the file could not be written").because(e))
}
