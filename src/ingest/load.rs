//! From files into the database: batches go to the writer, fates come back, and every record is accounted for.

use super::audit_writer::Origin;
use super::follow::{Followed, Standing};
use super::input::Source;
use super::message::{Filled, Item, Message};
use super::reader::Reader;
use super::rejects::conflict;
use super::{
    AppendError, AuditWriter, Incoming, Input, Mapped, Mapping, Preview, RejectedRecord, RejectsFile,
    SourceFormat,
};
use crate::domain::OrgId;
use crate::store::writer::{Fate, Rehearsal, WriteError, Writer};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// How to load.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Format of the sources; `None` finds it out from the first records of each.
    pub format: Option<SourceFormat>,
    /// What the user has said about all records.
    pub mapping: Mapping,
    /// Records that go to the writer together, at least 1.
    pub batch: usize,
    /// The sources are files of rejected records, whose records are tried again.
    pub retry: bool,
    /// Records that the observer is shown with what they become: the first ones, and the first of each further format.
    pub previews: usize,
}

/// Where events go.
#[derive(Debug)]
pub enum Sink {
    /// Into the database.
    Database(Box<Writer>),
    /// Into a spool, from where they are delivered; what becomes of them its numbers say. Records that are no events are
    /// its dead letters.
    Spool(AuditWriter),
    /// Nowhere, after the same checks. Nothing is looked up, so duplicates and conflicts are not found.
    Nowhere(Rehearsal),
}

/// What happened to the records: `read = stored + duplicate + conflict + rejected`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Records that were read.
    pub read: u64,
    /// Events that were written.
    pub stored: u64,
    /// Events that were there already.
    pub duplicate: u64,
    /// Those of them that are the same original record, mapped to columns by other rules.
    pub mapped_differently: u64,
    /// Records whose id another event has.
    pub conflict: u64,
    /// Records that are no event, or that the table cannot hold.
    pub rejected: u64,
    /// Organisations of the events that were written or there already.
    pub organizations: BTreeSet<OrgId>,
    /// Records whose time stood in a leap second, and is that of the next second.
    pub leap_seconds: u64,
    /// Files and documents that are valid and hold no records: what they are, and how many.
    pub empty: BTreeMap<&'static str, u64>,
    /// Sources that could not be read to their end.
    pub failures: Vec<SourceFailure>,
}

/// A source that could not be read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFailure {
    /// Its name.
    pub source: String,
    /// The line where it ended.
    pub line: u64,
    /// Why, in words.
    pub reason: String,
}

/// Why loading stopped before its end.
#[derive(Debug, thiserror::Error)]
pub enum Halt {
    /// The user has stopped it, between two batches.
    #[error("stopped")]
    Interrupted,
    /// The writer cannot go on.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The options do not fit the records.
    #[error("{source_name}:{line}: {reason}")]
    Refused {
        /// Name of the source.
        source_name: String,
        /// The line.
        line: u64,
        /// Why, in words.
        reason: String,
    },
    /// The spool takes nothing.
    #[error(transparent)]
    Spool(#[from] AppendError),
    /// Nobody can be told what was taken.
    #[error("what was taken cannot be acknowledged: {0}")]
    Acknowledge(#[source] io::Error),
    /// What was not stored cannot be written down.
    #[error("cannot write the file of rejected records: {0}")]
    Rejects(#[source] io::Error),
    /// The reading thread could not be started, or ended without a word.
    #[error("the reader failed: {0}")]
    Reader(io::Error),
}

/// How far it went, and why no further.
#[derive(Debug)]
pub struct Outcome {
    /// The numbers, also when it stopped.
    pub report: Report,
    /// Why it stopped, if it did.
    pub halt: Option<Halt>,
}

/// Who watches.
pub trait Observer {
    /// A format was found out; `source` is the first that has it.
    fn recognised(&mut self, source: &str, format: SourceFormat);
    /// A record was not stored.
    fn rejected(&mut self, record: &RejectedRecord<'_>);
    /// A batch is done.
    fn progress(&mut self, report: &Report);
    /// So many records from the beginning are safe: their events in the spool, the others among the dead letters.
    ///
    /// # Errors
    /// When whoever waits for it cannot be told.
    fn acknowledged(&mut self, _records: u64) -> io::Result<()> {
        Ok(())
    }
    /// Everything up to there of the file that is followed is stored, or in the spool, or written down as rejected.
    fn reached(&mut self, _standing: &Standing) {}
    /// What a record becomes, before it is stored or refused.
    fn preview(&mut self, _preview: &Preview) {}
    /// Something that happened to a source, in words.
    fn note(&mut self, _source: &str, _text: &str) {}
}

/// Loads all sources, one after the other. When `stop` fires it ends after the batch that is on its way.
pub async fn load(
    inputs: Vec<Input>,
    settings: Settings,
    sink: &mut Sink,
    rejects: &mut RejectsFile,
    observer: &mut dyn Observer,
    stop: &CancellationToken,
) -> Outcome {
    // Two batches wait while one is written; more would only cost memory.
    let (out, messages) = mpsc::channel(2);
    let reader = Reader::new(settings.format, settings.mapping, settings.batch, settings.retry, out);
    let followed = inputs.iter().find_map(Input::followed);
    // A thread of its own, which is not waited for: it may sit in a read of standard input for ever.
    let started = std::thread::Builder::new().name("ingest-reader".into()).spawn(move || reader.run(inputs));
    let previews = Previews { none: settings.previews == 0, left: settings.previews, formats: Vec::new() };
    let mut loader = Loader { sink, rejects, observer, followed, previews, report: Report::default() };
    let result = match started {
        Ok(_) => loader.run(messages, stop).await,
        Err(e) => Err(Halt::Reader(e)),
    };
    let flushed = loader.rejects.flush().map_err(Halt::Rejects);
    Outcome { report: loader.report, halt: result.and(flushed).err() }
}

struct Loader<'a> {
    sink: &'a mut Sink,
    rejects: &'a mut RejectsFile,
    observer: &'a mut dyn Observer,
    /// Where reading stands, of a file that is followed.
    followed: Option<Arc<Followed>>,
    previews: Previews,
    report: Report,
}

/// Which records are shown.
struct Previews {
    none: bool,
    left: usize,
    formats: Vec<SourceFormat>,
}

impl Previews {
    /// Whether a record is one of the first, or the first of its format.
    fn wants(&mut self, format: Option<SourceFormat>) -> bool {
        if self.none {
            return false;
        }
        let is_new = format.filter(|format| !self.formats.contains(format));
        self.formats.extend(is_new);
        let is_first = self.left > 0;
        self.left = self.left.saturating_sub(1);
        is_first || is_new.is_some()
    }
}

impl Loader<'_> {
    async fn run(
        &mut self,
        mut messages: mpsc::Receiver<Message>,
        stop: &CancellationToken,
    ) -> Result<(), Halt> {
        loop {
            let message = tokio::select! {
                biased;
                () = stop.cancelled() => return Err(Halt::Interrupted),
                message = messages.recv() => message,
            };
            match message {
                Some(Message::End) => return Ok(()),
                None => return Err(Halt::Reader(io::Error::other("it ended before its input did"))),
                Some(Message::Recognised { source, format }) => {
                    self.observer.recognised(&source.name, format);
                }
                Some(Message::Note { source, text }) => self.observer.note(&source.name, &text),
                Some(Message::Batch(Filled { items, empty, mark })) => {
                    for (what, number) in empty {
                        *self.report.empty.entry(what).or_default() += number;
                    }
                    match self.sink {
                        Sink::Spool(writer) => {
                            let writer = writer.clone();
                            self.relay(items, &writer, stop).await?;
                        }
                        _ => self.batch(items).await?,
                    }
                    if let Some(standing) = mark.and_then(|mark| self.followed.as_ref()?.standing(mark)) {
                        self.observer.reached(&standing);
                    }
                    self.observer.progress(&self.report);
                }
                Some(Message::Failed { source, line, reason }) => {
                    let source = source.name.clone();
                    self.report.failures.push(SourceFailure { source, line, reason });
                }
                Some(Message::Refused { source, line, reason }) => {
                    return Err(Halt::Refused { source_name: source.name.clone(), line, reason });
                }
            }
        }
    }

    /// Puts the events of a batch into a spool; the others are dead letters. When this returns all of them are on disk.
    async fn relay(
        &mut self,
        items: Vec<Item>,
        writer: &AuditWriter,
        stop: &CancellationToken,
    ) -> Result<(), Halt> {
        let (mut events, mut rejected) = (Vec::new(), Vec::new());
        for Item { source, place, original, mapped, .. } in items {
            self.report.read += 1;
            let reason = match mapped {
                Ok(Mapped { event: Incoming::New(event), leap_second }) => {
                    self.report.leap_seconds += u64::from(leap_second);
                    self.report.organizations.insert(event.organization_id.clone());
                    let origin =
                        Origin { source: source.name.clone(), line: place.line, element: place.element };
                    events.push((origin, event));
                    continue;
                }
                Ok(_) => "an event with a chain of its own does not go through a spool".to_owned(),
                Err(reason) => reason.to_string(),
            };
            self.report.rejected += 1;
            rejected.push((source, place, original, reason));
        }
        let records: Vec<RejectedRecord<'_>> = rejected
            .iter()
            .map(|(source, place, original, reason)| RejectedRecord {
                source: &source.name,
                group: &source.group,
                place: *place,
                conflict: false,
                reason,
                original,
            })
            .collect();
        for record in &records {
            self.observer.rejected(record);
        }
        writer.bury(&records).map_err(Halt::Rejects)?;
        if !events.is_empty() {
            match stop.run_until_cancelled(writer.append_from(events)).await {
                Some(taken) => taken?,
                None => return Err(Halt::Interrupted),
            }
        }
        self.observer.acknowledged(self.report.read).map_err(Halt::Acknowledge)
    }

    async fn batch(&mut self, items: Vec<Item>) -> Result<(), Halt> {
        let mut events = Vec::new();
        let mut preserved = Vec::new();
        let mut origins = Vec::with_capacity(items.len());
        for item in items {
            if self.previews.wants(item.format) {
                self.observer.preview(&Preview::of(&item));
            }
            let Item { source, place, original, mapped, .. } = item;
            let mapped = mapped.map(|mapped| {
                let told = (mapped.organization().clone(), mapped.leap_second);
                match mapped.event {
                    Incoming::New(event) => events.push(event),
                    Incoming::Preserved(kept) => preserved.push(kept),
                }
                told
            });
            origins.push((source, place, original, mapped));
        }
        // One of the two is empty: all records of a run are loaded the same way.
        let mut fates = match &mut *self.sink {
            Sink::Database(writer) if preserved.is_empty() => writer.append(events).await?,
            Sink::Database(writer) => writer.preserve(preserved).await?,
            // Its records do not come this way.
            Sink::Spool(_) => Vec::new(),
            Sink::Nowhere(rehearsal) if preserved.is_empty() => rehearsal.append(events),
            Sink::Nowhere(rehearsal) => rehearsal.preserve(preserved),
        }
        .into_iter();
        for (source, place, original, mapped) in origins {
            self.report.read += 1;
            let (conflict, reason) = match mapped {
                Err(reason) => (false, reason.to_string()),
                Ok((organization, leap_second)) => match fates.next() {
                    Some(Fate::Stored) => {
                        self.report.stored += 1;
                        self.report.leap_seconds += u64::from(leap_second);
                        self.report.organizations.insert(organization);
                        continue;
                    }
                    Some(fate @ (Fate::Duplicate | Fate::MappedDifferently)) => {
                        self.report.duplicate += 1;
                        self.report.mapped_differently += u64::from(fate == Fate::MappedDifferently);
                        self.report.organizations.insert(organization);
                        continue;
                    }
                    Some(Fate::Conflict(differs)) => (true, conflict(&differs)),
                    Some(Fate::Rejected(e)) => (false, e.to_string()),
                    None => (false, "the writer gave no answer for it".to_owned()),
                },
            };
            if conflict {
                self.report.conflict += 1;
            } else {
                self.report.rejected += 1;
            }
            let Source { name, group } = &*source;
            let record =
                RejectedRecord { source: name, group, place, conflict, reason: &reason, original: &original };
            self.observer.rejected(&record);
            self.rejects.write(&record).map_err(Halt::Rejects)?;
        }
        self.rejects.flush().map_err(Halt::Rejects)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{FORMATS, Format};
    use super::*;
    use proptest::prelude::*;
    use std::io::Cursor;

    /// Remembers what it was told.
    #[derive(Default)]
    struct Told {
        rejected: Vec<String>,
        recognised: Vec<SourceFormat>,
    }

    impl Observer for Told {
        fn recognised(&mut self, _: &str, format: SourceFormat) {
            self.recognised.push(format);
        }
        fn rejected(&mut self, record: &RejectedRecord<'_>) {
            self.rejected.push(format!("{}:{}: {}", record.source, record.place, record.reason));
        }
        fn progress(&mut self, _: &Report) {}
    }

    fn rehearse(bytes: Vec<u8>, format: Option<SourceFormat>, mapping: Mapping) -> (Outcome, Told) {
        let mut told = Told::default();
        let input = Input::new("f", None, Cursor::new(bytes));
        let settings = Settings { format, mapping, batch: 3, retry: false, previews: 0 };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let outcome = runtime.block_on(load(
            vec![input],
            settings,
            &mut Sink::Nowhere(Rehearsal::default()),
            &mut RejectsFile::nowhere(),
            &mut told,
            &CancellationToken::new(),
        ));
        (outcome, told)
    }

    const EVENT: &str = r#"{"event_id":"e","timestamp":"2026-01-05T09:01:01Z","organization_id":"acme","actor_type":"user","actor_id":"u","event_category":"admin","event_type":"t","event_severity":"info","resource_type":"user","resource_id":"u","action":"update","request_id":"r"}"#;

    #[test]
    fn one_file_may_hold_records_of_several_sources() {
        let call = r#"{"eventSource":"s3.amazonaws.com","eventName":"GetObject","eventTime":"2026-01-05T09:01:01Z","eventID":"c","recipientAccountId":"1"}"#;
        let text = format!("{EVENT}\n{call}\n{EVENT}\n");
        let (outcome, told) = rehearse(text.into_bytes(), None, Mapping::default());
        assert_eq!((outcome.report.stored, outcome.report.rejected), (3, 0));
        let names = ["agenttrace", "cloudtrail"].map(|name| Format::named(name).unwrap());
        assert_eq!(told.recognised, names, "each is said once");
        let (outcome, _) = rehearse(
            format!("{EVENT}\n{call}\n").into_bytes(),
            Format::named("agenttrace"),
            Mapping::default(),
        );
        assert_eq!((outcome.report.stored, outcome.report.rejected), (1, 1), "not where a format was named");
    }

    #[test]
    fn a_csv_of_microsoft_365_has_a_record_in_each_row() {
        let record = r#"{"Id":"i","CreationTime":"2026-01-05T09:01:01","Operation":"FileAccessed","OrganizationId":"o","UserId":"eve@corp.example","Workload":"OneDrive"}"#;
        let cell = record.replace('"', "\"\"");
        let text =
            format!("RecordType,CreationDate,AuditData\r\nx,1/5/2026 9:01:01 AM,\"{cell}\"\r\nx,y,\r\n");
        let (outcome, told) = rehearse(text.into_bytes(), None, Mapping::default());
        assert_eq!((outcome.report.stored, outcome.report.rejected), (1, 1));
        assert_eq!(told.recognised, [Format::named("microsoft365").unwrap()]);
        assert_eq!(told.rejected, ["f:3: AuditData: empty"]);
    }

    #[test]
    fn a_format_is_recognised_behind_bad_records_and_kept() {
        let text = format!("garbage\n{EVENT}\n{{\"colour\":\"red\"}}\n");
        let (outcome, told) = rehearse(text.into_bytes(), None, Mapping::default());
        assert!(outcome.halt.is_none());
        assert_eq!((outcome.report.stored, outcome.report.rejected), (1, 2));
        assert_eq!(told.recognised, [Format::named("agenttrace").unwrap()]);
        assert_eq!(told.rejected[0], "f:1: not valid JSON at line 1, column 1: expected value");
        assert_eq!(told.rejected[1], "f:3: the key 'colour' is not a column of audit_events");
    }

    #[test]
    fn a_file_in_no_known_format_is_given_up_after_a_while() {
        let (outcome, _) = rehearse("garbage\n".repeat(5000).into_bytes(), None, Mapping::default());
        assert_eq!((outcome.report.read, outcome.report.rejected), (100, 100));
        assert_eq!(outcome.report.failures.len(), 1);
        assert!(outcome.report.failures[0].reason.contains("--from"));
    }

    #[test]
    fn a_reader_that_dies_is_not_taken_for_the_end() {
        struct Dies;
        impl io::Read for Dies {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                panic!("on purpose")
            }
        }
        let input = Input::new("f", None, Dies);
        let settings =
            Settings { format: None, mapping: Mapping::default(), batch: 3, retry: false, previews: 0 };
        let outcome = tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(load(
            vec![input],
            settings,
            &mut Sink::Nowhere(Rehearsal::default()),
            &mut RejectsFile::nowhere(),
            &mut Told::default(),
            &CancellationToken::new(),
        ));
        assert!(matches!(outcome.halt, Some(Halt::Reader(_))), "{outcome:?}");
    }

    /// Lines that are good, bad in many ways, or no text at all.
    fn line() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            Just(EVENT.as_bytes().to_vec()),
            Just(EVENT.replace("user", "nobody").into_bytes()),
            (0..EVENT.len()).prop_map(|cut| EVENT.as_bytes()[..cut].to_vec()),
            (0..EVENT.len(), any::<u8>()).prop_map(|(at, byte)| {
                let mut bytes = EVENT.as_bytes().to_vec();
                bytes[at] = byte;
                bytes
            }),
            prop::collection::vec(any::<u8>(), 0..40),
        ]
    }

    proptest! {
        #[test]
        fn every_record_of_any_bytes_is_accounted_for(
            lines in prop::collection::vec(line(), 0..12),
            format in prop::option::of(prop::sample::select(FORMATS.iter().collect::<Vec<_>>())),
            preserve_chain in any::<bool>(),
        ) {
            let mapping = Mapping { preserve_chain, ..Mapping::default() };
            let (outcome, told) = rehearse(lines.join(&b'\n'), format, mapping);
            let Report { read, stored, duplicate, conflict, rejected, .. } = outcome.report;
            prop_assert_eq!(read, stored + duplicate + conflict + rejected);
            prop_assert_eq!(told.rejected.len() as u64, rejected);
            let refused = matches!(outcome.halt, Some(Halt::Refused { .. }));
            prop_assert!(outcome.halt.is_none() || refused);
            // Without a document among them, no line is passed over.
            let records: Vec<&[u8]> = lines.iter().flat_map(|l| l.split(|b| *b == b'\n'))
                .filter(|l| !l.trim_ascii().is_empty() && *l != b"\xef\xbb\xbf").collect();
            let plain = records.iter().all(|r| !r.trim_ascii().starts_with(b"[") && !r.starts_with(b"\xef\xbb"))
                && !lines.concat().starts_with(&[0x1f, 0x8b]);
            if plain && !refused {
                prop_assert_eq!(read, records.len() as u64);
            }
        }
    }
}
