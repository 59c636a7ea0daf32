//! Events of which some columns are hidden. Each column has a commitment, the hash of its name, a salt and its value; of a
//! hidden one it is all that is given, of the others salt and value. A stranger cannot compute the event's hash then: that
//! the columns are those of the event is the word of whoever sealed the bundle, until the hidden ones are disclosed.

use super::row::Text;
use crate::chain::links::parse_hash;
use crate::chain::to_hex;
use crate::evidence::tree::Node;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// What a commitment begins with.
const FIELD: &str = "agenttrace-field/1";
/// Columns that can be hidden: without the others an event cannot be placed.
pub const HIDEABLE: [&str; 17] = [
    "action",
    "actor_email",
    "actor_id",
    "actor_ip",
    "actor_type",
    "actor_user_agent",
    "event_category",
    "event_severity",
    "event_type",
    "new_state",
    "previous_state",
    "project_id",
    "request_id",
    "resource_id",
    "resource_name",
    "resource_type",
    "session_id",
];
/// Hideable columns that may be null.
const NULLABLE: [&str; 8] = [
    "actor_email",
    "actor_ip",
    "actor_user_agent",
    "new_state",
    "previous_state",
    "project_id",
    "resource_name",
    "session_id",
];

/// A column of a redacted event.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Field {
    Shown { salt: Node, value: String },
    Hidden(Node),
}

/// The columns of a redacted event, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redacted(BTreeMap<String, Field>);

/// The commitment to a column's value, the JSON text as it was hashed.
fn commitment(name: &str, salt: &Node, value: &str) -> Node {
    let digest = Sha256::new().chain_update(format!("{FIELD}\n{name}\n")).chain_update(salt);
    digest.chain_update(value).finalize().into()
}

impl Redacted {
    /// Hides columns of an event's text; `salt` gives the salt of each column. `None` where the text is no object, or has none
    /// of these columns.
    pub fn hide(text: &str, hidden: &[String], salt: impl Fn(&str) -> Node) -> Option<Self> {
        let columns: BTreeMap<String, &RawValue> = serde_json::from_str(text).ok()?;
        let field = |(name, value): (String, &RawValue)| {
            let (salt, value) = (salt(&name), value.get());
            let field = if hidden.contains(&name) {
                Field::Hidden(commitment(&name, &salt, value))
            } else {
                Field::Shown { salt, value: value.to_owned() }
            };
            (name, field)
        };
        let fields: BTreeMap<String, Field> = columns.into_iter().map(field).collect();
        fields.values().any(|field| matches!(field, Field::Hidden(_))).then_some(Self(fields))
    }

    /// As it stands in a bundle: columns in the order of their names, `NAME:COMMITMENT` or `NAME:SALT:B64`.
    pub(super) fn text(&self) -> String {
        let fields = self.0.iter().map(|(name, field)| match field {
            Field::Hidden(hash) => format!("{name}:{}", to_hex(hash)),
            Field::Shown { salt, value } => format!("{name}:{}:{}", to_hex(salt), STANDARD.encode(value)),
        });
        fields.collect::<Vec<_>>().join(" ")
    }

    /// Reads that; `None` when it has another form or spelling, or nothing is hidden.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut fields = BTreeMap::new();
        for field in text.split(' ') {
            let mut parts = field.splitn(3, ':');
            let (name, hash, value) = (parts.next()?, parse_hash(parts.next()?)?, parts.next());
            let field = match value {
                None if HIDEABLE.contains(&name) => Field::Hidden(hash),
                None => return None,
                Some(value) => {
                    let value = String::from_utf8(STANDARD.decode(value).ok()?).ok()?;
                    // One value, and nothing that would be another column.
                    serde_json::from_str::<IgnoredAny>(&value).ok().filter(|_| value.is_ascii())?;
                    Field::Shown { salt: hash, value }
                }
            };
            fields.insert(name.to_owned(), field);
        }
        let redacted = Self(fields);
        let is_one = redacted.text() == text && redacted.hidden().next().is_some();
        is_one.then_some(redacted)
    }

    /// The names of the hidden columns.
    pub(super) fn hidden(&self) -> impl Iterator<Item = &str> {
        let hidden = self.0.iter().filter(|(_, field)| matches!(field, Field::Hidden(_)));
        hidden.map(|(name, _)| name.as_str())
    }

    /// What can be read of the event; hidden columns are empty there.
    pub(super) fn row(&self) -> Option<Text> {
        let members = self.0.iter().map(|(name, field)| {
            let value = match field {
                Field::Shown { value, .. } => value.as_str(),
                Field::Hidden(_) if NULLABLE.contains(&name.as_str()) => "null",
                Field::Hidden(_) => "\"\"",
            };
            format!("\"{name}\": {value}")
        });
        let text = format!("{{{}}}", members.collect::<Vec<_>>().join(", "));
        Some(Text::parse(&text)?.hiding(self.hidden()))
    }

    /// The commitments of all columns: what two redactions of one event have in common.
    fn commitments(&self) -> BTreeMap<&str, Node> {
        let own = |(name, field): (&'_ String, &'_ Field)| match field {
            Field::Hidden(hash) => *hash,
            Field::Shown { salt, value } => commitment(name, salt, value),
        };
        self.0.iter().map(|(name, field)| (name.as_str(), own((name, field)))).collect()
    }

    /// The columns whose values in another redaction of the event are not those that this one commits to.
    pub fn differing(&self, other: &Self) -> Vec<String> {
        let (own, other) = (self.commitments(), other.commitments());
        let names = own.keys().chain(other.keys().filter(|name| !own.contains_key(*name)));
        names.filter(|name| own.get(*name) != other.get(*name)).map(|name| (*name).to_owned()).collect()
    }

    /// The shown columns whose values are not those of the event's whole text.
    pub fn differing_from(&self, text: &str) -> Vec<String> {
        let columns: BTreeMap<String, &RawValue> = serde_json::from_str(text).unwrap_or_default();
        let differs = |(name, field): &(&String, &Field)| match (field, columns.get(*name)) {
            (Field::Shown { value, .. }, Some(whole)) => value != whole.get(),
            (Field::Hidden(_), Some(_)) => false,
            (_, None) => true,
        };
        self.0.iter().filter(differs).map(|(name, _)| name.clone()).collect()
    }
}
