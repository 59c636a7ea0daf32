//! Columns of a binary COPY as the parts of an event, borrowed.

use super::super::row::from_postgres;
use crate::chain::{Columns, Fields, Inet, Row, utf8};
use crate::domain::{ColumnError, Timestamp};

/// `hash`, then the 21 columns it may cover, in the order of their names.
pub(super) const COLUMNS: [&str; 22] = [
    "hash",
    "action",
    "actor_email",
    "actor_id",
    "actor_ip",
    "actor_type",
    "actor_user_agent",
    "event_category",
    "event_id",
    "event_severity",
    "event_type",
    "new_state",
    "organization_id",
    "previous_hash",
    "previous_state",
    "project_id",
    "request_id",
    "resource_id",
    "resource_name",
    "resource_type",
    "session_id",
    "timestamp",
];

/// What links need.
pub(super) const LINK_COLUMNS: [&str; 4] = ["event_id", "hash", "previous_hash", "timestamp"];

/// How a column comes over the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// As its own text.
    Text,
    /// Of another type, which the server is asked to turn into text.
    Cast,
    Inet,
    Jsonb,
    Timestamp,
}

impl Form {
    /// By the type's fixed object id in `pg_type`.
    pub(super) fn of_type(oid: i64) -> Self {
        match oid {
            // text, json, varchar; of a bpchar, the blanks that fill it up go with the cast
            25 | 114 | 1043 => Self::Text,
            869 => Self::Inet,
            3802 => Self::Jsonb,
            1184 => Self::Timestamp,
            _ => Self::Cast,
        }
    }
}

/// A row as it was read: its place in the chain, and what the hash covers unless only links were asked for.
#[derive(Debug, Clone, Copy)]
pub struct Scanned<'a> {
    /// Claimed time.
    pub timestamp: Timestamp,
    /// Id of the event.
    pub event_id: &'a str,
    /// Stored hash.
    pub hash: &'a str,
    /// Stored hash of the predecessor.
    pub previous_hash: &'a str,
    /// The columns, when they were read.
    pub fields: Option<Fields<'a>>,
}

/// A value that is not what its type says; the text names the column.
pub(super) type Bad = String;

impl<'a> Scanned<'a> {
    /// A row whose text columns are all valid UTF-8.
    ///
    /// # Errors
    /// Names the first column that is not UTF-8.
    pub(super) fn of(row: Row<'a, [u8]>) -> Result<Self, Bad> {
        let text = |column, value| utf8(column, value).map_err(|e| not(&e));
        let fields = row.fields.texts().map_err(|e| not(&e))?;
        Ok(Self {
            timestamp: fields.timestamp,
            event_id: fields.event_id,
            hash: text("hash", row.hash)?,
            previous_hash: text("previous_hash", row.previous_hash)?,
            fields: Some(fields),
        })
    }
}

fn not(error: &ColumnError) -> Bad {
    format!("{} is {}", error.column, error.reason)
}

/// Reads the 22 columns, without checking yet that the texts are valid UTF-8. `address` is the buffer in which the address is
/// spelled.
pub(super) fn whole<'a>(
    forms: &[Form; 22],
    columns: &[Option<&'a [u8]>; 22],
    address: &'a mut String,
) -> Result<Row<'a, [u8]>, Bad> {
    let required = |at: usize| columns[at].ok_or_else(|| bad(at, "NULL"));
    let state = |at: usize| match (columns[at], forms[at]) {
        // Version 1 is the only one there is: the text follows.
        (Some(bytes), Form::Jsonb) => {
            bytes.strip_prefix(&[1]).map(Some).ok_or_else(|| bad(at, "an unknown version of jsonb"))
        }
        (other, _) => Ok(other),
    };
    let actor_ip = match (columns[4], forms[4]) {
        (Some(bytes), Form::Inet) => {
            let inet = Inet::from_binary(bytes).ok_or_else(|| bad(4, "not an address"))?;
            address.clear();
            inet.append_text(address);
            Some(address.as_bytes())
        }
        (other, _) => other,
    };
    let fields = Columns {
        action: required(1)?,
        actor_email: columns[2],
        actor_id: required(3)?,
        actor_ip,
        actor_type: required(5)?,
        actor_user_agent: columns[6],
        event_category: required(7)?,
        event_id: required(8)?,
        event_severity: required(9)?,
        event_type: required(10)?,
        new_state: state(11)?,
        organization_id: required(12)?,
        previous_state: state(14)?,
        project_id: columns[15],
        request_id: required(16)?,
        resource_id: required(17)?,
        resource_name: columns[18],
        resource_type: required(19)?,
        session_id: columns[20],
        timestamp: instant(columns[21]).ok_or_else(|| bad(21, "not an instant"))?,
    };
    Ok(Row { fields, hash: required(0)?, previous_hash: required(13)? })
}

/// Reads the four columns of links.
pub(super) fn link<'a>(columns: &[Option<&'a [u8]>; 4]) -> Result<Scanned<'a>, Bad> {
    let [event_id, hash, previous_hash, timestamp] = *columns;
    let text = |column: &'static str, bytes: Option<&'a [u8]>| {
        utf8(column, bytes.ok_or_else(|| format!("{column} is NULL"))?).map_err(|e| not(&e))
    };
    Ok(Scanned {
        timestamp: instant(timestamp).ok_or("timestamp is not an instant")?,
        event_id: text("event_id", event_id)?,
        hash: text("hash", hash)?,
        previous_hash: text("previous_hash", previous_hash)?,
        fields: None,
    })
}

fn instant(bytes: Option<&[u8]>) -> Option<Timestamp> {
    Some(from_postgres(i64::from_be_bytes(bytes?.try_into().ok()?)))
}

fn bad(at: usize, what: &str) -> Bad {
    format!("{} is {what}", COLUMNS.get(at).unwrap_or(&"a column"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FORMS: [Form; 22] = {
        let mut forms = [Form::Text; 22];
        forms[4] = Form::Inet;
        forms[11] = Form::Jsonb;
        forms[14] = Form::Jsonb;
        forms[21] = Form::Timestamp;
        forms
    };

    fn good() -> [Option<&'static [u8]>; 22] {
        let mut columns: [Option<&'static [u8]>; 22] = [Some(b"x"); 22];
        columns[4] = Some(&[2, 32, 0, 4, 10, 0, 0, 1]);
        columns[11] = Some(b"\x01{\"a\": 1}");
        columns[14] = None;
        columns[21] = Some(&[0; 8]);
        columns
    }

    #[test]
    fn columns_find_their_fields() {
        let mut address = String::new();
        let row = Scanned::of(whole(&FORMS, &good(), &mut address).unwrap()).unwrap();
        let fields = row.fields.unwrap();
        assert_eq!(fields.actor_ip, Some("10.0.0.1"));
        assert_eq!(fields.new_state, Some("{\"a\": 1}"));
        assert_eq!(fields.previous_state, None);
        assert_eq!(row.timestamp.to_rfc3339(), "2000-01-01T00:00:00.000000Z");
    }

    #[test]
    fn values_that_cannot_be_are_named() {
        let cases: [(usize, Option<&'static [u8]>, &str); 6] = [
            (0, None, "hash is NULL"),
            (3, Some(b"\xff"), "actor_id is not UTF-8"),
            (4, Some(&[9, 32, 0, 4, 10, 0, 0, 1]), "actor_ip is not an address"),
            (11, Some(b"\x02{}"), "new_state is an unknown version of jsonb"),
            (11, Some(b""), "new_state is an unknown version of jsonb"),
            (21, Some(&[0; 7]), "timestamp is not an instant"),
        ];
        for (at, value, message) in cases {
            let mut columns = good();
            columns[at] = value;
            let mut address = String::new();
            assert_eq!(whole(&FORMS, &columns, &mut address).and_then(Scanned::of).unwrap_err(), message);
        }
    }

    proptest! {
        #[test]
        fn any_values_give_a_row_or_an_error(values in prop::collection::vec(prop::option::of(prop::collection::vec(any::<u8>(), 0..24)), 22)) {
            let mut columns = [None; 22];
            for (to, from) in columns.iter_mut().zip(&values) {
                *to = from.as_deref();
            }
            let _ = whole(&FORMS, &columns, &mut String::new()).and_then(Scanned::of);
            let _ = link(&[columns[0], columns[1], columns[2], columns[3]]);
        }
    }
}
