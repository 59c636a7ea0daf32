//! The fields a filter can name: one table, from which names, columns, explanations, look-ups and completion are made.

use crate::domain::{Action, ActorType, Category, EventRow, Severity};

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

/// What is known of a field.
struct Row {
    field: Field,
    names: &'static [&'static str],
    column: &'static str,
    title: &'static str,
    kind: Kind,
    flags: &'static [Flag],
    value: fn(&EventRow) -> Option<String>,
}

/// Properties of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(non_camel_case_types, reason = "they read as words in the table")]
enum Flag {
    /// The column may be null.
    nullable,
    /// The column is compared with a text as it is stored, so that an index on it serves.
    looked_up,
    /// Values of the column are offered while a filter is typed.
    completed,
}

macro_rules! fields {
    ($($(#[$doc:meta])+ $field:ident: [$($name:literal),+] $column:literal $title:literal $kind:ident [$($flag:ident)*] $value:expr;)+) => {
        /// A column of the table, or two that are looked at together.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Field { $($(#[$doc])+ $field,)+ }

        const TABLE: &[Row] = &[$(Row {
            field: Field::$field,
            names: &[$($name),+],
            column: $column,
            title: $title,
            kind: Kind::$kind,
            flags: &[$(Flag::$flag),*],
            value: $value,
        },)+];
    };
}

// A field: its names (the canonical one first), its column, its name in a sentence, the kind of its values, its properties,
// and the value of an event.
fields! {
    /// The column `event_id`.
    EventId: ["event_id", "event", "id"] "event_id" "event id" Text [looked_up] |e| Some(e.event_id.clone());
    /// The column `project_id`.
    ProjectId: ["proj", "project", "project_id"] "project_id" "project" Text [nullable looked_up completed] |e| e.project_id.clone();
    /// The column `actor_type`.
    ActorType: ["actor_type"] "actor_type" "actor type" Word [looked_up] |e| Some(e.actor_type.clone());
    /// The actor's id or e-mail address. A value without `@` is no address and only matches ids.
    Actor: ["actor"] "actor_id" "actor" Actor [looked_up completed] |e| Some(e.actor_id.clone());
    /// The column `actor_id`.
    ActorId: ["actor_id"] "actor_id" "actor id" Text [looked_up completed] |e| Some(e.actor_id.clone());
    /// The column `actor_email`.
    ActorEmail: ["email", "actor_email"] "actor_email" "e-mail address" Email [nullable] |e| e.actor_email.clone();
    /// The column `actor_ip`.
    ActorIp: ["ip", "actor_ip"] "actor_ip" "address" Address [nullable] |e| e.actor_ip.clone();
    /// The column `actor_user_agent`.
    ActorUserAgent: ["ua", "user_agent", "actor_user_agent"] "actor_user_agent" "user agent" Text [nullable] |e| e.actor_user_agent.clone();
    /// The column `event_category`.
    EventCategory: ["cat", "category", "event_category"] "event_category" "category" Word [looked_up] |e| Some(e.event_category.clone());
    /// The column `event_type`.
    EventType: ["type", "event_type"] "event_type" "type" Text [looked_up completed] |e| Some(e.event_type.clone());
    /// The column `event_severity`.
    EventSeverity: ["sev", "severity", "event_severity"] "event_severity" "severity" Word [looked_up] |e| Some(e.event_severity.clone());
    /// Type and id of the resource, as `TYPE/ID`; the column is that of the id.
    Resource: ["res", "resource"] "resource_id" "resource" Resource [] |e| Some(format!("{}/{}", e.resource_type, e.resource_id));
    /// The column `resource_type`.
    ResourceType: ["resource_type"] "resource_type" "resource type" Text [looked_up completed] |e| Some(e.resource_type.clone());
    /// The column `resource_id`.
    ResourceId: ["resource_id"] "resource_id" "resource id" Text [looked_up] |e| Some(e.resource_id.clone());
    /// The column `resource_name`.
    ResourceName: ["resource_name"] "resource_name" "resource name" Text [nullable looked_up] |e| e.resource_name.clone();
    /// The column `action`.
    Action: ["action"] "action" "action" Word [looked_up] |e| Some(e.action.clone());
    /// The column `request_id`.
    RequestId: ["req", "request", "request_id"] "request_id" "request" Text [looked_up completed] |e| Some(e.request_id.clone());
    /// The column `session_id`.
    SessionId: ["sess", "session", "session_id"] "session_id" "session" Text [nullable looked_up completed] |e| e.session_id.clone();
    /// The column `hash`.
    Hash: ["hash"] "hash" "hash" Text [] |e| Some(e.hash.clone());
    /// The column `previous_hash`.
    PreviousHash: ["previous_hash"] "previous_hash" "previous hash" Text [] |e| Some(e.previous_hash.clone());
}

impl Field {
    fn row(self) -> &'static Row {
        // A row for each variant, in their order: the macro writes both.
        &TABLE[self as usize]
    }

    /// Every field.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|row| row.field)
    }

    /// The names it goes by, the canonical one first.
    pub fn names(self) -> &'static [&'static str] {
        self.row().names
    }

    /// The canonical name.
    pub fn name(self) -> &'static str {
        self.names().first().copied().unwrap_or_default()
    }

    /// The column of the table `audit_events`.
    pub fn column(self) -> &'static str {
        self.row().column
    }

    /// The column, where it is compared with a text as it is stored.
    pub fn text_column(self) -> Option<&'static str> {
        self.row().flags.contains(&Flag::looked_up).then_some(self.row().column)
    }

    /// The column, where its values are offered while a filter is typed.
    pub fn completed_column(self) -> Option<&'static str> {
        self.row().flags.contains(&Flag::completed).then_some(self.row().column)
    }

    /// The name in a sentence.
    pub fn title(self) -> &'static str {
        self.row().title
    }

    /// The value of an event.
    pub fn value_of(self, event: &EventRow) -> Option<String> {
        (self.row().value)(event)
    }

    pub(super) fn by_name(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        TABLE.iter().find(|row| row.names.contains(&name.as_str())).map(|row| row.field)
    }

    /// What values it takes.
    pub fn kind(self) -> Kind {
        self.row().kind
    }

    /// Whether the column may be null.
    pub fn is_nullable(self) -> bool {
        self.row().flags.contains(&Flag::nullable)
    }

    /// Whether a value can be asked for: one of its words, anything where it has none. Enumerated columns of somebody
    /// else's table may hold others.
    pub fn knows(self, value: &str) -> bool {
        let words = self.words();
        words.is_empty() || words.contains(&value)
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
