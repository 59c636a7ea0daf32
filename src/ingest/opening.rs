//! What begins at a place in a stream: a list of records, an object and how far it goes, or something else.

use super::format::FORMATS;
use serde::de::IgnoredAny;

/// What stands at the beginning of some bytes.
pub(super) enum Opening {
    /// A list of records: the bytes up to its first element, and whether it is a member of an object.
    Is { length: usize, in_object: bool },
    /// Something else.
    IsNot,
    /// More bytes are needed.
    Unknown,
}

/// Whether a document begins here: `[`, or an object whose first member is a list of records (`{"Records":[`), with
/// blanks between the tokens.
pub(super) fn opening(bytes: &[u8]) -> Opening {
    if bytes.first() == Some(&b'[') {
        return Opening::Is { length: 1, in_object: false };
    }
    let mut unknown = false;
    for key in FORMATS.iter().flat_map(|format| format.lists) {
        match opening_with(bytes, key) {
            Opening::IsNot => {}
            Opening::Unknown => unknown = true,
            is => return is,
        }
    }
    if unknown { Opening::Unknown } else { Opening::IsNot }
}

fn opening_with(bytes: &[u8], key: &str) -> Opening {
    let mut at = 0;
    // Inside the quotes a blank is a character.
    for (token, blanks) in [("{", true), ("\"", true), (key, false), ("\"", false), (":", true), ("[", true)]
    {
        if blanks {
            at += bytes[at..].iter().take_while(|b| b.is_ascii_whitespace()).count();
        }
        let here = &bytes[at..];
        if here.starts_with(token.as_bytes()) {
            at += token.len();
        } else if token.as_bytes().starts_with(here) {
            return Opening::Unknown;
        } else {
            return Opening::IsNot;
        }
    }
    Opening::Is { length: at, in_object: true }
}

/// How far the object at the beginning of some bytes goes.
pub(super) enum FirstObject {
    /// It is whole; its length.
    Ends(usize),
    /// Its end is not here yet.
    GoesOn,
    /// It is not valid JSON, as shows there.
    IsNot(serde_json::Error),
}

pub(super) fn first_object(bytes: &[u8]) -> FirstObject {
    let mut values = serde_json::Deserializer::from_slice(bytes).into_iter::<IgnoredAny>();
    match values.next() {
        Some(Ok(_)) => FirstObject::Ends(values.byte_offset()),
        Some(Err(e)) if !e.is_eof() => FirstObject::IsNot(e),
        _ => FirstObject::GoesOn,
    }
}
