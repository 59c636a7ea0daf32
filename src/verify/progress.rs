//! How far a verification has come, and how fast it may go.

use super::ranges::{Interrupted, Ledger, RangeState};
use crate::store::scan::Pace;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Shared by the readers and whoever waits for them; cheap to look at as often as one likes.
#[derive(Debug)]
pub struct Gauge {
    events: AtomicU64,
    total: AtomicU64,
    pace: Arc<Pace>,
    ledger: Mutex<Ledger>,
}

/// A look at a [`Gauge`].
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// Events read so far.
    pub events: u64,
    /// Events in scope, about; `None` while that is not known.
    pub total: Option<u64>,
    /// Since the beginning, without pauses.
    pub elapsed: Duration,
    /// The ranges in which the trail is read.
    pub ranges: Vec<RangeState>,
}

impl Default for Gauge {
    fn default() -> Self {
        Self {
            events: AtomicU64::new(0),
            total: AtomicU64::new(0),
            pace: Arc::default(),
            ledger: Mutex::default(),
        }
    }
}

impl Gauge {
    /// Begins now.
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins now, at this pace.
    pub fn with_pace(pace: Pace) -> Self {
        Self { pace: Arc::new(pace), ..Self::default() }
    }

    /// How far it has come.
    pub fn progress(&self) -> Progress {
        let total = self.total.load(Ordering::Relaxed);
        Progress {
            events: self.events.load(Ordering::Relaxed),
            total: (total > 0).then_some(total),
            elapsed: self.pace.running(),
            ranges: self.ledger().states(),
        }
    }

    /// Pauses and throttles the readers.
    pub fn pace(&self) -> &Arc<Pace> {
        &self.pace
    }

    /// What the verification leaves behind if it ends now; `None` while it has not begun to read.
    pub fn interrupted(&self) -> Option<Interrupted> {
        self.ledger().interrupted()
    }

    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        // It is whole between any two of its operations.
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, events: u64) {
        self.events.fetch_add(events, Ordering::Relaxed);
    }

    /// About so many events will be read, from the first one on.
    pub(super) fn expect(&self, total: u64) {
        self.events.store(0, Ordering::Relaxed);
        self.total.store(total, Ordering::Relaxed);
    }
}

impl Progress {
    /// Events a second since the beginning.
    pub fn rate(&self) -> f64 {
        let seconds = self.elapsed.as_secs_f64();
        if seconds > 0.0 { self.events as f64 / seconds } else { 0.0 }
    }

    /// Time left at that rate; `None` while nothing is known.
    pub fn eta(&self) -> Option<Duration> {
        let left = self.total?.saturating_sub(self.events) as f64;
        let rate = self.rate();
        (rate > 0.0).then(|| Duration::from_secs_f64(left / rate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_follows_the_rate() {
        let progress =
            Progress { events: 250, total: Some(1000), elapsed: Duration::from_secs(1), ranges: Vec::new() };
        assert_eq!(progress.eta(), Some(Duration::from_secs(3)));
        assert_eq!(Progress { total: None, ..progress.clone() }.eta(), None);
        assert_eq!(Progress { events: 0, ..progress.clone() }.eta(), None);
        assert_eq!(
            Progress { total: Some(100), ..progress }.eta(),
            Some(Duration::ZERO),
            "an estimate that was too low"
        );
    }
}
