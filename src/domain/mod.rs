//! The nouns of the program: events, organisations, instants, untrusted text. No IO and no clock.

mod event;
mod scope;
mod text;
mod time;

pub use event::{
    Action, ActorType, COLUMNS, Category, ColumnError, Event, EventKey, EventRow, Json, LIMITS, NewEvent,
    Severity,
};
pub use scope::{OrgId, OrgIdError, OrgScope};
pub use text::{Safe, grouped, is_hidden};
pub use time::{TimeRange, Timestamp, TimestampError};
