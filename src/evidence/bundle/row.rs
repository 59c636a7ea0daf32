//! What is read of the text of an event: the columns that conditions ask for. The text is what was hashed, or claims to be.

use super::header::{Header, Term};
use crate::domain::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// Fields that a [`Term`] may name.
const FIELDS: [&str; 16] = [
    "action",
    "actor",
    "actor_id",
    "actor_type",
    "cat",
    "email",
    "event_id",
    "proj",
    "req",
    "res",
    "resource_id",
    "resource_name",
    "resource_type",
    "sess",
    "sev",
    "type",
];

/// Whether conditions on this field can be tried off-line.
pub(super) fn is_field(name: &str) -> bool {
    FIELDS.contains(&name)
}

/// The columns of an event.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Text {
    action: String,
    actor_email: Option<String>,
    actor_id: String,
    #[serde(default, rename = "actor_ip")]
    _ip: IgnoredAny,
    actor_type: String,
    #[serde(default, rename = "actor_user_agent")]
    _ua: IgnoredAny,
    event_category: String,
    pub(super) event_id: String,
    event_severity: String,
    event_type: String,
    #[serde(rename = "new_state")]
    _new: IgnoredAny,
    pub(super) organization_id: String,
    #[serde(default, rename = "previous_hash")]
    _link: IgnoredAny,
    #[serde(rename = "previous_state")]
    _previous: IgnoredAny,
    project_id: Option<String>,
    request_id: String,
    resource_id: String,
    resource_name: Option<String>,
    resource_type: String,
    session_id: Option<String>,
    timestamp: String,
    /// Columns that are hidden: they are empty here.
    #[serde(skip)]
    hidden: Vec<String>,
}

/// How an event stands to time and conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    Fits,
    Not,
    /// A condition is on a hidden column.
    Untried,
}

/// Of an event in a bundle, what people are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selected {
    /// Its id.
    pub event_id: String,
    /// Its hash as stored.
    pub hash: String,
    /// Its leaf.
    pub leaf: Option<u64>,
}

impl Text {
    pub(super) fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// The time that it claims; without an offset, UTC is meant, as the original system has it.
    pub(super) fn time(&self) -> Option<Timestamp> {
        let text = &self.timestamp;
        Timestamp::parse(text).or_else(|_| Timestamp::parse(&format!("{text}Z"))).ok()
    }

    /// The same with hidden columns.
    pub(super) fn hiding<'n>(self, names: impl Iterator<Item = &'n str>) -> Self {
        Self { hidden: names.map(ToOwned::to_owned).collect(), ..self }
    }

    fn hides(&self, column: &str) -> bool {
        self.hidden.iter().any(|hidden| hidden == column)
    }

    /// How it stands to time and conditions; `None` where its time cannot be read.
    pub(super) fn fits(&self, header: &Header) -> Option<Fit> {
        let time = self.time()?;
        let inside =
            header.since.is_none_or(|since| since <= time) && header.until.is_none_or(|until| time < until);
        let mut fit = if inside { Fit::Fits } else { Fit::Not };
        for term in &header.terms {
            match fit {
                Fit::Not => break,
                _ if self.fulfils(term) => {}
                _ if columns_of(&term.field).iter().any(|column| self.hides(column)) => fit = Fit::Untried,
                _ => fit = Fit::Not,
            }
        }
        Some(fit)
    }

    fn fulfils(&self, term: &Term) -> bool {
        let email =
            |value: &str| self.actor_email.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(value));
        let is_hidden = columns_of(&term.field).iter().any(|column| self.hides(column));
        let own = match term.field.as_str() {
            "actor" => {
                let is_id = |value: &String| *value == self.actor_id && !self.hides("actor_id");
                let is = |value: &String| is_id(value) || value.contains('@') && email(value);
                return term.any_of.iter().any(is);
            }
            _ if is_hidden => return false,
            "email" => return term.any_of.iter().any(|value| email(value)),
            "res" => {
                let whole = format!("{}/{}", self.resource_type, self.resource_id);
                // A type has no slash: `a/b/c` is the resource `b/c` of the type `a`.
                return !self.resource_type.contains('/') && term.any_of.contains(&whole);
            }
            "action" => Some(&self.action),
            "actor_id" => Some(&self.actor_id),
            "actor_type" => Some(&self.actor_type),
            "cat" => Some(&self.event_category),
            "event_id" => Some(&self.event_id),
            "proj" => self.project_id.as_ref(),
            "req" => Some(&self.request_id),
            "resource_id" => Some(&self.resource_id),
            "resource_name" => self.resource_name.as_ref(),
            "resource_type" => Some(&self.resource_type),
            "sess" => self.session_id.as_ref(),
            "sev" => Some(&self.event_severity),
            "type" => Some(&self.event_type),
            _ => None,
        };
        own.is_some_and(|own| term.any_of.contains(own))
    }
}

/// The columns that a condition on a field looks at.
fn columns_of(field: &str) -> &[&str] {
    match field {
        "action" => &["action"],
        "actor" => &["actor_id", "actor_email"],
        "actor_id" => &["actor_id"],
        "actor_type" => &["actor_type"],
        "cat" => &["event_category"],
        "email" => &["actor_email"],
        "proj" => &["project_id"],
        "req" => &["request_id"],
        "res" => &["resource_type", "resource_id"],
        "resource_id" => &["resource_id"],
        "resource_name" => &["resource_name"],
        "resource_type" => &["resource_type"],
        "sess" => &["session_id"],
        "sev" => &["event_severity"],
        "type" => &["event_type"],
        _ => &[],
    }
}
