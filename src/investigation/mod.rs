//! The use cases that the command line and the console share, each once: a view of events opened, continued and counted;
//! aggregates with their cost gate; gaps and bursts; what came of what was created; a verification from the records of this
//! machine to the report; the acceptance of findings; reports as documents; the log of all that, and its replay. Shells
//! parse arguments and show results.

pub mod acceptance;
pub mod across;
pub mod activity;
pub mod aggregate;
pub mod casework;
pub mod checkpoint;
pub mod doctor;
pub mod evidence;
pub mod export;
pub mod export_file;
pub mod lineage;
pub mod listing;
pub mod output;
pub mod publication;
mod records;
pub mod report;
mod schemes;
pub mod tempo;
pub mod verification;
pub mod witness;

pub use records::Records;
pub use schemes::{SchemeOf, schemes};
