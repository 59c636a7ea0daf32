//! Verification: reads the rows of an organisation under one snapshot, judges each by its hash, follows the links, and
//! says what it found, what it did not look at, and what the findings are consistent with. It never says who did it.
//!
//! `docs/verify.md` describes verdicts, findings and their limits.

mod anchor;
mod detect;
mod engine;
mod event;
mod facts;
mod finding;
mod ghosts;
mod progress;
mod ranges;
mod reading;
mod report;

pub use anchor::{Anchor, identity};
pub use detect::{Detected, detect};
pub use engine::{Request, verify, verify_rest, verify_since};
pub use event::{EventReport, Neighbour, Predecessor, verify_event, verify_read};
pub use facts::Known;
pub use finding::{Class, Finding};
pub use ghosts::{Gap, Ghosts, Sight, Watch, ghosts};
pub use progress::{Gauge, Progress};
pub use ranges::{Interrupted, RangeState, strip};
#[cfg(test)]
pub(crate) use report::tests as samples;
pub use report::{
    Acceptance, Accepted, Content, Coverage, EventHash, ForkShape, Links, MissingShape, Pins, Report,
    SchemeUsed, Scope, Verdict, VerifiedEarlier,
};
