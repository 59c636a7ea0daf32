//! From the spool into the database: batches, tries, and what cannot be stored.

use super::spooled::{Origin, Spooled};
use super::{AuditSettings, Common, aside};
use crate::case::record::spool::{Chunk, Reader};
use crate::domain::NewEvent;
use crate::ingest::rejects::conflict;
use crate::ingest::{Original, RejectedRecord};
use crate::store::writer::{Fate, WriteError, Writer};
use crate::store::{StoreError, WriteTarget};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
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
}

impl Delivery {
    pub(super) fn new(
        reader: Reader<Spooled>,
        target: WriteTarget,
        settings: AuditSettings,
        common: Arc<Common>,
        woken: watch::Receiver<()>,
        stop: CancellationToken,
    ) -> Self {
        Self { reader: Some(reader), target, settings, common, woken, is_ended: false, stop, writer: None }
    }

    /// Delivers until nothing more will come, or until it is stopped. A batch on its way is then rolled back.
    pub(super) async fn run(mut self) {
        let stop = self.stop.clone();
        // Stopped or done: what is not settled stays in the spool.
        let _ = stop.run_until_cancelled(self.deliver_all()).await;
    }

    async fn deliver_all(&mut self) {
        while self.wait_for_batch().await {
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

    /// Waits until there is a batch, or something that has waited long enough for more; false at the end.
    async fn wait_for_batch(&mut self) -> bool {
        let pending = || self.common.gauge.pending();
        while pending() == 0 {
            if self.is_ended {
                return false;
            }
            self.is_ended = self.woken.changed().await.is_err();
        }
        let full = async {
            while !self.is_ended && pending() < self.settings.batch as u64 {
                self.is_ended = self.woken.changed().await.is_err();
            }
        };
        // In time or not: what is there goes.
        let _ = tokio::time::timeout(self.settings.linger, full).await;
        true
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
        let mut letters: Vec<Letter> = chunk
            .damaged
            .iter()
            .map(|damaged| Letter {
                origin: Origin { source: self.settings.source.clone(), line: 0, element: None },
                is_conflict: false,
                reason: format!("the spool was damaged: {}", damaged.remark),
                original: match String::from_utf8(damaged.line.clone()) {
                    Ok(text) => Original::Text(text),
                    Err(e) => Original::Bytes(e.into_bytes()),
                },
            })
            .collect();
        self.common.counters().damaged += letters.len() as u64;
        let mut organizations: BTreeMap<&str, Vec<&Spooled>> = BTreeMap::new();
        for spooled in &chunk.records {
            organizations.entry(spooled.organization()).or_default().push(spooled);
        }
        for events in organizations.into_values() {
            self.deliver_organization(events, chunk.is_old, &mut letters).await;
        }
        letters
    }

    /// Writes events of one organisation in their order. What the server refuses is halved until it is one event, which
    /// becomes a dead letter; anything else is tried again.
    async fn deliver_organization(&mut self, events: Vec<&Spooled>, is_old: bool, letters: &mut Vec<Letter>) {
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
            let records: Vec<RejectedRecord<'_>> = letters.iter().map(Letter::as_record).collect();
            let written =
                common.letters.write(&records).map_err(|e| format!("dead letters cannot be written: {e}"));
            let done = written.and_then(|()| reader.settle(&chunk));
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

/// Waits that double up to a longest one.
struct Pause {
    next: Duration,
    longest: Duration,
}

impl Pause {
    fn new((first, longest): (Duration, Duration)) -> Self {
        Self { next: first.min(longest), longest }
    }

    fn next(&mut self) -> Duration {
        let now = self.next;
        self.next = (now * 2).min(self.longest);
        now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let mut pause = Pause::new((Duration::from_millis(100), Duration::from_millis(350)));
        let waits: Vec<u128> = (0..4).map(|_| pause.next().as_millis()).collect();
        assert_eq!(waits, [100, 200, 350, 350]);
    }
}
