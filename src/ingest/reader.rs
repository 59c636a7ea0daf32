//! The thread that reads: decompresses, splits, recognises, maps, and hands batches on.

use super::rejects::Original;
use super::split::{MAX_RECORD, Splitter};
use super::{Input, Mapped, Mapping, Place, Reject, SourceFormat};
use std::io::Read;
use tokio::sync::mpsc;

/// A batch ends when its records have this many bytes, so that memory is bounded when they are large.
const BATCH_BYTES: usize = 8 << 20;

/// When the format has to be found out, it must show within this many records.
const RECOGNISE_WITHIN: u64 = 100;

/// What the reading thread has to say, in the order of the files.
pub(super) enum Message {
    /// A source begins.
    Source(String),
    /// Its format was recognised.
    Recognised(SourceFormat),
    /// Records of it.
    Batch(Vec<Item>),
    /// It could not be read to its end.
    Failed { line: u64, reason: String },
    /// It must not be loaded with these options; nothing follows.
    Refused { line: u64, reason: String },
    /// All sources are done. Without this word the reader has died.
    End,
}

/// A record: where it stood, as it stood, and what it means.
pub(super) struct Item {
    pub(super) place: Place,
    pub(super) original: Original,
    pub(super) mapped: Result<Mapped, Reject>,
}

/// Nobody listens any more.
pub(super) struct Gone;

pub(super) struct Reader {
    /// `None`: find out.
    pub(super) format: Option<SourceFormat>,
    pub(super) mapping: Mapping,
    /// Records in a batch.
    pub(super) batch: usize,
    pub(super) out: mpsc::Sender<Message>,
}

impl Reader {
    /// Reads all sources, one after the other.
    pub(super) fn run(self, inputs: Vec<Input>) {
        for input in inputs {
            if self.read(input).is_err() {
                return;
            }
        }
        // Nobody listening is no failure of ours.
        let _ = self.send(Message::End);
    }

    fn send(&self, message: Message) -> Result<(), Gone> {
        self.out.blocking_send(message).map_err(|_| Gone)
    }

    fn read(&self, input: Input) -> Result<(), Gone> {
        self.send(Message::Source(input.name.clone()))?;
        let live = input.live;
        let failed = |line, e: std::io::Error| self.send(Message::Failed { line, reason: e.to_string() });
        match input.open() {
            Ok(bytes) => self.records(Splitter::new(bytes, MAX_RECORD), live),
            Err(e) => failed(1, e),
        }
    }

    fn records(&self, mut splitter: Splitter<impl Read>, live: bool) -> Result<(), Gone> {
        let mut format = self.format;
        let mut unrecognised = 0;
        let mut batch = Batch::default();
        let end = loop {
            let record = match splitter.next() {
                Ok(Some(record)) => record,
                Ok(None) if format.is_none() && unrecognised > 0 => {
                    break Some(not_recognised(splitter.line()));
                }
                Ok(None) => break None,
                Err(e) => break Some(Message::Failed { line: splitter.line(), reason: e.to_string() }),
            };
            if format.is_none()
                && let Some(found) = record.text.as_deref().ok().and_then(SourceFormat::recognise)
            {
                format = Some(found);
                self.send(Message::Recognised(found))?;
            }
            let item = match (record.text, format) {
                (Err((reason, original)), _) => Item { place: record.place, original, mapped: Err(reason) },
                (Ok(text), Some(format)) => {
                    let mapped = format.map(&text, &self.mapping);
                    Item { place: record.place, original: Original::Text(text), mapped }
                }
                (Ok(text), None) => Item {
                    place: record.place,
                    original: Original::Text(text),
                    mapped: Err(Reject::new("neither an AgentTrace event nor a CloudTrail record")),
                },
            };
            if format.is_none() {
                unrecognised += 1;
            }
            if let Some(reason) = self.refusal(format, &item) {
                return self.send(Message::Refused { line: item.place.line, reason });
            }
            batch.push(item);
            let full = batch.items.len() >= self.batch || batch.bytes >= BATCH_BYTES;
            // Whoever fills a pipe may rest for hours: what is there must not wait for a full batch.
            if full || (live && !splitter.has_line()) {
                self.send(batch.take())?;
            }
            if format.is_none() && unrecognised >= RECOGNISE_WITHIN {
                break Some(not_recognised(splitter.line()));
            }
        };
        if !batch.items.is_empty() {
            self.send(batch.take())?;
        }
        end.map_or(Ok(()), |message| self.send(message))
    }

    /// Why the options forbid to go on with this record.
    fn refusal(&self, format: Option<SourceFormat>, item: &Item) -> Option<String> {
        if !self.mapping.preserve_chain {
            return None;
        }
        if format == Some(SourceFormat::CloudTrail) {
            return Some("CloudTrail records have no chain that --preserve-chain could keep".to_owned());
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

fn not_recognised(line: u64) -> Message {
    let reason = "its format is not recognised; name it with --from".to_owned();
    Message::Failed { line, reason }
}

#[derive(Default)]
struct Batch {
    items: Vec<Item>,
    bytes: usize,
}

impl Batch {
    fn push(&mut self, item: Item) {
        self.bytes += match &item.original {
            Original::Text(text) => text.len(),
            Original::Bytes(bytes) | Original::Start(bytes) => bytes.len(),
        };
        self.items.push(item);
    }

    fn take(&mut self) -> Message {
        self.bytes = 0;
        Message::Batch(std::mem::take(&mut self.items))
    }
}
