//! Runs: neighbouring events that differ in their time and their object only. On request each stands on one line.

/// Events of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    /// Index of the newest one, which stands for all.
    pub(crate) first: usize,
    /// How many there are.
    pub(crate) rows: usize,
    /// They are about one object.
    pub(crate) one_object: bool,
}
