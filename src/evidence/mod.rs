//! Signed checkpoints of a trail, proofs, and the file that carries selected events to somebody without the database
//! (`docs/reference/evidence.md`). No database, no network, no clock; what is read here may be hostile.

pub mod bundle;
pub mod checkpoint;
pub mod leaves;
pub mod note;
pub mod proofs;
pub mod stamp;
pub mod tree;
