//! Writing events from a program without waiting for the database, and without losing one.
//!
//! ```text
//! append ─► queue ─► spool on disk ──(batches)──► Writer ─► table
//!    ▲                  │ fsync                      │
//!    └── acknowledged ──┘                            └─► dead letters, with their reasons
//! ```
//!
//! An event that [`AuditWriter::append`] has returned for is on disk. From there it gets into the table once, whatever
//! happens in between to the program, to the database or to the way there: batches are repeated until they are through,
//! the next program delivers what an earlier one has left, and an event that is there already, which its id tells, is not
//! written again.

mod delivery;
mod held;
mod letters;
mod metrics;
mod pause;
mod spooled;
mod spooler;

pub use metrics::{Fates, Metrics};

pub(super) use spooled::Origin;

use super::RejectedRecord;
use crate::case::record::Limits;
use crate::case::record::spool::{self, Gauge, Refusal};
use crate::domain::NewEvent;
use crate::error::{Error, Result};
use crate::store::WriteTarget;
use crate::store::writer::WriterSettings;
use delivery::Delivery;
use held::Shelf;
use letters::Letters;
use pause::Pause;
use spooled::Spooled;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Kind of the records of a spool.
const KIND: &str = "spool";
/// Largest file of a spool, in bytes: as much is read again after a crash at most.
const FILE: u64 = 8 << 20;

/// How a writer works.
#[derive(Debug, Clone)]
pub struct AuditSettings {
    /// The folder of the spool, on a disk of this machine; made where it is not there. One writer has it at a time.
    pub spool: PathBuf,
    /// Bytes that may wait in the spool.
    pub spool_limit: u64,
    /// How long an append waits for room in a full spool before it is refused.
    pub patience: Duration,
    /// Appends that may wait for the spool; the next ones wait for their turn.
    pub queue: usize,
    /// Events that are written together, at least 1.
    pub batch: usize,
    /// How long a batch that is not full waits for more.
    pub linger: Duration,
    /// The first and the longest wait before a batch that failed is tried again; it doubles in between.
    pub backoff: (Duration, Duration),
    /// The file that dead letters are appended to; `None`: `dead-letters.ndjson` in the folder of the spool.
    pub dead_letters: Option<PathBuf>,
    /// What dead letters name as the source.
    pub source: String,
    /// How chains are gone on with.
    pub writer: WriterSettings,
}

impl AuditSettings {
    /// The usual settings, with a spool in this folder.
    pub fn new(spool: impl Into<PathBuf>) -> Self {
        Self {
            spool: spool.into(),
            spool_limit: 1 << 30,
            patience: Duration::from_secs(30),
            queue: 1024,
            batch: 1000,
            linger: Duration::from_millis(50),
            backoff: (Duration::from_millis(100), Duration::from_secs(10)),
            dead_letters: None,
            source: "writer".to_owned(),
            writer: WriterSettings::default(),
        }
    }
}

/// Why events were not taken; none of the call was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The spool stayed full for as long as an append waits.
    #[error(
        "the spool is full ({bytes} of {limit} bytes): {}",
        .trouble.as_deref().unwrap_or("the database takes events more slowly than they come")
    )]
    Full {
        /// Bytes that wait.
        bytes: u64,
        /// The limit.
        limit: u64,
        /// Why they wait, where writing them has failed.
        trouble: Option<String>,
    },
    /// The queue is full, and the call does not wait.
    #[error("the queue is full")]
    Busy,
    /// They need more room than the whole spool has.
    #[error("{bytes} bytes are more than the whole spool may have ({limit})")]
    TooLarge {
        /// Bytes of the call.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// The spool cannot be written.
    #[error("the spool cannot be written: {0}")]
    Spool(String),
    /// The writer was closed.
    #[error("the writer is closed")]
    Closed,
}

/// Events that were put into the queue: resolves when they are on disk.
#[derive(Debug)]
pub struct Receipt(oneshot::Receiver<Result<(), AppendError>>);

impl Receipt {
    /// Waits until the events are on disk.
    ///
    /// # Errors
    /// When they were not taken.
    pub async fn acknowledged(self) -> Result<(), AppendError> {
        self.0.await.unwrap_or(Err(AppendError::Closed))
    }
}

/// Events on their way to the spool, and whom to tell.
#[derive(Debug)]
struct Job {
    events: Vec<Spooled>,
    reply: oneshot::Sender<Result<(), AppendError>>,
}

/// Numbers that are counted.
#[derive(Debug, Default)]
struct Counters {
    acknowledged: u64,
    refused: u64,
    delivered: Fates,
    replayed: Fates,
    damaged: u64,
    batches: u64,
    retries: u64,
    trouble: Option<String>,
    /// Why events are put aside.
    held: Option<String>,
}

/// What the parts of a writer share.
#[derive(Debug)]
struct Common {
    counters: Mutex<Counters>,
    letters: Letters,
    gauge: Gauge,
    /// Events that are put aside, and their bytes.
    held: [AtomicU64; 2],
}

impl Common {
    fn counters(&self) -> MutexGuard<'_, Counters> {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held_bytes(&self) -> u64 {
        self.held[1].load(Ordering::Relaxed)
    }

    fn set_held(&self, pending: u64, bytes: u64) {
        self.held[0].store(pending, Ordering::Relaxed);
        self.held[1].store(bytes, Ordering::Relaxed);
    }
}

/// Writes events into a database by way of a spool. Clones are the same writer.
///
/// ```no_run
/// # async fn example(event: agenttrace::domain::NewEvent) -> Result<(), Box<dyn std::error::Error>> {
/// use agenttrace::ingest::{AuditSettings, AuditWriter};
/// use agenttrace::store::{WriteSettings, WriteTarget};
///
/// let target = WriteTarget::at("postgres://app@db.example/audit".parse()?, WriteSettings::default());
/// let writer = AuditWriter::open(target, AuditSettings::new("/var/lib/app/audit-spool")).await?;
/// writer.append(event).await?; // on disk from here on
/// println!("{}", writer.metrics().prometheus());
/// writer.close(std::time::Duration::from_secs(10)).await;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct AuditWriter(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    common: Arc<Common>,
    source: String,
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    delivery: tokio::sync::Mutex<Option<JoinHandle<()>>>,
    stop: CancellationToken,
}

impl Drop for Inner {
    fn drop(&mut self) {
        // What is in the spool stays there.
        self.stop.cancel();
    }
}

impl AuditWriter {
    /// Opens the spool and begins to deliver what waits in it. The database need not be there yet. It works on the runtime
    /// that calls it.
    ///
    /// # Errors
    /// Exit 3 when the spool cannot be used: another writer has it, others can write it, or what waits in it is for another
    /// database.
    pub async fn open(target: impl Into<WriteTarget>, settings: AuditSettings) -> Result<Self> {
        let target = target.into();
        let limits = Limits { file: FILE.min(settings.spool_limit / 8), all: settings.spool_limit };
        let (folder, subject) = (settings.spool.clone(), target.place());
        let shelf = Shelf {
            folder: folder.join("held"),
            kind: KIND,
            subject: subject.clone(),
            limits,
            backoff: settings.backoff,
        };
        let shelf_too = shelf.clone();
        let opened = aside(move || {
            let ends = spool::open::<Spooled>(&folder, KIND, &subject, limits)?;
            let held = shelf_too
                .all()
                .map_err(|why| Error::could_not_run(format!("the spool is not used: {why}")))?;
            Ok::<_, Error>((ends, held))
        });
        let ((appender, reader, gauge), held) = opened.await.map_err(io::Error::other)??;
        let letters = settings.dead_letters.clone();
        let letters = Letters::at(letters.unwrap_or_else(|| settings.spool.join("dead-letters.ndjson")));
        let common =
            Arc::new(Common { counters: Mutex::default(), letters, gauge, held: Default::default() });
        let gauges = || held.iter().map(|held| &held.gauge);
        common.set_held(gauges().map(Gauge::pending).sum(), gauges().map(|gauge| gauge.bytes().0).sum());
        let (jobs, waiting) = mpsc::channel(settings.queue.max(1));
        let (wake, woken) = watch::channel(());
        let stop = CancellationToken::new();
        spooler::start(appender, waiting, settings.patience, Arc::clone(&common), wake)?;
        let source = settings.source.clone();
        let ends = (reader, held, shelf);
        let delivery = Delivery::new(ends, target, settings, Arc::clone(&common), woken, stop.clone());
        let delivery = tokio::sync::Mutex::new(Some(begin(delivery)));
        Ok(Self(Arc::new(Inner { common, source, jobs: Mutex::new(Some(jobs)), delivery, stop })))
    }

    /// Takes an event; when this returns it is on disk. Waits while queue and spool are full. Events of an organisation are
    /// chained in the order in which they are taken.
    ///
    /// # Errors
    /// When the event was not taken. The call again, with the same event, is safe in any case.
    pub async fn append(&self, event: NewEvent) -> Result<(), AppendError> {
        self.append_all(vec![event]).await
    }

    /// As [`Self::append`], of several events: all are taken or none.
    ///
    /// # Errors
    /// As there.
    pub async fn append_all(&self, events: Vec<NewEvent>) -> Result<(), AppendError> {
        self.enqueue(events).await?.acknowledged().await
    }

    /// Puts events into the queue; waits while it is full, and not for the disk.
    ///
    /// # Errors
    /// When the writer was closed.
    pub async fn enqueue(&self, events: Vec<NewEvent>) -> Result<Receipt, AppendError> {
        self.send(events.into_iter().map(|event| Spooled::new(self.origin(), event)).collect()).await
    }

    /// As [`Self::enqueue`], without waiting.
    ///
    /// # Errors
    /// [`AppendError::Busy`] when the queue is full.
    pub fn try_enqueue(&self, events: &[NewEvent]) -> Result<Receipt, AppendError> {
        let jobs = self.jobs().ok_or(AppendError::Closed)?;
        let room = jobs.try_reserve().map_err(|e| match e {
            mpsc::error::TrySendError::Full(()) => AppendError::Busy,
            mpsc::error::TrySendError::Closed(()) => AppendError::Closed,
        })?;
        let (reply, receipt) = oneshot::channel();
        let events = events.iter().map(|event| Spooled::new(self.origin(), event.clone())).collect();
        room.send(Job { events, reply });
        Ok(Receipt(receipt))
    }

    /// Of an event that the program itself makes.
    fn origin(&self) -> Origin {
        Origin { source: self.0.source.clone(), line: 0, element: None }
    }

    /// As [`Self::append_all`], of events that come from elsewhere.
    pub(super) async fn append_from(&self, events: Vec<(Origin, NewEvent)>) -> Result<(), AppendError> {
        let events = events.into_iter().map(|(origin, event)| Spooled::new(origin, event)).collect();
        self.send(events).await?.acknowledged().await
    }

    /// Writes records that are no events to the dead letters, and makes sure that they are on disk.
    pub(super) fn bury(&self, records: &[RejectedRecord<'_>]) -> io::Result<()> {
        self.0.common.letters.write(records)
    }

    /// The files of dead letters that were written to.
    pub fn dead_letters(&self) -> Vec<PathBuf> {
        self.0.common.letters.written()
    }

    async fn send(&self, events: Vec<Spooled>) -> Result<Receipt, AppendError> {
        let jobs = self.jobs().ok_or(AppendError::Closed)?;
        let (reply, receipt) = oneshot::channel();
        jobs.send(Job { events, reply }).await.map_err(|_| AppendError::Closed)?;
        Ok(Receipt(receipt))
    }

    fn jobs(&self) -> Option<mpsc::Sender<Job>> {
        self.0.jobs.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The numbers.
    pub fn metrics(&self) -> Metrics {
        let common = &self.0.common;
        let (spool_bytes, spool_limit) = common.gauge.bytes();
        // Before the counters: an event in between is still pending rather than nowhere.
        let pending = common.gauge.pending() + common.held[0].load(Ordering::Relaxed);
        let spool_bytes = spool_bytes + common.held_bytes();
        let counters = common.counters();
        Metrics {
            acknowledged: counters.acknowledged,
            refused: counters.refused,
            delivered: counters.delivered,
            replayed: counters.replayed,
            damaged: counters.damaged,
            pending,
            spool_bytes,
            spool_limit,
            batches: counters.batches,
            retries: counters.retries,
            trouble: counters.trouble.clone().or_else(|| counters.held.clone()),
        }
    }

    /// Takes nothing more, delivers what waits, and gives up when nothing got through for as long as `patience`; what is
    /// left stays in the spool for the next writer. Returns the last numbers.
    pub async fn close(&self, patience: Duration) -> Metrics {
        drop(self.0.jobs.lock().unwrap_or_else(PoisonError::into_inner).take());
        let mut handle = self.0.delivery.lock().await;
        if let Some(mut delivery) = handle.take() {
            loop {
                let before = self.metrics().pending;
                match tokio::time::timeout(patience, &mut delivery).await {
                    Ok(_) => break,
                    Err(_) if self.metrics().pending < before => {}
                    Err(_) => self.0.stop.cancel(),
                }
            }
        }
        self.metrics()
    }
}

/// Runs blocking work away from the runtime's own threads.
#[expect(clippy::disallowed_methods, reason = "waited for by the caller")]
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, tokio::task::JoinError> {
    tokio::task::spawn_blocking(work).await
}

#[expect(clippy::disallowed_methods, reason = "ends with the writer: waited for by close, stopped by drop")]
fn begin(delivery: Delivery) -> JoinHandle<()> {
    tokio::spawn(delivery.run())
}

/// Why the spool did not take events.
fn refused(refusal: Refusal, trouble: Option<String>) -> AppendError {
    match refusal {
        Refusal::Full { bytes, limit } => AppendError::Full { bytes, limit, trouble },
        Refusal::TooLarge { bytes, limit } => AppendError::TooLarge { bytes, limit },
        Refusal::Failed(why) => AppendError::Spool(why),
    }
}
