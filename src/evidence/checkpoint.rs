//! What is signed of a trail: the checkpoint (C2SP `tlog-checkpoint`: origin, size, root, nothing else), and a second text
//! with what monitors cannot audit: whose trail it is, in which database, its heads.

use super::note::{Note, NoteError, PrivateKey, PublicKey};
use super::tree::Node;
use crate::domain::Timestamp;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// First line of the second text.
const TRAIL: &str = "agenttrace-trail/1";
/// Most heads that the second text lists.
pub const MOST_HEADS: usize = 1_000;
/// What stands unescaped.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'_').remove(b'~').remove(b'-');

/// The one spelling of a text without blanks, line feeds, `/` and `+`: percent-encoded but for ASCII letters, digits and
/// `.`, `_`, `~`, `-`.
pub fn escape(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

/// The text of which this is the spelling.
pub fn unescape(text: &str) -> Option<String> {
    let plain = percent_decode_str(text).decode_utf8().ok()?.into_owned();
    (escape(&plain) == text).then_some(plain)
}

/// The name of the log of an organisation that a key signs: two organisations never have the same one.
pub fn origin(key_name: &str, organization: &str) -> String {
    format!("{key_name}/{}", escape(organization))
}

/// The name of the key that signs the log of an origin.
pub fn key_name(origin: &str) -> Option<&str> {
    origin.rsplit_once('/').map(|(name, _)| name)
}

/// The organisation of an origin.
pub fn organization(origin: &str) -> Option<String> {
    unescape(origin.rsplit_once('/')?.1)
}

/// Size and root of a log at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log: see [`origin`].
    pub origin: String,
    /// How many leaves.
    pub size: u64,
    /// Their root.
    pub root: Node,
}

/// Why a signed text is none of these.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Not a note.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// Another text.
    #[error("not a checkpoint: {0}")]
    Form(&'static str),
}

/// A time from year 1 to 9999, as [`Timestamp::to_rfc3339`] writes it.
pub(super) fn time(text: &str) -> Option<Timestamp> {
    let time = Timestamp::parse(text).ok()?;
    (text.len() == 27 && !text.starts_with("0000") && time.to_rfc3339() == text).then_some(time)
}

/// A number without sign, blanks and leading zeros.
pub(super) fn number(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number: &u64| number.to_string() == text)
}

fn root(text: &str) -> Option<Node> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

impl Checkpoint {
    /// Its text.
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root))
    }

    /// Reads the text of a checkpoint without extension lines.
    ///
    /// # Errors
    /// When it is another text.
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        const FORM: CheckpointError =
            CheckpointError::Form("three lines with origin, size and root are expected");
        let lines: Vec<&str> = text.strip_suffix('\n').ok_or(FORM)?.split('\n').collect();
        let [origin, size, node] = lines[..] else { return Err(FORM) };
        if organization(origin).is_none() || origin == TRAIL {
            return Err(CheckpointError::Form(
                "its origin does not end in the escaped id of an organisation",
            ));
        }
        let size = number(size).ok_or(CheckpointError::Form("its size is not a number"))?;
        let root = root(node).ok_or(CheckpointError::Form("its root is not 32 bytes in base64"))?;
        Ok(Self { origin: origin.to_owned(), size, root })
    }

    /// The signed note.
    ///
    /// # Errors
    /// When its text would be read as another one.
    pub fn sign(&self, key: &PrivateKey) -> Result<String, CheckpointError> {
        let text = self.text();
        if Self::parse(&text)? != *self {
            return Err(CheckpointError::Form("its text would be read as another one"));
        }
        Ok(key.sign(&text)?)
    }
}

/// A head of the trail that a checkpoint covers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TrailHead {
    /// Its hash, 64 hexadecimal digits.
    pub hash: String,
    /// Its event.
    pub event_id: String,
}

/// The trail that a checkpoint was made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trail {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// When the trail was read, by the database's clock.
    pub at: Timestamp,
    /// Which database: system identifier, database, table.
    pub object: String,
    /// Events with a hash are the leaves; these are the others.
    pub unhashed: u64,
    /// What the verification said that stood before the signature.
    pub verdict: String,
    /// Events have more than one successor, or there is more than one beginning: where one chain ends and another begins
    /// in the order of the leaves is the signer's choice.
    pub is_forked: bool,
    /// How many heads there are.
    pub heads_count: u64,
    /// The first [`MOST_HEADS`] of them.
    pub heads: Vec<TrailHead>,
}

impl Trail {
    /// Its text.
    pub fn text(&self) -> String {
        let mut text = format!(
            "{TRAIL}\n{}at {}\nobject {}\nunhashed {}\nverdict {}\nshape {}\nheads {}\n",
            self.checkpoint.text(),
            self.at.to_rfc3339(),
            escape(&self.object),
            self.unhashed,
            escape(&self.verdict),
            if self.is_forked { "forked" } else { "chain" },
            self.heads_count
        );
        for head in &self.heads {
            text.push_str(&format!("head {} {}\n", head.hash, escape(&head.event_id)));
        }
        text
    }

    /// Reads such a text.
    ///
    /// # Errors
    /// When it is another one.
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let trail =
            Self::read(text).ok_or(CheckpointError::Form("the text about the trail has another form"))?;
        // One text has one spelling.
        if trail.text() == text {
            Ok(trail)
        } else {
            Err(CheckpointError::Form("the text about the trail has another spelling"))
        }
    }

    fn read(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        if lines.next()? != TRAIL {
            return None;
        }
        let checkpoint: Vec<&str> = lines.by_ref().take(3).collect();
        let checkpoint = Checkpoint::parse(&format!("{}\n", checkpoint.join("\n"))).ok()?;
        let mut value = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
        let at = time(value("at")?)?;
        let object = unescape(value("object")?)?;
        let unhashed = number(value("unhashed")?)?;
        let verdict = unescape(value("verdict")?)?;
        let is_forked = match value("shape")? {
            "forked" => true,
            "chain" => false,
            _ => return None,
        };
        let heads_count = number(value("heads")?)?;
        let mut heads = Vec::new();
        for line in lines {
            let (hash, event_id) = line.strip_prefix("head ")?.split_once(' ')?;
            crate::chain::links::parse_hash(hash)?;
            heads.push(TrailHead { hash: hash.to_owned(), event_id: unescape(event_id)? });
        }
        let listed = heads.len() as u64 == heads_count.min(MOST_HEADS as u64);
        listed.then_some(Self { checkpoint, at, object, unhashed, verdict, is_forked, heads_count, heads })
    }

    /// The signed note.
    ///
    /// # Errors
    /// When its text would be read as another one.
    pub fn sign(&self, key: &PrivateKey) -> Result<String, CheckpointError> {
        let text = self.text();
        if Self::parse(&text)? != *self {
            return Err(CheckpointError::Form("its text would be read as another one"));
        }
        Ok(key.sign(&text)?)
    }
}

/// A checkpoint with the text about its trail, both as signed notes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The checkpoint.
    pub checkpoint: Note,
    /// The text about the trail.
    pub trail_note: Note,
    /// What it says.
    pub trail: Trail,
}

impl Signed {
    /// Reads both. They are of one another; nothing is known of their signatures yet.
    ///
    /// # Errors
    /// When one of them is another text, or they are not of the same checkpoint.
    pub fn parse(checkpoint: &[u8], trail: &[u8]) -> Result<Self, CheckpointError> {
        let (checkpoint, trail_note) = (Note::parse(checkpoint)?, Note::parse(trail)?);
        let trail = Trail::parse(trail_note.text())?;
        if Checkpoint::parse(checkpoint.text())? != trail.checkpoint {
            return Err(CheckpointError::Form("the text about the trail is one about another checkpoint"));
        }
        Ok(Self { checkpoint, trail_note, trail })
    }

    /// Those of the keys that have signed both.
    ///
    /// # Errors
    /// When a signature claims to be by one of them and is not.
    pub fn signed_by<'k>(&self, keys: &'k [PublicKey]) -> Result<Vec<&'k PublicKey>, NoteError> {
        let also = self.trail_note.signed_by(keys)?;
        let by = self.checkpoint.signed_by(keys)?;
        Ok(by.into_iter().filter(|key| also.contains(key)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn trail(organization: &str, object: &str, heads: usize) -> Trail {
        let head = |n: usize| TrailHead { hash: format!("{n:064x}"), event_id: format!("e {n}\n") };
        Trail {
            checkpoint: Checkpoint {
                origin: origin("acme.example/audit", organization),
                size: 7,
                root: [9; 32],
            },
            at: Timestamp::from_micros(1_768_471_082_113_904),
            object: object.to_owned(),
            unhashed: 0,
            verdict: "chain intact · newest end not proven".to_owned(),
            is_forked: heads > 1,
            heads_count: heads as u64,
            heads: (0..heads).map(head).collect(),
        }
    }

    #[test]
    fn a_checkpoint_has_three_lines_and_one_spelling() {
        let key = PrivateKey::new("acme.example/audit", &[1; 32]).unwrap();
        let checkpoint = Checkpoint { origin: origin(key.name(), "a b\n+/ä"), size: 0, root: [0; 32] };
        assert_eq!(checkpoint.origin, "acme.example/audit/a%20b%0A%2B%2F%C3%A4");
        assert_eq!(organization(&checkpoint.origin).as_deref(), Some("a b\n+/ä"));
        let text = checkpoint.text();
        assert_eq!(Checkpoint::parse(&text), Ok(checkpoint.clone()));
        let note = Note::parse(checkpoint.sign(&key).unwrap().as_bytes()).unwrap();
        assert_eq!(note.signed_by(&[key.public()]).unwrap().len(), 1);
        let zero = text.replace("\n0\n", "\n00\n");
        for bad in [
            zero,
            text.replace("\n0\n", "\n+0\n"),
            text.replace("\n0\n", "\n-1\n"),
            text.replace("\n0\n", "\n18446744073709551616\n"),
            format!("{text}extension\n"),
            text.trim_end().to_owned(),
            text.replace("AAA=", "AAA"),
            text.replace("%0A", "%0a"),
            text.replace("%20", " "),
            text.replacen("acme.example/audit/", "", 1),
            text.replace("AAAAAAAA", ""),
            String::new(),
        ] {
            assert!(Checkpoint::parse(&bad).is_err(), "{bad:?}");
        }
        let forged = Checkpoint { origin: "x\n9/a".to_owned(), ..checkpoint };
        assert!(forged.sign(&key).is_err(), "a line feed in the origin would move the lines");
    }

    #[test]
    fn the_second_text_is_of_exactly_one_checkpoint() {
        let key = PrivateKey::new("acme.example/audit", &[1; 32]).unwrap();
        let one = trail("org-1", "7/1/2", 2);
        let checkpoint = one.checkpoint.sign(&key).unwrap();
        let signed = Signed::parse(checkpoint.as_bytes(), one.sign(&key).unwrap().as_bytes()).unwrap();
        assert_eq!(signed.trail, one);
        assert_eq!(signed.signed_by(&[key.public()]).unwrap().len(), 1);
        let mut other = one.clone();
        other.checkpoint.size += 1;
        assert!(Signed::parse(checkpoint.as_bytes(), other.sign(&key).unwrap().as_bytes()).is_err());
        // A text about a trail is no checkpoint, and the other way round.
        assert!(Checkpoint::parse(&one.text()).is_err() && Trail::parse(&one.checkpoint.text()).is_err());
        let text = one.text();
        for (from, to) in
            [("heads 2", "heads 3"), ("shape forked", "shape"), ("\nunhashed 0", ""), ("at 2026", "at +2026")]
        {
            assert!(text.contains(from) && Trail::parse(&text.replace(from, to)).is_err(), "{from}");
        }
        // Signed by another key only in one of the two: by neither.
        let eve = PrivateKey::new("eve", &[2; 32]).unwrap();
        let mixed = Signed::parse(checkpoint.as_bytes(), one.sign(&eve).unwrap().as_bytes()).unwrap();
        assert_eq!(mixed.signed_by(&[key.public(), eve.public()]), Ok(Vec::new()));
    }

    #[test]
    fn of_many_heads_the_first_are_listed() {
        let mut many = trail("org-1", "7/1/2", MOST_HEADS);
        many.heads_count += 5;
        let key = PrivateKey::new("k", &[1; 32]).unwrap();
        let note = many.sign(&key).unwrap();
        assert_eq!(Trail::parse(Note::parse(note.as_bytes()).unwrap().text()), Ok(many));
    }

    proptest! {
        #[test]
        fn escapes_are_injective_and_fit_for_a_note(a in any::<String>(), b in any::<String>()) {
            prop_assert_eq!(unescape(&escape(&a)), Some(a.clone()));
            prop_assert!(a == b || escape(&a) != escape(&b));
            prop_assert!(escape(&a).bytes().all(|c| c.is_ascii_graphic() && c != b'/' && c != b'+'));
        }

        #[test]
        fn what_is_signed_is_read_again(organization in any::<String>(), object in any::<String>(), heads in 0_usize..4) {
            let one = trail(&organization, &object, heads);
            prop_assert_eq!(Trail::parse(&one.text()), Ok(one));
        }

        #[test]
        fn any_text_gives_a_checkpoint_or_an_error(text in any::<String>(), lines in prop::collection::vec("[a-z/0-9=%]{0,50}", 0..10)) {
            let _ = (Checkpoint::parse(&text), Trail::parse(&text));
            let lines = format!("{TRAIL}\n{}\n", lines.join("\n"));
            let _ = (Checkpoint::parse(&lines), Trail::parse(&lines));
        }
    }
}
