//! Verification: reads the rows of an organisation under one snapshot, judges each by its hash, follows the links, and
//! says what it found, what it did not look at, and what the findings are consistent with. It never says who did it.
//!
//! `docs/guide/verify.md` describes verdicts, findings and their limits.

mod assembly;
mod class;
mod columns;
mod completeness;
mod detect;
mod engine;
mod event;
mod facts;
mod finding;
mod ghosts;
mod head_finding;
mod heads;
mod identity;
mod limits;
mod progress;
mod ranges;
mod reading;
mod report;
mod vectors;
pub mod writing;

pub use class::Class;
pub use columns::ColumnProtection;
pub use detect::{Detected, SchemeSource, detect};
pub use engine::{Request, verify, verify_rest, verify_since};
pub use event::{EventReport, Neighbour, Predecessor, verify_event, verify_read};
pub use facts::Known;
pub use finding::Finding;
pub use ghosts::{Gap, Ghosts, Sight, Watch, ghosts};
pub use heads::{Compared, Watched, compare_heads};
pub use identity::identity;
pub use limits::{NewestHead, ROWS_ALONE};
pub use progress::{Gauge, Progress};
pub use ranges::{Interrupted, RangeState, strip};
#[cfg(test)]
pub(crate) use report::tests as samples;
pub use report::{
    Acceptance, Accepted, ContentCounts, Coverage, EventHash, ForkShape, Links, MissingShape, Pins, Report,
    SchemeUsed, Scope, VectorCoverage, Verdict, VerifiedEarlier,
};
