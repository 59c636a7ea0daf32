//! The fields a filter can name.

use crate::domain::{Action, ActorType, Category, Severity};

/// A column of the table, or two that are looked at together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "named after the columns, but for the two that are described")]
pub enum Field {
    EventId,
    ProjectId,
    ActorType,
    /// The actor's id or e-mail address. A value without `@` is no address and is only looked for among the ids.
    Actor,
    ActorId,
    ActorEmail,
    ActorIp,
    ActorUserAgent,
    EventCategory,
    EventType,
    EventSeverity,
    /// Type and id of the resource, as `TYPE/ID`.
    Resource,
    ResourceType,
    ResourceId,
    ResourceName,
    Action,
    RequestId,
    SessionId,
    Hash,
    PreviousHash,
}

/// What values a field takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any text, case-sensitive.
    Text,
    /// An e-mail address; ASCII letters match in either case.
    Email,
    /// An id (case-sensitive) or an e-mail address.
    Actor,
    /// One of a few words, in either case.
    Word,
    /// An address or a network.
    Address,
    /// `TYPE/ID`
    Resource,
}

/// The fields with their names, the canonical one first.
const NAMES: &[(Field, &[&str])] = &[
    (Field::EventId, &["event_id", "event", "id"]),
    (Field::ProjectId, &["proj", "project", "project_id"]),
    (Field::ActorType, &["actor_type"]),
    (Field::Actor, &["actor"]),
    (Field::ActorId, &["actor_id"]),
    (Field::ActorEmail, &["email", "actor_email"]),
    (Field::ActorIp, &["ip", "actor_ip"]),
    (Field::ActorUserAgent, &["ua", "user_agent", "actor_user_agent"]),
    (Field::EventCategory, &["cat", "category", "event_category"]),
    (Field::EventType, &["type", "event_type"]),
    (Field::EventSeverity, &["sev", "severity", "event_severity"]),
    (Field::Resource, &["res", "resource"]),
    (Field::ResourceType, &["resource_type"]),
    (Field::ResourceId, &["resource_id"]),
    (Field::ResourceName, &["resource_name"]),
    (Field::Action, &["action"]),
    (Field::RequestId, &["req", "request", "request_id"]),
    (Field::SessionId, &["sess", "session", "session_id"]),
    (Field::Hash, &["hash"]),
    (Field::PreviousHash, &["previous_hash"]),
];

impl Field {
    /// Every field.
    pub fn all() -> impl Iterator<Item = Self> {
        NAMES.iter().map(|(field, _)| *field)
    }

    /// The names it goes by, the canonical one first.
    pub fn names(self) -> &'static [&'static str] {
        NAMES.iter().find(|(field, _)| *field == self).map_or(&[], |(_, names)| names)
    }

    /// The canonical name.
    pub fn name(self) -> &'static str {
        self.names().first().copied().unwrap_or_default()
    }

    pub(super) fn by_name(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        NAMES.iter().find(|(_, names)| names.contains(&name.as_str())).map(|(field, _)| *field)
    }

    /// What values it takes.
    pub fn kind(self) -> Kind {
        match self {
            Self::Actor => Kind::Actor,
            Self::ActorEmail => Kind::Email,
            Self::ActorIp => Kind::Address,
            Self::Resource => Kind::Resource,
            Self::ActorType | Self::EventCategory | Self::EventSeverity | Self::Action => Kind::Word,
            _ => Kind::Text,
        }
    }

    /// Whether the column may be null.
    pub fn is_nullable(self) -> bool {
        matches!(
            self,
            Self::ProjectId
                | Self::ActorEmail
                | Self::ActorIp
                | Self::ActorUserAgent
                | Self::ResourceName
                | Self::SessionId
        )
    }

    /// The words that a field of [`Kind::Word`] takes, in the order of the schema; empty for the others.
    pub fn words(self) -> Vec<&'static str> {
        match self {
            Self::ActorType => ActorType::ALL.iter().map(|w| w.as_str()).collect(),
            Self::EventCategory => Category::ALL.iter().map(|w| w.as_str()).collect(),
            Self::EventSeverity => Severity::ALL.iter().map(|w| w.as_str()).collect(),
            Self::Action => Action::ALL.iter().map(|w| w.as_str()).collect(),
            _ => Vec::new(),
        }
    }
}
