//! The versions of one resource, all at hand and small: states that follow each other are much alike, so they are kept
//! compressed, many together, and a state that two events share (one left it, the next one saw it) once. Any state is a
//! fraction of a millisecond away, exactly as stored.

use super::history::{Known, Version, state_between};
use super::json::Limits;
use crate::domain::Timestamp;
use std::io;
use std::sync::Arc;

/// Bytes of text that are compressed together: what is read for one state.
const BLOCK: usize = 256 << 10;

/// How hard it is compressed: as fast as possible, as versions differ by little.
const LEVEL: i32 = 1;

/// An event of the resource without its states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Identifier of the event.
    pub event_id: String,
    /// Its claimed time.
    pub timestamp: Timestamp,
    /// Who acted.
    pub actor_id: String,
    /// Column `action`.
    pub action: String,
    /// Whether the state is known until the next version.
    pub until_next: Span,
    previous: Option<Place>,
    new: Option<Place>,
}

/// What is known of the time between a version and the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// The next one saw the state that this one left; or there is no next one that says what it saw.
    Known,
    /// It did not, or this one left no state.
    Unknown,
}

/// Where the text of a state is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    block: u32,
    start: u32,
    len: u32,
}

/// The versions, oldest first.
#[derive(Debug, PartialEq, Eq)]
pub struct Chronicle {
    entries: Vec<Entry>,
    /// Compressed text, with its length.
    blocks: Vec<(Box<[u8]>, usize)>,
    /// Older events were not recorded.
    pub cut: bool,
}

/// A state as it was taken out.
#[derive(Debug, Clone, Default)]
pub struct State(Option<Arc<str>>, Option<(usize, usize)>);

impl State {
    /// The text; `None` where none was recorded.
    pub fn text(&self) -> Option<&str> {
        let (start, end) = self.1?;
        self.0.as_deref()?.get(start..end)
    }
}

impl Chronicle {
    /// Number of versions.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The versions without their states.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Bytes that the states take.
    pub fn bytes(&self) -> usize {
        self.blocks.iter().map(|(block, _)| block.len()).sum()
    }

    /// The last version not newer than an event, or than a moment (with an empty identifier, the moment itself is not
    /// included). `None` before the first one.
    pub fn last_until(&self, timestamp: Timestamp, event_id: &str) -> Option<usize> {
        let start = self.entries.partition_point(|e| e.timestamp < timestamp);
        let end = self.entries.partition_point(|e| e.timestamp <= timestamp);
        let instant = self.entries.get(start..end).unwrap_or_default();
        // Within an instant the order is that of the table, which has one of its own.
        let here = instant.iter().position(|e| e.event_id == event_id);
        let count =
            here.map_or_else(|| instant.iter().filter(|e| *e.event_id <= *event_id).count(), |n| n + 1);
        (start + count).checked_sub(1)
    }

    /// The states before and after a version.
    ///
    /// # Errors
    /// When the memory that holds them is damaged.
    pub fn states(&self, index: usize) -> io::Result<[State; 2]> {
        let Some(entry) = self.entries.get(index) else { return Ok([State::default(), State::default()]) };
        let mut opened: Option<(u32, Arc<str>)> = None;
        let mut state = |place: Option<Place>| {
            let Some(Place { block, start, len }) = place else { return Ok(State::default()) };
            let text = match &opened {
                Some((number, text)) if *number == block => Arc::clone(text),
                _ => self.block(block)?,
            };
            opened = Some((block, Arc::clone(&text)));
            let start = start as usize;
            io::Result::Ok(State(Some(text), Some((start, start + len as usize))))
        };
        Ok([state(entry.previous)?, state(entry.new)?])
    }

    fn block(&self, number: u32) -> io::Result<Arc<str>> {
        let Some((packed, length)) = self.blocks.get(number as usize) else { return Ok(Arc::from("")) };
        let text = zstd::bulk::decompress(packed, *length)?;
        String::from_utf8(text).map(Arc::from).map_err(io::Error::other)
    }

    /// A version with its states, as [`super::history`] takes it.
    pub fn version<'v>(&'v self, index: usize, [previous, new]: &'v [State; 2]) -> Option<Version<'v>> {
        let entry = self.entries.get(index)?;
        Some(Version {
            event_id: &entry.event_id,
            timestamp: entry.timestamp,
            actor_id: &entry.actor_id,
            action: &entry.action,
            previous: previous.text(),
            new: new.text(),
        })
    }
}

/// A chronicle under construction. Versions come newest first, as the newest are those that are wanted.
#[derive(Debug)]
pub struct Recorder {
    limits: Limits,
    /// Newest first.
    entries: Vec<Entry>,
    blocks: Vec<(Box<[u8]>, usize)>,
    text: String,
    /// The state that the version recorded last, the next one in time, saw: its text and where that is.
    seen: Option<(String, Place)>,
    /// That version itself, with its states.
    following: Option<(String, Option<String>, Option<String>)>,
}

impl Recorder {
    /// Nothing recorded yet. Within `limits`, states that differ as text are compared by value.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            entries: Vec::new(),
            blocks: Vec::new(),
            text: String::new(),
            seen: None,
            following: None,
        }
    }

    /// The next older event; one that says nothing of the state is no version.
    ///
    /// # Errors
    /// When memory runs out while compressing.
    pub fn record(&mut self, version: &Version<'_>) -> io::Result<()> {
        if !version.tells() {
            return Ok(());
        }
        let until_next = self.until_next(version);
        let new = match (version.new, &self.seen) {
            (Some(new), Some((seen, place))) if new == seen => Some(*place),
            (Some(new), _) => Some(self.keep(new)?),
            (None, _) => None,
        };
        let previous = match (version.previous, version.new) {
            (Some(previous), Some(new_text)) if previous == new_text => new,
            (Some(previous), _) => Some(self.keep(previous)?),
            (None, _) => None,
        };
        self.seen = version.previous.map(str::to_owned).zip(previous);
        let own = |text: Option<&str>| text.map(str::to_owned);
        self.following = Some((version.action.to_owned(), own(version.previous), own(version.new)));
        self.entries.push(Entry {
            event_id: version.event_id.to_owned(),
            timestamp: version.timestamp,
            actor_id: version.actor_id.to_owned(),
            action: version.action.to_owned(),
            until_next,
            previous,
            new,
        });
        Ok(())
    }

    fn until_next(&self, version: &Version<'_>) -> Span {
        let following = self.following.as_ref().map(|(action, previous, new)| Version {
            action,
            previous: previous.as_deref(),
            new: new.as_deref(),
            ..*version
        });
        let (known, unknown, _) = state_between(Some(version), following.as_ref(), self.limits);
        if known == Known::Unknown || !unknown.is_empty() { Span::Unknown } else { Span::Known }
    }

    fn keep(&mut self, text: &str) -> io::Result<Place> {
        if self.text.len() + text.len() > BLOCK && !self.text.is_empty() {
            self.pack()?;
        }
        let (block, start) = (self.blocks.len() as u32, self.text.len() as u32);
        self.text.push_str(text);
        Ok(Place { block, start, len: text.len() as u32 })
    }

    fn pack(&mut self) -> io::Result<()> {
        let packed = zstd::bulk::compress(self.text.as_bytes(), LEVEL)?;
        self.blocks.push((packed.into_boxed_slice(), self.text.len()));
        self.text.clear();
        Ok(())
    }

    /// The chronicle; `cut` says that there are older events.
    ///
    /// # Errors
    /// As [`Self::record`].
    pub fn finish(mut self, cut: bool) -> io::Result<Chronicle> {
        self.pack()?;
        self.entries.reverse();
        Ok(Chronicle { entries: self.entries, blocks: self.blocks, cut })
    }
}

#[cfg(test)]
mod tests {
    use super::super::apply::tests::pairs;
    use super::*;

    const LIMITS: Limits = Limits { bytes: 1 << 20, nodes: 100_000 };

    /// A life of random states; some events only look, some record nothing, some miss a change.
    fn life(count: usize) -> Vec<(String, &'static str, Option<String>, Option<String>)> {
        let mut states = pairs(count).flat_map(|(a, b)| [a, b]);
        let mut now = states.next();
        let mut life = Vec::new();
        for n in 0..count {
            let (old, new) = (now.clone(), states.next());
            life.push(match n % 10 {
                3 => (format!("e{n}"), "read", None, None),
                5 => (format!("e{n}"), "update", None, None),
                7 => (format!("e{n}"), "update", states.next(), new.clone()),
                8 => (format!("e{n}"), "update", old.clone(), old.clone()),
                _ => (format!("e{n}"), "update", old, new.clone()),
            });
            if !matches!(n % 10, 3 | 5 | 8) {
                now = new;
            }
        }
        life
    }

    #[test]
    fn every_state_is_the_stored_one_and_what_is_unknown_is_said() {
        let life = life(600);
        let versions: Vec<Version<'_>> = life
            .iter()
            .enumerate()
            .map(|(n, (id, action, previous, new))| Version {
                event_id: id,
                timestamp: Timestamp::from_micros(n as i64),
                actor_id: "a",
                action,
                previous: previous.as_deref(),
                new: new.as_deref(),
            })
            .collect();
        let mut recorder = Recorder::new(LIMITS);
        for version in versions.iter().rev() {
            recorder.record(version).unwrap();
        }
        let chronicle = recorder.finish(false).unwrap();
        let told: Vec<&Version<'_>> = versions.iter().filter(|v| v.tells()).collect();
        assert_eq!(chronicle.len(), told.len());
        let mut unknown = 0;
        for (n, version) in told.iter().enumerate() {
            let states = chronicle.states(n).unwrap();
            assert_eq!(chronicle.version(n, &states).as_ref(), Some(*version));
            assert_eq!(chronicle.last_until(version.timestamp, version.event_id), Some(n));
            let (known, paths, _) = state_between(Some(version), told.get(n + 1).copied(), LIMITS);
            let is_unknown = known == Known::Unknown || !paths.is_empty();
            assert_eq!(chronicle.entries()[n].until_next == Span::Unknown, is_unknown);
            unknown += usize::from(is_unknown);
        }
        assert!(unknown > 50 && unknown < told.len() / 2, "{unknown}");
        assert_eq!(chronicle.last_until(Timestamp::from_micros(-1), ""), None);
        assert!(chronicle.states(9_999).unwrap()[0].text().is_none());
    }

    #[test]
    fn a_long_life_takes_little() {
        let state = |n: usize| {
            let members: Vec<String> =
                (0..300).map(|k| format!("\"key_{k}\": \"value {}\"", (n + k) / 300)).collect();
            format!("{{{}}}", members.join(", "))
        };
        let mut recorder = Recorder::new(LIMITS);
        let (mut new, mut raw) = (state(200), 0);
        for n in (0..200).rev() {
            let previous = state(n);
            raw += previous.len() + new.len();
            let version = Version {
                event_id: &format!("e{n}"),
                timestamp: Timestamp::from_micros(n as i64),
                actor_id: "a",
                action: "update",
                previous: Some(&previous),
                new: Some(&new),
            };
            recorder.record(&version).unwrap();
            new = previous;
        }
        let chronicle = recorder.finish(true).unwrap();
        assert!(chronicle.bytes() * 20 < raw, "{} of {raw}", chronicle.bytes());
        assert_eq!(chronicle.states(100).unwrap()[1].text(), Some(state(101).as_str()));
        assert!(chronicle.entries().iter().all(|e| e.until_next == Span::Known) && chronicle.cut);
    }
}
