//! An evidence bundle: the events of a query, placed in the log of the last signed checkpoint.

mod log;

use super::checkpoint::aside;
use super::output::{Output, Written};
use super::{Records, export, publication};
use crate::case::checkpoints;
use crate::case::keys;
use crate::chain::links::parse_hash;
use crate::chain::{Judge, Row, Scheme, to_hex};
use crate::domain::{Event, OrgScope, Safe, TimeRange, grouped};
use crate::error::{Error, Kind, Result};
pub use crate::evidence::bundle::Level;
use crate::evidence::bundle::{
    self, BundleError, Given, Header, Line, MOST_TERMS, Part, Redacted, State, Term, Writer,
};
use crate::evidence::checkpoint::{Signed, key_name};
use crate::evidence::note::PrivateKey;
use crate::evidence::tree::{Node, Peaks, Prover, leaf};
use crate::filter::{Expr, Filter, Match, Matcher};
use crate::store::ReadDb;
use crate::store::query::{Looked, Query};
use crate::verify;
use log::Log;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use tokio_util::sync::CancellationToken;

/// Most events that a bundle holds in full: their places are kept in memory, some 100 bytes each.
pub const MOST_EVENTS: usize = 200_000;
/// Longest text of an event that a bundle can hold, in bytes.
const LONGEST: usize = 32 << 20;
/// The same of an event with hidden columns: the others stand in base64.
const LONGEST_REDACTED: usize = 24 << 20;

/// What is to be put in a bundle.
#[derive(Debug, Clone)]
pub struct Job {
    /// Which events.
    pub query: Query,
    /// The filter in words; `None`: in its canonical spelling.
    pub words: Option<String>,
    /// What it holds of the others.
    pub level: Level,
    /// Key whose log is meant, and that seals; `None`: that of the last checkpoint of the trail.
    pub key: Option<String>,
    /// The file.
    pub path: PathBuf,
    /// A file that is there is replaced.
    pub replace: bool,
    /// Columns that are hidden, by name: [`HIDEABLE`](crate::evidence::bundle::HIDEABLE).
    pub redact: Vec<String>,
}

/// What the bundle came to.
#[derive(Debug)]
pub struct Outcome {
    /// Its header.
    pub header: Header,
    /// Selected events that are in no checkpoint.
    pub without_leaf: u64,
    /// It is sealed by the key of this name.
    pub sealed_by: Option<String>,
    /// The file.
    pub written: Written,
    /// What the bundle shows to be wrong with the trail.
    pub contradictions: Vec<String>,
}

/// Texts of events in a temporary file, with their places.
struct Spool {
    file: BufWriter<File>,
    at: u64,
    entries: Vec<Entry>,
    judge: Judge,
    longest: usize,
}

struct Entry {
    hash: Node,
    leaf: Option<u64>,
    is_selected: bool,
    at: u64,
    length: u64,
}

impl Spool {
    fn new(scheme: Scheme, longest: usize) -> Result<Self> {
        let file = BufWriter::with_capacity(1 << 16, tempfile::tempfile()?);
        Ok(Self { file, at: 0, entries: Vec::new(), judge: Judge::new(scheme), longest })
    }

    fn take(&mut self, event: &Event, is_selected: bool) -> Result<()> {
        let id = || Safe::from_untrusted(&event.row.event_id);
        let cannot = |why: &str| {
            Error::new(Kind::Incomplete, format!("the event {} cannot be put in a bundle: {why}", id()))
        };
        let hash =
            parse_hash(&event.row.hash).ok_or_else(|| cannot("it has no hash that could be proven"))?;
        let text = self.judge.hashed(&Row::from(event));
        let text = text.map_err(|e| cannot("its text cannot be written").because(e))?;
        if text.len() > self.longest {
            return Err(cannot(&format!("it is longer than {} MiB", self.longest >> 20)));
        }
        if self.entries.len() == MOST_EVENTS {
            return Err(Error::usage(format!(
                "a bundle holds at most {} events in full",
                grouped(MOST_EVENTS as u64)
            ))
            .hint("narrow the filter or its time, or use --level hashes"));
        }
        self.file.write_all(text.as_bytes())?;
        let length = text.len() as u64;
        self.entries.push(Entry { hash, leaf: None, is_selected, at: self.at, length });
        self.at += length;
        Ok(())
    }
}

/// Makes a bundle: `tell` is told how many events were read with each part.
///
/// # Errors
/// When the database, the leaves or the key cannot be read, the file cannot be written, no event matches (exit 4), an event
/// cannot be held, or (exit 1, level `rows`) events that the checkpoint covers are not in the trail.
pub async fn export(
    db: &ReadDb,
    place: &str,
    folder: PathBuf,
    job: Job,
    tell: &(dyn Fn(u64) + Send + Sync),
    announce: Option<&(dyn Fn(&Looked) + Send + Sync)>,
    cancel: &CancellationToken,
) -> Result<Outcome> {
    let organization = job.query.scope.organization().as_str().to_owned();
    let log = Log::of(&folder, place, &organization, job.key.as_deref())?;
    if log.checkpoint.is_none() && job.level != Level::None {
        return Err(Error::new(
            Kind::Incomplete,
            "no checkpoint of this trail was signed here: completeness cannot be shown",
        )
        .hint("agenttrace pin create --sign signs one, after agenttrace pin keygen NAME")
        .hint("--level none makes a bundle without it"));
    }
    let memory = Records::load(place).memory(&organization);
    let source = verify::SchemeSource::Remembered(&memory);
    let scheme = verify::detect(db, &job.query.scope, source, cancel).await?.scheme;
    let (query, level) = (&job.query, job.level);
    let longest = if job.redact.is_empty() { LONGEST } else { LONGEST_REDACTED };
    let mut spool = Spool::new(scheme, longest)?;
    on_replica(db, place, &job.query.scope, &log, cancel).await?;
    let log = db
        .at_one_snapshot(cancel, |db| {
            let (spool, mut log) = (&mut spool, log);
            async move {
                export::stream(&db, query, announce, cancel, async |events: Vec<Event>| {
                    tell(events.len() as u64);
                    events.iter().try_for_each(|event| spool.take(event, true))
                })
                .await?;
                if spool.entries.is_empty() {
                    return Err(Error::new(Kind::Incomplete, "no event matches"));
                }
                log.place(&mut spool.entries, query)?;
                if level == Level::Rows {
                    others(&db, query, &mut log, spool, announce, tell, cancel).await?;
                }
                Ok(log)
            }
        })
        .await?;
    aside(move || write(&folder, &organization, job, log, spool)).await?
}

/// On a replica, what the checkpoint covers must have arrived: what lacks there would look as if it were gone.
async fn on_replica(
    db: &ReadDb,
    place: &str,
    scope: &OrgScope,
    log: &Log,
    cancel: &CancellationToken,
) -> Result<()> {
    let Some(signed) = &log.checkpoint else { return Ok(()) };
    let Some(until) = db.applied_until().await? else { return Ok(()) };
    let lacks = publication::in_table(db, place, &Records::load(place), scope, signed, cancel).await?;
    if lacks.is_empty() {
        return Ok(());
    }
    Err(Error::new(
        Kind::Incomplete,
        format!(
            "the replica shows the trail up to {}, and lacks the newest event of the checkpoint of {}: what has not arrived would \
             look as if it were gone",
            until.to_rfc3339(),
            signed.trail.at.to_rfc3339()
        ),
    )
    .hint("wait until it has caught up, or export from the primary"))
}

/// Reads all other events of the range.
async fn others(
    db: &ReadDb,
    query: &Query,
    log: &mut Log,
    spool: &mut Spool,
    announce: Option<&(dyn Fn(&Looked) + Send + Sync)>,
    tell: &(dyn Fn(u64) + Send + Sync),
    cancel: &CancellationToken,
) -> Result<()> {
    let mut wanted = log.range_hashes()?;
    for entry in &spool.entries {
        wanted.remove(&entry.hash);
    }
    let all = Query { scope: query.scope.clone(), filter: Filter::default(), range: TimeRange::default() };
    export::stream(db, &all, announce, cancel, async |events: Vec<Event>| {
        tell(0);
        events.iter().try_for_each(|event| match parse_hash(&event.row.hash) {
            Some(hash) if wanted.remove(&hash) => spool.take(event, false),
            _ => Ok(()),
        })
    })
    .await?;
    match wanted.iter().min() {
        None => log.place(&mut spool.entries, query),
        Some(first) => Err(Error::new(
            Kind::Finding,
            format!(
                "{} events that the checkpoint covers are not in the trail, one has the hash {}: not all rows can be given",
                grouped(wanted.len() as u64),
                to_hex(first)
            ),
        )
        .hint("agenttrace verify says more; --level hashes makes a bundle in which they stand as hashes")),
    }
}

fn write(folder: &Path, organization: &str, job: Job, mut log: Log, spool: Spool) -> Result<Outcome> {
    let Spool { file, mut entries, .. } = spool;
    let file = file.into_inner().map_err(std::io::IntoInnerError::into_error)?;
    let key = sealing(folder, job.key.as_deref(), log.checkpoint.as_ref())?;
    let (terms, terms_are_all) = terms(&job.query.filter);
    let selected = entries.iter().filter(|entry| entry.is_selected).count() as u64;
    let header = Header {
        organization: organization.to_owned(),
        filter: job.words.clone().unwrap_or_else(|| job.query.filter.canonical()),
        since: job.query.range.since,
        until: job.query.range.until,
        level: job.level,
        terms,
        terms_are_all,
        selected,
        checkpoint: log.checkpoint.clone(),
        before: log.before.clone().filter(|_| job.level != Level::None),
        stamps: match &log.checkpoint {
            None => Vec::new(),
            Some(signed) => checkpoints::stamps(folder, signed.checkpoint.text())?,
        },
        keys: key.iter().map(PrivateKey::public).collect(),
    };
    // Those without a leaf last.
    entries.sort_unstable_by_key(|entry| (entry.leaf.is_none(), entry.leaf, entry.hash));
    let without_leaf = entries.iter().filter(|entry| entry.leaf.is_none()).count() as u64;
    if key.is_none() && !job.redact.is_empty() {
        return Err(Error::usage(
            "a redacted bundle is sealed: that its columns are those of the events is the word of a key",
        )
        .hint("agenttrace pin keygen NAME makes one; --key NAME where this machine has several"));
    }
    let redaction = key.as_ref().filter(|_| !job.redact.is_empty()).map(|key| (job.redact.as_slice(), key));
    let mut output = Body { out: Output::new(Some(&job.path))?, texts: file, redaction };
    match header.range() {
        None => proven(&mut output, &header, &mut log, &entries, key.as_ref())?,
        Some((from, _)) => in_range(&mut output, &header, &mut log, &entries, from, key.as_ref())?,
    }
    let Body { mut out, .. } = output;
    let contradictions = check(&mut out, folder)?;
    let written = out.complete(job.replace)?;
    Ok(Outcome {
        header,
        without_leaf,
        sealed_by: key.map(|key| key.name().to_owned()),
        written,
        contradictions,
    })
}

/// Verifies what was written before it gets its name, as whoever receives it will. Returns what it contradicts of the trail.
fn check(out: &mut Output, folder: &Path) -> Result<Vec<String>> {
    let mut own = Vec::new();
    for name in keys::names(folder)? {
        own.push(keys::private(folder, &name)?.public());
    }
    let wrong = |what: String| {
        Error::could_not_run(format!("the bundle that was made does not verify, and was not kept: {what}"))
            .hint("this is a defect of agenttrace, or the disk is damaged: please report it")
    };
    let report = match bundle::verify(BufReader::with_capacity(1 << 16, out.reopen()?), &own) {
        Ok(report) => report,
        Err(BundleError::File(e)) => return Err(e.into()),
        Err(e) => return Err(wrong(e.to_string())),
    };
    // What a row says is not what its hash was made of, or events of the signed log are gone: the bundle is evidence of that.
    let is_contradiction = |name: &str| {
        name == "content"
            || name == "completeness" && report.header.selects_all() && report.inclusion.state != State::Fails
    };
    match report
        .parts()
        .into_iter()
        .find(|(name, part)| part.state == State::Fails && !is_contradiction(name))
    {
        None => Ok(report
            .parts()
            .into_iter()
            .filter(|(_, part)| part.state == State::Fails)
            .map(said_of)
            .collect()),
        Some((name, part)) => Err(wrong(format!("{name}: {}", part.detail))),
    }
}

fn said_of((name, part): (&'static str, &Part)) -> String {
    format!("{name} {}: {}", part.state, part.detail)
}

struct Body<'k> {
    out: Output,
    texts: File,
    redaction: Redaction<'k>,
}

/// The columns to hide, and the key that their salts are made with.
type Redaction<'k> = Option<(&'k [String], &'k PrivateKey)>;

/// Writes an event.
fn event(
    writer: &mut Writer<&mut Output>,
    texts: &mut File,
    entry: &Entry,
    proof: &[Node],
    redaction: Redaction<'_>,
) -> Result<()> {
    texts.seek(SeekFrom::Start(entry.at))?;
    let mut text = String::new();
    texts.take(entry.length).read_to_string(&mut text)?;
    let hidden = redaction.map(|(hidden, key)| {
        Redacted::hide(&text, hidden, |column| key.salt(&entry.hash, column)).ok_or_else(|| {
            Error::new(Kind::Incomplete, "an event has none of the columns that are to be hidden")
        })
    });
    let hidden = hidden.transpose()?;
    let text = hidden.as_ref().map_or(Given::Whole(&text), Given::Redacted);
    let line = Line { leaf: entry.leaf, is_selected: entry.is_selected, hash: &entry.hash, proof, text };
    Ok(writer.event(&line)?)
}

/// Events each with its proof.
fn proven(
    body: &mut Body<'_>,
    header: &Header,
    log: &mut Log,
    entries: &[Entry],
    key: Option<&PrivateKey>,
) -> Result<()> {
    let mut prover = Prover::new(log.size());
    entries.iter().filter_map(|entry| entry.leaf).for_each(|at| prover.want_inclusion(at));
    log.each(|_, hash| {
        prover.push(leaf(&hash));
        Ok(())
    })?;
    let mut writer = Writer::new(&mut body.out, header, &Peaks::default())?;
    for entry in entries {
        let proof = entry.leaf.map(|at| prover.inclusion(at)).unwrap_or_default();
        event(&mut writer, &mut body.texts, entry, &proof.unwrap_or_default(), body.redaction)?;
    }
    writer.finish(key)?;
    Ok(())
}

/// All leaves of the range: events in full or as hashes.
fn in_range(
    body: &mut Body<'_>,
    header: &Header,
    log: &mut Log,
    entries: &[Entry],
    from: u64,
    key: Option<&PrivateKey>,
) -> Result<()> {
    let mut peaks = Peaks::default();
    let mut rest = entries.iter().peekable();
    let mut writer = None;
    let Body { out, texts, redaction } = body;
    let mut out = Some(out);
    let mut begin = |peaks: &Peaks| -> Result<Option<Writer<_>>> {
        Ok(out.take().map(|out| Writer::new(out, header, peaks)).transpose()?)
    };
    log.each(|at, hash| {
        if at < from {
            peaks.push(leaf(&hash));
            return Ok(());
        }
        if writer.is_none() {
            writer = begin(&peaks)?;
        }
        let Some(writer) = &mut writer else { return Ok(()) };
        match rest.next_if(|entry| entry.leaf == Some(at)) {
            Some(entry) => event(writer, texts, entry, &[], *redaction),
            None => Ok(writer.leaf(hash)?),
        }
    })?;
    // Also where the range is empty.
    if writer.is_none() {
        writer = begin(&peaks)?;
    }
    let Some(mut writer) = writer else { return Ok(()) };
    for entry in rest {
        event(&mut writer, texts, entry, &[], *redaction)?;
    }
    writer.finish(key)?;
    Ok(())
}

/// The key that seals: the one that is named, else the one that signed the checkpoint, else the only one of this machine.
fn sealing(folder: &Path, named: Option<&str>, checkpoint: Option<&Signed>) -> Result<Option<PrivateKey>> {
    let log = checkpoint.and_then(|signed| key_name(&signed.trail.checkpoint.origin));
    let names = keys::names(folder)?;
    if let Some(name) = named {
        return keys::private(folder, name).map(Some);
    }
    let own = names.iter().find(|name| Some(name.as_str()) == log);
    let name = own.or_else(|| names.first().filter(|_| names.len() == 1));
    name.map(|name| keys::private(folder, name)).transpose()
}

/// What of a filter can be tried off-line, and whether that is all of it besides the time.
fn terms(filter: &Filter) -> (Vec<Term>, bool) {
    let conditions = filter.conditions();
    let terms: Vec<Term> = conditions.iter().filter_map(term).take(MOST_TERMS).collect();
    let is_all = terms.len() == conditions.len() && filter.around().is_none();
    (terms, is_all)
}

fn term(condition: &Expr) -> Option<Term> {
    let Expr::Match(Match { field, any_of }) = condition else { return None };
    let value = |matcher: &Matcher| match matcher {
        Matcher::Equals(value) => Some(value.clone()),
        Matcher::Resource { resource_type, id, prefix: false } => Some(format!("{resource_type}/{id}")),
        _ => None,
    };
    let any_of = any_of.iter().map(value).collect::<Option<Vec<_>>>()?;
    let term = Term { field: field.name().to_owned(), any_of };
    term.can_be_tried().then_some(term)
}
