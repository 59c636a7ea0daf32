//! From the spool into the database: batches, tries, and what cannot be stored.

use super::held::{Held, Shelf};
use super::spooled::{Origin, Spooled};
use super::{AuditSettings, Common, Pause, aside};
use crate::case::record::spool::{Chunk, Damaged, Gauge, Reader};
use crate::domain::NewEvent;
use crate::ingest::rejects::conflict;
use crate::ingest::{Original, RejectedRecord};
use crate::store::writer::{Fate, WriteError, Writer};
use crate::store::{StoreError, WriteTarget};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// What cannot be stored.
#[derive(Debug)]
struct Letter {
    origin: Origin,
    is_conflict: bool,
    reason: String,
    original: Original,
}

/// The task that delivers.
pub(super) struct Delivery {
    /// Away while it is read.
    reader: Option<Reader<Spooled>>,
    target: WriteTarget,
    settings: AuditSettings,
    common: Arc<Common>,
    woken: watch::Receiver<()>,
    /// Nothing more will be appended.
    is_ended: bool,
    stop: CancellationToken,
    writer: Option<Writer>,
    /// Organisations that are waited for, each with its events.
    held: BTreeMap<String, Held>,
    shelf: Shelf,
}

/// Events that cannot be written before somebody has looked at the chain of their organisation, and why.
struct Stuck<'a> {
    events: Vec<&'a Spooled>,
    why: String,
}

/// What comes next.
enum Next {
    /// Events of the spool.
    Batch,
    /// An organisation that was waited for.
    Held,
    End,
}

impl Delivery {
    pub(super) fn new(
        (reader, held, shelf): (Reader<Spooled>, Vec<Held>, Shelf),
        target: WriteTarget,
        settings: AuditSettings,
        common: Arc<Common>,
        woken: watch::Receiver<()>,
        stop: CancellationToken,
    ) -> Self {
        let held = held.into_iter().map(|held| (held.organization.clone(), held)).collect();
        let reader = Some(reader);
        Self { reader, target, settings, common, woken, is_ended: false, stop, writer: None, held, shelf }
    }

    /// Delivers until nothing more will come, or until it is stopped. A batch on its way is then rolled back.
    pub(super) async fn run(mut self) {
        let stop = self.stop.clone();
        // Stopped or done: what is not settled stays in the spool.
        let _ = stop.run_until_cancelled(self.deliver_all()).await;
    }

    async fn deliver_all(&mut self) {
        loop {
            self.try_held().await;
            match self.wait().await {
                Next::Batch => {}
                Next::Held => continue,
                Next::End => return,
            }
            let mut pause = Pause::new(self.settings.backoff);
            let chunk = loop {
                match self.read().await {
                    Ok(chunk) => break chunk,
                    Err(why) => self.fail(why, &mut pause).await,
                }
            };
            let Some(chunk) = chunk else {
                // Somebody has removed what waited.
                tokio::time::sleep(pause.next()).await;
                continue;
            };
            let letters = self.deliver(&chunk).await;
            let mut kept = Some((chunk, letters));
            let mut pause = Pause::new(self.settings.backoff);
            while let Some((chunk, letters)) = kept.take() {
                match self.settle(chunk, letters).await {
                    Ok(()) => self.common.counters().trouble = None,
                    Err((why, again)) => {
                        self.fail(why, &mut pause).await;
                        kept = again;
                    }
                }
            }
        }
    }

    /// Waits until there is a batch, or something that has waited long enough for more, or until an organisation is to be
    /// tried again.
    async fn wait(&mut self) -> Next {
        while self.common.gauge.pending() == 0 {
            let due = self.held.values().map(|held| held.due).min();
            if self.is_ended && due.is_none() {
                return Next::End;
            }
            let again = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = again => return Next::Held,
                woken = self.woken.changed(), if !self.is_ended => self.is_ended = woken.is_err(),
            }
        }
        let full = async {
            while !self.is_ended && self.common.gauge.pending() < self.settings.batch as u64 {
                self.is_ended = self.woken.changed().await.is_err();
            }
        };
        // In time or not: what is there goes.
        let _ = tokio::time::timeout(self.settings.linger, full).await;
        Next::Batch
    }

    async fn read(&mut self) -> Result<Option<Chunk<Spooled>>, String> {
        let Some(mut reader) = self.reader.take() else {
            return Err("the spool is not read any more".to_owned());
        };
        let most = self.settings.batch.max(1);
        let (reader, chunk) = aside(move || {
            let chunk = reader.next(most);
            (reader, chunk)
        })
        .await
        .map_err(|e| e.to_string())?;
        self.reader = Some(reader);
        chunk
    }

    /// Writes the events of a chunk; returns what cannot be stored.
    async fn deliver(&mut self, chunk: &Chunk<Spooled>) -> Vec<Letter> {
        for remark in &chunk.remarks {
            tracing::warn!(remark, "spool");
        }
        let mut letters = self.damaged(chunk);
        let mut organizations: BTreeMap<&str, Vec<&Spooled>> = BTreeMap::new();
        for spooled in &chunk.records {
            organizations.entry(spooled.organization()).or_default().push(spooled);
        }
        for (organization, events) in organizations {
            self.deliver_or_hold(organization, events, chunk.is_old, &mut letters).await;
        }
        letters
    }

    /// The lines of a chunk that are no events any more.
    fn damaged(&self, chunk: &Chunk<Spooled>) -> Vec<Letter> {
        let letter = |damaged: &Damaged| Letter {
            origin: Origin { source: self.settings.source.clone(), line: 0, element: None },
            is_conflict: false,
            reason: format!("the spool was damaged: {}", damaged.remark),
            original: match String::from_utf8(damaged.line.clone()) {
                Ok(text) => Original::Text(text),
                Err(e) => Original::Bytes(e.into_bytes()),
            },
        };
        let letters: Vec<Letter> = chunk.damaged.iter().map(letter).collect();
        self.common.counters().damaged += letters.len() as u64;
        letters
    }

    /// Writes events of one organisation, or puts them aside where its chain has to be looked at first.
    async fn deliver_or_hold(
        &mut self,
        organization: &str,
        mut events: Vec<&Spooled>,
        is_old: bool,
        letters: &mut Vec<Letter>,
    ) {
        let mut pause = Pause::new(self.settings.backoff);
        loop {
            // In their order: behind those that wait already.
            if !self.held.contains_key(organization) {
                match self.deliver_organization(events, is_old, letters).await {
                    Ok(()) => return,
                    Err(stuck) => {
                        tracing::warn!(why = stuck.why, "its events are put aside");
                        self.common.counters().held = Some(stuck.why);
                        events = stuck.events;
                    }
                }
            }
            match self.hold(organization, &events, is_old).await {
                Ok(()) => return,
                Err(why) => self.fail(why, &mut pause).await,
            }
            self.try_held().await;
        }
    }

    /// Puts events aside, on disk.
    ///
    /// # Errors
    /// Where there is no room, in words; then they hold up what is behind them.
    async fn hold(&mut self, organization: &str, events: &[&Spooled], is_old: bool) -> Result<(), String> {
        let held = self.held.remove(organization);
        let (shelf, name) = (self.shelf.clone(), organization.to_owned());
        let records: Vec<Spooled> = events.iter().map(|event| (*event).clone()).collect();
        let has_room = self.common.held_bytes() < self.shelf.limits.all;
        let work = move || {
            let mut held = match held {
                Some(held) => held,
                None => shelf.of(&name)?,
            };
            let taken = if has_room {
                let taken = held.appender.append(&records, Duration::ZERO);
                taken.map_err(|refusal| super::refused(refusal, None).to_string())
            } else {
                Err("the events that are put aside take all the room of the spool".to_owned())
            };
            Ok::<_, String>((held, taken))
        };
        let (mut held, taken) = aside(work).await.map_err(|e| e.to_string())??;
        if is_old && taken.is_ok() {
            held.old += events.len() as u64;
        }
        self.held.insert(organization.to_owned(), held);
        self.count_held();
        taken
    }

    /// What waits aside, for the numbers.
    fn count_held(&self) {
        let gauges = || self.held.values().map(|held| &held.gauge);
        self.common.set_held(gauges().map(Gauge::pending).sum(), gauges().map(|gauge| gauge.bytes().0).sum());
        if self.held.is_empty() {
            self.common.counters().held = None;
        }
    }

    /// Tries the organisations again whose time has come.
    async fn try_held(&mut self) {
        let now = Instant::now();
        let due = self.held.values().filter(|held| held.due <= now).map(|held| held.organization.clone());
        for organization in due.collect::<Vec<_>>() {
            while let Some(held) = self.held.remove(&organization) {
                match self.try_one(held).await {
                    // Another batch of it.
                    (Some(held), true) => drop(self.held.insert(organization.clone(), held)),
                    (Some(held), false) => {
                        self.held.insert(organization.clone(), held);
                        break;
                    }
                    (None, _) => {}
                }
                self.count_held();
            }
            self.count_held();
        }
    }

    /// Writes a batch of what was put aside; whether it went, and the rest, if there is one.
    async fn try_one(&mut self, mut held: Held) -> (Option<Held>, bool) {
        let most = self.settings.batch.max(1);
        let read = aside(move || {
            let chunk = held.reader.next(most);
            (held, chunk)
        });
        // A thread that died has taken its end of the spool with it; the next writer finds the events.
        let Ok((mut held, chunk)) = read.await else { return (None, false) };
        let chunk = match chunk {
            Ok(Some(chunk)) => chunk,
            Ok(None) => {
                held.let_go();
                return (None, true);
            }
            Err(why) => return (Some(self.later(held, why)), false),
        };
        let mut letters = self.damaged(&chunk);
        let old = usize::try_from(held.old).unwrap_or(usize::MAX).min(chunk.records.len());
        let (old, new) = chunk.records.split_at(old);
        for (events, is_old) in [(old, true), (new, false)] {
            let events: Vec<&Spooled> = events.iter().collect();
            if let Err(stuck) = self.deliver_organization(events, is_old, &mut letters).await {
                return (Some(self.later(held, stuck.why)), false);
            }
        }
        held.old = held.old.saturating_sub((chunk.records.len() + chunk.damaged.len()) as u64);
        let common = Arc::clone(&self.common);
        let settled = aside(move || {
            let done = write_letters(&common, &letters).map(|()| held.reader.settle(&chunk));
            (held, done)
        });
        match settled.await {
            Ok((mut held, Ok(()))) => {
                held.pause = Pause::new(self.settings.backoff);
                (Some(held), true)
            }
            Ok((held, Err(why))) => (Some(self.later(held, why)), false),
            Err(_) => (None, false),
        }
    }

    /// The same, to be tried again after a while.
    fn later(&self, mut held: Held, why: String) -> Held {
        let mut counters = self.common.counters();
        counters.retries += 1;
        counters.held = Some(why);
        held.due = Instant::now() + held.pause.next();
        held
    }

    /// Writes events of one organisation in their order. What the server refuses is halved until it is one event, which
    /// becomes a dead letter; anything else is tried again, but for a chain with several ends, of which the events come back.
    async fn deliver_organization<'s>(
        &mut self,
        events: Vec<&'s Spooled>,
        is_old: bool,
        letters: &mut Vec<Letter>,
    ) -> Result<(), Stuck<'s>> {
        if events.is_empty() {
            return Ok(());
        }
        let mut parts = vec![events];
        while let Some(mut part) = parts.pop() {
            let mut pause = Pause::new(self.settings.backoff);
            loop {
                let error = match self.write(&part).await {
                    Ok(fates) => {
                        self.count(&part, fates, is_old, letters);
                        break;
                    }
                    Err(error) => error,
                };
                match (&error, part.as_slice()) {
                    (WriteError::Store(e), [spooled]) if e.is_of_values() => {
                        letters.push(Letter::of(spooled, false, e.to_string()));
                        self.fates(is_old, |fates| fates.rejected += 1);
                        break;
                    }
                    (WriteError::ForeignHead { .. }, _) => {
                        let rest = parts.into_iter().rev().flatten();
                        return Err(Stuck {
                            events: part.into_iter().chain(rest).collect(),
                            why: error.to_string(),
                        });
                    }
                    (WriteError::Store(e), _) if e.is_of_values() => {
                        let rest = part.split_off(part.len() / 2);
                        parts.extend([rest, part]);
                        break;
                    }
                    _ => {
                        if let (WriteError::Store(StoreError::NoTable), Some(writer)) = (&error, &self.writer)
                        {
                            // Somebody may make it meanwhile.
                            let _ = writer.look_again().await;
                        }
                        self.fail(error.to_string(), &mut pause).await;
                    }
                }
            }
        }
        Ok(())
    }

    async fn write(&mut self, part: &[&Spooled]) -> Result<Vec<Fate>, WriteError> {
        let writer = match &mut self.writer {
            Some(writer) => writer,
            none => none.insert(Writer::new(self.target.connect().await?, self.settings.writer.clone())),
        };
        let events: Vec<Result<NewEvent, _>> = part.iter().map(|spooled| spooled.event()).collect();
        let valid: Vec<NewEvent> = events.iter().filter_map(|event| event.clone().ok()).collect();
        let mut fates = writer.append(valid).await?.into_iter();
        let lost = || StoreError::Other("the writer gave no answer for an event".to_owned());
        events
            .into_iter()
            .map(|event| match event {
                Ok(_) => fates.next().ok_or_else(|| lost().into()),
                Err(reason) => Ok(Fate::Rejected(reason)),
            })
            .collect()
    }

    fn count(&self, part: &[&Spooled], fates: Vec<Fate>, is_old: bool, letters: &mut Vec<Letter>) {
        for (spooled, fate) in part.iter().zip(&fates) {
            match fate {
                Fate::Stored | Fate::Duplicate | Fate::MappedDifferently => {}
                Fate::Conflict(differs) => letters.push(Letter::of(spooled, true, conflict(differs))),
                Fate::Rejected(reason) => letters.push(Letter::of(spooled, false, reason.to_string())),
            }
        }
        self.fates(is_old, |own| fates.iter().for_each(|fate| own.count(fate)));
        let mut counters = self.common.counters();
        counters.batches += 1;
        counters.trouble = None;
    }

    fn fates(&self, is_old: bool, count: impl FnOnce(&mut super::Fates)) {
        let mut counters = self.common.counters();
        count(if is_old { &mut counters.replayed } else { &mut counters.delivered });
    }

    /// Writes the dead letters, and remembers that the chunk is done.
    async fn settle(
        &mut self,
        chunk: Chunk<Spooled>,
        letters: Vec<Letter>,
    ) -> Result<(), (String, Option<(Chunk<Spooled>, Vec<Letter>)>)> {
        let Some(mut reader) = self.reader.take() else {
            return Err(("the spool is not read any more".to_owned(), None));
        };
        let common = Arc::clone(&self.common);
        let work = move || {
            let done = write_letters(&common, &letters).map(|()| reader.settle(&chunk));
            (reader, done.map_err(|why| (why, Some((chunk, letters)))))
        };
        let (reader, done) = aside(work).await.map_err(|e| (e.to_string(), None))?;
        self.reader = Some(reader);
        done
    }

    /// Says what is wrong, and waits before the next try.
    async fn fail(&self, why: String, pause: &mut Pause) {
        tracing::warn!(why, "not delivered, tried again");
        {
            let mut counters = self.common.counters();
            counters.retries += 1;
            counters.trouble = Some(why);
        }
        tokio::time::sleep(pause.next()).await;
    }
}

fn write_letters(common: &Common, letters: &[Letter]) -> Result<(), String> {
    let records: Vec<RejectedRecord<'_>> = letters.iter().map(Letter::as_record).collect();
    common.letters.write(&records).map_err(|e| format!("dead letters cannot be written: {e}"))
}

impl Letter {
    fn of(spooled: &Spooled, is_conflict: bool, reason: String) -> Self {
        Self { origin: spooled.origin.clone(), is_conflict, reason, original: Original::Text(spooled.text()) }
    }

    fn as_record(&self) -> RejectedRecord<'_> {
        RejectedRecord {
            source: &self.origin.source,
            group: &self.origin.source,
            place: self.origin.place(),
            conflict: self.is_conflict,
            reason: &self.reason,
            original: &self.original,
        }
    }
}
