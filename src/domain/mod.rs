//! The nouns of the program: events, organisations, instants, untrusted text. No IO and no clock.

mod call;
mod event;
mod identifier;
mod likeness;
pub mod mask;
mod naming;
mod scope;
mod text;
mod time;
mod wrapping;

pub use call::{AUDIT_RECORD, CALL_RECORDS, CLOUDTRAIL, CallRecord};
pub use event::{
    Action, ActorType, COLUMNS, Category, ColumnError, Event, EventKey, EventRow, Json, LIMITS, NewEvent,
    Severity,
};
pub use identifier::is_identifier;
pub use likeness::nearest;
pub use naming::Naming;
pub use scope::{OrgId, OrgIdError, OrgScope};
pub use text::{Joiners, Safe, escape_for_file, escape_json, grouped, is_hidden, unescaped};
pub use time::{TimeRange, Timestamp, TimestampError};
