//! Events in forms for people and other programs, one file per format. They write to whatever they are given; nothing
//! here knows a terminal.

pub mod csv;
pub mod json;
pub mod pretty;
mod record;
pub mod report;
pub mod table;

pub use record::{Record, Value};
