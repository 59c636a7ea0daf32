//! Events in forms for people and other programs, one file per format. They write to whatever they are given; nothing
//! here knows a terminal.

pub mod csv;
pub mod document;
mod ecs;
mod file;
pub mod json;
pub mod manifest;
mod markdown;
mod ocsf;
#[cfg(feature = "parquet")]
mod parquet;
pub mod pretty;
mod record;
pub mod report;
pub mod table;
mod timesketch;

pub use file::{EventFile, FileFormat, Mark, Style};
pub use markdown::inert;
pub use record::{Record, Value};
