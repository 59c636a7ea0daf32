//! Lists of events: pages by keyset along the timeline, their statements, what they cost and how the server finds them.

mod access;
pub mod bounds;
pub mod cost;
pub mod cursor;
pub mod explain;
pub(super) mod filter_sql;
pub(super) mod page_sql;
mod planner;
pub mod search;
pub mod timeline;
pub mod values;
mod walk;
