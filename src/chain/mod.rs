//! What an event's hash is made of (scheme `agenttrace-v1`, described in `docs/reference/chain.md`). No IO.
//!
//! The hash covers the text that Python's `json.dumps(…, sort_keys=True)` writes for 21 of the 22 columns. It is made
//! from the text that PostgreSQL returns for a `jsonb`, or will return for it once it is stored, in one pass without a
//! document tree and without floats: no digit of a number can get lost.

mod ambiguity;
mod canonical;
pub mod head;
mod inet;
mod judge;
mod judgement;
pub mod links;
mod number;
mod order;
mod scheme;
mod search;
mod text;
mod triage;

pub use canonical::{Canonicaliser, JsonError, Limits, Reason};
pub use inet::{Inet, InetError};
pub use judge::{Judge, NO_SCHEME, changes_noticed, protected_columns};
pub use judgement::{Content, Judgement, Mismatch, Row};
pub use order::along_chain;
pub(crate) use scheme::utf8;
pub use scheme::{Columns, EventText, Fields, SCHEME, Scheme, sha256, to_hex};
