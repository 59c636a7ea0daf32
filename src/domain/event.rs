//! One row of `audit_events`, as read ([`EventRow`], [`Event`]) and as it is about to be written ([`NewEvent`]).

use super::{OrgId, Timestamp};
use std::fmt;
use std::str::FromStr;

macro_rules! column_enum {
    ($(#[$doc:meta])* $name:ident, $column:literal, { $($(#[$vdoc:meta])* $variant:ident => $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            /// Every value the CHECK constraint of the column admits, in the order of the schema.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The text the column holds.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(self.as_str()) }
        }

        impl FromStr for $name {
            type Err = ColumnError;
            fn from_str(text: &str) -> Result<Self, ColumnError> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    other => Err(ColumnError {
                        column: $column,
                        reason: format!("'{}' is not one of {}", other.escape_debug(), [$($text),+].join(", ")),
                    }),
                }
            }
        }
    };
}

column_enum!(/// Who acted: column `actor_type`.
    ActorType, "actor_type", { /// A person.
        User => "user", /// A program with an identity of its own.
        Service => "service", /// The platform itself.
        System => "system" });
column_enum!(/// Column `event_category`.
    Category, "event_category", { /// Sign-in, tokens, sessions.
        Auth => "auth", /// Access to data.
        Data => "data", /// Configuration.
        Config => "config", /// Administration of people and rights.
        Admin => "admin", /// Evaluations.
        Eval => "eval" });
column_enum!(/// What was done: column `action`.
    Action, "action", { /// Came into being.
        Create => "create", /// Was looked at.
        Read => "read", /// Was changed.
        Update => "update", /// Was removed.
        Delete => "delete", /// Left the system.
        Export => "export" });
column_enum!(/// Column `event_severity`, ascending.
    Severity, "event_severity", { /// Routine.
        Info => "info", /// Unusual.
        Warning => "warning", /// Needs a look.
        Critical => "critical" });

/// A value that the table's columns or constraints refuse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{column}: {reason}")]
pub struct ColumnError {
    /// Name of the column.
    pub column: &'static str,
    /// What is wrong, in words that follow the name.
    pub reason: String,
}

/// Maximum number of characters of each `VARCHAR` column (the seed's schema).
pub const LIMITS: &[(&str, usize)] = &[
    ("event_id", 64),
    ("organization_id", 64),
    ("project_id", 64),
    ("actor_id", 64),
    ("actor_email", 255),
    ("event_type", 100),
    ("resource_type", 100),
    ("resource_id", 64),
    ("resource_name", 255),
    ("request_id", 64),
    ("session_id", 64),
];

/// The 22 columns of the seed in their order.
pub const COLUMNS: [&str; 22] = [
    "event_id",
    "timestamp",
    "organization_id",
    "project_id",
    "actor_type",
    "actor_id",
    "actor_email",
    "actor_ip",
    "actor_user_agent",
    "event_category",
    "event_type",
    "event_severity",
    "resource_type",
    "resource_id",
    "resource_name",
    "action",
    "previous_state",
    "new_state",
    "request_id",
    "session_id",
    "hash",
    "previous_hash",
];

/// JSON text of a state, kept as text so that no digit of a number passes through a float.
///
/// Holding one says that the text was valid JSON for whoever made it (PostgreSQL or our own reader).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Json(Box<str>);

impl Json {
    /// Takes text that is known to be JSON: PostgreSQL's output of a `jsonb`, or text that our reader has accepted.
    pub fn from_trusted(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Where an event stands in the order of the timeline: time, then id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventKey {
    /// Claimed time of the event.
    pub timestamp: Timestamp,
    /// Breaks ties, in byte order.
    pub event_id: String,
}

/// A row as lists show it: every column but the two states. Texts are untrusted; texts of enumerated columns are kept
/// as they are, because somebody else's table may hold other words than ours.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are the columns of the seed, under their own names")]
pub struct EventRow {
    pub event_id: String,
    pub timestamp: Timestamp,
    pub organization_id: String,
    pub project_id: Option<String>,
    pub actor_type: String,
    pub actor_id: String,
    pub actor_email: Option<String>,
    /// As PostgreSQL prints an `inet`: no mask when it covers one address.
    pub actor_ip: Option<String>,
    pub actor_user_agent: Option<String>,
    pub event_category: String,
    pub event_type: String,
    pub event_severity: String,
    pub resource_type: String,
    pub resource_id: String,
    pub resource_name: Option<String>,
    pub action: String,
    pub request_id: String,
    pub session_id: Option<String>,
    pub hash: String,
    pub previous_hash: String,
    /// The row version (`xmin`): a mark about a row lapses when it changes.
    pub xmin: u32,
}

impl EventRow {
    /// The place of the row in the timeline.
    pub fn key(&self) -> EventKey {
        EventKey { timestamp: self.timestamp, event_id: self.event_id.clone() }
    }

    /// Who acted, as lists name them: a prefix for what is no person, unless the name says it, and the e-mail address or the
    /// id.
    pub fn actor_name(&self) -> (&'static str, &str) {
        let name = self.actor_email.as_deref().filter(|email| !email.is_empty()).unwrap_or(&self.actor_id);
        let prefix = match self.actor_type.as_str() {
            "service" => "svc:",
            "system" => "sys:",
            _ => "",
        };
        let says_it = name.starts_with(prefix.trim_end_matches(':'));
        (if says_it { "" } else { prefix }, name)
    }
}

#[cfg(test)]
impl EventRow {
    /// An ordinary row without what is optional, for tests that change what they are about.
    pub(crate) fn sample() -> Self {
        Self {
            event_id: "evt-1".into(),
            timestamp: Timestamp::from_micros(1_767_600_061_147_504),
            organization_id: "org-1".into(),
            project_id: None,
            actor_type: "user".into(),
            actor_id: "u-1".into(),
            actor_email: None,
            actor_ip: None,
            actor_user_agent: None,
            event_category: "admin".into(),
            event_type: "user.created".into(),
            event_severity: "info".into(),
            resource_type: "user".into(),
            resource_id: "u-2".into(),
            resource_name: None,
            action: "create".into(),
            request_id: "r-1".into(),
            session_id: None,
            hash: "00ff".into(),
            previous_hash: String::new(),
            xmin: 3,
        }
    }
}

/// A whole event: the row and its two states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// All columns but the states.
    pub row: EventRow,
    /// State before, as PostgreSQL prints the `jsonb`.
    pub previous_state: Option<Json>,
    /// State after.
    pub new_state: Option<Json>,
}

/// An event before it is chained: 20 columns, that is all but `hash` and `previous_hash`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are the columns of the seed, under their own names")]
pub struct NewEvent {
    pub event_id: String,
    pub timestamp: Timestamp,
    pub organization_id: OrgId,
    pub project_id: Option<String>,
    pub actor_type: ActorType,
    pub actor_id: String,
    pub actor_email: Option<String>,
    /// Any spelling that PostgreSQL's `inet` takes; the writer brings it into PostgreSQL's own.
    pub actor_ip: Option<String>,
    pub actor_user_agent: Option<String>,
    pub event_category: Category,
    pub event_type: String,
    pub event_severity: Severity,
    pub resource_type: String,
    pub resource_id: String,
    pub resource_name: Option<String>,
    pub action: Action,
    /// JSON text in any spelling; the writer hashes what `jsonb` will return.
    pub previous_state: Option<Json>,
    pub new_state: Option<Json>,
    pub request_id: String,
    pub session_id: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enumerated_columns_read_back_what_they_print() {
        for a in Action::ALL {
            assert_eq!(a.as_str().parse::<Action>().unwrap(), *a);
        }
        let error = "Read".parse::<Action>().unwrap_err();
        assert_eq!(error.to_string(), "action: 'Read' is not one of create, read, update, delete, export");
    }

    #[test]
    fn a_name_that_says_what_it_is_has_no_prefix() {
        let name = |kind: &str, email: Option<&str>, id: &str| {
            let row = EventRow {
                actor_type: kind.to_owned(),
                actor_email: email.map(str::to_owned),
                actor_id: id.to_owned(),
                ..EventRow::sample()
            };
            let (prefix, name) = row.actor_name();
            format!("{prefix}{name}")
        };
        assert_eq!(name("service", None, "svc-ci"), "svc-ci");
        assert_eq!(name("service", None, "ci"), "svc:ci");
        assert_eq!(name("system", None, "cron"), "sys:cron");
        assert_eq!(name("user", None, "svc-ci"), "svc-ci");
        assert_eq!(name("user", Some("eve@corp.example"), "user-17"), "eve@corp.example");
        assert_eq!(name("user", Some(""), "user-17"), "user-17");
    }
}
