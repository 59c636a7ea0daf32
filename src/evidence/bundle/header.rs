//! The lines before the events.

use super::MAGIC;
use crate::domain::Timestamp;
use crate::evidence::checkpoint::{self, Signed, escape, unescape};
use crate::evidence::note::PublicKey;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Most lines of a header.
pub(super) const MOST_LINES: usize = 300;
/// Most conditions that a bundle names.
pub const MOST_TERMS: usize = 200;

/// Most time stamps.
pub(super) const MOST_STAMPS: usize = 10;

/// Most values of a condition.
const MOST_VALUES: usize = 10_000;

/// What the bundle holds of the events that were not selected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// A: all events between two checkpoints, in full.
    Rows,
    /// B: the hashes of all other events between two checkpoints.
    Hashes,
    /// Nothing.
    None,
}

impl Level {
    /// Its name in the file and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::Hashes => "hashes",
            Self::None => "none",
        }
    }

    /// What it claims of completeness.
    pub const fn claim(self) -> &'static str {
        match self {
            Self::Rows => "level A: all events in full",
            Self::Hashes => "level B: the others as hashes",
            Self::None => "nothing said of others",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::Rows, Self::Hashes, Self::None].into_iter().find(|level| level.name() == name)
    }
}

/// A condition that can be tried off-line: the field has one of these values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// Name of the field, as a filter names it canonically.
    pub field: String,
    /// Its values; never empty.
    pub any_of: Vec<String>,
}

impl Term {
    /// Whether a verifier can try it: it is on a column that the text of an event has, and not too long.
    pub fn can_be_tried(&self) -> bool {
        super::row::is_field(&self.field) && !self.any_of.is_empty() && self.any_of.len() <= MOST_VALUES
    }
}

/// The header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Whose events they are.
    pub organization: String,
    /// The filter in its canonical spelling, or in words.
    pub filter: String,
    /// First instant of the selection.
    pub since: Option<Timestamp>,
    /// First instant behind it.
    pub until: Option<Timestamp>,
    /// What is held of the others.
    pub level: Level,
    /// Conditions that each selected event fulfils.
    pub terms: Vec<Term>,
    /// Together with the time, these are the whole filter.
    pub terms_are_all: bool,
    /// How many events were selected.
    pub selected: u64,
    /// The checkpoint in whose tree the events are.
    pub checkpoint: Option<Signed>,
    /// The earlier one at which the range of leaves begins; without one, it begins with the first leaf.
    pub before: Option<Signed>,
    /// Time stamps of the text of the checkpoint, as their authorities gave them.
    pub stamps: Vec<Vec<u8>>,
    /// Keys that signatures may be by. That they stand here says nothing of whose they are.
    pub keys: Vec<PublicKey>,
}

impl Header {
    /// First leaf of the range, and the first behind it; of level `none`, there is no range.
    pub fn range(&self) -> Option<(u64, u64)> {
        let checkpoint = self.checkpoint.as_ref().filter(|_| self.level != Level::None)?;
        let from = self.before.as_ref().map_or(0, |before| before.trail.checkpoint.size);
        Some((from, checkpoint.trail.checkpoint.size))
    }

    /// Every event of the organisation was asked for, whatever it is and whenever it was.
    pub fn selects_all(&self) -> bool {
        self.terms_are_all && self.terms.is_empty() && self.since.is_none() && self.until.is_none()
    }

    pub(super) fn text(&self) -> String {
        let time = |at: Option<Timestamp>| at.map_or_else(|| "-".to_owned(), Timestamp::to_rfc3339);
        let notes = |signed: &Option<Signed>| match signed {
            None => "-".to_owned(),
            Some(signed) => {
                let [checkpoint, trail] =
                    [&signed.checkpoint, &signed.trail_note].map(|note| STANDARD.encode(note.as_str()));
                format!("{checkpoint} {trail}")
            }
        };
        let mut text = format!(
            "{MAGIC}\norganization {}\nfilter {}\nsince {}\nuntil {}\nlevel {}\nterms {}\n",
            escape(&self.organization),
            escape(&self.filter),
            time(self.since),
            time(self.until),
            self.level.name(),
            if self.terms_are_all { "all" } else { "some" },
        );
        for Term { field, any_of } in &self.terms {
            let values: Vec<String> = any_of.iter().map(|value| escape(value)).collect();
            text.push_str(&format!("term {field} {}\n", values.join(",")));
        }
        text.push_str(&format!("selected {}\n", self.selected));
        text.push_str(&format!("checkpoint {}\nbefore {}\n", notes(&self.checkpoint), notes(&self.before)));
        for stamp in &self.stamps {
            text.push_str(&format!("stamp {}\n", STANDARD.encode(stamp)));
        }
        for key in &self.keys {
            text.push_str(&format!("key {key}\n"));
        }
        text
    }

    /// Reads lines, of which the last one that belongs to a header is not known: all of them must.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let header = Self::read(text)?;
        // One content has one spelling.
        if header.text() == text { Ok(header) } else { Err("the header has another spelling".to_owned()) }
    }

    fn read(text: &str) -> Result<Self, String> {
        let mut lines = text.lines().peekable();
        if lines.next() != Some(MAGIC) {
            return Err("this is no evidence bundle of version 1".to_owned());
        }
        let mut value = |name: &'static str| {
            let line = lines.next().and_then(|line| line.strip_prefix(name)?.strip_prefix(' '));
            line.ok_or_else(|| format!("'{name}' is expected in the header"))
        };
        let malformed = |name: &str| format!("'{name}' has another form");
        let organization = unescape(value("organization")?).ok_or_else(|| malformed("organization"))?;
        let filter = unescape(value("filter")?).ok_or_else(|| malformed("filter"))?;
        let since = time(value("since")?).ok_or_else(|| malformed("since"))?;
        let until = time(value("until")?).ok_or_else(|| malformed("until"))?;
        let level = Level::parse(value("level")?).ok_or_else(|| malformed("level"))?;
        let terms_are_all = match value("terms")? {
            "all" => true,
            "some" => false,
            _ => return Err(malformed("terms")),
        };
        let mut terms = Vec::new();
        while let Some(line) = lines.peek().and_then(|line| line.strip_prefix("term ")) {
            terms.push(term(line).ok_or_else(|| malformed("term"))?);
            lines.next();
        }
        let mut value = |name: &'static str| {
            let line = lines.next().and_then(|line| line.strip_prefix(name)?.strip_prefix(' '));
            line.ok_or_else(|| format!("'{name}' is expected in the header"))
        };
        let selected = checkpoint::number(value("selected")?).ok_or_else(|| malformed("selected"))?;
        let checkpoint = notes(value("checkpoint")?)?;
        let before = notes(value("before")?)?;
        let mut stamps = Vec::new();
        while let Some(line) = lines.peek().and_then(|line| line.strip_prefix("stamp ")) {
            let stamp = STANDARD.decode(line).ok().filter(|stamp| !stamp.is_empty());
            stamps.push(stamp.ok_or_else(|| malformed("stamp"))?);
            lines.next();
        }
        if stamps.len() > MOST_STAMPS || checkpoint.is_none() && !stamps.is_empty() {
            return Err("there are too many time stamps, or no checkpoint that they are of".to_owned());
        }
        let keys = lines.map(|line| {
            let key = line.strip_prefix("key ").ok_or("a key, or an event, is expected")?;
            PublicKey::parse(key).map_err(|e| e.to_string())
        });
        let keys = keys.collect::<Result<_, String>>()?;
        Ok(Self {
            organization,
            filter,
            since,
            until,
            level,
            terms,
            terms_are_all,
            selected,
            checkpoint,
            before,
            stamps,
            keys,
        })
    }
}

fn time(text: &str) -> Option<Option<Timestamp>> {
    if text == "-" { Some(None) } else { checkpoint::time(text).map(Some) }
}

fn term(line: &str) -> Option<Term> {
    let (field, values) = line.split_once(' ')?;
    let any_of = values.split(',').map(unescape).collect::<Option<Vec<_>>>()?;
    let term = Term { field: field.to_owned(), any_of };
    term.can_be_tried().then_some(term)
}

fn notes(text: &str) -> Result<Option<Signed>, String> {
    if text == "-" {
        return Ok(None);
    }
    let (checkpoint, trail) = text.split_once(' ').ok_or("a checkpoint is two notes")?;
    let decode = |text: &str| STANDARD.decode(text).map_err(|_| "a note is not in base64");
    let signed = Signed::parse(&decode(checkpoint)?, &decode(trail)?);
    signed.map(Some).map_err(|e| e.to_string())
}
