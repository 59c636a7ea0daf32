//! Opaque cursors: key, direction, order and frozen bounds, bound to organisation and filter.
//!
//! Text: base64url without padding of `version, order, seek, [µs, id length, id], bounds, [µs], [µs], fingerprint (16
//! bytes), checksum (4 bytes)`, integers big-endian. The checksum tells a text that was cut off from one that belongs
//! to another query. A cursor is no secret and no permission: whoever makes one up still reads within the
//! organisation and filter of the command it is given to.

use crate::domain::{EventKey, OrgScope, TimeRange, Timestamp};
use crate::filter::Filter;
use crate::store::query::Seek;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

const VERSION: u8 = 1;
const FINGERPRINT: usize = 16;
const CHECKSUM: usize = 4;

/// Order of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// Newest first.
    #[default]
    Desc,
    /// Oldest first.
    Asc,
}

/// What a cursor says, once it has been found to belong to the query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// Where the page begins.
    pub seek: Seek,
    /// The bounds of the first page.
    pub range: TimeRange,
    /// The order of the listing.
    pub order: Order,
}

/// Why a cursor is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CursorError {
    /// Not one of ours, or cut off.
    #[error("the cursor is damaged: copy it whole, or start again without --cursor")]
    Damaged,
    /// It belongs to another organisation or filter.
    #[error(
        "the cursor belongs to another organisation or filter: repeat the command it came from, or start again without --cursor"
    )]
    Foreign,
}

impl Cursor {
    /// The text to hand out, for the query of `scope` and `filter`.
    pub fn encode(&self, scope: &OrgScope, filter: &Filter) -> String {
        let mut bytes = vec![VERSION, self.order as u8];
        match &self.seek {
            Seek::Newest => bytes.push(0),
            Seek::Oldest => bytes.push(1),
            Seek::OlderThan(key) => put_key(&mut bytes, 2, key),
            Seek::NewerThan(key) => put_key(&mut bytes, 3, key),
            Seek::AtOrBefore(time) => {
                bytes.push(4);
                put_time(&mut bytes, *time);
            }
            Seek::AtOrOlderThan(key) => put_key(&mut bytes, 5, key),
        }
        for bound in [self.range.since, self.range.until] {
            bytes.push(u8::from(bound.is_some()));
            if let Some(time) = bound {
                put_time(&mut bytes, time);
            }
        }
        bytes.extend(fingerprint(scope, filter));
        bytes.extend(checksum(&bytes));
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a cursor that was handed out for this query.
    ///
    /// # Errors
    /// [`CursorError::Damaged`] when it is not one of ours or not whole, [`CursorError::Foreign`] when it belongs to
    /// another organisation or filter.
    pub fn decode(text: &str, scope: &OrgScope, filter: &Filter) -> Result<Self, CursorError> {
        let bytes = URL_SAFE_NO_PAD.decode(text.trim()).map_err(|_| CursorError::Damaged)?;
        let (signed, sum) = bytes.split_last_chunk::<CHECKSUM>().ok_or(CursorError::Damaged)?;
        if checksum(signed) != *sum {
            return Err(CursorError::Damaged);
        }
        let (body, print) = signed.split_last_chunk::<FINGERPRINT>().ok_or(CursorError::Damaged)?;
        let cursor = Reader(body).cursor().ok_or(CursorError::Damaged)?;
        if *print == fingerprint(scope, filter) { Ok(cursor) } else { Err(CursorError::Foreign) }
    }
}

fn put_time(bytes: &mut Vec<u8>, time: Timestamp) {
    bytes.extend(time.as_micros().to_be_bytes());
}

fn put_key(bytes: &mut Vec<u8>, kind: u8, key: &EventKey) {
    bytes.push(kind);
    put_time(bytes, key.timestamp);
    bytes.extend((key.event_id.len() as u64).to_be_bytes());
    bytes.extend(key.event_id.as_bytes());
}

/// Of organisation and canonical filter, with their lengths, so that no two pairs run into the same bytes.
fn fingerprint(scope: &OrgScope, filter: &Filter) -> [u8; FINGERPRINT] {
    let mut hash = Sha256::new();
    for part in [scope.organization().as_str(), &filter.canonical()] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    first(&hash.finalize())
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM] {
    first(&Sha256::digest(bytes))
}

fn first<const N: usize>(hash: &[u8]) -> [u8; N] {
    hash.first_chunk().copied().unwrap_or([0; N])
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn cursor(mut self) -> Option<Cursor> {
        if self.byte()? != VERSION {
            return None;
        }
        let order = match self.byte()? {
            0 => Order::Desc,
            1 => Order::Asc,
            _ => return None,
        };
        let seek = match self.byte()? {
            0 => Seek::Newest,
            1 => Seek::Oldest,
            2 => Seek::OlderThan(self.key()?),
            3 => Seek::NewerThan(self.key()?),
            4 => Seek::AtOrBefore(self.time()?),
            5 => Seek::AtOrOlderThan(self.key()?),
            _ => return None,
        };
        let mut range = TimeRange::default();
        self.bound(&mut range.since)?;
        self.bound(&mut range.until)?;
        self.0.is_empty().then_some(Cursor { seek, range, order })
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(head)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn time(&mut self) -> Option<Timestamp> {
        Some(Timestamp::from_micros(i64::from_be_bytes(self.take(8)?.try_into().ok()?)))
    }

    fn bound(&mut self, bound: &mut Option<Timestamp>) -> Option<()> {
        match self.byte()? {
            0 => {}
            1 => *bound = Some(self.time()?),
            _ => return None,
        }
        Some(())
    }

    fn key(&mut self) -> Option<EventKey> {
        let timestamp = self.time()?;
        let length = u64::from_be_bytes(self.take(8)?.try_into().ok()?);
        let event_id = std::str::from_utf8(self.take(usize::try_from(length).ok()?)?).ok()?.to_owned();
        Some(EventKey { timestamp, event_id })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::OrgId;
    use proptest::prelude::*;

    fn scope(id: &str) -> OrgScope {
        OrgScope::enter(OrgId::new(id).unwrap())
    }

    fn cursors() -> impl Strategy<Value = Cursor> {
        let time = || any::<i64>().prop_map(Timestamp::from_micros);
        let key = (time(), ".{0,64}").prop_map(|(timestamp, event_id)| EventKey { timestamp, event_id });
        let seek = prop_oneof![
            Just(Seek::Newest),
            Just(Seek::Oldest),
            key.clone().prop_map(Seek::OlderThan),
            key.clone().prop_map(Seek::AtOrOlderThan),
            key.prop_map(Seek::NewerThan),
            time().prop_map(Seek::AtOrBefore),
        ];
        let bound = || proptest::option::of(time());
        (seek, bound(), bound(), prop_oneof![Just(Order::Desc), Just(Order::Asc)])
            .prop_map(|(seek, since, until, order)| Cursor { seek, range: TimeRange { since, until }, order })
    }

    proptest! {
        #[test]
        fn a_cursor_comes_back_whole_or_not_at_all(cursor in cursors(), at in any::<prop::sample::Index>(), c in "[A-Za-z0-9_-]") {
            let (scope, filter) = (scope("org-1"), Filter::parse("sev:critical").unwrap());
            let text = cursor.encode(&scope, &filter);
            prop_assert_eq!(Cursor::decode(&text, &scope, &filter), Ok(cursor));
            let at = at.index(text.len());
            prop_assert_eq!(Cursor::decode(&text[..at], &scope, &filter), Err(CursorError::Damaged));
            let other = format!("{}{c}{}", &text[..at], &text[at + 1..]);
            if other != text {
                prop_assert_eq!(Cursor::decode(&other, &scope, &filter), Err(CursorError::Damaged));
            }
        }

        #[test]
        fn anything_else_is_damaged(text in any::<String>()) {
            prop_assert_eq!(
                Cursor::decode(&text, &scope("org-1"), &Filter::default()),
                Err(CursorError::Damaged)
            );
        }
    }

    #[test]
    fn a_cursor_of_another_query_is_foreign() {
        let filter = |text| Filter::parse(text).unwrap();
        let cursor = Cursor { seek: Seek::Newest, range: TimeRange::default(), order: Order::Desc };
        let text = cursor.encode(&scope("org-1"), &filter("sev:critical"));
        let read = |org, f| Cursor::decode(&text, &scope(org), &filter(f));
        assert_eq!(read("org-2", "sev:critical"), Err(CursorError::Foreign));
        assert_eq!(read("org-1", "sev:warning"), Err(CursorError::Foreign));
        // The same filter in another spelling is the same.
        assert_eq!(read("org-1", " event_severity:CRIT "), Ok(cursor));
    }
}
