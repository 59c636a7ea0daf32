//! How far a verification has come.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Shared with the readers; cheap to look at as often as one likes.
#[derive(Debug)]
pub struct Gauge {
    events: AtomicU64,
    total: AtomicU64,
    begun: Instant,
}

/// A look at a [`Gauge`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Events read so far.
    pub events: u64,
    /// Events in scope, about; `None` while that is not known.
    pub total: Option<u64>,
    /// Since the beginning.
    pub elapsed: Duration,
}

impl Default for Gauge {
    fn default() -> Self {
        Self { events: AtomicU64::new(0), total: AtomicU64::new(0), begun: Instant::now() }
    }
}

impl Gauge {
    /// Begins now.
    pub fn new() -> Self {
        Self::default()
    }

    /// How far it has come.
    pub fn progress(&self) -> Progress {
        let total = self.total.load(Ordering::Relaxed);
        Progress {
            events: self.events.load(Ordering::Relaxed),
            total: (total > 0).then_some(total),
            elapsed: self.begun.elapsed(),
        }
    }

    pub(super) fn add(&self, events: u64) {
        self.events.fetch_add(events, Ordering::Relaxed);
    }

    pub(super) fn expect(&self, total: u64) {
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
        let progress = Progress { events: 250, total: Some(1000), elapsed: Duration::from_secs(1) };
        assert_eq!(progress.eta(), Some(Duration::from_secs(3)));
        assert_eq!(Progress { total: None, ..progress }.eta(), None);
        assert_eq!(Progress { events: 0, ..progress }.eta(), None);
        assert_eq!(
            Progress { total: Some(100), ..progress }.eta(),
            Some(Duration::ZERO),
            "an estimate that was too low"
        );
    }
}
