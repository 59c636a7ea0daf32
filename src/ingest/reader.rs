//! The thread that reads: decompresses, splits, recognises, maps, and hands batches on.

use super::archive::{Archive, Member};
use super::compressed::{Broken, Content};
use super::csv;
use super::follow::{Followed, Mark, Tail};
use super::format::Opened;
use super::input::Source;
use super::message::{Batch, Item, Message};
use super::record::Members;
use super::rejects::{self, Original};
use super::split::{MAX_RECORD, Record, Splitter};
use super::{FORMATS, Format, Input, Mapped, Mapping, Place, Reject, SourceFormat};
use std::io::{BufRead as _, BufReader, Cursor, Read};
use std::sync::Arc;
use tokio::sync::mpsc;

/// How much of a source is looked at for the header of a CSV file.
const BEGINNING: usize = 8 << 10;

/// When the format has to be found out, it must show within this many records.
const RECOGNISE_WITHIN: u64 = 100;

/// Why a source is not read on.
enum Stop {
    /// Nobody listens any more.
    Gone,
    /// The options forbid it.
    Refused { line: u64, reason: String },
    /// No format was found.
    Unrecognised { line: u64 },
}

pub(super) struct Reader {
    /// `None`: find out, for each source.
    format: Option<SourceFormat>,
    mapping: Mapping,
    /// Records in a batch.
    size: usize,
    /// The sources are files of rejected records.
    retry: bool,
    out: mpsc::Sender<Message>,
    batch: Batch,
    /// Formats of which the loader knows. A message for each of thousands of small files would fill the channel, and
    /// reading would wait for each batch to be written.
    told: Vec<SourceFormat>,
    /// The buffer of the source before, for the next one.
    buffer: Vec<u8>,
}

/// A source while it is read.
struct Reading {
    source: Arc<Source>,
    format: Option<SourceFormat>,
    /// Records of no known format.
    unrecognised: u64,
    /// The line of the first of them.
    first_unrecognised: Option<u64>,
}

impl Reader {
    pub(super) fn new(
        format: Option<SourceFormat>,
        mapping: Mapping,
        size: usize,
        retry: bool,
        out: mpsc::Sender<Message>,
    ) -> Self {
        Self {
            format,
            mapping,
            size: size.max(1),
            retry,
            out,
            batch: Batch::default(),
            told: Vec::new(),
            buffer: Vec::new(),
        }
    }

    /// Reads all sources, one after the other. Batches do not end with them: of thousands of small files, each would
    /// cost a transaction.
    pub(super) fn run(mut self, inputs: Vec<Input>) {
        for input in inputs {
            if self.read(input).is_err() {
                return;
            }
        }
        // Nobody listening is no failure of ours.
        drop(self.flush().and_then(|()| self.send(Message::End)));
    }

    fn send(&self, message: Message) -> Result<(), Stop> {
        self.out.blocking_send(message).map_err(|_| Stop::Gone)
    }

    fn flush(&mut self) -> Result<(), Stop> {
        self.flush_up_to(None)
    }

    fn flush_up_to(&mut self, mark: Option<Mark>) -> Result<(), Stop> {
        if self.batch.is_empty() {
            return Ok(());
        }
        self.out.blocking_send(self.batch.take(mark)).map_err(|_| Stop::Gone)
    }

    /// Reads a source; an error when nothing may follow it.
    fn read(&mut self, input: Input) -> Result<(), Stop> {
        let (source, live) = (Arc::clone(&input.source), input.live);
        let followed = input.followed();
        match input.open() {
            Ok(Content::Stream(bytes)) => self.settled(&source, |reader| reader.stream(&source, bytes, live)),
            Ok(Content::Archive(archive)) => self.members(&source, archive),
            Ok(Content::Tail(tail)) => {
                self.settled(&source, |reader| reader.tail(&source, *tail, followed.as_deref()))
            }
            Err(e) => self.fail(&source, 1, e.to_string()),
        }
    }

    /// The files of an archive.
    fn members(&mut self, archive: &Arc<Source>, mut members: Archive) -> Result<(), Stop> {
        while let Some(Member { name, bytes }) = members.next() {
            let name = format!("{}/{name}", archive.name);
            let source = Arc::new(Source { name, group: archive.group.clone() });
            match bytes {
                Ok(bytes) => self.settled(&source, |reader| reader.stream(&source, bytes, false))?,
                Err(e) => self.fail(&source, 1, e.to_string())?,
            }
        }
        Ok(())
    }

    /// Says how a source ended. Where the options forbid one, nothing of the batch in which that shows is stored.
    fn settled(
        &mut self,
        source: &Arc<Source>,
        read: impl FnOnce(&mut Self) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        match read(self) {
            Err(Stop::Unrecognised { line }) => self.fail(source, line, not_recognised()),
            Err(Stop::Refused { line, reason }) => {
                self.send(Message::Refused { source: Arc::clone(source), line, reason })?;
                Err(Stop::Gone)
            }
            other => other,
        }
    }

    fn fail(&self, source: &Arc<Source>, line: u64, reason: String) -> Result<(), Stop> {
        self.send(Message::Failed { source: Arc::clone(source), line, reason })
    }

    fn stream(&mut self, source: &Arc<Source>, bytes: impl Read, live: bool) -> Result<(), Stop> {
        let (beginning, bytes) = first_line(bytes);
        let names = csv::header(&beginning);
        // A record is said to begin at the end of the line before it, where that is two characters.
        let late = u64::from(beginning.ends_with(b"\r\n"));
        let bytes = Cursor::new(beginning).chain(bytes);
        if let Some(names) = names
            && let Some(format) = self.of_csv(&names)
        {
            return self.rows(source, format, &names, late, bytes);
        }
        let mut splitter = Splitter::with_buffer(bytes, MAX_RECORD, std::mem::take(&mut self.buffer));
        let read = self.records(source, &mut splitter, live, None);
        self.buffer = splitter.into_buffer();
        read
    }

    /// A file that grows, until nobody listens any more.
    fn tail(&mut self, source: &Arc<Source>, tail: Tail, followed: Option<&Followed>) -> Result<(), Stop> {
        let tail = tail.talking_to(self.out.clone(), Arc::clone(source));
        let mut splitter = Splitter::with_buffer(tail, MAX_RECORD, Vec::new());
        self.records(source, &mut splitter, true, followed)
    }

    /// The format of the rows of a CSV file, where that is one of those asked for.
    fn of_csv(&self, names: &[String]) -> Option<SourceFormat> {
        let own = Format::named(csv::format(names));
        own.filter(|own| self.format.is_none_or(|format| format == *own))
    }

    /// The rows of a CSV file, behind its header.
    fn rows(
        &mut self,
        source: &Arc<Source>,
        format: SourceFormat,
        names: &[String],
        late: u64,
        bytes: impl Read,
    ) -> Result<(), Stop> {
        let mut reading = Reading {
            source: Arc::clone(source),
            format: Some(format),
            unrecognised: 0,
            first_unrecognised: None,
        };
        self.tell(&reading.source, format)?;
        let mut rows = ::csv::ReaderBuilder::new().flexible(true).from_reader(bytes);
        let mut cells = ::csv::StringRecord::new();
        loop {
            let line = rows.position().line() + late;
            match rows.read_record(&mut cells) {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(e) if matches!(e.kind(), ::csv::ErrorKind::Utf8 { .. }) => {
                    let reason = Reject::new("is not UTF-8");
                    let original = Original::Text(String::new());
                    self.take(&mut reading, Place { line, element: None }, original, Err(reason))?;
                    continue;
                }
                Err(e) => {
                    return self.fail(source, line, e.to_string());
                }
            }
            let place = Place { line: cells.position().map_or(line, |at| at.line() + late), element: None };
            let (original, mapped) = match csv::record(names, &cells) {
                Ok(text) => {
                    let mapped = (format.map)(&text, &self.mapping);
                    (text, mapped)
                }
                Err(reason) => {
                    let cells: Vec<&str> = cells.iter().collect();
                    (cells.join(","), Err(Reject::new(reason)))
                }
            };
            self.take(&mut reading, place, Original::Text(original), mapped)?;
            if self.is_full() {
                self.flush()?;
            }
        }
    }

    /// Says which format was recognised, once.
    fn tell(&mut self, source: &Arc<Source>, format: SourceFormat) -> Result<(), Stop> {
        if self.format.is_some() || self.told.contains(&format) {
            return Ok(());
        }
        self.told.push(format);
        self.send(Message::Recognised { source: Arc::clone(source), format })
    }

    fn is_full(&self) -> bool {
        self.batch.is_full(self.size)
    }

    fn records(
        &mut self,
        source: &Arc<Source>,
        splitter: &mut Splitter<impl Read>,
        live: bool,
        followed: Option<&Followed>,
    ) -> Result<(), Stop> {
        let mut reading = Reading {
            source: Arc::clone(source),
            format: self.format,
            unrecognised: 0,
            first_unrecognised: None,
        };
        loop {
            match splitter.next() {
                Ok(Some(mut record)) => {
                    if let Some(followed) = followed {
                        followed.place(&mut record.place, splitter.position());
                    }
                    self.record(&mut reading, record)?;
                }
                Ok(None) => break,
                Err(e) => {
                    self.fail(source, splitter.line(), e.to_string())?;
                    break;
                }
            }
            // Whoever fills a pipe may rest for hours: what is there must not wait for a full batch.
            if self.is_full() || (live && !splitter.has_line()) {
                let mark = Mark { position: splitter.position(), line: splitter.line() };
                self.flush_up_to(followed.map(|_| mark))?;
            }
            // What was rejected once may be anything.
            if !self.retry && reading.format.is_none() && reading.unrecognised >= RECOGNISE_WITHIN {
                break;
            }
        }
        self.batch.note_empty("document without records", splitter.empty_documents());
        if !self.retry && reading.format.is_none() && reading.unrecognised > 0 {
            return Err(Stop::Unrecognised { line: reading.first_unrecognised.unwrap_or(1) });
        }
        Ok(())
    }

    /// Puts a record of the file into the batch, or the one that a line of a file of rejected records holds.
    fn record(&mut self, reading: &mut Reading, record: Record) -> Result<(), Stop> {
        let place = record.place;
        let text = match record.text {
            Ok(text) => text,
            Err((reason, original)) => return self.take(reading, place, original, Err(reason)),
        };
        if !self.retry {
            return self.object(reading, place, record.column, text, record.broken);
        }
        let refuse = |reason: &str| Err(Reject::new(reason));
        match rejects::kept(&text) {
            Ok(Original::Text(text)) => self.object(reading, Place { element: None, ..place }, 1, text, None),
            Ok(original @ Original::Bytes(_)) => self.take(reading, place, original, refuse("is not UTF-8")),
            Ok(original @ Original::Start(_)) => {
                self.take(reading, place, original, refuse("only its beginning was kept, as it was too long"))
            }
            Err(reason) => self.take(reading, place, Original::Text(text), Err(reason)),
        }
    }

    /// Finds out what an object is; `broken` says why it is none, where that shows on a later line.
    fn object(
        &mut self,
        reading: &mut Reading,
        place: Place,
        column: u64,
        text: String,
        broken: Option<Reject>,
    ) -> Result<(), Stop> {
        let members = match Members::parse(&text) {
            Ok(members) => members,
            Err(reason) => {
                let reason = broken.unwrap_or_else(|| reason.in_text_at(place.line, column));
                return self.take(reading, place, Original::Text(text), Err(reason));
            }
        };
        let found = self.recognise(reading.format, &members);
        match found {
            None => {
                let reason = Reject::new(Format::unsupported(&members));
                self.take(reading, place, Original::Text(text), Err(reason))
            }
            Some((_, Opened::NoRecords(what))) => {
                self.batch.note_empty(what, 1);
                Ok(())
            }
            Some((format, opened)) => {
                if reading.format != Some(format) {
                    reading.format = Some(format);
                    self.tell(&reading.source, format)?;
                }
                if let Opened::Wrapped(inner) = opened {
                    for text in inner {
                        let mapped = (format.map)(&text, &self.mapping).map_err(Reject::in_wrapper);
                        self.take(reading, place, Original::Text(text), mapped)?;
                    }
                    return Ok(());
                }
                let mapped = (format.map)(&text, &self.mapping);
                self.take(reading, place, Original::Text(text), mapped)
            }
        }
    }

    /// The format of an object, and what it is there: the one that was asked for; else that of the records before it, or, as
    /// one file may hold records of several sources, another one. Where no format takes it, that of the records before says
    /// what it misses.
    fn recognise(
        &self,
        before: Option<SourceFormat>,
        members: &Members<'_>,
    ) -> Option<(SourceFormat, Opened)> {
        let as_before = before.map(|format| (format, (format.open)(members)));
        if self.format.is_some() || as_before.as_ref().is_some_and(|(_, opened)| *opened != Opened::Foreign) {
            return as_before;
        }
        Format::recognise(members).or(as_before)
    }

    fn take(
        &mut self,
        reading: &mut Reading,
        place: Place,
        original: Original,
        mapped: Result<Mapped, Reject>,
    ) -> Result<(), Stop> {
        if reading.format.is_none() {
            reading.unrecognised += 1;
            reading.first_unrecognised.get_or_insert(place.line);
        }
        let format = reading.format;
        let item = Item { source: Arc::clone(&reading.source), place, format, original, mapped };
        if let Some(reason) = self.refusal(reading.format, &item) {
            return Err(Stop::Refused { line: place.line, reason });
        }
        self.batch.push(item);
        Ok(())
    }

    /// Why the options forbid to go on with this record.
    fn refusal(&self, format: Option<SourceFormat>, item: &Item) -> Option<String> {
        if !self.mapping.preserve_chain {
            return None;
        }
        if let Some(format) = format.filter(|format| !format.has_chain) {
            return Some(no_chain(format));
        }
        let named = self.mapping.organization.as_ref()?;
        let own = item.mapped.as_ref().ok()?.organization();
        (own != named).then(|| {
            format!(
                "the record is of organisation '{own}', and --preserve-chain cannot make it one of '{named}'"
            )
        })
    }
}

/// The first line, or as much of it as a header may be long, and what follows: also the error that cut it off.
fn first_line(bytes: impl Read) -> (Vec<u8>, impl Read) {
    let mut bytes = BufReader::with_capacity(BEGINNING, bytes);
    let mut line = Vec::new();
    let read = bytes.by_ref().take(BEGINNING as u64).read_until(b'\n', &mut line);
    (line, Broken(read.err()).chain(bytes))
}

/// Why records of a format cannot be loaded with `--preserve-chain`.
pub fn no_chain(format: SourceFormat) -> String {
    format!("{format} records have no chain that --preserve-chain could keep")
}

fn not_recognised() -> String {
    let known: Vec<String> = FORMATS.iter().map(|f| format!("{} ({})", f.name, f.title)).collect();
    format!("its format is not recognised; supported are {}; name it with --from", known.join(", "))
}
